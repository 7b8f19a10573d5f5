"""Other programs' result files as run folders: one folder for each model in the file."""

import dataclasses
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from judgebench import tasks
from judgebench.answers import import_answers, parse_fields
from judgebench.archive import unpack_archive
from judgebench.codec import canonical_hash
from judgebench.display import slug
from judgebench.errors import UsageError
from judgebench.files import read_bytes
from judgebench.formats import eval_results, every_eval_ever, tables
from judgebench.grading import GradingPool
from judgebench.loading import LoadedTask, load_tasks, set_baselines
from judgebench.manifests import build_task_manifest, hash_over_tasks, missing, new_session, package_versions
from judgebench.outputs import FileRow, read_rows
from judgebench.protocol import protocol
from judgebench.records import ExampleScore, Generation, Score
from judgebench.scoring import finish_run
from judgebench.settings import Settings
from judgebench.store import Manifest, Results, RunFolder, now
from judgebench.task import Generations, Imported, TaskData
from judgebench.thinking import split_generation

Importer = Callable[[Sequence[FileRow], TaskData], Sequence[Imported]]
Reports = Mapping[str, tuple[str, Sequence[Score]]]
"""By model, who reports its scores, and the scores."""
REPORTS: Mapping[str, Callable[..., Reports]] = {
    "csv": tables.read_scores,
    "parquet": tables.read_scores,
    "every_eval_ever": every_eval_ever.read_scores,
}
"""Readers of files that hold numbers of any benchmark and nothing to grade; besides there is ``eval_results``."""
ROUNDING = 1e-9
"""Shares of a few parts, computed in another order, may differ by this much."""


def import_run(path: Path, form: str, settings: Settings) -> list[Results]:
    """Turn a result file into a run folder, and score it.

    A file of several models makes a folder for each below ``settings.out``. Nothing is made if any row is broken.
    """
    if form == "archive":
        return [_import_archive(path, settings)]
    tasks.parse_one_spec(settings.tasks)
    (loaded_task,) = load_tasks(settings)
    reader = loaded_task.task.importers.get(form)
    if reader is None and form not in (*REPORTS, "eval_results"):
        known = ", ".join(sorted({*loaded_task.task.importers, *REPORTS, "eval_results", "archive"}))
        raise UsageError(f"--from {form!r} is not a format that {loaded_task.key} can import; it can import: {known}")
    if settings.fields:
        if form != "outputs":
            raise UsageError(f"--fields names the fields of a file of outputs; those of {form!r} are fixed")
        reader = partial(import_answers, fields=parse_fields(settings.fields))
    every = _read(path, reader, loaded_task) if reader else _reports(path, form, loaded_task, settings)
    found = [i for i in every if settings.model in (None, i.candidate)]
    if not found:
        raise UsageError(f"{path} holds nothing of the model {settings.model!r}")
    if settings.out is None:
        raise UsageError("--out is missing; name the run folder to make")
    folders = [RunFolder(settings.out if len(found) == 1 else settings.out / slug(i.candidate)) for i in found]
    if len({folder.path for folder in folders}) < len(folders):
        names = ", ".join(imported.candidate for imported in found)
        raise UsageError(
            f"two models of {path} would have one folder ({names[:300]}); import one at a time with --model"
        )
    made = []
    for folder, imported in zip(folders, found, strict=True):
        of_run = _of_run(loaded_task, imported)
        manifest = _manifest(folder, of_run, imported, form, settings)
        _require_own(folder, manifest)
        made.append((folder, of_run, imported, manifest))
    with GradingPool() as pool:
        return [_written(*of_model, settings, pool) for of_model in made]


def _require_own(folder: RunFolder, manifest: Manifest) -> None:
    """Refuse a folder that holds anything but what the same import made, or began to make before it was killed."""
    existing = folder.manifest()
    same = existing is not None and (existing.input_hash, existing.imported_hash) == (
        manifest.input_hash,
        manifest.imported_hash,
    )
    if folder.occupied and not same:
        raise UsageError(f"{folder.path} is not empty; an import makes a new run folder")


