"""The call store keeps what it said it kept, and says so when it cannot."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue

import pytest

from judgebench.errors import JudgebenchError, UsageError
from judgebench.models import call_store, databases
from judgebench.models.call_store import Bill, CallStore, Spending, call_key, default_cache_dir
from judgebench.records import Completion, Message, Request, Sampling, Usage
from tests.patience import PATIENCE_SECONDS

ROOT = Path(call_store.__file__).resolve().parents[1]
COMPLETION = Completion(text="m", finish_reason="stop", top_logprobs=((("m", -0.1), ("M", -2.3)),), model="served")

WRITER = """
import sys
from pathlib import Path
from judgebench.models.call_store import Bill, CallStore
from judgebench.records import Completion
bill = Bill(run="run", model="m", identity="m")
store, first, count = CallStore(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])
def done(number, error):
    if error is not None:
        sys.exit(error)
    print(number, flush=True)
for number in range(first, first + count):
    store.put(number.to_bytes(32, "big"), bill, Completion(text="x" * 500), lambda error, n=number: done(n, error))
store.close()
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CallStore]:
    """An open store in a folder of its own."""
    with CallStore(tmp_path / "calls.sqlite") as opened:
        yield opened


def free(model: str = "m", run: str = "run") -> Bill:
    """A call that cost nothing."""
    return Bill(run=run, model=model, identity=model)


def put(
    store: CallStore, number: int, completion: Completion = COMPLETION, model: str = "m", bill: Bill | None = None
) -> JudgebenchError | None:
    """Put and wait: ``None`` once committed, else the error."""
    ends: SimpleQueue[JudgebenchError | None] = SimpleQueue()
    store.put(number.to_bytes(32, "big"), bill or free(model), completion, ends.put)
    return ends.get(timeout=PATIENCE_SECONDS)


