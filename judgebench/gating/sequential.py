"""``gate --sequential``: the gate's question about the N examples themselves, answered after as few as it takes.

The paired differences of a metric that is a plain mean over examples are looked at in the random order of ``stopping``;
PASS or FAIL is said at the first example at which ``stopping.decide_difference`` is sure, and the candidate's judging
stops there. What is asked is whether the mean difference over these N examples is at least ``-max_drop``: with all of
them judged there is always an answer, unless verdicts are missing, which may turn out as anything. (Whether other
prompts would give the same answer is what ``gating`` asks.)

``max_unread`` is a share of all N, held against what is missing among the examples looked at; nothing is decided by
fewer than ``min_n``. Each decision is at ``alpha``, of several checks at ``alpha`` divided by their number unless
``adjust`` is ``none``: an adjustment that looks at all p-values comes too late for those that stopped at theirs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec

from judgebench import tasks
from judgebench.errors import UsageError
from judgebench.gating.policy import Defaults, Policy, TaskPolicy
from judgebench.gating.verdicts import (
    Check,
    Gate,
    Sequential,
    beyond_limits,
    concluded,
    require_same_protocol,
    tasks_to_gate,
)
from judgebench.models.opening import parse_model
from judgebench.records import ExampleScore
from judgebench.run.archive import is_archive
from judgebench.run.pipeline import Observer
from judgebench.run.reading import Run, TaskRun, read_run
from judgebench.run.run_tasks import TaskFiles
from judgebench.run.runner import Runner
from judgebench.run.settings import Settings
from judgebench.run.stopping import ORDER_SEED, DifferenceWatch
from judgebench.stats.margins import Verdict
from judgebench.task.metric import Metric, by_example

ENDED = ("complete", "incomplete")
"""What the manifest says of a run whose examples were all judged, or tried."""
TRUSTED_ARGUMENTS = ("api", "max_attempts", "reasoning_effort", "timeout_seconds", "usd_per_million")
"""Arguments of a judge's backend that a manifest may give: none that names a host, a key, a file or code."""
VERDICTS: Mapping[str, Verdict] = {"above": "PASS", "below": "FAIL", "undecided": "INCONCLUSIVE"}


