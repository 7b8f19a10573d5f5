"""Separability, agreement and pair forecasts on hand-made cases, and the Arena-Hard paper's own statistics.

Expected: ``ratings/benchmark_statistics/expected.json``, the 35 numbers that the paper's notebook prints or that follow
from its inputs, and the bootstrap inputs beside it.
"""

import gzip
import json
from functools import cache
from math import log
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from judgebench.stats.arrays import FloatArray
from judgebench.stats.benchmark_quality import (
    agreement_with_confidence,
    pair_forecast,
    paired_separability,
    separability,
    strict_agreement,
)
from judgebench.stats.correlation import Kind, correlation
from tests.shared_data import SharedData

FOLDER = SharedData("ratings", "benchmark_statistics")

BENCHMARKS = {"alpaca": "alpaca_to_arena", "arena_hard": "arena_to_arena_hard", "mt_bench": "arena_to_mt_bench"}


# Separability


def test_separability_counts_overlaps() -> None:
    """Of four intervals, 0-2, 1-3, 2-4 and 5-6, two pairs overlap: touching at 2 does not count."""
    found = separability([0, 1, 2, 5], [2, 3, 4, 6])
    assert (found.overlapping, found.pairs) == (2, 6)
    assert found.share == pytest.approx(4 / 6)


def test_separability_equals_counting_pair_by_pair() -> None:
    """On random intervals the sorted count equals the comparison of all pairs, in any order of items."""
    rng = np.random.default_rng(0)
    low = rng.normal(size=50)
    high = low + rng.exponential(size=50)
    wanted = sum(min(high[a], high[b]) > max(low[a], low[b]) for a in range(50) for b in range(a))
    assert separability(low, high).overlapping == wanted
    assert separability(low[::-1], high[::-1]).overlapping == wanted
    assert separability(-high, -low).overlapping == wanted


def test_identical_intervals_overlap() -> None:
    """Three items with one interval: no pair is told apart."""
    assert separability([1, 1, 1], [2, 2, 2]).share == 0


@pytest.mark.parametrize("n", [0, 1])
def test_no_pairs_give_none(n: int) -> None:
    """With fewer than two items every statistic is None rather than 0 or 1."""
    one = np.ones(n)
    assert separability(one, one).share is None
    assert strict_agreement(one, one) is None
    assert agreement_with_confidence(one, one, one, one).half_credit is None
    assert pair_forecast(one, one, one).brier is None


# Agreement


def test_paired_separability_equals_counting_pair_by_pair() -> None:
    """Of 6 items with draws that share their examples: pairs whose difference has quantiles on one side of 0."""
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(300, 1)) + np.linspace(0, 0.5, 6) + 0.1 * rng.normal(size=(300, 6))
    apart = 0
    for one in range(6):
        for other in range(one):
            low, high = np.quantile(draws[:, one] - draws[:, other], [0.025, 0.975])
            apart += low > 0 or high < 0
    found = paired_separability(draws)
    assert 0 < apart < 15
    assert (found.share, found.overlapping, found.pairs) == (apart / 15, 15 - apart, 15)
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    assert separability(low, high).share == 0


def test_paired_separability_with_too_little() -> None:
    """No draws or one item: no share. Draws that are missing are named."""
    assert paired_separability(np.zeros((0, 3))).share is None
    assert paired_separability(np.zeros((5, 1))).share is None
    with pytest.raises(ValueError, match="finite"):
        paired_separability([[0.0, np.nan]])
    with pytest.raises(ValueError, match="level"):
        paired_separability([[0.0, 1.0]], level=95)


def test_strict_agreement_does_not_count_ties() -> None:
    """Equal scores agree with nothing, not even with equal references."""
    assert strict_agreement([1, 1, 2], [5, 5, 6]) == pytest.approx(2 / 3)
    assert strict_agreement([1, 2, 3], [9, 8, 7]) == 0


def test_reference_overlaps_are_skipped() -> None:
    """Pairs that the reference does not tell apart count for nothing; if it tells none apart there is no number."""
    found = agreement_with_confidence([0, 2], [1, 3], [0, 1], [2, 3])
    assert (found.half_credit, found.signed, found.pairs, found.skipped) == (None, None, 0, 1)