def _written(
    folder: RunFolder,
    loaded_task: LoadedTask,
    imported: Imported,
    manifest: Manifest,
    settings: Settings,
    pool: GradingPool,
) -> Results:
    """The results of a folder: as they are if the same import made them before, else made now."""
    with folder.locked():
        _require_own(folder, manifest)
        existing = folder.manifest()
        if existing is not None and existing.status != "running":
            return folder.results()
        if existing is not None:
            shutil.rmtree(folder.task(loaded_task.key).path, ignore_errors=True)
        if imported.reported:
            return _write_reported(folder, loaded_task, imported, manifest)
        return _write(folder, loaded_task, imported, manifest, settings, pool)


def _import_archive(path: Path, settings: Settings) -> Results:
    """A run as it was exported, manifest and all."""
    if settings.out is None:
        raise UsageError("--out is missing; name the run folder to make")
    if settings.tasks or settings.model or settings.fields:
        raise UsageError("an archive holds a run with all its tasks: --task, --model and --fields have no use there")
    unpack_archive(path, settings.out)
    return RunFolder(settings.out).results()


def _read(path: Path, reader: Importer, loaded_task: LoadedTask) -> list[Imported]:
    """What a file holds for a task, with what had to be read for something else among the notes."""
    rows = read_rows(path)
    return [dataclasses.replace(own, notes=(*rows.notes, *own.notes)) for own in reader(rows, loaded_task.data)]


def _reports(path: Path, form: str, loaded_task: LoadedTask, settings: Settings) -> list[Imported]:
    """What a file of numbers says of a task: one record for each model."""
    read, notes = REPORTS.get(form), tuple[str, ...]()
    if read is None:
        found = _hub_reports(path, loaded_task, settings)
    else:
        rows = read_rows(path)
        found = read(rows, loaded_task.task.name, loaded_task.task.version, starter=loaded_task.task.starter)
        notes = rows.notes
    if not found:
        kind = "the starter set" if loaded_task.task.starter else "the official set"
        raise UsageError(
            f"{path} holds no number of {loaded_task.task.name}@{loaded_task.task.version}, {kind}, that judgebench "
            f"wrote"
        )
    return [
        Imported(
            candidate=model,
            examples=(),
            generations=(),
            reported=tuple(scores),
            reported_by=reported_by,
            notes=notes,
        )
        for model, (reported_by, scores) in found.items()
    ]


def _hub_reports(path: Path, loaded_task: LoadedTask, settings: Settings) -> Reports:
    """From a YAML file, or those below a folder; which model they are about stands in none of them."""
    files = sorted(path.rglob(".eval_results/*.yaml")) if path.is_dir() else [path]
    model = settings.model or (path.name if path.is_dir() else path.stem)
    for file in files:
        if not file.is_file() or file.stat().st_size > eval_results.MAX_BYTES:
            raise UsageError(f"{file} is not a file of .eval_results, which is YAML of a few hundred bytes")
        reported_by, scores = eval_results.from_yaml(
            read_bytes(file, eval_results.MAX_BYTES), str(file), loaded_task.task
        )
        if scores:
            return {model: (reported_by, scores)}
    return {}


def _with_examples(loaded_task: LoadedTask, imported: Imported) -> LoadedTask:
    """The task with the examples that the file is about, which may be a part or ask each several times."""
    return dataclasses.replace(loaded_task, data=dataclasses.replace(loaded_task.data, examples=imported.examples))


def _of_run(loaded_task: LoadedTask, imported: Imported) -> LoadedTask:
    """The task as the file is about it: with its baseline answers, and its examples."""
    own = dataclasses.replace(loaded_task)
    if imported.baselines:
        set_baselines(own, _completed(own, imported.baselines))
    return _with_examples(own, imported)


def _write_reported(folder: RunFolder, loaded_task: LoadedTask, imported: Imported, manifest: Manifest) -> Results:
    """A run folder of numbers alone. Its protocol names who reports them, so they are never ranked with ours."""
    folder.write_manifest(manifest)
    manifest.status, manifest.finished_at = "complete", now()
    task_manifest = manifest.tasks[loaded_task.key]
    task_manifest.examples = max(score.n for score in imported.reported)
    task_manifest.counts = {"examples": task_manifest.examples}
    task_manifest.notes.append("numbers as the file reports them; nothing was graded here")
    own = folder.task(loaded_task.key)
    own.write_examples(())
    own.write_scores((), imported.reported)
    results = Results(
        run=str(folder.path),
        model=imported.candidate,
        status=manifest.status,
        scores=list(imported.reported),
        integrity=[],
    )
    folder.write_results(results)
    folder.write_manifest(manifest)
    return results


