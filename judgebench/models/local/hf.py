"""Checkpoints answered in this process by transformers: candidates, and judges that may only choose among labels.

Here: weights on a device, which requests share a batch, what happens when memory is short, and the likelihoods of
labels. How a batch runs is in ``rolling_batch``, how a token is chosen in ``decoding``.

torch and transformers are imported when a model is opened, not when this module is.
"""

import gc
import importlib
import inspect
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from judgebench.errors import ModelError, UsageError
from judgebench.models.feed import Feed
from judgebench.models.local.checkpoints import (
    DTYPES,
    Checkpoint,
    Job,
    cannot_be_opened,
    first_line,
    import_transformers,
    locate,
)
from judgebench.models.local.decoding import BatchRow, Chooser, padded
from judgebench.models.local.rolling_batch import PaddedBatch, RollingBatch, can_roll
from judgebench.records import Completion, Request
from judgebench.thinking import AUTO, Thinking

T = TypeVar("T")

_WINDOW_BATCHES = 4
_JOIN_SHARE = 8
"""Newcomers wait until one in so many places of a batch is free."""
_GATHER_SECONDS = 0.02
"""A batch costs seconds, the requests that could share it often come microseconds apart: worth one short wait."""


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
        lora: str | None = None,
        batch_size: int | None = None,
        batch_tokens: int = 65536,
        max_tokens: int = 2048,
        chat_template: str | None = None,
        thinking: Thinking = AUTO,
        trust_remote_code: bool = False,
    ) -> None:
        """Open the checkpoint: everything but its weights, which are loaded by the first request that needs them.

        ``path_or_id``: a folder, or the id of a model on the hub. ``dtype``: one of :data:`DTYPES`; ``auto`` is the
        checkpoint's own on an accelerator and float32 on a CPU. ``device``: the first of cuda, mps and cpu if not
        given. ``lora``: folder of an adapter; its arithmetic is done beside the weights and not merged into them, where
        half precision would round it away. ``batch_size``: rows at once, 16 if not given, 64 with cuda, which reads its
        weights once for all of them. ``batch_tokens`` bounds prompts and replies of a batch together, padding
        included. ``max_tokens`` holds for requests that set none. ``chat_template`` and ``thinking`` are those of
        :class:`ChatPrompts`.
        """
        place = locate(path_or_id, lora=lora, revision=revision)
        self._torch, self._transformers = import_transformers()
        self.retries: Counter[str] = Counter()
        if min(1 if batch_size is None else batch_size, batch_tokens, max_tokens) < 1:
            raise UsageError("batch_size, batch_tokens and max_tokens must be 1 or more.")
        if dtype not in DTYPES:
            raise UsageError(f"dtype is {dtype!r}; it must be one of {', '.join(DTYPES)}.")
        self._device = _choose_device(self._torch, device)
        self._batch_size = batch_size or (64 if self._device.startswith("cuda") else 16)
        self._batch_tokens = batch_tokens
        self._checkpoint = Checkpoint(
            place,
            name=name,
            revision=revision,
            max_tokens=max_tokens,
            chat_template=chat_template,
            thinking=thinking,
            trust_remote_code=trust_remote_code,
        )
        self._checkpoint.check_weights()
        self._peft = _import_peft() if self._checkpoint.adapter else None
        self.name = self._checkpoint.name
        self._tokenizer, self._context = self._checkpoint.tokenizer, self._checkpoint.context
        self._ends = self._checkpoint.ends
        self._dtype = dtype if dtype != "auto" else "float32" if self._device == "cpu" else self._checkpoint.own_dtype
        self.identity = f"hf:{self._checkpoint.digest} dtype={self._dtype}{self._checkpoint.prompts.identity}"
        self._model: Any = None

    def load(self) -> None:
        """Put the weights on the device, if they are not there. Raises :class:`ModelError`."""
        if self._model is not None:
            return
        try:
            model, loading = self._transformers.AutoModelForCausalLM.from_pretrained(
                self._checkpoint.source, dtype=self._dtype, output_loading_info=True, **self._checkpoint.options
            )
        except Exception as error:
            raise cannot_be_opened(self._checkpoint.source, error) from error
        missing = sorted(loading["missing_keys"])
        if missing:  # transformers would fill them with random numbers and only warn
            raise ModelError(
                f"{self._checkpoint.source} lacks {len(missing)} weights that its config.json asks for, such as "
                f"{missing[0]}. The checkpoint is incomplete or of another architecture."
            )
        if self._peft is not None and self._checkpoint.adapter is not None:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # between its version and that of transformers, of their futures
                    adapted = self._peft.PeftModel.from_pretrained(model, str(self._checkpoint.adapter.folder))
            except Exception as error:
                raise ModelError(
                    f"The adapter {self._checkpoint.adapter.folder} cannot be put onto {self._checkpoint.source}: "
                    f"{first_line(error)}. Was it trained on another base?"
                ) from error
            model = adapted.get_base_model()
        self._pad = next((i for i in (self._tokenizer.pad_token_id, *sorted(self._ends)) if i is not None), 0)
        # Whatever the checkpoint says on penalties, beams or lengths: how a reply is drawn lies in the request.
        model.generation_config = self._transformers.GenerationConfig(
            do_sample=False, pad_token_id=self._pad, eos_token_id=sorted(self._ends) or None
        )
        self._forward_arguments = inspect.signature(model.forward).parameters
        self._rolls = can_roll(self._transformers, model)
        try:
            self._model = model.to(self._device).eval()
        except (RuntimeError, AssertionError) as error:
            raise ModelError(
                f"{self._checkpoint.source} does not fit on or work with {self._device}: {first_line(error)}."
            ) from error

    def render(self, request: Request) -> str | None:
        """As :meth:`Checkpoint.render`."""
        return self._checkpoint.render(request)

    def check(self, requests: Sequence[Request]) -> None:
        """As :meth:`ChatPrompts.check`."""
        self._checkpoint.prompts.check(requests)

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
        """Yield ``(index, completion)`` as each reply ends; requests join as others leave, those alike in length first.

        Within one machine and dtype a reply depends on its request only. (Numerics of unlike batches differ in the
        last bit, which can turn a tie between two tokens; in half precision such ties are common.)
        """
        window = _WINDOW_BATCHES * self._batch_size
        feed = Feed(requests, ahead=window)
        waiting: list[BatchRow] = []
        labelled: list[Job] = []
        batch: RollingBatch | PaddedBatch | None = None
        try:
            while True:
                idle = not (waiting or labelled or (batch and batch.live))
                if idle and feed.ended:
                    return
                for index, request in self._arrivals(feed, window - len(waiting) - len(labelled), idle=idle):
                    prepared = self._checkpoint.prepare(index, request)
                    if isinstance(prepared, Completion):
                        yield index, prepared
                    elif prepared.labels:
                        labelled.append(prepared)
                    else:
                        waiting.append(BatchRow(prepared))
                if labelled:
                    self.load()
                    scored = self._next_labelled(labelled)
                    labelled = _without(labelled, scored)
                    yield from self._answer_labelled(scored)
                if waiting or (batch and batch.live):
                    self.load()
                    batch = batch or self._new_batch()
                    newcomers = self._newcomers(waiting, batch.live)
                    waiting = _without(waiting, newcomers)
                    rows = [*batch.live, *newcomers]
                    if not self._advance(batch, newcomers):
                        batch = None
                        waiting += self._fewer(rows)
                    yield from ((row.job.index, self._completion(row)) for row in rows if row.finished)
        finally:
            feed.close()

    def close(self) -> None:
        """Free the weights and the device's memory; another request would load them again."""
        self._model = None
        self._free_cached()

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

    def _new_batch(self) -> RollingBatch | PaddedBatch:
        chooser = Chooser(self._torch, self._tokenizer, self._ends)
        if self._rolls:
            return RollingBatch(self._torch, self._transformers, self._model, chooser, self._pad)
        return PaddedBatch(self._torch, self._model, chooser, self._pad, min(self._ends, default=self._pad))

    def _newcomers(self, waiting: Sequence[BatchRow], live: Sequence[BatchRow]) -> list[BatchRow]:
        """Who joins the batch now: the oldest, so that none starves, and those nearest to it in length."""
        free = self._batch_size - len(live)
        # One by one would be as many passes over prompts and copies of the cache as there are requests.
        if not waiting or (live and free * _JOIN_SHARE < self._batch_size):
            return []
        oldest = min(waiting, key=lambda row: row.job.index)
        widest = max((row.most_tokens for row in live), default=0)
        longest_prompt = longest_reply = 0
        newcomers: list[BatchRow] = []
        for row in sorted(waiting, key=lambda row: (row is not oldest, _distance(row, oldest), row.job.index))[:free]:
            widest = max(widest, row.most_tokens)
            longest_prompt = max(longest_prompt, len(row.tokens))
            longest_reply = max(longest_reply, row.most_tokens - len(row.tokens))
            count = len(live) + len(newcomers) + 1
            # Where rows wait for each other, a finished one runs on: a position beyond the context may not exist.
            fits = self._rolls or self._context is None or longest_prompt + longest_reply <= self._context
            if count > 1 and (count * widest > self._batch_tokens or not fits):
                break
            newcomers.append(row)
        return newcomers

    def _advance(self, batch: RollingBatch | PaddedBatch, newcomers: Sequence[BatchRow]) -> bool:
        """One step of the batch, or its newcomers' first; false if the device's memory is too small for it."""
        try:
            if newcomers:
                batch.admit(newcomers)
            else:
                batch.step()
        except Exception as error:
            if not _is_out_of_memory(error):
                raise self._failed(error) from error
            return False
        return True

    def _fewer(self, rows: Sequence[BatchRow]) -> list[BatchRow]:
        """The rows to go on with, in smaller batches, after memory was too small for all of them."""
        self._free_cached()
        going = [row for row in rows if not row.finished]
        if len(rows) > 1:
            self._shrink(len(rows), max(row.most_tokens for row in rows))
            return going
        for row in going:
            row.failure = self._too_large(row.most_tokens)
            row.finished = True
        return []

    def _completion(self, row: BatchRow) -> Completion:
        if row.failure is not None:
            return Completion(error=row.failure)
        return self._checkpoint.completion(row.job, row.reply, row.alternatives)

    def _next_labelled(self, waiting: Sequence[Job]) -> list[Job]:
        """The oldest job and those nearest to it in length, as many as a batch may hold."""
        oldest = min(waiting, key=lambda job: job.index)
        batch = [oldest]
        for job in sorted(waiting, key=lambda job: (abs(len(job.prompt) - len(oldest.prompt)), job.index)):
            rows, columns = _shape([*batch, job])
            if job is not oldest and rows <= self._batch_size and rows * columns <= self._batch_tokens:
                batch.append(job)
        return batch

    def _answer_labelled(self, batch: list[Job]) -> Iterator[tuple[int, Completion]]:
        """The batch's completions; in halves, down to single requests, if the device's memory is too small for it."""
        try:
            completions = self._score_choices(batch)
        except Exception as error:
            if not _is_out_of_memory(error):
                raise self._failed(error) from error
            completions = None
        # Out of the handler: the exception's frames hold the tensors that did not fit.
        if completions is not None:
            yield from zip((job.index for job in batch), completions, strict=True)
            return
        self._free_cached()
        rows, columns = _shape(batch)
        if len(batch) == 1:
            yield batch[0].index, Completion(error=self._too_large(columns))
            return
        self._shrink(rows, columns)
        yield from self._answer_labelled(batch[: len(batch) // 2])
        yield from self._answer_labelled(batch[len(batch) // 2 :])

    def _failed(self, error: Exception) -> ModelError:
        return ModelError(f"{self.name} failed on {self._device}: {first_line(error)}.")

    def _shrink(self, rows: int, columns: int) -> None:
        self.retries["out of memory"] += 1
        self._batch_tokens = min(self._batch_tokens, rows * columns // 2)

    def _too_large(self, columns: int) -> str:
        return f"out of memory on {self._device} with up to {columns} tokens"

    def _free_cached(self) -> None:
        gc.collect()
        if self._torch.cuda.is_available():
            self._torch.cuda.empty_cache()

    def _score_choices(self, batch: Sequence[Job]) -> list[Completion]:
        """Log-likelihood of each label right after the generation prompt; nothing is generated.

        One row per beginning (a label without its last token), so labels of one token share a single row.
        """
        places = [(number, beginning) for number, job in enumerate(batch) for beginning in job.rows]
        rows = [[*batch[number].prompt, *beginning] for number, beginning in places]
        ids, mask = padded(self._torch, rows, self._pad, self._device)
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
            values = []
            for label in job.labels:
                # The last positions of the row, one for each of the label's tokens.
                places_of_label = logprobs[row_of[number, tuple(label[:-1])], -len(label) :]
                of_tokens = places_of_label.gather(-1, self._torch.tensor(label, device=self._device)[:, None])
                values.append(float(of_tokens.sum()))
            completions.append(self._checkpoint.scored(job, values))
        return completions


def _without(items: Sequence[T], taken: Sequence[T]) -> list[T]:
    gone = {id(item) for item in taken}
    return [item for item in items if id(item) not in gone]


def _distance(row: BatchRow, other: BatchRow) -> int:
    return abs(len(row.tokens) - len(other.tokens))


def _shape(batch: Sequence[Job]) -> tuple[int, int]:
    """Rows and columns of the table of tokens that scores the labels of some jobs."""
    columns = max(len(job.prompt) for job in batch) + max(job.reply_tokens for job in batch)
    return sum(len(job.rows) for job in batch), columns


def _import_peft() -> Any:
    try:
        return importlib.import_module("peft")
    except ImportError as error:
        raise UsageError(
            f"An adapter is to be put onto the model, which needs peft, and that cannot be imported ({error}). "
            "Install it with: pip install 'judgebench[local]'"
        ) from error


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
