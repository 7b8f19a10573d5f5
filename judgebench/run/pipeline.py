"""Does the work of a run: generates answers, and judges each answer as soon as it is finished.

Threads that call models put events into one queue. The caller's thread takes them out, writes them to the run folder
before anything else, and is the only thread that writes. What the run folder holds already is not asked again. What is
asked is decided in ``stages``; scoring comes later, in ``scoring``.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from queue import SimpleQueue
from typing import Generic, TypeVar

import msgspec

from judgebench.errors import UnfilledPrompt
from judgebench.grading.pool import GradingPool
from judgebench.models import Model
from judgebench.models.feed import Feed
from judgebench.records import Completion, Example, ExampleScore, Generation, Judgement, Request, Verdict
from judgebench.run.digests import Digests, key_digest
from judgebench.run.stages import (
    Flow,
    JudgeCall,
    JudgeSeat,
    RunningTask,
    fold_members,
    generation_step,
    to_generation,
    under_way,
)
from judgebench.run.stopping import DifferenceWatch, Watch
from judgebench.run.turns import Turns, in_turn

T = TypeVar("T")
R = TypeVar("R")
Work = TypeVar("Work")
MAX_IN_FLIGHT = 4096
"""Limit for the examples between their first request and their last verdict."""


class _Dialogues(Generic[T, R]):
    """Carries many items at a time through one request after another."""

    def __init__(self, items: Iterable[T], step: Callable[[T, tuple[Completion, ...]], Request | R | None]) -> None:
        self._items = items
        self._step = step
        self._changed = threading.Condition()
        self._next: deque[tuple[T, tuple[Completion, ...], Request]] = deque()
        self._sent: dict[int, tuple[T, tuple[Completion, ...]]] = {}
        self._open = 0
        """Number of items that are started and not finished: while there are any, more requests may come."""
        self._closed = False
        self._feed: Feed[T] | None = None

    def requests(self) -> Iterator[Request]:
        """Yield the first requests of new items and the next requests of answered ones, until all are finished."""
        feed: Feed[T] = Feed(self._items, ahead=64, on_ready=self._wake)
        with self._changed:
            self._feed = feed
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
            while not self._closed:
                if self._next:
                    return self._next.popleft()
                taken = feed.take(1, wait=False)
                if taken:
                    item = taken[0][1]
                    request = self._step(item, ())
                    if not isinstance(request, Request):
                        continue
                    self._open += 1
                    return item, (), request
                if feed.ended and not self._open:
                    return None
                self._changed.wait()
        return None

    def close(self) -> None:
        """Ask for nothing more: the threads that wait for the next request, or for room for it, end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            feed = self._feed
        if feed is not None:
            feed.close()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def received(self, number: int, reply: Completion) -> tuple[T, tuple[Completion, ...], R] | None:
        """Return the item with all its replies and its outcome, if this was its last reply."""
        with self._changed:
            item, replies = self._sent.pop(number)
        replies = (*replies, reply)
        outcome = self._step(item, replies)
        with self._changed:
            if isinstance(outcome, Request):
                self._next.append((item, replies, outcome))
            else:
                self._open -= 1
            self._changed.notify_all()
        return None if isinstance(outcome, Request) or outcome is None else (item, replies, outcome)


def converse(
    model: Model, items: Iterable[T], step: Callable[[T, tuple[Completion, ...]], Request | R | None]
) -> Iterator[tuple[T, tuple[Completion, ...], R]]:
    """Carry each item through as many requests as ``step`` has for it; yield it with its replies and its outcome.

    ``step(item, replies)`` returns the next request, or the outcome after the last reply, or ``None`` to drop the item.
    An item that needs no request is dropped too. Later user turns, re-asks and refinements all work this way.
    """
    dialogues: _Dialogues[T, R] = _Dialogues(items, step)
    try:
        for number, reply in model.complete(dialogues.requests()):
            finished = dialogues.received(number, reply)
            if finished is not None:
                yield finished
    finally:
        dialogues.close()


