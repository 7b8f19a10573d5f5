"""What is sent to an endpoint and how its replies are read: one class for each protocol, all of them pure.

Retries, pacing and keys are the same for all protocols and live elsewhere. A setting of a request that an endpoint
refuses (``refused``) is put another way where the protocol has one, else left out; each class says what it can do.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from judgebench.records import Completion, Request, Sampling, TokenLogprob

REFUSES = re.compile(
    r"unsupported|not support|deprecated|not permitted|not allowed|only the default|may only be set|cannot both"
    r"|or unset|unrecognized|unknown|does not match",
    re.I,
)
"""What a message says that refuses a setting altogether, not just its value (``temperature=5``)."""
SETTINGS = ("temperature", "top_p", "seed", "json_object")
"""Fields of :class:`~judgebench.records.Sampling` that can be left out with a changed, but still readable, reply. Stop
strings are kept to here where the endpoint cannot: see :func:`cut`.
"""


class Wire(Protocol):
    """A protocol that chat models are served over."""

    @property
    def scheme(self) -> str:
        """Begins the identity of a model asked this way."""

    @property
    def path(self) -> str:
        """What follows the base address."""

    @property
    def gives_logprobs(self) -> bool:
        """Replies can hold the log-probabilities of their tokens."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What is sent whatever the request says and can change a reply: part of the identity."""

    @property
    def yielding(self) -> tuple[tuple[str, str], ...]:
        """What can be put another way or left out: the field's name, and the word by which a refusal names it. A
        refusal that names several is met by giving up the first.
        """

    @property
    def lacks(self) -> frozenset[str]:
        """Fields of ``Sampling`` that the protocol has no place for."""

    def headers(self, api_key: str | None) -> dict[str, str]:
        """Headers beside ``Authorization``."""

    def effort(self, effort: str) -> dict[str, Any]:
        """Fields of the body that say how much to think."""

    def body(self, model: str, request: Request, refused: Collection[str]) -> dict[str, Any]:
        """The body to send: what is set, and nothing else. Raises :class:`~judgebench.errors.ModelError` if the
        request cannot be put at all.
        """

    def read(self, data: bytes) -> Completion:
        """The reply of a body. ``ValueError`` for anything else: ``msgspec.DecodeError`` and ``UnicodeDecodeError``
        are such.
        """


def given_up(wire: Wire, sent: bytes, said: str) -> str | None:
    """The field of the body that an endpoint's message refuses and that can be given up, or ``None``."""
    if not REFUSES.search(said):
        return None
    body = msgspec.json.decode(sent)
    return next((field for field, word in wire.yielding if field in body and re.search(rf"\b{word}\b", said)), None)


def settle(wire: Wire, completion: Completion, sampling: Sampling, refused: Collection[str]) -> Completion:
    """A completion with what of its request's sampling was not sent, ended where a stop string that was not sent is."""
    unsent = wire.lacks.union(refused)
    if not unsent:
        return completion
    unset = Sampling()
    left_out = tuple(name for name in SETTINGS if name in unsent and getattr(sampling, name) != getattr(unset, name))
    if left_out:
        completion = msgspec.structs.replace(completion, left_out=left_out)
    return cut(completion, sampling.stop) if "stop" in unsent else completion


def cut(completion: Completion, stop: tuple[str, ...]) -> Completion:
    """A completion that ends before the first stop string in it, as an endpoint that knows them ends it."""
    text = completion.text or ""
    ends = [end for string in stop if (end := text.find(string)) >= 0]
    return msgspec.structs.replace(completion, text=text[: min(ends)], finish_reason="stop") if ends else completion


def decode(decoder: "msgspec.json.Decoder[Any]", data: bytes) -> Any:
    """What a body holds; ``ValueError`` also where it is nested without end."""
    try:
        return decoder.decode(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


class Alternative(Struct):
    """A token that could have stood in a place, as OpenAI's protocols have it."""

    token: str
    logprob: float


class Position(Struct):
    """A token of a reply with its alternatives, as OpenAI's protocols have it."""

    token: str
    logprob: float
    top_logprobs: list[Alternative] = []

    def alternatives(self) -> tuple[TokenLogprob, ...]:
        """The alternatives; the token itself where there are none."""
        if not self.top_logprobs:
            return ((self.token, self.logprob),)
        return tuple([(alternative.token, alternative.logprob) for alternative in self.top_logprobs])
