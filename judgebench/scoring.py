"""Scores of run folders: at the end of a run, and again at any time after it, without a call."""

from collections.abc import Sequence

from judgebench.codec import canonical_hash
from judgebench.errors import UsageError
from judgebench.grading import GradingPool
from judgebench.loading import LoadedTask, reload_tasks
from judgebench.manifests import hash_over_tasks
from judgebench.settings import Settings
from judgebench.stages import score
from judgebench.store import Manifest, Results, RunFolder


def finish_run(folder: RunFolder, manifest: Manifest, loaded: Sequence[LoadedTask], pool: GradingPool) -> Results:
    """Tidy the files of all tasks, score them, write ``results.json``; the manifest's counts are set, not written."""
    results = Results(run=str(folder.path), model=manifest.candidate, status=manifest.status, scores=[], integrity=[])
    for one in loaded:
        own = folder.task(one.key)
        own.finish(one.data.examples)
        scores, findings, counts = score(one.task, one.data, own, pool)
        manifest.tasks[one.key].counts = counts
        results.scores += scores
        results.integrity += findings
    folder.write_results(results)
    return results


def score_run(folder: RunFolder, settings: Settings) -> Results:
    """Read a run's replies again with today's rules. ``settings.tasks`` may give other options for its tasks."""
    manifest = folder.require_manifest()
    for key, fields in manifest.tasks.items():
        if reported_by := fields.protocol.get("reported_by"):
            raise UsageError(
                f"{folder.path} holds reported numbers only: those of {key} were computed by {reported_by}, and the "
                f"answers are not here. Import the samples file to have them scored"
            )
    loaded = reload_tasks(folder, manifest, settings)
    for one in loaded:
        fields = manifest.tasks[one.key]
        fields.options, fields.label = dict(one.task.options), one.task.label
        options = dict(sorted(one.task.options.items()))
        fields.protocol, fields.inputs = {**fields.protocol, "options": options}, {**fields.inputs, "options": options}
        fields.protocol_hash, fields.input_hash = canonical_hash(fields.protocol), canonical_hash(fields.inputs)
    hash_over_tasks(manifest)
    with GradingPool() as pool:
        results = finish_run(folder, manifest, loaded, pool)
    folder.write_manifest(manifest)
    return results
