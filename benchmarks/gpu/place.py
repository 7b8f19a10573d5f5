"""What every part of ``benchmarks/gpu/run.sh`` is given, and how it prints its figure."""

import gc
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROMPTS = {"tiny": 6, "1B": 1024, "7B": 512}
ITEMS = 4
"""Items of each benchmark in a rehearsal; elsewhere all of them."""
REPLY = 256
"""Tokens of a reply to a benchmark at most: GSM8K's own limit. With IFEval's 1,280 the time would not do, because a
batch of lm-eval's takes as long as its longest reply."""


@dataclass(frozen=True)
class Place:
    """Where the checkpoint is, what it runs on, and how much there is to do."""

    folder: Path
    size: str
    device: str
    prompts: int
    items: int | None
    """Of each benchmark; None is all."""
    reply: int
    """Tokens of a reply to a benchmark at most."""
    real: Path | None = None
    """The checkpoint that answers benchmarks; None is ``builtin:smollm2``."""

    @classmethod
    def of(cls, folder: Path, size: str, device: str) -> "Place":
        """The usual amount of work for a size."""
        short = size == "tiny"
        return cls(folder, size, device, PROMPTS[size], ITEMS if short else None, 24 if short else REPLY)

    @property
    def model(self) -> Path:
        """The checkpoint."""
        return self.folder / "model"

    @property
    def short(self) -> bool:
        """Whether this is a rehearsal."""
        return self.size == "tiny"


def said(part: str, what: str, figure: float, wanted: str) -> float:
    """Print a part's figure beside the wanted one."""
    print(f"{part}: {what}; {figure:.3f} (wanted: {wanted})", flush=True)
    return figure


def left_out(part: str, why: object) -> None:
    """Say that a part has nothing to do, and why."""
    print(f"{part}: left out, {why}", flush=True)


def free(torch: Any) -> None:
    """Give back what nobody uses any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
