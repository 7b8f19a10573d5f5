"""``gate --sequential``: a gate that judges the candidate in random order and stops as soon as it can decide.

It takes metrics that are plain means over examples. It looks at the paired differences in the random order of
``run.stopping``, and stops at the first example at which ``stopping.decide_difference`` is sure. The question is
whether the mean difference over these N examples is at least ``-max_drop``. Once all of them are judged there is an
answer, unless verdicts are missing. (``verdicts`` asks whether other prompts would give the same answer.)

``max_unread`` is a share of all N, compared with what is missing among the examples looked at; fewer than ``min_n``
decide nothing. Each decision is at ``alpha``, or for several checks at ``alpha`` divided by their number unless
``adjust`` is ``none``: an adjustment over all p-values would come too late for checks that have stopped.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from judgebench import tasks
from judgebench.errors import UsageError
from judgebench.gating import verdicts
from judgebench.gating.policy import Demand, Policy, require_measured
from judgebench.gating.verdicts import Check, Gate, Sequential
from judgebench.judges.own_judges import OwnJudge
from judgebench.records import ExampleScore
from judgebench.run.archive import is_archive
from judgebench.run.controls import controls
from judgebench.run.kept_judges import kept_judging, require_trusted
from judgebench.run.pipeline import Observer
from judgebench.run.reading import Run, TaskRun, read_run
from judgebench.run.run_tasks import TaskFiles
from judgebench.run.runner import Runner
from judgebench.run.settings import Settings
from judgebench.run.stopping import ORDER_SEED, DifferenceWatch, Known
from judgebench.stats.margins import Decision, Verdict
from judgebench.task.metric import Metric, by_example

BASELINE = "baseline"
"""The control that stands for the baseline's own verdicts."""
ENDED = ("complete", "incomplete")
"""What the manifest says of a run whose examples were all judged, or tried."""
VERDICTS: Mapping[str, Verdict] = {"above": "PASS", "below": "FAIL", "undecided": "INCONCLUSIVE"}


def sequential_gate(
    baseline: Path,
    candidate: Path,
    policy: Policy,
    settings: Settings,
    *,
    observer: Observer,
    control: Sequence[str] = (),
) -> Gate:
    """Check a candidate against a baseline in random order, judging no more of the candidate than needed.

    Parameters
    ----------
    baseline
        Run folder or archive, judged to its end.
    candidate
        Run folder or archive. A run that is not judged to its end must hold all its answers. It is judged as before,
        or else as the baseline was, and left as if interrupted, so ``judgebench judge`` or the same gate can continue.
    policy
        What to check, and how much may be lost.
    settings
        The user's: task files (``tasks``), where official files are, and for the judge ``judges``, ``judge_args``,
        ``api_key_env`` and ``budget``, which override what the runs say.
    observer
        Is called with every judged case.
    control
        What else is known of the examples: ``baseline`` (its own verdicts, which are known in any case), ``published``,
        or further runs. With it the verdict is as sure and comes earlier; without, the paired differences decide.

    Raises
    ------
    UsageError
        If a task or answer is missing, the protocols differ, a run has ``--stop-when``, a metric is not a plain mean
        over examples, or the runs name a judge that only the user may choose.
    """
    files = tasks.task_files(settings.tasks)
    first = read_run(baseline, files)
    second = _candidate(candidate, files)
    if first.manifest.status not in ENDED:
        raise UsageError(
            f"--sequential needs a baseline that is judged to its end, but {baseline} is {first.manifest.status}; "
            f"finish it with `judgebench judge {tasks.on_run(baseline, settings.tasks)}`, or start its command again"
        )
    demands, notes = verdicts.tasks_to_gate(first, second, policy)
    defaults = policy.defaults
    alpha = defaults.alpha / (1 if defaults.adjust == "none" else len(demands))
    watches = {}
    for key, demand in demands.items():
        _forbid_early_stops(first, second, key)
        _metric(second.tasks[key], demand)  # so that the candidate's task is looked at, too
        metric = _metric(first.tasks[key], demand)
        if demand.max_drop > metric.span:
            raise UsageError(
                f"max_drop is {demand.max_drop:g} for {metric.name} of {first.tasks[key].task_manifest.label}, but two "
                f"runs differ by at most {metric.span:g}"
            )
        numbers = {name: metric.value_of(rows) for name, rows in _rows(first.tasks[key]).items()}
        known = None
        if control:
            known = _known(control, numbers, first.tasks[key], metric, second.manifest.candidate, files)
        watches[key] = DifferenceWatch(
            numbers, demand.max_drop, metric, level=1 - alpha, least=defaults.min_n, known=known
        )
    if control:
        named = ", ".join(["the baseline's own verdicts", *(text for text in control if text != BASELINE)])
        notes.append(
            f"decided with what was known of the examples before ({named}): the candidate's "
            "mean is compared with the baseline's, and the error probability is the same"
        )
    before = {key: sum(_calls(second.tasks[key]).values()) for key in watches}
    ended = second.manifest.status in ENDED
    if ended:
        for key, watch in watches.items():
            verdicts.require_same_protocol(first, second, key)
            watch.take(_rows(second.tasks[key]))
    else:
        for key in watches:
            _require_answers(second, key)
        Runner(_judge_settings(first, second, list(watches), settings), observer).judge_until_decided(
            second.folder, watches, {key: first.tasks[key].task_manifest for key in watches}
        )
        notes.append(
            f"{candidate} is judged as far as needed, and not scored: "
            f"`judgebench judge {tasks.on_run(candidate, settings.tasks)}` does the rest"
        )
    checks = [
        _check(second.tasks[key], demand, watches[key], before[key], ended=ended) for key, demand in demands.items()
    ]
    return verdicts.concluded(
        checks, notes, defaults, baseline=(first.manifest.shown_name, str(baseline)), candidate=second
    )


