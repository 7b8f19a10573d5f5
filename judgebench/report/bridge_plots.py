"""Plots of a judge bridge: the line from one judge to another, and each model as the others predict it."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from judgebench.display import figure
from judgebench.report.plots import Scale, coord, drawing, scale_of, shape

HEIGHT, FOOT = 320.0, 34.0
LEFT, WIDTH = 9.0, 90.0
"""Percent of the width: where values begin, and how much they have."""
STEPS = 40
"""Of the line and its band."""


@dataclass(frozen=True)
class Point:
    """A model by both judges."""

    name: str
    judged: float
    official: float
    predicted: float | None = None
    """From the other models."""
    low: float | None = None
    high: float | None = None
    inside: bool | None = None


@dataclass(frozen=True)
class Guess:
    """A run of which only the judge of today said something."""

    name: str
    judged: float
    predicted: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """The line and its band, at steps of the judge's number."""

    judged: Sequence[float]
    value: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def regression(
    points: Sequence[Point], guesses: Sequence[Guess], curve: Curve | None, axes: tuple[str, str], unit: str
) -> Markup:
    """Official numbers over those of the judge, with the line, its 95 % band, and what it predicts for runs."""
    across = scale_of([*(one.judged for one in points), *(one.judged for one in guesses)])
    up = scale_of(
        [
            *(one.official for one in points),
            *(end for one in guesses for end in (one.low, one.high)),
            *((*curve.low, *curve.high) if curve else ()),
        ]
    )
    body = [*_grid(across, up, axes)]
    if curve is not None:
        body.append(_line(curve, across, up))
    body += [_point(one, across, up, unit) for one in points]
    body += [_guess(one, across, up, unit) for one in guesses]
    inside = [one.inside for one in points if one.inside is not None]
    told = f"{len(points)} models by both judges"
    if inside:
        told += f"; {sum(inside)} of {len(inside)} lie in the interval that the others give"
    told += "".join(f"; {one.name} is predicted {figure(one.predicted, unit)}" for one in guesses)
    return drawing(body, HEIGHT + FOOT, f"{axes[1]} by {axes[0]}", told)


def _x(scale: Scale, value: float) -> float:
    return LEFT + WIDTH * (value - scale.low) / (scale.high - scale.low or 1.0)


def _y(scale: Scale, value: float) -> float:
    return 20 + (HEIGHT - 28) * (1 - (value - scale.low) / (scale.high - scale.low or 1.0))


def _grid(across: Scale, up: Scale, axes: tuple[str, str]) -> list[Markup]:
    ends = Markup('<line class="axis" x1="{}%" x2="{}%" y1="{}" y2="{}"/>')
    rows = [
        ends.format(coord(LEFT), coord(LEFT + WIDTH), coord(_y(up, tick)), coord(_y(up, tick)))
        + Markup('<text x="0" y="{}">{}</text>').format(coord(_y(up, tick) + 4), f"{tick:g}")
        for tick in up.ticks
    ]
    columns = [
        Markup('<text x="{}%" y="{}" text-anchor="middle">{}</text>').format(
            coord(_x(across, tick)), coord(HEIGHT + 12), f"{tick:g}"
        )
        for tick in across.ticks
    ]
    same = (max(across.low, up.low), min(across.high, up.high))
    if same[0] < same[1]:
        rows.append(
            Markup('<line class="zero" x1="{}%" x2="{}%" y1="{}" y2="{}"><title>{}</title></line>').format(
                coord(_x(across, same[0])), coord(_x(across, same[1])), coord(_y(up, same[0])), coord(_y(up, same[1])),
                "where both judges would say the same",
            )
        )  # fmt: skip
    names = Markup('<text x="0" y="11">{}</text><text x="{}%" y="{}" text-anchor="end">{}</text>').format(
        axes[1], coord(LEFT + WIDTH), coord(HEIGHT + 29), axes[0]
    )
    return [*rows, *columns, names]


def _line(curve: Curve, across: Scale, up: Scale) -> Markup:
    def at(values: Sequence[float]) -> list[str]:
        pairs = zip(curve.judged, values, strict=True)
        return [f"{coord((_x(across, x) - LEFT) / WIDTH * 100)} {coord(_y(up, y))}" for x, y in pairs]

    line = "M" + "L".join(at(curve.value))
    band = "M" + "L".join([*at(curve.low), *reversed(at(curve.high))]) + "Z"
    return Markup(
        '<svg x="{}%" width="{}%" height="{}" viewBox="0 0 100 {}" preserveAspectRatio="none" class="r0">'
        '<path class="band" d="{}"/><path class="line" d="{}"/></svg>'
    ).format(coord(LEFT), coord(WIDTH), coord(HEIGHT), coord(HEIGHT), band, line)


def _point(one: Point, across: Scale, up: Scale, unit: str) -> Markup:
    words = f"{one.name}: judge {figure(one.judged, unit)}, official {figure(one.official, unit)}"
    if one.predicted is not None:
        words += f", predicted without it {figure(one.predicted, unit)}"
        words += f" ({figure(one.low, unit)} to {figure(one.high, unit)}): {'inside' if one.inside else 'outside'}"
    # Shape and colour say which of them the others do not predict.
    kind = 5 if one.inside is False else 0
    drawn = shape(kind, _x(across, one.judged), _y(up, one.official), size=4)
    return Markup('<g class="r{}"><title>{}</title>{}</g>').format(1 if kind else 0, words, drawn)


def _guess(one: Guess, across: Scale, up: Scale, unit: str) -> Markup:
    x = coord(_x(across, one.judged))
    words = f"{one.name}: predicted {figure(one.predicted, unit)} ({figure(one.low, unit)} to {figure(one.high, unit)})"
    return Markup(
        '<g class="r2"><title>{0}</title><line x1="{1}%" x2="{1}%" y1="{2}" y2="{3}" stroke-width="2"/>{4}</g>'
        '<text x="{1}%" y="{5}" dx="{6}" text-anchor="{7}">{8}</text>'
    ).format(
        words, x, coord(_y(up, one.low)), coord(_y(up, one.high)),
        shape(2, _x(across, one.judged), _y(up, one.predicted), hollow=True),
        coord(_y(up, one.predicted) + 4), *((-10, "end") if _x(across, one.judged) > 60 else (10, "start")), one.name,
    )  # fmt: skip


def left_out(one: Point, scale: Scale, unit: str) -> Markup:
    """A model's official number beside the interval that the other models give."""
    if one.predicted is None or one.low is None or one.high is None:
        return Markup("")
    words = (
        f"{one.name}: official {figure(one.official, unit)}, predicted without it {figure(one.predicted, unit)} "
        f"({figure(one.low, unit)} to {figure(one.high, unit)}): {'inside' if one.inside else 'outside'}"
    )
    line = Markup('<g class="r0"><line x1="{}%" x2="{}%" y1="11" y2="11" stroke-width="2"/>{}</g>').format(
        coord(scale.at(one.low)), coord(scale.at(one.high)), shape(4, scale.at(one.predicted), 11.0)
    )
    kind = 5 if one.inside is False else 0
    mark = Markup('<g class="r{}"><title>{}</title>{}</g>').format(
        1 if kind else 2, words, shape(kind, scale.at(one.official), 11.0, hollow=not kind)
    )
    return drawing([line, mark], 22.0, words, "")
