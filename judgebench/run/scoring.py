"""Scores run folders, at the end of a run and again at any later time, without a call to any model.

Replies are read by today's rules, answers are verified, and every case is accounted for: read, read after the judge was
asked again, unread, failed, settled without a call (skipped), or missing.

``score`` computes and writes nothing. ``finish_tasks`` writes the results of each task to its folder; its callers write
``results.json`` and the manifest, once.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import groupby, islice
from typing import Any, TypeVar

import msgspec

from judgebench.activity import doing
from judgebench.codec import canonical_hash
from judgebench.display import counted
from judgebench.errors import UsageError
from judgebench.grading.pool import KILLED, GradingPool
from judgebench.judges import read_replies
from judgebench.judges.lean import LeanJudgements
from judgebench.judges.panel import with_panel
from judgebench.records import Cascade, Case, ExampleScore, Generation, Judgement, Score, Verdict
from judgebench.run.cascades import cascade_part, cascade_scores, split_judgements
from judgebench.run.folder import Manifest, Results, RunFolder, TaskFolder, TaskManifest, usable
from judgebench.run.integrity import Finding, inspect_grading, inspect_length_control, inspect_outputs
from judgebench.run.labels import Labels, anchored_scores, labels_for, settled
from judgebench.run.loading import LoadedTask, reload_tasks
from judgebench.run.manifests import hash_over_tasks, missing
from judgebench.run.noise import held_by_intervals, observed, with_noise
from judgebench.run.predicting import NO_BRIDGES, Bridges, open_bridges, predicted_scores
from judgebench.run.protocol import verifiers_of
from judgebench.run.settings import Settings
from judgebench.run.stages import fold_members
from judgebench.run.stopping import Known, early_stop_scores, random_order, stop_rule
from judgebench.run.style_counts import style_counts
from judgebench.run.unread import with_bounds
from judgebench.run.verifying import Verifying, judgement_of
from judgebench.task import Generations, Task, TaskData
from judgebench.task.best_of import SELECT
from judgebench.thinking import AUTO, Thinking


@dataclass(frozen=True)
class ScoredTask:
    """The results of one task of a run."""

    scores: list[Score]
    findings: list[Finding]
    """What the integrity checks found."""
    refused: UsageError | None = None
    """Why nothing was predicted with the bridge that was given."""


def finish_tasks(
    folder: RunFolder,
    manifest: Manifest,
    loaded: Sequence[LoadedTask],
    pool: GradingPool,
    labels: Labels | None = None,
    bridges: Bridges = NO_BRIDGES,
) -> dict[str, ScoredTask]:
    """Sort the files of all tasks, score the tasks and write their scores. Sets the manifest's counts, without writing.

    Human ``labels`` add metrics that are anchored in them, ``bridges`` predicted official numbers.
    """
    scored = {}
    for loaded_task in loaded:
        with usable(str(folder.task(loaded_task.key).path)), doing(f"scoring {loaded_task.key}"):
            scored[loaded_task.key] = _finish_task(folder, manifest, loaded_task, pool, labels, bridges)
    return scored


def results_of(folder: RunFolder, manifest: Manifest, scored: Mapping[str, ScoredTask], status: str) -> Results:
    """Return the results of a run that ends with this status."""
    stops = {key: manifest.tasks[key].early_stop for key in scored}
    return Results(
        run=str(folder.path),
        model=manifest.candidate,
        status=status,
        scores=[score for task in scored.values() for score in task.scores],
        integrity=[finding for task in scored.values() for finding in task.findings],
        early_stops={key: stop for key, stop in stops.items() if stop is not None},
    )


def _finish_task(
    run: RunFolder,
    manifest: Manifest,
    loaded_task: LoadedTask,
    pool: GradingPool,
    labels: Labels | None,
    bridges: Bridges,
) -> ScoredTask:
    folder, task_manifest = run.task(loaded_task.key), manifest.tasks[loaded_task.key]
    part = _judged_part(loaded_task, task_manifest)
    task, data = part.task, part.data
    latest = {generation.example_id: generation for generation in folder.generations()}
    generations = {
        example.id: latest[example.id]
        for example in loaded_task.data.examples
        if example.id in latest and example.id in data.by_id
    }
    cascade = task_manifest.cascade
    if cascade is not None and ((labels is not None and labels.task == loaded_task.key) or bridges.by_task):
        raise UsageError(
            f"{run.path} has a cascade, whose numbers of {loaded_task.key} are estimates of {cascade.dear}'s: labels "
            "and bridges start from a judge's own verdicts on all examples. Score a run of one judge with them"
        )
    verified = verify(task, data, generations, pool, folder)
    folder.finish(loaded_task.data.examples, verified if data.verifiers else None)
    if cascade is not None:
        return _finish_cascade(folder, task_manifest, cascade, part, generations)
    scored = score(
        task,
        data,
        generations,
        folder.judged(),
        verified,
        verdicts_each=verdicts_expected(task_manifest),
        thinking=Thinking(tags=tuple(task_manifest.think_tags)),
        imported=bool(manifest.imported_from),
    )
    task_manifest.counts = scored.counts
    task_manifest.interval_covers, task_manifest.interval_lacks = held_by_intervals(scored.scores)
    if labels is not None and labels.task == loaded_task.key:
        labels = settled(labels, data, generations)
    scores, refused = _adjusted(scored.scores, scored.rows, part, task_manifest, labels, folder.known()), None
    try:
        scores += predicted_scores(bridges, run.path, manifest, part, scores)
    except UsageError as error:
        # Judged by another model than it seemed beforehand: what was paid for is kept and scored.
        refused = error
    folder.write_scores(_with_styles(task, scored), scores)
    findings = inspect_outputs(
        task.name, generations.values(), data.fragments, judged=bool(data.judges), labels=task.answers_are_labels
    )
    findings += inspect_length_control(task.name, task.metrics, scores)
    findings += inspect_grading(task.name, verified)
    return ScoredTask(scores, findings, refused)


def _finish_cascade(
    folder: TaskFolder,
    task_manifest: TaskManifest,
    cascade: Cascade,
    loaded_task: LoadedTask,
    generations: dict[str, Generation],
) -> ScoredTask:
    """Score both judges' verdicts apart, and estimate from them what the dear judge would say of all."""
    task, data = loaded_task.task, loaded_task.data
    thinking = Thinking(tags=tuple(task_manifest.think_tags))
    part = cascade_part(data.by_id, cascade.n, cascade.seed)
    drawn = replace(data, examples=tuple(example for example in data.examples if example.id in part))
    cheap, dear = (
        score(
            task,
            judged,
            {name: generation for name, generation in generations.items() if name in judged.by_id},
            split_judgements(folder.judged(), cascade, dear=is_dear),
            (),
            verdicts_each=each,
            thinking=thinking,
        )
        for judged, is_dear, each in (
            (data, False, verdicts_expected(task_manifest)),
            (drawn, True, dict.fromkeys(data.judges, task_manifest.judge_repeats)),
        )
    )
    ends = {name: count + dear.counts.get(name, 0) for name, count in cheap.counts.items()}
    task_manifest.counts = ends | {name: cheap.counts[name] for name in ("examples", "without_answer")}
    answered = {name for name, generation in generations.items() if not generation.error}
    rule = None if cascade.rule is None else stop_rule(cascade.rule, task, judged=True)
    scores = cascade_scores(task, data, cheap.scores, cheap.rows, dear.rows, answered, cascade, rule)
    folder.write_scores(_with_styles(task, cheap), scores)
    folder.write_dear_scores(_with_styles(task, dear))
    return ScoredTask(scores, inspect_outputs(task.name, generations.values(), data.fragments, judged=True))


