"""The older completions of text (``/completions``), by which servers say how likely texts are after a prompt.

A prompt is sent with each of its continuations, and the server returns the log-probability of every token of it
(``echo``). How many tokens are the prompt's own shows the server's reply to the prompt alone, which goes with them.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judgebench.errors import ModelError
from judgebench.models.continuations import IMPOSSIBLE, likelihoods, raw_text, split_at_word
from judgebench.models.http import wire
from judgebench.models.http.wire import NoAnswer, Wire
from judgebench.records import Completion, Request, Usage


@dataclass(frozen=True)
class EchoedCompletions(Wire):
    """``/completions`` with ``echo`` and ``logprobs``, as vLLM and others have it, for one request."""

    request: Request

    scheme = "http"
    path = "completions"
    gives_logprobs = True
    droppable = ("temperature",)

    def effort(self, effort: str) -> dict[str, Any]:
        """Nothing is thought here."""
        return {}

    def body(self, model: str, request: Request, refused: Collection[str]) -> dict[str, Any]:
        """One prompt for the context, and one for each continuation. Servers want to write a token after each."""
        context = raw_text(request)
        bare, _ = split_at_word(context, "")
        if not request.sampling.raw or not bare:
            what = "a chat prompt" if not request.sampling.raw else "an empty prompt"
            raise ModelError(
                f"Could not ask {model} how likely texts are after {what}: a server applies its chat template itself, "
                "and shows log-probabilities of plain prompts only. Use a local model (hf:… or vllm:…)."
            )
        return {
            "model": model,
            "prompt": [bare, *(context + text for text in request.sampling.continuations)],
            "max_tokens": 1,
            "echo": True,
            "logprobs": 1,
            **({} if "temperature" in refused else {"temperature": 0.0}),
        }

    def joined(self, events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Nobody streams several prompts without being asked to."""
        raise NoAnswer("it is a stream")

    def tokens(self, reply: Mapping[str, Any], request: Request) -> Usage:
        """As OpenAI and its followers report them."""
        told = wire.fields(reply.get("usage"))
        return wire.usage(request, told.get("prompt_tokens"), told.get("completion_tokens"), told.get("total_tokens"))

    def completion(self, reply: Mapping[str, Any], tokens: Usage) -> Completion:
        """The log-likelihood of each continuation: of its tokens after as many as the context alone has."""
        choices = wire.items(reply.get("choices"))
        wire.require_no_error(reply, *choices)
        wanted = 1 + len(self.request.sampling.continuations)
        by_index = {index: choice for choice in choices if isinstance(index := choice.get("index"), int)}
        if len(choices) != wanted or sorted(by_index) != list(range(wanted)):
            raise NoAnswer(f"it has {len(choices)} choices, and {wanted} prompts were sent")
        rows = [_logprobs(by_index[number]) for number in range(wanted)]
        written = _written(rows, reply)
        before, *whole = [row[: len(row) - written] for row in rows]
        values = []
        for row in whole:
            added = row[len(before) :]
            if not before or not added or None in added:
                raise NoAnswer("it has no log-probability for some token of a continuation")
            values.append(max(math.fsum(value for value in added if value is not None), IMPOSSIBLE))
        return likelihoods(self.request, values, tokens, wire.name(reply.get("model")))


def _logprobs(choice: Mapping[str, Any]) -> list[float | None]:
    """The log-probability of each token of a choice; of the first, which follows nothing, there is none.

    Raises :class:`NoAnswer` if there are none.
    """
    found = wire.fields(choice.get("logprobs")).get("token_logprobs")
    if not isinstance(found, list) or not found:
        raise NoAnswer("it has no log-probabilities of the prompt's tokens")
    for value in found:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value <= 1e-3):
            raise NoAnswer(f"a log-probability is {str(value)[:40]}")
    return [None if value is None else float(value) for value in found]


def _written(rows: Sequence[Sequence[float | None]], reply: Mapping[str, Any]) -> int:
    """How many tokens of each choice the server wrote itself: the one that was asked for, or none.

    Servers that leave the end token out, or write nothing after a prompt, show it in what they count.
    """
    prompt = wire.count(wire.fields(reply.get("usage")).get("prompt_tokens"))
    shown = sum(map(len, rows))
    if prompt is None or shown - prompt == len(rows):
        return 1
    if shown == prompt:
        return 0
    raise NoAnswer(f"it shows {shown} tokens of {len(rows)} prompts with {prompt}")
