"""Checkpoints in the cache: built once, whole or not there, whoever is killed and whoever comes at the same time."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from judgebench.errors import UsageError
from judgebench.models.local import kept as module
from judgebench.models.local.kept import SUMS, kept
from tests.patience import wait_for

ROOT = Path(__file__).parents[3]
BUILDER = """
import sys, time
from pathlib import Path
from judgebench.models.local.kept import kept

target, log, endless = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "endless"


def build(folder):
    with log.open("a") as file:
        file.write("built\\n")
    (folder / "weights").write_text("one, tw" if endless else "one, two")
    while endless:
        time.sleep(1)


print(kept(target, build, what="the model", mib=1))
"""


def started(target: Path, log: Path, how: str = "") -> "subprocess.Popen[str]":
    """A process that wants the folder; ``endless`` if it never completes it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", BUILDER, str(target), str(log), how]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


class Builds:
    """Builds a folder of two files, and counts how often."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self, folder: Path) -> None:
        """Fill the folder."""
        self.number += 1
        (folder / "config.json").write_text("{}")
        (folder / "weights").write_bytes(b"w" * 2**21)


@pytest.fixture
def builds() -> Builds:
    """A builder."""
    return Builds()


def test_a_folder_is_built_once_and_nothing_else_is_left(tmp_path: Path, builds: Builds) -> None:
    """The second call finds it whole; ``sha256sum`` agrees with the sums in it."""
    for _ in range(2):
        assert kept(tmp_path / "cache" / "it", builds, what="the model", mib=3) == tmp_path / "cache" / "it"
    assert builds.number == 1
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["it"]
    if checker := shutil.which("sha256sum"):
        subprocess.run([checker, "--check", "--strict", SUMS], cwd=tmp_path / "cache" / "it", check=True)


def cut(path: Path) -> None:
    """Cut the end off a file."""
    path.write_bytes(path.read_bytes()[:-1])


def changed(path: Path) -> None:
    """Change one byte in the middle, and leave size and date."""
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def added(path: Path) -> None:
    """Put another file beside it."""
    path.with_name("more").write_text("{}")


@pytest.mark.parametrize("damage", [cut, changed, added, Path.unlink])
@pytest.mark.parametrize("name", ["weights", SUMS])
def test_a_folder_that_is_not_as_it_was_built_is_built_anew(
    tmp_path: Path, builds: Builds, name: str, damage: Callable[[Path], None]
) -> None:
    """A file that is cut, changed, gone or new; the weights as well as the sums."""
    it = kept(tmp_path / "it", builds, what="the model", mib=3)
    damage(it / name)
    assert kept(it, builds, what="the model", mib=3) == it
    assert builds.number == 2
    assert module.is_whole(it)
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


def test_a_builder_that_was_killed_leaves_nothing_that_is_taken_as_whole(tmp_path: Path) -> None:
    """``kill -9`` after half of the only file: the next process builds again, and clears away what lies there."""
    target, log = tmp_path / "cache" / "it", tmp_path / "log"
    killed = started(target, log, "endless")
    wait_for(lambda: list(tmp_path.glob("cache/.it.partial/weights")) != [])
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not target.exists()
    following = started(target, log)
    assert following.communicate()[0] == f"{target}\n"
    assert (target / "weights").read_text() == "one, two"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["it"]


def test_of_several_processes_one_builds_and_the_others_wait(tmp_path: Path) -> None:
    """Three that begin together all get the same folder, which was built once."""
    target, log = tmp_path / "cache" / "it", tmp_path / "log"
    racers = [started(target, log) for _ in range(3)]
    assert {racer.communicate()[0] for racer in racers} == {f"{target}\n"}
    assert log.read_text() == "built\n"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["it"]


def test_who_waits_for_a_builder_that_dies_builds(tmp_path: Path) -> None:
    """The lock of a killed process is free."""
    target, log = tmp_path / "cache" / "it", tmp_path / "log"
    dying = started(target, log, "endless")
    wait_for(lambda: log.exists())
    waiting = started(target, log)
    dying.send_signal(signal.SIGKILL)
    dying.communicate()
    assert waiting.communicate()[0] == f"{target}\n"
    assert log.read_text() == "built\nbuilt\n"


def test_threads_of_one_process_share_a_build(tmp_path: Path, builds: Builds) -> None:
    """A candidate and a judge that are opened at once are two of them."""
    threads = [
        threading.Thread(target=kept, args=(tmp_path / "it", builds), kwargs={"what": "the model", "mib": 3})
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert builds.number == 1
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


def test_a_builder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """What it raises is passed on."""

    def fail(folder: Path) -> None:
        (folder / "weights").write_text("half")
        raise ValueError("no such model")

    with pytest.raises(ValueError, match="no such model"):
        kept(tmp_path / "it", fail, what="the model", mib=1)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_full_is_said_before_anything_is_built(tmp_path: Path, builds: Builds) -> None:
    """With what is needed, what is free, and the way out."""
    with pytest.raises(UsageError, match=r"only \d+ MiB are free. It takes \d{12} MiB there.*JUDGEBENCH_CACHE"):
        kept(tmp_path / "it", builds, what="the model", mib=10**11)
    assert builds.number == 0
