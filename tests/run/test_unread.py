"""What the numbers would be if all unread verdicts had gone one way, beside every number of a judge."""

import pytest

from judgebench.records import Case, Completion, Score
from judgebench.run.unread import DETAIL
from tests.judged_cases import TASKS, UNREADABLE, StarterSet, reply

EVERY = 4
"""Of so many verdicts one is not read."""


@pytest.mark.parametrize("name", TASKS)
def test_bounds_are_the_scores_of_the_worst_and_of_the_best_verdicts(name: str) -> None:
    """To the digit and for every metric and group: plain means, length control, style control. Where all is read, there
    are none.
    """
    starter = StarterSet.of(name)

    def scores(ended: int | None) -> dict[tuple[str, str | None], Score]:
        def said(case: Case, number: int, judge: str, repeat: int) -> Completion:
            if number % EVERY:
                return reply(case, number % 3)
            return UNREADABLE if ended is None else reply(case, ended)

        found = starter.scored(said)
        assert found.counts["unread"] == (0 if ended is not None else -(-len(starter.cases) // EVERY))
        return {(one.metric, one.group): one for one in found.scores}

    unread, worst, best = scores(None), scores(3), scores(4)
    assert not any(DETAIL in one.details for one in (*worst.values(), *best.values()))
    bounded = {key: one.details[DETAIL] for key, one in unread.items() if DETAIL in one.details}
    for key, bounds in bounded.items():
        ends = (worst[key].value, best[key].value)
        assert None not in ends
        assert {bounds["low"], bounds["high"]} == set(ends), key
        assert bounds["low"] <= bounds["high"]
        assert bounds["verdicts"] == -(-len(starter.cases) // EVERY)
    changed = {key for key in unread if worst[key].value != best[key].value}
    assert changed <= set(bounded)
    assert (starter.task.headline[0], None) in bounded
