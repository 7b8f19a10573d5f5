"""Who plays: models with their answers to the same questions, and the benchmark whose judge compares two of them."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec

from judgebench.codec import canonical_hash
from judgebench.display import shortened
from judgebench.errors import JudgebenchError, SourceMissing, UsageError
from judgebench.judges.orders import seeded_switch
from judgebench.judges.own_prompts import NUMBERED_PAIR
from judgebench.kinds import pairwise
from judgebench.kinds.judging import with_judge
from judgebench.kinds.task_files import Keys, TaskFile
from judgebench.records import Case, Example, Generation, Judgement
from judgebench.run.loading import LoadedTask, source_finder, with_own_judge
from judgebench.run.reading import Run, TaskRun, require_held
from judgebench.run.selecting import count_of
from judgebench.run.settings import Settings
from judgebench.task import TaskData
from judgebench.tasks import is_among, parse_one_spec

HOUSE = "arena"
"""What our own benchmark for pairs is called."""
FEWEST = 2


@dataclass(frozen=True)
class Player:
    """A model with its answers, by question."""

    name: str
    run: str
    answers: Mapping[str, Generation]

    @property
    def digest(self) -> str:
        """Hash of the answers."""
        return canonical_hash([[key, self.answers[key].outputs] for key in sorted(self.answers)])


@dataclass(frozen=True)
class Meeting:
    """Two players and a question: what one or two games are about."""

    first: int
    second: int
    """Places in the list of players; the first one's name comes first in the alphabet."""
    question: int


@dataclass(frozen=True)
class Field:
    """The players, the questions, and who compares two answers."""

    players: tuple[Player, ...]
    """In the order of their names."""
    questions: tuple[Example, ...]
    loaded: LoadedTask
    """The benchmark whose judge is asked; its examples and baselines are not used."""
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The players' names."""
        return tuple(player.name for player in self.players)

    def met(self, first: int, second: int) -> list[int]:
        """The questions that both have answered."""
        one, other = self.players[first].answers, self.players[second].answers
        return [place for place, question in enumerate(self.questions) if question.id in one and question.id in other]

    def name_of(self, meeting: Meeting) -> str:
        """The id of a meeting, by which its judgements are found again."""
        one, other = self.names[meeting.first], self.names[meeting.second]
        return f"{self.questions[meeting.question].id} [{one} | {other}]"

    def cases(self, meeting: Meeting) -> dict[int, tuple[Case, ...]]:
        """The cases of a meeting in each order: 0 shows the first player's answer first, 1 the second's."""
        example = msgspec.structs.replace(self.questions[meeting.question], id=self.name_of(meeting))
        # Where a benchmark shows the candidate first whoever it is, chance decides who that is.
        turned = seeded_switch(example.id)
        one, other = (
            self.players[meeting.second if turned else meeting.first],
            self.players[meeting.first if turned else meeting.second],
        )
        own, against = (
            msgspec.structs.replace(
                player.answers[self.questions[meeting.question].id], example_id=example.id, model=player.name
            )
            for player in (one, other)
        )
        task = self.loaded.task
        names = task.against or (other.name,)
        data = dataclasses.replace(
            self.loaded.data, examples=(example,), baselines={name: {example.id: against} for name in names[:1]}
        )
        found: dict[int, list[Case]] = {}
        for case in task.cases(data, own):
            order = int((case.candidate == 0) == turned)
            found.setdefault(order, []).append(_named_after(case, one.name, other.name))
        return {order: tuple(cases) for order, cases in sorted(found.items())}

    @cached_property
    def orders(self) -> int:
        """Games of a meeting."""
        return max(len(self.cases(self.require_meeting())), 1)

    def require_meeting(self) -> Meeting:
        """Some meeting; raise :class:`UsageError` if there is none."""
        for first in range(len(self.players)):
            for second in range(first + 1, len(self.players)):
                for question in self.met(first, second)[:1]:
                    return Meeting(first, second, question)
        raise UsageError(
            f"no two of the models ({shortened(', '.join(self.names), 200)}) have answered the same question, so there "
            "is nothing to compare"
        )


def _named_after(case: Case, candidate: str, other: str) -> Case:
    """The case with the players' names: a benchmark may call one of them after its own baseline."""
    if len(case.answers) != 2:
        return case
    names = (candidate, other) if case.candidate == 0 else (other, candidate)
    answers = tuple(
        msgspec.structs.replace(answer, model=name) for answer, name in zip(case.answers, names, strict=True)
    )
    return msgspec.structs.replace(case, answers=answers)


@dataclass(frozen=True)
class Entry:
    """What a model enters an arena with."""

    name: str
    where: str
    """Its run folder, or what else its answers come from."""
    questions: tuple[Example, ...]
    answers: Mapping[str, Generation]


def field_of(entries: Sequence[Entry], load: Callable[[], LoadedTask], settings: Settings) -> Field:
    """The field of these entries. ``load`` gives the benchmark of the questions.

    It is judged as the benchmark compares answers, if it does; else by our own prompt for pairs.
    """
    players = tuple(sorted(map(_player, _named(entries)), key=lambda player: player.name))
    if len(players) < FEWEST:
        raise UsageError("an arena needs two models, and was given " + (players[0].name if players else "none"))
    questions = _questions(entries)
    field = Field(players, questions, _house(questions, settings))
    field.require_meeting()
    try:
        loaded = load()
    except (UsageError, SourceMissing) as error:
        if settings.own_judge is not None:
            raise
        note = f"compared by our own prompt for pairs, because the benchmark's own cannot be had: {error}"
        return dataclasses.replace(field, notes=(note,))
    compared = dataclasses.replace(field, loaded=loaded)
    try:
        found = compared.cases(compared.require_meeting())
    except (JudgebenchError, KeyError, ValueError, AttributeError):
        found = {}
    if found and all(len(case.answers) == 2 for cases in found.values() for case in cases):
        return compared
    note = f"{loaded.task.label} does not compare two answers: they are compared by our own prompt for pairs"
    return dataclasses.replace(field, notes=(note,))


