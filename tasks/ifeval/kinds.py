"""Kinds of arguments: each turns a value of the data into what a rule works with.

A kind raises ``ValueError``, which says what it expected.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

Kind = Callable[[Any], Any]
Compare = Callable[[int, int], bool]
"""How a count is compared with the number wanted."""


def whole_number(value: Any) -> int:
    """A count of at least 0, which IFBench's data write as a float."""
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ValueError("a whole number of at least 0")
    return number


def position(value: Any) -> int:
    """A place in a row, counted from 1."""
    number = whole_number(value)
    if not number:
        raise ValueError("a whole number of at least 1")
    return number


def percentage(value: Any) -> float:
    """A number from 0 to 100."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise ValueError("a number from 0 to 100")
    return float(value)


def any_text(value: Any) -> str:
    """Any characters."""
    if not isinstance(value, str) or not value:
        raise ValueError("a string")
    return value


def text(value: Any) -> str:
    """A string that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a string that is not blank")
    return value


def single_word(value: Any) -> str:
    """A string without white space within it."""
    if len(text(value).split()) > 1:
        raise ValueError("one word")
    return str(value)


def expression(value: Any) -> str:
    """A string that is used as a regular expression."""
    try:
        re.compile(text(value))
    except re.error as error:
        raise ValueError(f"a regular expression ({error})") from error
    return str(value)


def character(value: Any) -> str:
    """A single character."""
    if not isinstance(value, str) or len(value) != 1:
        raise ValueError("a single character")
    return value


def expressions(value: Any) -> tuple[str, ...]:
    """A list of regular expressions."""
    if not isinstance(value, list | tuple) or not value or not all(isinstance(part, str) for part in value):
        raise ValueError("a list of strings")
    return tuple(map(expression, value))


def one_of(*values: str) -> Kind:
    """One of these strings."""

    def kind(value: Any) -> str:
        if value not in values:
            raise ValueError(f"one of {', '.join(map(repr, values))}")
        return str(value)

    return kind


def relation(comparisons: Mapping[str, Compare]) -> Kind:
    """How a count is compared, by the words for it."""

    def kind(value: Any) -> Compare:
        if not isinstance(value, str) or value not in comparisons:
            raise ValueError(" or ".join(map(repr, comparisons)))
        return comparisons[value]

    return kind
