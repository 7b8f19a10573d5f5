"""Tables for people: a :class:`Sheet` is built once and written as Markdown, CSV, LaTeX or HTML, or for a terminal.

Every command that prints a table builds sheets, and notebooks show them. Nothing here knows what a row means.
``terminal`` fits sheets to a screen.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from judgebench.display import figure, interval, latex, latex_caption, latex_number, markdown, printable

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


@dataclass(frozen=True)
class Style:
    """How figures are written."""

    digits: int | None = None
    """Decimals of figures that have any; by default as many as their unit asks."""
    intervals: str = "column"
    """What stands behind a figure: nothing (``column``, ``none``), its interval in ``brackets``, as ``pm`` or as
    ``subscript``, or its standard error (``stderr``).
    """


@dataclass(frozen=True)
class Figure:
    """A number with its unit, and its interval if it has one."""

    value: float | None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    level: float | None = None
    signed: bool = False
    best: bool = False
    """Whether more of it is better, so that it may be the best of its kind."""
    bold: bool = False
    style: Style = Style()
    stderr: float | None = None
    alone: bool = False
    """Whether its interval has no column of its own, and so stands behind it where those of others have one."""
    other_level: bool = False
    """Whether the interval is of another level than the table's, which then stands with it."""

    def number(self, value: float | None, *, signed: bool = False) -> str:
        """A number as this figure's are written."""
        return figure(value, self.unit, signed=signed, digits=self.style.digits)

    @property
    def margins(self) -> tuple[str, str] | None:
        """How far the interval reaches below and above the value, as text without a sign."""
        if self.value is None or self.low is None or self.high is None:
            return None
        return self.number(self.value - self.low).lstrip("-"), self.number(self.high - self.value).lstrip("-")

    @property
    def bounds(self) -> "Bounds | None":
        """Its interval alone."""
        if self.low is None or self.high is None:
            return None
        return Bounds(self.low, self.high, self.unit, style=self.style)

    @property
    def at_level(self) -> str:
        """The level of the interval, if it has to be said."""
        return f" at {100 * self.level:g} %" if self.other_level and self.level is not None else ""

    def __str__(self) -> str:
        """The figure as a text."""
        text, kind = self.number(self.value, signed=self.signed), self.style.intervals
        if kind == "stderr":
            return text if self.value is None or self.stderr is None else f"{text} ± {self.number(self.stderr)}"
        if kind == "none" or (kind == "column" and not self.alone) or (margins := self.margins) is None:
            return text
        if kind == "column":
            return f"{text} ({self.bounds}{self.at_level})"
        if kind == "brackets":
            return f"{text} [{self.number(self.low)}, {self.number(self.high)}]"
        below, above = margins
        return f"{text} ± {below}" if below == above else f"{text} (-{below}, +{above})"


NONE = "–"
"""Stands in a cell for a number or an interval that there is not."""


@dataclass(frozen=True)
class Bounds:
    """An interval in a column of its own; a dash where a number has none."""

    low: float | None = None
    high: float | None = None
    unit: str = ""
    signed: bool = False
    style: Style = Style()

    def end(self, value: float | None) -> str:
        """One of the ends as a text."""
        return figure(value, self.unit, signed=self.signed, digits=self.style.digits)

    def __str__(self) -> str:
        """The interval as a text."""
        return interval(self.low, self.high, self.unit, signed=self.signed, digits=self.style.digits) or NONE


Cell = str | int | float | Inner | Figure | Bounds | None
"""Text is shown as it is. Programs get all digits of a number. ``None`` is an empty cell."""


@dataclass(frozen=True)
class Column:
    """A column and the kind of its cells."""

    name: str
    words: bool = False
    """Words are aligned left and may wrap. Figures are aligned right and stay on one line."""
    whole: bool = False
    """Whether its words are names that people copy: they wrap only where there is no room at all."""
    key: str = ""
    """Another name by which a user may ask for it."""
    best: str = ""
    """Among what the best figure is bold: ``column``, or ``row`` among the columns that say so; nothing if empty."""
    further: bool = False
    """Whether it is shown only if a user asks for it."""
    given: str = ""
    """The heading that the user gave it."""


def words(*names: str) -> tuple[Column, ...]:
    """Columns of words."""
    return tuple(Column(name, words=True) for name in names)


def figures(*names: str) -> tuple[Column, ...]:
    """Columns of figures."""
    return tuple(Column(name) for name in names)


