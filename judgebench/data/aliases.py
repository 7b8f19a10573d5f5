"""Names that people know from other harnesses: ``templates/aliases.toml`` says what each is called here."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache

from judgebench.data.resources import resource

Table = Mapping[str, str]
TASK_FLAGS = ("--tasks", "--task", "-t")
"""How tasks are spelled, in every command that is told of any."""


@dataclass(frozen=True)
class Aliases:
    """The tables of the file. Their keys are in lower case with underscores; a short flag is as it is typed."""

    tasks: Table
    same_names: Table
    """Our own names that mean something else elsewhere, and what to say of that."""
    unlike_lm_eval: Table
    """What lm-eval does otherwise without some flag, and what to say of it; ``flags`` are those of its users alone."""
    near_tasks: Table
    """Benchmarks without an exact equivalent, and what to do instead."""
    commands: Table
    """Commands that do not exist, and what to type instead."""
    flags: Table
    """Flags with a value, as templates with ``{value}``, or ``{pair}`` for each of a list of settings."""
    switches: Table
    task_options: Table
    """Flags that set an option of one task, as ``TASK:OPTION``."""
    task_of_flag: Table
    """Flags of harnesses that evaluate one benchmark alone, and what that is called here."""
    task_values: Table
    always: Table
    """Flags for what is always so, with what that is."""
    instead: Table
    """Flags without an equivalent, and what to do instead."""
    shots: Mapping[str, int]
    """Worked examples in the prompts of a task."""
    sampling: Table
    backend_settings: Table
    vendors: Sequence[Table]
    """Models that only a vendor serves: its ``organisation`` on a hub, a pattern of its ``models``, and the ``spec`` of
    one, or what to do ``instead``.
    """
    endpoints: Table
    """Backends that ask an endpoint for the model that ``model=NAME`` names, and what they are called here."""


@cache
def aliases() -> Aliases:
    """Read the tables."""
    tables = tomllib.loads((resource("templates") / "aliases.toml").read_text(encoding="utf-8"))
    return Aliases(**{table.name: tables[table.name] for table in fields(Aliases)})


def key_of(name: str) -> str:
    """How a name stands in the tables.

    >>> key_of("Arena-Hard-v0.1")
    'arena_hard_v0.1'
    """
    return name.strip().lower().replace("-", "_")
