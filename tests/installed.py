"""Packages that bring plug-ins, laid out on disk as an installer leaves them."""

from pathlib import Path


def install(folder: Path, package: str, group: str, points: str, code: str) -> None:
    """A package of one module, ``PACKAGE_plugin``, with its entry points, in a folder where Python finds packages."""
    (folder / f"{package}_plugin.py").write_text(code)
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{points}\n")
