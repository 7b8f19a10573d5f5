"""Every command in README.md is run, or it is said here why it cannot be."""

import gzip
import os
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from judgebench import load_run, tasks
from judgebench.cli import COMMANDS, app
from judgebench.errors import JudgebenchError
from tests.shared_data import SharedData

README = Path(__file__).parents[1] / "README.md"

NOT_RUN = {
    "make ": "tests/cli/test_first_command.py runs what it runs, without installing",
    "pip ": "needs a package index",
    "export ": "sets a key",
    "judgebench eval --model ckpt": "needs a key, and a checkpoint",
    "judgebench eval --model path/to/ckpt --judge openai:": "needs a key, and a checkpoint",
}
"""Beginnings of commands that need what a test has not, and what that is."""


def blocks(*languages: str) -> list[str]:
    """Texts of the fenced blocks in one of the languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    return [text for language, text in found if language in languages]


def commands() -> list[str]:
    """Lines of the blocks of commands, continued lines joined, without comments."""
    lines = [line for block in blocks("", "console", "sh", "bash") for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.join(words) for line in lines if (words := shlex.split(line.removeprefix("$ "), comments=True))]


def reason_not_to(command: str) -> str | None:
    """Why it is not run, if it is not."""
    return next((why for beginning, why in NOT_RUN.items() if command.startswith(beginning)), None)


RUN = [command for command in commands() if reason_not_to(command) is None]


def run(command: str) -> str:
    """What went wrong, or nothing. Output after ``>`` goes to that file, as a shell would do."""
    words = shlex.split(command)
    if words[0] != "judgebench":
        return f"{words[0]} is not our command; say in NOT_RUN why it is not run"
    target = words[words.index(">") + 1] if ">" in words else None
    try:
        ended = CliRunner().invoke(app, words[1 : words.index(">") if target else None], catch_exceptions=False)
    except JudgebenchError as error:
        return f"exit {error.exit_code}: {error}"
    if target:
        Path(target).write_text(ended.stdout)
    return "" if ended.exit_code == 0 else f"exit {ended.exit_code}: {ended.output}"


def test_the_table_of_contents_leads_somewhere() -> None:
    """Every link to a place on the page has its heading, as GitHub makes its name."""
    text = README.read_text()
    headings = re.findall(r"^#{2,3} (.+)$", text, re.MULTILINE)
    there = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    asked = re.findall(r"\]\(#([^)]+)\)", text)
    assert len(asked) >= 12
    assert set(asked) <= there


def test_every_command_and_every_task_is_named() -> None:
    """The table of commands has a row that begins with each command, and the table of tasks leads to each task."""
    text = README.read_text()
    table = text[text.index("## Commands") : text.index("## Tasks")]
    first = " ".join(line.split(" | ")[0] for line in table.splitlines() if line.startswith("| "))
    assert [name for name in COMMANDS if not re.search(rf"`{name}\b", first)] == []
    listed = text[text.index("## Tasks") :]
    assert [name for name in tasks.names() if f"(tasks/{name}/README.md)" not in listed] == []


def test_the_sizes_of_starter_sets_are_right() -> None:
    """The page names the least and the greatest number of items that a starter set has."""
    sizes = [
        len(tasks.load(tasks.TaskSpec(name), starter=True)[0].load(lambda _: b"").examples) for name in tasks.names()
    ]
    assert f"starter sets of {min(sizes)} to {max(sizes)} items" in README.read_text()


def interpret(text: str) -> str:
    """What went wrong with a block of Python, or nothing."""
    try:
        exec(compile(text, "README.md", "exec"), {})
    except (JudgebenchError, AssertionError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


@pytest.fixture(scope="module")
def went_wrong(shared_data: SharedData, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What went wrong with each command, in the order of the page and one folder, since later ones need the earlier.

    There, ``annotations.json`` are published judgements, ``runs/baseline`` and ``runs/candidate`` a worse and a better
    model's answers, ``answers.jsonl`` the better one's, and a block of TOML or Jinja is the file that its first line
    names.
    Blocks of Python come last.
    """
    mirrors = [str(shared_data / kind) for kind in ("alpacaeval", "gsm8k", "upstream")]
    folder = tmp_path_factory.mktemp("reader")
    with gzip.open(shared_data / "alpacaeval" / "annotations_full" / "NullModel.json.gz") as file:
        (folder / "annotations.json").write_bytes(file.read())
    for text in blocks("toml", "jinja"):
        (folder / text.partition("\n")[0].strip("{}# ")).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("JUDGEBENCH_MIRROR", os.pathsep.join(mirrors))
        patch.setenv("JUDGEBENCH_CACHE", str(folder / "cache"))
        for name, model in (("baseline", "openai-gsm-6b_finetuning"), ("candidate", "openai-gsm-175b_verification")):
            answers = shared_data / "gsm8k" / "responses" / f"{model}.jsonl.gz"
            made = run(f"judgebench import {answers} --from outputs --task gsm8k --fields id=idx --out runs/{name}")
            assert made == "", made
        table = load_run("runs/candidate").answers()
        table.rename(columns={"example_id": "id", "answer": "output"}).to_json(
            "answers.jsonl", orient="records", lines=True
        )
        ended = {command: run(command) for command in RUN}
        return ended | {text: interpret(text) for text in blocks("python")}


@pytest.mark.parametrize("command", RUN)
def test_a_command_of_the_readme_ends_well(command: str, went_wrong: dict[str, str]) -> None:
    """Exit 0, after those above it on the page."""
    assert went_wrong[command] == ""


@pytest.mark.parametrize("text", blocks("python"), ids=lambda text: text.partition("\n")[0])
def test_python_of_the_readme_runs(text: str, went_wrong: dict[str, str]) -> None:
    """Each block in a namespace of its own, after all commands."""
    assert went_wrong[text] == ""


def test_commands_are_found() -> None:
    """Those that are known to be there; a reason fits some command, or it is taken out."""
    assert "judgebench leaderboard" in RUN
    assert "judgebench score runs/mine --json" in RUN
    assert len(RUN) >= 6
    for beginning in NOT_RUN:
        assert any(command.startswith(beginning) for command in commands()), beginning
