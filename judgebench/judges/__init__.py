"""The ``Judge`` protocol: what to ask about a case, and how its replies are read (``read_replies``).
No model is called here. Each benchmark's own rules are in its ``judges.py``.

A judge is a value with pure functions: it writes requests and reads replies, and never calls a model. The modules of
this room hold the kinds of judges, the order in which answers are shown, and panels of judges; each benchmark's prompts
and labels lie in its own folder.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from judgebench.errors import UnfilledPrompt
from judgebench.judges.reminders import reminded
from judgebench.judges.scorers import read_scores
from judgebench.records import Case, Completion, Request, Verdict
from judgebench.thinking import AUTO, Thinking, split_completion, without_thinking

REASKS = 3
"""How often a judge that may be reminded is asked again, unless the user says otherwise."""
MOST_REASKS = 10
"""The largest number of re-asks that a user can choose."""


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
        """Write the protocol's own follow-up to replies without a verdict; ``None`` if it has none."""

    def read(self, case: Case, replies: tuple[Completion, ...]) -> Verdict:
        """Read the verdict in the replies, oldest first; it has no value but a reason if they hold none."""

    def constrained(self) -> "Judge":
        """Return this judge for a local model that scores labels by likelihood; itself if it needs more than labels."""


def usual_reasks(judge: Judge) -> int:
    """Return how often a judge is asked again if the user says nothing. Where the prompt is a published one, that is as
    often as its protocol says: never by default.

    A judge with a ``reminder`` (its prompt is ours or the user's) is reminded of the form; any other is sent the same
    request again, with a new repeat index.
    """
    return REASKS if getattr(judge, "reminder", None) else getattr(judge, "reasks", 0)


def read_replies(judge: Judge, case: Case, replies: Sequence[Completion], thinking: Thinking = AUTO) -> Verdict:
    """Read the verdict in a judge's replies, oldest first, without their thinking. All replies are read here.

    Only the last attempt is read: what was unreadable before, or named two verdicts, is no part of a verdict. A scoring
    model's numbers are read in one way, whichever judge it played.
    """
    if replies[-1].scores is not None:
        return read_scores(getattr(judge, "played", judge), case, replies[-1])
    parts = [split_completion(reply, thinking) for reply in replies]
    if parts[-1].unclosed:
        return Verdict(value=None, error="the judge was still thinking when its reply ended")
    return judge.read(case, _attempts(judge, case, tuple(map(without_thinking, replies, parts)))[-1])


def first_request(judge: Judge, case: Case) -> Request:
    """Write the request for a case. Raises :class:`UnfilledPrompt` for one that asks nothing: it would be paid, too."""
    request = judge.ask(case)
    if not any(message.role != "system" and message.content.strip() for message in request.messages):
        found = "only a system message" if any(m.content.strip() for m in request.messages) else "no text"
        raise UnfilledPrompt(
            f"the judge {judge.name!r} would be asked nothing: what is to be sent to it has {found}. It is not sent; "
            "its prompt has to make a user's message of the case"
        )
    return request


def next_step(
    judge: Judge, case: Case, replies: Sequence[Completion], thinking: Thinking = AUTO, reasks: int | None = None
) -> Request | Verdict:
    """Return the next request about a case, or the verdict once there is one or nothing more to ask.

    ``reasks`` is how often the judge is asked again beyond its own protocol; the default is :func:`usual_reasks`.
    """
    if not replies:
        return first_request(judge, case)
    if replies[-1].error:
        return Verdict(value=None, error=replies[-1].error)
    verdict = read_replies(judge, case, replies, thinking)
    if verdict.value is not None:
        return verdict
    most = usual_reasks(judge) if reasks is None else reasks
    return request_after(judge, case, replies, thinking, most) or verdict


def request_after(
    judge: Judge,
    case: Case,
    replies: Sequence[Completion],
    thinking: Thinking = AUTO,
    reasks: int = MOST_REASKS,
) -> Request | None:
    """Write the request that follows these replies, whatever they say; ``None`` if the judge is not asked again."""
    if not replies:
        return judge.ask(case)
    answers = tuple(without_thinking(reply, split_completion(reply, thinking)) for reply in replies)
    made = _attempts(judge, case, answers)
    following = judge.ask_again(case, made[-1])
    if following is not None or len(made) > reasks:
        return following
    request, words = judge.ask(case), getattr(judge, "reminder", None)
    return reminded(request, answers[-1].text or "", words) if words else request


def _attempts(judge: Judge, case: Case, replies: Sequence[Completion]) -> list[tuple[Completion, ...]]:
    """Split replies, oldest first, into attempts: what the protocol itself asks, with its own follow-up if any."""
    found = [tuple(replies[:1])]
    for reply in replies[1:]:
        if judge.ask_again(case, found[-1]) is not None:
            found[-1] = (*found[-1], reply)
        else:
            found.append((reply,))
    return found
