"""Scores that a task fits to all runs of a table together, kept in the user's cache until a run of the table changes.

A fit of many runs takes seconds (``benchmarks/leaderboard.py``), and people look at a table often. The cache has one
file for each task and protocol, so it does not grow with use. The fits themselves belong to the tasks.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from judgebench import stats
from judgebench.codec import canonical_hash, read_json, write_json
from judgebench.display import slug
from judgebench.errors import UsageError
from judgebench.files import chunks
from judgebench.models.call_store import default_cache_dir
from judgebench.records import ExampleScore, Score
from judgebench.run.folder import usable
from judgebench.run.reading import TaskRun

Tabulate = Callable[[Mapping[str, Sequence[ExampleScore]]], Mapping[str, Sequence[Score]]]


class _Kept(msgspec.Struct, forbid_unknown_fields=True):
    """A fit in the cache."""

    key: str
    """Hash of the runs' example scores and of the code that fits them."""
    scores: dict[str, list[Score]]
    """By the hash of a run's example scores."""


def fit_together(tabulate: Tabulate, runs: Sequence[TaskRun]) -> list[list[Score] | None]:
    """The scores that ``tabulate`` fits to runs of one task and protocol, for each run.

    ``None`` stands for a run whose example scores cannot be read; it takes no part in the fit.
    """
    hashes = [_hash(run) for run in runs]
    by_hash = {own: run for own, run in zip(hashes, runs, strict=True) if own is not None}
    if len(by_hash) < 2:
        return [None if own is None else [] for own in hashes]
    task_manifest = runs[0].task_manifest
    path = default_cache_dir() / "tables" / f"{slug(task_manifest.label)}-{slug(task_manifest.protocol_hash[-8:])}.json"
    key = canonical_hash([_code(runs[0].task_folder), sorted(by_hash)])
    kept = _read(path)
    if kept is None or kept.key != key:
        kept = _Kept(key, _fit(tabulate, by_hash))
        _keep(path, kept)
    return [None if own is None else kept.scores.get(own) for own in hashes]


def _fit(tabulate: Tabulate, runs: Mapping[str, TaskRun]) -> dict[str, list[Score]]:
    given = {}
    for own in sorted(runs):
        try:
            given[own] = runs[own].example_scores()
        except UsageError:
            continue
    with usable(f"one of the {len(runs)} runs of the table"):
        made = tabulate(given) if len(given) > 1 else {}
    return {own: list(made.get(own, ())) for own in given}


def _hash(run: TaskRun) -> str | None:
    """Hash of a run's example scores. Runs with equal ones are one run in two places, and count once."""
    try:
        digest = hashlib.sha256()
        for chunk in chunks(run.folder.path / "example_scores.jsonl"):
            digest.update(chunk)
        return digest.hexdigest()
    except OSError:
        return None


def _code(task_folder: Path) -> str:
    """Hash of the code that makes a fit: the task's own and the statistics."""
    folders = (task_folder, Path(stats.__path__[0]))
    sources = [path for folder in folders for path in sorted(folder.glob("*.py"))]
    return canonical_hash([hashlib.sha256(path.read_bytes()).hexdigest() for path in sources])


def _read(path: Path) -> _Kept | None:
    try:
        return read_json(path, _Kept)  # type: ignore[no-any-return]
    except (OSError, ValueError):
        return None


def _keep(path: Path, kept: _Kept) -> None:
    with suppress(OSError):  # a cache that cannot be written only costs time
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, kept)
