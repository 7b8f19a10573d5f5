"""The official number of a new model, predicted from a judge of today by way of models that both judges have judged.

An official judge that nobody serves any more cannot judge a new model. Its numbers of M *bridge models* are published;
a judge of today judges their answers too. With x a model's *judged* number, y its *official* one, and both metrics
between ``low`` and ``high``,

    u = logit((x - low) / (high - low)), v likewise of y, shares clipped to [0.0025, 0.9975], c = mean(u)       (1)
    v = a + b (u - c) + e,    e ~ N(0, tau^2),    a flat,    b ~ N(1, 0.5^2)                                    (2)
    w = S / (S + 4 tau^2), S = sum (u - c)^2;    a = mean(v),    b = 1 + w (b_OLS - 1)                          (3)
    tau^2 = sum (v - a - b (u - c))^2 / df, df = M - 1 - w;    repeated with (3) until it is settled            (4)
    new model:    z = a + b (u0 - c),    se^2 = tau^2 + tau^2 / M + (u0 - c)^2 var(b) + b^2 max(0, q0 - q)      (5)
    value = low + (high - low) expit(z),    interval: the same of z +- t_df se                                  (6)

tau is how far a model's official number strays from what the judge's number makes one expect; 1 + w parameters are
effectively fitted (MacKay). (4) starts from tau^2 = var(v - u) and stops at a floor of 1e-8. In (5), q is the sampling
variance of u where the judge saw a part of the items only, and the mean of the bridge models' q's is already in tau.
The value is the median of its predictive distribution.

What the interval covers
------------------------
Sampling of items is no part of it: the official number aimed at is that of these very items. Models must be
exchangeable: a new kind of model, one trained against the judge or one that the judge picked, is covered by no
interval. ``benchmarks/README.md`` has the coverage by simulation; :func:`leave_one_out` shows it on the bridge itself.

Bridge like to like: a length-controlled rate from the length-controlled rate by the judge of today. A map from single
verdicts to official verdicts, averaged over the items of a new model, is biased to the middle: the noise of verdicts
flattens the slope within models, and what is needed is the slope between them.

References
----------
Lindley, Smith: Bayes estimates for the linear model. Journal of the Royal Statistical Society B 34, 1972.
MacKay: Bayesian interpolation. Neural Computation 4, 1992 (effective number of parameters).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgebench.stats.arrays import FloatArray, columns
from judgebench.stats.bridge_rules import (
    MOST_NOISE,
    Findings,
    evidence_rule,
    models_rule,
    range_rule,
    saturation_rule,
)
from judgebench.stats.correlation import correlation
from judgebench.stats.intervals import Interval, check_level

METHOD = "judge bridge, logit, t"
SLOPE_SD = 0.5
_CLIP = 0.0025
_FEWEST = 3
_FLOOR = 1e-8
_SETTLED = 1e-11
_MOST_STEPS = 100_000
# A distance beyond the range that rounding alone makes.
_NO_DISTANCE = 1e-9
# A difference of verdicts that is none.
_NO_SPREAD = 1e-12


@dataclass(frozen=True)
class Line:
    """Equations (3) and (4): how official logits go with judged ones."""

    centre: float
    """c."""
    intercept: float
    """a, the official logit at the centre."""
    slope: float
    covariance: tuple[tuple[float, float], tuple[float, float]]
    """Of intercept and slope; they are uncorrelated, because u is centred."""
    tau: float
    """Scatter of the models about the line."""
    df: float
    """Degrees of freedom, between M - 2 and M - 1."""

    def at(self, u: float, sampling: float = 0.0) -> tuple[float, float]:
        """Equation (5): the official logit of a model judged ``u``, and its standard error as a prediction.

        ``sampling`` is the sampling variance of ``u`` beyond the bridge models'.
        """
        away = u - self.centre
        variance = self.covariance[0][0] + away**2 * self.covariance[1][1]
        return self.intercept + self.slope * away, float(
            np.sqrt(self.tau**2 + variance + self.slope**2 * max(sampling, 0.0))
        )


@dataclass(frozen=True)
class LeftOut:
    """A bridge model as the others predict it."""

    predicted: float
    stderr_logit: float
    df: float
    low95: float
    high95: float
    low90: float
    high90: float
    official: float
    covered95: bool
    covered90: bool
    t: float
    """How many standard errors the official logit lies above the predicted one."""
    outlier: bool
    """R8: |t| beyond the 1 - 0.025 / M quantile. Look at it; the fit keeps it."""


@dataclass(frozen=True)
class LeaveOneOut:
    """The bridge's models, each predicted from the others, and what that says of the bridge."""

    models: tuple[LeftOut, ...]
    """In the order of the data; none with fewer than four models."""
    coverage95: float | None = None
    """Share of the models in their 95 % intervals: quote it as "7 of 8"."""
    coverage90: float | None = None
    median_half_width95: float | None = None
    """In the unit of the metric, as the next three."""
    mean_absolute_error: float | None = None
    median_absolute_error: float | None = None
    raw_mean_absolute_error: float | None = None
    """Of the judge's number as it is."""
    explained: float | None = None
    """1 - squared errors over those of the others' mean, on logits; ``None`` if the official numbers are all equal."""
    spearman: float | None = None
    """Of judged and official numbers; ``None`` if one side is constant."""
    reason: str | None = None
    """Why there is nothing."""


