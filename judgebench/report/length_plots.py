"""The length plot of a task: value by length of the answer, and over it what length alone would give."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from statistics import fmean

from markupsafe import Markup

from judgebench.analysis.comparison_records import TaskComparison
from judgebench.analysis.explanation import LENGTHS
from judgebench.analysis.samples import OpenTask
from judgebench.display import figure, interval
from judgebench.report.address import address
from judgebench.report.collect import Report, TaskReport
from judgebench.report.lengths import TENTHS
from judgebench.report.only_length import LengthAnswer, length_answers
from judgebench.report.plots import Place, Scale, Series, curves, scale_of
from judgebench.stats.clustered import cluster_totals, clustered_estimate
from judgebench.stats.length_control import Coefficients, length_controlled_win_rate, shares_at_lengths

NUMBERS = {"percent": (0.0, 100.0)}
LEAST_MARKS = 3
"""Through fewer marks no line is drawn."""
FEATURES = ("np.tanh(std_delta_len)", "instruction_difficulty", "not_gamed_baseline.astype(float)")
"""What AlpacaEval's fit calls its coefficients: of length, of difficulty, and the rest."""


@dataclass(frozen=True)
class LengthRow:
    """What the plot is about, of one run."""

    name: str
    length: str
    values: tuple[str, ...]
    """Of the measure, and of the metrics that hold length equal."""


@dataclass(frozen=True)
class Apart:
    """How two runs differ where the second one's answer is the longer, and where it is not."""

    where: str
    n: int
    difference: str
    around: str
    href: str


@dataclass(frozen=True)
class LengthView:
    """Length and value of a task's answers."""

    plot: Markup
    fitted: bool
    columns: tuple[str, ...]
    rows: tuple[LengthRow, ...]
    apart: tuple[Apart, ...]
    few: tuple[str, ...]
    """Which runs have too few marks for a line, and why."""
    answers: tuple[LengthAnswer, ...]
    """Whether it is only length."""


@dataclass(frozen=True)
class Tenth:
    """The samples of one run in a tenth by length of its answers."""

    length: float
    """Their mean, in characters."""
    values: Sequence[float]
    names: Sequence[str]

    @property
    def point(self) -> tuple[float | None, float | None, float | None]:
        """The mean of the values with the ends of its 95 % interval."""
        totals = cluster_totals(self.values) if self.values else None
        mean, error = (None, None) if totals is None else (totals.value, totals.stderr)
        if mean is None or error is None:
            return mean, None, None
        return mean, mean - 1.96 * error, mean + 1.96 * error


@dataclass(frozen=True)
class LengthCurve:
    """A task's values over the length of answers."""

    series: Sequence[Series]
    """Of each run, and the fits."""
    places: Sequence[Place]
    """The axis, and the mean length of each run."""
    rows: Sequence[tuple[str, int, float, float | None, float | None, float | None]]
    """Run, tenth, mean length, mean value, low, high."""
    few: tuple[str, ...]
    """Which runs have too few marks for a line, and why."""

    def scale(self, unit: str) -> Scale:
        """That of the values."""
        ends = [end for one in self.series for point in one.points for end in point[1:] if end is not None]
        return scale_of(ends, NUMBERS.get(unit))


def length_view(report: Report, task: TaskReport, compared: TaskComparison | None = None) -> LengthView | None:
    """Value by length of the answer, by run, and how that explains what was ``compared``; ``None`` without values."""
    curve = length_curve(report, task)
    if curve is None or task.measure is None:
        return None
    measure = task.opened[0].measures[task.measure]
    told = "; ".join(_told(one) for one in curve.series if not one.fitted)
    title = f"{task.measure} by length of the answer"
    controlled = _controlled(task)
    return LengthView(
        plot=curves(curve.series, curve.scale(measure.unit), title, told, places=curve.places, height=220.0),
        fitted=any(one.fitted for one in curve.series),
        columns=(task.measure, *controlled),
        rows=tuple(_row(report, task, place, controlled) for place in range(len(task.runs))),
        apart=tuple(_apart(task)),
        few=curve.few,
        answers=tuple(length_answers(report, task, compared, next(iter(controlled), None))),
    )


