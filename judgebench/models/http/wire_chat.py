"""OpenAI's chat completions, which most servers speak. The Responses API has a module of its own."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judgebench.models.http import wire
from judgebench.models.http.wire import NoAnswer, Wire
from judgebench.records import Completion, Request, Usage

THINKING = ("reasoning_content", "reasoning", "reasoning_details", "thinking")
"""Names of the thinking part: DeepSeek and SGLang, vLLM, OpenRouter, Ollama."""
TEXTS = ("text", "output_text")
"""Kinds of parts that belong to the answer."""
DELTAS = ("content", "refusal", *THINKING)
"""The texts of a message that a stream sends in pieces."""


@dataclass(frozen=True)
class ChatCompletions(Wire):
    """``/chat/completions``."""

    scheme = "http"
    path = "chat/completions"
    gives_logprobs = True
    droppable = ("max_tokens", "top_p", "temperature", "seed", "stop", wire.FORMAT_FIELD)

    def effort(self, effort: str) -> dict[str, Any]:
        """As OpenAI's models and vLLM accept it."""
        return {"reasoning_effort": effort}

    def body(self, model: str, request: Request, refused: Collection[str]) -> dict[str, Any]:
        """The token limit has its older name, which most endpoints know, or the newer one if that is refused."""
        sampling = request.sampling
        settings = wire.chosen(sampling, refused, "temperature", "top_p", "stop", "seed")
        body: dict[str, Any] = {"model": model, "messages": request.messages, **settings}
        if sampling.max_tokens is not None:
            body["max_completion_tokens" if "max_tokens" in refused else "max_tokens"] = sampling.max_tokens
        if (form := wire.form(sampling)) is not None and wire.FORMAT_FIELD not in refused:
            named = {"type": "json_schema", "json_schema": form} if form else {"type": "json_object"}
            body[wire.FORMAT_FIELD] = named
        if sampling.top_logprobs:
            body["logprobs"] = True
            body["top_logprobs"] = sampling.top_logprobs
        return body

    def joined(self, events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Join the pieces of the first choice; of any other field the last value counts."""
        reply: dict[str, Any] = {}
        choice: dict[str, Any] = {}
        texts: dict[str, str] = {}
        for event in events:
            reply |= event
            for piece in wire.items(event.get("choices"))[:1]:
                choice |= {key: value for key, value in piece.items() if value is not None}
                for key in DELTAS:
                    if (text := wire.parts_text(wire.fields(piece.get("delta")).get(key), *TEXTS)) is not None:
                        texts[key] = texts.get(key, "") + text
        return {**reply, "choices": [{"message": texts, **choice}]}

    def tokens(self, reply: Mapping[str, Any], request: Request) -> Usage:
        """As OpenAI and its followers report them."""
        told = wire.fields(reply.get("usage"))
        return wire.usage(request, told.get("prompt_tokens"), told.get("completion_tokens"), told.get("total_tokens"))

    def completion(self, reply: Mapping[str, Any], tokens: Usage) -> Completion:
        """The first choice. A refusal is a text that the content filter ended, whatever its reason says."""
        choice = next(iter(wire.items(reply.get("choices"))), {})
        message = wire.fields(choice.get("message"))
        wire.require_no_error(reply, choice, message)
        if not message:
            raise NoAnswer("it has no choice with a message")
        text, refusal = wire.parts_text(message.get("content"), *TEXTS), wire.string(message.get("refusal"))
        return Completion(
            text=text if text is not None else refusal or "",
            finish_reason="content_filter" if refusal else wire.ending(choice.get("finish_reason")),
            usage=tokens,
            top_logprobs=wire.alternatives(wire.fields(choice.get("logprobs")).get("content")),
            model=wire.name(reply.get("model")),
            reasoning=_reasoning(message),
        )


def _reasoning(message: Mapping[str, Any]) -> str | None:
    """The thinking part: a field of its own, or (Mistral) parts of the content."""
    separate = next((found for key in THINKING if (found := wire.thoughts(message.get(key))) is not None), None)
    if separate is None:
        separate = wire.thoughts([part for part in wire.items(message.get("content")) if part.get("type") in THINKING])
    return separate
