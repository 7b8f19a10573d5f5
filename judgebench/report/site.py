"""A static site of many runs: which pages it has, and where each lies. ``site_pages`` makes them, ``site_writing``
writes what has changed.

A run folder is somebody else's: names of files are made of letters and digits here, whatever a run is called.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from judgebench.analysis.comparison_records import Adjust
from judgebench.analysis.leaderboard import Group
from judgebench.data.sources import SourceFinder
from judgebench.display import printable, slug
from judgebench.errors import UsageError
from judgebench.exchange.sheets import Sheet
from judgebench.files import sha256_of
from judgebench.report.collect import LEVEL
from judgebench.run.folder import TaskManifest
from judgebench.run.judge_marks import asked_hash, models_of
from judgebench.run.predicting import label_of
from judgebench.run.reading import Run, TaskRun, Unreadable

LONGEST = 60
"""Characters of a name that the name of its file keeps."""


@dataclass(frozen=True)
class Board:
    """A leaderboard: a table, and the rows that it shows; the one across tasks has no rows of its own."""

    sheet: Sheet
    group: Group | None


@dataclass(frozen=True)
class SiteRun:
    """A run with its page."""

    run: Run
    origin: str
    """Its folder below the given one, which is all that the site says of where it lies."""

    @property
    def name(self) -> str:
        """What it is called."""
        return printable(self.run.manifest.shown_name, 200)

    @cached_property
    def page(self) -> str:
        """Where its page is, from the site's root."""
        return f"runs/{file_name(self.run.manifest.shown_name, self.origin)}/index.html"

    @property
    def held(self) -> frozenset[tuple[str, str]]:
        """Its tasks, each with the fingerprint of the protocol."""
        own = self.run.tasks.values()
        return frozenset((one.task_manifest.label, one.task_manifest.protocol_hash) for one in own)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What it was made from; two runs that were made from the same need no comparison."""
        return tuple(one.task_manifest.input_hash for one in self.run.tasks.values())


@dataclass(frozen=True)
class Pair:
    """Two runs with a page that compares them."""

    first: SiteRun
    second: SiteRun
    why: str
    """What the first is to the second."""

    @property
    def page(self) -> str:
        """Where the page is, from the site's root."""
        names = f"{self.second.run.manifest.shown_name[: LONGEST // 2]} and {self.first.run.manifest.shown_name}"
        return f"comparisons/{file_name(names, f'{self.first.origin} {self.second.origin}')}/index.html"


@dataclass(frozen=True)
class Judged:
    """A task of a run that a judge judged."""

    run: SiteRun
    task: TaskRun
    judge: str
    """What the protocol calls the judge."""
    played: Any
    """How it was asked, as the protocol says it."""


@dataclass(frozen=True)
class SiteJudge:
    """The models that judge, alone or as a jury, with everything that they judged here."""

    models: tuple[str, ...]
    """As protocols name them."""
    judged: tuple[Judged, ...]

    @cached_property
    def name(self) -> str:
        """As whoever evaluated named them, where that is known: a protocol has a hash for local weights."""
        manifests = [one.task.task_manifest for one in self.judged]
        spec = next((", ".join(one.judge_models) for one in manifests if len(one.judge_models) == len(self.models)), "")
        return printable(spec or ", ".join(self.models), 200)

    @property
    def page(self) -> str:
        """Where its page is, from the site's root."""
        return f"judges/{file_name(self.name, ' '.join(self.models))}.html"

    @property
    def asked(self) -> frozenset[str]:
        """Hashes of the prompts and rules by which it judged here."""
        return frozenset(asked_hash(one.played) for one in self.judged)


@dataclass(frozen=True)
class SiteTask:
    """A task with its version, and the runs that have it."""

    label: str
    runs: tuple[tuple[SiteRun, TaskRun], ...]

    @property
    def page(self) -> str:
        """Where its page is, from the site's root."""
        return f"tasks/{file_name(self.label, self.label)}.html"


@dataclass(frozen=True)
class Shown:
    """How the pages of runs are made."""

    finder: SourceFinder | None = None
    task: str | None = None
    adjust: Adjust = "holm"
    most: int | None = None
    without: frozenset[str] = frozenset()
    level: int = LEVEL
    bridges: tuple[Path, ...] = ()

    @cached_property
    def told(self) -> tuple[object, ...]:
        """What decides what is in a page."""
        bridges = [sha256_of(path) for path in self.bridges]
        return self.task, self.adjust, self.most, sorted(self.without), self.level, bridges


