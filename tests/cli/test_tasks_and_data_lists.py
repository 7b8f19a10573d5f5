"""``tasks list`` and ``data list``: a screen for people, lines for pipes, everything as JSON."""

import json
import re
from pathlib import Path

import pytest

from judgebench import tasks
from tests.commands import Command
from tests.terminal import Terminal, in_terminal


def shown(*arguments: str, columns: int, rows: int = 60) -> Terminal:
    """What a command leaves in a terminal, in which no line may wrap."""
    with in_terminal(arguments, columns=columns, rows=rows) as terminal:
        assert terminal.wait() == 0, terminal.text
    assert terminal.screen.wrapped == 0, terminal.text
    return terminal


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_sees_what_each_task_measures(columns: int) -> None:
    """The default version, one sentence, who decides, how many items, until when the official judge is served, and the
    other versions, in four or five lines a task.
    """
    terminal = shown("tasks", "list", columns=columns)
    text = " ".join(terminal.text.split())
    assert len(terminal.lines) <= 5 * len(tasks.names())
    # Folded once: what is no name stands below the first sentence, and no word is left alone further left.
    further = [line for line in terminal.lines if line.startswith(" ")]
    assert {len(line) - len(line.lstrip()) for line in further} == {terminal.lines[0].index("How often")}
    assert "alpacaeval@2 How often a judge prefers" in text
    assert "judged by openai:gpt-4-1106-preview (not served since 2026-10-23); 805 items; also @1" in text
    assert "verified; 1,319 items; also @5shot, @cot-llama, @chat" in text


def test_a_pipe_gets_the_names(command: Command) -> None:
    """As before: one name a line, which is what ``make eval`` reads; ``--long`` and ``--json`` give the rest."""
    assert command("tasks", "list").out.split() == tasks.names() == command("tasks", "list", "--names").out.split()
    assert json.loads(command("tasks", "list", "--names", "--json").out) == tasks.names()
    listed = {task["task"]: task for task in json.loads(command("tasks", "list", "--json").out)}
    assert list(listed) == tasks.names()
    assert listed["gsm8k"]["versions"] == ["cot8", "5shot", "cot-llama", "chat"]
    assert (listed["gsm8k"]["verdicts"], listed["mtbench"]["verdicts"]) == ("verified", "judged")
    assert listed["arenahard"]["served"] == {"openai:gpt-4.1": "served until 2027-01-14"}
    long = command("tasks", "list", "--long").out
    for name, task in listed.items():
        assert task["version"] == task["versions"][0]
        assert task["about"], name
        assert f"{name}@{task['version']} " in long


def test_a_task_that_cannot_be_loaded_hides_no_other(monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    """It is listed with the reason."""
    import judgebench.tasks.math.task as broken

    def fails(**_: object) -> None:
        raise RuntimeError("no such \x1b[31mluck")

    monkeypatch.setattr(broken, "task", fails)
    ended = command("tasks", "list", "--long")
    assert ended.code == 0
    assert re.search(r" math cannot be loaded: .*no such", " ".join(ended.out.split()))
    assert "\x1b" not in ended.out
    assert "gsm8k@cot8" in ended.out


@pytest.mark.parametrize("columns", [80, 120])
def test_the_files_fit_a_screen(columns: int) -> None:
    """A row for each task: how many files, how large, how many are here, under which licence, from where; of one task a
    row for each file.
    """
    terminal = shown("data", "list", columns=columns)
    assert len(terminal.lines) <= 5 * len(tasks.names())
    assert re.search(r"gsm8k +│ +4 │ +4\.9 MB │ 0 of( 4)? +│ MIT +│ openai/grade-", terminal.text)
    (named,) = [line for line in shown("data", "list", "gsm8k", columns=columns).lines if " test " in line]
    assert re.search(r"test +│ 0\.7 MB │ no +│ MIT ", named)


def test_the_long_list_has_a_line_for_each_file(tmp_path: Path, command: Command) -> None:
    """Address and hash included; a pipe gets it unasked, as before."""
    lines = command("data", "list", "gsm8k").out.splitlines()
    assert lines[0] == (
        "gsm8k test: no; MIT; openai/grade-school-math@3101c7d5072418e28b9008a6636bde82a006892c:grade_school_math/data/"
        "test.jsonl; sha256 3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14"
    )
    assert command("data", "list", "gsm8k", "--all").out.splitlines() == lines
    assert json.loads(command("data", "list", "gsm8k", "--json").out)[0]["bytes"] == 749738
