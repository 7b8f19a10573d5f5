"""Sequential statistics: the reference's numbers on shared data, identities, and the level under continuous looking."""

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgebench.stats.arrays import FloatArray
from judgebench.stats.sequential import (
    BettingState,
    betting_sequence,
    continue_betting,
    decide,
    start_betting,
)
from tests.stats.judge_meta import SUBSETS, expected, llmbar_labels, llmbar_votes


def shared_scores() -> FloatArray:
    """Whether PaLM2 was right on each of LLMBar's 419 instances, in the fixture's random order."""
    right = [llmbar_votes("PaLM2/Vanilla", subset, "order12") == llmbar_labels(subset) for subset in SUBSETS]
    return np.concatenate(right).astype(float)[expected("confidence_sequence")["order_of_items"]]


def not_rejected(state: BettingState) -> tuple[float, float]:
    """The candidates alive now, whatever was rejected before, with a step more on each side: as the reference does."""
    alive = np.flatnonzero(np.maximum(state.log_higher, state.log_lower)[0] <= log(2 / (1 - state.level)))
    return float(state.grid[max(alive[0] - 1, 0)]), float(state.grid[min(alive[-1] + 1, len(state.grid) - 1)])


@pytest.mark.parametrize("population", [None, 419])
def test_betting_equals_the_reference(population: int | None) -> None:
    """At all checkpoints within one step of the grid (0.001) of confseq's bounds, which forget former rejections."""
    scores, numbers = shared_scores(), expected("confidence_sequence")
    wanted = numbers[f"betting_cs_with{'' if population is None else 'out'}_replacement{'_N=419' * bool(population)}"]
    state, begin = start_betting(population, bets="running"), 0
    for checkpoint, (low, high) in zip(numbers["checkpoints_t"], wanted, strict=True):
        state, sequence = continue_betting(state, scores[begin:checkpoint])
        begin = checkpoint
        if checkpoint < 419 or population is None:
            assert not_rejected(state) == pytest.approx((low, high), abs=1.001e-3)
        # What was rejected stays so: the running intersection is never wider.
        assert sequence.low[-1] >= low - 1.001e-3
        assert sequence.high[-1] <= high + 1.001e-3
        assert sequence.low[-1] - 1e-9 <= 0.6801909307875895 <= sequence.high[-1] + 1e-9


def test_the_martingale_of_one_half_equals_the_reference() -> None:
    """Its values at the checkpoints to 1e-9, and that it reaches 20 at item 117."""
    numbers, scores = expected("confidence_sequence"), shared_scores()
    state = start_betting(None, steps=2)  # the grid 0, 1/2, 1
    capital = []
    for score in scores:
        state, _ = continue_betting(state, [score])
        capital.append(np.exp(max(state.log_higher[0, 1], state.log_lower[0, 1])) / 2)
    at = np.array(numbers["checkpoints_t"]) - 1
    assert np.array(capital)[at] == pytest.approx(numbers["betting_martingale_null_0.5"], rel=1e-9)
    assert int(np.argmax(np.array(capital) >= 20)) + 1 == numbers["first_t_martingale_ge_20"] == 117


def plain_capitals(scores: FloatArray, population: int, candidate: float) -> tuple[list[float], list[float]]:
    """Equations (1), (3) and (4) item by item: K+ and K-, averaged over the two bets."""
    higher, lower = [[1.0], [1.0]], [[1.0], [1.0]]
    before, deviations = 0.0, 0.25
    for t, x in enumerate(scores.tolist(), start=1):
        left = (population * candidate - before) / (population - t + 1)
        bet = (2 * log(2 / 0.05) / (population * deviations / t)) ** 0.5
        for place, times in enumerate((1, 2)):
            up, down = min(times * bet, 0.9 / left), min(times * bet, 0.9 / (1 - left))
            higher[place].append(higher[place][-1] * (1 + up * (x - left)))
            lower[place].append(lower[place][-1] * (1 - down * (x - left)))
        before += x
        deviations += (x - (0.5 + before) / (t + 1)) ** 2
    return [float(np.mean(pair)) for pair in zip(*higher, strict=True)][1:], [
        float(np.mean(pair)) for pair in zip(*lower, strict=True)
    ][1:]


def test_capitals_equal_a_plain_loop() -> None:
    """For several candidates and times to 1e-10; the bounds are where a capital has reached 2 / alpha = 40."""
    scores = np.random.default_rng(0).permutation(np.repeat([0.0, 0.25, 1.0], [20, 10, 40]))[:45]
    state = start_betting(70, steps=20)
    for t in range(45):
        state, found = continue_betting(state, scores[t : t + 1])
        for place in (11, 12, 13) if t in (3, 20, 44) else ():
            higher, lower = plain_capitals(scores[: t + 1], 70, place / 20)
            assert np.exp(state.log_higher[:, place]).mean() == pytest.approx(higher[-1], rel=1e-10)
            assert np.exp(state.log_lower[:, place]).mean() == pytest.approx(lower[-1], rel=1e-10)
    assert found.interval is not None
    reached = [[max(side) > 40 for side in plain_capitals(scores, 70, place / 20)] for place in (8, 9, 13, 14)]
    assert reached == [[True, False], [False, False], [False, False], [False, True]]
    assert (found.interval.low, found.interval.high) == (pytest.approx(8 / 20), pytest.approx(14 / 20))


unit_scores = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=40)


@settings(max_examples=50)
@given(scores=unit_scores, extra=st.integers(0, 20), cut=st.integers(0, 40))
def test_judging_in_parts_gives_the_same_bounds(scores: list[float], extra: int, cut: int) -> None:
    """Any split of the items: the state carries all that matters."""
    population = len(scores) + extra
    whole = betting_sequence(scores, population, steps=50)
    state, first = continue_betting(start_betting(population, steps=50), scores[:cut])
    _, second = continue_betting(state, scores[cut:])
    assert np.concatenate([first.low, second.low]) == pytest.approx(whole.low, abs=1e-12)
    assert np.concatenate([first.high, second.high]) == pytest.approx(whole.high, abs=1e-12)


