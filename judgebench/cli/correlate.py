"""``correlate``: leaderboards against human ratings."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from judgebench.cli import options
from judgebench.cli.rendering import show
from judgebench.display import chance, figure, interval, p_value, reasons
from judgebench.exchange.sheets import Bounds, Sheet, figures, words

if TYPE_CHECKING:
    from judgebench.analysis.correlation import Comparison, Correlations


UNIT = "coefficient"
Kind = StrEnum("Kind", ["pearson", "spearman", "kendall"])
"""Coefficients. typer takes no list of a Literal."""


def correlate(
    leaderboards: Annotated[
        list[str],
        typer.Argument(help="CSV files with a model column, output of `leaderboard`, or names of published tables."),
    ],
    against: Annotated[
        str, typer.Option(help="The reference: a column of these files, or a published table.", metavar="NAME")
    ] = "arena_elo",
    metric: Annotated[list[str], typer.Option(help="Only this metric. Repeatable.", metavar="NAME")] = [],  # noqa: B006
    kind: Annotated[list[Kind], typer.Option(help="Only this coefficient. Repeatable.")] = [],  # noqa: B006
    everything: options.All = False,
    json: options.Json = False,
) -> None:
    """Correlate the metrics of leaderboards with human ratings, with intervals, and test which follow them better."""
    from judgebench.analysis.correlation import KINDS
    from judgebench.analysis.correlation import correlate as run

    found = run(leaderboards, against, metric, [known for known in KINDS if not kind or known in map(str, kind)])
    show("json" if json else "rich", found, lambda: [_sheet(found)], rest=options.rest(everything))


def _sheet(found: "Correlations") -> Sheet:
    rows = tuple(
        (
            *(row.metric, row.kind, figure(row.value, UNIT), Bounds(row.low, row.high, UNIT)),
            *(chance(row.p) or "–", row.n),
        )
        for row in found.rows
    )
    columns = words("metric", "coefficient") + figures("value", "95 % interval", "p", "models")
    return Sheet(f"correlation with {found.against}", columns, rows, tuple(_notes(found)))


def _notes(found: "Correlations") -> list[str]:
    best = {row.kind: row.metric for row in reversed(found.rows)}
    lines = [_compared(pair) for pair in found.comparisons if pair.first == best[pair.kind]]
    if len(found.comparisons) > len(lines):
        lines.append("note: only the best metric's comparisons are shown; --json has every pair")
    if any(row.n < 10 for row in found.rows):
        lines.append("note: over fewer than 10 models the intervals are rough; p is by permutation")
    for metric in dict.fromkeys(row.metric for row in found.rows):
        own = [row for row in found.rows if row.metric == metric]
        alike = len({row.reason for row in own}) == 1
        lines += reasons((metric if alike else f"{metric} {row.kind}", row.reason) for row in own)
    kinds = {row.kind for row in found.rows}
    if "kendall" in kinds and len(found.rows) > len(kinds):
        lines.append("kendall: metrics are not compared in pairs, because there is no such test")
    return lines + [f"note: {note}" for note in found.notes]


def _compared(pair: "Comparison") -> str:
    names = f"{pair.kind}: {pair.first} against {pair.second} over {pair.n} models"
    reason = pair.reason or "no reason is given"
    if pair.difference is None or pair.p_williams is None:
        return f"{names}: no test ({reason})"
    bounds = interval(pair.low, pair.high, UNIT) or f"no interval: {reason}"
    steiger = "" if pair.p_steiger is None else f", Steiger {p_value(pair.p_steiger)}"
    first, second, difference = (
        figure(value, UNIT) for value in (pair.first_value, pair.second_value, pair.difference)
    )
    return (
        f"{names}: {first} less {second} is {difference} ({bounds}), Williams {p_value(pair.p_williams)} "
        f"(Holm {chance(pair.p_adjusted) or '–'}){steiger}"
    )
