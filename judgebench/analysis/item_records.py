"""Records of single items of a run and of lists of them: what ``samples`` makes, and every form of output shows."""

from typing import Literal

from msgspec import Struct

from judgebench.analysis.item_values import Spread
from judgebench.records import Message, Score
from judgebench.task import Ruling

Outcome = Literal["win", "tie", "loss"]
"""How a game ended for the candidate."""
Seat = Literal["", "cheap", "dear"]
"""Which judge of a cascade; empty in any other run."""
UNREAD = ("unread", "failed", "missing", "no answer", "not graded")
"""The states of verdicts that are not there."""


class SampleAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One model's answer to an item."""

    model: str
    role: Literal["candidate", "baseline"]
    turns: tuple[str, ...]
    thinking: tuple[str | None, ...] = ()
    finish_reasons: tuple[str | None, ...] = ()
    error: str | None = None


class SampleReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One reply of a judge."""

    text: str
    thinking: str | None = None
    finish_reason: str | None = None
    model: str | None = None
    """Name of the model that answered, as its endpoint reports it."""
    error: str | None = None
    likely: tuple[tuple[str, float], ...] = ()
    """For a reply of a token or two: the likeliest first tokens with their probabilities."""


class SampleJudgement(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One verdict of a judge on an item, or the place where it is missing."""

    case_id: str
    judge: str
    judge_model: str
    turn: int
    repeat: int
    shown: tuple[str, ...]
    """The models whose answers the judge saw, in that order."""
    candidate: int
    """Index of the candidate among them."""
    about: dict[str, str] = {}
    """What the judge was asked about, if the judge was asked about several things, such as a criterion."""
    state: str
    """``read``, ``reasked_and_read``, ``skipped`` (known without asking), or one of :data:`UNREAD`."""
    value: float | None = None
    """In a comparison, the share of the win of the answer shown first; otherwise the number on the judge's scale."""
    label: str | None = None
    seat: Seat = ""
    """In a cascade, which of its judges said it."""
    reason: str | None = None
    """Why there is no verdict."""
    share: float | None = None
    """In a comparison, the candidate's share of the win."""
    outcome: Outcome | None = None
    replies: tuple[SampleReply, ...] = ()
    prompt_state: str | None = None
    """Whether ``prompts`` are known to be what the judge was sent; see ``run.judge_prompts``."""
    prompt_told: str = ""
    """The same in words."""
    prompts: tuple[tuple[Message, ...], ...] = ()
    """The messages of each request."""


class SwappedGame(Struct, frozen=True, kw_only=True):
    """The same two answers judged in both orders by one judge."""

    example_id: str
    judge: str
    judge_model: str
    repeat: int
    turn: int
    against: str
    candidate_first: Outcome
    baseline_first: Outcome

    @property
    def changes(self) -> bool:
        """Whether the verdict depends on the order."""
        return self.candidate_first != self.baseline_first

    @property
    def reverses(self) -> bool:
        """Whether each order has another winner: no tie in either."""
        return self.changes and "tie" not in (self.candidate_first, self.baseline_first)


class Sample(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that a run and its files know of one item."""

    task: str
    example_id: str
    groups: tuple[str, ...] = ()
    values: dict[str, float | None] = {}
    """By metric or, where no metric is a mean, by example score."""
    values_by: str = ""
    """In a cascade, the judge of all items, whose verdicts the values are."""
    messages: tuple[Message, ...] = ()
    """The conversation that the candidate was asked to continue."""
    followups: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    checklist: tuple[str, ...] = ()
    """What the judges are told to look for in answers to this item."""
    answers: tuple[SampleAnswer, ...] = ()
    """The candidate's, then the baselines'."""
    judgements: tuple[SampleJudgement, ...] = ()
    swapped: tuple[SwappedGame, ...] = ()
    rulings: tuple[Ruling, ...] = ()
    """What verifiers decided, rule by rule."""


class Line(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An item in one line of a list."""

    example_id: str
    prompt: str
    value: float | None = None
    answer: str = ""
    verdicts: str = ""
    """How its judges or verifiers decided, in a few words."""


class Unread(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A verdict that is not there."""

    example_id: str
    state: str
    """One of :data:`UNREAD`."""
    reason: str
    judge: str = ""
    judge_model: str = ""
    turn: int = 1
    repeat: int = 0
    said: str = ""
    """What the judge replied last."""


class SoFar(Struct, frozen=True, kw_only=True):
    """How far a task is that has not been scored."""

    answered: int
    failed: int
    """Answers that failed."""
    judged: int
    """Items with a verdict, or with a judge's reply from which none was read."""


class TaskSummary(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One task of a run at a glance."""

    task: str
    examples: int
    group: str = ""
    """The groups of items that this is about, if not all."""
    starter: bool
    spreads: tuple[Spread, ...]
    ranked_by: str | None
    """The measure by which ``worst`` and ``best`` are chosen; ``None`` if no item has a value."""
    unit: str
    cases: dict[str, int]
    """How all cases ended; empty for some of the items."""
    games: int
    """Pairs of verdicts on the same answers in both orders."""
    flips: int
    """Those that depend on the order."""
    worst: tuple[Line, ...] = ()
    best: tuple[Line, ...] = ()
    scores: tuple[Score, ...] = ()
    """The headline numbers."""
    so_far: SoFar | None = None
    """``None`` if the task has been scored."""
    cascade: str = ""
    """Of a cascade, whose verdicts the values are and who judged how many items, in words."""


class ShownTask(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is shown of one task."""

    task: str
    notes: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    """Why each of the samples was chosen, in words; empty if the user named it."""
    summary: TaskSummary | None = None
    samples: tuple[Sample, ...] = ()
    lines: tuple[Line, ...] = ()
    unread: tuple[Unread, ...] | None = None
    flips: tuple[SwappedGame, ...] | None = None


class Shown(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that ``show`` prints of a run."""

    run: str
    model: str
    status: str
    tasks: tuple[ShownTask, ...]
    at_work: bool = False
    """Whether a process works on the run now."""
    started_by: tuple[str, ...] = ()
    """The command that was last at work, as the run folder has it, if the run has not been scored."""