@settings(max_examples=50)
@given(scores=unit_scores, extra=st.integers(0, 20))
def test_mirrored_scores_mirror_the_bounds(scores: list[float], extra: int) -> None:
    """Exchanging the two sides of all games turns low into 1 - high."""
    population = len(scores) + extra
    found, mirrored = (betting_sequence(side, population) for side in (scores, [1 - x for x in scores]))
    assert found.low == pytest.approx(1 - mirrored.high, abs=1e-9)
    assert found.high == pytest.approx(1 - mirrored.low, abs=1e-9)


@settings(max_examples=50)
@given(scores=unit_scores, extra=st.integers(0, 20))
def test_scale_and_the_unit_interval(scores: list[float], extra: int) -> None:
    """Differences d in [-1, 1] have the bounds of (d + 1) / 2, stretched."""
    population = len(scores) + extra
    found = betting_sequence(scores, population)
    stretched = betting_sequence([2 * x - 1 for x in scores], population, lower=-1)
    assert stretched.low == pytest.approx(2 * found.low - 1, abs=1e-9)
    assert stretched.high == pytest.approx(2 * found.high - 1, abs=1e-9)


@settings(max_examples=50)
@given(scores=unit_scores, threshold=st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_the_full_set_is_certain(scores: list[float], threshold: float) -> None:
    """With all items the interval closes, unless the truth was left before, and a decision is made."""
    found = betting_sequence(scores, len(scores))
    truth = float(np.mean(scores))
    assert found.interval is not None
    if found.low[-1] - 1e-9 <= truth <= found.high[-1] + 1e-9:
        assert (found.low[-1], found.high[-1]) == (pytest.approx(truth, abs=1e-9), pytest.approx(truth, abs=1e-9))
    else:
        assert found.low[-1] < found.high[-1]
    assert decide(scores, len(scores), threshold).verdict != "undecided"


def test_level_under_continuous_looking() -> None:
    """Of 400 random orders with the mean at the threshold, at most 32 (8 %, five standard errors) are ever misjudged.

    ``benchmarks/coverage_sequential.py`` has 2,000 orders of 18 populations; they stay below 5 %.
    """
    rng = np.random.default_rng(4)
    scores = np.repeat([-1.0, 0.0, 1.0], [25, 155, 20])
    truth = float(scores.mean())
    orders = [rng.permutation(scores) for _ in range(400)]
    assert sum(decide(order, 200, truth, lower=-1).verdict == "below" for order in orders) <= 32
    assert sum(decide(order, 200, truth + 1e-6, lower=-1).verdict == "above" for order in orders) <= 32


def test_items_are_saved_when_the_case_is_clear() -> None:
    """A loss of 20 points against an allowed drop of 2 is seen before half of 805 items; the rest need no judging."""
    scores = np.random.default_rng(5).permutation(np.repeat([-1.0, 0.0, 1.0], [261, 444, 100]))
    decision = decide(scores, 805, -0.02, lower=-1)
    assert decision.verdict == "below"
    assert decision.n < 402
    assert decision.saved == 805 - decision.n
    assert decision.p_below <= 0.05 < decision.p_above
    # Looking again with more items changes nothing, and with one fewer it was open.
    assert decide(scores[: decision.n], 805, -0.02, lower=-1) == decision
    assert decide(scores[: decision.n - 1], 805, -0.02, lower=-1).verdict == "undecided"


def test_a_threshold_that_is_met_exactly_is_above() -> None:
    """All ties against a largest drop of 0: equality passes, but only when nothing is left to fall."""
    decision = decide(np.zeros(50), 50, 0.0, lower=-1)
    assert (decision.verdict, decision.n, decision.saved) == ("above", 50, 0)
    # Of 0.1 added up, too, which is no number of the machine.
    assert decide(np.full(30, 0.1), 30, 0.1).verdict == "above"


def test_too_little_says_nothing() -> None:
    """Without items there is no interval and no decision; one item leaves nearly everything open."""
    assert betting_sequence([], 10).interval is None
    assert decide([], 10, 0.5).verdict == "undecided"
    found = betting_sequence([1.0], 1000).interval
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(0.001), 1.0)
    assert betting_sequence([0.5], 1).interval == betting_sequence([0.5], 1).interval


@pytest.mark.parametrize(
    ("values", "options", "words"),
    [
        ([0.5, np.nan], {}, "none may be missing"),
        ([1.5], {}, "between 0"),
        ([0.5] * 11, {}, "more than the 10 items"),
        ([0.5], {"lower": 1.0}, "finite range"),
        ([0.5], {"level": 1.0}, "level"),
        ([0.5], {"bets": "all"}, "bets"),
        ([0.5], {"steps": 1}, "at least 2 steps"),
        ([[0.5]], {}, "one score per item"),
    ],
)
def test_malformed_input_is_named(values: list[float], options: dict[str, object], words: str) -> None:
    """Each message says what is wanted."""
    with pytest.raises(ValueError, match=words):
        betting_sequence(values, 10, **options)  # type: ignore[arg-type]


def test_malformed_decisions_are_named() -> None:
    """A threshold outside the range decides nothing; nor does no population."""
    with pytest.raises(ValueError, match="threshold"):
        decide([0.5], 10, -0.1)
    with pytest.raises(ValueError, match="population"):
        decide([0.5], 0, 0.5)
    with pytest.raises(ValueError, match="at least one item"):
        start_betting(0)
