"""The kind ``rubric``: which of its criteria each answer meets, for points that may be negative."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, structs

from judgebench.data.rows import FileRow
from judgebench.judges.verdict_rules import VerdictRule
from judgebench.kinds.criteria import (
    case_of_row,
    cases_of_criteria,
    criteria_of,
    ends_of_criterion,
    number_of,
    shown,
)
from judgebench.kinds.graded import Grades
from judgebench.kinds.graded import make as make_graded
from judgebench.kinds.items import Criterion, groups_of, read_examples, tag_group
from judgebench.kinds.judging import judge_models, shown_columns, slot_texts, with_judge
from judgebench.kinds.levels import Chains
from judgebench.kinds.levels import make as make_levels
from judgebench.kinds.scores import Covariate, GroupedMeans
from judgebench.kinds.subsets import Subset, with_subsets
from judgebench.kinds.task_files import TaskFile
from judgebench.kinds.verdicts import import_verdicts
from judgebench.records import Example, ExampleScore, Judgement, Score, Verdict
from judgebench.stats.clustered import ClusterTotals, cluster_totals
from judgebench.task import Fetch, Generations, Task, TaskData
from judgebench.task.answers import import_answers
from judgebench.task.metric import Metric, MetricSums, by_example

MOST_LEVELS = 100
RULE = VerdictRule(read="label", labels={"[[yes]]": 1.0, "[[no]]": 0.0})
UNCLIPPED = Metric(name="score_unclipped", shown=False)
SHARE_MET = Metric(name="share_met", value_of=Covariate("share_met"))
ALL_MET = Metric(name="all_met", value_of=Covariate("all_met"))


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table ``[rubric]``."""

    criteria: tuple[Criterion, ...] = ()
    """Criteria of every item, before those of its own row."""
    levels: Annotated[int, Meta(ge=1, le=MOST_LEVELS)] | None = None
    """The highest level, of requests that grow by one requirement a level."""
    per: Literal["criterion", "answer"] = "criterion"
    """With levels: the judge is asked about each criterion, or once about each answer, for a list of verdicts."""
    show_points: bool = False
    """Whether the judge sees a criterion's points, as ``[5] text``."""
    show_entry: bool = False
    """Whether it sees the whole table that a criterion is in the prompts, as Python writes it."""
    scale: tuple[float, float] | None = None
    """The judge gives each criterion a number from the least to the greatest of these."""
    pooled: bool = False
    """With a scale: the score is the mean of all grades, not of the items' means."""
    partial: bool = False
    """With a scale: an item's score is the mean of the grades that could be read, if some could not."""
    clip: bool = True
    """Whether the score, a mean over items, is kept between 0 and 100."""
    macro: str | None = None
    """The score is the unweighted mean of the scores of these groups, such as ``category``."""
    subsets: dict[str, Subset] = {}
    """Parts of the items that files of their own list, each a group."""
    attempts: Literal["mean", "best"] = "mean"
    """Whether several answers to an item count by their mean, or by the best of them."""


def make(file: TaskFile, starter: bool) -> Task:
    """The benchmark of such a file."""
    settings = file.table(Settings)
    if settings.levels is not None:
        return make_levels(file, _chains(file, settings, settings.levels), settings.criteria, starter)
    if "per" in file.keys.rubric:
        raise file.fault("rubric.per", "belongs to a rubric with levels, such as levels = 5")
    show = partial(shown, show_points=settings.show_points, show_entry=settings.show_entry)
    read = partial(_examples, file, settings, starter=starter)
    if settings.scale is not None:
        grades = Grades(scale=settings.scale, pooled=settings.pooled, partial=settings.partial)
        return make_graded(file, grades, show, read, starter)
    means = GroupedMeans(task=file.name, metrics=(SHARE_MET, ALL_MET), groups=partial(groups_of, file.keys.groups))
    score = Metric(name="score")
    scores = _Scores(file.name, settings, means, score)
    texts = slot_texts(file, {"criterion": "the criterion to check"}, show, scale=(0.0, 1.0))

    def load(fetch: Fetch) -> TaskData:
        return with_judge(file, task, TaskData(examples=read(fetch), baselines={}), texts, RULE, fetch)

    task = Task(
        name=file.name,
        version=file.keys.version,
        options={},
        metrics=(score, UNCLIPPED, SHARE_MET, ALL_MET),
        judge_models=judge_models(file),
        sampling=file.sampling,
        official_examples=file.official_examples,
        starter=starter,
        load=load,
        cases=cases_of_criteria,
        score=_score,
        verdict_ends=partial(ends_of_criterion, (0.0, 1.0)),
        groups=means.groups,
        summarise=scores.summarise,
        metric_sums=scores.sums,
        repeats=True,
        importers={"outputs": import_answers, "verdicts": partial(import_verdicts, case=case_of_row, value=_value_of)},
        about=file.keys.about or "Which of its criteria each answer meets: points met over points to be had.",
    )
    return task