def _judged_part(loaded_task: LoadedTask, task_manifest: TaskManifest) -> LoadedTask:
    """Return the task with the examples that were judged before an early stop, in the order of judging."""
    stop = task_manifest.early_stop
    if stop is None or not stop.early_stopped:
        return loaded_task
    judged = random_order([example.id for example in loaded_task.data.examples], stop.seed)[: stop.n]
    return loaded_task.with_examples(tuple(loaded_task.data.by_id[example_id] for example_id in judged))


def _adjusted(
    scores: list[Score],
    rows: Sequence[ExampleScore],
    loaded_task: LoadedTask,
    task_manifest: TaskManifest,
    labels: Labels | None,
    known: Known | None,
) -> list[Score]:
    stop = task_manifest.early_stop
    if stop is not None and stop.early_stopped:
        judged = [example.id for example in loaded_task.data.examples]
        rule = stop_rule(stop.rule, loaded_task.task, judged=True)
        scores = early_stop_scores(scores, rows, judged, rule, stop, known)
    if labels is not None and labels.task == loaded_task.key:
        scores = [*scores, *anchored_scores(loaded_task.task, rows, labels)]
    return scores


T = TypeVar("T")
Pairs = Mapping[str, Mapping[str, tuple[str, str]]]
"""Texts by example and by baseline model: the candidate's answer and the baseline's."""


