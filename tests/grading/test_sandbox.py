"""What a program in the sandbox can do, and what it cannot."""

import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from judgebench.grading import sandbox
from judgebench.grading.sandbox import Limits, Outcome, Program, run
from tests.hostile_programs import HOSTILE, PREAMBLE
from tests.patience import wait_for
from tests.sandboxes import needs_sandbox

pytestmark = needs_sandbox


def ran(code: str, *, sandboxed: bool = True, stdin: bytes = b"", name: str = "program.py", **limits: float) -> Outcome:
    """Run a Python program."""
    program = Program(command=("python3", name), files={name: code.encode()}, stdin=stdin)
    return run(program, Limits(**limits), sandboxed=sandboxed)  # type: ignore[arg-type]


@pytest.mark.parametrize("sandboxed", [True, False])
def test_a_program_runs(sandboxed: bool) -> None:
    """It has its files, its input and both outputs, and its exit status is kept."""
    code = "import sys; print(open('program.py').read()[:6], input()); print('bad', file=sys.stderr); sys.exit(3)"
    outcome = ran(code, sandboxed=sandboxed, stdin=b"a line\n")
    assert (outcome.exit_status, outcome.ended, outcome.failure) == (3, None, None)
    assert (outcome.stdout, outcome.stderr) == (b"import a line\n", b"bad\n")


@pytest.mark.parametrize("sandboxed", [True, False])
@pytest.mark.parametrize(
    ("code", "ended"),
    [
        ("while True: pass", "over time"),
        ("import time; time.sleep(60)", "over time"),
        ("found = []\nwhile True: found.append(bytearray(b'x') * 2**24)", "over memory"),
        ("while True: print('x' * 1000)", "over output"),
    ],
)
def test_limits(code: str, ended: str, sandboxed: bool) -> None:
    """A program that goes over one is ended, and the outcome says which."""
    outcome = ran(code, sandboxed=sandboxed, seconds=1, memory_bytes=64 * 2**20)
    assert (outcome.exit_status, outcome.ended) == (None, ended)


def test_many_files_are_too_much() -> None:
    """Empty files take memory, too."""
    assert ran("for n in range(10**6): open(str(n), 'w').close()", seconds=30).ended == "over files"


def test_a_signal_is_an_exit_status() -> None:
    """As in a shell."""
    assert ran("import os; os.kill(os.getpid(), 11)").exit_status == 128 + signal.SIGSEGV


def test_a_command_that_is_not_there() -> None:
    """A shell's exit status, and what it says."""
    outcome = run(Program(command=("no-such-command",)), Limits())
    assert outcome.exit_status == 127
    assert b"no-such-command" in outcome.stderr


