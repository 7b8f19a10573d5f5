"""From what people type after ``--model`` and ``--judge`` to a model."""

import glob
import importlib
import importlib.util
import math
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from judgebench.cache import default_cache_dir
from judgebench.errors import UsageError
from judgebench.files import read_text
from judgebench.models import Model
from judgebench.models.pricing import Price
from judgebench.resources import resource
from judgebench.thinking import Thinking

GRAMMAR = (
    "a checkpoint folder or hub id, vllm:ID, hf:ID, openai:NAME, anthropic:NAME, http://HOST:PORT/v1#NAME (any "
    "OpenAI-compatible server), file:outputs.json (answers made elsewhere) or builtin:tiny"
)


def _flag(text: str) -> bool:
    if text.lower() not in ("1", "true", "yes", "0", "false", "no"):
        raise ValueError("it is true or false")
    return text.lower() in ("1", "true", "yes")


_CHECKPOINT_ARGUMENTS: dict[str, Callable[[str], Any]] = {
    "dtype": str,
    "revision": str,
    "max_tokens": int,
    "trust_remote_code": _flag,
    "lora": str,
}
_HF_ARGUMENTS: dict[str, Callable[[str], Any]] = {"device": str, "batch_size": int, "batch_tokens": int}
_VLLM_ARGUMENTS: dict[str, Callable[[str], Any]] = {
    "quantization": str,
    "max_model_len": int,
    "max_num_seqs": int,
    "gpu_memory_utilization": float,
    "enforce_eager": _flag,
    "tensor_parallel_size": int,
    "pipeline_parallel_size": int,
    "data_parallel_size": int,
}


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed model spec."""

    text: str
    """As typed, without credentials."""
    kind: str
    """``vllm``, ``hf``, ``openai``, ``anthropic``, ``http``, ``file`` or ``builtin``."""
    target: str

    @property
    def local(self) -> bool:
        """It would compute in this process."""
        return self.kind in ("vllm", "hf", "builtin")

    @property
    def gives_logprobs(self) -> bool:
        """As far as can be told before it is asked; Anthropic's protocol has none."""
        return self.kind != "anthropic"


class OpenSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is opened, beside what it is."""

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


def parse_model(text: str, arguments: Mapping[str, str] | None = None) -> tuple[ModelSpec, dict[str, str]]:
    """The spec of a model, and the arguments that are left for its backend.

    Takes the spelling ``hf`` or ``vllm`` with ``pretrained=ID`` among the arguments too. A checkpoint without a backend
    before it goes to vLLM where that and a GPU are there.
    """
    rest = dict(arguments or {})
    if text in ("hf", "vllm") and "pretrained" in rest:
        text = f"{text}:{rest.pop('pretrained')}"
    if text.startswith(("http://", "https://")):
        _, hash_sign, name = text.partition("#")
        if not hash_sign or not name:
            raise UsageError(
                f"the model spec {without_credentials(text)} must end with #NAME, the model's name on that server"
            )
        return ModelSpec(text=without_credentials(text), kind="http", target=text), rest
    kind, colon, target = text.partition(":")
    if colon and kind in ("vllm", "hf", "openai", "anthropic", "file", "builtin"):
        if not target:
            raise UsageError(f"the model spec {text!r} names nothing after {kind}:; expected {GRAMMAR}")
        if kind == "builtin" and target != "tiny":
            raise UsageError(f"there is no built-in model {target!r}; the only one is builtin:tiny")
        return ModelSpec(text=text, kind=kind, target=target), rest
    if colon and "/" not in kind and not Path(text).exists():
        raise UsageError(f"the model spec {text!r} is not one of: {GRAMMAR}")
    if not text:
        raise UsageError(f"the model spec is empty; expected {GRAMMAR}")
    return ModelSpec(text=text, kind="vllm" if _vllm_runs_here() else "hf", target=text), rest


def expand(text: str) -> list[str]:
    """The model specs that a pattern over checkpoint folders stands for, ``step_2`` before ``step_10``; else the text.

    Only folders with a ``config.json`` are checkpoints. Raises :class:`UsageError` for a pattern that fits none.
    """
    prefix, colon, pattern = text.rpartition(":") if text.startswith(("hf:", "vllm:")) else ("", "", text)
    if not any(character in pattern for character in "*?[") or "://" in text or text.startswith("file:"):
        return [text]
    found = [path for path in glob.glob(pattern) if (Path(path) / "config.json").is_file()]
    if not found:
        raise UsageError(f"--model {text!r} fits no checkpoint: no folder of that pattern holds a config.json")

    def by_number(path: str) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path)]

    return [prefix + colon + path for path in sorted(found, key=by_number)]


def _vllm_runs_here() -> bool:
    """Whether vLLM is installed and a GPU is there for it."""
    if importlib.util.find_spec("vllm") is None or importlib.util.find_spec("torch") is None:
        return False
    return bool(importlib.import_module("torch").cuda.is_available())


def open_model(spec: ModelSpec, settings: OpenSettings) -> Model:
    """Open the model; heavy libraries are imported here and only if it needs them."""
    if spec.kind == "file":
        raise UsageError(f"{spec.text} holds finished answers; it can be a candidate (--model), not a judge")
    pooled = settings.replicas > 1 or settings.cluster is not None
    if spec.kind in ("http", "openai", "anthropic"):
        if pooled:
            raise UsageError(f"--replicas and --cluster are for checkpoints; {spec.text} is served by somebody else")
        return _open_http(spec, settings)
    if pooled:
        from judgebench.models.ray_pool import RayPool

        alone = msgspec.structs.replace(settings, replicas=1, cluster=None)
        spanned = (settings.arguments.get(f"{kind}_parallel_size", "1") for kind in ("tensor", "pipeline", "data"))
        return RayPool(
            partial(open_model, spec, alone), settings.replicas, settings.cluster, math.prod(map(int, spanned))
        )
    # A checkpoint that is used offline must not make the hub library wait for a network that is not there.
    if settings.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    takes = _VLLM_ARGUMENTS if spec.kind == "vllm" else _HF_ARGUMENTS
    arguments = _converted(settings.arguments, _CHECKPOINT_ARGUMENTS | takes, spec)
    arguments["thinking"] = Thinking(settings.thinking, settings.think_tags)
    if settings.chat_template is not None:
        arguments["chat_template"] = _template(settings.chat_template)
    if spec.kind == "vllm":
        from judgebench.models.vllm import VllmModel

        return VllmModel(spec.target, **arguments)
    from judgebench.models.hf import HfModel

    if spec.kind == "builtin":
        from judgebench.models.tiny import tiny_checkpoint

        folder = tiny_checkpoint(default_cache_dir() / "models", settings.task_folders)
        return HfModel(folder, name="builtin:tiny", **arguments)
    return HfModel(spec.target, **arguments)


def _open_http(spec: ModelSpec, settings: OpenSettings) -> Model:
    from judgebench.models.http_chat import anthropic_chat, openai_chat, served_chat

    known: dict[str, Callable[[str], Any]] = {
        "timeout_seconds": float,
        "max_attempts": int,
        "api_key_env": str,
        "reasoning_effort": str,
        **({"base_url": str} if spec.kind == "anthropic" else {"api": str}),
    }
    arguments = {"thinking": settings.thinking, **_converted(settings.arguments, known, spec)}
    for name in ("concurrency", "rpm", "tpm", "api_key_env"):
        value = getattr(settings, name)
        if value is not None:
            arguments.setdefault(name, value)
    if spec.kind == "openai":
        return openai_chat(spec.target, **arguments)
    if spec.kind == "anthropic":
        return anthropic_chat(spec.target, **arguments)
    url, _, name = spec.target.partition("#")
    return served_chat(name, url, **arguments)


def _converted(given: Mapping[str, str], known: Mapping[str, Callable[[str], Any]], spec: ModelSpec) -> dict[str, Any]:
    converted = {}
    for key, text in given.items():
        if key == "usd_per_million":
            continue
        if key not in known:
            raise UsageError(
                f"{spec.text} takes no argument {key!r}; it takes {', '.join([*known, 'usd_per_million'])}"
            )
        try:
            converted[key] = known[key](text)
        except ValueError as error:
            raise UsageError(f"the argument {key}={text} of {spec.text} is not valid: {error}") from error
    return converted


def _template(text: str) -> str | None:
    if text == "auto":
        return None
    if text == "none":
        return "none"
    try:
        return read_text(Path(text))
    except OSError as error:
        raise UsageError(f"--chat-template must be auto, none or a readable file: {error}") from error


def without_credentials(text: str) -> str:
    """The text with user, password and query (where some endpoints want the key) left out of a URL in it.

    >>> without_credentials("--judge=http://me:pass@host:80/v1?key=secret#name")
    '--judge=http://host:80/v1#name'
    """
    return re.sub(r"(https?://)(?:[^/\s]*@)?([^?#\s]*)(?:\?[^#\s]*)?", r"\1\2", text)


def price_of(spec: ModelSpec, arguments: Mapping[str, str]) -> Price | None:
    """Price of a model: as given by ``usd_per_million=INPUT/OUTPUT``, 0 if local, else of the dated table."""
    given = arguments.get("usd_per_million")
    if given is not None:
        try:
            prompt, completion = (float(part) for part in given.split("/"))
            return Price(prompt=prompt, completion=completion)
        except ValueError as error:
            raise UsageError(f"usd_per_million={given} is not INPUT/OUTPUT, such as 2.5/10: {error}") from error
    if spec.local or spec.kind == "file":
        return Price(prompt=0.0, completion=0.0)
    if spec.kind not in ("openai", "anthropic"):
        return None
    table = tomllib.loads((resource("templates") / "prices.toml").read_text())["usd_per_million"]
    if spec.target not in table:
        return None
    prompt, completion = table[spec.target]
    return Price(prompt=prompt, completion=completion)
