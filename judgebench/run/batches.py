"""Whether a run asks in batches (``--batch-api``), and the batches that the call store knows of."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from judgebench.errors import ModelError, UsageError
from judgebench.models import Backend, Model, ModelSpec, OpenSettings
from judgebench.models.batch_book import FETCHED, RUNNING, Batch
from judgebench.models.call_store import CallStore
from judgebench.models.http.endpoint import Endpoint
from judgebench.models.opening import open_model, parse_model, price_of
from judgebench.models.opening.backends import ANTHROPIC, HTTP, OPENAI
from judgebench.models.vendors import callable_vendors
from judgebench.models.wrappers import Account, Budget
from judgebench.run.folder import RunFolder
from judgebench.run.settings import Settings

if TYPE_CHECKING:
    from judgebench.models.http.batch_api import BatchApi

FEWEST = 100
"""With ``auto``, a run of fewer examples is not asked in batches: it is done sooner, and saves little."""


def takes_batches(backend: Backend) -> bool:
    """Whether a backend's models may be asked in batches; a server at an address is asked whether it takes any."""
    if backend in (OPENAI, ANTHROPIC, HTTP):
        return True
    return backend.vendor is not None and callable_vendors()[backend.vendor].batch_api


class BatchedModel(Struct, frozen=True, kw_only=True):
    """How a model whose batches are in the store is opened again."""

    spec: str
    arguments: dict[str, str] = {}
    api_key_env: str | None = None


def in_batches(
    settings: Settings, specs: Mapping[ModelSpec, Mapping[str, str]], examples: int, *, watched: bool
) -> bool:
    """Whether the served models among ``specs`` are asked in batches. ``watched``: a rule needs answers as they come.

    Raises :class:`UsageError` if the user wants batches and no model can be asked in any.
    """
    if settings.batch_api == "off" or watched:
        return False
    served = {spec: arguments for spec, arguments in specs.items() if takes_batches(spec.backend)}
    if settings.batch_api == "on":
        if not served:
            raise UsageError(
                f"--batch-api on asks models of a vendor in batches, and this run asks {_named(specs)}; leave it out"
            )
        return True
    prices = [price_of(spec, arguments) for spec, arguments in served.items()]
    cheaper = any(price is not None and price.batch < 1 for price in prices)
    return cheaper and examples >= FEWEST and settings.stop_when is None


def batched(
    model: Endpoint,
    spec: ModelSpec,
    settings: OpenSettings,
    store: CallStore,
    account: Account,
    budget: Budget,
    *,
    begins: bool,
) -> Model:
    """The model, asked in batches if its endpoint takes any: vendors do, and another server is asked.

    Unless it ``begins`` batches, it goes on with those that the store knows, so that nothing is paid twice.
    """
    from judgebench.models.http.batch_api import serves_batches
    from judgebench.models.http.batching import Batched
    from judgebench.models.http.model import HttpChat

    assert isinstance(model, HttpChat)
    if begins and (not takes_batches(spec.backend) or (spec.backend is HTTP and not serves_batches(model))):
        return model
    account.billed = False
    how = BatchedModel(spec=spec.text, arguments=settings.arguments, api_key_env=settings.api_key_env)
    return Batched(model, store, account, budget, msgspec.json.encode(how).decode(), begins=begins)


def _named(specs: Mapping[ModelSpec, object]) -> str:
    return ", ".join(spec.text for spec in specs) or "none"


# -- batches by themselves


class KnownBatch(Struct, frozen=True, kw_only=True):
    """A batch of the call store."""

    batch: str
    """The vendor's name of it or, before there is one, ours."""
    model: str
    state: str
    """``running``, ``fetched``, ``collecting`` or ``submitting``."""
    vendor_state: str
    calls: int
    answered: int
    failed: int
    begun: float
    """Seconds since the epoch."""


def known(batch: Batch) -> KnownBatch:
    """A batch as the command shows it."""
    return KnownBatch(
        batch=batch.batch_id or batch.token,
        model=batch.model,
        state=batch.state,
        vendor_state=batch.word,
        calls=batch.calls,
        answered=batch.done,
        failed=batch.failed,
        begun=batch.created,
    )


def chosen_batches(store: CallStore, names: Sequence[str]) -> list[Batch]:
    """The batches of the named runs, and those that are named themselves; all if nothing is named. The oldest first.

    Raises :class:`UsageError` for a name of neither.
    """
    every = store.batches.batches()
    found: dict[str, Batch] = {}
    for name in names:
        if (Path(name) / "manifest.json").is_file():
            run = RunFolder(Path(name)).require_manifest().account
            found |= {batch.token: batch for batch in every if run and batch.run == run}
            continue
        named = {batch.token: batch for batch in every if name in (batch.batch_id, batch.token)}
        if not named:
            raise UsageError(
                f"{name} is neither a run folder nor a batch of the call store {store.path}; `judgebench batches list` "
                "shows its batches"
            )
        found |= named
    return [batch for batch in every if batch.token in found] if names else every


def look_after(store: CallStore, batch: Batch) -> Batch:
    """Ask the vendor how a batch is, fetch its results if it has ended, and return it as it is then."""
    from judgebench.models.http.batch_parts import MOST_FETCHES, fetch

    if batch.state != RUNNING:
        return batch
    api, book = _api(batch), store.batches
    with _faults(batch):
        seen = api.look(batch.batch_id)
        book.change(batch.token, word=seen.word, done=seen.done, failed=seen.failed)
        if seen.ended:
            any(fetch(book, api, batch, seen, last=number == MOST_FETCHES) for number in range(1, MOST_FETCHES + 1))
    return book.batch(batch.token) or batch


def cancel(batch: Batch) -> None:
    """Ask the vendor for no more of a batch."""
    api = _api(batch)
    with _faults(batch):
        api.cancel(batch.batch_id)


def forget(store: CallStore, batch: Batch) -> None:
    """Take it that nothing more will come of a batch: its calls will be sent again."""
    store.batches.change(batch.token, state=FETCHED, word="forgotten")


def _api(batch: Batch) -> "BatchApi":
    """The batch endpoint at which a batch is. Raises :class:`UsageError` if it cannot be reached as it was."""
    from judgebench.models.http.batch_api import batch_api

    how = msgspec.json.decode(batch.how, type=BatchedModel)
    spec, arguments = parse_model(how.spec, how.arguments)
    model = open_model(spec, OpenSettings(arguments=arguments, api_key_env=how.api_key_env))
    if not isinstance(model, Endpoint) or model.identity != batch.identity:
        raise UsageError(
            f"The batch {batch.batch_id} was submitted to {batch.identity}, and {how.spec} is now {model.identity}. "
            "Set OPENAI_BASE_URL or ANTHROPIC_BASE_URL as it was then."
        )
    return batch_api(model)


@contextmanager
def _faults(batch: Batch) -> Iterator[None]:
    """Turn a failure of the endpoint into a :class:`ModelError`."""
    from judgebench.models.http.batch_api import BatchFault

    try:
        yield
    except BatchFault as fault:
        advice = (
            "It may be of another account, or too old: if so, `judgebench batches cancel --forget` has its calls sent "
            "again."
            if fault.status == 404
            else "Nothing is lost; try again later."
        )
        raise ModelError(f"Could not ask for the batch {batch.batch_id} of {batch.model}: {fault}. {advice}") from fault
