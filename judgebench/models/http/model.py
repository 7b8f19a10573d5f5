"""Any model that is served over HTTP by one of three protocols, and how the vendors' models are opened.

The vendors' SDKs have retry policies of their own, so this package encodes requests and decodes replies itself
(``wire*.py``) over one aiohttp session. ``wrappers`` adds the call store, prices and budgets. ``benchmarks/README.md``
has the CPU time per call beside that of raw aiohttp.
"""

import os
import threading
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from judgebench.data.resources import resource
from judgebench.errors import UsageError
from judgebench.models.extras import import_extra
from judgebench.models.http import addresses_of, anthropic_address, openai_address, own_address
from judgebench.models.http.endpoint import Endpoint, Place
from judgebench.models.http.wire import Wire
from judgebench.models.http.wire_chat import ChatCompletions
from judgebench.models.http.wire_messages import Messages
from judgebench.models.http.wire_responses import Responses
from judgebench.models.vendors import Vendor, callable_vendors
from judgebench.records import Completion, Request

if TYPE_CHECKING:
    from judgebench.models.http.client import Sender
    from judgebench.models.http.run import EventLoop


class HttpChat(Endpoint):
    """A model behind ``{base_url}/chat/completions``, or the path of another protocol.

    The event loop runs in a thread of its own from the first ``complete`` to :meth:`close`, so that all calls of
    ``complete`` share one connection pool and one concurrency limit.
    """

    _engine: "EventLoop | None" = None
    _starting = threading.Lock()
    """Held while a loop is started or stopped, which is rare enough for one lock to serve all models."""

    def __init__(self, *where: Any, replicas: int | None = None, cluster: str | None = None, **options: Any) -> None:
        """``replicas`` are the actors of a Ray cluster that send its calls, ``cluster`` is its address; without the
        first this process sends them. The rest is :class:`Endpoint`'s. Raises :class:`UsageError` if ray is missing.
        """
        super().__init__(*where, **options)
        self._replicas, self._cluster = replicas, cluster
        if replicas:
            import_extra(f"The argument replicas={replicas} of {self.name}", "ray", "ray")

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
        """Send up to ``concurrency`` requests at once; replies come as they finish."""
        from judgebench.models.http.run import EventLoop, Replies, RequestStream

        with self._starting:
            if self._engine is None:
                self._engine = EventLoop(self._sender())
            return Replies(RequestStream(self, self._engine, requests))

    def _sender(self) -> "Sender":
        from judgebench.models.http.client import Client

        targets = [route.target for route in self.gate.routes]
        if not self._replicas:
            return Client(targets, self.timeout_seconds, proxied=self.proxied)
        from judgebench.models.http.actors import ActorClients

        return ActorClients(
            targets,
            self.timeout_seconds,
            proxied=self.proxied,
            replicas=self._replicas,
            cluster=self._cluster,
            name=self.name,
        )

    def set_concurrency(self, many: int) -> None:
        """Have at most so many requests in flight from now on; those that are stay. Any thread may call this."""
        with self._starting:
            self.concurrency = many
            if self._engine is None:
                self.gate.resize(many)
            else:
                self._engine.resize(self)

    def left_out(self) -> list[str]:
        """Its addresses that are left out for a failure, each with the reason."""
        return [f"{route.address}: {route.left_out_for}" for route in self.gate.routes if route.left_out_for]

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
    endpoint: str = "",
    api: str | None = None,
    reasoning_effort: str | None = None,
    thinking: str = "auto",
    api_key_env: str | None = None,
    only_identity: bool = False,
    **options: Any,
) -> HttpChat:
    """A model of any OpenAI-compatible server; ``api`` is ``chat`` (the default) or ``responses``.

    ``base_url`` and ``endpoint`` hold one address or several, between bars. ``thinking`` (``auto``, ``on``, ``off``) is
    passed to its chat template. The key comes from the environment variable ``api_key_env``, if that is given; it may
    be missing if the model is opened for its ``only_identity``. ``options`` are those of :class:`HttpChat`.
    """
    extra = {} if thinking == "auto" else {"chat_template_kwargs": {"enable_thinking": thinking == "on"}}
    keys = _keys(api_key_env, f"the model {name}", wanted=not only_identity) if api_key_env else []
    places = _places([*addresses_of(base_url), *addresses_of(endpoint)], keys)
    return _chat(name, places, _wire(name, api, thinking), extra, reasoning_effort, **options)


def vendor_chat(
    vendor: Vendor,
    name: str,
    *,
    endpoint: str = "",
    api: str | None = None,
    api_version: str | None = None,
    reasoning_effort: str | None = None,
    thinking: str = "auto",
    api_key_env: str | None = None,
    only_identity: bool = False,
    **options: Any,
) -> HttpChat:
    """A model of a vendor in the table that speaks OpenAI's protocol, called as its row says.

    ``endpoint`` holds other addresses, which are called in place of the vendor's. ``options`` are those of
    :class:`HttpChat`.
    """
    if thinking != "auto" and not vendor.thinking:
        raise UsageError(
            f"--thinking {thinking} cannot be used: {vendor.title} has no such switch. Set how much "
            f"{vendor.prefix}:{name} thinks with the argument reasoning_effort"
        )
    extra = {} if thinking == "auto" else vendor.thinking[thinking]
    variables = api_key_env or vendor.key_variable()
    keys = _keys(variables, f"{vendor.prefix}:{name}", wanted=not only_identity)
    places = _places(addresses_of(endpoint) or [vendor.place(name, api_version)], keys)
    return _chat(
        name,
        places,
        _wire(name, api, thinking),
        extra,
        reasoning_effort,
        key_header=vendor.key_header,
        **_known_of(vendor),
        **options,
    )


