"""The call store: every finished call, committed before anybody sees it. What makes a run resumable and a re-run free.

SQLite in WAL mode with ``synchronous=FULL``, so a committed call survives ``kill -9`` and power loss, and several
processes may share one store: none sends a call that another has under way (``claims``). One thread writes and groups
what arrives within a few milliseconds into one commit: one ``fsync`` per group instead of one per call. The same commit
says what the call cost the run that bought it, so that spending is known however a process ends. Who asks which model
is none of this module's business.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType

import msgspec
import platformdirs
from msgspec import Struct

from judgebench import codec
from judgebench.errors import JudgebenchError, UsageError
from judgebench.models.claims import KEYS_PER_QUERY, Claims
from judgebench.records import Completion, Request, Usage

LINGER_SECONDS = 0.02
"""How long the writer collects further calls after the first; with the commit itself it stays below 50 ms."""
ROWS_PER_COMMIT = 1000
LOCK_TIMEOUT_SECONDS = 30.0
"""How long to wait for another process that holds the write lock."""
KEY_TAG = "judgebench-call-1"
"""Names the way keys are made: another way gets another tag, so old rows are never taken for new ones."""


def default_cache_dir() -> Path:
    """``JUDGEBENCH_CACHE`` if set, else the user's cache folder of this platform."""
    override = os.environ.get("JUDGEBENCH_CACHE")
    return Path(override).expanduser() if override else platformdirs.user_cache_path("judgebench")


def default_store_path() -> Path:
    """Where the call store lies unless a caller says otherwise."""
    return default_cache_dir() / "calls.sqlite"


def call_key(identity: str, request: Request) -> bytes:
    """32 bytes naming a call: sha256 of the tag, the model's identity and the canonical request with its repeat."""
    return bytes.fromhex(codec.canonical_hash((KEY_TAG, identity, request)).removeprefix("sha256:"))


def create_calls(connection: sqlite3.Connection) -> None:
    """The one table. It keeps its rowid: WITHOUT ROWID measured three times slower with values of this size."""
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


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (create_calls, create_spending)
"""Applied in order, each once; the store records their names. Only ever append."""


class ModelCalls(Struct, frozen=True, kw_only=True):
    """What the store holds of one model."""

    model: str
    rows: int
    bytes: int
    """Of the stored replies, without keys and indexes."""
    oldest: float
    """Seconds since the epoch."""
    newest: float


class StoreStatistics(Struct, frozen=True, kw_only=True):
    """What the store holds, and the disk space it takes with its write-ahead log."""

    path: str
    rows: int
    bytes: int
    models: tuple[ModelCalls, ...]


class Bill(Struct, frozen=True, kw_only=True):
    """What a call cost, and whom."""

    run: str
    """The key of the run that bought it; empty if none did."""
    model: str
    identity: str
    """The model's, as in the keys of calls."""
    usage: Usage = Usage()
    usd: float = 0.0
    """0 if the price is not known."""


