"""Intervals of shares against the fixture's (statsmodels') values and the formulas' identities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judgebench.stats.proportions import ALL_EQUAL, ONE_CLUSTER, score_interval, share_interval

from .judge_meta import expected


def test_published_cases() -> None:
    """All shares of the fixture, made by statsmodels' proportion_confint, to 1e-10."""
    for case in expected("proportion_intervals_95"):
        interval = share_interval(case["k"], case["n"])
        assert interval is not None
        assert (interval.low, interval.high) == pytest.approx(case["wilson"], abs=1e-10)


def test_statsmodels() -> None:
    """Other levels and counts, against statsmodels."""
    witness = pytest.importorskip("statsmodels.stats.proportion").proportion_confint
    for successes, n, level in ((0, 3, 0.9), (3, 80, 0.95), (79, 80, 0.99), (500, 1024, 0.8)):
        interval = share_interval(successes, n, level=level)
        assert interval is not None
        assert (interval.low, interval.high) == pytest.approx(witness(successes, n, 1 - level, "wilson"), abs=1e-10)


@given(st.integers(0, 60), st.integers(1, 60))
def test_losses_mirror_wins(successes: int, more: int) -> None:
    """The interval of the losses is 1 - that of the wins."""
    n = successes + more
    won, lost = share_interval(successes, n), share_interval(n - successes, n)
    assert won is not None
    assert lost is not None
    assert (won.low, won.high) == pytest.approx((1 - lost.high, 1 - lost.low), abs=1e-9)


def test_no_trials() -> None:
    """Nothing has no interval, and more successes than trials are refused."""
    assert share_interval(0, 0) is None
    with pytest.raises(ValueError, match="between 0 and the number"):
        share_interval(3, 2)


@given(st.integers(1, 199))
def test_one_trial_per_cluster_is_wilson(wins: int) -> None:
    """For 0 and 1, one per cluster, it is Wilson's interval for n - 1 trials with Student's quantile."""
    n = 200
    values = np.r_[np.ones(wins), np.zeros(n - wins)]
    p = values.mean()
    interval, reason = score_interval(p, (values - p) / n)
    assert reason is None
    assert interval is not None
    t = 1.9719565442493954  # scipy.stats.t.ppf(0.975, 199)
    # (estimate - p)^2 = t^2 p (1 - p) / (n - 1) at both ends: Wilson's definition.
    for end in (interval.low, interval.high):
        assert (end - p) ** 2 == pytest.approx(t**2 * end * (1 - end) / (n - 1), rel=1e-6)


@given(st.lists(st.floats(1, 10), min_size=3, max_size=30))
def test_scale_and_mirror(grades: list[float]) -> None:
    """Grades from 1 to 10 and the same as shares of the scale have the same interval; so have their mirror images."""
    values = np.array(grades)
    mean = values.mean()
    found, reason = score_interval(mean, (values - mean) / len(values), 1, 10)
    share, same_reason = score_interval((mean - 1) / 9, (values - mean) / len(values) / 9)
    mirror, _ = score_interval(11 - mean, (mean - values) / len(values), 1, 10)
    assert reason == same_reason
    if found is not None and share is not None and mirror is not None:
        assert (found.low, found.high) == pytest.approx((1 + 9 * share.low, 1 + 9 * share.high), rel=1e-6)
        assert (found.low, found.high) == pytest.approx((11 - mirror.high, 11 - mirror.low), rel=1e-6)
        assert 1 <= found.low <= mean + 1e-9
        assert mean - 1e-9 <= found.high <= 10


def test_degenerate_scores_give_a_reason() -> None:
    """All ties, and a single cluster, say why there is no interval; all wins have one that ends at 1."""
    assert score_interval(0.5, np.zeros(10)) == (None, ALL_EQUAL)
    assert score_interval(0.5, np.zeros(1))[1] == ONE_CLUSTER
    interval, reason = score_interval(1.0, np.zeros(10))
    assert reason is None
    assert interval is not None
    assert interval.high == 1.0
    assert 0.5 < interval.low < 0.75
    with pytest.raises(ValueError, match="between the bounds"):
        score_interval(1.2, np.zeros(3))
