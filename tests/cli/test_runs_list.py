"""``runs list``, and the summary that ``eval`` ends with: both say of a run what matters in a few lines."""

import fcntl
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from judgebench.cli.overviews import runs_sheet, summary
from judgebench.records import StageCounts, Usage
from judgebench.run.folder import LOCK, RunFolder, Session
from judgebench.run.overview import Overviews, RunOverview, TaskOverview, read_overviews
from judgebench.run.reading import read_run
from tests.commands import Command, judgebench
from tests.made_runs import write_run


def test_the_newest_run_comes_first_with_its_headlines(tmp_path: Path, command: Command) -> None:
    """Path, model, each task's first metric, date, how it ended, fingerprint and cost; nothing but manifest and
    results is read.
    """
    write_run(tmp_path / "runs/old", [1, 1, 0, 0], model="first")
    new = write_run(tmp_path / "runs/deep/new", {"gsm8k": [1, 1, 1, 0], "math": [1, 0]}, model="second")
    folder = RunFolder(new.path)
    manifest = folder.require_manifest()
    manifest.name = "ours"
    manifest.finished_at = "2026-11-30T08:49:00Z"
    counts = {"gsm8k": {"generate": StageCounts(usd=0.0421, unpriced=Usage(prompt_tokens=3))}}
    manifest.sessions.append(Session(argv=[], started_at="2026-11-30T08:48:00Z", counts=counts, seconds=60.0))
    folder.write_manifest(manifest)
    for task in ("gsm8k", "math"):
        shutil.rmtree(new.path / task)

    listed = json.loads(command("runs", "list", tmp_path / "runs", "--json").out)
    assert [Path(run["path"]).name for run in listed] == ["new", "old"]
    assert listed[0] == {
        "path": str(new.path),
        "name": "ours",
        "model": "second",
        "status": "complete",
        "imported_from": None,
        "date": "2026-11-30T08:49:00Z",
        "protocol": manifest.protocol_hash[7:15],
        "usd": 0.0421,
        "seconds": 60.0,
        "tasks": listed[0]["tasks"],
    }
    first, second = listed[0]["tasks"]
    assert (first["task"], first["metric"], first["value"], first["n"]) == ("gsm8k@chat", "exact_match_strict", 75, 4)
    assert (first["usd"], first["unpriced"], second["usd"], second["unpriced"]) == (0.0421, True, 0.0, False)
    text = judgebench(["runs", "list", tmp_path / "runs"], COLUMNS="200").stdout
    assert re.search(r" 1 +│ ours +│ gsm8k@chat 75\.00, math@chat 50\.00 +│ 2026-11-30 08:49 ", text), text
    assert text.endswith(f"\n  1  {new.path}\n  2  {tmp_path / 'runs/old'}\n")
    assert "0.0421+" in text


def test_a_path_stays_in_one_piece_and_a_missing_number_has_its_reason(tmp_path: Path) -> None:
    """On 80 columns the paths stand below the table, to be copied; the name stays, and what is not scored says so."""
    run = write_run(tmp_path / "runs/with-a-name-that-is-long/and-another-one-below-it", [1, 0], status="interrupted")
    (run.path / "results.json").unlink()
    text = judgebench(["runs", "list", tmp_path / "runs"], COLUMNS="80").stdout
    assert text.splitlines()[-1] == f"  1  {run.path}"
    assert " name " in text
    assert "(not scored yet)" in judgebench(["runs", "list", tmp_path / "runs"], COLUMNS="200").stdout


def test_a_killed_run_is_told_from_one_under_way(tmp_path: Path) -> None:
    """Both manifests say ``running``; a process that works on a run holds its lock."""
    run = write_run(tmp_path / "run", [1, 0], status="running")
    (listed,) = read_overviews([run.path]).runs
    assert listed.status == read_run(run.path).status == "killed"
    assert "(killed)" in judgebench(["show", run.path]).stdout
    with (run.path / LOCK).open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        (listed,) = read_overviews([run.path]).runs
        assert listed.status == "running"
    (run.path / LOCK).unlink()
    os.mkfifo(run.path / LOCK)
    (listed,) = read_overviews([run.path]).runs
    assert listed.status == "killed"


