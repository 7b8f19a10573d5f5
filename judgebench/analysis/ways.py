"""Ways to a number that one can trust, for a wanted width: a bridge, a cascade, the dear judge alone, or labels.

Each says how many judge calls, labels and USD it takes, and what its number is. They are not the same number: a bridge
predicts what the official judge would give, a cascade estimates what a dear judge of today would say of all examples,
and labels estimate what people would say. A cascade that takes no less than the dear judge on all examples is out.
Nothing is sent.
"""

import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import stdev
from typing import Literal

import msgspec
from msgspec import Struct

from judgebench import tasks
from judgebench.analysis.bridge_plans import judging_calls
from judgebench.analysis.label_sample import ASSUMED_AGREEMENT, QUANTILE, expected_width, require_agreement
from judgebench.analysis.leaderboard import known_task
from judgebench.analysis.official_tables import official_table
from judgebench.analysis.published import unlike_published
from judgebench.display import dollars, percent, rough, shortened
from judgebench.errors import ModelError, UsageError
from judgebench.models.opening import is_here, model_name, parse_model, shutdown_of, unlisted
from judgebench.models.opening.backends import BUILTINS
from judgebench.run.bridge_files import Bridge, BridgeMetric, fit_metric, read_bridge
from judgebench.run.bridging import OtherProtocol, unlike
from judgebench.run.dry_run import Stage
from judgebench.run.labels import labelled_metric
from judgebench.run.loading import load_task, source_finder
from judgebench.run.reading import Run, TaskRun, read_run
from judgebench.run.run_tasks import NO_FILES
from judgebench.run.seats import alternatives
from judgebench.run.settings import Settings
from judgebench.stats.bridge import forecast_half_width
from judgebench.stats.bridge_rules import WEAK_MODELS
from judgebench.stats.cascade import FEW, required_dear
from judgebench.task import Task
from judgebench.task.metric import Metric

ASSUMED_TAU = 0.2
"""How far two judges differ about a model, on the logit scale, if no bridge says: real ones ran from 0.09 to 0.41."""
ASSUMED_GAIN = {True: 1.7, False: 3.2}
"""What a cheap judge is worth for wins, and else, if no cascade says: AlpacaEval's and WildBench's real judges."""
MOST_MODELS = 60

Kind = Literal["bridge", "cascade", "dear", "labels"]
Population = Literal["these examples", "examples like these"]


class Way(Struct, frozen=True, kw_only=True):
    """One way to a number, and what it takes."""

    kind: Kind
    gives: str
    """What its number is."""
    possible: bool
    """Whether it reaches the width."""
    half_width: float | None = None
    """Half the width of its 95 % interval, in the metric's unit."""
    interval_of: Population = "these examples"
    """What its interval is about: the number over these very examples, or also the drawing of them."""
    models: int | None = None
    """Of a bridge: published models to judge first."""
    judge_calls: int | None = None
    dear_calls: int | None = None
    """Of a cascade: those among ``judge_calls`` that the dear judge gets."""
    labels: int | None = None
    usd: float | None = None
    """Likely; null if a price is unknown."""
    assumed: tuple[str, ...] = ()
    """What it rests on."""
    reason: str | None = None
    """Why it does not reach the width, or cannot be planned."""


class Ways(Struct, frozen=True, kw_only=True):
    """All the ways to a number of this width."""

    task: str
    metric: str
    unit: str
    wanted: float
    """Half the width of a 95 % interval, in the unit."""
    examples: int
    judge: str
    judge_chosen: str
    """Why the judge of today is the one that is planned with; empty if the user named it, or it is not asked."""
    judged: bool
    """Whether the run holds the judge's verdicts on all examples already."""
    ways: tuple[Way, ...]
    cheapest: Kind | None
    """The one that reaches the width for the least USD; null if none does or has a price, or several cost nothing."""
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a user wants to know, and how surely."""

    task: str
    half_width: float
    metric: str | None = None
    run: Path | None = None
    """A run of the new model, or of one like it."""
    judge: tuple[str, ...] = ()
    """The judge of today; by default that of the run, or the first of the task's that is served."""
    dear: str | None = None
    """By default that of the run, if it is a cascade."""
    bridge: Path | None = None
    usd_per_label: float | None = None
    agreement: float | None = None


