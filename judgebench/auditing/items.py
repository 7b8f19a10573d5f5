"""The records of an audit: an item that people judged, and what a judge decided about it.

A verdict is stored as it was shown and read in the item's own coordinates: in order ``21`` the second response was
shown first. A null is a verdict that could not be read or a call that failed; it is never a tie.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from judgebench.codec import decode_lines, sha256_hex, write_lines
from judgebench.errors import RecordError, UsageError
from judgebench.records import Answer, Count, Example, Message, Number

Shown = Literal["A>>B", "A>B", "A=B", "B>A", "B>>A", "A", "B", "C", "D"]
"""A verdict as shown: of two responses, or the letter of the best of several."""
Share = Annotated[float, Meta(ge=0, le=1)]
Amount = Annotated[float, Meta(ge=0, le=1e15)]
TIE = "tie"
LETTERS: tuple[Shown, ...] = ("A", "B", "C", "D")
_PLACES = {"A>>B": 0, "A>B": 0, "B>A": 1, "B>>A": 1, "A": 0, "B": 1, "C": 2, "D": 3}
"""Which of the responses shown wins; a label that is none of these names nobody."""
MOST_DECISIONS = 2_000_000
"""Most decisions of a file."""


class Label(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one person, or an objective check, says of an item."""

    annotator: str
    label: str
    """``1``, ``2``, … for the better response, or ``tie``."""

    @property
    def vote(self) -> int:
        """The better response, counted from 1; 0 for a tie."""
        return 0 if self.label == TIE else int(self.label)


class Item(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing to be judged: a conversation with two responses, or with several."""

    id: str
    suite: str
    subset: str
    cluster: str
    """Items with the same one are not independent: they ask the same question."""
    messages: tuple[Message, ...]
    """The conversation up to what is responded to."""
    responses: tuple[tuple[str, ...], ...]
    """Each with one text for each turn."""
    followups: tuple[str, ...] = ()
    """The user's further turns."""
    models: tuple[str, ...] = ()
    """Who wrote each response; empty if nobody says."""
    gold: tuple[Label, ...] = ()
    """Every annotator apart; an objective check is called ``gold``."""
    turn: int = 1
    """The turn that is judged."""
    correct: int = 1
    """So many of the first responses are right, where several are."""

    also: tuple[str, ...] = ()
    """Further models that wrote the last response, word for word."""

    @property
    def majority(self) -> int | None:
        """The vote that most annotators gave; ``None`` if two are as frequent, or there is none."""
        counted = Counter(label.vote for label in self.gold).most_common(2)
        if not counted or (len(counted) == 2 and counted[0][1] == counted[1][1]):
            return None
        return counted[0][0]

    @property
    def pair(self) -> bool:
        """Whether it has two responses."""
        return len(self.responses) == 2

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The responses as a case of a judge takes them."""
        names = self.models or tuple(f"response {number}" for number in range(1, len(self.responses) + 1))
        return tuple(Answer(model=name, turns=turns) for name, turns in zip(names, self.responses, strict=True))

    @property
    def example(self) -> Example:
        """The conversation as a case of a judge takes it."""
        return Example(id=self.id, messages=self.messages, followups=self.followups)


class Decision(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a judge decided in one call; a judge of single responses decides after one call for each of them."""

    item: str
    order: str = "12"
    """The responses as they were shown: ``12``, ``21``; of four for example ``3124``."""
    repeat: Count = 0
    shown: Shown | None = None
    """The verdict on what was shown; null if there is none, and ``error`` says why."""
    p: Share | None = None
    """The probability that response 2 is better, in the item's coordinates."""
    scores: tuple[Number | None, ...] = ()
    """Of a judge of single responses: the score of each, in the item's order."""
    error: str | None = None
    seconds: Amount | None = None
    usd: Amount | None = None

    def __post_init__(self) -> None:
        if not 2 <= len(self.order) <= 99 or sorted(self.order) != sorted(map(_place, range(len(self.order)))):
            raise ValueError(f"an order names each response once, such as 12 or 21; found {self.order[:20]!r}")
        if self.shown is not None and (">" in self.shown or "=" in self.shown) and len(self.order) != 2:
            raise ValueError(f"{self.shown} is a verdict on two responses, and the order has {len(self.order)}")

    @property
    def winner(self) -> int | None:
        """The better response in the item's coordinates, counted from 1; 0 for a tie, ``None`` for a null.

        >>> Decision(item="a", order="21", shown="A>>B").winner, Decision(item="a", shown="A=B").winner
        (2, 0)
        """
        if self.shown == "A=B":
            return 0
        place = _PLACES.get(self.shown or "", len(self.order))
        return ord(self.order[place]) - ord("0") if place < len(self.order) else None


def _place(index: int) -> str:
    """How an order writes a response: digits, and past nine what follows them in ASCII.

    >>> "".join(map(_place, range(10)))
    '123456789:'
    """
    return chr(ord("1") + index)


def cluster_of(*texts: str) -> str:
    """A short name for what items have in common, such as their question.

    >>> cluster_of("Why?") == cluster_of("Why?"), len(cluster_of("Why?"))
    (True, 16)
    """
    return sha256_hex("\0".join(texts).encode("utf-8", "surrogatepass"))[:16]


def order_of(places: Iterable[int]) -> str:
    """Write an order, from 0-based places of the responses as they are shown.

    >>> order_of([1, 0])
    '21'
    """
    return "".join(map(_place, places))


def shown_from_share(value: float) -> Shown:
    """Name the verdict of which the share of the win of the response shown first is known.

    >>> shown_from_share(0.75), shown_from_share(0.5)
    ('A>B', 'A=B')
    """
    return "A>B" if value > 0.5 else "B>A" if value < 0.5 else "A=B"


def turned(shown: Shown | None) -> Shown | None:
    """Give the verdict of two responses that would be the same if they had been shown the other way round."""
    return None if shown is None else _TURNED[shown]


_TURNED: dict[str, Shown] = {"A>>B": "B>>A", "A>B": "B>A", "A=B": "A=B", "B>A": "A>B", "B>>A": "A>>B"}


def read_decisions(path: Path) -> tuple[Decision, ...]:
    """Read decisions from JSON lines. A :class:`RecordError` names the first line that is none, or that comes twice."""
    found: list[Decision] = []
    seen: set[tuple[str, str, int]] = set()
    for number, decision in enumerate(decode_lines(path, Decision), 1):
        key = (decision.item, decision.order, decision.repeat)
        if key in seen:
            raise RecordError(path, number, f"item {decision.item[:60]!r} was decided in this order and repeat before")
        if number > MOST_DECISIONS:
            raise RecordError(path, number, f"there are more than {MOST_DECISIONS:,} decisions; split the file")
        seen.add(key)
        found.append(decision)
    if not found:
        raise UsageError(f"{path} holds no decisions; JSON lines of item, order and shown were expected")
    return tuple(found)


def write_decisions(path: Path, decisions: Iterable[Decision]) -> None:
    """Replace a file by these decisions."""
    write_lines(path, decisions)
