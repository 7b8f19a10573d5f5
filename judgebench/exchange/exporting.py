"""Export of runs as other programs' result files, so that their tools can read our numbers beside their own.

This module chooses the format, writes the files, and knows lm-eval's; the others have modules of their own.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from judgebench import tasks
from judgebench.codec import encode, replacing
from judgebench.data.csv_cells import csv_bytes
from judgebench.errors import UsageError
from judgebench.exchange import every_eval_ever, hub_results, score_tables
from judgebench.records import Judgement
from judgebench.run.archive import write_archive
from judgebench.run.folder import Manifest, RunFolder, usable
from judgebench.run.loading import source_finder
from judgebench.run.reading import Run, TaskRun, read_run
from judgebench.run.settings import Settings
from judgebench.task import ScoredRun, TaskData

PER_TASK = ("results", "configs", "versions", "n-shot", "higher_is_better", "n-samples")
"""The parts of an lm-eval results file that hold something for each task."""
OF_ANY_RUN = ("archive", "csv", "eval_results", "every_eval_ever", "parquet")
"""Formats that every task can be written in."""
FILES = (".csv", ".parquet", ".zip", ".json")
"""Endings of an export that is a single file: a table, an archive, lm-eval's results."""

Content = bytes | Mapping[str, Any] | Sequence[Any]
"""The content of a file: bytes as they are, one JSON value, or in a ``.jsonl`` file one value on each line."""


def export_run(folder: RunFolder, form: str, out: Path, settings: Settings | None = None) -> list[Path]:
    """Write a run in another program's format, and return the paths of the files.

    They go below the folder ``out``. For ``csv``, ``parquet``, ``archive`` and the results of ``lm_eval`` alone it may
    name a file (``.csv``, ``.parquet``, ``.zip``, ``.json``). Nothing is overwritten, and if anything fails, nothing is
    left. ``settings`` says where to look for official files, if a format needs them, and names task files.
    """
    settings = settings or Settings(tasks="")
    run = read_run(folder.path, tasks.files_among(tasks.named(settings.tasks)))
    if form == "archive":
        path = out if out.suffix else out.with_name(f"{out.name}.zip")
        write_archive(run.path, path)
        return [path]
    with usable(str(run.path)):
        files = _files(run, form, out, settings)
    if out.suffix in FILES and out not in files:
        raise UsageError(
            f"--out {out} has the name of a file, but {form.replace('_', '-')} would make a folder of it; name a "
            f"folder, or a file of that format if it can be one ({', '.join(FILES)})"
        )
    _write(files)
    return list(files)


def _files(run: Run, form: str, out: Path, settings: Settings) -> dict[Path, Content]:
    if form == "every_eval_ever":
        return {out / name: content for name, content in every_eval_ever.documents(run)}
    if form == "eval_results":
        return {out / name: content for name, content in hub_results.to_yaml(run).items()}
    if form in ("csv", "parquet"):
        rows = list(score_tables.score_rows(run))
        content = csv_bytes(rows, score_tables.FIELDS) if form == "csv" else score_tables.to_parquet(rows)
        return {out if out.suffix == f".{form}" else out / f"scores.{form}": content}
    if form == "lm_eval":
        return _lm_eval_files(run, out)
    files: dict[Path, Content] = {}
    for key, exporter in _exporters(run, form).items():
        finished = _scored_run(run, key, run.tasks[key].load_data(source_finder(settings)))
        files |= {out / name: content for name, content in exporter(finished).items()}
    return files


def _exporters(run: Run, form: str) -> dict[str, Any]:
    """The exporters of the run's tasks that have one of this format."""
    for key, own in run.tasks.items():
        if own.task_manifest.protocol.get("reported_by"):
            raise UsageError(f"{run.path} has only reported numbers of {key}; use the file that they came from")
    every = {key: own.task.exporters for key, own in run.tasks.items()}
    found = {key: exporters[form] for key, exporters in every.items() if form in exporters}
    if not found:
        known = sorted({*OF_ANY_RUN, *(name for exporters in every.values() for name in exporters)})
        raise UsageError(
            f"--to {form.replace('_', '-')!r} is not a format that {', '.join(run.tasks)} can be exported to; choose "
            f"one of {', '.join(name.replace('_', '-') for name in known)}"
        )
    return found


