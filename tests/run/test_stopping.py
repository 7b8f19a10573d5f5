"""Judging in random order until enough is known: the rule, the order, the end, and the decision of a gate."""

from collections.abc import Sequence

import numpy as np
import pytest

from judgebench import tasks
from judgebench.errors import UsageError
from judgebench.records import EarlyStop, ExampleScore, Score
from judgebench.run.stopping import (
    LEVEL,
    DifferenceWatch,
    Known,
    StopRule,
    Watch,
    decide_difference,
    early_stop_scores,
    random_order,
    stop_rule,
)
from judgebench.stats.sequential import betting_sequence
from judgebench.task.metric import Metric, single_row

SHARE = Metric(name="win_rate", value_of=single_row("preference"), win_share=True)
IDS = [f"{number:03d}" for number in range(300)]


def rule(half_width: float) -> StopRule:
    """Of a win rate."""
    return StopRule(f"win_rate ci<{half_width}", SHARE, half_width)


def rows(example_id: str, value: float | None) -> list[ExampleScore]:
    """An example's scores."""
    return [ExampleScore(example_id=example_id, metric="preference", value=value)]


def watched(values: dict[str, float | None], half_width: float, finished: Sequence[str]) -> Watch:
    """A watch that was shown these examples, as they finished."""
    watch = Watch(rule(half_width), list(values))
    for example_id in finished:
        watch.finished(example_id, rows(example_id, values[example_id]))
    return watch


@pytest.fixture
def values() -> dict[str, float | None]:
    """Wins, ties and losses of a win rate of 70 %."""
    draw = np.random.default_rng(3)
    return dict(zip(IDS, draw.choice([1.0, 0.5, 0.0], p=[0.65, 0.1, 0.25], size=len(IDS)).tolist(), strict=True))


@pytest.mark.parametrize(
    ("spec", "text", "said"),
    [
        ("alpacaeval", "ci<1.5", "use 'win_rate ci<1.5' or 'discrete_win_rate ci<1.5'"),
        ("alpacaeval", "lc_win_rate ci<1.5", "lc_win_rate is not a plain mean"),
        ("alpacaeval", "win rate<1", "is not of the form"),
        ("alpacaeval", "ci<0", "is not of the form"),
        ("alpacaeval", "ci<1.2.3", "is not of the form"),
        ("alpacaeval", "ci<1e999", "is not of the form"),
        ("alpacaeval", "elo ci<1", "elo is not a metric of alpacaeval@2"),
        ("wildbench", "ci<1", "use 'wb_score_micro ci<1' or 'wb_reward_micro ci<1'"),
        ("arenahard", "ci<1", "judge this task in full"),
        ("arenahard", "ci<1", "win_rate is not a plain mean"),
    ],
)
def test_a_rule_that_cannot_be_kept_is_refused(spec: str, text: str, said: str) -> None:
    """A fit, a weighted ratio, an unknown metric and a malformed rule are usage errors that say what would do."""
    task = tasks.load(tasks.TaskSpec(spec))[0]
    with pytest.raises(UsageError, match=r".*") as refused:
        stop_rule(text, task, judged=True)
    assert said in str(refused.value)


def test_a_task_without_verdicts_has_nothing_to_save() -> None:
    """Scores that were made elsewhere, say."""
    with pytest.raises(UsageError, match="nothing to save"):
        stop_rule("ci<1", tasks.load(tasks.TaskSpec("gsm8k"))[0], judged=False)


def test_without_a_metric_the_rule_is_about_the_headline() -> None:
    """MT-Bench's score, in points of its scale."""
    found = stop_rule("ci < .25", tasks.load(tasks.TaskSpec("mtbench"))[0], judged=True)
    assert (found.metric.name, found.half_width) == ("score", 0.25)


def test_the_order_is_drawn_once_and_does_not_depend_on_the_file() -> None:
    """The same permutation of the ids however they are given, and another one for another seed."""
    order = random_order(IDS)
    assert order == random_order(IDS[::-1])
    assert sorted(order) == IDS != order
    assert order != random_order(IDS, seed=1)


