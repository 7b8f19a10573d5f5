"""Pure steps of a run: requests to the candidate and to judges, and what replies become.
Threads and writing are in ``pipeline``.

What is asked of the candidate and of judges, and what their replies come to. Nothing here asks a model or writes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import msgspec

from judgebench.data.prompts import fill
from judgebench.judges import Judge, next_step
from judgebench.judges.panel import Fold, Member, mean_of, panel_members
from judgebench.models import Model
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
from judgebench.run.folder import TaskFolder
from judgebench.run.stopping import DifferenceWatch, Watch
from judgebench.task import Generations, Task, TaskData
from judgebench.thinking import AUTO, Thinking, split_completion

REPEAT_STRIDE = 100
"""Repeat indices between two repeats of a case: room for the re-asks of each."""


def generation_step(
    sampling: Sampling, system: str | None, thinking: Thinking = AUTO, refine: Sequence[str] = ()
) -> Callable[[Example, tuple[Completion, ...]], Request | None]:
    """The requests of one example: its conversation, then each later user turn after the model's own answer.

    With ``refine``, every turn's answer goes through those prompts before the next turn: a prompt with ``{response}``
    (and ``{instruction}``) in it is asked by itself, any other goes on with the conversation.
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
    """A refinement prompt with those of its two tokens filled that it has."""
    values = {"{instruction}": instruction, "{response}": response}
    return fill(prompt, {token: text for token, text in values.items() if token in prompt})


def to_generation(
    example: Example, model: str, replies: Sequence[Completion], thinking: Thinking = AUTO, rounds: int = 1
) -> Generation:
    """One example's replies as a generation, their thinking parts kept apart; it failed if a turn got no reply.

    ``rounds`` is the number of replies to a turn, of which the last one counts.
    """
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


@dataclass(frozen=True)
class JudgeSeat:
    """A model that plays a judge. A jury has several for one judge."""

    judge: Judge
    """The prompt and rule, as this model is asked: a local model may score the labels directly."""
    model: Model
    price: Price | None = None
    spec: str = ""
    """The model as it was asked for."""


@dataclass(frozen=True)
class JudgeCall:
    """One case before one seat."""

    case: Case
    seat: JudgeSeat
    repeat: int = 0
    thinking: Thinking = AUTO
    """How the judge's replies are split in thinking and verdict."""

    @property
    def key(self) -> tuple[str, str, int]:
        """That of its judgement."""
        return self.case.id, self.seat.model.name, self.repeat

    def step(self, replies: tuple[Completion, ...]) -> Request | Verdict:
        """The judge's prompt, then whatever the protocol asks after replies that hold no verdict; then the verdict."""
        step = next_step(self.seat.judge, self.case, replies, self.thinking)
        if isinstance(step, Verdict):
            return step
        return msgspec.structs.replace(step, repeat=self.repeat * REPEAT_STRIDE + len(replies))

    def judgement(self, verdict: Verdict, replies: tuple[Completion, ...] = ()) -> Judgement:
        """The case as it ended; without replies, as it was known beforehand."""
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
        )


@dataclass(frozen=True)
class RunningTask:
    """One task of a run, on its way."""

    key: str
    """Names the task's folder and its rows."""
    task: Task
    data: TaskData
    folder: TaskFolder
    sampling: Sampling
    seats: Mapping[str, tuple[JudgeSeat, ...]]
    """The models that play each judge, by its name; empty if this session does not judge."""
    judge_repeats: int = 1
    generations: dict[str, Generation] = field(default_factory=dict)
    """Answers that exist already: of an earlier session, or of a file."""
    price: Price | None = None
    """Of the candidate's tokens; ``None`` if not known."""
    thinking: Thinking = AUTO
    """How the candidate's replies are split in thinking and answer."""
    refine: tuple[str, ...] = ()
    """Prompts that each answer goes through."""
    candidate: str = ""
    """What the answers are filed under, if not the candidate's own name."""
    watch: Watch | DifferenceWatch | None = None
    """Looks at each judged example and says when to stop; ``None`` if all are to be judged."""
    counts: dict[str, StageCounts] = field(default_factory=dict)
    judge_models_returned: set[str] = field(default_factory=set)

    @property
    def stopped(self) -> bool:
        """Enough is known: nothing more is asked."""
        return self.watch is not None and self.watch.decided

    def queue(self) -> Iterator[Example]:
        """The examples in the order in which they are asked and judged, until enough is known."""
        examples = self.data.examples
        if self.watch is not None:
            examples = tuple(self.data.by_id[example_id] for example_id in self.watch.order)
        return takewhile(lambda _: not self.stopped, examples)

    @property
    def unanswered(self) -> set[str]:
        """Ids of the examples that have no answer, or one that failed."""
        answered = {generation.example_id for generation in self.generations.values() if not generation.error}
        return {example.id for example in self.data.examples} - answered

    @property
    def judge_models(self) -> list[Model]:
        """Every model that judges, once."""
        return list({id(seat.model): seat.model for seats in self.seats.values() for seat in seats}.values())

    def judge_calls(self, generation: Generation) -> Iterator[JudgeCall]:
        """The generation's cases before each model that is to judge them, as often as it is to."""
        thinking = Thinking(tags=self.thinking.tags)
        for case in self.task.cases(self.data, generation):
            for seat in self.seats[case.judge]:
                for repeat in range(self.judge_repeats):
                    yield JudgeCall(case, seat, repeat, thinking)

    def count(self, stage: str) -> StageCounts:
        """The tally of a stage."""
        return self.counts.setdefault(stage, StageCounts())

    def tally(self, stage: str, replies: Sequence[Completion], price: Price | None, seconds: float) -> None:
        """Count one finished item by its last reply, and the tokens of what was asked now."""
        counts, last = self.count(stage), replies[-1]
        if last.error:
            counts.failed += 1
        elif last.cached:
            counts.cached += 1
        else:
            counts.asked += 1
        if stage == "judge":  # several replies of a candidate are its turns
            counts.reasked += sum(not reply.cached for reply in replies[:-1])
        paid = [reply.paid for reply in replies if not reply.cached]
        usage = sum(paid, Usage())
        counts.usage += usage
        counts.estimated += sum(of_reply.estimated for of_reply in paid)
        if price is None:
            counts.unpriced += usage
        else:
            counts.usd += price.usd(usage)
        counts.seconds = seconds


def fold_members(
    task: Task, data: TaskData, generations: Generations, judgements: Sequence[Judgement]
) -> tuple[list[Member], list[ExampleScore], Fold]:
    """The panel's members with their example scores, the panel's example scores, and the fold that makes these."""
    by_member = panel_members(judgements) or {"": []}
    members = [Member(name, task.score(data, generations, own)) for name, own in by_member.items()]

    def pooled(some: Sequence[Member]) -> list[ExampleScore]:
        return task.score(data, generations, [judgement for member in some for judgement in by_member[member.name]])

    fold = pooled if task.pools_judges and len(members) > 1 else mean_of
    return members, fold(members), fold
