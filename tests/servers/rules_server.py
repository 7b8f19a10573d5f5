"""Models behind OpenAI's API that answer by rules, so that every number of a run is known on paper.

``--rules FILE`` is JSON: a list of ``{"model": …, "has": […], "reply": …}``. The reply to a conversation is that of the
first rule whose texts all stand in the last user message, and whose model is the one asked, if the rule names one. A
conversation without a rule gets the status 500. Its first line of output is the port.
"""

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

from aiohttp import web


class Rules:
    """State of the server."""

    def __init__(self, rules: list[dict[str, Any]]) -> None:
        self.rules = rules

    async def chat(self, request: web.Request) -> web.Response:
        """POST of a conversation."""
        body = await request.json()
        prompt = body["messages"][-1]["content"]
        for rule in self.rules:
            if rule.get("model", body["model"]) == body["model"] and all(text in prompt for text in rule["has"]):
                choice = {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": rule["reply"]},
                }
                usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
                whole = {"id": "1", "object": "chat.completion", "created": 1, "model": body["model"]}
                return web.json_response({**whole, "choices": [choice], "usage": usage})
        return web.json_response({"error": {"message": "no rule"}}, status=500)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", required=True, type=Path)
    server = Rules(json.loads(parser.parse_args().rules.read_text()))
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/v1/chat/completions", server.chat)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
    print(json.dumps(runner.addresses[0][1]), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
