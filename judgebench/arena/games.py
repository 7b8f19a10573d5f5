"""Games between models: one comparison of two answers to a question, with the order in which they were shown.

They come from the judge, or from a table of battles that was made elsewhere.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from judgebench.data.rows import FileRow, read_rows
from judgebench.errors import UsageError
from judgebench.stats.arrays import FloatArray, IntArray

WINNERS = {"model_a": 1.0, "a": 1.0, "model_b": 0.0, "b": 0.0}
"""The share of the first model's win, by the words of a table of battles; all others are ties, as upstream has it."""
STYLE = ("tokens", "headers", "lists", "bold")
LENGTHS = ("tokens", "length")
MOST_MODELS = 1_000


@dataclass(frozen=True, eq=False)
class Games:
    """Games with a verdict. Shapes (games,)."""

    models: tuple[str, ...]
    first: IntArray
    """The model whose answer was shown first, by its place in ``models``."""
    second: IntArray
    outcome: FloatArray
    """Share of the win of ``first``: 1, 0.5 or 0."""
    question: IntArray
    """Codes 0, 1, ..."""
    style: tuple[str, ...] = ()
    """Names of the style counts, the length first."""
    style_first: FloatArray | None = None
    """Shape (games, counts); NaN where it is not known."""
    style_second: FloatArray | None = None

    def __len__(self) -> int:
        """How many."""
        return len(self.first)

    @property
    def n_questions(self) -> int:
        """Questions of which there is a game."""
        return len(np.unique(self.question))

    def kept(self, which: NDArray[np.bool_]) -> "Games":
        """Some of them."""
        one, other = self.style_first, self.style_second
        return replace(
            self,
            first=self.first[which],
            second=self.second[which],
            outcome=self.outcome[which],
            question=self.question[which],
            style_first=None if one is None else one[which],
            style_second=None if other is None else other[which],
        )


def read_battles(path: Path) -> Games:
    """Read a table of battles: ``model_a``, ``model_b`` and ``winner`` (``model_a``, ``model_b``, anything else a tie).

    ``question_id`` says which battles are about one question; without it each is about one of its own. Counts of style
    are ``tokens_a``, ``tokens_b``, and so for ``headers``, ``lists`` and ``bold``.
    """
    rows = read_rows(path, "a table of battles")
    names = dict.fromkeys(row.text(side) for row in rows for side in ("model_a", "model_b"))
    models = tuple(sorted(names))
    if len(models) > MOST_MODELS:
        raise UsageError(f"{path} has {len(models):,} models, and an arena rates {MOST_MODELS:,} at most")
    place = {model: number for number, model in enumerate(models)}
    first, second = (np.array([place[row.text(side)] for row in rows]) for side in ("model_a", "model_b"))
    if (same := np.flatnonzero(first == second)).size:
        raise rows[int(same[0])].error("a battle is between two different models")
    asked = [_question(row, number) for number, row in enumerate(rows)]
    codes = {name: number for number, name in enumerate(dict.fromkeys(asked))}
    style = tuple(name for name in STYLE if all(f"{name}_{side}" in rows[0].fields for side in "ab"))
    tables = {side: np.array([[_count(row, f"{name}_{side}") for name in style] for row in rows]) for side in "ab"}
    return Games(
        models,
        first,
        second,
        np.array([WINNERS.get(row.text("winner").strip().lower(), 0.5) for row in rows]),
        np.array([codes[name] for name in asked]),
        style,
        tables["a"] if style else None,
        tables["b"] if style else None,
    )


def _question(row: FileRow, number: int) -> tuple[str, str | int]:
    value = row.value("question_id")
    return ("", number) if value is None else ("id", row.key("question_id"))


def _count(row: FileRow, name: str) -> float:
    value = row.value(name)
    try:
        count = float(value)
    except (TypeError, ValueError) as error:
        raise row.error(f"{name!r} must be a number, found {value!r:.40}") from error
    if not 0 <= count < 1e12:
        raise row.error(f"{name!r} must be a count, found {value!r:.40}")
    return count


def positions(games: Games) -> tuple[float | None, float | None]:
    """The share of points of the answers shown first; and that of the questions with the same winner in both orders."""
    if not len(games):
        return None, None
    pair = np.minimum(games.first, games.second) * len(games.models) + np.maximum(games.first, games.second)
    turned = games.first > games.second
    won = np.where(turned, 1 - games.outcome, games.outcome)
    found: dict[tuple[int, int], list[tuple[bool, float]]] = {}
    for key, question, side, share in zip(pair.tolist(), games.question.tolist(), turned, won, strict=True):
        found.setdefault((key, question), []).append((bool(side), float(share)))
    both = [own for own in found.values() if len({side for side, _ in own}) == 2]
    same = [len({share for _, share in own}) == 1 for own in both]
    return float(games.outcome.mean()), (sum(same) / len(same) if same else None)
