"""Other programs' result files as run folders: one folder for each model in the file."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from judgebench import tasks
from judgebench.codec import canonical_hash
from judgebench.errors import UsageError
from judgebench.grading import GradingPool
from judgebench.loading import LoadedTask, load_tasks, require_coverage, set_baselines
from judgebench.manifests import hash_over_tasks, missing, new_session, package_versions, task_manifest
from judgebench.outputs import read_rows
from judgebench.protocol import protocol
from judgebench.records import Generation
from judgebench.scoring import finish_run
from judgebench.settings import Settings
from judgebench.store import Manifest, Results, RunFolder, now, slug
from judgebench.task import Generations, Imported
from judgebench.thinking import of_generation


def import_run(path: Path, form: str, settings: Settings) -> list[Results]:
    """Turn a result file into a run folder, and score it.

    A file of several models makes a folder for each below ``settings.out``. Nothing is made if any row is broken.
    """
    tasks.parse_one_spec(settings.tasks)
    (one,) = load_tasks(settings)
    reader = one.task.importers.get(form)
    if reader is None:
        known = ", ".join(sorted(one.task.importers)) or "none"
        raise UsageError(f"--from {form!r} is not a format that {one.key} can import; it can import: {known}")
    found = [i for i in reader(read_rows(path), one.data) if settings.model in (None, i.candidate)]
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
    for folder, imported in zip(folders, found, strict=True):
        if folder.occupied:
            raise UsageError(f"{folder.path} is not empty; an import makes a new run folder")
        if not imported.judgements:
            answers = {generation.example_id: generation for generation in imported.generations}
            require_coverage(one, answers, str(path))
    with GradingPool() as pool:
        return [
            _write(folder, dataclasses.replace(one), imported, form, settings, pool)
            for folder, imported in zip(folders, found, strict=True)
        ]


def _write(
    folder: RunFolder, one: LoadedTask, imported: Imported, form: str, settings: Settings, pool: GradingPool
) -> Results:
    if imported.baselines:
        set_baselines(one, _completed(one, imported.baselines))
    one.data = dataclasses.replace(one.data, examples=imported.examples)
    manifest = _manifest(folder, one, imported, form, settings)
    folder.write_manifest(manifest)
    own = folder.task(one.key)
    own.write_examples(imported.examples)
    if one.baselines:
        own.write_baselines(g for answers in one.data.baselines.values() for g in answers.values())
    for generation in imported.generations:
        own.append(of_generation(generation, settings.thinking))
    for judgement in imported.judgements:
        own.append(judgement)
    own.close()
    results = finish_run(folder, manifest, [one], pool)
    judged = bool(imported.judgements) or not one.data.judges
    complaint = missing(manifest, judged=judged)
    results.status = manifest.status = "incomplete" if complaint else "complete" if judged else "generated"
    manifest.finished_at = now()
    folder.write_results(results)
    folder.write_manifest(manifest)
    return results


def _completed(one: LoadedTask, baselines: Mapping[str, Generations]) -> dict[str, dict[str, Generation]]:
    """A file's baseline answers; where it has no row, the benchmark's own, so that such rows can still be judged."""
    official = one.data.baselines
    return {name: {**official.get(name, {}), **generations} for name, generations in baselines.items()}


def _manifest(folder: RunFolder, one: LoadedTask, imported: Imported, form: str, settings: Settings) -> Manifest:
    used: dict[str, set[str]] = {}
    for judgement in imported.judgements:
        used.setdefault(judgement.judge, set()).add(judgement.judge_model)
    judges = used or {name: {"not judged yet"} for name in one.data.judges}
    fields = protocol(
        one.task,
        imported.examples,
        one.sources,
        {name: [(one.data.judges.get(name), model) for model in sorted(models)] for name, models in judges.items()},
        one.baselines,
        one.data.verifiers,
    )
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
        versions=package_versions(),
        protocol_hash="",
        input_hash="",
        started_at=session.started_at,
        sessions=[session],
        tasks={
            one.key: task_manifest(
                one,
                fields,
                identity,
                sampling=None,
                system=None,
                thinking=settings.thinking,
                judge_models=[model for models in used.values() for model in models],
                imported=imported,
            )
        },
    )
    hash_over_tasks(manifest)
    return manifest
