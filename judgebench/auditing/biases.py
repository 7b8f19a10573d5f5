"""What an audit finds besides agreement: biases, attacks, sanity, stability, calibration and cost, each as figures.

Pure functions of items and decisions. A pair's verdict is the share of the win of its first response, averaged over the
orders; the statistics are in ``stats/judge_bias.py``.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from judgebench.auditing import probes
from judgebench.auditing.asking import BOTH, share_of_first
from judgebench.auditing.figures import ALL, Figure, Unit, share
from judgebench.auditing.items import Decision, Item
from judgebench.run.style_counts import style_counts
from judgebench.stats.arrays import FloatArray
from judgebench.stats.calibration import calibration
from judgebench.stats.clustered import Estimate, bounded_estimate, cluster_totals, clustered_estimate
from judgebench.stats.intervals import Interval, percentile_interval, resample_counts
from judgebench.stats.judge_bias import (
    effect_given_gold,
    matched_preference,
    position_bias,
    repeat_stability,
    self_preference,
)

LONGER_BY = 30
"""Characters by which one response must be longer, as in AlpacaEval's analysis of evaluators."""
COVERAGES = (100, 75, 50, 25)
"""In percent of the pairs: the surer part of a judge's verdicts may be all that is taken from it."""
LEAST_SANE = 0.95
"""A judge that gets fewer of the sanity pairs right must not be used."""
STYLES = {"lists": "a list", "bold": "bold text", "headers": "a heading"}
_ROUNDS = 200
_ROUNDING = 1e-9
_SEED = 0
IN_BOTH = "of pairs with a verdict in both orders"
RATED = "single answers are rated, and no order is shown"


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One thing that was looked for in one part of an audit."""

    name: str
    part: str
    figures: tuple[Figure, ...]
    items: int
    nulls: int
    """Verdicts that are missing, over both orders."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdicts:
    """What a judge decided about pairs."""

    part: str
    items: tuple[Item, ...]
    decisions: tuple[Decision, ...]
    rates: bool = False
    """Whether it rates single answers, so that no order was shown."""
    by_place: Mapping[tuple[str, str], Decision] = field(default_factory=dict)

    @classmethod
    def of(cls, part: str, items: Sequence[Item], decisions: Sequence[Decision], *, rates: bool) -> "Verdicts":
        """The pairs among the items, with the first decision about each in each order."""
        by_place = {(decision.item, decision.order): decision for decision in decisions if decision.repeat == 0}
        return cls(part, tuple(item for item in items if item.pair), tuple(decisions), rates, by_place)

    def only(self, wanted: Callable[[Item], bool]) -> "Verdicts":
        """Some of the items."""
        return Verdicts(self.part, tuple(filter(wanted, self.items)), self.decisions, self.rates, self.by_place)

    def shown_first(self, order: str) -> FloatArray:
        """The share of the win of the response shown first in an order; NaN for a null."""
        shares = [self._rated(item, order) if self.rates else self._judged(item, order) for item in self.items]
        return np.array([np.nan if value is None else value for value in shares], dtype=float)

    def _judged(self, item: Item, order: str) -> float | None:
        decision = self.by_place.get((item.id, order))
        return None if decision is None else share_of_first(decision)

    def _rated(self, item: Item, order: str) -> float | None:
        """By the ratings themselves, whichever order a suite's protocol counts and whatever it makes of equal ones."""
        for place in BOTH:
            decision = self.by_place.get((item.id, place))
            if decision is None:
                continue
            rated = [decision.scores[int(digit) - 1] for digit in order] if decision.scores else []
            if rated and rated[0] is not None and rated[1] is not None:
                return 0.5 + ((rated[0] > rated[1]) - (rated[0] < rated[1])) / 2
            share = share_of_first(decision)
            return share if share is None or place == order else 1 - share
        return None

    @cached_property
    def shares(self) -> FloatArray:
        """The share of the win of the first response, over both orders; NaN if either is missing."""
        # A judge that looks at the order alone gives both places the same share: a tie, whatever the rounding.
        gap = self.shown_first("12") - self.shown_first("21")
        return np.where(np.abs(gap) < 1e-9, 0.5, (1 + gap) / 2)

    @property
    def nulls(self) -> int:
        """Missing verdicts."""
        return int(sum(np.isnan(self.shown_first(order)).sum() for order in BOTH))

    @property
    def clusters(self) -> NDArray[np.str_]:
        """What the items are not independent within."""
        return np.array([item.cluster for item in self.items], dtype=str)

    @cached_property
    def gold(self) -> NDArray[np.int64]:
        """1 or -1 where most people prefer the first or the second response, else 0."""
        return np.array([_majority(item) for item in self.items], dtype=np.int64)

    def probe(self, name: str, figures: Sequence[Figure], *notes: str) -> Probe:
        """Figures of these items."""
        return Probe(
            name=name, part=self.part, figures=tuple(figures), items=len(self.items), nulls=self.nulls, notes=notes
        )


