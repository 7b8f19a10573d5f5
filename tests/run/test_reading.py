"""A run folder is read whole or refused with a sentence; among many, a broken one does not hide the others."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from judgebench.errors import RecordError, UsageError
from judgebench.records import ExampleScore
from judgebench.run.folder import RunFolder
from judgebench.run.reading import find_runs, read_run, read_runs
from tests.made_runs import JUDGED, write_totals


def test_a_run_comes_back(tmp_path: Path) -> None:
    """Scores and findings of each task, groups too; what is larger is read when it is asked for."""
    rows = [ExampleScore(example_id="q", metric="preference", value=0.5)]
    run = read_run(write_totals(tmp_path / "a", "m", 50.0, flags=("constant_output",), example_scores=rows))
    assert (run.path, run.manifest.candidate, list(run.tasks)) == (tmp_path / "a", "m", ["alpacaeval"])
    task = run.tasks["alpacaeval"]
    assert [(s.metric, s.group) for s in task.scores][-1] == ("lc_win_rate", "subset=koala")
    assert [finding.check for finding in task.findings if finding.flagged] == ["constant_output"]
    assert task.example_scores() == rows
    assert (task.examples(), task.generations(), task.judgements()) == ((), {}, [])


def test_runs_are_found_once_and_anywhere_below(tmp_path: Path) -> None:
    """A folder and a folder above it name the same run; a run's own folders hold no further ones."""
    run = write_totals(tmp_path / "deep" / "model" / "run", "m", 1.0)
    write_totals(run / "alpacaeval", "inside", 1.0)
    (tmp_path / "link").symlink_to(run)
    assert find_runs([tmp_path, run, run / "..", tmp_path / "deep", tmp_path / "link"]) == [run]
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="holds no run folder"):
        find_runs([tmp_path / "empty"])
    for name in ("file", "nothing"):
        with pytest.raises(UsageError, match=f"{name} is not a folder"):
            find_runs([tmp_path / name])


def cut(path: Path) -> None:
    """A file of which a part was written."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def of_version(path: Path, version: object) -> None:
    """A manifest that says it is of another version."""
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, "version": version}))


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (lambda run: (run / "manifest.json").unlink(), r"is not a run folder: it has no manifest\.json"),
    "a manifest cut off": (lambda run: cut(run / "manifest.json"), r"manifest\.json is not a manifest"),
    "another program's manifest": (
        lambda run: (run / "manifest.json").write_text('{"name": "app", "icons": []}'),
        r"manifest\.json is not a manifest",
    ),
    "a newer version": (lambda run: of_version(run, 2), "has version 2, but this judgebench reads version 1"),
    "an older version": (lambda run: of_version(run, 0), "has version 0"),
    "a version that is none": (lambda run: of_version(run, "x"), r"manifest\.json is not a manifest"),
    "half finished": (lambda run: (run / "results.json").unlink(), "has no results yet: its run did not end"),
    "results cut off": (lambda run: cut(run / "results.json"), r"results\.json is not a results file"),
    "no JSON": (lambda run: (run / "manifest.json").write_bytes(b"\x00\xff\xfe"), "is not a manifest"),
    "half a character": (
        lambda run: (run / "results.json").write_bytes(
            (run / "results.json").read_bytes().replace(b'"seen"', b'"\\ud800"').replace(b"model", b"\xed\xa0\x80")
        ),
        "is not a results file",
    ),
    "too deep": (lambda run: (run / "manifest.json").write_text('{"version":' + "[" * 100_000), "is not a manifest"),
    "a folder for a file": (
        lambda run: (run / "results.json").rename(run / "other.json").with_name("results.json").mkdir(),
        r"results\.json is not a results file",
    ),
}


def test_a_run_that_is_worked_on_is_not_said_to_have_ended(tmp_path: Path) -> None:
    """It has no results before it ends, and nobody is told to start it a second time."""
    write_totals(tmp_path / "run", "m", 50.0)
    (tmp_path / "run" / "results.json").unlink()
    with RunFolder(tmp_path / "run").locked(), pytest.raises(UsageError, match="a process works on it now"):
        read_run(tmp_path / "run")


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_run_is_an_error_by_name_and_a_line_among_others(tmp_path: Path, kind: str) -> None:
    """Named directly it ends the command with exit 2 and one paragraph; below a named folder it is left out."""
    for name in ("good", "broken"):
        write_totals(tmp_path / name, name, 50.0, flags=("f",))
    spoil, said = BROKEN[kind]
    spoil(tmp_path / "broken")
    with pytest.raises(UsageError, match=said) as caught:
        read_run(tmp_path / "broken")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    runs = read_runs([tmp_path])
    assert [run.manifest.candidate for run in runs.readable] == ["good"]
    if kind != "no manifest":  # without one it is a folder like any other
        assert [one.path for one in runs.unreadable] == [tmp_path / "broken"]
        assert re.search(said, runs.unreadable[0].reason)
        with pytest.raises(UsageError, match=said):
            read_runs([tmp_path / "broken"])


@pytest.mark.parametrize("name", ["nothing", "file"])
def test_what_is_no_folder_is_said(tmp_path: Path, name: str) -> None:
    """Missing, or a file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"expected a run folder, but .* is (a file|not there)"):
        read_run(tmp_path / name)


