"""The permutation test of two runs against scipy's, and against every assignment written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgebench.stats.clustered import cluster_totals
from judgebench.stats.paired import permutation_p_value

from .test_clustered import generator


@given(st.lists(st.tuples(st.sampled_from([0, 0.5, 1]), st.sampled_from([0, 0.5, 1])), min_size=2, max_size=9))
@settings(max_examples=30)
def test_exact_permutation_equals_scipy(pairs: list[tuple[float, float]]) -> None:
    """With few prompts every assignment is tried: scipy's paired permutation test, ties included."""
    from scipy.stats import permutation_test

    first, second = np.array(pairs).T
    # scipy rounds its comparison by 1e-14 of the statistic, which a sum of halves never needs.
    theirs = permutation_test(
        (first, second),
        lambda x, y, axis: x.sum(axis=axis) - y.sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
    ).pvalue
    ours = permutation_p_value(cluster_totals(first), cluster_totals(second), rng=generator())
    # Its two-sided p-value doubles the smaller tail; the statistic is symmetric, so both are the same.
    assert ours == pytest.approx(min(theirs, 1.0), abs=1e-12)


def test_drawn_permutations_approach_the_exact_ones() -> None:
    """14 prompts: 16,384 assignments, enumerated here by hand, against 100,000 drawn ones."""
    rng = generator(2)
    first, second = rng.random(14) + 0.2, rng.random(14)
    signs = 1 - 2 * ((np.arange(2**14)[:, None] >> np.arange(14)) & 1)
    sums = signs @ (first - second)
    exact = (np.abs(sums) >= abs(sums[0]) - 1e-12).mean()
    drawn = permutation_p_value(cluster_totals(first), cluster_totals(second), rng=rng, rounds=100_000)
    # Standard error of the drawn share: at most 0.0016.
    assert drawn == pytest.approx(exact, abs=0.006)


def test_swapping_whole_clusters_of_a_ratio() -> None:
    """For pooled ratios of clusters, the p-value equals one by swapping rows and recomputing, all 2^6 ways."""
    rng = generator(3)
    codes = np.repeat(np.arange(6), 2)
    asked = [rng.integers(1, 4, 12) for _ in range(2)]
    followed = [rng.binomial(column, share) for column, share in zip(asked, (0.9, 0.4), strict=True)]
    values = []
    for pattern in range(64):
        swapped = (pattern >> codes) & 1 == 1
        one = np.where(swapped, followed[1], followed[0]).sum() / np.where(swapped, asked[1], asked[0]).sum()
        other = np.where(swapped, followed[0], followed[1]).sum() / np.where(swapped, asked[0], asked[1]).sum()
        values.append(one - other)
    exact = (np.abs(values) >= abs(values[0]) - 1e-12).mean()
    runs = [cluster_totals(f, a, clusters=codes) for f, a in zip(followed, asked, strict=True)]
    assert permutation_p_value(*runs, rng=rng) == pytest.approx(exact, abs=1e-12)


def test_runs_without_any_difference() -> None:
    """Equal runs: every swap gives the difference 0, so p = 1."""
    run = cluster_totals([0.0, 1.0, 0.5] * 10)
    assert permutation_p_value(run, run, rng=generator(), rounds=100) == 1.0


@given(st.integers(0, 1000))
@settings(max_examples=10)
def test_swapping_the_runs_keeps_the_p_value(seed: int) -> None:
    """First against second has the p-value of second against first."""
    rng = generator(seed)
    runs = [cluster_totals(rng.integers(0, 3, 60) / 2, clusters=np.repeat(np.arange(30), 2)) for _ in range(2)]
    one, other = (permutation_p_value(*pair, rng=generator(4), rounds=300) for pair in (runs, runs[::-1]))
    assert one == pytest.approx(other, abs=1e-9)


def test_the_p_value_of_a_large_sample_is_the_t_tests() -> None:
    """For 400 nearly normal differences it is the paired t-test's."""
    from scipy.stats import ttest_rel

    rng = generator(6)
    first, second = rng.normal(0.1, 1, 400), rng.normal(0, 1, 400)
    p_value = permutation_p_value(cluster_totals(first), cluster_totals(second), rng=rng, rounds=20_000)
    # 20,000 rounds: standard error of p at most 0.0035.
    assert p_value == pytest.approx(ttest_rel(first, second).pvalue, abs=0.015)