@dataclass(frozen=True)
class Remark:
    """A line on a column: what it says before and after the name of that."""

    column: str
    after: str
    before: str = ""

    def text(self, column: Column) -> str:
        """The line, with the heading that the user gave the column."""
        return f"{self.before}{column.given or self.column}{self.after}"


def key_of(name: str) -> str:
    """A column's name as it is compared.

    >>> key_of("95 % interval")
    '95_interval'
    """
    return re.sub(r"[^a-z0-9@.]+", "_", name.casefold()).strip("_")


NOTHING = "–"
"""Stands in a cell that has no figure."""


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
    spare: tuple[str | tuple[str, ...], ...] = ()
    """Columns that a narrow terminal leaves out, in this order; those that say something only together, in a tuple."""
    order: tuple[int, ...] = ()
    """Places of the rows that a terminal keeps of a long table, the most important first; then come the others."""
    keep: int = 0
    """How many of these are kept however many other tables there are."""
    gaps: bool = False
    """Whether an ellipsis stands where rows were left out."""
    asked: bool = False
    """Whether the user asked for just this table, which is then shown whole."""
    summary: bool = False
    """Whether it sums up the other tables, so that it is the last to be left out."""
    filled: bool = False
    """Whether a terminal leaves out rows that have figures only in columns that it leaves out."""
    aside: bool = False
    """Whether a terminal leaves the whole table out where the output is long."""
    last: bool = False
    """Whether it gets only the room that the other tables leave."""
    rows_are: str = "rows"
    """What is counted where rows were left out."""
    about: "tuple[Remark, ...]" = ()
    """Lines below the table on single columns, which go with them."""
    in_columns: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Columns whose content must not be lost: if a user leaves one out, these lines stand below instead."""
    without_hash: str = ""
    """The title as a paper has it, where the title names a protocol by its hash; LaTeX has that as a comment."""
    caption: str = ""
    """The user's own, in place of the title. In LaTeX it may be LaTeX."""
    label: str = ""
    comments: tuple[str, ...] = ()
    """Lines that only LaTeX has, as comments."""

    @property
    def names(self) -> tuple[str, ...]:
        """The headings."""
        return tuple(column.name for column in self.columns)

    @property
    def texts(self) -> tuple[tuple[str, ...], ...]:
        """The rows as people read them."""
        return tuple(tuple(map(text_of, row)) for row in self.rows)

    @property
    def bold(self) -> tuple[tuple[bool, ...], ...]:
        """Which cells are in bold."""
        return tuple(tuple(isinstance(cell, Figure) and cell.bold for cell in row) for row in self.rows)

    @property
    def heading(self) -> str:
        """The title, or what the user wants instead."""
        return self.caption or self.title

    @property
    def lines(self) -> tuple[str, ...]:
        """Everything below the table."""
        return self.alerts + self.notes + self.remarks(range(len(self.columns)))

    def remarks(self, shown: Iterable[int]) -> tuple[str, ...]:
        """The lines on columns, of those at the places that are ``shown``."""
        places = set(shown)
        found = ((self.place(line.column), line) for line in self.about)
        return tuple(line.text(self.columns[place]) for place, line in found if place in places and place is not None)

    def place(self, name: str) -> int | None:
        """Where the column is that a user or a remark means."""
        wanted = key_of(name)
        keys = ((key_of(column.name), key_of(column.key)) for column in self.columns)
        return next((place for place, own in enumerate(keys) if wanted in own), None)


def _plain(value: Cell) -> str | int | float | None:
    if isinstance(value, Figure):
        return _rounded(value.value, value.style)
    if isinstance(value, Bounds):
        return printable(str(value))
    if isinstance(value, Inner):
        return printable(f"{value.of} {value.name}")
    return printable(value) if isinstance(value, str) else value


def _rounded(value: float | None, style: Style) -> float | None:
    return value if value is None or style.digits is None else round(value, style.digits)


