"""The leaderboard through the real command: which runs have a row, and what stands beside what across tasks."""

import json
import re
from pathlib import Path

import pytest

from judgebench.exchange.terminal import LINES
from tests.commands import judgebench
from tests.made_runs import write_run, write_totals
from tests.own_tasks import sums_answers
from tests.terminal import in_terminal

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of answers to two starter sets: all right of one, all wrong of the other."""
    folder = tmp_path_factory.mktemp("answers")
    sums_answers(folder / "gsm8k.jsonl", 4)
    lines = (REPOSITORY / "tasks" / "ifeval" / "starter.jsonl").read_text().splitlines()
    rows = [{"instruction": json.loads(line)["prompt"], "output": "No.", "generator": "m"} for line in lines]
    (folder / "ifeval.json").write_text(json.dumps(rows))
    return folder


def evaluated(file: Path, task: str, out: Path, *flags: str) -> None:
    """A run of such a file."""
    judgebench(
        (
            "eval",
            "--model",
            f"file:{file}",
            "--tasks",
            task,
            "--starter",
            "-q",
            "--name",
            out.name,
            "--out",
            out,
            *flags,
        ),
        code=None,
    )


def tables(folder: Path, *flags: str) -> str:
    """What the command prints of a folder of runs."""
    return judgebench(("leaderboard", folder, "--format", "md", *flags)).stdout.replace("\\", "")


def test_a_part_never_stands_beside_whole_sets(answers: Path, tmp_path: Path) -> None:
    """However many runs are of a part, the first table of a task is of whole sets; its ranks alone stand side by side.

    A task of which there are only parts is named instead.
    """
    gsm8k, ifeval = answers / "gsm8k.jsonl", answers / "ifeval.json"
    for name, flags in (("whole", ()), ("tried", ("--limit", "1")), ("tried-too", ("--limit", "1"))):
        evaluated(gsm8k, "gsm8k", tmp_path / "runs" / "gsm8k" / name, *flags)
        evaluated(ifeval, "ifeval", tmp_path / "runs" / "ifeval" / name, *flags)
    text = tables(tmp_path / "runs")
    across = text[text.index("**across tasks") :]
    assert "| whole | 100.00 (1) |" in across
    assert "| tried" not in across
    assert "- not here, because no run stands in a first table of these tasks: tried, tried-too\n" in across
    assert across.startswith("**across tasks: starter sets**")
    first, *others = [line for line in text.splitlines() if line.startswith("**gsm8k")]
    assert "differs" not in first
    assert all("differs from the first table in number of items" in line for line in others)

    evaluated(gsm8k, "gsm8k@chat", tmp_path / "runs" / "chat" / "whole", "--limit", "2")
    across = tables(tmp_path / "runs")
    assert "- not here, because no run is of the whole starter set: gsm8k@chat" in across

    parts = tmp_path / "parts"
    evaluated(gsm8k, "gsm8k", parts / "gsm8k" / "tried", "--limit", "2")
    evaluated(ifeval, "ifeval", parts / "ifeval" / "tried", "--limit", "2")
    assert "**across tasks: parts of starter sets**" in tables(parts)


def test_no_row_is_empty_where_columns_were_left_out(tmp_path: Path) -> None:
    """A model whose tasks did not fit the screen is counted below the table; on a wide screen it has its row."""
    columns = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")
    for name, tasks in (("many", columns), ("more", columns), ("most", columns), ("last", columns[-1:])):
        write_run(tmp_path / name, {task: [0.0, 1.0] for task in tasks}, model=name)
    for width, there in ((80, False), (160, True)):
        with in_terminal(("leaderboard", tmp_path), columns=width, rows=45, PAGER="cat") as terminal:
            assert terminal.wait() == 0
            across = terminal.text[terminal.text.index("across tasks") :]
        assert "│ many " in across
        assert ("│ last " in across) is there
        assert ("left out, too: 1 model with nothing in the columns shown" in across) is not there


def test_a_command_given_twice_makes_one_row(answers: Path, tmp_path: Path) -> None:
    """The newest run's, which names the others; a run with other numbers or settings keeps its own, and so does one
    that did not end.
    """
    runs = tmp_path / "runs"
    for name in ("first", "second", "third"):
        judgebench(
            (
                "eval",
                "--model",
                f"file:{answers / 'gsm8k.jsonl'}",
                "--tasks",
                "gsm8k",
                "--starter",
                "-q",
                "--out",
                runs / name,
            )
        )
    (board,) = json.loads(judgebench(("leaderboard", runs, "--format", "json")).stdout)
    (row,) = board["rows"]
    assert row["rank"] == 1
    assert len({row["origin"], *row["again"]}) == 3
    text = tables(runs)
    assert text.count("| gsm8k |") == 1
    assert "gsm8k: same inputs, same numbers: " in text
    assert "second" in text
    by_group = tables(runs, "--columns", "model,rank")
    assert by_group.count("| gsm8k |") == 1

    manifest = runs / "first" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "status": "incomplete"}))
    sums_answers(tmp_path / "gsm8k.jsonl", 3)
    evaluated(tmp_path / "gsm8k.jsonl", "gsm8k", runs / "fewer")
    assert len(json.loads(judgebench(("leaderboard", runs, "--format", "json")).stdout)[0]["rows"]) == 3


def test_all_tasks_of_a_few_models_fit_a_narrow_screen(tmp_path: Path) -> None:
    """They stand one below the other, with the mean rank of several models; a file has a row for each model."""
    tasks = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta")
    for name, right in (("one", 1.0), ("two", 0.0)):
        write_run(tmp_path / name, {task: [right, 1.0] for task in tasks}, model=name)
    with in_terminal(("leaderboard", tmp_path), columns=80, rows=45, PAGER="cat") as terminal:
        assert terminal.wait() == 0
        across = terminal.text[terminal.text.index("across tasks") :]
    for task in tasks:
        assert re.search(rf"│ {task}@\S+ +│ exact_match_strict +│ +100.00 \(1\) │ +50.00 \(2\) │", across), across
    assert re.search(r"│ mean rank +│ +│ +1.00 │ +2.00 │", across), across
    assert "left out" not in across
    text = tables(tmp_path)
    assert "| one |" in text[text.index("**across tasks") :]


def test_published_rows_that_were_asked_for_are_on_the_screen(tmp_path: Path) -> None:
    """Beside runs of other protocols, too: those of the runs' own version, cut to the room there is."""
    write_totals(tmp_path / "a", "mine", 50.0)
    with in_terminal(("leaderboard", tmp_path, "--published"), columns=80, rows=45, PAGER="cat") as terminal:
        assert terminal.wait() == 0
        text = terminal.text
    assert text.index("│ mine ") < text.index("alpacaeval@2: published") < text.index("│ NullModel ")
    assert "alpacaeval@1" not in text
    assert len(terminal.lines) <= LINES + 5


