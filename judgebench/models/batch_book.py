"""The call store's record of batches: which calls a vendor works on, in which batch, and what it has said of them.

A batch is written down before it is submitted, and each of its calls by the call's own key, of which there can be one
row: so no process submits what another has submitted, and whoever starts next goes on. A state changes in one commit:

- ``collecting``: its calls are gathered and its file is uploaded. Nothing was submitted, so a killed process leaves
  nothing behind.
- ``submitting``: the vendor may have received it. Whether it has is asked of the vendor, never assumed.
- ``running``: the vendor gave it an id.
- ``fetched``: everything that the vendor will ever say of it is in the rows of its calls.

This module calls no vendor; ``http.batching`` does.
"""

import sqlite3
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from judgebench.models.claims import portions
from judgebench.models.databases import connect, transaction

COLLECTING, SUBMITTING, RUNNING, FETCHED = "collecting", "submitting", "running", "fetched"


def create_batches(connection: sqlite3.Connection) -> None:
    """The tables of batches and of their calls; a migration of the call store."""
    connection.execute(
        "CREATE TABLE batches (token TEXT PRIMARY KEY, identity TEXT NOT NULL, model TEXT NOT NULL, "
        "how TEXT NOT NULL, run TEXT NOT NULL, state TEXT NOT NULL, refused TEXT NOT NULL, place TEXT NOT NULL, "
        "batch_id TEXT NOT NULL, word TEXT NOT NULL, calls INTEGER NOT NULL, done INTEGER NOT NULL, "
        "failed INTEGER NOT NULL, created REAL NOT NULL, changed REAL NOT NULL, doubted REAL NOT NULL)"
    )
    connection.execute(
        "CREATE TABLE batch_calls (key BLOB PRIMARY KEY, token TEXT NOT NULL, tries INTEGER NOT NULL, "
        "body BLOB NOT NULL, reply BLOB, trouble TEXT NOT NULL)"
    )
    connection.execute("CREATE INDEX batch_calls_by_token ON batch_calls (token)")


class Batch(Struct, frozen=True, kw_only=True):
    """What is known of one batch."""

    token: str
    """Our own name of it, which the vendor is told where it keeps such a thing."""
    identity: str
    """The identity of the model that is asked."""
    model: str
    how: str
    """How its model is opened again, as JSON: the spec and its arguments."""
    run: str
    """The key, in the books, of the run that submitted it."""
    state: str
    refused: str = ""
    """The fields that its calls were sent without, with spaces between."""
    place: str = ""
    """The vendor's name of the file of its calls, if there is one."""
    batch_id: str = ""
    """The vendor's name of it; empty until it is known."""
    word: str = ""
    """The vendor's word for its state."""
    calls: int = 0
    done: int = 0
    """Calls that the vendor has answered, as it says."""
    failed: int = 0
    created: float = 0.0
    """Seconds since the epoch, as ``changed`` and ``doubted``."""
    changed: float = 0.0
    doubted: float = 0.0
    """Since when nobody knows whether it was submitted; 0 if that is no question."""


class Place(Struct, frozen=True):
    """Where a call is."""

    token: str
    state: str
    """The state of its batch."""
    tries: int
    """In how many batches it was."""
    reply: bytes | None
    """What the vendor answered, once the batch is fetched."""
    trouble: str
    """Why there is no answer."""
    refused: str
    """The fields that it was sent without."""


class Fetched(Struct, frozen=True):
    """What the vendor said of one call: a reply, or why there is none."""

    key: bytes
    reply: bytes | None = None
    trouble: str = ""


_COLUMNS = ", ".join(Batch.__struct_fields__)


