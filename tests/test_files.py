"""Files that anybody may have made: what is no file is told at once, and nothing is read beyond a limit."""

import gzip
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from judgebench.errors import UsageError
from judgebench.files import as_utf8, chunks, deeper_than, irregular, opened, read_bytes, read_text, read_toml


def a_fifo(path: Path) -> None:
    """Nobody will ever write into it."""
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    """With nobody behind it."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def a_device(path: Path) -> None:
    """It never ends."""
    path.symlink_to("/dev/zero")


NO_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a FIFO": (a_fifo, "it is a FIFO"),
    "a socket": (a_socket, "it is a socket"),
    "a device": (a_device, "it is a device"),
    "a folder": (Path.mkdir, "it is a folder"),
    "a loop": (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    "nothing": (lambda path: None, "there is no such file"),
    "a link to nothing": (lambda path: path.symlink_to(path.with_name("gone")), "there is no such file"),
}


@pytest.fixture(params=NO_FILES)
def no_file(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    """Something that is no file, and what is said of it."""
    make, said = NO_FILES[request.param]
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    make(Path("x.json"))
    return Path("x.json"), said


def test_what_is_no_file_is_told_at_once(no_file: tuple[Path, str]) -> None:
    """Neither a FIFO's writer nor a device's end is waited for."""
    path, said = no_file
    for read in (opened, lambda path: read_bytes(path, 10), read_text, lambda path: list(chunks(path))):
        with pytest.raises(OSError, match=said):
            read(path)
    with pytest.raises(UsageError, match=rf"--config x\.json cannot be read: .*{said}"):
        read_toml(path, "--config")


def test_a_name_that_cannot_be_is_an_error_like_any_other() -> None:
    """A configuration file can hold a null character, and no path can."""
    for name in ("a\0b", "x" * 5000):
        with pytest.raises(OSError, match=r"no file can be called|File name too long"):
            opened(Path(name))
        assert irregular(Path(name)) is None


def test_irregular_things_have_names(no_file: tuple[Path, str]) -> None:
    """Folders, files and what is not there are not irregular."""
    path, said = no_file
    kind = said.removeprefix("it is ")
    assert irregular(path) == (kind if kind in ("a FIFO", "a socket", "a device") else None)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_nothing_is_read_beyond_the_limit(tmp_path: Path, suffix: str) -> None:
    """The limit is on what a file unfolds to; a sparse file of a terabyte costs as little as a gzip bomb."""
    path = tmp_path / f"x{suffix}"
    if suffix:
        path.write_bytes(gzip.compress(bytes(10**6), 9) * 1000)
    else:
        with path.open("wb") as file:
            file.truncate(2**40)
    with pytest.raises(OSError, match="it holds more than 3 MiB"):
        read_bytes(path, 3 * 2**20)
    path.write_bytes(gzip.compress(b"x" * 100) if suffix else b"x" * 100)
    assert read_bytes(path, 100) == b"x" * 100


@pytest.mark.parametrize(
    "data", [b"no gzip", gzip.compress(b"x" * 100, mtime=0)[:-9], b"\x1f\x8b\x08", gzip.compress(b"x", mtime=0)[:-8]]
)
def test_a_torn_archive_is_an_error_like_any_other(tmp_path: Path, data: bytes) -> None:
    """Whatever the library calls it."""
    (tmp_path / "x.gz").write_bytes(data)
    with pytest.raises(OSError, match=r"gzip"):
        read_bytes(tmp_path / "x.gz", 1000)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_text_may_name_its_encoding(tmp_path: Path, encoding: str) -> None:
    """And its lines may end as on any system."""
    (tmp_path / "x").write_bytes("ä\r\nb\rc\n".encode(encoding))
    assert read_text(tmp_path / "x") == "ä\nb\nc\n"


@pytest.mark.parametrize("data", [b"\xe4", b"\xff\xfea", "ä".encode("latin-1")])
def test_what_is_no_text_is_told(tmp_path: Path, data: bytes) -> None:
    """An encoding that is not named is not guessed."""
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(OSError, match="it is no text in UTF-8, nor in UTF-16"):
        read_text(tmp_path / "x")


def test_the_mark_of_utf_32_is_not_taken_for_that_of_utf_16() -> None:
    """It begins with it."""
    assert as_utf8("a".encode("utf-32-le").join([b"\xff\xfe\0\0", b""])) == b"a"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = " + "[" * 20_000 + "]" * 20_000, "it is nested too deeply"),
        ("a = " + "{b=" * 20_000 + "1" + "}" * 20_000, "it is nested too deeply"),
        (".".join("a" * 20_000) + " = 1", "it is nested more than 64 levels deep"),
        ("[" + ".".join("a" * 100) + "]\nb = 1", "it is nested more than 64 levels deep"),
        ("a = " + "9" * 5000, "is not TOML: Exceeds the limit"),
        ("a = ", "is not TOML: Invalid value"),
        ("a = 2020-13-45", "is not TOML"),
        ("a = \0", "is not TOML"),
        ("#" * (2**20 + 1), "cannot be read: it holds more than 1 MiB"),
    ],
    ids=["lists", "tables", "dotted keys", "a dotted table", "digits", "torn", "no date", "null", "large"],
)  # fmt: skip
def test_a_toml_file_that_cannot_be_used_is_told_in_one_paragraph(tmp_path: Path, text: str, says: str) -> None:
    """Whatever the parser raises of it."""
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(UsageError) as raised:
        read_toml(tmp_path / "x.toml", "the policy")
    assert f"the policy {tmp_path / 'x.toml'}" in str(raised.value)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_depth_is_counted_in_lists_and_tables() -> None:
    """A text has none."""
    assert not deeper_than(2, {"a": [1, "[[["]})
    assert not deeper_than(2, [[], {}, [1]])
    assert deeper_than(2, [[{}]])
