"""What ``import judgebench`` offers: each command as a function, and runs and results as objects with tables.

Functions take paths, loaded runs and plain values; where they take several runs, they also take lists of them. Each
result prints as one line, is a table in a notebook, and gives a pandas table by ``frame()``. What ends a command with
an exit code is an exception here, see ``errors.py``. The work itself is done in the modules that this one calls.
"""

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import msgspec

from judgebench.analysis import comparison, explanation, power_plan
from judgebench.analysis import leaderboard as ranking
from judgebench.display import printable, rough, shortened
from judgebench.errors import UsageError
from judgebench.exchange import exporting, importing
from judgebench.exchange import trackers as tracking
from judgebench.exchange.sheets import Cell, Column, Sheet, html_of
from judgebench.gating import policy as gate_policy
from judgebench.gating import verdicts
from judgebench.records import Score
from judgebench.run import frames, reading
from judgebench.run.folder import RunFolder
from judgebench.run.loading import source_finder
from judgebench.run.progress import Progress
from judgebench.run.run_tasks import TaskFiles
from judgebench.run.runner import Runner
from judgebench.run.scoring import score_run
from judgebench.run.settings import Keywords, PathLike, Settings, mirror_folders, settings_from_python, several
from judgebench.tasks import files_among, named, task_files

if TYPE_CHECKING:
    import pandas

SHOWN_ROWS = 200
"""Rows that a notebook shows of a result; ``frame()`` has all."""
PUBLISHED = "published:"
"""Before the name of a model of the published tables."""
SCORE_COLUMNS = tuple(name for name in Score.__struct_fields__ if name != "details")


class _Tabular:
    """A result that is shown as a table."""

    _title = ""

    def _rows(self) -> list[dict[str, Any]]:
        raise NotImplementedError

    def frame(self) -> "pandas.DataFrame":
        """The result as a pandas table, with a column for each field."""
        return _frame(self._rows())

    def __repr__(self) -> str:
        return f"<judgebench.{type(self).__name__} {printable(self._title)}>"

    def _repr_html_(self) -> str:
        """For notebooks."""
        rows = self._rows()
        names = dict.fromkeys(name for row in rows for name in row)
        shown = tuple(tuple(_cell(row.get(name)) for name in names) for row in rows[:SHOWN_ROWS])
        in_words = [any(isinstance(row[place], str) for row in shown) for place in range(len(names))]
        columns = tuple(map(Column, names, in_words))
        more = (f"{len(rows) - SHOWN_ROWS} more rows: frame() has all",) if len(rows) > SHOWN_ROWS else ()
        return html_of(Sheet(self._title, columns, shown, more))


def _frame(rows: Iterable[dict[str, Any]]) -> "pandas.DataFrame":
    import pandas

    return pandas.DataFrame(list(rows))


def _cell(value: Any) -> Cell:
    return value if value is None or isinstance(value, int | float) else shortened(str(value), 200)


