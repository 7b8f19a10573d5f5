"""The effect that a judge has on all items, and intervals that hold it."""

import numpy as np
import pytest

from judgebench.stats.clustered import cluster_totals, clustered_estimate, t_quantile
from judgebench.stats.judges_effect import JudgesEffect, judges_effect


def draw(rng: np.random.Generator, items: int, judges: int, severity: float) -> tuple[JudgesEffect, bool, bool]:
    """Simulated verdicts around 0: the effect, and whether the interval over items, and the widened one, hold 0."""
    verdicts = rng.normal(size=(items, 1)) + severity * rng.normal(size=judges) + 0.7 * rng.normal(size=(items, judges))
    columns = [cluster_totals(column) for column in verdicts.T]
    effect = judges_effect([column.value or 0.0 for column in columns], [column.influence() for column in columns])
    mean = clustered_estimate(cluster_totals(verdicts.mean(axis=1)))
    assert mean.value is not None
    assert mean.interval is not None
    low, high = effect.widened(mean.value, mean.interval.low, mean.interval.high, 0.95)
    return effect, mean.interval.low <= 0 <= mean.interval.high, low <= 0 <= high


def test_a_widened_interval_holds_the_mean_of_all_judges() -> None:
    """Three judges whose severity moves the mean as much as the items do: over items alone the interval holds the truth
    in hardly 85 %.
    """
    rng = np.random.default_rng(5)
    drawn = [draw(rng, 60, 3, (1.16 / 60 * 3) ** 0.5) for _ in range(400)]
    plain, widened = (float(np.mean([held[place] for held in drawn])) for place in (1, 2))
    assert plain < 0.88
    assert 0.93 <= widened <= 0.99  # of 400: two standard errors are 2 points


def test_the_effect_is_what_the_items_do_not_explain() -> None:
    """V / J by the analysis of variance: (mean square of judges - residual mean square) / (items x judges)."""
    verdicts = np.array([[1.0, 2.0, 4.0], [2.0, 2.0, 5.0], [0.0, 3.0, 3.0], [1.0, 1.0, 6.0]])
    items, judges = verdicts.shape
    fitted = verdicts.mean(axis=1, keepdims=True) + verdicts.mean(axis=0) - verdicts.mean()
    residual = np.square(verdicts - fitted).sum() / ((items - 1) * (judges - 1))
    between = items * verdicts.mean(axis=0).var(ddof=1)
    columns = [cluster_totals(column) for column in verdicts.T]
    effect = judges_effect([column.value or 0.0 for column in columns], [column.influence() for column in columns])
    assert effect.stderr == pytest.approx(((between - residual) / items / judges) ** 0.5)
    assert effect.half_width(0.95) == pytest.approx(t_quantile(2, 0.95) * effect.stderr)


def test_judges_who_differ_by_chance_widen_nothing() -> None:
    """The interval over items stays to the digit."""
    effect = judges_effect([4.0, 4.0, 4.0], [[-1.0, 0.0, 1.0], [1.0, -1.0, 0.0], [0.0, 1.0, -1.0]])
    assert effect.stderr == 0
    assert effect.widened(4.0, 3.25, 4.5, 0.95) == (3.25, 4.5)


@pytest.mark.parametrize("judges", [1, 2])
def test_two_judges_tell_no_spread(judges: int) -> None:
    """They are refused, not guessed at."""
    with pytest.raises(ValueError, match="3 judges or more"):
        judges_effect([1.0] * judges, np.zeros((judges, 5)))
