"""The contract of a task, checked on its starter set without official files, models or a network.

Run it on your own benchmark before anybody waits for a run. Each check is a sentence that holds or does not.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import msgspec

from judgebench import tasks
from judgebench.codec import encode
from judgebench.errors import JudgebenchError, UsageError
from judgebench.grading.pool import GradingPool
from judgebench.judges import Judge, first_request
from judgebench.records import Case, Completion, Example, Generation, Judgement, Sampling, Score, Verdict
from judgebench.task import Task, TaskData
from judgebench.task.answers import text_answers
from judgebench.task.metric import UNITS
from judgebench.task.selection import choose, parse_selection

ANSWERS = ("An answer of two sentences. It is nobody's own.", "")
"""Stand-ins for a model's answers: something, and nothing."""
BASELINE_ANSWER = "Another model's answer."
UNREADABLE = (Completion(), Completion(text=""), Completion(text="\x00]]{[[", top_logprobs=((),)))
"""Replies that hold no verdict."""
OPTION_VALUES = ("nan", "inf", "-1", "0", "1", "2.5", "true", "off")
"""Texts that some options accept."""


@dataclass(frozen=True)
class Checked:
    """One sentence about a task, and the problem if it does not hold."""

    what: str
    problem: str | None


class CheckFailed(Exception):
    """A check does not hold; the message says why."""


@dataclass(frozen=True)
class Judged:
    """Answers to the starter set, with a verdict on each case and each check."""

    generations: dict[str, Generation]
    judgements: tuple[Judgement, ...]


@dataclass(frozen=True)
class StarterTask:
    """A task with its starter set, and answers to it."""

    spec: tasks.TaskSpec

    @cached_property
    def origin(self) -> tasks.Origin:
        """Where the task comes from."""
        return tasks.find(self.spec.name)

    @cached_property
    def task(self) -> Task:
        """The task, asked for its starter set."""
        return self.origin.task(starter=True)

    @cached_property
    def data(self) -> TaskData:
        """The starter set; answers stand in for those of ``--baseline`` where a benchmark brings none."""
        data = self.task.load(_no_file)
        if not self.task.needs_baseline or data.baselines:
            return data
        texts = {example.id: BASELINE_ANSWER for example in data.examples}
        return dataclasses.replace(data, baselines={"baseline": text_answers("baseline", texts)})

    @property
    def asks(self) -> bool:
        """Whether there is anything to ask; not if the items come with scores that were made elsewhere."""
        return self.data.lacks is None

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """The cases of one answer to each example."""
        return tuple(case for generation in self.answers(ANSWERS[0]).values() for case in self.cases_of(generation))

    def cases_of(self, generation: Generation) -> tuple[Case, ...]:
        """The cases of an answer."""
        return self.task.cases(self.data, generation)

    def answers(self, text: str) -> dict[str, Generation]:
        """One text as the answer to every turn of every example."""
        return {
            example.id: Generation(
                example_id=example.id,
                model="candidate",
                outputs=tuple(text for _ in (0, *example.followups)),
                likelihoods=self._likelihoods(example),
            )
            for example in self.data.examples
        }

    def _likelihoods(self, example: Example) -> tuple[float, ...] | msgspec.UnsetType:
        if not self.task.reads_likelihoods:
            return msgspec.UNSET
        return tuple(-float(place) for place, _ in enumerate(example.meta["options"], 1))

    @cached_property
    def something(self) -> Judged:
        """The same text as all answers, judged."""
        return self._judged(ANSWERS[0])

    @cached_property
    def nothing(self) -> Judged:
        """Empty answers, judged."""
        return self._judged(ANSWERS[1])

    def _judged(self, text: str) -> Judged:
        """Verifiers give real verdicts; judges' verdicts are made up."""
        generations = self.answers(text)
        made_up = [_judgement(case) for generation in generations.values() for case in self.cases_of(generation)]
        return Judged(generations, (*made_up, *self._verified(generations)))

    def _verified(self, generations: Mapping[str, Generation]) -> Iterator[Judgement]:
        checks = [check for generation in generations.values() for check in self.task.checks(self.data, generation)]
        _require(len({check.id for check in checks}) == len(checks), "two checks have the same id")
        unknown = {check.verifier for check in checks} - set(self.data.verifiers)
        _require(not unknown, f"checks name unknown verifiers: {', '.join(sorted(unknown))}")
        with GradingPool() as pool:
            verdicts = pool.verify(self.data.verifiers, checks)
        for check, verdict in zip(checks, verdicts, strict=True):
            # A rule may find nothing in a stand-in for an answer; what runs it has to say something.
            runs = self.data.verifiers[check.verifier].runs_programs
            _require(verdict.value is not None or not runs, f"{check.id}: {verdict.error}")
            _require(verdict.label != "error", f"{check.id}: {verdict.details.get('error')}")
            yield Judgement(
                case_id=check.id,
                example_id=check.example_id,
                judge=check.verifier,
                judge_model="judgebench",
                answers=("candidate",),
                verdict=verdict,
            )


