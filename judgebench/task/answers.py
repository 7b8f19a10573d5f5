"""Answers that another program made: rows of a file, matched to a benchmark's examples."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from judgebench.data.rows import FileRow, count_of, file_stem, where
from judgebench.errors import UsageError
from judgebench.records import Example, Generation
from judgebench.task import Imported, TaskData

FIELDS = {
    "instruction": "instruction",
    "id": "id",
    "output": "output",
    "generator": "generator",
    "attempt": "attempt",
}
"""Our names of the fields, and their default names in a file."""
USUAL = {
    "id": ("key", "idx", "index", "question_id", "example_id", "uid", "session_id", "doc_id", "task_id"),
    "output": ("response", "answer", "completion", "prediction", "generation", "text", "model_output", "outputs"),
}
"""Names that other programs' files have for them. They are proposed, and never taken unasked."""
MOST_ATTEMPTS = 10_000
MOST_SAID = 8
NO_FIELDS: Mapping[str, str] = {}


def read_answers(rows: Sequence[FileRow], data: TaskData, fields: Mapping[str, str] = NO_FIELDS) -> Imported:
    """Read one answer per row, matched by the row's id or by its instruction.

    An id counts if there is no instruction or if both are of one example: many programs number rows in their own way.
    The output is a string, or a list of strings with one for each turn of the conversation. If it is null, NaN, an
    empty list or missing, the answer failed and the example has none. Several rows on an example are its attempts, if
    they number them: the examples are then as ``--repeats`` makes them.
    Raises :class:`~judgebench.errors.RecordError` for a row that is unknown, repeated or of the wrong type.
    """
    names = {**FIELDS, **fields}
    _require_fields(rows, names)
    items = _items_of(rows, data, names, by_id="id" in fields and "instruction" not in fields)
    answered, repeats = _attempts(rows, items, names["attempt"])
    matched: dict[str, FileRow] = {}
    failed: dict[str, FileRow] = {}
    generations: dict[str, Generation] = {}
    generators = set()
    for row, example in zip(rows, answered, strict=True):
        turns = turns_of(row, row.value(names["output"]), names["output"], example)
        if turns is None:
            failed[example.id] = row
            generations.setdefault(example.id, failed_answer(example))
            continue
        if example.id in matched:
            raise row.error(
                f"{_named(row, names)!r} has an answer already, at {matched[example.id].place}; if these are "
                f"several answers to it, number them from 0 in a field {names['attempt']!r} of each row"
            )
        matched[example.id] = row
        generations[example.id] = Generation(example_id=example.id, model="", outputs=turns)
        if names["generator"] in row.fields:
            generators.add(row.text(names["generator"]))
    if not matched and all(names["output"] in row.fields for row in rows):
        raise rows[0].error(
            f"no row of the file holds an answer under {names['output']!r}: every one is null or empty; fill them in, "
            "or, if the answers stand in another field, name it with --fields output=FIELD"
        )
    if not matched:
        raise rows[0].error(
            f"no row of the file holds an answer under {names['output']!r}; the fields of this one are: "
            f"{rows[0].names}. Name the right one with --fields output={_guess(rows[0], 'output') or '…'}"
        )
    if len(generators) > 1:
        raise rows[0].error(
            f"the file holds answers of {len(generators)} models ({', '.join(sorted(generators))[:200]}); split it"
        )
    candidate = next(iter(generators), None) or file_stem(rows[0].path) or "outputs"
    named = {item.id: item for item in items}
    rest = [example for example in data.examples if example.id not in named]
    examples = [*named.values(), *rest] if repeats == 1 else repeated([*named.values(), *rest], repeats)
    return Imported(
        candidate=candidate,
        examples=tuple(examples),
        generations=tuple(
            msgspec.structs.replace(generations[one.id], model=candidate) for one in examples if one.id in generations
        ),
        unknown=("how the answers were sampled",),
        notes=(
            *failure_notes(list(failed.values()), answered=len(failed.keys() & matched.keys())),
            *((f"{len(rest)} of {len(data.examples)} examples have no answer in the file",) if rest else ()),
        ),
    )


