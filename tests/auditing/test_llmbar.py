"""LLMBar: every published count of 42 evaluators from their stored decisions."""

import pytest

from judgebench.auditing.figures import Figure, SuiteReport
from judgebench.auditing.suites import get_suite
from judgebench.codec import sha256_hex
from judgebench.data.sources import UNPINNED
from tests.auditing.published import SUBSETS, fetched, items_of, llmbar_decisions
from tests.shared_data import each
from tests.stats.judge_meta import expected

EVALUATORS = each(lambda: list(expected("evaluators", "llmbar")))


def figure(report: SuiteReport, name: str, group: str) -> Figure:
    """A figure that there must be."""
    found = report.figure(name, group)
    assert found is not None, (name, group)
    return found


@pytest.mark.parametrize("name", ["llmbar", "judgebench"])
def test_the_files_are_upstreams(name: str) -> None:
    """The files that the shared data were made of have the pinned hashes and sizes."""
    for source in get_suite(name).sources:
        data = fetched(source)
        assert source.sha256 != UNPINNED
        assert (sha256_hex(data), len(data)) == (source.sha256, source.bytes)


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_published_counts(evaluator: str) -> None:
    """Counts, agreement of the orders, kappas and the preference for the longer output are upstream's."""
    report = get_suite("llmbar").report(items_of("llmbar"), llmbar_decisions(evaluator))
    for subset in SUBSETS:
        wanted = expected("evaluators", "llmbar")[evaluator][subset]
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
