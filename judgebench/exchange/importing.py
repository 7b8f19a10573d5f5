"""Import of other programs' result files as run folders, one folder for each model in the file.

What the rows of a benchmark's own formats mean is decided by its importers. Nothing here calls a model.
"""

import dataclasses
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from judgebench import tasks
from judgebench.codec import canonical_hash
from judgebench.data.rows import FileRows, read_rows
from judgebench.display import slug
from judgebench.errors import UsageError
from judgebench.exchange import every_eval_ever, hub_results, score_tables
from judgebench.files import read_bytes
from judgebench.grading.pool import GradingPool
from judgebench.kinds.scored import FIELDS as SCORED_FIELDS
from judgebench.records import ExampleScore, Generation, Score
from judgebench.run.archive import unpack_archive
from judgebench.run.folder import Manifest, Results, RunFolder, now
from judgebench.run.loading import LoadedTask, Reader, load_tasks, require_attempts, require_shape, with_baselines
from judgebench.run.manifests import build_task_manifest, ending, hash_over_tasks, new_session, package_versions
from judgebench.run.protocol import NOT_JUDGED
from judgebench.run.scoring import ScoredTask, finish_tasks, results_of
from judgebench.run.settings import Settings
from judgebench.task import Generations, Imported, Task
from judgebench.task.answers import import_answers, parse_fields
from judgebench.thinking import split_generation

Reports = Mapping[str, tuple[str, Sequence[Score]]]
"""By model, who reports its scores, and the scores."""
REPORTS: Mapping[str, Callable[..., Reports]] = {
    "csv": score_tables.read_scores,
    "parquet": score_tables.read_scores,
    "every_eval_ever": every_eval_ever.read_scores,
}
"""Readers of files with numbers of any benchmark and nothing to grade."""
HUB = "eval_results"
"""Another such format: small files of YAML."""
SCORED = "scored"
"""The format of scores that another program gave."""
ROUNDING = 1e-9
"""Tolerance for shares of a few parts that were computed in another order."""


def import_run(path: Path, form: str, settings: Settings) -> list[Results]:
    """Turn a result file into a run folder, and score it.

    If the file has several models, each gets a folder below ``settings.out``. A broken row means that nothing is made.
    """
    if settings.out is None:
        raise UsageError("--out is missing; name the run folder to make")
    form = form.replace("-", "_")
    if form == "archive":
        return [_import_archive(path, settings.out, settings)]
    if not settings.tasks:
        raise UsageError("--task is missing; name the benchmark that the file belongs to, such as alpacaeval")
    task, _ = tasks.load(tasks.parse_one_spec(settings.tasks), starter=settings.starter)
    if form not in (*task.importers, *REPORTS, HUB):
        known = ", ".join(sorted({*task.importers, *REPORTS, HUB, "archive"}))
        raise UsageError(f"--from {form!r} is not a format that {task.name} can import; it can import: {known}")
    if settings.out.is_file():
        raise UsageError(f"{settings.out} is a file and not a folder; choose another --out")
    reader = task.importers.get(form)
    if settings.fields:
        reader = _with_fields(form, reader, settings.fields)
    rows = read_rows(path) if form != HUB else FileRows()
    if reader:
        require_shape(rows, reader, tasks.parse_one_spec(settings.tasks))
    # Whether these are numbers of the task needs no official file; the protocol of their run does.
    reports = [] if reader else _reports(path, rows, form, task, settings)
    (loaded_task,) = load_tasks(dataclasses.replace(settings, fields={}))
    every = _read(rows, reader, loaded_task) if reader else reports
    found = [i for i in every if settings.model in (None, i.candidate)]
    if not found:
        raise UsageError(f"{path} has nothing from the model {settings.model!r}")
    if settings.name and len(found) > 1:
        raise UsageError(
            f"--name is the name of one run, and {path} holds {len(found)} models; choose one with --model, or give "
            f"the names in `judgebench leaderboard --name RUN=NAME`"
        )
    folders = [RunFolder(settings.out if len(found) == 1 else settings.out / slug(i.candidate)) for i in found]
    if len({folder.path for folder in folders}) < len(folders):
        names = ", ".join(imported.candidate for imported in found)
        raise UsageError(
            f"two models of {path} would share a folder ({names[:300]}); import one at a time with --model"
        )
    for imported in found if form == "outputs" else ():
        require_attempts(loaded_task.task, imported, str(path))
    imports = [_Import.of(*pair, loaded_task, form, settings) for pair in zip(folders, found, strict=True)]
    for single in imports:
        single.require_own()
    with GradingPool(unsafe_local=settings.unsafe_local) as pool:
        return [single.results(settings, pool) for single in imports]


