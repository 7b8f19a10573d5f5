"""The kind ``scored``: numbers that another program gave to a model's answers, to images, to simulations."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Literal

import msgspec

from judgebench.data.rows import FileRow, file_stem
from judgebench.kinds.items import groups_of, read_examples
from judgebench.kinds.scores import GroupedMeans
from judgebench.kinds.task_files import TaskFile
from judgebench.records import Example, ExampleScore, Judgement, Message, Score, Verdict
from judgebench.task import Fetch, Generations, Imported, Task, TaskData
from judgebench.task.answers import NO_FIELDS
from judgebench.task.metric import Metric, MetricSums, by_example, single_row

SCORER = "scores made elsewhere"
JUDGE = "score"
FIELDS = ("id", "score", "model", "attempt", "category")
"""Our names of the fields of a row; ``--fields`` says what they are called in a file."""
NOTHING_TO_ASK = "a benchmark of the kind scored asks no model: import its scores with --from scored"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table ``[scored]``."""

    scale: tuple[float, float] = (0.0, 1.0)
    """The least and the greatest score."""
    unit: Literal["percent", "points"] = "points"
    """``percent`` shows the scale as 0 to 100."""


def make(file: TaskFile, starter: bool) -> Task:
    """The benchmark of such a file."""
    settings = file.table(Settings)
    low, high = settings.scale
    if not low < high:
        raise file.fault("scored.scale", f"[{low:g}, {high:g}] does not go from low to high")
    percent = settings.unit == "percent"
    score = Metric(
        name="score", unit=settings.unit, bounds=None if percent else (low, high), value_of=single_row("score")
    )
    means = GroupedMeans(task=file.name, metrics=(score,), groups=partial(groups_of, file.keys.groups))

    def load(fetch: Fetch) -> TaskData:
        examples = read_examples(file, fetch, starter=starter) if file.has_prompts else ()
        return TaskData(examples=examples, baselines={}, lacks=NOTHING_TO_ASK)

    def summarise(data: TaskData, rows: Sequence[ExampleScore]) -> list[Score]:
        return means.scores(data, rows)

    def sums(examples: Sequence[Example], rows: Sequence[ExampleScore], fetch: Fetch) -> MetricSums:
        return means.sums(examples, rows)

    return Task(
        name=file.name,
        version=file.keys.version,
        options={},
        metrics=(score,),
        sampling=file.sampling,
        official_examples=len(file.local_rows) if file.keys.prompts is not None else 0,
        starter=starter,
        load=load,
        score=partial(_score, settings),
        groups=means.groups,
        summarise=summarise,
        metric_sums=sums,
        repeats=True,
        importers={"scored": partial(import_scores, settings=settings)},
        about=file.keys.about or f"Scores from {low:g} to {high:g} that another program gave.",
    )


def _score(
    settings: Settings, data: TaskData, generations: Generations, judgements: Iterable[Judgement]
) -> list[ExampleScore]:
    judged = by_example(judgements)
    (low, high), percent = settings.scale, settings.unit == "percent"
    rows = []
    for example in data.examples:
        value = next((one.verdict.value for one in judged.get(example.id, ())), None)
        shown = (value - low) / (high - low) if percent and value is not None else value
        rows.append(ExampleScore(example_id=example.id, metric="score", value=shown))
    return rows


def import_scores(
    rows: Sequence[FileRow], data: TaskData, fields: Mapping[str, str] = NO_FIELDS, *, settings: Settings
) -> tuple[Imported, ...]:
    """Read one score per row: ``{"id": …, "score": …}``; a null score is missing. Each model's rows become a run.

    ``attempt`` numbers several answers to one item. Without a file of prompts the items are those of the rows, with
    their ``category``. Raises :class:`~judgebench.errors.RecordError` for a row that is wrong or repeated.
    """
    names = {name: fields.get(name, name) for name in FIELDS}
    by_model: dict[str, list[FileRow]] = {}
    for row in rows:
        model = row.text(names["model"]) if row.value(names["model"]) is not None else file_stem(row.path) or "scores"
        by_model.setdefault(model, []).append(row)
    return tuple(_of_model(model, own, data, names, settings) for model, own in by_model.items())


def _of_model(
    model: str, rows: Sequence[FileRow], data: TaskData, names: Mapping[str, str], settings: Settings
) -> Imported:
    attempts = [_attempt(row, names["attempt"]) for row in rows]
    several = any(attempts)
    found: dict[str, tuple[Example, Judgement]] = {}
    for row, attempt in zip(rows, attempts, strict=True):
        item = _item(row, data, names)
        example = item.repeated(attempt) if several else item
        if example.id in found:
            raise row.error(f"there is a score of {example.id[:80]!r} already; of several answers give each an attempt")
        found[example.id] = example, _judgement(row, example, model, names["score"], settings)
    known = {example.item or example.id for example, _ in found.values()}
    rest = (item.repeated(0) if several else item for item in data.examples if item.id not in known)
    return Imported(
        candidate=model,
        examples=(*(example for example, _ in found.values()), *rest),
        generations=(),
        judgements=tuple(judgement for _, judgement in found.values()),
        unknown=("how the answers were sampled", "how they were scored"),
    )


def _item(row: FileRow, data: TaskData, names: Mapping[str, str]) -> Example:
    key = row.key(names["id"])
    if not data.examples:
        category = row.value(names["category"])
        meta = {} if category is None else {"category": str(category)}
        return Example(id=key, messages=(Message(role="user", content=""),), meta=meta)
    item = data.find(key)
    if item is None:
        raise row.error(f"{key[:80]!r} is not one of this benchmark's {len(data.examples)} items")
    return item


def _attempt(row: FileRow, name: str) -> int:
    number = row.number(name)
    if number is None:
        return 0
    if number < 0 or number != int(number):
        raise row.error(f"{name!r} must be a whole number from 0, found {number:g}")
    return int(number)


def _judgement(row: FileRow, example: Example, model: str, name: str, settings: Settings) -> Judgement:
    value, (low, high) = row.number(name), settings.scale
    if name not in row.fields:
        raise row.error(f"the row has no {name!r}; it has {row.names}. Say what it is called with --fields score=…")
    if value is not None and not low <= value <= high:
        raise row.error(f"{name!r} is {value:g}, and the scale goes from {low:g} to {high:g}: set [scored] scale")
    verdict = Verdict(value=value) if value is not None else Verdict(value=None, error="the file has no score")
    return Judgement(
        case_id=f"{example.id}#{JUDGE}",
        example_id=example.id,
        judge=JUDGE,
        judge_model=SCORER,
        answers=(model,),
        verdict=verdict,
    )
