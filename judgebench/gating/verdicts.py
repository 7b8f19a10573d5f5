"""Is a candidate at most so much worse than a baseline? A policy, and the verdict of each of its checks.

Three verdicts: PASS, the candidate is certainly less than ``max_drop`` worse; FAIL, it is certainly worse and does not
pass; INCONCLUSIVE, these items cannot tell. "Certainly" is at ``alpha``, one-sided, from the differences item by item.
The gate passes if every check passes, which needs no adjustment for their number; it fails if one fails, and those
p-values are adjusted, or many checks would fail good candidates.

Nothing is gained by failing items: those that the candidate lacks are counted as lost where that would change a PASS,
and above ``max_unread`` nothing passes.
"""

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from math import ceil, log
from typing import Any, Literal

import msgspec
import numpy as np

from judgebench.analysis.comparison import (
    Adjust,
    Found,
    names_of,
    official_files,
    on_common_clusters,
    paired_rows,
    sums_of,
    unlike_fields,
)
from judgebench.analysis.leaderboard import of_same_table, published_rows, stderr_of
from judgebench.display import figure, p_value
from judgebench.errors import UsageError
from judgebench.gating.policy import Defaults, Policy, TaskPolicy, Tier
from judgebench.records import Score, Upstream
from judgebench.run.reading import Run, TaskRun
from judgebench.stats.clustered import ClusterTotals, difference
from judgebench.stats.intervals import Interval
from judgebench.stats.margins import Decision, Verdict, non_inferiority, unpaired_non_inferiority
from judgebench.stats.multiplicity import adjusted_p_values

PUBLISHED = "published:"
"""What the name of a published row begins with, where a baseline is asked for: ``published:MODEL``."""
POWER = 0.8
"""With which a repetition of ``n_to_decide`` items would decide."""

OnInconclusive = Literal["fail", "warn", "pass"]


class Sequential(msgspec.Struct, frozen=True, kw_only=True):
    """How far a check with ``--sequential`` had to go."""

    n: int
    """Examples that were looked at, from the beginning of the order on."""
    population: int
    """Examples in all: what is decided is about these."""
    seed: int
    """Of the random order."""
    judge_calls: int
    """Judge replies in the candidate's folder; what was on its way when it was decided is not in it."""
    judge_calls_now: int
    """Of these, added by this command."""
    judge_calls_needed: int
    """Of these, for the examples looked at."""
    judge_calls_saved: int
    """What judging the rest would cost, at the rate of the examples looked at; 0 where all were judged before."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One task's verdict."""

    task: str
    metric: str
    unit: str
    tier: Tier
    verdict: Verdict
    paired: bool
    """Item by item; a published baseline has only its number."""
    starter: bool
    max_drop: float
    baseline_value: float | None
    candidate_value: float | None
    difference: float | None
    """Candidate - baseline, over the items that both have."""
    low: float | None
    high: float | None
    level: float
    """1 - 2 alpha: each bound is one-sided at alpha."""
    p_pass: float | None
    """Of the test whose rejection is PASS."""
    p_fail: float | None
    """Of the test whose rejection is FAIL."""
    p_fail_adjusted: float | None
    n: int
    """Items compared."""
    n_to_decide: int | None
    """With which a repetition would decide with a power of 80 %, were the true difference the one found."""
    n_if_equal: int | None
    """With which it would pass with that power, were there no difference."""
    items: int
    """Of the whole set; where a metric counts turns or answers, those."""
    candidate_missing: int
    """Of these: failed, unread, or without an answer."""
    baseline_missing: int
    if_lost: float | None
    """The difference with what the candidate lacks counted as lost."""
    reason: str | None
    """Why it is inconclusive whatever the numbers say."""
    rule: str | None = None
    """By which the candidate's value was made, where it is not ours but that of the published row."""
    sequential: Sequential | None = None
    """With ``--sequential``: then the values are those of the examples looked at, and the interval and the p-values are
    about all examples and hold however often they were looked at."""


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate found."""

    verdict: Verdict
    """Of the checks that block."""
    baseline: str
    candidate: str
    baseline_path: str | None
    candidate_path: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    alpha: float
    adjust: Adjust


def exit_code(result: Gate, on_inconclusive: OnInconclusive) -> int:
    """0 passed, 1 a regression, 3 inconclusive unless that is to pass."""
    if result.verdict == "INCONCLUSIVE":
        return 3 if on_inconclusive == "fail" else 0
    return 1 if result.verdict == "FAIL" else 0


def gate(baseline: Run | str, candidate: Run, policy: Policy, *, files: Found | None = None) -> Gate:
    """Hold a candidate against a baseline.

    Parameters
    ----------
    baseline
        A run, or the name of a model of the published tables, whose figures are then held against the candidate's
        without pairing.
    candidate
        A run.
    policy
        What is checked, and how much may be lost.
    files
        Gives official files to the numbers that need one (``comparison.official_files``).

    Raises
    ------
    UsageError
        If a task that is to be checked is missing, the protocols are unlike, or no item is in both runs.
    """
    if isinstance(baseline, str):
        checks, notes = _against_published(baseline, candidate, policy)
        name, place = f"{baseline} (published)", None
    else:
        checks, notes = _against_run(baseline, candidate, policy, files or official_files())
        name, place = baseline.manifest.candidate, str(baseline.path)
    notes += [
        f"the run {run.path} is {run.manifest.status}, so that what it lacks may still come"
        for run in (baseline, candidate)
        if isinstance(run, Run) and run.manifest.status != "complete"
    ]
    return concluded(checks, notes, policy.defaults, baseline=(name, place), candidate=candidate)


def concluded(
    checks: Sequence[Check],
    notes: Sequence[str],
    defaults: Defaults,
    *,
    baseline: tuple[str, str | None],
    candidate: Run,
) -> Gate:
    """The gate's verdict from those of its checks; ``baseline`` is its name, and its path if it is a run."""
    checks, notes = _adjusted(checks, defaults), list(notes)
    blocking = {check.verdict for check in checks if check.tier == "block"}
    verdict: Verdict = "FAIL" if "FAIL" in blocking else "INCONCLUSIVE" if "INCONCLUSIVE" in blocking else "PASS"
    if any(check.starter for check in checks):
        notes.append("the starter set says nothing about quality, and nor does a gate on it")
    if not blocking:
        notes.append("no check blocks: every one is of the tier warn")
    return Gate(
        verdict=verdict,
        baseline=baseline[0],
        candidate=candidate.manifest.candidate,
        baseline_path=baseline[1],
        candidate_path=str(candidate.path),
        checks=tuple(checks),
        notes=tuple(notes),
        alpha=defaults.alpha,
        adjust=defaults.adjust,
    )


