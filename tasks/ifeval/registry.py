"""How a checker is written: a function of the text, and of arguments whose kinds are in ``kinds.py``.

This module holds no checker. ``lookup.py`` finds them by their ids.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .kinds import Kind, whole_number

Obstacle = Callable[..., str | None]
"""Called with the arguments by name, as the rule wants them. Returns why no answer can follow the rule with them, or
``None`` if one can.
"""


class WrongArguments(ValueError):
    """The data have arguments that an instruction's checker does not accept."""


@dataclass(frozen=True)
class Counted:
    """A rule that compares a count with a wanted number."""

    count: Callable[..., int]
    wanted: str
    """Name of the argument that holds the number."""
    relation: str
    """Name of the argument that says how they are compared."""

    def __call__(self, text: Any, **settled: Any) -> bool:
        """Whether the count is as wanted."""
        number, compare = settled.pop(self.wanted), settled.pop(self.relation)
        return bool(compare(self.count(text, **settled), number))

    def counted(self, text: Any, **settled: Any) -> int:
        """The count alone."""
        return self.count(text, **{k: value for k, value in settled.items() if k not in (self.wanted, self.relation)})


@dataclass(frozen=True)
class Checker:
    """One instruction's rule."""

    follows: Callable[..., bool]
    """Called with the text, then with the arguments by name."""
    arguments: Mapping[str, Kind]
    tables: frozenset[str] = frozenset()
    """Names of the tables that it looks at (``tables.py``)."""
    obstacle: Obstacle | None = None

    def settle(self, instruction_id: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Convert the arguments for the rule; raise :class:`WrongArguments` for a missing, unknown or wrong one."""
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
        """Raise :class:`WrongArguments` for arguments that are wrong, or that no answer can meet."""
        settled = self.settle(instruction_id, kwargs)
        reason = self.obstacle(**settled) if self.obstacle else None
        if reason:
            found = ", ".join(f"{name} {value!r}"[:80] for name, value in kwargs.items())
            raise WrongArguments(f"no answer can follow the instruction {instruction_id} with {found}: {reason}")


@dataclass
class Checkers:
    """A set of checkers. Its name and version are part of the results."""

    name: str
    version: str
    by_id: dict[str, Checker] = field(default_factory=dict)

    def add(
        self,
        *instruction_ids: str,
        needs_sentences: bool = False,
        tables: Sequence[str] = (),
        obstacle: Obstacle | None = None,
        **arguments: Kind,
    ) -> Callable[[Callable[..., bool]], Callable[..., bool]]:
        """Register the decorated rule for these ids. One that looks at English sentences needs the table ``punkt``."""
        needed = frozenset((*tables, *("punkt",) * needs_sentences))

        def register(rule: Callable[..., bool]) -> Callable[..., bool]:
            for instruction_id in instruction_ids:
                self.by_id[instruction_id] = Checker(rule, arguments, needed, obstacle)
            return rule

        return register

    def add_count(
        self,
        instruction_id: str,
        relations: Kind,
        *,
        wanted: str,
        relation: str = "relation",
        least: int = 0,
        needs_sentences: bool = False,
        **arguments: Kind,
    ) -> Callable[[Callable[..., int]], Callable[..., int]]:
        """Register a rule that compares the decorated count, which is never below ``least``, with a wanted number.

        ``wanted`` and ``relation`` name the arguments that hold the number and the words for the comparison.
        """

        def register(count: Callable[..., int]) -> Callable[..., int]:
            def obstacle(**settled: Any) -> str | None:
                number, compare = settled[wanted], settled[relation]
                reachable = compare(least, number) or compare(max(least, number), number)
                return None if reachable else f"no answer has fewer than {least}"

            kinds = {**arguments, wanted: whole_number, relation: relations}
            rule = Counted(count, wanted, relation)
            needed = frozenset(("punkt",) * needs_sentences)
            self.by_id[instruction_id] = Checker(rule, kinds, needed, obstacle)
            return count

        return register
