"""Verdicts of a gate: whether a candidate is at most ``max_drop`` worse than a baseline, for each task of a policy.

There are three verdicts. PASS: the candidate is certainly less than ``max_drop`` worse. FAIL: it is certainly worse and
does not pass. INCONCLUSIVE: these items cannot tell. "Certainly" means one-sided, at ``alpha``, from the differences
item by item. The gate passes if every check passes, which needs no adjustment for the number of checks. It fails if one
fails; those p-values are adjusted, because otherwise many checks would fail good candidates.

A candidate gains nothing by failing items: the gate counts the items that it lacks as lost where that would change a
PASS, and passes nothing if more than ``max_unread`` are missing. How the gate is printed is in ``cli`` and
``ci_reports``; gates that judge as they go are in ``sequential``.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from math import ceil, floor, inf, log, log10
from typing import Any, Literal

import msgspec
import numpy as np

from judgebench.analysis import comparison
from judgebench.analysis.comparison import FileFetcher
from judgebench.analysis.comparison_records import Adjust
from judgebench.analysis.leaderboard import stderr_of
from judgebench.analysis.published import of_same_table, published_rows, unlike_published
from judgebench.analysis.published_verdicts import verdicts_of
from judgebench.display import figure, p_value
from judgebench.errors import UsageError
from judgebench.gating.policy import Defaults, Demand, Policy, Tier, require_measured
from judgebench.records import Score, Upstream
from judgebench.run.protocol import in_words, named_with_values
from judgebench.run.reading import Run, TaskRun
from judgebench.stats.clustered import ClusterTotals, difference
from judgebench.stats.intervals import Interval
from judgebench.stats.margins import Decision, Verdict, non_inferiority, unpaired_non_inferiority
from judgebench.stats.multiplicity import adjusted_p_values

PUBLISHED = "published:"
"""Prefix of a baseline that is a row of the published tables: ``published:MODEL``."""
POWER = 0.8
"""Probability that a repetition with ``n_to_decide`` items would decide."""

OnInconclusive = Literal["fail", "warn", "pass"]


class Sequential(msgspec.Struct, frozen=True, kw_only=True):
    """How many examples a check with ``--sequential`` took."""

    n: int
    """Examples that were looked at, from the beginning of the order on."""
    population: int
    """Examples in all: what is decided is about these."""
    seed: int
    """Of the random order."""
    judge_calls: int
    """Judge replies in the candidate's folder, without those that were in flight when the check was decided."""
    judge_calls_now: int
    """Of these, added by this command."""
    judge_calls_needed: int
    """Of these, for the examples looked at."""
    judge_calls_saved: int
    """What judging the rest would cost, at the rate of the examples looked at; 0 where all were judged before."""


NO_SPREAD = "no item differs otherwise"
"""How an interval was made if all items differ by the same amount."""


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
    """One-sided p-value; rejecting this null means PASS."""
    p_fail: float | None
    """One-sided p-value; rejecting this null means FAIL."""
    p_fail_adjusted: float | None = None
    n: int
    """Items compared."""
    n_to_decide: int | None
    """Items with which a repetition would decide with 80 % power, if the true difference is the one found;
    ``None`` also where more items would not help, because what blocks is something else (``reason``)."""
    n_if_equal: int | None
    """Items with which it would pass with that power, if there is no difference."""
    drop_to_pass: float | None = None
    """The least ``max_drop`` with which these items pass; ``None`` also where something else blocks."""
    items: int
    """Of the whole set; where a metric counts turns or answers, those."""
    candidate_missing: int
    """Of these: failed, unread, or without an answer."""
    baseline_missing: int
    if_lost: float | None
    """The difference with what the candidate lacks counted as lost."""
    reason: str | None
    """Why the check is inconclusive, if not by the numbers alone."""
    rule: str | None = None
    """The published row's rule, if the candidate's value was made by that one rather than by ours."""
    equal_items: bool = False
    """Whether all items differ by the same. They show no spread, and the interval is what items that differ otherwise
    could hide among so many, by the bounds of one item."""
    sequential: Sequential | None = None
    """With ``--sequential``. Values are then those of the examples looked at; the interval and the p-values are about
    all examples and hold however often one looks."""


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
    """0 if the gate passed, 1 on a regression, 3 if it is inconclusive (unless the user lets that pass)."""
    if result.verdict == "INCONCLUSIVE":
        return 3 if on_inconclusive == "fail" else 0
    return 1 if result.verdict == "FAIL" else 0