def openai_chat(
    name: str,
    *,
    endpoint: str = "",
    api: str | None = None,
    thinking: str = "auto",
    api_key_env: str = "OPENAI_API_KEY",
    **options: Any,
) -> HttpChat:
    """A model of OpenAI, or of the endpoint that OPENAI_BASE_URL names; the key comes from the environment.

    Models that OpenAI serves only over the Responses API are called over that. ``options`` are those of
    :func:`served_chat`.
    """
    address = endpoint or openai_address()
    at_home = address == own_address("openai")
    if thinking != "auto" and at_home:
        raise UsageError(
            f"--thinking {thinking} cannot be used: OpenAI's own models have no such switch. Set how much "
            f"openai:{name} thinks with the argument reasoning_effort (none, minimal, low, medium, high, xhigh, max)"
        )
    if (
        api is None
        and name in tomllib.loads((resource("templates") / "responses_only.toml").read_text("utf-8"))["models"]
    ):
        api = "responses"
    known = _known_of(callable_vendors()["openai"]) if at_home else {}
    return served_chat(name, address, api=api, thinking=thinking, api_key_env=api_key_env, **known, **options)


def anthropic_chat(
    name: str,
    *,
    base_url: str | None = None,
    endpoint: str = "",
    reasoning_effort: str | None = None,
    thinking: str = "auto",
    api_key_env: str | None = None,
    only_identity: bool = False,
    **options: Any,
) -> HttpChat:
    """A model of Anthropic, or of the Messages server at ``base_url``, ``endpoint`` or ANTHROPIC_BASE_URL (without
    ``/v1``).

    The key comes from ANTHROPIC_API_KEY or from the variable ``api_key_env``; a self-hosted server needs none.
    ``options`` are those of :class:`HttpChat`.
    """
    address = anthropic_address(endpoint or base_url)
    variable = api_key_env or "ANTHROPIC_API_KEY"
    wanted = not only_identity and bool(api_key_env or address == own_address("anthropic"))
    keys = _keys(variable, f"anthropic:{name}", wanted=wanted)
    return _chat(name, _places(addresses_of(address), keys), Messages(thinking), {}, reasoning_effort, **options)


def _wire(name: str, api: str | None, thinking: str) -> Wire:
    if api not in (None, "chat", "responses"):
        raise UsageError(f"the argument api={api} of {name} is not valid: it is chat or responses")
    return Responses(thinks=thinking == "on") if api == "responses" else ChatCompletions()


def _known_of(vendor: Vendor) -> dict[str, Any]:
    """What a vendor's row says of its endpoint."""
    newer = ("max_tokens",) if vendor.max_completion_tokens else ()
    return {"rate_headers": vendor.rate_headers, "refused": (*newer, *vendor.refuses)}


def _chat(
    name: str, places: Sequence[Place], wire: Wire, extra: Mapping[str, Any], effort: str | None, **options: Any
) -> HttpChat:
    first, *more = places
    return HttpChat(
        name,
        first.base_url,
        name,
        first.api_key,
        wire=wire,
        extra_body={**extra, **(wire.effort(effort) if effort else {})},
        key_source=first.key_source,
        more=more,
        **options,
    )


def _places(addresses: Sequence[str], keys: Sequence[tuple[str, str]]) -> list[Place]:
    """Each address with its key. One address is called with each of several keys, several with one key or each with
    its own.
    """
    known = list(keys) or [("", "the API key")]
    if len(addresses) == 1:
        return [Place(addresses[0], *key) for key in known]
    if len(known) not in (1, len(addresses)):
        raise UsageError(
            f"--api-key-env names {len(known)} variables for {len(addresses)} addresses; name one for all of them, or "
            "one for each, in their order"
        )
    return [Place(address, *known[place % len(known)]) for place, address in enumerate(addresses)]


def _keys(variables: str, model: str, *, wanted: bool) -> list[tuple[str, str]]:
    """The keys in some environment variables, between commas, and where each came from."""
    names = [name.strip() for name in variables.split(",") if name.strip()]
    return [(_key(name, model, wanted=wanted), f"the key in {name}") for name in names]


def _key(variable: str, model: str, *, wanted: bool) -> str:
    key = os.environ.get(variable, "").strip()
    if wanted and not key:
        raise UsageError(
            f"{model} needs an API key, but the environment variable {variable} is not set. "
            "Set it, name another variable with --api-key-env, or use a local model (hf:…)."
        )
    return key
