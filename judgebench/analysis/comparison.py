"""Comparisons of runs on the same items: how much they differ, whether by chance, and on which items.

Everything is paired: differences are taken item by item, so what the runs share cancels out. Only runs with the same
protocol are compared; for the others, the differing fields are named. An item counts if every run has a value for it,
and the items left out are counted.

The task says what a metric is made of (``Task.metrics``), and the statistics are in ``stats``. Tables of any
runs, compared or not, are in ``leaderboard``; PASS or FAIL is in ``gating``.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import reduce
from itertools import islice
from math import inf, isclose, isinf
from typing import Any, get_args

import msgspec
import numpy as np

from judgebench.analysis.comparison_records import (
    Adjust,
    Compared,
    Comparison,
    Coverage,
    Difference,
    Flip,
    FlipSide,
    ProtocolMismatch,
    Rank,
    TaskComparison,
)
from judgebench.analysis.groups import label_of, require_groups
from judgebench.analysis.item_values import measures
from judgebench.analysis.leaderboard import stderr_of
from judgebench.analysis.published_verdicts import PublishedTaskRun
from judgebench.analysis.samples import ruling_in_words, share_of, verdict_in_words
from judgebench.data.sources import SourceFinder, read_sources
from judgebench.display import reasons
from judgebench.errors import JudgebenchError, UsageError
from judgebench.models.call_store import default_cache_dir
from judgebench.records import Example, ExampleScore, Judgement, Score
from judgebench.run.folder import VERIFIED_BY, usable
from judgebench.run.protocol import differing, in_words, named_with_values
from judgebench.run.reading import Run, TaskRun
from judgebench.stats.clustered import ClusterTotals, cluster_totals, clustered_estimate, difference
from judgebench.stats.many_runs import compare_all_pairs, rank_intervals
from judgebench.stats.multiplicity import adjusted_p_values
from judgebench.stats.paired import permutation_p_value
from judgebench.stats.relative import paired_ratio
from judgebench.task import Fetch, rulings_of
from judgebench.task.metric import Metric, MetricSums
from judgebench.task.selection import NOTHING_SAID, Selection, in_groups
from judgebench.tasks import is_among

LEVEL = 0.95
"""Of all intervals."""
SEED = 0
TRUE_ZERO = ("percent", "characters", "usd")
"""Units in which a relative gain makes sense: grades from 1 to 10 and rewards from -1 to 1 have no true zero."""
_ROUNDING = 1e-9
_IN_PLURAL = {"": "values without a unit", "rating": "ratings"}
_FROM_ZERO = "points"
"""A unit in which it does so for metrics that begin at 0, such as scores that another program gave."""
SAME_NUMBER = 1e-6
"""Relative tolerance up to which a score counts as the mean of its example scores."""

SHORT_REPLY = 8
"""Characters of a reply that is but a label."""

_FEWEST_ROUNDS, _MOST_ROUNDS = 1_000, 10_000
# Random signs drawn for one p-value.
_SIGNS = 10_000_000

FileFetcher = Callable[[TaskRun], Fetch]
"""Gives, for a run, the function that fetches the official files of its task by name."""


def official_files(mirrors: Sequence[Any] = (), *, offline: bool = False) -> FileFetcher:
    """How the few numbers that need an official file get it: found and verified as for a run."""
    finder = SourceFinder(default_cache_dir(), mirrors, offline=offline)

    def of_run(run: TaskRun) -> Fetch:
        return lambda source: finder.fetch(read_sources(run.task_folder)[source])[0]

    return of_run


def compare(
    runs: Sequence[Run],
    *,
    adjust: Adjust = "holm",
    task: str | None = None,
    groups: Selection = NOTHING_SAID,
    flips: int = 0,
    files: FileFetcher | None = None,
    finder: SourceFinder | None = None,
    notes: Sequence[str] = (),
) -> Comparison:
    """Compare every later run with the first one, task by task.

    Parameters
    ----------
    runs
        At least two.
    adjust
        How p-values are adjusted for their number: Holm's, Benjamini-Hochberg's, or not.
    task
        Only this task, with or without its version.
    groups
        Only these groups of examples. The p-values are adjusted for the number of those that are left.
    flips
        How many of the items that changed most to show for each pair.
    files
        Gives official files to the numbers that need one (``official_files``).
    finder
        Finds the answers of baselines, which stand beside those of the items that changed most.
    notes
        What to say of the runs.

    Raises
    ------
    UsageError
        If nothing can be compared: no task in two runs, different protocols, or no item in common.
    """
    if len(runs) < 2:
        raise UsageError(f"a comparison needs at least two runs; got {len(runs)}")
    if adjust not in get_args(Adjust):
        raise UsageError(f"unknown adjustment of p-values {adjust!r}; choose one of {', '.join(get_args(Adjust))}")
    if flips < 0:
        raise UsageError(f"cannot show {flips} of the items that changed most; give 0 or more")
    compared: list[TaskComparison] = []
    told, notes = notes, []
    tasks = _having(runs, task)
    if groups and tasks:
        wanted = require_groups(groups, (runs[number].tasks[key] for key in tasks for number in tasks[key]))
        tasks = {key: having for key, having in tasks.items() if label_of(runs[having[0]].tasks[key]) in wanted}
    for key, having in tasks.items():
        parts = wanted[label_of(runs[having[0]].tasks[key])] if groups else None
        protocols = _by_protocol(runs, key, having)
        for alike in protocols.values():
            members = [number for number in alike if _unpaired(runs[number].tasks[key]) is None]
            others = [number for number in alike[1:] if number not in members or alike[0] not in members]
            if len(members) > 1 and alike[0] in members:
                try:
                    made = _compare_task(runs, key, members, parts, files or official_files())
                    if flips:
                        made = _with_flips(runs, key, made, flips, parts, finder, notes)
                    compared.append(made)
                except UsageError as error:
                    notes.append(str(error))
            compared += [_compare_numbers(runs, key, (alike[0], number)) for number in others if parts is None]
    unlike = _unlike_among(runs, tasks)
    if not compared:
        raise UsageError(notes[0] if notes else _nothing(runs, task, unlike))
    if groups and adjust != "none":
        tested = sum(row.p is not None for of_task in compared for row in of_task.differences)
        notes.append(f"p-values are adjusted for the number of those shown: {tested}, all of the groups asked for")
    return Comparison(
        runs=tuple(map(_as_listed, runs)),
        tasks=tuple(_adjusted(compared, adjust)),
        unlike=unlike,
        adjust=adjust,
        level=LEVEL,
        notes=(*told, *notes),
    )


def only_unlike(runs: Sequence[Run], adjust: Adjust, task: str | None = None) -> Comparison | None:
    """A comparison that holds no more than how protocols differ; ``None`` if they do not."""
    unlike = _unlike_among(runs, _having(runs, task))
    if not unlike:
        return None
    return Comparison(runs=tuple(map(_as_listed, runs)), tasks=(), unlike=unlike, adjust=adjust, level=LEVEL, notes=())


def _having(runs: Sequence[Run], task: str | None) -> dict[str, list[int]]:
    """The tasks by key, or the one that is asked for, with the numbers of the runs that have each."""
    tasks = {key: [number for number, run in enumerate(runs) if key in run.tasks] for run in runs for key in run.tasks}
    return {key: having for key, having in tasks.items() if is_among(task, runs[having[0]].tasks[key].names)}


def _by_protocol(runs: Sequence[Run], key: str, having: Sequence[int]) -> dict[str, list[int]]:
    """The numbers of the runs that have a task, by its protocol."""
    found: dict[str, list[int]] = {}
    for number in having:
        found.setdefault(runs[number].tasks[key].task_manifest.protocol_hash, []).append(number)
    return found


def _unlike_among(runs: Sequence[Run], tasks: Mapping[str, Sequence[int]]) -> dict[str, tuple[ProtocolMismatch, ...]]:
    """How the protocols of each task differ from that of its first run, where they do."""
    found = {}
    for key, having in tasks.items():
        _, *others = _by_protocol(runs, key, having).values()
        if others:
            found[key] = tuple(_unlike(runs, key, having[0], members[0]) for members in others)
    return found


def of_no_measured_number(runs: Sequence[Run], adjust: Adjust, why: str) -> Comparison:
    """A comparison of runs whose measured numbers are not comparable, to hold predicted ones."""
    return Comparison(runs=tuple(map(_as_listed, runs)), tasks=(), unlike={}, adjust=adjust, level=LEVEL, notes=(why,))


def _as_listed(run: Run) -> Compared:
    return Compared(model=run.manifest.shown_name, path=str(run.path), status=run.manifest.status)


def unlike_fields(first: TaskRun, other: TaskRun) -> list[tuple[str, str, str]]:
    """Protocol fields in which two runs differ, with both values, each cut to 60 characters."""
    one, two = first.task_manifest.protocol, other.task_manifest.protocol
    return [(name, _shown(one, name), _shown(two, name)) for name in differing(one, two)]


def of_other_parts(first: TaskRun, other: TaskRun, called: tuple[str, str]) -> str | None:
    """What to say of two runs that differ in nothing but their examples, and one of which is a part of the benchmark.

    ``called`` is what they are. ``None`` if they differ otherwise, too, or if neither says that it is a part.
    """
    chosen = [run.task_manifest.selection for run in (first, other)]
    if not any(chosen) or any(not name.startswith("examples.") for name, *_ in unlike_fields(first, other)):
        return None
    label = first.task_manifest.label
    told = [
        f"the {what} {run.run} is {f'a part of {label}, {part}' if part else f'the whole {label}'}"
        for what, run, part in zip(called, (first, other), chosen, strict=True)
    ]
    # What is said first is what is wrong.
    if chosen[0] is None:
        told.reverse()
    return (
        f"{', but '.join(told)}, so their numbers cannot be compared. Evaluate both on the same examples, with the "
        "same --limit, --where and --ids or without; what is stored is not asked again"
    )


def _shown(protocol: Mapping[str, Any], dotted: str) -> str:
    """The value of a field by its dotted name, whose parts may contain dots themselves, such as file names."""
    for key, value in protocol.items():
        if key == dotted:
            return str(value)[:60]
        if dotted.startswith(f"{key}.") and isinstance(value, Mapping):
            return _shown(value, dotted.removeprefix(f"{key}."))
    return "not there"


def _unlike(runs: Sequence[Run], key: str, first: int, other: int) -> ProtocolMismatch:
    found = unlike_fields(runs[first].tasks[key], runs[other].tasks[key])
    return ProtocolMismatch(
        run=other, fields=tuple(name for name, *_ in found), values=tuple((one, two) for _, one, two in found)
    )


def _differing(mismatch: ProtocolMismatch) -> str:
    """The settings in which a run differs, with both values."""
    found = in_words([(name, *values) for name, values in zip(mismatch.fields, mismatch.values, strict=True)])
    more = f" and {len(found) - 6} more" if len(found) > 6 else ""
    return ", ".join(named_with_values(found[:6])) + more


def _nothing(runs: Sequence[Run], task: str | None, unlike: Mapping[str, Sequence[ProtocolMismatch]]) -> str:
    if not unlike:
        held = "; ".join(f"{run.path} holds {', '.join(run.tasks) or 'no task'}" for run in runs)
        wanted = f"the task {task!r}" if task else "a task"
        return f"a comparison needs {wanted} that two of the runs have: {held}"
    pairs = [(key, mismatch) for key, mismatches in unlike.items() for mismatch in mismatches]
    parts = []
    for key, mismatch in pairs:
        first = next(run.tasks[key] for run in runs if key in run.tasks)
        parts.append(of_other_parts(first, runs[mismatch.run].tasks[key], ("first run", "later run")))
    if parts[0] is not None and all(parts):
        return parts[0]
    differences = "; ".join(
        f"{key}: {runs[mismatch.run].path} differs in {_differing(mismatch)}" for key, mismatch in pairs
    )
    return (
        f"these runs have different protocols, so their numbers cannot be compared ({differences}). Run both with the "
        f"same judge, options and items; `judgebench leaderboard` shows them side by side, unranked"
    )


# -- two numbers


def _unpaired(run: TaskRun) -> str | None:
    return run.unpaired if isinstance(run, PublishedTaskRun) else None


def _compare_numbers(runs: Sequence[Run], key: str, pair: tuple[int, int]) -> TaskComparison:
    """Compare a run with a published row of which nothing but its numbers is known, made by upstream's rule."""
    first, second = (runs[number].tasks[key] for number in pair)
    why = _unpaired(first) or _unpaired(second) or ""
    manifest = first.task_manifest
    scores = [{name: score.by_upstream for name, score in run.overall.items()} for run in (first, second)]
    differences, left_out = [], []
    for metric, one in scores[0].items():
        reason = first.task.metric(metric).needs_table
        other = scores[1].get(metric)
        if reason or other is None or one.value is None or other.value is None:
            left_out.append((metric, reason or "one of the two has no such number"))
        else:
            apart, values = _unpaired_difference(metric, pair, one, other), (one.value, other.value)
            differences.append(_within_span(apart, greatest_difference(first.task.metric(metric, one.unit), values)))
    return TaskComparison(
        task=manifest.label,
        protocol_hash=manifest.protocol_hash,
        starter=manifest.starter,
        runs=pair,
        common=0,
        coverage=(),
        differences=tuple(differences),
        ranks=(),
        not_compared=tuple(left_out),
        unpaired=why,
    )


