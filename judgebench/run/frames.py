"""Turns a run folder into rows of tables: answers, judgements and example scores.

A row is a plain mapping from column name to value; ``judgebench.api`` makes pandas tables of them.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from judgebench.records import Case, Judgement
from judgebench.run.reading import TaskRun
from judgebench.task import TaskData

FrameRow = dict[str, Any]


def answer_rows(run: TaskRun) -> Iterator[FrameRow]:
    """Yield a row for each turn of each answer; a failed answer is one row with ``error`` and without ``answer``."""
    examples = {example.id: example for example in run.examples()}
    for generation in run.folder.generations():
        example = examples[generation.example_id]
        questions = (example.instruction, *example.followups)
        for turn in range(max(1, len(generation.outputs))):
            yield {
                "example_id": generation.example_id,
                "model": generation.model,
                "turn": turn + 1,
                "instruction": questions[turn] if turn < len(questions) else None,
                "answer": _at(generation.outputs, turn),
                "thinking": _at(generation.thinking, turn),
                "finish_reason": _at(generation.finish_reasons, turn),
                "error": generation.error,
            }


def judgement_rows(run: TaskRun, data: TaskData | None) -> Iterator[FrameRow]:
    """Yield a row for each judgement, with the prompt that the judge saw if the task's ``data`` are given.

    ``value`` is the stored verdict: in a comparison, the share of the win of the answer shown first; otherwise the
    number on the judge's scale. ``candidate`` is the index of the model under test among those ``shown``.
    """
    generations = run.generations() if data is not None else {}
    asked: tuple[str | None, dict[str, Case]] = (None, {})
    for judgement in run.folder.judgements():
        if data is not None and judgement.example_id != asked[0]:
            generation = generations.get(judgement.example_id)
            cases = run.task.cases(data, generation) if generation is not None and generation.error is None else ()
            asked = (judgement.example_id, {case.id: case for case in cases})
        yield {
            "example_id": judgement.example_id,
            "judge": judgement.judge,
            "judge_model": judgement.judge_model,
            "turn": judgement.turn,
            "repeat": judgement.repeat,
            "shown": judgement.answers,
            "candidate": judgement.candidate,
            "value": judgement.verdict.value,
            "label": judgement.verdict.label,
            "error": judgement.verdict.error,
            "prompt": None if data is None else _prompt(data, judgement, asked[1].get(judgement.case_id)),
            "reply": judgement.reply.text if judgement.reply else None,
        }


def example_score_rows(run: TaskRun) -> Iterator[FrameRow]:
    """Yield a row for each example and metric, with the covariates as columns."""
    for score in run.example_scores():
        row = msgspec.to_builtins(score)
        covariates = row.pop("covariates")
        yield {**row, **covariates}


def _prompt(data: TaskData, judgement: Judgement, case: Case | None) -> list[FrameRow] | None:
    """Return the messages to the judge; ``None`` if it was not asked, or the case cannot be rebuilt."""
    judge = data.judges.get(judgement.judge)
    if judge is None or case is None or not judgement.replies:
        return None
    return [msgspec.to_builtins(message) for message in judge.ask(case).messages]


def _at(values: tuple[Any, ...], place: int) -> Any:
    return values[place] if place < len(values) else None
