"""``judgebench selftest``: published scores from what ships, beside the published ones."""

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from judgebench import tasks
from judgebench.analysis.published import published_rows
from judgebench.data.resources import resource
from judgebench.errors import SourceMissing
from judgebench.exchange import selftest
from judgebench.exchange.selftest import recomputed, shipped, task_label, task_name
from scripts.make_selftest_numbers import files
from tests.commands import Command, judgebench
from tests.shared_data import SHARED, SharedData

FOLDER = resource("leaderboards") / "selftest"
BY_TASK = {file.task: file for file in shipped()}
SHIPPED = ("alpacaeval", "arenahard", "gsm8k", "ifeval", "math", "mtbench", "wildbench")
ROOT = Path(__file__).parents[2]

OFFICIAL = ("test", "train")


def test_the_numbers_are_what_their_program_makes() -> None:
    """``scripts/make_selftest_numbers.py`` makes each file from the published data, byte for byte; 300 kB in all."""
    for kind in ("alpacaeval", "gsm8k", "ifeval", "math", "mt_bench"):
        data = SharedData(kind).path.parent
    made = files(data)
    here = {path.name: path.read_bytes().decode() for path in FOLDER.iterdir() if path.suffix != ".toml"}
    assert here.keys() == made.keys()
    assert [name for name, text in made.items() if here[name] != text] == []
    assert sum(map(len, here.values())) < 300_000


@pytest.fixture(scope="module")
def shown() -> list[str]:
    """What the page's one command prints: everything that ships, computed."""
    words = (ROOT / "docs" / "selftest.md").read_text().partition("```\n")[2].partition("\n```")[0].split()
    assert words == ["judgebench", "selftest"]
    return judgebench(words[1:], COLUMNS="80").stdout.splitlines()


def test_the_command_prints_both_numbers_of_each_score(shown: list[str]) -> None:
    """36 of 38 scores of seven benchmarks are the published ones, to the digit; the others have a star and a reason."""
    text = " ".join(" ".join(shown).split())
    assert "36 of 38 numbers are the published ones, to the digit" in text
    assert [line.split()[1] for line in shown if " * " in line and line.startswith("│")] == [
        "vicuna-13b-v1.5",
        "alpaca-7b_verbose",
    ]
    assert "* lc_win_rate of vicuna-13b-v1.5: upstream chooses C by cross-validation" in text
    assert "│ gpt-4-0613 │ 37.90 │ 34.01 – 41.95 │ 500 │ 37.90 │" in text
    assert "nothing to compute for creativewriting, followbench, healthbench" in text
    assert "in no mirror (--mirror DIR), so that they were not verified: NullModel on alpacaeval@2" in text
    for task in SHIPPED:
        assert f"│ {task}@" in text


def test_the_readme_quotes_it(shown: list[str]) -> None:
    """Five lines, as they are printed; and both pages have its count."""
    readme = (ROOT / "README.md").read_text()
    quoted = [line for line in readme.splitlines() if line.startswith(("┃", "│"))]
    assert len(quoted) == 5
    assert [line for line in quoted if line not in shown] == []
    for page, sentence in (
        ("README.md", "recomputes 38 published numbers of"),
        ("docs/quick-start.md", "computes 38 published scores of seven benchmarks"),
        ("docs/selftest.md", "Of 38 scores 36 are\nthe published ones, to the digit; the other two"),
    ):
        assert sentence in (ROOT / page).read_text()


def test_alpacaevals_scores_are_those_of_a_run() -> None:
    """Length-controlled and plain, of a model with the published C: equal in print, with the interval of a run."""
    rows = list(recomputed(BY_TASK["alpacaeval@2"], ["claude"]))
    assert [(row.metric, row.equal, row.why) for row in rows] == [("lc_win_rate", True, None), ("win_rate", True, None)]
    assert [row.ours.n for row in rows] == [805, 805]
    assert rows[0].ours.low == pytest.approx(23.94, abs=0.005)
    assert rows[0].ours.details["C"] > 0
    assert rows[1].ours.value == pytest.approx(rows[1].published, abs=1e-7)


def test_a_number_that_upstream_got_by_another_rule_is_explained() -> None:
    """The published rate of a file that lacks rows follows from other instructions' difficulties, and that is said."""
    row, _ = recomputed(BY_TASK["alpacaeval@2"], ["alpaca-7b_verbose"])
    assert not row.equal
    assert row.ours.value is not None
    assert abs(row.ours.value - row.published) > 1
    assert row.why is not None
    assert row.why.startswith("upstream looks an instruction's difficulty up by its row in the file")