@dataclass(frozen=True)
class Prediction:
    """An official number that was never measured."""

    value: float | None
    """``None`` if refused."""
    interval: Interval | None
    reasons: tuple[str, ...]
    """Codes of ``bridge_rules.WORDS``: why it is refused. They stay where ``force`` gives it all the same."""
    marks: tuple[str, ...]
    """What must stand beside the number."""
    distance: float | None
    """How far the judged number lies beyond the bridge's, in units of their range; ``None`` without a range."""
    logit: float | None
    stderr_logit: float | None
    df: float | None

    @property
    def status(self) -> Literal["ok", "extrapolated", "refused"]:
        """What the rules say of it, forced or not."""
        if self.reasons:
            return "refused"
        return "extrapolated" if "extrapolated" in self.marks else "ok"


@dataclass(frozen=True)
class PredictedDifference:
    """Of two models predicted by one bridge, whose errors they share; on the logit scale."""

    difference_logit: float | None
    """First less second; ``None`` if the bridge refuses one of them."""
    stderr_logit: float | None
    df: float | None
    interval: Interval | None
    probability_first_better: float | None
    """That the first one's official number is the higher one."""
    reasons: tuple[str, ...]
    marks: tuple[str, ...]


@dataclass(frozen=True)
class BridgeFit:
    """A bridge of M models, and what the rules say of it."""

    n: int
    """M."""
    low: float
    high: float
    line: Line | None
    """``None`` with fewer than three models."""
    judged_range: tuple[float, float] | None
    """Least and greatest judged number."""
    median_official: float | None
    sampling: float
    """Mean sampling variance of the judged logits; 0 if all items were judged."""
    loo: LeaveOneOut
    reasons: tuple[str, ...]
    """Why every prediction is refused."""
    marks: tuple[str, ...]

    @property
    def status(self) -> Literal["usable", "weak", "refused"]:
        """What the rules say of the bridge."""
        if self.reasons:
            return "refused"
        return "weak" if "weak" in self.marks else "usable"

    @property
    def centre(self) -> float | None:
        """Mean judged logit."""
        return None if self.line is None else self.line.centre

    @property
    def intercept(self) -> float | None:
        """Official logit at the centre."""
        return None if self.line is None else self.line.intercept

    @property
    def slope(self) -> float | None:
        """Of official logits on judged ones."""
        return None if self.line is None else self.line.slope

    @property
    def covariance(self) -> tuple[tuple[float, float], tuple[float, float]] | None:
        """Of intercept and slope."""
        return None if self.line is None else self.line.covariance

    @property
    def tau(self) -> float | None:
        """Scatter of the models about the line, on the logit scale."""
        return None if self.line is None else self.line.tau

    @property
    def df(self) -> float | None:
        """Degrees of freedom."""
        return None if self.line is None else self.line.df

    def predict(
        self,
        judged: float,
        level: float = 0.95,
        *,
        judged_stderr: float = 0.0,
        findings: Findings | None = None,
        force: bool = False,
    ) -> Prediction:
        """The official number of a model of which the judge of today says ``judged``.

        Parameters
        ----------
        judged
            On the same items as the bridge models', in the unit of ``low`` and ``high``.
        level
            Nominal coverage.
        judged_stderr
            Standard error of ``judged`` from the choice of items; 0 if all items were judged.
        findings
            What rules said that need more than numbers, such as ``bridge_rules.vendor_rule``.
        force
            Give the number though it is refused, marked ``forced``.

        Examples
        --------
        >>> fit = fit_bridge([10, 20, 30, 40, 55, 70], [14, 22, 36, 41, 60, 68])
        >>> found = fit.predict(35)
        >>> f"{found.value:.1f} ({found.interval.low:.1f} to {found.interval.high:.1f}) {found.marks}"
        "38.6 (30.3 to 47.5) ('weak',)"
        >>> fit.predict(95).value, fit.predict(95).reasons
        (None, ('out_of_range',))
        """
        check_level(level)
        u, sampling, distance, found = self._judged(judged, judged_stderr)
        found = Findings(self.reasons, self.marks) + found + (findings or Findings())
        if self.line is None or (found.reasons and not force):
            return Prediction(None, None, found.reasons, found.marks, distance, None, None, None)
        if found.reasons:
            found += Findings((), ("forced",))
        z, stderr = self.line.at(u, sampling - self.sampling)
        low, value, high = _points(z + _quantile(self.line.df, level) * stderr * np.arange(-1, 2), self.low, self.high)
        interval = Interval(low, high, level, METHOD)
        return Prediction(value, interval, found.reasons, found.marks, distance, z, stderr, self.line.df)

    def difference(
        self,
        first: float,
        second: float,
        level: float = 0.95,
        *,
        findings: Findings | None = None,
        force: bool = False,
    ) -> PredictedDifference:
        """How two models that the judge of today gives ``first`` and ``second`` differ officially.

        Two intervals say nothing about it: the models share the error of the line. Both must have been judged on all
        items. ``findings`` and ``force`` are :meth:`predict`'s.

        >>> fit = fit_bridge([10, 20, 30, 40, 55, 70], [14, 22, 36, 41, 60, 68])
        >>> found = fit.difference(40, 30)
        >>> f"{found.difference_logit:.2f}, the first is better with probability {found.probability_first_better:.2f}"
        '0.39, the first is better with probability 0.96'
        """
        from scipy.special import stdtr

        check_level(level)
        both = [self._judged(judged, 0.0) for judged in (first, second)]
        found = Findings(self.reasons, self.marks) + both[0][3] + both[1][3] + (findings or Findings())
        if self.line is None or (found.reasons and not force):
            return PredictedDifference(None, None, None, None, None, found.reasons, found.marks)
        if found.reasons:
            found += Findings((), ("forced",))
        gap, line = both[0][0] - both[1][0], self.line
        value, stderr = line.slope * gap, float(np.sqrt(2 * line.tau**2 + gap**2 * line.covariance[1][1]))
        interval = Interval.around(value, _quantile(line.df, level) * stderr, level, METHOD)
        better = float(stdtr(line.df, value / stderr))
        return PredictedDifference(value, stderr, line.df, interval, better, found.reasons, found.marks)

    def from_official(
        self,
        judged: float,
        official: float,
        level: float = 0.95,
        *,
        findings: Findings | None = None,
        force: bool = False,
    ) -> PredictedDifference:
        """How a model that the judge of today gives ``judged`` differs from one whose ``official`` number is published.

        The published number is exact, so the error is that of the prediction alone. ``judged`` is of all items.

        >>> fit = fit_bridge([10, 20, 30, 40, 55, 70], [14, 22, 36, 41, 60, 68])
        >>> found = fit.from_official(40, 36)
        >>> f"{found.difference_logit:.2f}, the first is better with probability {found.probability_first_better:.2f}"
        '0.30, the first is better with probability 0.96'
        """
        from scipy.special import stdtr

        made = self.predict(judged, level, findings=findings, force=force)
        if made.logit is None or made.stderr_logit is None or made.df is None:
            return PredictedDifference(None, None, None, None, None, made.reasons, made.marks)
        (other,) = _logits(np.array([official]), self.low, self.high)[0]
        value, stderr = made.logit - float(other), made.stderr_logit
        interval = Interval.around(value, _quantile(made.df, level) * stderr, level, METHOD)
        better = float(stdtr(made.df, value / stderr))
        return PredictedDifference(value, stderr, made.df, interval, better, made.reasons, made.marks)

    def forecast(self, models: float, level: float = 0.95) -> float | None:
        """Half the width, about, of intervals by a bridge of so many ``models`` like these; ``inf`` is allowed.

        At the bridge's median official number, in the metric's unit. ``None`` without a fit.

        >>> fit = fit_bridge([10, 20, 30, 40, 55, 70], [14, 22, 36, 41, 60, 68])
        >>> [round(fit.forecast(models), 1) for models in (6, 12, 20, np.inf)]
        [9.0, 6.9, 6.3, 5.7]
        """
        check_level(level)
        if models < _FEWEST:
            raise ValueError(f"a forecast is for at least {_FEWEST} models, got {models}")
        if self.line is None or self.median_official is None:
            return None
        share = (self.median_official - self.low) / (self.high - self.low)
        return (self.high - self.low) * forecast_half_width(models, self.line.tau, share, level)

    def _judged(self, judged: float, stderr: float) -> tuple[float, float, float | None, Findings]:
        """Logit, its sampling variance, distance beyond the range, and what the rules say of a judged number."""
        (number,), (error,) = columns([judged], [stderr])
        u, clipped = _logits(np.array([number]), self.low, self.high)
        found = saturation_rule(int(clipped.sum()), 1)
        distance = None
        if self.judged_range is not None:
            ends, _ = _logits(np.array(self.judged_range), self.low, self.high)
            distance = _distance(float(u[0]), float(ends[0]), float(ends[1]))
            found = range_rule(distance) + found
        sampling = _sampling(np.array([number]), np.array([error]), self.low, self.high)
        return float(u[0]), float(sampling[0]), distance, found


