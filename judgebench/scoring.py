"""Scores of run folders: at the end of a run, and again at any time after it, without a call.

Replies are read by today's rules, answers are verified, and every case is accounted for: it was read, read after the
judge was asked again, left unread, failed, known without asking (skipped), or is missing.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import groupby
from typing import Any

import msgspec

from judgebench.codec import canonical_hash
from judgebench.errors import UsageError
from judgebench.grading import KILLED, GradingPool
from judgebench.integrity import Finding, inspect_grading, inspect_length_control, inspect_outputs
from judgebench.judges import read_replies
from judgebench.judges.panel import with_panel
from judgebench.labels import Labels, anchored_scores, labels_for
from judgebench.loading import LoadedTask, reload_tasks
from judgebench.manifests import hash_over_tasks, missing
from judgebench.markup import style_counts
from judgebench.records import Case, ExampleScore, Generation, Judgement, Score, Verdict
from judgebench.settings import Settings
from judgebench.stages import fold_members
from judgebench.stopping import early_stop_scores, random_order, stop_rule
from judgebench.store import Manifest, Results, RunFolder, TaskFolder, TaskManifest, usable
from judgebench.task import Generations, Task, TaskData
from judgebench.thinking import AUTO, Thinking


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
    for loaded_task in loaded:
        own, task_manifest = folder.task(loaded_task.key), manifest.tasks[loaded_task.key]
        own.finish(loaded_task.data.examples)
        part = _judged_part(loaded_task, task_manifest)

        def adjust(scores: list[Score], rows: Sequence[ExampleScore]) -> list[Score]:
            return _adjusted(scores, rows, part, task_manifest, labels)  # noqa: B023 - called before the loop goes on

        with usable(str(own.path)):
            scores, findings, counts = score(
                part.task,
                part.data,
                own,
                pool,
                adjust,
                verdicts_each=_verdicts_each(task_manifest),
                thinking=Thinking(tags=tuple(task_manifest.think_tags)),
                imported=bool(manifest.imported_from),
            )
        if task_manifest.early_stop is not None:
            results.early_stops[loaded_task.key] = task_manifest.early_stop
        task_manifest.counts = counts
        results.scores += scores
        results.integrity += findings
    folder.write_results(results)
    return results


def _judged_part(loaded_task: LoadedTask, task_manifest: TaskManifest) -> LoadedTask:
    """The task with the examples that were judged before an early stop, in the order in which they were."""
    stop = task_manifest.early_stop
    if stop is None or not stop.early_stopped:
        return loaded_task
    judged = random_order([example.id for example in loaded_task.data.examples], stop.seed)[: stop.n]
    examples = tuple(loaded_task.data.by_id[example_id] for example_id in judged)
    return dataclasses.replace(loaded_task, data=dataclasses.replace(loaded_task.data, examples=examples))


def _adjusted(
    scores: list[Score],
    rows: Sequence[ExampleScore],
    loaded_task: LoadedTask,
    task_manifest: TaskManifest,
    labels: Labels | None,
) -> list[Score]:
    stop = task_manifest.early_stop
    if stop is not None and stop.early_stopped:
        judged = [example.id for example in loaded_task.data.examples]
        scores = early_stop_scores(scores, rows, judged, stop_rule(stop.rule, loaded_task.task, judged=True), stop)
    if labels is not None and labels.task == loaded_task.key:
        scores = [*scores, *anchored_scores(loaded_task.task, rows, labels)]
    return scores


Adjust = Callable[[list[Score], Sequence[ExampleScore]], list[Score]]
"""A task's scores, given its example scores, as they are to be written."""


def score(
    task: Task,
    data: TaskData,
    folder: TaskFolder,
    pool: GradingPool,
    adjust: Adjust | None = None,
    *,
    verdicts_each: Mapping[str, int] | None = None,
    thinking: Thinking = AUTO,
    imported: bool = False,
) -> tuple[list[Score], list[Finding], dict[str, int]]:
    """Read the folder's replies again, verify its answers, score, summarise, check, and write what was found.

    Makes no call. Only what belongs to the examples of ``data`` counts. Returns the scores, the integrity findings, and
    how the cases ended: ``verdicts_each`` says how many verdicts each judge owes on a case, one unless given. With
    several judge models or repeats, the numbers are those of the panel's mean (of all its verdicts, for a task that
    pools them), with each member's and other foldings in groups of their own.
    """
    each = dict.fromkeys(data.judges, 1) if verdicts_each is None else verdicts_each
    generations = {g.example_id: g for g in folder.generations() if g.example_id in data.by_id}
    verified = _verify(task, data, generations, pool)
    if data.verifiers:
        folder.replace_verified(verified, VERIFIED_BY)
    judged, counts = _judged(task, data, generations, folder, each, thinking, imported=imported)
    judgements = [*judged, *verified]
    members, folded, together = fold_members(task, data, generations, judgements)
    scores = task.scores(data, folded)
    if len(members) > 1:
        scores = with_panel(scores, members, lambda scored: task.scores(data, scored), together)
    if adjust is not None:
        scores = adjust(scores, folded)
    folder.write_scores(_with_styles(task, data, generations, folded), scores)
    findings = inspect_outputs(task.name, generations.values(), data.fragments, judged=bool(data.judges))
    findings += inspect_length_control(task.name, scores)
    findings += inspect_grading(task.name, verified, KILLED)
    # An imported file may hold judgements without the answers: there were some.
    answered = {g.example_id for g in generations.values() if not g.error} | {j.example_id for j in judgements}
    absent = sum(example.id not in answered for example in data.examples)
    for judgement in verified:
        counts[judgement.verdict.label if judgement.verdict.label in (*KILLED, "error") else "verified"] += 1
    begun = {"examples": len(data.examples), "without_answer": absent, **dict.fromkeys(ENDS, 0)}
    return scores, findings, begun | counts


