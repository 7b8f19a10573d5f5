"""The steps between records: examples → generations → cases → judgements → example scores.

This module decides what the candidate and the judges are asked, and turns their replies into records. It calls no model
and writes nothing; ``pipeline`` does both.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile

import msgspec

from judgebench.codec import canonical_hash
from judgebench.data.prompts import fill
from judgebench.judges import Judge, next_step
from judgebench.judges.panel import (
    Fold,
    KeptScores,
    Member,
    judges_by_member,
    mean_of,
    mean_with_covariates,
)
from judgebench.models import Gauge, Gauged, Model
from judgebench.models.continuations import likelihoods_in
from judgebench.models.pricing import Price
from judgebench.records import (
    Case,
    Completion,
    Example,
    ExampleScore,
    Generation,
    Judgement,
    Message,
    Request,
    Sampling,
    StageCounts,
    Usage,
    Verdict,
)
from judgebench.run.first_verdicts import FirstVerdicts
from judgebench.run.folder import TaskFolder
from judgebench.run.stopping import DifferenceWatch, Watch
from judgebench.run.verifying import Verifying
from judgebench.task import Generations, Task, TaskData
from judgebench.thinking import AUTO, Thinking, split_completion

REPEAT_STRIDE = 100
"""Distance between the request indices of two repeats of a case, which leaves room for re-asks."""
MOST_REPEATS = 1_000
"""Distance between the repeats of two epochs."""


def generation_step(
    sampling: Sampling, system: str | None, thinking: Thinking = AUTO, refine: Sequence[str] = ()
) -> Callable[[Example, tuple[Completion, ...]], Request | None]:
    """Return the step that makes an example's requests: its conversation, then each later user turn.

    With ``refine``, every answer goes through those prompts before the next turn. A prompt with ``{response}`` (and
    ``{instruction}``) is sent by itself; any other continues the conversation.
    """
    opening = () if system is None else (Message(role="system", content=system),)
    rounds = 1 + len(refine)

    def step(example: Example, replies: tuple[Completion, ...]) -> Request | None:
        turn, done = divmod(len(replies), rounds)
        if turn > len(example.followups):
            return None
        answers = [split_completion(reply, thinking).answer for reply in replies]
        messages = [*opening, *example.messages]
        for answer, followup in zip(answers[rounds - 1 :: rounds], example.followups, strict=False):
            messages.append(Message(role="assistant", content=answer))
            messages.append(Message(role="user", content=followup))
        asked = messages[-1].content
        for answer, prompt in zip(answers[turn * rounds :], refine[:done], strict=True):
            if "{response}" in prompt:
                messages = [*opening, Message(role="user", content=fill_present(prompt, asked, answer))]
            else:
                messages.append(Message(role="assistant", content=answer))
                messages.append(Message(role="user", content=fill_present(prompt, asked, answer)))
        return Request(
            messages=tuple(messages), sampling=example.sampling or sampling, repeat=example.repeat * REPEAT_STRIDE
        )

    return step


def fill_present(prompt: str, instruction: str, response: str) -> str:
    """Fill those of the two placeholders that a refinement prompt has."""
    values = {"{instruction}": instruction, "{response}": response}
    return fill(prompt, {token: text for token, text in values.items() if token in prompt})


def to_generation(
    example: Example, model: str, replies: Sequence[Completion], thinking: Thinking = AUTO, rounds: int = 1
) -> Generation:
    """Make a generation of an example's replies, with their thinking parts apart; it failed if a turn got no reply.

    ``rounds`` is the number of replies to a turn; the last one counts.
    """
    if example.sampling is not None and example.sampling.continuations:
        return _likelihoods(example, model, replies[-1])
    last_of_turns = [reply for reply in replies[rounds - 1 :: rounds] if not reply.error]
    parts = [split_completion(reply, thinking) for reply in last_of_turns]
    return Generation(
        example_id=example.id,
        model=model,
        outputs=tuple(part.answer for part in parts),
        thinking=tuple(part.thinking for part in parts) if any(part.thinking is not None for part in parts) else (),
        finish_reasons=tuple(reply.finish_reason for reply in last_of_turns),
        usage=sum((reply.usage for reply in replies), Usage()),
        error=replies[-1].error,
    )


def _likelihoods(example: Example, model: str, reply: Completion) -> Generation:
    """Make a generation of the log-likelihoods of an example's continuations; its output is the likeliest."""
    assert example.sampling is not None
    values = likelihoods_in(reply, len(example.sampling.continuations))
    if reply.error or values is None:
        error = reply.error or "the model returned no log-likelihoods of the continuations"
        return Generation(example_id=example.id, model=model, outputs=(), usage=reply.usage, error=error)
    return Generation(
        example_id=example.id,
        model=model,
        outputs=(reply.text or "",),
        finish_reasons=(reply.finish_reason,),
        usage=reply.usage,
        likelihoods=values,
    )