def _judgement(case: Case) -> Judgement:
    return Judgement(
        case_id=case.id,
        example_id=case.example.id,
        judge=case.judge,
        judge_model="judge",
        answers=tuple(answer.model for answer in case.answers),
        candidate=case.candidate,
        turn=case.turn,
        verdict=case.verdict or Verdict(value=0.7, label="first"),
        replies=() if case.verdict else (Completion(text="a reply"),),
    )


def check_task(name: str) -> list[Checked]:
    """Check a task by its name, its folder or its ``task.py``. A failure leaves out the checks that depend on it.

    Raises :class:`UsageError` if no task of that name can be loaded at all.
    """
    path = Path(name)
    subject = StarterTask(tasks.TaskSpec(str(tasks.task_file_in(path) or name)))
    _ = subject.task
    checked = []
    for what, check in _checks_of(subject).items():
        checked.append(Checked(what, _problem_of(check, subject)))
        if checked[-1].problem is not None and what in (LOADS, ITEMS_LOAD, JUDGED, JUDGED_EMPTY):
            break
    return checked


def understood(name: str) -> str | None:
    """What a benchmark that is the user's TOML file was understood to say, in a line; ``None`` for any other, and where
    its prompts have to be fetched.

    >>> understood("gsm8k") is None
    True
    """
    if Path(name).suffix != ".toml" or not Path(name).is_file():
        return None
    try:
        subject = _WholeTask(tasks.TaskSpec(name))
        data, calls = subject.data, [case for case in subject.cases if case.verdict is None]
        baselines = subject.task.load(_no_file).baselines
    except (CheckFailed, JudgebenchError):
        return None
    parts = [f"{len(data.examples):,} prompts"] if data.examples else ["the items of a file of scores"]
    if baselines or subject.task.needs_baseline:
        parts.append(f"baseline {', '.join(baselines) or 'by --baseline'}")
    parts += [f"verdict read as {_reading(judge)}" for judge in data.judges.values()]
    parts += [f"{len(calls):,} judge calls"] if data.judges else []
    parts += ["answers verified without a judge"] if data.verifiers and not data.judges else []
    return ", ".join(parts)


class _WholeTask(StarterTask):
    """A task with all its prompts."""

    @cached_property
    def task(self) -> Task:
        return self.origin.task(starter=False)


def _reading(judge: Judge) -> str:
    found = judge.fingerprint.get("reading")
    return str(found or "a judge's own")


def _problem_of(check: Callable[[StarterTask], object], subject: StarterTask) -> str | None:
    try:
        check(subject)
    except (CheckFailed, JudgebenchError) as failure:
        return str(failure)
    except Exception as error:  # noqa: BLE001 - a task is somebody's code
        return f"{type(error).__name__}: {error}"
    return None


def _no_file(name: str) -> bytes:
    raise CheckFailed(f"it fetches the official file {name!r}")


def _require(holds: object, reason: str) -> None:
    if not holds:
        raise CheckFailed(reason)


# -- the folder and what the task says of itself


def _readme(subject: StarterTask) -> None:
    path = subject.origin.folder / "README.md"
    _require(path.is_file(), f"{path} is missing")
    _require(path.read_text("utf-8").startswith("# "), "its first line is not a heading")


def _sources(subject: StarterTask) -> None:
    for name, source in subject.origin.sources.items():
        pinned = source.sha256 == "unpinned" or len(bytes.fromhex(source.sha256)) == 32
        _require(pinned, f"the sha256 of {name!r} is neither 64 hexadecimal digits nor 'unpinned'")
        _require(source.licence, f"{name!r} has no licence")


