"""Run folders with given example scores, answers and verdicts, as a program finds them on disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from judgebench.codec import canonical_hash
from judgebench.records import (
    Completion,
    Example,
    ExampleScore,
    Generation,
    Judgement,
    Message,
    Score,
    Verdict,
)
from judgebench.run.folder import Manifest, Results, RunFolder, TaskManifest
from judgebench.run.reading import Run, read_run

METRICS = ("exact_match_strict", "exact_match_flexible", "numeric")
"""GSM8K's, which are means of verdicts 0 and 1."""
PROTOCOL: dict[str, Any] = {"task": "gsm8k", "version": "chat", "options": {}, "starter": False, "repeats": 1}

Values = Sequence[float | None]


def write_run(
    path: Path,
    values: Values | Mapping[str, Values],
    *,
    model: str = "some-model",
    protocol: Mapping[str, Any] = PROTOCOL,
    task: str = "gsm8k",
    version: str = "chat",
    answers: Sequence[str] | None = None,
    verdicts: Sequence[str] | None = None,
    prompts: Sequence[str] | None = None,
    metrics: Sequence[str] = METRICS,
    status: str = "complete",
    judge_models: Mapping[str, str] | None = None,
) -> Run:
    """A run of one task, with these values in all its metrics; of several tasks, given by name."""
    given = values if isinstance(values, Mapping) else {task: values}
    folder, fields, scores = RunFolder(path), {}, []
    for name, own in given.items():
        told = {**protocol, "task": name, "examples": {"n": len(own)}}
        fields[name] = TaskManifest(
            label=f"{name}@{version}", name=name, version=version, options={}, starter=bool(told.get("starter")),
            examples=len(own), sources=[], protocol=told, protocol_hash=canonical_hash(told), inputs={}, input_hash="",
        )  # fmt: skip
        scores += _write_task(folder, name, own, model, answers, verdicts, prompts, metrics)
    folder.write_manifest(
        Manifest(
            run_id=path.name, status=status, candidate=model, candidate_identity="", candidate_spec="", versions={},
            protocol_hash="", input_hash="", started_at="2026-01-01T00:00:00Z", finished_at="2026-01-01T01:00:00Z",
            sessions=[], tasks=fields,
        )
    )  # fmt: skip
    folder.write_results(Results(run=str(path), model=model, status=status, scores=scores, integrity=[]))
    return read_run(path)


def _write_task(
    folder: RunFolder,
    task: str,
    values: Values,
    model: str,
    answers: Sequence[str] | None,
    verdicts: Sequence[str] | None,
    prompts: Sequence[str] | None,
    metrics: Sequence[str],
) -> list[Score]:
    ids = [f"item-{number:04d}" for number in range(len(values))]
    own, there = folder.task(task), [value for value in values if value is not None]
    own.write_examples(
        Example(id=name, messages=(Message(role="user", content=prompts[place] if prompts else "?"),))
        for place, name in enumerate(ids)
    )
    scores = [
        Score(
            task=task,
            metric=metric,
            value=100 * sum(there) / len(there) if there else None,
            unit="percent",
            stderr=1.0 if there else None,
            n=len(there),
            n_missing=len(values) - len(there),
            reason=None if there else "no item has an answer with a verdict",
        )
        for metric in metrics
    ]
    rows = [
        ExampleScore(example_id=name, metric=metric, value=value)
        for metric in metrics
        for name, value in zip(ids, values, strict=True)
    ]
    own.write_scores(rows, scores)
    for name, answer in zip(ids, answers or (), strict=answers is not None):
        own.append(Generation(example_id=name, model=model, outputs=(answer,)))
    for name, words in zip(ids, verdicts or (), strict=verdicts is not None):
        own.append(
            Judgement(
                case_id=name,
                example_id=name,
                judge="grade",
                judge_model="a-judge",
                answers=(model,),
                verdict=Verdict(value=1.0, label="right"),
                replies=(Completion(text=words),),
            )
        )
    own.close()
    return scores
