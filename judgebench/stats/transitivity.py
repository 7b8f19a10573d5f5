"""Cycles in preferences: A beats B, B beats C, and C beats A.

Where a judge's preferences run in circles, a win rate against one baseline depends on the baseline, and no rating per
model can say who beats whom. Cycles also come by chance: of three coin flips, one in four is a cycle. So each count
stands beside the one that chance gives.

``win_matrix`` and ``cycles`` are about models, over all items. ``item_cycles`` is about the verdicts on one item, of
one judge: coin flips on each pair of models make cycles there, too, without any circle in the judge's taste, so the
second expectation, that of independent verdicts with each pair's own win rate, is the one to compare with. ``fit_test``
asks whether Bradley-Terry ratings give the observed win rates.

References
----------
Kendall, Babington Smith: On the method of paired comparisons. Biometrika 31, 1940.
David: The method of paired comparisons. Griffin 1988, chapters 2 and 4.
"""

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgebench.stats.arrays import FloatArray, IntArray
from judgebench.stats.bradley_terry import bradley_terry, count_battles
from judgebench.stats.intervals import Interval, percentile_interval
from judgebench.stats.newton import sigmoid

# Resamples of items behind an interval.
_ROUNDS = 1000


@dataclass(frozen=True, eq=False)
class WinMatrix:
    """Who beats whom, over all games."""

    share: FloatArray
    """Share of the win of the row's model against the column's, ties half; shape (m, m). 0.5 where they never met."""
    games: IntArray
    """Games of each pair, shape (m, m), symmetric."""


@dataclass(frozen=True)
class Cycles:
    """Cycles among models."""

    triads: int
    """Cyclic ones, at a share of more than 1/2 in each game of the cycle; of ``possible``."""
    possible: int
    """Threes of models that all met: C(m, 3) in a full round robin."""
    most: int
    """The largest number of cycles that any results of m models can have."""
    by_chance: float
    """Expected if each pair were a coin flip: a quarter of the possible ones."""
    consistency: float | None
    """Kendall's zeta: 1 - triads / most; ``None`` with fewer than three models, or where some pair never met."""
    strong_violations: int
    """Ordered threes with P_ij >= 1/2, P_jk >= 1/2 and P_ik < max(P_ij, P_jk) (strong stochastic transitivity)."""
    strongest: float | None
    """Smallest of the three |z| of P = 1/2, in the cycle where it is largest; ``None`` without cycles. Below 2, no
    cycle is beyond what few games do by chance."""


@dataclass(frozen=True)
class ItemCycles:
    """Cycles within items."""

    share: float | None
    """Items x threes of models judged in all three games that form a cycle."""
    interval: Interval | None
    """Over resampled items; ``None`` with fewer than two."""
    triads: int
    """How many those are, in all."""
    coin_flips: float
    """Expected share if each verdict were a coin flip, with the observed share of ties: (1 - ties)^3 / 4."""
    independent: float | None
    """Expected share if each verdict were drawn by itself, with its pair's own rates of wins, ties and losses."""
    items: int
    """Items with at least one such three."""


@dataclass(frozen=True)
class FitTest:
    """Whether one rating per model gives the win rates of all pairs."""

    statistic: float | None
    """G^2 = 2 sum observed ln(observed / expected), over wins and losses of the pairs of rated models."""
    degrees: int
    """Pairs that met, less the ratings that are free."""
    p: float | None
    """Small if ratings do not fit. ``None`` without degrees of freedom."""
    reason: str | None


def win_matrix(first: ArrayLike, second: ArrayLike, outcome: ArrayLike, models: int) -> WinMatrix:
    """Shares of wins from games, shapes (n,): model numbers from 0, and the share of the win of ``first`` (0 to 1).

    >>> matrix = win_matrix([0, 0, 1], [1, 1, 2], [1.0, 0.5, 0.0], models=3)
    >>> matrix.share.tolist()
    [[0.5, 0.75, 0.5], [0.25, 0.5, 0.0], [0.5, 1.0, 0.5]]
    """
    one, two, won = _games(first, second, outcome, models)
    points, games = np.zeros((models, models)), np.zeros((models, models), dtype=np.int64)
    np.add.at(points, (one, two), won)
    np.add.at(points, (two, one), 1 - won)
    np.add.at(games, (one, two), 1)
    np.add.at(games, (two, one), 1)
    return WinMatrix(np.where(games > 0, points / np.maximum(games, 1), 0.5), games)


