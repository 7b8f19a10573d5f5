"""Tables for people: a :class:`Sheet` is built once and written as Markdown, CSV, LaTeX or HTML, or for a terminal.

Every command that prints a table builds sheets, and notebooks show them. Nothing here knows what a row means.
``terminal`` fits sheets to a screen.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from judgebench.display import latex, markdown, printable

if TYPE_CHECKING:
    import jinja2


@dataclass(frozen=True)
class Inner:
    """The name of a row that belongs to the one above: ``of`` is that one's, which a terminal need not repeat."""

    of: str
    name: str

    def __str__(self) -> str:
        """Both names, indented."""
        return f"  {self.of} {self.name}"


Cell = str | int | float | Inner | None
"""Text is shown as it is. Programs get all digits of a number. ``None`` is an empty cell."""


@dataclass(frozen=True)
class Column:
    """A column and the kind of its cells."""

    name: str
    words: bool = False
    """Words are aligned left and may wrap. Figures are aligned right and stay on one line."""


def words(*names: str) -> tuple[Column, ...]:
    """Columns of words."""
    return tuple(Column(name, words=True) for name in names)


def figures(*names: str) -> tuple[Column, ...]:
    """Columns of figures."""
    return tuple(Column(name) for name in names)


@dataclass(frozen=True)
class Sheet:
    """A table with its title and notes. Texts are raw: each format escapes them for itself."""

    title: str
    columns: tuple[Column, ...] = ()
    """Empty for a sheet that is only a title and notes."""
    rows: tuple[tuple[Cell, ...], ...] = ()
    notes: tuple[str, ...] = ()
    """Lines below the table."""
    alerts: tuple[str, ...] = ()
    """Lines before the notes, red on a terminal."""
    spare: tuple[str, ...] = ()
    """Columns that a narrow terminal leaves out, in this order."""
    order: tuple[int, ...] = ()
    """Places of the rows that a terminal keeps of a long table, the most important first; then come the others."""
    keep: int = 0
    """How many of these are kept however many other tables there are."""
    gaps: bool = False
    """Whether an ellipsis stands where rows were left out."""
    asked: bool = False
    """Whether the user asked for just this table, which is then shown whole."""
    aside: bool = False
    """Whether a terminal leaves the whole table out where the output is long."""
    rows_are: str = "rows"
    """What is counted where rows were left out."""

    @property
    def names(self) -> tuple[str, ...]:
        """The headings."""
        return tuple(column.name for column in self.columns)

    @property
    def texts(self) -> tuple[tuple[str, ...], ...]:
        """The rows as people read them."""
        return tuple(tuple(map(_text, row)) for row in self.rows)

    @property
    def lines(self) -> tuple[str, ...]:
        """Everything below the table."""
        return self.alerts + self.notes


def _plain(value: Cell) -> str | int | float | None:
    if isinstance(value, Inner):
        return printable(f"{value.of} {value.name}")
    return printable(value) if isinstance(value, str) else value


def _text(value: Cell) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def markdown_of(sheet: Sheet) -> str:
    """The table as GitHub shows it."""
    lines = [f"**{markdown(sheet.title)}**", ""]
    if sheet.columns:
        rules = ["---" if column.words else "---:" for column in sheet.columns]
        lines += [_piped(map(markdown, sheet.names)), _piped(rules)]
        lines += [_piped(map(markdown, row)) for row in sheet.texts]
        lines.append("")
    lines += [f"- {markdown(line)}" for line in sheet.lines]
    return "\n".join(lines).rstrip("\n") + "\n"


def _piped(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def html_of(sheet: Sheet) -> str:
    """The table as part of a page, in ASCII, so that it survives any declared encoding."""
    text = _template().render(sheet=sheet)
    return text.encode("ascii", "xmlcharrefreplace").decode()


@cache
def _template() -> "jinja2.Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from judgebench.data.resources import resource

    environment = Environment(
        loader=FileSystemLoader(resource("templates")),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=printable,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("sheet.html.j2")


def latex_of(sheet: Sheet) -> str:
    """The table for LaTeX with the packages booktabs and textcomp."""

    def joined(cells: Iterable[str]) -> str:
        return " & ".join(map(latex, cells)) + r" \\"

    lines = [r"\begin{table}", rf"\caption{{{latex(sheet.title)}}}"]
    if sheet.columns:
        places = "".join("l" if column.words else "r" for column in sheet.columns)
        lines += [rf"\begin{{tabular}}{{{places}}}", r"\toprule", joined(sheet.names), r"\midrule"]
        lines += [*map(joined, sheet.texts), r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par {latex(line)}" for line in sheet.lines]
    return "\n".join([*lines, r"\end{table}", ""])


def csv_of(sheet: Sheet) -> str:
    """The rows for programs: numbers with all digits, and no text that a spreadsheet would run."""
    from judgebench.data.csv_cells import csv_text

    rows = ([_plain(value) for value in row] for row in sheet.rows)
    return csv_text(sheet.names, rows)