def _known(
    control: Sequence[str],
    baseline: Mapping[str, float | None],
    run: TaskRun,
    metric: Metric,
    candidate: str,
    files: TaskFiles,
) -> Known:
    """What is known of each example: the baseline's number, or its mean, and what the other controls say."""
    there = [value for value in baseline.values() if value is not None]
    usual = sum(there) / len(there) if there else 0.0
    others = [text for text in control if text != BASELINE]
    more = controls(others, run.task, metric, list(baseline), candidate, files)
    return {name: (usual if value is None else value, *more[name]) for name, value in baseline.items()}


def _candidate(path: Path, files: TaskFiles) -> Run:
    """The candidate's run, with its scores only if it is judged to its end."""
    archived = is_archive(path)
    run = read_run(path, files, unfinished=not archived)
    if run.manifest.status in ENDED:
        return run if archived else read_run(path, files)
    if archived:
        raise UsageError(f"{path} is not judged to its end, and nothing can be judged in an archive; unpack it")
    return run


def _forbid_early_stops(baseline: Run, candidate: Run, key: str) -> None:
    for run in (baseline, candidate):
        if run.tasks[key].task_manifest.protocol.get("stop_when"):
            raise UsageError(
                f"--sequential has a stop rule of its own, but {run.path} was judged with --stop-when "
                f"{run.tasks[key].task_manifest.protocol['stop_when']['rule']!r}; gate runs that were made without it"
            )


def _metric(run: TaskRun, demand: Demand) -> Metric:
    """The metric to check, the policy's or the task's headline, as a mean over examples."""
    require_measured(demand.metric)
    name, means = demand.metric or run.task.headline[0], run.task.means
    if name in means:
        return means[name]
    way_on = "gate the task without --sequential"
    if means:
        usable = " or ".join(f'metric = "{mean}"' for mean in means)
        way_on = f"set {usable} in the policy's [tasks.{run.task_manifest.name}]"
    raise UsageError(
        f"--sequential needs a metric that is a plain mean over examples, each within known bounds, and {name} of "
        f"{run.task_manifest.label} is not; {way_on}"
    )


def _rows(run: TaskRun) -> dict[str, list[ExampleScore]]:
    """The example scores of every example; an empty list if it has none."""
    rows = by_example(run.example_scores())
    return {example.id: rows.get(example.id, []) for example in run.examples()}


