"""Decides when enough is judged (``eval --stop-when``, ``gate --sequential``), and what holds after an early stop.

The population is the run's N examples, judged in a random order that is drawn before any verdict is seen. After every
example, the confidence sequence of ``stats.sequential`` gives bounds for the score of all N that hold at every moment,
so stopping at the first moment when they are narrow enough is not peeking. Verdicts arrive in any order, but only the
complete part from the start of the random order is looked at, so that the end does not depend on the speed of the calls
or on how often the run was killed.

An example without a number (an unread verdict, a failed answer) could have any: the lower bound assumes the least
possible number, the upper bound the greatest.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from judgebench.errors import UsageError
from judgebench.records import EarlyStop, ExampleScore, Score
from judgebench.stats.intervals import Interval
from judgebench.stats.sequential import (
    BettingState,
    SequentialDecision,
    betting_sequence,
    continue_betting,
    decide,
    start_betting,
)
from judgebench.task import Task, TaskData
from judgebench.task.metric import Metric, by_example

ORDER_SEED = 0
LEVEL = 0.95
# Steps of the sequence's grid: at least ten within the requested half-width.
_LEAST_STEPS, _MOST_STEPS, _STEPS_IN_HALF_WIDTH = 1000, 20_000, 10

_LOOKS = 50
"""With a control, decisions look again after a fiftieth of the examples more."""

_FORM = re.compile(
    r"\s*(?:(?P<metric>[A-Za-z][\w@]*)\s+)?ci\s*<\s*(?P<width>(?:[0-9]+\.?|[0-9]*\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*"
)


@dataclass(frozen=True)
class StopRule:
    """Stop when the interval of a metric is narrower than plus or minus ``half_width``, in the metric's unit."""

    text: str
    metric: Metric
    half_width: float


def can_stop(data: TaskData) -> bool:
    """Whether an early stop saves anything: calls of judges or, where answers are verified, answers."""
    return bool(data.judges or data.verifiers)


def stop_rule(text: str, task: Task, *, judged: bool) -> StopRule:
    """Parse the rule ``[METRIC] ci<W`` for a task; the default metric is the task's headline.

    ``judged`` says whether the task judges or verifies answers (:func:`can_stop`). Raises :class:`UsageError` for
    another form, and for a metric that has no such interval.
    """
    found = _FORM.fullmatch(text)
    width = float(found["width"]) if found else 0.0
    if found is None or not 0 < width < float("inf"):
        raise UsageError(
            f"--stop-when {text!r} is not of the form 'ci<W' or 'METRIC ci<W', such as 'ci<1.5': stop when the "
            "interval is narrower than plus or minus W, in the metric's unit"
        )
    if not judged:
        raise UsageError(
            f"--stop-when {text!r}: {task.label} neither judges nor verifies answers, so there is nothing to save"
        )
    metric = found["metric"] or task.headline[0]
    if metric not in task.means:
        usable = " or ".join(f"'{name} ci<{found['width']}'" for name in task.means)
        known = metric in task.headline
        what = (
            "is not a plain mean of bounded numbers over examples (it is fitted to all of them, or weighted by the "
            "verdicts), so it has no interval that may be looked at while judging continues"
            if known
            else f"is not a metric of {task.label}"
        )
        way_on = f"use {usable}" if usable else "judge this task in full"
        raise UsageError(f"--stop-when {text!r}: {metric} {what}; {way_on}")
    return StopRule(text, task.means[metric], width)


def random_order(ids: Sequence[str], seed: int = ORDER_SEED) -> list[str]:
    """Return the ids in the order of judging, which is the same for every model and every initial order."""
    ascending = sorted(ids)
    return [ascending[place] for place in np.random.default_rng(seed).permutation(len(ascending))]


Known = Mapping[str, Sequence[float]]
"""What is known of each example before it is judged: as many numbers of each, as ``stats.control_variates`` takes."""


