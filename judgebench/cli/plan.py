"""``plan``: the power of a comparison before it is paid for."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judgebench.cli import options
from judgebench.cli.rendering import show
from judgebench.display import percent, rough
from judgebench.exchange.sheets import Cell, Sheet, figures, words

if TYPE_CHECKING:
    from judgebench.analysis.power_plan import Plan


def plan(
    task: Annotated[str, typer.Option(help="Task: NAME[@VERSION][:KEY=VALUE,…], or a path to a task.py.", metavar="T")],
    metric: Annotated[str | None, typer.Option(help="Metric. Default: the task's headline.", metavar="NAME")] = None,
    baseline: Annotated[
        list[Path],
        typer.Option(help="Run folder to take the variance from. Give two, to take that of their paired differences."),
    ] = [],  # noqa: B006 - typer reads the default and copies it
    delta: Annotated[
        float | None, typer.Option(help="Difference to detect, in the metric's unit.", metavar="D")
    ] = None,
    n: Annotated[
        int | None, typer.Option(help="Number of examples. Default: the run's, else the task's.", min=1, metavar="N")
    ] = None,
    correlation: Annotated[
        float,
        typer.Option(
            help="Assumed correlation between two runs' per-example scores, when only one run is given.", metavar="R"
        ),
    ] = 0.0,
    alpha: Annotated[float, typer.Option(help="Two-sided level of the test.")] = 0.05,
    power: Annotated[float, typer.Option(help="Probability of detecting the difference.")] = 0.8,
    mirror: options.Mirror = [],  # noqa: B006
    offline: options.Offline = False,
    everything: options.All = False,
    json: options.Json = False,
) -> None:
    """Say what difference two runs on the same examples can detect, and how many examples a difference needs."""
    from judgebench import api

    made = api.plan(
        task,
        metric=metric,
        baseline=baseline,
        delta=delta,
        n=n,
        correlation=correlation,
        alpha=alpha,
        power=power,
        mirrors=mirror,
        offline=offline,
    ).record
    show("json" if json else "rich", made, lambda: _sheets(made), rest=options.rest(everything))


def _sheets(made: "Plan") -> list[Sheet]:
    title = f"{made.task} {made.metric}, two-sided alpha {made.alpha:g}, power {made.power:g}"
    sheets = [Sheet(title, words("question") + figures("answer"), tuple(_answers(made)))]
    if made.repeats:
        columns = figures("answers each", f"detectable ({made.unit})", "as good as examples", "answers in all")
        rows = tuple(
            (one.answers, rough(one.detectable), f"{one.equivalent_examples:,}", f"{one.calls:,}")
            for one in made.repeats
        )
        sheets.append(Sheet(f"repeats against more examples, at {made.n:,}", columns, rows))
    notes = [f"note: {note}" for note in made.notes]
    if total := sum(made.variance.values()):
        shares = ", ".join(f"{name} {percent(part / total)}" for name, part in made.variance.items())
        notes.insert(0, f"variance of the difference: {shares}; from {made.source}")
    return [*sheets[:-1], replace(sheets[-1], notes=tuple(notes))]


def _answers(made: "Plan") -> Iterator[tuple[Cell, ...]]:
    """The questions of a plan and their answers."""
    yield f"detectable with {made.n:,} examples", rough(made.detectable, made.unit)
    if made.delta is None:
        return
    wanted = f"{made.delta:g} {made.unit}"
    yield f"examples for {wanted}", f"{made.required:,}"
    answers = "no number does" if made.required_answers is None else f"{made.required_answers:,}"
    yield f"answers per example for {wanted} with {made.n:,}", answers
    if made.judge_calls_per_example is not None and made.required is not None:
        yield "judge calls of two such runs", f"{2 * made.required * made.judge_calls_per_example:,.0f}"
