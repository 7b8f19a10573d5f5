"""The command line: which commands there are, and how one ends.

A module of a command is imported when the command is run, and imports what is heavy within its function. So
``judgebench --help`` imports typer and this file.
"""

import contextlib
import io
import os
import signal
import sys
import threading
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException
from typer.main import get_group

from judgebench import __version__
from judgebench.errors import Interrupted, JudgebenchError, Terminated, UsageError

if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED = (130, 143)
STOPPING = (signal.SIGTERM, signal.SIGHUP)
"""What a scheduler sends, and what a terminal sends that is closed."""
BROKEN_PIPE = 141
"""The exit code that a shell reports for a program that wrote to a closed pipe."""
UNDERSTOOD = "judgebench.understood"
"""Where a context keeps what other harnesses' spellings were understood as."""
COMMANDS = {
    "eval": ("run.evaluate", "Generate answers, have them judged, print scores."),
    "generate": ("run.generate", "Generate answers only."),
    "judge": ("run.judge", "Have the answers of a run folder judged."),
    "score": ("scoring.score", "Score a run folder again, without a call."),
    "import": ("importing.import_", "Turn other programs' result files into run folders."),
    "export": ("exporting.export", "Write a run as another program's result files."),
    "show": ("show.show", "Look at single items of a run."),
    "runs": ("runs.app", "List runs."),
    "status": ("status.status", "Say how far a run is, from any terminal."),
    "tune": ("status.tune", "Change how many requests a run has in flight, while it runs."),
    "leaderboard": ("leaderboard.leaderboard", "Rank runs, in one table per protocol."),
    "compare": ("compare.compare", "Compare runs item by item."),
    "arena": ("arena.arena", "Rate models by games between them."),
    "gate": ("gate.gate", "Check a candidate against a baseline, for CI."),
    "bridge": ("bridge.app", "Predict official numbers by judges of today."),
    "report": ("report.report", "Write a page that shows every sample behind the numbers."),
    "view": ("view.view", "Show the same page in a browser while runs go on."),
    "plot": ("plot.plot", "Draw a figure for a paper."),
    "explain": ("explain.explain", "Show where verdicts vary, and how much of it is style."),
    "plan": ("plan.plan", "Say how many examples a difference needs."),
    "correlate": ("correlate.correlate", "Correlate leaderboards with human ratings."),
    "tasks": ("tasks.app", "Show what can be evaluated."),
    "judges": ("judges.app", "Show who judges, and check a judge of your own."),
    "labels": ("labels.app", "Draw answers for people to label, and read their labels."),
    "data": ("data.app", "Manage the official files."),
    "doctor": ("doctor.doctor", "Check the installation."),
    "selftest": ("selftest.selftest", "Compute published scores anew, and print both."),
    "cache": ("cache.app", "Manage the store of finished calls."),
    "batches": ("batches.app", "List, await, fetch or cancel what vendors do in batches."),
    "completion": ("completion.completion", "Complete commands, flags and tasks in the shell."),
}
"""By name: the function or the group of commands, and what the list of commands says of it."""


class Group(TyperGroup):
    """A group of commands. Without a command it shows its help; ``help COMMAND`` is ``COMMAND --help``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the flags before the command."""
        if args[:1] == ["help"]:
            args = [*args[1:], "--help"]
        if not args and not ctx.resilient_parsing:
            # The exit code is that of wrong usage: `judgebench $COMMAND` with an empty variable has done nothing.
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(2)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the arguments name; raise :class:`UsageError` with the nearest if there is none."""
        word = args[0].replace("_", "-")
        if not ctx.resilient_parsing and word not in self.commands and not word.startswith("-"):
            from judgebench.cli.usage import unknown_command

            raise UsageError(unknown_command(ctx, args[0]))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands, each with its first sentence in full."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(200)) for name, command in self.commands.items()])


class Commands(Group):
    """The group of all commands. It lists their names, and loads a command when it is to be run."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Load the command that the arguments name."""
        name, listed, rest = super().resolve_command(ctx, args)
        if listed is None:
            return name, listed, rest
        command = loaded(str(listed.name))
        if not ctx.resilient_parsing:
            return name, command, _translated(command, rest, ctx.meta.setdefault(UNDERSTOOD, []))
        from judgebench.cli.completion import complete_values

        complete_values(command)
        return name, command, rest


