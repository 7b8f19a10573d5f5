"""Runs in a few lines: the summary at the end of ``eval``, and ``runs list``."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from judgebench.display import clock, dollars, figure, interval, printable, reasons, shortened
from judgebench.exchange.sheets import Cell, Sheet, figures, words

if TYPE_CHECKING:
    from judgebench.run.overview import Overviews, RunOverview, TaskOverview

HEADLINES_SHOWN = 3
"""How many tasks of a run are in a list of runs, which has a row for each."""
RUNS_SHOWN = 20
"""How many runs a terminal shows unless it is asked for all: each takes two lines or three."""


def place_of(run: "RunOverview", status: str, files: str, width: int) -> str:
    """How to look at a run, where it lies, and how it ended. Neither command nor path is folded: they are copied."""
    from judgebench.exchange.terminal import folded, indented
    from judgebench.tasks import on_run

    took = f", {clock(run.seconds)}" if run.seconds >= 1 else ""
    hint = f"single items: judgebench show {printable(on_run(run.path, files))}"
    first, *command = folded(hint, width - 2, commands=True)
    place = f"  run folder: {printable(run.path)} ({printable(status)}{took})"
    return "\n".join((f"  {first}", *(indented(line, 4, width) for line in command), place))


def summary(run: "RunOverview", alerts: Sequence[str], notes: Sequence[str]) -> Sheet:
    """The last table of a run: of several tasks the headlines; below it what to doubt and what it cost."""
    if len(run.tasks) < 2:
        return Sheet("", alerts=tuple(alerts), notes=(*_lacking(run), *notes), asked=True)
    starter = "  (starter sets: not comparable with anything)" if any(task.starter for task in run.tasks) else ""
    columns = words("task", "metric") + figures("value", "95 % interval", "n", "missing", "USD", "time")
    # What is nothing everywhere goes first, then what the notes say in sum.
    costs = any(task.usd or task.unpriced for task in run.tasks)
    lacks = any(task.n_missing for task in run.tasks)
    zeros = [name for name, there in (("USD", costs), ("missing", lacks)) if not there]
    return Sheet(
        f"summary of {shortened(run.name, 60)}{starter}",
        columns,
        tuple(map(_summary_row, run.tasks)),
        (*reasons((task.task, task.withheld) for task in run.tasks), *_lacking(run), *notes),
        tuple(alerts),
        spare=tuple(dict.fromkeys((*zeros, "time", "USD"))),
        asked=True,
    )


def _lacking(run: "RunOverview") -> Iterator[str]:
    """What tasks lack too much of."""
    return (f"{task.task}: {task.lacks}; show --unread says why" for task in run.tasks if task.lacks)


def _summary_row(task: "TaskOverview") -> tuple[Cell, ...]:
    return (
        task.task,
        task.metric or "",
        figure(task.value, task.unit),
        interval(task.low, task.high, task.unit) or "–",
        task.n,
        task.n_missing,
        _usd(task.usd, unpriced=task.unpriced),
        clock(task.seconds),
    )


def runs_sheet(found: "Overviews", *, everything: bool) -> Sheet:
    """The runs, the newest first."""
    shown = found.runs if everything else found.runs[:RUNS_SHOWN]
    left = len(found.runs) - len(shown)
    return Sheet(
        "",
        figures("#") + words("name", "tasks") + figures("date") + words("status", "protocol") + figures("USD"),
        tuple(_run_row(number, run) for number, run in enumerate(shown, start=1)),
        (f"… {left} more runs: --all",) if left else (),
        spare=("protocol", "USD"),
        asked=True,
    )


def run_paths(found: "Overviews", *, everything: bool) -> str:
    """Where the runs of ``runs_sheet`` lie, a line for each, which is never folded so that it can be copied."""
    shown = found.runs if everything else found.runs[:RUNS_SHOWN]
    return "\n".join(
        f"  {number:>{len(str(len(shown)))}}  {printable(run.path)}" for number, run in enumerate(shown, 1)
    )


def _run_row(number: int, run: "RunOverview") -> tuple[Cell, ...]:
    return (
        number,
        run.name,
        _headlines(run),
        run.date[:16].replace("T", " "),
        run.status if run.imported_from is None else f"{run.status}, imported",
        run.protocol,
        _usd(run.usd, unpriced=any(task.unpriced for task in run.tasks)),
    )


def _usd(usd: float, *, unpriced: bool) -> str:
    """A cost, with a plus if some of it has no known price."""
    return dollars(usd).removeprefix("$") + ("+" if unpriced else "")


def _headlines(run: "RunOverview") -> str:
    """The headlines of a run's tasks, or of the first ones of many, which ``show`` has in full."""
    shown = run.tasks if len(run.tasks) <= HEADLINES_SHOWN + 1 else run.tasks[:HEADLINES_SHOWN]
    more = len(run.tasks) - len(shown)
    return ", ".join(_headline(task, run) for task in shown) + (f" + {more} more" if more else "")


def _headline(task: "TaskOverview", run: "RunOverview") -> str:
    """A task with its headline value, or why it has none."""
    if task.value is not None:
        return f"{task.task} {figure(task.value, task.unit)}"
    if task.metric is not None:
        return f"{task.task} (no {task.metric})"
    return f"{task.task} ({'not scored' if run.status == 'complete' else 'not scored yet'})"
