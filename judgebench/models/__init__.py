"""What every model is, and what every backend says about its models. Candidates and judges are both a :class:`Model`.

A model gets a ``Request``; concurrency, batching, retries and rate limits stay behind ``complete``. A :class:`Backend`
is one row of the table in ``opening.backends``; a package adds a row through the entry-point group
``judgebench.models``. The room also holds what wraps a model (``wrappers``, ``call_store``, ``pricing``) and a model
for tests whose replies are written down (``scripted``). The backends themselves lie in ``http/`` and ``local/``.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import msgspec

from judgebench.judges.scorers import Scores
from judgebench.models.pricing import Price
from judgebench.records import Completion, Request, Usage

IF_ANY = "if any"
"""In place of a chat template: the tokenizer's own, or none if it has none. For models that are asked in plain text."""


@runtime_checkable
class Model(Protocol):
    """Answers requests.

    ``complete`` takes requests lazily (it may pull from another thread, and the iterable may block until the next
    request exists) and yields ``(index, completion)`` as each one finishes, ``index`` counting the requests from 0.
    If one request cannot be answered, its completion has an ``error``; :class:`~judgebench.errors.ModelError` is raised
    if none can be.
    """

    @property
    def name(self) -> str:
        """The name in messages and records: a checkpoint's folder name, a served model's id."""

    @property
    def identity(self) -> str:
        """What determines its replies besides the request: endpoint and served name, or checkpoint and weights.

        It is part of the call store's key and never secret.
        """

    @property
    def local(self) -> bool:
        """Whether it computes in this process, on this machine's device. A local model can score
        ``Sampling.choices``, and two local models run one after the other.
        """

    @property
    def retries(self) -> Counter[str]:
        """Attempts that were repeated, by cause (``429``, ``500``, ``timeout``, ``malformed``, …)."""

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
        """Yield the completion of each request, in the order they finish."""

    def render(self, request: Request) -> str | None:
        """The prompt as the model reads it; ``None`` if somebody else makes it, or nobody can."""

    def check(self, requests: Sequence[Request]) -> None:
        """Raise :class:`~judgebench.errors.UsageError` for faults that show before the first call: a chat template that
        drops the system message, prompts longer than the context.
        """

    def close(self) -> None:
        """Free connections or device memory; the model is not used afterwards."""


@runtime_checkable
class Served(Protocol):
    """What a model that is served elsewhere needs to know, or reports, besides requests and replies."""

    answered_before: bool
    """It answered in an earlier session, so that one refused request says nothing about the others."""
    concurrency: int
    """How many requests it has in flight at most."""
    on_discarded: Callable[[Usage], None]
    """Called with the cost of a reply that cannot be used, before the request is sent again. May raise."""

    def require_reachable(self) -> None:
        """Raise :class:`~judgebench.errors.ModelError` if nobody listens at its address. Sends nothing."""


@runtime_checkable
class Tunable(Protocol):
    """A served model whose concurrency can change while it is asked."""

    concurrency: int
    """How many requests it has in flight at most."""

    def set_concurrency(self, many: int) -> None:
        """Have at most so many in flight from now on; those that are stay. Any thread may call this."""

    def left_out(self) -> list[str]:
        """Its addresses that are not called for now, each with the reason."""


class Gauge(NamedTuple):
    """What a model is working on at a moment."""

    rows: int
    """Requests that are being answered; those that only wait for their turn do not count."""
    tokens: int
    """Tokens of their replies so far; 0 if tokens are known only when a reply is complete."""
    limit: int = 0
    """The most tokens that these replies can have in all; 0 if that is not known."""


@runtime_checkable
class Gauged(Protocol):
    """A model that can say what it is working on."""

    def gauge(self) -> Gauge | None:
        """What it is working on now; ``None`` if it cannot say. A display calls this from a thread of its own a few
        times a second, so that generating tokens pays nothing for it.
        """


class OpenSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to open a model, besides its spec. A backend uses the fields that mean something to it."""

    arguments: dict[str, str] = {}
    """``--model-arg`` or ``--judge-arg``: keyword arguments of the backend."""
    api_key_env: str | None = None
    concurrency: int | None = None
    rpm: float | None = None
    tpm: float | None = None
    chat_template: str | None = None
    thinking: str = "auto"
    """``auto``, ``on`` or ``off``: what to tell the chat template or the endpoint; see ``thinking.py``."""
    think_tags: tuple[tuple[str, str], ...] = ()
    """Pairs of tags that the user named."""
    offline: bool = False
    replicas: int = 1
    """How many engines of a local model to run, each in a Ray actor; one without a cluster runs in this process."""
    cluster: str | None = None
    only_identity: bool = False
    """Whether the model is opened to learn its identity, and asked nothing: an endpoint needs no key then."""
    task_folders: tuple[Path, ...] = ()
    """Folders of the run's benchmarks that are not bundled; ``builtin:tiny`` reads in them how to reply."""


def any_target(target: str) -> None:
    """Accept every target; a wrong one shows when its model is opened."""


def no_target(target: str) -> bool:
    """Trust no target that comes from a run folder alone."""
    return False


@dataclass(frozen=True, kw_only=True, eq=False)
class Backend:
    """One kind of model: how a user names it, what is known before it is opened, and how to open it.

    Its module imports heavy libraries only in ``open``, so that a mistake in a command is reported at once.
    """

    name: str
    """What stands before the colon of a model spec: ``hf`` in ``hf:org/name``. An entry point has the same name."""
    spelling: str
    """How its model specs are written, for messages: ``hf:ID``."""
    open: Callable[..., Model]
    """``open(target, settings, **arguments)`` returns the model of a target, which is the spec without ``NAME:``."""
    arguments: Mapping[str, Callable[[str], Any]] = field(default_factory=dict)
    """The names that ``--model-arg`` accepts, each with the function that parses its text; a ``ValueError`` from it
    refuses the text.
    """
    check_target: Callable[[str], None] = any_target
    """Raises :class:`~judgebench.errors.UsageError` for an impossible target, before anything is opened."""
    local: bool = False
    """Its models compute in this process; see :attr:`Model.local`. They can be opened many times in a Ray cluster."""
    checkpoint: bool = False
    """The target is a checkpoint: a folder (or a pattern over folders), or a hub id."""
    finished: bool = False
    """The target is a file of finished answers; nothing is generated."""
    scores: Scores | None = None
    """Its models write nothing: they give numbers to answers, each by itself or two side by side, and so they judge."""
    gives_logprobs: bool = True
    """As far as is known before the first call."""
    gives_likelihoods: bool | None = False
    """Whether its models answer ``Sampling.continuations``; ``None`` if each must be asked."""
    price: Callable[[str], Price | None] | None = None
    """What a target's tokens cost, ``None`` if unknown. Without this function, models that are local or finished cost
    nothing, and the price of others is that of ``vendor``, or unknown.
    """
    address: Callable[[str, Mapping[str, str]], str] | None = None
    """The URL at which a target with these arguments is called, if it is called at one."""
    vendor: str | None = None
    """The vendor whose models these are, wherever they are called; its prices hold if the host is nobody's."""
    trusts: Callable[[str], bool] = no_target
    """Whether a judge may be called because a run folder names it. Anybody may have made that folder, so the target
    must not choose a host, a file or code.
    """


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed model spec."""

    text: str
    """As typed, without credentials."""
    backend: Backend
    target: str

    @property
    def local(self) -> bool:
        """It would compute in this process."""
        return self.backend.local