def _calls(run: TaskRun) -> Counter[str]:
    """Judge replies in the folder, by example."""
    calls: Counter[str] = Counter()
    for judgement in run.judgements():
        calls[judgement.example_id] += len(judgement.replies)
    return calls


def _require_answers(candidate: Run, key: str) -> None:
    run = candidate.tasks[key]
    if not run.task_manifest.protocol.get("judges"):
        raise UsageError(
            f"{candidate.path} is {candidate.manifest.status}, and {run.task_manifest.label} is verified without a "
            f"judge, so there are no calls to save. Start its command again to finish it"
        )
    if run.task_manifest.inputs.get("sampling") is None:
        return  # a file of answers will not get any more of them
    examples, answered = run.examples(), run.generations()
    lacking = sum(example.id not in answered for example in examples)
    if lacking:
        raise UsageError(
            f"--sequential generates no answers, but {candidate.path} lacks {lacking} of {len(examples)} of "
            f"{run.task_manifest.label}. Start its command again, or `judgebench generate` for the answers alone"
        )


def _judge_settings(baseline: Run, candidate: Run, keys: Sequence[str], settings: Settings) -> Settings:
    """The settings to judge with: the user's judge, else that of the candidate's last session, else the baseline's.

    A run folder may come from anyone: nothing in it chooses a host, a key or code.
    """
    began = all(candidate.tasks[key].task_manifest.judge_models for key in keys)
    like = candidate if began else baseline
    kept, budget = kept_judging(like.folder, like.manifest), kept_judging(candidate.folder, candidate.manifest).budget
    if not settings.judges:
        require_trusted(kept, "the rest of the candidate", like.path, settings)
        settings = replace(settings, judges=kept.judges, judge_args={**kept.arguments, **settings.judge_args})
    if not began and settings.own_judge is None:
        settings = replace(settings, own_judge=_own_judge(baseline, keys))
    return replace(
        settings,
        judge_gen=kept.judge_gen,
        judge_repeats=kept.judge_repeats,
        reask=kept.reask,
        judge_concurrency=kept.judge_concurrency,
        rpm=kept.rpm,
        tpm=kept.tpm,
        budget=budget if settings.budget is None else settings.budget,
    )


def _own_judge(run: Run, keys: Sequence[str]) -> OwnJudge | None:
    """The judge of the user's that judged a run, unless it reads by patterns, which are not taken from a run folder."""
    owned = (run.tasks[key].task_manifest.own_judge for key in keys)
    own = next((judge for judge in owned if judge is not None), None)
    return None if own is None or (own.verdict is not None and own.verdict.own_patterns) else own


def _check(run: TaskRun, demand: Demand, watch: DifferenceWatch, calls_before: int, *, ended: bool) -> Check:
    population, pairs = len(watch.order), watch.pairs
    missing = [(sum(pair[side] is None for pair in pairs), population) for side in (1, 0)]
    both = [(one, other) for one, other in pairs if one is not None and other is not None]
    own, others = (
        watch.metric.scale * sum(pair[side] for pair in both) / len(both) if both else None for side in (0, 1)
    )
    decision = Decision(
        VERDICTS[watch.decision.verdict] if watch.decided else "INCONCLUSIVE",
        None if own is None or others is None else own - others,
        len(both),
        f"what is missing (baseline {missing[0][0]}, candidate {missing[1][0]}) may turn out either way",
        watch.interval(1 - 2 * demand.defaults.alpha),
        p_value=watch.decision.p_above,
        p_worse=watch.decision.p_below,
    )
    calls = _calls(run)
    made, needed = calls.total(), sum(calls[name] for name in watch.order[: watch.n])
    everything = round(needed / watch.n * population) if watch.n else 0
    return verdicts.check_of(
        run,
        demand,
        watch.metric.name,
        watch.metric.unit,
        verdicts.within_limits(decision, demand.defaults, len(pairs), missing),
        values=(others, own),
        missing=missing,
        sequential=Sequential(
            n=watch.n,
            population=population,
            seed=ORDER_SEED,
            judge_calls=made,
            judge_calls_now=made - calls_before,
            judge_calls_needed=needed,
            judge_calls_saved=0 if ended else max(everything - made, 0),
        ),
    )
