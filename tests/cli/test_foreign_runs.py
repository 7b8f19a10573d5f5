"""A run folder that somebody else made, as a folder and as an archive: it is read, and nothing in it is run.

Every command that reads runs meets a run that was doctored in every way that is known. None of it executes, opens a
connection, reads or writes a file outside the folder, or ends a gate with 0 or 1.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from judgebench import api, tasks
from judgebench.codec import canonical_hash
from judgebench.display import slug
from judgebench.errors import UsageError
from judgebench.models.opening import parse_model
from judgebench.run.archive import MEMBER
from judgebench.run.folder import RunFolder
from judgebench.run.loading import load_tasks
from judgebench.run.protocol import protocol
from judgebench.run.reading import read_run
from judgebench.run.runner import Runner
from judgebench.run.seats import judge_for
from judgebench.run.settings import Settings
from tests.commands import Command
from tests.own_tasks import sums_answers

EVIL = "import pathlib, sys\npathlib.Path({marker!r}).write_text('ran')\nsys.exit(0)\n"
STRANGER = "127.0.0.2"
"""An address of this machine that is not the one that a judge may have unasked."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two verified runs of equal answers, a and b, a judged one, c, and one with answers only, d; a gate's policies."""
    place = tmp_path_factory.mktemp("foreign")
    for name in "ab":
        model = f"file:{sums_answers(place / f'{name}.jsonl', 3)}"
        Runner(Settings(tasks="gsm8k", starter=True, model=model, out=place / name), lambda *_: None).evaluate()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUDGEBENCH_CACHE", str(place / "cache"))
        common: dict[str, Any] = {"tasks": "alpacaeval", "starter": True, "model": "builtin:tiny"}
        Runner(Settings(**common, judges=("builtin:tiny",), out=place / "c"), lambda *_: None).evaluate()
        answers = Settings(**common, gen={"temperature": "0.5"}, out=place / "d")
        Runner(answers, lambda *_: None).evaluate(judge=False)
    shutil.rmtree(place / "cache")
    (place / "verified.toml").write_text("[defaults]\nmin_n = 2\nmax_drop = 30\n")
    (place / "judged.toml").write_text('[defaults]\nmin_n = 2\n[tasks.alpacaeval]\nmetric = "win_rate"\nmax_drop = 4\n')
    return place


