"""``plan``, ``correlate``, ``explain`` and ``--labels`` from the command line: figures, tables, JSON and refusals."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from judgebench.exchange.importing import import_run
from judgebench.run.settings import Settings
from tests import commands
from tests.shared_data import SharedData


def judgebench(*arguments: str | Path, cwd: Path, code: int = 0) -> "subprocess.CompletedProcess[str]":
    """The command line; it must end with ``code``, and without a NaN."""
    ended = commands.judgebench(arguments, cwd=cwd, code=code)
    assert "NaN" not in ended.stdout
    if code:
        assert ended.stderr.startswith("judgebench: ")
        assert ended.stderr.count("\n") == 1
    return ended


def printed(ended: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """What ``--json`` printed."""
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


@pytest.fixture(scope="module")
def run(shared_data: SharedData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published judgements of phi-2."""
    folder, out = shared_data / "alpacaeval", tmp_path_factory.mktemp("runs") / "phi"
    settings = Settings(tasks="alpacaeval", mirrors=(folder,), offline=True, out=out)
    import_run(folder / "annotations_full" / "phi-2.json.gz", "alpaca_eval", settings)
    return out


def test_plan_states_value_unit_level_and_power(run: Path, tmp_path: Path) -> None:
    """As a table and as JSON, from a stored run and in the worst case."""
    what = ("plan", "--task", "alpacaeval", "--metric", "win_rate", "--delta", "2")
    found = printed(judgebench(*what, "--baseline", run, "--json", cwd=tmp_path))
    assert (found["unit"], found["alpha"], found["power"], found["n"]) == ("percent", 0.05, 0.8, 805)
    assert 1 < found["detectable"] < 3
    assert 300 < found["required"] < 1000
    table = judgebench(*what, cwd=tmp_path).stdout
    assert "9,812" in table
    assert "alpha 0.05, power 0.8" in table
    assert "--baseline" in judgebench("plan", "--task", "alpacaeval", cwd=tmp_path, code=2).stderr
    assert "--delta 0" in judgebench(*what[:-1], "0", cwd=tmp_path, code=2).stderr


def test_correlate_prints_coefficients_intervals_and_tests(tmp_path: Path) -> None:
    """The bundled tables; the JSON has every pair."""
    what = ("correlate", "alpacaeval", "--metric", "alpacaeval@2:lc_win_rate", "--metric", "alpacaeval@2:win_rate")
    found = printed(judgebench(*what, "--json", cwd=tmp_path))
    assert [(row["kind"], row["n"]) for row in found["rows"]] == [
        (kind, 20) for kind in ("pearson", "spearman", "kendall") for _ in range(2)
    ]
    assert {pair["kind"] for pair in found["comparisons"]} == {"pearson", "spearman"}
    assert all(0 < pair["p_williams"] < 0.05 for pair in found["comparisons"])
    text = judgebench(*what, "--kind", "pearson", cwd=tmp_path).stdout
    assert "Williams p = " in text
    assert "Steiger p = " in text
    assert "wins" in judgebench("correlate", "alpacaeval", "--metric", "wins", cwd=tmp_path, code=2).stderr


def test_explain_says_how_much_is_style(run: Path, tmp_path: Path) -> None:
    """As tables and as JSON; a task that no run holds is refused."""
    found = printed(judgebench("explain", run, "--json", cwd=tmp_path))
    (style,) = found["runs"][0]["style"]
    assert [rate["held_equal"] for rate in style["rates"]] == ["nothing", "length", "style"]
    assert 0 < style["explained_by_length"] < style["explained_by_style"] < 1
    text = judgebench("explain", run, cwd=tmp_path).stdout
    assert "held equal" in text
    assert "a judge that sees only style predicts" in text
    refused = judgebench("explain", run, "--task", "mtbench", cwd=tmp_path, code=2).stderr
    assert "holds no task 'mtbench'; it holds alpacaeval" in refused


def test_labels_add_anchored_metrics_and_change_no_other(run: Path, shared_data: SharedData, tmp_path: Path) -> None:
    """150 labels that agree with the judge but for every fifth: two further metrics with intervals; without the file
    they are gone again.
    """
    mirror = ("--mirror", shared_data / "alpacaeval", "--offline", "--json")
    scored = [json.loads(line) for line in (run / "alpacaeval" / "example_scores.jsonl").read_text().splitlines()]
    won = [(row["example_id"], row["value"] > 0.5) for row in scored[::5]][:150]
    labels = tmp_path / "humans.csv"
    lines = [f"{key},{'win' if yes != (place % 5 == 0) else 'loss'}" for place, (key, yes) in enumerate(won)]
    labels.write_text("\n".join(["example_id,label", *lines]) + "\n")
    before = printed(judgebench("score", run, *mirror, cwd=tmp_path))["scores"]
    scores = printed(judgebench("score", run, "--labels", labels, *mirror, cwd=tmp_path))["scores"]
    assert scores[: len(before)] == before
    powered, corrected = scores[len(before) :]
    assert (powered["metric"], corrected["metric"]) == ("win_rate_ppi", "win_rate_rogan_gladen")
    # A fifth of the labels turn losses to wins, and the judge finds nearly none of these: 2.35 % and some 20 points.
    assert 15 < powered["value"] < 28
    assert powered["low"] < powered["value"] < powered["high"]
    assert powered["n"] == 803
    assert corrected["level"] == 0.95
    assert corrected["low"] < corrected["high"]
    assert corrected["value"] is not None or "hardly tells" in corrected["reason"]
    assert printed(judgebench("score", run, *mirror, cwd=tmp_path))["scores"] == before
    labels.write_text("example_id,label\n9999,win\n")
    said = judgebench("score", run, "--labels", labels, *mirror, cwd=tmp_path, code=2).stderr
    assert "humans.csv:2" in said
    assert "is no example of this run" in said


def test_the_starter_set_takes_labels_rules_and_explanations(tmp_path: Path) -> None:
    """The whole path with the wired model: labels are read before a model is opened, and every number or reason is
    printed.
    """
    pytest.importorskip("torch")
    what = ("eval", "--model", "builtin:tiny", "--judge", "builtin:tiny", "--tasks", "alpacaeval", "--starter", "-q")
    labels = tmp_path / "humans.csv"
    labels.write_text("example_id,label\nstarter-01,win\nstarter-02,loss\nstarter-03,tie\nstarter-04,win\n")
    scores = printed(judgebench(*what, "--labels", labels, "--out", "a", "--json", cwd=tmp_path))["scores"]
    powered = next(score for score in scores if score["metric"] == "win_rate_ppi")
    assert powered["details"]["n_labelled"] == 4
    assert powered["low"] is not None
    text = judgebench(*what, "--stop-when", "win_rate ci<16", "--out", "b", cwd=tmp_path).stdout
    assert "stopped early (win_rate ci<16)" in " ".join(text.split())
    assert "every item has one verdict" in " ".join(judgebench("explain", "a", cwd=tmp_path).stdout.split())
    labels.write_text("example_id,label\nstarter-99,win\n")
    judgebench(*what, "--labels", labels, "--out", "c", cwd=tmp_path, code=2)
    assert not (tmp_path / "c").exists()
