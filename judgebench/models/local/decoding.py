"""Token choice and stopping for each request in a batch.
The forward pass is in ``hf`` and ``rolling_batch``.

Both are decided row by row, so one batch can hold requests with different sampling. A request's draws depend on the
request alone, never on its neighbours or on how often its batch was split. What the network reads is the business of
``rolling_batch``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from judgebench.codec import canonical_hash
from judgebench.models.local.checkpoints import NO_NUMBERS, Job, earliest


class BatchRow:
    """The unfinished reply to one request."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.reply: list[int] = []
        """The tokens so far; the last may be an end token."""
        self.alternatives: list[list[tuple[int, float]]] = []
        """For each token of the reply, if requested: token ids and their log-probabilities, likeliest first."""
        self.finished = False
        self.failure: str | None = None
        """Why the reply cannot be finished."""
        sampling = job.request.sampling
        self.sampled = bool(sampling.temperature)
        self._generator = np.random.default_rng(int(canonical_hash(job.request)[7:39], 16)) if self.sampled else None
        self._uniforms: list[float] = []

    @property
    def tokens(self) -> list[int]:
        """Prompt and reply so far."""
        return self.job.prompt + self.reply

    @property
    def most_tokens(self) -> int:
        """Number of tokens if the reply becomes as long as it may."""
        return len(self.job.prompt) + self.job.max_tokens

    def uniform(self) -> float:
        """The uniform number that draws the next token; the same again if that draw was lost."""
        while self._generator is not None and len(self._uniforms) <= len(self.reply):
            self._uniforms.append(float(self._generator.random()))
        return self._uniforms[len(self.reply)]


class Chooser:
    """Appends the next token to each of several rows.

    A draw inverts the cumulative distribution at a uniform number seeded by the request. Log-probabilities are those of
    the model, before temperature and top-p.
    """

    def __init__(self, torch: Any, tokenizer: Any, ends: frozenset[int]) -> None:
        self._torch, self._tokenizer, self._ends = torch, tokenizer, ends

    def extend(self, rows: Sequence[BatchRow], scores: Any) -> None:
        """Choose from ``scores``, ``(n_rows, vocabulary)``, and mark the rows that this finishes."""
        scores = scores.float()
        likeliest = scores.argmax(-1, keepdim=True)
        tokens: list[int] = likeliest[:, 0].tolist()
        # argmax takes NaN for the largest number.
        broken: list[bool] = scores.gather(-1, likeliest)[:, 0].isnan().tolist()
        sampled = [place for place, row in enumerate(rows) if row.sampled]
        if sampled:
            for place, token in zip(
                sampled, self._draw([rows[place] for place in sampled], scores[sampled]), strict=True
            ):
                tokens[place] = token
        self._record(rows, scores)
        for row, token in zip(rows, tokens, strict=True):
            row.reply.append(token)
            row.finished = token in self._ends or len(row.reply) >= row.job.max_tokens or self._stopped(row)
        for row in (row for row, no_number in zip(rows, broken, strict=True) if no_number):
            row.failure, row.finished = NO_NUMBERS, True

    def _stopped(self, row: BatchRow) -> bool:
        stop = row.job.request.sampling.stop
        if not stop:
            return False
        # A stop string that ends in the newest token spans at most as many tokens as it has bytes.
        reach = 1 + max(len(text.encode()) for text in stop)
        tail = self._tokenizer.decode(row.reply[-reach:], clean_up_tokenization_spaces=False)
        return earliest(tail, stop) is not None

    def _record(self, rows: Sequence[BatchRow], scores: Any) -> None:
        wanting = [place for place, row in enumerate(rows) if row.job.request.sampling.top_logprobs]
        if not wanting:
            return
        most = max(rows[place].job.request.sampling.top_logprobs for place in wanting)
        values, tokens = scores[wanting].log_softmax(-1).topk(min(most, scores.shape[-1]))
        for place, row_tokens, row_values in zip(wanting, tokens.tolist(), values.tolist(), strict=True):
            wanted = rows[place].job.request.sampling.top_logprobs
            rows[place].alternatives.append(list(zip(row_tokens, row_values, strict=True))[:wanted])

    def _draw(self, rows: Sequence[BatchRow], scores: Any) -> list[int]:
        """Temperature first, then the smallest set of tokens whose mass reaches top-p."""
        settings = [row.job.request.sampling for row in rows]
        column = {"device": scores.device, "dtype": self._torch.float32}
        temperature = self._torch.tensor([[setting.temperature] for setting in settings], **column)
        top_p = self._torch.tensor(
            [[1.0 if setting.top_p is None else setting.top_p] for setting in settings], **column
        )
        uniform = self._torch.tensor([[row.uniform()] for row in rows], **column)
        shares, order = (scores / temperature).softmax(-1).sort(dim=-1, descending=True, stable=True)
        below = shares.cumsum(-1)
        kept = below - shares < top_p
        kept[:, 0] = True
        mass = (shares * kept).sum(-1, keepdim=True)
        last_kept = kept.sum(-1, keepdim=True) - 1
        place = self._torch.minimum((below <= uniform * mass).sum(-1, keepdim=True), last_kept)
        tokens: list[int] = order.gather(-1, place)[:, 0].tolist()
        return tokens


def padded(torch: Any, rows: Sequence[Sequence[int]], pad: int, device: str) -> tuple[Any, Any]:
    """Token ids and attention mask, ``(n_rows, longest)``, padded on the left."""
    longest = max(map(len, rows))
    ids = [[pad] * (longest - len(row)) + list(row) for row in rows]
    mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
    return tuple(torch.tensor(table, device=device) for table in (ids, mask))