class _Flows(Generic[Work, R]):
    """A step of a dialogue that counts, by task, what its model is asked and has finished."""

    def __init__(
        self,
        model: Model,
        stage: str,
        step: Callable[[tuple[RunningTask, Work], tuple[Completion, ...]], Request | R | None],
    ) -> None:
        self._model = model
        self._stage = stage
        self._step = step
        self._flows: dict[str, Flow] = {}

    def step(self, item: tuple[RunningTask, Work], replies: tuple[Completion, ...]) -> Request | R | None:
        """As the step; the first request opens an item, and an outcome closes it."""
        outcome = self._step(item, replies)
        if isinstance(outcome, Request):
            self._of(item[0]).opened += not replies
        elif replies:
            flow = self._of(item[0])
            flow.closed, flow.moved = flow.closed + 1, time.monotonic()
        return outcome

    def seconds(self, run: RunningTask) -> float:
        """How long ago the task's first request was made."""
        return time.monotonic() - self._of(run).begun

    def _of(self, run: RunningTask) -> Flow:
        if run.key not in self._flows:
            self._flows[run.key] = Flow(self._model, begun=time.monotonic())
            run.flows[self._stage].append(self._flows[run.key])
        return self._flows[run.key]


Observer = Callable[[RunningTask, str], None]
"""Called after every finished item with the task and the stage (``generate`` or ``judge``)."""


Place = tuple[str, str]
"""A task's key and an example's id."""


class _Room:
    """Limits the number of examples between their first request and their last verdict."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._changed = threading.Condition()
        self._inside: set[Place] = set()
        self._over: set[str] = set()
        self._closed = False

    def enter(self, place: Place, may_start: Callable[[], bool] = lambda: True) -> bool:
        """Wait for a free place, and until the example may start; return whether it is still wanted."""

        def ready() -> bool:
            return self._closed or place[0] in self._over or (len(self._inside) < self._size and may_start())

        with self._changed:
            self._changed.wait_for(ready)
            wanted = not self._closed and place[0] not in self._over
            if wanted:
                self._inside.add(place)
            return wanted

    def leave(self, place: Place) -> None:
        """Free the example's place, if it has one."""
        with self._changed:
            self._inside.discard(place)
            self._changed.notify_all()

    def end(self, key: str) -> None:
        """Free all places of a task, and admit no more of its examples."""
        with self._changed:
            self._over.add(key)
            self._inside = {place for place in self._inside if place[0] != key}
            self._changed.notify_all()

    def close(self) -> None:
        """Admit no more examples; whoever waits for a place is turned away."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


@dataclass(frozen=True)
class _Known:
    """An example that was answered before, or will get no answer."""

    run: RunningTask
    example_id: str


@dataclass(frozen=True)
class _Answered:
    """The candidate has answered an example, or failed to."""

    run: RunningTask
    generation: Generation
    replies: tuple[Completion, ...]
    seconds: float


@dataclass(frozen=True)
class _Judged:
    """A judge model has judged a case, or failed to."""

    run: RunningTask
    seat: JudgeSeat
    judgement: Judgement
    replies: tuple[Completion, ...]
    seconds: float


@dataclass(frozen=True)
class _Verified:
    """An answer was verified, and somebody waits for the verdict."""

    run: RunningTask
    judgement: Judgement


@dataclass(frozen=True)
class _Ended:
    """A thread has done all its work, or ended with an error."""

    feeds_judges: bool
    error: BaseException | None


@dataclass
class _Unfinished:
    """An example that is being judged."""

    waiting: int = 0
    """Number of verdicts that are still to come."""
    judgements: list[Judgement] = field(default_factory=list)
    """The judgements so far, if the task has a watch that looks at them."""


def _numbered(run: RunningTask) -> Iterator[tuple[RunningTask, int, Example]]:
    """A task's examples in the order in which they are wanted."""
    for place, example in enumerate(run.queue()):
        yield run, place, example


