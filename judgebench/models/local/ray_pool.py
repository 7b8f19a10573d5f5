"""Several engines on one machine or a cluster, as one model: Ray actors, each with a model of its own.

Requests are handed out on demand: every engine has a window of them, and gets the next when it has answered one. When
an actor dies, the others get its unanswered requests, and a new actor takes its place. Nothing else in the program
knows that there are several engines, and this module does not know what they run.

ray is imported when a pool is opened, not when this module is.
"""

import itertools
import queue
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from judgebench.errors import JudgebenchError, ModelError, UsageError
from judgebench.models import Model
from judgebench.models.clusters import Membership
from judgebench.models.feed import Feed
from judgebench.records import Completion, Request

WINDOW = 64
"""Requests that each engine holds, so that it can batch them and never waits for the network."""
MOST_DEATHS = 3
"""If more actors than this die without an answer in between, the pool gives up."""
_THREADS = 8
"""Calls that an actor serves at once: a stream of replies, requests for it, and others in between."""


class ReplicaActor:
    """The code in an actor: a model, and a queue of requests for each call of ``complete``."""

    def __init__(self, make: Callable[[], Model]) -> None:
        self._make = make
        self._inboxes: dict[int, queue.SimpleQueue[tuple[int, Request] | None]] = {}
        self._lock, self._opening = threading.Lock(), threading.Lock()
        self._opened: Model | None = None

    @property
    def _model(self) -> Model:
        # Not opened in the constructor: the caller would see an error there as a dead actor, without its cause.
        with self._opening:
            if self._opened is None:
                self._opened = self._make()
            return self._opened

    def facts(self) -> tuple[str, str, bool]:
        """The model's name, identity and whether it is local. The first call opens the model."""
        return self._model.name, self._model.identity, self._model.local

    def call(self, method: str, argument: Any) -> Any:
        """Call a method of the model."""
        return getattr(self._model, method)(argument)

    def retries(self) -> Counter[str]:
        """The model's retries."""
        return Counter(self._opened.retries if self._opened else ())

    def ask(self, session: int, numbered: Sequence[tuple[int, Request]]) -> None:
        """Add requests to a stream, each with its number there."""
        for item in numbered:
            self._inbox(session).put(item)

    def end(self, session: int) -> None:
        """Say that no more requests come for a stream."""
        self._inbox(session).put(None)

    def replies(self, session: int) -> Iterator[tuple[int, Completion]]:
        """The stream of completions with their requests' numbers, as they finish."""
        numbers: list[int] = []

        def requests() -> Iterator[Request]:
            while (item := self._inbox(session).get()) is not None:
                numbers.append(item[0])
                yield item[1]

        for index, completion in self._model.complete(requests()):
            yield numbers[index], completion

    def _inbox(self, session: int) -> "queue.SimpleQueue[tuple[int, Request] | None]":
        with self._lock:
            return self._inboxes.setdefault(session, queue.SimpleQueue())


@dataclass(eq=False)
class _Replica:
    """One actor within one call of ``complete``."""

    place: int
    actor: Any
    outstanding: dict[int, Request] = field(default_factory=dict)


