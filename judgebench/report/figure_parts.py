"""Parts of figures for papers: a column's width, words that fit, rulers, legends, and panels one under the other."""

import io
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from csv import writer as csv_writer
from dataclasses import dataclass, field

from markupsafe import Markup

from judgebench.display import printable
from judgebench.report.plots import Scale, shape

WIDTH = 340
"""Pixels: 9 cm, the width of a column, at 96 to the inch."""
INSET = 4
"""Pixels that stay free at the left of a plot with numbers beside it."""
EDGE = 6
"""Pixels that stay free at the right, for half a number of the last tick."""
NAMES = 124
"""Pixels that the names at the left may take."""
MARK = 3.5
LEGEND_ROW = 14.0
NUMBERS_ON_RULER = 7
PLOT = 150.0
"""Pixels of height of a plot with numbers beside it."""
TALLEST = 900.0
"""Pixels of a column: a higher figure fits on no page."""
LONGEST = 200
"""Characters of a name that are looked at."""
STYLE = (
    "svg{font-family:Helvetica,Arial,sans-serif;font-size:10px;color:#000}text{fill:#000}"
    ".axis{stroke:#ddd}.frame{stroke:#000;stroke-width:.8}.zero{stroke:#555;stroke-dasharray:3 3}"
    ".line{fill:none;stroke-width:1.5}.fitted{stroke-dasharray:5 4}.mean{stroke-dasharray:1 3}"
    ".r0{stroke:#0072b2;fill:#0072b2}.r1{stroke:#d55e00;fill:#d55e00}.r2{stroke:#009e73;fill:#009e73}"
    ".r3{stroke:#cc79a7;fill:#cc79a7}.r4{stroke:#8a6d00;fill:#8a6d00}.r5{stroke:#56b4e9;fill:#56b4e9}"
    ".cell{fill:#0072b2}.faint{fill:#444}.head{font-weight:bold}"
)
UNITS = {"": "value", "number": "value", "usd": "US dollars"}
"""What an axis says of a unit that is no word."""
NARROW, BROAD = frozenset("fijltrI.,:;|!'()[] -"), frozenset("mwMW@%")
PARTS = re.compile(r"(?<=[_\-\s/:.])")
"""Where a name may be broken."""

Rows = list[tuple[object, ...]]


@dataclass(frozen=True)
class Figure:
    """A drawing, and the numbers in it."""

    svg: str
    columns: tuple[str, ...]
    rows: Rows = field(default_factory=list)
    notes: tuple[str, ...] = ()
    """What is not in it, and why."""

    @property
    def csv(self) -> str:
        """The numbers as CSV."""
        text = io.StringIO()
        table = csv_writer(text, lineterminator="\n")
        table.writerow(self.columns)
        table.writerows(self.rows)
        return text.getvalue()

    def _repr_svg_(self) -> str:
        """The drawing, for notebooks."""
        return self.svg


@dataclass(frozen=True)
class Panel:
    """What a figure shows of one task, from its own upper left corner."""

    body: Sequence[Markup]
    height: float
    columns: tuple[str, ...]
    rows: Rows
    legend: tuple[int, ...] = ()
    """The runs whose marks need names, where there are several in the figure."""
    intervals: frozenset[float] = frozenset()
    """Levels of the intervals that are drawn."""
    notes: tuple[str, ...] = ()


def stacked(panels: Sequence[tuple[str, Panel]], names: Sequence[str], kind: str, notes: Iterable[str]) -> Figure:
    """Panels under each other, each below its task's name if there are several, and the runs' marks once."""
    several, body, y = len(panels) > 1, [], 0.0
    for label, panel in panels:
        if several:
            body.append(text(4, y + 12, fitted(label, WIDTH - 8), "head"))
            y += 18
        body.append(at(0, y, Markup("").join(panel.body), panel.height))
        y += panel.height + (8 if several else 0)
    known = sorted({run for _, panel in panels for run in panel.legend})
    for run in known if len(known) > 1 else ():
        key = Markup('<g class="r{}">{}</g>').format(run % 6, shape(run, 3, 8, size=MARK))
        body += [at(0, y, key, 16), text(22, y + 12, fitted(names[run], WIDTH - 26))]
        y += LEGEND_ROW
    if levels := sorted({level for _, panel in panels for level in panel.intervals}):
        words = " and ".join(f"{100 * level:g} %" for level in levels)
        body.append(text(4, y + 12, f"bars: {words} intervals", "faint"))
        y += LEGEND_ROW
    tall = [f"the figure is {9 * y / WIDTH:.0f} cm high at a width of 9 cm, and a page holds 24: --tasks T draws less"]
    told = [*(note for _, panel in panels for note in panel.notes), *notes, *(tall if y > TALLEST else ())]
    tasks = ", ".join(label for label, _ in panels)
    return Figure(
        svg=_whole(body, y + 4, f"{printable(tasks, LONGEST)}, {kind}"),
        columns=(*(("task",) if several else ()), *panels[0][1].columns),
        rows=[((label, *row) if several else row) for label, panel in panels for row in panel.rows],
        notes=tuple(dict.fromkeys(told)),
    )


