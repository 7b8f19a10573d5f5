"""``file:answers.json``: which fields it has, and how ``--fields`` names others."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import judgebench as api
from judgebench.data.rows import read_rows
from judgebench.records import Example, Message
from judgebench.run.folder import RunFolder
from judgebench.task import TaskData
from judgebench.task.answers import read_answers

from ..commands import Command, judgebench
from .test_where import BY_JUDGE, models  # noqa: F401 - a fixture

IDS = [f"starter-{number:02d}" for number in range(1, 17)]
EVAL = ("eval", "--starter", "--quiet", "--tasks")


def written(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A file with these rows."""
    path.write_text(json.dumps(rows))
    return path


def rows(id_field: str = "id", output: str = "output", text: str = "The answer is 4.") -> list[dict[str, Any]]:
    """An answer to each example of a starter set."""
    return [{id_field: name, output: f"{text} {name}"} for name in IDS]


def outputs(folder: Path, task: str = "gsm8k") -> dict[str, str]:
    """The answers in a run folder."""
    return {one.example_id: one.outputs[0] for one in RunFolder(folder).task(task).generations()}


@pytest.mark.parametrize(
    "flags", [["--fields", "id=key,output=response"], ["--fields", "id=key", "--fields", "output=response"]]
)
def test_fields_of_an_answer_file_can_be_named(tmp_path: Path, flags: list[str]) -> None:
    """In one text or several; the run is that of a file with our names."""
    ours = written(tmp_path / "ours.json", [{**row, "generator": "m"} for row in rows()])
    theirs = written(tmp_path / "theirs.json", [{**row, "generator": "m"} for row in rows("key", "response")])
    judgebench([*EVAL, "gsm8k", "--model", f"file:{ours}", "--out", tmp_path / "a"])
    judgebench([*EVAL, "gsm8k", "--model", f"file:{theirs}", *flags, "--out", tmp_path / "b"])
    assert outputs(tmp_path / "b") == outputs(tmp_path / "a") == {name: f"The answer is 4. {name}" for name in IDS}
    hashes = [RunFolder(tmp_path / name).require_manifest().protocol_hash for name in "ab"]
    assert hashes[0] == hashes[1]


def test_a_named_field_wins_over_one_with_our_name(tmp_path: Path) -> None:
    """In Python too."""
    both = [{**row, "output": "not this"} for row in rows("id", "final")]
    run = api.evaluate(
        f"file:{written(tmp_path / 'a.json', both)}", "gsm8k", fields={"output": "final"}, starter=True, progress=False,
        out=tmp_path / "run",
    )  # fmt: skip
    assert outputs(Path(run.path))["starter-01"] == "The answer is 4. starter-01"


def test_several_answers_to_an_item_are_numbered_attempts_and_their_number_is_that_of_repeats(tmp_path: Path) -> None:
    """In any order of the rows; ``--limit`` takes items, and ``pass@k`` counts a null as an answer that failed."""
    every = [{**row, "try": number} for number in (2, 0, 1, 3) for row in rows(text="It is 4.")]
    every[5]["output"] = None
    path = written(tmp_path / "four.json", every)
    eval_ = [*EVAL, "gsm8k", "--fields", "attempt=try", "--model", f"file:{path}"]
    judgebench([*eval_, "--limit", 3, "--out", tmp_path / "run"])
    folder, (task,) = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "run").require_manifest().tasks.values()
    found = outputs(tmp_path / "run")
    assert list(found) == [f"{name}#{number}" for name in IDS[:3] for number in range(4)]
    assert task.protocol["repeats"] == 4
    assert "pass@4" in {score.metric for score in folder.results().scores}


def test_attempts_that_do_not_fit_are_named(tmp_path: Path, command: Command) -> None:
    """So is a task without a metric over several answers, and a flag that asks a file for more."""
    twice = [{**row, "attempt": number} for row in rows() for number in range(2)]
    path = written(tmp_path / "two.json", twice[:-1])
    told = command(*EVAL, "gsm8k", "--model", f"file:{path}").paragraph
    assert "'attempt' of 'starter-16' is 0, where 0 to 1 are wanted" in told
    path = written(tmp_path / "two.json", twice)
    told = command(*EVAL, "ifeval", "--model", f"file:{path}").paragraph
    assert "holds 2 answers to each item, and ifeval" in told
    told = command(*EVAL, "gsm8k", "--model", f"file:{path}", "--repeats", 2).paragraph
    assert "numbered from 0 in a field 'attempt' of each row" in told
    told = command(*EVAL, "gsm8k", "--model", f"file:{written(path, [*rows(), *rows()])}").paragraph
    assert "number them from 0 in a field 'attempt' of each row" in told


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (
            {"key": "starter-01", "response": "x"},
            "are: key, response. Say what they are called here with --fields id=key,output=response",
        ),
        ({"number": 1, "output": "x"}, "are: number, output. Say what they are called here with --fields id=…"),
        ({"doc_id": 1, "words": "x"}, "--fields id=doc_id,output=…"),
    ],
)
def test_a_file_without_our_fields_says_which_it_needs(
    tmp_path: Path, command: Command, row: dict[str, Any], says: str
) -> None:
    """And proposes names where the file has usual ones."""
    path = written(tmp_path / "a.json", [row])
    told = command(*EVAL, "gsm8k", "--model", f"file:{path}").paragraph
    assert "each row of a file of answers needs 'output', and 'id' or 'instruction'" in told
    assert says in told


