"""Applies a judge bridge to a finished run: the official number, predicted from the judge of today.

The rules R1 to R9 are ``stats.bridge_rules``; here they get what they need of a run. A run of another protocol is no
refusal but a mistake: :func:`require_same_protocol` raises :class:`UsageError` and names the fields.
"""

import random
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from judgebench.codec import canonical_hash
from judgebench.display import printable, shortened
from judgebench.errors import UsageError
from judgebench.models.trained_by import base_vendor_of, vendor_of
from judgebench.records import PREDICTED, Score
from judgebench.run.bridge_files import Bridge, rule_of_vendors
from judgebench.run.folder import TaskManifest
from judgebench.run.loading import MISSING_LIMIT, too_many
from judgebench.run.manifests import lacking
from judgebench.run.protocol import differing
from judgebench.run.reading import Run, TaskRun
from judgebench.stats.bridge import METHOD, BridgeFit, PredictedDifference, Prediction
from judgebench.stats.bridge_rules import WORDS, Findings, completeness_rule, own_model_rule
from judgebench.stats.intervals import interval_fields

SERVED, ITEMS = "served_model", "examples"
FIELDS = {
    "prompt_and_rule": "the judge's prompt and reading rule",
    "prompt": "the judge's prompt",
    "reading": "how its verdict is read",
    "sampling": "how it is sampled",
    "model": "the judge's model",
    "served_model": "the model that its endpoint reports",
    "judges": "the judge",
    "baselines": "the answers that are compared with",
    "sources": "the benchmark's files",
    "options": "the benchmark's options",
    "judge_repeats": "how often the judge is asked",
    "own_judge": "a judge of the user's own",
    "content": "the text of the examples",
    "stop_when": "a rule to stop early",
}
"""What fields of a protocol are, in words."""
HASH = re.compile(r"[0-9a-f]{32}")
MOST_DETAILS = 20_000
Population = Callable[[], Sequence[str]]
"""Reads the ids of all items of the benchmark; asked only of a run on a part of them."""


class OtherProtocol(UsageError):
    """A run was not judged as a bridge's models were; ``differences`` names the fields, with both values."""

    def __init__(self, message: str, differences: str) -> None:
        super().__init__(message)
        self.differences = differences


@dataclass(frozen=True, kw_only=True)
class JudgedRun:
    """What a bridge needs of a run: one task of it, with its scores."""

    task_manifest: TaskManifest
    scores: Mapping[str, Score]
    """Over all examples, by metric."""
    names: tuple[str, ...]
    """What the model is called; the first is shown."""
    population: Population | None = None
    means: Collection[str] = ()
    """Its metrics that are plain means over the items, which a random part of them estimates without bias."""

    @classmethod
    def of(cls, run: Run, task_run: TaskRun, population: Population | None = None) -> "JudgedRun":
        """One task of a finished run."""
        return cls(
            task_manifest=task_run.task_manifest,
            scores=task_run.overall,
            names=tuple(dict.fromkeys((run.manifest.candidate, run.manifest.shown_name))),
            population=population,
            means=_means(task_run),
        )


@dataclass(frozen=True)
class OfficialNumber:
    """A metric of a run as the official judge would give it: predicted, never measured."""

    bridge: Bridge
    metric: str
    unit: str
    judged: float | None
    """By the judge of today."""
    prediction: Prediction
    level: float
    n: int
    n_missing: int

    @property
    def marks(self) -> tuple[str, ...]:
        """In words: what must stand beside the number."""
        return tuple(WORDS[mark] for mark in self.prediction.marks)

    @property
    def reason(self) -> str | None:
        """In words: why it is refused, or would be without ``--force``."""
        return "; ".join(WORDS[reason] for reason in self.prediction.reasons) or None

    def score(self, task: str) -> Score:
        """The number as a row of ``scores.json``."""
        found = self.prediction
        value = None if found.value is None else float(found.value)
        return Score(
            task=task,
            metric=self.metric + PREDICTED,
            value=value,
            unit=self.unit,
            **interval_fields(found.interval),
            method=METHOD,
            n=self.n,
            n_missing=self.n_missing,
            reason=self.reason if value is None else None,
            details={
                "bridge": self.bridge.name,
                "bridge_hash": self.bridge.hash,
                "judge": self.bridge.judge_shown,
                "official_judge": self.bridge.official_shown,
                "judged": self.judged,
                "models": self.bridge.fits[self.metric].n,
                "status": found.status,
                "reasons": list(found.reasons),
                "marks": list(found.marks),
            },
        )


