"""Two or more runs on the same items: by how much they differ, whether chance could have done it, and on which items.

Everything is paired: differences are taken item by item, so that what the runs share cancels out. Only runs of equal
protocol are compared; of the others the protocol fields in which they differ are named. An item counts where every run
has a value for it, and what is left out is counted.

What a metric is made of its task says (``Task.metrics``); statistics are those of ``stats/paired.py``.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import msgspec
import numpy as np

from judgebench.data.sources import SourceFinder, read_sources
from judgebench.display import reasons
from judgebench.errors import UsageError
from judgebench.models.call_store import default_cache_dir
from judgebench.records import Example, ExampleScore, Judgement, Score
from judgebench.run.folder import usable
from judgebench.run.protocol import differing
from judgebench.run.reading import Run, TaskRun
from judgebench.stats.clustered import ClusterTotals, cluster_totals, clustered_estimate, difference
from judgebench.stats.many_runs import compare_all_pairs, rank_intervals
from judgebench.stats.multiplicity import adjusted_p_values
from judgebench.stats.paired import permutation_p_value
from judgebench.stats.relative import paired_ratio
from judgebench.task import Fetch
from judgebench.task.metric import Metric, MetricSums

Adjust = Literal["holm", "bh", "none"]

LEVEL = 0.95
SEED = 0
TRUE_ZERO = ("percent", "characters", "usd")
"""Units in which a relative gain means something: grades from 1 to 10 and rewards from -1 to 1 have no true zero."""
SAME_NUMBER = 1e-6
"""A score and the mean of its example scores are one number up to this."""

_FEWEST_ROUNDS, _MOST_ROUNDS = 1_000, 10_000
# Signs drawn for one p-value.
_SIGNS = 10_000_000

Found = Callable[[TaskRun], Fetch]
"""The official files of a run's task, by name."""


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One run, as a comparison names it."""

    model: str
    path: str
    status: str


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one run beside the first run, ``second - first``, over the items that all runs have."""

    metric: str
    group: str | None
    unit: str
    first: int
    """Position of the run compared with."""
    second: int
    first_value: float | None
    second_value: float | None
    difference: float | None
    stderr: float | None
    low: float | None
    high: float | None
    level: float
    """Of the interval: Student's t of the paired differences."""
    p: float | None
    """Two-sided, of swapping the two runs item by item at random."""
    p_adjusted: float | None
    """For all metrics over all items, models and tasks of the comparison; groups are adjusted among themselves."""
    correlation: float | None
    """Of the two runs over items: what pairing gains by."""
    relative_gain: float | None
    """Percent; only in units with a true zero."""
    relative_low: float | None
    relative_high: float | None
    n: int
    """Items that vary independently."""
    reason: str | None
    """Why numbers are missing, in one line."""
    withheld: dict[str, str] = {}
    """Why, by what is missing: ``interval``, ``p-value``, ``relative gain``, ``interval of the gain``,
    ``correlation``."""


class Rank(msgspec.Struct, frozen=True, kw_only=True):
    """The ranks that a run may have by one metric, 1 the best; all runs' hold together with the level."""

    metric: str
    run: int
    value: float | None
    low: int
    high: int
    reason: str | None = None
    """Why some run could not be told from this one by an interval."""


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """What one run contributes."""

    run: int
    items: int
    missing: int
    """Items without a value for some metric: failed, unread or not reached."""


class FlipSide(msgspec.Struct, frozen=True, kw_only=True):
    """One run's part of an item."""

    run: int
    value: float | None
    answers: tuple[str, ...]
    verdicts: tuple[str, ...]
    """What each judge said last, or the rule that verified it."""


class Flip(msgspec.Struct, frozen=True, kw_only=True):
    """An item on which two runs differ."""

    example_id: str
    prompt: str
    measure: str
    """The example score that changed."""
    change: float
    runs: tuple[FlipSide, FlipSide]


