"""``report``: one page that shows why the numbers of some runs are what they are."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from judgebench.cli import options
from judgebench.errors import UsageError


def report(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders, archives, or folders of runs. The first is the baseline.")
    ],
    html: Annotated[
        str,
        typer.Option(
            "--html",
            help="File to write, or a folder (with / at the end) for a page with its samples in files beside it.",
            metavar="FILE",
        ),
    ],
    task: Annotated[str | None, typer.Option(help="Only this task, with or without its version.")] = None,
    adjust: Annotated[
        Literal["holm", "bh", "none"], typer.Option(help="How to adjust p-values for their number, as in compare.")
    ] = "holm",
    samples: Annotated[
        int | None,
        typer.Option(
            help="At most so many samples of each task: first flips, unread verdicts and failures, then others at "
            "random. Numbers are of all.",
            min=1,
            metavar="N",
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            help="Leave these texts out, because they are large or not to be shared. Repeatable.",
            metavar="thinking|judge|answers",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if there is one.")] = False,
    names: options.Names = [],  # noqa: B006 - typer reads the default and copies it
    json: options.Json = False,
    tasks: options.TaskFiles = "",
    mirror: options.Mirror = [],  # noqa: B006 - typer reads the default and copies it
    offline: options.Offline = False,
) -> None:
    """Write a page with the numbers of some runs, how they differ, and every sample behind them."""
    from judgebench.cli.rendering import print_json
    from judgebench.report.collect import TEXTS, collect
    from judgebench.report.page import write_page
    from judgebench.run.loading import source_finder
    from judgebench.run.reading import read_runs, renamed
    from judgebench.run.settings import settings_from_flags
    from judgebench.tasks import task_files

    if unknown := sorted(set(without or ()) - set(TEXTS)):
        raise UsageError(f"--without {unknown[0]}: that is none of {', '.join(TEXTS)}")
    finder = source_finder(settings_from_flags({"tasks": tasks, "mirror": mirror, "offline": offline}))
    found = read_runs(runs, task_files(tasks))
    for unreadable in found.unreadable:
        typer.echo(f"judgebench: not in the report: {unreadable.reason}", err=True)
    collected = collect(
        renamed(found.readable, options.run_names(names)),
        finder,
        task=task,
        adjust=adjust,
        most=samples,
        without=without or (),
    )
    if html.endswith("/"):
        Path(html).mkdir(parents=True, exist_ok=True)
    written = write_page(collected, Path(html), overwrite=overwrite)
    beside = f", with its samples in {written.folder}/ beside it" if written.folder else ""
    if json:
        counts = {"runs": len(collected.runs), "tasks": len(collected.tasks), "slices": written.slices}
        counts["samples"] = sum(len(one.listed) for one in collected.tasks)
        print_json({"path": str(written.path), "bytes": written.size, **counts})
    else:
        typer.echo(f"{written.path}: {written.size / 2**20:.1f} MB, opens in any browser{beside}")
