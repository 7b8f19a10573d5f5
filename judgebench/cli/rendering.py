"""What commands print on stdout: sheets for people, JSON and CSV for programs."""

import json
import sys
from collections.abc import Callable, Iterable
from enum import StrEnum

import typer

from judgebench.exchange.sheets import Sheet, csv_of, html_of, latex_of, markdown_of, rich_of


class Format(StrEnum):
    """How a table is written."""

    RICH = "rich"
    MD = "md"
    CSV = "csv"
    JSON = "json"
    HTML = "html"
    LATEX = "latex"


def show(form: Format, record: object, sheets: Callable[[], Iterable[Sheet]], flat: Callable[[], Sheet]) -> None:
    """Print a result in one of the formats: JSON is the record, CSV its ``flat`` table, the others are its sheets."""
    if form is Format.JSON:
        print_json(record)
    elif form is Format.CSV:
        typer.echo(csv_of(flat()), nl=False)
    else:
        print_sheets(sheets(), form)


def print_sheets(sheets: Iterable[Sheet], form: Format = Format.RICH) -> None:
    """Print sheets in one of the formats for people."""
    if form is Format.RICH:
        from rich.console import Console

        console = Console()
        for sheet in sheets:
            for part in rich_of(sheet, console.width):
                console.print(part)
        return
    sheet_text = {Format.MD: markdown_of, Format.HTML: html_of, Format.LATEX: latex_of}[form]
    typer.echo("\n".join(map(sheet_text, sheets)), nl=False)


def print_json(value: object) -> None:
    """Indented JSON and nothing else; in ASCII, so that no name or text in it can speak to the terminal."""
    import msgspec

    sys.stdout.write(json.dumps(json.loads(msgspec.json.encode(value)), indent=2) + "\n")
    sys.stdout.flush()
