"""A judge behind OpenAI's API whose first reply to every prompt holds no verdict; later ones hold one, mostly.

``--script FILE`` is JSON: ``bad`` and ``good`` are lists of choices, ``good_share`` is how often a later reply is a
good one, and ``reminder`` is how a reminder begins, so that a prompt is known again. Which reply a prompt gets depends
on its text alone. Its first line of output is the port; ``GET /counts`` tells how often each prompt was asked.
"""

import argparse
import asyncio
import hashlib
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

from aiohttp import web


class Mumbling:
    """State of the server."""

    def __init__(self, script: dict[str, Any]) -> None:
        self.script = script
        self.asked: Counter[str] = Counter()

    async def chat(self, request: web.Request) -> web.Response:
        """POST of a conversation."""
        body = await request.json()
        prompt = next(message["content"] for message in body["messages"] if message["role"] == "user")
        prompt = prompt.partition(self.script["reminder"])[0].rstrip()
        key = hashlib.sha256(prompt.encode()).hexdigest()
        self.asked[key] += 1
        draw = random.Random(f"{key}/{self.asked[key]}")
        good = self.asked[key] > 1 and draw.random() < self.script["good_share"]
        chosen = draw.choice(self.script["good" if good else "bad"])
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        return web.json_response(
            {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [chosen], "usage": usage}
        )

    async def counts(self, request: web.Request) -> web.Response:
        """How often each prompt was asked."""
        return web.json_response(self.asked)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--script", required=True, type=Path)
    server = Mumbling(json.loads(parser.parse_args().script.read_text()))
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/v1/chat/completions", server.chat)
    app.router.add_get("/counts", server.counts)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
    print(json.dumps(runner.addresses[0][1]), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