def _unpaired_difference(metric: str, pair: tuple[int, int], first: Score, second: Score) -> Difference:
    from scipy.special import ndtr, ndtri

    assert first.value is not None
    assert second.value is not None
    apart = second.value - first.value
    errors = [stderr_of(score) for score in (first, second)]
    known = [error for error in errors if error is not None]
    stderr = sum(error**2 for error in known) ** 0.5 if len(known) == 2 else None
    half = None if not stderr else float(ndtri((1 + LEVEL) / 2)) * stderr
    missing = "one of the two numbers has no error" if half is None else None
    unpaired = "the two are not paired item by item"
    withheld = {"interval": missing, "p-value": missing, "relative gain": unpaired, "correlation": unpaired}
    return Difference(
        metric=metric,
        group=None,
        unit=first.unit,
        first=pair[0],
        second=pair[1],
        first_value=first.value,
        second_value=second.value,
        difference=apart,
        stderr=stderr,
        low=None if half is None else apart - half,
        high=None if half is None else apart + half,
        level=LEVEL,
        p=None if not stderr else float(2 * ndtr(-abs(apart) / stderr)),
        correlation=None,
        relative_gain=None,
        relative_low=None,
        relative_high=None,
        n=min((score.n for score in (first, second) if score.n), default=0),
        reason=unpaired,
        withheld={name: reason for name, reason in withheld.items() if reason is not None},
    )


