"""The notebooks of the manual run on what ships, and print what stands in them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from scripts.notebooks import in_an_empty_folder, notebooks, page

MANY = 40_000
"""Bytes of the largest notebook that is kept."""


def said(notebook: dict[str, Any]) -> list[list[str]]:
    """What each cell printed or showed, as text."""
    outputs = (cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code")
    return [["".join(one.get("text") or one["data"]["text/plain"]) for one in of_cell] for of_cell in outputs]


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_a_notebook_prints_what_stands_in_it(path: Path) -> None:
    """Cell by cell, run in an empty folder; ``scripts/notebooks.py`` writes what they print into the file."""
    kept = json.loads(path.read_text())
    assert said(in_an_empty_folder(path)) == said(kept)


def test_what_is_kept_is_small_and_names_no_machine() -> None:
    """No path, no time, and modules of no more than the public names."""
    assert [path.stem for path in notebooks()] == ["alpacaeval", "checkpoints", "judge"]
    for path in notebooks():
        text = path.read_text()
        assert len(text.encode()) < MANY
        assert not re.search(r"/tmp|/home|/root|/work|\d\d:\d\d:\d\d", text)
        assert set(re.findall(r"(?:import|from) (judgebench[\w.]*)", text)) == {"judgebench"}


def test_the_text_says_what_the_cells_print() -> None:
    """Numbers in the prose are those of the outputs."""
    pages = {path.stem: page(path) for path in notebooks()}
    for name, sentence, printed in (
        ("alpacaeval", "Three of the five models have", "claude lc_win_rate  27.29 23.94 30.80 805      27.29"),
        ("alpacaeval", "claude wins 17 of 100 comparisons, and would win 27", "27.29     16.99   10.30"),
        ("checkpoints", "35 questions were gained, and 9 were lost", "failed with old, passed with new: 35"),
        ("judge", "names the first answer in every pair", "builtin:tiny        first_in_both   1.00  n = 16"),
    ):
        assert sentence in pages[name]
        assert printed in pages[name]
    differ = re.findall(r"^(\S+): \S+, published", pages["alpacaeval"], re.MULTILINE)
    assert differ == ["vicuna-13b-v1.5", "alpaca-7b_verbose"]