@dataclass(frozen=True)
class Scored:
    """What :func:`score` returns."""

    scores: list[Score]
    rows: list[ExampleScore]
    """Example scores; with several judge models or repeats, those of the panel."""
    pairs: Pairs
    """The texts whose style is counted when the example scores are written."""
    counts: dict[str, int]
    """How the cases ended, as numbers of cases."""


def score(
    task: Task,
    data: TaskData,
    generations: Generations,
    judged: Iterable[Judgement],
    verified: Sequence[Judgement],
    *,
    verdicts_each: Mapping[str, int] | None = None,
    thinking: Thinking = AUTO,
    imported: bool = False,
) -> Scored:
    """Read the replies again, score, summarise, and count how the cases ended.

    Only the examples of ``data`` count. ``judged`` are the judgements of models, with those of one example in sequence;
    ``verified`` are those of :func:`verify`. ``verdicts_each`` is the number of verdicts expected from each judge on a
    case; the default is one. With several judge models or repeats, the numbers are the means over the panel (for a task
    that pools judges, over all its verdicts); groups hold those of each member and other combinations.
    """
    each = dict.fromkeys(data.judges, 1) if verdicts_each is None else verdicts_each
    rereading, left = _Rereading(task, data, each, thinking), dict(generations)
    own = (judgement for judgement in judged if judgement.example_id in data.by_id)
    for example_id, of_example in groupby(own, key=lambda judgement: judgement.example_id):
        rereading.take(left.pop(example_id, None), of_example)
    for generation in left.values():
        rereading.take(generation, ())
    judgements, counts = rereading.judgements, rereading.counts
    counts["missing"] = rereading.missing(imported=imported)
    noise = observed(data.examples, [kind for kind in judgements.kinds if kind.judge != SELECT])
    for judgement in verified:
        judgements.add(judgement, judgement.verdict)
    members, rows, together = fold_members(task, data, generations, judgements)

    def scores_of(settled: Iterable[Judgement]) -> list[Score]:
        return task.scores(data, fold_members(task, data, generations, LeanJudgements(settled))[1])

    scores = with_bounds(task.scores(data, rows), judgements, task, data, scores_of)
    if len(members) > 1:
        scores = with_panel(scores, members, lambda scored: task.scores(data, scored), together)
    if noise is not None:
        scores = with_noise(scores, noise, task, data, members, together)
    # An imported file may hold judgements without the answers, which must have existed.
    answered = {g.example_id for g in generations.values() if not g.error} | judgements.example_ids
    absent = sum(example.id not in answered for example in data.examples)
    counts.update(map(checked_as, verified))
    begun = {"examples": len(data.examples), "without_answer": absent, **dict.fromkeys(ENDS, 0)}
    return Scored(scores, rows, rereading.pairs, begun | counts)


