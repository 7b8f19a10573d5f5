"""Draws the examples of a run that people should label, and says how much narrower an interval their labels make.

The examples are a stratified random sample with known probabilities. Strata may be made of the judge's verdicts, of
groups or of lengths. The two answers stand in a drawn order, and nothing says whose they are.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from msgspec import Struct

from judgebench.data.sources import SourceFinder
from judgebench.errors import UsageError
from judgebench.records import Example, ExampleScore, Generation, Message
from judgebench.run.labels import Labels, judged_shares, labelled_metric, pair_key, settled
from judgebench.run.reading import Run, TaskRun, require_held
from judgebench.stats import stratified_labels as formulas
from judgebench.stats.arrays import FloatArray
from judgebench.task import Task, TaskData
from judgebench.tasks import is_among

Strata = Literal["verdict", "category", "length", "none"]
QUANTILE = 1.959964
"""Of the normal distribution, for 95 %."""
ASSUMED_AGREEMENT = 0.7
"""How often a human agrees with a judge, if nobody says: about what AlpacaEval reports of its better ones."""
CLEAR = 0.1
"""A share of the win this near to 0 or 1 is a clear verdict."""


class Turn(Struct, frozen=True, kw_only=True):
    """A question with the two answers to it."""

    question: str
    first: str
    second: str


class SampledPair(Struct, frozen=True, kw_only=True):
    """Two answers for a human to compare, in the order in which they are shown."""

    example_id: str
    stratum: str
    stratum_items: int
    probability: float
    """The example's chance to be drawn."""
    pair: str
    """Hash of the answers in that order, from which whoever has the run knows whose they are."""
    before: tuple[Message, ...]
    """The conversation before the first question."""
    turns: tuple[Turn, ...]


class Stratum(Struct, frozen=True, kw_only=True):
    """A part of the examples."""

    name: str
    """A code that tells nothing to whoever labels."""
    about: str
    items: int
    drawn: int


class ExpectedWidth(Struct, frozen=True, kw_only=True):
    """Half the widths of the 95 % intervals that so many labels will give, in the metric's unit."""

    labels: int
    humans_alone: float
    """Of labels of a simple random sample, without the judge."""
    with_judge: float
    """Of labels of a simple random sample, with the judge's verdicts on all."""
    this_sample: float
    """Of a sample drawn like this one, with the judge's verdicts."""
    worth: float
    """How many times as many labels it would take without the judge."""


class LabelSample(Struct, frozen=True, kw_only=True):
    """What people should label."""

    run: str
    task: str
    metric: str
    unit: str
    strata_by: Strata
    seed: int
    population: int
    """Examples that the sample was drawn from."""
    left_out: int
    """Those without an answer, without a baseline's answer or without a verdict."""
    agreement: float
    """How often a human is expected to agree with the judge."""
    agreement_source: str
    asked: int
    """Labels that the user asked for; more than there are examples, if all of these are drawn."""
    strata: tuple[Stratum, ...]
    widths: tuple[ExpectedWidth, ...]
    """Of the number of labels that was asked for, and of others beside it; ascending."""
    pairs: tuple[SampledPair, ...] = ()
    """In a drawn order."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a user wants to be drawn."""

    n: int = 100
    strata: Strata = "verdict"
    seed: int = 0
    agreement: float | None = None
    """Expected agreement of a human with the judge; ``None`` for the assumption, or that of the pilot."""
    pilot: Labels | None = None


@dataclass(frozen=True)
class _Item:
    """An example that can be drawn."""

    example: Example
    own: Generation
    other: Generation
    share: float
    """The candidate's share of the win, by the judge."""


_Named = tuple[str, list[int]]
"""A stratum: what it is, and the places of its items."""


def task_to_label(run: Run, name: str | None) -> TaskRun:
    """The task of a run whose answers people can compare. Raises :class:`UsageError` if there is none, or several."""
    require_held([run], name)
    found = [task for task in run.tasks.values() if is_among(name, task.names)]
    fitting = [task for task in found if labelled_metric(task.task) is not None]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UsageError(
            f"{run.path} has several tasks whose answers can be labelled: {', '.join(task.key for task in fitting)}; "
            "choose one with --task"
        )
    raise UsageError(
        f"people's labels compare a candidate's answers with a baseline's, and "
        f"{' and '.join(task.task_manifest.label for task in found)} has no such comparisons; AlpacaEval, Arena-Hard, "
        "WildBench's rewards, MT-Bench's pairs (mtbench:mode=pairwise) and pairwise tasks of your own have them"
    )