def _chains(file: TaskFile, settings: Settings, levels: int) -> Chains:
    for key in ("show_points", "show_entry", "scale", "pooled", "partial", "clip", "attempts"):
        if key in file.keys.rubric:
            raise file.fault(f"rubric.{key}", "is for scores of points; a rubric with levels has rates")
    return Chains(levels=levels, per=settings.per, macro=settings.macro)


def _examples(file: TaskFile, settings: Settings, fetch: Fetch, *, starter: bool) -> tuple[Example, ...]:
    found = read_examples(file, fetch, starter=starter, columns=shown_columns(file))
    if not starter:
        found = with_subsets(file, settings.subsets, found, fetch)
    return tuple(_with_criteria(file, settings, example) for example in found)


def _with_criteria(file: TaskFile, settings: Settings, example: Example) -> Example:
    given = msgspec.convert(example.meta.get("criteria", []), list[Criterion])
    own = [*settings.criteria, *(given if settings.show_entry else (structs.replace(one, entry={}) for one in given))]
    if not any(criterion.points > 0 for criterion in own):
        raise file.fault("prompts", f"gives the item {example.id!r:.80} no criterion with points above 0")
    return structs.replace(example, meta={**example.meta, "criteria": msgspec.to_builtins(own)})


def _score(data: TaskData, generations: Generations, judgements: Iterable[Judgement]) -> list[ExampleScore]:
    """Points met over positive points, which has no value until all criteria of the item have a verdict."""
    judged = by_example(judgements)
    return [_row(example, judged.get(example.id, ())) for example in data.examples]


def _row(example: Example, judgements: Sequence[Judgement]) -> ExampleScore:
    criteria = criteria_of(example)
    met = {number_of(one.case_id): one.verdict.value for one in judgements}
    known = [
        value if one.wanted else 1 - value
        for number, one in enumerate(criteria)
        if (value := met.get(number)) is not None
    ]
    if len(known) < len(criteria):
        return ExampleScore(example_id=example.id, metric="score", value=None)
    kept = [value if criterion.points > 0 else 1 - value for value, criterion in zip(known, criteria, strict=True)]
    return ExampleScore(
        example_id=example.id,
        metric="score",
        value=_share(known, criteria),
        covariates={
            "share_met": sum(kept) / len(kept),
            "all_met": float(min(kept) == 1),
            **{f"tag:{group}": share for group, share in _tag_shares(known, criteria).items()},
        },
    )


def _share(met: Sequence[float], criteria: Sequence[Criterion]) -> float:
    """Points met over the points that there are to be had."""
    won = sum(value * criterion.points for value, criterion in zip(met, criteria, strict=True))
    return won / sum(criterion.points for criterion in criteria if criterion.points > 0)


def _tag_shares(met: Sequence[float], criteria: Sequence[Criterion]) -> dict[str, float]:
    """The same over the criteria of each tag, where one of them has positive points."""
    found = {}
    for tag in dict.fromkeys(tag for criterion in criteria for tag in criterion.tags):
        own = [(value, one) for value, one in zip(met, criteria, strict=True) if tag in one.tags]
        if any(criterion.points > 0 for _, criterion in own):
            found[tag_group(tag)] = _share([value for value, _ in own], [criterion for _, criterion in own])
    return found


