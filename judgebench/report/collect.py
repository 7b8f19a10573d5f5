"""Reads runs for a report: their scores, how they differ, and every sample with what each run has of it."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from judgebench.analysis.comparison import compare, official_files, only_unlike, sums_of
from judgebench.analysis.comparison_records import Adjust, Comparison
from judgebench.analysis.item_records import Sample
from judgebench.analysis.item_values import Measure
from judgebench.analysis.samples import OpenTask, samples
from judgebench.data.sources import SourceFinder
from judgebench.display import printable
from judgebench.errors import JudgebenchError, ModelError, UsageError
from judgebench.records import Example
from judgebench.report.address import address
from judgebench.report.lengths import tenths
from judgebench.run.folder import usable
from judgebench.run.integrity import is_unfinished, outputs_found
from judgebench.run.reading import Run, TaskRun, Unreadable, require_held
from judgebench.run.stopping import random_order
from judgebench.tasks import is_among

CHUNK = 200
"""How many samples of a run are in memory at once."""
TEXTS = {
    "thinking": "what models and judges thought",
    "judge": "the judges' words and what they were sent",
    "answers": "the answers, and what judges were sent",
}
"""Texts that a page can leave out, in words."""
LEVEL = 5
"""How hard samples are compressed, from 1 to 9: 1 takes half of the time and a sixth more room."""
NOT_COMPARED = "the runs are not compared"
DIGITS = 5
"""Decimal places of samples' values in the page."""
PROMPT_SHOWN = 140
"""Characters of a prompt that lists show."""


@dataclass(frozen=True)
class SampleList:
    """Where the samples behind a number are listed."""

    href: str
    n: int
    """How many there are, where the number says so; else 0."""


@dataclass(frozen=True)
class TaskReport:
    """One benchmark, in the runs that have it under one protocol."""

    label: str
    protocol_hash: str
    runs: tuple[int, ...]
    """Positions of these runs in the report."""
    opened: tuple[OpenTask, ...]
    """The same runs' items."""
    most: int | None = None
    """How many samples the page has at most; numbers are of all."""

    @property
    def first(self) -> TaskRun:
        """The task in the first of these runs."""
        return self.opened[0].task

    @cached_property
    def examples(self) -> Mapping[str, Example]:
        """The examples of any of the runs, in the order of the first that has each."""
        found: dict[str, Example] = {}
        for one in self.opened:
            for name, example in one.examples.items():
                found.setdefault(name, example)
        return found

    @cached_property
    def listed(self) -> Sequence[str]:
        """The samples that the page has: all, or first those to look at, then others at random."""
        names = list(self.examples)
        if self.most is None or self.most >= len(names):
            return names
        telling = self._telling()
        # The sort is stable: both parts stay in random order.
        chosen = set(sorted(random_order(names, 0), key=lambda name: name not in telling)[: self.most])
        return [name for name in names if name in chosen]

    def _telling(self) -> set[str]:
        """The samples whose ends differ between runs, or that lack an answer or a verdict in one of them."""
        ends = [self.outcomes(run) for run in range(len(self.runs))]
        found = {name for name in self.examples if len({end.get(name) for end in ends}) > 1}
        for opened in self.opened:
            answered = {name for name, own in opened.generations.items() if own.error is None}
            found |= set(opened.examples) - answered
            unread = (one for one in opened.judgements(opened.examples) if opened.verdict(one).value is None)
            found |= {one.example_id for one in unread}
        return found

    def lengths_of(self, run: int) -> Mapping[str, int]:
        """The characters of one of the runs' answers, where there is one."""
        own = self.opened[run].generations
        return {name: sum(map(len, own[name].outputs)) for name in self.examples if name in own and own[name].outputs}

    def tenths_of(self, run: int) -> Mapping[str, int]:
        """The tenth by length of one of the runs' answers in which each sample is."""
        sizes = self.lengths_of(run)
        return dict(zip(self.examples, tenths([sizes.get(name, 0) for name in self.examples]), strict=True))

    @cached_property
    def measure(self) -> str | None:
        """The measure by which samples are listed: the first that is about quality."""
        found = self.opened[0].measure(None)
        return None if found is None else found.name

    def measure_of(self, run: int) -> Measure | None:
        """The same measure of one of the runs, by its place among them."""
        return None if self.measure is None else self.opened[run].measures.get(self.measure)

    @cached_property
    def left_out(self) -> Sequence[Mapping[str, Set[str]]]:
        """The samples that have a value and yet no part in a metric, such as empty answers: by metric, run by run."""
        return [dict(_left_out(opened, self.measure_of(run))) for run, opened in enumerate(self.opened)]

    def is_of_quality(self, metric: str) -> bool:
        """Whether more of a metric is better; of a task whose code is not here that is not known."""
        code = self.opened[0].code
        return code is None or code.metric(metric).direction == "higher"

    def leaves_out(self, metric: str) -> bool:
        """Whether a metric is of fewer samples than have a value in one of the runs."""
        return any(metric in own for own in self.left_out)

    @cached_property
    def doubted(self) -> Sequence[Mapping[str, Set[str]]]:
        """The samples that each check of a run's integrity found, run by run."""
        return [{check: set(names) for check, names in _doubted(opened)} for opened in self.opened]

    @cached_property
    def grouped(self) -> Mapping[str, tuple[str, ...]]:
        """The groups of each sample."""
        found: dict[str, tuple[str, ...]] = {}
        for one in self.opened:
            for name, example in one.examples.items():
                if name not in found:
                    found[name] = one.groups(example)
        return found

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """How many samples each group has; numbers may have further groups, such as the turns of all samples."""
        return Counter(group for own in self.grouped.values() for group in own)

    def list_of(self, metric: str, group: str | None, n: int, **settings: str | int) -> "SampleList":
        """The list of the samples behind a number of a group, of ``n`` samples if it counts these.

        Of a metric that leaves samples out the list says which these are.
        """
        known = group if group is not None and group in self.sizes else ""
        size = self.sizes[known] if known else len(self.examples)
        return SampleList(
            address("samples", self.label, **settings, cat=known, of=metric if self.leaves_out(metric) else ""),
            n if n == size else 0,
        )

    def outcomes(self, run: int) -> Mapping[str, str]:
        """How each sample ended for one of the runs, where it ended in a win, a tie or a loss, or passed or failed."""
        return self._outcomes[run]

    @cached_property
    def _outcomes(self) -> list[Mapping[str, str]]:
        return [_outcomes_of(opened, self.measure_of(run)) for run, opened in enumerate(self.opened)]

    def samples(self, names: Sequence[str]) -> list[list[Sample | None]]:
        """Each of some samples, as each run has it."""
        parts = [_by_name(one, names) for one in self.opened]
        return [[part.get(name) for part in parts] for name in names]

    def in_chunks(self) -> Iterator[tuple[str, list[Sample | None]]]:
        """The listed samples with their names, a chunk in memory at a time."""
        names = self.listed
        for start in range(0, len(names), CHUNK):
            chunk = names[start : start + CHUNK]
            yield from zip(chunk, self.samples(chunk), strict=True)