class Pipeline:
    """Generates and judges what is missing, each answer judged as soon as it is finished.

    The candidate and each judge model have a thread of their own, so that the wall time approaches that of the slowest
    and not their sum. One more thread sends answers that exist already to the judges.
    """

    def __init__(
        self,
        runs: Sequence[RunningTask],
        candidate: Model | None,
        system: str | None,
        observer: Observer,
        pool: GradingPool,
        in_flight: int | None = None,
    ) -> None:
        self._runs = runs
        self._candidate = candidate
        self._system = system
        self._observe = observer
        self._pool = pool
        self._events: SimpleQueue[_Known | _Answered | _Judged | _Verified | _Ended] = SimpleQueue()
        self._verifying: set[tuple[str, str]] = set()
        """Checks whose verdicts a watch waits for, by task and case."""
        self._room = _Room(in_flight or MAX_IN_FLIGHT)
        self._channels: dict[int, tuple[Model, Turns[tuple[RunningTask, JudgeCall]]]] = {}
        self._judged_before: dict[str, Digests | dict[int, Judgement]] = {}
        """By task, digests of the keys; the judgements themselves only if a watch will look at them."""
        self._unfinished: dict[Place, _Unfinished] = {}
        self._threads = 0
        self._feeding = 0
        """Number of threads that still send answers to the judges."""
        self._stopping = False

    def run(self, *, generate: bool, judge: bool) -> None:
        """Run the stages. An error of a model or task is raised after everything finished has been written."""
        missing = {run.key: run.unanswered if generate else set[str]() for run in self._runs}
        if judge:
            self._open_channels()
        for run in self._runs:
            self._start_counts(run, len(missing[run.key]), generate=generate, judge=judge)
        if self._candidate is not None and any(missing.values()):
            self._start(self._generate, missing, feeds_judges=True)
        if judge:
            self._start(self._feed, missing, feeds_judges=True)
        for model, channel in self._channels.values():
            self._start(self._judge, model, channel)
        self._handle_events()

    def _open_channels(self) -> None:
        for run in self._runs:
            judged = (judgement for judgement in run.folder.judgements() if not judgement.failed)
            self._judged_before[run.key] = (
                {key_digest(judgement.key): msgspec.structs.replace(judgement, replies=()) for judgement in judged}
                if run.watch
                else Digests(key_digest(judgement.key) for judgement in judged)
            )
            for model in run.judge_models:
                self._channels.setdefault(id(model), (model, Turns()))

    def _close_channels(self) -> None:
        for _, channel in self._channels.values():
            channel.close()

    def _start_counts(self, run: RunningTask, missing: int, *, generate: bool, judge: bool) -> None:
        if generate:
            counts = run.count("generate")
            counts.total = len(run.data.examples)
            counts.resumed = counts.total - missing
            self._observe(run, "generate")
        if judge and run.seats:
            run.count("judge")
            self._observe(run, "judge")

    # -- threads that feed the queue of events

    def _start(self, work: Callable[..., None], *arguments: object, feeds_judges: bool = False) -> None:
        def guarded() -> None:
            error = None
            try:
                work(*arguments)
            except BaseException as raised:  # noqa: BLE001 - carried to the caller's thread
                error = raised
            self._events.put(_Ended(feeds_judges, error))

        self._threads += 1
        self._feeding += feeds_judges
        threading.Thread(target=guarded, name=f"judgebench-{work.__name__.strip('_')}", daemon=True).start()

    def _enter(self, missing: Mapping[str, set[str]], *, known: bool) -> Iterator[tuple[RunningTask, Example]]:
        """Yield the examples with an answer (``known``) or without one, each as soon as there is room for it."""
        queues = map(_numbered, self._runs)
        for run, place, example in in_turn(queues) if known and self._takes_turns else chain.from_iterable(queues):
            if (example.id not in missing[run.key]) == known and self._room.enter(
                (run.key, example.id), partial(run.may_start, place)
            ):
                yield run, example
            if self._stopping:
                return

    @property
    def _takes_turns(self) -> bool:
        """Whether tasks share their judges equally: of models on this machine, the order makes the batches, and so may
        change a last digit.
        """
        return not any(model.local for model, _ in self._channels.values())

    def _feed(self, missing: Mapping[str, set[str]]) -> None:
        for run, example in self._enter(missing, known=True):
            self._events.put(_Known(run, example.id))

    def _generate(self, missing: Mapping[str, set[str]]) -> None:
        assert self._candidate is not None
        runs = [run for run in self._runs if missing[run.key]]
        requests = {run.key: generation_step(run.sampling, self._system, run.thinking, run.refine) for run in runs}
        names = {run.key: run.candidate or self._candidate.name for run in runs}

        def step(item: tuple[RunningTask, Example], replies: tuple[Completion, ...]) -> Request | Generation | None:
            run, example = item
            request = None if replies and replies[-1].error else requests[run.key](example, replies)
            if request is not None:
                return None if run.stopped else request
            return to_generation(example, names[run.key], replies, run.thinking, 1 + len(run.refine))

        flows = _Flows(self._candidate, "generate", step)
        for (run, _), replies, generation in converse(self._candidate, self._enter(missing, known=False), flows.step):
            if self._stopping:
                return
            self._events.put(_Answered(run, generation, replies, flows.seconds(run)))
            if all(run.stopped for run in runs):
                return

    def _judge(self, model: Model, channel: Turns[tuple[RunningTask, JudgeCall]]) -> None:
        def step(item: tuple[RunningTask, JudgeCall], replies: tuple[Completion, ...]) -> Request | Verdict | None:
            run, call = item
            try:
                outcome = call.step(replies)
            except UnfilledPrompt as error:
                # One answer that the user's prompt cannot show: its case fails, and the others are judged.
                failed = (Completion(error=f"{call.case.id}: {error}"),)
                judgement = call.judgement(Verdict(value=None, error=failed[0].error), failed)
                self._events.put(_Judged(run, call.seat, judgement, failed, flows.seconds(run)))
                return None
            return None if run.stopped and isinstance(outcome, Request) else outcome

        def items() -> Iterator[tuple[RunningTask, JudgeCall]]:
            while (item := channel.get()) is not None and not self._stopping:
                yield item

        flows = _Flows(model, "judge", step)
        runs = [run for run in self._runs if any(model is own for own in run.judge_models)]
        for (run, call), replies, verdict in converse(model, items(), flows.step):
            if self._stopping:
                return
            judgement = call.judgement(verdict, replies)
            self._events.put(_Judged(run, call.seat, judgement, replies, flows.seconds(run)))
            if all(run.stopped for run in runs):
                # Closes the dialogues: the backend never sends the requests that it still holds.
                return

    # -- the caller's thread, which handles the events

    def _handle_events(self) -> None:
        """Handle events until every thread is done."""
        try:
            if not self._feeding:
                self._close_channels()
            while self._threads or self._verifying:
                event = self._events.get()
                if not isinstance(event, _Ended):
                    self._handle(event)
                    continue
                if event.error is not None:
                    raise event.error
                self._threads -= 1
                self._feeding -= event.feeds_judges
                if event.feeds_judges and not self._feeding:
                    self._close_channels()
        except BaseException:
            for (key, stage), gauge in under_way(
                {(run.key, stage): run for run in self._runs for stage in run.flows}
            ).items():
                next(run for run in self._runs if run.key == key).lost[stage] = gauge
            self._stopping = True
            self._close_channels()
            self._room.close()
            # What was finished before the error is written before the error is raised.
            while not self._events.empty():
                if isinstance(event := self._events.get(), _Answered | _Judged):
                    self._handle(event)
            raise

    def _handle(self, event: _Known | _Answered | _Judged | _Verified) -> None:
        match event:
            case _Known(run, example_id):
                self._send_to_judges(run, example_id)
            case _Answered():
                self._take_answer(event)
            case _Judged():
                self._take_judgement(event)
            case _Verified(run, judgement):
                self._take_verdict(run, judgement)

    def _take_answer(self, event: _Answered) -> None:
        run, generation = event.run, event.generation
        run.folder.append(generation)
        run.generations[generation.example_id] = generation
        run.tally("generate", event.replies, run.price, event.seconds)
        self._observe(run, "generate")
        if not generation.error and not self._watches_answers(run):
            run.verifying.begin(self._pool, run.task.checks(run.data, generation), generation.model)
        self._send_to_judges(run, generation.example_id)

    def _take_judgement(self, event: _Judged) -> None:
        run, judgement = event.run, event.judgement
        run.folder.append(judgement)
        run.tally("judge", event.replies, event.seat.price, event.seconds)
        if not judgement.failed and judgement.verdict.value is None:
            run.count("judge").unread += 1
        run.first_verdicts.take(event.seat.judge, event.seat.model, event.seat.spec, judgement)
        run.judge_models_returned.update(reply.model for reply in event.replies if reply.model)
        unfinished = self._unfinished.get((run.key, judgement.example_id))
        if unfinished is not None:
            unfinished.waiting -= 1
            self._note(run, unfinished, judgement)
            if not unfinished.waiting:
                self._finish(run, judgement.example_id)
        self._observe(run, "judge")

    def _send_to_judges(self, run: RunningTask, example_id: str) -> None:
        """Send an answer's cases to their judges; if there is none to wait for, the example is finished."""
        unfinished = self._unfinished[run.key, example_id] = _Unfinished()
        generation = run.generations.get(example_id)
        if self._channels and run.seats and not run.stopped and generation is not None and not generation.error:
            for call in run.judge_calls(generation):
                self._send(run, call, unfinished)
        if self._watches_answers(run) and not run.stopped and generation is not None and not generation.error:
            self._verify_answer(run, generation, unfinished)
        if self._channels:
            run.sent_to_judges.add(example_id)
        if not unfinished.waiting:
            self._finish(run, example_id)

    def _send(self, run: RunningTask, call: JudgeCall, unfinished: _Unfinished) -> None:
        """Send a case to a judge model, unless it was judged before or its verdict is known without a call."""
        counts, before = run.count("judge"), self._judged_before[run.key]
        counts.total += 1
        key = key_digest(call.key)
        if key in before:
            counts.resumed += 1
            if isinstance(before, dict):
                self._note(run, unfinished, before[key])
        elif call.case.verdict is not None:
            judgement = call.judgement(call.case.verdict)
            run.folder.append(judgement)
            counts.skipped += 1
            self._note(run, unfinished, judgement)
        else:
            unfinished.waiting += 1
            self._channels[id(call.seat.model)][1].put(run.key if self._takes_turns else "", (run, call))
        self._observe(run, "judge")

    def _watches_answers(self, run: RunningTask) -> bool:
        """Whether a watch looks at answers that are verified, and not judged."""
        return run.watch is not None and run.verifies and not run.seats

    def _verify_answer(self, run: RunningTask, generation: Generation, unfinished: _Unfinished) -> None:
        checks = run.task.checks(run.data, generation)
        unfinished.waiting += len(checks)
        self._verifying |= {(run.key, check.id) for check in checks}
        run.verifying.begin(
            self._pool, checks, generation.model, lambda judgement: self._events.put(_Verified(run, judgement))
        )

    def _take_verdict(self, run: RunningTask, judgement: Judgement) -> None:
        self._verifying.discard((run.key, judgement.case_id))
        unfinished = self._unfinished.get((run.key, judgement.example_id))
        if unfinished is not None:
            unfinished.waiting -= 1
            self._note(run, unfinished, judgement)
            if not unfinished.waiting:
                self._finish(run, judgement.example_id)

    def _note(self, run: RunningTask, unfinished: _Unfinished, judgement: Judgement) -> None:
        if run.watch is not None:
            unfinished.judgements.append(judgement)

    def _finish(self, run: RunningTask, example_id: str) -> None:
        """Make room for the next example, and show the finished one to the task's watch, if there is one."""
        unfinished = self._unfinished.pop((run.key, example_id))
        if run.watch is not None and not run.stopped and (self._channels or self._watches_answers(run)):
            self._show(run, run.watch, example_id, unfinished)
        self._room.leave((run.key, example_id))

    def _show(self, run: RunningTask, watch: Watch | DifferenceWatch, example_id: str, unfinished: _Unfinished) -> None:
        generation = run.generations.get(example_id)
        data = replace(run.data, examples=(run.data.by_id[example_id],))
        rows: list[ExampleScore] = []
        if generation is not None and not generation.error:
            rows = fold_members(run.task, data, {example_id: generation}, unfinished.judgements)[1]
        watch.finished(example_id, rows)
        if watch.decided:
            self._room.end(run.key)
            self._verifying = {place for place in self._verifying if place[0] != run.key}
            self._unfinished = {place: left for place, left in self._unfinished.items() if place[0] != run.key}
