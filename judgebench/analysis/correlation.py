"""Correlation of leaderboards with human ratings: which metric follows them, how surely, and which follows them better.

A table is a CSV file with a ``model`` column and one column per metric, the output of ``judgebench leaderboard`` as CSV
or JSON, or a published table in ``leaderboards/`` by its name. Models are matched by name, ignoring case, dashes, dots
and other signs between letters and digits, since every table spells them differently. Coefficients are in ``stats``.
"""

import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from judgebench.data.csv_cells import read_csv
from judgebench.data.resources import resource
from judgebench.errors import RecordError, UsageError
from judgebench.files import read_text
from judgebench.records import LARGEST
from judgebench.stats.correlation import Kind
from judgebench.stats.correlation_comparison import MetricComparison, MetricRow, correlation_table
from judgebench.stats.intervals import Interval
from judgebench.task.metric import ABOUT_A_METRIC

KINDS: tuple[Kind, ...] = ("pearson", "spearman", "kendall")
SEED = 0
LARGEST_BYTES = 64 * 2**20
ABSENT = ("", "-", "–", "—", "na", "n/a", "nan", "none", "null")
NO_METRICS = ("task", "source", "n", "protocol", "rank", "published", "flags", "from", "n_missing")
"""Columns of our own tables that describe a row rather than a model."""

Column = dict[str, float]
"""A number by model."""


class MetricCorrelation(msgspec.Struct, frozen=True, kw_only=True):
    """A metric's correlation with the reference."""

    metric: str
    kind: str
    value: float | None
    low: float | None
    high: float | None
    level: float | None
    method: str | None
    p: float | None
    """Two-sided, of no association, by permutation."""
    n: int
    """Models that have both numbers."""
    reason: str | None
    sentence: str
    """The correlation as one should quote it."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one metric correlates better than another, over the models that all three columns have."""

    kind: str
    first: str
    second: str
    first_value: float | None
    second_value: float | None
    difference: float | None
    low: float | None
    high: float | None
    level: float | None
    p_williams: float | None
    p_adjusted: float | None
    """Williams' p-value, adjusted by Holm over all pairs of the table."""
    p_steiger: float | None
    n: int
    reason: str | None


class Correlations(msgspec.Struct, frozen=True, kw_only=True):
    """All metrics against one reference."""

    against: str
    rows: tuple[MetricCorrelation, ...]
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]


def correlate(tables: Sequence[str], against: str, metrics: Sequence[str], kinds: Sequence[Kind]) -> Correlations:
    """Correlate the tables' metrics (only those in ``metrics``, if any) with the reference, and compare them in pairs.

    Pairs are compared by Pearson's and Spearman's coefficients; there is no such test for Kendall's.
    """
    columns: dict[str, Column] = {}
    notes: list[str] = []
    for name in tables:
        read, odd = _read(name)
        notes += odd
        for metric, column in read.items():
            label = metric if metric not in columns else f"{Path(name).stem}:{metric}"
            if label in columns:
                raise UsageError(f"two of the leaderboards have a metric {label!r}: give each file once")
            columns[label] = column
    label, reference, about = _reference(against, columns)
    notes += about
    columns.pop(label, None)
    if metrics:
        columns = {name: columns[_named(name, columns, "--metric")] for name in metrics}
    if not columns:
        raise UsageError(f"{', '.join(tables)}: there is no metric beside {label} to correlate with it")
    rng = np.random.default_rng(SEED)
    rows: list[MetricCorrelation] = []
    comparisons: list[Comparison] = []
    for kind in kinds:
        # Kendall's coefficients are not compared, so each stands in a table of its own.
        parts = [{name: column} for name, column in columns.items()] if kind == "kendall" else [columns]
        for part in parts:
            table = correlation_table(part, reference, kind, rng=rng)
            rows += [_correlation(kind, row) for row in table.rows]
            comparisons += [_comparison(kind, pair) for pair in table.comparisons]
    if not any(row.n for row in rows):
        shown = ", ".join(sorted(next(iter(columns.values())))[:3])
        raise UsageError(f"no model of {', '.join(tables)} is in {label}: their names differ (theirs are {shown}, …)")
    return Correlations(against=label, rows=tuple(rows), comparisons=tuple(comparisons), notes=tuple(notes))


def _correlation(kind: Kind, row: MetricRow) -> MetricCorrelation:
    found = row.correlation
    return MetricCorrelation(
        metric=row.metric,
        kind=kind,
        value=found.value,
        **_bounds(found.interval),
        method=None if found.interval is None else found.interval.method,
        p=row.p,
        n=found.n,
        reason=found.reason,
        sentence=found.sentence(),
    )


def _comparison(kind: Kind, pair: MetricComparison) -> Comparison:
    found = pair.comparison
    return Comparison(
        kind=kind,
        first=pair.first,
        second=pair.second,
        first_value=found.first.value,
        second_value=found.second.value,
        difference=found.difference,
        **_bounds(found.interval),
        p_williams=found.p,
        p_adjusted=pair.p_adjusted,
        p_steiger=found.p_steiger,
        n=found.n,
        reason=found.reason,
    )


def _bounds(interval: Interval | None) -> dict[str, Any]:
    return {name: getattr(interval, name, None) for name in ("low", "high", "level")}


