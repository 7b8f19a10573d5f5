"""Tasks of one's own, as files: copies of bundled ones under other names, and answers for them."""

import json
import shutil
from pathlib import Path

from judgebench.run.loading import load_tasks
from judgebench.run.settings import Settings

TASKS = Path(__file__).parents[1] / "tasks"
ALWAYS_STARTER = """

_made = task


def task(version, options, *, starter=False):
    \"\"\"With its starter set, so that no command needs an official file.\"\"\"
    return _made(version, options, starter=True)
"""


def own_task(bundled: str, name: str, folder: Path) -> Path:
    """A copy of a bundled task under another name; its ``task.py``."""
    shutil.copytree(TASKS / bundled, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path in folder.rglob("*.py"):
        path.write_text(path.read_text().replace(f'"{bundled}"', f'"{name}"'))
    file = folder / "task.py"
    file.write_text(file.read_text() + ALWAYS_STARTER)
    return file


def sums_answers(path: Path, right: int) -> Path:
    """Answers to GSM8K's starter set, of every four questions so many right."""
    (one,) = load_tasks(Settings(tasks="gsm8k", starter=True))
    rows = [
        {
            "id": example.id,
            "output": f"The answer is {example.meta['gold'] if number % 4 < right else 'unknown'}.",
            "generator": path.stem,
        }
        for number, example in enumerate(one.data.examples)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
