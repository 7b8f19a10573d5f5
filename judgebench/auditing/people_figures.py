"""Figures where several people judged an item: how far they agree, and the judge beside them."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from judgebench.auditing.figures import ALL, Figure, coefficient
from judgebench.auditing.items import Item
from judgebench.auditing.suite import NULL
from judgebench.stats.agreement import fleiss_kappa, krippendorff_alpha
from judgebench.stats.annotators import alternative_annotator_test, leave_one_out
from judgebench.stats.arrays import FloatArray, IntArray
from judgebench.stats.intervals import Interval

MARGINS = {"experts": 0.2, "skilled": 0.15, "crowd": 0.1}
"""What the authors of the alternative annotator test suggest."""
_RANK = np.array([0.0, -1.0, 1.0])
"""The place of a tie, of response 1 and of response 2 on a line."""


def labels_of(items: Sequence[Item]) -> FloatArray:
    """Votes, shape (annotators, items): 1, 2, 0 for a tie, NaN for none. A second label of a person is left out."""
    names = {name: place for place, name in enumerate(sorted({label.annotator for i in items for label in i.gold}))}
    table = np.full((len(names), len(items)), np.nan)
    for column, item in enumerate(items):
        for label in reversed(item.gold):
            table[names[label.annotator], column] = label.vote
    return table


def people_figures(
    items: Sequence[Item], verdicts: IntArray, clusters: NDArray[np.str_], margin: float, group: str = ALL
) -> Iterator[Figure]:
    """People's agreement among each other, and that of a judge, -1 for a null, with them."""
    labels = labels_of(items)
    yield from _among_people(labels, group)
    said = np.where(verdicts == NULL, np.nan, verdicts)
    left_out = leave_one_out(labels, said, clusters=clusters)
    rule = "with the mode of the other people, mean over people; ties are a label, items with a null left out"
    rows: tuple[tuple[str, float | None, Interval | None], ...] = (
        ("human_ceiling", left_out.human, left_out.human_interval),
        ("judge_with_the_others", left_out.judge, left_out.judge_interval),
        ("judge_over_ceiling", left_out.ratio, left_out.ratio_interval),
    )
    for name, value, interval in rows:
        yield Figure(
            name=name,
            group=group,
            value=value,
            n=left_out.comparisons,
            policy=f"agreement of each person's labels, or the judge's, {rule}",
            unit="number" if name == "judge_over_ceiling" else "share",
            interval=interval,
            reason=left_out.reason,
        )
    yield from _alternative(labels, verdicts, clusters, margin, group)


def _among_people(labels: FloatArray, group: str) -> Iterator[Figure]:
    policy = "of all labels of an item that two people or more labelled"
    alphas = (("nominal", labels), ("ordinal", ranked(labels)), ("interval", ranked(labels)))
    for metric, table in alphas if labels.size else ():
        order = "; 1 < tie < 2" if metric != "nominal" else "; a tie is a label"
        found = krippendorff_alpha(table, metric, rng=np.random.default_rng(0))  # type: ignore[arg-type]
        yield coefficient(f"human_alpha_{metric}", found, f"Krippendorff's alpha {policy}{order}", group=group)
    if labels.size and len(labels) > 1 and not np.isnan(labels).any():
        for chance in ("fleiss", "randolph"):
            kappa = fleiss_kappa(labels, chance, rng=np.random.default_rng(0))
            yield coefficient(f"human_kappa_{chance}", kappa, f"{kappa.name} {policy}; a tie is a label", group=group)


def ranked(labels: FloatArray) -> FloatArray:
    """Labels in the order 1, tie, 2, as -1, 0 and 1."""
    return np.where(np.isnan(labels), np.nan, _RANK[np.nan_to_num(labels).astype(np.int64)])


def _alternative(
    labels: FloatArray, verdicts: IntArray, clusters: NDArray[np.str_], margin: float, group: str
) -> Iterator[Figure]:
    found = alternative_annotator_test(labels.reshape(len(labels), len(verdicts)), verdicts, margin, clusters=clusters)
    items = "items that two people or more labelled; a null agrees with nobody"
    yield Figure(
        name="judge_as_good_as_a_person",
        group=group,
        value=found.advantage,
        n=found.items,
        policy=f"how often the judge is at least as close to the others as a person is, mean over people, of {items}",
        interval=found.advantage_interval,
        reason=found.reason,
    )
    tried = len(found.rivals)
    why = "a share of tests, one for each person: there is no interval"
    yield Figure(
        name="alternative_annotator_wins",
        group=group,
        value=found.winning_rate,
        n=tried,
        policy=f"share of people whom the judge may replace at a margin of {margin:g}; 0.5 passes; of {items}",
        reason=found.reason or why,
        successes=None if found.winning_rate is None else round(found.winning_rate * tried),
    )
