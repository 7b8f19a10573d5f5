"""Win rates corrected for a judge's known error rates, from verdicts of the judge and a few human labels elsewhere.

A judge that says "win" on a share q1 of what humans call wins (sensitivity) and "loss" on a share q0 of what they call
losses (specificity) reports, of a model whose true win rate is theta,

    p = theta q1 + (1 - theta) (1 - q0),    so that    theta = (p + q0 - 1) / J,    J = q0 + q1 - 1.           (1)

The error rates may come from labels of *other* models' answers, as long as the judge errs alike on these. With labels
of the very answers that are scored, :mod:`judgebench.stats.prediction_powered` is the better tool. Ties are dropped
before.

The interval
------------
``corrected_win_rate`` inverts the likelihood ratio: with wins w of N, t1 of m1 and t0 of m0 binomial,

    the theta whose best q0, q1 have a log likelihood within chi2 / 2 of that of the best theta of [0, 1]      (2)

where t1 and t0 count half a success and half a failure more. It needs no division by J. As J nears 0 it grows to all of
[0, 1], which is what such a judge says about theta; it has a width where p is more extreme than the judge's own error
rates allow, and where the judge got all of a handful of labels right.

The published formula (Lang and Reiczigel) divides by J, and both of its ends can be cut off at the same bound: near
J = 0, and near win rates of 0 and 1, it gives no interval.

References
----------
Rogan, Gladen: Estimating prevalence from the results of a screening test. American Journal of Epidemiology 107, 1978.
Lang, Reiczigel: Confidence limits for prevalence of disease adjusted for estimated sensitivity and specificity.
Preventive Veterinary Medicine 113, 2014 (the published formula).
Lee, Zeng, Sohn, Lee: How to correctly report LLM-as-a-judge evaluations. arXiv:2511.21140, 2025;
UW-Madison-Lee-Lab/LLM-judge-reporting@082884d:llm_judge_reporting/calibration.py.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from judgebench.stats.arrays import FloatArray, columns
from judgebench.stats.intervals import Interval, check_level

# Below this J a point estimate multiplies errors by more than ten.
_LEAST_INFORMATIVE = 0.1
# Candidate win rates at once.
_STEPS = 200
_MOST_STEPS = 100
# Jeffreys' half an observation, of each kind and on each side.
_HALF = 0.5


@dataclass(frozen=True)
class JudgeErrors:
    """What a judge gets right, by what humans say."""

    sensitivity: float
    """q1: share of the human wins that the judge calls wins."""
    wins: int
    """m1: human wins looked at."""
    specificity: float
    """q0: share of the human losses that the judge calls losses."""
    losses: int
    """m0."""

    @property
    def informedness(self) -> float:
        """J = q0 + q1 - 1: 1 for a perfect judge, 0 for one that says nothing."""
        return self.sensitivity + self.specificity - 1


@dataclass(frozen=True)
class CorrectedWinRate:
    """A win rate as humans would have given it."""

    value: float | None
    """Equation (1), cut off at 0 and 1; ``None`` if J is below 0.1."""
    interval: Interval
    judged: float
    """p: the judge's own win rate."""
    reason: str | None
    """Why there is no value."""


def judge_errors(labels: ArrayLike, verdicts: ArrayLike) -> JudgeErrors | None:
    """Error rates from human labels and the judge's verdicts on the same items, shapes (n,): 1 win, 0 loss.

    ``None`` without a human win or without a human loss: one of the rates cannot be estimated then.

    >>> judge_errors([1, 1, 1, 0, 0], [1, 1, 0, 0, 0])
    JudgeErrors(sensitivity=0.6666666666666666, wins=3, specificity=1.0, losses=2)
    """
    human, judge = columns(labels, verdicts)
    if not (np.isin(human, (0, 1)).all() and np.isin(judge, (0, 1)).all()):
        raise ValueError("labels and verdicts are 1 (win) or 0 (loss): leave out ties and unread verdicts")
    won = human == 1
    if won.all() or not won.any():
        return None
    sensitivity, specificity = float(judge[won].mean()), float(1 - judge[~won].mean())
    return JudgeErrors(sensitivity, int(won.sum()), specificity, int((~won).sum()))


def corrected_win_rate(judged: float, n: int, errors: JudgeErrors, *, level: float = 0.95) -> CorrectedWinRate:
    """The human win rate behind a judge's win rate ``judged`` over ``n`` items, with the interval (2).

    Examples
    --------
    A judge that calls 40 % wins, but misses few of them:

    >>> result = corrected_win_rate(0.4, 1000, JudgeErrors(0.9, 200, 0.7, 200))
    >>> round(result.value, 3), round(result.interval.low, 3), round(result.interval.high, 3)
    (0.167, 0.05, 0.259)

    One that says next to nothing:

    >>> result = corrected_win_rate(0.55, 500, JudgeErrors(0.52, 50, 0.5, 50))
    >>> result.value, round(result.interval.low, 3), round(result.interval.high, 3)
    (None, 0.0, 1.0)
    >>> result.reason
    'the judge hardly tells wins from losses: sensitivity + specificity - 1 is 0.02, below 0.1'
    """
    _check(judged, n, errors, level)
    gain = errors.informedness
    value, reason = None, None
    if gain < _LEAST_INFORMATIVE:
        reason = (
            f"the judge hardly tells wins from losses: sensitivity + specificity - 1 is {gain:.2g}, "
            f"below {_LEAST_INFORMATIVE}"
        )
    else:
        value = min(max((judged + errors.specificity - 1) / gain, 0.0), 1.0)
    low, high = _likelihood_interval(judged, n, errors, level)
    return CorrectedWinRate(value, Interval(low, high, level, "profile likelihood"), judged, reason)


