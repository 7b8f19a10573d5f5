"""Files that cannot be used: exit 2 with one paragraph that says where, and nothing half-written."""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from judgebench.data.sources import read_sources
from judgebench.run.folder import RunFolder
from tests import commands
from tests.shared_data import SharedData

ROOT = Path(__file__).parents[2]
STARTER = ROOT / "tasks" / "alpacaeval" / "starter.jsonl"
JUDGE = ("--judge", "http://127.0.0.1:9/v1#j")
Rows = list[dict[str, Any]]


def judgebench(*arguments: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """The command line, offline."""
    return commands.judgebench([*arguments, "--offline"], cwd=cwd, code=None)


def paragraph(ended: "subprocess.CompletedProcess[str]", code: int) -> str:
    """What a refused command said on stderr: one paragraph, and nothing on stdout."""
    assert ended.returncode == code, ended.stderr
    assert ended.stderr.startswith("judgebench: ")
    assert ended.stderr.endswith("\n")
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""
    return ended.stderr


class Subject:
    """A command that reads a file of outputs, and good rows for it.

    ``eval`` runs on the starter set, so that it needs nothing; ``import`` on the official instructions.
    """

    def __init__(self, command: str, instructions: list[str], *flags: str | Path) -> None:
        self.command, self.flags = command, flags
        self.rows = [
            {"instruction": text, "output": f"Answer {n}.", "generator": "m"} for n, text in enumerate(instructions)
        ]

    def run(self, path: Path, out: Path) -> "subprocess.CompletedProcess[str]":
        """The command on a file."""
        if self.command == "eval":
            given: tuple[str | Path, ...] = ("eval", "--model", f"file:{path}", *JUDGE, "--tasks", "alpacaeval")
        else:
            given = ("import", path, "--from", "alpaca_eval", "--task", "alpacaeval")
        return judgebench(*given, *self.flags, "--out", out, cwd=path.parent)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that keeps what is known of the mirror from test to test."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(params=["eval", "import"])
def subject(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, indexed: Path) -> Subject:
    """``eval`` and ``import`` in turn."""
    if request.param == "eval":
        return Subject(
            "eval", [json.loads(line)["instruction"] for line in STARTER.read_text().splitlines()], "--starter"
        )
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(indexed))
    folder: Path = request.getfixturevalue("shared_data") / "alpacaeval"
    official = json.loads(gzip.decompress((folder / "eval_set" / "alpaca_eval_gpt4_baseline.json.gz").read_bytes()))
    return Subject("import", [row["instruction"] for row in official], "--mirror", folder)


def lines(rows: Rows) -> bytes:
    """A JSON list with one row on a line, the first on line 2."""
    return b"[\n" + b",\n".join(json.dumps(row).encode() for row in rows) + b"\n]\n"


def changed(rows: Rows, number: int, **fields: Any) -> Rows:
    """The rows with fields of one of them changed."""
    return [{**row, **fields} if n == number else row for n, row in enumerate(rows)]


WITHOUT_LINE: dict[str, tuple[Callable[[Rows], bytes], str]] = {
    "empty": (lambda rows: b"", "holds no rows"),
    "an empty list": (lambda rows: b"[]", "holds no rows"),
}
WITH_LINE: dict[str, tuple[Callable[[Rows], bytes], int, str]] = {
    "a duplicate": (lambda rows: lines([*rows[:5], rows[2], *rows[5:]]), 7, "has an answer already, at line 4"),
    "an unknown instruction": (lambda rows: lines(changed(rows, 3, instruction="Nobody asked.")), 5, "Nobody asked."),
    "a number": (lambda rows: lines(changed(rows, 1, output=7)), 3, "'output' must be a string, found 7"),
    "no answer at all": (
        lambda rows: lines([{**row, "output": None} for row in rows]),
        2,
        "no row of the file holds an",
    ),
    "an object": (lambda rows: lines(changed(rows, 1, output={})), 3, "'output' must be a string, found an object"),
    "another field": (
        lambda rows: lines([{"instruction": r["instruction"], "reply": "x"} for r in rows]),
        2,
        "--fields",
    ),
    "a list of words": (lambda rows: b'[\n"word"]', 2, "expected an object, found 'word'"),
    "not JSON": (lambda rows: b"# Outputs\n\nThese are the outputs.\n", 1, "not valid JSON"),
    "torn": (lambda rows: lines(rows[:6])[:-30], 7, "not valid JSON"),
    "not UTF-8": (lambda rows: lines(rows).replace(b"Answer 2.", b"R\xe9ponse."), 4, "not UTF-8"),
    "two generators": (lambda rows: lines(changed(rows, 4, generator="n")), 2, "2 models (m, n); split it"),
}


