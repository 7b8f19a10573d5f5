"""What ``import judgebench`` offers: a function for each command, and runs and results as objects with tables.

Functions take paths, loaded runs and plain values; those that take several runs also take lists of them. Each result
prints as one line, is a table in a notebook, and gives a pandas table by ``frame()``. An exception stands for each exit
code, see ``errors.py``. Nothing is computed here: each function imports the module that does the work, and the commands
call these functions.
"""

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import msgspec

from judgebench.display import printable, rough, shortened
from judgebench.errors import UsageError
from judgebench.exchange.sheets import Cell, Column, Sheet, html_of
from judgebench.records import Score
from judgebench.run import reading
from judgebench.run.folder import RunFolder
from judgebench.run.settings import Keywords, PathLike, Settings, settings_from_python, several
from judgebench.tasks import files_among, named, own_names, parse_one_spec, read_selection, task_files

if TYPE_CHECKING:
    import pandas

    from judgebench.analysis import comparison_records, explanation, power_plan
    from judgebench.analysis import leaderboard as ranking
    from judgebench.analysis.label_agreement import LabelAgreement
    from judgebench.analysis.label_sample import LabelSample, Strata
    from judgebench.arena.records import Arena
    from judgebench.auditing.cards import JudgeCard
    from judgebench.auditing.comparing import JudgeComparison
    from judgebench.data.sources import SourceFinder
    from judgebench.exchange import selftest as published_again
    from judgebench.gating import policy as gate_policy
    from judgebench.gating import verdicts
    from judgebench.report import collect
    from judgebench.report.figure_parts import Figure
    from judgebench.run import dry_run
    from judgebench.run.run_tasks import TaskFiles
    from judgebench.task import TaskData

Paths = PathLike | Iterable[PathLike]
"""One path or text, or several."""
SHOWN_ROWS = 200
"""Rows of a result that a notebook shows; ``frame()`` has all."""
SCORE_COLUMNS = tuple(name for name in Score.__struct_fields__ if name != "details")


