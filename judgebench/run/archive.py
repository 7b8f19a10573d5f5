"""Stores a run folder as one zip file; equal runs give equal bytes, wherever they lie.

An archive may come from anybody, so only plain files with names of a run are unpacked, up to the limits below.
"""

import os
import re
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from lzma import LZMAError
from pathlib import Path

import msgspec

from judgebench.codec import replacing, write_json
from judgebench.errors import UsageError
from judgebench.files import opened, sha256_of
from judgebench.models.call_store import default_cache_dir
from judgebench.run.folder import Results, RunFolder

SUFFIX = ".zip"
MAX_BYTES = 4 * 2**30
"""Limit for the unpacked content of an archive."""
MAX_FILES = 1000
"""Limit for the files in an archive. A run has about six for each task."""
CHUNK_BYTES = 2**20
_BROKEN = (NotImplementedError, RuntimeError, ValueError, OverflowError)
"""Further exceptions that ``zipfile`` raises for a broken archive."""
MEMBER = re.compile(r"(?:\w[\w.-]{0,99}/)?\w[\w.-]{0,99}\.jsonl?", re.ASCII)
"""Names of a run's files: at most one folder deep, so that none leads out of the run folder."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold. An archive does not say when it was made."""


def is_archive(path: Path) -> bool:
    """Whether a path is an archive rather than a run folder."""
    return path.suffix == SUFFIX and path.is_file()


def write_archive(run: Path, path: Path) -> None:
    """Write a run folder as one file, atomically; equal runs give equal bytes.

    Raises :class:`UsageError` if ``run`` is no run folder, is not scored yet, or ``path`` exists or is not a ``.zip``.
    """
    if path.suffix != SUFFIX:
        raise UsageError(
            f"the name of an archive ends with {SUFFIX}, but {path} does not; name a file such as run{SUFFIX}"
        )
    if path.exists():
        raise UsageError(f"{path} exists already, and an export overwrites nothing; choose another name")
    folder = RunFolder(run)
    manifest, results = folder.require_manifest(), folder.results()
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as whole, zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, file in _files(run):
            info = zipfile.ZipInfo(name, EPOCH)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, (stat.S_IFREG | 0o644) << 16
            info.create_system = 3
            if name == "results.json":
                # The archive does not say where the run was.
                results.run = manifest.run_id
                archive.writestr(info, msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n")
                continue
            with file.open("rb") as source, archive.open(info, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target, CHUNK_BYTES)


def _files(run: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of a run folder with their names, in order, without partial files, foreign files and links."""
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run).as_posix()
        if path.is_file() and not path.is_symlink() and MEMBER.fullmatch(name):
            yield name, path


def open_archive(path: Path) -> Path:
    """Unpack an archive into the user cache, once for each content, and return the run folder.

    Raises :class:`UsageError` if the file is not an archive of a run, is damaged, or holds anything else.
    """
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    place = default_cache_dir() / "archives" / digest
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        unpack_archive(path, place)
    return place


def unpack_archive(path: Path, out: Path) -> None:
    """Unpack an archive into the new run folder ``out``, which appears complete or not at all."""
    if out.exists():
        raise UsageError(f"{out} exists already; unpack into a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", suffix=".partial", dir=out.parent) as scratch:
        whole = Path(scratch) / "run"
        whole.mkdir()
        _unpack(path, whole)
        folder = RunFolder(whole)
        folder.require_manifest()
        results: Results = folder.results()
        results.run = str(out)
        write_json(whole / "results.json", results)
        try:
            os.rename(whole, out)
        except OSError as error:
            # Another process may have unpacked the same archive in the meantime.
            if not out.is_dir():
                raise UsageError(f"{out} cannot be made: {error}") from error


def _unpack(path: Path, out: Path) -> None:
    try:
        with opened(path) as raw, zipfile.ZipFile(raw) as archive:
            members = _checked(path, archive.infolist())
            left = MAX_BYTES
            for info in members:
                target = out / info.filename
                target.parent.mkdir(exist_ok=True)
                with archive.open(info) as source, target.open("wb") as file:
                    # The sizes that an archive states cannot be trusted.
                    while chunk := source.read(CHUNK_BYTES):
                        left -= len(chunk)
                        if left < 0:
                            raise UsageError(f"{path} holds more than {MAX_BYTES // 2**30} GiB; it was not unpacked")
                        file.write(chunk)
    except (zipfile.BadZipFile, zlib.error, LZMAError, struct.error, EOFError, *_BROKEN) as error:
        raise UsageError(f"{path} is not a readable archive of a run: {error}") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be unpacked: {error}") from error


def _checked(path: Path, members: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    """Return the files of an archive; raise :class:`UsageError` if any cannot belong to a run."""
    files = [info for info in members if not info.is_dir()]
    problem = None
    if len(members) > MAX_FILES:
        problem = f"it holds {len(members)} files, and a run has at most {MAX_FILES}"
    elif sum(info.file_size for info in files) > MAX_BYTES:
        problem = f"its content is larger than {MAX_BYTES // 2**30} GiB"
    elif len({info.filename.lower() for info in files}) < len(files):
        problem = "it holds two files of one name"
    elif "manifest.json" not in {info.filename for info in files}:
        problem = "it has no manifest.json"
    for info in files:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if not MEMBER.fullmatch(info.filename) or (kind and kind != stat.S_IFREG) or info.flag_bits & 1:
            problem = problem or f"{info.filename[:100]!r} is not a plain file of a run"
    if problem:
        raise UsageError(f"{path} is not an archive of a run: {problem}; nothing was unpacked")
    return files
