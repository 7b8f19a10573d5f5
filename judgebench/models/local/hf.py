"""Checkpoints run in this process by transformers: candidates, and judges that may only choose among labels.

This module puts weights on a device, decides which requests share a batch, handles lack of memory, and scores labels.
How a batch runs is in ``rolling_batch``, how a token is chosen in ``decoding``, checkpoints in ``checkpoints``.

torch and transformers are imported when a model is opened, not when this module is.
"""

import gc
import inspect
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, Unpack

from judgebench.activity import doing
from judgebench.errors import ModelError, UsageError, first_line
from judgebench.models import Gauge
from judgebench.models.extras import import_extra
from judgebench.models.feed import Feed
from judgebench.models.local.checkpoints import (
    Checkpoint,
    CheckpointOptions,
    Job,
    LocalModel,
    cannot_be_opened,
    import_transformers,
    locate,
)
from judgebench.models.local.decoding import BatchRow, Chooser, padded
from judgebench.models.local.rolling_batch import PaddedBatch, RollingBatch, can_roll
from judgebench.records import Completion, Request

T = TypeVar("T")

_WINDOW_BATCHES = 4
_JOIN_SHARE = 8
"""New rows wait until one in so many places of a batch is free."""
_MOST_LOGITS = 2**28
"""Logits in memory at once where long texts are scored: a gigabyte, and as much again for their log-probabilities."""
GATHER_SECONDS = 0.02
"""A batch takes seconds, and requests that could share it often come microseconds apart, so one short wait pays."""


