"""Groups of samples beside runs: a table whose cells are the darker the higher their number."""

from collections.abc import Mapping
from dataclasses import dataclass

from judgebench.display import figure, interval
from judgebench.records import Score
from judgebench.report.collect import Report, TaskReport

SHADES = 8
FEW = 12
"""So many groups of one run are told well enough by the marks beside their numbers."""


def shown_group(group: str) -> str:
    """A group as a page shows it: of the commonest kind, its value says enough.

    >>> shown_group("category=Coding"), shown_group("turn=2")
    ('Coding', 'turn=2')
    """
    return group.removeprefix("category=") or group


@dataclass(frozen=True)
class HeatCell:
    """The number of one group in one run."""

    value: str
    told: str
    href: str
    shade: int
    """From 0, the lowest of the table."""
    n: int


@dataclass(frozen=True)
class HeatMap:
    """One metric by the groups of one kind."""

    metric: str
    kind: str
    """What the groups are, such as ``category``."""
    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[HeatCell | None, ...]], ...]


def heat_maps(report: Report, task: TaskReport) -> list[HeatMap]:
    """The first metric that has groups, by each kind of them: of several runs, or of many groups."""
    by_run = [{(s.metric, s.group): s for s in opened.task.scores} for opened in task.opened]
    keys = list(
        dict.fromkeys(
            (metric, group)
            for scores in by_run
            for (metric, group), score in scores.items()
            if group is not None and "=" in group and score.value is not None
        )
    )
    kinds = list(dict.fromkeys(group.partition("=")[0] for _, group in keys))
    found = []
    for kind in kinds:
        own = [(metric, group) for metric, group in keys if group.partition("=")[0] == kind]
        groups = [group for metric, group in own if metric == own[0][0]]
        if len(groups) > 1 and (len(task.runs) > 1 or len(groups) > FEW):
            found.append(_heat_map(report, task, own[0][0], kind, groups, by_run))
    return found


def _heat_map(
    report: Report,
    task: TaskReport,
    metric: str,
    kind: str,
    groups: list[str],
    by_run: list[dict[tuple[str, str | None], Score]],
) -> HeatMap:
    values = [s.value for scores in by_run for g in groups if (s := scores.get((metric, g))) and s.value is not None]
    low, high = min(values), max(values)
    return HeatMap(
        metric=metric,
        kind=kind,
        names=tuple(report.names[run] for run in task.runs),
        rows=tuple(
            (
                group.partition("=")[2],
                tuple(_cell(task, place, scores, metric, group, low, high) for place, scores in enumerate(by_run)),
            )
            for group in groups
        ),
    )


def _cell(
    task: TaskReport,
    place: int,
    scores: Mapping[tuple[str, str | None], Score],
    metric: str,
    group: str,
    low: float,
    high: float,
) -> HeatCell | None:
    score = scores.get((metric, group))
    if score is None or score.value is None:
        return None
    around = "" if score.low is None or score.high is None else f"{interval(score.low, score.high, score.unit)}, "
    listed = task.list_of(score.metric, group, score.n + score.n_missing, run=task.runs[place], s="value")
    return HeatCell(
        value=figure(score.value, score.unit),
        told=f"{around}n {score.n}",
        href=listed.href,
        shade=min(SHADES - 1, int(SHADES * (score.value - low) / ((high - low) or 1.0))),
        n=listed.n,
    )