class _Tabular:
    """A result that is shown as a table."""

    @property
    def _title(self) -> str:
        raise NotImplementedError

    def _rows(self) -> list[dict[str, Any]]:
        raise NotImplementedError

    def frame(self) -> "pandas.DataFrame":
        """Return the result as a pandas table, with a column for each field."""
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
    """The run as stored on disk, with examples, answers and verdicts."""

    @property
    def path(self) -> Path:
        """The run folder, or the archive that the run was read from."""
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
        """Every number that was measured, including those of groups such as ``category=math``."""
        return tuple(score for task in self.record.tasks.values() for score in task.scores)

    @property
    def predictions(self) -> tuple[Score, ...]:
        """The official numbers that a judge bridge predicted when the run was scored; see ``docs/bridges.md``."""
        return tuple(score for task in self.record.tasks.values() for score in task.predictions)

    def score(self, metric: str, *, task: str | None = None, group: str | None = None) -> Score:
        """Return one number. Raises :class:`UsageError` if no task has that metric, or if several tasks have it."""
        listed = (*self.scores, *self.predictions)
        found = [s for s in listed if s.metric == metric and s.group == group and task in (None, s.task)]
        if len(found) != 1:
            known = ", ".join(dict.fromkeys(f"{s.task} {s.metric}" for s in self.scores if s.group is None))
            raise UsageError(f"this run has {len(found)} scores called {metric!r}. Name the task too; it has {known}")
        return found[0]

    def examples(self, task: str | None = None) -> "pandas.DataFrame":
        """Return each example's score on each metric, with its covariates: a pandas table with a row for each pair.

        ``task`` is needed only if the run holds several.

        >>> load_run("runs/mine").examples().query("metric == 'exact_match_strict'")["value"].tolist()[:4]
        [1.0, 1.0, 1.0, 0.0]
        """
        from judgebench.run import frames

        return _frame(frames.example_score_rows(self._task(task)))

    def answers(self, task: str | None = None) -> "pandas.DataFrame":
        """Return the model's answers: a pandas table with a row for each turn of each example.

        >>> load_run("runs/mine").answers()["answer"][3]
        'The answer is unknown.'
        """
        from judgebench.run import frames

        return _frame(frames.answer_rows(self._task(task)))

    def judgements(
        self,
        task: str | None = None,
        *,
        prompts: bool = True,
        mirrors: Paths = (),
        offline: bool = False,
    ) -> "pandas.DataFrame":
        """Return the verdicts: a pandas table with a row for each, including the prompt that the judge saw.

        The prompts are built again from the task's official files, for which ``mirrors`` and ``offline`` mean the same
        as in :func:`evaluate`, and checked against the hashes of what was sent (``prompt_state``); ``prompts=False``
        needs no files. A verifier has neither prompt nor reply.

        >>> load_run("runs/mine").judgements()["value"].tolist()[:4]
        [1.0, 1.0, 1.0, 0.0]
        """
        from judgebench.run import frames

        task_run = self._task(task)
        data = self._data("judgements", task_run, mirrors, offline) if prompts else None
        return _frame(frames.judgement_rows(task_run, data, imported=self._imported))

    def judge_prompts(
        self, task: str | None = None, *, mirrors: Paths = (), offline: bool = False
    ) -> "pandas.DataFrame":
        """Return the messages that the judges were sent: a pandas table with a row for each request, re-asks included.

        They are built again from the run and the task's official files. ``state`` is ``exact`` if they have the hash of
        what was sent, ``rebuilt`` if an earlier version kept none, ``imported`` if somebody else asked the judge; else
        there are no ``messages``. ``told`` says it in words.

        >>> len(load_run("runs/mine").judge_prompts().query("state == 'exact'"))
        0
        """
        from judgebench.run import frames

        task_run = self._task(task)
        data = self._data("judge_prompts", task_run, mirrors, offline)
        return _frame(frames.judge_prompt_rows(task_run, data, imported=self._imported))

    def sample_labels(
        self,
        out: PathLike,
        *,
        task: str | None = None,
        n: int = 100,
        strata: "Strata" = "verdict",
        seed: int = 0,
        agreement: float | None = None,
        mirrors: Paths = (),
        offline: bool = False,
    ) -> "LabelSample":
        """Draw answers that people should compare with the baseline's, and write them to a ``.csv`` or ``.html`` file.

        The keywords are the flags of ``judgebench labels sample``. What is returned has the strata and the widths of
        the interval to expect.
        """
        from judgebench.analysis.label_sample import Wish, draw, task_to_label
        from judgebench.exchange.label_forms import require_new, write_sample

        require_new(Path(out))
        task_run, finder = task_to_label(self.record, task), self._finder("sample_labels", mirrors, offline)
        made = draw(task_run, finder, Wish(n=n, strata=strata, seed=seed, agreement=agreement))
        write_sample(made, Path(out))
        return made

    def label_agreement(
        self, *labels: PathLike, task: str | None = None, mirrors: Paths = (), offline: bool = False
    ) -> "LabelAgreement":
        """Compare the judge with people's labels, from one or more files: agreement, and the scores they would give."""
        from judgebench.analysis.label_agreement import agreement_with
        from judgebench.analysis.label_sample import task_to_label
        from judgebench.run.labels import read_labels

        task_run, paths = task_to_label(self.record, task), [Path(path) for path in labels]
        data = task_run.load_data(self._finder("label_agreement", mirrors, offline))
        names = [path.stem for path in paths]
        return agreement_with(task_run, data, read_labels(paths, task_run.key, data, names=names, flag=""))

    def report(self, *, mirrors: Paths = (), offline: bool = False) -> "Report":
        """The report of this run: a notebook shows its tables, ``save()`` writes the page with every sample.

        >>> load_run("runs/mine").report().save("mine.html")
        PosixPath('mine.html')
        """
        return make_report(self, mirrors=mirrors, offline=offline)

    def plot(self, kind: str, *, task: str | None = None, mirrors: Paths = (), offline: bool = False) -> "Figure":
        """A figure of this run, which a notebook shows; ``kind`` as ``judgebench plot --kind`` takes it.

        >>> load_run("runs/mine").plot("forest").columns
        ('run', 'metric', 'group', 'value', 'low', 'high', 'n')
        """
        return make_report(self, task=task, mirrors=mirrors, offline=offline).plot(kind, task=task)

    @property
    def _imported(self) -> bool:
        return self.record.manifest.imported_from is not None

    def _data(self, function: str, task_run: reading.TaskRun, mirrors: Paths, offline: bool) -> "TaskData":
        return task_run.load_data(self._finder(function, mirrors, offline))

    def _finder(self, function: str, mirrors: Paths, offline: bool) -> "SourceFinder":
        from judgebench.run.loading import source_finder

        return source_finder(_settings(function, mirrors=mirrors, offline=offline))

    def _task(self, task: str | None) -> reading.TaskRun:
        if task is None and len(self.record.tasks) > 1:
            raise UsageError(f"{self.path} holds several tasks; name one of {', '.join(self.record.tasks)}")
        key = next(iter(self.record.tasks)) if task is None else task
        if key not in self.record.tasks:
            key = parse_one_spec(key).name
        if key not in self.record.tasks:
            raise UsageError(f"{self.path} holds no task {key!r}; it holds {', '.join(self.record.tasks)}")
        return self.record.tasks[key]

    @property
    def _title(self) -> str:
        return f"{self.model!r} {', '.join(self.record.tasks)}: {self.status}"

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {"model": self.model, **{name: getattr(s, name) for name in SCORE_COLUMNS}, "kind": s.kind}
            for s in (*self.scores, *self.predictions)
        ]


@dataclass(frozen=True, repr=False)
class Comparison(_Tabular):
    """Several runs, each compared with the first one item by item.

    >>> comparison = compare("runs/base", "runs/mine")
    >>> comparison.record.tasks[0].common
    16
    >>> comparison.frame().set_index("metric")["difference"].to_dict()["exact_match_strict"]
    25.0
    """

    record: "comparison_records.Comparison"
    """Differences, ranks and flips, and the runs that were not compared because their protocol differs."""

    @property
    def _title(self) -> str:
        models = ", ".join(repr(run.model) for run in self.record.runs)
        return f"{models}: {len(self._rows())} differences from the first"

    def _rows(self) -> list[dict[str, Any]]:
        models = [run.model for run in self.record.runs]
        return [
            {
                "task": task.task,
                **{name: value for name, value in msgspec.to_builtins(row).items() if name != "withheld"},
                "first_model": models[row.first],
                "second_model": models[row.second],
            }
            for task in self.record.tasks
            for row in task.differences
        ]

    @property
    def predicted(self) -> "tuple[comparison_records.PredictedComparison, ...]":
        """Differences of official numbers that a judge bridge predicts; never among those that were measured."""
        return self.record.predicted


