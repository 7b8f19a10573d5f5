"""A file from elsewhere, and what a command says of it: an exit code, one paragraph, and never a hang.

The table is the test: a file, a command, how it ends, and a phrase of what it says.
"""

import gzip
import importlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from judgebench import cli
from judgebench.run.archive import write_archive
from judgebench.run.loading import load_tasks
from judgebench.run.settings import Settings
from tests.made_runs import write_run
from tests.shared_data import SharedData

Ended = tuple[int, str, str]
"""Exit code, stdout and stderr."""
Make = Callable[[Path], object]

ANSWERS = [
    {"id": example.id, "output": example.references[0]}
    for example in load_tasks(Settings(tasks="gsm8k", starter=True, offline=True))[0].data.examples
]
"""Right ones, to the starter set."""
DEEP = 20_000


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """A command that waits for ever ends its test."""

    def give_up(*_: object) -> None:
        raise RuntimeError("the command hangs")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """The command line, in the test's folder."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["judgebench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, told.out, told.err

    return command


def lines(rows: list[dict[str, Any]]) -> bytes:
    """JSON lines, as Python writes them."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def parquet(columns: dict[str, Any]) -> bytes:
    """A parquet file."""
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), sink)
    return sink.getvalue()


def of(content: bytes) -> Make:
    """A file with that in it."""
    return lambda path: path.write_bytes(content)


def changed(**fields: Any) -> bytes:
    """The answers with fields of the second one changed."""
    return lines([ANSWERS[0], {**ANSWERS[1], **fields}, *ANSWERS[2:]])


def looping(path: Path) -> None:
    """A link to itself."""
    path.symlink_to(path)


def endless(path: Path) -> None:
    """A device that never ends."""
    path.symlink_to("/dev/zero")


FIFO: Make = os.mkfifo
FOLDER: Make = Path.mkdir
EVAL = ("eval", "--model", "file:a.jsonl", "--tasks", "gsm8k", "--starter", "--offline", "-q", "--out", "R")
JUDGED = (
    "eval", "--model", "file:a.jsonl", "--tasks", "alpacaeval", "--starter", "--offline", "-q",
    "--judge", "http://127.0.0.1:9/v1#j", "--out", "R",
)  # fmt: skip
GATE = ("gate", "--baseline", "A", "--candidate", "A", "--policy", "p.toml")
CORRELATE = ("correlate", "t.csv", "--against", "elo")
FETCH = ("data", "fetch", "alpacaeval", "--mirror", "m", "--offline")

