"""Leaderboards against human ratings: which metric follows them, how surely, and whether one follows them better.

Tables are CSV files with a ``model`` column and one column per metric, what ``judgebench leaderboard`` prints as CSV or
JSON, and the published tables in ``leaderboards/`` by their name. Models are matched by name; capitals, dashes, dots
and other signs between letters and digits do not count, since every table spells them in its own way.
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
from judgebench.stats.correlation_comparison import CorrelationComparison, correlation_table
from judgebench.stats.intervals import Interval
from judgebench.task.metric import ABOUT_A_METRIC

KINDS: tuple[Kind, ...] = ("pearson", "spearman", "kendall")
SEED = 0
LARGEST_BYTES = 64 * 2**20
ABSENT = ("", "-", "–", "—", "na", "n/a", "nan", "none", "null")
NO_METRICS = ("task", "source", "n", "protocol", "rank", "published", "flags", "from", "n_missing")
"""Columns of our own tables that are about a row, not about a model."""

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
    """As it should be quoted."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one metric correlates better than another, over the models that both and the reference have."""

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
    """Williams', by Holm over all pairs of the table."""
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
    """Correlate the tables' metrics (only those named, if any are) with the reference, and compare them two by two.

    Metrics are compared by Pearson's and Spearman's coefficients; for Kendall's there is no such test.
    """
    columns: dict[str, Column] = {}
    notes: list[str] = []
    for name in tables:
        read, odd = _read(name)
        notes += odd
        for metric, column in read.items():
            label = metric if metric not in columns else f"{_stem(name)}:{metric}"
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
        if kind == "kendall":
            single = [correlation_table({name: column}, reference, kind, rng=rng) for name, column in columns.items()]
            found = [table.rows[0] for table in single]
        else:
            table = correlation_table(columns, reference, kind, rng=rng)
            found = list(table.rows)
            comparisons += [
                _comparison(kind, pair.first, pair.second, pair.comparison, pair.p_adjusted)
                for pair in table.comparisons
            ]
        for row in found:
            coefficient = row.correlation
            rows.append(
                MetricCorrelation(
                    metric=row.metric,
                    kind=kind,
                    value=coefficient.value,
                    **_bounds(coefficient.interval),
                    method=None if coefficient.interval is None else coefficient.interval.method,
                    p=row.p,
                    n=coefficient.n,
                    reason=coefficient.reason,
                    sentence=coefficient.sentence(),
                )
            )
    if not any(row.n for row in rows):
        shown = ", ".join(sorted(next(iter(columns.values())))[:3])
        raise UsageError(f"no model of {', '.join(tables)} is in {label}: their names differ (theirs are {shown}, …)")
    return Correlations(against=label, rows=tuple(rows), comparisons=tuple(comparisons), notes=tuple(notes))


def _comparison(
    kind: str, first: str, second: str, found: CorrelationComparison, p_adjusted: float | None
) -> Comparison:
    return Comparison(
        kind=kind,
        first=first,
        second=second,
        first_value=found.first.value,
        second_value=found.second.value,
        difference=found.difference,
        **_bounds(found.interval),
        p_williams=found.p,
        p_adjusted=p_adjusted,
        p_steiger=found.p_steiger,
        n=found.n,
        reason=found.reason,
    )


def _bounds(interval: Interval | None) -> dict[str, Any]:
    if interval is None:
        return {"low": None, "high": None, "level": None}
    return {"low": interval.low, "high": interval.high, "level": interval.level}


def _reference(against: str, columns: Mapping[str, Column]) -> tuple[str, Column, list[str]]:
    """The reference's name, its numbers, and what should be said about the choice."""
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
    note = f"{dated[-1]} was taken, the newest overall ratings; others, each on a scale of its own: {others}"
    return dated[-1], found[dated[-1]], [note]


def _named(name: str, columns: Mapping[str, Column], flag: str) -> str:
    matching = [name] if name in columns else [label for label in columns if label.endswith(f":{name}")]
    if len(matching) != 1:
        what = "is not among" if not matching else "may be several of"
        raise UsageError(f"{flag} {name!r} {what} the metrics: {', '.join(columns)}")
    return matching[0]


def _bundled(name: str) -> Path:
    return Path(str(resource("leaderboards"))) / f"{name}.csv"


def _stem(name: str) -> str:
    return Path(name).stem


def _read(name: str) -> tuple[dict[str, Column], list[str]]:
    """The metrics of a table, by name, and what of it could not be read."""
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
    """The numbers with the largest near 1, exactly: no coefficient depends on a column's scale, and squares of numbers
    of 1e308 are none.
    """
    _, exponent = math.frexp(max(map(abs, column.values()), default=0.0))
    return {model: math.ldexp(value, -exponent) for model, value in column.items()}


def _json_cells(path: Path, text: str) -> Iterable[tuple[int, str, str, float]]:
    """What ``judgebench leaderboard --format json`` prints: groups of rows with scores."""
    try:
        groups = json.loads(text)
        for group in groups:
            for row in group["rows"]:
                for metric, score in row["scores"].items():
                    value = score["value"]
                    # NaN is no value either, and is within no bounds.
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
                notes.append(f"{path}:{line}: {row[value][:40]!r} is no number and was left out")
        return
    skipped = (place, *(n for n, name in enumerate(lowered) if name in NO_METRICS or name.endswith(ABOUT_A_METRIC)))
    several = task is not None and len({row[task] for _, row in rows}) > 1
    for position, name in enumerate(header):
        numbers = [(line, row, number) for line, row in rows if (number := _number(row[position])) is not None]
        other = [(line, row) for line, row in rows if _number(row[position]) is None and not _is_absent(row[position])]
        if position in skipped or other:
            # A column of names and dates is no metric; one of numbers with something else among them is half of one.
            if position not in skipped and len(numbers) > len(other):
                (line, row), *_ = other
                notes.append(f"{path}:{line}: {row[position][:40]!r} is no number, so the column {name} was left out")
            continue
        for line, row, number in numbers:
            yield line, f"{row[task]}:{name}" if several and task is not None else name, row[place], number


def _is_absent(text: str) -> bool:
    return text.strip().casefold() in ABSENT


def _number(text: str) -> float | None:
    """A cell's number; none is beyond what could be meant."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) <= LARGEST else None
