"""Many runs and published tables → rows, grouped so that only equal protocols are ranked together."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from judgebench import tasks
from judgebench.errors import UsageError
from judgebench.protocol import differing
from judgebench.records import Score
from judgebench.resources import resource
from judgebench.store import Manifest, RunFolder, TaskManifest

PUBLISHED_FIELDS = ("task", "model", "source")
ABOUT_A_METRIC = ("_stderr", "_low", "_high", "_level")
"""Ends of the columns that say more of a metric, not another one."""
UNITS = {
    "rating": "rating",
    "score": "points",
    "wb_score": "points",
    "wb_score_micro": "points",
    "wb_reward": "points",
    "wb_reward_micro": "points",
    "wb_elo": "rating",
}
"""Units of published metrics; those not listed are characters if a length, else percent."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one task."""

    task: str
    """Task with version and options."""
    model: str
    origin: str
    """The run folder, or the upstream place of a published figure."""
    published: bool
    starter: bool
    protocol_hash: str
    protocol: dict[str, object]
    scores: dict[str, Score]
    """By metric; those over all examples only."""
    flags: tuple[str, ...] = ()
    status: str = "complete"


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one protocol, best first."""

    task: str
    headline: tuple[str, ...]
    rows: tuple[Row, ...]
    differs: tuple[str, ...]
    """Protocol fields in which this group differs from the task's first group."""


def find_runs(paths: Sequence[Path]) -> list[RunFolder]:
    """Run folders among the paths and anywhere below them, each once."""
    found: dict[Path, RunFolder] = {}
    for path in paths:
        if not path.is_dir():
            raise UsageError(f"{path} is not a folder; give run folders, or folders that hold some")
        manifests = [path / "manifest.json"] if (path / "manifest.json").exists() else path.rglob("manifest.json")
        folders = sorted(manifest.parent for manifest in manifests)
        if not folders:
            raise UsageError(f"{path} holds no run folder (a folder with a manifest.json)")
        found |= {folder.resolve(): RunFolder(folder) for folder in folders}
    return list(found.values())


def rows_of(run: RunFolder, task: str | None = None) -> list[Row]:
    """A row for each task of a run."""
    manifest, results = run.require_manifest(), run.results()
    rows = []
    for key, fields in manifest.tasks.items():
        if task is not None and task not in (key, fields.label, f"{key}@{fields.version}"):
            continue
        label = f"{fields.name}@{fields.version}"
        own = [s for s in results.scores if s.group is None and s.task == fields.name]
        scores = {s.metric: s for s in own if s.metric.isidentifier()}  # a run folder may be anybody's
        flags = [finding.check for finding in results.integrity if finding.flagged and finding.task == fields.name]
        flags += _protocol_flags(fields)
        rows.append(
            Row(
                task=label,
                model=manifest.candidate,
                origin=str(run.path),
                published=False,
                starter=fields.starter,
                protocol_hash=fields.protocol_hash,
                protocol=fields.protocol,
                scores=scores,
                flags=tuple(flags),
                status=_status(manifest),
            )
        )
    return rows


def in_one_table(rows: Iterable[Row]) -> list[Row]:
    """The rows, with the scores that a task makes of all runs of one protocol together in place of their own.

    What is missing of an example's score is a matter of the run, so those counts stay.
    """
    listed = list(rows)
    tables: dict[str, dict[str, Row]] = {}
    for row in listed:
        if not row.published:
            tables.setdefault(f"{row.task} {row.protocol_hash}", {})[row.origin] = row
    together: dict[tuple[str, str], dict[str, Score]] = {}
    for members in tables.values():
        first = next(iter(members.values()))
        name, _, version = first.task.partition("@")
        if len(members) < 2 or name not in tasks.names():
            continue
        options = {key: str(value) for key, value in _options(first).items()}
        tabulate = tasks.load(tasks.TaskSpec(name, version, options), starter=first.starter)[0].tabulate
        if tabulate is not None:
            given = {origin: RunFolder(Path(origin)).task(name).example_scores() for origin in members}
            for origin, scores in tabulate(given).items():
                together[first.task, origin] = {score.metric: score for score in scores}
    return [_with(row, together.get((row.task, row.origin), {})) for row in listed]


def _options(row: Row) -> dict[str, Any]:
    options = row.protocol.get("options")
    return options if isinstance(options, dict) else {}


def _with(row: Row, scores: dict[str, Score]) -> Row:
    made = {}
    for metric, score in scores.items():
        own = row.scores.get(metric)
        missing = score.n_missing if own is None else own.n + own.n_missing - score.n
        made[metric] = msgspec.structs.replace(score, n_missing=missing)
    return msgspec.structs.replace(row, scores={**row.scores, **made}) if made else row


def _status(manifest: Manifest) -> str:
    return manifest.status if manifest.imported_from is None else f"imported, {manifest.status}"


def _protocol_flags(fields: TaskManifest) -> list[str]:
    flags = ["starter, not comparable"] if fields.starter else []
    if fields.early_stop is not None and fields.early_stop.early_stopped:
        flags.append(f"stopped early, {fields.early_stop.n} of {fields.early_stop.population}")
    return flags + (["stand-in source"] if any(source.standin for source in fields.sources) else [])


def published_rows(task: str | None = None) -> list[Row]:
    """Figures from published tables (``leaderboards/*.csv``), as rows of a protocol of their own per task."""
    rows = []
    for path in sorted(resource("leaderboards").glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            for fields in csv.DictReader(file):
                label = fields["task"]
                if task is None or task in (label, label.partition(":")[0], label.partition("@")[0]):
                    rows.append(_published_row(label, fields))
    return rows


def _published_row(label: str, fields: dict[str, str]) -> Row:
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
            unit=UNITS.get(metric, "characters" if metric.endswith("length") else "percent"),
            method="published",
            **about,
            n=int(fields["n"]) if fields.get("n") else 0,
        )
    return Row(
        task=label,
        model=fields["model"],
        origin=fields["source"],
        published=True,
        starter=False,
        protocol_hash=f"published:{label}",
        protocol={"published": fields["source"]},
        scores=scores,
    )


def group_rows(rows: Iterable[Row], headlines: dict[str, tuple[str, ...]]) -> list[Group]:
    """Rows by task and protocol, ranked by the task's first metric; larger groups first, published ones last."""
    grouped: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        grouped.setdefault((row.task, row.protocol_hash), []).append(row)
    groups = []
    firsts: dict[str, Row] = {}
    for (task, _), members in sorted(grouped.items(), key=_group_order):
        metrics = tuple(metric for metric in headlines.get(task, ()) if any(metric in row.scores for row in members))
        metrics = metrics or tuple(sorted({metric for row in members for metric in row.scores}))
        ranked = sorted(members, key=lambda row: (-_rank_value(row, metrics), row.model))
        first = members[0] if members[0].published else firsts.setdefault(task, members[0])
        groups.append(
            Group(
                task=task,
                headline=metrics,
                rows=tuple(ranked),
                differs=tuple(differing(first.protocol, members[0].protocol)),
            )
        )
    return groups


def _group_order(item: tuple[tuple[str, str], list[Row]]) -> tuple[str, bool, int, str]:
    (task, protocol_hash), members = item
    return task, members[0].published, -len(members), protocol_hash


def _rank_value(row: Row, metrics: Sequence[str]) -> float:
    score = row.scores.get(metrics[0]) if metrics else None
    return score.value if score is not None and score.value is not None else float("-inf")