def test_a_file_whose_answers_are_under_another_name_says_how_to_name_it(tmp_path: Path, command: Command) -> None:
    """The proposed name is one of the file's."""
    path = written(tmp_path / "a.json", rows("id", "completion"))
    told = command(*EVAL, "gsm8k", "--model", f"file:{path}").paragraph
    assert "Name the right one with --fields output=completion" in told


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("output=none", "no row of the file holds an answer under 'none'"),
        ("answer=output", "write one of our names, instruction, id, output, generator, attempt, on the left"),
        ("output", "is not of the form KEY=VALUE"),
    ],
)
def test_a_field_that_is_not_there_is_refused(tmp_path: Path, command: Command, fields: str, says: str) -> None:
    """Nothing is taken in its place."""
    path = written(tmp_path / "a.json", rows())
    assert says in command(*EVAL, "gsm8k", "--model", f"file:{path}", "--fields", fields).paragraph


def test_fields_without_a_file_are_refused(command: Command) -> None:
    """They would change nothing."""
    told = command(*EVAL, "gsm8k", "--model", "openai:x", "--fields", "id=key").paragraph
    assert "neither --model file:F nor --baseline F is one here" in told


def test_a_baseline_file_may_have_the_named_fields_or_ours(
    models: Any,  # noqa: F811 - the fixture
    tmp_path: Path,
    command: Command,
) -> None:
    """Beside a candidate's file with other fields; alone, the names must be right."""
    model = written(tmp_path / "m.json", [{**row, "generator": "m"} for row in rows("key", "response")])
    ours = written(tmp_path / "ours.json", [{**row, "generator": "base"} for row in rows(text="Shorter.")])
    theirs = written(tmp_path / "t.json", [{**row, "generator": "base"} for row in rows("key", "response", "Shorter.")])
    flags = (*EVAL, "alpacaeval", *BY_JUDGE, "--fields", "id=key,output=response")
    judgebench([*flags, "--model", f"file:{model}", "--baseline", theirs, "--out", tmp_path / "a"])
    judgebench([*flags, "--model", f"file:{model}", "--baseline", ours, "--out", tmp_path / "b"])
    protocols = [RunFolder(tmp_path / name).require_manifest().protocol_hash for name in "ab"]
    assert protocols[0] == protocols[1]
    judgebench([*flags, "--model", "scripted:candidate", "--baseline", theirs, "--out", tmp_path / "c"])
    assert RunFolder(tmp_path / "c").require_manifest().protocol_hash == protocols[0]
    told = command(*flags, "--model", "scripted:candidate", "--baseline", ours).paragraph
    assert "each row of a file of answers needs 'response'" in told


def test_a_row_with_both_is_matched_by_its_id_where_that_has_the_question(tmp_path: Path, command: Command) -> None:
    """So ``tasks examples`` calls the question as the manual does, and its file is read with questions of several turns
    and of the same words; an id that is another program's own number does not count.
    """
    blank = [json.loads(line) for line in command("tasks", "examples", "mtbench", "--starter").out.splitlines()]
    assert list(blank[0]) == ["id", "instruction", "output"]
    assert isinstance(blank[0]["instruction"], list)
    examples = [Example(id=str(n), messages=(Message(role="user", content="Say yes."),)) for n in range(2)]
    examples.append(Example(id="turns", messages=(Message(role="user", content="One?"),), followups=("Two?",)))
    given = [(1, "Say yes.", "b"), ("turns", ["One?", "Two?"], ["c", "d"]), (0, "Say yes.", "a")]
    path = written(tmp_path / "a.json", [{"id": i, "instruction": q, "output": o} for i, q, o in given])
    data = TaskData(examples=tuple(examples), baselines={})
    found = {one.example_id: one.outputs for one in read_answers(read_rows(path), data).generations}
    assert found == {"0": ("a",), "1": ("b",), "turns": ("c", "d")}
    path = written(tmp_path / "b.json", [{"id": 1, "instruction": "One?", "output": ["c", "d"]}])
    assert [one.example_id for one in read_answers(read_rows(path), data).generations] == ["turns"]
