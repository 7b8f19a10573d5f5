"""The kind ``rubric`` with a scale, where one call grades an answer by all of its criteria."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import structs

from judgebench.data.rows import FileRow, count_of
from judgebench.judges import Judge
from judgebench.judges.grade_lines import GRADES, OTHERWISE, GradedCriteria
from judgebench.judges.text import TextJudge
from judgebench.judges.verdict_rules import GRADED
from judgebench.kinds.criteria import criteria_of
from judgebench.kinds.verdicts import import_verdicts, of_form
from judgebench.records import Answer, Case, Completion, Example, ExampleScore, Generation, Judgement, Verdict
from judgebench.task import Generations, Imported, TaskData
from judgebench.task.metric import by_example

HOUSE = "grades"
"""The house prompt that asks for all grades."""
NAMES = {"bullets": "the criteria, one a line after a dash", GRADED: "those of the criteria where a low grade is good"}
LOWER = "lower_is_better"
"""The key of an example's meta that has those names in the order of their file."""


@dataclass(frozen=True, kw_only=True)
class AtOnce:
    """How answers are graded by all criteria at once."""

    judge_name: str
    """What the judge is called."""
    scale: tuple[float, float]
    strict: bool
    """Whether only criteria count, after the heading of the grades."""
    shortest: int
    """A shorter answer, in characters, is not judged, and missing."""

    def graded(self, example: Example) -> GradedCriteria:
        """What names mean in a reply about an example."""
        criteria = criteria_of(example)
        lower = frozenset(one.text for one in criteria if one.points < 0)
        names = [one.text for one in criteria]
        return GradedCriteria(names=names, lower_is_better=lower, scale=self.scale, strict=self.strict)

    def judge(self, judge: Judge) -> Judge:
        """A judge whose verdicts are on all criteria of a case."""
        if not isinstance(judge, TextJudge):
            return judge
        own = {field.name: getattr(judge, field.name) for field in dataclasses.fields(judge)}
        return _GradesJudge(**own, at_once=self)

    def cases(self, data: TaskData, generation: Generation) -> tuple[Case, ...]:
        """One case for each answer that is long enough."""
        answer = Answer(model=generation.model, turns=generation.outputs)
        if len(answer.text.strip()) < self.shortest:
            return ()
        example = data.by_id[generation.example_id]
        return (
            Case(
                id=example.id, judge=self.judge_name, example=example, answers=(answer,), turn=len(generation.outputs)
            ),
        )

    def score(self, data: TaskData, generations: Generations, judgements: Iterable[Judgement]) -> list[ExampleScore]:
        """Each answer's mean grade."""
        judged = by_example(judgements)
        return [self._row(example, judged.get(example.id, ())) for example in data.examples]

    def _row(self, example: Example, judgements: Sequence[Judgement]) -> ExampleScore:
        graded = self.graded(example)
        settled = [graded.settled(one.verdict) for one in judgements]
        if not settled:
            return ExampleScore(example_id=example.id, metric="score", value=None)
        verdict = next((one for one in settled if one.value is not None), settled[0])
        value, other = verdict.value, verdict.details.get(OTHERWISE, verdict.value)
        return ExampleScore(
            example_id=example.id, metric="score", value=value, covariates={**_sums(value), OTHERWISE: other}
        )

    def verdicts(self, rows: Sequence[FileRow], data: TaskData) -> tuple[Imported, ...]:
        """Read verdicts made elsewhere: a row for each answer, or for each grade of an answer."""
        return import_verdicts(
            self._by_answer(rows, data), data, case=_case_of, value=self._value_of, judge=self.judge_name
        )

    def _by_answer(self, rows: Sequence[FileRow], data: TaskData) -> list[FileRow]:
        """The rows with a criterion as one for each answer, whose value is a table."""
        found: list[FileRow] = []
        grades: dict[tuple[str, Any], dict[str, Any]] = {}
        for row in (of_form(row, data) for row in rows):
            example = data.find(row.key("id"))
            if row.value("criterion") is None or example is None:
                found.append(row)
                continue
            name, answer = self._name(example, row), (example.id, row.value("attempt"))
            if answer not in grades:
                grades[answer] = {}
                found.append(structs.replace(row, fields={**row.fields, "value": grades[answer]}, cells=False))
            if name in grades[answer]:
                raise row.error(f"there is a grade of {name[:60]!r} for this answer already")
            if (grade := row.number("value")) is not None:
                grades[answer][name] = grade
        return found

    def _name(self, example: Example, row: FileRow) -> str:
        """The name of the criterion that a row is about, by its index from 0 or as it is written."""
        given, names = row.value("criterion"), self.graded(example).names
        number = int(given) if row.cells and isinstance(given, str) and given.isdecimal() else count_of(given)
        if isinstance(given, str) and (number is None or not row.cells):
            return given
        if number is None or number >= len(names):
            raise row.error(
                f"'criterion' must be a name, or the index from 0 of one of the {len(names)} criteria, found "
                f"{given!r:.40}"
            )
        return names[number]

    def _value_of(self, example: Example, row: FileRow, value: Any) -> Verdict:
        """A verdict made elsewhere: a mean grade, or a table of grades by the criteria's names."""
        if not isinstance(value, dict):
            low, high = self.scale
            number = row.number("value")
            if number is None or not low <= number <= high:
                raise row.error(
                    f"'value' must be a grade from {low:g} to {high:g}, or grades by name; found {value!r:.40}"
                )
            return Verdict(value=number)
        if not all(isinstance(grade, int | float) and not isinstance(grade, bool) for grade in value.values()):
            raise row.error(f"'value' must be a number for each name, found {value!r:.60}")
        return self.graded(example).settled(Verdict(value=None, details={GRADES: value}))


def shown(case: Case) -> Mapping[str, str]:
    """What a prompt shows of the criteria."""
    criteria = criteria_of(case.example)
    lower = case.example.meta.get(LOWER) or [one.text for one in criteria if one.points < 0]
    return {"bullets": "\n".join(f"- {one.text}" for one in criteria), GRADED: ", ".join(lower)}


def _case_of(example: Example, row: FileRow) -> tuple[str, int]:
    """The case that a row is about, which is the answer."""
    return example.id, 1


def otherwise(row: ExampleScore) -> ExampleScore:
    """The row with the grade of the other reading."""
    value: Any = row.covariates.get(OTHERWISE)
    return structs.replace(row, value=value, covariates=_sums(value))


def _sums(value: float | None) -> dict[str, float | str | None]:
    """What the means of groups are computed from."""
    return {} if value is None else {"sum": value, "weight": 1.0}


def read_otherwise(rows: Iterable[ExampleScore]) -> int:
    """How many answers have another grade in the other reading."""
    return sum(row.covariates.get(OTHERWISE) != row.value for row in rows)


@dataclass(frozen=True, kw_only=True)
class _GradesJudge(TextJudge):
    """A judge whose replies have a grade for each criterion of the case."""

    at_once: AtOnce

    def read(self, case: Case, replies: tuple[Completion, ...]) -> Verdict:
        """The mean grade, with all grades in its details."""
        return self.at_once.graded(case.example).settled(super().read(case, replies))
