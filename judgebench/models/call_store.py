"""The call store: every finished call, committed before anybody sees it. It makes runs resumable and re-runs free.

The store is SQLite with ``synchronous=FULL``, so a committed call survives ``kill -9`` and power loss; ``databases``
chooses the journal by the disk. Several processes may share one store: none sends a call that another has in flight
(``claims``). One thread writes, and groups the calls of a few milliseconds into one commit: one ``fsync`` per group
instead of one per call. The same commit records what the call cost the run that bought it, so that spending is known
however a process ends. This module calls no model; ``wrappers`` does.
"""

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import pairwise
from pathlib import Path
from queue import Empty, SimpleQueue

import msgspec
import platformdirs
from msgspec import Struct

from judgebench import codec
from judgebench.errors import JudgebenchError, UsageError
from judgebench.models.batch_book import BatchBook, create_batches
from judgebench.models.claims import Claims, portions
from judgebench.models.databases import connect, transaction
from judgebench.models.disks import HOW_TO_SHARE, require_locks
from judgebench.records import Completion, Request, Usage

LINGER_SECONDS = 0.002
"""How long the writer collects further calls after the first, if others are still in flight. A paid call holds its slot
until the commit, so that this is added to the time of every call."""
ROWS_PER_COMMIT = 1000
PACE_CALLS, FEWEST_FOR_PACE = 1000, 20
"""How many of a model's newest calls say how fast it is, and how few cannot."""
FEW_FOR_PACE, LONG_FOR_PACE = 5, 60.0
"""How few are enough if they took so many seconds, as those of a model on this machine do."""
SHORTEST_FOR_PACE = 10.0
"""Seconds within which all of them may have been sent at once, so that they say nothing."""
PAUSE_SECONDS = 60.0
"""A longer time between two calls is a pause between two runs."""
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What the operating system says where files cannot be locked."""
ANOTHER_FOLDER = "name another folder with --cache or JUDGEBENCH_CACHE"
KEY_BYTES = 32
KEY_TAG = "judgebench-call-1"
"""Names the recipe of the keys: a new recipe gets a new tag, so old rows are never mistaken for new ones."""


def default_cache_dir() -> Path:
    """``JUDGEBENCH_CACHE`` if set, else the user's cache folder of this platform."""
    override = os.environ.get("JUDGEBENCH_CACHE")
    return Path(override).expanduser() if override else platformdirs.user_cache_path("judgebench")


def store_path(folder: Path | None = None) -> Path:
    """The path of the call store in a folder, by default in that of :func:`default_cache_dir`."""
    return (folder.expanduser() if folder else default_cache_dir()) / "calls.sqlite"


def call_key(identity: str, request: Request) -> bytes:
    """The name of a call, 32 bytes: sha256 of tag, the model's identity and the canonical request with its repeat."""
    return bytes.fromhex(codec.canonical_hash((KEY_TAG, identity, request)).removeprefix("sha256:"))


def create_calls(connection: sqlite3.Connection) -> None:
    """The table of calls. It keeps its rowid: WITHOUT ROWID measured three times slower with values of this size."""
    connection.execute(
        "CREATE TABLE calls ("
        "key BLOB PRIMARY KEY, model TEXT NOT NULL, created REAL NOT NULL, completion BLOB NOT NULL)"
    )


def create_spending(connection: sqlite3.Connection) -> None:
    """What each run has bought of each model, and which models have ever answered."""
    connection.execute(
        "CREATE TABLE spending (run TEXT NOT NULL, model TEXT NOT NULL, calls INTEGER NOT NULL, "
        "prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, usd REAL NOT NULL, "
        "estimated_calls INTEGER NOT NULL, estimated_usd REAL NOT NULL, PRIMARY KEY (run, model))"
    )
    connection.execute("CREATE TABLE answered (identity TEXT PRIMARY KEY)")


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (create_calls, create_spending, create_batches)
"""Applied in order, each once; the store records their names. Never change one, only append."""


class ModelCalls(Struct, frozen=True, kw_only=True):
    """What the store holds for one model."""

    model: str
    rows: int
    bytes: int
    """Size of the stored replies, without keys and indexes."""
    oldest: float
    """Seconds since the epoch."""
    newest: float