# -- which checks


def _policies(candidate: Run, policy: Policy) -> tuple[dict[str, tuple[TaskPolicy, float]], list[str]]:
    """What is asked of each of the candidate's tasks, by key, and which are not gated."""
    chosen: dict[str, tuple[TaskPolicy, float]] = {}
    for name, own in policy.tasks.items():
        keys = [key for key, run in candidate.tasks.items() if name in names_of(run)]
        if not keys:
            held = ", ".join(run.task_manifest.label for run in candidate.tasks.values()) or "none"
            raise UsageError(
                f"the policy asks for the task {name!r}, which the candidate {candidate.path} does not have; it has "
                f"{held}. Evaluate it, or take tasks.{name} out of the policy"
            )
        drop = own.max_drop if own.max_drop is not None else policy.defaults.max_drop
        if drop is None:
            raise UsageError(f"the policy says no max_drop for the task {name!r}, neither its own nor a default")
        chosen |= dict.fromkeys(keys, (own, drop))
    rest = [key for key in candidate.tasks if key not in chosen]
    if policy.defaults.max_drop is not None:
        chosen |= {key: (TaskPolicy(), policy.defaults.max_drop) for key in rest}
        rest = []
    if not chosen:
        raise UsageError("nothing says how much may be lost: give --max-drop, or a policy with a max_drop")
    return chosen, [
        f"{candidate.tasks[key].task_manifest.label} is not gated: the policy has no max_drop for it" for key in rest
    ]


def _settled_metric(run: TaskRun, policy: TaskPolicy) -> str:
    """The metric to check: the policy's, or the first of the task's headline that the run has."""
    there = dict.fromkeys(score.metric for score in run.scores if score.group is None)
    if policy.metric is None:
        headline = [metric for metric in run.task.headline if metric in there] or list(there)
        if not headline:
            raise UsageError(f"{run.folder.path} has no score over all items that could be gated")
        return headline[0]
    if policy.metric not in there:
        raise UsageError(
            f"the policy asks for the metric {policy.metric!r} of {run.task_manifest.label}, which has "
            f"{', '.join(there) or 'none'}"
        )
    if run.task.metric(policy.metric).direction == "none":
        raise UsageError(
            f"the policy asks for the metric {policy.metric!r} of {run.task_manifest.label}, of which more is not "
            f"better; a gate needs one such as {run.task.headline[0]}"
        )
    return policy.metric