@dataclass(frozen=True, repr=False)
class Run(_Tabular):
    """A scored run.

    >>> run = load_run("runs/mine")
    >>> run.model, run.status
    ('mine', 'complete')
    >>> run.score("exact_match_strict").value
    75.0
    """

    record: reading.Run
    """The run as it lies on disk, with examples, answers and verdicts."""

    @property
    def path(self) -> Path:
        """Where it lies: a folder, or the archive it was read from."""
        return self.record.path

    @property
    def model(self) -> str:
        """The model under test."""
        return self.record.manifest.candidate

    @property
    def status(self) -> str:
        """``complete``, ``incomplete``, ``generated``, ``interrupted``, ``budget`` or ``failed``."""
        return self.record.manifest.status

    @property
    def scores(self) -> tuple[Score, ...]:
        """Every number of the run, those of groups such as ``category=math`` too."""
        return tuple(score for task in self.record.tasks.values() for score in task.scores)

    def score(self, metric: str, *, task: str | None = None, group: str | None = None) -> Score:
        """One number. Raises :class:`UsageError` if none has that name, or if several tasks have it."""
        found = [s for s in self.scores if s.metric == metric and s.group == group and task in (None, s.task)]
        if len(found) != 1:
            known = ", ".join(dict.fromkeys(f"{s.task} {s.metric}" for s in self.scores if s.group is None))
            raise UsageError(f"{len(found)} scores are called {metric!r} here; there are {known}. Name the task too")
        return found[0]

    def examples(self, task: str | None = None) -> "pandas.DataFrame":
        """What each example adds to each metric, with its covariates: a pandas table with a row for each of both.

        ``task`` may be left out if the run holds only one.

        >>> load_run("runs/mine").examples().query("metric == 'exact_match_strict'")["value"].tolist()[:4]
        [1.0, 1.0, 1.0, 0.0]
        """
        return _frame(frames.example_score_rows(self._task(task)))

    def answers(self, task: str | None = None) -> "pandas.DataFrame":
        """What the model answered: a pandas table with a row for each turn of each example.

        >>> load_run("runs/mine").answers()["answer"][3]
        'The answer is unknown.'
        """
        return _frame(frames.answer_rows(self._task(task)))

    def judgements(
        self,
        task: str | None = None,
        *,
        prompts: bool = True,
        mirrors: PathLike | Iterable[PathLike] = (),
        offline: bool = False,
    ) -> "pandas.DataFrame":
        """What judges and verifiers said: a pandas table with a row for each, with the prompt that the judge saw.

        Prompts are made again from the task's official files, for which ``mirrors`` and ``offline`` are as those of
        :func:`evaluate`; with ``prompts=False`` no file is needed. A verifier has neither prompt nor reply.

        >>> load_run("runs/mine").judgements()["value"].tolist()[:4]
        [1.0, 1.0, 1.0, 0.0]
        """
        one = self._task(task)
        data = None
        if prompts:
            settings = Settings(tasks="", mirrors=_mirrors(mirrors), offline=offline)
            data = one.load_data(source_finder(settings))
        return _frame(frames.judgement_rows(one, data))

    def _task(self, task: str | None) -> reading.TaskRun:
        if task is None and len(self.record.tasks) > 1:
            raise UsageError(f"{self.path} holds several tasks; name one of {', '.join(self.record.tasks)}")
        key = next(iter(self.record.tasks)) if task is None else task
        if key not in self.record.tasks:
            raise UsageError(f"{self.path} holds no task {key!r}; it holds {', '.join(self.record.tasks)}")
        return self.record.tasks[key]

    @property
    def _title(self) -> str:  # type: ignore[override]
        return f"{self.model!r} {', '.join(self.record.tasks)}: {self.status}"

    def _rows(self) -> list[dict[str, Any]]:
        return [{"model": self.model, **{name: getattr(s, name) for name in SCORE_COLUMNS}} for s in self.scores]


@dataclass(frozen=True, repr=False)
class Comparison(_Tabular):
    """Several runs compared with the first one, item by item.

    >>> comparison = compare("runs/base", "runs/mine")
    >>> comparison.record.tasks[0].common
    16
    >>> comparison.frame().set_index("metric")["difference"].to_dict()["exact_match_strict"]
    25.0
    """

    record: comparison.Comparison
    """Differences, ranks, flips, and the runs of another protocol, which are not compared."""

    @property
    def _title(self) -> str:  # type: ignore[override]
        models = ", ".join(repr(run.model) for run in self.record.runs)
        return f"{models}: {len(self._rows())} differences from the first"

    def _rows(self) -> list[dict[str, Any]]:
        models = [run.model for run in self.record.runs]
        return [
            {
                "task": task.task,
                **{name: value for name, value in msgspec.to_builtins(one).items() if name != "withheld"},
                "first_model": models[one.first],
                "second_model": models[one.second],
            }
            for task in self.record.tasks
            for one in task.differences
        ]


@dataclass(frozen=True, repr=False)
class Gate(_Tabular):
    """The verdict on a candidate, compared with a baseline.

    >>> result = gate("runs/base", "runs/mine", max_drop=2)
    >>> result.verdict, result.passed
    ('INCONCLUSIVE', False)
    >>> result.record.checks[0].n
    16
    """

    record: verdicts.Gate
    """Each check with its interval, and how many items would decide it."""

    @property
    def verdict(self) -> str:
        """``PASS``, ``FAIL`` or ``INCONCLUSIVE``."""
        return self.record.verdict

    @property
    def passed(self) -> bool:
        """Whether every check that blocks was passed; an inconclusive one was not."""
        return self.verdict == "PASS"

    @property
    def _title(self) -> str:  # type: ignore[override]
        return f"{self.verdict}: {self.record.candidate!r} against {self.record.baseline!r}"

    def _rows(self) -> list[dict[str, Any]]:
        return [msgspec.to_builtins(check) for check in self.record.checks]


