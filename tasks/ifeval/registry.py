"""How a checker is written and given its arguments. It imports no checker; ``lookup.py`` finds them by their ids."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Kind = Callable[[Any], Any]
"""Turns an argument of the data into what the rule works with; a ``ValueError`` says what was expected."""
Obstacle = Callable[..., str | None]
"""Called with the arguments by name, as the rule wants them: why no answer can follow the rule with these; ``None`` if
one can.
"""


class WrongArguments(ValueError):
    """An instruction's arguments in the data are not what its checker takes."""


@dataclass(frozen=True)
class Checker:
    """One instruction's rule."""

    follows: Callable[..., bool]
    """Called with the text, then with the arguments by name."""
    arguments: Mapping[str, Kind]
    needs_sentences: bool = False
    """It looks at English sentences, so that the Punkt tables must be there."""
    obstacle: Obstacle | None = None

    def settle(self, instruction_id: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the rule wants them; :class:`WrongArguments` names what is missing, unknown or wrong."""
        unknown = sorted(kwargs.keys() - self.arguments.keys())
        missing = sorted(self.arguments.keys() - kwargs.keys())
        if unknown or missing:
            takes = ", ".join(self.arguments) or "none"
            problem = f"has no argument {unknown[0]!r}" if unknown else f"lacks its argument {missing[0]!r}"
            raise WrongArguments(f"the instruction {instruction_id} {problem}; it takes: {takes}")
        settled = {}
        for name, kind in self.arguments.items():
            try:
                settled[name] = kind(kwargs[name])
            except ValueError as error:
                found = repr(kwargs[name])[:80]
                raise WrongArguments(
                    f"the instruction {instruction_id} has {name} {found}, but wants {error}"
                ) from error
        return settled

    def require_possible(self, instruction_id: str, kwargs: Mapping[str, Any]) -> None:
        """Raise :class:`WrongArguments` for arguments that no answer can meet, also for those that are wrong."""
        settled = self.settle(instruction_id, kwargs)
        reason = self.obstacle(**settled) if self.obstacle else None
        if reason:
            found = ", ".join(f"{name} {value!r}"[:80] for name, value in kwargs.items())
            raise WrongArguments(f"no answer can follow the instruction {instruction_id} with {found}: {reason}")


@dataclass
class Checkers:
    """A set of checkers with its version, which stands in the results."""

    name: str
    version: str
    by_id: dict[str, Checker] = field(default_factory=dict)

    def add(
        self,
        *instruction_ids: str,
        needs_sentences: bool = False,
        obstacle: Obstacle | None = None,
        **arguments: Kind,
    ) -> Callable[[Callable[..., bool]], Callable[..., bool]]:
        """Register the decorated rule for these ids."""

        def register(rule: Callable[..., bool]) -> Callable[..., bool]:
            for instruction_id in instruction_ids:
                self.by_id[instruction_id] = Checker(rule, arguments, needs_sentences, obstacle)
            return rule

        return register


def whole_number(value: Any) -> int:
    """A count of at least 0; the data of IFBench have them as floats."""
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ValueError("a whole number of at least 0")
    return number


def position(value: Any) -> int:
    """The number of something in its row, from 1."""
    number = whole_number(value)
    if not number:
        raise ValueError("a whole number of at least 1")
    return number


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


def relation(comparisons: Mapping[str, Callable[[int, int], bool]]) -> Kind:
    """How a count is compared, by the words for it: a function of the count and the wanted number."""

    def kind(value: Any) -> Callable[[int, int], bool]:
        if not isinstance(value, str) or value not in comparisons:
            raise ValueError(" or ".join(map(repr, comparisons)))
        return comparisons[value]

    return kind


def out_of_reach(count: str, relation: str = "relation", least: int = 0) -> Obstacle:
    """The obstacle of a rule that compares a count, which is never below ``least``, with one of the arguments."""

    def obstacle(**settled: Any) -> str | None:
        compare, wanted = settled[relation], settled[count]
        if compare(least, wanted) or compare(max(least, wanted), wanted):
            return None
        return f"no answer has fewer than {least}"

    return obstacle
