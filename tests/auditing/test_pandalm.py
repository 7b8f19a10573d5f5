"""PandaLM: the figures of two judges and three people on 666 items, under both policies for nulls."""

from collections import Counter

import pytest

from judgebench.auditing.suites import get_suite
from tests.auditing.published import items_of, pandalm_decisions
from tests.auditing.test_llmbar import figure
from tests.stats.judge_meta import expected, lines

JUDGES = ("judge_gpt35", "judge_pandalm")


@pytest.mark.parametrize("judge", JUDGES)
def test_published_figures(judge: str) -> None:
    """Accuracy, macro scores, kappas and counts to 1e-12, each with an interval around it."""
    wanted = expected("stats", "pandalm")[judge]
    report = get_suite("pandalm").report(items_of("pandalm"), pandalm_decisions(judge))
    names = {
        "accuracy_with_ties": "accuracy",
        "macro_precision": "macro_precision",
        "macro_recall": "macro_recall",
        "macro_f1": "macro_f1",
        "accuracy_without_ties": "accuracy_without_ties",
        "cohen_kappa_vs_majority": "kappa",
        "linear_weighted_kappa_1<tie<2": "kappa_linear",
        "mean_agreement_with_single_human": "agreement_with_one_person",
    }
    for key, name in names.items():
        found = figure(report, name, "all")
        assert found.value == pytest.approx(wanted[key], abs=1e-12), key
        assert found.interval is not None
        assert found.interval.low < wanted[key] < found.interval.high
    counts = {"unparsed": "unparsed", "picked_1": "picked_1", "picked_2": "picked_2", "picked_tie": "picked_tie"}
    for key, name in counts.items():
        assert figure(report, name, "all").successes == wanted[key]
    assert figure(report, "accuracy_without_ties", "all").n == wanted["n_without_ties"]
    assert (report.judged, report.nulls) == (wanted["n"], wanted["unparsed"])


@pytest.mark.parametrize("judge", JUDGES)
def test_nulls_as_ties_are_upstreams_choice(judge: str) -> None:
    """Upstream reads a reply that it cannot read as a tie; the option reproduces that and says so in the policy."""
    wanted = expected("stats", "pandalm")[judge]["unparsed_counted_as_tie"]
    report = get_suite("pandalm").report(items_of("pandalm"), pandalm_decisions(judge), options={"null_as": "tie"})
    for name, value in wanted.items():
        found = figure(report, name, "all")
        assert found.value == pytest.approx(value, abs=1e-12)
        assert "a null is a tie" in found.policy


def test_people_among_each_other() -> None:
    """Alphas and kappas of the three people, and their majorities."""
    wanted = expected("stats", "pandalm")
    items = items_of("pandalm")
    assert Counter(str(item.majority) for item in items) == wanted["majority_counts"]
    report = get_suite("pandalm").report(items, pandalm_decisions("judge_pandalm"))
    for name, key in (
        ("human_alpha_nominal", "krippendorff_alpha_nominal_3_annotators"),
        ("human_alpha_ordinal", "krippendorff_alpha_ordinal_1<tie<2"),
        ("human_alpha_interval", "krippendorff_alpha_interval_-1_0_1"),
        ("human_kappa_fleiss", "fleiss_kappa_3_annotators"),
        ("human_kappa_randolph", "randolph_kappa_3_annotators"),
    ):
        assert figure(report, name, "all").value == pytest.approx(wanted[key], rel=1e-9)
    assert report.ceiling is not None
    assert report.over_ceiling is not None
    assert report.ceiling.value == pytest.approx(0.9159, abs=1e-4)
    assert report.over_ceiling.value == pytest.approx(0.7273, abs=1e-4)


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize(("people", "margin"), [("experts", "0.2"), ("crowd", "0.1")])
def test_alternative_annotators(judge: str, people: str, margin: str) -> None:
    """Winning rate and advantage as upstream has them, where an unread verdict is a label of its own."""
    wanted = expected("alt_test_upstream", "pandalm")[judge][f"epsilon_{margin}"]
    report = get_suite("pandalm").report(items_of("pandalm"), pandalm_decisions(judge), options={"people": people})
    assert figure(report, "alternative_annotator_wins", "all").value == wanted["winning_rate"]
    found = figure(report, "judge_as_good_as_a_person", "all")
    assert found.value == pytest.approx(wanted["advantage_probability"], abs=1e-12)


def test_a_response_may_be_a_truth_value() -> None:
    """Six responses of the file are true or false instead of text; they are read as Python would print them."""
    odd = [line for line in lines("pandalm/cross_annotations") if isinstance(line["response1"], bool)]
    texts = {item.id: item.responses[0][0] for item in items_of("pandalm")}
    assert odd
    assert all(texts[str(line["idx"])] == str(line["response1"]) for line in odd)


def test_what_missing_verdicts_could_do() -> None:
    """The headline if all 19 unread replies were wrong, or right; nothing where none is missing."""
    report = get_suite("pandalm").report(items_of("pandalm"), pandalm_decisions("judge_gpt35"))
    assert report.if_nulls_were is not None
    assert report.if_nulls_were == pytest.approx((467 / 666, 486 / 666))
    assert get_suite("pandalm").report(items_of("pandalm"), pandalm_decisions("judge_pandalm")).if_nulls_were is None