def _scored_run(run: Run, key: str, data: TaskData) -> ScoredRun:
    own = run.tasks[key]
    baselines = own.folder.baselines() or data.baselines
    return ScoredRun(
        candidate=run.manifest.candidate,
        data=dataclasses.replace(data, examples=own.examples(), baselines=baselines),
        generations=own.generations(),
        judgements=_named_judgements(own),
        example_scores=own.example_scores(),
        scores=own.scores,
    )


def _named_judgements(own: TaskRun) -> list[Judgement]:
    """The judgements, with a judge of the user's in the judge's name: no reader shall take them for upstream's."""
    judge = own.task_manifest.own_judge
    if judge is None:
        return own.judgements()
    return [
        msgspec.structs.replace(judgement, judge_model=f"{judgement.judge_model} ({judge.mark} of {judge.name})")
        for judgement in own.judgements()
    ]


def _write(files: Mapping[Path, Content]) -> None:
    """Write all of the files or none: each is complete before the first one gets its name."""
    for path in files:
        if path.exists():
            raise UsageError(f"{path} exists already; an export overwrites nothing")
    with ExitStack() as named_together:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            named_together.enter_context(replacing(path)).writelines(_encoded(path, content))


def _encoded(path: Path, content: Content) -> Iterable[bytes]:
    if isinstance(content, bytes):
        yield content
    elif path.suffix == ".jsonl":
        for record in content:
            yield encode(record) + b"\n"
    else:
        yield msgspec.json.format(encode(content), indent=2) + b"\n"


# -- lm-eval


def _lm_eval_files(run: Run, out: Path) -> dict[Path, Content]:
    """lm-eval's results file and each task's samples; or the results alone, if ``out`` ends in ``.json``."""
    manifest = run.manifest
    # No official file is needed: the run folder has everything that lm-eval writes.
    parts = {
        key: exporter(_scored_run(run, key, TaskData(examples=(), baselines={})))
        for key, exporter in _exporters(run, "lm_eval").items()
    }
    results = _lm_eval_results(manifest, parts)
    if out.suffix == ".json":
        return {out: results}
    place = out / results["model_name_sanitized"]
    date = manifest.ended.replace(tzinfo=None).isoformat(timespec="microseconds").replace(":", "-")
    return {place / f"results_{date}.json": results} | {
        place / f"samples_{part['task']}_{date}.jsonl": part["samples"] for part in parts.values()
    }


def _lm_eval_results(manifest: Manifest, parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    name = manifest.candidate
    named = [(part, manifest.tasks[key]) for key, part in parts.items()]
    return {
        **{field: {part["task"]: part[field] for part in parts.values()} for field in PER_TASK},
        "group_subtasks": {},
        "config": {
            "model": manifest.candidate_spec,
            "model_args": {},
            "gen_kwargs": {
                part["task"]: msgspec.to_builtins(task_manifest.sampling) if task_manifest.sampling else None
                for part, task_manifest in named
            },
            "limit": None,
        },
        "git_hash": None,
        "date": manifest.ended.timestamp(),
        "model_source": "judgebench",
        "model_name": name,
        # lm-eval turns a model's name into a folder's in this way, dots included; ours must stay inside the folder.
        "model_name_sanitized": re.sub(r"[\"<>:/|\\?*\[\]\x00-\x1f]+", "__", name).lstrip(".")[:200] or "model",
        "exported_by": f"judgebench {manifest.versions.get('judgebench', '?')}",
        "judgebench": {
            "run_id": manifest.run_id,
            "protocol_hash": manifest.protocol_hash,
            "tasks": {part["task"]: task_manifest.label for part, task_manifest in named},
            "starter": any(task_manifest.starter for _, task_manifest in named),
        },
    }
