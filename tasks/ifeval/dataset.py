"""Turns rows of prompts, official ones or the starter set's, into examples."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from judgebench.errors import UsageError
from judgebench.records import Example, Message

from .lookup import find

CHANGED_ROW = 2785
"""A row of GitHub's copy. In the hub's, which lm-eval and published numbers use, it wants only one placeholder."""


class PromptRow(msgspec.Struct, frozen=True):
    """A prompt with its instructions."""

    key: int | str
    prompt: str
    instruction_id_list: tuple[str, ...]
    kwargs: tuple[dict[str, Any] | None, ...]
    """The arguments of each instruction; null ones do not count."""


@dataclass(frozen=True)
class Prompts:
    """The examples that can be verified, and a count of the others."""

    examples: tuple[Example, ...]
    excluded: int = 0
    """The number of prompts with an instruction that is not checked; the model does not get them."""
    unsupported: Mapping[str, int] = field(default_factory=dict)
    """How often each such instruction occurs."""
    tables: frozenset[str] = frozenset()
    """Names of the tables that their instructions look at."""


def read_rows(data: bytes) -> list[PromptRow]:
    """Rows of a JSON-lines file."""
    return [msgspec.json.decode(line, type=PromptRow) for line in data.splitlines()]


def as_on_the_hub(row: PromptRow) -> PromptRow:
    """The row as lm-eval asks it."""
    if row.key != CHANGED_ROW:
        return row
    prompt = row.prompt.replace("at least 3 placeholders", "at least one placeholder")
    kwargs = tuple(
        {**given, "num_placeholders": 1} if given and "num_placeholders" in given else given for given in row.kwargs
    )
    return msgspec.structs.replace(row, prompt=prompt, kwargs=kwargs)


def read_prompts(rows: Iterable[tuple[str, PromptRow]], *, drop_falsy: bool, without: Collection[str] = ()) -> Prompts:
    """Make examples of rows with their ids, except those that look at one of the tables ``without``.

    lm-eval drops every argument that is false in Python, IFBench only null. Raises
    :class:`~judgebench.errors.UsageError` for a row whose arguments its instructions do not accept, or no answer can
    meet.
    """
    examples: list[Example] = []
    unsupported: Counter[str] = Counter()
    excluded, tables = 0, set[str]()
    for example_id, row in rows:
        checkers = [find(instruction_id) for instruction_id in row.instruction_id_list]
        unknown = [
            name
            for name, checker in zip(row.instruction_id_list, checkers, strict=True)
            if checker is None or not checker.tables.isdisjoint(without)
        ]
        if unknown:
            unsupported.update(unknown)
            excluded += 1
            continue
        if len(row.kwargs) != len(row.instruction_id_list):
            raise UsageError(
                f"the prompt {example_id} cannot be verified: it has {len(row.instruction_id_list)} instructions and "
                f"arguments for {len(row.kwargs)}"
            )
        given = [
            {key: value for key, value in (own or {}).items() if (value if drop_falsy else value is not None)}
            for own in row.kwargs
        ]
        try:
            for name, checker, own in zip(row.instruction_id_list, checkers, given, strict=True):
                if checker is not None:
                    checker.require_possible(name, own)
                    tables |= checker.tables
        except ValueError as error:
            raise UsageError(f"the prompt {example_id} cannot be verified: {error}") from error
        examples.append(
            Example(
                id=example_id,
                messages=(Message(role="user", content=row.prompt),),
                meta={"instruction_ids": list(row.instruction_id_list), "kwargs": given},
            )
        )
    return Prompts(tuple(examples), excluded, dict(sorted(unsupported.items())), frozenset(tables))


def starter_rows() -> list[tuple[str, PromptRow]]:
    """Our own rows with their ids."""
    rows = read_rows((Path(__file__).parent / "starter.jsonl").read_bytes())
    return [(f"starter-{row.key:02d}", row) for row in rows]
