"""Judge bridges on disk, ``NAME.bridge.json``: what two judges said of the same models, and what was fitted to that.

A file is evidence, not authority. Reading computes the fit, the predictions of models left out, and the verdict of the
rules again from the numbers, and raises :class:`RecordError` where the file says otherwise. It holds no text of an
answer or a prompt. ``bridging`` applies a bridge to runs; ``stats.bridge`` has the method.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from judgebench import tasks
from judgebench.codec import canonical_hash, canonical_json, decode_json, replacing
from judgebench.data.resources import resource
from judgebench.display import shortened
from judgebench.errors import RecordError, UsageError
from judgebench.files import read_bytes
from judgebench.models.opening import model_name, parse_model
from judgebench.models.vendors import is_dated, shutdown, today, vendors
from judgebench.records import Count, Number, Whole
from judgebench.stats.bridge import BridgeFit, fit_bridge
from judgebench.stats.bridge_rules import Findings, drift_p_value, drift_rule, vendor_rule

FORMAT: Literal["judgebench-bridge/1"] = "judgebench-bridge/1"
SUFFIX = ".bridge.json"
READY = "bridges"
"""The folder in ``leaderboards/`` of the bridges that come with the program."""
FILE_BYTES = 16 * 2**20
MOST_MODELS = 1_000
MOST_METRICS = 20
MOST_ITEMS = 100_000
RELATIVE, ABSOLUTE = 1e-6, 1e-9
"""How far a stored number may be from the one that is computed again."""

Text = Annotated[str, Meta(max_length=1_000)]
Name = Annotated[str, Meta(min_length=1, max_length=300)]
Hash = Annotated[str, Meta(pattern=r"^(sha256:)?[0-9a-f]{64}$")]
TaskName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,200}$")]
"""Never a path: a file cannot choose code."""
Version = Annotated[str, Meta(pattern=r"^[\w.+-]{1,200}$")]
Ids = Annotated[tuple[Annotated[str, Meta(max_length=1_000)], ...], Meta(max_length=MOST_ITEMS)]
Pair = tuple[Number, Number]


class OfficialJudge(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The judge that nobody serves any more, and where its numbers were published."""

    judge: Name
    vendor: Name | None
    source: Text
    """``owner/repo@commit:path``, or the name of a file of the user's."""
    sha256: Hash | None
    """Of the table that the numbers were read from."""
    date: Text | None = None
    """When it was published, if that is known."""


class ToldProtocol(Struct, frozen=True):
    """The parts of a protocol that are read back, to ask the judge again as it was asked."""

    judges: dict[str, dict[str, Any]] = {}
    judge_args: dict[str, str] = {}
    judge_repeats: Annotated[int, Meta(ge=1, le=1_000)] = 1
    reask: Annotated[int, Meta(ge=0, le=1_000)] | None = None
    think_tags: tuple[tuple[str, str], ...] = ()


