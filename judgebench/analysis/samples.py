"""Single items of a run, as records: what was asked, answered, shown to a judge, said by it, and read from that.

``look_at`` picks what a user asked for: items in full (``samples``), lists of what is unread or depends on the order of
the answers, or a run at a glance (``summary``). ``item_records`` holds their records, ``item_values`` says what the
value of an item is, and ``cli/show.py`` how all of it looks on a terminal.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Literal

from msgspec.structs import replace

from judgebench.analysis.item_records import (
    UNREAD,
    Line,
    Outcome,
    Sample,
    SampleAnswer,
    SampleJudgement,
    SampleReply,
    Seat,
    Shown,
    ShownTask,
    SoFar,
    SwappedGame,
    TaskSummary,
    Unread,
)
from judgebench.analysis.item_values import Measure, extremes, measure_called, measures, spread
from judgebench.data.sources import SourceFinder
from judgebench.display import brief
from judgebench.errors import JudgebenchError, UsageError
from judgebench.judges.orders import candidate_share
from judgebench.records import (
    Case,
    Completion,
    Example,
    ExampleScore,
    Generation,
    Judgement,
    TokenLogprob,
    Verdict,
)
from judgebench.run.folder import VERIFIED_BY, usable
from judgebench.run.judge_prompts import PromptBuilder
from judgebench.run.reading import Run, TaskRun, require_held
from judgebench.run.run_tasks import TaskUnavailable
from judgebench.run.scoring import checked_as, ending, read_again, verdicts_expected
from judgebench.run.stopping import random_order
from judgebench.task import Ruling, Task, TaskData, rulings_of
from judgebench.task.selection import Chosen, Selection, choose
from judgebench.tasks import is_among
from judgebench.thinking import Thinking, split_completion

REPLY_TOKENS = 3
"""The alternatives to a token are of interest in replies of at most so many tokens: a label is one."""
HELD = {True: "passed", False: "failed", None: "undecided"}
"""What a rule of a verifier decided, in words."""


# -- judgements


def share_of(judgement: Judgement, value: float | None) -> float | None:
    """The candidate's share of the win; ``None`` if this is no comparison, or there is no verdict."""
    if value is None or len(judgement.answers) != 2 or judgement.candidate > 1:
        return None
    return candidate_share(value, judgement.candidate)


def outcome_of(share: float | None) -> Outcome | None:
    """How a comparison ended."""
    if share is None:
        return None
    return "tie" if share == 0.5 else "win" if share > 0.5 else "loss"


ENDS: dict[Outcome, str] = {"win": "the candidate wins", "tie": "a tie", "loss": "the candidate loses"}


def verdict_in_words(label: str | None, value: float, share: float | None) -> str:
    """What a verdict says of the candidate, for a line of a page."""
    before = "" if label is None else f"{label}, "
    outcome = outcome_of(share)
    if outcome is None:
        return f"{'' if label == f'{value:g}' else before}{value:g}"
    return f"{before}{ENDS[outcome]} (its share {brief(share)})"


def ruling_in_words(ruling: Ruling) -> str:
    """What a rule of a verifier decided, and in a line each what it wanted, found and notes.

    >>> print(ruling_in_words(Ruling(rule="numeric", held=False, wanted="42", found="41")))
    numeric: failed
    wanted: 42
    found: 41
    """
    return "\n".join([f"{ruling.rule}: {HELD[ruling.held]}", *grounds(ruling)])


def grounds(ruling: Ruling) -> list[str]:
    """What a rule of a verifier wanted, found and notes, as far as it says so."""
    parts = {"wanted": ruling.wanted, "found": ruling.found, "note": ruling.note}
    return [f"{name}: {part}" for name, part in parts.items() if part]