def _write(
    folder: RunFolder,
    loaded_task: LoadedTask,
    imported: Imported,
    manifest: Manifest,
    settings: Settings,
    pool: GradingPool,
) -> Results:
    folder.write_manifest(manifest)
    own = folder.task(loaded_task.key)
    own.write_examples(imported.examples)
    if loaded_task.baselines:
        own.write_baselines(g for answers in loaded_task.data.baselines.values() for g in answers.values())
    for generation in imported.generations:
        own.append(split_generation(generation, settings.splitting))
    for judgement in imported.judgements:
        own.append(judgement)
    own.close()
    results = finish_run(folder, manifest, [loaded_task], pool)
    manifest.tasks[loaded_task.key].notes += _compared(own.example_scores(), imported.stored)
    judged = bool(imported.judgements) or not loaded_task.data.judges
    complaint = missing(manifest, judged=judged)
    results.status = manifest.status = "incomplete" if complaint else "complete" if judged else "generated"
    manifest.finished_at = now()
    folder.write_results(results)
    folder.write_manifest(manifest)
    return results


def _compared(rows: Iterable[ExampleScore], stored: Mapping[str, Mapping[str, float]]) -> list[str]:
    """For each metric, how many of the other program's verdicts are not ours; of one in parts, the share that holds."""
    ours: dict[tuple[str, str], list[float | None]] = {}
    for row in rows:
        ours.setdefault((row.metric, row.example_id), []).append(row.value)
    notes = []
    for metric, values in stored.items():
        compared = [
            (example_id, value, sum(own) / len(own))
            for example_id, value in values.items()
            if (own := [part for part in ours.get((metric, example_id), [None]) if part is not None])
        ]
        unlike = [example_id for example_id, value, own in compared if abs(value - own) > ROUNDING]
        where = f", first on {unlike[0]}" if unlike else ""
        notes.append(f"{metric}: {len(unlike)} of {len(compared)} verdicts in the file are not ours{where}")
    return notes


def _completed(loaded_task: LoadedTask, baselines: Mapping[str, Generations]) -> dict[str, dict[str, Generation]]:
    """A file's baseline answers; where it has no row, the benchmark's own, so that such rows can still be judged."""
    official = loaded_task.data.baselines
    return {name: {**official.get(name, {}), **generations} for name, generations in baselines.items()}


def _manifest(
    folder: RunFolder, loaded_task: LoadedTask, imported: Imported, form: str, settings: Settings
) -> Manifest:
    used: dict[str, set[str]] = {}
    for judgement in imported.judgements:
        used.setdefault(judgement.judge, set()).add(judgement.judge_model)
    judges = used or {name: {"not judged yet"} for name in loaded_task.data.judges}
    protocol_fields = protocol(
        loaded_task.task,
        imported.examples,
        loaded_task.sources,
        {
            name: [(loaded_task.data.judges.get(name), model) for model in sorted(models)]
            for name, models in judges.items()
        },
        loaded_task.baselines,
        loaded_task.data.verifiers,
        code=loaded_task.code,
    )
    if imported.reported:
        protocol_fields |= {"reported_by": imported.reported_by}
    if imported.reported:
        identity = "reported:" + canonical_hash(imported.reported)
    else:
        identity = "outputs:" + canonical_hash([g.outputs for g in imported.generations])
    session = new_session(settings)
    session.finished_at, session.status = session.started_at, "complete"
    manifest = Manifest(
        run_id=folder.path.name,
        status="running",
        candidate=imported.candidate,
        candidate_identity=identity,
        candidate_spec=f"{form} file",
        imported_from=form,
        imported_hash=canonical_hash((imported.generations, imported.judgements, imported.reported)),
        versions=package_versions(),
        protocol_hash="",
        input_hash="",
        started_at=session.started_at,
        sessions=[session],
        tasks={
            loaded_task.key: build_task_manifest(
                loaded_task,
                protocol_fields,
                identity,
                sampling=None,
                system=None,
                thinking=settings.splitting,
                judge_models=[model for models in used.values() for model in models],
                imported=imported,
            )
        },
    )
    hash_over_tasks(manifest)
    return manifest