@dataclass(frozen=True, repr=False)
class Gate(_Tabular):
    """The verdict on a candidate, compared with a baseline.

    >>> result = gate("runs/base", "runs/mine", max_drop=2)
    >>> result.verdict, result.passed
    ('INCONCLUSIVE', False)
    >>> result.record.checks[0].n
    16
    """

    record: "verdicts.Gate"
    """Each check with its interval, and the number of items that would decide it."""

    @property
    def verdict(self) -> str:
        """``PASS``, ``FAIL`` or ``INCONCLUSIVE``."""
        return self.record.verdict

    @property
    def passed(self) -> bool:
        """Whether every blocking check passed. An inconclusive check did not pass."""
        return self.verdict == "PASS"

    @property
    def _title(self) -> str:
        return f"{self.verdict}: {self.record.candidate!r} against {self.record.baseline!r}"

    def _rows(self) -> list[dict[str, Any]]:
        return [msgspec.to_builtins(check) for check in self.record.checks]


@dataclass(frozen=True, repr=False)
class Leaderboard(_Tabular):
    """Tables of runs, one for each task and protocol, with the best run first.

    >>> table = leaderboard("runs")
    >>> [(row.rank, row.model) for row in table.groups[0].rows]
    [(1, 'mine'), (2, 'base')]
    """

    groups: "tuple[ranking.Group, ...]"
    """The tables. Only runs of one protocol are ranked with each other."""
    unreadable: tuple[reading.Unreadable, ...] = ()
    """Runs below the given folders that could not be read, with the reason."""
    notes: tuple[str, ...] = ()
    """Runs whose official numbers a bridge could not predict, with the reason."""

    @property
    def _title(self) -> str:
        rows = sum(len(group.rows) for group in self.groups)
        return f"{rows} rows; ranks hold within one protocol ({len(self.groups)} here)"

    def _rows(self) -> list[dict[str, Any]]:
        return [_leaderboard_row(row, group.headline) for group in self.groups for row in group.rows]


def _leaderboard_row(row: "ranking.LeaderboardRow", headline: Iterable[str]) -> dict[str, Any]:
    scores = {metric: row.scores[metric] for metric in headline if metric in row.scores}
    reasons = [f"{metric}: {score.reason}" for metric, score in scores.items() if score.value is None]
    upstream = {metric: score.upstream for metric, score in scores.items() if score.upstream is not None}
    return {
        "task": row.task,
        **({"group": row.part} if row.part else {}),
        "protocol": row.protocol_hash,
        "rank": row.rank,
        "model": row.model,
        "published": row.published,
        "kind": row.kind,
        **{metric: score.value for metric, score in scores.items()},
        **{f"{metric}_by_upstream": found.value for metric, found in upstream.items()},
        **{
            f"{metric}_{end}": getattr(score, end)
            for metric, score in scores.items()
            for end in ("low", "high")
            if score.kind == "predicted"
        },
        "withheld": "; ".join(reasons),
        "flags": ", ".join(row.flags),
        "origin": row.origin,
    }


@dataclass(frozen=True, repr=False)
class Report(_Tabular):
    """Runs with every sample behind their numbers, the first of them the baseline.

    >>> report = make_report("runs/base", "runs/mine")
    >>> report
    <judgebench.Report base, mine: gsm8k@cot8>
    >>> report.plot("flips").rows[0]
    ('base', 'mine', 'passed', 'passed', 8)
    """

    record: "collect.Report"
    """The runs, their tasks under one protocol each, and how they compare."""
    unreadable: tuple[reading.Unreadable, ...] = ()
    """Runs below the given folders that could not be read, with the reason."""

    def save(self, out: PathLike, *, overwrite: bool = False, start: str = "#/") -> Path:
        """Write the page, one file that opens without network, at the address ``start`` within it; return its path."""
        from judgebench.report.page import write_page

        write_page(self.record, Path(out), overwrite=overwrite, start=start)
        return Path(out)

    def plot(self, kind: str, *, task: str | None = None, labels: Paths = ()) -> "Figure":
        """A figure of all tasks, or of one; ``kind`` and ``labels`` as ``judgebench plot`` takes them."""
        from judgebench.report.figures import figure_of

        return figure_of(self.record, kind, task, labels=[Path(path) for path in several(labels)])

    @property
    def _title(self) -> str:
        names, tasks = self.record.names, self.record.tasks
        return f"{', '.join(names)}: {', '.join(dict.fromkeys(task.label for task in tasks))}"

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {"run": self.record.names[run], **{name: getattr(s, name) for name in SCORE_COLUMNS}}
            for task in self.record.tasks
            for run, opened in zip(task.runs, task.opened, strict=True)
            for s in opened.task.scores
        ]

    def _repr_html_(self) -> str:
        """For notebooks: the tables of the page's summary."""
        from judgebench.report.summary import summary_sheets

        return "".join(map(html_of, summary_sheets(self.record)))


@dataclass(frozen=True, repr=False)
class Plan(_Tabular):
    """The difference that a number of examples can detect, and the number of examples that a difference needs.

    >>> plan("gsm8k", baseline="runs/mine", n=100)
    <judgebench.Plan gsm8k@cot8 exact_match_strict: 100 examples find a difference of 17.7 percent with power 0.8>
    """

    record: "power_plan.Plan"
    """The answer with its assumptions."""

    @property
    def _title(self) -> str:
        made = self.record
        seen = "no difference" if made.detectable is None else f"a difference of {rough(made.detectable, made.unit)}"
        return f"{made.task} {made.metric}: {made.n:,} examples find {seen} with power {made.power:g}"

    def _rows(self) -> list[dict[str, Any]]:
        return [msgspec.to_builtins(self.record)]


