"""docs/statistics.md prints what it says, and names every module of ``judgebench.stats`` that answers a question."""

import doctest
import pkgutil
from pathlib import Path

import judgebench.stats

PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"
HELPERS = {"arrays", "intervals", "left_out", "newton"}
"""Modules that the others are made of."""


def test_every_snippet_prints_what_stands_below_it() -> None:
    """The snippets are run in order, as a reader would type them."""
    found = doctest.testfile(str(PAGE), module_relative=False)
    assert found.failed == 0
    assert found.attempted > 40


def test_the_page_names_every_module() -> None:
    """A module that the page does not name cannot be found from it."""
    text = PAGE.read_text()
    modules = {module.name for module in pkgutil.iter_modules(judgebench.stats.__path__)}
    assert {name for name in modules - HELPERS if f"`{name}`" not in text} == set()
