"""Figures that the suites of pairs share: what the order shown does, and whether the longer response wins."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from judgebench.auditing.figures import ALL, Figure, coefficient, share
from judgebench.auditing.suite import BOTH, NULL, Judged
from judgebench.stats.agreement import cohen_kappa, gwet_ac1
from judgebench.stats.arrays import IntArray

LONGER_BY = 30
"""Characters that one response must have more than the other to count as longer."""
SKEWED = 0.8
"""Share of a label above which kappa says little."""
_PER_ITEM = "of items judged in both orders"


def position_figures(judged: Judged, group: str = ALL) -> Iterator[Figure]:
    """How far the verdict follows the order: agreement of both orders, and wins of one place in both."""
    first, second = (judged.winners(order) for order in BOTH)
    agree, null = first == second, (first == NULL) | (second == NULL)
    columns: tuple[tuple[str, NDArray[np.bool_], str], ...] = (
        ("position_agreement", agree, "two nulls agree, a null and a verdict do not"),
        ("first_both", (first == 1) & (second == 2), "the response shown first won in both; ties and nulls are no win"),
        (
            "second_both",
            (first == 2) & (second == 1),
            "the response shown second won in both; ties and nulls are no win",
        ),
        ("null_any", null, "a verdict is missing in either order"),
    )
    for name, values, policy in columns:
        yield share(name, values, judged.clusters, f"{_PER_ITEM}; {policy}", group=group)


def kappa_figures(name: str, one: IntArray, other: IntArray, policy: str, group: str = ALL) -> Iterator[Figure]:
    """Cohen's kappa of two columns of labels and, where one label is most of either, Gwet's AC1, which bears that."""
    yield coefficient(name, cohen_kappa(one, other, rng=np.random.default_rng(0)), f"Cohen's, {policy}", group=group)
    most = [np.unique(column, return_counts=True)[1].max(initial=0) / max(len(column), 1) for column in (one, other)]
    if max(most) > SKEWED:
        found = gwet_ac1(one, other, rng=np.random.default_rng(0))
        yield coefficient(f"{name}_ac1", found, f"Gwet's AC1, because one label is most, {policy}", group=group)


def longer_figures(
    judged: Judged, votes: tuple[IntArray, ...], gold: IntArray | None = None, group: str = ALL
) -> Iterator[Figure]:
    """How often the longer response wins, of verdicts 1 or 2, the same of gold, and the difference of both."""
    gap = judged.lengths[:, 0] - judged.lengths[:, 1]
    longer = np.where(gap > 0, 1, 2)
    rows = [np.flatnonzero((np.abs(gap) > LONGER_BY) & np.isin(column, (1, 2))) for column in votes]
    picked = [(column[row] == longer[row]).astype(float) for column, row in zip(votes, rows, strict=True)]
    rule = f"of verdicts for one of two responses that differ by more than {LONGER_BY} characters; no ties, no nulls"
    row, wins = np.concatenate(rows), np.concatenate(picked)
    yield share("prefer_longer", wins, judged.clusters[row], rule, group=group)
    if gold is None:
        return
    decided = np.isin(gold[row], (1, 2))
    row, wins = row[decided], wins[decided]
    truth = (gold[row] == longer[row]).astype(float)
    yield share("prefer_longer_gold", truth, judged.clusters[row], f"the labels, {rule}", group=group)
    yield share(
        "prefer_longer_excess",
        wins - truth,
        judged.clusters[row],
        f"verdicts less labels, {rule}",
        group=group,
        bounds=(-1.0, 1.0),
        unit="number",
    )