def why_no_lengths(task: TaskReport) -> str:
    """Why there is no such view of a task whose answers judges read; empty for verified ones."""
    if not task.opened[0].judged:
        return ""
    held = any(task.lengths_of(place) for place in range(len(task.runs)))
    return "no sample has a value" if held else "the run holds verdicts without the answers, so their length is unknown"


def length_curve(report: Report, task: TaskReport) -> LengthCurve | None:
    """The mean value in ten parts by length of the answer, each at its mean length; ``None`` without values."""
    by_run = [_tenths(task, place) for place in range(len(task.runs))]
    known = [tenth.length for tenths in by_run for tenth in tenths if tenth is not None and tenth.values]
    if not known:
        return None
    least, most = min(known), max(known)
    series, rows, few = [], [], []
    for place, (run, tenths) in enumerate(zip(task.runs, by_run, strict=True)):
        there = [(number, tenth) for number, tenth in enumerate(tenths) if tenth is not None and tenth.values]
        name = report.names[run]
        at = [_at(tenth.length, least, most) for _, tenth in there]
        series.append(
            Series(
                run,
                name,
                [(x, *tenth.point) for x, (_, tenth) in zip(at, there, strict=True)],
                [address("samples", task.label, run=run, l=number) for number, _ in there],
                [f"{name}: {tenth.point[0]:.2f} at {tenth.length:,.0f} characters" for _, tenth in there],
                joined=len(there) >= LEAST_MARKS,
            )
        )
        rows += [(name, number + 1, tenth.length, *tenth.point) for number, tenth in there]
        if len(there) < LEAST_MARKS:
            few.append(_why_few(name, [tenth for _, tenth in there]))
            continue
        shares = _fitted(task, place)
        fits = [[shares[name] for name in tenth.names if name in shares] for _, tenth in there]
        if any(fits):
            points = [(x, 100 * fmean(own) if own else None, None, None) for x, own in zip(at, fits, strict=True)]
            series.append(Series(run, name, points, fitted=True))
    means = [Place(_at(mean, least, most), f"{report.names[run]}: {mean:,.0f} characters on average", run)
             for place, run in enumerate(task.runs) if (mean := _mean_length(task, place)) is not None]  # fmt: skip
    ticks = [Place(_at(tick, least, most), f"{tick:,.0f}") for tick in _ticks(least, most)]
    return LengthCurve(series, [*ticks, *means], rows, tuple(few))


def _why_few(name: str, there: Sequence[Tenth]) -> str:
    n = sum(len(tenth.values) for tenth in there)
    why = (
        f"only {n} of its samples have a value"
        if n < LEAST_MARKS
        else f"its {n:,} answers are of few lengths, and those of one length make one mark"
    )
    return f"{name} has {len(there)} mark{'s' if len(there) != 1 else ''} and no line: {why}"


def _at(length: float, least: float, most: float) -> float:
    """From 0 to 1: lengths differ by factors, so their logarithms are drawn."""
    low, high = math.log(max(1.0, least)), math.log(max(1.0, most))
    return 0.5 if low == high else min(1.0, max(0.0, (math.log(max(1.0, length)) - low) / (high - low)))


def _ticks(least: float, most: float) -> Iterator[float]:
    if most < 2 * least:
        yield from dict.fromkeys((least, most))
        return
    steps = (1, 2, 5) if most < 100 * least else (1,)
    for power in range(10):
        yield from (step * 10.0**power for step in steps if least <= step * 10.0**power <= most)


def _told(series: Series) -> str:
    known = [value for _, value, _, _ in series.points if value is not None]
    return f"{series.name}: {known[0]:.2f} for the shortest tenth, {known[-1]:.2f} for the longest" if known else ""


def _tenths(task: TaskReport, place: int) -> list[Tenth | None]:
    measure = task.measure_of(place)
    sizes, found = task.lengths_of(place), [list[str]() for _ in range(TENTHS)]
    for name, tenth in task.tenths_of(place).items():
        if name in sizes and measure is not None and measure.values.get(name) is not None:
            found[tenth].append(name)
    values = {} if measure is None else measure.values
    return [
        Tenth(fmean(sizes[name] for name in names), [v for name in names if (v := values[name]) is not None], names)
        if names
        else None
        for names in found
    ]


def _mean_length(task: TaskReport, place: int) -> float | None:
    """By the task's own metric, which may leave empty answers out, or else that of all answers."""
    told = (score.value for score in task.opened[place].task.overall.values() if score.unit == "characters")
    sizes = task.lengths_of(place)
    return next((value for value in told if value is not None), fmean(sizes.values()) if sizes else None)


