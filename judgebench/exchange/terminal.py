"""Sheets on a terminal: which columns and rows fit, and how long texts are folded.

A terminal first folds headings, then leaves out the columns that a sheet can spare, and names them. Of a long output it
shows the rows that matter most, and counts the others. Nothing here knows what a row means.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING

from judgebench.display import COMMAND, cell
from judgebench.exchange.sheets import NOTHING, Inner, Sheet

if TYPE_CHECKING:
    from rich.console import RenderableType

TITLE_CHARACTERS, HEADING_CHARACTERS, CELL_CHARACTERS, NOTE_CHARACTERS = 400, 200, 2000, 20_000
"""Most characters of each that a terminal shows."""
WORDS_WIDTH, NARROWEST_WORDS = 18, 12
"""Width of a column of words for which a terminal should have room, and the width that it always gets if needed."""
LONGEST_WORD = 30
"""Width up to which a table tries to keep a word or a name in one piece."""
LINES = 60
"""How many lines a command prints unless it is asked for all."""
FEWEST_ROWS, FEWEST_NOTES = 4, 3
"""How many lines of each a table of many keeps."""
BORDER_LINES, BORDER_WIDTH = 3, 3
"""Lines of a table besides its head and rows, and characters of a column besides its text."""
BREAKS = "-_/,;:=+&|@"
"""Characters after which a text without spaces is folded rather than elsewhere."""

INNER = "  "
"""Before the name of an inner row."""

Lines = tuple[str, ...]


@dataclass(frozen=True)
class Laid:
    """A sheet laid out for a width: all of its texts are folded."""

    sheet: Sheet
    title: Lines
    places: tuple[int, ...]
    """Of the columns shown."""
    widths: tuple[int, ...]
    head: tuple[Lines, ...]
    rows: tuple[tuple[Lines, ...], ...]
    below: Lines
    """What was left out."""
    alerts: tuple[Lines, ...]
    notes: tuple[Lines, ...]

    @property
    def row_lines(self) -> int:
        """Height of the rows."""
        return sum(map(_height, self.rows))

    @property
    def note_lines(self) -> int:
        """Height of the notes."""
        return sum(map(len, self.notes))

    @property
    def other_lines(self) -> int:
        """Height of everything else, which is never cut."""
        table = _height(self.head) + BORDER_LINES if self.places else 0
        return len(self.title) + table + len(self.below) + sum(map(len, self.alerts))

    @property
    def lines(self) -> int:
        """Height of the whole."""
        return self.row_lines + self.note_lines + self.other_lines


def rich_of(sheet: Sheet, width: int) -> "list[RenderableType]":
    """What rich prints of all of a sheet on a terminal of ``width`` characters."""
    return _parts(laid_out(sheet, width))


def rich_of_all(sheets: Sequence[Sheet], width: int, rest: str | None = None) -> "Iterator[RenderableType]":
    """What rich prints of sheets: all, or about 60 lines of those not asked for, and that ``rest`` shows the others.

    Texts are folded already, but a command may be longer than a line: print them with ``soft_wrap``.
    """
    laid = [laid_out(sheet, width) for sheet in sheets]
    for one in laid if rest is None else fitted(laid, width, rest):
        yield from _parts(one)


def laid_out(sheet: Sheet, width: int) -> Laid:
    """Lay out a sheet for a width."""
    heads = [cell(name, HEADING_CHARACTERS) for name in sheet.names]
    texts = [
        tuple(
            cell(INNER + value.name if isinstance(value, Inner) else text, CELL_CHARACTERS)
            for value, text in zip(row, written, strict=True)
        )
        for row, written in zip(sheet.rows, sheet.texts, strict=True)
    ]
    places, widths = _columns(sheet, heads, texts, width)
    left_out = [name for place, name in enumerate(heads) if place not in places]
    below = _noted(f"left out for width: {', '.join(left_out)}", width) if left_out else ()
    if sheet.filled and left_out:
        figures = [place for place in places if not sheet.columns[place].words]
        filled = [row for row in texts if any(row[place] not in ("", NOTHING) for place in figures)]
        if hidden := len(texts) - len(filled):
            rows_are = sheet.rows_are.removesuffix("s") if hidden == 1 else sheet.rows_are
            below += _noted(f"left out, too: {hidden} {rows_are} with nothing in the columns shown", width)
        texts = filled
    return Laid(
        sheet=sheet,
        title=tuple(folded(cell(sheet.heading, TITLE_CHARACTERS), width)) if sheet.heading else (),
        places=places,
        widths=widths,
        head=tuple(tuple(folded(heads[place], size)) for place, size in zip(places, widths, strict=True)),
        rows=tuple(
            tuple(_folded_cell(row[place], size) for place, size in zip(places, widths, strict=True)) for row in texts
        ),
        below=below,
        alerts=tuple(_noted(cell(line, NOTE_CHARACTERS), width) for line in sheet.alerts),
        notes=tuple(_noted(cell(line, NOTE_CHARACTERS), width) for line in (*sheet.notes, *sheet.remarks(places))),
    )


def _noted(text: str, width: int) -> Lines:
    """A line below a table: folded, with what follows the first line further right."""
    first, *rest = folded(text, max(8, width - 4), commands=True)
    return (f"  {first}", *(indented(line, 4, width) for line in rest))


def indented(line: str, by: int, width: int) -> str:
    """A line further right, as far as it still fits: a command may take all of the width."""
    from rich.cells import cell_len

    return " " * max(0, min(by, width - cell_len(line))) + line


def _folded_cell(text: str, width: int) -> Lines:
    if not text.startswith(INNER):
        return tuple(folded(text, width))
    return tuple(INNER + line for line in folded(text.removeprefix(INNER), max(4, width - len(INNER))))


def folded(text: str, width: int, *, commands: bool = False) -> list[str]:
    """Fold a text to lines of at most ``width`` cells, after a space or another separator where there is one.

    With ``commands`` a command of ours stays in one piece for whoever copies it, on a line of its own if it is long.

    >>> folded("Meta-Llama-3-8B-Instruct", 12)
    ['Meta-Llama-', '3-8B-', 'Instruct']
    >>> folded("4 more rows: judgebench score runs/a --all", 24, commands=True)
    ['4 more rows:', 'judgebench score runs/a --all']
    """
    from rich.cells import cell_len

    lines = []
    while cell_len(text) > width:
        end, taken = 0, 0
        for character in text:
            size = cell_len(character)
            if taken + size > width and end:
                break
            end, taken = end + 1, taken + size
        # A space that would begin the next line may end this one; a break too early would leave a line all but empty.
        space = end if text[end : end + 1] == " " else text.rfind(" ", 0, end) + 1
        other = max(text.rfind(character, 0, end) + 1 for character in BREAKS)
        end = next((place for place in (space, other) if place > end // 4), end)
        if commands:
            end = _beside_command(text, end)
        lines.append(text[:end].rstrip())
        text = text[end:].lstrip()
    return [*lines, text] if text or not lines else lines


def _beside_command(text: str, end: int) -> int:
    """The place nearest to ``end`` that is not within a command: before it, or behind it if the line begins with it."""
    for found in COMMAND.finditer(text):
        if found.start() < end < found.end():
            behind = text.find(" ", found.end())
            return found.start() or (behind if behind > 0 else len(text))
    return end


def _columns(
    sheet: Sheet, heads: Sequence[str], texts: Sequence[Sequence[str]], width: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Places and widths of the columns that fit."""
    from rich.cells import cell_len

    whole = [cell_len(head) for head in heads]
    parts = [max(map(cell_len, _parts_of(head)), default=0) for head in heads]
    cells = [max((cell_len(row[place]) for row in texts), default=0) for place in range(len(heads))]
    natural = [max(pair) for pair in zip(whole, cells, strict=True)]
    tight = [max(pair) for pair in zip(parts, cells, strict=True)]
    least = [
        min(size, WORDS_WIDTH) if column.words and not column.whole else size
        for column, size in zip(sheet.columns, tight, strict=True)
    ]
    shown = list(range(len(heads)))

    def room() -> int:
        return width - 1 - BORDER_WIDTH * len(shown)

    for name in sheet.spare:
        if sum(least[place] for place in shown) <= room():
            break
        left_out = (name,) if isinstance(name, str) else name
        shown = [place for place in shown if sheet.names[place] not in left_out]
    sizes = {place: least[place] for place in shown}
    unbroken = {place: min(max(parts[place], _longest(texts, place, " ")), LONGEST_WORD) for place in shown}
    pieces = {place: min(max(parts[place], _longest(texts, place, " " + BREAKS)), LONGEST_WORD) for place in shown}
    # Words give way to figures, down to what can still be read: those first that stay whole, then those that are broken
    # after a separator only. Figures give way too, rather than leave the terminal.
    for wordy, kept in ((True, unbroken), (True, pieces), (True, {}), (False, {})):
        for floor in (NARROWEST_WORDS, 4) if wordy else (4,):
            whole_ones = {place: sizes[place] for place in shown if kept and sheet.columns[place].whole}
            floors = {place: max(floor, kept.get(place, 0)) for place in shown} | whole_ones
            wide = [place for place in shown if sheet.columns[place].words is wordy and sizes[place] > floors[place]]
            while wide and sum(sizes.values()) > room():
                sizes[max(wide, key=lambda place: sizes[place])] -= 1
                wide = [place for place in wide if sizes[place] > floors[place]]
    # What is left over goes to the headings of figures, then to words: first so that none is broken.
    for place in sorted(shown, key=lambda place: (sheet.columns[place].words, natural[place])):
        most = min(natural[place], sizes[place] + room() - sum(sizes.values()))
        if sheet.columns[place].words:
            continue
        if most == natural[place]:
            sizes[place] = max(sizes[place], most)
        elif most > sizes[place]:
            # The least width at which the heading has as few lines.
            high = len(folded(heads[place], most))
            sizes[place] = next(
                size for size in range(sizes[place], most + 1) if len(folded(heads[place], size)) <= high
            )
    for wanted in (unbroken, dict(enumerate(natural))):
        for place in sorted((place for place in shown if sheet.columns[place].words), key=lambda place: wanted[place]):
            sizes[place] = max(sizes[place], min(wanted[place], sizes[place] + room() - sum(sizes.values())))
    return tuple(shown), tuple(sizes[place] for place in shown)


