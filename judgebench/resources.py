"""Where the bundled folders lie: ``tasks/``, ``templates/`` and ``leaderboards/``.

In a wheel they are under ``judgebench/_data``; in a checkout or an editable install, beside the package.
"""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def resource(name: str) -> Path:
    """Folder of bundled data by its top-level name; ``FileNotFoundError`` if the installation lacks it."""
    for parent in (PACKAGE / "_data", PACKAGE.parent):
        folder = parent / name
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"this installation of judgebench has no {name!r} folder; reinstall it")
