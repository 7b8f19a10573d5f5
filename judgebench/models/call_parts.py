"""Calls of a store as files that others can take into theirs: so a team pays for each call once.

A part holds calls and is named by the hash of its bytes. A place holds parts: a folder, or anything that fsspec opens
(``s3://…``, ``hf://datasets/…``). Nothing there is ever changed, only added, so that several people may push at a time;
beside each part lie its keys, by which everybody knows what they lack before they fetch it.

A part may come from anybody. What it holds is checked against its name, its keys and the form of a call; it is bounded;
it is taken in whole or not at all; and a call that the store holds stays as it is. Whether a reply is what the model
said, nobody can check: the key is a hash of the question alone.
"""

import gzip
import hashlib
import io
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import msgspec
import numpy as np
from msgspec import Meta, Struct

from judgebench.codec import encode, replacing
from judgebench.display import printable
from judgebench.errors import UsageError
from judgebench.files import opened
from judgebench.models.call_store import KEY_BYTES, CallStore, StoredCall
from judgebench.records import Completion, Number

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem
    from numpy.typing import NDArray

FORMAT = "judgebench-calls-1"
CALLS_PER_PART = 20_000
PART_BYTES, CALL_BYTES = 2**30, 64 * 2**20
"""The largest part, packed, and the largest call in it."""
MOST_UNPACKED, UNPACKED_ANYWAY = 300, 64 * 2**20
"""How many times as large as the packed file its content may be, beyond some bytes that it may always have."""
MOST_PARTS = 100_000
_KEYS_NAME = re.compile(r"[0-9a-f]{64}\.keys")


