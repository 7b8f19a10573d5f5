"""Rows of a file that another program wrote: json, jsonl, csv, tsv or parquet, each also as ``.gz``.

Such a file is not trusted: its size on disk and in memory is bounded, and every error names the file and line. Odd but
unambiguous content is read: a byte order mark, UTF-16 with one, ``NaN`` where there is no number, half of a surrogate
pair. Whether an incomplete row can be used is decided by its reader, in the tasks.
"""

import io
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec

from judgebench.data.csv_cells import read_csv
from judgebench.errors import RecordError, ShapeError, UsageError
from judgebench.files import DEEPEST, as_utf8, chunks, deeper_than, irregular, near_path
from judgebench.records import LARGEST

MAX_LINE_BYTES = 64 * 2**20
MAX_FILE_BYTES = 2 * 2**30
MAX_ROWS = 2_000_000
"""Most rows of a file, or of a folder's files together."""
MAX_UNFOLDED_BYTES = 2 * 2**30
"""Most memory for a file's objects and lists, in addition to its text."""
OBJECT_BYTES, VALUE_BYTES = 232, 72
"""Memory that Python takes for a small object, and for a list or another value in one."""
PARQUET_ROWS = 1024
"""Rows read at a time."""
PARQUET_VALUES = 10_000_000
"""Most values in all columns together; values in lists count one by one."""
SHOWN_PLACES = 3
EXACT = 2**53
"""Up to here, floats can tell every whole number from the next."""

