"""The records of a comparison: what ``compare`` finds, prints and writes as JSON."""

from typing import Literal

import msgspec

from judgebench.records import Kind

Adjust = Literal["holm", "bh", "none"]


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One of the runs compared."""

    model: str
    path: str
    status: str


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one run beside the first run, ``second - first``, over the items that all runs have."""

    metric: str
    group: str | None
    unit: str
    first: int
    """Position of the run compared with."""
    second: int
    first_value: float | None
    second_value: float | None
    difference: float | None
    stderr: float | None
    low: float | None
    high: float | None
    level: float
    """Of the interval: Student's t of the paired differences."""
    p: float | None
    """Two-sided, from swapping the two runs at random, item by item."""
    p_adjusted: float | None = None
    """Adjusted over all metrics, models and tasks of the comparison; groups are adjusted among themselves."""
    correlation: float | None
    """Correlation of the two runs over items, which is what makes pairing worth it."""
    relative_gain: float | None
    """Percent; only in units with a true zero."""
    relative_low: float | None
    relative_high: float | None
    n: int
    """Items that vary independently."""
    counted: tuple[int, int] | None = None
    """How many of these count in the first value and in the second; fewer where a metric leaves out, say, empty
    answers."""
    reason: str | None
    """Why numbers are missing, in one line."""
    withheld: dict[str, str] = {}
    """The reason for each missing number: ``interval``, ``p-value``, ``relative gain``, ``interval of the gain``,
    ``correlation``."""


class Rank(msgspec.Struct, frozen=True, kw_only=True):
    """The ranks that a run may have by one metric, 1 the best; the level holds for all runs together."""

    metric: str
    group: str | None = None
    """The group of examples that it holds for; ``None`` for all examples."""
    run: int
    value: float | None
    low: int
    high: int
    reason: str | None = None
    """Why there is no interval for the difference between this run and some other."""


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """What one run contributes."""

    run: int
    items: int
    missing: int
    """Items without a value for some metric: failed, unread or not reached."""


class FlipSide(msgspec.Struct, frozen=True, kw_only=True):
    """One run's part of an item."""

    run: int
    value: float | None
    answers: tuple[str, ...]
    verdicts: tuple[str, ...]
    """What each judge said last, or the verifying rule."""


class Flip(msgspec.Struct, frozen=True, kw_only=True):
    """An item on which two runs differ."""

    example_id: str
    prompt: str
    measure: str
    """The example score that changed."""
    change: float
    runs: tuple[FlipSide, FlipSide]
    metric: str = ""
    """The metric that is the mean of this score, in whose unit people read it: the score times ``scale``."""
    unit: str = ""
    scale: float = 1.0
    baselines: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """The answers that both runs were compared with, by model."""


class ProtocolMismatch(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is not compared because its protocol differs."""

    run: int
    fields: tuple[str, ...]
    """Names of the protocol fields in which it differs from the task's first run."""
    values: tuple[tuple[str, str], ...]
    """The values of each field in the first run and in this one."""


class TaskComparison(msgspec.Struct, frozen=True, kw_only=True):
    """Runs of one task with one protocol."""

    task: str
    protocol_hash: str
    starter: bool
    runs: tuple[int, ...]
    common: int
    """Items on which all runs have a value."""
    coverage: tuple[Coverage, ...]
    differences: tuple[Difference, ...]
    ranks: tuple[Rank, ...]
    """With more than two runs."""
    not_compared: tuple[tuple[str, str], ...]
    """Metrics left out, and parts of the items (``score category=math``), each with the reason."""
    unpaired: str | None = None
    """Why only two numbers are compared, as with a published model whose single verdicts are not here."""
    flips: tuple[Flip, ...] = ()


class PredictedSide(msgspec.Struct, frozen=True, kw_only=True):
    """One run's official number."""

    run: int
    kind: Kind
    """Published numbers were measured; those of runs are predicted."""
    value: float | None
    low: float | None = None
    high: float | None = None


class PredictedComparison(msgspec.Struct, frozen=True, kw_only=True):
    """The official numbers of two runs, at least one of which a judge bridge predicts: ``second - first``."""

    kind: Kind = "predicted"
    task: str
    metric: str
    unit: str
    bridge: str
    judge: str
    official_judge: str
    sides: tuple[PredictedSide, PredictedSide]
    """The first run's and the later one's."""
    difference: float | None
    """In the metric's unit."""
    low: float | None
    """The bounds of the difference of logits, in the metric's unit at the middle of the two."""
    high: float | None
    level: float
    difference_logit: float | None
    low_logit: float | None
    high_logit: float | None
    probability_second_better: float | None
    reason: str | None
    """Why there is no difference."""
    marks: tuple[str, ...]
    """In words."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that ``compare`` shows."""

    runs: tuple[Compared, ...]
    tasks: tuple[TaskComparison, ...]
    unlike: dict[str, tuple[ProtocolMismatch, ...]]
    """By task."""
    adjust: Adjust
    level: float
    notes: tuple[str, ...] = ()
    """Why a task shared by runs of one protocol was not compared: no item in common, or no scores of single items."""
    predicted: tuple[PredictedComparison, ...] = ()
    """Of official numbers that a judge bridge predicts."""
