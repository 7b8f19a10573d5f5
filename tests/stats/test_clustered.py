"""Scores over clusters against statsmodels and published judgements."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from judgebench.stats.clustered import (
    ClusterTotals,
    bounded_estimate,
    cluster_totals,
    clustered_estimate,
    difference,
)
from tests.shared_data import SHARED

from .judge_meta import SUBSETS, expected, llmbar_labels, llmbar_votes


def generator(seed: int = 0) -> np.random.Generator:
    """A fixed random generator."""
    return np.random.default_rng(seed)


def rows(seed: int = 0, clusters: int = 40) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Bounded, tied values of clusters of unequal size that are alike within."""
    rng = generator(seed)
    codes = np.repeat(np.arange(clusters), rng.integers(1, 5, clusters))
    return rng.binomial(2, rng.beta(1, 1, clusters)[codes]) / 2, codes


def llmbar_correct(evaluator: str) -> NDArray[np.float64]:
    """Whether an evaluator decides rightly: 419 LLMBar items by two orders, in the fixture's order."""
    columns = [
        np.concatenate([llmbar_votes(evaluator, subset, order) == llmbar_labels(subset) for subset in SUBSETS])
        for order in ("order12", "order21")
    ]
    return np.array(columns, dtype=float).T


@pytest.mark.parametrize("name", ["GPT-4/Vanilla", "GPT-4/Swap", "difference"])
def test_two_orders_of_llmbar(name: str) -> None:
    """Mean and clustered error of 838 published decisions; ignoring the clusters understates it by about a quarter."""
    runs = [llmbar_correct(evaluator) for evaluator in ("GPT-4/Vanilla", "GPT-4/Swap")]
    values = (runs[0] if name == "GPT-4/Vanilla" else runs[1] if name == "GPT-4/Swap" else runs[0] - runs[1]).ravel()
    want = expected("paired_comparison")["clustered_both_orders"][name]
    estimate = clustered_estimate(cluster_totals(values, clusters=np.repeat(np.arange(419), 2)))
    assert estimate.value == pytest.approx(want["mean"], rel=1e-12)
    assert (estimate.n, estimate.n_clusters) == (want["n_obs"], want["n_clusters"])
    assert estimate.stderr == pytest.approx(want["se_clustered_CR1_statsmodels"], rel=1e-12)
    assert estimate.stderr * (418 / 419) ** 0.5 == pytest.approx(want["se_clustered_CR0"], rel=1e-12)
    ignored = clustered_estimate(cluster_totals(values)).stderr
    assert ignored == pytest.approx(want["se_iid_ddof1"], rel=1e-12)
    assert 0.7 < ignored / want["se_clustered_CR1_statsmodels"] < 0.8


def test_mean_equals_statsmodels_ols_by_cluster() -> None:
    """A mean, its standard error and its t interval are those of OLS on a constant with cov_type="cluster"."""
    api = pytest.importorskip("statsmodels.api")
    values, codes = rows()
    fit = api.OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": codes}, use_t=True)
    estimate = clustered_estimate(cluster_totals(values, clusters=codes))
    assert (estimate.value, estimate.stderr) == pytest.approx((fit.params[0], fit.bse[0]), rel=1e-10)
    assert estimate.interval is not None
    assert (estimate.interval.low, estimate.interval.high) == pytest.approx(fit.conf_int()[0], rel=1e-9)


def test_pooled_ratio_equals_statsmodels_weighted_regression() -> None:
    """Instructions followed over asked: a weighted regression of the prompts' shares on a constant, robust HC1."""
    api = pytest.importorskip("statsmodels.api")
    rng = generator(3)
    asked = rng.integers(1, 4, 500)
    followed = rng.binomial(asked, 0.8)
    fit = api.WLS(followed / asked, np.ones(500), weights=asked).fit(cov_type="HC1")
    estimate = clustered_estimate(cluster_totals(followed, asked))
    assert (estimate.value, estimate.stderr) == pytest.approx((fit.params[0], fit.bse[0]), rel=1e-10)


def test_mix_equals_statsmodels_contrast() -> None:
    """A weighted sum of category means is a contrast of a regression on category indicators, clustered by prompt."""
    api = pytest.importorskip("statsmodels.api")
    values, codes = rows(5, 120)
    category = generator(6).integers(0, 3, len(values))  # within clusters too: a prompt with several tags
    weights = np.array([0.5, 0.3, 0.2])
    fit = api.OLS(values, np.eye(3)[category]).fit(
        cov_type="cluster", cov_kwds={"groups": codes, "use_correction": False}
    )
    contrast = fit.t_test(weights)
    estimate = clustered_estimate(cluster_totals(values, clusters=codes, terms=category, term_weights=weights))
    assert estimate.value == pytest.approx(contrast.effect[0], rel=1e-10)
    assert estimate.stderr == pytest.approx(contrast.sd.item() * np.sqrt(120 / 119), rel=1e-10)


