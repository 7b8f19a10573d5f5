"""The table of backends: every kind of model that can be named, and how to open it. No other module lists them.

Installed packages add rows through the entry-point group ``judgebench.models``. Each row imports its engine when a
model is opened, so importing this table is cheap. The package's ``__init__`` reads model specs.
"""

import dataclasses
import importlib
import importlib.util
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from judgebench.data import plugins
from judgebench.errors import UsageError
from judgebench.files import read_text
from judgebench.models import IF_ANY, Backend, Model, OpenSettings
from judgebench.models.call_store import default_cache_dir
from judgebench.models.http import addresses_of, anthropic_address, openai_address
from judgebench.models.vendors import Vendor, callable_vendors
from judgebench.thinking import Thinking

ENTRY_POINTS = "judgebench.models"
TRUSTED_HOSTS = ("localhost", "127.0.0.1", "::1")
"""The hosts to which a run folder may send a judge's calls: this machine."""

MOST_REPLICAS = 4096

_BUILTIN_PREFIX = "builtin:"
TINY, SMOLLM2 = BUILTINS = ("builtin:tiny", "builtin:smollm2")
"""The built-in models: whole specs, which are also targets of the engines: ``vllm:builtin:smollm2``."""

Arguments = Mapping[str, Callable[[str], Any]]


def _flag(text: str) -> bool:
    if text.lower() not in ("1", "true", "yes", "0", "false", "no"):
        raise ValueError("it is true or false")
    return text.lower() in ("1", "true", "yes")


def _dtype(text: str) -> str:
    from judgebench.models.local.checkpoints import DTYPES

    if text not in DTYPES:
        raise ValueError(f"it is one of {', '.join(DTYPES)}")
    return text


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:9]) <= MOST_REPLICAS:
        raise ValueError(f"it is a number from 1 to {MOST_REPLICAS:,}")
    return int(text)


_CHECKPOINT_ARGUMENTS: Arguments = {
    "replicas": _count,
    "dtype": _dtype,
    "revision": str,
    "max_tokens": int,
    "trust_remote_code": _flag,
    "lora": str,
}
_HF_ARGUMENTS: Arguments = {**_CHECKPOINT_ARGUMENTS, "device": str, "batch_size": int, "batch_tokens": int}
_SCORING_ARGUMENTS: Arguments = {"dtype": _dtype, "device": str, "batch_size": int, "batch_tokens": int}
_VLLM_ARGUMENTS: Arguments = {
    **_CHECKPOINT_ARGUMENTS,
    "quantization": str,
    "max_model_len": int,
    "max_num_seqs": int,
    "gpu_memory_utilization": float,
    "enforce_eager": _flag,
    "tensor_parallel_size": int,
    "pipeline_parallel_size": int,
    "data_parallel_size": int,
}
_HTTP_ARGUMENTS: Arguments = {
    "timeout_seconds": float,
    "max_attempts": int,
    "api_key_env": str,
    "reasoning_effort": str,
    "endpoint": str,
    "replicas": _count,
}


def _open_vllm(target: str, settings: OpenSettings, **arguments: Any) -> Model:
    from judgebench.models.local.vllm import VllmModel

    return VllmModel(**_checkpoint(target, settings), **arguments)


def _open_hf(target: str, settings: OpenSettings, **arguments: Any) -> Model:
    from judgebench.models.local.hf import HfModel

    return HfModel(**_checkpoint(target, settings), **arguments)


def _open_reward(target: str, settings: OpenSettings, **arguments: Any) -> Model:
    from judgebench.models.local.reward import RewardModel

    source, mark, heads = target.partition("#")
    if source != TINY:
        return RewardModel(target, **arguments)
    from judgebench.models.local.tiny_reward import tiny_reward_checkpoint

    folder = tiny_reward_checkpoint(_built_checkpoints())
    return RewardModel(f"{folder}{mark}{heads}", name=source, **arguments)


def _check_reward(target: str) -> None:
    source = target.partition("#")[0]
    if source.startswith(_BUILTIN_PREFIX) and source != TINY:
        raise UsageError(f"there is no built-in reward model {source!r}; there is reward:{TINY}")


def _open_pair_ranker(target: str, settings: OpenSettings, **arguments: Any) -> Model:
    from judgebench.models.local.pair_ranker import PairRanker

    return PairRanker(target, **arguments)


def _open_ratio(target: str, settings: OpenSettings, **arguments: Any) -> Model:
    from judgebench.models.local.density_ratio import DensityRatio

    sources = [_checkpoint(one, settings)["path_or_id"] for one in checkpoints_of_ratio(target)]
    return DensityRatio(sources, **arguments)


def _check_ratio(target: str) -> None:
    for one in checkpoints_of_ratio(target):
        _check_checkpoint(one)