# -- against a run


def _against_run(baseline: Run, candidate: Run, policy: Policy, files: Found) -> tuple[list[Check], list[str]]:
    chosen, notes = tasks_to_gate(baseline, candidate, policy)
    checks = []
    for key, own, drop in chosen:
        run, other = candidate.tasks[key], baseline.tasks[key]
        require_same_protocol(baseline, candidate, key)
        checks.append(_paired_check(other, run, own, drop, policy.defaults, files))
    return checks, notes


def tasks_to_gate(
    baseline: Run, candidate: Run, policy: Policy
) -> tuple[list[tuple[str, TaskPolicy, float]], list[str]]:
    """What is asked of each task that both runs have, by key, with the drop; and notes on what is not gated.

    Raises :class:`UsageError` if a task that is to be checked is missing, or there is none.
    """
    chosen, notes = _policies(candidate, policy)
    for key, run in baseline.tasks.items():
        if key not in candidate.tasks and policy.defaults.max_drop is not None:
            raise UsageError(
                f"the baseline {baseline.path} has the task {run.task_manifest.label} and the candidate "
                f"{candidate.path} has not; what is not evaluated cannot pass. Evaluate it, or name the tasks to gate "
                f"in a policy without defaults.max_drop"
            )
    both = []
    for key, (own, drop) in chosen.items():
        run = candidate.tasks[key]
        if key not in baseline.tasks:
            if key in _named(candidate, policy):
                raise UsageError(
                    f"the policy asks for the task {run.task_manifest.label}, which the baseline {baseline.path} does "
                    f"not have; it has "
                    f"{', '.join(one.task_manifest.label for one in baseline.tasks.values()) or 'none'}"
                )
            notes.append(f"{run.task_manifest.label} is not gated: the baseline does not have it")
            continue
        both.append((key, own, drop))
    if not both:
        raise UsageError(f"{baseline.path} and {candidate.path} have no task in common, so there is nothing to gate")
    return both, notes


def _named(candidate: Run, policy: Policy) -> set[str]:
    return {key for key, run in candidate.tasks.items() if set(names_of(run)) & set(policy.tasks)}


def require_same_protocol(baseline: Run, candidate: Run, key: str) -> None:
    """Raise :class:`UsageError` with the fields in which the runs' protocols for a task differ, if they do."""
    other, run = baseline.tasks[key], candidate.tasks[key]
    if other.task_manifest.protocol_hash == run.task_manifest.protocol_hash:
        return
    found = unlike_fields(other, run)
    told = "; ".join(f"{name}: {one!r} and {two!r}" for name, one, two in found[:4])
    more = f", and {len(found) - 4} further fields" if len(found) > 4 else ""
    raise UsageError(
        f"{run.task_manifest.label} was evaluated by unlike protocols in {baseline.path} and {candidate.path}, so that "
        f"their numbers cannot be held against each other; they differ in {told}{more}. Evaluate one of them again as "
        f"the other was"
    )