class Watch:
    """Follows the confidence sequence of one task's run, example by example."""

    def __init__(self, rule: StopRule, ids: Sequence[str], known: Known | None = None) -> None:
        """``known`` is what is known beforehand; only its examples count then, and the others are passed over."""
        self.rule = rule
        self.order = random_order(ids)
        """The ids as they are to be judged."""
        self.decided = False
        self.n = 0
        """Examples that were looked at: the order is complete up to here."""
        self.interval: Interval | None = None
        self._finished: dict[str, float | None] = {}
        self._counted = frozenset(self.order if known is None else known)
        self._sequence = _Sequence(rule, [name for name in self.order if name in self._counted], known)

    def finished(self, example_id: str, rows: Sequence[ExampleScore]) -> None:
        """Note a finished example with its example scores, which are empty if it has no answer."""
        if self.decided:
            return
        self._finished[example_id] = self.rule.metric.value_of(rows)
        while not self.decided and self.n < len(self.order) and self.order[self.n] in self._finished:
            value = self._finished.pop(self.order[self.n])
            if self.order[self.n] in self._counted:
                self.interval = self._sequence.take(value)
                self.decided = self._sequence.narrow
            self.n += 1

    def outcome(self, judge_calls: int, calls_so_far: int) -> EarlyStop:
        """Describe how it ended: ``judge_calls`` were made, ``calls_so_far`` of them for the examples looked at.

        The calls saved are estimated from the rate of the latter.
        """
        population = len(self.order)
        n = self.n if self.decided else population
        expected = round(calls_so_far / n * population) if n else 0
        return EarlyStop(
            rule=self.rule.text,
            metric=self.rule.metric.name,
            half_width=self.rule.half_width,
            level=LEVEL,
            seed=ORDER_SEED,
            population=population,
            n=n,
            early_stopped=n < population,
            judge_calls=judge_calls,
            judge_calls_saved=max(expected - judge_calls, 0) if n < population else 0,
        )


class _Sequence:
    """Two confidence sequences: one assumes the least possible value for missing numbers, the other the greatest."""

    def __init__(self, rule: StopRule, order: Sequence[str], known: Known | None = None) -> None:
        """``order`` are all examples as they are judged, and ``known`` is what is known of each beforehand."""
        self._rule, metric = rule, rule.metric
        wanted = _STEPS_IN_HALF_WIDTH * (metric.upper - metric.lower) * metric.scale / rule.half_width
        steps = min(max(_LEAST_STEPS, int(np.ceil(wanted))), _MOST_STEPS)
        control = None if known is None else [known[name] for name in order]
        start = start_betting(
            len(order), lower=metric.lower, upper=metric.upper, level=LEVEL, steps=steps, control=control
        )
        self._least: BettingState = start
        self._greatest: BettingState = start
        self.narrow = False
        self.mean = 0.0

    def take(self, value: float | None) -> Interval:
        """Add a number, and return the interval in the metric's unit."""
        metric, same = self._rule.metric, self._least is self._greatest and value is not None
        self._least, low = continue_betting(self._least, [metric.lower if value is None else value])
        if same:
            self._greatest, high = self._least, low
        else:
            self._greatest, high = continue_betting(self._greatest, [metric.upper if value is None else value])
        assert low.interval is not None
        assert high.interval is not None
        found = Interval(metric.scale * low.interval.low, metric.scale * high.interval.high, LEVEL, low.interval.method)
        self.mean = metric.scale * float(low.mean[-1] + high.mean[-1]) / 2
        self.narrow = (found.high - found.low) / 2 < self._rule.half_width
        return found


@dataclass(frozen=True)
class Anytime:
    """A metric's mean and interval in its unit, which holds however often one looks."""

    mean: float
    """With a control, corrected by what was known of all; a missing number counts as the middle of the bounds."""
    interval: Interval


def anytime(
    rule: StopRule, order: Sequence[str], values: Mapping[str, float | None], known: Known | None = None
) -> Anytime | None:
    """What is known of the rule's metric once the examples of ``values``, the first of ``order``, are judged; ``None``
    before the first.
    """
    sequence, interval = _Sequence(rule, order, known), None
    for example_id in order[: len(values)]:
        interval = sequence.take(values[example_id])
    return None if interval is None else Anytime(sequence.mean, interval)


def early_stop_scores(
    scores: Sequence[Score],
    rows: Sequence[ExampleScore],
    judged: Sequence[str],
    rule: StopRule,
    stop: EarlyStop,
    known: Known | None = None,
) -> list[Score]:
    """Adapt the scores after an early stop; ``judged`` are the examples that were judged, in order.

    The metric of the rule gets its anytime-valid interval for the score of all N examples. The others keep their
    values but lose their intervals, which would hold only for a number of examples that was fixed beforehand.
    """
    values, own = {}, by_example(rows)
    for example_id in judged:
        values[example_id] = rule.metric.value_of(own.get(example_id, ()))
    if known is None:
        # Of the rest only the number matters.
        order = [*judged, *(f"not judged {place}" for place in range(stop.population - len(judged)))]
    else:
        order = random_order(list(known), stop.seed)
    found = anytime(rule, order, values, known)
    interval = None if found is None else found.interval
    shown = []
    for score in scores:
        # Upstream's rules are for complete sets in their own order.
        score = score.without_upstream()
        details = {**score.details, "early_stopped": True, "judged_of": [stop.n, stop.population]}
        changes: dict[str, Any] = {"details": details, "stderr": None, "low": None, "high": None, "level": None}
        what = (score.method or "").partition(";")[0]
        of_rule = (score.metric, score.group) == (rule.metric.name, None) and score.value is not None
        if of_rule and interval is not None:
            changes |= {"low": interval.low, "high": interval.high, "level": interval.level}
            if known is not None and found is not None:
                what = f"{what}, corrected by what was known of all {stop.population} beforehand"
                changes["value"] = min(max(found.mean, interval.low), interval.high)
            changes["method"] = (
                f"{what}; over the first {stop.n} of {stop.population} examples in random order, seed {stop.seed}; "
                f"{interval.method}: holds however often it was looked at, for the score of all {stop.population}"
            )
        else:
            changes["method"] = f"{what}; no interval: judging stopped early, when {rule.metric.name} was known"
        shown.append(msgspec.structs.replace(score, **changes))
    return shown


