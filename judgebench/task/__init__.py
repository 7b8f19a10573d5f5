"""The ``Task`` value (a benchmark as pure functions), its data, and parsers of its options.
A task is found by name in ``judgebench.tasks``.

``judgebench.tasks`` finds tasks. Running one is not the business of this room.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote, unquote

import msgspec

from judgebench.data.rows import FileRow, digits
from judgebench.errors import UsageError, wanted
from judgebench.grading.pool import Verifier
from judgebench.judges import Judge
from judgebench.judges.named import NamedJudge
from judgebench.judges.panel import panel_members
from judgebench.records import Case, Check, Example, ExampleScore, Generation, Judgement, Sampling, Score, Verdict
from judgebench.task.metric import Metric, MetricSums, by_example, metric_called
from judgebench.task.selection import GroupsOf

Fetch = Callable[[str], bytes]
"""Verified bytes of an official file, by its name in the task's ``sources.toml``."""

UNSAFE = ("sandbox", "no")
"""The option, and its value, of a task that runs answers as programs without a sandbox, as ``--unsafe-local`` does."""

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
    """Rules that decide about answers without a model, by name."""
    fragments: tuple[str, ...] = ()
    """Lines of the judge prompts, which no honest answer contains."""
    extras: Any = None
    """Anything else that the task's own functions share, such as a table for a fit."""
    lacks: str | None = None
    """What is missing, if too much is missing to ask a model anything; result files can still be imported."""

    @cached_property
    def by_id(self) -> dict[str, Example]:
        """The examples by id."""
        return {example.id: example for example in self.examples}

    @cached_property
    def _by_number(self) -> dict[int, Example | None]:
        """The examples whose id is a number, by that number; ``None`` where several examples have it."""
        found: dict[int, Example | None] = {}
        for example in self.examples:
            number = digits(example.id)
            if number is not None:
                found[number] = None if number in found else example
        return found

    def find(self, key: str) -> Example | None:
        """Return the example of an id, which a file may write as a number: ``012``, ``12`` and ``12.0`` mean the same
        example if only one of them is an id.
        """
        found = self.by_id.get(key) or self.by_id.get(key.strip())
        number = digits(key) if found is None else None
        return found if number is None else self._by_number.get(number)


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Somebody else's result file, as records."""

    candidate: str
    examples: tuple[Example, ...]
    """In the order of the file, followed by the official ones that the file lacks."""
    generations: tuple[Generation, ...]
    baselines: Mapping[str, Generations] = field(default_factory=dict)
    """The baselines' answers in the file."""
    judgements: tuple[Judgement, ...] = ()
    stored: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """The other program's values by metric and example, which are only compared with ours."""
    reported: tuple[Score, ...] = ()
    """Numbers of a file that holds no answers, kept as they are."""
    reported_by: str | None = None
    """The program that reports them, and its version."""
    unknown: tuple[str, ...] = ()
    """What the file does not say about its protocol."""
    notes: tuple[str, ...] = ()

    @property
    def repeats(self) -> int:
        """How many answers it holds to each example. Forms of a prompt, which a benchmark asks anyway, are none."""
        again = (example.repeat for example in self.examples if example.id != example.asked_once)
        return 1 + max(again, default=0)


def no_sums(examples: Sequence[Example], rows: Sequence[ExampleScore], fetch: Fetch) -> MetricSums:
    """The sums of a task whose metrics are all plain means over examples."""
    return {}


