"""Replays adaptive pairing on a table of battles that is a whole round robin: what it would have saved, and lost.

The table says what the judge would have answered. Each replay asks for the games in another random order of the
questions, and stops by its rule; its order of the models is then compared with that of the whole table.

Arena-Hard writes a strong verdict as three equal rows. So three rows of a pair on a question are one game, four are a
plain and a strong one, and six two strong ones; otherwise a row is a game.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from judgebench.arena.games import Games
from judgebench.arena.playing import Looked, Rule, next_batch, warm_of
from judgebench.errors import UsageError
from judgebench.records import Count, Number
from judgebench.stats.arrays import FloatArray, IntArray
from judgebench.stats.pairing import Played, RoundRobin, sequence, standing

MOST_REPLAYS = 10_000


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """One replay."""

    share: Number
    """Of the games, how many were played."""
    stopped: str
    """``decided`` or ``calls``."""
    reversed: Count
    """Pairs that the whole table tells apart, and the replay orders the other way round."""
    kendall: Number
    """Kendall's tau of both orders of all models, also of those that the table does not tell apart."""
    looks: Count


class Replays(msgspec.Struct, frozen=True, kw_only=True):
    """Several replays of one table."""

    models: Count
    games: Count
    pairs: Count
    told_apart: Count
    """Pairs whose difference in the whole table is beyond its interval."""
    replays: tuple[Replay, ...]

    @property
    def largest_share(self) -> float:
        """The largest share of the games that any replay played."""
        return max(one.share for one in self.replays)

    @property
    def agreeing(self) -> int:
        """Replays that order every pair that the table tells apart as the table does."""
        return sum(not one.reversed for one in self.replays)


@dataclass(frozen=True, eq=False)
class _Table:
    """A table of battles by pair and question."""

    n_models: int
    pairs: tuple[tuple[int, int], ...]
    units: dict[tuple[int, int], tuple[tuple[float, int], ...]]
    """By pair and question: the games, each with the outcome for the pair's first, and its weight."""

    @property
    def questions(self) -> IntArray:
        """The codes of the questions."""
        return np.unique([question for _, question in self.units])


def replay(games: Games, rule: Rule, orders: int) -> Replays:
    """Replay a table in several random orders of its questions, with the seeds ``rule.seed``, + 1, …"""
    if not 1 <= orders <= MOST_REPLAYS:
        raise UsageError(f"--replay {orders} is not between 1 and {MOST_REPLAYS:,}")
    table = _table(games)
    whole = standing(*_all_played(table), level=rule.level)
    apart = np.abs(whole.difference) > _reach(whole.variance, rule.level)
    upper = np.triu_indices(table.n_models, 1)
    replays = []
    for number in range(orders):
        seen, total = _replayed(table, rule, rule.seed + number)
        now = seen.standing
        assert now is not None
        signs = np.sign(now.difference) * np.sign(whole.difference)
        replays.append(
            Replay(
                share=int(seen.counts.sum()) / total,
                stopped="decided" if now.decided else "calls",
                reversed=int((apart & (signs < 0))[upper].sum()),
                kendall=float(signs[upper].mean()) if len(upper[0]) else 1.0,
                looks=seen.looks,
            )
        )
    return Replays(
        models=table.n_models,
        games=int(sum(map(len, table.units.values()))),
        pairs=len(upper[0]),
        told_apart=int(apart[upper].sum()),
        replays=tuple(replays),
    )


def _reach(variance: FloatArray, level: float) -> FloatArray:
    from scipy.special import ndtri

    return np.asarray(ndtri((1 + level) / 2) * np.sqrt(variance))


