"""``TextJudge``: one prompt, one reply, and a reading function that the benchmark supplies.

A benchmark writes the prompt and the function that reads a text; nothing here knows a benchmark's format. Judges whose
verdict is the probability of a token are in ``logprob.py``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from judgebench.judges.own_prompts import CaseTexts
from judgebench.judges.reminders import RATING_FORM, one_of, reminder
from judgebench.judges.replies import RATING_BRACKETS
from judgebench.records import Case, Completion, Message, Request, Sampling, Verdict

MOST_REPLIES = 2
"""A follow-up is sent once at most."""

OTHER_JUDGES = {
    "openai:gpt-6-luna": "what OpenAI names as the successor of gpt-4o and gpt-4.1; not tried here, and it reasons "
    "unless reasoning_effort=none",
    "anthropic:claude-opus-4-8": "not tried here; without log-probabilities, which this task does not need",
    "openai:gpt-4.1-2025-04-14": "not the model behind published ratings",
    "http://HOST:PORT/v1#NAME": "any OpenAI-compatible server with an instruction-tuned model that keeps to a format",
}
"""Judges to turn to when the official one is no longer served."""


def never(text: str) -> None:
    """Do not ask again, whatever the judge replied."""


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
    follow_up: Callable[[str], str | None] = never
    """Returns the message that asks once more after such a reply, or ``None`` if the judge is not asked again."""
    reads_once: bool = False
    """Its verdicts stand as first read: its patterns are the user's own, and those are not taken from a run."""
    graded: bool = False
    """Of pairs: whether its verdicts say by how much an answer is better, so that a share between is one as well."""
    labels: tuple[str, ...] = ()
    """What the rule looks for in a reply, as a prompt has to name it: labels, a key of JSON, or a rating's brackets."""
    texts: CaseTexts | None = None
    """What a prompt of the user's can show of its cases; ``None`` if that is what any case has."""
    form: str = ""
    """A verdict that can be read, in words for the judge; empty if ``labels`` or the prompt say all."""
    reminds: bool = False
    """Whether the judge may be told so after an unreadable reply: never where the prompt is a published one."""

    reasks: int = 0
    """How often the same request is sent again after a reply without a verdict, where the prompt is a published one."""
    other_reading: str = ""
    """The line of the user's file that has probabilities of the labels read instead; empty where there is none."""

    @property
    def reminder(self) -> str | None:
        """What the judge is told after a reply without a verdict; ``None`` if its prompt may not be added to."""
        return reminder(self.form or form_of(self.labels)) if self.reminds else None

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

    def ask_again(self, case: Case, replies: tuple[Completion, ...]) -> Request | None:
        """Make a request with the conversation so far and the follow-up, if there is one."""
        message = self.follow_up(_joined(replies)) if len(replies) < MOST_REPLIES else None
        if message is None:
            return None
        messages = list(self.messages(case))
        for reply in replies:
            messages.append(Message(role="assistant", content=reply.text or ""))
            messages.append(Message(role="user", content=message))
        return Request(messages=tuple(messages), sampling=self.sampling)

    def read(self, case: Case, replies: tuple[Completion, ...]) -> Verdict:
        """Read the verdict in the replies of one attempt together."""
        text = _joined(replies)
        verdict = self.read_text(text) if text else Verdict(value=None, error="the reply is empty")
        if verdict.error and replies[-1].finish_reason == "length":
            return msgspec.structs.replace(verdict, error=f"{verdict.error}; it was cut off at the token limit")
        return verdict

    def constrained(self) -> "TextJudge":
        """Return the judge itself: a text has no labels that could be scored by likelihood."""
        return self


def form_of(labels: Sequence[str]) -> str:
    """Say in words for a judge what is looked for in its reply; empty if labels do not tell."""
    if tuple(labels) == RATING_BRACKETS:
        return RATING_FORM
    return one_of(labels) if len(labels) > 1 else ""


def _joined(replies: tuple[Completion, ...]) -> str:
    return "\n".join(reply.text or "" for reply in replies)
