"""CSV files that may hold anybody's text and that a spreadsheet may open.

A cell that a spreadsheet would run as a formula gets an apostrophe in front, which is taken off again when our own
tables are read; https://owasp.org/www-community/attacks/CSV_Injection lists the characters.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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


def csv_bytes(rows: Iterable[Mapping[str, Any]], fields: Sequence[str]) -> bytes:
    """A CSV file; numbers as Python writes them, so that reading gives the same ones, and nothing for ``None``."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fields, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: spreadsheet_text(v) if isinstance(v, str) else v for name, v in row.items()})
    return text.getvalue().encode()
