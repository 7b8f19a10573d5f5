"""Hugging Face's ``.eval_results/<name>.yaml``: scores that the Hub shows beside a model and ranks at a benchmark.

Written and read with huggingface_hub's own helpers (``huggingface_hub/_eval_results.py``, 2.4.0). An entry is one
number of one dataset's task, so only a benchmark's headline metric is written, where its ``hub`` says that it belongs;
how it was made stands in the entry's notes.
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
"""Of a file that is read: the Hub's own are a few hundred."""
DEEPEST = 16
"""Levels of it; PyYAML takes the square of the depth in time."""
_NOTE = re.compile(r"(\w+)=([^;]*)")


def to_yaml(run: Run, tasks: dict[str, Task]) -> dict[str, bytes]:
    """The content of each task's file; tasks without a dataset on the Hub have none."""
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    files = {}
    for key, own in run.tasks.items():
        task = tasks[key]
        score = _headline(own, task)
        if task.hub is None or score is None:
            continue
        dataset, task_id = task.hub
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
        known = ", ".join(key for key, task in tasks.items() if task.hub) or "none"
        raise UsageError(
            f"{run.path} has no number that belongs to a dataset on the Hub: of its tasks those that do are {known}, "
            "and a starter set or a missing headline number is left out"
        )
    return files


def _headline(own: TaskRun, task: Task) -> Score | None:
    whole = {score.metric: score for score in own.scores if score.group is None and score.value is not None}
    # Numbers of a file of the user's are not the benchmark's, whatever it calls itself.
    own_code = own.task_manifest.starter or own.task_manifest.code is not None
    return None if own_code else next((whole[metric] for metric in task.headline if metric in whole), None)


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
        # Names are other people's text: what parts the notes may not stand in them.
        yield "judge", re.sub(r"[;=\s]+", " ", ", ".join(own.task_manifest.judge_models))
    yield "protocol", own.task_manifest.protocol_hash


def from_yaml(data: bytes, name: str, task: Task) -> tuple[str, list[Score]]:
    """Who reports the scores of a file on a task, and the scores; none if it has no entry of the task that we wrote.

    Raises :class:`UsageError` for a file that is not one.
    """
    import yaml
    from huggingface_hub import parse_eval_result_entries

    if len(data) > MAX_BYTES:
        raise UsageError(f"{name} is larger than {MAX_BYTES // 2**10} KiB, which no file of results is")
    depth = 0
    for token in _tokens(data, name):
        # Aliases let a small file stand for an endless one; the format has no use for them.
        if isinstance(token, yaml.AliasToken):
            raise UsageError(f"{name} has YAML aliases, which no file of results needs")
        kind = type(token).__name__
        depth += ("Start" in kind and "Stream" not in kind) - ("End" in kind)
        if depth > DEEPEST:
            raise UsageError(f"{name} is nested more than {DEEPEST} levels deep, which no file of results is")
    try:
        entries = parse_eval_result_entries(yaml.safe_load(data))
    except (yaml.YAMLError, TypeError, KeyError, AttributeError, ValueError, RecursionError) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise UsageError(f"{name} is not a file of `.eval_results`: {said}") from error
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


def _tokens(data: bytes, name: str) -> Iterator[Any]:
    import yaml

    try:
        yield from yaml.scan(data, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{name} is not valid YAML: {' '.join(str(error).split())[:300]}") from error


def _score(value: Any, notes: dict[str, str], task: Task, name: str) -> Score:
    try:
        told: dict[str, Any] = {key: float(notes[key]) for key in ("stderr", "low", "high", "level") if key in notes}
        told |= {key: int(notes.get(key, 0)) for key in ("n", "n_missing")}
        told |= {"task": task.name, "metric": notes["metric"], "value": float(value), "unit": notes["unit"]}
        return msgspec.convert(told, Score)
    except (KeyError, TypeError, ValueError, OverflowError, msgspec.ValidationError) as error:
        raise UsageError(f"{name}: its notes do not say what judgebench writes into them: {error}") from error
