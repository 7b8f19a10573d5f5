"""``judgebench`` as a command, in the test's own process; ``tests/conftest.py`` names this module in its plugins."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

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


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs ``judgebench`` with these arguments, in this process."""
    from judgebench.cli import main

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["judgebench", *map(str, arguments)])
            with pytest.raises(SystemExit) as ended:
                main()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, *capsys.readouterr())

    return run