def _paired_check(
    baseline: TaskRun, candidate: TaskRun, policy: TaskPolicy, drop: float, defaults: Defaults, files: Found
) -> Check:
    metric = _settled_metric(candidate, policy)
    rows, paired = paired_rows([run.example_scores() for run in (baseline, candidate)])
    examples, own_scores = candidate.examples(), [_score(run, metric) for run in (baseline, candidate)]
    missing = [(score.n_missing, score.n + score.n_missing) for score in own_scores]
    if not paired[0]:
        raise UsageError(
            f"{candidate.task_manifest.label}: no item has a value in both runs (the baseline lacks {missing[0][0]} of "
            f"{missing[0][1]}, the candidate {missing[1][0]}), so there is nothing to gate. Finish the runs: start the "
            f"same command again"
        )
    name = (metric, None)
    found = [sums_of(run, examples, own, files) for run, own in zip((baseline, candidate), paired, strict=True)]
    if not all(name in sums and sums[name].n_clusters for sums in found):
        why = next((score.reason for score in own_scores if score.reason), "it is not made of scores of single items")
        raise UsageError(
            f"{candidate.task_manifest.label}: {metric} cannot be compared item by item: {why}. Gate another of its "
            f"metrics"
        )
    own_baseline, own_candidate = on_common_clusters([sums[name] for sums in found])
    unit = own_scores[1].unit
    bounds = candidate.task.metric(metric, unit).limits
    most = 100.0 if unit == "percent" else None
    decision = decide(own_baseline, own_candidate, drop, defaults.alpha, bounds, most)
    verdict, reason, lost = decision.verdict, decision.reason, None
    if own_scores[1].n_missing:
        valued = [row for row in rows[0].values() if row.value is not None]
        everything = sums_of(baseline, examples, valued, files).get(name)
        completed = None if everything is None else _counting_lost(everything, own_baseline, own_candidate, bounds)
        if everything is not None and completed is not None:
            strict = decide(everything, completed, drop, defaults.alpha, bounds, most)
            lost = strict.difference
            if verdict == "PASS" and strict.verdict != "PASS":
                verdict = "INCONCLUSIVE"
                reason = f"it passes only if the {missing[1][0]} items that the candidate lacks are left out"
    limit = beyond_limits(defaults, own_baseline.n_clusters, missing)
    if limit is not None and (verdict != "FAIL" or limit[1]):
        verdict, reason = "INCONCLUSIVE", limit[0]
    return _check(
        candidate,
        metric,
        unit,
        policy,
        drop,
        defaults,
        decision,
        verdict=verdict,
        reason=reason if verdict == "INCONCLUSIVE" else None,
        values=(own_baseline.value, own_candidate.value),
        missing=missing,
        if_lost=lost,
        paired=True,
    )


def _score(run: TaskRun, metric: str) -> Score:
    """A metric over all items, as the run has it."""
    for score in run.scores:
        if (score.metric, score.group) == (metric, None):
            return score
    raise UsageError(f"{run.folder.path} has no {metric}; score the run again with `judgebench score`")


def beyond_limits(defaults: Defaults, n: int, missing: Sequence[tuple[int, int]]) -> tuple[str, bool] | None:
    """Why nothing passes, and whether nothing fails either; ``missing`` and all of the baseline's, the candidate's."""
    if n < defaults.min_n:
        return f"{n} items are compared, and min_n asks for {defaults.min_n}", True
    for (count, total), whose in zip(missing, ("baseline", "candidate"), strict=True):
        if count > defaults.max_unread * total:
            limit = f"{defaults.max_unread:.1%}"
            return f"the {whose} lacks {count} of {total} ({count / total:.1%}), and max_unread is {limit}", False
    return None


def _counting_lost(
    everything: ClusterTotals, baseline: ClusterTotals, candidate: ClusterTotals, bounds: tuple[float, float] | None
) -> ClusterTotals | None:
    """The candidate with what only the baseline has, each at the worst that an item can come to, or came to here."""
    shapes = {one.numerator.shape[1] for one in (everything, baseline, candidate)}
    if len(shapes) > 1 or not np.isin(baseline.clusters, everything.clusters).all():
        return None
    worst = bounds[0] if bounds else min(float(_values(one).min()) for one in (everything, candidate))
    place = np.searchsorted(everything.clusters, baseline.clusters)
    absent = everything.denominator.copy()
    absent[place] -= baseline.denominator
    numerator, denominator = worst * absent, absent
    numerator[place] += candidate.numerator
    denominator[place] += candidate.denominator
    return ClusterTotals(everything.clusters, numerator, denominator, everything.weights, everything.n)