class _Judging(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of a session's settings: how it judged."""

    judges: tuple[str, ...] = ()
    judge_args: dict[str, str] = {}
    judge_gen: dict[str, str] = {}
    judge_repeats: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    judge_concurrency: Annotated[int, msgspec.Meta(ge=1, le=100_000)] | None = None
    api_key_env: str | None = None
    rpm: Annotated[float, msgspec.Meta(gt=0)] | None = None
    tpm: Annotated[float, msgspec.Meta(gt=0)] | None = None
    budget: Annotated[float, msgspec.Meta(ge=0)] | None = None


def sequential_gate(baseline: Path, candidate: Path, policy: Policy, settings: Settings, *, observer: Observer) -> Gate:
    """Hold a candidate against a baseline in random order, judging no more of the candidate than is needed.

    Parameters
    ----------
    baseline
        Run folder or archive, judged to its end.
    candidate
        Run folder or archive. One that is not judged to its end must hold all its answers: it is judged as it was
        before, or else as the baseline was, and left as after an interruption, so that ``judgebench judge`` or the same
        gate goes on where it was.
    policy
        What is checked, and how much may be lost.
    settings
        What the user says: the files of tasks (``tasks``), where official files are, and of the judge ``judges``,
        ``judge_args``, ``api_key_env`` and ``budget``, which are stronger than what the runs say.
    observer
        Told of every judged case.

    Raises
    ------
    UsageError
        If a task or answer is missing, the protocols are unlike, a run has ``--stop-when``, a metric is no plain mean
        over examples, or the runs name a judge that only the user may name.
    """
    files = tasks.task_files(settings.tasks)
    first = read_run(baseline, files)
    second = _candidate(candidate, files)
    if first.manifest.status not in ENDED:
        raise UsageError(
            f"--sequential holds a candidate against a baseline that is judged to its end, but {baseline} is "
            f"{first.manifest.status}; finish it with `judgebench judge {baseline}`, or start its command again"
        )
    chosen, notes = tasks_to_gate(first, second, policy)
    alpha = policy.defaults.alpha / (1 if policy.defaults.adjust == "none" else len(chosen))
    watches = {}
    for key, own, drop in chosen:
        _forbid_early_stops(first, second, key)
        _metric(second.tasks[key], own)  # so that the candidate's task is looked at, too
        metric = _metric(first.tasks[key], own)
        if drop > metric.span:
            raise UsageError(
                f"a max_drop of {drop:g} for {metric.name} of {first.tasks[key].task_manifest.label} is more than any "
                f"two numbers can differ by, {metric.span:g}"
            )
        numbers = {name: metric.value_of(rows) for name, rows in _rows(first.tasks[key]).items()}
        watches[key] = DifferenceWatch(numbers, drop, metric, level=1 - alpha, least=policy.defaults.min_n)
    before = {key: sum(_calls(second.tasks[key]).values()) for key in watches}
    if second.manifest.status in ENDED:
        for key, watch in watches.items():
            require_same_protocol(first, second, key)
            watch.take(_rows(second.tasks[key]))
    else:
        for key in watches:
            _require_answers(second, key)
        Runner(_judge_settings(first, second, list(watches), settings), observer).judge_until_decided(
            second.folder, watches, {key: first.tasks[key].task_manifest for key in watches}
        )
        notes.append(
            f"{candidate} is judged as far as was needed, and not scored: `judgebench judge {candidate}` does the rest"
        )
    checks = [
        _check(first.tasks[key], second, own, drop, policy.defaults, watches[key], before[key])
        for key, own, drop in chosen
    ]
    return concluded(
        checks, notes, policy.defaults, baseline=(first.manifest.candidate, str(baseline)), candidate=second
    )


def _candidate(path: Path, files: TaskFiles) -> Run:
    """The candidate's run, with its scores only if it is judged to its end."""
    if is_archive(path):
        run = read_run(path, files)
        if run.manifest.status not in ENDED:
            raise UsageError(f"{path} is not judged to its end, and nothing can be judged in an archive; unpack it")
        return run
    run = read_run(path, files, unfinished=True)
    return read_run(path, files) if run.manifest.status in ENDED else run


def _forbid_early_stops(baseline: Run, candidate: Run, key: str) -> None:
    for run in (baseline, candidate):
        if run.tasks[key].task_manifest.protocol.get("stop_when"):
            raise UsageError(
                f"--sequential stops by the difference of two runs, but {run.path} was judged with --stop-when "
                f"{run.tasks[key].task_manifest.protocol['stop_when']['rule']!r}, which is a protocol of its own; gate "
                f"runs that were made without it"
            )


def _metric(run: TaskRun, policy: TaskPolicy) -> Metric:
    """The metric to check, the policy's or the task's headline, as a mean over examples."""
    metric = policy.metric or run.task.headline[0]
    if metric in run.task.means:
        return run.task.means[metric]
    usable = " or ".join(f'metric = "{name}"' for name in run.task.means)
    way_on = (
        f"gate {usable} of it, in the policy's [tasks.{run.task_manifest.name}]"
        if usable
        else "gate it without --sequential"
    )
    raise UsageError(
        f"--sequential needs a metric that is a plain mean over examples, each with a number within known bounds, and "
        f"{metric} of {run.task_manifest.label} is none; {way_on}"
    )


def _rows(run: TaskRun) -> dict[str, list[ExampleScore]]:
    """Example scores of every example, none for those without."""
    found = by_example(run.example_scores())
    return {example.id: found.get(example.id, []) for example in run.examples()}


def _calls(run: TaskRun) -> dict[str, int]:
    """Judge replies in the folder, by example."""
    found: dict[str, int] = {}
    for judgement in run.judgements():
        found[judgement.example_id] = found.get(judgement.example_id, 0) + len(judgement.replies)
    return found


def _require_answers(candidate: Run, key: str) -> None:
    run = candidate.tasks[key]
    if not run.task_manifest.protocol.get("judges"):
        raise UsageError(
            f"{candidate.path} is {candidate.manifest.status}, and {run.task_manifest.label} is verified, not judged: "
            f"there are no judge calls to save. Start its command again to finish it"
        )
    if run.task_manifest.inputs.get("sampling") is None:
        return  # what a file of answers lacks does not come any more
    examples, answered = run.examples(), run.generations()
    lacking = sum(example.id not in answered for example in examples)
    if lacking:
        raise UsageError(
            f"--sequential judges answers that are there, but {candidate.path} lacks {lacking} of {len(examples)} of "
            f"{run.task_manifest.label}. Start its command again to finish them (`judgebench generate` makes answers "
            f"alone)"
        )


def _judge_settings(baseline: Run, candidate: Run, keys: Sequence[str], settings: Settings) -> Settings:
    """The judge that the user names, or as the candidate's last session had it, or if that had none, the baseline's.

    A run folder may be anybody's: what it says never chooses a host, a key or code.
    """
    began = all(candidate.tasks[key].task_manifest.judge_models for key in keys)
    like = candidate if began else baseline
    kept, budget = _judging(like), _judging(candidate).budget
    if not settings.judges:
        _require_trusted(kept, like.path, settings)
        settings = replace(settings, judges=kept.judges, judge_args={**kept.judge_args, **settings.judge_args})
    return replace(
        settings,
        judge_gen=kept.judge_gen,
        judge_repeats=kept.judge_repeats,
        judge_concurrency=kept.judge_concurrency,
        rpm=kept.rpm,
        tpm=kept.tpm,
        budget=budget if settings.budget is None else settings.budget,
    )


def _judging(run: Run) -> _Judging:
    sessions = run.manifest.sessions
    try:
        return msgspec.convert(sessions[-1].config if sessions else {}, _Judging)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"{run.folder.manifest_path} is damaged: the settings of its last session are not what judgebench writes "
            f"({error})"
        ) from error


