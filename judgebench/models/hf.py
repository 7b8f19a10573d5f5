"""Checkpoints answered in this process by transformers: candidates, and judges that may only choose among labels.

Batches are padded on the left and bounded by requests and tokens. Decoding runs through ``generate``, but which token
comes next and when a reply ends is decided row by row (:class:`_Decoder`): one batch can hold requests of unlike
sampling, and a request's draws depend on the request alone, never on its neighbours.

torch and transformers are imported when a model is opened, not when this module is.
"""

import gc
import hashlib
import importlib
import inspect
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from msgspec import Struct

from judgebench.codec import canonical_hash, sha256_hex
from judgebench.errors import ModelError, UsageError
from judgebench.models.feed import Feed
from judgebench.records import Completion, Message, Request, Sampling, TokenLogprob, Usage

DTYPES = ("auto", "float32", "bfloat16", "float16")

_WEIGHT_SUFFIXES = frozenset({".safetensors", ".bin", ".pt", ".pth", ".gguf"})
_TEXT_SUFFIXES = frozenset({".json", ".jinja", ".txt", ".model", ".tiktoken", ".py"})
_TRAINING_FILES = frozenset({"optimizer.pt", "scheduler.pt", "training_args.bin", "trainer_state.json"})
_SMALL_BYTES = 16 * 2**20

_WINDOW_BATCHES = 4
_GATHER_SECONDS = 0.02
"""A batch costs seconds, the requests that could share it often come microseconds apart: worth one short wait."""


def import_transformers() -> tuple[Any, Any]:
    """The modules ``torch`` and ``transformers``, made quiet; :class:`UsageError` if they are not installed."""
    try:
        torch, transformers = (importlib.import_module(name) for name in ("torch", "transformers"))
    except ImportError as error:
        raise UsageError(
            f"Opening a local checkpoint needs torch and transformers, which cannot be imported ({error}). "
            "Install them with: pip install 'judgebench[local]'"
        ) from error
    # What it warns of is checked here instead: missing weights, over-long prompts.
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return torch, transformers


def checkpoint_digest(folder: Path, small_bytes: int = _SMALL_BYTES) -> str:
    """``sha256:<hex>`` that changes when a file of the checkpoint does.

    Configuration, tokenizer and code count by content, and so do weight files up to ``small_bytes``; larger ones by
    name, size and modification time, because reading 100 GB before the first request would be no service.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.name in _TRAINING_FILES or path.name.startswith("rng_state"):
            continue
        status = path.stat()
        if path.suffix in _TEXT_SUFFIXES or (path.suffix in _WEIGHT_SUFFIXES and status.st_size <= small_bytes):
            fact = sha256_hex(path.read_bytes())
        elif path.suffix in _WEIGHT_SUFFIXES:
            fact = f"{status.st_size} bytes, {status.st_mtime_ns} ns"
        else:
            continue
        digest.update(f"{path.name}\0{fact}\n".encode())
    return f"sha256:{digest.hexdigest()}"


class _Job(Struct):
    """A request in tokens."""

    index: int
    request: Request
    prompt: list[int]
    max_tokens: int
    """New tokens allowed, the context considered."""
    labels: list[list[int]]
    """The tokens of each of ``Sampling.choices``."""

    @property
    def rows(self) -> list[tuple[int, ...]]:
        """What must follow the prompt in the rows that score the labels: all but each label's last token."""
        return sorted({tuple(label[:-1]) for label in self.labels}) or [()]

    @property
    def reply_tokens(self) -> int:
        """Most tokens that can follow the prompt."""
        return max(map(len, self.labels)) if self.labels else self.max_tokens


def _shape(batch: Sequence[_Job]) -> tuple[int, int]:
    """Rows and columns of the batch's table of tokens when each row runs to the longest reply."""
    columns = max(len(job.prompt) for job in batch) + max(job.reply_tokens for job in batch)
    return sum(len(job.rows) for job in batch), columns


