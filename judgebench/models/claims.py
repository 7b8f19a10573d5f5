"""Which calls are under way, for all processes that share one call store: a call is claimed before it is sent.

A claim names its owner, an open store. An owner holds a lock on a file of its own for as long as its process lives,
however it ends; the claims of one that is gone are free for others. They may have been billed all the same, so they are
counted, per run. The claims lie in a file of their own that need not survive a power cut, which ends all owners.
"""

import fcntl
import sqlite3
import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

BUSY_SECONDS = 30.0
KEYS_PER_QUERY = 500

_TABLES = (
    "CREATE TABLE IF NOT EXISTS claims "
    "(key BLOB PRIMARY KEY, owner TEXT NOT NULL, run TEXT NOT NULL, usd REAL NOT NULL)",
    "CREATE TABLE IF NOT EXISTS lost (run TEXT PRIMARY KEY, calls INTEGER NOT NULL, usd REAL NOT NULL)",
)


class Lost(Struct, frozen=True):
    """Calls of a run that were under way when their process ended without a word."""

    calls: int
    usd: float
    """The most that they can have cost."""


class Claims:
    """The claims beside one call store. Usable from any thread."""

    def __init__(self, store: Path, bought: Callable[[bytes], bool]) -> None:
        """``bought`` tells whether the store holds a call. Raises ``OSError`` or ``sqlite3.Error``."""
        self._bought = bought
        self._folder = store.with_name(f"{store.stem}-owners")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._owner = uuid.uuid4().hex
        # Locked before it has its name: no other process can find it without an owner.
        unnamed = self._folder / f".{self._owner}"
        self._lock = unnamed.open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        unnamed.rename(self._folder / self._owner)
        self._using = threading.Lock()
        self._closed = False
        self._database = sqlite3.connect(
            store.with_name(f"{store.stem}-claims.sqlite"),
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        for pragma in ("journal_mode=WAL", "synchronous=OFF"):
            self._database.execute(f"PRAGMA {pragma}")
        with self._transaction():
            for table in _TABLES:
                self._database.execute(table)
        self.sweep()

    def claim(self, key: bytes, run: str = "", usd: float = 0.0) -> bool:
        """Whether the call is ours to send now. False: another process has it under way.

        ``usd`` is the most that it may cost ``run``.
        """
        with self._using:
            while True:
                made = self._database.execute(
                    "INSERT OR IGNORE INTO claims VALUES (?, ?, ?, ?)", (key, self._owner, run, usd)
                )
                if made.rowcount:
                    return True
                found = self._database.execute("SELECT owner FROM claims WHERE key = ?", (key,)).fetchone()
                if found is not None and not self._gone(found[0]):
                    return False
                if found is not None:
                    self._bury(found[0])

    def free(self, keys: Collection[bytes]) -> list[bytes]:
        """Those of the keys that no living process has under way."""
        taken: set[bytes] = set()
        with self._using:
            for some in _portions(keys):
                marks = ",".join("?" * len(some))
                query = f"SELECT key, owner FROM claims WHERE key IN ({marks})"
                rows = self._database.execute(query, some).fetchall()
                alive = {owner for owner in {owner for _, owner in rows} if not self._gone(owner)}
                taken |= {key for key, owner in rows if owner in alive}
        return [key for key in keys if key not in taken]

    def release(self, keys: Iterable[bytes]) -> None:
        """Give up our claims: the calls are bought, or will not be. Nothing is left to give up after :meth:`close`."""
        with self._using:
            if self._closed:
                return
            with self._transaction():
                mine = ((key, self._owner) for key in keys)
                self._database.executemany("DELETE FROM claims WHERE key = ? AND owner = ?", mine)

    def sweep(self) -> None:
        """Count and free the claims of all owners that are gone."""
        with self._using:
            for (owner,) in self._database.execute("SELECT DISTINCT owner FROM claims").fetchall():
                if self._gone(owner):
                    self._bury(owner)
        for path in self._folder.iterdir():
            if not path.name.startswith(".") and self._gone(path.name):
                path.unlink(missing_ok=True)

    def lost(self, run: str) -> Lost:
        """What a run's ended processes had under way and nobody knows the end of."""
        with self._using:
            found = self._database.execute("SELECT calls, usd FROM lost WHERE run = ?", (run,)).fetchone()
        return Lost(*found) if found else Lost(0, 0.0)

    def close(self) -> None:
        """Give up every claim of ours."""
        with self._using:
            self._closed = True
            self._database.execute("DELETE FROM claims WHERE owner = ?", (self._owner,))
            self._database.close()
        (self._folder / self._owner).unlink(missing_ok=True)
        self._lock.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _gone(self, owner: str) -> bool:
        """Whether the owner's process has ended: nobody holds the lock on its file."""
        if owner == self._owner:
            return False
        try:
            with (self._folder / owner).open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return True
        except BlockingIOError:
            return False
        return True

    def _bury(self, owner: str) -> None:
        """Free the claims of an owner that is gone, and add those that nothing came of to what its runs have lost."""
        with self._transaction():
            query = "SELECT key, run, usd FROM claims WHERE owner = ?"
            rows = self._database.execute(query, (owner,)).fetchall()
            self._database.execute("DELETE FROM claims WHERE owner = ?", (owner,))
            self._database.executemany(
                "INSERT INTO lost VALUES (?, 1, ?) "
                "ON CONFLICT (run) DO UPDATE SET calls = calls + 1, usd = usd + excluded.usd",
                ((run, usd) for key, run, usd in rows if not self._bought(key)),
            )


def _portions(keys: Collection[bytes]) -> Iterator[list[bytes]]:
    listed = list(keys)
    return (listed[start : start + KEYS_PER_QUERY] for start in range(0, len(listed), KEYS_PER_QUERY))
