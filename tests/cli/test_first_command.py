"""What ``make eval`` runs: a real local checkpoint answers and judges the starter sets, without key, GPU or network."""

import json
from pathlib import Path

import msgspec
import pytest

from judgebench import tasks
from judgebench.tasks import TaskSpec
from tests.commands import judgebench
from tests.processes import judgebench_process
from tests.starter_sets import TASKS, expected_win_rate

COMMAND = ["eval", "--model", "builtin:tiny", "--judge", "builtin:tiny", "--tasks", TASKS, "--starter", "--json"]


def test_the_first_command_gives_the_win_rate_computed_on_paper(tmp_path: Path) -> None:
    """To 1e-4 of float32 odds; the run folder is complete; the second start of the command makes no new call. Every
    task's headline is the first metric that it lists.
    """
    pytest.importorskip("torch")
    ended = judgebench_process(COMMAND, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    results = json.loads(ended.stdout)
    (win_rate,) = (
        score["value"]
        for score in results["scores"]
        if (score["task"], score["metric"], score["group"]) == ("alpacaeval", "win_rate", None)
    )
    assert expected_win_rate() == pytest.approx(55.0)
    assert win_rate == pytest.approx(expected_win_rate(), abs=1e-4)
    folder = tmp_path / results["run"]
    # A rate of 50 beside a win rate of 55 would puzzle.
    assert (
        "lc_win_rate: its fit learns nothing from these 16 comparisons"
        in judgebench(["score", folder, "--task", "alpacaeval"]).stdout
    )
    for key in TASKS.split(","):
        for name in ("examples", "generations", "judgements", "example_scores"):
            assert (folder / key / f"{name}.jsonl").stat().st_size
        assert (folder / key / "scores.json").stat().st_size
    (run,) = json.loads(judgebench(["runs", "list", folder, "--json"]).stdout)
    infos = [json.loads(judgebench(["tasks", "info", task, "--json"]).stdout) for task in TASKS.split(",")]
    assert [task["metric"] for task in run["tasks"]] == [info["metrics"][0] for info in infos]
    again = json.loads(judgebench(COMMAND, cwd=tmp_path).stdout)
    assert again["scores"] == results["scores"]
    manifest = msgspec.json.decode((tmp_path / again["run"] / "manifest.json").read_bytes())
    (session,) = manifest["sessions"]
    judged = ["judged" in tasks.load(TaskSpec(name), starter=True)[0].verdicts for name in TASKS.split(",")]
    stages = [stage for of_task in session["counts"].values() for stage in of_task.values()]
    assert len(stages) == len(judged) + sum(judged)
    assert not sum(stage["asked"] + stage["failed"] for stage in stages)
    assert sum(stage["cached"] for stage in stages) > 100
