"""Selects the examples of a run: ``--ids``, of those ``--where``, of those ``--limit``, each ``--repeats`` times."""

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from judgebench import tasks
from judgebench.codec import decode_json
from judgebench.data.rows import READABLE, FileRow, identifier, read_rows
from judgebench.display import printable
from judgebench.errors import RecordError, UsageError
from judgebench.files import TEXT_BYTES, as_utf8, read_bytes, read_text
from judgebench.models.opening import parse_model
from judgebench.records import Example
from judgebench.run.loading import LoadedTask, require_coverage, task_sampling
from judgebench.run.settings import Settings, baseline_of
from judgebench.task import Imported, Task
from judgebench.task.answers import repeated
from judgebench.task.selection import choose

ID_FIELDS = ("id", "example_id", "question_id", "uid", "session_id", "key")
"""Names of the column of ids in a file of rows, ours and those of the benchmarks' own files."""
MOST_NAMED = 5


def select_examples(loaded_task: LoadedTask, settings: Settings, given: Imported | None = None) -> LoadedTask:
    """Select the examples that the settings ask for, each as many times as ``--repeats`` or the ``given`` answers say.

    Raises :class:`UsageError` if nothing is left, or a baseline lacks too many of them.
    """
    examples = data = loaded_task.data.examples
    if settings.ids is not None:
        examples = _listed(loaded_task, settings.ids)
    if settings.where:
        examples = _in_groups(loaded_task, examples, settings)
    if settings.limit is not None:
        examples = examples[: count_of(settings.limit, len(examples))]
    task = loaded_task.task
    narrowed = "".join(f", {name}={task.options[name]}" for name in task.narrowed_by.values() if name in task.options)
    if examples != data or narrowed:
        flags = _flags(loaded_task, settings)
        part = f"{len(examples):,} of {len(data):,} examples{narrowed}" + (f" ({flags})" if flags else "")
        loaded_task = dataclasses.replace(loaded_task.with_examples(examples), selection=part)
    for name in loaded_task.baselines:
        place = baseline_of(settings, loaded_task.key)
        what = f"the baseline {name}" + (f" of {place}" if place else "")
        require_coverage(loaded_task, loaded_task.data.baselines[name], what)
    if given is not None:
        return _with_repeats(loaded_task, given.repeats) if given.repeats > 1 else loaded_task
    return _repeated(loaded_task, settings) if settings.repeats > 1 else loaded_task


def count_of(limit: float, total: int) -> int:
    """How many examples a limit means: below 1 it is a share, rounded up.

    As in lm-eval 0.4.13, ``lm_eval/evaluator_utils.py:get_sample_size``.
    """
    return math.ceil(total * limit) if limit < 1 else int(limit)


def _flags(loaded_task: LoadedTask, settings: Settings) -> str:
    where = tasks.read_selection(settings.where, "--where").of_task(loaded_task.task.name, loaded_task.task.label)
    flags = [f"--ids {settings.ids.name}"] if settings.ids is not None else []
    flags += [f"--where {clause.text}" for clause in where.clauses]
    flags += [f"--limit {settings.limit:g}"] if settings.limit is not None else []
    return printable(" ".join(flags), 300)


def _in_groups(loaded_task: LoadedTask, examples: tuple[Example, ...], settings: Settings) -> tuple[Example, ...]:
    """The examples that ``--where`` selects. If it selects first turns only, a model is not asked the later ones."""
    task = loaded_task.task
    chosen = choose(tasks.read_selection(settings.where, "--where"), task, loaded_task.data.examples)
    found = tuple(example for example in examples if chosen.keeps(example))
    if not found:
        raise UsageError(
            f"--where {printable(' --where '.join(settings.where), 300)} leaves no example of {task.label}: no example "
            "fits all keys at once. Values of one key are alternatives (category=math,coding); different keys narrow"
        )
    unasked = settings.model is not None and parse_model(settings.model, settings.model_args)[0].backend.finished
    if "turn" not in chosen.wanted or unasked:
        return found
    last = max(map(int, chosen.wanted["turn"]))
    return tuple(msgspec.structs.replace(example, followups=example.followups[: last - 1]) for example in found)


