"""Long output on a terminal goes through the user's pager."""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys

PAGER = "less"
LESS = "FRX"
"""How ``less`` is run unless the user says otherwise, as by git: quit if it fits, keep colours and the screen."""


def page(text: str) -> None:
    """Print a text, through a pager if stdout is a terminal that it does not fit."""
    command = _pager() if sys.stdout.isatty() else []
    if not command or text.count("\n") < shutil.get_terminal_size().lines:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    sys.stdout.flush()
    # Ctrl-C is for the pager, which decides what it ends.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, env={"LESS": LESS, **os.environ})
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the user has seen enough
            process.stdin.write(text.encode(sys.stdout.encoding or "utf-8", "backslashreplace"))
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()
    finally:
        signal.signal(signal.SIGINT, before)


def keeps_colours() -> bool:
    """Whether what ``page`` prints may have colours: on a terminal, whose pager is not known to show their codes."""
    command = _pager()
    return sys.stdout.isatty() and (not command or os.path.basename(command[0]) == PAGER)


def _pager() -> list[str]:
    """The user's pager, ``less`` by default; empty if there is none, or it would only copy."""
    try:
        command = shlex.split(os.environ.get("PAGER", PAGER))
    except ValueError:
        command = [PAGER]
    usable = command and command[0] != "cat" and os.environ.get("TERM") != "dumb" and shutil.which(command[0])
    return command if usable else []
