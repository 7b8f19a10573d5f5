"""Reading a file that anybody may have made: only a regular one, never beyond a limit, in the encoding that it names.

What cannot be read is an ``OSError`` whose text says why, whether the disk or the content is to blame; a file of
settings is a :class:`UsageError` at once. What the content means is the business of whoever reads it.
"""

import codecs
import errno
import gzip
import os
import stat
import tomllib
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, cast

from judgebench.errors import UsageError

CHUNK_BYTES = 2**20
TEXT_BYTES = 16 * 2**20
"""Of a text that a user wrote: a template, a prompt, a list of ids."""
TOML_BYTES = 2**20
DEEPEST = 500
"""Levels of a JSON value: half of what Python's own functions can follow."""
DEEPEST_TOML = 64
"""No settings of anybody's have ten."""

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
"""What a text in these begins with. Those of UTF-32 come first: one of them begins like one of UTF-16."""


def opened(path: Path) -> BufferedReader:
    """A regular file, open for reading. Anything else is an ``OSError``, without waiting for who may be behind it."""
    try:
        _require_regular(os.stat(path).st_mode)
        # Whoever put a FIFO there in the meantime is not waited for either.
        file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except ValueError as error:  # a null character in the path
        raise OSError(errno.EINVAL, f"no file can be called {str(path)!r}: {error}") from error
    try:
        _require_regular(os.fstat(file).st_mode)
    except OSError:
        os.close(file)
        raise
    return os.fdopen(file, "rb")


def _require_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise OSError(f"it is {_KINDS.get(stat.S_IFMT(mode), 'no regular file')}, and a regular file was expected")


def irregular(path: Path) -> str | None:
    """What is at a path, in words, if it is there and neither a regular file nor a folder."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return None
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else _KINDS.get(stat.S_IFMT(mode), "no regular file")


def chunks(path: Path, limit: int | None = None) -> Iterator[bytes]:
    """The bytes of a file, those inside a ``.gz``; an ``OSError`` once they are more than the limit."""
    left = limit
    with opened(path) as raw:
        file = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if path.suffix == ".gz" else raw
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
    """A limit in words.

    >>> _size(2 * 2**30), _size(2**20), _size(300)
    ('2 GiB', '1 MiB', '300 bytes')
    """
    for unit, name in ((2**30, "GiB"), (2**20, "MiB")):
        if count >= unit:
            return f"{count // unit} {name}"
    return f"{count} bytes"


def read_bytes(path: Path, limit: int) -> bytes:
    """All bytes of a file, those inside a ``.gz``."""
    return b"".join(chunks(path, limit))


def as_utf8(data: bytes) -> bytes:
    """A text in UTF-8 and without the byte order mark that it may begin with; one that names UTF-16 or UTF-32 is
    converted. Raises ``UnicodeDecodeError`` if it is not what it names; UTF-8 itself is not looked at.
    """
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return data.decode(encoding).encode()
    return data.removeprefix(codecs.BOM_UTF8)


def read_text(path: Path, limit: int = TEXT_BYTES) -> str:
    """A text, its line ends as ``\\n``."""
    try:
        text = as_utf8(read_bytes(path, limit)).decode()
    except UnicodeDecodeError as error:
        raise OSError(f"it is no text in UTF-8, nor in UTF-16 with a byte order mark: {error}") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """A TOML file of settings; a :class:`UsageError` that calls it ``what``."""
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
    """Whether lists and tables lie in each other deeper than that; dotted keys of TOML make depth without brackets."""
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
