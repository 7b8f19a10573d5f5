"""A few human verdicts (``--labels humans.csv``), and win rates anchored in them.

The file has a header and two columns:

    example_id,label
    012,win
    340,tie
    511,0

``label`` is how the candidate's answer did against the baseline's in the eyes of a human: ``win``, ``tie`` or
``loss``, or its share of the win as a number from 0 to 1. Each example has one row at most. The labelled examples must
be a random sample of all, drawn before any verdict is seen: nobody can check that here, so the method of each number
says it.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from judgebench.codec import sha256_hex
from judgebench.errors import RecordError, UsageError
from judgebench.records import ExampleScore, Score
from judgebench.stats.clustered import bounded_estimate, cluster_totals
from judgebench.stats.prediction_powered import prediction_powered_mean
from judgebench.stats.rogan_gladen import corrected_win_rate, judge_errors
from judgebench.task import ItemMean, Task, TaskData

COLUMNS = ("example_id", "label")
WORDS = {"win": 1.0, "tie": 0.5, "loss": 0.0}
LARGEST_BYTES = 64 * 2**20
LEVEL = 0.95


@dataclass(frozen=True)
class Labels:
    """Human verdicts on one task's answers."""

    task: str
    by_example: Mapping[str, float]
    """The candidate's share of the win, 0 to 1."""
    sha256: str
    """Of the file."""


def labels_for(path: Path | None, given: Mapping[str, tuple[Task, TaskData]]) -> Labels | None:
    """The labels of a file, for the one task among those ``given`` (by key) that they can be of.

    Raises :class:`UsageError` where there is none or several, and :class:`RecordError` for a row that is not usable.
    """
    if path is None:
        return None
    fitting = {key: data for key, (task, data) in given.items() if _anchored(task) is not None}
    if len(fitting) != 1:
        what = (
            f"{len(fitting)} tasks could be meant ({', '.join(fitting)}): give one"
            if fitting
            else (f"no win rate of {', '.join(task.label for task, _ in given.values())} is a plain mean over examples")
        )
        raise UsageError(f"--labels {path} are human verdicts on one task's comparisons, and {what}")
    ((key, data),) = fitting.items()
    content = _read(path)
    return Labels(key, _parsed(path, content, data), sha256_hex(content))


def anchored_scores(task: Task, rows: Sequence[ExampleScore], labels: Labels) -> list[Score]:
    """The win rate as humans would have given it: by prediction-powered inference, and by Rogan and Gladen's formula.

    ``rows`` are the task's example scores.
    """
    metric, mean = _anchored(task) or ("", None)
    assert mean is not None
    found: dict[str, list[ExampleScore]] = {}
    for row in rows:
        found.setdefault(row.example_id, []).append(row)
    judged = {key: value for key, own in found.items() if (value := mean.of(own)) is not None}
    labelled = [key for key in labels.by_example if key in judged]
    human = np.array([labels.by_example[key] for key in labelled])
    machine = np.array([judged[key] for key in labelled])
    others = np.array([value for key, value in judged.items() if key not in labels.by_example])
    missing = len(labels.by_example) - len(labelled)
    common: dict[str, Any] = {"labels_sha256": labels.sha256, "n_labelled": len(labelled), "n_judged": len(others)}
    return [
        _powered(task, metric, human, machine, others, missing, common),
        _corrected(task, metric, human, machine, others, missing, common),
    ]


def _powered(
    task: Task,
    metric: str,
    human: np.ndarray[Any, np.dtype[np.float64]],
    machine: np.ndarray[Any, np.dtype[np.float64]],
    others: np.ndarray[Any, np.dtype[np.float64]],
    missing: int,
    common: dict[str, Any],
) -> Score:
    result = prediction_powered_mean(human, machine, others, bounds=(0.0, 1.0), level=LEVEL)
    alone = bounded_estimate(cluster_totals(human), level=LEVEL).interval
    details = {
        **common,
        "judge_weight": result.weight,
        "effective_labels": result.effective_labels,
        "humans_alone": 100 * float(human.mean()) if len(human) else None,
        "humans_alone_interval": None if alone is None else [100 * alone.low, 100 * alone.high],
    }
    return Score(
        task=task.name,
        metric=f"{metric}_ppi",
        value=None if result.value is None else 100 * result.value,
        unit="percent",
        stderr=None if result.stderr is None or result.interval is None else 100 * result.stderr,
        low=None if result.interval is None else 100 * result.interval.low,
        high=None if result.interval is None else 100 * result.interval.high,
        level=None if result.interval is None else LEVEL,
        method="PPI++: human labels of a random sample, the judge's verdicts on the rest; "
        + (result.interval.method if result.interval else "no interval"),
        n=len(human) + len(others),
        n_missing=missing,
        reason=result.reason if result.value is None or result.interval is None else None,
        details=details,
    )