def forecast_half_width(models: float, tau: float, share: float, level: float = 0.95) -> float:
    """Half the width, about, of intervals by a bridge of so many models, as a share of the metric's range.

    ``tau`` is how far the two judges differ about a model, on the logit scale; ``share`` is where in the range the
    official number lies.

    >>> [round(100 * forecast_half_width(models, 0.2, 0.5), 1) for models in (8, 20, np.inf)]
    [13.3, 10.9, 9.8]
    """
    return float(share * (1 - share) * _quantile(models - 2, level) * tau * np.sqrt(1 + 1.5 / models))


def fit_bridge(
    judged: ArrayLike,
    official: ArrayLike,
    *,
    low: float = 0.0,
    high: float = 100.0,
    judged_stderr: ArrayLike | None = None,
) -> BridgeFit:
    """The bridge over M models from their ``judged`` and ``official`` numbers, shapes (M,).

    Parameters
    ----------
    judged, official
        The same metric of the same answers, by the judge of today and as published. Leave out models of the judges'
        own vendors if these differ (``bridge_rules.vendor_rule``), and those made to please a judge.
    low, high
        Least and greatest possible value of the metric: 0 and 100 for rates, the scale for mean grades.
    judged_stderr
        Standard errors of ``judged`` from the choice of items, shape (M,), such as :func:`controlled_mean`'s; by
        default all items were judged.

    Raises
    ------
    ValueError
        If numbers are missing, not finite or outside the range.

    Examples
    --------
    >>> fit = fit_bridge([10, 20, 30, 40, 55, 70], [14, 22, 36, 41, 60, 68])
    >>> round(fit.slope, 3), round(fit.tau, 3), round(fit.loo.explained, 2), fit.status
    (0.883, 0.123, 0.98, 'weak')
    >>> fit_bridge([10, 20, 30, 40], [14, 22, 36, 41]).reasons
    ('too_few_models',)
    """
    x, y, errors = _checked(judged, official, judged_stderr)
    u, clipped = _logits(x, low, high)
    v, _ = _logits(y, low, high)
    q = _sampling(x, errors, low, high)
    loo = _left_out(x, y, u, v, q, low, high)
    found = models_rule(len(x)) + saturation_rule(int(clipped.sum()), len(x))
    if len(x) < _FEWEST:
        return BridgeFit(len(x), low, high, None, None, None, 0.0, loo, (*found.reasons, "no_fit"), found.marks)
    if loo.models:
        found += evidence_rule(loo.explained)
    if q.mean() > MOST_NOISE * u.var(ddof=1):
        found += Findings((), ("flattened",))
    return BridgeFit(
        n=len(x),
        low=low,
        high=high,
        line=shrunk_line(u, v),
        judged_range=(float(x.min()), float(x.max())),
        median_official=float(np.median(y)),
        sampling=float(q.mean()),
        loo=loo,
        reasons=found.reasons,
        marks=found.marks,
    )


