"""Finds the checker of an instruction id, in this folder or in an installed package.

A package adds checkers with an entry point of the group ``judgebench.instructions`` that names a :class:`Checkers`. Two
checkers of one id are an error.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import entry_points

from . import ifbench, instructions, multilingual
from .registry import Checker, Checkers, WrongArguments

ENTRY_POINTS = "judgebench.instructions"


def find(instruction_id: str) -> Checker | None:
    """Return the checker of an instruction, or ``None`` if there is none."""
    return _checkers().get(instruction_id)


def fingerprint(instruction_ids: Iterable[str]) -> str:
    """Name the sets of checkers that check these instructions, with their versions."""
    used = set(instruction_ids)
    return ", ".join(f"{checkers.name} {checkers.version}" for checkers in _sets() if used & checkers.by_id.keys())


@cache
def _checkers() -> dict[str, Checker]:
    found: dict[str, tuple[str, Checker]] = {}
    for checkers in _sets():
        for instruction_id, checker in checkers.by_id.items():
            if instruction_id in found:
                raise WrongArguments(
                    f"the instruction {instruction_id} has two checkers, of {found[instruction_id][0]} and "
                    f"{checkers.name}; uninstall one"
                )
            found[instruction_id] = checkers.name, checker
    return {instruction_id: checker for instruction_id, (_, checker) in found.items()}


def _sets() -> Iterator[Checkers]:
    yield from (instructions.CHECKERS, multilingual.CHECKERS, ifbench.CHECKERS)
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        yield entry.load()