ENDS = ("read", "reasked_and_read", "unread", "failed", "skipped", "missing")
"""How a judged case may end, each in exactly one of these ways."""


def _judged(
    task: Task,
    data: TaskData,
    generations: Generations,
    folder: TaskFolder,
    verdicts_each: Mapping[str, int],
    thinking: Thinking,
    *,
    imported: bool,
) -> tuple[list[Judgement], Counter[str]]:
    """The judged cases, with verdicts read by today's rules from the replies on disk, and how all cases ended.

    Replies are not kept: what a score needs of them is in the verdict. The folder's judgements are in the order of the
    examples. An import is about the kinds of cases that its file holds; any other run about all that its answers make.
    """
    judgements: list[Judgement] = []
    counts: Counter[str] = Counter()
    missing: Counter[tuple[str, frozenset[str]]] = Counter()
    held: set[tuple[str, frozenset[str]]] = set()
    texts: dict[Any, Any] = {}
    unjudged = dict(generations)
    own = (j for j in folder.judgements() if j.judge_model != VERIFIED_BY and j.example_id in data.by_id)
    for example_id, of_example in groupby(own, key=lambda judgement: judgement.example_id):
        cases = _cases(task, data, unjudged.pop(example_id, None))
        left = {case.id: verdicts_each.get(case.judge, 0) for case in cases.values()}
        for judgement in of_example:
            read = _read_again(data, cases.get(judgement.case_id), judgement, thinking)
            counts[_end(judgement, read)] += 1
            held.add((judgement.judge, frozenset(judgement.answers)))
            left[judgement.case_id] = left.get(judgement.case_id, 0) - 1
            judgements.append(_lean(judgement, read, texts))
        for case in cases.values():
            missing[_kind(case)] += max(0, left[case.id])
    for generation in unjudged.values():
        for case in _cases(task, data, generation).values():
            missing[_kind(case)] += verdicts_each.get(case.judge, 0)
    counts["missing"] = sum(count for kind, count in missing.items() if kind in held or not imported)
    return judgements, counts


def _lean(judgement: Judgement, verdict: Verdict, texts: dict[Any, Any]) -> Judgement:
    """A judgement without its replies, whose words are those of the judgements before it: a million share a few."""

    def same(text: Any) -> Any:
        return texts.setdefault(text, text)

    return Judgement(
        case_id=same(judgement.case_id),
        example_id=same(judgement.example_id),
        judge=same(judgement.judge),
        judge_model=same(judgement.judge_model),
        answers=same(judgement.answers),
        candidate=judgement.candidate,
        verdict=texts.setdefault((verdict.value, verdict.label), verdict) if verdict == _plain(verdict) else verdict,
        turn=judgement.turn,
        repeat=judgement.repeat,
    )


def _plain(verdict: Verdict) -> Verdict:
    return Verdict(value=verdict.value, label=verdict.label)


def _verdicts_each(task_manifest: TaskManifest) -> dict[str, int]:
    """How many verdicts are wanted on each case of a judge: one from each of its models, as often as it repeats."""
    played = task_manifest.protocol.get("judges", {})
    return {judge: len(by.get("jury", "1")) * task_manifest.judge_repeats for judge, by in played.items()}


def _cases(task: Task, data: TaskData, generation: Generation | None) -> dict[str, Case]:
    if generation is None or generation.error:
        return {}
    return {case.id: case for case in task.cases(data, generation)}


def _kind(case: Case) -> tuple[str, frozenset[str]]:
    """Which judge looks at whose answers."""
    return case.judge, frozenset(answer.model for answer in case.answers)


def _read_again(data: TaskData, case: Case | None, judgement: Judgement, thinking: Thinking) -> Verdict:
    """The verdict by today's rules; as it was written where there are no words to read, or no case to read them for."""
    judge = data.judges.get(judgement.judge)
    if judge is None or case is None or not judgement.replies or judgement.failed:
        return judgement.verdict
    return read_replies(judge, case, judgement.replies, thinking)


