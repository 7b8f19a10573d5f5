"""What a run is told, and how that changes a task's own settings."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from judgebench.errors import UsageError
from judgebench.records import Sampling
from judgebench.thinking import Thinking

MOST = 10**9
"""Of anything that is counted."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything a run is told; the flags of ``judgebench eval``."""

    tasks: str
    model: str | None = None
    judges: tuple[str, ...] = ()
    """Judge models; several are a jury. Empty: each judge's official model."""
    judge_repeats: int = 1
    out: Path | None = None
    runs: Path = Path("runs")
    limit: int | None = None
    ids: Path | None = None
    starter: bool = False
    baseline: str | None = None
    model_args: Mapping[str, str] = field(default_factory=dict)
    judge_args: Mapping[str, str] = field(default_factory=dict)
    preset: str | None = None
    """A paper's way to draw answers; ``gen`` is stronger."""
    gen: Mapping[str, str] = field(default_factory=dict)
    judge_gen: Mapping[str, str] = field(default_factory=dict)
    system: str | None = None
    chat_template: str | None = None
    thinking: str = "auto"
    think_tags: tuple[tuple[str, str], ...] = ()
    """Pairs of tags around a thinking part, beside those that are known."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """What an imported file calls our fields."""
    repeats: int = 1
    """Answers to ask for each example."""
    refine: tuple[str, ...] = ()
    """Prompts that each answer goes through, one after the other, before it counts."""
    stop_when: str | None = None
    """When enough is known to stop judging; see ``stopping.py``."""
    labels: Path | None = None
    """A few human verdicts on the answers; see ``labels.py``."""
    api_key_env: str | None = None
    concurrency: int | None = None
    judge_concurrency: int | None = None
    rpm: float | None = None
    tpm: float | None = None
    budget: float | None = None
    replicas: int = 1
    cluster: str | None = None
    """Address of a Ray cluster; ``None``: this machine."""
    offline: bool = False
    mirrors: tuple[Path, ...] = ()
    argv: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises :class:`UsageError` for a number that cannot be meant."""
        for name in ("limit", "repeats", "judge_repeats", "concurrency", "judge_concurrency", "replicas"):
            if isinstance(value := getattr(self, name), int) and value > MOST:
                raise UsageError(f"--{name.replace('_', '-')} is at most {MOST:,}")
        for name in ("rpm", "tpm", "budget"):
            if isinstance(value := getattr(self, name), float) and math.isnan(value):
                raise UsageError(f"--{name} nan is no number")
        sent = {"--system": self.system or "", "--gen": "".join(self.gen.values())}
        for flag, text in {**sent, "--judge-gen": "".join(self.judge_gen.values())}.items():
            try:
                text.encode()
            except UnicodeEncodeError as error:  # an argument that was not UTF-8
                raise UsageError(f"{flag} is no text that could be sent: {error}") from error

    @property
    def splitting(self) -> Thinking:
        """How the candidate's replies are split in thinking and answer."""
        return Thinking(self.thinking, self.think_tags)


def override_sampling(sampling: Sampling, given: Mapping[str, str], flag: str) -> Sampling:
    """The sampling with ``k=v`` settings changed; a :class:`UsageError` names the valid ones."""
    names = [name for name in Sampling.__struct_fields__ if name not in ("choices", "top_logprobs")]
    changes: dict[str, Any] = {}
    for key, text in given.items():
        if key not in names:
            raise UsageError(f"{flag} {key}={text}: there is no such setting; there are {', '.join(names)}")
        try:
            changes[key] = (text,) if key == "stop" else int(text) if key in ("max_tokens", "seed") else float(text)
        except ValueError as error:
            raise UsageError(f"{flag} {key}={text} is not valid: {error}") from error
    return msgspec.structs.replace(sampling, **changes)
