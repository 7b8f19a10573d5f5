"""Any OpenAI-compatible chat-completions endpoint, over one small aiohttp path.

The SDK costs about ten times the CPU per call, so requests are encoded and replies decoded here. The call store, prices
and budgets are wrappers' business.
"""

import os
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from judgebench.errors import UsageError
from judgebench.models.http_endpoint import Endpoint
from judgebench.models.http_run import Engine, Replies, Run
from judgebench.records import Completion, Request

OPENAI_BASE_URL = "https://api.openai.com/v1"


class HttpChat(Endpoint):
    """A model behind ``{base_url}/chat/completions``.

    The event loop runs in a thread of its own from the first ``complete`` to :meth:`close`, so that all calls of
    ``complete`` share one connection pool and one concurrency limit.
    """

    _engine: Engine | None = None
    _starting = threading.Lock()
    """Held while an engine is started or stopped; that is rare enough for one lock to serve all models."""

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
        """Ask up to ``concurrency`` requests at once; replies come as they finish."""
        with self._starting:
            if self._engine is None:
                self._engine = Engine(self)
            return Replies(Run(self, self._engine, requests))

    def close(self) -> None:
        """Abandon what is in flight, close the connections and end the thread."""
        with self._starting:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.stop(wait=True)

    def __del__(self) -> None:
        engine = getattr(self, "_engine", None)
        if engine is not None:
            # Not waited for: this may be the loop's own thread, or the interpreter's end.
            engine.stop(wait=False)


def openai_chat(
    name: str, *, base_url: str | None = None, api_key_env: str = "OPENAI_API_KEY", **options: Any
) -> HttpChat:
    """OpenAI's own endpoint, or the one that OPENAI_BASE_URL names; the key comes from the environment.

    ``options`` are those of :class:`HttpChat`.
    """
    api_key = os.environ.get(api_key_env, "").strip()
    if not api_key:
        raise UsageError(
            f"openai:{name} needs an API key, but the environment variable {api_key_env} is not set. "
            "Set it, name another variable with --api-key-env, or use a local model (hf:…)."
        )
    address = base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_BASE_URL
    return HttpChat(name, address, name, api_key, key_source=f"the key in {api_key_env}", **options)