def _table(games: Games) -> _Table:
    rows: dict[tuple[int, int, int], list[float]] = {}
    for first, second, outcome, question in zip(
        games.first.tolist(), games.second.tolist(), games.outcome.tolist(), games.question.tolist(), strict=True
    ):
        if first < second:
            rows.setdefault((first, second, question), []).append(outcome)
        else:
            rows.setdefault((second, first, question), []).append(1 - outcome)
    pairs = tuple(sorted({(first, second) for first, second, _ in rows}))
    place = {pair: number for number, pair in enumerate(pairs)}
    units = {
        (place[first, second], question): _games_of(outcomes) for (first, second, question), outcomes in rows.items()
    }
    return _Table(len(games.models), pairs, units)


def _games_of(rows: Sequence[float]) -> tuple[tuple[float, int], ...]:
    """The games of a pair on a question, from its rows: outcomes and weights.

    >>> _games_of([1.0, 0.5]), _games_of([0.0, 1.0, 1.0, 1.0]), _games_of([1.0, 1.0, 1.0])
    (((1.0, 1), (0.5, 1)), ((0.0, 1), (1.0, 3)), ((1.0, 3),))
    """
    if len(rows) == 3 and len(set(rows)) == 1:
        return ((rows[0], 3),)
    if len(rows) == 6 and len(set(rows[:3])) == len(set(rows[3:])) == 1:
        return ((rows[0], 3), (rows[5], 3))
    if len(rows) == 4 and len(set(rows[1:])) == 1:
        return ((rows[0], 1), (rows[3], 3))
    if len(rows) == 4 and len(set(rows[:3])) == 1:
        return ((rows[0], 3), (rows[3], 1))
    return tuple((row, 1) for row in rows)


def _all_played(table: _Table) -> tuple[RoundRobin, Played]:
    sizes = np.zeros((2, len(table.pairs)), dtype=np.int64)
    for (pair, _), own in table.units.items():
        sizes[:, pair] += (1, len(own))
    robin = _robin(table, sizes[0], sizes[1], np.zeros(len(table.pairs), dtype=np.int64))
    return robin, _played([(pair, *game, question) for (pair, question), own in table.units.items() for game in own])


def _robin(table: _Table, questions: IntArray, games: IntArray, warm: IntArray) -> RoundRobin:
    first, second = np.array(table.pairs).T
    return RoundRobin(table.n_models, first, second, questions, games, warm)


def _played(rows: Sequence[tuple[int, float, int, int]]) -> Played:
    pair, outcome, weight, question = map(np.array, zip(*rows, strict=True))
    return Played(pair, outcome.astype(float), question, weight)


def _replayed(table: _Table, rule: Rule, seed: int) -> tuple[Looked, int]:
    """Play until the rule says stop; return what was seen, and how many games there are."""
    listed: list[list[tuple[int, float, int, int]]] = []
    questions, warm = [], []
    rng = np.random.default_rng(seed)
    for pair in range(len(table.pairs)):
        own = [question for question in rng.permutation(table.questions).tolist() if (pair, question) in table.units]
        sizes = np.array([min(len(table.units[pair, question]), 2) for question in own])
        begin = warm_of(len(own)) if sizes.max() > 1 else 0
        games = [
            (pair, *table.units[pair, own[place]][side], own[place]) for place, side in sequence(len(own), sizes, begin)
        ]
        # Of more than two games on a question the later ones come last.
        games += [(pair, *game, question) for question in own for game in table.units[pair, question][2:]]
        listed.append(games)
        questions.append(len(own))
        warm.append(begin)
    robin = _robin(table, np.array(questions), np.array([len(own) for own in listed]), np.array(warm))
    total, seen = int(robin.games.sum()), Looked(np.zeros(len(table.pairs), dtype=np.int64))
    most, rows = rule.most(total), list[tuple[int, float, int, int]]()
    while (take := next_batch(robin, seen, most)) is not None:
        for pair, (begin, count) in enumerate(zip(seen.counts.tolist(), take.tolist(), strict=True)):
            rows += listed[pair][begin : begin + count]
        seen.counts = seen.counts + take
        seen.standing = standing(robin, _played(rows), level=rule.level)
        seen.looks += 1
    return seen, total
