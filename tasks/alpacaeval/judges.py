"""AlpacaEval's judge prompts and reading rules. The prompts themselves are data, pulled at run time.

Sources: tatsu-lab/alpaca_eval@cd543a1:src/alpaca_eval/{utils.py,completion_parsers.py}.
"""

import ast
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from judgebench.codec import sha256_hex
from judgebench.errors import UsageError
from judgebench.judges.logprob import LogprobJudge
from judgebench.prompts import HousePrompt, distinctive_lines, fill
from judgebench.records import Case, Completion, Message, Request, Sampling, Verdict

PLACEHOLDERS = ("{instruction}", "{output_1}", "{output_2}")
LONGEST_RANKING = 20_000
"""Characters of a ranking reply that are parsed; real ones have about a hundred."""

LABEL_SAMPLING = Sampling(temperature=1.0, top_p=1.0, max_tokens=1, top_logprobs=5)
"""Of the published configuration; temperature changes nothing, because only the logprobs are read."""


RANKING_SAMPLING = Sampling(temperature=0.0, max_tokens=100)
"""Of the published configuration."""

OTHER_JUDGES = {
    "http://HOST:PORT/v1#NAME": "any OpenAI-compatible server that returns logprobs, such as vLLM: open weights are "
    "not shut down",
    "hf:PATH": "a local checkpoint; scores the labels by likelihood",
    "openai:gpt-4.1-2025-04-14": "returns logprobs; upstream's configuration weighted_alpaca_eval_gpt4.1",
    "openai:gpt-4o-mini-2024-07-18": "returns logprobs; cheap; upstream's configuration "
    "weighted_alpaca_eval_gpt-4o-mini-2024-07-18",
}
"""Judges to turn to when the official one is no longer served."""


def split_chatml(text: str) -> tuple[Message, ...]:
    """The turns of a prompt file: role on the first line after each start marker, content up to the end marker."""
    messages = []
    for piece in text.strip().split("<|im_start|>")[1:]:
        role, _, rest = piece.partition("\n")
        messages.append(Message(role=role.strip(), content=rest.split("<|im_end|>")[0].strip()))
    return tuple(messages)


@dataclass(frozen=True)
class PublishedPrompt:
    """A prompt file, split into turns *before* anything is filled in.

    Upstream fills first and splits afterwards, so an answer that holds the turn markers or a placeholder can rewrite
    the judge's prompt. On answers that hold neither, the messages are the same.
    """

    turns: tuple[Message, ...]
    sha256: str

    @classmethod
    def parse(cls, data: bytes) -> "PublishedPrompt":
        """Read a prompt file; each placeholder must occur once."""
        text = data.decode()
        for token in PLACEHOLDERS:
            if text.count(token) != 1:
                raise UsageError(f"the judge prompt must contain {token} exactly once, found {text.count(token)}")
        return cls(split_chatml(text), sha256_hex(data))

    def messages(self, case: Case) -> tuple[Message, ...]:
        """The judge's messages for a case, in the order shown."""
        first, second = case.answers
        values = dict(zip(PLACEHOLDERS, (case.example.instruction, first.text, second.text), strict=True))
        return tuple(
            Message(role=turn.role, content=fill(turn.content, {t: v for t, v in values.items() if t in turn.content}))
            for turn in self.turns
        )

    @property
    def fragments(self) -> tuple[str, ...]:
        """Lines that give the prompt away where they turn up in an answer."""
        return distinctive_lines("\n".join(turn.content for turn in self.turns), PLACEHOLDERS)


def weighted_judge(prompt: PublishedPrompt) -> LogprobJudge:
    """``weighted_alpaca_eval_gpt4_turbo``: the probability of the first-shown answer's letter."""
    return _label_judge("weighted_alpaca_eval_gpt4_turbo", prompt, binarise=False)


def binary_judge(prompt: PublishedPrompt) -> LogprobJudge:
    """``alpaca_eval_clf_gpt4_turbo``: the same prompt, the likelier letter wins."""
    return _label_judge("alpaca_eval_clf_gpt4_turbo", prompt, binarise=True)