_ODD = re.compile(rb"NaN|Infinity|\\u[dD][89a-fA-F]|\d[eE]\+?\d{3}|\d{300}")
"""What a text that is not strict JSON must contain for ``_mended`` to have anything to do."""
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|-?Infinity|NaN|-?\d++(?:\.\d++)?(?:[eE][+-]?\d++)?', re.DOTALL)
_HALF = rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
_ESCAPE = re.compile(rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(%s)|\\." % _HALF, re.DOTALL)
_NO_NUMBER = "numbers that are none (NaN, Infinity, 1e999) are read as null"
_HALF_PAIR = "halves of a surrogate pair are read as U+FFFD"


class Place(NamedTuple):
    """A place in a file."""

    path: str
    line: int
    """Line, or in a parquet file row, counted from 1."""


def where(places: Sequence["Place | FileRow"]) -> str:
    """The first few places in words, and how many more there are.

    >>> where([Place("a.json", 4), Place("a.json", 9), Place("b.json", 1), Place("b.json", 2)])
    'a.json:4, 9, b.json:1 and 1 more'
    """
    shown: list[str] = []
    before = None
    for place in places[:SHOWN_PLACES]:
        shown.append(str(place.line) if place.path == before else f"{place.path}:{place.line}")
        before = place.path
    more = len(places) - SHOWN_PLACES
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


class FileRow(msgspec.Struct, frozen=True):
    """One row with the place it came from."""

    path: str
    position: int
    """Line, or in a parquet file row, counted from 1; in a JSON list, the element counted from 0."""
    fields: dict[str, Any]
    list_text: bytes | None = None
    """The whole file, if it is a JSON list: an element's line is looked up only for an error message."""
    cells: bool = False
    """Whether the row is from a table, where everything is text, even numbers, and an empty cell means nothing."""

    @property
    def line(self) -> int:
        """Where the row begins."""
        return self.position if self.list_text is None else _element_line(self.list_text, self.position)

    @property
    def place(self) -> str:
        """Where the row is: of a list in a single line, which of its elements it is."""
        return f"element {self.position + 1}" if self._shares_its_line else f"line {self.line}"

    @property
    def _shares_its_line(self) -> bool:
        return self.list_text is not None and b"\n" not in self.list_text.strip()

    def _placed(self, problem: str) -> str:
        return f"{self.place}: {problem}" if self._shares_its_line else problem

    def value(self, *names: str) -> Any:
        """The value under the first name that has one; ``None`` if all are absent, null or NaN."""
        for name in names:
            value = self.fields.get(name)
            if isinstance(value, float) and math.isnan(value):
                continue
            if value is not None and not (self.cells and value in ("", "NaN", "nan")):
                return value
        return None

    def text(self, *names: str) -> str:
        """Return the text under the first name that the row has; raise :class:`RecordError` if it has none of them."""
        for name in names:
            if name in self.fields:
                value = self.fields[name]
                if not isinstance(value, str):
                    raise self.misshapen(f"{name!r} must be a string, found {_kind(value)}")
                return value
        raise self.misshapen(f"the row has no {' or '.join(map(repr, names))}; its fields are: {self.names}")

    @property
    def names(self) -> str:
        """The names of its fields, for a message."""
        return ", ".join(sorted(map(str, self.fields)))[:300] or "none"

    def number(self, name: str) -> float | None:
        """A number; ``None`` if it is missing or cannot be meant (NaN, infinite, 1e308)."""
        value = self.value(name)
        if value is None:
            return None
        if self.cells and isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                raise self.misshapen(f"{name!r} must be a number, found {_kind(value)}") from None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.misshapen(f"{name!r} must be a number or null, found {_kind(value)}")
        return float(value) if abs(value) <= LARGEST else None

    def key(self, *names: str) -> str:
        """The id under the first name that has one: text, or a whole number, where 81 and 81.0 are the same."""
        value = self.value(*names)
        found = identifier(value)
        if found is None:
            if value is None:
                return self.text(*names)
            named = next(name for name in names if self.value(name) is value)
            raise self.misshapen(f"{named!r} must be an id, text or a whole number, found {_kind(value)}")
        return found

    def error(self, problem: str) -> RecordError:
        """An error that names this row's place."""
        return RecordError(self.path, self.line, self._placed(problem))

    def misshapen(self, problem: str) -> ShapeError:
        """The same, of a row that is not of the format whatever the benchmark asks."""
        return ShapeError(self.path, self.line, self._placed(problem))


def identifier(value: Any) -> str | None:
    """A value as the text of an id; ``None`` if it is not an id.

    >>> [identifier(value) for value in (81, 81.0, "81", "a1", 81.5, True, None)]
    ['81', '81', '81', 'a1', None, None, None]
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**100 else None
    return value if isinstance(value, str) else None


def digits(key: str) -> int | None:
    """The number that an id stands for, if any: programs that take an id for a number spell it differently.

    >>> digits("081"), digits("81.0"), digits("a1")
    (81, 81, None)
    """
    found = re.fullmatch(r"(\d{1,15})(?:\.0*)?", key.strip(), re.ASCII)
    return int(found[1]) if found else None


def inside(value: Any, *path: str | int) -> Any:
    """What lies under a path into objects and lists; ``None`` where a part of the path is missing.

    >>> inside({"choices": [{"text": "yes"}]}, "choices", -1, "text"), inside([], 0, "text")
    ('yes', None)
    """
    for key in path:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and -len(value) <= key < len(value):
            value = value[key]
        else:
            return None
    return value


def text_or_none(value: Any) -> str | None:
    """The value if it is a text."""
    return value if isinstance(value, str) else None


def count_of(value: Any) -> int | None:
    """A value as a count; ``None`` if it is fractional, negative, or too large to be meant."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LARGEST:
        return None
    return int(value) if value == int(value) else None


def _kind(value: Any) -> str:
    known = {type(None): "null", dict: "an object", list: "a list", bool: "a boolean"}
    return known.get(type(value)) or ascii(value)[:60]


READABLE = (".json", ".jsonl", ".csv", ".tsv", ".parquet")


def file_stem(path: str) -> str:
    """The name of a file without the endings of what can be read."""
    name = Path(path).name.removesuffix(".gz")
    return next((name.removesuffix(ending) for ending in READABLE if name.endswith(ending)), name)


class FileRows(list[FileRow]):
    """The rows of a file, or of a folder's files."""

    notes: tuple[str, ...] = ()
    """Values that were read as something else, and where they are."""


def read_rows(path: Path, what: str = "a file of outputs") -> FileRows:
    """All rows of a file, or of every readable file below a folder, in order of file names.

    Raises :class:`UsageError` if the file is absent, empty or unreadable (``what`` was expected), and
    :class:`RecordError` with the line of a broken row.
    """
    rows, reader = FileRows(), _Reader(what)
    for file in _files_below(path) if path.is_dir() else [path]:
        rows += reader.rows_of(file)
    rows.notes = tuple(f"{len(places)} {what}: {where(places)}" for what, places in reader.mended.items())
    return rows


def parquet_rows(data: bytes, name: str) -> list[FileRow]:
    """The rows of a parquet file in memory. Raises what :func:`read_rows` raises, with the name given."""
    try:
        return list(_Reader(name).parquet(Path(name), data))
    except OSError as error:
        raise UsageError(f"{name} is not a readable parquet file: {error}") from error


def json_rows(data: bytes, name: str) -> FileRows:
    """The rows of a JSON file in memory. Raises what :func:`read_rows` raises, with the name given."""
    rows, reader = FileRows(), _Reader(name)
    rows += reader.json(Path(name), data)
    if not rows:
        raise UsageError(f"{name} holds no rows")
    return rows


def fetched_rows(data: bytes, name: str) -> Sequence[FileRow]:
    """The rows of a file in memory whose name says what it is, as :func:`read_rows` reads one on disk."""
    if name.endswith(".parquet"):
        return parquet_rows(data, name)
    if not name.endswith((".gz", ".csv", ".tsv")):
        return json_rows(data, name)
    with TemporaryDirectory() as folder:
        place = Path(folder) / Path(name).name
        place.write_bytes(data)
        return [msgspec.structs.replace(row, path=name) for row in read_rows(place, name)]


def keyed_rows(rows: Sequence[FileRow]) -> Sequence[FileRow]:
    """The rows of a file that is one object of objects, whose keys are their ids; other rows as they are."""
    if len(rows) != 1 or not all(isinstance(value, dict) for value in rows[0].fields.values()):
        return rows
    (whole,) = rows
    return [FileRow(whole.path, whole.position, {"id": key, **value}) for key, value in whole.fields.items()]


def _files_below(path: Path) -> list[Path]:
    """Files with a readable ending. A FIFO or a broken link among them may stand for answers, so it is an error."""
    below = sorted(Path(folder) / name for folder, _, names in os.walk(path) for name in names)
    files = [file for file in below if file.name.removesuffix(".gz").endswith(READABLE)]
    if not files:
        raise UsageError(f"{path} holds no file to read; readable are {', '.join(READABLE)}, each also as .gz")
    for file in files:
        if not file.is_file():
            found = irregular(file) or "a broken link"
            raise UsageError(f"{file} is {found}, among files to read; remove it from {path}")
    return files


class _Reader:
    """Reads files. The limits apply to all of them together."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._rows = 0
        self._bytes = 0
        self._unfolded = 0
        self.mended: dict[str, list[Place]] = {}

    def rows_of(self, path: Path) -> list[FileRow]:
        """The rows of one file."""
        if not path.is_file():
            found = irregular(path)
            kind = f"{found}, not a regular file" if found else f"not a file{near_path(path)}"
            raise UsageError(f"{path} is {kind}; {self._what} was expected ({', '.join(READABLE)}, each also as .gz)")
        rows = []
        try:
            for row in self._parsed(path):
                rows.append(row)
                if self._rows + len(rows) > MAX_ROWS:
                    raise row.error(f"there are more than {MAX_ROWS:,} rows; split the input")
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error}") from error
        if not rows:
            raise UsageError(f"{path} holds no rows; {self._what} was expected")
        self._rows += len(rows)
        return rows

    def _parsed(self, path: Path) -> Iterable[FileRow]:
        match path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix:
            case ".parquet":
                return self.parquet(path, self._read(path, {}, lines=False))
            case ".csv":
                return self._table_rows(path, ",")
            case ".tsv":
                return self._table_rows(path, "\t")
        return self._json_rows(path)

    def _count(self, path: Path, line: int, size: int, unfolded: int) -> None:
        """Add the size of a part of a file, as text and in memory."""
        self._bytes += size
        self._unfolded += unfolded
        if self._bytes > MAX_FILE_BYTES:
            raise RecordError(path, line, f"the file is larger than {MAX_FILE_BYTES / 2**30:g} GiB")
        if self._unfolded > MAX_UNFOLDED_BYTES:
            raise RecordError(path, line, f"the file unfolds to more than {MAX_UNFOLDED_BYTES / 2**30:g} GiB")

    def _read(self, path: Path, costs: Mapping[bytes, int], *, lines: bool = True) -> bytes:
        """The uncompressed bytes, in UTF-8. Stops at the limits, so a bomb is never held in memory.

        ``costs`` is how much memory each of these characters may lead to; ``lines`` says that the file has lines.
        """
        parts, line, line_bytes = [], 1, 0
        for chunk in chunks(path):
            newline = chunk.rfind(b"\n")
            longest = line_bytes + (chunk.find(b"\n") if newline >= 0 else len(chunk))
            if lines and longest > MAX_LINE_BYTES:
                raise RecordError(path, line, f"the line is longer than {MAX_LINE_BYTES // 2**20} MiB")
            line += chunk.count(b"\n")
            line_bytes = len(chunk) - newline - 1 if newline >= 0 else longest
            self._count(path, line, len(chunk), sum(cost * chunk.count(sign) for sign, cost in costs.items()))
            parts.append(chunk)
        data = b"".join(parts)
        if not lines:
            return data
        try:
            return as_utf8(data)
        except UnicodeDecodeError as error:
            raise RecordError(path, 1, f"it begins like UTF-16 but is not valid: {error}") from error

    # -- JSON

    def _json_rows(self, path: Path) -> Iterable[FileRow]:
        """A JSON list of objects, JSON lines, or one object over several lines; the beginning tells which."""
        return self.json(path, self._read(path, {b"{": OBJECT_BYTES, b"[": VALUE_BYTES, b",": VALUE_BYTES}))

    def json(self, path: Path, data: bytes) -> Iterable[FileRow]:
        """The rows in the bytes of a JSON file."""
        if re.match(rb"\s*\{\s*\n", data):
            return [FileRow(str(path), 1, self._decode(path, data)[0])]
        if data.lstrip()[:1] != b"[":
            return self._json_lines(path, data)
        return self._json_list(path, data)

    def _json_list(self, path: Path, data: bytes) -> Iterator[FileRow]:
        values, data = self._decode(path, data)
        for number, value in enumerate(values):
            row = FileRow(str(path), number, value, data)
            if not isinstance(value, dict):
                raise row.error(f"expected an object, found {_kind(value)}")
            yield row

    def _json_lines(self, path: Path, data: bytes) -> Iterator[FileRow]:
        for number, line in enumerate(io.BytesIO(data), 1):
            # Concatenated files have a byte order mark where each one began.
            line = as_utf8(line) if line.startswith(b"\xef") else line
            if not line.strip():
                continue
            value, _ = self._decode(path, line, number)
            if not isinstance(value, dict):
                raise RecordError(path, number, f"expected an object, found {_kind(value)}")
            yield FileRow(str(path), number, value)

    def _decode(self, path: Path, data: bytes, first_line: int = 1) -> tuple[Any, bytes]:
        """The JSON value of the bytes, and the bytes as they were read. A :class:`RecordError` names the line of any
        fault.
        """
        try:
            try:
                value = msgspec.json.decode(data)
            except msgspec.DecodeError:
                mended = self._mended(path, data, first_line)
                if mended == data:
                    raise
                data = mended
                value = msgspec.json.decode(data)
            # Every level takes a bracket.
            if data.count(b"[") + data.count(b"{") <= DEEPEST or not deeper_than(DEEPEST, value):
                return value, data
            offset, problem = 0, f"it is nested more than {DEEPEST} levels deep"
        except RecursionError:
            offset, problem = 0, "it is nested too deeply"
        except UnicodeDecodeError:
            offset, problem = _first_bad_byte(data) or 0, "it is not UTF-8"
        except msgspec.DecodeError as error:
            place = re.search(r"\(byte (\d+)\)", str(error))
            offset, problem = int(place[1]) if place else len(data.rstrip()), str(error)
            if not place and data.strip():
                problem = "it ends where a quote or a bracket is still open"
        if not path.name.removesuffix(".gz").endswith(READABLE):
            problem += f"; a file is read as JSON unless its name ends in one of {', '.join(READABLE[2:])}"
        raise RecordError(path, first_line + data.count(b"\n", 0, offset), f"not valid JSON: {problem}")

    def _mended(self, path: Path, data: bytes, first_line: int) -> bytes:
        """Replace what Python's ``json`` writes but strict readers reject, line by line."""
        if not _ODD.search(data):
            return data
        counted, line = 0, first_line

        def note(what: str, offset: int) -> None:
            nonlocal counted, line
            line += data.count(b"\n", counted, offset)
            counted = offset
            self.mended.setdefault(what, []).append(Place(str(path), line))

        def token(found: re.Match[bytes]) -> bytes:
            text = found[0]
            if text[:1] != b'"':
                if math.isfinite(float(text)):
                    return text
                note(_NO_NUMBER, found.start())
                return b"null"
            if b"\\u" not in text:
                return text
            return _ESCAPE.sub(lambda escape: _whole(escape, found.start(), note), text)

        return _TOKEN.sub(token, data)

    # -- tables

    def _table_rows(self, path: Path, delimiter: str) -> Iterator[FileRow]:
        data = self._read(path, {delimiter.encode(): VALUE_BYTES, b"\n": OBJECT_BYTES})
        bad = _first_bad_byte(data)
        if bad is not None:
            raise RecordError(path, 1 + data.count(b"\n", 0, bad), "not UTF-8, nor UTF-16 with a byte order mark")
        header, rows = read_csv(path, io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline=""), delimiter)
        for line, cells in rows:
            yield FileRow(str(path), line, dict(zip(header, cells, strict=True)), cells=True)

    def parquet(self, path: Path, data: bytes) -> Iterator[FileRow]:
        """The rows in the bytes of a parquet file."""
        import pyarrow
        import pyarrow.parquet

        number = 0
        try:
            about = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data))
            self._check_promise(path, about.metadata)
            names = about.schema_arrow.names
            if len(set(names)) < len(names):
                raise UsageError(f"{path} has a column twice: {', '.join(names)[:300]}")
            # A text that is in a million rows is kept once: what it unfolds to is counted before it does.
            shared = [column.path for column in map(about.schema.column, range(len(about.schema))) if _is_text(column)]
            file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data), read_dictionary=shared)
            for batch in file.iter_batches(batch_size=PARQUET_ROWS):
                for column in batch.columns:
                    self._count(path, number + 1, *_unfolded(column))
                for fields in batch.to_pylist():
                    number += 1
                    yield FileRow(str(path), number, {name: _without_nan(value) for name, value in fields.items()})
        except (pyarrow.ArrowException, ValueError, OverflowError, RecursionError) as error:
            raise UsageError(f"{path} is not a readable parquet file, from row {number + 1} on: {error}") from error

    def _check_promise(self, path: Path, metadata: Any) -> None:
        """Refuse a file whose own metadata exceed the limits: a few bytes can unfold to any number of values."""
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        parts = [group.column(number) for group in groups for number in range(group.num_columns)]
        rows, values = metadata.num_rows, sum(part.num_values for part in parts)
        size = sum(part.total_uncompressed_size for part in parts)
        if self._rows + rows > MAX_ROWS or values > PARQUET_VALUES or self._bytes + size > MAX_FILE_BYTES:
            raise UsageError(
                f"{path} says that it unfolds to {rows:,} rows, {values:,} values and {size / 2**20:,.0f} MiB; at most "
                f"{MAX_ROWS:,}, {PARQUET_VALUES:,} and {MAX_FILE_BYTES / 2**20:,.0f} MiB are read. Split it, or leave "
                f"out columns that are not needed"
            )