def _end(judgement: Judgement, verdict: Verdict) -> str:
    if judgement.failed:
        return "failed"
    if verdict.value is None:
        return "unread"
    if not judgement.replies and verdict.label is not None:
        return "skipped"
    return "reasked_and_read" if len(judgement.replies) > 1 else "read"


VERIFIED_BY = "judgebench"
"""What stands for the judge model where an answer was verified."""


def _verify(task: Task, data: TaskData, generations: Generations, pool: GradingPool) -> list[Judgement]:
    """The verdict on every check of every answer, in the order of the examples."""
    given = [generations[example.id] for example in data.examples if example.id in generations]
    checks = [(g, check) for g in given if not g.error for check in task.checks(data, g)]
    verdicts = pool.verify(data.verifiers, [check for _, check in checks])
    return [
        Judgement(
            case_id=check.id,
            example_id=check.example_id,
            judge=check.verifier,
            judge_model=VERIFIED_BY,
            answers=(generation.model,),
            verdict=verdict,
        )
        for (generation, check), verdict in zip(checks, verdicts, strict=True)
    ]


def _with_styles(
    task: Task, data: TaskData, generations: Generations, rows: Sequence[ExampleScore]
) -> list[ExampleScore]:
    """Example scores of comparisons, with counts of both answers' style among their covariates.

    A task's own counts stay; where an answer is not there, neither is its style.
    """
    return [
        msgspec.structs.replace(row, covariates={**_styles(task, data, generations, row), **row.covariates})
        if any(fnmatchcase(row.metric, pattern) for pattern in task.pairwise_metrics)
        else row
        for row in rows
    ]


def _styles(task: Task, data: TaskData, generations: Generations, row: ExampleScore) -> dict[str, float]:
    generation = generations.get(row.example_id)
    if generation is None or generation.error:
        return {}
    pairs = {
        case.answers[1 - case.candidate].model: (
            case.answers[case.candidate].text,
            case.answers[1 - case.candidate].text,
        )
        for case in task.cases(data, generation)
        if len(case.answers) == 2
    }
    # Of several baselines, the one that the example score is called after.
    named = [texts for model, texts in pairs.items() if len(pairs) == 1 or model in row.metric.split(":")]
    if len(named) != 1:
        return {}
    own, other = (style_counts(text) for text in named[0])
    # A task that counts Markdown by its own rules may still know no length, as where its tokeniser is not there.
    counted = sum(f"baseline_{name}" in row.covariates for name in row.covariates)
    wanted = ("length",) if counted > 1 else tuple(own)
    return {side + name: count[name] for side, count in (("", own), ("baseline_", other)) for name in wanted}


def score_run(folder: RunFolder, settings: Settings) -> Results:
    """Read a run's replies again with today's rules. ``settings.tasks`` may give other options for its tasks, and
    ``settings.think_tags`` further tags around the judges' thinking. The status says whether too much is missing.
    """
    folder.require_manifest()
    with folder.locked():
        return _score_run(folder, settings)


def _score_run(folder: RunFolder, settings: Settings) -> Results:
    manifest = folder.require_manifest()
    for key, task_manifest in manifest.tasks.items():
        if reported_by := task_manifest.protocol.get("reported_by"):
            raise UsageError(
                f"{folder.path} holds reported numbers only: those of {key} were computed by {reported_by}, and the "
                f"answers are not here. Import the samples file to have them scored"
            )
    loaded = reload_tasks(folder, manifest, settings)
    labels = labels_for(
        settings.labels, {loaded_task.key: (loaded_task.task, loaded_task.data) for loaded_task in loaded}
    )
    for loaded_task in loaded:
        task_manifest = manifest.tasks[loaded_task.key]
        task_manifest.options, task_manifest.label, task_manifest.code = (
            dict(loaded_task.task.options),
            loaded_task.task.label,
            loaded_task.code,
        )
        changed: dict[str, Any] = {"options": dict(sorted(loaded_task.task.options.items()))}
        if settings.think_tags:
            task_manifest.think_tags = list(dict.fromkeys([*task_manifest.think_tags, *settings.think_tags]))
            changed["think_tags"] = [list(pair) for pair in task_manifest.think_tags]
        if loaded_task.code is not None:
            changed["code"] = loaded_task.code.sha256
        task_manifest.protocol, task_manifest.inputs = (
            {**task_manifest.protocol, **changed},
            {**task_manifest.inputs, **changed},
        )
        task_manifest.protocol_hash, task_manifest.input_hash = (
            canonical_hash(task_manifest.protocol),
            canonical_hash(task_manifest.inputs),
        )
    hash_over_tasks(manifest)
    with GradingPool() as pool:
        results = finish_run(folder, manifest, loaded, pool, labels)
    if manifest.status != "generated":
        complaint = missing(manifest, judged=True)
        results.status = "incomplete" if complaint else results.status
        if manifest.status == "complete":
            manifest.status = results.status
        folder.write_results(results)
    folder.write_manifest(manifest)
    return results