@dataclass(frozen=True)
class _Import:
    """One model of a file, and the run folder that it becomes."""

    folder: RunFolder
    imported: Imported
    loaded_task: LoadedTask
    """The task with the file's baseline answers and examples."""
    manifest: Manifest

    @classmethod
    def of(
        cls, folder: RunFolder, imported: Imported, loaded_task: LoadedTask, form: str, settings: Settings
    ) -> "_Import":
        """Work out what to write, without writing it."""
        if imported.baselines:
            loaded_task = with_baselines(loaded_task, _completed(loaded_task, imported.baselines))
        loaded_task = loaded_task.with_examples(imported.examples)
        return cls(folder, imported, loaded_task, _manifest(folder, loaded_task, imported, form, settings))

    def require_own(self) -> None:
        """Refuse a folder with anything but what the same import made, or began to make before it was killed."""
        existing, made = self.folder.manifest(), self.manifest
        hashes = None if existing is None else (existing.input_hash, existing.imported_hash)
        if self.folder.occupied and hashes != (made.input_hash, made.imported_hash):
            raise UsageError(f"{self.folder.path} is not empty; an import makes a new run folder")

    def results(self, settings: Settings, pool: GradingPool) -> Results:
        """The results of the folder, made now unless the same import made them before."""
        with self.folder.locked():
            self.require_own()
            existing = self.folder.manifest()
            if existing is not None and existing.status != "running":
                if settings.name and existing.name != settings.name:
                    existing.name = settings.name
                    self.folder.write_manifest(existing)
                return self.folder.results()
            if existing is not None:
                shutil.rmtree(self.folder.task(self.loaded_task.key).path, ignore_errors=True)
            return self._write(settings, pool)

    def _write(self, settings: Settings, pool: GradingPool) -> Results:
        folder, manifest, imported = self.folder, self.manifest, self.imported
        folder.write_manifest(manifest)
        if imported.reported:
            scored, manifest.status = self._report(), "complete"
        else:
            scored = self._score(settings, pool)
            judged = bool(imported.judgements) or not self.loaded_task.data.judges
            manifest.status, _ = ending(manifest, judged=judged)
        manifest.finished_at = now()
        results = results_of(folder, manifest, scored, manifest.status)
        folder.write_results(results)
        folder.write_manifest(manifest)
        return results

    def _report(self) -> dict[str, ScoredTask]:
        """Write a run of numbers alone. Its protocol names who reports them, so they never rank with ours."""
        key, scores = self.loaded_task.key, list(self.imported.reported)
        task_manifest, own = self.manifest.tasks[key], self.folder.task(key)
        task_manifest.examples = max(score.n for score in scores)
        task_manifest.counts = {"examples": task_manifest.examples}
        task_manifest.notes.append("numbers as the file reports them; nothing was graded here")
        own.write_examples(())
        own.write_scores((), scores)
        return {key: ScoredTask(scores, [])}

    def _score(self, settings: Settings, pool: GradingPool) -> dict[str, ScoredTask]:
        loaded_task, imported = self.loaded_task, self.imported
        own = self.folder.task(loaded_task.key)
        own.write_examples(imported.examples)
        if loaded_task.baselines:
            own.write_baselines(loaded_task.data.baselines)
        for generation in imported.generations:
            own.append(split_generation(generation, settings.splitting))
        for judgement in imported.judgements:
            own.append(judgement)
        own.close()
        scored = finish_tasks(self.folder, self.manifest, [loaded_task], pool)
        self.manifest.tasks[loaded_task.key].notes += _compared(own.example_scores(), imported.stored)
        return scored


def _with_fields(form: str, reader: Callable[..., Sequence[Imported]] | None, fields: Mapping[str, str]) -> Reader:
    """The reader of a format whose rows may call our fields otherwise."""
    if form == "outputs":
        return partial(import_answers, fields=parse_fields(fields))
    if form != SCORED or reader is None:
        raise UsageError(f"--fields is for files of outputs and of scores; the fields of {form!r} are fixed")
    for name, theirs in fields.items():
        if name not in SCORED_FIELDS or not theirs:
            raise UsageError(
                f"--fields {name}={theirs}: write one of our names, {', '.join(SCORED_FIELDS)}, on the left and the "
                "file's name for it on the right, as in id=key,score=reward"
            )
    return partial(reader, fields=fields)


