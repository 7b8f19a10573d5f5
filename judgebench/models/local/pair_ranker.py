"""Pair rankers as llm-blender's PairRM: an encoder reads the question and both answers, and a head compares them.

Source of the input's form and of the head: the model card of llm-blender/PairRM-hf, and
yuchenlin/LLM-Blender@5d38ca9:llm_blender/pair_ranker/pairrm.py.
"""

from collections.abc import Sequence
from typing import Any

from judgebench.errors import ModelError
from judgebench.judges.scorers import split_answers
from judgebench.models.local.chat_templates import Unaskable
from judgebench.models.local.checkpoints import Checkpoint, import_transformers, locate
from judgebench.models.local.scoring import Job, Numbers, Row, ScoringModel, loaded, padded_right, put_on
from judgebench.records import Message, Request

PREFERENCE, CUT = "preference", "cut"
"""By how much the first answer is preferred, as a logit; and 1 if a text was too long and its end was cut."""
SOURCE_TOKENS, CANDIDATE_TOKENS = 1224, 412
PREFIXES = ("<|source|>", "<|candidate1|>", "<|candidate2|>")
PREFIX_IDS = ("source_prefix_id", "cand1_prefix_id", "cand2_prefix_id")
"""What the configuration calls the tokens of those."""
WHAT = "a pair ranker in the form of llm-blender/PairRM-hf"


class PairRanker(ScoringModel):
    """A pair ranker of transformers behind the ``Model`` protocol."""

    def __init__(
        self,
        target: str,
        *,
        revision: str | None = None,
        dtype: str = "auto",
        device: str | None = None,
        batch_size: int | None = None,
        batch_tokens: int = 65536,
    ) -> None:
        """``target``: the folder or hub id of a checkpoint such as llm-blender/PairRM-hf."""
        place = locate(target, revision=revision)
        torch, self._transformers = import_transformers()
        super().__init__(torch, device=device, batch_size=batch_size, batch_tokens=batch_tokens)
        self._checkpoint = Checkpoint(place, needs_template=False)
        self._tokenizer, config = self._checkpoint.tokenizer, self._checkpoint.config
        lacking = [name for name in (*PREFIX_IDS, "n_tasks") if not isinstance(getattr(config, name, None), int)]
        if lacking:
            raise ModelError(
                f"{place.source} is not {WHAT}: its config.json has no {', '.join(lacking)}. The weights of "
                "llm-blender/PairRM are given in that form as pairrm:llm-blender/PairRM-hf"
            )
        self._prefix_ids = [getattr(config, name) for name in PREFIX_IDS]
        self._dtype = self._checkpoint.settled_dtype(dtype, on_cpu=self._device == "cpu")
        self.name = f"pairrm:{self._checkpoint.name}"
        self.identity = f"pairrm:{self._checkpoint.digest} dtype={self._dtype}"
        self._model: Any = None

    def load(self) -> None:
        """Put the weights on the device if they are not there yet."""
        if self._model is None:
            config, source = self._checkpoint.config, self._checkpoint.source
            kind = _network(self._torch, self._transformers, type(config))
            model = loaded(kind, source, WHAT, config=config, dtype=self._dtype, **self._checkpoint.options)
            self._model = put_on(model, self._device, source)

    def unload(self) -> None:
        """Forget the weights."""
        self._model = None

    def rows(self, request: Request, job: Job) -> list[Row]:
        """One row: the question, the first answer and the second, each with its special token before it.

        The question keeps its first 1,224 tokens; the answers share what is left of 2,048.
        """
        ((messages, first), (_, second)) = split_answers(request.messages)
        most = SOURCE_TOKENS + 2 * CANDIDATE_TOKENS
        if self._checkpoint.context is not None:
            most = min(most, self._checkpoint.context)
        source, cut = self._encoded(PREFIXES[0] + _text_of(messages), min(SOURCE_TOKENS, most))
        tokens, each = list(source), (most - len(source)) // 2
        for prefix, answer in zip(PREFIXES[1:], (first, second), strict=True):
            found, too_long = self._encoded(prefix + answer, each)
            tokens, cut = [*tokens, *found], cut or too_long
        if any(tokens.count(token) != 1 for token in self._prefix_ids):
            raise Unaskable(f"question or answers contain {', '.join(PREFIXES)}, which mark where each begins")
        return [Row([tokens], job, 0, cut)]

    def _encoded(self, text: str, most: int) -> tuple[list[int], bool]:
        try:
            whole: list[int] = self._tokenizer(text).input_ids
            cut: list[int] = self._tokenizer(text, max_length=max(1, most), truncation=True).input_ids
        except (TypeError, UnicodeError) as error:  # half a surrogate pair
            raise Unaskable(f"the answers cannot be put into tokens: {error}") from error
        return cut, len(cut) < len(whole)

    def scored(self, rows: Sequence[Row]) -> list[Numbers]:
        """By how much each row's first answer is preferred."""
        pad = self._tokenizer.pad_token_id or 0
        ids, mask = padded_right(self._torch, [row.tokens[0] for row in rows], pad, self._device)
        preferences = self._model(ids, mask, self._prefix_ids).float().tolist()
        return [
            {PREFERENCE: value, **({CUT: 1.0} if row.extra else {})}
            for value, row in zip(preferences, rows, strict=True)
        ]


def _text_of(messages: Sequence[Message]) -> str:
    """The question as one text: it alone, or with what was said before it."""
    if len(messages) == 1:
        return messages[0].content
    return "\n".join(
        message.content if message.role == "system" else f"{message.role.upper()}: {message.content}"
        for message in messages
    )


def _network(torch: Any, transformers: Any, config_class: type) -> Any:
    """The network, whose parts are called as in the published weights."""

    class PairRankerNetwork(transformers.PreTrainedModel):  # type: ignore[misc]
        base_model_prefix = "pretrained_model"

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.pretrained_model = transformers.AutoModel.from_config(config)
            size = config.hidden_size
            self.head_layer = torch.nn.Sequential(
                torch.nn.Dropout(0.0),
                torch.nn.Linear(2 * size, size),
                torch.nn.Tanh(),
                torch.nn.Dropout(0.0),
                torch.nn.Linear(size, config.n_tasks),
            )
            self.post_init()

        def forward(self, ids: Any, mask: Any, prefixes: Sequence[int]) -> Any:
            states = self.pretrained_model(input_ids=ids, attention_mask=mask).last_hidden_state
            source, first, second = (states[ids == token] for token in prefixes)
            left, right = (self.head_layer(torch.cat([source, answer], dim=-1)) for answer in (first, second))
            return (left - right).mean(dim=-1)

    PairRankerNetwork.config_class = config_class
    return PairRankerNetwork
