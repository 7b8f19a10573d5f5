"""Trackers get a run whole, and can do it no harm. Each real one is asked offline, where its package is installed."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from judgebench.errors import UsageError
from judgebench.exchange import trackers
from judgebench.exchange.importing import import_run
from judgebench.exchange.trackers import measures, require_trackers, track
from judgebench.models.scripted import ScriptedModel, playing, reply
from judgebench.run.folder import RunFolder
from judgebench.run.settings import Settings
from tests import commands
from tests.patience import PATIENCE_SECONDS, wait_for

FIXTURE = Path(__file__).parents[1] / "fixtures" / "lm_eval"
STRICT = 100 / 6
"""One of the fixture's six answers is right to the letter."""


def judgebench(*arguments: str, cwd: Path, path: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """The command, as a process; ``path`` is searched for packages first."""
    searched = [str(path)] if path else []
    return subprocess.run(
        [sys.executable, "-m", "judgebench", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*searched, str(Path(__file__).parents[2])])},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run of six verified answers."""
    import_run(FIXTURE, "lm_eval", Settings(tasks="gsm8k", starter=True, out=tmp_path / "run"))
    return RunFolder(tmp_path / "run")


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which no tracker is installed."""
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)


def test_every_score_is_told_with_its_interval(run: RunFolder) -> None:
    """Value, both ends, standard error and counts, under names that every tracker takes."""
    numbers = measures(run.results().scores)
    for score in run.results().scores:
        name = f"gsm8k/{score.metric}"
        assert numbers[name] == score.value
        assert (numbers[f"{name}/low"], numbers[f"{name}/high"]) == (score.low, score.high)
        assert numbers[f"{name}/n"] == score.n
    assert all(name.isascii() and name.isprintable() for name in numbers)


@pytest.mark.usefixtures("absent")
@pytest.mark.parametrize("name", list(trackers.TRACKERS))
def test_a_missing_package_is_named_with_its_extra(name: str) -> None:
    """And what brings it."""
    with pytest.raises(UsageError, match=rf"pip install 'judgebench\[{name}\]'"):
        require_trackers([name])


def test_a_folder_that_a_tracker_left_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``./wandb``, where Python looks for packages first."""
    (tmp_path / "trackio_of_another_day").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(trackers.TRACKERS, "trackio_of_another_day", print)
    with pytest.raises(UsageError, match="needs its package"):
        require_trackers(["trackio_of_another_day"])


def test_an_unknown_tracker_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    """Exit 2, and no run folder."""
    answers = tmp_path / "answers.jsonl"
    answers.write_text('{"id": "starter-01", "output": "The answer is 1."}\n')
    ended = judgebench(
        "eval", "--model", f"file:{answers}", "--tasks", "gsm8k", "--starter", "--track", "notes", "--out", "run",
        cwd=tmp_path,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "choose one of wandb, mlflow, trackio" in ended.stderr
    assert not (tmp_path / "run").exists()


def test_a_tracker_that_fails_is_a_warning(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it printed is not on stdout, no key of an address is repeated, and the next one is asked all the same."""
    asked = []

    def broken(*_: object) -> None:
        print("advertisement")
        raise RuntimeError("cannot reach https://user:hunter2@tracker.example/api")

    monkeypatch.setattr(trackers, "TRACKERS", {"wandb": broken, "mlflow": lambda *_: asked.append("mlflow")})
    before = run.manifest_path.read_bytes()
    (problem,) = track(["wandb", "mlflow"], run)
    assert "RuntimeError: cannot reach" in problem
    assert str(run.path) in problem
    assert "hunter2" not in problem
    assert asked == ["mlflow"]
    assert "advertisement" not in capsys.readouterr().out
    assert run.manifest_path.read_bytes() == before