@dataclass(frozen=True, repr=False)
class Leaderboard(_Tabular):
    """Rows by task and protocol, best first.

    >>> table = leaderboard("runs")
    >>> [(row.rank, row.model) for row in table.groups[0].rows]
    [(1, 'mine'), (2, 'base')]
    """

    groups: tuple[ranking.Group, ...]
    """Rows of one protocol together; only they are ranked with each other."""
    unreadable: tuple[reading.Unreadable, ...] = ()
    """Runs below the folders that could not be read, with the reason."""

    @property
    def _title(self) -> str:  # type: ignore[override]
        rows = sum(len(group.rows) for group in self.groups)
        return f"{rows} rows; ranks hold within one protocol ({len(self.groups)} here)"

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "task": row.task,
                "protocol": row.protocol_hash,
                "rank": row.rank,
                "model": row.model,
                "published": row.published,
                **{metric: row.scores[metric].value for metric in group.headline if metric in row.scores},
                **{
                    f"{metric}_by_upstream": upstream.value
                    for metric in group.headline
                    if metric in row.scores and (upstream := row.scores[metric].upstream) is not None
                },
                "withheld": "; ".join(
                    f"{metric}: {score.reason}"
                    for metric in group.headline
                    if (score := row.scores.get(metric)) is not None and score.value is None
                ),
                "flags": ", ".join(row.flags),
                "origin": row.origin,
            }
            for group in self.groups
            for row in group.rows
        ]


@dataclass(frozen=True, repr=False)
class Plan(_Tabular):
    """What difference a number of examples can find, and how many examples a difference needs.

    >>> plan("gsm8k", baseline="runs/mine", n=100)
    <judgebench.Plan gsm8k@cot8 exact_match_strict: 100 examples find a difference of 17.7 percent with power 0.8>
    """

    record: power_plan.Plan
    """The answer with its assumptions."""

    @property
    def _title(self) -> str:  # type: ignore[override]
        own = self.record
        seen = "no difference" if own.detectable is None else f"a difference of {rough(own.detectable, own.unit)}"
        return f"{own.task} {own.metric}: {own.n:,} examples find {seen} with power {own.power:g}"

    def _rows(self) -> list[dict[str, Any]]:
        return [msgspec.to_builtins(self.record)]


@dataclass(frozen=True, repr=False)
class Explanation(_Tabular):
    """Where the variance of verdicts comes from, how much of them is style, and what several runs tell apart.

    >>> explain("runs/mine").record.runs[0].model
    'mine'
    """

    record: explanation.Explanation
    """All of it; the table has the parts of the variance."""

    @property
    def _title(self) -> str:  # type: ignore[override]
        return f"{', '.join(f'{one.model!r} on {one.task}' for one in self.record.runs)}"

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "model": one.model,
                "task": one.task,
                "judge": variance.judge,
                "effect": part.effect,
                "variance": part.variance,
                "share": part.share,
                "low": part.interval.low if part.interval else None,
                "high": part.interval.high if part.interval else None,
            }
            for one in self.record.runs
            for variance in one.variance
            for part in variance.parts
        ]


# -- functions

RunLike = PathLike | Run | reading.Run
"""A run: where it lies, or itself."""


