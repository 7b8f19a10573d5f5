"""Juries on benchmarks that are files: each metric is the mean of the members', also those beside the first."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from judgebench.models.scripted import ScriptedModel, playing, reply
from tests.commands import judgebench
from tests.kinds.test_kinds import Scores, scores, write_rows, write_task

Judge = Callable[[str], str]


def of_two(kind_one: Judge, strict_one: Judge) -> Scores:
    """The scores of two judges' panel, which reply to the text of a prompt."""
    with (
        playing(ScriptedModel(lambda request: reply(kind_one(request.messages[-1].content)), name="kind")) as one,
        playing(ScriptedModel(lambda request: reply(strict_one(request.messages[-1].content)), name="strict")) as two,
    ):
        flags = ["--model", "file:answers.jsonl", "--tasks", "mine.toml", "--judge", one, "--judge", two]
        judgebench(["eval", *flags, "--out", "run"])
    return scores("run")


def of_judges(replies: Mapping[str, str]) -> Scores:
    """The scores of a panel of judges, by name, each of which always replies the same."""
    with ExitStack() as stack:
        judges = [
            stack.enter_context(playing(ScriptedModel(lambda request, said=said: reply(said), name=name)))
            for name, said in replies.items()
        ]
        flags = [part for judge in judges for part in ("--judge", judge)]
        judgebench(["eval", "--model", "file:answers.jsonl", "--tasks", "mine.toml", *flags, "--out", "run"])
    return scores("run")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two questions and answers, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    criteria = [{"text": "It is short.", "tags": ["axis:form"]}, {"text": "It is true.", "tags": ["axis:facts"]}]
    rows = [{"id": name, "instruction": f"Say {name}.", "gold": "plain", "criteria": criteria} for name in "ab"]
    write_rows("prompts.jsonl", rows)
    write_rows("answers.jsonl", [{"id": name, "output": f"mine {name}"} for name in "ab"])
    return tmp_path


def test_criteria(place: Path) -> None:
    """One judge finds all met, the other none: half of each share, of each group."""
    write_task('kind = "rubric"\nprompts = "prompts.jsonl"\n')
    found = of_two(lambda prompt: "[[yes]]", lambda prompt: "[[no]]")
    assert [found[name, None].value for name in ("score", "share_met", "all_met")] == [50, 50, 50]
    assert [found["score", f"axis={axis}"].value for axis in ("form", "facts")] == [50, 50]
    assert found["share_met", "judge=kind"].value == 100
    assert found["share_met", "judges=median"].value == 50


def test_grades(place: Path) -> None:
    """Grades of 4 and 2 on all criteria are 3 together."""
    write_task('kind = "rubric"\nprompts = "prompts.jsonl"\n[rubric]\nscale = [1, 5]\n')
    found = of_two(lambda prompt: "[[4]]", lambda prompt: "[[2]]")
    assert found["score", None].value == found["score", "axis=form"].value == 3
    assert found["score", "judge=strict"].value == 2


def test_grades_of_all_criteria_at_once(place: Path) -> None:
    """Each judge's mean grade, and how many answers the two readings grade otherwise for one of them."""
    write_task('kind = "rubric"\nprompts = "prompts.jsonl"\n[rubric]\nscale = [1, 5]\nper = "answer"\n')
    plain = "[Scores]\nIt is short.: 4\nIt is true.: 4"
    found = of_two(lambda prompt: plain, lambda prompt: f"At 10:1 sharp.\n{plain}")
    assert found["score", None].value == (4 + (1 + 4 + 4) / 3) / 2
    assert found["score", "judge=kind"].details["read_otherwise"] == 0
    assert found["score", "judge=strict"].details["read_otherwise"] == 2


def test_dimensions_and_marks(place: Path) -> None:
    """A mean rating for each dimension, and the share at the mark."""
    dimensions = '[[rating.dimensions]]\nname = "truth"\n'
    write_task(f'kind = "rating"\nprompts = "prompts.jsonl"\n[rating]\nscale = [1, 5]\nmark = 5\n{dimensions}')
    found = of_two(lambda prompt: "[[5]]", lambda prompt: "[[3]]")
    assert [found[name, None].value for name in ("rating", "rating_truth", "share_at_mark")] == [4, 4, 50]


def test_wins_and_losses(place: Path) -> None:
    """Wins, ties and losses add up to all games of both judges."""
    write_task('kind = "pairwise"\nprompts = "prompts.jsonl"\n[pairwise]\nbaseline = "gold"\n')

    def prefers(prompt: str) -> str:
        return "[[A]]" if "mine" in prompt.split("<answer_b>")[0].split("<answer_a>")[1] else "[[B]]"

    found = of_two(prefers, lambda prompt: "[[C]]")
    assert [found[name, None].value for name in ("win_rate", "wins", "ties", "losses")] == [75, 50, 50, 0]


LABELS = """
kind = "classify"
prompts = "prompts.jsonl"
fields = { label = "truth" }
[classify]
labels = ["right", "wrong"]
positive = "right"
by = "judge"
"""


def test_labels(place: Path) -> None:
    """Accuracy is the mean of the judges'; what is counted by label is of the label that most of them say, and of two
    that disagree of the first judge's by name.
    """
    write_rows(
        "prompts.jsonl",
        [{"id": "a", "instruction": "A", "truth": "right"}, {"id": "b", "instruction": "B", "truth": "wrong"}],
    )
    write_task(LABELS)
    found = of_judges({"first": "[[wrong]]", "second": "[[right]]", "third": "[[right]]"})
    assert found["accuracy", None].value == pytest.approx(50)
    assert found["accuracy", None].details["confusion"] == {"right": {"right": 1}, "wrong": {"right": 1}}
    assert [found[name, None].value for name in ("f1", "precision", "recall")] == [pytest.approx(200 / 3), 50, 100]
    assert found["recall", "judge=first"].value == 0
    assert found["recall", "judges=without third"].value == 0