def _whole(escape: re.Match[bytes], start: int, note: Callable[[str, int], None]) -> bytes:
    """An escape in a string, or U+FFFD if it is half a character."""
    if escape[2] is None:
        return escape[0]
    note(_HALF_PAIR, start)
    return b"\\ufffd"


def _first_bad_byte(data: bytes) -> int | None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def _element_line(data: bytes, number: int) -> int:
    """The line on which an element of a valid JSON list begins."""
    start = end = data.index(b"[") + 1
    for element in msgspec.json.decode(data, type=list[msgspec.Raw])[: number + 1]:
        start = end
        while data[start] in b" \t\r\n,":
            start += 1
        end = start + len(element)
    return data.count(b"\n", 0, start) + 1


def _is_text(column: Any) -> bool:
    return column.physical_type == "BYTE_ARRAY" and column.logical_type.type in ("STRING", "NONE")


def _unfolded(array: Any) -> tuple[int, int]:
    """The bytes of an Arrow array's content, and what its values take in Python's memory."""
    import pyarrow.compute as compute
    from pyarrow import types

    kind = array.type
    if types.is_map(kind):
        parts = [array.keys, array.items]
    elif types.is_struct(kind) or types.is_nested(kind):
        flat = array.flatten()
        parts = flat if isinstance(flat, list) else [flat]
    elif types.is_dictionary(kind) and not types.is_primitive(kind.value_type):
        lengths = compute.take(compute.binary_length(array.dictionary), array.indices)
        return compute.sum(lengths).as_py() or 0, len(array) * VALUE_BYTES
    else:
        return array.nbytes, len(array) * VALUE_BYTES
    sizes = [_unfolded(part) for part in parts]
    return sum(size for size, _ in sizes), len(array) * VALUE_BYTES + sum(values for _, values in sizes)


def _without_nan(value: Any) -> Any:
    """A value with null in place of NaN, which Arrow and pandas use for missing values."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, list):
        return [_without_nan(inner) for inner in value]
    if isinstance(value, dict):
        return {name: _without_nan(inner) for name, inner in value.items()}
    return value