@dataclass(frozen=True)
class _Situation:
    """What is there to plan with."""

    need: Need
    task: Task
    metric: Metric
    examples: int
    shares: Mapping[str, float] | None
    """The judge's values by example, of the run."""
    value: float | None
    """The run's number."""
    stored: TaskRun | None
    ready: tuple[Bridge, BridgeMetric] | None
    """The bridge that is there, and the metric in it."""
    judge: tuple[str, ...]
    judge_chosen: str
    """Why it is this one; empty if the user named it."""
    judges: Collection[str]
    """The names of the task's judges."""
    judged: bool
    """Whether the run has the judge's verdicts on all examples."""
    official: bool
    """Whether the run was judged as the published rows were, by the official judge."""
    bridged: bool
    """Whether the run was judged as the models of the bridge that is there."""
    unfit: str
    """Why that bridge would predict no run of the judge; empty if it would."""
    cost: Callable[[tuple[str, ...]], Stage]
    """What a judge takes for all examples of a model."""


def ways_to(need: Need, settings: Settings) -> Ways:
    """Plan all the ways. Raises :class:`UsageError` for a task, run, judge or bridge that cannot be planned with."""
    found = _situation(need, settings)
    dear = _dear_alone(found)
    ways = (_bridge(found), _cascade(found, dear), *([] if dear is None else [dear]), _labels(found))
    priced = [way for way in ways if way.possible and way.usd is not None]
    best = min(priced, key=lambda way: way.usd or 0.0, default=None)
    if len([way for way in priced if not way.usd]) > 1:
        best = None  # time on this machine decides, or people's, and neither is known
    return Ways(
        task=found.task.label,
        metric=found.metric.name,
        unit=found.metric.unit,
        wanted=need.half_width,
        examples=found.examples,
        judge=found.ready[0].judge_shown
        if found.ready and found.bridged
        else _told_apart(", ".join(found.judge), found.judges, found),
        judge_chosen=found.judge_chosen if _asks(found) and not found.judged else "",
        judged=found.judged or found.bridged,
        ways=ways,
        cheapest=None if best is None else best.kind,
        notes=tuple(_notes(found, ways)),
    )


def width_text(width: float, wanted: float) -> str:
    """Write half a width with three digits, or so many that it does not look as narrow as the wanted one if it is not.

    >>> width_text(10.1234, 10), width_text(10.0001, 10), width_text(9.9999, 10)
    ('10.1', '10.0001', '10')
    """
    texts = (f"{width:.{digits}g}" for digits in range(3, 18))
    return next(text for text in texts if (float(text) <= wanted) == (width <= wanted))


# -- what is there


