"""Published headlines from the numbers behind them, which lie in this repository: no other data are needed.

What upstream published is read from ``leaderboards/``; where no table has the models, it is what upstream's own program
prints of the same numbers (``tests/fixtures/published/README.md``).
"""

import numpy as np
import pytest
from judgebench.tasks.arenahard.controlled import StyleBattles, win_rates
from judgebench.tasks.wildbench.formulas import macro

from judgebench.analysis.published import published_rows
from judgebench.records import Score
from scripts.make_published_fixtures import ALPACAEVAL, ARENAHARD, GROUPS, WILDBENCH, fixtures
from tests import published_numbers as numbers
from tests.shared_data import SHARED, SharedData

LAST_BIT = 1e-12
"""Of a sum of numbers that upstream adds up in another order."""


def published(label: str, model: str, metric: str) -> Score:
    """A figure of the published table."""
    (row,) = (row for row in published_rows(label) if (row.task, row.model) == (label, model))
    return row.scores[metric]


def printed(score: Score) -> str:
    """With the two decimals that published tables have."""
    assert score.value is not None
    return f"{score.value:.2f}"


@pytest.mark.parametrize("model", ALPACAEVAL)
def test_alpacaeval_win_rates(model: str) -> None:
    """Win rate and its standard error, discrete win rate and mean length of four models: the published figures."""
    found = numbers.alpacaeval_scores("alpacaeval", model)
    for metric in ("win_rate", "discrete_win_rate", "avg_length"):
        wanted = published("alpacaeval@2", model, metric)
        assert found[metric, None].value == pytest.approx(wanted.value, rel=LAST_BIT)
    assert found["win_rate", None].stderr == pytest.approx(
        published("alpacaeval@2", model, "win_rate").stderr, rel=LAST_BIT
    )
    assert found["win_rate", None].n == 805


@pytest.mark.parametrize("model", ALPACAEVAL[:3])
def test_alpacaeval_length_controlled_win_rates(model: str) -> None:
    """To the two decimals that the table prints, C chosen by cross-validation."""
    found = numbers.alpacaeval_scores("alpacaeval", model)["lc_win_rate", None]
    assert printed(found) == printed(published("alpacaeval@2", model, "lc_win_rate"))


def test_a_length_controlled_win_rate_at_another_c() -> None:
    """Where upstream's folds, which fall by an unstable sort, chose another C, its number is that of its C: 10.48."""
    model = ALPACAEVAL[3]
    by_ours, at_theirs = (
        printed(numbers.alpacaeval_scores(spec, model)["lc_win_rate", None])
        for spec in ("alpacaeval", "alpacaeval:lc_c=21.544346900318843")
    )
    assert (by_ours, at_theirs) == ("10.55", "10.48")
    assert printed(published("alpacaeval@2", model, "lc_win_rate")) == at_theirs


@pytest.mark.parametrize("row", numbers.table("mtbench_expected"), ids=lambda row: row["model"])
def test_mtbench_scores(row: dict[str, str]) -> None:
    """The score of eight models, of the last rating of each turn, and of all ratings as upstream counts them."""
    for spec, column in (("mtbench", "average_of_last"), ("mtbench:upstream_compat=true", "average")):
        assert numbers.mtbench_scores(spec, row["model"])["score", None].value == float(row[column])


@pytest.mark.parametrize("model", WILDBENCH)
def test_wildbench_scores(model: str) -> None:
    """WB-Score over all tasks, their number and the mean length: the very floats of the published table."""
    found = numbers.wildbench_score(model)
    for metric in ("wb_score_micro", "length"):
        assert found[metric, None].value == published("wildbench@v2.0625", model, metric).value
    (row,) = numbers.of_model("wildbench_groups", model)
    by_group = 10 * float(macro(np.array([float(row[group]) for group in GROUPS])))
    assert by_group == pytest.approx(published("wildbench@v2.0625", model, "wb_score").value, rel=LAST_BIT)


@pytest.mark.parametrize(
    ("model", "k"), [*((model, "500") for model in WILDBENCH), *((WILDBENCH[0], k) for k in ("-1", "1000", "1500"))]
)
def test_wildbench_rewards(model: str, k: str) -> None:
    """WB-Reward over three baselines, by task groups and over all tasks, at each length margin that is published."""
    label = "wildbench@v2.0625" + ("" if k == "500" else f":reward_k={k}")
    for metric, by_group in (("wb_reward", True), ("wb_reward_micro", False)):
        found = numbers.wildbench_reward(model, k, by_group=by_group)[metric, None].value
        assert found == pytest.approx(published(label, model, metric).value, rel=LAST_BIT)


@pytest.mark.parametrize("model", ["gpt-4-0613", "gpt-3.5-turbo-0125"])
def test_arenahard_win_rates(model: str) -> None:
    """Of the officially released judgements: 37.90 and 23.34, as the published table prints them."""
    task, data = numbers.arenahard()
    (one,) = numbers.imported(task, data, "arena_hard", numbers.arenahard_battle_rows(model)).values()
    found = numbers.scores(task, data, one)["win_rate", None]
    assert printed(found) == printed(published("arenahard@v0.1:date=2024-07-31", model, "win_rate"))


def test_arenahard_style_control() -> None:
    """Three models in one table, plain and with style control: to the two decimals that upstream's program prints."""
    task, data = numbers.arenahard()
    found = numbers.imported(task, data, "arena_hard", numbers.arenahard_styled_rows(ARENAHARD))
    scored = [numbers.example_scores(task, data, found[model])[1] for model in ARENAHARD]
    fit = StyleBattles.of([[row for row in rows if row.value is not None] for rows in scored]).fit("legacy", "both")
    for model, styled in zip(ARENAHARD, win_rates(fit), strict=True):
        (wanted,) = numbers.of_model("arenahard_expected", model)
        plain = numbers.scores(task, data, found[model])["win_rate", None]
        assert float(printed(plain)) == float(wanted["win_rate"])
        assert styled == pytest.approx(float(wanted["win_rate_style_controlled"]), abs=0.005)


def test_the_files_are_what_their_program_makes(shared_data: SharedData) -> None:
    """``scripts/make_published_fixtures.py`` makes every file of the folder from the published data, byte for byte."""
    for kind in ("alpacaeval", "mt_bench", "wildbench"):
        assert (shared_data / kind).is_dir()
    made = fixtures((SHARED / "arena_hard").parent)
    here = {path.name: path.read_bytes().decode() for path in numbers.FOLDER.glob("*.csv")}
    assert here.keys() == made.keys()
    assert [name for name, text in made.items() if here[name] != text] == []
    assert sum(len(text) for text in here.values()) < 3_000_000