def test_scores_of_examples_must_be_whole(tmp_path: Path) -> None:
    """Missing, cut off, another's or reported by another program: each is an error that says what to do."""
    rows = [ExampleScore(example_id=f"q{k}", metric="preference", value=0.5) for k in range(3)]
    task = read_run(write_totals(tmp_path / "a", "m", 50.0, example_scores=rows)).tasks["alpacaeval"]
    path = tmp_path / "a" / "alpacaeval" / "example_scores.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    with pytest.raises(UsageError, match=r"is cut off.*judgebench score"):
        task.example_scores()
    path.write_bytes(whole + b'{"unheard": "of"}\n')
    with pytest.raises(RecordError, match=r"example_scores\.jsonl:4: not a ExampleScore record"):
        task.example_scores()
    path.write_bytes(b"")
    assert task.example_scores() == []
    path.unlink()
    with pytest.raises(UsageError, match="is missing; run `judgebench score"):
        task.example_scores()
    reported = read_run(write_totals(tmp_path / "b", "m", 50.0, protocol={**JUDGED, "reported_by": "lm-eval 0.4"}))
    with pytest.raises(UsageError, match=r"as lm-eval 0\.4 computed them"):
        reported.tasks["alpacaeval"].example_scores()


def test_the_command_lists_what_it_leaves_out(tmp_path: Path) -> None:
    """On stderr, one line each, with its reason as text; the table and exit 0 stand."""
    write_totals(tmp_path / "good", "good", 50.0)
    write_totals(tmp_path / "bro\x1bken", "broken", 50.0)
    (tmp_path / "bro\x1bken" / "results.json").unlink()
    command = [sys.executable, "-m", "judgebench", "leaderboard", str(tmp_path), "--format", "csv"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env={**os.environ})
    assert ended.returncode == 0
    assert ended.stderr.startswith("judgebench: left out: ")
    assert ended.stderr.count("\n") == 1
    assert "bro\\x1bken has no results yet" in ended.stderr
    assert ",good,False,lc_win_rate,50.0," in ended.stdout


def test_nothing_but_broken_runs_is_an_error(tmp_path: Path) -> None:
    """There is no table to show, so the error names the reasons."""
    write_totals(tmp_path / "a", "m", 50.0)
    (tmp_path / "a" / "results.json").unlink()
    command = [sys.executable, "-m", "judgebench", "leaderboard", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.returncode == 2
    assert "has no results yet" in ended.stderr
    assert "nothing to show" in ended.stderr.splitlines()[-1]
