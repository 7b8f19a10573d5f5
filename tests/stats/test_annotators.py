"""Judges beside people: the published alternative annotator tests, and people left out one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from judgebench.stats.annotators import alternative_annotator_test, leave_one_out
from tests.stats.judge_meta import expected, lines

CODES = {"model_a": 1.0, "model_b": -1.0, "tie": 0.0}


@pytest.mark.parametrize("judge", ["gemini_pro", "gpt-4o", "gpt-4o-mini", "mistral-v03"])
def test_mt_bench(judge: str) -> None:
    """Winning rate and advantage of four judges beside three people who did not all label everything, to 1e-12."""
    votes = lines("mtbench_human/votes")
    names = sorted({name for vote in votes for name in vote["human"]})
    labels = [[CODES.get(vote["human"].get(name), np.nan) for vote in votes] for name in names]
    verdicts = [CODES[vote["llm"][judge]] for vote in votes]
    for margin, wanted in expected(judge, "mtbench_human")["alt_test"].items():
        found = alternative_annotator_test(labels, verdicts, float(margin.removeprefix("epsilon_")))
        assert found.winning_rate == wanted["winning_rate"]
        assert found.advantage == pytest.approx(wanted["advantage_probability"], abs=1e-12)
        assert (found.left_out, found.items) == (0, 120)


@pytest.mark.parametrize("judge", ["judge_gpt35", "judge_pandalm"])
def test_pandalm(judge: str) -> None:
    """The same of two judges on PandaLM, where upstream's figures have an unread verdict as a label of its own."""
    rows = lines("pandalm/cross_annotations")
    labels = [[row[f"annotator{number}"] for row in rows] for number in (1, 2, 3)]
    verdicts = [-9 if row[judge] is None else row[judge] for row in rows]
    for margin, wanted in expected("alt_test_upstream", "pandalm")[judge].items():
        found = alternative_annotator_test(labels, verdicts, float(margin.removeprefix("epsilon_")))
        assert found.winning_rate == wanted["winning_rate"]
        assert found.advantage == pytest.approx(wanted["advantage_probability"], abs=1e-12)
        assert found.passes == (wanted["winning_rate"] >= 0.5)
        assert found.advantage_interval is not None
        assert found.advantage_interval.low < wanted["advantage_probability"] < found.advantage_interval.high


def test_ordinal_labels_are_scored_by_distance() -> None:
    """A judge that is one point off everywhere is closer than people who are two points off."""
    rng = np.random.default_rng(0)
    truth = rng.integers(3, 8, size=60)
    people = truth + rng.choice([-2, 2], size=(3, 60))
    found = alternative_annotator_test(people, truth + 1, 0.1, score="neg_rmse")
    assert found.winning_rate == 1.0
    assert all(rival.judge_as_good > rival.human_as_good for rival in found.rivals)


def test_few_items_use_ranks_or_are_left_out() -> None:
    """Below 30 items an annotator is left out, unless fewer are allowed; then a signed-rank test decides."""
    truth = np.arange(20) % 2
    people = np.stack([truth, 1 - truth, np.where(np.arange(20) < 15, truth, 1 - truth)])
    assert alternative_annotator_test(people, truth).winning_rate is None
    assert alternative_annotator_test(people, truth).left_out == 3
    found = alternative_annotator_test(people, truth, least_items=10)
    assert [rival.items for rival in found.rivals] == [20, 20, 20]
    assert found.rivals[1].p_value < 0.001