@pytest.fixture
def place(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of them as the working directory, with a program beside them that must not be run."""
    shutil.copytree(runs, tmp_path / "place")
    monkeypatch.chdir(tmp_path / "place")
    (tmp_path / "place" / "evil.py").write_text(EVIL.format(marker=str(tmp_path / "marker")))
    return tmp_path / "place"


# -- the commands


def reading(run: str, other: str, policy: str) -> dict[str, tuple[str, ...]]:
    """Every command that reads a run; ``run`` is the one that was doctored."""
    return {
        "score": ("score", run),
        "judge": ("judge", run, "--judge", "builtin:tiny", "--quiet"),
        "compare": ("compare", other, run, "--flips", "2"),
        "compare with it": ("compare", run, other, "--format", "csv"),
        "gate": ("gate", "--baseline", other, "--candidate", run, "--policy", policy),
        "gate against it": ("gate", "--baseline", run, "--candidate", other, "--policy", policy),
        "gate against a published row": ("gate", "--baseline", "published:gpt4", "--candidate", run, "--max-drop", "5"),
        "gate, sequential": ("gate", "--sequential", "--baseline", other, "--candidate", run, "--policy", policy),
        "gate, sequential, against it": (
            "gate", "--sequential", "--baseline", run, "--candidate", other, "--policy", policy,
        ),
        "explain": ("explain", run, other),
        "leaderboard": ("leaderboard", run, other, "--format", "md"),
        "plan": ("plan", "--task", "gsm8k", "--baseline", run),
        "import": ("import", run, "--from", "archive", "--out", "imported"),
        "eval": (
            "eval", "--model", "file:a.jsonl", "--tasks", "gsm8k", "--starter", "--out", run, "--quiet",
        ),
        **{
            f"export to {form}": ("export", run, "--to", form, "--out", f"out-{form}")
            for form in ("archive", "csv", "parquet", "eval-results", "every-eval-ever", "lm-eval", "alpaca-eval")
        },
    }  # fmt: skip


COMMANDS = list(reading("run", "other", "policy"))
FOLDERS_ONLY = ("score", "judge", "eval", "explain", "export to archive")
"""Of an archive these say that it is no folder."""


def zipped(run: Path) -> Path:
    """The folder as an archive, whatever is in it."""
    path = run.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(run.rglob("*")):
            name = file.relative_to(run).as_posix()
            if file.is_file() and MEMBER.fullmatch(name):
                archive.write(file, name)
    return path


def steering(text: str) -> set[str]:
    """Characters that move a cursor, colour a line or turn its direction."""
    return {c for c in text if c not in "\n\t\r" and unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")}


# -- what is done to a run

Manifest = dict[str, Any]


def named(name: str, *, key: str | None = None) -> Callable[[Manifest], None]:
    """The task has this name."""

    def change(manifest: Manifest) -> None:
        fields = manifest["tasks"].pop("gsm8k")
        manifest["tasks"][name if key is None else key] = {**fields, "name": name, "label": f"{name}@cot8"}

    return change


def field(value: Any, *names: str) -> Callable[[Manifest], None]:
    """A field of the task has this value."""

    def change(manifest: Manifest) -> None:
        inner = manifest["tasks"]["gsm8k"]
        for name in names[:-1]:
            inner = inner[name]
        inner[names[-1]] = value

    return change


def session(**config: Any) -> Callable[[Manifest], None]:
    """The last session's settings say so."""
    return lambda manifest: manifest["sessions"][-1]["config"].update(config)


CODE = {"file": "evil.py", "sha256": {"evil.py": "0" * 64}}
NAMES_CODE: dict[str, Callable[[Manifest], None]] = {
    "an absolute path": lambda manifest: named(os.path.abspath("evil.py"))(manifest),
    "a relative path": named("./evil.py"),
    "a file here": named("evil.py"),
    "a path under the old key": named("./evil.py", key="gsm8k"),
    "a module": named("evil"),
    "a way out of the folder of tasks": named("../place/evil"),
    "a path with a version and options": named("./evil.py@1:x=1"),
    "an entry point's value": named("evil:task"),
    "a URL": named("http://127.0.0.1:9/evil.py"),
    "nothing": named(""),
    "line breaks": named("gsm8k\n./evil.py"),
    "the file that it was given as": lambda manifest: (named("evil")(manifest), field_of(manifest, "evil", code=CODE)),
    "a file that it was given as, for a bundled task": field(CODE, "code"),
    "a path as that file": field({**CODE, "file": "/tmp/evil.py"}, "code"),
}
"""Where a manifest has the name of a task or of its code. With these every command that needs the task is refused."""
SAYS_MORE: dict[str, Callable[[Manifest], None]] = {
    "version": field("./evil.py", "version"),
    "label": field("./evil.py", "label"),
    "options": field({"template": "./evil.py", "seed": "../../etc/passwd"}, "options"),
    "sources": field([{"name": "../../evil", "sha256": "0", "origin": "mirror"}], "sources"),
    "thinking": field("./evil.py", "thinking"),
    "judge models": field(["hf:./evil"], "judge_models"),
    "reported by": field("./evil.py", "protocol", "reported_by"),
    "the task of a session": session(tasks="./evil.py"),
    "files of a session": session(labels="/etc/passwd", ids="/etc/passwd", mirrors=["/etc"], baseline="/etc/passwd"),
    "models of a session": session(model="hf:./evil", judges=["hf:./evil"], judge_args={"trust_remote_code": "true"}),
    "the candidate": lambda manifest: manifest.update(candidate_spec="hf:./evil", candidate_identity="hf:./evil"),
}
"""Where it has other texts: a command works without them or is refused."""


def field_of(manifest: Manifest, key: str, **values: Any) -> None:
    """More fields of a task."""
    manifest["tasks"][key].update(values)


def doctored(run: Path, change: Callable[[Manifest], Any]) -> None:
    """A run with another manifest, the task's folder called as it says, and programs in every place."""
    manifest = json.loads((run / "manifest.json").read_text())
    change(manifest)
    (run / "manifest.json").write_text(json.dumps(manifest))
    results = json.loads((run / "results.json").read_text())
    (name,) = [fields["name"] for fields in manifest["tasks"].values()]
    for score in results["scores"]:
        score["task"] = name
    (run / "results.json").write_text(json.dumps(results))
    for folder in (run, run / "gsm8k"):
        for file in ("task.py", "__init__.py", "conftest.py", "sitecustomize.py", "judgebench.py"):
            shutil.copy("evil.py", folder / file)
    if slug(name) != "gsm8k":
        shutil.copytree(run / "gsm8k", run / slug(name))
    (run / "sources.toml").write_text('[[source]]\nname = "x"\nurl = "http://127.0.0.2:9/x"\n')


def test_the_program_would_leave_its_mark(place: Path, tmp_path: Path, command: Command) -> None:
    """Named by the user it is run, and ends in a paragraph: what the tests below look for is there to be seen."""
    assert "SystemExit" in command("score", "a", "--tasks", "evil.py").paragraph
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize("how", ["folder", "archive"])
@pytest.mark.parametrize("case", [*NAMES_CODE, *SAYS_MORE])
def test_a_manifest_runs_nothing(place: Path, tmp_path: Path, command: Command, case: str, how: str) -> None:
    """Over all commands: no program is run, nothing is written outside, no traceback, and never the code of a FAIL; a
    task that the manifest may not name is refused by one paragraph wherever a task is needed.
    """
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    for name in COMMANDS:
        shutil.rmtree(place / "run", ignore_errors=True)
        shutil.copytree(place / "b", place / "run")
        doctored(place / "run", {**NAMES_CODE, **SAYS_MORE}[case])
        run = "run"
        if how == "archive":
            run = str(zipped(place / "run").relative_to(place))
        ended = command(*reading(run, "a", "verified.toml")[name])
        assert not (tmp_path / "marker").exists(), name
        assert "Traceback" not in ended.err
        assert ended.code in (0, 2), (name, ended)
        assert not steering(ended.out + ended.err)
        if ended.code == 2:
            told = [
                line for line in ended.err.splitlines() if not line.startswith(("judgebench: left out: ", "::error"))
            ]
            assert len(told) == 1, ended.err
        needs_the_task = not name.startswith(("leaderboard", "import", "export to", "eval", "plan"))
        if case in NAMES_CODE and (needs_the_task or name in ("export to eval-results", "export to lm-eval")):
            assert ended.code == 2, (name, ended)
        if how == "archive" and name in FOLDERS_ONLY:
            assert ended.code == 2 or name in ("explain", "export to archive"), (name, ended)
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    touched = {path for path, when in after.items() if before.get(path) != when}
    assert {path.relative_to(place).parts[0].partition("-")[0] for path in touched} <= {
        "run",
        "run.zip",
        "imported",
        "out",
    }


def test_python_runs_nothing_either(place: Path, tmp_path: Path) -> None:
    """The functions of the package refuse what the commands refuse."""
    for run in ("a", "b"):
        doctored(place / run, named("./evil.py"))
    asked: tuple[Callable[[], Any], ...] = (
        lambda: api.compare("a", "b"),
        lambda: api.gate("a", "b", max_drop=20),
        lambda: read_run(place / "a").tasks["./evil.py"].task,
    )
    for ask in asked:
        with pytest.raises(UsageError, match="the name of a task consists of letters"):
            ask()
    assert api.leaderboard("a", "b").groups[0].rows
    assert not (tmp_path / "marker").exists()


# -- links, pipes and devices


SECRET = '{"example_id": "x", "model": "a secret", "outputs": ["of somebody else"]}\n'
FILES = ("manifest.json", "results.json", "gsm8k/examples.jsonl", "gsm8k/generations.jsonl", "gsm8k/judgements.jsonl")
HALF_WRITTEN = ("manifest.json.partial", ".results.json.0.partial", "gsm8k/scores.json.partial", "gsm8k/x.partial")


@pytest.mark.parametrize("name", HALF_WRITTEN)
def test_what_was_half_written_is_never_written_through(place: Path, command: Command, name: str) -> None:
    """A link of such a name is cleared away, or among a task's files refused; what it points to stays as it was."""
    target = place / "private"
    target.write_text(SECRET)
    (place / "b" / name).symlink_to(target)
    ended = command("score", "b")
    assert ended.code == (2 if name.startswith("gsm8k") else 0), ended
    assert target.read_text() == SECRET


def test_the_lock_is_no_link(place: Path, command: Command) -> None:
    """Whoever works on a run writes into its lock, and into nothing else."""
    target = place / "private"
    for make in (lambda path: path.symlink_to(target), os.mkfifo, Path.mkdir):
        target.write_text(SECRET)
        make(place / "b" / ".lock")
        assert ".lock is " in command("score", "b").paragraph
        assert target.read_text() == SECRET
        (place / "b" / ".lock").rmdir() if (place / "b" / ".lock").is_dir() else (place / "b" / ".lock").unlink()


@pytest.mark.parametrize("name", [*FILES, "gsm8k/example_scores.jsonl", "gsm8k/baselines.jsonl", "gsm8k"])
def test_a_link_is_neither_followed_nor_written_through(
    place: Path, tmp_path: Path, command: Command, name: str
) -> None:
    """What it points to is neither shown nor exported nor changed, and the message names the link."""
    target = tmp_path / "private"
    if name == "gsm8k":
        shutil.move(place / "b" / "gsm8k", target)
    else:
        (place / "b" / name).unlink(missing_ok=True)
        target.write_text(SECRET)
    (place / "b" / name).symlink_to(target)
    before = target.read_text() if target.is_file() else [path.read_bytes() for path in sorted(target.iterdir())]
    for what in COMMANDS:
        ended = command(*reading("b", "a", "verified.toml")[what])
        if what not in ("plan", "import"):
            assert f"b/{name} is a link, a pipe or a device" in ended.err, (what, ended)
        assert ended.code == 2, (what, ended)
        assert "secret" not in ended.out + ended.err
    after = target.read_text() if target.is_file() else [path.read_bytes() for path in sorted(target.iterdir())]
    assert after == before


@pytest.mark.parametrize("name", [FILES[0], FILES[1], FILES[3]])
def test_a_pipe_keeps_nobody_waiting(place: Path, name: str) -> None:
    """Neither a named pipe nor a device is opened, by reading one or by looking for runs."""
    for make in (os.mkfifo, lambda path: os.symlink("/dev/zero", path)):
        (place / "b" / name).unlink()
        make(place / "b" / name)
        for arguments in (("score", "b"), ("compare", "a", "b"), ("leaderboard", ".")):
            asked = [sys.executable, "-m", "judgebench", *arguments]
            ended = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=120)
            assert "is a link, a pipe or a device" in ended.stderr
            assert ended.returncode == (0 if arguments[0] == "leaderboard" else 2)


