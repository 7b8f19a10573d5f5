"""CSV files, read and written. They may contain text from anyone, and a spreadsheet may open them.

A cell that a spreadsheet would run as a formula is written with an apostrophe in front, which is removed when our own
tables are read. https://owasp.org/www-community/attacks/CSV_Injection lists the characters.
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
"""The characters, also in full width. The apostrophe is one of them, so that removing one restores the text."""


def spreadsheet_text(text: str) -> str:
    """A text as a CSV cell that no spreadsheet runs as a formula.

    >>> spreadsheet_text("=1+1"), spreadsheet_text("gpt-4")
    ("'=1+1", 'gpt-4')
    """
    return f"'{text}" if text.startswith(STARTS_FORMULA) else text


def original_text(text: str) -> str:
    """The text that :func:`spreadsheet_text` was given.

    >>> [original_text(spreadsheet_text(text)) for text in ("=1+1", "'quoted", "plain")]
    ['=1+1', "'quoted", 'plain']
    """
    return text[1:] if text[:1] == "'" and text[1:].startswith(STARTS_FORMULA) else text


def csv_text(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A CSV file. Numbers are written as Python does, so that they read back the same; ``None`` is an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(spreadsheet_text, names))
    writer.writerows([spreadsheet_text(v) if isinstance(v, str) else v for v in row] for row in rows)
    return text.getvalue()


def csv_bytes(rows: Iterable[Mapping[str, Any]], fields: Sequence[str]) -> bytes:
    """A CSV file with a column for each of the fields."""
    return csv_text(fields, ([row.get(name) for name in fields] for row in rows)).encode()


def read_csv(path: Path, file: Iterable[str], delimiter: str = ",") -> tuple[list[str], Lines]:
    """The header of a CSV file, empty if the file is, and its rows, each with the line on which it begins.

    Every row has a cell for each column, and empty lines are skipped. Raises :class:`RecordError` with the line for any
    other row. ``file`` must keep its line ends, as one opened with ``newline=""`` does.
    """
    # The library has one limit for the whole process. The size of a file is limited where it is opened.
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
        raise RecordError(path, 1, f"the header has a column twice: {', '.join(twice)[:200]}")
    return header, rows()


def read_csv_table(path: Path, text: str) -> list[dict[str, str]]:
    """The rows of a CSV file by column name. Raises what :func:`read_csv` raises."""
    header, rows = read_csv(path, io.StringIO(text, newline=""))
    return [dict(zip(header, cells, strict=True)) for _, cells in rows]
