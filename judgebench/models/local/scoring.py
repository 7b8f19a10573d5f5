"""Models that score answers and write nothing: which rows share a batch, and what happens if memory runs out.

What a row is and how a batch becomes numbers is the business of each kind: ``reward``, ``pair_ranker``,
``density_ratio``.
"""

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from judgebench.activity import doing
from judgebench.errors import JudgebenchError, ModelError, UsageError, first_line
from judgebench.models import Gauge
from judgebench.models.feed import Feed
from judgebench.models.local.chat_templates import Unaskable
from judgebench.models.local.checkpoints import NO_NUMBERS
from judgebench.models.local.hf import choose_device, free_memory, gathered, is_out_of_memory
from judgebench.records import Completion, Request, Usage

_WINDOW_BATCHES = 16
"""Rows are only numbers while they wait, and the more wait, the more alike in length are those of a batch."""

Numbers = Mapping[str, float]


@dataclass
class Row:
    """One line of a batch: what gets one set of numbers."""

    tokens: Sequence[Sequence[int]]
    """Token ids for each network that reads the row."""
    job: "Job"
    place: int
    """Which of the job's rows it is."""
    extra: Any = None
    """What else the kind of model keeps of it."""

    @property
    def length(self) -> int:
        """The most positions that the row takes in a network."""
        return max(map(len, self.tokens))


@dataclass
class Job:
    """A request under way."""

    index: int
    wanted: int
    found: dict[int, Numbers] = field(default_factory=dict)
    tokens: int = 0
    failure: str | None = None