class HfModel:
    """A causal language model of transformers behind the ``Model`` protocol.

    ``temperature`` of ``None`` or 0 is greedy: a checkpoint's own sampling defaults are left aside, so that nothing is
    random unless asked for. Log-probabilities are those of the model, before temperature and top-p.
    """

    local = True

    def __init__(
        self,
        path_or_id: str | Path,
        *,
        name: str | None = None,
        revision: str | None = None,
        dtype: str = "auto",
        device: str | None = None,
        batch_size: int = 16,
        batch_tokens: int = 65536,
        max_tokens: int = 2048,
        chat_template: str | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        """Open the checkpoint: everything but its weights, which are loaded by the first request that needs them.

        ``path_or_id``: a folder, or the id of a model on the hub. ``dtype``: one of :data:`DTYPES`; ``auto`` is the
        checkpoint's own on an accelerator and float32 on a CPU. ``device``: the first of cuda, mps and cpu if not
        given. ``batch_tokens`` bounds prompts and replies of a batch together, padding included. ``max_tokens`` holds
        for requests that set none. ``chat_template``: Jinja text instead of the tokenizer's own; ``"none"`` joins the
        messages by blank lines, as for a base model.
        """
        self._torch, self._transformers = import_transformers()
        self.retries: Counter[str] = Counter()
        self._batch_size, self._batch_tokens, self._max_tokens = batch_size, batch_tokens, max_tokens
        if min(batch_size, batch_tokens, max_tokens) < 1:
            raise UsageError("batch_size, batch_tokens and max_tokens must be 1 or more.")
        if dtype not in DTYPES:
            raise UsageError(f"dtype is {dtype!r}; it must be one of {', '.join(DTYPES)}.")
        self._device = _choose_device(self._torch, device)
        folder = _local_folder(path_or_id)
        self.name = name or (folder.resolve().name if folder else str(path_or_id))
        self._source = str(folder or path_or_id)
        self._options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
        if revision is not None:
            self._options["revision"] = revision
        try:
            self._tokenizer = self._transformers.AutoTokenizer.from_pretrained(self._source, **self._options)
            config = self._transformers.AutoConfig.from_pretrained(self._source, **self._options)
        except Exception as error:
            raise self._cannot_be_opened(error) from error
        self._chat_template = chat_template
        self._check_chat_template(self._source)
        self._context = _context_tokens(config, self._tokenizer)
        own_dtype = str(config.dtype or "float32").removeprefix("torch.")
        self._dtype = dtype if dtype != "auto" else "float32" if self._device == "cpu" else own_dtype
        if folder:
            checkpoint = checkpoint_digest(folder)
        else:
            checkpoint = f"{self._source}@{getattr(config, '_commit_hash', None) or revision or 'main'}"
        template = f" template={sha256_hex(chat_template.encode())[:16]}" if chat_template is not None else ""
        self.identity = f"hf:{checkpoint} dtype={self._dtype}{template}"
        self._token_texts: dict[int, str] = {}
        self._model: Any = None

    def load(self) -> None:
        """Put the weights on the device, if they are not there. Raises :class:`ModelError`."""
        if self._model is not None:
            return
        try:
            model, loading = self._transformers.AutoModelForCausalLM.from_pretrained(
                self._source, dtype=self._dtype, output_loading_info=True, **self._options
            )
        except Exception as error:
            raise self._cannot_be_opened(error) from error
        missing = sorted(loading["missing_keys"])
        if missing:  # transformers would fill them with random numbers and only warn
            raise ModelError(
                f"{self._source} lacks {len(missing)} weights that its config.json asks for, such as {missing[0]}. "
                "The checkpoint is incomplete or of another architecture."
            )
        self._ends = _end_tokens(model.generation_config, self._tokenizer)
        self._pad = next((i for i in (self._tokenizer.pad_token_id, *sorted(self._ends)) if i is not None), 0)
        # Whatever the checkpoint says on penalties, beams or lengths: how a reply is drawn lies in the request.
        model.generation_config = self._transformers.GenerationConfig(
            do_sample=False, pad_token_id=self._pad, eos_token_id=sorted(self._ends) or None
        )
        self._forward_arguments = inspect.signature(model.forward).parameters
        try:
            self._model = model.to(self._device).eval()
        except (RuntimeError, AssertionError) as error:
            raise ModelError(
                f"{self._source} does not fit on or work with {self._device}: {_first_line(error)}."
            ) from error

    def _cannot_be_opened(self, error: Exception) -> ModelError:
        return ModelError(
            f"{self._source} cannot be opened as a causal language model: {_first_line(error)}. "
            "Wanted: a checkpoint that transformers can load, with config.json, weights and tokenizer."
        )

    def _check_chat_template(self, source: str) -> None:
        if self._chat_template is None and not self._tokenizer.chat_template:
            raise UsageError(
                f"The tokenizer of {source} has no chat template. Give one with --chat-template FILE, or use "
                "--chat-template none for a base model (the messages are then joined by blank lines)."
            )
        try:
            self._prompt(Request(messages=(Message(role="user", content="Hello"),), sampling=Sampling()))
        except jinja2.TemplateError as error:
            raise UsageError(f"The chat template for {source} does not work: {_first_line(error)}.") from error

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
        """Yield ``(index, completion)`` batch by batch; requests that have come by then share one if alike in length.

        Within one machine and dtype a reply depends on its request only. (Numerics of unlike batches differ in the
        last bit, which can turn a tie between two tokens; in half precision such ties are common.)
        """
        window = _WINDOW_BATCHES * self._batch_size
        feed = Feed(requests, ahead=window)
        waiting: list[_Job] = []
        try:
            while waiting or not feed.ended:
                for index, request in self._arrivals(feed, window - len(waiting), idle=not waiting):
                    prepared = self._prepare(index, request)
                    if isinstance(prepared, _Job):
                        waiting.append(prepared)
                    else:
                        yield index, prepared
                if waiting:
                    self.load()
                    batch = self._next_batch(waiting)
                    taken = {job.index for job in batch}
                    waiting = [job for job in waiting if job.index not in taken]
                    yield from self._answer(batch)
        finally:
            feed.close()

    def close(self) -> None:
        """Free the weights and the device's memory; another request would load them again."""
        self._model = None
        gc.collect()
        if self._torch.cuda.is_available():
            self._torch.cuda.empty_cache()

    def _arrivals(self, feed: Feed[Request], room: int, *, idle: bool) -> list[tuple[int, Request]]:
        """New requests, at most ``room``; waits for one only when ``idle``."""
        if not room:
            return []
        arrived: list[tuple[int, Request]] = []
        try:
            arrived = feed.take(room, wait=idle)
            if idle and len(arrived) < self._batch_size and not feed.ended:
                time.sleep(_GATHER_SECONDS)
                arrived += feed.take(room - len(arrived), wait=False)
        except Exception:
            if idle and not arrived:
                raise
            # Requests before the failure are answered first; the feed raises it again at the next call.
        return arrived

    def _prepare(self, index: int, request: Request) -> _Job | Completion:
        """The request in tokens, or why it cannot be asked."""
        try:
            prompt = self._prompt(request)
        except jinja2.TemplateError as error:
            return Completion(error=f"the chat template refuses the conversation: {_first_line(error)}")
        except (TypeError, UnicodeError) as error:  # half a surrogate pair
            return Completion(error=f"the conversation cannot be put into tokens: {_first_line(error)}")
        labels: list[list[int]] = [
            self._tokenizer(choice, add_special_tokens=False).input_ids for choice in request.sampling.choices
        ]
        if not all(labels):
            return Completion(error="a choice without any token cannot be scored")
        wanted = request.sampling.max_tokens or self._max_tokens
        needed = max(map(len, labels), default=1)
        room = max(wanted, needed) if self._context is None else self._context - len(prompt)
        if room < needed:
            return Completion(error=f"the prompt has {len(prompt)} tokens, the model's context is {self._context}")
        return _Job(index=index, request=request, prompt=prompt, max_tokens=min(wanted, room), labels=labels)

    def _prompt(self, request: Request) -> list[int]:
        if self._chat_template == "none":
            ids: list[int] = self._tokenizer("\n\n".join(message.content for message in request.messages)).input_ids
            return ids
        text = self._tokenizer.apply_chat_template(
            [{"role": message.role, "content": message.content} for message in request.messages],
            chat_template=self._chat_template,
            add_generation_prompt=True,
            tokenize=False,
        )
        # The template has written the special tokens: the tokenizer would begin the prompt with a second one.
        templated: list[int] = self._tokenizer(text, add_special_tokens=False).input_ids
        return templated

    def _next_batch(self, waiting: Sequence[_Job]) -> list[_Job]:
        """The oldest waiting job and those nearest to it in length, so none starves and little is padding."""
        oldest = min(waiting, key=lambda job: job.index)
        alike = [job for job in waiting if bool(job.labels) == bool(oldest.labels)]
        batch = [oldest]
        for job in sorted(alike, key=lambda job: (abs(len(job.prompt) - len(oldest.prompt)), job.index)):
            rows, columns = _shape([*batch, job])
            # A finished row runs on until the longest reply ends, and a position beyond the context may not exist.
            fits = self._context is None or columns <= self._context
            if job is not oldest and fits and rows <= self._batch_size and rows * columns <= self._batch_tokens:
                batch.append(job)
        return batch

    def _answer(self, batch: list[_Job]) -> Iterator[tuple[int, Completion]]:
        """The batch's completions; in halves, down to single requests, if the device's memory is too small for it."""
        try:
            completions = self._score_choices(batch) if batch[0].labels else self._generate(batch)
        except Exception as error:
            if not _is_out_of_memory(error):
                raise ModelError(f"{self.name} failed on {self._device}: {_first_line(error)}.") from error
            completions = None
        # Out of the handler: the exception's frames hold the tensors that did not fit.
        if completions is not None:
            yield from zip((job.index for job in batch), completions, strict=True)
            return
        gc.collect()
        if self._torch.cuda.is_available():
            self._torch.cuda.empty_cache()
        rows, columns = _shape(batch)
        if len(batch) == 1:
            yield batch[0].index, Completion(error=f"out of memory on {self._device} with up to {columns} tokens")
            return
        self.retries["out of memory"] += 1
        self._batch_tokens = min(self._batch_tokens, rows * columns // 2)
        yield from self._answer(batch[: len(batch) // 2])
        yield from self._answer(batch[len(batch) // 2 :])

    def _padded(self, rows: Sequence[Sequence[int]]) -> tuple[Any, Any]:
        """Token ids and attention mask, ``(n_rows, longest)``, padded on the left."""
        longest = max(map(len, rows))
        ids = [[self._pad] * (longest - len(row)) + list(row) for row in rows]
        mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
        return tuple(self._torch.tensor(table, device=self._device) for table in (ids, mask))

    def _generate(self, batch: Sequence[_Job]) -> list[Completion]:
        ids, mask = self._padded([job.prompt for job in batch])
        decoder = _Decoder(self._torch, self._tokenizer, self._ends, self._pad, batch, ids.shape[1])
        with self._torch.inference_mode():
            tokens = self._model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=max(job.max_tokens for job in batch),
                logits_processor=[decoder],
            )
        replies = tokens[:, ids.shape[1] :].tolist()
        return [
            self._completion(job, reply[:length], alternatives)
            for job, reply, length, alternatives in zip(
                batch, replies, decoder.lengths, decoder.alternatives, strict=True
            )
        ]

    def _completion(self, job: _Job, reply: list[int], alternatives: list[tuple[list[int], list[float]]]) -> Completion:
        sampling = job.request.sampling
        ended = bool(reply) and reply[-1] in self._ends
        spoken = reply[:-1] if ended else reply
        text = self._decode(spoken)
        cut = _earliest(text, sampling.stop)
        if cut is not None:
            text, ended = text[:cut], True
        top_logprobs: tuple[tuple[TokenLogprob, ...], ...] | None = None
        if sampling.top_logprobs:
            top_logprobs = tuple(
                tuple((self._token_text(token), value) for token, value in zip(*position, strict=True))
                for position in alternatives[: len(spoken)]
            )
        return Completion(
            text=text,
            finish_reason="stop" if ended else "length",
            usage=Usage(prompt_tokens=len(job.prompt), completion_tokens=len(reply)),
            top_logprobs=top_logprobs,
            model=self.name,
        )

    def _score_choices(self, batch: Sequence[_Job]) -> list[Completion]:
        """Log-likelihood of each label right after the generation prompt; nothing is generated.

        One row per beginning (a label without its last token), so labels of one token share a single row.
        """
        places = [(number, beginning) for number, job in enumerate(batch) for beginning in job.rows]
        ids, mask = self._padded([[*batch[number].prompt, *beginning] for number, beginning in places])
        keep = 1 + max(len(beginning) for _, beginning in places)
        arguments = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
        if "position_ids" in self._forward_arguments:
            arguments["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)
        if "logits_to_keep" in self._forward_arguments:
            arguments["logits_to_keep"] = keep
        with self._torch.inference_mode():
            logprobs = self._model(**arguments).logits[:, -keep:].float().log_softmax(-1)
        row_of = {place: row for row, place in enumerate(places)}
        completions = []
        for number, job in enumerate(batch):
            scored: list[TokenLogprob] = []
            for choice, label in zip(job.request.sampling.choices, job.labels, strict=True):
                row = row_of[number, tuple(label[:-1])]
                # The last positions of the row, one for each of the label's tokens.
                values = logprobs[row, -len(label) :].gather(
                    -1, self._torch.tensor(label, device=self._device)[:, None]
                )
                scored.append((choice, float(values.sum())))
            scored.sort(key=lambda pair: -pair[1])
            completions.append(
                Completion(
                    text=scored[0][0],
                    finish_reason="stop",
                    usage=Usage(prompt_tokens=len(job.prompt)),
                    top_logprobs=(tuple(scored),),
                    model=self.name,
                )
            )
        return completions

    def _decode(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _token_text(self, token: int) -> str:
        if token not in self._token_texts:
            self._token_texts[token] = self._tokenizer.decode([token], clean_up_tokenization_spaces=False)
        return self._token_texts[token]


class _Decoder:
    """Decides each row's next token, as a logits processor of ``generate``.

    Rows that sample get their one drawn token; rows that have reached a stop string or their own limit get the end
    token. The draw inverts the cumulative distribution at uniform numbers seeded by the request, so it is the same in
    any batch.
    """

    def __init__(
        self, torch: Any, tokenizer: Any, ends: frozenset[int], pad: int, batch: Sequence[_Job], prompt_width: int
    ) -> None:
        self._torch, self._tokenizer = torch, tokenizer
        self._ends, self._end = ends, min(ends, default=pad)
        self._batch, self._prompt_width = batch, prompt_width
        self._finished = [False] * len(batch)
        self.lengths = [job.max_tokens for job in batch]
        """How many of a row's tokens are its reply; what follows is padding."""
        self._sampling = [row for row, job in enumerate(batch) if job.request.sampling.temperature]
        self._uniforms = {
            row: np.random.default_rng(int(canonical_hash(batch[row].request)[7:39], 16)) for row in self._sampling
        }
        self._top = max(job.request.sampling.top_logprobs for job in batch)
        self.alternatives: list[list[tuple[list[int], list[float]]]] = [[] for _ in batch]
        """Per row and step: token ids and their log-probabilities, most likely first."""

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        self._mark_finished(input_ids)
        if self._top:
            self._record(scores)
        drawn = self._draw(scores)
        drawn.update({row: self._end for row, finished in enumerate(self._finished) if finished})
        if drawn:
            scores = scores.clone()
            scores[list(drawn)] = -float("inf")
            scores[list(drawn), list(drawn.values())] = 0.0
        return scores

    def _mark_finished(self, input_ids: Any) -> None:
        length = input_ids.shape[1] - self._prompt_width
        if length == 0:
            return
        last = input_ids[:, -1].tolist()
        for row, job in enumerate(self._batch):
            if self._finished[row]:
                continue
            finished = last[row] in self._ends or length >= job.max_tokens
            stop = job.request.sampling.stop
            if stop and not finished:
                # A stop string that ends in the newest token spans no more tokens than it has bytes.
                reach = min(length, 1 + max(len(text.encode()) for text in stop))
                tail = self._tokenizer.decode(input_ids[row, -reach:].tolist(), clean_up_tokenization_spaces=False)
                finished = _earliest(tail, stop) is not None
            if finished:
                self._finished[row], self.lengths[row] = True, length

    def _record(self, scores: Any) -> None:
        values, tokens = scores.float().log_softmax(-1).topk(min(self._top, scores.shape[-1]))
        for row, (job, row_tokens, row_values) in enumerate(
            zip(self._batch, tokens.tolist(), values.tolist(), strict=True)
        ):
            wanted = job.request.sampling.top_logprobs
            if wanted and not self._finished[row]:
                self.alternatives[row].append((row_tokens[:wanted], row_values[:wanted]))

    def _draw(self, scores: Any) -> dict[int, int]:
        """Sampled tokens by row: temperature first, then the smallest set of tokens whose mass reaches top-p."""
        rows = [row for row in self._sampling if not self._finished[row]]
        if not rows:
            return {}
        settings = [self._batch[row].request.sampling for row in rows]
        column = {"device": scores.device, "dtype": self._torch.float32}
        temperature = self._torch.tensor([[setting.temperature] for setting in settings], **column)
        top_p = self._torch.tensor(
            [[1.0 if setting.top_p is None else setting.top_p] for setting in settings], **column
        )
        uniform = self._torch.tensor([[self._uniforms[row].random()] for row in rows], **column)
        shares, order = (scores[rows].float() / temperature).softmax(-1).sort(dim=-1, descending=True, stable=True)
        below = shares.cumsum(-1)
        kept = below - shares < top_p
        kept[:, 0] = True
        mass = (shares * kept).sum(-1, keepdim=True)
        last_kept = kept.sum(-1, keepdim=True) - 1
        place = self._torch.minimum((below <= uniform * mass).sum(-1, keepdim=True), last_kept)
        return dict(zip(rows, order.gather(-1, place)[:, 0].tolist(), strict=True))


def _earliest(text: str, stop: Sequence[str]) -> int | None:
    """Where the first stop string begins."""
    return min((place for place in (text.find(one) for one in stop) if place >= 0), default=None)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return any(sign in text for sign in ("out of memory", "can't allocate memory", "not enough memory"))


def _choose_device(torch: Any, device: str | None) -> str:
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device is None:
        return next(kind for kind, present in here.items() if present)
    if not here.get(device.partition(":")[0], False):
        present_kinds = ", ".join(kind for kind, present in here.items() if present)
        raise UsageError(
            f"device is {device!r}, which this machine or this build of torch lacks; it has {present_kinds}."
        )
    return device


def _local_folder(path_or_id: str | Path) -> Path | None:
    """The folder meant, or ``None`` for an id of the hub. A path that is not there is no id but a mistake."""
    path = Path(path_or_id).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise UsageError(f"The folder {path} is no checkpoint: it holds no config.json. Give the folder that does.")
        return path
    text = str(path_or_id)
    if isinstance(path_or_id, Path) or path.is_file() or text.startswith((".", "~", "/")) or text.count("/") > 1:
        raise UsageError(
            f"There is no checkpoint folder {text}. Give a folder with config.json, weights and tokenizer, or the id "
            "of a model on the hub such as org/name."
        )
    return None


def _context_tokens(config: Any, tokenizer: Any) -> int | None:
    """Positions the model was made for; ``None`` if neither the config nor the tokenizer says."""
    text_config: Mapping[str, Any] = config.get_text_config().to_dict()
    for key in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        if isinstance(text_config.get(key), int):
            return int(text_config[key])
    # Tokenizers without a limit carry a number of about 1e30.
    return int(tokenizer.model_max_length) if tokenizer.model_max_length < 2**31 else None


def _end_tokens(generation_config: Any, tokenizer: Any) -> frozenset[int]:
    """All tokens that end a reply: chat models name several in their generation config."""
    named = generation_config.eos_token_id
    several = named if isinstance(named, list) else [named]
    return frozenset(token for token in (*several, tokenizer.eos_token_id) if token is not None)
