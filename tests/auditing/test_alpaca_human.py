"""AlpacaEval's table of evaluators: its columns on PandaLM's people, as upstream's analyzer has them, and on paper."""

import json
from itertools import product
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from judgebench.auditing.items import Decision, Item, turned
from judgebench.auditing.suites import get_suite
from judgebench.data.sources import Source
from judgebench.errors import RecordError
from tests.auditing.published import items_of, pandalm_decisions
from tests.auditing.test_llmbar import figure
from tests.stats.judge_meta import expected

SUITE = get_suite("alpaca-human")


@pytest.mark.parametrize("judge", ["judge_gpt35", "judge_pandalm"])
def test_upstreams_analyzer_on_pandalm(judge: str) -> None:
    """Agreement with one person and the preferences for length and the first output, to 1e-12."""
    wanted = expected("stats", "pandalm")["alpaca_eval_analyzer"]
    items = {item.id: replace(item, suite="alpaca-human") for item in items_of("pandalm")}
    made = []
    for decision in pandalm_decisions(judge):
        (order,) = SUITE.orders_of(items[decision.item])
        shown = decision.shown if order == "12" else turned(decision.shown)
        made.append(replace(decision, order=order, shown=shown))
    report = SUITE.report(tuple(items.values()), made)
    for name, value in (
        ("one_person_agreement", wanted[f"{judge}_human_agreement"]["score"]),
        ("prefer_longer", wanted[f"{judge}_length_bias"]["probability_prefer_longer"]),
        ("prefer_longer_gold", wanted["humans_length_bias"]["probability_prefer_longer"]),
        ("prefer_1", wanted[f"{judge}_proba_prefer_1"]),
        ("people_variance", wanted["humans_variance_1_vs_2"]),
    ):
        found = figure(report, name, "all")
        assert found.value == pytest.approx(value, abs=1e-12), name
        assert found.interval is not None
        assert found.interval.low < value < found.interval.high
    assert figure(report, "one_person_agreement", "all").n == wanted[f"{judge}_human_agreement"]["counts"]
    assert figure(report, "bias", "all").value is None
    assert figure(report, "variance", "all").reason == "it needs several verdicts on each item"


def files(rows: int = 30) -> dict[str, list[dict[str, Any]]]:
    """Three models with as many outputs each; people like the later models better. Two models share one output."""
    cross, alone = [], []
    for model, number in product(range(3), range(rows)):
        texts = {"instruction": f"Task {number}?", "output_1": "reference", "output_2": f"output {model} {number}"}
        for person in range(4):
            won = 2 if (number + 7 * person) % rows < rows * (model + 1) / 4 else 1
            cross.append(texts | {"preference": won, "annotator_index": person, "datasplit": "eval"})
        alone.append(texts | {"generator": f"model {model}"})
    alone.append(alone[-1] | {"generator": "twin"})
    return {"alpaca-crossannotations": cross, "alpaca-annotations": alone}


def load(content: dict[str, list[dict[str, Any]]]) -> tuple[Item, ...]:
    """The items of these files."""

    def fetch(source: Source) -> bytes:
        return json.dumps(content[source.name]).encode()

    return SUITE.load(fetch)


def asked(items: tuple[Item, ...], repeats: int, votes: Any) -> list[Decision]:
    """Decisions in the drawn orders from votes 1, 2, 1.5 or nothing, by item and repeat."""
    made = []
    for item, repeat in product(items, range(repeats)):
        (order,) = SUITE.orders_of(item, repeat=repeat)
        vote = votes(item, repeat)
        shown: Any = {1: "A>B", 2: "B>A", 1.5: "A=B"}.get(vote)
        shown = shown if order == "12" else turned(shown)
        made.append(Decision(item=item.id, order=order, repeat=repeat, shown=shown))
    return made


