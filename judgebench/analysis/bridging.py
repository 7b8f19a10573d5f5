"""Makes judge bridges from runs of published models, and checks one against further runs.

``run.bridging`` applies a bridge to a run; ``bridge_plans`` says which models to judge for one.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from msgspec import Struct

from judgebench.analysis.official_tables import Numbers, OfficialTable, joined_vendors, official_table
from judgebench.analysis.published_verdicts import verdicts_of
from judgebench.codec import canonical_hash
from judgebench.data.sources import SourceFinder
from judgebench.display import shortened
from judgebench.errors import ModelError, UsageError
from judgebench.models.opening import model_name, parse_model
from judgebench.models.trained_by import NO_VENDORS, Vendors, base_vendor_of, vendor_of
from judgebench.models.vendors import today
from judgebench.records import ExampleScore
from judgebench.run.bridge_files import (
    Bridge,
    BridgeItems,
    BridgeJudge,
    BridgeMetric,
    BridgeModel,
    Drift,
    ModelNumbers,
    fitted_metric,
    vendors_refuse,
)
from judgebench.run.bridging import (
    JudgedRun,
    OfficialNumber,
    asked_items,
    bridge_protocol,
    drawn_items,
    predict,
    served_model,
)
from judgebench.run.manifests import lacking, package_versions
from judgebench.run.protocol import differing
from judgebench.run.reading import Run, TaskRun
from judgebench.stats.bridge import controlled_mean
from judgebench.task import Task
from judgebench.task.metric import Metric, by_example

DRIFT_ITEMS = 50
GAMED = re.compile(r"nullmodel|.*[-_]gamed", re.IGNORECASE)
VARIANT = re.compile(r".*_(concise|verbose)", re.IGNORECASE)
LEFT_OUT = {
    "vendor": "of a judge's vendor, while the judges' vendors differ",
    "no_official_number": "without an official number",
    "incomplete": "with too many answers or verdicts missing",
    "gamed": "made to please a judge",
    "variant": "variants of another model by their prompt",
    "baseline": "what the others are compared with",
    "not_pinned": "whose published answers are not pinned",
}
"""Which models a bridge leaves out, in words."""


@dataclass(frozen=True)
class JudgedModel:
    """A run that may become a model of the bridge."""

    run: Run
    task_run: TaskRun
    name: str
    """As the official table calls it, or else the run."""
    official: Mapping[str, float]

    @property
    def place(self) -> str:
        """The run folder, for messages."""
        return str(self.run.path)


def make_bridge(
    runs: Sequence[Run],
    task_name: str,
    official: str,
    finder: SourceFinder,
    *,
    metrics: Sequence[str] = (),
    vendors: Vendors = NO_VENDORS,
    items: int | None = None,
    name: str | None = None,
) -> Bridge:
    """The bridge from the judge of these runs to the official numbers of their models.

    Raises :class:`UsageError` if the runs were not all judged alike, or on other items than all (with ``items``: than
    the random part of that size that bridges draw), or if no model has an official number.
    """
    chosen = [(run, _task_of(run, task_name)) for run in runs]
    if not chosen:
        raise UsageError("a bridge is made of runs; name the run folders of the bridge models")
    task_run = chosen[0][1]
    task = task_run.task
    _require_alike(chosen)
    table = official_table(official, task, vendors)
    wanted = [task.metric(metric) for metric in _metrics(task, table, metrics, part=items is not None)]
    judged = _named(chosen, table)
    population = _population(task_run, task, finder, items)
    judge = _judge(task_run, vendors)
    baselines = _baselines(task_run, finder)
    models = tuple(_model(one, judge, table, baselines, vendors) for one in judged)
    made = {
        metric.name: _bridge_metric(metric, judged, models, population, _official_verdicts(task, metric, table))
        for metric in wanted
    }
    return Bridge(
        name=name or default_name(task, judge, table),
        created=today(),
        judgebench=package_versions().get("judgebench", "unknown"),
        task=task.name,
        task_version=task.version,
        options=dict(task_run.task_manifest.options),
        official=table.about,
        judge=judge,
        items=_items(task_run, population, items),
        models=models,
        metrics=made,
        drift=_drift(task, judged, models, table, wanted),
    )


def default_name(task: Task, judge: BridgeJudge, table: OfficialTable) -> str:
    """What a bridge is called if the user does not say: by the judges' prompts if both are one model."""
    if judge.shown == table.about.judge and judge.told.judges:
        return f"{task.name}-{'+'.join(map(_short, judge.told.judges))}-to-official"
    named = [model_name(parse_model(spec)[0]) for spec in judge.spec.split(", ") if spec] or judge.identity.split(", ")
    return f"{task.name}-{'+'.join(map(_short, named))}-to-{_short(table.about.judge)}"


