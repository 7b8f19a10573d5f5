"""The records that stages pass to each other and that files hold. They are immutable.

This module imports nothing from judgebench and computes nothing: other modules make, read and write these records.

Example → Request → Completion → Generation → Case → Judgement → ExampleScore → Score
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, ValidationError, convert, to_builtins
from msgspec.structs import replace

LARGEST = 1e15
"""The largest magnitude that a number in a record may have; no real score, length or count comes near it."""
Number = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
"""A number within that limit. A record with a larger one is damaged or malicious: reading it is an error."""
Count = Annotated[int, Meta(ge=0, le=int(LARGEST))]
Level = Annotated[float, Meta(gt=0, lt=1)]
"""A confidence level."""
Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""An integer of 64 bits, so that what was read can be written again."""


class Message(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One turn of a conversation."""

    role: str
    """``system``, ``user`` or ``assistant``; in what a scoring model is asked also ``answer``, which is to be scored
    and ends a conversation."""
    content: str


class Sampling(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a reply is sampled. A setting that is ``None`` is not sent, so the endpoint decides."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    json_object: bool = False
    """Ask the endpoint for a JSON object (``response_format``)."""
    json_schema: str = ""
    """Ask the endpoint for an object of this JSON Schema, in place of any JSON object."""
    top_logprobs: int = 0
    """How many alternatives to return for each generated token; 0 asks for no logprobs."""
    choices: tuple[str, ...] = ()
    """If set, nothing is generated: the model scores these labels by likelihood and returns them as the
    alternatives of one position. Only local models can do this."""
    continuations: tuple[str, ...] = ()
    """If set, nothing is generated: the model returns the log-likelihood of each of these texts right after the prompt,
    in this order, as the alternatives of one position; ``text`` is the likeliest."""
    raw: bool = False
    """Whether continuations follow the messages' text as it is, joined by blank lines, without a chat template."""


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Everything that can change a reply. Together with the model's identity it is the key of the call store."""

    messages: tuple[Message, ...]
    sampling: Sampling
    repeat: int = 0
    """Index of the repeat or re-ask. Requests that differ in it alone are different calls."""


class Usage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Tokens that a provider billed, or that a local model processed."""

    prompt_tokens: Whole = 0
    completion_tokens: Whole = 0
    """Includes the tokens of the thinking part, whether or not the provider counts them here."""
    estimated: bool = False
    """Whether the provider did not report some of these tokens, so that they are an upper estimate."""
    cached_tokens: Whole = 0
    """Those of the prompts' tokens that the provider had in its own cache, noted of batches. They cost less than prices
    say."""

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            estimated=self.estimated or other.estimated,
            cached_tokens=self.cached_tokens + other.cached_tokens,
        )


ENDINGS = ("stop", "length", "content_filter", "tool_calls")
"""The finish reasons of a complete reply; ``models/http/wire.py`` translates the vendors' own terms into them."""


TokenLogprob = tuple[str, float]
"""A token's text and its natural-log probability."""


class Completion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A complete reply, with everything that a later, better parser needs."""

    text: str | None = None
    finish_reason: str | None = None
    """One of :data:`ENDINGS` (``content_filter`` also means a refusal); ``None`` if an imported reply has none."""
    usage: Usage = Usage()
    discarded: Usage = Usage()
    """Tokens of earlier replies to the same request that were paid for but could not be used."""
    top_logprobs: tuple[tuple[TokenLogprob, ...], ...] | None = None
    """The most likely alternatives for each generated token; ``None`` if the endpoint returned none."""
    model: str | None = None
    """Name of the model that answered, as the endpoint reports it."""
    cached: bool = False
    """Whether the reply came from the call store. Never written: this is about the process, not about the reply."""
    error: str | None = None
    """Why there is no usable reply, after all retries. Such a completion is not stored, so a re-run asks again."""
    reasoning: str | None = None
    """The model's thinking, if the endpoint returns it separately from the answer."""
    left_out: tuple[str, ...] = ()
    """Sampling settings that were not sent because the endpoint rejects them."""
    scores: tuple[dict[str, Number], ...] | None = None
    """What a scoring model found instead of writing a text: named numbers for each answer it was shown or, of a pair
    ranker, for the pair."""
    batched: bool = False
    """Whether it was bought in a batch, at the vendor's price for batches."""

    @property
    def failed(self) -> bool:
        """Whether there is no answer: no reply, or one that broke off (earlier versions stored those)."""
        return self.error is not None or (self.finish_reason is not None and self.finish_reason not in ENDINGS)

    @property
    def paid(self) -> Usage:
        """All tokens that this request used."""
        return self.usage + self.discarded


class Example(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One item of a benchmark."""

    id: str
    messages: tuple[Message, ...]
    """The conversation to answer; the last message is the user's."""
    followups: tuple[str, ...] = ()
    """Later user turns, each asked after the model's own reply to the one before."""
    references: tuple[str, ...] = ()
    """Reference answers, one per turn; empty where there are none."""
    sampling: Sampling | None = None
    """Overrides the task's sampling for this item."""
    meta: dict[str, Any] = {}
    item: str | None = None
    """With ``--repeats``: id of the item that this example repeats; else of what it is counted as one with."""
    repeat: Count = 0
    """Index of the repeat, from 0."""

    @property
    def instruction(self) -> str:
        """The text of the first question, which is the last message."""
        return self.messages[-1].content

    def repeated(self, number: int) -> "Example":
        """The same question, to be answered once more: repeat ``number`` of the item, from 0."""
        return replace(self, id=f"{self.id}#{number}", item=self.id, repeat=number)

    @property
    def asked_once(self) -> str:
        """The id of the same question where it is asked once, as baselines and files of prompts know it.

        >>> example = Example(id="7-de", item="7", messages=())
        >>> example.asked_once, example.repeated(2).asked_once
        ('7-de', '7-de')
        """
        return self.item if self.item is not None and self.id == f"{self.item}#{self.repeat}" else self.id


class Generation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model's answer to one example, with one output per turn. If it failed, ``error`` says why."""

    example_id: str
    model: str
    outputs: tuple[str, ...]
    finish_reasons: tuple[str | None, ...] = ()
    usage: Usage = Usage()
    error: str | None = None
    thinking: tuple[str | None, ...] = ()
    """The model's thinking before each output, which is not part of the output; empty if there was none."""
    likelihoods: tuple[Number, ...] | UnsetType = UNSET
    """The log-likelihood of each of the example's continuations, of which the output is the likeliest. Absent if it was
    asked to write."""


class Answer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model's answer as a judge sees it."""

    model: str
    turns: tuple[str, ...]

    @property
    def text(self) -> str:
        """The answer of the last turn."""
        return self.turns[-1]


class Verdict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The result that was read from a judge's reply or returned by a verifier."""

    value: Number | None
    """In a comparison, the share of the win of the answer shown first, from 0 to 1; in grading, the number on the
    judge's scale. ``None``, with ``error``, if it could not be read."""
    label: str | None = None
    error: str | None = None
    details: dict[str, Any] = {}
    """Further findings: the answer that a verifier extracted, the parts of its verdict, what a reading left out."""


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
    """The verdict, if it is known without calling the judge (identical answers are a tie)."""


class Check(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a verifier gets: one answer to check against a rule or a reference.

    It is plain data, so that it can be sent to another process.
    """

    id: str
    example_id: str
    verifier: str
    """Name of the verifier within the task."""
    arguments: dict[str, Any]
    """The keyword arguments of its function."""


class Judgement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One judged or verified case as it is stored. The case is rebuilt from the example and the generations."""

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
    """Index among the judgements of the same case by the same judge model, from 0."""
    replies: tuple[Completion, ...] = ()
    """All complete replies: several if the judge was asked again, none if it was not asked."""
    request_hashes: tuple[str, ...] | UnsetType = UNSET
    """For each reply the hash of the messages that the judge was sent (``codec.canonical_hash``), so that prompts which
    are built again can be checked. Absent if we did not ask, or an earlier version did."""

    @property
    def reply(self) -> Completion | None:
        """The last reply."""
        return self.replies[-1] if self.replies else None

    @property
    def key(self) -> tuple[str, str, int]:
        """Case, judge model and repeat, which identify a judgement."""
        return self.case_id, self.judge_model, self.repeat

    @property
    def failed(self) -> bool:
        """Whether no reply arrived (as opposed to one that could not be read). A re-run asks again."""
        return bool(self.replies) and self.replies[-1].failed


# Not tracked by the garbage collector, which would take as long as reading 100,000 of them; they form no cycles.
class ExampleScore(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One example's contribution to a metric, with the covariates that let fits be redone from disk."""

    example_id: str
    metric: str
    value: Number | None
    weight: Number = 1.0
    covariates: dict[str, Number | str | None] = {}


class Upstream(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The same score by upstream's rule, with which the published tables were made."""

    value: Number
    stderr: Number | None = None
    low: Number | None = None
    high: Number | None = None
    level: Level | None = None
    method: str | None = None
    reason: str = ""
    """Why it differs from our number."""


PREDICTED = "_official_predicted"
"""What the name of a metric ends with whose value a judge bridge predicted. Nobody measured it."""
Kind = Literal["measured", "predicted"]


class Score(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One number of a result, as printed and as written to ``scores.json``."""

    task: str
    """The task's name. The manifest has its version and options under this name."""
    metric: str
    value: Number | None
    """``None``, with ``reason``, if it cannot be computed; never NaN."""
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
    """Number of examples behind the value."""
    n_missing: Count = 0
    """Number of examples that are missing from the value: failed, unread or without an answer."""
    group: str | None = None
    """A part of the examples such as ``category=math``; ``None`` for all."""
    reason: str | None = None
    details: dict[str, Any] = {}
    """Counts and settings behind the value, e.g. the chosen regularisation. If upstream's rule differs from ours,
    ``upstream`` holds an :class:`Upstream`."""

    def __repr__(self) -> str:
        """Short, for a terminal or a notebook; ``msgspec.structs.asdict`` has everything."""
        name = " ".join(part for part in (self.task, self.metric, self.group) if part)
        value = "no value" if self.value is None else f"{self.value:.4g} {self.unit}"
        interval = f" ({self.low:.4g} to {self.high:.4g})" if self.low is not None and self.high is not None else ""
        return f"<Score {name}: {value}{interval}, n = {self.n}>"

    @property
    def kind(self) -> Kind:
        """Whether the number was measured, or predicted by a judge bridge. Its name says it in every format."""
        return "predicted" if self.metric.endswith(PREDICTED) else "measured"

    @property
    def upstream(self) -> Upstream | None:
        """The score by upstream's rule; ``None`` if it is not known, or equals ours in value and interval."""
        try:
            found = convert(self.details.get("upstream"), Upstream | None)
        except ValidationError:
            return None
        alike = found is not None and (found.value, found.low, found.high) == (self.value, self.low, self.high)
        return None if alike else found

    @property
    def by_upstream(self) -> "Score":
        """The score by the rule of the published tables: upstream's, if that is another one than ours."""
        found = self.upstream
        if found is None:
            return self
        return replace(
            self,
            value=found.value,
            stderr=found.stderr,
            low=found.low,
            high=found.high,
            level=found.level,
            method=found.method,
            reason=None,
        )

    @property
    def withheld(self) -> str | None:
        """Why there is no value or no interval; ``None`` if there are both."""
        if self.value is None:
            return self.reason or "no value, and no reason is given"
        if self.low is not None and self.high is not None:
            return None
        _, told, why = (self.method or "").partition("no interval: ")
        return f"no interval: {why.partition(';')[0] if told else self.method or 'no reason is given'}"

    def beside(self, upstream: Upstream) -> "Score":
        """Return this score with upstream's in its details."""
        return replace(self, details={**self.details, "upstream": to_builtins(upstream)})

    def without_upstream(self) -> "Score":
        """Return this score without upstream's."""
        return replace(self, details={name: found for name, found in self.details.items() if name != "upstream"})

    def as_upstream(self, reason: str) -> Upstream:
        """Return this score, which follows upstream's rule and has a value, in the form that stands beside ours."""
        assert self.value is not None
        same = {name: getattr(self, name) for name in ("value", "stderr", "low", "high", "level", "method")}
        return Upstream(**same, reason=reason)


class EarlyStop(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a run with ``--stop-when`` ended."""

    rule: str
    """The rule as the user wrote it."""
    metric: str
    half_width: Number
    """In the metric's unit."""
    level: Level
    seed: Whole
    """Seed of the random order."""
    population: Count
    """Number of all examples."""
    n: Count
    """Number of examples, from the start of the order, that the numbers are based on."""
    early_stopped: bool
    judge_calls: Count
    """Number of judge replies in the run folder."""
    judge_calls_saved: Count
    """Calls that the rest would have taken, at the rate of the examples that were judged."""


class Cascade(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was asked of whom in a run with ``--cascade``: the cheap judges judge all examples, the dear one a part."""

    cheap: tuple[str, ...]
    """The cheap judges' models as the user or the task named them; several are a jury."""
    dear: str
    """The dear judge's model as the user named it."""
    dear_model: str
    """Its name in the judgements."""
    population: Count
    """Number of all examples."""
    n: Count
    """Size of the dear judge's part, the first so many of the random order; of ``--dear auto``, where it ended."""
    seed: Whole
    """Seed of the random order."""
    rule: str | None = None
    """With ``--dear auto`` the rule by which it ends, as the user wrote it."""
    cheap_calls: Count = 0
    """Replies of the cheap judges in the run folder."""
    dear_calls: Count = 0
    """Replies of the dear judge in the run folder."""
    dear_used: Count | None = None
    """Those of them that are about the part; the others came when ``--dear auto`` had ended. ``None`` in older runs."""
    dear_unused: Count = 0
    """Calls of the dear judge that were paid and whose replies came too late for the run folder, too."""
    usd_cheap: Number | None = None
    """What the cheap judges' replies cost, whenever they were bought; ``None`` if a price is not known."""
    usd_dear: Number | None = None
    """What all calls of the dear judge cost, used or not."""
    usd_saved: Number | None = None
    """What the dear judge would have cost on all examples, less what both have cost; below 0 if it would be less."""


class BridgeUsed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The judge bridge by which the official numbers of a run were predicted."""

    name: str
    hash: str
    judge: str
    """The judge of today, as it was named when the bridge was made."""
    official_judge: str
    level: Level
    """Of the intervals."""
    status: dict[str, str]
    """What the rules say of the bridge, by metric: ``usable``, ``weak`` or ``refused``."""
    marks: dict[str, tuple[str, ...]]
    """Codes of what must stand beside each predicted number."""
    input_hash: str
    """Of the run's inputs and the bridge: what its predicted numbers were made from."""
    others: Count = 0
    """Further runs beside this one, of other models, that the same bridge was used for."""


class SourceUsed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An official file as a run used it."""

    name: str
    sha256: str
    origin: str
    """``mirror``, ``nltk``, ``package``, ``cache`` or ``download``."""
    standin: bool = False
    """Whether a reconstruction was used because the official file was not available."""


class TaskCode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The files of a task that the user named as a file (``--tasks ./mine/task.py``), as a run used them."""

    file: Annotated[str, Meta(pattern=r"^[^/]{1,255}$")]
    """Name of the file that the user gave."""
    sha256: dict[str, str]
    """Hex digest of each file, by its path in the task's folder."""


class StageCounts(Struct, kw_only=True, forbid_unknown_fields=True):
    """How the items of one stage of one task ended in one session. Mutable, because it is the tally itself."""

    total: Count = 0
    resumed: Count = 0
    """Already in the run folder when the session started."""
    skipped: Count = 0
    """Settled without a call (identical answers)."""
    cached: Count = 0
    """Answered from the call store."""
    asked: Count = 0
    """Answered by the model in this session."""
    failed: Count = 0
    """Ended without a reply, after all retries."""
    unread: Count = 0
    """Ended with a reply that holds no verdict."""
    reasked: Count = 0
    """Further calls, made because a reply could not be read."""
    usage: Usage = Usage()
    """Tokens of the calls made in this session."""
    usd: Number = 0.0
    """Price of those tokens, as far as prices are known."""
    estimated: int = 0
    """Number of these calls whose tokens the provider did not report, so that an upper estimate counts."""
    unpriced: Usage = Usage()
    """Those tokens whose price is not known."""
    seconds: Number = 0.0

    @property
    def done(self) -> int:
        """Number of items that have ended, in whatever way."""
        return self.resumed + self.skipped + self.cached + self.asked + self.failed
