"""A vendor with batches, for tests and benchmarks: OpenAI's files and batches, Anthropic's message batches, and both
protocols' single calls. Run as a program; its first line of output is the port.

It answers questions of sums rightly, and prompts that ask for a rating with one that depends on their text alone, so a
call has the same answer however it is asked. What goes wrong is set by options, and by POST /settings while it runs:

- ``missing``, ``expired``, ``errored``, ``broken``, ``refused``: shares of the calls of a batch that have no line, an
  expired one, an error of the server's, half a reply, an error of the caller's; drawn by the call and its number;
- ``end``: how batches end (``completed``, ``expired``, ``cancelled``), the last two after ``--ending`` of their calls;
- ``half``: how many downloads break off in the middle; ``polls``, ``submits``: how many of these calls get a 500 or a
  429; ``lost``: how many submissions are accepted, and answered with a 500;
- ``unpaged``: whether the list of OpenAI's batches is whole on each call, whatever page is asked for, as Groq's;
- ``refuse``: a field that single and batched calls refuse.

Lines come out of order, and every tenth twice. The log has a JSON line for each event: ``live`` and ``batch`` with the
hashes of what was asked, ``answered`` with those that a batch answered.
"""

import argparse
import asyncio
import hashlib
import json
import os
import random
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from protocols import PROTOCOLS, Refusal

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
SUM = re.compile(r"What is (\d+) \+ (\d+)\?")


def said(body: dict[str, Any]) -> str:
    """The answer to a conversation."""
    text = body["messages"][-1]["content"]
    found = SUM.search(text)
    if found and "Rate this" not in text:
        return f"It is {int(found[1]) + int(found[2])}."
    return f"[[{1 + hashlib.sha256(text.encode()).digest()[0] % 10}]]"


def asked(body: dict[str, Any]) -> str:
    """What identifies a call, whatever else is sent with it."""
    return hashlib.sha256(json.dumps([body["model"], body["messages"]]).encode()).hexdigest()


