"""A server of all three protocols that knows sums, and answers a share of the requests in an odd way.

Run as a program; its first line of output is the port. ``What is A + B?`` is answered with the sum, a request to rate
an answer with ``[[8]]``, and anything with ``--reply``, in which ``{A}`` stands for that. Which attempts meet which of
the oddities (:data:`ODD`) is drawn by a seed from the request's text and the number of the attempt, so it depends on
nothing else; a text with ``<<NAME>>`` in it always meets that one. ``--refused`` numbers (of A) are always refused for
what they say. The log holds a JSON line per request: what was asked, and the name of the oddity or ``good``.
"""

import argparse
import asyncio
import collections
import gzip
import hashlib
import json
import os
import random
import re
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

USAGE = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}


@dataclass
class Reply:
    """What goes over the wire."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    kept: float = 1.0
    """Share of the body that is sent before the connection is cut; below 0 nothing is, not even the status."""


@dataclass
class Good:
    """A right answer, in one of the protocols."""

    protocol: str
    text: str

    def body(self, text: Any = ..., end: Any = ..., usage: Any = ..., **more: Any) -> dict[str, Any]:
        """The reply as the protocol has it, with some of it in another way."""
        text = self.text if text is ... else text
        build = {"chat": self._chat, "responses": self._responses, "messages": self._messages}[self.protocol]
        return {**build(text, end, dict(USAGE) if usage is ... else usage), **more}

    def reply(self, **changes: Any) -> Reply:
        """The same, encoded."""
        return Reply(json.dumps(self.body(**changes)).encode())

    def _chat(self, text: Any, end: Any, usage: Any) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop" if end is ... else end}
        return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}

    def _responses(self, text: Any, end: Any, usage: Any) -> dict[str, Any]:
        part = {"type": "output_text", "text": text, "annotations": []}
        message = {"type": "message", "id": "1", "role": "assistant", "status": "completed", "content": [part]}
        status = {"status": "completed", "incomplete_details": None}
        if end is not ...:
            status = {"status": "incomplete", "incomplete_details": {"reason": end}}
        named = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"}
        told = {named.get(key, key): value for key, value in usage.items()} if isinstance(usage, dict) else usage
        return {
            "id": "1",
            "object": "response",
            "model": "m",
            **status,
            "error": None,
            "output": [message],
            "usage": told,
        }

    def _messages(self, text: Any, end: Any, usage: Any) -> dict[str, Any]:
        named = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"}
        told = {named[key]: usage[key] for key in named if key in usage} if isinstance(usage, dict) else usage
        content = [{"type": "text", "text": text}]
        reason = "end_turn" if end is ... else end
        return {"id": "1", "type": "message", "role": "assistant", "model": "m", "content": content, "usage": told} | {
            "stop_reason": reason, "stop_sequence": None
        }  # fmt: skip


def _error(status: int, message: str, **headers: str) -> Callable[[Good], Reply]:
    body = json.dumps({"error": {"message": message, "type": "test", "code": None}}).encode()
    return lambda good: Reply(body, status, {name.replace("_", "-"): value for name, value in headers.items()})


def _raw(body: bytes, status: int = 200, **headers: str) -> Callable[[Good], Reply]:
    return lambda good: Reply(body, status, {name.replace("_", "-"): value for name, value in headers.items()})


def _packed(good: Good, pack: Callable[[bytes], bytes], encoding: str) -> Reply:
    return Reply(pack(good.reply().body), headers={"Content-Encoding": encoding})


def _streamed(good: Good) -> Reply:
    """As an event stream, which nobody asked for."""
    if good.protocol == "chat":
        pieces = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in (good.text[:5], good.text[5:])]
        events = [*pieces, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USAGE}]
    elif good.protocol == "responses":
        events = [{"type": "response.created"}, {"type": "response.completed", "response": good.body()}]
    else:
        begun = {**good.body(end=None), "content": []}
        events = [
            {"type": "message_start", "message": begun},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": good.text}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 10}},
        ]
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    return Reply(body.encode(), headers={"Content-Type": "text/event-stream"})


def _without(good: Good, *keys: str) -> Reply:
    return Reply(json.dumps({key: value for key, value in good.body().items() if key not in keys}).encode())


def _text(good: Good, old: str, new: bytes) -> Reply:
    return Reply(good.reply().body.replace(old.encode(), new))


def _usage(**told: Any) -> Callable[[Good], Reply]:
    return lambda good: good.reply(usage={**USAGE, **told})


def _end(word: Any) -> Callable[[Good], Reply]:
    return lambda good: good.reply(text="Let me compute 17 and", end=word)


FAULTS: dict[str, Callable[[Good], Reply]] = {
    # Not a success: each may be one when it is asked again.
    "500": _error(500, "The server had an error"),
    "500 in GBK": _raw("{'error': '内部错误'}".encode("gbk"), 500),
    "500 nested": _raw(b"[" * 100_000, 500),
    "500 empty": _raw(b"", 500),
    "502 page": _raw(b"<html><body>Bad gateway</body></html>", 502, Content_Type="text/html"),
    "503 at once": _error(503, "Overloaded", Retry_After="0"),
    "504 text": _raw(b"upstream request timeout", 504, Content_Type="text/plain"),
    "529": _error(529, "Overloaded"),
    "408": _error(408, "Request timeout"),
    "409": _error(409, "Conflict"),
    "425": _error(425, "Too early"),
    "429 header": _error(429, "Rate limit reached", Retry_After="0.01"),
    "429 milliseconds": _error(429, "Rate limit reached", retry_after_ms="5"),
    "429 odd header": _error(429, "Rate limit reached. Please try again in 20ms.", Retry_After="soon"),
    "429 in the body": _raw(b'[{"error": {"code": 429, "details": [{"retryDelay": "0.01s"}]}}]', 429),
    "429 in words": _error(429, "Rate limit reached. Please try again in 0.02s."),
    "302": _raw(b"", 302, Location="/elsewhere"),
    "401 now and then": _error(401, "Unauthorized"),
    "403 now and then": _error(403, "Forbidden"),
    "404 now and then": _error(404, "Not found"),
    # A success without an answer.
    "empty": _raw(b""),
    "null": _raw(b"null"),
    "list": _raw(b"[]"),
    "string": _raw(b'"hello"'),
    "number": _raw(b"42"),
    "empty object": _raw(b"{}"),
    "page": _raw(b"<html><body>Sign in</body></html>", Content_Type="text/html"),
    "half": lambda good: Reply(good.reply().body[:-20]),
    "nested": _raw(b'{"choices": ' + b"[" * 100_000),
    "bytes": _raw(bytes(range(128, 256)) * 4),
    "digits": _raw(b'{"choices": ' + b"9" * 5000),
    "error beside": lambda good: good.reply(text="Let me", error={"code": 502, "message": "Upstream ended"}),
    "error alone": _raw(b'{"error": {"code": 429, "message": "Rate limited"}}'),
    "error text": lambda good: good.reply(error="overloaded"),
    "no choices": lambda good: good.reply(choices=[], output=None, content=None),
    "choices are text": lambda good: good.reply(choices="none", output="none", content="none"),
    "choices of nothing": lambda good: good.reply(choices=[None], output={}, content=7),
    "text is a number": lambda good: good.reply(text=42),
    "text is an object": lambda good: good.reply(text={"value": good.text}),
    "ended by error": _end("error"),
    "ended by abort": _end("abort"),
    "ended by network_error": _end("network_error"),
    "ended by want of resources": _end("insufficient_system_resource"),
    "ended by who knows what": _end("other"),
    "ended by a number": _end(7),
    "ended by a list": _end(["stop"]),
    "not ended": _end(None),
    "in progress": lambda good: good.reply(end=None, status="in_progress", text="Let"),
    # The connection.
    "dropped": lambda good: Reply(b"", kept=-1.0),
    "cut": lambda good: Reply(good.reply().body, kept=0.5),
    "junk instead of HTTP": lambda good: Reply(b"", status=-1),
    "bomb": _raw(gzip.compress(bytes(40 * 2**20)), Content_Encoding="gzip"),
    "junk packed": _raw(b"junk", Content_Encoding="gzip"),
    "packed in an unknown way": _raw(b"junk", Content_Encoding="zip"),
}
"""Attempts that fail."""
SIDES: dict[str, Callable[[Good], Reply]] = {
    "byte order mark": lambda good: Reply(b"\xef\xbb\xbf" + good.reply().body),
    "UTF-16": lambda good: Reply(good.reply().body.decode().encode("utf-16")),
    "white space": lambda good: Reply(b"\n\n\n" + good.reply().body + b"\n\n"),
    "stream": _streamed,
    "gzip": lambda good: _packed(good, gzip.compress, "gzip"),
    "deflate": lambda good: _packed(good, zlib.compress, "deflate"),
    "raw deflate": lambda good: _packed(good, lambda body: zlib.compress(body)[2:-4], "deflate"),
    "half a character": lambda good: _text(good, "sum", b"sum \xe5\x86"),
    "half a pair": lambda good: _text(good, "sum", b"sum \\ud83d"),
    "usage null": lambda good: good.reply(usage=None),
    "usage text": lambda good: good.reply(usage="many"),
    "usage absent": lambda good: _without(good, "usage"),
    "usage of nulls": _usage(prompt_tokens=None, completion_tokens=None, total_tokens=None),
    "usage of texts": _usage(prompt_tokens="20", completion_tokens="10"),
    "usage of fractions": _usage(prompt_tokens=20.0, completion_tokens=10.5),
    "usage negative": _usage(prompt_tokens=-20, completion_tokens=-10, total_tokens=-30),
    "usage huge": _usage(prompt_tokens=1e308, completion_tokens=10**18),
    "usage beyond 64 bits": lambda good: _text(good, "20", b"9" * 40),
    "usage NaN": _usage(prompt_tokens=float("nan"), completion_tokens=float("inf")),
    "thinking beside": _usage(total_tokens=1030),
    "model a number": lambda good: good.reply(model=7),
    "model endless": lambda good: good.reply(model="m" * 100_000),
    "id a list": lambda good: good.reply(id=[1], created="now", system_fingerprint={"a": 1}),
    "unknown fields": lambda good: good.reply(provider={"name": "x"}, citations=[{"url": "y"}], warnings=float("nan")),
    "error null": lambda good: good.reply(error=None),
    "ended in capitals": lambda good: good.reply(**({} if good.protocol == "responses" else {"end": "STOP"})),
    "ended at the limit": lambda good: good.reply(end="max_output_tokens"),
}
"""Right answers beside which something is odd."""
ODD = FAULTS | SIDES


def sum_of(text: str) -> tuple[str, str]:
    """The answer to what was asked, and the first number of the sum (or nothing)."""
    asked = re.findall(r"What is (\d+) \+ (\d+)\?", text)
    if text.startswith("Rate") or not asked:
        return "A fair answer. Rating: [[8]]", ""
    first, second = asked[-1]
    return f"The sum is {int(first) + int(second)}.", first


class Odd:
    """State of one server process."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.attempts: collections.Counter[str] = collections.Counter()
        self.log = os.open(options.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) if options.log else None
        self.window: collections.deque[float] = collections.deque()
        self.names = options.only.split(",") if options.only else sorted(ODD)
        self.refused = set(filter(None, options.refused.split(",")))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept open for further requests."""
        try:
            while await self.exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its reply; whether the connection can be used again."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"content-length: (\d+)", head, re.I)
        request = json.loads(await reader.readexactly(int(length[1]) if length else 0))
        path = head.split(" ", 2)[1]
        protocol = next(name for name in ("chat", "responses", "messages") if name in path)
        reply = self.answer(protocol, (request.get("messages") or request["input"])[-1]["content"])
        if self.options.delay_ms and reply.status == 200:
            await asyncio.sleep(self.options.delay_ms / 1000)
        if reply.kept < 0:
            return False
        headers = {"Content-Type": "application/json", **reply.headers, "Content-Length": str(len(reply.body))}
        lines = [f"HTTP/1.1 {reply.status} X", *(f"{key}: {value}" for key, value in headers.items()), "", ""]
        writer.write(b"junk\r\n\r\n" if reply.status < 0 else "\r\n".join(lines).encode())
        writer.write(reply.body[: int(len(reply.body) * reply.kept)])
        await writer.drain()
        return reply.kept == 1.0 and reply.status > 0

    def beyond_the_window(self) -> bool:
        """Whether as many requests as are allowed in the window were answered already."""
        if not self.options.per_window:
            return False
        now = asyncio.get_running_loop().time()
        while self.window and self.window[0] < now - self.options.window_seconds:
            self.window.popleft()
        if len(self.window) >= self.options.per_window:
            return True
        self.window.append(now)
        return False

    def answer(self, protocol: str, text: str) -> Reply:
        """The reply that this attempt meets."""
        right, first = sum_of(text)
        good = Good(protocol, self.options.reply.replace("{A}", right))
        self.attempts[text] += 1
        draw = random.Random(hashlib.sha256(f"{self.options.seed}{text}{self.attempts[text]}".encode()).digest())
        name = draw.choice(self.names) if draw.random() < self.options.rate else "good"
        if asked_for := re.search(r"<<(.+?)>>", text):
            name = asked_for[1]
        place, _, echo = self.options.echo.partition(":")
        if place:
            changed = {"text": {"text": f"You sent {echo}."}, "finish": {"end": echo}, "model": {"model": echo}}
            name, reply = "echo", good.reply(**changed[place])
        elif self.beyond_the_window():
            name, reply = "429 window", _error(429, "Too many requests")(good)
        elif first in self.refused:
            name, reply = "refused", _error(400, self.options.refusal)(good)
        else:
            end = {"end": self.options.end} if self.options.end else {}
            reply = good.reply(**end) if name == "good" else ODD[name](good)
        if self.log is not None:
            os.write(self.log, json.dumps({"asked": text[:200], "name": name}).encode() + b"\n")
        return reply


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=0.3, help="share of the attempts that are odd")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="the oddities to draw from, instead of all")
    parser.add_argument("--refused", default="", help="first numbers of the sums that are always refused")
    parser.add_argument("--reply", default="{A}", help="every good reply, {A} in it being the right one")
    parser.add_argument("--end", default="", help="how every good reply ended, if not by itself")
    parser.add_argument("--per-window", type=int, default=0, help="429, without a word on when to come back, beyond it")
    parser.add_argument("--window-seconds", type=float, default=60.0)
    parser.add_argument("--refusal", default="Content Exists Risk", help="what is said of those")
    parser.add_argument("--echo", default="", help="PLACE:TEXT to say in the text, as the finish or as the model")
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--log")
    odd = Odd(parser.parse_args())
    server = await asyncio.start_server(odd.serve, "127.0.0.1", 0, limit=2**24, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    sys.setrecursionlimit(10_000)
    asyncio.run(main())