def loaded(name: str) -> Any:
    """Import a command, as typer runs it."""
    place, summary = COMMANDS[name]
    module, _, attribute = place.partition(".")
    found = getattr(import_module(f"judgebench.cli.{module}"), attribute)
    alone = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    if isinstance(found, typer.Typer):
        alone.add_typer(found, name=name, help=summary, cls=Group)
    else:
        alone.command(name)(found)
    command = get_group(alone).commands[name]
    _accept_other_names(command)
    return command


def _accept_other_names(command: Any) -> None:
    """Let every parameter that names tasks or models accept the names of other harnesses, in this command and below.

    Every command spells tasks in the same ways, whether it takes one or several.
    """
    from judgebench.data.aliases import TASK_FLAGS

    for parameter in command.params:
        if parameter.name in ("task", "tasks"):
            parameter.callback = _name_tasks
            if parameter.param_type_name == "option":
                own = parameter.opts[0]
                parameter.opts = [own, *(flag for flag in TASK_FLAGS if flag != own)]
        elif parameter.name in ("model", "judge") and parameter.multiple:
            parameter.callback = _name_models
    if not hasattr(command, "commands"):
        command.invoke = partial(_say_and_invoke, command.invoke)
    for below in getattr(command, "commands", {}).values():
        _accept_other_names(below)


def _say_and_invoke(invoke: Any, ctx: Any) -> Any:
    """Say in one line on stderr what was understood, and run the command."""
    if notes := ctx.meta.get(UNDERSTOOD):
        from judgebench.cli.aliases import say

        say(notes)
    return invoke(ctx)


def _name_tasks(ctx: Any, parameter: Any, value: Any) -> Any:
    if not value or ctx.resilient_parsing:
        return value
    from judgebench.cli.aliases import own_tasks

    notes = ctx.meta.setdefault(UNDERSTOOD, [])
    return own_tasks(value, notes) if isinstance(value, str) else [own_tasks(text, notes) for text in value]


def _name_models(ctx: Any, parameter: Any, value: Any) -> Any:
    if not value or ctx.resilient_parsing:
        return value
    from judgebench.cli.aliases import own_model

    return [own_model(text, ctx.meta.setdefault(UNDERSTOOD, [])) for text in value]


def _translated(command: Any, args: list[str], notes: list[str]) -> list[str]:
    """The arguments of a command, with flags as other harnesses spell them replaced by ours."""
    flags = [word for word in args if word.startswith("-")]
    if not flags or hasattr(command, "commands") or {"-h", "--help"} & set(flags):
        return args
    from judgebench.cli.aliases import translated

    return translated(command, args, notes)


app = typer.Typer(
    name="judgebench",
    cls=Commands,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog="`judgebench help COMMAND` shows a command's flags. The manual is in docs/: troubleshooting.md has the exit "
    "codes, files.md the file formats.",
    context_settings={
        # Underscores do for dashes, as in other harnesses.
        "token_normalize_func": lambda token: token.replace("_", "-"),
        "help_option_names": ["-h", "--help"],
    },
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"judgebench {__version__}")
        raise typer.Exit


Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show tracebacks with errors and protocol details with results.")
]


Version = Annotated[
    bool,
    typer.Option("--version", "-V", help="Show the version and exit.", callback=_print_version, is_eager=True),
]


@app.callback()
def _every_command(verbose: Verbose = False, version: Version = False) -> None:
    """Evaluate language models: generate answers, have them judged or verified, get numbers a paper can print."""


for _name, (_, _summary) in COMMANDS.items():
    app.command(_name, help=_summary)(lambda: None)


def main() -> None:
    """Run the command line and exit with its code. An error is one paragraph on stderr, without a traceback."""
    _prepare_streams()
    if "_JUDGEBENCH_COMPLETE" in os.environ:
        from judgebench.cli.completion import complete

        complete(get_group(app))
    code = _run()
    try:
        sys.stdout.flush()
    except OSError as error:
        _discard(sys.stdout)
        if isinstance(error, BrokenPipeError):
            code = code or BROKEN_PIPE
        else:
            _complain(f"the output could not be written: {error}")
            code = code or 2
    if code in INTERRUPTED and _engine_at_work():
        # Nobody waits for its next token, and libraries abort the process if Python ends below them. All is on disk.
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _engine_at_work() -> bool:
    """Whether a local model still computes in a thread, although the run was stopped."""
    return "torch" in sys.modules and any(thread.name == "judgebench-pump" for thread in threading.enumerate())


