"""``reward:builtin:tiny``: a real Llama with a classification head whose weights are set by hand.

Its reward is ten times the share of vowels (a, e, i, o, u) among the bytes of the answer, and 0 for an empty one: a
number that anybody can count, and that says nothing about quality. The ordinary backend of reward models opens it.

How the weights work (two layers of one head, no training, no seed):

- Embeddings are one-hot over bytes and three marks, and the MLPs are zero. The tokenizer writes a question and an
  answer as ``<|question|>…<|answer|>…<|end|>``.
- In the first layer every token looks for ``<|answer|>``, which only it and the tokens after it can see, and is flagged
  if it finds it. The flag swamps the residual stream, so that the norms scale all flagged tokens alike.
- In the second layer ``<|end|>`` looks at all flagged tokens but the marks, at each alike: what it sees is the share of
  vowels among them. Without any it sees itself. The head multiplies what was seen.
"""

import math
from pathlib import Path
from typing import Any

from judgebench.models.extras import import_extra
from judgebench.models.local.checkpoints import import_transformers
from judgebench.models.local.kept import kept

REWARD_OF_ALL = 10.0
"""The reward of an answer of vowels only."""
VOWELS = "aeiouAEIOU"
_RECIPE = 1
"""Raise this number whenever other files are built."""
_MOST_MIB = 4
_CONTEXT_TOKENS = 32768
_HEAD_WIDTH = 64
_PAD, _QUESTION, _ANSWER, _END = _MARKS = ("<|pad|>", "<|question|>", "<|answer|>", "<|end|>")
# Scores before the softmax: 60 outweighs a full context of other tokens (e^10.4) by e^49. An answer's token outweighs
# the end mark, and that all the rest, by e^30.
_SCORE = 60.0
_FLAG = 3000.0
"""Size of the flag in the residual stream, where the token itself is 1. It fits into float16."""


def tiny_reward_checkpoint(cache_folder: Path) -> Path:
    """Return the checkpoint's folder inside ``cache_folder``; build it if it is not there yet."""
    target = cache_folder / f"tiny-reward-{_RECIPE}"
    return kept(target, build_tiny_reward, what="reward:builtin:tiny", mib=_MOST_MIB)


def build_tiny_reward(folder: Path) -> None:
    """Write the checkpoint (weights, config, tokenizer; about 1 MB) into ``folder``."""
    torch, transformers = import_transformers()
    tokenizer = _tokenizer(transformers)
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    size = len(vocabulary)
    flag, seen = size, size + 1
    width = -(-(size + 2) // _HEAD_WIDTH) * _HEAD_WIDTH
    config = transformers.LlamaConfig(
        vocab_size=size,
        hidden_size=width,
        intermediate_size=_HEAD_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=_HEAD_WIDTH,
        max_position_embeddings=_CONTEXT_TOKENS,
        rms_norm_eps=1e-10,  # far below the mean square of a one-hot vector
        num_labels=1,
        id2label={0: "vowels"},
        label2id={"vowels": 0},
        pad_token_id=vocabulary[_PAD],
        bos_token_id=None,
        eos_token_id=vocabulary[_END],
        rope_parameters={"rope_type": "default", "rope_theta": 1e8},
    )
    with torch.random.fork_rng(devices=[]):  # leave the caller's random generator as it is
        model = transformers.LlamaForSequenceClassification(config).float()
    # After a norm a token is a one-hot vector of this height, and if it is flagged its flag is; scores are divided by
    # the root of the head's width. Rotary position encoding leaves the slowest pair as it is.
    height, gain = math.sqrt(width), math.sqrt(math.sqrt(_HEAD_WIDTH) / width)
    still = _HEAD_WIDTH // 2 - 1
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if "norm" in name else 0.0)
        model.model.embed_tokens.weight.copy_(torch.eye(size, width))
        first, second = (layer.self_attn for layer in model.model.layers)
        first.q_proj.weight[still, :size] = gain
        first.k_proj.weight[still, vocabulary[_ANSWER]] = gain * _SCORE
        first.v_proj.weight[0, vocabulary[_ANSWER]] = 1 / height
        first.o_proj.weight[flag, 0] = _FLAG
        second.q_proj.weight[still, flag] = gain
        second.k_proj.weight[still, flag] = gain * _SCORE
        # A flagged mark is smaller than its flag, and here as much larger.
        second.k_proj.weight[still, vocabulary[_ANSWER]] = -gain * _SCORE * _FLAG
        second.k_proj.weight[still, vocabulary[_END]] = -gain * _SCORE * _FLAG / 2
        for letter in VOWELS:
            second.v_proj.weight[0, vocabulary[letter]] = _FLAG / height
        second.o_proj.weight[seen, 0] = 1.0
        model.score.weight[0, seen] = REWARD_OF_ALL * _FLAG / height
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tokenizer(transformers: Any) -> Any:
    """Bytes and the marks; no merges."""
    (tokenizers,) = import_extra("Building reward:builtin:tiny", "local", "tokenizers")
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    backend = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab={token: number for number, token in enumerate([*_MARKS, *alphabet])}, merges=[])
    )
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    backend.add_special_tokens([tokenizers.AddedToken(token, special=True, normalized=False) for token in _MARKS])
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        # Of a pair whose second text is empty, tokenizers see the first alone.
        single=f"{_QUESTION} $A {_ANSWER} {_END}",
        pair=f"{_QUESTION} $A {_ANSWER} $B {_END}",
        special_tokens=[(token, backend.token_to_id(token)) for token in _MARKS],
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=_PAD,
        eos_token=_END,
        model_max_length=_CONTEXT_TOKENS,
        padding_side="right",
        clean_up_tokenization_spaces=False,
    )