def test_what_a_link_points_to_is_not_uploaded(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a link in it, wherever it leads, reaches no tracker."""
    (tmp_path / "keys").mkdir()
    (run.path / "more").symlink_to(tmp_path / "keys")
    told: list[RunFolder] = []
    monkeypatch.setitem(trackers.TRACKERS, "wandb", lambda folder, *rest: told.append(folder))
    (problem,) = track(["wandb"], run)
    assert f"{run.path / 'more'} is a link" in problem
    (run.path / "more").unlink()
    assert track(["wandb"], run) == []
    assert told == [run]


def test_a_failing_tracker_changes_no_exit_code(run: RunFolder, tmp_path: Path) -> None:
    """A package that cannot even be imported: the scores are printed, the exit code is 0, stderr has a warning."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "wandb.py").write_text("raise RuntimeError('this wandb is broken')\n")
    ended = judgebench("score", str(run.path), "--track", "wandb", "--json", cwd=tmp_path, path=tmp_path / "site")
    assert ended.returncode == 0
    assert len(json.loads(ended.stdout)["scores"]) == 3
    assert "warning: --track wandb failed (RuntimeError: this wandb is broken)" in ended.stderr


class Recorder:
    """A package that takes every call, also as a context, and keeps what it was given by the name of the function."""

    def __init__(self) -> None:
        self.given: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Any function."""
        if name.startswith("__"):
            raise AttributeError(name)

        def called(*arguments: object, **settings: object) -> "Recorder":
            self.given[name] = (arguments, settings)
            return self

        return called

    def __enter__(self) -> "Recorder":
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close nothing."""


@pytest.mark.parametrize("name", list(trackers.TRACKERS))
def test_what_marks_a_run_is_among_its_settings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prompt of the user's own, a part of the items, a starter set: a tracker's table shows what is not official."""
    package = Recorder()
    monkeypatch.setitem(sys.modules, name, package)
    monkeypatch.setattr(trackers, "find_spec", lambda _: ModuleSpec(name, None, origin="here"))
    (tmp_path / "mine.j2").write_text("{{ instruction }}\n{{ answer_a }}\n{{ answer_b }}\nA or B?")
    judge = ScriptedModel(lambda _: reply("A", logprobs={"A": -0.1, "B": -2.4}), name="judge")
    with playing(ScriptedModel(lambda _: "An answer.")) as model, playing(judge) as by:
        flags = ("--judge-prompt", tmp_path / "mine.j2", "--starter", "--limit", 2, "--track", name)
        words = ("eval", "-q", "--model", model, "--judge", by, "--tasks", "alpacaeval", "--out", tmp_path / "run")
        commands.judgebench((*words, *flags))
    told = package.given["log_params"][0][0] if name == "mlflow" else package.given["init"][1]["config"]
    assert told["alpacaeval.marks"] == (
        "starter, not comparable, judged with a prompt of the user's own, a part, 2 of 16 examples (--limit 2)"
    )


# -- the real ones


@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_scores_settings_and_the_folder(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a store of its own on this machine."""
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert track(["mlflow"], run) == []
    (found,) = mlflow.search_runs(experiment_names=["judgebench"], output_format="list")
    assert found.data.metrics["gsm8k/exact_match_strict"] == pytest.approx(STRICT)
    assert found.data.metrics["gsm8k/exact_match_strict/low"] < STRICT
    assert found.data.params["protocol_hash"] == run.require_manifest().protocol_hash
    kept = Path(mlflow.artifacts.download_artifacts(run_id=found.info.run_id, dst_path=str(tmp_path / "got")))
    assert (kept / "run" / "manifest.json").read_bytes() == run.manifest_path.read_bytes()
    assert json.loads((kept / "manifest.json").read_text())["run_id"] == run.require_manifest().run_id
    assert (kept / "run" / "gsm8k" / "generations.jsonl").exists()


@pytest.mark.filterwarnings("ignore")
def test_wandb_has_a_run_on_disk(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline, it writes what it would send: the names of the numbers and of the artifact are in it."""
    pytest.importorskip("wandb")
    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_CONFIG_DIR", "WANDB_ARTIFACT_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb-files"))
    (tmp_path / "wandb-files").mkdir()
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert track(["wandb"], run) == []
    (log,) = (tmp_path / "wandb-files").rglob("*.wandb")
    names = ("gsm8k/exact_match_strict", "judgebench-run", run.require_manifest().protocol_hash)
    # wandb's own process writes the file, and may close it after ours was told that it is done.
    wait_for(lambda: all(name.encode() in log.read_bytes() for name in names))


@pytest.mark.filterwarnings("ignore")
def test_trackio_has_scores_and_the_folder(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its database on this machine."""
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio")
    assert track(["trackio"], run) == []
    files = [path for path in (tmp_path / "trackio").rglob("*") if path.is_file()]
    assert any(path.read_bytes() == run.manifest_path.read_bytes() for path in files)
    (database,) = (path for path in files if path.name == "judgebench.db")
    with sqlite3.connect(database) as connection:
        rows = [json.loads(metrics) for (metrics,) in connection.execute("select metrics from metrics")]
    assert any(row.get("gsm8k/exact_match_strict") == pytest.approx(STRICT) for row in rows)
