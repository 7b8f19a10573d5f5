"""Records to bytes and back: JSON lines, canonical JSON, tagged hashes. No business rules here."""

import hashlib
import heapq
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from judgebench.errors import RecordError

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_canonical = msgspec.json.Encoder(order="deterministic")


def encode(record: Any) -> bytes:
    """One record as one line of JSON, without the newline."""
    return _encoder.encode(record)


def canonical_hash(value: Any) -> str:
    """``sha256:<hex>`` of the canonical JSON (sorted keys, UTF-8) of records, mappings, sequences and scalars."""
    return "sha256:" + hashlib.sha256(_canonical.encode(value)).hexdigest()


def sha256_hex(data: bytes) -> str:
    """Hex digest of the bytes, untagged, as official sources are pinned."""
    return hashlib.sha256(data).hexdigest()


def decode_lines(path: Path, kind: type[T]) -> Iterator[T]:
    """Records of a JSON-lines file. A torn last line (no newline: the writer was killed) is left out.

    Raises :class:`RecordError` naming the line for anything else that is not a ``kind``.
    """
    decoder = msgspec.json.Decoder(kind)
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise RecordError(path, number, f"not a {kind.__name__} record: {error}") from error


PARTIAL = ".partial"
"""How the names of files end that are not whole yet, or never will be: their process was killed."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of ``path`` once it is whole: a reader sees the old one or the new one.

    Its own name until then is nobody else's.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}{PARTIAL}")
    try:
        with partial.open("xb") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_lines(path: Path, records: Iterable[Any]) -> None:
    """Replace ``path`` by the records, atomically."""
    with replacing(path) as file:
        for record in records:
            file.write(_encoder.encode(record) + b"\n")


def write_json(path: Path, value: Any) -> None:
    """Replace ``path`` by indented JSON, atomically."""
    with replacing(path) as file:
        file.write(msgspec.json.format(_encoder.encode(value), indent=2) + b"\n")


SORTED_BYTES = 32 * 2**20
"""Lines that are held in memory at once while a file is sorted."""


def sort_lines(path: Path, kind: type[T], key: Callable[[T], tuple[Any, ...]]) -> None:
    """Replace a JSON-lines file by its lines in the order of a key, atomically; of equal keys the last line is kept.

    ``kind`` holds what the key needs of a line. Memory does not grow with the file: parts of it are sorted by
    themselves, and merged.
    """
    decoder = msgspec.json.Decoder(kind)

    def keyed(lines: Iterable[bytes]) -> Iterator[tuple[tuple[Any, ...], bytes]]:
        return ((key(decoder.decode(line)), line) for line in lines)

    with ExitStack() as files:
        parts = []
        for lines in _portions(path):
            part = files.enter_context(tempfile.TemporaryFile(dir=path.parent))
            try:
                part.writelines(line for _, line in sorted(keyed(lines), key=lambda pair: pair[0]))
            except (msgspec.DecodeError, UnicodeDecodeError):
                list(decode_lines(path, kind))  # names the line
                raise
            part.seek(0)
            parts.append(keyed(part))
        # Equal keys come in the order of the parts, and so of the file.
        merged = heapq.merge(*parts, key=lambda pair: pair[0])
        target = files.enter_context(replacing(path))
        for _, same in groupby(merged, key=lambda pair: pair[0]):
            *_, (_, last) = same
            target.write(last)


def _portions(path: Path) -> Iterator[list[bytes]]:
    """The whole lines of a file, as many at a time as may be in memory."""
    lines: list[bytes] = []
    size = 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            lines.append(line)
            size += len(line)
            if size > SORTED_BYTES:
                yield lines
                lines, size = [], 0
    if lines:
        yield lines
