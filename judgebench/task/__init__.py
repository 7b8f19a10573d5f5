"""What a benchmark is: a value that holds its pure functions. How one is found is in ``tasks.py``."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote, unquote

from judgebench.data.rows import FileRow, digits
from judgebench.errors import UsageError
from judgebench.grading.pool import Verifier
from judgebench.judges import Judge
from judgebench.records import Case, Check, Example, ExampleScore, Generation, Judgement, Sampling, Score
from judgebench.task.metric import Metric, MetricSums, metric_called

Fetch = Callable[[str], bytes]
"""Verified bytes of an official file, by its name in the task's ``sources.toml``."""

Generations = Mapping[str, Generation]
"""One model's generations by example id."""


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """What ``load`` read: everything the pure functions need."""

    examples: tuple[Example, ...]
    baselines: Mapping[str, Generations]
    """Answers to compare with, by model name."""
    judges: Mapping[str, Judge] = field(default_factory=dict)
    verifiers: Mapping[str, Verifier] = field(default_factory=dict)
    """Rules that answers are held against without asking a model, by name."""
    fragments: tuple[str, ...] = ()
    """Lines of the judge prompts that no honest answer contains."""
    extras: Any = None
    """Whatever else the task's own functions share, such as a table for a fit."""
    lacks: str | None = None
    """What could not be had, where too little is left to ask a model anything: result files can still be imported."""

    @cached_property
    def by_id(self) -> dict[str, Example]:
        """The examples by id."""
        return {example.id: example for example in self.examples}

    @cached_property
    def _by_number(self) -> dict[int, Example | None]:
        """The examples whose id is a number, by that number; ``None`` where it is that of several."""
        found: dict[int, Example | None] = {}
        for example in self.examples:
            number = digits(example.id)
            if number is not None:
                found[number] = None if number in found else example
        return found

    def find(self, key: str) -> Example | None:
        """The example of an id that a file may write as a number: ``012``, ``12`` and ``12.0`` are one, if only one of
        them is an example's.
        """
        found = self.by_id.get(key) or self.by_id.get(key.strip())
        number = digits(key) if found is None else None
        return found if number is None else self._by_number.get(number)


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Somebody else's result file, as records."""

    candidate: str
    examples: tuple[Example, ...]
    """In the order of the file, then the official ones that it lacks."""
    generations: tuple[Generation, ...]
    baselines: Mapping[str, Generations] = field(default_factory=dict)
    """Baseline answers as the file has them."""
    judgements: tuple[Judgement, ...] = ()
    stored: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """What the other program found, by metric and example: only compared with what is found here."""
    reported: tuple[Score, ...] = ()
    """Numbers of a file that holds no answers: they are kept as they are."""
    reported_by: str | None = None
    """The program that reports them, with its version."""
    unknown: tuple[str, ...] = ()
    """What the file does not say about the protocol that made it."""
    notes: tuple[str, ...] = ()


def no_sums(examples: Sequence[Example], rows: Sequence[ExampleScore], fetch: Fetch) -> MetricSums:
    """The sums of a task whose metrics are all plain means over examples."""
    return {}