@dataclass(frozen=True, kw_only=True)
class ScoredRun:
    """One task of a scored run, which an exporter writes."""

    candidate: str
    data: TaskData
    """With the run's own examples and baselines."""
    generations: Generations
    judgements: Sequence[Judgement]
    example_scores: Sequence[ExampleScore]
    scores: Sequence[Score]


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule of a verifier decided about one answer, for people."""

    rule: str
    held: bool | None
    """``None`` if there was no decision."""
    wanted: str = ""
    """What the rule asks for, or the reference."""
    found: str = ""
    """What the rule found in the answer."""
    note: str = ""
    spans: tuple[str, ...] = ()
    """Texts of the answer that the rule looked at, where these are more than ``found``."""


def plain_rulings(example: Example, generation: Generation | None, judgement: Judgement) -> tuple[Ruling, ...]:
    """The verdict as one ruling, with its details as they are."""
    verdict = judgement.verdict
    found = "; ".join(f"{name} {value}" for name, value in verdict.details.items())
    held = None if verdict.value is None else verdict.value == 1
    return (Ruling(rule=judgement.judge, held=held, found=found, note=verdict.label or ""),)


def rulings_of(
    task: "Task | None", example: Example, generation: Generation | None, judgement: Judgement
) -> tuple[Ruling, ...]:
    """What a verifier's judgement says; without a task, the verdict as it was recorded. Without a verdict no rule was
    held or broken, and why there is none stands in its place.
    """
    rulings = tuple((plain_rulings if task is None else task.rulings)(example, generation, judgement))
    if judgement.verdict.value is not None:
        return rulings
    why = judgement.verdict.error or ""
    return tuple(msgspec.structs.replace(ruling, held=None, found="", note=why) for ruling in rulings)


def bare_data(examples: Sequence[Example], fetch: Fetch) -> TaskData:
    """The data of a task whose scores follow from the example scores alone."""
    return TaskData(examples=tuple(examples), baselines={})


def no_cases(data: TaskData, generation: Generation) -> tuple[Case, ...]:
    """The cases of a task whose answers are verified."""
    return ()


def no_checks(data: TaskData, generation: Generation) -> tuple[Check, ...]:
    """The checks of a task whose answers are judged."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Task:
    """A benchmark with its version and options. All functions are pure; only ``load`` reads files."""

    name: str
    version: str
    versions: tuple[str, ...] = ()
    """All versions that there are, the default first; empty if this is the only one."""
    options: Mapping[str, Any]
    """The options that differ from the task's defaults."""
    metrics: tuple[Metric, ...]
    """Every metric, in the order in which a table shows them; the first ranks."""
    judge_models: Mapping[str, str] = field(default_factory=dict)
    """The official judge models' specs, by the name of the judge (prompt and rule); empty if answers are verified, not
    judged."""
    named_judges: tuple[NamedJudge, ...] = ()
    """Every judge that the benchmark has by name, for ``judgebench judges list``."""
    other_judges: Mapping[str, str] = field(default_factory=dict)
    """Model specs of judges for the time when the official ones are no longer served, each with a note. Each makes
    another protocol."""
    sampling: Sampling
    """How the candidate is sampled unless the user says otherwise."""
    official_examples: int
    """The number of examples of the whole benchmark. A run of fewer is not comparable with published numbers."""
    needs_baseline: bool = False
    """The benchmark does not bring the answers to compare with: ``--baseline`` must name a file of them."""
    against: tuple[str, ...] = ()
    """The baselines that its numbers are a mean over, if a run may choose them: ``--baseline`` sets the option
    ``baselines`` to their names (``join_names``)."""
    orders: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The options that show pairs in a drawn order (``seeded``) and in both orders (``both``), as far as there are such
    options; those that a judge file may ask for."""
    folds_covariates: bool = False
    """A panel's example scores have the means of the members' covariates, too; else those of the first member."""
    pools_judges: bool = False
    """A panel's number comes from all its verdicts, each with its own weight; else from the members' means per
    example."""
    judged_together: bool = False
    """A panel's members say something only together, as two models whose likelihoods are compared: ``score`` gets the
    judgements of all of them at once, and none is scored by itself. Where this is false, ``score`` is called for each
    member with its judgements alone."""
    starter: bool
    """The data are the bundled starter set, whose numbers are not comparable with anything."""
    load: Callable[[Fetch], TaskData]
    cases: Callable[[TaskData, Generation], tuple[Case, ...]] = no_cases
    """The cases that one generation puts before the judges; none if answers are verified."""
    checks: Callable[[TaskData, Generation], tuple[Check, ...]] = no_checks
    """The checks that one generation puts before the verifiers; none if answers are judged."""
    rulings: Callable[[Example, Generation | None, Judgement], tuple[Ruling, ...]] = plain_rulings
    """What a verifier's judgement says, rule by rule, for people who look at one example."""
    score: Callable[[TaskData, Generations, Iterable[Judgement]], list[ExampleScore]]
    groups: GroupsOf = lambda example: ()
    """The names of the groups that an example belongs to, as in ``Score.group``: ``category=math``."""
    narrowed_by: Mapping[str, str] = field(default_factory=dict)
    """Options that limit a run to a part of each example, by the key of the scores' groups for such parts: ``turn``."""
    verdict_ends: Callable[[Example, str], tuple[Verdict, Verdict]] | None = None
    """The worst verdict for the candidate on a case of an example, by the case's id, and the best one; where they are
    not the ends of what the judge can say."""
    summarise: Callable[[TaskData, Sequence[ExampleScore]], list[Score]] = lambda data, rows: []
    """The scores that have groups, details or a fit. Every other metric is the mean of its ``value_of``."""
    bare_data: Callable[[Sequence[Example], Fetch], TaskData] = bare_data
    """What ``summarise`` needs where only example scores are known, as of published verdicts."""
    metric_sums: Callable[[Sequence[Example], Sequence[ExampleScore], Fetch], MetricSums] = no_sums
    """The same scores as sums over items, by which two runs are compared. A score that is not such a sum is linearised.

    The arguments are the examples, the example scores that have a value, and the official files.
    """
    pairwise_metrics: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Patterns (as of file names) of the example scores that say how a comparison with a baseline's answer ended, with
    the values of a loss and of a win. Their covariates count the style of both answers, under the count's name and the
    same name after ``baseline_``; the core counts what the task does not."""
    rule_options: tuple[str, ...] = ()
    """Options that only choose between our rules and upstream's. Each score also has upstream's number
    (``Score.upstream``), so it can be compared with published ones whatever these options are."""
    table_options: Mapping[str, Any] = field(default_factory=dict)
    """Options that tell published tables apart, with their defaults."""
    tabulate: Callable[[Mapping[str, Sequence[ExampleScore]]], Mapping[str, Sequence[Score]]] | None = None
    """Scores that need all runs of a table, by run. In the table they replace the run's own scores of that metric."""
    importers: Mapping[str, Callable[[Sequence[FileRow], TaskData], Sequence[Imported]]] = field(default_factory=dict)
    """Readers of other programs' result files, by the name of the format. A file may hold several models. The reader
    ``outputs`` also reads the answers of ``--model file:…`` and ``--baseline``."""
    exporters: Mapping[str, Callable[[ScoredRun], Any]] = field(default_factory=dict)
    """Writers of other programs' result files, by the name of the format: they return the rows of each file by its
    path. (``lm_eval`` returns the task's part of a results file, and its samples.)"""
    hub: tuple[str, str] | None = None
    """The dataset and the task under which the Hugging Face Hub ranks the headline metric, if it does."""
    on_rewards: "Callable[[], Task] | None" = None
    """The same task where a scoring model rates single answers: by any number, so that no rating has bounds. ``None``
    if ratings must be on the task's scale, and only a judge that is told of it can rate."""
    reads_likelihoods: bool = False
    """The candidate writes nothing: it says how likely texts are (``Sampling.continuations`` of the examples)."""
    plain_prompts: bool = False
    """The candidate reads plain text, so that it needs no chat template."""
    without_likelihoods: Mapping[str, str] = field(default_factory=dict)
    """Options with which a candidate is asked that cannot say so; empty if it is refused."""
    answers_are_labels: bool = False
    """An answer is one of a few labels or letters, so many items have the same."""
    repeats: bool = False
    """Its metrics accept several answers to one item, so ``--repeats`` may ask for them."""
    code_hashes: Mapping[str, str] = field(default_factory=dict)
    """Hex digests of the code files of a TOML benchmark, whose rules have no other place in the protocol."""
    seeds: Mapping[str, int] = field(default_factory=dict)
    """Seeds of the random parts of these functions, for the manifest."""
    about: str = ""
    """What the benchmark measures, in a sentence."""
    option_help: Mapping[str, str] = field(default_factory=dict)
    """What each option does."""

    @property
    def label(self) -> str:
        """Name with version and options, in the form of ``--tasks``."""
        options = ",".join(f"{key}={value}" for key, value in sorted(self.options.items()))
        return f"{self.name}@{self.version}" + (f":{options}" if options else "")

    @property
    def verdicts(self) -> str:
        """Who decides about its answers: ``judged``, ``verified``, or both."""
        kinds = {"judged": self.judge_models or self.cases is not no_cases, "verified": self.checks is not no_checks}
        return " and ".join(kind for kind, there in kinds.items() if there)

    @property
    def headline(self) -> tuple[str, ...]:
        """Names of the metrics that tables show, in order; the first ranks."""
        return tuple(metric.name for metric in self.metrics if metric.shown)

    def by_member(self, judgements: Collection[Judgement]) -> dict[str, Iterable[Judgement]]:
        """Sort judgements by the members of the panel that are scored by themselves; one if it is not divided."""
        return {"": judgements} if self.judged_together and judgements else panel_members(judgements)

    @property
    def means(self) -> dict[str, Metric]:
        """The metrics that are plain means over examples with known bounds."""
        return {metric.name: metric for metric in self.metrics if metric.is_mean and metric.limits}

    def metric(self, name: str, unit: str = "percent") -> Metric:
        """The definition of a metric. A metric that the task does not list, as in some files, has only a unit."""
        return metric_called(name, self.metrics, unit)

    def scores(self, data: TaskData, rows: Sequence[ExampleScore]) -> list[Score]:
        """All scores of some example scores."""
        scores = self.summarise(data, rows)
        rest, grouped = self._means_beside({score.metric for score in scores}), by_example(rows)
        return [*scores, *(metric.mean_score(self.name, data.examples, grouped) for metric in rest)]

    def sums(self, examples: Sequence[Example], rows: Sequence[ExampleScore], fetch: Fetch) -> MetricSums:
        """All scores as sums over items, of example scores that have a value."""
        sums = dict(self.metric_sums(examples, rows, fetch))
        rest, grouped = self._means_beside({name for name, _ in sums}), by_example(rows)
        return {**sums, **{(metric.name, None): metric.mean_sums(examples, grouped) for metric in rest}}

    def _means_beside(self, names: Collection[str]) -> list[Metric]:
        return [metric for metric in self.metrics if metric.is_mean and metric.name not in names]