TABLE: list[tuple[str, str, Make, tuple[str, ...], int, str]] = [
    # what, file, content, command, exit code, phrase
    ("good answers", "a.jsonl", of(lines(ANSWERS)), EVAL, 0, "exact_match_strict"),
    ("null", "a.jsonl", of(changed(output=None)), EVAL, 4, "answers missing in the file: 1 (null, NaN or empty"),
    ("NaN", "a.jsonl", of(changed(output=float("nan"))), EVAL, 4, "answers missing in the file: 1"),
    ("an empty list", "a.jsonl", of(changed(output=[])), EVAL, 4, "answers missing in the file: 1"),
    ("a number", "a.jsonl", of(changed(output=1e308)), EVAL, 2, "a.jsonl:2: 'output' must be a string, found 1e+308"),
    ("half a character", "a.jsonl", of(changed(output="\ud800 #### 1")), EVAL, 0, "1 halves of a surrogate pair"),
    ("an id as a number", "a.jsonl", of(changed(id=True)), EVAL, 2, "a.jsonl:2: 'id' must be an id"),
    ("UTF-16", "a.jsonl", of(lines(ANSWERS).decode().encode("utf-16")), EVAL, 0, "exact_match_strict"),
    ("UTF-8 with a mark", "a.jsonl", of(b"\xef\xbb\xbf" + lines(ANSWERS)), EVAL, 0, "exact_match_strict"),
    ("latin-1", "a.jsonl", of('{"id": "é"}'.encode("latin-1")), EVAL, 2, "a.jsonl:1: not valid JSON: it is not UTF-8"),
    ("deep lists", "a.jsonl", of(b"[" * DEEP), EVAL, 2, "a.jsonl:1: not valid JSON: it is nested too deeply"),
    ("20 million rows", "a.jsonl.parquet", of(parquet({"output": pyarrow.nulls(20_000_000)})),
     ("eval", "--model", "file:a.jsonl.parquet", *EVAL[3:]), 2, "says that it unfolds to 20,000,000 rows"),
    ("a FIFO", "a.jsonl", FIFO, EVAL, 2, "a.jsonl is a FIFO, not a regular file"),
    ("a device", "a.jsonl", endless, EVAL, 2, "a.jsonl is a device, not a regular file"),
    ("a folder", "a.jsonl", FOLDER, EVAL, 2, "a.jsonl holds no file to read"),
    ("a loop", "a.jsonl", looping, EVAL, 2, "a.jsonl is not a file"),
    ("a FIFO of answers to compare with", "b.json", FIFO, (*JUDGED, "--baseline", "b.json"), 2, "b.json is a FIFO"),
    ("a FIFO of labels", "l.csv", FIFO, (*JUDGED, "--labels", "l.csv"), 2, "l.csv is a FIFO"),
    ("deep labels", "l.json", of(b'{"a":' * DEEP), (*JUDGED, "--labels", "l.json"), 2, "l.json:1: not valid JSON"),
    ("ids", "i.txt", of("1.0\r\nstarter-02\r\n".encode("utf-16")), (*EVAL, "--ids", "i.txt"), 2, "do not exist: 1.0"),
    ("ids with a mark", "i.txt", of(b"\xef\xbb\xbfstarter-02\n"), (*EVAL, "--ids", "i.txt"), 0, "100.00"),
    ("a FIFO of ids", "i.txt", FIFO, (*EVAL, "--ids", "i.txt"), 2, "--ids i.txt cannot be read: it is a FIFO"),
    ("a device of ids", "i.txt", endless, (*EVAL, "--ids", "i.txt"), 2, "--ids i.txt cannot be read: it is a device"),
    ("a FIFO of flags", "c.toml", FIFO, ("eval", "--config", "c.toml"), 2, "--config c.toml cannot be read: it is a"),
    ("deep flags", "c.toml", of(b"limit = " + b"[" * DEEP), ("eval", "--config", "c.toml"), 2, "nested too deeply"),
    ("flags in flags", "c.toml", of(b"gen = {a = {b = 1}}"), (*EVAL, "--config", "c.toml"), 2, "gen must be a text, a"),
    ("several limits", "c.toml", of(b"limit = [1, 2]"), (*EVAL, "--config", "c.toml"), 2, "limit is given once"),
    ("a large limit", "c.toml", of(b"limit = 1e308"), (*EVAL, "--config", "c.toml"), 2, "limit = 1e+308 is no"),
    ("a null in a path", "c.toml", of(b'ids = "\\u0000"'), (*EVAL, "--config", "c.toml"), 2, "embedded null byte"),
    ("a FIFO of a prompt", "r.txt", FIFO, (*EVAL, "--refine", "r.txt"), 2, "--refine r.txt cannot be read: it is a"),
    ("a FIFO of rules", "p.toml", FIFO, GATE, 2, "the policy p.toml cannot be read: it is a FIFO"),
    ("deep rules", "p.toml", of(b"[" + b".".join([b"a"] * DEEP) + b"]"), GATE, 2, "more than 64 levels deep"),
    ("rules of numbers", "p.toml", of(b"[defaults]\nmax_drop = nan"), GATE, 2, "defaults.max_drop = nan is not a loss"),
    ("5,000 digits", "p.toml", of(b"a = " + b"9" * 5000), GATE, 2, "the policy p.toml is not TOML: Exceeds the limit"),
    ("a FIFO of a table", "t.csv", FIFO, CORRELATE, 2, "the leaderboard t.csv cannot be read: it is a FIFO"),
    ("a table in UTF-16", "t.csv", of("model,elo,x\na,1,2\nb,2,3\n".encode("utf-16")), CORRELATE, 0, "x"),
    ("a large number in a table", "t.csv", of(b"model,elo,x,y\na,1,2,3\nb,2,1e308,4\nc,3,3,6\n"), CORRELATE, 0,
     "t.csv:3: '1e308' is not a number, so the column x was left out"),
    ("NaN in a board", "t.json", of(b'[{"task": "t", "rows": [{"model": "a", "scores": {"elo": {"value": NaN}}}]}]'),
     ("correlate", "t.json", "--against", "elo"), 2, "holds no column of numbers"),
    ("a FIFO in a mirror", "m/alpaca_eval_gpt4_baseline.json.gz", FIFO, FETCH, 2, "baseline.json.gz (a FIFO)"),
    ("a device in a mirror", "m/alpaca_eval_gpt4_baseline.json", endless, FETCH, 2, "baseline.json (a device)"),
    ("a loop in a mirror", "m/alpaca_eval_gpt4_baseline.json", looping, FETCH, 2, "is not here"),
    ("a FIFO of an archive", "r.zip", FIFO, ("import", "r.zip", "--from", "archive", "--out", "R"), 2, "is a FIFO"),
    ("no archive", "r.zip", of(b"PK\x05\x06" + bytes(18)), ("compare", "r.zip", "A"), 2, "has no manifest.json"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "make", "command", "code", "says"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE]
)
def test_a_file_from_elsewhere(
    tmp_path: Path, run: Callable[..., Ended], file: str, make: Make, command: tuple[str, ...], code: int, says: str
) -> None:
    """See the table: what is said is one paragraph, wherever it is said."""
    (tmp_path / "a.jsonl").write_bytes(lines(ANSWERS))
    write_run(tmp_path / "A", [1.0, 0.0] * 20)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).unlink(missing_ok=True)
    make(tmp_path / file)
    ended, out, err = run(*command)
    assert ended == code, err
    assert says in " ".join((out + err).split())
    if code == 2:
        assert err.startswith("judgebench: ")
        assert err.count("\n") == 1
        assert out == ""


