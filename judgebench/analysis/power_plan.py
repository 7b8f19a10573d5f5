"""Power: what difference a number of examples can see, how many examples a difference needs, and what repeats buy.

The variance comes from a stored run (or two), or, without one, from the worst case that the metric's bounds allow.
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
from judgebench.judges.panel import panel_members
from judgebench.records import ExampleScore, Score
from judgebench.run.loading import source_finder
from judgebench.run.reading import Run, TaskRun, read_run
from judgebench.run.run_tasks import NO_FILES
from judgebench.run.settings import Settings
from judgebench.stats.arrays import FloatArray
from judgebench.stats.power import (
    DifferenceVariance,
    RunVariance,
    detectable_difference,
    paired_variance,
    planned_variance,
    required_answers,
    required_prompts,
    run_variance,
    worth_of_repeats,
)
from judgebench.task import Task
from judgebench.task.metric import Metric

REPEATS = (1, 2, 4, 8)


class Repeats(msgspec.Struct, frozen=True, kw_only=True):
    """What several answers to each example are worth."""

    answers: int
    detectable: float | None
    equivalent_examples: int
    """Examples with one answer each that would see as much."""
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
    """The true difference that n examples find with this power, in the unit; null if no difference is that large."""
    delta: float | None = None
    """The difference that is asked about."""
    required: int | None = None
    """Examples that it needs."""
    required_answers: int | None = None
    """Answers to each of the n examples that it needs instead; null if no number does."""
    repeats: tuple[Repeats, ...]
    variance: dict[str, float]
    """Of the difference, per example, in squared units: ``prompts``, ``answers``, ``judging``."""
    judge_calls_per_example: float | None = None
    source: str
    """Where the variance is from."""
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of :func:`plan`."""

    task: str
    metric: str | None = None
    baselines: Sequence[Path] = ()
    delta: float | None = None
    n: int | None = None
    correlation: float = 0.0
    alpha: float = 0.05
    power: float = 0.8


def plan(question: Question, settings: Settings) -> Plan:
    """Answer it. Raises :class:`UsageError` where a run or metric gives no variance."""
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
            tables = [_table(one, metric, settings) for one in of_task]
            variance, source = _from_tables(tables, mean, runs, question, notes)
        calls = _calls(of_task[0])
    if question.delta is not None and calls is None:
        why = "a stored run (--baseline) tells how many an example takes" if not runs else "the run has none"
        notes.append(f"judge calls are not counted: {why if task.judge_models else 'answers are verified, not judged'}")
    if not variance.per_prompt():
        raise UsageError(_no_variance(question, runs, metric))
    widest = (own if runs else task).metric(metric, unit).span
    alpha, power, required, answers = question.alpha, question.power, None, None
    if question.delta is not None:
        required, answers = _needed(question, question.delta, variance, n, metric, unit, widest)
    detectable = detectable_difference(variance, n, alpha=alpha, power=power)
    if detectable > widest:
        notes.append(
            f"with {n:,} examples no difference is found with this power: it would be {rough(detectable, unit)}, and "
            f"two runs differ in {metric} by at most {widest:g}"
        )
    separate = variance.answers + variance.judging > 0
    if not separate:
        notes.append(
            "the noise of sampling and judging anew is not told apart from the examples', so repeats look worthless "
            "here: a run with --repeats or --judge-repeats tells what they buy"
        )
    return Plan(
        task=(own if runs else task).label,
        metric=metric,
        unit=unit,
        alpha=alpha,
        power=power,
        n=n,
        detectable=detectable if detectable <= widest else None,
        delta=question.delta,
        required=required,
        required_answers=answers,
        repeats=tuple(
            Repeats(
                answers=bought.answers,
                detectable=bought.difference if bought.difference <= widest else None,
                equivalent_examples=bought.equivalent_prompts,
                calls=bought.calls,
            )
            for bought in (worth_of_repeats(variance, n, REPEATS, alpha=alpha, power=power) if separate else ())
        ),
        variance={"prompts": variance.prompts, "answers": variance.answers, "judging": variance.judging},
        judge_calls_per_example=calls,
        source=source,
        notes=tuple(notes),
    )


def _check(question: Question) -> None:
    if len(question.baselines) > 2:
        raise UsageError(f"--baseline is given {len(question.baselines)} times; one run, or two to be compared")
    if question.delta is not None and not 0 < question.delta < float("inf"):
        raise UsageError(f"--delta {question.delta:g}: a difference to be found is above 0")
    if not -1 <= question.correlation <= 1:
        raise UsageError(f"--correlation {question.correlation:g} does not lie between -1 and 1")
    if question.n is not None and question.n < 1:
        raise UsageError(f"--n {question.n}: a plan is for 1 example or more")
    if not (0 < question.alpha < 1 and 0 < question.power < 1):
        raise UsageError(f"--alpha {question.alpha:g} and --power {question.power:g} lie between 0 and 1")
    if question.power <= question.alpha / 2:
        raise UsageError(
            f"--power {question.power:g} is no more than half of --alpha {question.alpha:g}, with which chance alone "
            f"finds a difference; give more power, or a smaller alpha"
        )


def _no_variance(question: Question, runs: Sequence[Run], metric: str) -> str:
    """Why there is nothing to plan with."""
    if len(runs) > 1:
        both = " and ".join(str(run.path) for run in runs)
        return f"--baseline: {both} differ in {metric} by the same on every example, so there is no variance"
    if question.correlation == 1:
        return (
            "--correlation 1: two runs whose scores correlate perfectly differ by the same on every example, so that "
            "one example tells the difference and there is nothing to plan. Two stored runs (--baseline twice) say "
            "how much such runs correlate"
        )
    return f"--baseline {runs[0].path}: its {metric} does not vary over the examples, so there is no variance"


