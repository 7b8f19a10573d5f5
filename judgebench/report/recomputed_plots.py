"""A figure of published scores that were computed again: ours with its interval, and the published one, hollow."""

from collections.abc import Sequence

from judgebench.errors import UsageError
from judgebench.exchange.selftest import Recomputed
from judgebench.report.figure_parts import EDGE, MARK, NAMES, RULER, WIDTH, Figure, Panel, at, name, ruler, stacked
from judgebench.report.plots import Mark, forest, scale_of
from judgebench.task.metric import grouped

ROW = 24.0
COLUMNS = ("model", "metric", "value", "low", "high", "n", "published")


def recomputed_figure(rows: Sequence[Recomputed], metric: str) -> Figure:
    """One metric of each model, in a panel for each benchmark that has it."""
    chosen = [row for row in rows if row.metric == metric and row.ours.value is not None]
    if not chosen:
        known = ", ".join(dict.fromkeys(row.metric for row in rows)) or "nothing"
        raise UsageError(f"no published {metric!r:.40} was computed; there is {known}")
    panels = [(task, _panel(own)) for task, own in grouped(chosen, lambda row: row.task).items()]
    return stacked(panels, (), metric, ("hollow: what was published",))


def _panel(rows: Sequence[Recomputed]) -> Panel:
    ends = [end for row in rows for end in (row.ours.value, row.ours.low, row.ours.high, row.published)]
    scale, width = scale_of(end for end in ends if end is not None), WIDTH - NAMES - EDGE
    inner = []
    for place, row in enumerate(rows):
        mark = Mark(0, row.ours.value or 0.0, row.ours.low, row.ours.high, row.model, published=row.published)
        drawn = forest([mark], scale, "", row=ROW, size=MARK)
        inner += [name(row.model, 4 + ROW * (place + 0.5)), at(NAMES, 4 + ROW * place, drawn, ROW, width)]
    bottom = 4 + ROW * len(rows)
    return Panel(
        [*ruler(scale, f"{rows[0].metric}, {rows[0].ours.unit}", 4, bottom, NAMES, width), *inner],
        bottom + RULER,
        COLUMNS,
        [
            (row.model, row.metric, row.ours.value, row.ours.low, row.ours.high, row.ours.n, row.published)
            for row in rows
        ],
        intervals=frozenset(row.ours.level for row in rows if row.ours.level is not None),
    )