def evaluate(
    model: PathLike,
    tasks: PathLike | Iterable[PathLike],
    *,
    judge: PathLike | Iterable[PathLike] = (),
    track: str | Iterable[str] = (),
    progress: bool = True,
    **settings: Unpack[Keywords],
) -> Run:
    """Have a model answer benchmarks, and have the answers judged. Goes on with a run that was interrupted.

    Parameters
    ----------
    model
        As ``--model`` takes it: a checkpoint folder or hub id, an address, or ``file:answers.jsonl``. One: each model
        makes a run of its own.
    tasks
        As ``--tasks`` takes them, or a list.
    judge
        Judge models; several are a jury, none is each task's official judge.
    track
        Experiment trackers to log the run to: ``wandb``, ``mlflow``, ``trackio``. One that fails is a warning.
    progress
        Show progress on stderr.
    settings
        The other flags of ``judgebench eval``: ``out``, ``limit``, ``starter``, ``gen={"temperature": 0.7}``,
        ``budget`` and so on; see :class:`~judgebench.run.settings.Settings`.

    Raises
    ------
    JudgebenchError
        :class:`UsageError` and the others of ``errors.py``. After an :class:`Incomplete` the run is there all the same.

    Examples
    --------
    >>> run = evaluate("file:answers.jsonl", "gsm8k", starter=True, out="runs/again", progress=False)
    >>> run.score("exact_match_strict").value
    75.0
    """
    trackers = several(track)
    tracking.require_trackers(trackers)
    with Progress(shown=progress) as display:
        run_settings = settings_from_python(model, tasks, judge, settings)
        results = Runner(run_settings, display.update).evaluate()
    for problem in tracking.track(trackers, RunFolder(Path(results.run))):
        warnings.warn(problem, stacklevel=2)
    return Run(reading.read_run(Path(results.run), files_among(named(run_settings.tasks))))


def load_run(path: RunLike, *, tasks: PathLike | Iterable[PathLike] = ()) -> Run:
    """Load a run folder or the archive of one; a loaded run is returned as it is.

    ``tasks`` are the files of your own tasks that the run was made with: a run folder cannot name code. Raises
    :class:`UsageError` for what cannot be read.

    >>> run = load_run("runs/mine")
    >>> run
    <judgebench.Run 'mine' gsm8k: complete>
    >>> run.frame()["metric"].tolist()
    ['exact_match_strict', 'exact_match_flexible', 'numeric']
    """
    return path if isinstance(path, Run) else Run(_opened(path, tasks))


def compare(
    *runs: RunLike | Iterable[RunLike],
    adjust: comparison.Adjust = "holm",
    task: str | None = None,
    flips: int = 0,
    mirrors: PathLike | Iterable[PathLike] = (),
    tasks: PathLike | Iterable[PathLike] = (),
) -> Comparison:
    """Compare every later run with the first, item by item.

    ``runs`` are runs and paths, also in lists. ``adjust`` is how p-values are adjusted for their number, ``flips`` how
    many of the items that changed most are kept for each pair. ``mirrors`` are folders with official files, ``tasks``
    the files of your own tasks that the runs were made with. Raises :class:`UsageError` if nothing can be compared.

    >>> compare("runs/base", "runs/mine", flips=1).record.tasks[0].flips[0].change
    1.0
    """
    files = comparison.official_files(_mirrors(mirrors))
    opened = [_opened(run, tasks) for run in _each(runs)]
    return Comparison(comparison.compare(opened, adjust=adjust, task=task, flips=flips, files=files))


def gate(
    baseline: RunLike,
    candidate: RunLike,
    *,
    max_drop: float | None = None,
    policy: PathLike | gate_policy.Policy | None = None,
    mirrors: PathLike | Iterable[PathLike] = (),
    tasks: PathLike | Iterable[PathLike] = (),
) -> Gate:
    """Check whether a candidate is worse than a baseline by more than is accepted.

    ``baseline`` may be ``published:NAME``, a model of the published tables. Give either ``max_drop``, in the metric's
    unit, or a ``policy`` (a TOML file). Raises :class:`UsageError` for runs of different protocols, with the fields
    that differ. ``tasks`` are the files of your own tasks that the runs were made with.

    >>> gate("runs/base", "runs/mine", max_drop=60).record.checks[0].max_drop
    60
    """
    if (max_drop is None) == (policy is None):
        raise UsageError("gate() needs max_drop or policy, one of the two, to know how much may be lost")
    if policy is None:
        policy = gate_policy.checked(gate_policy.Policy(defaults=gate_policy.Defaults(max_drop=max_drop)), "max_drop")
    elif not isinstance(policy, gate_policy.Policy):
        policy = gate_policy.read_policy(Path(policy))
    files = comparison.official_files(_mirrors(mirrors))
    of_a_table = isinstance(baseline, str) and baseline.startswith(PUBLISHED)
    against = str(baseline).removeprefix(PUBLISHED) if of_a_table else _opened(baseline, tasks)
    return Gate(verdicts.gate(against, _opened(candidate, tasks), policy, files=files))