def gate(baseline: Run | str, candidate: Run, policy: Policy, *, files: FileFetcher | None = None) -> Gate:
    """Check a candidate against a baseline.

    Parameters
    ----------
    baseline
        A run, or the name of a model of the published tables, whose numbers are then compared with the candidate's
        without pairing.
    candidate
        A run.
    policy
        What to check, and how much may be lost.
    files
        Gives official files to the numbers that need one (``comparison.official_files``).

    Raises
    ------
    UsageError
        If a task to check is missing, the protocols differ, or a metric that the policy names cannot be compared.
    """
    if isinstance(baseline, str):
        checks, notes = _against_published(baseline, candidate, policy)
        name, place = f"{baseline} (published)", None
    else:
        demands, notes = tasks_to_gate(baseline, candidate, policy)
        checks, files = [], files or comparison.official_files()
        for key, demand in demands.items():
            require_same_protocol(baseline, candidate, key)
            checks.append(_paired_check(baseline.tasks[key], candidate.tasks[key], demand, files))
        name, place = baseline.manifest.shown_name, str(baseline.path)
    notes += [
        f"the run {run.path} is {run.manifest.status}, so what it lacks may still come"
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
    """Draw the gate's verdict from its checks; ``baseline`` is a name, and the path if it is a run."""
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
        candidate=candidate.manifest.shown_name,
        baseline_path=baseline[1],
        candidate_path=str(candidate.path),
        checks=tuple(checks),
        notes=tuple(notes),
        alpha=defaults.alpha,
        adjust=defaults.adjust,
    )


def _adjusted(checks: Sequence[Check], defaults: Defaults) -> list[Check]:
    """Adjust the p-values of FAIL for their number; a FAIL stays one only if the result is below alpha."""
    given = [check.p_fail for check in checks if check.p_fail is not None]
    values = iter(given if defaults.adjust == "none" else adjusted_p_values(given, defaults.adjust).tolist())
    found = []
    for check in checks:
        changed: dict[str, Any] = {}
        if check.p_fail is not None:
            changed["p_fail_adjusted"] = next(values)
            if check.verdict == "FAIL" and changed["p_fail_adjusted"] >= defaults.alpha:
                why = f"it is worse by itself ({p_value(check.p_fail)}), but not among {len(given)} checks"
                changed |= {"verdict": "INCONCLUSIVE", "reason": why}
        found.append(msgspec.structs.replace(check, **changed))
    return found


# -- which checks


def _demands(candidate: Run, policy: Policy) -> tuple[dict[str, Demand], list[str]]:
    """What the policy demands of each of the candidate's tasks, by key, and notes on tasks that are not gated."""
    defaults = policy.defaults
    demands: dict[str, Demand] = {}
    for name, own in policy.tasks.items():
        keys = [key for key, run in candidate.tasks.items() if name in run.names]
        if not keys:
            raise UsageError(
                f"the policy names the task {name!r}, but the candidate {candidate.path} has {_labels(candidate)}. "
                f"Evaluate the task, or remove tasks.{name} from the policy"
            )
        drop = own.max_drop if own.max_drop is not None else defaults.max_drop
        if drop is None:
            raise UsageError(f"the policy has no max_drop for the task {name!r}, neither its own nor a default")
        demands |= dict.fromkeys(keys, Demand(own.metric, own.tier, drop, defaults, named=True))
    rest = [key for key in candidate.tasks if key not in demands]
    if defaults.max_drop is not None:
        demands |= dict.fromkeys(rest, Demand(None, "block", defaults.max_drop, defaults, named=False))
        rest = []
    if not demands:
        raise UsageError("nothing says how much may be lost: give --max-drop, or a policy with a max_drop")
    listed = ", ".join(candidate.tasks[key].task_manifest.label for key in rest)
    return demands, [f"not gated, because the policy has no max_drop for them: {listed}"] if rest else []


def _labels(run: Run) -> str:
    return ", ".join(task.task_manifest.label for task in run.tasks.values()) or "none"


