"""A judge beside the people who labelled the same items: how good people are, and whether it may stand in for one.

People disagree, so that no judge can agree with all of them: a judge's agreement means something only beside theirs.
``leave_one_out`` takes each person out in turn and compares the judge and that person with the mode of the others;
``alternative_annotator_test`` asks of each person whether the judge is as close to the others, but for a margin.

Labels have shape (annotators, items), as numbers, NaN where an annotator gave none; the judge's have shape (items,).

References
----------
Calderon, Reichart, Dror: The alternative annotator test for LLM-as-a-judge. arXiv:2501.10970, 2025.
Benjamini, Yekutieli: The control of the false discovery rate in multiple testing under dependency. Annals of
Statistics 29, 2001.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgebench.stats.arrays import FloatArray
from judgebench.stats.clustered import ClusterTotals, bounded_estimate, cluster_totals
from judgebench.stats.intervals import Interval
from judgebench.stats.multiplicity import adjusted_p_values
from judgebench.stats.relative import paired_ratio

LEAST_ITEMS = 30
"""Items of an annotator from which the t test is used, and below which upstream leaves the annotator out."""


@dataclass(frozen=True)
class LeaveOneOut:
    """A judge and the people, each against the mode of the other people. The interval of the ratio is Fieller's."""

    human: float | None
    """Mean over annotators of their agreement with the mode of the others: the ceiling of a judge."""
    human_interval: Interval | None
    judge: float | None
    """Mean over annotators of the judge's agreement with the mode of the others, on the items that each labelled."""
    judge_interval: Interval | None
    ratio: float | None
    """Judge by human."""
    ratio_interval: Interval | None
    annotators: int
    """Those who labelled an item that someone else and the judge labelled, too."""
    comparisons: int
    """Labels that were compared."""
    reason: str | None
    """Why a number is missing."""


@dataclass(frozen=True)
class Rival:
    """One annotator and the judge, by how close they are to the other annotators."""

    annotator: int
    """Its row."""
    items: int
    judge_as_good: float
    """Share of the items where the judge is at least as close to the others."""
    human_as_good: float
    """Share of the items where the annotator is."""
    p_value: float
    """Of "the annotator is better than the judge by the margin or more"; small where the judge does as well."""
    adjusted: float
    """By Benjamini and Yekutieli, over annotators."""


@dataclass(frozen=True)
class AlternativeAnnotator:
    """Whether a judge may replace an annotator."""

    winning_rate: float | None
    """Share of the annotators for whom the hypothesis is rejected."""
    advantage: float | None
    """Mean of ``judge_as_good``: how probably the judge is at least as good as an annotator. It ranks judges."""
    advantage_interval: Interval | None
    passes: bool | None
    """Whether the winning rate is at least one half."""
    rivals: tuple[Rival, ...]
    left_out: int
    """Annotators with too few items."""
    items: int
    """Items that two annotators and the judge labelled."""
    reason: str | None
    """Why a number is missing."""


def leave_one_out(
    labels: ArrayLike,
    judge: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
) -> LeaveOneOut:
    """Compare the judge and each annotator with the mode of the other annotators.

    If several labels are as frequent among the others, agreeing with one of them counts as its share of them. Items
    that the judge gave no label are left out for all. Intervals are over clusters, by default items.

    >>> labels = [[1, 1, 2, 2], [1, 1, 2, 1], [1, 2, 2, 2]]
    >>> found = leave_one_out(labels, [1, 1, 2, 2])
    >>> round(found.human, 3), round(found.judge, 3), round(found.ratio, 3)
    (0.667, 0.833, 1.25)
    """
    table, verdicts = _checked(labels, judge)
    counts, values = _counts(table)
    given = ~np.isnan(table)
    code = np.searchsorted(values, np.where(given, table, values[0] if len(values) else 0))
    said = np.searchsorted(values, verdicts).clip(max=max(len(values) - 1, 0))
    known = len(values) > 0
    shape = table.shape
    human, machine, used = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=bool)
    rows = np.arange(shape[1])
    for place in range(shape[0]) if known else ():
        others = counts.copy()
        others[rows, code[place]] -= given[place]
        most = others.max(axis=1)
        modes = (others == most[:, None]) & (most > 0)[:, None]
        part = modes / np.maximum(modes.sum(axis=1), 1)[:, None]
        used[place] = given[place] & (most > 0) & ~np.isnan(verdicts)
        human[place] = part[rows, code[place]] * used[place]
        machine[place] = part[rows, said] * (values[said] == verdicts) * used[place]
    if not used.any():
        why = "no item has two people's labels and the judge's"
        return LeaveOneOut(None, None, None, None, None, None, 0, 0, why)
    names = np.arange(shape[1]) if clusters is None else np.asarray(clusters)
    people, judged = (_over_annotators(column, used, names) for column in (human, machine))
    own, its = bounded_estimate(people), bounded_estimate(judged)
    over = paired_ratio(judged, people)
    return LeaveOneOut(
        own.value,
        own.interval,
        its.value,
        its.interval,
        over.ratio,
        over.interval,
        int(used.any(axis=1).sum()),
        int(used.sum()),
        own.reason or its.reason or over.reason,
    )


