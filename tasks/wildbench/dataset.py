"""WildBench's official files as the dataset host has them, and our starter set in the same shape: rows to examples.

``allenai/WildBench`` (config ``v2``, split ``test``): one row per task with its conversation, checklist and tags.
``allenai/WildBench-V2-Model-Outputs`` (one config per model, split ``train``): the baselines' answers.
"""

import random
from collections.abc import Sequence
from typing import Any

import msgspec

from judgebench.data import rows as outputs
from judgebench.errors import UsageError
from judgebench.records import Example, Message

from .formulas import groups_of

SEED = 42
"""Of the draws that decide which answer is shown first (src/eval.py, ``--seed``)."""


class Turn(msgspec.Struct, frozen=True):
    """One turn of a conversation; the host's further fields (language, timestamp, …) are not read."""

    role: str
    content: str


class TaskRow(msgspec.Struct, frozen=True):
    """One task."""

    session_id: str
    conversation_input: list[Turn]
    checklist: list[str]
    primary_tag: str
    secondary_tags: list[str]


class OutputRow(msgspec.Struct, frozen=True):
    """One model's answer to one task."""

    session_id: str
    output: str | list[str]
    generator: str = ""

    @property
    def text(self) -> str:
        """The answer: upstream takes the first of several."""
        return self.output if isinstance(self.output, str) else (self.output or [""])[0]


class StarterRow(TaskRow, frozen=True):
    """A task of ours with the starter baselines' answers."""

    outputs: dict[str, str]


def parquet_rows(data: bytes, kind: type[Any], what: str) -> list[Any]:
    """Read the rows of a parquet file as ``kind``; raise :class:`UsageError` naming a field of another type."""
    try:
        return msgspec.convert([row.fields for row in outputs.parquet_rows(data, what)], list[kind])  # type: ignore[valid-type]
    except msgspec.ValidationError as error:
        raise UsageError(f"{what} is not the parquet file that it should be: {error}") from error


def candidate_first(number: int) -> list[bool]:
    """Draw for each task, in official order, whether the candidate is shown first (as A).

    Upstream draws once per task from one generator, in order, and so does this for the whole list: a part of the tasks
    keeps the sides that the whole has.
    """
    draws = random.Random(SEED)
    return [draws.random() < 0.5 for _ in range(number)]


def to_examples(rows: Sequence[TaskRow], what: str) -> tuple[Example, ...]:
    """Turn tasks into examples: the model answers the last turn of the conversation."""
    examples = []
    for index, (row, first) in enumerate(zip(rows, candidate_first(len(rows)), strict=True)):
        try:
            groups = groups_of(row.primary_tag, row.secondary_tags)
        except KeyError as error:
            raise UsageError(f"{what}: task {row.session_id} has the unknown tag {error}") from error
        if not row.conversation_input or row.conversation_input[-1].role != "user":
            raise UsageError(f"{what}: the conversation of task {row.session_id} does not end with the user")
        examples.append(
            Example(
                id=row.session_id,
                messages=tuple(Message(role=turn.role, content=turn.content) for turn in row.conversation_input),
                meta={
                    "index": index,
                    "candidate_first": first,
                    "checklist": row.checklist,
                    "primary_tag": row.primary_tag,
                    "secondary_tags": row.secondary_tags,
                    "groups": groups,
                },
            )
        )
    return _unique(examples, what)


def ids_only(data: bytes) -> tuple[Example, ...]:
    """Make examples of the ids alone: enough to read result files, and for nothing else."""
    ids = data.decode().split()
    return _unique(
        [
            Example(
                id=session,
                messages=(Message(role="user", content=""),),
                meta={"index": index, "candidate_first": first},
            )
            for index, (session, first) in enumerate(zip(ids, candidate_first(len(ids)), strict=True))
        ],
        "the list of session ids",
    )


def _unique(examples: Sequence[Example], what: str) -> tuple[Example, ...]:
    if len({example.id for example in examples}) != len(examples):
        raise UsageError(f"{what} names a session twice")
    return tuple(examples)
