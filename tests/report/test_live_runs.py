"""Runs that go on: what their page says of numbers before the end, and how long one waits for a run to begin."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from judgebench.errors import UsageError
from judgebench.report.collect import collect
from judgebench.report.doubts import doubts, worst_first
from judgebench.report.live_runs import LONGEST_WAIT, LiveRuns, wait_for_runs
from judgebench.report.page import templates
from judgebench.report.score_tables import score_tables
from judgebench.report.serving import state_of
from judgebench.report.summary import leads
from judgebench.run.loading import source_finder
from judgebench.run.reading import Run, read_run
from judgebench.run.settings import settings_from_flags
from tests.commands import judgebench

TASKS = ("gsm8k", "arenahard")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two starter sets by the tiny model, at its end."""
    folder = tmp_path_factory.mktemp("live")
    words = ["eval", "-q", "--model", "builtin:tiny", "--judge", "builtin:tiny", "--tasks", ",".join(TASKS)]
    judgebench([*words, "--starter", "--limit", 4, "--out", "run"], cwd=folder)
    return folder / "run"


def begun(whole: Path, place: Path, **lines: int) -> LiveRuns:
    """The same run before it was scored, with the first lines of some files."""
    shutil.copytree(whole, place)
    (place / "results.json").unlink()
    told = json.loads((place / "manifest.json").read_text())
    (place / "manifest.json").write_text(json.dumps(told | {"status": "running"}))
    for task in TASKS:
        (place / task / "scores.json").unlink()
        (place / task / "example_scores.jsonl").unlink()
    (place / "gsm8k" / "judgements.jsonl").unlink()
    for name, count in lines.items():
        file = place / f"{name.replace('_', '/')}.jsonl"
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:count]))
    return LiveRuns([place], {}, source_finder(settings_from_flags({"tasks": ""})), {})


def numbers(run: Run, task: str) -> list[tuple[str, float | None, float | None, int]]:
    """The numbers of a task."""
    return [(one.metric, one.value, one.low, one.n) for one in run.tasks[task].scores]


def test_numbers_of_a_task_that_has_ended_are_those_of_the_end(whole: Path, tmp_path: Path) -> None:
    """Although nothing has been scored; nothing is written, and no rule is asked twice."""
    live = begun(whole, tmp_path / "run")
    before = state_of([tmp_path / "run"])
    (run,) = live.read()
    for task in ("gsm8k", "arenahard"):
        assert numbers(run, task) == numbers(read_run(whole), task)
        assert len(numbers(run, task)) > 1
    made = dict(live.checked.verdicts)
    live.read()
    assert all(live.checked.verdicts[key] is one for key, one in made.items())
    assert len(made) > 0
    assert state_of([tmp_path / "run"]) == before


def test_only_items_that_have_ended_count(whole: Path, tmp_path: Path) -> None:
    """Of two items that are judged, one lacks the game in the other order; the page says what the numbers are of."""
    live = begun(whole, tmp_path / "run", arenahard_judgements=3, gsm8k_generations=0)
    (run,) = live.read()
    own = run.tasks["arenahard"]
    assert own.so_far is not None
    assert (own.so_far.answered, own.so_far.judged, own.so_far.ended) == (4, 2, 1)
    assert {(one.n, one.n_missing) for one in own.scores if one.metric == "win_rate" and one.group is None} == {(1, 0)}
    assert run.tasks["gsm8k"].scores == ()
    report = collect([run], live.finder)
    told = [doubt.words for doubt in doubts(report)]
    assert [line.partition(": ")[2] for line in told if "items" in line] == [
        "so far 0 of 4 items are answered; there are no numbers yet",
        "so far 4 of 4 items are answered, 2 judged; the numbers are of 1 item, of which nothing more will come",
    ]
    assert [line.endswith("1 samples so far") for line in leads(report)] == [True]
    unscored = next(one for one in score_tables(report, groups=False) if one.task.label.startswith("gsm8k"))
    page = templates().get_template("scores.html.j2").module.scores(unscored)
    assert "there are no numbers yet" in page
    assert "<table" not in page


def test_answers_without_verdicts_have_no_numbers(whole: Path, tmp_path: Path) -> None:
    """All are answered and none is judged: the page says that verdicts are missing."""
    live = begun(whole, tmp_path / "run", arenahard_judgements=0)
    told = [doubt.words for doubt in doubts(collect(live.read(), live.finder)) if "arenahard" in doubt.words]
    assert any("4 of 4 items are answered; no answer has all its verdicts yet, so there are" in one for one in told)


def test_a_run_that_goes_on_is_compared_by_what_has_ended(whole: Path, tmp_path: Path) -> None:
    """With a run that is at its end, over the items of both."""
    live = begun(whole, tmp_path / "run", arenahard_judgements=3)
    report = collect([read_run(whole), *live.read()], live.finder)
    assert report.comparison is not None
    assert {one.task.partition("@")[0]: one.common for one in report.comparison.tasks}["arenahard"] == 1
    assert any(line.startswith("arenahard") and line.endswith("so far") for line in leads(report))


def test_what_cannot_be_compared_is_doubted_before_what_is_missing(whole: Path, tmp_path: Path) -> None:
    """A run that goes on has doubts of its own; that the runs are not compared stands above them, remarks below."""
    live = begun(whole, tmp_path / "run", arenahard_judgements=3)
    notes = ("a remark", "the runs are not compared: a file is not here")
    report = replace(collect(live.read(), live.finder), notes=notes)
    told = [doubt.words for doubt in worst_first(doubts(report))]
    first = told.index(notes[1])
    assert all(line.startswith("starter sets") for line in told[:first])
    assert "so far" in " ".join(told[first:-1])
    assert told[-1] == notes[0]


def test_a_run_that_begins_in_a_moment_is_waited_for(whole: Path, tmp_path: Path) -> None:
    """Once it is said for what; a folder that is empty, or in which a process has only begun, is waited for as well."""
    told, place = list[str](), tmp_path / "runs" / "new"

    def sleep(_: float) -> None:
        if place.exists():
            shutil.copy(whole / "manifest.json", place)
        else:
            place.mkdir(parents=True)

    wait_for_runs([place], told.append, clock=lambda: 0.0, sleep=sleep)
    assert len(told) == 1
    assert "waiting for a run to begin" in told[0]


def test_what_can_become_no_run_is_not_waited_for(tmp_path: Path) -> None:
    """A file, or a folder of something else, at once; a name that nobody uses, after ten minutes."""
    (tmp_path / "file.txt").write_text("x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("x")
    for name, words in (("file.txt", "is not a folder"), ("other", "holds no run folder")):
        with pytest.raises(UsageError, match=words):
            wait_for_runs([tmp_path / name], print)
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += 100 * seconds

    with pytest.raises(UsageError, match="no run has begun"):
        wait_for_runs([tmp_path / "never"], lambda _: None, clock=lambda: now[0], sleep=sleep)
    assert now[0] >= LONGEST_WAIT