def _require_trusted(kept: _Judging, run: Path, settings: Settings) -> None:
    """Raise :class:`UsageError` if the user would have to be asked before this judge is."""
    doubts = [f"judges with {text}" for text in kept.judges if not _trusted(text)]
    doubts += [f"gives {name}={kept.judge_args[name]}" for name in kept.judge_args if name not in TRUSTED_ARGUMENTS]
    if kept.api_key_env is not None and settings.api_key_env is None:
        doubts.append(f"takes the key from {kept.api_key_env}")
    if doubts:
        raise UsageError(
            f"the rest of the candidate would be judged as {run} was, which {', '.join(doubts)}. A run folder may be "
            f"anybody's, so it chooses no checkpoint, no other host, no key and no code. If this is the judge that you "
            f"want, name it with --judge, and with --judge-arg and --api-key-env what it needs"
        )


def _trusted(text: str) -> bool:
    """Whether a judge may be asked because a manifest names it: a vendor's model, a server here, the built-in one."""
    spec, _ = parse_model(text)
    return spec.backend.trusts(spec.target)


def _check(
    baseline: TaskRun,
    candidate: Run,
    policy: TaskPolicy,
    drop: float,
    defaults: Defaults,
    watch: DifferenceWatch,
    calls_before: int,
) -> Check:
    run, population, pairs = candidate.tasks[baseline.key], len(watch.order), watch.pairs
    verdict = VERDICTS[watch.decision.verdict] if watch.decided else "INCONCLUSIVE"
    missing = [(sum(pair[side] is None for pair in pairs), population) for side in (1, 0)]
    reason = f"what is missing (baseline {missing[0][0]}, candidate {missing[1][0]}) may turn out either way"
    limit = beyond_limits(defaults, len(pairs), missing)
    if limit is not None and (verdict != "FAIL" or limit[1]):
        verdict, reason = "INCONCLUSIVE", limit[0]
    both = [(one, other) for one, other in pairs if one is not None and other is not None]
    own, others = (
        watch.metric.scale * sum(pair[side] for pair in both) / len(both) if both else None for side in (0, 1)
    )
    interval = watch.interval(1 - 2 * defaults.alpha)
    calls = _calls(run)
    made, needed = sum(calls.values()), sum(calls.get(name, 0) for name in watch.order[: watch.n])
    everything = round(needed / watch.n * population) if watch.n else 0
    return Check(
        task=run.task_manifest.label,
        metric=watch.metric.name,
        unit=watch.metric.unit,
        tier=policy.tier,
        verdict=verdict,
        paired=True,
        starter=run.task_manifest.starter,
        max_drop=drop,
        baseline_value=others,
        candidate_value=own,
        difference=None if own is None or others is None else own - others,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        level=1 - 2 * defaults.alpha,
        p_pass=watch.decision.p_above,
        p_fail=watch.decision.p_below,
        p_fail_adjusted=None,
        n=len(both),
        n_to_decide=None,
        n_if_equal=None,
        items=population,
        candidate_missing=missing[1][0],
        baseline_missing=missing[0][0],
        if_lost=None,
        reason=reason if verdict == "INCONCLUSIVE" else None,
        sequential=Sequential(
            n=watch.n,
            population=population,
            seed=ORDER_SEED,
            judge_calls=made,
            judge_calls_now=made - calls_before,
            judge_calls_needed=needed,
            judge_calls_saved=0 if candidate.manifest.status in ENDED else max(everything - made, 0),
        ),
    )
