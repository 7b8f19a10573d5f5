"""Rows of a file that another program wrote: json, jsonl, csv, tsv or parquet, each also as ``.gz``.

Nothing about such a file is trusted: sizes are bounded and every complaint names file and line.
"""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from judgebench.errors import RecordError, UsageError

MAX_LINE_BYTES = 64 * 2**20
MAX_FILE_BYTES = 2 * 2**30
CHUNK_BYTES = 2**20
HALF_CHARACTER = re.compile(rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]..")
"""An escaped surrogate without its other half: Python's ``json`` writes such, no strict reader takes them."""


class Row(msgspec.Struct, frozen=True):
    """One row with the place it came from."""

    path: str
    position: int
    """Line, or in a parquet file row, counted from 1; in a JSON list, the element counted from 0."""
    fields: dict[str, Any]
    list_text: bytes | None = None
    """The whole file, if it is a JSON list: the element's line is looked up only when a row complains."""

    @property
    def line(self) -> int:
        """Where the row begins."""
        return self.position if self.list_text is None else _element_line(self.list_text, self.position)

    def text(self, *names: str) -> str:
        """The string field under the first of the names that is present; a :class:`RecordError` otherwise."""
        for name in names:
            if name in self.fields:
                value = self.fields[name]
                if not isinstance(value, str):
                    raise self.error(f"{name!r} must be a string, found {_kind(value)}")
                return value
        found = ", ".join(sorted(map(str, self.fields))) or "none"
        raise self.error(f"the row has no {' or '.join(map(repr, names))}; its fields are: {found[:300]}")

    def number(self, name: str) -> float | None:
        """A number that may be absent or null."""
        value = self.fields.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(f"{name!r} must be a number or null, found {_kind(value)}")
        return float(value)

    def error(self, problem: str) -> RecordError:
        """An error that names this row's place."""
        return RecordError(self.path, self.line, problem)


def _kind(value: Any) -> str:
    return {type(None): "null", dict: "an object", list: "a list", bool: "a boolean"}.get(type(value), repr(value)[:60])


READABLE = (".json", ".jsonl", ".csv", ".tsv", ".parquet")


