"""The kind ``rating``: how good a judge finds a model's answers, on a scale, in one respect or several."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from judgebench.data.rows import FileRow, count_of
from judgebench.judges.own_prompts import CaseTexts
from judgebench.judges.verdict_rules import VerdictRule
from judgebench.kinds.items import groups_of, read_examples
from judgebench.kinds.judging import judge_models, judge_name, with_judge
from judgebench.kinds.scores import Covariate, GroupedMeans
from judgebench.kinds.task_files import TaskFile
from judgebench.kinds.verdicts import import_verdicts
from judgebench.models.opening import scores_of
from judgebench.records import Answer, Case, Example, ExampleScore, Generation, Judgement, Score, Verdict
from judgebench.task import Fetch, Generations, Task, TaskData
from judgebench.task.answers import import_answers
from judgebench.task.metric import Metric, MetricSums, by_example, single_row


class Dimension(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A respect in which answers are rated, with its own call to the judge."""

    name: str
    about: str = ""
    """What the judge is told; the name by default."""
    weight: float = 1.0


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table ``[rating]``."""

    scale: tuple[float, float] = (1.0, 10.0)
    mark: float | None = None
    """Report the share of ratings at or above this, such as 5 for attacks that succeed."""
    dimensions: tuple[Dimension, ...] = ()
    turns: bool = False
    """Whether every turn of a conversation is rated; else the last one is."""


@dataclass(frozen=True)
class _Rated:
    """What one judgement is about: a turn, in one respect."""

    turn: int
    dimension: str

    @property
    def suffix(self) -> str:
        """How the id of its case ends."""
        return (f"#turn-{self.turn}" if self.turn else "") + (f"#{self.dimension}" if self.dimension else "")


def make(file: TaskFile, starter: bool, *, scaled: bool | None = None) -> Task:
    """The benchmark of such a file; where a scoring model rates, ratings are not ``scaled``."""
    if scaled is None:
        scaled = scores_of(file.judge_model or "") is None
    settings = _settings(file, scaled=scaled)
    low, high = settings.scale
    bounds = (low, high) if scaled else None
    share = Metric(name="share_at_mark", value_of=Covariate("at_mark"))
    metrics = (
        Metric(name="rating", unit="rating", bounds=bounds, value_of=single_row("rating")),
        *((share,) if settings.mark is not None else ()),
        *(_of_dimension(dimension, bounds) for dimension in settings.dimensions),
    )
    means = GroupedMeans(task=file.name, metrics=metrics, groups=partial(groups_of, file.keys.groups))
    texts = CaseTexts(
        answers=1,
        names={
            "lowest": "the least rating",
            "highest": "the greatest rating",
            "dimension": "the respect in which the answer is rated; empty if there is only one",
        },
        of=partial(_shown, settings),
        scale=bounds,
    )

    def load(fetch: Fetch) -> TaskData:
        data = TaskData(examples=read_examples(file, fetch, starter=starter), baselines={})
        return with_judge(file, task, data, texts, VerdictRule(read="rating", scale=settings.scale), fetch)

    task = Task(
        name=file.name,
        version=file.keys.version,
        options={},
        metrics=metrics,
        judge_models=judge_models(file),
        sampling=file.sampling,
        official_examples=file.official_examples,
        starter=starter,
        load=load,
        cases=partial(_cases, judge_name(file), settings),
        score=partial(_score, settings),
        groups=means.groups,
        summarise=partial(_summarise, settings, means),
        metric_sums=partial(_sums, settings, means),
        # A scoring model is told of no dimension, so it would say the same of each.
        on_rewards=None if settings.dimensions else partial(make, file, starter, scaled=False),
        repeats=True,
        folds_covariates=True,
        importers={
            "outputs": import_answers,
            "verdicts": partial(
                import_verdicts,
                case=partial(_case_of, settings),
                value=partial(_value_of, settings),
                judge=judge_name(file),
            ),
        },
        about=file.keys.about
        or f"How good a judge finds a model's answers{f', from {low:g} to {high:g}' if scaled else ''}.",
    )
    return task


def _settings(file: TaskFile, *, scaled: bool) -> Settings:
    settings = file.table(Settings)
    low, high = settings.scale
    names = [dimension.name for dimension in settings.dimensions]
    if not low < high:
        raise file.fault("rating.scale", f"[{low:g}, {high:g}] does not go from low to high")
    if scaled and settings.mark is not None and not low <= settings.mark <= high:
        raise file.fault("rating.mark", f"{settings.mark:g} is not on the scale from {low:g} to {high:g}")
    if len(set(names)) < len(names) or not all(name.replace("-", "").replace("_", "").isalnum() for name in names):
        raise file.fault("rating.dimensions", "have names of letters, digits, - and _, each its own")
    if not all(0 < dimension.weight < 1e9 for dimension in settings.dimensions):
        raise file.fault("rating.dimensions", "have weights above 0")
    return settings


def _of_dimension(dimension: Dimension, bounds: tuple[float, float] | None) -> Metric:
    name = dimension.name
    return Metric(name=f"rating_{name}", unit="rating", bounds=bounds, value_of=Covariate(name), shown=False)


def _shown(settings: Settings, case: Case) -> Mapping[str, str]:
    found = _parts(settings, case.example, case.id)
    about = next((one.about or one.name for one in settings.dimensions if one.name == found.dimension), "")
    return {"lowest": f"{settings.scale[0]:g}", "highest": f"{settings.scale[1]:g}", "dimension": about}


def _rated(settings: Settings, example: Example) -> list[_Rated]:
    """Everything about an example that gets a rating."""
    turns = range(1, len(example.followups) + 2) if settings.turns and example.followups else (0,)
    names = [dimension.name for dimension in settings.dimensions] or [""]
    return [_Rated(turn, name) for turn in turns for name in names]


def _parts(settings: Settings, example: Example, case_id: str) -> _Rated:
    return next(one for one in _rated(settings, example) if example.id + one.suffix == case_id)


def _cases(judge: str, settings: Settings, data: TaskData, generation: Generation) -> tuple[Case, ...]:
    example = data.by_id[generation.example_id]
    return tuple(
        Case(
            id=example.id + rated.suffix,
            judge=judge,
            example=example,
            answers=(Answer(model=generation.model, turns=generation.outputs[: rated.turn or None]),),
            turn=rated.turn or len(generation.outputs),
        )
        for rated in _rated(settings, example)
    )


def _score(
    settings: Settings, data: TaskData, generations: Generations, judgements: Iterable[Judgement]
) -> list[ExampleScore]:
    """The weighted mean of an example's ratings, which has no value until all of them are there."""
    judged = by_example(judgements)
    return [_row(settings, example, judged.get(example.id, ())) for example in data.examples]


