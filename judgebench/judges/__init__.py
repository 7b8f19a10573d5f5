"""Judges: what is asked about a case, and how the reply is read. Pure; they never see a model."""

from collections.abc import Sequence
from typing import Any, Protocol

from judgebench.records import Case, Completion, Request, Verdict
from judgebench.thinking import AUTO, Thinking, split_completion, without_thinking


class Judge(Protocol):
    """A prompt with its reading rule."""

    @property
    def name(self) -> str:
        """Unique within the task."""

    @property
    def fingerprint(self) -> dict[str, Any]:
        """All that can change a verdict: prompt hash, sampling, reading rule. Part of the protocol hash."""

    def ask(self, case: Case) -> Request:
        """The request for a case."""

    def ask_again(self, case: Case, replies: tuple[Completion, ...]) -> Request | None:
        """The next request after replies that hold no verdict yet; ``None`` where the protocol asks no more."""

    def read(self, case: Case, replies: tuple[Completion, ...]) -> Verdict:
        """The verdict in the replies, oldest first; ``value=None`` with a reason if there is none."""

    def constrained(self) -> "Judge":
        """The same judge for a local model that can score the labels by likelihood; itself if it needs more."""


def read_replies(judge: Judge, case: Case, replies: Sequence[Completion], thinking: Thinking = AUTO) -> Verdict:
    """The verdict in what follows the thinking parts of a judge's replies, oldest first: the one way to read them."""
    parts = [split_completion(reply, thinking) for reply in replies]
    if parts[-1].unclosed:
        return Verdict(value=None, error="the judge was still thinking when its reply ended")
    return judge.read(case, tuple(map(without_thinking, replies, parts)))


def next_step(judge: Judge, case: Case, replies: Sequence[Completion], thinking: Thinking = AUTO) -> Request | Verdict:
    """What to ask about a case after these replies; the verdict once there is one, or nothing more to ask."""
    if not replies:
        return judge.ask(case)
    if replies[-1].error:
        return Verdict(value=None, error=replies[-1].error)
    verdict = read_replies(judge, case, replies, thinking)
    if verdict.value is not None:
        return verdict
    return (
        judge.ask_again(case, tuple(without_thinking(reply, split_completion(reply, thinking)) for reply in replies))
        or verdict
    )
