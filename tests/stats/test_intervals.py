"""Resampling and the intervals made from it, on own-made cases."""

import numpy as np
import pytest

from judgebench.stats.intervals import (
    percentile_interval,
    resample_counts,
)


def generator(seed: int = 0) -> np.random.Generator:
    """A fixed random generator."""
    return np.random.default_rng(seed)


def test_counts_of_each_resample_sum_to_n() -> None:
    """A resample of n examples holds n draws, and each example is drawn once on average, with multinomial variance."""
    counts = resample_counts(50, 4000, generator())
    assert counts.shape == (4000, 50)
    assert (counts.sum(axis=1) == 50).all()
    # 4,000 draws: the mean count has standard deviation 0.016 and the variance, 1 - 1/50, about 0.03 per example.
    assert np.abs(counts.mean(axis=0) - 1).max() < 0.08
    assert np.var(counts) == pytest.approx(1 - 1 / 50, abs=0.02)


def test_counts_can_be_drawn_in_parts() -> None:
    """Drawing 7 rounds, then 5, from one generator gives the same resamples as drawing 12."""
    parts = generator(3)
    drawn = np.concatenate([resample_counts(9, 7, parts), resample_counts(9, 5, parts)])
    assert (drawn == resample_counts(9, 12, generator(3))).all()


@pytest.mark.parametrize(("n", "rounds"), [(0, 10), (5, 0)])
def test_nothing_to_resample_is_an_error(n: int, rounds: int) -> None:
    """Zero examples or zero rounds raise instead of returning an empty array."""
    with pytest.raises(ValueError, match="at least one example and one round"):
        resample_counts(n, rounds, generator())


def test_percentile_interval_interpolates_order_statistics() -> None:
    """Quantile q of 0, 1, ..., 40 is 40 q: 2.5 and 97.5 percent are 1 and 39."""
    interval = percentile_interval(np.arange(41.0)[::-1])
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((1.0, 39.0), abs=1e-12)
    assert (interval.level, interval.method) == (0.95, "bootstrap percentile")


def test_percentile_interval_of_one_replicate_is_none() -> None:
    """One replicate or none gives no interval."""
    assert percentile_interval([1.0]) is None
    assert percentile_interval([]) is None


def test_percentile_interval_refuses_nan_and_odd_levels() -> None:
    """NaN never reaches an interval, and a level in percent is refused."""
    with pytest.raises(ValueError, match="must be finite"):
        percentile_interval([0.0, np.nan, 1.0])
    with pytest.raises(ValueError, match="between 0 and 1"):
        percentile_interval([0.0, 1.0], level=95)
