"""Figures of an audit from decisions that are written down."""

from collections.abc import Iterable

import pytest

from judgebench.auditing.asking import rated_pair, share_of_first, spread
from judgebench.auditing.biases import Verdicts, attacks, calibrated, length, own_answers, position, repeats, style
from judgebench.auditing.figures import ALL, Figure
from judgebench.auditing.items import Decision, Item, Label
from judgebench.auditing.suites import get_suite
from judgebench.records import Message


def item(
    number: int, first: str, second: str, votes: Iterable[str], *, models: tuple[str, ...] = (), suite: str = "llmbar"
) -> Item:
    """A pair with a label of each person."""
    return Item(
        id=f"i{number}",
        suite=suite,
        subset="natural",
        cluster=f"c{number}",
        messages=(Message(role="user", content="?"),),
        responses=((first,), (second,)),
        models=models,
        gold=tuple(Label(annotator=f"p{place}", label=vote) for place, vote in enumerate(votes)),
    )


def decided(items: Iterable[Item], wins: Iterable[str]) -> list[Decision]:
    """Decisions in both orders for the response ``1`` or ``2``, a tie (``=``) or a null (``?``)."""
    shown = {"1": ("A>B", "B>A"), "2": ("B>A", "A>B"), "=": ("A=B", "A=B"), "?": (None, None)}
    return [
        Decision(item=one.id, order=order, shown=verdict, error=None if verdict else "unread")  # type: ignore[arg-type]
        for one, win in zip(items, wins, strict=True)
        for order, verdict in zip(("12", "21"), shown[win], strict=True)
    ]


def figure(probe_figures: Iterable[Figure], name: str) -> Figure:
    """A figure over all items."""
    return next(one for one in probe_figures if (one.name, one.group) == (name, ALL))


def test_the_label_of_several_people_is_the_most_frequent_one() -> None:
    """A majority decides; a tie of votes, or a majority of ties, is no label."""
    items = [item(n, "a", "b", votes) for n, votes in enumerate((("1", "1", "2"), ("1", "2"), ("tie", "tie", "2"), ()))]
    assert Verdicts.of("x", items, [], rates=False).gold.tolist() == [1, 0, 0, 0]


def test_length_is_measured_beside_people() -> None:
    """The judge takes the longer answer in all three pairs, people in one: an excess of 2/3; nulls and near ties go."""
    long, short = "x" * 100, "y" * 20
    items = [
        item(0, long, short, ["1"]),
        item(1, long, short, ["2"]),
        item(2, short, long, ["1"]),
        item(3, long, short, ["1"]),
        item(4, "x" * 60, "y" * 40, ["1"]),
        item(5, long, short, ["tie"]),
    ]
    found = length(Verdicts.of("x", items, decided(items, ["1", "1", "2", "?", "1", "1"]), rates=False))
    assert figure(found.figures, "prefers_longer").successes is None
    assert figure(found.figures, "prefers_longer").n == 3
    assert figure(found.figures, "prefers_longer").value == 1.0
    assert figure(found.figures, "prefers_longer_gold").value == pytest.approx(1 / 3)
    assert figure(found.figures, "prefers_longer_excess").value == pytest.approx(2 / 3)
    assert "needs 20 pairs" in (figure(found.figures, "length_given_gold").reason or "")
    assert found.nulls == 2


def test_style_counts_pairs_of_which_one_response_has_it() -> None:
    """Two answers with lists say nothing about lists."""
    listed, plain = "- one\n- two", "one and two"
    items = [item(0, listed, plain, ["2"]), item(1, listed, listed, ["1"]), item(2, plain, listed, ["2"])]
    found = style(Verdicts.of("x", items, decided(items, ["1", "1", "2"]), rates=False))
    assert figure(found.figures, "prefers_lists").n == 2
    assert figure(found.figures, "prefers_lists_excess").value == pytest.approx(0.5)
    assert figure(found.figures, "prefers_code").n == 0


def test_own_answers_against_others() -> None:
    """Right on both own answers that people prefer, and on one of two of the others': self-preference 1/2."""
    pairs = [("own-7b", "other", "1"), ("other", "own-7b", "2"), ("own-7b", "other", "2"), ("own-7b", "other", "2")]
    items = [item(n, "a", "b", [gold], models=(one, other)) for n, (one, other, gold) in enumerate(pairs)]
    items.append(item(9, "a", "b", ["1"], models=("own-7b", "own-13b")))
    verdicts = Verdicts.of("x", items, decided(items, ["1", "2", "2", "1", "1"]), rates=False)
    found = own_answers(verdicts, lambda name: name.startswith("own"))
    assert figure(found.figures, "own_better_found").value == 1.0
    assert figure(found.figures, "other_better_found").value == 0.5
    assert figure(found.figures, "self_preference").value == 0.5


