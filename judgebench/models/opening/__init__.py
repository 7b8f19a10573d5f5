"""From the text after ``--model`` and ``--judge`` to an open model and its price.

``backends`` has a row for each kind of model. This module holds what is common to all: how a spec is read, which
arguments are refused, and what a plug-in must return. It calls no model.
"""

import glob
import math
import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from judgebench.activity import doing
from judgebench.data.aliases import aliases, key_of
from judgebench.display import did_you_mean
from judgebench.errors import JudgebenchError, UsageError, wanted
from judgebench.judges.scorers import Scores
from judgebench.models import Backend, Model, ModelSpec, OpenSettings
from judgebench.models.opening.backends import (
    BUILTINS,
    BUNDLED,
    CHECKPOINT,
    ENGINE_ARGUMENTS,
    HTTP,
    Arguments,
    engine_here,
    find,
    grammar,
    names,
    require_builtin,
    require_template,
    without_credentials,
)
from judgebench.models.pricing import FREE, Price, parse_price
from judgebench.models.vendors import Shutdown, Vendor, near, shutdown, vendor_at, vendors


def parse_model(text: str, arguments: Mapping[str, str] | None = None) -> tuple[ModelSpec, dict[str, str]]:
    """The spec of a model, and the remaining arguments for its backend.

    Also accepts other harnesses' spellings: see :func:`own_spec`, and a backend whose model is among the arguments.
    """
    rest = dict(arguments or {})
    text = own_spec(with_its_model(text, rest))
    if not text:
        raise UsageError(f"the model spec is empty; expected {grammar()}")
    _require_a_model(text)
    backend, target = _backend_of(text)
    if not target:
        raise UsageError(f"the model spec {text!r} names nothing after {backend.name}:; expected {backend.spelling}")
    backend.check_target(target)
    return ModelSpec(text=without_credentials(text), backend=backend, target=target), rest


def own_spec(text: str) -> str:
    """The spec of a model that is called as other harnesses call it: by a vendor's name, or ``hf/ORG/NAME``.

    >>> own_spec("gpt-4o"), own_spec("anthropic/claude-sonnet-4-5"), own_spec("openai/gpt-oss-20b")
    ('openai:gpt-4o', 'anthropic:claude-sonnet-4-5', 'openai/gpt-oss-20b')
    """
    *before, name = text.split("/")
    if ":" in text or os.path.exists(text):
        return text
    if len(before) == 2 and before[0] in ("hf", "vllm"):
        return f"{before[0]}:{before[1]}/{name}"
    for vendor in aliases().vendors:
        if before in ([], [vendor["organisation"]]) and re.fullmatch(vendor["models"], name):
            return _of_vendor(text, name, vendor)
    return text


def _of_vendor(text: str, name: str, vendor: Mapping[str, str]) -> str:
    """The spec of a model that only a vendor serves."""
    if "spec" in vendor:
        return vendor["spec"].format(model=name)
    raise UsageError(f"{text} is no model; {vendor['instead'].format(model=name)}")


def _require_a_model(text: str) -> None:
    """Raise :class:`UsageError` for a backend alone, as lm-eval names it, whose model is missing.

    A folder of that name is a checkpoint.
    """
    key = key_of(text)
    if os.path.exists(text):
        return
    if text in BUNDLED and BUNDLED[text].checkpoint:
        raise UsageError(
            f"the model spec {text!r} names a backend and no model: give {text}:ORG/NAME or {text}:FOLDER, or name the "
            f"checkpoint as lm-eval does, --model_args pretrained=ORG/NAME"
        )
    if key in aliases().endpoints or key == "local_chat_completions":
        whole = f"{aliases().endpoints[key]}:NAME" if key in aliases().endpoints else "http://HOST:PORT/v1#NAME"
        needed = "model=NAME" if key in aliases().endpoints else "model=NAME,base_url=http://HOST:PORT/v1"
        raise UsageError(
            f"the model spec {text!r} names a backend and no model: give {whole}, or name it as lm-eval does, "
            f"--model_args {needed}"
        )


def scores_of(text: str) -> Scores | None:
    """What a model spec's model gives numbers to, if it scores answers; ``None`` also for what is no spec."""
    try:
        return _backend_of(text)[0].scores
    except UsageError:
        return None


def runs_here(text: str) -> bool:
    """Whether a model spec names a checkpoint for this machine; false for what is no spec."""
    try:
        return _backend_of(own_spec(text))[0].local
    except UsageError:
        return False


def with_its_model(text: str, arguments: dict[str, str]) -> str:
    """Join a backend and the model that its arguments name, as in lm-eval; the argument is taken out."""
    if "pretrained" in arguments and text in BUNDLED and BUNDLED[text].checkpoint:
        return f"{text}:{arguments.pop('pretrained')}"
    key = key_of(text)
    if "model" in arguments and key in aliases().endpoints:
        return f"{aliases().endpoints[key]}:{arguments.pop('model')}"
    if key == "local_chat_completions" and {"model", "base_url"} <= set(arguments):
        address = arguments.pop("base_url").rstrip("/").removesuffix("/chat/completions")
        return f"{address}#{arguments.pop('model')}"
    return text