def _likelihood_interval(judged: float, n: int, errors: JudgeErrors, level: float) -> tuple[float, float]:
    """The ends of (2)."""
    from scipy.optimize import brentq

    grid = np.linspace(0, 1, _STEPS + 1)
    best = int(_profile(grid, judged, n, errors).argmax())
    # The maximum lies within a step of the best candidate, or at it.
    around = np.linspace(grid[max(best - 1, 0)], grid[min(best + 1, _STEPS)], _STEPS + 1)
    grid = np.union1d(grid, around)
    profile = _profile(grid, judged, n, errors)
    floor = float(profile.max()) - NormalDist().inv_cdf((1 + level) / 2) ** 2 / 2
    inside = np.flatnonzero(profile >= floor)
    first, last = int(inside[0]), int(inside[-1])

    def above(theta: float) -> float:
        return float(_profile(np.array([theta]), judged, n, errors)[0]) - floor

    low = brentq(above, grid[first - 1], grid[first]) if first else 0.0
    high = brentq(above, grid[last], grid[last + 1]) if last < len(grid) - 1 else 1.0
    return float(low), float(high)


def _profile(theta: FloatArray, judged: float, n: int, errors: JudgeErrors) -> FloatArray:
    """Log likelihood of each theta at its best q0 and q1; shape (k,).

    It is concave in (q0, q1), because p is linear in them: Newton steps, halved until they stay inside (0, 1) and gain.
    """
    wins, losses = n * judged, n * (1 - judged)
    right1, wrong1 = errors.wins * errors.sensitivity + _HALF, errors.wins * (1 - errors.sensitivity) + _HALF
    right0, wrong0 = errors.losses * errors.specificity + _HALF, errors.losses * (1 - errors.specificity) + _HALF

    def likelihood(q1: FloatArray, q0: FloatArray) -> FloatArray:
        share, loss = theta * q1 + (1 - theta) * (1 - q0), theta * (1 - q1) + (1 - theta) * q0
        kept = right1 * np.log(q1) + wrong1 * np.log1p(-q1) + right0 * np.log(q0) + wrong0 * np.log1p(-q0)
        return np.asarray(wins * np.log(share) + losses * np.log(loss) + kept)

    q1, q0 = np.full(len(theta), right1 / (right1 + wrong1)), np.full(len(theta), right0 / (right0 + wrong0))
    value = likelihood(q1, q0)
    for _ in range(_MOST_STEPS):
        share, loss = theta * q1 + (1 - theta) * (1 - q0), theta * (1 - q1) + (1 - theta) * q0
        slope, bend = wins / share - losses / loss, wins / share**2 + losses / loss**2
        slope1 = theta * slope + right1 / q1 - wrong1 / (1 - q1)
        slope0 = (theta - 1) * slope + right0 / q0 - wrong0 / (1 - q0)
        bend1 = theta**2 * bend + right1 / q1**2 + wrong1 / (1 - q1) ** 2
        bend0 = (1 - theta) ** 2 * bend + right0 / q0**2 + wrong0 / (1 - q0) ** 2
        both = theta * (theta - 1) * bend
        determinant = bend1 * bend0 - both**2
        step1 = (bend0 * slope1 - both * slope0) / determinant
        step0 = (bend1 * slope0 - both * slope1) / determinant
        gain = step1 * slope1 + step0 * slope0
        if gain.max() < 1e-12:
            break
        # At most 0.9 of the way to a bound of q1 or q0.
        room1 = np.where(step1 > 0, 1 - q1, q1) / np.maximum(np.abs(step1), 1e-300)
        room0 = np.where(step0 > 0, 1 - q0, q0) / np.maximum(np.abs(step0), 1e-300)
        length = np.minimum(1.0, 0.9 * np.minimum(room1, room0))
        tried = likelihood(q1 + length * step1, q0 + length * step0)
        # A gain this small is rounding.
        while (short := (tried < value + 0.1 * length * gain) & (gain > 1e-9)).any():
            length = np.where(short, length / 2, length)
            tried = likelihood(q1 + length * step1, q0 + length * step0)
        q1, q0, value = q1 + length * step1, q0 + length * step0, tried
    return value


def _check(judged: float, n: int, errors: JudgeErrors, level: float) -> None:
    if n < 1 or not 0 <= judged <= 1:
        raise ValueError(f"a win rate between 0 and 1 over at least one item is corrected; got {judged} over {n}")
    if errors.wins < 1 or errors.losses < 1:
        raise ValueError(
            f"error rates need human wins and human losses; got {errors.wins} wins and {errors.losses} losses"
        )
    if not (0 <= errors.sensitivity <= 1 and 0 <= errors.specificity <= 1):
        raise ValueError("sensitivity and specificity lie between 0 and 1")
    check_level(level)
