"""Finds the function of a user's that decides about answers, and hashes what it is made of.

Nothing is imported here: the function's module is somebody's code, and runs in the sandbox only.
"""

import hashlib
import importlib
import importlib.metadata
import importlib.util
import sys
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from judgebench.codec import canonical_hash
from judgebench.errors import UsageError

MOST_FILES = 2000
"""The most files of a package that lies outside the folders of installed ones."""
INSTALLED = ("site-packages", "dist-packages")


def place_of(function: str, folder: Path) -> str | None:
    """Where the package of ``package.module:name`` lies, its folder or its only file: in this folder, or installed.

    ``None`` means that there is no such package, or that Python itself has it.
    """
    importlib.invalidate_caches()
    package = function.partition(":")[0].partition(".")[0]
    beside = PathFinder.find_spec(package, [str(folder.resolve())])
    if beside is not None and beside.origin is not None:
        return _place(beside)
    if package in sys.stdlib_module_names:
        return None
    # A folder without __init__.py stands behind whatever else has its name.
    return _place(_installed(package) or beside)


def _installed(package: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(package)
    except ValueError:  # of a module that was made without a file
        return None


def _place(spec: ModuleSpec | None) -> str | None:
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or [])
    return folders[0] if folders else spec.origin if spec.has_location else None


def made_of(function: str, place: str | None) -> str:
    """What the verdicts of a function depend on, in a few words: a hash of its package's files. An installed package is
    told by its version and the source of the function's module.

    Raises :class:`UsageError` if the package has too many files.
    """
    if place is None:
        package = function.partition(":")[0].partition(".")[0]
        return "of Python itself" if package in sys.stdlib_module_names else "not found"
    root = Path(place)
    if root.parent.name not in INSTALLED:
        return canonical_hash(_hashes(root, _files(root)))
    version = _version(root.name.removesuffix(".py"))
    return " ".join(filter(None, [version, canonical_hash(_hashes(root, _module(function, root)))]))


def _files(root: Path) -> list[Path]:
    """All files of a package, data included, but for those that Python or other tools leave there."""
    if root.is_file():
        return [root]
    found = []
    for path in root.rglob("*"):
        parts = path.relative_to(root).parts
        if path.is_file() and "__pycache__" not in parts and not any(part.startswith(".") for part in parts):
            found.append(path)
        if len(found) > MOST_FILES:
            raise UsageError(
                f"{root} holds more than {MOST_FILES:,} files, and each may change a verdict of the function in it, so "
                "all of them count. Put the function into a package of its own"
            )
    return found


def _module(function: str, root: Path) -> list[Path]:
    """The file of the function's module in an installed package."""
    if root.is_file():
        return [root]
    inner = root.joinpath(*function.partition(":")[0].split(".")[1:])
    return [path for path in (inner.with_suffix(".py"), inner / "__init__.py") if path.is_file()]


def _hashes(root: Path, files: list[Path]) -> dict[str, str]:
    return {
        "" if path == root else path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def _version(package: str) -> str:
    """The installed distributions with this package, with their versions."""
    names = sorted(set(_distributions().get(package, [])))
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


@cache
def _distributions() -> "dict[str, list[str]]":
    return dict(importlib.metadata.packages_distributions())