def test_probabilities_are_read_in_the_item_s_coordinates() -> None:
    """A probability is that of response 2 in either order; a perfect and certain judge has no error."""
    items = [item(0, "a", "b", ["1"]), item(1, "a", "b", ["2"])]
    decisions = [
        Decision(item=one.id, order=order, shown="A>B" if order[0] == right else "B>A", p=float(right == "2"))
        for one, right in zip(items, ("1", "2"), strict=True)
        for order in ("12", "21")
    ]
    verdicts = Verdicts.of("x", items, decisions, rates=False)
    assert [share_of_first(decision) for decision in decisions] == [1.0, 0.0, 0.0, 1.0]
    found = calibrated(verdicts)
    assert figure(found.figures, "brier").value == 0.0
    assert figure(found.figures, "auc").value == 1.0
    assert figure(position(verdicts).figures, "consistent").value == 1.0


def test_a_judge_of_the_order_alone_calls_a_tie() -> None:
    """Both places get what they get whoever stands there, so nobody wins; sums that are not exact make no winner."""
    pair = item(0, "a", "b", ["1"])
    for share in (0.1, 0.3, 0.7000000410550024):
        decisions = [Decision(item=pair.id, order="12", p=1 - share), Decision(item=pair.id, order="21", p=share)]
        assert Verdicts.of("x", [pair], decisions, rates=False).shares.tolist() == [0.5]


def test_ratings_count_whatever_order_a_suite_scores() -> None:
    """RewardBench scores one drawn order and LLMBar gives equal ratings to the second place; the ratings tell more."""
    items = [item(0, "a", "b", ["1"], suite="rewardbench"), item(1, "a", "b", ["1"], suite="rewardbench")]
    suite = get_suite("rewardbench")
    decisions = [
        one for each, scores in zip(items, ((7.0, 3.0), (5.0, 5.0)), strict=True) for one in suite.decide(each, scores)
    ]
    assert Verdicts.of("rewardbench", items, decisions, rates=True).shares.tolist() == [1.0, 0.5]
    decisions = [one for each in items for one in get_suite("llmbar").decide(each, (5.0, 5.0))]
    assert Verdicts.of("llmbar", items, decisions, rates=True).shares.tolist() == [0.5, 0.5]


def test_an_unrated_response_makes_a_null_in_both_orders() -> None:
    """One rating alone is no verdict, and the reason is kept."""
    made = list(rated_pair("i0", (7.0, None), error="no number"))
    assert [one.shown for one in made] == [None, None]
    assert made[0].error == "no number"


def test_repeats_count_a_null_as_a_verdict_of_its_own() -> None:
    """Two of three replies to a prompt agree where the third is unread."""
    items = [item(0, "a", "b", ["1"])]
    made = [Decision(item="i0", repeat=number, shown="A>B") for number in (0, 1)]
    found = repeats(Verdicts.of("repeats", items, [*made, Decision(item="i0", repeat=2, error="?")], rates=False))
    assert figure(found.figures, "stable").value == pytest.approx(2 / 3)
    assert figure(found.figures, "all_equal").value == 0.0


def test_nothing_was_attacked() -> None:
    """Items of people alone have no attack in them: no figure has a value, and none fails."""
    items = [item(0, "a", "b", ["1"])]
    found = attacks(Verdicts.of("x", items, decided(items, ["1"]), rates=False))
    assert all(one.value is None for one in found.figures)


def test_a_limit_is_spread_over_the_suite() -> None:
    """Three of nine items are every third one; a share is rounded up; more than there are is all."""
    items = [item(n, "a", "b", ["1"]) for n in range(9)]
    assert [one.id for one in spread(items, 3)] == ["i0", "i3", "i6"]
    assert len(spread(items, 0.12)) == 2
    assert len(spread(items, 100)) == 9
    assert spread(items, None) == tuple(items)


def test_near_ties_are_told_from_clear_cases() -> None:
    """Consistency is given apart where people agree and where they differ, if several people judged an item."""
    items = [item(0, "a", "b", ["1", "1"]), item(1, "a", "b", ["1", "2"]), item(2, "a", "b", ["tie", "tie"])]
    decisions = [
        *decided(items[:1], ["1"]),
        *(Decision(item=one.id, order=o, shown="A>B") for one in items[1:] for o in ("12", "21")),
    ]
    found = {
        one.group: one
        for one in position(Verdicts.of("x", items, decisions, rates=False)).figures
        if one.name == "consistent"
    }
    assert {group: one.value for group, one in found.items()} == {
        ALL: pytest.approx(1 / 3),
        "people agree": 1.0,
        "people differ": 0.0,
    }


def test_accuracy_on_what_a_judge_is_sure_of() -> None:
    """Of four pairs it is right on the two of which it is surest: 50 % of all, 100 % of the surest half."""
    items = [item(n, "a", "b", ["1"]) for n in range(4)]
    decisions = [
        Decision(item=one.id, order=order, shown="A>B", p=p)
        for one, p in zip(items, (0.05, 0.1, 0.6, 0.7), strict=True)
        for order in ("12", "21")
    ]
    found = calibrated(Verdicts.of("x", items, decisions, rates=False))
    sure = {one.group: one.value for one in found.figures if one.name == "accuracy_if_sure"}
    assert sure == {"100 %": 0.5, "75 %": pytest.approx(2 / 3), "50 %": 1.0, "25 %": 1.0}
