"""``LeanJudgements``: what a score needs of many judgements, in a few bytes each.

A million judgements share a few seats (judge, judge model, order, repeat) and a few labels, and each case has many of
them. So they are kept as columns of codes, and each becomes a record again while somebody looks at it. Of replies, only
the last one of a failed call is kept, which says why it failed.
"""

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

import msgspec

from judgebench.codec import encode
from judgebench.records import Completion, Judgement, Verdict

_ELSEWHERE = 2**32 - 1
"""In place of a label's code: the verdict is more than a number and a label."""


class LeanJudgements(Collection[Judgement]):
    """Judgements in the order in which they were added."""

    def __init__(self, judgements: Iterable[Judgement] = ()) -> None:
        self._seats: dict[tuple[object, ...], int] = {}
        self._kinds: list[Judgement] = []
        self._labels: dict[str | None, int] = {}
        self._names: list[str | None] = []
        self._cases: list[tuple[str, str]] = []
        self._near: dict[tuple[str, str], int] = {}
        """Codes of the latest example's cases: the judgements of an example mostly come in sequence."""
        self._case, self._seat, self._label, self._value = array("L"), array("I"), array("I"), array("d")
        self._other: dict[int, Verdict] = {}
        self._same: dict[bytes, Verdict] = {}
        self._failed: dict[int, tuple[Completion, ...]] = {}
        for judgement in judgements:
            self.add(judgement, judgement.verdict)

    def add(self, judgement: Judgement, verdict: Verdict) -> None:
        """Add a judgement with this verdict in place of its own."""
        place = len(self._case)
        self._case.append(self._case_code(judgement.case_id, judgement.example_id))
        self._seat.append(self._seat_code(judgement))
        plain = type(verdict.value) is float and verdict.error is None and not verdict.details
        self._label.append(self._label_code(verdict.label) if plain else _ELSEWHERE)
        self._value.append(verdict.value if plain and verdict.value is not None else 0.0)
        if not plain:
            self._other[place] = self._same.setdefault(encode(verdict), verdict)
        if judgement.failed:
            self._failed[place] = judgement.replies[-1:]

    def _case_code(self, case_id: str, example_id: str) -> int:
        case = case_id, example_id
        code = self._near.get(case)
        if code is None:
            if self._cases and self._cases[-1][1] != example_id:
                self._near.clear()
            code = self._near[case] = len(self._cases)
            self._cases.append(case)
        return code

    def _label_code(self, label: str | None) -> int:
        code = self._labels.get(label)
        if code is None:
            code = self._labels[label] = len(self._names)
            self._names.append(label)
        return code

    def _seat_code(self, judgement: Judgement) -> int:
        seat = (
            judgement.judge,
            judgement.judge_model,
            judgement.answers,
            judgement.candidate,
            judgement.turn,
            judgement.repeat,
        )
        code = self._seats.get(seat)
        if code is None:
            code = self._seats[seat] = len(self._kinds)
            self._kinds.append(msgspec.structs.replace(judgement, replies=(), request_hashes=msgspec.UNSET))
        return code

    @property
    def kinds(self) -> Collection[Judgement]:
        """One judgement of each seat, in the order in which the seats first occur."""
        return self._kinds

    @property
    def example_ids(self) -> set[str]:
        """The examples that are judged."""
        return {example_id for _, example_id in self._cases}

    @property
    def unread(self) -> list[Judgement]:
        """The judgements with a reply and without a verdict."""
        valueless = [place for place, verdict in self._other.items() if verdict.value is None]
        return [self.at(place) for place in valueless if place not in self._failed]

    def of(self, wanted: Callable[[Judgement], bool]) -> Iterable[Judgement]:
        """The judgements of the seats that ``wanted`` says, to be looked at as often as one likes."""
        return _Part(self, frozenset(code for code, kind in enumerate(self._kinds) if wanted(kind)))

    def __len__(self) -> int:
        return len(self._case)

    def __iter__(self) -> Iterator[Judgement]:
        return map(self.at, range(len(self)))

    def __contains__(self, judgement: object) -> bool:
        return any(own == judgement for own in self)

    def places(self, seats: Collection[int]) -> Iterable[int]:
        """The places of the judgements of some seats."""
        import numpy as np

        found: list[int] = np.flatnonzero(np.isin(np.frombuffer(self._seat, dtype=np.uintc), list(seats))).tolist()
        return found

    def at(self, place: int) -> Judgement:
        """The judgement at a place."""
        kind = self._kinds[self._seat[place]]
        case_id, example_id = self._cases[self._case[place]]
        return Judgement(
            case_id=case_id,
            example_id=example_id,
            judge=kind.judge,
            judge_model=kind.judge_model,
            answers=kind.answers,
            candidate=kind.candidate,
            turn=kind.turn,
            repeat=kind.repeat,
            verdict=self._verdict(place),
            replies=self._failed.get(place, ()),
        )

    def _verdict(self, place: int) -> Verdict:
        code = self._label[place]
        return self._other[place] if code == _ELSEWHERE else Verdict(value=self._value[place], label=self._names[code])


@dataclass(frozen=True)
class _Part(Iterable[Judgement]):
    whole: LeanJudgements
    seats: frozenset[int]

    def __iter__(self) -> Iterator[Judgement]:
        return map(self.whole.at, self.whole.places(self.seats))