def _listed(loaded_task: LoadedTask, path: Path) -> tuple[Example, ...]:
    """The examples whose ids a file lists. Raises :class:`UsageError`, which names the others."""
    try:
        keys = dict.fromkeys(_ids_of(path, loaded_task.task))
    except OSError as error:
        raise UsageError(f"--ids {path} cannot be read: {error}") from error
    found = {key: loaded_task.data.find(key) for key in keys}
    unknown = [key for key, example in found.items() if example is None]
    if unknown:
        more = len(unknown) - MOST_NAMED
        told = ", ".join(printable(key, 80) for key in unknown[:MOST_NAMED]) + (
            f" and {more:,} more" if more > 0 else ""
        )
        like = ", ".join(example.id for example in loaded_task.data.examples[:2])
        raise UsageError(
            f"--ids {path} names examples that do not exist: {told}; ids of {loaded_task.task.label} look like {like}"
        )
    wanted = {example.id for example in found.values() if example is not None}
    if not wanted:
        raise UsageError(f"--ids {path} holds no id of {loaded_task.task.label}; write one id per line")
    return tuple(example for example in loaded_task.data.examples if example.id in wanted)


def _ids_of(path: Path, task: Task) -> Iterator[str]:
    """The ids in a file: one per line or, by the file's ending, a list, or rows with a column of ids.

    Rows that name another task in a column ``task`` are skipped.
    """
    if not path.name.removesuffix(".gz").endswith(READABLE):
        yield from filter(None, map(str.strip, read_text(path).splitlines()))
        return
    listed = _json_list(path)
    if listed is not None:
        yield from listed
        return
    for row in read_rows(path, "a list of ids"):
        if row.value("task") in (None, task.name, task.label):
            yield _id_of(row)


def _json_list(path: Path) -> list[str] | None:
    """The ids of a JSON list of texts or numbers; ``None`` if the file is anything else.

    Raises :class:`UsageError` for a list that also holds something else.
    """
    if path.suffix != ".json":
        return None
    try:
        values = decode_json(as_utf8(read_bytes(path, TEXT_BYTES)), list[Any])
    except ValueError:
        return None
    wrong = [place for place, value in enumerate(values, 1) if type(value) not in (str, int, float)]
    if values and len(wrong) == len(values):
        return None
    if wrong:
        raise UsageError(
            f"--ids {path} is a list of ids, and entry {wrong[0]} of it is {json.dumps(values[wrong[0] - 1])[:80]}; "
            "write every entry as a text or a number"
        )
    return [identifier(value) or str(value) for value in values]


def _id_of(row: FileRow) -> str:
    try:
        return row.key(*(name for name in ID_FIELDS if name in row.fields))
    except (RecordError, StopIteration) as error:
        raise row.error(
            f"a list of ids was expected, with an id in a column {' or '.join(ID_FIELDS)}; the row's fields are: "
            f"{row.names}"
        ) from error


def _repeated(loaded_task: LoadedTask, settings: Settings) -> LoadedTask:
    """Repeat each example as often as ``--repeats`` says, with its repeats in sequence.

    Raises :class:`UsageError` if all answers to an example would be equal, or the task has no use for several.
    """
    if not loaded_task.task.repeats:
        raise UsageError(
            f"--repeats {settings.repeats}: {loaded_task.task.label} has no metric over several answers to one item"
        )
    for example in loaded_task.data.examples:
        sampling = example.sampling or task_sampling(loaded_task, settings)
        if not sampling.temperature:
            raise UsageError(
                f"--repeats {settings.repeats} asks {loaded_task.task.label} at temperature 0, where all answers to an "
                "item are equal; give a temperature, such as --gen temperature=0.7"
            )
    return _with_repeats(loaded_task, settings.repeats)


def _with_repeats(loaded_task: LoadedTask, count: int) -> LoadedTask:
    return loaded_task.with_examples(repeated(loaded_task.data.examples, count))
