"""Every command in a real terminal of 80 and of 120 columns: no line is wider, few are longer than a screen or two, and
the columns that decide are there.
"""

import io
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.main import get_command

from judgebench.cli import _complain as complain
from judgebench.cli import app
from judgebench.exchange.terminal import LINES
from tests.commands import judgebench
from tests.made_runs import OFFICIAL, write_run, write_totals
from tests.terminal import in_terminal

REPOSITORY = Path(__file__).parents[2]
LONG = "Meta-Llama-3-8B-Instruct-DPO-iteration-3-checkpoint-1200"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of every kind: with 40 groups, of several tasks, of the published protocol, with a long name."""
    folder = tmp_path_factory.mktemp("screens")
    for number, name in enumerate(("old", "new")):
        for task, field in (("ifeval", "prompt"), ("math", "problem")):
            lines = (REPOSITORY / "tasks" / task / "starter.jsonl").read_text().splitlines()
            asked = [json.loads(line)[field] for line in lines if not json.loads(line).get("shot")]
            answer = f"\\boxed{{{number}}} window"
            rows = [{"instruction": text, "output": answer, "generator": name} for text in asked]
            file, out = folder / f"{name}-{task}.json", folder / "grouped" / f"{name}-{task}"
            file.write_text(json.dumps(rows))
            judgebench(("eval", "--model", f"file:{file}", "--tasks", task, "--starter", "-q", "--out", out))
        values = [float(item % (3 + number) > 0) for item in range(60)]
        tasks = ("gsm8k", "one", "two", "three", "four", "five")
        write_run(folder / "several" / name, dict.fromkeys(tasks, values), model=f"{LONG}-{name}")
        write_run(folder / "one" / name, values, model=f"{LONG}-{name}")
        write_totals(folder / "published" / name, f"{LONG}-{name}", 30.0 + number, protocol=OFFICIAL, stderr=1.0)
    names = [f"{LONG}-{number}" for number in range(12)]
    rows = [
        f"{a},{b},{'model_a' if (i + k) % 3 else 'tie'},{k}"
        for i, a in enumerate(names)
        for k, b in enumerate(names)
        if a != b
    ]
    (folder / "battles.csv").write_text("model_a,model_b,winner,question_id\n" + "\n".join(rows) + "\n")
    return folder


ALL = (80, 120)
INTERVAL = ("difference", "interval")
SCREENS: dict[str, tuple[Sequence[str], tuple[int, ...], int, Sequence[str]]] = {
    "help": (("--help",), (80,), 0, ()),
    "leaderboard": (("leaderboard", "grouped"), ALL, 0, ("rank", "model", "interval", " n ")),
    "leaderboard --published": (
        ("leaderboard", "published", "--published", "--task", "alpacaeval"),
        ALL, 0, ("rank", "measured", "published", "interval", " n "),
    ),
    "leaderboard of published rows": (
        ("leaderboard", "--published", "grouped"), (80,), 0, ("rank", "across tasks"),
    ),
    "leaderboard of published rows alone": (
        ("leaderboard", "--published"), (80,), 0, ("rank", "more tables: --all"),
    ),
    "compare": (("compare", "grouped/old-ifeval", "grouped/new-ifeval"), ALL, 0, ("A", "B", *INTERVAL)),
    "compare of many tasks": (("compare", "several/old", "several/new"), ALL, 0, ("A", "B", *INTERVAL)),
    "gate": (
        ("gate", "--baseline", "one/old", "--candidate", "one/new", "--max-drop", "3"),
        ALL, None, ("verdict", *INTERVAL, "max", "drop"),
    ),
    "score": (("score", "grouped/new-ifeval"), ALL, 0, ("value", "interval", " n ", "missing")),
    "explain": (("explain", "grouped"), (80,), 0, ()),
    "arena": (("arena", "--battles", "battles.csv", "--elo"), ALL, 0, ("rating", "interval", "rank", "told apart")),
    "correlate": (("correlate", "mtbench"), (80,), 0, ("value", "interval", " p ", "models")),
    "plan": (("plan", "--task", "gsm8k", "--delta", "2"), (80,), 0, ("question", "answer")),
    "tasks list": (("tasks", "list"), ALL, 0, ()),
    "tasks info": (("tasks", "info", "alpacaeval"), ALL, 0, ("metrics:",)),
    "tasks check": (("tasks", "check", str(REPOSITORY / "tests" / "fixtures" / "sums")), (80,), None, ()),
    "batches list": (("batches", "list"), (80,), 0, ("no batches here",)),
    "judges list": (("judges", "list"), (80,), 0, ()),
    "judges info": (("judges", "info", "alpacaeval"), ALL, 0, ()),
    "judges suites": (("judges", "suites"), ALL, 0, ()),
    "bridge show": (("bridge", "show"), ALL, 0, ()),
    "bridge show of one": (
        ("bridge", "show", "arenahard-v2.0-hard_prompt-gpt-4.1-to-gemini-2.5"),
        ALL, 0, ("judge", "official", "left out", "inside"),
    ),
    "labels sample": (("labels", "sample", "one/new", "--n", "10", "--out", "labels.csv"), (80,), None, ()),
    "data list": (("data", "list"), ALL, 0, ()),
    "data where": (("data", "where", "gsm8k/test"), (80,), None, ()),
    "runs list": (("runs", "list", "several"), ALL, 0, ()),
    "doctor": (("doctor",), ALL, 0, ()),
    "cache stats": (("cache", "stats"), (80,), 0, ()),
    "eval --dry-run": (
        ("eval", "--model", "file:new-ifeval.json", "--tasks", "ifeval", "--starter", "--dry-run"), (80,), 0, (),
    ),
    "eval": (
        ("eval", "--model", "file:new-ifeval.json", "--tasks", "ifeval", "--starter", "--out", "again"),
        (80,), None, ("value", "interval", "run folder"),
    ),
    "import": (("import", "new-ifeval.json", "--from", "outputs", "--task", "ifeval", "--out", "x"), (80,), None, ()),
    "report": (("report", "one/old", "one/new", "--html", "report.html"), (80,), None, ()),
    "plot": (("plot", "one/old", "one/new", "--kind", "forest", "--out", "plot.svg"), (80,), None, ()),
    "status": (("status", "grouped/new-ifeval"), (80,), 0, ("ifeval",)),
    "show": (("show", "grouped/new-ifeval", "--task", "ifeval"), (80,), 0, ()),
}  # fmt: skip
"""Commands by what they are called here: the words, widths, exit code (any if None), and what must be on the screen."""


@pytest.mark.parametrize(
    ("name", "columns"), [(name, width) for name, (_, widths, *_) in SCREENS.items() for width in widths]
)
def test_a_screen_has_what_decides(folder: Path, name: str, columns: int) -> None:
    """No line but a command is wider than the terminal, there are about 60 of them, and what decides is in them."""
    arguments, _, code, wanted = SCREENS[name]
    with in_terminal(arguments, columns=columns, rows=45, cwd=folder, PAGER="cat") as terminal:
        ended = terminal.wait()
        lines, text = terminal.lines, terminal.text
    assert code is None or ended == code, text
    assert "fault of judgebench" not in text
    if not text.startswith("judgebench: "):  # an error is one paragraph, which the terminal folds
        # A command is never folded: pasted, it has to be whole.
        commands = [line for line in lines if line.startswith("judgebench ") and len(line) == columns]
        assert terminal.screen.wrapped <= len(commands), text
    assert len(lines) <= LINES + 10, f"{len(lines)} lines"
    for word in wanted:
        assert word in text, f"{word!r} is not in\n{text}"


def test_every_command_has_a_screen() -> None:
    """The table names all commands but those that print a line or what another one of the table prints, and
    ``selftest``: every row of it is asked for.
    """
    known = {arguments[0] for arguments, *_ in SCREENS.values()}
    others = {"generate", "judge", "export", "view", "help", "completion", "selftest", "tune"}
    assert set(get_command(app).commands) - known - others == set()  # type: ignore[attr-defined]


def test_a_cut_table_says_how_to_see_the_rest(folder: Path) -> None:
    """So many groups more; ``--all`` prints them, each with its numbers."""
    arguments = ("compare", folder / "grouped/old-ifeval", folder / "grouped/new-ifeval")
    text = judgebench(arguments, COLUMNS="80").stdout
    assert re.search(r"… \d+ more groups.*: --all", text)
    everything = judgebench((*arguments, "--all"), COLUMNS="80").stdout
    assert "--all" not in everything
    assert len(everything.splitlines()) > LINES


def test_a_printed_command_stays_in_one_piece(folder: Path) -> None:
    """Below a table and in a hint: a line of its own where it is long, and no line break within, however long."""
    run = Path(shutil.copytree(folder / "grouped" / "new-ifeval", folder / LONG / LONG))
    lines = judgebench(("score", run.relative_to(folder)), cwd=folder, COLUMNS="80").stdout.splitlines()
    assert f"judgebench score {LONG}/{LONG} --all" in lines
    assert f"judgebench show {LONG}/{LONG}" in lines
    assert all(len(line) <= 80 for line in lines if "judgebench " not in line and LONG not in line)


def test_a_command_in_an_error_stays_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, which gets the rest of the paragraph folded at spaces."""
    command = f"`judgebench judge runs/{LONG} --tasks ./mine/task.py`"
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("COLUMNS", "40")
    complain(f"3 of 12 verdicts failed or are missing; {command} asks for what is missing, and nothing else")
    lines = stream.getvalue().splitlines()
    assert command in lines
    assert all(len(line) <= 40 for line in lines if line != command)