@dataclass(frozen=True, repr=False)
class Explanation(_Tabular):
    """Where the variance of verdicts comes from, how much of it is style, and which runs can be told apart.

    >>> explain("runs/mine").record.runs[0].model
    'mine'
    """

    record: "explanation.Explanation"
    """All of it; the table shows only the parts of the variance."""
    unreadable: tuple[reading.Unreadable, ...] = ()
    """Runs below the given folders that could not be read, with the reason."""

    @property
    def _title(self) -> str:
        return ", ".join(f"{run.model!r} on {run.task}" for run in self.record.runs)

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "model": run.model,
                "task": run.task,
                "judge": variance.judge,
                "effect": part.effect,
                "variance": part.variance,
                "share": part.share,
                "low": part.interval.low if part.interval else None,
                "high": part.interval.high if part.interval else None,
            }
            for run in self.record.runs
            for variance in run.variance
            for part in variance.parts
        ]


@dataclass(frozen=True, repr=False)
class SelfTest(_Tabular):
    """Published scores, computed again by this installation, beside the published ones.

    >>> found = selftest("ifeval")
    >>> found, found.passed
    (<judgebench.SelfTest 4 of 4 numbers are the published ones, to the digit>, True)
    """

    record: "published_again.SelfTest"
    """Each score with all that is known of it, and what could not be computed, with the reason."""

    @property
    def passed(self) -> bool:
        """Whether each number is the published one, or it is known why not."""
        return not self.record.faults

    def plot(self, metric: str) -> "Figure":
        """A figure of one metric: ours with its interval, and hollow the published value."""
        from judgebench.report.recomputed_plots import recomputed_figure

        return recomputed_figure(self.record.rows, metric)

    @property
    def _title(self) -> str:
        return self.record.summary

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "task": row.task,
                "model": row.model,
                "metric": row.metric,
                **{name: getattr(row.ours, name) for name in ("value", "low", "high", "level", "n")},
                "published": row.published,
                "equal": row.equal,
                "why": row.why,
                "source": row.source,
            }
            for row in self.record.rows
        ]


# -- functions

RunLike = PathLike | Run | reading.Run
"""A run: its path, or the run itself."""


def evaluate(
    model: PathLike,
    tasks: Paths,
    *,
    judge: Paths = (),
    track: str | Iterable[str] = (),
    progress: bool = True,
    **settings: Unpack[Keywords],
) -> Run:
    """Have a model answer benchmarks, and have the answers judged. An interrupted run goes on where it was.

    Parameters
    ----------
    model
        As ``--model`` takes it: a checkpoint folder or hub id, an address, or ``file:answers.jsonl``. Only one: each
        model makes a run of its own.
    tasks
        As ``--tasks`` takes them, or a list.
    judge
        Judge models, or a judge file such as ``judge.toml``. Several models are a jury; without one, each task uses
        its official judge.
    track
        Experiment trackers to log the run to: ``wandb``, ``mlflow``, ``trackio``. A tracker that fails is a warning.
    progress
        Show progress on stderr.
    settings
        The other flags of ``judgebench eval``: ``out``, ``limit``, ``starter``, ``gen={"temperature": 0.7}``,
        ``budget`` and so on; see :class:`~judgebench.run.settings.Settings`.

    Raises
    ------
    JudgebenchError
        :class:`UsageError` and the others of ``errors.py``. After :class:`Incomplete` the run folder exists.

    Examples
    --------
    >>> run = evaluate("file:answers.jsonl", "gsm8k", starter=True, out="runs/again", progress=False)
    >>> run.score("exact_match_strict").value
    75.0
    """
    from judgebench.exchange import trackers
    from judgebench.run.progress import Progress
    from judgebench.run.runner import Runner

    _require_settings("evaluate", model, settings)
    names = several(track)
    trackers.require_trackers(names)
    with Progress(shown=progress) as display:
        run_settings = _settings("evaluate", tasks, model=model, judges=judge, **settings)
        results = Runner(run_settings, display.update).evaluate()
    for problem in trackers.track(names, RunFolder(Path(results.run))):
        warnings.warn(problem, stacklevel=2)
    return _loaded(results.run, run_settings)


def estimate(model: PathLike, tasks: Paths, *, judge: Paths = (), **settings: Unpack[Keywords]) -> "dry_run.DryRun":
    """Say which calls :func:`evaluate` would make with these arguments, what they may cost and how long they may take.

    No model is asked; what ``docs/dry-run.md`` says of the command holds here.

    >>> estimate("file:answers.jsonl", "gsm8k", starter=True).total.calls
    0
    """
    from judgebench.run import dry_run

    _require_settings("estimate", model, settings)
    return dry_run.estimate([_settings("estimate", tasks, model=model, judges=judge, **settings)])


def _require_settings(function: str, model: object, settings: Mapping[str, object]) -> None:
    """Raise :class:`UsageError` for a setting that does not exist, and for several models."""
    if unknown := sorted(set(settings) - set(Keywords.__annotations__)):
        known = ", ".join(sorted(Keywords.__annotations__))
        raise UsageError(f"{function}() has no setting {unknown[0]!r}; it has {known}")
    if not isinstance(model, str | os.PathLike):
        raise UsageError(f"{function}() makes one run, of one model; got {model!r}. Call it once for each model")


def load_run(path: RunLike, *, tasks: Paths = ()) -> Run:
    """Load a run folder or the archive of one; a loaded run is returned as it is.

    ``tasks`` are the files of your own tasks that the run was made with: a run folder cannot name code. Raises
    :class:`UsageError` if the run cannot be read.

    >>> run = load_run("runs/mine")
    >>> run
    <judgebench.Run 'mine' gsm8k: complete>
    >>> run.frame()["metric"].tolist()
    ['exact_match_strict', 'exact_match_flexible', 'numeric']
    """
    return path if isinstance(path, Run) else Run(_opened(path, tasks))