class Spending(Struct, frozen=True, kw_only=True):
    """What a run has paid, by the store's own books, over all its processes."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0
    """As far as prices are known."""
    estimated_calls: int = 0
    """Calls whose tokens the provider did not report: they count at an upper estimate."""
    estimated_usd: float = 0.0
    """The part of ``usd`` that is such an estimate."""
    lost_calls: int = 0
    """Calls that were under way when a process was killed. They may have been billed, and are not in ``usd``."""
    lost_usd: float = 0.0
    """The most that those can have cost; a budget counts it as spent."""


class _FinishedCall(Struct, frozen=True):
    key: bytes
    created: float
    completion: bytes
    """Empty for a call that failed, of which only the cost is kept."""
    bill: Bill
    on_committed: Callable[[], None]
    on_failed: Callable[[JudgebenchError], None]


class CallStore:
    """Finished calls by key. Usable from any thread; :meth:`close` commits what was put."""

    def __init__(self, path: Path) -> None:
        """Opens or creates the store. Raises :class:`UsageError` if it cannot be used."""
        self.path = path
        self._decoder = msgspec.json.Decoder(Completion)
        self._rows: SimpleQueue[_FinishedCall | None] = SimpleQueue()
        self._guard = threading.Lock()
        self._reading = threading.Lock()
        self._closed = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = _connect(path)
        except (OSError, sqlite3.Error) as error:
            raise self._problem("opened", error) from error
        try:
            self._migrate()
            self._reader = _connect(path)
            self.claims = Claims(path, lambda key: bool(self.held([key])))
        except (OSError, sqlite3.Error) as error:
            self._writer.close()
            raise self._problem("opened", error) from error
        except UsageError:
            self._writer.close()
            raise
        self._answered: set[str] = set()
        self._thread = threading.Thread(target=self._write, name="judgebench-store", daemon=True)
        self._thread.start()

    def get(self, key: bytes) -> Completion | None:
        """The stored completion of the key, without ``cached`` set, or ``None``."""
        try:
            with self._reading:
                found = self._reader.execute("SELECT completion FROM calls WHERE key = ?", (key,)).fetchone()
            return self._decoder.decode(found[0]) if found else None
        except sqlite3.Error as error:
            raise self._problem("read", error) from error
        except msgspec.DecodeError as error:
            raise UsageError(
                f"A reply from the call store {self.path} was wanted, but row {key.hex()} holds something else "
                f"({error}): another version of judgebench wrote it, or the file is damaged. Use that version, or move "
                "the file away."
            ) from error

    def held(self, keys: Collection[bytes]) -> list[bytes]:
        """Those of the keys whose calls are stored."""
        found, listed = [], list(keys)
        try:
            with self._reading:
                for start in range(0, len(listed), KEYS_PER_QUERY):
                    some = listed[start : start + KEYS_PER_QUERY]
                    query = f"SELECT key FROM calls WHERE key IN ({','.join('?' * len(some))})"
                    found += [key for (key,) in self._reader.execute(query, some)]
        except sqlite3.Error as error:
            raise self._problem("read", error) from error
        return found

    def answered(self, identity: str) -> bool:
        """Whether a model has ever answered, in any process."""
        try:
            with self._reading:
                return bool(self._reader.execute("SELECT 1 FROM answered WHERE identity = ?", (identity,)).fetchone())
        except sqlite3.Error as error:
            raise self._problem("read", error) from error

    def spending(self, run: str) -> Spending:
        """What a run has paid so far."""
        query = (
            "SELECT TOTAL(calls), TOTAL(prompt_tokens), TOTAL(completion_tokens), TOTAL(usd), TOTAL(estimated_calls), "
            "TOTAL(estimated_usd) FROM spending WHERE run = ?"
        )
        try:
            with self._reading:
                calls, prompt, completion, usd, estimated, estimated_usd = self._reader.execute(
                    query, (run,)
                ).fetchone()
            lost = self.claims.lost(run)
        except sqlite3.Error as error:
            raise self._problem("read", error) from error
        return Spending(
            calls=int(calls),
            prompt_tokens=int(prompt),
            completion_tokens=int(completion),
            usd=usd,
            estimated_calls=int(estimated),
            estimated_usd=estimated_usd,
            lost_calls=lost.calls,
            lost_usd=lost.usd,
        )

    def put(
        self,
        key: bytes,
        bill: Bill,
        completion: Completion,
        on_committed: Callable[[], None],
        on_failed: Callable[[JudgebenchError], None],
    ) -> None:
        """Store a completion. Exactly one of the two callbacks is called, from the writing thread, and must not raise.

        ``on_committed`` comes after the commit. Of a completion that failed only what it cost is kept: a re-run asks
        again. Either way our claim on the call is given up.
        """
        if completion.cached:
            completion = msgspec.structs.replace(completion, cached=False)
        encoded = b"" if completion.failed else codec.encode(completion)
        row = _FinishedCall(key, time.time(), encoded, bill, on_committed, on_failed)
        with self._guard:
            if not self._closed:
                self._rows.put(row)
                return
        on_failed(UsageError(f"A call was to be stored in {self.path}, but the store is closed. Open it again."))

    def statistics(self) -> StoreStatistics:
        """Rows and bytes, in all and by model name."""
        query = (
            "SELECT model, COUNT(*), SUM(LENGTH(completion)), MIN(created), MAX(created) FROM calls "
            "GROUP BY model ORDER BY model"
        )
        try:
            with self._reading:
                found = self._reader.execute(query).fetchall()
        except sqlite3.Error as error:
            raise self._problem("read", error) from error
        models = tuple(
            ModelCalls(model=m, rows=n, bytes=b, oldest=first, newest=last) for m, n, b, first, last in found
        )
        files = [self.path, self.path.with_name(self.path.name + "-wal")]
        size = sum(file.stat().st_size for file in files if file.exists())
        return StoreStatistics(path=str(self.path), rows=sum(m.rows for m in models), bytes=size, models=models)

    def prune(self, *, older_than_days: float | None = None, model: str | None = None) -> int:
        """Delete the rows that match every condition given, return their number and give the space back to the disk."""
        if older_than_days is None and model is None:
            raise UsageError("Rows to delete were wanted, but neither an age nor a model was given. Give one or both.")
        before = time.time() - 86400 * older_than_days if older_than_days is not None else None
        with self._reading:
            try:
                deleted = self._reader.execute(
                    "DELETE FROM calls WHERE created < COALESCE(?, created + 1) AND model = COALESCE(?, model)",
                    (before, model),
                ).rowcount
                self._reader.execute("VACUUM")
                self._reader.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except sqlite3.Error as error:
                raise self._problem("pruned", error) from error
        return deleted

    def close(self) -> None:
        """Commit what was put and close the file."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            self._rows.put(None)
        self._thread.join()
        self.claims.close()
        with self._reading:
            self._reader.close()
        self._writer.close()

    def __enter__(self) -> "CallStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _migrate(self) -> None:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            self._writer.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied REAL NOT NULL)")
            applied = {name for (name,) in self._writer.execute("SELECT name FROM migrations")}
            unknown = sorted(applied - {migration.__name__ for migration in MIGRATIONS})
            if unknown:
                raise UsageError(
                    f"The call store {self.path} was wanted, but a newer judgebench has changed it "
                    f"({', '.join(unknown)}). Upgrade judgebench, or set JUDGEBENCH_CACHE to another folder."
                )
            for migration in MIGRATIONS:
                if migration.__name__ not in applied:
                    migration(self._writer)
                    self._writer.execute("INSERT INTO migrations VALUES (?, ?)", (migration.__name__, time.time()))
        except BaseException:
            self._writer.execute("ROLLBACK")
            raise
        self._writer.execute("COMMIT")

    def _write(self) -> None:
        last = False
        while not last:
            rows = [self._rows.get()]
            if rows[0] is not None:
                # Sleeping once costs less than waking for each row that arrives.
                time.sleep(LINGER_SECONDS)
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
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.executemany(
                "INSERT OR REPLACE INTO calls VALUES (?, ?, ?, ?)",
                [(row.key, row.bill.model, row.created, row.completion) for row in rows if row.completion],
            )
            self._book(rows)
            self._writer.execute("COMMIT")
            self.claims.release(row.key for row in rows)
        except sqlite3.Error as error:
            if self._writer.in_transaction:
                self._writer.rollback()
            problem = self._problem("written", error)
            for row in rows:
                row.on_failed(problem)
            return
        for row in rows:
            row.on_committed()

    def _book(self, rows: Sequence[_FinishedCall]) -> None:
        """Add up what the calls cost, within their commit."""
        paid: dict[tuple[str, str], list[float]] = {}
        for bill in (row.bill for row in rows if row.bill.run):
            sums = paid.setdefault((bill.run, bill.model), [0.0] * 6)
            usage, estimated = bill.usage, float(bill.usage.estimated)
            amounts = (1, usage.prompt_tokens, usage.completion_tokens, bill.usd, estimated, estimated * bill.usd)
            sums[:] = map(sum, zip(sums, amounts, strict=True))
        columns = ("calls", "prompt_tokens", "completion_tokens", "usd", "estimated_calls", "estimated_usd")
        self._writer.executemany(
            f"INSERT INTO spending VALUES ({', '.join('?' * 8)}) ON CONFLICT (run, model) DO UPDATE SET "
            + ", ".join(f"{column} = {column} + excluded.{column}" for column in columns),
            [(*whose, *sums) for whose, sums in paid.items()],
        )
        new = {row.bill.identity for row in rows if row.completion} - self._answered
        if new:
            self._writer.executemany("INSERT OR IGNORE INTO answered VALUES (?)", [(identity,) for identity in new])
            self._answered |= new

    def _problem(self, action: str, error: Exception) -> UsageError:
        text = str(error)
        if "locked" in text or "busy" in text:
            advice = (
                "Another process has held it for too long: end that process, or set JUDGEBENCH_CACHE to another folder."
            )
        elif "full" in text or "No space" in text:
            advice = "Make room on that disk, or set JUDGEBENCH_CACHE to a folder on another one, and start again."
        elif "malformed" in text or "not a database" in text:
            advice = "The file is damaged: move it away (the calls in it will be asked again) and start again."
        else:
            advice = (
                "Check that the folder exists on a local disk and may be written, or set JUDGEBENCH_CACHE to another."
            )
        return UsageError(f"The call store {self.path} was to be {action}, but: {text}. {advice}")


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=LOCK_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
