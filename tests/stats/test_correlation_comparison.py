"""Comparisons of correlations: a published example, the formulas written out, identities, level, WildBench's table."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from judgebench.stats.arrays import FloatArray
from judgebench.stats.correlation import Kind, correlation, correlation_interval
from judgebench.stats.correlation_comparison import (
    bootstrap_comparison,
    compare_correlations,
    correlation_table,
    williams_p,
)
from tests.shared_data import SHARED


def columns_with(first: float, second: float, between: float, n: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Two metrics and a reference with exactly these correlations."""
    wanted = np.linalg.cholesky([[1, first, second], [first, 1, between], [second, between, 1]])
    made = np.random.default_rng(0).normal(size=(3, n))
    made -= made.mean(axis=1, keepdims=True)
    orthogonal = np.linalg.qr(made.T)[0].T
    reference, one, two = wanted @ orthogonal
    return one, two, reference


def test_zous_published_example() -> None:
    """With r = .396 and .179, .088 between and n = 66, the difference has the interval (-.093, .517) (Zou 2007)."""
    found = compare_correlations(*columns_with(0.396, 0.179, 0.088, 66))
    assert found.difference == pytest.approx(0.217)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((-0.093, 0.517), abs=5e-4)


def test_steigers_z_written_out() -> None:
    """The p-value from the covariance of two r (Pearson and Filon) with their mean for both, to 1e-9."""
    first, second, between, n = 0.6, 0.4, 0.5, 103
    found = compare_correlations(*columns_with(first, second, between, n))
    mean = (first + second) / 2
    # Pearson and Filon: covariance of r_1h and r_2h, times n, over the product of variances (1 - r^2)^2.
    psi = between * (1 - mean**2 - mean**2) - 0.5 * mean * mean * (1 - mean**2 - mean**2 - between**2)
    z = (np.arctanh(first) - np.arctanh(second)) * np.sqrt((n - 3) / (2 - 2 * psi / (1 - mean**2) ** 2))
    assert found.p_steiger == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-9)


@pytest.mark.parametrize(("first", "second", "between", "n"), [(0.6, 0.4, 0.5, 103), (0.98, 0.89, 0.9, 6)])
def test_williams_t_from_the_determinant(first: float, second: float, between: float, n: int) -> None:
    """The p-value, with |R| by numpy and the t distribution by scipy, to 1e-9."""
    determinant = np.linalg.det([[1, first, second], [first, 1, between], [second, between, 1]])
    mean = (first + second) / 2
    t = (first - second) * np.sqrt(
        (n - 1) * (1 + between) / (2 * (n - 1) / (n - 3) * determinant + mean**2 * (1 - between) ** 3)
    )
    assert williams_p(first, second, between, n) == pytest.approx(2 * stats.t.sf(abs(t), n - 3), rel=1e-9)
    assert compare_correlations(*columns_with(first, second, between, n)).p == pytest.approx(
        williams_p(first, second, between, n), rel=1e-6
    )


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), n=st.integers(4, 40), kind=st.sampled_from(["pearson", "spearman"]))
def test_identities(seed: int, n: int, kind: Kind) -> None:
    """Exchanging the metrics mirrors the result; unit and sign of all three columns change nothing."""
    rng = np.random.default_rng(seed)
    human = rng.normal(size=n)
    one, two = human + rng.normal(size=(2, n))
    found, swapped = compare_correlations(one, two, human, kind), compare_correlations(two, one, human, kind)
    scaled = compare_correlations(100 + 7 * one, two / 9, -human, kind)
    assert swapped.difference == pytest.approx(-found.difference)  # type: ignore[operator]
    assert scaled.difference == pytest.approx(-found.difference)  # type: ignore[operator]
    if found.interval is not None:
        assert swapped.p == pytest.approx(found.p, abs=1e-9)
        assert scaled.p == pytest.approx(found.p, abs=1e-9)
        assert swapped.interval is not None
        assert swapped.interval.low == pytest.approx(-found.interval.high, abs=1e-9)


def test_level_and_coverage_over_few_models() -> None:
    """Two equally good metrics over 14 models, 1,000 draws: Williams rejects in 5 %, Zou covers 95 %, give or take 2.

    2 points are three standard errors. ``benchmarks/coverage_sequential.py`` has 6 to 100 models.
    """
    rng = np.random.default_rng(3)
    rejected = covered = 0
    for _ in range(1000):
        human, common = rng.normal(size=(2, 14))
        one, two = human + 0.5 * (common + rng.normal(size=(2, 14)))
        found = compare_correlations(one, two, human)
        assert found.p is not None
        assert found.interval is not None
        rejected += found.p <= 0.05
        covered += found.interval.low <= 0 <= found.interval.high
    assert rejected / 1000 == pytest.approx(0.05, abs=0.02)
    assert covered / 1000 == pytest.approx(0.95, abs=0.02)


def test_bootstrap_agrees_with_zou_on_many_models() -> None:
    """Over 400 models both intervals are within 0.02 at each end."""
    rng = np.random.default_rng(4)
    human = rng.normal(size=400)
    one, two = human + rng.normal(size=(2, 400)) * [[0.5], [0.8]]
    wanted = compare_correlations(one, two, human).interval
    found = bootstrap_comparison(one, two, human, rng=rng).interval
    assert wanted is not None
    assert found is not None
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=0.02)


# WildBench's numbers


