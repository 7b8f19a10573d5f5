"""What was published of the models of a report, where they were evaluated as the published rows were."""

from collections.abc import Mapping
from dataclasses import dataclass

from judgebench.analysis.leaderboard import value_of
from judgebench.analysis.published import of_same_table, official_task, published_rows, unlike_published
from judgebench.report.collect import Report, TaskReport

Published = Mapping[tuple[int, str], "PublishedValue"]
"""By a run's place in the task, and metric."""


@dataclass(frozen=True)
class PublishedValue:
    """A number that somebody else measured."""

    value: float
    source: str


def published_values(report: Report, task: TaskReport) -> Published:
    """The published numbers of a task's runs, by model; none for another judge, a part, or a starter set."""
    made = task.first.task_manifest
    label = f"{made.name}@{made.version}"
    known = None if made.starter else official_task(label, made.protocol, starter=False)
    if known is None:
        return {}
    table = {row.model: row for row in of_same_table(known, published_rows(made.name))}
    found: dict[tuple[int, str], PublishedValue] = {}
    for place, run in enumerate(task.runs):
        manifest = report.runs[run].manifest
        row = next((table[name] for name in (manifest.candidate, manifest.shown_name) if name in table), None)
        if row is None or unlike_published(known, made.protocol, made.code, manifest):
            continue
        for metric in known.metrics:
            value = None if metric.needs_table is not None else value_of(row, metric.name)
            if value is not None:
                found[place, metric.name] = PublishedValue(value, row.origin)
    return found
