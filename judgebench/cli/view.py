"""``view``: the page of some runs in a browser, while they go on."""

import os
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from judgebench.cli import options


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
    from judgebench.report.collect import collect
    from judgebench.report.live_runs import LiveRuns, wait_for_runs
    from judgebench.report.page import write_page
    from judgebench.report.serving import Pages, PageServer
    from judgebench.run.loading import source_finder
    from judgebench.run.settings import settings_from_flags
    from judgebench.tasks import task_files

    task, own = options.chosen(tasks)
    finder = source_finder(settings_from_flags({"tasks": own, "mirror": mirror, "offline": offline}))
    live = LiveRuns(runs, task_files(own), finder, options.run_names(names))

    def write(folder: Path, state: str) -> str:
        return write_page(collect(live.read(), finder, task=task), folder, overwrite=True, live=state).hash

    pages = Pages(runs, write)
    try:
        wait_for_runs(runs, typer.echo)
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
