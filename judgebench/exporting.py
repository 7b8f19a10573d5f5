"""Run folders as other programs' result files, so that their tools can read our numbers beside their own."""

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from judgebench import tasks
from judgebench.codec import write_json, write_lines
from judgebench.errors import UsageError
from judgebench.store import Manifest, RunFolder
from judgebench.task import TaskData
from judgebench.tasks import TaskSpec

PER_TASK = ("results", "configs", "versions", "n-shot", "higher_is_better", "n-samples")
"""The parts of a results file that hold something for each task."""


def export_run(folder: RunFolder, form: str, out: Path) -> list[Path]:
    """Write a run in another program's format; the files made.

    ``lm_eval``: a results file and, per task, its samples, under ``out`` as lm-eval lays them out; or the results alone
    if ``out`` is called ``.json``. Nothing is overwritten.
    """
    if form != "lm_eval":
        raise UsageError(f"--to {form.replace('_', '-')!r} is not a format that can be exported; there is: lm-eval")
    manifest = folder.require_manifest()
    parts = [_part(folder, key, manifest, form) for key in manifest.tasks]
    results = _results(manifest, parts)
    if out.suffix == ".json":
        files: dict[Path, Any] = {out: results}
    else:
        place = out / results["model_name_sanitized"]
        date = _time(manifest).isoformat(timespec="microseconds").replace(":", "-")
        files = {place / f"results_{date}.json": results}
        files |= {place / f"samples_{part['task']}_{date}.jsonl": part["samples"] for part in parts}
    for path in files:
        if path.exists():
            raise UsageError(f"{path} exists already; an export overwrites nothing")
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".jsonl":
            write_lines(path, content)
        else:
            write_json(path, content)
    return list(files)


def _part(folder: RunFolder, key: str, manifest: Manifest, form: str) -> Mapping[str, Any]:
    """One task's part, from what lies in the run folder: no official file is needed."""
    fields = manifest.tasks[key]
    if fields.protocol.get("reported_by"):
        raise UsageError(f"{folder.path} holds reported numbers only; the file they came from is what there is of them")
    options = {name: str(value) for name, value in fields.options.items()}
    task, _ = tasks.load(TaskSpec(fields.name, fields.version, options), starter=fields.starter)
    exporter = task.exporters.get(form)
    if exporter is None:
        raise UsageError(f"{folder.path}: {task.label} has no counterpart in {form.replace('_', '-')}")
    own = folder.task(key)
    scores = [score for score in folder.results().scores if score.task == fields.name]
    generations = {generation.example_id: generation for generation in own.generations()}
    part: Mapping[str, Any] = exporter(
        TaskData(examples=own.examples(), baselines={}), generations, own.example_scores(), scores
    )
    return part


def _results(manifest: Manifest, parts: list[Mapping[str, Any]]) -> dict[str, Any]:
    name = manifest.candidate
    return {
        **{field: {part["task"]: part[field] for part in parts} for field in PER_TASK},
        "group_subtasks": {},
        "config": {
            "model": manifest.candidate_spec,
            "model_args": {},
            "gen_kwargs": {
                part["task"]: msgspec.to_builtins(fields.sampling) if fields.sampling else None
                for part, fields in zip(parts, manifest.tasks.values(), strict=True)
            },
            "limit": None,
        },
        "git_hash": None,
        "date": _time(manifest).timestamp(),
        "model_source": "judgebench",
        "model_name": name,
        # As lm-eval makes a folder's name of a model's, dots included: those of ours stay inside the folder.
        "model_name_sanitized": re.sub(r"[\"<>:/|\\?*\[\]\x00-\x1f]+", "__", name).lstrip(".")[:200] or "model",
        "exported_by": f"judgebench {manifest.versions.get('judgebench', '?')}",
        "judgebench": {
            "run_id": manifest.run_id,
            "protocol_hash": manifest.protocol_hash,
            "tasks": {part["task"]: fields.label for part, fields in zip(parts, manifest.tasks.values(), strict=True)},
            "starter": any(fields.starter for fields in manifest.tasks.values()),
        },
    }


def _time(manifest: Manifest) -> datetime:
    """When the run ended, or began if it did not."""
    return datetime.fromisoformat(manifest.finished_at or manifest.started_at).replace(tzinfo=None)