CHECKS_AT_ONCE = 4096
"""Number of checks that are verified together, so that memory does not grow with the number of checks."""
IN_WORDS = {
    "reasked_and_read": "read after asking again",
    "skipped": "settled without a call",
    "without_answer": "without an answer",
}
"""What some counts are called where people read them."""
ENDS = ("read", "reasked_and_read", "unread", "failed", "skipped", "missing")
"""The ways in which a judged case may end; each case ends in exactly one."""


def counts_in_words(counts: Mapping[str, int]) -> str:
    """How a task's cases ended: of how many examples, and, where they are judged, of how many verdicts.

    >>> counts_in_words({"examples": 120, "read": 40, "skipped": 200})
    '120 examples; 240 verdicts, 40 read, 200 settled without a call'
    >>> counts_in_words({"examples": 12, "read": 24})
    '12 examples; 24 verdicts, all read'
    >>> counts_in_words({"examples": 1, "read": 1})
    '1 example; 1 verdict, all read'
    >>> counts_in_words({"examples": 6, "verified": 5, "without_answer": 1})
    '6 examples, 5 verified, 1 without an answer'
    >>> counts_in_words({"examples": 6, "verified": 5, "unread": 1})
    '6 examples; 6 verdicts, 5 verified, 1 unread'
    """
    there = {name: count for name, count in counts.items() if count}
    named = [
        counted(count, "example") if name == "examples" else f"{count:,} {IN_WORDS.get(name, name.replace('_', ' '))}"
        for name, count in there.items()
    ]
    ends = (*ENDS, "verified") if "unread" in there else ENDS
    judged = [text for name, text in zip(there, named, strict=True) if name in ends]
    rest = ", ".join(text for text in named if text not in judged)
    total = sum(there.get(name, 0) for name in ends)
    if not judged:
        return rest
    ended = f"all {judged[0].partition(' ')[2]}" if len(judged) == 1 else ", ".join(judged)
    return f"{rest}; {counted(total, 'verdict')}, {ended}".removeprefix("; ")


class _Rereading:
    """Reads replies by today's rules, one example after the other. Each case is built once."""

    def __init__(self, task: Task, data: TaskData, verdicts_each: Mapping[str, int], thinking: Thinking) -> None:
        self._task, self._data, self._verdicts_each, self._thinking = task, data, verdicts_each, thinking
        self.judgements = LeanJudgements()
        self.counts: Counter[str] = Counter()
        self.pairs: dict[str, dict[str, tuple[str, str]]] = {}
        self._missing: Counter[tuple[str, frozenset[str]]] = Counter()
        self._held: set[tuple[str, frozenset[str]]] = set()

    def take(self, generation: Generation | None, judgements: Iterable[Judgement]) -> None:
        """Add an answer, if there is one, and the judgements on it."""
        cases: dict[str, Case] = {}
        if generation is not None and not generation.error:
            cases = {case.id: case for case in self._task.cases(self._data, generation)}
            if self._task.pairwise_metrics:
                self.pairs[generation.example_id] = _texts_of(cases.values())
        left = {case.id: self._verdicts_each.get(case.judge, 0) for case in cases.values()}
        for judgement in judgements:
            verdict = read_again(self._data, cases.get(judgement.case_id), judgement, self._thinking)
            self.counts[ending(judgement, verdict)] += 1
            self._held.add((judgement.judge, frozenset(judgement.answers)))
            left[judgement.case_id] = left.get(judgement.case_id, 0) - 1
            self.judgements.add(judgement, verdict)
        for case in cases.values():
            self._missing[_kind(case)] += max(0, left[case.id])

    def missing(self, *, imported: bool) -> int:
        """Count the expected verdicts that are absent.

        In an import, only the kinds of cases that its file holds are expected; in any other run, all cases are.
        """
        return sum(count for kind, count in self._missing.items() if kind in self._held or not imported)