@pytest.mark.parametrize(
    ("low", "high", "half_credit", "signed"),
    [([0, 2], [1, 3], 1, 1), ([0, 0], [3, 3], 0.5, 0), ([2, 0], [3, 1], 0, -1)],
)
def test_credit_of_a_pair(low: list[float], high: list[float], half_credit: float, signed: float) -> None:
    """Same order 1 (+1), overlapping 0.5 (0), other order 0 (-1)."""
    found = agreement_with_confidence(low, high, [0, 5], [1, 6])
    assert (found.half_credit, found.signed) == (half_credit, signed)


def test_intervals_without_width() -> None:
    """Points are told apart unless they are equal, which is credited half."""
    assert agreement_with_confidence([1, 2], [1, 2], [1, 2], [1, 2]).half_credit == 1
    assert agreement_with_confidence([1, 1], [1, 1], [1, 2], [1, 2]).half_credit == 0.5


# Forecasts


def test_forecast_of_one_pair() -> None:
    """Two items 0.6745 standard deviations of the difference apart: three to one that the higher is better."""
    right, wrong = pair_forecast([0, 0.67449], [0.5, 0.5], [1, 2]), pair_forecast([0, 0.67449], [0.5, 0.5], [2, 1])
    assert (right.brier, right.log_loss) == pytest.approx((0.0625, -log(0.75)), abs=1e-5)
    assert (wrong.brier, wrong.log_loss) == pytest.approx((0.5625, -log(0.25)), abs=1e-5)


def test_forecast_without_variance() -> None:
    """Two scores that never vary are forecast surely, or at one half if equal; sure and wrong costs 36.04."""
    assert pair_forecast([0, 1], [0, 0], [1, 2]).brier == 0
    assert pair_forecast([1, 1], [0, 0], [1, 2]).brier == 0.25
    wrong = pair_forecast([0, 1], [0, 0], [2, 1])
    assert wrong.brier == 1
    assert wrong.log_loss == pytest.approx(-log(np.finfo(float).eps))


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [([2], [1], "not above"), ([1, 2], [2], "one number per item"), ([np.nan], [1], "finite")],
)
def test_unusable_intervals_are_named(low: list[float], high: list[float], message: str) -> None:
    """Crossed bounds, columns of different lengths and NaN are refused."""
    with pytest.raises(ValueError, match=message):
        separability(low, high)


def test_other_unusable_columns_are_named() -> None:
    """Negative variances and a reference of other items are refused."""
    with pytest.raises(ValueError, match="negative"):
        pair_forecast([1], [-1], [1])
    with pytest.raises(ValueError, match="same items"):
        agreement_with_confidence([1], [1], [1, 2], [1, 2])


# The paper's numbers


class Bootstrapped(NamedTuple):
    """Scores of models with intervals and bootstrap results."""

    score: FloatArray
    low: FloatArray
    high: FloatArray
    results: list[FloatArray]
    """Scores of bootstrap rounds; the baseline of Arena-Hard, which is 50 by definition, has few."""


@cache
def numbers() -> dict[str, Any]:
    """The expected numbers."""
    found: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text())
    return found


@cache
def arena() -> pd.DataFrame:
    """The official Chatbot Arena table."""
    return pd.read_csv(FOLDER / "chatbot_arena_20240329.csv", index_col=0)