@pytest.mark.parametrize("case", [*WITHOUT_LINE, *WITH_LINE])
def test_bad_outputs_are_refused(tmp_path: Path, subject: Subject, case: str) -> None:
    """File and line are named, and the run folder is not made."""
    path = tmp_path / "outputs.json"
    if case in WITHOUT_LINE:
        make, said = WITHOUT_LINE[case]
        place = f"{path} "
    else:
        make, line, said = WITH_LINE[case]
        place = f"{path}:{line}: "
    path.write_bytes(make(subject.rows))
    text = paragraph(subject.run(path, tmp_path / "R"), 2)
    assert place in text
    assert said in text
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("subject", ["eval"], indirect=True)
def test_outputs_of_half_the_examples_are_not_evaluated(tmp_path: Path, subject: Subject) -> None:
    """Imported, they make a run that is incomplete (tests/exchange/test_formats.py)."""
    path = tmp_path / "outputs.json"
    path.write_bytes(lines(subject.rows[::2]))
    assert f"{path} answers 8 of the 16 examples" in paragraph(subject.run(path, tmp_path / "R"), 2)


def test_an_endless_line_is_refused(tmp_path: Path, subject: Subject) -> None:
    """A line of 300 MB, a few hundred kilobytes on disk, is named; what it costs is counted in test_outputs.py."""
    path = tmp_path / "outputs.json.gz"
    path.write_bytes(gzip.compress(b'[\n{"instruction": "') + 300 * gzip.compress(b"x" * 10**6, 9))
    ended = subject.run(path, tmp_path / "R")
    assert f"{path}:2: the line is longer than 64 MiB" in paragraph(ended, 2)
    assert list(tmp_path.iterdir()) == [path]


def test_good_outputs_are_taken(tmp_path: Path, subject: Subject) -> None:
    """The rows that the cases above spoil are good ones: ``import`` takes them, ``eval`` gets as far as the judge."""
    path = tmp_path / "outputs.json"
    path.write_bytes(lines(subject.rows))
    ended = subject.run(path, tmp_path / "R")
    assert ended.returncode == (6 if subject.command == "eval" else 0), ended.stderr
    assert RunFolder(tmp_path / "R").require_manifest().candidate == "m"


@pytest.mark.parametrize("command", ["eval", "import", "data"])
def test_a_missing_source_is_named(tmp_path: Path, command: str) -> None:
    """Without a mirror and the network: which file, its sha256, its licence, and where it was looked for."""
    (tmp_path / "mirror").mkdir()
    (tmp_path / "outputs.json").write_bytes(lines([{"instruction": "x", "output": "y"}]))
    given: dict[str, tuple[str | Path, ...]] = {
        "eval": ("eval", "--model", "file:outputs.json", *JUDGE, "--tasks", "alpacaeval", "--out", "R"),
        "import": ("import", "outputs.json", "--from", "outputs", "--task", "alpacaeval", "--out", "R"),
        "data": ("data", "fetch", "alpacaeval"),
    }
    text = paragraph(judgebench(*given[command], "--mirror", tmp_path / "mirror", cwd=tmp_path), 2)
    source = read_sources(ROOT / "tasks" / "alpacaeval")["baseline-2"]
    for part in (
        source.name,
        source.place,
        source.sha256[:12],
        source.licence,
        tmp_path / "mirror",
        os.environ["JUDGEBENCH_CACHE"],
        "--mirror DIR",
    ):
        assert str(part) in text
    assert not (tmp_path / "R").exists()


@pytest.mark.parametrize("where", ["cache", "mirror"])
def test_a_file_with_another_hash_is_exit_7(tmp_path: Path, where: str) -> None:
    """A damaged copy in the cache, or a stale one in the mirror, is named with both hashes."""
    source = read_sources(ROOT / "tasks" / "alpacaeval")["baseline-2"]
    (tmp_path / "mirror").mkdir()
    path = Path(os.environ["JUDGEBENCH_CACHE"]) / "sources" / source.sha256[:2] / source.sha256
    if where == "mirror":
        path = tmp_path / "mirror" / source.path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"[]")
    (tmp_path / "outputs.json").write_bytes(lines([{"instruction": "x", "output": "y"}]))
    given = ("eval", "--model", "file:outputs.json", *JUDGE, "--tasks", "alpacaeval", "--mirror", tmp_path / "mirror")
    text = paragraph(judgebench(*given, "--out", "R", cwd=tmp_path), 7)
    for part in (source.sha256, hashlib.sha256(b"[]").hexdigest(), path):
        assert str(part) in text
    assert not (tmp_path / "R").exists()


@pytest.fixture
def finished(tmp_path: Path) -> tuple[str | Path, ...]:
    """The command of a run that is complete without a call, because all answers equal the baseline's."""
    shutil.copy(STARTER, tmp_path / "outputs.jsonl")
    command = ("eval", "--model", "file:outputs.jsonl", "--tasks", "alpacaeval", "--starter", "--out", "R")
    assert judgebench(*command, *JUDGE, cwd=tmp_path).returncode == 0
    return command


