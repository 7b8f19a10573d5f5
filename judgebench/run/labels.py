"""Reads a few human verdicts (``--labels humans.csv``) and anchors win rates in them.

The file has a header and two columns:

    example_id,label
    012,win
    340,tie
    511,0

or the same columns in any other form that ``data/rows.py`` reads. ``label`` is a human's verdict on the candidate's
answer against the baseline's: ``win``, ``tie`` or ``loss``, or its share of the win as a number from 0 to 1; it may be
empty until somebody fills it in. An example has at most one row. The labelled examples must be a random sample of all,
drawn before any verdict is seen. judgebench cannot check that, so the method of each number states it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from judgebench.data.rows import FileRow, read_rows, where
from judgebench.errors import UsageError
from judgebench.files import chunks
from judgebench.records import ExampleScore, Score
from judgebench.run.loading import LoadedTask
from judgebench.stats.arrays import FloatArray
from judgebench.stats.clustered import bounded_estimate, cluster_totals
from judgebench.stats.intervals import Interval
from judgebench.stats.prediction_powered import prediction_powered_mean
from judgebench.stats.rogan_gladen import corrected_win_rate, judge_errors
from judgebench.task import Task, TaskData
from judgebench.task.metric import Metric

COLUMNS = ("example_id", "label")
WORDS = {"win": 1.0, "tie": 0.5, "loss": 0.0}
LEVEL = 0.95


@dataclass(frozen=True)
class Labels:
    """Human verdicts on one task's answers."""

    task: str
    by_example: Mapping[str, float]
    """The candidate's share of the win, from 0 to 1."""
    sha256: str
    """Hash of the file."""
    unlabelled: str | None = None
    """How many rows have no label, and which; ``None`` if all have one."""


def labels_for(path: Path | None, loaded: Sequence[LoadedTask]) -> Labels | None:
    """Read the labels of the one task that they can be about.

    Raises :class:`UsageError` if there is none or several, and ``RecordError`` for a row that is not usable.
    """
    if path is None:
        return None
    fitting = [loaded_task for loaded_task in loaded if _anchored(loaded_task.task) is not None]
    if len(fitting) != 1:
        what = f"{len(fitting)} tasks could be meant ({', '.join(own.key for own in fitting)}): give one"
        if not fitting:
            what = f"no win rate of {', '.join(own.task.label for own in loaded)} is a plain mean over examples"
        raise UsageError(f"--labels {path} are human verdicts on one task's comparisons, and {what}")
    found, unlabelled = _read(path, fitting[0].data)
    return Labels(
        fitting[0].key, found, _sha256(path), f"{len(unlabelled)} ({where(unlabelled)})" if unlabelled else None
    )


def anchored_scores(task: Task, rows: Sequence[ExampleScore], labels: Labels) -> list[Score]:
    """Estimate the win rate that humans would give: by prediction-powered inference, and by Rogan and Gladen's formula.

    ``rows`` are the task's example scores.
    """
    metric = _anchored(task)
    assert metric is not None
    judged = {key: value for key, value in metric.values(rows).items() if value is not None}
    labelled = [key for key in labels.by_example if key in judged]
    human = np.array([labels.by_example[key] for key in labelled])
    machine = np.array([judged[key] for key in labelled])
    others = np.array([value for key, value in judged.items() if key not in labels.by_example])
    details: dict[str, Any] = {"labels_sha256": labels.sha256, "n_labelled": len(labelled), "n_judged": len(others)}
    if labels.unlabelled is not None:
        details["rows_without_label"] = labels.unlabelled
    missing = len(labels.by_example) - len(labelled)
    about = Score(
        task=task.name, metric=metric.name, value=None, unit=metric.unit, n=0, n_missing=missing, details=details
    )
    return [_powered(about, human, machine, others), _corrected(about, human, machine, others)]


