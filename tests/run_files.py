"""Run folders made without a run: a manifest, results, and scores of examples where a test asks for some."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from judgebench.codec import canonical_hash
from judgebench.records import ExampleScore, Score, SourceUsed, StageCounts, Usage
from judgebench.run.folder import Manifest, Results, RunFolder, Session, TaskManifest
from judgebench.run.integrity import Finding

PROTOCOL: dict[str, Any] = {
    "task": "alpacaeval",
    "judges": {"j": {"model": "judge-1", "prompt_and_rule": "p"}},
    "starter": False,
}
OTHER_JUDGE = {**PROTOCOL, "judges": {"j": {"model": "judge-2", "prompt_and_rule": "p"}}}


def write_run(
    path: Path,
    model: str,
    rate: float | None,
    protocol: dict[str, Any] = PROTOCOL,
    *,
    task: str = "alpacaeval",
    flags: tuple[str, ...] = (),
    standin: bool = False,
    metrics: tuple[str, ...] = ("lc_win_rate", "win_rate"),
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
    """A run folder with as much in it as a leaderboard reads."""
    run = RunFolder(path)
    source = SourceUsed(name="s", sha256="00", origin="mirror", standin=standin)
    fields = TaskManifest(
        label=f"{task}@2",
        name=task,
        version="2",
        options={},
        starter=bool(protocol["starter"]),
        examples=805,
        sources=[source],
        protocol=protocol,
        protocol_hash=canonical_hash(protocol),
        inputs={},
        input_hash="",
        counts={"examples": 805, "without_answer": 0, "read": 805 - unread, "unread": unread},
    )
    stage = StageCounts(usd=usd or 0.0, unpriced=Usage(prompt_tokens=unpriced))
    session = Session(argv=[], started_at=started_at, counts={task: {"judge": stage}})
    run.write_manifest(
        Manifest(
            run_id=path.name,
            status=status,
            candidate=model,
            candidate_identity=identity,
            candidate_spec="",
            versions={},
            protocol_hash=fields.protocol_hash,
            input_hash="",
            started_at=started_at,
            sessions=[] if usd is None else [session],
            tasks={task: fields},
        )
    )
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
    findings = [
        Finding(task=task, check=check, count=1, n=1, flagged=True, message="seen") for check in (*flags, "ignored")
    ]
    findings[-1] = Finding(task=task, check="not_flagged", count=0, n=1, flagged=False, message="")
    run.write_results(Results(run=str(path), model=model, status=status, scores=scores, integrity=findings))
    return path
