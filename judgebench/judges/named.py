"""The judges that a task has by name: what ``judgebench judges`` lists."""

from dataclasses import dataclass
from typing import Literal

STARTER = "for the starter set"
"""What is said about the judges whose prompts are ours."""


@dataclass(frozen=True, kw_only=True)
class NamedJudge:
    """A judge that a benchmark published, or one of its own."""

    name: str
    model: str | None
    """Spec of the model that upstream judges with; ``None`` if the user names one with ``--judge``."""
    answers: Literal[1, 2] = 2
    """Whether it rates one answer or compares two."""
    reading: str
    """How the verdict is read, in words."""
    labels: tuple[str, ...] = ()
    """What the rule looks for in a reply, and a prompt has to name."""
    prompt: str | None = None
    """A source of the task's ``sources.toml``, or a file ``*.j2`` of its folder."""
    chosen_by: str = ""
    """The options that choose it, such as ``judge=NAME``; empty if the task uses it without any."""
    unavailable: str = ""
    """Why it cannot judge here; empty if it can."""
    about: str = ""
    """What else a user should know."""
