"""Non-inferiority tests on arrays: is a candidate at most a margin worse?
Gate policies are in ``judgebench.gating``.

Finding no difference is no answer: a small set finds none, whatever the truth. The answers here are PASS, FAIL and
INCONCLUSIVE. PASS and FAIL each have an error rate of alpha; the result also says how many clusters would probably
decide.

References
----------
Hall: On the removal of skewness by transformation. Journal of the Royal Statistical Society B 54, 1992.
Wellek: Testing statistical hypotheses of equivalence and noninferiority. Chapman and Hall, second edition, 2010.
"""

from dataclasses import dataclass, replace
from math import ceil, inf, isfinite, sqrt
from typing import Literal

import numpy as np

from judgebench.stats.arrays import FloatArray
from judgebench.stats.clustered import ClusterTotals, missing_reason, t_quantile
from judgebench.stats.intervals import Interval

WHOLE_LOSSES = 3
"""How many whole losses a margin must be worth for its test to keep its level."""

SLACK = 0.02
"""So much less than the power asked for is no reason to name more clusters than the plain formula."""

Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]


@dataclass(frozen=True)
class Decision:
    """What the difference candidate - reference says about a margin."""

    verdict: Verdict
    difference: float | None
    n_clusters: int
    reason: str | None
    """Why the data cannot decide, or cannot lead to PASS; the verdict is then INCONCLUSIVE or FAIL."""
    interval: Interval | None = None
    """Interval at level 1 - 2 alpha, so that each bound is one-sided at alpha."""
    p_value: float | None = None
    """One-sided p-value by Student's t; rejecting this null means PASS."""
    p_corrected: float | None = None
    """The same with Hall's correction for skewness, and degrees of freedom by kurtosis; PASS needs both below alpha."""
    p_worse: float | None = None
    """One-sided p-value by Student's t; rejecting this null means FAIL."""
    p_worse_corrected: float | None = None
    """The same with the correction; FAIL needs both."""
    n_to_decide: int | None = None
    """Clusters with which a repetition would decide with the given power, if the true difference is the observed one.
    ``None`` if that lies just where no number of them decides."""
    n_if_equal: int | None = None
    """Clusters that would PASS with the given power if there is no true difference."""


def non_inferiority(
    difference: ClusterTotals,
    margin: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    most: float | None = None,
) -> Decision:
    """PASS: the candidate is less than ``margin`` worse. FAIL: it is worse.

    Parameters
    ----------
    difference
        ``clustered.difference`` of candidate and reference, larger being better.
    margin
        Not negative, in the unit of the values. At 0, PASS means significantly better.
    alpha
        One-sided, of each of both tests.
    power
        That the two numbers of clusters give.
    most
        What a cluster can lose at most (100 for wins in percent), if there is such a bound. Then a margin that is worth
        fewer than three whole losses never passes: a set of so few clusters cannot exclude losses that rare, and no
        test of a mean keeps its level there (``benchmarks/coverage.py``).

    Notes
    -----
    With t the one-sided quantile: PASS if difference - t * stderr > -margin; else FAIL if difference + t * stderr < 0.
    A loss that is certain, but certainly smaller than the margin, passes.
    Losses that are seldom but whole (a few prompts of 80 that the candidate gets wrong) make differences skewed, and t
    pass too often. With k = (sum of cubed influences) / (sum of squared ones)^1.5, Hall's t + k (2 t^2 + 1) / 6 + k^2
    t^3 / 27 must reject as well, at 2 / variance(log variance) degrees of freedom, at most n - 1. With differences of
    one size in both directions both tests are the same.
    The numbers of clusters are n * ((z_alpha + z_power) * stderr / distance)^2, with the distance of the observed
    difference (or of 0) from a verdict's boundary: of PASS or of FAIL, whichever takes fewer; or more, as many as both
    tests need where differences of this skewness and kurtosis repeat themselves (``_t_reached``). Equal models are
    supposed to differ by as much and as unevenly, in the direction that is worse. A PASS takes as many as three whole
    losses ask for, and so does the FAIL of a loss within the margin, which fewer clusters leave open.

    Examples
    --------
    >>> from judgebench.stats.clustered import cluster_totals
    >>> difference = cluster_totals(np.random.default_rng(0).normal(0, 0.5, 400))
    >>> non_inferiority(difference, 0.1).verdict, non_inferiority(difference, 0.01).verdict
    ('PASS', 'INCONCLUSIVE')
    """
    _check(margin, alpha, power)
    value, stderr, count = difference.value, difference.stderr, difference.n_clusters
    if value is None or not stderr:
        return Decision("INCONCLUSIVE", value, count, missing_reason(difference))
    shape = _shape(difference.influence())
    passing, failing = _p_above((value + margin) / stderr, shape), _p_above(-value / stderr, shape.reversed)
    verdict, reason = _verdict(passing, failing, alpha), None
    needed = ceil(WHOLE_LOSSES * most / margin) if most is not None and margin > 0 else 0
    if count < needed:
        reason = (
            f"fewer than {WHOLE_LOSSES} items lost outright would use up the margin, and so few items cannot exclude "
            f"losses that rare: a PASS takes {needed}"
        )
        verdict = "INCONCLUSIVE" if verdict == "PASS" else verdict
    return Decision(
        verdict,
        value,
        count,
        reason,
        Interval.around(value, t_quantile(count - 1, 1 - 2 * alpha) * stderr, 1 - 2 * alpha, "clustered t"),
        *passing,
        *failing,
        *_clusters(value, stderr, shape, margin, alpha, power, needed),
    )


