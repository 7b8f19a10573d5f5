"""The bundled folders ``tasks/``, ``templates/`` and ``leaderboards/``, and the import of files in task folders.

In a wheel the folders are in ``judgebench/_data``; in a checkout or an editable install, beside the package.
"""

import hashlib
import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

PACKAGE = Path(__file__).resolve().parents[1]
OUTSIDE = "judgebench_task_"
"""Prefix of the synthetic package name given to an external task folder."""


def resource(name: str) -> Path:
    """The folder of bundled data with this name. Raises ``FileNotFoundError`` if the installation lacks it."""
    for parent in (PACKAGE / "_data", PACKAGE.parent):
        folder = parent / name
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"this installation of judgebench has no {name!r} folder; reinstall it")


def folder_module(file: Path, content: str = "") -> str:
    """The module name under which a Python file of an external task folder is imported.

    ``content`` distinguishes states of the folder, so that a changed file is imported again.
    """
    place = hashlib.sha256(f"{file.parent}{content}".encode()).hexdigest()[:8]
    return f"{OUTSIDE}{re.sub(r'[^0-9a-zA-Z_]', '_', file.parent.name)}_{place}.{file.stem}"


def import_from_folder(module: str, file: Path) -> ModuleType:
    """Import a file by its :func:`folder_module` name. Its folder is a package, so it may import its siblings."""
    package = module.rpartition(".")[0]
    if package not in sys.modules:
        parent = ModuleType(package)
        parent.__path__ = [str(file.parent)]
        sys.modules[package] = parent
    return importlib.import_module(module)