def test_rows_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """A line below says how; names that differ need none."""
    for folder in ("a", "b"):
        write_totals(tmp_path / folder, "ckpt", 50.0)
    assert "- ckpt: --name RUN=NAME tells rows of one name apart" in tables(tmp_path)
    assert "tells rows" not in tables(tmp_path, "--name", f"{tmp_path / 'a'}=base")


def test_without_any_run_it_says_how_to_make_one(tmp_path: Path) -> None:
    """The first thing that somebody may type; the published figures alone need no run."""
    ended = judgebench(("leaderboard",), cwd=tmp_path, code=2)
    assert "there are no runs here: `judgebench eval` puts them into runs/" in " ".join(ended.stderr.split())
    assert "NullModel" in judgebench(("leaderboard", "--published", "--task", "alpacaeval@2"), cwd=tmp_path).stdout


def test_a_comparison_without_any_change_says_so(tmp_path: Path) -> None:
    """Whoever asks for the items that changed most is told that none did."""
    for name in ("a", "b"):
        write_run(tmp_path / name, [1.0, 0.0, 1.0], model=name, answers=["x"] * 3, verdicts=["1"] * 3)
    shown = judgebench(("compare", tmp_path / "a", tmp_path / "b", "--flips", "2")).stdout
    assert "gsm8k@chat: no item changed\n" in shown
