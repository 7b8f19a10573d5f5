"""How a task is found: the bundled folders, entry points of installed packages, or a file.

``__path__`` makes this module a package whose submodules are the folders under ``tasks/``, so
``judgebench.tasks.alpacaeval.task`` is the same import in a wheel, an editable install and a bare checkout.
Listing imports nothing; a task that fails to import fails loudly when chosen and hides no other.
"""

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import msgspec

from judgebench.errors import UsageError
from judgebench.resources import folder_module, import_from_folder, resource
from judgebench.task import Task

__path__ = [str(resource("tasks"))]

ENTRY_POINTS = "judgebench.tasks"


class TaskSpec(msgspec.Struct, frozen=True):
    """``name@version:key=value,…`` as given to ``--tasks``."""

    name: str
    version: str | None = None
    options: dict[str, str] = {}


def parse_specs(text: str) -> list[TaskSpec]:
    """Split ``--tasks``: commas separate tasks, and also the options of one task.

    >>> [spec.name for spec in parse_specs("alpacaeval@1:order=both,seed=1,gsm8k")]
    ['alpacaeval', 'gsm8k']
    """
    pieces: list[str] = []
    for piece in filter(None, (part.strip() for part in text.split(","))):
        continues = pieces and "=" in piece and ":" not in piece.split("=")[0]
        if continues and ":" in pieces[-1]:
            pieces[-1] += "," + piece
        else:
            pieces.append(piece)
    if not pieces:
        raise UsageError(f"--tasks names no task; known tasks: {', '.join(names())}")
    return [_parse_spec(piece) for piece in pieces]


def parse_one_spec(text: str) -> TaskSpec:
    """The spec of a command that takes one task."""
    specs = parse_specs(text)
    if len(specs) > 1:
        raise UsageError(f"{text!r} names {len(specs)} tasks; this command takes one task at a time")
    return specs[0]


def _parse_spec(piece: str) -> TaskSpec:
    match = re.fullmatch(r"(?P<name>[^@:]+)(?:@(?P<version>[^:]+))?(?::(?P<options>.*))?", piece)
    if match is None:
        raise UsageError(f"--tasks {piece!r} is not NAME[@VERSION][:KEY=VALUE,…]")
    options = {}
    for pair in filter(None, (match["options"] or "").split(",")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--tasks {piece!r}: the option {pair!r} is not KEY=VALUE")
        options[key.strip()] = value.strip()
    return TaskSpec(match["name"], match["version"], options)


def folder(name: str) -> Path:
    """A bundled task's folder, which holds its ``sources.toml`` and starter set."""
    return Path(__path__[0]) / name


def names() -> list[str]:
    """All tasks that can be named, sorted; a name taken twice is a :class:`UsageError` naming both owners."""
    owners = _owners()
    for name in owners:
        _require_one_owner(name, owners)
    return sorted(owners)


def load(spec: TaskSpec, *, starter: bool = False, **settings: Any) -> tuple[Task, Path]:
    """The task that a spec names and the folder of its files.

    Raises :class:`UsageError` for an unknown name, version or option, or a plug-in that fails to import.
    """
    factory, place = _factory(spec.name)
    return factory(version=spec.version, options=spec.options, starter=starter, **settings), place


def _bundled() -> list[str]:
    return sorted(path.parent.name for path in Path(__path__[0]).glob("*/task.py"))


def _owners() -> dict[str, list[str]]:
    owners = {name: ["bundled"] for name in _bundled()}
    for point in entry_points(group=ENTRY_POINTS):
        owners.setdefault(point.name, []).append(point.value)
    return owners


def _require_one_owner(name: str, owners: Mapping[str, list[str]]) -> None:
    found = owners.get(name, [])
    if len(found) > 1:
        raise UsageError(f"two packages define the task {name!r}: {' and '.join(found)}; uninstall one")


def _factory(name: str) -> tuple[Callable[..., Task], Path]:
    _require_one_owner(name, _owners())
    points: Mapping[str, EntryPoint] = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    try:
        if name in _bundled():
            module = importlib.import_module(f"judgebench.tasks.{name}.task")
            return module.task, folder(name)
        if name in points:
            factory = points[name].load()
            return factory, Path(sys.modules[factory.__module__].__file__ or ".").parent
        if name.endswith(".py") and Path(name).is_file():
            file = Path(name).resolve()
            return import_from_folder(folder_module(file), file).task, file.parent
    except Exception as error:
        raise UsageError(f"the task {name!r} cannot be loaded: {type(error).__name__}: {error}") from error
    raise UsageError(f"no task is called {name!r}; known tasks: {', '.join(names())}, or a path to a task.py")
