"""Online Elo: ratings that move a little after every vote, and the WB-Elo of WildBench, which is made of them.

After a vote between items 1 and 2, with S the share that item 1 took,

    E = 1 / (1 + 10^((R_2 - R_1) / 400)),    R_1 <- R_1 + K (S - E),    R_2 <- R_2 - K (S - E)                (1)

The last votes count most, so ratings depend on the order of votes. Chatbot Arena's early tables took the order of time
(``online_elo``). WB-Elo has no times: its votes come from the scores that single answers got (``votes_from_scores``),
and its ratings are means over many random orders (``shuffled_elo``), in which items with a given rating, the anchors,
pull the others towards it. The spread over orders says nothing about how other questions would have turned out: it is
not a bootstrap.

Random orders are followed all at once: step k applies (1) to the k-th vote of every order, in numpy arrays over orders.

References
----------
Elo: The rating of chessplayers, past and present. 1978.
lm-sys/FastChat@0e6d3e4:fastchat/serve/monitor/rating_systems.py (K = 4, start 1000).
allenai/WildBench@d6b8dca:leaderboard/wb_elo.py. Its workers seed their random numbers anew, so that two runs differ;
here every round has a seed of its own, and equal input gives equal ratings.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgebench.stats.arrays import FloatArray
from judgebench.stats.bradley_terry import Battles, checked_battles
from judgebench.stats.intervals import Interval, percentile_interval

START = 1000.0
"""Rating of an item before its first vote."""

# Steps whose table entries are looked up together, and orders followed together: few enough to stay in the processor's
# cache. And at most so many votes times orders are held in memory at once.
_STEPS = 128
_LANES = 512
_HELD = 2**28


@dataclass(frozen=True, eq=False)
class Votes(Battles):
    """Battles whose outcomes come from scores. Elo ignores their weights."""

    n_decided: int
    """Votes that had a winner before lengths were looked at."""


class EloSummary(NamedTuple):
    """Ratings of one item over random orders of the votes."""

    mean: float
    std: float
    """Population standard deviation over orders."""
    median: float
    interval: Interval | None
    """Percentiles over orders: what the order of votes alone can do. ``None`` with one order."""


@dataclass(frozen=True, eq=False)
class ShuffledElo:
    """Elo ratings after random orders of the votes."""

    ratings: FloatArray
    """Shape (rounds, items)."""
    voted: NDArray[np.bool_]
    """Whether an item took part in a vote: else its rating is its anchor's, or ``START``."""

    def summary(self, item: int, level: float = 0.95) -> EloSummary:
        """Mean, spread and percentiles over orders for one item."""
        ratings = self.ratings[:, item]
        interval = percentile_interval(ratings, level, "order of votes, percentile")
        return EloSummary(float(ratings.mean()), float(ratings.std()), float(np.median(ratings)), interval)


def online_elo(
    index_a: ArrayLike,
    index_b: ArrayLike,
    outcome: ArrayLike,
    *,
    n_items: int | None = None,
    k: float = 4.0,
    start: float = START,
) -> FloatArray:
    """Ratings, shape (n_items,), after one pass over the battles in the order given.

    ``index_a`` and ``index_b``, shape (n_battles,), are the items; ``outcome`` is 1, 0.5 or 0 for a.

    >>> online_elo([0, 0], [1, 1], [1, 0.5]).round(3)
    array([1001.977,  998.023])
    """
    a, b, doubled, n = checked_battles(index_a, index_b, outcome, n_items)
    ratings = [float(start)] * n
    for one, other, share in zip(a.tolist(), b.tolist(), (doubled / 2).tolist(), strict=True):
        # At differences beyond 40,000 points the power would overflow; K bounds what a vote can add.
        expected = 1 / (1 + 10 ** min((ratings[other] - ratings[one]) / 400, 300.0))
        ratings[one] += k * (share - expected)
        ratings[other] -= k * (share - expected)
    return np.array(ratings)


