"""Models behind OpenAI's API that answer by rules, so that every number of a run is known on paper.

``--rules FILE`` is JSON: a list of ``{"model": …, "has": […], "replies": […]}``. The reply to a conversation is that of
the first rule whose texts all stand in the last user message, and whose model is the one asked; of several replies the
next one, from the first again after the last. A conversation without a rule gets the status 500. Completions return
their prompts with the log-probability of each word: minus half its length, with the space before it, by the model
``strong``, and -1 by any other. The first line of output is the port.
"""

import argparse
import asyncio
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from aiohttp import web

TOKEN = re.compile(r" ?[^ ]+| ")


class Rules:
    """State of the server."""

    def __init__(self, rules: list[dict[str, Any]]) -> None:
        self.rules = rules
        self.asked: Counter[int] = Counter()

    async def chat(self, request: web.Request) -> web.Response:
        """POST of a conversation."""
        body = await request.json()
        prompt = body["messages"][-1]["content"]
        for number, rule in enumerate(self.rules):
            if rule["model"] == body["model"] and all(text in prompt for text in rule["has"]):
                reply = rule["replies"][self.asked[number] % len(rule["replies"])]
                self.asked[number] += 1
                choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": reply}}
                usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
                whole = {"id": "1", "object": "chat.completion", "created": 1, "model": body["model"]}
                return web.json_response({**whole, "choices": [choice], "usage": usage})
        return web.json_response({"error": {"message": "no rule"}}, status=500)

    async def complete(self, request: web.Request) -> web.Response:
        """POST of texts whose log-probabilities are asked for."""
        body = await request.json()
        choices = []
        for index, prompt in enumerate(body["prompt"]):
            tokens = TOKEN.findall(prompt)
            strong = body["model"] == "strong"
            values = [None, *(-len(token) / 2 if strong else -1.0 for token in tokens[1:]), -1.0]
            logprobs = {"tokens": [*tokens, "!"], "token_logprobs": values, "top_logprobs": None}
            choices.append({"index": index, "text": f"{prompt}!", "finish_reason": "length", "logprobs": logprobs})
        return web.json_response({"id": "1", "object": "text_completion", "model": body["model"], "choices": choices})


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", required=True, type=Path)
    server = Rules(json.loads(parser.parse_args().rules.read_text()))
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/v1/chat/completions", server.chat)
    app.router.add_post("/v1/completions", server.complete)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
    print(json.dumps(runner.addresses[0][1]), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
