"""What a command costs before it does anything, and how it says no."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from judgebench import __version__ as judgebench_version
from judgebench.cli import COMMANDS, loaded
from tests.commands import Command
from tests.processes import judgebench_process
from tests.terminal import in_terminal

HEAVY = ("pandas", "scipy", "torch", "numpy", "aiohttp", "transformers", "pyarrow", "jinja2", "huggingface_hub")
PROBE = """
import atexit, json, os, sys
atexit.register(lambda: open(os.environ["PROBE"], "w").write(json.dumps(sorted(sys.modules))))
from judgebench.cli import main
main()
"""
STARTER = Path(__file__).parents[2] / "tasks" / "alpacaeval" / "starter.jsonl"


def judgebench(*arguments: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """The command line in a process of its own."""
    return judgebench_process(arguments, cwd=cwd)


def modules_after(tmp_path: Path, *arguments: str | Path, code: int = 0) -> set[str]:
    """Names of what a command has imported when it ends with this code. It knows no vendor's key."""
    environment = {**os.environ, "PROBE": str(tmp_path / "modules.json")}
    command = [sys.executable, "-c", PROBE, *map(str, arguments)]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == code, ended.stderr
    return set(json.loads((tmp_path / "modules.json").read_text()))


@pytest.mark.parametrize(
    ("arguments", "ours"),
    [
        (("--help",), {"cli", "errors"}),
        (
            ("eval", "--help"),
            {"cli", "cli.options", "cli.pages", "cli.run", "run", "run.settings", "errors"}
            | {"data", "data.aliases", "data.resources"},
        ),
    ],
)
def test_help_is_cheap(tmp_path: Path, arguments: tuple[str, ...], ours: set[str]) -> None:
    """The list of commands imports none of them, the help of one imports that one, the settings and the names of flags;
    at most 300 modules in all, of which numpy would be 100.
    """
    loaded = modules_after(tmp_path, *arguments)
    assert {name.removeprefix("judgebench.") for name in loaded if name.startswith("judgebench.")} == ours
    assert len(loaded) <= 300


def test_every_listed_command_can_be_loaded() -> None:
    """What the list says of a command is one short line; each has a help of its own."""
    for name, (_, summary) in COMMANDS.items():
        assert loaded(name).help
        assert summary.endswith(".")
        assert len(summary) <= 60


