"""Published tables of AlpacaEval's evaluators: what our definitions say must hold in them, and judges' leaderboards."""

import csv
from typing import Any

import numpy as np
import pytest

from judgebench.stats.correlation import Kind, correlation
from judgebench.stats.cross_annotation import cross_agreement
from tests.shared_data import each
from tests.stats.judge_meta import FOLDER, expected


def table(name: str) -> list[dict[str, str]]:
    """The rows of a file of alpaca_judges."""
    with (FOLDER / "alpaca_judges" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def pairs_of_judges() -> list[tuple[str, str]]:
    """Tables by figure with the pairs of judges that they compare."""
    names = ("win_rate", "length_controlled_winrate", "avg_length")
    return [(figure, pair) for figure in names for pair in expected(figure, "alpaca_judges")]


@pytest.mark.parametrize(("figure", "pair"), each(pairs_of_judges, names=2))
def test_judges_rank_models_alike(figure: str, pair: str) -> None:
    """Correlations of two judges' tables over their common models, to 1e-9, with an interval unless they are 1."""
    wanted: dict[str, Any] = expected(figure, "alpaca_judges")[pair]
    one, other = pair.split("|")
    rows = [row for row in table(f"judge_by_model_{figure}.csv") if row[one] and row[other]]
    columns = [np.array([float(row[judge]) for row in rows]) for judge in (one, other)]
    assert len(rows) == wanted["n_models"]
    kinds: dict[Kind, str] = {"spearman": "spearman", "kendall": "kendall_tau_b", "pearson": "pearson"}
    for kind, key in kinds.items():
        found = correlation(*columns, kind)
        assert found.value == pytest.approx(wanted[key], rel=1e-9)
        assert (found.interval is None) == (abs(wanted[key]) > 1 - 1e-12)
    assert np.abs(columns[0] - columns[1]).mean() == pytest.approx(wanted["mean_abs_diff"], rel=1e-9)


def test_a_judge_that_never_changes_has_all_its_error_as_bias() -> None:
    """In the published table as in our definitions: no variance, and a bias that is what agreement lacks."""
    (longest,) = [row for row in table("evaluators_leaderboard.csv") if row[""] == "longest"]
    agreement, bias, variance = (float(longest[key]) for key in ("Human agreement", "Bias", "Variance"))
    assert variance == 0
    assert bias == pytest.approx(100 - agreement)
    rng = np.random.default_rng(0)
    people, judge = rng.integers(1, 3, size=(50, 4)), np.repeat(rng.integers(1, 3, size=(50, 1)), 4, axis=1)
    one, together = cross_agreement(judge, people), cross_agreement(judge, people, take=None)
    assert one.score == pytest.approx(together.score)
    assert cross_agreement(judge).error == 0


def test_people_are_as_variable_as_they_disagree() -> None:
    """In the published table people's variance is what their agreement with the others' mode lacks, as it is here."""
    (people,) = [row for row in table("evaluators_leaderboard.csv") if row[""] == "humans"]
    assert float(people["Variance"]) == pytest.approx(100 - float(people["Human agreement"]))