def _by_name(opened: OpenTask, names: Sequence[str]) -> dict[str, Sample]:
    own = [name for name in names if name in opened.examples]
    return {sample.example_id: sample for sample in samples(opened, own)}


@dataclass(frozen=True)
class Report:
    """Everything that a page shows, with samples still in the run folders."""

    runs: tuple[Run, ...]
    names: tuple[str, ...]
    """What the runs are called, each its own."""
    tasks: tuple[TaskReport, ...]
    comparison: Comparison | None = None
    """With several runs that can be compared."""
    notes: tuple[str, ...] = field(default=())
    """What is not shown, and why."""
    without: frozenset[str] = frozenset()
    """Texts that the page leaves out, of :data:`TEXTS`."""
    level: int = LEVEL
    bridges: tuple[Path, ...] = ()
    """Files of bridges by which runs were predicted, besides those that come with the program."""


def collect(
    runs: Sequence[Run],
    finder: SourceFinder | None,
    *,
    task: str | None = None,
    adjust: Adjust = "holm",
    most: int | None = None,
    without: Collection[str] = (),
    level: int = LEVEL,
    unreadable: Sequence[Unreadable] = (),
    bridges: Sequence[Path] = (),
) -> Report:
    """Open the tasks of some runs, and compare the runs with the first of them; ``adjust`` as in ``compare``.

    At ``most`` so many samples of each task are in the page, ``without`` some texts of :data:`TEXTS`; it says which
    runs were ``unreadable``. ``bridges`` are files of those by which runs were predicted.

    Raises :class:`UsageError` if no run has the ``task``.
    """
    require_held(runs, task)
    grouped: dict[tuple[str, str], list[tuple[int, OpenTask]]] = {}
    for number, run in enumerate(runs):
        for own in run.tasks.values():
            if is_among(task, own.names):
                key = own.task_manifest.label, own.task_manifest.protocol_hash
                with usable(str(run.path)):
                    grouped.setdefault(key, []).append((number, OpenTask(run, own, finder)))
    if not grouped:
        raise UsageError("no run could be read, so there is nothing to report")
    tasks = tuple(
        TaskReport(label, protocol, tuple(number for number, _ in own), tuple(one for _, one in own), most)
        for (label, protocol), own in grouped.items()
    )
    notes = [f"not in this report: {one.reason}" for one in unreadable]
    notes += [note for one in tasks for opened in one.opened for note in opened.notes]
    notes += [f"left out of this page: {words}" for name, words in TEXTS.items() if name in without]
    notes += [
        f"{one.label}: this page has {len(one.listed):,} of {len(one.examples):,} samples, first those whose ends "
        f"differ between the runs or that lack an answer or a verdict, then others at random; numbers are of all"
        for one in tasks
        if len(one.listed) < len(one.examples)
    ]
    comparison = None
    if len(runs) > 1:
        try:
            comparison = compare(runs, adjust=adjust, task=task, finder=finder)
        except (UsageError, ModelError) as error:  # such as an official file that cannot be had here
            comparison = only_unlike(runs, adjust, task)
            notes.append(f"{NOT_COMPARED}: {error}")
    return Report(
        runs=tuple(runs),
        names=_names(runs),
        tasks=_labelled(tasks),
        comparison=comparison,
        notes=tuple(dict.fromkeys(note.replace(str(Path.home()), "~") for note in notes)),
        without=frozenset(without),
        level=level,
        bridges=tuple(bridges),
    )


