"""A run as one file: a zip of what a run folder holds, the same bytes for the same run, wherever it lies.

An archive may be anybody's: only plain files of a run's own names are taken out of it, and no more than the limits.
"""

import hashlib
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
from judgebench.files import opened
from judgebench.models.call_store import default_cache_dir
from judgebench.run.folder import Results, RunFolder

SUFFIX = ".zip"
MAX_BYTES = 4 * 2**30
"""Of an archive's content, taken together."""
MAX_FILES = 1000
"""In one archive: a run has about six for each task."""
CHUNK_BYTES = 2**20
_BROKEN = (NotImplementedError, RuntimeError, ValueError, OverflowError)
"""What ``zipfile`` raises besides for an archive that is none."""
MEMBER = re.compile(r"(?:\w[\w.-]{0,99}/)?\w[\w.-]{0,99}\.jsonl?", re.ASCII)
"""Names of a run's files: one folder deep at most, so none leads out of it."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first time that a zip can tell: an archive does not say when it was made."""


def is_archive(path: Path) -> bool:
    """Whether a path is to be read as an archive."""
    return path.suffix == SUFFIX and path.is_file()


def write_archive(run: Path, path: Path) -> None:
    """Write a run folder as one file, atomically; equal runs give equal bytes.

    Raises :class:`UsageError` if ``run`` is no run folder, is not scored yet, or ``path`` exists or is not a ``.zip``.
    """
    if path.suffix != SUFFIX:
        raise UsageError(f"an archive is called *{SUFFIX}, and {path} is not; name a file such as run{SUFFIX}")
    if path.exists():
        raise UsageError(f"{path} exists already; an export overwrites nothing")
    folder = RunFolder(run)
    manifest, results = folder.require_manifest(), folder.results()
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as whole, zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, file in _files(run):
            info = zipfile.ZipInfo(name, EPOCH)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, (stat.S_IFREG | 0o644) << 16
            info.create_system = 3
            if name == "results.json":
                # Where the run lay is no part of it.
                results.run = manifest.run_id
                archive.writestr(info, msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n")
                continue
            with file.open("rb") as source, archive.open(info, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target, CHUNK_BYTES)


def _files(run: Path) -> Iterator[tuple[str, Path]]:
    """The files of a run folder by name, in order; what is half written, foreign or a link is none of them."""
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run).as_posix()
        if path.is_file() and not path.is_symlink() and MEMBER.fullmatch(name):
            yield name, path


def open_archive(path: Path) -> Path:
    """The run folder of an archive, unpacked in the user cache: once for each content.

    Raises :class:`UsageError` for a file that is no archive of a run, is damaged, or holds what no run holds.
    """
    try:
        with opened(path) as file:
            digest = hashlib.file_digest(file, "sha256")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    place = default_cache_dir() / "archives" / digest.hexdigest()
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        unpack_archive(path, place)
    return place


def unpack_archive(path: Path, out: Path) -> None:
    """Make a run folder of an archive; ``out`` appears whole or not at all, and must not be there."""
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
                    # Sizes are counted, not believed.
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
    """The files of an archive, if all of them may be a run's."""
    files = [info for info in members if not info.is_dir()]
    problem = None
    if len(members) > MAX_FILES:
        problem = f"it holds {len(members)} files, and a run has at most {MAX_FILES}"
    elif sum(info.file_size for info in files) > MAX_BYTES:
        problem = f"its content is larger than {MAX_BYTES // 2**30} GiB"
    elif len({info.filename.lower() for info in files}) < len(files):
        problem = "a name stands in it twice"
    elif "manifest.json" not in {info.filename for info in files}:
        problem = "it has no manifest.json"
    for info in files:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if not MEMBER.fullmatch(info.filename) or (kind and kind != stat.S_IFREG) or info.flag_bits & 1:
            problem = problem or f"{info.filename[:100]!r} is not a plain file of a run"
    if problem:
        raise UsageError(f"{path} is not an archive of a run: {problem}; nothing was unpacked")
    return files
