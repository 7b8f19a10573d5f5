"""Reads run folders and archives for tables, comparisons, the gate and exports. Nothing here writes.

``read_run`` is strict: it raises :class:`UsageError`, which says what is wrong, if a run cannot be read. ``read_runs``
also takes folders of many runs; it lists an unreadable run with the reason and reads the others.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import msgspec

from judgebench.codec import canonical_hash
from judgebench.data.sources import SourceFinder
from judgebench.display import did_you_mean, shortened
from judgebench.errors import UsageError
from judgebench.files import near_path, opened
from judgebench.records import Example, ExampleScore, Generation, Judgement, Kind, Score
from judgebench.run.archive import is_archive, open_archive
from judgebench.run.folder import Manifest, RunFolder, TaskFolder, TaskManifest
from judgebench.run.integrity import Finding
from judgebench.run.loading import load_whole, reload_task
from judgebench.run.run_tasks import NO_FILES, TaskFiles, find_task
from judgebench.run.settings import require_name
from judgebench.task import Task, TaskData
from judgebench.tasks import Origin, is_among, on_run, parse_specs


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a task is whose run has not ended, in items."""

    examples: int
    answered: int
    failed: int
    """Answers that failed."""
    judged: int
    """Answers with a verdict."""
    ended: int
    """Items that the numbers are of: nothing more will come for them."""
    rows: tuple[ExampleScore, ...] = ()
    why: str = ""
    """Why there are no numbers yet."""


@dataclass(frozen=True)
class TaskRun:
    """One task of a run. Scores are in memory; larger parts are read from the folder at each call."""

    key: str
    """Name of the task within the manifest."""
    task_manifest: TaskManifest
    scores: tuple[Score, ...]
    """What was measured, also of groups such as ``category=math``."""
    findings: tuple[Finding, ...]
    """What the integrity checks found."""
    folder: TaskFolder
    run: Path
    """Path of the run: a folder or an archive."""
    files: TaskFiles = field(default_factory=dict)
    """Files of tasks that the user named. The task may come from one of them."""
    predictions: tuple[Score, ...] = ()
    """Official numbers that a judge bridge predicted when the run was scored. They never stand among measured ones."""
    so_far: Progress | None = None
    """How far it is, if its numbers are of what has ended by now."""

    @property
    def names(self) -> tuple[str, ...]:
        """What a user may call the task: its name, with its version, with its options too."""
        versioned = f"{self.task_manifest.name}@{self.task_manifest.version}"
        return self.key, self.task_manifest.name, versioned, self.task_manifest.label

    @property
    def named(self) -> str:
        """How a command that is printed names the run."""
        return on_run(self.run, self.files)

    @property
    def overall(self) -> dict[str, Score]:
        """The scores over all examples, by metric."""
        return {score.metric: score for score in self.scores if score.group is None}

    @cached_property
    def _found(self) -> tuple[Task, Origin]:
        return find_task(self.task_manifest, self.run, self.files)

    @property
    def task(self) -> Task:
        """The run's task. Raises :class:`UsageError` if its code is missing, or is not the code that the run used."""
        return self._found[0]

    @property
    def task_folder(self) -> Path:
        """The folder of that task's files."""
        return self._found[1].folder

    def load_data(self, finder: SourceFinder) -> TaskData:
        """Load the task's data with the examples and baselines of the run; official files are fetched."""
        return reload_task(self.folder, self.task_manifest, self.run, finder, self.files).data

    def load_whole(self, finder: SourceFinder) -> TaskData:
        """Load the task's data with all examples of the benchmark, whichever the run was on."""
        return load_whole(self.task_manifest, self.run, finder, self.files).data

    def example_scores(self, *, of_cascade: bool = False) -> list[ExampleScore]:
        """Read each example's part in each metric; of a cascade, if the caller knows about those, the cheap judge's.

        Raises :class:`UsageError` if the scoring did not finish.
        """
        if self.so_far is not None and self.so_far.rows:
            return list(self.so_far.rows)
        cascade = self.task_manifest.cascade
        if cascade is not None and not of_cascade:
            raise UsageError(
                f"{self.run} has a cascade: its numbers of {self.task_manifest.label} are estimates of what "
                f"{cascade.dear} would say, and it judged only {cascade.n} of {cascade.population} examples, so there "
                f"are no single verdicts of it to use here. `judgebench compare` compares two cascades with each "
                f"other, and `judgebench plan --half-width W --baseline {self.named}` plans another from this one; for "
                f"anything else evaluate the answers with one judge (`judgebench eval --model file:… "
                f"--judge {cascade.dear}`)"
            )
        path = self.folder.path / "example_scores.jsonl"
        reported_by = self.task_manifest.protocol.get("reported_by")
        if reported_by:
            raise UsageError(
                f"{self.folder.path} holds reported numbers only, as {reported_by} computed them, and no example "
                f"scores. Import the samples or judgements file of that program instead"
            )
        if not path.exists():
            raise UsageError(f"{path} is missing; run `judgebench score {self.named}` to make it again")
        if _torn(path):
            raise UsageError(
                f"{path} is cut off: its last line is incomplete. Run `judgebench score {self.named}` to make it again"
            )
        return self.folder.example_scores()

    def examples(self) -> tuple[Example, ...]:
        """The examples of the run, in its order."""
        return self.folder.examples()

    def generations(self) -> dict[str, Generation]:
        """Read the answers by example, including failed ones, which have ``error`` set."""
        return {generation.example_id: generation for generation in self.folder.generations()}

    def judgements(self) -> list[Judgement]:
        """Read the judgements, with the judge's replies."""
        return list(self.folder.judgements())