def _situation(need: Need, settings: Settings) -> _Situation:
    specs = tasks.parse_specs(need.task)
    if len(specs) != 1:
        raise UsageError(f"--task {need.task}: plan for one task at a time")
    # What the user got wrong is said before the official files are wanted.
    task, _ = tasks.load(specs[0])
    if "judged" not in task.verdicts:
        raise _verified(task)
    name = need.metric or task.headline[0]
    if not any(metric.name == name for metric in task.metrics):
        raise UsageError(f"--metric {name}: {task.label} has {', '.join(metric.name for metric in task.metrics)}")
    metric = task.metric(name)
    _require_width(need.half_width, metric)
    if need.agreement is not None:
        require_agreement(need.agreement)
    run = None if need.run is None else _run(need.run, task, specs[0])
    stored = None if run is None else run.tasks[task.name]
    ready = None if need.bridge is None else _ready(need.bridge, task, metric)
    judge, chosen = _chosen_judge(need, ready, task, stored)
    if need.dear is None and (own := _dear_of(stored)) not in judge:
        need = replace(need, dear=own)
    for text in judge:
        _require_usable("--judge", text, task)
    if need.dear is not None:
        _require_usable("--cascade", need.dear, task)
        if parse_model(need.dear)[0] in [parse_model(text)[0] for text in judge]:
            raise UsageError(
                f"--cascade {need.dear} is the judge of all examples, too; name two different models, the cheap one "
                "with --judge"
            )
    loaded = load_task(specs[0], source_finder(settings), starter=False)
    task, examples = loaded.task, len(loaded.data.examples)
    if not loaded.data.judges:
        raise _verified(task)
    score = stored.overall.get(name) if stored else None

    def cost(judges: tuple[str, ...]) -> Stage:
        stage = judging_calls(replace(settings, tasks=need.task, judges=judges))
        if all(is_here(parse_model(text)[0]) for text in judges):
            return stage
        return msgspec.structs.replace(stage, usd_low=None, usd_likely=None, usd_high=None)

    def whole() -> Sequence[str]:
        return [example.id for example in loaded.data.examples]

    apart = unlike(ready[0], stored.task_manifest, whole) if ready and stored else ["no run"]
    bridged = not apart
    return _Situation(
        need=need,
        task=task,
        metric=metric,
        examples=examples,
        shares=_values(stored, metric) if stored else None,
        value=None if score is None else score.value,
        stored=stored,
        ready=ready,
        judge=judge,
        judge_chosen=chosen,
        judges=tuple(loaded.data.judges),
        judged=_has_judged(judge, stored, loaded.data.judges, examples),
        official=run is not None and _officially_judged(run, task),
        bridged=bridged,
        unfit=""
        if ready is None or bridged
        else _unfit(
            ready[0], need, apart, replace(settings, tasks=need.task, judges=judge, bridge=(str(need.bridge),))
        ),
        cost=cost,
    )


def _verified(task: Task) -> UsageError:
    return UsageError(f"the answers to {task.label} are verified, not judged: there is no judge to bridge or replace")


def _require_width(half_width: float, metric: Metric) -> None:
    if not 0 < half_width < float("inf"):
        raise UsageError(f"--half-width {half_width:g}: half the width of an interval must be above 0")
    if half_width >= metric.span / 2:
        low, high = metric.limits or (0.0, metric.span)
        raise UsageError(
            f"--half-width {half_width:g}: {metric.name} lies between {low:g} and {high:g}, so an interval of plus or "
            f"minus {half_width:g} says nothing; half its width must be below {metric.span / 2:g}"
        )


def _ready(path: Path, task: Task, metric: Metric) -> tuple[Bridge, BridgeMetric]:
    """A bridge that is there and its part about the metric."""
    bridge = read_bridge(path)
    found = bridge.metrics.get(metric.name)
    if found is None or bridge.task != task.name:
        raise UsageError(
            f"--bridge {path} is about {', '.join(bridge.metric_names)} of {bridge.label}, not about "
            f"{metric.name} of {task.label}"
        )
    return bridge, found


def _unfit(bridge: Bridge, need: Need, apart: Sequence[str], settings: Settings) -> str:
    """Why a bridge would predict no run by the judges of the settings, as ``eval`` would say; empty if it would.

    ``apart`` are the fields in which the run that is there differs.
    """
    of = f"the bridge {bridge.name} is only for runs that {shortened(bridge.judge_shown, 80)} judged"
    if bridge.judge.retired:
        if need.run is not None:
            return f"{of}, which is served no longer; {need.run} differs in {', '.join(apart[:6])}"
        command = f"judgebench score RUN --bridge {shlex.quote(str(need.bridge))}"
        return f"{of}, which is served no longer; `{command}` predicts such a run"
    try:
        judging_calls(settings)
    except OtherProtocol as error:
        return f"{of}; with {', '.join(settings.judges)} it differs in {error.differences}"
    return ""


def _chosen_judge(
    need: Need, ready: tuple[Bridge, BridgeMetric] | None, task: Task, stored: TaskRun | None
) -> tuple[tuple[str, ...], str]:
    """The judge to plan with, and why it is that one; without a reason if the user named it."""
    if need.judge:
        return need.judge, ""
    if judge := _judge_of_bridge(ready):
        return judge, f"{', '.join(judge)} is the bridge's own judge; --judge names another"
    own, judge = _judges_of(stored), _usual_judge(task, stored)
    if judge == own:
        return judge, f"{', '.join(judge)} is the run's own judge; --judge names another"
    why = f"the run's, {shortened(', '.join(own), 80)}, cannot be asked" if own else "none is named"
    return judge, f"{', '.join(judge)} is the default for a judge of today, as {why}; --judge names another"