def _longest(texts: Sequence[Sequence[str]], place: int, separators: str) -> int:
    """The width of the longest part of a column's cells between separators, with the one behind it."""
    from rich.cells import cell_len

    between = re.compile(
        f"[^{re.escape(separators)}]+[{re.escape(separators.lstrip())}]?" if separators.strip() else "[^ ]+"
    )
    return max((cell_len(part) for row in texts for part in between.findall(row[place])), default=0)


def _parts_of(head: str) -> list[str]:
    """The parts of a heading that stay together."""
    return head.replace("_", "_ ").split(" ")


# -- long output


def fitted(laid: Sequence[Laid], width: int, rest: str) -> list[Laid]:
    """Cut rows and notes, and if need be whole tables, to about 60 lines in all; what was cut is counted."""
    asked = sum(one.lines for one in laid if one.sheet.asked)
    lines = max(LINES // 2, LINES - asked) if asked < sum(one.lines for one in laid) else LINES
    if sum(one.lines for one in laid if not one.sheet.asked) <= lines:
        return list(laid)
    set_aside = sum(one.sheet.aside for one in laid)
    last = [one for one in laid if one.sheet.last]
    laid = [one for one in laid if not (one.sheet.aside or one.sheet.last)]
    caps = range(lines, FEWEST_ROWS - 1, -1)
    cut = [one for one in laid if not one.sheet.asked]
    cap = next((cap for cap in caps if _total(cut, cap) <= lines), FEWEST_ROWS)
    kept, taken = [], sum(_capped(one, cap) for one in cut if one.sheet.summary or not one.places)
    full, hidden = False, set_aside
    for one in laid:
        if one.sheet.asked or one.sheet.summary or not one.places:
            kept.append(one if one.sheet.asked else _cut(one, cap, width, rest))
            continue
        full = full or bool(taken and taken + _capped(one, cap) > lines)
        if full:
            hidden += 1
        else:
            kept.append(_cut(one, cap, width, rest))
            taken += _capped(one, cap)
    room = lines - taken if not full else 0
    shown = next((count for count in range(len(last), 0, -1) if _total(last[:count], FEWEST_ROWS) <= room), 0)
    cap = next((cap for cap in caps if _total(last[:shown], cap) <= room), FEWEST_ROWS)
    kept += [_cut(one, cap, width, rest) for one in last[:shown]]
    hidden += len(last) - shown
    if hidden:
        more = _noted(_more([(hidden, "tables")], rest), width)
        # What was asked for and comes last stays last.
        asked_last = sum(1 for _ in takewhile(lambda one: one.sheet.asked, reversed(kept)))
        place = len(kept) - asked_last
        # But the line is below a table: without one above, it comes last.
        place = place if any(one.places for one in kept[:place]) else len(kept)
        kept.insert(place, Laid(Sheet(""), (), (), (), (), (), more, (), ()))
    return kept


def _total(laid: Sequence[Laid], cap: int) -> int:
    """The height of several sheets."""
    return sum(_capped(one, cap) for one in laid)


def _more(left_out: Sequence[tuple[int, str]], rest: str) -> str:
    """Say how many were left out of what, and how to see them."""
    told = (f"{count} more {what.removesuffix('s') if count == 1 else what}" for count, what in left_out)
    return f"… {', '.join(told)}: {rest}"


def _note_cap(cap: int) -> int:
    return max(FEWEST_NOTES, cap // 2)


def _capped(one: Laid, cap: int) -> int:
    """The height of a sheet of whose rows and notes at most so many lines are shown."""
    rows, notes = _row_cap(one, cap), _note_cap(cap)
    cut = (one.row_lines > rows) + (one.note_lines > notes)
    return one.other_lines + min(one.row_lines, rows) + min(one.note_lines, notes) + cut


def _row_cap(one: Laid, cap: int) -> int:
    """How many lines of rows are shown: at least those of the rows that are kept, up to half of a long output."""
    kept = one.sheet.order[: one.sheet.keep]
    height = sum(_height(one.rows[place]) for place in kept) + (_gaps(sorted(kept)) if one.sheet.gaps else 0)
    return max(cap, min(height, LINES // 2))


def _cut(one: Laid, cap: int, width: int, rest: str) -> Laid:
    sheet = one.sheet
    rows, more = one.rows, list[tuple[int, str]]()
    if one.row_lines > _row_cap(one, cap):
        places = _chosen(one, _row_cap(one, cap))
        rows = tuple(_with_gaps(one, places))
        hidden = len(one.rows) - len(places)
        more.append((hidden, sheet.rows_are))
    notes: list[Lines] = []
    taken = 0
    for note in one.notes:
        # A single line takes no more room than the words that it was left out.
        if notes and taken + len(note) > _note_cap(cap) and one.note_lines - taken > 1:
            break
        notes.append(note)
        taken += len(note)
    if len(notes) < len(one.notes):
        more.append((len(one.notes) - len(notes), "notes"))
    below = _noted(_more(more, rest), width) if more else ()
    return replace(one, rows=rows, notes=tuple(notes), below=(*below, *one.below))


def _chosen(one: Laid, cap: int) -> list[int]:
    """Places of the rows that matter most, in their order, as many as fit."""
    order = [*dict.fromkeys((*one.sheet.order, *range(len(one.rows))))]
    chosen: list[int] = []
    for place in order:
        tried = sorted([*chosen, place])
        height = sum(_height(one.rows[row]) for row in tried) + (_gaps(tried) if one.sheet.gaps else 0)
        if chosen and height > cap:
            break
        chosen = tried
    return chosen


def _gaps(places: Sequence[int]) -> int:
    return sum(after - before > 1 for before, after in pairwise(places))


def _with_gaps(one: Laid, places: Sequence[int]) -> Iterator[tuple[Lines, ...]]:
    """The rows at these places, with an ellipsis for those between them."""
    gap = (("…",), *[("",)] * (len(one.places) - 1))
    for before, place in pairwise((places[0], *places)):
        if one.sheet.gaps and place - before > 1:
            yield gap
        yield one.rows[place]


def _height(row: Sequence[Lines]) -> int:
    return max(map(len, row), default=0)


# -- printing


def _parts(one: Laid) -> "list[RenderableType]":
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = []
    if one.title:
        parts.append(Text("\n".join(one.title), style="italic" if one.places else ""))
    if one.places:
        table = Table()
        for place, size, head in zip(one.places, one.widths, one.head, strict=True):
            justify = "left" if one.sheet.columns[place].words else "right"
            table.add_column(Text("\n".join(head)), justify=justify, width=size, no_wrap=True, overflow="fold")  # type: ignore[arg-type]
        for row in one.rows:
            table.add_row(*(Text("\n".join(lines)) for lines in row))
        parts.append(table)
    notes = [line for note in one.notes for line in note]
    alerts = [line for alert in one.alerts for line in alert]
    for lines, style in ((alerts, "bold red"), ([*one.below, *notes], "")):
        if lines:
            # In one text, because each print costs as much as many lines.
            parts.append(Text("\n".join(lines), style=style))
    return parts
