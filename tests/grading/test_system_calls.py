"""The filter of system calls, run by the rules of the kernel's machine for such filters."""

import errno
import re
import struct
from pathlib import Path

import pytest

from judgebench.grading import system_calls

ALLOWED, KILLED = "allowed", "killed"
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def answer(machine: str, number: int, first: int = 0, architecture: int | None = None) -> str:
    """What the filter says to one call."""
    code = system_calls.program(machine)
    steps = [struct.unpack_from("=HBBI", code, place) for place in range(0, len(code), 8)]
    audit = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[machine] if architecture is None else architecture
    call = struct.pack("=IIQQQQQQQ", number, audit, 0, first, 0, 0, 0, 0, 0)
    word = place = 0
    while True:
        kind, then, otherwise, value = steps[place]
        place += 1
        if kind == 0x20:
            (word,) = struct.unpack_from("=I", call, value)
        elif kind == 0x06:
            known = {0x7FFF0000: ALLOWED, 0x80000000: KILLED}
            return known.get(value) or errno.errorcode[value & 0xFFFF]
        else:
            held = {0x15: word == value, 0x35: word >= value, 0x45: bool(word & value)}[kind]
            place += then if held else otherwise


@pytest.mark.parametrize(
    ("machine", "number", "first", "said"),
    [
        ("x86_64", 0, 0, ALLOWED),  # read
        ("x86_64", 59, 0, ALLOWED),  # execve
        ("x86_64", 165, 0, "EPERM"),  # mount
        ("x86_64", 41, 40, "EAFNOSUPPORT"),  # socket(AF_VSOCK)
        ("x86_64", 41, 1, ALLOWED),  # socket(AF_UNIX)
        ("x86_64", 41, 2, ALLOWED),  # socket(AF_INET)
        ("x86_64", 41, 17, "EAFNOSUPPORT"),  # socket(AF_PACKET)
        ("x86_64", 56, 17, ALLOWED),  # clone(SIGCHLD)
        ("x86_64", 56, 0x3D0F00, ALLOWED),  # clone of a thread
        ("x86_64", 56, 0x10000011, "EPERM"),  # clone(CLONE_NEWUSER | SIGCHLD)
        ("x86_64", 435, 0, "ENOSYS"),  # clone3
        ("x86_64", 0x40000000 + 41, 40, "ENOSYS"),  # x32
        ("aarch64", 63, 0, ALLOWED),  # read
        ("aarch64", 40, 0, "EPERM"),  # mount
        ("aarch64", 198, 40, "EAFNOSUPPORT"),
        ("aarch64", 198, 2, ALLOWED),
        ("aarch64", 220, 0x20000011, "EPERM"),  # clone(CLONE_NEWPID | SIGCHLD)
        ("aarch64", 279, 0, "ENOSYS"),  # memfd_create
    ],
)
def test_what_it_says(machine: str, number: int, first: int, said: str) -> None:
    """By the number of the call and its first argument."""
    assert answer(machine, number, first) == said


def test_calls_of_another_architecture_end_the_program() -> None:
    """Their numbers mean other calls."""
    assert answer("x86_64", 165, architecture=0x40000003) == KILLED


@pytest.mark.parametrize("machine", HEADERS)
def test_the_numbers_are_the_kernels(machine: str) -> None:
    """As its header has them, for all calls that it knows."""
    if not HEADERS[machine].exists():
        pytest.skip(f"needs the kernel's header {HEADERS[machine].name}; `apt-get install linux-libc-dev`")
    known = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[machine].read_text()))
    ours = {
        **system_calls._DENIED[machine],
        **system_calls._DENIED_EVERYWHERE,
        **system_calls._ABSENT[machine],
        **system_calls._ABSENT_EVERYWHERE,
        "clone": system_calls._CLONE[machine],
        "socket": system_calls._SOCKET[machine],
    }
    assert {name: int(known[name]) for name in ours if name in known} == {
        name: number for name, number in ours.items() if name in known
    }
    assert len([name for name in ours if name in known]) > 40