def _powered(about: Score, human: FloatArray, machine: FloatArray, others: FloatArray) -> Score:
    result = prediction_powered_mean(human, machine, others, bounds=(0.0, 1.0), level=LEVEL)
    alone = bounded_estimate(cluster_totals(human), level=LEVEL).interval
    details = {
        "judge_weight": result.weight,
        "effective_labels": result.effective_labels,
        "humans_alone": 100 * float(human.mean()) if len(human) else None,
        "humans_alone_interval": None if alone is None else [100 * alone.low, 100 * alone.high],
    }
    method = "PPI++: human labels of a random sample, the judge's verdicts on the rest; "
    return msgspec.structs.replace(
        _in_percent(about, result.value, result.interval),
        metric=f"{about.metric}_ppi",
        stderr=None if result.stderr is None or result.interval is None else 100 * result.stderr,
        method=method + (result.interval.method if result.interval else "no interval"),
        n=len(human) + len(others),
        reason=result.reason if result.value is None or result.interval is None else None,
        details={**about.details, **details},
    )


def _corrected(about: Score, human: FloatArray, machine: FloatArray, others: FloatArray) -> Score:
    decided = (human != 0.5) & (machine != 0.5)
    verdicts = (others[others != 0.5] > 0.5).astype(float)
    errors = judge_errors((human[decided] > 0.5).astype(float), (machine[decided] > 0.5).astype(float))
    method = "Rogan-Gladen: the judge's share of wins, corrected for its error rates"
    details = {**about.details, "ties_dropped": int((~decided).sum() + (others == 0.5).sum())}
    about = msgspec.structs.replace(about, metric=f"{about.metric}_rogan_gladen", method=method, details=details)
    if errors is None:
        reason = "the labels hold no human win, or no human loss, that the judge decided: its error rates are unknown"
        return msgspec.structs.replace(about, reason=reason)
    if not len(verdicts):
        return msgspec.structs.replace(about, reason="the judge decided no example without a label")
    result = corrected_win_rate(float(verdicts.mean()), len(verdicts), errors, level=LEVEL)
    details |= {"sensitivity": errors.sensitivity, "human_wins": errors.wins, "judged": 100 * result.judged}
    details |= {"specificity": errors.specificity, "human_losses": errors.losses}
    return msgspec.structs.replace(
        _in_percent(about, result.value, result.interval),
        method=f"{method} on human labels, ties dropped; {result.interval.method}",
        n=len(verdicts) + int(decided.sum()),
        reason=result.reason,
        details=details,
    )


def _in_percent(about: Score, share: float | None, interval: Interval | None) -> Score:
    """Put a win rate from 0 to 1 and its interval into the score."""
    value = None if share is None else 100 * share
    if interval is None:
        return msgspec.structs.replace(about, value=value)
    return msgspec.structs.replace(about, value=value, low=100 * interval.low, high=100 * interval.high, level=LEVEL)


def _anchored(task: Task) -> Metric | None:
    """Return the first metric of a task that is a mean of shares of the win."""
    return next((metric for metric in task.means.values() if metric.win_share), None)


def _read(path: Path, data: TaskData) -> tuple[dict[str, float], list[FileRow]]:
    """Read the shares of the win by example, and the rows whose label is empty."""
    rows = read_rows(path, f"a table with the columns {','.join(COLUMNS)}")
    found: dict[str, float] = {}
    unlabelled = []
    for row in rows:
        if sorted(name.strip() for name in row.fields) != sorted(COLUMNS):
            raise row.error(f"its columns must be {','.join(COLUMNS)}; they are: {','.join(row.fields)[:80]}")
        row = msgspec.structs.replace(row, fields={name.strip(): value for name, value in row.fields.items()})
        key = row.key("example_id")
        example = data.find(key)
        if example is None:
            raise row.error(f"{key[:80]!r} is no example of this run")
        if row.value("label") is None:
            unlabelled.append(row)
        elif example.id in found:
            raise row.error(f"{key[:80]!r} has a label already")
        else:
            found[example.id] = _share(row)
    if not found:
        raise UsageError(f"--labels {path} holds no label")
    return found, unlabelled


def _share(row: FileRow) -> float:
    label = row.value("label")
    word = label.strip().lower() if isinstance(label, str) else label
    try:
        value = WORDS[word] if word in WORDS else -1.0 if isinstance(word, bool) else float(word)
    except (TypeError, ValueError, OverflowError):
        value = -1.0
    if not 0 <= value <= 1:
        raise row.error(f"label {str(label)[:40]!r}; expected win, tie, loss or a number from 0 to 1")
    return value


def _sha256(path: Path) -> str:
    """Hash the content of a file; a ``.gz`` is unpacked first."""
    digest = hashlib.sha256()
    for chunk in chunks(path):
        digest.update(chunk)
    return digest.hexdigest()