def cycles(matrix: WinMatrix) -> Cycles:
    """Count the cycles among models.

    >>> circle = win_matrix([0, 1, 2], [1, 2, 0], [1, 1, 1], models=3)
    >>> found = cycles(circle)
    >>> found.triads, found.by_chance, found.consistency
    (1, 0.25, 0.0)
    """
    share, met = matrix.share, matrix.games > 0
    m = len(share)
    beats = ((share > 0.5) & met).astype(np.int64)
    # A cycle is a closed walk of three steps, found from each of its three models.
    triads = int(np.trace(beats @ beats @ beats)) // 3
    meetings = met.astype(np.int64)
    possible = int(np.trace(meetings @ meetings @ meetings)) // 6
    most = (m**3 - (m if m % 2 else 4 * m)) // 24 if m >= 3 else 0
    everyone = possible == comb(m, 3)
    return Cycles(
        triads,
        possible,
        most,
        possible / 4,
        1 - triads / most if most and everyone else None,
        _strong_violations(share, met),
        _strongest(matrix, beats),
    )


def named_cycles(matrix: WinMatrix) -> tuple[tuple[int, int, int, float], ...]:
    """Each cycle of three models: i beats j, j beats k and k beats i, i being the smallest; with the smallest of their
    three |z| of P = 1/2, the largest first.

    >>> named_cycles(win_matrix([0, 1, 2] * 25, [1, 2, 0] * 25, [1] * 75, models=3))
    ((0, 1, 2, 5.0),)
    """
    share, m = matrix.share, len(matrix.share)
    beats = (share > 0.5) & (matrix.games > 0)
    z = np.abs(share - 0.5) * 2 * np.sqrt(matrix.games)
    found = [
        (i, int(j), int(k), float(min(z[i, j], z[j, k], z[k, i])))
        for i in range(m)
        for j in np.flatnonzero(beats[i])
        for k in np.flatnonzero(beats[j] & beats[:, i])
        if i < j and i < k
    ]
    return tuple(sorted(found, key=lambda cycle: (-cycle[3], cycle[:3])))


def item_cycles(
    items: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    votes: ArrayLike,
    models: int,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
) -> ItemCycles:
    """Count the cycles within items, from verdicts, shapes (n,): +1 (``first`` is better), -1 or 0 (a tie).

    ``items`` are codes, ``first`` and ``second`` model numbers from 0. A pair has one verdict per item: fold the two
    orders or repeats before. A three of models with a tie is no cycle, and counts among all.

    >>> items, first, second = [7, 7, 7, 8, 8, 8], [0, 1, 2, 0, 1, 0], [1, 2, 0, 1, 2, 2]
    >>> found = item_cycles(items, first, second, [1, 1, 1, 1, 1, 1], models=3, rng=np.random.default_rng(0))
    >>> found.share, found.coin_flips
    (0.5, 0.25)
    """
    names, item = np.unique(np.asarray(items), return_inverse=True)
    verdicts = np.asarray(votes, dtype=float)
    if verdicts.shape != item.shape or not np.isin(verdicts, (-1, 0, 1)).all():
        raise ValueError("there is one item per vote, and a vote is 1, -1 or 0")
    one, two, _ = _games(first, second, (verdicts + 1) / 2, models)
    low, high = np.minimum(one, two), np.maximum(one, two)
    place = (item * models + low) * models + high
    if len(np.unique(place)) < len(place):
        raise ValueError("a pair of models has one verdict per item: fold orders and repeats before")
    # 9: no game.
    table = np.full((len(names), models, models), 9, dtype=np.int8)
    signed = np.where(one < two, verdicts, -verdicts).astype(np.int8)
    table[item, low, high] = signed
    cyclic, counted = np.zeros(len(names)), np.zeros(len(names))
    expected = 0.0
    for a, b, c in combinations(range(models), 3):
        games = np.stack([table[:, a, b], table[:, b, c], table[:, a, c]])
        full = (games != 9).all(axis=0)
        if not full.any():
            continue
        counted += full
        cyclic += full & (games[0] != 0) & (games[0] == games[1]) & (games[0] == -games[2])
        ahead, behind = ([float((game[game != 9] == sign).mean()) for game in games] for sign in (1, -1))
        expected += int(full.sum()) * (ahead[0] * ahead[1] * behind[2] + behind[0] * behind[1] * ahead[2])
    triads = int(counted.sum())
    ties = float((verdicts == 0).mean()) if len(verdicts) else 0.0
    if not triads:
        return ItemCycles(None, None, 0, (1 - ties) ** 3 / 4, None, 0)
    used = counted > 0
    interval = None
    if used.sum() > 1:
        # Items alike need no telling apart.
        kinds, frequency = np.unique(np.stack([cyclic, counted])[:, used], axis=1, return_counts=True)
        drawn = rng.multinomial(int(used.sum()), frequency / used.sum(), size=_ROUNDS) @ kinds.T
        interval = percentile_interval(drawn[:, 0] / drawn[:, 1], level)
    share = float(cyclic.sum()) / triads
    return ItemCycles(share, interval, triads, (1 - ties) ** 3 / 4, expected / triads, int(used.sum()))