# -- run folders

READ = {
    "leaderboard": ("leaderboard", "X"),
    "compare": ("compare", "A", "X"),
    "gate": ("gate", "--baseline", "A", "--candidate", "X", "--max-drop", "2"),
    "explain": ("explain", "X"),
    "plan": ("plan", "--task", "gsm8k@chat", "--baseline", "X", "--delta", "2"),
    "export": ("export", "X", "--to", "csv", "--out", "o"),
    "export lm-eval": ("export", "X", "--to", "lm-eval", "--out", "o"),
    "score": ("score", "X", "--offline"),
}
"""Every command that reads a run."""
TOO_LARGE = {"1e308": "1e308", "400 digits": "9" * 400, "NaN": "NaN", "20,000 levels": "[" * DEEP + "]" * DEEP}
DAMAGED: list[tuple[str, str, str]] = [
    ("manifest.json", '"examples":', "is not a manifest of this version"),
    ("results.json", '"value":', "is not a results file of this version"),
    ("gsm8k/example_scores.jsonl", '"weight":', "gsm8k/example_scores.jsonl:1: not a ExampleScore record"),
    ("gsm8k/examples.jsonl", '"repeat":', "gsm8k/examples.jsonl:1: not a Example record"),
]
"""A file of a run, a number in it, and what is said if that is no number."""


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two good runs, and good answers."""
    (tmp_path / "a.jsonl").write_bytes(lines(ANSWERS))
    write_run(tmp_path / "A", [1.0, 0.0] * 20, verdicts=["yes"] * 40)
    write_run(tmp_path / "X", [1.0, 0.0, 1.0, 1.0] * 10, verdicts=["yes"] * 40)
    return tmp_path


@pytest.mark.parametrize("number", TOO_LARGE)
@pytest.mark.parametrize(("name", "field", "says"), DAMAGED, ids=[row[0] for row in DAMAGED])
def test_a_number_that_cannot_be_is_a_damaged_run(
    runs: Path, run: Callable[..., Ended], name: str, field: str, says: str, number: str
) -> None:
    """In every command that looks at the file: exit 2 and one paragraph with its name, and no number is printed."""
    path = runs / "X" / name
    text = path.read_text()
    place = text.index(field) + len(field)
    end = min(found for sign in ",}" if (found := text.find(sign, place)) > 0)
    path.write_text(text[:place] + TOO_LARGE[number] + text[end:])
    said = 0
    for command in READ.values():
        code, out, err = run(*command)
        assert code in (0, 2, 3), err
        assert "Traceback" not in err
        if code == 2 and says in err:
            assert out == ""
            assert err.count("\n") == 1
            said += 1
    assert said >= {"manifest.json": 7, "results.json": 6}.get(name, 2)


@pytest.mark.parametrize("make", [FIFO, endless, looping, FOLDER])
@pytest.mark.parametrize(
    "name", ["manifest.json", "results.json", "gsm8k/example_scores.jsonl", "gsm8k/examples.jsonl"]
)
def test_what_is_no_file_in_a_run_is_not_waited_for(
    runs: Path, run: Callable[..., Ended], name: str, make: Make
) -> None:
    """A FIFO, a device, a loop or a folder where a file of the run should be: exit 2, or the file is not needed."""
    (runs / "X" / name).unlink()
    make(runs / "X" / name)
    for command in READ.values():
        code, _, err = run(*command)
        assert code in (0, 2, 3), err
        assert "Traceback" not in err
        assert "fault of judgebench" not in err


def test_a_record_that_its_task_cannot_work_with_is_told_as_the_run_s(runs: Path, run: Callable[..., Ended]) -> None:
    """Fields that are the task's own are checked by nobody else: without them the run is damaged, not judgebench."""
    assert run(*EVAL)[0] == 0
    path = runs / "R" / "gsm8k" / "examples.jsonl"
    path.write_text(path.read_text().replace('"question":', '"query":'))
    code, _, err = run("export", "R", "--to", "lm-eval", "--out", "o")
    assert code == 2
    assert err.startswith("judgebench: R holds something that cannot be used (KeyError: 'question')")