# -- one task


def _compare_task(
    runs: Sequence[Run],
    key: str,
    members: Sequence[int],
    parts: Collection[str] | None,
    files: FileFetcher,
) -> TaskComparison:
    """Compare some runs of one protocol; with ``parts``, only by these groups."""
    task_runs = [runs[number].tasks[key] for number in members]
    manifest = task_runs[0].task_manifest
    if manifest.cascade is not None:
        return _compare_cascades(task_runs, members)
    rows, paired = paired_rows([run.example_scores() for run in task_runs])
    examples = task_runs[0].examples()
    items = {example.id: example.item or example.id for example in examples}
    common = len({items.get(row.example_id, row.example_id) for row in paired[0]})
    coverage = tuple(
        Coverage(run=number, items=len(set(items.values())), missing=_missing(rows_of_run, items))
        for number, rows_of_run in zip(members, rows, strict=True)
    )
    if not common:
        lacking = ", ".join(f"{runs[c.run].path} lacks {c.missing} of {c.items}" for c in coverage)
        ended = all(runs[number].manifest.status == "complete" for number in members)
        way_on = "Compare" if ended else "Finish the runs (start the same command again), or compare"
        raise UsageError(
            f"{manifest.label}: no item has a value in all {len(members)} runs ({lacking}), so nothing can "
            f"be paired. {way_on} others"
        )
    units = {(score.metric, score.group): score.unit for run in task_runs for score in run.scores}
    found = [sums_of(run, examples, common_rows, files) for run, common_rows in zip(task_runs, paired, strict=True)]
    usable, left_out = _comparable(task_runs, found, parts)
    differences, ranks = [], []
    for name in usable:
        statistics = on_common_clusters([sums[name] for sums in found])
        for place in range(1, len(members)):
            pair = (members[0], members[place])
            unit = units.get(name, "")
            metric = task_runs[0].task.metric(name[0], unit)
            zero = _has_true_zero(unit, metric)
            apart = _difference(*name, unit, pair, statistics[0], statistics[place], zero=zero)
            both = (statistics[0], statistics[place])
            span = greatest_difference(metric, [one.value for one in both])
            differences.append(_of_all_at_most(_within_span(apart, span), both))
        if len(members) > 2 and (name[1] is None or parts is not None):
            ranks += _ranks(task_runs[0].task.metric(name[0]), name[1], members, statistics)
    return TaskComparison(
        task=manifest.label,
        protocol_hash=manifest.protocol_hash,
        starter=manifest.starter,
        runs=tuple(members),
        common=common,
        coverage=coverage,
        differences=tuple(differences),
        ranks=tuple(ranks),
        not_compared=tuple(left_out),
    )


