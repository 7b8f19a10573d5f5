"""Which published models to judge for a bridge, and what that takes. Nothing is sent."""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from judgebench import tasks
from judgebench.analysis.bridging import left_out
from judgebench.analysis.official_tables import OfficialTable, joined_vendors, official_table
from judgebench.data.sources import read_outputs
from judgebench.errors import UsageError
from judgebench.models.opening import model_name, parse_model, shutdown_of
from judgebench.models.trained_by import NO_VENDORS, Vendors, vendor_of
from judgebench.run.bridging import drawn_items
from judgebench.run.dry_run import Stage, estimate
from judgebench.run.loading import LoadedTask, load_task, source_finder
from judgebench.run.settings import Settings
from judgebench.stats.bridge import spread_models
from judgebench.stats.bridge_rules import LEAST_MODELS, WEAK_MODELS
from judgebench.task import Task

STAND_IN = "builtin:tiny"
"""A candidate that costs nothing: only the judge's calls are counted."""


class PlannedModel(Struct, frozen=True, kw_only=True):
    """A model to judge."""

    name: str
    vendor: str | None
    official: float
    pinned: bool
    """Whether its published answers can be fetched by judgebench."""


class BridgePlan(Struct, frozen=True, kw_only=True):
    """What a bridge would be made of."""

    task: str
    spec: str
    """The task as the user named it, with its options: what the commands that follow take."""
    metric: str
    """By whose official numbers the models are spread."""
    official_judge: str
    official_vendor: str | None
    judge: str | None
    judge_vendor: str | None
    models: tuple[PlannedModel, ...]
    candidates: int
    """How many models there are to choose from."""
    left_out: dict[str, int]
    """How many others there are, by the reason why they cannot be chosen."""
    items: int
    """Items to judge of each model."""
    of_items: int
    calls: int
    usd_low: float | None
    usd_likely: float | None
    usd_high: float | None
    """These three are null if the judge's price is unknown."""
    notes: tuple[str, ...]


def plan_bridge(
    settings: Settings,
    official: str,
    count: int,
    *,
    metric: str | None = None,
    vendors: Vendors = NO_VENDORS,
    items: int | None = None,
    ids: Path | None = None,
) -> BridgePlan:
    """Choose ``count`` models, spread over the official range, for the judge and task of the settings.

    ``ids`` is a file for the ids of the ``items`` to judge. Raises :class:`UsageError` if there are not so many models.
    """
    (spec,) = tasks.parse_specs(settings.tasks)
    loaded_task = load_task(spec, source_finder(settings), starter=False)
    table = official_table(official, loaded_task.task, vendors)
    name = _metric(loaded_task.task, table, metric)
    asked = settings.judges or _own_judges(loaded_task.task)
    judges = [model_name(parse_model(text, settings.judge_args)[0]) for text in asked]
    judge_vendor = joined_vendors(judges, vendors)
    pinned = read_outputs(loaded_task.folder)
    able, others = _candidates(loaded_task, table, name, judge_vendor, vendors, sorted(pinned))
    if not 1 <= count <= len(able):
        raise UsageError(
            f"--plan {count}: {len(able)} models of the table of {loaded_task.task.label} can be bridge models"
            f"{', because only their published answers are pinned' if pinned else ''}"
            f"{_listed(others)}; plan at most {len(able)}, and add others whose answers you have as files"
        )
    stderrs = [table.stderrs.get(model, {}).get(name, 0.0) for model in able]
    places = spread_models([table.numbers[model][name] for model in able], count, official_stderr=stderrs)
    stage = judging_calls(settings)
    n, total = stage.examples if items is None else items, stage.examples
    if not 1 <= n <= total:
        raise UsageError(f"--items {n}: {loaded_task.task.label} has {total} items; judge from 1 to all of them")
    if ids is not None:
        chosen = drawn_items((example.id for example in loaded_task.data.examples), 0)[:n]
        ids.write_text("".join(f"{item}\n" for item in chosen), encoding="utf-8")
    share = count * n / total
    return BridgePlan(
        task=loaded_task.task.label,
        spec=_with_version(spec, loaded_task.task),
        metric=name,
        official_judge=table.about.judge,
        official_vendor=table.about.vendor,
        judge=", ".join(asked) or None,
        judge_vendor=judge_vendor,
        models=tuple(
            PlannedModel(
                name=able[place],
                vendor=vendor_of(able[place], vendors),
                official=table.numbers[able[place]][name],
                pinned=able[place] in pinned,
            )
            for place in places
        ),
        candidates=len(able),
        left_out=others,
        items=n,
        of_items=total,
        calls=round(stage.calls * share),
        usd_low=None if stage.usd_low is None else stage.usd_low * share,
        usd_likely=None if stage.usd_likely is None else stage.usd_likely * share,
        usd_high=None if stage.usd_high is None else stage.usd_high * share,
        notes=tuple(_notes(loaded_task.task, count, named=bool(asked), pinned=bool(pinned))),
    )


