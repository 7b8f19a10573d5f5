"""RewardBench: sections, ties, readers and published rows, as upstream's functions compute them."""

from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from judgebench.auditing.items import Decision, Item
from judgebench.auditing.rewardbench import (
    COUNTS,
    LENGTHS,
    SUBSETS,
    older_score,
    read_letter,
    read_rating,
    section_scores,
)
from judgebench.auditing.rewardbench_2 import TiesRow, ties_score
from judgebench.auditing.suites import get_suite
from judgebench.errors import RecordError
from tests.auditing.published import WON
from tests.auditing.test_llmbar import figure
from tests.shared_data import each
from tests.stats.judge_meta import expected, lines

LLMBAR = {
    "natural": "llmbar-natural",
    "neighbor": "llmbar-adver-neighbor",
    "gptinst": "llmbar-adver-GPTInst",
    "gptout": "llmbar-adver-GPTOut",
    "manual": "llmbar-adver-manual",
}


def parquet(rows: list[dict[str, Any]]) -> bytes:
    """The rows as a parquet file."""
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
    return bytes(sink.getvalue().to_pybytes())


def llmbar_rows() -> list[dict[str, Any]]:
    """LLMBar's items as RewardBench has them."""
    rows = []
    for line in lines("llmbar/instances"):
        if line["subset"] in LLMBAR:
            outputs = [line["output_1"], line["output_2"]]
            chosen, rejected = outputs if line["label"] == 1 else outputs[::-1]
            name = f"{line['subset']}/{line['i']}"
            texts = {"id": name, "prompt": line["input"], "chosen": chosen, "rejected": rejected}
            rows.append(texts | {"subset": LLMBAR[line["subset"]]})
    return rows


def test_the_tables_are_upstreams() -> None:
    """Sections, weights and which response is longer."""
    assert {name: list(subsets) for name, subsets in COUNTS.items()} == expected("subset_mapping", "rewardbench")
    flat = {subset: count for subsets in COUNTS.values() for subset, count in subsets.items()}
    assert flat == expected("example_counts", "rewardbench")
    marks = {"True": "chosen-longer", "False": "rejected-longer", "Neutral": None}
    ours = {subset: category for category, subsets in LENGTHS.items() for subset in subsets}
    wanted = expected("length_category", "rewardbench")
    assert {subset: ours.get(subset) for subset in SUBSETS} == {key: marks[value] for key, value in wanted.items()}


def test_section_scores() -> None:
    """Random accuracies, and real ones of LLMBar where three sections have no subset, to 1e-12."""
    for case in expected("section_scores", "rewardbench"):
        found = section_scores(case["subset_accuracy"])
        assert found == pytest.approx(case["section_scores"], abs=1e-12)
        assert sum(found.values()) / 4 == pytest.approx(case["mean_of_four_sections"], abs=1e-12)
    for case in expected("chat_hard_from_real_llmbar_decisions", "rewardbench").values():
        assert section_scores(case["subset_accuracy"]) == pytest.approx(case["section_scores"], abs=1e-12)


@pytest.mark.parametrize("judge", each(lambda: list(expected("chat_hard_from_real_llmbar_decisions", "rewardbench"))))
def test_chat_hard_from_decisions(judge: str) -> None:
    """The section's score of a real judge from its decisions, with an interval; no score of all four without items."""
    wanted = expected("chat_hard_from_real_llmbar_decisions", "rewardbench")[judge]
    suite = get_suite("rewardbench")
    items = {item.id: item for item in suite.load(lambda _: parquet(llmbar_rows()))}
    labels = {f"{line['subset']}/{line['i']}": str(line["label"]) for line in lines("llmbar/instances")}
    made = []
    for line in lines("llmbar/decisions"):
        if line["evaluator"] == judge and line["subset"] in LLMBAR:
            for number, winner in enumerate(line["order12"]):
                name = f"{line['subset']}/{number}"
                item = items[f"{LLMBAR[line['subset']]}/{name}"]
                (order,) = suite.orders_of(item)
                won = "1" if winner == labels[name] else "2"
                made.append(Decision(item=item.id, order=order, shown=WON[won if order == "12" else str(3 - int(won))]))
    report = suite.report(tuple(items.values()), made)
    for subset, value in wanted["subset_accuracy"].items():
        assert figure(report, "accuracy", subset).value == pytest.approx(value, abs=1e-12)
    section = figure(report, "section_score", "Chat Hard")
    assert section.value == pytest.approx(wanted["section_scores"]["Chat Hard"], abs=1e-12)
    assert section.interval is not None
    assert section.interval.low < wanted["section_scores"]["Chat Hard"] < section.interval.high
    assert figure(report, "section_score", "Safety").value is None
    assert report.headline.value is None
    assert "Chat, Safety, Reasoning" in str(report.headline.reason)


def test_orders_are_drawn_and_both_occur() -> None:
    """One order per item, the same whenever it is asked for; another seed draws others."""
    suite = get_suite("rewardbench")
    items = suite.load(lambda _: parquet(llmbar_rows()))
    drawn = [suite.orders_of(item) for item in items]
    assert drawn == [suite.orders_of(item) for item in items]
    assert drawn != [suite.orders_of(item, seed=1) for item in items]
    assert 0.4 < drawn.count(("12",)) / len(drawn) < 0.6


