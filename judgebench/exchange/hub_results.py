"""Hugging Face's ``.eval_results/<name>.yaml``: scores that the Hub shows beside a model and ranks at a benchmark.

Files are written and read with huggingface_hub's own helpers (``huggingface_hub/_eval_results.py``, 2.4.0). An entry is
one number of one dataset's task. So only a benchmark's headline metric is written, for the dataset that its ``hub``
names; the entry's notes say how it was made.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from judgebench.errors import UsageError
from judgebench.records import Score
from judgebench.run.reading import Run, TaskRun
from judgebench.task import Task

MAX_BYTES = 2**16
"""Largest file that is read; the Hub's own have a few hundred bytes."""
DEEPEST = 16
"""Most levels of nesting: PyYAML's time grows with the square of the depth."""
_NOTE = re.compile(r"(\w+)=([^;]*)")


def to_yaml(run: Run) -> dict[str, bytes]:
    """The content of each task's file; tasks without a dataset on the Hub have none."""
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    files = {}
    for own in run.tasks.values():
        score = _headline(own)
        if own.task.hub is None or score is None:
            continue
        dataset, task_id = own.task.hub
        entry = EvalResultEntry(
            dataset_id=dataset,
            task_id=task_id,
            value=score.value,
            date=f"{run.manifest.ended:%Y-%m-%dT%H:%M:%SZ}",
            notes="; ".join(f"{name}={value}" for name, value in _notes(own, score)),
        )
        rows = eval_result_entries_to_yaml([entry])
        files[f".eval_results/{own.key}.yaml"] = yaml.safe_dump(rows, sort_keys=False, allow_unicode=True).encode()
    if not files:
        known = ", ".join(key for key, own in run.tasks.items() if own.task.hub) or "none"
        raise UsageError(
            f"{run.path} has no number for a dataset on the Hub: the tasks with a dataset are {known}, and those with "
            "a starter set, with a judge of the user's own, with a cascade or without a headline number are left out"
        )
    return files


def _headline(own: TaskRun) -> Score | None:
    # Numbers of a user's task file, or of a judge of the user's, are not the benchmark's; a cascade's are estimates.
    manifest = own.task_manifest
    if manifest.starter or manifest.code is not None or manifest.own_judge is not None or manifest.cascade is not None:
        return None
    scores = (own.overall.get(metric) for metric in own.task.headline)
    return next((score for score in scores if score is not None and score.value is not None), None)


def _notes(own: TaskRun, score: Score) -> Iterator[tuple[str, Any]]:
    yield "metric", score.metric
    yield "unit", score.unit
    for name in ("n", "n_missing", "stderr", "low", "high", "level"):
        if getattr(score, name) is not None:
            yield name, getattr(score, name)
    if score.upstream is not None:
        yield "by_upstream", score.upstream.value
    yield "task", own.task_manifest.label
    if own.task_manifest.judge_models:
        # Names come from other people: they must not contain what separates the notes.
        yield "judge", re.sub(r"[;=\s]+", " ", ", ".join(own.task_manifest.judge_models))
    yield "protocol", own.task_manifest.protocol_hash


def from_yaml(data: bytes, name: str, task: Task) -> tuple[str, list[Score]]:
    """Who reports a file's scores on a task, and the scores; none if judgebench wrote no entry of the task.

    Raises :class:`UsageError` if the file is not one of results.
    """
    import yaml
    from huggingface_hub import parse_eval_result_entries

    if len(data) > MAX_BYTES:
        raise UsageError(f"{name} is larger than {MAX_BYTES // 2**10} KiB, which no file of results is")
    depth = 0
    try:
        for token in yaml.scan(data, Loader=yaml.SafeLoader):
            # Aliases let a small file expand without end; the format does not need them.
            if isinstance(token, yaml.AliasToken):
                raise UsageError(f"{name} has YAML aliases, which no file of results needs")
            kind = type(token).__name__
            depth += ("Start" in kind and "Stream" not in kind) - ("End" in kind)
            if depth > DEEPEST:
                raise UsageError(f"{name} is nested more than {DEEPEST} levels deep, which no file of results is")
        entries = parse_eval_result_entries(yaml.safe_load(data))
    except (yaml.YAMLError, TypeError, KeyError, AttributeError, ValueError, RecursionError) as error:
        problem = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise UsageError(f"{name} is not a file of `.eval_results`: {problem}") from error
    scores, reported_by = [], ""
    for entry in entries:
        if task.hub is None or (entry.dataset_id, entry.task_id) != task.hub:
            continue
        notes = dict(_NOTE.findall(str(entry.notes or "")))
        if notes.get("task", "").partition(":")[0] != f"{task.name}@{task.version}":
            continue
        reported_by = f"judgebench, protocol {notes.get('protocol')}"
        scores.append(_score(entry.value, notes, task, name))
    return reported_by, scores


def _score(value: Any, notes: dict[str, str], task: Task, name: str) -> Score:
    try:
        fields: dict[str, Any] = {key: float(notes[key]) for key in ("stderr", "low", "high", "level") if key in notes}
        fields |= {key: int(notes.get(key, 0)) for key in ("n", "n_missing")}
        fields |= {"task": task.name, "metric": notes["metric"], "value": float(value), "unit": notes["unit"]}
        return msgspec.convert(fields, Score)
    except (KeyError, TypeError, ValueError, OverflowError, msgspec.ValidationError) as error:
        raise UsageError(f"{name}: its notes do not say what judgebench writes into them: {error}") from error