def _items_of(rows: Sequence[FileRow], data: TaskData, names: Mapping[str, str], *, by_id: bool) -> list[Example]:
    """The example that each row answers; with ``by_id``, that of its id even if it has an instruction too."""
    by_instruction = {example.instruction: example for example in data.examples}
    # If a prompt holds more than its question (worked examples, a format), files have only the question.
    by_instruction |= {e.meta["question"]: e for e in data.examples if isinstance(e.meta.get("question"), str)}
    items = []
    for row in rows:
        asked = row.value(names["instruction"])
        if by_id or (row.value(names["id"]) is not None and asked is None):
            key = row.key(names["id"])
            example = data.find(key)
        elif (example := _of_both(row.value(names["id"]), asked, data)) is not None:
            key = example.id
        else:
            key = row.text(names["instruction"])
            example = by_instruction.get(key)
        if example is None:
            known = f"{len(data.examples)} examples, whose ids are like {data.examples[0].id!r}"
            raise row.error(f"{key[:80]!r} is not one of this benchmark's {known}")
        items.append(example)
    return items


def attempt_of(row: FileRow, name: str = "attempt") -> int:
    """Which of several answers to an item a row is about, from 0; 0 where it does not say."""
    value = row.value(name)
    if row.cells and isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value)
    count = 0 if value is None else count_of(value)
    if count is None or count > MOST_ATTEMPTS:
        raise row.error(f"{name!r} must be a whole number from 0, found {value!r:.40}")
    return count


def repeated(examples: Iterable[Example], count: int) -> tuple[Example, ...]:
    """The examples as ``--repeats`` makes them, with the repeats of each in sequence."""
    return tuple(example.repeated(number) for example in examples for number in range(count))


def require_one_answer(found: Imported, path: str) -> None:
    """Raise :class:`UsageError` for a file with several answers to an item, where others are compared with one."""
    if found.repeats > 1:
        raise UsageError(
            f"{path} holds {found.repeats} answers to each item, and answers are compared with one; keep one of each "
            "item's"
        )


def _attempts(rows: Sequence[FileRow], items: Sequence[Example], name: str) -> tuple[list[Example], int]:
    """The example that each row answers, one for each attempt at an item, and the number of attempts at each.

    A file without two rows on an item, or without the field, has one answer to each, whatever it counts there.
    """
    by_item: dict[str, list[tuple[int, FileRow]]] = {}
    if len({item.id for item in items}) == len(items) or all(row.value(name) is None for row in rows):
        return list(items), 1
    attempts = [attempt_of(row, name) for row in rows]
    for row, item, attempt in zip(rows, items, attempts, strict=True):
        by_item.setdefault(item.id, []).append((attempt, row))
    count = max(map(len, by_item.values()))
    for item_id, own in by_item.items():
        said = sorted(attempt for attempt, _ in own)
        if said != list(range(count)):
            numbers = ", ".join(map(str, said[:MOST_SAID])) + (", …" if len(said) > MOST_SAID else "")
            raise own[0][1].error(
                f"every item needs the same number of attempts, numbered from 0: {name!r} of {item_id[:80]!r} is "
                f"{numbers}, where 0 to {count - 1} are wanted"
            )
    return [item.repeated(attempt) for item, attempt in zip(items, attempts, strict=True)], count


def _of_both(key: object, asked: object, data: TaskData) -> Example | None:
    """The example of an id, if its question is the one that the row holds: a text, or a list of the turns' texts."""
    example = data.find(str(key)) if isinstance(key, str | int) else None
    first = asked[0] if isinstance(asked, list) and asked else asked
    return example if example is not None and first in (question_of(example), example.instruction) else None