def draw(task_run: TaskRun, finder: SourceFinder, wish: Wish) -> LabelSample:
    """Draw the examples to label. Raises :class:`UsageError` if a wish cannot be met."""
    task, data, rows = task_run.task, task_run.load_data(finder), task_run.example_scores()
    metric = labelled_metric(task)
    assert metric is not None
    items = _items(task_run, data, judged_shares(task, rows), wish.seed)
    if not items:
        raise UsageError(
            f"{task_run.run} has no example of {task_run.key} with both answers and a verdict: none to label"
        )
    agreement, source = _agreement(task_run, data, rows, wish)
    noise = _expectation(items, agreement)
    n = min(wish.n, len(items))
    members = _large_enough(_strata(task, items, wish.strata), noise.within, n)
    sizes = [len(places) for _, places in members]
    spreads = [float(noise.within[places].mean()) ** 0.5 for _, places in members]
    counts = formulas.allocate(sizes, spreads, n)
    drawn = [
        (place, number)
        for number, (places, count) in enumerate(zip((places for _, places in members), counts, strict=True))
        for place in _random(wish.seed, task_run, f"stratum {number}").sample(places, count)
    ]
    _random(wish.seed, task_run, "order").shuffle(drawn)
    strata = tuple(
        Stratum(name=f"s{number + 1}", about=about, items=len(places), drawn=count)
        for number, ((about, places), count) in enumerate(zip(members, counts, strict=True))
    )
    return LabelSample(
        run=str(task_run.run),
        task=task_run.task_manifest.label,
        metric=metric.name,
        unit=metric.unit,
        strata_by=wish.strata,
        seed=wish.seed,
        population=len(items),
        left_out=len(task_run.examples()) - len(items),
        agreement=agreement,
        agreement_source=source,
        asked=wish.n,
        strata=strata,
        widths=tuple(_widths(n, sizes, spreads, noise, metric.scale)),
        pairs=tuple(_pair(items[place], strata[number], wish.seed, task_run) for place, number in drawn),
    )


def expected_width(shares: Sequence[float], agreement: float, n: int, scale: float = 100.0) -> float:
    """Half the width of the 95 % interval of n labels of a simple random sample, with a judge's verdicts on all.

    ``shares`` are the judge's shares of the win; ``agreement`` says how often a human agrees with it.
    """
    noise = _expected_of(np.asarray(shares, dtype=float), agreement)
    found = formulas.expected([len(noise.within)], [noise.between], noise.between, noise.spread, [n])
    return scale * QUANTILE * found.simple


def require_agreement(agreement: float) -> None:
    """Raise :class:`UsageError` for an agreement that no judge of use can have with people."""
    if not 0.5 <= agreement < 1:
        raise UsageError(f"--agreement {agreement:g} must be a share of at least 0.5 and below 1, such as 0.7")


# -- which examples


def _items(task_run: TaskRun, data: TaskData, share_of: Callable[[str, str], float | None], seed: int) -> list[_Item]:
    """The examples with both answers and a verdict, in the run's order. Of several baselines, one is drawn."""
    answers, found = task_run.generations(), []
    for example in task_run.examples():
        own = answers.get(example.id)
        others = {
            name: there[example.id]
            for name, there in sorted(data.baselines.items())
            if example.id in there and not there[example.id].error
        }
        if own is None or own.error or not others:
            continue
        baseline = _random(seed, task_run, f"baseline {example.id}").choice(list(others))
        share = share_of(example.id, baseline)
        if share is not None:
            found.append(_Item(example, own, others[baseline], share))
    return found


def _random(seed: int, task_run: TaskRun, what: str) -> random.Random:
    """A generator seeded with a text, which is the same on every machine."""
    return random.Random(f"{seed}|{task_run.key}|{what}")


def _large_enough(strata: list[_Named], noise: FloatArray, n: int) -> list[_Named]:
    """The strata, of which those that would get fewer than two of n labels are joined to their smaller neighbour."""
    strata = list(strata)
    while len(strata) > 1:
        wanted = [len(places) * float(noise[places].mean()) ** 0.5 for _, places in strata]
        least = min(range(len(strata)), key=wanted.__getitem__)
        if n * wanted[least] >= formulas.LEAST * sum(wanted):
            break
        beside = [place for place in (least - 1, least + 1) if 0 <= place < len(strata)]
        first, second = sorted((least, min(beside, key=wanted.__getitem__)))
        (name, places), (other, more) = strata[first], strata[second]
        strata[first : second + 1] = [(f"{name}, {other}", sorted([*places, *more]))]
    return strata


def _strata(task: Task, items: Sequence[_Item], by: Strata) -> list[_Named]:
    """The strata with the places of their items; neighbours are alike."""
    if by == "verdict":
        return _named(items, lambda item: _verdict(item.share), VERDICTS)
    if by == "category":
        groups = [_category(tuple(task.groups(item.example))) for item in items]
        if not any(groups):
            raise UsageError(f"--strata category: the examples of {task.label} have no groups; choose other strata")
        names = sorted(set(groups))
        return [(name or "no group", [place for place, own in enumerate(groups) if own == name]) for name in names]
    if by == "length":
        return _thirds(items)
    return [("all", list(range(len(items))))]


VERDICTS = ("clear loss", "loss", "tie", "win", "clear win")
"""What the judge says of the candidate."""