def _whole(body: Iterable[Markup], height: float, title: str) -> str:
    return str(
        Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" width="{}" height="{}" viewBox="0 0 {} {}" role="img">'
            "<title>{}</title><style>{}</style>{}</svg>\n"
        ).format(WIDTH, round(height, 1), WIDTH, round(height, 1), title, Markup(STYLE), Markup("").join(body))
    )


def at(x: float, y: float, drawn: Markup, height: float, width: float | None = None) -> Markup:
    """A drawing at a place."""
    return Markup('<svg x="{}" y="{}" width="{}" height="{}">{}</svg>').format(
        x, round(y, 1), WIDTH - x if width is None else width, round(height, 1), drawn
    )


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> Markup:
    """Words at a place."""
    return Markup('<text x="{}" y="{}" class="{}" text-anchor="{}">{}</text>').format(
        round(x, 1), round(y, 1), kind, anchor, words
    )


def line(x: float, y: float, x_end: float, y_end: float, kind: str) -> Markup:
    """A straight line."""
    places = (round(place, 1) for place in (x, y, x_end, y_end))
    return Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>').format(*places, kind)


def ruler(scale: Scale, unit: str, top: float, bottom: float, left: float, width: float) -> Iterator[Markup]:
    """A scale under marks: its line with round numbers, faint lines through the marks, and the unit."""
    yield line(left, bottom, left + width, bottom, "frame")
    for tick in scale.rounds(NUMBERS_ON_RULER):
        x = left + width * scale.at(tick) / 100
        kind = "zero" if tick == 0 and scale.low < 0 else "axis"
        yield line(x, top, x, bottom, kind) + line(x, bottom, x, bottom + 3, "frame")
        yield text(x, bottom + 13, f"{tick:g}", anchor="middle")
    yield text(left + width / 2, bottom + 25, UNITS.get(unit, printable(unit, 40)), "faint", "middle")


RULER = 30.0
"""Pixels that a ruler takes under the marks."""


def name(words: str, middle: float) -> Markup:
    """The name of a row at its left, on two lines if it is long."""
    parts = in_lines(words, NAMES - 8)
    first = middle + 3.5 - 5.5 * (len(parts) - 1)
    return Markup("").join(text(4, first + 11 * place, part) for place, part in enumerate(parts))


def in_lines(words: str, pixels: float) -> list[str]:
    """A name on one line, or broken into two, of which each fits."""
    known = printable(words, LONGEST)
    if wide(known) <= pixels:
        return [known]
    parts = PARTS.split(known)
    cut = next((n for n in range(len(parts) - 1, 0, -1) if wide("".join(parts[:n])) <= pixels), 0)
    if not cut:
        return [fitted(known, pixels)]
    return ["".join(parts[:cut]), fitted("".join(parts[cut:]), pixels)]


def fitted(words: str, pixels: float) -> str:
    """A name that fits, if need be without its middle: checkpoints of a model differ at the end.

    >>> fitted("a-model-with-a-name/checkpoint-2000", 100)
    'a-model-…int-2000'
    """
    known = printable(words, LONGEST)
    if wide(known) <= pixels:
        return known
    kept = next(n for n in range(len(known) - 1, -1, -1) if not n or wide(_without_middle(known, n)) <= pixels)
    return _without_middle(known, kept)


def _without_middle(words: str, kept: int) -> str:
    return f"{words[: (kept + 1) // 2]}…{words[len(words) - kept // 2 :]}"


def wide(words: str) -> float:
    """About how many pixels words take, in the broadest of the usual fonts."""
    return sum(map(_width, words))


def _width(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF":
        return 10.0
    if character in NARROW:
        return 3.7
    return 9.9 if character in BROAD else 7.1 if character.isupper() else 6.2


def plotted(top: float, drawn: Callable[[float], Markup], under: Sequence[Markup] = ()) -> Iterator[Markup]:
    """A plot of :func:`judgebench.report.plots.curves`, which is given its width, between its two axes."""
    width = WIDTH - INSET
    left, bottom = INSET + width * 0.08, top + PLOT
    yield at(INSET, top, Markup("").join((*under, drawn(width))), PLOT + 22)
    yield line(left, top + 4, left, bottom, "frame") + line(left, bottom, WIDTH, bottom, "frame")