_LEAST_AHEAD, _SHARE_AHEAD = 4, 8
"""Of a dear judge that ends by a rule, at most 4 examples, or an eighth of those looked at, are begun beyond these."""


@dataclass(frozen=True)
class JudgeSeat:
    """A judge and a model that plays it. A jury has several seats for one judge."""

    judge: Judge
    """The prompt and rule for this model; a local model may score the labels directly."""
    model: Model
    price: Price | None = None
    spec: str = ""
    """The model as the user or the task named it."""
    dear: bool = False
    """Whether it judges only a part of the examples (``--cascade``)."""


def judge_step(
    judge: Judge,
    case: Case,
    replies: tuple[Completion, ...],
    repeat: int = 0,
    thinking: Thinking = AUTO,
    reasks: int | None = None,
) -> Request | Verdict:
    """Return what a judge is asked next in one repeat of a case, or the verdict."""
    step = next_step(judge, case, replies, thinking, reasks)
    if isinstance(step, Verdict) or getattr(judge, "deterministic", False):
        return step
    return msgspec.structs.replace(step, repeat=repeat * REPEAT_STRIDE + len(replies))


@dataclass(frozen=True)
class JudgeCall:
    """A case for one seat to judge."""

    case: Case
    seat: JudgeSeat
    repeat: int = 0
    thinking: Thinking = AUTO
    """How the judge's replies are split into thinking and verdict."""
    reasks: int | None = None
    """How often it is asked again after an unreadable reply; ``None`` is as its protocol has it."""
    epoch: int = 0
    """Calls of another epoch are other calls to the call store."""
    sent: list[str] = field(default_factory=list, compare=False)
    """Hashes of the messages sent so far. Mutable, because it grows with the dialogue."""

    @property
    def key(self) -> tuple[str, str, int]:
        """The key of its judgement."""
        return self.case.id, self.seat.model.name, self.repeat

    def step(self, replies: tuple[Completion, ...]) -> Request | Verdict:
        """Return the next request (the judge's prompt, or a re-ask after an unreadable reply), or the verdict."""
        repeat = self.epoch * MOST_REPEATS + self.repeat
        step = judge_step(self.seat.judge, self.case, replies, repeat, self.thinking, self.reasks)
        if isinstance(step, Request):
            self.sent[len(replies) :] = [canonical_hash(step.messages)]
        return step

    def judgement(self, verdict: Verdict, replies: tuple[Completion, ...] = ()) -> Judgement:
        """Make the judgement; without replies, of a verdict that was known beforehand."""
        return Judgement(
            case_id=self.case.id,
            example_id=self.case.example.id,
            judge=self.case.judge,
            judge_model=self.seat.model.name,
            answers=tuple(answer.model for answer in self.case.answers),
            candidate=self.case.candidate,
            turn=self.case.turn,
            repeat=self.repeat,
            verdict=verdict,
            replies=tuple(msgspec.structs.replace(reply, cached=False) for reply in replies),
            request_hashes=tuple(self.sent) if replies else msgspec.UNSET,
        )


