"""Calls move between stores whole, are checked on the way in, and are paid for once by a team."""

import gzip
import hashlib
import json
import shlex
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

import judgebench
from judgebench.errors import UsageError
from judgebench.models import call_parts
from judgebench.models.call_parts import export_calls, import_calls, pull, push
from judgebench.models.call_store import MIGRATIONS, Bill, CallStore, StoredCall, create_calls
from judgebench.models.scripted import ScriptedModel, failure, playing
from judgebench.records import Completion
from tests.commands import Command
from tests.models.test_call_store import COMPLETION, put


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[CallStore, CallStore]]:
    """Two people's stores, the first with 50 calls of two models."""
    with CallStore(tmp_path / "one" / "calls.sqlite") as one, CallStore(tmp_path / "two" / "calls.sqlite") as two:
        for number in range(50):
            put(one, number, COMPLETION, model="ab"[number % 2])
        yield one, two


def calls_of(store: CallStore) -> list[StoredCall]:
    """All calls, by key."""
    return sorted(store.calls(), key=lambda call: call.key)


@pytest.fixture(params=["folder", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A team's place: a folder, and a bucket in memory."""
    import fsspec

    if request.param == "folder":
        yield str(tmp_path / "team")
        return
    yield "memory://team/calls"
    fsspec.filesystem("memory").store.clear()


def test_what_is_pushed_can_be_pulled(
    stores: tuple[CallStore, CallStore], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In parts, byte by byte, each call once; what answered there is known to have answered here."""
    monkeypatch.setattr(call_parts, "CALLS_PER_PART", 20)
    one, two = stores
    put(two, 7, COMPLETION, model="b")
    put(two, 99)
    assert (push(one, place).parts, push(one, place).new) == (3, 0)
    assert push(two, place).new == 1
    found = pull(two, place)
    assert (found.parts, found.calls, found.new) == (3, 50, 49)
    assert [(call.key, call.completion) for call in calls_of(two)[:50]] == [
        (call.key, call.completion) for call in calls_of(one)
    ]
    assert two.answered("a")
    assert pull(two, place).calls == 0
    assert (pull(one, place).new, len(calls_of(one))) == (1, 51)


def test_one_file_holds_the_calls_of_one_model(stores: tuple[CallStore, CallStore], tmp_path: Path) -> None:
    """Or of all; the same calls make the same bytes, and nothing is overwritten."""
    one, two = stores
    files = [tmp_path / name for name in ("a.gz", "again.gz")]
    for file in files:
        assert export_calls(one, file, "a").calls == 25
    assert files[0].read_bytes() == files[1].read_bytes()
    assert (import_calls(two, files[0]).new, import_calls(two, files[1]).new) == (25, 0)
    assert {call.model for call in calls_of(two)} == {"a"}
    with pytest.raises(UsageError, match="exists already"):
        export_calls(one, files[0])


def test_a_call_that_is_stored_stays(stores: tuple[CallStore, CallStore], tmp_path: Path) -> None:
    """Whatever another store says of it."""
    one, two = stores
    put(two, 3, Completion(text="mine"))
    export_calls(one, tmp_path / "calls.gz")
    import_calls(two, tmp_path / "calls.gz")
    assert two.get((3).to_bytes(32, "big")) == Completion(text="mine")


HEADER = {"format": "judgebench-calls-1"}
ROW = {"key": "0" * 64, "model": "m", "created": 1.0, "completion": {"text": "[[A]]"}}
HOSTILE = {
    "no gzip": b"{}\n",
    "nothing": b"",
    "cut off": gzip.compress(b"x" * 5000)[:20],
    "another format": gzip.compress(b'{"format": "other"}\n'),
    "no header": gzip.compress(json.dumps(ROW).encode()),
    "too many identities": gzip.compress(json.dumps({**HEADER, "identities": ["m"] * 10_001}).encode()),
    **{
        what: gzip.compress(b"\n".join(json.dumps(line).encode() for line in (HEADER, ROW, {**ROW, **changed})))
        for what, changed in {
            "a short key": {"key": "00"},
            "a key of other characters": {"key": "g" * 64},
            "a long name": {"model": "m" * 10_000},
            "an unknown field": {"more": 1},
            "an unknown field of the reply": {"completion": {"text": "a", "more": 1}},
            "a reply that is none": {"completion": {"error": "timeout"}},
            "a reply that broke off": {"completion": {"text": "a", "finish_reason": "error"}},
            "a number that is none": {"created": 1e300},
            "a reply that is nested": {"completion": {"text": "a", "scores": "[" * 5000}},
        }.items()
    },
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_changes_nothing(stores: tuple[CallStore, CallStore], tmp_path: Path, what: str) -> None:
    """It is refused in one sentence, and no row of it is kept, not even the sound one before."""
    (tmp_path / "calls.gz").write_bytes(HOSTILE[what])
    with pytest.raises(UsageError, match=r"was not taken in|no file of calls"):
        import_calls(stores[1], tmp_path / "calls.gz")
    assert not calls_of(stores[1])


def test_what_unpacks_to_too_much_is_refused(
    stores: tuple[CallStore, CallStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small file may hold a few rows of anything, but not a thousand times its size."""
    monkeypatch.setattr(call_parts, "UNPACKED_ANYWAY", 2**16)
    row = {**ROW, "completion": {"text": " " * 1000}}
    lines = "\n".join(json.dumps(line) for line in (HEADER, *({**row, "key": f"{n:064x}"} for n in range(9000))))
    (tmp_path / "calls.gz").write_bytes(gzip.compress(lines.replace("00000000", "0" * 8).encode(), 9))
    monkeypatch.setattr(call_parts, "MOST_UNPACKED", 30)
    with pytest.raises(UsageError, match="more than 30 times as large"):
        import_calls(stores[1], tmp_path / "calls.gz")
    assert not calls_of(stores[1])


def test_a_part_that_is_not_sound_is_left_out(
    stores: tuple[CallStore, CallStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changed bytes, and calls that are not those of its keys; the other parts are taken in all the same."""
    monkeypatch.setattr(call_parts, "CALLS_PER_PART", 20)
    one, two = stores
    place = tmp_path / "team"
    push(one, str(place))
    first, second, third = sorted(place.glob("*.calls.gz"))
    first.write_bytes(first.read_bytes()[:-9] + b"\x00" * 9)
    keys = second.with_name(second.name.replace(".calls.gz", ".keys"))
    keys.write_bytes(keys.read_bytes()[:-32] + b"\x01" * 32)
    (place / ("f" * 64 + ".keys")).write_bytes(b"half of a key")
    (place / "notes.txt").write_text("not ours")
    with pytest.raises(UsageError, match="2 of its parts were not") as raised:
        pull(two, str(place))
    assert first.name in str(raised.value)
    assert f"{second.name} was not taken in: its calls are not those of the keys beside it" in str(raised.value)
    there = {line["key"] for line in map(json.loads, gzip.decompress(third.read_bytes()).splitlines()[1:])}
    assert {call.key.hex() for call in calls_of(two)} == there


def test_a_place_that_is_none_is_told(stores: tuple[CallStore, CallStore], tmp_path: Path) -> None:
    """Nothing there, a file, and a kind of place that nobody knows."""
    (tmp_path / "file").write_text("")
    for wrong in (str(tmp_path / "nowhere"), str(tmp_path / "file"), "nosuch://place"):
        with pytest.raises(UsageError, match=r"holds no calls|cannot be used as a place"):
            pull(stores[1], wrong)


def test_a_colleague_asks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    """After a pull the same command makes no call, and writes the same bytes."""

    def run(whose: str, judge: ScriptedModel) -> dict[str, bytes]:
        monkeypatch.setenv("JUDGEBENCH_CACHE", str(tmp_path / whose))
        candidate = ScriptedModel(lambda request: "An answer.", name="candidate", identity="candidate")
        with playing(candidate) as model, playing(judge) as spec:
            if whose == "second":
                candidate._reply = lambda request: failure("asked again")
                assert command("cache", "pull", tmp_path / "team").code == 0
            out = tmp_path / f"run-{whose}"
            judgebench.evaluate(model, "mtbench", judge=spec, starter=True, out=out, progress=False)
            if whose == "first":
                assert command("cache", "push", tmp_path / "team").out.count(" of them new") == 1
        assert whose == "first" or not (candidate.asked or judge.asked)
        return {path.name: path.read_bytes() for path in sorted((out / "mtbench").iterdir())}

    paid = run("first", ScriptedModel(lambda request: "Fine. [[7]]", name="judge", identity="judge"))
    again = run("second", ScriptedModel(lambda request: failure("asked again"), name="judge", identity="judge"))
    assert "judgements.jsonl" in paid
    assert again == paid


def test_the_commands_say_what_they_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    """And ``verify`` names rows that cannot be read, and forgets them if it is told to."""
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(tmp_path / "one"))
    with CallStore(tmp_path / "one" / "calls.sqlite") as store:
        put(store, 1)
        put(store, 2)
    file = tmp_path / "calls.jsonl.gz"
    assert command("cache", "export", file).out == f"2 replies written to {file}, 2 of them new\n"
    assert command("cache", "verify").out == "2 replies, all of which can be read\n"
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(tmp_path / "two"))
    assert command("cache", "import", file).out == f"2 replies in {file}, 2 of them new\n"
    with sqlite3.connect(tmp_path / "two" / "calls.sqlite") as database:
        database.execute("UPDATE calls SET completion = x'7b' WHERE key = ?", ((1).to_bytes(32, "big"),))
    database.close()
    assert "1 of 2 rows of the call store hold no reply" in command("cache", "verify").paragraph
    assert command("cache", "verify", "--forget").out == "1 replies, all of which can be read; 1 forgotten\n"
    assert command("cache", "import", file).out == f"2 replies in {file}, 1 of them new\n"


def test_what_large_runs_md_says_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    """Every command of the page, with a folder of the test's as the place."""
    monkeypatch.chdir(tmp_path)
    blocks = (Path(__file__).parents[2] / "docs" / "large-runs.md").read_text().split("```")[1::2]
    lines = [line.partition("#")[0] for block in blocks for line in block.splitlines() if "judgebench " in line]
    assert len(lines) > 7
    for line in lines:
        assert command(*shlex.split(line.replace("/shared", str(tmp_path)))[1:]).code == 0, line


@pytest.mark.parametrize("applied", range(1, len(MIGRATIONS)))
def test_an_older_store_is_brought_up_to_date(tmp_path: Path, applied: int) -> None:
    """One that an earlier version made keeps its calls, and can do what a new one can."""
    path = tmp_path / "calls.sqlite"
    with sqlite3.connect(path) as old:
        old.execute("CREATE TABLE migrations (name TEXT PRIMARY KEY, applied REAL NOT NULL)")
        for migration in MIGRATIONS[:applied]:
            migration(old)
            old.execute("INSERT INTO migrations VALUES (?, 0)", (migration.__name__,))
        old.execute("INSERT INTO calls VALUES (?, 'm', 1.0, ?)", (bytes(32), b'{"text":"old"}'))
    old.close()
    assert MIGRATIONS[0] is create_calls
    with CallStore(path) as store:
        assert store.get(bytes(32)) == Completion(text="old")
        assert put(store, 1, bill=Bill(run="r", model="m", identity="m", usd=0.5)) is None
        assert store.spending("r").usd == 0.5
        assert store.batches.batches() == []
        assert push(store, str(tmp_path / "team")).new == 2
    name = next((tmp_path / "team").glob("*.calls.gz"))
    assert hashlib.sha256(name.read_bytes()).hexdigest() == name.name.removesuffix(".calls.gz")
