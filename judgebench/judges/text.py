"""A judge that replies in words: it is asked once, and its verdict is read from the text of the reply."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from judgebench.records import Case, Completion, Message, Request, Sampling, Verdict


@dataclass(frozen=True, kw_only=True)
class TextJudge:
    """A prompt with a function that reads the reply."""

    name: str
    messages: Callable[[Case], tuple[Message, ...]]
    prompt_sha256: str
    shown: Mapping[str, Any] = field(default_factory=dict)
    """What else decides what the judge is shown, for the fingerprint."""
    sampling: Sampling
    reading: str
    """The reading rule in words, for the fingerprint: another rule is another protocol."""
    read_text: Callable[[str], Verdict]

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Prompt, sampling and reading rule."""
        return {
            "prompt": self.prompt_sha256,
            **self.shown,
            "sampling": msgspec.to_builtins(self.sampling),
            "reading": self.reading,
        }

    def ask(self, case: Case) -> Request:
        """Make the request, with the answers in the order in which the case shows them."""
        return Request(messages=self.messages(case), sampling=self.sampling)

    def ask_again(self, case: Case, replies: tuple[Completion, ...]) -> None:
        """Never ask twice."""

    def read(self, case: Case, replies: tuple[Completion, ...]) -> Verdict:
        """Read the verdict in the last reply."""
        text = replies[-1].text
        return self.read_text(text) if text else Verdict(value=None, error="the reply is empty")

    def constrained(self) -> "TextJudge":
        """Return the judge itself: a text has no labels that could be scored by likelihood."""
        return self