def _judge_of_bridge(ready: tuple[Bridge, BridgeMetric] | None) -> tuple[str, ...]:
    """The judge that runs need for a bridge, if a file may choose it."""
    if ready is None:
        return ()
    judges = tuple(filter(None, ready[0].judge.spec.split(", ")))
    return judges if all(_why_unchosen(text) == "" for text in judges) else ()


def _why_unchosen(text: str) -> str:
    """Why a judge that a file names is not planned with unless the user names it, too; empty if it is.

    A file from anyone chooses a vendor's model that is served, or one that ships with judgebench, and nobody else.
    """
    try:
        spec, _ = parse_model(text)
    except UsageError:
        return "its name cannot be read"
    if spec.backend.vendor is None and spec.text not in BUILTINS:
        return "it is neither a vendor's model nor one that ships with judgebench"
    return "its vendor serves it no longer" if _gone(text) else ""


def _dear_of(stored: TaskRun | None) -> str | None:
    """The dear judge of a cascade's run, on the same terms."""
    cascade = None if stored is None else stored.task_manifest.cascade
    return cascade.dear if cascade is not None and not _why_unchosen(cascade.dear) else None


def _has_judged(judge: Sequence[str], stored: TaskRun | None, judges: Collection[str], examples: int) -> bool:
    """Whether a run has the judge's verdicts on all the examples, made with the task's prompts and rules."""
    if stored is None or _is_pilot(stored, examples):
        return False
    return set(_named(_judges_of(stored))) == set(_named(judge)) and _asked_as(stored, judges)


def _is_pilot(stored: TaskRun, examples: int) -> bool:
    """Whether a run is of fewer examples than are planned for: it shows how verdicts vary, and saves no call."""
    return stored.task_manifest.examples < examples


def _asked_as(stored: TaskRun, judges: Collection[str]) -> bool:
    """Whether a run's judges had the prompts and rules of these, which the task has by name."""
    protocol = stored.task_manifest.protocol
    return set(protocol.get("judges", {})) == set(judges) and not protocol.get("own_judge")


def _officially_judged(run: Run, task: Task) -> bool:
    made = run.tasks[task.name].task_manifest
    return bool(task.judge_models) and not unlike_published(task, made.protocol, made.code, run.manifest)


def _run(path: Path, task: Task, spec: tasks.TaskSpec) -> Run:
    files = {task.name: Path(spec.name)} if tasks.is_file(spec.name) else NO_FILES
    run = read_run(path, files)
    if task.name not in run.tasks:
        raise UsageError(f"{path} has no task {task.name!r}; it has {', '.join(run.tasks)}")
    return run


def _named(specs: Sequence[str]) -> list[str]:
    """The names by which endpoints know models: an imported run has names, a user gives specs."""
    return [model_name(parse_model(text)[0]) if ":" in text else text for text in specs]


def _usual_judge(task: Task, stored: TaskRun | None) -> tuple[str, ...]:
    """The run's judge if it is served, else the first of the task's other judges that is."""
    own = _judges_of(stored)
    if own and all(":" in text and not _gone(text) for text in own):
        return own
    official = tuple(dict.fromkeys(task.judge_models.values()))
    others = [text for text in task.other_judges if parse_model(text)[0].backend.vendor]
    served = next((text for text in (*(official if len(official) == 1 else ()), *others) if not _gone(text)), None)
    if served is None:
        raise UsageError(f"no judge of {task.label} is known to be served; name one with --judge")
    return (served,)


def _judges_of(stored: TaskRun | None) -> tuple[str, ...]:
    if stored is None:
        return ()
    cascade = stored.task_manifest.cascade
    return tuple(stored.task_manifest.judge_models) if cascade is None else cascade.cheap


def _gone(text: str) -> bool:
    end = shutdown_of(*parse_model(text))
    return end is not None and end.over


