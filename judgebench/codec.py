"""Turns records into bytes and back: JSON lines, canonical JSON and tagged hashes.

It also replaces and sorts files atomically. It does not know what the records mean.
"""

import hashlib
import heapq
import re
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from judgebench.errors import RecordError, UsageError
from judgebench.files import DEEPEST, as_utf8, deeper_than, opened, read_bytes

T = TypeVar("T")

LINE_BYTES = 256 * 2**20
"""Limit for one line. A judge's replies with all their log-probabilities are a few megabytes."""
DOCUMENT_BYTES = 256 * 2**20
"""Limit for a whole JSON file such as a manifest."""

_encoder = msgspec.json.Encoder()
_canonical = msgspec.json.Encoder(order="deterministic")


def encode(record: Any) -> bytes:
    """Encode a record as one line of JSON, without the newline."""
    return _encoded(_encoder, record)


def _encoded(encoder: msgspec.json.Encoder, value: Any) -> bytes:
    try:
        return encoder.encode(value)
    except (UnicodeEncodeError, OverflowError):
        return encoder.encode(_writable(msgspec.to_builtins(value)))


def _writable(value: Any) -> Any:
    """Replace what JSON cannot hold: half a character, as in some file names, or an integer of 400 digits."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return None
    if isinstance(value, dict):
        return {_writable(key): _writable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_writable(inner) for inner in value]
    return value


def canonical_json(value: Any) -> bytes:
    """Encode records, mappings, sequences and scalars in one way only: sorted keys, UTF-8, no spaces."""
    return _encoded(_canonical, value)


def canonical_hash(value: Any) -> str:
    """``sha256:<hex>`` of the canonical JSON of a value."""
    return "sha256:" + hashlib.sha256(canonical_json(value)).hexdigest()


def sha256_hex(data: bytes) -> str:
    """Hex digest of the bytes, untagged, as official sources are pinned."""
    return hashlib.sha256(data).hexdigest()


def decode_json(data: bytes, kind: Any) -> Any:
    """Decode a JSON text that anybody may have written. Raises ``ValueError``, which says what is wrong with it."""
    try:
        data = as_utf8(data)
        if data.count(b"[") + data.count(b"{") > DEEPEST and deeper_than(DEEPEST, msgspec.json.decode(data)):
            raise ValueError(f"it is nested more than {DEEPEST} levels deep")
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise ValueError(json_fault(error, data)) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def json_fault(error: msgspec.DecodeError, data: bytes) -> str:
    """Say what is wrong with a JSON text, and in which of its lines.

    >>> try:
    ...     msgspec.json.decode(text := b'{"a": 1,\\n "b": [2')
    ... except msgspec.DecodeError as error:
    ...     json_fault(error, text)
    'it ends in line 2, where a quote or a bracket is still open'
    """
    if "truncated" in str(error):
        last = data.rstrip().count(b"\n") + 1
        return f"it ends in line {last}, where a quote or a bracket is still open" if data.strip() else "it is empty"
    if place := re.search(r"\(byte (\d+)\)", str(error)):
        line = data.count(b"\n", 0, int(place[1])) + 1
        return str(error).replace(place[0], f"(line {line}, byte {place[1]})")
    return str(error)


def read_json(path: Path, kind: Any, limit: int = DOCUMENT_BYTES) -> Any:
    """Read a JSON file. Raises ``OSError`` if it cannot be read, ``ValueError`` if it does not hold a ``kind``."""
    return decode_json(read_bytes(path, limit), kind)


def decode_lines(path: Path, kind: type[T]) -> Iterator[T]:
    """Read the records of a JSON-lines file. A torn last line (no newline: the writer was killed) is skipped.

    Raises :class:`RecordError`, which names the line, for anything else that is not a ``kind``, and
    :class:`UsageError` if ``path`` is not a readable file.
    """
    return (record for record, _ in _decoded(path, kind))


def placed_lines(path: Path, kind: type[T]) -> Iterator[tuple[T, tuple[int, int]]]:
    """The same with the place of each line: its first byte and its length. See ``lines_at``."""
    start = 0
    for record, line in _decoded(path, kind):
        yield record, (start, len(line))
        start += len(line)


def lines_at(path: Path, kind: type[T], places: Iterable[tuple[int, int]]) -> Iterator[T]:
    """Read the records at some places of a file that ``placed_lines`` has read.

    Raises :class:`UsageError` if the file was changed since.
    """
    decoder = msgspec.json.Decoder(kind)
    try:
        with opened(path) as file:
            for start, length in places:
                file.seek(start)
                yield decoder.decode(file.read(length))
    except (msgspec.DecodeError, OSError) as error:
        raise UsageError(f"{path} was changed while it was read ({error}); try again") from error


def _decoded(path: Path, kind: type[T]) -> Iterator[tuple[T, bytes]]:
    """Read records together with their lines."""
    decoder = msgspec.json.Decoder(kind)
    try:
        file = opened(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    with file:
        for number, line in enumerate(iter(partial(file.readline, LINE_BYTES), b""), 1):
            if not line.endswith(b"\n"):
                if len(line) < LINE_BYTES:
                    return
                raise RecordError(path, number, f"the line is longer than {LINE_BYTES // 2**20} MiB")
            try:
                # Every level takes a bracket, and most lines have fewer characters than that.
                if len(line) > DEEPEST and line.count(b"[") + line.count(b"{") > DEEPEST and _may_be_deep(line):
                    decode_json(line, Any)
                record = decoder.decode(line)
            except (msgspec.DecodeError, ValueError, RecursionError) as error:
                told = "it is nested too deeply" if isinstance(error, RecursionError) else error
                raise RecordError(path, number, f"not a {kind.__name__} record: {told}") from error
            yield record, line


def _may_be_deep(line: bytes) -> bool:
    """Whether more than ``DEEPEST`` brackets are ever open at once, counting those within texts."""
    import numpy as np

    signs = np.frombuffer(line, dtype=np.uint8)
    opening = (signs == ord("[")) | (signs == ord("{"))
    closing = (signs == ord("]")) | (signs == ord("}"))
    return bool((np.cumsum(opening, dtype=np.int64) - np.cumsum(closing, dtype=np.int64)).max() > DEEPEST)


PARTIAL = ".partial"
"""Suffix of files that are not complete yet, or never will be because their process was killed."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that replaces ``path`` once it is complete, so that a reader sees the old file or the new one.

    Until then it has a name that no other process uses.
    """
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}{PARTIAL}")
    try:
        with unfinished.open("xb") as file:
            yield file
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_lines(path: Path, records: Iterable[Any]) -> None:
    """Replace ``path`` atomically with the records."""
    with replacing(path) as file:
        for record in records:
            file.write(encode(record) + b"\n")


def write_json(path: Path, value: Any) -> None:
    """Replace ``path`` atomically with indented JSON."""
    with replacing(path) as file:
        file.write(msgspec.json.format(encode(value), indent=2) + b"\n")


SORTED_BYTES = 16 * 2**20
"""Size of the lines that are held in memory at once while a file is sorted."""


def sort_lines(
    path: Path,
    kind: type[T],
    key: Callable[[T], tuple[Any, ...]],
    *,
    keep: Callable[[T], bool] = lambda record: True,
    then: Sequence[Any] = (),
) -> None:
    """Sort the lines of a JSON-lines file by a key, atomically; of lines with equal keys the last one is kept.

    ``kind`` has the fields that the key needs. Lines that ``keep`` rejects are dropped, and the records of ``then``
    are added at the end. Memory does not grow with the file: parts of it are sorted one by one and then merged. A file
    that this would not change is only read.
    """
    if not then and path.exists() and _in_order(path, kind, key, keep):
        return
    decoder = msgspec.json.Decoder(kind)

    def keyed(lines: Iterable[bytes]) -> Iterator[tuple[tuple[Any, ...], bytes]]:
        return ((key(decoder.decode(line)), line) for line in lines)

    found = _decoded(path, kind) if path.exists() else iter(())
    pairs = ((key(record), line) for record, line in found if keep(record))
    with ExitStack() as files:
        parts: list[Iterable[tuple[tuple[Any, ...], bytes]]] = []
        for portion, is_last in _sorted_portions(pairs):
            if is_last:
                parts.append(portion)
                continue
            part = files.enter_context(tempfile.TemporaryFile(dir=path.parent))
            part.writelines(line for _, line in portion)
            part.seek(0)
            parts.append(keyed(part))
        # Equal keys come in the order of the parts, and so of the file.
        merged = heapq.merge(*parts, key=itemgetter(0))
        target = files.enter_context(replacing(path))
        for _, same in groupby(merged, key=itemgetter(0)):
            *_, (_, last) = same
            target.write(last)
        target.writelines(encode(record) + b"\n" for record in then)


def _in_order(path: Path, kind: type[T], key: Callable[[T], tuple[Any, ...]], keep: Callable[[T], bool]) -> bool:
    """Whether each line is complete, is kept, and comes after the one before it."""
    before: tuple[Any, ...] | None = None
    size = 0
    for record, line in _decoded(path, kind):
        here = key(record)
        if not keep(record) or (before is not None and here <= before):
            return False
        before, size = here, size + len(line)
    return size == path.stat().st_size


def _sorted_portions(
    pairs: Iterable[tuple[tuple[Any, ...], bytes]],
) -> Iterator[tuple[list[tuple[tuple[Any, ...], bytes]], bool]]:
    """Yield sorted portions of keyed lines, each as large as memory allows, and whether it is the last portion."""
    portion: list[tuple[tuple[Any, ...], bytes]] = []
    size = 0
    for pair in pairs:
        portion.append(pair)
        size += len(pair[1])
        if size > SORTED_BYTES:
            portion.sort(key=itemgetter(0))
            yield portion, False
            portion, size = [], 0
    portion.sort(key=itemgetter(0))
    yield portion, True