def test_a_difference_without_a_reason_is_a_fault(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number is marked, and the command ends with 4: nothing but a gate ends with 1."""
    file = BY_TASK["ifeval@1"]
    model, other = file.models.values()
    wrong = msgspec.structs.replace(model, published={**model.published, "prompt_level_strict_acc": 68.59})
    named = dict(zip(file.models, (wrong, other), strict=True))
    monkeypatch.setattr(selftest, "shipped", lambda: [msgspec.structs.replace(file, models=named)])
    ended = command("selftest", "--task", "ifeval")
    assert ended.code == 4
    assert "68.58 ! │" in ended.out
    assert "3 of 4 numbers are the published ones" in ended.out
    assert ended.err.startswith(
        "judgebench: this installation computes other numbers than were published, and no reason"
    )
    assert "prompt_level_strict_acc of claude-3-haiku-20240307 on ifeval@1" in ended.err


def test_an_explanation_ends_where_its_bound_does() -> None:
    """A number further off than the reason allows is a fault, reason or not."""
    (row, _) = recomputed(BY_TASK["alpacaeval@2"], ["vicuna-13b-v1.5"])
    assert row.why is not None
    assert msgspec.structs.replace(row, published=row.published - 0.2).why is None


@pytest.mark.parametrize("task", [file.task for file in BY_TASK.values()])
def test_every_file_is_of_a_benchmark_and_names_its_sources(task: str) -> None:
    """Each label is one that ``--tasks`` takes; each published score is the table's, or has a source of its own."""
    file = BY_TASK[task]
    (spec,) = tasks.parse_specs(task)
    loaded, _ = tasks.load(spec)
    table = file.table or task_label(task)
    rows = {row.model: row for row in published_rows(table) if row.task == table} if file.of_table else {}
    for model in file.of_table:
        assert set(file.compared) <= set(rows[model].scores)
    for own in file.models.values():
        assert own.source
        assert len(own.values) == len(file.metrics) * len(file.items)
        assert set(own.published) <= {metric.name for metric in loaded.metrics}


def test_published_answers_in_a_mirror_are_verified(command: Command, shared_data: SharedData, tmp_path: Path) -> None:
    """1,319 real answers to GSM8K give the accuracy that ZeroEval published of them; the file is found by its bytes."""
    answers = SharedData("gsm8k").path / "responses" / "zeroeval-gpt-4o-2024-08-06.jsonl.gz"
    for number, path in enumerate((answers, *(SHARED / "upstream" / f"gsm8k.{name}.jsonl.gz" for name in OFFICIAL))):
        shutil.copy(path, tmp_path / f"{number}.gz")
    ended = command("selftest", "--task", "gsm8k", "--mirror", tmp_path, "--json")
    assert ended.code == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    assert (found["equal"], found["faults"], found["not_here"]) == (3, 0, [])
    (row,) = (row for row in found["scores"] if row["from"] == "the published file")
    assert (row["task"], row["metric"], row["n"], round(row["value"], 2)) == ("gsm8k@chat", "numeric", 1319, 96.21)
    assert row["published_value"] == 96.21


def test_only_official_files_whose_numbers_ship_are_read() -> None:
    """Any other is said to be missing, as an official file is that is nowhere."""
    task, _ = tasks.load(tasks.parse_one_spec("alpacaeval"))
    with pytest.raises(SourceMissing, match="the numbers of the official file baseline-2 of alpacaeval"):
        selftest._shipped_file(task.name, "baseline-2")
    assert selftest._shipped_file(task.name, "gamed").startswith(b"preference,index")


def test_an_unknown_benchmark_is_refused(command: Command) -> None:
    """With the nearest name."""
    assert "no task is called 'gsm9k' (did you mean gsm8k?)" in command("selftest", "--task", "gsm9k").paragraph


def test_every_benchmark_with_a_file_is_bundled() -> None:
    """The seven first benchmarks have numbers, and the whole files are of these."""
    assert {task_name(task) for task in BY_TASK} == set(SHIPPED)
    assert {task_name(file.task) for file in selftest._files()} <= {task_name(task) for task in BY_TASK}