def test_a_judge_that_is_the_people() -> None:
    """It agrees with their mode as one of them, has no bias, their variance, and ranks models as they do."""
    items = load(files())
    assert len(items) == 90
    assert {item.models[-1] for item in items} == {"model 0", "model 1", "model 2"}
    assert sum(item.also == ("twin",) for item in items) == 1
    report = SUITE.report(items, asked(items, 4, lambda item, repeat: item.gold[repeat].vote))
    assert figure(report, "bias", "all").value == 0
    for judge, people in (("variance", "people_variance"), ("prefer_1", None)):
        value = figure(report, judge, "all").value
        assert value is not None
        if people:
            assert value == figure(report, people, "all").value
    assert figure(report, "spearman", "all").value == pytest.approx(1)
    assert figure(report, "spearman", "all").n == 3
    assert "p = 0.333" in figure(report, "spearman", "all").policy  # 2 of 6 orders are as far from chance
    assert figure(report, "pearson", "all").value == pytest.approx(1)


def test_agreement_is_with_the_mode_of_four() -> None:
    """One verdict against the mode of all people, each repeat alike; soft verdicts lose by their distance."""
    items = load(files())
    modes = {item.id: item.majority for item in items}
    clear = tuple(item for item in items if modes[item.id] is not None)
    report = SUITE.report(clear, asked(clear, 1, lambda item, _: modes[item.id]))
    assert report.headline.value == 1
    soft = [
        replace(made, p=0.75 if modes[made.item] == 2 else 0.25)
        for made in asked(clear, 1, lambda item, _: modes[item.id])
    ]
    assert SUITE.report(clear, soft).headline.value == pytest.approx(0.75)


def test_nulls_are_left_out_and_counted() -> None:
    """Upstream drops what was not parsed; the report says how many."""
    items = load(files())
    made = asked(items, 1, lambda item, _: None if item.id == items[0].id else 1)
    report = SUITE.report(items, made)
    assert report.headline.n == 89
    assert figure(report, "unparsed", "all").successes == 1


def test_items_with_fewer_votes_are_left_out() -> None:
    """An item needs four votes, further ones are ignored."""
    content = files()
    cross = content["alpaca-crossannotations"]
    content["alpaca-crossannotations"] = [*cross[1:], cross[-1] | {"preference": 1}]
    items = load(content)
    assert len(items) == 89
    assert {len(item.gold) for item in items} == {4}


def test_a_preference_that_is_none_is_named() -> None:
    """Only 1, 2 and ties are votes."""
    content = files()
    content["alpaca-crossannotations"][5]["preference"] = 7
    with pytest.raises(RecordError, match="'preference' must be"):
        load(content)


def test_repeats_of_a_hostile_file_cost_nothing() -> None:
    """A repeat far beyond those of the protocol is no reason to count up to it."""
    items = load(files())
    made = [*asked(items, 1, lambda item, _: 1), Decision(item=items[0].id, repeat=10**15 - 1, shown="A>B")]
    assert SUITE.report(items, made).headline.value is not None
    assert np.isfinite(figure(SUITE.report(items, made), "prefer_1", "all").value or 0)


def test_both_orders_are_two_verdicts() -> None:
    """Asked once in both orders, a judge that follows the order differs from itself everywhere, a fixed one nowhere."""
    items = load(files())
    first = [Decision(item=item.id, order=order, shown="A>B") for item in items for order in ("12", "21")]
    report = SUITE.report(items, first)
    assert figure(report, "variance", "all").value == 1
    assert figure(report, "prefer_1", "all").value == 0.5
    assert report.headline.value == pytest.approx(0.5)
    assert figure(report, "first_both", "all").value == 1
    fixed = [Decision(item=i.id, order=o, shown="A>B" if o == "12" else "B>A") for i in items for o in ("12", "21")]
    report = SUITE.report(items, fixed)
    assert figure(report, "variance", "all").value == 0
    assert figure(report, "bias", "all").value == pytest.approx(1 - (report.headline.value or 0))