def read_rows(path: Path) -> list[Row]:
    """All rows of a file, or of every readable file below a folder, in the order of their names.

    Raises :class:`UsageError` (absent, empty, unreadable) or :class:`RecordError` (a broken row, named by its line).
    """
    if path.is_dir():
        files = [f for f in sorted(path.rglob("*")) if f.is_file() and f.name.removesuffix(".gz").endswith(READABLE)]
        if not files:
            raise UsageError(f"{path} holds no file to read; readable are {', '.join(READABLE)}, each also as .gz")
        return [row for file in files for row in read_rows(file)]
    if not path.is_file():
        raise UsageError(
            f"{path} is not a file; a file of outputs was expected (json, jsonl, csv, tsv, parquet, or .gz)"
        )
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    try:
        if suffix == ".parquet":
            rows = list(_parquet_rows(path))
        elif suffix in (".csv", ".tsv"):
            rows = list(_csv_rows(path, "\t" if suffix == ".tsv" else ","))
        else:
            rows = _json_rows(path, _bounded_bytes(path))
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    if not rows:
        raise UsageError(f"{path} holds no rows; a list of objects with 'instruction' and 'output' was expected")
    return rows


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _bounded_bytes(path: Path) -> bytes:
    """The uncompressed bytes; stops at the first line that is too long, so a bomb is never held in memory."""
    chunks, size, line, line_bytes = [], 0, 1, 0
    with _open(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            newline = chunk.rfind(b"\n")
            longest = line_bytes + (chunk.find(b"\n") if newline >= 0 else len(chunk))
            if longest > MAX_LINE_BYTES:
                raise RecordError(path, line, f"the line is longer than {MAX_LINE_BYTES // 2**20} MiB")
            line += chunk.count(b"\n")
            line_bytes = len(chunk) - newline - 1 if newline >= 0 else longest
            size += len(chunk)
            if size > MAX_FILE_BYTES:
                raise RecordError(path, line, f"the file is larger than {MAX_FILE_BYTES // 2**30} GiB")
            chunks.append(chunk)
    return b"".join(chunks)


def _json_rows(path: Path, data: bytes) -> list[Row]:
    """A JSON list of objects, JSON lines, or one object over several lines; told apart by how the text begins."""
    if re.match(rb"\s*\{\s*\n", data):
        return [Row(str(path), 1, _decode(path, data))]
    if data.lstrip()[:1] != b"[":
        return list(_json_lines(path, data))
    rows = [Row(str(path), number, value, data) for number, value in enumerate(_decode(path, data))]
    for row in rows:
        if not isinstance(row.fields, dict):
            raise row.error(f"expected an object, found {_kind(row.fields)}")
    return rows


def _json_lines(path: Path, data: bytes) -> Iterator[Row]:
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        value = _decode(path, line, number)
        if not isinstance(value, dict):
            raise RecordError(path, number, f"expected an object, found {_kind(value)}")
        yield Row(str(path), number, value)


def _decode(path: Path, data: bytes, first_line: int = 1) -> Any:
    """The JSON value of the bytes; a :class:`RecordError` names the line of whatever is wrong with them."""
    try:
        return msgspec.json.decode(data)
    except RecursionError:
        offset, problem = 0, "it is nested too deeply"
    except UnicodeDecodeError:
        offset, problem = _first_bad_byte(data), "it is not UTF-8"
    except msgspec.DecodeError as error:
        place, half = re.search(r"\(byte (\d+)\)", str(error)), HALF_CHARACTER.search(data)
        offset, problem = int(place[1]) if place else len(data.rstrip()), str(error)
        if half and not place:
            offset, problem = half.start(), f"{half[0].decode()} is half of a surrogate pair"
    raise RecordError(path, first_line + data.count(b"\n", 0, offset), f"not valid JSON: {problem}")


def _first_bad_byte(data: bytes) -> int:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _element_line(data: bytes, number: int) -> int:
    """The line on which an element of a valid JSON list begins."""
    start = end = data.index(b"[") + 1
    for element in msgspec.json.decode(data, type=list[msgspec.Raw])[: number + 1]:
        start = end
        while data[start] in b" \t\r\n,":
            start += 1
        end = start + len(element)
    return data.count(b"\n", 0, start) + 1


def _csv_rows(path: Path, delimiter: str) -> Iterator[Row]:
    try:
        text = io.StringIO(_bounded_bytes(path).decode("utf-8-sig"), newline="")
    except UnicodeDecodeError as error:
        raise RecordError(path, 1, f"not UTF-8: {error}") from error
    csv.field_size_limit(MAX_LINE_BYTES)
    reader = csv.DictReader(text, delimiter=delimiter)
    line = 2
    try:
        for fields in reader:
            if None in fields or None in fields.values():
                raise RecordError(
                    path, line, f"the row does not have the {len(reader.fieldnames or ())} columns of line 1"
                )
            yield Row(str(path), line, dict(fields))
            line = reader.line_num + 1
    except csv.Error as error:
        raise RecordError(path, reader.line_num, f"not valid CSV: {error}") from error


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        with _open(path) as source:
            file = pyarrow.parquet.ParquetFile(source)
            number, size = 0, 0
            for batch in file.iter_batches(batch_size=1024):
                size += batch.nbytes
                if size > MAX_FILE_BYTES:
                    raise RecordError(path, number + 1, f"the file holds more than {MAX_FILE_BYTES // 2**30} GiB")
                for fields in batch.to_pylist():
                    number += 1
                    yield Row(str(path), number, fields)
    except pyarrow.ArrowException as error:
        raise UsageError(f"{path} is not a readable parquet file: {error}") from error