def checkpoints_of_ratio(target: str) -> tuple[str, str]:
    """The strong and the weak checkpoint of a density ratio. Raises :class:`UsageError`.

    >>> checkpoints_of_ratio("hf:org/tuned/hf:org/base")
    ('org/tuned', 'org/base')
    """
    found = re.fullmatch(r"hf:(.+?)/hf:(.+)", target)
    if found is None:
        raise UsageError(
            f"the model spec ratio:{target} names no two checkpoints; it is written ratio:hf:STRONG/hf:WEAK, with "
            "folders or hub ids"
        )
    return found[1], found[2]


def _reduction(text: str) -> str:
    if text not in ("sum", "mean"):
        raise ValueError("it is sum or mean")
    return text


def _open_builtin(target: str, settings: OpenSettings, **arguments: Any) -> Model:
    return _open_hf(_BUILTIN_PREFIX + target, settings, **arguments)


def _checkpoint(target: str, settings: OpenSettings) -> dict[str, Any]:
    """What opens a target in an engine: its folder or hub id, its name if that says more, its chat template."""
    prompting = _prompting(settings)
    if target.startswith(_BUILTIN_PREFIX):
        return {"path_or_id": builtin_checkpoint(target, settings.task_folders), "name": target, **prompting}
    return {"path_or_id": target, **prompting}


def builtin_checkpoint(target: str, task_folders: Iterable[Path] = ()) -> Path:
    """The folder of ``builtin:smollm2`` or another built-in model: an ordinary checkpoint, built in the cache once."""
    require_builtin(target)
    folder = _built_checkpoints()
    if target == TINY:
        from judgebench.models.local.tiny import tiny_checkpoint

        return tiny_checkpoint(folder, task_folders)
    from judgebench.models.local.smollm2 import smollm2_checkpoint

    return smollm2_checkpoint(folder)


def _built_checkpoints() -> Path:
    """The folder of the checkpoints that judgebench makes itself."""
    return default_cache_dir() / "models"


def require_builtin(target: str) -> None:
    """Raise :class:`UsageError` if there is no such built-in model, or if the package that carries it is missing."""
    _check_name(target)
    if target == SMOLLM2:
        from judgebench.models.local.smollm2 import packaged_gguf

        packaged_gguf()


def _check_name(target: str) -> None:
    if target not in BUILTINS:
        raise UsageError(f"there is no built-in model {target!r}; there are {' and '.join(BUILTINS)}")


def _check_checkpoint(target: str) -> None:
    """A checkpoint is a folder, a hub id, or one of the built-in models."""
    if target.startswith(_BUILTIN_PREFIX):
        _check_name(target)


def _check_builtin(target: str) -> None:
    _check_name(_BUILTIN_PREFIX + target)


def _prompting(settings: OpenSettings) -> dict[str, Any]:
    """The options of a checkpoint's chat template."""
    thinking = Thinking(settings.thinking, settings.think_tags)
    return {"thinking": thinking, "chat_template": _template(settings.chat_template)}


def _template(text: str | None) -> str | None:
    if text in (None, "auto"):
        return None
    if text in ("none", IF_ANY):
        return text
    try:
        return read_text(Path(text))
    except OSError as error:
        raise UsageError(f"--chat-template must be auto, none or a readable file: {error}") from error


def require_template(text: str | None) -> None:
    """Raise :class:`UsageError` for a file of ``--chat-template`` that cannot be read, or is no template."""
    source = _template(text)
    if source in (None, "none", IF_ANY):
        return
    from jinja2 import Environment, TemplateSyntaxError

    try:
        Environment(extensions=["jinja2.ext.loopcontrols"]).parse(source)
    except TemplateSyntaxError as error:
        # Tags of transformers' own, such as {% generation %}, are unknown here.
        if "unknown tag" not in str(error.message):
            raise UsageError(
                f"--chat-template {text} is not a Jinja template: line {error.lineno}: {error.message}"
            ) from error


def _open_openai(target: str, settings: OpenSettings, **arguments: Any) -> Model:
    from judgebench.models.http.model import openai_chat

    return openai_chat(target, **_pacing(settings) | arguments)


def _open_anthropic(target: str, settings: OpenSettings, **arguments: Any) -> Model:
    from judgebench.models.http.model import anthropic_chat

    return anthropic_chat(target, **_pacing(settings) | arguments)


def _open_http(target: str, settings: OpenSettings, **arguments: Any) -> Model:
    from judgebench.models.http.model import served_chat

    url, _, name = target.partition("#")
    return served_chat(name, url, **_pacing(settings) | arguments)


def _open_vendor(vendor: Vendor, target: str, settings: OpenSettings, **arguments: Any) -> Model:
    from judgebench.models.http.model import vendor_chat

    return vendor_chat(vendor, target, **_pacing(settings) | arguments)


