"""How the samples of two runs differ one by one: which changed, by how much, and in which groups."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from judgebench.display import printable
from judgebench.report.address import address
from judgebench.report.collect import DIGITS, Report, TaskReport
from judgebench.report.plots import Part, sorted_changes, stack

MOST_GROUPS = 60
MOST_RUNS = 4
"""Of more runs only the counts are shown, and no groups and plots."""
SORTS = (("down", "part-bad", "lower"), ("same", "part-even", "the same"), ("up", "part-good", "higher"))
"""Ways in which a sample may have changed: how addresses call it, its colour, and in words."""


@dataclass(frozen=True)
class ChangeRow:
    """How many samples of a group changed in which way."""

    group: str
    cells: tuple[tuple[int, str], ...]
    """Of lower, the same and higher in the second run: how many samples, and where they are."""
    plot: Markup


@dataclass(frozen=True)
class Changes:
    """Two runs of a task, sample by sample."""

    measure: str
    first: str
    second: str
    plot: Markup
    told: str
    flips: tuple[str, str]
    """What to look at first, and where that is: samples that ended otherwise, or changed where none has such an end.
    Empty where nothing changed."""
    rows: tuple[ChangeRow, ...]


def changes_of(report: Report, task: TaskReport, first: int, second: int) -> Changes | None:
    """How samples changed from one of the task's runs to another, by their places; ``None`` without values."""
    values = [{} if (measure := task.measure_of(place)) is None else measure.values for place in (first, second)]
    found = {
        name: round(values[1][name] or 0.0, DIGITS) - round(values[0][name] or 0.0, DIGITS)
        for name in in_both(task, first, second)
    }
    if not found or task.measure is None:
        return None
    runs = {"run": task.runs[first], "vs": task.runs[second]}
    whole = _row(task, "", list(found.values()), runs)
    groups = list(_by_group(task, found).items())
    counts = [count for count, _ in whole.cells]
    changed = len(found) - counts[1]
    names = [report.names[task.runs[place]] for place in (first, second)]
    told = f"{changed:,} of {len(found):,} samples changed: {counts[2]:,} are higher in {names[1]}, {counts[0]:,} lower"
    title = f"changes of {task.measure}, the largest loss first"
    few, parts = len(task.runs) <= MOST_RUNS, _parts(whole.cells, len(found))
    return Changes(
        measure=task.measure,
        first=names[0],
        second=names[1],
        plot=sorted_changes(list(found.values()), parts, title, told) if few else Markup(""),
        told=told,
        flips=_flips(task, first, second, runs) if changed else ("", ""),
        rows=(whole, *(_row(task, group, own, runs) for group, own in groups[:MOST_GROUPS] if few)),
    )


def _flips(task: TaskReport, first: int, second: int, runs: Mapping[str, int]) -> tuple[str, str]:
    ends, others = task.outcomes(first), task.outcomes(second)
    flipped = any(others.get(name, end) != end for name, end in ends.items())
    words = "All flips, the largest change first" if flipped else "All that changed, the largest change first"
    return words, address("samples", task.label, **runs, v="flip" if flipped else "changed", s="delta")


def in_both(task: TaskReport, first: int, second: int) -> list[str]:
    """The samples that have a value in both of two runs, by their places."""
    values = [{} if (measure := task.measure_of(place)) is None else measure.values for place in (first, second)]
    return [name for name in task.examples if all(own.get(name) is not None for own in values)]


def _by_group(task: TaskReport, found: Mapping[str, float]) -> dict[str, list[float]]:
    """The changes of each group, if there are several of its kind."""
    groups: dict[str, list[float]] = {}
    for name, change in found.items():
        for group in task.grouped[name]:
            groups.setdefault(group, []).append(change)
    kinds = Counter(group.partition("=")[0] for group in groups)
    return {group: own for group, own in groups.items() if kinds[group.partition("=")[0]] > 1}


def _row(task: TaskReport, group: str, own: Sequence[float], runs: Mapping[str, int]) -> ChangeRow:
    counts = [sum(change < 0 for change in own), sum(change == 0 for change in own), sum(change > 0 for change in own)]
    cells = tuple(
        (count, address("samples", task.label, **runs, v=way, cat=group, s="delta"))
        for count, (way, _, _) in zip(counts, SORTS, strict=True)
    )
    return ChangeRow(group, cells, stack(_parts(cells, len(own)), f"changes of {group or 'all samples'}"))


def _parts(cells: Sequence[tuple[int, str]], total: int) -> list[Part]:
    return [
        Part(f"{count:,} {words}", count / total, kind, f"{count:,}", href)
        for (count, href), (_, kind, words) in zip(cells, SORTS, strict=True)
    ]


# -- what else differs


def settings_that_differ(report: Report, task: TaskReport) -> list[tuple[str, tuple[str, ...]]]:
    """How runs of one protocol were made otherwise: setting, and its value in each run."""
    listed = [dict(_settings(report, task, place)) for place in range(len(task.runs))]
    names = dict.fromkeys(name for own in listed for name in own)
    rows = [(name, tuple(own.get(name, "–") for own in listed)) for name in names]
    return [
        (printable(name, 100), tuple(printable(one, 300) for one in own)) for name, own in rows if len(set(own)) > 1
    ]


def _settings(report: Report, task: TaskReport, place: int) -> Iterator[tuple[str, str]]:
    own, manifest = task.opened[place].task.task_manifest, report.runs[task.runs[place]].manifest
    yield from _flat("", {name: value for name, value in own.inputs.items() if name not in own.protocol})
    for name, version in manifest.versions.items():
        yield f"version of {name}", str(version)


def _flat(before: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(f"{before}.{name}" if before else str(name), inner)
    else:
        yield before, str(value)
