"""The ``Judge`` protocol: what to ask about a case, and how its replies are read (``read_replies``).
No model is called here. Each benchmark's own rules are in its ``judges.py``.

A judge is a value with pure functions: it writes requests and reads replies, and never calls a model. The modules of
this room hold the kinds of judges, the order in which answers are shown, and panels of judges; each benchmark's prompts
and labels lie in its own folder.
"""

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
        """Everything that can change a verdict: prompt hash, sampling, reading rule. The protocol hash covers it."""

    def ask(self, case: Case) -> Request:
        """Write the request for a case."""

    def ask_again(self, case: Case, replies: tuple[Completion, ...]) -> Request | None:
        """Write the next request after replies without a verdict; ``None`` if the protocol does not ask again."""

    def read(self, case: Case, replies: tuple[Completion, ...]) -> Verdict:
        """Read the verdict in the replies, oldest first; it has no value but a reason if they hold none."""

    def constrained(self) -> "Judge":
        """Return this judge for a local model that scores labels by likelihood; itself if it needs more than labels."""


def read_replies(judge: Judge, case: Case, replies: Sequence[Completion], thinking: Thinking = AUTO) -> Verdict:
    """Read the verdict in a judge's replies, oldest first, without their thinking. All replies are read here."""
    parts = [split_completion(reply, thinking) for reply in replies]
    if parts[-1].unclosed:
        return Verdict(value=None, error="the judge was still thinking when its reply ended")
    return judge.read(case, tuple(map(without_thinking, replies, parts)))


def next_step(judge: Judge, case: Case, replies: Sequence[Completion], thinking: Thinking = AUTO) -> Request | Verdict:
    """Return the next request about a case, or the verdict once there is one or nothing more to ask."""
    if not replies:
        return judge.ask(case)
    if replies[-1].error:
        return Verdict(value=None, error=replies[-1].error)
    verdict = read_replies(judge, case, replies, thinking)
    if verdict.value is not None:
        return verdict
    return request_after(judge, case, replies, thinking) or verdict


def request_after(judge: Judge, case: Case, replies: Sequence[Completion], thinking: Thinking = AUTO) -> Request | None:
    """Write the request that follows these replies, whatever they say; ``None`` if the judge is not asked again."""
    if not replies:
        return judge.ask(case)
    return judge.ask_again(case, tuple(without_thinking(reply, split_completion(reply, thinking)) for reply in replies))
