"""MATH's rows: the 5,000 of its test set, the 500 of MATH-500, and our own starter set."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from judgebench.task.items import read_items

from .hendrycks import last_box
from .prompts import STARTER_CLOSING, Exemplar


class Problem(msgspec.Struct, frozen=True):
    """One problem, as MATH-500 has it."""

    id: str = msgspec.field(name="unique_id")
    problem: str
    solution: str
    answer: str
    """The short answer, from the solution's last box."""
    subject: str
    level: int


class _Full(msgspec.Struct, frozen=True):
    problem: str
    solution: str
    type: str
    level: str
    """``Level 3``."""


class _Starter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    problem: str
    solution: str
    subject: str
    level: int
    shot: bool = False
    """It is a worked example, which stands before the others and is not asked."""


def read_full(data: bytes) -> Iterator[Problem]:
    """Read the whole test set; the row number is the id."""
    for number, line in enumerate(data.splitlines()):
        row = msgspec.json.decode(line, type=_Full)
        level = int(row.level.removeprefix("Level "))
        yield Problem(str(number), row.problem, row.solution, boxed(row.solution), row.type, level)


def read_five_hundred(data: bytes) -> list[Problem]:
    """Read MATH-500, which names its rows."""
    return [msgspec.json.decode(line, type=Problem) for line in data.splitlines()]


def boxed(solution: str) -> str:
    """A solution's short answer."""
    answer = last_box(solution)
    if answer is None:
        raise ValueError("a reference solution has no box")
    return answer


def starter_rows() -> tuple[list[Exemplar], list[Problem]]:
    """Read the worked examples, and the problems to ask."""
    rows = read_items(Path(__file__).parent / "starter.jsonl", _Starter)
    shots = [
        Exemplar(row.problem, row.solution + STARTER_CLOSING.replace("{answer}", boxed(row.solution)))
        for row in rows
        if row.shot
    ]
    asked = [
        Problem(f"starter-{number:02d}", row.problem, row.solution, boxed(row.solution), row.subject, row.level)
        for number, row in enumerate((row for row in rows if not row.shot), start=1)
    ]
    return shots, asked
