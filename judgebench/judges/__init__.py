"""Judges: what is asked about a case, and how the reply is read. Pure; they never see a model."""

from typing import Any, Protocol

from judgebench.records import Case, Completion, Request, Verdict


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
