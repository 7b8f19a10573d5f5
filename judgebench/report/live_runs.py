"""Runs that may still go on: waits for them to begin, and reads them with the numbers that there are by now."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from judgebench.data.sources import SourceFinder
from judgebench.errors import UsageError
from judgebench.files import near_path
from judgebench.run.archive import is_archive
from judgebench.run.folder import RunFolder
from judgebench.run.reading import Run, find_runs, read_run, renamed
from judgebench.run.run_tasks import TaskFiles
from judgebench.run.so_far import Checked, with_numbers_so_far

PAUSE = 1.0
LONGEST_WAIT = 600.0
"""Seconds for which a run may still begin."""


@dataclass
class LiveRuns:
    """Runs, as they are whenever they are read."""

    paths: Sequence[Path]
    files: TaskFiles
    finder: SourceFinder
    names: Mapping[str, str]
    """What tables call them, as ``--name`` says."""
    checked: Checked = field(default_factory=Checked)

    def read(self) -> list[Run]:
        """The runs; of those that have not ended, with numbers of what has."""
        return renamed(map(self._read, find_runs(self.paths)), self.names)

    def _read(self, path: Path) -> Run:
        folder = RunFolder(path)
        ended = is_archive(path) or folder.require_manifest().status != "running"
        if ended and (is_archive(path) or (path / "results.json").exists()):
            return read_run(path, self.files)
        return with_numbers_so_far(read_run(path, self.files, unfinished=True), self.finder, self.checked)


def wait_for_runs(
    paths: Sequence[Path],
    told: Callable[[str], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until every path holds a run; say so once with ``told``.

    Raises :class:`UsageError` for what can become no run, and if none has begun after :data:`LONGEST_WAIT`.
    """
    begun, said = clock(), False
    while True:
        waiting = [path for path in paths if not _begun(path)]
        if not waiting:
            return
        listed = ", ".join(
            f"{path} (not there{near_path(path)})" if not path.exists() else f"{path}" for path in waiting
        )
        if clock() - begun >= LONGEST_WAIT:
            raise UsageError(
                f"no run has begun in {listed} within {LONGEST_WAIT / 60:.0f} minutes; give the folder of a run, "
                "such as the one that was given to `judgebench eval --out`"
            )
        if not said:
            told(f"waiting for a run to begin in {listed}, at most {LONGEST_WAIT / 60:.0f} minutes; Ctrl+C ends it")
            said = True
        sleep(PAUSE)


def _begun(path: Path) -> bool:
    """Whether there is a run; raise :class:`UsageError` if there can be none."""
    if is_archive(path) or (path / "manifest.json").exists():
        return True
    if path.exists() and not path.is_dir():
        find_runs([path])
    if not path.is_dir() or RunFolder(path).at_work or not RunFolder(path).occupied:
        return False
    # A folder of runs, or something else.
    return bool(find_runs([path]))
