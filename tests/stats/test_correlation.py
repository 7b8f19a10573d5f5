"""Correlations against scipy, textbook intervals, simulated coverage, and WildBench's paper.

``wildbench/correlation.csv`` holds coefficients recomputed with scipy from ``correlation_inputs.csv`` and the printed
ones, over 14 models and over the top 6 of them.
"""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from judgebench.stats.arrays import FloatArray
from judgebench.stats.correlation import Kind, correlation, permutation_p
from tests.shared_data import SHARED

KINDS: tuple[Kind, ...] = ("pearson", "spearman", "kendall")
SCIPY = {"pearson": stats.pearsonr, "spearman": stats.spearmanr, "kendall": stats.kendalltau}


def made_up(n: int = 30, seed: int = 0, ties: bool = False) -> tuple[FloatArray, FloatArray]:
    """Correlated normal values; with ties, rounded."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    y = x + rng.normal(size=n)
    return (x.round(), y.round()) if ties else (x, y)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_coefficients_equal_scipys(kind: Kind, ties: bool) -> None:
    """Pearson, Spearman with mean ranks and Kendall's tau-b, with and without ties, to rounding."""
    x, y = made_up(ties=ties)
    assert correlation(x, y, kind).value == pytest.approx(SCIPY[kind](x, y).statistic, abs=1e-14)


def test_fisher_interval_equals_scipys() -> None:
    """Pearson's interval is the one that scipy gives."""
    x, y = made_up()
    found, wanted = correlation(x, y, level=0.9).interval, stats.pearsonr(x, y).confidence_interval(0.9)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-12)
    assert (found.level, found.method) == (0.9, "Fisher z")


def test_rank_intervals_by_hand() -> None:
    """Spearman 0.6 over 28 items: z = 0.693 +- 1.96 * sqrt(1.18 / 25). Kendall of n items: sqrt(0.437 / (n - 4))."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, 28))
    for kind, variance in (("spearman", None), ("kendall", 0.437 / 24)):
        found = correlation(x, y, kind)  # type: ignore[arg-type]
        assert found.value is not None
        assert found.interval is not None
        half = 1.959964 * np.sqrt((1 + found.value**2 / 2) / 25 if variance is None else variance)
        low, high = np.tanh(np.arctanh(found.value) + np.array([-half, half]))
        assert (found.interval.low, found.interval.high) == pytest.approx((low, high), abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_mirrored_values_mirror_coefficient_and_interval(kind: Kind) -> None:
    """-y turns the sign around and the interval over; exchanging x and y changes nothing."""
    x, y = made_up()
    there, back, exchanged = correlation(x, y, kind), correlation(x, -y, kind), correlation(y, x, kind)
    assert there.value is not None
    assert there.interval is not None
    assert back.interval is not None
    assert back.value == pytest.approx(-there.value, abs=1e-14)
    assert (back.interval.low, back.interval.high) == pytest.approx((-there.interval.high, -there.interval.low))
    assert exchanged.value == pytest.approx(there.value, abs=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_scale_does_not_matter(kind: Kind) -> None:
    """Values times 1e150 plus a constant have the same coefficient: nothing overflows."""
    x, y = made_up()
    found = correlation(1e150 * x, 1e-150 * y, kind).value
    assert found == pytest.approx(correlation(x, y, kind).value, abs=1e-12)


@pytest.mark.parametrize(("kind", "n"), [("pearson", 6), ("spearman", 14), ("kendall", 14), ("pearson", 14)])
def test_intervals_of_few_items_cover(kind: Kind, n: int) -> None:
    """At the sizes of WildBench's table, 95 % intervals hold the true coefficient in 92 to 98 percent of 1,500 draws.

    Normal values with correlation 0.9, whose rank coefficients are known: tau = 2/pi asin(r), rho = 6/pi asin(r/2). The
    error of the simulation is 0.6 percent; Fieller's interval, made for r up to 0.8, covers somewhat more.
    """
    true = {
        "pearson": 0.9,
        "spearman": 6 / np.pi * np.arcsin(0.45),
        "kendall": 2 / np.pi * np.arcsin(0.9),
    }[kind]
    rng = np.random.default_rng(0)
    held = []
    for _ in range(1500):
        x, noise = rng.normal(size=(2, n))
        found = correlation(x, 0.9 * x + np.sqrt(1 - 0.81) * noise, kind).interval
        held.append(found is not None and found.low < true < found.high)
    assert 0.92 < np.mean(held) < 0.99


# Degenerate data


@pytest.mark.parametrize("kind", KINDS)
def test_too_few_or_constant_values_give_none(kind: Kind) -> None:
    """No item, one item, or a constant side: no value, and the reason is said."""
    for x, y, reason in (
        ([], [], "fewer than two"),
        ([1.0], [2.0], "fewer than two"),
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], "equal"),
    ):
        found = correlation(x, y, kind)
        assert (found.value, found.interval) == (None, None)
        assert found.reason is not None
        assert reason in found.reason
        assert reason in found.sentence()


def test_perfect_order_has_no_interval() -> None:
    """A coefficient of 1 has a value but no interval, however many items there are, and says why."""
    for kind in KINDS:
        found = correlation(range(9), range(9), kind)
        assert found.value == pytest.approx(1)
        assert found.interval is None
        assert "limit" in found.sentence()


@pytest.mark.parametrize(("kind", "fewest"), [("pearson", 4), ("spearman", 4), ("kendall", 5)])
def test_fewest_items_of_an_interval(kind: Kind, fewest: int) -> None:
    """Pearson and Spearman need four items for an interval, Kendall five."""
    y = [2.0, 1.0, 3.0, 5.0, 4.0]
    assert correlation(range(fewest), y[:fewest], kind).interval is not None
    few = correlation(range(fewest - 1), y[: fewest - 1], kind)
    assert few.interval is None
    assert few.reason == f"an interval needs {fewest} items"


def test_unusable_arguments_are_named() -> None:
    """NaN, unequal lengths, an unknown kind and a level in percent are refused."""
    with pytest.raises(ValueError, match="finite"):
        correlation([1, np.nan], [1, 2])
    with pytest.raises(ValueError, match="one number per item"):
        correlation([1, 2], [1])
    with pytest.raises(ValueError, match="kinds"):
        correlation([1, 2], [1, 2], "phi")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="between 0 and 1"):
        correlation([1, 2], [1, 2], level=95)


# Permutations


@pytest.mark.parametrize("kind", KINDS)
def test_permutation_p_over_few_items_is_exact(kind: Kind) -> None:
    """Over 6 items, with a tie, it equals scipy's permutation test over all 720 orders."""
    x, y = np.array([1.0, 2, 3, 4, 5, 5]), np.array([2.0, 1, 4, 3, 7, 9])
    wanted = stats.permutation_test(
        (x,),
        lambda shuffled: abs(SCIPY[kind](shuffled, y).statistic),
        permutation_type="pairings",
        alternative="greater",
    )
    assert permutation_p(x, y, kind, rng=np.random.default_rng(0)) == pytest.approx(wanted.pvalue, abs=1e-12)


