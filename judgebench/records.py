"""Every record that passes between stages or lies in a file. Immutable, and nothing here imports from judgebench.

Example → Request → Completion → Generation → Case → Judgement → ExampleScore → Score
"""

from typing import Annotated, Any

from msgspec import Meta, Struct, ValidationError, convert, to_builtins
from msgspec.structs import replace

LARGEST = 1e15
"""No score, length or count comes near it: what is larger is no number that could be meant."""
Number = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
"""A record with a larger one is damaged, or somebody's trap: it is refused where it is read."""
Count = Annotated[int, Meta(ge=0, le=int(LARGEST))]
Level = Annotated[float, Meta(gt=0, lt=1)]
"""Of confidence."""
Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""A whole number that can be written again."""


class Message(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One turn of a conversation."""

    role: str
    """``system``, ``user`` or ``assistant``."""
    content: str


class Sampling(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a reply is drawn. ``None`` leaves a setting to the endpoint and is not sent."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    json_object: bool = False
    """Ask the endpoint for a JSON object (``response_format``)."""
    top_logprobs: int = 0
    """How many alternatives to return for each generated token; 0 asks for no logprobs."""
    choices: tuple[str, ...] = ()
    """If given, nothing is generated: the model scores these labels by likelihood and returns them as the
    alternatives of one position. Only local models can do it."""


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """All that can change a reply; with the model's identity it is the key of the call store."""

    messages: tuple[Message, ...]
    sampling: Sampling
    repeat: int = 0
    """Index of the repeat or re-ask: equal requests with another index are another call."""


class Usage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Tokens that a provider billed, or that a local model processed."""

    prompt_tokens: Whole = 0
    completion_tokens: Whole = 0
    """Tokens of the thinking part included, whether or not the provider counts them among these."""
    estimated: bool = False
    """The provider did not report some of these tokens: they are an upper estimate."""

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            estimated=self.estimated or other.estimated,
        )


ENDINGS = ("stop", "length", "content_filter", "tool_calls")
"""The finish reasons of a reply that came to an end; see ``models/wire.py`` for the vendors' own words."""


TokenLogprob = tuple[str, float]
"""A token's text and its natural-log probability."""


class Completion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A reply, whole: what a later, better parser needs is all here."""

    text: str | None = None
    finish_reason: str | None = None
    """One of :data:`ENDINGS` (``content_filter`` is a refusal too); ``None`` in a reply that was imported without."""
    usage: Usage = Usage()
    discarded: Usage = Usage()
    """Tokens of earlier replies to the same request, which were paid for and could not be used."""
    top_logprobs: tuple[tuple[TokenLogprob, ...], ...] | None = None
    """Per generated token, its most likely alternatives; ``None`` if the endpoint gave none."""
    model: str | None = None
    """The model string that the endpoint says answered."""
    cached: bool = False
    """The reply came from the call store. Never written: it is a fact of this process, not of the reply."""
    error: str | None = None
    """Why there is no usable reply, after all retries. Such a completion is not stored, so a re-run asks again."""
    reasoning: str | None = None
    """The model's thinking, where the endpoint gives it apart from the answer."""
    left_out: tuple[str, ...] = ()
    """Settings of the request's sampling that the endpoint refuses and that were not sent."""

    @property
    def failed(self) -> bool:
        """There is no answer: no reply, or one that broke off (an earlier version stored those)."""
        return self.error is not None or self.finish_reason not in (None, *ENDINGS)

    @property
    def paid(self) -> Usage:
        """All tokens that this request cost."""
        return self.usage + self.discarded


class Example(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One item of a benchmark."""

    id: str
    messages: tuple[Message, ...]
    """The conversation to be answered; the last message is the user's."""
    followups: tuple[str, ...] = ()
    """Later user turns, each asked after the model's own reply to the one before."""
    references: tuple[str, ...] = ()
    """Reference answers, one per turn; empty where there are none."""
    sampling: Sampling | None = None
    """Overrides the task's sampling for this item."""
    meta: dict[str, Any] = {}
    item: str | None = None
    """With ``--repeats``: id of the item that several examples ask, each for an answer of its own."""
    repeat: Count = 0
    """Which of those this one is, from 0."""

    @property
    def instruction(self) -> str:
        """Text of the first user turn's question: the last message given."""
        return self.messages[-1].content


class Generation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model's answer to one example: one output per turn. A failed one is a row with ``error``."""

    example_id: str
    model: str
    outputs: tuple[str, ...]
    finish_reasons: tuple[str | None, ...] = ()
    usage: Usage = Usage()
    error: str | None = None
    thinking: tuple[str | None, ...] = ()
    """What the model thought before each output, which is not part of it; empty if it never did."""


class Answer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one model said, as a judge is shown it."""

    model: str
    turns: tuple[str, ...]

    @property
    def text(self) -> str:
        """The answer of the last turn."""
        return self.turns[-1]


class Verdict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was read from a judge's reply, or found by a verifier."""

    value: Number | None
    """Game: the first-shown answer's share of the win, 0 to 1. Grading: the number on the judge's scale.
    ``None`` with ``error`` if it could not be read."""
    label: str | None = None
    error: str | None = None
    details: dict[str, Any] = {}
    """What a verifier found besides: the extracted answer, the parts of its verdict; what a reading left out."""


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a judge sees: one answer to grade, or two in the order shown."""

    id: str
    judge: str
    """Name of the judge (prompt and reading rule) within the task."""
    example: Example
    answers: tuple[Answer, ...]
    candidate: int = 0
    """Index in ``answers`` of the model under test."""
    turn: int = 1
    verdict: Verdict | None = None
    """Known without asking (identical answers are a tie): the judge is not called."""


class Check(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a verifier is given: one answer to hold against a rule or a reference. Plain data, so that it can cross to
    another process.
    """

    id: str
    example_id: str
    verifier: str
    """Name of the verifier within the task."""
    arguments: dict[str, Any]
    """The keyword arguments of its function."""


class Judgement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One judged or verified case as it lies on disk. The case is rebuilt from the example and the generations."""

    case_id: str
    example_id: str
    judge: str
    judge_model: str
    answers: tuple[str, ...]
    """Model names in the order shown."""
    candidate: Count = 0
    """Index in ``answers`` of the model under test."""
    verdict: Verdict
    turn: Count = 1
    repeat: Count = 0
    """Which of several judgements of the same case by the same judge model this is."""
    replies: tuple[Completion, ...] = ()
    """All replies, whole: more than one where the judge was asked again; none where nothing was asked."""

    @property
    def reply(self) -> Completion | None:
        """The last reply."""
        return self.replies[-1] if self.replies else None

    @property
    def key(self) -> tuple[str, str, int]:
        """What there is one judgement of: case, judge model, repeat."""
        return self.case_id, self.judge_model, self.repeat

    @property
    def failed(self) -> bool:
        """No reply was to be had (as opposed to one that could not be read): a re-run asks again."""
        return self.reply is not None and self.reply.failed


# Kept from the garbage collector, which otherwise takes as long as the reading of 100,000: nothing in it is a cycle.
class ExampleScore(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One example's contribution to a metric, with the covariates that let fits be redone from disk."""

    example_id: str
    metric: str
    value: Number | None
    weight: Number = 1.0
    covariates: dict[str, Number | str | None] = {}


class Upstream(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What upstream's rule makes of the same verdicts: published tables were made by it."""

    value: Number
    stderr: Number | None = None
    low: Number | None = None
    high: Number | None = None
    level: Level | None = None
    method: str | None = None
    reason: str = ""
    """Why it is not our number."""


class Score(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One number of a result, as printed and as written to ``scores.json``."""

    task: str
    """The task's name; its version and options are in the manifest, by this name."""
    metric: str
    value: Number | None
    """``None`` with ``reason`` if it cannot be computed; never NaN."""
    unit: str
    """``percent`` (0 to 100), ``points``, ``rating``, ``characters`` or ``usd``."""
    stderr: Number | None = None
    low: Number | None = None
    high: Number | None = None
    level: Level | None = None
    """Confidence level of ``low`` and ``high``, e.g. 0.95."""
    method: str | None = None
    """How the value and its interval were computed."""
    n: Count
    """Examples that entered the value."""
    n_missing: Count = 0
    """Examples that should have and did not: failed, unread or without an answer."""
    group: str | None = None
    """A part of the examples such as ``category=math``; ``None`` for all."""
    reason: str | None = None
    details: dict[str, Any] = {}
    """Counts and settings behind the value, e.g. the chosen regularisation; under ``upstream``, an :class:`Upstream`,
    where upstream's rule differs from ours."""

    def __repr__(self) -> str:
        """Short, for a terminal or a notebook; ``msgspec.structs.asdict`` has everything."""
        name = " ".join(part for part in (self.task, self.metric, self.group) if part)
        value = "no value" if self.value is None else f"{self.value:.4g} {self.unit}"
        interval = f" ({self.low:.4g} to {self.high:.4g})" if self.low is not None and self.high is not None else ""
        return f"<Score {name}: {value}{interval}, n = {self.n}>"

    @property
    def upstream(self) -> Upstream | None:
        """By upstream's rule, where the value or the interval is another one; ``None`` where details hold none."""
        try:
            found = convert(self.details.get("upstream"), Upstream | None)
        except ValidationError:
            return None
        alike = found is not None and (found.value, found.low, found.high) == (self.value, self.low, self.high)
        return None if alike else found

    @property
    def withheld(self) -> str | None:
        """Why there is no value, or no interval; ``None`` where both are there."""
        if self.value is None:
            return self.reason or "no value, and no reason is given"
        if self.low is not None and self.high is not None:
            return None
        _, told, why = (self.method or "").partition("no interval: ")
        return f"no interval: {why.partition(';')[0] if told else self.method or 'no reason is given'}"

    def beside(self, upstream: Upstream) -> "Score":
        """Itself with upstream's in its details."""
        return replace(self, details={**self.details, "upstream": to_builtins(upstream)})

    def without_upstream(self) -> "Score":
        """Itself where upstream's rule says nothing of it."""
        return replace(self, details={name: found for name, found in self.details.items() if name != "upstream"})

    def as_upstream(self, reason: str) -> Upstream:
        """Itself, made by upstream's rule and with a value, to stand beside ours."""
        assert self.value is not None
        same = {name: getattr(self, name) for name in ("value", "stderr", "low", "high", "level", "method")}
        return Upstream(**same, reason=reason)


class EarlyStop(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a run with ``--stop-when`` ended."""

    rule: str
    """As it was given."""
    metric: str
    half_width: Number
    """In the metric's unit."""
    level: Level
    seed: Whole
    """Of the random order."""
    population: Count
    """Examples in all."""
    n: Count
    """Examples, from the beginning of the order on, that the numbers are made from."""
    early_stopped: bool
    judge_calls: Count
    """Judge replies in the run folder."""
    judge_calls_saved: Count
    """What the rest would have cost, at the rate of the examples judged."""


class SourceUsed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An official file as a run used it."""

    name: str
    sha256: str
    origin: str
    """``mirror``, ``nltk``, ``cache`` or ``download``."""
    standin: bool = False
    """A reconstruction was taken because the official file could not be had."""


class TaskCode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The files of a task that was given as a file (``--tasks ./mine/task.py``), as a run used them."""

    file: Annotated[str, Meta(pattern=r"^[^/]{1,255}$")]
    """Name of the file that was given."""
    sha256: dict[str, str]
    """Hex digest of each file, by its path in the task's folder."""


class StageCounts(Struct, kw_only=True, forbid_unknown_fields=True):
    """How the items of one stage of one task ended, in one session. Mutable: it is the tally itself."""

    total: Count = 0
    resumed: Count = 0
    """Already in the run folder when the session started."""
    skipped: Count = 0
    """Known without a call (identical answers)."""
    cached: Count = 0
    """Answered from the call store."""
    asked: Count = 0
    """Answered by the model in this session."""
    failed: Count = 0
    """Ended without a reply, after all retries."""
    unread: Count = 0
    """Ended with a reply that holds no verdict."""
    reasked: Count = 0
    """Further calls because a reply could not be read."""
    usage: Usage = Usage()
    """Tokens of the calls asked in this session."""
    usd: Number = 0.0
    """Price of those tokens, as far as prices are known."""
    estimated: int = 0
    """Calls among those whose tokens the provider did not report: they count at an upper estimate."""
    unpriced: Usage = Usage()
    """Tokens among them whose price is not known."""
    seconds: Number = 0.0

    @property
    def done(self) -> int:
        """Items that have ended, in whichever way."""
        return self.resumed + self.skipped + self.cached + self.asked + self.failed