def swapped_games(judgements: Iterable[Judgement], verdict_of: Callable[[Judgement], Verdict]) -> list[SwappedGame]:
    """Pair the verdicts on the same two answers in both orders. A tie that was known beforehand is no verdict.

    ``verdict_of`` says what counts as read from a judge's reply, as :meth:`OpenTask.verdict` does.
    """
    seen: dict[tuple[str, str, str, int, int, str], dict[int, Outcome]] = {}
    for judgement in judgements:
        outcome = outcome_of(share_of(judgement, verdict_of(judgement).value))
        if outcome is not None and judgement.replies:
            against = judgement.answers[1 - judgement.candidate]
            key = (*_place(judgement), against)
            seen.setdefault(key, {})[judgement.candidate] = outcome
    return [
        SwappedGame(
            example_id=example_id,
            judge=judge,
            judge_model=model,
            repeat=repeat,
            turn=turn,
            against=against,
            candidate_first=outcomes[0],
            baseline_first=outcomes[1],
        )
        for (example_id, judge, model, repeat, turn, against), outcomes in seen.items()
        if len(outcomes) == 2
    ]


def _place(judgement: Judgement) -> tuple[str, str, str, int, int]:
    return judgement.example_id, judgement.judge, judgement.judge_model, judgement.repeat, judgement.turn


def _reply(reply: Completion, thinking: Thinking, verdict: Verdict) -> SampleReply:
    parts = split_completion(reply, thinking)
    numbers = verdict.details if reply.scores and len(reply.scores) == 2 else {}
    if {"first", "second"} <= set(numbers):
        # A scoring model was shown the answers in an order of its own.
        text = f"{numbers['first']:.6g} for the answer shown first, {numbers['second']:.6g} for the second"
        return SampleReply(text=text, thinking=None, finish_reason=reply.finish_reason, model=reply.model, error=None)
    short = reply.top_logprobs is not None and 0 < len(reply.top_logprobs) <= REPLY_TOKENS
    return SampleReply(
        text=parts.answer,
        thinking=parts.thinking,
        finish_reason=reply.finish_reason,
        model=reply.model,
        error=reply.error,
        likely=_likely(reply.top_logprobs[0]) if short and reply.top_logprobs else (),
    )


def _likely(alternatives: Iterable[TokenLogprob]) -> tuple[tuple[str, float], ...]:
    listed = [(token, math.exp(min(0.0, logprob))) for token, logprob in alternatives]
    return tuple(sorted(listed, key=lambda entry: -entry[1])[:5])


# -- one task of a run, opened


