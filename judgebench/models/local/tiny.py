"""``builtin:tiny``: a real Llama checkpoint whose weights are set by hand, so that every probability is known.

The ordinary hf backend opens it. It answers as the model under test and gives verdicts as a judge. Its replies say
nothing about quality. A benchmark's ``tiny.toml`` lists the replies to its prompts::

    [[judge]]                             # a label token after a prompt that holds the trigger
    name = "judge-letter"
    trigger = "Answer with one letter"    # matched as written, as whole words
    replies = { "A" = 0.7, "B" = 0.3 }    # with these probabilities

    [[answer]]                            # a text, always the same
    name = "total"
    trigger = "Work out the total"
    reply = "The answer is 42."

Tests compute expected win rates from the odds that :func:`read_programs` gives. A program may have several replies of
several tokens; replies with a common beginning must branch at distinct tokens. A token that is not part of a reply has
a probability of about e^-30 = 1e-13.

How the weights work (one layer, one head, no training, no seed):

- Embeddings are one-hot and the MLP is zero, so after the final norm the output matrix holds, per current token, the
  log-probabilities of the next one: an exact bigram model.
- At the generation prompt the head looks for triggers anywhere in the conversation. A trigger's key grows with its
  priority, so the softmax picks the strongest one, however long the prompt is. Its value swamps the residual stream in
  a dimension of its own, which the norm maps to the square root of the width: that dimension's output column is the
  distribution of the reply's first token.
- Every later token looks back at the generation prompt only, whose value is zero, so the bigram goes on undisturbed.
"""

import importlib
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, ValidationError, convert

from judgebench.codec import sha256_hex
from judgebench.data.resources import resource
from judgebench.errors import UsageError
from judgebench.files import read_toml
from judgebench.models.local.checkpoints import import_transformers
from judgebench.models.local.kept import kept

FILE = "tiny.toml"
"""The file's name in a benchmark's folder."""


class Program(Struct, frozen=True, kw_only=True):
    """The replies to prompts that contain a trigger."""

    name: str
    trigger: str | None
    """A word or phrase, matched as written and as whole words; ``None`` for prompts without any trigger."""
    replies: dict[tuple[str, ...], float]
    """Maps each reply, as its tokens, to its probability."""

    @property
    def texts(self) -> dict[str, float]:
        """Maps each reply's text to its probability."""
        return {"".join(reply): probability for reply, probability in self.replies.items()}


def _says(text: str) -> dict[tuple[str, ...], float]:
    """One certain reply, in tokens of two words. Single words would soon repeat, with two different successors."""
    return {tuple(re.findall(r"\s?\S+(?:\s\S+)?", text)): 1.0}