def leave_one_out(
    judged: ArrayLike,
    official: ArrayLike,
    *,
    low: float = 0.0,
    high: float = 100.0,
    judged_stderr: ArrayLike | None = None,
) -> LeaveOneOut:
    """Each model predicted by a bridge of the others; arguments as in :func:`fit_bridge`, which also calls it.

    >>> found = leave_one_out([10, 20, 30, 40, 55, 70], [14, 22, 36, 41, 60, 68])
    >>> sum(model.covered95 for model in found.models), round(found.mean_absolute_error, 1)
    (6, 2.9)
    """
    x, y, errors = _checked(judged, official, judged_stderr)
    (u, _), (v, _) = _logits(x, low, high), _logits(y, low, high)
    return _left_out(x, y, u, v, _sampling(x, errors, low, high), low, high)


def shrunk_line(u: ArrayLike, v: ArrayLike, *, slope_sd: float = SLOPE_SD) -> Line:
    """Equations (3) and (4) on logits ``u`` and ``v``, shapes (M,), with the slope's prior N(1, ``slope_sd``^2).

    As ``slope_sd`` grows, this is ordinary least squares; as it vanishes, a shift. With slopes beyond 2 or so and fewer
    than eight models, (4) may have several solutions; that which is reached from var(v - u) is taken.

    >>> line = shrunk_line([-1, 0, 1, 2], [-1.2, -0.1, 0.7, 1.6], slope_sd=1e6)
    >>> round(line.slope, 2), round(line.df, 6)
    (0.92, 2.0)
    """
    one, other = columns(u, v)
    n = len(one)
    if n < _FEWEST:
        raise ValueError(f"a line with a scatter needs at least {_FEWEST} models, got {n}")
    centre, level = float(one.mean()), float(other.mean())
    away = one - centre if np.ptp(one) > 0 else np.zeros(n)
    spread = float(away @ away)
    steepness = float(away @ other) / spread if spread > 0 else 1.0
    unexplained = float(np.square(other - level - steepness * away).sum())
    prior = slope_sd**-2
    variance = max(float((other - one).var(ddof=1)), _FLOOR)
    for _ in range(_MOST_STEPS):
        weight = spread / (spread + prior * variance)
        slope, df = 1 + weight * (steepness - 1), n - 1 - weight
        settled = max((unexplained + (slope - steepness) ** 2 * spread) / df, _FLOOR)
        if abs(settled - variance) <= _SETTLED * variance:
            covariance = ((settled / n, 0.0), (0.0, 1 / (spread / settled + prior)))
            return Line(centre, level, slope, covariance, settled**0.5, df)
        variance = settled
    raise ValueError(f"the scatter about the line was not settled after {_MOST_STEPS} steps")


