"""Criteria of a rubric's items: how they are read from examples and shown, and the cases that are about one each."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from judgebench.data.rows import FileRow, count_of
from judgebench.judges.lists import MET
from judgebench.kinds.items import Criterion
from judgebench.records import Answer, Case, Example, Generation, Judgement, Verdict
from judgebench.task import TaskData


def criteria_of(example: Example) -> list[Criterion]:
    """The criteria of an example, in the order of their cases."""
    return msgspec.convert(example.meta["criteria"], list[Criterion])


def shown(case: Case, *, show_points: bool, show_entry: bool) -> Mapping[str, str]:
    """The criterion that a case is about."""
    return {"criterion": shown_as(criteria_of(case.example)[number_of(case.id)], show_points, show_entry)}


def shown_as(criterion: Criterion, show_points: bool, show_entry: bool) -> str:
    """What the judge sees of a criterion: its text, maybe with its points, or its whole table as Python writes it."""
    points = f"[{criterion.points:g}] " if show_points else ""
    return points + (str(criterion.entry) if show_entry and criterion.entry else criterion.text)


ALL = "all"
"""Ends the id of a case that is about all criteria."""


def values_of(judgements: Iterable[Judgement], count: int) -> dict[int, float | None]:
    """The verdicts on ``count`` criteria by their numbers: those on one each, and those on all of them at once."""
    found: dict[int, float | None] = {}
    for one in judgements:
        part = one.case_id.rpartition("#")[2]
        if part == ALL:
            found |= dict(enumerate(_parts(one.verdict, count)))
        elif part.isdecimal():
            found[int(part)] = one.verdict.value
    return found


def _parts(verdict: Verdict, count: int) -> list[float | None]:
    try:
        parts = msgspec.convert(verdict.details.get(MET), list[float | None])
    except msgspec.ValidationError:
        parts = []
    return parts if verdict.value is not None and len(parts) == count else [None] * count


def number_of(case_id: str) -> int:
    """Which criterion a case is about, from 0."""
    return int(case_id.rpartition("#")[2])


def cases_of_criteria(judge: str, data: TaskData, generation: Generation) -> tuple[Case, ...]:
    """One case for each criterion."""
    answer = Answer(model=generation.model, turns=generation.outputs)
    example = data.by_id[generation.example_id]
    return tuple(
        Case(id=f"{example.id}#{number}", judge=judge, example=example, answers=(answer,), turn=len(generation.outputs))
        for number in range(len(example.meta["criteria"]))
    )


def case_of_row(example: Example, row: FileRow) -> tuple[str, int]:
    """The id of the case that a row is about, by its ``criterion``: an index from 0, or the criterion's id or text.

    An item with one criterion needs none.
    """
    given, criteria = row.value("criterion"), criteria_of(example)
    if given is None and len(criteria) == 1:
        return f"{example.id}#0", 1
    for names in ([criterion.id for criterion in criteria], [criterion.text for criterion in criteria]):
        if isinstance(given, str) and names.count(given) == 1:
            return f"{example.id}#{names.index(given)}", 1
    number: Any = int(given) if row.cells and isinstance(given, str) and given.isdecimal() else count_of(given)
    if number is None or number >= len(criteria):
        raise row.error(
            f"'criterion' must be the text or id of one of the {len(criteria)} criteria of item {example.id}, or its "
            f"index from 0; found {given!r:.60}"
        )
    return f"{example.id}#{number}", 1


def ends_of_criterion(scale: tuple[float, float], example: Example, case_id: str) -> tuple[Verdict, Verdict]:
    """The worst and the best verdict on a criterion for the candidate: a high one may be what costs points."""
    criterion = criteria_of(example)[number_of(case_id)]
    low, high = (Verdict(value=value) for value in scale)
    return (low, high) if criterion.wanted == (criterion.points > 0) else (high, low)
