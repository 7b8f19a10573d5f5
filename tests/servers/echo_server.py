"""A server of text completions whose log-probabilities are known on paper, as a program; its first line is its port.

Tokens are words with the space before them. The log-probability of a token is minus half its length, whatever stands
before it. ``--without=echo`` refuses prompts that are to be returned, ``--without=logprobs`` returns none; the chat
protocol answers ``B``. A reply comes after ``--delay-ms``. Every request is a line of the log: its path and its body.
"""

import argparse
import json
import re
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOKEN = re.compile(r" ?[^ ]+| ")


def completion(index: int, prompt: str, *, logprobs: bool) -> dict[str, Any]:
    """The choice of one prompt, which is returned with a token more."""
    tokens = TOKEN.findall(prompt)
    values = [None, *(-len(token) / 2 for token in tokens[1:]), -1.0]
    found = {"tokens": [*tokens, "!"], "token_logprobs": values, "top_logprobs": None}
    return {"index": index, "text": prompt + "!", "finish_reason": "length", "logprobs": found if logprobs else None}


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    without: str = ""
    delay_ms: int = 0
    log: Path

    def do_POST(self) -> None:
        """Completions of a list of prompts, or of a chat."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.log.open("a") as file:
            file.write(json.dumps({"path": self.path, "body": body}) + "\n")
        time.sleep(self.delay_ms / 1000)
        if self.path.endswith("/chat/completions"):
            message = {"role": "assistant", "content": "B"}
            self.answer(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "model": "echo"})
        elif self.without == "echo":
            self.answer(400, {"error": {"message": "echo is not supported"}})
        else:
            prompts = body["prompt"]
            choices = [
                completion(index, prompt, logprobs=self.without != "logprobs") for index, prompt in enumerate(prompts)
            ]
            count = sum(len(TOKEN.findall(prompt)) for prompt in prompts)
            usage = {"prompt_tokens": count, "completion_tokens": len(prompts), "total_tokens": count + len(prompts)}
            # In any order, as their places say.
            self.answer(200, {"choices": choices[::-1], "usage": usage, "model": "echo"})

    def answer(self, status: int, body: dict[str, Any]) -> None:
        """Send a JSON body."""
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Write nothing to the terminal."""


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--without", default="")
    parser.add_argument("--delay-ms", type=int, default=0)
    given = parser.parse_args()
    Handler.without, Handler.log, Handler.delay_ms = given.without, given.log, given.delay_ms
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
