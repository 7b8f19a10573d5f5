"""Biases of made-up judges whose every figure is known."""

import numpy as np
import pytest

from judgebench.stats.judge_bias import (
    effect_given_gold,
    matched_preference,
    position_bias,
    repeat_stability,
    self_preference,
)


def test_position_counts() -> None:
    """Of six pairs the first place wins two in both orders, the second one, one is a tie in one order, one a null."""
    found = position_bias([1, 1, 0, 1, 0.5, np.nan], [1, 1, 0, 0, 1, 1])
    assert (found.first, found.second) == (2, 1)
    assert found.consistency.n == 5
    assert found.consistency.value == pytest.approx(1 / 5)
    assert found.primacy.value == pytest.approx(2 / 5)
    assert found.recency.value == pytest.approx(1 / 5)
    assert found.skew.value == pytest.approx(1 / 3)
    assert found.skew_p == 1.0
    # Eleven verdicts; the first place has 1 + 1 + 0 + 1 + 1/2 and 1 + 1 + 0 + 0 + 1 + 1 of them.
    assert found.effect.n == 11
    assert found.effect.value == pytest.approx(7.5 / 11 - 0.5)


def test_the_skew_is_tested_exactly() -> None:
    """58 against 18, as of o1-mini on JudgeBench, is what a fair coin does once in 200,000."""
    found = position_bias([1] * 58 + [0] * 18, [1] * 58 + [0] * 18)
    assert found.skew.value == pytest.approx(40 / 76)
    assert found.skew_p == pytest.approx(5.0e-6, rel=0.1)


def test_no_pair_leans() -> None:
    """Without a pair that one place wins twice there is no skew, and no test of it."""
    found = position_bias([1, 0], [0, 1])
    assert found.skew.value is None
    assert found.skew_p is None


def test_orders_of_one_pair_are_one_observation() -> None:
    """The interval of the pull is over clusters: forty verdicts on two questions say as much as two."""
    many = position_bias([1.0] * 10 + [0.0] * 10, [1.0] * 10 + [0.0] * 10)
    few = position_bias([1.0] * 10 + [0.0] * 10, [1.0] * 10 + [0.0] * 10, clusters=["a"] * 10 + ["b"] * 10)
    assert many.effect.interval is not None
    assert few.effect.interval is not None
    assert few.effect.n_clusters == 2
    assert few.effect.interval.high - few.effect.interval.low > many.effect.interval.high - many.effect.interval.low


def test_a_preference_that_people_share_is_no_bias() -> None:
    """A judge that agrees with people has no excess, however often the longer answer wins."""
    gold = [1, 1, 1, -1, 1, 1, 1, -1]
    verdicts = [1.0 if label > 0 else 0.0 for label in gold]
    found = matched_preference(verdicts, gold, [1, 1, 1, 1, 1, 1, 1, 1])
    assert found.judge.value == 0.75
    assert found.difference.value == 0.0


def test_what_decides_nothing_is_left_out() -> None:
    """Ties of either side, missing verdicts and equal answers are no evidence."""
    found = matched_preference([1, 0.5, np.nan, 1, 1], [1, 1, 1, 0, 1], [1, 1, 1, 1, 0])
    assert found.judge.n == 1


def test_a_fair_judge_has_no_length_effect() -> None:
    """Given the label, length explains nothing of a judge that follows the label alone."""
    rng = np.random.default_rng(7)
    gold = rng.choice([-1, 1], 400)
    found = effect_given_gold((gold + 1) / 2, gold, rng.normal(0, 100, 400), rng=np.random.default_rng(0))
    assert found.coefficient is not None
    assert found.interval is not None
    assert found.gold_coefficient is not None
    assert found.interval.low < 0 < found.interval.high
    assert found.gold_coefficient > 3


def test_too_few_pairs_for_a_fit() -> None:
    """Nineteen pairs give no coefficient, and the reason says so."""
    found = effect_given_gold([1.0] * 19, [1] * 19, [5.0] * 19, rng=np.random.default_rng(0))
    assert found.coefficient is None
    assert found.reason is not None
    assert "needs 20 pairs" in found.reason


def test_self_preference_holds_quality_equal() -> None:
    """A judge that finds all of its own better answers and half of the others' has a self-preference of one half."""
    gold, own = [1, 1, 1, 1], [1, 1, -1, -1]
    found = self_preference([1, 1, 1, 0], gold, own)
    assert (found.own.value, found.other.value, found.difference.value) == (1.0, 0.5, 0.5)
    assert self_preference([1, 1, 1, 1], gold, own).difference.value == 0.0


def test_repeats_of_different_numbers() -> None:
    """Stability is the mean over prompts, whichever number of replies each has."""
    assert repeat_stability([["A", "A"], ["A", "B", "B", "B"]]).value == pytest.approx((1 + 0.75) / 2)


def test_columns_of_unequal_length() -> None:
    """A column that lacks an entry is an error."""
    with pytest.raises(ValueError, match="one entry per pair"):
        matched_preference([1.0], [1, 1], [1])
    with pytest.raises(ValueError, match="one verdict of each order"):
        position_bias([1.0], [1.0, 0.0])
    with pytest.raises(ValueError, match="from 0 to 1"):
        position_bias([2.0], [1.0])
