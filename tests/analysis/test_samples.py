"""Which items are shown, by what, and what is said about verdicts in both orders."""

from pathlib import Path

import numpy as np
import pytest

from judgebench.analysis.item_records import SwappedGame
from judgebench.analysis.item_values import extremes, measure_called, measures, spread
from judgebench.analysis.samples import Wanted, look_at, outcome_of, swapped_games
from judgebench.data.sources import SourceFinder
from judgebench.errors import UsageError
from judgebench.records import Completion, Judgement, Verdict
from judgebench.run.reading import Run
from tests.made_runs import write_run

VALUES = [1.0, 0.0, None, 1.0, 0.0, 1.0]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Six items of GSM8K, one of them without a value."""
    return write_run(tmp_path / "run", VALUES, answers=["a"] * 6, prompts=[f"question {n}" for n in range(6)])


def game(value: float | None, candidate: int, *, repeat: int = 0, turn: int = 1, model: str = "j") -> Judgement:
    """A verdict on the same two answers in one of the orders."""
    return Judgement(
        case_id=f"x#{candidate}",
        example_id="x",
        judge="pair",
        judge_model=model,
        answers=("m", "base") if candidate == 0 else ("base", "m"),
        candidate=candidate,
        verdict=Verdict(value=value),
        repeat=repeat,
        turn=turn,
        replies=(Completion(text="A"),),
    )


def test_measures_are_the_metrics_that_items_have(run: Run) -> None:
    """In percent, as the metric is; what a metric says already is not said again by its example score."""
    task = run.tasks["gsm8k"]
    found = measures(task.task, task.example_scores())
    assert list(found) == ["exact_match_strict", "exact_match_flexible", "numeric"]
    assert list(found["numeric"].values.values()) == [100.0, 0.0, None, 100.0, 0.0, 100.0]
    assert measure_called(task.task_manifest.label, task.task, found, None) is found["exact_match_strict"]
    with pytest.raises(UsageError, match=r"maj@1.*Their numbers are exact_match_strict"):
        measure_called(task.task_manifest.label, task.task, found, "maj@1")


def test_extremes_are_in_order_and_ties_in_that_of_the_run(run: Run) -> None:
    """Items without a value are neither worst nor best."""
    task = run.tasks["gsm8k"]
    measure = measures(task.task, task.example_scores())["numeric"]
    names = [f"item-{number:04d}" for number in range(6)]
    assert extremes(measure, names, 3, best=False) == ["item-0001", "item-0004", "item-0000"]
    assert extremes(measure, names, 9, best=True) == [f"item-000{n}" for n in (0, 3, 5, 1, 4)]


def test_a_distribution_counts_few_values_and_gives_quartiles(run: Run) -> None:
    """The quartiles are numpy's."""
    task = run.tasks["gsm8k"]
    measure = measures(task.task, task.example_scores())["numeric"]
    found = spread(measure, list(measure.values))
    assert (found.n, found.missing, found.mean) == (5, 1, 60.0)
    assert found.counts == ((0.0, 2), (100.0, 3))
    known = [value for value in measure.values.values() if value is not None]
    assert found.quartiles == tuple(np.quantile(known, (0, 0.25, 0.5, 0.75, 1)))


def pairs_of(*games: Judgement) -> list[SwappedGame]:
    """The pairs among games whose verdicts are those that were stored."""
    return swapped_games(games, lambda game: game.verdict)


def test_only_the_same_judgement_in_both_orders_is_a_pair() -> None:
    """Of one judge model, repeat and turn; an unread verdict makes none."""
    (pair,) = pairs_of(game(1.0, 0), game(1.0, 1))
    assert (pair.candidate_first, pair.baseline_first, pair.changes) == ("win", "loss", True)
    (pair,) = pairs_of(game(0.9, 0), game(0.2, 1))
    assert (pair.candidate_first, pair.baseline_first, pair.changes) == ("win", "win", False)
    (pair,) = pairs_of(game(0.5, 0), game(0.2, 1))
    assert (pair.candidate_first, pair.changes) == ("tie", True)
    for other in (game(1.0, 1, repeat=1), game(1.0, 1, turn=2), game(1.0, 1, model="k"), game(None, 1)):
        assert pairs_of(game(1.0, 0), other) == []


def test_an_outcome_is_the_candidate_s() -> None:
    """More than half is a win."""
    assert [outcome_of(share) for share in (None, 0.0, 0.5, 0.51)] == [None, "loss", "tie", "win"]


def test_records_hold_what_was_asked_for(run: Run, tmp_path: Path) -> None:
    """The worst, then the best, each once, with the reason for each."""
    finder = SourceFinder(tmp_path / "cache", (), offline=True)
    (task,) = look_at(run, Wanted(items=("item-0001",), worst=2, best=1), finder).tasks
    assert [sample.example_id for sample in task.samples] == ["item-0001", "item-0004", "item-0000"]
    assert task.chosen == (
        "",
        "worst by exact_match_strict, 2 of 2",
        "best by exact_match_strict, 1 of 1",
    )
    (task,) = look_at(run, Wanted(), finder).tasks
    assert task.summary is not None
    assert [line.prompt for line in task.summary.best] == ["question 3", "question 5"]