def test_the_end_does_not_depend_on_which_call_was_quick(values: dict[str, float | None]) -> None:
    """Examples that finish in any order are looked at in the drawn one: the same n and the same interval."""
    straight = watched(values, 6.0, random_order(IDS))
    assert straight.decided
    assert 20 < straight.n < len(IDS)
    assert straight.interval is not None
    assert (straight.interval.high - straight.interval.low) / 2 < 6.0
    for seed in range(3):
        shuffled = np.random.default_rng(seed).permutation(IDS).tolist()
        again = watched(values, 6.0, shuffled)
        assert (again.n, again.interval) == (straight.n, straight.interval)


def test_the_interval_is_that_of_the_betting_sequence(values: dict[str, float | None]) -> None:
    """After the first n of the order, in percent, to the sequence's own digits."""
    watch = watched(values, 6.0, random_order(IDS))
    first = [values[example_id] or 0.0 for example_id in random_order(IDS)[: watch.n]]
    sequence = betting_sequence(first, len(IDS), level=LEVEL)
    assert sequence.interval is not None
    assert watch.interval is not None
    assert watch.interval.low == pytest.approx(100 * sequence.interval.low, abs=1e-9)
    assert watch.interval.high == pytest.approx(100 * sequence.interval.high, abs=1e-9)
    assert sequence.first_narrower(0.06) == watch.n


def test_the_full_score_is_inside_as_often_as_promised() -> None:
    """Over 40 orders of 200 items, stopped by this rule, the score of all is outside in at most 5 %."""
    draw = np.random.default_rng(11)
    outside = 0
    for _ in range(40):
        scores = draw.permutation([1.0] * 130 + [0.5] * 10 + [0.0] * 60)
        watch = watched(dict(zip(IDS[:200], scores.tolist(), strict=True)), 9.0, random_order(IDS[:200]))
        assert watch.interval is not None
        outside += not watch.interval.low <= 67.5 <= watch.interval.high
    assert outside <= 2


def test_a_missing_number_may_be_anything(values: dict[str, float | None]) -> None:
    """With unread verdicts the interval holds both ways of counting them, and it takes more examples to be narrow."""
    order = random_order(IDS)
    lost, won = ({**values, **dict.fromkeys(order[:20:4], outcome)} for outcome in (0.0, 1.0))
    unread = {**values, **dict.fromkeys(order[:20:4], None)}
    watch = watched(unread, 7.0, order)
    least, greatest = watched(lost, 1e-3, order[: watch.n]), watched(won, 1e-3, order[: watch.n])
    assert watch.interval is not None
    assert least.interval is not None
    assert greatest.interval is not None
    # Grids differ with the half-width: 0.1 points a step here.
    assert watch.interval.low == pytest.approx(least.interval.low, abs=0.11)
    assert watch.interval.high == pytest.approx(greatest.interval.high, abs=0.11)
    assert watch.n > watched(values, 7.0, order).n


def test_all_examples_judged_is_no_early_stop(values: dict[str, float | None]) -> None:
    """A rule that nothing but the whole set satisfies saves nothing, and is not called early."""
    outcome = watched(values, 1e-4, random_order(IDS)).outcome(judge_calls=600, calls_so_far=600)
    assert (outcome.n, outcome.early_stopped, outcome.judge_calls_saved) == (300, False, 0)


def test_saved_calls_are_those_of_the_rest_at_the_same_rate(values: dict[str, float | None]) -> None:
    """With two calls an example, and eight in flight at the stop."""
    watch = watched(values, 6.0, random_order(IDS))
    outcome = watch.outcome(judge_calls=2 * watch.n + 8, calls_so_far=2 * watch.n)
    assert outcome.early_stopped
    assert outcome.judge_calls_saved == 600 - (2 * watch.n + 8)