def _require_usable(flag: str, text: str, task: Task) -> None:
    """Raise :class:`ModelError` for a judge that its vendor serves no longer, :class:`UsageError` for one that is no
    vendor's and no checkpoint.
    """
    spec, arguments = parse_model(text)
    end = shutdown_of(spec, arguments)
    try:
        missing = not is_here(spec) and "/" not in spec.target
    except UsageError as error:
        raise UsageError(f"{flag} {text}: {error}") from error
    if missing:
        raise UsageError(
            f"{flag} {text} names neither a vendor's model, such as openai:gpt-5.1, nor a checkpoint on this machine, "
            "such as org/name or a folder; `judgebench judges list` names judges with their models"
        )
    if end is not None and end.over:
        raise ModelError(f"{flag} {text} cannot be asked: {end.sentence}. {alternatives(task)}")


def _values(stored: TaskRun, metric: Metric) -> dict[str, float] | None:
    """The run's values by example, of a cascade the cheap judge's; ``None`` if the metric is no plain mean."""
    if not metric.is_mean:
        return None
    found = metric.values(stored.example_scores(of_cascade=True))
    return {key: value for key, value in found.items() if value is not None}


def _usual(task: Task) -> Task:
    """The task with the judge of its published numbers, whichever the user chose by an option."""
    return known_task(task.label, NO_FILES) or task


def _official_judge(found: _Situation) -> str:
    """The judge behind the published numbers."""
    if found.ready is not None:
        return found.ready[0].official_shown
    usual = _usual(found.task).judge_models
    return _told_apart(", ".join(sorted(set(_named(tuple(usual.values()))))) or "the official judge", usual, found)


def _told_apart(judge: str, prompts: Iterable[str], found: _Situation) -> str:
    """A judge's name, with its prompts if the planned and the official judge are one model with two of them."""
    usual = _usual(found.task).judge_models
    one_model = set(_named(found.judge)) == set(_named(tuple(usual.values())))
    return f"{judge} as {', '.join(prompts)}" if one_model and not set(found.judges) <= set(usual) else judge


# -- the ways


def _bridge(found: _Situation) -> Way:
    need, metric = found.need, found.metric
    gives = f"what {_official_judge(found)} would say, predicted"
    if found.official:
        why = "the official judge itself judged the run: its number needs no bridge"
        return Way(kind="bridge", gives=gives, possible=False, reason=why)
    mine = None if found.bridged or (found.judged and found.ready is None) else found.cost(found.judge)
    if found.ready is not None:
        return _ready_bridge(found, *found.ready, gives, mine)
    try:
        table = official_table("published", found.task)
    except UsageError:
        why = (
            f"there is no published table of {found.task.label}; `judgebench bridge make --official FILE` makes a "
            "bridge to numbers that you have, and --bridge plans with it"
        )
        return Way(kind="bridge", gives=gives, possible=False, reason=why)
    published = sum(metric.name in numbers for numbers in table.numbers.values())
    limits = metric.limits
    if not published or limits is None:
        return Way(kind="bridge", gives=gives, possible=False, reason=f"nobody has published {metric.name}")
    at = _share(found.value, limits)
    most = min(published, MOST_MODELS)
    spans = limits[1] - limits[0]
    widths = {m: spans * forecast_half_width(m, ASSUMED_TAU, at) for m in range(WEAK_MODELS, most + 1)}
    enough = next((m for m, width in widths.items() if width <= need.half_width), None)
    where = "the run's number" if found.value is not None else "half of the range, where intervals are widest"
    assumed = (
        f"judges differ about a model by tau = {ASSUMED_TAU:g} (real ones: 0.09 to 0.41; `judgebench bridge show` "
        f"says of a real bridge), at {where}",
    )
    if enough is None:
        least = min(widths.values(), default=None)
        reach = "" if least is None else f": {most} give plus or minus {width_text(least, need.half_width)}"
        why = f"no number of models reaches it{reach}"
        return Way(kind="bridge", gives=gives, possible=False, half_width=least, assumed=assumed, reason=why)
    one = found.cost(found.judge)
    calls = one.calls * enough + (0 if mine is None else mine.calls)
    each = one.usd_likely
    usd = None if each is None else each * (enough + (mine is not None))
    return Way(
        kind="bridge",
        gives=gives,
        possible=True,
        half_width=widths[enough],
        models=enough,
        judge_calls=calls,
        usd=usd,
        assumed=assumed,
    )