class OpenTask:
    """A task of a run whose items are looked at: its measures, and its data if the official files are there."""

    def __init__(self, run: Run, task: TaskRun, finder: SourceFinder | None) -> None:
        """Without a ``finder`` no official file is read: there are no baselines and no prompts of judges."""
        self.task = task
        self.no_answer = SampleAnswer(
            model=run.manifest.candidate, role="candidate", turns=(), error="none is in the run folder"
        )
        self.imported = run.manifest.imported_from is not None
        self.examples = {example.id: example for example in task.examples()}
        self.notes: list[str] = []
        """What is not shown, and why."""
        self.code = self._code()
        """The task; ``None`` if its code is not that of the run, so that only records are shown."""
        self.so_far: SoFar | None = None
        """How far the task is, if it has not been scored."""
        self.rows: Sequence[ExampleScore] = ()
        """The example scores, if the task has been scored."""
        self.measures = self._measures(run.manifest.status)
        # A verified task needs no file for anything that is shown.
        self.judged = bool(task.task_manifest.protocol.get("judges"))
        self.data = self._data(finder) if finder is not None and self.judged and self.code is not None else None
        self.thinking = Thinking(tags=tuple(task.task_manifest.think_tags))
        self.builder = None if self.data is None else PromptBuilder(task, self.data, imported=self.imported)
        self.generations = task.generations()
        self.chosen: Chosen | None = None
        """The groups that the user asked for; ``None`` for all items."""
        self.named = ""
        """The same as the user wrote them."""
        self._verdicts: dict[tuple[str, str, int], Verdict] = {}

    def choose(self, groups: Selection) -> None:
        """Look only at the items, and at the judgements, of some groups."""
        self.named = ", ".join(clause.text for clause in groups.clauses)
        self.chosen = choose(groups, self.task.task, tuple(self.examples.values()), self.task.folder.judgements())

    @property
    def among(self) -> list[str]:
        """The items that are looked at: those of the chosen groups that were judged before an early stop."""
        stop, names = self.task.task_manifest.early_stop, list(self.examples)
        judged = set(random_order(names, stop.seed)[: stop.n] if stop is not None and stop.early_stopped else names)
        kept = [name for name in names if self.chosen is None or self.chosen.keeps(self.examples[name])]
        return [name for name in kept if name in judged]

    def _code(self) -> Task | None:
        try:
            return self.task.task
        except TaskUnavailable as error:
            self.notes.append(
                f"this is what the run recorded; units, groups, baselines' answers and judges' prompts are not here, "
                f"because they need the task's code: {error}"
            )
            return None

    def _measures(self, status: str) -> dict[str, Measure]:
        try:
            self.rows = self.task.example_scores(of_cascade=True)
            return measures(self.code, self.rows)
        except UsageError as error:
            scored = status in ("complete", "incomplete") or (self.task.folder.path / "example_scores.jsonl").exists()
            if scored:
                self.notes.append(f"items have no values: {error}")
            else:
                self.so_far = self._so_far()
            return {}

    def _so_far(self) -> SoFar:
        ended = list(self.task.generations().values())
        failed = sum(generation.error is not None for generation in ended)
        judged = {judgement.example_id for judgement in self.task.folder.judgements()}
        return SoFar(answered=len(ended) - failed, failed=failed, judged=len(judged))

    def _data(self, finder: SourceFinder) -> TaskData | None:
        try:
            return self.task.load_data(finder)
        except JudgebenchError as error:
            self.notes.append(
                f"baselines' answers, judges' prompts and verdicts that are missing are not shown: {error}"
            )
            return None

    @property
    def no_prompts(self) -> str:
        """Why the prompts of judges are not shown."""
        if self.code:
            return "the task's files are not there"
        return "not here: the task's code builds it, so name the file that the run was made with by --tasks PATH"

    @property
    def label(self) -> str:
        """The task with its version and options."""
        return self.task.task_manifest.label

    def measure(self, name: str | None) -> Measure | None:
        """The measure by which items are ordered."""
        return measure_called(self.label, self.code, self.measures, name)

    def groups(self, example: Example) -> tuple[str, ...]:
        """The groups of an example, as far as its task is known."""
        return () if self.code is None else tuple(self.code.groups(example))

    def rulings(self, example: Example, judgement: Judgement) -> tuple[Ruling, ...]:
        """What a verifier found; without the task's code, the verdict as it was recorded."""
        return rulings_of(self.code, example, self.generations.get(example.id), judgement)

    def seat(self, judgement: Judgement) -> Seat:
        """Which judge of a cascade a judgement is of; empty in any other run."""
        cascade = self.task.task_manifest.cascade
        return "" if cascade is None else "dear" if judgement.judge_model == cascade.dear_model else "cheap"

    @property
    def cheap(self) -> str:
        """The judges of all items in a cascade, whose verdicts the values are; empty in any other run."""
        cascade = self.task.task_manifest.cascade
        return "" if cascade is None else " and ".join(cascade.cheap)

    def find(self, key: str) -> list[str]:
        """The examples of an id, which may be a number or an item with several answers; empty if there is none."""
        if key in self.examples:
            return [key]
        repeats = [example.id for example in self.examples.values() if example.item == key]
        numbered = [name for name in self.examples if name.isdecimal() and key.isdecimal() and int(name) == int(key)]
        return repeats or (numbered if len(numbered) == 1 else [])

    def judgements(self, among: Collection[str]) -> Iterator[Judgement]:
        """Read the judgements of some examples, one at a time, because their replies may be large."""
        wanted = set(among)
        return (
            judgement
            for judgement in self.task.folder.judgements()
            if judgement.example_id in wanted and self._keeps(judgement)
        )

    @cached_property
    def _places(self) -> Mapping[str, Sequence[tuple[int, int]]]:
        return self.task.folder.judgement_places()

    def held(self, among: Collection[str], *, lean: bool = False) -> dict[str, list[Judgement]]:
        """The judgements of some examples, by example; if ``lean``, without their replies."""
        found: dict[str, list[Judgement]] = {name: [] for name in among}
        places = [place for name in found for place in self._places.get(name, ())]
        for judgement in filter(self._keeps, self.task.folder.judgements_at(places)):
            found[judgement.example_id].append(replace(judgement, replies=()) if lean else judgement)
        return found

    def _keeps(self, judgement: Judgement) -> bool:
        example = self.examples.get(judgement.example_id)
        return self.chosen is None or (example is not None and self.chosen.keeps_judgement(example, judgement))

    def verdict(self, judgement: Judgement) -> Verdict:
        """The verdict by today's rules if the task's data are there, else as it is stored."""
        if self.data is None or self.builder is None:
            return judgement.verdict
        if judgement.key not in self._verdicts:
            case = self.builder.case(judgement)
            self._verdicts[judgement.key] = read_again(self.data, case, judgement, self.thinking)
        return self._verdicts[judgement.key]

    def missing(self, example_id: str, there: Mapping[str, int]) -> Iterator[Case]:
        """Yield the cases of an example that lack a verdict, each as often as one is missing.

        ``there`` is the number of verdicts that are there, by case.
        """
        if self.builder is None:
            return
        expected = verdicts_expected(self.task.task_manifest)
        for case in self.builder.cases(example_id).values():
            kept = self.chosen is None or self.chosen.keeps_judgement(case.example, _blank(case))
            for _ in range(expected.get(case.judge, 0) - there.get(case.id, 0) if kept else 0):
                yield case


