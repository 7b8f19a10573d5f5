"""Biases of a judge of pairs: for what is shown first, for length, for its own answers; and how stable it is.

A verdict is a share of the win, from 0 to 1, NaN for none: 1 for the answer that the function means, 0.5 for a tie. A
bias is only what quality does not explain. So each function that looks at a property of the answers takes gold labels
as well, and compares the judge with those on the same pairs.

References
----------
Shi, Ma, Liang, Diao, Ma, Vosoughi: Judging the judges: a systematic study of position bias. arXiv:2406.07791.
Panickssery, Bowman, Feng; Wataoka, Takahashi, Ri: self-preference, in the equal-opportunity form of arXiv:2410.21819.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgebench.stats.arrays import FloatArray, cluster_places
from judgebench.stats.clustered import (
    Estimate,
    bounded_estimate,
    cluster_totals,
    clustered_estimate,
)
from judgebench.stats.intervals import Interval, batches, percentile_interval, resample_counts
from judgebench.stats.newton import LogLoss, newton

FEWEST_FOR_FIT = 20
_ROUNDS = 1000
_TOGETHER = 500_000
# On the sum of log losses, for each squared coefficient: a judge that is always right has no finite fit.
_RIDGE = 0.25


@dataclass(frozen=True)
class PositionBias:
    """What a judge does when two answers change places."""

    consistency: Estimate
    """Share of the pairs with one winner, or a tie, in both orders."""
    primacy: Estimate
    """Share of the pairs in which the answer shown first wins in both orders."""
    recency: Estimate
    """The same of the answer shown second."""
    skew: Estimate
    """(first - second) / (first + second) of those two counts, -1 to 1."""
    skew_p: float | None
    """Exact two-sided binomial test of the two counts against each other; ``None`` if both are 0."""
    effect: Estimate
    """Mean share of the win of the answer shown first, minus 1/2, over all verdicts."""
    first: int
    second: int
    """The two counts."""


def position_bias(
    in_order: ArrayLike, swapped: ArrayLike, *, clusters: ArrayLike | None = None, level: float = 0.95
) -> PositionBias:
    """Measure position bias from the share of the win of the answer that is *shown first*, in each order; (n,) each.

    Pairs without a verdict in one order count for ``effect`` only. ``clusters`` are what varies independently.

    A judge that names whatever it sees first, and one that sees the better answer:

    >>> found = position_bias([1, 1, 1, 1], [1, 1, 1, 1])
    >>> found.consistency.value, found.primacy.value, found.skew.value, found.effect.value, found.skew_p
    (0.0, 1.0, 1.0, 0.5, 0.125)
    >>> found = position_bias([1, 0, 1, 0.5], [0, 1, 0, 0.5])
    >>> found.consistency.value, found.effect.value
    (1.0, 0.0)
    """
    one, other = _shares(in_order), _shares(swapped)
    names = np.arange(len(one)) if clusters is None else np.asarray(clusters)
    if not len(one) == len(other) == len(names):
        raise ValueError(f"there is one verdict of each order, and one cluster, per pair; got {len(one)}, {len(other)}")
    both = ~(np.isnan(one) | np.isnan(other))
    side, back = np.sign(one[both] - 0.5), np.sign(other[both] - 0.5)
    first, second, known = (side > 0) & (back > 0), (side < 0) & (back < 0), names[both]

    def share(hits: NDArray[np.bool_]) -> Estimate:
        return bounded_estimate(cluster_totals(hits.astype(float), clusters=known), level=level)

    leaning = first | second
    lean = cluster_totals(np.where(first, 1.0, -1.0)[leaning], clusters=known[leaning])
    there = [~np.isnan(one), ~np.isnan(other)]
    every = np.concatenate([one[there[0]], other[there[1]]]) - 0.5
    effect = cluster_totals(every, clusters=np.concatenate([names[there[0]], names[there[1]]]))
    return PositionBias(
        share(side == -back),
        share(first),
        share(second),
        bounded_estimate(lean, -1, 1, level=level),
        _even_odds(int(first.sum()), int(second.sum())),
        bounded_estimate(effect, -0.5, 0.5, level=level),
        int(first.sum()),
        int(second.sum()),
    )


def _even_odds(first: int, second: int) -> float | None:
    if not first + second:
        return None
    from scipy.stats import binomtest

    return float(binomtest(first, first + second).pvalue)


@dataclass(frozen=True)
class MatchedPreference:
    """How often a judge, and gold on the same pairs, prefer the answer that has more of something."""

    judge: Estimate
    gold: Estimate
    difference: Estimate
    """The judge's share minus gold's: what quality does not explain."""


def matched_preference(
    verdicts: ArrayLike, gold: ArrayLike, more: ArrayLike, *, clusters: ArrayLike | None = None, level: float = 0.95
) -> MatchedPreference:
    """Compare a judge with gold on the pairs in which one answer has more of a property; arrays of shape (n,).

    ``verdicts`` are the first answer's shares of the win, ``gold`` is 1 or -1 where the first or the second is better,
    ``more`` is 1 or -1 where the first or the second has more. Pairs in which any of the three decides nothing (a tie,
    NaN, 0) are left out.

    >>> found = matched_preference([1, 1, 1, 0], [1, 1, -1, -1], [1, 1, 1, 1])
    >>> found.judge.value, found.gold.value, found.difference.value
    (0.75, 0.5, 0.25)
    """
    shares, truth, sign, names = _pairs(verdicts, gold, more, clusters)
    used = ~np.isnan(shares) & (shares != 0.5) & (truth != 0) & (sign != 0)
    says, right = ((shares[used] > 0.5) == (sign[used] > 0)), (truth[used] > 0) == (sign[used] > 0)

    def share(hits: NDArray[np.bool_]) -> Estimate:
        return bounded_estimate(cluster_totals(hits.astype(float), clusters=names[used]), level=level)

    gap = cluster_totals(says.astype(float) - right, clusters=names[used])
    return MatchedPreference(share(says), share(right), bounded_estimate(gap, -1, 1, level=level))


@dataclass(frozen=True)
class GivenGold:
    """A logistic fit of verdicts on a property and on gold."""

    coefficient: float | None
    """Log odds that a verdict gains with the whole property, gold being equal; 0 without bias."""
    interval: Interval | None
    gold_coefficient: float | None
    """Log odds that it gains where gold prefers the answer."""
    n: int
    reason: str | None
    """Why a number is missing."""


def effect_given_gold(
    verdicts: ArrayLike,
    gold: ArrayLike,
    differences: ArrayLike,
    *,
    rng: np.random.Generator,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
) -> GivenGold:
    """Fit logit P(first wins) = a * tanh(difference / sd) + b * gold; arrays as for :func:`matched_preference`.

    ``differences`` are those of a property, first minus second, and sd is their root mean square; gold is 1, 0 or -1.
    There is no constant, because which answer is the first says nothing. A small ridge keeps the fit of a perfect judge
    finite. The interval is that of 1,000 resamples of whole clusters.

    A judge that follows length alone, where gold does not:

    >>> found = effect_given_gold([1, 0] * 20, [1, 1, -1, -1] * 10, [90, -90] * 20, rng=np.random.default_rng(0))
    >>> found.coefficient > 3, abs(round(found.gold_coefficient, 6))
    (True, 0.0)
    """
    shares, truth, gaps, names = _pairs(verdicts, gold, differences, clusters)
    used = ~np.isnan(shares)
    shares, truth, gaps = shares[used], truth[used], gaps[used]
    size = float(np.sqrt(np.square(gaps).mean())) if len(gaps) else 0.0
    count, place = cluster_places(names[used], len(shares))
    if len(shares) < FEWEST_FOR_FIT or count < 2:
        why = f"a fit needs {FEWEST_FOR_FIT} pairs with a verdict in two clusters, found {len(shares)} in {count}"
        return GivenGold(None, None, None, len(shares), why)
    if not size:
        return GivenGold(None, None, None, len(shares), "the two answers never differ")
    design = np.stack([np.tanh(gaps / size), truth])[None]
    fit = _fitted(design, shares, np.ones((1, len(shares))))[0]
    drawn = [
        _fitted(design, shares, resample_counts(count, rounds, rng)[:, place].astype(float))[:, 0]
        for rounds in batches(_ROUNDS, len(shares), _TOGETHER)
    ]
    interval = percentile_interval(np.concatenate(drawn), level)
    return GivenGold(float(fit[0]), interval, float(fit[1]), len(shares), None)


def _fitted(design: FloatArray, target: FloatArray, weight: FloatArray) -> FloatArray:
    loss = LogLoss(design, target, weight, 2 * _RIDGE)
    return newton(loss.derivatives, loss.largest_change, np.zeros((len(weight), design.shape[1])))[0]


@dataclass(frozen=True)
class SelfPreference:
    """How well a judge finds the better answer where that is its own, and where it is another's."""

    own: Estimate
    """Share of the win of its own answers that gold prefers."""
    other: Estimate
    """Share of the win of others' answers that gold prefers."""
    difference: Estimate
    """The first minus the second: 0 if the judge gives its own answers no advantage."""


