"""OpenAI's Responses protocol: request bodies written, replies read.
What the protocols share is in ``wire``.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from judgebench.models.http.wire import (
    BrokenOff,
    NoAnswer,
    alternatives,
    ending,
    fields,
    items,
    name,
    require_no_error,
    text_of,
    thoughts,
    usage,
)
from judgebench.records import Completion, Request, Usage

PARTS = {"output_text": "text", "text": "text", "refusal": "refusal"}
"""Kinds of a message's parts that are text, with the field that holds it."""


@dataclass(frozen=True)
class Responses:
    """``/responses``, with nothing kept at the vendor's."""

    scheme = "responses"
    path = "responses"
    gives_logprobs = True
    settings: ClassVar[Mapping[str, Any]] = {}
    droppable = (("top_p", "top_p"), ("temperature", "temperature"))
    unsupported = frozenset({"seed", "stop"})
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

    def joined(self, events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """The whole response, which the last event holds."""
        return next((fields(event["response"]) for event in reversed(events) if "response" in event), {})

    def tokens(self, reply: Mapping[str, Any], request: Request) -> Usage:
        """Thinking is among the output's tokens."""
        told = fields(reply.get("usage"))
        return usage(request, told.get("input_tokens"), told.get("output_tokens"), told.get("total_tokens"))

    def completion(self, reply: Mapping[str, Any], tokens: Usage) -> Completion:
        """The texts of all messages joined, and of all thinking parts or their summaries."""
        require_no_error(reply)
        if not isinstance(reply.get("output"), list):
            raise NoAnswer("it has no output items")
        output, end = items(reply["output"]), _ending(reply)
        parts = [part for item in output if item.get("type") == "message" for part in items(item.get("content"))]
        refused = any(part.get("type") == "refusal" for part in parts)
        thinking = [item for item in output if item.get("type") == "reasoning"]
        # The thinking itself where the server shows it, as vLLM does, else its summary.
        found = [thoughts(item.get("content") or item.get("summary")) for item in thinking]
        of_parts = [part["logprobs"] for part in parts if isinstance(part.get("logprobs"), list)]
        return Completion(
            text="".join(text_of(part, PARTS[part["type"]]) for part in parts if part.get("type") in PARTS),
            finish_reason="content_filter" if refused else end,
            usage=tokens,
            top_logprobs=alternatives([position for positions in of_parts for position in positions]),
            model=name(reply.get("model")),
            reasoning="\n\n".join(filter(None, found)) if any(found) or self.thinks else None,
        )


def _ending(reply: Mapping[str, Any]) -> str:
    """How a response ended; only an incomplete one says why."""
    status = reply.get("status")
    if status == "completed":
        return "stop"
    if status == "incomplete":
        return ending(fields(reply.get("incomplete_details")).get("reason"))
    raise BrokenOff(f"its status is {str(status)[:60]!r}")
