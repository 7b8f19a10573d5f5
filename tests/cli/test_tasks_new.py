"""``tasks new`` writes a benchmark of each kind, which passes every check and runs at once with the built-in model."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from judgebench.run.folder import RunFolder
from judgebench.tasks import names
from judgebench.tasks.check import check_task
from judgebench.tasks.new import Kind
from tests.commands import Command, judgebench

pytest.importorskip("torch")
REPOSITORY = Path(__file__).parents[2]

SCORES = {
    # The judge's likeliest rating.
    "judged": {"rating": 7.0},
    # "Counting them gives 42", to every question that asks how many: right for the first.
    "verified": {"accuracy": 100 / 12},
    # The judge prefers what it is shown first, and sees each pair in both orders.
    "pairwise": {"win_rate": 50.0},
    # The judge says yes to everything. In two items one of the criteria costs a point: 1 of 2 points, twice.
    "rubric": {"score": 100 * (10 + 0.5 + 0.5) / 12, "all_met": 100 * 10 / 12},
}
"""What the built-in model gets on paper."""


def test_the_kinds_are_those_that_are_tried_here() -> None:
    """A new kind needs a row in the table above."""
    assert set(get_args(Kind)) == set(SCORES)


@pytest.mark.parametrize("kind", sorted(SCORES))
def test_a_new_benchmark_passes_the_checks_and_runs(
    kind: str, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands that are printed work as they stand; the numbers are those on paper."""
    monkeypatch.chdir(tmp_path)
    written = command("tasks", "new", "street-names", "--kind", kind)
    assert written.code == 0, written.err
    assert {check.what: check.problem for check in check_task("./street-names") if check.problem} == {}
    assert not any("MY-TASK" in path.read_text() for path in Path("street-names").iterdir() if path.is_file())

    printed = next(line for line in written.out.splitlines() if "judgebench eval" in line)
    ended = command(*printed.split()[1:], "--out", "run", "--json", "--quiet")
    assert ended.code == 0, ended.err
    found = {score["metric"]: score for score in json.loads(ended.out)["scores"] if score["group"] is None}
    assert {name: found[name]["value"] for name in SCORES[kind]} == pytest.approx(SCORES[kind])
    assert {(found[name]["n"], found[name]["n_missing"]) for name in SCORES[kind]} == {(12, 0)}
    assert not RunFolder(tmp_path / "run").require_manifest().tasks["street-names"].starter

    described = command("tasks", "info", "./street-names", "--json")
    assert json.loads(described.out)["metrics"] == list(SCORES[kind])
    compared = command("compare", "run", "run", "--tasks", "./street-names", "--format", "json")
    assert compared.code == 0, compared.err