def _verdict(share: float) -> str:
    if share == 0.5:
        return "tie"
    if share < 0.5:
        return "clear loss" if share <= CLEAR else "loss"
    return "clear win" if share >= 1 - CLEAR else "win"


def _named(items: Sequence[_Item], name_of: Callable[[_Item], str], order: Sequence[str]) -> list[_Named]:
    names = [name_of(item) for item in items]
    found = [(name, [place for place, own in enumerate(names) if own == name]) for name in order]
    return [(name, places) for name, places in found if places]


def _category(groups: Sequence[str]) -> str:
    """The category, or else the first group."""
    return next((group for group in groups if group.startswith("category=")), groups[0] if groups else "")


def _thirds(items: Sequence[_Item]) -> list[_Named]:
    """Thirds by how much longer the candidate's answer is than the other."""
    longer = [sum(map(len, item.own.outputs)) - sum(map(len, item.other.outputs)) for item in items]
    order = sorted(range(len(items)), key=lambda place: (longer[place], place))
    parts = [order[len(order) * third // 3 : len(order) * (third + 1) // 3] for third in range(3)]
    names = ("candidate shortest", "in between", "candidate longest")
    return [(name, sorted(part)) for name, part in zip(names, parts, strict=True) if part]


def _pair(item: _Item, stratum: Stratum, seed: int, task_run: TaskRun) -> SampledPair:
    example = item.example
    both = [item.own, item.other]
    if _random(seed, task_run, f"side {example.id}").random() < 0.5:
        both.reverse()
    first, second = (generation.outputs for generation in both)
    questions = (example.instruction, *example.followups)
    return SampledPair(
        example_id=example.id,
        stratum=stratum.name,
        stratum_items=stratum.items,
        probability=stratum.drawn / stratum.items,
        pair=pair_key(example.id, first, second),
        before=example.messages[:-1],
        turns=tuple(
            Turn(question=asked, first=_at(first, turn), second=_at(second, turn))
            for turn, asked in enumerate(questions)
        ),
    )


def _at(outputs: Sequence[str], turn: int) -> str:
    return outputs[turn] if turn < len(outputs) else ""


# -- what to expect


@dataclass(frozen=True)
class _Noise:
    """Variances of human labels that are expected, in shares of the win."""

    within: FloatArray
    """Of each item's label."""
    between: float
    """Of labels less the judge's part in them, over all items."""
    spread: float
    """Of labels over all items."""


def _expectation(items: Sequence[_Item], agreement: float) -> _Noise:
    return _expected_of(np.array([item.share for item in items]), agreement)


def _expected_of(shares: FloatArray, agreement: float) -> _Noise:
    """The variances if humans agree with the judge so often, and the more often the surer it is.

    The chance that a human prefers the candidate is 1/2 + k (share - 1/2), with the k that gives this agreement.
    """
    away = np.abs(shares - 0.5).mean()
    slope = (agreement - 0.5) / away if away > 0 else 0.0
    chance = np.clip(0.5 + slope * (shares - 0.5), 0.02, 0.98)
    within = chance * (1 - chance)
    mean = float(chance.mean())
    return _Noise(within, float(within.mean()), mean * (1 - mean))


def _agreement(task_run: TaskRun, data: TaskData, rows: Sequence[ExampleScore], wish: Wish) -> tuple[float, str]:
    """How often a human is expected to agree with the judge, and who says so."""
    if wish.agreement is not None:
        require_agreement(wish.agreement)
        return wish.agreement, "as given"
    if wish.pilot is None:
        return ASSUMED_AGREEMENT, "assumed"
    share_of, pilot = judged_shares(task_run.task, rows), settled(wish.pilot, data, task_run.generations())
    against = {vote.example_id: vote.baseline for vote in pilot.votes}
    both = [
        (label, share)
        for key, label in pilot.by_example.items()
        if (share := share_of(key, against.get(key, ""))) is not None
    ]
    decided = [(label > 0.5) == (share > 0.5) for label, share in both if 0.5 not in (label, share)]
    if not decided:
        raise UsageError("--pilot holds no label, on this run's answers, of an example that the judge decided, too")
    # A made-up agreement and disagreement: a handful of labels must not promise that humans and judge never differ.
    found = (sum(decided) + 1) / (len(decided) + 2)
    return min(max(found, 0.5), 0.99), f"of {len(decided)} labels of the pilot"


def _widths(n: int, sizes: Sequence[int], spreads: Sequence[float], noise: _Noise, scale: float) -> list[ExpectedWidth]:
    found = []
    for count in sorted({max(n // 2, min(n, formulas.LEAST * len(sizes))), n, min(2 * n, sum(sizes))}):
        counts = formulas.allocate(sizes, spreads, count)
        within = [spread**2 for spread in spreads]
        of = formulas.expected(sizes, within, noise.between, noise.spread, counts)
        half = scale * QUANTILE
        found.append(
            ExpectedWidth(
                labels=count,
                humans_alone=half * of.humans_alone,
                with_judge=half * of.simple,
                this_sample=half * of.stratified,
                worth=of.worth,
            )
        )
    return found
