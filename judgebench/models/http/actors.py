"""Sends the bodies of a served model from the actors of a Ray cluster, each with connections of its own.

What may be sent, and when, is decided before a body comes here, and what a reply means after it has left: the actors
know no budget, pace or store. Bodies go out and replies come back in groups: while one group is on its way, the next
one gathers. A key travels to an actor in a call of a method, which Ray neither stores nor logs.

When an actor dies, what it had under way may have been answered and paid for; that is said of each, and whoever sent it
decides what follows. Another actor takes its place.
"""

import asyncio
import importlib
import itertools
from collections import deque
from collections.abc import Sequence
from typing import Any, Self

from multidict import CIMultiDict

from judgebench.errors import ModelError
from judgebench.models.clusters import Membership
from judgebench.models.http.client import Client, NoReply, Reply
from judgebench.models.http.routes import Target

MOST_DEATHS = 3
"""If more actors than this die without a reply in between, the model gives up."""
GROUP_BYTES = 64 * 2**10
"""Bodies of a group: Ray sends what is smaller than 100 KB as it is, and puts what is larger into a store."""
GATHERING_SECONDS = 0.01
"""How long a group gathers: a call of Ray's costs more than one of HTTP."""

Letter = tuple[int, int, str, bytes]
"""What is sent: its number, that of its target, the path and the body."""
Answer = tuple[int, NoReply | None, int, Sequence[tuple[str, str]], bytes]
"""What came: the number, why nothing did if nothing did, status, headers and body."""


class ClientActor:
    """The code in an actor: a client, and the replies that nobody has fetched yet."""

    async def open(self, targets: Sequence[Target], timeout_seconds: float, proxied: bool) -> None:
        """Open the connections. Comes before everything else."""
        self._targets = targets
        self._client = await Client(targets, timeout_seconds, proxied=proxied).__aenter__()
        self._sending: dict[int, asyncio.Task[None]] = {}
        self._answers: deque[Answer] = deque()
        self._some = asyncio.Event()

    async def send(self, letters: Sequence[Letter]) -> None:
        """Send bodies side by side."""
        for letter in letters:
            self._sending[letter[0]] = asyncio.create_task(self._send(*letter))

    async def drop(self, number: int) -> None:
        """Break off what nobody waits for any more."""
        if number in self._sending:
            self._sending.pop(number).cancel()

    async def answers(self) -> list[Answer]:
        """What has come since the last call; waits until there is something."""
        await self._some.wait()
        await asyncio.sleep(GATHERING_SECONDS)
        group = _group(self._answers)
        if not self._answers:
            self._some.clear()
        return group

    async def _send(self, number: int, target: int, path: str, body: bytes) -> None:
        try:
            status, headers, data = await self._client.post(self._targets[target], path, body)
        except NoReply as failure:
            self._answers.append((number, NoReply(*failure.args), 0, (), b""))
        else:
            pairs = [(str(name), value) for name, value in headers.items()]
            self._answers.append((number, None, status, pairs, data))
        self._sending.pop(number, None)
        self._some.set()


class _Place:
    """One of the actors, as the sender sees it."""

    def __init__(self) -> None:
        self.actor: Any = None
        self.outbox: deque[Letter] = deque()
        self.awaited: dict[int, asyncio.Future[Reply]] = {}
        self.sender: asyncio.Task[None] | None = None