def _values(statistic: ClusterTotals) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Of every item and term that has one."""
    there = statistic.denominator > 0
    return np.asarray(statistic.numerator[there] / statistic.denominator[there], dtype=np.float64)


def decide(
    baseline: ClusterTotals,
    candidate: ClusterTotals,
    drop: float,
    alpha: float,
    bounds: tuple[float, float] | None,
    most: float | None = None,
) -> Decision:
    """The verdict on two statistics on the same items; ``bounds`` are those of one item, if they are known, and
    ``most`` is what an item loses where losses are whole, as in percent of wins or right answers.

    Where all items differ by the same there is no spread to judge by, and the bounds decide.
    """
    apart = difference(candidate, baseline)
    decision = non_inferiority(apart, drop, alpha=alpha, power=POWER, most=most)
    if decision.p_value is not None or apart.value is None or apart.n_clusters < 2 or bounds is None:
        return decision
    return _without_spread(decision, apart.value, apart.n_clusters, bounds[1] - bounds[0], drop, alpha)


def _without_spread(decision: Decision, value: float, n: int, span: float, drop: float, alpha: float) -> Decision:
    """The verdict where all items differ by the same, mostly by nothing.

    None of n items then differs otherwise, which has a chance of alpha if a share 1 - alpha^(1/n) of all do: the true
    difference is at most that share of the span between the bounds away.
    """
    beyond = span * (1 - alpha ** (1 / n))
    distance = value + drop
    verdict: Verdict = "INCONCLUSIVE"
    if value - beyond > -drop:
        verdict = "PASS"
    elif value + beyond < 0:
        verdict = "FAIL"
    needed = ceil(log(alpha) / log(1 - distance / span)) if 0 < distance < span else None
    interval = Interval(value - beyond, value + beyond, 1 - 2 * alpha, "no item differs otherwise")
    reason = None if verdict != "INCONCLUSIVE" else f"the {n} items do not differ, and are too few to tell by that"
    return replace(decision, verdict=verdict, interval=interval, n_to_decide=needed, n_if_equal=needed, reason=reason)


def _check(
    run: TaskRun,
    metric: str,
    unit: str,
    policy: TaskPolicy,
    drop: float,
    defaults: Defaults,
    decision: Decision,
    *,
    verdict: Verdict,
    reason: str | None,
    values: tuple[float | None, float | None],
    missing: Sequence[tuple[int, int]],
    if_lost: float | None,
    paired: bool,
    rule: str | None = None,
) -> Check:
    interval = decision.interval
    return Check(
        task=run.task_manifest.label,
        metric=metric,
        unit=unit,
        tier=policy.tier,
        verdict=verdict,
        paired=paired,
        starter=run.task_manifest.starter,
        max_drop=drop,
        baseline_value=values[0],
        candidate_value=values[1],
        difference=decision.difference,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        level=1 - 2 * defaults.alpha,
        p_pass=_larger(decision.p_value, decision.p_corrected),
        p_fail=_larger(decision.p_worse, decision.p_worse_corrected),
        p_fail_adjusted=None,
        n=decision.n_clusters,
        n_to_decide=decision.n_to_decide if verdict == "INCONCLUSIVE" else None,
        n_if_equal=decision.n_if_equal,
        items=missing[1][1],
        candidate_missing=missing[1][0],
        baseline_missing=missing[0][0],
        if_lost=if_lost,
        reason=reason,
        rule=rule,
    )


def _larger(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else max(one, other)


def _adjusted(checks: Sequence[Check], defaults: Defaults) -> list[Check]:
    """A FAIL stays one if its adjusted p-value is below alpha, too."""
    given = [check.p_fail for check in checks if check.p_fail is not None]
    adjusted = given if defaults.adjust == "none" else adjusted_p_values(given, defaults.adjust).tolist()
    values = iter(adjusted)
    found = []
    for check in checks:
        adjusted = None if check.p_fail is None else next(values)
        changed: dict[str, Any] = {"p_fail_adjusted": adjusted}
        if check.verdict == "FAIL" and check.p_fail is not None and adjusted is not None and adjusted >= defaults.alpha:
            why = f"it is worse by itself ({p_value(check.p_fail)}), but not among {len(given)} checks"
            changed |= {"verdict": "INCONCLUSIVE", "reason": why}
        found.append(msgspec.structs.replace(check, **changed))
    return found


# -- against a published row


def _against_published(model: str, candidate: Run, policy: Policy) -> tuple[list[Check], list[str]]:
    """The candidate's own number less the published one; nothing is known of single items."""
    chosen, notes = _policies(candidate, policy)
    checks = []
    for key, (own, drop) in chosen.items():
        run = candidate.tasks[key]
        task, label = run.task, f"{run.task_manifest.name}@{run.task_manifest.version}"
        listed = published_rows(run.task_manifest.name)
        rows = of_same_table(task, listed)
        row = next((row for row in rows if row.model == model), None)
        if row is None:
            if key in _named(candidate, policy) or len(chosen) == 1:
                tables = sorted({row.task for row in listed if row.task.startswith(f"{label}:")})
                raise UsageError(_unpublished(run.task_manifest.label, model, [row.model for row in rows], tables))
            notes.append(f"{label} is not gated: no row of {model} is published")
            continue
        unlike = _not_official(run)
        if unlike:
            raise UsageError(
                f"{run.task_manifest.label} was not evaluated as the published rows were, so that {candidate.path} "
                f"cannot be held against them; it differs in {'; '.join(unlike)}"
            )
        metric = _settled_metric(run, own)
        published = row.scores.get(metric)
        if published is None or published.value is None:
            raise UsageError(f"the published row of {model} on {label} has no {metric}; it has {', '.join(row.scores)}")
        if (why := task.metric(metric).needs_table) is not None:
            raise UsageError(
                f"{metric} of {candidate.path} cannot be held against the published one: {why}. Gate another metric, "
                f"or name a run as the baseline"
            )
        checks.append(_unpaired_check(run, metric, published, own, drop, policy.defaults))
        known = "" if stderr_of(published) else ", taken as exact because no error is published with it"
        notes.append(f"{label}: unpaired, against the published {metric} of {model} ({row.origin}){known}")
    if not checks:
        raise UsageError(f"no row of {model!r} is published for any task of {candidate.path}")
    return checks, notes