def tasks_to_gate(baseline: Run, candidate: Run, policy: Policy) -> tuple[dict[str, Demand], list[str]]:
    """What the policy demands of each task that both runs have, by key, and notes on the tasks that are not gated.

    Raises :class:`UsageError` if a task to check is missing, or there is none.
    """
    demands, notes = _demands(candidate, policy)
    for key, run in baseline.tasks.items():
        if key not in candidate.tasks and policy.defaults.max_drop is not None:
            raise UsageError(
                f"the candidate {candidate.path} lacks the task {run.task_manifest.label} of the baseline "
                f"{baseline.path}, and what is not evaluated cannot pass. Evaluate it, or name the tasks to gate in a "
                f"policy without defaults.max_drop"
            )
    for key in [key for key in demands if key not in baseline.tasks]:
        label = candidate.tasks[key].task_manifest.label
        if demands.pop(key).named:
            raise UsageError(
                f"the policy names the task {label}, but the baseline {baseline.path} has {_labels(baseline)}"
            )
        notes.append(f"{label} is not gated: the baseline does not have it")
    if not demands:
        raise UsageError(f"{baseline.path} and {candidate.path} have no task in common, so there is nothing to gate")
    return demands, notes


def _settled_metric(run: TaskRun, wanted: str | None) -> str:
    """The metric to check: the policy's, or the first of the task's headline that the run has."""
    there = run.overall
    require_measured(wanted)
    if wanted is None:
        headline = [metric for metric in run.task.headline if metric in there] or list(there)
        if not headline:
            raise UsageError(f"{run.folder.path} has no score over all items, so there is nothing to gate")
        return headline[0]
    asked = f"the policy names the metric {wanted!r} of {run.task_manifest.label}"
    if wanted not in there:
        raise UsageError(f"{asked}, which has {', '.join(there) or 'none'}")
    if run.task.metric(wanted).direction == "none":
        raise UsageError(f"{asked}, but more of it is not better; gate a metric such as {run.task.headline[0]}")
    return wanted


def require_same_protocol(baseline: Run, candidate: Run, key: str) -> None:
    """Raise :class:`UsageError` with the fields in which the runs' protocols for a task differ, if they do."""
    other, run = baseline.tasks[key], candidate.tasks[key]
    if other.task_manifest.protocol_hash == run.task_manifest.protocol_hash:
        return
    if parts := comparison.of_other_parts(other, run, ("baseline", "candidate")):
        raise UsageError(parts)
    found = in_words(comparison.unlike_fields(other, run))
    fields = ", ".join(named_with_values(found[:4], ("baseline", "candidate")))
    more = f", and {len(found) - 4} further fields" if len(found) > 4 else ""
    raise UsageError(
        f"{run.task_manifest.label} was evaluated by different protocols in {baseline.path} and {candidate.path}, so "
        f"their numbers cannot be compared; they differ in {fields}{more}. Evaluate one of them again as the other was"
    )


# -- against a run


def _paired_check(baseline: TaskRun, candidate: TaskRun, demand: Demand, files: FileFetcher) -> Check:
    metric, defaults = _settled_metric(candidate, demand.metric), demand.defaults
    label = candidate.task_manifest.label
    rows, paired = comparison.paired_rows([run.example_scores() for run in (baseline, candidate)])
    examples, own_scores = candidate.examples(), [_score(run, metric) for run in (baseline, candidate)]
    missing = [(score.n_missing, score.n + score.n_missing) for score in own_scores]
    unit = own_scores[1].unit
    values = (own_scores[0].value, own_scores[1].value)
    if not paired[0]:
        return _undecided(candidate, demand, metric, unit, _nothing_paired(own_scores), values, missing)
    name = (metric, None)
    found = [
        comparison.sums_of(run, examples, own, files) for run, own in zip((baseline, candidate), paired, strict=True)
    ]
    if not all(name in sums and sums[name].n_clusters for sums in found):
        why = next((score.reason for score in own_scores if score.reason), "it is not made of scores of single items")
        refused = f"{metric} cannot be compared item by item: {why}"
        if demand.metric is not None:
            raise UsageError(f"{label}: {refused}. Gate another of its metrics")
        reason = f"{refused}; a policy may gate another of its metrics"
        return _undecided(candidate, demand, metric, unit, reason, values, missing)
    own_baseline, own_candidate = comparison.on_common_clusters([sums[name] for sums in found])
    bounds = candidate.task.metric(metric, unit).limits
    most = 100.0 if unit == "percent" else None
    both = (own_baseline.value, own_candidate.value)
    everything = completed = None
    if own_scores[1].n_missing:
        valued = [row for row in rows[0].values() if row.value is not None]
        everything = comparison.sums_of(baseline, examples, valued, files).get(name)
        completed = None if everything is None else _counting_lost(everything, own_baseline, own_candidate, bounds)

    def decided(drop: float) -> tuple[Decision, float | None]:
        """The decision if this much may be lost, and the difference with what the candidate lacks counted as lost."""
        decision, lost = decide(own_baseline, own_candidate, drop, defaults.alpha, bounds, most), None
        if everything is not None and completed is not None:
            strict = decide(everything, completed, drop, defaults.alpha, bounds, most)
            lost = strict.difference
            if decision.verdict == "PASS" and strict.verdict != "PASS":
                why = f"it passes only if the {missing[1][0]} items that the candidate lacks are left out"
                decision = _blocked(decision, why)
        return within_limits(decision, defaults, own_baseline.n_clusters, missing), lost

    decision, lost = decided(demand.max_drop)
    least = None
    if decision.verdict == "INCONCLUSIVE" and decision.interval is not None:
        widest = bounds[1] - bounds[0] if bounds else 4 * max(demand.max_drop, -decision.interval.low)
        least = least_drop(lambda drop: decided(drop)[0].verdict == "PASS", demand.max_drop, widest)
    return check_of(
        candidate,
        demand,
        metric,
        unit,
        decision,
        values=both,
        missing=missing,
        if_lost=lost,
        drop_to_pass=least,
        span=comparison.greatest_difference(candidate.task.metric(metric, unit), both),
    )