class _Judge(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    trigger: str
    replies: dict[str, float]
    """Maps each label to its probability; a label is one token."""

    def program(self) -> Program:
        return Program(name=self.name, trigger=self.trigger, replies={(label,): p for label, p in self.replies.items()})


class _Answer(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    reply: str
    trigger: str | None = None

    def program(self) -> Program:
        return Program(name=self.name, trigger=self.trigger, replies=_says(self.reply))


class _Replies(Struct, frozen=True, forbid_unknown_fields=True):
    """``tiny.toml`` of a benchmark's folder."""

    priority: int = 0
    """If a prompt holds triggers of several benchmarks, the file with the lowest number decides."""
    judge: list[_Judge] = []
    """Replies as a judge."""
    answer: list[_Answer] = []
    """Replies as the model under test."""


def read_programs(folders: Iterable[Path] = ()) -> tuple[Program, ...]:
    """Read ``tiny.toml`` of the bundled benchmarks and of those in ``folders``, strongest trigger first.

    The first program whose trigger occurs anywhere in the conversation makes the reply. A judge's prompt quotes
    instructions and answers, so all judges come before all answers. Answers to instructions of any benchmark, in
    ``templates/``, come last. If two programs have the same trigger, the first counts. Raises :class:`UsageError` for
    a file that cannot be read.
    """
    bundled = (resource("templates") / FILE, *resource("tasks").glob(f"*/{FILE}"))
    paths = {*bundled, *(path for folder in folders if (path := folder / FILE).is_file())}
    files = sorted(((path, _read(path)) for path in paths), key=lambda pair: (pair[1].priority, pair[0].parent.name))
    judges = [row.program() for _, replies in files for row in replies.judge]
    answers = [row.program() for _, replies in files for row in replies.answer]
    first: dict[str | None, Program] = {}
    for program in (*judges, *answers):
        first.setdefault(program.trigger, program)
    return tuple(first.values())


def _read(path: Path) -> _Replies:
    try:
        return convert(read_toml(path, "the list of replies for builtin:tiny"), _Replies)
    except ValidationError as error:
        raise UsageError(f"{path} is not a valid list of replies for builtin:tiny: {error}") from error


_RECIPE = 1
"""Raise this number whenever the same programs produce different files."""

_MOST_MIB = 16
"""More than its files ever take."""
_CONTEXT_TOKENS = 32768
_HEAD_WIDTH = 64
"""Also the largest number of triggers, because each takes a dimension of the head's value."""
_NOT_EVER = -30.0
"""Logit of every token that a program does not say."""
_END = "<|end|>"
_START = "<|assistant|>"
_SPECIAL = ("<|pad|>", "<|bos|>", _END, "<|system|>", "<|user|>", _START)
_CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

# Attention scores before the softmax. The weakest trigger outweighs a full context of other tokens (e^10.4) by e^13.6;
# a stronger one outweighs the next by e^12, so neither length nor repetition changes the choice.
_WEAKEST_SCORE = 24.0
_SCORE_STEP = 12.0
_LOOK_BACK_SCORE = 60.0
_SWAMP = 30000.0
"""Size of a trigger in the residual stream, where the token itself is 1. It fits into float16."""


def _successors(
    programs: tuple[Program, ...],
) -> tuple[dict[str | None, dict[str, float]], dict[str, dict[str, float]]]:
    """Return first tokens by trigger, and next tokens by current token, as probabilities that sum to 1.

    Raises ``ValueError`` if the programs need something that a bigram model cannot say.
    """
    firsts: dict[str | None, dict[str, float]] = {}
    successors: dict[str, dict[str, float]] = {}
    for program in programs:
        if not math.isclose(sum(program.replies.values()), 1.0):
            raise ValueError(f"program {program.name}: the probabilities of its replies do not sum to 1")
        weights: dict[str | None, dict[str, float]] = {}
        paths: dict[str, tuple[str, ...]] = {}
        for reply, probability in program.replies.items():
            current: str | None = None
            for position, token in enumerate((*reply, _END)):
                if token != _END and paths.setdefault(token, reply[:position]) != reply[:position]:
                    raise ValueError(f"program {program.name}: token {token!r} is reached in two ways")
                row = weights.setdefault(current, {})
                row[token] = row.get(token, 0.0) + probability
                current = token
        for token_before, row in weights.items():
            total = sum(row.values())
            shares = {token: weight / total for token, weight in row.items()}
            if token_before is None:
                firsts[program.trigger] = shares
            elif successors.setdefault(token_before, shares) != shares:
                raise ValueError(f"program {program.name}: token {token_before!r} already has another successor")
    return firsts, successors


def _check_triggers(triggers: list[str], tokens: set[str]) -> None:
    """Raise ``ValueError`` if a token could swallow the start of a trigger: the tokenizer takes the leftmost match."""
    if len(triggers) > _HEAD_WIDTH:
        raise ValueError(f"{len(triggers)} triggers; the head has room for {_HEAD_WIDTH}")
    for trigger in triggers:
        for token in tokens - {trigger}:
            if trigger in token or any(_begins_at_end(trigger[:length], token) for length in range(1, len(trigger))):
                raise ValueError(f"token {token!r} overlaps the trigger {trigger!r}")


def _begins_at_end(start: str, token: str) -> bool:
    """Whether a token ends with the start of a trigger, outside a word, since triggers are whole words."""
    before = token[: -len(start)][-1:]
    return token.endswith(start) and re.fullmatch(r"\w\w", before + start[0]) is None


def _tokenizer(transformers: Any, triggers: list[str], tokens: set[str]) -> Any:
    """Bytes, special tokens, the triggers, and the words of the replies; no merges."""
    tokenizers = importlib.import_module("tokenizers")
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    backend = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab={token: number for number, token in enumerate([*_SPECIAL, *alphabet])}, merges=[])
    )
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    backend.add_special_tokens([tokenizers.AddedToken(token, special=True, normalized=False) for token in _SPECIAL])
    backend.add_tokens([tokenizers.AddedToken(trigger, normalized=False, single_word=True) for trigger in triggers])
    backend.add_tokens([tokenizers.AddedToken(token, normalized=False) for token in sorted(tokens - set(alphabet))])
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=_SPECIAL[0],
        bos_token=_SPECIAL[1],
        eos_token=_END,
        model_max_length=_CONTEXT_TOKENS,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = _CHAT_TEMPLATE
    return tokenizer