def _ready_bridge(found: _Situation, bridge: Bridge, metric: BridgeMetric, gives: str, mine: Stage | None) -> Way:
    """A bridge that is there: only the new model is judged."""
    if found.unfit:
        return Way(kind="bridge", gives=gives, possible=False, reason=found.unfit)
    fit = fit_metric(metric, bridge.models)
    width, refused = fit.forecast(fit.n), list(fit.reasons)
    if found.value is not None and found.bridged:
        predicted = fit.predict(found.value)
        refused += predicted.reasons
        width = width if predicted.interval is None else (predicted.interval.high - predicted.interval.low) / 2
    if refused:
        why = f"the bridge {bridge.name} is refused: {', '.join(dict.fromkeys(refused))}"
        return Way(kind="bridge", gives=gives, possible=False, half_width=width, reason=why)
    wanted = found.need.half_width
    reached = width is not None and width <= wanted
    gets = (
        "" if width is None or reached else f"the bridge {bridge.name} gives plus or minus {width_text(width, wanted)}"
    )
    calls, usd = (0, 0.0) if mine is None else (mine.calls, mine.usd_likely)
    return Way(
        kind="bridge",
        gives=gives,
        possible=reached,
        half_width=width,
        models=0,
        judge_calls=calls,
        usd=usd,
        assumed=(f"the bridge {bridge.name} of {fit.n} models",),
        reason=gets or None,
    )


def _share(value: float | None, limits: tuple[float, float]) -> float:
    """Where a number lies in its range, from 0 to 1; the middle if it is not known."""
    low, high = limits
    return 0.5 if value is None else min(max((value - low) / (high - low), 0.0), 1.0)


def _dear_alone(found: _Situation) -> Way | None:
    """The dear judge on all examples, which leaves nothing to estimate; ``None`` if none is named."""
    dear = found.need.dear
    if dear is None:
        return None
    there = _has_judged((dear,), found.stored, found.judges, found.examples)
    cost = None if there else found.cost((dear,))
    assumed = ["its verdicts on the run are there" if there else f"{dear} judges all {found.examples:,} examples"]
    if found.metric.is_mean and found.metric.limits is not None:
        sampled = QUANTILE * _pilot(found)[1] / found.examples**0.5
        assumed.append(
            f"about examples like these its number is sure to plus or minus {rough(sampled)}, and `judgebench eval` "
            "shows that interval"
        )
    return Way(
        kind="dear",
        gives=f"what {_named((dear,))[0]} says of all examples",
        possible=True,
        half_width=0.0,
        judge_calls=0 if cost is None else cost.calls,
        dear_calls=0 if cost is None else cost.calls,
        usd=0.0 if cost is None else cost.usd_likely,
        assumed=tuple(assumed),
    )


def _cascade(found: _Situation, alone: Way | None) -> Way:
    """The dear judge on a part; ``alone`` is the same judge on all."""
    need, metric, dear = found.need, found.metric, found.need.dear
    gives = f"what {_named((dear,))[0] if dear else 'a dear judge'} would say of all examples"
    if not metric.is_mean or metric.limits is None:
        why = f"{metric.name} is no plain mean over examples"
        return Way(kind="cascade", gives=gives, possible=False, reason=why)
    if dear is None or alone is None:
        why = f"{_why_not_own(found)}name the dear judge with --cascade"
        return Way(kind="cascade", gives=gives, possible=False, reason=why)
    gain, sd, assumed = _pilot(found)
    span = metric.span if metric.win_share else None
    n = required_dear(need.half_width, sd=sd, gain=gain, population=found.examples, span=span)
    if span is None and n < FEW:
        n = required_dear(need.half_width, sd=sd, gain=gain, population=found.examples, span=metric.span)
    names = ", ".join(found.judge)
    does = "has judged the run already" if found.judged else "all of them"
    assumed = (*assumed, f"{dear} judges {n:,} of {found.examples:,} examples, and {names} {does}")
    cheap, all_dear = found.cost(found.judge), found.cost((dear,))
    dear_calls = round(all_dear.calls * n / found.examples)
    dear_usd = None if all_dear.usd_likely is None else all_dear.usd_likely * n / found.examples
    cheap_calls, cheap_usd = (0, 0.0) if found.judged else (cheap.calls, cheap.usd_likely)
    usd = None if dear_usd is None or cheap_usd is None else cheap_usd + dear_usd
    idle = _no_saving(n, found, usd, alone)
    if idle is None and usd == alone.usd == 0 and cheap_calls:
        least = (all_dear.calls - dear_calls) / cheap_calls
        assumed += (
            f"it is quicker than {dear} alone if {names} needs less than {percent(least)} of its time for a call",
        )
    return Way(
        kind="cascade",
        gives=gives,
        possible=idle is None,
        half_width=need.half_width if n < found.examples else 0.0,
        judge_calls=cheap_calls + dear_calls,
        dear_calls=dear_calls,
        usd=usd,
        assumed=assumed,
        reason=idle,
    )


