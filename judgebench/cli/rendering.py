"""What commands print on stdout: sheets or lines for people, JSON and CSV for programs."""

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeVar

import typer

from judgebench.cli.remarks import remark
from judgebench.exchange.layout import Layout, laid_out_for, rounded
from judgebench.exchange.sheets import Sheet, csv_of, html_of, latex_of, markdown_of
from judgebench.exchange.terminal import folded, indented, rich_of_all

if TYPE_CHECKING:
    from judgebench.analysis.comparison_records import Difference, Rank
    from judgebench.records import Score

NUMBERS = (
    *("value", "stderr", "low", "high", "published_value", "first_value", "second_value", "difference"),
    *("baseline_value", "candidate_value", "mean_rank"),
)
"""Fields of records that are in a metric's unit, and so have as many digits as a user wants."""
FURTHER, FOLDED = 4, 16
"""How much further right a folded line goes on, and the least width it is folded to."""
COMMAND = "  →  "
"""Before a command that a line recommends."""
ScoreLike = TypeVar("ScoreLike", "Score", "Difference")
Format = Literal["rich", "md", "csv", "json", "html", "latex"]
"""How a table is written."""


def show(
    form: Format,
    record: object,
    sheets: Callable[[], Iterable[Sheet]],
    flat: Callable[[], Sheet] | None = None,
    *,
    layout: Layout | None = None,
    rest: str | None = None,
) -> None:
    """Print a result in one of the formats: JSON is the record, CSV its ``flat`` table, the others are its sheets.

    CSV too is the sheets if the ``layout`` says how a table is to look. A terminal gets what matters most of a long
    output, and ``rest`` as what shows the others; everything if ``None``.
    """
    layout = layout or Layout()
    layout.require_valid(form)
    if form == "json":
        print_json(record, layout.digits)
    elif form == "csv" and flat is not None and not layout.is_table:
        (table,) = laid_out_for([flat()], replace(layout, bold=False), form)
        typer.echo(csv_of(table), nl=False)
    elif form == "rich":
        print_sheets(laid_out_for(sheets(), layout, form), rest=rest)
    else:
        sheet_text = {"md": markdown_of, "html": html_of, "latex": latex_of, "csv": csv_of}[form]
        typer.echo("\n".join(map(sheet_text, laid_out_for(sheets(), layout, form))), nl=False)


def score_name(score: "Score | Difference | Rank") -> str:
    """The metric, and the group of examples if it is not about all of them."""
    return score.metric if score.group is None else f"{score.metric} {score.group}"


def under_metrics(scores: "Sequence[ScoreLike]") -> "list[ScoreLike]":
    """The same scores, with those of groups directly below that of all examples by the same metric."""
    places = {metric: place for place, metric in enumerate(dict.fromkeys(score.metric for score in scores))}
    return sorted(scores, key=lambda score: (places[score.metric], score.group is not None))


def print_sheets(sheets: Iterable[Sheet], *, rest: str | None = None) -> None:
    """Print sheets on a terminal: all, or what matters most of a long output and what shows the ``rest``."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for part in rich_of_all(list(sheets), console.width, rest):
        console.print(part, soft_wrap=isinstance(part, Text))


def print_beside(kind: str, texts: Iterable[str]) -> None:
    """Print remarks on a result to stderr, for which JSON on stdout has no place."""
    for text in texts:
        remark(f"{kind}: {text}")


def print_lines(record: object, lines: Iterable[str], *, as_json: bool, prose: bool = False) -> None:
    """Print a result that needs no table: one item a line, or the record as JSON.

    A terminal gets folded lines; ``prose``, which no program reads line by line, is folded everywhere.
    """
    if as_json:
        print_json(record)
    else:
        typer.echo("\n".join(_for_terminal(lines) if prose or sys.stdout.isatty() else lines))


def print_commands(commands: Iterable[str]) -> None:
    """Print commands, one a line. A terminal gets a long one on several lines, which a shell takes as one."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for command in commands:
        # A quoted text may hold what looks like a flag.
        whole = width is None or len(command) <= width or "'" in command
        typer.echo(command if whole else " \\\n".join(_broken(command, width or 0)))


def _broken(command: str, width: int) -> list[str]:
    """A command's lines: a flag stays with its value."""
    first, *flags = re.split(r" (?=-)", command)
    lines = [first]
    for flag in flags:
        if len(f"{lines[-1]} {flag} \\") > width:
            lines.append(" " * FURTHER + flag)
        else:
            lines[-1] += f" {flag}"
    return lines


def _for_terminal(lines: Iterable[str]) -> Iterator[str]:
    """Lines folded between words, with what follows the first line further right; a command stays in one piece."""
    width = shutil.get_terminal_size().columns
    for line in (part for text in lines for part in text.split("\n")):
        if len(line) <= width and folded(line, width) == [line]:
            yield line
            continue
        text, arrow, command = line.partition(COMMAND) if len(line) > width else (line, "", "")
        indent = len(text) - len(text.lstrip(" "))
        first, *more = folded(text[indent:], max(FOLDED, width - indent - FURTHER), commands=True)
        yield " " * indent + first
        yield from (indented(rest, indent + FURTHER, width) for rest in more)
        if arrow:
            yield " " * (indent + FURTHER) + arrow.strip() + "  " + command


def print_json(value: object, digits: int | None = None) -> None:
    """Print indented JSON and nothing else; in ASCII, so that no name or text in it can speak to the terminal."""
    import msgspec

    written = rounded(json.loads(msgspec.json.encode(value)), digits, numbers=NUMBERS)
    sys.stdout.write(json.dumps(written, indent=2) + "\n")
    sys.stdout.flush()
