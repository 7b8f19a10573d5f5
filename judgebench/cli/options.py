"""Flags that several commands share, and those made from the settings of a run."""

import inspect
import shlex
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import MISSING
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_origin

import typer

from judgebench.errors import UsageError
from judgebench.run.settings import FLAGS, Setting

if TYPE_CHECKING:
    from judgebench.run.folder import RunFolder

Command = TypeVar("Command", bound=Callable[..., Any])


def option(name: str) -> Any:
    """The flag of a setting, as typer takes it."""
    setting = FLAGS[name]
    assert setting.flag is not None
    spellings = filter(None, (setting.spelling, setting.flag.short))
    return typer.Option(*spellings, help=setting.flag.help, metavar=setting.flag.metavar, min=setting.flag.minimum)


def takes_settings(command: str, named: Collection[str] = ()) -> Callable[[Command], Command]:
    """Give a command the flags of all its settings, or of those ``named``, which it receives through ``**given``.

    The help lists them after its own positional parameters and before its keywords.
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
            if setting.flag and (command in setting.flag.commands or name in named)
        ]
        first = [parameter for parameter in own if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
        last = [parameter for parameter in own if parameter.kind is parameter.KEYWORD_ONLY]
        changed: Any = function
        changed.__signature__ = signature = inspect.Signature([*first, *flags, *last])
        changed.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
        return function

    return decorated


def _default(setting: Setting) -> Any:
    if get_origin(setting.typed) is list:
        return []
    return None if setting.default is MISSING else setting.default


JudgeArgs = Annotated[list[str], option("judge_arg")]
Labels = Annotated[Path | None, option("labels")]
Bridge = Annotated[list[str], option("bridge")]
Level = Annotated[float, option("level")]
KeyEnv = Annotated[str | None, option("api_key_env")]
Budget = Annotated[float | None, option("budget")]
Name = Annotated[str | None, option("name")]
Names = Annotated[
    list[str],
    typer.Option(
        "--name",
        help="Call a run NAME in the tables; RUN is its folder, or the name it has otherwise. Repeatable.",
        metavar="RUN=NAME",
    ),
]
Cache = Annotated[Path | None, option("cache")]
Mirror = Annotated[list[Path], option("mirror")]
Offline = Annotated[bool, option("offline")]
UnsafeLocal = Annotated[bool, option("unsafe_local")]
ThinkTags = Annotated[list[str], option("think_tags")]
TaskFiles = Annotated[
    str,
    typer.Option(
        "--tasks",
        help="Path of your own task, if the runs were made with one: ./mine.toml, ./mine/task.py. A run folder cannot "
        "name it.",
        metavar="PATH",
    ),
]
TasksOfRuns = Annotated[
    list[str],
    typer.Option(
        "--tasks",
        help="Only these tasks: T1,T2, each with or without its version. The path of your own task (./mine.toml, "
        "./mine/task.py) says where it lies, because a run folder cannot. Repeatable.",
        metavar="T1,T2|PATH",
    ),
]
Groups = Annotated[
    list[str] | None,
    typer.Option(
        "--group",
        help="Only this group of examples, as scores name it: category=math,coding, or mtbench:turn=2. A key alone "
        "(category) stands for each of its groups. Repeatable.",
        metavar="[TASK:]KEY[=VALUE]",
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
All = Annotated[bool, typer.Option("--all", help="Print every row and note, however many.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


def rest(everything: bool) -> str | None:
    """What shows the rest of a long output; ``None`` if all is shown."""
    return None if everything else "--all"


def chosen(named: Iterable[str]) -> tuple[str | None, str]:
    """What ``--tasks`` says to a command about runs: the tasks to limit it to, if any, and the paths of own ones."""
    from judgebench.tasks import chosen_tasks

    return chosen_tasks(named)


def run_names(given: Iterable[str]) -> dict[str, str]:
    """Parse ``RUN=NAME`` texts."""
    found = {}
    for text in given:
        run, equals, name = text.partition("=")
        if not equals or not run:
            raise UsageError(f"--name {text!r} is not of the form RUN=NAME, such as runs/base=Baseline")
        found[run] = name
    return found


def report_to(trackers: Iterable[str], folder: "RunFolder") -> None:
    """Log a run to trackers. A tracker that fails is a warning."""
    from judgebench.cli.rendering import print_beside
    from judgebench.exchange.trackers import track

    print_beside("warning", track(trackers, folder))


def command_typed() -> str:
    """The command of this process, as a shell takes it."""
    program = Path(sys.argv[0]).name
    return shlex.join([*(("python", "-m", "judgebench") if program == "__main__.py" else (program,)), *sys.argv[1:]])
