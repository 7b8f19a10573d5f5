"""Separability on hand-made cases, and the separability and correlations that the Arena-Hard paper prints.

Expected: ``ratings/benchmark_statistics/expected.json``, made by the paper's notebook, and the bootstrap inputs
beside it.
"""

import gzip
import json
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from judgebench.stats.arrays import FloatArray
from judgebench.stats.benchmark_quality import (
    confident_agreement,
    pair_rank_brier,
    paired_separability,
    row_correlation,
    separability,
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
    """With fewer than two items the share is None rather than 0 or 1."""
    assert separability(np.ones(n), np.ones(n)).share is None


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


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [([2], [1], "not above"), ([1, 2], [2], "one number per item"), ([np.nan], [1], "finite")],
)
def test_unusable_intervals_are_named(low: list[float], high: list[float], message: str) -> None:
    """Crossed bounds, columns of different lengths and NaN are refused."""
    with pytest.raises(ValueError, match=message):
        separability(low, high)


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


# Against people


def test_confident_agreement_equals_counting_pair_by_pair() -> None:
    """One for each pair that both sides tell apart alike, less one for each that they rank the other way round."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        centres = rng.normal(size=(2, 7))
        halves = rng.random((2, 7))
        lows, highs = centres - halves, centres + halves
        counted = []
        for a in range(7):
            for b in range(a):
                signs = [int(low[a] >= high[b]) - int(low[b] >= high[a]) for low, high in zip(lows, highs, strict=True)]
                counted.append(signs[0] * signs[1])
        found = confident_agreement(lows[0], highs[0], lows[1], highs[1], rng=np.random.default_rng(0))
        assert found.value == pytest.approx(np.mean(counted))
        assert (found.pairs, found.models) == (21, 7)
        assert found.interval is not None
        assert found.interval.low <= np.mean(counted) <= found.interval.high


def test_pair_rank_brier_on_paper() -> None:
    """Sure and right is 0, sure and wrong 1, no idea a quarter; pairs that people rank equal are left out."""
    assert pair_rank_brier([[1, 2, 3]] * 4, [1, 2, 3]).value == 0
    assert pair_rank_brier([[3, 2, 1]] * 4, [1, 2, 3]).value == 1
    assert pair_rank_brier([[1, 1, 1]] * 4, [1, 2, 3]).value == 0.25
    found = pair_rank_brier([[1, 2, 3]] * 4, [1, 1, 3])
    assert (found.value, found.pairs) == (0, 2)
    rng = np.random.default_rng(0)
    interval = pair_rank_brier(rng.normal(size=(50, 8)) + np.arange(8), np.arange(8), rng=rng).interval
    assert interval is not None
    assert 0 <= interval.low <= interval.high < 0.25


def test_row_correlation_is_the_mean_over_models() -> None:
    """Of each model's win rates with people's, the diagonal and pairs never played left out."""
    rng = np.random.default_rng(0)
    wins, human = rng.random((2, 6, 6))
    wins[2, 4] = np.nan
    rows = []
    for row in range(6):
        known = np.isfinite(wins[row]) & (np.arange(6) != row)
        rows.append(np.corrcoef(wins[row][known], human[row][known])[0, 1])
    found = row_correlation(wins, human)
    assert found.value == pytest.approx(np.mean(rows))
    assert found.models == 6


def test_what_cannot_be_ranked_is_named() -> None:
    """Sides of different models, and tables of other shapes."""
    with pytest.raises(ValueError, match="same models"):
        confident_agreement([1], [2], [1, 2], [2, 3])
    with pytest.raises(ValueError, match="not above"):
        confident_agreement([2], [1], [1], [2])
    with pytest.raises(ValueError, match="of shape"):
        pair_rank_brier([[1, 2]], [1])
    with pytest.raises(ValueError, match="win rates have shape"):
        row_correlation([[1, 2]], [[1, 2]])
