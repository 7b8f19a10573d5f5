"""Leaderboards of groups: a table of the runs' scores on ``category=math``, or a column for each category."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from judgebench.analysis.groups import label_of, require_groups
from judgebench.analysis.leaderboard import Group, LeaderboardRow, group_rows, rows_of, without_repetitions
from judgebench.display import is_metric_name
from judgebench.records import Score
from judgebench.run.reading import Run, TaskRun
from judgebench.task.selection import Selection
from judgebench.tasks import is_among

Headlines = Mapping[str, tuple[str, ...]]
"""The metrics that tables show, by task with version."""


def tables_of_groups(runs: Sequence[Run], task: str | None, selection: Selection, headlines: Headlines) -> list[Group]:
    """A table for each group that is meant, task and protocol, ranked by the first metric that the group has.

    Each score is the run's own: a fit of several runs together (``Task.tabulate``) has no groups.
    """
    wanted = require_groups(selection, _task_runs(runs, task))
    tables = []
    for run in runs:
        for row in rows_of(run, task):
            for group in wanted.get(row.task, ()):
                scores = _scores_of(run, row, group)
                if scores:
                    # Costs and unread verdicts are known for all examples only.
                    tables.append(msgspec.structs.replace(row, part=group, scores=scores, usd=None, unread=None))
    order = [part for groups in wanted.values() for part in groups]
    found = [
        group
        for part in dict.fromkeys(order)
        for group in group_rows(without_repetitions(row for row in tables if row.part == part), headlines)
    ]
    return sorted(found, key=lambda group: group.task)


def with_columns(
    rows: Sequence[LeaderboardRow], runs: Sequence[Run], selection: Selection, headlines: Headlines
) -> tuple[list[LeaderboardRow], dict[str, tuple[str, ...]]]:
    """The rows of tasks that have such a group, each with a further score for each group, and the names of all scores.

    The scores of a group are those of the first metric that has some, under names such as ``score category=math``.
    Published rows are kept, without such scores.
    """
    by_path = {str(run.path): run for run in runs}
    present = {(row.origin, row.task) for row in rows}
    task_runs = [task for run in runs for task in run.tasks.values() if (str(run.path), label_of(task)) in present]
    wanted = require_groups(selection, task_runs)
    names, found = dict(headlines), []
    for row in rows:
        run = by_path.get(row.origin)
        if row.task.partition(":")[0] not in wanted:
            continue
        if row.published or run is None:
            found.append(row)
            continue
        columns = {}
        for group in wanted.get(row.task, ()):
            scores = _scores_of(run, row, group)
            metric = next((name for name in (*names.get(row.task, ()), *scores) if name in scores), None)
            if metric is not None:
                columns[f"{metric} {group}"] = scores[metric]
        found.append(msgspec.structs.replace(row, scores={**row.scores, **columns}))
        names[row.task] = tuple(dict.fromkeys((*(names.get(row.task) or row.scores), *columns)))
    return found, names


def _scores_of(run: Run, row: LeaderboardRow, group: str) -> dict[str, Score]:
    task_run = next(one for one in run.tasks.values() if label_of(one) == row.task)
    return {score.metric: score for score in task_run.scores if score.group == group and is_metric_name(score.metric)}


def _task_runs(runs: Iterable[Run], task: str | None) -> list[TaskRun]:
    return [found for run in runs for found in run.tasks.values() if is_among(task, found.names)]
