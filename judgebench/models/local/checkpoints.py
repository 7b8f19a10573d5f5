"""What the local backends share: a checkpoint without its weights, requests as tokens, and tokens as completions.

How tokens are generated is each backend's own business (``hf``, ``vllm``); chat templates lie in ``chat_templates``.
"""

import contextlib
import hashlib
import importlib
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from msgspec import Struct

from judgebench.activity import doing
from judgebench.codec import read_json
from judgebench.errors import JudgebenchError, ModelError, UsageError, first_line
from judgebench.files import irregular, sha256_of
from judgebench.models.continuations import IMPOSSIBLE, continuation_tokens, likelihoods, raw_text
from judgebench.models.extras import import_extra
from judgebench.models.local.chat_templates import ChatPrompts, Unaskable
from judgebench.records import Completion, Request, TokenLogprob, Usage
from judgebench.thinking import AUTO, Thinking, left_open, split_thinking

DTYPES = ("auto", "float32", "bfloat16", "float16")

_WEIGHT_SUFFIXES = frozenset({".safetensors", ".bin", ".pt", ".pth", ".gguf"})
_TEXT_SUFFIXES = frozenset({".json", ".jinja", ".txt", ".model", ".tiktoken", ".py"})
_TRAINING_FILES = frozenset({"optimizer.pt", "scheduler.pt", "training_args.bin", "trainer_state.json"})
_SMALL_BYTES = 16 * 2**20
_TAIL_TOKENS = 32
"""Tokens at the end of a prompt that are searched for an open thinking part."""
_PARTS = re.compile(r"(layers?|experts?|heads?|blocks?)$")
_MOST_PARTS = 2**14
NO_NUMBERS = "the model computes no numbers (NaN): its weights are broken, or its precision is too low for them"


def import_transformers() -> tuple[Any, Any]:
    """The modules ``torch`` and ``transformers``, made quiet; :class:`UsageError` if they are not installed."""
    torch, transformers = import_extra("Opening a local checkpoint", "local", "torch", "transformers")
    # Missing weights and prompts that are too long, of which it would warn, are checked here instead.
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    _import_hub()
    return torch, transformers


def _import_hub() -> Any:
    """The hub's client, made quiet: it would report each attempt to reach the hub."""
    hub = importlib.import_module("huggingface_hub")
    hub.logging.set_verbosity_error()
    hub.utils.disable_progress_bars()
    return hub


def checkpoint_digest(folder: Path, small_bytes: int = _SMALL_BYTES) -> str:
    """``sha256:<hex>`` that changes when a file of the checkpoint does.

    Configuration, tokenizer and code count by content, and so do weight files up to ``small_bytes``. Larger ones count
    by name, size and modification time, because reading 100 GB before the first request would take too long.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.name in _TRAINING_FILES or path.name.startswith("rng_state"):
            continue
        status = path.stat()
        if path.suffix in _TEXT_SUFFIXES or (path.suffix in _WEIGHT_SUFFIXES and status.st_size <= small_bytes):
            fact = sha256_of(path)
        elif path.suffix in _WEIGHT_SUFFIXES:
            fact = f"{status.st_size} bytes, {status.st_mtime_ns} ns"
        else:
            continue
        digest.update(f"{path.name}\0{fact}\n".encode())
    return f"sha256:{digest.hexdigest()}"


class Job(Struct):
    """A request in tokens."""

    index: int
    request: Request
    prompt: list[int]
    max_tokens: int
    """The most new tokens that the request and the context allow."""
    labels: list[list[int]]
    """The tokens of each of ``Sampling.choices``, or ``Sampling.continuations``."""
    thinks: bool = False
    """Whether the prompt ends inside a thinking part, so that the reply begins with the rest of it."""

    @property
    def rows(self) -> list[tuple[int, ...]]:
        """What follows the prompt in the rows that score the labels: each label without its last token."""
        return sorted({tuple(label[:-1]) for label in self.labels}) or [()]

    @property
    def reply_tokens(self) -> int:
        """The most tokens that can follow the prompt."""
        return max(map(len, self.labels)) if self.labels else self.max_tokens


class Adapter(Struct, frozen=True, kw_only=True):
    """A LoRA adapter on disk."""

    folder: Path
    rank: int
    base: str | None
    """The model that it was trained on, if it says so."""


def read_adapter(path: str | Path) -> Adapter:
    """The adapter in a folder. Raises :class:`UsageError`."""
    folder = Path(path).expanduser()
    try:
        _require_plain_files(folder)
        settings = read_json(folder / "adapter_config.json", dict[str, Any], _SMALL_BYTES)
        rank, base = settings.get("r"), settings.get("base_model_name_or_path")
        if not isinstance(rank, int) or not 0 < rank < 2**20:
            raise ValueError(f"its rank `r` is {str(rank)[:40]}")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"Could not use the LoRA adapter in {folder}: {first_line(error)}. Give a folder with "
            "adapter_config.json, which names the rank `r`, and adapter_model.safetensors, as PEFT writes them."
        ) from error
    return Adapter(folder=folder, rank=rank, base=base if base and isinstance(base, str) else None)


def _require_plain_files(folder: Path) -> None:
    """Refuse a folder that holds a FIFO or a device, because whoever reads it would wait for ever."""
    for path in sorted(folder.iterdir()):
        if found := irregular(path):
            raise OSError(f"{path.name} is {found}, not a regular file")


class _ShardIndex(Struct):
    """The part of a sharded checkpoint's index that is needed here."""

    weight_map: dict[str, str]


