"""``tasks new`` writes a benchmark of each kind, which passes every check and runs at once with the built-in model."""

import json
from pathlib import Path
from typing import get_args

import pytest

from judgebench.run.folder import RunFolder
from judgebench.tasks.check import check_task
from judgebench.tasks.new import Kind
from tests.commands import Command

pytest.importorskip("torch")

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
    assert not any("MY-TASK" in path.read_text() for path in Path("street-names").iterdir())

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