def least_drop(passes: Callable[[float], bool], low: float, high: float) -> float | None:
    """The least ``max_drop`` between two that passes, rounded up to three digits; ``None`` if the highest does not.

    >>> least_drop(lambda drop: drop > 17.07, 2, 100), least_drop(lambda drop: False, 2, 100)
    (17.1, None)
    """
    if high <= low or not passes(high):
        return None
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    digits = 2 - floor(log10(high))
    rounded = round(ceil(high * 10.0**digits) / 10.0**digits, max(0, digits))
    return rounded if passes(rounded) else high


def _nothing_paired(scores: Sequence[Score]) -> str:
    """Why two runs of a task have no item in common, by what each has."""
    lacking = []
    for whose, score in zip(("baseline", "candidate"), scores, strict=True):
        why = f": {score.reason}" if score.reason else ""
        lacking.append(f"the {whose} lacks {score.n_missing} of {score.n + score.n_missing}{why}")
    return f"no item has a value in both runs ({'; '.join(dict.fromkeys(lacking))})"


def _undecided(
    run: TaskRun,
    demand: Demand,
    metric: str,
    unit: str,
    reason: str,
    values: tuple[float | None, float | None],
    missing: Sequence[tuple[int, int]],
    *,
    paired: bool = True,
) -> Check:
    """The check of a task about which nothing can be said: it passes nothing, and the other tasks are gated."""
    decision = Decision("INCONCLUSIVE", None, 0, reason)
    return check_of(run, demand, metric, unit, decision, values=values, missing=missing, paired=paired)


def _score(run: TaskRun, metric: str) -> Score:
    """A metric over all items, as the run has it."""
    if metric not in run.overall:
        raise UsageError(f"{run.folder.path} has no {metric}; score the run again with `judgebench score {run.named}`")
    return run.overall[metric]


def within_limits(decision: Decision, defaults: Defaults, n: int, missing: Sequence[tuple[int, int]]) -> Decision:
    """Apply the policy's limits to a decision: few items decide nothing, and nothing passes where many are missing.

    ``missing`` says how many items the baseline lacks and of how many, then the same for the candidate.
    """
    if n < defaults.min_n:
        return _with_few_items(decision, n, defaults.min_n)
    for (count, total), whose in zip(missing, ("baseline", "candidate"), strict=True):
        if count > defaults.max_unread * total and decision.verdict != "FAIL":
            limit = f"{defaults.max_unread:.1%}"
            reason = f"the {whose} lacks {count} of {total} ({count / total:.1%}), and max_unread is {limit}"
            return _blocked(decision, reason)
    return decision


def _with_few_items(decision: Decision, n: int, least: int) -> Decision:
    """A decision on fewer items than a policy asks for: inconclusive, whatever the numbers say."""
    reason = f"min_n is {least}"
    if decision.verdict != "INCONCLUSIVE":
        # Nothing but the limit is in the way, and it alone says how many items are enough.
        reason += f", and that alone stands against {decision.verdict}: compare {least} items (there are {n}), or set "
        reason += "a lower min_n in a policy (--policy FILE)"
        return replace(decision, verdict="INCONCLUSIVE", reason=reason, n_to_decide=None, n_if_equal=None)
    needed = [None if count is None else max(count, least) for count in (decision.n_to_decide, decision.n_if_equal)]
    return replace(decision, reason=reason, n_to_decide=needed[0], n_if_equal=needed[1])


