"""The arrows between records, run: examples → generations → cases → judgements → example scores → scores.

Stages are joined by iterators: a generation is judged as soon as it is finished. What is known of a run folder is
never asked again. Only ``store`` writes; everything a task does in here is pure.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from queue import SimpleQueue
from typing import Generic, TypeVar

import msgspec

from judgebench.grading import GradingPool
from judgebench.judges import Judge, next_request, read_replies
from judgebench.judges.panel import Member, Together, mean_of, panel_members
from judgebench.models import Model
from judgebench.models.feed import Feed
from judgebench.models.pricing import Price
from judgebench.prompts import fill
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
from judgebench.stopping import DifferenceWatch, Watch
from judgebench.store import TaskFolder
from judgebench.task import Generations, Task, TaskData
from judgebench.thinking import AUTO, Thinking, split_completion

T = TypeVar("T")
REPEAT_STRIDE = 100
"""Repeat indices between two repeats of a case: room for the re-asks of each."""
MAX_IN_FLIGHT = 4096
"""Examples on their way between the first request and the last verdict, at most."""


class _Dialogues(Generic[T]):
    """Items that are carried through one request after another, many at a time."""

    def __init__(self, items: Iterable[T], step: Callable[[T, tuple[Completion, ...]], Request | None]) -> None:
        self._items = items
        self._step = step
        self._changed = threading.Condition()
        self._next: deque[tuple[T, tuple[Completion, ...], Request]] = deque()
        self._sent: dict[int, tuple[T, tuple[Completion, ...]]] = {}
        self._open = 0
        """Items begun and not yet finished: while there are any, more requests may come."""

    def requests(self) -> Iterator[Request]:
        """First requests of new items, and next ones of items whose reply came, until all are finished."""
        feed: Feed[T] = Feed(self._items, ahead=64, on_ready=self._wake)
        number = 0
        try:
            while (entry := self._take(feed)) is not None:
                item, replies, request = entry
                with self._changed:
                    self._sent[number] = (item, replies)
                yield request
                number += 1
        finally:
            feed.close()

    def _take(self, feed: Feed[T]) -> tuple[T, tuple[Completion, ...], Request] | None:
        with self._changed:
            while True:
                if self._next:
                    return self._next.popleft()
                taken = feed.take(1, wait=False)
                if taken:
                    item = taken[0][1]
                    request = self._step(item, ())
                    if request is None:
                        continue
                    self._open += 1
                    return item, (), request
                if feed.ended and not self._open:
                    return None
                self._changed.wait()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def received(self, number: int, reply: Completion) -> tuple[T, tuple[Completion, ...]] | None:
        """The item with all its replies, if this was the last one."""
        with self._changed:
            item, replies = self._sent.pop(number)
            replies = (*replies, reply)
            request = None if reply.error else self._step(item, replies)
            if request is None:
                self._open -= 1
                self._changed.notify_all()
                return item, replies
            self._next.append((item, replies, request))
            self._changed.notify_all()
            return None


def converse(
    model: Model, items: Iterable[T], step: Callable[[T, tuple[Completion, ...]], Request | None]
) -> Iterator[tuple[T, tuple[Completion, ...]]]:
    """Carry each item through as many requests as ``step`` has for it, and yield it with its replies when done.

    ``step(item, replies)`` gives the next request, or ``None`` after the last reply; an item without a first request is
    dropped. Later user turns, re-asks and refinements are all this. A reply with an error ends its item.
    """
    dialogues = _Dialogues(items, step)
    for number, reply in model.complete(dialogues.requests()):
        finished = dialogues.received(number, reply)
        if finished is not None:
            yield finished


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

    def step(self, replies: tuple[Completion, ...]) -> Request | None:
        """The judge's prompt, then whatever the protocol asks after replies that hold no verdict."""
        request = next_request(self.seat.judge, self.case, replies, self.thinking)
        index = self.repeat * REPEAT_STRIDE + len(replies)
        return None if request is None else msgspec.structs.replace(request, repeat=index)

    def judgement(self, replies: tuple[Completion, ...] = ()) -> Judgement:
        """The case as it ended; without replies, as it was known beforehand."""
        if not replies:
            assert self.case.verdict is not None
            verdict = self.case.verdict
        elif replies[-1].error:
            verdict = Verdict(value=None, error=replies[-1].error)
        else:
            verdict = read_replies(self.seat.judge, self.case, replies, self.thinking)
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


