"""Policies: how much a candidate may lose against a baseline. They are TOML files, checked before any comparison.

How the verdicts follow from a policy is in ``verdicts`` and ``sequential``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Literal

import msgspec

from judgebench.analysis.comparison_records import Adjust
from judgebench.data.toml_errors import in_words
from judgebench.display import did_you_mean
from judgebench.errors import UsageError
from judgebench.files import read_toml
from judgebench.records import PREDICTED
from judgebench.run.loading import MISSING_LIMIT
from judgebench.run.settings import PathLike

Tier = Literal["block", "warn"]


class Defaults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[defaults]`` of a policy."""

    max_drop: float | None = None
    """Largest loss that is accepted, in the metric's unit; ``None``: only tasks with one of their own are gated."""
    alpha: float = 0.05
    adjust: Adjust = "holm"
    """How the p-values of FAIL are adjusted for the number of checks."""
    min_n: int = 30
    """Items below which nothing is decided: the t distribution needs some."""
    max_unread: float = MISSING_LIMIT
    """Share of the items without a value, in either run, above which nothing passes."""


class TaskPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[tasks.NAME]`` of a policy."""

    metric: str | None = None
    """The task's headline unless given."""
    tier: Tier = "block"
    """``block`` decides the gate; ``warn`` is shown and decides nothing."""
    max_drop: float | None = None


def require_measured(metric: str | None) -> None:
    """Raise :class:`UsageError` for a metric that a judge bridge predicts: nobody measured it."""
    if metric is not None and metric.endswith(PREDICTED):
        raise UsageError(
            f"a gate decides about measured numbers, and {metric!r:.100} is predicted by a judge bridge; gate "
            f"{metric.removesuffix(PREDICTED)!r:.80}, which the run's own judge measured"
        )


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a candidate has to show to take a baseline's place."""

    defaults: Defaults = Defaults()
    tasks: dict[str, TaskPolicy] = {}
    """By task, with or without its version."""


@dataclass(frozen=True)
class Demand:
    """What a policy demands of one task of a candidate."""

    metric: str | None
    tier: Tier
    max_drop: float
    defaults: Defaults
    named: bool
    """Whether the policy names the task, rather than meaning every task."""


def policy_of(policy: PathLike | Policy | None, max_drop: float | None) -> Policy:
    """Return the policy given, or one that accepts a loss of ``max_drop``; exactly one of the two is needed."""
    if (policy is None) == (max_drop is None):
        found = "neither is given" if policy is None else "both given"
        raise UsageError(f"say how much may be lost, in one of the two ways, --max-drop or --policy: {found}")
    if policy is None:
        return checked(Policy(defaults=Defaults(max_drop=max_drop)), "max_drop")
    return policy if isinstance(policy, Policy) else read_policy(Path(policy))


def read_policy(path: Path) -> Policy:
    """Read a policy file (TOML). Raise :class:`UsageError` with the file and the wrong key if it is not valid."""
    read = read_toml(path, "the policy")
    try:
        policy = msgspec.convert(read, Policy)
    except msgspec.ValidationError as error:
        known = "[defaults] max_drop alpha adjust min_n max_unread; [tasks.NAME] metric tier max_drop"
        raise UsageError(
            f"the policy {path} is not valid: {_unknown_key(read) or _in_toml(error)}. A policy holds {known}"
        ) from error
    return checked(policy, str(path))


def _unknown_key(read: Mapping[str, Any]) -> str:
    """The first key of a policy that there is not, with its table and the nearest key; empty if all are known."""
    tasks = read.get("tasks")
    tables: dict[str, tuple[Any, type[msgspec.Struct]]] = {"defaults": (read.get("defaults"), Defaults)}
    tables |= {
        f"tasks.{name}": (table, TaskPolicy) for name, table in (tasks if isinstance(tasks, dict) else {}).items()
    }
    for name, (table, kind) in tables.items():
        for key in table if isinstance(table, dict) else ():
            known = kind.__struct_fields__
            if key not in known:
                return f"[{name}] has no key {key!r:.80}{did_you_mean(key, known)}"
    return ""


def _in_toml(error: msgspec.ValidationError) -> str:
    """Spell the key of an error as the file does: ``$.defaults.alpha`` is ``defaults.alpha``."""
    why, _, place = str(error).partition(" - at `$")
    return f"{place.rstrip('`').lstrip('.') or 'it'} {in_words(why)}"


def checked(policy: Policy, where: str) -> Policy:
    """Return the policy if its numbers make sense; ``where`` names the file, or the flags."""
    defaults = policy.defaults
    drops = {"defaults.max_drop": defaults.max_drop}
    drops |= {f"tasks.{name}.max_drop": task.max_drop for name, task in policy.tasks.items()}
    for key, drop in drops.items():
        if drop is not None and not 0 <= drop < inf:
            raise UsageError(f"{where}: {key} = {drop} is not a loss; give 0 or more, in the metric's unit")
    if not 0 < defaults.alpha < 0.5:
        raise UsageError(
            f"{where}: defaults.alpha = {defaults.alpha} is not an error rate; give one above 0 and below 0.5"
        )
    if defaults.min_n < 2:
        raise UsageError(f"{where}: defaults.min_n = {defaults.min_n} is too few; give 2 or more")
    if not 0 <= defaults.max_unread <= 1:
        raise UsageError(f"{where}: defaults.max_unread = {defaults.max_unread} is not a share; give one from 0 to 1")
    return policy