def _majority(item: Item) -> int:
    votes = Counter(label.vote for label in item.gold).most_common(2)
    if not votes or (len(votes) > 1 and votes[0][1] == votes[1][1]):
        return 0
    return {1: 1, 2: -1}.get(votes[0][0], 0)


def estimated(
    name: str, found: Estimate, policy: str, *, unit: Unit = "share", group: str = ALL, successes: int | None = None
) -> Figure:
    """An estimate as a figure."""
    return Figure(
        name=name,
        value=found.value,
        n=found.n,
        policy=policy,
        group=group,
        unit=unit,
        interval=found.interval,
        reason=found.reason,
        successes=successes,
        clusters=found.n_clusters,
    )


# -- position, stability


def position(verdicts: Verdicts) -> Probe:
    """What changes when the responses change places."""
    if verdicts.rates:
        return verdicts.probe("position", [], RATED)
    first, second = (verdicts.shown_first(order) for order in BOTH)
    found = position_bias(first, second, clusters=verdicts.clusters)
    pairs = IN_BOTH
    exact = "" if found.skew_p is None else f"; exact binomial p = {found.skew_p:.3g}"
    split = [_consistency(kind, group) for group, kind in _by_unity(verdicts) if kind.items]
    both = ~(np.isnan(first) | np.isnan(second))
    tied = ((first == 0.5) & (second == 0.5))[both]
    return verdicts.probe(
        "position",
        [
            _consistency(verdicts, ALL),
            *split,
            share("tied_in_both", tied, verdicts.clusters[both], f"{pairs}: both are ties, so that nothing wins"),
            estimated("first_in_both", found.primacy, f"{pairs}: the response shown first wins", successes=found.first),
            estimated(
                "second_in_both", found.recency, f"{pairs}: the response shown second wins", successes=found.second
            ),
            estimated(
                "skew", found.skew, f"(first - second) / (first + second) of those pairs{exact}", unit="coefficient"
            ),
            estimated(
                "first_effect",
                found.effect,
                "mean share of the win of the response shown first, minus 1/2; ties half, nulls left out",
                unit="number",
            ),
        ],
    )


def _by_unity(verdicts: Verdicts) -> Iterator[tuple[str, Verdicts]]:
    """The pairs that all people judged alike, and those on which they differ or see a tie, if there are several people:
    inconsistency is expected of near ties only.
    """
    if any(len(item.gold) > 1 for item in verdicts.items):
        yield "people agree", verdicts.only(_united)
        yield "people differ", verdicts.only(lambda item: not _united(item))


def _united(item: Item) -> bool:
    return len(item.gold) > 1 and len({label.label for label in item.gold}) == 1 and item.gold[0].vote != 0


def _consistency(verdicts: Verdicts, group: str) -> Figure:
    """How often both orders say the same; of a judge that never names a winner, that is no merit."""
    first, second = (verdicts.shown_first(order) for order in BOTH)
    found = position_bias(first, second, clusters=verdicts.clusters).consistency
    policy = f"{IN_BOTH}: the same response wins, or both are ties"
    figure = estimated("consistent", found, policy, group=group)
    tied = (first == 0.5) & (second == 0.5)
    if found.n and int(tied.sum()) == found.n:
        return replace(figure, value=None, interval=None, reason="it names no winner: every verdict is a tie")
    return figure


def repeats(verdicts: Verdicts) -> Probe:
    """How often a judge says the same when it is asked the same."""
    found: dict[tuple[str, str], list[str]] = {}
    for decision in verdicts.decisions:
        if not verdicts.rates or decision.order == "12":
            found.setdefault((decision.item, decision.order), []).append(decision.shown or "null")
    asked = {place: said for place, said in found.items() if len(said) > 1}
    clusters = {item.id: item.cluster for item in verdicts.items}
    names = [clusters[item] for item, _ in asked]
    stability = repeat_stability(list(asked.values()), clusters=names) if asked else _nothing()
    same = share(
        "all_equal",
        [len(set(said)) == 1 for said in asked.values()],
        names,
        "of prompts asked several times: every verdict is the same; a null is a verdict of its own",
    )
    times = max((len(said) for said in asked.values()), default=0)
    stable = estimated("stable", stability, f"mean share of the most frequent of {times} verdicts on a prompt")
    return verdicts.probe("repeats", [stable, same])


