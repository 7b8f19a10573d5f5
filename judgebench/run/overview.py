"""A run in a few lines: of each task the headline number, and what it cost. Only manifest and results are read."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from judgebench.errors import UsageError
from judgebench.records import Score
from judgebench.run.archive import is_archive, open_archive
from judgebench.run.folder import Manifest, Results, RunFolder
from judgebench.run.manifests import lacking
from judgebench.run.reading import Unreadable, find_runs


class TaskOverview(msgspec.Struct, frozen=True, kw_only=True):
    """One task of a run."""

    task: str
    """Name and version."""
    metric: str | None = None
    """The headline; ``None`` while the run is not scored."""
    value: float | None = None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    n: int = 0
    n_missing: int = 0
    withheld: str | None = None
    """Why the value or its interval is not there."""
    lacks: str = ""
    """What it lacks so much of that its numbers are not those of the whole set; or empty."""
    usd: float = 0.0
    unpriced: bool = False
    """Whether there were further tokens of unknown price."""
    seconds: float = 0.0
    """From first request to last answer or verdict, over all sessions."""
    starter: bool = False


class RunOverview(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    path: str
    name: str
    """What the user calls it, else the model's name."""
    model: str
    status: str
    """As the manifest says; a run that says ``running`` is ``killed`` if nobody works on it."""
    imported_from: str | None
    date: str
    """When it ended, or began."""
    protocol: str
    """Eight digits of the fingerprint over all tasks: runs that share them can be compared."""
    usd: float
    seconds: float
    """Of all its sessions."""
    tasks: tuple[TaskOverview, ...]


def overview_of(path: Path, manifest: Manifest, results: Results | None) -> RunOverview:
    """Return what a run is and has found, as far as it is known."""
    tasks = task_overviews(manifest, results)
    return RunOverview(
        path=str(path),
        name=manifest.shown_name,
        model=manifest.candidate,
        status=RunFolder(path).status(manifest),
        imported_from=manifest.imported_from,
        date=manifest.finished_at or manifest.started_at,
        protocol=manifest.protocol_hash[7:15],
        usd=max(sum(task.usd for task in tasks), manifest.spending.usd if manifest.spending else 0.0),
        seconds=sum(session.seconds for session in manifest.sessions),
        tasks=tuple(tasks),
    )


def task_overviews(manifest: Manifest, results: Results | None) -> list[TaskOverview]:
    """Return the headline of each task, in the order of the manifest."""
    headlines: dict[str, Score] = {}
    for score in results.scores if results else ():
        # A task lists its headline first.
        if score.group is None and score.kind == "measured":
            headlines.setdefault(score.task, score)
    found = []
    for key, task_manifest in manifest.tasks.items():
        stages = [stage for session in manifest.sessions for stage in session.counts.get(key, {}).values()]
        made = TaskOverview(
            task=f"{task_manifest.name}@{task_manifest.version}",
            usd=sum(stage.usd for stage in stages),
            unpriced=any(stage.unpriced.prompt_tokens or stage.unpriced.completion_tokens for stage in stages),
            lacks="; ".join(lacking(task_manifest.counts).values()),
            seconds=sum(session.task_seconds.get(key, 0.0) for session in manifest.sessions),
            starter=task_manifest.starter,
        )
        headline = headlines.get(task_manifest.name)
        if headline is not None:
            names = ("metric", "value", "unit", "low", "high", "n", "n_missing", "withheld")
            made = msgspec.structs.replace(made, **{name: getattr(headline, name) for name in names})
        found.append(made)
    return found


class Overviews(msgspec.Struct, frozen=True, kw_only=True):
    """The runs in some folders, the newest first."""

    runs: tuple[RunOverview, ...]
    unreadable: tuple[Unreadable, ...]


def read_overviews(paths: Sequence[Path]) -> Overviews:
    """Read all runs among the paths and below them. What cannot be read is listed with the reason."""
    found, unreadable = [], []
    for path in find_runs(paths):
        try:
            found.append(_overview(path))
        except UsageError as error:
            unreadable.append(Unreadable(path, str(error)))
    found.sort(key=lambda run: (run.date, run.path), reverse=True)
    return Overviews(runs=tuple(found), unreadable=tuple(unreadable))


def _overview(path: Path) -> RunOverview:
    folder = RunFolder(open_archive(path) if is_archive(path) else path)
    manifest = folder.require_manifest()
    results = folder.results() if (folder.path / "results.json").exists() else None
    return overview_of(path, manifest, results)