@pytest.mark.parametrize("arguments", [("--help",), ("eval", "--help"), ("tasks", "list"), ("cache", "path")])
def test_help_imports_nothing_heavy(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Neither numbers nor networks are needed to say what there is."""
    assert modules_after(tmp_path, *arguments).isdisjoint(HEAVY)


@pytest.mark.parametrize(
    ("arguments", "computes"),
    [
        (("tasks", "info", "alpacaeval"), False),
        (("data", "where"), False),
        (("explain", "runs"), False),
        (("export", "runs/mine", "--to", "csv", "--out", "scores.csv"), False),
        (("export", "runs/mine", "--to", "archive", "--out", "mine.zip"), False),
        (("leaderboard", "runs"), True),
        (("score", "runs/mine"), True),
        (("compare", "runs/base", "runs/mine"), True),
        (("plan", "--task", "gsm8k"), True),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else str(value),
)
def test_a_command_imports_only_what_it_needs(
    example_runs: Path, tmp_path: Path, arguments: tuple[str, ...], computes: bool
) -> None:
    """No engine, no network and no pandas for what is on disk; scipy only where an interval or a test is computed."""
    shutil.copytree(example_runs, tmp_path / "work")
    loaded = modules_after(tmp_path / "work", *arguments)
    assert loaded.isdisjoint(
        {"torch", "transformers", "vllm", "ray", "pandas", "pyarrow", "aiohttp", "huggingface_hub"}
    )
    assert ("scipy" in loaded) is computes


GROUPS = [name for name in COMMANDS if hasattr(loaded(name), "commands")]


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("group", [None, *GROUPS])
def test_a_group_without_a_command_shows_its_help(group: str | None, columns: int) -> None:
    """As lines of text that fit the terminal; the exit code is that of wrong usage, as in click: nothing was done."""
    with in_terminal([group] if group else [], columns=columns, rows=60) as terminal:
        assert terminal.wait() == 2
    lines = [line.rstrip() for line in terminal.lines]
    assert lines[0].startswith(f"Usage: judgebench {group} " if group else "Usage: judgebench ")
    assert "Commands:" in lines
    assert all(len(line) < 80 for line in lines)
    assert not any(line.endswith("...") and "COMMAND" not in line for line in lines)
    for name in loaded(group).commands if group else COMMANDS:
        assert any(line.startswith(f"  {name} ") for line in lines)


@pytest.mark.parametrize(
    ("asked", "same"),
    [
        (["help"], ["--help"]),
        (["help", "eval"], ["eval", "--help"]),
        (["help", "tasks"], ["tasks", "--help"]),
        (["help", "tasks", "info"], ["tasks", "info", "--help"]),
        (["tasks", "help", "info"], ["tasks", "info", "-h"]),
    ],
)
def test_help_that_was_asked_for_is_exit_0(command: Command, asked: list[str], same: list[str]) -> None:
    """On stdout, and the same text whichever way it was asked for."""
    shown = command(*asked)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out == command(*same).out
    assert shown.out.startswith("Usage: judgebench")


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version_is_shown(command: Command, flag: str) -> None:
    """That of the package."""
    assert command(flag).out == f"judgebench {judgebench_version}\n"


def starter_outputs(tmp_path: Path) -> Path:
    """Outputs equal to the starter set's baseline: all ties, so no judge is asked."""
    path = tmp_path / "outputs.jsonl"
    path.write_bytes(STARTER.read_bytes())
    return path


def test_a_file_judged_over_http_needs_no_torch(tmp_path: Path) -> None:
    """Finished answers and a served judge: no local engine, no pandas; of scipy only what intervals need; and as these
    answers need no judge, nothing that would ask one.
    """
    arguments = ("eval", "--model", f"file:{starter_outputs(tmp_path)}", *JUDGE, *TASK, "--starter")
    loaded = modules_after(tmp_path, *arguments, "--offline", "--out", tmp_path / "R")
    assert loaded.isdisjoint({"torch", "transformers", "pandas", "scipy.stats", "pyarrow", "huggingface_hub"})
    assert "aiohttp" not in loaded
    assert "numpy" in loaded


NOBODY = "http://127.0.0.1:9/v1#m"
WRONG = {
    "./nothing-here": 2,
    "hf:no-such/model": 6,
    "openai:gpt-4o": 2,
    "anthropic:claude": 2,
    NOBODY: 6,
}
"""Models that cannot be had, and the exit code: no folder, not on the hub, no key, nobody at the address."""


@pytest.mark.parametrize("judge", WRONG)
def test_a_wrong_judge_is_told_before_the_candidate_is_opened(tmp_path: Path, judge: str) -> None:
    """Where the candidate is a checkpoint, too: no answer is generated that nobody would judge."""
    arguments = ("eval", "--model", "builtin:tiny", "--judge", judge, "--tasks", "mtbench", "--starter", "--out", "R")
    loaded = modules_after(tmp_path, *arguments, code=WRONG[judge])
    assert loaded.isdisjoint({"torch", "transformers", "vllm"})
    assert not (tmp_path / "R").exists()


MODEL = ("--model", "file:x.json")
JUDGE = ("--judge", "http://127.0.0.1:9/v1#j")
ANSWERING = ("--model", "http://127.0.0.1:9/v1#m")
SERVED = (*ANSWERING, *JUDGE)
TASK = ("--tasks", "alpacaeval")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("eval",), "--tasks"),
        (("eval", *TASK), "--model"),
        (("eval", *MODEL), "--tasks is missing"),
        (("eval", *MODEL, "--tasks", "nonsense", "--starter"), "known tasks"),
        (("eval", *MODEL, "--tasks", "alpacaeval@7", "--starter"), "it has 2, 1"),
        (("eval", *MODEL, "--tasks", "alpacaeval:color=1", "--starter"), "upstream_compat"),
        (("eval", *MODEL, "--tasks", "alpacaeval:order=up", "--starter"), "seeded, both"),
        (("eval", *SERVED, "--tasks", "alpacaeval,alpacaeval@1", "--starter"), "twice"),
        (("eval", *ANSWERING, *TASK, "--starter"), "--judge builtin:tiny"),
        (("eval", *MODEL, *JUDGE, *TASK, "--starter"), "x.json is not a file"),
        (("eval", "--model", "telnet:there", *TASK, "--starter"), "openai:NAME"),
        (("eval", "--model", "http://127.0.0.1:9/v1", *TASK, "--starter"), "#NAME"),
        (("eval", "--model", "builtin:huge", *TASK, "--starter"), "builtin:tiny"),
        (("eval", *SERVED, *TASK, "--starter", "--gen", "warmth=1"), "temperature"),
        (("eval", *SERVED, *TASK, "--starter", "--judge-gen", "warmth=1"), "temperature"),
        (("eval", *SERVED, *TASK, "--starter", "--judge-arg", "color=1"), "timeout_seconds"),
        (("eval", *SERVED, *TASK, "--starter", "--ids", "none.txt"), "--ids none.txt cannot be read"),
        (("eval", *SERVED, *TASK, "--starter", "--baseline", "none.json"), "starter_baseline"),
        (("eval", *SERVED, *TASK, "--starter", "--api-key-env", "NO_SUCH_KEY"), "NO_SUCH_KEY"),
        (("eval", *SERVED, *TASK, "--starter", "--budget", "1"), "price"),
        (("eval", *MODEL, *TASK, "--limit", "0"), "--limit"),
        (("eval", *MODEL, *TASK, "--limit", "many"), "--limit"),
        (("eval", *MODEL, *TASK, "--unheard-of"), "--unheard-of"),
        (("eval", *MODEL, *TASK, "--model-arg", "novalue"), "KEY=VALUE"),
        (("eval", *ANSWERING, "--tasks", "gsm8k", "--mirror", "/nowhere/at/all"), "/nowhere/at/all is not a folder"),
        (("eval", *MODEL, *TASK, "--config", "none.toml"), "--config none.toml cannot be read"),
        (("generate", *MODEL, *TASK, "--starter"), "nothing to generate"),
        (("score", "nowhere"), "nowhere is not a run folder"),
        (("judge", "nowhere"), "nowhere is not a run folder"),
        (("import", "x.json", "--from", "stone", "--task", "alpacaeval:judge=gpt", "--out", "R"), "judges list"),
        (("import", "x.json", "--task", "alpacaeval", "--out", "R"), "--from"),
        (("leaderboard", "nowhere"), "nowhere is not a folder"),
        (("leaderboard", "--format", "paper"), "csv"),
        (("tasks", "info", "nonsense"), "alpacaeval"),
        (("tasks", "info", "alpacaeval,alpacaeval@1"), "one task at a time"),
        (("import", "x.json", "--from", "outputs", "--task", "alpacaeval,x", "--out", "R"), "one task at a time"),
        (("data", "fetch", "nonsense"), "alpacaeval"),
        (("cache", "prune"), "--older-than-days"),
        (("unheard-of",), "unheard-of"),
        (("tasks", "unheard-of"), "unheard-of"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else None,
)
def test_a_wrong_command_is_exit_2_with_one_paragraph(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """It names the flag and the valid values, without a traceback, and makes nothing."""
    ended = judgebench(*arguments, cwd=tmp_path)
    assert ended.returncode == 2, ended.stderr
    assert said in ended.stderr
    assert ended.stderr.startswith("judgebench: ")
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flag", ["-v", "--verbose"])
def test_verbose_gives_the_traceback_and_the_same_exit_code(tmp_path: Path, flag: str) -> None:
    """The paragraph still ends it."""
    ended = judgebench("eval", *MODEL, *JUDGE, *TASK, "--starter", flag, cwd=tmp_path)
    assert ended.returncode == 2
    lines = ended.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith("judgebench: x.json is not a file")


def test_an_error_is_folded_between_words_on_a_terminal(tmp_path: Path, command: Command) -> None:
    """No word is cut at the right edge; what is longer than a line stays whole for whoever copies it."""
    with in_terminal(["score", "--lists", "x"], columns=60, rows=30, cwd=tmp_path) as terminal:
        assert terminal.wait() == 2
        lines = [line for line in terminal.lines if line]
    assert len(lines) > 1
    assert max(map(len, lines)) <= 60
    piped = command("score", "--lists", "x").err
    assert " ".join(lines) + "\n" == piped


@pytest.mark.parametrize("where", ["taken", "taken/below", "/proc/nobody/may/write/here"])
def test_a_place_that_cannot_be_written_is_exit_2(tmp_path: Path, where: str) -> None:
    """A file in the way of the run folder, or a folder that nobody may write in, is said in one paragraph."""
    (tmp_path / "taken").write_text("")
    arguments = (*JUDGE, *TASK, "--starter", "--offline", "--out", tmp_path / where)
    ended = judgebench("eval", "--model", f"file:{starter_outputs(tmp_path)}", *arguments, cwd=tmp_path)
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith("judgebench: ")
    assert str(tmp_path / "taken") in ended.stderr or "/proc/nobody" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (tmp_path / "taken").read_text() == ""


def test_errors_cannot_speak_to_the_terminal(tmp_path: Path) -> None:
    """What a user, or a file, calls things is escaped on stderr."""
    hostile = "\x1b[31m\u202e\n[bold]"
    for arguments in (("tasks", "info", hostile), ("eval", "--model", f"file:{hostile}", *JUDGE, *TASK, "--starter")):
        ended = judgebench(*arguments, cwd=tmp_path)
        assert ended.returncode == 2
        assert ended.stderr.count("\n") == 1
        assert "\x1b" not in ended.stderr
        assert "\u202e" not in ended.stderr
        assert "[bold]" in ended.stderr
