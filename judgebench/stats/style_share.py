"""How much of a model's pairwise score is length and markdown, for any pairwise task.

The input is what pairwise example scores store: the candidate's share of each win, and counts of both answers' style
(characters or tokens first, then headers, lists, bold). From it come

* ``style_report``: the win rate as it is, at equal length, and at equal style, and how much of the verdicts' variation
  length, markdown and both explain;
* ``style_only_judge``: how often a judge that sees nothing but style would agree. A judge, or a benchmark, that is not
  clearly above this floor measures style.

The win rate at equal length is AlpacaEval's (``length_control``). For several features the same model is fitted,

    P(candidate wins) = sigmoid(bias + beta . z)                                                              (1)

with z the relative differences of ``style_control.style_differences`` divided by their root mean square, so that z = 0
is equal style, and the win rate at equal style is sigmoid(bias): not the one at the mean difference that a
Bradley-Terry table with a fixed baseline reports. beta has the ridge penalty of Chatbot Arena's style control, 0.25 *
beta^2; the bias has none.

References
----------
Dubois, Galambosi, Liang, Hashimoto: Length-Controlled AlpacaEval. arXiv:2404.04475, 2024.
Li, Angelopoulos, Chiang: Does style matter? Disentangling style and substance in Chatbot Arena. LMSYS blog, 2024.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgebench.stats.arrays import FloatArray, at_places, cluster_places
from judgebench.stats.clustered import Estimate, bounded_estimate, cluster_totals
from judgebench.stats.intervals import Interval, batches, percentile_interval, resample_counts
from judgebench.stats.length_control import FEWEST_JUDGED, bootstrap_length_controlled, length_controlled_win_rate
from judgebench.stats.newton import MOST_STEPS, LogLoss, newton, sigmoid
from judgebench.stats.style_control import style_differences

FOLDS = 5

_CONTROLS = "nothing", "length", "style"
# On the sum of log losses, for each squared coefficient.
_RIDGE = 0.25
# Rows times resamples handled together.
_TOGETHER = 500_000


@dataclass(frozen=True)
class ControlledRate:
    """A win rate with something held equal, and what that changed."""

    controls: str
    """``"nothing"``, ``"length"`` or ``"style"``."""
    win_rate: float | None
    """Percent."""
    interval: Interval | None
    explained_points: float | None
    """The win rate with nothing held equal, minus this one: the points that the controls account for."""
    explained_interval: Interval | None
    """From the same resamples, so that what both win rates share cancels out."""
    reason: str | None
    """Why a number is missing."""


@dataclass(frozen=True)
class StyleReport:
    """What length and markdown explain of one model's verdicts against a baseline."""

    rates: tuple[ControlledRate, ...]
    """Held equal: nothing, length, style."""
    coefficients: tuple[float | None, ...]
    """beta of (1), per feature; positive where more of it wins. ``None`` if both answers never differ in it."""
    explained_by_length: float | None
    """Share of the deviance about a constant that (1) with the first feature alone removes, 0 to 1."""
    explained_by_markdown: float | None
    """The same with the other features alone."""
    explained_by_style: float | None
    """The same with all."""
    n: int
    """Rows with a verdict."""
    n_clusters: int
    reason: str | None


