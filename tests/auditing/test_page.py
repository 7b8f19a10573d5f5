"""docs/judge-suites.md prints what it says, and names every suite, option and figure."""

import doctest
import re
from pathlib import Path

from judgebench.auditing.suites import SUITES

PAGE = Path(__file__).parents[2] / "docs" / "judge-suites.md"


def test_every_snippet_prints_what_stands_below_it() -> None:
    """The snippets are run in order, as a reader would type them."""
    found = doctest.testfile(str(PAGE), module_relative=False)
    assert found.failed == 0
    assert found.attempted > 10


def test_the_page_names_what_there_is() -> None:
    """Suites with their headlines, options with their values, and the figures that each suite has."""
    text = PAGE.read_text()
    named = set(re.findall(r"`([\w-]+)`", text))
    for suite in SUITES.values():
        assert suite.name in named
        (row,) = re.findall(rf"^\| `{suite.name}` \|.*`(\w+)` \|$", text, re.MULTILINE)[:1]
        assert row == suite.headline[0]
        for option, values in suite.choices.items():
            spelt = f"`{option}=" + "\\|".join(values) + "`"
            assert spelt in text, spelt
        for figure in suite.report([], []).figures:
            base = re.sub(r"^(prefer_lists\w*?)_(?:gold|excess)$", r"\1", figure.name)
            assert base in named, figure.name
