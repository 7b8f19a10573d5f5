"""``doctor``: what this machine can run, and the one command that mends each gap."""

import os
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer

from judgebench.cli import options

KEYS = ("OPENAI_API_KEY", "HF_TOKEN")


def doctor(
    mirror: options.Mirror = [],  # noqa: B006 - typer reads the default and copies it
    json: options.Json = False,
) -> None:
    """Check the installation: engines, devices, keys (present or not, never their values), official files, cache."""
    from judgebench.cli.tables import print_json

    checks = [*_engines(), *_keys(), *_cache(), *_sources(mirror)]
    if json:
        print_json([dict(zip(("check", "found", "mend"), check, strict=True)) for check in checks])
        return
    for name, found, mend in checks:
        typer.echo(f"{name}: {found}" + (f"  →  {mend}" if mend else ""))


def _engines() -> list[tuple[str, str, str]]:
    rows = [("judgebench", version("judgebench"), "")]
    for name in ("torch", "transformers"):
        try:
            rows.append((name, version(name), ""))
        except PackageNotFoundError:
            rows.append((name, "not installed: no local models", "pip install 'judgebench[local]'"))
    if rows[1][2] == "":
        import torch

        accelerator = "none: local models run on the CPU"
        if torch.cuda.is_available():
            free, total = torch.cuda.mem_get_info()
            accelerator = f"{torch.cuda.get_device_name()}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free"
        elif torch.backends.mps.is_available():
            accelerator = "Apple MPS"
        rows.append(("accelerator", accelerator, ""))
    return rows


def _keys() -> list[tuple[str, str, str]]:
    return [
        (name, "set", "") if os.environ.get(name) else (name, "not set", f"export {name}=… if a model or file needs it")
        for name in KEYS
    ]


def _cache() -> list[tuple[str, str, str]]:
    from judgebench.cache import default_cache_dir

    folder = default_cache_dir()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free / 2**30
    writable = os.access(existing, os.W_OK)
    mend = "" if writable else "export JUDGEBENCH_CACHE=FOLDER that you can write to"
    return [("cache", f"{folder}, {free:.0f} GiB free" + ("" if writable else ", not writable"), mend)]


def _sources(mirror: list[Path]) -> list[tuple[str, str, str]]:
    from judgebench import tasks
    from judgebench.cache import default_cache_dir
    from judgebench.sources import SourceFinder, read_sources

    finder = SourceFinder(default_cache_dir(), options.mirrors(mirror), offline=True)
    rows = []
    for name in tasks.names():
        sources = read_sources(tasks.folder(name)).values()
        places = {source.name: finder.locate(source) for source in sources}
        missing = [source for source, place in places.items() if place is None]
        standins = [source for source, place in places.items() if place == "stand-in"]
        found = f"missing {', '.join(missing)}" if missing else "all official files are here"
        found += f"; only a stand-in for {', '.join(standins)}" if standins else ""
        rows.append((f"task {name}", found, f"judgebench data fetch {name}" if missing else ""))
    return rows