class BridgeJudge(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The judge of today, and how it was asked."""

    spec: Text
    """As the user or the task named it."""
    identity: Text
    """Its name in the protocol: a served model's name, the hash of a local one's weights."""
    served_model: Text | None
    """The name that its endpoint reported; ``None`` if nobody noted it."""
    vendor: Name | None
    protocol: dict[str, Any]
    """The protocol of the runs, without the model under test and without the items (see :class:`BridgeItems`)."""
    protocol_hash: Hash
    unknown: tuple[Name, ...] = ()
    """Protocol fields that published numbers do not tell; runs are not compared in them."""

    @property
    def local(self) -> bool:
        """Whether it is known by its weights, so that its name cannot come to mean another model."""
        return "sha256:" in self.identity

    @property
    def shown(self) -> str:
        """Its name in tables."""
        return self.spec if self.local and self.spec else self.identity

    @property
    def retired(self) -> bool:
        """Whether its vendor is known to serve it no longer; of an address of the user's nobody knows."""
        ends = (shutdown(vendor, name) for vendor in vendors().values() for name in self.identity.split(", "))
        return "://" not in self.spec and any(end is not None and end.over for end in ends)

    @property
    def told(self) -> ToldProtocol:
        """The parts of the protocol that say how the judge was asked. Raises ``msgspec.ValidationError``."""
        return msgspec.convert(self.protocol, ToldProtocol)


class BridgeItems(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The items that a number is of."""

    n: Annotated[int, Meta(ge=1, le=MOST_ITEMS)]
    """Items of the benchmark."""
    ids_hash: Hash | None
    """Of their sorted ids; ``None`` if the published numbers do not say."""
    seed: Whole = 0
    """Of the order in which random parts are drawn."""
    k: Annotated[int, Meta(ge=1, le=MOST_ITEMS)] | None = None
    """How many of them were judged of each bridge model; ``None`` for all."""
    ids: Ids | None = None
    """Which these are."""


class BridgeModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model that both judges know."""

    name: Name
    vendor: Name | None
    base_vendor: Name | None = None
    """Who trained the open weights that it was fine-tuned from."""
    run_id: Name | None = None
    """``None`` if its judged number was published."""
    answers_hash: Name | None = None
    included: bool
    reason: Name | None = None
    """Why it was left out."""
    n_judged: Count
    n_missing: Count = 0


class ModelNumbers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model's number by both judges."""

    judged: Number
    judged_stderr: Number = 0.0
    """From the choice of items; 0 if all were judged."""
    official: Number


class StoredFit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``stats.bridge.BridgeFit``'s line."""

    n: Count
    centre: Number
    intercept: Number
    slope: Number
    covariance: tuple[Pair, Pair]
    tau: Number
    df: Number
    judged_range: Pair


class StoredLeftOut(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``stats.bridge.LeftOut``, with the model's name."""

    model: Name
    predicted: Number
    stderr_logit: Number
    df: Number
    low95: Number
    high95: Number
    low90: Number
    high90: Number
    official: Number
    covered95: bool
    covered90: bool
    t: Number
    outlier: bool


class StoredChecks(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What predicting each model from the others says of the bridge: ``stats.bridge.LeaveOneOut``."""

    coverage95: Number | None = None
    coverage90: Number | None = None
    median_half_width95: Number | None = None
    mean_absolute_error: Number | None = None
    median_absolute_error: Number | None = None
    raw_mean_absolute_error: Number | None = None
    explained: Number | None = None
    spearman: Number | None = None
    reason: Text | None = None


class BridgeMetric(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One metric's bridge."""

    unit: Literal["percent", "points", "rating"]
    range: Pair
    numbers: Annotated[dict[Name, ModelNumbers], Meta(max_length=MOST_MODELS)]
    """Also those of models that were left out, to look at."""
    fit: StoredFit | None
    loo: Annotated[tuple[StoredLeftOut, ...], Meta(max_length=MOST_MODELS)]
    checks: StoredChecks
    status: Literal["usable", "weak", "refused"]
    reasons: tuple[Name, ...]
    marks: tuple[Name, ...] = ()


class AskedAgain(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The judge's verdicts on the drift items on a later day."""

    date: date
    served_model: Text | None
    verdicts: Annotated[tuple[Number | None, ...], Meta(max_length=MOST_ITEMS)]
    """In the order of the drift items; ``None`` where none could be read."""


class Drift(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Items of one bridge model, by which a change of the judge is noticed."""

    model: Name
    items: Ids
    verdicts: Annotated[tuple[Number, ...], Meta(max_length=MOST_ITEMS)]
    """The judge's, item by item: the candidate's share of the win, or a grade."""
    verdicts_hash: Hash
    asked: Annotated[tuple[AskedAgain, ...], Meta(max_length=1_000)] = ()
    """What ``bridge check --drift`` found, oldest first."""

    @property
    def p_value(self) -> float | None:
        """That the judge is the same, by the last time it was asked; ``None`` if nobody asked."""
        return self.p_value_of(self.asked[-1]) if self.asked else None

    def p_value_of(self, asked: AskedAgain) -> float | None:
        """That the judge was the same when it was asked again."""
        both = [(b, a) for b, a in zip(self.verdicts, asked.verdicts, strict=True) if a is not None]
        return drift_p_value([before for before, _ in both], [after for _, after in both]) if both else None


class Bridge(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """A bridge from a judge of today to an official judge's numbers."""

    format: Literal["judgebench-bridge/1"] = FORMAT
    name: Name
    created: date
    judgebench: Text
    """The version that made it."""
    task: TaskName
    task_version: Version
    options: dict[str, str | int | float | bool | None]
    official: OfficialJudge
    judge: BridgeJudge
    items: BridgeItems
    models: Annotated[tuple[BridgeModel, ...], Meta(max_length=MOST_MODELS)]
    metrics: Annotated[dict[Name, BridgeMetric], Meta(max_length=MOST_METRICS)]
    drift: Drift | None = None

    @property
    def label(self) -> str:
        """The task with its version."""
        return f"{self.task}@{self.task_version}"

    @cached_property
    def hash(self) -> str:
        """Fingerprint of the evidence. Asking the judge again adds to the file, and does not change it."""
        content = _plain(self)
        if self.drift is not None:
            del content["drift"]["asked"]
        return canonical_hash(content)

    @property
    def judge_shown(self) -> str:
        """The judge of today in tables; with its prompt, if the official judge is the same model."""
        return _with_prompts(self.judge.shown, self.judge.told.judges if self.one_model else ())

    @property
    def judge_named(self) -> str:
        """The judge of today as its spec, with its prompt on the same terms."""
        return _with_prompts(self.judge.spec, self.judge.told.judges if self.one_model else ())

    @property
    def official_shown(self) -> str:
        """The official judge in tables, on the same terms: its prompt is the task's own."""
        return _with_prompts(self.official.judge, self._official_prompts if self.one_model else ())

    @property
    def one_model(self) -> bool:
        """Whether both judges are one model, with two prompts."""
        return self.judge.shown == self.official.judge

    @cached_property
    def _official_prompts(self) -> tuple[str, ...]:
        """The names of the task's judges that the official model plays, as far as the task is known here."""
        try:
            origin = tasks.find_registered(self.task)
            usual = origin.task(self.task_version, {}, starter=False).judge_models if origin else {}
        except UsageError:
            return ()
        models = self.official.judge.split(", ")
        return tuple(name for name, spec in usual.items() if model_name(parse_model(spec)[0]) in models)

    @property
    def age_days(self) -> int:
        """Days since it was made."""
        return (today() - self.created).days

    @property
    def included(self) -> tuple[BridgeModel, ...]:
        """The models that it stands on."""
        return tuple(model for model in self.models if model.included)

    @cached_property
    def metric_names(self) -> tuple[str, ...]:
        """Its metrics in the order of the task's tables, as far as the task is known here."""
        try:
            origin = tasks.find_registered(self.task)
            known = origin.task(self.task_version, {}, starter=False).headline if origin else ()
        except UsageError:
            known = ()
        return tuple(name for name in dict.fromkeys((*known, *self.metrics)) if name in self.metrics)

    def model(self, *names: str) -> BridgeModel | None:
        """The first of its models that has one of these names."""
        return next((model for model in self.models if model.name in names), None)

    @cached_property
    def findings(self) -> Findings:
        """What the rules say that are about the judge rather than about numbers: R9, and its name."""
        p_value = None if self.drift is None else self.drift.p_value
        asked = self.drift.asked[-1:] if self.drift else ()
        if any(self.judge.served_model not in (None, one.served_model or self.judge.served_model) for one in asked):
            # The endpoint itself says that another model answers now.
            p_value = 0.0
        names = (self.judge.served_model or "", self.judge.identity)
        undated = not self.judge.local and not any(all(map(is_dated, name.split(", "))) for name in names)
        return drift_rule(p_value, self.age_days) + Findings(
            (), ("alias",) if undated and not self.judge.retired else ()
        )

    @cached_property
    def fits(self) -> Mapping[str, BridgeFit]:
        """The fit of each metric, computed from its numbers."""
        return {name: fit_metric(metric, self.models) for name, metric in self.metrics.items()}


def _with_prompts(model: str, prompts: Iterable[str]) -> str:
    named = ", ".join(prompts)
    return f"{model} as {named}" if named else model


def rule_of_vendors(
    vendor: str | None, judge_vendor: str | None, official_vendor: str | None, base_vendor: str | None = None
) -> Findings:
    """R4, where several judges, such as a jury, have their vendors in one text: ``google, openai``."""
    found = Findings()
    for judges in (judge_vendor or "").split(", "):
        for officials in (official_vendor or "").split(", "):
            found += vendor_rule(vendor, judges or None, officials or None, base_vendor=base_vendor)
    return found


def vendors_refuse(vendor: str | None, judge_vendor: str | None, official_vendor: str | None) -> bool:
    """Whether R4 leaves out a model of this vendor."""
    return bool(rule_of_vendors(vendor, judge_vendor, official_vendor).reasons)


def fit_metric(metric: BridgeMetric, models: Sequence[BridgeModel]) -> BridgeFit:
    """Fit the numbers of the models that are included. Raises ``ValueError`` for numbers that are impossible."""
    numbers = [metric.numbers[name] for name in fitted_names(metric.numbers, models)]
    low, high = metric.range
    return fit_bridge(
        [number.judged for number in numbers],
        [number.official for number in numbers],
        low=low,
        high=high,
        judged_stderr=[number.judged_stderr for number in numbers],
    )


def fitted_names(numbers: Mapping[str, ModelNumbers], models: Sequence[BridgeModel]) -> list[str]:
    """Names of the models that a metric's fit is of, in the order of the file."""
    return [model.name for model in models if model.included and model.name in numbers]


def fitted_metric(
    unit: str, limits: tuple[float, float], numbers: Mapping[str, ModelNumbers], models: Sequence[BridgeModel]
) -> BridgeMetric:
    """A metric's bridge from its numbers. Raises ``ValueError`` for numbers that are impossible."""
    empty = {"unit": unit, "range": limits, "numbers": numbers, "fit": None, "loo": (), "checks": {}}
    raw = msgspec.convert({**empty, "status": "refused", "reasons": ()}, BridgeMetric)
    return msgspec.structs.replace(raw, **_results(fit_metric(raw, models), fitted_names(numbers, models)))


def _results(fit: BridgeFit, names: Sequence[str]) -> dict[str, Any]:
    """The fields of a metric's bridge that are computed."""
    line, loo = fit.line, fit.loo
    return {
        "fit": None
        if line is None
        else StoredFit(
            n=fit.n,
            centre=line.centre,
            intercept=line.intercept,
            slope=line.slope,
            covariance=line.covariance,
            tau=line.tau,
            df=line.df,
            judged_range=fit.judged_range or (0.0, 0.0),
        ),
        "loo": tuple(
            StoredLeftOut(model=name, **{field: getattr(left, field) for field in StoredLeftOut.__struct_fields__[1:]})
            for name, left in zip(names, loo.models, strict=bool(loo.models))
        ),
        "checks": StoredChecks(**{field: getattr(loo, field) for field in StoredChecks.__struct_fields__}),
        "status": fit.status,
        "reasons": fit.reasons,
        "marks": fit.marks,
    }


def require_same_bridge(path: Path, bridge: Bridge) -> None:
    """Raise :class:`UsageError` if ``path`` holds anything but a bridge of the same models by the same judge."""
    if not path.exists():
        return
    try:
        there = read_bridge(path)
    except (RecordError, UsageError):
        there = None
    if there is not None and _made_of(there) == _made_of(bridge):
        return
    held = (
        "something that is no bridge of this version"
        if there is None
        else f"a bridge of {len(there.included)} models from {shortened(there.judge_shown, 80)}"
    )
    raise UsageError(
        f"{path} was to be written with a bridge of {len(bridge.included)} models from "
        f"{shortened(bridge.judge_shown, 80)}, and already holds {held}, not of the same models and judge; give "
        "another --out, or --overwrite to replace it"
    )


def with_earlier_drift(path: Path, bridge: Bridge) -> tuple[Bridge, int]:
    """The bridge with what its judge said when the bridge in ``path`` was checked, if that is of the same verdicts.

    The number says how many checks are of other items or verdicts, and so lost to the new bridge.
    """
    try:
        earlier = read_bridge(path).drift if path.exists() else None
    except (RecordError, UsageError):
        earlier = None
    own = bridge.drift
    if earlier is None or not earlier.asked:
        return bridge, 0
    if own is None or (own.model, own.items, own.verdicts) != (earlier.model, earlier.items, earlier.verdicts):
        return bridge, len(earlier.asked)
    kept = msgspec.structs.replace(own, asked=earlier.asked)
    return msgspec.structs.replace(bridge, drift=kept), 0


def _made_of(bridge: Bridge) -> tuple[object, ...]:
    return bridge.label, bridge.judge.protocol_hash, bridge.official.judge, {model.name for model in bridge.models}


def write_bridge(path: Path, bridge: Bridge) -> None:
    """Replace ``path`` atomically with the bridge as canonical JSON.

    Raises :class:`UsageError` if runs or tables, which anybody may have made, say what a bridge cannot hold.
    """
    try:
        data = canonical_json(_plain(bridge)) + b"\n"
    except msgspec.ValidationError as error:
        raise UsageError(
            f"the bridge {shortened(bridge.name, 80)} cannot be written, because a run or a table says what no bridge "
            f"can hold: {shortened(str(error), 200)}"
        ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(data)


def _plain(bridge: Bridge) -> dict[str, Any]:
    """A bridge as it is read from its file: 20 is then 20.0."""
    content: dict[str, Any] = msgspec.to_builtins(msgspec.convert(msgspec.to_builtins(bridge), Bridge))
    return content


def ready_bridges() -> list[str]:
    """The names of the bridges that come with the program."""
    folder = resource("leaderboards") / READY
    return sorted(path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}"))


def bridge_path(given: Path) -> Path:
    """The file that a user means: a path, or the name of a bridge that comes with the program."""
    if not given.exists() and re.fullmatch(r"[\w.+-]+", str(given)):
        ready = resource("leaderboards") / READY / f"{given}{SUFFIX}"
        return ready if ready.is_file() else given
    return given


def read_bridge(given: Path) -> Bridge:
    """Read a bridge and compute it again. ``given`` may be the name of one that comes with the program.

    Raises :class:`UsageError` if there is no such file, and :class:`RecordError` if it is no bridge, or says what does
    not follow from its own numbers.
    """
    path = bridge_path(given)
    try:
        data = read_bytes(path, FILE_BYTES)
    except OSError as error:
        raise UsageError(
            f"the bridge {path} cannot be read: {error}. `judgebench bridge make` makes one; "
            f"{', '.join(ready_bridges()) or 'none'} come with the program"
        ) from error
    try:
        bridge: Bridge = decode_json(data, Bridge)
    except ValueError as error:
        raise RecordError(path, 1, f"not a bridge of the format {FORMAT}: {shortened(str(error), 300)}") from error
    for problem in (*_contradictions(bridge), *_not_computed(bridge)):
        raise RecordError(
            path,
            1,
            f"{problem}. The file was changed by hand or is damaged: restore it, or make the bridge again with "
            "`judgebench bridge make`",
        )
    return bridge


def _contradictions(bridge: Bridge) -> list[str]:
    """What is wrong among the fields that are not computed."""
    names = [model.name for model in bridge.models]
    official, judge, items, drift = bridge.official, bridge.judge, bridge.items, bridge.drift
    found = []
    if len(set(names)) < len(names):
        found.append("a model is listed twice")
    try:
        judge.told  # noqa: B018 - it raises
    except msgspec.ValidationError as error:
        found.append(f"judge.protocol is none of ours: {shortened(str(error), 200)}")
    if canonical_hash(judge.protocol) != judge.protocol_hash:
        found.append("judge.protocol_hash is not that of judge.protocol")
    for model in bridge.included:
        if vendors_refuse(model.vendor, judge.vendor, official.vendor):
            found.append(f"models: {shortened(model.name, 80)} is included, and {model.vendor} trained it and a judge")
    if (items.k is None) != (items.ids is None) or (items.ids is not None and len(set(items.ids)) != items.k):
        found.append("items.ids are not items.k different ids")
    if drift is not None:
        lengths = {len(drift.items), len(drift.verdicts), *(len(asked.verdicts) for asked in drift.asked)}
        if len(lengths) > 1 or canonical_hash(drift.verdicts) != drift.verdicts_hash:
            found.append("drift.verdicts are not those of drift.verdicts_hash")
    for name, metric in bridge.metrics.items():
        if unknown := sorted(set(metric.numbers) - set(names)):
            found.append(f"metrics.{name}.numbers has {shortened(unknown[0], 80)}, which models does not list")
    return found


def _not_computed(bridge: Bridge) -> list[str]:
    """Where the computed fields are not those of the numbers beside them."""
    found = []
    for name, metric in bridge.metrics.items():
        names = fitted_names(metric.numbers, bridge.models)
        try:
            again = _results(fit_metric(metric, bridge.models), names)
        except ValueError as error:
            found.append(f"metrics.{name}: {error}")
            continue
        for field, value in again.items():
            stored, computed = msgspec.to_builtins(getattr(metric, field)), msgspec.to_builtins(value)
            if place := _disagreement(stored, computed, field):
                found.append(f"metrics.{name}.{place} is not what its numbers give")
    return found


def _disagreement(stored: Any, computed: Any, place: str) -> str | None:
    """The place of the first difference of two values, within rounding of numbers; ``None`` if there is none."""
    if isinstance(stored, Mapping) and isinstance(computed, Mapping):
        pairs = [(stored.get(key), computed.get(key), f"{place}.{key}") for key in {**stored, **computed}]
    elif isinstance(stored, list | tuple) and isinstance(computed, list | tuple):
        if len(stored) != len(computed):
            return place
        pairs = [(s, c, f"{place}.{n}") for n, (s, c) in enumerate(zip(stored, computed, strict=True))]
    elif isinstance(stored, float) or isinstance(computed, float):
        numbers = isinstance(stored, int | float) and isinstance(computed, int | float)
        near = numbers and abs(stored - computed) <= max(RELATIVE * abs(computed), ABSOLUTE)
        return None if near else place
    else:
        return None if stored == computed else place
    return next(filter(None, (_disagreement(*pair) for pair in pairs)), None)
