"""``report``: one page that shows why the numbers of some runs are what they are."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from judgebench.cli import options


def report(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders, archives, or folders of runs. The first is the baseline.")
    ],
    html: Annotated[Path, typer.Option("--html", help="File to write.", metavar="FILE")],
    task: Annotated[str | None, typer.Option(help="Only this task, with or without its version.")] = None,
    adjust: Annotated[
        Literal["holm", "bh", "none"], typer.Option(help="How to adjust p-values for their number, as in compare.")
    ] = "holm",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if there is one.")] = False,
    names: options.Names = [],  # noqa: B006 - typer reads the default and copies it
    json: options.Json = False,
    tasks: options.TaskFiles = "",
    mirror: options.Mirror = [],  # noqa: B006 - typer reads the default and copies it
    offline: options.Offline = False,
) -> None:
    """Write a page with the numbers of some runs, how they differ, and every sample behind them."""
    from judgebench.cli.rendering import print_json
    from judgebench.report.collect import collect
    from judgebench.report.page import write_page
    from judgebench.run.loading import source_finder
    from judgebench.run.reading import read_runs, renamed
    from judgebench.run.settings import settings_from_flags
    from judgebench.tasks import task_files

    finder = source_finder(settings_from_flags({"tasks": tasks, "mirror": mirror, "offline": offline}))
    found = read_runs(runs, task_files(tasks))
    for unreadable in found.unreadable:
        typer.echo(f"judgebench: not in the report: {unreadable.reason}", err=True)
    collected = collect(renamed(found.readable, options.run_names(names)), finder, task=task, adjust=adjust)
    size = write_page(collected, html, overwrite=overwrite)
    if json:
        print_json({"path": str(html), "bytes": size, "runs": len(collected.runs), "tasks": len(collected.tasks)})
    else:
        typer.echo(f"{html}: {size / 2**20:.1f} MB, opens in any browser")
