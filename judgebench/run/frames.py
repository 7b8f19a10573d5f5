"""Turns a run folder into rows of tables: answers, judgements and example scores.

A row is a plain mapping from column name to value; ``judgebench.api`` makes pandas tables of them.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from judgebench.run.judge_prompts import PromptBuilder
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


def judgement_rows(run: TaskRun, data: TaskData | None, *, imported: bool = False) -> Iterator[FrameRow]:
    """Yield a row for each judgement, with the prompt that the judge saw if the task's ``data`` are given.

    ``value`` is the stored verdict: in a comparison, the share of the win of the answer shown first; otherwise the
    number on the judge's scale. ``candidate`` is the index of the model under test among those ``shown``.
    ``prompt_state`` says whether ``prompt`` is known to be what was sent: see ``judge_prompts.STATES``.
    """
    builder = None if data is None else PromptBuilder(run, data, imported=imported)
    for judgement in run.folder.judgements():
        prompts = None if builder is None else builder.prompts(judgement)
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
            "prompt": msgspec.to_builtins(prompts.requests[0]) if prompts and prompts.requests else None,
            "prompt_state": None if prompts is None else prompts.state,
            "reply": judgement.reply.text if judgement.reply else None,
        }


def judge_prompt_rows(run: TaskRun, data: TaskData, *, imported: bool) -> Iterator[FrameRow]:
    """Yield a row for each request to a judge, and one without messages for a judgement that has none to show."""
    builder = PromptBuilder(run, data, imported=imported)
    for judgement in run.folder.judgements():
        prompts = builder.prompts(judgement)
        for number, messages in enumerate(prompts.requests or (None,), 1):
            yield {
                "example_id": judgement.example_id,
                "case_id": judgement.case_id,
                "judge": judgement.judge,
                "judge_model": judgement.judge_model,
                "turn": judgement.turn,
                "repeat": judgement.repeat,
                "request": number,
                "messages": None if messages is None else msgspec.to_builtins(messages),
                "state": prompts.state,
                "told": prompts.told,
            }


def example_score_rows(run: TaskRun) -> Iterator[FrameRow]:
    """Yield a row for each example and metric, with the covariates as columns."""
    for score in run.example_scores(of_cascade=True):
        row = msgspec.to_builtins(score)
        covariates = row.pop("covariates")
        yield {**row, **covariates}


def _at(values: tuple[Any, ...], place: int) -> Any:
    return values[place] if place < len(values) else None
