"""The command line. Only typer is imported here; each command imports what it needs when it runs."""

import signal
import sys
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
    plan,
    run,
    scoring,
    tasks,
)

if TYPE_CHECKING:
    from types import FrameType


def _normalise(token: str) -> str:
    """Underscores do for dashes, as in other harnesses."""
    return token.replace("_", "-")


app = typer.Typer(
    name="judgebench",
    help="Evaluate language models: generate answers, have them judged or verified, get numbers a paper can print.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"token_normalize_func": _normalise, "help_option_names": ["-h", "--help"]},
)
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
    from judgebench.errors import JudgebenchError, Terminated

    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = app(standalone_mode=False)
    except JudgebenchError as error:
        _complain(str(error))
        code = error.exit_code
    except typer.Abort as error:
        _complain("interrupted; start the same command again to go on where it was")
        code = 143 if isinstance(error.__cause__, Terminated) else 130
    except TyperException as error:
        # A flag or argument that does not parse: the message names it and the valid values.
        said = getattr(error, "format_message", error.__str__)()
        _complain(f"{said} See `judgebench {' '.join(sys.argv[1:2])} --help`.")
        code = 2
    except KeyboardInterrupt:
        _complain("interrupted; start the same command again to go on where it was")
        code = 130
    except BrokenPipeError:
        sys.stderr.close()
        code = 141
    except OSError as error:
        _complain(f"a file could not be read or written: {error}")
        code = 2
    except Exception as error:  # noqa: BLE001 - a run may be anybody's, and exit 1 is a gate's FAIL and nothing else
        said = f"{type(error).__name__}: {error}"[:500]
        _complain(f"what was given cannot be worked with, in a way that was not foreseen ({said}); please report it")
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


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
