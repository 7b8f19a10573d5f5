"""Figures for papers: the page's plots with their words, as one SVG that stands alone, and the data beside it.

A figure is as wide as one column of a paper, and its text is of a size that can be read there. Each task that the runs
have is a panel, and numbers of unlike scale never share an axis.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from markupsafe import Markup

from judgebench.display import printable, ranks
from judgebench.errors import UsageError
from judgebench.models.extras import import_extra
from judgebench.records import Score
from judgebench.report.calibrations import calibration, labelled
from judgebench.report.collect import NOT_COMPARED, Report, TaskReport
from judgebench.report.comparing import matrix_counts
from judgebench.report.differences import comparison_of
from judgebench.report.figure_parts import (
    EDGE,
    MARK,
    NAMES,
    PLOT,
    RULER,
    UNITS,
    WIDTH,
    Figure,
    Panel,
    Rows,
    at,
    fitted,
    name,
    plotted,
    ruler,
    stacked,
    text,
)
from judgebench.report.ladders import certain_ranks, headline, ordered
from judgebench.report.length_plots import NUMBERS, length_curve
from judgebench.report.plots import Mark, Scale, curves, forest, scale_of
from judgebench.tasks import is_among, parse_specs

ROW, MARK_ROW = 20.0, 12.0
CELL = 52.0
FLIPS = ("first", "second", "first ended", "second ended", "samples")
BANDS = 5
"""Values that are more than so many are counted in bands."""


def figure_of(report: Report, kind: str, task: str | None = None, *, labels: Sequence[Path] = ()) -> Figure:
    """A figure of the tasks of a report, or of those that are named, in a panel each.

    ``labels`` are files of people's verdicts, with which a figure of calibration compares the judge's. Raises
    :class:`UsageError` if the report has no such task, or not what the figure shows.
    """
    if kind not in KINDS:
        raise UsageError(f"unknown kind of figure {kind!r:.40}; there are {', '.join(KINDS)}")
    if task is not None:
        parse_specs(task)
    named = [one for one in report.tasks if is_among(task, (one.label, *one.first.names))]
    if not named:
        raise UsageError(f"no run has the task {task!r:.80}; there are {', '.join(one.label for one in report.tasks)}")
    if labels and kind != "calibration":
        raise UsageError(f"labels by people are for a figure of calibration, and {kind} was asked for")
    panels, without = list[tuple[str, Panel]](), list[str]()
    for one in named:
        try:
            drawn = labelled(report, one, labels) if labels else KINDS[kind](report, one)
            panels.append((one.label, drawn))
        except UsageError as error:
            without.append(f"not in the figure: {error}")
    if not panels:
        raise UsageError("; ".join(note.removeprefix("not in the figure: ") for note in without))
    return stacked(panels, report.names, kind, (*without, *_absent(report, named)))


def _absent(report: Report, tasks: Sequence[TaskReport]) -> Iterator[str]:
    there = {run for one in tasks for run in one.runs}
    for number, run in enumerate(report.names):
        if number not in there:
            yield f"not in the figure: {run}, which has none of its tasks"


def write_figure(found: Figure, place: Path, *, overwrite: bool = False) -> list[Path]:
    """Write a figure as SVG, PDF or PNG, by the name of the file, and its numbers beside it as CSV.

    Raises :class:`UsageError` for another ending, for a file that is there, and if the package for PDF and PNG is not.
    """
    ending = place.suffix.lower()
    if ending not in (".svg", ".pdf", ".png"):
        raise UsageError(f"--out {place} ends in none of .svg, .pdf and .png")
    beside = place.with_suffix(".csv")
    for one in (place, beside):
        if one.exists() and not overwrite:
            raise UsageError(f"{one} exists; give --overwrite to replace it, or another name to --out")
    if ending != ".svg":
        try:
            (cairosvg,) = import_extra(f"a figure as {ending[1:].upper()}", "figures", "cairosvg")
        except OSError as error:
            raise UsageError(
                f"a figure as {ending[1:].upper()} is drawn by the system's library cairo, which cannot be loaded "
                f"({error!s:.100}); install it (Debian: libcairo2), or write SVG"
            ) from error
        convert = cairosvg.svg2pdf if ending == ".pdf" else cairosvg.svg2png
        data = convert(
            bytestring=found.svg.encode(), **({"scale": 4, "background_color": "white"} if ending == ".png" else {})
        )
    else:
        data = found.svg.encode("utf-8", "replace")
    try:
        place.write_bytes(data)
        beside.write_text(found.csv, "utf-8", "replace")
    except OSError as error:
        raise UsageError(f"the figure {place} cannot be written: {error.strerror or error}") from error
    return [place, beside]


# -- the kinds


def _forest(report: Report, task: TaskReport) -> Panel:
    """The metrics of quality of each run, with intervals; those of unlike scale each over a ruler of their own."""
    by_run = [opened.task.overall for opened in task.opened]
    names = [
        metric
        for metric in dict.fromkeys(metric for scores in by_run for metric in scores)
        if _is_quality(task, metric) and any((one := s.get(metric)) and one.value is not None for s in by_run)
    ]
    # A number without an interval says something about others, as a standard error does.
    sure = [metric for metric in names if any((one := s.get(metric)) and one.low is not None for s in by_run)]
    rows = [(metric, [scores.get(metric) for scores in by_run]) for metric in sure or names]
    if not rows:
        raise UsageError(f"{task.label} has no number in any run: {_why_none(by_run)}")
    return _of_scores(report, task, _by_scale(task, rows))


def _is_quality(task: TaskReport, metric: str) -> bool:
    code = next((opened.code for opened in task.opened if opened.code is not None), None)
    return code is None or code.metric(metric).direction == "higher"


def _why_none(by_run: Sequence[Mapping[str, Score]]) -> str:
    told = (score.reason for scores in by_run for score in scores.values() if score.reason)
    return printable(next(told, "no answer has been scored"), 300)


Row = tuple[str, Sequence[Score | None]]
"""A name, and the score of each run."""


def _by_scale(task: TaskReport, rows: Sequence[Row]) -> list[tuple[str, Sequence[Row]]]:
    """The rows that may share an axis: those of one unit, if its numbers mean the same in each."""
    code = next((opened.code for opened in task.opened if opened.code is not None), None)
    found: dict[tuple[str, object], list[Row]] = {}
    for metric, scores in rows:
        unit = next(one.unit for one in scores if one is not None)
        own = metric if unit in UNITS or unit == "coefficient" else None if code is None else code.metric(metric).bounds
        found.setdefault((unit, own), []).append((metric, scores))
    return [("", own) for own in found.values()]


def _categories(report: Report, task: TaskReport) -> Panel:
    """The first metric that has groups, by each kind of them, in each run."""
    by_run = [{(s.metric, s.group): s for s in opened.task.scores} for opened in task.opened]
    known = dict.fromkeys(
        key for scores in by_run for key, s in scores.items() if key[1] and "=" in key[1] and s.value is not None
    )
    metric = next((metric for metric, _ in known), None)
    if metric is None:
        raise UsageError(f"{task.label} has no groups of samples with numbers")
    kinds: dict[str, list[Row]] = {}
    for _, group in (key for key in known if key[0] == metric):
        kind, _, value = str(group).partition("=")
        kinds.setdefault(kind, []).append((value, [scores.get((metric, group)) for scores in by_run]))
    return _of_scores(report, task, [(f"{metric} by {kind}", rows) for kind, rows in kinds.items()], together=True)


def _of_scores(
    report: Report, task: TaskReport, parts: Sequence[tuple[str, Sequence[Row]]], *, together: bool = False
) -> Panel:
    """Rows of marks; each part has a heading and a ruler, and its own scale unless all are taken ``together``."""
    body, y, table, width = list[Markup](), 2.0, Rows(), WIDTH - NAMES - EDGE
    common = _scale([row for _, rows in parts for row in rows]) if together else None
    for heading, rows in parts:
        scale, unit = common or _scale(rows), next(s.unit for _, scores in rows for s in scores if s is not None)
        if heading:
            body.append(text(4, y + 11, fitted(heading, WIDTH - 8)))
            y += 16
        top, inner = y, list[Markup]()
        for words, scores in rows:
            marks = [
                Mark(task.runs[place], one.value, one.low, one.high, "")
                for place, one in enumerate(scores)
                if one is not None and one.value is not None
            ]
            drawn, height = MARK_ROW * len(marks), max(MARK_ROW * len(marks) + 6, 24.0)
            inner += [name(words, y + height / 2)]
            inner += [
                at(NAMES, y + (height - drawn) / 2, forest(marks, scale, "", row=MARK_ROW, size=MARK), drawn, width)
            ]
            y += height
            table += [
                (report.names[task.runs[place]], one.metric, one.group or "", one.value, one.low, one.high, one.n)
                for place, one in enumerate(scores)
                if one is not None
            ]
        # Marks lie over the lines of the ruler.
        body += [*ruler(scale, unit, top, y, NAMES, width), *inner]
        y += RULER + 4
    known = [one for _, rows in parts for _, scores in rows for one in scores if one is not None]
    return Panel(
        body,
        y,
        ("run", "metric", "group", "value", "low", "high", "n"),
        table,
        legend=task.runs,
        intervals=_levels(known),
    )


def _scale(rows: Sequence[Row]) -> Scale:
    known = [one for _, scores in rows for one in scores if one is not None]
    return scale_of((end for one in known for end in _ends(one)), NUMBERS.get(known[0].unit))


def _ends(score: Score) -> list[float]:
    return [end for end in (score.value, score.low, score.high) if end is not None]


def _levels(scores: Sequence[Score]) -> frozenset[float]:
    return frozenset(one.level for one in scores if one.level is not None and one.low is not None)


def _length(report: Report, task: TaskReport) -> Panel:
    """The mean value by length of the answer, in ten parts, with the fit of length control."""
    curve = length_curve(report, task)
    if not any(map(task.lengths_of, range(len(task.runs)))):
        raise UsageError(f"the runs hold no answers of {task.label}, so the lengths of these are not known")
    if curve is None or task.measure is None:
        raise UsageError(f"samples of {task.label} have no value that could be drawn over the length of answers")
    unit = task.opened[0].measures[task.measure].unit

    def drawn(width: float) -> Markup:
        scale, title = curve.scale(unit), task.measure or ""
        return curves(curve.series, scale, title, "", height=PLOT, size=MARK, places=curve.places, width=width)

    broken = "; broken: by length alone" if any(one.fitted for one in curve.series) else ""
    told = f" ({unit})" if unit not in UNITS else ""
    body = [
        text(4, 12, fitted(f"{task.measure}{told} by length of the answer", WIDTH - 8)),
        *plotted(18, drawn),
        text(4, 202, fitted(f"dotted: mean length{broken}", WIDTH - 80), "faint"),
        text(WIDTH - 4, 202, "characters", "faint", anchor="end"),
    ]
    sure = any(low is not None for one in curve.series for _, _, low, _ in one.points)
    return Panel(
        body,
        208,
        ("run", "tenth", "characters", "mean", "low", "high"),
        list(curve.rows),
        legend=task.runs,
        intervals=frozenset({0.95} if sure else ()),
        notes=curve.few,
    )


def _flips(report: Report, task: TaskReport) -> Panel:
    """How the samples of two runs ended, beside each other: in a win or a loss, passed or failed, or in a value."""
    if len(task.runs) < 2:
        raise UsageError(f"a figure of flips shows two runs, and the report has {task.label} in one")
    counts, ends = matrix_counts(task, 0, 1)
    banded = "" if ends else f"samples by {task.measure}"
    if banded:
        counts, ends = _in_bands(task)
    if not ends:
        raise UsageError(f"no sample of {task.label} has a value in both of the first two runs")
    size = min(CELL, (WIDTH - 76) / len(ends))
    most, left, top, total = max(counts.values()), 72.0, 62.0 + (14 if banded else 0), counts.total()
    names = [report.names[run] for run in task.runs[:2]]
    body = [
        text(4, 12, fitted(f"rows: {names[0]}", WIDTH - 8)),
        text(4, 26, fitted(f"columns: {names[1]}", WIDTH - 8)),
        text(4, 40, fitted(banded, WIDTH - 8), "faint"),
    ]
    for place, end in enumerate(ends):
        body.append(text(left + size * (place + 0.5) - 1, top - 6, end, anchor="middle"))
        body.append(text(left - 6, top + size * (place + 0.5) + 3, end, anchor="end"))
    for row, one in enumerate(ends):
        for column, other in enumerate(ends):
            count, x, y = counts[one, other], left + size * column, top + size * row
            shade = round(0.04 + 0.5 * count / most, 3)
            body.append(
                Markup('<rect class="cell" x="{}" y="{}" width="{}" height="{}" fill-opacity="{}"/>').format(
                    round(x, 1), round(y, 1), round(size - 2, 1), round(size - 2, 1), shade
                )
            )
            body.append(text(x + size / 2 - 1, y + size / 2, f"{count:,}", anchor="middle"))
            body.append(text(x + size / 2 - 1, y + size / 2 + 12, f"{100 * count / total:.1f} %", "faint", "middle"))
    rows: Rows = [(*names, one, other, counts[one, other]) for one in ends for other in ends]
    others = [report.names[run] for run in task.runs[2:]]
    notes = [f"{task.label}: flips are of the first two runs; not in the figure: {', '.join(others)}"] if others else []
    return Panel(body, top + size * len(ends) + 8, FLIPS, rows, notes=tuple(notes))


def _in_bands(task: TaskReport) -> tuple[Counter[tuple[str, str]], tuple[str, ...]]:
    """How often samples whose values are marks or ratings had which in two runs; many different ones, in bands."""
    first, second = ({} if (found := task.measure_of(place)) is None else found.values for place in (0, 1))
    both = [(one, second.get(key)) for key, one in first.items()]
    pairs = [(one, other) for one, other in both if one is not None and other is not None]
    known = sorted({value for pair in pairs for value in pair})
    if len(known) <= BANDS:
        labels = tuple(f"{value:g}" for value in known)
        return Counter((f"{one:g}", f"{other:g}") for one, other in pairs), labels
    starts = [*Scale(known[0], known[-1]).ticks]
    if starts[0] > known[0]:
        starts.insert(0, known[0])
    if starts[-1] == known[-1] and len(starts) > 1:
        starts.pop()
    whole = all(value.is_integer() for value in known)
    labels = tuple(_band(low, high, whole=whole) for low, high in pairwise(starts))
    labels += (f"{starts[-1]:.3g} – {known[-1]:.3g}",) if starts[-1] < known[-1] else (f"{known[-1]:.3g}",)

    def band(value: float) -> str:
        return labels[sum(value >= start for start in starts[1:])]

    return Counter((band(one), band(other)) for one, other in pairs), labels


def _band(low: float, high: float, *, whole: bool) -> str:
    """Values from one to below another, in words.

    >>> _band(2.0, 4.0, whole=True), _band(2.5, 5.0, whole=False), _band(-50.0, 0.0, whole=True)
    ('2 – 3', '2.5 – <5', '-50 to -1')
    """
    to = "to" if low < 0 else "–"
    if not whole:
        return f"{low:.3g} {to} <{high:.3g}"
    return f"{low:g}" if low + 1 >= high else f"{low:g} {to} {high - 1:g}"


def _ladder(report: Report, task: TaskReport) -> Panel:
    """The runs by their headline number, the best first, with the ranks that each may have."""
    metric = headline(task)
    if metric is None:
        raise UsageError(f"{task.label} has no number in any run")
    known = ordered(task, metric)
    found = certain_ranks(comparison_of(report, task), metric)
    certain = {run: ranks(one.low, one.high) for run, one in found.items()}
    scale = scale_of((end for _, one in known for end in _ends(one)), NUMBERS.get(known[0][1].unit))
    y, width = 18.0, WIDTH - NAMES - 40
    heading = [text(4, 12, fitted(metric, WIDTH - 60))]
    if certain:
        heading.append(text(WIDTH - 4, 12, "rank", anchor="end"))
    inner, table = list[Markup](), Rows()
    for place, one in known:
        run = task.runs[place]
        assert one.value is not None
        rank, height = certain.get(run, ""), 24.0
        drawn = forest([Mark(run, one.value, one.low, one.high, "")], scale, "", row=height, size=MARK)
        inner += [name(report.names[run], y + height / 2), at(NAMES, y, drawn, height, width=width)]
        inner.append(text(WIDTH - 4, y + height / 2 + 3.5, rank, anchor="end"))
        table.append((report.names[run], one.metric, one.value, one.low, one.high, rank, one.n))
        y += height
    body = [*heading, *ruler(scale, known[0][1].unit, 18, y, NAMES, width), *inner]
    placed = {place for place, _ in known}
    lacking = [report.names[run] for place, run in enumerate(task.runs) if place not in placed]
    notes = [f"{task.label}: not in the figure, for want of {metric}: {', '.join(lacking)}"] if lacking else []
    if len(known) > 1 and not certain:
        why = next((note for note in report.notes if note.startswith(NOT_COMPARED)), f"they cannot be, by {metric}")
        notes.append(f"{task.label}: ranks are not known: {why}")
    return Panel(
        body,
        y + RULER + 4,
        ("run", "metric", "value", "low", "high", "ranks", "n"),
        table,
        intervals=_levels([one for _, one in known]),
        notes=tuple(notes),
    )


KINDS: Mapping[str, Callable[[Report, TaskReport], Panel]] = {
    "forest": _forest,
    "length": _length,
    "categories": _categories,
    "flips": _flips,
    "ladder": _ladder,
    "calibration": calibration,
}
"""What can be drawn, by its name on the command line."""