def decide_difference(
    candidate: Mapping[str, float | None],
    baseline: Mapping[str, float | None],
    ids: Sequence[str],
    margin: float,
    metric: Metric,
    *,
    level: float = LEVEL,
    known: Known | None = None,
) -> SequentialDecision:
    """Whether a candidate is worse than a baseline by less than ``margin``, from the examples judged so far.

    ``candidate`` and ``baseline`` hold the numbers of a mean over examples by example: those of examples that both have
    judged, ``None`` where a verdict could not be had. ``ids`` are all N examples; what both hold, from the beginning of
    the random order on, is looked at. ``margin`` is in the metric's unit and not negative. ``"above"`` says that the
    mean difference over the N examples is at least ``-margin``, ``"below"`` that it is not; each is wrong with a
    probability of at most 1 - ``level``, however often it is asked for. ``n`` is how many examples it took.

    With ``known``, what was known of each example beforehand, ``baseline`` must hold all examples: its mean is known,
    too, so the candidate's mean is compared with that, and its verdicts are foreseen.

    >>> ids = [f"{number:03d}" for number in range(400)]
    >>> even = dict.fromkeys(ids, 0.5)
    >>> decision = decide_difference(even, even, ids, 2.0, Metric(name="win_rate"))
    >>> decision.verdict, decision.n < 400
    ('above', True)
    """
    width = metric.upper - metric.lower
    if not 0 <= margin <= metric.span:
        raise ValueError(f"a margin lies between 0 and {metric.span:g}, the widest difference; got {margin}")
    if known is not None:
        return _decide_with(known, candidate, baseline, random_order(ids), margin, metric, level)
    pessimistic, optimistic = _differences(candidate, baseline, random_order(ids), metric)
    threshold = -margin / metric.scale
    worst = decide(pessimistic, len(ids), threshold, lower=-width, upper=width, level=level)
    if worst.verdict == "above" or optimistic == pessimistic:
        return worst
    best = decide(optimistic, len(ids), threshold, lower=-width, upper=width, level=level)
    if best.verdict == "below":
        return best
    return SequentialDecision("undecided", worst.n, worst.population, 0, best.p_below, worst.p_above)


def _decide_with(
    known: Known,
    candidate: Mapping[str, float | None],
    baseline: Mapping[str, float | None],
    order: Sequence[str],
    margin: float,
    metric: Metric,
    level: float,
) -> SequentialDecision:
    control = [known[name] for name in order]

    def decided(missing: float, of_baseline: float) -> SequentialDecision:
        values = _with_missing(candidate, order, missing)
        threshold = _mean(baseline, of_baseline) - margin / metric.scale
        # A mean cannot lie beyond the bounds, so that a threshold there is as good as the bound.
        threshold = min(max(threshold, metric.lower), metric.upper)
        # Most candidates are near their baseline, where early bets come late.
        return decide(
            values,
            len(order),
            threshold,
            lower=metric.lower,
            upper=metric.upper,
            level=level,
            control=control,
            bets="horizon",
        )

    worst = decided(metric.lower, metric.upper)
    complete = None not in (*baseline.values(), *(candidate.get(name) for name in order if name in candidate))
    if worst.verdict == "above" or complete:
        return worst
    best = decided(metric.upper, metric.lower)
    if best.verdict == "below":
        return best
    return SequentialDecision("undecided", worst.n, worst.population, 0, best.p_below, worst.p_above)


def _with_missing(values: Mapping[str, float | None], order: Sequence[str], missing: float) -> list[float]:
    """The numbers from the beginning of the order on, as far as examples are judged."""
    found = []
    for example_id in order:
        if example_id not in values:
            break
        value = values[example_id]
        found.append(missing if value is None else value)
    return found


def _mean(values: Mapping[str, float | None], missing: float) -> float:
    return float(np.mean([missing if value is None else value for value in values.values()]))


