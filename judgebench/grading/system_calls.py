"""The filter of system calls that a sandboxed program runs under, as bytes for ``bwrap --seccomp``.

Namespaces and limits hold most things. These calls are what they leave open: sockets of families that no namespace
bounds (``AF_VSOCK`` reaches the host of a virtual machine), memory that no limit counts (``memfd_create``, System V),
new namespaces and mounts, other processes' memory, and parts of the kernel that ordinary programs do not need.
"""

import errno
import platform
import struct
from collections.abc import Sequence
from dataclasses import dataclass

SOCKET_FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}
"""Families whose sockets end at the sandbox's own network namespace."""
NEW_NAMESPACES = 0x7E020000
"""The flags of ``clone`` that make namespaces: mount, cgroup, uts, ipc, user, pid, net."""


def _numbers(text: str) -> dict[str, int]:
    """Names and numbers of system calls, by turns."""
    words = text.split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


_DENIED = {
    "x86_64": _numbers(
        "unshare 272  setns 308  mount 165  umount2 166  pivot_root 155  ptrace 101  process_vm_readv 310 "
        "process_vm_writev 311  kcmp 312  bpf 321  perf_event_open 298  userfaultfd 323  add_key 248 "
        "request_key 249  keyctl 250  syslog 103  acct 163  name_to_handle_at 303  open_by_handle_at 304 "
        "kexec_load 246  kexec_file_load 320  init_module 175  finit_module 313  delete_module 176 "
        "swapon 167  swapoff 168  reboot 169  quotactl 179  fanotify_init 300 "
    ),
    "aarch64": _numbers(
        "unshare 97  setns 268  mount 40  umount2 39  pivot_root 41  ptrace 117  process_vm_readv 270 "
        "process_vm_writev 271  kcmp 272  bpf 280  perf_event_open 241  userfaultfd 282  add_key 217 "
        "request_key 218  keyctl 219  syslog 116  acct 89  name_to_handle_at 264  open_by_handle_at 265 "
        "kexec_load 104  kexec_file_load 294  init_module 105  finit_module 273  delete_module 106 "
        "swapon 224  swapoff 225  reboot 142  quotactl 60  fanotify_init 262 "
    ),
}
_DENIED_EVERYWHERE = _numbers(
    "open_tree 428  move_mount 429  fsopen 430  fsconfig 431  fsmount 432  fspick 433 "
    "mount_setattr 442  quotactl_fd 443  pidfd_getfd 438  open_tree_attr 467 "
)
"""Later calls have one number on every architecture."""
_ABSENT = {
    "x86_64": _numbers("memfd_create 319  shmget 29  msgget 68  semget 64 "),
    "aarch64": _numbers("memfd_create 279  shmget 194  msgget 186  semget 190 "),
}
_ABSENT_EVERYWHERE = _numbers("memfd_secret 447  clone3 435  io_uring_setup 425 ")
"""Calls that look as if the kernel lacked them, so that libraries use older ones: the flags of ``clone3`` lie in
memory, where a filter cannot read them."""
_CLONE = {"x86_64": 56, "aarch64": 220}
_SOCKET = {"x86_64": 41, "aarch64": 198}
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_OTHER_ABI = 0x40000000
"""From here on numbers are those of x32 on x86_64; nothing uses them elsewhere."""

_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000


def supported() -> bool:
    """Whether the numbers of this machine's system calls are known."""
    return platform.machine() in _AUDIT


@dataclass(frozen=True)
class _If:
    """Return ``result`` if the loaded word compares so with ``value``."""

    test: int
    value: int
    result: int

    def encoded(self) -> bytes:
        return _instruction(self.test, self.value, 0, 1) + _instruction(_RETURN, self.result)


def _instruction(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)


def _fails(number: int) -> int:
    return _ERRNO | number


def program(machine: str | None = None) -> bytes:
    """The filter for a kind of machine, by default this one; raise ``KeyError`` if its calls are not known."""
    machine = machine or platform.machine()
    denied = [*_DENIED[machine].values(), *_DENIED_EVERYWHERE.values()]
    absent = [*_ABSENT[machine].values(), *_ABSENT_EVERYWHERE.values()]
    tests = [
        _If(_AT_LEAST, _OTHER_ABI, _fails(errno.ENOSYS)),
        *(_If(_EQUAL, number, _fails(errno.EPERM)) for number in denied),
        *(_If(_EQUAL, number, _fails(errno.ENOSYS)) for number in absent),
    ]
    return b"".join(
        [
            _instruction(_LOAD, _ARCHITECTURE),
            _instruction(_EQUAL, _AUDIT[machine], 1, 0),
            _instruction(_RETURN, _KILL),
            _instruction(_LOAD, _NUMBER),
            *(test.encoded() for test in tests),
            _of_call(_CLONE[machine], [_If(_ANY_BIT, NEW_NAMESPACES, _fails(errno.EPERM))], _ALLOW),
            _of_call(
                _SOCKET[machine],
                [_If(_EQUAL, family, _ALLOW) for family in SOCKET_FAMILIES.values()],
                _fails(errno.EAFNOSUPPORT),
            ),
            _instruction(_RETURN, _ALLOW),
        ]
    )


def _of_call(number: int, tests: Sequence[_If], otherwise: int) -> bytes:
    """Tests of the first argument of one call; other calls go on behind them."""
    block = _instruction(_LOAD, _FIRST_ARGUMENT) + b"".join(test.encoded() for test in tests)
    block += _instruction(_RETURN, otherwise)
    return _instruction(_EQUAL, number, 0, len(block) // 8) + block
