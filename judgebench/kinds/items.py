"""Makes examples of the rows of a prompts file: json, jsonl, csv or parquet, with any names for our fields."""

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from judgebench.data.rows import FileRow, inside, text_or_none
from judgebench.display import did_you_mean
from judgebench.judges.slot_prompts import SlotPrompt
from judgebench.kinds.task_files import STARTER_ITEMS, TaskFile, Variants
from judgebench.records import Example, Message
from judgebench.task import Fetch

COLUMN = "column:"
"""Begins the name of a text that is a column of the prompts."""
FIELDS = {
    "id": "the item's id; the number of its row, from 0, by default",
    "item": "what items share that belong together, such as one question in several languages; by default nothing",
    "instruction": "what the model is asked",
    "messages": "instead of the instruction: a conversation, whose last message is the user's",
    "system": "a system message before the instruction",
    "followups": "a list of later user turns",
    "category": "a group of the item",
    "tags": "a list of further groups, such as theme:hedging",
    "reference": "a reference answer, or a list with one for each turn",
    "label": "the label that is right, or a list of what several people said; of options, which of them are right",
    "completion": "with [ask]: an answer that the row holds, which ends the conversation that is shown",
    "options": "a list of answers to choose from",
    "option_names": "what the options are called, if not A, B, C, …",
    "criteria": "a list of criteria: texts, or tables with text, points, tags and id",
    "criteria.text": "what the criteria's tables call their text",
    "criteria.points": "what they call their points",
    "criteria.tags": "what they call their tags",
    "wanted": "the verdict that meets the criteria, yes or no; yes by default",
    "chain": "of a rubric with levels: the chain of requests that the item belongs to",
    "level": "of a rubric with levels: its place in the chain, from 1; an item of level 0 is shown but not asked",
    "rule": "of a rubric with levels: the rule that decides about the answer in place of the judge",
}
"""Our names of the fields of a row, with what each is."""


class Criterion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an answer should do, or with negative points should not do."""

    text: str
    id: str = ""
    """By which verdicts made elsewhere may name it."""
    points: float = 1.0
    tags: tuple[str, ...] = ()
    wanted: bool = True
    """The verdict that meets it."""
    entry: dict[str, Any] = {}
    """The whole table as the prompts have it, if it is shown to the judge."""


More = Callable[[FileRow, Mapping[str, str]], Mapping[str, Any]]
"""Reads further entries of an example's ``meta`` in its row; the mapping has the rows' names of our fields."""


def read_examples(
    file: TaskFile,
    fetch: Fetch,
    *,
    starter: bool,
    columns: Iterable[str] = (),
    more: More = lambda row, names: {},
) -> tuple[Example, ...]:
    """The items as examples. ``columns`` are further columns to keep, whose names are the file's.

    Raises :class:`~judgebench.errors.UsageError` for a wrong key ``fields``, and
    :class:`~judgebench.errors.RecordError`, which names the line, for a row that is not an item.
    """
    return tuple(example for _, example in read_items(file, fetch, starter=starter, columns=columns, more=more))


def read_items(
    file: TaskFile,
    fetch: Fetch,
    *,
    starter: bool,
    columns: Iterable[str] = (),
    more: More = lambda row, names: {},
    given: Sequence[FileRow] | None = None,
) -> list[tuple[FileRow, Example]]:
    """As :func:`read_examples`, each with its row; of the rows ``given``, if they are not the prompts'."""
    names = field_names(file)
    rows = (file.rows(fetch) if given is None else given)[: STARTER_ITEMS if starter else None]
    rows = [_with_parts(row, names.values()) for row in rows]
    kept = (*file.keys.groups, *columns)
    examples = tuple(_example(row, str(number), names, kept, more) for number, row in enumerate(rows))
    if (question := file.question(fetch)) is not None:
        examples = tuple(_asked(row, one, names, question) for row, one in zip(rows, examples, strict=True))
    seen: dict[str, FileRow] = {}
    for example, row in zip(examples, rows, strict=True):
        if (first := seen.setdefault(example.id, row)) is not row:
            raise row.error(f"the id {example.id[:80]!r} is that of {first.place}, too; each item has its own")
    pairs = list(zip(rows, examples, strict=True))
    return pairs if file.keys.variants is None else _varied(pairs, file.keys.variants)


