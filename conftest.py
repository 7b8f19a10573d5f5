"""What the examples in docstrings of the Python interface find: two runs, and a file of answers."""

import json
import shutil
from pathlib import Path

import pytest

ANSWERED = {"base": 2, "mine": 3}
"""Of every four questions of the starter set, how many each run answers rightly."""


@pytest.fixture(scope="session")
def example_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``runs/base``, ``runs/mine`` and ``answers.jsonl``, which are the answers of the second."""
    from judgebench.run.loading import load_tasks
    from judgebench.run.runner import Runner
    from judgebench.run.settings import Settings

    folder = tmp_path_factory.mktemp("examples")
    (one,) = load_tasks(Settings(tasks="gsm8k", starter=True))
    for model, right in ANSWERED.items():
        rows = [
            {
                "id": example.id,
                "output": f"The answer is {example.meta['gold'] if number % 4 < right else 'unknown'}.",
                "generator": model,
            }
            for number, example in enumerate(one.data.examples)
        ]
        path = folder / "answers.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        settings = Settings(tasks="gsm8k", starter=True, model=f"file:{path}", out=folder / "runs" / model)
        Runner(settings, lambda *_: None).evaluate()
    return folder


@pytest.fixture(autouse=True)
def beside_example_runs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples of the public names run in a copy of that folder, with a cache of their own."""
    name = request.node.name
    if isinstance(request.node, pytest.DoctestItem) and (name == "judgebench" or name.startswith("judgebench.api")):
        place = request.getfixturevalue("tmp_path")
        monkeypatch.setenv("JUDGEBENCH_CACHE", str(place / "cache"))
        shutil.copytree(request.getfixturevalue("example_runs"), place / "work")
        monkeypatch.chdir(place / "work")