def _blank(case: Case) -> Judgement:
    """The judgement that a case lacks."""
    return Judgement(
        case_id=case.id,
        example_id=case.example.id,
        judge=case.judge,
        judge_model="",
        answers=tuple(answer.model for answer in case.answers),
        candidate=case.candidate,
        turn=case.turn,
        verdict=Verdict(value=None, error=NOT_ASKED),
    )


# -- items in full


def samples(opened: OpenTask, names: Sequence[str]) -> list[Sample]:
    """Build the records of some items, in this order."""
    held = opened.held(names)
    return [_sample(opened, opened.examples[name], held[name]) for name in names]


def _sample(opened: OpenTask, example: Example, held: Sequence[Judgement]) -> Sample:
    judged = [judgement for judgement in held if judgement.judge_model != VERIFIED_BY]
    verified = [judgement for judgement in held if judgement.judge_model == VERIFIED_BY]
    own = opened.generations.get(example.id)
    answers = [opened.no_answer if own is None else _answer(own, "candidate")]
    if opened.data is not None:
        answers += [
            _answer(there[example.id], "baseline", name)
            for name, there in opened.data.baselines.items()
            if example.id in there
        ]
    shown = [_judgement(opened, judgement) for judgement in _cheap_first(opened, judged)]
    if not opened.imported:
        shown += [_missing(case) for case in opened.missing(example.id, Counter(one.case_id for one in judged))]
    return Sample(
        task=opened.label,
        example_id=example.id,
        groups=opened.groups(example),
        values={name: measure.values.get(example.id) for name, measure in opened.measures.items()},
        values_by=opened.cheap,
        messages=example.messages,
        followups=example.followups,
        references=example.references,
        checklist=_checklist(example),
        answers=tuple(answers),
        judgements=tuple(shown),
        swapped=tuple(swapped_games(judged, opened.verdict)),
        rulings=tuple(ruling for judgement in verified for ruling in opened.rulings(example, judgement)),
    )


def _checklist(example: Example) -> tuple[str, ...]:
    listed = example.meta.get("checklist")
    return tuple(map(str, listed)) if isinstance(listed, list | tuple) else ()


def _answer(generation: Generation, role: Literal["candidate", "baseline"], name: str = "") -> SampleAnswer:
    return SampleAnswer(
        model=name or generation.model,
        role=role,
        turns=generation.outputs,
        thinking=generation.thinking,
        finish_reasons=generation.finish_reasons,
        error=generation.error,
    )