def _short(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", name.rpartition("/")[2])[:60].strip("-") or "judge"


def _task_of(run: Run, name: str) -> TaskRun:
    """The task of a run that the user names."""
    bare = name.partition(":")[0]
    found = [task_run for task_run in run.tasks.values() if {name, bare} & set(task_run.names)]
    if len(found) != 1:
        raise UsageError(
            f"{run.path} holds no task {shortened(name, 80)}; it holds "
            f"{', '.join(shortened(one.task_manifest.label, 80) for one in run.tasks.values()) or 'none'}"
        )
    return found[0]


def _require_alike(chosen: Sequence[tuple[Run, TaskRun]]) -> None:
    """Raise :class:`UsageError`, which names the fields, if two runs were not judged alike."""
    (first_run, first), *others = chosen
    base = first.task_manifest
    if base.starter:
        raise UsageError(
            f"{first_run.path} is a run on the starter set, whose numbers compare with nothing; judge the models' "
            "answers on the whole benchmark"
        )
    if part := next((name for name in ("stop_when", "cascade") if name in base.protocol), None):
        raise UsageError(
            f"{first_run.path} has estimates from a part of the verdicts ({part}), whose errors a bridge cannot "
            "know; judge all items with one judge, or the random part that --items names"
        )
    if "reported_by" in base.protocol:
        raise UsageError(f"{first_run.path} holds numbers that another program reports, and no verdicts")
    served = {name: first_run for name in [served_model(base)] if name}
    for run, task_run in others:
        fields = differing(_comparable(base.protocol), _comparable(task_run.task_manifest.protocol))
        name = served_model(task_run.task_manifest)
        if name:
            served.setdefault(name, run)
        if fields or len(served) > 1:
            told = ", ".join(fields[:6]) or f"served_model ({' and '.join(map(repr, served))[:200]})"
            raise UsageError(
                f"a bridge is of runs of one protocol, and {run.path} differs from {first_run.path} in {told}; judge "
                "all bridge models with the same judge, prompt, options and items"
            )


def _comparable(protocol: Mapping[str, Any]) -> dict[str, Any]:
    return {**bridge_protocol(protocol), "examples": protocol.get("examples")}


def _named(chosen: Sequence[tuple[Run, TaskRun]], table: OfficialTable) -> list[JudgedModel]:
    """The runs under the names that the official table has for their models, each once."""
    found: dict[str, JudgedModel] = {}
    for run, task_run in chosen:
        own = run.manifest.candidate, run.manifest.shown_name
        name, numbers = table.of(*own) or (own[1], {})
        if name in found:
            raise UsageError(
                f"{found[name].place} and {run.path} are both of the model {shortened(name, 80)}; leave one out, or "
                "name it by `eval --name` as the official table names it"
            )
        found[name] = JudgedModel(run, task_run, name, numbers)
    if not any(one.official for one in found.values()):
        named = ", ".join(shortened(name, 60) for name in list(found)[:5])
        like = ", ".join(list(table.numbers)[:3])
        raise UsageError(
            f"none of the runs' models has an official number: they are called {named}, and the table has names like "
            f"{like}. Name the runs as the table names their models (`eval --name`)"
        )
    return list(found.values())


def _population(task_run: TaskRun, task: Task, finder: SourceFinder, items: int | None) -> tuple[str, ...]:
    """The ids of all items of the benchmark, if a part was judged; else none are needed.

    Raises :class:`UsageError` if the run is on other items than the bridge is to be of.
    """
    manifest = task_run.task_manifest
    total, ids_hash = asked_items(manifest.protocol)
    if items is None:
        if manifest.selection is not None or (task.official_examples not in (None, total) and manifest.code is None):
            raise UsageError(
                f"{task_run.run} is on {manifest.selection or f'{total} of {task.official_examples} examples'}, and "
                "official numbers are of all. Judge all, or the random part that a bridge draws: `judgebench bridge "
                "make --plan N --items K` writes its ids"
            )
        return ()
    population = tuple(_all_items(task_run, finder))
    drawn = drawn_items(population, 0)[:items]
    if items >= len(population):
        raise UsageError(f"--items {items}: {task.label} has {len(population)} items; leave --items out to use all")
    if canonical_hash(sorted(drawn)) != ids_hash:
        raise UsageError(
            f"{task_run.run} is on {total} items that are not the {items} which bridges of {task.label} draw at "
            f"random; evaluate with --ids on those that `judgebench bridge make --plan N --items {items}` writes"
        )
    return population


def _items(task_run: TaskRun, population: Sequence[str], k: int | None) -> BridgeItems:
    """What the bridge's numbers are of: all items of the runs, or of the benchmark, of which k were judged."""
    if k is None:
        n, ids_hash = asked_items(task_run.task_manifest.protocol)
        return BridgeItems(n=n, ids_hash=ids_hash)
    drawn = tuple(drawn_items(population, 0)[:k])
    return BridgeItems(n=len(population), ids_hash=canonical_hash(sorted(population)), k=k, ids=drawn)


def _judge(task_run: TaskRun, vendors: Vendors) -> BridgeJudge:
    """Who judged the runs, and how."""
    manifest = task_run.task_manifest
    protocol = bridge_protocol(manifest.protocol)
    names = [model_name(parse_model(spec)[0]) for spec in manifest.judge_models]
    played: list[str] = []
    for panel in protocol.get("judges", {}).values():
        seats = panel.get("jury", [panel])
        played += [str(seat.get("model")) for seat in seats if isinstance(seat, dict)]
    if not played:
        raise UsageError(f"the answers of {task_run.run} were verified, not judged: no judge changes their numbers")
    return BridgeJudge(
        spec=", ".join(manifest.judge_models),
        identity=", ".join(dict.fromkeys(played)),
        served_model=served_model(manifest),
        vendor=joined_vendors([*names, *played], vendors),
        protocol=protocol,
        protocol_hash=canonical_hash(protocol),
    )


def _baselines(task_run: TaskRun, finder: SourceFinder) -> frozenset[str]:
    """Names of the models that the others are compared with, as far as the official files are at hand."""
    try:
        return frozenset(task_run.load_whole(finder).baselines)
    except (UsageError, ModelError):
        return frozenset()


def _model(
    one: JudgedModel, judge: BridgeJudge, table: OfficialTable, baselines: Collection[str], vendors: Vendors
) -> BridgeModel:
    """A model of the bridge, included or with the reason why not."""
    vendor, manifest = vendor_of(one.name, vendors), one.task_run.task_manifest
    counts = manifest.counts
    n, missing = _judged_and_missing(one.task_run)
    reason = left_out(one.name, vendor, judge.vendor, table.about.vendor, baselines)
    if not one.official:
        reason = "no_official_number"
    elif lacking(counts):
        reason = reason or "incomplete"
    return BridgeModel(
        name=one.name,
        vendor=vendor,
        base_vendor=base_vendor_of(one.name, vendors),
        run_id=one.run.manifest.run_id or None,
        answers_hash=one.run.manifest.candidate_identity or None,
        included=reason is None,
        reason=reason,
        n_judged=n,
        n_missing=missing,
    )


def left_out(
    name: str, vendor: str | None, judge_vendor: str | None, official_vendor: str | None, baselines: Collection[str]
) -> str | None:
    """Why a published model is no bridge model, as a key of ``LEFT_OUT``; ``None`` if it may be one."""
    if name in baselines:
        return "baseline"
    if GAMED.fullmatch(name):
        return "gamed"
    if VARIANT.fullmatch(name):
        return "variant"
    return "vendor" if vendors_refuse(vendor, judge_vendor, official_vendor) else None


def _judged_and_missing(task_run: TaskRun) -> tuple[int, int]:
    """Items with and without a verdict: those of the score that misses most."""
    scores = [score for score in task_run.overall.values() if score.value is not None]
    worst = max(scores, key=lambda score: score.n_missing, default=None)
    return (worst.n, worst.n_missing) if worst else (0, task_run.task_manifest.examples)


def _metrics(task: Task, table: OfficialTable, given: Sequence[str], *, part: bool) -> list[str]:
    """The metrics to make a bridge of: those that the user names, or all that can have one."""
    published = {name for numbers in table.numbers.values() for name in numbers}
    for name in given:
        why = _unfit(task.metric(name), part=part) if name in {metric.name for metric in task.metrics} else "is unknown"
        if name not in published:
            why = why or f"has no official numbers (there are those of {', '.join(sorted(published))})"
        if why:
            raise UsageError(f"--metric {shortened(name, 80)}: it {why}")
    able = [
        metric.name
        for metric in task.metrics
        if metric.shown and metric.name in published and _unfit(metric, part=part) is None
    ]
    if not (given or able):
        raise UsageError(
            f"no metric of {task.label} can have a bridge{' from a part of the items' if part else ''}: its official "
            f"numbers are of {', '.join(sorted(published))}"
        )
    return list(dict.fromkeys(given)) or able


def _unfit(metric: Metric, *, part: bool) -> str | None:
    """Why there is no bridge of a metric; ``None`` if there may be one."""
    if metric.direction == "none":
        return "is neither better nor worse when it is higher, so no judge decides it"
    if metric.limits is None:
        return "has no least and greatest value, so it has no logit"
    if metric.needs_table is not None:
        return f"cannot be had from a run alone: {metric.needs_table}"
    if part and not metric.is_mean:
        return "is no plain mean of the items, so a part of them does not give it; judge all items"
    return None


def _bridge_metric(
    metric: Metric,
    judged: Sequence[JudgedModel],
    models: Sequence[BridgeModel],
    population: Sequence[str],
    verdicts: Numbers,
) -> BridgeMetric:
    numbers: dict[str, ModelNumbers] = {}
    for one in judged:
        if metric.name not in one.official:
            continue
        judged_number = _of_part(metric, one, population, verdicts) if population else _of_all(metric, one)
        if judged_number is not None:
            value, stderr = judged_number
            numbers[one.name] = ModelNumbers(judged=value, judged_stderr=stderr, official=one.official[metric.name])
    assert metric.limits is not None
    try:
        return fitted_metric(metric.unit, metric.limits, numbers, models)
    except ValueError as error:
        raise UsageError(
            f"no bridge of {metric.name} can be made: {error}. Official numbers must be in the unit of ours "
            f"({metric.unit}, {metric.limits[0]:g} to {metric.limits[1]:g})"
        ) from error


def _of_all(metric: Metric, one: JudgedModel) -> tuple[float, float] | None:
    """A run's number, judged on all items."""
    score = one.task_run.overall.get(metric.name)
    return None if score is None or score.value is None else (score.value, 0.0)


def _official_verdicts(task: Task, metric: Metric, table: OfficialTable) -> Numbers:
    """The official judge's verdicts by model and item, in the metric's unit, as far as they are known here."""
    file = verdicts_of(f"{task.name}@{task.version}") if metric.is_mean else None
    if file is None or file.judge != table.about.judge:
        return {}
    found: dict[str, dict[str, float]] = {}
    for model, own in file.models.items():
        rows = zip(file.items, own.values, strict=True)
        values = metric.values([ExampleScore(example_id=item, metric=file.metric, value=value) for item, value in rows])
        found[model] = {item: metric.scale * value for item, value in values.items() if value is not None}
    return found


def _of_part(
    metric: Metric, one: JudgedModel, population: Sequence[str], verdicts: Numbers
) -> tuple[float, float] | None:
    """A run's number on all items, from a random part; official verdicts of the items say which part was drawn."""
    values = metric.values(one.task_run.example_scores())
    mine = {item: metric.scale * value for item, value in values.items() if value is not None}
    official = verdicts.get(one.name, {})
    known = official if set(population) <= set(official) else dict.fromkeys(population, 0.0)
    rest = [known[item] for item in population if item not in mine]
    found = controlled_mean(list(mine.values()), [known[item] for item in mine], rest)
    return None if found.value is None or found.stderr is None else (found.value, found.stderr)


# -- drift


def item_verdicts(task: Task, rows: Sequence[ExampleScore]) -> dict[str, float]:
    """The judge's verdict on each item: the candidate's share of the win, or a grade."""
    means = [metric for metric in task.metrics if metric.is_mean and metric.limits and metric.direction == "higher"]
    for metric in means:
        found = {item: value for item, value in metric.values(rows).items() if value is not None}
        if found:
            return found
    verdicts = {}
    for item, own in by_example(rows).items():
        first = [row.value for row in own if row.metric == own[0].metric and row.value is not None]
        if first:
            verdicts[item] = float(np.mean(first))
    return verdicts


def _drift(
    task: Task,
    judged: Sequence[JudgedModel],
    models: Sequence[BridgeModel],
    table: OfficialTable,
    wanted: Sequence[Metric],
) -> Drift | None:
    """The items by which a change of the judge is noticed: random ones of the middle model, where much is open."""
    included = {model.name for model in models if model.included}
    able = [one for one in judged if one.name in included and wanted[0].name in one.official]
    if not able:
        return None
    middle = float(np.median([one.official[wanted[0].name] for one in able]))
    one = min(able, key=lambda one: (abs(one.official[wanted[0].name] - middle), one.name))
    try:
        known = item_verdicts(task, one.task_run.example_scores())
    except UsageError:  # numbers without verdicts, which nobody can ask for again
        return None
    items = tuple(drawn_items(known, 0)[:DRIFT_ITEMS])
    verdicts = tuple(float(known[item]) for item in items)
    if len(items) < 2:
        return None
    return Drift(model=one.name, items=items, verdicts=verdicts, verdicts_hash=canonical_hash(verdicts))


# -- checks


class CheckedRun(Struct, frozen=True, kw_only=True):
    """A model with a published official number, as the bridge predicts it."""

    model: str
    metric: str
    judged: float | None
    predicted: float | None
    low: float | None
    high: float | None
    level: float
    official: float | None
    inside: bool | None
    """Whether the official number lies in the interval; ``None`` if one of them is missing."""
    of_bridge: bool
    """Whether the bridge stands on this model, and so is no evidence: it is predicted by the others then."""
    reasons: tuple[str, ...]
    marks: tuple[str, ...]


def check_runs(
    bridge: Bridge,
    runs: Sequence[Run],
    official: str,
    finder: SourceFinder,
    *,
    level: float = 0.95,
    force: bool = False,
) -> list[CheckedRun]:
    """Predict runs whose models have official numbers. Raises :class:`UsageError` for a run of another protocol."""
    found = []
    for run in runs:
        task_run = _task_of(run, bridge.label)
        table = official_table(official, task_run.task)
        own = run.manifest.candidate, run.manifest.shown_name
        name, numbers = table.of(*own) or (own[1], {})
        judged = JudgedRun.of(run, task_run, partial(_all_items, task_run, finder))
        for metric in bridge.metric_names:
            number = predict(bridge, judged, metric=metric, level=level, force=force)
            found.append(_checked(name, number, numbers.get(metric)))
    return found


def _all_items(task_run: TaskRun, finder: SourceFinder) -> list[str]:
    """The ids of the whole benchmark, of which a run may be on a random part."""
    return [example.id for example in task_run.load_whole(finder).examples]


def _checked(name: str, number: OfficialNumber, official: float | None) -> CheckedRun:
    """A prediction beside the official number; of a bridge model the prediction by the others."""
    made, prediction = number.bridge.metrics[number.metric], number.prediction
    if name in made.numbers:
        official = made.numbers[name].official
    left = next((left for left in made.loo if left.model == name), None)
    value, ends = prediction.value, prediction.interval and (prediction.interval.low, prediction.interval.high)
    if left is not None and value is not None:
        value, ends = left.predicted, (left.low95, left.high95)
    return CheckedRun(
        model=name,
        metric=number.metric,
        judged=number.judged,
        predicted=value,
        low=ends[0] if ends else None,
        high=ends[1] if ends else None,
        level=0.95 if left else number.level,
        official=official,
        inside=ends[0] <= official <= ends[1] if ends and official is not None else None,
        of_bridge=left is not None,
        reasons=prediction.reasons,
        marks=prediction.marks,
    )