def plainly_left_out(labels: np.ndarray, judge: np.ndarray) -> tuple[list[float], list[float]]:  # type: ignore[type-arg]
    """Item by item: agreement of each person, and of the judge, with the mode of the others."""
    human, machine = [], []
    for place in range(len(labels)):
        scores: list[tuple[float, float]] = []
        for item in range(labels.shape[1]):
            others = [label for row, label in enumerate(labels[:, item]) if row != place and not np.isnan(label)]
            if np.isnan(labels[place, item]) or np.isnan(judge[item]) or not others:
                continue
            most = max(map(others.count, others))
            modes = {label for label in others if others.count(label) == most}
            scores.append(
                ((labels[place, item] in modes) / len(modes), (judge[item] in modes) / len(modes)),
            )
        if scores:
            human.append(float(np.mean([score[0] for score in scores])))
            machine.append(float(np.mean([score[1] for score in scores])))
    return human, machine


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), people=st.integers(2, 5), items=st.integers(1, 12))
def test_leaving_out_equals_a_plain_loop(seed: int, people: int, items: int) -> None:
    """Also with missing labels and several modes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=(people, items)).astype(float)
    judge = rng.integers(4, size=items).astype(float)
    labels[rng.random(labels.shape) < 0.3] = np.nan
    judge[rng.random(items) < 0.2] = np.nan
    human, machine = plainly_left_out(labels, judge)
    found = leave_one_out(labels, judge)
    assert found.annotators == len(human)
    if human:
        assert found.human == pytest.approx(np.mean(human))
        assert found.judge == pytest.approx(np.mean(machine))
    else:
        assert found.human is None
        assert found.reason is not None


def test_the_ceiling_of_pandalm() -> None:
    """People agree with the others' mode on 92 %; gpt-3.5 reaches 78 % of that, and the interval says how surely."""
    rows = lines("pandalm/cross_annotations")
    labels = [[row[f"annotator{number}"] for row in rows] for number in (1, 2, 3)]
    verdicts = [np.nan if row["judge_gpt35"] is None else row["judge_gpt35"] for row in rows]
    found = leave_one_out(labels, verdicts)
    assert found.human == pytest.approx(0.9165, abs=1e-4)
    assert found.ratio == pytest.approx(0.7791, abs=1e-4)
    assert found.comparisons == 3 * 647
    assert found.ratio_interval is not None
    assert 0.70 < found.ratio_interval.low < found.ratio < found.ratio_interval.high < 0.85


def test_malformed_labels_are_named() -> None:
    """Shapes, infinite labels and margins that mean nothing are refused in words."""
    with pytest.raises(ValueError, match="shape"):
        leave_one_out([[1, 2]], [1])
    with pytest.raises(ValueError, match="finite"):
        leave_one_out([[1, np.inf]], [1, 1])
    with pytest.raises(ValueError, match="margins"):
        alternative_annotator_test([[1, 2]], [1, 1], 1.5)


def test_intervals_cover() -> None:
    """Of 200 samples of 60 items, 95 % intervals of ceiling, judge, ratio and advantage cover in 90 to 99 %."""

    def drawn(rng: np.random.Generator, items: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        truth = rng.integers(2, size=items)
        people = np.where(rng.random((3, items)) < 0.2, 1 - truth, truth)
        return people, np.where(rng.random(items) < 0.25, 1 - truth, truth)

    whole = drawn(np.random.default_rng(0), 200_000)
    found, test = leave_one_out(*whole), alternative_annotator_test(*whole)
    hits = np.zeros(4)
    for seed in range(200):
        sample = drawn(np.random.default_rng(seed + 1), 60)
        one, other = leave_one_out(*sample), alternative_annotator_test(*sample)
        pairs = (
            (found.human, one.human_interval),
            (found.judge, one.judge_interval),
            (found.ratio, one.ratio_interval),
            (test.advantage, other.advantage_interval),
        )
        for place, (value, interval) in enumerate(pairs):
            assert value is not None
            assert interval is not None
            hits[place] += interval.low <= value <= interval.high
    assert ((hits >= 180) & (hits <= 198)).all()


def test_everybody_agreeing_has_an_interval() -> None:
    """A judge that is always as good has an advantage of 1, and an interval below it."""
    labels = np.tile(np.arange(40) % 2, (3, 1))
    found = alternative_annotator_test(labels, labels[0])
    assert found.advantage == 1
    assert found.advantage_interval is not None
    assert 0.8 < found.advantage_interval.low < found.advantage_interval.high == 1
    assert leave_one_out(labels, labels[0]).human_interval is not None
