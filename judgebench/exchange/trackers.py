"""Experiment trackers: a finished run is sent to them with its scores, intervals, settings and the run folder.

A tracker comes last and decides nothing: its failure is a warning and leaves the run unchanged. Where a tracker sends
its data is set as its own documentation says (``WANDB_MODE``, ``MLFLOW_TRACKING_URI``, …).
"""

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from judgebench.display import slug
from judgebench.errors import UsageError, installing
from judgebench.models.opening.backends import without_credentials
from judgebench.records import Score
from judgebench.run.folder import Manifest, RunFolder

PROJECT = "judgebench"
"""The project, unless the tracker's own variable names another."""
LONGEST = 5000
"""Most characters of a setting; MLflow takes 6,000."""


def require_trackers(names: Iterable[str]) -> None:
    """Raise :class:`UsageError` if a tracker is unknown or its package is missing."""
    for name in names:
        if name not in TRACKERS:
            raise UsageError(f"--track {name!r} is not a known tracker; choose one of {', '.join(TRACKERS)}")
        found = find_spec(name)
        # A folder that a tracker left behind (./wandb) looks like a package without code.
        if found is None or found.origin is None:
            raise UsageError(f"--track {name} needs its package: {installing(name)}")


def track(names: Iterable[str], folder: RunFolder) -> list[str]:
    """Send a scored run to each tracker, and return a sentence for each one that failed.

    What trackers print goes to stderr: stdout is for results.
    """
    problems = []
    for name in dict.fromkeys(names):
        try:
            _forbid_links(folder.path)
            with contextlib.redirect_stdout(sys.stderr):
                TRACKERS[name](folder, folder.require_manifest(), measures(folder.results().scores))
        except Exception as error:  # noqa: BLE001 - another program's failure must not take the run with it
            problem = without_credentials(f"{type(error).__name__}: {error}")
            problems.append(f"--track {name} failed ({problem[:500]}); the run itself is whole, in {folder.path}")
    return problems


def _forbid_links(folder: Path) -> None:
    """Refuse links: the folder is uploaded as it is, and a link in it may point to anything on this machine."""
    link = next((path for path in folder.rglob("*") if path.is_symlink()), None)
    if link is not None:
        raise UsageError(f"{link} is a link, and its target would be uploaded with the run")


def measures(scores: Sequence[Score]) -> dict[str, float]:
    """Numbers by name: each score, its interval and its counts. Names have only characters that all trackers take.

    >>> turn = Score(task="mtbench", metric="score", value=8.0, unit="points", low=7.5, high=8.5, n=160, group="turn=1")
    >>> measures([turn])["mtbench/score/turn-1/low"]
    7.5
    """
    found: dict[str, float] = {}
    for score in scores:
        parts = (score.task, score.metric, *([] if score.group is None else [score.group]))
        name = "/".join(re.sub(r"[^A-Za-z0-9_. -]+", "-", part)[:80] for part in parts)
        if score.value is not None:
            found[name] = score.value
        if score.upstream is not None:
            found[f"{name}/by_upstream"] = score.upstream.value
        for field in ("low", "high", "stderr", "n", "n_missing"):
            value = getattr(score, field)
            if value is not None:
                found[f"{name}/{field}"] = float(value)
    return found


def _settings(manifest: Manifest) -> dict[str, str]:
    """The run's settings, as short texts."""
    from judgebench.analysis.leaderboard import protocol_flags

    settings = {
        "model": manifest.candidate,
        "model_spec": manifest.candidate_spec,
        "status": manifest.status,
        "protocol_hash": manifest.protocol_hash,
        "input_hash": manifest.input_hash,
    }
    for key, task_manifest in manifest.tasks.items():
        settings[f"{key}.task"] = task_manifest.label
        settings[f"{key}.judge"] = ", ".join(task_manifest.judge_models) or "none"
        settings[f"{key}.sampling"] = json.dumps(msgspec.to_builtins(task_manifest.sampling))
        settings[f"{key}.starter"] = str(task_manifest.starter).lower()
        settings[f"{key}.marks"] = ", ".join(protocol_flags(task_manifest)) or "none"
    return {name: value[:LONGEST] for name, value in settings.items()}


def _name(manifest: Manifest) -> str:
    return slug(f"{manifest.candidate}-{manifest.run_id}")


def _wandb(folder: RunFolder, manifest: Manifest, numbers: Mapping[str, float]) -> None:
    import wandb

    config: dict[str, Any] = {**_settings(manifest), "manifest": msgspec.to_builtins(manifest)}
    with wandb.init(project=os.environ.get("WANDB_PROJECT", PROJECT), name=_name(manifest), config=config) as run:
        run.log(dict(numbers))
        artifact = wandb.Artifact(_name(manifest), type="judgebench-run")
        artifact.add_dir(str(folder.path))
        run.log_artifact(artifact)


def _mlflow(folder: RunFolder, manifest: Manifest, numbers: Mapping[str, float]) -> None:
    import mlflow

    mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT))
    with mlflow.start_run(run_name=_name(manifest)):
        mlflow.log_params(_settings(manifest))
        mlflow.log_metrics(dict(numbers))
        mlflow.log_dict(msgspec.to_builtins(manifest), "manifest.json")
        mlflow.log_artifacts(str(folder.path), "run")


def _trackio(folder: RunFolder, manifest: Manifest, numbers: Mapping[str, float]) -> None:
    import trackio

    config: dict[str, Any] = {**_settings(manifest), "manifest": msgspec.to_builtins(manifest)}
    trackio.init(
        project=os.environ.get("TRACKIO_PROJECT", PROJECT),
        name=_name(manifest),
        config=config,
        embed=False,
        auto_log_gpu=False,
        auto_log_cpu=False,
    )
    try:
        trackio.log(dict(numbers))
        trackio.log_artifact(str(folder.path), name=_name(manifest), type="judgebench-run")
    finally:
        trackio.finish()


TRACKERS: Mapping[str, Callable[[RunFolder, Manifest, Mapping[str, float]], None]] = {
    "wandb": _wandb,
    "mlflow": _mlflow,
    "trackio": _trackio,
}
"""By the name of the package and of the extra that brings it."""