def test_only_the_watched_metric_keeps_an_interval(values: dict[str, float | None]) -> None:
    """The others' intervals hold for a size fixed beforehand, which this one was not."""
    watch = watched(values, 6.0, random_order(IDS))
    stop: EarlyStop = watch.outcome(watch.n, watch.n)
    judged = watch.order[: watch.n]
    given = [
        Score(task="t", metric=name, value=70.0, unit="percent", stderr=1.0, low=68.0, high=72.0, level=0.95,
              method="mean; bootstrap", n=watch.n, group=group)
        for name, group in (("win_rate", None), ("win_rate", "subset=x"), ("lc_win_rate", None))
    ]  # fmt: skip
    scored = [row for example_id in judged for row in rows(example_id, values[example_id])]
    shown, *others = early_stop_scores(given, scored, judged, rule(6.0), stop)
    assert watch.interval is not None
    assert (shown.low, shown.high) == (watch.interval.low, watch.interval.high)
    assert shown.stderr is None
    assert shown.method is not None
    assert f"first {stop.n} of 300" in shown.method
    assert [(score.low, score.stderr, score.value) for score in others] == [(None, None, 70.0)] * 2


def test_a_gate_decides_from_paired_differences(values: dict[str, float | None]) -> None:
    """Even runs pass with a margin, a clear drop fails, and half-judged runs are undecided or agree with the whole."""
    worse = {key: max((value or 0.0) - 0.5, 0.0) for key, value in values.items()}
    passed = decide_difference(values, dict(values), IDS, 3.0, SHARE)
    assert (passed.verdict, passed.saved) == ("above", 300 - passed.n)
    failed = decide_difference(worse, values, IDS, 3.0, SHARE)
    assert failed.verdict == "below"
    assert failed.n < 100
    few = random_order(IDS)[:5]
    early = decide_difference({key: worse[key] for key in few}, values, IDS, 3.0, SHARE)
    assert (early.verdict, early.saved) == ("undecided", 0)


def test_a_gate_never_decides_by_what_is_missing(values: dict[str, float | None]) -> None:
    """A candidate without a single verdict is undecided; missing ones of a clear loser do not save it."""
    assert decide_difference(dict.fromkeys(IDS), values, IDS, 3.0, SHARE).verdict == "undecided"
    worse: dict[str, float | None] = dict.fromkeys(IDS, 0.0)
    worse |= dict.fromkeys(IDS[:20], None)
    assert decide_difference(worse, values, IDS, 3.0, SHARE).verdict == "below"


@pytest.mark.parametrize(("lost", "verdict"), [(0.0, "above"), (0.5, "below")])
def test_a_watched_difference_is_decided_at_the_same_example_however_it_is_told(
    values: dict[str, float | None], lost: float, verdict: str
) -> None:
    """All at once, one by one in the order, or in another one: n and the decision are those of the pure function, and
    the interval lies on its side of the margin; below ``least`` examples nothing is decided.
    """
    candidate = {key: max((value or 0.0) - lost, 0.0) for key, value in values.items()}
    rows_of = {key: rows(key, value) for key, value in candidate.items()}
    expected = decide_difference(candidate, values, IDS, 3.0, SHARE)
    assert expected.verdict == verdict
    watches = [DifferenceWatch(values, 3.0, SHARE, level=LEVEL) for _ in range(3)]
    watches[0].take(rows_of)
    for watch, order in ((watches[1], random_order(IDS)), (watches[2], IDS)):
        for key in order:
            watch.finished(key, rows_of[key])
    for watch in watches:
        assert (watch.decided, watch.n, watch.decision.verdict) == (True, expected.n, verdict)
        interval = watch.interval(0.9)
        assert interval is not None
        assert interval.low >= -3.0 if verdict == "above" else interval.high <= -3.0
    late = DifferenceWatch(values, 3.0, SHARE, level=LEVEL, least=expected.n + 7)
    late.take({key: rows_of[key] for key in random_order(IDS)[: expected.n]})
    assert not late.decided
    late.take(rows_of)
    assert (late.decided, late.n) == (True, expected.n + 7)