@dataclass(frozen=True, kw_only=True)
class ScoredRun:
    """One task of a scored run, as an exporter is given it."""

    candidate: str
    data: TaskData
    """With the run's own examples and baselines."""
    generations: Generations
    judgements: Sequence[Judgement]
    example_scores: Sequence[ExampleScore]
    scores: Sequence[Score]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A benchmark with its version and options settled. All functions are pure; only ``load`` reads files."""

    name: str
    version: str
    options: Mapping[str, Any]
    """The options that differ from the task's defaults."""
    metrics: tuple[Metric, ...]
    """Every metric, in the order in which a table shows them; the first ranks."""
    judge_models: Mapping[str, str] = field(default_factory=dict)
    """Model spec of the official judge model, by the name of the judge (prompt and rule) that it plays; empty if
    answers are verified, not judged."""
    other_judges: Mapping[str, str] = field(default_factory=dict)
    """Model specs of judges that can take the official ones' place once those are no longer served, each with a note.
    Any of them is another protocol."""
    sampling: Sampling
    """How answers are drawn unless the user says otherwise."""
    official_examples: int
    """How many examples the whole benchmark has: a run of fewer is not comparable with published numbers."""
    needs_baseline: bool = False
    """The answers to compare with do not come with the benchmark: ``--baseline`` must name a file of them."""
    against: tuple[str, ...] = ()
    """The baselines that its numbers are the mean over, where a run may choose them: ``--baseline`` sets its option
    ``baselines`` to their names (``join_names``)."""
    pools_judges: bool = False
    """A panel's number is made from all its verdicts together, each with its own weight; else from the members' means
    per example."""
    starter: bool
    """The data are the bundled starter set: numbers are not comparable with anything."""
    load: Callable[[Fetch], TaskData]
    cases: Callable[[TaskData, Generation], tuple[Case, ...]] = lambda data, generation: ()
    """The cases that one generation puts before the judges; none if answers are verified."""
    checks: Callable[[TaskData, Generation], tuple[Check, ...]] = lambda data, generation: ()
    """The checks that one generation puts before the verifiers; none if answers are judged."""
    score: Callable[[TaskData, Generations, Iterable[Judgement]], list[ExampleScore]]
    summarise: Callable[[TaskData, Sequence[ExampleScore]], list[Score]] = lambda data, rows: []
    """The scores that have groups, details or a fit. Every other metric is the mean of its ``value_of``."""
    metric_sums: Callable[[Sequence[Example], Sequence[ExampleScore], Fetch], MetricSums] = no_sums
    """The same scores as sums over items, which is what two runs are compared by; a score that is no such sum is
    linearised.

    Given are the examples, only example scores that have a value, and the official files, should a number need one.
    """
    pairwise_metrics: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Patterns (as of file names) of the example scores that say how a comparison with a baseline's answer ended, with
    the values of a loss and of a win. Counts of both answers' style are among their covariates, each under its name
    and ``baseline_`` before it; what a task does not count itself is counted for it."""
    rule_options: tuple[str, ...] = ()
    """Options that only choose between our rules and upstream's. A score says in its details what upstream's rule makes
    of it (``Score.upstream``), so that published numbers are met whatever these are."""
    table_options: Mapping[str, Any] = field(default_factory=dict)
    """Options that published tables are told apart by, each with what it is where it is not given."""
    tabulate: Callable[[Mapping[str, Sequence[ExampleScore]]], Mapping[str, Sequence[Score]]] | None = None
    """Scores that take all runs of a table together, by run; there they stand in for the run's own of that metric."""
    importers: Mapping[str, Callable[[Sequence[FileRow], TaskData], Sequence[Imported]]] = field(default_factory=dict)
    """Readers of other programs' result files, by format name; a file may hold several models. The one called
    ``outputs`` also reads the answers of ``--model file:…`` and ``--baseline``."""
    exporters: Mapping[str, Callable[[ScoredRun], Any]] = field(default_factory=dict)
    """Writers of other programs' result files, by format name: the rows of each file by its path. (``lm_eval`` gives
    the task's part of a results file, and its samples.)"""
    hub: tuple[str, str] | None = None
    """Dataset and task under which the Hugging Face Hub ranks the headline metric, if it does."""
    repeats: bool = False
    """Its numbers know several answers to one item, so ``--repeats`` may ask for them."""
    seeds: Mapping[str, int] = field(default_factory=dict)
    """Seeds of what is random in the functions above, for the manifest."""
    about: str = ""
    """What it measures, in a sentence."""
    option_help: Mapping[str, str] = field(default_factory=dict)
    """Every option with what it does."""

    @property
    def label(self) -> str:
        """Name with version and options, as ``--tasks`` takes it."""
        options = ",".join(f"{key}={value}" for key, value in sorted(self.options.items()))
        return f"{self.name}@{self.version}" + (f":{options}" if options else "")

    @property
    def headline(self) -> tuple[str, ...]:
        """Names of the metrics that tables show, in order; the first ranks."""
        return tuple(metric.name for metric in self.metrics if metric.shown)

    @property
    def means(self) -> dict[str, Metric]:
        """The metrics that are plain means over examples, each of which has one number within known bounds."""
        return {metric.name: metric for metric in self.metrics if metric.is_mean and metric.limits}

    def metric(self, name: str, unit: str = "percent") -> Metric:
        """The definition of a metric. One that the task does not list, as a file may hold, is known by its unit."""
        return metric_called(name, self.metrics, unit)

    def scores(self, data: TaskData, rows: Sequence[ExampleScore]) -> list[Score]:
        """All scores of some example scores."""
        scores = self.summarise(data, rows)
        rest = self._means_beside({score.metric for score in scores})
        return [*scores, *(metric.mean_score(self.name, data.examples, rows) for metric in rest)]

    def sums(self, examples: Sequence[Example], rows: Sequence[ExampleScore], fetch: Fetch) -> MetricSums:
        """All scores as sums over items, of example scores that have a value."""
        sums = dict(self.metric_sums(examples, rows, fetch))
        rest = self._means_beside({name for name, _ in sums})
        return {**sums, **{(metric.name, None): metric.mean_sums(examples, rows) for metric in rest}}

    def _means_beside(self, names: Collection[str]) -> list[Metric]:
        return [metric for metric in self.metrics if metric.is_mean and metric.name not in names]


def parse_version(version: str | None, versions: Collection[str], task: str) -> str:
    """Return the version asked for, which is the first of ``versions`` by default; otherwise raise UsageError."""
    if version and version not in versions:
        raise UsageError(f"{task} has no version {version!r}; it has {', '.join(versions)}")
    return version or next(iter(versions))


def parse_options(given: Mapping[str, str], allowed: Mapping[str, Callable[[str], Any]], task: str) -> dict[str, Any]:
    """Convert a task's options from the command line; a :class:`UsageError` names the valid ones."""
    parsed = {}
    for key, text in given.items():
        if key not in allowed:
            raise UsageError(f"task {task} has no option {key!r}; it has {', '.join(sorted(allowed))}")
        try:
            parsed[key] = allowed[key](text)
        except ValueError as error:
            raise UsageError(f"task {task}: {key}={text} is not valid: {error}") from error
    return parsed


def switch(text: str) -> bool:
    """An option that is on or off."""
    values = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if text.lower() not in values:
        raise ValueError("expected true or false")
    return values[text.lower()]


def join_names(names: Iterable[str]) -> str:
    """Names of models as the value of an option.

    >>> join_names(["org/a", "b+refined"]), split_names("org/a+b%2Brefined")
    ('org/a+b%2Brefined', ('org/a', 'b+refined'))
    """
    return "+".join(quote(name, safe="/:@ ") for name in names)


def split_names(text: str) -> tuple[str, ...]:
    """The names of ``join_names``, each once."""
    found = tuple(dict.fromkeys(unquote(part.strip()) for part in text.split("+")))
    if not all(name and name.isprintable() for name in found):
        raise ValueError("expected printable names joined by +")
    return found


def positive(text: str) -> float:
    """An option that is a number above zero."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError("expected a number above 0")
    return value


def one_of(*values: str) -> Callable[[str], str]:
    """An option with a fixed set of values."""

    def convert(text: str) -> str:
        if text not in values:
            raise ValueError(f"expected one of {', '.join(values)}")
        return text

    return convert
