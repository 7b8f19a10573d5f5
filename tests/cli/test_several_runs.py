"""Several checkpoints, and steps of refinement, in one command: a run for each, one table."""

import json
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from judgebench.errors import UsageError
from judgebench.models.local.tiny import tiny_checkpoint
from judgebench.models.opening import expand
from tests import commands

pytest.importorskip("torch")
TASK = ("--tasks", "alpacaeval", "--judge", "builtin:tiny", "--starter", "-q")


def judgebench(*arguments: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """The command line."""
    return commands.judgebench(arguments, cwd=cwd, code=None)


def generations(run: str | Path) -> list[dict[str, Any]]:
    """The answers of a run."""
    lines = (Path(run) / "alpacaeval" / "generations.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line) for line in lines]


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    """A folder of training steps: 2 and 10 are checkpoints, the rest is not."""
    checkpoint = tiny_checkpoint(tmp_path / "cache")
    for number in (10, 2):
        (tmp_path / "ckpt").mkdir(exist_ok=True)
        (tmp_path / "ckpt" / f"step_{number}").symlink_to(checkpoint)
    (tmp_path / "ckpt" / "step_logs").mkdir()
    return tmp_path


def test_a_pattern_stands_for_its_checkpoints_in_order(steps: Path) -> None:
    """Step 2 before step 10; folders without a config.json are none."""
    pattern = f"{steps}/ckpt/step_*"
    assert expand(pattern) == [f"{steps}/ckpt/step_2", f"{steps}/ckpt/step_10"]
    assert expand("hf:" + pattern) == [f"hf:{steps}/ckpt/step_2", f"hf:{steps}/ckpt/step_10"]
    assert expand("builtin:tiny") == ["builtin:tiny"]
    assert expand("http://host/v1?key=*#name") == ["http://host/v1?key=*#name"]
    with pytest.raises(UsageError, match="matches no checkpoint"):
        expand(f"{steps}/nothing_*")


def test_several_models_make_a_run_each_and_one_table(steps: Path) -> None:
    """One that cannot be opened does not keep the others from being made, and decides the exit code."""
    ended = judgebench("eval", "--model", "nowhere/at/all", "--model", "ckpt/step_*", *TASK, "--out", "made", cwd=steps)
    assert ended.returncode == 2
    assert "1 of 3 runs failed. nowhere/at/all: There is no checkpoint folder" in ended.stderr
    made = sorted(path.parent.name for path in (steps / "made").glob("*/manifest.json"))
    assert made == ["ckpt-step_10", "ckpt-step_2"]
    assert ended.stdout.count("win_rate") >= 4
    assert any(line.split()[1:2] == ["rank"] for line in ended.stdout.splitlines()[-12:])


def test_every_step_of_refinement_is_a_run_of_its_own(tmp_path: Path) -> None:
    """The second asks what the first answered, which is not asked again."""
    (tmp_path / "shorter.txt").write_text("Explain more briefly: {response}")
    (tmp_path / "again.txt").write_text("Who said so?")
    refine = ("--refine", "shorter.txt", "--refine", "again.txt")
    ended = judgebench("eval", "--model", "builtin:tiny", *TASK, *refine, "--json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    runs = [result["run"] for result in json.loads(ended.stdout)]
    names = [msgspec.json.decode((tmp_path / run / "manifest.json").read_bytes())["candidate"] for run in runs]
    assert names == ["builtin:tiny", "builtin:tiny+refine1", "builtin:tiny+refine2"]
    plain, once, twice = (generations(tmp_path / run) for run in runs)
    different = len({one["outputs"][0] for one in plain})
    assert 1 < different < 16
    # "Explain" is in the conversation both times, and the strongest word in it.
    assert {one["outputs"][0][:23] for one in once + twice} == {"Think of it as a chain "}
    prompts = ["Explain more briefly: {response}", "Who said so?"]
    for steps, run in enumerate(runs):
        manifest = msgspec.json.decode((tmp_path / run / "manifest.json").read_bytes())
        (session,) = manifest["sessions"]
        counts = session["counts"]["alpacaeval"]["generate"]
        assert counts["asked"] == (different if steps else 16)
        assert counts["asked"] + counts["cached"] == 16
        assert manifest["tasks"]["alpacaeval"]["refine"] == prompts[:steps]


def test_finished_answers_cannot_be_refined(tmp_path: Path) -> None:
    """There is nobody to ask."""
    (tmp_path / "again.txt").write_text("Again.")
    (tmp_path / "answers.json").write_text("[]")
    ended = judgebench("eval", "--model", "file:answers.json", *TASK, "--refine", "again.txt", cwd=tmp_path)
    assert ended.returncode == 2
    assert "--refine" in ended.stderr
