"""``leaderboards/judges``: what upstream published of judges, copied figure by figure."""

import csv

import pytest

from judgebench.data.resources import resource
from judgebench.run.published_judges import published_judge
from tests.shared_data import SharedData

COLUMNS = {
    "Human agreement": "human_agreement",
    "Spearman corr.": "spearman",
    "Bias": "bias",
    "Variance": "variance",
    "Proba. prefer longer": "prefer_longer",
    "Proba. prefer lists": "prefer_lists",
    "Price [$/1000 examples]": "usd_per_1000",
    "Time [seconds/1000 examples]": "seconds_per_1000",
    "# parsed": "n",
}
WRONG_UNIT = "weighted_alpaca_eval_gpt-4o-mini-2024-07-18"
"""Upstream's row of this judge has its agreement as a share, and of other rows: it is left out."""


def test_the_figures_are_upstream_s(shared_data: SharedData) -> None:
    """Every row and figure of alpaca_eval's table of evaluators is here, but for the slip in one."""
    with (shared_data / "judge_meta" / "alpaca_judges" / "evaluators_leaderboard.csv").open() as file:
        rows = {row[""]: row for row in csv.DictReader(file)}
    with (resource("leaderboards") / "judges" / "alpacaeval.csv").open() as file:
        assert {row["judge"] for row in csv.DictReader(file)} == set(rows)
    for name, row in rows.items():
        found = published_judge("alpacaeval", name)
        for column, field in COLUMNS.items():
            wanted = None if not row[column] or (name, field) == (WRONG_UNIT, "human_agreement") else float(row[column])
            assert getattr(found, field) == (wanted if wanted is None else pytest.approx(wanted, abs=0)), (name, field)


def test_of_other_judges_nothing_is_known() -> None:
    """A judge without a row has no figures."""
    assert published_judge("mtbench", "single-v1") is None