def style_report(
    preference: ArrayLike,
    candidate_style: ArrayLike,
    baseline_style: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    rng: np.random.Generator,
    rounds: int = 500,
    level: float = 0.95,
) -> StyleReport:
    """The win rate with nothing, length and all style held equal.

    Parameters
    ----------
    preference : (n,)
        The candidate's share of each win, 0 to 1; finite.
    candidate_style, baseline_style : (n, features)
        Counts, the length first.
    clusters : (n,), optional
        Rows that belong together, as both orders of a prompt; by default each is its own.
    rng, rounds, level
        Of the percentile intervals: whole clusters are resampled and every model is refitted.

    Examples
    --------
    The candidate is no better, but longer in 80 of 100 prompts, and the longer answer has 0.8 of the win:

    >>> longer, shorter = [[400.0, 3]], [[200.0, 1]]
    >>> report = style_report([0.8] * 80 + [0.2] * 20, longer * 80 + shorter * 20, shorter * 80 + longer * 20,
    ...                       rng=np.random.default_rng(0), rounds=100)
    >>> [round(rate.win_rate) for rate in report.rates]
    [68, 50, 50]
    >>> round(report.explained_by_style, 2)
    1.0
    """
    shares, features, lengths = _checked(preference, candidate_style, baseline_style)
    n_clusters, place = cluster_places(clusters, len(shares))
    reason = _unfit(shares, n_clusters)
    scaled, varies = _scaled(features)
    if reason is not None:
        raw = 100 * float(shares.mean()) if len(shares) else None
        known = zip(_CONTROLS, (raw, None, None), strict=True)
        rates = [ControlledRate(name, rate, None, None, None, reason) for name, rate in known]
        return StyleReport(tuple(rates), (None,) * len(varies), None, None, None, len(shares), n_clusters, reason)
    design = np.concatenate([np.ones((len(shares), 1)), scaled[:, varies]], axis=1)
    weight = np.ones((1, len(shares)))
    fit = _fit_logistic(design, shares, weight)[0]
    length_fit = length_controlled_win_rate(shares, lengths)
    replicates: list[FloatArray] = []
    for size in batches(rounds, len(shares), _TOGETHER):
        counts = resample_counts(n_clusters, size, rng)[:, place]
        counts = counts[(np.minimum(counts @ shares, counts @ (1 - shares)) > 1e-9) & (counts.sum(axis=1) > 1)]
        raw_rates = 100 * (counts @ shares) / counts.sum(axis=1)
        at_equal_length = bootstrap_length_controlled(shares, lengths, length_fit, counts)
        at_equal_style = 100 * sigmoid(_fit_logistic(design, shares, counts.astype(float), fit)[:, 0])
        replicates.append(np.stack([raw_rates, at_equal_length, at_equal_style], axis=1))
    drawn = np.concatenate(replicates)
    values = (100 * float(shares.mean()), length_fit.win_rate, 100 * float(sigmoid(fit[:1])[0]))
    rates = []
    for k, name in enumerate(_CONTROLS):
        gone = percentile_interval(drawn[:, 0] - drawn[:, k], level) if k else None
        interval = percentile_interval(drawn[:, k], level)
        rates.append(ControlledRate(name, values[k], interval, values[0] - values[k] if k else None, gone, None))
    beta = at_places(fit[1:].tolist(), np.flatnonzero(varies), len(varies))
    first = np.arange(len(varies)) == 0
    by_length, by_markdown, by_style = (
        _explained(scaled[:, varies & part], shares) for part in (first, ~first, np.ones(len(varies), bool))
    )
    return StyleReport(tuple(rates), beta, by_length, by_markdown, by_style, len(shares), n_clusters, None)


@dataclass(frozen=True)
class StyleOnlyJudge:
    """A judge that sees only style."""

    accuracy: Estimate
    """Share of the decided verdicts that it foresees, 0 to 1, when fitted to other clusters; an indifferent guess is
    half a hit. With the interval of ``clustered.bounded_estimate``."""
    coefficients: tuple[float | None, ...]
    """Fitted to all rows, per feature; ``None`` where the answers never differ."""