def _why_not_own(found: _Situation) -> str:
    """Why the dear judge of a cascade's run is not planned with, to be continued; empty of any other run."""
    own = None if found.stored is None else found.stored.task_manifest.cascade
    if own is None:
        return ""
    why = _why_unchosen(own.dear) or "it is the judge of all examples here"
    return f"{shortened(own.dear, 80)}, the run's own, is not planned with, because {why}; "


def _no_saving(n: int, found: _Situation, usd: float | None, alone: Way) -> str | None:
    """Why a cascade with n verdicts of the dear judge takes no less than the dear judge alone, if so.

    Where neither costs anything, the time that they take decides, which is not known.
    """
    if not alone.judge_calls:
        return "the dear judge has judged the run already"
    if n >= found.examples:
        return "for this width the dear judge would judge all examples: take it alone"
    if usd is not None and alone.usd and usd >= alone.usd:
        return (
            f"with {', '.join(found.judge)} on all examples it costs {dollars(usd)}, and {found.need.dear} alone on "
            f"all of them {dollars(alone.usd)}; a cheaper --judge may help"
        )
    return None


class _Pilot(Struct):
    """What a cascade's score says that helps to plan another."""

    gain: float | None = None
    sd_dear: float | None = None
    n_dear: int = 0


def _pilot(found: _Situation) -> tuple[float, float, tuple[str, ...]]:
    """The gain of the cheap judge, the standard deviation of the dear one's verdicts, and where they come from."""
    metric = found.metric
    score = found.stored.overall.get(metric.name) if found.stored else None
    try:
        pilot = msgspec.convert(score.details.get("cascade", {}), _Pilot) if score else _Pilot()
    except msgspec.ValidationError:  # a run folder may come from anyone
        pilot = _Pilot()
    assumed = []
    gain, sd = pilot.gain, pilot.sd_dear
    if gain is None or not gain > 0:
        gain = ASSUMED_GAIN[metric.win_share]
        shown = (
            "a cascade's run shows it" if not pilot.n_dear else "the run's verdicts are too few or too alike to show it"
        )
        assumed.append(f"a verdict of the dear judge is worth {gain:g} beside the cheap one's ({shown})")
    if sd is None or not sd >= 0:
        values = list((found.shares or {}).values())
        if len(values) > 1:
            sd = metric.scale * stdev(values)
            assumed.append("the dear judge's verdicts vary as the run's do")
        else:
            sd = metric.span / 2
            assumed.append("verdicts vary as much as they can (a run, --baseline, shows how much)")
    return gain, sd, tuple(assumed)