def test_a_run_and_its_archive_say_the_same(runs: Path, run: Callable[..., Ended]) -> None:
    """A damaged run can be packed by hand, and is damaged when it is opened."""
    write_archive(runs / "X", runs / "X.zip")
    assert run("leaderboard", "X.zip")[0] == 0
    (runs / "X.zip").write_bytes((runs / "X.zip").read_bytes()[:-40])
    assert run("leaderboard", "X.zip")[0] == 2


# -- the last resort


@pytest.mark.parametrize(
    ("raised", "says"),
    [
        (KeyError("x"), "this is a fault of judgebench itself: KeyError: 'x' (judgebench/api.py"),
        (RecursionError("maximum recursion depth exceeded"), "a fault of judgebench itself: RecursionError: maximum"),
        (
            UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
            "a fault of judgebench itself: Unicode",
        ),
        (AssertionError(), "a fault of judgebench itself: AssertionError:"),
        (MemoryError(), "there is not enough memory"),
        (SystemExit(1), "tried to end it with exit code 1"),
        (SystemExit(0), "tried to end it with exit code 0"),
        (SystemExit("\x1b[31mred"), "tried to end it with exit code \\x1b[31mred"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_whatever_is_raised_is_exit_2_and_one_paragraph(
    run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, raised: BaseException, says: str
) -> None:
    """It says whose fault it is and how to see where; with ``-v`` the traceback stands before it. Never exit 0 or 1."""

    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr(importlib.import_module("judgebench.run.reading"), "read_runs", fail)
    code, out, err = run("leaderboard", "nowhere")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("judgebench: ")
    assert says in err
    assert "-v" in err
    code, out, err = run("-v", "leaderboard", "nowhere")
    assert (code, out, err.splitlines()[0]) == (2, "", "Traceback (most recent call last):")
    assert says in err.splitlines()[-1]
    # Who typed -v need not be told to.
    assert "`judgebench -v" not in err


@pytest.mark.parametrize("command", [("tasks", "list"), ("leaderboard", "--published"), ("gate", "--help")])
def test_a_reader_that_went_away_is_no_error_of_ours(tmp_path: Path, command: tuple[str, ...]) -> None:
    """``| head`` ends the command as a shell expects it, without a word and never with 1."""
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-m", "judgebench", *command],
        stdout=writing,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        check=False,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_exit_2(tmp_path: Path) -> None:
    """What could not be written is said once."""
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "judgebench", "tasks", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            check=False,
        )
    assert ended.returncode == 2
    assert b"No space left on device" in ended.stderr
    assert ended.stderr.count(b"\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("gate", "--baseline", "nope", "--candidate", "nope2", "--max-drop", "2"), 2),
        (("leaderboard", "nope"), 2),
        (("bogus",), 2),
        ((), 2),
        (("--version",), 0),
    ],
    ids=str,
)
@pytest.mark.parametrize("both", [False, True])
def test_a_stderr_that_is_full_changes_no_exit_code(
    tmp_path: Path, arguments: Sequence[str], code: int, both: bool
) -> None:
    """1 is a gate's FAIL alone; what could be said to nobody is not said."""
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "judgebench", *arguments],
            stdout=full if both else subprocess.PIPE,
            stderr=full,
            cwd=tmp_path,
            check=False,
        )
    assert ended.returncode == (2 if both else code)


