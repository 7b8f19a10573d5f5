"""Flags that several commands share, and those that the settings of a run make."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import MISSING
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_origin

import typer

from judgebench.run.settings import FLAGS, Setting

if TYPE_CHECKING:
    from judgebench.run.folder import RunFolder

Command = TypeVar("Command", bound=Callable[..., Any])


def option(name: str) -> Any:
    """The flag of a setting, as typer takes it."""
    setting = FLAGS[name]
    assert setting.flag is not None
    return typer.Option(
        setting.spelling, help=setting.flag.help, metavar=setting.flag.metavar, min=setting.flag.minimum
    )


def takes_settings(command: str) -> Callable[[Command], Command]:
    """Give a command the flags of all its settings: they come in through its ``**given``.

    They stand in the help after its own positional parameters and before its keywords.
    """

    def decorated(function: Command) -> Command:
        own = inspect.signature(function).parameters.values()
        flags = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=_default(setting),
                annotation=Annotated[setting.typed, option(name)],
            )
            for name, setting in FLAGS.items()
            if setting.flag and command in setting.flag.commands
        ]
        first = [one for one in own if one.kind is one.POSITIONAL_OR_KEYWORD]
        last = [one for one in own if one.kind is one.KEYWORD_ONLY]
        signature = inspect.Signature([*first, *flags, *last])
        changed: Any = function
        changed.__signature__ = signature
        changed.__annotations__ = {name: one.annotation for name, one in signature.parameters.items()}
        return function

    return decorated


def _default(setting: Setting) -> Any:
    if get_origin(setting.typed) is list:
        return []
    return None if setting.default is MISSING else setting.default


JudgeArgs = Annotated[list[str], option("judge_arg")]
Labels = Annotated[Path | None, option("labels")]
KeyEnv = Annotated[str | None, option("api_key_env")]
Budget = Annotated[float | None, option("budget")]
Mirror = Annotated[list[Path], option("mirror")]
Offline = Annotated[bool, option("offline")]
ThinkTags = Annotated[list[str], option("think_tags")]
TaskFiles = Annotated[
    str,
    typer.Option(
        "--tasks",
        help="File of your own task, if the runs were made with one: ./mine/task.py. A run folder cannot name code.",
        metavar="FILE",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Track = Annotated[
    list[str],
    typer.Option(
        "--track",
        help="Log the scored run to an experiment tracker: wandb, mlflow or trackio. Repeatable.",
        metavar="NAME",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show tracebacks with errors and protocol details with results.")
]


def report_to(trackers: Iterable[str], folder: "RunFolder") -> None:
    """Tell the trackers of a run; what goes wrong there is a warning."""
    from judgebench.display import printable
    from judgebench.exchange.trackers import track

    for problem in track(trackers, folder):
        typer.echo(f"judgebench: warning: {printable(problem)}", err=True)
