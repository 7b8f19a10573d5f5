"""The real command in a process of its own, which may be killed on its way, and what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from judgebench.run.folder import Manifest, RunFolder

SUMS = Path(__file__).parent / "fixtures" / "sums" / "task.py"
"""A benchmark of ours that needs no official file."""


def command(arguments: Iterable[str | Path]) -> list[str]:
    """The real command."""
    return [sys.executable, "-m", "judgebench", *map(str, arguments)]


def judgebench_process(
    arguments: Iterable[str | Path], *, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The command to its end, where its process matters: what it imports, who kills it, which packages it finds."""
    return subprocess.run(
        command(arguments), cwd=cwd, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


@contextmanager
def started(
    arguments: Sequence[str | Path], cwd: Path | None = None, *, printed: int | IO[bytes] = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """The command while it runs, in a process group of its own, which does not outlive the block."""
    process = subprocess.Popen(
        command(arguments),
        cwd=cwd,
        stdout=printed,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # A shell starts its background jobs with SIGINT ignored, and so would everything below them be.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """``kill -9`` of the process group."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def scores_of(ended: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Every field of every score that ``--json`` printed."""
    scores: list[dict[str, Any]] = json.loads(ended.stdout)["scores"]
    return scores


def manifest_of(run: Path) -> Manifest:
    """A run's manifest."""
    return RunFolder(run).require_manifest()


def lines_of(path: Path) -> list[dict[str, Any]]:
    """A JSON-lines file's records; every line must be whole."""
    text = path.read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]