def predict(bridge: Bridge, run: JudgedRun, *, metric: str, level: float = 0.95, force: bool = False) -> OfficialNumber:
    """The official number of a run's metric, or why there is none.

    Raises :class:`UsageError` for a metric that the bridge does not have, and for a run of another protocol (R3).
    """
    fit, score = _fit(bridge, metric), run.scores.get(metric)
    require_same_protocol(bridge, run.task_manifest, run.population)
    n, missing = (score.n, score.n_missing) if score else (0, bridge.items.n)
    found, stderr = _of_run(bridge, run, score)
    if score is None or score.value is None:
        none = Findings(("incomplete",)) + found
        prediction = Prediction(None, None, none.reasons, none.marks, None, None, None, None)
    else:
        try:
            prediction = fit.predict(score.value, level, judged_stderr=stderr, findings=found, force=force)
        except ValueError as error:
            raise UsageError(
                f"{shortened(run.names[0], 80)}: {metric} is {score.value:g}, which no number on the bridge's scale "
                f"can be ({error}). Score the run again with `judgebench score`"
            ) from error
    unit, judged = bridge.metrics[metric].unit, score.value if score else None
    return OfficialNumber(bridge, metric, unit, judged, prediction, level, n, missing)


def predict_all(bridge: Bridge, run: JudgedRun, *, level: float = 0.95, force: bool = False) -> list[OfficialNumber]:
    """The official numbers of all metrics of the bridge. Raises :class:`UsageError` for a run of another protocol."""
    return [predict(bridge, run, metric=metric, level=level, force=force) for metric in bridge.metric_names]


def difference(
    bridge: Bridge, first: JudgedRun, second: JudgedRun, *, metric: str, level: float = 0.95, force: bool = False
) -> PredictedDifference:
    """How two runs differ officially: first less second, on the logit scale. They share the bridge's errors.

    Raises what :func:`predict` raises. A run without the metric, or on a part of the items, is refused.
    """
    fit, found, judged = _fit(bridge, metric), Findings(), []
    for run in (first, second):
        require_same_protocol(bridge, run.task_manifest, run.population)
        score = run.scores.get(metric)
        findings, stderr = _of_run(bridge, run, score)
        found += findings
        if score is None or score.value is None or stderr:
            found += Findings(("incomplete",))
        else:
            judged.append(score.value)
    if len(judged) < 2:
        return PredictedDifference(None, None, None, None, None, found.reasons, found.marks)
    return fit.difference(judged[0], judged[1], level, findings=found, force=force)


def from_official(
    bridge: Bridge, run: JudgedRun, official: float, *, metric: str, level: float = 0.95, force: bool = False
) -> PredictedDifference:
    """How a run differs from a model whose official number is published: run less model, on the logit scale.

    Raises what :func:`predict` raises. A run without the metric, or on a part of the items, is refused.
    """
    fit, score = _fit(bridge, metric), run.scores.get(metric)
    require_same_protocol(bridge, run.task_manifest, run.population)
    found, stderr = _of_run(bridge, run, score)
    if score is None or score.value is None or stderr:
        found += Findings(("incomplete",))
        return PredictedDifference(None, None, None, None, None, found.reasons, found.marks)
    return fit.from_official(score.value, official, level, findings=found, force=force)


def _means(task_run: TaskRun) -> tuple[str, ...]:
    try:
        return tuple(metric.name for metric in task_run.task.metrics if metric.is_mean)
    except UsageError:
        return ()


