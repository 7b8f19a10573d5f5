"""How IFEval's rows look in lm-eval's files, which can be read and written."""

from collections.abc import Mapping
from typing import Any

from judgebench.data.rows import identifier
from judgebench.records import Example
from judgebench.task.lm_eval import LmEvalTask

from .metrics import RULES, TASK, of_prompts


def _document(example: Example) -> Mapping[str, Any]:
    return {
        "key": int(example.id) if example.id.isdecimal() else example.id,
        "prompt": example.instruction,
        "instruction_id_list": example.meta["instruction_ids"],
        "kwargs": example.meta["kwargs"],
    }


def _key(document: Mapping[str, Any]) -> str | None:
    return identifier(document.get("key"))


LM_EVAL = LmEvalTask(
    benchmark=TASK,
    name="ifeval",
    version=4.0,
    n_shot=0,
    metrics={f"{metric},none": metric for metric in RULES},
    lists=tuple(f"{metric},none" for metric in RULES if not of_prompts(metric)),
    document=_document,
    key=_key,
    target=lambda example: "0",
    others=("leaderboard_ifeval",),
)
"""Of version 1. ``leaderboard_ifeval`` is the same task in another group."""