def _judgement(opened: OpenTask, judgement: Judgement) -> SampleJudgement:
    verdict = opened.verdict(judgement)
    prompts = None if opened.builder is None else opened.builder.prompts(judgement)
    share = share_of(judgement, verdict.value)
    return SampleJudgement(
        case_id=judgement.case_id,
        judge=judgement.judge,
        judge_model=judgement.judge_model,
        turn=judgement.turn,
        repeat=judgement.repeat,
        shown=judgement.answers,
        candidate=judgement.candidate,
        about={} if opened.builder is None else opened.builder.about(judgement),
        state=ending(judgement, verdict),
        seat=opened.seat(judgement),
        value=verdict.value,
        label=verdict.label,
        reason=_reason(judgement, verdict),
        share=share,
        outcome=outcome_of(share),
        replies=tuple(_reply(reply, opened.thinking, verdict) for reply in judgement.replies),
        prompt_state=None if prompts is None else prompts.state,
        prompt_told=opened.no_prompts if prompts is None else prompts.told,
        prompts=() if prompts is None else prompts.requests,
    )


def _cheap_first(opened: OpenTask, judged: Iterable[Judgement]) -> list[Judgement]:
    return sorted(judged, key=lambda judgement: opened.seat(judgement) == "dear")


def _reason(judgement: Judgement, verdict: Verdict) -> str | None:
    failure = judgement.reply.error if judgement.reply is not None else None
    return failure or verdict.error


def _missing(case: Case) -> SampleJudgement:
    return SampleJudgement(
        case_id=case.id,
        judge=case.judge,
        judge_model="",
        turn=case.turn,
        repeat=0,
        shown=tuple(answer.model for answer in case.answers),
        candidate=case.candidate,
        state="missing",
        reason=NOT_ASKED,
    )


NOT_ASKED = "no verdict is in the run folder: the judge was not asked yet, or the run ended before its reply came"


# -- lists of items


def lines(opened: OpenTask, names: Sequence[str], measure: Measure | None) -> list[Line]:
    """Describe each of some items in one line."""
    held = opened.held(names, lean=True)
    return [
        Line(
            example_id=name,
            prompt=question(opened.examples[name]),
            value=None if measure is None else measure.values.get(name),
            answer=_last_output(opened.generations.get(name)),
            verdicts=_in_short(opened, opened.examples[name], held[name]),
        )
        for name in names
    ]


def question(example: Example) -> str:
    """What the item asks, without the worked examples that may stand before it."""
    asked = example.meta.get("question")
    return asked if isinstance(asked, str) else example.instruction


def _last_output(generation: Generation | None) -> str:
    if generation is None:
        return "(no answer)"
    return f"({generation.error})" if generation.error else generation.outputs[-1] if generation.outputs else ""


def _in_short(opened: OpenTask, example: Example, held: Sequence[Judgement]) -> str:
    words = []
    for judgement in _cheap_first(opened, held):
        if judgement.judge_model == VERIFIED_BY and judgement.verdict.value is None:
            words.append("unread")
        elif judgement.judge_model == VERIFIED_BY:
            words += [
                "?" if ruling.held is None else "passed" if ruling.held else "failed"
                for ruling in opened.rulings(example, judgement)
            ]
        else:
            outcome = outcome_of(share_of(judgement, judgement.verdict.value))
            value = judgement.verdict.value
            said = outcome or ("unread" if value is None else f"{value:g}")
            words.append(f"{opened.seat(judgement)} {said}".lstrip())
    return ", ".join(f"{count} × {word}" if count > 1 else word for word, count in Counter(words).items())