def self_preference(
    verdicts: ArrayLike, gold: ArrayLike, own: ArrayLike, *, clusters: ArrayLike | None = None, level: float = 0.95
) -> SelfPreference:
    """Measure self-preference on pairs of an answer of the judge's own and another's; arrays of shape (n,).

    As for :func:`matched_preference`; ``own`` is 1 or -1 where the first or the second answer is its own. Verdicts
    count as wins, losses or halves.

    >>> found = self_preference([1, 1, 1, 0], [1, 1, -1, -1], [1, 1, 1, 1])
    >>> found.own.value, found.other.value, found.difference.value
    (1.0, 0.5, 0.5)
    """
    shares, truth, mine, names = _pairs(verdicts, gold, own, clusters)
    used = ~np.isnan(shares) & (truth != 0) & (mine != 0)
    found = (np.sign(shares[used] - 0.5) * truth[used] + 1) / 2
    theirs = (truth[used] != mine[used]).astype(np.int64)

    def share(rows: NDArray[np.bool_]) -> Estimate:
        return bounded_estimate(cluster_totals(found[rows], clusters=names[used][rows]), level=level)

    gap = cluster_totals(found, clusters=names[used], terms=theirs, term_weights=[1.0, -1.0])
    return SelfPreference(share(theirs == 0), share(theirs == 1), clustered_estimate(gap, level=level))


