"""Asks a judge about the items of an audit, in every order, through the call store and within the budget.

An audit has a folder of its own among the caches, named after the judge: a suite is a task of it, and each judgement is
in it before anything else happens. Who repeats an audit, or adds a suite, buys nothing twice.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from judgebench.auditing import probes
from judgebench.auditing.items import Decision, Item, Shown, shown_from_share
from judgebench.auditing.protocols import AuditProtocol, audit_protocol
from judgebench.auditing.suite import Suite
from judgebench.codec import canonical_hash
from judgebench.display import slug
from judgebench.errors import JudgebenchError, UsageError
from judgebench.grading.pool import GradingPool
from judgebench.judges.logprob import LogprobJudge
from judgebench.models.pricing import Price
from judgebench.records import Case, Generation, Judgement, Usage
from judgebench.run.folder import RunFolder
from judgebench.run.judge_marks import audits_folder
from judgebench.run.loading import LoadedTask
from judgebench.run.pipeline import Observer, Pipeline
from judgebench.run.protocol import played_by, verdict_arguments
from judgebench.run.seats import ModelPool
from judgebench.run.settings import Settings
from judgebench.run.stages import JudgeSeat, RunningTask
from judgebench.thinking import Thinking

REPEATED = "repeats"
"""Name of the part in which a few items are asked about several times."""
REPEATED_ITEMS = 20
BOTH = ("12", "21")
SHOWN: frozenset[str] = frozenset(("A>>B", "A>B", "A=B", "B>A", "B>>A"))


@dataclass(frozen=True)
class Part:
    """Items that are asked about alike."""

    name: str
    items: tuple[Item, ...]
    suite: Suite | None = None
    """The public benchmark that they are of; ``None`` for the built-in suite."""
    repeats: int = 1
    content: str = ""
    """Names the texts of the whole suite: what was judged of other texts is no verdict on these."""

    def orders(self, item: Item) -> tuple[str, ...]:
        """The orders that are asked about: both of a pair, whatever its protocol scores, to see what they do."""
        return BOTH if item.pair or self.suite is None else self.suite.orders_of(item)

    @property
    def by_id(self) -> dict[str, Item]:
        """The items by id."""
        return {item.id: item for item in self.items}


@dataclass(frozen=True)
class Answered:
    """A part with what the judge decided."""

    part: Part
    decisions: tuple[Decision, ...]
    """Of the judge; of a jury, those of its members together."""
    of_members: Mapping[str, tuple[Decision, ...]]
    """Of each member of a jury, by the model's name."""
    usage: Usage = field(default_factory=Usage)
    usd: float | None = None
    """What all its calls cost, whoever paid for them; ``None`` if a price is not known."""
    calls: int = 0
    failed: int = 0
    """Those that got no reply, which the next audit asks again."""


def parts_of(
    suites: Sequence[tuple[Suite, tuple[Item, ...]]], *, limit: float | None, repeats: int
) -> tuple[Part, ...]:
    """The parts of an audit: the built-in suite, the others, and some items of the last one several times."""
    found = [Part(probes.BUILTIN, _first_questions(probes.items(), limit), content=_hash(probes.items()))]
    found += [Part(suite.name, spread(items, limit), suite, content=_hash(items)) for suite, items in suites]
    again = spread([item for item in found[-1].items if item.pair], _wanted(REPEATED_ITEMS, limit))
    if repeats > 1 and again:
        found.append(Part(REPEATED, again, repeats=repeats, content=found[-1].content))
    return tuple(found)


