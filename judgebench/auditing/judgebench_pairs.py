"""JudgeBench (Tan et al. 2024, arXiv 2410.12784): two responses of one model, one objectively right; 350 + 270 pairs.

Source: ScalerLab/JudgeBench@e2c52c284e735e139b3daa61c206ee208f36c461. Upstream's accuracy over single games fails at a
missing judgement; here it is wrong.
"""

import re
from collections.abc import Iterator, Mapping

import numpy as np

from judgebench.auditing.figures import ALL, Figure, share
from judgebench.auditing.items import Item, Label, cluster_of
from judgebench.auditing.pair_figures import longer_figures, position_figures
from judgebench.auditing.suite import BOTH, Judged, Suite
from judgebench.data.rows import json_rows
from judgebench.records import Message

MODELS = ("gpt-4o-2024-05-13", "claude-3-5-sonnet-20240620")
FILES = tuple(f"judgebench-{model}" for model in MODELS)
CATEGORIES = {
    "mmlu-pro": "knowledge",
    "livebench-reasoning": "reasoning",
    "livebench-math": "math",
    "livecodebench": "coding",
}
"""What a source begins with → what upstream reports it as."""
_LABEL = re.compile(r"\[\[([AB<>=]+)\]\]")
_PAIRS = "of pairs"


def read_items(files: Mapping[str, bytes]) -> tuple[Item, ...]:
    """The pairs of both response models."""
    items = []
    for name, data in files.items():
        for row in json_rows(data, name):
            label = {"A>B": "1", "B>A": "2"}.get(row.text("label"))
            if label is None:
                raise row.error(f"'label' must be A>B or B>A, found {row.text('label')[:40]!r}")
            source, model, question = row.text("source"), row.text("response_model"), row.text("question")
            category = next((short for long, short in CATEGORIES.items() if source.startswith(long)), None)
            if category is None:
                raise row.error(f"'source' must begin with one of {', '.join(CATEGORIES)}, found {source[:40]!r}")
            items.append(
                Item(
                    id=row.text("pair_id"),
                    suite="judgebench",
                    subset=category,
                    cluster=cluster_of(question),
                    messages=(Message(role="user", content=question),),
                    responses=((row.text("response_A"),), (row.text("response_B"),)),
                    models=(model, model),
                    gold=(Label(annotator="gold", label=label),),
                )
            )
    return tuple(items)


def read_label(reply: str) -> tuple[str | None, bool]:
    """Read a verdict as upstream's Arena-Hard judge does, from all replies so far joined by line breaks.

    The second value says whether the judge is to be asked once more, because no label was found.

    >>> read_label("so my verdict is [[A>>B]]"), read_label("[[A>B]] or [[B>A]]"), read_label("hm")
    (('A>B', False), (None, False), (None, True))
    """
    found = set(_LABEL.findall(reply))
    if len(found) != 1:
        return None, not found
    return found.pop().replace(">>", ">"), False


def figures(judged: Judged) -> Iterator[Figure]:
    """Accuracy over pairs and over the first games, by category, by response model and over all."""
    for name, part in judged.by_subset(tuple(CATEGORIES.values())):
        yield from _group(part, name)
    writers = np.array([item.models[0] for item in judged.items], dtype=str)
    if len(set(writers.tolist())) > 1:
        for model in MODELS:
            yield from _group(judged.part(writers == model), model)
    yield from _group(judged, ALL)


def _group(judged: Judged, group: str) -> Iterator[Figure]:
    gold, clusters = judged.gold, judged.clusters
    winners = [judged.winners(order) for order in BOTH]
    wrong = 3 - gold
    counter = sum((column == gold).astype(int) - (column == wrong).astype(int) for column in winners)
    correct = sum((column == gold).astype(int) for column in winners)
    rule = "right if more verdicts name the right response than the wrong one; ties and nulls name none"
    columns = (
        ("accuracy", counter > 0, rule),
        ("incorrect", counter < 0, "more verdicts name the wrong response"),
        ("undecided", counter == 0, "as many verdicts name the right response as the wrong one, maybe none"),
        ("single_game_accuracy", winners[0] == gold, "in the order stored; ties and nulls are wrong"),
        ("both_correct", correct == 2, "ties and nulls are wrong"),
        ("exactly_one_correct", correct == 1, "ties and nulls are wrong"),
        ("none_correct", correct == 0, "neither verdict names the right response"),
        ("inconsistent", winners[0] != winners[1], "the two verdicts differ; two nulls do not"),
    )
    for name, values, policy in columns:
        yield share(name, values, clusters, f"{_PAIRS}; {policy}", group=group)
    yield from position_figures(judged, group)
    yield from longer_figures(judged, tuple(winners), gold, group)


SUITE = Suite(
    name="judgebench",
    about="two responses of one model to a hard question, of which one is right",
    paper="arXiv 2410.12784",
    files=FILES,
    read=read_items,
    figures=figures,
    equal_scores="second",
)
