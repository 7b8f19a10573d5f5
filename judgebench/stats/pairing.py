"""Which pairs to compare next, and when the order of a round robin is known without playing the rest of it.

The population is a round robin: every pair of items, on every question, in every order, N games in all. Playing all of
them gives ratings theta* (:mod:`judgebench.stats.bradley_terry`) and, for each pair of items, a difference

    D* = theta*_i - theta*_j    with standard deviation s,                                                      (1)

so that the round robin tells the pair apart if |D*| > z s, z being the normal quantile of the level. After some of the
games the difference is D with variance V. Games left out cannot move it further than the rest of the round robin would:
differences of fits to more and more of the same games have independent increments (Jennison, Turnbull 1997), so that

    D - D* is about normal with variance T = V - s^2,                                                           (2)

and T goes to 0 as the games run out. V is measured: the sandwich variance with questions as clusters. s^2 is V times
the ratio of the model's two variances, of the whole round robin and of the games played. Where questions are played in
both orders, the second game of a question is worth (1 - c) / (1 + c) of a first one, c being the correlation of the two
within questions. It is measured on the first questions of each pair, which are played in both orders; then come the
others in one order, as more is learned from another question, and in the end their other orders.

Pairing
-------
A mistake is to order a pair one way that the round robin tells apart the other way. By (2) its probability is

    Phi(-u),    u = (|D| + z s) / sqrt(T).                                                                      (3)

The next games are those that lower the sum of (3) over pairs of items most: by the derivative phi(u) u / (2 T) of (3),
times what a game of a pair takes off each variance (a step of Sherman and Morrison). So pairs that are clearly apart
get few games, near ones many, and none is played to break a tie that the round robin would leave as well.

Stop
----
In time I = 1 / T, (D - D*) I is a Brownian motion by (2). Robbins' mixture of normal martingales then bounds it at all
times at once: with probability 1 - alpha never

    |D - D*| > sqrt(T^2 (I + r) ln((I + r) / (r alpha^2))),                                                     (4)

whatever r > 0. A pair is settled when even the worst D* of (4) is no mistake: |D| + z s is at least the bound. When all
pairs are settled, playing on would tell none of them apart the other way round. One may look after every game, and the
choice of games may depend on all that was seen. Each pair has the level for itself, as its interval has.

References
----------
Jennison, Turnbull: Group-sequential analysis incorporating covariate information. JASA 92, 1997.
Robbins: Statistical methods related to the law of the iterated logarithm. Annals of Mathematical Statistics 41, 1970.
Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas: Time-uniform central limit theory and asymptotic confidence sequences.
Annals of Statistics 52, 2024 (that (4) holds in the limit for estimates that are not normal).
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judgebench.stats.arrays import FloatArray, IntArray
from judgebench.stats.intervals import check_level
from judgebench.stats.newton import sigmoid
from judgebench.stats.style_control import StyleOptions, clustered_covariance, style_controlled

PRIOR = StyleOptions(l2=0.5, penalise_ratings=True)
"""Keeps ratings finite while items have only won or only lost; it weighs as much as two games or so."""
_CORRELATION, _LEAST, _MOST = 0.5, -0.5, 0.9
"""Of two orders of a question: what is believed before both were played often, and the bounds of what is believed."""
_ENOUGH = 30
"""Questions played in both orders from which on their correlation is measured."""
_STEPS = 24
"""Parts in which games are dealt out; after each the variances are those with the games dealt."""
_NEAR = 12
"""Places in the ranking within which pairs are looked at where there are many items."""
_MOST_PAIRS = 600


@dataclass(frozen=True, eq=False)
class RoundRobin:
    """All games that there are, by pair of items. Shapes (pairs,)."""

    n_items: int
    first: IntArray
    second: IntArray
    questions: IntArray
    """Questions on which the pair can be compared."""
    games: IntArray
    """Games of the pair: as many, or up to twice as many, in both orders."""
    warm: IntArray
    """Questions that are played in both orders at first."""

    def questions_of(self, played: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """Of so many games of each pair, in their sequence, how many are on a question of their own, and the rest."""
        both = np.minimum(played, 2 * self.warm) / 2
        alone = np.clip(played - 2 * self.warm, 0, self.questions - self.warm)
        return both + alone, np.asarray(played - both - alone)


def sequence(questions: int, orders: IntArray, warm: int) -> list[tuple[int, int]]:
    """The games of a pair in the order in which they are played: places of questions, and 0 or 1 for their order.

    ``orders``, shape (questions,), says how many there are. Which order comes first alternates.

    >>> sequence(4, np.array([2, 2, 1, 2]), 1)
    [(0, 0), (0, 1), (1, 1), (2, 0), (3, 1), (1, 0), (3, 0)]
    """
    first = [(place, place % int(orders[place])) for place in range(questions)]
    second = {place: (place, 1 - order) for place, order in first if orders[place] > 1}
    begin = [game for one in first[:warm] for game in (one, second.pop(one[0], None)) if game is not None]
    return [*begin, *first[warm:], *second.values()]


@dataclass(frozen=True, eq=False)
class Played:
    """The games played so far. Shapes (games,)."""

    pair: IntArray
    """Places in the round robin's list of pairs."""
    outcome: FloatArray
    """Share of the win of the pair's ``first``: 1, 0.5 or 0."""
    question: IntArray
    """Codes 0, 1, ... of the questions."""
    weight: IntArray
    """How often a game counts."""


