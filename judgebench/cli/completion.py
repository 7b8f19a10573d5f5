"""``completion``: the shell's completion of commands, flags and the names of tasks, judges and presets."""

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

from judgebench.errors import UsageError

COMPLETING = "_JUDGEBENCH_COMPLETE"
"""The variable in which the script says that it wants completions, and in which form. ``cli`` looks for it."""

SHELLS = ("bash", "zsh", "fish")
Shell = Literal["bash", "zsh", "fish"]


def completion(
    shell: Annotated[Shell | None, typer.Argument(help="Default: the shell that $SHELL names.")] = None,
    *,
    install: Annotated[
        bool, typer.Option("--install", help="Install it for every new shell, instead of printing the script.")
    ] = False,
) -> None:
    """Print the script that completes commands, flags and tasks: `eval "$(judgebench completion bash)"`."""
    scripts = import_module("typer.completion")
    name = shell or Path(os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        raise UsageError(f"name the shell: judgebench completion {'|'.join(SHELLS)}; $SHELL is {name or 'not set'!r}")
    if not install:
        typer.echo(scripts.get_completion_script(prog_name="judgebench", complete_var=COMPLETING, shell=name))
        return
    _, place = scripts.install(shell=name, prog_name="judgebench", complete_var=COMPLETING)
    typer.echo(f"completion for {name} is in {place}; it works in every new shell")


def complete_values(command: Any) -> None:
    """Let the shell complete the values of a command's parameters, and of the commands below it, as far as they can be
    listed; for others it offers files.
    """
    for parameter in command.params:
        if parameter.name in _VALUES:
            # What the argument `autocompletion` would set, for parameters that are declared in many places.
            parameter._custom_shell_complete = _VALUES[parameter.name]
    for below in getattr(command, "commands", {}).values():
        complete_values(below)


def _tasks(ctx: Any, parameter: Any, incomplete: str) -> list[str]:
    """The names of tasks after those that are already there."""
    from judgebench import tasks

    *before, last = incomplete.split(",")
    return [",".join([*before, name]) for name in tasks.names() if name.startswith(last) and name not in before]


def _presets(ctx: Any, parameter: Any, incomplete: str) -> list[str]:
    from judgebench.run import presets

    return [name for name in presets.names() if name.startswith(incomplete)]


def _thinking(ctx: Any, parameter: Any, incomplete: str) -> list[str]:
    from judgebench.thinking import POLICIES

    return [name for name in POLICIES if name.startswith(incomplete)]


_VALUES = {"task": _tasks, "tasks": _tasks, "preset": _presets, "thinking": _thinking}
"""What can be listed, by the name of a parameter."""


def complete(group: Any) -> NoReturn:
    """Answer the shell's script, which asks through the environment, and end the process."""
    shells = import_module("typer.completion")
    shells.completion_init()
    sys.exit(shells.shell_complete(group, {}, "judgebench", COMPLETING, os.environ.pop(COMPLETING)))
