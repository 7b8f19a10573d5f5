"""Any model that is served over HTTP by one of three protocols, and how the vendors' models are opened.

The vendors' SDKs have retry policies of their own, so this package encodes requests and decodes replies itself
(``wire*.py``) over one aiohttp session. ``wrappers`` adds the call store, prices and budgets. ``benchmarks/README.md``
has the CPU time per call beside that of raw aiohttp.
"""

import os
import threading
import tomllib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from judgebench.data.resources import resource
from judgebench.errors import UsageError
from judgebench.models.http import ANTHROPIC_BASE_URL, OPENAI_BASE_URL, anthropic_address, openai_address
from judgebench.models.http.endpoint import Endpoint
from judgebench.models.http.wire_chat import ChatCompletions
from judgebench.models.http.wire_messages import Messages
from judgebench.models.http.wire_responses import Responses
from judgebench.records import Completion, Request

if TYPE_CHECKING:
    from judgebench.models.http.run import EventLoop


class HttpChat(Endpoint):
    """A model behind ``{base_url}/chat/completions``, or the path of another protocol.

    The event loop runs in a thread of its own from the first ``complete`` to :meth:`close`, so that all calls of
    ``complete`` share one connection pool and one concurrency limit.
    """

    _engine: "EventLoop | None" = None
    _starting = threading.Lock()
    """Held while a loop is started or stopped, which is rare enough for one lock to serve all models."""

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
        """Send up to ``concurrency`` requests at once; replies come as they finish."""
        from judgebench.models.http.run import EventLoop, Replies, RequestStream

        with self._starting:
            if self._engine is None:
                self._engine = EventLoop(self)
            return Replies(RequestStream(self, self._engine, requests))

    def set_concurrency(self, many: int) -> None:
        """Have at most so many requests in flight from now on; those that are stay. Any thread may call this."""
        with self._starting:
            self.concurrency = many
            if self._engine is None:
                self.gate.resize(many)
            else:
                self._engine.resize(self)

    def close(self) -> None:
        """Abandon all calls in flight, close the connections and end the thread."""
        with self._starting:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.stop(wait=True)

    def __del__(self) -> None:
        engine = getattr(self, "_engine", None)
        if engine is not None:
            # Do not wait: this may be the loop's own thread, or the interpreter may be ending.
            engine.stop(wait=False)


def served_chat(
    name: str,
    base_url: str,
    *,
    api: str | None = None,
    reasoning_effort: str | None = None,
    thinking: str = "auto",
    api_key_env: str | None = None,
    only_identity: bool = False,
    **options: Any,
) -> HttpChat:
    """A model of any OpenAI-compatible server; ``api`` is ``chat`` (the default) or ``responses``.

    ``thinking`` (``auto``, ``on``, ``off``) is passed to its chat template. The key comes from the environment variable
    ``api_key_env``, if that is given; it may be missing if the model is opened for its ``only_identity``. ``options``
    are those of :class:`HttpChat`.
    """
    if api not in (None, "chat", "responses"):
        raise UsageError(f"the argument api={api} of {name} is not valid: it is chat or responses")
    wire = Responses(thinks=thinking == "on") if api == "responses" else ChatCompletions()
    extra = {} if thinking == "auto" else {"chat_template_kwargs": {"enable_thinking": thinking == "on"}}
    return HttpChat(
        name,
        base_url,
        name,
        _key(api_key_env, f"the model {name}", wanted=not only_identity) if api_key_env else None,
        wire=wire,
        extra_body=extra | (wire.effort(reasoning_effort) if reasoning_effort else {}),
        key_source=f"the key in {api_key_env}",
        **options,
    )


def openai_chat(
    name: str, *, api: str | None = None, thinking: str = "auto", api_key_env: str = "OPENAI_API_KEY", **options: Any
) -> HttpChat:
    """A model of OpenAI, or of the endpoint that OPENAI_BASE_URL names; the key comes from the environment.

    Models that OpenAI serves only over the Responses API are called over that. ``options`` are those of
    :func:`served_chat`.
    """
    address = openai_address()
    if thinking != "auto" and address == OPENAI_BASE_URL:
        raise UsageError(
            f"--thinking {thinking} cannot be used: OpenAI's own models have no such switch. Set how much "
            f"openai:{name} thinks with the argument reasoning_effort (none, minimal, low, medium, high, xhigh, max)"
        )
    if (
        api is None
        and name in tomllib.loads((resource("templates") / "responses_only.toml").read_text("utf-8"))["models"]
    ):
        api = "responses"
    return served_chat(name, address, api=api, thinking=thinking, api_key_env=api_key_env, **options)


def anthropic_chat(
    name: str,
    *,
    base_url: str | None = None,
    reasoning_effort: str | None = None,
    thinking: str = "auto",
    api_key_env: str | None = None,
    only_identity: bool = False,
    **options: Any,
) -> HttpChat:
    """A model of Anthropic, or of the Messages server at ``base_url`` or ANTHROPIC_BASE_URL (without ``/v1``).

    The key comes from ANTHROPIC_API_KEY or from the variable ``api_key_env``; a self-hosted server needs none.
    ``options`` are those of :class:`HttpChat`.
    """
    address = anthropic_address(base_url)
    variable = api_key_env or "ANTHROPIC_API_KEY"
    wanted = not only_identity and bool(api_key_env or address == ANTHROPIC_BASE_URL)
    wire = Messages(thinking)
    return HttpChat(
        name,
        address,
        name,
        _key(variable, f"anthropic:{name}", wanted=wanted),
        wire=wire,
        extra_body=wire.effort(reasoning_effort) if reasoning_effort else {},
        key_source=f"the key in {variable}",
        **options,
    )


def _key(variable: str, model: str, *, wanted: bool) -> str:
    key = os.environ.get(variable, "").strip()
    if wanted and not key:
        raise UsageError(
            f"{model} needs an API key, but the environment variable {variable} is not set. "
            "Set it, name another variable with --api-key-env, or use a local model (hf:…)."
        )
    return key
