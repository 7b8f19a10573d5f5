"""The official judges' verdicts on models of the published tables (``leaderboards/verdicts``), to pair with a run's.

A file holds what upstream published of single items, as numbers: for each model and item the example score that the
task makes of the official judge's verdict, how much it weighs, and what the task's metrics need to know of the answer,
such as its length. What they need to know of the item itself is the run's own. ``scripts/make_published_verdicts.py``
makes the files.

A published model stands in a comparison as a run without a folder (``beside_runs``). It has example scores if the run
beside it was evaluated as the published table was and the model's verdicts are here; else it has the published numbers
alone, and the reason.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path

import msgspec

from judgebench.analysis.leaderboard import LeaderboardRow
from judgebench.analysis.published import of_same_table, published_rows, unlike_published
from judgebench.codec import read_json
from judgebench.data.resources import resource
from judgebench.errors import UsageError
from judgebench.records import ExampleScore, Generation, Judgement
from judgebench.run.reading import Run, TaskRun
from judgebench.tasks import is_among

PREFIX = "published:"
"""How a published model is named where a run is expected."""
STATUS = "published"
BY_A_BRIDGE = ". A judge bridge predicts the official number of a run of another judge: --bridge"
BASELINE = "baseline_"
"""Prefix of what is known of the baseline's answer, which is the same for every model."""


class ModelVerdicts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of one model, in the order of the items."""

    values: tuple[float | None, ...]
    """Example scores; ``None`` where the judge gave no verdict."""
    weights: tuple[float, ...] = ()
    """How much each weighs, if not 1."""
    covariates: dict[str, tuple[float | str | None, ...]] = {}


class PublishedVerdicts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file."""

    task: str
    metric: str
    """Name of the example scores."""
    judge: str
    source: str
    """Where they were published; ``{model}`` stands for the model's name."""
    of_items: tuple[str, ...]
    """Covariates that say something of the item, whoever answers it."""
    items: tuple[str, ...]
    models: dict[str, ModelVerdicts]

    def rows(self, model: str, own: Sequence[ExampleScore]) -> tuple[ExampleScore, ...]:
        """A model's example scores of the items that a run, whose rows are ``own``, has."""
        found, place = self.models[model], {item: number for number, item in enumerate(self.items)}
        return tuple(
            msgspec.structs.replace(
                row,
                value=found.values[place[row.example_id]],
                weight=found.weights[place[row.example_id]] if found.weights else 1.0,
                covariates=self._covariates(found, row, place[row.example_id]),
            )
            for row in own
            if row.metric == self.metric and row.example_id in place
        )

    def _covariates(self, found: ModelVerdicts, row: ExampleScore, place: int) -> dict[str, float | str | None]:
        """The item's covariates from the run, the answer's from the file, and ``None`` for what is not known."""
        kept = {
            name: value if name in self.of_items or name.startswith(BASELINE) else None
            for name, value in row.covariates.items()
        }
        return {**kept, **{name: values[place] for name, values in found.covariates.items()}}


@dataclass(frozen=True)
class PublishedTaskRun(TaskRun):
    """A published model in the place of a task's run; everything but its numbers is that of the run beside it."""

    rows: tuple[ExampleScore, ...] = ()
    unpaired: str | None = None
    """Why only its published numbers are known."""

    def example_scores(self, *, of_cascade: bool = False) -> list[ExampleScore]:
        """Those of the published verdicts."""
        return list(self.rows)

    def generations(self) -> dict[str, Generation]:
        """No answers: only numbers are kept."""
        return {}

    def judgements(self) -> list[Judgement]:
        """No replies: only numbers are kept."""
        return []


@cache
def verdicts_of(label: str) -> PublishedVerdicts | None:
    """The published verdicts of a task with its version; ``None`` if there are none here."""
    files = {path.name.removesuffix(".json"): path for path in resource("leaderboards").glob("verdicts/*.json")}
    return read_json(files[label], PublishedVerdicts) if label in files else None


def model_named(run: object) -> str | None:
    """The model that ``published:MODEL`` names in the place of a run; ``None`` for anything else."""
    text = os.fspath(run) if isinstance(run, str | Path) else ""
    return text.removeprefix(PREFIX) if text.startswith(PREFIX) else None