class ActorClients:
    """``replicas`` actors as one sender. Everything but the constructor runs on one event loop."""

    def __init__(
        self,
        targets: Sequence[Target],
        timeout_seconds: float,
        *,
        proxied: bool,
        replicas: int,
        cluster: str | None,
        name: str,
    ) -> None:
        """``name`` is the model's, for messages. Raises as :class:`~judgebench.models.clusters.Membership` does."""
        self._membership = Membership(cluster, replicas, f"The argument replicas={replicas} of {name}")
        self._ray = self._membership.ray
        self._opening = (list(targets), timeout_seconds, proxied)
        self._numbers = {target: number for number, target in enumerate(targets)}
        self._name = name
        self._letters = itertools.count()
        self._places: list[_Place] = []
        """Those that are open."""
        self._starting = set(range(replicas))
        """The first ones that have neither opened nor died."""
        self._deaths = 0
        self._end: ModelError | None = None

    async def __aenter__(self) -> Self:
        """Start the actors."""
        self._changed = asyncio.Event()
        self._keepers = [asyncio.create_task(self._keep(number)) for number in self._starting]
        return self

    async def __aexit__(self, *error: object) -> None:
        """End the actors, and leave the cluster."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._membership.leave()

    async def ready(self) -> None:
        """Wait until all actors are open that can be, so that none gets the others' share. Raises :class:`ModelError`
        once the model has given up.
        """
        while self._end is not None or self._starting or not self._places:
            if self._end is not None:
                raise self._end
            self._changed.clear()
            await self._changed.wait()

    async def post(self, target: Target, path: str, body: bytes) -> Reply:
        """Send a body from the actor that has the fewest under way. Raises :class:`NoReply`."""
        await self.ready()
        place = min(self._places, key=lambda place: len(place.awaited))
        number = next(self._letters)
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        place.awaited[number] = reply
        place.outbox.append((number, self._numbers[target], path, body))
        if place.sender is None:
            place.sender = asyncio.create_task(self._hand_over(place))
        try:
            return await reply
        except asyncio.CancelledError:
            place.actor.drop.remote(number)
            raise
        finally:
            place.awaited.pop(number, None)

    async def _hand_over(self, place: _Place) -> None:
        """Give the actor what is to be sent and still waited for."""
        try:
            while place.outbox:
                await asyncio.sleep(GATHERING_SECONDS)
                await place.actor.send.remote([one for one in _group(place.outbox) if one[0] in place.awaited])
        except self._ray.exceptions.RayError:
            self._ray.kill(place.actor)  # who listens to it is told
        finally:
            place.sender = None

    async def _keep(self, number: int) -> None:
        """Have an actor open, and another one when it dies."""
        while self._end is None:
            place = _Place()
            try:
                place.actor = self._start(number)
                await place.actor.open.remote(*self._opening)
                self._places.append(place)
                self._starting.discard(number)
                self._changed.set()
                while True:
                    self._take_in(place, await place.actor.answers.remote())
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for this actor any longer
                self._starting.discard(number)
                self._bury(place, error)
            finally:
                if place.actor is not None and self._ray.is_initialized():
                    self._ray.kill(place.actor)

    def _start(self, number: int) -> Any:
        """An actor, on the nodes in turn. It takes no place from the engines."""
        nodes = sorted(node["NodeID"] for node in self._ray.nodes() if node["Alive"])
        strategies = importlib.import_module("ray.util.scheduling_strategies")
        there = strategies.NodeAffinitySchedulingStrategy(nodes[number % len(nodes)], soft=True)
        return self._ray.remote(ClientActor).options(num_cpus=0, scheduling_strategy=there).remote()

    def _take_in(self, place: _Place, answers: Sequence[Answer]) -> None:
        self._deaths = 0
        for number, failure, status, headers, body in answers:
            reply = place.awaited.pop(number, None)
            if reply is None or reply.done():
                continue
            if failure is not None:
                reply.set_exception(failure)
            else:
                reply.set_result(Reply(status, CIMultiDict(headers), body))

    def _bury(self, place: _Place, error: Exception) -> None:
        """Say of what a dead actor had that no reply will come; what it was not given cannot have been paid for."""
        self._deaths += 1
        if self._deaths > MOST_DEATHS or not self._ray.is_initialized():
            why = str(error).strip().splitlines()[-1]
            self._end = ModelError(f"the processes that call {self._name} ended {self._deaths} times in a row: {why}")
        if place in self._places:
            self._places.remove(place)
        kept = {number for number, *_ in place.outbox}
        for number, reply in place.awaited.items():
            if not reply.done():
                lost = NoReply("client lost", "the process that sent it ended", begun=number not in kept)
                reply.set_exception(lost)
        self._changed.set()


def _group(items: deque[Any]) -> list[Any]:
    """Take items off the front until their bodies, which come last, make a group."""
    taken, size = [], 0
    while items and size < GROUP_BYTES:
        taken.append(items.popleft())
        size += len(taken[-1][-1])
    return taken
