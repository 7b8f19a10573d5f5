"""Official numbers that a judge bridge predicts for a run, as rows beside its measured scores.

``bridging`` has the rules; here bridges are found by name or path, applied when a run is scored, and put into words. A
predicted row's metric ends in ``_official_predicted``, and its details hold whatever is said of it, so that it can be
shown without the bridge.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from judgebench import tasks
from judgebench.codec import canonical_hash
from judgebench.display import printable, reasons, slug
from judgebench.errors import JudgebenchError, UsageError
from judgebench.files import read_bytes
from judgebench.records import PREDICTED, BridgeUsed, Score
from judgebench.run.bridge_files import Bridge, read_bridge
from judgebench.run.bridging import JudgedRun, OfficialNumber, Population, predict_all, require_same_protocol
from judgebench.run.folder import Manifest, TaskManifest
from judgebench.run.loading import LoadedTask, load_task, source_finder
from judgebench.run.settings import Settings
from judgebench.stats.bridge_rules import WORDS

LEVEL = 0.95
MOST_NEIGHBOURS = 1_000
"""Runs beside a run that are looked at for the same bridge."""
MANIFEST_BYTES = 2**24
LOCAL = Settings(tasks="", offline=True)
SEVERAL = (
    "several models were predicted with one bridge: choosing among them by this judge, or training against it, breaks "
    "the bridge, and nothing in the numbers shows it"
)


@dataclass(frozen=True)
class Bridges:
    """The bridges of a command, each of another task."""

    by_task: Mapping[str, Bridge]
    """By the task with its version."""
    level: float = LEVEL
    settings: Settings = LOCAL
    """Where official files are looked for, which say what the whole of a benchmark is."""
    force: bool = False
    """Whether to give numbers that are refused, marked as such."""

    def of(self, task_manifest: TaskManifest) -> Bridge | None:
        """The bridge of a run's task."""
        return self.by_task.get(label_of(task_manifest))

    def require_fitting(self, task_manifests: Iterable[TaskManifest]) -> None:
        """Raise :class:`UsageError` for a bridge of no task of the run, or of another protocol than the run's (R3)."""
        manifests = {label_of(task_manifest): task_manifest for task_manifest in task_manifests}
        self.require_tasks(manifests)
        for label, bridge in self.by_task.items():
            require_same_protocol(bridge, manifests[label], self.population(manifests[label]))

    def require_tasks(self, labels: Collection[str]) -> None:
        """Raise :class:`UsageError` for a bridge of no task of the run, whose tasks have these labels."""
        for label, bridge in self.by_task.items():
            if label not in labels:
                raise UsageError(
                    f"the bridge {printable(bridge.name, 80)} is of {label}, and the run holds {', '.join(labels)}; "
                    f"give a bridge of that task, or leave --bridge out"
                )

    def population(self, task_manifest: TaskManifest) -> Population:
        """Reads the ids of all examples of a run's task."""
        return lambda: whole_ids(task_manifest, self.settings)


NO_BRIDGES = Bridges({})


def in_order(numbers: Sequence[OfficialNumber], headline: Sequence[str]) -> list[OfficialNumber]:
    """The numbers in the order in which their task's tables show metrics; a bridge has them by name."""
    places = {metric: place for place, metric in enumerate(headline)}
    return sorted(numbers, key=lambda number: places.get(number.metric, len(places)))


def label_of(task_manifest: TaskManifest) -> str:
    """The task with its version, as a bridge names it."""
    return f"{task_manifest.name}@{task_manifest.version}"


def open_bridges(
    given: Iterable[str], level: float = LEVEL, settings: Settings = LOCAL, *, force: bool = False
) -> Bridges:
    """Read the bridges that a user names by their paths, or by the names of those that come with the program.

    Raises :class:`UsageError` for a bridge that is not there, or a second one of a task.
    """
    level = level / 100 if level >= 1 else level
    if not 0 < level < 1:
        raise UsageError(f"--level {level:g} is no level of an interval; give a number such as 95")
    found: dict[str, Bridge] = {}
    for text in given:
        bridge = read_bridge(Path(text))
        if bridge.label in found:
            raise UsageError(
                f"the bridges {printable(found[bridge.label].name, 80)} and {printable(bridge.name, 80)} are both of "
                f"{bridge.label}; give one bridge for each task"
            )
        found[bridge.label] = bridge
    return Bridges(found, level, settings, force)


