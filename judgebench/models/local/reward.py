"""Reward models: a sequence-classification head that gives an answer one number, or one for each of several heads."""

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from judgebench.errors import UsageError
from judgebench.judges.scorers import split_answers
from judgebench.models.local.chat_templates import Unaskable
from judgebench.models.local.checkpoints import Checkpoint, import_transformers, locate
from judgebench.models.local.scoring import Job, Numbers, Row, ScoringModel, loaded, padded_right, put_on
from judgebench.records import Message, Request

REWARD = "reward"
"""Name of the number that is a verdict; with several heads the others stand beside it under their own names."""
WHAT = "a reward model (a sequence-classification head)"


def parse_heads(text: str) -> dict[str, float]:
    """The heads that make the reward, with their weights.

    >>> parse_heads("helpfulness"), parse_heads("helpfulness=0.65,correctness=0.8")
    ({'helpfulness': 1.0}, {'helpfulness': 0.65, 'correctness': 0.8})
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, weight = part.strip().partition("=")
        try:
            value = float(weight) if equals else 1.0
        except ValueError:
            value = float("nan")
        if not re.fullmatch(r"[^\s=,#]+", name) or not abs(value) < 1e9 or name in found:
            raise UsageError(
                f"the heads of a reward model are named as #HEAD, or as #HEAD=WEIGHT,HEAD=WEIGHT; {text!r} is neither"
            )
        found[name] = value
    return found


class RewardModel(ScoringModel):
    """A reward model of transformers behind the ``Model`` protocol."""

    def __init__(
        self,
        target: str,
        *,
        name: str | None = None,
        revision: str | None = None,
        dtype: str = "auto",
        trust_remote_code: bool = False,
        device: str | None = None,
        batch_size: int | None = None,
        batch_tokens: int = 65536,
    ) -> None:
        """``target``: a checkpoint's folder or hub id; of a model with several heads, after ``#`` those that count.

        ``name`` is a name for records, instead of the folder's.
        """
        source, mark, heads = target.partition("#")
        self._wanted = parse_heads(heads) if mark else {}
        place = locate(source, revision=revision)
        torch, self._transformers = import_transformers()
        super().__init__(torch, device=device, batch_size=batch_size, batch_tokens=batch_tokens)
        self._checkpoint = Checkpoint(place, name=name, trust_remote_code=trust_remote_code, needs_template=False)
        self._dtype = self._checkpoint.settled_dtype(dtype, on_cpu=self._device == "cpu")
        self._tokenizer = self._checkpoint.tokenizer
        self._templated = bool(getattr(self._tokenizer, "chat_template", None))
        names = getattr(self._checkpoint.config, "id2label", None) or {}
        self._heads = [str(names[place]) for place in sorted(names)]
        if self._wanted:
            self._weights(len(self._heads))
        elif len(self._heads) > 1 and not trust_remote_code:
            raise UsageError(self._several(len(self._heads)))
        self.name = f"reward:{self._checkpoint.name}{mark}{heads}"
        chosen = f" heads={','.join(f'{name}={weight:g}' for name, weight in self._wanted.items())}" if mark else ""
        self.identity = f"reward:{self._checkpoint.digest} dtype={self._dtype}{chosen}"
        self._model: Any = None

    def load(self) -> None:
        """Put the weights on the device if they are not there yet."""
        if self._model is None:
            checkpoint = self._checkpoint
            model = loaded(
                self._transformers.AutoModelForSequenceClassification,
                checkpoint.source,
                WHAT,
                dtype=self._dtype,
                **checkpoint.options,
            )
            self._forward_arguments = inspect.signature(model.forward).parameters
            self._pad_given = model.config.get_text_config().pad_token_id
            self._model = put_on(model, self._device, checkpoint.source)

    def unload(self) -> None:
        """Forget the weights."""
        self._model = None

    def rows(self, request: Request, job: Job) -> list[Row]:
        """A row for each answer, with the conversation before it."""
        return [
            self._row(messages, answer, job, place)
            for place, (messages, answer) in enumerate(split_answers(request.messages))
        ]

    def _row(self, messages: Sequence[Message], answer: str, job: Job, place: int) -> Row:
        kinds = None
        if self._templated:
            whole = [*messages, Message(role="assistant", content=answer)]
            tokens = self._checkpoint.prompts.closed_tokens(whole)
        else:
            # A model without a chat template was trained on pairs of texts, as its tokenizer joins them.
            question = "\n\n".join(message.content for message in messages)
            try:
                encoded = self._tokenizer(question, answer)
            except (TypeError, UnicodeError) as error:  # half a surrogate pair
                raise Unaskable(f"the answer cannot be put into tokens: {error}") from error
            tokens, kinds = encoded["input_ids"], encoded.get("token_type_ids")
        context = self._checkpoint.context
        if context is not None and len(tokens) > context:
            raise Unaskable(f"question and answer have {len(tokens)} tokens, the model's context is {context}")
        return Row([tokens], job, place, kinds)

    def scored(self, rows: Sequence[Row]) -> list[Numbers]:
        """The reward of each row and, of a model with several heads, what each head says."""
        tokens = [row.tokens[0] for row in rows]
        pad = self._padding(tokens)
        ids, mask = padded_right(self._torch, tokens, pad, self._device)
        arguments = {"input_ids": ids, "attention_mask": mask}
        if rows[0].extra is not None and "token_type_ids" in self._forward_arguments:
            arguments["token_type_ids"], _ = padded_right(self._torch, [row.extra for row in rows], 0, self._device)
        logits = self._model(**arguments).logits.float().reshape(len(rows), -1)
        if logits.shape[1] == 1 and not self._wanted:
            return [{REWARD: float(value)} for value in logits[:, 0].tolist()]
        weights = self._weights(logits.shape[1])
        return [self._combined(values, weights) for values in logits.tolist()]

    def _padding(self, rows: Sequence[Sequence[int]]) -> int:
        """The token that fills rows up. A decoder's head looks for the last token that is another one, so without a
        padding token of the checkpoint's own, one is taken that ends no row.
        """
        config = self._model.config.get_text_config()
        if self._pad_given is None:
            last = {row[-1] for row in rows}
            config.pad_token_id = next(token for token in range(len(last) + 1) if token not in last)
        return int(config.pad_token_id)

    def _combined(self, values: Sequence[float], weights: Sequence[float]) -> Mapping[str, float]:
        by_head = dict(zip(self._names(len(values)), values, strict=True))
        return {REWARD: sum(weight * value for weight, value in zip(weights, values, strict=True)), **by_head}

    def _names(self, count: int) -> list[str]:
        return self._heads if len(self._heads) == count else [str(place) for place in range(count)]

    def _weights(self, count: int) -> list[float]:
        """The weight of each head. Raises :class:`UsageError` for a head that is not there."""
        names = self._names(count)
        if count > 1 and not self._wanted:
            raise UsageError(self._several(count))
        weights = [0.0] * count
        for name, weight in self._wanted.items():
            place = names.index(name) if name in names else int(name) if name.isascii() and name.isdigit() else -1
            if not 0 <= place < count:
                raise UsageError(
                    f"reward:{self._checkpoint.name} has no head {name!r}; it has {', '.join(names)[:300]}, or their "
                    f"numbers from 0 to {count - 1}"
                )
            weights[place] = weight
        return weights

    def _several(self, count: int) -> str:
        names, source = self._names(count), self._checkpoint.source
        return (
            f"reward:{source} has {count} heads ({', '.join(names)[:300]}), and which of them is the reward must be "
            f"said: reward:{source}#{names[0]}, or weighted, reward:{source}#{names[0]}=0.5,{names[1]}=0.5"
        )