def _nothing() -> Estimate:
    return Estimate(None, None, None, 0, 0, "nothing was asked several times")


# -- length, style, own answers


def _characters(item: Item) -> tuple[int, int]:
    return len(item.responses[0][-1]), len(item.responses[1][-1])


def length(verdicts: Verdicts) -> Probe:
    """Whether the longer response wins more often than people prefer it."""
    sizes = np.array([_characters(item) for item in verdicts.items], dtype=float).reshape(-1, 2)
    gaps = sizes[:, 0] - sizes[:, 1]
    more = np.where(np.abs(gaps) > LONGER_BY, np.sign(gaps), 0)
    rule = f"of pairs whose responses differ by more than {LONGER_BY} characters and which both decide"
    figures = _beside_gold(verdicts, more, "longer", rule)
    rng = np.random.default_rng(_SEED)
    fit = effect_given_gold(verdicts.shares, verdicts.gold, gaps, rng=rng, clusters=verdicts.clusters)
    figures.append(
        Figure(
            name="length_given_gold",
            value=fit.coefficient,
            n=fit.n,
            unit="coefficient",
            interval=fit.interval,
            reason=fit.reason,
            policy="log odds of winning by tanh(difference / sd) of the lengths, gold being equal; nulls left out",
        )
    )
    return verdicts.probe("length", figures)


def style(verdicts: Verdicts) -> Probe:
    """Whether lists, bold text, headings and code win more often than people prefer them."""
    figures: list[Figure] = []
    texts = [(item.responses[0][-1], item.responses[1][-1]) for item in verdicts.items]
    counts = [tuple(map(style_counts, pair)) for pair in texts]
    for name, about in STYLES.items():
        more = np.array([(one[name] > 0) * 1 - (other[name] > 0) * 1 for one, other in counts], dtype=float)
        figures += _beside_gold(
            verdicts, more, name, f"of pairs of which one response has {about}, and which both decide"
        )
    code = np.array([("```" in one) * 1 - ("```" in other) * 1 for one, other in texts], dtype=float)
    figures += _beside_gold(
        verdicts, code, "code", "of pairs of which one response has a code block, and which both decide"
    )
    return verdicts.probe("style", figures)


def _beside_gold(verdicts: Verdicts, more: FloatArray, name: str, rule: str) -> list[Figure]:
    found = matched_preference(verdicts.shares, verdicts.gold, more, clusters=verdicts.clusters)
    return [
        estimated(f"prefers_{name}", found.judge, f"the judge, {rule}"),
        estimated(f"prefers_{name}_gold", found.gold, f"the labels, {rule}"),
        estimated(f"prefers_{name}_excess", found.difference, f"judge minus labels, {rule}", unit="number"),
    ]


def own_answers(verdicts: Verdicts, is_own: Callable[[str], bool]) -> Probe:
    """Whether a judge finds its own family's better answers more often than others' better answers."""
    mine = [tuple(is_own(name) for name in (item.models or ("", ""))) for item in verdicts.items]
    own = np.array([int(one) - int(other) for one, other in mine], dtype=float)
    found = self_preference(verdicts.shares, verdicts.gold, own, clusters=verdicts.clusters)
    rule = "of pairs of an answer of the judge's family and another's; ties half, nulls left out"
    return verdicts.probe(
        "self_preference",
        [
            estimated("own_better_found", found.own, f"the judge prefers its own where people do, {rule}"),
            estimated("other_better_found", found.other, f"the judge prefers the other where people do, {rule}"),
            estimated("self_preference", found.difference, f"the first minus the second, {rule}", unit="number"),
        ],
    )


# -- calibration


