"""docs/report.md: its commands and its Python are run as they stand there, and the page has what it tells to click."""

import doctest
import re
import shlex
import shutil
from pathlib import Path

import pytest

from judgebench.data.resources import resource
from judgebench.report import figures, judging
from tests.commands import judgebench

PAGE = (Path(__file__).parents[2] / "docs" / "report.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [line for language, text in BLOCKS if not language for line in text.splitlines()]


@pytest.fixture
def here(example_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reader's folder."""
    shutil.copytree(example_runs, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def test_the_commands_run_one_after_the_other(here: Path) -> None:
    """Each writes the files that it names; sixteen items are too few for a gate, which says so by its exit code."""
    for line in COMMANDS:
        words = shlex.split(line)[1:]
        judgebench(words, cwd=here, code=3 if words[0] == "gate" else 0)
        for file in (word for word in words if word.endswith((".html", ".svg", ".md"))):
            assert (here / file).stat().st_size > 100
            (here / file).unlink()


@pytest.mark.usefixtures("here")
def test_the_python_prints_what_stands_there() -> None:
    """Line by line."""
    (text,) = (text for language, text in BLOCKS if language == "python")
    test = doctest.DocTestParser().get_doctest(text, {}, "report.md", "report.md", 0)
    assert doctest.DocTestRunner().run(test).failed == 0
    assert test.examples


def test_what_is_clicked_is_on_the_page() -> None:
    """The names in bold are those of views, headings and lines."""
    words = [" ".join(found.split()) for found in re.findall(r"\*\*(.+?)\*\*", PAGE, re.DOTALL)]
    templates = "".join(path.read_text() for path in (resource("templates") / "report").glob("*.j2"))
    said = templates + Path(judging.__file__).read_text()
    questions = {found.strip() for found in re.findall(r"^\*\*(.+?)\*\*", PAGE, re.MULTILINE) if found.endswith("?")}
    clicked = [found for found in words if found not in questions]
    assert {"Compare", "Judge", "Tasks", "Length and value"} <= set(clicked)
    assert [found for found in clicked if found not in said] == []


def test_the_table_names_every_kind_of_figure() -> None:
    """And no other."""
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(figures.KINDS)
