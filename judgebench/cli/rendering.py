"""What commands print on stdout: sheets or lines for people, JSON and CSV for programs."""

import json
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal

import typer

from judgebench.display import printable
from judgebench.exchange.sheets import Sheet, csv_of, html_of, latex_of, markdown_of
from judgebench.exchange.terminal import rich_of_all

if TYPE_CHECKING:
    from judgebench.analysis.comparison import Difference, Rank
    from judgebench.records import Score

Format = Literal["rich", "md", "csv", "json", "html", "latex"]
"""How a table is written."""


def show(
    form: Format,
    record: object,
    sheets: Callable[[], Iterable[Sheet]],
    flat: Callable[[], Sheet] | None = None,
    *,
    everything: bool = True,
) -> None:
    """Print a result in one of the formats: JSON is the record, CSV its ``flat`` table, the others are its sheets.

    Only a terminal gets less than ``everything``.
    """
    if form == "json":
        print_json(record)
    elif form == "csv" and flat is not None:
        typer.echo(csv_of(flat()), nl=False)
    elif form == "rich":
        print_sheets(sheets(), rest=None if everything else "--all")
    else:
        sheet_text = {"md": markdown_of, "html": html_of, "latex": latex_of}[form]
        typer.echo("\n".join(map(sheet_text, sheets())), nl=False)


def score_name(score: "Score | Difference | Rank") -> str:
    """The metric, and the group of examples if it is not about all of them."""
    return score.metric if score.group is None else f"{score.metric} {score.group}"


def print_sheets(sheets: Iterable[Sheet], *, rest: str | None = None) -> None:
    """Print sheets on a terminal: all, or what matters most of a long output and what shows the ``rest``."""
    from rich.console import Console

    console = Console()
    for part in rich_of_all(list(sheets), console.width, rest):
        console.print(part)


def print_beside(kind: str, texts: Iterable[str]) -> None:
    """Print remarks on a result to stderr, for which JSON on stdout has no place."""
    for text in texts:
        sys.stderr.write(f"judgebench: {kind}: {printable(text)}\n")


def print_lines(record: object, lines: Iterable[str], *, as_json: bool) -> None:
    """Print a result that needs no table: one item a line, or the record as JSON."""
    if as_json:
        print_json(record)
    else:
        typer.echo("\n".join(lines))


def print_json(value: object) -> None:
    """Print indented JSON and nothing else; in ASCII, so that no name or text in it can speak to the terminal."""
    import msgspec

    sys.stdout.write(json.dumps(json.loads(msgspec.json.encode(value)), indent=2) + "\n")
    sys.stdout.flush()
