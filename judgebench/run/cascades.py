"""``--cascade``: a cheap judge judges all examples and a dear one a random part; what the dear one would say of all.

The part is the beginning of the random order of ``stopping.random_order``, which is drawn before any verdict is seen
and is the same for every model, so that two runs of one protocol can be paired. The estimator is that of
``stats.cascade``; its target is the dear judge's mean over the examples of this run.

``--dear auto`` ends when the interval is narrow enough, and so looks at it after every verdict. The interval of
``stats.cascade`` is for a part whose size was fixed beforehand: stopped at the first moment at which it is narrow, it
favours parts that happen to agree. So ``auto`` has the confidence sequence of ``--stop-when``, with the cheap judge's
verdicts as its control variate: it holds however often one looks, and needs more verdicts for the same width.

A metric that is not a plain mean over examples is refused: a fit, or a mean weighted by verdicts, of the part is not
the part of the fit.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from judgebench.errors import UsageError
from judgebench.models.pricing import Price
from judgebench.records import Cascade, ExampleScore, Generation, Judgement, Score
from judgebench.run.settings import Settings
from judgebench.run.stages import JudgeSeat, fold_members
from judgebench.run.stopping import LEVEL, ORDER_SEED, StopRule, Watch, anytime, random_order
from judgebench.stats.cascade import FEW, CascadeMean, cascade_mean
from judgebench.task import Task, TaskData
from judgebench.task.metric import Metric

NOT_A_MEAN = "a cascade estimates plain means over examples, and this is none (a fit to all, or weighted by verdicts)"
LEAST_OF_GROUP = 30
"""A group of examples has a number of its own if the dear judge judged at least so many of them."""
_TOO_SURE = 1.645
"""Standard errors by which the two judges' correlation must lie above 0 for the cheap judge to be worth something."""


@dataclass(frozen=True)
class CascadePlan:
    """How much of a task's examples the dear judge judges."""

    dear: str
    """The dear judge's model as the user named it."""
    n: int
    """Size of its part; of ``--dear auto``, all examples: the most that it can be."""
    rule: StopRule | None = None

    def part(self, ids: Iterable[str]) -> frozenset[str]:
        """The examples that the dear judge may be asked about."""
        return cascade_part(ids, self.n)

    def record(self, seats: Mapping[str, Sequence[JudgeSeat]], population: int) -> Cascade:
        """What is asked of whom, before anything is. Raises :class:`UsageError` if one model plays both judges."""
        every = [seat for of_judge in seats.values() for seat in of_judge]
        cheap = dict.fromkeys(seat.spec for seat in every if not seat.dear)
        names = {seat.model.name for seat in every if not seat.dear}
        (dear_model,) = {seat.model.name for seat in every if seat.dear}
        if dear_model in names:
            raise UsageError(
                f"--cascade {self.dear} and --judge {', '.join(cheap)} are both called {dear_model}: verdicts are told "
                "apart by that name, and a judge says nothing new about itself; name two different models"
            )
        return Cascade(
            cheap=tuple(cheap),
            dear=self.dear,
            dear_model=dear_model,
            population=population,
            n=self.n,
            seed=ORDER_SEED,
            rule=None if self.rule is None else self.rule.text,
        )

    def protocol(self) -> dict[str, Any]:
        """What must be equal for two rows to be ranked together, besides both judges."""
        size = {"n": self.n} if self.rule is None else {"rule": self.rule.text, "metric": self.rule.metric.name}
        return {**size, "order_seed": ORDER_SEED}


def cascade_part(ids: Iterable[str], n: int, seed: int = ORDER_SEED) -> frozenset[str]:
    """The first ``n`` examples of the random order."""
    return frozenset(random_order(list(ids), seed)[:n])


def cascade_plan(settings: Settings, task: Task, examples: int, rule: StopRule | None) -> CascadePlan | None:
    """How a task is judged with ``--cascade``; ``None`` without it.

    Raises :class:`UsageError` for a task that has no metric to estimate, or fewer examples than the part.
    """
    if settings.cascade is None:
        return None
    if "judged" not in task.verdicts:
        raise UsageError(
            f"--cascade {settings.cascade}: answers to {task.label} are verified, so there is no judge to replace by a "
            "cheaper one"
        )
    if not estimated(task):
        raise UsageError(
            f"--cascade {settings.cascade}: no metric of {task.label} is a plain mean over examples "
            f"({', '.join(task.headline)} are fitted to all of them, or weighted by the verdicts), so a random part "
            "says nothing exact about the rest; judge this task in full"
        )
    if rule is not None:
        return CascadePlan(settings.cascade, examples, rule)
    n = math.ceil(settings.dear_share * examples) if settings.dear_share is not None else int(settings.dear or 0)
    if n > examples:
        raise UsageError(
            f"--dear {n}: {task.label} has {examples} examples here; give fewer, or let {settings.cascade} judge all "
            f"of them (--judge {settings.cascade})"
        )
    return CascadePlan(settings.cascade, max(n, 3))


