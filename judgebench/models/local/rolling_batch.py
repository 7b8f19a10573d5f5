"""A batch whose rows come and go: a finished reply leaves it at once and another prompt takes its place.

One cache holds the keys and values of all rows. The rows share its columns: each ends in the newest one, and a mask
covers whatever lies before its beginning. So the network computes exactly what it computes for a batch that is padded
on the left, and any network whose whole memory is keys and values will do (:func:`can_roll`). Tokens are chosen in
``decoding``.

transformers has its own continuous batching. It is not used, because it draws from one generator for the whole batch,
which makes a reply depend on its neighbours; it has neither stop strings nor a token's alternatives; and without flash
attention it compares every token with the keys of all rows. This one serves every request in one way, and is 1.1 to 1.4
times as fast on a CPU (``benchmarks/generation.py``).
"""

import inspect
from collections.abc import Sequence
from functools import cache
from typing import Any

from judgebench.models.local.decoding import BatchRow, Chooser, padded

_SPARE_COLUMNS = 128
"""Columns are added in groups of this size, because each addition copies the cache."""


def can_roll(transformers: Any, model: Any) -> bool:
    """Whether the network remembers nothing of a row but keys and values by column."""
    if "past_key_values" not in inspect.signature(model.forward).parameters or model.config.is_encoder_decoder:
        return False
    utils = transformers.cache_utils
    try:
        layers = utils.DynamicCache(config=model.config).layers
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
    supported = getattr(model, "_supports_default_dynamic_cache", lambda: True)()
    # A sliding window needs no special cache: the mask hides everything outside it.
    return supported and all(type(layer) in (utils.DynamicLayer, utils.DynamicSlidingWindowLayer) for layer in layers)


@cache
def _table_layer(transformers: Any) -> Any:
    """A class of cache layers that write into a table with spare columns, while the base class copies all keys and
    values at every token.
    """

    class TableLayer(transformers.cache_utils.DynamicLayer):  # type: ignore[misc]
        def __init__(self, keys: Any, values: Any, columns: int) -> None:
            super().__init__()
            self.dtype, self.device = keys.dtype, keys.device
            self.key_table, self.value_table, self.columns = keys, values, columns
            self.keys, self.values = keys[:, :, :columns], values[:, :, :columns]
            self.is_initialized = True

        def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
            before, self.columns = self.columns, self.columns + key_states.shape[-2]
            self.key_table[:, :, before : self.columns] = key_states
            self.value_table[:, :, before : self.columns] = value_states
            self.keys, self.values = self.key_table[:, :, : self.columns], self.value_table[:, :, : self.columns]
            return self.keys, self.values

    return TableLayer


