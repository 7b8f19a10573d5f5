"""Repeats of one item: the estimate of pass@k and the majority vote."""

import itertools
import math

import numpy as np
import pytest

from judgebench.stats.repeats import majority, pass_at_k, powers_up_to

ROUNDING = 1e-12
"""Products of at most 1,000 factors in double precision."""


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_is_the_share_of_subsets_that_hold_a_right_answer(n: int) -> None:
    """For every count of right answers and every k, all subsets are enumerated."""
    for correct, k in itertools.product(range(n + 1), range(1, n + 1)):
        answers = [index < correct for index in range(n)]
        subsets = list(itertools.combinations(answers, k))
        share = sum(any(subset) for subset in subsets) / len(subsets)
        assert pass_at_k([n], [correct], k)[0] == pytest.approx(share, abs=ROUNDING)


def test_pass_at_k_equals_the_binomials_where_those_overflow_a_float() -> None:
    """1,000 answers: C(1000, 500) has 300 digits, the product does not care."""
    for correct, k in ((1, 500), (3, 100), (250, 2), (999, 1)):
        exact = 1 - math.comb(1000 - correct, k) / math.comb(1000, k)
        assert pass_at_k([1000], [correct], k)[0] == pytest.approx(exact, abs=ROUNDING)


def test_pass_at_1_is_the_share_of_right_answers() -> None:
    """Items may have different numbers of answers."""
    assert pass_at_k([5, 3, 1], [2, 3, 0], 1) == pytest.approx([0.4, 1.0, 0.0], abs=ROUNDING)


def test_pass_at_k_is_unbiased() -> None:
    """Its mean over all outcomes of n independent answers, each right with p, is exactly 1 - (1-p)^k."""
    n, p = 6, 0.3
    chances = np.array([math.comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)])
    for k in range(1, n + 1):
        estimates = pass_at_k([n] * (n + 1), range(n + 1), k)
        assert chances @ estimates == pytest.approx(1 - (1 - p) ** k, abs=ROUNDING)


def test_pass_at_k_never_falls_with_k() -> None:
    """More tries never hurt."""
    values = [pass_at_k([16], [3], k)[0] for k in range(1, 17)]
    assert values == sorted(values)


@pytest.mark.parametrize(
    ("answers", "correct", "k", "problem"),
    [
        ([2], [1], 3, "needs 3 answers"),
        ([2], [3], 1, "between none and all"),
        ([2], [-1], 1, "between none and all"),
        ([2], [1], 0, "at least 1"),
        ([2, 2], [1], 1, "shapes"),
    ],
)
def test_counts_that_cannot_be_are_refused(answers: list[int], correct: list[int], k: int, problem: str) -> None:
    """Never an extrapolation or a NaN."""
    with pytest.raises(ValueError, match=problem):
        pass_at_k(answers, correct, k)


def test_no_items_give_no_values() -> None:
    """An empty table is not an error."""
    assert pass_at_k([], [], 2).shape == (0,)


def test_the_majority_is_the_first_seen_of_the_most_frequent() -> None:
    """Against a count by hand over all answers of length 5 from three letters."""
    for answers in itertools.product("abc", repeat=5):
        most = max(answers.count(letter) for letter in "abc")
        assert majority(answers) == next(answer for answer in answers if answers.count(answer) == most)
    with pytest.raises(ValueError, match="at least one"):
        majority([])


def test_powers_end_with_the_number_of_repeats() -> None:
    """One answer has no k of its own: pass@1 is the plain mean."""
    assert [powers_up_to(n) for n in (0, 1, 2, 3, 4, 7)] == [(), (), (2,), (2, 3), (2, 4), (2, 4, 7)]
