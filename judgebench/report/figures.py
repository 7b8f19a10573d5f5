"""Figures for papers: the page's plots with their words, as one SVG that stands alone, and the data beside it.

A figure is as wide as one column of a paper, and its text is of a size that can be read there.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from csv import writer as csv_writer
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import numpy as np
from markupsafe import Markup

from judgebench.analysis.samples import share_of
from judgebench.display import printable, ranks, shortened
from judgebench.errors import UsageError
from judgebench.models.local.checkpoints import import_extra
from judgebench.records import Score
from judgebench.report.collect import Report, TaskReport
from judgebench.report.ladders import certain_ranks, headline, ordered
from judgebench.report.length_plots import NUMBERS, length_curve
from judgebench.report.plots import Mark, Scale, Series, axis, curves, forest, scale_of, shape
from judgebench.report.views import comparison_of, matrix_counts
from judgebench.run.labels import LEVEL, Labels, judged_shares, labelled_metric, read_labels, settled, weights_of
from judgebench.stats.clustered import bounded_estimate, cluster_totals
from judgebench.tasks import is_among, parse_one_spec

WIDTH = 340
"""Pixels: 9 cm, the width of a column, at 96 to the inch."""
NAMES = 128
"""Pixels that the names at the left may take."""
ROW = 20.0
MARK = 3.5
LONGEST_NAME = 22
BINS = 5
STYLE = (
    "svg{font-family:Helvetica,Arial,sans-serif;font-size:10px;color:#000}text{fill:#000}"
    ".axis{stroke:#ccc}.zero{stroke:#777;stroke-dasharray:3 3}.line{fill:none;stroke-width:1.5}"
    ".fitted{stroke-dasharray:5 4}.mean{stroke-dasharray:1 3}"
    ".r0{stroke:#0072b2;fill:#0072b2}.r1{stroke:#d55e00;fill:#d55e00}.r2{stroke:#009e73;fill:#009e73}"
    ".r3{stroke:#cc79a7;fill:#cc79a7}.r4{stroke:#8a6d00;fill:#8a6d00}.r5{stroke:#56b4e9;fill:#56b4e9}"
    ".cell{fill:#0072b2}.faint{fill:#555}"
)

Rows = list[tuple[object, ...]]


@dataclass(frozen=True)
class Figure:
    """A drawing, and the numbers in it."""

    svg: str
    columns: tuple[str, ...]
    rows: Rows = field(default_factory=list)

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


def figure_of(report: Report, kind: str, task: str | None = None, *, labels: Sequence[Path] = ()) -> Figure:
    """A figure of one task of a report: the one that is named, or the first.

    ``labels`` are files of people's verdicts, with which a figure of calibration compares the judge's. Raises
    :class:`UsageError` if the report has no such task, or not what the figure shows.
    """
    if kind not in KINDS:
        raise UsageError(f"unknown kind of figure {kind!r:.40}; there are {', '.join(KINDS)}")
    if task is not None:
        parse_one_spec(task)
    named = [one for one in report.tasks if is_among(task, (one.label, *one.first.names))]
    if not named:
        raise UsageError(f"no run has the task {task!r:.80}; there are {', '.join(one.label for one in report.tasks)}")
    if labels and kind != "calibration":
        raise UsageError(f"labels by people are for a figure of calibration, and {kind} was asked for")
    return _labelled(report, named[0], labels) if labels else KINDS[kind](report, named[0])


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
        data = convert(bytestring=found.svg.encode(), **({"scale": 4} if ending == ".png" else {}))
    else:
        data = found.svg.encode("utf-8", "replace")
    try:
        place.write_bytes(data)
        beside.write_text(found.csv, "utf-8", "replace")
    except OSError as error:
        raise UsageError(f"the figure {place} cannot be written: {error.strerror or error}") from error
    return [place, beside]


# -- the kinds


def _forest(report: Report, task: TaskReport) -> Figure:
    """The headline metrics of each run, with intervals."""
    by_run = [opened.task.overall for opened in task.opened]
    names = [
        name
        for name in dict.fromkeys(name for scores in by_run for name in scores)
        if any((one := scores.get(name)) and one.unit == "percent" and one.low is not None for scores in by_run)
    ]
    return _of_scores(report, task, [(name, [scores.get(name) for scores in by_run]) for name in names])


def _categories(report: Report, task: TaskReport) -> Figure:
    """The first metric by group, in each run."""
    by_run = [{(s.metric, s.group): s for s in opened.task.scores} for opened in task.opened]
    keys = dict.fromkeys(key for scores in by_run for key, s in scores.items() if key[1] and s.unit == "percent")
    metric = next((name for name, _ in keys), None)
    groups = [group for name, group in keys if name == metric]
    if metric is None:
        raise UsageError(f"{task.label} has no groups whose numbers are percentages")
    rows = [(str(group).partition("=")[2], [scores.get((metric, group)) for scores in by_run]) for group in groups]
    return _of_scores(report, task, rows)


def _of_scores(report: Report, task: TaskReport, rows: Sequence[tuple[str, Sequence[Score | None]]]) -> Figure:
    known = [one for _, scores in rows for one in scores if one is not None and one.value is not None]
    if not known:
        raise UsageError(f"{task.label} has no number in percent that could be drawn")
    ends = [end for one in known for end in (one.value, one.low, one.high) if end is not None]
    scale = scale_of(ends, NUMBERS["percent"])
    body, y, table = [], 4.0, Rows()
    for name, scores in rows:
        marks = [
            Mark(task.runs[place], one.value, one.low, one.high, "")
            for place, one in enumerate(scores)
            if one is not None and one.value is not None
        ]
        height = 12.0 * max(1, len(marks)) + 6
        body += [
            _name(name, y + height / 2 + 3),
            _at(NAMES, y, forest(marks, scale, name, row=12.0, size=MARK), height),
        ]
        y += height
        table += [
            (report.names[task.runs[place]], one.metric, one.group or "", one.value, one.low, one.high, one.n)
            for place, one in enumerate(scores)
            if one is not None
        ]
    body.append(_at(NAMES, y, axis(scale, "percent"), 18))
    return Figure(
        _whole([*body, *_legend(report, task, y + 20)], y + 24 + _legend_height(task), f"{task.label}, scores"),
        ("run", "metric", "group", "value", "low", "high", "n"),
        table,
    )


def _length(report: Report, task: TaskReport) -> Figure:
    """The mean value by length of the answer, in ten parts, with the fit of length control."""
    curve = length_curve(report, task)
    if curve is None or task.measure is None:
        raise UsageError(f"samples of {task.label} have no value that could be drawn over the length of answers")
    scale = curve.scale(task.opened[0].measures[task.measure].unit)
    drawn = curves(curve.series, scale, task.measure, "", height=150.0, size=MARK, places=curve.places, width=WIDTH)
    broken = ", broken: by length alone" if any(one.fitted for one in curve.series) else ""
    body = [
        _text(4, 12, shortened(f"{task.measure} by length of the answer{broken}", 60)),
        _at(0, 18, drawn, 172),
        _text(WIDTH - 4, 202, "characters", "faint", anchor="end"),
        *_legend(report, task, 208),
    ]
    height = 212 + _legend_height(task)
    columns = ("run", "tenth", "characters", "mean", "low", "high")
    return Figure(_whole(body, height, f"{task.label}, length"), columns, list(curve.rows))


def _flips(report: Report, task: TaskReport) -> Figure:
    """How the samples of two runs ended, beside each other."""
    if len(task.runs) < 2:
        raise UsageError(f"a figure of flips shows two runs, and the report has {task.label} in one")
    counts, ends = matrix_counts(task, 0, 1)
    if not ends:
        raise UsageError(f"samples of {task.label} neither won or lost nor passed or failed")
    most, size, left, top = max(counts.values()), 52.0, 120.0, 46.0
    first, second = (shortened(printable(report.names[task.runs[place]], 60), LONGEST_NAME) for place in (0, 1))
    body = [_text(left, 14, f"{second} (columns)"), _text(4, top - 6, f"{first} (rows)")]
    for column, end in enumerate(ends):
        body.append(_text(left + size * (column + 0.5), 34, end, anchor="middle"))
    for row, one in enumerate(ends):
        y = top + size * row
        body.append(_text(4, y + size / 2 + 4, one))
        for column, other in enumerate(ends):
            count, x = counts[one, other], left + size * column
            body.append(
                Markup('<rect class="cell" x="{}" y="{}" width="{}" height="{}" fill-opacity="{}"/>').format(
                    x, y, size - 2, size - 2, round(0.06 + 0.5 * count / most, 3)
                )
            )
            body.append(_text(x + size / 2 - 1, y + size / 2 + 4, f"{count}", anchor="middle"))
    rows: Rows = [(one, other, counts[one, other]) for one in ends for other in ends]
    height = top + size * len(ends) + 6
    return Figure(_whole(body, height, f"{task.label}, flips"), (first, second, "samples"), rows)


def _ladder(report: Report, task: TaskReport) -> Figure:
    """The runs by their headline number, the best first, with the ranks that are certain."""
    metric = headline(task)
    if metric is None:
        raise UsageError(f"{task.label} has no number in any run")
    known = ordered(task, metric)
    certain = {run: ranks(one.low, one.high) for run, one in certain_ranks(comparison_of(report, task), metric).items()}
    ends = [end for _, one in known for end in (one.value, one.low, one.high) if end is not None]
    scale, y = scale_of(ends), 16.0
    body, table = [_text(4, 12, metric)], Rows()
    for place, one in known:
        run = task.runs[place]
        assert one.value is not None
        drawn = forest([Mark(run, one.value, one.low, one.high, "")], scale, report.names[run], row=ROW, size=MARK)
        body += [_name(report.names[run], y + 13), _at(NAMES, y, drawn, ROW, width=WIDTH - NAMES - 34)]
        body.append(_text(WIDTH - 4, y + 13, certain.get(run, ""), "faint", anchor="end"))
        table.append((report.names[run], one.metric, one.value, one.low, one.high, certain.get(run, "")))
        y += ROW
    body.append(_at(NAMES, y, axis(scale, known[0][1].unit), 18, width=WIDTH - NAMES - 34))
    columns = ("run", "metric", "value", "low", "high", "ranks")
    return Figure(_whole(body, y + 22, f"{task.label}, ranks"), columns, table)


def _calibration(report: Report, task: TaskReport) -> Figure:
    """How often the other order confirms a verdict, by how sure the judge was of it."""
    body, table, series = [_text(4, 12, "share confirmed in the other order")], Rows(), []
    for place, opened in enumerate(task.opened):
        sure, confirmed = [], []
        games: dict[tuple[str, str, int], list[float]] = {}
        for judgement in opened.judgements(opened.examples):
            share = share_of(judgement, opened.verdict(judgement).value)
            if share is not None:
                games.setdefault((judgement.example_id, judgement.judge_model, judgement.turn), []).append(share)
        for shares in games.values():
            if len(shares) == 2 and shares[0] != 0.5:
                sure.append(max(shares[0], 1 - shares[0]))
                confirmed.append(float((shares[0] > 0.5) == (shares[1] > 0.5)))
        if sure:
            found = list(_binned(sure, confirmed))
            points = [(how_sure, share, None, None) for how_sure, share, _ in found]
            series.append(Series(task.runs[place], report.names[task.runs[place]], points))
            table += [(report.names[task.runs[place]], *one) for one in found]
    if not series:
        raise UsageError(f"{task.label} has no pairs of verdicts in both orders, whose agreement could be drawn")
    body.append(
        _at(
            0,
            18,
            curves(series, Scale(0.0, 1.0), "confirmed by the other order", "", height=150.0, size=MARK, width=WIDTH),
            160,
        )
    )
    body += [_text(WIDTH * 0.1, 190, "0: sure of nothing", "faint"), _text(WIDTH - 4, 190, "1: sure", "faint", "end")]
    body += _legend(report, task, 198)
    columns = ("run", "how sure", "confirmed", "samples")
    return Figure(_whole(body, 202 + _legend_height(task), f"{task.label}, calibration"), columns, table)


def _labelled(report: Report, task: TaskReport, paths: Sequence[Path]) -> Figure:
    """What people say of the same answers, by the judge's share of the candidate's win."""
    table, series, strangers = Rows(), [], 0
    for run, opened in zip(task.runs, task.opened, strict=True):
        if opened.code is None or opened.data is None or labelled_metric(opened.code) is None:
            raise UsageError(
                f"{task.label} has no comparisons, or lacks the official files that hold the other answers"
            )
        given = read_labels(paths, opened.task.key, opened.data, names=[path.stem for path in paths])
        labels = settled(given, opened.data, opened.generations)
        strangers += labels.strangers
        found = list(_against_people(labels, judged_shares(opened.code, opened.rows)))
        if found:
            points = [(judge, people, low, high) for judge, people, low, high, _ in found]
            series.append(Series(run, report.names[run], points))
            table += [(report.names[run], *one) for one in found]
    if not series:
        raise UsageError(
            f"{', '.join(map(str, paths))}: no label is about an answer that these runs have a verdict on"
            + (f"; {strangers} are of other answers" if strangers else "")
        )
    drawn = curves(series, Scale(0.0, 1.0), "people by the judge's share", "", height=150.0, size=MARK, width=WIDTH)
    body = [
        _text(4, 12, "people's share of wins, by the judge's share"),
        _at(0, 18, Markup('<line class="zero" x1="10%" x2="98%" y1="142" y2="8"/>'), 160),
        _at(0, 18, drawn, 160),
        _text(WIDTH * 0.1, 190, "0: the judge says loss", "faint"),
        _text(WIDTH - 4, 190, "1: the judge says win", "faint", "end"),
        *_legend(report, task, 198),
    ]
    columns = ("run", "judge", "people", "low", "high", "labels")
    return Figure(_whole(body, 202 + _legend_height(task), f"{task.label}, calibration"), columns, table)


def _against_people(
    labels: Labels, share_of_judge: Callable[[str, str], float | None]
) -> Iterator[tuple[float, float, float | None, float | None, int]]:
    """In equal parts of the judge's share: its mean, that of people's shares with an interval, and how many labels."""
    against = {vote.example_id: vote.baseline for vote in labels.votes}
    judged = {name: share_of_judge(name, against[name]) for name in labels.by_example}
    known = {name: share for name, share in judged.items() if share is not None}
    weights = dict(zip(known, weights_of(labels, list(known)), strict=True))
    for part in range(BINS):
        own = [name for name, share in known.items() if min(BINS - 1, int(BINS * share)) == part]
        if not own:
            continue
        weight = np.array([weights[name] for name in own])
        people, judge = np.array([[labels.by_example[name], known[name]] for name in own]).T
        bounds = bounded_estimate(cluster_totals(weight * people, weight), level=LEVEL).interval
        mean, of_judge = (float(weight @ values / weight.sum()) for values in (people, judge))
        low, high = (None, None) if bounds is None else (bounds.low, bounds.high)
        yield of_judge, mean, low, high, len(own)


def _binned(sure: Sequence[float], confirmed: Sequence[float]) -> Iterator[tuple[float, float, int]]:
    """How sure verdicts were, how many of them were confirmed, and how many there are, in equal parts from 0.5 to 1."""
    for part in range(BINS):
        own = [n for n, one in enumerate(sure) if min(BINS - 1, int(2 * BINS * (one - 0.5))) == part]
        if own:
            yield fmean(2 * sure[n] - 1 for n in own), fmean(confirmed[n] for n in own), len(own)


KINDS: Mapping[str, Callable[[Report, TaskReport], Figure]] = {
    "forest": _forest,
    "length": _length,
    "categories": _categories,
    "flips": _flips,
    "ladder": _ladder,
    "calibration": _calibration,
}
"""What can be drawn, by its name on the command line."""


# -- parts of a drawing


def _whole(body: Iterable[Markup], height: float, title: str) -> str:
    return str(
        Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" width="{}" height="{}" viewBox="0 0 {} {}" role="img">'
            "<title>{}</title><style>{}</style>{}</svg>\n"
        ).format(WIDTH, round(height, 1), WIDTH, round(height, 1), title, Markup(STYLE), Markup("").join(body))
    )


def _at(x: float, y: float, drawn: Markup, height: float, width: float | None = None) -> Markup:
    return Markup('<svg x="{}" y="{}" width="{}" height="{}">{}</svg>').format(
        x, round(y, 1), WIDTH - x if width is None else width, height, drawn
    )


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> Markup:
    return Markup('<text x="{}" y="{}" class="{}" text-anchor="{}">{}</text>').format(
        round(x, 1), round(y, 1), kind, anchor, words
    )


def _name(words: str, y: float) -> Markup:
    return _text(4, y, shortened(printable(words, 80), LONGEST_NAME))


def _legend(report: Report, task: TaskReport, y: float) -> list[Markup]:
    if len(task.runs) < 2:
        return []
    made = []
    for place, run in enumerate(task.runs):
        at = y + 8 + 14 * place
        made.append(_at(0, at - 8, Markup('<g class="r{}">{}</g>').format(run % 6, shape(run, 3, 8, size=MARK)), 16))
        made.append(_text(22, at + 4, shortened(printable(report.names[run], 80), 46)))
    return made


def _legend_height(task: TaskReport) -> float:
    return 14.0 * len(task.runs) if len(task.runs) > 1 else 0.0
