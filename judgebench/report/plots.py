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
ROOM_FOR_WORDS = 0.08
"""A part of a bar that has less of it is not written upon."""
MOST_STEPS = 200
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
        return self.rounds(TICKS)

    def rounds(self, about: int) -> list[float]:
        """About so many round numbers within the scale."""
        return [value for value in _steps(self.low, self.high, about) if self.low <= value <= self.high]


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


def _steps(low: float, high: float, about: int) -> Iterator[float]:
    raw = (high - low) / about or 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first = math.ceil(low / step)
    yield from (number * step for number in range(first, first + 4 * about) if number * step <= high)


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
    published: float | None = None
    """What was published of the same, drawn hollow: it was not measured here."""
    hollow: bool = False
    """Whether the value itself was published."""


def forest(
    marks: Sequence[Mark],
    scale: Scale,
    title: str,
    *,
    zero: bool = False,
    grid: bool = False,
    row: float = ROW,
    size: float = MARK,
) -> Markup:
    """Values with their intervals, one under the other, on a scale, and with a ``grid``, that other rows share."""
    height = row * max(1, len(marks))
    body = [_line(scale.at(tick), 0, height, "axis") for tick in (scale.ticks if grid else ())]
    body += [_line(scale.at(0.0), 0, height, "zero")] if zero and scale.low < 0 < scale.high else []
    for number, mark in enumerate(marks):
        y = row * (number + 0.5)
        inner = []
        if mark.low is not None and mark.high is not None:
            inner.append(
                Markup('<line x1="{}%" x2="{}%" y1="{}" y2="{}" stroke-width="2"/>').format(
                    coord(scale.at(mark.low)), coord(scale.at(mark.high)), coord(y), coord(y)
                )
            )
        inner.append(shape(mark.run, scale.at(mark.value), y, hollow=mark.hollow, size=size))
        if mark.published is not None:
            inner.append(shape(mark.run, scale.at(mark.published), y, hollow=True, size=size))
        drawn = Markup('<g class="r{}"><title>{}</title>{}</g>').format(
            mark.run % 6, mark.words, Markup("").join(inner)
        )
        body.append(Markup('<a href="{}">{}</a>').format(mark.href, drawn) if mark.href else drawn)
    return drawing(body, height, title, "; ".join(mark.words for mark in marks))


def axis(scale: Scale, unit: str, *, named: bool = False) -> Markup:
    """The line and the numbers under a column of plots; ``named`` by the unit below them."""
    body = [Markup('<line class="axis" x1="{}%" x2="{}%" y1="0.5" y2="0.5"/>').format(coord(LEFT), coord(RIGHT))]
    for tick in scale.ticks:
        at = coord(scale.at(tick))
        body.append(Markup('<line class="axis" x1="{0}%" x2="{0}%" y1="0" y2="4"/>').format(at))
        body.append(Markup('<text x="{}%" y="15" text-anchor="middle">{}</text>').format(at, f"{tick:g}"))
    if named and unit:
        name = Markup('<text class="unit" x="{}%" y="28" text-anchor="middle">{}</text>')
        body.append(name.format(coord((LEFT + RIGHT) / 2), unit))
    return drawing(body, 32 if named else 18, f"scale in {unit}", "")