def _blocked(decision: Decision, reason: str) -> Decision:
    """An inconclusive decision. Where the numbers alone had decided, more items would not help."""
    if decision.verdict != "INCONCLUSIVE":
        decision = replace(decision, n_to_decide=None, n_if_equal=None)
    return replace(decision, verdict="INCONCLUSIVE", reason=reason)


def _counting_lost(
    everything: ClusterTotals, baseline: ClusterTotals, candidate: ClusterTotals, bounds: tuple[float, float] | None
) -> ClusterTotals | None:
    """The candidate with the items that only the baseline has, each at the worst possible or observed value."""
    shapes = {totals.numerator.shape[1] for totals in (everything, baseline, candidate)}
    if len(shapes) > 1 or not np.isin(baseline.clusters, everything.clusters).all():
        return None
    worst = bounds[0] if bounds else min(float(_values(totals).min()) for totals in (everything, candidate))
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
    """Decide on two statistics over the same items.

    ``bounds`` are those of one item, if they are known. ``most`` is what one item can lose where losses are whole, as
    in percent of wins or right answers. If all items differ by the same there is no spread, and the bounds decide.
    """
    apart = difference(candidate, baseline)
    decision = non_inferiority(apart, drop, alpha=alpha, power=POWER, most=most)
    if decision.p_value is not None or apart.value is None or apart.n_clusters < 2 or bounds is None:
        return decision
    return _without_spread(decision, apart.value, apart.n_clusters, bounds[1] - bounds[0], drop, alpha)


def _without_spread(decision: Decision, value: float, n: int, span: float, drop: float, alpha: float) -> Decision:
    """Decide where all items differ by the same amount, mostly by nothing.

    If a share 1 - alpha^(1/n) of all items differed otherwise, the chance to see none among n would be alpha. So the
    true difference is at most that share of the span between the bounds away.
    """
    beyond = span * (1 - alpha ** (1 / n))
    distance = value + drop
    verdict: Verdict = "INCONCLUSIVE"
    if value - beyond > -drop:
        verdict = "PASS"
    elif value + beyond < 0:
        verdict = "FAIL"
    needed = ceil(log(alpha) / log(1 - distance / span)) if 0 < distance < span else None
    interval = Interval(value - beyond, value + beyond, 1 - 2 * alpha, NO_SPREAD)
    reason = f"no item differs{' otherwise' if value else ''}" if verdict == "INCONCLUSIVE" else None
    return replace(decision, verdict=verdict, interval=interval, n_to_decide=needed, n_if_equal=needed, reason=reason)


def check_of(
    run: TaskRun,
    demand: Demand,
    metric: str,
    unit: str,
    decision: Decision,
    *,
    values: tuple[float | None, float | None],
    missing: Sequence[tuple[int, int]],
    paired: bool = True,
    if_lost: float | None = None,
    drop_to_pass: float | None = None,
    rule: str | None = None,
    sequential: Sequential | None = None,
    span: float = inf,
) -> Check:
    """Write a decision down as a check; ``values`` are the baseline's and the candidate's, and so is ``missing``.

    ``span`` is by how much they can differ, beyond which no interval goes.
    """
    inconclusive, interval = decision.verdict == "INCONCLUSIVE", decision.interval
    return Check(
        task=run.task_manifest.label,
        metric=metric,
        unit=unit,
        tier=demand.tier,
        verdict=decision.verdict,
        paired=paired,
        starter=run.task_manifest.starter,
        max_drop=demand.max_drop,
        baseline_value=values[0],
        candidate_value=values[1],
        difference=decision.difference,
        low=max(-span, interval.low) if interval else None,
        high=min(span, interval.high) if interval else None,
        level=1 - 2 * demand.defaults.alpha,
        p_pass=_larger(decision.p_value, decision.p_corrected),
        p_fail=_larger(decision.p_worse, decision.p_worse_corrected),
        n=decision.n_clusters,
        n_to_decide=decision.n_to_decide if inconclusive else None,
        n_if_equal=decision.n_if_equal,
        drop_to_pass=drop_to_pass,
        items=missing[1][1],
        candidate_missing=missing[1][0],
        baseline_missing=missing[0][0],
        if_lost=if_lost,
        reason=decision.reason if inconclusive else None,
        rule=rule,
        equal_items=interval is not None and interval.method == NO_SPREAD,
        sequential=sequential,
    )


