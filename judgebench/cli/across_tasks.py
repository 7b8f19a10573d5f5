"""The leaderboard's last table: models across tasks."""

from dataclasses import replace
from typing import TYPE_CHECKING

from judgebench.display import figure
from judgebench.exchange.sheets import NOTHING, Cell, Sheet, figures, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from judgebench.analysis.leaderboard import Across, Group, LeaderboardRow, Standing
    from judgebench.records import Score

FEW_MODELS, FEW_TASKS = 3, 3
"""On a terminal, tasks stand one below the other if there are more than so few of at most so many models."""
MOST_NAMED = 12
"""Models that are not here and are named."""


def across_sheet(across: "Across", *, terminal: bool) -> Sheet:
    """For each model, the headline of each task and the rank in it."""
    kind = f"parts of {_sets(across)}s" if across.partial else f"{_sets(across)}s" if across.starter else ""
    title, notes = f"across tasks: {kind}" if kind else "across tasks", tuple(_about_across(across))
    if terminal and len(across.standings) <= FEW_MODELS and len(across.groups) > FEW_TASKS:
        return replace(_tasks_down(across), title=title, notes=notes, summary=True)
    return replace(_models_down(across), title=title, notes=notes, summary=True)


def _models_down(across: "Across") -> Sheet:
    """A row for each model."""
    headlines = [" ".join(filter(None, (group.task, group.part, *group.headline[:1]))) for group in across.groups]
    rows = tuple((_called(one), *_standing(one, across), _mean_rank(one)) for one in across.standings)
    columns = words("model") + figures(*headlines, "mean rank")
    return Sheet("", columns, rows, spare=("mean rank", *headlines[:0:-1]), filled=True, rows_are="models")


def _tasks_down(across: "Across") -> Sheet:
    """A row for each task: a screen has room for all tasks of a few models."""
    cells = zip(*(_standing(standing, across) for standing in across.standings), strict=True)
    rows: list[tuple[Cell, ...]] = [
        (" ".join(filter(None, (group.task, group.part))), " ".join(group.headline[:1]), *values)
        for group, values in zip(across.groups, cells, strict=True)
    ]
    if len(across.standings) > 1:
        rows.append(("mean rank", "", *map(_mean_rank, across.standings)))
    columns = words("task", "metric") + figures(*map(_called, across.standings))
    order = tuple(range(len(rows)))
    return Sheet("", columns, tuple(rows), spare=("metric",), order=order, keep=len(rows), rows_are="tasks")


def _called(standing: "Standing") -> str:
    return ("* " if standing.pinned else "") + standing.model


def _standing(standing: "Standing", across: "Across") -> list[str]:
    places = zip(standing.cells, across.groups, standing.further, strict=True)
    return [_across_cell(row, group, further) for row, group, further in places]


def _mean_rank(standing: "Standing") -> str:
    return "" if standing.mean_rank is None else figure(standing.mean_rank)


def _sets(across: "Across") -> str:
    """The sets that the runs are of."""
    return f"{'starter' if across.starter else 'official'} set"


def _about_across(across: "Across") -> "Iterator[str]":
    yield "each cell: value, and rank within the task's first table"
    if any(NOTHING in _standing(standing, across) for standing in across.standings):
        yield f"{NOTHING}: no run of the model stands in that table"
    if any(standing.mean_rank is None for standing in across.standings):
        yield "no mean rank: the model has no rank in some table"
    if any(any(standing.further) for standing in across.standings):
        yield "+n: the newest of several runs is shown"
    if across.absent:
        needed = f"{'a part of the' if across.partial else 'the whole'} {_sets(across)}"
        yield f"not here, because no run is of {needed}: {', '.join(across.absent)}"
    if across.elsewhere:
        named, more = across.elsewhere[:MOST_NAMED], len(across.elsewhere) - MOST_NAMED
        told = ", ".join(named) + (f" and {more:,} more" if more > 0 else "")
        yield f"not here, because no run stands in a first table of these tasks: {told}"


def _across_cell(row: "LeaderboardRow | None", group: "Group", further: int) -> str:
    score = None if row is None or not group.headline else group.score(row, group.headline[0])
    if row is None or score is None:
        return NOTHING
    rank = "" if row.rank is None else f" ({row.rank})"
    return _number(score) + rank + (f" +{further}" if further else "")


def _number(score: "Score | None") -> str:
    return "" if score is None else figure(score.value, score.unit)
