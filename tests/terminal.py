"""The real command in a real pseudo-terminal, and what a person in front of it would see."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.patience import PATIENCE_SECONDS, wait_for
from tests.processes import command, kill

_SEQUENCE = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])")
_UNFINISHED = re.compile(r"\x1b(\[[0-9;?]*)?$")


class Screen:
    """As much of a terminal as programs that redraw lines need: it moves the cursor, erases, wraps and scrolls."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.wrapped = 0
        """How often a line went on in the next one, because it was too long."""
        self._lines: list[list[str]] = [[]]
        """Everything from the start; the last ``rows`` are on the screen."""
        self._row = self._column = 0
        self._rest = ""

    @property
    def lines(self) -> list[str]:
        """All lines from the start, without the blanks at their ends."""
        return ["".join(line).rstrip() for line in self._lines]

    def write(self, text: str) -> None:
        """Take what a program has written."""
        text = self._rest + text
        torn = _UNFINISHED.search(text)
        self._rest = torn.group() if torn else ""
        place, end = 0, len(text) - len(self._rest)
        while place < end:
            sequence = _SEQUENCE.match(text, place, end)
            if sequence:
                self._control(sequence[1], sequence[2])
                place = sequence.end()
            else:
                self._character(text[place])
                place += 1

    def _control(self, argument: str, letter: str) -> None:
        number = int(argument) if argument.isdigit() else None
        top = max(0, len(self._lines) - self.rows)
        if letter == "A":
            self._row = max(top, self._row - (number or 1))
        elif letter == "B":
            self._row = min(len(self._lines) - 1, self._row + (number or 1))
        elif letter == "G":
            self._column = (number or 1) - 1
        elif letter == "K":
            line = self._lines[self._row]
            line[:] = [] if number == 2 else line[: self._column]
        elif letter == "J" and not number:
            self._lines[self._row][self._column :] = []
            for line in self._lines[self._row + 1 :]:
                line.clear()
        else:
            assert letter in "mhl", f"this screen does not know CSI {argument}{letter}"

    def _character(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._down()
        elif character == "\b":
            self._column = max(0, self._column - 1)
        elif character.isprintable():
            if self._column == self.columns:
                self.wrapped += 1
                self._column = 0
                self._down()
            line = self._lines[self._row]
            line.extend(" " * (self._column + 1 - len(line)))
            line[self._column] = character
            self._column += 1

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._lines):
            self._lines.append([])


class Terminal:
    """A command that runs in a terminal."""

    def __init__(self, process: subprocess.Popen[bytes], end: int, columns: int, rows: int) -> None:
        self.process = process
        self.screen = Screen(columns, rows)
        self.written = ""
        """Everything that the command wrote, with its control sequences."""
        self.seen: list[str] = []
        """What the screen showed, after each piece that was written."""
        self._end = end
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        decoded = b""
        while True:
            try:
                data = os.read(self._end, 65536)
            except OSError:  # the last process on the other side has gone
                return
            if not data:
                return
            decoded += data
            text = decoded.decode("utf-8", errors="ignore") if _whole(decoded) else ""
            if text:
                decoded = b""
                self.written += text
                self.screen.write(text)
                self.seen.append(self.text)

    @property
    def lines(self) -> list[str]:
        """All lines that a person can see or scroll back to."""
        return self.screen.lines

    @property
    def text(self) -> str:
        """The same in one text."""
        return "\n".join(self.lines)

    def press(self, key: bytes) -> None:
        """Press a key."""
        os.write(self._end, key)

    def wait_for(self, seen: Callable[[str], object]) -> str:
        """Wait until the screen shows something, and return the screen."""
        wait_for(lambda: seen(self.text) or self.process.poll() is not None)
        text = self.text
        assert seen(text), text
        return text

    def wait(self) -> int:
        """Wait for the command's end, and return its exit code."""
        code = self.process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)
        return code


def _whole(data: bytes) -> bool:
    """Whether the bytes do not end within a character."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.end < len(data) or error.reason != "unexpected end of data"
    return True


@contextmanager
def in_terminal(
    arguments: Iterable[str | Path],
    *,
    columns: int = 80,
    rows: int = 24,
    cwd: Path | None = None,
    **environment: str,
) -> Iterator[Terminal]:
    """``judgebench`` in a terminal of this size, in a process group of its own, which does not outlive the block."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def take_the_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        for number in (signal.SIGINT, signal.SIGHUP):  # a suite that runs in the background ignores them
            signal.signal(number, signal.SIG_DFL)

    size = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
    inherited = {name: value for name, value in os.environ.items() if name not in size}
    process = subprocess.Popen(
        command(arguments),
        cwd=cwd,
        env={**inherited, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=take_the_terminal,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours, columns, rows)
    finally:
        kill(process)
        os.close(ours)