def _names(runs: Sequence[Run]) -> tuple[str, ...]:
    """The runs' names, with their folders' where two have one name, and with a number where that is not enough."""
    names = [printable(run.manifest.shown_name, 200) for run in runs]
    longer = [
        f"{name} ({printable(run.path.name, 100)})" if names.count(name) > 1 else name
        for name, run in zip(names, runs, strict=True)
    ]
    return tuple(f"{name} [{number + 1}]" if longer.count(name) > 1 else name for number, name in enumerate(longer))


def _labelled(tasks: Sequence[TaskReport]) -> tuple[TaskReport, ...]:
    """The tasks with labels of their own: those of several protocols say which."""
    labels = [task.label for task in tasks]
    return tuple(
        replace(task, label=f"{task.label} ({task.protocol_hash[7:15]})") if labels.count(task.label) > 1 else task
        for task in tasks
    )


def _left_out(opened: OpenTask, measure: Measure | None) -> Iterator[tuple[str, Set[str]]]:
    known = set() if measure is None else {name for name, value in measure.values.items() if value is not None}
    scores = [one for one in opened.task.scores if one.group is None and one.value is not None and one.n < len(known)]
    if not scores or opened.code is None:
        return
    try:
        rows = [row for row in opened.rows if row.value is not None]
        sums = sums_of(opened.task, list(opened.examples.values()), rows, official_files(offline=True))
    except JudgebenchError:  # such as an official file that cannot be had here
        return
    for score in scores:
        own = sums.get((score.metric, None))
        counted = None if own is None else set(own.counted.tolist())
        missing = {name for name in known if counted is not None and _item(opened, name) not in counted}
        if missing:
            yield score.metric, missing


def _item(opened: OpenTask, name: str) -> str:
    return opened.examples[name].item or name if name in opened.examples else name


def _doubted(opened: OpenTask) -> Iterator[tuple[str, list[str]]]:
    fragments = () if opened.data is None else opened.data.fragments
    labels = opened.code is not None and opened.code.answers_are_labels
    found = outputs_found(opened.generations.values(), fragments, judged=opened.judged, labels=labels)
    flagged = {one.check for one in opened.task.findings if one.flagged}
    for check, names in found.items():
        # Two answers may well be the same, most of them may not.
        if check != "constant_output" or check in flagged:
            yield check, names
    if not opened.judged:
        graded = opened.judgements(opened.examples)
        yield "unfinished_grading", [one.example_id for one in graded if is_unfinished(one)]


def _outcomes_of(opened: OpenTask, measure: Measure | None) -> dict[str, str]:
    """The ends of samples: of comparisons by what the task says is a loss and a win, else of verified answers."""
    patterns = {} if opened.code is None else opened.code.pairwise_metrics
    shares: dict[str, list[float]] = {}
    for row in opened.rows if patterns else ():
        bounds = next((own for pattern, own in patterns.items() if fnmatchcase(row.metric, pattern)), None)
        if bounds is not None and row.value is not None:
            loss, win = bounds
            shares.setdefault(row.example_id, []).append((row.value - loss) / (win - loss))
    if shares:
        return {name: end_of_shares(own) for name, own in shares.items()}
    if opened.judged or measure is None or measure.unit != "percent":
        return {}
    return {name: "passed" if value >= 100 else "failed" for name, value in measure.values.items() if value is not None}


def label_of(label: str | None, value: float) -> str:
    """What a verdict is called: by its label, or by its number."""
    return printable(label or f"{value:g}", 40)


def end_of_shares(shares: Sequence[float]) -> str:
    """How a comparison ended, by the candidate's mean share of the win."""
    mean = sum(shares) / len(shares)
    return "tie" if abs(mean - 0.5) < 1e-9 else "win" if mean > 0.5 else "loss"
