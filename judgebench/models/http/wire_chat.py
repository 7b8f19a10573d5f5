"""OpenAI's chat-completions protocol: request bodies written, replies read.
What the protocols share is in ``wire``.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from judgebench.models.http.wire import (
    NoAnswer,
    alternatives,
    ending,
    fields,
    items,
    name,
    parts_text,
    require_no_error,
    string,
    thoughts,
    usage,
)
from judgebench.records import Completion, Request, Usage

THINKING = ("reasoning_content", "reasoning", "reasoning_details", "thinking")
"""Names of the thinking part: DeepSeek's and SGLang's, vLLM's, OpenRouter's, Ollama's."""
TEXTS = ("text", "output_text")
"""Kinds of parts that are the answer's."""
DELTAS = ("content", "refusal", *THINKING)
"""Texts of a message that a stream sends in pieces."""


@dataclass(frozen=True)
class ChatCompletions:
    """``/chat/completions``."""

    scheme = "http"
    path = "chat/completions"
    gives_logprobs = True
    settings: ClassVar[Mapping[str, Any]] = {}
    droppable = (
        ("max_tokens", "max_tokens"),
        ("top_p", "top_p"),
        ("temperature", "temperature"),
        ("seed", "seed"),
        ("stop", "stop"),
    )
    unsupported: ClassVar[frozenset[str]] = frozenset()

    def headers(self, api_key: str | None) -> dict[str, str]:
        """None."""
        return {}

    def effort(self, effort: str) -> dict[str, Any]:
        """As OpenAI's models and vLLM take it."""
        return {"reasoning_effort": effort}

    def body(self, model: str, request: Request, refused: Collection[str]) -> dict[str, Any]:
        """The token limit goes by its newer name to an endpoint that refuses the older, which all others know."""
        sampling = request.sampling
        body: dict[str, Any] = {"model": model, "messages": request.messages}
        if sampling.temperature is not None and "temperature" not in refused:
            body["temperature"] = sampling.temperature
        if sampling.top_p is not None and "top_p" not in refused:
            body["top_p"] = sampling.top_p
        if sampling.max_tokens is not None:
            body["max_completion_tokens" if "max_tokens" in refused else "max_tokens"] = sampling.max_tokens
        if sampling.stop and "stop" not in refused:
            body["stop"] = sampling.stop
        if sampling.seed is not None and "seed" not in refused:
            body["seed"] = sampling.seed
        if sampling.json_object:
            body["response_format"] = {"type": "json_object"}
        if sampling.top_logprobs:
            body["logprobs"] = True
            body["top_logprobs"] = sampling.top_logprobs
        return body

    def joined(self, events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """The pieces of the first choice put together; the last word on anything else counts."""
        reply: dict[str, Any] = {}
        choice: dict[str, Any] = {}
        texts: dict[str, str] = {}
        for event in events:
            reply |= event
            for piece in items(event.get("choices"))[:1]:
                choice |= {key: value for key, value in piece.items() if value is not None}
                for key in DELTAS:
                    if (text := parts_text(fields(piece.get("delta")).get(key), *TEXTS)) is not None:
                        texts[key] = texts.get(key, "") + text
        return {**reply, "choices": [{"message": texts, **choice}]}

    def tokens(self, reply: Mapping[str, Any], request: Request) -> Usage:
        """As OpenAI and those that follow it tell them."""
        told = fields(reply.get("usage"))
        return usage(request, told.get("prompt_tokens"), told.get("completion_tokens"), told.get("total_tokens"))

    def completion(self, reply: Mapping[str, Any], tokens: Usage) -> Completion:
        """The first choice. A refusal is a text whose end is the content filter's, whatever it is called."""
        choice = next(iter(items(reply.get("choices"))), {})
        message = fields(choice.get("message"))
        require_no_error(reply, choice, message)
        if not message:
            raise NoAnswer("it has no choice with a message")
        text, refusal = parts_text(message.get("content"), *TEXTS), string(message.get("refusal"))
        return Completion(
            text=text if text is not None else refusal or "",
            finish_reason="content_filter" if refusal else ending(choice.get("finish_reason")),
            usage=tokens,
            top_logprobs=alternatives(fields(choice.get("logprobs")).get("content")),
            model=name(reply.get("model")),
            reasoning=_reasoning(message),
        )


def _reasoning(message: Mapping[str, Any]) -> str | None:
    """The thinking part: a field of its own, or (Mistral) parts of the content."""
    separate = next((found for key in THINKING if (found := thoughts(message.get(key))) is not None), None)
    if separate is None:
        separate = thoughts([part for part in items(message.get("content")) if part.get("type") in THINKING])
    return separate
