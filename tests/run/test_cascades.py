"""``run.cascades`` on its own: what is missing, what a cheap judge is worth, words for it, and docs/cascade.md."""

import doctest
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from judgebench.models.pricing import Price
from judgebench.records import Cascade, Completion, ExampleScore, Judgement, Score, Usage, Verdict
from judgebench.run.cascades import asked, both_judges, in_words, is_worth, with_late
from judgebench.stats.cascade import cascade_mean
from judgebench.task.metric import Metric, single_row

PAGE = Path(__file__).parents[2] / "docs" / "cascade.md"
SHARE = Metric(name="win_rate", value_of=single_row("preference"))
IDS = [f"{number:02d}" for number in range(10)]
CASCADE = Cascade(cheap=("cheap",), dear="dear", dear_model="dear", population=10, n=4, seed=0)


def rows(values: dict[str, float | None]) -> list[ExampleScore]:
    """As a task makes them."""
    return [ExampleScore(example_id=name, metric="preference", value=value) for name, value in values.items()]


def test_every_snippet_of_the_page_prints_what_stands_below_it() -> None:
    """The snippets are run in order, as a reader would type them."""
    found = doctest.testfile(str(PAGE), module_relative=False)
    assert (found.failed, found.attempted > 8) == (0, True)


def test_what_is_missing_is_counted_and_an_unread_cheap_verdict_is_its_mean() -> None:
    """Example 9 has no answer; the cheap judge's verdict on 1 and the dear one's on 2 cannot be read."""
    cheap = rows({name: 0.8 if name < "05" else 0.2 for name in IDS} | {"01": None})
    dear = rows({"00": 1.0, "01": 0.0, "02": None, "07": 0.0, "09": 1.0})
    both = both_judges(SHARE, cheap, dear, IDS[:9], IDS, [*IDS[:3], "07", "09"])
    assert both.dear == {"00": 1.0, "01": 0.0, "07": 0.0}
    assert both.cheap["01"] == pytest.approx((4 * 0.8 + 4 * 0.2) / 8)
    assert both.missing == 2
    assert both.estimate(SHARE).population == 9


@pytest.mark.parametrize(("noise", "worth"), [(0.0, True), (0.5, True), (None, False)])
def test_a_cheap_judge_is_worth_something_if_it_follows_the_dear_one(noise: float | None, worth: bool) -> None:
    """Of chance alone, no more than one in twenty is called worth something: here of 40, at most 6."""
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        quality = rng.normal(size=200)
        cheap = rng.normal(size=200) if noise is None else quality + noise * rng.normal(size=200)
        low, high = -20.0, 20.0
        found.append(is_worth(cascade_mean(quality[:60], cheap[:60], cheap[60:], low=low, high=high)))
    assert sum(found) == 40 if worth else sum(found) <= 6


def test_what_both_judges_cost_and_what_was_saved() -> None:
    """The dear judge on all ten costs 10/4 of its four calls; a price that is not known says so."""

    def judged(name: str, model: str) -> Judgement:
        replies = (Completion(text="A", usage=Usage(prompt_tokens=10**6)),)
        return Judgement(
            case_id=name, example_id=name, judge="j", judge_model=model, answers=("m",), verdict=Verdict(value=1.0),
            replies=replies,
        )  # fmt: skip

    every = [judged(name, "cheap") for name in IDS] + [judged(name, "dear") for name in IDS[:4]]
    prices = {"cheap": Price(prompt=1.0, completion=0.0), "dear": Price(prompt=20.0, completion=0.0)}
    found = asked(CASCADE, every, prices, IDS[:4])
    assert (found.cheap_calls, found.dear_calls, found.usd_cheap, found.usd_dear) == (10, 4, 10.0, 80.0)
    assert found.usd_saved == 80.0 * 6 / 4 - 10.0
    assert "dear on all would cost about $200.00: $110.00 saved" in in_words(found, [])[-1]
    unknown = asked(CASCADE, every, {"dear": prices["dear"]}, IDS[:4])
    assert (unknown.usd_cheap, unknown.usd_saved) == (None, None)
    assert "is not known" in in_words(unknown, [])[-1]


def test_calls_that_nobody_used_are_no_savings() -> None:
    """The rule ended it after 4 of 10 examples, and all 10 calls were paid: 7 are in the folder, 3 in the books alone.
    Nothing was saved, and the screen says how many calls were paid and how many used.
    """
    ended = structs.replace(CASCADE, rule="ci<30", dear_calls=7, dear_used=4, usd_cheap=1.0, usd_dear=14.0)
    found = with_late({"task": ended}, 10, 20.0)["task"]
    assert (found.dear_unused, found.usd_dear, found.usd_saved) == (3, 20.0, -1.0)
    said = in_words(found, [])
    assert "dear 4 of them (10 calls paid, 4 used: the others were under way when it ended)" in said[0]
    assert "dear on all would cost about $20.00: $1.00 more than that was paid" in said[-1]
    both = with_late({"one": ended, "two": structs.replace(ended, dear_calls=2, dear_used=2)}, 12, 24.0)
    assert [cascade.dear_unused for cascade in both.values()] == [2, 1]


def test_a_useless_cheap_judge_is_called_so() -> None:
    """And a gain is put as the verdicts that it saved; details that a stranger wrote are passed over."""

    def score(details: object) -> Score:
        return Score(task="t", metric="win_rate", value=1.0, unit="percent", n=10, details={"cascade": details})

    told = in_words(
        CASCADE,
        [
            score({"n_dear": 4, "gain": 0.97, "worth": False}),
            score({"n_dear": 100, "gain": 1.7, "worth": True}),
            score({"n_dear": "many"}),
        ],
    )
    assert "cheap is worth nothing here" in told[1]
    assert "100 verdicts of dear did the work of 170" in told[2]
    assert len(told) == 4