@dataclass
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

    @property
    def queue(self) -> list[Example]:
        """The examples in the order in which they are asked and judged."""
        if self.watch is None:
            return list(self.data.examples)
        return [self.data.by_id[example_id] for example_id in self.watch.order]

    @property
    def judge_models(self) -> list[Model]:
        """Every model that judges, once."""
        return list({id(seat.model): seat.model for seats in self.seats.values() for seat in seats}.values())

    def judge_calls(self, generation: Generation) -> Iterator[JudgeCall]:
        """The generation's cases before each model that is to judge them, as often as it is to."""
        for case in self.task.cases(self.data, generation):
            for seat in self.seats[case.judge]:
                for repeat in range(self.judge_repeats):
                    yield JudgeCall(case, seat, repeat, Thinking(tags=self.thinking.tags))

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


Observer = Callable[[RunningTask, str], None]
"""Told after every finished item: the task and the stage (``generate`` or ``judge``)."""


class Pipeline:
    """Generates and judges what is missing, each answer judged as soon as it is finished.

    The caller's thread writes; the candidate and each judge model are drained by a thread of their own, so that wall
    time tends to the slowest of them and not to their sum.
    """

    def __init__(
        self,
        runs: Sequence[RunningTask],
        candidate: Model | None,
        system: str | None,
        observer: Observer,
        pool: GradingPool,
    ) -> None:
        self._runs = runs
        self._candidate = candidate
        self._system = system
        self._observe = observer
        self._pool = pool
        self._events: SimpleQueue[Callable[[], None] | BaseException | None] = SimpleQueue()
        self._room = threading.Semaphore(MAX_IN_FLIGHT)
        self._channels: dict[int, tuple[Model, SimpleQueue[tuple[RunningTask, JudgeCall] | None]]] = {}
        self._judged: dict[str, dict[tuple[str, str, int], Judgement | None]] = {}
        self._watched: dict[tuple[str, str], list[Judgement]] = {}
        """Judgements of unfinished examples, where somebody watches."""
        self._cases_left: dict[tuple[str, str], int] = {}
        self._drains = 0
        self._stopping = False

    def run(self, *, generate: bool, judge: bool) -> None:
        """Do the stages asked for. Raises what a model or task raised, after everything finished was written."""
        missing = [(run, example) for run in self._runs for example in self._unanswered(run)] if generate else []
        if judge:
            self._open_channels()
        for run in self._runs:
            self._start_counts(run, generate=generate, judge=judge)
        if judge:
            for run in self._runs:
                for example in run.queue:
                    generation = run.generations.get(example.id)
                    if generation and not run.stopped and not (generate and generation.error):
                        self._enqueue(run, generation)
                    elif generation is None and not generate:
                        # No answer will come: a file of answers lacks some.
                        self._watch(run, example.id)
        generating = bool(missing) and self._candidate is not None
        if generating:
            self._start(self._generate, missing)
        for model, channel in self._channels.values():
            self._start(self._judge, model, channel)
        if not generating:
            self._close_channels()
        self._drain()

    def _unanswered(self, run: RunningTask) -> list[Example]:
        return [
            example for example in run.queue if example.id not in run.generations or run.generations[example.id].error
        ]

    def _open_channels(self) -> None:
        for run in self._runs:
            self._judged[run.key] = {}
            for judgement in run.folder.judgements():
                if not judgement.failed:
                    # What was judged before is needed again only where somebody watches.
                    self._judged[run.key][judgement.key] = judgement if run.watch else None
            for model in run.judge_models:
                self._channels.setdefault(id(model), (model, SimpleQueue()))

    def _close_channels(self) -> None:
        for _, channel in self._channels.values():
            channel.put(None)

    def _start_counts(self, run: RunningTask, *, generate: bool, judge: bool) -> None:
        if generate:
            counts = run.count("generate")
            counts.total = len(run.data.examples)
            counts.resumed = counts.total - len(self._unanswered(run))
            self._observe(run, "generate")
        if judge and run.seats:
            run.count("judge")
            self._observe(run, "judge")

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        def guarded() -> None:
            try:
                work(*arguments)
            except BaseException as error:  # noqa: BLE001 - carried to the caller's thread
                self._events.put(error)
            else:
                self._events.put(None)

        self._drains += 1
        threading.Thread(target=guarded, name=f"judgebench-{work.__name__.strip('_')}", daemon=True).start()

    def _drain(self) -> None:
        """Handle events until every thread is done. The generating thread ends first: it feeds the others."""
        try:
            while self._drains:
                event = self._events.get()
                if isinstance(event, BaseException):
                    raise event
                if event is None:
                    self._drains -= 1
                elif event == self._generated:
                    self._close_channels()
                else:
                    event()
        except BaseException:
            self._stopping = True
            self._close_channels()
            self._room.release()
            self._handle_waiting()
            raise

    def _handle_waiting(self) -> None:
        """What was finished before something broke is written before the error is told."""
        while not self._events.empty():
            event = self._events.get()
            if callable(event) and event != self._generated:
                event()

    def _generated(self) -> None:
        """Marks, among the events, that no further generation comes."""

    def _generate(self, missing: Sequence[tuple[RunningTask, Example]]) -> None:
        assert self._candidate is not None
        steps = {run.key: generation_step(run.sampling, self._system, run.thinking, run.refine) for run, _ in missing}
        runs = {run.key: run for run, _ in missing}.values()

        def step(item: tuple[RunningTask, Example], replies: tuple[Completion, ...]) -> Request | None:
            if item[0].stopped:
                if not replies:
                    self._room.release()
                return None
            return steps[item[0].key](item[1], replies)

        def items() -> Iterator[tuple[RunningTask, Example]]:
            for item in missing:
                if not item[0].stopped:
                    self._room.acquire()
                    if self._stopping:
                        return
                    yield item

        started = time.monotonic()
        for (run, example), replies in converse(self._candidate, items(), step):
            if self._stopping:
                return
            if not replies[-1].error and steps[run.key](example, replies) is not None:
                self._room.release()  # the run was stopped between two turns
            else:
                name = run.candidate or self._candidate.name
                generation = to_generation(example, name, replies, run.thinking, 1 + len(run.refine))
                self._events.put(partial(self._answered, run, generation, replies, time.monotonic() - started))
            if all(other.stopped for other in runs):
                break
        self._events.put(self._generated)

    def _answered(
        self, run: RunningTask, generation: Generation, replies: Sequence[Completion], seconds: float
    ) -> None:
        run.folder.append(generation)
        run.generations[generation.example_id] = generation
        run.tally("generate", replies, run.price, seconds)
        self._observe(run, "generate")
        if not generation.error:
            self._pool.begin(run.data.verifiers, run.task.checks(run.data, generation))
        if not (self._channels and not run.stopped and self._enqueue(run, generation)):
            self._room.release()

    def _enqueue(self, run: RunningTask, generation: Generation) -> int:
        """Send a generation's cases to their judges; how many must be waited for."""
        if not run.seats:
            return 0
        if generation.error:
            self._watch(run, generation.example_id)
            return 0
        counts, waiting = run.count("judge"), 0
        for call in run.judge_calls(generation):
            counts.total += 1
            if call.key in self._judged[run.key]:
                counts.resumed += 1
                self._note(run, self._judged[run.key][call.key])
            elif call.case.verdict is not None:
                judgement = call.judgement()
                run.folder.append(judgement)
                counts.skipped += 1
                self._note(run, judgement)
            else:
                waiting += 1
                self._channels[id(call.seat.model)][1].put((run, call))
            self._observe(run, "judge")
        self._cases_left[run.key, generation.example_id] = waiting
        if not waiting:
            self._watch(run, generation.example_id)
        return waiting

    def _judge(self, model: Model, channel: "SimpleQueue[tuple[RunningTask, JudgeCall] | None]") -> None:
        def step(item: tuple[RunningTask, JudgeCall], replies: tuple[Completion, ...]) -> Request | None:
            return None if item[0].stopped else item[1].step(replies)

        started = time.monotonic()
        runs = [run for run in self._runs if any(model is own for own in run.judge_models)]

        def items() -> Iterator[tuple[RunningTask, JudgeCall]]:
            while (item := channel.get()) is not None and not self._stopping:
                yield item

        for (run, call), replies in converse(model, items(), step):
            if self._stopping:
                return
            if replies[-1].error or call.step(replies) is None:  # else the run was stopped before a re-ask
                judgement = call.judgement(replies)
                self._events.put(
                    partial(self._judged_one, run, call.seat, judgement, replies, time.monotonic() - started)
                )
            if all(other.stopped for other in runs):
                # Closes the dialogues: what the backend holds and has not sent is never sent.
                return

    def _note(self, run: RunningTask, judgement: Judgement | None) -> None:
        """Keep a judgement until its example is finished, if somebody watches."""
        if run.watch is not None and judgement is not None:
            self._watched.setdefault((run.key, judgement.example_id), []).append(judgement)

    def _watch(self, run: RunningTask, example_id: str) -> None:
        """Show a finished example to the run's watch, and give back the room of all that is no longer wanted."""
        if run.watch is None or run.stopped:
            return
        judgements = self._watched.pop((run.key, example_id), [])
        generation = run.generations.get(example_id)
        data = replace(run.data, examples=(run.data.by_id[example_id],))
        rows: list[ExampleScore] = []
        if generation is not None and not generation.error:
            rows = fold_members(run.task, data, {example_id: generation}, judgements)[1]
        run.watch.finished(example_id, rows)
        if run.watch.decided:
            for (key, example), left in self._cases_left.items():
                if key == run.key and left > 0:
                    self._cases_left[key, example] = 0
                    self._room.release()

    def _judged_one(
        self, run: RunningTask, seat: JudgeSeat, judgement: Judgement, replies: Sequence[Completion], seconds: float
    ) -> None:
        run.folder.append(judgement)
        counts = run.count("judge")
        run.tally("judge", replies, seat.price, seconds)
        if not judgement.failed and judgement.verdict.value is None:
            counts.unread += 1
        run.judge_models_returned.update(reply.model for reply in replies if reply.model)
        key = run.key, judgement.example_id
        self._cases_left[key] -= 1
        self._note(run, judgement)
        if not self._cases_left[key]:
            self._room.release()
            self._watch(run, judgement.example_id)
        self._observe(run, "judge")


def fold_members(
    task: Task, data: TaskData, generations: Generations, judgements: Sequence[Judgement]
) -> tuple[list[Member], list[ExampleScore], Together]:
    """The panel's members with their example scores, the panel's example scores, and how they are put together."""
    by_member = panel_members(judgements) or {"": []}
    members = [Member(name, task.score(data, generations, own)) for name, own in by_member.items()]

    def pooled(some: Sequence[Member]) -> list[ExampleScore]:
        return task.score(data, generations, [judgement for member in some for judgement in by_member[member.name]])

    together = pooled if task.pools_judges and len(members) > 1 else mean_of
    return members, together(members), together