def _about(subject: StarterTask) -> None:
    task = subject.task
    _require(task.about.endswith("."), "`about` is not a sentence")
    _require(task.headline, "tables show none of its `metrics`")
    _require(isinstance(task.sampling, Sampling), "`sampling` is not a Sampling")
    _require(task.official_examples > 0 or not subject.asks, "`official_examples` is not above 0")
    _require(task.starter, "it was asked for its starter set, but `starter` is false")


def _label(subject: StarterTask) -> None:
    task = subject.task
    (spec,) = tasks.parse_specs(task.label)
    again = subject.origin.task(spec.version, spec.options, starter=True)
    _require(again.label == task.label, f"{task.label} names {again.label}")


def _refusals(subject: StarterTask) -> None:
    known = subject.task.option_help
    message = _refusal(subject, "no_such_option", "1")
    silent = [name for name in (subject.task.name, *known) if name not in message]
    _require(not silent, f"the refusal of an unknown option does not name {', '.join(silent)}")
    for option in known:
        _refusal(subject, option, "\x00no value")


def _refusal(subject: StarterTask, option: str, value: str) -> str:
    """The message that refuses an option."""
    try:
        subject.origin.task(None, {option: value})
    except UsageError as error:
        _require(option in str(error), f"the refusal of the option {option} does not name it")
        return str(error)
    raise CheckFailed(f"it accepts the option {option}={value!r}")


def _options_survive(subject: StarterTask) -> None:
    for option in subject.task.option_help:
        for text in OPTION_VALUES:
            try:
                options = subject.origin.task(None, {option: text}).options
            except UsageError:
                continue
            stored = {key: str(value) for key, value in msgspec.json.decode(encode(dict(options))).items()}
            again = subject.origin.task(None, stored).options
            _require(again == options, f"{option}={text} comes back from a manifest as {dict(again)}")


# -- the starter set


def _same_again(subject: StarterTask) -> None:
    data, again = subject.data, StarterTask(subject.spec).data
    _require(again.examples == data.examples, "the examples differ")
    _require(again.baselines == data.baselines, "the baselines differ")
    prints = [
        [{name: rule.fingerprint for name, rule in rules.items()} for rules in (loaded.judges, loaded.verifiers)]
        for loaded in (data, again)
    ]
    _require(prints[0] == prints[1], "fingerprints of judges or verifiers differ")


def _examples(subject: StarterTask) -> None:
    ids = [example.id for example in subject.data.examples]
    _require(ids or not subject.asks, "there is none")
    double = sorted({example_id for example_id in ids if ids.count(example_id) > 1})
    _require(not double, f"ids occur twice: {', '.join(double[:5])}")
    odd = [example_id for example_id in ids if not example_id or any(c.isspace() for c in example_id)]
    _require(not odd, f"ids are empty or contain white space: {odd[:5]}")


def _conversations(subject: StarterTask) -> None:
    for example in subject.data.examples:
        asked = example.messages and example.messages[-1].role == "user" and example.instruction.strip()
        _require(asked, f"{example.id} does not end with a user's message")


def _baselines(subject: StarterTask) -> None:
    ids = {example.id for example in subject.data.examples}
    for model, generations in subject.data.baselines.items():
        _require(ids <= set(generations), f"{model} lacks {', '.join(sorted(ids - set(generations))[:5])}")
        _require(ids >= set(generations), f"{model} answers {', '.join(sorted(set(generations) - ids)[:5])}, too")
        other = [one.example_id for one in generations.values() if one.model != model or one.error]
        _require(not other, f"answers of {model} name another model or an error: {', '.join(other[:5])}")


# -- judges


def _cases(subject: StarterTask) -> None:
    cases, judges = subject.cases, subject.data.judges
    _require(len({case.id for case in cases}) == len(cases), "two cases have the same id")
    _require(cases == StarterTask(subject.spec).cases, "the same answers give different cases the second time")
    _require(bool(cases) == bool(judges), "there are judges without cases")
    for case in cases:
        _require(case.judge in judges, f"{case.id} names the unknown judge {case.judge!r}")
        _require(
            judges[case.judge].name == case.judge, f"the judge {case.judge!r} is called {judges[case.judge].name!r}"
        )
        _require(case.answers[case.candidate].model == "candidate", f"{case.id} does not show the candidate's answer")
        _require(case.example in subject.data.examples, f"{case.id} is about an unknown example")