def unpaired_non_inferiority(
    difference: float, stderr: float, n: int, margin: float, *, alpha: float = 0.05, power: float = 0.8
) -> Decision:
    """``non_inferiority`` where only two numbers are known, such as a published one, and the error of their difference.

    ``stderr`` is the root of the summed squares of both errors, ``n`` the items behind the candidate's. The quantile is
    the normal one, and nothing is known of skewness. Numbers of items suppose that the whole error falls as n grows.

    Examples
    --------
    >>> unpaired_non_inferiority(-0.5, 1.4, 805, 5.0).verdict, unpaired_non_inferiority(-0.5, 1.4, 805, 1.0).n_to_decide
    ('PASS', 39020)
    """
    from scipy.special import ndtr, ndtri

    _check(margin, alpha, power)
    if not (isfinite(difference) and isfinite(stderr)):
        raise ValueError(f"the difference and its error are finite numbers; got {difference} and {stderr}")
    if not stderr > 0:
        reason = "the numbers come without an error, so their difference cannot be judged"
        return Decision("INCONCLUSIVE", difference, n, reason)
    passing, failing = (float(ndtr(-distance / stderr)) for distance in (difference + margin, -difference))
    half = float(ndtri(1 - alpha)) * stderr
    return Decision(
        _verdict((passing, passing), (failing, failing), alpha),
        difference,
        n,
        None,
        Interval.around(difference, half, 1 - 2 * alpha, "unpaired normal"),
        *(passing, passing),
        *(failing, failing),
        *_clusters(difference, stderr, _Shape(n), margin, alpha, power),
    )


def _check(margin: float, alpha: float, power: float) -> None:
    if not 0 <= margin < inf:
        raise ValueError(f"a margin is the largest loss that is accepted, finite and not negative; got {margin}")
    if not (0 < alpha < 0.5 and 0 < power < 1):
        raise ValueError(f"alpha lies between 0 and 0.5, power between 0 and 1; got {alpha} and {power}")


@dataclass(frozen=True)
class _Shape:
    """How unevenly clusters take part in a difference; nothing but their number if that is unknown."""

    count: int
    skewness: float = 0.0
    """Of the mean: it falls with the root of the number of clusters."""
    uncertainty: float | None = None
    """Variance of the logarithm of the squared error; it falls with the number of clusters. ``None``: unknown, and the
    quantiles are then normal."""

    @property
    def reversed(self) -> "_Shape":
        """That of the difference with the sign changed."""
        return replace(self, skewness=-self.skewness)

    @property
    def degrees(self) -> float:
        """Degrees of freedom of the corrected test."""
        return min(self.count - 1.0, 2 / max(self.uncertainty or 0.0, 1e-12))

    def repeated(self, count: int) -> "_Shape":
        """That of as many clusters as ``count`` of the same distribution."""
        share = self.count / count
        uncertainty = None if self.uncertainty is None else self.uncertainty * share
        return _Shape(count, self.skewness * sqrt(share), uncertainty)

    def corrected(self, t: float) -> float:
        """Hall's correction of a t statistic."""
        return t + self.skewness * (2 * t**2 + 1) / 6 + self.skewness**2 * t**3 / 27


