"""Published scores, computed again from the judgements behind them: what ``judgebench selftest`` finds out.

Two things are computed. ``leaderboards/selftest`` and ``leaderboards/verdicts`` hold what was published of single
items, as numbers: from these every score is summarised as that of a run is. ``leaderboards/selftest/files.toml`` names
whole files of published answers or judgements; those that are in a mirror are imported, verified and scored as
``judgebench import`` does it. Nothing is downloaded.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from judgebench import tasks
from judgebench.analysis.leaderboard import LeaderboardRow
from judgebench.analysis.published import published_rows
from judgebench.analysis.published_verdicts import verdicts_of
from judgebench.codec import read_json
from judgebench.data.resources import resource
from judgebench.data.sources import Source
from judgebench.display import did_you_mean, figure
from judgebench.errors import SourceMissing, UsageError
from judgebench.exchange.importing import import_run
from judgebench.files import read_bytes, read_toml
from judgebench.records import Example, ExampleScore, Score
from judgebench.run.loading import source_finder
from judgebench.run.settings import Settings
from judgebench.task import Task

Value = float | str | None
Values = tuple[Value, ...] | Value
"""One for each row or item, or one for all of them."""
LONGEST = 2**20
"""Bytes of the largest table that ships."""


class Explained(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a number of ours need not be the published one."""

    within: float
    """How far it may be from it, in the metric's unit."""
    why: str


class PublishedModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was published of one model."""

    published: dict[str, float]
    """Its scores by metric."""
    source: str
    values: tuple[float | None, ...]
    """Example scores: those of all items by the first metric of the file, then those by the next one."""
    weights: tuple[float, ...] = ()


class PublishedItems(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of ``leaderboards/selftest``; ``scripts/make_selftest_numbers.py`` makes them."""

    task: str
    """As ``--tasks`` takes it."""
    about: str = ""
    """What is published, where it is no table of ``leaderboards``."""
    table: str = ""
    """The published table, if its name is not that of the task."""
    of_table: tuple[str, ...] = ()
    """The models whose verdicts are in ``leaderboards/verdicts``, and whose scores are in the published table."""
    compared: tuple[str, ...] = ()
    """The metrics of these models."""
    metrics: tuple[str, ...] = ()
    """Names of the example scores of the file's own models."""
    items: tuple[str, ...] = ()
    models: dict[str, PublishedModel] = {}
    meta: dict[str, Values] = {}
    """What the task's groups need to know of the items."""
    known: dict[str, Values] = {}
    """Covariates of the example scores, apart from those in ``leaderboards/verdicts``."""
    explained: dict[str, Explained] = {}


class PublishedFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, eq=False):
    """An entry of ``files.toml``: a file of published answers or judgements, found in a mirror by its content."""

    task: str
    model: str
    form: str
    """As ``judgebench import --from`` takes it."""
    fields: dict[str, str] = {}
    published: dict[str, float]
    source: str
    """Where it, and these scores of it, were published."""
    name: str
    sha256: str
    bytes: int


class _FileList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    file: list[PublishedFile]


class Recomputed(msgspec.Struct, frozen=True, kw_only=True):
    """One score of ours beside the published one."""

    task: str
    metric: str
    model: str
    ours: Score
    published: float
    source: str
    whole_file: bool = False
    """Whether it was computed from the published file itself, and not from the numbers that ship."""
    explained: Explained | None = None

    @property
    def equal(self) -> bool:
        """Whether both are printed alike."""
        return figure(self.ours.value, self.ours.unit) == figure(self.published, self.ours.unit)

    @property
    def why(self) -> str | None:
        """Why they differ; ``None`` if they are equal, or if it is not known, so that it is a fault."""
        by_rule = self.ours.by_upstream.value
        rule = self.explained
        if self.equal or rule is None or by_rule is None or not abs(by_rule - self.published) <= rule.within:
            return None
        upstream = self.ours.upstream
        return "; ".join([*([upstream.reason] if upstream and upstream.reason else []), rule.why])


@dataclass(frozen=True)
class SelfTest:
    """Everything that was computed, and what could not be."""

    rows: tuple[Recomputed, ...]
    abouts: Mapping[str, str]
    """By task, what is published of it, where it is no table of ``leaderboards``."""
    absent: Mapping[PublishedFile, str]
    """Published files that are in no mirror, or without the official files that they are read with; and which."""
    nothing: tuple[str, ...]
    """Benchmarks of which nothing could be computed."""

    @property
    def summary(self) -> str:
        """In a line, how many are the published ones."""
        equal = sum(row.equal for row in self.rows)
        return f"{equal} of {len(self.rows)} numbers are the published ones, to the digit"

    @property
    def faults(self) -> tuple[Recomputed, ...]:
        """The scores that differ, and nobody knows why."""
        return tuple(row for row in self.rows if not row.equal and row.why is None)


def selftest(settings: Settings) -> SelfTest:
    """Compute published scores of the settings' tasks, or of all, with what ships and what is in the mirrors."""
    wanted = [spec.name for spec in tasks.parse_specs(settings.tasks)] if settings.tasks else tasks.names()
    for name in wanted:
        if name not in tasks.names():
            raise UsageError(f"no task is called {name!r}{did_you_mean(name, tasks.names())}; name a bundled one")
    own = [file for file in shipped() if task_name(file.task) in wanted]
    rows = [row for file in own for row in recomputed(file)]
    absent: dict[PublishedFile, str] = {}
    for whole in _files():
        if task_name(whole.task) in wanted:
            try:
                rows += _from_file(whole, settings)
            except SourceMissing as missing:
                absent[whole] = str(missing)
    here = {task_name(row.task) for row in rows}
    return SelfTest(
        rows=tuple(sorted(rows, key=lambda row: task_name(row.task))),
        abouts={file.task: file.about for file in own if file.about},
        absent=absent,
        nothing=tuple(name for name in wanted if name not in here),
    )


