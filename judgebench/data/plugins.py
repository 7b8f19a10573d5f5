"""Plug-ins of installed packages: the entry points of a group, who owns a name, and loading without a crash.

Listing imports nothing. A broken package is reported when its plug-in is chosen, and hides no other. What a plug-in
must be is defined by its group: ``tasks`` for benchmarks, ``models.opening.backends`` for models.
"""

import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from pathlib import Path

from judgebench.errors import JudgebenchError, UsageError


def installed(group: str) -> tuple[EntryPoint, ...]:
    """The entry points of a group. A package whose list of entry points cannot be read counts as having none.

    A table of many tasks asks often, and all packages are read each time unless the folders they lie in are as before.
    """
    return _installed(group, tuple(map(_stamp, sys.path)))


def _stamp(folder: str) -> tuple[str, int]:
    """A folder of packages with the time of its last change: what is installed or removed changes it."""
    try:
        return folder, os.stat(folder or ".").st_mtime_ns
    except (OSError, ValueError):
        return folder, 0


@lru_cache(maxsize=16)
def _installed(group: str, _: tuple[tuple[str, int], ...]) -> tuple[EntryPoint, ...]:
    try:
        found: Iterable[EntryPoint] = entry_points(group=group)
    except Exception:  # noqa: BLE001 - one damaged package must not hide the others
        found = (point for package in distributions() for point in _points_of(package) if point.group == group)
    return tuple(dict.fromkeys(found))


def _points_of(package: Distribution) -> Iterable[EntryPoint]:
    try:
        return package.entry_points
    except Exception:  # noqa: BLE001 - a damaged package may raise anything
        return ()


def folders(group: str) -> Iterator[Path]:
    """Find the folders of a group's modules without importing them. A module that cannot be found is skipped."""
    for point in installed(group):
        with suppress(Exception, SystemExit):
            spec = importlib.util.find_spec(point.module)
            if spec is not None and spec.origin is not None:
                yield Path(spec.origin).parent


def owners(group: str, bundled: Iterable[str]) -> dict[str, list[str]]:
    """Who defines each name: ``bundled``, or the target of an entry point."""
    found = {name: ["bundled"] for name in bundled}
    for point in installed(group):
        found.setdefault(point.name, []).append(point.value)
    return found


def require_one_owner(what: str, name: str, owned: Mapping[str, list[str]]) -> None:
    """Raise :class:`UsageError` if two packages define a name."""
    found = owned.get(name, [])
    if len(found) > 1:
        raise UsageError(f"two packages define the {what} {name!r}: {' and '.join(found)}; uninstall one")


@contextmanager
def loading(what: str, name: str) -> Iterator[None]:
    """Turn any exception or exit of a plug-in's code during import into a :class:`UsageError`."""
    try:
        yield
    except JudgebenchError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"the {what} {name!r} cannot be loaded: {type(error).__name__}: {error}") from error