def estimated(task: Task) -> list[Metric]:
    """The metrics that a cascade estimates: plain means with bounds that depend on verdicts."""
    return [metric for metric in task.means.values() if metric.unit not in ("characters", "usd")]


def split_judgements(judgements: Iterable[Judgement], cascade: Cascade, *, dear: bool) -> Iterable[Judgement]:
    """The dear judge's judgements, or those of the cheap ones."""
    return (judgement for judgement in judgements if (judgement.judge_model == cascade.dear_model) == dear)


# -- scores


@dataclass(frozen=True)
class BothJudges:
    """What both judges say, as numbers of one metric by example."""

    cheap: Mapping[str, float]
    """Of all examples that have an answer; where the cheap judge has no verdict, its mean."""
    dear: Mapping[str, float]
    """Of the part, as far as the dear judge has a verdict."""
    missing: int
    """Examples without an answer, and those of the part without a verdict of the dear judge."""

    def estimate(self, metric: Metric) -> CascadeMean:
        """The dear judge's mean over all examples, in the unit of ``value_of``."""
        judged = [example_id for example_id in self.cheap if example_id in self.dear]
        rest = [value for example_id, value in self.cheap.items() if example_id not in self.dear]
        return cascade_mean(
            [self.dear[example_id] for example_id in judged],
            [self.cheap[example_id] for example_id in judged],
            rest,
            low=metric.lower,
            high=metric.upper,
            level=LEVEL,
        )

    def within(self, ids: Collection[str]) -> "BothJudges":
        """The same of some of the examples."""
        cheap = {example_id: value for example_id, value in self.cheap.items() if example_id in ids}
        dear = {example_id: value for example_id, value in self.dear.items() if example_id in ids}
        return BothJudges(cheap, dear, len(ids) - len(cheap))


def both_judges(
    metric: Metric,
    cheap_rows: Sequence[ExampleScore],
    dear_rows: Sequence[ExampleScore],
    answered: Collection[str],
    examples: Collection[str],
    part: Collection[str],
) -> BothJudges:
    """The numbers of both judges on the examples that have an answer."""
    said = {name: value for name, value in metric.values(cheap_rows).items() if value is not None and name in answered}
    usual = float(np.mean(list(said.values()))) if said else (metric.lower + metric.upper) / 2
    cheap = {name: said.get(name, usual) for name in sorted(answered)}
    dear = {
        name: value
        for name, value in metric.values(dear_rows).items()
        if value is not None and name in part & cheap.keys()
    }
    unread = sum(name in cheap and name not in dear for name in part)
    return BothJudges(cheap, dear, len(examples) - len(cheap) + unread)


def cascade_scores(
    task: Task,
    data: TaskData,
    cheap_scores: Sequence[Score],
    cheap_rows: Sequence[ExampleScore],
    dear_rows: Sequence[ExampleScore],
    answered: Collection[str],
    cascade: Cascade,
    rule: StopRule | None = None,
) -> list[Score]:
    """The cascade's scores, in the place of those that the cheap judges alone give, which follow as a group.

    Metrics that no verdict changes, such as lengths, stay; those that are no plain mean over examples have no value.
    With a ``rule`` the part ended when the interval was narrow enough: the metric of the rule has the interval that
    holds however often it was looked at, and the others have none.
    """
    examples = {example.id: example for example in data.examples}
    part = cascade_part(examples, cascade.n, cascade.seed)
    metrics = {metric.name: metric for metric in estimated(task)}
    numbers = {
        name: both_judges(metric, cheap_rows, dear_rows, answered, examples, part) for name, metric in metrics.items()
    }
    groups: dict[str, set[str]] = {}
    for example in data.examples:
        for group in task.groups(example):
            groups.setdefault(group, set()).add(example.id)
    found, alone = [], []
    for score in cheap_scores:
        metric = metrics.get(score.metric)
        if score.group is None and metric is not None:
            own = _counted(_score(task, metric, numbers[metric.name], cascade), score, len(examples))
            found.append(own if rule is None else _ended_by(rule, own, numbers[metric.name], cascade, list(examples)))
            alone.append(_alone(score, f"judge={', '.join(cascade.cheap)}"))
        elif score.group is None and score.unit in ("characters", "usd"):
            found.append(score.without_upstream())
        elif score.group is None:
            found.append(_refused(task, score, len(examples)))
        elif metric is not None and len(groups.get(score.group or "", set()) & part) >= LEAST_OF_GROUP:
            within = numbers[metric.name].within(groups[str(score.group)])
            own = _score(task, metric, within, cascade, score.group)
            own = _counted(own, score, len(groups[str(score.group)]))
            found.append(own if rule is None else _without_interval(own, rule))
    return found + alone


