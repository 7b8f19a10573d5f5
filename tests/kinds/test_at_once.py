"""Rubrics whose criteria are graded in one reply, and prompts that are asked in several forms."""

import json
from pathlib import Path
from typing import Any

import pytest

from judgebench.models.scripted import ScriptedModel, playing, reply
from judgebench.records import Request, Score
from judgebench.run.folder import RunFolder
from tests.commands import judgebench

TASK = """
kind = "rubric"
prompts = "prompts.jsonl"
variants = { slot = "<WHERE>", column = "places", count = 2 }

[rubric]
scale = [0, 10]
per = "answer"
names = "names.txt"
lower = "lower.txt"
"""
REPLY = "Time 3:4 is odd.\n\n[Scores]\n\n- Clear: 8\nDull: 1\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a benchmark of one prompt in two forms."""
    monkeypatch.chdir(tmp_path)
    Path("task.toml").write_text(TASK)
    Path("names.txt").write_text("Clear\n\n Dull \n")
    Path("lower.txt").write_text("Dull\n")
    row = {"id": "a", "instruction": "Describe a day in <WHERE>.", "places": ["a port", "a mine", "a train"]}
    Path("prompts.jsonl").write_text(json.dumps(row) + "\n")
    Path("answers.jsonl").write_text('{"id": "a-1", "output": "Grey."}\n{"id": "a-2", "output": "Dark."}\n')
    return tmp_path


def evaluated() -> tuple[dict[str, Score], list[Request]]:
    """The scores of the answers by a judge that gives this reply, and what it was asked."""
    asked: list[Request] = []

    def grade(request: Request) -> Any:
        asked.append(request)
        return reply(REPLY)

    with playing(ScriptedModel(grade)) as spec:
        judgebench(["eval", "--model", "file:answers.jsonl", "--tasks", "task.toml", "--judge", spec, "--out", "run"])
    found = {one.metric: one for one in RunFolder(Path("run")).results().scores if one.group is None}
    return found, asked


def test_one_reply_grades_all_criteria(place: Path) -> None:
    """The house prompt lists them, and says where less is better; the clock and the dash are upstream's grades."""
    found, asked = evaluated()
    texts = [request.messages[-1].content for request in asked]
    assert len(texts) == 2
    assert all("- Clear\n- Dull\n" in text and "a low number is good: Dull." in text for text in texts)
    assert {"a port" in text for text in texts} == {True, False}
    assert found["score"].value == pytest.approx((4 + 8 + (10 - 1)) / 3)
    assert found["score_percent"].value == pytest.approx(70)
    assert found["score"].details["read_otherwise"] == 2
    assert found["score"].n == 2


def test_the_strict_reading_is_a_key(place: Path) -> None:
    """Of the table ``[verdict]``: only criteria count, whatever stands around their names."""
    Path("task.toml").write_text(f"{TASK}\n[verdict]\nstrict = true\n")
    found, _ = evaluated()
    assert found["score"].value == pytest.approx((8 + 9) / 2)
    assert found["score"].details["upstream"]["value"] == pytest.approx(7)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("scale = [0, 10]", "shortest = 5", "rubric.shortest belongs to a rubric with a scale"),
        ('lower = "lower.txt"', "pooled = true", "rubric.pooled is for grades that are asked for one by one"),
        ("names.txt", "none.txt", "'none.txt' is not a file"),
        ('"places"', '"seeds"', "'seeds' must be a list of texts"),
        ("count = 2", "count = 0", "whole number >= 1"),
    ],
)
def test_what_does_not_fit_is_named(place: Path, old: str, new: str, told: str) -> None:
    """With the file, its line and the key."""
    assert old in TASK
    Path("task.toml").write_text(TASK.replace(old, new))
    ended = judgebench(["eval", "--model", "builtin:tiny", "--tasks", "task.toml", "--out", "run"], code=2)
    assert told in " ".join(ended.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"criterion": 2, "value": 1}, "'criterion' must be a name, or the index from 0 of one of the 2 criteria"),
        ({"criterion": "Dull", "value": "good"}, "'value' must be a number"),
        ({"criterion": 0, "value": 7}, "there is a grade of 'Clear' for this answer already"),
    ],
)
def test_a_row_for_each_grade_is_one_of_a_criterion(place: Path, row: dict[str, Any], told: str) -> None:
    """By its number or its name, once for each answer."""
    first = {"id": "a", "attempt": 0, "criterion": "Clear", "value": 8}
    Path("verdicts.jsonl").write_text("".join(json.dumps({**first, **more}) + "\n" for more in ({}, row)))
    into = ["--task", "task.toml", "--out", "theirs"]
    ended = judgebench(["import", "verdicts.jsonl", "--from", "verdicts", *into], code=2)
    assert "verdicts.jsonl:2" in ended.stderr
    assert told in ended.stderr


@pytest.mark.parametrize("value", ['"good"', '{"Clear": "8"}', "11", '{"Clear": true}'])
def test_grades_made_elsewhere_are_numbers(place: Path, value: str) -> None:
    """Each by a name, or the mean of all on the scale."""
    Path("verdicts.jsonl").write_text(
        f'{{"id": "a-1", "value": {{"Clear": 8, "Dull": 1}}}}\n{{"id": "a-2", "value": {value}}}\n'
    )
    into = ["--task", "task.toml", "--out", "theirs"]
    ended = judgebench(["import", "verdicts.jsonl", "--from", "verdicts", *into], code=2)
    assert "verdicts.jsonl:2" in ended.stderr
    assert "'value' must be" in ended.stderr
