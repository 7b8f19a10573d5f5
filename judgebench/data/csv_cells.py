"""CSV files, read and written: they may hold anybody's text and that a spreadsheet may open.

A cell that a spreadsheet would run as a formula gets an apostrophe in front, which is taken off again when our own
tables are read; https://owasp.org/www-community/attacks/CSV_Injection lists the characters.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from judgebench.errors import RecordError

LARGEST_CELL = 64 * 2**20
Lines = Iterator[tuple[int, list[str]]]
"""The cells of rows, each with the line on which it begins."""

STARTS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", "'")
"""Signs, also as wide as a Chinese character. An apostrophe is one of them, so that taking one off again gives what was
there."""


def spreadsheet_text(text: str) -> str:
    """A text as a CSV cell that no spreadsheet takes for a formula.

    >>> spreadsheet_text("=1+1"), spreadsheet_text("gpt-4")
    ("'=1+1", 'gpt-4')
    """
    return f"'{text}" if text.startswith(STARTS_FORMULA) else text


def original_text(text: str) -> str:
    """What :func:`spreadsheet_text` was given.

    >>> [original_text(spreadsheet_text(text)) for text in ("=1+1", "'quoted", "plain")]
    ['=1+1', "'quoted", 'plain']
    """
    return text[1:] if text[:1] == "'" and text[1:].startswith(STARTS_FORMULA) else text


def csv_text(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A CSV file; numbers as Python writes them, so that reading gives the same ones, and nothing for ``None``."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([spreadsheet_text(v) if isinstance(v, str) else v for v in row] for row in rows)
    return text.getvalue()


def csv_bytes(rows: Iterable[Mapping[str, Any]], fields: Sequence[str]) -> bytes:
    """The file of :func:`csv_text` with a column for each of the fields."""
    return csv_text(fields, ([row.get(name) for name in fields] for row in rows)).encode()


def read_csv(
    path: Path, file: Iterable[str], delimiter: str = ","
) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The header of a CSV file, empty if the file is, and its rows, each with the line on which it begins.

    Every row has a cell for each column; empty lines are passed over. Anything else is a :class:`RecordError` with the
    line. ``file`` keeps its line ends, as one opened with ``newline=""`` does.
    """
    # The library has one limit for the whole process. Files are limited where they are opened.
    csv.field_size_limit(LARGEST_CELL)
    reader = csv.reader(file, delimiter=delimiter, strict=True)

    def lines() -> Lines:
        begin = 1
        try:
            for cells in reader:
                if cells:
                    yield begin, cells
                begin = reader.line_num + 1
        except csv.Error as error:
            raise RecordError(path, reader.line_num, f"not valid CSV: {error}") from error

    def rows() -> Lines:
        for line, cells in found:
            if len(cells) != len(header):
                raise RecordError(path, line, f"the row has {len(cells)} cells for {len(header)} columns")
            yield line, cells

    found = lines()
    _, header = next(found, (1, []))
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise RecordError(path, 1, f"a column stands twice in the header: {', '.join(twice)[:200]}")
    return header, rows()


def read_csv_table(path: Path, text: str) -> list[dict[str, str]]:
    """The rows of a CSV file by the names of its columns; raises what :func:`read_csv` raises."""
    header, rows = read_csv(path, io.StringIO(text, newline=""))
    return [dict(zip(header, cells, strict=True)) for _, cells in rows]