def _differences(
    candidate: Mapping[str, float | None], baseline: Mapping[str, float | None], order: Sequence[str], metric: Metric
) -> tuple[list[float], list[float]]:
    """Return the least and the greatest possible differences, as far as both are judged from the start of the order."""
    pessimistic, optimistic = [], []
    for example_id in order:
        if example_id not in candidate or example_id not in baseline:
            break
        one, other = candidate[example_id], baseline[example_id]
        # A missing number could be anything.
        pessimistic.append((metric.lower if one is None else one) - (metric.upper if other is None else other))
        optimistic.append((metric.upper if one is None else one) - (metric.lower if other is None else other))
    return pessimistic, optimistic


class DifferenceWatch:
    """The decision between a judged baseline and a candidate, moved on by every example that the candidate finished.

    ``baseline`` holds the numbers of all N examples, ``None`` where there is none; ``margin`` is in the metric's unit,
    and ``level`` that of :func:`decide_difference`. Nothing is decided by fewer than ``least`` examples.
    """

    def __init__(
        self,
        baseline: Mapping[str, float | None],
        margin: float,
        metric: Metric,
        *,
        level: float,
        least: int = 1,
        known: Known | None = None,
    ) -> None:
        self.order = random_order(list(baseline))
        """The ids as they are to be judged."""
        self.decided = False
        self.n = 0
        """Examples that were looked at: the order is complete up to here."""
        self.decision = SequentialDecision("undecided", 0, len(self.order), 0, 1.0, 1.0)
        self.metric = metric
        self._baseline, self._candidate = baseline, dict[str, float | None]()
        self._margin, self._level, self._least = margin, level, least
        self._known, self._next_look = known, 0

    def finished(self, example_id: str, rows: Sequence[ExampleScore]) -> None:
        """Note a finished example with its example scores, which are empty if it has no answer."""
        self.take({example_id: rows})

    def take(self, rows: Mapping[str, Sequence[ExampleScore]]) -> None:
        """Note several examples at once. The decision, and the number of examples that it takes, stay the same."""
        if self.decided:
            return
        self._candidate |= {example_id: self.metric.value_of(own) for example_id, own in rows.items()}
        before = self.n
        while self.n < len(self.order) and self.order[self.n] in self._candidate:
            self.n += 1
        if self.n == before or (self.n < self._next_look and self.n < len(self.order)):
            return
        if self._known is not None:
            # Each look goes through all items with their weights: a few calls more cost less than all these looks.
            self._next_look = self.n + 1 + self.n // _LOOKS
        self.decision = decide_difference(
            self._candidate,
            self._baseline,
            self.order,
            self._margin,
            self.metric,
            level=self._level,
            known=self._known,
        )
        if self.decision.verdict != "undecided" and self.n >= self._least:
            self.decided = True
            self.n = max(self.decision.n, self._least)

    @property
    def pairs(self) -> list[tuple[float | None, float | None]]:
        """The numbers of candidate and baseline for the examples looked at."""
        return [(self._candidate[example_id], self._baseline[example_id]) for example_id in self.order[: self.n]]

    def interval(self, level: float) -> Interval | None:
        """Return a two-sided interval, in the metric's unit, for the difference over all N examples; valid at any time.

        ``level`` is at most that of a two-sided interval each of whose sides is as sure as the decision: the margin is
        then a bound itself once it is decided, which the steps of the interval's grid would blur.
        """
        seen = {example_id: self._candidate[example_id] for example_id in self.order[: self.n]}
        found = self._bounds(seen, level)
        if found is None:
            return None
        bounds, method = found
        if self.decided and self.decision.verdict == "above":
            bounds[0] = max(bounds[0], -self._margin)
        elif self.decided:
            bounds[1] = min(bounds[1], -self._margin)
        return Interval(bounds[0], bounds[1], level, method)

    def _bounds(self, seen: Mapping[str, float | None], level: float) -> tuple[list[float], str] | None:
        """Both bounds of the difference, in the metric's unit, and how they were computed."""
        lower, upper = self.metric.lower, self.metric.upper
        width, shift = upper - lower, (0.0, 0.0)
        control, sides = None, _differences(seen, self._baseline, self.order, self.metric)
        span = (-width, width)
        if self._known is not None:
            control = [self._known[name] for name in self.order]
            sides = _with_missing(seen, self.order, lower), _with_missing(seen, self.order, upper)
            shift, span = (_mean(self._baseline, upper), _mean(self._baseline, lower)), (lower, upper)
        low, high = (
            betting_sequence(
                values, len(self.order), lower=span[0], upper=span[1], level=level, control=control
            ).interval
            for values in sides
        )
        if low is None or high is None:
            return None
        scale = self.metric.scale
        return [scale * (low.low - shift[0]), scale * (high.high - shift[1])], low.method
