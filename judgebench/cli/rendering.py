"""Tables on stdout, in the formats that people read: whatever stands in a cell is shown as text in each of them."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import typer


class Format(StrEnum):
    """How a table is written."""

    RICH = "rich"
    MD = "md"
    CSV = "csv"
    JSON = "json"
    HTML = "html"
    LATEX = "latex"


@dataclass(frozen=True)
class Sheet:
    """A table as people see it. Texts are raw: each format makes them safe for itself."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...] = ()
    """Lines below the table."""
    texts: int = 1
    """How many columns from the left hold words; the others hold figures."""
    spare: tuple[str, ...] = ()
    """Columns that a narrow terminal does without, the first ones first."""


def write_sheets(sheets: Iterable[Sheet], form: Format) -> None:
    """Print tables in one of the formats for people."""
    if form is Format.RICH:
        _rich(sheets)
        return
    sheet_text = {Format.MD: markdown_of, Format.HTML: _html, Format.LATEX: _latex}[form]
    typer.echo("\n".join(sheet_text(sheet) for sheet in sheets), nl=False)


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a CSV table; numbers as they are, and no text that a spreadsheet would run."""
    import csv

    from judgebench.display import printable
    from judgebench.spreadsheets import spreadsheet_text

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([spreadsheet_text(printable(value)) if isinstance(value, str) else value for value in row])


def _rich(sheets: Iterable[Sheet]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from judgebench.display import cell

    console = Console()
    for sheet in sheets:
        table = Table(title=Text(cell(sheet.title, 400)), title_justify="left")
        shown = _fitting(sheet, console.width)
        for place in shown:
            words = place < sheet.texts
            table.add_column(
                Text(cell(sheet.columns[place], 200)),
                justify="left" if words else "right",
                overflow="fold",
                no_wrap=not words,
                min_width=min(12, max(len(row[place]) for row in [sheet.columns, *sheet.rows])) if words else None,
            )
        for row in sheet.rows:
            table.add_row(*(Text(cell(row[place], 2000)) for place in shown))
        console.print(table if shown else Text(cell(sheet.title, 400)))
        left_out = [name for place, name in enumerate(sheet.columns) if place not in shown]
        below = [f"left out for width: {', '.join(left_out)}"] if left_out else []
        below += sheet.remarks
        if below:
            # At once, because each print costs as much as many lines.
            console.print(Text("\n".join(f"  {cell(line, 2000)}" for line in below)))


def _fitting(sheet: Sheet, width: int) -> list[int]:
    """Places of the columns that fit: figures whole, words in some 25 characters."""
    from judgebench.display import cell

    shown = list(range(len(sheet.columns)))
    sizes = [max(len(cell(text, 200)) for text in column) for column in zip(sheet.columns, *sheet.rows, strict=True)]
    sizes = [min(size, 25) if place < sheet.texts else size for place, size in enumerate(sizes)]
    for name in sheet.spare:
        if sum(sizes[place] + 3 for place in shown) + 1 <= width:
            break
        shown.remove(sheet.columns.index(name))
    return shown


def markdown_of(sheet: Sheet) -> str:
    """A table, or its lines alone, as GitHub shows it."""
    from judgebench.display import markdown

    lines = [f"**{markdown(sheet.title)}**", ""]
    if sheet.columns:
        rules = ["---" if place < sheet.texts else "---:" for place in range(len(sheet.columns))]
        lines += [_piped(map(markdown, sheet.columns)), _piped(rules)]
        lines += [_piped(map(markdown, row)) for row in sheet.rows]
        lines.append("")
    lines += [f"- {markdown(remark)}" for remark in sheet.remarks]
    return "\n".join(lines).rstrip("\n") + "\n"


def _piped(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _html(sheet: Sheet) -> str:
    from judgebench.display import markup

    def line(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{markup(text)}</{tag}>" for text in cells) + "</tr>"

    lines = ["<table>", f"<caption>{markup(sheet.title)}</caption>"]
    if sheet.columns:
        lines += ["<thead>", line("th", sheet.columns), "</thead>"]
    lines += ["<tbody>", *(line("td", row) for row in sheet.rows), "</tbody>", "</table>"]
    if sheet.remarks:
        lines += ["<ul>", *(f"<li>{markup(remark)}</li>" for remark in sheet.remarks), "</ul>"]
    return "\n".join(lines) + "\n"


def _latex(sheet: Sheet) -> str:
    """Needs the packages booktabs and textcomp."""
    from judgebench.display import latex

    def joined(cells: Iterable[str]) -> str:
        return " & ".join(map(latex, cells)) + r" \\"

    lines = [r"\begin{table}", rf"\caption{{{latex(sheet.title)}}}"]
    if sheet.columns:
        places = "l" * sheet.texts + "r" * (len(sheet.columns) - sheet.texts)
        lines += [rf"\begin{{tabular}}{{{places}}}", r"\toprule", joined(sheet.columns), r"\midrule"]
        lines += [*map(joined, sheet.rows), r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par {latex(remark)}" for remark in sheet.remarks]
    return "\n".join([*lines, r"\end{table}", ""])


def span(low: float | None, high: float | None, unit: str, *, signed: bool = False) -> str:
    """``low to high``; nothing where there is no interval."""
    from judgebench.display import figure

    if low is None or high is None:
        return ""
    return f"{figure(low, unit, signed=signed)} to {figure(high, unit, signed=signed)}"


def chance(p_value: float | None) -> str:
    """A p-value with the digits that mean something."""
    if p_value is None:
        return ""
    return f"{p_value:.3f}" if p_value >= 0.001 else "<0.001"
