"""MT-Bench's people: FastChat's agreement of four judges, and of people among each other, in both setups."""

import json

import pytest

from judgebench.auditing.items import Decision
from judgebench.auditing.suites import get_suite
from judgebench.errors import RecordError
from tests.auditing.published import fetched, items_of, mtbench_decisions
from tests.auditing.test_llmbar import figure
from tests.stats.judge_meta import expected

JUDGES = ("gemini_pro", "gpt-4o", "gpt-4o-mini", "mistral-v03")
SETUPS = {
    "turn1_S1_with_ties": ("s1", "turn1"),
    "turn1_S2_without_ties": ("s2", "turn1"),
    "turn2_S1_with_ties": ("s1", "turn2"),
    "turn2_S2_without_ties": ("s2", "turn2"),
}


@pytest.mark.parametrize("judge", JUDGES)
def test_published_agreement(judge: str) -> None:
    """Comparisons and agreements by turn and setup, exactly; the alternative annotator test at two margins."""
    wanted = expected(judge, "mtbench_human")
    for people, margin in (("experts", "0.2"), ("crowd", "0.1")):
        report = get_suite("mtbench-human").report(
            items_of("mtbench-human"), mtbench_decisions(judge), options={"voters": "all", "people": people}
        )
        test = wanted["alt_test"][f"epsilon_{margin}"]
        assert figure(report, "alternative_annotator_wins", "all").value == test["winning_rate"]
        found = figure(report, "judge_as_good_as_a_person", "all")
        assert found.value == pytest.approx(test["advantage_probability"], abs=1e-12)
    for key, (setup, turn) in SETUPS.items():
        for name, numbers in (
            (f"agreement_{setup}", wanted["agreement_judge_human"][key]),
            (f"human_agreement_{setup}", expected("agreement_human_human", "mtbench_human")[key]),
        ):
            found = figure(report, name, turn)
            assert (found.successes, found.n) == (numbers["agree"], numbers["total"]), (key, name)
            assert found.value == pytest.approx(numbers["ratio"])
            assert found.interval is not None
            assert found.interval.low < numbers["ratio"] < found.interval.high
    ties = figure(report, "tie_rate", "all")
    assert ties.successes == wanted["verdicts"]["tie"]


def test_votes_of_authors_count_only_when_asked_for() -> None:
    """By default the votes of experts alone are compared, as in FastChat's program."""
    suite, items = get_suite("mtbench-human"), items_of("mtbench-human")
    default = suite.report(items, mtbench_decisions("gpt-4o"))
    everybody = suite.report(items, mtbench_decisions("gpt-4o"), options={"voters": "all"})
    experts = sum(label.annotator.startswith("expert") for item in items for label in item.gold)
    assert figure(default, "agreement_s1", "all").n == experts
    assert figure(everybody, "agreement_s1", "all").n == 246


def test_orders_that_disagree_are_a_tie_and_a_null_is_none() -> None:
    """A judge that always prefers the first shown has only ties; one that cannot be read agrees with nobody."""
    suite, items = get_suite("mtbench-human"), items_of("mtbench-human")
    first = [Decision(item=item.id, order=order, shown="A>B") for item in items for order in ("12", "21")]
    report = suite.report(items, first, options={"voters": "all"})
    assert figure(report, "tie_rate", "all").value == 1
    assert figure(report, "agreement_s2", "all").n == 0
    assert figure(report, "first_both", "all").value == 1
    unread = [Decision(item=item.id, order=order, error="cut off") for item in items for order in ("12", "21")]
    report = suite.report(items, unread, options={"voters": "all"})
    assert figure(report, "agreement_s1", "all").successes == 0
    assert figure(report, "agreement_s1", "all").n == 246
    report = suite.report(items, unread, options={"voters": "all", "null_as": "drop"})
    assert figure(report, "agreement_s1", "all").n == 0


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("winner", "model_c", "'winner' must be"),
        ("turn", 3, "'turn' must be"),
        ("conversation_a", [{"role": "user"}], "'conversation_a' must begin"),
        ("conversation_b", "hello", "'conversation_b' must begin"),
        ("judge", None, "'judge'"),
    ],
)
def test_a_row_that_is_no_vote_is_named(key: str, value: object, message: str) -> None:
    """The file and the row are in the message."""
    suite = get_suite("mtbench-human")
    rows = json.loads(fetched(suite.sources[0]))
    rows[1][key] = value
    with pytest.raises(RecordError, match=message):
        suite.load(lambda _: json.dumps(rows).encode())
