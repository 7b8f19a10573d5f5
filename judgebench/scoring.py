"""Scores of run folders: at the end of a run, and again at any time after it, without a call."""

import dataclasses
from collections.abc import Sequence

from judgebench.codec import canonical_hash
from judgebench.errors import UsageError
from judgebench.grading import GradingPool
from judgebench.labels import Labels, anchored_scores, labels_for
from judgebench.loading import LoadedTask, reload_tasks
from judgebench.manifests import hash_over_tasks
from judgebench.records import ExampleScore, Score
from judgebench.settings import Settings
from judgebench.stages import score
from judgebench.stopping import early_stop_scores, random_order, stop_rule
from judgebench.store import Manifest, Results, RunFolder, TaskManifest


def finish_run(
    folder: RunFolder,
    manifest: Manifest,
    loaded: Sequence[LoadedTask],
    pool: GradingPool,
    labels: Labels | None = None,
) -> Results:
    """Tidy the files of all tasks, score them, write ``results.json``; the manifest's counts are set, not written.

    Human ``labels`` add metrics that are anchored in them.
    """
    results = Results(run=str(folder.path), model=manifest.candidate, status=manifest.status, scores=[], integrity=[])
    for one in loaded:
        own, fields = folder.task(one.key), manifest.tasks[one.key]
        own.finish(one.data.examples)
        part = _judged_part(one, fields)

        def adjust(scores: list[Score], rows: Sequence[ExampleScore]) -> list[Score]:
            return _adjusted(scores, rows, part, fields, labels)  # noqa: B023 - called before the loop goes on

        scores, findings, counts = score(one.task, part.data, own, pool, adjust)
        if fields.early_stop is not None:
            results.early_stops[one.key] = fields.early_stop
        fields.counts = counts
        results.scores += scores
        results.integrity += findings
    folder.write_results(results)
    return results


def _judged_part(one: LoadedTask, fields: TaskManifest) -> LoadedTask:
    """The task with the examples that were judged before an early stop, in the order in which they were."""
    stop = fields.early_stop
    if stop is None or not stop.early_stopped:
        return one
    judged = random_order([example.id for example in one.data.examples], stop.seed)[: stop.n]
    examples = tuple(one.data.by_id[example_id] for example_id in judged)
    return dataclasses.replace(one, data=dataclasses.replace(one.data, examples=examples))


def _adjusted(
    scores: list[Score], rows: Sequence[ExampleScore], one: LoadedTask, fields: TaskManifest, labels: Labels | None
) -> list[Score]:
    stop = fields.early_stop
    if stop is not None and stop.early_stopped:
        judged = [example.id for example in one.data.examples]
        scores = early_stop_scores(scores, rows, judged, stop_rule(stop.rule, one.task, judged=True), stop)
    if labels is not None and labels.task == one.key:
        scores = [*scores, *anchored_scores(one.task, rows, labels)]
    return scores


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
    labels = labels_for(settings.labels, {one.key: (one.task, one.data) for one in loaded})
    for one in loaded:
        fields = manifest.tasks[one.key]
        fields.options, fields.label = dict(one.task.options), one.task.label
        options = dict(sorted(one.task.options.items()))
        fields.protocol, fields.inputs = {**fields.protocol, "options": options}, {**fields.inputs, "options": options}
        fields.protocol_hash, fields.input_hash = canonical_hash(fields.protocol), canonical_hash(fields.inputs)
    hash_over_tasks(manifest)
    with GradingPool() as pool:
        results = finish_run(folder, manifest, loaded, pool, labels)
    folder.write_manifest(manifest)
    return results
