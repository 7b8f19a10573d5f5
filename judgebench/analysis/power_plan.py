"""Power analysis: what difference so many examples can detect, how many a difference needs, and what repeats are worth.

The variance comes from one or two stored runs, or without one from the worst case that the metric's bounds allow. The
formulas are in ``stats/power.py``.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from judgebench import tasks
from judgebench.display import rough
from judgebench.errors import UsageError
from judgebench.records import ExampleScore, Score
from judgebench.run.loading import source_finder
from judgebench.run.reading import Run, TaskRun, read_run
from judgebench.run.run_tasks import NO_FILES
from judgebench.run.settings import Settings
from judgebench.stats import power as formulas
from judgebench.stats.arrays import FloatArray
from judgebench.stats.power import DifferenceVariance, RunVariance
from judgebench.task import Task
from judgebench.task.metric import Metric

REPEATS = (1, 2, 4, 8)


class Repeats(msgspec.Struct, frozen=True, kw_only=True):
    """What it is worth to sample several answers to each example."""

    answers: int
    detectable: float | None
    equivalent_examples: int
    """Examples with one answer each that would detect as much."""
    calls: int
    """Answers in all."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The power of a comparison of two runs on the same examples."""

    task: str
    metric: str
    unit: str
    alpha: float
    """Two-sided."""
    power: float
    n: int
    """Examples."""
    detectable: float | None
    """The true difference that n examples detect with this power, in the unit; null if none can be that large."""
    delta: float | None = None
    """The difference to detect."""
    required: int | None = None
    """Examples needed to detect delta."""
    required_answers: int | None = None
    """Answers per example needed instead, with n examples; null if no number is enough."""
    repeats: tuple[Repeats, ...]
    variance: dict[str, float]
    """Variance of the difference per example, in squared units: ``prompts``, ``answers``, ``judging``."""
    judge_calls_per_example: float | None = None
    source: str
    """Where the variance comes from."""
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Question:
    """The question that :func:`plan` answers."""

    task: str
    metric: str | None = None
    baselines: Sequence[Path] = ()
    delta: float | None = None
    n: int | None = None
    correlation: float = 0.0
    alpha: float = 0.05
    power: float = 0.8


def plan(question: Question, settings: Settings) -> Plan:
    """Plan a comparison of two runs. Raises :class:`UsageError` if a run or metric gives no variance."""
    specs = tasks.parse_specs(question.task)
    if len(specs) != 1:
        raise UsageError(f"--task {question.task}: plan for one task at a time")
    _check(question)
    task, _ = tasks.load(specs[0])
    files = {task.name: Path(specs[0].name)} if tasks.is_file(specs[0].name) else NO_FILES
    metric = question.metric or task.headline[0]
    runs = [read_run(path, files) for path in question.baselines]
    notes: list[str] = []
    calls = None
    if not runs:
        variance, unit, source = _worst_case(task, metric, question, notes)
        n = question.n or task.official_examples
        if n == 0:
            raise UsageError(
                f"--task {task.label}: the benchmark does not say how many examples there are. Give a run of it with "
                "--baseline, or their number with --n"
            )
    else:
        of_task = [_of_task(run, task, specs[0].version) for run in runs]
        own, used = of_task[0].task, of_task[0].task_manifest.examples
        stored = _score(of_task[0], metric)
        unit = stored.unit
        n = question.n or used
        mean = own.means.get(metric)
        if mean is None:
            variance, source = _from_stderr(stored, runs, question, notes)
        else:
            tables = [_table(task_run, metric, settings) for task_run in of_task]
            variance, source = _from_tables(tables, mean, runs, question, notes)
        calls = _calls(of_task[0])
    if question.delta is not None and calls is None:
        notes.append(f"judge calls are not counted: {_why_uncounted(task, runs)}")
    if not variance.per_prompt():
        raise UsageError(_no_variance(question, runs, metric))
    widest = (own if runs else task).metric(metric, unit).span
    delta, alpha, power, required, answers = question.delta, question.alpha, question.power, None, None
    if delta is not None:
        if delta > widest:
            raise UsageError(f"--delta {delta:g}: two runs differ in {metric} by at most {widest:g} {unit}")
        try:
            required = formulas.required_prompts(variance, delta, alpha=alpha, power=power)
            answers = formulas.required_answers(variance, n, delta, alpha=alpha, power=power)
        except OverflowError as error:
            raise UsageError(f"--delta {delta:g} {unit}: no plan can be made for a difference of that size") from error
    detectable = formulas.detectable_difference(variance, n, alpha=alpha, power=power)
    if detectable > widest:
        notes.append(
            f"{n:,} examples detect no difference with this power: it would have to be {rough(detectable, unit)}, but "
            f"two runs differ in {metric} by at most {widest:g}"
        )
    separate = variance.answers + variance.judging > 0
    if not separate:
        notes.append(
            "the noise of sampling and judging cannot be told apart from that of the examples, so repeats look "
            "worthless here: a run with --repeats or --judge-repeats shows what they are worth"
        )
    return Plan(
        task=(own if runs else task).label,
        metric=metric,
        unit=unit,
        alpha=alpha,
        power=power,
        n=n,
        detectable=detectable if detectable <= widest else None,
        delta=delta,
        required=required,
        required_answers=answers,
        repeats=tuple(
            Repeats(
                answers=bought.answers,
                detectable=bought.difference if bought.difference <= widest else None,
                equivalent_examples=bought.equivalent_prompts,
                calls=bought.calls,
            )
            for bought in (
                formulas.worth_of_repeats(variance, n, REPEATS, alpha=alpha, power=power) if separate else ()
            )
        ),
        variance={"prompts": variance.prompts, "answers": variance.answers, "judging": variance.judging},
        judge_calls_per_example=calls,
        source=source,
        notes=tuple(notes),
    )


