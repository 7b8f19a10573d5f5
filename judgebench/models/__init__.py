"""The one seam to anything that answers prompts. Candidates and judges are both a :class:`Model`.

What a model is asked lies in ``Request``; concurrency, batching, retries and rate limits stay behind ``complete``.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from judgebench.records import Completion, Request, Usage


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