def _run() -> int:
    """Run the command and return its exit code. Only a gate's FAIL is 1; whatever goes wrong has another code."""
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores a closed terminal
            signal.signal(number, _terminate)
    try:
        code = app(prog_name="judgebench", standalone_mode=False)
    except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001 - the last resort
        # typer and rich make a SystemExit of a broken pipe.
        if isinstance(error.__context__ if isinstance(error, SystemExit) else error, BrokenPipeError):
            _discard(sys.stdout)
            return BROKEN_PIPE
        code, message = _ending(error)
        _complain(message, error.command if isinstance(error, Interrupted) else "")
    return code if isinstance(code, int) else 0


def _ending(error: BaseException) -> tuple[int, str]:
    """The exit code that an exception ends the command with, and the message."""
    match error:
        case JudgebenchError():
            return error.exit_code, str(error)
        case typer.Abort() | KeyboardInterrupt():
            cause = error.__cause__ if isinstance(error, typer.Abort) else error
            code = 143 if isinstance(cause, Terminated) else 130
            return code, "interrupted; start the same command again to go on where it was"
        case TyperException():
            from judgebench.cli.usage import explained

            return 2, explained(error)
        case OSError():
            return 2, f"a file could not be read or written: {error}"
        case MemoryError():
            return 2, "there is not enough memory for this; what was finished is kept, and -v shows where it ended"
        case SystemExit():
            # Nothing of ours raises it: the code of a task, a plug-in or a checkpoint did.
            return 2, (
                f"code that was loaded for this command, of a task, a plug-in or a checkpoint, tried to end it with "
                f"exit code {str(error.code)[:40]}; -v shows where"
            )
        case _:
            return 2, (
                f"this is a fault of judgebench itself: {type(error).__name__}: {' '.join(str(error).split())[:300]} "
                f"({_place(error)}). What was finished is kept. {_traceback_told()}"
            )


def _says_all() -> bool:
    return "-v" in sys.argv or "--verbose" in sys.argv


def _traceback_told() -> str:
    """How to see the traceback of a fault, or that it is there already."""
    if _says_all():
        return "Please report it with the traceback above"
    return f"`judgebench -v {' '.join(sys.argv[1:2])} …` shows the traceback; please report it with that"


def _place(error: BaseException) -> str:
    """Where an exception was raised: the innermost of our files on its way."""
    found = "not in a file of judgebench"
    trace = error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if "site-packages" not in file.parts and "judgebench" in trace.tb_frame.f_globals.get("__name__", ""):
            found = f"{file.parent.name}/{file.name}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _prepare_streams() -> None:
    """Make sure that both streams exist and can take every character."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it was closed before we began
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - for as long as the process runs
        elif name == "stderr" and stream is sys.__stderr__ and isinstance(stream, io.TextIOWrapper):
            sys.stderr = _Remarks(stream.buffer, stream.encoding, "backslashreplace", line_buffering=True)
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


class _Remarks(io.TextIOWrapper):
    """A stderr that never fails: what is said there must change neither what a command does nor how it ends."""

    def write(self, text: str) -> int:
        """Write the text if it can be written."""
        try:
            return super().write(text)
        except OSError:
            _discard(self)
            return len(text)

    def flush(self) -> None:
        """Flush what can be written."""
        try:
            super().flush()
        except OSError:
            _discard(self)


def _discard(stream: TextIO) -> None:
    """Throw away what is still to be written: nobody reads it, and Python must not complain when the process ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _terminate(number: int, frame: "FrameType | None") -> None:
    # A second one must not break what the first has begun to close.
    for each in STOPPING:
        signal.signal(each, signal.SIG_IGN)
    raise Terminated


def _complain(text: str, command: str = "") -> None:
    """Write one paragraph to stderr; with ``-v``, after the traceback of the error being handled.

    A ``command`` follows on a line of its own, however long: whoever pastes it must not paste a line break.
    """
    from judgebench.cli.remarks import remark
    from judgebench.display import printable
    from judgebench.redaction import redacted

    if _says_all():
        import traceback

        sys.stderr.writelines(f"{printable(redacted(line))}\n" for line in traceback.format_exc().splitlines())
    remark(text)
    if command:
        sys.stderr.write(f"{printable(redacted(command))}\n")
