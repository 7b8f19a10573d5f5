"""Leaderboards: rows made from runs and published tables, grouped so that only equal protocols are ranked together.

How the rows are printed is in ``cli``; the fits of several runs together are in ``joint_fits``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from statistics import NormalDist

import msgspec

from judgebench import tasks
from judgebench.analysis.joint_fits import Tabulate, fit_together
from judgebench.display import is_metric_name, shortened
from judgebench.errors import UsageError
from judgebench.records import BridgeUsed, Kind, Score
from judgebench.run.folder import Manifest, TaskManifest
from judgebench.run.manifests import lacking, spent
from judgebench.run.protocol import differing
from judgebench.run.reading import Run, TaskRun
from judgebench.run.run_tasks import NO_FILES, TaskFiles
from judgebench.stats.many_runs import ranks_of_estimates
from judgebench.task import Task

BY_ROW: "dict[str, Callable[[LeaderboardRow], float | None]]" = {
    "length": lambda row: None if (score := length_of(row)) is None else score.value,
    "usd": lambda row: row.usd,
    "unread": lambda row: row.unread,
}
"""What rows can be sorted by besides a metric or the model's name; the smallest comes first."""
FROM_A_FILE = ("outputs:", "reported:")
"""Prefixes of the identity of a model that is known only by its answers or numbers."""
NOT_IN_COMMON_FIT = "not in the table's common fit"
NO_TABLES: "Mapping[tuple[str, str], Table]" = {}
"""Published tables that runs stand in, by the run's path and the task with its version."""