def _backend_of(text: str) -> tuple[Backend, str]:
    """The backend that a model spec names, and the target after it."""
    if text.startswith(("http://", "https://")):
        return HTTP, text
    prefix, colon, target = text.partition(":")
    if not colon or "/" in prefix:
        return CHECKPOINT, text
    if prefix != HTTP.name and (backend := find(prefix)) is not None:
        return backend, target
    if not Path(text).exists():
        near = did_you_mean(prefix, names(), after=f":{target}")
        raise UsageError(f"the model spec {text!r} is not one of: {grammar()}{near}")
    return CHECKPOINT, text


def expand(text: str) -> list[str]:
    """The model specs that a pattern over checkpoint folders matches, ``step_2`` before ``step_10``; else the text.

    Only folders with a ``config.json`` are checkpoints. Raises :class:`UsageError` if the pattern matches none.
    """
    if not any(character in text for character in "*?["):
        return [text]
    backend, pattern = _backend_of(text)
    if not backend.checkpoint:
        return [text]
    found = [path for path in glob.glob(pattern) if (Path(path) / "config.json").is_file()]
    if not found:
        raise UsageError(f"--model {text!r} matches no checkpoint: no such folder has a config.json")

    def by_number(path: str) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path)]

    return [text.removesuffix(pattern) + path for path in sorted(found, key=by_number)]


def open_model(spec: ModelSpec, settings: OpenSettings) -> Model:
    """Open the model. Heavy libraries are imported here, and only if the model needs them."""
    with doing(f"opening {spec.text}"):
        return _open_model(spec, settings)


def _open_model(spec: ModelSpec, settings: OpenSettings) -> Model:
    pooled = _is_pooled(spec, settings)
    _prepare_hub(settings)
    if spec.backend is CHECKPOINT:
        require_checkpoint(spec, settings)
        spec = msgspec.structs.replace(spec, backend=engine_here())
    arguments = _converted(spec, spec.backend.arguments, settings.arguments)
    if not spec.local:
        return _opened(spec, settings, arguments)
    replicas = arguments.pop("replicas", settings.replicas)
    if not pooled:
        return _opened(spec, settings, arguments)
    from judgebench.models.local.ray_pool import RayPool

    alone = msgspec.structs.replace(settings, replicas=1, cluster=None)
    devices = math.prod(arguments.get(f"{kind}_parallel_size", 1) for kind in ("tensor", "pipeline", "data"))
    return RayPool(partial(_opened, spec, alone, arguments), replicas, settings.cluster, devices)


def _is_pooled(spec: ModelSpec, settings: OpenSettings) -> bool:
    """Whether several engines of a checkpoint are opened, or one in a cluster."""
    if not spec.local and settings.replicas > 1:
        others = "; replicas=N as its argument spreads its calls" if "replicas" in spec.backend.arguments else ""
        raise UsageError(f"--replicas needs a checkpoint, but {spec.text} runs elsewhere{others}")
    several = settings.replicas > 1 or settings.arguments.get("replicas", "1") != "1"
    return spec.local and (several or settings.cluster is not None)


def require_settings(spec: ModelSpec, settings: OpenSettings) -> None:
    """Raise :class:`UsageError` for settings with which no engine could open the model. This imports none."""
    _is_pooled(spec, settings)
    known = ENGINE_ARGUMENTS if spec.backend is CHECKPOINT else spec.backend.arguments
    _converted(spec, known, settings.arguments)
    if spec.local:
        require_template(settings.chat_template)


def require_checkpoint(spec: ModelSpec, settings: OpenSettings, *, ask_hub: bool = True) -> None:
    """Raise an error if a checkpoint is missing, before torch is imported, which takes seconds."""
    if _is_pooled(spec, settings):  # machines of a cluster may see other folders, and have other packages
        return
    builtin = next((text for text in (spec.text, spec.target) if text in BUILTINS), None)
    if builtin is not None:
        require_builtin(builtin)
    elif spec.backend.checkpoint:
        from judgebench.models.local.checkpoints import locate

        _prepare_hub(settings)
        given = settings.arguments
        locate(spec.target, lora=given.get("lora"), revision=given.get("revision"), ask_hub=ask_hub)


def _prepare_hub(settings: OpenSettings) -> None:
    """Tell the hub's library, before its import, not to wait for a network that is not there."""
    if settings.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"