def entries_of(
    runs: Sequence[Run], settings: Settings, task: str | None = None
) -> tuple[list[Entry], Callable[[], LoadedTask]]:
    """The entries of finished runs of one benchmark, and what loads it: with the user's judge in place of its own."""
    chosen = _of_one_task(runs, task)
    entries = []
    for run, own in chosen:
        questions = own.examples()
        if settings.limit is not None:
            questions = questions[: count_of(settings.limit, len(questions))]
        entries.append(Entry(run.manifest.shown_name, str(run.path), questions, own.generations()))

    def load() -> LoadedTask:
        own = chosen[0][1]
        data = own.load_data(source_finder(settings))
        return with_own_judge([LoadedTask(task=own.task, folder=own.task_folder, data=data, sources=[])], settings)[0]

    return entries, load


def verdicts_of(
    runs: Sequence[Run], task: str | None = None
) -> Iterator[tuple[Judgement, tuple[str, str], Example | None, Mapping[str, tuple[str, ...]]]]:
    """The verdicts on two answers that runs of one benchmark hold; whose answers they are, as they were shown; the
    question; and the texts of the answers, by name, as far as the runs hold them.

    Raises :class:`UsageError` if the runs were judged by different protocols: only the baseline may differ.
    """
    chosen = _of_one_task(runs, task)
    alike = {canonical_hash({**own.task_manifest.protocol, "baselines": None}) for _, own in chosen}
    if len(alike) > 1:
        raise UsageError(
            "the runs were judged by different protocols, so their verdicts are not about the same thing; leave "
            "--judged out to have their answers compared with each other"
        )
    for run, own in chosen:
        questions = {example.id: example for example in own.examples()}
        answers = {key: {run.manifest.shown_name: made.outputs} for key, made in own.generations().items()}
        for name, others in own.folder.baselines().items():
            for key, made in others.items():
                answers.setdefault(key, {})[name] = made.outputs
        for judgement in own.folder.judgements():
            if len(judgement.answers) == 2:
                names = list(judgement.answers)
                names[judgement.candidate] = run.manifest.shown_name
                key = judgement.example_id
                yield judgement, (names[0], names[1]), questions.get(key), answers.get(key, {})


def _of_one_task(runs: Sequence[Run], task: str | None) -> list[tuple[Run, TaskRun]]:
    """The runs' parts of one benchmark: the one that is named, or the only one that all have."""
    known = list(dict.fromkeys(key for run in runs for key in run.tasks))
    if task is not None:
        parse_one_spec(task)
        require_held(runs, task)
        return [(run, own) for run in runs for own in run.tasks.values() if is_among(task, own.names)]
    shared = [key for key in known if all(key in run.tasks for run in runs)]
    # A file that --tasks names is of one benchmark, as a rule, and names it.
    named = [key for key in known if any(key in own.files for run in runs for own in run.tasks.values())]
    if len(shared) != 1 and len(named) == 1:
        return _of_one_task(runs, named[0])
    if len(shared) != 1:
        what = f"{len(shared)} benchmarks in common ({', '.join(shared)})" if shared else "no benchmark in common"
        raise UsageError(
            f"the runs have {what}, and an arena is of one; name it with --task (they hold {', '.join(known)})"
        )
    return [(run, run.tasks[shared[0]]) for run in runs]


def _named(entries: Sequence[Entry]) -> Iterator[Entry]:
    seen: dict[str, str] = {}
    for entry in entries:
        if entry.name in seen:
            raise UsageError(
                f"{seen[entry.name]} and {entry.where} are both called {shortened(entry.name, 100)}; give one of them "
                f"another name with --name {entry.where}=NAME"
            )
        seen[entry.name] = entry.where
        yield entry


def _player(entry: Entry) -> Player:
    answers = {key: own for key, own in entry.answers.items() if not own.error and own.outputs}
    if not answers:
        raise UsageError(f"{entry.where} holds no answers, and verdicts alone cannot be compared")
    return Player(entry.name, entry.where, answers)


def _questions(entries: Sequence[Entry]) -> tuple[Example, ...]:
    """The questions of all entries, each once. Raises :class:`UsageError` for two of one id that differ."""
    found: dict[str, tuple[Example, str]] = {}
    for entry in entries:
        for example in entry.questions:
            before, where = found.setdefault(example.id, (example, entry.where))
            if (before.messages, before.followups) != (example.messages, example.followups):
                raise UsageError(
                    f"{where} and {entry.where} have different questions of the id {example.id[:80]!r}, so their "
                    "answers cannot be compared; take runs of the same questions"
                )
    return tuple(example for example, _ in found.values())


def _house(questions: tuple[Example, ...], settings: Settings) -> LoadedTask:
    """Our own benchmark for pairs, on these questions."""
    file = TaskFile(Path(f"{HOUSE}.toml"), "", Keys(kind="pairwise", name=HOUSE), {})
    task = pairwise.make(file, starter=False)
    data = with_judge(file, task, TaskData(examples=questions, baselines={}), NUMBERED_PAIR, pairwise.RULE)
    return with_own_judge([LoadedTask(task=task, data=data, sources=[])], settings)[0]
