"""Whether a run asks in batches (``--batch-api``), and the batches that the call store knows of."""

from collections.abc import Mapping

from msgspec import Struct

from judgebench.errors import UsageError
from judgebench.models import ModelSpec
from judgebench.models.http.batch_api import serves_batches
from judgebench.models.http.model import HttpChat
from judgebench.models.opening import price_of
from judgebench.models.opening.backends import ANTHROPIC, HTTP, OPENAI
from judgebench.run.settings import Settings

FEWEST = 100
"""With ``auto``, a run of fewer examples is not asked in batches: it is done sooner, and saves little."""


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
    served = {spec: arguments for spec, arguments in specs.items() if spec.backend in (OPENAI, ANTHROPIC, HTTP)}
    if settings.batch_api == "on":
        if not served:
            raise UsageError(
                f"--batch-api on asks models of a vendor in batches, and this run asks {_named(specs)}; leave it out"
            )
        return True
    prices = [price_of(spec, arguments) for spec, arguments in served.items()]
    cheaper = any(price is not None and price.batch < 1 for price in prices)
    return cheaper and examples >= FEWEST and settings.stop_when is None


def can_batch(spec: ModelSpec, model: HttpChat) -> bool:
    """Whether a served model's endpoint takes batches: vendors do, and another server is asked."""
    return spec.backend is not HTTP or serves_batches(model)


def _named(specs: Mapping[ModelSpec, object]) -> str:
    return ", ".join(spec.text for spec in specs) or "none"
