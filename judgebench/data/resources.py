"""Where the bundled folders lie: ``tasks/``, ``templates/`` and ``leaderboards/``.

In a wheel they are under ``judgebench/_data``; in a checkout or an editable install, beside the package.
"""

import hashlib
import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

PACKAGE = Path(__file__).resolve().parents[1]
OUTSIDE = "judgebench_task_"
"""How the packages begin that stand for task folders outside every package."""


def resource(name: str) -> Path:
    """Folder of bundled data by its top-level name; ``FileNotFoundError`` if the installation lacks it."""
    for parent in (PACKAGE / "_data", PACKAGE.parent):
        folder = parent / name
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"this installation of judgebench has no {name!r} folder; reinstall it")


def folder_module(file: Path, content: str = "") -> str:
    """The name under which a Python file of a task folder outside every package is imported.

    ``content`` tells one state of the folder from the next, so that a file that was changed is imported anew.
    """
    place = hashlib.sha256(f"{file.parent}{content}".encode()).hexdigest()[:8]
    return f"{OUTSIDE}{re.sub(r'[^0-9a-zA-Z_]', '_', file.parent.name)}_{place}.{file.stem}"


def import_from_folder(module: str, file: Path) -> ModuleType:
    """Import a file by its name of :func:`folder_module`. Its folder is a package, so it may import its siblings."""
    package = module.rpartition(".")[0]
    if package not in sys.modules:
        parent = ModuleType(package)
        parent.__path__ = [str(file.parent)]
        sys.modules[package] = parent
    return importlib.import_module(module)