def spread(items: Sequence[Item], limit: float | None) -> tuple[Item, ...]:
    """So many items (or, below 1, that share of them), evenly over the list, which holds one subset after another.

    >>> [item.id for item in spread(probes.items()[:10], 2)]
    ['boiling-refusal', 'train-refusal']
    """
    wanted = _wanted(len(items), limit)
    return tuple(items[place * len(items) // wanted] for place in range(wanted)) if wanted else ()


def _hash(items: Sequence[Item]) -> str:
    return canonical_hash(items)[7:15]


def _wanted(count: int, limit: float | None) -> int:
    if limit is None:
        return count
    return min(count, math.ceil(limit * count) if limit < 1 else int(limit))


def _first_questions(items: Sequence[Item], limit: float | None) -> tuple[Item, ...]:
    """All items of the first questions: probes of one kind are no use without the others."""
    names = list(dict.fromkeys(item.cluster for item in items))
    kept = set(names[: _wanted(len(names), limit)])
    return tuple(item for item in items if item.cluster in kept)


class Audit:
    """One audit: a judge with its models, the parts, and the folder that keeps what was bought."""

    def __init__(self, settings: Settings, parts: Sequence[Part]) -> None:
        self.settings, self.notes = settings, list[str]()
        self.protocol: AuditProtocol = audit_protocol(settings)
        for part in parts:
            self._require_pairs(part)
        self.parts = tuple(map(self._shown_whole, parts))
        self._models = ModelPool(settings)
        self.seats: Mapping[str, tuple[JudgeSeat, ...]] = {}

    @contextmanager
    def opened(self) -> Iterator["Audit"]:
        """Open the models, and close them in the end."""
        try:
            self._models.require_ready(None, [self.protocol.loaded_task])
            self._models.choose_way(None, [self.loaded(part) for part in self.parts], judge=True)
            self.seats = self._models.seats(self.protocol.loaded_task)
            yield self
        finally:
            self._models.close()

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the judge models: several for a jury."""
        seats = next(iter(self.seats.values()))
        return tuple(seat.model.name for seat in seats)

    @property
    def fingerprint(self) -> dict[str, object]:
        """Everything about the judge that can change a verdict: prompts, rules, models."""
        return fingerprint_of(self.seats, self.settings)

    @property
    def played(self) -> list[dict[str, Any]]:
        """How each of the judges is played, as the protocol of a run says it."""
        return [played_by([(seat.judge, seat.model) for seat in own]) for own in self.seats.values()]

    @property
    def folder(self) -> RunFolder:
        """Where its judgements are kept."""
        name = slug("+".join(self.settings.judges))[:60]
        return RunFolder(audits_folder() / f"{name}-{canonical_hash(self.fingerprint)[7:15]}")

    @property
    def prices(self) -> Mapping[str, Price | None]:
        """The price of each judge model."""
        return {seat.model.name: seat.price for seats in self.seats.values() for seat in seats}

    def seconds_between(self) -> list[float]:
        """The times between two finished calls, of the slowest model; empty if too few were stored to tell, or if they
        come from a batch all at once.
        """
        if self._models.in_batches:
            return []
        found = [self._models.store.seconds_between(name) for name in self.models]
        return max(found, key=lambda gaps: sum(gaps) / len(gaps)) if all(found) else []

    @property
    def spent(self) -> float:
        """USD that this audit has cost so far, over all its processes."""
        return self._models.budget.spent_usd

    def run(self, observe: Observer) -> list[Answered]:
        """Ask what has not been asked, and return all decisions."""
        folder = self.folder
        with folder.locked():
            account = f"audit-{folder.path.name}"
            paid = self._models.charge(account)
            self._models.budget.begin(paid.usd, paid.lost_usd)
            tasks = [self._running(folder, part) for part in self.parts]
            try:
                Pipeline(tasks, None, None, observe, GradingPool()).run(generate=False, judge=True)
            finally:
                for task in tasks:
                    task.folder.close()
            return [self._answered(part, task) for part, task in zip(self.parts, tasks, strict=True)]

    def unanswered(self, answered: Sequence[Answered]) -> tuple[int, int]:
        """How many calls got no reply, and how many there were."""
        return sum(each.failed for each in answered), sum(each.calls for each in answered)

    def loaded(self, part: Part) -> LoadedTask:
        """A part as a task, whose examples are its items."""
        items = part.by_id

        def cases(data: object, generation: Generation) -> tuple[Case, ...]:
            item = items[generation.example_id]
            return self.protocol.cases(item, part.orders(item))

        loaded = self.protocol.loaded_task
        task = replace(loaded.task, name=part.name, cases=cases, needs_baseline=False)
        data = replace(loaded.data, examples=tuple(item.example for item in part.items), baselines={})
        return replace(loaded, task=task, data=data)

    def _require_pairs(self, part: Part) -> None:
        """Raise :class:`UsageError` before anything is asked if the judge cannot be asked about a part."""
        item = next(iter(part.items), None)
        if item is None:
            return
        if not (item.pair or self.protocol.rates):
            raise UsageError(
                f"the items of {part.name} have {len(item.responses)} responses, which only a judge that rates "
                f"single answers can order, and {self.protocol.label} compares two; name a --task that rates, such "
                "as mtbench, or leave the suite out"
            )
        try:
            self._prompt(part, item)
        except JudgebenchError as error:
            raise UsageError(
                f"{self.protocol.label} needs more than a question and two answers, which is all that {part.name} "
                f"has ({error}); name another --task, or none"
            ) from error

    def _prompt(self, part: Part, item: Item) -> str:
        """What the judge is first shown of an item."""
        case = self.protocol.cases(item, part.orders(item))[0]
        return "\n".join(message.content for message in self.protocol.judges[case.judge].ask(case).messages)

    def _shown_whole(self, part: Part) -> Part:
        """Leave out the items whose conversation the judge's prompt does not show, such as second turns."""
        kept = tuple(item for item in part.items if _is_single(item) or _shows(self._prompt(part, item), item))
        left_out = len(part.items) - len(kept)
        if not left_out:
            return part
        if not kept:
            raise UsageError(
                f"{self.protocol.label} shows one question, and the items of {part.name} have several turns; name "
                "another --task, such as mtbench, or none"
            )
        self.notes.append(
            f"{part.name}: {left_out} items of several turns are left out, of which the prompt shows one question"
        )
        return replace(part, items=kept)

    def _running(self, folder: RunFolder, part: Part) -> RunningTask:
        loaded = self.loaded(part)
        return RunningTask(
            key=part.name,
            task=loaded.task,
            data=loaded.data,
            folder=folder.task(f"{part.name}-{part.content}"),
            sampling=loaded.task.sampling,
            seats=self.seats,
            judge_repeats=part.repeats,
            generations=generations_of(part),
            thinking=Thinking(tags=self.settings.think_tags),
        )

    def _answered(self, part: Part, task: RunningTask) -> Answered:
        judgements = [judgement for judgement in task.folder.judgements() if judgement.example_id in part.by_id]
        judgements = [judgement for judgement in judgements if judgement.repeat < part.repeats]
        reader = DecisionReader(self.protocol, part, self.prices)
        members = {
            name: tuple(reader.decisions([each for each in judgements if each.judge_model == name]))
            for name in self.models
        }
        together = next(iter(members.values())) if len(members) == 1 else tuple(reader.jury(judgements))
        replies = [(each.judge_model, reply) for each in judgements for reply in each.replies]
        prices = self.prices
        known = all(prices[name] is not None for name, _ in replies)
        usd = sum(price.paid(reply) for name, reply in replies if (price := prices[name]) is not None)
        return Answered(
            part=part,
            decisions=together,
            of_members=members,
            usage=sum((reply.paid for _, reply in replies), Usage()),
            usd=usd if known else None,
            calls=len(judgements),
            failed=sum(judgement.failed for judgement in judgements),
        )


def _is_single(item: Item) -> bool:
    return len(item.messages) == 1 and not item.followups


def _shows(prompt: str, item: Item) -> bool:
    """Whether a prompt holds every turn of the user's up to the one that is judged."""
    asked = [message.content for message in item.messages if message.role == "user"]
    return all(text.strip() in prompt for text in (*asked, *item.followups[: max(item.turn - 1, 0)]))


def fingerprint_of(seats: Mapping[str, Sequence[JudgeSeat]], settings: Settings) -> dict[str, object]:
    """Everything about judges that can change a verdict."""
    return {
        "judges": {name: played_by([(seat.judge, seat.model) for seat in own]) for name, own in sorted(seats.items())},
        "arguments": verdict_arguments({**settings.judge_file_args, **settings.judge_args}),
        "think_tags": [list(pair) for pair in settings.think_tags],
    }


def generations_of(part: Part) -> dict[str, Generation]:
    """The items' first responses as answers, which is what a run judges."""
    return {item.id: Generation(example_id=item.id, model="first", outputs=item.responses[0]) for item in part.items}


@dataclass(frozen=True)
class DecisionReader:
    """Makes decisions of judgements."""

    protocol: AuditProtocol
    part: Part
    prices: Mapping[str, Price | None]

    def decisions(self, judgements: Sequence[Judgement]) -> Iterator[Decision]:
        """The decisions of one model."""
        if self.protocol.rates:
            yield from self._rated(judgements)
            return
        for judgement in judgements:
            item, order = _place(judgement)
            value = judgement.verdict.value
            yield Decision(
                item=item,
                order=order,
                repeat=judgement.repeat,
                shown=None if value is None else _shown(judgement, value),
                p=_probability(self.protocol, judgement, order),
                error=judgement.verdict.error if value is None else None,
                usd=self._usd(judgement),
            )

    def jury(self, judgements: Sequence[Judgement]) -> Iterator[Decision]:
        """The decisions of several models together: the mean of their shares of the win, or of their ratings, without
        those of nulls.
        """
        if self.protocol.rates:
            yield from self._rated(judgements)
            return
        members: dict[tuple[str, str, int], list[Decision]] = {}
        for name in dict.fromkeys(judgement.judge_model for judgement in judgements):
            for decision in self.decisions([each for each in judgements if each.judge_model == name]):
                members.setdefault((decision.item, decision.order, decision.repeat), []).append(decision)
        for (item, order, repeat), own in members.items():
            shares = [share for decision in own if (share := share_of_first(decision)) is not None]
            mean = sum(shares) / len(shares) if shares else None
            soft = all(decision.p is not None for decision in own if decision.shown is not None)
            paid = [decision.usd for decision in own]
            yield Decision(
                item=item,
                order=order,
                repeat=repeat,
                shown=None if mean is None else shown_from_share(mean),
                p=None if mean is None or not soft else (mean if order == "21" else 1 - mean),
                error=own[0].error if mean is None else None,
                usd=None if None in paid else math.fsum(usd for usd in paid if usd is not None),
            )

    def _rated(self, judgements: Sequence[Judgement]) -> Iterator[Decision]:
        """What the ratings of each item decide, in every order that its suite counts; those of a jury are averaged."""
        found: dict[tuple[str, int], list[Judgement]] = {}
        for judgement in judgements:
            found.setdefault((_place(judgement)[0], judgement.repeat), []).append(judgement)
        for (name, repeat), own in found.items():
            item = self.part.by_id[name]
            ratings: list[list[float]] = [[] for _ in item.responses]
            for judgement in own:
                if judgement.verdict.value is not None:
                    ratings[ord(_place(judgement)[1]) - ord("1")].append(judgement.verdict.value)
            scores = tuple(math.fsum(given) / len(given) if given else None for given in ratings)
            error = next((each.verdict.error for each in own if each.verdict.value is None), None)
            paid = [self._usd(each) for each in own]
            usd = None if None in paid else math.fsum(usd for usd in paid if usd is not None)
            why = error if None in scores else None
            if self.part.suite is None:
                yield from rated_pair(name, scores, repeat=repeat, error=why, usd=usd)
            else:
                yield from self.part.suite.decide(item, scores, repeat=repeat, error=why, usd=usd)

    def _usd(self, judgement: Judgement) -> float | None:
        price = self.prices.get(judgement.judge_model)
        return None if price is None else math.fsum(map(price.paid, judgement.replies))


def rated_pair(
    item: str, scores: tuple[float | None, ...], *, repeat: int = 0, error: str | None = None, usd: float | None = None
) -> Iterator[Decision]:
    """The decisions in both orders of a judge that rates single answers; they share what both ratings cost.

    >>> [(d.order, d.shown, d.winner) for d in rated_pair("a", (7.0, 5.0))]
    [('12', 'A>B', 1), ('21', 'B>A', 1)]
    """
    for order in ("12", "21"):
        shown: Shown | None = None
        rated = [scores[int(digit) - 1] for digit in order]
        if rated[0] is not None and rated[1] is not None:
            shown = shown_from_share(0.5 + (rated[0] > rated[1]) / 2 - (rated[0] < rated[1]) / 2)
        why = None if shown else error or "a response was not rated"
        yield Decision(
            item=item,
            order=order,
            repeat=repeat,
            shown=shown,
            scores=scores,
            error=why,
            usd=None if usd is None else usd / 2,
        )


def share_of_first(decision: Decision) -> float | None:
    """The share of the win of the response that was *shown* first; ``None`` for a null."""
    if decision.p is not None:
        return decision.p if decision.order == "21" else 1 - decision.p
    if decision.shown is None:
        return None
    return 0.5 if decision.shown == "A=B" else float(decision.shown.startswith("A>"))


def _place(judgement: Judgement) -> tuple[str, str]:
    item, _, order = judgement.case_id.rpartition("#")
    return item, order


def _shown(judgement: Judgement, value: float) -> Shown:
    label = judgement.verdict.label
    return label if label in SHOWN else shown_from_share(value)  # type: ignore[return-value]


def _probability(protocol: AuditProtocol, judgement: Judgement, order: str) -> float | None:
    """The probability that response 2 is better, of a judge that reads probabilities, not only the likelier label."""
    judge, value = protocol.judges[judgement.judge], judgement.verdict.value
    if value is None or not isinstance(judge, LogprobJudge) or judge.binarise:
        return None
    return value if order == "21" else 1 - value
