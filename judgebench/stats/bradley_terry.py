"""Bradley–Terry ratings from battles between pairs, with sandwich and bootstrap intervals, and ranks from intervals.

Item i beats item j with probability

    P(i beats j) = sigmoid(theta_i - theta_j),    rating_i = 1000 + (400 / ln 10) * theta_i                   (1)

and the strengths theta minimise the sum over battles of weight * logloss(share of the win, P). A tie is half a win and
half a loss; there is no parameter for ties. Only differences are identified: the mean rating is 1000, or one item, the
anchor, has a rating of one's choice.

Battles are first counted by pair and outcome. The minimum depends on nothing else, so that fits and bootstrap
rounds cost the same for a thousand battles and for a billion: Newton steps on the matrix of points that i took from j.

A minimum exists only among items that can be reached from one another by steps "beat or tied with" (Ford 1957). Items
outside that set would drift to plus or minus infinity, and whatever a solver prints for them says only when it
stopped. They get no rating but a reason; their battles have no influence on the others.

References
----------
Bradley, Terry: Rank analysis of incomplete block designs. Biometrika 39, 1952.
Ford: Solution of a ranking problem from binary comparisons. American Mathematical Monthly 64(8), 1957.
lmarena/arena-rank@3900eae (sandwich intervals, pair weights); lm-sys/FastChat@0e6d3e4:fastchat/serve/monitor (bootstrap
of counts, rank by upper bound).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgebench.stats.arrays import FloatArray, IntArray, at_places
from judgebench.stats.intervals import Interval, percentile_interval
from judgebench.stats.newton import MOST_STEPS, newton, sigmoid

SCALE = float(400 / np.log(10))
"""Rating points per unit of theta: 400 points are odds of ten to one."""

CENTRE = 1000.0
"""The mean rating where there is no anchor."""

ABOVE = "took points from rated items, directly or through others, and lost none to them: no rating is high enough"
BELOW = "lost points to rated items, directly or through others, and took none from them: no rating is low enough"
APART = "no chain of battles compares it with the rated items"

# Numbers handled together in bootstrap rounds: few enough for their arrays to stay in the processor's cache.
_TOGETHER = 150_000


@dataclass(frozen=True, eq=False)
class Battles:
    """Battles counted by pair and outcome: the sufficient statistics of equation (1). Shapes (cells,)."""

    n_items: int
    first: IntArray
    """Smaller index of the pair."""
    second: IntArray
    """Larger index of the pair."""
    outcome: FloatArray
    """Share of the win of ``first``: 0, 0.5 or 1."""
    count: IntArray
    """Battles of this pair with this outcome; at least 1."""
    weight: FloatArray
    """Weight of each of them."""

    @property
    def n_battles(self) -> int:
        """Battles in all."""
        return int(self.count.sum())

    def among(self, items: IntArray) -> tuple["Battles", NDArray[np.bool_]]:
        """The cells whose pairs are both among ``items``, numbered by their places there; and which cells those are."""
        place = np.full(self.n_items, -1)
        place[items] = np.arange(len(items))
        first, second = place[self.first], place[self.second]
        inside = (first >= 0) & (second >= 0)
        outcome, count, weight = self.outcome[inside], self.count[inside], self.weight[inside]
        return Battles(len(items), first[inside], second[inside], outcome, count, weight), inside


class Anchor(NamedTuple):
    """An item whose rating is given."""

    item: int
    rating: float


class Spread(NamedTuple):
    """The uncertainty of a rating."""

    interval: Interval | None
    """``None`` if too many bootstrap rounds had no minimum for its bounds to be known."""
    variance: float | None
    """In squared rating points."""


@dataclass(frozen=True, eq=False)
class Ratings:
    """Ratings as a fit gives them."""

    rated: IntArray
    """The items that have a rating, ascending."""
    strengths: FloatArray
    """theta of ``rated``, in natural log odds, mean 0."""
    unrated: dict[int, str]
    """Why the items without a rating have none: ``ABOVE``, ``BELOW`` or ``APART``."""
    anchor: Anchor | None

    @property
    def n_items(self) -> int:
        """Items, with and without a rating."""
        return len(self.rated) + len(self.unrated)

    @property
    def ratings(self) -> tuple[float | None, ...]:
        """The rating of each item; ``None`` where no finite rating exists."""
        return at_places(place_ratings(self.strengths, self.rated, self.anchor).tolist(), self.rated, self.n_items)

    def normal_spreads(
        self,
        covariance: FloatArray,
        level: float,
        *,
        degrees: int | None = None,
        method: str = "sandwich normal",
    ) -> tuple[Spread | None, ...]:
        """Normal intervals from the covariance of the strengths, shape (rated items, rated items); of Student's t with
        ``degrees`` of freedom if they are given.

        With an anchor they are those of the differences to it.
        """
        if self.anchor is not None:
            at = int(np.searchsorted(self.rated, self.anchor.item))
            covariance = covariance - covariance[at] - covariance[:, at, None] + covariance[at, at]
        quantile = NormalDist().inv_cdf((1 + level) / 2)
        if degrees is not None:
            from scipy.special import stdtrit

            quantile = float(stdtrit(degrees, (1 + level) / 2))
        ratings = place_ratings(self.strengths, self.rated, self.anchor).tolist()
        variances = (SCALE**2 * np.maximum(np.diag(covariance), 0)).tolist()
        spreads = [
            Spread(Interval.around(rating, quantile * variance**0.5, level, method), variance)
            for rating, variance in zip(ratings, variances, strict=True)
        ]
        return at_places(spreads, self.rated, self.n_items)


@dataclass(frozen=True, eq=False)
class BradleyTerry(Ratings):
    """Ratings and the battles that they were fitted to."""

    battles: Battles = field(repr=False)


@dataclass(frozen=True, eq=False)
class BootstrapRatings:
    """Ratings of resampled battles."""

    ratings: FloatArray
    """Shape (rounds with a minimum, rated items)."""
    rated: IntArray
    n_items: int
    rounds_without_minimum: int
    """Resamples in which some rated item had no finite rating: they are left out of ``ratings``."""

    def spreads(self, level: float = 0.95) -> tuple[Spread | None, ...]:
        """Percentile interval and variance per item; ``None`` for items without a rating.

        If more rounds were left out than lie beyond one bound, that bound is unknown and there is no interval.
        """
        lost = self.rounds_without_minimum
        known = lost <= (1 - level) / 2 * (lost + len(self.ratings))
        spreads = [
            Spread(
                percentile_interval(column, level) if known else None,
                float(column.var(ddof=1)) if known and len(column) > 1 else None,
            )
            for column in self.ratings.T
        ]
        return at_places(spreads, self.rated, self.n_items)


def count_battles(
    index_a: ArrayLike,
    index_b: ArrayLike,
    outcome: ArrayLike,
    *,
    n_items: int | None = None,
) -> Battles:
    """Count battles by pair and outcome, each of weight 1.

    Parameters
    ----------
    index_a, index_b : (n_battles,)
        The two items of each battle, integers from 0.
    outcome : (n_battles,)
        Share of the win of item a: 1, 0.5 (tie) or 0.
    n_items : optional
        Number of items; by default the largest index and one.

    Examples
    --------
    >>> battles = count_battles([0, 0, 1, 1], [1, 1, 0, 2], [1, 0.5, 0, 1])
    >>> battles.first, battles.second, battles.outcome, battles.count
    (array([0, 0, 1]), array([1, 1, 2]), array([0.5, 1. , 1. ]), array([1, 2, 1]))
    """
    a, b, doubled, n_items = checked_battles(index_a, index_b, outcome, n_items)
    turned = a > b
    code = np.where(turned, b * n_items + a, a * n_items + b)
    code *= 3
    code += np.where(turned, 2 - doubled, doubled)
    if n_items < 2000:
        counted = np.bincount(code)
        cells = np.flatnonzero(counted)
        counted = counted[cells]
    else:  # a table of all pairs would be larger than the battles
        cells, counted = np.unique(code, return_counts=True)
    pair = cells // 3
    return Battles(n_items, pair // n_items, pair % n_items, cells % 3 / 2, counted, np.ones(len(cells)))


def weighted_by_pair(battles: Battles, floor: int = 50) -> Battles:
    """The battles with weight 1 / max(battles of the pair, floor) each, so that much-played pairs do not dominate.

    arena-rank's ``reweighted``, with its floor.

    >>> weighted_by_pair(count_battles([0] * 200, [1] * 200, [1, 0] * 100)).weight
    array([0.005, 0.005])
    """
    _, place = np.unique(battles.first * battles.n_items + battles.second, return_inverse=True)
    of_pair = np.bincount(place, weights=battles.count)[place]
    return replace(battles, weight=1 / np.maximum(of_pair, floor))


def bradley_terry(battles: Battles, *, anchor: Anchor | None = None) -> BradleyTerry:
    """Fit equation (1) to its minimum: theta within about 1e-10, and no random numbers.

    Parameters
    ----------
    battles
        From ``count_battles``.
    anchor : optional
        Sets one item's rating and so shifts all; by default the mean of the rated items is 1000. Rated are the items
        comparable with the anchor, without anchor the largest set of items comparable with one another.

    Examples
    --------
    Three wins of four are odds of three to one, 400 * log10(3) = 190.8 points:

    >>> fit = bradley_terry(count_battles([0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0]), anchor=Anchor(1, 1000))
    >>> [round(rating, 1) for rating in fit.ratings]
    [1190.8, 1000.0]

    An item that never lost has no finite rating:

    >>> fit = bradley_terry(count_battles([0, 1, 2, 2], [1, 0, 0, 1], [1, 1, 1, 1]))
    >>> fit.ratings[2] is None and fit.unrated[2] == ABOVE
    True
    """
    points = _points(battles)
    rated, unrated = comparable_items(points, anchor)
    strengths = np.zeros(len(rated))
    if len(rated) > 1:
        fits, found = _fits(points[np.ix_(rated, rated)][None], strengths)
        if not found.all():
            raise ValueError(f"the fit did not converge in {MOST_STEPS} steps")
        strengths = fits[0] - fits[0].mean()
    return BradleyTerry(rated, strengths, unrated, anchor, battles)


def sandwich_spreads(fit: BradleyTerry, *, level: float = 0.95, ridge: float = 1e-5) -> tuple[Spread | None, ...]:
    """Normal intervals from the sandwich covariance of theta, which holds even where equation (1) does not.

    With x = e_i - e_j and W = weight of all battles of a cell, c of them: H = sum W P(1 - P) x x', B = sum
    (W (outcome - P))^2 / c x x', and the covariance is inv(H) B inv(H) (Huber 1967). With an anchor it is that of the
    differences to the anchor, whose own interval has no width; without, that of the differences to the mean.

    ``ridge`` times the number of battles (times 1 if battles have weights) is added to the diagonal of H, as arena-rank
    does to invert it. It makes variances of seldom compared items smaller, by about 1 percent at most where all items
    have some tens of battles; 0 leaves it out and inverts H across the direction that ratings leave open.

    Examples
    --------
    >>> fit = bradley_terry(count_battles([0] * 100, [1] * 100, [1, 0] * 50), anchor=Anchor(0, 1000))
    >>> [round(spread.variance ** 0.5, 1) for spread in sandwich_spreads(fit, ridge=0)]  # 0.2 * 173.7, of logit(1/2)
    [0.0, 34.7]
    """
    if not len(fit.rated):
        return (None,) * fit.n_items
    battles, _ = fit.battles.among(fit.rated)
    count, weight = battles.count, battles.weight
    probability = sigmoid(fit.strengths[battles.first] - fit.strengths[battles.second])
    information = laplacian(battles, count * weight * probability * (1 - probability))
    residual = laplacian(battles, count * np.square(weight * (battles.outcome - probability)))
    if ridge:
        scale = count.sum() if (weight == 1).all() else 1.0
        inverse = np.linalg.inv(information + ridge * scale * np.eye(battles.n_items))
    else:
        inverse = np.linalg.pinv(information, hermitian=True)
    return fit.normal_spreads(inverse @ residual @ inverse, level)


def bootstrap_ratings(fit: BradleyTerry, *, rng: np.random.Generator, rounds: int = 100) -> BootstrapRatings:
    """Ratings of battles drawn with replacement, as many as there are: each resample fitted to its minimum.

    Counts of cells are drawn, which is the same as drawing battles, and resamples are fitted together.

    Examples
    --------
    >>> fit = bradley_terry(count_battles([0, 1] * 200, [1, 2] * 200, [1, 0, 0, 1, 0.5, 1, 1, 1] * 50))
    >>> spread = bootstrap_ratings(fit, rng=np.random.default_rng(0), rounds=200).spreads()[0]
    >>> spread.interval.low < fit.ratings[0] < spread.interval.high
    True
    """
    if rounds < 1:
        raise ValueError(f"a bootstrap needs at least one round, got {rounds}")
    battles, rated, n_rated = fit.battles, fit.rated, len(fit.rated)
    table = _PointsTable(battles, rated)
    together = max(1, _TOGETHER // max(n_rated**2, 1))
    parts, without = [np.zeros((0, n_rated))], 0
    at_once = max(together, 2_000_000 // len(battles.count))
    for begin in range(0, rounds, at_once):
        drawn = draw_counts(battles.count, min(at_once, rounds - begin), rng)
        for k in range(0, len(drawn), together):
            points = table.points(drawn[k : k + together])
            points = points[strongly_connected(points)]
            fits, found = _fits(points, fit.strengths)
            parts.append(place_ratings(fits[found], rated, fit.anchor))
            without += min(together, len(drawn) - k) - len(parts[-1])
    return BootstrapRatings(np.concatenate(parts), rated, battles.n_items, without)


def ranks(intervals: Sequence[Interval | None]) -> tuple[int | None, ...]:
    """Rank by upper bound: 1 + the number of items whose lower bound is strictly above this item's upper bound.

    Items that cannot be told apart can share a rank. ``None`` where there is no interval. Chatbot Arena's rule.

    >>> ranks([Interval(1, 3, 0.95, ""), Interval(2, 5, 0.95, ""), None, Interval(4, 6, 0.95, "")])
    (2, 1, None, 1)
    """
    lows = np.sort([interval.low for interval in intervals if interval is not None])
    return tuple(
        None if interval is None else 1 + len(lows) - int(np.searchsorted(lows, interval.high, side="right"))
        for interval in intervals
    )


def predicted_win_rate(rating: ArrayLike, opponent: ArrayLike) -> FloatArray:
    """Share of wins, 0 to 1, that ratings predict against opponents' ratings: 1 / (1 + 10^((opponent - rating) / 400)).

    >>> predicted_win_rate([1000.0, 1400.0], 1000.0).round(4)
    array([0.5   , 0.9091])
    """
    return sigmoid(np.subtract(np.asarray(rating, dtype=float), np.asarray(opponent, dtype=float)) / SCALE)


def comparable_items(points: FloatArray, anchor: Anchor | None) -> tuple[IntArray, dict[int, str]]:
    """The items that have finite ratings, and why the others have none.

    ``points``, shape (n, n), is positive where item i took something from item j. The items are those reachable from
    the anchor and back; without anchor the largest set of items reachable from one another, if it has two.
    """
    from scipy.sparse.csgraph import connected_components

    n = len(points)
    if anchor is not None and not (0 <= anchor.item < n and np.isfinite(anchor.rating)):
        raise ValueError(f"the anchor {anchor} is not one of {n} items, or its rating is not finite")
    _, group = connected_components(points > 0, connection="strong")
    # Of equally large sets the one with the first item.
    first = int(np.bincount(group)[group].argmax()) if anchor is None else anchor.item
    best = np.flatnonzero(group == group[first])
    if anchor is None and len(best) < 2:
        best = best[:0]
    unrated = {}
    if len(best) < n:
        if len(best):
            down, up = (_reached(matrix[None], int(best[0]))[0] for matrix in (points, points.T))
        else:  # no two items are comparable: say who only lost and who only won
            down, up = points.any(axis=0), points.any(axis=1)
        for item in np.setdiff1d(np.arange(n), best).tolist():
            unrated[item] = ABOVE if up[item] and not down[item] else BELOW if down[item] and not up[item] else APART
    return best, unrated


def strongly_connected(points: FloatArray) -> NDArray[np.bool_]:
    """Whether all items reach one another by steps "took points from", shape (R,), in R tables (R, n, n)."""
    if points.shape[-1] == 0:
        return np.ones(len(points), dtype=bool)
    both_ways = _reached(points, 0) & _reached(points.transpose(0, 2, 1), 0)
    return np.asarray(both_ways.all(axis=1))


def place_ratings(strengths: FloatArray, rated: IntArray, anchor: Anchor | None) -> FloatArray:
    """Ratings of strengths (..., rated items): of mean 1000, or such that the anchor has its rating."""
    if not len(rated):
        return strengths
    if anchor is None:
        origin, zero = CENTRE, strengths.mean(axis=-1, keepdims=True)
    else:
        origin, zero = anchor.rating, strengths[..., int(np.searchsorted(rated, anchor.item)), None]
    return np.asarray(origin + SCALE * (strengths - zero))


def laplacian(battles: Battles, values: NDArray[Any]) -> FloatArray:
    """Sum of value * x x' over cells, with x = e_first - e_second, shape (items, items)."""
    n = battles.n_items
    upper = np.bincount(battles.first * n + battles.second, weights=values, minlength=n * n).reshape(n, n)
    both = upper.astype(float) + upper.T
    return np.diag(both.sum(axis=1)) - both