def _with_parts(row: FileRow, names: Iterable[str]) -> FileRow:
    """The row, with columns for the parts of columns that are named by a path, such as ``choices.text``."""
    parts = {
        name: inside(row.fields, *(int(key) if key.isdigit() else key for key in name.split(".")))
        for name in names
        if "." in name and name not in row.fields
    }
    return msgspec.structs.replace(row, fields={**row.fields, **parts}) if parts else row


def _varied(pairs: Iterable[tuple[FileRow, Example]], variants: Variants) -> list[tuple[FileRow, Example]]:
    """The examples in their forms, which belong together: ``7-1``, ``7-2``, …"""
    found = []
    for row, example in pairs:
        texts = _listed(row, variants.column) or []
        if not texts or not all(isinstance(text, str) for text in texts):
            raise row.error(f"{variants.column!r} must be a list of texts, which stand for {variants.slot} one by one")
        *before, last = example.messages
        for number in range(variants.count):
            content = last.content.replace(variants.slot, texts[number % len(texts)])
            messages = (*before, msgspec.structs.replace(last, content=content))
            form = {"id": f"{example.id}-{number + 1}", "item": example.id, "repeat": number, "messages": messages}
            found.append((row, msgspec.structs.replace(example, **form)))
    return found


def field_names(file: TaskFile) -> dict[str, str]:
    """The prompts' names of our fields; raise :class:`~judgebench.errors.UsageError` for a wrong key ``fields``."""
    names = {name: name.rpartition(".")[2] for name in FIELDS}
    for ours, theirs in file.keys.fields.items():
        if ours not in FIELDS:
            raise file.fault(
                f"fields.{ours}", f"is not one of our fields{did_you_mean(ours, FIELDS)}; there are {', '.join(FIELDS)}"
            )
        names[ours] = theirs
    names["item"] = file.keys.fields.get("item", "")
    names["part"] = file.keys.part if isinstance(file.keys.prompts, dict) else ""
    return names


def criteria_texts(row: FileRow, names: Mapping[str, str]) -> tuple[str, ...]:
    """The texts of a row's criteria, in their order."""
    return tuple(one["text"] for one in _criteria(row, names)) if row.value(names["criteria"]) is not None else ()


def _example(row: FileRow, number: str, names: Mapping[str, str], kept: Iterable[str], more: More) -> Example:
    return Example(
        id=_id(row, number, names),
        item=None if row.value(names["item"]) is None else row.key(names["item"]),
        messages=_messages(row, names),
        followups=texts_of(row, names["followups"]),
        references=texts_of(row, names["reference"]),
        meta={
            **({"category": _short(row, names["category"])} if row.value(names["category"]) is not None else {}),
            **({"label": _label(row, names["label"])} if row.value(names["label"]) is not None else {}),
            **({"tags": list(texts_of(row, names["tags"]))} if row.value(names["tags"]) is not None else {}),
            **({"criteria": _criteria(row, names)} if row.value(names["criteria"]) is not None else {}),
            **{name: row.value(name) for name in kept if row.value(name) is not None},
            **more(row, names),
        },
    )


def _id(row: FileRow, number: str, names: Mapping[str, str]) -> str:
    """The id of a row: its own, of one of several files with the key of that file, or its number."""
    if row.value(names["id"]) is None:
        return number
    part = row.value(names["part"])
    return row.key(names["id"]) + ("" if part is None else f"-{part}")


def _asked(row: FileRow, example: Example, names: Mapping[str, str], question: SlotPrompt) -> Example:
    """The example, asked in a published prompt with texts of its row in the slots."""
    said = [*example.messages]
    said += [Message(role="assistant", content=text) for text in texts_of(row, names["completion"])[:1]]
    texts = {"conversation": transcript(said), "instruction": example.instruction}
    for name in sorted(question.names - set(texts)):
        if not name.startswith(COLUMN) or not isinstance(row.value(name.removeprefix(COLUMN)), str):
            raise row.error(f"the slots of [ask] hold conversation, instruction or column:NAME of a text, not {name!r}")
        texts[name] = row.text(name.removeprefix(COLUMN))
    return msgspec.structs.replace(example, messages=question.messages(texts))


def transcript(messages: Iterable[Message]) -> str:
    """Messages as text, one paragraph for each: its role, and what it says."""
    return "\n\n".join(f"{message.role}: {message.content}" for message in messages)


