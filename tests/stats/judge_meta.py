"""Reads the shared data of judge_meta for the tests of statistics."""

import gzip
import json
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.shared_data import SharedData

FOLDER = SharedData("judge_meta")

SUBSETS = ("natural", "neighbor", "gptinst", "gptout", "manual")
"""LLMBar's 419 instances, in the order of the expected numbers."""


@cache
def expected(topic: str, folder: str = "stats") -> Any:
    """The expected numbers of one topic."""
    return json.loads((FOLDER / folder / "expected.json").read_text())[topic]


@cache
def lines(name: str) -> tuple[dict[str, Any], ...]:
    """The records of a file such as ``pandalm/cross_annotations``."""
    with gzip.open(FOLDER / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return tuple(json.loads(line) for line in file)


def llmbar_labels(subset: str) -> NDArray[np.int64]:
    """Gold, 1 or 2."""
    return np.array([line["label"] for line in lines("llmbar/instances") if line["subset"] == subset])


def llmbar_votes(evaluator: str, subset: str, order: str) -> NDArray[np.int64]:
    """An evaluator's winners in one order of presentation: 1, 2, or 0 where it could not be read."""
    (found,) = (
        line for line in lines("llmbar/decisions") if (line["subset"], line["evaluator"]) == (subset, evaluator)
    )
    return np.array([int(winner) if winner in "12" else 0 for winner in found[order]])
