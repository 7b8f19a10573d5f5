"""OpenAI's chat completions, which most servers speak."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
from msgspec import Struct

from judgebench.models.wire import Position, decode
from judgebench.records import Completion, Request, Usage


class _Logprobs(Struct):
    content: list[Position] | None = None


class _ReplyMessage(Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    """vLLM's name for the thinking part; ``reasoning_content`` is DeepSeek's and SGLang's."""
    reasoning_content: str | None = None


class _Choice(Struct):
    message: _ReplyMessage
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Tokens(Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Reply(Struct):
    choices: list[_Choice]
    usage: _Tokens | None = None
    model: str | None = None


_decoder = msgspec.json.Decoder(_Reply)


@dataclass(frozen=True)
class ChatCompletions:
    """``/chat/completions``."""

    scheme = "http"
    path = "chat/completions"
    gives_logprobs = True
    settings: ClassVar[Mapping[str, Any]] = {}
    yielding = (
        ("max_tokens", "max_tokens"),
        ("top_p", "top_p"),
        ("temperature", "temperature"),
        ("seed", "seed"),
        ("stop", "stop"),
    )
    lacks: ClassVar[frozenset[str]] = frozenset()

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

    def read(self, data: bytes) -> Completion:
        """The first choice. A refusal is a text whose end is the content filter's, whatever it is called."""
        reply: _Reply = decode(_decoder, data)
        if not reply.choices:
            raise ValueError("no choices")
        choice = reply.choices[0]
        message, tokens = choice.message, reply.usage or _Tokens()
        content = choice.logprobs.content if choice.logprobs else None
        return Completion(
            text=message.content if message.content is not None else message.refusal or "",
            finish_reason="content_filter" if message.refusal else choice.finish_reason,
            usage=Usage(prompt_tokens=tokens.prompt_tokens, completion_tokens=tokens.completion_tokens),
            top_logprobs=None if content is None else tuple([position.alternatives() for position in content]),
            model=reply.model,
            reasoning=message.reasoning_content if message.reasoning is None else message.reasoning,
        )