def test_what_it_sees() -> None:
    """The system's folders, this interpreter, its own folder, and nothing else; its processes are all there are."""
    code = """
import os, sys
print(sorted(os.listdir("/")))
print([name for name in os.listdir("/proc") if name.isdigit()])
print(sorted(os.environ))
print(os.getcwd(), os.listdir("."))
print(os.getuid() == 0, sys.version_info[:3])
"""
    lines = ran(code).stdout.decode().splitlines()
    assert set(eval(lines[0])) <= {
        *("bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "nix", "proc", "sbin", "tmp", "usr"),
        *(Path(path).parts[1] for path in (sys.prefix, sys.base_prefix, *sys.path) if path.startswith("/")),
    }
    assert eval(lines[1]) == ["1", "2"]
    assert (
        {"HOME", "PATH", "LANG"}
        <= set(eval(lines[2]))
        <= {
            *("HOME", "PATH", "LANG", "PWD", "TMPDIR", "PYTHONHASHSEED", "PYTHONDONTWRITEBYTECODE"),
            *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LC_CTYPE"),
        }
    )
    assert lines[3] == "/tmp/work ['program.py']"
    assert lines[4] == f"False {sys.version_info[:3]}"


def test_a_folder_may_be_shown(tmp_path: Path) -> None:
    """Read-only, at its own place; without that it is not there."""
    tmp_path.chmod(0o755)
    (tmp_path / "table").write_text("42")
    code = f"print(open({str(tmp_path / 'table')!r}).read()); open({str(tmp_path / 'new')!r}, 'w')"
    program = Program(command=("python3", "p.py"), files={"p.py": code.encode()}, readable=(str(tmp_path),))
    outcome = run(program, Limits())
    assert outcome.stdout == b"42\n"
    assert b"Read-only" in outcome.stderr
    assert b"No such file" in ran(code).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["table"]


class Machine:
    """What hostile programs may find on this machine, and whether they did."""

    def __init__(self, folder: Path) -> None:
        self.file = f"program_{secrets.token_hex(8)}.py"
        """The name of the programs that look at it."""
        self.outside, home = folder / "outside", folder / "home"
        self.outside.mkdir(parents=True)
        home.mkdir()
        self.secret = home / "secret"
        self.secret.write_text("CANARY")
        self.abstract = f"judgebench-{secrets.token_hex(8)}"
        self.connections: list[str] = []
        self.victim = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        self._servers = [self._server(socket.AF_INET, ("127.0.0.1", 0))]
        self.port = self._servers[0].getsockname()[1]
        self._servers.append(self._server(socket.AF_UNIX, "\0" + self.abstract))
        self.socket = str(folder / "s")
        self._servers.append(self._server(socket.AF_UNIX, self.socket))

    def _server(self, family: int, address: object) -> socket.socket:
        server = socket.socket(family)
        server.bind(address)
        server.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                self.connections.append(repr(address))
                connection.close()

        threading.Thread(target=serve, daemon=True).start()
        return server

    def close(self) -> None:
        """Take all of it away."""
        for server in self._servers:
            server.shutdown(socket.SHUT_RDWR)
            server.close()
        self.victim.kill()
        self.victim.wait()

    def program(self, code: str) -> str:
        """A hostile program that knows of it."""
        known = {
            "SECRET": str(self.secret),
            "OUTSIDE": str(self.outside),
            "PORT": self.port,
            "ABSTRACT": self.abstract,
            "SOCKET": self.socket,
            "VICTIM": self.victim.pid,
        }
        return PREAMBLE + "".join(f"{name} = {value!r}\n" for name, value in known.items()) + code + "\nsys.exit(1)\n"

    def require_untouched(self) -> None:
        """Nobody wrote, connected, or ended anything, and none of the programs still runs."""
        assert list(self.outside.iterdir()) == []
        assert self.connections == []
        assert self.victim.poll() is None
        status = Path(f"/proc/{self.victim.pid}/status").read_text()
        assert re.search(r"^State:\s+[RSD] ", status, re.MULTILINE), status
        assert re.search(r"^TracerPid:\s+0$", status, re.MULTILINE), status
        assert left_behind(self.file) == []


def left_behind(word: str) -> list[str]:
    """Processes whose command has the word."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if word.encode() in words:
            found.append(f"{folder.name} {words!r}")
    return found


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A machine with things to find."""
    monkeypatch.setenv("CANARY_KEY", "CANARY")
    made = Machine(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_programs_do_not_escape(name: str, machine: Machine) -> None:
    """Whatever it tries, it ends, nothing outside has changed, and it has found nothing."""
    limits = {"seconds": 1.0, "memory_bytes": 256 * 2**20, "processes": 24, "disk_bytes": 32 * 2**20}
    outcome = ran(machine.program(HOSTILE[name]), name=machine.file, **limits)
    assert outcome.failure is None
    assert b"ESCAPED" not in outcome.stdout, outcome.stdout.decode(errors="replace")[:2000]
    machine.require_untouched()


def test_there_are_forty_of_them() -> None:
    """And more."""
    assert len(HOSTILE) >= 40


def test_they_would_succeed_outside(machine: Machine) -> None:
    """The programs are real: without the sandbox those that only look and write do what they try."""
    for name in ("write outside", "read the home", "connect to a server of this machine", "abstract sockets"):
        assert b"ESCAPED" in ran(machine.program(HOSTILE[name]), sandboxed=False).stdout, name
    assert len(machine.connections) == 2
    assert len(list(machine.outside.iterdir())) == 1


def test_no_secret_is_needed_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the sandbox, too, a program has no variable of ours."""
    monkeypatch.setenv("SOME_API_KEY", "CANARY")
    assert b"CANARY" not in ran("import os; print(os.environ)", sandboxed=False).stdout


def test_it_dies_with_us() -> None:
    """``kill -9`` of the process that started it ends a program and what it started."""
    long = f"6{secrets.randbelow(10**8):08}"
    code = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parents[2])]!r}
from judgebench.grading.sandbox import Limits, Program, run
run(Program(command=("sh", "-c", "sleep {long} & sleep {long}")), Limits(seconds=600))
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    wait_for(lambda: len([line for line in left_behind(long) if "'sleep" in line]) == 2)
    process.kill()
    process.wait()
    wait_for(lambda: not left_behind(long))


def test_why_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without bubblewrap, in words."""
    monkeypatch.setenv("PATH", "/nowhere")
    sandbox.why_not.cache_clear()
    sandbox.bubblewrap.lacking.cache_clear()
    try:
        assert "bubblewrap is not installed" in (sandbox.why_not() or "")
    finally:
        sandbox.why_not.cache_clear()
        sandbox.bubblewrap.lacking.cache_clear()
