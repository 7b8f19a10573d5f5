"""Numbers of a run that goes on: of the items that have ended, scored in memory. Nothing is written.

An item has ended when its answer failed, or all its verdicts are there. Programs of others are not run here: of those
checks only the verdicts count that the run has written.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from judgebench.codec import canonical_hash
from judgebench.data.sources import SourceFinder
from judgebench.errors import JudgebenchError
from judgebench.grading.pool import GradingPool
from judgebench.records import Check, Generation, Judgement, Verdict
from judgebench.run.folder import VERIFIED_BY, TaskFolder, usable
from judgebench.run.reading import Progress, Run, TaskRun
from judgebench.run.scoring import score, verdicts_expected
from judgebench.run.verifying import judgement_of
from judgebench.task import Task, TaskData
from judgebench.thinking import Thinking

Known = Mapping[str, Sequence[Judgement]]
"""Judgements by example."""


@dataclass
class Checked:
    """Verdicts of rules on answers, which are made once however often a run is looked at."""

    verdicts: dict[tuple[str, str], tuple[str, Verdict]] = field(default_factory=dict)
    """By task and check: what was checked, and the verdict."""

    def judgements(
        self, key: str, task: Task, data: TaskData, generations: Mapping[str, Generation], kept: Known
    ) -> dict[str, list[Judgement] | None]:
        """The verdicts on each answer, or ``None`` where a program of somebody else's has not been run."""
        checks = {name: list(task.checks(data, one)) for name, one in generations.items() if not one.error}
        new = [
            check
            for own in checks.values()
            for check in own
            if not data.verifiers[check.verifier].runs_programs
            and self.verdicts.get((key, check.id), ("", None))[0] != canonical_hash(check.arguments)
        ]
        if new:
            with GradingPool(1) as pool:
                made = pool.verify(data.verifiers, new)
            self.verdicts |= {
                (key, check.id): (canonical_hash(check.arguments), verdict)
                for check, verdict in zip(new, made, strict=True)
            }
        return {name: self._of(key, generations[name].model, own, kept.get(name, ())) for name, own in checks.items()}

    def _of(self, key: str, model: str, checks: Sequence[Check], kept: Sequence[Judgement]) -> list[Judgement] | None:
        written = {one.case_id: one for one in kept if one.judge_model == VERIFIED_BY}
        found = []
        for check in checks:
            if (known := self.verdicts.get((key, check.id))) is not None:
                found.append(judgement_of(check, model, known[1]))
            elif check.id in written:
                found.append(written[check.id])
            else:
                return None
        return found


def with_numbers_so_far(run: Run, finder: SourceFinder, checked: Checked) -> Run:
    """The run with how far each of its tasks is, and with numbers of the items that have ended."""
    return replace(run, tasks={key: _task_so_far(own, run, finder, checked) for key, own in run.tasks.items()})


def _task_so_far(own: TaskRun, run: Run, finder: SourceFinder, checked: Checked) -> TaskRun:
    generations = own.generations()
    failed = sum(one.error is not None for one in generations.values())
    progress = Progress(
        examples=own.task_manifest.examples, answered=len(generations) - failed, failed=failed, judged=0, ended=0
    )
    protocol = own.task_manifest.protocol
    if protocol.get("reported_by") or protocol.get("cascade"):
        return replace(own, so_far=replace(progress, why="numbers of this kind are made at the end"))
    try:
        with usable(str(own.folder.path)):
            return _scored(own, run, finder, checked, generations, progress)
    except JudgebenchError as error:
        return replace(own, so_far=replace(progress, why=str(error)))


def _scored(
    own: TaskRun,
    run: Run,
    finder: SourceFinder,
    checked: Checked,
    generations: Mapping[str, Generation],
    progress: Progress,
) -> TaskRun:
    task, data, places = own.task, own.load_data(finder), own.folder.judgement_places()
    each = verdicts_expected(own.task_manifest)
    # Replies are large: they are read once to count what is there, and again as they are scored.
    there = {name: list(own.folder.judgements_at(at)) for name, at in places.items()} if data.verifiers else {}
    verified = checked.judgements(f"{run.path} {own.key}", task, data, generations, there) if data.verifiers else {}
    ended = [
        example
        for example in data.examples
        if (answer := generations.get(example.id)) is not None
        and (
            answer.error is not None
            or (verified.get(example.id, []) is not None and _is_judged(task, data, answer, each, own.folder, places))
        )
    ]
    progress = replace(progress, judged=_with_verdicts(data, generations, places, verified), ended=len(ended))
    if not any(generations[example.id].error is None for example in ended):
        return replace(own, so_far=progress)
    scored = score(
        task,
        replace(data, examples=tuple(ended)),
        {example.id: generations[example.id] for example in ended},
        _judged(own.folder, [example.id for example in ended], places),
        [one for example in ended for one in verified.get(example.id) or ()],
        verdicts_each=each,
        thinking=Thinking(tags=tuple(own.task_manifest.think_tags)),
    )
    return replace(own, scores=tuple(scored.scores), so_far=replace(progress, rows=tuple(scored.rows)))


def _is_judged(
    task: Task,
    data: TaskData,
    answer: Generation,
    each: Mapping[str, int],
    folder: TaskFolder,
    places: Mapping[str, Sequence[tuple[int, int]]],
) -> bool:
    """Whether all verdicts of judges on an answer are there."""
    if not each:
        return True
    at = places.get(answer.example_id, ())
    there = Counter(one.case_id for one in folder.judgements_at(at))
    return all(there[case.id] >= each.get(case.judge, 0) for case in task.cases(data, answer))


def _with_verdicts(
    data: TaskData,
    generations: Mapping[str, Generation],
    places: Mapping[str, Sequence[tuple[int, int]]],
    verified: Mapping[str, Sequence[Judgement] | None],
) -> int:
    answered = [one.id for one in data.examples if one.id in generations and generations[one.id].error is None]
    return sum(bool(places.get(name) or verified.get(name)) for name in answered)


def _judged(
    folder: TaskFolder, names: Sequence[str], places: Mapping[str, Sequence[tuple[int, int]]]
) -> Iterator[Judgement]:
    """What judges said of each example, in sequence; an unfinished file has it as it came."""
    for name in names:
        found = folder.judgements_at(places.get(name, ()))
        yield from (one for one in found if one.judge_model != VERIFIED_BY)
