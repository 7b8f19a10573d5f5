"""Which disks several machines may share, as the table of mounts says, and what the call store does on them."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue

import pytest

from judgebench.errors import JudgebenchError, UsageError
from judgebench.models import databases, disks
from judgebench.models.call_store import Bill, CallStore
from judgebench.models.disks import disk_of, require_locks
from judgebench.records import Completion
from tests.patience import PATIENCE_SECONDS

ROOT = Path(disks.__file__).resolve().parents[2]
BILL = Bill(run="run", model="m", identity="m")
Mount = Callable[..., None]


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mount:
    """Write a table of mounts, in which lines for the given places follow those of this machine."""
    table = tmp_path / "mounts"
    monkeypatch.setattr(disks, "MOUNTS", table)

    def write(kind: str, options: str = "rw", place: Path = tmp_path) -> None:
        told = str(place).replace(" ", "\\040")
        before = table.read_text() if table.exists() else "/dev/sda1 / ext4 rw,relatime 0 0\nproc /proc proc rw 0 0\n"
        table.write_text(f"{before}server:/export {told} {kind} {options} 0 0\n")

    return write


def put(store: CallStore, number: int, text: str = "reply") -> None:
    """Store a call and wait until it is committed."""
    ends: SimpleQueue[JudgebenchError | None] = SimpleQueue()
    store.put(number.to_bytes(32, "big"), BILL, Completion(text=text), ends.put, at_once=True)
    assert ends.get(timeout=PATIENCE_SECONDS) is None


def journal(path: Path) -> str:
    """The journal that the header of a database names, of which nobody has it open."""
    return {1: "rollback", 2: "WAL"}[path.read_bytes()[18]]


@pytest.mark.parametrize(
    ("kind", "options", "shared", "locks"),
    [
        ("ext4", "rw,relatime", False, True),
        ("tmpfs", "rw", False, True),
        ("overlay", "rw,lowerdir=/a:/b", False, True),
        ("fuseblk", "rw", False, True),
        ("nfs4", "rw,vers=4.2,local_lock=none,addr=10.0.0.1", True, True),
        ("nfs", "rw,vers=3,local_lock=none", True, True),
        ("nfs", "rw,vers=3,nolock,local_lock=all", True, False),
        ("nfs", "rw,vers=3,local_lock=flock", True, False),
        ("lustre", "rw,flock,lazystatfs", True, True),
        ("lustre", "rw,localflock", True, False),
        ("lustre", "rw", True, False),
        ("gpfs", "rw,relatime", True, True),
        ("ceph", "rw,name=admin", True, True),
        ("cifs", "rw,vers=3.1.1", True, False),
        ("smb3", "rw", True, False),
        ("beegfs", "rw", True, False),
        ("fuse.sshfs", "rw,nosuid", True, False),
        ("fuse.s3fs", "rw", True, False),
    ],
)
def test_kinds_of_disks(kind: str, options: str, shared: bool, locks: bool, mount: Mount, tmp_path: Path) -> None:
    """The kind and the options say whether machines share a disk, and whether a lock holds for all of them."""
    mount(kind, options)
    disk = disk_of(tmp_path / "team" / "calls.sqlite")
    assert (disk.kind, disk.shared, disk.locks) == (kind, shared, locks)


def test_the_innermost_and_latest_mount_counts(mount: Mount, tmp_path: Path) -> None:
    """A disk below another, one that hides an automounter at its own place, one with a space in its name; a link."""
    mount("nfs4", place=tmp_path)
    mount("ext4", place=tmp_path / "local")
    mount("autofs", place=tmp_path / "home")
    mount("cifs", place=tmp_path / "home")
    mount("beegfs", place=tmp_path / "my team")
    kinds = {name: disk_of(tmp_path / name).kind for name in ("a", "local/a", "localities", "home/a", "my team/a")}
    assert kinds == {"a": "nfs4", "local/a": "ext4", "localities": "nfs4", "home/a": "cifs", "my team/a": "beegfs"}
    (tmp_path / "link").symlink_to(tmp_path / "local")
    assert disk_of(tmp_path / "link" / "a").kind == "ext4"


def test_without_a_table_a_disk_is_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the system has none, nothing is refused; this machine's own table is read without a word."""
    assert disk_of(tmp_path).locks
    monkeypatch.setattr(disks, "MOUNTS", tmp_path / "none")
    assert not disk_of(tmp_path).shared
    require_locks(tmp_path)


@pytest.mark.parametrize("kind", ["cifs", "fuse.sshfs", "beegfs"])
def test_a_store_is_refused_where_locks_hold_for_one_machine(kind: str, mount: Mount, tmp_path: Path) -> None:
    """The message names the disk and the two commands that share calls there; nothing is written."""
    mount(kind)
    with pytest.raises(UsageError, match=rf"network disk \({kind}\).*cache push PLACE.*cache pull PLACE"):
        CallStore(tmp_path / "store" / "calls.sqlite")
    assert not list((tmp_path / "store").iterdir())


def test_on_a_network_disk_a_store_needs_no_shared_memory(mount: Mount, tmp_path: Path) -> None:
    """No file of shared memory is beside it or its claims while it is open; what is put is there for the next."""
    mount("nfs4", "rw,local_lock=none")
    path = tmp_path / "calls.sqlite"
    with CallStore(path) as store, CallStore(path) as other:
        put(store, 1)
        put(other, 2)
        assert store.claims.claim(b"a" * 32)
        assert not other.claims.claim(b"a" * 32)
        assert store.batches.batches() == []
        assert not [*tmp_path.glob("*-shm"), *tmp_path.glob("*-wal")]
        assert store.held([(2).to_bytes(32, "big")])
        assert other.prune(model="m") == 2
    assert journal(path) == journal(path.with_name("calls-claims.sqlite")) == "rollback"


def test_a_store_that_moved_to_a_network_disk_changes_its_journal(mount: Mount, tmp_path: Path) -> None:
    """One with a write-ahead log, left by a killed process, is taken over whole; on the way back it stays as it is."""
    path = tmp_path / "calls.sqlite"
    killed = "import os, sys; from judgebench.models.call_store import *; from judgebench.records import Completion\n"
    killed += "store = CallStore(Path(sys.argv[1]))\n"
    killed += (
        "store.put(bytes(32), Bill(run='r', model='m', identity='m'), Completion(text='x'), lambda e: os._exit(9))\n"
    )
    killed += "store.close()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", killed, str(path)], env=environment, check=False).returncode == 9
    assert path.with_name("calls.sqlite-wal").stat().st_size > 0
    mount("nfs4")
    for kind in ("nfs4", "ext4"):
        mount(kind)
        with CallStore(path) as store:
            assert store.held([bytes(32)]) == [bytes(32)]
        assert journal(path) == "rollback"


def test_a_write_ahead_log_in_use_elsewhere_is_left_alone(
    mount: Mount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server of a network disk has it as its own, and may have made the store with a log: then it is locked."""
    monkeypatch.setattr(databases, "LOCK_TIMEOUT_SECONDS", 0.1)
    path = tmp_path / "calls.sqlite"
    with CallStore(path) as store:
        put(store, 1)
        mount("nfs4")
        with pytest.raises(UsageError, match=r"locked.*--cache"):
            CallStore(path)
        put(store, 2)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM calls").fetchone() == (2,)