# -- who is asked, with which key


@pytest.fixture
def stranger() -> Iterator[tuple[str, list[bytes]]]:
    """A server at an address that no judge may have unasked, and what it was sent."""
    seen: list[bytes] = []
    with socket.socket() as listening:
        try:
            listening.bind((STRANGER, 0))
        except OSError:
            pytest.skip(f"this machine has no address {STRANGER}")
        listening.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        seen.append(connection.recv(2**16))
                        connection.sendall(b"HTTP/1.1 401 no\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://{STRANGER}:{listening.getsockname()[1]}", seen
        listening.shutdown(socket.SHUT_RDWR)


JUDGES: dict[str, tuple[Callable[[str], dict[str, Any]], str]] = {
    "another host": (lambda url: {"judges": [f"{url}/v1#m"]}, "judges with http://127.0.0.2"),
    "another host with a key": (
        lambda url: {"judges": [f"{url}/v1#m"], "api_key_env": "AWS_SECRET_ACCESS_KEY"},
        "takes the key from AWS_SECRET_ACCESS_KEY",
    ),
    "another host as a user's name": (
        lambda url: {"judges": [url.replace("http://", "http://127.0.0.1@") + "/v1#m"]},
        "judges with http://127.0.0.1@127.0.0.2",
    ),
    "a jury with one": (lambda url: {"judges": ["builtin:tiny", f"{url}/v1#m"]}, "judges with http://127.0.0.2"),
    "a vendor's model elsewhere": (
        lambda url: {"judges": ["anthropic:m"], "judge_args": {"base_url": url}}, "gives base_url=http://127.0.0.2",
    ),
    "a vendor's model with another key": (
        lambda url: {"judges": ["openai:m"], "judge_args": {"api_key_env": "AWS_SECRET_ACCESS_KEY"}},
        "gives api_key_env=AWS_SECRET_ACCESS_KEY",
    ),
    "a checkpoint": (lambda url: {"judges": ["hf:./evil"]}, "judges with hf:./evil"),
    "a checkpoint's code": (
        lambda url: {"judges": ["builtin:tiny"], "judge_args": {"trust_remote_code": "true"}},
        "gives trust_remote_code=true",
    ),
    "a file": (lambda url: {"judges": ["file:/etc/passwd"]}, "judges with file:/etc/passwd"),
    "no list": (lambda url: {"judges": 5}, "damaged"),
    "endless repeats": (lambda url: {"judges": ["builtin:tiny"], "judge_repeats": 10**18}, "damaged"),
    "a budget that is none": (lambda url: {"judges": ["builtin:tiny"], "budget": -1e308}, "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("whose", ["candidate", "baseline"])
@pytest.mark.parametrize("case", JUDGES)
def test_a_run_does_not_choose_who_is_asked(
    place: Path,
    command: Command,
    stranger: tuple[str, list[bytes]],
    monkeypatch: pytest.MonkeyPatch,
    case: str,
    whose: str,
) -> None:
    """``gate --sequential`` judges by what the runs say only where nothing can be lost; else the judge is to be named.
    ``judge`` takes nothing of the kind from them.
    """
    for key in ("AWS_SECRET_ACCESS_KEY", "ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(key, "a-secret-of-the-users")
    url, seen = stranger
    config, said = JUDGES[case]
    run = place / ("d" if whose == "candidate" else "c")
    manifest = json.loads((run / "manifest.json").read_text())
    session(**config(url))(manifest)
    if whose == "candidate":  # as if its judging had begun
        manifest["tasks"]["alpacaeval"]["judge_models"] = ["m"]
    (run / "manifest.json").write_text(json.dumps(manifest))
    gate = ("gate", "--sequential", "--baseline", "c", "--candidate", "d", "--policy", "judged.toml")
    told = command(*gate).paragraph
    assert said in told
    assert "a-secret-of-the-users" not in told
    assert seen == []
    assert command("judge", "d", "--judge", "builtin:tiny", "--quiet").code == 0
    assert seen == []


def judged_by(run: Path, model: str) -> None:
    """The run says that a served model of this name was its judge."""
    (one,) = load_tasks(Settings(tasks="alpacaeval", starter=True))
    spec, _ = parse_model(f"http://somewhere/v1#{model}")
    seats = {
        name: [(judge_for(rule, spec, settings=Settings(tasks="")), model)] for name, rule in one.data.judges.items()
    }
    manifest = RunFolder(run).require_manifest()
    fields = manifest.tasks["alpacaeval"]
    fields.protocol = protocol(one, seats)
    fields.protocol_hash = canonical_hash(fields.protocol)
    RunFolder(run).write_manifest(manifest)


def test_the_user_chooses_who_is_asked(
    place: Path, command: Command, stranger: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A judge that is named is asked wherever it is; its key is sent where the user says so, and only then."""
    monkeypatch.setenv("A_KEY", "a-key-of-the-users")
    url, seen = stranger
    judged_by(place / "c", "m")
    gate = ("gate", "--sequential", "--baseline", "c", "--candidate", "d", "--policy", "judged.toml")
    for flags, key in (((), False), (("--api-key-env", "A_KEY"), True)):
        seen.clear()
        ended = command(*gate, "--judge", f"{url}/v1#m", *flags)
        assert ended.code == 6, ended.err
        assert seen
        assert any(b"a-key-of-the-users" in sent for sent in seen) == key
    for flag in (("--judge", "builtin:tiny"), ("--api-key-env", "A_KEY"), ("--budget", "1")):
        assert "are for gate --sequential" in command("gate", *gate[2:], *flag).paragraph


# -- numbers and texts


def everywhere(value: Any, change: Callable[[Any], Any]) -> Any:
    """A JSON value with every leaf changed."""
    if isinstance(value, dict):
        return {name: everywhere(inner, change) for name, inner in value.items()}
    if isinstance(value, list):
        return [everywhere(inner, change) for inner in value]
    return change(value)


NUMBERS = (1e308, -1, 2**62)
OF_NUMBERS = ("manifest.json", "results.json", "gsm8k/example_scores.jsonl")


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", OF_NUMBERS)
def test_no_number_ends_in_a_traceback(place: Path, command: Command, name: str, number: float) -> None:
    """Every number of a file is this one: the file is refused, or what is made of it stays a number."""
    path = place / "b" / name
    keep = {"version": 1} if name == "manifest.json" else {}

    def change(value: Any) -> Any:
        return number if isinstance(value, int | float) and not isinstance(value, bool) else value

    lines = [
        json.loads(line) for line in ([path.read_text()] if path.suffix == ".json" else path.read_text().splitlines())
    ]
    path.write_text("".join(json.dumps({**everywhere(line, change), **keep}) + "\n" for line in lines))
    for what in COMMANDS:
        shutil.copytree(place / "b", place / "run")
        ended = command(*reading("run", "a", "verified.toml")[what])
        assert "Traceback" not in ended.err
        assert ended.code in ((0, 1, 3) if what.startswith("gate") else (0,)) or ended.paragraph, (what, ended)
        shutil.rmtree(place / "run")


TEXT = "\x1b[31m\u202e=cmd|x\n::error::boo"
TEXTS = ("candidate", "candidate_spec", "status", "started_at", "run_id", "imported_from", "checkpoint_revision")


@pytest.mark.parametrize("how", ["manifest", "results"])
def test_no_text_speaks_to_the_terminal(place: Path, command: Command, how: str) -> None:
    """Every text of a manifest, or of the results, is steering characters, as far as the file can still be read."""
    path = place / "b" / f"{how}.json"
    value = json.loads(path.read_text())
    if how == "manifest":
        value.update(dict.fromkeys(TEXTS, TEXT))
        for fields in value["tasks"].values():
            own = dict.fromkeys(("label", "system", "first_prompt"), TEXT)
            fields.update(own, notes=[TEXT], judge_models=[TEXT], unknown=[TEXT], counts={TEXT: 3})
        value["sessions"][0]["argv"] = [TEXT]
    else:
        value = {**everywhere(value, lambda leaf: TEXT if isinstance(leaf, str) else leaf), "status": TEXT}
        for score in value["scores"]:
            score["task"] = "gsm8k"
    path.write_text(json.dumps(value))
    for what in COMMANDS:
        for run in ("run", str(zipped(place / "b").relative_to(place))):
            shutil.copytree(place / "b", place / "run")
            ended = command(*reading(run, "a", "verified.toml")[what])
            assert not steering(ended.out + ended.err), (what, run)
            assert ended.code in ((0, 1, 2, 3) if what.startswith("gate") else (0, 2)), (what, ended)
            assert "Traceback" not in ended.err
            shutil.rmtree(place / "run")
        shutil.rmtree(place / "imported", ignore_errors=True)


def test_an_own_task_is_not_among_those_of_a_manifest(place: Path) -> None:
    """Bundled names are found by their folder, installed ones by their entry point, and no path by either."""
    for name in ("./evil.py", "evil.py", os.path.abspath("evil.py"), "../tasks/gsm8k", "gsm8k/task.py"):
        assert tasks.find_registered(name) is None