def _judges(subject: StarterTask) -> None:
    for case in subject.cases:
        for judge in (subject.data.judges[case.judge], subject.data.judges[case.judge].constrained()):
            request = first_request(judge, case)
            _require(request == judge.ask(case), f"{case.id} is not asked in the same words twice")
            _require(request.messages[-1].role == "user", f"the prompt of {case.id} does not end with a user's message")
            for reply in UNREADABLE:
                verdict = judge.read(case, (reply,))
                _require(verdict.value is None and verdict.error, f"{case.id}: {reply.text!r} is read as a verdict")
            encode(judge.fingerprint)


def _ties(subject: StarterTask) -> None:
    for generations in subject.data.baselines.values():
        for generation in generations.values():
            for case in subject.cases_of(msgspec.structs.replace(generation, model="candidate")):
                settled = case.verdict is None or case.verdict.value == 0.5
                _require(settled, f"{case.id}: an answer that equals the baseline's is no tie")


def _is_judged(subject: StarterTask, judged: Judged) -> None:
    _require(judged.judgements or not subject.asks, "the answers lead to no case for a judge and to no check")


# -- scores


def _pure(subject: StarterTask) -> None:
    task, data = subject.task, subject.data
    judged = _some_unread(subject)
    before = encode([judged.generations, judged.judgements, data.examples, data.baselines])
    rows = task.score(data, judged.generations, judged.judgements)
    scores = task.scores(data, rows)
    again = task.score(data, judged.generations, iter(judged.judgements))
    _require(encode(again) == encode(rows), "the same verdicts give different example scores the second time")
    _require(
        encode(task.scores(data, again)) == encode(scores), "the same verdicts give different scores the second time"
    )
    after = encode([judged.generations, judged.judgements, data.examples, data.baselines])
    _require(after == before, "scoring changes the records it is given")


def _some_unread(subject: StarterTask) -> Judged:
    """Every fifth verdict of a judge could not be read."""
    unread = Verdict(value=None, error="no verdict in the reply")
    judgements = (
        msgspec.structs.replace(judgement, verdict=unread) if judgement.replies and number % 5 == 0 else judgement
        for number, judgement in enumerate(subject.something.judgements)
    )
    return Judged(subject.something.generations, tuple(judgements))


def _one_answer(subject: StarterTask) -> Judged:
    first = {example.id for example in subject.data.examples[:1]}
    judgements = (judgement for judgement in subject.something.judgements if judgement.example_id in first)
    return Judged({name: subject.something.generations[name] for name in first}, tuple(judgements))


def _all_failed(subject: StarterTask) -> Judged:
    answers = subject.answers(ANSWERS[0])
    return Judged({key: msgspec.structs.replace(one, outputs=(), error="timeout") for key, one in answers.items()}, ())


SITUATIONS: Mapping[str, Callable[[StarterTask], Judged]] = {
    "answers": lambda subject: subject.something,
    "empty answers": lambda subject: subject.nothing,
    "answers with unread verdicts": _some_unread,
    "answers without verdicts": lambda subject: Judged(subject.answers(ANSWERS[0]), ()),
    "one answer": _one_answer,
    "failed answers": _all_failed,
    "no answers": lambda subject: Judged({}, ()),
}
"""Sets of answers and verdicts that must give sound scores."""


def _scores(situation: Callable[[StarterTask], Judged], subject: StarterTask) -> None:
    task, data, judged = subject.task, subject.data, situation(subject)
    scores = task.scores(data, task.score(data, judged.generations, judged.judgements))
    lacking = set(task.headline) - {score.metric for score in scores}
    _require(not lacking, f"metrics have no score: {', '.join(sorted(lacking))}")
    keys = [(score.metric, score.group) for score in scores]
    _require(len(set(keys)) == len(keys), "a metric occurs twice in one group")
    for score in scores:
        try:
            _is_sound(score, task)
        except CheckFailed as failure:
            raise CheckFailed(f"{score.metric} ({score.group or 'all'}): {failure}") from failure