def test_permutation_p_over_many_items_is_close_to_the_t_test() -> None:
    """Over 40 items within 0.01 of scipy's p-value (three standard errors of 10,000 orders), and never 0."""
    x, y = np.random.default_rng(3).normal(size=(2, 40))
    found = permutation_p(x, y + 0.15 * x, rng=np.random.default_rng(0))
    assert found == pytest.approx(stats.pearsonr(x, y + 0.15 * x).pvalue, abs=0.015)
    assert permutation_p(x, x, rng=np.random.default_rng(0), rounds=200) == pytest.approx(1 / 201)
    assert permutation_p([1, 1], [1, 2], rng=np.random.default_rng(0)) is None


# WildBench's numbers


def test_wildbench_table_with_intervals() -> None:
    """All 24 rows: each coefficient within 5e-7 of the file (its rounding), each with an interval and its n said."""
    folder = SHARED / "wildbench"
    inputs, table = pd.read_csv(folder / "correlation_inputs.csv"), pd.read_csv(folder / "correlation.csv")
    assert len(table) == 24
    top = inputs["top6"] == 1
    for row in table.to_dict("records"):
        metric, elo = inputs[f"{row['source']}.{row['metric']}"], inputs[f"{row['source']}.elo"]
        for column, kind, chosen in (
            ("pearson_top6", "pearson", top),
            ("pearson_all14", "pearson", top | True),
            ("spearman_all14", "spearman", top | True),
            ("kendall_all14", "kendall", top | True),
        ):
            found = correlation(metric[chosen].to_numpy(), elo[chosen].to_numpy(), kind)  # type: ignore[arg-type]
            assert found.value == pytest.approx(row[column], abs=5.01e-7), (row["metric"], column)
            assert found.interval is not None
            assert found.interval.low < found.value < found.interval.high
            n = 6 if column == "pearson_top6" else 14
            assert f"n = {n} (few: the interval itself is rough)" in found.sentence()
            printed = row[f"paper_{column}"]
            if row["source"] == "paper_table2" and not np.isnan(printed):
                assert found.value == pytest.approx(printed, abs=0.001)


def test_headline_of_wildbench_over_six_models() -> None:
    """The paper's 0.984 for WB-Reward rests on six models: the interval starts at 0.86, below its rivals."""
    inputs = pd.read_csv(SHARED / "wildbench" / "correlation_inputs.csv")
    top = inputs[inputs["top6"] == 1]
    found = correlation(top["paper_table2.mix_Kinf"].to_numpy(), top["paper_table2.elo"].to_numpy())
    assert found.sentence() == "Pearson 0.985, 95 % interval 0.862 to 0.998, n = 6 (few: the interval itself is rough)"
