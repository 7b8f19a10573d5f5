"""Answers in which a verifier reads nothing, where such answers are missing: they are unread, whoever asks."""

import json
from pathlib import Path

import pytest

from judgebench.run.folder import RunFolder
from tests.commands import Command

TASK = """
kind = "classify"
prompts = "prompts.jsonl"
reads = "json:met"

[verdict]
labels = { true = 1, false = 0 }
types = { met = "boolean" }

[classify]
labels = ["true", "false"]
unread = "missing"
"""


@pytest.fixture
def evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> Command:
    """The command, after an evaluation of eight answers of which none holds a verdict; it must have ended with 4."""
    monkeypatch.chdir(tmp_path)
    items = range(8)
    rows = {
        "prompts.jsonl": [{"id": str(n), "instruction": f"Is {n} even?", "label": n % 2 == 0} for n in items],
        "answers.jsonl": [{"id": str(n), "output": f"It may be that {n} is."} for n in items],
    }
    for name, own in rows.items():
        Path(name).write_text("".join(json.dumps(row) + "\n" for row in own))
    Path("mine.toml").write_text(TASK)
    ended = command("eval", "--model", "file:answers.jsonl", "--tasks", "mine.toml", "--out", "run")
    assert ended.code == 4, ended.err
    assert "mine: 8 of 8 verdicts are unread (less than 1% may be). Most often (8 times)" in ended.err
    assert "ask again" not in ended.err
    assert "--reask" not in ended.err
    assert "8 of 8 verdicts are unread" in " ".join(ended.out.split())
    return command


def test_the_run_is_incomplete_and_counts_them(evaluated: Command) -> None:
    """The manifest and ``score`` say so, too."""
    manifest = RunFolder(Path("run")).require_manifest()
    assert (manifest.status, manifest.tasks["mine"].counts["unread"]) == ("incomplete", 8)
    said = " ".join(evaluated("score", "run", "--tasks", "mine.toml").out.split())
    assert "8 verdicts, all unread" in said


def test_show_says_what_is_unread_and_why(evaluated: Command) -> None:
    """No empty screen: the list, an item in full, and the worst and best of items without a value."""

    def shown(*flags: str) -> str:
        return " ".join(evaluated("show", "run", "--tasks", "mine.toml", *flags).out.split())

    assert "8 unread" in shown("--unread")
    assert "all verdicts are there" not in shown("--unread")
    item = shown("--item", "0")
    assert "label: undecided" in item
    assert "failed" not in item
    for end in ("--worst", "--best"):
        assert "no item has a value, so none is worst or best; --unread says what is missing" in shown(end, "1")
    assert "8 without an answer or a verdict: --unread says why" in shown()


def test_the_leaderboard_does_not_rank_it(evaluated: Command) -> None:
    """A run that lacks its verdicts has no rank, in words."""
    told = " ".join(evaluated("leaderboard", "run", "--tasks", "mine.toml", "--all").out.split())
    assert "not ranked, because 8 of 8 verdicts are unread" in told


def test_two_such_runs_are_gated_as_inconclusive(evaluated: Command) -> None:
    """There is nothing to compare, and that is no misuse."""
    asked = ("gate", "--baseline", "run", "--candidate", "run", "--max-drop", 2, "--tasks", "mine.toml")
    assert evaluated(*asked).code == 3
