"""Published data that tests compare with: where they lie, who is left out without them, and how to get them.

They are the benchmarks' judgements, answers and official files, whose licences keep them out of this repository. Tests
reach them through ``SharedData`` alone: a test that asks for data that are not there is skipped, and says for want of
what. ``tests/conftest.py`` names this module in ``pytest_plugins``.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "JUDGEBENCH_TEST_DATA"
NAMED = os.environ.get(VARIABLE, str(Path(__file__).parents[2] / "shared" / "data"))
FOLDER = Path(NAMED).expanduser().absolute() if NAMED else None
"""Tests that find no folder there run without the data; some of them change the working directory."""

CONTENTS = {
    "alpacaeval": "outputs, annotations, judge prompts and leaderboards of tatsu-lab/alpaca_eval",
    "arena_elo": "ratings of the Chatbot Arena",
    "arena_hard": "questions, answers, judgements, battles and leaderboards of lmarena/arena-hard-auto",
    "bridge": "verdicts of second judges on AlpacaEval and WildBench, and bridges to the official ones",
    "followbench": "requests of YJiangcm/FollowBench, answers to them, and what its official code makes of verdicts",
    "creative_writing_v3": "grades and replies of the judge of EQ-Bench's creative writing, and its official readings",
    "gsm8k": "problems of openai/grade-school-math, answers to them, and lm-eval's verdicts",
    "healthbench": "verdicts of a judge on HealthBench's criteria, and what simple-evals makes of them",
    "humaneval": "problems of openai/human-eval with their canonical solutions, and its example samples",
    "ifbench": "verdicts of IFBench's own program on the kinds of instructions that look things up",
    "ifeval": "prompts, answers and verdicts of IFEval, M-IFEval and IFBench, and NLTK's English punkt_tab",
    "judge_meta": "LLMBar, JudgeBench, PandaLM and others: judges' verdicts beside people's",
    "math": "problems of hendrycks/math, answers to them, and verdicts of Math-Verify, lm-eval and Hendrycks",
    "mt_bench": "questions, references, answers and judgements of lm-sys/FastChat's llm_judge",
    "multichallenge": "verdicts of a judge on Multi-Challenge's questions, and what its official code makes of them",
    "ratings": "battles and the ratings that FastChat, Arena-Hard and arena-rank give them",
    "upstream": "the files that tasks/*/sources.toml pin, under any name",
    "writingbench": "grades of WritingBench's criteria, and what its official code makes of them",
    "wildbench": "templates, judge records and published tables of allenai/WildBench",
}
"""What lies in each folder of the data."""
WANT = "needs the shared data: "
NO_DATA = "no data"
READERS = os.environ.get("JUDGEBENCH_TEST_READERS")
"""A file: where there are data, each test that asks for them is written into it; where there are none, only they run.

Of tests that share what is read, the first one asks.
"""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without data, leave out the tests that did not ask for any when there were some."""
    if FOLDER is None and READERS and Path(READERS).is_file():
        asked = set(Path(READERS).read_text().splitlines())
        others = [item for item in items if item.nodeid not in asked and NO_DATA not in item.nodeid]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


class SharedData:
    """One folder of the data, or with no name all of it. Asking for a path leaves the test out where it is absent."""

    def __init__(self, *parts: str) -> None:
        self._inner = Path(*parts)

    @property
    def is_here(self) -> bool:
        """For what can do without."""
        if FOLDER is not None and READERS and (test := os.environ.get("PYTEST_CURRENT_TEST")):
            with Path(READERS).open("a") as file:
                file.write(test.rpartition(" (")[0] + "\n")
        return FOLDER is not None and (FOLDER / self._kind).is_dir()

    @property
    def path(self) -> Path:
        """Where it lies."""
        if FOLDER is None or not self.is_here:
            pytest.skip(WANT + self._kind)
        return FOLDER / self._inner

    @property
    def _kind(self) -> str:
        kind = self._inner.parts[0]
        assert kind in CONTENTS, f"CONTENTS does not say what lies in {kind}"
        return kind

    def __truediv__(self, name: str) -> Path:
        return SharedData(*self._inner.parts, name).path


SHARED = SharedData()


@pytest.fixture(scope="session")
def shared_data() -> SharedData:
    """All the data: ``shared_data / "alpacaeval"`` is a folder, or the test is left out."""
    return SHARED


def each(read: Callable[[], Iterable[Any]], names: int = 1) -> list[Any]:
    """Values for ``parametrize`` that are read from the data, for so many names; without them, one that is left out."""
    try:
        return list(read())
    except pytest.skip.Exception as left_out:
        return [pytest.param(*[None] * names, id=NO_DATA, marks=pytest.mark.skip(reason=str(left_out)))]