def test_a_margin_has_bounds(values: dict[str, float | None]) -> None:
    """A negative one, or one wider than any difference, is a mistake."""
    for margin in (-1.0, 101.0):
        with pytest.raises(ValueError, match="a margin lies between"):
            decide_difference(values, values, IDS, margin, SHARE)


def test_what_is_known_beforehand_decides_earlier() -> None:
    """The baseline's verdicts, and those of a third model: the decision is the same, and takes fewer examples; told one
    by one it takes the same n, and its interval lies on its side of the margin.
    """
    rng = np.random.default_rng(6)
    ease = dict(zip(IDS, rng.random(len(IDS)), strict=True))
    one, two, third = ({key: float(ease[key] + rng.normal(0, 0.2) < 0.6) for key in IDS} for _ in range(3))
    values, candidate = dict[str, float | None](one), dict[str, float | None](two)
    known: Known = {key: (one[key], third[key]) for key in IDS}
    plain = decide_difference(candidate, values, IDS, 3.0, SHARE)
    helped = decide_difference(candidate, values, IDS, 3.0, SHARE, known=known)
    assert plain.verdict == helped.verdict == "above"
    assert helped.n < plain.n
    watch = DifferenceWatch(values, 3.0, SHARE, level=LEVEL, known=known)
    for key in watch.order:
        watch.finished(key, rows(key, candidate[key]))
    assert (watch.decided, watch.n) == (True, helped.n)
    interval = watch.interval(0.9)
    assert interval is not None
    assert -3 <= interval.low < interval.high


def test_with_a_control_missing_numbers_decide_nothing_either(values: dict[str, float | None]) -> None:
    """Those of the candidate and of the baseline may be anything."""
    known: Known = {key: (value or 0.0,) for key, value in values.items()}
    assert decide_difference(dict.fromkeys(IDS), values, IDS, 3.0, SHARE, known=known).verdict == "undecided"
    unread = {**values, **dict.fromkeys(IDS[:100], None)}
    assert decide_difference(values, unread, IDS, 3.0, SHARE, known=known).verdict == "undecided"
    worse: dict[str, float | None] = {**dict.fromkeys(IDS, 0.0), **dict.fromkeys(IDS[:20], None)}
    assert decide_difference(worse, values, IDS, 3.0, SHARE, known=known).verdict == "below"
    nothing: dict[str, float | None] = dict.fromkeys(IDS, 0.0)
    assert decide_difference(nothing, nothing, IDS, 3.0, SHARE, known=known).verdict == "above"


def test_what_is_known_beforehand_narrows_the_interval(values: dict[str, float | None]) -> None:
    """A rule ends earlier, and the score is corrected by what was known of all: here by the numbers themselves."""
    known: Known = {key: (value or 0.0,) for key, value in values.items()}
    order = random_order(IDS)
    plain = watched(values, 4.0, order)
    helped = Watch(rule(4.0), IDS, known)
    for key in order:
        helped.finished(key, rows(key, values[key]))
    assert helped.n < plain.n
    truth = 100 * sum(value or 0.0 for value in values.values()) / len(values)
    judged = order[: helped.n]
    scored = [row for key in judged for row in rows(key, values[key])]
    given = Score(task="t", metric="win_rate", value=0.0, unit="percent", method="mean", n=helped.n)
    (score,) = early_stop_scores([given], scored, judged, rule(4.0), helped.outcome(helped.n, helped.n), known)
    assert helped.interval is not None
    assert (score.low, score.high) == (helped.interval.low, helped.interval.high)
    plain_mean = 100 * sum(values[key] or 0.0 for key in judged) / len(judged)
    assert score.value is not None
    assert abs(score.value - truth) < abs(plain_mean - truth)
    assert "corrected by what was known" in str(score.method)