def task_label(spec: str) -> str:
    """A task's name and version without options."""
    return spec.partition(":")[0]


def task_name(spec: str) -> str:
    """A task's name alone."""
    return task_label(spec).partition("@")[0]


def shipped() -> list[PublishedItems]:
    """The files of ``leaderboards/selftest``, in the order of the tasks."""
    return [read_json(path, PublishedItems) for path in sorted(_folder().glob("*.json"))]


def recomputed(file: PublishedItems, models: Sequence[str] = ()) -> Iterator[Recomputed]:
    """The scores of a file's models, or of some of them."""
    (spec,) = tasks.parse_specs(file.task)
    task, _ = tasks.load(spec)
    label = file.table or task_label(file.task)
    table = {row.model: row for row in published_rows(label) if row.task == label} if file.of_table else {}
    for model in models or (*file.of_table, *file.models):
        row = table.get(model)
        examples, rows, published, source = _own(file, model) if row is None else _of_table(file, row)
        found = _scored(task, examples, rows)
        for metric, value in published.items():
            yield Recomputed(
                task=file.task,
                metric=metric,
                model=model,
                ours=found[metric],
                published=value,
                source=source,
                explained=file.explained.get(metric),
            )


def _scored(task: Task, examples: Sequence[Example], rows: Sequence[ExampleScore]) -> dict[str, Score]:
    scores = task.scores(task.bare_data(examples, partial(_shipped_file, task.name)), rows)
    return {score.metric: score for score in scores if score.group is None}


def _shipped_file(task: str, name: str) -> bytes:
    """An official file of which the numbers ship."""
    path = _folder() / f"{task}.{name}.csv"
    if not path.is_file():
        raise SourceMissing(f"the numbers of the official file {name} of {task} are not among what ships")
    return read_bytes(path, LONGEST)


Table = tuple[list[Example], list[ExampleScore], dict[str, float], str]
"""Examples, their scores, the published numbers and where they were published."""


def _of_table(file: PublishedItems, published: LeaderboardRow) -> Table:
    """A model of ``leaderboards/verdicts``. An item without a verdict is a row that upstream's file lacks."""
    verdicts = verdicts_of(task_label(file.task))
    assert verdicts is not None, f"leaderboards/verdicts has no file of {file.task}"
    own = verdicts.models[published.model]
    rows = [
        ExampleScore(
            example_id=item,
            metric=verdicts.metric,
            value=value,
            weight=own.weights[place] if own.weights else 1.0,
            covariates={
                **{name: values[place] for name, values in own.covariates.items()},
                **_at(file.known, place),
            },
        )
        for place, (item, value) in enumerate(zip(verdicts.items, own.values, strict=True))
        if value is not None
    ]
    examples = [Example(id=item, messages=(), meta=_at(file.meta, place)) for place, item in enumerate(verdicts.items)]
    numbers = {name: published.scores[name].value for name in file.compared}
    return examples, rows, {name: value for name, value in numbers.items() if value is not None}, published.origin


def _own(file: PublishedItems, model: str) -> Table:
    own = file.models[model]
    cells = [(metric, item) for metric in file.metrics for item in file.items]
    rows = [
        ExampleScore(
            example_id=item,
            metric=metric,
            value=value,
            weight=own.weights[place] if own.weights else 1.0,
            covariates=_at(file.known, place),
        )
        for place, ((metric, item), value) in enumerate(zip(cells, own.values, strict=True))
    ]
    examples = [Example(id=item, messages=(), meta=_at(file.meta, place)) for place, item in enumerate(file.items)]
    return examples, rows, own.published, own.source


def _at(given: Mapping[str, Values], place: int) -> dict[str, Value]:
    return {name: value[place] if isinstance(value, tuple) else value for name, value in given.items()}


def _folder() -> Path:
    return resource("leaderboards") / "selftest"


# -- whole files


@cache
def _files() -> tuple[PublishedFile, ...]:
    return tuple(msgspec.convert(read_toml(_folder() / "files.toml", "the list of published files"), _FileList).file)


def _from_file(file: PublishedFile, settings: Settings) -> list[Recomputed]:
    """The scores of a published file. Raises :class:`SourceMissing` if it, or an official file, is not here."""
    about = f"the published file {file.name} of {file.model}"
    source = Source(
        name=about, url=file.source, revision="", path=file.name, sha256=file.sha256, bytes=file.bytes, licence=""
    )
    data, _ = source_finder(replace(settings, offline=True)).fetch(source)
    with TemporaryDirectory() as folder:
        path = Path(folder) / file.name
        path.write_bytes(data)
        out = Path(folder) / "run"
        asked = replace(settings, tasks=file.task, fields=file.fields, out=out, offline=True)
        imports = import_run(path, file.form, asked)
    # A file of answers need not say whose they are.
    one = next((made for made in imports if made.model == file.model), imports[0])
    found = {score.metric: score for score in one.scores if score.group is None}
    same_table = (own.explained for own in shipped() if task_label(own.task) == task_label(file.task))
    explained = next(same_table, {})
    return [
        Recomputed(
            task=file.task,
            metric=metric,
            model=file.model,
            ours=found[metric],
            published=value,
            source=file.source,
            whole_file=True,
            explained=explained.get(metric),
        )
        for metric, value in file.published.items()
    ]