def compare(
    *runs: RunLike | Iterable[RunLike],
    adjust: "comparison_records.Adjust" = "holm",
    task: str | None = None,
    group: str | Iterable[str] = (),
    flips: int = 0,
    names: Mapping[str, str] | None = None,
    bridge: Paths = (),
    level: float = 0.95,
    mirrors: Paths = (),
    offline: bool = False,
    tasks: Paths = (),
) -> Comparison:
    """Compare each later run with the first, item by item.

    ``runs`` are runs and paths, also in lists, and ``published:MODEL`` for a model of the published tables: item by
    item where the official judge's verdicts are here (``leaderboards/verdicts``). ``group`` limits it to groups of
    examples (``"category=math"``, or ``"category"`` for each category). ``adjust`` says how p-values are adjusted for
    the number of those that are left, ``flips`` how many of the items that changed most are kept for each pair.
    ``names`` are names for the table, by run folder or by the name that a run has otherwise. ``mirrors`` are folders
    with official files, ``tasks`` the files of your own tasks that the runs were made with. A judge ``bridge``, by its
    file or the name of a ready one, adds differences of predicted official numbers (``record.predicted``), with
    intervals of this ``level``; published models are then compared with those. Raises :class:`UsageError` if nothing
    can be compared.

    >>> compare("runs/base", "runs/mine", flips=1).record.tasks[0].flips[0].change
    1.0
    """
    from judgebench.analysis import comparison, predicted_comparison, published_verdicts
    from judgebench.run.loading import source_finder
    from judgebench.run.predicting import open_bridges

    settings = _settings("compare", mirrors=mirrors, offline=offline)
    files = comparison.official_files(settings.mirrors, offline=offline)
    finder = source_finder(settings)
    given = [(run, published_verdicts.model_named(run)) for run in _each(runs)]
    entries = [_opened(run, tasks) if model is None else model for run, model in given]
    own_name = _own_name(task)
    reading.require_held([entry for entry in entries if isinstance(entry, reading.Run)], own_name)
    groups = read_selection(several(group), "--group", bare=True)
    bridges = open_bridges(several(bridge), level, settings)
    predicted, unpredicted = predicted_comparison.predicted_differences(entries, bridges, own_name)
    beside, notes = published_verdicts.beside_runs(entries, own_name, bridged=bool(predicted))
    opened = reading.renamed(beside, names or {})
    try:
        made = comparison.compare(
            opened, adjust=adjust, task=own_name, groups=groups, flips=flips, files=files, finder=finder, notes=notes
        )
    except UsageError as error:
        if not predicted:
            raise
        why = [*notes, str(error)][0]
        made = comparison.of_no_measured_number(opened, adjust, f"measured numbers are not compared: {why}")
    made = msgspec.structs.replace(made, predicted=tuple(predicted), notes=(*made.notes, *unpredicted))
    return Comparison(made)


def gate(
    baseline: RunLike,
    candidate: RunLike,
    *,
    max_drop: float | None = None,
    policy: "PathLike | gate_policy.Policy | None" = None,
    mirrors: Paths = (),
    offline: bool = False,
    tasks: Paths = (),
) -> Gate:
    """Check whether a candidate is worse than a baseline by more than is accepted.

    ``baseline`` may be ``published:NAME``, a model of the published tables. Give either ``max_drop``, in the metric's
    unit, or a ``policy`` (a TOML file). Raises :class:`UsageError` for runs of different protocols, with the fields
    that differ. ``tasks`` are the files of your own tasks that the runs were made with.

    >>> gate("runs/base", "runs/mine", max_drop=60).record.checks[0].max_drop
    60
    """
    from judgebench.analysis.comparison import official_files
    from judgebench.gating import policy as gate_policy
    from judgebench.gating import verdicts

    asked = gate_policy.policy_of(policy, max_drop)
    settings = _settings("gate", mirrors=mirrors, offline=offline)
    files = official_files(settings.mirrors, offline=offline)
    published = isinstance(baseline, str) and baseline.startswith(verdicts.PUBLISHED)
    against = str(baseline).removeprefix(verdicts.PUBLISHED) if published else _opened(baseline, tasks)
    return Gate(verdicts.gate(against, _opened(candidate, tasks), asked, files=files))