def votes_from_scores(
    scores: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    margin: float = 2.0,
    tie_margin: float = 2.0,
    length_margin: float | None = 1500.0,
) -> Votes:
    """A vote for every question and pair of items that both have a score.

    WildBench's official setting is the default: scores one point apart are a tie.

    Parameters
    ----------
    scores : (n_questions, n_items)
        NaN where an item has no score, or its answer is empty or cut off.
    lengths : (n_questions, n_items), optional
        Characters of the answers; needed with ``length_margin``.
    margin
        From this difference of the two scores on, the higher one wins.
    tie_margin
        Else it is a tie if the difference is at most this, and no vote otherwise.
    length_margin : optional
        Where lengths differ by more than this, the vote is a tie, whoever is longer. ``None`` or a number not above 0
        leaves lengths aside.

    Examples
    --------
    >>> votes = votes_from_scores([[9, 5, 6], [7, 7, np.nan]], length_margin=None)
    >>> votes.first, votes.second, votes.outcome, votes.count
    (array([0, 0, 0, 1]), array([1, 1, 2, 2]), array([0.5, 1. , 1. , 0.5]), array([1, 1, 1, 1]))
    """
    table = np.asarray(scores, dtype=float)
    if table.ndim != 2 or np.isinf(table).any():
        raise ValueError(f"scores are a table (questions, items) of numbers, NaN where there is none; {table.shape}")
    if not (margin > 0 and tie_margin >= 0):
        raise ValueError(f"the margin is positive and the tie margin not negative; got {margin} and {tie_margin}")
    by_length = length_margin is not None and length_margin > 0
    sizes = np.zeros_like(table) if lengths is None else np.asarray(lengths, dtype=float)
    if sizes.shape != table.shape or (by_length and lengths is None):
        raise ValueError("a length margin needs the length of every answer: give lengths, or length_margin=None")
    n_items, n_decided = table.shape[1], 0
    counts = np.zeros((n_items, n_items, 3), dtype=np.int64)
    for one in range(n_items - 1):
        # NaN compares as false with everything, so a missing score makes no vote.
        ahead = table[:, one, None] - table[:, one + 1 :]
        won, lost = ahead >= margin, -ahead >= margin
        tied = ~won & ~lost & (np.abs(ahead) <= tie_margin)
        n_decided += int(won.sum() + lost.sum())
        if by_length:
            uneven = np.abs(sizes[:, one, None] - sizes[:, one + 1 :]) > length_margin
            tied |= uneven & (won | lost)
            won, lost = won & ~uneven, lost & ~uneven
        counts[one, one + 1 :] = np.stack([lost.sum(axis=0), tied.sum(axis=0), won.sum(axis=0)], axis=1)
    first, second, doubled = np.nonzero(counts)
    return Votes(n_items, first, second, doubled / 2, counts[first, second, doubled], np.ones(len(first)), n_decided)