class HfModel(LocalModel):
    """A causal language model of transformers behind the ``Model`` protocol.

    A ``temperature`` of ``None`` or 0 is greedy: a checkpoint's own sampling defaults are ignored, so that nothing is
    random unless the request says so. Log-probabilities are the model's, before temperature and top-p.
    """

    def __init__(
        self,
        path_or_id: str | Path,
        *,
        revision: str | None = None,
        dtype: str = "auto",
        device: str | None = None,
        lora: str | None = None,
        batch_size: int | None = None,
        batch_tokens: int = 65536,
        **options: Unpack[CheckpointOptions],
    ) -> None:
        """Open the checkpoint, except its weights, which the first request that needs them loads.

        ``path_or_id``: a folder, or the id of a model on the hub. ``dtype``: one of :data:`DTYPES`; ``auto`` is the
        checkpoint's own on an accelerator and float32 on a CPU. ``device``: the first of cuda, mps and cpu if not
        given. ``lora``: folder of an adapter; its arithmetic is done beside the weights and not merged into them, where
        half precision would round it away. ``batch_size``: rows at once, 16 if not given, 64 with cuda, which reads its
        weights once for all of them. ``batch_tokens`` bounds prompts and replies of a batch together, padding
        included.
        """
        place = locate(path_or_id, lora=lora, revision=revision)
        self._torch, self._transformers = import_transformers()
        if min(1 if batch_size is None else batch_size, batch_tokens) < 1:
            raise UsageError("batch_size and batch_tokens must be 1 or more.")
        self._device = choose_device(self._torch, device)
        self._batch_size = batch_size or (64 if self._device.startswith("cuda") else 16)
        self._batch_tokens = batch_tokens
        super().__init__(Checkpoint(place, **options))
        self._peft: Any = None
        if self._checkpoint.adapter:
            (self._peft,) = import_extra("A LoRA adapter", "local", "peft")
        self._tokenizer, self._context = self._checkpoint.tokenizer, self._checkpoint.context
        self._ends = self._checkpoint.ends
        self._dtype = self._checkpoint.settled_dtype(dtype, on_cpu=self._device == "cpu")
        self.identity = f"hf:{self._checkpoint.digest} dtype={self._dtype}{self._checkpoint.prompts.identity}"
        self._model: Any = None
        self._batch: RollingBatch | PaddedBatch | None = None
        """The batch in progress, of the latest ``complete``."""
        self._joining: Sequence[BatchRow] = ()
        """Rows whose prompts are being read."""
        self._scoring = 0
        """Requests whose labels are being scored."""

    def load(self) -> None:
        """Put the weights on the device if they are not there yet. Raises :class:`ModelError`."""
        if self._model is None:
            with doing(f"loading the weights of {self.name} onto {self._device}"):
                self._load()

    def _load(self) -> None:
        try:
            model, loading = self._transformers.AutoModelForCausalLM.from_pretrained(
                self._checkpoint.source, dtype=self._dtype, output_loading_info=True, **self._checkpoint.options
            )
        except Exception as error:
            raise cannot_be_opened(self._checkpoint.source, error) from error
        missing = sorted(loading["missing_keys"])
        if missing:  # transformers would only warn, and fill them with random numbers
            raise ModelError(
                f"{self._checkpoint.source} lacks {len(missing)} weights that its config.json names, such as "
                f"{missing[0]}. The checkpoint is incomplete or has another architecture."
            )
        if self._peft is not None and self._checkpoint.adapter is not None:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # peft and transformers warn of their own future versions
                    adapted = self._peft.PeftModel.from_pretrained(model, str(self._checkpoint.adapter.folder))
            except Exception as error:
                raise ModelError(
                    f"The adapter {self._checkpoint.adapter.folder} does not fit {self._checkpoint.source}: "
                    f"{first_line(error)}. Was it trained on another base model?"
                ) from error
            model = adapted.get_base_model()
        self._pad = next((i for i in (self._tokenizer.pad_token_id, *sorted(self._ends)) if i is not None), 0)
        # The request says how a reply is drawn, so ignore the checkpoint's penalties, beams and lengths.
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

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
        """Yield ``(index, completion)`` as each reply ends. New requests join as others leave, similar lengths first.

        On one machine and with one dtype, a reply depends only on its request. (Different batches differ in the last
        bit, which can turn a tie between two tokens; in half precision such ties are common.)
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
                for index, request in gathered(
                    feed, window - len(waiting) - len(labelled), self._batch_size, idle=idle
                ):
                    prepared = self._checkpoint.prepare(index, request)
                    if isinstance(prepared, Completion):
                        yield index, prepared
                    elif prepared.labels:
                        labelled.append(prepared)
                    else:
                        waiting.append(BatchRow(prepared))
                if labelled:
                    self.load()
                    jobs = self._next_labelled(labelled)
                    scored: list[Completion] = []
                    self._scoring = len(jobs)
                    if not self._fits(self._score_choices, jobs, scored):
                        scored = self._fewer_labelled(jobs)
                    self._scoring = 0
                    answered = jobs[: len(scored)]
                    labelled = _without(labelled, answered)
                    yield from zip((job.index for job in answered), scored, strict=True)
                if waiting or (batch and batch.live):
                    self.load()
                    batch = self._batch = batch or self._new_batch()
                    newcomers = self._joining = self._newcomers(waiting, batch.live)
                    waiting = _without(waiting, newcomers)
                    rows = [*batch.live, *newcomers]
                    if not (self._fits(batch.admit, newcomers) if newcomers else self._fits(batch.step)):
                        batch = None
                        waiting += self._fewer(rows)
                    self._joining = ()
                    yield from ((row.job.index, self._completion(row)) for row in rows if row.finished)
        finally:
            feed.close()
            self._batch, self._joining = None, ()

    def gauge(self) -> Gauge:
        """The rows of the batch in progress and those that join it, and the tokens of their replies so far."""
        batch = self._batch
        rows = {id(row): row for row in (*(batch.live if batch else ()), *self._joining)}
        under_way = [row for row in rows.values() if not row.finished]
        return Gauge(
            rows=len(under_way) + self._scoring,
            tokens=sum(len(row.reply) for row in under_way),
            limit=sum(row.job.max_tokens for row in under_way),
        )

    def close(self) -> None:
        """Free the weights and the device's memory; a further request loads them again."""
        self._model = None
        self._free_cached()

    def _new_batch(self) -> RollingBatch | PaddedBatch:
        chooser = Chooser(self._torch, self._tokenizer, self._ends)
        if self._rolls:
            return RollingBatch(self._torch, self._transformers, self._model, chooser, self._pad)
        return PaddedBatch(self._torch, self._model, chooser, self._pad, min(self._ends, default=self._pad))

    def _newcomers(self, waiting: Sequence[BatchRow], live: Sequence[BatchRow]) -> list[BatchRow]:
        """The rows that join the batch now: the oldest, so that none starves, and those nearest to it in length."""
        free = self._batch_size - len(live)
        # One by one, each request would cost a pass over its prompt and a copy of the cache.
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
            # If rows wait for each other, finished ones run on, and positions beyond the context may not exist.
            fits = self._rolls or self._context is None or longest_prompt + longest_reply <= self._context
            if count > 1 and (count * widest > self._batch_tokens or not fits):
                break
            newcomers.append(row)
        return newcomers

    def _fits(self, work: Callable[..., None], *arguments: Any) -> bool:
        """Do the work; return false if the device's memory is too small for it."""
        try:
            work(*arguments)
        except Exception as error:
            if not is_out_of_memory(error):
                raise ModelError(f"{self.name} failed on {self._device}: {first_line(error)}.") from error
            return False
        return True

    def _fewer(self, rows: Sequence[BatchRow]) -> list[BatchRow]:
        """The rows that continue in smaller batches, after memory was too small for all of them."""
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

    def _fewer_labelled(self, jobs: Sequence[Job]) -> list[Completion]:
        """Make the next batches of labels smaller, after memory was too small. A job that was alone has failed."""
        self._free_cached()
        rows, columns = _shape(jobs)
        if len(jobs) == 1:
            return [Completion(error=self._too_large(columns))]
        self._shrink(rows, columns)
        return []

    def _shrink(self, rows: int, columns: int) -> None:
        self.retries["out of memory"] += 1
        self._batch_tokens = min(self._batch_tokens, rows * columns // 2)

    def _too_large(self, columns: int) -> str:
        return f"out of memory on {self._device} with up to {columns} tokens"

    def _free_cached(self) -> None:
        free_memory(self._torch)

    def _score_choices(self, batch: Sequence[Job], completions: list[Completion]) -> None:
        """Add to the completions the log-likelihood of each label, or continuation, right after its prompt.

        One row per beginning (a label without its last token), so labels of one token share a single row.
        """
        labels: dict[tuple[int, tuple[int, ...]], list[tuple[int, ...]]] = {}
        for number, job in enumerate(batch):
            for label in dict.fromkeys(map(tuple, job.labels)):
                labels.setdefault((number, label[:-1]), []).append(label)
        places = sorted(labels)
        sums: dict[tuple[int, tuple[int, ...]], float] = {}
        for some in self._portions(places, continues=bool(batch[0].request.sampling.continuations)):
            rows = [[*batch[number].prompt, *beginning] for number, beginning in some]
            logprobs = self._last_logprobs(rows, 1 + max(len(beginning) for _, beginning in some))
            scored = [(row, place[0], label) for row, place in enumerate(some) for label in labels[place]]
            found = [
                # The last positions of the row, one for each of the label's tokens.
                logprobs[row, -len(label) :].gather(-1, self._torch.tensor(label, device=self._device)[:, None]).sum()
                for row, _, label in scored
            ]
            values = self._torch.stack(found).tolist()
            sums |= {(number, label): value for (_, number, label), value in zip(scored, values, strict=True)}
        for number, job in enumerate(batch):
            completions.append(self._checkpoint.scored(job, [sums[number, tuple(label)] for label in job.labels]))

    def _portions(
        self, places: Sequence[tuple[int, tuple[int, ...]]], *, continues: bool
    ) -> Iterator[Sequence[tuple[int, tuple[int, ...]]]]:
        """The rows that are computed together: all of them, or as many as the logits of long texts leave room for."""
        most = len(places)
        if continues:
            longest = 1 + max(len(beginning) for _, beginning in places)
            vocabulary = self._checkpoint.config.get_text_config().vocab_size
            most = max(1, min(self._batch_size, _MOST_LOGITS // (longest * vocabulary)))
        return (places[start : start + most] for start in range(0, len(places), most))

    def _last_logprobs(self, rows: Sequence[Sequence[int]], keep: int) -> Any:
        """The log-probabilities of what follows each of the last ``keep`` tokens of each row."""
        ids, mask = padded(self._torch, rows, self._pad, self._device)
        arguments = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
        if "position_ids" in self._forward_arguments:
            arguments["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)
        if "logits_to_keep" in self._forward_arguments:
            arguments["logits_to_keep"] = keep
        with self._torch.inference_mode():
            return self._model(**arguments).logits[:, -keep:].float().log_softmax(-1)


def gathered(feed: Feed[Request], room: int, batch_size: int, *, idle: bool) -> list[tuple[int, Request]]:
    """New requests, at most ``room``; waits for one only when ``idle``, and then a moment for those that follow it."""
    arrived = feed.arrivals(room, idle=idle)
    if idle and len(arrived) < batch_size and not feed.ended:
        time.sleep(GATHER_SECONDS)
        arrived += feed.arrivals(room - len(arrived), idle=False)
    return arrived


def free_memory(torch: Any) -> None:
    """Give what nobody uses back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _without(items: Sequence[T], taken: Sequence[T]) -> list[T]:
    gone = {id(item) for item in taken}
    return [item for item in items if id(item) not in gone]


def _distance(row: BatchRow, other: BatchRow) -> int:
    return abs(len(row.tokens) - len(other.tokens))


def _shape(batch: Sequence[Job]) -> tuple[int, int]:
    """Rows and columns of the token table that scores the labels of some jobs."""
    columns = max(len(job.prompt) for job in batch) + max(job.reply_tokens for job in batch)
    return sum(len(job.rows) for job in batch), columns


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error of torch says that the device's memory is too small."""
    text = str(error).lower()
    return any(sign in text for sign in ("out of memory", "can't allocate memory", "not enough memory"))


def choose_device(torch: Any, device: str | None) -> str:
    """The device to compute on: the one given, else the first of cuda, mps and cpu. Raises :class:`UsageError`."""
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device is None:
        return next(kind for kind, present in here.items() if present)
    if not here.get(device.partition(":")[0], False):
        present_kinds = ", ".join(kind for kind, present in here.items() if present)
        raise UsageError(
            f"device is {device!r}, which this machine or this build of torch lacks; it has {present_kinds}."
        )
    return device