def draw_counts(count: IntArray, rounds: int, rng: np.random.Generator) -> IntArray:
    """Multinomial resamples (rounds, cells) of as many draws as ``count``, shape (cells,), has in all.

    Poisson counts are multinomial given their sum, and faster to draw: their mean is set 4 standard deviations short of
    the sum wanted, and the few draws that lack are added one by one. Where the sum came out too large nevertheless, the
    resample is drawn anew. So the distribution is exact.
    """
    total, cells = int(count.sum()), len(count)
    if total < 1000:
        return rng.multinomial(total, count / total, size=rounds)
    drawn = rng.poisson(count * (1 - 4 / np.sqrt(total)), size=(rounds, cells))
    lacking = total - drawn.sum(axis=1)
    added = np.repeat(np.arange(cells), count)[rng.integers(total, size=np.maximum(lacking, 0).sum())]
    added += np.repeat(np.arange(rounds) * cells, np.maximum(lacking, 0))
    drawn += np.bincount(added, minlength=drawn.size).reshape(drawn.shape)
    for k in np.flatnonzero(lacking < 0):
        drawn[k] = rng.multinomial(total, count / total)
    return drawn


class _PointsTable:
    """How resampled counts of cells become the points (n, n) that rated items took from one another."""

    def __init__(self, battles: Battles, rated: IntArray) -> None:
        n = len(rated)
        cells, self.inside = battles.among(rated)
        self.weight = cells.weight
        code = (cells.first * n + cells.second) * 3 + (2 * cells.outcome).astype(np.int64)
        column = np.full(3 * n * n, len(code))  # of cells that do not occur: there, a column of zeros is put
        column[code] = np.arange(len(code))
        lost, tied, won = column.reshape(n, n, 3).transpose(2, 0, 1)
        self.win, self.tie = np.minimum(won, lost.T), np.minimum(tied, tied.T)

    def points(self, drawn: IntArray) -> FloatArray:
        """Points (R, n, n) of counts (R, cells)."""
        values = np.zeros((len(drawn), len(self.weight) + 1))
        values[:, :-1] = drawn[:, self.inside] * self.weight if not self.inside.all() else drawn * self.weight
        points: FloatArray = values.take(self.tie, axis=1)
        points *= 0.5
        points += values.take(self.win, axis=1)
        return points


