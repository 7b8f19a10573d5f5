"""Answers made elsewhere: rows of a file matched to a benchmark's examples."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from judgebench.errors import UsageError
from judgebench.outputs import Row
from judgebench.records import Example, Generation
from judgebench.task import Imported, TaskData

FIELDS = {"instruction": "instruction", "id": "id", "output": "output", "generator": "generator"}
"""Our names of the fields, and what a file calls them unless told otherwise."""
NO_FIELDS: Mapping[str, str] = {}


def read_answers(rows: Sequence[Row], data: TaskData, fields: Mapping[str, str] = NO_FIELDS) -> Imported:
    """One answer per row, matched by the row's id or, without one, by its instruction.

    The output is a string, or a list of strings with one for each turn of the conversation.
    Raises :class:`~judgebench.errors.RecordError` for a row that is unknown, repeated or of the wrong type.
    """
    names = {**FIELDS, **fields}
    by_id = {example.id: example for example in data.examples}
    by_instruction = {example.instruction: example for example in data.examples}
    # Where a prompt holds more than its question (worked examples, a format), files have the question alone.
    by_instruction |= {e.meta["question"]: e for e in data.examples if isinstance(e.meta.get("question"), str)}
    id_asked_for = "id" in fields and "instruction" not in fields
    matched: dict[str, tuple[Row, Example]] = {}
    outputs: dict[str, tuple[str, ...]] = {}
    generators = set()
    for row in rows:
        has_id, has_instruction = (names[name] in row.fields for name in ("id", "instruction"))
        if id_asked_for or (has_id and not has_instruction):
            key = _id(row, names["id"])
            example = by_id.get(key)
        else:
            key = row.text(names["instruction"])
            example = by_instruction.get(key)
        if example is None:
            raise row.error(f"{key[:80]!r} is not one of this benchmark's {len(data.examples)} examples")
        if example.id in matched:
            raise row.error(f"{key[:80]!r} has an answer already, at line {matched[example.id][0].line}")
        outputs[example.id] = turns_of(row, row.fields.get(names["output"]), names["output"], example)
        matched[example.id] = (row, example)
        if names["generator"] in row.fields:
            generators.add(row.text(names["generator"]))
    if len(generators) > 1:
        raise rows[0].error(
            f"the file holds answers of {len(generators)} models ({', '.join(sorted(generators))[:200]}); split it"
        )
    candidate = next(iter(generators), None) or _stem(rows[0].path)
    rest = tuple(example for example in data.examples if example.id not in matched)
    return Imported(
        candidate=candidate,
        examples=(*(example for _, example in matched.values()), *rest),
        generations=tuple(
            Generation(example_id=example_id, model=candidate, outputs=own) for example_id, own in outputs.items()
        ),
        unknown=("how the answers were sampled",),
        notes=(f"{len(rest)} of {len(data.examples)} examples have no answer in the file",) if rest else (),
    )


def parse_fields(given: Mapping[str, str]) -> dict[str, str]:
    """``--fields``: what a file calls our fields. A :class:`~judgebench.errors.UsageError` names those there are."""
    for name, theirs in given.items():
        if name not in FIELDS or not theirs:
            raise UsageError(
                f"--fields {name}={theirs}: on the left stands one of our names, {', '.join(FIELDS)}, and on the right "
                f"what the file calls it, as in id=key,output=response"
            )
    return dict(given)


def _id(row: Row, name: str) -> str:
    """An id may be written as a number."""
    value = row.fields.get(name)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else row.text(name)


def turns_of(row: Row, value: object, field: str, example: Example) -> tuple[str, ...]:
    """A row's outputs, one per turn of the example; a :class:`~judgebench.errors.RecordError` for anything else."""
    if not isinstance(value, list):
        value = [row.text(field)]
    if not all(isinstance(turn, str) for turn in value):
        raise row.error(f"{field!r} must be a string, or a list of strings with one per turn")
    turns = 1 + len(example.followups)
    if len(value) != turns:
        raise row.error(f"{field!r} has {len(value)} of the {turns} turns of example {example.id}")
    return tuple(value)


def import_answers(rows: Sequence[Row], data: TaskData, fields: Mapping[str, str] = NO_FIELDS) -> tuple[Imported, ...]:
    """The importer of the format ``outputs``."""
    return (read_answers(rows, data, fields),)


def _stem(path: str) -> str:
    name = Path(path).name
    for suffix in (".gz", ".json", ".jsonl", ".csv", ".tsv", ".parquet"):
        name = name.removesuffix(suffix)
    return name or "outputs"