@dataclass(frozen=True)
class Site:
    """Everything that a site is made of."""

    runs: tuple[SiteRun, ...]
    boards: tuple[Board, ...]
    pairs: tuple[Pair, ...] = ()
    broken: tuple[tuple[str, str], ...] = ()
    """Folders that are no readable runs, with the reason."""
    shown: Shown = field(default_factory=Shown)

    @cached_property
    def judges(self) -> tuple[SiteJudge, ...]:
        """The judges of the runs, those that judged most first."""
        found: dict[tuple[str, ...], list[Judged]] = {}
        for run in self.runs:
            for task in run.run.tasks.values():
                for name, played in judges_of(task.task_manifest).items():
                    if models := tuple(sorted(set(models_of(played)))):
                        found.setdefault(models, []).append(Judged(run, task, name, played))
        judges = [SiteJudge(models, tuple(own)) for models, own in found.items()]
        return tuple(sorted(judges, key=lambda one: (-len(one.judged), one.name)))

    @cached_property
    def tasks(self) -> tuple[SiteTask, ...]:
        """The tasks of the runs, by name."""
        found: dict[str, list[tuple[SiteRun, TaskRun]]] = {}
        for run in self.runs:
            for task in run.run.tasks.values():
                found.setdefault(label_of(task.task_manifest), []).append((run, task))
        return tuple(SiteTask(label, tuple(own)) for label, own in sorted(found.items()))

    def called(self, name: str) -> list[SiteRun]:
        """The runs of this name."""
        return [run for run in self.runs if run.run.manifest.shown_name == name]

    def page_of(self, origin: str) -> str:
        """Where the page of a run is, by its folder; ``""`` for anything else."""
        return self._pages.get(origin, "")

    @cached_property
    def _pages(self) -> Mapping[str, str]:
        return {one.origin: one.page for one in self.runs}


def judges_of(manifest: TaskManifest) -> Mapping[str, Any]:
    """The judges of a task as its protocol names them; a foreign protocol may say anything."""
    told = manifest.protocol.get("judges")
    return told if isinstance(told, Mapping) else {}


def file_name(name: str, identity: str) -> str:
    """A name for a file: what is legible of a name, and a hash that tells what is called alike apart.

    >>> file_name("org/My Model <7B>", "runs/a")
    'org-My-Model-7B-7c3ea947'
    """
    hashed = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{slug(name)[:LONGEST].strip('-.')}-{hashed}"


def origins(given: Sequence[Path], found: Sequence[Path]) -> list[str]:
    """How a site calls the folders of runs: from the given folder that holds each, never by a whole path.

    >>> origins([Path("runs")], [Path("runs/a/1"), Path("runs/b")])
    ['a/1', 'b']
    """
    roots = sorted((Path(os.path.abspath(path)) for path in given), key=lambda path: -len(path.parts))
    names = [_below(roots, Path(os.path.abspath(path))) for path in found]
    return [f"{name} [{number + 1}]" if names.count(name) > 1 else name for number, name in enumerate(names)]


def _below(roots: Sequence[Path], path: Path) -> str:
    root = next((root for root in roots if path.is_relative_to(root) and path != root), path.parent)
    return printable(str(path.relative_to(root)), 300)


def broken_of(given: Sequence[Path], unreadable: Sequence[Unreadable]) -> tuple[tuple[str, str], ...]:
    """Folders that could not be read, with the reason, in which the folder is called as the site calls it."""
    names = origins(given, [one.path for one in unreadable])
    return tuple(
        (name, printable(one.reason.replace(str(one.path), name), 1000))
        for name, one in zip(names, unreadable, strict=True)
    )


def pairs_of(runs: Sequence[SiteRun], baseline: str | None = None) -> list[Pair]:
    """Which runs are compared: each with the earlier run of its model, and with the ``baseline`` if there is one.

    Runs that share no protocol are not, and neither are those that were made from the same.

    Raises :class:`UsageError` if no run, or more than one, is called as the baseline.
    """
    base = None if baseline is None else _called(runs, baseline)
    pairs: dict[tuple[str, str], Pair] = {}
    for run in runs:
        if base is not None and _comparable(base, run):
            pairs[base.origin, run.origin] = Pair(base, run, "baseline")
        earlier = [
            one
            for one in runs
            if one.name == run.name
            and one.run.manifest.started_at < run.run.manifest.started_at
            and _comparable(one, run)
        ]
        if earlier:
            before = max(earlier, key=lambda one: one.run.manifest.started_at)
            pairs.setdefault((before.origin, run.origin), Pair(before, run, "previous run"))
    return list(pairs.values())


def _comparable(first: SiteRun, second: SiteRun) -> bool:
    made_alike = all(first.inputs) and first.inputs == second.inputs
    return first is not second and not made_alike and bool(first.held & second.held)


def _called(runs: Sequence[SiteRun], name: str) -> SiteRun:
    path = os.path.normpath(name)
    found = [one for one in runs if name in (one.name, one.origin) or path == os.path.normpath(one.run.path)]
    if len(found) != 1:
        several = f"{len(found)} runs are called so" if found else "no run is called so"
        known = ", ".join(dict.fromkeys(one.origin for one in found or runs))
        raise UsageError(
            f"--baseline {printable(name, 200)}: one of the runs was expected, and {several}; give the folder of one, "
            f"such as {printable(known, 300)}"
        )
    return found[0]


def localised(groups: Iterable[Group], names: Mapping[str, str]) -> list[Group]:
    """The groups with runs called by their folders within the site, as :func:`origins` has them by path."""
    from msgspec.structs import replace

    return [
        replace(
            group,
            rows=tuple(
                replace(
                    row,
                    origin=names.get(row.origin, row.origin),
                    again=tuple(names.get(path, path) for path in row.again),
                )
                for row in group.rows
            ),
        )
        for group in groups
    ]