class _Scores:
    """The score, of all items and by group, kept between 0 and 100 or not, and the plain means beside it."""

    def __init__(self, task: str, settings: Settings, means: GroupedMeans, score: Metric) -> None:
        self._task, self._settings, self._means, self._metric = task, settings, means, score

    def summarise(self, data: TaskData, rows: Sequence[ExampleScore]) -> list[Score]:
        """All scores; those of items and of criteria by group."""
        found = []
        for group, (values, total) in self._values(data.examples, rows).items():
            found += self._scores(group, values, total, data.examples)
        return [*found, *self._means.scores(data, rows)]

    def sums(self, examples: Sequence[Example], rows: Sequence[ExampleScore], fetch: Fetch) -> MetricSums:
        """The same numbers as sums over items; the score is compared before it is clipped."""
        values = self._values(examples, rows)
        totals = {group: self._totals(group, own, examples) for group, (own, _) in values.items() if own}
        names = (self._metric.name, UNCLIPPED.name)
        return {
            **{(name, group): own for name in names for group, own in totals.items()},
            **self._means.sums(examples, rows),
        }

    def _values(
        self, examples: Sequence[Example], rows: Sequence[ExampleScore]
    ) -> dict[str | None, tuple[list[tuple[str, float]], int]]:
        """Items with their shares, and how many there should be, by group: those of items, then those of criteria."""
        shares: dict[str | None, list[tuple[str, float | None]]] = {None: []}
        by_id = {row.example_id: row for row in rows}
        for example in examples:
            item, row = example.item or example.id, by_id.get(example.id)
            value = None if row is None else row.value
            for group in (None, *self._means.groups(example)):
                shares.setdefault(group, []).append((item, value))
            for group in _groups_of_criteria(example):
                share = None if row is None else Covariate(f"tag:{group}")([row])
                shares.setdefault(group, []).append((item, share))
        if self._settings.attempts == "best":
            shares = {group: _best(own) for group, own in shares.items()}
        return {
            group: ([(item, value) for item, value in own if value is not None], len(own))
            for group, own in shares.items()
        }

    def _totals(
        self, group: str | None, values: Sequence[tuple[str, float]], examples: Sequence[Example]
    ) -> ClusterTotals:
        """The sums of some items; without a group as the mean of groups, if the file says so."""
        items, numbers = [item for item, _ in values], [100 * value for _, value in values]
        key = self._settings.macro
        if key is None or group is not None:
            return cluster_totals(numbers, clusters=items)
        places = {example.item or example.id: self._place(example, key) for example in examples}
        names = sorted({places[item] for item in items})
        return cluster_totals(numbers, clusters=items, terms=[names.index(places[item]) for item in items])

    def _place(self, example: Example, key: str) -> str:
        """The group of an example among those that the score is a mean of."""
        return next((group for group in self._means.groups(example) if group.startswith(f"{key}=")), "")

    def _scores(
        self, group: str | None, values: Sequence[tuple[str, float]], total: int, examples: Sequence[Example]
    ) -> list[Score]:
        about: dict[str, Any] = {"n_missing": total - len(values), "group": group}
        metrics = (self._metric, UNCLIPPED)
        if not values:
            return [metric.absent(self._task, "no item has all its verdicts", **about) for metric in metrics]
        sums, what = self._totals(group, values, examples), "mean over items of points met over points to be had"
        if self._settings.macro is not None and group is None:
            what += f", then over the groups of {self._settings.macro}"
        unclipped = UNCLIPPED.score(self._task, sums, what, "items", n=len(values), bounded=False, **about)
        score = msgspec.structs.replace(unclipped, metric=self._metric.name)
        if not self._settings.clip or unclipped.value is None:
            return [score, unclipped]
        ends = {name: _clipped(getattr(unclipped, name)) for name in ("value", "low", "high")}
        method = f"{unclipped.method}; kept between 0 and 100"
        return [msgspec.structs.replace(score, **ends, method=method), unclipped]


def _groups_of_criteria(example: Example) -> tuple[str, ...]:
    """The groups of an example's criteria that have a score: those where one has positive points."""
    tags = [tag_group(tag) for one in criteria_of(example) if one.points > 0 for tag in one.tags]
    return tuple(dict.fromkeys(tags))


def _best(shares: Sequence[tuple[str, float | None]]) -> list[tuple[str, float | None]]:
    """The best attempt at each item, which is known if it cannot be bettered or no attempt is missing."""
    found: dict[str, list[float | None]] = {}
    for item, share in shares:
        found.setdefault(item, []).append(share)
    best: list[tuple[str, float | None]] = []
    for item, own in found.items():
        known = [share for share in own if share is not None]
        top = max(known, default=None)
        best.append((item, top if top == 1 or len(known) == len(own) else None))
    return best


def _clipped(value: float | None) -> float | None:
    return None if value is None else min(100.0, max(0.0, value))


# -- verdicts that were made elsewhere


def _value_of(example: Example, row: FileRow, value: Any) -> Verdict:
    words = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0, "1": 1.0, "0": 0.0}
    if isinstance(value, bool) or value in (0, 1):
        return Verdict(value=float(value))
    if isinstance(value, str) and value.strip().lower() in words:
        return Verdict(value=words[value.strip().lower()])
    raise row.error(f"'value' must be true, false or null, found {value!r:.40}")