def text_of(value: Cell) -> str:
    """A cell as people read it."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def markdown_of(sheet: Sheet) -> str:
    """The table as GitHub shows it."""
    lines = [f"**{markdown(sheet.heading)}**", ""]
    if sheet.columns:
        rules = ["---" if column.words else "---:" for column in sheet.columns]
        lines += [_piped(map(markdown, sheet.names)), _piped(rules)]
        lines += [_piped(map(_markdown_cell, row)) for row in sheet.rows]
        lines.append("")
    lines += [f"- {markdown(line)}" for line in sheet.lines]
    return "\n".join(lines).rstrip("\n") + "\n"


def _markdown_cell(value: Cell) -> str:
    text = markdown(text_of(value))
    return f"**{text}**" if isinstance(value, Figure) and value.bold else text


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
        return " & ".join(cells) + r" \\"

    if not sheet.columns:
        return "".join(f"% {printable(line)}\n" for line in (sheet.title, *sheet.lines) if line)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex_caption(sheet.caption) or latex(sheet.without_hash or sheet.title)}}}",
    ]
    comments = (*([sheet.title] if sheet.without_hash not in ("", sheet.title) else []), *sheet.comments)
    lines += [rf"\label{{{sheet.label}}}"] if sheet.label else []
    places = "".join("l" if column.words else "r" for column in sheet.columns)
    lines += [rf"\begin{{tabular}}{{{places}}}", r"\toprule", joined(map(latex, sheet.names)), r"\midrule"]
    uneven = any(_uneven(cell) for row in sheet.rows for cell in row)
    lines += [
        *(joined(_latex_cell(cell, uneven=uneven) for cell in row) for row in sheet.rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    lines += [r"\footnotesize"] if sheet.lines else []
    lines += [rf"\par {latex(line)}" for line in sheet.lines]
    return "\n".join([*lines, r"\end{table}", *(f"% {printable(line)}" for line in comments), ""])


def _uneven(value: Cell) -> bool:
    """Whether an interval behind a figure reaches further on one side, so that no ± can stand for it."""
    if not isinstance(value, Figure) or value.style.intervals not in ("pm", "subscript"):
        return False
    return value.margins is not None and value.margins[0] != value.margins[1]


def _latex_cell(value: Cell, *, uneven: bool = False) -> str:
    """A cell for LaTeX. Where any interval of a table is ``uneven``, all are written as that one."""
    if isinstance(value, Inner):
        return rf"\quad {latex(value.name.replace('=', ': ', 1))}"
    if isinstance(value, Bounds) and value.low is not None and value.high is not None:
        ends = [latex_number(text) for text in (value.end(value.low), value.end(value.high))]
        return (" to " if any(end.startswith("$") for end in ends) else "--").join(ends)
    if not isinstance(value, Figure) or value.value is None:
        return latex(text_of(value))
    text, margins, kind = value.number(value.value, signed=value.signed), value.margins, value.style.intervals
    below, above = margins or ("", "")
    if kind == "stderr":
        margins = None if value.stderr is None else (value.number(value.stderr), value.number(value.stderr))
        below, above, kind, uneven = *(margins or ("", "")), "pm", False
    if kind == "column" and value.alone and margins is not None:
        return f"{latex_number(text)} ({_latex_cell(value.bounds)}{latex(value.at_level)})"
    if margins is None or kind in ("none", "column", "brackets"):
        shown = rf"\textbf{{{latex_number(text, bold=True)}}}" if value.bold else latex_number(text)
        if margins is None or kind in ("none", "column"):
            return shown
        return rf"{shown} {{[}}{latex_number(value.number(value.low))}, {latex_number(value.number(value.high))}{{]}}"
    even = below == above and not uneven
    if even and kind == "pm":
        shown = rf"\textbf{{{latex_number(text, bold=True)}}}" if value.bold else latex_number(text)
        return rf"{shown} $\pm$ {below}"
    number = rf"\mathbf{{{text}}}" if value.bold else text
    return rf"${number}_{{\pm {below}}}$" if even else rf"${number}_{{-{below}}}^{{+{above}}}$"


def csv_of(sheet: Sheet) -> str:
    """The rows for programs: numbers with all digits unless fewer were asked for, an interval in two columns of its
    own, and no text that a spreadsheet would run.
    """
    from judgebench.data.csv_cells import csv_text

    names: list[str] = []
    columns: list[list[str | int | float | None]] = []
    for place, column in enumerate(sheet.columns):
        cells = [row[place] for row in sheet.rows]
        bounds = any(isinstance(cell, Bounds) for cell in cells)
        styles = {cell.style.intervals for cell in cells if isinstance(cell, Figure)}
        alone = any(isinstance(cell, Figure) and cell.alone for cell in cells)
        behind = (alone and "column" in styles) or not styles <= {"none", "column", "stderr"}
        if not bounds:
            names.append(column.name)
            columns.append([_plain(cell) for cell in cells])
        for end in ("low", "high") if bounds or behind else ("stderr",) if "stderr" in styles else ():
            names.append(f"{column.name} {end}")
            columns.append([_end(cell, end) for cell in cells])
    return csv_text(names or sheet.names, zip(*columns, strict=True))


def _end(cell: Cell, end: str) -> float | None:
    return _rounded(getattr(cell, end, None), cell.style) if isinstance(cell, Figure | Bounds) else None
