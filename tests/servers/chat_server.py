"""A chat server for tests and benchmarks: canned replies, faults on demand, a log of what it saw.

It speaks OpenAI's chat completions and Responses API and Anthropic's Messages API (``protocols.py``). Run as a program;
its first line of output is the port. Replies come from a JSON-lines file of ``{"key": <sha256 hex of the last message's
text, or of the whole ``messages`` as sent>, "choice": <choice object as OpenAI returns it>}`` with optional ``usage``
and ``model``, or are one fixed label with logprobs. Over the other protocols the choice is put in their words, or the
line holds a whole ``message`` or ``response`` of theirs. A line with ``status`` in place of the choice is always that
error. A fault hits a request on its first ``--fault-attempts`` attempts only, so that retries succeed; which requests
are hit depends on the seed and their text, not on their order.

The log holds a JSON line per event: ``time``, ``key`` (sha256 of the body's ``messages``, or ``input``, as sent),
``event`` (``start``, then ``finish``, ``refused`` with status 400, ``abandoned`` by the client, or the fault's name),
``in_flight`` and, for ``start``, ``attempt``; with ``--log-bodies`` also ``path``, ``headers`` and ``body``.
"""

import argparse
import asyncio
import hashlib
import json
import os
import random
import time
from pathlib import Path

import msgspec
from aiohttp import web
from protocols import PROTOCOLS, Protocol, Refusal
from rates import Meter

FAULTS = (
    "429",
    "500",
    "503",
    "529",
    "truncated",
    "malformed",
    "string",
    "no_choices",
    "slow",
    "no_logprobs",
    "disconnect",
)
FIXED_CHOICE = {
    "index": 0,
    "message": {"role": "assistant", "content": "m"},
    "finish_reason": "length",
    "logprobs": {
        "content": [
            {
                "token": "m",
                "logprob": -0.1053605,
                "bytes": [109],
                "top_logprobs": [
                    {"token": "m", "logprob": -0.1053605, "bytes": [109]},
                    {"token": "M", "logprob": -2.3025851, "bytes": [77]},
                ],
            }
        ]
    },
}


class Message(msgspec.Struct):
    """What is read of a message."""

    content: str


class Body(msgspec.Struct):
    """What is read of a request."""

    messages: msgspec.Raw = msgspec.Raw(b"[]")
    input: msgspec.Raw = msgspec.Raw(b"")
    """What the Responses API calls the messages."""
    model: str = ""

    @property
    def conversation(self) -> msgspec.Raw:
        """The messages, whatever they are called."""
        return self.input or self.messages


