"""Official numbers of published models, which bridges lead to: a published table, or a table of the user's."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from judgebench.analysis.leaderboard import known_task
from judgebench.analysis.published import of_same_table, published_rows
from judgebench.codec import sha256_hex
from judgebench.data.resources import resource
from judgebench.data.rows import MAX_FILE_BYTES, FileRow, read_rows
from judgebench.display import shortened
from judgebench.errors import UsageError
from judgebench.files import read_bytes
from judgebench.models.opening import model_name, parse_model
from judgebench.models.trained_by import NO_VENDORS, Vendors, vendor_of
from judgebench.run.bridge_files import OfficialJudge
from judgebench.run.run_tasks import NO_FILES
from judgebench.task import Task
from judgebench.task.metric import ABOUT_A_METRIC

PUBLISHED = "published"
MOST_SHOWN = 12
Numbers = Mapping[str, Mapping[str, float]]
"""A number of each metric by model."""


@dataclass(frozen=True)
class OfficialTable:
    """What the official judge said of published models."""

    about: OfficialJudge
    numbers: Numbers
    stderrs: Numbers

    def of(self, *names: str) -> tuple[str, Mapping[str, float]] | None:
        """The first of these names that the table has, with its numbers."""
        return next(((name, self.numbers[name]) for name in names if name in self.numbers), None)


def official_table(given: str, task: Task, vendors: Vendors = NO_VENDORS) -> OfficialTable:
    """The table that the user names: ``published``, ``published:LABEL`` or a file.

    Raises :class:`UsageError` if there is none, or if it has no metric of the task.
    """
    kind, _, label = given.partition(":")
    if kind == PUBLISHED:
        return _published(task, label, vendors)
    return _of_file(Path(given), task, vendors)


def _published(task: Task, label: str, vendors: Vendors) -> OfficialTable:
    every = published_rows(task.name)
    rows = [row for row in every if row.task == label] if label else of_same_table(task, every)
    if not rows:
        known = ", ".join(f"published:{name}" for name in dict.fromkeys(row.task for row in every))
        has = f"; there are {known}" if known else ""
        raise UsageError(
            f"no published table is called {shortened(label, 100)!r}{has}"
            if label
            else f"no published table is of {task.label}{has or ', and none of another version'}. Name one, or give a "
            "file: --official numbers.csv with the columns model and, for each metric, its name"
        )
    judges = _judges_of(rows[0].task, task)
    about = OfficialJudge(
        judge=", ".join(judges),
        vendor=joined_vendors(judges, vendors),
        source=shortened(", ".join(dict.fromkeys(row.origin for row in rows)), 900),
        sha256=_table_hash(rows[0].task),
    )
    numbers = {row.model: {name: s.value for name, s in row.scores.items() if s.value is not None} for row in rows}
    stderrs = {row.model: {name: s.stderr for name, s in row.scores.items() if s.stderr is not None} for row in rows}
    return OfficialTable(about, numbers, stderrs)


def _judges_of(label: str, task: Task) -> tuple[str, ...]:
    """The judges behind a published table: its label may name them, or else they are the task's usual ones."""
    options = dict(option.split("=", 1) for option in label.partition(":")[2].split(",") if "=" in option)
    if "judge" in options:
        return tuple(options["judge"].split("+"))
    usual = known_task(label.partition(":")[0], NO_FILES) or task
    named = [model_name(parse_model(spec)[0]) for spec in usual.judge_models.values()]
    return tuple(dict.fromkeys(named)) or ("unknown",)


def joined_vendors(models: Iterable[str], vendors: Vendors = NO_VENDORS) -> str | None:
    """The vendors of one judge or several, in one text; ``None`` if nobody knows any."""
    return ", ".join(sorted({vendor for model in models if (vendor := vendor_of(model, vendors))})) or None


def _table_hash(label: str) -> str | None:
    """The hash of the file that holds a published table."""
    for path in sorted(resource("leaderboards").glob("*.csv")):
        data = path.read_bytes()
        if label.encode() in data:
            return sha256_hex(data)
    return None


def _of_file(path: Path, task: Task, vendors: Vendors) -> OfficialTable:
    rows = read_rows(path, "a table of official numbers")
    known = [metric.name for metric in task.metrics]
    columns = [name for name in rows[0].fields if name in known]
    if "model" not in rows[0].fields or not columns:
        raise rows[0].error(
            f"a table of official numbers has the columns model and, for each metric of {task.label}, its name "
            f"({', '.join(known)}); this one has {rows[0].names}"
        )
    numbers: dict[str, dict[str, float]] = {}
    stderrs: dict[str, dict[str, float]] = {}
    for row in rows:
        model = row.key("model").strip()
        if model in numbers:
            raise row.error(f"the model {model[:80]!r} stands there twice")
        numbers[model] = {name: value for name in columns if (value := row.number(name)) is not None}
        ends = {name: row.fields.get(name + ABOUT_A_METRIC[0]) for name in columns}
        stderrs[model] = {
            name: value
            for name, end in ends.items()
            if end not in (None, "") and (value := row.number(name + ABOUT_A_METRIC[0])) is not None
        }
    told = {name: _same(rows, name) for name in ("judge", "source", "date")}
    judges = (told["judge"],) if told["judge"] else _judges_of(task.label, task)
    about = OfficialJudge(
        judge=", ".join(judges),
        vendor=joined_vendors(judges, vendors),
        source=told["source"] or path.name,
        sha256=sha256_hex(read_bytes(path, MAX_FILE_BYTES)),
        date=told["date"],
    )
    return OfficialTable(about, numbers, stderrs)


def _same(rows: Sequence[FileRow], column: str) -> str | None:
    """What a column says of the whole table. Raises ``RecordError`` if its rows disagree."""
    said: dict[str, FileRow] = {}
    for row in rows:
        if row.value(column) is not None:
            said.setdefault(str(row.value(column)).strip(), row)
    if len(said) > 1:
        first, second = list(said)[:2]
        raise said[second].error(
            f"one table is of one {column}, and this row says {second[:80]!r} after {first[:80]!r}"
        )
    return next(iter(said), None)