def _require_fields(rows: Sequence[FileRow], names: Mapping[str, str]) -> None:
    """Raise :class:`~judgebench.errors.RecordError` if no row says which example it answers."""
    if any(names[ours] in row.fields for row in rows for ours in ("id", "instruction")):
        return
    guessed = {ours: _guess(rows[0], ours) for ours in ("id", "output")}
    flags = ",".join(f"{ours}={theirs or '…'}" for ours, theirs in guessed.items() if names[ours] not in rows[0].fields)
    raise rows[0].misshapen(
        f"each row of a file of answers needs {names['output']!r}, and {names['id']!r} or {names['instruction']!r} "
        f"(the question's text); {names['generator']!r} may name the model. The fields of this row are: "
        f"{rows[0].names}. Say what they are called here with --fields {flags}"
    )


def _named(row: FileRow, names: Mapping[str, str]) -> str:
    """What a row calls the item that it answers."""
    value = row.value(names["id"])
    return str(row.value(names["instruction"]) if value is None else value)[:80]


def _guess(row: FileRow, ours: str) -> str | None:
    """What a row calls one of our fields, if it is one of the usual names."""
    return next((name for name in USUAL.get(ours, ()) if name in row.fields), None)


def text_answers(model: str, texts: Mapping[str, str]) -> dict[str, Generation]:
    """Make a model's answers of one turn each, by example id."""
    return {key: Generation(example_id=key, model=model, outputs=(text,)) for key, text in texts.items()}


def blank_answers(examples: Iterable[Example], *, references: bool) -> list[dict[str, Any]]:
    """Rows of a file of answers with everything but the answer: a list of turns where there are several."""
    return [
        {
            "id": example.id,
            "instruction": _of_turns((question_of(example), *example.followups)),
            **({"references": list(example.references)} if references else {}),
            "output": None if not example.followups else [None] * (1 + len(example.followups)),
        }
        for example in examples
    ]


def question_of(example: Example) -> str:
    """The item's own question, without worked examples that all items share."""
    own = example.meta.get("question")
    return own if isinstance(own, str) else example.instruction


def _of_turns(texts: Sequence[str]) -> Any:
    return texts[0] if len(texts) == 1 else list(texts)


def failed_answer(example: Example, model: str = "") -> Generation:
    """The record of an answer that a file names but does not have."""
    return Generation(example_id=example.id, model=model, outputs=(), error="there is no answer in the imported file")


def failure_notes(rows: Sequence[FileRow], what: str = "answers", answered: int = 0) -> tuple[str, ...]:
    """Notes on rows that lack something; ``answered`` of their examples have it in another row."""
    if not rows:
        return ()
    besides = f"; another row answers {answered} of these examples" if answered else ""
    return (f"{what} missing in the file: {len(rows)} (null, NaN or empty: {where(rows)}{besides})",)


def parse_fields(given: Mapping[str, str]) -> dict[str, str]:
    """Check ``--fields``, a file's names of our fields; raise a :class:`UsageError` for a wrong one."""
    for name, theirs in given.items():
        if name not in FIELDS or not theirs:
            raise UsageError(
                f"--fields {name}={theirs}: write one of our names, {', '.join(FIELDS)}, on the left and the file's "
                f"name for it on the right, as in id=key,output=response"
            )
    return dict(given)


def turns_of(row: FileRow, value: Any, field: str, example: Example) -> tuple[str, ...] | None:
    """A row's outputs, one per turn of the example; ``None`` if any of them is missing.

    Raises :class:`~judgebench.errors.RecordError` for anything else.
    """
    if value is None or (isinstance(value, list) and (not value or None in value)):
        return None
    if not isinstance(value, list):
        value = [row.text(field)]
    if not all(isinstance(turn, str) for turn in value):
        raise row.error(f"{field!r} must be a string, or a list of strings with one per turn")
    turns = 1 + len(example.followups)
    if len(value) != turns:
        raise row.error(f"{field!r} has {len(value)} of the {turns} turns of example {example.id}")
    return tuple(value)


def import_answers(
    rows: Sequence[FileRow], data: TaskData, fields: Mapping[str, str] = NO_FIELDS
) -> tuple[Imported, ...]:
    """Import the format ``outputs``."""
    return (read_answers(rows, data, fields),)
