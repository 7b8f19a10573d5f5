"""The protocols that ``chat_server.py`` speaks, in the vendors' words: demands, replies, refusals.

Checked against the vendors' own clients in ``tests/models/http/test_messages.py`` and ``test_responses.py``.
"""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from aiohttp import web

VERSIONS = ("2023-06-01", "2026-10-21")
SAMPLING = frozenset({"temperature", "top_p", "top_k"})
MESSAGES_FIELDS = SAMPLING | {
    *("model", "messages", "max_tokens", "system", "stop_sequences", "thinking", "output_config", "cache_control"),
    *("metadata", "stream", "service_tier", "tools", "tool_choice"),
}
STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}
USAGE = {"prompt_tokens": 100, "completion_tokens": 1, "total_tokens": 101}


class Refusal(Exception):
    """A request that the protocol does not allow; status 400."""


class Protocol:
    """OpenAI's chat completions; the others differ from it."""

    def key(self, headers: Mapping[str, str]) -> str:
        """The key that was sent."""
        return headers.get("Authorization", "").removeprefix("Bearer ")

    def check(self, headers: Mapping[str, str], body: dict[str, Any], refuse: Collection[str]) -> None:
        """Raise :class:`Refusal` for what the vendor would refuse, or is told to."""
        for field in refuse:
            if field == "max_tokens" and field in body:
                raise Refusal(
                    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
                    "instead."
                )
            if field in body:
                raise Refusal(f"Unsupported value: '{field}' does not support {body[field]} with this model.")

    def reply(self, line: Mapping[str, Any]) -> bytes:
        """A canned reply as the vendor would send it."""
        reply = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": line["model"]}
        return msgspec.json.encode({**reply, "choices": [line["choice"]], "usage": line.get("usage") or USAGE})

    def error(self, status: int, message: str, code: str, headers: dict[str, str] | None = None) -> web.Response:
        """An error."""
        body = {"error": {"message": message, "type": "test", "param": None, "code": code}}
        return web.json_response(body, status=status, headers=headers)


class Responses(Protocol):
    """OpenAI's Responses API."""

    def check(self, headers: Mapping[str, str], body: dict[str, Any], refuse: Collection[str]) -> None:
        """It knows neither a seed nor stop strings nor the names of chat completions."""
        for field in ("messages", "max_tokens", "seed", "stop", "logprobs", "response_format"):
            if field in body:
                raise Refusal(f"Unknown parameter: '{field}'.")
        super().check(headers, body, refuse)

    def reply(self, line: Mapping[str, Any]) -> bytes:
        """The choice as output items, if the line does not hold a whole response."""
        choice, usage = line["choice"], line.get("usage") or USAGE
        message, length = choice["message"], choice["finish_reason"] == "length"
        logprobs = (choice.get("logprobs") or {}).get("content") or []
        content: dict[str, Any] = {"type": "output_text", "text": message["content"], "annotations": []}
        if message.get("refusal"):
            content = {"type": "refusal", "refusal": message["refusal"]}
        elif logprobs:
            content["logprobs"] = logprobs
        thoughts = message.get("reasoning")
        summary = [{"type": "summary_text", "text": thoughts}]
        response = {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "model": line["model"],
            "status": "incomplete" if length else "completed",
            "incomplete_details": {"reason": "max_output_tokens"} if length else None,
            "error": None,
            "output": [
                *([{"type": "reasoning", "id": "rs_1", "summary": summary}] if thoughts else []),
                {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [content]},
            ],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": {
                "input_tokens": usage["prompt_tokens"],
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": usage["completion_tokens"],
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": usage["prompt_tokens"] + usage["completion_tokens"],
            },
        }
        return msgspec.json.encode(line.get("response") or response)


class Messages(Protocol):
    """Anthropic's Messages API."""

    def key(self, headers: Mapping[str, str]) -> str:
        """The vendor's own header comes before the other."""
        return headers.get("x-api-key") or super().key(headers)

    def check(self, headers: Mapping[str, str], body: dict[str, Any], refuse: Collection[str]) -> None:
        """A version and a token limit are a must; there is no field but its own; a later version has fewer."""
        version = headers.get("anthropic-version", "")
        if version not in VERSIONS:
            raise Refusal(f"anthropic-version: {version!r} is not a valid version")
        for field in ("model", "messages", "max_tokens"):
            if field not in body:
                raise Refusal(f"{field}: Field required")
        known = MESSAGES_FIELDS if version == VERSIONS[0] else MESSAGES_FIELDS - SAMPLING
        for field in body:
            if field not in known:
                raise Refusal(f"{field}: Extra inputs are not permitted")
        for field in refuse:
            if field == "adaptive" and body.get("thinking", {}).get("type") == "adaptive":
                raise Refusal("adaptive thinking is not supported on this model")
            if field in body:
                raise Refusal(f"`{field}` is deprecated for this model.")
        thinking = body.get("thinking", {})
        if thinking.get("type") == "enabled" and not 1024 <= thinking["budget_tokens"] < body["max_tokens"]:
            raise Refusal("`max_tokens` must be greater than `thinking.budget_tokens`")
        if thinking.get("type") in ("enabled", "adaptive") and body.get("temperature", 1) != 1:
            raise Refusal("`temperature` may only be set to 1 when thinking is enabled.")

    def reply(self, line: Mapping[str, Any]) -> bytes:
        """The choice as content blocks, if the line does not hold a whole message."""
        choice, usage = line["choice"], line.get("usage") or USAGE
        thoughts, text = choice["message"].get("reasoning"), choice["message"]["content"]
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": line["model"],
            "content": [
                *([{"type": "thinking", "thinking": thoughts, "signature": "c2ln"}] if thoughts else []),
                *([{"type": "text", "text": text}] if text else []),
            ],
            "stop_reason": STOP_REASONS[choice["finish_reason"]],
            "stop_sequence": None,
            "usage": {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]},
        }
        return msgspec.json.encode(line.get("message") or message)

    def error(self, status: int, message: str, code: str, headers: dict[str, str] | None = None) -> web.Response:
        """An error."""
        body = {"type": "error", "error": {"type": code, "message": message}, "request_id": "req_1"}
        return web.json_response(body, status=status, headers=headers)


PROTOCOLS = {
    "/v1/chat/completions": Protocol(),
    "/v1/responses": Responses(),
    "/v1/messages": Messages(),
}
"""By path."""