def _fit(bridge: Bridge, metric: str) -> BridgeFit:
    if metric not in bridge.metrics:
        raise UsageError(
            f"the bridge {shortened(bridge.name, 80)} has no {shortened(metric, 80)}; it has "
            f"{', '.join(bridge.metrics) or 'no metric'}"
        )
    return bridge.fits[metric]


# -- the rules, for a run


def _of_run(bridge: Bridge, run: JudgedRun, score: Score | None) -> tuple[Findings, float]:
    """What R4, R6 and R9 say of a run, and the standard error of its number from the choice of items."""
    same, stderr = _items_rule(bridge, run, score)
    found = vendors_rule(bridge, run.names) + same + bridge.findings
    if lacking(run.task_manifest.counts):
        found += Findings(("incomplete",))
    own = bridge.model(*run.names)
    return found + own_model_rule(fitted=own is not None and own.included), stderr


def vendors_rule(bridge: Bridge, names: Iterable[str]) -> Findings:
    """R4 for a new model, which any of its names may give away; the bridge's own file knows its models best."""
    names = tuple(names)
    known = bridge.model(*names)
    pairs = (
        [(known.vendor, known.base_vendor)] if known else [(vendor_of(name), base_vendor_of(name)) for name in names]
    )
    found = Findings()
    for vendor, base in pairs:
        found += rule_of_vendors(vendor, bridge.judge.vendor, bridge.official.vendor, base)
    return found


def _items_rule(bridge: Bridge, run: JudgedRun, score: Score | None) -> tuple[Findings, float]:
    """R6: missing verdicts; and the standard error that a random part of the items gives the number."""
    n, missing = (score.n, score.n_missing) if score else (0, 1)
    part, stderr, whole = asked_items(run.task_manifest.protocol)[0], 0.0, True
    if part < bridge.items.n:
        whole = score is not None and score.metric in run.means and score.stderr is not None
        stderr = (score.stderr or 0.0) * (1 - part / bridge.items.n) ** 0.5 if score and whole else 0.0
    total = max(n + missing, 1)
    enough = whole and not too_many(missing, total)
    return completeness_rule(missing, total, MISSING_LIMIT, same_items=enough), stderr


def asked_items(protocol: Mapping[str, Any]) -> tuple[int, str | None]:
    """How many examples a run was on, and the hash of their ids."""
    examples = protocol.get("examples")
    examples = examples if isinstance(examples, Mapping) else {}
    n, ids = examples.get("n"), examples.get("ids")
    return n if isinstance(n, int) else 0, ids if isinstance(ids, str) else None


def drawn_items(ids: Iterable[str], seed: int) -> list[str]:
    """All ids in the order in which a bridge draws random parts: the first k are its random part of k items.

    >>> drawn_items(["a", "b", "c", "d"], 0)
    ['c', 'a', 'b', 'd']
    """
    order = sorted(ids)
    random.Random(seed).shuffle(order)
    return order


def _same_items(bridge: Bridge, protocol: Mapping[str, Any], population: Population | None) -> bool:
    """Whether a run is on the bridge's items: all of them, or the first of its random order, which nobody chose."""
    n, ids = asked_items(protocol)
    items = bridge.items
    if n == items.n and items.ids_hash in (None, ids):
        return True
    if items.ids is not None and ids == canonical_hash(sorted(items.ids)):
        return True
    if not 1 < n < items.n or population is None:
        return False
    every = population()
    drawn = drawn_items(every, items.seed)[:n]
    return canonical_hash(sorted(every)) == items.ids_hash and canonical_hash(sorted(drawn)) == ids


# -- R3


