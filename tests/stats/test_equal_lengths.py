"""The difference of two models where their answers are equally long."""

import numpy as np
import pytest

from judgebench.stats.equal_lengths import change_at_equal_lengths

ROUNDS, ITEMS = 400, 120


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Where changes and their spread grow with the length, about 95 of 100 intervals hold the truth at equal ones."""
    chance, held, means = np.random.default_rng(5), 0, []
    for _ in range(ROUNDS):
        first = chance.lognormal(6.0, 0.8, ITEMS)
        ratio = chance.normal(0.25, 0.5, ITEMS)
        changes = 2.0 + 10 * ratio + chance.normal(0.0, 3 + 4 * np.abs(ratio))
        found = change_at_equal_lengths(changes, first, first * np.exp(ratio))
        assert found.interval is not None
        held += found.interval.low <= 2.0 <= found.interval.high
        means.append(changes.mean())
    assert 0.92 < held / ROUNDS < 0.98
    assert np.mean(means) > 4


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ([100] * 20, [110] * 20, "only 20 samples"),
        ([100] * 90, [900] * 90, "only 0 samples"),
        ([100] * 90, list(range(101, 191)), "one of the two nearly always wrote more"),
        ([100] * 90, [100] * 90, "one of the two nearly always wrote more"),
        ([0] * 90, [0] * 90, "one of the two nearly always wrote more"),
    ],
)
def test_what_cannot_be_told_apart_has_no_number(first: list[int], second: list[int], words: str) -> None:
    """Too few answers of like length, or all longer on one side: then a reason stands in place of a number."""
    found = change_at_equal_lengths(np.arange(float(len(first))), first, second)
    assert (found.value, found.interval) == (None, None)
    assert words in str(found.reason)
