"""MT-Bench's numbers as totals over questions, for comparing two runs."""

from collections.abc import Callable, Sequence

from judgebench.records import Example, ExampleScore
from judgebench.stats.clustered import ClusterTotals, cluster_totals
from judgebench.task import Fetch, Totals

from .metrics import HEADLINES, groups_of


def totals(examples: Sequence[Example], scores: Sequence[ExampleScore], fetch: Fetch, *, mode: str) -> Totals:
    """All metrics of a run, by turn, category and (of several) baseline."""
    found: dict[tuple[str, str | None], ClusterTotals] = {}
    for group, rows in groups_of(scores).items():
        own = {"score": _mean(rows, rows, lambda rating, _: rating)} if mode == "single" else _rates(rows)
        for metric, one in own.items():
            if not (group or "").startswith("category=") or metric in HEADLINES:
                found[metric, group] = one
    return found


def _rates(rows: Sequence[ExampleScore]) -> dict[str, ClusterTotals]:
    wins, losses = ([row for row in rows if row.covariates["result"] == result] for result in ("win", "loss"))
    rates: dict[str, Callable[[float, float], float]] = {
        "win_rate": lambda win, loss: 100 * win,
        "loss_rate": lambda win, loss: 100 * loss,
        "tie_rate": lambda win, loss: 100 * (1 - win - loss),
        "adjusted_win_rate": lambda win, loss: 50 * (1 + win - loss),
    }
    return {metric: _mean(wins, losses, rate) for metric, rate in rates.items()}


def _mean(
    first: Sequence[ExampleScore], second: Sequence[ExampleScore], of: Callable[[float, float], float]
) -> ClusterTotals:
    """The mean of a function of two rows' values, by weight; a question's turns and baselines belong together."""
    rows = [
        (row.example_id, row.weight, of(row.value, other.value))
        for row, other in zip(first, second, strict=True)
        if row.value is not None and other.value is not None
    ]
    weights = [weight for _, weight, _ in rows]
    return cluster_totals(
        [weight * value for _, weight, value in rows], weights, clusters=[question for question, *_ in rows]
    )