def shape(run: int, x: float, y: float, *, hollow: bool = False, size: float = MARK) -> Markup:
    """The mark of a run at a place in percent of the width and pixels of the height."""
    # The seventh run has the colour of the first, and so needs another shape.
    kind = SHAPES[(run + run // len(SHAPES)) % len(SHAPES)]
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
    scaled = made if size == MARK else Markup('<g transform="scale({})">{}</g>').format(coord(size / MARK), made)
    return at.format(coord(x), coord(y), scaled)


@dataclass(frozen=True)
class Series:
    """Values of one run at equal steps, with intervals where there are any."""

    run: int
    name: str
    points: Sequence[tuple[float, float | None, float | None, float | None]]
    """Place from 0 to 1, value, low, high."""
    hrefs: Sequence[str] = ()
    words: Sequence[str] = ()
    """What each point says when one looks at it closely; else its value."""
    fitted: bool = False
    """A fit, drawn as a broken line without marks."""
    joined: bool = True
    """Whether a line goes through the marks."""


@dataclass(frozen=True)
class Place:
    """A place on the quantity that grows to the right: a tick with words, or where a run is on average."""

    at: float
    words: str
    run: int | None = None


def curves(
    series: Sequence[Series],
    scale: Scale,
    title: str,
    told: str,
    *,
    height: float = 180.0,
    size: float = MARK,
    places: Sequence[Place] = (),
    width: float | None = None,
) -> Markup:
    """Lines of values over a quantity that grows to the right, such as the length of answers.

    Without a ``width`` in pixels lines are stretched to that of the page, whose style sheet keeps them equally thick.
    """
    body = [_level(scale, tick, height) for tick in scale.ticks]
    body += [_upright(place, height) for place in places]
    for one in series:
        if one.joined:
            body.append(_course(one, scale, height, width))
        if not one.fitted:
            body += _points(one, scale, height, size)
    return drawing(body, height + (22 if places else 8), title, told)


def _level(scale: Scale, tick: float, height: float) -> Markup:
    y = _down(scale, tick, height)
    return Markup('<line class="axis" x1="8%" x2="100%" y1="{}" y2="{}"/>').format(coord(y), coord(y)) + Markup(
        '<text x="0" y="{}">{}</text>'
    ).format(coord(y + 4), f"{tick:g}")


def _upright(place: Place, height: float) -> Markup:
    """A tick of the axis below, or a line through the mean of a run."""
    at = coord(_across(place.at))
    if place.run is None:
        return Markup('<line class="axis" x1="{0}%" x2="{0}%" y1="{1}" y2="{2}"/>').format(
            at, coord(height - 4), coord(height + 2)
        ) + Markup('<text x="{}%" y="{}" text-anchor="middle">{}</text>').format(at, coord(height + 16), place.words)
    return Markup(
        '<g class="r{0}"><title>{1}</title><line class="mean" x1="{2}%" x2="{2}%" y1="0" y2="{3}"/></g>'
    ).format(place.run % 6, place.words, at, coord(height))


def _across(x: float) -> float:
    """Percent of the width of a place from 0 to 1: the numbers of the scale stand at the left."""
    return 10 + 88 * x


def _course(one: Series, scale: Scale, height: float, width: float | None) -> Markup:
    known = [(x, value) for x, value, _, _ in one.points if value is not None]
    at = [100 * x if width is None else width * _across(x) / 100 for x, _ in known]
    path = " ".join(
        f"{'M' if not n else 'L'}{coord(at[n])} {coord(_down(scale, value, height))}"
        for n, (_, value) in enumerate(known)
    )
    kind = " fitted" if one.fitted else ""
    if width is not None:
        return Markup('<g class="r{}"><path class="line{}" d="{}"/></g>').format(one.run % 6, kind, path)
    return Markup(
        '<svg x="10%" width="88%" height="{}" viewBox="0 0 100 {}" preserveAspectRatio="none" class="r{}">'
        '<path class="line{}" d="{}"/></svg>'
    ).format(coord(height), coord(height), one.run % 6, kind, path)


def _points(one: Series, scale: Scale, height: float, size: float) -> Iterator[Markup]:
    for number, (x, value, low, high) in enumerate(one.points):
        if value is None:
            continue
        at, bar = _across(x), Markup("")
        if low is not None and high is not None:
            bar = Markup('<line x1="{0}%" x2="{0}%" y1="{1}" y2="{2}"/>').format(
                coord(at), coord(_down(scale, low, height)), coord(_down(scale, high, height))
            )
        words = one.words[number] if number < len(one.words) else f"{one.name}: {value:.2f}"
        mark = Markup('<g class="r{}"><title>{}</title>{}{}</g>').format(
            one.run % 6, words, bar, shape(one.run, at, _down(scale, value, height), size=size)
        )
        href = one.hrefs[number] if number < len(one.hrefs) else ""
        yield Markup('<a href="{}">{}</a>').format(href, mark) if href else mark


def key_of(run: int) -> Markup:
    """The mark of a run, for the words beside it."""
    drawn = Markup('<g class="r{}">{}</g>').format(run % len(SHAPES), shape(run, 50, 9))
    return Markup('<svg class="key-shape" width="18" height="18" aria-hidden="true">{}</svg>').format(drawn)


@dataclass(frozen=True)
class Part:
    """One part of a whole."""

    words: str
    share: float
    """0 to 1."""
    kind: str
    """The class of the style sheet by which it is told from the others."""
    shown: str = ""
    """What is written on it, if there is room."""
    href: str = ""


def stack(parts: Sequence[Part], title: str, *, height: float = ROW) -> Markup:
    """The parts of a whole in one bar."""
    body, at = [], 0.0
    for part in parts:
        share = min(max(part.share, 0.0), 1.0 - at)
        drawn = Markup('<rect class="{}" x="{}%" width="{}%" y="2" height="{}"><title>{}</title></rect>').format(
            part.kind, coord(100 * at), coord(100 * share), coord(height - 4), part.words
        )
        if share >= ROOM_FOR_WORDS and part.shown:
            drawn += Markup('<text x="{}%" y="{}" text-anchor="middle">{}</text>').format(
                coord(100 * (at + share / 2)), coord(height / 2 + 4), part.shown
            )
        at += share
        if share > 0:
            body.append(Markup('<a href="{}">{}</a>').format(part.href, drawn) if part.href else drawn)
    return drawing(body, height, title, "; ".join(part.words for part in parts))


def sorted_changes(changes: Sequence[float], parts: Sequence[Part], title: str, told: str) -> Markup:
    """Changes from the largest loss to the largest gain, as areas; ``parts`` are losses, none and gains, with links."""
    height, steps = 120.0, min(len(changes), MOST_STEPS)
    most = max((abs(change) for change in changes), default=0.0) or 1.0
    ordered = sorted(changes)
    heights = [ordered[int((step + 0.5) * len(ordered) / steps)] / most for step in range(steps)]
    path, at = [f"M0 {coord(height / 2)}"], 0.0
    for share in heights:
        y = coord(height / 2 * (1 - share))
        path += [f"L{coord(at)} {y}", f"L{coord(at + 100 / steps)} {y}"]
        at += 100 / steps
    body = [
        Markup(
            '<svg width="100%" height="{0}" viewBox="0 0 100 {0}" preserveAspectRatio="none">'
            '<path class="area" d="{1}L100 {2}Z"/></svg>'
        ).format(coord(height), " ".join(path), coord(height / 2)),
        Markup('<line class="axis" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(coord(height / 2)),
        *(
            Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(*placed)
            for placed in (("100%", "12", "end", f"+{most:.3g}"), ("0", coord(height - 2), "start", f"-{most:.3g}"))
        ),
    ]
    start = 0.0
    for part in parts:
        hit = Markup('<rect class="hit" x="{}%" width="{}%" y="0" height="{}"><title>{}</title></rect>').format(
            coord(100 * start), coord(100 * part.share), coord(height), part.words
        )
        start += part.share
        if part.share > 0:
            body.append(Markup('<a href="{}">{}</a>').format(part.href, hit))
    return drawing(body, height, title, told)


def _down(scale: Scale, value: float, height: float) -> float:
    span = scale.high - scale.low or 1.0
    return 8 + (height - 16) * (1 - (min(max(value, scale.low), scale.high) - scale.low) / span)


def _line(x: float, top: float, bottom: float, kind: str) -> Markup:
    return Markup('<line class="{0}" x1="{1}%" x2="{1}%" y1="{2}" y2="{3}"/>').format(
        kind, coord(x), coord(top), coord(bottom)
    )


def drawing(body: Iterable[Markup], height: float, title: str, told: str) -> Markup:
    """A drawing with its words for those who do not see it."""
    desc = Markup("<desc>{}</desc>").format(told) if told else Markup("")
    inner = Markup("").join(body)
    # What an image holds is out of reach for a screen reader; links in it must not be.
    role = "group" if "<a " in inner else "img"
    return Markup('<svg width="100%" height="{}" role="{}" aria-label="{}"><title>{}</title>{}{}</svg>').format(
        coord(height), role, title, title, desc, inner
    )


def coord(number: float) -> str:
    """A coordinate in pixels or percent, in the fewest characters.

    >>> coord(12.0), coord(3.456)
    ('12', '3.46')
    """
    return f"{number:.2f}".rstrip("0").rstrip(".")
