"""Tables of official numbers that a judge bridge predicts for runs, which stand below those of measured ones.

Predicted rows are ranked among themselves only. If a user asks for it (``--rank-predicted``) they are merged with the
published rows, whose numbers are the official ones that they predict; each then has the ranks that its interval leaves
open.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf

import msgspec

from judgebench.analysis.leaderboard import Group, LeaderboardRow, known_task, rows_of, value_of
from judgebench.analysis.published import of_same_table, official_task
from judgebench.errors import UsageError
from judgebench.records import PREDICTED, BridgeUsed
from judgebench.run.bridge_files import Bridge
from judgebench.run.bridging import JudgedRun, difference, predict_all, require_same_protocol, unlike
from judgebench.run.predicting import Bridges, bridge_used, in_order, marks_of, predicted_row
from judgebench.run.reading import Run, TaskRun
from judgebench.run.run_tasks import NO_FILES
from judgebench.tasks import is_among


@dataclass(frozen=True)
class Predicted:
    """A run with its predicted numbers."""

    row: LeaderboardRow
    judged: JudgedRun
    protocol_hash: str


def with_predictions(
    groups: Sequence[Group],
    runs: Sequence[Run],
    bridges: Bridges,
    *,
    task: str | None = None,
    published: Sequence[LeaderboardRow] = (),
    merged: bool = False,
    force: bool = False,
) -> tuple[list[Group], list[str]]:
    """The groups, each with the predicted one of its runs below it; and why runs were not predicted.

    ``merged`` places predicted rows among the ``published`` ones. Raises :class:`UsageError` if no run was judged as a
    bridge's models were.
    """
    found, notes = list(groups), []
    for label, bridge in bridges.by_task.items():
        held = [(run, one) for run in runs for one in run.tasks.values() if _is_wanted(one, label, task)]
        predicted, why = _predicted(bridge, bridges, held, force=force)
        notes += why
        made = _group(bridge, bridges, predicted, merged=merged)
        if merged:
            official = _official(predicted[0], published)
            made = _merged(made, official, bridge, bridges, predicted) if official else made
        place = _place(found, label, {one.protocol_hash for one in predicted})
        found.insert(place, made)
    return found, notes


def metrics_shown(bridge: Bridge) -> list[str]:
    """A bridge's metrics in the order in which its task's tables show them."""
    headline = _headline(bridge)
    return sorted(bridge.metrics, key=lambda name: headline.index(name) if name in headline else len(headline))


def _headline(bridge: Bridge) -> tuple[str, ...]:
    task = known_task(bridge.label, NO_FILES)
    return () if task is None else task.headline


def _is_wanted(run: TaskRun, label: str, task: str | None) -> bool:
    manifest = run.task_manifest
    return f"{manifest.name}@{manifest.version}" == label and is_among(task, run.names)


def _predicted(
    bridge: Bridge, bridges: Bridges, held: Sequence[tuple[Run, TaskRun]], *, force: bool
) -> tuple[list[Predicted], list[str]]:
    """The runs that were judged as the bridge's models were, each once; and in what the others differ."""
    found: dict[str, Predicted] = {}
    notes = []
    for run, one in held:
        manifest = one.task_manifest
        population = bridges.population(manifest)
        if fields := unlike(bridge, manifest, population):
            notes.append(
                f"{run.path}: not predicted by the bridge {bridge.name}, because its protocol differs in "
                f"{', '.join(fields[:6])}"
            )
            continue
        judged = JudgedRun.of(run, one, population)
        numbers = in_order(predict_all(bridge, judged, level=bridges.level, force=force), _headline(bridge))
        scores = [predicted_row(number, manifest.name) for number in numbers]
        marks = dict.fromkeys(mark for score in scores for mark in marks_of(score))
        (row,) = (row for row in rows_of(run) if row.task == bridge.label)
        row = msgspec.structs.replace(
            row, kind="predicted", scores={score.metric: score for score in scores}, flags=tuple(marks), lacks=""
        )
        found.setdefault(str(run.path), Predicted(row, judged, manifest.protocol_hash))
    if not found:
        if not held:
            raise UsageError(f"the bridge {bridge.name} is of {bridge.label}, and no run here holds that task")
        run, one = held[0]
        require_same_protocol(bridge, one.task_manifest, bridges.population(one.task_manifest))
    return list(found.values()), notes


