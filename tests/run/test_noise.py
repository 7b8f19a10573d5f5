"""Which noise the intervals of judged scores hold, and how a jury's spread widens them."""

from collections.abc import Callable

import pytest

from judgebench.records import Case, Completion, Score
from judgebench.run.noise import COVERS, LACKS, held_by_intervals
from tests.judged_cases import TASKS, StarterSet, reply

JURY = ("a", "b", "c", "d")
Said = Callable[[Case, int, str, int], Completion]


def alike(case: Case, number: int, judge: str, repeat: int) -> Completion:
    """Every judge says the same."""
    return reply(case, number % 3)


def severe(case: Case, number: int, judge: str, repeat: int) -> Completion:
    """Two judges say something, one is against the candidate and one is for it wherever they can."""
    return reply(case, {"c": 3, "d": 4}.get(judge, number % 3) if number % 5 else number % 3)


def whole(scores: list[Score]) -> dict[str, Score]:
    """The scores over all examples that have an interval."""
    return {score.metric: score for score in scores if score.group is None and score.low is not None}


@pytest.mark.parametrize("name", TASKS)
def test_a_jury_that_differs_widens_the_intervals(name: str) -> None:
    """Of every metric: with a jury of three or more its judges are held, with two they are not."""
    starter = StarterSet.of(name)
    jury, pair = (whole(starter.scored(severe, judges).scores) for judges in (JURY, ("a", "d")))
    headline = starter.task.headline[0]
    for metric, score in jury.items():
        if score.unit == "characters":  # no judge's
            assert COVERS not in score.details
            continue
        assert "judges" in score.details[COVERS], metric
        assert score.details[LACKS] == [name for name in pair[metric].details[LACKS] if name != "judges"]
        assert "judges" in pair[metric].details[LACKS]
        assert "judges_stderr" not in pair[metric].details
    widened = jury[headline]
    assert widened.method is not None
    assert "widened by the spread of 4 judges" in widened.method
    assert widened.details["judges_stderr"] > 0
    assert None not in (widened.low, widened.high, widened.value)


@pytest.mark.parametrize("name", TASKS)
def test_judges_who_agree_and_repeats_change_no_number(name: str) -> None:
    """Four judges of one mind, or one judge asked three times, have the interval of one judge asked once."""
    starter = StarterSet.of(name)
    alone, jury, repeated = (starter.scored(alike, *more).scores for more in ((("a",),), (JURY,), (("a",), 3)))
    (own, *others) = (
        {name: (one.value, one.stderr, one.low, one.high) for name, one in whole(scores).items()}
        for scores in (alone, jury, repeated)
    )
    assert own
    for other in others:
        assert other.keys() == own.keys()
        for name, numbers in own.items():
            assert other[name] == pytest.approx(numbers, rel=1e-9), name
    assert "repeats" in held_by_intervals(repeated)[0]
    assert "repeats" not in held_by_intervals(alone)[0]
    assert held_by_intervals(alone)[1][-1] == "judges"
