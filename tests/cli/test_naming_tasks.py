"""Every command takes tasks as ``--task`` and ``--tasks``, which mean the same: it obeys them or refuses them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from judgebench.cli import COMMANDS, loaded
from judgebench.data.aliases import TASK_FLAGS
from tests.commands import Command, judgebench
from tests.own_tasks import own_task, sums_answers

OWN = "./sums/task.py"
OF_RUNS = {
    "show": ("show", "run", "--json"),
    "compare": ("compare", "run", "run", "--format", "json"),
    "leaderboard": ("leaderboard", "run", "--format", "csv"),
    "explain": ("explain", "run"),
    "score": ("score", "run", "--format", "csv"),
    "plot": ("plot", "run", "run", "--kind", "forest", "--out", "figure.svg", "--overwrite"),
}
WHOLE = {
    "gate": ("gate", "--baseline", "run", "--candidate", "run", "--max-drop", "2"),
    "judge": ("judge", "run"),
    "export": ("export", "run", "--to", "csv", "--out", "scores.csv"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run of a bundled task and of one of the user's own, which were named by a flag each."""
    place = tmp_path_factory.mktemp("tasks")
    own_task("gsm8k", "sums", place / "sums")
    sums_answers(place / "answers.jsonl", 3)
    flags = ("--model", "file:answers.jsonl", "--task", "gsm8k", f"--tasks={OWN}", "--starter", "--out", "run")
    judgebench(["eval", *flags, "--quiet"], cwd=place)
    return place


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, as the working directory."""
    monkeypatch.chdir(place)
    return place


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """A command, or those of a group."""
    below = getattr(command, "commands", {})
    if not below:
        yield name, command
    for word, one in below.items():
        yield from commands(one, f"{name} {word}")


def test_every_command_spells_tasks_alike() -> None:
    """``--task``, ``--tasks`` and ``-t`` are one flag, wherever a command has one of them."""
    spelled = {
        name: {flag for flag in parameter.opts if "task" in flag or flag == "-t"}
        for word in COMMANDS
        for name, command in commands(loaded(word), word)
        for parameter in command.params
        if set(parameter.opts) & set(TASK_FLAGS)
    }
    assert {"eval", "score", "gate", "plan", "import", "bridge make", "labels agree", "judges audit"} <= set(spelled)
    assert {name for name, flags in spelled.items() if flags != set(TASK_FLAGS)} == set()


@pytest.mark.parametrize("name", OF_RUNS)
def test_a_name_limits_what_is_shown_in_every_spelling(here: Path, command: Command, name: str) -> None:
    """The path of an own task says where it lies and limits nothing; with a name in the same text, both are meant."""

    def shown(*flags: str) -> str:
        ended = command(*OF_RUNS[name], *flags)
        assert ended.code == 0, ended.err
        return ended.out if name != "plot" else (here / "figure.csv").read_text()

    for flag in TASK_FLAGS:
        assert not re.search(r"\bsums[@,]", shown("--tasks", OWN, flag, "gsm8k"))
    only = shown("--task", "sums", "--tasks", OWN)
    assert not re.search(r"\bgsm8k[@,]", only)
    if name != "plot":
        for flags in (("-t", OWN), ("--task", f"gsm8k,{OWN}")):
            assert len(shown(*flags)) > len(only)


def test_a_page_is_limited_to_what_is_named(here: Path, command: Command) -> None:
    """By either flag."""
    for flags, count in (((), 2), (("--task", "gsm8k"), 1), (("-t", f"gsm8k,{OWN}"), 2)):
        ended = command("report", "run", "--html", "page.html", "--overwrite", "--json", "--tasks", OWN, *flags)
        assert json.loads(ended.out)["tasks"] == count


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("flag", TASK_FLAGS)
def test_what_takes_a_run_whole_refuses_a_name(here: Path, command: Command, name: str, flag: str) -> None:
    """It says so, and names what can be limited."""
    assert "every run is taken whole" in command(*WHOLE[name], "--tasks", OWN, flag, "gsm8k").paragraph


@pytest.mark.parametrize("name", OF_RUNS)
def test_a_task_that_no_run_holds_is_named(here: Path, command: Command, name: str) -> None:
    """Also one of several."""
    for given in ("ifevl", "gsm8k,ifevl"):
        said = command(*OF_RUNS[name], "--tasks", OWN, "--task", given).paragraph
        assert "'ifevl'" in said or "names 2 tasks" in said
        assert "gsm8k" in said


def test_commands_of_one_task_refuse_two(here: Path, command: Command) -> None:
    """However they are spelled, and in two flags as in one."""
    for flags in (("--tasks", "gsm8k,math"), ("--task", "gsm8k", "-t", "math")):
        assert "one task at a time" in command("plan", "--delta", "2", *flags).paragraph
        assert "one task at a time" in command("bridge", "make", "run", *flags).paragraph


def test_a_misspelt_path_is_told_with_the_file_that_is_near(here: Path, command: Command) -> None:
    """It is not taken for the name of a task; what is near keeps the folder as it was typed."""
    (here / "vivid.toml").write_text('kind = "pairwise"\n')
    for words in (("tasks", "check", "vivd.toml"), ("eval", "--model", "builtin:tiny", "--tasks", "vivd.toml")):
        assert "there is no such file (did you mean vivid.toml?)" in command(*words).paragraph
    for words in (("show", "run"), ("gate", *WHOLE["gate"][1:]), ("score", "run")):
        said = command(*words, "--tasks", "./sum/task.py").paragraph
        assert "there is no such file, nor the folder sum (did you mean sums?)" in said
