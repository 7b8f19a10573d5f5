"""Every command of docs/labels.md is run as it stands there."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from judgebench.models.scripted import ScriptedModel, playing
from tests.cli.test_labels import fill, made, verdict
from tests.commands import judgebench
from tests.shared_data import SharedData

PAGE = Path(__file__).parents[2] / "docs" / "labels.md"
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
COMMANDS = [
    shlex.split(line, comments=True)[1:] for language, text in BLOCKS if not language for line in text.splitlines()
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader's folder: ``runs/mine``, and labels by Anna and Ben."""
    folder = tmp_path_factory.mktemp("reader")
    made(folder / "runs" / "mine")
    judgebench(["labels", "sample", folder / "runs" / "mine", "--out", folder / "sample.csv"])
    for name in ("anna", "ben"):
        fill(folder / "sample.csv", folder / f"labels-{name}.csv", lambda key: float(int(key[-2:]) % 3 > 0))
    return folder


def test_the_page_has_commands() -> None:
    """All commands, and ``plan`` among them."""
    assert {tuple(words[:2]) for words in COMMANDS} >= {("labels", "sample"), ("labels", "agree"), ("plan", "--task")}


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] != "plan"], ids=" ".join)
def test_what_the_page_says_of_labels_runs(words: list[str], folder: Path, tmp_path: Path) -> None:
    """With a run of the starter set."""
    shutil.copytree(folder, tmp_path / "here")
    judgebench(words, cwd=tmp_path / "here")


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] == "plan"], ids=" ".join)
def test_what_the_page_says_of_plans_runs(words: list[str], folder: Path, shared_data: SharedData) -> None:
    """With the official files, and without a call."""
    mirror = str(shared_data / "alpacaeval")
    with playing(ScriptedModel(verdict, name="judge")):
        ended = judgebench([*words, "--offline"], cwd=folder, JUDGEBENCH_MIRROR=mirror, JUDGEBENCH_TODAY="2026-11-30")
    assert "cascade" in ended.stdout


def test_the_page_s_file_of_labels_is_read(folder: Path, tmp_path: Path) -> None:
    """With this run's ids in the place of those of the page."""
    (text,) = (text for language, text in BLOCKS if language == "csv")
    for number, key in enumerate(re.findall(r"^(\d+),", text, re.MULTILINE), 1):
        text = text.replace(f"{key},", f"starter-{number:02},")
    (tmp_path / "humans.csv").write_text(text)
    ended = judgebench(["labels", "agree", folder / "runs" / "mine", tmp_path / "humans.csv"])
    assert "labels by humans (3)" in ended.stdout
