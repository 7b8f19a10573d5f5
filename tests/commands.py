"""``judgebench`` as a command, in the test's own process; ``tests/conftest.py`` names this module in its plugins."""

import io
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Ended:
    """A command that ended in this process."""

    code: int
    out: str
    err: str

    @property
    def paragraph(self) -> str:
        """What a refused command says: one paragraph, and nothing on stdout."""
        assert self.code == 2, self.err + self.out
        assert self.err.startswith("judgebench: ")
        assert self.err.count("\n") == 1, self.err
        assert self.out == ""
        return self.err


Command = Callable[..., Ended]


def judgebench(
    arguments: Iterable[object], *, code: int | None = 0, cwd: Path | None = None, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end, which must be ``code`` unless that is None, and without a traceback.

    Its end is what a process would end with: the start of a process of its own costs more than most commands.
    """
    from judgebench.cli import main
    from judgebench.run import progress

    words, out, err = ["judgebench", *map(str, arguments)], io.StringIO(), io.StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", words)
            # Else how much it says would depend on how long it takes.
            patch.setattr(progress, "FIRST_SECONDS", float("inf"))
            for name, value in environment.items():
                patch.setenv(name, value)
            if cwd is not None:
                patch.chdir(cwd)
            with pytest.raises(SystemExit) as ended:
                main()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    found = ended.value.code
    assert isinstance(found, int)
    assert code is None or found == code, f"exit {found}: {err.getvalue()[-2000:]}"
    assert "Traceback" not in err.getvalue()
    return subprocess.CompletedProcess(words, found, out.getvalue(), err.getvalue())


@pytest.fixture
def command() -> Command:
    """Runs ``judgebench`` with these arguments, in this process."""

    def run(*arguments: object) -> Ended:
        ended = judgebench(arguments, code=None)
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return run