class _Shared:
    """Keeps one copy of each text and verdict, because a million judgements share a few."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def lean(self, judgement: Judgement, verdict: Verdict) -> Judgement:
        """Return the judgement with this verdict and without replies, except for one that says why a call failed."""
        if verdict == Verdict(value=verdict.value, label=verdict.label):
            verdict = self._known.setdefault((verdict.value, verdict.label), verdict)
        return msgspec.structs.replace(
            judgement,
            example_id=self._same(judgement.example_id),
            judge=self._same(judgement.judge),
            judge_model=self._same(judgement.judge_model),
            answers=self._same(judgement.answers),
            verdict=verdict,
            replies=judgement.replies[-1:] if judgement.failed else (),
            request_hashes=msgspec.UNSET,
        )

    def _same(self, value: T) -> T:
        return self._known.setdefault(value, value)  # type: ignore[no-any-return]


def verdicts_expected(task_manifest: TaskManifest) -> dict[str, int]:
    """Return the number of verdicts expected on each case of a judge: its models times the repeats."""
    played = task_manifest.protocol.get("judges", {})
    return {judge: len(by.get("jury", "1")) * task_manifest.judge_repeats for judge, by in played.items()}


def _kind(case: Case) -> tuple[str, frozenset[str]]:
    """Return the judge and the models whose answers it sees."""
    return case.judge, frozenset(answer.model for answer in case.answers)


def read_again(data: TaskData, case: Case | None, judgement: Judgement, thinking: Thinking) -> Verdict:
    """Read the verdict by today's rules; without a reply or a case to read it for, return the stored verdict."""
    judge = data.judges.get(judgement.judge)
    if (
        judge is None
        or case is None
        or not judgement.replies
        or judgement.failed
        or getattr(judge, "reads_once", False)
    ):
        return judgement.verdict
    return read_replies(judge, case, judgement.replies, thinking)


def ending(judgement: Judgement, verdict: Verdict) -> str:
    """Say how a case ended: one of :data:`ENDS`, except for those that are missing."""
    if judgement.failed:
        return "failed"
    if verdict.value is None:
        return "unread"
    if not judgement.replies and verdict.label is not None:
        return "skipped"
    return "reasked_and_read" if len(judgement.replies) > 1 else "read"


def checked_as(judgement: Judgement) -> str:
    """Say how a check ended: ``verified``, ``unread``, or what stopped the verifier."""
    label = judgement.verdict.label
    if judgement.verdict.value is None:
        return "unread"
    return label if label in (*KILLED, "error") else "verified"


def verify(
    task: Task, data: TaskData, generations: Generations, pool: GradingPool, folder: TaskFolder
) -> list[Judgement]:
    """Verify every check of every answer, in the order of the examples. The folder keeps the verdicts of programs."""
    verifying = Verifying(folder, data.verifiers)
    given = (generations[example.id] for example in data.examples if example.id in generations)
    checks = ((g, check) for g in given if not g.error for check in task.checks(data, g))
    shared = _Shared()
    judgements: list[Judgement] = []
    while some := list(islice(checks, CHECKS_AT_ONCE)):
        verdicts = verifying.verify(pool, [check for _, check in some], [generation.model for generation, _ in some])
        judgements += [
            shared.lean(judgement_of(check, generation.model, verdict), verdict)
            for (generation, check), verdict in zip(some, verdicts, strict=True)
        ]
    return judgements


def _with_styles(task: Task, scored: Scored) -> Iterator[ExampleScore]:
    """Add style counts of both answers to the covariates of the example scores of comparisons.

    A task's own counts take precedence. An answer that is absent has no counts.
    """
    for row in scored.rows:
        if any(fnmatchcase(row.metric, pattern) for pattern in task.pairwise_metrics):
            styles = _style_covariates(row, scored.pairs.get(row.example_id, {}))
            yield msgspec.structs.replace(row, covariates={**styles, **row.covariates})
        else:
            yield row


