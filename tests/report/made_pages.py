"""Runs of the starter sets with answers and verdicts of every kind, for reports that are looked at."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.commands import judgebench

TASKS = "arenahard,gsm8k,ifeval,mtbench,wildbench,healthbench"


def write_runs(folder: Path, tasks: str = TASKS) -> None:
    """``one`` as the tiny model makes it, and ``other`` with answers and verdicts that differ."""
    words = ["eval", "-q", "--model", "builtin:tiny", "--judge", "builtin:tiny", "--tasks", tasks]
    judgebench([*words, "--starter", "--limit", 4, "--out", "one"], cwd=folder)
    shutil.copytree(folder / "one", folder / "other")
    rewrite(folder / "other/arenahard/judgements.jsonl", other_verdicts)
    rewrite(folder / "other/gsm8k/generations.jsonl", other_answers)
    # One verdict is unread and one answer failed, so it ends as incomplete.
    judgebench(["score", "other"], code=4, cwd=folder)


def rewrite(path: Path, change: Callable[[int, dict[str, Any]], None]) -> None:
    """Change the rows of a file, each by its place."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for place, row in enumerate(rows):
        change(place, row)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def other_verdicts(place: int, row: dict[str, Any]) -> None:
    """The candidate wins the first, the second contradicts itself, and the third has a reply that says nothing.

    What is stored of the second is not what its reply says.
    """
    item, first = divmod(place, 2)
    said = {0: ("B>A", "A>B"), 1: ("A>B", "A>B"), 2: ("?", "A>B"), 3: ("A>>B", "B>>A")}[item][first]
    stored = "B>A" if (item, first) == (1, 1) else said
    row["verdict"] |= {"value": None if said == "?" else float(stored.startswith("A")), "label": stored}
    row["replies"][0]["text"] = f"I looked at both.\n\n**Both** have their merits.\n\nMy final verdict is: [[{said}]]"


def other_answers(place: int, row: dict[str, Any]) -> None:
    """The first is wrong now, the last failed."""
    if place == 0:
        row["outputs"] = [
            "## Steps\n\n1. Add `2` and *2*.\n2. Say so.\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n#### 5"
        ]
    if place == 3:
        row["outputs"], row["finish_reasons"], row["error"] = [], [], "the server said 500"