def build_tiny(folder: Path, programs: tuple[Program, ...]) -> None:
    """Write the checkpoint (weights, config, tokenizer, chat template; about 2 MB) into ``folder``."""
    torch, transformers = import_transformers()
    firsts, successors = _successors(programs)
    # Single bytes are in the vocabulary already; as added tokens they would cut every word of a prompt.
    rows = (*firsts.values(), *successors.values())
    added = {token for row in rows for token in row if len(token) > 1 and token != _END}
    triggers = [program.trigger for program in programs if program.trigger is not None]
    _check_triggers(triggers, added)
    tokenizer = _tokenizer(transformers, triggers, added)
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    size = len(vocabulary)
    width = -(-(size + len(triggers)) // _HEAD_WIDTH) * _HEAD_WIDTH
    config = transformers.LlamaConfig(
        vocab_size=size,
        hidden_size=width,
        intermediate_size=_HEAD_WIDTH,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=_HEAD_WIDTH,
        max_position_embeddings=_CONTEXT_TOKENS,
        rms_norm_eps=1e-10,  # far below the mean square of a one-hot vector
        tie_word_embeddings=False,
        bos_token_id=vocabulary[_SPECIAL[1]],
        eos_token_id=vocabulary[_END],
        pad_token_id=vocabulary[_SPECIAL[0]],
        rope_parameters={"rope_type": "default", "rope_theta": 1e8},
    )
    with torch.random.fork_rng(devices=[]):  # leave the caller's random generator as it is
        model = transformers.LlamaForCausalLM(config).float()

    def column(row: Mapping[str, float]) -> Any:
        logits = torch.full((size,), _NOT_EVER)
        for token, probability in row.items():
            logits[vocabulary[token]] = math.log(probability)
        return logits

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if "norm" in name else 0.0)
        model.model.embed_tokens.weight.copy_(torch.eye(size, width))
        attention = model.model.layers[0].self_attn
        start = vocabulary[_START]
        # After its norm a token is a one-hot vector of height sqrt(width), and scores are divided by sqrt(head width).
        # Rotary position encoding leaves the slowest pairs as they are: 1e-3 radians over the whole context.
        height, gain = math.sqrt(width), math.sqrt(math.sqrt(_HEAD_WIDTH) / width)
        look_back, route = _HEAD_WIDTH // 2 - 1, _HEAD_WIDTH // 2 - 2
        attention.q_proj.weight[look_back, :size] = gain * _LOOK_BACK_SCORE
        attention.q_proj.weight[look_back, start] = 0.0
        attention.k_proj.weight[look_back, start] = gain
        attention.q_proj.weight[route, start] = gain

        head = column({_END: 1.0}).repeat(width, 1).T.contiguous()
        for token, row in successors.items():
            head[:, vocabulary[token]] = column(row)
        head[:, start] = column(firsts[None])
        for number, trigger in enumerate(triggers):
            score = _WEAKEST_SCORE + _SCORE_STEP * (len(triggers) - 1 - number)
            attention.k_proj.weight[route, vocabulary[trigger]] = gain * score
            attention.v_proj.weight[number, vocabulary[trigger]] = 1 / height
            attention.o_proj.weight[size + number, number] = _SWAMP
            head[:, size + number] = column(firsts[trigger])
        model.lm_head.weight.copy_(head / height)
    model.generation_config = transformers.GenerationConfig(
        bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def tiny_checkpoint(cache_folder: Path, task_folders: Iterable[Path] = ()) -> Path:
    """Return the checkpoint's folder inside ``cache_folder``; build it if it is not there yet.

    The folder's name carries a hash of the programs, so changed programs get a new folder.
    """
    programs = read_programs(task_folders)
    target = cache_folder / f"tiny-{sha256_hex(repr((_RECIPE, programs)).encode())[:12]}"
    try:
        return kept(target, lambda folder: build_tiny(folder, programs), what="builtin:tiny", mib=_MOST_MIB)
    except ValueError as error:
        raise UsageError(f"builtin:tiny cannot reply as the benchmarks' {FILE} files say: {error}") from error