def _score(task: Task, metric: Metric, numbers: BothJudges, cascade: Cascade, group: str | None = None) -> Score:
    result = numbers.estimate(metric)
    if result.value is None:
        return metric.absent(task.name, f"{cascade.dear}: {result.reason}", n_missing=numbers.missing, group=group)
    interval = result.interval
    return metric.number(
        task.name,
        metric.scale * float(result.value),
        stderr=None if result.stderr is None else metric.scale * float(result.stderr),
        low=None if interval is None else metric.scale * float(interval.low),
        high=None if interval is None else metric.scale * float(interval.high),
        level=None if interval is None else interval.level,
        method=(
            f"what {cascade.dear} would say of all {result.population}: it judged {result.n} of them, drawn beforehand "
            f"(seed {cascade.seed}), and {' and '.join(cascade.cheap)} all; regression estimator for these examples; "
            + (interval.method if interval else f"no interval: {result.reason}")
        ),
        n=result.population,
        n_missing=numbers.missing,
        group=group,
        details={"cascade": _details(metric, result, numbers, cascade)},
    )


def _counted(score: Score, cheap: Score, examples: int) -> Score:
    """The score with n as the metric counts it in every other row: both turns of an example, say."""
    # Of an example without an answer, some metrics count one missing number and not one a turn.
    each = max(round((cheap.n + cheap.n_missing) / examples), 1)
    return msgspec.structs.replace(score, n=each * score.n, n_missing=each * score.n_missing)


def _ended_by(rule: StopRule, score: Score, numbers: BothJudges, cascade: Cascade, examples: Sequence[str]) -> Score:
    """The score of a part that ended by the rule."""
    if score.metric != rule.metric.name or score.value is None:
        return _without_interval(score, rule)
    order = random_order(examples, cascade.seed)
    judged = {name: numbers.dear.get(name) for name in order[: cascade.n] if name in numbers.cheap}
    known = {name: (value,) for name, value in numbers.cheap.items()}
    found = anytime(rule, [name for name in order if name in numbers.cheap], judged, known)
    assert found is not None  # a value rests on a verdict
    interval = found.interval
    method = (score.method or "").partition("; regression")[0]
    return msgspec.structs.replace(
        score,
        value=min(max(score.value, interval.low), interval.high),
        stderr=None,
        low=interval.low,
        high=interval.high,
        level=interval.level,
        method=f"{method}, until {rule.text}; {interval.method}, the cheap judge as control: holds however often it "
        "was looked at",
    )


def _without_interval(score: Score, rule: StopRule) -> Score:
    method = (score.method or "").partition("; regression")[0]
    return msgspec.structs.replace(
        score,
        stderr=None,
        low=None,
        high=None,
        level=None,
        method=f"{method}; no interval: the dear judge stopped when {rule.metric.name} was known",
    )


def dear_watch(
    rule: StopRule, task: Task, data: TaskData, generations: Mapping[str, Generation], judgements: Iterable[Judgement]
) -> Watch:
    """Follow the dear judge, once the cheap ones have judged all; ``judgements`` are theirs."""
    answered = {name: generation for name, generation in generations.items() if not generation.error}
    rows = fold_members(task, data, answered, list(judgements))[1]
    numbers = both_judges(rule.metric, rows, (), set(answered) & data.by_id.keys(), data.by_id, ())
    return Watch(rule, list(data.by_id), {name: (value,) for name, value in numbers.cheap.items()})


