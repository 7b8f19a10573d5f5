"""Pages of headings, texts and tables: built once as blocks, and written for a terminal or as Markdown.

Tables alone are sheets, see ``exchange/sheets.py``. Texts are raw: each form makes them safe for itself.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from typing import TYPE_CHECKING

from judgebench.display import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from judgebench.exchange.sheets import Sheet

TWO_COLUMNS = 110
"""Width from which texts stand side by side."""
SHOWN_CHARACTERS, SHOWN_LINES = 1500, 24
"""How much of a text is shown without ``--full``: its beginning and its end."""
LONGEST_WORD = 40
"""Longer ones are cut through."""
NEWLINE = "\n"


def cut(text: str, *, full: bool) -> str:
    """The beginning and the end of a text that is too long, with the size of what is left out between them."""
    if full or (len(text) <= SHOWN_CHARACTERS and text.count("\n") < SHOWN_LINES):
        return text.strip("\n")
    lines = text.splitlines(keepends=True)
    head = "".join(lines[: 2 * SHOWN_LINES // 3])[: 2 * SHOWN_CHARACTERS // 3]
    rest = text[len(head) :]
    tail = "".join(rest.splitlines(keepends=True)[-SHOWN_LINES // 3 :])[-SHOWN_CHARACTERS // 3 :]
    head, tail = head[: _last_space(head)], tail[_first_space(tail) :]
    left = len(text) - len(head) - len(tail)
    return f"{head.strip(NEWLINE)}\n… {left:,} more characters: --full\n{tail.strip(NEWLINE)}"


def _last_space(text: str) -> int:
    """Where a text can be cut off, if a word ends not far from its end."""
    place = max(text.rfind(" "), text.rfind("\n"))
    return place if place >= len(text) - LONGEST_WORD else len(text)


def _first_space(text: str) -> int:
    """Where a text can begin, if a word begins not far from its beginning."""
    places = [place for space in (" ", "\n") if 0 <= (place := text.find(space)) <= LONGEST_WORD]
    return min(places, default=0)


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
class Hint:
    """A command that goes on from here. A terminal never folds it, so that it can be copied."""

    text: str
    command: str


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
    rest: str | None = None
    """The flag that shows all of it, if a terminal gets only what matters most of a long one."""


@dataclass(frozen=True)
class Compact:
    """A table with a line for each row, whose last column is cut to the width."""

    sheet: "Sheet"


Block = Heading | Prose | Hint | Quote | Beside | Listing | Compact


# -- on a terminal


def terminal_text(blocks: Iterable[Block]) -> str:
    """The blocks as rich prints them for this terminal, with colours if it shows them."""
    import io

    from rich.console import Console
    from rich.text import Text

    from judgebench.cli.paging import keeps_colours

    out = io.StringIO()
    colours = keeps_colours()
    console = Console(file=out, width=Console().width, force_terminal=colours)
    for block in blocks:
        for part in _rendered(block, console.width):
            console.print(part, soft_wrap=isinstance(block, Hint | Prose | Listing) and isinstance(part, Text))
    text = out.getvalue()
    return text if colours else "".join(f"{_no_command(line.rstrip())}\n" for line in text.split("\n")[:-1])


def _no_command(line: str) -> str:
    """A line that a CI service does not take for a command to itself."""
    return line.replace("::", "\\x3a:", 1) if line.lstrip().startswith("::") else line


@cache
def _console() -> "Console":
    """The one that texts are folded for, whose own width does not matter."""
    from rich.console import Console

    return Console()


def _rendered(block: Block, width: int) -> "list[RenderableType]":
    from rich.text import Text

    from judgebench.exchange.terminal import folded, rich_of_all

    match block:
        case Heading(text, level):
            return [
                Text(_ruled(_line(text), width, "━" if level == 1 else "─"), style="bold" if level == 1 else "cyan")
            ]
        case Prose(lines, alarming):
            told = "\n".join(piece for line in lines for piece in folded(_line(line), width, commands=True))
            return [Text(told, style="red" if alarming else "")]
        case Hint(text, command):
            line = f"{_line(text)}: {_line(command)}"
            return [Text(line if len(line) <= width else f"{_line(text)}:\n{_line(command)}")]
        case Quote():
            return list(_quoted(block, width))
        case Beside(quotes):
            return _side_by_side(quotes, width)
        case Listing(sheet, rest):
            return list(rich_of_all([sheet], width, rest))
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

    room = width - cell_len(text) - 4
    return f"{rule * 2} {text}" + (f" {rule * room}" if room > 0 else "")


def _line(text: str) -> str:
    return printable(" ".join(text.splitlines()))


def _safe(text: str) -> str:
    """A text of several lines for a terminal."""
    return "\n".join(printable(line.replace("\t", "    ")) for line in text.split("\n"))


def _quoted(quote: Quote, width: int) -> "list[Text]":
    """The lines of a quote: nothing that it holds can pass for a line of ours, because a bar stands before each."""
    from rich.text import Text

    lines = []
    if quote.label:
        style = "bold red" if quote.alarming else "bold"
        lines += [Text(f"  {line}", style) for line in _folded(_line(quote.label), width - 2)]
    if quote.text:
        lines += [Text(f"  │ {line}") for line in _folded(_safe(quote.text), width - 4)]
    for remark in quote.remarks:
        first, *rest = _folded(_safe(remark), width - 4)
        lines += [Text(f"  └ {first}", "dim"), *(Text(f"  ┊ {line}", "dim") for line in rest)]
    return lines


def _folded(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` cells; what stands before a line's first word is kept."""
    from rich.text import Text

    return [piece.plain.rstrip() for line in text.split("\n") for piece in Text(line).wrap(_console(), width)] or [""]


def _side_by_side(quotes: Sequence[Quote], width: int) -> "list[RenderableType]":
    from rich.text import Text

    if width < TWO_COLUMNS:
        return [line for quote in quotes for line in _quoted(quote, width)]
    lines: list[RenderableType] = []
    half = (width - 1) // 2
    for place in range(0, len(quotes), 2):
        columns = [_quoted(quote, half) for quote in quotes[place : place + 2]]
        for left, right in (
            zip_longest(*columns, fillvalue=Text()) if len(columns) == 2 else ((one, Text()) for one in columns[0])
        ):
            line = left.copy()
            line.pad_right(half + 1 - line.cell_len)
            lines.append(line.append_text(right))
    return lines


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
        case Hint(text, command):
            return f"{markdown(text)}:\n\n{_fenced(command)}"
        case Quote(label, text, remarks, _):
            title = f"**{markdown(label)}**\n\n" if label else ""
            return title + (_fenced(text) if text else "") + "".join(f"- {markdown(remark)}\n" for remark in remarks)
        case Beside(quotes):
            return "\n".join(map(_markdown, quotes))
        case Listing(sheet=sheet) | Compact(sheet):
            return markdown_of(sheet)


def _fenced(text: str) -> str:
    """A text as code, in a fence that is longer than any within it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    lines = "\n".join(map(_no_command, _safe(text).split("\n")))
    return f"{fence}text\n{lines}\n{fence}\n"
