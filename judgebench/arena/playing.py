"""Plays an arena: which games, in which order, until when. ``judging`` asks, ``stats.pairing`` chooses."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from judgebench.arena.games import Games
from judgebench.arena.judging import Game, Judging
from judgebench.arena.players import Field, Meeting
from judgebench.arena.records import Pairing
from judgebench.codec import canonical_hash
from judgebench.errors import UsageError
from judgebench.run.pipeline import Observer
from judgebench.stats.arrays import IntArray
from judgebench.stats.pairing import Played, RoundRobin, Standing, deal, sequence, standing

ADAPTIVE, ALL = "adaptive", "all"
WAYS = (ADAPTIVE, ALL)
SHARE = 0.4
"""The share of the round robin's games that adaptive pairing plays at most, unless told otherwise."""
GROWTH = 0.15
"""How much of what was played is played before the standing is looked at again."""
FEWEST = 32
"""Games that are played at once, at least."""
WARM, WARM_SHARE = 8, 20
"""Questions of a pair that are played in both orders at first: at most so many, and a twentieth of all."""


@dataclass(frozen=True)
class Schedule:
    """All games that there are, by pair, each pair's in the order in which they are played."""

    pairs: tuple[tuple[int, int], ...]
    games: tuple[tuple[tuple[int, int], ...], ...]
    """Of each pair: questions, and the order 0 or 1."""
    robin: RoundRobin

    @property
    def total(self) -> int:
        """How many."""
        return int(self.robin.games.sum())

    def part(self, pair: int, begin: int, count: int) -> list[Game]:
        """The next games of a pair."""
        first, second = self.pairs[pair]
        return [(Meeting(first, second, q), order) for q, order in self.games[pair][begin : begin + count]]


def schedule(field: Field, seed: int) -> Schedule:
    """The games of a round robin. Each pair's questions come in a random order of its own: else the first questions
    would have games of all pairs and later ones of few, and what is said of the models would hang on those first ones.
    """
    orders, n = field.orders, len(field.players)
    pairs, games, questions, warm = [], [], [], []
    for first in range(n):
        for second in range(first + 1, n):
            both = set(field.met(first, second))
            # Its order depends on its names alone, so that a model that joins changes none.
            names = field.names[first], field.names[second]
            rng = np.random.default_rng([seed, *canonical_hash(names).encode()])
            own = [question for question in rng.permutation(len(field.questions)).tolist() if question in both]
            if not own:
                continue
            begin = warm_of(len(own)) if orders > 1 else 0
            # The order that is shown first alternates, and not alike for all pairs.
            turn = (first + second) % 2
            listed = sequence(len(own), np.full(len(own), orders), begin)
            games.append(tuple((own[place], (side + turn) % orders) for place, side in listed))
            pairs.append((first, second))
            questions.append(len(own))
            warm.append(begin)
    robin = RoundRobin(
        n,
        np.array([first for first, _ in pairs]),
        np.array([second for _, second in pairs]),
        np.array(questions),
        np.array([len(own) for own in games]),
        np.array(warm),
    )
    return Schedule(tuple(pairs), tuple(games), robin)


