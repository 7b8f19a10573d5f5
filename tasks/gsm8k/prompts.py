"""GSM8K's prompts: the few-shot contexts of lm-eval's gsm8k tasks, and a zero-shot prompt of our own.

Formats follow EleutherAI/lm-evaluation-harness 0.4.13, ``lm_eval/tasks/gsm8k/``. The exemplars, and the instruction of
the Llama variant, are other people's sentences, so they come from the pinned files.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import msgspec
import yaml

from judgebench.data.prompts import fill
from judgebench.errors import UsageError
from judgebench.records import Message
from judgebench.task.items import read_items

SHOTS = 5
SHOT_SEED = 1234
"""lm-eval's default few-shot seed."""

STOPS: dict[str, tuple[str, ...]] = {
    "cot8": ("Q:", "</s>", "<|im_end|>"),
    "5shot": ("Question:", "</s>", "<|im_end|>"),
    "cot-llama": ("<|eot_id|>", "<|start_header_id|>user<|end_header_id|>", "Q:", "</s>", "<|im_end|>"),
    "chat": (),
}

CHAT_PROMPT = """{question}

Solve this step by step. Then write the result on a line of its own that starts with "#### " and holds nothing else \
but the number: no unit, no currency sign, no comma."""
"""Ours. It asks for GSM8K's own mark because no rule of extraction misreads that."""
STARTER_INSTRUCTION = """Work out the answer to this problem, showing each step.
Problem: {{question}}
Close with the words "The final answer is" and the number.
"""
"""Ours, in place of the Llama variant's for the starter set."""


class Problem(msgspec.Struct, frozen=True):
    """One row of the official ``train.jsonl`` or ``test.jsonl``."""

    question: str
    answer: str
    """Rationale, then ``#### N`` on a line of its own."""


class Exemplar(msgspec.Struct, frozen=True):
    """One worked example of a fixed few-shot context."""

    question: str
    target: str


class _FewshotConfig(msgspec.Struct, frozen=True):
    samples: tuple[Exemplar, ...]


class _TaskFile(msgspec.Struct, frozen=True):
    fewshot_config: _FewshotConfig
    doc_to_text: str


class Fixed(msgspec.Struct, frozen=True):
    """The fixed part of a few-shot context."""

    exemplars: tuple[Exemplar, ...]
    template: str | None
    """The prompt of each question, with ``{{question}}`` in it; a list of exemplars alone has none."""


def read_fixed(data: bytes, name: str) -> Fixed:
    """Read a pinned task file of lm-eval's (YAML), or a list of its exemplars alone (JSON)."""
    try:
        if data.lstrip()[:1] == b"[":
            return Fixed(msgspec.json.decode(data, type=tuple[Exemplar, ...]), None)
        found = msgspec.convert(yaml.safe_load(data), _TaskFile)
    except (msgspec.DecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{name} is neither a task file of lm-eval's nor a list of exemplars: {error}") from error
    return Fixed(found.fewshot_config.samples, found.doc_to_text)


def drawn_shots(n_rows: int, pool: int) -> list[list[int]]:
    """Draw the rows of the training set that stand before each test row. One generator draws for all rows in turn, so a
    row's shots depend on its position, and a limit does not change the shots of the first rows.
    """
    generator = random.Random(SHOT_SEED)
    return [generator.sample(range(pool), SHOTS) for _ in range(n_rows)]


def _user(*texts: str) -> tuple[Message, ...]:
    return (Message(role="user", content="".join(texts)),)


def cot8(question: str, exemplars: Sequence[Exemplar]) -> tuple[Message, ...]:
    """lm-eval's ``gsm8k_cot``."""
    shots = [f"Q: {exemplar.question}\nA: {exemplar.target}\n\n" for exemplar in exemplars]
    return _user(*shots, f"Q: {question}\nA:")


def five_shot(question: str, shots: Sequence[Problem]) -> tuple[Message, ...]:
    """lm-eval's ``gsm8k``, with whole answers, calculator marks included."""
    return _user(
        *(f"Question: {shot.question}\nAnswer: {shot.answer}\n\n" for shot in shots), f"Question: {question}\nAnswer:"
    )


def cot_llama(question: str, exemplars: Sequence[Exemplar], template: str) -> tuple[Message, ...]:
    """lm-eval's ``gsm8k_cot_llama`` with its chat template and multi-turn few-shot switches on."""
    turns = []
    for exemplar in exemplars:
        turns.append(Message(role="user", content=_asked(template, exemplar.question)))
        turns.append(Message(role="assistant", content=exemplar.target))
    return (*turns, *_user(_asked(template, question)))


def _asked(template: str, question: str) -> str:
    return fill(template, {"{{question}}": question})


def chat(question: str) -> tuple[Message, ...]:
    """Zero-shot, in our words."""
    return _user(fill(CHAT_PROMPT, {"{question}": question}))


# -- starter set


class StarterProblem(Problem, frozen=True, forbid_unknown_fields=True):
    """One row of our own starter set, in the form of the official ones."""

    shot: bool = False
    """It is a worked example, which stands before the others and is not asked."""


def starter_rows() -> tuple[list[StarterProblem], list[StarterProblem]]:
    """Read the worked examples, and the problems to ask."""
    rows = read_items(Path(__file__).parent / "starter.jsonl", StarterProblem)
    return [row for row in rows if row.shot], [row for row in rows if not row.shot]


def starter_exemplars(shots: Sequence[Problem], ending: str) -> tuple[Exemplar, ...]:
    """The worked examples in the form of the fixed contexts, which end with a sentence: ``ending`` with ``{gold}``."""
    exemplars = []
    for shot in shots:
        rationale, _, gold = shot.answer.rpartition("\n#### ")
        exemplars.append(Exemplar(shot.question, rationale + " " + fill(ending, {"{gold}": gold})))
    return tuple(exemplars)
