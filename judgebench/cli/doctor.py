"""``doctor``: what this machine can run, and the one command that mends each gap."""

import importlib
import importlib.util
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from judgebench.cli import options
from judgebench.errors import DISTRIBUTION, UsageError, installing

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "HF_TOKEN")
ENGINES = {
    "torch": ("local", "no local models"),
    "transformers": ("local", "no local models"),
    "peft": ("local", "no adapters on local models"),
    "vllm": ("vllm", "checkpoints are answered by transformers"),
    "ray": ("ray", "one engine at a time, no --replicas"),
    "tiktoken": ("style", "no token lengths for Arena-Hard's style control"),
}
"""Package → the extra that brings it, and what is missing without it."""


class Check(NamedTuple):
    """One thing that was looked for."""

    check: str
    found: str
    mend: str = ""
    """The command that mends it; empty if nothing is wrong."""


def doctor(
    mirror: options.Mirror = [],  # noqa: B006 - typer reads the default and copies it
    json: options.Json = False,
) -> None:
    """Check the installation: engines, devices, keys (whether they are set, never their values), files, cache."""
    from judgebench.cli.rendering import print_lines

    checks = [*_engines(), *_backends(), *_keys(), _prices(), _sandbox(), _cache(), *_sources(mirror)]
    lines = (f"{name}: {found}" + (f"  →  {mend}" if mend else "") for name, found, mend in checks)
    print_lines([check._asdict() for check in checks], lines, as_json=json, prose=True)


def _engines() -> list[Check]:
    rows = [Check("judgebench", str(installed_version(DISTRIBUTION)))]
    found = {name: installed_version(name) for name in ENGINES}
    for name, (extra, lacking) in ENGINES.items():
        mend = "" if found[name] else installing(extra)
        rows.append(Check(name, found[name] or f"not installed: {lacking}", mend))
    return [*rows, _smollm2(), *_devices(found)]


def _smollm2() -> Check:
    """The built-in model that a package carries."""
    from judgebench.models.call_store import default_cache_dir
    from judgebench.models.local import smollm2

    try:
        source = smollm2.packaged_gguf()
    except UsageError:
        return Check("builtin:smollm2", "not installed: no real model without a hub", smollm2.INSTALL)
    ready = smollm2.is_converted(default_cache_dir() / "models")
    return Check("builtin:smollm2", f"{source.name}, {'converted' if ready else 'converted when it is first used'}")


def installed_version(name: str) -> str | None:
    """The version of a package that can be imported; ``None`` if it is not there."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        if importlib.util.find_spec(name) is None:
            return None
    try:
        # vLLM's build for CPUs is installed under another name.
        return str(importlib.import_module(name).__version__)
    except Exception as error:  # noqa: BLE001 - a plugin import: whatever is wrong with it is the answer
        return f"installed, but it cannot be imported ({type(error).__name__}: {str(error).partition(chr(10))[0]})"


def _devices(found: Mapping[str, str | None]) -> list[Check]:
    """Processors, memory and accelerators, and where a checkpoint would be answered."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rows = [Check("processor", f"{cores} cores, {_free_memory()} of memory free")]
    checkpoint = "a checkpoint (--model PATH)"
    if not found["torch"] or not found["transformers"]:
        return [*rows, Check(checkpoint, "cannot be answered here", installing("local"))]
    import torch

    from judgebench.models.opening.backends import VLLM, engine_here

    cards = [
        f"{torch.cuda.get_device_name(number)}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free"
        for number in range(torch.cuda.device_count())
        for free, total in [torch.cuda.mem_get_info(number)]
    ]
    if torch.backends.mps.is_available():
        cards.append("Apple MPS")
    rows += [Check(f"accelerator {number}", card) for number, card in enumerate(cards)] or [
        Check("accelerator", "none")
    ]
    engine = "vLLM" if engine_here() is VLLM else "transformers"
    return [*rows, Check(checkpoint, f"by {engine}, on {'the accelerator' if cards else 'the CPU'}")]


def _backends() -> list[Check]:
    """The backends that installed packages bring, and whether each can be used."""
    from judgebench.data import plugins
    from judgebench.models.opening import backends

    rows = []
    for point in plugins.installed(backends.ENTRY_POINTS):
        package = point.dist.name if point.dist else point.value
        found, usable = f"of {package}", point.name not in backends.BUNDLED
        if not usable:
            found += ", never used: judgebench has one of this name"
        try:
            backends.find(point.name)
        except UsageError as error:
            found, usable = str(error), False
        rows.append(Check(f"backend {point.name}", found, "" if usable else f"pip uninstall {package}"))
    return rows


def _free_memory() -> str:
    try:
        return f"{os.sysconf('SC_AVPHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"
    except (ValueError, OSError, AttributeError):
        return "an unknown amount"


def _keys() -> list[Check]:
    mend = "export {}=… if a model or file needs it"
    return [Check(name, "set") if os.environ.get(name) else Check(name, "not set", mend.format(name)) for name in KEYS]


def _prices() -> Check:
    """How old the vendors' price lists are."""
    from judgebench.models.vendors import STALE_DAYS, price_lists, vendors

    oldest = max(price_lists().values(), key=lambda prices: prices.age_days)
    sellers = ", ".join(vendors()[name].title for name in price_lists())
    found = f"of {sellers}; the oldest is of {oldest.as_of}"
    stale = oldest.age_days > STALE_DAYS
    return Check(
        "prices",
        f"{found}, {oldest.age_days} days ago" if stale else found,
        "install a newer judgebench, or give usd_per_million=IN/OUT" if stale else "",
    )


def _sandbox() -> Check:
    """Where answers would be run, in benchmarks whose answers are programs."""
    from judgebench.grading.sandbox import why_not

    why = why_not()
    return Check("sandbox", "bubblewrap") if why is None else Check("sandbox", f"none: {why}", "apt install bubblewrap")


def _cache() -> Check:
    from judgebench.models.call_store import default_cache_dir

    folder = default_cache_dir()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free / 2**30
    writable = os.access(existing, os.W_OK)
    mend = "" if writable else "export JUDGEBENCH_CACHE=FOLDER that you can write to"
    return Check("cache", f"{folder}, {free:.0f} GiB free" + ("" if writable else ", not writable"), mend)


def _sources(mirror: list[Path]) -> list[Check]:
    from judgebench import tasks
    from judgebench.cli.data import finder_of
    from judgebench.data.sources import missing_sources, read_sources

    finder = finder_of(mirror, offline=True)
    rows = []
    for name in tasks.names():
        sources = read_sources(tasks.folder(name)).values()
        places = {source.name: finder.locate(source) for source in sources}
        missing = missing_sources(sources, places)
        standins = [source for source, place in places.items() if place == "stand-in"]
        found = f"{len(missing)} of {len(places)} files missing" if missing else "all official files are here"
        found += f", {len(standins)} a stand-in" if standins else ""
        rows.append(Check(f"task {name}", found, f"judgebench data fetch {name}" if missing else ""))
    return rows
