"""Errors in a TOML file that the user wrote: they name the file, the line of the key, the key and what is wrong."""

import re
import tomllib
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

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
    return place.rstrip("`").lstrip(".").partition("[")[0] or "it", in_words(why)


WORDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "datetime": "a time",
    "date": "a date",
    "time": "a time of day",
}
"""What TOML's types are called."""
ODD = "holds a word that it does not know"
_EXPECTED = re.compile(r"Expected `([^`]+)`(?:, got `([^`]+)`)?(.*)")
_LACKS = re.compile(r"Object missing required field `([^`]+)`")


def in_words(problem: str) -> str:
    """What is wrong with a value, of which msgspec says that in words of JSON and Python.

    >>> in_words("Expected `float | null`, got `str`")
    'has to be a number, and is a text'
    >>> in_words("Object missing required field `revision`")
    'has no key revision'
    >>> in_words("Expected `int` >= 1")
    'has to be a whole number >= 1'
    >>> in_words("Expected `array` of length 2, got 3")
    'has to be a list of length 2, got 3'
    >>> in_words("Invalid enum value 'sideways'")
    "holds a word that it does not know: 'sideways'"
    """
    if lacks := _LACKS.fullmatch(problem):
        return f"has no key {lacks[1]}"
    if odd := re.fullmatch(r"Invalid enum value (.*)", problem):
        return f"{ODD}: {odd[1]}"
    if not (found := _EXPECTED.fullmatch(problem)):
        return f"is not valid: {problem}"
    wanted, got, rest = found.groups()
    return f"has to be {_named(wanted)}{rest}" + (f", and is {_named(got)}" if got else "")


def _named(types: str) -> str:
    names = [WORDS.get(name, name) for name in types.split(" | ") if name != "null"]
    return " or ".join(dict.fromkeys(names)) or "nothing"


MOST_NAMED = 10


def converted(path: Path, text: str, table: dict[str, Any], kind: type[T], where: str = "") -> T:
    """Convert a table of the file to a struct; ``where`` is the table's name, if it is not the whole file.

    Raises :class:`UsageError` for an unknown key, which lists the known ones, and for a value of the wrong type.
    """
    prefix = f"{where}." if where else ""
    known = [field.encode_name for field in msgspec.structs.fields(kind)]  # type: ignore[arg-type]
    unknown = [key for key in table if key not in known]
    if unknown:
        near = did_you_mean(unknown[0], known)
        others = "".join(f"; nor is {key[:80]}{did_you_mean(key, known)}" for key in unknown[1:MOST_NAMED])
        raise fault(
            path,
            text,
            prefix + unknown[0],
            f"is not a key of {where or 'this file'}{near}{others}; it has {', '.join(known)}",
        )
    try:
        return msgspec.convert(table, kind)
    except (msgspec.ValidationError, OverflowError) as error:
        key, why = located(error)
        choices = _choices(kind, key)
        listed = f"; it is one of {', '.join(choices)}" if choices and ODD in why else ""
        raise fault(path, text, prefix + key, why + listed) from error


def _choices(kind: type, key: str) -> list[str]:
    """The words that a field may hold, if there is a list of them."""
    wanted = get_type_hints(kind).get(key)
    return [str(word) for part in (wanted, *get_args(wanted)) if get_origin(part) is Literal for word in get_args(part)]