class RayPool:
    """``replicas`` engines as one model; ``make`` is called in each actor."""

    def __init__(
        self, make: Callable[[], Model], replicas: int, cluster: str | None = None, devices_each: int = 1
    ) -> None:
        """``cluster`` is the address of a running one, ``auto`` to find it. Without it Ray is started on this machine.

        ``devices_each`` is the number of GPUs that one engine spans, if the cluster has any. Raises
        :class:`~judgebench.errors.UsageError` if ray is missing or the cluster is too small, and whatever ``make``
        raises.
        """
        self._membership = Membership(cluster, replicas, "--replicas")
        self._ray = self._membership.ray
        self._make = make
        self._actors: list[Any] = []
        self._lost = Counter[str]()
        self._sessions = itertools.count()
        try:
            self._options = self._room(replicas, devices_each)
            self._actors += [self._start() for _ in range(replicas)]
            opened = [actor.facts.remote() for actor in self._actors]
            facts = [self._result(reference) for reference in opened]
            self.name, self.identity, self.local = facts[0]
        except BaseException:
            self.close()
            raise

    @property
    def retries(self) -> Counter[str]:
        """Retries of the engines that are alive, and requests that were sent again because an actor died."""
        total = Counter(self._lost)
        for actor in self._actors:
            try:
                total += self._ray.get(actor.retries.remote(), timeout=10)
            except self._ray.exceptions.RayError:
                continue  # its count died with it
        return total

    def render(self, request: Request) -> str | None:
        """The prompt as the first engine reads it."""
        rendered: str | None = self._result(self._actors[0].call.remote("render", request))
        return rendered

    def check(self, requests: Sequence[Request]) -> None:
        """Let the first engine check the requests."""
        self._result(self._actors[0].call.remote("check", list(requests)))

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
        """Yield completions as the engines finish them."""
        events: queue.SimpleQueue[tuple[_Replica, int, Completion | BaseException | None] | None] = queue.SimpleQueue()
        feed = Feed(requests, ahead=2 * WINDOW * len(self._actors), on_ready=lambda: events.put(None))
        session = next(self._sessions)
        replicas = [_Replica(place, actor) for place, actor in enumerate(self._actors)]
        again: deque[tuple[int, Request]] = deque()
        deaths = 0
        for replica in replicas:
            self._listen(replica, session, events)
        try:
            while True:
                self._hand_out(replicas, session, again, feed)
                if feed.ended and not again and not any(replica.outstanding for replica in replicas):
                    return
                event = events.get()
                if event is None:
                    continue
                replica, number, reply = event
                if isinstance(reply, Completion):
                    if replica.outstanding.pop(number, None) is not None:
                        deaths = 0
                        yield number, reply
                elif isinstance(reply, BaseException):
                    deaths += 1
                    again.extendleft(reversed(replica.outstanding.items()))
                    self._lost["engine lost"] += len(replica.outstanding)
                    replicas[replica.place] = self._replace(replica, reply, deaths)
                    self._listen(replicas[replica.place], session, events)
        finally:
            feed.close()
            for replica in replicas:
                replica.actor.end.remote(session)

    def close(self) -> None:
        """End the actors, and leave the cluster."""
        self._lost = self.retries
        for actor in self._actors:
            self._ray.kill(actor)
        self._actors = []
        self._membership.leave()

    def _room(self, replicas: int, devices_each: int) -> dict[str, Any]:
        """The resources that each actor needs. Raises :class:`UsageError` if the cluster can never give them."""
        there = self._ray.cluster_resources()
        kind, each = ("GPU", devices_each) if there.get("GPU") else ("CPU", 1)
        if replicas * each > there.get(kind, 0):
            raise UsageError(
                f"--replicas {replicas} needs {replicas * each} {kind}s, {each} for each engine; the cluster has "
                f"{there.get(kind, 0):g}"
            )
        # Each actor serves several calls at once, and Ray spreads actors over the nodes.
        shared = {"max_concurrency": _THREADS, "scheduling_strategy": "SPREAD"}
        return {**shared, "num_cpus": 1} if kind == "CPU" else {**shared, "num_gpus": each, "num_cpus": 1}

    def _start(self) -> Any:
        return self._ray.remote(ReplicaActor).options(**self._options).remote(self._make)

    def _listen(
        self,
        replica: _Replica,
        session: int,
        events: "queue.SimpleQueue[tuple[_Replica, int, Completion | BaseException | None] | None]",
    ) -> None:
        stream = replica.actor.replies.options(num_returns="streaming").remote(session)

        def listen() -> None:
            try:
                for reference in stream:
                    number, completion = self._ray.get(reference)
                    events.put((replica, number, completion))
            except Exception as error:  # noqa: BLE001 - carried to the thread that asked
                events.put((replica, -1, error))

        threading.Thread(target=listen, name="judgebench-ray", daemon=True).start()

    def _hand_out(
        self, replicas: Sequence[_Replica], session: int, again: deque[tuple[int, Request]], feed: Feed[Request]
    ) -> None:
        """Fill the windows, the emptiest first."""
        for replica in sorted(replicas, key=lambda replica: len(replica.outstanding)):
            room = WINDOW - len(replica.outstanding)
            batch = [again.popleft() for _ in range(min(room, len(again)))]
            share = min(room - len(batch), max(1, WINDOW // 4))
            batch += feed.take(share, wait=False) if share else []
            if batch:
                replica.outstanding.update(batch)
                replica.actor.ask.remote(session, batch)

    def _replace(self, replica: _Replica, error: BaseException, deaths: int) -> _Replica:
        cause = _own_error(error)
        if cause is not None:
            raise cause
        if not isinstance(error, self._ray.exceptions.RayActorError) or deaths > MOST_DEATHS:
            raise ModelError(f"an engine of {self.name} failed: {str(error).strip().splitlines()[-1]}") from error
        actor = self._actors[replica.place] = self._start()
        return _Replica(replica.place, actor)

    def _result(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            cause = _own_error(error)
            if cause is not None:
                raise cause from None
            raise ModelError(f"an engine could not be started: {str(error).strip().splitlines()[-1]}") from error


def _own_error(error: BaseException | None) -> JudgebenchError | None:
    """The error of judgebench that an actor raised, without Ray's wrapping."""
    while error is not None:
        if isinstance(error, JudgebenchError):
            return type(error)(str(error)) if type(error) in (UsageError, ModelError) else error
        inner = getattr(error, "cause", None)
        error = inner if isinstance(inner, BaseException) else error.__cause__
    return None
