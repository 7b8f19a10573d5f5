"""Adaptive pairing: the games of a round robin in sequence, a stop that holds at every look, and the games chosen.

Round robins whose whole result is known are simulated here; real tables are replayed in ``tests/arena``.
"""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judgebench.stats.arrays import FloatArray, IntArray
from judgebench.stats.bradley_terry import bradley_terry, count_battles
from judgebench.stats.pairing import Played, RoundRobin, deal, sequence, standing


@given(st.lists(st.sampled_from([1, 2]), max_size=30), st.integers(0, 30))
def test_a_sequence_holds_every_game_once(orders: list[int], warm: int) -> None:
    """Every question in every order it has, those in both orders at first side by side."""
    games = sequence(len(orders), np.array(orders, dtype=np.int64), min(warm, len(orders)))
    assert sorted(games) == [(place, order) for place, count in enumerate(orders) for order in range(count)]
    first = [place for place, _ in games[: sum(orders[:warm])]]
    assert first == sorted(first)


class Robin:
    """A round robin of items with strengths, on questions that items find hard to different degrees."""

    def __init__(self, strengths: FloatArray, questions: int, seed: int, bias: float = 0.0, orders: int = 2) -> None:
        rng = np.random.default_rng(seed)
        n = len(strengths)
        self.pairs = list(combinations(range(n), 2))
        quality = strengths + rng.normal(0, 0.8, (questions, n))
        self.outcomes = {
            (pair, question, order): float(
                rng.random() < 1 / (1 + np.exp(-quality[question, i] + quality[question, j] - bias * (1 - 2 * order)))
            )
            for pair, (i, j) in enumerate(self.pairs)
            for question in range(questions)
            for order in range(orders)
        }
        first, second = np.array(self.pairs).T
        count = np.full(len(self.pairs), questions)
        warm = min(8, questions // 20) if orders == 2 else 0
        self.robin = RoundRobin(n, first, second, count, orders * count, np.full(len(self.pairs), warm))
        order = rng.permutation(questions)
        listed = sequence(questions, np.full(questions, orders), warm)
        self.games = [(int(order[place]), side) for place, side in listed]

    def played(self, counts: IntArray) -> Played:
        """The first games of each pair."""
        rows = [
            (pair, self.outcomes[pair, question, side], question)
            for pair, count in enumerate(counts.tolist())
            for question, side in self.games[:count]
        ]
        pair, outcome, question = map(np.array, zip(*rows, strict=True))
        return Played(pair, outcome, question, np.ones(len(rows), dtype=np.int64))


def test_when_all_is_played_the_order_is_known() -> None:
    """Nothing is left that could change it: the bound is 0, and the strengths are Bradley-Terry's but for the prior."""
    robin = Robin(np.array([0.0, 0.1, 0.9]), 100, seed=3)
    played = robin.played(robin.robin.games)
    now = standing(robin.robin, played)
    assert now.decided
    assert now.bound.max() == pytest.approx(0, abs=1e-9)
    first, second = robin.robin.first[played.pair], robin.robin.second[played.pair]
    plain = bradley_terry(count_battles(first, second, played.outcome)).strengths
    assert now.strengths == pytest.approx(plain, abs=0.01)


@pytest.mark.parametrize("bias", [0.0, 3.0])
def test_the_bound_holds_at_every_look(bias: float) -> None:
    """Looked at ten times, a difference is outside its bound in at most 5 % of round robins, also where the judge is
    drawn to the first place, so that one order alone says little.
    """
    outside = looks = 0
    for seed in range(60):
        robin = Robin(np.array([0.0, 0.2, 0.4, 0.9]), 60, seed, bias)
        final = standing(robin.robin, robin.played(robin.robin.games)).difference
        counts = 4 * robin.robin.warm
        wrong = np.zeros_like(final, dtype=bool)
        for _ in range(10):
            now = standing(robin.robin, robin.played(counts))
            wrong |= np.abs(now.difference - final) > now.bound
            counts = counts + deal(robin.robin, now, 60)
        outside += int(np.triu(wrong, 1).sum())
        looks += 6
    assert outside / looks <= 0.05


def test_games_go_where_the_order_is_in_doubt() -> None:
    """Two near items get most of the games, one that is far from both hardly any, and no more than there are."""
    robin = Robin(np.array([0.0, 0.3, 4.0]), 300, seed=1)
    counts = np.full(3, 40)
    now = standing(robin.robin, robin.played(counts))
    dealt = deal(robin.robin, now, 300)
    assert dealt.sum() == 300
    assert dealt[0] > 0.7 * 300
    everything = deal(robin.robin, now, 10_000)
    assert (everything == robin.robin.games - counts).all()


def test_far_apart_is_decided_early_and_near_late() -> None:
    """Clear differences end after a few games; equal items are not settled until most of the games are played."""
    far, near = (Robin(np.array([0.0, gap]), 400, seed=5, orders=1) for gap in (2.0, 0.0))
    counts = np.array([40])
    assert standing(far.robin, far.played(counts)).decided
    assert not standing(near.robin, near.played(counts)).decided


def test_the_orders_of_a_question_are_worth_what_they_agree() -> None:
    """A judge who always repeats itself makes the second order worth little; one drawn to a place, a lot."""
    repeated, drawn = Robin(np.array([0.0, 0.2]), 200, seed=2), Robin(np.array([0.0, 0.2]), 200, seed=2, bias=4.0)
    for pair, question, order in list(repeated.outcomes):
        repeated.outcomes[pair, question, order] = repeated.outcomes[pair, question, 0]
    values = [standing(robin.robin, robin.played(robin.robin.games)).second for robin in (repeated, drawn)]
    assert values[0] < 0.1
    assert values[1] > 1
