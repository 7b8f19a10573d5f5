"""The length-controlled win rate of AlpacaEval 2: what the win rate would be if both outputs were equally long.

Per evaluated model one logistic regression without intercept predicts the share x of the win,

    P(x) = sigmoid(length * tanh(d / s) + difficulty * g + bias)                                              (1)

where d = characters(baseline) - characters(model), s is the sample standard deviation of d over all rows, and g is the
published difficulty of the instruction. The length-controlled win rate is the mean over all rows of (1) without the
length term. Rows of two gamed baselines (``AnchorRows``), in which the bias feature is 0, hold the first two
coefficients in place. The coefficients minimise

    |length| + |difficulty| + |bias| + C * sum_i w_i * logloss(x_i, P_i)                                      (2)

and C is one of ten values, chosen by 5-fold cross-validation.

Upstream minimises (2) with liblinear at a loose tolerance and may order folds by an unstable sort, so its numbers
depend on library versions and processor. Here (2), which is convex, is solved to its minimum (about 1e-10 in the
coefficients) and folds are fixed by position: equal input gives equal output anywhere.

References
----------
Dubois, Galambosi, Liang, Hashimoto: Length-Controlled AlpacaEval. arXiv:2404.04475, 2024.
Upstream: tatsu-lab/alpaca_eval@cd543a1:src/alpaca_eval/metrics/glm_winrate.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgebench.stats.arrays import FloatArray, cluster_places, columns
from judgebench.stats.intervals import Interval
from judgebench.stats.left_out import Rows, rates_without_each
from judgebench.stats.newton import MOST_STEPS, CommonRows, LogLoss, newton, sigmoid
from judgebench.stats.proportions import score_interval

C_GRID: tuple[float, ...] = tuple(np.logspace(-4, 4, 10).tolist())
"""The inverse penalties that cross-validation chooses from: 1e-4 to 1e4, equally spaced in log."""

FOLDS = 5

NEAR_TIE = 3e-5
"""Cross-validated losses closer than this do not tell two values of C apart.