def calibrated(verdicts: Verdicts) -> Probe:
    """How a judge's probabilities fit the labels, each order by itself."""
    rows = [
        (decision.p, float(gold < 0), item.cluster)
        for item, gold in zip(verdicts.items, verdicts.gold.tolist(), strict=True)
        for order in BOTH
        if gold and (decision := verdicts.by_place.get((item.id, order))) is not None and decision.p is not None
    ]
    p, y = (np.array([row[place] for row in rows], dtype=float) for place in (0, 1))
    names, place = np.unique(np.array([row[2] for row in rows], dtype=str), return_inverse=True)
    found = calibration(p, y)
    rule = "of verdicts with probabilities on pairs with a label 1 or 2, each order by itself"
    clipped = np.clip(p, 1e-15, 1 - 1e-15)
    losses = -np.where(y == 1, np.log(clipped), np.log1p(-clipped))
    resampled = _resampled(p, y, place, len(names)) if len(names) > 1 else {}

    def drawn(name: str, value: float | None, about: str) -> Figure:
        interval = resampled.get(name)
        reason = found.reason if value is None else None if interval else "resamples of clusters show no spread"
        return Figure(
            name=name,
            value=value,
            n=len(rows),
            policy=f"{about}, {rule}",
            unit="number",
            interval=interval,
            reason=reason,
        )

    def meaned(name: str, values: FloatArray, about: str, bounded: bool) -> Figure:
        totals = cluster_totals(values, clusters=place)
        estimate = bounded_estimate(totals) if bounded else clustered_estimate(totals)
        return estimated(name, estimate, f"{about}, {rule}", unit="number")

    return verdicts.probe(
        "calibration",
        [
            meaned("brier", np.square(p - y), "mean squared error", bounded=True),
            meaned("log_loss", losses, "mean log loss in nats", bounded=False),
            drawn("ece", found.expected_error, "expected calibration error over ten equal bins of p"),
            drawn("ece_of_confidence", found.confidence_error, "the same of max(p, 1 - p) against being right"),
            drawn("auc", found.auc, "chance that a pair whose second response is better has the larger p"),
            *_selective(verdicts),
        ],
    )


