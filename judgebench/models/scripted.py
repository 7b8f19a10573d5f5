"""A model whose replies are written down, for tests of tasks, judges and backends, ours and those of plug-ins.

:class:`ScriptedModel` is a complete ``Model``: it remembers its requests, counts tokens, and can think, give
log-probabilities, fail, and answer many requests at once. :func:`playing` gives it a model spec for a while, so that a
whole run in the same process can use it as its candidate or its judge. No other process can reach it.

>>> from judgebench.records import Message, Sampling
>>> model = ScriptedModel({"2 + 2?": "4", "Who won?": reply("A", logprobs={"A": -0.1, "B": -2.4})})
>>> question = Request(messages=(Message(role="user", content="2 + 2?"),), sampling=Sampling())
>>> [completion.text for _, completion in model.complete([question])]
['4']
"""

import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager

import msgspec

from judgebench.errors import ModelError, UsageError
from judgebench.models import Model
from judgebench.models.feed import Feed
from judgebench.records import Completion, Request, Usage

Reply = str | Completion | BaseException
"""The text of a reply, a whole completion, or an exception for the model to raise, which ends the run."""
Script = Callable[[Request], Reply] | Mapping[str, Reply] | Iterable[Reply]
"""Replies as a function of the request, by the text of its last message, or in the order of the requests."""
_FEED_SECONDS = 0.01
"""How long a model that answers several requests at once waits for a reply before it takes new requests."""


def reply(
    text: str,
    *,
    thinking: str | None = None,
    logprobs: Mapping[str, float] | None = None,
    usage: Usage | None = None,
    finish_reason: str = "stop",
) -> Completion:
    """A reply with more than its text. ``logprobs`` are the alternatives of its first token, or of its labels."""
    return Completion(
        text=text,
        reasoning=thinking,
        top_logprobs=None if logprobs is None else (tuple(logprobs.items()),),
        usage=usage or Usage(),
        finish_reason=finish_reason,
    )


def failure(reason: str) -> Completion:
    """The completion of a request that got no reply after all retries. The run goes on, and the next run asks again."""
    return Completion(error=reason)


def last_message(request: Request) -> str:
    """The text of a request's last message."""
    return request.messages[-1].content


class ScriptedModel:
    """A model that replies by a script. :attr:`asked` holds the requests that it got, in order."""

    def __init__(
        self,
        script: Script,
        *,
        name: str = "scripted",
        identity: str | None = None,
        local: bool = False,
        at_once: int = 1,
        batch: int = 1,
    ) -> None:
        """``identity`` is part of the call store's key. By default no two models share one, so that a changed script
        is asked again. Up to ``at_once`` requests are answered in parallel, each as soon as it arrives. A model with
        ``batch`` waits for that many requests, or for the end, before it answers any.

        The tokens of a reply without usage are its words. A request that the script has no reply to raises
        :class:`~judgebench.errors.ModelError`.
        """
        self.name, self.local = name, local
        self.identity = identity or f"scripted:{name}:{uuid.uuid4().hex}"
        self.retries: Counter[str] = Counter()
        self.asked: list[Request] = []
        self._at_once, self._batch = at_once, batch
        self._reply = _by_request(script, name)

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
        """Yield the script's replies, one after the other unless ``at_once`` or ``batch`` is set."""
        return self._in_parallel(requests) if self._at_once > 1 else self._in_batches(requests)

    def render(self, request: Request) -> str | None:
        """The last message."""
        return last_message(request)

    def check(self, requests: Sequence[Request]) -> None:
        """Accept every request."""

    def close(self) -> None:
        """Do nothing: there is nothing to free."""

    def _in_batches(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
        waiting: list[tuple[int, Request]] = []
        for index, request in enumerate(requests):
            self.asked.append(request)
            waiting.append((index, request))
            if len(waiting) == self._batch:
                yield from ((number, self._answer(each)) for number, each in waiting)
                waiting = []
        yield from ((number, self._answer(each)) for number, each in waiting)

    def _in_parallel(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
        feed = Feed(requests, ahead=self._at_once)
        running: dict[Future[Completion], int] = {}
        try:
            with ThreadPoolExecutor(self._at_once) as pool:
                while running or not feed.ended:
                    for index, request in feed.arrivals(self._at_once - len(running), idle=not running):
                        self.asked.append(request)
                        running[pool.submit(self._answer, request)] = index
                    done, _ = wait(running, timeout=_FEED_SECONDS, return_when=FIRST_COMPLETED)
                    yield from ((running.pop(future), future.result()) for future in done)
        finally:
            feed.close()

    def _answer(self, request: Request) -> Completion:
        scripted = self._reply(request)
        if isinstance(scripted, BaseException):
            raise scripted
        completion = Completion(text=scripted, finish_reason="stop") if isinstance(scripted, str) else scripted
        if completion.error is not None:
            return completion
        words = Usage(
            prompt_tokens=sum(len(message.content.split()) for message in request.messages),
            completion_tokens=len(f"{completion.text or ''} {completion.reasoning or ''}".split()),
        )
        usage = completion.usage if completion.usage != Usage() else words
        return msgspec.structs.replace(completion, usage=usage, model=completion.model or self.name)


def _by_request(script: Script, name: str) -> Callable[[Request], Reply]:
    """The script as a function."""
    if callable(script):
        return script
    in_order = deque() if isinstance(script, Mapping) else deque(script)

    def reply_to(request: Request) -> Reply:
        asked = last_message(request)
        if isinstance(script, Mapping) and asked in script:
            return script[asked]
        if in_order:
            return in_order.popleft()
        raise ModelError(f"The script of {name} has no reply to {asked!r:.200}. Add one.")

    return reply_to


_PLAYING: dict[str, Model] = {}
"""The models that have a model spec at the moment, by name."""


@contextmanager
def playing(model: Model) -> Iterator[str]:
    """The model spec ``scripted:NAME``, which opens this model in this process as long as the context lasts.

    Any model that is not local can play, including a plug-in's own.
    """
    if model.local:
        raise ValueError(
            f"{model.name} is local, which a run must know before it opens a model: only models that are not local can "
            "play"
        )
    if model.name in _PLAYING:
        raise ValueError(f"another model called {model.name} is playing already")
    _PLAYING[model.name] = model
    try:
        yield f"scripted:{model.name}"
    finally:
        del _PLAYING[model.name]


def open_playing(name: str) -> Model:
    """The model of a spec that :func:`playing` made."""
    if name not in _PLAYING:
        raise UsageError(
            f"there is no scripted model {name!r} in this process: scripted:NAME is for tests, which make one with "
            "judgebench.models.scripted.playing"
        )
    return _PLAYING[name]
