"""How often two votes on the same game agree.

A game is what both voters saw: question, turn and pair of answers. A vote is +1 (the first answer), -1 (the second) or
0 (a tie), so votes on one game must all be counted from the same answer: see :func:`orient`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgebench.stats.intervals import Interval, percentile_interval, resample_counts

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Agreement:
    """Comparisons of two votes, and how many of them agree."""

    total: int
    agree: int
    interval: Interval | None = None
    """Of the ratio; ``None`` if no clusters were given or fewer than two hold a comparison."""

    @property
    def ratio(self) -> float | None:
        """Share of the comparisons that agree; ``None`` without any."""
        return self.agree / self.total if self.total else None


def orient(first: ArrayLike, second: ArrayLike, votes: ArrayLike) -> tuple[NDArray[np.str_], IntArray]:
    """Order each pair of names, shapes (n,), and turn the votes with it.

    Returns the pairs in alphabetical order, shape (n, 2), and the votes as counted from the first of each.

    >>> orient(["b", "a"], ["a", "b"], [1, 1])[1]
    array([-1,  1])
    """
    names = np.stack([np.asarray(first, dtype=str), np.asarray(second, dtype=str)], axis=-1)
    turned = np.asarray(votes, dtype=np.int64)
    swapped = names[:, 0] > names[:, 1]
    return np.where(swapped[:, None], names[:, ::-1], names), np.where(swapped, -turned, turned)


def agreement_between(
    games: ArrayLike,
    votes: ArrayLike,
    other_games: ArrayLike,
    other_votes: ArrayLike,
    *,
    ties: bool = True,
    clusters: ArrayLike | None = None,
    rng: np.random.Generator | None = None,
) -> Agreement:
    """Compare each of ``votes`` with the one vote of ``other_votes`` on the same game.

    ``games``, shape (n,), and ``other_games``, shape (m,), are codes; games that only one side voted on are left out.
    With ``ties=False`` so is every comparison in which either vote is a tie. ``clusters``, shape (n,), and ``rng`` give
    the ratio a percentile interval over 1,000 resamples of whole clusters, such as questions.

    The counting is that of lm-sys/FastChat@0e6d3e4:fastchat/llm_judge/compute_agreement.py (Zheng et al. 2023,
    arXiv 2306.05685, table 5).

    >>> agreement_between([7, 7, 8], [1, -1, 0], [7, 8], [1, 1])
    Agreement(total=3, agree=1, interval=None)
    """
    games, votes = _checked(games, votes)
    other_games, other_votes = _checked(other_games, other_votes)
    order = np.argsort(other_games, kind="stable")
    known, known_votes = other_games[order], other_votes[order]
    if len(known) and (np.diff(known) == 0).any():
        raise ValueError("the other side must have one vote on each game; some have several")
    place = np.searchsorted(known, games)
    shared = np.zeros(len(games), dtype=bool)
    inside = place < len(known)
    shared[inside] = known[place[inside]] == games[inside]
    mine, theirs = votes[shared], known_votes[place[shared]]
    counted = np.ones(len(mine), dtype=bool) if ties else (mine != 0) & (theirs != 0)
    agreeing = (mine == theirs) & counted
    interval = None
    if clusters is not None:
        interval = _interval(np.asarray(clusters)[shared], counted, agreeing, rng)
    return Agreement(int(counted.sum()), int(agreeing.sum()), interval)


def agreement_within(
    games: ArrayLike,
    votes: ArrayLike,
    *,
    ties: bool = True,
    clusters: ArrayLike | None = None,
    rng: np.random.Generator | None = None,
) -> Agreement:
    """Compare every two of ``votes`` on the same game, shapes (n,); the options are :func:`agreement_between`'s.

    >>> agreement_within([7, 7, 7, 8], [1, 1, 0, 1])
    Agreement(total=3, agree=1, interval=None)
    """
    games, votes = _checked(games, votes)
    _, first, code = np.unique(games, return_index=True, return_inverse=True)
    counts = np.zeros((len(first), 3), dtype=np.int64)
    np.add.at(counts, (code, votes + 1), 1)
    if not ties:
        counts[:, 1] = 0
    voters = counts.sum(axis=1)
    total, agree = voters * (voters - 1) // 2, (counts * (counts - 1) // 2).sum(axis=1)
    interval = None if clusters is None else _interval(np.asarray(clusters)[first], total, agree, rng)
    return Agreement(int(total.sum()), int(agree.sum()), interval)


def _checked(games: ArrayLike, votes: ArrayLike) -> tuple[IntArray, IntArray]:
    games, votes = np.asarray(games, dtype=np.int64), np.asarray(votes, dtype=np.int64)
    if games.ndim != 1 or games.shape != votes.shape:
        raise ValueError(f"games and votes are one number per vote, got shapes {games.shape}, {votes.shape}")
    if not np.isin(votes, (-1, 0, 1)).all():
        raise ValueError("a vote is 1, -1 or 0")
    return games, votes


def _interval(
    clusters: NDArray[np.generic], total: ArrayLike, agree: ArrayLike, rng: np.random.Generator | None
) -> Interval | None:
    if rng is None:
        raise ValueError("an interval over clusters needs rng")
    names, code = np.unique(clusters, return_inverse=True)
    totals = np.bincount(code, weights=np.asarray(total, dtype=float), minlength=len(names))
    agrees = np.bincount(code, weights=np.asarray(agree, dtype=float), minlength=len(names))
    if np.count_nonzero(totals) < 2:
        return None
    counts = resample_counts(len(names), 1000, rng).astype(float)
    drawn = counts @ totals
    return percentile_interval((counts @ agrees)[drawn > 0] / drawn[drawn > 0])