def _unpublished(label: str, model: str, known: Sequence[str], tables: Sequence[str]) -> str:
    near = get_close_matches(model, known, n=3, cutoff=0.4)
    hint = f"near are {', '.join(near)}" if near else f"there are {len(known)} rows of this task"
    if not known and tables:
        hint = f"what is published are {', '.join(tables)}"
    listed = "`judgebench leaderboard --published` lists them"
    return f"no row of the model {model!r} is published for {label}; {hint}. {listed}"


def _not_official(run: TaskRun) -> list[str]:
    """In what a run's protocol is not that of the published table of its options, by field."""
    protocol, task = run.task_manifest.protocol, run.task
    options = protocol.get("options", {})
    own = {name: options[name] for name in options if name not in (*task.rule_options, *task.table_options)}
    stop = protocol.get("stop_when")
    fields = [("starter", protocol.get("starter"), False), ("options", own, {}), ("stop_when", stop, None)]
    fields += [(name, protocol.get(name), 1) for name in ("repeats", "judge_repeats")]
    found = [
        f"{name} ({given!r}, and {official!r} in the published rows)"
        for name, given, official in fields
        if given != official
    ]
    if run.task_manifest.code is not None:
        found.append(
            f"code (that of the file {run.task_manifest.code.file}, and the benchmark's own in the published rows)"
        )
    n = protocol.get("examples", {}).get("n")
    if n != task.official_examples:
        found.append(f"examples.n ({n}, and {task.official_examples} in the published rows)")
    if protocol.get("baselines"):
        found.append(f"baselines ({', '.join(protocol['baselines'])}, and the benchmark's own in the published rows)")
    official_judges = {name: spec.partition(":")[2] for name, spec in task.judge_models.items()}
    for name, judge in protocol.get("judges", {}).items():
        model = judge.get("model", "a jury")
        if model != official_judges.get(name):
            found.append(f"judges.{name}.model ({model}, and {official_judges.get(name, 'another judge')} in them)")
    return found


def _unpaired_check(
    run: TaskRun, metric: str, published: Score, policy: TaskPolicy, drop: float, defaults: Defaults
) -> Check:
    own = _score(run, metric)
    if own.value is None or published.value is None:
        raise UsageError(f"{run.folder.path}: {metric} has no value: {own.reason}")
    upstream = own.upstream
    value = own.value if upstream is None else upstream.value
    error = own.stderr if upstream is None or upstream.stderr is None else upstream.stderr
    stderr = ((error or 0.0) ** 2 + (stderr_of(published) or 0.0) ** 2) ** 0.5
    decision = unpaired_non_inferiority(value - published.value, stderr, own.n, drop, alpha=defaults.alpha, power=POWER)
    missing = ((0, 0), (own.n_missing, own.n + own.n_missing))
    verdict, reason = decision.verdict, decision.reason
    limit = beyond_limits(defaults, own.n, missing)
    if limit is not None and (verdict != "FAIL" or limit[1]):
        verdict, reason = "INCONCLUSIVE", limit[0]
    return _check(
        run,
        metric,
        own.unit,
        policy,
        drop,
        defaults,
        decision,
        verdict=verdict,
        reason=reason,
        values=(published.value, value),
        missing=missing,
        if_lost=None,
        paired=False,
        rule=None if upstream is None or upstream.value == own.value else _rule(own, upstream),
    )


def _rule(own: Score, upstream: Upstream) -> str:
    """What was held against a published row, in place of our own number."""
    ours = figure(own.value, own.unit)
    return f"by upstream's rule, as the published row was made, and {ours} by ours: {upstream.reason}"
