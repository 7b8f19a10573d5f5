"""Plots as SVG: the same picture in the page, in a notebook and in a file.

A drawing has no view box: horizontal places are percentages, so that its words keep their size at any width. Colours
are classes of the page's style sheet, and runs differ in shape as well.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

SHAPES = ("circle", "square", "diamond", "triangle", "bar", "cross")
"""Of the marks of runs, in their order."""
ROW = 22.0
MARK = 5.0
"""Half the width of a mark."""
TICKS = 5
LEFT, RIGHT = 3.0, 97.0
"""Percent of the width between which values lie."""


@dataclass(frozen=True)
class Scale:
    """How values become places."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Percent of the width."""
        span = self.high - self.low or 1.0
        return LEFT + (RIGHT - LEFT) * (min(max(value, self.low), self.high) - self.low) / span

    @property
    def ticks(self) -> list[float]:
        """Round numbers within the scale."""
        return [value for value in _steps(self.low, self.high) if self.low <= value <= self.high]


def scale_of(values: Iterable[float], limits: tuple[float, float] | None = None) -> Scale:
    """A scale that holds all values with a little room, within the limits if there are any."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return Scale(*(limits or (0.0, 1.0)))
    low, high = min(known), max(known)
    room = 0.05 * (high - low) or 0.5 * abs(high) or 1.0
    low, high = low - room, high + room
    # Values beyond what can be are shown as well: a run folder may hold anything.
    least, most = (min(limits[0], *known), max(limits[1], *known)) if limits else (low, high)
    return Scale(max(low, least), min(high, most))


def _steps(low: float, high: float) -> Iterator[float]:
    raw = (high - low) / TICKS or 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first = math.ceil(low / step)
    yield from (number * step for number in range(first, first + 4 * TICKS) if number * step <= high)


@dataclass(frozen=True)
class Mark:
    """A value with its interval, of one run."""

    run: int
    value: float
    low: float | None
    high: float | None
    words: str
    """What the mark says when one looks at it closely."""
    href: str = ""
    hollow: bool = False
    """A published value, which was not measured here."""


def forest(
    marks: Sequence[Mark], scale: Scale, title: str, *, zero: bool = False, row: float = ROW, size: float = MARK
) -> Markup:
    """Values with their intervals, one under the other, on a scale that other rows share."""
    height = row * max(1, len(marks))
    body = [_line(scale.at(0.0), 0, height, "zero")] if zero and scale.low < 0 < scale.high else []
    for number, mark in enumerate(marks):
        y = row * (number + 0.5)
        inner = []
        if mark.low is not None and mark.high is not None:
            inner.append(
                Markup('<line x1="{}%" x2="{}%" y1="{}" y2="{}" stroke-width="2"/>').format(
                    _n(scale.at(mark.low)), _n(scale.at(mark.high)), _n(y), _n(y)
                )
            )
        inner.append(shape(mark.run, scale.at(mark.value), y, hollow=mark.hollow, size=size))
        drawn = Markup('<g class="r{}"><title>{}</title>{}</g>').format(
            mark.run % 6, mark.words, Markup("").join(inner)
        )
        body.append(Markup('<a href="{}">{}</a>').format(mark.href, drawn) if mark.href else drawn)
    return _svg(body, height, title, "; ".join(mark.words for mark in marks))


def axis(scale: Scale, unit: str) -> Markup:
    """The numbers under a column of plots."""
    body = [
        Markup('<text x="{}%" y="13" text-anchor="middle">{}</text>').format(_n(scale.at(tick)), f"{tick:g}")
        for tick in scale.ticks
    ]
    return _svg(body, 18, f"scale in {unit}", "")


def shape(run: int, x: float, y: float, *, hollow: bool = False, size: float = MARK) -> Markup:
    """The mark of a run at a place in percent of the width and pixels of the height."""
    kind = SHAPES[run % len(SHAPES)]
    fill = Markup(' fill="none" stroke-width="2"') if hollow else Markup("")
    at = Markup('<svg x="{}%" y="{}" overflow="visible">{}</svg>')
    drawn = {
        "circle": '<circle r="5"{}/>',
        "square": '<rect x="-4.5" y="-4.5" width="9" height="9"{}/>',
        "diamond": '<path d="M0-6L6 0L0 6L-6 0Z"{}/>',
        "triangle": '<path d="M0-6L6 5L-6 5Z"{}/>',
        "bar": '<rect x="-2" y="-7" width="4" height="14"{}/>',
        "cross": '<path d="M-5-5L5 5M5-5L-5 5" stroke-width="3"{}/>',
    }[kind]
    made = Markup(drawn).format(fill)
    scaled = made if size == MARK else Markup('<g transform="scale({})">{}</g>').format(_n(size / MARK), made)
    return at.format(_n(x), _n(y), scaled)


@dataclass(frozen=True)
class Series:
    """Values of one run at equal steps, with intervals where there are any."""

    run: int
    name: str
    points: Sequence[tuple[float, float | None, float | None, float | None]]
    """Place from 0 to 1, value, low, high."""
    hrefs: Sequence[str] = ()


def curves(
    series: Sequence[Series], scale: Scale, title: str, told: str, *, height: float = 180.0, size: float = MARK
) -> Markup:
    """Lines of values over a quantity that grows to the right, such as the length of answers."""
    body: list[Markup] = []
    for tick in scale.ticks:
        y = _down(scale, tick, height)
        body.append(
            Markup('<line class="axis" x1="8%" x2="100%" y1="{}" y2="{}"/>').format(_n(y), _n(y))
            + Markup('<text x="0" y="{}">{}</text>').format(_n(y + 4), f"{tick:g}")
        )
    for one in series:
        known = [(x, value) for x, value, _, _ in one.points if value is not None]
        path = " ".join(
            f"{'M' if not n else 'L'}{_n(100 * x)} {_n(_down(scale, value, height))}"
            for n, (x, value) in enumerate(known)
        )
        body.append(
            Markup(
                '<svg x="10%" width="88%" height="{}" viewBox="0 0 100 {}" preserveAspectRatio="none" class="r{}">'
                '<path class="line" d="{}"/></svg>'
            ).format(_n(height), _n(height), one.run % 6, path)
        )
        for number, (x, value, low, high) in enumerate(one.points):
            if value is None:
                continue
            at = 10 + 88 * x
            bar = Markup("")
            if low is not None and high is not None:
                bar = Markup('<line x1="{0}%" x2="{0}%" y1="{1}" y2="{2}"/>').format(
                    _n(at), _n(_down(scale, low, height)), _n(_down(scale, high, height))
                )
            mark = Markup('<g class="r{}"><title>{}</title>{}{}</g>').format(
                one.run % 6, f"{one.name}: {value:.2f}", bar, shape(one.run, at, _down(scale, value, height), size=size)
            )
            href = one.hrefs[number] if number < len(one.hrefs) else ""
            body.append(Markup('<a href="{}">{}</a>').format(href, mark) if href else mark)
    return _svg(body, height + 8, title, told)


def _down(scale: Scale, value: float, height: float) -> float:
    span = scale.high - scale.low or 1.0
    return 8 + (height - 16) * (1 - (min(max(value, scale.low), scale.high) - scale.low) / span)


def _line(x: float, top: float, bottom: float, kind: str) -> Markup:
    return Markup('<line class="{0}" x1="{1}%" x2="{1}%" y1="{2}" y2="{3}"/>').format(kind, _n(x), _n(top), _n(bottom))


def _svg(body: Iterable[Markup], height: float, title: str, told: str) -> Markup:
    """A drawing with its words for those who do not see it."""
    desc = Markup("<desc>{}</desc>").format(told) if told else Markup("")
    inner = Markup("").join(body)
    # What an image holds is out of reach for a screen reader; links in it must not be.
    role = "group" if "<a " in inner else "img"
    return Markup('<svg width="100%" height="{}" role="{}" aria-label="{}"><title>{}</title>{}{}</svg>').format(
        _n(height), role, title, title, desc, inner
    )


def _n(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