def leaderboard(
    *runs: RunLike | Iterable[RunLike],
    task: str | None = None,
    published: bool = False,
    group: str | Iterable[str] = (),
    names: Mapping[str, str] | None = None,
    bridge: Paths = (),
    level: float = 0.95,
    rank_predicted: bool = False,
    tasks: Paths = (),
) -> Leaderboard:
    """Rank runs, and the runs below folders, by task and protocol; with ``published``, among published figures.

    ``group="category=math"`` ranks by the scores of that group, in a table of its own without published figures;
    ``group="category"`` adds each category's score to the table as ``score category=math`` and so on.

    Only a run that was evaluated as the published rows were stands among them, with its number by upstream's rule.

    A judge ``bridge``, by its file or the name of a ready one, predicts the official numbers of the runs that were
    judged as its models were, with intervals of this ``level``. They have a table of their own, whose rows have the
    ``kind`` predicted; ``rank_predicted`` merges them with the published rows.

    ``runs`` are runs and paths, also in lists; a run that is named twice has one row. ``names`` are names for the
    table, by run folder or by the name that a run has otherwise. ``tasks`` are the files of your
    own tasks that the runs were made with.

    >>> leaderboard("runs", task="gsm8k").frame()["exact_match_strict"].tolist()
    [75.0, 50.0]
    """
    from judgebench.analysis import group_tables, predicted_tables
    from judgebench.analysis import leaderboard as ranking
    from judgebench.analysis import published as tables
    from judgebench.run.predicting import open_bridges

    task = _own_name(task)
    files = _task_files(tasks)
    found = _found(runs, files)
    readable = reading.renamed(found.readable, names or {})
    if readable and not published:
        reading.require_held(readable, task)
    asked = read_selection(several(group), "--group", bare=True)
    of_values, of_keys = asked.keys_alone()
    if published and of_values:
        raise UsageError(
            f"published figures are of all examples, and --group {printable(of_values.clauses[0].text, 200)} asks for "
            "some; leave out --published, or name the key alone, as in "
            f"--group {printable(of_values.clauses[0].key, 60)}, to have each group's score in a column beside them"
        )
    rows = ranking.without_repetitions(ranking.in_one_table(readable, task))
    others = tables.published_rows(task) if published else []
    rows = tables.apart_from_published(rows, readable, others)
    if not rows and not others:
        wanted = f" for task {task!r}" if task else ""
        raise UsageError(f"nothing to show{wanted}. Name run folders, or run `judgebench eval` first{_reasons(found)}")
    metrics = ranking.headlines({row.task for row in (*rows, *others)}, files)
    groups = group_tables.tables_of_groups(readable, task, of_values, metrics) if of_values else []
    if of_keys or not asked:
        if of_keys:
            rows, metrics = group_tables.with_columns(rows, readable, of_keys, metrics)
        whole = ranking.group_rows([*rows, *others], metrics, tables.tables_of(readable, others))
        groups = [*tables.beside_published(whole, others), *groups]
    notes: list[str] = []
    if bridges := several(bridge):
        groups, notes = predicted_tables.with_predictions(
            groups, readable, open_bridges(bridges, level), task=task, published=others, merged=rank_predicted
        )
    elif rank_predicted:
        raise UsageError(
            "--rank-predicted ranks what a judge bridge predicts, and none is given; name it with --bridge"
        )
    return Leaderboard(tuple(groups), found.unreadable, tuple(notes))


def score(
    run: RunLike,
    *,
    tasks: Paths = (),
    labels: PathLike | None = None,
    think_tags: Iterable[tuple[str, str]] = (),
    bridge: Paths = (),
    level: float = 0.95,
    force: bool = False,
    mirrors: Paths = (),
    offline: bool = False,
    unsafe_local: bool = False,
) -> Run:
    """Read a run's replies again with today's rules, and compute its scores. Makes no call.

    ``tasks`` gives other options for some of the run's tasks, or the files of your own tasks. A judge ``bridge``, by
    its file or the name of a ready one, adds predicted official numbers with intervals of this ``level``
    (``Run.predictions``); ``force`` gives those that are refused, marked as forced. The ``status`` of the run says
    whether too much is missing. ``unsafe_local`` allows answers to be run as programs without a sandbox.

    >>> score("runs/mine").score("numeric").n
    16
    """
    from judgebench.run.scoring import score_run

    where: dict[str, Any] = {"mirrors": mirrors, "offline": offline, "unsafe_local": unsafe_local}
    given = {"labels": labels, "think_tags": think_tags, "bridge": bridge, "level": level}
    settings = _settings("score", tasks, **given, **where)
    path = _path(run)
    score_run(RunFolder(path), settings, force=force)
    return _loaded(path, settings)


def import_run(
    source: PathLike,
    form: str,
    *,
    out: PathLike,
    task: PathLike = "",
    model: str | None = None,
    name: str | None = None,
    fields: Mapping[str, str] | None = None,
    mirrors: Paths = (),
    offline: bool = False,
    unsafe_local: bool = False,
) -> list[Run]:
    """Read existing judgements or answers into run folders, one for each model of the file, and score them.

    ``form`` is a format that ``judgebench import --from`` takes, ``task`` the benchmark that the file belongs to
    (an archive names its own), ``model`` the only model to import, ``name`` what to call the run in tables, ``fields``
    the names that a file of outputs has for our fields, as in ``{"id": "key"}``. ``unsafe_local`` allows answers to be
    run as programs without a sandbox, where that verifies them.

    >>> export("runs/mine", "archive", "mine.zip")
    [PosixPath('mine.zip')]
    >>> import_run("mine.zip", "archive", out="runs/again")
    [<judgebench.Run 'mine' gsm8k: complete>]
    """
    from judgebench.exchange import importing

    where: dict[str, Any] = {"mirrors": mirrors, "offline": offline, "unsafe_local": unsafe_local}
    settings = _settings("import_run", task, model=model, name=name, out=out, fields=fields or {}, **where)
    return [_loaded(made.run, settings) for made in importing.import_run(Path(source), form, settings)]