def alternative_annotator_test(
    labels: ArrayLike,
    judge: ArrayLike,
    margin: float = 0.2,
    *,
    score: Literal["accuracy", "neg_rmse"] = "accuracy",
    level: float = 0.05,
    least_items: int = LEAST_ITEMS,
    clusters: ArrayLike | None = None,
) -> AlternativeAnnotator:
    """Test whether a judge may stand in for one of the annotators (Calderon et al. 2025).

    For each annotator and each of their items, the annotator's and the judge's label are scored against the labels of
    the others: by the share of equal ones or, with ``"neg_rmse"``, by minus the root mean squared difference. d is 1
    where only the annotator is at least as good, -1 where only the judge is, else 0. A one-sided t test (a signed-rank
    test below 30 items) of mean d at least ``margin``, adjusted over annotators at ``level``, must be rejected.

    Authors suggest margins of 0.2 for experts, 0.15 for skilled annotators and 0.1 for crowds. Annotators with fewer
    than ``least_items`` items are left out; so are items that the judge or all but one annotator left unlabelled.

    >>> rng = np.random.default_rng(0)
    >>> truth = rng.integers(2, size=200)
    >>> labels = np.where(rng.random((3, 200)) < 0.2, 1 - truth, truth)
    >>> alternative_annotator_test(labels, truth).winning_rate
    1.0
    """
    table, verdicts = _checked(labels, judge)
    if not 0 <= margin < 1 or score not in ("accuracy", "neg_rmse"):
        raise ValueError(f"margins are from 0 to 1, scores accuracy or neg_rmse; got {margin} and {score}")
    given = ~np.isnan(table)
    kept = (given.sum(axis=0) >= 2) & ~np.isnan(verdicts)
    tried = [place for place in range(len(table)) if (given[place] & kept).sum() >= max(least_items, 2)]
    left_out = len(table) - len(tried)
    if not tried:
        why = f"no annotator has {max(least_items, 2)} items that someone else and the judge labelled, too"
        return AlternativeAnnotator(None, None, None, None, (), left_out, int(kept.sum()), why)
    people, machine = _as_good(table, verdicts, given, kept, tried, score)
    ps = [
        _p_less(human[rows] - other[rows], margin) for human, other, rows in _rows(people, machine, given, kept, tried)
    ]
    adjusted = adjusted_p_values(ps, "by")
    rivals = tuple(
        Rival(place, int(rows.sum()), float(other[rows].mean()), float(human[rows].mean()), p, float(a))
        for place, (human, other, rows), p, a in zip(
            tried, _rows(people, machine, given, kept, tried), ps, adjusted, strict=True
        )
    )
    rate = float(np.mean(adjusted <= level))
    names = np.arange(table.shape[1]) if clusters is None else np.asarray(clusters)
    advantage = bounded_estimate(_over_annotators(machine, given[tried] & kept, names))
    return AlternativeAnnotator(
        rate,
        advantage.value,
        advantage.interval,
        rate >= 0.5,
        rivals,
        left_out,
        int(kept.sum()),
        advantage.reason,
    )


def _rows(
    people: FloatArray, machine: FloatArray, given: NDArray[np.bool_], kept: NDArray[np.bool_], tried: list[int]
) -> list[tuple[FloatArray, FloatArray, NDArray[np.bool_]]]:
    return [(people[k], machine[k], given[place] & kept) for k, place in enumerate(tried)]


def _as_good(
    table: FloatArray,
    verdicts: FloatArray,
    given: NDArray[np.bool_],
    kept: NDArray[np.bool_],
    tried: list[int],
    score: Literal["accuracy", "neg_rmse"],
) -> tuple[FloatArray, FloatArray]:
    """Whether the annotator, and whether the judge, is at least as close to the others; shapes (tried, items)."""
    people, machine = np.zeros((len(tried), table.shape[1])), np.zeros((len(tried), table.shape[1]))
    for row, place in enumerate(tried):
        others = given.copy()
        others[place] = False
        number = np.maximum(others.sum(axis=0), 1)
        closeness = []
        for label in (table[place], verdicts):
            if score == "accuracy":
                closeness.append(((table == label) & others).sum(axis=0) / number)
            else:
                gap = np.where(others, table - np.where(np.isnan(label), 0, label), 0)
                closeness.append(-np.sqrt(np.square(gap).sum(axis=0) / number))
        inside = given[place] & kept
        people[row] = (closeness[0] >= closeness[1]) & inside
        machine[row] = (closeness[1] >= closeness[0]) & inside
    return people, machine


def _p_less(differences: FloatArray, margin: float) -> float:
    """One-sided p-value of "the mean is at least the margin"."""
    from scipy.stats import ttest_1samp, wilcoxon

    if np.ptp(differences) == 0:
        return 0.0 if differences[0] < margin else 1.0
    if len(differences) < LEAST_ITEMS:
        return float(wilcoxon(differences - margin, alternative="less").pvalue)
    return float(ttest_1samp(differences, margin, alternative="less").pvalue)


def _over_annotators(values: FloatArray, used: NDArray[np.bool_], clusters: NDArray[Any]) -> ClusterTotals:
    """The mean over annotators of their means over the items used; shapes (annotators, items)."""
    rows, items = np.nonzero(used)
    _, terms = np.unique(rows, return_inverse=True)
    return cluster_totals(values[rows, items], clusters=clusters[items], terms=terms)


def _counts(table: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How often each item got each label, shape (items, k), and the labels, ascending."""
    given = ~np.isnan(table)
    values = np.unique(table[given])
    counts = np.zeros((table.shape[1], len(values)))
    np.add.at(counts, (np.nonzero(given)[1], np.searchsorted(values, table[given])), 1)
    return counts, values


def _checked(labels: ArrayLike, judge: ArrayLike) -> tuple[FloatArray, FloatArray]:
    table, verdicts = np.asarray(labels, dtype=float), np.asarray(judge, dtype=float)
    if table.ndim != 2 or verdicts.shape != table.shape[1:]:
        raise ValueError(
            f"labels have shape (annotators, items), the judge's (items,); got {table.shape} and {verdicts.shape}"
        )
    if np.isinf(table).any() or np.isinf(verdicts).any():
        raise ValueError("labels are finite numbers, or NaN for none")
    return table, verdicts