class Header(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line of a part."""

    format: str
    identities: Annotated[tuple[Annotated[str, Meta(max_length=5_000)], ...], Meta(max_length=10_000)] = ()
    """Models that have answered before, so that nobody has to ask whether they can be reached."""


class CallLine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Any other line."""

    key: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    model: Annotated[str, Meta(max_length=5_000)]
    created: Number
    completion: Completion


class Moved(Struct, frozen=True, kw_only=True):
    """What was pushed, pulled, exported or imported."""

    place: str
    parts: int
    calls: int
    """Calls in these parts."""
    new: int
    """Those of them that were not there before."""


# -- one file


def export_calls(store: CallStore, path: Path, model: str | None = None) -> Moved:
    """Write all calls of a store, or those of one model, into one file."""
    if path.exists():
        raise UsageError(f"{path} exists already; an export overwrites nothing")
    with replacing(path) as file:
        keys = _write(file, store.calls(model), store.identities())
    return Moved(place=str(path), parts=1, calls=len(keys) // KEY_BYTES, new=len(keys) // KEY_BYTES)


def import_calls(store: CallStore, path: Path) -> Moved:
    """Take in the calls of a file that :func:`export_calls` wrote, all or none of them."""
    try:
        with opened(path) as file:
            taken = _Reading(file, str(path))
            new = store.take(taken.calls(), taken.identities)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    return Moved(place=str(path), parts=1, calls=taken.count, new=new)


# -- places


def push(store: CallStore, place: str, model: str | None = None) -> Moved:
    """Add to a place the calls that it lacks, all or those of one model."""
    with _at(place) as (files, folder):
        files.makedirs(folder, exist_ok=True)
        there = _sorted_keys(b"".join(keys for _, keys in _listed(files, folder)))
        missing = _lacking(store.calls(model), there)
        parts = new = 0
        while some := list(islice(missing, CALLS_PER_PART)):
            packed = io.BytesIO()
            keys = _write(packed, some, store.identities())
            name = f"{folder}/{hashlib.sha256(packed.getvalue()).hexdigest()}"
            # A part counts once its keys are there.
            files.pipe_file(f"{name}.calls.gz", packed.getvalue())
            files.pipe_file(f"{name}.keys", keys)
            parts, new = parts + 1, new + len(some)
    return Moved(place=place, parts=parts, calls=new, new=new)


def pull(store: CallStore, place: str) -> Moved:
    """Take in what a place holds and the store lacks. A part that is not sound is left out, and named at the end."""
    parts = calls = new = 0
    refused: list[str] = []
    with _at(place) as (files, folder):
        if not files.isdir(folder):
            raise UsageError(
                f"{place} holds no calls: there is no such folder. `judgebench cache push {place}` makes it"
            )
        for name, keys in _listed(files, folder):
            wanted = {keys[start : start + KEY_BYTES] for start in range(0, len(keys), KEY_BYTES)}
            if len(store.held(wanted)) == len(wanted):
                continue
            try:
                new += _pull_part(store, files, f"{folder}/{name}.calls.gz", name, wanted)
                parts, calls = parts + 1, calls + len(wanted)
            except UsageError as error:
                refused.append(str(error))
    if refused:
        raise UsageError(
            f"{new:,} new calls of {place} were taken in, but {len(refused)} of its parts were not: "
            f"{'; '.join(refused)[:2000]}. Remove these files there; whoever has their calls can push them again"
        )
    return Moved(place=place, parts=parts, calls=calls, new=new)


def _pull_part(store: CallStore, files: "AbstractFileSystem", path: str, name: str, wanted: set[bytes]) -> int:
    with tempfile.TemporaryFile() as copy, files.open(path, "rb") as source:
        digest, size = hashlib.sha256(), 0
        while chunk := source.read(2**20):
            size += len(chunk)
            if size > PART_BYTES:
                raise UsageError(f"{path} is larger than {PART_BYTES // 2**20} MiB, which no part is")
            digest.update(chunk)
            copy.write(chunk)
        if digest.hexdigest() != name:
            raise UsageError(f"{path} is damaged: its content has not the hash that it is named by")
        taken = _Reading(copy, path, wanted)
        return store.take(taken.calls(), taken.identities)


def _listed(files: "AbstractFileSystem", folder: str) -> Iterator[tuple[str, bytes]]:
    """The parts of a place, by name, with the keys of their calls."""
    names = sorted(entry["name"].rsplit("/", 1)[-1] for entry in files.ls(folder, detail=True))
    found = [name for name in names if _KEYS_NAME.fullmatch(name)]
    if len(found) > MOST_PARTS:
        raise UsageError(f"{folder} holds {len(found):,} parts, and {MOST_PARTS:,} are the most that are read")
    for name in found:
        with files.open(f"{folder}/{name}", "rb") as file:
            keys = file.read(CALLS_PER_PART * KEY_BYTES + 1)
        # Else somebody is writing it, or was killed while they did: the part does not count yet.
        if len(keys) % KEY_BYTES == 0 and len(keys) <= CALLS_PER_PART * KEY_BYTES:
            yield name.removesuffix(".keys"), keys


def _sorted_keys(keys: bytes) -> "NDArray[np.bytes_]":
    """The keys in ascending order, as an array: a million are 32 MB."""
    return np.sort(np.frombuffer(keys, dtype=f"S{KEY_BYTES}"))


def _lacking(calls: Iterable[StoredCall], there: "NDArray[np.bytes_]") -> Iterator[StoredCall]:
    for call in calls:
        key = np.bytes_(call.key)
        place = int(np.searchsorted(there, key))
        # Without the zeros at their ends, as numpy has them.
        if place == len(there) or there[place] != call.key.rstrip(b"\x00"):
            yield call


@contextmanager
def _at(place: str) -> Iterator[tuple["AbstractFileSystem", str]]:
    """The file system of a place and the path in it; what goes wrong there is the user's to know."""
    from fsspec.core import url_to_fs

    try:
        files, folder = url_to_fs(place if "://" in place else str(Path(place).absolute()))
        yield files, folder.rstrip("/")
    except ImportError as error:
        raise UsageError(f"{place} needs a package that is not installed: {error}") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{place} cannot be used as a place for calls: {type(error).__name__}: {error}") from error


# -- the form of a part


def _write(file: BinaryIO, calls: Iterable[StoredCall], identities: Iterable[str]) -> bytes:
    """Write a part, and return the keys of its calls. The same calls make the same bytes."""
    keys = bytearray()
    with gzip.GzipFile(fileobj=file, mode="wb", mtime=0, filename="", compresslevel=6) as packed:
        packed.write(encode(Header(format=FORMAT, identities=tuple(identities))) + b"\n")
        for call in calls:
            line = {
                "key": call.key.hex(),
                "model": call.model,
                "created": call.created,
                "completion": msgspec.Raw(call.completion),
            }
            packed.write(encode(line) + b"\n")
            keys += call.key
    return bytes(keys)


class _Reading:
    """Reads a part that anybody may have written. With ``wanted``, it must hold these calls, each once."""

    def __init__(self, file: BinaryIO, name: str, wanted: set[bytes] | None = None) -> None:
        self._name, self._wanted = printable(name), wanted
        self.count = 0
        self._left = UNPACKED_ANYWAY + MOST_UNPACKED * file.seek(0, io.SEEK_END)
        file.seek(0)
        packed: Any = gzip.GzipFile(fileobj=file)
        self._lines = iter(partial(packed.readline, CALL_BYTES), b"")
        header = self._decoded(Header, next(self._safely(self._lines), b""))
        if header.format != FORMAT:
            raise UsageError(f"{self._name} is no file of calls of this version of judgebench: {header.format!r:.80}")
        self.identities = header.identities

    def calls(self) -> Iterator[StoredCall]:
        """The calls, checked one by one."""
        seen: set[bytes] = set()
        for line in self._safely(self._lines):
            row = self._decoded(CallLine, line)
            self.count += 1
            if row.completion.failed:
                raise self._fault("a call has no reply")
            key = bytes.fromhex(row.key)
            if self._wanted is not None:
                seen.add(key)
            completion = msgspec.structs.replace(row.completion, cached=False)
            yield StoredCall(key, row.model, row.created, encode(completion))
        if self._wanted is not None and (seen != self._wanted or self.count != len(seen)):
            raise self._fault("its calls are not those of the keys beside it")

    def _safely(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        try:
            for line in lines:
                if len(line) >= CALL_BYTES:
                    raise self._fault(f"a line is longer than {CALL_BYTES // 2**20} MiB")
                self._left -= len(line)
                if self._left < 0:
                    raise self._fault(f"its content is more than {MOST_UNPACKED} times as large as the file")
                yield line
        except (OSError, EOFError, zlib.error) as error:
            raise self._fault(f"it is no whole gzip file ({error})") from error

    def _decoded(self, kind: type[Any], line: bytes) -> Any:
        try:
            return msgspec.json.decode(line, type=kind)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            what = "the first line" if kind is Header else f"call {self.count + 1:,}"
            raise self._fault(f"{what} is not what it should be ({error})") from error

    def _fault(self, what: str) -> UsageError:
        return UsageError(f"{self._name} was not taken in: {what}")