def bootstrapped(benchmark: str, by_arena_name: bool) -> tuple[list[str], Bootstrapped]:
    """All models of a benchmark, or the 20 shared ones in the order of their names in the Arena."""
    with gzip.open(FOLDER / f"bootstrap_stats_{benchmark}.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = {row["model"].lower(): row for row in map(json.loads, lines)}  # maps and files differ in capitals
    names = {name: name for name in rows}
    if by_arena_name:
        mapped = json.loads((FOLDER / f"{BENCHMARKS[benchmark]}.json").read_text())
        # One map leads to the Arena's names, the other two come from there.
        names = {arena_name: own for own, arena_name in mapped.items()} if benchmark == "alpaca" else mapped
    ordered = sorted(names)
    picked = [rows[names[name].lower()] for name in ordered]
    score, low, high = (np.array([row[key] for row in picked], dtype=float) for key in ("score", "lower", "upper"))
    return ordered, Bootstrapped(score, low, high, [np.array(row["results"], dtype=float) for row in picked])


def assert_separability(low: FloatArray, high: FloatArray, wanted: dict[str, float]) -> None:
    """Overlaps, pairs, and the percentage as upstream rounds it."""
    found = separability(low, high)
    assert found.share is not None
    assert (found.overlapping, found.pairs) == (wanted["overlapping_pairs"], wanted["total_pairs"])
    assert 100 * found.share == pytest.approx(wanted["separability_pct"], abs=0.005001)


def test_separability_of_all_models() -> None:
    """28 models of Arena-Hard, 25 of MT-Bench and 76 of Chatbot Arena: overlapping pairs exactly as in the notebook."""
    wanted = numbers()["all_models"]
    for benchmark in ("arena_hard", "mt_bench"):
        names, columns = bootstrapped(benchmark, by_arena_name=False)
        assert len(names) == wanted[benchmark]["n"]
        assert_separability(columns.low, columns.high, wanted[benchmark])
    low, high = (arena()[key].to_numpy() for key in ("rating_q025", "rating_q975"))
    assert_separability(low, high, wanted["chatbot_arena"])


def test_separability_of_the_20_shared_models() -> None:
    """At 95 percent from the intervals, at 80 percent from the 10th and 90th percentiles of the bootstrap results."""
    at_95, at_80 = numbers()["shared20_95pct"], numbers()["shared20_80pct (percentiles 10,90 of results)"]
    for benchmark in BENCHMARKS:
        names, columns = bootstrapped(benchmark, by_arena_name=True)
        assert len(names) == 20
        assert_separability(columns.low, columns.high, at_95[benchmark])
        low, high = np.array([np.percentile(results, [10, 90]) for results in columns.results]).T
        assert_separability(low, high, at_80[benchmark])
    shared = arena().loc[names]
    low, high = (shared[key].to_numpy() for key in ("rating_q025", "rating_q975"))
    assert_separability(low, high, at_95["chatbot_arena"])


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_agreement_with_chatbot_arena(benchmark: str) -> None:
    """Strict agreement and agreement with confidence in both forms, to rounding; 177 of 190 pairs count."""
    names, columns = bootstrapped(benchmark, by_arena_name=True)
    human = arena().loc[names]
    strict = strict_agreement(columns.score, human["rating"].to_numpy())
    assert strict == pytest.approx(numbers()["strict_pair_agreement"][benchmark], abs=1e-12)
    found = agreement_with_confidence(
        columns.low, columns.high, human["rating_q025"].to_numpy(), human["rating_q975"].to_numpy()
    )
    half_credit = numbers()["agreement_with_confidence_half_credit"]
    assert found.half_credit == pytest.approx(half_credit[benchmark], abs=1e-12)
    assert found.signed == pytest.approx(
        numbers()["agreement_with_confidence_plus1_0_minus1 (ours, = 2*half_credit-1)"][benchmark], abs=1e-12
    )
    assert (found.pairs, found.skipped) == (half_credit["n_human_separable_pairs"], 13)


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_pair_forecast_of_chatbot_arena(benchmark: str) -> None:
    """Brier score to 1e-9 and log loss to 1e-6 (its clipping point depends on the last bit of the normal integral)."""
    names, columns = bootstrapped(benchmark, by_arena_name=True)
    mean, variance = np.array([(results.mean(), results.var()) for results in columns.results]).T
    found = pair_forecast(mean, variance, arena().loc[names, "rating"].to_numpy())
    assert found.pairs == 190
    assert found.brier == pytest.approx(numbers()["brier"][benchmark], abs=1e-9)
    assert found.log_loss == pytest.approx(numbers()["log_loss"][benchmark], abs=1e-6)


@pytest.mark.parametrize("benchmark", BENCHMARKS)
@pytest.mark.parametrize(
    ("kind", "key"), [("spearman", "spearman"), ("kendall", "kendall_tau_b (scipy)"), ("pearson", "pearson (scipy)")]
)
def test_correlation_with_chatbot_arena(benchmark: str, kind: Kind, key: str) -> None:
    """All nine coefficients over the 20 shared models, to rounding, with an interval that holds them."""
    names, columns = bootstrapped(benchmark, by_arena_name=True)
    found = correlation(columns.score, arena().loc[names, "rating"].to_numpy(), kind)
    assert found.value == pytest.approx(numbers()[key][benchmark], abs=1e-12)
    assert found.interval is not None
    assert found.interval.low < numbers()[key][benchmark] < found.interval.high
    assert found.n == 20