def _details(metric: Metric, result: CascadeMean, numbers: BothJudges, cascade: Cascade) -> dict[str, Any]:
    dear, cheap = list(numbers.dear.values()), list(numbers.cheap.values())
    return {
        "n_dear": result.n,
        "population": result.population,
        "weight": result.weight,
        "gain": result.gain,
        "worth": is_worth(result),
        "cheap_alone": metric.scale * float(np.mean(cheap)),
        "dear_alone": metric.scale * float(np.mean(dear)),
        "sd_dear": metric.scale * float(np.std(dear, ddof=1)) if len(dear) > 1 else None,
        "usd_per_cheap_item": _each(cascade.usd_cheap, cascade.population),
        "usd_per_dear_item": _usd_per_dear_item(cascade, cascade.n),
    }


def _each(usd: float | None, n: int) -> float | None:
    return None if usd is None or not n else usd / n


def is_worth(result: CascadeMean) -> bool:
    """Whether the cheap judge's verdicts follow the dear one's more than chance does: a one-sided test at 5 %."""
    if result.gain is None or result.n < 4:
        return result.gain is None and bool(result.weight)
    squared = result.gain * (result.n - 1) / (result.n - 2) - 1
    return bool(result.weight) and squared * (result.n - 2) > _TOO_SURE**2


def _alone(score: Score, group: str) -> Score:
    """The cheap judges' own number."""
    method = f"the cheap judge alone; {score.method}" if score.method else "the cheap judge alone"
    return msgspec.structs.replace(score.without_upstream(), group=group, method=method)


def _refused(task: Task, score: Score, examples: int) -> Score:
    return task.metric(score.metric, score.unit).absent(task.name, NOT_A_MEAN, n_missing=examples)


# -- what was asked of whom


def asked(
    cascade: Cascade, judgements: Iterable[Judgement], prices: Mapping[str, Price | None], part: Collection[str]
) -> Cascade:
    """The record with the calls of both judges and what they cost; ``prices`` are those of the judge models."""
    calls, usd = {True: 0, False: 0}, dict[bool, float | None]({True: 0.0, False: 0.0})
    used, judged = 0, set[str]()
    for judgement in judgements:
        dear = judgement.judge_model == cascade.dear_model
        if dear and judgement.example_id in part:
            judged.add(judgement.example_id)
            used += len(judgement.replies)
        calls[dear] += len(judgement.replies)
        price, sofar = prices.get(judgement.judge_model), usd[dear]
        usd[dear] = None if price is None or sofar is None else sofar + price.paid(*judgement.replies)
    cascade = msgspec.structs.replace(
        cascade,
        cheap_calls=calls[False],
        dear_calls=calls[True],
        dear_used=used,
        dear_unused=0,
        usd_cheap=usd[False],
        usd_dear=usd[True],
    )
    return _with_savings(cascade, len(judged))