def _check(question: Question) -> None:
    if len(question.baselines) > 2:
        raise UsageError(f"--baseline was given {len(question.baselines)} times; give one run, or two to compare")
    if question.delta is not None and not 0 < question.delta < float("inf"):
        raise UsageError(f"--delta {question.delta:g}: a difference to detect must be above 0")
    if not -1 <= question.correlation <= 1:
        raise UsageError(f"--correlation {question.correlation:g} is not between -1 and 1")
    if question.n is not None and question.n < 1:
        raise UsageError(f"--n {question.n}: a plan needs at least 1 example")
    if not (0 < question.alpha < 1 and 0 < question.power < 1):
        raise UsageError(f"--alpha {question.alpha:g} and --power {question.power:g} must both be between 0 and 1")
    if question.power <= question.alpha / 2:
        raise UsageError(
            f"--power {question.power:g} is no more than half of --alpha {question.alpha:g}, which chance alone "
            f"reaches; give more power, or a smaller alpha"
        )


def _no_variance(question: Question, runs: Sequence[Run], metric: str) -> str:
    """Why there is no variance to plan with."""
    if len(runs) > 1:
        both = " and ".join(str(run.path) for run in runs)
        return f"--baseline: {both} differ in {metric} by the same on every example, so there is no variance"
    if question.correlation == 1:
        return (
            "--correlation 1: two runs whose scores correlate perfectly differ by the same on every example, so one "
            "example is enough. Two stored runs (--baseline twice) show how much such runs correlate"
        )
    return f"--baseline {runs[0].path}: its {metric} does not vary over the examples, so there is no variance"


def _why_uncounted(task: Task, runs: Sequence[Run]) -> str:
    if "judged" in task.verdicts:
        return "the run has none" if runs else "a stored run (--baseline) shows how many an example takes"
    return "answers are verified, not judged" if task.verdicts else "the scores are made elsewhere"


def _worst_case(task: Task, metric: str, question: Question, notes: list[str]) -> tuple[DifferenceVariance, str, str]:
    mean = task.means.get(metric)
    if mean is None:
        known = metric in task.headline
        usable = f", or --metric ({', '.join(task.means)})" if task.means else ""
        what = "is not a plain mean over examples, so its variance has no bound" if known else "is unknown"
        raise UsageError(
            f"--task {task.label}: without --baseline RUN the plan is for the worst case, but {metric} {what}. Give a "
            f"run of this task with --baseline{usable}"
        )
    widest = mean.span**2 / 4
    notes.append(
        "assumed: each example's number is at one end of its range or the other, equally often, which is the most "
        "variance possible; with a stored run (--baseline), fewer examples are enough"
    )
    return _assumed(RunVariance(widest, 0.0, 0.0, None), question, notes), mean.unit, "worst case"