def _texts_of(cases: Iterable[Case]) -> dict[str, tuple[str, str]]:
    """The two answers of each pair, by the model of the second."""
    return {
        case.answers[1 - case.candidate].model: (
            case.answers[case.candidate].text,
            case.answers[1 - case.candidate].text,
        )
        for case in cases
        if len(case.answers) == 2
    }


def _style_covariates(row: ExampleScore, texts: Mapping[str, tuple[str, str]]) -> dict[str, float]:
    # Of several baselines, the one in the name of the example score.
    named = [both for model, both in texts.items() if len(texts) == 1 or model in row.metric.split(":")]
    if len(named) != 1:
        return {}
    own, other = map(style_counts, named[0])
    # A task that counts Markdown by its own rules may still lack the length, as without its tokeniser.
    counted = sum(f"baseline_{name}" in row.covariates for name in row.covariates)
    wanted = ("length",) if counted > 1 else tuple(own)
    return {side + name: count[name] for side, count in (("", own), ("baseline_", other)) for name in wanted}


def score_run(folder: RunFolder, settings: Settings, *, force: bool = False) -> Results:
    """Read a run's replies again by today's rules, and score the run. The status says whether too much is missing.

    ``settings.tasks`` may give other options for the tasks, and ``settings.think_tags`` further tags around the judges'
    thinking. With ``force`` predicted numbers that a bridge refuses are given, marked as forced.
    """
    folder.require_manifest()
    with folder.locked():
        return _score_run(folder, settings, force=force)


def _score_run(folder: RunFolder, settings: Settings, *, force: bool) -> Results:
    manifest = folder.require_manifest()
    for key, task_manifest in manifest.tasks.items():
        if reported_by := task_manifest.protocol.get("reported_by"):
            raise UsageError(
                f"{folder.path} holds reported numbers only: {reported_by} computed those of {key}, and the answers "
                f"are not here. Import the samples file to score them"
            )
    loaded = reload_tasks(folder, manifest, settings)
    labels = labels_for(settings.labels, loaded)
    bridges = open_bridges(settings.bridge, settings.level, settings, force=force)
    for loaded_task in loaded:
        task, task_manifest = loaded_task.task, manifest.tasks[loaded_task.key]
        task_manifest.options, task_manifest.label = dict(task.options), task.label
        task_manifest.code = loaded_task.code
        changed: dict[str, Any] = {
            "options": dict(sorted(task.options.items())),
            "verifiers": verifiers_of(loaded_task),
        }
        if settings.think_tags:
            task_manifest.think_tags = list(dict.fromkeys([*task_manifest.think_tags, *settings.think_tags]))
            changed["think_tags"] = [list(pair) for pair in task_manifest.think_tags]
        if loaded_task.code is not None:
            changed["code"] = loaded_task.code.sha256
        if task.code_hashes:
            changed["folder_code"] = dict(task.code_hashes)
        task_manifest.protocol |= changed
        task_manifest.inputs |= changed
        task_manifest.protocol_hash = canonical_hash(task_manifest.protocol)
        task_manifest.input_hash = canonical_hash(task_manifest.inputs)
    hash_over_tasks(manifest)
    bridges.require_fitting(manifest.tasks.values())
    with GradingPool(unsafe_local=settings.unsafe_local) as pool:
        scored = finish_tasks(folder, manifest, loaded, pool, labels, bridges)
    status = "complete" if manifest.status == "incomplete" else manifest.status
    if status != "generated" and missing(manifest, judged=True):
        status = "incomplete"
    if manifest.status in ("complete", "incomplete"):
        manifest.status = status
    results = results_of(folder, manifest, scored, status)
    folder.write_results(results)
    folder.write_manifest(manifest)
    return results