@dataclass
class Flow:
    """What one model is asked for one stage of a task. The model's thread counts; a display looks now and then."""

    model: Model
    begun: float
    """Monotonic time of the first request."""
    opened: int = 0
    """Items whose first request the model has pulled."""
    closed: int = 0
    """Those of them that are finished."""
    moved: float = 0.0
    """Monotonic time at which the latest of them was finished."""


@dataclass(frozen=True)
class RunningTask:
    """One task of a run in progress."""

    key: str
    """Name of the task's folder and rows."""
    task: Task
    data: TaskData
    folder: TaskFolder
    sampling: Sampling
    seats: Mapping[str, tuple[JudgeSeat, ...]]
    """The models that play each judge, by its name; empty if this session does not judge."""
    judge_repeats: int = 1
    reasks: int | None = None
    """How often a judge is asked again after an unreadable reply; ``None`` is as its protocol has it."""
    judge_epoch: int = 0
    generations: dict[str, Generation] = field(default_factory=dict)
    """Answers that exist already, from an earlier session or a file."""
    price: Price | None = None
    """Price of the candidate's tokens; ``None`` if unknown."""
    thinking: Thinking = AUTO
    """How the candidate's replies are split into thinking and answer."""
    refine: tuple[str, ...] = ()
    """Refinement prompts that each answer goes through."""
    candidate: str = ""
    """Name of the candidate in the answers, if it is not the model's own name."""
    dear_part: frozenset[str] = frozenset()
    """Ids of the examples that dear seats judge."""
    watch: Watch | DifferenceWatch | None = None
    """Looks at each judged example and decides when to stop; ``None`` if all examples are judged."""
    few_ahead: bool = False
    """Whether few examples more are begun than the watch has looked at, because their verdicts are dear."""
    counts: dict[str, StageCounts] = field(default_factory=dict)
    lost: dict[str, Gauge] = field(default_factory=dict)
    """By stage: what was under way when the work was broken off, and is asked again."""
    judge_models_returned: set[str] = field(default_factory=set)
    flows: dict[str, list[Flow]] = field(default_factory=lambda: {"generate": [], "judge": []})
    """By stage: what each model is asked."""
    first_verdicts: FirstVerdicts = field(default_factory=FirstVerdicts)
    sent_to_judges: set[str] = field(default_factory=set)
    """Ids of the examples whose judge calls are known, because they are answered or will not be."""

    @property
    def verifies(self) -> bool:
        """Whether its answers are verified by rules or programs."""
        return bool(self.data.verifiers)

    @cached_property
    def verifying(self) -> Verifying:
        """The checks of its answers."""
        return Verifying(self.folder, self.data.verifiers)

    @property
    def stopped(self) -> bool:
        """Whether enough is known, so that nothing more is asked."""
        return self.watch is not None and self.watch.decided

    def queue(self) -> Iterator[Example]:
        """Yield the examples in the order in which they are asked and judged, until enough is known."""
        examples = self.data.examples
        if self.watch is not None:
            examples = tuple(self.data.by_id[example_id] for example_id in self.watch.order)
        return takewhile(lambda _: not self.stopped, examples)

    def may_start(self, place: int) -> bool:
        """Whether the example at this place of the queue may be begun: what is begun and turns out too much is paid."""
        if not self.few_ahead or self.watch is None:
            return True
        return place < self.watch.n + max(_LEAST_AHEAD, self.watch.n // _SHARE_AHEAD)

    @property
    def seconds(self) -> float:
        """From the first request of this process to the latest answer or verdict; 0 if there is none."""
        flows = [flow for flows in self.flows.values() for flow in flows if flow.closed]
        return max(flow.moved for flow in flows) - min(flow.begun for flow in flows) if flows else 0.0

    @property
    def unanswered(self) -> set[str]:
        """Ids of the examples that have no answer, or one that failed."""
        answered = {generation.example_id for generation in self.generations.values() if not generation.error}
        return {example.id for example in self.data.examples} - answered

    @property
    def judge_models(self) -> list[Model]:
        """All judge models, each once."""
        return list({id(seat.model): seat.model for seats in self.seats.values() for seat in seats}.values())

    def judge_calls(self, generation: Generation) -> Iterator[JudgeCall]:
        """Yield a call for each case of the generation, each seat and each repeat."""
        thinking = Thinking(tags=self.thinking.tags)
        for case in self.task.cases(self.data, generation):
            for seat in self.seats[case.judge]:
                if seat.dear and generation.example_id not in self.dear_part:
                    continue
                for repeat in range(self.judge_repeats):
                    yield JudgeCall(case, seat, repeat, thinking, self.reasks, self.judge_epoch)

    def count(self, stage: str) -> StageCounts:
        """Return the tally of a stage."""
        return self.counts.setdefault(stage, StageCounts())

    def tally(self, stage: str, replies: Sequence[Completion], price: Price | None, seconds: float) -> None:
        """Count one finished item by its last reply, and the tokens of the calls made now."""
        counts, last = self.count(stage), replies[-1]
        if last.error:
            counts.failed += 1
        elif last.cached:
            counts.cached += 1
        else:
            counts.asked += 1
        if stage == "judge":  # several replies of a candidate are its turns
            counts.reasked += sum(not reply.cached for reply in replies[1:])
        paid = [reply for reply in replies if not reply.cached]
        usage = sum((reply.paid for reply in paid), Usage())
        counts.usage += usage
        counts.estimated += sum(reply.paid.estimated for reply in paid)
        if price is None:
            counts.unpriced += usage
        else:
            counts.usd += price.paid(*paid)
        counts.seconds = seconds


def fold_members(
    task: Task, data: TaskData, generations: Generations, judgements: Collection[Judgement]
) -> tuple[list[Member], list[ExampleScore], Fold]:
    """Return the panel's members with their example scores, the panel's example scores, and the fold that made them."""
    by_member = task.by_member(judgements) or {"": ()}
    judges, kept = judges_by_member(judgements), KeptScores()
    scored = ((name, task.score(data, generations, own)) for name, own in by_member.items())
    members = [
        Member(name, kept.of(rows) if len(by_member) > 1 else rows, judges.get(name, "")) for name, rows in scored
    ]

    def pooled(some: Sequence[Member]) -> list[ExampleScore]:
        return task.score(data, generations, [judgement for member in some for judgement in by_member[member.name]])

    usual = mean_with_covariates if task.folds_covariates else mean_of
    fold = pooled if task.pools_judges and len(members) > 1 else usual
    return members, fold(members), fold


def under_way(stages: Mapping[tuple[str, str], RunningTask]) -> dict[tuple[str, str], Gauge]:
    """What each stage's models are working on. A model that serves several stages works for the first of them first."""
    found: dict[tuple[str, str], Gauge] = {}
    left: dict[int, tuple[Gauge, float]] = {}
    for key, run in stages.items():
        rows = tokens = limit = 0
        for flow in list(run.flows[key[1]]):
            waiting = flow.opened - flow.closed
            if waiting <= 0:
                continue
            if id(flow.model) not in left:
                gauge = _gauge(flow.model)
                left[id(flow.model)] = (gauge or Gauge(0, 0)), gauge.rows if gauge else float("inf")
            gauge, free = left[id(flow.model)]
            own = int(min(waiting, free))
            left[id(flow.model)] = gauge, free - own
            rows += own
            tokens += gauge.tokens * own // gauge.rows if gauge.rows else 0
            limit += gauge.limit * own // gauge.rows if gauge.rows else 0
        found[key] = Gauge(rows, tokens, limit)
    return found


def _gauge(model: Model) -> Gauge | None:
    with suppress(Exception):  # a look from another thread, perhaps at code of a plug-in, must not end anything
        return model.gauge() if isinstance(model, Gauged) else None
    return None
