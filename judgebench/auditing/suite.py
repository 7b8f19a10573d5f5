"""What a suite is: where its items come from, in which orders a judge sees them, and its figures."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from judgebench.auditing.figures import ALL, Figure, SuiteReport
from judgebench.auditing.items import LETTERS, Decision, Item, Shown, order_of, shown_from_share
from judgebench.data.resources import resource
from judgebench.data.sources import Source, read_sources
from judgebench.errors import UsageError
from judgebench.stats.arrays import IntArray

Fetch = Callable[[Source], bytes]
BOTH = ("12", "21")
NULL = -1
"""The code of a null among verdicts."""


@dataclass(frozen=True, eq=False)
class Judged:
    """The items of a suite that a judge decided in every order that the suite asks for, with its decisions."""

    items: tuple[Item, ...]
    decisions: Mapping[tuple[str, str, int], Decision]
    """By item, order and repeat."""
    orders: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    """The orders that the protocol asks for, by item and repeat."""
    options: Mapping[str, str] = field(default_factory=dict)

    def drawn(self, repeat: int = 0) -> IntArray:
        """The winner of each item in the first order that its protocol asks for, as :meth:`winners` has them."""
        found = [self.decision(item, repeat) for item in self.items]
        return np.array([_code(decision) for decision in found], dtype=np.int64)

    def decision(self, item: Item, repeat: int = 0) -> Decision | None:
        """What the judge decided in the first order that the item's protocol asks for."""
        return self.decisions.get((item.id, self.orders[item.id][repeat][0], repeat))

    def winners(self, order: str, repeat: int = 0) -> IntArray:
        """The better response of each item in one order, as numbers: 1, 2, 0 for a tie and -1 for a null."""
        return np.array([_code(self.decisions.get((item.id, order, repeat))) for item in self.items], dtype=np.int64)

    @cached_property
    def gold(self) -> IntArray:
        """The label of each item, of those that have one."""
        return np.array([item.gold[0].vote for item in self.items], dtype=np.int64)

    @cached_property
    def clusters(self) -> NDArray[np.str_]:
        """What the items are not independent within."""
        return np.array([item.cluster for item in self.items], dtype=str)

    @cached_property
    def subsets(self) -> NDArray[np.str_]:
        """The subset of each item."""
        return np.array([item.subset for item in self.items], dtype=str)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Characters of the judged text of each response of pairs, shape (n, 2)."""
        sizes = [[len(turns[-1]) for turns in item.responses] for item in self.items]
        return np.array(sizes, dtype=np.int64).reshape(len(self.items), 2)

    def part(self, inside: NDArray[np.bool_]) -> "Judged":
        """Only these items."""
        chosen = tuple(item for item, inner in zip(self.items, inside.tolist(), strict=True) if inner)
        return Judged(chosen, self.decisions, self.orders, self.options)

    def by_subset(self, names: Sequence[str]) -> Iterator[tuple[str, "Judged"]]:
        """Each subset that has items, in the order of the names."""
        for name in names:
            if (self.subsets == name).any():
                yield name, self.part(self.subsets == name)


def _filled(
    decisions: Mapping[tuple[str, str, int], Decision], items: Mapping[str, Item], *, right: bool
) -> dict[tuple[str, str, int], Decision]:
    """The decisions with a verdict in place of each null: what most labels say, or another."""
    return {key: _verdict_for(made, items[made.item], right=right) for key, made in decisions.items()}


def _verdict_for(decision: Decision, item: Item, *, right: bool) -> Decision:
    gold = item.majority
    if decision.winner is not None or gold is None or len(item.responses) > len(LETTERS):
        return decision
    wanted = gold if right else 2 if gold == 1 else 1
    place = decision.order.index(str(wanted)) if wanted else 0
    pair: tuple[Shown, ...] = ("A>B", "B>A")
    shown = "A=B" if not wanted else pair[place] if item.pair else LETTERS[place]
    return replace(decision, shown=shown, scores=(), p=None, error=None)


def _code(decision: Decision | None) -> int:
    winner = None if decision is None else decision.winner
    return NULL if winner is None else winner


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A public benchmark of judges."""

    name: str
    about: str
    paper: str
    files: tuple[str, ...]
    """Its sources in ``templates/suites/sources.toml``."""
    read: Callable[[Mapping[str, bytes]], tuple[Item, ...]]
    """Makes items of the files, by the names of their sources."""
    figures: Callable[[Judged], Iterable[Figure]]
    headline: tuple[str, str] = ("accuracy", ALL)
    orders: Literal["both", "one", "stored"] = "both"
    """Both orders, one that is drawn for each item, or the one in which the items are stored."""
    form: Literal["pair", "choice"] = "pair"
    equal_scores: Literal["tie", "second"] = "tie"
    """What equal scores of a judge of single responses mean: a tie, or a win of the response shown second."""
    repeats: int = 1
    """How often its protocol asks for each item; the first time is enough for most figures."""
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The options of its figures with the values that they take; the first is the default."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """The files, pinned."""
        known = read_sources(resource("templates") / "suites")
        return tuple(known[name] for name in self.files)

    def load(self, fetch: Fetch) -> tuple[Item, ...]:
        """Fetch the files and read the items. Raises what ``fetch`` raises, and RecordError for an unfit row."""
        items = self.read({source.name: fetch(source) for source in self.sources})
        if len({item.id for item in items}) < len(items):
            raise UsageError(f"the files of {self.name} hold two items of the same id; are they copies of each other?")
        return items

    def orders_of(self, item: Item, seed: int = 0, repeat: int = 0) -> tuple[str, ...]:
        """The orders in which a judge is to see the item. A drawn one depends on item, seed and repeat alone."""
        if self.orders == "both":
            return BOTH
        places = list(range(len(item.responses)))
        if self.orders == "one":
            random.Random(f"{self.name} {item.id} {seed} {repeat}").shuffle(places)
        return (order_of(places),)

    def decide(
        self,
        item: Item,
        scores: Sequence[float | None],
        *,
        seed: int = 0,
        repeat: int = 0,
        seconds: float | None = None,
        usd: float | None = None,
        error: str | None = None,
    ) -> tuple[Decision, ...]:
        """What a judge of single responses decides with its scores, in every order that the suite asks for.

        Seconds and dollars are those of all scores together, and are shared by the decisions.
        """
        orders = self.orders_of(item, seed, repeat)
        given = tuple(scores)
        reason = error or (None if all(score is not None for score in given) and given else "a score is missing")
        return tuple(
            Decision(
                item=item.id,
                order=order,
                repeat=repeat,
                shown=None if reason else self._shown(order, [score for score in given if score is not None]),
                scores=given,
                error=reason,
                seconds=None if seconds is None else seconds / len(orders),
                usd=None if usd is None else usd / len(orders),
            )
            for order in orders
        )

    def _shown(self, order: str, scores: Sequence[float]) -> Shown | None:
        if len(order) != 2:
            best = max(scores)
            first = next(place for place, number in enumerate(order) if scores[ord(number) - ord("1")] == best)
            return LETTERS[first] if first < len(LETTERS) else None
        one, other = (scores[int(number) - 1] for number in order)
        if one == other:
            return "A=B" if self.equal_scores == "tie" else "B>A"
        return shown_from_share(float(one > other))

    def _headline(
        self,
        items: tuple[Item, ...],
        decisions: Mapping[tuple[str, str, int], Decision],
        asked: Mapping[str, tuple[tuple[str, ...], ...]],
        settings: Mapping[str, str],
    ) -> float | None:
        made = self.figures(Judged(items, decisions, asked, settings))
        return next(figure.value for figure in made if (figure.name, figure.group) == self.headline)

    def settings(self, options: Mapping[str, str]) -> dict[str, str]:
        """All options of its figures, with the defaults. Raises :class:`UsageError` for one that it does not have."""
        for name, value in options.items():
            if value not in self.choices.get(name, ()):
                known = [f"{key}={'|'.join(values)}" for key, values in self.choices.items()]
                raise UsageError(f"{self.name} has no option {name}={value[:40]}; it has {', '.join(known) or 'none'}")
        return {name: options.get(name, values[0]) for name, values in self.choices.items()}

    def report(
        self,
        items: Sequence[Item],
        decisions: Iterable[Decision],
        *,
        options: Mapping[str, str] | None = None,
        seed: int = 0,
    ) -> SuiteReport:
        """The figures of a judge, from its decisions about the items. ``seed`` is the one that orders were drawn with.

        Items without a decision in every order of the protocol are left out and counted; a null is a decision.
        """
        settings = self.settings(options or {})
        known = {item.id: item for item in items}
        found: dict[tuple[str, str, int], Decision] = {}
        for decision in decisions:
            item = known.get(decision.item)
            if item is None or len(decision.order) != len(item.responses):
                raise UsageError(
                    f"a decision is about item {decision.item[:60]!r} in order {decision.order[:20]}, which is none of "
                    f"{self.name}'s: were these decisions made about another suite, or another version of it?"
                )
            key = (decision.item, decision.order, decision.repeat)
            if key in found:
                raise UsageError(
                    f"item {decision.item[:60]!r} of {self.name} was decided twice in order {decision.order}"
                )
            found[key] = decision
        asked = {item.id: tuple(self.orders_of(item, seed, repeat) for repeat in range(self.repeats)) for item in items}
        judged = tuple(item for item in items if all((item.id, order, 0) in found for order in asked[item.id][0]))
        used = list(found.values())
        missing = any(decision.winner is None for decision in used)
        times = [decision.seconds for decision in used if decision.seconds is not None]
        costs = [decision.usd for decision in used if decision.usd is not None]
        return SuiteReport(
            suite=self.name,
            figures=tuple(self.figures(Judged(judged, found, asked, settings))),
            items=len(items),
            judged=len(judged),
            decisions=len(used),
            nulls=sum(decision.winner is None for decision in used),
            ties=sum(decision.winner == 0 for decision in used),
            options=settings,
            headline_name=self.headline,
            if_nulls_were=(
                self._headline(judged, _filled(found, known, right=False), asked, settings),
                self._headline(judged, _filled(found, known, right=True), asked, settings),
            )
            if missing
            else None,
            usd=sum(costs) if costs else None,
            seconds_per_verdict=sum(times) / len(times) if times else None,
        )