class LeaderboardRow(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one task."""

    task: str
    """Task with version and options."""
    model: str
    """The name that the user gave the run, or the model's own."""
    candidate: str = ""
    """The model's own name, which published rows are looked up by; empty for those."""
    identity: str = ""
    """The model's identity in the manifest: its weights, its endpoint, or the file of its answers."""
    origin: str
    """The run folder, or the upstream place of a published figure."""
    started_at: str = ""
    input_hash: str = ""
    """Fingerprint of everything that the run was made from, the model among it; empty if it is unknown."""
    again: tuple[str, ...] = ()
    """Older runs made from the same with the same numbers: they have no row of their own."""
    published: bool = False
    kind: Kind = "measured"
    """Whether its numbers were measured, or predicted by a judge bridge."""
    starter: bool = False
    partial: bool = False
    """Whether it is of a part of the examples: the user selected them, or judging stopped early."""
    protocol_hash: str
    protocol: dict[str, object]
    scores: dict[str, Score]
    """By metric, over all examples or those of one group."""
    part: str | None = None
    """The group, such as ``category=math``; ``None`` for all examples."""
    flags: tuple[str, ...] = ()
    status: str = "complete"
    lacks: str = ""
    """What the run lacks so much of that its numbers are not those of the whole set, and have no rank; or empty."""
    unread: float | None = None
    """Share of the judged or verified cases that ended without a verdict; ``None`` without any case."""
    usd: float | None = None
    """What the calls of the run cost; ``None`` if that is unknown, as for imported runs."""
    unpriced: bool = False
    """Whether there were further tokens of unknown price."""
    rank: int | None = None
    """Place within the group by its first metric, 1 the best; equal values share one. ``None`` without a value, and
    for a run that lacks too much."""
    rank_low: int | None = None
    """The best and the worst rank that the standard errors leave open; ``None`` without errors. See
    ``ranks_of_estimates``."""
    rank_high: int | None = None
    published_value: float | None = None
    """The published value of the group's first metric for a model of this name, from the table with the task's version
    and options; its judge and baseline may differ."""
    apart: tuple[str, ...] = ()
    """In what the run was evaluated otherwise than the rows of the table published for its task; empty if in nothing,
    or if published rows were not asked for."""
    pinned: bool = False


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one protocol, best first."""

    task: str
    headline: tuple[str, ...]
    rows: tuple[LeaderboardRow, ...]
    part: str | None = None
    """The group of examples that the scores are of; ``None`` for all examples."""
    differs: tuple[str, ...]
    """Protocol fields in which this group differs from the task's first group."""
    table: str | None = None
    """Label of the published table whose rows stand among the runs; all are then placed by upstream's rule."""
    bridge: BridgeUsed | None = None
    """The judge bridge that predicted the rows that were not measured; a table has none of its runs' own then."""

    @property
    def measured(self) -> "LeaderboardRow | None":
        """The first row of a run's own numbers; ``None`` if all rows are published or predicted ones."""
        return next((row for row in self.rows if not row.published and row.kind == "measured"), None)

    @property
    def examples(self) -> tuple[bool, bool]:
        """What the runs are of: whether of a starter set, and whether of a part; the whole official set comes first."""
        return _examples(self.rows)

    def score(self, row: "LeaderboardRow", metric: str) -> Score | None:
        """The number that places a row: by upstream's rule where published rows stand beside it."""
        return placed(row, metric, self.table)


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A published table that runs of some protocol stand in."""

    label: str
    metric: str
    """The first metric that was published and that a run alone can give: it ranks."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One model across tasks."""

    model: str
    cells: tuple[LeaderboardRow | None, ...]
    """Its newest row in each group."""
    further: tuple[int, ...]
    """How many older rows of the model each group has."""
    mean_rank: float | None
    """Mean of its ranks; ``None`` unless it has one in every group."""
    pinned: bool = False


class Across(msgspec.Struct, frozen=True, kw_only=True):
    """The first group of each task side by side."""

    groups: tuple[Group, ...]
    standings: tuple[Standing, ...]
    starter: bool = False
    partial: bool = False
    absent: tuple[str, ...] = ()
    """Tasks whose runs here are of other examples: of a starter set or of a part."""
    elsewhere: tuple[str, ...] = ()
    """Models whose runs stand in none of these groups, such as those of another protocol."""


def rows_of(run: Run, task: str | None = None) -> list[LeaderboardRow]:
    """A row for each task of a run, or for the task named."""
    return [row for row, _ in _rows_of(run, task)]


def _rows_of(run: Run, task: str | None) -> Iterator[tuple[LeaderboardRow, TaskRun]]:
    manifest = run.manifest
    for task_run in run.tasks.values():
        task_manifest = task_run.task_manifest
        if not tasks.is_among(task, task_run.names):
            continue
        usd, unpriced = _cost(manifest, task_run.key)
        findings = [finding.check for finding in task_run.findings if finding.flagged]
        row = LeaderboardRow(
            task=f"{task_manifest.name}@{task_manifest.version}",
            model=manifest.shown_name,
            candidate=manifest.candidate,
            identity=manifest.candidate_identity,
            origin=str(run.path),
            started_at=manifest.started_at,
            input_hash=task_manifest.input_hash,
            starter=task_manifest.starter,
            partial=task_manifest.selection is not None or _stopped_early(task_manifest),
            protocol_hash=task_manifest.protocol_hash,
            protocol=task_manifest.protocol,
            # The folder may come from anyone: a metric's name must be a plain word.
            scores={metric: score for metric, score in task_run.overall.items() if is_metric_name(metric)},
            flags=(*findings, *protocol_flags(task_manifest)),
            status=run.status if manifest.imported_from is None else f"imported, {run.status}",
            lacks="; ".join(lacking(task_manifest.counts).values()),
            unread=_unread(task_manifest.counts),
            usd=usd,
            unpriced=unpriced,
        )
        yield row, task_run


def _unread(counts: Mapping[str, int]) -> float | None:
    ended = sum(count for name, count in counts.items() if name not in ("examples", "without_answer"))
    return sum(counts.get(what, 0) for what in ("unread", "failed", "missing")) / ended if ended else None


def _cost(manifest: Manifest, key: str) -> tuple[float | None, bool]:
    """What a task has cost in USD, and whether it may be more: unknown prices, or a session that was killed early."""
    stages = [stage for session in manifest.sessions for stage in session.counts.get(key, {}).values()]
    if not stages:
        return None, False
    usd = sum(stage.usd for stage in stages)
    paid = max(spent(manifest), manifest.spending.usd if manifest.spending else 0.0)
    if len(manifest.tasks) == 1:
        usd = paid
    unreported = len(manifest.tasks) > 1 and paid > spent(manifest) + 0.005
    unpriced = any(stage.unpriced.prompt_tokens or stage.unpriced.completion_tokens for stage in stages)
    return usd, unpriced or unreported


def in_one_table(runs: Iterable[Run], task: str | None = None) -> list[LeaderboardRow]:
    """The runs' rows, with scores that a task fits to all runs of one protocol together in place of their own.

    Counts of missing examples stay those of the run. A run whose example scores cannot be read keeps its own score,
    and is flagged.
    """
    listed = [pair for run in runs for pair in _rows_of(run, task)]
    tables: dict[tuple[str, str], list[int]] = {}
    for place, (row, _) in enumerate(listed):
        tables.setdefault((row.task, row.protocol_hash), []).append(place)
    rows = [row for row, _ in listed]
    for places in tables.values():
        tabulate = _tabulator(listed[places[0]][1]) if len(places) > 1 else None
        if tabulate is None:
            continue
        fitted = fit_together(tabulate, [listed[place][1] for place in places])
        for place, scores in zip(places, fitted, strict=True):
            if scores is None:
                rows[place] = msgspec.structs.replace(rows[place], flags=(*rows[place].flags, NOT_IN_COMMON_FIT))
            else:
                rows[place] = _with(rows[place], scores)
    return rows


def without_repetitions(rows: Iterable[LeaderboardRow]) -> list[LeaderboardRow]:
    """The rows, those of runs that were made again from the same and gave the same numbers as one: the newest.

    It names the older ones, and its cost is that of all.
    """
    same: dict[object, list[LeaderboardRow]] = {}
    for place, row in enumerate(rows):
        repeats = bool(row.input_hash and row.scores) and row.status.removeprefix("imported, ") == "complete"
        key = (row.task, row.part, row.model, row.input_hash, row.flags, msgspec.json.encode(row.scores))
        same.setdefault(key if repeats else place, []).append(row)
    return [listed[0] if len(listed) == 1 else _newest(listed) for listed in same.values()]


def _newest(rows: Sequence[LeaderboardRow]) -> LeaderboardRow:
    newest = max(rows, key=lambda row: row.started_at)
    costs = [row.usd for row in rows if row.usd is not None]
    return msgspec.structs.replace(
        newest,
        again=tuple(row.origin for row in rows if row is not newest),
        usd=sum(costs) if costs else None,
        unpriced=any(row.unpriced for row in rows),
    )


def _tabulator(run: TaskRun) -> Tabulate | None:
    """The function that fits scores to several runs together; ``None`` if the task has none or is unknown here."""
    if "reported_by" in run.task_manifest.protocol:
        return None
    try:
        return run.task.tabulate
    except UsageError:
        return None


def _with(row: LeaderboardRow, fitted: Iterable[Score]) -> LeaderboardRow:
    scores = dict(row.scores)
    for score in fitted:
        own = scores.get(score.metric)
        missing = score.n_missing if own is None else own.n + own.n_missing - score.n
        scores[score.metric] = msgspec.structs.replace(score, n_missing=missing)
    return msgspec.structs.replace(row, scores=scores)


def protocol_flags(task_manifest: TaskManifest) -> list[str]:
    """What to know of a task's numbers before they are read, as the leaderboard marks it."""
    flags = ["starter, not comparable"] if task_manifest.starter else []
    if task_manifest.own_judge is not None:
        flags.append(f"judged with a {task_manifest.own_judge.mark} of the user's own")
    if task_manifest.early_stop is not None and task_manifest.early_stop.early_stopped:
        flags.append(f"stopped early, {task_manifest.early_stop.n} of {task_manifest.early_stop.population}")
    if (cascade := task_manifest.cascade) is not None:
        flags.append(f"cascade, {shortened(cascade.dear, 60)} on {cascade.n} of {cascade.population}")
    if task_manifest.selection is not None:
        flags.append(f"a part, {shortened(task_manifest.selection, 100)}")
    return flags + (["stand-in source"] if any(source.standin for source in task_manifest.sources) else [])


def _stopped_early(task_manifest: TaskManifest) -> bool:
    return task_manifest.early_stop is not None and task_manifest.early_stop.early_stopped


def higher_is_better(label: str, metrics: Iterable[str]) -> set[str]:
    """Those of a task's metrics of which more is better, as far as the task is known; else those in percent."""
    task = known_task(label.partition(":")[0], NO_FILES)
    if task is None:
        return set(metrics)
    return {metric for metric in metrics if task.metric(metric).direction == "higher"}


def headlines(labels: Iterable[str], files: TaskFiles = NO_FILES) -> dict[str, tuple[str, ...]]:
    """The metrics that a table shows, by task with version; the first one ranks. None for a task unknown here.

    A task file may have changed since the run: that moves columns, but no number.
    """
    found = {}
    for label in labels:
        # A published table's label goes on after the version, for people.
        task = known_task(label.partition(":")[0], files)
        found[label] = () if task is None else task.headline
    return found


def known_task(
    label: str, files: TaskFiles, options: Mapping[str, str] | None = None, *, starter: bool = False
) -> Task | None:
    """The task of a label; ``None`` if it, its version or its options are unknown here. A label may come from anyone,
    so it is never used as a path.
    """
    name, _, version = label.partition("@")
    try:
        origin = tasks.find_registered(name) or (tasks.from_file(files[name]) if name in files else None)
        return None if origin is None else origin.task(version, options, starter=starter)
    except UsageError:
        return None


def group_rows(
    rows: Iterable[LeaderboardRow],
    metrics_of: Mapping[str, tuple[str, ...]],
    tables: Mapping[tuple[str, str], Table] = NO_TABLES,
) -> list[Group]:
    """Group rows by task and protocol, ranked by the task's first metric with values; largest first, published last.

    ``tables`` are the published ones by run and task: the rows of those runs stand among theirs, ranked by its metric.
    """
    grouped: dict[tuple[str, str], list[LeaderboardRow]] = {}
    held: dict[tuple[str, str], Table] = {}
    for row in rows:
        table = None if row.published else tables.get((row.origin, row.task))
        key = (row.task, row.protocol_hash) if table is None else (table.label, f"published:{table.label}")
        grouped.setdefault(key, []).append(row)
        if table is not None:
            held[key] = table
    groups = []
    firsts: dict[str, LeaderboardRow] = {}
    for (task, place), members in sorted(grouped.items(), key=_group_order):
        table = held.get((task, place))
        metrics = tuple(metric for metric in metrics_of.get(task, ()) if any(metric in row.scores for row in members))
        # A run lists a task's headline first, also of a task that is unknown here.
        metrics = metrics or tuple(dict.fromkeys(metric for row in members for metric in row.scores))
        # A metric without any value, for lack of an official file, cannot rank.
        metrics = tuple(sorted(metrics, key=lambda metric: all(value_of(row, metric) is None for row in members)))
        if table is not None:
            metrics = (table.metric, *(metric for metric in metrics if metric != table.metric))
        own = next((row for row in members if not row.published), members[0])
        first = own if own.published else firsts.setdefault(own.task, own)
        label = None if table is None else table.label
        groups.append(
            Group(
                task=task,
                part=own.part,
                headline=metrics,
                rows=tuple(_ranked(members, metrics[0], label)) if metrics else tuple(members),
                differs=tuple(differing(first.protocol, own.protocol)),
                table=label,
            )
        )
    return groups


def _group_order(
    item: tuple[tuple[str, str], list[LeaderboardRow]],
) -> tuple[str, bool, tuple[bool, bool], int, str]:
    (task, protocol_hash), members = item
    return task, all(row.published for row in members), _examples(members), -len(members), protocol_hash


def _examples(rows: Iterable[LeaderboardRow]) -> tuple[bool, bool]:
    runs = [row for row in rows if not row.published]
    return any(row.starter for row in runs), any(row.partial for row in runs)


def placed(row: LeaderboardRow, metric: str, table: str | None) -> Score | None:
    """The number of a row that a table shows: by upstream's rule where the rows of a published ``table`` stand."""
    score = row.scores.get(metric)
    return score if score is None or table is None else score.by_upstream


def value_of(row: LeaderboardRow, metric: str, table: str | None = None) -> float | None:
    """A row's value; ``None`` without a score, or if the score has no value."""
    score = placed(row, metric, table)
    return None if score is None else score.value


def _ranked(rows: Sequence[LeaderboardRow], metric: str, table: str | None) -> list[LeaderboardRow]:
    """The rows, best first, each with its rank and the ranks that its standard error leaves open.

    A run that lacks too much comes last and has no rank: what it leaves out may be its worst part. A published value
    without an error counts as exact; which ranks are open is then said of runs alone.
    """

    def ranks(row: LeaderboardRow) -> bool:
        return not row.lacks and value_of(row, metric, table) is not None

    with_value = sorted(filter(ranks, rows), key=lambda row: row.model)
    with_value.sort(key=lambda row: -value_of(row, metric, table))  # type: ignore[operator]
    scores = [score for row in with_value if (score := placed(row, metric, table)) is not None]
    values = [score.value or 0.0 for score in scores]
    known = [stderr_of(score) for score in scores]
    stderrs = [
        0.0 if stderr is None and row.published and table is not None else stderr
        for row, stderr in zip(with_value, known, strict=True)
    ]
    certain = len(with_value) > 1 and any(stderr is not None for stderr in known)
    # Exact values do not vary, so any number of them leaves as much to chance as one.
    varying = sum(stderr != 0 for stderr in stderrs) + 1 if table is not None else None
    ranked: list[LeaderboardRow] = []
    for row, value, stderr, places in zip(
        with_value, values, known, ranks_of_estimates(values, stderrs, varying=varying), strict=True
    ):
        rank = 1 + values.index(value)
        told = certain and (table is None or stderr is not None)
        open_ranks = {"rank_low": places.low, "rank_high": places.high} if told else {}
        ranked.append(msgspec.structs.replace(row, rank=rank, **open_ranks))
    without = sorted((row for row in rows if not ranks(row)), key=lambda row: row.model)
    return ranked + without


def stderr_of(score: Score) -> float | None:
    """A score's standard error, derived from its interval if it has nothing else."""
    if score.stderr is not None or score.low is None or score.high is None or score.level is None:
        return score.stderr
    return (score.high - score.low) / (2 * NormalDist().inv_cdf((1 + score.level) / 2))


def across_tasks(groups: Sequence[Group]) -> Across | None:
    """Each task's first group of runs side by side, models with the best mean rank first; ``None`` for a single task.

    Ranks of whole sets do not stand beside those of parts, nor beside those of starter sets. Rows belong to one model
    if name and identity are equal; if only its answers are known, the name decides.
    """
    firsts: dict[str, Group] = {}
    for group in groups:
        if (own := group.measured) is not None and not group.differs:
            firsts.setdefault(" ".join(filter(None, (own.task, group.part))), group)
    starter, partial = min((group.examples for group in firsts.values()), default=(False, False))
    tables = tuple(group for group in firsts.values() if group.examples == (starter, partial))
    if len(tables) < 2:
        return None
    models: dict[tuple[str, str], list[list[LeaderboardRow]]] = {}
    for place, group in enumerate(tables):
        for row in (row for row in group.rows if not row.published):
            identity = "" if row.identity.startswith(FROM_A_FILE) else row.identity
            models.setdefault((row.model, identity), [[] for _ in tables])[place].append(row)
    standings = []
    for (model, _), cells in models.items():
        newest = tuple(max(rows, key=lambda row: row.started_at) if rows else None for rows in cells)
        ranks = [row.rank for row in newest if row is not None and row.rank is not None]
        standings.append(
            Standing(
                model=model,
                cells=newest,
                further=tuple(max(0, len(rows) - 1) for rows in cells),
                mean_rank=sum(ranks) / len(ranks) if len(ranks) == len(tables) else None,
                pinned=any(row.pinned for rows in cells for row in rows),
            )
        )
    return Across(
        groups=tables,
        standings=tuple(sorted(standings, key=_standing_order)),
        starter=starter,
        partial=partial,
        absent=tuple(name for name, group in firsts.items() if group not in tables),
        elsewhere=tuple(sorted(_models_of(groups) - {model for model, _ in models})),
    )


def _models_of(groups: Iterable[Group]) -> set[str]:
    return {row.model for group in groups for row in group.rows if not row.published and row.kind == "measured"}


def _standing_order(standing: Standing) -> tuple[bool, float, int, str]:
    mean_rank = float("inf") if standing.mean_rank is None else standing.mean_rank
    return not standing.pinned, mean_rank, standing.cells.count(None), standing.model


def of_tasks_of_runs(groups: Sequence[Group]) -> Sequence[Group]:
    """The groups without published tables of tasks, or versions of tasks, that no run here holds."""
    held = {group.measured.task for group in groups if group.measured is not None}
    return [group for group in groups if group.measured or group.task.partition(":")[0] in held] if held else groups


def arranged(
    groups: Iterable[Group], *, sort: str | None = None, filters: Sequence[str] = (), pins: Sequence[str] = ()
) -> list[Group]:
    """The groups with their rows sorted or filtered; ranks stay those among all rows.

    ``sort`` is a metric (largest first), ``model``, or one of :data:`BY_ROW` (smallest first). ``filters`` are patterns
    of model names (``*`` and ``?``, ignoring case); a row must match one. Models in ``pins`` come first and are never
    filtered out. Raises :class:`UsageError` if a sort key, a pin or all filters match nothing.
    """
    given = list(groups)
    metrics = {metric for group in given for row in group.rows for metric in row.scores}
    if sort is not None and sort not in {*metrics, *BY_ROW, "model"}:
        raise UsageError(f"--sort {sort!r} is not a column; it can be model, {', '.join((*BY_ROW, *sorted(metrics)))}")
    models = {row.model for group in given for row in group.rows}
    known = ", ".join(sorted(models))[:500]
    for pin in pins:
        if pin not in models:
            raise UsageError(f"--pin {pin!r}: no row is of that model; the models are {known}")
    found = []
    for group in given:
        rows = [msgspec.structs.replace(row, pinned=row.model in pins) for row in group.rows]
        if filters:
            patterns = [pattern.casefold() for pattern in filters]
            rows = [row for row in rows if row.pinned or any(fnmatchcase(row.model.casefold(), p) for p in patterns)]
        if sort is not None and (group.bridge is None or sort in BY_ROW or sort == "model"):
            rows.sort(key=lambda row: _sort_key(row, sort, group.table))
        rows.sort(key=lambda row: not row.pinned)
        if rows:
            found.append(msgspec.structs.replace(group, rows=tuple(rows)))
    if not found:
        raise UsageError(f"--filter {' '.join(filters)}: no model has such a name among {known}")
    return found


def _sort_key(row: LeaderboardRow, sort: str, table: str | None) -> tuple[bool, float, str]:
    if sort == "model":
        return False, 0.0, row.model
    value, sign = (BY_ROW[sort](row), 1) if sort in BY_ROW else (value_of(row, sort, table), -1)
    return value is None, 0.0 if value is None else sign * value, row.model


def length_of(row: LeaderboardRow) -> Score | None:
    """The mean length of the row's answers in characters, if the task measures it."""
    return next((score for score in row.scores.values() if score.unit == "characters"), None)