class ProtocolMismatch(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is not compared, because its protocol is another one."""

    run: int
    fields: tuple[str, ...]
    """Names of the protocol fields in which it differs from the task's first run."""
    values: tuple[tuple[str, str], ...]
    """What they are in the first run and in this one."""


class TaskComparison(msgspec.Struct, frozen=True, kw_only=True):
    """Runs of one task with one protocol."""

    task: str
    protocol_hash: str
    starter: bool
    runs: tuple[int, ...]
    common: int
    """Items on which all runs have a value."""
    coverage: tuple[Coverage, ...]
    differences: tuple[Difference, ...]
    ranks: tuple[Rank, ...]
    """With more than two runs."""
    not_compared: tuple[tuple[str, str], ...]
    """Metrics left out, and parts of the items (``score category=math``), each with the reason."""
    flips: tuple[Flip, ...] = ()


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that ``compare`` shows."""

    runs: tuple[Compared, ...]
    tasks: tuple[TaskComparison, ...]
    unlike: dict[str, tuple[ProtocolMismatch, ...]]
    """By task."""
    adjust: Adjust
    level: float
    notes: tuple[str, ...] = ()
    """Why a task that runs of one protocol have is not compared: no item in common, or no scores of single items."""


def official_files(mirrors: Sequence[Any] = (), *, offline: bool = False) -> Found:
    """Where the few numbers that need an official file get it: found and verified as for a run."""
    finder = SourceFinder(default_cache_dir(), mirrors, offline=offline)

    def of_run(run: TaskRun) -> Fetch:
        return lambda source: finder.fetch(read_sources(run.task_folder)[source])[0]

    return of_run


def compare(
    runs: Sequence[Run],
    *,
    adjust: Adjust = "holm",
    level: float = LEVEL,
    task: str | None = None,
    flips: int = 0,
    files: Found | None = None,
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
    flips
        How many of the items that changed most are shown for each pair.
    files
        Gives official files to the numbers that need one (``official_files``).
    level
        Of the intervals.

    Raises
    ------
    UsageError
        If nothing can be compared: no task in two runs, unlike protocols, or no item in common.
    """
    if len(runs) < 2:
        raise UsageError(f"a comparison needs two runs or more; got {len(runs)}")
    if adjust not in get_args(Adjust):
        raise UsageError(f"p-values cannot be adjusted by {adjust!r}; it can be {', '.join(get_args(Adjust))}")
    if flips < 0:
        raise UsageError(f"{flips} items that changed most cannot be shown; it is 0 or more")
    compared, unlike, notes = [], {}, []
    for key in dict.fromkeys(key for run in runs for key in run.tasks):
        having = [number for number, run in enumerate(runs) if key in run.tasks]
        if task is not None and task not in names_of(runs[having[0]].tasks[key]):
            continue
        groups: dict[str, list[int]] = {}
        for number in having:
            groups.setdefault(runs[number].tasks[key].task_manifest.protocol_hash, []).append(number)
        apart = [_unlike(runs, key, having[0], members[0]) for members in list(groups.values())[1:]]
        if apart:
            unlike[key] = tuple(apart)
        for members in groups.values():
            if len(members) > 1:
                try:
                    compared.append(_compare_task(runs, key, members, level, flips, files or official_files()))
                except UsageError as error:
                    notes.append(str(error))
    if not compared:
        raise UsageError(notes[0] if notes else _nothing(runs, task, unlike))
    return Comparison(
        runs=tuple(
            Compared(model=run.manifest.candidate, path=str(run.path), status=run.manifest.status) for run in runs
        ),
        tasks=tuple(_adjusted(compared, adjust)),
        unlike=unlike,
        adjust=adjust,
        level=level,
        notes=tuple(notes),
    )


def names_of(run: TaskRun) -> tuple[str, ...]:
    """What a task of a run may be called."""
    return (
        run.key,
        run.task_manifest.name,
        f"{run.task_manifest.name}@{run.task_manifest.version}",
        run.task_manifest.label,
    )


def unlike_fields(first: TaskRun, other: TaskRun) -> list[tuple[str, str, str]]:
    """Protocol fields in which two runs differ, with both values, each cut to 60 characters."""
    return [
        (name, _shown(first.task_manifest.protocol, name), _shown(other.task_manifest.protocol, name))
        for name in differing(first.task_manifest.protocol, other.task_manifest.protocol)
    ]


def _shown(protocol: Mapping[str, Any], dotted: str) -> str:
    """A field's value; its name's parts may hold dots themselves, such as file names."""
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


def _nothing(runs: Sequence[Run], task: str | None, unlike: Mapping[str, Sequence[ProtocolMismatch]]) -> str:
    if not unlike:
        held = "; ".join(f"{run.path} holds {', '.join(run.tasks) or 'no task'}" for run in runs)
        wanted = f"the task {task!r}" if task else "a task"
        return f"a comparison needs {wanted} that two of the runs have: {held}"
    told = "; ".join(
        f"{key}: {runs[one.run].path} differs in {', '.join(one.fields[:6])}"
        for key, several in unlike.items()
        for one in several
    )
    return (
        f"these runs were not made by one protocol, so no number of theirs can be compared ({told}). Run both with "
        f"the same judge, options and items; `judgebench leaderboard` shows them side by side, unranked"
    )


# -- one task


def _compare_task(
    runs: Sequence[Run], key: str, members: Sequence[int], level: float, flips: int, files: Found
) -> TaskComparison:
    own = [runs[number].tasks[key] for number in members]
    rows, paired = paired_rows([one.example_scores() for one in own])
    examples = own[0].examples()
    items = {example.id: example.item or example.id for example in examples}
    common = len({items.get(row.example_id, row.example_id) for row in paired[0]})
    coverage = tuple(
        Coverage(run=number, items=len(set(items.values())), missing=_missing(rows_of_run, items))
        for number, rows_of_run in zip(members, rows, strict=True)
    )
    if not common:
        told = ", ".join(f"{runs[c.run].path} lacks {c.missing} of {c.items}" for c in coverage)
        raise UsageError(
            f"{own[0].task_manifest.label}: no item has a value in all {len(members)} runs ({told}), so nothing can be "
            f"paired. Finish the runs (start the same command again), or compare others"
        )
    units = {(score.metric, score.group): score.unit for one in own for score in one.scores}
    found = [sums_of(one, examples, mine, files) for one, mine in zip(own, paired, strict=True)]
    usable, left_out = _comparable(own, found)
    differences, ranks = [], []
    for name in usable:
        statistics = on_common_clusters([sums[name] for sums in found])
        for place in range(1, len(members)):
            pair = (members[0], members[place])
            made = _difference(*name, units.get(name, ""), pair, statistics[0], statistics[place], level)
            differences.append(made)
        if len(members) > 2 and name[1] is None:
            ranks += _ranks(own[0].task.metric(name[0]), members, statistics, level)
    pairs = [(members[0], number) for number in members[1:]]
    return TaskComparison(
        task=own[0].task_manifest.label,
        protocol_hash=own[0].task_manifest.protocol_hash,
        starter=own[0].task_manifest.starter,
        runs=tuple(members),
        common=common,
        coverage=coverage,
        differences=tuple(differences),
        ranks=tuple(ranks),
        not_compared=tuple(left_out),
        flips=tuple(flip for pair in pairs for flip in _flips(runs, key, pair, flips)) if flips else (),
    )


Key = tuple[str, str, int]
"""Example, metric, and which of several rows of that name it is."""


def keyed(rows: Iterable[ExampleScore]) -> dict[Key, ExampleScore]:
    """Example scores by what they are about."""
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
    """Every run's example scores by key, and those that have a value in all runs, in one order."""
    found = [keyed(own) for own in rows]
    common = [key for key in found[0] if all(key in own and own[key].value is not None for own in found)]
    return found, [[own[key] for key in common] for own in found]


def _missing(rows: Mapping[Key, ExampleScore], items: Mapping[str, str]) -> int:
    """Items with no row, or without the value of a metric that the run has for others."""
    there = {row.metric for row in rows.values() if row.value is not None}
    lacking = {example for (example, *_), row in rows.items() if row.value is None and row.metric in there}
    lacking |= set(items) - {example for example, *_ in rows}
    return len({items.get(example, example) for example in lacking})


def sums_of(run: TaskRun, examples: Sequence[Example], rows: Sequence[ExampleScore], files: Found) -> MetricSums:
    """A run's scores as sums over items, from example scores that all have a value."""
    with usable(str(run.folder.path)):
        sums = run.task.sums(examples, rows, files(run))
    listed = {metric for metric, _ in sums}
    return {**sums, **_plain_means([score for score in run.scores if score.metric not in listed], examples, rows)}


def _plain_means(scores: Sequence[Score], examples: Sequence[Example], rows: Sequence[ExampleScore]) -> MetricSums:
    """Scores of which the task does not say what they are made of, where they are the means of the example scores of
    their name.
    """
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
        # With items left out, the run's own number is another one.
        if len(own) != score.n or abs((mean.value or 0.0) - score.value) <= SAME_NUMBER * max(1.0, abs(score.value)):
            sums[score.metric, None] = mean
    return sums


def _comparable(
    runs: Sequence[TaskRun], found: Sequence[MetricSums]
) -> tuple[list[tuple[str, str | None]], list[tuple[str, str]]]:
    """Metrics and groups that all runs have as sums, and those that they do not, with the reason."""
    usable = [name for name in found[0] if all(name in sums and sums[name].n_clusters for sums in found)]
    scores: dict[tuple[str, str | None], list[Score]] = {}
    for score in (score for run in runs for score in run.scores):
        scores.setdefault((score.metric, score.group), []).append(score)
    left_out = []
    for (metric, group), own in scores.items():
        if (metric, group) not in usable:
            why = next((score.reason for score in own if score.value is None and score.reason), None)
            name = metric if group is None else f"{metric} {group}"
            left_out.append((name, why or "it is no sum over items, or too few items of all runs have it"))
    return usable, left_out


def on_common_clusters(statistics: Sequence[ClusterTotals]) -> list[ClusterTotals]:
    """The statistics on the clusters that all of them have.

    They have the same ones where every run has the same rows; an item may still be without, say, a length.
    """
    common = statistics[0].clusters
    for one in statistics[1:]:
        common = np.intersect1d(common, one.clusters)
    if all(len(one.clusters) == len(common) for one in statistics):
        return list(statistics)
    found = []
    for one in statistics:
        kept = np.isin(one.clusters, common)
        found.append(
            ClusterTotals(one.clusters[kept], one.numerator[kept], one.denominator[kept], one.weights, int(kept.sum()))
        )
    return found


def _difference(
    metric: str,
    group: str | None,
    unit: str,
    pair: tuple[int, int],
    first: ClusterTotals,
    second: ClusterTotals,
    level: float,
) -> Difference:
    """``second - first``. A p-value takes at most ten million random signs: some ten thousand rounds of 1,000 items."""
    apart = difference(second, first)
    found = clustered_estimate(apart, level=level)
    # Of statistics with unlike terms, as where one run has no item of some category, nothing can be swapped.
    alike = first.numerator.shape == second.numerator.shape and np.array_equal(first.weights, second.weights)
    p = None
    if alike and first.n_clusters > 1:
        rounds = min(_MOST_ROUNDS, max(_FEWEST_ROUNDS, _SIGNS // first.n_clusters))
        p = permutation_p_value(second, first, rng=np.random.default_rng(SEED), rounds=rounds)
    ratio = paired_ratio(second, first, level=level) if unit in TRUE_ZERO else None
    gain = ratio.gain_interval if ratio else None
    correlation = _correlation(first, second)
    missing = {
        "interval": found.reason if found.interval is None else None,
        "p-value": None if p is not None else _no_p_value(first, alike=alike),
        "relative gain": f"{unit or 'values without a unit'} have no true zero" if ratio is None else None,
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
        level=level,
        p=p,
        p_adjusted=None,
        correlation=correlation,
        relative_gain=ratio.gain if ratio else None,
        relative_low=gain.low if gain else None,
        relative_high=gain.high if gain else None,
        n=first.n_clusters,
        reason="; ".join(reasons((f"no {name}", why) for name, why in missing.items())) or None,
        withheld={name: why for name, why in missing.items() if why is not None},
    )


def _no_p_value(first: ClusterTotals, *, alike: bool) -> str:
    if first.n_clusters < 2:
        return "one item cannot tell chance from a difference"
    return "the runs have items in different groups, so that they cannot be swapped" if not alike else "nothing varies"


def _correlation(first: ClusterTotals, second: ClusterTotals) -> float | None:
    if not first.stderr or not second.stderr:
        return None
    one, other = first.influence(), second.influence()
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


def _ranks(metric: Metric, members: Sequence[int], statistics: Sequence[ClusterTotals], level: float) -> list[Rank]:
    if metric.direction == "none":
        return []
    contrasts = compare_all_pairs(statistics, rng=np.random.default_rng(SEED), rounds=_FEWEST_ROUNDS, level=level)
    ranks = rank_intervals(contrasts, len(statistics))
    return [
        Rank(
            metric=metric.name,
            run=number,
            value=statistic.value,
            low=rank.low,
            high=rank.high,
            reason=next((one.reason for one in contrasts if one.reason and place in (one.first, one.second)), None),
        )
        for place, (number, statistic, rank) in enumerate(zip(members, statistics, ranks, strict=True))
    ]


def _adjusted(compared: Sequence[TaskComparison], adjust: Adjust) -> list[TaskComparison]:
    """With p-values adjusted over all overall numbers together, and over those of all groups together."""
    if adjust == "none":
        return list(compared)
    found: dict[tuple[int, int], float] = {}
    for of_groups in (False, True):
        tested = [
            (task_place, place, one.p)
            for task_place, task in enumerate(compared)
            for place, one in enumerate(task.differences)
            if one.p is not None and (one.group is not None) == of_groups
        ]
        values = adjusted_p_values([p for *_, p in tested], adjust).tolist() if tested else []
        found |= {(task_place, place): value for (task_place, place, _), value in zip(tested, values, strict=True)}
    return [
        msgspec.structs.replace(
            task,
            differences=tuple(
                msgspec.structs.replace(one, p_adjusted=found.get((task_place, place)))
                for place, one in enumerate(task.differences)
            ),
        )
        for task_place, task in enumerate(compared)
    ]


# -- what changed most


def _flips(runs: Sequence[Run], key: str, pair: tuple[int, int], count: int) -> list[Flip]:
    """The items whose example score changed most, the largest change first, ties in the order of the examples.

    An item's score is the mean of its rows of the first measure in the run's files; ``rating#turn-1`` and
    ``rating#turn-2`` are one measure.
    """
    own = [runs[number].tasks[key] for number in pair]
    rows = [one.example_scores() for one in own]
    measure = rows[0][0].metric.partition("#")[0]
    values = [_by_example(of_run, measure) for of_run in rows]
    changes = {name: values[1][name] - value for name, value in values[0].items() if name in values[1]}
    chosen = sorted((name for name, change in changes.items() if change), key=lambda name: -abs(changes[name]))[:count]
    if not chosen:
        return []
    prompts = {example.id: example.instruction for example in own[0].examples()}
    shown = [_sides(one, number, of_run, set(chosen)) for one, number, of_run in zip(own, pair, values, strict=True)]
    return [
        Flip(
            example_id=name,
            prompt=prompts.get(name, ""),
            measure=measure,
            change=changes[name],
            runs=(shown[0][name], shown[1][name]),
        )
        for name in chosen
    ]


def _by_example(rows: Sequence[ExampleScore], measure: str) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.value is not None and row.metric.partition("#")[0] == measure:
            found.setdefault(row.example_id, []).append(row.value)
    return {name: sum(values) / len(values) for name, values in found.items()}


def _sides(run: TaskRun, number: int, values: Mapping[str, float], names: set[str]) -> dict[str, FlipSide]:
    answers = run.generations()
    verdicts: dict[str, list[str]] = {}
    for judgement in run.judgements():
        if judgement.example_id in names:
            verdicts.setdefault(judgement.example_id, []).append(_verdict(judgement))
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
    """Who said it, what was read from it, and the words."""
    verdict, reply = judgement.verdict, judgement.reply
    read = verdict.label if verdict.label is not None else verdict.value
    words = f": {reply.text}" if reply is not None and reply.text else ""
    return f"{judgement.judge_model or judgement.judge} [{read if read is not None else verdict.error}]{words}"
