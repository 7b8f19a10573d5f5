"""How the last session of a run judged, as its manifest says, and what of that may be taken from there.

A run folder may come from anyone: nothing in it chooses a host, a key, a file or code.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import msgspec

from judgebench.errors import UsageError
from judgebench.judges import MOST_REASKS
from judgebench.models.opening import parse_model
from judgebench.run.folder import Manifest, RunFolder
from judgebench.run.settings import Settings

TRUSTED_ARGUMENTS = ("api", "max_attempts", "reasoning_effort", "timeout_seconds", "usd_per_million")
"""Arguments of a judge's backend that a manifest may give: none that names a host, a key, a file or code."""


class KeptJudging(msgspec.Struct, frozen=True, kw_only=True):
    """How a session judged, read from its settings."""

    judges: tuple[str, ...] = ()
    judge_args: dict[str, str] = {}
    judge_file_args: dict[str, str] = {}
    judge_gen: dict[str, str] = {}
    judge_repeats: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    reask: Annotated[int, msgspec.Meta(ge=0, le=MOST_REASKS)] | None = None
    judge_concurrency: Annotated[int, msgspec.Meta(ge=1, le=100_000)] | None = None
    api_key_env: str | None = None
    rpm: Annotated[float, msgspec.Meta(gt=0)] | None = None
    tpm: Annotated[float, msgspec.Meta(gt=0)] | None = None
    budget: Annotated[float, msgspec.Meta(ge=0)] | None = None
    cascade: str | None = None
    dear: str | None = None
    dear_share: float | None = None
    dear_args: dict[str, str] = {}
    stop_when: str | None = None

    def __post_init__(self) -> None:
        """Forget how many processes asked: that is for the machine that goes on, and changes no verdict."""
        for arguments in (self.judge_args, self.judge_file_args, self.dear_args):
            arguments.pop("replicas", None)

    @property
    def arguments(self) -> dict[str, str]:
        """The arguments of the judges' backends: a judge file's, and the user's, which override them."""
        return {**self.judge_file_args, **self.judge_args}


def kept_judging(folder: RunFolder, manifest: Manifest) -> KeptJudging:
    """How the last session of a run judged."""
    sessions = manifest.sessions
    try:
        return msgspec.convert(sessions[-1].config if sessions else {}, KeptJudging)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"{folder.manifest_path} is damaged: judgebench does not write such settings of a session ({error})"
        ) from error


def as_before(folder: RunFolder, manifest: Manifest, settings: Settings) -> Settings:
    """The settings to judge the rest of a run with: with the judge of its last session, unless the user names one."""
    if settings.judges or not any(task.judge_models for task in manifest.tasks.values()):
        return settings
    kept = kept_judging(folder, manifest)
    if not kept.judges:
        return settings
    require_trusted(kept, "the rest of the run", folder.path, settings)
    return replace(
        settings,
        judges=kept.judges,
        judge_args={**kept.arguments, **settings.judge_args},
        judge_gen={**kept.judge_gen, **settings.judge_gen},
        judge_repeats=kept.judge_repeats if settings.judge_repeats == 1 else settings.judge_repeats,
        reask=kept.reask if settings.reask is None else settings.reask,
        **(_cascade_of(kept, settings) if settings.cascade is None else {}),
    )


def _cascade_of(kept: KeptJudging, settings: Settings) -> dict[str, Any]:
    """The settings of the cascade that a session had, if it had one."""
    if kept.cascade is None:
        return {}
    return {
        "cascade": kept.cascade,
        "dear": kept.dear,
        "dear_share": kept.dear_share,
        "dear_args": {**kept.dear_args, **settings.dear_args},
        "stop_when": kept.stop_when,
    }


def require_trusted(kept: KeptJudging, what: str, run: Path, settings: Settings) -> None:
    """Raise :class:`UsageError` if only the user may choose this judge."""
    every, arguments = (*kept.judges, *filter(None, [kept.cascade])), (kept.arguments, kept.dear_args)
    doubts = [f"judges with {text}" for text in every if not _trusted(text)]
    doubts += [
        f"gives {name}={value}" for given in arguments for name, value in given.items() if name not in TRUSTED_ARGUMENTS
    ]
    if kept.api_key_env is not None and settings.api_key_env is None:
        doubts.append(f"takes the key from {kept.api_key_env}")
    if doubts:
        raise UsageError(
            f"{what} would be judged as {run} was, which {', '.join(doubts)}. A run folder may come "
            f"from anyone, so it cannot choose a checkpoint, another host, a key or code. If you want this judge, name "
            f"it with --judge{', --cascade and --dear' if kept.cascade else ''}, and what it needs with --judge-arg "
            f"and --api-key-env"
        )


def _trusted(text: str) -> bool:
    """Whether a manifest may choose this judge: a vendor's model, a server on this machine or the built-in one."""
    spec, _ = parse_model(text)
    return spec.backend.trusts(spec.target)