def _labels(found: _Situation) -> Way:
    need, metric = found.need, found.metric
    gives = "what people would say"
    labels = partial(Way, kind="labels", gives=gives, interval_of="examples like these")
    anchored = labelled_metric(found.task)
    if anchored is None or anchored.name != metric.name:
        named = f"; of {found.task.label} they give {anchored.name}" if anchored else ""
        why = f"labels compare pairs, and {metric.name} is no plain mean of comparisons{named}"
        return labels(possible=False, reason=why)
    shares = _shares_of_all(found)
    agreement = need.agreement if need.agreement is not None else ASSUMED_AGREEMENT
    who = "given" if need.agreement is not None else "assumed; labels agree says it of real ones"
    assumed: tuple[str, ...] = (f"people agree with the judge on {100 * agreement:.0f} % of the examples ({who})",)
    least = expected_width(shares, agreement, len(shares), metric.scale)
    if least > need.half_width:
        gives_all = width_text(least, need.half_width)
        why = f"even all {len(shares):,} labelled give plus or minus {gives_all}: the examples are a sample, too"
        return labels(possible=False, half_width=least, assumed=assumed, reason=why)
    n = _least(lambda count: expected_width(shares, agreement, count, metric.scale) <= need.half_width, len(shares))
    # Whatever judge made the run's verdicts: they are there.
    there = found.stored is not None and bool(found.shares) and not _is_pilot(found.stored, found.examples)
    cheap = None if there else found.cost(found.judge)
    judges = shortened(", ".join(_judges_of(found.stored)) if there else ", ".join(found.judge), 80)
    assumed += (f"the judge is {judges}, {'whose verdicts are in the run' if there else 'which judges all examples'}",)
    paid = 0.0 if cheap is None else cheap.usd_likely
    usd = None if need.usd_per_label is None or paid is None else n * need.usd_per_label + paid
    return labels(
        possible=True,
        half_width=expected_width(shares, agreement, n, metric.scale),
        judge_calls=0 if cheap is None else cheap.calls,
        labels=n,
        usd=usd,
        assumed=assumed,
    )


def _shares_of_all(found: _Situation) -> list[float]:
    """The judge's share of each example: of a run, of a smaller run as often as needed, or the widest there are."""
    shares = list((found.shares or {}).values())
    if not shares:
        return [0.0, 1.0] * (found.examples // 2)
    pilot = found.stored is not None and _is_pilot(found.stored, found.examples)
    return list(islice(cycle(shares), found.examples)) if pilot else shares


def _least(enough: Callable[[int], bool], most: int) -> int:
    """The least number from 2 that is enough, given that ``most`` is and more is never less."""
    low, high = 1, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _asks(found: _Situation) -> bool:
    """Whether a judge of today is planned with besides the bridge's, which has judged the run."""
    return found.need.dear is not None or not found.bridged


def _notes(found: _Situation, ways: Sequence[Way]) -> list[str]:
    notes = []
    if found.stored is not None and _is_pilot(found.stored, found.examples):
        made = found.stored.task_manifest
        has = f"{made.examples:,} examples{' (the starter set)' if made.starter else ''}"
        notes.append(
            f"the run is a pilot: its {has} say how verdicts vary, and no call is saved; planned are the "
            f"{found.examples:,} of {found.task.label}"
        )
    official = sorted(set(_usual(found.task).judge_models.values()))
    if official and not any(map(_gone, official)):
        names = ", ".join(official)
        notes.append(f"the official judge is still served: {names} gives the official number itself, without a bridge")
    asked = found.judge if _asks(found) else ()
    for text in (*asked, *filter(None, [found.need.dear])):
        spec, arguments = parse_model(text)
        if unknown := unlisted(spec, arguments):
            notes.append(f"{unknown}; `judgebench judges list --models` lists those that are")
        if not is_here(spec):
            notes.append(f"{text} is not on this machine, and nobody has asked the hub whether it is there")
        if (end := shutdown_of(*parse_model(text))) is not None and end.soon:
            flag = "--judge" if text in found.judge else "--cascade"
            notes.append(
                f"{text} is served until {end.day}: take a judge that lasts, with {flag} (`judgebench judges list "
                "--models`)"
            )
    labels = next(way for way in ways if way.kind == "labels")
    if labels.possible and labels.usd is None and found.need.usd_per_label is None:
        notes.append("labels are not priced: --usd-per-label says what one costs")
    unpriced = [way.kind for way in ways if way.possible and way.usd is None and way.kind != "labels"]
    if unpriced:
        notes.append(f"the price of a judge is unknown ({', '.join(unpriced)}): --judge-arg usd_per_million=IN/OUT")
    notes.append("the numbers differ in what they are of; cheap is only what gives the number that is wanted")
    return notes