def unread(opened: OpenTask, among: Sequence[str]) -> list[Unread]:
    """List what should have led to a verdict among some items and did not, with the reason, item by item."""
    found: dict[str, list[Unread]] = {name: [] for name in among}
    there: dict[str, Counter[str]] = {name: Counter() for name in among}
    kinds = set()
    for judgement in opened.judgements(among):
        there[judgement.example_id][judgement.case_id] += 1
        kinds.add(_kind(judgement.judge, judgement.answers))
        if (one := _unread(opened, judgement)) is not None:
            found[judgement.example_id].append(one)
    for name in among:
        generation = opened.generations.get(name)
        if (generation is None and not there[name]) or (generation is not None and generation.error):
            why = "there is no answer in the run folder" if generation is None else str(generation.error)
            found[name].append(Unread(example_id=name, state="no answer", reason=why))
        for case in opened.missing(name, there[name]):
            # An imported file need not hold all that its benchmark asks for.
            if not opened.imported or _kind(case.judge, (answer.model for answer in case.answers)) in kinds:
                blank = Unread(example_id=name, state="missing", reason=NOT_ASKED, judge=case.judge, turn=case.turn)
                found[name].append(blank)
    return [one for own in found.values() for one in own]


def _kind(judge: str, models: Iterable[str]) -> tuple[str, frozenset[str]]:
    return judge, frozenset(models)


def _unread(opened: OpenTask, judgement: Judgement) -> Unread | None:
    verdict = opened.verdict(judgement)
    reason = _reason(judgement, verdict) or "no reason is given"
    if judgement.judge_model == VERIFIED_BY:
        how = checked_as(judgement)
        if how == "verified":
            return None
        state = "unread" if how == "unread" else "not graded"
        reason = verdict.error or f"the verifier ended with {verdict.label}"
    else:
        state = ending(judgement, verdict)
    if state not in UNREAD:
        return None
    return Unread(
        example_id=judgement.example_id,
        state=state,
        reason=reason,
        judge=judgement.judge,
        judge_model=judgement.judge_model,
        turn=judgement.turn,
        repeat=judgement.repeat,
        said=(judgement.reply.text or "") if judgement.reply else "",
    )


def flips(opened: OpenTask, among: Collection[str]) -> list[SwappedGame]:
    """The verdicts that depend on the order in which the answers were shown."""
    return [swapped for swapped in swapped_games(opened.judgements(among), opened.verdict) if swapped.changes]


# -- a run at a glance


def summary(opened: OpenTask, among: Sequence[str], *, metric: str | None, each: int) -> TaskSummary:
    """Describe a task's items at a glance, with the ``each`` worst and best."""
    measure = opened.measure(metric)
    swapped = swapped_games(opened.judgements(among), opened.verdict)
    worst = [] if measure is None else extremes(measure, among, each, best=False)
    best = [] if measure is None else extremes(measure, [name for name in among if name not in worst], each, best=True)
    return TaskSummary(
        task=opened.label,
        examples=len(among),
        group=opened.named,
        starter=opened.task.task_manifest.starter,
        spreads=tuple(spread(found, among) for found in opened.measures.values()),
        ranked_by=None if measure is None else measure.name,
        unit="" if measure is None else measure.unit,
        cases=opened.task.task_manifest.counts if opened.chosen is None else {},
        games=len(swapped),
        flips=sum(one.changes for one in swapped),
        worst=tuple(lines(opened, worst, measure)),
        best=tuple(lines(opened, best, measure)),
        scores=tuple(opened.task.overall.values()),
        so_far=opened.so_far,
        cascade=_of_cascade(opened, among),
    )


def _of_cascade(opened: OpenTask, among: Sequence[str]) -> str:
    cascade = opened.task.task_manifest.cascade
    if cascade is None:
        return ""
    by_dear = {one.example_id for one in opened.judgements(among) if opened.seat(one) == "dear"}
    return (
        f"a cascade: items' values are by {opened.cheap}, the cheap judge of all; {cascade.dear}, the dear one, judged "
        f"{len(by_dear)} of {len(among)} items"
    )


# -- what a user asks to see


