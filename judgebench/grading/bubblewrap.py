"""What bubblewrap is told: the file system, the namespaces, the user and the filter of system calls of a sandbox."""

import ctypes
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from judgebench.grading import system_calls

NEEDED = ("--size", "--disable-userns", "--json-status-fd")
"""Options that came with bubblewrap 0.8 or before."""
FOLDER = "/tmp/work"
"""The program's own folder."""
WRITABLE = ("/tmp", "/dev/shm")
"""The file systems that it can write to, both in memory."""
ALIASES = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SYSTEM = ("/usr", "/nix/store", "/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d")
MADE = {
    "/etc/passwd": "sandbox:x:{user}:{user}::/tmp/work:/bin/sh\n",
    "/etc/group": "sandbox:x:{user}:\n",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
STAGE = "/dev/shm"
"""Where paths lie, in the starting process' own view, that the sandbox's user cannot come to."""
FIRST_USER = 0x70000000
"""Users from here on exist on no machine, and each process of a sandbox started by root has one of its own."""
_NEW_MOUNTS, _BIND, _RECURSIVE, _PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000


@cache
def lacking() -> str | None:
    """What is missing for bubblewrap to be asked at all, in words."""
    if not sys.platform.startswith("linux"):
        return "the sandbox needs Linux"
    if not system_calls.supported():
        return f"the sandbox has no filter of system calls for {os.uname().machine}"
    if (path := shutil.which("bwrap")) is None:
        return "bubblewrap is not installed (bwrap is not on the PATH)"
    told = subprocess.run([path, "--help"], capture_output=True, text=True, check=False)
    missing = [option for option in NEEDED if option not in told.stdout + told.stderr]
    return f"{path} is older than 0.8: it has no {', '.join(missing)}" if missing else None


def memory_file(content: bytes, stack: ExitStack) -> int:
    """A file in memory, to be read from its start."""
    descriptor = os.memfd_create("judgebench")
    stack.callback(os.close, descriptor)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def environment(folder: str = FOLDER) -> dict[str, str]:
    """All variables that a program has. The interpreter is the one that runs this."""
    own = [str(Path(sys.executable).parent)] if sys.executable else []
    path = dict.fromkeys([*own, "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"])
    return {
        "PATH": os.pathsep.join(path),
        "HOME": folder,
        "TMPDIR": folder,
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    }


def user() -> int | None:
    """The user that a sandbox runs as, if this process is root: root's processes have no limit of their number."""
    if os.geteuid() != 0:
        return None
    try:
        spans = [list(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text().splitlines()]
    except OSError:
        spans = []
    wanted = FIRST_USER + os.getpid()
    if any(first <= wanted < first + count for first, _, count in spans):
        return wanted
    return 60_000 + os.getpid() % 5_000


def others() -> int:
    """How many processes of the user count beside those of a sandbox: before Linux 5.14 all of them."""
    release = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
    if os.geteuid() == 0 or release >= (5, 14):
        return 0
    return sum(path.stat().st_uid == os.geteuid() for path in Path("/proc").glob("[0-9]*/task/[0-9]*"))


@dataclass(frozen=True)
class Mount:
    """A path that the sandbox shows at the same place, read-only."""

    path: str
    source: str
    """Where it is taken from."""


def mounts(readable: Sequence[str], user: int | None) -> list[Mount]:
    """The system, this interpreter with its packages, and further paths."""
    packages = (path for path in sys.path if path.endswith(("site-packages", "dist-packages")))
    home = Path.home()
    own = [path for path in (sys.prefix, sys.base_prefix, *packages) if not home.is_relative_to(path)]
    wanted = [*SYSTEM, *(path for path in ALIASES if not os.path.islink(path)), *own, *readable]
    paths = _outermost(os.path.abspath(path) for path in wanted if os.path.exists(path))
    if user is None:
        return [Mount(path, path) for path in paths]
    hidden = [path for path in paths if not _open_to_all(path)]
    return [Mount(path, f"{STAGE}/{hidden.index(path)}" if path in hidden else path) for path in paths]


def _outermost(paths: Any) -> list[str]:
    """Paths that lie in none of the others."""
    found: list[str] = []
    for path in sorted(set(paths)):
        if path != "/" and not any(path.startswith(other + "/") for other in found):
            found.append(path)
    return found


def _open_to_all(path: str) -> bool:
    place = Path(path)
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in place.parents) and bool(
        place.stat().st_mode & stat.S_IROTH
    )


@dataclass(frozen=True)
class Arguments:
    """Bubblewrap's command line, and the open files that it reads."""

    words: list[str]
    descriptors: list[int]


def arguments(mounts: Sequence[Mount], files: Mapping[str, bytes], disk_bytes: int, stack: ExitStack) -> Arguments:
    """Everything but the program."""
    words = [
        *("bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session"),
        *("--hostname", "sandbox", "--clearenv"),
    ]
    words[0] = shutil.which("bwrap") or "bwrap"
    descriptors: list[int] = []

    def given(content: bytes) -> str:
        descriptors.append(memory_file(content, stack))
        return str(descriptors[-1])

    for name, value in environment().items():
        words += ["--setenv", name, value]
    words += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
    words += ["--size", str(disk_bytes), "--tmpfs", "/dev/shm", "--size", str(disk_bytes), "--tmpfs", "/tmp"]
    for alias in filter(os.path.islink, ALIASES):
        words += ["--symlink", os.readlink(alias), alias]
    for mount in mounts:
        words += ["--ro-bind", mount.source, mount.path]
    for path, text in MADE.items():
        words += ["--perms", "0444", "--ro-bind-data", given(text.format(user=os.geteuid()).encode()), path]
    words += ["--dir", FOLDER, "--chdir", FOLDER]
    for name, content in files.items():
        words += ["--file", given(content), f"{FOLDER}/{name}"]
    words += ["--remount-ro", "/", "--seccomp", given(system_calls.program())]
    return Arguments(words, descriptors)


def identity(user: int | None, mounts: Sequence[Mount]) -> dict[str, Any]:
    """How ``Popen`` becomes the sandbox's user."""
    if user is None:
        return {}
    hidden = [mount for mount in mounts if mount.source != mount.path]
    if not hidden:
        return {"user": user, "group": user, "extra_groups": []}
    return {"preexec_fn": _staged(hidden, user)}


def _staged(hidden: Sequence[Mount], user: int) -> Callable[[], None]:
    """Show paths that the user cannot come to at another place, in the new process' view of the files alone."""
    libc = ctypes.CDLL(None, use_errno=True)
    folders = [os.path.isdir(mount.path) for mount in hidden]

    def require(result: int) -> None:
        if result != 0:
            raise OSError(ctypes.get_errno(), "mount")

    def prepare() -> None:
        require(libc.unshare(_NEW_MOUNTS))
        require(libc.mount(None, b"/", None, _RECURSIVE | _PRIVATE, None))
        require(libc.mount(b"tmpfs", STAGE.encode(), b"tmpfs", 0, b"mode=755"))
        for mount, folder in zip(hidden, folders, strict=True):
            os.mkdir(mount.source) if folder else os.close(os.open(mount.source, os.O_CREAT))
            require(libc.mount(mount.path.encode(), mount.source.encode(), None, _BIND | _RECURSIVE, None))
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)

    return prepare