def _compare_cascades(runs: Sequence[TaskRun], members: Sequence[int]) -> TaskComparison:
    """Compare cascades of one protocol by what both judges say of the same part."""
    from judgebench.analysis.cascade_comparison import cascade_differences, numbers_of

    manifest, numbers = runs[0].task_manifest, [numbers_of(run) for run in runs]
    coverage = tuple(
        Coverage(run=member, items=manifest.examples, missing=max((one.missing for one in own.values()), default=0))
        for member, own in zip(members, numbers, strict=True)
    )
    differences, common = [], 0
    for run, member in list(zip(runs, members, strict=True))[1:]:
        for found in cascade_differences(runs[0], run):
            result, scale, name = found.result, found.metric.scale, found.metric.name
            common = max(common, result.population)
            interval = result.interval
            missing = {
                "interval": result.reason if interval is None else None,
                "p-value": "the interval is not Student's" if found.p is None else None,
                "relative gain": "both numbers are estimates of a cascade",
                "correlation": "both numbers are estimates of a cascade",
            }
            values = [one.overall[name].value if name in one.overall else None for one in (runs[0], run)]
            apart = Difference(
                metric=name,
                group=None,
                unit=found.metric.unit,
                first=members[0],
                second=member,
                first_value=values[0],
                second_value=values[1],
                difference=None if result.value is None else scale * float(result.value),
                stderr=None if result.stderr is None else scale * float(result.stderr),
                low=None if interval is None else scale * float(interval.low),
                high=None if interval is None else scale * float(interval.high),
                level=LEVEL,
                p=found.p,
                correlation=None,
                relative_gain=None,
                relative_low=None,
                relative_high=None,
                n=result.population,
                reason="; ".join(reasons((f"no {what}", why) for what, why in missing.items())) or None,
                withheld={what: why for what, why in missing.items() if why is not None},
            )
            differences.append(_within_span(apart, found.metric.span))
    return TaskComparison(
        task=manifest.label,
        protocol_hash=manifest.protocol_hash,
        starter=manifest.starter,
        runs=tuple(members),
        common=common,
        coverage=coverage,
        differences=tuple(differences),
        ranks=(),
        not_compared=(
            ("every other metric, and parts of the items", "a cascade estimates plain means over all items"),
        ),
    )