# -- when a run is scored


def predicted_scores(
    bridges: Bridges, path: Path, manifest: Manifest, loaded_task: LoadedTask, scores: Sequence[Score]
) -> list[Score]:
    """The rows of a task's predicted official numbers; notes the bridge in the manifest, without writing it.

    Raises :class:`UsageError` if the run was judged by another protocol.
    """
    task_manifest = manifest.tasks[loaded_task.key]
    bridge = bridges.of(task_manifest)
    if bridge is None:
        task_manifest.bridge = None
        return []
    judged = JudgedRun(
        task_manifest=task_manifest,
        scores={score.metric: score for score in scores if score.group is None},
        names=tuple(dict.fromkeys((manifest.candidate, manifest.shown_name))),
        population=bridges.population(task_manifest),
        means=tuple(metric.name for metric in loaded_task.task.metrics if metric.is_mean),
    )
    numbers = in_order(predict_all(bridge, judged, level=bridges.level, force=bridges.force), loaded_task.task.headline)
    others = runs_with(bridge, path, manifest)
    task_manifest.bridge = bridge_used(bridge, numbers, bridges.level, task_manifest.input_hash, others)
    return [predicted_row(number, task_manifest.name, others) for number in numbers]


def whole_ids(task_manifest: TaskManifest, settings: Settings) -> list[str]:
    """Ids of all examples of a run's task, from its official files; none where these cannot be had."""
    spec = tasks.TaskSpec(
        task_manifest.name,
        task_manifest.version,
        {name: str(value) for name, value in task_manifest.options.items()},
    )
    try:
        whole = load_task(spec, source_finder(settings), starter=task_manifest.starter)
    except JudgebenchError:
        return []
    return [example.id for example in whole.data.examples]


def bridge_used(
    bridge: Bridge, numbers: Sequence[OfficialNumber], level: float, input_hash: str, others: int = 0
) -> BridgeUsed:
    """The manifest's section on a bridge."""
    return BridgeUsed(
        name=bridge.name,
        hash=bridge.hash,
        judge=bridge.judge_named,
        official_judge=bridge.official_shown,
        level=level,
        status={name: metric.status for name, metric in bridge.metrics.items()},
        marks={number.metric: number.prediction.marks for number in numbers},
        input_hash=canonical_hash([input_hash, bridge.hash]),
        others=others,
    )


def predicted_row(number: OfficialNumber, task: str, others: int = 0) -> Score:
    """A predicted number as a row of ``scores.json``, with what the bridge's own models say of it."""
    row, loo = number.score(task), number.bridge.fits[number.metric].loo
    about = {
        "judge": number.bridge.judge_named,
        "left_out": len(loo.models),
        "inside": sum(model.covered95 for model in loo.models),
        "mean_error": loo.mean_absolute_error,
        "mean_error_of_the_judge": loo.raw_mean_absolute_error,
        "other_models": others,
    }
    return replace(row, details={**row.details, **about})


class _OfTask(msgspec.Struct):
    bridge: BridgeUsed | None = None


class _Neighbour(msgspec.Struct):
    candidate_identity: str
    tasks: dict[str, _OfTask]


def runs_with(bridge: Bridge, path: Path, manifest: Manifest) -> int:
    """How many other models in the folders beside a run were predicted with the same bridge."""
    by_model = path.parent.name == slug(manifest.candidate)
    places = path.parent.parent.glob("*/*/manifest.json") if by_model else path.parent.glob("*/manifest.json")
    found: set[str] = set()
    for place in islice(places, MOST_NEIGHBOURS):
        try:
            seen = msgspec.json.decode(read_bytes(place, MANIFEST_BYTES), type=_Neighbour)
        except (OSError, ValueError, RecursionError):
            continue
        if any(task.bridge is not None and task.bridge.hash == bridge.hash for task in seen.tasks.values()):
            found.add(seen.candidate_identity)
    return len(found - {manifest.candidate_identity})


# -- in words


def approximately(score: Score) -> str:
    """A predicted value with its interval, or why there is none.

    >>> about = dict(task="t", metric="win_rate_official_predicted", unit="percent", n=805)
    >>> approximately(Score(value=38.5579, low=30.2935, high=47.5392, level=0.95, **about))
    '≈ 38.6 (30.3 to 47.5)'
    >>> approximately(Score(value=None, reason="the vendor trained it", **about))
    'refused'
    """
    return "refused" if score.value is None else about(score.value, score.low, score.high)


