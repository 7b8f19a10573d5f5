"""Published tables (``leaderboards/*.csv``): their rows, and which runs may stand among them.

A run stands among the rows of a published table if it was evaluated as they were: by the official judge and prompt,
against the benchmark's own baseline, on the whole set. It is then placed by its number by upstream's rule, which made
the published numbers. Any other run has a table of its own, beside which the published value of a model of its name
stands.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from judgebench.analysis.leaderboard import Group, LeaderboardRow, Table, known_task, value_of
from judgebench.data.csv_cells import read_csv_table
from judgebench.data.resources import resource
from judgebench.records import Score, TaskCode
from judgebench.run.folder import Manifest
from judgebench.run.loading import too_many
from judgebench.run.manifests import lacking
from judgebench.run.protocol import verdict_arguments
from judgebench.run.reading import Run, TaskRun
from judgebench.run.run_tasks import NO_FILES
from judgebench.task import Task
from judgebench.task.metric import ABOUT_A_METRIC, UNITS
from judgebench.tasks import is_among

PUBLISHED_FIELDS = ("task", "model", "source")


def published_rows(task: str | None = None) -> list[LeaderboardRow]:
    """The figures of the published tables (``leaderboards/*.csv``) as rows, with a protocol of their own per task."""
    rows: list[LeaderboardRow] = []
    known: dict[str, Task | None] = {}
    for path in sorted(resource("leaderboards").glob("*.csv")):
        for fields in read_csv_table(path, path.read_text(encoding="utf-8")):
            label = fields["task"]
            versioned = label.partition(":")[0]
            if is_among(task, (label, versioned, label.partition("@")[0])):
                if versioned not in known:
                    known[versioned] = known_task(versioned, NO_FILES)
                rows.append(_published_row(label, fields, known[versioned]))
    return rows


def _published_row(label: str, fields: dict[str, str], task: Task | None) -> LeaderboardRow:
    """A row of a table. If no task knows the metrics, a metric named after a unit is in that unit."""
    scores = {}
    for metric, text in fields.items():
        if metric in PUBLISHED_FIELDS or metric == "n" or metric.endswith(ABOUT_A_METRIC) or not text:
            continue
        about: dict[str, Any] = {
            end[1:]: float(fields[metric + end]) for end in ABOUT_A_METRIC if fields.get(metric + end)
        }
        scores[metric] = Score(
            task=label,
            metric=metric,
            value=float(text),
            unit=task.metric(metric).unit if task is not None else metric if metric in UNITS else "percent",
            method="published",
            **about,
            n=int(fields["n"]) if fields.get("n") else 0,
        )
    return LeaderboardRow(
        task=label,
        model=fields["model"],
        origin=fields["source"],
        published=True,
        protocol_hash=f"published:{label}",
        protocol={"published": fields["source"]},
        scores=scores,
    )


def tables_of(runs: Iterable[Run], published: Sequence[LeaderboardRow]) -> dict[tuple[str, str], Table]:
    """The published table that each run stands in, by the run's path and the task with its version.

    There is none where no metric can be compared: a run alone cannot give it, or it was not published; nor for a run
    that leaves out too much, because upstream's rules divide by what is there.
    """
    found: dict[tuple[str, str], Table] = {}
    metrics: dict[tuple[str, str], Table | None] = {}
    for run in runs:
        for task_run in run.tasks.values():
            made = task_run.task_manifest
            label = f"{made.name}@{made.version}"
            task = official_task(label, made.protocol, starter=made.starter)
            if task is None or unlike_published(task, made.protocol, made.code, run.manifest):
                continue
            key = label, made.protocol_hash
            if key not in metrics:
                metrics[key] = _table(task, published)
            table = metrics[key]
            if table is not None and not _leaves_out_too_much(task_run, table.metric):
                found[str(run.path), label] = table
    return found


def apart_from_published(
    rows: Iterable[LeaderboardRow], runs: Iterable[Run], published: Sequence[LeaderboardRow]
) -> list[LeaderboardRow]:
    """The rows, each with the fields in which its run differs from the published table of its task, if there is one."""
    fields: dict[tuple[str, str], tuple[str, ...]] = {}
    for run in runs if published else ():
        for task_run in run.tasks.values():
            made = task_run.task_manifest
            label = f"{made.name}@{made.version}"
            # The title of a starter set's table says that it is comparable with nothing.
            task = None if made.starter else official_task(label, made.protocol, starter=False)
            if task is not None and of_same_table(task, published):
                unlike = unlike_published(task, made.protocol, made.code, run.manifest)
                fields[str(run.path), label] = tuple(unlike)
    return [msgspec.structs.replace(row, apart=fields.get((row.origin, row.task), ())) for row in rows]


def _table(task: Task, published: Sequence[LeaderboardRow]) -> Table | None:
    rows = of_same_table(task, published)
    for metric in task.metrics:
        if metric.shown and metric.needs_table is None and any(value_of(row, metric.name) is not None for row in rows):
            return Table(label=rows[0].task, metric=metric.name)
    return None


def _leaves_out_too_much(run: TaskRun, metric: str) -> bool:
    score = run.overall.get(metric)
    without = 0 if score is None else score.n_missing
    return bool(lacking(run.task_manifest.counts)) or too_many(without, without + (score.n if score else 0))


def unlike_published(
    task: Task, protocol: Mapping[str, Any], code: TaskCode | None, manifest: Manifest | None = None
) -> list[str]:
    """The fields in which a run's protocol differs from that of the published table of its options."""
    options = protocol.get("options", {})
    own = {name: options[name] for name in options if name not in (*task.rule_options, *task.table_options)}
    official_judges = {name: spec.partition(":")[2] for name, spec in task.judge_models.items()}
    baselines = ", ".join(protocol.get("baselines", ()))
    usual = "the benchmark's own"
    judges = protocol.get("judges", {})
    fields: list[tuple[str, Any, Any]] = [
        ("starter", protocol.get("starter"), False),
        ("reported_by", protocol.get("reported_by"), None),
        ("options", own, {}),
        ("stop_when", protocol.get("stop_when"), None),
        ("cascade", "an estimate of a dear judge's number" if protocol.get("cascade") else None, None),
        ("think_tags", protocol.get("think_tags"), None),
        ("repeats", protocol.get("repeats"), 1),
        ("judge_repeats", protocol.get("judge_repeats"), 1),
        ("judge", protocol.get("own_judge", {}).get("replaces", usual), usual),
        ("code", f"that of the file {code.file}" if code else usual, usual),
        ("examples.n", protocol.get("examples", {}).get("n"), task.official_examples),
        ("baselines", baselines or usual, usual),
        ("the judge's settings", ", ".join(_settings_of_judges(protocol, manifest)) or usual, usual),
        ("judges", "none" if official_judges and not judges else usual, usual),
    ]
    for name, judge in judges.items():
        official = official_judges.get(name, "another judge")
        fields.append((f"judges.{name}.model", judge.get("model", "a jury"), official))
        if not judge.get("prompt_and_rule"):
            fields.append((f"judges.{name}.prompt_and_rule", "nothing", "the official one"))
    return [
        f"{name} ({given}, and {official} in the published rows)"
        for name, given, official in fields
        if given != official
    ]


def _settings_of_judges(protocol: Mapping[str, Any], manifest: Manifest | None) -> list[str]:
    """The flags that changed how the judges judge: arguments are in the protocol, and sampling in each session's
    settings, as are the arguments in runs of earlier versions.
    """
    found = {f"--judge-arg {name}={value}" for name, value in protocol.get("judge_args", {}).items()}
    for session in manifest.sessions if manifest else ():
        given = session.config.get("judge_args")
        told = verdict_arguments(given) if isinstance(given, dict) else {}
        found |= {f"--judge-arg {name}={value}" for name, value in told.items()}
        found |= {"--judge-gen"} if "judge_gen" in session.config else set()
    return sorted(found)


def beside_published(groups: Iterable[Group], published: Sequence[LeaderboardRow]) -> list[Group]:
    """The groups, each row with the published value of a model of its name in the table of its task's options."""
    found = []
    for group in groups:
        first = next((row for row in group.rows if not row.published), None)
        task = None if first is None else official_task(first.task, first.protocol, starter=first.starter)
        table = {} if task is None else {row.model: row for row in of_same_table(task, published)}
        metric = group.headline[0] if group.headline else ""
        held = task is not None and task.metric(metric).needs_table is None
        rows = []
        for row in group.rows:
            name = next((name for name in (row.candidate, row.model) if name in table), None)
            if held and not row.published and name is not None:
                row = msgspec.structs.replace(row, published_value=value_of(table[name], metric))
            rows.append(row)
        found.append(msgspec.structs.replace(group, rows=tuple(rows)))
    return found


def official_task(label: str, protocol: Mapping[str, Any], *, starter: bool) -> Task | None:
    """The bundled or installed task of a run's protocol, with its options; ``None`` for a task that is neither."""
    if protocol.get("code"):
        return None
    options = protocol.get("options")
    given = {str(key): str(value) for key, value in options.items()} if isinstance(options, dict) else {}
    return known_task(label, NO_FILES, given, starter=starter)


def of_same_table(task: Task, published: Iterable[LeaderboardRow]) -> list[LeaderboardRow]:
    """The rows of the published table with a task's version and options, as far as options tell tables apart."""
    usual = {name: str(value) for name, value in task.table_options.items()}
    own = {name: str(task.options.get(name, value)) for name, value in usual.items()}
    found = []
    for row in published:
        label, _, options = row.task.partition(":")
        given = dict(option.split("=", 1) for option in options.split(",") if "=" in option)
        if label == f"{task.name}@{task.version}" and {**usual, **given} == own:
            found.append(row)
    return found