def repeat_stability(
    verdicts: Sequence[Sequence[str]], *, clusters: ArrayLike | None = None, level: float = 0.95
) -> Estimate:
    """Mean share of the most frequent verdict among the repeats of one call; each inner sequence is one call's.

    It bounds the consistency over orders from above: a judge that contradicts itself on one prompt will on two.

    >>> repeat_stability([["A", "A", "B", "A"], ["B", "B", "B", "B"]]).value
    0.875
    """
    shares = [Counter(own).most_common(1)[0][1] / len(own) for own in verdicts]
    return bounded_estimate(cluster_totals(shares, clusters=clusters), level=level)


def _shares(verdicts: ArrayLike) -> FloatArray:
    shares = np.asarray(verdicts, dtype=float)
    if shares.ndim != 1 or not (np.isnan(shares) | ((shares >= 0) & (shares <= 1))).all():
        raise ValueError(f"verdicts are shares of the win from 0 to 1, or NaN, one per pair; got shape {shares.shape}")
    return shares


def _pairs(
    verdicts: ArrayLike, gold: ArrayLike, third: ArrayLike, clusters: ArrayLike | None
) -> tuple[FloatArray, FloatArray, FloatArray, NDArray[np.generic]]:
    """The arrays, checked to be of one length."""
    shares, truth, other = _shares(verdicts), np.asarray(gold, dtype=float), np.asarray(third, dtype=float)
    names: NDArray[np.generic] = np.arange(len(shares)) if clusters is None else np.asarray(clusters)
    if not shares.shape == truth.shape == other.shape == names.shape:
        raise ValueError(f"every column has one entry per pair; got {shares.shape}, {truth.shape}, {other.shape}")
    if not np.isin(truth, (-1, 0, 1)).all():
        raise ValueError("a gold label is 1, -1 or 0")
    return shares, truth, other, names
