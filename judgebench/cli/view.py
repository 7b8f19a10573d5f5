"""``view``: the page of some runs in a browser, while they go on."""

import os
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judgebench.cli import options

if TYPE_CHECKING:
    from judgebench.data.sources import SourceFinder
    from judgebench.run.reading import Run
    from judgebench.run.run_tasks import TaskFiles


def view(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders, archives, or folders of runs. The first is the baseline.")
    ],
    port: Annotated[int, typer.Option(help="Port on this machine; 0 takes a free one.", min=0, max=65535)] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
    names: options.Names = [],  # noqa: B006 - typer reads the default and copies it
    tasks: options.TasksOfRuns = [],  # noqa: B006 - typer reads the default and copies it
    mirror: options.Mirror = [],  # noqa: B006 - typer reads the default and copies it
    offline: options.Offline = False,
) -> None:
    """Show the report of some runs in a browser, made again when they have changed, until Ctrl+C."""
    from judgebench.report.serving import Pages, PageServer
    from judgebench.run.loading import source_finder
    from judgebench.run.reading import find_runs, renamed
    from judgebench.run.settings import settings_from_flags
    from judgebench.tasks import task_files

    task, own = options.chosen(tasks)
    finder = source_finder(settings_from_flags({"tasks": own, "mirror": mirror, "offline": offline}))
    files, called = task_files(own), options.run_names(names)

    def write(folder: Path, state: str) -> str:
        return _write(renamed(_readable(find_runs(runs), files), called), finder, task, folder, state)

    pages = Pages(runs, write)
    try:
        pages.newest()
        with PageServer(pages, port) as server:
            typer.echo(f"{server.url} shows the runs as they are, until Ctrl+C")
            if "SSH_CONNECTION" in os.environ:
                typer.echo(
                    f"From your own machine: ssh -N -L {server.server_port}:127.0.0.1:{server.server_port} HOST, with "
                    "the name of this machine for HOST, then open that address there"
                )
            elif not no_open:
                webbrowser.open(server.url)
            server.serve_forever()
    except KeyboardInterrupt:
        typer.echo("")
    finally:
        pages.close()


def _readable(paths: list[Path], files: "TaskFiles") -> "list[Run]":
    """The runs; of one that has no scores yet, what is there."""
    from judgebench.errors import UsageError
    from judgebench.run.reading import read_run

    found = []
    for path in paths:
        try:
            found.append(read_run(path, files))
        except UsageError:
            found.append(read_run(path, files, unfinished=True))
    return found


def _write(runs: "list[Run]", finder: "SourceFinder", task: str | None, folder: Path, state: str) -> str:
    from judgebench.report.collect import collect
    from judgebench.report.page import write_page

    return write_page(collect(runs, finder, task=task), folder, overwrite=True, live=state).hash
