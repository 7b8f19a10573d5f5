"""The command line. Only typer is imported here; each command imports what it needs when it runs."""

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from typer.exceptions import TyperException

from judgebench.cli import (
    cache,
    compare,
    correlate,
    data,
    doctor,
    explain,
    exporting,
    gate,
    importing,
    leaderboard,
    options,
    plan,
    run,
    scoring,
    tasks,
)

if TYPE_CHECKING:
    from types import FrameType

BROKEN_PIPE = 141
"""As a shell tells of a program that wrote to nobody."""


def _normalise(token: str) -> str:
    """Underscores do for dashes, as in other harnesses."""
    return token.replace("_", "-")


app = typer.Typer(
    name="judgebench",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"token_normalize_func": _normalise, "help_option_names": ["-h", "--help"]},
)


@app.callback()
def _every_command(verbose: options.Verbose = False) -> None:
    """Evaluate language models: generate answers, have them judged or verified, get numbers a paper can print."""


app.command("eval")(run.evaluate)
app.command("generate")(run.generate)
app.command("judge")(run.judge)
app.command("score")(scoring.score)
app.command("import")(importing.import_)
app.command("export")(exporting.export)
app.command("leaderboard")(leaderboard.leaderboard)
app.command("compare")(compare.compare)
app.command("gate")(gate.gate)
app.command("explain")(explain.explain)
app.command("plan")(plan.plan)
app.command("correlate")(correlate.correlate)
app.add_typer(tasks.app, name="tasks")
app.add_typer(data.app, name="data")
app.command("doctor")(doctor.doctor)
app.add_typer(cache.app, name="cache")


def main() -> None:
    """Run the command line and exit with its code: errors are one paragraph on stderr, without a traceback."""
    _prepare_streams()
    code = _run()
    try:
        sys.stdout.flush()
    except OSError as error:
        _discard_output()
        if isinstance(error, BrokenPipeError):
            code = code or BROKEN_PIPE
        else:
            _complain(f"the output could not be written: {error}")
            code = code or 2
    sys.exit(code)


def _run() -> int:
    """Run the command; what it ends with. Exit 1 is the gate's FAIL, and whatever else goes wrong ends otherwise."""
    from judgebench.errors import JudgebenchError, Terminated

    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = app(standalone_mode=False)
    except JudgebenchError as error:
        _complain(str(error))
        return error.exit_code
    except typer.Abort as error:
        _complain("interrupted; start the same command again to go on where it was")
        return 143 if isinstance(error.__cause__, Terminated) else 130
    except TyperException as error:
        # A flag or argument that does not parse: the message names it and the valid values.
        said = getattr(error, "format_message", error.__str__)()
        _complain(f"{said} See `judgebench {' '.join(sys.argv[1:2])} --help`.")
        return 2
    except KeyboardInterrupt as error:
        _complain("interrupted; start the same command again to go on where it was")
        return 143 if isinstance(error, Terminated) else 130
    except BrokenPipeError:
        _discard_output()
        return BROKEN_PIPE
    except OSError as error:
        _complain(f"a file could not be read or written: {error}")
        return 2
    except MemoryError:
        _complain("the memory is not enough for this; what was finished is kept, and -v shows where it ended")
        return 2
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # what typer and rich make of it
            _discard_output()
            return BROKEN_PIPE
        # Nothing of ours raises it: the code of a task, a plug-in or a checkpoint did.
        _complain(
            f"code that was loaded for this command, of a task, a plug-in or a checkpoint, tried to end it with exit "
            f"code {str(error.code)[:40]}; -v shows where"
        )
        return 2
    except Exception as error:  # noqa: BLE001 - the last resort
        _complain(
            f"this is a fault of judgebench itself: {type(error).__name__}: {' '.join(str(error).split())[:300]} "
            f"({_place(error)}). What was finished is kept. `judgebench -v {' '.join(sys.argv[1:2])} …` shows the "
            "traceback; please report it with that"
        )
        return 2
    return code if isinstance(code, int) else 0


def _place(error: BaseException) -> str:
    """Where an exception was raised, in the innermost file of ours."""
    found = "nowhere of ours"
    trace = error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if "site-packages" not in file.parts and "judgebench" in trace.tb_frame.f_globals.get("__name__", ""):
            found = f"{file.parent.name}/{file.name}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _prepare_streams() -> None:
    """Have somewhere to write to, and nothing that cannot be written there."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it was closed before we began
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - for as long as the process runs
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """What is still to be written has nobody to read it, and is not to be complained of when the process ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _terminate(number: int, frame: "FrameType | None") -> None:
    from judgebench.errors import Terminated

    # A second one must not break what the first has begun to close.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated


def _complain(text: str) -> None:
    """One paragraph on stderr; with ``-v``, after the traceback of the error being handled."""
    from judgebench.display import printable
    from judgebench.redaction import redacted

    if "-v" in sys.argv or "--verbose" in sys.argv:
        import traceback

        sys.stderr.writelines(f"{printable(redacted(line))}\n" for line in traceback.format_exc().splitlines())
    sys.stderr.write(f"judgebench: {printable(redacted(text))}\n")
