"""Anthropic's Messages API, which vLLM's server speaks too.

Its thinking blocks are the reply's reasoning, its text blocks the answer. Not in it: log-probabilities, seeds, a plain
JSON mode.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import msgspec
from msgspec import Struct

from judgebench.errors import ModelError
from judgebench.models.wire import decode
from judgebench.records import Completion, Request, Usage

VERSION = "2023-06-01"
"""``anthropic-version``. Version 2026-10-21 (the Python SDK's since 2.0) takes temperature and top_p from no model at
all; for plain text it differs in nothing else, so the older one keeps to a protocol's sampling where a model still can
(platform.claude.com/docs/en/api/migration-2026-10-21).
"""
MAX_TOKENS = 4096
"""The limit that the protocol demands, where the request sets none. What a budget assumes of such a request too."""
LEAST_THINKING_TOKENS = 1024
"""The protocol's least thinking budget, which must be smaller than the limit of the whole reply."""
CACHED_SYSTEM_CHARACTERS = 2048
"""A system message from here on is marked for the prompt cache: no model caches prefixes below about 512 tokens."""
FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
"""Stop reasons in the words of chat completions; others (``pause_turn``, ``tool_use``) are kept as they are."""


class _Block(Struct):
    type: str
    text: str | None = None
    thinking: str | None = None


class _Tokens(Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None

    @property
    def prompt(self) -> int:
        """All tokens of the prompt: those written to or read from the cache are not among ``input_tokens``."""
        return self.input_tokens + (self.cache_creation_input_tokens or 0) + (self.cache_read_input_tokens or 0)


class _Reply(Struct):
    content: list[_Block]
    stop_reason: str | None = None
    usage: _Tokens | None = None
    model: str | None = None


_decoder = msgspec.json.Decoder(_Reply)


@dataclass(frozen=True)
class Messages:
    """``/v1/messages``."""

    thinking: str = "auto"
    """``on``: adaptive, or where that is refused a budget of half the token limit. ``off``: disabled. ``auto``: left to
    the model."""

    scheme = "anthropic"
    path = "v1/messages"
    gives_logprobs = False
    yielding = (("top_p", "top_p"), ("temperature", "temperature"), ("thinking", "adaptive"))
    lacks = frozenset({"seed", "json_object"})

    @property
    def settings(self) -> Mapping[str, Any]:
        """Version, the token limit where a request sets none, and the thinking policy."""
        thinking = {} if self.thinking == "auto" else {"thinking": self.thinking}
        return {"anthropic-version": VERSION, "max_tokens": MAX_TOKENS, **thinking}

    def headers(self, api_key: str | None) -> dict[str, str]:
        """The version; the key in the vendor's own header too, for what it or a proxy before it may read."""
        return {"anthropic-version": VERSION, **({"x-api-key": api_key} if api_key else {})}

    def effort(self, effort: str) -> dict[str, Any]:
        """As the protocol has it."""
        return {"output_config": {"effort": effort}}

    def body(self, model: str, request: Request, refused: Collection[str]) -> dict[str, Any]:
        """System messages at the start become the system prompt. Neighbours of one role are sent as they are: the
        protocol joins them to one turn.
        """
        sampling = request.sampling
        system = [message.content for message in takewhile(lambda m: m.role == "system", request.messages)]
        limit = MAX_TOKENS if sampling.max_tokens is None else sampling.max_tokens
        body: dict[str, Any] = {"model": model, "max_tokens": limit, "messages": request.messages[len(system) :]}
        if system:
            body["system"] = _system("\n\n".join(system))
        if sampling.temperature is not None and "temperature" not in refused:
            body["temperature"] = sampling.temperature
        if sampling.top_p is not None and "top_p" not in refused:
            body["top_p"] = sampling.top_p
        if sampling.stop:
            body["stop_sequences"] = sampling.stop
        if self.thinking == "off":
            body["thinking"] = {"type": "disabled"}
        elif self.thinking == "on":
            body["thinking"] = _budgeted(limit) if "thinking" in refused else _ADAPTIVE
        return body

    def read(self, data: bytes) -> Completion:
        """Thinking blocks and text blocks, each kind joined."""
        reply: _Reply = decode(_decoder, data)
        thoughts = [block.thinking or "" for block in reply.content if block.type == "thinking"]
        tokens = reply.usage or _Tokens()
        reason = reply.stop_reason
        return Completion(
            text="".join(block.text or "" for block in reply.content if block.type == "text"),
            finish_reason=FINISH_REASONS.get(reason, reason) if reason else None,
            usage=Usage(prompt_tokens=tokens.prompt, completion_tokens=tokens.output_tokens),
            model=reply.model,
            # Where the model was told to think and did not, the reply is an answer: the protocol tells the two apart.
            reasoning="\n\n".join(thoughts) if thoughts or self.thinking == "on" else None,
        )


_ADAPTIVE = {"type": "adaptive", "display": "summarized"}
"""Some models show no thinking unless asked to."""


def _system(text: str) -> str | list[dict[str, Any]]:
    """The system prompt, which all requests of a judge or a run share, marked for the prompt cache if that can save.

    What of the user's message is shared cannot be told from one request, and writing what is never read again costs
    more than it saves.
    """
    if len(text) < CACHED_SYSTEM_CHARACTERS:
        return text
    return [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]


def _budgeted(limit: int) -> dict[str, Any]:
    if limit <= LEAST_THINKING_TOKENS:
        raise ModelError(
            f"Thinking was wanted (--thinking on) within {limit} tokens, but this endpoint takes only a fixed thinking "
            f"budget, which is at least {LEAST_THINKING_TOKENS} tokens and smaller than the limit of the reply. Raise "
            "the limit (--gen max_tokens=…), or leave --thinking at auto."
        )
    return {"type": "enabled", "budget_tokens": max(LEAST_THINKING_TOKENS, limit // 2)}
