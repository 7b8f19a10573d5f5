"""The manual's commands under "Take it elsewhere" and its Python lines, as they stand there, beside two small runs."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from judgebench.codec import write_lines
from judgebench.exchange.importing import import_run
from judgebench.run.folder import RunFolder
from judgebench.run.loading import load_tasks
from judgebench.run.settings import Settings
from tests.patience import PATIENCE_SECONDS
from tests.shared_data import SharedData

ROOT = Path(__file__).parents[2]
EXCHANGE, PYTHON = ((ROOT / "docs" / name).read_text() for name in ("import-export.md", "python.md"))


def block(page: str, heading: str) -> str:
    """The first code block below a heading of a page."""
    found = re.search(rf"^#+ {heading}\n(?:(?!```|##)[^\n]*\n)*```\w*\n(.*?)```", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def command(*arguments: str, cwd: Path, mirrors: Sequence[Path] = ()) -> "subprocess.CompletedProcess[str]":
    """A process of this Python, which finds this checkout."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "JUDGEBENCH_MIRROR": os.pathsep.join(map(str, mirrors))}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@pytest.fixture
def work(example_runs: Path, tmp_path: Path) -> Path:
    """A folder with ``runs/base``, ``runs/mine`` and ``answers.jsonl``, of the starter set."""
    shutil.copytree(example_runs, tmp_path / "work")
    return tmp_path / "work"


def gsm8k(data: SharedData) -> tuple[Path, ...]:
    """Where the official problems are."""
    return data / "gsm8k", data / "upstream"


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory, shared_data: SharedData) -> Path:
    """The same of the official problems: the gold answers, and the gold answers of every second problem."""
    folder, mirrors = tmp_path_factory.mktemp("official"), gsm8k(shared_data)
    (one,) = load_tasks(Settings(tasks="gsm8k", mirrors=mirrors, offline=True))
    for model, every in (("base", 2), ("mine", 1)):
        rows = [
            {
                "id": example.id,
                "output": f"The answer is {example.meta['gold'] if number % every == 0 else 'unknown'}.",
                "generator": model,
            }
            for number, example in enumerate(one.data.examples)
        ]
        write_lines(folder / "answers.jsonl", rows)
        settings = Settings(tasks="gsm8k", mirrors=mirrors, offline=True, out=folder / "runs" / model)
        import_run(folder / "answers.jsonl", "outputs", settings)
    return folder


def test_the_commands_work(shared_data: SharedData, tmp_path: Path) -> None:
    """Each ends with 0, and what comes back has the scores of what was sent: published judgements, imported."""
    work, mirrors = tmp_path / "work", (shared_data / "alpacaeval",)
    settings = Settings(tasks="alpacaeval", mirrors=mirrors, offline=True, out=work / "runs/mine")
    import_run(shared_data / "alpacaeval/annotations_full/phi-2.json.gz", "alpaca_eval", settings)
    lines = block(EXCHANGE, "Take it elsewhere").splitlines()
    for line in lines:
        arguments = shlex.split(line, comments=True)
        assert arguments.pop(0) == "judgebench"
        ended = command("-m", "judgebench", *arguments, cwd=work, mirrors=mirrors)
        assert ended.returncode == 0, ended.stderr
    scores = RunFolder(work / "runs/mine").results().scores
    for name in ("mine-again", "as-reported"):
        assert RunFolder(work / "runs" / name).results().scores == scores
    assert len(list((work / "shared").rglob("*.json*"))) == 2


def test_the_python_lines_work(official: Path, shared_data: SharedData, tmp_path: Path) -> None:
    """As they stand there; the numbers are those of the gold answers."""
    shutil.copytree(official, tmp_path / "work")
    (tmp_path / "work" / "runs" / "base").rename(tmp_path / "work" / "runs" / "baseline")
    script = block(PYTHON, "From Python") + "assert run.score('exact_match_flexible').value == 100\n"
    ended = command("-c", script, cwd=tmp_path / "work", mirrors=gsm8k(shared_data))
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("export", "runs/mine", "--to", "helm", "--out", "out"), "choose one of archive, csv"),
        (("export", "runs/mine", "--to", "fastchat", "--out", "out"), "gsm8k can be exported to"),
        (("export", "runs/none", "--to", "csv", "--out", "out"), "is not there"),
        (("import", "answers.jsonl", "--from", "archive", "--out", "out"), "is not a readable archive"),
        (("import", "answers.jsonl", "--from", "outputs", "--out", "out"), "--task is missing"),
        (("import", "answers.jsonl", "--from", "archive", "--task", "gsm8k", "--out", "out"), "leave out --task"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: tuple[str, ...], told: str, work: Path) -> None:
    """Exit 2 and one paragraph; nothing is made."""
    ended = command("-m", "judgebench", *arguments, cwd=work)
    assert ended.returncode == 2
    assert told in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert not (work / "out").exists()
