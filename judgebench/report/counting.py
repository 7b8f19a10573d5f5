"""How samples enter a task's numbers: the rule of each metric in words, and each sample's weight and covariates."""

from collections.abc import Mapping
from itertools import islice

from judgebench.analysis.item_values import is_variant
from judgebench.analysis.samples import OpenTask
from judgebench.display import printable
from judgebench.records import ExampleScore
from judgebench.report.collect import TaskReport
from judgebench.task.metric import Metric, by_example

MOST_ENTRIES = 24
"""Of a sample with more scores than these the first are shown."""

Entry = tuple[str, float, float, str]
"""An example score: its name, value and weight, and its covariates in words."""


def rules(task: TaskReport) -> list[tuple[str, str]]:
    """The metrics of quality that some run has a number of, each with how samples enter it."""
    code = task.opened[0].code
    if code is None:
        return []
    known = {score.metric for opened in task.opened for score in opened.task.scores if score.value is not None}
    metrics = (one for one in code.metrics if one.shown and one.direction == "higher" and one.name in known)
    return [(metric.name, words) for metric in metrics if (words := metric.how or _plain(metric))]


def _plain(metric: Metric) -> str:
    if not metric.is_mean:
        return ""
    return f"the mean of the samples' values{', which lie between 0 and 1, times 100' if metric.scale != 1 else ''}"


def entries(opened: OpenTask) -> Mapping[str, list[Entry]]:
    """By example, the scores by which it enters the metrics."""
    rows = (row for row in opened.rows if row.value is not None and not is_variant(opened.code, row.metric))
    return {name: [_entry(row) for row in islice(own, MOST_ENTRIES)] for name, own in by_example(rows).items()}


def _entry(row: ExampleScore) -> Entry:
    known = [(name, value) for name, value in row.covariates.items() if value]
    told = (f"{name} {value if isinstance(value, str) else f'{value:g}'}" for name, value in known)
    return row.metric, row.value or 0.0, row.weight, printable(", ".join(told), 400)