def reply(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The vendor's reply to a call."""
    text = said(body)
    length = len(body["messages"][-1]["content"])
    usage = {"prompt_tokens": length // 4, "completion_tokens": len(text) // 2, "total_tokens": 0}
    usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    if body.get("logprobs"):
        alternatives = [{"token": text[:1], "logprob": -0.1}, {"token": "?", "logprob": -2.4}]
        choice["logprobs"] = {"content": [{"token": text[:1], "logprob": -0.1, "top_logprobs": alternatives}]}
    found: dict[str, Any] = json.loads(
        PROTOCOLS[path].reply({"choice": choice, "model": body["model"], "usage": usage})
    )
    # What is marked, or long enough, is in the cache.
    if path == MESSAGES and isinstance(body.get("system"), list):
        found["usage"]["cache_read_input_tokens"] = len(body["system"][0]["text"]) // 4
    first = body["messages"][0]
    if path == CHAT and first["role"] == "system" and len(first["content"]) > 4096:
        found["usage"]["prompt_tokens"] += len(first["content"]) // 4
        found["usage"]["total_tokens"] += len(first["content"]) // 4
        found["usage"]["prompt_tokens_details"] = {"cached_tokens": len(first["content"]) // 4}
    return found


def tokens(found: dict[str, Any]) -> tuple[int, int]:
    """The tokens of a prompt and its reply, as the vendor bills them."""
    told = found["usage"]
    names = ("prompt_tokens", "completion_tokens") if "prompt_tokens" in told else ("input_tokens", "output_tokens")
    return told[names[0]], told[names[1]]


@dataclass
class Batch:
    """One batch."""

    id: str
    path: str
    calls: dict[str, dict[str, Any]]
    created: float
    ends: float
    input_file: str = ""
    metadata: dict[str, str] | None = None
    end: str = ""
    cancelled: bool = False
    lines: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)


class BatchServer:
    """State of one server process."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, Batch] = {}
        self.times: dict[str, int] = {}
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self.log_file = os.open(options.log, flags, 0o644) if options.log else None

    def log(self, event: str, **more: Any) -> None:
        """Append an event."""
        if self.log_file is not None:
            os.write(self.log_file, json.dumps({"time": time.time(), "event": event, **more}).encode() + b"\n")

    def take(self, name: str) -> bool:
        """Whether a fault that is to happen so many times happens now."""
        left = int(getattr(self.options, name))
        setattr(self.options, name, max(0, left - 1))
        return left > 0

    async def settings(self, request: web.Request) -> web.Response:
        """POST /settings changes options."""
        for name, value in (await request.json()).items():
            setattr(self.options, name, value)
        return web.json_response({})

    def check(self, request: web.Request, path: str, body: dict[str, Any]) -> None:
        """Raise :class:`Refusal` as the vendor would."""
        PROTOCOLS[path].check(request.headers, body, [name for name in self.options.refuse.split(",") if name])

    async def live(self, request: web.Request) -> web.Response:
        """A single call."""
        body = await request.json()
        try:
            self.check(request, request.path, body)
        except Refusal as refusal:
            return PROTOCOLS[request.path].error(400, str(refusal), "invalid_request_error")
        await asyncio.sleep(self.options.live_ms / 1000)
        found = reply(request.path, body)
        self.log("live", asked=[asked(body)], tokens=[tokens(found)])
        return web.json_response(found)

    # -- what both protocols share

    async def begin(self, request: web.Request, path: str, calls: dict[str, dict[str, Any]], **more: Any) -> Batch:
        """Take a batch, slowly, so that whoever submits it may be killed before or after."""
        await asyncio.sleep(self.options.create_ms / 1000)
        number, now = len(self.batches) + 1, time.time()
        batch = Batch(f"batch_{number:06d}", path, calls, now, now + self.options.work_ms / 1000, **more)
        batch.end = self.options.end
        self.batches[batch.id] = batch
        self.log("batch", id=batch.id, asked=[asked(body) for body in calls.values()])
        self.work(batch, request)
        await asyncio.sleep(self.options.create_ms / 1000)
        return batch

    def work(self, batch: Batch, request: web.Request) -> None:
        """Answer the calls of a batch; they are shown when it ends."""
        keys = list(batch.calls)
        random.Random(batch.id).shuffle(keys)
        whole = len(keys) if batch.end == "completed" else int(len(keys) * self.options.ending)
        answered, billed = [], []
        for place, key in enumerate(keys):
            body, fault = batch.calls[key], self.fault_of(batch.calls[key])
            try:
                self.check(request, batch.path, body)
            except Refusal as refusal:
                batch.errors.append(self.line(batch, key, 400, str(refusal)))
                continue
            if place >= whole:
                batch.errors.append(self.line(batch, key, 0, batch.end))
            elif fault == "missing":
                continue
            elif fault in ("errored", "refused"):
                batch.errors.append(self.line(batch, key, 500 if fault == "errored" else 400, "it did not work"))
            elif fault == "expired":
                batch.errors.append(self.line(batch, key, 0, "expired"))
            else:
                line = self.line(batch, key, 200, "broken" if fault == "broken" else "")
                batch.lines += [line, line] if place % 10 == 0 else [line]
                answered += [asked(body)] if fault != "broken" else []
                billed.append(tokens(reply(batch.path, body)))
        self.log("answered", id=batch.id, asked=answered, tokens=billed)

    def fault_of(self, body: dict[str, Any]) -> str:
        """What goes wrong with a call this time."""
        name = asked(body)
        self.times[name] = self.times.get(name, 0) + 1
        draw = random.Random(f"{self.options.seed}/{name}/{self.times[name]}").random()
        for fault in ("missing", "expired", "errored", "broken", "refused"):
            draw -= float(getattr(self.options, fault))
            if draw < 0:
                return fault
        return ""

    def line(self, batch: Batch, key: str, status: int, what: str) -> dict[str, Any]:
        """A line of the results."""
        found = reply(batch.path, batch.calls[key]) if status == 200 else {}
        if what == "broken":
            found = {name: found[name] for name in ("id", "model")}
        if batch.path == MESSAGES:
            error = {"type": "invalid_request_error" if status == 400 else "api_error", "message": what}
            kind = {200: "succeeded", 0: {"cancelled": "canceled"}.get(what, what)}.get(status, "errored")
            result: dict[str, Any] = {"type": kind}
            result |= {"message": found} if status == 200 else {}
            result |= {"error": {"type": "error", "error": error}} if kind == "errored" else {}
            return {"custom_id": key, "result": result}
        whole: dict[str, Any] = {"id": f"batch_req_{key[:8]}", "custom_id": key, "response": None, "error": None}
        if not status:
            return {**whole, "error": {"code": f"batch_{what}", "message": what}}
        body = found if status == 200 else {"error": {"message": what, "type": "x", "code": None}}
        return {**whole, "response": {"status_code": status, "request_id": "r", "body": body}}

    async def lines(self, request: web.Request, lines: list[dict[str, Any]]) -> web.StreamResponse:
        """A file of results, or half of it."""
        data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        response = web.StreamResponse()
        response.content_length = len(data)
        await response.prepare(request)
        if lines and self.take("half"):
            await response.write(data[: len(data) // 2])
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(data)
        return response

    # -- OpenAI's

    async def upload(self, request: web.Request) -> web.Response:
        """POST /v1/files."""
        form = await request.post()
        assert form["purpose"] == "batch"
        data = form["file"].file.read()  # type: ignore[union-attr]
        name = f"file-{len(self.files) + 1}"
        self.files[name] = data
        described = {"id": name, "object": "file", "bytes": len(data), "created_at": 1, "filename": "b.jsonl"}
        return web.json_response({**described, "purpose": "batch", "status": "processed"})

    async def create(self, request: web.Request) -> web.Response:
        """POST /v1/batches."""
        if self.take("submits"):
            return PROTOCOLS[CHAT].error(429, "Too many batches", "rate_limit_exceeded", {"Retry-After": "0.1"})
        body = await request.json()
        assert body["completion_window"] == "24h"
        lines = [json.loads(line) for line in self.files[body["input_file_id"]].splitlines()]
        assert all(line["url"] == body["endpoint"] and line["method"] == "POST" for line in lines)
        calls = {line["custom_id"]: line["body"] for line in lines}
        assert len(calls) == len(lines)
        told = {"input_file": body["input_file_id"], "metadata": body.get("metadata")}
        batch = await self.begin(request, body["endpoint"], calls, **told)
        if self.take("lost"):
            return PROTOCOLS[CHAT].error(500, "The server had an error", "server_error")
        return web.json_response(self.described(batch))

    def described(self, batch: Batch) -> dict[str, Any]:
        """A batch in OpenAI's words."""
        ended = time.time() >= batch.ends
        done = len({line["custom_id"] for line in batch.lines}) if ended else 0
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": batch.path,
            "errors": None,
            "input_file_id": batch.input_file,
            "completion_window": "24h",
            "status": (batch.end if ended else "in_progress"),
            "output_file_id": f"{batch.id}-out" if ended and batch.lines else None,
            "error_file_id": f"{batch.id}-errors" if ended and batch.errors else None,
            "created_at": int(batch.created),
            "request_counts": {"total": len(batch.calls), "completed": done, "failed": len(batch.errors) * ended},
            "metadata": batch.metadata,
        }

    async def retrieve(self, request: web.Request) -> web.Response:
        """GET /v1/batches/ID."""
        if self.take("polls"):
            return PROTOCOLS[CHAT].error(500, "The server had an error", "server_error")
        return self.found(request, self.described, CHAT)

    def found(self, request: web.Request, described: Any, path: str) -> web.Response:
        """The batch that is asked for."""
        batch = self.batches.get(request.match_info["id"])
        if batch is None:
            return PROTOCOLS[path].error(404, "No such batch", "not_found_error")
        return web.json_response(described(batch))

    async def list_batches(self, request: web.Request) -> web.Response:
        """GET /v1/batches, the newest first."""
        newest = [batch for batch in reversed(self.batches.values()) if batch.path != MESSAGES]
        if self.options.unpaged:
            return web.json_response({"object": "list", "data": [self.described(batch) for batch in newest]})
        after, limit = request.query.get("after"), int(request.query.get("limit", 20))
        start = next((place + 1 for place, batch in enumerate(newest) if batch.id == after), 0)
        page = newest[start : start + limit]
        data = [self.described(batch) for batch in page]
        ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
        return web.json_response({"object": "list", "data": data, **ends, "has_more": start + limit < len(newest)})

    async def cancel(self, request: web.Request) -> web.Response:
        """POST …/cancel, for both."""
        batch = self.batches[request.match_info["id"]]
        if time.time() < batch.ends:
            batch.ends, batch.end = time.time(), "cancelled"
            batch.errors += [self.line(batch, key, 0, "cancelled") for key in batch.calls]
            batch.lines = []
            self.log("cancelled", id=batch.id)
        messages = request.path.startswith(MESSAGES)
        return web.json_response((self.described_messages if messages else self.described)(batch))

    async def content(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/files/ID/content."""
        name, _, kind = request.match_info["id"].rpartition("-")
        return await self.lines(request, self.batches[name].lines if kind == "out" else self.batches[name].errors)

    # -- Anthropic's

    async def create_messages(self, request: web.Request) -> web.Response:
        """POST /v1/messages/batches."""
        if self.take("submits"):
            return PROTOCOLS[MESSAGES].error(429, "Too many batches", "rate_limit_error", {"Retry-After": "0.1"})
        sent = (await request.json())["requests"]
        calls = {line["custom_id"]: line["params"] for line in sent}
        assert len(calls) == len(sent)
        assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", key) for key in calls)
        batch = await self.begin(request, MESSAGES, calls)
        if self.take("lost"):
            return PROTOCOLS[MESSAGES].error(500, "The server had an error", "api_error")
        return web.json_response(self.described_messages(batch))

    def described_messages(self, batch: Batch) -> dict[str, Any]:
        """A batch in Anthropic's words."""
        ended = time.time() >= batch.ends
        kinds = [line["result"]["type"] for line in {line["custom_id"]: line for line in batch.lines}.values()]
        kinds += [line["result"]["type"] for line in batch.errors]
        counts = {kind: kinds.count(kind) * ended for kind in ("succeeded", "errored", "canceled", "expired")}
        moment = datetime.fromtimestamp(batch.created, UTC).isoformat()
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": {**counts, "processing": len(batch.calls) - sum(counts.values())},
            "created_at": moment,
            "expires_at": moment,
            "ended_at": moment if ended else None,
            "results_url": f"http://127.0.0.1:{self.options.port}{MESSAGES}/batches/{batch.id}/results"
            if ended
            else None,
        }

    async def retrieve_messages(self, request: web.Request) -> web.Response:
        """GET /v1/messages/batches/ID."""
        if self.take("polls"):
            return PROTOCOLS[MESSAGES].error(529, "Overloaded", "overloaded_error")
        return self.found(request, self.described_messages, MESSAGES)

    async def list_messages(self, request: web.Request) -> web.Response:
        """GET /v1/messages/batches, the newest first."""
        newest = [batch for batch in reversed(self.batches.values()) if batch.path == MESSAGES]
        after, limit = request.query.get("after_id"), int(request.query.get("limit", 20))
        start = next((place + 1 for place, batch in enumerate(newest) if batch.id == after), 0)
        data = [self.described_messages(batch) for batch in newest[start : start + limit]]
        ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
        return web.json_response({"data": data, **ends, "has_more": start + limit < len(newest)})

    async def results(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/messages/batches/ID/results."""
        batch = self.batches[request.match_info["id"]]
        return await self.lines(request, [*batch.errors, *batch.lines])


def arguments() -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work-ms", type=float, default=300)
    parser.add_argument("--create-ms", type=float, default=0)
    parser.add_argument("--live-ms", type=float, default=0)
    parser.add_argument("--end", default="completed")
    parser.add_argument("--ending", type=float, default=0.5)
    parser.add_argument("--refuse", default="")
    for name in ("missing", "expired", "errored", "broken", "refused"):
        parser.add_argument(f"--{name}", type=float, default=0.0)
    for name in ("half", "polls", "submits", "lost", "unpaged"):
        parser.add_argument(f"--{name}", type=int, default=0)
    return parser.parse_args()


async def main() -> None:
    server = BatchServer(arguments())
    app = web.Application(client_max_size=512 * 2**20)
    app.router.add_post("/settings", server.settings)
    for path in (CHAT, MESSAGES):
        app.router.add_post(path, server.live)
    app.router.add_post("/v1/files", server.upload)
    app.router.add_get("/v1/files/{id}/content", server.content)
    app.router.add_post("/v1/batches", server.create)
    app.router.add_get("/v1/batches", server.list_batches)
    app.router.add_get("/v1/batches/{id}", server.retrieve)
    app.router.add_post("/v1/batches/{id}/cancel", server.cancel)
    app.router.add_post(f"{MESSAGES}/batches", server.create_messages)
    app.router.add_get(f"{MESSAGES}/batches", server.list_messages)
    app.router.add_get(f"{MESSAGES}/batches/{{id}}", server.retrieve_messages)
    app.router.add_post(f"{MESSAGES}/batches/{{id}}/cancel", server.cancel)
    app.router.add_get(f"{MESSAGES}/batches/{{id}}/results", server.results)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", server.options.port, backlog=4096).start()
    server.options.port = runner.addresses[0][1]
    print(json.dumps(server.options.port), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
