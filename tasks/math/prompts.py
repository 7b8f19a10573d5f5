"""MATH's prompts: a zero-shot prompt of our own, or lm-eval's Minerva context of four worked examples.

The context's form follows EleutherAI/lm-evaluation-harness 0.4.13, ``lm_eval/tasks/minerva_math/``. The examples are
other people's sentences, so they come from the pinned file.
"""

import ast
from collections.abc import Sequence

import msgspec

from judgebench.data.prompts import fill
from judgebench.errors import UsageError
from judgebench.records import Message

STOPS: dict[str, tuple[str, ...]] = {"chat": (), "minerva4": ("Problem:",)}
STARTER_CLOSING = "\nFinal Answer: The final answer is ${answer}$. I hope it is correct."
"""How upstream's worked examples end, which the Minerva rule looks for."""
CHAT_PROMPT = r"""{problem}

Work through this step by step. State the result once more at the very end, inside \boxed{}."""
"""Ours."""


class Exemplar(msgspec.Struct, frozen=True):
    """One worked example."""

    problem: str
    solution: str


class _Reconstruction(msgspec.Struct, frozen=True):
    exemplars: tuple[Exemplar, ...] = msgspec.field(name="v3.1")


def read_exemplars(data: bytes) -> tuple[Exemplar, ...]:
    """Read the list that ``list_fewshot_samples`` returns in lm-eval's module, without running it; or read JSON, with
    the list under ``v3.1``.
    """
    try:
        if data.lstrip()[:1] == b"{":
            return msgspec.json.decode(data, type=_Reconstruction).exemplars
        functions = [node for node in ast.parse(data).body if isinstance(node, ast.FunctionDef)]
        (returned,) = (
            node.value
            for function in functions
            if function.name == "list_fewshot_samples"
            for node in function.body
            if isinstance(node, ast.Return) and node.value
        )
        return msgspec.convert(ast.literal_eval(returned), tuple[Exemplar, ...])
    except (msgspec.DecodeError, msgspec.ValidationError, SyntaxError, ValueError) as error:
        raise UsageError(f"the file of worked examples does not have lm-eval's form: {error}") from error


def minerva(problem: str, exemplars: Sequence[Exemplar]) -> tuple[Message, ...]:
    """lm-eval's ``minerva_math``."""
    shots = [f"{_asked(exemplar.problem)} {exemplar.solution}\n\n" for exemplar in exemplars]
    return (Message(role="user", content="".join((*shots, _asked(problem)))),)


def _asked(problem: str) -> str:
    return f"Problem:\n{problem}\n\nSolution:"


def chat(problem: str) -> tuple[Message, ...]:
    """Zero-shot, in our words."""
    return (Message(role="user", content=fill(CHAT_PROMPT, {"{problem}": problem})),)