Key = tuple[str, str, int]
"""Example, metric, and which of several rows of that name it is."""


def keyed(rows: Iterable[ExampleScore]) -> dict[Key, ExampleScore]:
    """Example scores by example, metric and position among rows of that name."""
    seen: Counter[tuple[str, str]] = Counter()
    found = {}
    for row in rows:
        name = row.example_id, row.metric
        found[(*name, seen[name])] = row
        seen[name] += 1
    return found


def paired_rows(
    rows: Sequence[Iterable[ExampleScore]],
) -> tuple[list[dict[Key, ExampleScore]], list[list[ExampleScore]]]:
    """Every run's example scores by key, and those that have a value in all runs, in the same order."""
    found = [keyed(own) for own in rows]
    common = [key for key in found[0] if all(key in own and own[key].value is not None for own in found)]
    return found, [[own[key] for key in common] for own in found]


def _missing(rows: Mapping[Key, ExampleScore], items: Mapping[str, str]) -> int:
    """Items with no row, or without the value of a metric that the run has for others."""
    there = {row.metric for row in rows.values() if row.value is not None}
    lacking = {example for (example, *_), row in rows.items() if row.value is None and row.metric in there}
    lacking |= set(items) - {example for example, *_ in rows}
    return len({items.get(example, example) for example in lacking})


def sums_of(run: TaskRun, examples: Sequence[Example], rows: Sequence[ExampleScore], files: FileFetcher) -> MetricSums:
    """A run's scores as sums over items. Every example score given must have a value."""
    with usable(str(run.folder.path)):
        sums = run.task.sums(examples, rows, files(run))
    listed = {metric for metric, _ in sums}
    return {**sums, **_plain_means([score for score in run.scores if score.metric not in listed], examples, rows)}


def _plain_means(scores: Sequence[Score], examples: Sequence[Example], rows: Sequence[ExampleScore]) -> MetricSums:
    """Sums of scores for which the task gives none, if they are the means of the example scores of their name."""
    items = {example.id: example.item or example.id for example in examples}
    sums: dict[tuple[str, str | None], ClusterTotals] = {}
    for score in scores:
        own = [row for row in rows if row.metric == score.metric]
        if score.group is not None or score.value is None or not own:
            continue
        scale = 100.0 if score.unit == "percent" else 1.0
        mean = cluster_totals(
            [scale * row.weight * (row.value or 0.0) for row in own],
            [row.weight for row in own],
            clusters=[items.get(row.example_id, row.example_id) for row in own],
        )
        # With items left out, the run's own number is a different one.
        if len(own) != score.n or abs((mean.value or 0.0) - score.value) <= SAME_NUMBER * max(1.0, abs(score.value)):
            sums[score.metric, None] = mean
    return sums