def _assumed(run: RunVariance, question: Question, notes: list[str]) -> DifferenceVariance:
    """The variance of the difference of two such runs with the correlation assumed, which a note mentions."""
    note = (
        "assumed: the two runs' scores do not correlate over the examples (--correlation 0), the cautious choice; "
        "checkpoints of one model do, and two stored runs (--baseline twice) show how much"
    )
    if question.correlation:
        note = f"assumed: over the examples, the two runs' scores correlate by {question.correlation:g} (--correlation)"
    notes.append(note)
    return formulas.planned_variance(run, question.correlation)


def _from_stderr(
    stored: Score, runs: Sequence[Run], question: Question, notes: list[str]
) -> tuple[DifferenceVariance, str]:
    if stored.stderr is None or not stored.n:
        why = stored.reason or "its scores.json has none"
        raise UsageError(f"{runs[0].path}: {stored.metric} has no standard error to plan with ({why})")
    if len(runs) > 1:
        raise UsageError(
            f"{stored.metric} is not a plain mean over examples, so two runs do not show how their difference varies; "
            "give one --baseline, and --correlation if it is known"
        )
    notes.append(f"{stored.metric} is not a plain mean over examples: its own standard error over {stored.n} is scaled")
    run = RunVariance(stored.stderr**2 * stored.n, 0.0, 0.0, None)
    return _assumed(run, question, notes), f"standard error of {runs[0].path}"


def _from_tables(
    tables: Sequence[dict[str, FloatArray]],
    mean: Metric,
    runs: Sequence[Run],
    question: Question,
    notes: list[str],
) -> tuple[DifferenceVariance, str]:
    shared = [item for item in tables[0] if all(item in table for table in tables)]
    if len(shared) < 2:
        paths = " and ".join(str(run.path) for run in runs)
        raise UsageError(f"{paths}: a variance needs two examples with a score in every run")
    arrays = [mean.scale * np.stack([table[item] for item in shared]) for table in tables]
    variances = [formulas.run_variance(array) for array in arrays]
    notes += [f"{run.path}: {found.reason}" for run, found in zip(runs, variances, strict=True) if found.reason]
    if len(arrays) == 2:
        return formulas.paired_variance(*arrays), f"the paired differences of {runs[0].path} and {runs[1].path}"
    return _assumed(variances[0], question, notes), f"the scores of {runs[0].path}"


def _of_task(run: Run, task: Task, version: str | None) -> TaskRun:
    """The task's part of the run."""
    found = run.tasks.get(task.name)
    if found is None:
        raise UsageError(f"{run.path} has no task {task.name!r}; it has {', '.join(run.tasks)}")
    if version is not None and version != found.task_manifest.version:
        raise UsageError(f"{run.path} has {found.task_manifest.label}, not {task.name}@{version}")
    return found


def _score(run: TaskRun, metric: str) -> Score:
    if metric not in run.overall:
        raise UsageError(f"{run.run} has no metric {metric!r} of {run.key}; it has {', '.join(run.overall)}")
    return run.overall[metric]


def _table(own: TaskRun, metric: str, settings: Settings) -> dict[str, FloatArray]:
    """Numbers by item, each of shape (answers, judgings), without the items that lack one."""
    mean = own.task.means[metric]
    judgements = own.judgements()
    one_judge = len({judgement.judge_model for judgement in judgements}) == 1
    members: list[Sequence[ExampleScore]] = [own.example_scores()]
    if one_judge and any(judgement.repeat for judgement in judgements):
        data = own.load_data(source_finder(settings))
        answers = own.generations()
        members = [own.task.score(data, answers, some) for some in own.task.by_member(judgements).values()]
    numbers = [mean.values(scores) for scores in members]
    by_item: dict[str, list[list[float | None]]] = {}
    for example in own.examples():
        by_item.setdefault(example.item or example.id, []).append([of.get(example.id) for of in numbers])
    shapes = Counter(len(rows) for rows in by_item.values())
    usual = shapes.most_common(1)[0][0] if shapes else 0
    return {
        item: np.array(rows, dtype=float)
        for item, rows in by_item.items()
        if len(rows) == usual and all(value is not None for row in rows for value in row)
    }


def _calls(run: TaskRun) -> float | None:
    """Judge replies per example of a run; ``None`` if answers are verified."""
    judgements = run.judgements()
    total = sum(len(judgement.replies) for judgement in judgements)
    return total / len({judgement.example_id for judgement in judgements}) if total else None
