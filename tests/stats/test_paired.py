"""Two runs against published tests, scipy's permutation test and statsmodels' McNemar."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgebench.stats.clustered import cluster_totals
from judgebench.stats.paired import bootstrap_p_value, mcnemar, paired_comparison, permutation_p_value

from .judge_meta import expected
from .test_clustered import generator, llmbar_correct


def test_mcnemar_of_llmbar() -> None:
    """Table, exact, mid-p and chi-squared of the published decisions."""
    want = expected("paired_comparison")
    result = mcnemar(llmbar_correct("GPT-4/Vanilla")[:, 0], llmbar_correct("GPT-4/Swap")[:, 0])
    assert [[result.both, result.first_only], [result.second_only, result.neither]] == want[
        "table_[[both,1only],[2only,neither]]"
    ]
    assert result.p_exact == pytest.approx(want["mcnemar_exact_p"], abs=1e-12)
    assert result.p_mid == pytest.approx(want["mcnemar_midp"], rel=1e-10)
    assert (result.chi2, result.p_chi2) == pytest.approx(tuple(want["mcnemar_chi2"]), rel=1e-10)
    assert (result.chi2_corrected, result.p_chi2_corrected) == pytest.approx(tuple(want["mcnemar_chi2_cc"]), rel=1e-10)


def test_paired_difference_of_llmbar() -> None:
    """Difference, paired and unpaired error, and the correlation of the scores."""
    want = expected("paired_comparison")
    first, second = (cluster_totals(llmbar_correct(name)[:, 0]) for name in ("GPT-4/Vanilla", "GPT-4/Swap"))
    result = paired_comparison(first, second, rng=generator(), rounds=200)
    assert (result.first, result.second) == pytest.approx((want["acc1"], want["acc2"]), rel=1e-12)
    assert result.difference.n_clusters == want["n"]
    assert result.difference.value == pytest.approx(want["paired_diff"], rel=1e-12)
    assert result.difference.stderr == pytest.approx(want["paired_se_ddof1"], rel=1e-12)
    assert result.stderr_unpaired == pytest.approx(want["unpaired_se_ddof1"], rel=1e-12)
    assert result.correlation == pytest.approx(want["score_correlation"], rel=1e-12)


def test_mcnemar_equals_statsmodels() -> None:
    """The exact p-value is statsmodels'."""
    witness = pytest.importorskip("statsmodels.stats.contingency_tables").mcnemar
    rng = generator(1)
    for share in (0.02, 0.2, 0.5):
        first, second = rng.random(60) < share, rng.random(60) < 0.3
        result = mcnemar(first, second)
        table = [[result.both, result.first_only], [result.second_only, result.neither]]
        assert result.p_exact == pytest.approx(witness(table, exact=True).pvalue, abs=1e-12)
        if result.chi2 is not None:
            assert result.chi2 == pytest.approx(witness(table, exact=False, correction=False).statistic, rel=1e-12)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=0, max_size=40))
def test_mcnemar_is_symmetric_and_ordered(pairs: list[tuple[bool, bool]]) -> None:
    """Swapping the runs changes no p-value; mid-p is at most the exact one; no difference has p = 1."""
    first, second = np.array(pairs, dtype=int).reshape(-1, 2).T
    one, other = mcnemar(first, second), mcnemar(second, first)
    assert (one.p_exact, one.p_mid, one.chi2) == (other.p_exact, other.p_mid, other.chi2)
    assert 0 < one.p_mid <= one.p_exact <= 1
    if one.first_only == one.second_only:
        assert one.p_mid == pytest.approx(1.0)


def test_mcnemar_refuses_shares() -> None:
    """A tie is neither right nor wrong."""
    with pytest.raises(ValueError, match="0 or 1 per prompt"):
        mcnemar([0.5, 1], [1, 0])


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
    """Equal runs: difference 0, p = 1, no interval and the reason why."""
    run = cluster_totals([0.0, 1.0, 0.5] * 10)
    result = paired_comparison(run, run, rng=generator(), rounds=100)
    assert (result.difference.value, result.p_permutation, result.p_t) == (0.0, 1.0, None)
    assert result.difference.reason is not None


@given(st.integers(0, 1000))
@settings(max_examples=10)
def test_swapping_the_runs_mirrors_the_result(seed: int) -> None:
    """The difference changes its sign, the interval is mirrored, p-values stay."""
    rng = generator(seed)
    runs = [cluster_totals(rng.integers(0, 3, 60) / 2, clusters=np.repeat(np.arange(30), 2)) for _ in range(2)]
    one = paired_comparison(runs[0], runs[1], rng=generator(4), rounds=300)
    other = paired_comparison(runs[1], runs[0], rng=generator(4), rounds=300)
    assert one.difference.value == pytest.approx(-(other.difference.value or 0.0), abs=1e-12)
    assert (one.p_t, one.p_permutation, one.p_bootstrap) == pytest.approx(
        (other.p_t, other.p_permutation, other.p_bootstrap), abs=1e-9
    )
    if one.bootstrap_interval and other.bootstrap_interval:
        assert one.bootstrap_interval.low == pytest.approx(-other.bootstrap_interval.high, abs=1e-9)


def test_three_p_values_of_a_large_sample_agree() -> None:
    """For 400 nearly normal differences all are the paired t-test's."""
    from scipy.stats import ttest_rel

    rng = generator(6)
    first, second = rng.normal(0.1, 1, 400), rng.normal(0, 1, 400)
    result = paired_comparison(cluster_totals(first), cluster_totals(second), rng=rng, rounds=20_000)
    want = ttest_rel(first, second).pvalue
    assert result.p_t == pytest.approx(want, rel=1e-10)
    # 20,000 rounds: standard error of p at most 0.0035.
    assert result.p_permutation == pytest.approx(want, abs=0.015)
    assert result.p_bootstrap == pytest.approx(want, abs=0.015)


def test_bootstrap_needs_spread() -> None:
    """One discordant prompt of forty: most resamples of it have no spread, so there is neither p-value nor interval."""
    values = np.r_[1.0, np.zeros(39)]
    assert bootstrap_p_value(cluster_totals(values), rng=generator(), rounds=200) == (None, None)
