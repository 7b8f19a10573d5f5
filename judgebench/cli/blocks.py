"""Pages of headings, texts and tables: built once as blocks, and written for a terminal or as Markdown.

Tables alone are sheets, see ``exchange/sheets.py``. Texts are raw: each form makes them safe for itself.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from judgebench.display import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from judgebench.exchange.sheets import Sheet

TWO_COLUMNS = 110
"""Width from which texts stand side by side."""


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 opens an item."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Prose:
    """Lines of ours, which may hold names from files."""

    lines: tuple[str, ...]
    alarming: bool = False


@dataclass(frozen=True)
class Quote:
    """A text of a model, a file or a person, under a label."""

    label: str
    text: str
    remarks: tuple[str, ...] = ()
    alarming: bool = False


@dataclass(frozen=True)
class Beside:
    """Texts that stand side by side where there is room."""

    quotes: tuple[Quote, ...]


@dataclass(frozen=True)
class Listing:
    """A table."""

    sheet: "Sheet"


@dataclass(frozen=True)
class Compact:
    """A table with a line for each row, whose last column is cut to the width."""

    sheet: "Sheet"


Block = Heading | Prose | Quote | Beside | Listing | Compact


# -- on a terminal


def terminal_text(blocks: Iterable[Block]) -> str:
    """The blocks as rich prints them for this terminal, with colours if it shows them."""
    import io

    from rich.console import Console

    from judgebench.cli.paging import keeps_colours

    out = io.StringIO()
    colours = keeps_colours()
    console = Console(file=out, width=_console().width, force_terminal=colours)
    for block in blocks:
        for part in _rendered(block, console.width):
            console.print(part)
    text = out.getvalue()
    return text if colours else "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def _console() -> "Console":
    from rich.console import Console

    return Console()


def _rendered(block: Block, width: int) -> "list[RenderableType]":
    from rich.text import Text

    from judgebench.exchange.terminal import rich_of

    match block:
        case Heading(text, level):
            return [
                Text(_ruled(_line(text), width, "━" if level == 1 else "─"), style="bold" if level == 1 else "cyan")
            ]
        case Prose(lines, alarming):
            return [Text("\n".join(map(_line, lines)), style="red" if alarming else "")]
        case Quote():
            return [_quoted(block)]
        case Beside(quotes):
            return _side_by_side(quotes, width)
        case Listing(sheet):
            return rich_of(sheet, width)
        case Compact(sheet):
            return [Text(_in_lines(sheet, width))]


def _in_lines(sheet: "Sheet", width: int) -> str:
    from rich.cells import cell_len, set_cell_size

    rows = [[_line(text) for text in row] for row in sheet.texts]
    sizes = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(sheet.title)] if sheet.title else []
    for row in rows:
        *cells, last = (set_cell_size(text, size) for text, size in zip(row, sizes, strict=True))
        start = "  " + "  ".join(cells) + "  "
        room = max(20, width - cell_len(start))
        lines.append(start + (last if cell_len(last.rstrip()) <= room else set_cell_size(last, room - 1) + "…"))
    return "\n".join(line.rstrip() for line in lines)


def _ruled(text: str, width: int, rule: str) -> str:
    from rich.cells import cell_len

    return f"{rule * 2} {text} {rule * (width - cell_len(text) - 4)}"


def _line(text: str) -> str:
    return printable(" ".join(text.splitlines()))


def _safe(text: str) -> str:
    """A text of several lines for a terminal."""
    return "\n".join(printable(line.replace("\t", "    ")) for line in text.split("\n"))


def _quoted(quote: Quote) -> "RenderableType":
    from rich.padding import Padding
    from rich.text import Text

    text = Text()
    if quote.label:
        text.append(_line(quote.label), style="bold red" if quote.alarming else "bold")
    if quote.text:
        text.append(("\n" if quote.label else "") + _safe(quote.text))
    for remark in quote.remarks:
        text.append(f"\n[{_safe(remark)}]", style="dim")
    return Padding(text, (0, 0, 0, 2), expand=False)


def _side_by_side(quotes: Sequence[Quote], width: int) -> "list[RenderableType]":
    from rich.table import Table

    if width < TWO_COLUMNS or len(quotes) < 2:
        return [_quoted(quote) for quote in quotes]
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(ratio=1, overflow="fold")
    grid.add_column(ratio=1, overflow="fold")
    for place in range(0, len(quotes), 2):
        grid.add_row(*map(_quoted, quotes[place : place + 2]))
    return [grid]


# -- as Markdown


def markdown_text(blocks: Iterable[Block]) -> str:
    """Write the blocks as Markdown, texts as code."""
    return "\n".join(map(_markdown, blocks))


def _markdown(block: Block) -> str:
    from judgebench.display import markdown
    from judgebench.exchange.sheets import markdown_of

    match block:
        case Heading(text, level):
            return f"{'#' * (level + 1)} {markdown(text)}\n"
        case Prose(lines):
            return "".join(f"{markdown(line)}  \n" for line in lines)
        case Quote(label, text, remarks, _):
            title = f"**{markdown(label)}**\n\n" if label else ""
            return title + (_fenced(text) if text else "") + "".join(f"- {markdown(remark)}\n" for remark in remarks)
        case Beside(quotes):
            return "\n".join(map(_markdown, quotes))
        case Listing(sheet) | Compact(sheet):
            return markdown_of(sheet)


def _fenced(text: str) -> str:
    """A text as code, in a fence that is longer than any within it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{_safe(text)}\n{fence}\n"