@dataclass(frozen=True, eq=False)
class Standing:
    """What is known of the round robin's order. Shapes (n, n), of all ordered pairs of items."""

    strengths: FloatArray
    """Shape (n,), natural log odds."""
    difference: FloatArray
    """D: strengths of the row less those of the column."""
    variance: FloatArray
    """V, of the games played."""
    whole: FloatArray
    """s^2, of the whole round robin."""
    bound: FloatArray
    """How far D can be from D*, by (4)."""
    settled: NDArray[np.bool_]
    """Whether playing on would not tell the pair apart the other way round."""
    counts: IntArray
    """Games played of each pair of the round robin."""
    second: float
    """What the second game of a question is worth, in first ones."""
    level: float
    curvature: "_Curvature"

    @property
    def decided(self) -> bool:
        """Whether all pairs are settled."""
        return bool(self.settled.all())


def standing(robin: RoundRobin, played: Played, *, level: float = 0.95, counts: IntArray | None = None) -> Standing:
    """What the games played say of the order of the whole round robin.

    ``counts``, shape (pairs,), are the games of each pair that were played, if not all of them had a verdict.

    >>> one = np.array([1])
    >>> robin = RoundRobin(2, 0 * one, one, 400 * one, 400 * one, 0 * one)
    >>> won = np.array([1.0, 1.0, 0.0] * 30)
    >>> now = standing(robin, Played(np.zeros(90, dtype=int), won, np.arange(90), np.ones(90, dtype=int)))
    >>> now.decided, round(float(now.difference[0, 1]), 2)
    (True, 0.69)
    """
    check_level(level)
    n, found = robin.n_items, np.bincount(played.pair, minlength=len(robin.first))
    counts = found if counts is None else counts
    first, second = robin.first[played.pair], robin.second[played.pair]
    rows = np.repeat(np.arange(len(first)), played.weight)
    none = np.zeros((len(rows), 0))
    fit = style_controlled(first[rows], second[rows], played.outcome[rows], none, PRIOR, n_items=n)
    covariance, _ = clustered_covariance(fit, played.question[rows])
    residual = played.weight * (played.outcome - sigmoid(fit.strengths[first] - fit.strengths[second]))
    c = _correlation(played, residual)
    curvature = _Curvature(robin, fit.strengths, len(rows) / max(len(first), 1), (1 - c) / (1 + c))
    now = _contrasts(curvature.covariance(found))
    # Where a pair has hardly met, its measured variance may be near 0: the model's is the least that is believed.
    variance = np.maximum(_contrasts(covariance), now)
    share = np.minimum(_contrasts(curvature.covariance(robin.games)) / np.where(now > 0, now, 1), 1)
    whole, left = variance * share, variance * (1 - share)
    difference = fit.strengths[:, None] - fit.strengths
    bound = _bound(left, whole, 1 - level)
    settled = np.abs(difference) + _quantile(level) * np.sqrt(whole) >= bound
    return Standing(
        fit.strengths, difference, variance, whole, bound, settled, counts, curvature.second, level, curvature
    )