def contents(folder: Path) -> dict[Path, bytes]:
    """All files below a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("more", "differs"),
    [
        (("--judge", "http://127.0.0.1:9/v1#other"), "alpacaeval.judges.house_pairwise_label.model"),
        ((*JUDGE, "--limit", "5"), "alpacaeval.examples.n"),
        ((*JUDGE, "--judge-gen", "seed=7"), "alpacaeval.judges.house_pairwise_label.prompt_and_rule.sampling"),
        ((*JUDGE, "--tasks", "alpacaeval:order=both"), "alpacaeval.options.order"),
        ((*JUDGE, "--model", "file:other.jsonl"), "alpacaeval.candidate"),
    ],
)
def test_another_run_s_folder_is_refused(
    tmp_path: Path, finished: tuple[str | Path, ...], more: tuple[str, ...], differs: str
) -> None:
    """What differs is named, and nothing in the folder changes."""
    rows = [json.loads(line) for line in STARTER.read_text().splitlines()]
    (tmp_path / "other.jsonl").write_text("".join(json.dumps({**row, "output": "Other."}) + "\n" for row in rows))
    before = contents(tmp_path / "R")
    # A model or a task given again would be a second one.
    command = ("eval", *finished[3:]) if "--model" in more else finished
    command = (*command[:3], *command[5:]) if "--tasks" in more else command
    text = paragraph(judgebench(*command, *more, cwd=tmp_path), 2)
    assert text.startswith("judgebench: R holds another run, which differs in ")
    assert differs in text
    assert contents(tmp_path / "R") == before


def test_several_runs_are_not_put_into_one_that_is_there(tmp_path: Path, finished: tuple[str | Path, ...]) -> None:
    """Each has a folder of its own in ``--out``, which must then be none itself."""
    before = contents(tmp_path / "R")
    text = paragraph(judgebench(*finished, *JUDGE, "--model", "file:other.jsonl", cwd=tmp_path), 2)
    assert "R holds a run itself" in text
    assert contents(tmp_path / "R") == before


def test_an_import_wants_a_new_folder(
    tmp_path: Path, finished: tuple[str | Path, ...], shared_data: SharedData
) -> None:
    """It does not write into a run that is there."""
    before = contents(tmp_path / "R")
    source = shared_data / "alpacaeval" / "model_outputs" / "phi-2.json.gz"
    given = ("import", source, "--from", "outputs", "--task", "alpacaeval", "--mirror", shared_data / "alpacaeval")
    assert "R is not empty" in paragraph(judgebench(*given, "--out", "R", cwd=tmp_path), 2)
    assert contents(tmp_path / "R") == before


@pytest.mark.parametrize("what", ["a folder", "a file"])
def test_a_place_that_is_taken_is_refused(tmp_path: Path, what: str) -> None:
    """A folder with other things in it, or a file, is no run folder, and stays as it was."""
    shutil.copy(STARTER, tmp_path / "outputs.jsonl")
    if what == "a folder":
        (tmp_path / "R").mkdir()
        (tmp_path / "R" / "thesis.tex").write_text("years of work")
    else:
        (tmp_path / "R").write_text("years of work")
    before = contents(tmp_path)
    given = ("eval", "--model", "file:outputs.jsonl", *JUDGE, "--tasks", "alpacaeval", "--starter", "--out", "R")
    said = {"a folder": "R is not empty and not a run folder", "a file": "R is a file and not a folder"}[what]
    assert said in paragraph(judgebench(*given, cwd=tmp_path), 2)
    assert contents(tmp_path) == before


def test_a_run_is_scored_as_what_it_is(tmp_path: Path, finished: tuple[str | Path, ...]) -> None:
    """Another version is another protocol, and a task that the run does not hold cannot be scored."""
    before = contents(tmp_path / "R")
    for given, said in (("alpacaeval@1", "R holds alpacaeval@2, not alpacaeval@1"), ("x", "R holds no task 'x'")):
        assert said in paragraph(judgebench("score", "R", "--tasks", given, cwd=tmp_path), 2)
    assert contents(tmp_path / "R") == before
    assert judgebench("score", "R", "--tasks", "alpacaeval@2", cwd=tmp_path).returncode == 0
    other = judgebench("score", "R", "--tasks", "alpacaeval:upstream_compat=true", cwd=tmp_path)
    assert "R has its scores of alpacaeval@2:upstream_compat=True from now on" in other.stderr
    assert "in place of those of alpacaeval@2; give the option its former value to go back" in other.stderr
    assert "from now on" in judgebench("score", "R", "--tasks", "alpacaeval:upstream_compat=false", cwd=tmp_path).stderr
    assert "from now on" not in judgebench("score", "R", "--tasks", "alpacaeval@2", cwd=tmp_path).stderr


@pytest.mark.parametrize("name", ["generations.jsonl", "judgements.jsonl", "examples.jsonl"])
def test_a_broken_line_of_a_run_folder_is_named(tmp_path: Path, finished: tuple[str | Path, ...], name: str) -> None:
    """``score`` and a restart both stop at it, with file and line."""
    path = tmp_path / "R" / "alpacaeval" / name
    kept = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([kept[0], b'{"spoilt": 1}\n', *kept[2:]]))
    commands: list[tuple[str | Path, ...]] = [("score", "R")]
    if name != "examples.jsonl":  # a restart writes the examples anew
        commands.append((*finished, *JUDGE))
    for command in commands:
        assert f"R/alpacaeval/{name}:2: not a" in paragraph(judgebench(*command, cwd=tmp_path), 2)