def _opened(spec: ModelSpec, settings: OpenSettings, arguments: Mapping[str, Any]) -> Model:
    """Open a model by its backend's row. A plug-in that fails, or returns something else, is a :class:`UsageError`."""
    backend = spec.backend
    if backend.name in BUNDLED:
        return backend.open(spec.target, settings, **arguments)
    try:
        model = backend.open(spec.target, settings, **arguments)
    except JudgebenchError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"the backend {backend.name!r} cannot open {spec.text}: {type(error).__name__}: {error}"
        ) from error
    missing = [name for name in vars(Model) if not name.startswith("_") and not hasattr(model, name)]
    if missing:
        raise UsageError(
            f"the backend {backend.name!r} must return a judgebench.models.Model, but its object for {spec.text} "
            f"lacks {', '.join(missing)}"
        )
    untold = [name for name in ("name", "identity") if not (isinstance(text := getattr(model, name), str) and text)]
    if untold:
        raise UsageError(
            f"the backend {backend.name!r} must return a model whose name and identity are texts, but for {spec.text} "
            f"{' and '.join(untold)} is {getattr(model, untold[0])!r}"
        )
    if model.local != backend.local:
        raise UsageError(
            f"the backend {backend.name!r} says local={backend.local}, but its model {spec.text} says "
            f"local={model.local}; the two must agree"
        )
    return model


def _converted(spec: ModelSpec, known: Arguments, given: Mapping[str, str]) -> dict[str, Any]:
    """Parse the arguments of a backend. Raises :class:`UsageError` for an unknown or invalid one."""
    converted = {}
    for key, text in given.items():
        if key == "usd_per_million":
            continue
        if key not in known:
            raise UsageError(
                f"{spec.text} takes no argument {key!r}{did_you_mean(key, known)}; it takes "
                f"{', '.join([*known, 'usd_per_million'])}"
            )
        try:
            converted[key] = known[key](text)
        except ValueError as error:
            why = wanted(known[key], error)
            raise UsageError(f"the argument {key}={text} of {spec.text} is not valid: {why}") from error
    return converted


def price_of(spec: ModelSpec, arguments: Mapping[str, str]) -> Price | None:
    """Price of a model: ``usd_per_million=INPUT/OUTPUT`` if given, else its backend's, else its vendor's, else 0 if it
    is free.
    """
    given, seller = arguments.get("usd_per_million"), seller_of(spec, arguments)
    if given is not None:
        return msgspec.structs.replace(parse_price(given), batch=seller.batch if seller else 1.0)
    if spec.backend.price is not None:
        return spec.backend.price(spec.target)
    if seller is not None:
        return seller.price(model_name(spec))
    return FREE if spec.local or spec.backend.finished else None


def address_of(spec: ModelSpec, arguments: Mapping[str, str]) -> str | None:
    """The URL at which a model is called, if it is called at one."""
    return spec.backend.address(spec.target, arguments) if spec.backend.address else None


def vendor_of(spec: ModelSpec, arguments: Mapping[str, str]) -> Vendor | None:
    """The vendor at whose own address a model is called; ``None`` for any other server, whatever its models' names."""
    address = address_of(spec, arguments)
    return None if address is None else vendor_at(address)


def seller_of(spec: ModelSpec, arguments: Mapping[str, str]) -> Vendor | None:
    """The vendor whose prices hold: that of the address, else that of the backend (a gateway passes them on)."""
    home = vendors()[spec.backend.vendor] if spec.backend.vendor else None
    return vendor_of(spec, arguments) or home


def shutdown_of(spec: ModelSpec, arguments: Mapping[str, str]) -> Shutdown | None:
    """When the vendor at whose address a model is called stops, or stopped, serving it, if that is known."""
    vendor = vendor_of(spec, arguments)
    return None if vendor is None else shutdown(vendor, model_name(spec))


def is_here(spec: ModelSpec) -> bool:
    """Whether a checkpoint lies on this machine: in a folder, or in the cache of the hub's files. The hub is not asked.

    Raises :class:`UsageError` for a folder that is not there or is no checkpoint.
    """
    if not spec.backend.checkpoint or spec.target in BUILTINS or spec.text in BUILTINS:
        return True
    from judgebench.models.local.checkpoints import in_cache, locate

    return locate(spec.target, ask_hub=False).folder is not None or in_cache(spec.target)


def unlisted(spec: ModelSpec, arguments: Mapping[str, str]) -> str:
    """Say of a model at its vendor's own address that the vendor is not known to serve it; empty for any other."""
    vendor, name = vendor_of(spec, arguments), model_name(spec)
    prices = None if vendor is None else vendor.prices
    if vendor is None or prices is None or prices.price(name) is not None or shutdown(vendor, name) is not None:
        return ""
    likely = near(name, prices.usd_per_million)
    hint = f"; near are {', '.join(likely)}" if likely else ""
    return f"{spec.text} is not among the models that {vendor.title} is known to serve (as of {prices.as_of}){hint}"


def model_name(spec: ModelSpec) -> str:
    """The name by which an endpoint knows a model."""
    return spec.target.partition("#")[2] if spec.backend is HTTP else spec.target
