"""``explain``: what a run's numbers are made of."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judgebench.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from judgebench.explaining import Bounds, Explained, SeveralRuns


def explain(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or folders that hold some.")],
    task: Annotated[str | None, typer.Option(help="Only this task, with or without its version.")] = None,
    tasks: options.TaskFiles = "",
    json: options.Json = False,
) -> None:
    """Say where the variance of verdicts comes from, how much is style, and what several runs tell apart."""
    from judgebench.cli.tables import print_json
    from judgebench.display import printable
    from judgebench.errors import UsageError
    from judgebench.explaining import explain as make
    from judgebench.run_folders import read_runs
    from judgebench.tasks import task_files

    found = read_runs(runs)
    for left_out in found.unreadable:
        typer.echo(f"judgebench: left out: {printable(left_out.reason)}", err=True)
    made = make([run.folder for run in found.readable], task, task_files(tasks))
    if not made.runs:
        raise UsageError(f"--task {task}: none of the runs holds it")
    if json:
        print_json(made)
        return
    from rich.console import Console

    console = Console()
    for one in made.runs:
        _print_run(console, one)
    for together in made.together:
        _print_together(console, together)


def _print_run(console: "Console", one: "Explained") -> None:
    from rich.table import Table
    from rich.text import Text

    from judgebench.display import cell

    title = f"{cell(one.model)} on {cell(one.task, 200)}"
    if not one.variance and not one.style:
        console.print(Text(f"{title}: no judge's verdicts and no comparisons, so there is nothing to take apart"))
    for variance in one.variance:
        if variance.reason:
            console.print(Text(f"{title}: variance of {cell(variance.judge)}: {cell(variance.reason, 300)}"))
        if variance.parts:
            table = Table(
                title=Text(f"{title}, {cell(variance.judge)}: {variance.verdicts} verdicts"), title_justify="left"
            )
            for name in ("source", "variance", "share", "95 % interval"):
                table.add_column(name, justify="left" if name == "source" else "right")
            for part in variance.parts:
                share = "–" if part.share is None else f"{100 * part.share:.0f} %"
                table.add_row(part.effect, f"{part.variance:.4g}", share, _interval(part.interval, "{:.4g}"))
            console.print(table)
    for style in one.style:
        if style.reason:
            console.print(Text(f"{title}: style of {cell(style.comparison)}: {cell(style.reason, 600)}"))
        if not style.rates:
            continue
        name = f"{title}: {cell(style.comparison)}, {style.n} comparisons"
        table = Table(title=Text(name), title_justify="left")
        for column in ("held equal", "win rate", "95 % interval", "explains points", "95 % interval"):
            table.add_column(column, justify="left" if column == "held equal" else "right")
        for rate in style.rates:
            table.add_row(
                rate.held_equal,
                _number(rate.win_rate),
                _interval(rate.interval, "{:.2f}"),
                _number(rate.explained_points),
                _interval(rate.explained_interval, "{:.2f}"),
            )
        console.print(table)
        shares = {
            "length": style.explained_by_length,
            "markdown": style.explained_by_markdown,
            "both": style.explained_by_style,
        }
        told = ", ".join(f"{what} {100 * share:.1f} %" for what, share in shares.items() if share is not None)
        if told:
            console.print(Text(f"of the verdicts' deviance explained: {told}"))
        if style.style_only_judge is not None:
            floor, interval = 100 * style.style_only_judge, style.style_only_interval
            bounds = f" ({100 * interval.low:.1f} – {100 * interval.high:.1f})" if interval else ""
            console.print(Text(f"a judge that sees only style foresees {floor:.1f} %{bounds} of the decided verdicts"))
        if style.n_without_style:
            console.print(Text(f"left out: {style.n_without_style} comparisons without known style"))


def _print_together(console: "Console", together: "SeveralRuns") -> None:
    from rich.text import Text

    from judgebench.display import cell

    models = cell(", ".join(together.models), 200)
    console.print(Text(f"{cell(together.task, 200)}, {len(together.models)} runs of one protocol: {models}"))
    for what, share in (
        (f"pairs with intervals of {together.metric} apart", together.separable),
        ("pairs whose paired difference keeps its sign", together.paired_separable),
    ):
        if share is not None:
            console.print(Text(f"  {what}: {100 * share:.0f} % of {together.pairs}"))
    if together.cyclic_triads is not None:
        console.print(
            Text(
                f"  circles of three models: {together.cyclic_triads} of {together.possible_triads}, "
                f"{together.cycles_by_chance:g} by chance"
            )
        )
    if together.item_cycles is not None and together.item_cycles_by_chance is not None:
        bounds = _interval(together.item_cycles_interval, "{:.3f}")
        console.print(
            Text(
                f"  circles within items: {together.item_cycles:.3f} ({bounds}), "
                f"{together.item_cycles_by_chance:.3f} if verdicts were independent"
            )
        )
    if together.ratings_fit_p is not None:
        console.print(Text(f"  one rating per model fits the win rates: p = {together.ratings_fit_p:.3g}"))
    if together.reason:
        console.print(Text(f"  note: {cell(together.reason, 600)}"))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _interval(interval: "Bounds | None", form: str) -> str:
    return "" if interval is None else f"{form.format(interval.low)} – {form.format(interval.high)}"