def test_a_name_that_cannot_be_is_refused(tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written then, and a folder that is there stays as it is."""
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("keep me")
    for name, said in {
        "Street Names": "small letters",
        "../out": "small letters",
        "alpacaeval": "exists already",
        "mine": "nothing in it was changed",
    }.items():
        assert said in command("tasks", "new", name).paragraph
    assert "judged, verified, pairwise, rubric" in command("tasks", "new", "yours", "--kind", "poll").paragraph
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["mine", "notes.txt"]


QUESTIONS = [{"id": f"q{n}", "question": f"What is {n} and {n}?", "answer": str(2 * n)} for n in range(5)]


def own_questions(folder: Path, kind: str = "verified") -> Path:
    """A benchmark of five questions of one's own."""
    judgebench(["tasks", "new", "sums", "--kind", kind, "--out", folder])
    rows = QUESTIONS if kind == "verified" else [{"id": row["id"], "question": row["question"]} for row in QUESTIONS]
    (folder / "sums" / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "sums"


def test_five_questions_are_enough(tmp_path: Path) -> None:
    """As the written README says; a question without an id is called by the number of its row, as in a TOML file."""
    folder = own_questions(tmp_path)
    items = folder / "items.jsonl"
    rows = [json.loads(line) for line in items.read_text().splitlines()]
    items.write_text("".join(json.dumps({k: v for k, v in row.items() if k != "id"}) + "\n" for row in rows))
    judgebench(["tasks", "check", folder])
    printed = judgebench(["tasks", "examples", folder]).stdout.splitlines()
    assert [json.loads(line)["id"] for line in printed] == ["0", "1", "2", "3", "4"]


def test_a_wrong_row_is_named_by_file_and_line(tmp_path: Path) -> None:
    """With the fields there are, and not as a bug or a file of upstream's."""
    folder = own_questions(tmp_path)
    items = folder / "items.jsonl"
    good = items.read_text()
    for row, told in {
        '{"id": "q9", "question": "?", "answer": "1", "topic": "x"}': (
            "unknown field topic; fields are id (optional), question"
        ),
        '{"id": "q9", "question": "?"}': (
            "the field answer is missing; fields are id (optional), question, answer, category"
        ),
        '{"id": "q9", "question": 7, "answer": "1"}': "Expected `str`, got `int` in question; fields are",
        "{'id'}": "not a row of JSON",
    }.items():
        items.write_text(good + "\n" + row + "\n")
        refused = judgebench(["eval", "--model", "builtin:tiny", "--tasks", folder], code=2).stderr
        assert f"items.jsonl:7: {told}" in " ".join(refused.split())
        assert "upstream" not in refused
    items.write_text("")
    assert "items.jsonl holds no rows" in judgebench(["tasks", "check", folder], code=2).stderr


def test_what_is_printed_as_the_next_command_works(tmp_path: Path) -> None:
    """It names the file of the run's task again, which no run folder may do."""
    folder, out = own_questions(tmp_path), tmp_path / "run"
    told = judgebench(["eval", "--model", "builtin:tiny", "--tasks", folder, "--out", out]).stdout
    command = f"judgebench show {out} --tasks {folder}"
    assert command in told
    assert f"next: {command} …" in " ".join(judgebench(command.split()[1:]).stdout.split())


def test_a_folder_beside_that_lacks_its_dot_is_proposed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``mybench`` is a name; ``./mybench`` is a folder, and ``./mybench.toml`` a file."""
    own_questions(tmp_path)
    (tmp_path / "other.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    for name, path in (("sums", "./sums"), ("other", "./other.toml")):
        refused = judgebench(["eval", "--model", "builtin:tiny", "--tasks", name], code=2).stderr
        assert f"no task is called '{name}', but {path} is one: write {path}" in refused


def test_a_judged_benchmark_without_an_official_judge_says_so(tmp_path: Path) -> None:
    """Only the answers of a verified one are verified."""
    judged = own_questions(tmp_path, "judged")
    assert "judge: none official; give --judge" in judgebench(["tasks", "info", judged]).stdout
    assert "judge: none: answers are verified" in judgebench(["tasks", "info", "gsm8k"]).stdout


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_the_questions_are_a_file_of_answers_to_fill_in(form: str, tmp_path: Path) -> None:
    """No model has to run to see them, and ``file:`` reads what was filled in."""
    folder, path = own_questions(tmp_path), tmp_path / f"answers.{form}"
    blank = judgebench(["tasks", "examples", folder, "--format", form, "--limit", 4]).stdout
    if form == "jsonl":
        rows = [json.loads(line) for line in blank.splitlines()]
        assert rows[3] == {"id": "q3", "instruction": rows[3]["instruction"], "output": None}
        assert rows[3]["instruction"].startswith("What is 3 and 3?")
        path.write_text("".join(json.dumps({**row, "output": "It is 6."}) + "\n" for row in rows))
    else:
        lines = list(csv.reader(io.StringIO(blank)))
        assert lines[0] == ["id", "instruction", "output"]
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([lines[0], *([*line[:2], "It is 6."] for line in lines[1:])])
    judgebench(["eval", "--model", f"file:{path}", "--tasks", folder, "--limit", 4, "--out", tmp_path / "run"])
    (score,) = json.loads((tmp_path / "run" / "results.json").read_text())["scores"][:1]
    assert (score["value"], score["n"]) == (25.0, 4)


def test_a_question_of_several_turns_has_as_many_outputs_to_fill_in() -> None:
    """References are left out unless asked for."""
    command = ["tasks", "examples", "mtbench", "--starter", "--limit", 1]
    (row,) = map(json.loads, judgebench(command).stdout.splitlines())
    assert len(row["instruction"]) == len(row["output"]) == 2
    assert "references" not in row
    assert "references" in json.loads(judgebench([*command, "--references"]).stdout)
    assert "use jsonl" in judgebench([*command, "--format", "csv"], code=2).stderr


@pytest.mark.parametrize("task", names())
def test_bundled_starter_sets_have_eight_examples_or_more(task: str) -> None:
    """As the quick start says. A benchmark of one's own may have fewer."""
    shown = judgebench(["tasks", "examples", task, "--starter"]).stdout
    assert len(shown.splitlines()) >= 8


def test_a_place_that_cannot_be_written_is_said(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that points nowhere is there already; a file is no folder to write in."""
    monkeypatch.chdir(tmp_path)
    Path("dangling").symlink_to("nowhere")
    Path("file").write_text("")
    assert "dangling exists already" in command("tasks", "new", "dangling", "--kind", "judged").paragraph
    said = command("tasks", "new", "mine", "--kind", "judged", "--out", "file").paragraph
    assert "file/mine cannot be written" in said
    assert "give a folder that can be written to with --out" in said


def test_what_is_written_passes_the_type_check(tmp_path: Path, command: Command) -> None:
    """``mypy --strict`` finds nothing in any kind's ``task.py``: an editor shows a new author no error that is ours."""
    files = []
    for kind in sorted(SCORES):
        assert command("tasks", "new", kind, "--kind", kind, "--out", tmp_path).code == 0
        files.append((tmp_path / kind / "task.py").rename(tmp_path / f"{kind}_task.py"))
    pytest.importorskip("mypy")
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *files], capture_output=True, text=True, check=False, cwd=REPOSITORY
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