@dataclass(frozen=True)
class Run:
    """A run as it is stored, with its scores."""

    path: Path
    manifest: Manifest
    tasks: Mapping[str, TaskRun]
    """By key, in the order of the manifest."""
    folder: RunFolder
    """The run folder; for an archive, the folder that it was unpacked into."""

    @property
    def status(self) -> str:
        """How the run stands; a run that ended without saying so was killed."""
        return self.folder.status(self.manifest)


@dataclass(frozen=True)
class Unreadable:
    """A run that could not be read while others could."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Runs:
    """The runs found in some folders."""

    readable: tuple[Run, ...]
    unreadable: tuple[Unreadable, ...]


def require_held(runs: Sequence[Run], task: str | None) -> None:
    """Raise :class:`UsageError` for each task that a user named, of one or more, and that none of the runs holds."""
    for spec in parse_specs(task) if task else ():
        if not any(is_among(spec.text, own.names) for run in runs for own in run.tasks.values()):
            held = dict.fromkeys(key for run in runs for key in run.tasks)
            name, there = shortened(spec.text, 80), f"{', '.join(held) or 'none'}{did_you_mean(spec.text, held)}"
            raise UsageError(
                f"{runs[0].path} holds no task {name!r}; it holds {there}"
                if len(runs) == 1
                else f"none of the runs holds the task {name!r}; they hold {there}"
            )


def read_run(path: Path, files: TaskFiles = NO_FILES, *, unfinished: bool = False) -> Run:
    """Read the manifest, scores and findings of a run folder or an archive.

    ``files`` are the tasks that the user named as files. With ``unfinished``, no scores are read, so the run need not
    have any. Raises :class:`UsageError` if the run is missing, damaged, of another version or not scored yet, or if
    ``path`` is not a run.
    """
    archived = is_archive(path)
    folder = RunFolder(open_archive(path) if archived else path)
    if not archived and not path.is_dir():
        found = "a file" if path.exists() else "not there"
        if str(path).startswith("published:"):
            raise UsageError(
                f"expected a run folder, but {path} names published figures: `judgebench compare RUN {path}` and "
                f"`judgebench gate --candidate RUN --baseline {path}` compare a run with them, and `judgebench "
                "leaderboard RUN --published` ranks it among them"
            )
        raise UsageError(
            f"expected a run folder, but {path} is {found}{near_path(path)}; name a folder that holds a manifest.json"
        )
    manifest = folder.require_manifest()
    if not unfinished:
        _require_own_hashes(path, manifest, files)
    results = None if unfinished else folder.results(on_run(path, files))
    scores: dict[tuple[str, Kind], list[Score]] = {}
    for score in results.scores if results else ():
        scores.setdefault((score.task, score.kind), []).append(score)
    tasks = {
        key: TaskRun(
            key=key,
            task_manifest=task_manifest,
            scores=tuple(scores.get((task_manifest.name, "measured"), ())),
            predictions=tuple(scores.get((task_manifest.name, "predicted"), ())),
            findings=tuple(one for one in results.integrity if one.task == task_manifest.name) if results else (),
            folder=folder.task(key),
            run=path,
            files=files,
        )
        for key, task_manifest in manifest.tasks.items()
    }
    return Run(path, manifest, tasks, folder)


def _require_own_hashes(path: Path, manifest: Manifest, files: TaskFiles) -> None:
    """Raise :class:`UsageError` for a protocol that is not the one its hash was made of: runs are compared by hash."""
    for key, task_manifest in manifest.tasks.items():
        if canonical_hash(task_manifest.protocol) != task_manifest.protocol_hash:
            raise UsageError(
                f"the manifest of {path} was changed: the protocol_hash of {shortened(key, 60)} is not that of the "
                f"protocol beside it, so nothing can be compared with the run. "
                f"`judgebench score {on_run(path, files)}` computes it again from the protocol that is there"
            )


def renamed(runs: Iterable[Run], names: Mapping[str, str]) -> list[Run]:
    """The runs with names for tables, given by run folder or by the name that a run has otherwise.

    Raises :class:`UsageError` for a name whose run is not among them.
    """
    changed, used = [], set()
    for run in runs:
        manifest = run.manifest
        known = (os.path.normpath(run.path), manifest.name, manifest.candidate)
        given = next((told for told in names if told in known or os.path.normpath(told) in known), None)
        used.add(given)
        if given is not None:
            manifest = msgspec.structs.replace(manifest, name=require_name(names[given]))
        changed.append(replace(run, manifest=manifest))
    if unknown := [told for told in names if told not in used]:
        listed = ", ".join(f"{run.path} ({run.manifest.shown_name})" for run in changed)
        raise UsageError(
            f"--name {shortened(unknown[0], 200)}={names[unknown[0]]}: no run has that folder or name; the runs are "
            f"{shortened(listed, 500)}"
        )
    return changed


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """Find the run folders and archives among the paths, and run folders anywhere below them, each once.

    Raises :class:`UsageError` for a path without any.
    """
    found: dict[str, Path] = {}
    for path in paths:
        archived = is_archive(path)
        if not archived and not path.is_dir():
            raise UsageError(
                f"{path} is not a folder{near_path(path)}; give run folders, archives, or folders that hold some"
            )
        folders = [path] if archived or (path / "manifest.json").exists() else _below(path)
        if not folders:
            raise UsageError(f"{path} holds no run folder (a folder with a manifest.json)")
        for folder in folders:
            found.setdefault(os.path.realpath(folder), folder)
    return list(found.values())


def read_runs(paths: Sequence[Path], files: TaskFiles = NO_FILES) -> Runs:
    """Read every run among the paths and below them.

    A path that is itself a run must be readable; an unreadable run below a path is listed with the reason.
    """
    named = {os.path.realpath(path) for path in paths}
    readable, unreadable = [], []
    for path in find_runs(paths):
        try:
            readable.append(read_run(path, files))
        except UsageError as error:
            if os.path.realpath(path) in named:
                raise
            unreadable.append(Unreadable(path, str(error)))
    return Runs(tuple(readable), tuple(unreadable))


def _below(path: Path) -> list[Path]:
    """Find folders with a manifest, without searching inside a run for further runs."""
    found = []
    for folder, inner, files in os.walk(path):
        if "manifest.json" in files:
            found.append(Path(folder))
            inner.clear()
    return sorted(found)


def _torn(path: Path) -> bool:
    """Whether the last line lacks its newline."""
    with opened(path) as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
