"""A run as one file: the same bytes for the same run, and nothing that a run does not hold is taken out of one."""

import io
import shutil
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from judgebench.codec import write_json
from judgebench.errors import UsageError
from judgebench.exchange.exporting import export_run
from judgebench.exchange.importing import import_run
from judgebench.run import archive
from judgebench.run.archive import is_archive, open_archive, unpack_archive, write_archive
from judgebench.run.folder import RunFolder
from judgebench.run.scoring import score_run
from judgebench.run.settings import Settings

FIXTURE = Path(__file__).parents[1] / "fixtures" / "lm_eval"


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run of six verified answers."""
    import_run(FIXTURE, "lm_eval", Settings(tasks="gsm8k", starter=True, out=tmp_path / "runs" / "mine"))
    return RunFolder(tmp_path / "runs" / "mine")


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but the results, which say where they lie."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name != "results.json"}


def members(path: Path, change: Callable[[zipfile.ZipFile], None]) -> Path:
    """A copy of a good archive with something added."""
    bad = path.with_name("bad.zip")
    shutil.copy(path, bad)
    with zipfile.ZipFile(bad, "a") as zipped:
        change(zipped)
    return bad


def test_equal_runs_give_equal_bytes(run: RunFolder, tmp_path: Path) -> None:
    """Whenever and wherever: a copy of the run elsewhere, with other times, is the same archive."""
    write_archive(run.path, tmp_path / "one.zip")
    unpack_archive(tmp_path / "one.zip", tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "manifest.json").touch()
    write_archive(tmp_path / "elsewhere", tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_what_comes_out_is_what_went_in(run: RunFolder, tmp_path: Path) -> None:
    """Byte by byte; the results name their new place, and the run can be scored again."""
    (made,) = export_run(run, "archive", tmp_path / "run.zip")
    results = import_run(made, "archive", Settings(tasks="", out=tmp_path / "again"))[0]
    assert content(tmp_path / "again") == content(run.path)
    assert results.run == str(tmp_path / "again")
    assert results.scores == run.results().scores
    assert score_run(RunFolder(tmp_path / "again"), Settings(tasks="")).scores == results.scores


def test_an_archive_is_unpacked_once(run: RunFolder, tmp_path: Path) -> None:
    """Into the user's cache, by its content."""
    write_archive(run.path, tmp_path / "run.zip")
    assert is_archive(tmp_path / "run.zip")
    assert not is_archive(run.path)
    place = open_archive(tmp_path / "run.zip")
    before = (place / "manifest.json").stat().st_mtime_ns
    shutil.copy(tmp_path / "run.zip", tmp_path / "copy.zip")
    assert open_archive(tmp_path / "copy.zip") == place
    assert (place / "manifest.json").stat().st_mtime_ns == before
    assert RunFolder(place).results().scores == run.results().scores


def test_foreign_files_and_links_stay_out(run: RunFolder, tmp_path: Path) -> None:
    """A key that somebody left beside the run, a half-written file and a link are no part of it."""
    (run.path / "api.key").write_text("secret")
    (run.path / "manifest.json.partial").write_text("{")
    (tmp_path / "outside.json").write_text("{}")
    (run.path / "link.json").symlink_to(tmp_path / "outside.json")
    write_archive(run.path, tmp_path / "run.zip")
    with zipfile.ZipFile(tmp_path / "run.zip") as zipped:
        names = zipped.namelist()
    assert "manifest.json" in names
    assert not {"api.key", "link.json", "manifest.json.partial"} & set(names)


HOSTILE_NAMES = (
    "../outside.json",
    "/tmp/outside.json",
    "a/../../outside.json",
    "..\\outside.json",
    "C:/outside.json",
    "a/b/c.json",
    ".hidden.json",
    "run.sh",
    "gsm8k/\x1b[31m.json",
    "gsm8k/" + "a" * 300 + ".json",
)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_that_no_run_has_is_refused(name: str, run: RunFolder, tmp_path: Path) -> None:
    """Before anything is written, and the message shows it."""
    write_archive(run.path, tmp_path / "run.zip")
    bad = members(tmp_path / "run.zip", lambda zipped: zipped.writestr(name, "{}"))
    with pytest.raises(UsageError, match="is not a plain file of a run"):
        unpack_archive(bad, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "outside.json").exists()


