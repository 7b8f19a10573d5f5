"""Families of runs: Tukey's procedure as a witness, order and ranks."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import studentized_range

from judgebench.stats.clustered import cluster_totals, clustered_estimate, difference
from judgebench.stats.many_runs import compare_all_pairs, rank_intervals, ranks_of_estimates
from judgebench.stats.paired import permutation_p_value

from .test_clustered import generator


def unrelated(means: tuple[float, ...], seed: int) -> list[NDArray[np.float64]]:
    """Columns of 400 nearly normal values with exactly these means, variance 1 and no correlation.

    Then the variance of each paired difference is the pooled one of independent groups, and the procedures for those
    must give the same.
    """
    draws = generator(seed).normal(size=(400, len(means)))
    basis = np.linalg.qr(draws - draws.mean(axis=0))[0]
    return list((basis * np.sqrt(399) + means).T)


def test_independent_normal_runs_are_tukeys() -> None:
    """All pairs of four such runs: adjusted p-values are those of scipy's Tukey test."""
    from scipy.stats import tukey_hsd

    columns = unrelated((0.0, 0.1, 0.2, 0.25), 3)
    ours = compare_all_pairs([cluster_totals(column) for column in columns], rng=generator(), rounds=20_000)
    theirs = tukey_hsd(*columns).pvalue
    assert [contrast.p_value for contrast in ours] == pytest.approx(
        [theirs[contrast.first, contrast.second] for contrast in ours], abs=0.015
    )


def test_one_comparison_is_the_paired_one() -> None:
    """Two runs: nothing to adjust, so p is the permutation's and the interval nearly the clustered t."""
    rng = generator(4)
    runs = [cluster_totals(rng.normal(mean, 1, 300)) for mean in (0.15, 0.0)]
    (contrast,) = compare_all_pairs(runs, rng=rng, rounds=40_000)
    alone = permutation_p_value(*runs, rng=rng, rounds=40_000)
    # Both are drawn: standard errors below 0.002.
    assert contrast.p_value == pytest.approx(alone, abs=0.01)
    interval = clustered_estimate(difference(*runs)).interval
    assert interval is not None
    assert contrast.interval is not None
    assert contrast.interval.low == pytest.approx(interval.low, abs=0.01)


def test_the_order_of_runs_does_not_matter() -> None:
    """Reversed runs have the mirrored contrasts, from the same signs."""
    rng = generator(7)
    runs = [cluster_totals(rng.normal(mean, 1, 100)) for mean in (0.0, 0.1, 0.5)]
    forward = {(c.first, c.second): c for c in compare_all_pairs(runs, rng=generator(8), rounds=500)}
    backward = {(2 - c.second, 2 - c.first): c for c in compare_all_pairs(runs[::-1], rng=generator(8), rounds=500)}
    for pair, contrast in forward.items():
        assert contrast.p_value == pytest.approx(backward[pair].p_value, abs=1e-12)
        assert contrast.difference == pytest.approx(-(backward[pair].difference or 0.0), abs=1e-12)


def test_ranks_follow_the_intervals() -> None:
    """Two clear groups of two: the better share ranks 1 and 2, the worse 3 and 4."""
    rng = generator(9)
    skill = rng.normal(size=200)
    runs = [cluster_totals(skill + mean + rng.normal(0, 0.1, 200)) for mean in (0.0, 1.0, 1.0, 0.0)]
    runs[2] = cluster_totals(runs[1].numerator[:, 0] + rng.normal(0, 0.1, 200))
    runs[3] = cluster_totals(runs[0].numerator[:, 0] + rng.normal(0, 0.1, 200))
    ranks = rank_intervals(compare_all_pairs(runs, rng=rng, rounds=2000), 4)
    assert [(rank.low, rank.high) for rank in ranks] == [(3, 4), (1, 2), (1, 2), (3, 4)]


def test_runs_that_never_differ_have_a_reason() -> None:
    """A copy is 0 away, without interval; the others keep theirs, and the ranks stay open."""
    rng = generator(10)
    run, other = (cluster_totals(rng.random(50)) for _ in range(2))
    copy, far, _ = compare_all_pairs([run, run, other], rng=rng, rounds=200)
    assert (copy.difference, copy.interval, copy.p_value) == (0.0, None, None)
    assert copy.reason is not None
    assert far.interval is not None
    assert rank_intervals([copy], 2)[0].high == 2
    assert compare_all_pairs([run, run], rng=rng, rounds=200)[0].reason is not None


def test_no_rounds() -> None:
    """Without rounds there is nothing to compare with."""
    run = cluster_totals(np.arange(5.0))
    with pytest.raises(ValueError, match="at least one round"):
        compare_all_pairs([run, cluster_totals(np.arange(5.0)[::-1])], rng=generator(), rounds=0)


def test_ranks_of_estimates_are_tukeys() -> None:
    """Two values are told apart just beyond the studentised range of their number (scipy, known variance)."""
    for count in (2, 3, 10):
        margin = studentized_range.ppf(0.95, count, 1e7)
        rest = [-1000.0 * k for k in range(1, count - 1)]
        for factor, apart in ((0.999, False), (1.001, True)):
            values = [0.0, -margin * factor, *(value - margin for value in rest)]
            ranks = ranks_of_estimates(values, [1.0] * count)
            assert (ranks[0].high == 1) is apart
            assert (ranks[1].low == 2) is apart


def test_ranks_of_estimates_without_errors_are_open() -> None:
    """A value without a standard error is undecided with all; a known one is told from a measured one."""
    assert [(r.low, r.high) for r in ranks_of_estimates([90.0, 10.0, 50.0], [1.0, 1.0, None])] == [
        (1, 2), (2, 3), (1, 3)
    ]  # fmt: skip
    assert [(r.low, r.high) for r in ranks_of_estimates([90.0, 50.0], [1.0, 0.0])] == [(1, 1), (2, 2)]
    assert [(r.low, r.high) for r in ranks_of_estimates([90.0, 50.0], [0.0, 0.0])] == [(1, 2), (1, 2)]
    assert [(r.low, r.high) for r in ranks_of_estimates([1.0], [None])] == [(1, 1)]
    assert ranks_of_estimates([], []) == ()
