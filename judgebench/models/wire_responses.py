"""OpenAI's Responses API, the only one that some of its models are served over."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
from msgspec import Struct

from judgebench.models.wire import Position, decode
from judgebench.records import Completion, Request, Usage

FINISH_REASONS = {"max_output_tokens": "length"}
"""Why a response is incomplete, in the words of chat completions; others are kept as they are."""


class _Part(Struct):
    type: str
    text: str = ""
    refusal: str = ""
    logprobs: list[Position] | None = None


class _Item(Struct):
    type: str
    content: list[_Part] | None = None
    summary: list[_Part] = []


class _Incomplete(Struct):
    reason: str | None = None


class _Tokens(Struct):
    input_tokens: int = 0
    output_tokens: int = 0


class _Reply(Struct):
    output: list[_Item]
    status: str = "completed"
    incomplete_details: _Incomplete | None = None
    usage: _Tokens | None = None
    model: str | None = None


_decoder = msgspec.json.Decoder(_Reply)


@dataclass(frozen=True)
class Responses:
    """``/responses``, with nothing kept at the vendor's."""

    scheme = "responses"
    path = "responses"
    gives_logprobs = True
    settings: ClassVar[Mapping[str, Any]] = {}
    yielding = (("top_p", "top_p"), ("temperature", "temperature"))
    lacks = frozenset({"seed", "stop"})
    thinks: bool = False
    """The model was told to think: a reply without a thinking part is an answer, told apart by the protocol."""

    def headers(self, api_key: str | None) -> dict[str, str]:
        """None."""
        return {}

    def effort(self, effort: str) -> dict[str, Any]:
        """As the protocol has it."""
        return {"reasoning": {"effort": effort}}

    def body(self, model: str, request: Request, refused: Collection[str]) -> dict[str, Any]:
        """The conversation as input items."""
        sampling = request.sampling
        body: dict[str, Any] = {"model": model, "input": request.messages, "store": False}
        if sampling.temperature is not None and "temperature" not in refused:
            body["temperature"] = sampling.temperature
        if sampling.top_p is not None and "top_p" not in refused:
            body["top_p"] = sampling.top_p
        if sampling.max_tokens is not None:
            body["max_output_tokens"] = sampling.max_tokens
        if sampling.json_object:
            body["text"] = {"format": {"type": "json_object"}}
        if sampling.top_logprobs:
            body["include"] = ["message.output_text.logprobs"]
            body["top_logprobs"] = sampling.top_logprobs
        return body

    def read(self, data: bytes) -> Completion:
        """The texts of all messages joined, and of all thinking parts or their summaries."""
        reply: _Reply = decode(_decoder, data)
        if reply.status not in ("completed", "incomplete"):
            raise ValueError(f"status {reply.status}")
        parts = [part for item in reply.output if item.type == "message" for part in item.content or ()]
        refused = any(part.type == "refusal" for part in parts)
        thoughts = [part.text for item in reply.output if item.type == "reasoning" for part in _thoughts(item)]
        positions = [position for part in parts for position in part.logprobs or ()]
        reason = reply.incomplete_details.reason if reply.incomplete_details else None
        tokens = reply.usage or _Tokens()
        return Completion(
            text="".join(part.refusal if part.type == "refusal" else part.text for part in parts),
            finish_reason="content_filter" if refused else FINISH_REASONS.get(reason, reason) if reason else "stop",
            usage=Usage(prompt_tokens=tokens.input_tokens, completion_tokens=tokens.output_tokens),
            top_logprobs=tuple([position.alternatives() for position in positions]) or None,
            model=reply.model,
            reasoning="\n\n".join(thoughts) if thoughts or self.thinks else None,
        )


def _thoughts(item: _Item) -> list[_Part]:
    """The thinking itself where the server shows it, as vLLM does, else its summary."""
    return item.content or item.summary