def _larger(*p_values: float | None) -> float | None:
    return max((p for p in p_values if p is not None), default=None)


# -- against a published row


def _against_published(model: str, candidate: Run, policy: Policy) -> tuple[list[Check], list[str]]:
    """Compare the candidate's own numbers with the published ones; nothing is known of single items."""
    demands, notes = _demands(candidate, policy)
    checks = []
    for key, demand in demands.items():
        run = candidate.tasks[key]
        label = f"{run.task_manifest.name}@{run.task_manifest.version}"
        listed = published_rows(run.task_manifest.name)
        rows = of_same_table(run.task, listed)
        row = next((row for row in rows if row.model == model), None)
        if row is None:
            if demand.named or len(demands) == 1:
                tables = sorted({row.task for row in listed if row.task.startswith(f"{label}:")})
                raise UsageError(_unpublished(run.task_manifest.label, model, [row.model for row in rows], tables))
            notes.append(f"{label} is not gated: no row of {model} is published")
            continue
        unlike = unlike_published(run.task, run.task_manifest.protocol, run.task_manifest.code, candidate.manifest)
        if unlike:
            raise UsageError(
                f"{run.task_manifest.label} of {candidate.path} was not evaluated as the published rows were, so they "
                f"cannot be compared; it differs in {'; '.join(unlike)}"
            )
        metric = _settled_metric(run, demand.metric)
        published = row.scores.get(metric)
        if published is None or published.value is None:
            raise UsageError(f"the published row of {model} on {label} has no {metric}; it has {', '.join(row.scores)}")
        if (why := run.task.metric(metric).needs_table) is not None:
            raise UsageError(
                f"{metric} of {candidate.path} cannot be compared with the published one: {why}. Gate another metric, "
                f"or name a run as the baseline"
            )
        checks.append(_unpaired_check(run, metric, published, published.value, demand))
        known = "" if stderr_of(published) else ", taken as exact because no error is published with it"
        notes.append(f"{label}: unpaired, against the published {metric} of {model} ({row.origin}){known}")
        if (kept := verdicts_of(label)) is not None and model in kept.models:
            notes.append(f"{label}: `judgebench compare RUN published:{model}` pairs the items with its verdicts")
    if not checks:
        raise UsageError(f"no row of {model!r} is published for any task of {candidate.path}")
    return checks, notes


def _unpublished(label: str, model: str, known: Sequence[str], tables: Sequence[str]) -> str:
    near = get_close_matches(model, known, n=3, cutoff=0.4)
    hint = f"near are {', '.join(near)}" if near else f"there are {len(known)} rows of this task"
    if not known and tables:
        hint = f"the published tables are {', '.join(tables)}"
    listed = "`judgebench leaderboard --published` lists them"
    return f"no row of the model {model!r} is published for {label}; {hint}. {listed}"


def _unpaired_check(run: TaskRun, metric: str, published: Score, published_value: float, demand: Demand) -> Check:
    own = _score(run, metric)
    missing = ((0, 0), (own.n_missing, own.n + own.n_missing))
    if own.value is None:
        reason = f"the candidate's {metric} has no value: {own.reason}"
        return _undecided(run, demand, metric, own.unit, reason, (published_value, None), missing, paired=False)
    upstream = own.upstream
    value = own.value if upstream is None else upstream.value
    error = own.stderr if upstream is None or upstream.stderr is None else upstream.stderr
    stderr = ((error or 0.0) ** 2 + (stderr_of(published) or 0.0) ** 2) ** 0.5
    alpha, drop = demand.defaults.alpha, demand.max_drop
    decision = unpaired_non_inferiority(value - published_value, stderr, own.n, drop, alpha=alpha, power=POWER)
    return check_of(
        run,
        demand,
        metric,
        own.unit,
        within_limits(decision, demand.defaults, own.n, missing),
        values=(published_value, value),
        missing=missing,
        paired=False,
        rule=None if upstream is None or upstream.value == own.value else _rule(own, upstream),
        span=comparison.greatest_difference(run.task.metric(metric, own.unit), (published_value, value)),
    )


def _rule(own: Score, upstream: Upstream) -> str:
    """Say which number was compared with the published row, in place of our own."""
    ours = figure(own.value, own.unit)
    return f"by upstream's rule, as the published row was made, and {ours} by ours: {upstream.reason}"
