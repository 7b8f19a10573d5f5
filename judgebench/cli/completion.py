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


def complete(group: Any) -> NoReturn:
    """Answer the shell's script, which asks through the environment, and end the process."""
    shells = import_module("typer.completion")
    shells.completion_init()
    sys.exit(shells.shell_complete(group, {}, "judgebench", COMPLETING, os.environ.pop(COMPLETING)))
