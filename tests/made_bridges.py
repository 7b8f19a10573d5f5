"""Judge bridges as files hold them: made up, or of the published numbers in the shared data."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any

from judgebench.codec import canonical_hash
from judgebench.models.trained_by import vendor_of
from judgebench.models.vendors import today
from judgebench.records import Score
from judgebench.run.bridge_files import (
    AskedAgain,
    Bridge,
    BridgeItems,
    BridgeJudge,
    BridgeModel,
    Drift,
    ModelNumbers,
    OfficialJudge,
    fitted_metric,
)
from judgebench.run.bridging import JudgedRun
from judgebench.run.folder import TaskManifest
from tests.shared_data import SHARED

IDS = tuple(f"item-{number:03}" for number in range(200))
JUDGE = "gpt-4.1-2025-04-14"
PROTOCOL: dict[str, Any] = {
    "task": "alpacaeval",
    "version": "2",
    "options": {},
    "starter": False,
    "examples": {"n": len(IDS), "ids": canonical_hash(sorted(IDS))},
    "sources": {"alpaca_eval": "00"},
    "baselines": {},
    "repeats": 1,
    "judge_repeats": 1,
    "verifiers": {},
    "judges": {"j": {"prompt_and_rule": "p", "model": JUDGE}},
}
JUDGED, OFFICIAL = (10.0, 20, 30, 40, 55, 70), (14.0, 22, 36, 41, 60, 68)
"""The worked example of the method."""


@cache
def cases() -> dict[str, Any]:
    """The published bridges with their expected numbers."""
    read: dict[str, Any] = json.loads((SHARED / "bridge" / "expected.json").read_text())["cases"]
    return read


def made_bridge(
    judged: Sequence[float] = JUDGED,
    official: Sequence[float] = OFFICIAL,
    *,
    names: Sequence[str] = (),
    metric: str = "win_rate",
    judge_vendor: str | None = "openai",
    official_vendor: str | None = "openai",
    limits: tuple[float, float] = (0.0, 100.0),
    created: date | None = None,
    served_model: str | None = JUDGE,
    asked: Sequence[AskedAgain] = (),
    verdicts: Sequence[float] = (),
    judged_stderr: float = 0.0,
    judge: str = JUDGE,
) -> Bridge:
    """A bridge with these numbers; a model is left out if its name gives a judge's vendor away."""
    names = names or [f"m{number}" for number in range(1, len(judged) + 1)]
    differ = {judge_vendor, official_vendor} - {None} if judge_vendor != official_vendor else set()
    models = tuple(
        BridgeModel(
            name=name,
            vendor=vendor_of(name),
            run_id=f"run-{name}",
            answers_hash="outputs:0",
            included=vendor_of(name) not in differ,
            reason="vendor" if vendor_of(name) in differ else None,
            n_judged=len(IDS),
        )
        for name in names
    )
    numbers = {
        name: ModelNumbers(judged=x, official=y, judged_stderr=judged_stderr)
        for name, x, y in zip(names, judged, official, strict=True)
    }
    protocol = {**PROTOCOL, "judges": {"j": {"prompt_and_rule": "p", "model": judge}}}
    del protocol["examples"]
    return Bridge(
        name="made",
        created=created or today(),
        judgebench="1",
        task="alpacaeval",
        task_version="2",
        options={},
        official=OfficialJudge(
            judge="gpt-4-1106-preview", vendor=official_vendor, source="made up", sha256="0" * 64, date=None
        ),
        judge=BridgeJudge(
            spec=f"openai:{judge}",
            identity=judge,
            served_model=served_model,
            vendor=judge_vendor,
            protocol=protocol,
            protocol_hash=canonical_hash(protocol),
        ),
        items=BridgeItems(n=len(IDS), ids_hash=canonical_hash(sorted(IDS))),
        models=models,
        metrics={metric: fitted_metric("percent", limits, numbers, models)},
        drift=Drift(
            model=names[0],
            items=IDS[: len(verdicts)],
            verdicts=tuple(verdicts),
            verdicts_hash=canonical_hash(tuple(verdicts)),
            asked=tuple(asked),
        )
        if verdicts
        else None,
    )


def made_run(
    value: float | None = 35.0,
    *,
    metric: str = "win_rate",
    name: str = "new-model",
    missing: int = 0,
    protocol: Mapping[str, Any] = PROTOCOL,
    ids: Sequence[str] = IDS,
    served: Sequence[str] = (JUDGE,),
    counts: Mapping[str, int] | None = None,
    population: Sequence[str] | None = None,
    stderr: float | None = 1.0,
) -> JudgedRun:
    """A run with one number, of which so many verdicts are missing."""
    told = {**protocol, "examples": {"n": len(ids), "ids": canonical_hash(sorted(ids))}}
    manifest = TaskManifest(
        label="alpacaeval@2",
        name="alpacaeval",
        version="2",
        options={},
        starter=False,
        examples=len(ids),
        sources=[],
        protocol=told,
        protocol_hash=canonical_hash(told),
        inputs={},
        input_hash="",
        judge_models_returned=list(served),
        counts=dict(counts or {}),
    )
    score = Score(
        task="alpacaeval",
        metric=metric,
        value=value,
        unit="percent",
        stderr=stderr,
        n=len(ids) - missing,
        n_missing=missing,
    )
    return JudgedRun(
        task_manifest=manifest,
        scores={metric: score},
        names=(name,),
        population=None if population is None else lambda: population,
        means=(metric,),
    )