@dataclass(frozen=True)
class ControlledMean:
    """The judge's mean over all items, from a random part of them."""

    value: float | None
    """``None`` if nothing was judged."""
    stderr: float | None
    """From the choice of items alone; ``None`` with fewer than two, 0 if all were judged."""
    weight: float | None
    """w of :func:`controlled_mean`."""
    k: int
    """Items judged."""
    n: int
    """All items."""
    reason: str | None
    """Why a number is missing."""


def controlled_mean(judged: ArrayLike, official: ArrayLike, others: ArrayLike) -> ControlledMean:
    """The judge's mean over all n items of a bridge model, of which it judged k drawn at random.

    The official verdicts, known for all items, say whether easy ones were drawn:

        w = cov(J, Y) / var(Y), clipped to [0, 1];    value = mean_k(J) + w (mean_n(Y) - mean_k(Y))             (7)
        stderr^2 = (1 - k / n) var(J - w Y) / k

    Parameters
    ----------
    judged
        J: the judge's verdicts, shape (k,), as shares of a win or grades.
    official
        Y of the same items, shape (k,). Where they are not known, zeros here and in ``others`` give the plain mean.
    others
        Y of the items that were not judged, shape (n - k,).

    Notes
    -----
    Cochran: Sampling Techniques, 3rd edition 1977, chapter 7 (regression estimator). Variances have ddof 1.

    Examples
    --------
    >>> found = controlled_mean([1, 0, 1, 0], [1, 0, 1, 1], [0, 0, 1, 0, 1, 0])
    >>> round(found.value, 3), round(found.stderr, 3), round(found.weight, 3)
    (0.333, 0.183, 0.667)
    """
    mine, known = columns(judged, official)
    (rest,) = columns(others)
    k, n = len(mine), len(mine) + len(rest)
    if k < 2:
        reason = "a standard error needs at least two judged items" if k else "no item was judged"
        return ControlledMean(float(mine[0]) if k else None, 0.0 if k == n == 1 else None, None, k, n, reason)
    varies = np.ptp(known) > _NO_SPREAD
    weight = float(np.clip(np.cov(mine, known)[0, 1] / known.var(ddof=1), 0, 1)) if varies else 0.0
    value = float(mine.mean() + weight * (np.concatenate([known, rest]).mean() - known.mean()))
    variance = (1 - k / n) * float((mine - weight * known).var(ddof=1)) / k
    return ControlledMean(value, variance**0.5, weight, k, n, None)