def with_late(cascades: Mapping[str, Cascade], bought: int, usd: float) -> dict[str, Cascade]:
    """The records of one dear judge by task, with the calls that were paid and that no task's folder holds.

    ``bought`` calls of it for ``usd`` are in the run's books. Late ones count with the tasks by their share of replies.
    """
    held = sum(cascade.dear_calls for cascade in cascades.values())
    late, found, before = max(bought - held, 0), {}, 0
    for key, held_by_task in cascades.items():
        cascade = held_by_task
        upto = before + cascade.dear_calls
        own = (late * upto // held) - (late * before // held) if held else 0
        if own:
            paid = None if cascade.usd_dear is None else cascade.usd_dear + usd / bought * own
            cascade = _with_savings(msgspec.structs.replace(cascade, dear_unused=own, usd_dear=paid), cascade.n)
        found[key] = cascade
        before = upto
    return found


def _with_savings(cascade: Cascade, judged: int) -> Cascade:
    """On all examples the dear judge takes as many calls for each as on those judged, each at the mean price paid."""
    each, saved = _usd_per_dear_item(cascade, judged), None
    if each is not None and cascade.usd_cheap is not None and cascade.usd_dear is not None:
        saved = each * cascade.population - cascade.usd_dear - cascade.usd_cheap
    return msgspec.structs.replace(cascade, usd_saved=saved)


def _usd_per_dear_item(cascade: Cascade, judged: int) -> float | None:
    """The price of an example's verdict by the dear judge, without the calls that nobody used."""
    paid = cascade.dear_calls + cascade.dear_unused
    used = cascade.dear_calls if cascade.dear_used is None else cascade.dear_used
    return None if cascade.usd_dear is None or not paid or not judged else cascade.usd_dear / paid * used / judged


def prices_of(seats: Mapping[str, Sequence[JudgeSeat]]) -> dict[str, Price | None]:
    """The price of each judge model, by its name in the judgements."""
    return {seat.model.name: seat.price for of_judge in seats.values() for seat in of_judge}


# -- in words


class Worth(msgspec.Struct, frozen=True):
    """What is read back from the details of a cascade's score."""

    n_dear: int
    gain: float | None
    worth: bool


def in_words(cascade: Cascade, scores: Iterable[Score]) -> list[str]:
    """Say what was asked of whom, what the cheap judge was worth for each metric, and what was saved."""
    cheap = " and ".join(cascade.cheap)
    lines = [
        f"cascade: {cheap} judged all {cascade.population} examples ({cascade.cheap_calls} calls), {cascade.dear} "
        f"{cascade.n} of them ({_dear_calls(cascade)}), drawn at random beforehand"
        + (f", until {cascade.rule}" if cascade.rule else "")
        + f". The numbers estimate what {cascade.dear} would say of all; they are not its own"
    ]
    own: list[tuple[Score, Worth]] = []
    for score in scores:
        try:
            found = msgspec.convert(score.details.get("cascade"), Worth)
        except msgspec.ValidationError:  # a run folder may come from anyone
            continue
        lines.append(f"{score.metric}: {_worth(found, cheap, cascade.dear)}")
        own.append((score, found))
    return [*lines, *_about_intervals(cascade, own), *_saved(cascade, cheap)]


def _about_intervals(cascade: Cascade, scores: Sequence[tuple[Score, Worth]]) -> list[str]:
    """Of which population each interval is, and why it is as wide as it is."""
    known = [(score, found) for score, found in scores if score.low is not None and score.high is not None]
    if not known:
        return []
    names = ", ".join(score.metric for score, _ in known)
    lines = [
        f"the interval of {names} is about these {cascade.population} examples alone, and says where {cascade.dear}'s "
        f"number on all of them lies; those of the other rows, as of {' and '.join(cascade.cheap)} alone, are about "
        "all examples that could have been drawn, so the widths are not to be compared"
    ]
    if any(score.low == score.high for score, _ in known):
        lines.append(f"{cascade.dear} judged all of these examples, so nothing is left to estimate: the width is 0")
    few = sorted({found.n_dear for score, found in known if score.low != score.high and found.n_dear < FEW})
    if few and cascade.rule is None:
        lines.append(
            f"{' or '.join(map(str, few))} verdicts of {cascade.dear} are fewer than {FEW}: the interval is wide by "
            "rule, as if some verdicts more had gone every way, however well the two judges agree"
        )
    return lines


def _dear_calls(cascade: Cascade) -> str:
    """The dear judge's calls that were paid, and how many of them its numbers rest on."""
    paid = cascade.dear_calls + cascade.dear_unused
    if cascade.dear_used in (None, paid):
        return f"{paid} calls"
    return f"{paid} calls paid, {cascade.dear_used} used: the others were under way when it ended"


def _worth(found: Worth, cheap: str, dear: str) -> str:
    if found.worth and found.gain is None:
        return f"{cheap} predicts every verdict of {dear}"
    if found.worth and found.gain is not None:
        return (
            f"with {cheap}, {found.n_dear} verdicts of {dear} did the work of {found.n_dear * found.gain:.0f} "
            f"(gain {found.gain:.2f})"
        )
    gain = "" if found.gain is None else f" (gain {found.gain:.2f})"
    return (
        f"{cheap} is worth nothing here: its verdicts follow those of {dear} no more than chance would{gain}, so "
        f"{found.n_dear} verdicts of {dear} alone would do as well"
    )


def _saved(cascade: Cascade, cheap: str) -> list[str]:
    if cascade.usd_cheap is None or cascade.usd_dear is None or cascade.usd_saved is None:
        return [f"the price of {cheap} or {cascade.dear} is not known, so neither is what was saved"]
    if not cascade.usd_cheap and not cascade.usd_dear:
        return []
    everything = cascade.usd_cheap + cascade.usd_dear + cascade.usd_saved
    verb = "saved" if cascade.usd_saved >= 0 else "more than that was paid"
    return [
        f"{cheap} cost {_usd(cascade.usd_cheap)} and {cascade.dear} {_usd(cascade.usd_dear)}; {cascade.dear} on all "
        f"would cost about {_usd(everything)}: {_usd(abs(cascade.usd_saved))} {verb}"
    ]


def _usd(usd: float) -> str:
    """Cents, or two digits of less than ten of them."""
    return f"${usd:.2f}" if usd >= 0.1 or not usd else f"${usd:.2g}"