def _row(settings: Settings, example: Example, judgements: Sequence[Judgement]) -> ExampleScore:
    values = {judgement.case_id: judgement.verdict.value for judgement in judgements}
    weights = {dimension.name: dimension.weight for dimension in settings.dimensions} or {"": 1.0}
    rated = _rated(settings, example)
    known = {one: value for one in rated if (value := values.get(example.id + one.suffix)) is not None}
    if len(known) < len(rated):
        return ExampleScore(example_id=example.id, metric="rating", value=None)

    def mean(chosen: Iterable[_Rated]) -> float:
        pairs = [(known[one], weights[one.dimension]) for one in chosen]
        return sum(value * weight for value, weight in pairs) / sum(weight for _, weight in pairs)

    by_name = {name: mean(one for one in rated if one.dimension == name) for name in weights if name}
    by_turn = {f"turn={turn}": mean(o for o in rated if o.turn == turn) for turn in {o.turn for o in rated} if turn}
    mark = settings.mark
    at_mark = {} if mark is None else {"at_mark": sum(v >= mark for v in known.values()) / len(known)}
    return ExampleScore(
        example_id=example.id, metric="rating", value=mean(rated), covariates={**at_mark, **by_name, **by_turn}
    )


def _turns(settings: Settings, examples: Sequence[Example]) -> list[str]:
    most = max((len(example.followups) for example in examples), default=0)
    return [f"turn={turn}" for turn in range(1, most + 2)] if settings.turns and most else []


def _summarise(settings: Settings, means: GroupedMeans, data: TaskData, rows: Sequence[ExampleScore]) -> list[Score]:
    """The means over all items, over those of each group, and of each turn."""
    scores, rating = means.scores(data, rows), means.metrics[0]
    for turn in _turns(settings, data.examples):
        own = [row for row in _of_turn(rows, turn) if row.value is not None]
        missing = len(data.examples) - len(own)
        if own:
            sums = rating.mean_sums(data.examples, own)
            scores.append(rating.score(means.task, sums, "mean", "items", n=len(own), n_missing=missing, group=turn))
        else:
            scores.append(rating.absent(means.task, "no example has a value", n_missing=missing, group=turn))
    return scores


def _sums(
    settings: Settings, means: GroupedMeans, examples: Sequence[Example], rows: Sequence[ExampleScore], fetch: Fetch
) -> MetricSums:
    sums, rating = dict(means.sums(examples, rows)), means.metrics[0]
    for turn in _turns(settings, examples):
        if (totals := rating.mean_sums(examples, _of_turn(rows, turn))).n:
            sums["rating", turn] = totals
    return sums


def _of_turn(rows: Iterable[ExampleScore], turn: str) -> list[ExampleScore]:
    read = Covariate(turn)
    return [msgspec.structs.replace(row, value=read([row])) for row in rows]


# -- verdicts that were made elsewhere


def _case_of(settings: Settings, example: Example, row: FileRow) -> tuple[str, int]:
    """The id of the case that a row is about, by its ``turn`` and ``dimension``, and the turn."""
    turn = 0 if row.value("turn") is None else count_of(row.number("turn"))
    dimension = "" if row.value("dimension") is None else row.text("dimension")
    for one in _rated(settings, example):
        if (one.turn, one.dimension) == (turn, dimension):
            return example.id + one.suffix, one.turn or len(example.followups) + 1
    known = ", ".join(
        " and ".join(filter(None, (f"turn {one.turn}" if one.turn else "", one.dimension))) or "neither"
        for one in _rated(settings, example)
    )
    raise row.error(f"'turn' and 'dimension' must say what was rated; there are: {known}")


def _value_of(settings: Settings, example: Example, row: FileRow, value: Any) -> Verdict:
    low, high = settings.scale
    number = row.number("value")
    if number is None or not low <= number <= high:
        raise row.error(f"'value' must be a rating from {low:g} to {high:g}, found {value!r:.40}")
    return Verdict(value=number)
