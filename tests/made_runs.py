"""Run folders as a program finds them on disk: of given values of examples, or of given totals."""

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
    SourceUsed,
    StageCounts,
    Usage,
    Verdict,
)
from judgebench.run.folder import Manifest, Results, RunFolder, Session, TaskManifest
from judgebench.run.integrity import Finding
from judgebench.run.reading import Run, read_run

METRICS = ("exact_match_strict", "exact_match_flexible", "numeric")
"""GSM8K's, which are means of verdicts 0 and 1."""
PROTOCOL: dict[str, Any] = {"task": "gsm8k", "version": "chat", "options": {}, "starter": False, "repeats": 1}
JUDGED: dict[str, Any] = {
    "task": "alpacaeval",
    "judges": {"j": {"model": "judge-1", "prompt_and_rule": "p"}},
    "starter": False,
}
OTHER_JUDGE = {**JUDGED, "judges": {"j": {"model": "judge-2", "prompt_and_rule": "p"}}}
OFFICIAL: dict[str, Any] = {
    "task": "alpacaeval",
    "version": "2",
    "options": {},
    "starter": False,
    "examples": {"n": 805},
    "baselines": {},
    "repeats": 1,
    "judge_repeats": 1,
    "judges": {"weighted_alpaca_eval_gpt4_turbo": {"model": "gpt-4-1106-preview", "prompt_and_rule": "p"}},
}
"""The parts of the protocol that AlpacaEval 2's published rows share."""

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
) -> Run:
    """A run of one task, with these values in all its metrics; of several tasks, given by name."""
    given = values if isinstance(values, Mapping) else {task: values}
    folder, fields, scores = RunFolder(path), {}, []
    for name, own in given.items():
        told = {**protocol, "task": name, "examples": {"n": len(own)}}
        fields[name] = _task(name, version, told, len(own))
        scores += _write_task(folder, name, own, model, answers, verdicts, prompts, metrics)
    _write_folder(
        folder, model, fields, scores, status=status, started_at="2026-01-01T00:00:00Z",
        finished_at="2026-01-01T01:00:00Z",
    )  # fmt: skip
    return read_run(path)


def write_totals(
    path: Path,
    model: str,
    rate: float | None,
    *,
    protocol: Mapping[str, Any] = JUDGED,
    task: str = "alpacaeval",
    flags: Sequence[str] = (),
    standin: bool = False,
    metrics: Sequence[str] = ("lc_win_rate", "win_rate"),
    status: str = "complete",
    usd: float | None = None,
    unpriced: int = 0,
    unread: int = 0,
    length: float | None = None,
    started_at: str = "2024-01-01T00:00:00Z",
    stderr: float | None = None,
    identity: str = "",
    example_scores: Sequence[ExampleScore] = (),
) -> Path:
    """A run with as much in it as a leaderboard reads: totals as they are given here, with no examples behind them.

    ``write_run`` writes examples and computes the totals from their values. Here ``example_scores`` only lie beside.
    """
    run = RunFolder(path)
    fields = _task(task, "2", protocol, 805)
    fields.sources = [SourceUsed(name="s", sha256="00", origin="mirror", standin=standin)]
    fields.counts = {"examples": 805, "without_answer": 0, "read": 805 - unread, "unread": unread}
    stage = StageCounts(usd=usd or 0.0, unpriced=Usage(prompt_tokens=unpriced))
    session = Session(argv=[], started_at=started_at, counts={task: {"judge": stage}})
    scores = [
        Score(
            task=task,
            metric=metric,
            value=rate,
            unit="percent",
            stderr=stderr,
            low=rate and rate - 1,
            high=rate and rate + 1,
            level=0.95,
            n=805,
            n_missing=2,
            reason=None if rate else "no verdict",
        )
        for metric in metrics
    ]
    scores.append(Score(task=task, metric=metrics[0], value=1.0, unit="percent", n=1, group="subset=koala"))
    if length is not None:
        scores.append(Score(task=task, metric="avg_length", value=length, unit="characters", n=805))
    if example_scores:
        run.task(task).path.mkdir(parents=True)
        run.task(task).write_scores(example_scores, scores)
    findings = [Finding(task=task, check=check, count=1, n=1, flagged=True, message="seen") for check in flags]
    findings.append(Finding(task=task, check="not_flagged", count=0, n=1, flagged=False, message=""))
    _write_folder(
        run, model, {task: fields}, scores, findings, status=status, identity=identity, started_at=started_at,
        sessions=[] if usd is None else [session],
    )  # fmt: skip
    return path


def _task(name: str, version: str, protocol: Mapping[str, Any], examples: int) -> TaskManifest:
    return TaskManifest(
        label=f"{name}@{version}", name=name, version=version, options={}, starter=bool(protocol.get("starter")),
        examples=examples, sources=[], protocol=dict(protocol), protocol_hash=canonical_hash(protocol), inputs={},
        input_hash="",
    )  # fmt: skip


def _write_folder(
    folder: RunFolder,
    model: str,
    tasks: dict[str, TaskManifest],
    scores: list[Score],
    findings: Sequence[Finding] = (),
    *,
    status: str,
    started_at: str,
    finished_at: str | None = None,
    identity: str = "",
    sessions: Sequence[Session] = (),
) -> None:
    """The files that every run has."""
    folder.write_manifest(
        Manifest(
            run_id=folder.path.name, status=status, candidate=model, candidate_identity=identity, candidate_spec="",
            versions={}, protocol_hash="", input_hash="", started_at=started_at, finished_at=finished_at,
            sessions=list(sessions), tasks=tasks,
        )
    )  # fmt: skip
    folder.write_results(
        Results(run=str(folder.path), model=model, status=status, scores=scores, integrity=list(findings))
    )


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