class Located(Struct, frozen=True, kw_only=True):
    """Where a checkpoint lies."""

    source: str
    """The folder, or the id on the hub."""
    folder: Path | None
    adapter: Adapter | None
    revision: str | None = None

    @property
    def name(self) -> str:
        """The name in messages and records."""
        own = self.folder.resolve().name if self.folder else self.source
        return f"{own}+{self.adapter.folder.resolve().name}" if self.adapter else own


def locate(
    path_or_id: str | Path, *, lora: str | None = None, revision: str | None = None, ask_hub: bool = True
) -> Located:
    """Find a checkpoint before torch is imported, so that a missing one is reported at once.

    ``path_or_id``: a folder, or the id of a model on the hub. ``lora``: folder of an adapter in PEFT's format. Such a
    folder may also stand for the model; then it names its base. Without ``ask_hub`` every id is believed.

    Raises :class:`UsageError` or :class:`ModelError`.
    """
    path = Path(path_or_id).expanduser()
    if lora is None and (path / "adapter_config.json").is_file() and not (path / "config.json").is_file():
        lora, path_or_id = str(path), _base_of(read_adapter(path))
    folder = _local_folder(path_or_id)
    if folder is None and ask_hub:
        _require_on_hub(str(path_or_id), revision)
    adapter = None if lora is None else read_adapter(lora)
    return Located(source=str(folder or path_or_id), folder=folder, adapter=adapter, revision=revision)


def _base_of(adapter: Adapter) -> str:
    if adapter.base is None:
        raise UsageError(
            f"The folder {adapter.folder} holds an adapter that names no base model. Give the base as the model, and "
            "the folder with --model-arg lora=FOLDER."
        )
    return adapter.base


def _require_on_hub(source: str, revision: str | None) -> None:
    """Raise :class:`ModelError` if neither the hub nor its local cache has a configuration of this id."""
    try:
        with doing(f"looking for {source} on the hub"):
            _import_hub().hf_hub_download(source, "config.json", revision=revision)
    except Exception as error:
        raise cannot_be_opened(source, error) from error


def in_cache(source: str) -> bool:
    """Whether the local cache of the hub's files has a configuration of this id. Nothing is sent."""
    try:
        return isinstance(_import_hub().try_to_load_from_cache(source, "config.json"), str)
    except ValueError:  # no id of the hub has this form
        return False


def cannot_be_opened(source: str, error: BaseException) -> ModelError:
    """The error for a checkpoint whose files cannot be used."""
    if "gated repo" in str(error):
        return ModelError(
            f"{source} is gated: the hub gives it only to users who have accepted its terms. Accept them on its page, "
            "and set HF_TOKEN to a token of your account."
        )
    return ModelError(
        f"{source} cannot be opened as a causal language model: {first_line(error)}. "
        "Wanted: a checkpoint that transformers can load, with config.json, weights and tokenizer."
    )


