"""Decisions: how they are read in the item's coordinates, and what a file of them may not hold."""

from pathlib import Path

import pytest

from judgebench.auditing.items import Decision, Item, Label, read_decisions, turned, write_decisions
from judgebench.auditing.suites import SUITES, get_suite
from judgebench.errors import RecordError, UsageError
from judgebench.records import Message


def item(name: str = "a", responses: int = 2, gold: str = "1") -> Item:
    """An item of the suite llmbar."""
    return Item(
        id=name,
        suite="llmbar",
        subset="natural",
        cluster=name,
        messages=(Message(role="user", content="Why?"),),
        responses=tuple((f"answer {number}",) for number in range(responses)),
        gold=(Label(annotator="gold", label=gold),),
    )


def test_a_swapped_verdict_is_about_the_other_response() -> None:
    """Order 21 shows the second response first; a tie and a null stay what they are."""
    for shown, straight, swapped in (("A>>B", 1, 2), ("B>A", 2, 1), ("A=B", 0, 0), (None, None, None)):
        assert Decision(item="a", shown=shown).winner == straight  # type: ignore[arg-type]
        assert Decision(item="a", order="21", shown=shown).winner == swapped  # type: ignore[arg-type]
        assert Decision(item="a", order="21", shown=turned(shown)).winner == straight  # type: ignore[arg-type]
    assert Decision(item="a", order="3124", shown="A").winner == 3
    assert Decision(item="a", shown="A<B").winner is None  # type: ignore[arg-type]
    assert Decision(item="a", shown="C").winner is None


def test_decisions_outlive_a_file(tmp_path: Path) -> None:
    """What is written is read."""
    made = (
        Decision(item="ä", shown="A>B", p=0.25, seconds=1.5, usd=0.01),
        Decision(item="ä", order="21", error="no label"),
        Decision(item="ä", order="21", repeat=1, scores=(3.5, None), error="a score is missing"),
    )
    write_decisions(tmp_path / "d.jsonl", made)
    assert read_decisions(tmp_path / "d.jsonl") == made


@pytest.mark.parametrize(
    "line",
    [
        '{"item": "a", "order": "11"}',
        '{"item": "a", "order": ""}',
        '{"item": "a", "order": "' + "1" * 5000 + '"}',
        '{"item": "a", "order": "123", "shown": "A>B"}',
        '{"item": "a", "shown": "A<B"}',
        '{"item": "a", "p": 1.5}',
        '{"item": "a", "scores": [1e300]}',
        '{"item": "a", "seconds": -1}',
        '{"item": "a", "repeat": -1}',
        '{"item": "a", "extra": 1}',
        '{"item": "a", "scores": ' + "[" * 600 + "]" * 600 + "}",
        '{"item": "a"}\n{"item": "a"}',
        "[]",
    ],
)
def test_what_is_no_decision_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    """A file that somebody else made cannot bring in an order, verdict or number that means nothing."""
    (tmp_path / "d.jsonl").write_text('{"item": "b"}\n' + line + "\n")
    with pytest.raises(RecordError, match=r"d\.jsonl:[23]: "):
        read_decisions(tmp_path / "d.jsonl")


def test_a_file_without_decisions_is_refused(tmp_path: Path) -> None:
    """Nothing is not a perfect judge."""
    (tmp_path / "d.jsonl").write_text("")
    with pytest.raises(UsageError, match="holds no decisions"):
        read_decisions(tmp_path / "d.jsonl")


def test_decisions_about_another_suite_are_refused() -> None:
    """An unknown item, another number of responses and the same decision twice are errors, not silence."""
    suite = get_suite("llmbar")
    for made in (
        [Decision(item="b")],
        [Decision(item="a", order="123")],
        [Decision(item="a"), Decision(item="a", shown="A>B")],
    ):
        with pytest.raises(UsageError, match="llmbar"):
            suite.report([item()], made)


def test_an_item_judged_in_one_order_is_left_out_and_counted() -> None:
    """Both orders are asked for; what one of them says alone is no accuracy."""
    made = [Decision(item=name, order=order, shown="A>B") for name in "ab" for order in ("12", "21")][:-1]
    report = get_suite("llmbar").report([item("a"), item("b")], made)
    assert (report.items, report.judged, report.decisions) == (2, 1, 3)
    assert report.headline.n == 2


def test_options_are_those_of_the_suite() -> None:
    """A mistyped option is named with those that there are."""
    with pytest.raises(UsageError, match="has no option"):
        get_suite("llmbar").report([item()], [], options={"null_as": "luck"})
    with pytest.raises(UsageError, match=r"there are .*llmbar"):
        get_suite("llmbra")


@pytest.mark.parametrize("name", SUITES)
def test_no_decision_is_no_figure(name: str) -> None:
    """Without decisions every figure is missing with a reason, and nothing fails."""
    report = get_suite(name).report([], [])
    assert report.judged == 0
    assert report.headline.value is None
    assert all(figure.value is None and figure.reason for figure in report.figures)


def test_equal_scores_go_to_the_second_shown_where_upstream_says_so() -> None:
    """In LLMBar and JudgeBench a judge of single responses that scores both alike is half right."""
    made = get_suite("llmbar").decide(item(), [7, 7], seconds=3.0, usd=0.5)
    assert [(decision.order, decision.winner, decision.seconds) for decision in made] == [
        ("12", 2, 1.5),
        ("21", 1, 1.5),
    ]
    (first, second) = get_suite("judgebench").decide(item(), [7, None])
    assert (first.winner, second.winner, first.error) == (None, None, "a score is missing")
