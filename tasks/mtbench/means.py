"""The metrics of MT-Bench that are plain means over questions: each question counts with the mean of its rows."""

from collections.abc import Mapping, Sequence
from functools import partial

from judgebench.records import ExampleScore
from judgebench.task import ItemMean

from .judges import HIGHEST, LOWEST


def means(mode: str) -> Mapping[str, ItemMean]:
    """By metric. Valid where every question has as many judged turns, as MT-Bench's and Vicuna's have."""
    if mode == "single":
        return {"score": ItemMean(of=_rating, lower=LOWEST, upper=HIGHEST, scale=1.0)}
    return {
        "adjusted_win_rate": ItemMean(of=_share, share=True),
        "win_rate": ItemMean(of=partial(_mean_of, "win")),
        "loss_rate": ItemMean(of=partial(_mean_of, "loss")),
    }


def _rating(rows: Sequence[ExampleScore]) -> float | None:
    """The mean rating of the turns. One off the scale counts as the end of the scale that it is beyond."""
    values = [None if row.value is None else min(max(row.value, LOWEST), HIGHEST) for row in rows]
    return _mean(values)


def _mean_of(result: str, rows: Sequence[ExampleScore]) -> float | None:
    return _mean([row.value for row in rows if row.covariates.get("result") == result])


def _share(rows: Sequence[ExampleScore]) -> float | None:
    won, lost = _mean_of("win", rows), _mean_of("loss", rows)
    return None if won is None or lost is None else (1 + won - lost) / 2


def _mean(values: Sequence[float | None]) -> float | None:
    """``None`` if any is missing: a question's number is that of all its turns."""
    found = [value for value in values if value is not None]
    return sum(found) / len(found) if found and len(found) == len(values) else None