# -- the real thing


def test_published_files_with_one_spoilt_row_make_a_run(
    tmp_path: Path, run: Callable[..., Ended], shared_data: SharedData
) -> None:
    """One null among 805 answers, one among lm-eval's samples, question ids with a decimal point: exit 0, the row is
    missing in the numbers, and named beside JSON on stderr.
    """
    answers = json.loads(gzip.decompress((shared_data / "alpacaeval/model_outputs/phi-2.json.gz").read_bytes()))
    answers[6]["output"] = None
    (tmp_path / "outputs.json").write_text(json.dumps(answers, indent=1), encoding="utf-16")
    mirror = ("--mirror", (shared_data / "alpacaeval").parent, "--offline", "--json")
    code, out, err = run("import", "outputs.json", "--from", "outputs", "--task", "alpacaeval", "--out", "R", *mirror)
    assert code == 0
    line = 2 + 6 * (2 + len(answers[0]))
    assert f"judgebench: note: answers missing in the file: 1 (null, NaN or empty: outputs.json:{line})\n" in err
    length = next(score for score in json.loads(out)["scores"] if score["metric"] == "avg_length")
    assert (length["n"], length["n_missing"]) == (len(answers) - 1, 805 - len(answers) + 1)
    ratings = [
        {
            "question_id": float(number),
            "model": "m",
            "judge": ["gpt-4", "single-v1"],
            "turn": 1.0,
            "score": 9,
            "judgment": "",
        }
        for number in range(81, 161)
    ]
    (tmp_path / "ratings.jsonl").write_bytes(lines(ratings).replace(b'"score": 9', b'"score": NaN', 1))
    code, out, err = run("import", "ratings.jsonl", "--from", "fastchat", "--task", "mtbench", "--out", "S", *mirror)
    assert code == 0
    assert "1 numbers that are none (NaN, Infinity, 1e999) are read as null: ratings.jsonl:1\n" in err
    first = next(score for score in json.loads(out)["scores"] if score["group"] == "turn=1")
    assert (first["value"], first["n"], first["n_missing"]) == (9.0, 79, 1)


@pytest.mark.parametrize(
    ("rows", "command", "says"),
    [
        ([{"prompt": "p", "answer": "a"}], ("import", "F", "--from", "alpaca_eval", "--task", "alpacaeval"), "needs"),
        ([{"prompt": "p"}], ("import", "F", "--from", "fastchat", "--task", "mtbench"), "neither an answer nor a"),
        ([{"prompt": "p"}], ("import", "F", "--from", "wildbench", "--task", "wildbench"), "no record of WildBench"),
        ([{"prompt": "p"}], ("import", "F", "--from", "lm-eval", "--task", "gsm8k"), "a row of lm-eval's samples"),
        ([{"prompt": "p"}], ("import", "F", "--from", "arena-hard", "--task", "arenahard"), "the row has no"),
        ([{"prompt": "p", "answer": "a"}], ("import", "F", "--from", "outputs", "--task", "math"), "--fields id="),
        ([{"prompt": "p", "answer": "a"}], ("eval", "--model", "file:F", "--tasks", "ifeval"), "--fields id="),
        ([], ("eval", "--model", "file:F", "--tasks", "ifeval", "--dry-run"), "F"),
        ([], ("import", "F", "--from", "outputs", "--task", "gsm8k"), "F"),
    ],
)
def test_the_users_file_is_read_before_official_ones_are_fetched(
    run: Callable[..., Ended],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows: list[dict[str, str]],
    command: Sequence[str],
    says: str,
) -> None:
    """A file of another format, or none at all, is refused at once, not after a download or because it fails."""
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JUDGEBENCH_MIRROR", "")
    file = tmp_path / "answers.jsonl"
    if rows:
        file.write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    asked = [part.replace("F", str(file)) if part in ("F", "file:F") else part for part in command]
    code, _, err = run(*asked, "--offline", "--out", "R")
    assert (code, "answers.jsonl" in err) == (2, True), err
    assert says == "F" or says in err
    assert "--offline" not in err
