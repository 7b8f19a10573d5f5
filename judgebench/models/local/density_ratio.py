"""Density ratios: how much likelier a strong model finds an answer than a weak one does.

The log-likelihood of an answer covers its tokens and the token that ends its turn, after the question in the model's
own chat template. The rule is that of arXiv 2411.02481, which prefers the answer with the greater ratio.
"""

import inspect
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from judgebench.judges.scorers import split_answers
from judgebench.models.local.chat_templates import Unaskable
from judgebench.models.local.checkpoints import Checkpoint, import_transformers, locate
from judgebench.models.local.decoding import padded
from judgebench.models.local.scoring import Job, Numbers, Row, ScoringModel, loaded, put_on
from judgebench.records import Message, Request

RATIO = "ratio"
SIDES = ("strong", "weak")
WHAT = "a causal language model"
_LOGITS = 2**28
"""The most logits that a batch may make: a vocabulary is large, and each is four bytes."""


class DensityRatio(ScoringModel):
    """Two causal language models of transformers behind the ``Model`` protocol of one."""

    def __init__(
        self,
        sources: Sequence[str | Path],
        *,
        reduce: str = "sum",
        dtype: str = "auto",
        trust_remote_code: bool = False,
        device: str | None = None,
        batch_size: int | None = None,
        batch_tokens: int = 65536,
    ) -> None:
        """``sources``: folder or hub id of the strong model and of the weak one. ``reduce``: ``sum`` or ``mean``."""
        places = [locate(source) for source in sources]
        torch, self._transformers = import_transformers()
        super().__init__(torch, device=device, batch_size=batch_size, batch_tokens=batch_tokens)
        self._checkpoints = [Checkpoint(place, trust_remote_code=trust_remote_code) for place in places]
        self._dtypes = [one.settled_dtype(dtype, on_cpu=self._device == "cpu") for one in self._checkpoints]
        self._reduce = reduce
        strong, weak = self._checkpoints
        self.name = f"ratio:{strong.name}/{weak.name}"
        digests = "/".join(
            f"{one.digest} dtype={dtype}" for one, dtype in zip(self._checkpoints, self._dtypes, strict=True)
        )
        self.identity = f"ratio:{digests} reduce={reduce}"
        self._models: list[Any] = []

    def load(self) -> None:
        """Put both models on the device if they are not there yet."""
        if not self._models:
            self._models = [
                put_on(
                    loaded(self._transformers.AutoModelForCausalLM, one.source, WHAT, dtype=dtype, **one.options),
                    self._device,
                    one.source,
                )
                for one, dtype in zip(self._checkpoints, self._dtypes, strict=True)
            ]
            self._vocabulary: int = max(model.config.get_text_config().vocab_size for model in self._models)

    def unload(self) -> None:
        """Forget the weights."""
        self._models = []

    def rows(self, request: Request, job: Job) -> list[Row]:
        """A row for each answer: the prompt and the answer in the tokens of either model."""
        return [
            self._row(messages, answer, job, place)
            for place, (messages, answer) in enumerate(split_answers(request.messages))
        ]

    def _row(self, messages: Sequence[Message], answer: str, job: Job, place: int) -> Row:
        tokens, lengths = [], []
        for checkpoint in self._checkpoints:
            prompt = checkpoint.prompts.tokens(messages)
            own = checkpoint.prompts.continuation(messages, answer)
            if not own:
                raise Unaskable("an empty answer has no likelihood")
            if checkpoint.context is not None and len(prompt) + len(own) > checkpoint.context:
                raise Unaskable(
                    f"question and answer have {len(prompt) + len(own)} tokens, the context of {checkpoint.name} is "
                    f"{checkpoint.context}"
                )
            tokens.append([*prompt, *own])
            lengths.append(len(own))
        return Row(tokens, job, place, lengths)

    def cells(self, length: int) -> int:
        """A row's length, or more if its logits need the room of more."""
        return max(length, length * self._vocabulary * self._batch_tokens // _LOGITS)

    def scored(self, rows: Sequence[Row]) -> list[Numbers]:
        """The log-likelihood by either model, and the ratio."""
        sides = [self._likelihoods(side, rows) for side in range(len(SIDES))]
        found: list[Numbers] = []
        for row, values in zip(rows, zip(*sides, strict=True), strict=True):
            strong, weak = (math.fsum(value) / (len(value) if self._reduce == "mean" else 1) for value in values)
            found.append({RATIO: strong - weak, "strong": strong, "weak": weak, "tokens": float(row.extra[0])})
        return found

    def _likelihoods(self, side: int, rows: Sequence[Row]) -> list[list[float]]:
        """The log-probability of every token of each answer, by one of the models."""
        torch, model = self._torch, self._models[side]
        tokens, lengths = [row.tokens[side] for row in rows], [row.extra[side] for row in rows]
        ids, mask = padded(torch, tokens, 0, self._device)
        keep = 1 + max(lengths)
        arguments: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
        known = inspect.signature(model.forward).parameters
        if "position_ids" in known:
            arguments["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)
        if "logits_to_keep" in known:
            arguments["logits_to_keep"] = keep
        logits = model(**arguments).logits[:, -keep:]
        wide = torch.float32 if self._device.startswith("mps") else torch.float64
        found = []
        for number, length in enumerate(lengths):
            # Row by row, so that only one of them is there in this precision: rounding adds up over an answer.
            places = logits[number, -length - 1 : -1].to(wide)
            chosen = places.gather(-1, ids[number, -length:, None])[:, 0]
            found.append((chosen - places.logsumexp(-1)).tolist())
        return found
