"""The kind ``rubric`` with a scale: a number for each criterion, and the mean of an item's numbers."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from judgebench.data.rows import FileRow
from judgebench.judges.verdict_rules import VerdictRule
from judgebench.kinds import at_once
from judgebench.kinds.at_once import AtOnce
from judgebench.kinds.criteria import case_of_row, cases_of_criteria, criteria_of, ends_of_criterion, number_of
from judgebench.kinds.items import Criterion, groups_of, tag_group
from judgebench.kinds.judging import judge_models, judge_name, slot_texts, with_judge
from judgebench.kinds.scores import Covariate
from judgebench.kinds.task_files import TaskFile
from judgebench.kinds.verdicts import import_verdicts
from judgebench.records import Case, Example, ExampleScore, Judgement, Score, Verdict
from judgebench.stats.clustered import ClusterTotals, cluster_totals
from judgebench.task import Fetch, Generations, Task, TaskData
from judgebench.task.answers import import_answers
from judgebench.task.metric import Metric, MetricSums, by_example, no_value, single_row

HOUSE = "grade"
"""The house prompt that asks for a number."""


@dataclass(frozen=True, kw_only=True)
class Grades:
    """How the grades of a benchmark are counted."""

    scale: tuple[float, float]
    pooled: bool
    """The score is the mean of all grades, not of the items' means."""
    pooled_tags: bool
    """The score of a tag of criteria is the mean of all their grades."""
    partial: bool
    """An item's score is the mean of the grades that could be read, if some could not."""
    at_once: AtOnce | None = None
    """One call grades an answer by all criteria; without it, each call is about one of them."""

    @property
    def metrics(self) -> tuple[Metric, Metric]:
        """The mean on the scale, and as a share of its highest grade."""
        mean, share = (no_value, no_value) if self.pooled else (single_row("score"), self._share)
        return (
            Metric(name="score", unit="rating", bounds=self.scale, value_of=mean),
            Metric(name="score_percent", value_of=share),
        )

    def _share(self, rows: Sequence[ExampleScore]) -> float | None:
        value = single_row("score")(rows)
        return None if value is None else value / self.scale[1]


def make(
    file: TaskFile,
    grades: Grades,
    shown: Callable[[Case], Mapping[str, str]],
    load: Callable[[Fetch], tuple[Example, ...]],
    starter: bool,
) -> Task:
    """The benchmark of such a file: ``shown`` says what a case shows of its criterion, ``load`` reads the examples."""
    low, high = grades.scale
    if not 0 <= low < high:
        raise file.fault("rubric.scale", f"[{low:g}, {high:g}] does not go from low to high, from 0 or above")
    scores, together = _Scores(file, grades), grades.at_once
    named = at_once.NAMES if together else {"criterion": "the criterion to grade"}
    show = at_once.shown if together else shown
    texts = slot_texts(
        file,
        {**named, "lowest": "the least grade", "highest": "the greatest grade"},
        lambda case: {**show(case), "lowest": f"{low:g}", "highest": f"{high:g}"},
        scale=grades.scale,
    )
    rule = VerdictRule(read="lines" if together else "rating", scale=grades.scale)
    house = at_once.HOUSE if together else HOUSE

    def read(fetch: Fetch) -> TaskData:
        data = with_judge(file, task, TaskData(examples=load(fetch), baselines={}), texts, rule, fetch, house=house)
        if together is None:
            return data
        return dataclasses.replace(data, judges={name: together.judge(one) for name, one in data.judges.items()})

    value = partial(_value_of, grades)
    one_by_one = partial(import_verdicts, case=case_of_row, value=value, judge=judge_name(file))
    verdicts = together.verdicts if together else one_by_one

    task = Task(
        name=file.name,
        version=file.keys.version,
        options={},
        metrics=grades.metrics,
        judge_models=judge_models(file),
        sampling=file.sampling,
        official_examples=file.official_examples,
        starter=starter,
        load=read,
        cases=together.cases if together else partial(cases_of_criteria, judge_name(file)),
        score=together.score if together else partial(_score, grades),
        verdict_ends=None if together else partial(ends_of_criterion, grades.scale),
        groups=scores.groups,
        summarise=scores.summarise,
        metric_sums=scores.sums,
        repeats=True,
        folds_covariates=True,
        importers={"outputs": import_answers, "verdicts": verdicts},
        about=file.keys.about or f"How well each answer does by each of its criteria, from {low:g} to {high:g}.",
    )
    return task


def _score(
    grades: Grades, data: TaskData, generations: Generations, judgements: Iterable[Judgement]
) -> list[ExampleScore]:
    """The mean of an item's grades, which has no value until all of them are there, unless some may be missing."""
    judged = by_example(judgements)
    return [_row(grades, example, judged.get(example.id, ())) for example in data.examples]


def _row(grades: Grades, example: Example, judgements: Sequence[Judgement]) -> ExampleScore:
    criteria = criteria_of(example)
    given = {number_of(one.case_id): one.verdict.value for one in judgements}
    known = [
        (one, _turned(grades, one, value))
        for number, one in enumerate(criteria)
        if (value := given.get(number)) is not None
    ]
    if not known or (len(known) < len(criteria) and not grades.partial):
        return ExampleScore(example_id=example.id, metric="score", value=None)
    totals = {"sum": _sum(known), "weight": _weight(known)}
    tags = dict.fromkeys(tag_group(tag) for one, _ in known for tag in one.tags)
    for group in tags:
        own = [(one, value) for one, value in known if group in map(tag_group, one.tags)]
        totals |= {f"sum:{group}": _sum(own), f"weight:{group}": _weight(own)}
    value = totals["sum"] / totals["weight"]
    return ExampleScore(example_id=example.id, metric="score", value=value, covariates={**totals})