def test_what_cannot_be_read_is_named_and_hides_nothing(tmp_path: Path, command: Command) -> None:
    """Folders of others, broken runs and pipes are named on stderr, ten of them; the other runs are listed."""
    write_run(tmp_path / "runs/good", [1, 0], model="\x1b[31mred\u202e")
    for number in range(12):
        (tmp_path / f"runs/broken-{number}").mkdir()
        (tmp_path / f"runs/broken-{number}/manifest.json").write_text("{")
    (tmp_path / "runs/pipe").mkdir()
    os.mkfifo(tmp_path / "runs/pipe/manifest.json")
    (tmp_path / "runs/notes").mkdir()
    (tmp_path / "runs/notes/read.me").write_text("no run")
    ended = command("runs", "list", tmp_path / "runs")
    assert ended.code == 0
    assert r"\x1b[31mred\u202e" in judgebench(["runs", "list", tmp_path / "runs"], COLUMNS="200").stdout
    lines = ended.err.splitlines()
    assert len(lines) == 11
    assert all(line.startswith("judgebench: left out: ") for line in lines)
    assert "broken-0" in ended.err
    assert lines[-1] == "judgebench: left out: 3 more that cannot be read"


def test_no_runs_are_no_mistake(tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first ``eval`` there is no folder ``runs``; a folder that was named and is not there is an error."""
    monkeypatch.chdir(tmp_path)
    assert command("runs", "list").out == "no runs here yet; judgebench eval puts them into runs/\n"
    assert json.loads(command("runs", "list", "--json").out) == []
    assert "elsewhere is not a folder" in command("runs", "list", "elsewhere").paragraph


def test_many_runs_are_cut_unless_all_are_asked_for(tmp_path: Path, command: Command) -> None:
    """Twenty are shown, the newest; the rest is counted."""
    run = write_run(tmp_path / "runs/m/0", [1, 0])
    for number in range(1, 25):
        shutil.copytree(run.path, tmp_path / f"runs/m/{number}")
    text = command("runs", "list", tmp_path / "runs").out
    assert "… 5 more runs: --all" in text
    assert text.count("gsm8k@chat") == 20
    assert command("runs", "list", tmp_path / "runs", "--all").out.count("gsm8k@chat") == 25


def test_the_summary_says_why_a_task_has_no_interval() -> None:
    """A dash in its row, and a line with the reason below."""
    told = "no interval: all values are equal, so they show no spread"
    first = TaskOverview(task="a@1", metric="rate", value=1.0, unit="percent", low=0.5, high=1.5, n=9)
    second = TaskOverview(task="b@1", metric="score", value=2.0, unit="points", n=9, withheld=told)
    run = RunOverview(
        path="run", name="m", model="m", status="complete", imported_from=None, date="", protocol="", usd=0.0,
        seconds=1.0, tasks=(first, second),
    )  # fmt: skip
    sheet = summary(run, (), ("a note",))
    assert [row[3] for row in sheet.texts] == ["0.50 – 1.50", "–"]
    assert sheet.notes == (f"b@1: {told}", "a note")


def test_eval_ends_with_one_table_over_all_tasks(tmp_path: Path) -> None:
    """Headline, interval, n, missing, USD and time of each task, and below it the run's path; nothing comes after. One
    task needs no summary.
    """
    given = ["eval", "--model", "builtin:tiny", "--judge", "builtin:tiny", "--tasks", "alpacaeval,gsm8k", "--starter"]
    out = tmp_path / "run"
    text = judgebench([*given, "--out", out, "-q"], COLUMNS="200").stdout
    table = text[text.index("summary of builtin:tiny") :]
    assert re.search("task .* metric .* value .* 95 % interval .* n .* missing .* USD .* time ", table)
    assert re.search(
        r"gsm8k@cot8 +│ exact_match_strict +│ 25\.00 │ 10\.18 – 49\.50 │ 16 │ +0 │ 0\.00 │ 0:\d\d │", table
    )
    assert re.search(rf"  run folder: {re.escape(str(out))} \(complete(, \d+:\d\d)?\)\n$", table), table
    assert len(text.splitlines()) <= 65
    (run,) = json.loads(judgebench(["runs", "list", out, "--json"]).stdout)
    assert [task["metric"] for task in run["tasks"]] == ["lc_win_rate", "exact_match_strict"]
    assert all(task["seconds"] > 0 for task in run["tasks"])
    alone = judgebench([*given[:-2], "gsm8k", "--starter", "--out", tmp_path / "one", "-q"]).stdout
    assert "summary of" not in alone
    assert re.search(r"run folder: \S+ \(complete(, \d+:\d\d)?\)\n$", alone)


def test_a_run_of_many_tasks_has_a_few_of_them_in_the_list() -> None:
    """And how many more there are; four still stand there one by one."""
    for count in (4, 5):
        run = RunOverview(
            path="run", name="m", model="m", status="complete", imported_from=None, date="", protocol="", usd=0.0,
            seconds=1.0, tasks=tuple(TaskOverview(task=f"t{n}", metric="m", value=50.0) for n in range(count)),
        )  # fmt: skip
        ((_, _, tasks, *_),) = runs_sheet(Overviews(runs=(run,), unreadable=()), everything=False).texts
        assert tasks.endswith(", t3 50.00" if count == 4 else "t0 50.00, t1 50.00, t2 50.00 + 2 more")