def shuffled_elo(
    votes: Votes,
    *,
    anchors: Sequence[float | None] | None = None,
    dynamic: bool = True,
    interval: int = 100,
    k: float = 4.0,
    rounds: int = 128,
    seed: int = 42,
) -> ShuffledElo:
    """Elo ratings after each of ``rounds`` random orders of all votes (WB-Elo; defaults are the official setting).

    Parameters
    ----------
    votes
        From ``votes_from_scores``.
    anchors : (n_items,), optional
        Given rating of an item, ``None`` for the items to be rated. Anchors start there, others at 1000. Votes between
        two anchors are left out.
    dynamic
        Whether anchors move: like others, but whenever the number of votes that an anchor had before this one is
        divisible by ``interval`` (so after its first) its new rating is replaced by the mean of itself and the given
        one. If not, they stay.
    interval
        0 or less: never replaced.
    k
        How far a vote moves ratings: K of (1).
    rounds, seed
        Round r uses ``numpy.random.default_rng([seed, r])``, so more rounds do not change earlier ones.

    Notes
    -----
    One million votes and 128 rounds take some six seconds, and 2 bytes per vote and round (512 MB at most).

    Examples
    --------
    Item 1 wins 30 of 40 votes against item 0, which is held at 1200:

    >>> votes = Votes(2, np.array([0, 0]), np.array([1, 1]), np.array([0, 1.0]), np.array([30, 10]), np.ones(2), 40)
    >>> result = shuffled_elo(votes, anchors=[1200, None], dynamic=False)
    >>> result.ratings.shape, round(result.ratings[0, 0]), 1000 < result.summary(1).mean < 1200  # too few votes
    ((128, 2), 1200, True)
    """
    given = [None] * votes.n_items if anchors is None else list(anchors)
    if len(given) != votes.n_items or not all(rating is None or np.isfinite(rating) for rating in given):
        raise ValueError(f"anchors are one rating or None for each of {votes.n_items} items")
    if rounds < 1 or not votes.count.sum():
        raise ValueError(f"there must be votes and rounds; got {votes.count.sum()} votes and {rounds} rounds")
    anchored = np.array([rating is not None for rating in given])
    start = np.array([START if rating is None else rating for rating in given])
    free = ~(anchored[votes.first] & anchored[votes.second])
    # The anchor, if there is one, is the second of its pair, so that only seconds are ever pulled.
    turned = anchored[votes.first] & free
    first, second = np.where(turned, votes.second, votes.first)[free], np.where(turned, votes.first, votes.second)[free]
    outcome = np.where(turned, 1 - votes.outcome, votes.outcome)[free]
    ordered = replace(votes, first=first, second=second, outcome=outcome, count=votes.count[free])
    sequence = _Sequence(ordered, anchored, start, dynamic, interval, k)
    ratings = np.repeat(start[None], rounds, axis=0)
    at_once = min(_LANES, max(1, _HELD // max(sequence.length, 1)))
    for begin in range(0, rounds, at_once):
        seeds = [(seed, r) for r in range(begin, min(begin + at_once, rounds))]
        ratings[begin : begin + at_once] = sequence.run(seeds)
    voted = np.zeros(votes.n_items, dtype=bool)
    voted[first], voted[second] = True, True
    return ShuffledElo(ratings, voted)


class _Sequence:
    """Random orders of votes, as codes, and (1) along them for all orders at once.

    A code says which cell a vote belongs to and, by being ``cells`` higher, that its second item is pulled back after
    it. Per code, tables give the items and what happens.
    """

    def __init__(
        self, votes: Votes, anchored: NDArray[np.bool_], start: FloatArray, dynamic: bool, interval: int, k: float
    ) -> None:
        second = votes.second
        self.first, self.second = np.tile(votes.first, 2), np.tile(second, 2)
        self.count, self.cells, self.length = votes.count, len(votes.count), votes.n_battles
        self.codes = np.min_scalar_type(2 * self.cells)
        # Half the logit is the unit of ratings here, since E = (1 + tanh(half the logit)) / 2.
        self.unit = float(np.log(10) / 800)
        self.start, self.k = start * self.unit, k * self.unit / 2
        self.share = self.k * (2 * np.tile(votes.outcome, 2) - 1)
        # After the vote, the second's rating is kept * rating + (1 - kept) * anchor.
        moves = anchored[second] & dynamic
        self.kept = np.concatenate([np.where(anchored[second] & (not dynamic), 0.0, 1.0), np.where(moves, 0.5, 1.0)])
        self.added = (1 - self.kept) * self.start[self.second]
        self.interval = interval if interval > 0 and moves.any() else 0
        # Anchors among the seconds, numbered; 0 stands for none.
        self.anchor_of = np.zeros(self.cells, dtype=np.uint16)
        if self.interval:
            _, numbers = np.unique(second[moves], return_inverse=True)
            self.anchor_of[moves] = numbers + 1

    def order(self, seed: tuple[int, int]) -> NDArray[np.integer]:
        """One random order of all votes, as codes."""
        codes = np.repeat(np.arange(self.cells, dtype=self.codes), self.count)
        np.random.default_rng(seed).shuffle(codes)
        if self.interval:
            anchor = self.anchor_of[codes]
            by_anchor = np.argsort(anchor.astype(np.uint8) if anchor.max() < 256 else anchor, kind="stable")
            begins = np.searchsorted(anchor, np.arange(int(self.anchor_of.max()) + 2), sorter=by_anchor)
            for begin, end in zip(begins[1:-1].tolist(), begins[2:].tolist(), strict=True):
                codes[by_anchor[begin : end : self.interval]] += self.cells
        return codes

    def run(self, seeds: Sequence[tuple[int, int]]) -> FloatArray:
        """Ratings (rounds, items) after one order per seed."""
        rounds = len(seeds)
        orders = np.empty((rounds, self.length), dtype=self.codes)
        for row, seed in zip(orders, seeds, strict=True):
            row[:] = self.order(seed)
        # Item-major, so that the ratings of one item lie together: place = item * rounds + round.
        ratings = np.repeat(self.start, rounds)
        lane = np.arange(rounds)
        pulls = bool((self.kept < 1).any())
        both, change, k = np.empty((2, rounds)), np.empty(rounds), np.full(rounds, self.k)
        one, other = both
        add, subtract, multiply, tanh = np.add, np.subtract, np.multiply, np.tanh  # a million look-ups each
        first, second = self.first * rounds, self.second * rounds
        for begin in range(0, self.length, _STEPS):
            codes = orders[:, begin : begin + _STEPS].T.astype(np.intp, order="C")
            places = np.empty((len(codes), 2, rounds), dtype=np.intp)
            np.add(first.take(codes), lane, out=places[:, 0])
            np.add(second.take(codes), lane, out=places[:, 1])
            shares = self.share.take(codes)
            keeps, adds = (self.kept.take(codes), self.added.take(codes)) if pulls else (shares, shares)
            for place, share, kept, added in zip(places, shares, keeps, adds, strict=True):
                ratings.take(place, out=both, mode="clip")
                subtract(one, other, change)
                tanh(change, change)
                multiply(change, k, change)
                subtract(share, change, change)
                add(one, change, one)
                subtract(other, change, other)
                if pulls:
                    multiply(other, kept, other)
                    add(other, added, other)
                ratings[place] = both
        return np.ascontiguousarray(ratings.reshape(-1, rounds).T) / self.unit