def _turned(grades: Grades, criterion: Criterion, value: float) -> float:
    """A grade where more is better: one of negative points is counted from the other end of the scale."""
    return value if criterion.points > 0 else sum(grades.scale) - value


def _sum(known: Iterable[tuple[Criterion, float]]) -> float:
    return sum(abs(criterion.points) * value for criterion, value in known)


def _weight(known: Iterable[tuple[Criterion, float]]) -> float:
    return sum(abs(criterion.points) for criterion, _ in known)


@dataclass(frozen=True, kw_only=True)
class _Values:
    """The grades of some items."""

    known: tuple[tuple[str, float, float], ...]
    """Items with the sum and the weight of their grades."""
    total: int
    """How many items there should be."""
    pooled: bool
    """The score is the mean of all grades."""


class _Scores:
    """The mean of items, or of all grades; by group of items, and by tag of criteria."""

    def __init__(self, file: TaskFile, grades: Grades) -> None:
        self._task, self._grades = file.name, grades
        self.groups = partial(groups_of, file.keys.groups)
        plain = tuple(Metric(name=metric.name, unit=metric.unit, bounds=metric.bounds) for metric in grades.metrics)
        self._score, self._percent = plain

    def summarise(self, data: TaskData, rows: Sequence[ExampleScore]) -> list[Score]:
        """All scores; of answers graded by all criteria at once, with upstream's beside those read strictly."""
        found = self._all(data.examples, rows)
        together = self._grades.at_once
        if together is None:
            return found
        count = {"read_otherwise": at_once.read_otherwise(rows)}
        found = [
            msgspec.structs.replace(one, details={**one.details, **count}) if one.group is None else one
            for one in found
        ]
        if not together.strict or not count["read_otherwise"]:
            return found
        others = self._all(data.examples, [at_once.otherwise(row) for row in rows])
        return [
            score.beside(other.as_upstream("upstream reads every text before a colon and a number as a name"))
            if other.value is not None and score.value not in (None, other.value)
            else score
            for score, other in zip(found, others, strict=True)
        ]

    def _all(self, examples: Sequence[Example], rows: Sequence[ExampleScore]) -> list[Score]:
        return [
            score for group, values in self._values(examples, rows).items() for score in self._scores(group, values)
        ]

    def sums(self, examples: Sequence[Example], rows: Sequence[ExampleScore], fetch: Fetch) -> MetricSums:
        """The same numbers as sums over items."""
        return {
            (metric.name, group): self._totals(values, share=metric is self._percent)
            for group, values in self._values(examples, rows).items()
            if values.known
            for metric in (self._score, self._percent)
        }

    def _values(self, examples: Sequence[Example], rows: Sequence[ExampleScore]) -> "dict[str | None, _Values]":
        """The grades of all items, and by group."""
        tagged: set[str | None] = set()
        found: dict[str | None, list[tuple[str, float | None, float | None]]] = {None: []}
        by_id = {row.example_id: row for row in rows}
        for example in examples:
            item, row = example.item or example.id, by_id.get(example.id)
            tags = dict.fromkeys(tag_group(tag) for one in criteria_of(example) for tag in one.tags)
            tagged.update(tags)
            for group in (None, *self.groups(example), *tags):
                key = f":{group}" if group in tags else ""
                own = [row] if row is not None else []
                sums = Covariate(f"sum{key}")(own), Covariate(f"weight{key}")(own)
                found.setdefault(group, []).append((item, *sums))
        return {
            group: _Values(
                known=tuple((item, top, weight) for item, top, weight in own if top is not None and weight),
                total=len(own),
                pooled=self._grades.pooled_tags if group in tagged else self._grades.pooled and group is None,
            )
            for group, own in sorted(found.items(), key=lambda group_with_items: group_with_items[0] or "")
        }

    def _totals(self, values: "_Values", *, share: bool) -> ClusterTotals:
        scale = 100 / self._grades.scale[1] if share else 1.0
        items = [item for item, _, _ in values.known]
        if values.pooled:
            tops, weights = [scale * top for _, top, _ in values.known], [weight for _, _, weight in values.known]
            return cluster_totals(tops, weights, clusters=items)
        return cluster_totals([scale * top / weight for _, top, weight in values.known], clusters=items)

    def _scores(self, group: str | None, values: "_Values") -> Iterable[Score]:
        about: dict[str, Any] = {"n_missing": values.total - len(values.known), "group": group}
        what = (
            "mean over answers of their mean grade"
            if self._grades.at_once
            else "mean of all grades"
            if values.pooled
            else "mean over items of their mean grade"
        )
        for metric in (self._score, self._percent):
            if not values.known:
                yield metric.absent(self._task, "no item has all its grades", **about)
                continue
            sums = self._totals(values, share=metric is self._percent)
            yield metric.score(self._task, sums, what, "items", n=len(values.known), **about)


def _value_of(grades: Grades, example: Example, row: FileRow, value: Any) -> Verdict:
    low, high = grades.scale
    number = row.number("value")
    if number is None or not low <= number <= high:
        raise row.error(f"'value' must be a grade from {low:g} to {high:g}, found {value!r:.40}")
    return Verdict(value=number)
