"""Checkpoints answered in this process by transformers: candidates, and judges that may only choose among labels.

Batches are padded on the left and bounded by requests and tokens. Decoding runs through ``generate``, but which token
comes next and when a reply ends is decided row by row (:class:`_Decoder`): one batch can hold requests of unlike
sampling, and a request's draws depend on the request alone, never on its neighbours.

torch and transformers are imported when a model is opened, not when this module is.
"""

import gc
import inspect
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from judgebench.codec import canonical_hash
from judgebench.errors import ModelError, UsageError
from judgebench.models.checkpoints import DTYPES, Checkpoint, Job, earliest, first_line, import_transformers
from judgebench.models.feed import Feed
from judgebench.records import Completion, Request

_WINDOW_BATCHES = 4
_GATHER_SECONDS = 0.02
"""A batch costs seconds, the requests that could share it often come microseconds apart: worth one short wait."""


def _shape(batch: Sequence[Job]) -> tuple[int, int]:
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
        thinking: str = "auto",
        trust_remote_code: bool = False,
    ) -> None:
        """Open the checkpoint: everything but its weights, which are loaded by the first request that needs them.

        ``path_or_id``: a folder, or the id of a model on the hub. ``dtype``: one of :data:`DTYPES`; ``auto`` is the
        checkpoint's own on an accelerator and float32 on a CPU. ``device``: the first of cuda, mps and cpu if not
        given. ``batch_tokens`` bounds prompts and replies of a batch together, padding included. ``max_tokens`` holds
        for requests that set none. ``chat_template`` and ``thinking`` are those of :class:`ChatPrompts`.
        """
        self._torch, self._transformers = import_transformers()
        self.retries: Counter[str] = Counter()
        self._batch_size, self._batch_tokens = batch_size, batch_tokens
        if min(batch_size, batch_tokens, max_tokens) < 1:
            raise UsageError("batch_size, batch_tokens and max_tokens must be 1 or more.")
        if dtype not in DTYPES:
            raise UsageError(f"dtype is {dtype!r}; it must be one of {', '.join(DTYPES)}.")
        self._device = _choose_device(self._torch, device)
        self._checkpoint = Checkpoint(
            path_or_id,
            name=name,
            revision=revision,
            max_tokens=max_tokens,
            chat_template=chat_template,
            thinking=thinking,
            trust_remote_code=trust_remote_code,
        )
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
            raise self._checkpoint.cannot_be_opened(error) from error
        missing = sorted(loading["missing_keys"])
        if missing:  # transformers would fill them with random numbers and only warn
            raise ModelError(
                f"{self._checkpoint.source} lacks {len(missing)} weights that its config.json asks for, such as "
                f"{missing[0]}. The checkpoint is incomplete or of another architecture."
            )
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
                f"{self._checkpoint.source} does not fit on or work with {self._device}: {first_line(error)}."
            ) from error

    def render(self, request: Request) -> str | None:
        """As :meth:`Checkpoint.render`."""
        return self._checkpoint.render(request)

    def check(self, requests: Sequence[Request]) -> None:
        """As :meth:`ChatPrompts.check`."""
        self._checkpoint.prompts.check(requests)

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
        """Yield ``(index, completion)`` batch by batch; requests that have come by then share one if alike in length.

        Within one machine and dtype a reply depends on its request only. (Numerics of unlike batches differ in the
        last bit, which can turn a tie between two tokens; in half precision such ties are common.)
        """
        window = _WINDOW_BATCHES * self._batch_size
        feed = Feed(requests, ahead=window)
        waiting: list[Job] = []
        try:
            while waiting or not feed.ended:
                for index, request in self._arrivals(feed, window - len(waiting), idle=not waiting):
                    prepared = self._checkpoint.prepare(index, request)
                    if isinstance(prepared, Job):
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

    def _next_batch(self, waiting: Sequence[Job]) -> list[Job]:
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

    def _answer(self, batch: list[Job]) -> Iterator[tuple[int, Completion]]:
        """The batch's completions; in halves, down to single requests, if the device's memory is too small for it."""
        try:
            completions = self._score_choices(batch) if batch[0].labels else self._generate(batch)
        except Exception as error:
            if not _is_out_of_memory(error):
                raise ModelError(f"{self.name} failed on {self._device}: {first_line(error)}.") from error
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

    def _generate(self, batch: Sequence[Job]) -> list[Completion]:
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
            self._checkpoint.completion(job, reply[:length], alternatives)
            for job, reply, length, alternatives in zip(
                batch, replies, decoder.lengths, decoder.alternatives, strict=True
            )
        ]

    def _score_choices(self, batch: Sequence[Job]) -> list[Completion]:
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
            values = []
            for label in job.labels:
                # The last positions of the row, one for each of the label's tokens.
                places_of_label = logprobs[row_of[number, tuple(label[:-1])], -len(label) :]
                of_tokens = places_of_label.gather(-1, self._torch.tensor(label, device=self._device)[:, None])
                values.append(float(of_tokens.sum()))
            completions.append(self._checkpoint.scored(job, values))
        return completions


class _Decoder:
    """Decides each row's next token, as a logits processor of ``generate``.

    Rows that sample get their one drawn token; rows that have reached a stop string or their own limit get the end
    token. The draw inverts the cumulative distribution at uniform numbers seeded by the request, so it is the same in
    any batch.
    """

    def __init__(
        self, torch: Any, tokenizer: Any, ends: frozenset[int], pad: int, batch: Sequence[Job], prompt_width: int
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
        self.alternatives: list[list[list[tuple[int, float]]]] = [[] for _ in batch]
        """Per row and step: token ids with their log-probabilities, most likely first."""

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
                finished = earliest(tail, stop) is not None
            if finished:
                self._finished[row], self.lengths[row] = True, length

    def _record(self, scores: Any) -> None:
        values, tokens = scores.float().log_softmax(-1).topk(min(self._top, scores.shape[-1]))
        for row, (job, row_tokens, row_values) in enumerate(
            zip(self._batch, tokens.tolist(), values.tolist(), strict=True)
        ):
            wanted = job.request.sampling.top_logprobs
            if wanted and not self._finished[row]:
                self.alternatives[row].append(list(zip(row_tokens[:wanted], row_values[:wanted], strict=True)))

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