def test_wildbench_098_carries_its_interval() -> None:
    """The paper's r = 0.98 is over six models: [.82, .998], and AlpacaEval-LC's .89 there [.28, .99].

    With more digits, on the shared table, .981 has [.83, .998], .979 [.81, .998] and .892 [.29, .99].
    """
    for value, low, high in ((0.98, 0.82, 0.998), (0.89, 0.28, 0.99)):
        interval = correlation_interval(value, 6)
        assert (round(interval.low, 2), round(interval.high, len(str(high)) - 2)) == (low, high)
    inputs = pd.read_csv(SHARED / "wildbench" / "correlation_inputs.csv")
    top = inputs[inputs["top6"] == 1]
    elo = top["stat_20240618.elo"].to_numpy()
    for metric, low, high in (("mix_Kinf", 0.83, 0.998), ("task_macro_mix_Kinf", 0.81, 0.998), ("ae2_lc", 0.29, 0.988)):
        found = correlation(top[f"stat_20240618.{metric}"].to_numpy(), elo)
        assert found.interval is not None
        assert round(found.interval.low, 2) == low
        assert found.interval.high == pytest.approx(high, abs=5e-4)


def test_wildbench_and_length_controlled_alpacaeval_are_not_told_apart() -> None:
    """0.98 against 0.89 over the same six models: the interval of the difference holds 0, and so at 14 models."""
    inputs = pd.read_csv(SHARED / "wildbench" / "correlation_inputs.csv")
    for chosen in (inputs["top6"] == 1, inputs["top6"] >= 0):
        part = inputs[chosen]
        found = compare_correlations(
            part["stat_20240618.mix_Kinf"], part["stat_20240618.ae2_lc"], part["stat_20240618.elo"]
        )
        assert found.interval is not None
        assert found.interval.low < 0 < found.interval.high
        assert found.p is not None
        assert found.p > 0.05


def test_wildbench_table_of_comparisons() -> None:
    """Length follows Elo worse than WB-Reward does over 14 models, also after Holm; rows fall by correlation."""
    inputs = pd.read_csv(SHARED / "wildbench" / "correlation_inputs.csv").set_index("model")
    names = ("mix_Kinf", "wb_score", "ae2_lc", "length")
    metrics = {name: inputs[f"stat_20240618.{name}"].to_dict() for name in names}
    metrics["length"]["gemma-2b-it"] = None
    table = correlation_table(metrics, inputs["stat_20240618.elo"].to_dict(), rng=np.random.default_rng(0))
    assert [row.metric for row in table.rows] == ["mix_Kinf", "ae2_lc", "wb_score", "length"]
    assert [row.correlation.n for row in table.rows] == [14, 14, 14, 13]
    assert [row.p is not None and row.p < 0.001 for row in table.rows] == [True, True, True, False]
    found = {(pair.first, pair.second): pair for pair in table.comparisons}
    assert len(found) == 6
    worst = found["mix_Kinf", "length"]
    assert worst.comparison.n == 13
    assert worst.p_adjusted is not None
    assert worst.comparison.p is not None
    assert worst.comparison.p < worst.p_adjusted < 0.05
    assert found["mix_Kinf", "ae2_lc"].p_adjusted == pytest.approx(1, abs=0.5)


# Where there is too little


def test_too_little_is_said() -> None:
    """Three models, a constant metric, one metric twice, a perfect correlation: a reason each."""
    rng = np.random.default_rng(0)
    assert compare_correlations([1, 2, 3], [1, 3, 2], [1, 2, 4]).reason == "a comparison needs at least 4 models"
    constant = compare_correlations([1, 1, 1, 1], [1, 3, 2, 4], [1, 2, 4, 3])
    assert (constant.difference, constant.reason) == (None, "all values of one side are equal")
    twice = compare_correlations([1, 3, 2, 4], [2, 6, 4, 8], [1, 2, 4, 3])
    assert (twice.difference, twice.p) == (pytest.approx(0), None)
    assert twice.reason is not None
    perfect = compare_correlations([1, 2, 3, 4, 5], [1, 3, 2, 4, 5], [1, 2, 3, 4, 5])
    assert perfect.interval is None
    assert perfect.p is not None
    none = bootstrap_comparison([], [], [], rng=rng)
    assert (none.difference, none.reason) == (None, "fewer than two items")
    few = bootstrap_comparison([1, 2, 3], [1, 3, 2], [1, 2, 4], rng=rng, rounds=300)
    assert few.interval is None
    assert few.reason is not None
    assert correlation_table({}, {"a": 1.0}, rng=rng).rows == ()


def test_malformed_input_is_named() -> None:
    """Each message says what is wanted."""
    rng = np.random.default_rng(0)
    for call, words in (
        (lambda: compare_correlations([1, 2], [1, 2], [1, 2], "kendall"), "bootstrap_comparison"),
        (lambda: compare_correlations([1, np.nan], [1, 2], [1, 2]), "finite"),
        (lambda: bootstrap_comparison([1, 2], [1, 2, 3], [1, 2], rng=rng), "one number per item"),
        (lambda: bootstrap_comparison([1, 2], [1, 2], [1, 2], rng=rng, rounds=0), "one round"),
        (lambda: williams_p(0.9, -0.9, 0.9, 10), "not the correlations"),
        (lambda: williams_p(0.9, 0.8, 0.9, 3), "degrees of freedom"),
        (lambda: correlation_interval(1.0, 10), "between -1 and 1"),
        (lambda: correlation_interval(0.5, 3), "at least 4 items"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