def spread_models(official: ArrayLike, count: int, *, official_stderr: ArrayLike | None = None) -> tuple[int, ...]:
    """Which ``count`` of the candidates with these ``official`` numbers, shape (n,), to judge: places, ascending by y.

    The sorted candidates are cut into ``count`` groups of about the same size, and of each group the one nearest to
    its median is taken. Of equally near ones it is that with the least ``official_stderr``, then the earlier one.

    >>> spread_models([50, 10, 20, 90, 30, 80], 2)
    (2, 5)
    """
    numbers, errors = columns(
        official, np.zeros_like(official, dtype=float) if official_stderr is None else official_stderr
    )
    if not 1 <= count <= len(numbers):
        raise ValueError(f"{count} bridge models cannot be chosen from {len(numbers)} candidates")
    chosen = []
    for group in np.array_split(np.argsort(numbers, kind="stable"), count):
        far = np.round(np.abs(numbers[group] - np.median(numbers[group])), 9)
        chosen.append(int(group[np.lexsort((group, errors[group], far))[0]]))
    return tuple(chosen)


def _checked(judged: ArrayLike, official: ArrayLike, stderr: ArrayLike | None) -> tuple[FloatArray, ...]:
    x, y = columns(judged, official)
    return columns(x, y, np.zeros(len(x)) if stderr is None else stderr)


