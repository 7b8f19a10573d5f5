"""What the view of one task shows."""

from collections.abc import Sequence
from dataclasses import dataclass

from judgebench.display import figure, interval, printable
from judgebench.report.categories import HeatMap, heat_maps
from judgebench.report.collect import Report, TaskReport
from judgebench.report.differences import comparison_of
from judgebench.report.explaining import Explaining, explaining
from judgebench.report.ladders import Ladder, ladder
from judgebench.report.length_plots import LengthView, length_view, why_no_lengths
from judgebench.report.score_tables import ScoreTable, score_tables


@dataclass(frozen=True)
class TaskView:
    """What the view of one task shows."""

    number: int
    table: ScoreTable
    ladder: Ladder | None
    heat_maps: Sequence[HeatMap]
    lengths: LengthView | None
    no_lengths: str
    """Why nothing is said of length, where judges read the answers."""
    explaining: Explaining | None
    predictions: Sequence[tuple[str, str, str, str]]
    sources: Sequence[tuple[str, str, str]]


def task_views(report: Report) -> list[TaskView]:
    """The views of all tasks."""
    tables = score_tables(report, groups=True)
    return [_task_view(report, table, number) for number, table in enumerate(tables)]


def _task_view(report: Report, table: ScoreTable, number: int) -> TaskView:
    task, compared = table.task, comparison_of(report, table.task)
    lengths = length_view(report, task, compared)
    return TaskView(
        number=number,
        table=table,
        ladder=ladder(report, task, compared),
        heat_maps=heat_maps(report, task),
        lengths=lengths,
        no_lengths=why_no_lengths(task) if lengths is None else "",
        explaining=explaining(report, task),
        predictions=predictions(report, task),
        sources=sources(task),
    )


def sources(task: TaskReport) -> list[tuple[str, str, str]]:
    """The official files of a task: name, sha256, and where it came from."""
    used = {(one.name, one.sha256): one for opened in task.opened for one in opened.task.task_manifest.sources}
    return [
        (one.name, one.sha256, f"{one.origin}, a reconstruction" if one.standin else one.origin)
        for one in used.values()
    ]


def predictions(report: Report, task: TaskReport) -> list[tuple[str, str, str, str]]:
    """Official numbers that a judge bridge predicted: run, metric, value with interval, and by what."""
    return [
        (
            report.names[task.runs[place]],
            score.metric,
            figure(score.value, score.unit)
            + ("" if score.low is None or score.high is None else f" ({interval(score.low, score.high, score.unit)})"),
            printable(score.method or "", 300),
        )
        for place, opened in enumerate(task.opened)
        for score in opened.task.predictions
    ]
