"""How the call store and its claims open and change their SQLite files. What the tables hold is not known here."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from judgebench.models.disks import disk_of

LOCK_TIMEOUT_SECONDS = 30.0
"""How long to wait for another process that holds the write lock."""


def connect(path: Path, synchronous: str) -> sqlite3.Connection:
    """A connection that any thread may use, one at a time; ``synchronous`` is SQLite's setting."""
    connection = sqlite3.connect(path, timeout=LOCK_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        if disk_of(path).shared:
            _take_rollback_journal(connection)
        elif not connection.execute("PRAGMA schema_version").fetchone()[0]:
            # One that has tables keeps its journal: other machines may have it open, over a network.
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _take_rollback_journal(connection: sqlite3.Connection) -> None:
    """Take the database out of WAL mode, for which all its processes would have to share memory.

    Locked by us alone, a database in WAL mode is read without that memory. If a process on another machine has it
    open in that mode, this fails. The journal is kept between commits, because making and removing it takes longer.
    """
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    (mode,) = connection.execute("PRAGMA journal_mode=PERSIST").fetchone()
    connection.execute("PRAGMA locking_mode=NORMAL")
    # The lock goes with the next thing that is read.
    connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
    if mode != "persist":
        raise sqlite3.OperationalError(f"the database is locked: another machine has it open in {mode} mode")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what is done in the context, or undo all of it if the context or the commit fails."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