def _logits(values: FloatArray, low: float, high: float) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Equation (1), and which values were clipped."""
    if not low < high:
        raise ValueError(f"low and high are the least and the greatest possible value; got {low} and {high}")
    if ((values < low) | (values > high)).any():
        raise ValueError(f"some numbers lie outside the metric's range, {low:g} to {high:g}")
    shares = (values - low) / (high - low)
    kept = np.clip(shares, _CLIP, 1 - _CLIP)
    logits: FloatArray = np.log(kept / (1 - kept))
    return logits, shares != kept


def _sampling(values: FloatArray, stderr: FloatArray, low: float, high: float) -> FloatArray:
    """q: sampling variances of the logits, from standard errors in the metric's unit."""
    if (stderr < 0).any():
        raise ValueError("standard errors are not negative")
    shares = np.clip((values - low) / (high - low), _CLIP, 1 - _CLIP)
    variances: FloatArray = np.square(stderr / (high - low) / (shares * (1 - shares)))
    return variances


def _points(z: NDArray[np.floating], low: float, high: float) -> tuple[float, ...]:
    """Equation (6): logits in the metric's unit."""
    from scipy.special import expit

    return tuple((low + (high - low) * expit(z)).tolist())


def _quantile(df: float, level: float) -> float:
    from scipy.special import ndtri, stdtrit

    share = (1 + level) / 2
    return float(ndtri(share) if np.isinf(df) else stdtrit(df, share))


def _distance(u: float, least: float, greatest: float) -> float | None:
    """How far ``u`` lies beyond the range, in units of it; ``None`` if there is no range and it is not on its point."""
    beyond = max(least - u, u - greatest, 0.0)
    if greatest - least <= _NO_DISTANCE:
        return 0.0 if beyond <= _NO_DISTANCE else None
    relative = beyond / (greatest - least)
    return relative if relative > _NO_DISTANCE else 0.0


def _left_out(
    x: FloatArray, y: FloatArray, u: FloatArray, v: FloatArray, q: FloatArray, low: float, high: float
) -> LeaveOneOut:
    n = len(x)
    if n <= _FEWEST:
        return LeaveOneOut((), reason=f"leaving one of {n} models out leaves too few for a line")
    models, errors, alone = [], np.zeros(n), np.zeros(n)
    for m in range(n):
        others = np.arange(n) != m
        line = shrunk_line(u[others], v[others])
        z, stderr = line.at(float(u[m]), float(q[m] - q[others].mean()))
        errors[m], alone[m] = v[m] - z, v[m] - v[others].mean()
        models.append(_left_out_model(line, z, stderr, float(y[m]), float(v[m]), n, low, high))
    absolute = np.abs([model.predicted - model.official for model in models])
    return LeaveOneOut(
        models=tuple(models),
        coverage95=float(np.mean([model.covered95 for model in models])),
        coverage90=float(np.mean([model.covered90 for model in models])),
        median_half_width95=float(np.median([(model.high95 - model.low95) / 2 for model in models])),
        mean_absolute_error=float(absolute.mean()),
        median_absolute_error=float(np.median(absolute)),
        raw_mean_absolute_error=float(np.abs(x - y).mean()),
        explained=1 - float(errors @ errors) / float(alone @ alone) if np.ptp(v) > 0 else None,
        spearman=correlation(x, y, "spearman").value,
    )


def _left_out_model(
    line: Line, z: float, stderr: float, official: float, v: float, n: int, low: float, high: float
) -> LeftOut:
    half95, half90 = (_quantile(line.df, level) * stderr for level in (0.95, 0.9))
    low95, low90, predicted, high90, high95 = _points(z + np.array([-half95, -half90, 0, half90, half95]), low, high)
    t = (v - z) / stderr
    return LeftOut(
        predicted=predicted,
        stderr_logit=stderr,
        df=line.df,
        low95=low95,
        high95=high95,
        low90=low90,
        high90=high90,
        official=official,
        covered95=low95 <= official <= high95,
        covered90=low90 <= official <= high90,
        t=t,
        outlier=abs(t) > _quantile(line.df, 1 - 0.05 / n),
    )