def test_links_are_refused(run: RunFolder, tmp_path: Path) -> None:
    """A member whose mode says that it is one."""
    write_archive(run.path, tmp_path / "run.zip")
    link = zipfile.ZipInfo("link.json")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    bad = members(tmp_path / "run.zip", lambda zipped: zipped.writestr(link, "/etc/passwd"))
    with pytest.raises(UsageError, match=r"'link\.json' is not a plain file"):
        unpack_archive(bad, tmp_path / "out")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_is_refused(run: RunFolder, tmp_path: Path) -> None:
    """On a file system that folds case, too."""
    write_archive(run.path, tmp_path / "run.zip")
    for name in ("manifest.json", "MANIFEST.json"):
        bad = members(tmp_path / "run.zip", lambda zipped, name=name: zipped.writestr(name, "{}"))  # type: ignore[misc]
        with pytest.raises(UsageError, match="two files of one name"):
            unpack_archive(bad, tmp_path / "out")


def test_a_bomb_is_refused(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says its size by that, one that lies about it while it is read; nothing is left."""
    monkeypatch.setattr(archive, "MAX_BYTES", 2 * 2**20)
    write_archive(run.path, tmp_path / "run.zip")
    bad = members(
        tmp_path / "run.zip",
        lambda zipped: zipped.writestr("bomb.json", b"0" * 3 * 2**20, zipfile.ZIP_DEFLATED),
    )
    with pytest.raises(UsageError, match="is larger than"):
        unpack_archive(bad, tmp_path / "out")
    data = bytearray(bad.read_bytes())
    size = struct.pack("<L", 3 * 2**20)
    assert data.count(size) >= 1
    bad.write_bytes(bytes(data).replace(size, struct.pack("<L", 1000)))
    with pytest.raises(UsageError):
        unpack_archive(bad, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


def test_too_many_files_are_refused(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small they are."""
    monkeypatch.setattr(archive, "MAX_FILES", 3)
    write_archive(run.path, tmp_path / "run.zip")
    with pytest.raises(UsageError, match="a run has at most 3"):
        unpack_archive(tmp_path / "run.zip", tmp_path / "out")


def test_a_damaged_archive_is_refused(run: RunFolder, tmp_path: Path) -> None:
    """Cut off, changed within, no zip at all, empty, encrypted flag set: one paragraph each, nothing left."""
    write_archive(run.path, tmp_path / "run.zip")
    good = (tmp_path / "run.zip").read_bytes()
    damaged = bytearray(good)
    damaged[200:260] = bytes(60)
    encrypted = bytearray(good)
    for mark, place in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        encrypted[encrypted.index(mark) + place] |= 1
    nothing = io.BytesIO()
    zipfile.ZipFile(nothing, "w").close()
    for number, data in enumerate(
        (good[:-200], bytes(damaged), b"not a zip", b"", bytes(encrypted), nothing.getvalue())
    ):
        path = tmp_path / f"bad{number}.zip"
        path.write_bytes(data)
        with pytest.raises(UsageError) as caught:
            unpack_archive(path, tmp_path / "out")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()
        with pytest.raises(UsageError):
            open_archive(path)


def test_an_archive_of_something_else_is_refused(run: RunFolder, tmp_path: Path) -> None:
    """A manifest that is none leaves nothing behind."""
    write_archive(run.path, tmp_path / "run.zip")
    write_json(run.path / "manifest.json", {"version": 1})
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as zipped:
        zipped.write(run.path / "manifest.json", "manifest.json")
    with pytest.raises(UsageError, match="is not a manifest"):
        unpack_archive(tmp_path / "other.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten(run: RunFolder, tmp_path: Path) -> None:
    """Neither a file by an export nor a folder by an import."""
    write_archive(run.path, tmp_path / "run.zip")
    with pytest.raises(UsageError, match="exists already"):
        write_archive(run.path, tmp_path / "run.zip")
    with pytest.raises(UsageError, match="exists already"):
        unpack_archive(tmp_path / "run.zip", run.path)
    with pytest.raises(UsageError, match=r"ends with \.zip"):
        write_archive(run.path, tmp_path / "run.tar")