def _shape(influence: FloatArray) -> _Shape:
    """The shape of a difference by ``influence``, shape (clusters,), each cluster's part in it."""
    parts = influence / np.abs(influence).max()
    squares = np.square(parts)
    skewness = float((parts**3).sum() / squares.sum() ** 1.5)
    return _Shape(len(parts), skewness, float(np.square(squares - squares.mean()).sum() / squares.sum() ** 2))


def _p_above(distance: float, shape: _Shape) -> tuple[float, float]:
    """One-sided p-values, Student's and corrected, of a distance above 0 in standard errors."""
    from scipy.special import stdtr

    # Beyond, p is 0 or 1 anyway, and the cube is too large for a float.
    t = min(max(distance, -1e9), 1e9)
    return float(stdtr(shape.count - 1, -t)), float(stdtr(shape.degrees, -shape.corrected(t)))


def _verdict(passing: tuple[float, float], failing: tuple[float, float], alpha: float) -> Verdict:
    if max(passing) < alpha:
        return "PASS"
    return "FAIL" if max(failing) < alpha else "INCONCLUSIVE"


def _clusters(
    value: float, stderr: float, shape: _Shape, margin: float, alpha: float, power: float, least: int = 0
) -> list[int | None]:
    """``Decision.n_to_decide`` and ``Decision.n_if_equal``; a PASS takes at least ``least``."""
    from scipy.special import ndtri

    units = float(ndtri(1 - alpha) + ndtri(power)) * stderr

    def needed(distance: float, shape: _Shape, least: int) -> int | None:
        # Nearer than a millionth of the error no set of prompts is large enough.
        if distance <= 1e-6 * stderr:
            return None
        plain = max(2, least, ceil(shape.count * (units / distance) ** 2))
        return plain if shape.uncertainty is None else _fewest(plain, distance / stderr, shape, alpha, power)

    worse = replace(shape, skewness=-abs(shape.skewness))
    # A loss within the margin: where PASS would be the verdict and is withheld, there is no FAIL.
    least_to_fail = least if value + margin > 0 else 0
    verdicts = [needed(value + margin, shape, least), needed(-value, shape.reversed, least_to_fail)]
    return [min((n for n in verdicts if n is not None), default=None), needed(margin, worse, least)]


def _fewest(least: int, distance: float, shape: _Shape, alpha: float, power: float) -> int:
    """The fewest clusters, at least ``least``, that decide; ``distance`` is in standard errors of ``shape``'s."""

    def decides(count: int, power: float = power) -> bool:
        repeated = shape.repeated(count)
        t = _t_reached(distance * sqrt(count / shape.count), repeated, power)
        return max(_p_above(t, repeated)) < alpha

    if decides(least, power - SLACK):
        return least
    above = 2 * least
    while not decides(above):
        above *= 2
    below = max(least - 1, above // 2)
    while above - below > 1:
        middle = (above + below) // 2
        below, above = (below, middle) if decides(middle) else (middle, above)
    return above


def _t_reached(distance: float, shape: _Shape, power: float) -> float:
    """The t statistic that a share ``power`` of repetitions reach whose true difference is a ``distance`` above 0.

    Its error is estimated from the same clusters, so t varies by 1 - distance * skewness + distance^2 * uncertainty / 4
    (the delta method): losses that are rare and whole widen the error just where they lower the difference.
    """
    from scipy.special import ndtri

    variance = 1 - distance * shape.skewness + distance**2 * (shape.uncertainty or 0.0) / 4
    return distance - float(ndtri(power)) * sqrt(max(0.0, variance))
