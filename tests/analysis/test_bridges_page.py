"""Snippets of docs/bridges.md print what stands there, and its tables name what there is."""

import doctest
import re
from pathlib import Path

from judgebench.run.bridge_files import read_bridge, ready_bridges
from tests.commands import judgebench

PAGE = Path(__file__).parents[2] / "docs" / "bridges.md"


def test_the_snippets_of_the_page() -> None:
    """Each of them, in order."""
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert (failed, tried > 8) == (0, True)


def test_the_page_names_the_ready_bridges() -> None:
    """With the number of their models."""
    text = PAGE.read_text()
    for name in ready_bridges():
        row = next(line for line in text.splitlines() if line.startswith("|") and name.split("-gemini")[0] in line)
        assert f"| {len(read_bridge(Path(name)).included)} |" in row


def test_the_commands_of_the_page_have_these_flags() -> None:
    """Every flag that a command of the page has is in its help."""
    commands = re.findall(r"^judgebench (eval|bridge \w+) (.*)$", PAGE.read_text(), re.MULTILINE)
    assert len(commands) >= 5
    for command, rest in commands:
        shown = judgebench([*command.split(), "--help"]).stdout
        for flag in re.findall(r"(?<!\S)--?[a-z-]+", rest):
            assert flag in shown, (command, flag)