EVERY_GROUP = Selection("--group")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which items to show, and how."""

    items: tuple[str, ...] = ()
    worst: int = 0
    best: int = 0
    metric: str | None = None
    unread: bool = False
    flips: bool = False
    groups: Selection = EVERY_GROUP

    @property
    def in_full(self) -> bool:
        """Whether items are shown in full."""
        return bool(self.items or self.worst or self.best)

    @property
    def summary(self) -> bool:
        """Whether the run is shown at a glance."""
        return not (self.in_full or self.unread or self.flips or self.groups)


def look_at(run: Run, wanted: Wanted, finder: SourceFinder, task: str | None = None) -> Shown:
    """Pick the items that a user asked for, of one task or of all.

    Raises :class:`UsageError` if there is no such task, item or metric, or if the run's files cannot be used.
    """
    with usable(str(run.path)):
        return _looked_at(run, wanted, finder, task)


def _looked_at(run: Run, wanted: Wanted, finder: SourceFinder, task: str | None) -> Shown:
    require_held([run], task)
    chosen = [found for found in run.tasks.values() if is_among(task, found.names)]
    # Lists need no official file.
    needed = finder if wanted.in_full or wanted.unread else None
    wanted.groups.require_tasks([name for found in chosen for name in found.names])
    if wanted.groups:
        chosen = [found for found in chosen if wanted.groups.of_task(found.task.name, found.task_manifest.label)]
    opened = [OpenTask(run, found, needed) for found in chosen]
    for one in opened if wanted.groups else ():
        if own := wanted.groups.of_task(one.task.task.name, one.label):
            one.choose(own)
    _require_items(run, wanted.items, opened)
    if wanted.metric is not None and len(opened) > 1:
        opened = [one for one in opened if wanted.metric in one.measures] or opened
    each = 3 if len(opened) == 1 else 1
    shown = [_shown(one, wanted, each) for one in opened if not wanted.items or any(map(one.find, wanted.items))]
    sessions = run.manifest.sessions if any(one.so_far for one in opened) else ()
    return Shown(
        run=str(run.path),
        model=run.manifest.shown_name,
        status=run.status,
        tasks=tuple(shown),
        at_work=run.folder.at_work,
        started_by=tuple(sessions[-1].argv) if sessions else (),
    )


def _require_items(run: Run, wanted: Sequence[str], opened: Sequence[OpenTask]) -> None:
    for key in wanted:
        if not any(one.find(key) for one in opened):
            known = [name for one in opened for name in one.examples]
            near = get_close_matches(key, known, n=3, cutoff=0.5) or known[:3]
            raise UsageError(
                f"--item {key!r:.80}: no item of {', '.join(one.label for one in opened)} in {run.path} has that id. "
                f"Ids look like {', '.join(f'{name:.40}' for name in near)}; "
                f"`judgebench show {opened[0].task.named} --worst 5` lists some with their ids"
            )


def _shown(opened: OpenTask, wanted: Wanted, each: int) -> ShownTask:
    among = opened.among
    measure = opened.measure(wanted.metric)
    named = {name: "" for key in wanted.items for name in opened.find(key)}
    chosen = named if measure is None else {**named, **_by_value(measure, among, wanted), **named}
    if (wanted.worst or wanted.best) and (measure is None or not _by_value(measure, among, wanted)):
        why = ", because the run has not been scored" if opened.so_far else ""
        way_on = "" if opened.so_far else "; --unread says what is missing"
        opened.notes.append(f"no item has a value{why}, so none is worst or best{way_on}")
    listed = wanted.groups and not (wanted.in_full or wanted.unread or wanted.flips)
    return ShownTask(
        task=opened.label,
        summary=summary(opened, among, metric=wanted.metric, each=each) if wanted.summary or listed else None,
        lines=tuple(lines(opened, among, measure)) if listed else (),
        samples=tuple(samples(opened, list(chosen))),
        chosen=tuple(chosen.values()),
        unread=tuple(unread(opened, among)) if wanted.unread else None,
        flips=tuple(flips(opened, among)) if wanted.flips else None,
        notes=tuple(opened.notes),
    )


def _by_value(measure: Measure, among: Collection[str], wanted: Wanted) -> dict[str, str]:
    """The worst and the best items, each with its place in words."""
    found: dict[str, str] = {}
    for count, best in ((wanted.worst, False), (wanted.best, True)):
        end = ("best" if best else "worst") if measure.directed else "greatest" if best else "least"
        names = extremes(measure, among, count, best=best)
        for place, name in enumerate(names, 1):
            found.setdefault(name, f"{end} by {measure.name}, {place} of {len(names)}")
    return found
