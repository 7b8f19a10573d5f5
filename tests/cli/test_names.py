"""Runs by names of the user's: given with the run or for a table, they name it everywhere and change nothing else."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.commands import judgebench
from tests.made_runs import write_totals
from tests.processes import SUMS

NAME = "Ours (7B), β = 0.1"


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """Answers to ten sums, half of them right."""
    rows = []
    for number in range(10):
        first, second = 11 + number, 7 * number + 3
        output = str(first + second + number % 2)
        rows.append({"instruction": f"What is {first} + {second}?", "output": output, "generator": "the-model"})
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(rows))
    return path


def evaluated(answers: Path, *more: str) -> dict[str, Any]:
    """The manifest of a run of these answers."""
    arguments = ("eval", "--model", f"file:{answers}", "--tasks", f"{SUMS}:items=10", "--out", answers.parent / "run")
    judgebench([*arguments, "-q", *more])
    return dict(json.loads((answers.parent / "run" / "manifest.json").read_bytes()))


def test_a_name_changes_neither_protocol_nor_run(answers: Path) -> None:
    """The same command with a name, or another one, goes on with the same run; without one, the name stays."""
    plain = evaluated(answers)
    named = evaluated(answers, "--name", NAME)
    assert (plain["name"], named["name"]) == ("", NAME)
    for field in ("run_id", "candidate", "candidate_identity", "protocol_hash", "input_hash"):
        assert plain[field] == named[field]
    assert evaluated(answers)["name"] == NAME
    assert evaluated(answers, "--name", "Later")["name"] == "Later"


def test_every_table_shows_the_name(answers: Path) -> None:
    """The scores, the leaderboard with its patterns and pins, compare and gate."""
    evaluated(answers, "--name", NAME)
    run, file = answers.parent / "run", ("--tasks", SUMS)
    for arguments in (
        ("score", run, *file),
        ("leaderboard", run, "--filter", "ours*", *file),
        ("leaderboard", run, "--pin", NAME, "--sort", "model", *file),
        ("compare", run, run, *file),
        ("gate", "--baseline", run, "--candidate", run, "--max-drop", 90, "--on-inconclusive", "pass", *file),
    ):
        assert NAME in judgebench(arguments, COLUMNS="120").stdout, arguments


def test_an_import_takes_a_name(answers: Path) -> None:
    """With the import, or with the same import again."""
    arguments = ("import", answers, "--from", "outputs", "--task", f"{SUMS}:items=10", "--out", answers.parent / "made")
    for more in ((), ("--name", NAME)):
        judgebench([*arguments, *more])
        manifest = json.loads((answers.parent / "made" / "manifest.json").read_bytes())
        assert manifest["name"] == (NAME if more else "")
        assert manifest["status"] == "complete"


def test_a_table_takes_names_for_runs_that_have_none(tmp_path: Path) -> None:
    """By folder or by the name that a run has; they are sorted, pinned and filtered by."""
    for model, rate in (("step-100", 40.0), ("step-200", 50.0)):
        write_totals(tmp_path / model, model, rate)
    named = ("--name", f"{tmp_path / 'step-100'}/=Early", "--name", "step-200=Late")
    found = json.loads(judgebench(("leaderboard", tmp_path, *named, "--filter", "e*", "--format", "json")).stdout)
    assert [(row["model"], row["candidate"]) for row in found[0]["rows"]] == [("Early", "step-100")]
    text = judgebench(("leaderboard", tmp_path, *named, "--pin", "Early", "--format", "md")).stdout
    assert re.findall(r"Early|Late", text)[:2] == ["Early", "Late"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--name", "nobody=X"), "no run has that folder or name; the runs are"),
        (("--name", "X"), "is not of the form RUN=NAME"),
        (("--name", "m="), "wants a name for tables"),
        (("--name", "m=two\nlines"), "wants a name for tables"),
    ],
)
def test_a_name_that_means_nothing_is_refused(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """With what was wanted and which runs there are."""
    write_totals(tmp_path / "m", "m", 40.0)
    ended = judgebench(("leaderboard", tmp_path, *arguments), code=2)
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_several_models_have_no_single_name(answers: Path) -> None:
    """A name is that of one run, and the message says where several are named."""
    arguments = ("eval", "--model", f"file:{answers}", "--model", "file:b.json", "--tasks", str(SUMS), "--name", "X")
    assert "judgebench leaderboard --name RUN=NAME" in judgebench(arguments, code=2).stderr