def bridge_protocol(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """What of a run's protocol must be equal to the bridge's: all but which items were asked, which R6 is about."""
    # As in a file: a run that is just being made has tuples where a stored one has lists.
    protocol = msgspec.json.decode(msgspec.json.encode(protocol))
    kept = {name: value for name, value in protocol.items() if name != "examples"}
    examples = protocol.get("examples")
    if isinstance(examples, Mapping) and "content" in examples:
        kept["examples"] = {"content": examples["content"]}
    return kept


def served_model(task_manifest: TaskManifest) -> str | None:
    """The name that the judge's endpoint reported, or the names of several; ``None`` if nobody noted it."""
    return ", ".join(sorted(task_manifest.judge_models_returned)) or None


def unlike(bridge: Bridge, task_manifest: TaskManifest, population: Population | None = None) -> list[str]:
    """R3: the protocol fields in which a run differs from the bridge's; ``examples`` if it is on other items.

    Without a ``population``, no part of the items but the bridge's own counts as random.
    """
    known = {name: value for name, value in bridge.judge.protocol.items() if name not in bridge.judge.unknown}
    given = {name: value for name, value in task_manifest.protocol.items() if name not in bridge.judge.unknown}
    fields = differing(known, bridge_protocol(given))
    if "task" in fields:
        return ["task"]
    served = bridge.judge.served_model, served_model(task_manifest)
    if None not in served and served[0] != served[1]:
        fields.append(SERVED)
    return fields if _same_items(bridge, task_manifest.protocol, population) else [*fields, ITEMS]


def require_same_protocol(bridge: Bridge, task_manifest: TaskManifest, population: Population | None = None) -> None:
    """Raise :class:`UsageError`, which names the fields, if a run was not judged as the bridge's models were (R3)."""
    fields = unlike(bridge, task_manifest, population)
    if not fields:
        return
    values = (f"{name} ({_said(bridge, task_manifest, name)})" for name in fields[:6])
    more = f" and {len(fields) - 6} more" if len(fields) > 6 else ""
    differences = f"{', '.join(values)}{more}"
    raise OtherProtocol(
        f"the bridge {shortened(bridge.name, 80)} is for another protocol than this run of "
        f"{task_manifest.name}@{task_manifest.version}: they differ in {differences}. Judge the run as the "
        "bridge's models were judged (`judgebench bridge show` says how), or make a bridge for this protocol; "
        "`judgebench -v` shows the values",
        differences,
    ) from ValueError(_details(bridge, task_manifest, fields))


def _details(bridge: Bridge, task_manifest: TaskManifest, fields: Iterable[str]) -> str:
    """Both values of each field as they are stored, for ``-v``."""
    pairs = {name: _pair(bridge, task_manifest, name) for name in fields if name != ITEMS}
    return printable(msgspec.json.encode(pairs).decode())[:MOST_DETAILS]


def _said(bridge: Bridge, task_manifest: TaskManifest, name: str) -> str:
    """What the bridge and the run say of a protocol field."""
    if name == ITEMS:
        n = asked_items(task_manifest.protocol)[0]
        same = " others" if n == bridge.items.n else f" {n:,}"
        return f"{bridge.items.n:,} items in the bridge,{same} in the run"
    bridged, run = _pair(bridge, task_manifest, name)
    what = FIELDS.get(name.rpartition(".")[2], FIELDS.get(name.partition(".")[0]))
    said = f"{_value(bridged, 'one')} in the bridge, {_value(run, 'another')} in the run"
    return f"{what}: {said}" if what else said


def _pair(bridge: Bridge, task_manifest: TaskManifest, name: str) -> tuple[Any, Any]:
    if name == SERVED:
        return bridge.judge.served_model, served_model(task_manifest)
    return _at(bridge.judge.protocol, name), _at(task_manifest.protocol, name)


def _value(value: Any, otherwise: str) -> str:
    """A value in words: only a short name or number says anything to people."""
    if value is None:
        return "none"
    plain = isinstance(value, str | int | float) and not HASH.search(str(value))
    return shortened(str(value), 80) if plain and str(value) else otherwise


def _at(protocol: Any, dotted: str) -> Any:
    """The value at a dotted name, as ``protocol.differing`` writes it; a key may hold a dot itself."""
    if not isinstance(protocol, Mapping):
        return None
    if dotted in protocol:
        return protocol[dotted]
    for key, value in protocol.items():
        if dotted.startswith(f"{key}."):
            return _at(value, dotted[len(key) + 1 :])
    return None
