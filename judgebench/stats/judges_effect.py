"""What an interval over items lacks: other judges might be stricter or milder on every item alike.

An interval over items holds whatever varies within an item independently of the other items: the order in which
answers are shown, repeats, and how a judge takes to an item. It lacks the main effect of the judges, which moves all
items together and shrinks with the number of judges alone. With J judges and the variance V of their effect,

    half width = sqrt(half width over items squared + t(J - 1) squared * V / J)                                   (1)

which holds the truth in 93 to 97 % of samples with 3 judges or more (``benchmarks/noise_coverage.py``).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from judgebench.stats.clustered import t_quantile
from judgebench.stats.variance_components import variance_components

# A share of the variance below this is rounding.
_ROUNDING = 1e-12

LEAST_JUDGES = 3
"""With fewer, the spread of judges is not to be told from their values."""


@dataclass(frozen=True)
class JudgesEffect:
    """The main effect of judges on their mean."""

    stderr: float
    """sqrt(V / J) of (1), in the unit of the values; 0 if the judges differ no more than their items explain."""
    judges: int

    def half_width(self, level: float) -> float:
        """What (1) adds, in quadrature."""
        return t_quantile(self.judges - 1, level) * self.stderr if self.stderr else 0.0

    def widened(self, value: float, low: float, high: float, level: float) -> tuple[float, float]:
        """An interval over items with the judges' effect, by (1) on either side of the value.

        >>> [round(end, 2) for end in JudgesEffect(1.0, 4).widened(50.0, 46.0, 55.0, 0.95)]
        [44.89, 55.93]
        """
        more = self.half_width(level)
        return value - float(np.hypot(value - low, more)), value + float(np.hypot(high - value, more))


def judges_effect(values: ArrayLike, influences: ArrayLike) -> JudgesEffect:
    """Estimate the effect from the judges' values, shape (judges,), and the items' influences on each.

    ``influences``, shape (judges, items), are those of ``ClusterTotals.influence``: an item's part in the deviation of
    a value. How far the values differ because the judges disagree about items is known from them, and is subtracted.

    Three judges who differ by their severity alone, and three who agree in the mean:

    >>> votes = np.array([[3.0, 5.0, 4.0], [4.0, 6.0, 5.0], [5.0, 7.0, 6.0]])
    >>> effect = judges_effect(votes.mean(axis=1), (votes - votes.mean(axis=1)[:, None]) / 3)
    >>> round(effect.stderr, 6) == round((1 / 3) ** 0.5, 6)
    True
    >>> votes = np.array([[3.0, 5.0, 4.0], [4.0, 3.0, 5.0], [5.0, 4.0, 3.0]])
    >>> judges_effect(votes.mean(axis=1), (votes - votes.mean(axis=1)[:, None]) / 3).stderr
    0.0
    """
    means, parts = np.asarray(values, dtype=float), np.asarray(influences, dtype=float)
    if parts.ndim != 2 or means.shape != parts.shape[:1] or len(means) < LEAST_JUDGES or parts.shape[1] < 2:
        raise ValueError(
            f"a value of each of {LEAST_JUDGES} judges or more, and the influences of 2 items or more on each, are "
            f"wanted; got shapes {means.shape} and {parts.shape}"
        )
    judges, items = parts.shape
    verdicts = means[:, None] + items * parts
    judge, item = np.indices(verdicts.shape)
    factors = {"item": item.ravel(), "judge": judge.ravel()}
    found = variance_components(verdicts.ravel(), factors, [("item",), ("judge",)], level=None)
    variance, whole = found.variance("judge"), sum(max(part.variance, 0.0) for part in found.components)
    return JudgesEffect(float((variance / judges) ** 0.5) if variance > _ROUNDING * whole else 0.0, judges)
