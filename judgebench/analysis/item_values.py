"""Values of single items: what they are, which items have the least and the greatest, and how they are distributed.

An item's value is a metric's number for it (``Metric.value_of``) or, if no metric is a plain mean over items, an
example score by its own name, such as WildBench's ``score``.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from statistics import fmean

from msgspec import Struct

from judgebench.errors import UsageError
from judgebench.records import ExampleScore
from judgebench.task import Task

FEW_VALUES = 6
"""So many different values are counted one by one."""


class Spread(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the items' values of one measure are distributed."""

    measure: str
    unit: str
    n: int
    missing: int
    mean: float | None = None
    quartiles: tuple[float, ...] = ()
    """Least, lower quartile, median, upper quartile, greatest."""
    counts: tuple[tuple[float, int], ...] = ()
    """How often each value occurs, if there are only a few different ones."""


@dataclass(frozen=True)
class Measure:
    """A number that each item has."""

    name: str
    unit: str
    values: Mapping[str, float | None]
    """By example id, in the unit."""
    directed: bool
    """More is better."""


def measures(task: Task | None, rows: Sequence[ExampleScore]) -> dict[str, Measure]:
    """All measures of a run's items by name: the metrics that are means, then the example scores that say more.

    Several rows of one name, such as ``rating#turn-1`` and ``rating#turn-2``, are averaged, as far as they have values.
    Without a task, only the example scores are known, as they were recorded.
    """
    found: dict[str, Measure] = {}
    said: list[Mapping[str, float | None]] = []
    metrics = () if task is None else task.metrics
    for metric in metrics:
        values = metric.values(rows) if metric.is_mean else {}
        if any(value is not None for value in values.values()):
            said.append(values)
            found[metric.name] = Measure(
                metric.name, metric.unit, _scaled(values, metric.scale), metric.direction == "higher"
            )
    by_name: dict[str, dict[str, list[float | None]]] = {}
    for row in rows:
        by_name.setdefault(row.metric.partition("#")[0], {}).setdefault(row.example_id, []).append(row.value)
    for name in sorted(by_name, key=lambda name: is_variant(task, name)):
        listed = by_name[name]
        values = {key: _mean(own) for key, own in listed.items()}
        if name not in found and values not in said:
            like = next((metric for metric in metrics if metric.name == name), None)
            unit, scale = ("", 1.0) if like is None else (like.unit, like.scale)
            found[name] = Measure(name, unit, _scaled(values, scale), directed=True)
    return found


def _scaled(values: Mapping[str, float | None], scale: float) -> dict[str, float | None]:
    return {name: None if value is None else scale * value for name, value in values.items()}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def is_variant(task: Task | None, name: str) -> bool:
    """Whether a score is one of several that differ in a parameter in its name, and not the one that counts."""
    counts = () if task is None else task.pairwise_metrics
    return ":" in name and not any(fnmatchcase(name, pattern) for pattern in counts)


def measure_called(label: str, task: Task | None, found: Mapping[str, Measure], name: str | None) -> Measure | None:
    """Return the measure of that name or, without a name, the first one that is about quality."""
    if name is None:
        directed = [measure for measure in found.values() if measure.directed]
        known = (measure for measure in directed if any(value is not None for value in measure.values.values()))
        return next(iter((*known, *directed, *found.values())), None)
    if name not in found:
        listed = task is not None and any(metric.name == name for metric in task.metrics)
        why = "is not a number of single items" if listed else "is not there"
        raise UsageError(
            f"--metric {name!r:.80}: items of {label} cannot be ordered by it, because it {why}. "
            f"Their numbers are {', '.join(found) or 'none'}"
        )
    return found[name]


def extremes(measure: Measure, among: Collection[str], count: int, *, best: bool) -> list[str]:
    """The items with the least or the greatest values; of equal ones those that come first."""
    known = [
        (value, place, name) for place, name in enumerate(among) if (value := measure.values.get(name)) is not None
    ]
    known.sort(key=lambda entry: (-entry[0] if best else entry[0], entry[1]))
    return [name for _, _, name in known[:count]]


def spread(measure: Measure, among: Collection[str]) -> Spread:
    """Describe how a measure's values are distributed."""
    values = sorted(value for name in among if (value := measure.values.get(name)) is not None)
    counts = Counter(values)
    return Spread(
        measure=measure.name,
        unit=measure.unit,
        n=len(values),
        missing=len(among) - len(values),
        mean=fmean(values) if values else None,
        quartiles=tuple(_quantile(values, share) for share in (0, 0.25, 0.5, 0.75, 1)) if values else (),
        counts=tuple(sorted(counts.items())) if 0 < len(counts) <= FEW_VALUES else (),
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Interpolate between neighbours, as numpy does by default."""
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
