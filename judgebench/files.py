"""Reads files that anybody may have made: only regular files, up to a size limit, in the encoding that they declare.

If a file cannot be read, these functions raise ``OSError``, whose text says why (``read_toml``: :class:`UsageError`).
They do not interpret the content.
"""

import codecs
import errno
import gzip
import hashlib
import os
import stat
import tomllib
import zlib
from collections.abc import Iterator
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from judgebench.display import nearest
from judgebench.errors import UsageError

CHUNK_BYTES = 2**20
TEXT_BYTES = 16 * 2**20
"""Limit for a text that a user wrote: a template, a prompt, a list of ids."""
TOML_BYTES = 2**20
NEAR_NAMES = 5_000
"""At most so many names of a folder are read to find one like the name of a file that is not there."""
DEEPEST = 500
"""Nesting limit for JSON: half of what Python's own functions can handle."""
DEEPEST_TOML = 64
"""Nesting limit for TOML. Real settings have fewer than ten levels."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks. UTF-32 comes first, because one of its marks begins with one of UTF-16."""


def opened(path: Path) -> BufferedReader:
    """Open a regular file for reading. Anything else raises ``OSError`` at once, even a FIFO without a writer."""
    try:
        _require_regular(os.stat(path).st_mode)
        # O_NONBLOCK: somebody may have put a FIFO there in the meantime.
        file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NothingThere(path) from error
    except PermissionError as error:
        raise PermissionError("its permissions do not let you read it") from error
    except ValueError as error:  # a null character in the path
        raise OSError(errno.EINVAL, f"no file can be called {str(path)!r}: {error}") from error
    try:
        _require_regular(os.fstat(file).st_mode)
    except OSError:
        os.close(file)
        raise
    return os.fdopen(file, "rb")


class NothingThere(FileNotFoundError):
    """Nothing is at a path. What is near is looked up only when it is told: many look whether there is a file."""

    def __str__(self) -> str:
        return nothing_at(self.args[0])


def nothing_at(path: Path | str) -> str:
    """What to say of a path where nothing is.

    >>> nothing_at("nowhere/at/all")
    'there is no such file, nor the folder nowhere/at'
    """
    parent = Path(path).parent
    lacking = "" if parent.is_dir() else f", nor the folder {parent}"
    return f"there is no such file{lacking}{near_path(path)}"


def near_path(path: Path | str, written: str = "") -> str:
    """In brackets, the file or folder that was probably meant by a path where nothing is; else nothing.

    It is shown as the user wrote the path, which is ``written`` if it is relative to another folder.
    """
    name, parent, shown = Path(path).name, Path(path).parent, (written or str(path)).rstrip("/")
    try:
        if os.path.lexists(path):
            return ""
        if not parent.exists():
            return near_path(parent, str(Path(shown).parent))
        with os.scandir(parent) as entries:
            beside = [entry.name for entry in islice(entries, NEAR_NAMES)]
    except (OSError, ValueError):
        return ""
    # Names are not alike by their endings; of two files of one name, the one with this ending is meant.
    ending = Path(name).suffix
    by_stem = {
        Path(other).stem: other for other in sorted(beside, key=lambda other: (Path(other).suffix == ending, other))
    }
    near = nearest(Path(name).stem, by_stem)
    return f" (did you mean {shown.removesuffix(name)}{by_stem[near]}?)" if near else ""


def _require_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise OSError(f"it is {_KINDS.get(stat.S_IFMT(mode), 'no regular file')}, and a regular file was expected")


def irregular(path: Path) -> str | None:
    """Say what is at a path if it is neither a regular file nor a folder; ``None`` otherwise."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return None
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else _KINDS.get(stat.S_IFMT(mode), "no regular file")


def chunks(path: Path, limit: int | None = None, *, packed: bool = False) -> Iterator[bytes]:
    """Read a file in chunks, unpacking a ``.gz`` unless it is wanted ``packed``. Raises ``OSError`` once the content
    exceeds the limit.
    """
    left = limit
    with opened(path) as raw:
        file = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if path.suffix == ".gz" and not packed else raw
        try:
            while chunk := file.read(CHUNK_BYTES):
                if left is not None and limit is not None:
                    left -= len(chunk)
                    if left < 0:
                        raise OSError(f"it holds more than {_size(limit)}")
                yield chunk
        except (EOFError, zlib.error) as error:
            raise OSError(f"it is no whole gzip file: {error}") from error


def _size(count: int) -> str:
    """Write a limit in words.

    >>> _size(2 * 2**30), _size(2**20), _size(300)
    ('2 GiB', '1 MiB', '300 bytes')
    """
    for unit, name in ((2**30, "GiB"), (2**20, "MiB")):
        if count >= unit:
            return f"{count // unit} {name}"
    return f"{count} bytes"


def read_bytes(path: Path, limit: int, *, packed: bool = False) -> bytes:
    """Read all bytes of a file, unpacking a ``.gz`` unless it is wanted ``packed``."""
    return b"".join(chunks(path, limit, packed=packed))


def sha256_of(path: Path) -> str:
    """Hash the bytes of a regular file."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def as_utf8(data: bytes) -> bytes:
    """Convert a text with a byte order mark to UTF-8 without one.

    Raises ``UnicodeDecodeError`` if a text that declares UTF-16 or UTF-32 is not valid; UTF-8 is not validated.
    """
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return data.decode(encoding).encode()
    return data.removeprefix(codecs.BOM_UTF8)


def read_text(path: Path, limit: int = TEXT_BYTES) -> str:
    """Read a text; line ends become ``\\n``."""
    try:
        text = as_utf8(read_bytes(path, limit)).decode()
    except UnicodeDecodeError as error:
        raise OSError(f"it is no text in UTF-8, nor in UTF-16 with a byte order mark: {error}") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Read a TOML file of settings. Raises :class:`UsageError`, which calls the file ``what``."""
    try:
        found = tomllib.loads(read_text(path, TOML_BYTES))
    except OSError as error:
        raise UsageError(f"{what} {path} cannot be read: {error}") from error
    except RecursionError as error:
        raise UsageError(f"{what} {path} cannot be used: it is nested too deeply") from error
    except ValueError as error:  # a number of thousands of digits is one, and no TOMLDecodeError
        raise UsageError(f"{what} {path} is not TOML: {error}") from error
    if deeper_than(DEEPEST_TOML, found):
        raise UsageError(f"{what} {path} cannot be used: it is nested more than {DEEPEST_TOML} levels deep")
    return found


def deeper_than(levels: int, value: Any) -> bool:
    """Whether lists and mappings are nested deeper than ``levels``; dotted keys in TOML nest without brackets."""
    layer = [value]
    for _ in range(levels):
        layer = [
            inner
            for outer in layer
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not layer:
            return False
    return True