class ChatServer:
    """State of one server process."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.rates = dict(_rate(pair) for pair in options.faults.split(",") if pair)
        self.key = os.environ[options.key_env] if options.key_env else None
        self.choices: dict[str, dict[str, object]] = {}
        if options.replies:
            with Path(options.replies).open("rb") as file:
                self.choices = {line["key"]: line for line in map(msgspec.json.decode, file)}
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self.log_file = os.open(options.log, flags, 0o644) if options.log else None
        self.attempts: dict[bytes, int] = {}
        self.in_flight = 0
        self.meter = Meter(options.allow, options.allow_window, bucket=bool(options.allow_bucket))
        self.max_in_flight = options.max_in_flight
        self.served = 0
        self.bodies = msgspec.json.Decoder(Body)
        self.messages = msgspec.json.Decoder(list[Message])
        self.fixed = PROTOCOLS["/v1/chat/completions"].reply({"choice": FIXED_CHOICE, "model": "fixed"})

    def log(self, key: bytes, event: str, **more: object) -> None:
        """Append an event."""
        if self.log_file is not None:
            line = {"time": time.time(), "key": key.hex(), "event": event, "in_flight": self.in_flight, **more}
            # One write of a short line to a file opened for appending is whole, whenever the process is killed.
            os.write(self.log_file, msgspec.json.encode(line) + b"\n")

    async def settings(self, request: web.Request) -> web.Response:
        """POST /settings changes options while the server runs."""
        for name, value in (await request.json()).items():
            setattr(self, name, value)
        return web.json_response({"served": self.served})

    async def models(self, request: web.Request) -> web.Response:
        """GET /v1/models: the file of ``--models`` as it is."""
        self.log(b"", "models", headers=dict(request.headers))
        return web.Response(body=Path(self.options.models).read_bytes(), content_type="application/json")

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST of a conversation, over any of the protocols."""
        data = await request.read()
        body = self.bodies.decode(data)
        key = hashlib.sha256(body.conversation).digest()
        attempt = self.attempts[key] = self.attempts.get(key, 0) + 1
        self.in_flight += 1
        seen = {"path": request.path, "headers": dict(request.headers), "body": msgspec.Raw(data)}
        self.log(key, "start", attempt=attempt, **(seen if self.options.log_bodies else {}))
        allowed, told = self.meter.take(asyncio.get_running_loop().time())
        fault = self.fault_of(key, attempt) if allowed else "429"
        try:
            response = await self.reply(request, PROTOCOLS[request.path], body, data, fault)
        except asyncio.CancelledError:
            self.log(key, fault or "abandoned")
            raise
        finally:
            self.in_flight -= 1
        if not response.prepared:
            response.headers.update(told)
        self.log(key, fault or ("refused" if response.status == 400 else "finish"))
        self.served += 1
        return response

    def fault_of(self, key: bytes, attempt: int) -> str | None:
        """The fault that this attempt meets."""
        if self.max_in_flight and self.in_flight > self.max_in_flight:
            return "429"
        if attempt > self.options.fault_attempts:
            return None
        drawn = 1 if self.options.persistent else attempt
        draw = random.Random(key + f"{self.options.seed}/{drawn}".encode()).random()
        for fault, rate in self.rates.items():
            draw -= rate
            if draw < 0:
                return fault
        return None

    async def reply(
        self, request: web.Request, protocol: Protocol, body: Body, data: bytes, fault: str | None
    ) -> web.StreamResponse:
        """The reply, or the fault in its place."""
        error = protocol.error
        sent = protocol.key(request.headers)
        if self.key is not None and sent != self.key:
            # Servers have been seen to echo what they were sent.
            return error(401, f"Incorrect API key provided: {sent}", "invalid_api_key")
        if self.options.always:
            status, _, message = self.options.always.partition(":")
            return error(int(status), message, "scripted")
        if fault in {"429", "503", "529"}:
            return error(int(fault), "Rate limit reached", "rate_limit", self.retry_after())
        if fault == "500":
            return error(500, "The server had an error", "server_error")
        try:
            protocol.check(request.headers, msgspec.json.decode(data), self.options.refuse.split(","))
        except Refusal as refusal:
            if self.options.refuse_body:
                return web.Response(status=self.options.refuse_status, text=self.options.refuse_body)
            return error(self.options.refuse_status, str(refusal), "invalid_request_error")
        if fault == "disconnect":
            assert request.transport is not None
            request.transport.close()
        await asyncio.sleep((self.options.slow_ms if fault == "slow" else self.options.delay_ms) / 1000)
        found = self.find(body)
        if isinstance(found.get("status"), int):
            return error(int(str(found["status"])), "This prompt has no answer", "scripted")
        answer = self.answer(protocol, body, found, with_logprobs=fault != "no_logprobs")
        if fault == "truncated":
            return await truncated(request, answer)
        broken = {"malformed": answer[: len(answer) // 2], "string": b'"hello"', "no_choices": b'{"choices": []}'}
        return web.Response(body=broken.get(fault or "", answer), content_type="application/json")

    def find(self, body: Body) -> dict[str, object]:
        """The line of this request: of the whole conversation, else of its last message."""
        if not self.choices:
            return {}
        whole = self.choices.get(hashlib.sha256(body.conversation).hexdigest())
        text = self.messages.decode(body.conversation)[-1].content
        return whole or self.choices.get(hashlib.sha256(text.encode()).hexdigest(), {})

    def answer(self, protocol: Protocol, body: Body, found: dict[str, object], *, with_logprobs: bool) -> bytes:
        """The body of a good reply."""
        if (
            not (self.choices or self.options.ratings or self.options.text)
            and with_logprobs
            and protocol is PROTOCOLS["/v1/chat/completions"]
        ):
            return self.fixed
        line = {"choice": FIXED_CHOICE, "model": body.model, **found}
        if self.options.ratings:
            rating = 1 + hashlib.sha256(body.conversation).digest()[0] % 10
            message = {"role": "assistant", "content": f"Rating: [[{rating}]]"}
            line["choice"] = {"index": 0, "message": message, "finish_reason": "stop"}
        if self.options.text:
            message = {"role": "assistant", "content": self.options.text}
            line["choice"] = {"index": 0, "message": message, "finish_reason": "stop"}
            line["usage"] = {
                "prompt_tokens": len(body.conversation) // 4,
                "completion_tokens": len(self.options.text) // 4,
            }
        if not with_logprobs:
            assert isinstance(line["choice"], dict)
            line["choice"] = {**line["choice"], "logprobs": None}
        return protocol.reply(line)

    def retry_after(self) -> dict[str, str]:
        """The header that says when to come back, if one is asked for."""
        value = self.options.retry_after
        return {self.options.retry_after_field: value} if value else {}


async def truncated(request: web.Request, data: bytes) -> web.StreamResponse:
    """Half of the reply under the whole one's length, then the connection is cut."""
    response = web.StreamResponse(headers={"Content-Length": str(len(data)), "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(data[: len(data) // 2])
    assert request.transport is not None
    request.transport.close()
    return response


def _rate(pair: str) -> tuple[str, float]:
    fault, _, rate = pair.partition("=")
    if fault not in FAULTS:
        raise SystemExit(f"no such fault: {fault}; there are {', '.join(FAULTS)}")
    return fault, float(rate)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--replies", help="JSON-lines file of replies; without it, one fixed reply")
    parser.add_argument("--ratings", type=int, default=0, help="1: reply [[1 + first byte of the key modulo 10]]")
    parser.add_argument("--text", default="", help="reply this to everything, with a token for every four characters")
    parser.add_argument("--log", help="file to append a JSON line per event to")
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--slow-ms", type=float, default=1000.0)
    parser.add_argument("--faults", default="", help="e.g. 429=0.02,500=0.02,truncated=0.02; of " + ", ".join(FAULTS))
    parser.add_argument("--fault-attempts", type=int, default=1)
    parser.add_argument("--persistent", type=int, default=0, help="1: a request meets the same at all its attempts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--retry-after", default="", help="value of the header sent with 429 and 503")
    parser.add_argument("--retry-after-field", default="Retry-After")
    parser.add_argument("--max-in-flight", type=int, default=0, help="429 above so many requests at once")
    parser.add_argument("--allow", type=int, default=0, help="429 above so many requests in a window; headers tell it")
    parser.add_argument("--allow-window", type=float, default=1.0, help="seconds")
    parser.add_argument("--allow-bucket", type=int, default=0, help="1: they come back bit by bit, as in a bucket")
    parser.add_argument("--key-env", help="environment variable with the key to demand")
    parser.add_argument("--refuse", default="", help="fields of the body to refuse, e.g. temperature,top_p")
    parser.add_argument("--refuse-status", type=int, default=400)
    parser.add_argument("--refuse-body", default="", help="what is said of them, in place of the vendor's words")
    parser.add_argument("--log-bodies", type=int, default=0, help="1: log what was sent, credentials too")
    parser.add_argument("--models", default="", help="file to reply to GET /v1/models with; without it, 404")
    parser.add_argument("--always", default="", help="STATUS:MESSAGE to answer everything with")
    return parser.parse_args()


async def main() -> None:
    server = ChatServer(arguments())
    app = web.Application(client_max_size=64 * 2**20)
    for path in PROTOCOLS:
        app.router.add_post(path, server.chat)
    app.router.add_post("/settings", server.settings)
    if server.options.models:
        app.router.add_get("/v1/models", server.models)
    # A client that goes away ends its handler, which the log then tells.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", server.options.port, backlog=4096)
    await site.start()
    print(json.dumps(runner.addresses[0][1]), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