def leaderboard(
    *runs: RunLike | Iterable[RunLike],
    task: str | None = None,
    published: bool = False,
    tasks: PathLike | Iterable[PathLike] = (),
) -> Leaderboard:
    """Rank runs, and the runs below folders, by task and protocol; with ``published``, beside published figures.

    ``runs`` are runs and paths, also in lists; a run that is named twice has one row. ``tasks`` are the files of your
    own tasks that the runs were made with.

    >>> leaderboard("runs", task="gsm8k").frame()["exact_match_strict"].tolist()
    [75.0, 50.0]
    """
    files = _task_files(tasks)
    found = _found(runs, files)
    rows = ranking.in_one_table(found.readable, task)
    others = ranking.published_rows(task) if published else []
    if not rows and not others:
        raise UsageError("nothing to rank: no run holds that task. Name run folders, or folders that hold some")
    metrics = ranking.headlines({row.task for row in (*rows, *others)}, files)
    groups = ranking.beside_published(ranking.group_rows([*rows, *others], metrics), others)
    return Leaderboard(tuple(groups), found.unreadable)


def score(
    run: RunLike,
    *,
    tasks: PathLike | Iterable[PathLike] = (),
    labels: PathLike | None = None,
    think_tags: Iterable[tuple[str, str]] = (),
    mirrors: PathLike | Iterable[PathLike] = (),
    offline: bool = False,
) -> Run:
    """Read a run's replies again with today's rules, and compute its scores. Makes no call.

    ``tasks`` gives other options for some of the run's tasks, or the files of your own tasks. The ``status`` of the run
    says whether too much is missing.

    >>> score("runs/mine").score("numeric").n
    16
    """
    settings = Settings(
        tasks=",".join(several(tasks)),
        labels=None if labels is None else Path(labels),
        think_tags=tuple(think_tags),
        mirrors=_mirrors(mirrors),
        offline=offline,
    )
    path = Path(_opened(run, tasks).path if isinstance(run, Run | reading.Run) else run)
    score_run(RunFolder(path), settings)
    return load_run(path, tasks=files_among(named(settings.tasks)).values())


def import_run(
    source: PathLike,
    form: str,
    *,
    out: PathLike,
    task: PathLike = "",
    model: str | None = None,
    fields: Mapping[str, str] | None = None,
    mirrors: PathLike | Iterable[PathLike] = (),
    offline: bool = False,
) -> list[Run]:
    """Read judgements or answers that exist already into run folders, one for each model of the file, and score them.

    ``form`` is a format that ``judgebench import --from`` takes, ``task`` the benchmark that the file belongs to
    (an archive names its own), ``model`` the only model that is wanted, ``fields`` what a file of outputs calls our
    fields, as in ``{"id": "key"}``.

    >>> export("runs/mine", "archive", "mine.zip")
    [PosixPath('mine.zip')]
    >>> import_run("mine.zip", "archive", out="runs/again")
    [<judgebench.Run 'mine' gsm8k: complete>]
    """
    if not task and form != "archive":
        raise UsageError("import_run() needs task=, the benchmark that the file belongs to, such as 'alpacaeval'")
    settings = Settings(
        tasks=os.fspath(task),
        model=model,
        out=Path(out),
        fields=fields or {},
        mirrors=_mirrors(mirrors),
        offline=offline,
        argv=("judgebench.import_run",),
    )
    made = importing.import_run(Path(source), form.replace("-", "_"), settings)
    files = files_among(named(settings.tasks))
    return [Run(reading.read_run(Path(results.run), files)) for results in made]