def _comparable(
    runs: Sequence[TaskRun], found: Sequence[MetricSums], parts: Collection[str] | None
) -> tuple[list[tuple[str, str | None]], list[tuple[str, str]]]:
    """Metrics and groups that all runs have as sums, and the others with the reason; ``parts`` are the groups asked
    for.
    """
    usable = [name for name in found[0] if all(name in sums and sums[name].n_clusters for sums in found)]
    if parts is not None:
        usable = [name for name in usable if name[1] in parts]
    scores: dict[tuple[str, str | None], list[Score]] = {}
    for score in (score for run in runs for score in run.scores if parts is None or score.group in parts):
        scores.setdefault((score.metric, score.group), []).append(score)
    left_out = []
    for (metric, group), own in scores.items():
        if (metric, group) not in usable:
            why = next((score.reason for score in own if score.value is None and score.reason), None)
            name = metric if group is None else f"{metric} {group}"
            left_out.append((name, why or "it is not a sum over items, or too few items have it in all runs"))
    if parts is not None:
        grouped = {metric for metric, _ in scores}
        whole = dict.fromkeys(score.metric for run in runs for score in run.scores if score.metric not in grouped)
        left_out += [(metric, "it has no number of the groups asked for") for metric in whole]
    return usable, left_out


def on_common_clusters(statistics: Sequence[ClusterTotals]) -> list[ClusterTotals]:
    """Restrict the statistics to the clusters that all of them have.

    Runs with the same rows may still differ in clusters: an item may lack, say, a length.
    """
    common = reduce(np.intersect1d, (totals.clusters for totals in statistics))
    if all(len(totals.clusters) == len(common) for totals in statistics):
        return list(statistics)
    restricted = []
    for totals in statistics:
        kept = np.isin(totals.clusters, common)
        restricted.append(
            ClusterTotals(
                totals.clusters[kept],
                totals.numerator[kept],
                totals.denominator[kept],
                totals.weights,
                int(kept.sum()),
            )
        )
    return restricted


def _has_true_zero(unit: str, metric: Metric) -> bool:
    """Whether a relative gain of a metric means something."""
    return unit in TRUE_ZERO or (unit == _FROM_ZERO and metric.bounds is not None and metric.bounds[0] == 0)


def greatest_difference(metric: Metric, values: Sequence[float | None]) -> float:
    """By how much two runs of these values can differ in a metric, if both keep to its limits; else infinity.

    Of a fit, such as a win rate at equal lengths, single items leave the limits, but never the value.
    """
    if metric.limits is None:
        return inf
    low, high = metric.limits
    slack = _ROUNDING * metric.span
    kept = all(value is not None and low - slack <= value <= high + slack for value in values)
    return metric.span if kept else inf


def _within_span(found: Difference, span: float) -> Difference:
    """The difference with an interval that says nothing impossible, where two runs differ by ``span`` at most."""
    if isinf(span) or found.low is None or found.high is None:
        return found
    return msgspec.structs.replace(found, low=max(-span, found.low), high=min(span, found.high))


def _of_all_at_most(found: Difference, runs: Sequence[ClusterTotals]) -> Difference:
    """The difference with a relative loss of no more than everything, of what no item has less than nothing of."""
    if found.relative_low is None or any((run.numerator < 0).any() or (run.weights < 0).any() for run in runs):
        return found
    return msgspec.structs.replace(found, relative_low=max(-100.0, found.relative_low))


