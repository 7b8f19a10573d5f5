"""Ratios: Fieller's interval found again by inverting scipy's t-test."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgebench.stats.clustered import cluster_totals
from judgebench.stats.relative import paired_ratio

from .test_clustered import generator


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bounds_are_where_the_t_test_stops_rejecting(seed: int) -> None:
    """At both bounds the one-sample t-test of first - rho * second has p = 0.05; between them p is larger."""
    from scipy.stats import ttest_1samp

    rng = generator(seed)
    second = rng.random(60)
    first = 0.3 * second + rng.random(60)
    result = paired_ratio(cluster_totals(first), cluster_totals(second))
    assert result.ratio == pytest.approx(first.mean() / second.mean(), rel=1e-12)
    assert result.interval is not None
    for bound in (result.interval.low, result.interval.high):
        assert ttest_1samp(first - bound * second, 0).pvalue == pytest.approx(0.05, rel=1e-6)
    assert ttest_1samp(first - result.ratio * second, 0).pvalue > 0.99


@given(st.floats(0.1, 50), st.floats(0.1, 50), st.integers(0, 50))
@settings(max_examples=25)
def test_units_and_swapped_runs(scale: float, other: float, seed: int) -> None:
    """Both runs in other units scale the ratio; the ratio of the swapped runs has the inverse bounds."""
    rng = generator(seed)
    codes = np.repeat(np.arange(40), 2)
    columns = rng.random(80) + 0.5, rng.random(80) + 0.5
    one, two = (cluster_totals(column, clusters=codes) for column in columns)
    scaled = paired_ratio(
        cluster_totals(scale * columns[0], clusters=codes), cluster_totals(other * columns[1], clusters=codes)
    )
    plain, swapped = paired_ratio(one, two), paired_ratio(two, one)
    assert plain.interval is not None
    assert scaled.interval is not None
    assert swapped.interval is not None
    assert scaled.interval.low == pytest.approx(plain.interval.low * scale / other, rel=1e-6)
    assert swapped.interval.low == pytest.approx(1 / plain.interval.high, rel=1e-6)
    assert plain.gain_interval is not None
    assert plain.gain_interval.high == pytest.approx(100 * (plain.interval.high - 1), rel=1e-9)


def test_proportional_runs_have_a_sure_ratio() -> None:
    """Where one run is everywhere 1.286 times the other, the gain is 28.6 percent for certain."""
    second = generator().random(50)
    result = paired_ratio(cluster_totals(1.286 * second), cluster_totals(second))
    assert result.gain_interval is not None
    assert (result.gain_interval.low, result.gain_interval.high) == pytest.approx((28.6, 28.6), abs=1e-5)


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ([], [], "there are no values"),
        ([1.0], [2.0], "there is only one cluster"),
        ([1.0, 2.0], [0.0, 0.0], "the denominator is 0"),
        ([1.0, 2.0, 3.0], [0.1, -0.2, 0.3], "the denominator is not significantly different"),
        ([1.0, 1.0, 1.0], [2.0, 2.0, 2.0], "all values are equal"),
    ],
)
def test_ratios_without_interval(first: list[float], second: list[float], reason: str) -> None:
    """Each says why."""
    result = paired_ratio(cluster_totals(first), cluster_totals(second))
    assert result.interval is None
    assert result.gain_interval is None
    assert result.reason is not None
    assert result.reason.startswith(reason)