class RollingBatch:
    """The rows in progress, and what the network remembers of them."""

    def __init__(self, torch: Any, transformers: Any, model: Any, chooser: Chooser, pad: int) -> None:
        self._torch, self._transformers, self._model = torch, transformers, model
        self._chooser, self._pad = chooser, pad
        parameters = inspect.signature(model.forward).parameters
        self._takes_positions = "position_ids" in parameters
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in parameters else {}
        self._table: list[BatchRow] = []
        """The row in each line of the cache. Finished rows stay until the next :meth:`_rebuild`."""
        self._cache: Any = None
        self._mask: Any = None
        """``(n_lines, n_columns)``, including spare columns."""
        self._columns = 0
        self._positions: Any = None

    @property
    def live(self) -> list[BatchRow]:
        """The rows that are not finished."""
        return [row for row in self._table if not row.finished]

    def admit(self, newcomers: Sequence[BatchRow]) -> None:
        """Read the newcomers' prompts (and replies so far), and choose the next token of each."""
        prompts = [row.tokens for row in newcomers]
        ids, mask = padded(self._torch, prompts, self._pad, self._model.device)
        memory = self._transformers.DynamicCache()
        with self._torch.inference_mode():
            scores = self._forward(ids, mask, (mask.cumsum(-1) - 1).clamp(min=0), memory)
            self._chooser.extend(newcomers, scores)
            staying = [place for place, row in enumerate(newcomers) if not row.finished]
            self._rebuild([newcomers[place] for place in staying], memory, mask, staying)

    def step(self) -> None:
        """Choose the next token of every row."""
        with self._torch.inference_mode():
            if 2 * len(self.live) <= len(self._table) or self._columns == self._mask.shape[1]:
                self._rebuild()
            self._mask[:, self._columns] = 1
            self._columns += 1
            ids = self._torch.tensor([[row.reply[-1]] for row in self._table], device=self._model.device)
            scores = self._forward(ids, self._mask[:, : self._columns], self._positions[:, None], self._cache)
            going = [line for line, row in enumerate(self._table) if not row.finished]
            if len(going) < len(self._table):
                scores = scores[going]
            # Until it is removed, a finished row stays at its last position: one beyond the context may not exist.
            self._positions[going] += 1
            self._chooser.extend([self._table[line] for line in going], scores)

    def _forward(self, ids: Any, mask: Any, positions: Any, memory: Any) -> Any:
        """Scores of the token after the last column, ``(n_rows, vocabulary)``; ``memory`` grows by the columns."""
        arguments = {"position_ids": positions} if self._takes_positions else {}
        output = self._model(
            input_ids=ids,
            attention_mask=mask,
            past_key_values=memory,
            use_cache=True,
            **arguments,
            **self._last_only,
        )
        return output.logits[:, -1]

    def _rebuild(
        self,
        newcomers: Sequence[BatchRow] = (),
        memory: Any = None,
        memory_mask: Any = None,
        places: Sequence[int] = (),
    ) -> None:
        """Rebuild the table without the finished rows and with the newcomers (lines ``places`` of ``memory``), with as
        few columns as the longest row needs plus spare ones.
        """
        staying = [line for line, row in enumerate(self._table) if not row.finished]
        rows = [*(self._table[line] for line in staying), *newcomers]
        if not rows:
            self._table, self._cache, self._mask, self._columns = [], None, None, 0
            return
        parts = []
        if staying:
            parts.append((self._cache, self._mask[:, : self._columns], staying))
        if places:
            parts.append((memory, memory_mask, list(places)))
        columns = max(int(mask[lines].sum(-1).max()) for _, mask, lines in parts)
        room = columns + max(_SPARE_COLUMNS, columns // 4)
        self._mask = self._stacked([(mask[:, None, :, None], lines) for _, mask, lines in parts], columns, room)[
            :, 0, :, 0
        ]
        layer_class = _table_layer(self._transformers)
        tables = []
        for number in range(len(parts[0][0].layers)):
            layers = [(cache_.layers[number], lines) for cache_, _, lines in parts]
            keys = self._stacked([(layer.keys, lines) for layer, lines in layers], columns, room)
            values = self._stacked([(layer.values, lines) for layer, lines in layers], columns, room)
            tables.append(layer_class(keys, values, columns))
        self._cache = self._transformers.DynamicCache()
        self._cache.layers = tables
        self._table, self._columns = rows, columns
        self._positions = self._mask.sum(-1)

    def _stacked(self, parts: Sequence[tuple[Any, list[int]]], columns: int, room: int) -> Any:
        """The last ``columns`` columns of some lines of each part, stacked so that they end in the same column."""
        first, _ = parts[0]
        n_lines = sum(len(lines) for _, lines in parts)
        table = first.new_zeros((n_lines, first.shape[1], room, first.shape[3]))
        line = 0
        for part, lines in parts:
            width = min(columns, part.shape[2])
            table[line : line + len(lines), :, columns - width : columns] = part[lines, :, part.shape[2] - width :]
            line += len(lines)
        return table


class PaddedBatch:
    """The same for any network that ``generate`` can run: rows come together and end when the last one ends."""

    def __init__(self, torch: Any, model: Any, chooser: Chooser, pad: int, end: int) -> None:
        self._torch, self._model, self._chooser, self._pad, self._end = torch, model, chooser, pad, end
        self.live: list[BatchRow] = []
        """Rows that are not finished; there are none between two batches."""

    def admit(self, newcomers: Sequence[BatchRow]) -> None:
        """Answer all of them."""
        ids, mask = padded(self._torch, [row.tokens for row in newcomers], self._pad, self._model.device)
        room = max(row.job.max_tokens - len(row.reply) for row in newcomers)

        def forced(_: Any, scores: Any) -> Any:
            """Leave one possible token to each row: the one chosen, or the end token after its end."""
            going = [place for place, row in enumerate(newcomers) if not row.finished]
            self._chooser.extend([newcomers[place] for place in going], scores[going])
            tokens = [self._end] * len(newcomers)
            for place in going:
                tokens[place] = newcomers[place].reply[-1]
            scores = self._torch.full_like(scores, -float("inf"))
            scores[list(range(len(tokens))), tokens] = 0.0
            return scores

        with self._torch.inference_mode():
            self._model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=room, logits_processor=[forced])

    def step(self) -> None:
        """Do nothing: :meth:`admit` finishes all rows."""
