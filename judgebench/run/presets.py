"""Reads presets: how papers sampled their answers for each benchmark, from ``templates/presets/NAME.toml``."""

import tomllib
from typing import Any

import msgspec

from judgebench.data.resources import resource
from judgebench.display import did_you_mean
from judgebench.errors import UsageError
from judgebench.run.settings import Settings


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """How a paper sampled its answers."""

    name: str
    about: str
    source: str
    """Where the figures come from, with a commit."""
    sampling: dict[str, dict[str, float]]
    """Task name → setting → value."""


def names() -> list[str]:
    """Return the names of all presets, sorted."""
    return sorted(path.stem for path in (resource("templates") / "presets").glob("*.toml"))


def load(name: str) -> Preset:
    """Load a preset. Raises :class:`UsageError`, which lists the names that exist, for any other name."""
    if name not in names():
        near = did_you_mean(name, names())
        raise UsageError(f"--preset {name!r} does not exist{near}; the presets are {', '.join(names())}")
    table: dict[str, Any] = tomllib.loads((resource("templates") / "presets" / f"{name}.toml").read_text("utf-8"))
    about, source = table.pop("about"), table.pop("source")
    return Preset(name=name, about=about, source=source, sampling=msgspec.convert(table, dict[str, dict[str, float]]))


def answer_settings(settings: Settings, task: str) -> dict[str, str]:
    """Return the sampling settings that override a task's own: those of ``--preset``, overridden by ``--gen``."""
    preset = load(settings.preset).sampling.get(task, {}) if settings.preset else {}
    return {**{key: f"{value:g}" for key, value in preset.items()}, **settings.gen}


def require_use(settings: Settings, tasks: list[str]) -> None:
    """Raise :class:`UsageError` if the preset is for none of the tasks."""
    if settings.preset and not any(task in load(settings.preset).sampling for task in tasks):
        known = ", ".join(sorted(load(settings.preset).sampling))
        raise UsageError(f"--preset {settings.preset} is for {known}, not for {', '.join(tasks)}")