def style_only_judge(
    preference: ArrayLike,
    first_style: ArrayLike,
    second_style: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
) -> StyleOnlyJudge:
    """Cross-validated agreement of a logistic regression on style differences with given verdicts.

    Arguments as for ``style_report``; the verdicts may be humans' or a judge's. There is no bias in the model: it may
    not use that one side wins more often, only that the longer, or the more formatted, answer does. Cluster i of the
    ascending names is in fold i mod 5.

    Examples
    --------
    Nine of ten times, the longer answer was preferred:

    >>> longer, shorter = [[300.0]], [[200.0]]
    >>> judge = style_only_judge(([1.0] * 9 + [0.0]) * 20, longer * 200, shorter * 200)
    >>> judge.accuracy.value, round(judge.accuracy.interval.low, 2)
    (0.9, 0.85)
    """
    shares, features, _ = _checked(preference, first_style, second_style)
    _, names = cluster_places(clusters, len(shares))
    decided = shares != 0.5
    shares, names = shares[decided], names[decided]
    scaled, varies = _scaled(features[decided])
    n_clusters, place = cluster_places(names, len(shares))
    if n_clusters < FOLDS:
        why = f"cross-validation needs decided verdicts of {FOLDS} clusters, found {n_clusters}"
        return StyleOnlyJudge(Estimate(None, None, None, len(shares), n_clusters, why), (None,) * len(varies))
    fold = place % FOLDS
    kept = np.concatenate([fold != np.arange(FOLDS)[:, None], np.ones((1, len(shares)), bool)]).astype(float)
    fits = _fit_logistic(scaled[:, varies], shares, kept, biased=False)
    logit = np.einsum("np,np->n", scaled[:, varies], fits[fold])
    hit = np.where(np.abs(logit) < 1e-12, 0.5, (logit > 0) == (shares > 0.5))
    beta = at_places(fits[FOLDS].tolist(), np.flatnonzero(varies), len(varies))
    return StyleOnlyJudge(bounded_estimate(cluster_totals(hit, clusters=names), level=level), beta)


def _checked(preference: ArrayLike, first: ArrayLike, second: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Shares, relative style differences, and length differences, second - first, as ``length_control`` wants them."""
    shares = np.asarray(preference, dtype=float)
    features = style_differences(first, second, "ratio")
    if shares.shape != (len(features),) or not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError(f"preferences are shares of the win from 0 to 1, one for each of {len(features)} rows")
    if not features.shape[1]:
        raise ValueError("style is at least the length: give a first column")
    return shares, features, (np.asarray(second, dtype=float) - np.asarray(first, dtype=float))[:, 0]


def _unfit(shares: FloatArray, n_clusters: int) -> str | None:
    if len(shares) < FEWEST_JUDGED or n_clusters < 2:
        return f"a fit needs {FEWEST_JUDGED} rows with a verdict in two clusters, found {len(shares)} in {n_clusters}"
    if shares.min() == shares.max() and shares[0] in (0, 1):
        return "one side won every time: there is no finite fit, and style cannot be separated from strength"
    return None


def _scaled(features: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Features of root mean square 1, not centred, and which of them are not always 0."""
    size = np.sqrt(np.square(features).mean(axis=0)) if len(features) else np.zeros(features.shape[1])
    varies = size > 0
    return features / np.where(varies, size, 1), varies


def _explained(features: FloatArray, shares: FloatArray) -> float | None:
    """Deviance about a constant that a logistic regression on the features removes; ``None`` without any."""
    from scipy.special import entr

    ones = np.ones((len(shares), 1))
    logits = [np.full(len(shares), np.log(shares.mean() / (1 - shares.mean())))]
    design = np.concatenate([ones, features], axis=1)
    logits.append(design @ _fit_logistic(design, shares, np.ones((1, len(shares))))[0])
    losses = [float((np.logaddexp(0, logit) - shares * logit).sum()) for logit in logits]
    # What a prediction of each share by itself would still lose: 0 for wins and losses.
    least = float((entr(shares) + entr(1 - shares)).sum())
    if losses[0] - least <= 1e-9 * len(shares):
        return None
    return max((losses[0] - losses[1]) / (losses[0] - least), 0.0)


def _fit_logistic(
    design: FloatArray, target: FloatArray, weight: FloatArray, start: FloatArray | None = None, *, biased: bool = True
) -> FloatArray:
    """Minima, (R, p), of R weightings, (R, n), of the rows' log loss plus the ridge; the first column is the bias."""
    penalty = np.full(design.shape[1], 2 * _RIDGE)
    if biased:
        penalty[0] = 0.0
    # A trace of curvature for features that equal each other.
    loss = LogLoss(design.T[None], target, weight, penalty + 1e-12)
    point = np.repeat((np.zeros(len(penalty)) if start is None else start)[None], len(weight), axis=0)
    minima, found = newton(loss.derivatives, loss.largest_change, point)
    if not found.all():
        raise ValueError(f"a logistic fit did not converge in {MOST_STEPS} steps")
    return minima
