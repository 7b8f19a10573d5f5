"""Which noise the intervals of judged scores hold: items, answers, orders, repeats, and the judges of a jury.

An interval over items holds what varies within an item, too. What it lacks is the effect that a judge has on all items;
with three judges or more that is estimated, and the interval widened by it (``stats.judges_effect``).
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from judgebench.judges.panel import Fold, Member
from judgebench.records import Example, ExampleScore, Judgement, Score
from judgebench.task import Task, TaskData
from judgebench.task.metric import MetricSums

if TYPE_CHECKING:
    from judgebench.stats.arrays import FloatArray
    from judgebench.stats.clustered import ClusterTotals
    from judgebench.stats.judges_effect import JudgesEffect

COVERS, LACKS = "interval_covers", "interval_lacks"
"""Keys of a score's details: the sources of noise that its interval holds, and those that it lacks."""
OF_MEMBERS = ("judge=", "judges=")
"""How the groups of scores begin that belong to a part of the panel."""
JUDGES = "judges"
JUDGED_UNITS = ("percent", "points", "rating")
"""Units of what a judge says; lengths and prices are no judge's."""

Key = tuple[str, str | None]
Parts = tuple[list[str], list[str]]
"""The sources of noise that an interval holds, and those that it lacks."""


class _NoFile(Exception):
    """A sum needs an official file, and none is at hand when a run is scored."""


def _no_file(name: str) -> bytes:
    raise _NoFile(name)


def observed(examples: Iterable[Example], judgements: Sequence[Judgement]) -> Parts | None:
    """What an interval over items holds of the noise in these judgements of models, and what it lacks.

    One judgement for each order and repeat says all of it. ``None`` if there is none.
    """
    if not judgements:
        return None
    covers: list[str] = ["items"]
    lacks: list[str] = []
    if any(example.repeat for example in examples):
        covers.append("answers")
    pairs = {judgement.candidate for judgement in judgements if len(judgement.answers) == 2}
    if pairs:
        (covers if len(pairs) == 2 else lacks).append("orders")
    if any(judgement.repeat for judgement in judgements):
        covers.append("repeats")
    return covers, [*lacks, JUDGES]


def held_by_intervals(scores: Iterable[Score]) -> Parts:
    """Return what the intervals of the whole benchmark hold, and what one of them lacks."""
    said = [score.details for score in scores if score.group is None and COVERS in score.details]
    lacks = list(dict.fromkeys(name for details in said for name in details[LACKS]))
    covers = dict.fromkeys(name for details in said for name in details[COVERS])
    return [name for name in covers if name not in lacks], lacks


def with_noise(
    scores: Sequence[Score],
    noise: Parts,
    task: Task,
    data: TaskData,
    members: Sequence[Member],
    fold: Fold,
) -> list[Score]:
    """Widen intervals by the effect of a jury's judges, and say in the details what each interval holds.

    ``noise`` is what was :func:`observed` in the judgements of models; ``members`` are the panel's, and ``fold`` makes
    the panel's numbers.
    """
    covers, lacks = noise
    effects = _judges_effects(scores, task, data, members, fold)
    return [_settled(score, covers, lacks, effects.get((score.metric, score.group)), task) for score in scores]


def _settled(score: Score, covers: list[str], lacks: list[str], effect: "JudgesEffect | None", task: Task) -> Score:
    if score.low is None or score.high is None or score.value is None or score.level is None:
        return score
    if score.unit not in JUDGED_UNITS:
        return score
    if effect is None:
        return _saying(score, covers, lacks)
    covers, lacks = [*covers, JUDGES], [name for name in lacks if name != JUDGES]
    if not effect.stderr:
        return _saying(score, covers, lacks)
    low, high = effect.widened(score.value, score.low, score.high, score.level)
    if (limits := task.metric(score.metric, score.unit).limits) is not None:
        low, high = max(low, min(limits[0], score.low)), min(high, max(limits[1], score.high))
    stderr = None if score.stderr is None else float((score.stderr**2 + effect.stderr**2) ** 0.5)
    method = f"{score.method}; widened by the spread of {effect.judges} judges"
    widened = msgspec.structs.replace(score, low=low, high=high, stderr=stderr, method=method)
    return _saying(widened, covers, lacks, judges_stderr=effect.stderr)


def _saying(score: Score, covers: list[str], lacks: list[str], **more: float) -> Score:
    return msgspec.structs.replace(score, details={**score.details, COVERS: covers, LACKS: lacks, **more})


def _judges_effects(
    scores: Sequence[Score], task: Task, data: TaskData, members: Sequence[Member], fold: Fold
) -> Mapping[Key, "JudgesEffect"]:
    """Estimate the effect of the judges on each score of the whole panel; none with fewer than three judges."""
    from judgebench.stats.judges_effect import LEAST_JUDGES

    by_judge: dict[str, list[Member]] = {}
    for member in members:
        by_judge.setdefault(member.judge, []).append(member)
    if len(by_judge) < LEAST_JUDGES:
        return {}
    sums: list[Mapping[Key, _Linear]] = []
    values = []
    for own in by_judge.values():
        rows = [row for row in fold(own) if row.value is not None]
        first = sums[0] if sums else {}
        sums.append({key: _linear(totals, first.get(key)) for key, totals in _sums(task, data, rows).items()})
        values.append({(score.metric, score.group): score.value for score in task.scores(data, rows)})
    found: dict[Key, JudgesEffect] = {}
    for score in scores:
        key, plain = (score.metric, score.group), task.metric(score.metric, score.unit).without_control
        if score.group is not None and score.group.startswith(OF_MEMBERS):
            continue
        # Where a fit cannot be linearised without its files, its judges disagree about items as in the plain number.
        about = next((k for k in (key, (plain or "", score.group)) if all(k in own for own in sums)), None)
        if about is not None and all(own.get(key) is not None for own in values):
            effect = _effect([own[key] for own in values], [own[about] for own in sums])
            found |= {} if effect is None else {key: effect}
    return found


def _sums(task: Task, data: TaskData, rows: Sequence[ExampleScore]) -> MetricSums:
    try:
        return task.sums(data.examples, rows, _no_file)
    except _NoFile:
        return {(m.name, None): m.mean_sums(data.examples, rows) for m in task.metrics if m.is_mean}


class _Linear(NamedTuple):
    """The linear part of a judge's number."""

    items: NDArray[np.generic]
    """In ascending order."""
    influences: "FloatArray | None"
    """Each item's; ``None`` if there is no number."""


def _linear(totals: "ClusterTotals", like: "_Linear | None") -> _Linear:
    """The linear part of sums; the names of items are those of ``like`` if they are the same, and so kept once."""
    same = like is not None and np.array_equal(like.items, totals.clusters)
    items = like.items if like is not None and same else totals.clusters
    return _Linear(items, None if totals.value is None else totals.influence())


def _effect(values: Sequence[float | None], sums: "Sequence[_Linear]") -> "JudgesEffect | None":
    """The effect on one score; ``None`` if too few items have a value by every judge."""
    from judgebench.stats.judges_effect import judges_effect

    if any(own.influences is None for own in sums):
        return None
    items = reduce(np.union1d, [own.items for own in sums])
    if len(items) < 2:
        return None
    # An item without a value by some judge takes no part in that judge's number.
    parts = np.zeros((len(sums), len(items)))
    for row, own in zip(parts, sums, strict=True):
        row[np.searchsorted(items, own.items)] = own.influences
    return judges_effect([value or 0.0 for value in values], parts)