class CheckpointOptions(TypedDict, total=False):
    """How :class:`Checkpoint` is opened, whichever engine runs it."""

    name: str | None
    """A name for messages and records, instead of its folder or id."""
    max_tokens: int
    """The limit of a reply if the request sets none."""
    chat_template: str | None
    """As :class:`ChatPrompts` takes it."""
    thinking: Thinking
    trust_remote_code: bool


class Checkpoint:
    """A checkpoint without its weights: configuration, tokenizer, prompts."""

    def __init__(
        self,
        place: Located,
        *,
        name: str | None = None,
        max_tokens: int = 2048,
        chat_template: str | None = None,
        thinking: Thinking = AUTO,
        trust_remote_code: bool = False,
        context: int | None = None,
        needs_template: bool = True,
    ) -> None:
        """Read everything but the weights, and check that those are there.

        If a tokenizer was saved with the adapter, that one is used. ``context`` limits prompt and reply together to
        fewer tokens than the model was made for. Unless it ``needs_template``, messages of a tokenizer without a chat
        template are joined by blank lines.

        Raises :class:`UsageError` for mistakes of the user, :class:`ModelError` for files that cannot be read.
        """
        _, transformers = import_transformers()
        self.source, self.folder, self.adapter = place.source, place.folder, place.adapter
        self.name = name or place.name
        self.options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
        """Keyword arguments of every ``from_pretrained``."""
        if place.revision is not None:
            self.options["revision"] = place.revision
        own_tokenizer = self.adapter is not None and (self.adapter.folder / "tokenizer_config.json").is_file()
        tokenizer_source = str(self.adapter.folder) if self.adapter and own_tokenizer else self.source
        try:
            if self.folder:
                _require_plain_files(self.folder)
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer_source, **self.options)
            self.config = transformers.AutoConfig.from_pretrained(self.source, **self.options)
            self.ends = _end_tokens(transformers, self)
            _require_parts(self.config)
            own_context = _context_tokens(self.config, self.tokenizer)
            self._own_dtype = str(self.config.dtype or "float32").removeprefix("torch.")
        except (Exception, SystemExit) as error:  # the checkpoint's own code may raise anything
            raise cannot_be_opened(self.source, error) from error
        if context is not None and own_context is not None and context > own_context:
            raise UsageError(
                f"A context of {context} tokens is too long: {self.source} was made for {own_context}. Give a smaller "
                "one. (If a model can be stretched, its config.json has the factor: rope scaling.)"
            )
        self.context = context or own_context
        """Positions for prompt and reply together; ``None`` if neither configuration nor tokenizer names a number."""
        if max_tokens < 1:
            raise UsageError(f"max_tokens is {max_tokens}; it must be 1 or more.")
        self.max_tokens = max_tokens
        self._thinking = thinking
        if not needs_template and chat_template is None and not getattr(self.tokenizer, "chat_template", None):
            chat_template = "none"
        try:
            self.prompts = ChatPrompts(
                self.tokenizer,
                source=self.source,
                chat_template=chat_template,
                thinking=thinking.policy,
                context=self.context,
            )
        except JudgebenchError:
            raise
        except Exception as error:  # a tokenizer that was opened but does not work
            raise cannot_be_opened(self.source, error) from error
        if self.folder:
            digest = checkpoint_digest(self.folder)
        else:
            digest = f"{self.source}@{getattr(self.config, '_commit_hash', None) or place.revision or 'main'}"
        self.digest = f"{digest} lora={checkpoint_digest(self.adapter.folder)}" if self.adapter else digest
        """Identifies its files, including the adapter's."""
        self._token_texts: dict[int, str] = {}
        self._check_weights()

    def settled_dtype(self, dtype: str, *, on_cpu: bool) -> str:
        """The precision to compute in: ``auto`` is the checkpoint's own, and float32 on a CPU."""
        if dtype not in DTYPES:
            raise UsageError(f"dtype is {dtype!r}; it must be one of {', '.join(DTYPES)}.")
        if dtype != "auto":
            return dtype
        return "float32" if on_cpu else self._own_dtype

    def _check_weights(self) -> None:
        """Raise :class:`ModelError` if weights are missing in the folder, or files are cut off.

        This reads only the index of a sharded checkpoint and the headers of safetensors files.
        """
        if self.folder is None:
            return
        for index in self.folder.glob("*.index.json"):
            try:
                shards = set(read_json(index, _ShardIndex).weight_map.values())
                absent = sorted(shard for shard in shards if not (self.folder / shard).is_file())
            except (OSError, ValueError) as error:
                raise ModelError(
                    f"{index} is not a valid list of weight files: {first_line(error)}. Copy or download it again."
                ) from error
            if absent:
                raise ModelError(
                    f"{len(absent)} of the {len(shards)} weight files that {index} names are missing, such as "
                    f"{absent[0]}. Copy or download them again."
                )
        weights = [path for path in self.folder.iterdir() if path.suffix in _WEIGHT_SUFFIXES]
        if not any(path.name not in _TRAINING_FILES for path in weights):
            raise ModelError(
                f"The folder {self.folder} holds no weights (*.safetensors, *.bin): nothing can be loaded."
            )
        for path in weights:
            if path.suffix == ".safetensors":
                try:
                    with importlib.import_module("safetensors").safe_open(path, framework="pt"):
                        pass
                except Exception as error:
                    raise ModelError(
                        f"{path} cannot be read: {first_line(error)}. The file was cut off or is of another format; "
                        "copy or download it again."
                    ) from error

    def prepare(self, index: int, request: Request) -> Job | Completion:
        """The request in tokens, or a completion that says why it cannot be sent."""
        if request.sampling.continuations:
            return self._prepare_continuations(index, request)
        try:
            prompt = self.prompts.tokens(request.messages)
        except Unaskable as error:
            return Completion(error=str(error))
        labels: list[list[int]] = [
            self.tokenizer(choice, add_special_tokens=False).input_ids for choice in request.sampling.choices
        ]
        if not all(labels):
            return Completion(error="a choice without any token cannot be scored")
        closing = left_open(self.tokenizer.decode(prompt[-_TAIL_TOKENS:]), self._thinking)
        if labels and closing:
            # Labels are scored where the answer begins. With Qwen's tag and newline before it, this is what the
            # templates write when thinking is disabled.
            prompt = [*prompt, *self.tokenizer(f"\n{closing}\n\n", add_special_tokens=False).input_ids]
        wanted = request.sampling.max_tokens or self.max_tokens
        needed = max(map(len, labels), default=1)
        room = max(wanted, needed) if self.context is None else self.context - len(prompt)
        if room < needed:
            return Completion(error=f"the prompt has {len(prompt)} tokens, the model's context is {self.context}")
        return Job(
            index=index,
            request=request,
            prompt=prompt,
            max_tokens=min(wanted, room),
            labels=labels,
            thinks=closing is not None,
        )

    def _prepare_continuations(self, index: int, request: Request) -> Job | Completion:
        try:
            prompt, labels = self.continued(request)
        except Unaskable as error:
            return Completion(error=str(error))
        if not prompt or not all(labels):
            lacks = "the prompt" if not prompt else "a continuation"
            return Completion(error=f"{lacks} has no token, so no continuation has a probability")
        # The last token of a continuation is not read.
        needed = max(map(len, labels)) - 1
        if self.context is not None and len(prompt) + needed > self.context:
            return Completion(
                error=f"the prompt has {len(prompt)} tokens, and the longest continuation {needed + 1}; the model's "
                f"context is {self.context}"
            )
        return Job(index=index, request=request, prompt=prompt, max_tokens=1, labels=labels)

    def continued(self, request: Request) -> tuple[list[int], list[list[int]]]:
        """The tokens of a prompt and of each of its continuations. Raises :class:`Unaskable`."""
        raw, tokenizer = request.sampling.raw, self.tokenizer
        context = raw_text(request) if raw else self.prompts.text(request.messages)
        beginning = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        begins = None if beginning is None else tokenizer.decode(beginning)

        def encode_bare(text: str) -> list[int]:
            tokens: list[int] = tokenizer(text, add_special_tokens=False).input_ids
            return tokens

        def encode(text: str) -> list[int]:
            # A template has written the special tokens, and so may a raw text.
            if not raw or (begins and text.startswith(begins)):
                return encode_bare(text)
            tokens: list[int] = tokenizer(text).input_ids
            return tokens

        try:
            return continuation_tokens(encode, encode_bare, context, request.sampling.continuations, beginning)
        except (TypeError, UnicodeError) as error:  # half a surrogate pair
            raise Unaskable(f"the prompt cannot be put into tokens: {first_line(error)}") from error

    def check(self, requests: Sequence[Request]) -> None:
        """As :meth:`ChatPrompts.check`, and the same for continuations."""
        self.prompts.check([request for request in requests if not request.sampling.continuations])
        scored = [request for request in requests if request.sampling.continuations]
        self.prompts.check_system([request for request in scored if not request.sampling.raw])
        if self.context is None:
            return
        lengths = []
        for request in scored:
            with contextlib.suppress(Unaskable):  # it will be a failed row
                prompt, labels = self.continued(request)
                lengths.append(len(prompt) + max(map(len, labels), default=0) - 1)
        too_long = [length for length in lengths if length > self.context]
        if too_long:
            raise UsageError(
                f"{len(too_long)} of {len(scored)} prompts do not fit into the context of {self.source} with their "
                f"continuations: it has {self.context} tokens, and the longest needs {max(too_long)}. Prompts are "
                "never cut: choose a model with a longer context, show fewer examples, or leave these items out with "
                "--ids."
            )

    def completion(self, job: Job, reply: list[int], alternatives: Sequence[Sequence[tuple[int, float]]]) -> Completion:
        """The reply's tokens, including its end token, as a completion that is cut at the first stop string.

        ``alternatives``: for each token of the reply, the likeliest ones with their log-probabilities, likeliest first.
        """
        sampling = job.request.sampling
        ended = bool(reply) and reply[-1] in self.ends
        spoken = reply[:-1] if ended else reply
        text: str = self.tokenizer.decode(spoken, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        cut = earliest(text, sampling.stop)
        if cut is not None:
            text, ended = text[:cut], True
        top_logprobs: tuple[tuple[TokenLogprob, ...], ...] | None = None
        if sampling.top_logprobs:
            if any(math.isnan(value) for position in alternatives for _, value in position):
                return Completion(error=NO_NUMBERS)
            top_logprobs = tuple(
                tuple((self._token_text(token), value) for token, value in position if math.isfinite(value))
                for position in alternatives[: len(spoken)]
            )
        only_thought = (
            job.thinks and self._thinking.policy != "off" and split_thinking(text, self._thinking).thinking is None
        )
        return Completion(
            text="" if only_thought else text,
            reasoning=text if only_thought else None,
            finish_reason="stop" if ended else "length",
            usage=Usage(prompt_tokens=len(job.prompt), completion_tokens=len(reply)),
            top_logprobs=top_logprobs,
            model=self.name,
        )

    def scored(self, job: Job, values: Sequence[float]) -> Completion:
        """The labels of ``Sampling.choices`` with their log-likelihoods, likeliest first, as a completion; or those of
        ``Sampling.continuations`` in their order.
        """
        if any(math.isnan(value) for value in values):
            return Completion(error=NO_NUMBERS)
        bounded = [max(value, IMPOSSIBLE) for value in values]
        if job.request.sampling.continuations:
            read = sum(len(job.prompt) + len(row) for row in job.rows)
            return likelihoods(job.request, bounded, Usage(prompt_tokens=read), self.name)
        pairs = sorted(zip(job.request.sampling.choices, bounded, strict=True), key=lambda pair: -pair[1])
        return Completion(
            text=pairs[0][0],
            finish_reason="stop",
            usage=Usage(prompt_tokens=len(job.prompt)),
            top_logprobs=(tuple(pairs),),
            model=self.name,
        )

    def _token_text(self, token: int) -> str:
        if token not in self._token_texts:
            self._token_texts[token] = self.tokenizer.decode([token], clean_up_tokenization_spaces=False)
        return self._token_texts[token]


class LocalModel:
    """A checkpoint behind the ``Model`` protocol. How its weights run is added by an engine's own class."""

    local = True

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self.name = checkpoint.name
        self.retries: Counter[str] = Counter()

    def render(self, request: Request) -> str | None:
        """The prompt as the model reads it; ``None`` if the chat template refuses the conversation."""
        try:
            raw = request.sampling.continuations and request.sampling.raw
            return raw_text(request) if raw else self._checkpoint.prompts.text(request.messages)
        except Unaskable:
            return None

    def check(self, requests: Sequence[Request]) -> None:
        """As :meth:`Checkpoint.check`."""
        self._checkpoint.check(requests)


def earliest(text: str, stop: Sequence[str]) -> int | None:
    """The position at which the first stop string begins."""
    return min((place for place in (text.find(one) for one in stop) if place >= 0), default=None)


def _local_folder(path_or_id: str | Path) -> Path | None:
    """The folder, or ``None`` for an id of the hub. A path that does not exist is a mistake, not an id."""
    path = Path(path_or_id).expanduser()
    if path.is_dir():
        if (path / "manifest.json").is_file() and not (path / "config.json").is_file():
            raise UsageError(
                f"{path} is a run folder, not a checkpoint: its answers are there already. `judgebench judge {path}` "
                "has them judged, and `judgebench arena` with two or more run folders rates their models."
            )
        if not (path / "config.json").is_file():
            raise UsageError(
                f"The folder {path} is not a checkpoint: it has no config.json. Give the folder that has one."
            )
        return path
    text = str(path_or_id)
    if path.is_file():
        raise UsageError(
            f"{text} is a file, and a checkpoint is a folder. Answers that were made elsewhere are named file:{text}."
        )
    if isinstance(path_or_id, Path) or text.startswith((".", "~", "/")) or text.count("/") > 1:
        raise UsageError(
            f"There is no checkpoint folder {text}. Give a folder with config.json, weights and tokenizer, or the id "
            "of a model on the hub such as org/name."
        )
    return None


def _require_parts(config: Any) -> None:
    """Refuse an absurd number of parts: transformers would build them one by one before it misses their weights."""
    for key, value in config.get_text_config().to_dict().items():
        if _PARTS.search(key) and isinstance(value, int) and not 0 <= value <= _MOST_PARTS:
            raise ValueError(f"config.json says {key} = {str(value)[:40]}")


def _context_tokens(config: Any, tokenizer: Any) -> int | None:
    """Positions the model was made for; ``None`` if neither the config nor the tokenizer names a number."""
    text_config: Mapping[str, Any] = config.get_text_config().to_dict()
    for key in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        positions = text_config.get(key)
        if isinstance(positions, int):
            if not 0 < positions < 2**31:
                raise ValueError(f"config.json says {key} = {str(positions)[:40]}")
            return positions
    # Tokenizers without a limit carry a number of about 1e30.
    return int(tokenizer.model_max_length) if tokenizer.model_max_length < 2**31 else None


def _end_tokens(transformers: Any, checkpoint: Checkpoint) -> frozenset[int]:
    """All tokens that end a reply: chat models name several in their generation config."""
    try:
        settings = transformers.GenerationConfig.from_pretrained(checkpoint.source, **checkpoint.options)
    except OSError:  # it has no generation_config.json
        settings = transformers.GenerationConfig.from_model_config(checkpoint.config)
    named = settings.eos_token_id
    several = named if isinstance(named, list) else [named]
    ends = [token for token in (*several, checkpoint.tokenizer.eos_token_id) if token is not None]
    if not all(isinstance(token, int) and 0 <= token < 2**31 for token in ends):
        raise ValueError(f"its end tokens are {str(ends)[:60]}")
    return frozenset(ends)
