"""A small random Llama on disk, and requests for it; shared by the tests of the local backends."""

import importlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from judgebench.models import Model
from judgebench.records import Completion, Message, Request, Sampling

CONTEXT = 256
WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "while",
    "seven",
    "bright",
    "owls",
    "watch",
]
CHAT_TEMPLATE = (
    "<|bos|>{% for m in messages %}"
    "{% if m['role'] == 'system' %}{{ raise_exception('no system role here') }}{% endif %}"
    "<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ["<|pad|>", "<|bos|>", "<|end|>", "<|user|>", "<|assistant|>", "<|stop|>"]


def save_tokenizer(folder: Path) -> Any:
    """Bytes and a few words; it adds a BOS by itself, which a chat prompt already has."""
    transformers = importlib.import_module("transformers")
    tokenizers = importlib.import_module("tokenizers")
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    backend = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab={token: i for i, token in enumerate([*SPECIAL, *alphabet])}, merges=[])
    )
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    backend.add_special_tokens(SPECIAL)
    backend.add_tokens([" " + word for word in WORDS])
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="<|bos|> $A", special_tokens=[("<|bos|>", 1)]
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<|pad|>", bos_token="<|bos|>", eos_token="<|end|>"
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return tokenizer


def save_random_llama(folder: Path, *, head_dim: int = 8, context: int = CONTEXT) -> None:
    """Two layers, tied embeddings, weights wide enough to be sharp. vLLM has kernels for heads of 64, not of 8."""
    torch, transformers = (importlib.import_module(name) for name in ("torch", "transformers"))
    tokenizer = save_tokenizer(folder)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=4 * head_dim,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=head_dim,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        initializer_range=0.4 * math.sqrt(8 / head_dim),
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.LlamaForCausalLM(config)
    # Settings that must not leak into our replies, and a second end token that must count.
    model.generation_config = transformers.GenerationConfig(
        do_sample=True, temperature=1.7, repetition_penalty=3.0, eos_token_id=[2, 5], pad_token_id=0
    )
    model.save_pretrained(folder)


def ask(text: str, *, repeat: int = 0, **sampling: Any) -> Request:
    """A request of one user turn."""
    return Request(messages=(Message(role="user", content=text),), sampling=Sampling(**sampling), repeat=repeat)


def prompts(n: int) -> list[str]:
    """Prompts of very unlike lengths."""
    return [
        " ".join(WORDS[(place * 5 + step) % len(WORDS)] for step in range(place * 7 % 23 + 1)) for place in range(n)
    ]


def answers(model: Model, requests: Sequence[Request]) -> list[Completion]:
    """Completions in the order of the requests."""
    found = dict(model.complete(requests))
    assert sorted(found) == list(range(len(requests)))
    return [found[place] for place in range(len(requests))]