def _needed(
    question: Question,
    delta: float,
    variance: DifferenceVariance,
    n: int,
    metric: str,
    unit: str,
    widest: float,
) -> tuple[int, int | None]:
    """Examples that a difference needs, and answers to each of n examples that it needs instead."""
    if delta > widest:
        raise UsageError(f"--delta {delta:g}: two runs differ in {metric} by at most {widest:g} {unit}")
    alpha, power = question.alpha, question.power
    try:
        return (
            required_prompts(variance, delta, alpha=alpha, power=power),
            required_answers(variance, n, delta, alpha=alpha, power=power),
        )
    except OverflowError as error:
        raise UsageError(f"--delta {delta:g} {unit}: no plan can be made for a difference of that size") from error


def _worst_case(task: Task, metric: str, question: Question, notes: list[str]) -> tuple[DifferenceVariance, str, str]:
    mean = task.means.get(metric)
    if mean is None:
        known = metric in task.headline
        usable = f", or --metric ({', '.join(task.means)})" if task.means else ""
        what = "is no plain mean over examples, so its variance has no bound" if known else "is unknown"
        raise UsageError(
            f"--task {task.label}: without --baseline RUN the worst case is planned for, and {metric} {what}. Give a "
            f"run of this task with --baseline{usable}"
        )
    widest = mean.span**2 / 4
    notes.append(
        "assumed: each example's number is at one end of its range or the other, as often as not, which is the most "
        "variance that there can be; a stored run (--baseline) asks for fewer examples"
    )
    notes.append(_correlation_note(question.correlation))
    return planned_variance(RunVariance(widest, 0.0, 0.0, None), question.correlation), mean.unit, "worst case"


def _correlation_note(correlation: float) -> str:
    if correlation:
        return f"assumed: over the examples, the two runs' scores correlate by {correlation:g} (--correlation)"
    return (
        "assumed: the two runs' scores do not correlate over the examples (--correlation 0), the cautious choice; "
        "checkpoints of one model do, and two stored runs (--baseline twice) tell by how much"
    )


def _from_stderr(
    stored: Score, runs: Sequence[Run], question: Question, notes: list[str]
) -> tuple[DifferenceVariance, str]:
    if stored.stderr is None or not stored.n:
        why = stored.reason or "its scores.json has none"
        raise UsageError(f"{runs[0].path}: {stored.metric} has no standard error to plan with ({why})")
    if len(runs) > 1:
        raise UsageError(
            f"{stored.metric} is no plain mean over examples, so two runs do not tell how their difference varies; "
            "give one --baseline, and --correlation if it is known"
        )
    notes.append(f"{stored.metric} is no plain mean over examples: its own standard error over {stored.n} is scaled")
    notes.append(_correlation_note(question.correlation))
    spread = stored.stderr**2 * stored.n
    run = RunVariance(spread, 0.0, 0.0, None)
    return planned_variance(run, question.correlation), f"standard error of {runs[0].path}"


def _from_tables(
    tables: Sequence[dict[str, FloatArray]],
    mean: Metric,
    runs: Sequence[Run],
    question: Question,
    notes: list[str],
) -> tuple[DifferenceVariance, str]:
    shared = [item for item in tables[0] if all(item in table for table in tables)]
    if len(shared) < 2:
        raise UsageError(
            f"{' and '.join(str(run.path) for run in runs)}: a variance needs two examples with a score"
            + (" in both runs" if len(runs) > 1 else "")
        )
    arrays = [mean.scale * np.stack([table[item] for item in shared]) for table in tables]
    variances = [run_variance(array) for array in arrays]
    notes += [f"{run.path}: {found.reason}" for run, found in zip(runs, variances, strict=True) if found.reason]
    if len(arrays) == 2:
        return paired_variance(*arrays), f"the paired differences of {runs[0].path} and {runs[1].path}"
    notes.append(_correlation_note(question.correlation))
    return planned_variance(variances[0], question.correlation), f"the scores of {runs[0].path}"


def _of_task(run: Run, task: Task, version: str | None) -> TaskRun:
    """The run's part that is of the task."""
    found = run.tasks.get(task.name)
    if found is None:
        raise UsageError(f"{run.path} holds no task {task.name!r}; it holds {', '.join(run.tasks)}")
    if version is not None and version != found.task_manifest.version:
        raise UsageError(f"{run.path} holds {found.task_manifest.label}, not {task.name}@{version}")
    return found


def _score(run: TaskRun, metric: str) -> Score:
    scores = [score for score in run.scores if score.group is None]
    for score in scores:
        if score.metric == metric:
            return score
    known = ", ".join(score.metric for score in scores)
    raise UsageError(f"{run.run} has no metric {metric!r} of {run.key}; it has {known}")


def _table(own: TaskRun, metric: str, settings: Settings) -> dict[str, FloatArray]:
    """Numbers by item, each of shape (answers, judgings); items that lack one are left out."""
    mean = own.task.means[metric]
    judgements = own.judgements()
    one_judge = len({judgement.judge_model for judgement in judgements}) == 1
    members: list[Sequence[ExampleScore]] = [own.example_scores()]
    if one_judge and any(judgement.repeat for judgement in judgements):
        data = own.load_data(source_finder(settings))
        answers = own.generations()
        members = [own.task.score(data, answers, some) for some in panel_members(judgements).values()]
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
    """Judge replies per example of a run; ``None`` where answers are verified."""
    calls = [(judgement.example_id, len(judgement.replies)) for judgement in run.judgements()]
    total = sum(count for _, count in calls)
    return total / len({example_id for example_id, _ in calls}) if total else None
