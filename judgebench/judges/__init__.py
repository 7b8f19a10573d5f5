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

    @property
    def max_reasks(self) -> int:
        """How often the protocol lets an unreadable reply be asked for again."""

    def ask(self, case: Case) -> Request:
        """The request for a case."""

    def read(self, case: Case, completion: Completion) -> Verdict:
        """The verdict in a reply; ``value=None`` with a reason if there is none."""

    def constrained(self) -> "Judge":
        """The same judge for a local model that can score the labels by likelihood; itself if it needs more."""
