"""What every model is, and what every backend says of its models. Candidates and judges are both a :class:`Model`.

What a model is asked lies in ``Request``; concurrency, batching, retries and rate limits stay behind ``complete``.
A :class:`Backend` is one row of the table in ``opening.backends``; a package adds a row through the entry-point group
``judgebench.models``. For tests there is ``scripted``, a model whose replies are written down.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec

from judgebench.models.pricing import Price
from judgebench.records import Completion, Request, Usage


@runtime_checkable
class Model(Protocol):
    """Answers requests.

    ``complete`` takes requests lazily (it may pull from another thread, and the iterable may block until the next
    request exists) and yields ``(index, completion)`` as each one finishes, ``index`` counting the requests from 0.
    A request that cannot be answered is a completion with ``error``; :class:`~judgebench.errors.ModelError` is raised
    when no request can be.
    """

    @property
    def name(self) -> str:
        """What people call it, and what records name it: a checkpoint's folder name, a served model's id."""

    @property
    def identity(self) -> str:
        """What determines its replies beside the request: endpoint and served name, or checkpoint and weights.

        Part of the call store's key and never secret.
        """

    @property
    def local(self) -> bool:
        """It computes in this process, on this machine's device: it can score ``Sampling.choices``, and two local
        models are run one after the other.
        """

    @property
    def retries(self) -> Counter[str]:
        """Attempts that were made again, by cause (``429``, ``500``, ``timeout``, ``malformed``, …)."""

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
        """Yield the completion of each request, in the order they finish."""

    def render(self, request: Request) -> str | None:
        """The prompt as the model reads it; ``None`` where that is made elsewhere, or cannot be made."""

    def check(self, requests: Sequence[Request]) -> None:
        """Raise :class:`~judgebench.errors.UsageError` for what can be told of the requests before any is asked: a
        chat template that drops the system message, prompts longer than the context.
        """

    def close(self) -> None:
        """Free connections or device memory; the model is not used afterwards."""


@runtime_checkable
class Served(Protocol):
    """What a model that is served elsewhere wants to know, or tells, beside requests and their replies."""

    answered_before: bool
    """It answered in an earlier session: that it refuses a request says nothing about the others."""
    on_discarded: Callable[[Usage], None]
    """Called for a reply that was paid for and cannot be used, before it is asked for again. May raise."""

    def require_reachable(self) -> None:
        """Raise :class:`~judgebench.errors.ModelError` if nobody listens at its address. Nothing is sent."""


class OpenSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is opened, beside what it is. A backend uses the fields that mean something to it."""

    arguments: dict[str, str] = {}
    """``--model-arg`` or ``--judge-arg``: keyword arguments of the backend."""
    api_key_env: str | None = None
    concurrency: int | None = None
    rpm: float | None = None
    tpm: float | None = None
    chat_template: str | None = None
    thinking: str = "auto"
    """``auto``, ``on`` or ``off``: what the chat template, or the endpoint, is told; see ``thinking.py``."""
    think_tags: tuple[tuple[str, str], ...] = ()
    """Pairs of tags that the user named."""
    offline: bool = False
    replicas: int = 1
    """Engines of a local model, each in a Ray actor; 1 without a cluster is in this process."""
    cluster: str | None = None
    task_folders: tuple[Path, ...] = ()
    """Folders of the run's benchmarks that are not bundled; ``builtin:tiny`` reads there how to reply."""


def any_target(target: str) -> None:
    """Accept every target: what is wrong with one shows when its model is opened."""


def no_target(target: str) -> bool:
    """Trust no target that only somebody else's run folder names."""
    return False


@dataclass(frozen=True, kw_only=True, eq=False)
class Backend:
    """One kind of model: how a user names it, what is known before it is opened, and how it is opened.

    The module that defines one imports heavy libraries in ``open`` only: a mistake in a command is told before.
    """

    name: str
    """What stands before the colon of a model spec: ``hf`` in ``hf:org/name``. An entry point has the same name."""
    spelling: str
    """How its model specs are written, for messages: ``hf:ID``."""
    open: Callable[..., Model]
    """``open(target, settings, **arguments)`` gives the model of a target, the spec without ``NAME:``."""
    arguments: Mapping[str, Callable[[str], Any]] = field(default_factory=dict)
    """What ``--model-arg`` may give, and what makes a value of its text; a ``ValueError`` of that refuses it."""
    check_target: Callable[[str], None] = any_target
    """Raises :class:`~judgebench.errors.UsageError` for a target that can be no model's, before anything is opened."""
    local: bool = False
    """Its models compute in this process; see :attr:`Model.local`. They can be opened many times in a Ray cluster."""
    checkpoint: bool = False
    """The target is a checkpoint: a folder, for which a pattern may stand, or a hub id."""
    finished: bool = False
    """The target is a file of finished answers, which are read and not asked for."""
    gives_logprobs: bool = True
    """As far as can be told before a model is asked."""
    price: Callable[[str], Price | None] | None = None
    """What a target's tokens cost, ``None`` if unknown. Without it, local models cost nothing and others are unknown.
    """
    trusts: Callable[[str], bool] = no_target
    """Whether a judge may be asked because a run folder names it, which may be anybody's: the target must choose no
    host, no file and no code.
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