def _difference(
    metric: str,
    group: str | None,
    unit: str,
    pair: tuple[int, int],
    first: ClusterTotals,
    second: ClusterTotals,
    *,
    zero: bool,
) -> Difference:
    """``second - first``, and the relative gain if the scale has a true ``zero``.

    A p-value draws at most ten million random signs: ten thousand rounds of 1,000 items.
    """
    apart = difference(second, first)
    found = clustered_estimate(apart, level=LEVEL)
    # Runs cannot be swapped if their statistics have different terms, as when one has no item of some category.
    alike = first.numerator.shape == second.numerator.shape and np.array_equal(first.weights, second.weights)
    p = None
    if alike and first.n_clusters > 1:
        rounds = min(_MOST_ROUNDS, max(_FEWEST_ROUNDS, _SIGNS // first.n_clusters))
        p = permutation_p_value(second, first, rng=np.random.default_rng(SEED), rounds=rounds)
    ratio = paired_ratio(second, first, level=LEVEL) if zero else None
    gain = ratio.gain_interval if ratio else None
    correlation = _correlation(first, second)
    missing = {
        "interval": found.reason if found.interval is None else None,
        "p-value": None if p is not None else _no_p_value(first, alike=alike),
        "relative gain": f"{_IN_PLURAL.get(unit, unit)} have no true zero" if ratio is None else None,
        "correlation": "one of the runs does not vary" if correlation is None else None,
    }
    if ratio is not None and gain is None:
        missing["relative gain" if ratio.gain is None else "interval of the gain"] = ratio.reason
    return Difference(
        metric=metric,
        group=group,
        unit=unit,
        first=pair[0],
        second=pair[1],
        first_value=first.value,
        second_value=second.value,
        difference=found.value,
        stderr=found.stderr,
        low=found.interval.low if found.interval else None,
        high=found.interval.high if found.interval else None,
        level=LEVEL,
        p=p,
        correlation=correlation,
        relative_gain=ratio.gain if ratio else None,
        relative_low=gain.low if gain else None,
        relative_high=gain.high if gain else None,
        n=first.n_clusters,
        counted=(len(first.counted), len(second.counted)),
        reason="; ".join(reasons((f"no {name}", why) for name, why in missing.items())) or None,
        withheld={name: why for name, why in missing.items() if why is not None},
    )


def _no_p_value(first: ClusterTotals, *, alike: bool) -> str:
    if first.n_clusters < 2:
        return "one item cannot tell chance from a difference"
    return "the runs have items in different groups, so they cannot be swapped" if not alike else "nothing varies"


def _correlation(first: ClusterTotals, second: ClusterTotals) -> float | None:
    if not first.stderr or not second.stderr:
        return None
    one, other = first.influence(), second.influence()
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


def _ranks(
    metric: Metric, group: str | None, members: Sequence[int], statistics: Sequence[ClusterTotals]
) -> list[Rank]:
    if metric.direction == "none":
        return []
    contrasts = compare_all_pairs(statistics, rng=np.random.default_rng(SEED), rounds=_FEWEST_ROUNDS, level=LEVEL)
    ranks = rank_intervals(contrasts, len(statistics))
    return [
        Rank(
            metric=metric.name,
            group=group,
            run=number,
            value=statistic.value,
            low=rank.low,
            high=rank.high,
            reason=next(
                (pair.reason for pair in contrasts if pair.reason and place in (pair.first, pair.second)), None
            ),
        )
        for place, (number, statistic, rank) in enumerate(zip(members, statistics, ranks, strict=True))
    ]


def _adjusted(compared: Sequence[TaskComparison], adjust: Adjust) -> list[TaskComparison]:
    """Adjust p-values: over all overall numbers together, and over those of all groups together."""
    if adjust == "none":
        return list(compared)
    differences = [made for task in compared for made in task.differences]
    for of_groups in (False, True):
        tested = {
            place: made.p
            for place, made in enumerate(differences)
            if made.p is not None and (made.group is not None) == of_groups
        }
        values = adjusted_p_values(list(tested.values()), adjust).tolist() if tested else []
        for place, value in zip(tested, values, strict=True):
            differences[place] = msgspec.structs.replace(differences[place], p_adjusted=value)
    rest = iter(differences)
    return [msgspec.structs.replace(task, differences=tuple(islice(rest, len(task.differences)))) for task in compared]


# -- what changed most


def _with_flips(
    runs: Sequence[Run],
    key: str,
    made: TaskComparison,
    count: int,
    parts: Collection[str] | None,
    finder: SourceFinder | None,
    notes: list[str],
) -> TaskComparison:
    """The comparison with the items that changed most of each pair, and the answers of baselines to them.

    Where those are not there, a note says why.
    """
    flips = [flip for other in made.runs[1:] for flip in _flips(runs, key, (made.runs[0], other), count, parts)]
    task_run = runs[made.runs[0]].tasks[key]
    if finder is not None and flips and task_run.task_manifest.protocol.get("judges"):
        try:
            baselines = task_run.load_data(finder).baselines
        except JudgebenchError as error:
            notes.append(f"{made.task}: baselines' answers are not shown: {error}")
            baselines = {}
        flips = [
            msgspec.structs.replace(
                flip,
                baselines=tuple(
                    (name, there[flip.example_id].outputs)
                    for name, there in baselines.items()
                    if flip.example_id in there
                ),
            )
            for flip in flips
        ]
    return msgspec.structs.replace(made, flips=tuple(flips))


def _flips(
    runs: Sequence[Run], key: str, pair: tuple[int, int], count: int, parts: Collection[str] | None
) -> list[Flip]:
    """The items whose example score changed most, largest change first, ties in the order of the examples; with
    ``parts``, only of these groups.

    The score is the mean of an item's rows of the first measure in the run's files; ``rating#turn-1`` and
    ``rating#turn-2`` are the same measure.
    """
    task_runs = [runs[number].tasks[key] for number in pair]
    rows = [run.example_scores() for run in task_runs]
    measure = rows[0][0].metric.partition("#")[0]
    values = [_by_example(of_run, measure) for of_run in rows]
    changes = {name: values[1][name] - value for name, value in values[0].items() if name in values[1]}
    examples = task_runs[0].examples()
    if parts is not None:
        kept = {example.id for example in examples if in_groups(task_runs[0].task.groups, example, parts)}
        changes = {name: change for name, change in changes.items() if name in kept}
    chosen = sorted((name for name, change in changes.items() if change), key=lambda name: -abs(changes[name]))[:count]
    if not chosen:
        return []
    prompts = {example.id: example.instruction for example in examples}
    metric, unit, scale = _read_as(task_runs[0], rows[0], measure, values[0])
    shown = [_sides(*side, set(chosen)) for side in zip(task_runs, pair, values, strict=True)]
    return [
        Flip(
            example_id=name,
            prompt=prompts.get(name, ""),
            measure=measure,
            change=changes[name],
            runs=(shown[0][name], shown[1][name]),
            metric=metric,
            unit=unit,
            scale=scale,
        )
        for name in chosen
    ]


def _read_as(
    run: TaskRun, rows: Sequence[ExampleScore], measure: str, values: Mapping[str, float]
) -> tuple[str, str, float]:
    """The metric that has these values for items, its unit and what they are multiplied by; else the score itself."""
    for found in measures(run.task, rows).values():
        scale = 100.0 if found.unit == "percent" else 1.0
        own = {name: value for name, value in found.values.items() if value is not None}
        if own.keys() == values.keys() and all(isclose(own[name], scale * value) for name, value in values.items()):
            return found.name, found.unit, scale
    return measure, "", 1.0


def _by_example(rows: Sequence[ExampleScore], measure: str) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.value is not None and row.metric.partition("#")[0] == measure:
            found.setdefault(row.example_id, []).append(row.value)
    return {name: sum(values) / len(values) for name, values in found.items()}


def _sides(run: TaskRun, number: int, values: Mapping[str, float], names: set[str]) -> dict[str, FlipSide]:
    answers = run.generations()
    examples = {example.id: example for example in run.examples() if example.id in names}
    verdicts: dict[str, list[str]] = {}
    for judgement in run.judgements():
        name = judgement.example_id
        if name not in examples:
            continue
        if judgement.judge_model == VERIFIED_BY:
            rulings = rulings_of(run.task, examples[name], answers.get(name), judgement)
            said = [ruling_in_words(ruling) for ruling in rulings]
        else:
            said = [_verdict(judgement)]
        verdicts.setdefault(name, []).extend(said)
    return {
        name: FlipSide(
            run=number,
            value=values[name],
            answers=answers[name].outputs if name in answers else (),
            verdicts=tuple(verdicts.get(name, ())),
        )
        for name in names
    }


def _verdict(judgement: Judgement) -> str:
    """A judgement in words: who judged, what was read from the reply, and the reply."""
    verdict, reply = judgement.verdict, judgement.reply
    first = ("candidate first", "candidate second")[judgement.candidate] if len(judgement.answers) == 2 else ""
    who = ", ".join(filter(None, (judgement.judge_model or judgement.judge, first)))
    if verdict.value is None:
        read = verdict.error or "no verdict"
    else:
        even = verdict.value == 0.5 and any(one.top_logprobs for one in judgement.replies)
        read = verdict_in_words(None if even else verdict.label, verdict.value, share_of(judgement, verdict.value))
    # A reply of a token or two says no more than what was read from it.
    said = (reply.text or "") if reply is not None else ""
    return f"{who}: {read}" + (f"\n{said}" if len(said.strip()) > SHORT_REPLY else "")