# -- what length alone would give


def _fitted(task: TaskReport, place: int) -> Mapping[str, float]:
    """The share of the win that a fit on the difference of lengths predicts, by sample; empty if there is none.

    It is the fit of the task's own length control or, where that is not known, the one that ``explain`` makes.
    """
    opened = task.opened[place]
    measure = task.measure_of(place)
    patterns = {} if opened.code is None else opened.code.pairwise_metrics
    if measure is None or measure.unit != "percent" or len(patterns) != 1:
        return {}
    ((pattern, (loss, win)),) = patterns.items()
    rows = [row for row in opened.rows if fnmatchcase(row.metric, pattern) and row.value is not None]
    feature = next((name for name in LENGTHS if any(name in row.covariates for row in rows)), LENGTHS[0])
    known = [row for row in rows if all(_is_number(row.covariates.get(side + feature)) for side in ("", "baseline_"))]
    lengths = [[float(row.covariates[side + feature] or 0) for row in known] for side in ("baseline_", "")]
    differences = [baseline - own for baseline, own in zip(*lengths, strict=True)]
    shares = [((row.value or 0.0) - loss) / (win - loss) for row in known]
    given = _coefficients(opened)
    difficulty = [row.covariates.get("difficulty") for row in known]
    try:
        if given is not None and given.difficulty is not None and all(map(_is_number, difficulty)):
            predicted = shares_at_lengths(differences, given, [float(one or 0) for one in difficulty])
        else:
            fit = length_controlled_win_rate(shares, differences)
            predicted = shares_at_lengths(differences, fit.coefficients)
    except ValueError:
        return {}
    found: dict[str, list[float]] = {}
    for row, share in zip(known, predicted.tolist(), strict=True):
        found.setdefault(row.example_id, []).append(share)
    return {name: fmean(own) for name, own in found.items()}


def _coefficients(opened: OpenTask) -> Coefficients | None:
    for score in opened.task.scores:
        told = score.details.get("coefficients")
        if isinstance(told, Mapping) and all(_is_number(told.get(name)) for name in FEATURES):
            length, difficulty, bias = (float(told[name]) for name in FEATURES)
            return Coefficients(length, difficulty, bias)
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


# -- words and numbers beside the plot


def _controlled(task: TaskReport) -> list[str]:
    """The metrics that are the plotted measure with something held equal."""
    code = task.opened[0].code
    own = [] if code is None else [one.name for one in code.metrics if one.without_control == task.measure]
    return [name for name in own if any(name in opened.task.overall for opened in task.opened)]


def _row(report: Report, task: TaskReport, place: int, controlled: Sequence[str]) -> LengthRow:
    overall, length = task.opened[place].task.overall, _mean_length(task, place)
    values = [overall.get(name) for name in (task.measure or "", *controlled)]
    return LengthRow(
        name=report.names[task.runs[place]],
        length=figure(length, "characters"),
        values=tuple("–" if one is None else figure(one.value, one.unit) for one in values),
    )


def _apart(task: TaskReport) -> Iterator[Apart]:
    """The mean change from the first run to the second by which of them wrote more: only of two runs."""
    if len(task.runs) != 2:
        return
    measures = [task.measure_of(place) for place in (0, 1)]
    first, second = ({} if one is None else one.values for one in measures)
    unit = "" if measures[0] is None else measures[0].unit
    sizes = [task.lengths_of(place) for place in (0, 1)]
    changes: dict[str, list[float]] = {"longer": [], "shorter": []}
    for name, before in first.items():
        after = second.get(name)
        if before is None or after is None or name not in sizes[0] or name not in sizes[1]:
            continue
        # An answer of the same length is not longer.
        changes["longer" if sizes[1][name] > sizes[0][name] else "shorter"].append(after - before)
    for where, own in changes.items():
        if not own:
            continue
        found = clustered_estimate(cluster_totals(own))
        yield Apart(
            where="longer" if where == "longer" else "not longer",
            n=len(own),
            difference=figure(found.value, unit, signed=True),
            around=interval(found.interval.low, found.interval.high, unit, signed=True) if found.interval else "",
            href=address("samples", task.label, run=task.runs[0], vs=task.runs[1], w=where, s="delta"),
        )