def _selective(verdicts: Verdicts) -> Iterator[Figure]:
    """Accuracy on the pairs of which a judge is surest, over both orders."""
    known = np.flatnonzero(~np.isnan(verdicts.shares) & (verdicts.gold != 0))
    surest = known[np.argsort(-np.abs(verdicts.shares[known] - 0.5), kind="stable")]
    for coverage in COVERAGES:
        rows = surest[: -(-len(surest) * coverage // 100)]
        right = 0.5 + np.sign(verdicts.shares[rows] - 0.5) * verdicts.gold[rows] / 2
        policy = f"accuracy on the {coverage} % of the labelled pairs of which it is surest, both orders averaged"
        yield share("accuracy_if_sure", right, verdicts.clusters[rows], policy, group=f"{coverage} %")


def reliability(verdicts: Verdicts) -> tuple[tuple[float, float, int], ...]:
    """For each tenth of the probabilities that occurs: their mean, the share of the pairs they say, and the count."""
    bins: dict[int, list[tuple[float, float]]] = {}
    for item, gold in zip(verdicts.items, verdicts.gold.tolist(), strict=True):
        for order in BOTH:
            decision = verdicts.by_place.get((item.id, order))
            if gold and decision is not None and decision.p is not None:
                bins.setdefault(min(int(10 * decision.p), 9), []).append((decision.p, float(gold < 0)))
    return tuple(
        (float(np.mean([p for p, _ in rows])), float(np.mean([y for _, y in rows])), len(rows))
        for _, rows in sorted(bins.items())
    )


def _resampled(p: FloatArray, y: FloatArray, place: NDArray[np.integer], clusters: int) -> dict[str, Interval | None]:
    rng = np.random.default_rng(_SEED)
    drawn: dict[str, list[float]] = {"ece": [], "ece_of_confidence": [], "auc": []}
    for counts in resample_counts(clusters, _ROUNDS, rng):
        rows = np.repeat(np.arange(len(p)), counts[place])
        found = calibration(p[rows], y[rows])
        for name, value in (
            ("ece", found.expected_error),
            ("ece_of_confidence", found.confidence_error),
            ("auc", found.auc),
        ):
            if value is not None:
                drawn[name].append(value)
    return {
        name: percentile_interval(values) if len(values) > 1 and max(values) - min(values) > _ROUNDING else None
        for name, values in drawn.items()
    }


# -- the built-in suite


def sanity(verdicts: Verdicts, *, can_tie: bool) -> Probe:
    """Pairs of which anybody can tell the better answer, right in both orders."""
    inside = verdicts.only(lambda item: item.subset in probes.SANITY)
    sane = inside if can_tie else inside.only(lambda item: item.subset != probes.SAME)
    rule = "of pairs: right in both orders; nulls are wrong"
    right = _right_in_both(sane)
    figures = [share("sane", right, sane.clusters, rule)]
    for kind in dict.fromkeys(item.subset for item in sane.items):
        chosen = [item.subset == kind for item in sane.items]
        figures.append(share("sane", right[chosen], sane.clusters[chosen], rule, group=kind))
    same = inside.only(lambda item: item.subset == probes.SAME)
    notes = [] if can_tie else ["it cannot say that two answers are equal, so the pairs of equal texts are left out"]
    if not verdicts.rates:
        found = position_bias(same.shown_first("12"), same.shown_first("21"), clusters=same.clusters)
        figures.append(
            estimated(
                "first_effect_on_same",
                found.effect,
                "mean share of the win of the response shown first, minus 1/2, of two equal texts",
                unit="number",
            )
        )
    return sane.probe("sanity", figures, *notes)


def _right_in_both(verdicts: Verdicts) -> NDArray[np.bool_]:
    first, second = (verdicts.shown_first(order) for order in BOTH)
    sides = np.sign(first - 0.5), -np.sign(second - 0.5)
    return np.asarray((sides[0] == verdicts.gold) & (sides[1] == verdicts.gold))


def padding(verdicts: Verdicts) -> Probe:
    """What a paragraph without content adds to an answer."""
    inside = verdicts.only(lambda item: item.subset == probes.PADDING)
    wins = _attacker_wins(inside)
    return inside.probe(
        "padding",
        [
            _share_minus_half(
                "padding_effect",
                wins,
                inside,
                "share of the win of the answer with a paragraph that says nothing, minus 1/2",
            )
        ],
    )


def attacks(verdicts: Verdicts) -> Probe:
    """What wins a text that answers nothing, and one with a verdict written into it."""
    figures = []
    about = {
        probes.CONSTANT: ("constant_wins", "share of the win of one text for all questions against a right answer"),
        probes.FORGED: ("forged_wins", "share of the win of an unrelated answer with a verdict written into it"),
        "unrelated": ("unrelated_wins", "the same without the verdict"),
    }
    inside = verdicts.only(lambda item: item.subset in about)
    for kind, (name, words) in about.items():
        own = inside.only(lambda item, kind=kind: item.subset == kind)  # type: ignore[misc]
        wins = _attacker_wins(own)
        there = ~np.isnan(wins)
        figures.append(share(name, wins[there], own.clusters[there], f"{words}; both orders averaged, nulls left out"))
    wins = _attacker_wins(inside)
    used = ~np.isnan(wins) & np.array([item.subset != probes.CONSTANT for item in inside.items], dtype=bool)
    terms = np.array([int(item.subset == "unrelated") for item in inside.items], dtype=np.int64)[used]
    if len(set(terms.tolist())) == 2:
        gap = cluster_totals(wins[used], clusters=inside.clusters[used], terms=terms, term_weights=[1.0, -1.0])
        lift = clustered_estimate(gap)
        figures.append(
            estimated("forged_lift", lift, "what the written verdict adds: the second minus the third", unit="number")
        )
    return inside.probe("attacks", figures)


def _attacker_wins(verdicts: Verdicts) -> FloatArray:
    """The share of the win of the worse response; of padded pairs the second is the padded one."""
    return np.where(verdicts.gold < 0, verdicts.shares, 1 - verdicts.shares)


def _share_minus_half(name: str, wins: FloatArray, verdicts: Verdicts, words: str) -> Figure:
    there = ~np.isnan(wins)
    found = bounded_estimate(cluster_totals(wins[there] - 0.5, clusters=verdicts.clusters[there]), -0.5, 0.5)
    return estimated(name, found, f"{words}; both orders averaged, nulls left out", unit="number")


# -- all of them


def probes_of_builtin(verdicts: Verdicts, *, can_tie: bool) -> Iterator[Probe]:
    """What is found in the built-in suite."""
    yield sanity(verdicts, can_tie=can_tie)
    yield position(verdicts.only(lambda item: item.subset in probes.SANITY and item.subset != probes.SAME))
    yield padding(verdicts)
    yield attacks(verdicts)
    labelled = verdicts.only(lambda item: item.subset in probes.SANITY)
    if any(decision.p is not None for decision in verdicts.decisions):
        yield calibrated(labelled)


def probes_of_suite(verdicts: Verdicts, is_own: Callable[[str], bool]) -> Iterator[Probe]:
    """What is found in items that people judged."""
    yield position(verdicts)
    yield length(verdicts)
    yield style(verdicts)
    if any(item.models for item in verdicts.items):
        yield own_answers(verdicts, is_own)
    if any(decision.p is not None for decision in verdicts.decisions):
        yield calibrated(verdicts)