def _corrected(
    task: Task,
    metric: str,
    human: np.ndarray[Any, np.dtype[np.float64]],
    machine: np.ndarray[Any, np.dtype[np.float64]],
    others: np.ndarray[Any, np.dtype[np.float64]],
    missing: int,
    common: dict[str, Any],
) -> Score:
    decided = (human != 0.5) & (machine != 0.5)
    verdicts = (others[others != 0.5] > 0.5).astype(float)
    errors = judge_errors((human[decided] > 0.5).astype(float), (machine[decided] > 0.5).astype(float))
    name, method = f"{metric}_rogan_gladen", "Rogan-Gladen: the judge's share of wins, corrected for its error rates"
    details = {**common, "ties_dropped": int((~decided).sum() + (others == 0.5).sum())}
    reason = None
    if errors is None:
        reason = "the labels hold no human win, or no human loss, that the judge decided: its error rates are unknown"
    elif not len(verdicts):
        reason = "the judge decided no example without a label"
    if errors is None or reason is not None:
        return Score(
            task=task.name, metric=name, value=None, unit="percent", method=method, n=0, n_missing=missing,
            reason=reason, details=details,
        )  # fmt: skip
    result = corrected_win_rate(float(verdicts.mean()), len(verdicts), errors, level=LEVEL)
    details |= {"sensitivity": errors.sensitivity, "human_wins": errors.wins, "judged": 100 * result.judged}
    details |= {"specificity": errors.specificity, "human_losses": errors.losses}
    return Score(
        task=task.name,
        metric=name,
        value=None if result.value is None else 100 * result.value,
        unit="percent",
        low=100 * result.interval.low,
        high=100 * result.interval.high,
        level=LEVEL,
        method=f"{method} on human labels, ties dropped; {result.interval.method}",
        n=len(verdicts) + int(decided.sum()),
        n_missing=missing,
        reason=result.reason,
        details=details,
    )


def _anchored(task: Task) -> tuple[str, ItemMean] | None:
    """The first metric of a task that is a mean of shares of the win."""
    return next(((name, mean) for name, mean in task.means.items() if mean.share), None)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise UsageError(
                f"--labels {path} is larger than {LARGEST_BYTES >> 20} MiB: that is no file of a few labels"
            )
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"--labels {path} cannot be read: {error}") from error


def _parsed(path: Path, content: bytes, data: TaskData) -> dict[str, float]:
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = next(reader, [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"--labels {path} is not a CSV file in UTF-8: {error}") from error
    if tuple(name.strip() for name in header) != COLUMNS:
        shown = ",".join(header)[:80]
        raise UsageError(f"--labels {path} begins with {shown!r}; its first line must be {','.join(COLUMNS)}")
    found: dict[str, float] = {}
    try:
        for row in reader:
            if not row:
                continue
            if len(row) != len(COLUMNS):
                raise RecordError(path, reader.line_num, f"{len(row)} columns, where an example_id and a label belong")
            example_id, label = (cell.strip() for cell in row)
            if example_id not in data.by_id:
                raise RecordError(path, reader.line_num, f"{example_id[:80]!r} is no example of this run")
            if example_id in found:
                raise RecordError(path, reader.line_num, f"{example_id[:80]!r} has a label already")
            found[example_id] = _share(path, reader.line_num, label)
    except csv.Error as error:
        raise RecordError(path, reader.line_num, f"not CSV: {error}") from error
    if not found:
        raise UsageError(f"--labels {path} holds no label")
    return found


def _share(path: Path, line: int, label: str) -> float:
    if label.lower() in WORDS:
        return WORDS[label.lower()]
    try:
        value = float(label)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise RecordError(path, line, f"label {label[:40]!r}; expected win, tie, loss or a number from 0 to 1")
    return value
