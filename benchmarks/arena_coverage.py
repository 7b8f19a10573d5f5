"""Coverage of an arena's intervals, and how often its stop is wrong, on games whose truth is known.

    python benchmarks/arena_coverage.py --rounds 400 --studies plain,style,adaptive,stop

Games of one question are correlated, as those of real answers are: the same answers play in several of them, and in
both orders. Still each pair's win rate is that of a Bradley-Terry model, so that the true ratings are known; with ties
and a pull of the first place the truth is the fit to the expected shares.

Every line has the share of 95 % intervals that hold the true rating, over models and rounds: those of `judgebench
arena`, which take questions as clusters, and beside them those that take all games as independent. ``stop`` has the
share of pairs of which the round robin, played on to its end, tells apart the other way round what the stop had left.
A mark ``!`` stands behind a coverage outside 93 to 97 %, and behind more than 5 % of wrong stops; the program ends with
exit code 1 if there is one.
"""

import os

# Before numpy is imported: its threads are started then.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import sys
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from judgebench.arena.playing import Looked, next_batch, warm_of
from judgebench.stats.bradley_terry import Battles, bradley_terry
from judgebench.stats.newton import sigmoid
from judgebench.stats.pairing import Played, RoundRobin, sequence, standing
from judgebench.stats.style_control import (
    PRESETS,
    StyleOptions,
    clustered_style_spreads,
    sandwich_style_spreads,
    style_controlled,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
LEAST, MOST, WRONG = 0.93, 0.97, 0.05
SHARED, PAIR = 0.5, 0.25
"""Shares of the variance of a game that the answers of a question have, and a pair of them in both orders."""
LIKED = 1.5
"""Log odds that an answer has for being all of the length of both."""


class World(NamedTuple):
    """How games come about."""

    strengths: FloatArray
    ties: float = 0.0
    pull: float = 0.0
    """Log odds by which the first place is preferred."""

    @property
    def truth(self) -> FloatArray:
        """The ratings of mean 1000 that the expected shares have."""
        first, second = map(np.array, zip(*combinations(range(len(self.strengths)), 2), strict=True))
        gap = self.strengths[first] - self.strengths[second]
        share = (1 - self.ties) * (sigmoid(gap + self.pull) + sigmoid(gap - self.pull)) / 2 + self.ties / 2
        cells = np.ones(2 * len(first), dtype=np.int64)
        won = np.repeat([1.0, 0.0], len(first))
        both = Battles(
            len(self.strengths), np.tile(first, 2), np.tile(second, 2), won, cells, np.concatenate([share, 1 - share])
        )
        return np.array(bradley_terry(both).ratings, dtype=float)


class Round(NamedTuple):
    """All games of a round robin: shapes (pairs, questions, orders)."""

    pairs: list[tuple[int, int]]
    outcome: FloatArray
    """Share of the win of the pair's first."""


def play(world: World, questions: int, rng: np.random.Generator, length: FloatArray | None = None) -> Round:
    """A round robin in both orders; with lengths, shape (questions, models), the judge likes the longer answer."""
    n = len(world.strengths)
    pairs = list(combinations(range(n), 2))
    quality = rng.normal(size=(questions, n))
    outcome = np.empty((len(pairs), questions, 2))
    for place, (i, j) in enumerate(pairs):
        shared = np.sqrt(SHARED / 2) * (quality[:, i] - quality[:, j]) + np.sqrt(PAIR) * rng.normal(size=questions)
        for order, pull in enumerate((world.pull, -world.pull)):
            own = shared + np.sqrt(1 - SHARED - PAIR) * rng.normal(size=questions)
            gap = world.strengths[i] - world.strengths[j] + pull + np.zeros(questions)
            chance = sigmoid(gap if length is None else gap + LIKED * longer(length[:, i], length[:, j]))
            won = (own < ndtri(chance)).astype(float)
            outcome[place, :, order] = np.where(rng.random(questions) < world.ties, 0.5, won)
    return Round(pairs, outcome)


def longer(one: FloatArray, other: FloatArray) -> FloatArray:
    """The relative difference of lengths."""
    return (one - other) / (one + other)


def listed(made: Round, which: NDArray[np.bool_]) -> tuple[IntArray, IntArray, FloatArray, IntArray]:
    """Shown first, shown second, outcome for the first and question of the games that were played."""
    pair, question, order = np.nonzero(which)
    first, second = np.array(made.pairs)[pair].T
    outcome = made.outcome[pair, question, order]
    turned = order == 1
    return (
        np.where(turned, second, first),
        np.where(turned, first, second),
        np.where(turned, 1 - outcome, outcome),
        question,
    )


def held(made: Round, which: NDArray[np.bool_], truth: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Whether each interval holds its true rating: with questions as clusters, and with games as if independent."""
    first, second, outcome, question = listed(made, which)
    fit = style_controlled(first, second, outcome, np.zeros((len(first), 0)), StyleOptions(), n_items=len(truth))
    if len(fit.rated) < len(truth):
        return np.zeros(0), np.zeros(0)
    found = []
    for spreads in (clustered_style_spreads(fit, question), sandwich_style_spreads(fit)):
        bounds = [(spread.interval.low, spread.interval.high) for spread in spreads if spread and spread.interval]
        found.append(np.array([low <= value <= high for (low, high), value in zip(bounds, truth, strict=True)], float))
    return found[0], found[1]


def everything(made: Round) -> NDArray[np.bool_]:
    """All games."""
    return np.ones(made.outcome.shape, dtype=bool)


def one_order(made: Round) -> NDArray[np.bool_]:
    """Every question in one order, by turns."""
    which = np.zeros(made.outcome.shape, dtype=bool)
    for pair in range(len(which)):
        for order in (0, 1):
            which[pair, (np.arange(which.shape[1]) + pair) % 2 == order, order] = True
    return which


def star(made: Round) -> NDArray[np.bool_]:
    """The games of the first model against all others."""
    which = everything(made)
    which[[place for place, pair in enumerate(made.pairs) if 0 not in pair]] = False
    return which


class Robin(NamedTuple):
    """A round robin as adaptive pairing sees it."""

    robin: RoundRobin
    games: list[list[tuple[int, int]]]
    """Questions and orders in the sequence of each pair."""


def robin_of(made: Round, models: int, rng: np.random.Generator) -> Robin:
    """Its games in sequence, with the questions of each pair in a random order."""
    pairs, questions, _ = made.outcome.shape
    warm = warm_of(questions)
    first, second = np.array(made.pairs).T
    size = np.full(pairs, questions)
    listed_games = sequence(questions, np.full(questions, 2), warm)
    games = []
    for pair in range(pairs):
        order = rng.permutation(questions)
        games.append([(int(order[place]), (side + pair) % 2) for place, side in listed_games])
    return Robin(RoundRobin(models, first, second, size, 2 * size, np.full(pairs, warm)), games)


def played(made: Round, own: Robin, counts: IntArray) -> tuple[Played, NDArray[np.bool_]]:
    """The first games of each pair, and which they are."""
    which = np.zeros(made.outcome.shape, dtype=bool)
    for pair, count in enumerate(counts.tolist()):
        for question, order in own.games[pair][:count]:
            which[pair, question, order] = True
    pair, question, order = np.nonzero(which)
    return Played(pair, made.outcome[pair, question, order], question, np.ones(len(pair), dtype=np.int64)), which


def adaptively(made: Round, models: int, rng: np.random.Generator, share: float) -> tuple[NDArray[np.bool_], Looked]:
    """Play until the order is known, or the share of games is."""
    own = robin_of(made, models, rng)
    seen, most = Looked(np.zeros(len(made.pairs), dtype=np.int64)), int(share * own.robin.games.sum())
    which = np.zeros(made.outcome.shape, dtype=bool)
    while (take := next_batch(own.robin, seen, most)) is not None:
        seen.counts = seen.counts + take
        games, which = played(made, own, seen.counts)
        seen.standing = standing(own.robin, games)
        seen.looks += 1
    return which, seen


def strengths(models: int) -> FloatArray:
    """Evenly spread over 500 points, and two of them equal."""
    found = np.linspace(-1.45, 1.45, models)
    if models > 3:
        found[1] = found[2]
    return found - found.mean()


def line(text: str, found: float, beside: str, *, bad: bool) -> bool:
    """Print a line; whether it is outside what is asked."""
    print(f"{text:<58} {100 * found:6.1f} %{' !' if bad else '  '} {beside}", flush=True)
    return bad


def coverage(text: str, rounds: int, one: Callable[[], tuple[FloatArray, FloatArray]]) -> bool:
    """Print the coverage over rounds."""
    found = [one() for _ in range(rounds)]
    ours, others = (float(np.concatenate([pair[side] for pair in found]).mean()) for side in (0, 1))
    return line(text, ours, f"(games as if independent: {100 * others:.1f} %)", bad=not LEAST <= ours <= MOST)


def plain(rounds: int, rng: np.random.Generator) -> Iterator[bool]:
    """Plain ratings of whole round robins, half ones and stars."""
    for models in (3, 8, 20):
        for questions in (50, 200, 500):
            if models == 20 and questions == 500:
                continue
            for name, which, world in (
                ("both orders", everything, World(strengths(models))),
                ("one order", one_order, World(strengths(models))),
                ("both orders, ties, a pull of the first", everything, World(strengths(models), 0.2, 0.7)),
                ("star", star, World(strengths(models))),
            ):
                truth = world.truth
                yield coverage(
                    f"{models} models, {questions} questions, {name}",
                    max(20, rounds * 3 // models),
                    lambda world=world, which=which, truth=truth, questions=questions: held(  # type: ignore[misc]
                        made := play(world, questions, rng), which(made), truth
                    ),
                )


def style(rounds: int, rng: np.random.Generator) -> Iterator[bool]:
    """Ratings with length held equal, where models differ in length and the judge likes it."""
    options = PRESETS["arena-hard-current"]
    for models, questions in ((4, 100), (4, 400), (8, 200)):
        world = World(strengths(models))
        usual = np.exp(np.linspace(5, 6.5, models))[rng.permutation(models)]

        def one(world: World = world, usual: FloatArray = usual, questions: int = questions) -> tuple[FloatArray, ...]:
            length = usual * np.exp(rng.normal(0, 0.5, (questions, len(usual))))
            n = len(usual)
            made = play(world, questions, rng, length)
            first, second, outcome, question = listed(made, everything(made))
            differences = longer(length[question, first], length[question, second])[:, None]
            fit = style_controlled(first, second, outcome, differences, options, n_items=n)
            truth = 1000 + 400 / np.log(10) * world.strengths
            found = []
            for spreads in (clustered_style_spreads(fit, question), sandwich_style_spreads(fit)):
                bounds = [(s.interval.low, s.interval.high) for s in spreads if s and s.interval]
                found.append(np.array([low <= t <= high for (low, high), t in zip(bounds, truth, strict=True)], float))
            return found[0], found[1]

        yield coverage(f"{models} models, {questions} questions, style held equal", max(20, rounds // 2), one)  # type: ignore[arg-type]


def adaptive(rounds: int, rng: np.random.Generator) -> Iterator[bool]:
    """Ratings at the end of adaptive pairing, whose games depend on earlier verdicts."""
    for models, questions in ((4, 100), (6, 200), (10, 200)):
        world = World(strengths(models))
        truth = world.truth
        shares = []

        def one(
            world: World = world, truth: FloatArray = truth, questions: int = questions
        ) -> tuple[FloatArray, FloatArray]:
            made = play(world, questions, rng)
            which, _ = adaptively(made, len(truth), rng, 0.4)
            shares.append(which.mean())  # noqa: B023 - it is called before the next loop
            return held(made, which, truth)

        yield coverage(f"{models} models, {questions} questions, adaptive pairing", max(20, rounds // 2), one)
        print(f"{'':<58} games played: {100 * np.mean(shares):.1f} %")


def stop(rounds: int, rng: np.random.Generator) -> Iterator[bool]:
    """Pairs that were left in an order which the whole round robin contradicts, where the stop said it cannot."""
    for models, questions, pull in ((2, 200, 0.0), (4, 100, 0.0), (6, 200, 0.0), (6, 200, 1.5)):
        wrong = pairs = told = 0
        shares = []
        for _ in range(max(20, rounds)):
            gaps = np.sort(rng.normal(0, 0.35, models))
            made = play(World(gaps, pull=pull), questions, rng)
            which, seen = adaptively(made, models, rng, 1.0)
            own = robin_of(made, models, rng)
            games, _ = played(made, own, own.robin.games)
            whole, now = standing(own.robin, games), seen.standing
            assert now is not None
            apart = np.abs(whole.difference) > ndtri(0.975) * np.sqrt(whole.variance)
            against = apart & (np.sign(whole.difference) != np.sign(now.difference))
            wrong += int(np.triu(against, 1).sum())
            told += int(np.triu(apart, 1).sum())
            pairs += models * (models - 1) // 2
            shares.append(which.mean())
        text = f"{models} models, {questions} questions{', a pull of the first' if pull else ''}: wrong pairs"
        beside = f"({told} of {pairs} told apart; games played: {100 * np.mean(shares):.0f} %)"
        yield line(text, wrong / pairs, beside, bad=wrong / pairs > WRONG)


STUDIES = {"plain": plain, "style": style, "adaptive": adaptive, "stop": stop}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--studies", default=",".join(STUDIES))
    given = parser.parse_args()
    outside = 0
    for name in given.studies.split(","):
        print(f"-- {name}")
        outside += sum(STUDIES[name](given.rounds, np.random.default_rng(given.seed)))
    print(f"{outside} lines are outside what is asked")
    return int(outside > 0)


if __name__ == "__main__":
    sys.exit(main())