class ScoringModel(ABC):
    """Scores the answers of requests behind the ``Model`` protocol, in batches of rows of like length."""

    local = True
    name: str
    identity: str

    def __init__(self, torch: Any, *, device: str | None, batch_size: int | None, batch_tokens: int) -> None:
        """``batch_size``: rows at once, 16 if not given, 64 with cuda. ``batch_tokens`` bounds rows times length."""
        if min(1 if batch_size is None else batch_size, batch_tokens) < 1:
            raise UsageError("batch_size and batch_tokens must be 1 or more.")
        self._torch = torch
        self._device = choose_device(torch, device)
        self._batch_size = batch_size or (64 if self._device.startswith("cuda") else 16)
        self._batch_tokens = batch_tokens
        self._under_way = 0
        self.retries: Counter[str] = Counter()

    @abstractmethod
    def rows(self, request: Request, job: Job) -> list[Row]:
        """The rows of a request. Raises :class:`Unaskable` if there can be none."""

    @abstractmethod
    def scored(self, rows: Sequence[Row]) -> list[Numbers]:
        """The numbers of each row of a batch."""

    @abstractmethod
    def load(self) -> None:
        """Put the weights on the device if they are not there yet. Raises :class:`ModelError`."""

    @abstractmethod
    def unload(self) -> None:
        """Forget the weights."""

    def cells(self, length: int) -> int:
        """What a row of this length counts against ``batch_tokens``."""
        return length

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
        """Yield ``(index, completion)`` as each request's rows are scored."""
        window = _WINDOW_BATCHES * self._batch_size
        feed = Feed(requests, ahead=window)
        waiting: list[Row] = []
        try:
            while True:
                idle = not waiting
                if idle and feed.ended:
                    return
                for index, request in gathered(feed, window - len(waiting), self._batch_size, idle=idle):
                    job = Job(index, 0)
                    try:
                        own = self.rows(request, job)
                    except Unaskable as error:
                        yield index, Completion(error=str(error))
                        continue
                    job.wanted, job.tokens = len(own), sum(len(tokens) for row in own for tokens in row.tokens)
                    waiting += own
                if waiting:
                    self.load()
                    batch = self._next_batch(waiting)
                    taken = {id(row) for row in batch}
                    if self._run(batch):
                        waiting = [row for row in waiting if id(row) not in taken]
                        yield from self._finished(batch)
        finally:
            self._under_way = 0
            feed.close()

    def gauge(self) -> Gauge:
        """The rows of the batch in progress; nothing is generated."""
        return Gauge(rows=self._under_way, tokens=0)

    def render(self, request: Request) -> str | None:
        """Nobody reads a prompt: there are several, or they are tokens only."""
        return None

    def check(self, requests: Sequence[Request]) -> None:
        """Raise :class:`UsageError` if none of the requests can be scored."""
        refusal = ""
        for request in requests:
            try:
                self.rows(request, Job(0, 0))
                return
            except Unaskable as error:
                refusal = str(error)
        if refusal:
            raise UsageError(f"{self.name} can score none of the {len(requests)} answers: {refusal.rstrip('.')}.")

    def close(self) -> None:
        """Free the weights and the device's memory; a further request loads them again."""
        self.unload()
        free_memory(self._torch)

    def _next_batch(self, waiting: Sequence[Row]) -> list[Row]:
        """The longest rows, as many as a batch may hold. Short ones wait until the window is full of them at most."""
        ordered = sorted(waiting, key=lambda row: -row.length)
        most = min(self._batch_size, self._batch_tokens // max(1, self.cells(ordered[0].length)))
        return ordered[: max(1, most)]

    def _run(self, batch: Sequence[Row]) -> bool:
        """Score a batch; return false if it must be tried again in smaller ones."""
        self._under_way = len(batch)
        try:
            with self._torch.inference_mode():
                for row, numbers in zip(batch, self.scored(batch), strict=True):
                    row.job.found[row.place] = numbers
        except JudgebenchError:
            raise
        except Exception as error:
            if not is_out_of_memory(error):
                raise ModelError(f"{self.name} failed on {self._device}: {first_line(error)}.") from error
            free_memory(self._torch)
            longest = max(row.length for row in batch)
            if len(batch) > 1:
                self.retries["out of memory"] += 1
                self._batch_tokens = max(1, len(batch) * self.cells(longest) // 2)
                return False
            batch[0].job.failure = f"out of memory on {self._device} with {longest} tokens"
            batch[0].job.found[batch[0].place] = {}
        finally:
            self._under_way = 0
        return True

    def _finished(self, batch: Sequence[Row]) -> Iterator[tuple[int, Completion]]:
        for job in {id(row.job): row.job for row in batch}.values():
            if len(job.found) == job.wanted:
                yield job.index, self._completion(job)

    def _completion(self, job: Job) -> Completion:
        numbers = [dict(job.found[place]) for place in range(job.wanted)]
        if job.failure is not None:
            return Completion(error=job.failure)
        if not all(math.isfinite(value) for found in numbers for value in found.values()):
            return Completion(error=NO_NUMBERS)
        return Completion(
            text="; ".join(", ".join(f"{name} {value:.6g}" for name, value in found.items()) for found in numbers),
            finish_reason="stop",
            usage=Usage(prompt_tokens=job.tokens),
            model=self.name,
            scores=tuple(numbers),
        )


def padded_right(torch: Any, rows: Sequence[Sequence[int]], pad: int, device: str) -> tuple[Any, Any]:
    """Token ids and attention mask, ``(n_rows, longest)``, padded on the right."""
    longest = max(map(len, rows))
    ids = [[*row, *[pad] * (longest - len(row))] for row in rows]
    mask = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
    return tuple(torch.tensor(table, device=device) for table in (ids, mask))


def put_on(model: Any, device: str, source: str) -> Any:
    """The network on its device, ready to compute. Raises :class:`ModelError`."""
    try:
        return model.to(device).eval()
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"{source} does not fit on or work with {device}: {first_line(error)}.") from error


def loaded(kind: Any, source: str, what: str, **options: Any) -> Any:
    """A network of transformers with its weights, all of which must be there. Raises :class:`ModelError`."""
    with doing(f"loading the weights of {source}"):
        try:
            model, loading = kind.from_pretrained(source, output_loading_info=True, **options)
        except Exception as error:
            raise ModelError(
                f"{source} cannot be opened as {what}: {first_line(error)}. Wanted: a checkpoint that transformers "
                "can load, with config.json, weights and tokenizer."
            ) from error
    missing = sorted(loading["missing_keys"])
    if missing:  # transformers would only warn, and fill them with random numbers
        raise ModelError(
            f"{source} is not {what}: it lacks {len(missing)} of its weights, such as {missing[0]}. The checkpoint is "
            "incomplete, or of another kind."
        )
    return model