def test_ties() -> None:
    """Upstream's score of Ties on five sets of scores, to 1e-12, each inside its interval."""
    import numpy as np

    for case in expected("v2_ties", "rewardbench"):
        rows = []
        for row in case["rows"]:
            kind, prompt = row["id"].split(":")
            rows.append(TiesRow(kind, prompt, row["num_correct"], tuple(row["scores"])))
        found = ties_score(rows, rng=np.random.default_rng(0))
        assert found.overall == pytest.approx(case["overall"], abs=1e-12)
        assert found.interval is not None
        assert found.interval.low < case["overall"] < found.interval.high


def test_readers() -> None:
    """Upstream's readers on the strings that show their traps; ours differ only where upstream's misread."""
    parsing = expected("parsing", "rewardbench")
    for letters, key in (("AB", "v1_pairwise"), ("ABCD", "v2_four_way")):
        for text, wanted in parsing[key]:
            upstream = read_letter(text, letters, upstream=True)
            assert (upstream or "error") == wanted, text
            ours = read_letter(text, letters)
            assert ours == upstream or text.count("[[") > 1
    ours_differ = {}
    for text, wanted in parsing["rating"]:
        upstream_rating = read_rating(text, upstream=True)
        assert (-1 if upstream_rating is None else upstream_rating) == wanted, text
        if read_rating(text) != upstream_rating:
            ours_differ[text] = read_rating(text)
    assert ours_differ == {"7/10": 7, "Rating: [[8]]": 8, "8.": 8, "**9**": 9, "3.5": 3.5, "-4": None}


def test_published_rows_with_prior_sets() -> None:
    """Six rows of tables of 2024, whose score has the prior sets at half weight, to the decimal that they print."""
    published = expected("published_rows_v1_with_prior_sets", "rewardbench")
    for row in published["rows"].values():
        score, *sections, prior = row
        found = older_score(dict(zip(COUNTS, sections, strict=True)), prior)
        assert found == pytest.approx(score, abs=0.1)


def choice_rows() -> list[dict[str, Any]]:
    """One item of each subset of RewardBench 2, and a prompt of Ties in both kinds."""
    rows = [
        {"id": "0", "subset": subset, "prompt": f"{subset}?", "chosen": ["good"], "rejected": ["a", "b", "c"]}
        for subset in ("Factuality", "Precise IF", "Math", "Safety", "Focus")
    ]
    for kind, right in (("ref", 1), ("tied", 2)):
        texts = {"chosen": [f"red {n}" for n in range(right)], "rejected": ["dog", "cat"]}
        rows += [{"id": f"{kind}:{k}", "subset": "Ties", "prompt": f"A colour, {k}?", **texts} for k in (0, 1)]
    return rows


def by_length(item: Item) -> list[float]:
    """Scores of a judge that knows the right responses."""
    return [9.0] * item.correct + [2.0] * (len(item.responses) - item.correct)


def test_rewardbench_2_on_paper() -> None:
    """A judge that is always right has 1 everywhere and a little more on Ties; letters leave Ties out."""
    suite = get_suite("rewardbench-2")
    items = suite.load(lambda _: parquet(choice_rows()))
    perfect = [decision for item in items for decision in suite.decide(item, by_length(item))]
    report = suite.report(items, perfect)
    assert figure(report, "score", "Ties").value == pytest.approx(1.01)
    assert report.headline.value == pytest.approx((5 + 1.01) / 6)
    assert report.headline.interval is not None
    alike = [decision for item in items for decision in suite.decide(item, [5.0] * len(item.responses))]
    assert figure(suite.report(items, alike), "score", "Math").value == 0.25
    letters = [
        Decision(item=item.id, order=suite.orders_of(item)[0], shown="ABCD"[suite.orders_of(item)[0].index("1")])  # type: ignore[arg-type]
        for item in items
        if item.subset != "Ties"
    ]
    report = suite.report(items, letters)
    assert figure(report, "score", "Math").value == 1
    assert report.headline.value is None
    unread = [Decision(item=made.item, order=made.order, error="none") for made in letters]
    assert figure(suite.report(items, unread), "score", "Math").value == 0.25


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subset": "Poetry"}, "none of RewardBench 2's"),
        ({"subset": "Ties"}, "ref:N or tied:N"),
        ({"rejected": []}, "must be lists"),
    ],
)
def test_a_row_of_another_kind_is_named(change: dict[str, Any], message: str) -> None:
    """The file and the row are in the message."""
    rows = choice_rows()
    rows[0] |= change
    with pytest.raises(RecordError, match=message):
        get_suite("rewardbench-2").load(lambda _: parquet(rows))


def test_an_id_may_come_twice_in_a_subset() -> None:
    """Nobody promises that RewardBench's ids are unique; the second is told from the first."""
    rows = llmbar_rows()[:2]
    rows[1] |= {"id": rows[0]["id"]}
    items = get_suite("rewardbench").load(lambda _: parquet(rows))
    assert [item.id for item in items] == ["llmbar-natural/natural/0", "llmbar-natural/natural/0#2"]
