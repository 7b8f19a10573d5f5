"""Whole runs of all starter sets, to hold the backends against each other."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from judgebench.run.folder import RunFolder
from judgebench.run.runner import Runner
from judgebench.run.settings import Settings
from tests.starter_sets import TASKS

WITHOUT_SYSTEM = ",".join(name for name in TASKS.split(",") if name != "healthbench-meta")
"""Those that ask without a system message, for which the random checkpoint's chat template has no place."""
SHORT_AND_GREEDY = {"temperature": "0", "max_tokens": "24"}
"""For a random model, which would go on to the end of its context."""


class Run(Struct):
    """What a run came to."""

    scores: dict[tuple[str, str, str | None], float | None]
    """By task, metric and group."""
    answers: dict[tuple[str, str], tuple[str, ...]]
    """By task and example."""
    tokens: dict[tuple[str, str], int]
    """Tokens of each answer, by task and example."""


def run_of(out: Path, model: str, judge: str, *, tasks: str = WITHOUT_SYSTEM, **more: Any) -> Run:
    """Every task's starter set, answered by one model and judged by another or the same."""
    settings = Settings(tasks=tasks, model=model, judges=(judge,), starter=True, out=out, **more)
    results = Runner(settings, lambda *_: None).evaluate()
    rows = [(task, row) for task in tasks.split(",") for row in RunFolder(out).task(task).generations()]
    assert {task for task, _ in rows} == set(tasks.split(","))
    return Run(
        scores={(score.task, score.metric, score.group): score.value for score in results.scores},
        answers={(task, row.example_id): row.outputs for task, row in rows},
        tokens={(task, row.example_id): row.usage.completion_tokens for task, row in rows},
    )


def assert_same_scores(one: Run, other: Run, *, but: tuple[str, ...] = ()) -> None:
    """Every number of every task, but those of some metrics."""
    assert one.scores.keys() == other.scores.keys()
    for key, value in one.scores.items():
        if key[1] not in but:
            assert other.scores[key] == (value if value is None else pytest.approx(value, abs=1e-3)), key
