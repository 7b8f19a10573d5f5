"""Records to bytes and back: JSON lines, canonical JSON, tagged hashes. No business rules here."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

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


def write_lines(path: Path, records: Iterable[Any]) -> None:
    """Replace ``path`` by the records, atomically: a reader sees the old file or the new one."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        for record in records:
            file.write(_encoder.encode(record) + b"\n")
    partial.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Replace ``path`` by indented JSON, atomically."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(msgspec.json.format(_encoder.encode(value), indent=2) + b"\n")
    partial.replace(path)