def _metric(task: Task, table: OfficialTable, given: str | None) -> str:
    """The metric by which models are spread: the headline, as far as it is published."""
    published = {name for numbers in table.numbers.values() for name in numbers}
    wanted = (given,) if given else task.headline
    found = next((name for name in wanted if name in published), None)
    if found is None:
        raise UsageError(
            f"the official table has no {' and no '.join(wanted)} of {task.label}; it has "
            f"{', '.join(sorted(published)) or 'no metric'}"
        )
    return found


def _candidates(
    loaded_task: LoadedTask,
    table: OfficialTable,
    metric: str,
    judge_vendor: str | None,
    vendors: Vendors,
    pinned: Sequence[str],
) -> tuple[list[str], dict[str, int]]:
    """The models to choose from, by name, and how many others there are by reason."""
    able, others = [], dict[str, int]()
    for name in sorted(table.numbers):
        reason = left_out(name, vendor_of(name, vendors), judge_vendor, table.about.vendor, loaded_task.data.baselines)
        if reason is None and metric not in table.numbers[name]:
            reason = "no_official_number"
        if reason is None and pinned and name not in pinned:
            reason = "not_pinned"
        if reason is None:
            able.append(name)
        else:
            others[reason] = others.get(reason, 0) + 1
    return able, others


def _listed(others: dict[str, int]) -> str:
    return f" ({', '.join(f'{count} {reason}' for reason, count in others.items())})" if others else ""


def judging_calls(settings: Settings) -> Stage:
    """What judging one model takes: a dry run whose answers are as long as the baseline's."""
    from dataclasses import replace

    stages = estimate([replace(settings, model=STAND_IN)]).stages
    return next(stage for stage in stages if stage.stage == "judge")


def _own_judges(task: Task) -> tuple[str, ...]:
    """The task's own judges, chosen by its options or by default, if they are served."""
    own = tuple(dict.fromkeys(task.judge_models.values()))
    ends = [shutdown_of(*parse_model(text)) for text in own]
    return () if any(end is not None and end.over for end in ends) else own


def _with_version(spec: tasks.TaskSpec, task: Task) -> str:
    """The task with its version and the user's options, as commands take it."""
    return spec.text if tasks.is_file(spec.name) else replace(spec, version=task.version).text


def _notes(task: Task, count: int, *, named: bool, pinned: bool) -> list[str]:
    found = []
    if count < LEAST_MODELS:
        found.append(f"a bridge of fewer than {LEAST_MODELS} models is refused")
    elif count < WEAK_MODELS:
        found.append(f"a bridge of fewer than {WEAK_MODELS} models is weak; {WEAK_MODELS} are advised, 12 are good")
    if not named:
        own = ", ".join(sorted(set(task.judge_models.values())))
        found.append(
            f"the USD are those of {own}, which is served no longer, and it is not known whose models to leave out: "
            "name a judge of today with --judge (`judgebench judges list --models`)"
        )
    if not pinned:
        found.append("no published answers are pinned for this task: get them from upstream, and judge them as file:…")
    return found