def test_alpacaeval_win_rates_and_standard_errors() -> None:
    """Raw win rate and standard error of 39 models equal AlpacaEval 2's published table (1.4e-10: their rounding)."""
    expected = pd.read_csv(SHARED / "alpacaeval" / "expected.csv").set_index("model").dropna(subset="pub_win_rate")
    annotations = pd.read_parquet(SHARED / "alpacaeval" / "ae2_annotations.parquet").dropna(subset="preference")
    compared = 0
    for model, rows in annotations.groupby("model"):
        if model not in expected.index:
            continue
        result = clustered_estimate(cluster_totals(100 * (rows["preference"].to_numpy() - 1)))
        assert result.value == pytest.approx(expected.loc[model, "pub_win_rate"], abs=1e-9)
        assert result.stderr == pytest.approx(expected.loc[model, "pub_standard_error"], abs=1e-9)
        compared += 1
    assert compared == len(expected)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.sampled_from([0.0, 0.5, 1.0])), min_size=2, max_size=40),
    st.floats(0.01, 100),
    st.floats(-50, 50),
)
def test_scale_and_shift(given_rows: list[tuple[int, float]], scale: float, shift: float) -> None:
    """Values in another unit have the same estimate, error and interval, in that unit."""
    codes, values = np.array([row[0] for row in given_rows]), np.array([row[1] for row in given_rows])
    one = clustered_estimate(cluster_totals(values, clusters=codes))
    other = clustered_estimate(cluster_totals(scale * values + shift, clusters=codes))
    assert one.value is not None
    assert other.value == pytest.approx(scale * one.value + shift, abs=1e-8)
    assert (one.interval is None) == (other.interval is None)
    if one.stderr is not None and one.interval is not None and other.interval is not None:
        assert other.stderr == pytest.approx(scale * one.stderr, rel=1e-6, abs=1e-9)
        assert other.interval.low == pytest.approx(scale * one.interval.low + shift, rel=1e-6, abs=1e-6)


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=2, max_size=30), st.integers(2, 4))
def test_copies_within_a_cluster_tell_nothing(values: list[float], copies: int) -> None:
    """Each row given several times under its cluster leaves estimate and error as they were."""
    once = clustered_estimate(cluster_totals(values))
    many = clustered_estimate(
        cluster_totals(np.repeat(values, copies), clusters=np.repeat(np.arange(len(values)), copies))
    )
    assert many.value == pytest.approx(once.value)
    assert many.stderr == pytest.approx(once.stderr, rel=1e-9, abs=1e-12)


@settings(max_examples=30)
@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=0, max_size=6))
def test_degenerate_data_give_reasons(values: list[float]) -> None:
    """From no row to six, ties included: an interval or a reason, never both missing, never NaN."""
    statistic = cluster_totals(values)
    for estimate in (clustered_estimate(statistic), bounded_estimate(statistic)):
        assert (estimate.interval is None) == (estimate.reason is not None)
        assert (estimate.value is None) == (not values)
        assert (estimate.stderr is None) == (len(values) < 2)
        if estimate.interval is not None:
            assert np.isfinite([estimate.interval.low, estimate.interval.high]).all()


@pytest.mark.parametrize(
    ("statistic", "reason"),
    [
        (cluster_totals([]), "there are no values"),
        (cluster_totals([1.0, 0.0], clusters=["a", "a"]), "there is only one cluster"),
        (cluster_totals([0.3] * 9), "all values are equal"),
        (
            cluster_totals([0.0, 1.0], [1.0, 1.0], terms=[0, 0], term_weights=[0.5, 0.5]),
            "a term of the statistic has no",
        ),
    ],
)
def test_each_degenerate_case_has_its_reason(statistic: ClusterTotals, reason: str) -> None:
    """No rows, one cluster, a constant, an empty category."""
    estimate = clustered_estimate(statistic)
    assert estimate.interval is None
    assert estimate.reason is not None
    assert estimate.reason.startswith(reason)


def test_malformed_rows_are_refused() -> None:
    """NaN, columns of unequal length, negative denominators and terms that are no codes."""
    for bad in (
        {"numerator": [1.0, np.nan]},
        {"numerator": [1.0, 2.0], "denominator": [1.0]},
        {"numerator": [1.0], "denominator": [-1.0]},
        {"numerator": [1.0], "terms": [0.5]},
        {"numerator": [1.0, 1.0], "terms": [0, 2], "term_weights": [1.0]},
    ):
        with pytest.raises(ValueError, match=r"finite|one entry per row|codes|term_weights"):
            cluster_totals(**bad)  # type: ignore[arg-type]


def test_differences_need_the_same_clusters() -> None:
    """Prompts that only one run has are not dropped silently."""
    with pytest.raises(ValueError, match="2 are on one only"):
        difference(cluster_totals([1.0, 0.0], clusters=["a", "b"]), cluster_totals([1.0, 0.0], clusters=["a", "c"]))


def test_difference_of_runs_has_the_paired_error() -> None:
    """The error of a difference is that of the prompts' differences, not that of two samples."""
    rng = generator(15)
    skill = rng.normal(size=100)
    first, second = skill + rng.normal(size=100), skill
    paired = difference(cluster_totals(first), cluster_totals(second))
    assert paired.stderr == pytest.approx((first - second).std(ddof=1) / 10, rel=1e-12)