def _import_archive(path: Path, out: Path, settings: Settings) -> Results:
    """Unpack a run as it was exported, manifest and all."""
    if settings.tasks or settings.model or settings.fields:
        raise UsageError("an archive holds a run with all its tasks; leave out --task, --model and --fields")
    unpack_archive(path, out)
    folder = RunFolder(out)
    if settings.name:
        manifest = folder.require_manifest()
        manifest.name = settings.name
        folder.write_manifest(manifest)
    return folder.results()


def _read(rows: FileRows, reader: Reader, loaded_task: LoadedTask) -> list[Imported]:
    """What a file holds for a task; its notes say which values were read as something else."""
    return [dataclasses.replace(own, notes=(*rows.notes, *own.notes)) for own in reader(rows, loaded_task.data)]


def _reports(path: Path, rows: FileRows, form: str, task: Task, settings: Settings) -> list[Imported]:
    """What a file of numbers says about a task: one record for each model."""
    if form in REPORTS:
        found = REPORTS[form](rows, task)
    else:
        found = _hub_reports(path, task, settings)
    if not found:
        kind = "the starter set" if task.starter else "the official set"
        raise UsageError(f"{path} holds no number of {task.name}@{task.version}, {kind}, that judgebench wrote")
    return [
        Imported(
            candidate=model,
            examples=(),
            generations=(),
            reported=tuple(scores),
            reported_by=reported_by,
            notes=rows.notes,
        )
        for model, (reported_by, scores) in found.items()
    ]


def _hub_reports(path: Path, task: Task, settings: Settings) -> Reports:
    """The scores in a YAML file, or in those below a folder. The files do not name their model."""
    files = sorted(path.rglob(".eval_results/*.yaml")) if path.is_dir() else [path]
    model = settings.model or (path.name if path.is_dir() else path.stem)
    for file in files:
        if not file.is_file() or file.stat().st_size > hub_results.MAX_BYTES:
            raise UsageError(f"{file} is not a file of .eval_results, which is YAML of a few hundred bytes")
        reported_by, scores = hub_results.from_yaml(read_bytes(file, hub_results.MAX_BYTES), str(file), task)
        if scores:
            return {model: (reported_by, scores)}
    return {}


def _compared(rows: Iterable[ExampleScore], stored: Mapping[str, Mapping[str, float]]) -> list[str]:
    """How many of the other program's verdicts differ from ours, for each metric. One in parts counts by its mean."""
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
    """A file's baseline answers; the benchmark's own fill its gaps, so that such rows can still be judged."""
    official = loaded_task.data.baselines
    return {name: {**official.get(name, {}), **generations} for name, generations in baselines.items()}


def _manifest(
    folder: RunFolder, loaded_task: LoadedTask, imported: Imported, form: str, settings: Settings
) -> Manifest:
    used: dict[str, set[str]] = {}
    for judgement in imported.judgements:
        used.setdefault(judgement.judge, set()).add(judgement.judge_model)
    data = loaded_task.data
    judges = used or {name: {NOT_JUDGED} for name in data.judges}
    identity = "outputs:" + canonical_hash([g.outputs for g in imported.generations])
    if imported.reported:
        identity = "reported:" + canonical_hash(imported.reported)
    session = new_session(settings)
    session.finished_at, session.status = session.started_at, "complete"
    task_manifest = build_task_manifest(
        loaded_task,
        {name: [(data.judges.get(name), model) for model in sorted(models)] for name, models in judges.items()},
        identity,
        settings,
        settings.splitting,
        judge_models=[model for models in used.values() for model in models],
        imported=imported,
    )
    manifest = Manifest(
        run_id=folder.path.name,
        status="running",
        candidate=imported.candidate,
        name=settings.name or "",
        candidate_identity=identity,
        candidate_spec=f"{form} file",
        imported_from=form,
        imported_hash=canonical_hash((imported.generations, imported.judgements, imported.reported)),
        versions=package_versions(),
        protocol_hash="",
        input_hash="",
        started_at=session.started_at,
        sessions=[session],
        tasks={loaded_task.key: task_manifest},
    )
    hash_over_tasks(manifest)
    return manifest
