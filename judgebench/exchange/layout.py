"""How a user wants tables written for a paper: which columns, digits and intervals, a caption, the best in bold.

``laid_out_for`` changes sheets accordingly; the formats write what they are given.
"""

import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from judgebench.display import is_latex
from judgebench.errors import UsageError
from judgebench.exchange.sheets import Bounds, Cell, Figure, Sheet, Style, key_of, text_of

Intervals = Literal["column", "none", "brackets", "pm", "subscript", "stderr"]
"""Where intervals stand: in a column of their own, nowhere, or behind each number; or its standard error there."""
MOST_DIGITS = 15
FOR_PEOPLE = ("rich", "md", "html", "latex")
WITH_CAPTION = ("rich", "md", "html", "latex")


@dataclass(frozen=True)
class Layout:
    """The wishes of a user."""

    columns: str = ""
    """Names of columns in order, each with a heading if the user wants another: ``model,win_rate=Win rate``."""
    digits: int | None = None
    """Decimals of figures; by default as many as their unit asks."""
    intervals: Intervals = "column"
    bold: bool | None = None
    """Whether the best of each column is bold; by default in LaTeX alone."""
    caption: str = ""
    label: str = ""
    notes: bool = True
    """Whether notes stand below tables; without them, LaTeX has them as comments."""

    def require_valid(self, form: str) -> None:
        """Raise :class:`UsageError` for a wish that makes no sense, or that the format cannot meet."""
        if self.digits is not None and not 0 <= self.digits <= MOST_DIGITS:
            raise UsageError(f"--digits {self.digits} is not a number of decimals from 0 to {MOST_DIGITS}")
        if self.intervals not in get_args(Intervals):
            raise UsageError(f"--intervals {self.intervals} is not one of {', '.join(get_args(Intervals))}")
        self._require_fit(form)
        if self.label and not re.fullmatch(r"[A-Za-z0-9:._/-]+", self.label):
            raise UsageError(
                f"--label {self.label!r} cannot be referred to in LaTeX; use letters, digits and : . _ / -, as in "
                "tab:main"
            )
        if ("\\" in self.caption or "$" in self.caption) and form == "latex" and not is_latex(self.caption):
            raise UsageError(
                f"--caption {self.caption!r} is taken as LaTeX because of its \\ or $, and a brace or a formula in it "
                "is not closed"
            )
        if self.columns and not self.chosen:
            raise UsageError(f"--columns {self.columns!r} names no column; write some, as in model,n, or leave it out")

    def _require_fit(self, form: str) -> None:
        """Raise :class:`UsageError`, which names all of them, if some wishes have no place in a format."""
        has_columns = form != "json"
        wishes = {
            "--label": (bool(self.label), form == "latex"),
            "--caption": (bool(self.caption), form in WITH_CAPTION),
            "--columns": (bool(self.columns), has_columns),
            "--intervals": (self.intervals != "column", has_columns),
            "--bold": (bool(self.bold), form in WITH_CAPTION),
            "--no-notes": (not self.notes, form in WITH_CAPTION),
        }
        unfit = [flag for flag, (given, fits) in wishes.items() if given and not fits]
        if unfit:
            named = " and ".join(filter(None, (", ".join(unfit[:-1]), unfit[-1])))
            have, them = ("has", "it") if len(unfit) == 1 else ("have", "them")
            wanted = "latex" if "--label" in unfit else " or ".join(WITH_CAPTION if form == "csv" else ("csv", "latex"))
            raise UsageError(f"{named} {have} no place in {form}; give --format {wanted}, or leave {them} out")

    @property
    def chosen(self) -> tuple[tuple[str, str], ...]:
        """The columns that the user named, as keys with headings; a heading may be empty."""
        return self.named_among(())

    def named_among(self, known: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """The same where these columns exist, whose own names may hold ``=``: the longest that fits is meant.

        >>> Layout("rating category=a=A,n=N").named_among(["rating category=a"])
        (('rating category=a', 'A'), ('n', 'N'))
        """
        keys = {tuple(map(key_of, name.split("="))) for name in known}
        return tuple(_named(part, keys) for part in self.columns.split(",") if part.strip())

    @property
    def is_table(self) -> bool:
        """Whether CSV is to be the table that people see, and not the list of every number."""
        return bool(self.columns) or self.intervals != "column"


def _named(part: str, keys: Container[tuple[str, ...]]) -> tuple[str, str]:
    """A column with its heading. Without a known name, the name ends at the first ``=``."""
    pieces = part.split("=")
    ends = [end for end in range(len(pieces), 0, -1) if tuple(map(key_of, pieces[:end])) in keys]
    end = ends[0] if ends else 1
    return "=".join(pieces[:end]).strip(), "=".join(pieces[end:]).strip()


def laid_out_for(sheets: Iterable[Sheet], layout: Layout, form: str) -> list[Sheet]:
    """The sheets as the user wants them.

    Of several tables, those are written that have most of the columns asked for. Raises :class:`UsageError` for a
    column that no table has.
    """
    layout.require_valid(form)
    given = list(sheets)
    if layout.chosen:
        columns = [column for sheet in given for column in sheet.columns]
        known = [name for column in columns for name in (column.name, column.key)]
        given = _with_columns(given, layout.named_among(known), form)
    given = [sheet if layout.chosen else _without_further(sheet) for sheet in given]
    bold = form == "latex" if layout.bold is None else layout.bold
    written = [_bolded(_styled(sheet, layout), bold=bold) for sheet in given]
    return _captioned(written if layout.notes else [_without_notes(sheet, form) for sheet in written], layout)


def rounded(value: object, digits: int | None, *, numbers: Sequence[str]) -> object:
    """A record, in builtins, with the named ``numbers`` rounded wherever they are."""
    if digits is None:
        return value
    if isinstance(value, dict):
        return {
            name: round(inner, digits)
            if name in numbers and isinstance(inner, float)
            else rounded(inner, digits, numbers=numbers)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [rounded(inner, digits, numbers=numbers) for inner in value]
    return value


# -- columns


def _with_columns(sheets: Sequence[Sheet], chosen: Sequence[tuple[str, str]], form: str) -> list[Sheet]:
    tables = [sheet for sheet in sheets if sheet.columns]
    for name, _ in chosen:
        if all(sheet.place(name) is None for sheet in tables):
            known = dict.fromkeys(column.key or key_of(column.name) for sheet in tables for column in sheet.columns)
            raise UsageError(f"--columns {name}: no table has such a column; the columns are {', '.join(known)}")
    counts = [sum(sheet.place(name) is not None for name, _ in chosen) for sheet in tables]
    picked = [
        _picked(sheet, chosen, form)
        for sheet, count in zip(tables, counts, strict=True)
        if count == max(counts, default=0)
    ]
    # Tables that stand aside for a summary are all that there is if the summary has not these columns.
    return [replace(sheet, aside=False) for sheet in picked] if all(sheet.aside for sheet in picked) else picked


def _picked(sheet: Sheet, chosen: Sequence[tuple[str, str]], form: str) -> Sheet:
    found = [(place, heading) for name, heading in chosen if (place := sheet.place(name)) is not None]
    columns = tuple(
        replace(
            sheet.columns[place],
            name=heading or sheet.columns[place].name,
            given=heading,
            key=sheet.columns[place].key or sheet.columns[place].name,
            further=False,
        )
        for place, heading in found
    )
    rows = tuple(tuple(row[place] for place, _ in found) for row in sheet.rows)
    shown = {place for place, _ in found}
    doubts = tuple(note for name, notes in sheet.in_columns for note in notes if sheet.place(name) not in shown)
    picked = replace(sheet, columns=columns, rows=rows, spare=())
    if form == "latex":
        return replace(picked, comments=(*sheet.comments, *doubts))
    return replace(picked, notes=(*sheet.notes, *doubts))


def _without_further(sheet: Sheet) -> Sheet:
    """The sheet without the columns that are shown only if they are named."""
    if not any(column.further for column in sheet.columns):
        return sheet
    kept = [place for place, column in enumerate(sheet.columns) if not column.further]
    columns = tuple(sheet.columns[place] for place in kept)
    return replace(sheet, columns=columns, rows=tuple(tuple(row[place] for place in kept) for row in sheet.rows))


# -- figures


def _styled(sheet: Sheet, layout: Layout) -> Sheet:
    """Write figures with the digits asked for, and intervals where they are wanted."""
    kept = list(range(len(sheet.columns)))
    notes: list[str] = []
    if layout.intervals != "column":
        bounds = [place for place in kept if any(isinstance(row[place], Bounds) for row in sheet.rows)]
        kept = [place for place in kept if place not in bounds]
        if layout.intervals == "stderr":
            notes += _on_standard_errors(sheet)
        elif layout.intervals != "none":
            levels = dict.fromkeys(
                cell.level for row in sheet.rows for cell in row if isinstance(cell, Figure) and cell.low is not None
            )
            listed = " and ".join(f"{100 * level:g} %" for level in levels if level is not None)
            notes += [f"behind each number is its {listed} interval"] if listed else []
    style = Style(layout.digits, layout.intervals)

    def styled(cell: Cell) -> Cell:
        return replace(cell, style=style) if isinstance(cell, Figure | Bounds) else cell

    return replace(
        sheet,
        columns=tuple(sheet.columns[place] for place in kept),
        rows=tuple(tuple(styled(row[place]) for place in kept) for row in sheet.rows),
        spare=tuple(name for name in sheet.spare if _names(name) <= {sheet.columns[place].name for place in kept}),
        notes=(*sheet.notes, *notes),
    )


def _on_standard_errors(sheet: Sheet) -> list[str]:
    """Say what stands behind figures, and what lacks it."""
    numbers = [cell for row in sheet.rows for cell in row if isinstance(cell, Figure) and cell.value is not None]
    if not any(cell.stderr is not None for cell in numbers):
        return ["no number here has a standard error"] if numbers else []
    rest = "" if all(cell.stderr is not None for cell in numbers) else "; a number without ± has none"
    return [f"behind ± is the standard error{rest}"]


def _names(spare: str | tuple[str, ...]) -> set[str]:
    return {spare} if isinstance(spare, str) else set(spare)


def _without_notes(sheet: Sheet, form: str) -> Sheet:
    """A table without its notes; LaTeX has everything that stood below it as comments."""
    if not sheet.columns:
        return sheet
    bare = replace(sheet, notes=(), about=())
    return replace(bare, alerts=(), comments=(*sheet.comments, *sheet.lines)) if form == "latex" else bare


BOLD = (
    "in bold: the best, and what reads the same, where all others' intervals lie below; of a difference, where its "
    "interval leaves zero out"
)
"""What LaTeX says of bold figures below a table, for whoever writes the caption."""


def _bolded(sheet: Sheet, *, bold: bool) -> Sheet:
    """Set the best figures in bold: of each column, or of each row among the columns that compete in it."""
    if not bold:
        return sheet
    rows = [list(row) for row in sheet.rows]
    for place, column in enumerate(sheet.columns):
        if column.best == "column":
            _set_best(rows, [(number, place) for number in range(len(rows))])
    rivals = [place for place, column in enumerate(sheet.columns) if column.best == "row"]
    for number in range(len(rows)):
        _set_best(rows, [(number, place) for place in rivals])
    marked = any(isinstance(cell, Figure) and cell.bold for row in rows for cell in row)
    comments = (*sheet.comments, BOLD) if marked else sheet.comments
    return replace(sheet, rows=tuple(map(tuple, rows)), comments=comments)


def _bare(cell: Figure) -> Figure:
    """A figure with nothing behind it."""
    return replace(cell, low=None, stderr=None)


def _apart(best: Figure, other: Figure) -> bool:
    """Whether a figure's interval is above another's; also if one of them has none, which nothing can be said of."""
    return best.low is None or other.high is None or best.low > other.high


def _set_best(rows: list[list[Cell]], places: Iterable[tuple[int, int]]) -> None:
    """Set in bold the greatest of the figures at these places, and what reads the same, if its interval is apart from
    those of all others; a lone one is no best.
    """
    figures = {
        (row, place): cell
        for row, place in places
        if isinstance(cell := rows[row][place], Figure) and cell.value is not None and cell.best
    }
    if len(figures) < 2:
        return
    best = max(figures.values(), key=lambda cell: cell.value or 0.0)
    others = [cell for cell in figures.values() if text_of(_bare(cell)) != text_of(_bare(best))]
    if not all(_apart(best, cell) for cell in others):
        return
    for (row, place), cell in figures.items():
        if text_of(_bare(cell)) == text_of(_bare(best)):
            rows[row][place] = replace(cell, bold=True)


def _captioned(sheets: Sequence[Sheet], layout: Layout) -> list[Sheet]:
    """Give tables the caption, and each a label of its own."""
    found, tables = [], 0
    for sheet in sheets:
        if sheet.columns and (layout.caption or layout.label):
            tables += 1
            label = layout.label + (f"-{tables}" if layout.label and tables > 1 else "")
            sheet = replace(sheet, caption=layout.caption, label=label)
        found.append(sheet)
    return found