def export(
    run: RunLike,
    form: str,
    out: PathLike,
    *,
    tasks: Paths = (),
    mirrors: Paths = (),
    offline: bool = False,
) -> list[Path]:
    """Write a run as the result files of another program, or as one file. Returns the paths of the files.

    ``form`` is a format that ``judgebench export --to`` takes, ``out`` a folder, or the one file itself.

    >>> export("runs/mine", "csv", "scores.csv")
    [PosixPath('scores.csv')]
    """
    from judgebench.exchange.exporting import export_run

    _task_files(tasks)
    settings = _settings("export", tasks, mirrors=mirrors, offline=offline)
    return export_run(RunFolder(_path(run)), form.replace("-", "_"), Path(out), settings)


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
    mirrors: Paths = (),
    offline: bool = False,
) -> Plan:
    """Say what difference two runs on the same examples can detect, and how many examples a difference ``delta`` needs.

    ``baseline`` is a run to take the variance from, or two runs, to take that of their paired differences; without one
    the plan assumes the worst case. ``correlation`` is the assumed correlation between two runs' per-example scores
    when only one run is given.

    >>> plan("gsm8k", metric="exact_match_strict", delta=2).record.required
    9812
    """
    from judgebench.analysis import power_plan

    question = power_plan.Question(
        task=os.fspath(task),
        metric=metric,
        baselines=[_path(run) for run in _each([baseline])],
        delta=delta,
        n=n,
        correlation=correlation,
        alpha=alpha,
        power=power,
    )
    return Plan(power_plan.plan(question, _settings("plan", mirrors=mirrors, offline=offline)))


def explain(*runs: RunLike | Iterable[RunLike], task: str | None = None, tasks: Paths = ()) -> Explanation:
    """Say where the variance of verdicts comes from, how much of it is style, and which runs can be told apart.

    ``runs`` are runs and paths, also of folders that hold runs; ``task`` is the only task to look at.

    >>> explain("runs")
    <judgebench.Explanation 'base' on gsm8k@cot8, 'mine' on gsm8k@cot8>
    """
    from judgebench.analysis import explanation

    found, own_name = _found(runs, _task_files(tasks)), _own_name(task)
    if found.readable:
        reading.require_held(found.readable, own_name)
    made = explanation.explain(found.readable, own_name)
    if not made.runs:
        raise UsageError(f"there is no run to explain{_reasons(found)}")
    return Explanation(made, found.unreadable)


def make_report(
    *runs: RunLike | Iterable[RunLike],
    out: PathLike | None = None,
    overwrite: bool = False,
    start: str = "#/",
    task: str | None = None,
    names: Mapping[str, str] | None = None,
    adjust: "comparison_records.Adjust" = "holm",
    mirrors: Paths = (),
    offline: bool = False,
    tasks: Paths = (),
) -> Report:
    """Show why the numbers of runs are what they are: ``judgebench report``.

    ``runs`` are runs and paths, also of folders that hold runs; the first is the baseline. ``out`` is the page to
    write, which opens at the address ``start``; ``overwrite`` replaces one that is there. ``names``, ``adjust`` and the
    others mean the same as in :func:`compare`.

    >>> make_report("runs/base", "runs/mine", out="why.html").record.names
    ('base', 'mine')
    """
    from judgebench.report.collect import collect
    from judgebench.run.loading import source_finder

    finder = source_finder(_settings("make_report", mirrors=mirrors, offline=offline))
    found = _found(runs, _task_files(tasks))
    readable = reading.renamed(found.readable, names or {})
    made = Report(collect(readable, finder, task=_own_name(task), adjust=adjust), found.unreadable)
    if out is not None:
        made.save(out, overwrite=overwrite, start=start)
    return made


def audit_judge(
    judge: Paths,
    on: str | Iterable[str] = "builtin",
    *,
    task: PathLike = "",
    vendors: PathLike | None = None,
    progress: bool = True,
    **settings: Unpack[Keywords],
) -> "JudgeCard":
    """Measure a judge, and store its card: ``judgebench judges audit``. What was asked before is not asked again.

    Parameters
    ----------
    judge
        As ``--judge`` takes it; several models are a jury.
    on
        Suites; ``builtin`` is always among them.
    task
        Ask with the prompt and the rule of this benchmark's judge; with ``starter=True`` its bundled prompt.
    vendors
        A table of models and their vendors, to tell whose answers are the judge's own.
    progress
        Show progress on stderr.
    settings
        ``limit``, ``budget``, ``judge_prompt``, ``judge_args``, ``mirrors``, ``offline`` and so on, as of ``evaluate``.
        ``judge_repeats`` is how often 20 items of the last suite are asked, by default 3 times.

    Examples
    --------
    It names the answer that it sees first, whatever that is:

    >>> card = audit_judge("builtin:tiny", limit=1, judge_repeats=1, progress=False)
    >>> card.probe("position", "builtin").figures[0].value, card.mark.unfit[:19]
    (0.0, 'below 95 % of the s')
    """
    from judgebench.auditing.audits import REPEATS, AuditPlan, audit, parse_suites
    from judgebench.exchange.judge_cards import write_pages
    from judgebench.models.trained_by import read_vendors
    from judgebench.run.progress import Progress

    suites, options = parse_suites(",".join(several(on)))
    plan = AuditPlan(
        settings=_settings("audit_judge", task, judges=judge, **settings),
        suites=suites,
        repeats=settings.get("judge_repeats", REPEATS),
        vendors=read_vendors(None if vendors is None else Path(vendors)),
        options=options,
    )
    with Progress(shown=progress) as display:
        path, card = audit(plan, display.update)
    write_pages(path, card)
    return card


def compare_judges(*judges: Paths, on: str | Iterable[str] = ()) -> "JudgeComparison":
    """Compare audited judges without a call: ``judgebench judges compare``. ``on`` are suites, by default all.

    >>> compare_judges("hf:a", "hf:b")
    Traceback (most recent call last):
    judgebench.errors.UsageError: no audit of 'hf:a' is on this machine; make one by `judgebench judges audit hf:a`
    """
    from judgebench.auditing.comparing import compare as compared

    return compared([name for given in judges for name in several(given)], several(on))


