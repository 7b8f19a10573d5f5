"""Writes the folder of a new benchmark, from the working examples in ``templates/new_tasks/``."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

from judgebench import tasks
from judgebench.data.resources import resource
from judgebench.display import did_you_mean, is_plain_name
from judgebench.errors import UsageError

Kind = Literal["judged", "verified", "pairwise", "rubric"]
"""A rating by a judge; a rule without a judge; a comparison with a baseline; criteria with points."""
PLACEHOLDER = "MY-TASK"
"""The benchmark's name in the examples."""


def write_task(name: str, kind: Kind, parent: Path) -> Path:
    """Write ``parent/name``, a benchmark of this kind that runs at once, and return it.

    Raises :class:`UsageError` if the name cannot be a benchmark's, is taken, or the folder is there already.
    """
    if kind not in get_args(Kind):
        kinds = get_args(Kind)
        raise UsageError(f"--kind {kind!r} is not one of {', '.join(kinds)}{did_you_mean(kind, kinds)}")
    if not is_plain_name(name) or name != name.lower():
        raise UsageError(
            f"a benchmark cannot be called {name!r}: take small letters, digits, - and _, such as my-benchmark"
        )
    if name in tasks.names():
        raise UsageError(f"a benchmark called {name!r} exists already; `judgebench tasks info {name}` describes it")
    target = parent / name
    if os.path.lexists(target):
        raise UsageError(f"{target} exists already, and nothing in it was changed; choose another name or --out")
    try:
        _write(target, kind)
    except OSError as error:
        raise UsageError(
            f"{target} cannot be written: {error}; give a folder that can be written to with --out"
        ) from error
    return target


def _write(target: Path, kind: Kind) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Nobody meets half a folder.
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as place:
        written = Path(place) / target.name
        shutil.copytree(resource("templates") / "new_tasks" / kind, written, ignore=_no_caches)
        for path in _texts(written):
            path.write_text(path.read_text(encoding="utf-8").replace(PLACEHOLDER, target.name), encoding="utf-8")
        written.rename(target)


def _no_caches(folder: str, found: list[str]) -> set[str]:
    return {name for name in found if name == "__pycache__"}


def _texts(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.is_file())