def export(
    run: RunLike,
    form: str,
    out: PathLike,
    *,
    tasks: PathLike | Iterable[PathLike] = (),
    mirrors: PathLike | Iterable[PathLike] = (),
    offline: bool = False,
) -> list[Path]:
    """Write a run as the result files of another program, or as one file; the files that were made.

    ``form`` is a format that ``judgebench export --to`` takes, ``out`` a folder, or the one file itself.

    >>> export("runs/mine", "csv", "scores.csv")
    [PosixPath('scores.csv')]
    """
    _task_files(tasks)
    settings = Settings(tasks=",".join(several(tasks)), mirrors=_mirrors(mirrors), offline=offline)
    return exporting.export_run(RunFolder(_opened(run, tasks).path), form.replace("-", "_"), Path(out), settings)


def plan(
    task: PathLike,
    *,
    metric: str | None = None,
    baseline: RunLike | Iterable[RunLike] = (),
    delta: float | None = None,
    n: int | None = None,
    correlation: float = 0.0,
    alpha: float = 0.05,
    power: float = 0.8,
    mirrors: PathLike | Iterable[PathLike] = (),
    offline: bool = False,
) -> Plan:
    """What difference two runs on the same examples can find, and how many examples a difference ``delta`` needs.

    ``baseline`` is a run whose variance is planned with, or two runs, for that of their paired differences; without
    one it is the worst case. ``correlation`` is what is assumed of two runs' example scores where only one is given.

    >>> plan("gsm8k", metric="exact_match_strict", delta=2).record.required
    9812
    """
    question = power_plan.Question(
        task=os.fspath(task),
        metric=metric,
        baselines=[Path(run) if isinstance(run, str | os.PathLike) else _opened(run).path for run in _each([baseline])],
        delta=delta,
        n=n,
        correlation=correlation,
        alpha=alpha,
        power=power,
    )
    return Plan(power_plan.plan(question, Settings(tasks="", mirrors=_mirrors(mirrors), offline=offline)))


def explain(
    *runs: RunLike | Iterable[RunLike], task: str | None = None, tasks: PathLike | Iterable[PathLike] = ()
) -> Explanation:
    """Say where the variance of verdicts comes from, how much is style, and what several runs tell apart.

    ``runs`` are runs and paths, also of folders that hold some; ``task`` is the only task that is wanted.

    >>> explain("runs")
    <judgebench.Explanation 'base' on gsm8k@cot8, 'mine' on gsm8k@cot8>
    """
    found = explanation.explain(_found(runs, _task_files(tasks)).readable, task)
    if not found.runs:
        raise UsageError(f"none of the runs holds the task {task!r}")
    return Explanation(found)


def _each(given: Iterable[RunLike | Iterable[RunLike]]) -> Iterator[RunLike]:
    """Runs and paths one by one, those in lists too."""
    for one in given:
        if isinstance(one, str | os.PathLike | Run | reading.Run):
            yield one
        elif isinstance(one, Iterable):
            yield from _each(one)
        else:
            raise UsageError(f"a run was expected, or the path of one, or a list of these; got {one!r}")


def _opened(run: RunLike, tasks: PathLike | Iterable[PathLike] = ()) -> reading.Run:
    """One run; a :class:`UsageError` for what is none, or several."""
    if isinstance(run, Run):
        return run.record
    if isinstance(run, reading.Run):
        return run
    if isinstance(run, str | os.PathLike):
        return reading.read_run(Path(run), _task_files(tasks))
    raise UsageError(f"one run was expected here, or the path of one; got {run!r}")


def _task_files(tasks: PathLike | Iterable[PathLike]) -> TaskFiles:
    return task_files(",".join(several(tasks)))


def _found(given: Iterable[RunLike | Iterable[RunLike]], files: TaskFiles) -> reading.Runs:
    """Runs as they are given, and those that lie at or below the paths, each once."""
    paths, found = [], {}
    for one in _each(given):
        if isinstance(one, str | os.PathLike):
            paths.append(Path(one))
        else:
            run = _opened(one)
            found[os.path.realpath(run.path)] = run
    read = reading.read_runs(paths, files)
    for run in read.readable:
        found.setdefault(os.path.realpath(run.path), run)
    return reading.Runs(tuple(found.values()), read.unreadable)


def _mirrors(given: PathLike | Iterable[PathLike]) -> tuple[Path, ...]:
    return mirror_folders(map(Path, several(given)))
