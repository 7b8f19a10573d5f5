"""OpenAI's Responses API, the only way to some of its models. It has no seed and no stop strings."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judgebench.models.http import wire
from judgebench.models.http.wire import BrokenOff, NoAnswer, Wire
from judgebench.records import Completion, Request, Usage

PARTS = {"output_text": "text", "text": "text", "refusal": "refusal"}
"""The kinds of a message's parts that are text, each with the field that holds it."""


@dataclass(frozen=True)
class Responses(Wire):
    """``/responses``; the vendor is told to store nothing."""

    scheme = "responses"
    path = "responses"
    gives_logprobs = True
    droppable = ("top_p", "temperature")
    unsupported = frozenset({"seed", "stop"})
    thinks: bool = False
    """Whether the model was told to think. A reply without a thinking part is an answer all the same."""

    def effort(self, effort: str) -> dict[str, Any]:
        """As the protocol names it."""
        return {"reasoning": {"effort": effort}}

    def body(self, model: str, request: Request, refused: Collection[str]) -> dict[str, Any]:
        """The conversation as input items."""
        sampling = request.sampling
        settings = wire.chosen(sampling, refused, "temperature", "top_p")
        body: dict[str, Any] = {"model": model, "input": request.messages, "store": False, **settings}
        if sampling.max_tokens is not None:
            body["max_output_tokens"] = sampling.max_tokens
        if (form := wire.form(sampling)) is not None:
            body["text"] = {"format": {"type": "json_schema", **form} if form else {"type": "json_object"}}
        if sampling.top_logprobs:
            body["include"] = ["message.output_text.logprobs"]
            body["top_logprobs"] = sampling.top_logprobs
        return body

    def joined(self, events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """The complete response, which the last event holds."""
        return next((wire.fields(event["response"]) for event in reversed(events) if "response" in event), {})

    def tokens(self, reply: Mapping[str, Any], request: Request) -> Usage:
        """The output's tokens include thinking."""
        told = wire.fields(reply.get("usage"))
        return wire.usage(request, told.get("input_tokens"), told.get("output_tokens"), told.get("total_tokens"))

    def completion(self, reply: Mapping[str, Any], tokens: Usage) -> Completion:
        """The texts of all messages joined, and all thinking parts, or their summaries, joined."""
        wire.require_no_error(reply)
        if not isinstance(reply.get("output"), list):
            raise NoAnswer("it has no output items")
        output, end = wire.items(reply["output"]), _ending(reply)
        parts = [part for item in output if item.get("type") == "message" for part in wire.items(item.get("content"))]
        refused = any(part.get("type") == "refusal" for part in parts)
        thinking = [item for item in output if item.get("type") == "reasoning"]
        # The thinking itself if the server shows it, as vLLM does, else its summary.
        found = [wire.thoughts(item.get("content") or item.get("summary")) for item in thinking]
        of_parts = [part["logprobs"] for part in parts if isinstance(part.get("logprobs"), list)]
        return Completion(
            text="".join(wire.text_of(part, PARTS[part["type"]]) for part in parts if part.get("type") in PARTS),
            finish_reason="content_filter" if refused else end,
            usage=tokens,
            top_logprobs=wire.alternatives([position for positions in of_parts for position in positions]),
            model=wire.name(reply.get("model")),
            reasoning="\n\n".join(filter(None, found)) if any(found) or self.thinks else None,
        )


def _ending(reply: Mapping[str, Any]) -> str:
    """How a response ended. Only an incomplete one says why."""
    status = reply.get("status")
    if status == "completed":
        return "stop"
    if status == "incomplete":
        return wire.ending(wire.fields(reply.get("incomplete_details")).get("reason"))
    raise BrokenOff(f"its status is {str(status)[:60]!r}")