def writer(path: Path, first: int, count: int) -> "subprocess.Popen[str]":
    """A process that stores ``count`` calls numbered from ``first`` and prints each number once it is committed."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(first), str(count)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def rows(path: Path) -> set[int]:
    """The numbers in the store, as another process sees them."""
    connection = sqlite3.connect(path)
    try:
        return {int.from_bytes(key, "big") for (key,) in connection.execute("SELECT key FROM calls")}
    finally:
        connection.close()


def test_a_stored_completion_comes_back_whole(store: CallStore) -> None:
    """Text, logprobs and the served model string survive; an unknown key gives nothing."""
    assert put(store, 1) is None
    assert store.get((1).to_bytes(32, "big")) == COMPLETION
    assert store.get((2).to_bytes(32, "big")) is None


def test_cached_is_not_stored(store: CallStore) -> None:
    """That a reply came from a store is a fact of one process, not of the reply."""
    put(store, 1, Completion(text="m", cached=True))
    assert store.get((1).to_bytes(32, "big")) == Completion(text="m", cached=False)


@pytest.mark.parametrize("completion", [Completion(error="timeout"), Completion(text="Let", finish_reason="error")])
def test_of_a_failed_call_only_the_cost_is_kept(store: CallStore, completion: Completion) -> None:
    """A reply with an error, or one that broke off, is never stored, so that a re-run asks again; it was paid for."""
    paid = Bill(run="run", model="m", identity="m", usage=Usage(prompt_tokens=7, completion_tokens=2), usd=0.5)
    assert put(store, 1, completion, bill=paid) is None
    assert store.get((1).to_bytes(32, "big")) is None
    assert store.spending("run") == Spending(calls=1, prompt_tokens=7, completion_tokens=2, usd=0.5)
    assert not store.answered("m")


def test_all_that_can_change_a_reply_changes_the_key() -> None:
    """Identity, messages, sampling and repeat each change the 32 bytes; an equal request gives equal ones."""

    def request(text: str = "hi", repeat: int = 0, temperature: float | None = None) -> Request:
        messages = (Message(role="user", content=text),)
        return Request(messages=messages, sampling=Sampling(temperature=temperature), repeat=repeat)

    keys = [
        call_key("http:a#m", request()),
        call_key("http:b#m", request()),
        call_key("http:a#m", request(text="ho")),
        call_key("http:a#m", request(repeat=1)),
        call_key("http:a#m", request(temperature=0.0)),
    ]
    assert len(set(keys)) == len(keys)
    assert {len(key) for key in keys} == {32}
    assert call_key("http:a#m", request()) == keys[0]


def test_the_callback_comes_after_the_commit(store: CallStore) -> None:
    """When a caller is told that a call is committed, another connection sees it."""
    seen = []
    done = threading.Event()

    def look(error: JudgebenchError | None) -> None:
        seen.append(rows(store.path))
        done.set()

    store.put((7).to_bytes(32, "big"), free(), COMPLETION, look)
    assert done.wait(PATIENCE_SECONDS)
    assert seen == [{7}]


def test_a_group_of_calls_is_told_once(store: CallStore) -> None:
    """What is to happen after a commit happens once for all of its calls, and after each of them was told of."""
    told: list[int] = []
    groups: SimpleQueue[int] = SimpleQueue()

    def then() -> None:
        groups.put(len(told))

    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # what is put while the file is locked is one group on any machine
        put_at_once = range(200)
        for number in put_at_once:
            store.put(number.to_bytes(32, "big"), free(), COMPLETION, lambda error, n=number: told.append(n), then=then)
        other.execute("ROLLBACK")
    seen = []
    while not seen or seen[-1] < len(put_at_once):
        seen.append(groups.get(timeout=PATIENCE_SECONDS))
    assert told == list(put_at_once)
    assert len(seen) <= 5


def test_commits_are_grouped(store: CallStore) -> None:
    """A burst of 500 calls takes a few commits, and none waits longer than 5 ms for company."""
    statements: list[str] = []
    store._writer.set_trace_callback(statements.append)
    done = threading.Semaphore(0)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # what is put while the file is locked is a burst on any machine
        for number in range(500):
            store.put(number.to_bytes(32, "big"), free(), COMPLETION, lambda error: done.release())
        other.execute("ROLLBACK")
    assert all(done.acquire(timeout=PATIENCE_SECONDS) for _ in range(500))
    assert statements.count("COMMIT") <= 5
    assert call_store.LINGER_SECONDS <= 0.005


def test_closing_commits_what_was_put(tmp_path: Path) -> None:
    """Nothing put before close is lost, and a put after it fails instead of hanging."""
    store = CallStore(tmp_path / "calls.sqlite")
    for number in range(100):
        store.put(number.to_bytes(32, "big"), free(), COMPLETION, lambda error: None)
    store.close()
    assert rows(store.path) == set(range(100))
    assert "closed" in str(put(store, 101))
    store.close()


def test_kill_9_loses_nothing_committed(tmp_path: Path) -> None:
    """Every call that a writer reported as committed is there after it was killed, at five moments."""
    path = tmp_path / "calls.sqlite"
    for round_number, told in enumerate((1, 40, 900, 2500, 5000)):
        process = writer(path, round_number * 100_000, 100_000)
        assert process.stdout is not None
        reported = [int(process.stdout.readline()) for _ in range(told)]
        process.send_signal(signal.SIGKILL)
        # Lines already in the pipe were reported too; the last may be torn.
        reported += [int(line) for line in process.stdout if line.endswith("\n")]
        process.wait()
        process.stdout.close()
        assert len(reported) >= told
        with CallStore(path):
            assert set(reported) <= rows(path)


def test_several_processes_share_a_store(tmp_path: Path) -> None:
    """Four processes that create and write one store at once lose nothing."""
    path = tmp_path / "calls.sqlite"
    processes = [writer(path, first, 300) for first in range(0, 1200, 300)]
    for process in processes:
        process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0
    assert rows(path) == set(range(1200))


def test_a_full_disk_reaches_the_caller_and_the_store_goes_on(store: CallStore) -> None:
    """The caller that waits gets one paragraph that says what to do; once there is room, calls are stored again."""
    store._writer.execute("PRAGMA max_page_count = 8").fetchall()
    error = put(store, 1, Completion(text="x" * 200_000))
    assert isinstance(error, JudgebenchError)
    assert "full" in str(error)
    assert "Make room" in str(error)
    assert "\n" not in str(error)
    store._writer.execute("PRAGMA max_page_count = 100000").fetchall()
    assert put(store, 2) is None
    assert rows(store.path) == {2}


def test_whatever_stops_a_commit_reaches_the_caller(store: CallStore) -> None:
    """A bill that cannot be written is the fault of whoever made it: the caller hears of it, and the thread goes on."""
    done: SimpleQueue[JudgebenchError | None] = SimpleQueue()
    bill = Bill(run="run", model="m", identity={"not": "a text"})  # type: ignore[arg-type]
    store.put(b"k" * 32, bill, Completion(text="x"), done.put)
    error = done.get(timeout=PATIENCE_SECONDS)
    assert "TypeError: unhashable type" in str(error)
    assert put(store, 2) is None
    assert rows(store.path) == {2}


def test_a_locked_store_reaches_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that holds the lock for ever makes an error after the timeout, not a hang."""
    monkeypatch.setattr(databases, "LOCK_TIMEOUT_SECONDS", 0.1)
    with CallStore(tmp_path / "calls.sqlite") as store:
        other = sqlite3.connect(store.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        error = put(store, 1)
        other.execute("ROLLBACK")
        other.close()
        assert "Another process" in str(error)
        assert put(store, 1) is None


@pytest.mark.parametrize("content", [b"this is not a database, and long enough to look like one" * 20])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    """Opening something that is no database says which file to move away."""
    path = tmp_path / "calls.sqlite"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"calls\.sqlite.*damaged.*move it away"):
        CallStore(path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file where the folder should be is an error that names the store and the variable to set."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"JUDGEBENCH_CACHE"):
        CallStore(tmp_path / "file" / "calls.sqlite")


def test_an_unreadable_row_is_an_error(store: CallStore) -> None:
    """A row that is no completion is not silently asked and paid for again."""
    put(store, 1)
    store._writer.execute("""UPDATE calls SET completion = CAST('{"txt": 1}' AS BLOB)""")
    with pytest.raises(UsageError, match="something else"):
        store.get((1).to_bytes(32, "big"))


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    """A migration that this version does not know is named instead of being written over."""
    path = tmp_path / "calls.sqlite"
    CallStore(path).close()
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO migrations VALUES ('add_everything', 0)")
    connection.commit()
    connection.close()
    with pytest.raises(UsageError, match="add_everything"):
        CallStore(path)


def test_opening_again_keeps_everything(tmp_path: Path) -> None:
    """Migrations are applied once."""
    path = tmp_path / "calls.sqlite"
    for number in range(3):
        with CallStore(path) as store:
            put(store, number)
    assert rows(path) == {0, 1, 2}


def test_statistics_count_by_model(store: CallStore) -> None:
    """Rows and bytes are told for each model."""
    for number in range(5):
        put(store, number, model="a" if number < 3 else "b")
    found = store.statistics()
    assert [(calls.model, calls.rows) for calls in found.models] == [("a", 3), ("b", 2)]
    assert found.rows == 5
    assert found.bytes > 0
    assert found.models[0].bytes == 3 * found.models[1].bytes / 2
    assert found.models[0].oldest <= found.models[0].newest <= time.time()


@pytest.mark.parametrize(
    ("conditions", "left"),
    [
        ({"model": "a"}, {3, 4}),
        ({"older_than_days": 1}, {1, 2, 3, 4}),
        ({"older_than_days": 1, "model": "b"}, set(range(5))),
    ],
)
def test_prune_deletes_what_matches(store: CallStore, conditions: dict[str, object], left: set[int]) -> None:
    """Age and model narrow what is deleted; the number of deleted rows is returned."""
    for number in range(5):
        put(store, number, model="a" if number < 3 else "b")
    store._writer.execute("UPDATE calls SET created = created - 2 * 86400 WHERE key = ?", ((0).to_bytes(32, "big"),))
    prune: Callable[..., int] = store.prune
    assert prune(**conditions) == 5 - len(left)
    assert rows(store.path) == left


def test_prune_wants_a_condition(store: CallStore) -> None:
    """Nothing is deleted by a forgotten flag."""
    with pytest.raises(UsageError, match="age nor a model"):
        store.prune()


def test_the_cache_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """JUDGEBENCH_CACHE names the folder; without it, it is the user's cache folder."""
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(tmp_path))
    assert default_cache_dir() == tmp_path
    monkeypatch.delenv("JUDGEBENCH_CACHE")
    assert default_cache_dir().name == "judgebench"


@pytest.fixture(scope="module")
def cache_of_all_tests_here() -> Path:
    """Where a fixture that several tests share would keep its calls."""
    return default_cache_dir()


def test_no_fixture_touches_the_users_cache(
    cache_of_all_tests_here: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its own folders are a test's, and those of the fixtures that are set up before it lie beside them."""
    here = tmp_path_factory.getbasetemp()
    assert cache_of_all_tests_here.is_relative_to(here)
    assert default_cache_dir().is_relative_to(here)
    assert cache_of_all_tests_here != default_cache_dir()