def about(value: float, low: float | None, high: float | None, *, signed: bool = False) -> str:
    """A predicted number with its interval, marked as such.

    >>> about(7.2, -0.9, 15.2, signed=True)
    '≈ +7.2 (-0.9 to +15.2)'
    """
    bounds = (
        "" if low is None or high is None else f" ({rounded(low, signed=signed)} to {rounded(high, signed=signed)})"
    )
    return f"≈ {rounded(value, signed=signed)}{bounds}"


def rounded(value: float | None, *, signed: bool = False) -> str:
    """A predicted number has one decimal.

    >>> rounded(-0.01), rounded(2.34, signed=True)
    ('0.0', '+2.3')
    """
    if value is None:
        return "–"
    near = round(value, 1) + 0.0
    return f"{near:+.1f}" if signed and near else f"{near:.1f}"


def measured_name(score: Score) -> str:
    """The metric that a predicted one predicts."""
    return score.metric.removesuffix(PREDICTED)


def marks_of(score: Score) -> list[str]:
    """What must stand beside a predicted number, in words. The details of a foreign run may be anything."""
    marks, refused = ([*_codes(score.details.get(name))] for name in ("marks", "reasons"))
    forced = [f"{WORDS['forced']}: {'; '.join(WORDS[code] for code in refused)}"] if "forced" in marks else []
    return [*forced, *(WORDS[mark] for mark in marks if mark != "forced")]


def _codes(given: Any) -> list[str]:
    return [code for code in given if isinstance(code, str) and code in WORDS] if isinstance(given, list) else []


def heading(bridge: str, judge: str) -> str:
    """What stands above predicted rows."""
    return f"predicted official (bridge {printable(bridge, 80)}, judge {printable(judge, 80)})"


def sentence(score: Score) -> str:
    """A predicted row in a sentence, as ``eval`` prints it."""
    details = score.details
    official = _text(details.get("official_judge"))
    head = f"official {measured_name(score)} ({official}), predicted: "
    if score.value is None:
        return head + f"refused, because {score.reason or 'the bridge gives no number'}" + _said_by(score)
    level = f"{100 * score.level:g} %" if score.level is not None else "interval"
    bounds = "" if score.low is None else f" ({level}: {rounded(score.low)} to {rounded(score.high)})"
    models = details.get("models")
    text = f"{head}≈ {rounded(score.value)}{bounds}, from {_text(models)} bridge models" + _said_by(score)
    text += _left_out(score)
    return text


def evidence(scores: Sequence[Score]) -> str:
    """What the models of a bridge say of it, for a line below a table of the predicted ``scores`` of one metric."""
    if not scores:
        return ""
    models = _text(scores[0].details.get("models"))
    return f"{measured_name(scores[0])}: from {models} bridge models{_left_out(scores[0])}"


def _left_out(score: Score) -> str:
    """How well the bridge's own models are predicted from the others; empty if nobody knows."""
    left_out, inside = score.details.get("left_out"), score.details.get("inside")
    if not (isinstance(left_out, int) and isinstance(inside, int) and left_out):
        return ""
    text = f"; left out one at a time, {inside} of {left_out} were inside"
    error, raw = score.details.get("mean_error"), score.details.get("mean_error_of_the_judge")
    if isinstance(error, float) and isinstance(raw, float):
        text += f", mean error {rounded(error)} (the judge as it is: {rounded(raw)})"
    return text


def cautions(scores: Sequence[Score]) -> list[str]:
    """The marks of a run's predicted rows, and what to know if the bridge was used for several models, as lines."""
    lines = reasons((measured_name(score), mark) for score in scores for mark in marks_of(score))
    counts = [score.details.get("other_models") for score in scores]
    return lines + ([SEVERAL] if any(isinstance(others, int) and others > 0 for others in counts) else [])


def _said_by(score: Score) -> str:
    judged = score.details.get("judged")
    if not isinstance(judged, int | float):
        return ""
    return f"; {_text(score.details.get('judge'))} itself says {rounded(float(judged))}"


def _text(value: Any) -> str:
    """A short text from details that anybody may have written."""
    return re.sub(r"\s+", " ", printable(str(value), 80))
