"""The shared real Arena-Hard data as the tests use it: tasks with it as their mirror, and upstream's file shapes."""

import csv
import dataclasses
import gzip
import json
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from judgebench.tasks.arenahard.controlled import StyleBattles, win_rates
from judgebench.tasks.arenahard.judges import Pipeline

from judgebench import tasks
from judgebench.data.rows import FileRow, read_rows
from judgebench.data.sources import SourceFinder
from judgebench.records import ExampleScore, Score
from judgebench.run.loading import load_task
from judgebench.stats.arrays import FloatArray
from judgebench.stats.intervals import resample_counts
from judgebench.task import Imported, Task, TaskData
from tests.shared_data import SHARED, SharedData

ARENA_HARD = SharedData("arena_hard")
JUDGEMENTS, ANSWERS = SharedData("arena_hard", "judgments_v0.1"), SharedData("arena_hard", "answers_v0.1")

Load = Callable[[str], tuple[Task, TaskData]]
JUDGES = ("DeepSeek-R1-Distill-Llama-70B", "gpt-4-1106-preview", "gpt-4-32k", "gpt-4o")
TABLE = "gpt-4-1106-preview"
REBUILT = [
    "Llama-3-Base-8B-TR_KTO-Alpha_0.6-UltraFeedback",
    "Llama-3-Base-8B-TR_KTO-Tau_256-UltraFeedback",
    "Meta-Llama-3.1-8B-Instruct",
]
"""Models whose answers are here beside their judgements."""


def mirrors() -> tuple[Path, ...]:
    """Where the official files are."""
    return ARENA_HARD.path, SHARED / "upstream"


@cache
def loaded(spec: str, cache_folder: Path) -> tuple[Task, TaskData]:
    """A task with the shared data as its mirror."""
    (parsed,) = tasks.parse_specs(spec)
    one = load_task(parsed, SourceFinder(cache_folder, mirrors(), offline=True), starter=False)
    return one.task, one.data


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Records of a JSON-lines file, ``.gz`` or not."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in data.splitlines()]


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file, ``.gz`` or not."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return list(csv.DictReader(data.decode().splitlines()))


def expected(name: str) -> dict[str, Any]:
    """``expected_<name>_pipeline.json``."""
    found: dict[str, Any] = json.loads((ARENA_HARD / f"expected_{name}_pipeline.json").read_text())
    return found


def rows_of(records: Iterable[dict[str, Any]], path: str = "file.jsonl") -> list[FileRow]:
    """Records as the rows of a file."""
    return [FileRow(path, number, record) for number, record in enumerate(records, 1)]


def judgement(uid: str, labels: Sequence[str | None], **fields: Any) -> dict[str, Any]:
    """A judgement row of the current shape: a label for each game, ``None`` for a game that failed."""
    games = [{"score": label, "judgment": {"answer": f"So: [[{label}]]"}} if label else None for label in labels]
    return {"uid": uid, "model": "m", "judge": "j", "games": games, **fields}


def imported(task: Task, data: TaskData, rows: Sequence[FileRow]) -> dict[str, Imported]:
    """What the importer makes of rows, by model."""
    return {one.candidate: one for one in task.importers["arena_hard"](rows, data)}


def example_scores(task: Task, data: TaskData, one: Imported) -> tuple[TaskData, list[ExampleScore]]:
    """Example scores of an import, without a run folder."""
    data = dataclasses.replace(data, examples=one.examples, baselines=one.baselines or data.baselines)
    return data, task.score(data, {g.example_id: g for g in one.generations}, one.judgements)


def scores_of(task: Task, data: TaskData, rows: Sequence[FileRow]) -> dict[str, dict[tuple[str, str | None], Score]]:
    """Scores of an import by model, then by metric and group."""
    found = {}
    for model, one in imported(task, data, rows).items():
        found[model] = {(s.metric, s.group): s for s in task.summarise(*example_scores(task, data, one))}
    return found


def rows_below(*folders: Path) -> list[FileRow]:
    """Rows of all files of some folders."""
    return [row for folder in folders for row in read_rows(folder)]


def joint_battles(task: Task, data: TaskData, rows: Sequence[FileRow], models: Sequence[str]) -> StyleBattles:
    """Battles of several models in one table, as a published one has them."""
    found = imported(task, data, rows)
    scored = [example_scores(task, data, found[model])[1] for model in models]
    return StyleBattles.of([[score for score in own if score.value is not None] for own in scored])


def resampled_errors(battles: StyleBattles, pipeline: Pipeline, rounds: int) -> FloatArray:
    """Standard deviations of the style-controlled rates over resamples of the questions, each standardised and fitted
    anew: shape (models,).
    """
    rates = []
    for counts in resample_counts(len(battles.questions), rounds, np.random.default_rng(0)):
        times = counts[battles.question]
        columns = ("model", "question", "share", "style", "baseline_style")
        drawn = {name: np.repeat(getattr(battles, name), times, axis=0) for name in columns}
        rates.append(win_rates(dataclasses.replace(battles, **drawn).fit_anyway(pipeline, "both")[0]))
    return np.array(rates, dtype=float).std(axis=0, ddof=1)


def rows_against(baseline: str, *folders: Path) -> list[FileRow]:
    """Rows of judgements against this baseline, and of answers."""
    return [row for row in rows_below(*folders) if row.fields.get("baseline", baseline) == baseline]


def write(path: Path, *lines: Any) -> Path:
    """A JSON-lines file; a string stands as it is."""
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path