def fit_test(first: ArrayLike, second: ArrayLike, outcome: ArrayLike, models: int) -> FitTest:
    """Likelihood-ratio test of Bradley-Terry ratings against a win rate of its own for each pair; games as above.

    Outcomes are 1, 0.5 or 0. Ties count half, which makes the test cautious. Games must be independent: several of one
    item are not.

    >>> result = fit_test([0, 1, 2] * 20, [1, 2, 0] * 20, [1, 1, 1] * 15 + [0, 0, 0] * 5, models=3)
    >>> round(result.statistic, 1), result.degrees, round(result.p, 4)  # a circle: all ratings are equal
    (15.7, 1, 0.0001)
    """
    from scipy.special import chdtrc, rel_entr

    one, two, won = _games(first, second, outcome, models)
    fit = bradley_terry(count_battles(one, two, won, n_items=models))
    if len(fit.rated) < 2:
        return FitTest(None, 0, None, "fewer than two models can be rated")
    matrix, rated = win_matrix(one, two, won, models), np.ix_(fit.rated, fit.rated)
    games, expected = matrix.games[rated], sigmoid(fit.strengths[:, None] - fit.strengths)
    total = 2 * float((games * rel_entr(matrix.share[rated], expected)).sum())
    # At a perfect fit, rounding may leave it below 0.
    statistic, degrees = max(total, 0.0), int(np.count_nonzero(games)) // 2 - (len(fit.rated) - 1)
    if degrees < 1:
        return FitTest(statistic, 0, None, "there are as many ratings as pairs: any results fit")
    return FitTest(statistic, degrees, float(chdtrc(degrees, statistic)), None)


def _strong_violations(share: FloatArray, met: NDArray[np.bool_]) -> int:
    ahead = (share >= 0.5) & met
    count = 0
    # Per middle model j: all i before it and k behind it at once.
    for j in range(len(share)):
        threes = ahead[:, j, None] & ahead[j] & met
        count += int((threes & (share < np.maximum(share[:, j, None], share[j]))).sum())
    return count


def _strongest(matrix: WinMatrix, beats: IntArray) -> float | None:
    z = np.abs(matrix.share - 0.5) * 2 * np.sqrt(matrix.games)
    strongest = None
    for a, b in zip(*np.nonzero(beats), strict=True):
        # The third models that b beats and that beat a.
        thirds = np.flatnonzero(beats[b] & beats[:, a])
        if len(thirds):
            weakest = np.minimum(np.minimum(z[b, thirds], z[thirds, a]), z[a, b])
            strongest = max(strongest or 0.0, float(weakest.max()))
    return strongest


def _games(
    first: ArrayLike, second: ArrayLike, outcome: ArrayLike, models: int
) -> tuple[IntArray, IntArray, FloatArray]:
    one, two = np.asarray(first, dtype=np.int64), np.asarray(second, dtype=np.int64)
    won = np.asarray(outcome, dtype=float)
    if one.ndim != 1 or one.shape != two.shape or one.shape != won.shape:
        raise ValueError(f"games are two models and an outcome each; got shapes {one.shape}, {two.shape}, {won.shape}")
    if len(one) and (min(one.min(), two.min()) < 0 or max(one.max(), two.max()) >= models or (one == two).any()):
        raise ValueError(f"a game is between two different models, numbered 0 to {models - 1}")
    if not ((won >= 0) & (won <= 1)).all():
        raise ValueError("an outcome is the first model's share of the win, 0 to 1")
    return one, two, won
