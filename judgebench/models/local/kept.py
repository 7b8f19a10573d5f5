"""Checkpoints that judgebench makes itself: each is built once into the user's cache, and used only while it is whole.

A folder gets its name when it is complete. ``SHA256SUMS`` in it, which ``sha256sum -c`` reads too, holds the hash of
each of its files.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from judgebench.activity import doing
from judgebench.errors import UsageError
from judgebench.files import read_text, sha256_of

SUMS = "SHA256SUMS"
_MIB = 2**20


def kept(target: Path, build: Callable[[Path], None], *, what: str, mib: int) -> Path:
    """Return the folder ``target``; build it first if it is not there, or is not as it was built.

    ``build`` fills the empty folder that it is given, with at most ``mib`` MiB. If several processes need the folder,
    one builds it and the others wait. What a killed process left is removed by the next one. Raises
    :class:`UsageError` if the cache cannot hold the folder.
    """
    if is_whole(target):
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.with_name(f".{target.name}.lock")):
            if not is_whole(target):
                _require_room(target.parent, mib)
                with doing(f"building {what}, once"):
                    _build(target, build)
    except OSError as error:
        raise UsageError(
            f"Could not build {what} in the cache folder {target.parent}: {error}. It takes {mib} MiB there. Point the "
            "cache at a writable folder with room, with the environment variable JUDGEBENCH_CACHE."
        ) from error
    return target


def is_whole(folder: Path) -> bool:
    """Whether a folder holds the files that were built, and nothing else."""
    try:
        return read_text(folder / SUMS) == _sums(folder)
    except OSError:
        return False


def _sums(folder: Path) -> str:
    """The hashes of its files, in the form that ``sha256sum`` reads."""
    files = sorted(path for path in folder.iterdir() if path.name != SUMS)
    return "".join(f"{sha256_of(path)}  {path.name}\n" for path in files)


def _require_room(folder: Path, mib: int) -> None:
    """Raise ``OSError`` if a disk is too full. The libraries that write weights raise errors of many kinds then."""
    free = shutil.disk_usage(folder).free // _MIB
    if free < mib:
        raise OSError(f"only {free} MiB are free")


def _build(target: Path, build: Callable[[Path], None]) -> None:
    """Build beside the target, and rename. The caller holds the lock, so what lies there already is of no use."""
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        build(partial)
        (partial / SUMS).write_text(_sums(partial))
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the only lock of this name; waits for whoever holds it. The lock of a process that ends is free."""
    while True:
        with path.open("a") as file:
            with doing(f"waiting for whoever builds {path.parent / path.stem[1:]}"):
                fcntl.flock(file, fcntl.LOCK_EX)
            if not _still_named(path, file.fileno()):
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _still_named(path: Path, descriptor: int) -> bool:
    """Whether an open file has that path. A holder of the lock removes the file on leaving."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
