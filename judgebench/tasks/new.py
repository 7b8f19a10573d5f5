"""Writes the folder of a new benchmark, from the working examples in ``templates/new_tasks/``."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

from judgebench import tasks
from judgebench.data.resources import resource
from judgebench.display import is_plain_name
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
        raise UsageError(f"--kind {kind!r} is not one of {', '.join(get_args(Kind))}")
    if not is_plain_name(name) or name != name.lower():
        raise UsageError(
            f"a benchmark cannot be called {name!r}: take small letters, digits, - and _, such as my-benchmark"
        )
    if name in tasks.names():
        raise UsageError(f"a benchmark called {name!r} exists already; `judgebench tasks info {name}` describes it")
    target = parent / name
    if target.exists():
        raise UsageError(f"{target} exists already, and nothing in it was changed; choose another name or --out")
    parent.mkdir(parents=True, exist_ok=True)
    # Nobody meets half a folder.
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=parent) as place:
        written = Path(place) / name
        shutil.copytree(resource("templates") / "new_tasks" / kind, written, ignore=_no_caches)
        for path in _texts(written):
            path.write_text(path.read_text(encoding="utf-8").replace(PLACEHOLDER, name), encoding="utf-8")
        written.rename(target)
    return target


def _no_caches(folder: str, found: list[str]) -> set[str]:
    return {name for name in found if name == "__pycache__"}


def _texts(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.is_file())
