"""``builtin:smollm2`` for tests: the checkpoint, prompts, and what plain transformers answers to them.

Tests have caches of their own; the converted checkpoint is one for all of them, in the cache of pytest.
"""

import gzip
import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from judgebench import tasks
from judgebench.models.local.smollm2 import smollm2_checkpoint
from judgebench.tasks import TaskSpec
from tests.shared_data import SHARED

CONVERTED = Path(__file__).parents[2] / ".pytest_cache" / "models"
MAX_TOKENS = 24
"""Of a reply. It says seven tokens a second on a slow core."""


def share_checkpoint(cache: Path) -> Path:
    """Let the models of a test's cache be those that were converted before; gives the checkpoint's folder."""
    CONVERTED.mkdir(parents=True, exist_ok=True)
    cache.mkdir(exist_ok=True)
    (cache / "models").symlink_to(CONVERTED)
    return smollm2_checkpoint(cache / "models")


def starter_prompts(task: str, n: int) -> list[str]:
    """The first instructions of a starter set."""
    loaded, _ = tasks.load(TaskSpec(task), starter=True)
    return [example.instruction for example in loaded.load(lambda _: b"").examples[:n]]


def ifeval_prompts(n: int) -> list[str]:
    """The first of IFEval's own prompts. Without the data the test is left out."""
    lines = gzip.decompress((SHARED / "ifeval" / "prompts.jsonl.gz").read_bytes()).splitlines()
    return [json.loads(line)["prompt"] for line in lines[:n]]


class Plain:
    """The checkpoint in bare transformers, in float32: nothing of ours."""

    def __init__(self, folder: Path) -> None:
        self._torch, transformers = (importlib.import_module(name) for name in ("torch", "transformers"))
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder, padding_side="left")
        self._model: Any = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=self._torch.float32)

    def answers(self, prompts: Sequence[str]) -> list[str]:
        """Greedy answers to all of them, in one padded batch."""
        chats = [[{"role": "user", "content": prompt}] for prompt in prompts]
        texts = self._tokenizer.apply_chat_template(chats, tokenize=False, add_generation_prompt=True)
        batch = self._tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        with self._torch.no_grad():
            found = self._model.generate(**batch, max_new_tokens=MAX_TOKENS, do_sample=False)
        new = found[:, batch.input_ids.shape[1] :]
        return list(self._tokenizer.batch_decode(new, skip_special_tokens=True))


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint's folder."""
    return share_checkpoint(tmp_path_factory.mktemp("shared") / "cache")


@pytest.fixture(scope="module")
def plain(smollm2: Path) -> Plain:
    """What the engines are held to."""
    return Plain(smollm2)