def deal(robin: RoundRobin, now: Standing, games: int) -> IntArray:
    """How many games of each pair to play next, ``games`` in all or all that are left. Shape (pairs,).

    >>> n = np.array([1, 1, 1])
    >>> robin = RoundRobin(3, np.array([0, 0, 1]), np.array([1, 2, 2]), 100 * n, 100 * n, 0 * n)
    >>> pair, won = np.repeat([0, 1, 2], 20), np.repeat([0.5, 1, 1, 0.5, 1, 1], 10)
    >>> now = standing(robin, Played(pair, won, np.tile(np.arange(20), 3), np.ones(60, dtype=int)))
    >>> dealt = deal(robin, now, 30)
    >>> int(dealt.sum()), int(dealt.argmax())  # the pair that is nearest
    (30, 0)
    """
    left, counts, curvature = robin.games - now.counts, now.counts, now.curvature
    games = min(games, int(left.sum()))
    dealt = np.zeros(len(left), dtype=np.int64)
    one, other = pairs = _pairs_in_question(now)
    reach = np.abs(now.difference[pairs]) + _quantile(now.level) * np.sqrt(now.whole[pairs])
    scale = now.variance[pairs] / np.maximum(_contrasts(curvature.covariance(counts))[pairs], 1e-12)
    while games > (done := int(dealt.sum())):
        at = counts + dealt
        covariance = curvature.covariance(at)
        variance = np.maximum(scale * _contrasts(covariance)[pairs] - now.whole[pairs], 1e-9)
        u = reach / np.sqrt(variance)
        slope = scale * np.exp(-u * u / 2) * u / variance
        # What a game of each pair takes off the variance of each difference in question.
        sides = covariance[:, robin.first] - covariance[:, robin.second]
        worth = curvature.each * np.where(robin.questions_of(at + 1.0)[0] > robin.questions_of(at)[0], 1, now.second)
        gain = worth * (slope @ np.square(sides[one] - sides[other])) + 1e-12 * worth
        best = int(np.where(left > dealt, gain, -1.0).argmax())
        dealt[best] += min(int(left[best] - dealt[best]), games - done, max(1, games // _STEPS))
    return dealt


@dataclass(frozen=True, eq=False)
class _Curvature:
    """The second derivatives of the log-likelihood, by games of each pair."""

    robin: RoundRobin
    strengths: FloatArray
    weight: float
    """How often a game counts, on average."""
    second: float

    @property
    def each(self) -> FloatArray:
        """Of one game of each pair; shape (pairs,)."""
        half = (self.strengths[self.robin.first] - self.strengths[self.robin.second]) / 2
        return np.asarray(self.weight / (4 * np.square(np.cosh(half))))

    def covariance(self, games: IntArray) -> FloatArray:
        """The inverse of their sum with the prior's, shape (n, n), for so many games of each pair."""
        own, again = self.robin.questions_of(games.astype(float))
        values = self.each * (own + self.second * again)
        n, table = self.robin.n_items, np.zeros((self.robin.n_items, self.robin.n_items))
        np.add.at(table, (self.robin.first, self.robin.second), values)
        table += table.T
        return np.linalg.inv(np.diag(table.sum(axis=1)) - table + PRIOR.l2 / np.log(10) ** 2 * np.eye(n))


def _correlation(played: Played, residual: FloatArray) -> float:
    """The correlation of two games of a pair on one question, or what is believed of it."""
    order = np.lexsort((played.question, played.pair))
    pair, question, of_game = played.pair[order], played.question[order], residual[order]
    again = (pair[1:] == pair[:-1]) & (question[1:] == question[:-1])
    one, other = of_game[:-1][again], of_game[1:][again]
    scale = float(np.sqrt(np.square(one).sum() * np.square(other).sum()))
    if len(one) < _ENOUGH or scale == 0:
        return _CORRELATION
    return float(np.clip((one * other).sum() / scale, _LEAST, _MOST))


def _quantile(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)


def _contrasts(covariance: FloatArray) -> FloatArray:
    """The variance of each difference, shape (n, n)."""
    own = np.diag(covariance)
    return np.asarray(np.maximum(own[:, None] + own - covariance - covariance.T, 0))


def _bound(left: FloatArray, whole: FloatArray, alpha: float) -> FloatArray:
    """The bound (4) for variances T; ``r`` makes it tightest about when half of the information is there."""
    time = 1 / np.maximum(left, 1e-300)
    spread = 2 * np.log(1 / alpha)
    r = 1 / np.maximum(whole, 1e-300) / (spread + np.log1p(spread))
    return np.asarray(np.sqrt(np.maximum(left, 0) * (1 + r / time) * np.log((time + r) / (r * alpha**2))))


def _pairs_in_question(now: Standing) -> tuple[IntArray, IntArray]:
    """The pairs of items that a game may help to order; near ones only, where there are many items."""
    n = len(now.strengths)
    one, other = np.triu_indices(n, 1)
    if len(one) <= _MOST_PAIRS:
        return one, other
    place = np.empty(n, dtype=np.int64)
    place[np.argsort(-now.strengths)] = np.arange(n)
    near = np.abs(place[one] - place[other]) <= _NEAR
    return one[near], other[near]