def _check_url(target: str) -> None:
    address, _, name = target.partition("#")
    if not name:
        raise UsageError(
            f"the model spec {without_credentials(target)} must end with #NAME, the model's name on that server"
        )
    addresses_of(address)


def _pacing(settings: OpenSettings) -> dict[str, Any]:
    """How an endpoint is called, and how fast. Arguments of the model override these."""
    given = {name: getattr(settings, name) for name in ("concurrency", "rpm", "tpm", "api_key_env", "cluster")}
    always = {"thinking": settings.thinking, "only_identity": settings.only_identity}
    return always | {name: value for name, value in given.items() if value is not None}


def _open_file(target: str, settings: OpenSettings, **arguments: Any) -> Model:
    raise UsageError(f"file:{target} holds finished answers; it can be a candidate (--model), not a judge")


def _open_published(target: str, settings: OpenSettings, **arguments: Any) -> Model:
    raise UsageError(
        f"published:{target} names the published answers of a model; they can be a candidate (--model), not a judge"
    )


def _open_scripted(target: str, settings: OpenSettings, **arguments: Any) -> Model:
    from judgebench.models.scripted import open_playing

    return open_playing(target)


def _on_this_machine(url: str) -> bool:
    from yarl import URL

    try:
        return all(URL(address).host in TRUSTED_HOSTS for address in addresses_of(url.partition("#")[0]))
    except (ValueError, UsageError):
        return False


def _any(target: str) -> bool:
    return True


def _openai_address(target: str, arguments: Mapping[str, str]) -> str:
    return _first_address(arguments.get("endpoint") or openai_address())


def _anthropic_address(target: str, arguments: Mapping[str, str]) -> str:
    return _first_address(anthropic_address(arguments.get("endpoint") or arguments.get("base_url")))


def _http_address(target: str, arguments: Mapping[str, str]) -> str:
    return _first_address(target.partition("#")[0])


def _vendor_address(vendor: Vendor, target: str, arguments: Mapping[str, str]) -> str:
    """Where a vendor's model is called; the pattern of the address if a variable of it is not set."""
    try:
        given = arguments.get("endpoint") or vendor.place(target, arguments.get("api_version"))
    except UsageError:
        return vendor.address
    return _first_address(given)


def _first_address(text: str) -> str:
    return next(iter(addresses_of(text)), "")


VLLM = Backend(
    name="vllm",
    spelling="vllm:ID",
    open=_open_vllm,
    arguments=_VLLM_ARGUMENTS,
    check_target=_check_checkpoint,
    gives_likelihoods=True,
    local=True,
    checkpoint=True,
)
HF = Backend(
    name="hf",
    spelling="hf:ID",
    open=_open_hf,
    arguments=_HF_ARGUMENTS,
    check_target=_check_checkpoint,
    gives_likelihoods=True,
    local=True,
    checkpoint=True,
)
REWARD = Backend(
    name="reward",
    spelling="reward:ID (a reward model, as judge)",
    open=_open_reward,
    arguments={**_SCORING_ARGUMENTS, "revision": str, "trust_remote_code": _flag},
    check_target=_check_reward,
    local=True,
    scores="answers",
)
PAIR_RANKER = Backend(
    name="pairrm",
    spelling="pairrm:ID (a pair ranker, as judge)",
    open=_open_pair_ranker,
    arguments={**_SCORING_ARGUMENTS, "revision": str},
    local=True,
    scores="pairs",
)
RATIO = Backend(
    name="ratio",
    spelling="ratio:hf:STRONG/hf:WEAK (a density ratio, as judge)",
    open=_open_ratio,
    arguments={**_SCORING_ARGUMENTS, "trust_remote_code": _flag, "reduce": _reduction},
    check_target=_check_ratio,
    local=True,
    scores="answers",
)
OPENAI = Backend(
    name="openai",
    spelling="openai:NAME",
    open=_open_openai,
    arguments={**_HTTP_ARGUMENTS, "api": str},
    address=_openai_address,
    vendor="openai",
    trusts=_any,
)
ANTHROPIC = Backend(
    name="anthropic",
    spelling="anthropic:NAME",
    open=_open_anthropic,
    arguments={**_HTTP_ARGUMENTS, "base_url": str},
    gives_logprobs=False,
    address=_anthropic_address,
    vendor="anthropic",
    trusts=_any,
)
HTTP = Backend(
    name="http",
    spelling="http://HOST:PORT/v1#NAME (any OpenAI-compatible server)",
    open=_open_http,
    arguments={**_HTTP_ARGUMENTS, "api": str},
    check_target=_check_url,
    gives_likelihoods=None,
    address=_http_address,
    trusts=_on_this_machine,
)


