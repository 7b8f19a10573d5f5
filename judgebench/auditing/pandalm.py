"""PandaLM's test set (Wang et al. 2023, arXiv 2306.05087): 999 pairs, three people each, who say 1, 2 or tie.

Source: WeOpenML/PandaLM@3871806e72b4832f815ecafd24d3503c73403f48. Its published figures of gpt-3.5 count replies that
could not be read as ties, which raises them; here they are wrong, and ``null_as=tie`` gives upstream's.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from judgebench.auditing.figures import ALL, Figure, coefficient, share
from judgebench.auditing.items import TIE, Item, Label, cluster_of
from judgebench.auditing.pair_figures import kappa_figures, longer_figures, position_figures
from judgebench.auditing.people_figures import MARGINS, labels_of, people_figures, ranked
from judgebench.auditing.suite import NULL, Judged, Suite
from judgebench.data.rows import FileRow, json_rows
from judgebench.records import Message
from judgebench.stats.agreement import cohen_kappa
from judgebench.stats.arrays import IntArray
from judgebench.stats.classification import class_scores

PEOPLE = ("annotator1", "annotator2", "annotator3")
_MACRO = ("macro_precision", "macro_recall", "macro_f1")


def read_items(files: Mapping[str, bytes]) -> tuple[Item, ...]:
    """The pairs of the test set."""
    return tuple(_item(row) for data in files.values() for row in json_rows(data, "testset-v1.json"))


def _item(row: FileRow) -> Item:
    labels = []
    for name in PEOPLE:
        label = row.value(name)
        if label not in (0, 1, 2):
            raise row.error(f"{name!r} must be 0, 1 or 2, found {str(label)[:40]!r}")
        labels.append(Label(annotator=name, label=str(int(label)) if label else TIE))
    instruction, more = row.text("instruction"), row.value("input")
    question = f"{instruction}\n\n{more}" if isinstance(more, str) and more.strip() else instruction
    models = tuple(row.text("cmp_key").split("_"))
    return Item(
        id=row.key("idx"),
        suite="pandalm",
        subset=str(row.value("motivation_app") or ALL),
        cluster=cluster_of(question),
        messages=(Message(role="user", content=question),),
        responses=((_response(row, "response1"),), (_response(row, "response2"),)),
        models=models if len(models) == 2 else (),
        gold=tuple(labels),
    )


def _response(row: FileRow, name: str) -> str:
    """A response; six of upstream's are the JSON value true or false."""
    value = row.value(name)
    return str(value) if isinstance(value, bool) else row.text(name) if value is not None else ""


def figures(judged: Judged) -> Iterator[Figure]:
    """Accuracy and macro scores against the majority, single people, people among each other, the order and lengths."""
    shown = judged.winners("12")
    nulls = shown == NULL
    verdicts = np.where(nulls & (judged.options["null_as"] == TIE), 0, shown)
    majorities = [item.majority for item in judged.items]
    known = np.array([vote is not None for vote in majorities], dtype=bool)
    gold = np.array([-2 if vote is None else vote for vote in majorities], dtype=np.int64)
    yield from _against_majority(judged, verdicts, gold, known, judged.options["null_as"])
    people = labels_of(judged.items)
    single = (people == verdicts).mean(axis=0) if people.size else np.zeros(0)
    policy = "with one person at a time, mean over the people of an item; a tie is a label, a null agrees with nobody"
    yield share("agreement_with_one_person", single, judged.clusters, policy)
    yield share("unparsed", nulls, judged.clusters, "of verdicts in the order stored")
    for label, code in (("1", 1), ("2", 2), (TIE, 0)):
        yield share(
            f"picked_{label}", shown == code, judged.clusters, "of verdicts in the order stored, nulls included"
        )
    yield from people_figures(judged.items, verdicts, judged.clusters, MARGINS[judged.options["people"]])
    both = np.array([(item.id, "21", 0) in judged.decisions for item in judged.items], dtype=bool)
    if both.any():
        yield from position_figures(judged.part(both))
    yield from longer_figures(judged, (shown,), gold)


def _against_majority(
    judged: Judged, verdicts: IntArray, gold: IntArray, known: NDArray[np.bool_], null_as: str
) -> Iterator[Figure]:
    rule = f"against the people's majority, of items that have one; a tie is a label, a null is {_words(null_as)}"
    truth, said, clusters = gold[known], verdicts[known], judged.clusters[known]
    yield share("accuracy", said == truth, clusters, rule)
    found = class_scores(truth, said, [0, 1, 2], clusters=clusters, rng=np.random.default_rng(0))
    scores = zip(_MACRO, (found.precision, found.recall, found.f1), found.intervals[1:], strict=True)
    for name, value, interval in scores:
        yield Figure(name=name, value=value, n=found.n, policy=rule, interval=interval, reason=found.reason)
    decided = (truth != 0) & (said > 0)
    policy = "against the people's majority, of items where neither is a tie and the verdict no null"
    yield share("accuracy_without_ties", (said == truth)[decided], clusters[decided], policy)
    given = said != NULL
    policy = "against the people's majority; a tie is a label, nulls are left out"
    yield from kappa_figures("kappa", truth[given], said[given], policy)
    lined = [ranked(column[given].astype(float)) for column in (truth, said)]
    weighted = cohen_kappa(lined[0], lined[1], "linear", rng=np.random.default_rng(0))
    yield coefficient("kappa_linear", weighted, f"Cohen's with linear weights, 1 < tie < 2, {policy}")


def _words(null_as: str) -> str:
    return "a tie" if null_as == TIE else "wrong"


SUITE = Suite(
    name="pandalm",
    about="pairs of answers of small models, judged by three people each, ties allowed",
    paper="arXiv 2306.05087",
    files=("pandalm-testset",),
    read=read_items,
    figures=figures,
    orders="stored",
    choices={"null_as": ("wrong", "tie"), "people": ("skilled", "experts", "crowd")},
)
