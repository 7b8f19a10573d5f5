"""A fit of all runs of a table is made once, and again when a run of it changes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from judgebench.analysis.joint_fits import fit_together
from judgebench.records import ExampleScore, Score
from judgebench.run.reading import TaskRun, read_run
from tests.made_runs import write_totals


def run_of(path: Path, value: float) -> TaskRun:
    """A run with one example score."""
    rows = [ExampleScore(example_id="q", metric="win_rate", value=value)]
    return read_run(write_totals(path, path.name, 50.0, example_scores=rows)).tasks["alpacaeval"]


class Fits:
    """A fit that counts how often it is made: each run's number is the sum over all."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, given: Mapping[str, Sequence[ExampleScore]]) -> dict[str, list[Score]]:
        """One more."""
        self.made += 1
        total = sum(row.value or 0.0 for rows in given.values() for row in rows)
        return {name: [Score(task="t", metric="m", value=total, unit="percent", n=len(given))] for name in given}


def values(found: Sequence[Sequence[Score] | None]) -> list[float | None]:
    """The number of each run; ``None`` of one that took no part."""
    return [scores[0].value if scores else None for scores in found]


def test_a_fit_is_kept_until_a_run_changes(tmp_path: Path) -> None:
    """In any order of the runs; another score, or another run, is another fit."""
    fits, runs = Fits(), [run_of(tmp_path / name, value) for name, value in (("a", 1.0), ("b", 2.0))]
    assert values(fit_together(fits, runs)) == [3.0, 3.0]
    assert values(fit_together(fits, runs[::-1])) == [3.0, 3.0]
    assert fits.made == 1
    runs[1].folder.write_scores([ExampleScore(example_id="q", metric="win_rate", value=5.0)], [])
    assert values(fit_together(fits, runs)) == [6.0, 6.0]
    assert values(fit_together(fits, [*runs, run_of(tmp_path / "c", 4.0)])) == [10.0, 10.0, 10.0]
    assert fits.made == 3


def test_one_run_in_two_places_counts_once(tmp_path: Path) -> None:
    """An import of an export does not change the others' numbers."""
    runs = [run_of(tmp_path / name, value) for name, value in (("a", 1.0), ("again", 1.0), ("b", 2.0))]
    assert values(fit_together(Fits(), runs)) == [3.0, 3.0, 3.0]


@pytest.mark.parametrize("spoilt", [b"", b"{}\n", b'{"torn'])
def test_a_run_that_cannot_be_read_takes_no_part(tmp_path: Path, spoilt: bytes) -> None:
    """Missing, foreign and torn example scores; the others are fitted."""
    runs = [run_of(tmp_path / name, value) for name, value in (("a", 1.0), ("b", 2.0), ("c", 4.0))]
    path = runs[1].folder.path / "example_scores.jsonl"
    path.unlink() if not spoilt else path.write_bytes(spoilt)
    found = fit_together(Fits(), runs)
    assert found[1] is None
    assert values(found) == [5.0, None, 5.0]
