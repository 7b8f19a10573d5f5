"""Anthropic's Messages protocol: request bodies written, replies read.
What the protocols share is in ``wire``.

Its thinking blocks are the reply's reasoning, its text blocks the answer. Not in it: log-probabilities, seeds, a plain
JSON mode.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from judgebench.errors import ModelError
from judgebench.models.http.wire import (
    NoAnswer,
    count,
    ending,
    fields,
    items,
    name,
    require_no_error,
    string,
    text_of,
    usage,
)
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


@dataclass(frozen=True)
class Messages:
    """``/v1/messages``."""

    thinking: str = "auto"
    """``on``: adaptive, or where that is refused a budget of half the token limit. ``off``: disabled. ``auto``: left to
    the model."""

    scheme = "anthropic"
    path = "v1/messages"
    gives_logprobs = False
    droppable = (("top_p", "top_p"), ("temperature", "temperature"), ("thinking", "adaptive"))
    unsupported = frozenset({"seed", "json_object"})

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

    def joined(self, events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """The message begun, with its blocks' pieces and how it ended."""
        reply: dict[str, Any] = {}
        blocks: dict[Any, dict[str, Any]] = {}
        for event in events:
            reply |= fields(event.get("message")) if event.get("type") == "message_start" else {}
            if event.get("type") == "content_block_start":
                blocks[str(event.get("index"))] = dict(fields(event.get("content_block")))
            delta, block = fields(event.get("delta")), blocks.get(str(event.get("index")), {})
            for key in ("text", "thinking"):
                if (piece := string(delta.get(key))) is not None:
                    block[key] = (string(block.get(key)) or "") + piece
            if event.get("type") == "message_delta":
                reply |= {**delta, "usage": {**fields(reply.get("usage")), **fields(event.get("usage"))}}
            reply |= {"error": event["error"]} if event.get("error") else {}
        return {**reply, "content": list(blocks.values())}

    def tokens(self, reply: Mapping[str, Any], request: Request) -> Usage:
        """All tokens of the prompt: those written to or read from the cache are not among ``input_tokens``."""
        told = fields(reply.get("usage"))
        names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        parts = [count(told[name]) for name in names if told.get(name) is not None]
        numbers = [part for part in parts if part is not None]
        return usage(request, sum(numbers) if len(numbers) == len(parts) else None, told.get("output_tokens"))

    def completion(self, reply: Mapping[str, Any], tokens: Usage) -> Completion:
        """Thinking blocks and text blocks, each kind joined."""
        require_no_error(reply)
        if not isinstance(reply.get("content"), list):
            raise NoAnswer("it has no content blocks")
        blocks = items(reply["content"])
        thoughts = [string(block.get("thinking")) or "" for block in blocks if block.get("type") == "thinking"]
        return Completion(
            text="".join(text_of(block) for block in blocks if block.get("type") == "text"),
            finish_reason=ending(reply.get("stop_reason")),
            usage=tokens,
            model=name(reply.get("model")),
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
            f"Could not turn thinking on (--thinking on) within {limit} tokens: this endpoint takes only a fixed "
            f"thinking budget, at least {LEAST_THINKING_TOKENS} tokens and smaller than the limit of the reply. Raise "
            "the limit (--gen max_tokens=…), or leave --thinking at auto."
        )
    return {"type": "enabled", "budget_tokens": max(LEAST_THINKING_TOKENS, limit // 2)}