def _points(battles: Battles) -> FloatArray:
    """Weighted points that item i took from item j, shape (n, n)."""
    n, weighted = battles.n_items, battles.count * battles.weight
    place = battles.first * n + battles.second
    won = np.bincount(place, weights=weighted * battles.outcome, minlength=n * n).reshape(n, n)
    lost = np.bincount(place, weights=weighted * (1 - battles.outcome), minlength=n * n).reshape(n, n)
    return np.asarray(np.add(won, lost.T), dtype=float)


def _fits(points: FloatArray, start: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Minima (R, n) of R tables of points (R, n, n) from one start (n,), and which of them were found."""
    rounds, n = points.shape[:2]
    strengths = np.repeat(start[None], rounds, axis=0)
    if n < 2:
        return strengths, np.ones(rounds, dtype=bool)
    games = points + points.transpose(0, 2, 1)
    taken = points.sum(axis=2)
    return newton(lambda at: _derivatives(at, games, taken), lambda step: np.ptp(step, axis=1), strengths)


def _derivatives(strengths: FloatArray, games: FloatArray, taken: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Gradients (R, n) and Hessians (R, n, n), made definite across the direction that leaves differences alone."""
    n = strengths.shape[1]
    # P = odds_i / (odds_i + odds_j) takes no exponential per pair. The middle is put at 0 to stay within range.
    middle = (strengths.max(axis=1) + strengths.min(axis=1)) / 2
    odds = np.exp(np.clip(strengths - middle[:, None], -300, 300))
    total = odds[:, :, None] + odds[:, None, :]
    expected = games / total
    gradient = odds * expected.sum(axis=2) - taken
    expected /= total
    expected *= odds[:, :, None]
    expected *= odds[:, None, :]  # games * P * (1 - P)
    diagonal = expected.sum(axis=2)
    hessian = np.subtract(diagonal.mean(axis=1)[:, None, None] / n, expected, out=expected)
    hessian.reshape(len(hessian), -1)[:, :: n + 1] += diagonal
    return gradient, hessian


def _reached(points: FloatArray, start: int) -> NDArray[np.bool_]:
    """Items (R, n) that chains of "took points from" lead to from ``start`` in tables (R, n, n)."""
    reached = np.zeros(points.shape[:2], dtype=bool)
    reached[:, start] = True
    while True:
        further = reached | (np.matmul(reached[:, None, :].astype(float), points)[:, 0] > 0)
        if (further == reached).all():
            return reached
        reached = further


def checked_battles(
    index_a: ArrayLike, index_b: ArrayLike, outcome: ArrayLike, n_items: int | None
) -> tuple[IntArray, IntArray, IntArray, int]:
    """Both indices, twice the outcome, and the number of items; or ``ValueError`` with what is wrong."""
    a, b, share = np.asarray(index_a), np.asarray(index_b), np.asarray(outcome, dtype=float)
    if a.ndim != 1 or a.shape != b.shape or a.shape != share.shape:
        raise ValueError(f"battles are three equally long columns, got shapes {a.shape}, {b.shape}, {share.shape}")
    if not len(a):
        raise ValueError("there are no battles to rate anything by")
    if a.dtype.kind not in "iu" or b.dtype.kind not in "iu":
        raise ValueError("items are named by integers from 0")
    a, b = a.astype(np.int64, copy=False), b.astype(np.int64, copy=False)
    largest, smallest = max(int(a.max()), int(b.max())), min(int(a.min()), int(b.min()))
    n = largest + 1 if n_items is None else n_items
    if smallest < 0 or largest >= n:
        raise ValueError(f"items must be between 0 and {n - 1}, found {smallest if smallest < 0 else largest}")
    if (a == b).any():
        raise ValueError("an item cannot battle itself")
    doubled = np.zeros(len(share), dtype=np.int64)
    with np.errstate(invalid="ignore"):  # NaN is refused below
        doubled[:] = 2 * share
    if not (doubled == 2 * share).all() or doubled.min() < 0 or doubled.max() > 2:
        raise ValueError("outcomes are 1 (a won), 0.5 (tie) or 0 (b won)")
    return a, b, doubled, n