def _reference(against: str, columns: Mapping[str, Column]) -> tuple[str, Column, list[str]]:
    """The reference's name, its numbers, and a note on the choice if there was one."""
    if against in columns or any(label.endswith(f":{against}") for label in columns):
        label = _named(against, columns, "--against")
        return label, columns[label], []
    stem = against.partition("@")[0]
    if not _bundled(stem).is_file():
        raise UsageError(
            f"--against {against!r} is neither a column of the leaderboards ({', '.join(columns)}) nor a published "
            f"table ({', '.join(sorted(path.stem for path in resource('leaderboards').glob('*.csv')))})"
        )
    found = {
        label.removesuffix(":rating"): column for label, column in _read(stem)[0].items() if label.endswith(":rating")
    }
    if against in found:
        return against, found[against], []
    dated = sorted(label for label in found if re.search(r"@\d{4}-\d\d-\d\d:category=overall$", label))
    if against != stem or not dated:
        raise UsageError(f"--against {against!r} is not in the published table; it has {', '.join(found)}")
    others = ", ".join(label for label in found if label != dated[-1])
    note = f"used {dated[-1]}, the newest overall ratings; others, each on a scale of its own: {others}"
    return dated[-1], found[dated[-1]], [note]


def _named(name: str, columns: Mapping[str, Column], flag: str) -> str:
    matching = [name] if name in columns else [label for label in columns if label.endswith(f":{name}")]
    if len(matching) != 1:
        what = "is not among" if not matching else "may be several of"
        raise UsageError(f"{flag} {name!r} {what} the metrics: {', '.join(columns)}")
    return matching[0]


def _bundled(name: str) -> Path:
    return resource("leaderboards") / f"{name}.csv"


def _read(name: str) -> tuple[dict[str, Column], list[str]]:
    """The metrics of a table by name, and notes on what could not be read."""
    path = Path(name)
    if not path.exists() and re.fullmatch(r"[\w-]+", name) and _bundled(name).is_file():
        path = _bundled(name)
    try:
        text = read_text(path, LARGEST_BYTES)
    except OSError as error:
        raise UsageError(f"the leaderboard {name} cannot be read: {error}") from error
    found: dict[str, Column] = {}
    seen: dict[tuple[str, str], str] = {}
    notes: list[str] = []
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    cells = _json_cells(path, text) if suffix == ".json" else _csv_cells(path, text, notes, tabs=suffix == ".tsv")
    for line, metric, model, value in cells:
        key = re.sub(r"[^a-z0-9]+", "", model.casefold()) or model
        if not key.strip():
            notes.append(f"{path}:{line}: {metric} of no model was left out")
            continue
        before = seen.setdefault((metric, key), model)
        column = found.setdefault(metric, {})
        if key in column:
            raise RecordError(path, line, f"{metric} of {model!r} is given already (as {before!r})")
        column[key] = value
    if not found:
        raise UsageError(f"{path} holds no column of numbers beside a column of models")
    return {metric: _scaled(column) for metric, column in found.items()}, notes


def _scaled(column: Column) -> Column:
    """Scale the numbers by a power of two so that the largest is near 1: no coefficient depends on a column's scale,
    and numbers such as 1e308 have no squares.
    """
    _, exponent = math.frexp(max(map(abs, column.values()), default=0.0))
    return {model: math.ldexp(value, -exponent) for model, value in column.items()}


def _json_cells(path: Path, text: str) -> Iterable[tuple[int, str, str, float]]:
    """The cells of what ``judgebench leaderboard --format json`` prints: groups of rows with scores."""
    try:
        groups = json.loads(text)
        for group in groups:
            for row in group["rows"]:
                for metric, score in row["scores"].items():
                    value = score["value"]
                    # NaN is not a value either: it is within no bounds.
                    if value is not None and abs(value) <= LARGEST:
                        yield 0, f"{group['task']}:{metric}", str(row["model"]), float(value)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UsageError(f"{path} is not what `judgebench leaderboard --format json` prints: {error!r}") from error


def _csv_cells(path: Path, text: str, notes: list[str], *, tabs: bool) -> Iterable[tuple[int, str, str, float]]:
    names, lines = read_csv(path, io.StringIO(text, newline=""), "\t" if tabs else ",")
    header, rows = [" ".join(name.split()) for name in names], list(lines)
    lowered = [name.casefold() for name in header]
    if "model" not in lowered:
        raise UsageError(f"{path} has no column 'model'; its columns are {', '.join(header)[:300] or 'none'}")
    if len(set(lowered)) < len(lowered):
        raise UsageError(f"{path} has a column twice: {', '.join(header)[:300]}")
    place = lowered.index("model")
    task = lowered.index("task") if "task" in lowered else None
    if {"metric", "value"} <= set(lowered):
        metric, value = lowered.index("metric"), lowered.index("value")
        for line, row in rows:
            number = _number(row[value])
            if number is not None:
                name = row[metric] if task is None else f"{row[task]}:{row[metric]}"
                yield line, name, row[place], number
            elif not _is_absent(row[value]):
                notes.append(f"{path}:{line}: {row[value][:40]!r} is not a number and was left out")
        return
    skipped = (place, *(n for n, name in enumerate(lowered) if name in NO_METRICS or name.endswith(ABOUT_A_METRIC)))
    several = task is not None and len({row[task] for _, row in rows}) > 1
    for position, name in enumerate(header):
        numbers = [(line, row, number) for line, row in rows if (number := _number(row[position])) is not None]
        other = [(line, row) for line, row in rows if _number(row[position]) is None and not _is_absent(row[position])]
        if position in skipped or other:
            # A column of names or dates is not a metric; if most cells are numbers, it may have been meant as one.
            if position not in skipped and len(numbers) > len(other):
                (line, row), *_ = other
                notes.append(
                    f"{path}:{line}: {row[position][:40]!r} is not a number, so the column {name} was left out"
                )
            continue
        for line, row, number in numbers:
            yield line, f"{row[task]}:{name}" if several and task is not None else name, row[place], number


def _is_absent(text: str) -> bool:
    return text.strip().casefold() in ABSENT


def _number(text: str) -> float | None:
    """A cell's number, unless it is too large to be meant."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) <= LARGEST else None
