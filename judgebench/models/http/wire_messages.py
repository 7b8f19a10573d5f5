"""Anthropic's Messages protocol: request bodies written, replies read.
What the protocols share is in ``wire``.

Its thinking blocks are the reply's reasoning, its text blocks the answer. It has no log-probabilities, no seeds and no
plain JSON mode.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, ClassVar

from judgebench.errors import ModelError
from judgebench.models.http import wire
from judgebench.models.http.wire import NoAnswer, Wire
from judgebench.records import Completion, Request, Usage

VERSION = "2023-06-01"
"""``anthropic-version``. Version 2026-10-21 (the Python SDK's since 2.0) accepts temperature and top_p for no model;
for plain text nothing else differs. So the older version follows a protocol's sampling wherever a model still can
(platform.claude.com/docs/en/api/migration-2026-10-21).
"""
MAX_TOKENS = 4096
"""The protocol demands a limit: this one is sent if the request sets none. Budgets assume the same."""
LEAST_THINKING_TOKENS = 1024
"""The protocol's least thinking budget, which must be smaller than the limit of the whole reply."""
CACHED_SYSTEM_CHARACTERS = 2048
"""Longer system messages are marked for the prompt cache; no model caches prefixes below about 512 tokens."""


@dataclass(frozen=True)
class Messages(Wire):
    """``/v1/messages``."""

    thinking: str = "auto"
    """``on``: adaptive or, if the endpoint refuses that, a budget of half the token limit. ``off``: disabled. ``auto``:
    the model decides."""

    scheme = "anthropic"
    path = "v1/messages"
    gives_logprobs = False
    droppable = ("top_p", "temperature", "thinking")
    refused_as: ClassVar[Mapping[str, str]] = {"thinking": "adaptive"}
    unsupported = frozenset({"seed", "json_object", "json_schema"})

    @property
    def settings(self) -> Mapping[str, Any]:
        """The version, the token limit of requests that set none, and the thinking policy."""
        thinking = {} if self.thinking == "auto" else {"thinking": self.thinking}
        return {"anthropic-version": VERSION, "max_tokens": MAX_TOKENS, **thinking}

    def headers(self, api_key: str | None) -> dict[str, str]:
        """The version, and the key in the vendor's own header too, in case the vendor or a proxy reads only that."""
        return {"anthropic-version": VERSION, **({"x-api-key": api_key} if api_key else {})}

    def effort(self, effort: str) -> dict[str, Any]:
        """As the protocol names it."""
        return {"output_config": {"effort": effort}}

    def body(self, model: str, request: Request, refused: Collection[str]) -> dict[str, Any]:
        """System messages at the start become the system prompt. Neighbouring messages of one role are sent as they
        are: the protocol joins them into one turn.
        """
        sampling = request.sampling
        system = [message.content for message in takewhile(lambda m: m.role == "system", request.messages)]
        limit = MAX_TOKENS if sampling.max_tokens is None else sampling.max_tokens
        body: dict[str, Any] = {"model": model, "max_tokens": limit, "messages": request.messages[len(system) :]}
        body |= wire.chosen(sampling, refused, "temperature", "top_p")
        if system:
            body["system"] = _system("\n\n".join(system))
        if sampling.stop:
            body["stop_sequences"] = sampling.stop
        if self.thinking == "off":
            body["thinking"] = {"type": "disabled"}
        elif self.thinking == "on":
            body["thinking"] = _budgeted(limit) if "thinking" in refused else _ADAPTIVE
        return body

    def joined(self, events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """The message of the first event, with its blocks put together and how it ended."""
        reply: dict[str, Any] = {}
        blocks: dict[Any, dict[str, Any]] = {}
        for event in events:
            reply |= wire.fields(event.get("message")) if event.get("type") == "message_start" else {}
            if event.get("type") == "content_block_start":
                blocks[str(event.get("index"))] = dict(wire.fields(event.get("content_block")))
            delta, block = wire.fields(event.get("delta")), blocks.get(str(event.get("index")), {})
            for key in ("text", "thinking"):
                if (piece := wire.string(delta.get(key))) is not None:
                    block[key] = (wire.string(block.get(key)) or "") + piece
            if event.get("type") == "message_delta":
                reply |= {**delta, "usage": {**wire.fields(reply.get("usage")), **wire.fields(event.get("usage"))}}
            reply |= {"error": event["error"]} if event.get("error") else {}
        return {**reply, "content": list(blocks.values())}

    def tokens(self, reply: Mapping[str, Any], request: Request) -> Usage:
        """All tokens of the prompt: ``input_tokens`` excludes those written to or read from the cache."""
        told = wire.fields(reply.get("usage"))
        names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        parts = [wire.count(told[name]) for name in names if told.get(name) is not None]
        numbers = [part for part in parts if part is not None]
        return wire.usage(request, sum(numbers) if len(numbers) == len(parts) else None, told.get("output_tokens"))

    def completion(self, reply: Mapping[str, Any], tokens: Usage) -> Completion:
        """The thinking blocks joined, and the text blocks joined."""
        wire.require_no_error(reply)
        if not isinstance(reply.get("content"), list):
            raise NoAnswer("it has no content blocks")
        blocks = wire.items(reply["content"])
        thoughts = [wire.string(block.get("thinking")) or "" for block in blocks if block.get("type") == "thinking"]
        return Completion(
            text="".join(wire.text_of(block) for block in blocks if block.get("type") == "text"),
            finish_reason=wire.ending(reply.get("stop_reason")),
            usage=tokens,
            model=wire.name(reply.get("model")),
            # A model that was told to think and did not gave an answer, since the protocol separates the two.
            reasoning="\n\n".join(thoughts) if thoughts or self.thinking == "on" else None,
        )


_ADAPTIVE = {"type": "adaptive", "display": "summarized"}
"""Some models show their thinking only on request."""


def _system(text: str) -> str | list[dict[str, Any]]:
    """The system prompt, which all requests of a judge or a run share, marked for the prompt cache if that can save.

    One request does not show which part of the user's message is shared, and caching text that is never read again
    costs more than it saves.
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