class StoreStatistics(Struct, frozen=True, kw_only=True):
    """What the store holds, and the disk space it takes including its write-ahead log."""

    path: str
    rows: int
    bytes: int
    models: tuple[ModelCalls, ...]


class Bill(Struct, frozen=True, kw_only=True):
    """What a call cost, and which run pays."""

    run: str
    """The key of the run that bought the call; empty if none did."""
    model: str
    identity: str
    """The model's identity, as in the keys of calls."""
    usage: Usage = Usage()
    usd: float = 0.0
    """0 if the price is unknown."""


class Spending(Struct, frozen=True, kw_only=True):
    """What a run has paid over all its processes, by the store's own books."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0
    """As far as prices are known."""
    estimated_calls: int = 0
    """Calls whose tokens the provider did not report; they count at an upper estimate."""
    estimated_usd: float = 0.0
    """The part of ``usd`` that is estimated in this way."""
    lost_calls: int = 0
    """Calls that were in flight when a process was killed. They may have been billed, and are not in ``usd``."""
    lost_usd: float = 0.0
    """The most that lost calls can have cost; a budget counts it as spent."""


SPENDING_COLUMNS = tuple(field for field in Spending.__struct_fields__ if not field.startswith("lost_"))
"""The fields that the table ``spending`` adds up. ``claims`` counts the lost calls."""


class StoredCall(Struct, frozen=True):
    """A row of the store."""

    key: bytes
    model: str
    created: float
    """Seconds since the epoch."""
    completion: bytes
    """As JSON."""


class _FinishedCall(Struct, frozen=True):
    key: bytes
    created: float
    completion: bytes
    """Empty for a call that failed; only its cost is kept."""
    bill: Bill
    on_done: Callable[[JudgebenchError | None], None]
    then: Callable[[], None] | None


def _tell(rows: Sequence[_FinishedCall], problem: JudgebenchError | None) -> None:
    """Say of finished calls that they are committed, or why they are not."""
    for row in rows:
        row.on_done(problem)
    for then in dict.fromkeys(row.then for row in rows if row.then is not None):
        then()


class CallStore:
    """Finished calls by key. Usable from any thread; :meth:`close` commits what was put."""

    def __init__(self, path: Path) -> None:
        """Open or create the store. Raises :class:`UsageError` if that fails."""
        self.path = path
        self._decoder = msgspec.json.Decoder(Completion)
        self._rows: SimpleQueue[_FinishedCall | None] = SimpleQueue()
        self._guard = threading.Lock()
        self._hurry = threading.Event()
        """Set when nobody will put another call before the next commit."""
        self._reading = threading.Lock()
        self._closed = False
        with ExitStack() as opened:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                require_locks(path.parent)
                self._writer = opened.enter_context(closing(connect(path, synchronous="FULL")))
                self._migrate()
                self._reader = opened.enter_context(closing(connect(path, synchronous="FULL")))
                self.claims = Claims(path, lambda key: bool(self.held([key])))
            except (OSError, sqlite3.Error) as error:
                raise self.problem("opened", error) from error
            opened.pop_all()
        self._batches: BatchBook | None = None
        self._answered: set[str] = set()
        self._thread = threading.Thread(target=self._write, name="judgebench-store", daemon=True)
        self._thread.start()

    @property
    def batches(self) -> BatchBook:
        """The record of the batches that calls are in."""
        with self._guard:
            if self._batches is None:
                self._batches = BatchBook(self.path)
            return self._batches

    def get(self, key: bytes) -> Completion | None:
        """The stored completion of the key, without ``cached`` set, or ``None``."""
        return self.get_all([key]).get(key)

    def get_all(self, keys: Collection[bytes]) -> dict[bytes, Completion]:
        """The stored completions of those of the keys that have one, without ``cached`` set."""
        found: dict[bytes, bytes] = {}
        with self._read() as reader:
            for some in portions(keys):
                query = f"SELECT key, completion FROM calls WHERE key IN ({','.join('?' * len(some))})"
                found.update(reader.execute(query, some))
        return {key: self._decoded(key, completion) for key, completion in found.items()}

    def _decoded(self, key: bytes, completion: bytes) -> Completion:
        try:
            return self._decoder.decode(completion)
        except msgspec.DecodeError as error:
            raise UsageError(
                f"Could not read a reply from the call store {self.path}: row {key.hex()} holds something else "
                f"({error}). Another version of judgebench wrote it, or the file is damaged: use that version, or move "
                "the file away."
            ) from error

    def held(self, keys: Collection[bytes]) -> list[bytes]:
        """Those of the keys whose calls are stored."""
        found = []
        with self._read() as reader:
            for some in portions(keys):
                query = f"SELECT key FROM calls WHERE key IN ({','.join('?' * len(some))})"
                found += [key for (key,) in reader.execute(query, some)]
        return found

    def answered(self, identity: str) -> bool:
        """Whether a model has ever answered, in any process."""
        with self._read() as reader:
            return bool(reader.execute("SELECT 1 FROM answered WHERE identity = ?", (identity,)).fetchone())

    def calls_per_second(self, model: str) -> float | None:
        """How fast a model's newest calls were stored, without the pauses between them; ``None`` if there are few."""
        gaps = self.seconds_between(model)
        return len(gaps) / sum(gaps) if gaps else None

    def seconds_between(self, model: str) -> list[float]:
        """The times between a model's newest calls as they were stored, without pauses; empty if there are few."""
        with self._read() as reader:
            query = "SELECT created FROM calls WHERE model = ? ORDER BY rowid DESC LIMIT ?"
            moments: list[float] = sorted(moment for (moment,) in reader.execute(query, (model, PACE_CALLS)))
        gaps = [after - before for before, after in pairwise(moments)]
        working = [gap for gap in gaps if gap < PAUSE_SECONDS]
        fewest = FEW_FOR_PACE if sum(working) >= LONG_FOR_PACE else FEWEST_FOR_PACE
        enough = len(working) >= fewest and sum(working) >= SHORTEST_FOR_PACE
        return working if enough else []

    def spending(self, run: str) -> Spending:
        """What a run has paid so far."""
        totals = ", ".join(f"COALESCE(SUM({column}), 0)" for column in SPENDING_COLUMNS)
        with self._read() as reader:
            sums = reader.execute(f"SELECT {totals} FROM spending WHERE run = ?", (run,)).fetchone()
            lost_calls, lost_usd = self.claims.lost(run)
        spent = dict(zip(SPENDING_COLUMNS, sums, strict=True), lost_calls=lost_calls, lost_usd=lost_usd)
        return msgspec.convert(spent, Spending)

    def bought(self, run: str, model: str) -> tuple[int, float]:
        """How many calls of a model a run has paid so far, and their USD."""
        with self._read() as reader:
            query = "SELECT COALESCE(SUM(calls), 0), COALESCE(SUM(usd), 0) FROM spending WHERE run = ? AND model = ?"
            calls, usd = reader.execute(query, (run, model)).fetchone()
        return int(calls), float(usd)

    def put(
        self,
        key: bytes,
        bill: Bill,
        completion: Completion,
        on_done: Callable[[JudgebenchError | None], None],
        *,
        then: Callable[[], None] | None = None,
        at_once: bool = False,
    ) -> None:
        """Store a completion. ``on_done`` is called once, after the commit or with the error that prevented it, and
        ``then`` after it, once for all calls of a commit that have the same; both from the writing thread, and they
        must not raise. ``at_once``: commit without waiting for further calls.

        A failed completion leaves only its cost, so that a re-run asks again. Either way our claim on the call is
        released.
        """
        if completion.cached:
            completion = msgspec.structs.replace(completion, cached=False)
        encoded = b"" if completion.failed else codec.encode(completion)
        row = _FinishedCall(key, time.time(), encoded, bill, on_done, then)
        with self._guard:
            if not self._closed:
                self._rows.put(row)
                if at_once:
                    self._hurry.set()
                return
        _tell([row], UsageError(f"Could not store a call in {self.path}: the store is closed. Open it again."))

    def statistics(self) -> StoreStatistics:
        """Rows and bytes, in total and by model name."""
        query = (
            "SELECT model, COUNT(*), SUM(LENGTH(completion)), MIN(created), MAX(created) FROM calls "
            "GROUP BY model ORDER BY model"
        )
        with self._read() as reader:
            found = reader.execute(query).fetchall()
        models = tuple(
            ModelCalls(model=m, rows=n, bytes=b, oldest=first, newest=last) for m, n, b, first, last in found
        )
        files = [self.path, self.path.with_name(self.path.name + "-wal")]
        size = sum(file.stat().st_size for file in files if file.exists())
        return StoreStatistics(path=str(self.path), rows=sum(m.rows for m in models), bytes=size, models=models)

    def calls(self, model: str | None = None) -> Iterator[StoredCall]:
        """All calls, or those of one model, in the order in which they were stored; few are in memory at a time."""
        last = -1
        while True:
            with self._read() as reader:
                rows = reader.execute(
                    "SELECT rowid, key, model, created, completion FROM calls "
                    "WHERE rowid > ? AND model = COALESCE(?, model) ORDER BY rowid LIMIT 500",
                    (last, model),
                ).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            yield from (StoredCall(*row) for _, *row in rows)

    def identities(self) -> list[str]:
        """The models that have ever answered, by their identities."""
        with self._read() as reader:
            return [one for (one,) in reader.execute("SELECT identity FROM answered ORDER BY identity")]

    def take(self, calls: Iterable[StoredCall], identities: Collection[str] = ()) -> int:
        """Store calls that were made elsewhere, all or none of them, and return how many are new.

        A call that is stored already stays as it is. ``identities`` are models that have answered there.
        """
        with self._read("written") as database, transaction(database):
            before = database.total_changes
            database.executemany(
                "INSERT OR IGNORE INTO calls VALUES (?, ?, ?, ?)",
                ((call.key, call.model, call.created, call.completion) for call in calls),
            )
            new = database.total_changes - before
            database.executemany("INSERT OR IGNORE INTO answered VALUES (?)", ((one,) for one in identities))
        return new

    def damaged(self) -> list[bytes]:
        """The keys of the rows that hold no reply. Raises :class:`UsageError` if the file itself is damaged."""
        with self._read() as reader:
            found = [text for (text,) in reader.execute("PRAGMA quick_check(3)")]
        if found != ["ok"]:
            raise self.problem(
                "verified", sqlite3.DatabaseError(f"it is malformed: {'; '.join(map(str, found))[:300]}")
            )
        return [call.key for call in self.calls() if not self._is_sound(call)]

    def _is_sound(self, call: StoredCall) -> bool:
        try:
            self._decoder.decode(call.completion)
        except (msgspec.DecodeError, TypeError):
            return False
        return isinstance(call.key, bytes) and len(call.key) == KEY_BYTES

    def forget(self, keys: Collection[bytes]) -> None:
        """Delete calls, which are then asked again."""
        with self._read("written") as database, transaction(database):
            database.executemany("DELETE FROM calls WHERE key = ?", ((key,) for key in keys))

    def prune(self, *, older_than_days: float | None = None, model: str | None = None) -> int:
        """Delete the rows that match every given condition, free their disk space, and return how many there were."""
        if older_than_days is None and model is None:
            raise UsageError(
                "Could not choose the rows to delete: neither an age nor a model was given. Give one or both."
            )
        before = time.time() - 86400 * older_than_days if older_than_days is not None else None
        with self._read("pruned") as database:
            deleted = database.execute(
                "DELETE FROM calls WHERE created < COALESCE(?, created + 1) AND model = COALESCE(?, model)",
                (before, model),
            ).rowcount
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return deleted

    def close(self) -> None:
        """Commit everything that was put, and close the file."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            self._rows.put(None)
            self._hurry.set()
        self._thread.join()
        self.claims.close()
        if self._batches is not None:
            self._batches.close()
        with self._reading:
            self._reader.close()
        self._writer.close()

    def __enter__(self) -> "CallStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _read(self, action: str = "read") -> Iterator[sqlite3.Connection]:
        """Lend the connection that serves everything but new calls to one thread at a time."""
        try:
            with self._reading:
                yield self._reader
        except sqlite3.Error as error:
            raise self.problem(action, error) from error

    def _migrate(self) -> None:
        with transaction(self._writer):
            self._writer.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied REAL NOT NULL)")
            applied = {name for (name,) in self._writer.execute("SELECT name FROM migrations")}
            unknown = sorted(applied - {migration.__name__ for migration in MIGRATIONS})
            if unknown:
                raise UsageError(
                    f"Could not open the call store {self.path}: a newer judgebench has changed it "
                    f"({', '.join(unknown)}). Upgrade judgebench, or {ANOTHER_FOLDER}."
                )
            for migration in MIGRATIONS:
                if migration.__name__ not in applied:
                    migration(self._writer)
                    self._writer.execute("INSERT INTO migrations VALUES (?, ?)", (migration.__name__, time.time()))

    def _write(self) -> None:
        last = False
        while not last:
            rows = [self._rows.get()]
            if rows[0] is not None:
                # One wait costs less than waking for each row that arrives.
                self._hurry.wait(LINGER_SECONDS)
            self._hurry.clear()
            while rows[-1] is not None and len(rows) < ROWS_PER_COMMIT:
                try:
                    rows.append(self._rows.get_nowait())
                except Empty:
                    break
            last = rows[-1] is None
            self._commit([row for row in rows if row is not None])

    def _commit(self, rows: list[_FinishedCall]) -> None:
        if not rows:
            return
        problem: JudgebenchError | None = None
        try:
            with transaction(self._writer):
                self._writer.executemany(
                    "INSERT OR REPLACE INTO calls VALUES (?, ?, ?, ?)",
                    [(row.key, row.bill.model, row.created, row.completion) for row in rows if row.completion],
                )
                self._book(rows)
            self.claims.release(row.key for row in rows)
        except sqlite3.Error as error:
            problem = self.problem("written", error)
        except Exception as error:  # noqa: BLE001 - the calls wait for this thread, and would wait for ever
            problem = JudgebenchError(
                f"The call store {self.path} could not write what a model returned: {type(error).__name__}: {error}. "
                f"This is a fault of judgebench, or of the package that brings the model's backend."
            )
        _tell(rows, problem)

    def _book(self, rows: Sequence[_FinishedCall]) -> None:
        """Add what the calls cost to the books, within their commit."""
        paid: dict[tuple[str, str], list[float]] = {}
        for bill in (row.bill for row in rows if row.bill.run):
            sums = paid.setdefault((bill.run, bill.model), [0.0] * 6)
            usage, estimated = bill.usage, float(bill.usage.estimated)
            amounts = (1, usage.prompt_tokens, usage.completion_tokens, bill.usd, estimated, estimated * bill.usd)
            sums[:] = map(sum, zip(sums, amounts, strict=True))
        self._writer.executemany(
            f"INSERT INTO spending VALUES ({', '.join('?' * 8)}) ON CONFLICT (run, model) DO UPDATE SET "
            + ", ".join(f"{column} = {column} + excluded.{column}" for column in SPENDING_COLUMNS),
            [(*whose, *sums) for whose, sums in paid.items()],
        )
        new = {row.bill.identity for row in rows if row.completion} - self._answered
        if new:
            self._writer.executemany("INSERT OR IGNORE INTO answered VALUES (?)", [(identity,) for identity in new])
            self._answered |= new

    def problem(self, action: str, error: Exception) -> UsageError:
        """The error for a file that cannot be used, with what to do."""
        text = str(error)
        if "locked" in text or "busy" in text:
            advice = f"Another process has locked it for too long: end that process, or {ANOTHER_FOLDER}."
        elif "full" in text or "No space" in text:
            advice = f"Make room on that disk, or {ANOTHER_FOLDER}, and start again."
        elif "malformed" in text or "not a database" in text:
            advice = "The file is damaged: move it away (the calls in it will be asked again) and start again."
        elif isinstance(error, OSError) and error.errno in NO_LOCKS:
            advice = f"The disk knows no locks. {HOW_TO_SHARE}."
        else:
            advice = f"Check that the folder exists and may be written, or {ANOTHER_FOLDER}."
        return UsageError(f"The call store {self.path} could not be {action}: {text}. {advice}")