def _is_sound(score: Score, task: Task) -> None:
    _require(score.task == task.name, f"it is filed under {score.task!r}")
    _require(score.unit in UNITS, f"the unit {score.unit!r} is not one of {', '.join(UNITS)}")
    listed = task.metric(score.metric, "undefined").unit
    _require(listed == score.unit, f"its unit is {score.unit}, and `metrics` says {listed}")
    fields = msgspec.to_builtins(score)
    try:
        json.dumps(fields, default=str, allow_nan=False)
    except ValueError as error:
        raise CheckFailed(f"a number is not finite: {json.dumps(fields, default=str)[:300]}") from error
    whole = (score.low is None) == (score.high is None) == (score.level is None)
    _require(whole, "its interval lacks an end or its level")
    ordered = score.low is None or score.high is None or score.low <= score.high
    _require(ordered, "its interval ends before it begins")
    _require(score.value is not None or score.reason, "it has neither a value nor a reason")
    _require(score.value is None or score.method, "it does not say its method")
    in_range = score.value is None or score.unit != "percent" or -1e-9 <= score.value <= 100 + 1e-9
    _require(in_range, f"{score.value} percent is not a share")


def _groups(situation: Callable[[StarterTask], Judged], subject: StarterTask) -> None:
    """Score the examples of each group alone. The group's scores must be the same as among all examples."""
    task, data, judged = subject.task, subject.data, situation(subject)
    rows = task.score(data, judged.generations, judged.judgements)
    scores = [score for score in task.scores(data, rows) if score.group is not None]
    groups = list(dict.fromkeys(name for example in data.examples for name in task.groups(example)))
    for group in groups:
        chosen = choose(parse_selection([_quoted(group)], "group"), task, data.examples)
        examples = tuple(example for example in data.examples if chosen.keeps(example))
        _require(examples, f"{group} is the group of no example")
        part = dataclasses.replace(data, examples=examples)
        own = [row for row in rows if row.example_id in part.by_id]
        alone = {(score.metric, score.group): score for score in task.scores(part, own)}
        for score in (score for score in scores if score.group == group):
            found = alone.get((score.metric, group)) or alone[score.metric, None]
            told = [(one.value, one.n, one.n_missing) for one in (score, found)]
            _require(told[0] == told[1], f"{score.metric} of {group} is {told[0]}; of its examples alone {told[1]}")
    keys = {group.partition("=")[0] for group in groups}
    named = {score.group for score in scores if score.group and score.group.partition("=")[0] in keys}
    odd = sorted(named - set(groups))
    _require(not odd, f"scores have groups that are no example's: {', '.join(odd)}")


def _quoted(group: str) -> str:
    key, _, value = group.partition("=")
    return f"{key}='{value}'"


def _all_items(subject: StarterTask) -> None:
    """Load every item of a task whose files lie beside it; of official files nobody downloads any to check."""
    if not subject.origin.sources:
        subject.origin.task().load(_no_file)


SOURCES, LOADS, JUDGED, JUDGED_EMPTY = (
    "sources.toml pins every official file with its licence",
    "the starter set loads without any official file",
    "answers are judged",
    "empty answers are judged",
)
CHECKS: Mapping[str, Callable[[StarterTask], object]] = {
    "README.md begins with a heading": _readme,
    SOURCES: _sources,
    "it says what it measures, and with which metrics": _about,
    "its label names it again": _label,
    "unknown options and values are refused by name": _refusals,
    "options come back from a manifest as they were": _options_survive,
    LOADS: lambda subject: subject.data,
    "loading again gives the same": _same_again,
    "it has examples, whose ids are plain and unique": _examples,
    "every example ends with a user's message": _conversations,
    "every baseline answers every example": _baselines,
    "every case has a judge and shows the answer": _cases,
    "judges ask the same twice, and read nothing into replies without a verdict": _judges,
    "an answer that equals a baseline's is a tie, unless a judge is asked": _ties,
    JUDGED: lambda subject: _is_judged(subject, subject.something),
    JUDGED_EMPTY: lambda subject: _is_judged(subject, subject.nothing),
    "scoring changes nothing, and gives the same again": _pure,
    "the scores of a group are those of its examples": partial(_groups, lambda subject: subject.something),
    **{f"the scores of {name} say what they are": partial(_scores, made) for name, made in SITUATIONS.items()},
}
"""The contract: each sentence with the function that raises if it does not hold."""
ITEMS_LOAD = "its first items load"
IN_TOML = {SOURCES: "every file that it fetches has a sha256 and a licence", LOADS: ITEMS_LOAD}
"""How the sentences about a folder's files are put of a TOML file, which has neither a starter set nor a README."""


def _checks_of(subject: StarterTask) -> dict[str, Callable[[StarterTask], object]]:
    if not subject.origin.is_toml:
        return dict(CHECKS)
    own = {IN_TOML.get(what, what): check for what, check in CHECKS.items() if check is not _readme}
    return {**own, "all of its items load": _all_items}
