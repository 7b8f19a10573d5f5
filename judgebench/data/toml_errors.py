"""Errors in a TOML file that the user wrote: they name the file, the line of the key, the key and what is wrong."""

import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from judgebench.display import did_you_mean
from judgebench.errors import UsageError

T = TypeVar("T")


def parse_toml(path: Path, text: str) -> dict[str, Any]:
    """Parse a text; raise :class:`UsageError` if it is not TOML."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error


def fault(path: Path, text: str, key: str, problem: str) -> UsageError:
    """Make an error that names the file, the line of the key and the key."""
    line = next(filter(None, (_line_of(part, text) for part in reversed(key.split(".")))), None)
    return UsageError(f"{path}{f', line {line}' if line else ''}: {key} {problem}")


def _line_of(name: str, text: str) -> int | None:
    """The first line that begins with a key, or with a table, of this name."""
    pattern = re.compile(rf"""\s*["'\[]*{re.escape(name)}["'\]]*\s*[=:\]]""")
    return next((number for number, row in enumerate(text.splitlines(), 1) if pattern.match(row)), None)


def located(error: Exception) -> tuple[str, str]:
    """Split the message of a conversion into the key and what is wrong with it."""
    why, _, place = str(error).partition(" - at `$")
    return place.rstrip("`").lstrip(".").partition("[")[0] or "it", f"is not valid: {why}"


def converted(path: Path, text: str, table: dict[str, Any], kind: type[T], where: str = "") -> T:
    """Convert a table of the file to a struct; ``where`` is the table's name, if it is not the whole file.

    Raises :class:`UsageError` for an unknown key, which lists the known ones, and for a value of the wrong type.
    """
    prefix = f"{where}." if where else ""
    known = [field.encode_name for field in msgspec.structs.fields(kind)]  # type: ignore[arg-type]
    for key in table:
        if key not in known:
            near = did_you_mean(key, known)
            raise fault(
                path, text, prefix + key, f"is not a key of {where or 'this file'}{near}; it has {', '.join(known)}"
            )
    try:
        return msgspec.convert(table, kind)
    except (msgspec.ValidationError, OverflowError) as error:
        key, why = located(error)
        raise fault(path, text, prefix + key, why) from error
