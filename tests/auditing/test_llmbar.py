"""LLMBar: every published count of 42 evaluators from their stored decisions."""

from typing import Any

import pytest

from judgebench.auditing.figures import Figure, SuiteReport
from judgebench.auditing.items import Decision
from judgebench.auditing.suites import get_suite
from judgebench.codec import sha256_hex
from judgebench.data.sources import UNPINNED
from tests.auditing.published import HUMAN, SUBSETS, fetched, items_of, llmbar_decisions
from tests.shared_data import each
from tests.stats.judge_meta import expected, lines

EVALUATORS = each(lambda: list(expected("evaluators", "llmbar")))


def figure(report: SuiteReport, name: str, group: str) -> Figure:
    """A figure that there must be."""
    found = report.figure(name, group)
    assert found is not None, (name, group)
    return found


@pytest.mark.parametrize("name", ["llmbar", "llmbar-human", "judgebench"])
def test_the_files_are_upstreams(name: str) -> None:
    """The files that the shared data were made of have the pinned hashes and sizes."""
    for source in get_suite(name).sources:
        data = fetched(source)
        assert source.sha256 != UNPINNED
        assert (sha256_hex(data), len(data)) == (source.sha256, source.bytes)


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_published_counts(evaluator: str) -> None:
    """Counts, agreement of the orders, kappas and the preference for the longer output are upstream's."""
    published = expected("evaluators", "llmbar")[evaluator]
    assert set(published) in (set(SUBSETS), {*SUBSETS, *HUMAN})
    for suite, subsets in (("llmbar", SUBSETS), ("llmbar-human", tuple(name for name in HUMAN if name in published))):
        report = get_suite(suite).report(items_of(suite), llmbar_decisions(evaluator, subsets))
        for subset in subsets:
            check(report, subset.removesuffix("_human"), published[subset])


def check(report: SuiteReport, subset: str, wanted: dict[str, Any]) -> None:
    """Compare a subset's figures with the published ones."""
    counts = {
        "correct_order12": "accuracy_order12",
        "correct_order21": "accuracy_order21",
        "both_correct": "both_correct",
        "positional_agreement": "position_agreement",
        "picked_first_shown_both": "first_both",
        "picked_second_shown_both": "second_both",
    }
    for key, name in counts.items():
        found = figure(report, name, subset)
        assert (found.n, found.successes) == (wanted["n"], wanted[key]), (subset, name)
        assert found.interval is not None
    accuracy = figure(report, "accuracy", subset).value
    assert accuracy is not None
    assert 100 * accuracy == pytest.approx(wanted["avg_accuracy_pct"], abs=1e-9)
    assert figure(report, "unparsed", subset).successes == wanted["unparsed"]
    longer = figure(report, "prefer_longer", subset)
    assert [longer.successes, longer.n] == wanted["prefer_longer"]
    for name in ("kappa_order12", "kappa_order21", "kappa_between_orders"):
        key = name + "_correct" * name[-1].isdigit()
        assert figure(report, name, subset).value == pytest.approx(wanted[key], rel=1e-9), (subset, name)


def rating_judges() -> list[str]:
    """Evaluators that rate each output alone."""
    return sorted({line["evaluator"] for line in lines("llmbar/decisions") if "score_1" in line})


@pytest.mark.parametrize("evaluator", each(rating_judges))
def test_ratings_are_decided_as_upstream_decides(evaluator: str) -> None:
    """Two ratings give the published winners of both orders; equal ones go to the output shown second."""
    suite = get_suite("llmbar")
    items = {item.id: item for item in items_of("llmbar")}
    equal = 0
    for line in lines("llmbar/decisions"):
        if line["evaluator"] == evaluator and line["subset"] in SUBSETS:
            scores = line["score_1"], line["score_2"]
            for number, ratings in enumerate(zip(*scores, strict=True)):
                if not all(str(rating).isdigit() for rating in ratings):
                    continue
                made = suite.decide(items[f"{line['subset']}/{number}"], [float(rating) for rating in ratings])
                assert [str(one.winner) for one in made] == [line["order12"][number], line["order21"][number]]
                equal += ratings[0] == ratings[1]
    assert equal > 10


def test_gwets_coefficient_stands_beside_a_kappa_of_one_label() -> None:
    """A judge that names the first output nearly always has a kappa that says little; nobody else has a second one."""
    items = items_of("llmbar")
    first = [Decision(item=item.id, order=order, shown="A>B") for item in items for order in ("12", "21")]
    report = get_suite("llmbar").report(items, first)
    assert figure(report, "kappa_order12", "all").value == pytest.approx(0)
    assert figure(report, "kappa_order12_ac1", "all").interval is not None
    usual = get_suite("llmbar").report(items, llmbar_decisions("GPT-4/Vanilla"))
    assert usual.figure("kappa_order12_ac1") is None