def _messages(row: FileRow, names: Mapping[str, str]) -> tuple[Message, ...]:
    given = _listed(row, names["messages"])
    if given is not None:
        try:
            messages = tuple(msgspec.convert(given, list[Message]))
        except msgspec.ValidationError as error:
            raise row.error(f"{names['messages']!r} is no conversation: {error}") from error
        if not messages or messages[-1].role != "user":
            raise row.error(f"{names['messages']!r} must end with a message of the user")
    elif names["instruction"] not in row.fields:
        raise row.error(
            f"a prompt needs {names['instruction']!r} or {names['messages']!r}, and this row has {row.names}. Say what "
            'it is called here with fields = { instruction = "…" }'
        )
    else:
        messages = (Message(role="user", content=row.text(names["instruction"])),)
    system = row.value(names["system"])
    return (Message(role="system", content=row.text(names["system"])), *messages) if system is not None else messages


def _listed(row: FileRow, name: str) -> list[Any] | None:
    """A list; in a table of text cells, as JSON. ``None`` if there is none."""
    value = row.value(name)
    if row.cells and isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise row.error(f"{name!r} must hold a list as JSON: {error}") from error
    if value is None or isinstance(value, list):
        return value
    raise row.error(f"{name!r} must be a list")


def texts_of(row: FileRow, name: str) -> tuple[str, ...]:
    """A text, or a list of texts."""
    value = row.value(name)
    if isinstance(value, str) and not (row.cells and value.startswith("[")):
        return (value,)
    found = _listed(row, name) or []
    if not all(isinstance(text, str) for text in found):
        raise row.error(f"{name!r} must be a text or a list of texts")
    return tuple(found)


def _short(row: FileRow, name: str) -> str:
    value = row.value(name)
    return value if isinstance(value, str) else str(row.key(name))


def _label(row: FileRow, name: str) -> Any:
    """A label, or a list of labels as it is."""
    value = row.value(name)
    if row.cells and isinstance(value, str) and value.startswith("["):
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(value)
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, list) else _short(row, name)


def _criteria(row: FileRow, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """The criteria of an item, as plain data; a text is the only one."""
    name, wanted = names["criteria"], _wanted(row, names["wanted"])
    value = row.value(name)
    if isinstance(value, str) and not (row.cells and value.startswith("[")):
        return [msgspec.to_builtins(Criterion(text=value, wanted=wanted))]
    ours = {names[f"criteria.{own}"]: own for own in ("text", "points", "tags")} | {"id": "id"}
    found = []
    for one in _listed(row, name) or []:
        table = {"text": one} if text_or_none(one) else one
        if isinstance(table, dict) and ours.keys() != set(ours.values()):
            table = {ours[key]: given for key, given in table.items() if key in ours} | {"entry": one}
        found.append({"wanted": wanted, **table} if isinstance(table, dict) else table)
    try:
        return msgspec.to_builtins(msgspec.convert(found, list[Criterion]))  # type: ignore[no-any-return]
    except msgspec.ValidationError as error:
        raise row.error(f"{name!r} is no list of criteria with text, id, points and tags: {error}") from error


def _wanted(row: FileRow, name: str) -> bool:
    value = row.value(name)
    if value is None or isinstance(value, bool):
        return value is not False
    if isinstance(value, str) and value.strip().lower() in ("yes", "no"):
        return value.strip().lower() == "yes"
    raise row.error(f"{name!r} must be yes or no, found {value!r:.40}")


def groups_of(columns: Sequence[str], example: Example) -> tuple[str, ...]:
    """The groups of an example: its category, its tags, and the columns that the file names."""
    meta = example.meta
    plain = [f"category={meta['category']}"] if "category" in meta else []
    named = [f"{name}={meta[name]}" for name in columns if name in meta]
    return tuple(dict.fromkeys([*plain, *map(tag_group, meta.get("tags", ())), *named]))


def tag_group(tag: str) -> str:
    """The group of a tag.

    >>> tag_group("theme:hedging"), tag_group("hard")
    ('theme=hedging', 'tag=hard')
    """
    key, colon, value = tag.partition(":")
    return f"{key.strip()}={value.strip()}" if colon and key.strip() else f"tag={tag.strip()}"
