"""``correlate``: leaderboards against human ratings."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from judgebench.cli import options

if TYPE_CHECKING:
    from judgebench.correlating import Comparison, Correlations


class Kind(StrEnum):
    """Coefficients."""

    PEARSON = "pearson"
    SPEARMAN = "spearman"
    KENDALL = "kendall"


def correlate(
    leaderboards: Annotated[
        list[str],
        typer.Argument(help="CSV files with a model column, output of `leaderboard`, or names of published tables."),
    ],
    against: Annotated[
        str, typer.Option(help="The reference: a column of these, or a published table.", metavar="NAME")
    ] = "arena_elo",
    metric: Annotated[list[str], typer.Option(help="Only this metric; may be repeated.", metavar="NAME")] = [],  # noqa: B006
    kind: Annotated[list[Kind], typer.Option(help="Only this coefficient; may be repeated.")] = [],  # noqa: B006
    json: options.Json = False,
) -> None:
    """Correlate the metrics of leaderboards with human ratings, with intervals, and test which follows them better."""
    from judgebench.cli.tables import print_json
    from judgebench.correlating import KINDS
    from judgebench.correlating import correlate as run

    chosen = [known for known in KINDS if not kind or known in [one.value for one in kind]]
    found = run(leaderboards, against, metric, chosen)
    if json:
        print_json(found)
    else:
        _print(found)


def _print(found: "Correlations") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from judgebench.display import cell, reasons

    console = Console()
    table = Table(title=Text(f"correlation with {cell(found.against)}"), title_justify="left")
    for name in ("metric", "coefficient", "value", "95 % interval", "p", "models"):
        table.add_column(name, justify="left" if name in ("metric", "coefficient") else "right", overflow="fold")
    for row in found.rows:
        interval = _interval(row.low, row.high)
        table.add_row(Text(cell(row.metric)), row.kind, _number(row.value), interval, _number(row.p), str(row.n))
    console.print(table)
    best = {row.kind: row.metric for row in reversed(found.rows)}
    for pair in found.comparisons:
        if pair.first == best[pair.kind]:
            console.print(Text(_compared(pair)))
    if len(found.comparisons) > sum(pair.first == best[pair.kind] for pair in found.comparisons):
        console.print(Text("note: only the best metric's comparisons are shown; --json has every pair"))
    kinds = {row.kind for row in found.rows}
    told = []
    for metric in dict.fromkeys(row.metric for row in found.rows):
        own = [row for row in found.rows if row.metric == metric]
        alike = len({row.reason for row in own}) == 1
        told += reasons((metric if alike else f"{metric} {row.kind}", row.reason) for row in own)
    if "kendall" in kinds and len(found.rows) > len(kinds):
        told.append("kendall: metrics are not compared two by two, for which there is no such test")
    if any(row.n < 10 for row in found.rows):
        console.print(Text("note: over fewer than 10 models the intervals are rough; p is by permutation"))
    for line in (*told, *(f"note: {note}" for note in found.notes)):
        console.print(Text(cell(line, 400)))


def _compared(pair: "Comparison") -> str:
    from judgebench.display import cell

    names = f"{pair.kind}: {cell(pair.first)} against {cell(pair.second)} over {pair.n} models"
    if pair.difference is None or pair.p_williams is None:
        return f"{names}: no test ({cell(pair.reason or 'no reason is given', 200)})"
    bounds = _interval(pair.low, pair.high) or f"no interval: {cell(pair.reason or 'no reason is given', 200)}"
    steiger = "" if pair.p_steiger is None else f", Steiger p = {_number(pair.p_steiger)}"
    return (
        f"{names}: {_number(pair.first_value)} less {_number(pair.second_value)} is {_number(pair.difference)} "
        f"({bounds}), Williams p = {_number(pair.p_williams)} "
        f"(Holm {_number(pair.p_adjusted)}){steiger}"
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.3f} – {high:.3f}"