def _label_judge(name: str, prompt: PublishedPrompt, *, binarise: bool) -> LogprobJudge:
    return LogprobJudge(
        name=name,
        messages=prompt.messages,
        prompt_sha256=prompt.sha256,
        labels=("m", "M"),
        sampling=LABEL_SAMPLING,
        binarise=binarise,
    )


def house_judge(prompt: HousePrompt) -> LogprobJudge:
    """Our own neutral prompt, for the starter set."""
    return LogprobJudge(
        name="house_pairwise_label",
        messages=prompt.pair,
        prompt_sha256=prompt.sha256,
        labels=("A", "B"),
        sampling=LABEL_SAMPLING,
    )


@dataclass(frozen=True, kw_only=True)
class RankingJudge:
    """``alpaca_eval_gpt4``, the judge of AlpacaEval 1: a written list of both models with their ranks."""

    messages: Callable[[Case], tuple[Message, ...]]
    prompt_sha256: str
    name: str = "alpaca_eval_gpt4"
    sampling: Sampling = RANKING_SAMPLING

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Prompt, sampling and reading rule."""
        return {
            "prompt": self.prompt_sha256,
            "sampling": msgspec.to_builtins(self.sampling),
            "reading": "rank of model_1 in a Python list",
        }

    def ask(self, case: Case) -> Request:
        """One request with both answers filled in as shown."""
        return Request(messages=self.messages(case), sampling=self.sampling)

    def ask_again(self, case: Case, replies: tuple[Completion, ...]) -> None:
        """Upstream never does."""

    def read(self, case: Case, replies: tuple[Completion, ...]) -> Verdict:
        """The whole win for the answer ranked first."""
        return ranking_verdict(replies[-1].text or "")

    def constrained(self) -> "RankingJudge":
        """A list of ranks has no labels to score."""
        return self


def ranking_verdict(text: str, first_name: str = "model_1") -> Verdict:
    """Read a written ranking, a Python literal: the rank of ``first_name`` decides.

    Model output is parsed as a literal, never executed, and only up to a bounded length.
    """
    if len(text) > LONGEST_RANKING:
        return Verdict(value=None, error=f"the ranking is longer than {LONGEST_RANKING} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler comments on odd escapes in somebody else's text
            ranking = ast.literal_eval(text.lstrip(" \t"))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):  # TypeError: a list as a key
        return Verdict(value=None, error="the reply is not a Python list of ranks")
    return _rank_of(ranking, first_name)


def tool_ranking_verdict(text: str, first_name: str = "m") -> Verdict:
    """Read the ranking from a tool call's JSON arguments, as ``alpaca_eval_gpt4_turbo_fn`` writes them.

    Of a text with a fenced block of JSON only the block counts; a list must hold one object. JSON is what Python's own
    reader takes for it.
    """
    _, fence, fenced = text.partition("```json")
    block, closing, _ = fenced.partition("```")
    if fence and not closing:
        return Verdict(value=None, error="the block of JSON does not end")
    try:
        arguments = json.loads(block if fence else text)
    except (ValueError, RecursionError):
        return Verdict(value=None, error="the tool call's arguments are not JSON")
    if isinstance(arguments, list) and len(arguments) == 1:
        (arguments,) = arguments
    ranking = arguments.get("ordered_models") if isinstance(arguments, dict) else None
    return ranking_verdict(ranking, first_name) if isinstance(ranking, str) else _rank_of(ranking, first_name)


def _rank_of(ranking: Any, name: str) -> Verdict:
    """By the first entry of that name; upstream fails on a list in which any entry names no model."""
    entries = ranking if isinstance(ranking, list | tuple) else ()
    if not all(isinstance(entry, dict) and "model" in entry for entry in entries):
        return Verdict(value=None, error="an entry of the ranking names no model")
    rank = next((entry.get("rank") for entry in entries if entry["model"] == name), None)
    if isinstance(rank, int | float) and rank in (1, 2):
        return Verdict(value=1.0 if rank == 1 else 0.0, label=f"rank {int(rank)}")
    return Verdict(value=None, error=f"the ranking gives {name} neither rank 1 nor rank 2")
