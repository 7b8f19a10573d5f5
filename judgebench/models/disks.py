"""What kind of disk a folder is on: one of this machine, or one that several machines share over a network.

SQLite's write-ahead log needs memory that its processes share, so on a shared disk ``databases`` uses another journal.
That needs locks which hold for all machines. Where they are known to hold for one machine only, two machines would
damage a database, and :func:`require_locks` refuses it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from judgebench.errors import UsageError

MOUNTS = Path("/proc/self/mounts")
"""What is mounted where, on Linux. Elsewhere every disk counts as the machine's own."""
ALL_MACHINES = frozenset({"ceph", "fuse.ceph-fuse", "fuse.glusterfs", "gfs2", "gpfs", "lustre", "nfs", "nfs4", "ocfs2"})
"""Kinds of shared disks whose locks hold for all machines, unless an option says otherwise."""
ONE_MACHINE = frozenset(
    {
        *("afs", "beegfs", "cifs", "davfs", "fuse.blobfuse", "fuse.blobfuse2", "fuse.davfs2"),
        *("fuse.gcsfuse", "fuse.goofys", "fuse.mount-s3", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "smb3", "smbfs"),
    }
)
"""Kinds whose locks hold within one machine, or depend on settings of a server that nobody can read here."""
OWN_LOCKS = re.compile(r"nolock|local_lock=(?!none).*|localflock|noflock")
"""Mount options that keep locks within one machine."""

HOW_TO_SHARE = (
    "Choose a folder on a disk of this machine with --cache or JUDGEBENCH_CACHE, and exchange calls with `judgebench "
    "cache push PLACE` and `judgebench cache pull PLACE`, where PLACE may be a folder on the network disk"
)


@dataclass(frozen=True)
class Disk:
    """A disk, as it is mounted."""

    kind: str
    place: str
    options: tuple[str, ...]

    @property
    def shared(self) -> bool:
        """Whether several machines may have it."""
        return self.kind in ALL_MACHINES or self.kind in ONE_MACHINE

    @property
    def locks(self) -> bool:
        """Whether a lock on a file holds for everybody who can have it."""
        if not self.shared:
            return True
        if self.kind == "lustre" and "flock" not in self.options:
            return False
        return self.kind in ALL_MACHINES and not any(OWN_LOCKS.fullmatch(option) for option in self.options)


UNKNOWN = Disk("unknown", "/", ())


def disk_of(path: Path) -> Disk:
    """The disk that a file or folder is on, or would be."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return UNKNOWN
    resolved, found = path.resolve(), UNKNOWN
    for line in lines:
        _, place, kind, options, *_ = (_unescaped(word) for word in f"{line} - - - -".split(" "))
        # Of two disks at one place, the later hides the earlier.
        if resolved.is_relative_to(place) and len(place) >= len(found.place):
            found = Disk(kind, place, tuple(options.split(",")))
    return found


def _unescaped(word: str) -> str:
    """A word of the table, in which spaces and the like are written as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), word)


def require_locks(folder: Path) -> None:
    """Raise :class:`UsageError` if a database in the folder could be damaged by two machines."""
    disk = disk_of(folder)
    if not disk.locks:
        raise UsageError(
            f"The call store cannot be in {folder}: {disk.place} is a network disk ({disk.kind}) whose locks hold "
            f"within one machine only, so two machines would damage it. {HOW_TO_SHARE}."
        )