def beside_runs(
    given: Sequence[Run | str], task: str | None = None, *, bridged: bool = False
) -> tuple[list[Run], list[str]]:
    """The runs, each published model (``given`` as its name) as a run beside the first real one; and notes.

    ``task`` limits it to one task. Raises :class:`UsageError` if there is no real run, if nothing of a model is
    published for the run's tasks, or if the run was not evaluated as the published rows were. If it is ``bridged``,
    which is what a run of another judge is compared by, such a model has no measured numbers instead.
    """
    like = next((run for run in given if isinstance(run, Run)), None)
    if like is None:
        raise UsageError(
            f"{PREFIX}{given[0]} is compared with runs, and no run is among these; name one. `judgebench leaderboard "
            f"--published` shows the published numbers"
        )
    notes: list[str] = []
    runs = [run if isinstance(run, Run) else _published_run(run, like, task, notes, bridged=bridged) for run in given]
    return runs, notes


def _published_run(model: str, like: Run, task: str | None, notes: list[str], *, bridged: bool) -> Run:
    found: dict[str, PublishedTaskRun] = {}
    reasons: list[str] = []
    for key, task_run in like.tasks.items():
        if is_among(task, task_run.names):
            made, why = _published_task(model, like, task_run)
            if made is None:
                reasons.append(why)
            else:
                found[key] = made
                notes.append(why)
    if not found:
        why = "; ".join(reasons) or f"{like.path} holds no task {task!r}, it holds {', '.join(like.tasks)}"
        if not bridged:
            manifests = [run.task_manifest for run in like.tasks.values()]
            judged = any(one.protocol.get("judges") and not one.starter for one in manifests)
            raise UsageError(f"{why}{BY_A_BRIDGE if judged else ''}")
        notes.append(why)
    manifest = msgspec.structs.replace(like.manifest, candidate=model, name="", status=STATUS)
    return replace(like, path=Path(f"{PREFIX}{model}"), manifest=manifest, tasks=found)


def _published_task(model: str, like: Run, run: TaskRun) -> tuple[PublishedTaskRun | None, str]:
    """A task's published numbers and verdicts with a note, or ``None`` with the reason."""
    made = run.task_manifest
    label = f"{made.name}@{made.version}"
    listed = of_same_table(run.task, published_rows(label))
    row = next((row for row in listed if row.model == model), None)
    if row is None:
        return None, _unpublished(label, model, [row.model for row in listed])
    if made.starter:
        return (
            None,
            f"{made.label} of {like.path} is a run of the starter set, whose numbers compare with nothing published",
        )
    unlike = unlike_published(run.task, made.protocol, made.code, like.manifest)
    if unlike:
        return None, (
            f"{made.label} of {like.path} was not evaluated as the published rows were, so it cannot be compared with "
            f"that of {model}; it differs in {'; '.join(unlike)}"
        )
    verdicts = verdicts_of(label)
    if verdicts is None or model not in verdicts.models:
        note = f"{model} on {label}: {row.origin}; its single verdicts are not here, so its numbers are not paired"
        return _task_run(run, row, (), "the published model's single verdicts are not here"), note
    rows = verdicts.rows(model, run.example_scores())
    note = f"{model} on {label}: the verdicts of {verdicts.judge} in {verdicts.source.replace('{model}', model)}"
    return _task_run(run, row, rows, None), note


def _task_run(run: TaskRun, row: LeaderboardRow, rows: tuple[ExampleScore, ...], why: str | None) -> PublishedTaskRun:
    manifest = run.task_manifest
    scores = tuple(msgspec.structs.replace(score, task=manifest.name) for score in row.scores.values())
    return PublishedTaskRun(
        key=run.key,
        task_manifest=manifest,
        scores=scores,
        findings=(),
        folder=run.folder,
        run=run.run,
        files=run.files,
        rows=rows,
        unpaired=why,
    )


def _unpublished(label: str, model: str, known: Sequence[str]) -> str:
    near = get_close_matches(model, known, n=3, cutoff=0.4)
    hint = f"near are {', '.join(near)}" if near else f"its published table has {len(known)} rows of other models"
    return f"no row of the model {model!r:.80} is published for {label}; {hint}"
