"""``plan``: the power of a comparison before it is paid for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judgebench.cli import options

if TYPE_CHECKING:
    from judgebench.planning import Plan


def plan(
    task: Annotated[str, typer.Option(help="Task: NAME[@VERSION][:KEY=VALUE,…], or a path to a task.py.", metavar="T")],
    metric: Annotated[str | None, typer.Option(help="Metric. Default: the task's headline.", metavar="NAME")] = None,
    baseline: Annotated[
        list[Path],
        typer.Option(help="Run folder whose variance to plan with; twice: two runs, by their paired differences."),
    ] = [],  # noqa: B006 - typer reads the default and copies it
    delta: Annotated[float | None, typer.Option(help="Difference to find, in the metric's unit.", metavar="D")] = None,
    n: Annotated[
        int | None, typer.Option(help="Examples. Default: the run's, else the task's.", min=1, metavar="N")
    ] = None,
    correlation: Annotated[
        float, typer.Option(help="Of the two runs' scores over examples, where only one run is there.", metavar="R")
    ] = 0.0,
    alpha: Annotated[float, typer.Option(help="Two-sided level of the test.")] = 0.05,
    power: Annotated[float, typer.Option(help="Probability of finding the difference.")] = 0.8,
    mirror: options.Mirror = [],  # noqa: B006
    offline: options.Offline = False,
    json: options.Json = False,
) -> None:
    """Say what difference two runs on the same examples can see, and how many examples a difference needs."""
    from judgebench.cli.tables import print_json
    from judgebench.planning import Question
    from judgebench.planning import plan as make
    from judgebench.settings import settings_from_flags

    question = Question(
        task=task,
        metric=metric,
        baselines=baseline,
        delta=delta,
        n=n,
        correlation=correlation,
        alpha=alpha,
        power=power,
    )
    made = make(question, settings_from_flags({"tasks": "", "mirror": mirror, "offline": offline}))
    if json:
        print_json(made)
    else:
        _print(made)


def _print(made: "Plan") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from judgebench.display import cell

    console, unit = Console(), made.unit
    title = f"{made.task} {made.metric}, two-sided alpha {made.alpha:g}, power {made.power:g}"
    table = Table(title=Text(cell(title, 200)), title_justify="left")
    table.add_column("question")
    table.add_column("answer", justify="right")
    table.add_row(f"detectable with {made.n:,} examples", _found(made.detectable, unit))
    if made.delta is not None:
        table.add_row(f"examples for {made.delta:g} {unit}", f"{made.required:,}")
        answers = "no number does" if made.required_answers is None else f"{made.required_answers:,}"
        table.add_row(f"answers per example for {made.delta:g} {unit} with {made.n:,}", answers)
        if made.judge_calls_per_example is not None and made.required is not None:
            calls = 2 * made.required * made.judge_calls_per_example
            table.add_row("judge calls of two such runs", f"{calls:,.0f}")
    console.print(table)
    if made.repeats:
        repeats = Table(title=Text(f"repeats against more examples, at {made.n:,}"), title_justify="left")
        for name in ("answers each", f"detectable ({unit})", "as good as examples", "answers in all"):
            repeats.add_column(name, justify="right")
        for bought in made.repeats:
            repeats.add_row(
                str(bought.answers), _found(bought.detectable), f"{bought.equivalent_examples:,}", f"{bought.calls:,}"
            )
        console.print(repeats)
    total = sum(made.variance.values())
    if total:
        shares = ", ".join(f"{name} {100 * part / total:.0f} %" for name, part in made.variance.items())
        console.print(Text(f"variance of the difference: {shares}; from {cell(made.source, 300)}"))
    for note in made.notes:
        console.print(Text(f"note: {cell(note, 300)}"))


def _found(difference: float | None, unit: str = "") -> str:
    return "none" if difference is None else f"{difference:.3g} {unit}".rstrip()