def _of_vendor(name: str, vendor: Vendor) -> Backend:
    """The row of a vendor in the table that has no backend of its own."""
    dated: Arguments = {"api_version": str} if vendor.dated_address else {}
    return Backend(
        name=vendor.prefix,
        spelling=f"{vendor.prefix}:NAME",
        open=partial(_open_vendor, vendor),
        arguments={**_HTTP_ARGUMENTS, "api": str, **dated},
        gives_logprobs=vendor.logprobs != "no",
        address=partial(_vendor_address, vendor),
        vendor=name,
        trusts=_any,
    )


VENDORS = {
    name: _of_vendor(name, vendor) for name, vendor in callable_vendors().items() if name not in ("openai", "anthropic")
}
"""The backends of the vendors in the table, but for the two that have backends of their own."""
_OTHER_PREFIXES = {
    other: backend for name, backend in VENDORS.items() for other in callable_vendors()[name].prefixes[1:]
}
FILE = Backend(name="file", spelling="file:outputs.json (answers made elsewhere)", open=_open_file, finished=True)
PUBLISHED = Backend(
    name="published",
    spelling="published:NAME (a model's published answers)",
    open=_open_published,
    finished=True,
)
SCRIPTED = Backend(name="scripted", spelling="scripted:NAME (in tests)", open=_open_scripted)
BUILTIN = Backend(
    name="builtin",
    spelling=" or ".join(BUILTINS),
    open=_open_builtin,
    arguments=_HF_ARGUMENTS,
    check_target=_check_builtin,
    gives_likelihoods=True,
    local=True,
    trusts=_any,
)
_SCORING = (REWARD, PAIR_RANKER, RATIO)
BUNDLED = {
    backend.name: backend
    for backend in (VLLM, HF, OPENAI, ANTHROPIC, *VENDORS.values(), HTTP, *_SCORING, FILE, PUBLISHED, SCRIPTED, BUILTIN)
}
ENGINE_ARGUMENTS: Arguments = {**_VLLM_ARGUMENTS, **_HF_ARGUMENTS}
"""The arguments of a checkpoint whose engine is not chosen yet."""
CHECKPOINT = dataclasses.replace(HF, name="checkpoint", spelling="a checkpoint folder or hub id")
"""A checkpoint that is named without a backend. When it is opened, :func:`engine_here` chooses one."""


def engine_here() -> Backend:
    """The backend of checkpoints that are named without one: vLLM if it is installed and finds a GPU, else hf."""
    if importlib.util.find_spec("vllm") is None or importlib.util.find_spec("torch") is None:
        return HF
    return VLLM if importlib.import_module("torch").cuda.is_available() else HF


def without_credentials(text: str) -> str:
    """The text without user, password and query of a URL in it (some endpoints take the key in the query).

    >>> without_credentials("--judge=http://me:pass@host:80/v1?key=secret#name")
    '--judge=http://host:80/v1#name'
    """
    return re.sub(r"(https?://)(?:[^/|\s]*@)?([^?#|\s]*)(?:\?[^#|\s]*)?", r"\1\2", text)


def names() -> list[str]:
    """The names of all backends, sorted. This imports none of them."""
    return sorted({*BUNDLED, *(point.name for point in plugins.installed(ENTRY_POINTS))})


def find(name: str) -> Backend | None:
    """The backend of this name, or ``None``. No package can replace a bundled one.

    Raises :class:`UsageError` if two packages define it, or if it cannot be loaded.
    """
    if name in BUNDLED:
        return BUNDLED[name]
    if name in _OTHER_PREFIXES:
        return _OTHER_PREFIXES[name]
    plugins.require_one_owner("backend", name, plugins.owners(ENTRY_POINTS, ()))
    point = next((point for point in plugins.installed(ENTRY_POINTS) if point.name == name), None)
    if point is None:
        return None
    with plugins.loading("backend", name):
        found = point.load()
    if not isinstance(found, Backend) or found.name != name:
        raise UsageError(
            f"the backend {name!r} cannot be loaded: its entry point must lead to a judgebench.models.Backend of the "
            f"same name, but {point.value} is {found!r:.100}"
        )
    return found


def grammar() -> str:
    """How a model spec is written, including the backends that are installed here."""
    listed = [backend for backend in BUNDLED.values() if backend not in VENDORS.values()]
    *others, last = (backend.spelling for backend in listed)
    others.insert(
        [backend.name for backend in listed].index(HTTP.name),
        f"VENDOR:NAME (VENDOR is {', '.join(backend.name for backend in VENDORS.values())})",
    )
    added = [f"{name}:… (installed)" for name in names() if name not in BUNDLED]
    return f"{', '.join([CHECKPOINT.spelling, *others, *added])} or {last}"