class BatchBook:
    """The batches beside the calls of one store. Usable from any thread; other processes may write at any time."""

    def __init__(self, path: Path) -> None:
        """Open the tables, which the store has made. Raises ``sqlite3.Error``."""
        self._using = threading.Lock()
        self._database = connect(path, synchronous="FULL")

    def begin(self, batch: Batch) -> None:
        """Write down a new batch."""
        values = {**_fields(batch), "created": time.time(), "changed": time.time()}
        with self._using:
            self._database.execute(
                f"INSERT INTO batches ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})", [*values.values()]
            )

    def add(self, token: str, calls: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
        """Put calls, by key and body, into a batch that is being collected, and return the keys that it has now.

        A call that is in another batch stays there, unless all is known of that batch and it left the call unanswered.
        """
        taken = []
        with self._using, transaction(self._database):
            for key, body in calls:
                made = self._database.execute(
                    "INSERT INTO batch_calls VALUES (?, ?, 1, ?, NULL, '') ON CONFLICT (key) DO UPDATE SET "
                    "token = excluded.token, tries = tries + 1, body = excluded.body, trouble = '' "
                    "WHERE reply IS NULL AND NOT EXISTS "
                    "(SELECT 1 FROM batches WHERE batches.token = batch_calls.token AND state != 'fetched')",
                    (key, token, body),
                )
                if made.rowcount:
                    taken.append(key)
            self._database.execute("UPDATE batches SET calls = calls + ? WHERE token = ?", (len(taken), token))
        return taken

    def change(self, token: str, **values: object) -> None:
        """Set columns of a batch."""
        columns = ", ".join(f"{name} = ?" for name in values)
        with self._using:
            self._database.execute(
                f"UPDATE batches SET {columns}, changed = ? WHERE token = ?", [*values.values(), time.time(), token]
            )

    def keep(self, token: str, found: Iterable[Fetched]) -> None:
        """Note what the vendor said of calls. The first reply to a call counts."""
        with self._using, transaction(self._database):
            self._database.executemany(
                "UPDATE batch_calls SET reply = ?, trouble = ? WHERE key = ? AND token = ? AND reply IS NULL",
                [(one.reply, one.trouble, one.key, token) for one in found],
            )

    def drop(self, token: str) -> None:
        """Forget a batch that was never submitted, and its calls."""
        with self._using, transaction(self._database):
            self._database.execute("DELETE FROM batch_calls WHERE token = ?", (token,))
            self._database.execute("DELETE FROM batches WHERE token = ?", (token,))

    def drop_collected(self, tokens: Iterable[str]) -> None:
        """Forget those of the batches of which nothing can have been submitted."""
        for token in tokens:
            if (batch := self.batch(token)) is not None and batch.state == COLLECTING:
                self.drop(token)

    def holds(self, identity: str) -> bool:
        """Whether calls of a model are in batches that have answered them, or may yet, and not in the store."""
        query = (
            "SELECT 1 FROM batches JOIN batch_calls USING (token) WHERE identity = ? "
            "AND (state != 'fetched' OR reply IS NOT NULL) "
            "AND NOT EXISTS (SELECT 1 FROM calls WHERE calls.key = batch_calls.key) LIMIT 1"
        )
        with self._using:
            return self._database.execute(query, (identity,)).fetchone() is not None

    def forget(self, key: bytes) -> None:
        """Forget that a call was in a batch which left it unanswered: it is sent in another way."""
        with self._using:
            self._database.execute("DELETE FROM batch_calls WHERE key = ?", (key,))

    def tidy(self) -> None:
        """Forget the calls of fetched batches that the store holds by now."""
        with self._using:
            self._database.execute(
                "DELETE FROM batch_calls WHERE token IN (SELECT token FROM batches WHERE state = 'fetched') "
                "AND EXISTS (SELECT 1 FROM calls WHERE calls.key = batch_calls.key)"
            )

    def places(self, keys: Collection[bytes]) -> Mapping[bytes, Place]:
        """Where calls are; those in no batch are left out."""
        found = {}
        with self._using:
            for some in portions(keys):
                rows = self._database.execute(
                    "SELECT key, token, state, tries, reply, trouble, refused FROM batch_calls JOIN batches "
                    f"USING (token) WHERE key IN ({','.join('?' * len(some))})",
                    some,
                )
                found.update({key: Place(*rest) for key, *rest in rows})
        return found

    def batch(self, token: str) -> Batch | None:
        """A batch by our name of it."""
        return next(iter(self._batches("WHERE token = ?", token)), None)

    def batches(self) -> list[Batch]:
        """All batches, the oldest first."""
        return self._batches("ORDER BY created")

    def running(self, run: str) -> int:
        """How many batches of a run are at their vendors, or may be."""
        with self._using:
            query = "SELECT COUNT(*) FROM batches WHERE run = ? AND state IN (?, ?)"
            return int(self._database.execute(query, (run, SUBMITTING, RUNNING)).fetchone()[0])

    def keys(self, token: str) -> set[bytes]:
        """The keys of a batch's calls."""
        with self._using:
            return {key for (key,) in self._database.execute("SELECT key FROM batch_calls WHERE token = ?", (token,))}

    def bodies(self, token: str) -> Iterator[tuple[bytes, bytes]]:
        """The calls of a batch, by key and body, as they were added; few of them are in memory at a time."""
        last = -1
        while True:
            with self._using:
                rows = self._database.execute(
                    "SELECT rowid, key, body FROM batch_calls WHERE token = ? AND rowid > ? ORDER BY rowid LIMIT 500",
                    (token, last),
                ).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            yield from ((key, body) for _, key, body in rows)

    def close(self) -> None:
        """Close the connection."""
        with self._using:
            self._database.close()

    def _batches(self, clause: str, *values: object) -> list[Batch]:
        with self._using:
            rows = self._database.execute(f"SELECT {_COLUMNS} FROM batches {clause}", values).fetchall()
        return [Batch(**dict(zip(Batch.__struct_fields__, row, strict=True))) for row in rows]


def _fields(batch: Batch) -> dict[str, object]:
    return {name: getattr(batch, name) for name in Batch.__struct_fields__}