def parse_version(version: str | None, versions: Collection[str], task: str) -> str:
    """Return the version asked for, which is the first of ``versions`` by default; otherwise raise UsageError."""
    if version and version not in versions:
        raise UsageError(f"{task} has no version {version!r}; it has {', '.join(versions)}")
    return version or next(iter(versions))


def parse_options(given: Mapping[str, str], allowed: Mapping[str, Callable[[str], Any]], task: str) -> dict[str, Any]:
    """Convert a task's options from the command line; raise :class:`UsageError`, which names the valid ones."""
    parsed = {}
    for key, text in given.items():
        if key not in allowed:
            raise UsageError(f"task {task} has no option {key!r}; it has {', '.join(sorted(allowed)) or 'none'}")
        try:
            parsed[key] = allowed[key](text)
        except ValueError as error:
            raise UsageError(f"task {task}: {key}={text} is not valid: {wanted(allowed[key], error)}") from error
    return parsed


def differing(chosen: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The options that change something: an option that is given its default makes no other protocol.

    >>> differing({"order": "seeded", "seed": 3}, {"order": "seeded", "seed": 0})
    {'seed': 3}
    """
    return {name: value for name, value in chosen.items() if name not in defaults or value != defaults[name]}


def switch(text: str) -> bool:
    """Convert an option that is on or off."""
    values = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if text.lower() not in values:
        raise ValueError("expected true or false")
    return values[text.lower()]


def join_names(names: Iterable[str]) -> str:
    """Join names of models to the value of an option.

    >>> join_names(["org/a", "b+refined"]), split_names("org/a+b%2Brefined")
    ('org/a+b%2Brefined', ('org/a', 'b+refined'))
    """
    return "+".join(quote(name, safe="/:@ ") for name in names)


def split_names(text: str) -> tuple[str, ...]:
    """Split what ``join_names`` joined; each name once."""
    found = tuple(dict.fromkeys(unquote(part.strip()) for part in text.split("+")))
    if not all(name and name.isprintable() for name in found):
        raise ValueError("expected printable names joined by +")
    return found


def positive(text: str) -> float:
    """Convert an option that is a number above zero."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError("expected a number above 0")
    return value


def one_of(*values: str) -> Callable[[str], str]:
    """Make the conversion of an option with a fixed set of values."""

    def convert(text: str) -> str:
        if text not in values:
            raise ValueError(f"expected one of {', '.join(values)}")
        return text

    return convert