def warm_of(questions: int) -> int:
    """How many questions of a pair are played in both orders at first.

    >>> warm_of(500), warm_of(40)
    (8, 2)
    """
    return min(questions, max(2, min(WARM, questions // WARM_SHARE)))


@dataclass(frozen=True)
class Rule:
    """How games are chosen."""

    how: str = ADAPTIVE
    calls: float | int | None = None
    """At most so many games or, up to 1, this share of them; ``None`` for the way's own limit."""
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise :class:`UsageError` for a way that does not exist or an impossible limit."""
        if self.how not in WAYS:
            raise UsageError(f"--pairs {self.how} is not one of {', '.join(WAYS)}")
        if self.calls is not None and not self.calls > 0:
            raise UsageError(
                f"--calls {self.calls:g} is neither a share of the round robin's games nor a number of them"
            )

    def most(self, total: int) -> int:
        """The most games that are played, of so many."""
        calls = self.calls if self.calls is not None else (SHARE if self.how == ADAPTIVE else 1.0)
        return min(total, max(1, int(calls * total) if calls <= 1 else int(calls)))


@dataclass
class Looked:
    """What adaptive pairing has seen so far."""

    counts: IntArray
    """Games played of each pair."""
    standing: Standing | None = None
    looks: int = 0

    @property
    def decided(self) -> bool:
        """Whether playing on would tell no pair apart the other way round."""
        return self.standing is not None and self.standing.decided


def first_batch(robin: RoundRobin, most: int) -> IntArray:
    """How many games of each pair are played before anything is known."""
    return levelled(np.minimum(np.maximum(2 * robin.warm, 4), robin.games), most)


def next_batch(robin: RoundRobin, seen: Looked, most: int, least: int = FEWEST) -> IntArray | None:
    """How many more games of each pair are played next; ``None`` if it is enough."""
    done = int(seen.counts.sum())
    if not done:
        return first_batch(robin, most)
    room = most - done
    if seen.decided or seen.standing is None or room <= 0:
        return None
    return deal(robin, seen.standing, min(room, max(least, int(GROWTH * done))))


def look(plan: Schedule, seen: Looked, games: Games, listed: Sequence[Game], level: float) -> None:
    """Note what the games say of the order. What several judges, turns and repeats say of a game counts once: it is won
    by whom most of them prefer.
    """
    pair_of = {pair: number for number, pair in enumerate(plan.pairs)}
    shares: dict[Game, list[float]] = {}
    codes: dict[Game, int] = {}
    for (meeting, order), outcome, code in zip(listed, games.outcome.tolist(), games.question.tolist(), strict=True):
        shares.setdefault((meeting, order), []).append(1 - outcome if order else outcome)
        codes[meeting, order] = code
    won = np.array([sum(own) / len(own) for own in shares.values()])
    played = Played(
        np.array([pair_of[meeting.first, meeting.second] for meeting, _ in shares], dtype=np.int64),
        np.where(won == 0.5, 0.5, (won > 0.5).astype(float)),
        np.array(list(codes.values()), dtype=np.int64),
        np.ones(len(won), dtype=np.int64),
    )
    seen.standing = standing(plan.robin, played, level=level, counts=seen.counts)
    seen.looks += 1


def play(judging: Judging, plan: Schedule, rule: Rule, observe: Observer) -> Pairing:
    """Play the games of an arena; what was played before is not asked again."""
    most, seen = rule.most(plan.total), Looked(np.zeros(len(plan.pairs), dtype=np.int64))
    least = max(FEWEST, 2 * (judging.settings.judge_concurrency or 0))
    if rule.how == ALL:
        take: IntArray | None = levelled(plan.robin.games, most)
    else:
        take = next_batch(plan.robin, seen, most, least)
    while take is not None:
        batch = [
            game
            for number, count in enumerate(take.tolist())
            for game in plan.part(number, int(seen.counts[number]), count)
        ]
        judging.play(batch, observe)
        seen.counts = seen.counts + take
        games, listed, _, _ = judging.found()
        if len(games):
            look(plan, seen, games, listed, rule.level)
        take = next_batch(plan.robin, seen, most, least) if rule.how == ADAPTIVE else None
    return pairing_of(judging.field.names, plan, rule, seen, most)


def pairing_of(names: Sequence[str], plan: Schedule, rule: Rule, seen: Looked, most: int) -> Pairing:
    """What was played, and why it ended."""
    unsettled = []
    if seen.standing is not None:
        one, other = np.nonzero(np.triu(~seen.standing.settled, 1))
        unsettled = [(names[i], names[j]) for i, j in zip(one.tolist(), other.tolist(), strict=True)]
    played = int(seen.counts.sum())
    stopped = "all" if played >= plan.total else "decided" if seen.decided and rule.how == ADAPTIVE else "calls"
    return Pairing(
        how=rule.how,
        games=played,
        of=plan.total,
        most=most,
        stopped=stopped,
        unsettled=() if stopped == "all" else tuple(unsettled),
        looks=seen.looks,
        seed=rule.seed,
    )


def levelled(games: IntArray, most: int) -> IntArray:
    """So many games of each pair, cut at one height so that they are ``most`` together.

    >>> levelled(np.array([2, 10, 10]), 11).tolist()
    [2, 5, 4]
    """
    low, high = 0, int(games.max(initial=0))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if int(np.minimum(games, middle).sum()) <= most else (low, middle - 1)
    cut = np.minimum(games, low)
    higher = np.flatnonzero(games > cut)[: most - int(cut.sum())]
    cut[higher] += 1
    return np.asarray(cut)
