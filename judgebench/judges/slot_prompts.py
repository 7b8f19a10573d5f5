"""Published judge prompts with slots: those of ``str.format``, and those whose tokens are replaced by texts.

All slots are filled in one pass, so that no text that is filled in brings a slot of its own. The bytes are those of
upstream's code wherever no text holds a slot.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from string import Formatter
from typing import Any, Literal

from judgebench.codec import canonical_hash
from judgebench.data.prompts import distinctive_lines
from judgebench.errors import UnfilledPrompt
from judgebench.judges.own_prompts import CAN_BE_LEFT_OUT, LONGEST_FILLED, OwnPrompt
from judgebench.records import Message

Filling = Literal["replace", "format"]


@dataclass(frozen=True)
class SlotPrompt(OwnPrompt):
    """A prompt of somebody else's, with what stands for its slots."""

    filling: Filling = "replace"
    slots: Mapping[str, str] = field(default_factory=dict)
    """Names of a case's texts by slot: a token of the prompt, or for ``format`` a field's name or position."""
    system: str | None = None
    """A system message before it, sent as it is."""
    omits: tuple[str, ...] = ()
    """What the prompt leaves out on purpose."""

    @property
    def published(self) -> bool:
        """It is sent as it is."""
        return True

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise self._error("it is empty")
        for name in self.omits:
            if name not in CAN_BE_LEFT_OUT:
                raise self._error(f"leaves_out {name!r} is not one of {', '.join(CAN_BE_LEFT_OUT)}")
        there = {slot for _, slot in self._parts if slot is not None}
        for slot in self.slots:
            if slot not in there:
                raise self._error(f"it has no slot {slot!r}; it has {', '.join(sorted(there)) or 'none'}")
        if lacking := there - set(self.slots):
            raise self._error(f"nothing is said to stand for its slot {min(lacking)!r}; name it under slots")

    @cached_property
    def _parts(self) -> tuple[tuple[str, str | None], ...]:
        """Literal texts, each with the slot that follows it."""
        if self.filling == "format":
            return self._fields()
        if not self.slots:
            return ((self.text, None),)
        tokens = re.compile("|".join(re.escape(token) for token in sorted(self.slots, key=len, reverse=True)))
        found: list[tuple[str, str | None]] = []
        end = 0
        for match in tokens.finditer(self.text):
            found.append((self.text[end : match.start()], match[0]))
            end = match.end()
        return (*found, (self.text[end:], None))

    def _fields(self) -> tuple[tuple[str, str | None], ...]:
        found: list[tuple[str, str | None]] = []
        position = 0
        try:
            for literal, name, spec, conversion in Formatter().parse(self.text):
                if spec or conversion:
                    raise self._error(f"its slot {name!r} has a format or a conversion, which is not done here")
                if name == "":
                    name, position = str(position), position + 1
                found.append((literal, name))
        except ValueError as error:
            raise self._error(f"it is no template of str.format: {error}") from error
        return tuple(found)

    @property
    def sha256(self) -> str:
        """The hash of the text and of all else that decides what is sent."""
        return canonical_hash([self.text, self.filling, dict(self.slots), self.system])

    @property
    def fragments(self) -> tuple[str, ...]:
        """Lines that occur in an answer only if it quotes the prompt."""
        return distinctive_lines(self.text, self.slots if self.filling == "replace" else ("{", "}"))

    @property
    def leaves_out(self) -> tuple[str, ...]:
        """What it leaves out on purpose."""
        return self.omits

    @property
    def names(self) -> set[str]:
        """The names of the texts that it shows."""
        return set(self.slots.values())

    @property
    def wording(self) -> str:
        """What it says by itself."""
        return "".join(literal for literal, _ in self._parts)

    def messages(self, texts: Mapping[str, Any]) -> tuple[Message, ...]:
        """Fill in the texts; nothing is stripped."""
        pieces = [
            piece for literal, slot in self._parts for piece in (literal, "" if slot is None else self._of(slot, texts))
        ]
        if sum(map(len, pieces)) > LONGEST_FILLED:
            raise UnfilledPrompt(f"the judge prompt {self.name}: it would have more than {LONGEST_FILLED:,} characters")
        user = Message(role="user", content="".join(pieces))
        return (user,) if self.system is None else (Message(role="system", content=self.system), user)

    def _of(self, slot: str, texts: Mapping[str, Any]) -> str:
        return str(texts[self.slots[slot]])

    def require_whole(self, questions: set[str], answers: set[str]) -> None:
        """Accept every such prompt: it has neither conditions nor filters."""
