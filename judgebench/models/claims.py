"""Which calls are in flight, for all processes that share one call store: a call is claimed before it is sent.

A claim names its owner, an open store. Each owner locks a file of its own, and the operating system frees that lock
however the process ends; then others may take its claims. Those calls may have been billed all the same, so they are
counted per run. The claims lie in a separate file that need not survive a power cut, because that ends all owners; on a
disk that machines share, one that loses power while it writes may damage the file, and costs those claims.
"""

import fcntl
import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

from judgebench.models.databases import connect, transaction

KEYS_PER_QUERY = 500

_TABLES = (
    "CREATE TABLE IF NOT EXISTS claims "
    "(key BLOB PRIMARY KEY, owner TEXT NOT NULL, run TEXT NOT NULL, usd REAL NOT NULL)",
    "CREATE TABLE IF NOT EXISTS lost (run TEXT PRIMARY KEY, calls INTEGER NOT NULL, usd REAL NOT NULL)",
)


class Claims:
    """The claims beside one call store. Usable from any thread."""

    def __init__(self, store: Path, bought: Callable[[bytes], bool]) -> None:
        """``bought`` says whether the store holds a call. Raises ``OSError`` or ``sqlite3.Error``."""
        self._bought = bought
        self._folder = store.with_name(f"{store.stem}-owners")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._owner = uuid.uuid4().hex
        # Locked before it gets its name, so that no other process finds it unlocked.
        unnamed = self._folder / f".{self._owner}"
        self._lock = unnamed.open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        unnamed.rename(self._folder / self._owner)
        self._using = threading.Lock()
        self._closed = False
        self._database = connect(store.with_name(f"{store.stem}-claims.sqlite"), synchronous="OFF")
        with transaction(self._database):
            for table in _TABLES:
                self._database.execute(table)
        self.sweep()

    def claim(self, key: bytes, run: str = "", usd: float = 0.0) -> bool:
        """Claim a call, and return whether we may send it. If not, another process has it in flight.

        ``usd`` is the most that the call may cost ``run``.
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

    def claim_all(self, calls: Sequence[tuple[bytes, float]], run: str = "") -> set[bytes]:
        """Claim calls with what each may cost ``run``, in one transaction, and return those that we may send."""
        if len(calls) == 1:
            ((key, usd),) = calls
            return {key} if self.claim(key, run, usd) else set()
        query = "INSERT OR IGNORE INTO claims VALUES (?, ?, ?, ?)"
        with self._using, transaction(self._database):
            made = {key for key, usd in calls if self._database.execute(query, (key, self._owner, run, usd)).rowcount}
        # The process that has one of the others may have ended.
        return made | {key for key, usd in calls if key not in made and self.claim(key, run, usd)}

    def charge(self, key: bytes, run: str, usd: float) -> None:
        """Note that the call of a claim of ours is about to be sent, and may cost ``run`` as much as ``usd``."""
        with self._using:
            self._database.execute(
                "UPDATE claims SET run = ?, usd = ? WHERE key = ? AND owner = ?", (run, usd, key, self._owner)
            )

    def free(self, keys: Collection[bytes]) -> list[bytes]:
        """Those of the keys that no living process has in flight."""
        taken: set[bytes] = set()
        with self._using:
            for some in portions(keys):
                marks = ",".join("?" * len(some))
                query = f"SELECT key, owner FROM claims WHERE key IN ({marks})"
                rows = self._database.execute(query, some).fetchall()
                alive = {owner for owner in {owner for _, owner in rows} if not self._gone(owner)}
                taken |= {key for key, owner in rows if owner in alive}
        return [key for key in keys if key not in taken]

    def release(self, keys: Iterable[bytes]) -> None:
        """Release our claims: the calls are bought, or never will be. After :meth:`close` this does nothing."""
        with self._using:
            if self._closed:
                return
            with transaction(self._database):
                mine = ((key, self._owner) for key in keys)
                self._database.executemany("DELETE FROM claims WHERE key = ? AND owner = ?", mine)

    def sweep(self) -> None:
        """Free the claims of all owners whose process has ended, and count their calls as lost."""
        with self._using:
            for (owner,) in self._database.execute("SELECT DISTINCT owner FROM claims").fetchall():
                if self._gone(owner):
                    self._bury(owner)
        for path in self._folder.iterdir():
            if not path.name.startswith(".") and self._gone(path.name):
                path.unlink(missing_ok=True)

    def lost(self, run: str) -> tuple[int, float]:
        """How many calls of a run were in flight when their process was killed, and the most USD they can have cost."""
        with self._using:
            found = self._database.execute("SELECT calls, usd FROM lost WHERE run = ?", (run,)).fetchone()
        return found or (0, 0.0)

    def close(self) -> None:
        """Release all our claims."""
        with self._using:
            self._closed = True
            self._database.execute("DELETE FROM claims WHERE owner = ?", (self._owner,))
            self._database.close()
        (self._folder / self._owner).unlink(missing_ok=True)
        self._lock.close()

    def _gone(self, owner: str) -> bool:
        """Whether the owner's process has ended, which frees the lock on its file."""
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
        """Free the claims of an owner whose process has ended; calls without a stored reply count as lost."""
        with transaction(self._database):
            query = "SELECT key, run, usd FROM claims WHERE owner = ?"
            rows = self._database.execute(query, (owner,)).fetchall()
            self._database.execute("DELETE FROM claims WHERE owner = ?", (owner,))
            self._database.executemany(
                "INSERT INTO lost VALUES (?, 1, ?) "
                "ON CONFLICT (run) DO UPDATE SET calls = calls + 1, usd = usd + excluded.usd",
                ((run, usd) for key, run, usd in rows if not self._bought(key)),
            )


def portions(keys: Collection[bytes]) -> Iterator[list[bytes]]:
    """The keys in lists short enough for one query each."""
    listed = list(keys)
    return (listed[start : start + KEYS_PER_QUERY] for start in range(0, len(listed), KEYS_PER_QUERY))