def rate_models(
    *finished: RunLike | Iterable[RunLike],
    models: Paths = (),
    prompts: PathLike | None = None,
    judge: Paths = (),
    task: str | None = None,
    tasks: Paths = (),
    names: Mapping[str, str] | None = None,
    pairs: str = "adaptive",
    calls: float | int | None = None,
    seed: int = 0,
    anchor: Paths = (),
    style_control: str | None = None,
    elo: bool = False,
    progress: bool = True,
    **settings: Unpack[Keywords],
) -> "Arena":
    """Rate models by games between them, judged in pairs: ``judgebench arena``. What was played is not asked again.

    Parameters
    ----------
    finished
        Runs, or folders that hold some.
    models, prompts
        Models that answer the prompts first, if there are no runs or beside them.
    judge
        As ``--judge`` takes it; several models are a jury.
    task, tasks
        Which benchmark of the runs, and the files of your own ones.
    names
        Names for runs, by folder or by the name that a run has otherwise.
    pairs, calls, seed
        ``adaptive`` or ``all``; the most games, or a share of them; the order of the questions.
    anchor
        ``MODEL=RATING``, a file of ratings, or a published table.
    style_control, elo
        Ratings with style held equal by this preset, and online Elo, beside the others.
    progress
        Show progress on stderr.
    settings
        ``out``, ``limit``, ``level``, ``budget``, ``judge_args``, ``gen`` and so on, as of ``evaluate``.

    Examples
    --------
    >>> rate_models("runs/mine")
    Traceback (most recent call last):
    judgebench.errors.UsageError: an arena needs two models, and was given mine
    """
    from judgebench.arena.anchoring import read_anchors
    from judgebench.arena.arenas import Plan, hold
    from judgebench.arena.playing import Rule
    from judgebench.arena.rating import Wishes
    from judgebench.run.progress import Progress

    run_settings = _settings("rate_models", tasks, judges=judge, **settings)
    plan = Plan(
        settings=run_settings,
        runs=tuple(_path(run) for run in _each(finished)),
        models=several(models),
        prompts=None if prompts is None else Path(prompts),
        task=task,
        names=dict(names or {}),
        rule=Rule(how=pairs, calls=calls, level=run_settings.level, seed=seed),
        wishes=Wishes(level=run_settings.level, style=style_control, elo=elo),
        given=read_anchors(several(anchor)),
    )
    with Progress(shown=progress) as display:
        return hold(plan, display.update)


def selftest(tasks: Paths = (), *, mirrors: Paths = ()) -> SelfTest:
    """Compute published scores again from the judgements behind them, which ship: ``judgebench selftest``.

    ``tasks`` limits it to some benchmarks. Whole published files that are in one of the ``mirrors``, or in the cache,
    are verified and scored, too. Nothing is downloaded.

    >>> selftest("arenahard").frame().set_index("model")[["value", "published"]].round(2).loc["gpt-4-0613"].tolist()
    [37.9, 37.9]
    """
    from judgebench.exchange import selftest as published_again

    return SelfTest(published_again.selftest(_settings("selftest", tasks, mirrors=mirrors, offline=True)))


def _settings(function: str, tasks: Paths = (), **given: Any) -> Settings:
    """Settings of what was passed to one of the functions above."""
    return settings_from_python(function, {"tasks": tasks, **given})


def _each(given: Iterable[RunLike | Iterable[RunLike]]) -> Iterator[RunLike]:
    """Yield runs and paths one by one, including those in lists."""
    for run in given:
        if isinstance(run, str | os.PathLike | Run | reading.Run):
            yield run
        elif isinstance(run, Iterable):
            yield from _each(run)
        else:
            raise UsageError(f"a run was expected, or the path of one, or a list of these; got {run!r}")


def _opened(run: RunLike, tasks: Paths = ()) -> reading.Run:
    """Read one run. Raises :class:`UsageError` for anything else."""
    if isinstance(run, str | os.PathLike):
        return reading.read_run(Path(run), _task_files(tasks))
    if isinstance(run, Run | reading.Run):
        return run.record if isinstance(run, Run) else run
    raise UsageError(f"one run was expected here, or the path of one; got {run!r}")


def _path(run: RunLike) -> Path:
    """The path of one run, which is not read."""
    return Path(run) if isinstance(run, str | os.PathLike) else _opened(run).path


def _loaded(path: PathLike, settings: Settings) -> Run:
    """Load a run that was just made or scored, whose own tasks the settings name."""
    return Run(reading.read_run(Path(path), files_among(named(settings.tasks))))


def _own_name(task: str | None) -> str | None:
    """A task as judgebench calls it, which another harness may call something else."""
    return None if task is None else ",".join(own_names(task).values())


def _task_files(tasks: Paths) -> "TaskFiles":
    return task_files(",".join(several(tasks)))


def _found(given: Iterable[RunLike | Iterable[RunLike]], files: "TaskFiles") -> reading.Runs:
    """Read the given runs and those at or below the given paths, each once."""
    paths, found = [], {}
    for run in _each(given):
        if isinstance(run, str | os.PathLike):
            paths.append(Path(run))
        else:
            found[os.path.realpath(_opened(run).path)] = _opened(run)
    read = reading.read_runs(paths, files)
    for run in read.readable:
        found.setdefault(os.path.realpath(run.path), run)
    return reading.Runs(tuple(found.values()), read.unreadable)


def _reasons(found: reading.Runs) -> str:
    """Why runs could not be read, as the end of a message."""
    return "".join(f"; left out: {run.reason}" for run in found.unreadable)
