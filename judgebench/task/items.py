"""Reads the rows of a task's own folder. An error names the file and the line, because the task's author mends it."""

import re
from pathlib import Path
from typing import TypeVar

import msgspec

from judgebench.errors import UsageError
from judgebench.files import read_bytes

Row = TypeVar("Row", bound=msgspec.Struct)
ITEMS_BYTES = 2**30
"""Limit for a file of items."""


def read_items(path: Path, kind: type[Row]) -> list[Row]:
    """Read a JSON-lines file, one row a line. Blank lines are skipped.

    Rows whose ``id`` may be empty, and is, get their number, from 0.

    Raises :class:`UsageError`, which names the line and the fields there are, for a row that is not of this kind.
    """
    decoder = msgspec.json.Decoder(kind)
    items: list[Row] = []
    try:
        lines = read_bytes(path, ITEMS_BYTES).removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            item = decoder.decode(line)
            items.append(msgspec.structs.replace(item, id=str(len(items))) if getattr(item, "id", None) == "" else item)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UsageError(f"{path}:{number}: {_told(error, kind)}") from error
    if not items:
        raise UsageError(f"{path} holds no rows; each line is a JSON object with the fields {_fields(kind)}")
    return items


def _told(error: Exception, kind: type[msgspec.Struct]) -> str:
    why, _, place = str(error).partition(" - at `$")
    inside = f" in {place.rstrip('`').lstrip('.')}" if place else ""
    if unknown := re.search(r"unknown field `(.*?)`", why):
        return f"unknown field {unknown[1]}{inside}; fields are {_fields(kind)}"
    if missing := re.search(r"missing required field `(.*?)`", why):
        return f"the field {missing[1]} is missing{inside}; fields are {_fields(kind)}"
    if isinstance(error, msgspec.ValidationError):
        return f"{why}{inside}; fields are {_fields(kind)}"
    return f"not a row of JSON: {why}"


def _fields(kind: type[msgspec.Struct]) -> str:
    fields = msgspec.structs.fields(kind)
    return ", ".join(f"{field.encode_name}{'' if field.required else ' (optional)'}" for field in fields)
