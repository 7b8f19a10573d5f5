"""LLMBar (Zeng et al. 2023, arXiv 2310.07641): which of two outputs follows the instruction, 419 items, gold 1 or 2.

Source: princeton-nlp/LLMBar@900616bff90b6c6c8e1681f7d079250637c55992. The ``kappa_*`` of its published statistics are
of a judge's 2 read as 0, and mean nothing; the coefficients here are of the codes as they are.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from judgebench.auditing.figures import ALL, Figure, mixed, share
from judgebench.auditing.items import Item, Label, cluster_of
from judgebench.auditing.pair_figures import kappa_figures, longer_figures, position_figures
from judgebench.auditing.suite import BOTH, NULL, Judged, Suite
from judgebench.data.rows import json_rows
from judgebench.records import Message
from judgebench.stats.arrays import FloatArray, IntArray

SUBSETS = ("natural", "neighbor", "gptinst", "gptout", "manual")
ADVERSARIAL = SUBSETS[1:]
HUMAN = ("mtbench", "llmeval2", "faireval")
"""Other people's labels, of which LLMBar's repository keeps a part without ties and evaluates the same judges on it."""
FILES = tuple(f"llmbar-{subset}" for subset in SUBSETS)
HUMAN_FILES = tuple(f"llmbar-human-{subset}" for subset in HUMAN)
_RIGHT = "a tie is half right, a null is wrong"


def read_items(files: Mapping[str, bytes]) -> tuple[Item, ...]:
    """The items of the files, whose names end in the subsets'."""
    items = []
    for name, data in files.items():
        suite, _, subset = name.rpartition("-")
        for number, row in enumerate(json_rows(data, name)):
            label = row.value("label")
            if label not in (1, 2):
                raise row.error(f"'label' must be 1 or 2, found {str(label)[:40]!r}")
            question = row.text("input")
            items.append(
                Item(
                    id=f"{subset}/{number}",
                    suite=suite,
                    subset=subset,
                    cluster=cluster_of(question),
                    messages=(Message(role="user", content=question),),
                    responses=((row.text("output_1"),), (row.text("output_2"),)),
                    gold=(Label(annotator="gold", label=str(int(label))),),
                )
            )
    return tuple(items)


def right(winners: IntArray, gold: IntArray) -> FloatArray:
    """1, 0.5 for a tie, 0 for the other response and for a null."""
    return np.where(winners == 0, 0.5, (winners == gold).astype(float))


def figures(judged: Judged) -> Iterator[Figure]:
    """Accuracy, what the order and the length do, by subset and over all; adversarial is the mean of four subsets."""
    yield from human_figures(judged)
    inside = judged.part(np.isin(judged.subsets, ADVERSARIAL))
    present = sorted(set(inside.subsets.tolist()), key=ADVERSARIAL.index)
    policy = f"the mean of the subsets' accuracies over both orders; {_RIGHT}"
    rows = np.concatenate([right(inside.winners(order), inside.gold) for order in BOTH]) if present else np.zeros(0)
    terms = np.tile([present.index(subset) for subset in inside.subsets.tolist()], 2)
    weights = np.full(len(present), 1 / max(len(present), 1))
    yield mixed("accuracy", rows, terms, weights, np.tile(inside.clusters, 2), policy, group="adversarial")


def human_figures(judged: Judged) -> Iterator[Figure]:
    """The same without a mean of some subsets."""
    for name, part in judged.by_subset((*SUBSETS, *HUMAN)):
        yield from _group(part, name)
    yield from _group(judged, ALL)


def _group(judged: Judged, group: str) -> Iterator[Figure]:
    gold, clusters = judged.gold, judged.clusters
    winners = [judged.winners(order) for order in BOTH]
    both = np.concatenate([right(column, gold) for column in winners])
    yield share("accuracy", both, np.tile(clusters, 2), f"of verdicts in both orders; {_RIGHT}", group=group)
    for order, column in zip(BOTH, winners, strict=True):
        policy = f"of items in order {order}; {_RIGHT}"
        yield share(f"accuracy_order{order}", right(column, gold), clusters, policy, group=group)
    correct = (winners[0] == gold) & (winners[1] == gold)
    yield share("both_correct", correct, clusters, "of items; ties and nulls are wrong", group=group)
    yield from position_figures(judged, group)
    nulls = np.concatenate([column == NULL for column in winners])
    yield share("unparsed", nulls, np.tile(clusters, 2), "of verdicts in both orders", group=group)
    kinds = "nulls and ties are labels of their own"
    pairs = (("kappa_order12", gold, winners[0]), ("kappa_order21", gold, winners[1]))
    for name, one, other in (*pairs, ("kappa_between_orders", winners[0], winners[1])):
        yield from kappa_figures(name, one, other, f"of items; {kinds}", group)
    yield from longer_figures(judged, tuple(winners), gold, group)


SUITE = Suite(
    name="llmbar",
    about="which of two outputs follows the instruction; adversarial subsets, where the worse one looks better",
    paper="arXiv 2310.07641",
    files=FILES,
    read=read_items,
    figures=figures,
    equal_scores="second",
)
HUMAN_SUITE = Suite(
    name="llmbar-human",
    about="pairs of MT-Bench, LLMEval² and FairEval on which people prefer one answer, as LLMBar keeps them",
    paper="arXiv 2310.07641",
    files=HUMAN_FILES,
    read=read_items,
    figures=human_figures,
    equal_scores="second",
)
