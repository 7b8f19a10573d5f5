"""--baseline for each task of a run."""

import json
from pathlib import Path

import pytest

from judgebench.run.loading import load_tasks
from judgebench.run.settings import Settings, baseline_of
from tests.commands import Command, judgebench
from tests.processes import manifest_of


def answers_to(task: str, name: str) -> Path:
    """A file of answers to a task's starter set by a model of this name."""
    (loaded,) = load_tasks(Settings(tasks=task, starter=True))
    rows = [
        {"id": e.id, "output": [f"{name} says {n}." for n in range(1 + len(e.followups))], "generator": name}
        for e in loaded.data.examples
    ]
    path = Path(f"{name}.jsonl")
    path.write_text(
        "".join(
            json.dumps(row if len(row["output"]) > 1 else {**row, "output": row["output"][0]}) + "\n" for row in rows
        )
    )
    return path


def test_each_task_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TASK=FILE is the baseline of that task alone; WildBench is scored over all that are given for it."""
    monkeypatch.chdir(tmp_path)
    sft, one, two = answers_to("alpacaeval", "sft"), answers_to("wildbench", "one"), answers_to("wildbench", "two")
    judgebench(
        [
            *("eval", "--model", "builtin:tiny", "--judge", "builtin:tiny", "--starter", "--out", "run"),
            *("--tasks", "alpacaeval,wildbench:metrics=reward,gsm8k"),
            *("--baseline", f"alpacaeval={sft}", "--baseline", f"wildbench={one},{two}"),
        ]
    )
    tasks = manifest_of(Path("run")).tasks
    assert list(tasks["alpacaeval"].protocol["baselines"]) == ["sft"]
    assert list(tasks["wildbench"].protocol["baselines"]) == ["one", "two"]
    assert tasks["gsm8k"].protocol["baselines"] == {}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sft.jsonl", {"alpacaeval": "sft.jsonl", "wildbench": "sft.jsonl"}),
        ("wildbench=gpt-4-turbo,haiku", {"alpacaeval": None, "wildbench": "gpt-4-turbo,haiku"}),
        ("wildbench=a\nwildbench=b", {"alpacaeval": None, "wildbench": "a,b"}),
        ("x=1.jsonl", {"alpacaeval": "x=1.jsonl", "wildbench": "x=1.jsonl"}),
        (None, {"alpacaeval": None, "wildbench": None}),
    ],
)
def test_what_stands_before_the_equals_sign_is_a_task(given: str | None, expected: dict[str, str | None]) -> None:
    """Only the name of a task of the run is one; anything else belongs to a file's name."""
    settings = Settings(tasks="alpacaeval@2,wildbench:metrics=reward", baseline=given)
    assert {task: baseline_of(settings, task) for task in expected} == expected


def test_a_baseline_that_is_not_there_names_its_task(command: Command) -> None:
    """The message has the value that was given for the task."""
    ended = command(
        "eval", "--model", "builtin:tiny", "--tasks", "alpacaeval,gsm8k", "--starter", "--baseline", "alpacaeval=no"
    )
    assert "--baseline 'no' is neither a file of outputs nor a baseline of alpacaeval" in ended.paragraph