def _group(bridge: Bridge, bridges: Bridges, predicted: Sequence[Predicted], *, merged: bool) -> Group:
    """The predicted rows by themselves, best first, refused ones last; with ranks if these are asked for."""
    metrics = tuple(f"{name}{PREDICTED}" for name in metrics_shown(bridge))
    ranked = sorted(predicted, key=lambda one: _order(one.row, metrics[0]))
    rows = [one.row for one in ranked]
    if merged:
        rows = [_with_ranks(one, ranked, (), bridge, bridges) for one in ranked]
    return Group(
        task=bridge.label,
        headline=metrics,
        rows=tuple(rows),
        differs=(),
        bridge=_used(bridge, bridges, len(rows)),
    )


def _used(bridge: Bridge, bridges: Bridges, rows: int) -> BridgeUsed:
    return bridge_used(bridge, (), bridges.level, "", others=rows - 1)


def _merged(
    group: Group,
    official: Sequence[LeaderboardRow],
    bridge: Bridge,
    bridges: Bridges,
    predicted: Sequence[Predicted],
) -> Group:
    """The predicted rows among the published ones, by the bridge's first metric."""
    metric = group.headline[0].removesuffix(PREDICTED)
    values = [value for row in official if (value := value_of(row, metric)) is not None]
    own = {one.row.origin: _with_ranks(one, predicted, values, bridge, bridges) for one in predicted}
    known = [value_of(row, group.headline[0]) for row in own.values()]
    above = [value for value in (*values, *known) if value is not None]
    others = [
        msgspec.structs.replace(row, rank=None if value is None else 1 + _greater(above, value))
        for row, value in ((row, value_of(row, metric)) for row in official)
    ]
    rows = sorted((*own.values(), *others), key=lambda row: _order(row, metric, group.headline[0]))
    return msgspec.structs.replace(
        group, headline=(metric, group.headline[0]), rows=tuple(rows), table=official[0].task
    )


def _official(one: Predicted, published: Sequence[LeaderboardRow]) -> list[LeaderboardRow]:
    """The published rows that the predicted ones may stand among."""
    manifest = one.judged.task_manifest
    task = official_task(one.row.task, manifest.protocol, starter=manifest.starter)
    return [] if task is None else of_same_table(task, published)


def _with_ranks(
    one: Predicted, others: Sequence[Predicted], official: Sequence[float], bridge: Bridge, bridges: Bridges
) -> LeaderboardRow:
    """A predicted row with its rank, and the ranks that are open.

    Against published numbers, which are exact, its own interval decides; against another predicted one the interval of
    their difference, because the two share the bridge's errors. Each holds at the level by itself.
    """
    metric = metrics_shown(bridge)[0]
    name = f"{metric}{PREDICTED}"
    score = one.row.scores[name]
    if score.value is None:
        return one.row
    low, high = (-inf if score.low is None else score.low), (inf if score.high is None else score.high)
    values = [value for other in others if (value := value_of(other.row, name)) is not None]
    rank = 1 + _greater((*values, *official), score.value)
    better = sum(value > high for value in official)
    open_above = sum(value > low for value in official)
    for other in others:
        if other is one or value_of(other.row, name) is None:
            continue
        apart = difference(bridge, one.judged, other.judged, metric=metric, level=bridges.level).interval
        better += apart is not None and apart.high < 0
        open_above += apart is None or apart.low <= 0
    return msgspec.structs.replace(one.row, rank=rank, rank_low=1 + better, rank_high=1 + open_above)


def _greater(values: Iterable[float], value: float) -> int:
    return sum(other > value for other in values)


def _order(row: LeaderboardRow, *metrics: str) -> tuple[bool, float, str]:
    value = next((value for metric in metrics if (value := value_of(row, metric)) is not None), None)
    return value is None, 0.0 if value is None else -value, row.model


def _place(groups: Sequence[Group], label: str, protocols: set[str]) -> int:
    """Behind the last table of the runs that were predicted."""
    for place in reversed(range(len(groups))):
        own = groups[place].measured
        if own is not None and own.task == label and any(row.protocol_hash in protocols for row in groups[place].rows):
            return place + 1
    return len(groups)