On 39 published AlpacaEval 2 files (780 refits with randomly permuted folds) the value that another fold order picks has
a loss at most 2.1e-5 above ours, and the values behind the published numbers lie at most 2.6e-5 above; C = 0.36, the
first one that moves a win rate by a point, lies at least 6.8e-5 above and is left out."""

FEWEST_JUDGED = 5
"""Rows with a preference that a fit needs: one per fold."""

# Rows predicted surely and wrongly cost log(1e15) and no more: upstream clips P to [1e-15, 1 - 1e-15].
_LARGEST_LOGIT = float(np.log(1e15 - 1))
# Resamples solved together: few enough for their arrays to stay in the processor's cache.
_CHUNK = 32
# Up to so many clusters, a fit without each is made anew.
_FITTED_EACH = 2000


@dataclass(frozen=True, eq=False)
class AnchorRows:
    """Judgements of the gamed baselines against the baseline: the same for every model, with the bias feature 0."""

    preference: FloatArray
    """Share of the win, 0 to 1, shape (n_anchors,)."""
    std_delta_len: FloatArray
    """Length difference over its standard deviation (before tanh), shape (n_anchors,)."""
    difficulty: FloatArray
    """Difficulty of the instruction, shape (n_anchors,)."""
    weight: float = 0.1
    """Of each row; a model's own rows weigh 1. Upstream's lambda = 0.2, halved as there are two gamed baselines."""

    def __post_init__(self) -> None:
        preference, *_ = columns(self.preference, self.std_delta_len, self.difficulty)
        _check_shares(preference)


@dataclass(frozen=True)
class Coefficients:
    """The weights of the three features of equation (1)."""

    length: float
    """Negative where longer outputs win."""
    difficulty: float | None
    """``None`` if no difficulties were given."""
    bias: float


@dataclass(frozen=True, eq=False)
class LengthControlled:
    """A length-controlled win rate and the fit behind it."""

    win_rate: float
    """Percent."""
    lc_standard_error: float
    """Spread of the predictions over rows, divided by sqrt(n); percent. Upstream's column of this name. It is not the
    uncertainty of ``win_rate``: ``bootstrap_length_controlled`` gives that."""
    coefficients: Coefficients
    c: float
    """Inverse penalty of the fit."""
    cv_losses: tuple[float, ...]
    """Cross-validated loss at each value of ``C_GRID``; empty if C was given."""
    near_tied: tuple[float, ...]
    """Values of C whose loss is within ``NEAR_TIE`` of the lowest; the given one if C was given."""
    near_tied_range: tuple[float, float]
    """Lowest and highest win rate, percent, among the fits at the near-tied values of C."""
    predictions: FloatArray
    """Predicted share of the win at equal lengths, 0 to 1, shape (n,)."""
    n_judged: int
    """Rows with a preference, to which the model was fitted."""


def length_controlled_win_rate(
    preference: ArrayLike,
    length_difference: ArrayLike,
    *,
    difficulty: ArrayLike | None = None,
    anchors: AnchorRows | None = None,
    c: float | None = None,
) -> LengthControlled:
    """Fit equation (1) to one model's rows and predict its win rate at equal lengths.

    Parameters
    ----------
    preference : (n,)
        The model's share of the win, 0 to 1; NaN or ``None`` where there is no verdict. Such rows are left out of the
        fit, but count for s and are predicted like the others. At least five rows need a verdict.
    length_difference : (n,)
        Characters of the baseline's output minus characters of the model's, for every row. If all are equal (s = 0)
        there is no length effect to estimate: the feature is 0 in these rows, and the win rate is that of the fit
        without it. (Upstream crashes.)
    difficulty : (n,), optional
        Without it the term is left out (upstream's ``length_controlled_minimal``), and no anchors can be used.
    anchors : optional
        Without them the fit is upstream's ``length_controlled_noreg``.
    c : optional
        Inverse penalty; by default chosen from ``C_GRID`` by cross-validation, the smallest of equally good ones.

    Notes
    -----
    Rows are in file order with the anchors first; row i of N is in fold (N - 1 - i) mod 5. The loss of a fold is the
    mean over its rows of weight * logloss, and that of a C the unweighted mean over folds. If all verdicts are equal
    the penalty keeps the fit finite: the win rate is then near 0 or 100 percent.

    Examples
    --------
    A judge gives the longer output 0.7 of the win, and the model's are mostly the longer ones:

    >>> fit = length_controlled_win_rate([0.7] * 80 + [0.3] * 20, [-300] * 80 + [300] * 20)
    >>> round(fit.win_rate, 1), fit.coefficients.length < 0
    (50.0, True)
    """
    return _fit(_PreferenceRows(preference, length_difference, difficulty, anchors), c)


def shares_at_lengths(
    length_difference: ArrayLike, coefficients: Coefficients, difficulty: ArrayLike | None = None
) -> FloatArray:
    """The share of the win that (1) predicts for each row at the lengths as they are, shape (n,).

    ``difficulty`` is needed if the fit has a weight of it. Without rows whose lengths differ there is no length term.

    Examples
    --------
    >>> fit = length_controlled_win_rate([0.7] * 80 + [0.3] * 20, [-300] * 80 + [300] * 20)
    >>> shares_at_lengths([-300] * 80 + [300] * 20, fit.coefficients)[[0, -1]].round(1).tolist()
    [0.7, 0.3]
    """
    (difference,) = columns(length_difference)
    logit = coefficients.length * _length_feature(difference, np.ones((1, len(difference))))[0] + coefficients.bias
    if coefficients.difficulty is not None:
        logit = logit + coefficients.difficulty * np.asarray(difficulty, dtype=float)
    return sigmoid(logit)


def _fit(rows: "_PreferenceRows", c: float | None) -> LengthControlled:
    training = rows.training(np.ones((1, len(rows.preference))))
    if c is None:
        grid, (fits, losses) = C_GRID, _cross_validate(*training)
    elif c > 0 and np.isfinite(c):
        grid, fits, losses = (c,), _minima(*training, np.zeros((1, training[0].shape[1])), [c])[:, 0], []
    else:
        raise ValueError(f"C is an inverse penalty, positive and finite; got {c}")
    chosen = losses.index(min(losses)) if losses else 0
    near_tied = [k for k, loss_at in enumerate(losses) if loss_at <= losses[chosen] + NEAR_TIE] or [0]
    rates = [100 * float(rows.predict(fits[k]).mean()) for k in near_tied]
    predictions = rows.predict(fits[chosen])
    return LengthControlled(
        win_rate=100 * float(predictions.mean()),
        lc_standard_error=100 * float(predictions.std(ddof=1) / np.sqrt(len(predictions))),
        coefficients=Coefficients(
            length=float(fits[chosen, 0]),
            difficulty=None if rows.difficulty is None else float(fits[chosen, 1]),
            bias=float(fits[chosen, -1]),
        ),
        c=grid[chosen],
        cv_losses=tuple(losses),
        near_tied=tuple(grid[k] for k in near_tied),
        near_tied_range=(min(rates), max(rates)),
        predictions=predictions,
        n_judged=int(rows.judged.sum()),
    )


def bootstrap_length_controlled(
    preference: ArrayLike,
    length_difference: ArrayLike,
    fit: LengthControlled,
    counts: NDArray[np.int64],
    *,
    difficulty: ArrayLike | None = None,
    anchors: AnchorRows | None = None,
) -> FloatArray:
    """Length-controlled win rates, percent, of resamples of the model's rows: shape (rounds,).

    Each resample is fitted anew, exactly, at the C of ``fit`` (made from the same arguments), with s recomputed and
    the anchors as they are; its win rate is the mean prediction over the resampled rows. ``counts``, shape (rounds, n),
    comes from ``intervals.resample_counts``. A resample that drew no row with a verdict, or fewer than two rows, is
    left out.

    Examples
    --------
    >>> from judgebench.stats.intervals import percentile_interval, resample_counts
    >>> preference, length_difference = [0.7] * 40 + [0.2] * 40, [-300, 100] * 40
    >>> fit = length_controlled_win_rate(preference, length_difference)
    >>> counts = resample_counts(80, 200, np.random.default_rng(0))
    >>> interval = percentile_interval(bootstrap_length_controlled(preference, length_difference, fit, counts))
    >>> interval.low < fit.win_rate < interval.high
    True
    """
    rows = _PreferenceRows(preference, length_difference, difficulty, anchors)
    if counts.ndim != 2 or counts.shape[1] != len(rows.preference):
        raise ValueError(f"counts need one column for each of {len(rows.preference)} rows, got shape {counts.shape}")
    return rows.refit(counts, fit)


def length_controlled_interval(
    preference: ArrayLike,
    length_difference: ArrayLike,
    fit: LengthControlled,
    *,
    difficulty: ArrayLike | None = None,
    anchors: AnchorRows | None = None,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
) -> tuple[Interval | None, str | None]:
    """The interval of ``fit.win_rate`` in percent, from a refit without each cluster; or why there is none.

    Arguments as for the fit; ``clusters``, shape (n,), names rows that belong together, and each row is its own by
    default. There are no random numbers, and as many refits as there are clusters.

    Notes
    -----
    It is ``proportions.score_interval`` with jackknife influences, of the fit at the largest C of ``C_GRID`` and not at
    that of ``fit``: a C that cross-validation chose draws the win rate towards 50 percent by an amount that resampling
    at the same C cannot see. The interval is widened to hold ``fit.win_rate`` where it does not. In
    ``benchmarks/coverage.py`` it keeps its level from 500 rows on, and percentiles of ``bootstrap_length_controlled``
    do not.

    Examples
    --------
    >>> preference, length_difference = [0.9] * 30 + [0.2] * 50, [-300, 100] * 40
    >>> fit = length_controlled_win_rate(preference, length_difference)
    >>> interval, reason = length_controlled_interval(preference, length_difference, fit)
    >>> interval.low < fit.win_rate < interval.high, reason
    (True, None)
    """
    shares = np.asarray(preference, dtype=float)
    count, place = cluster_places(clusters, len(shares))
    low, high = float(np.nanmin(shares)), float(np.nanmax(shares))
    if low == high:
        # Where all verdicts are wins, the fit is as near to 100 as the penalty lets it, and so is every refit.
        return score_interval(100 * low, np.zeros(count), 0.0, 100.0, level=level)
    found = length_controlled_influence(
        preference, length_difference, difficulty=difficulty, anchors=anchors, clusters=place
    )
    if found is None:
        return None, "without one of the clusters there is no fit"
    win_rate, influence = found
    interval, reason = score_interval(win_rate, influence, 0.0, 100.0, level=level)
    if interval is None:
        return None, reason
    ends = min(interval.low, fit.win_rate), max(interval.high, fit.win_rate)
    return Interval(*ends, level, "jackknife score, at the loosest penalty"), None


def length_controlled_influence(
    preference: ArrayLike,
    length_difference: ArrayLike,
    *,
    difficulty: ArrayLike | None = None,
    anchors: AnchorRows | None = None,
    clusters: ArrayLike | None = None,
) -> tuple[float, FloatArray] | None:
    """The win rate at the largest C of ``C_GRID``, percent, and each cluster's part in its deviation, (clusters,).

    The parts, clusters ascending, sum to 0 and come from a refit without each cluster; ``None`` if one of those has no
    rows to fit. Arguments as for ``length_controlled_interval``, whose notes say why this C.

    Examples
    --------
    >>> win_rate, influence = length_controlled_influence([0.9] * 30 + [0.2] * 50, [-300, 100] * 40)
    >>> round(win_rate, 1), round(float((influence @ influence) ** 0.5), 1)
    (46.3, 4.0)
    """
    rows = _PreferenceRows(preference, length_difference, difficulty, anchors)
    count, place = cluster_places(clusters, len(rows.preference))
    loose = _fit(rows, C_GRID[-1])
    refits = rows.refit_without_each(place, count, loose)
    if len(refits) < count:
        return None
    return loose.win_rate, (count - 1) / count * (refits.mean() - refits)


class _PreferenceRows:
    """A model's rows and the anchors. Features are (length, difficulty, bias), or (length, bias)."""

    def __init__(
        self,
        preference: ArrayLike,
        length_difference: ArrayLike,
        difficulty: ArrayLike | None,
        anchors: AnchorRows | None,
    ) -> None:
        """Raise ``ValueError`` with what is wrong with the rows."""
        if difficulty is None and anchors is not None:
            raise ValueError("anchor rows can only be used with difficulties: give both, or neither")
        shares = np.asarray(preference, dtype=float)
        judged = ~np.isnan(shares)
        covariates = [length_difference] if difficulty is None else [length_difference, difficulty]
        _, self.length_difference, *rest = columns(np.where(judged, shares, 0.5), *covariates)
        _check_shares(shares[judged])
        if (found := judged.sum()) < FEWEST_JUDGED:
            raise ValueError(
                f"a length-controlled fit needs {FEWEST_JUDGED} rows with a verdict; {found} of {len(shares)} have one"
            )
        self.preference, self.judged, self.anchors = shares, judged, anchors
        self.difficulty = rest[0] if rest else None

    def training(self, counts: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Features (R, p, N), targets (N,) and weights (R, N) of the fits to resamples given as counts (R, n).

        Anchors come first, then the rows with a verdict.
        """
        features, target, weight = self._own(counts)
        if (anchors := self._anchor_rows()) is None:
            return features, target, weight
        anchor_features, shown, of_each = anchors
        return (
            np.concatenate([np.broadcast_to(anchor_features, (len(counts), *anchor_features.shape)), features], axis=2),
            np.concatenate([shown, target]),
            np.concatenate([np.full((len(counts), len(shown)), of_each), weight], axis=1),
        )

    def _own(self, counts: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The same without the anchors."""
        length = _length_feature(self.length_difference, counts)
        own = [length, np.ones_like(length)]
        if self.difficulty is not None:
            own.insert(1, np.broadcast_to(self.difficulty, length.shape))
        return np.stack(own, axis=1)[:, :, self.judged], self.preference[self.judged], counts[:, self.judged]

    def predict(self, coefficients: FloatArray) -> FloatArray:
        """Shares of the win at equal lengths, (..., n), for coefficients (..., p): (1) without its first term."""
        logit = np.repeat(coefficients[..., -1:], len(self.preference), axis=-1)
        if self.difficulty is not None:
            logit += coefficients[..., 1:2] * self.difficulty
        return sigmoid(logit)

    def refit(self, counts: NDArray[np.int64] | NDArray[np.bool_], fit: LengthControlled) -> FloatArray:
        """Win rates, percent, of resamples given as counts (R, n); those that cannot be fitted are left out."""
        usable = np.flatnonzero((counts[:, self.judged].sum(axis=1) > 0) & (counts.sum(axis=1) > 1))
        given = [fit.coefficients.length, fit.coefficients.difficulty, fit.coefficients.bias]
        start = np.array([[value for value in given if value is not None]])
        anchors = self._anchor_rows()
        common = None if anchors is None else CommonRows(*anchors)
        rates = [np.zeros(0)]
        for begin in range(0, len(usable), _CHUNK):
            drawn = counts[usable[begin : begin + _CHUNK]].astype(float)
            loss = LogLoss(*self._own(drawn), common=common)
            coefficients = _minima_of(loss, np.repeat(start, len(drawn), axis=0), [fit.c])[0]
            rates.append(100 * (self.predict(coefficients) * drawn).sum(axis=1) / drawn.sum(axis=1))
        return np.concatenate(rates)

    def refit_without_each(self, place: NDArray[np.int64], count: int, fit: LengthControlled) -> FloatArray:
        """Win rates, percent, without each of ``count`` clusters; those that cannot be fitted are left out."""
        rates, spread = np.full(count, np.nan), float(self.length_difference.std(ddof=1))
        if count > _FITTED_EACH and spread > 0:
            own = [np.ones(len(self.preference))]
            others = np.stack(own if self.difficulty is None else [self.difficulty, *own])
            rows = Rows(self.length_difference, others, self.preference, place, count, self._anchor_rows())
            given = [fit.coefficients.length, fit.coefficients.difficulty, fit.coefficients.bias]
            point = np.array([value for value in given if value is not None])
            rates = 100 * rates_without_each(rows, point, spread, 1 / fit.c)
        rest = np.flatnonzero(np.isnan(rates))
        refits = self.refit(place != rest[:, None], fit)
        if len(refits) < len(rest):
            return refits
        rates[rest] = refits
        return rates

    def _anchor_rows(self) -> tuple[FloatArray, FloatArray, float] | None:
        if self.anchors is None:
            return None
        features = [np.tanh(self.anchors.std_delta_len), self.anchors.difficulty]
        features.append(np.zeros(len(self.anchors.preference)))
        return np.stack(features), self.anchors.preference, self.anchors.weight


def _length_feature(length_difference: FloatArray, counts: FloatArray) -> FloatArray:
    """tanh(d / s), shape (R, n), with the s of each resample; 0 where all rows of a resample have the same d."""
    drawn, everywhere = counts > 0, np.broadcast_to(length_difference, counts.shape)
    lowest = np.min(everywhere, axis=1, where=drawn, initial=np.inf)
    varies = np.max(everywhere, axis=1, where=drawn, initial=-np.inf) > lowest
    total = counts.sum(axis=1)
    centred = length_difference - length_difference.mean()
    variance = (counts @ centred**2 - (counts @ centred) ** 2 / total) / (total - 1)
    spread = np.sqrt(np.where(varies, variance, 1.0))
    return np.where(varies[:, None], np.tanh(length_difference / spread[:, None]), 0.0)


def _cross_validate(features: FloatArray, target: FloatArray, weight: FloatArray) -> tuple[FloatArray, list[float]]:
    """Coefficients fitted to all rows, (10, p), and the cross-validated loss, at each C of the grid."""
    count = len(target)
    fold = (count - 1 - np.arange(count)) % FOLDS
    # Six problems at once: five that lack a fold each, and the refit on all rows.
    kept = np.concatenate([fold != np.arange(FOLDS)[:, None], np.ones((1, count), dtype=bool)])
    fits = _minima(features, target, weight * kept, np.zeros((len(kept), features.shape[1])), C_GRID)
    losses = np.zeros(len(C_GRID))
    for k in range(FOLDS):
        held_out = fold == k
        logit = np.clip(fits[:, k] @ features[0][:, held_out], -_LARGEST_LOGIT, _LARGEST_LOGIT)
        row_losses = np.log(1 + np.exp(logit)) - target[held_out] * logit
        losses += row_losses @ weight[0, held_out] / held_out.sum() / FOLDS
    return fits[:, FOLDS], losses.tolist()


def _minima(
    features: FloatArray, target: FloatArray, weight: FloatArray, start: FloatArray, inverse_penalties: Sequence[float]
) -> FloatArray:
    """Minima of (2) for one C after another, each from the one before: shape (Cs, R, p)."""
    return _minima_of(LogLoss(features, target, weight), start, inverse_penalties)


def _minima_of(loss: LogLoss, start: FloatArray, inverse_penalties: Sequence[float]) -> FloatArray:
    point, minima = start, []
    for c in inverse_penalties:
        point, found = newton(loss.derivatives, loss.largest_change, point, l1=1 / c)
        if not found.all():
            raise ValueError(f"the fit at C = {c:g} did not converge in {MOST_STEPS} steps")
        minima.append(point)
    return np.stack(minima)


def _check_shares(preference: FloatArray) -> None:
    if not ((preference >= 0) & (preference <= 1)).all():
        raise ValueError("preferences are shares of the win between 0 and 1")
