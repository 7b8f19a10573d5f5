"""``plot``: a figure of some runs for a paper, and its numbers beside it."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from judgebench.cli import options


def plot(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, archives, or folders of runs.")],
    kind: Annotated[
        Literal["forest", "length", "categories", "flips", "ladder", "calibration"],
        typer.Option(
            help="forest: scores with intervals; length: value by length of the answer; categories: by group; flips: "
            "how samples of two runs ended; ladder: runs with their certain ranks; calibration: how often the other "
            "order confirms a verdict, by how sure the judge was; with --labels, what people say."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="File to write: .svg, .pdf or .png.", metavar="FILE")],
    labels: Annotated[
        list[Path],
        typer.Option(
            help="With --kind calibration: people's labels (docs/labels.md), by the judge's share. Repeatable.",
            metavar="FILE",
        ),
    ] = [],  # noqa: B006 - typer reads the default and copies it
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    names: options.Names = [],  # noqa: B006 - typer reads the default and copies it
    json: options.Json = False,
    tasks: options.TasksOfRuns = [],  # noqa: B006 - typer reads the default and copies it
    mirror: options.Mirror = [],  # noqa: B006 - typer reads the default and copies it
    offline: options.Offline = False,
) -> None:
    """Draw a figure as wide as one column of a paper; its numbers are written beside it as CSV."""
    from judgebench.cli.rendering import print_json
    from judgebench.report.collect import collect
    from judgebench.report.figures import figure_of, write_figure
    from judgebench.run.loading import source_finder
    from judgebench.run.reading import read_runs, renamed
    from judgebench.run.settings import settings_from_flags
    from judgebench.tasks import task_files

    task, files = options.chosen(tasks)
    finder = source_finder(settings_from_flags({"tasks": files, "mirror": mirror, "offline": offline}))
    found = renamed(read_runs(runs, task_files(files)).readable, options.run_names(names))
    drawn = figure_of(collect(found, finder, task=task), kind, task, labels=labels)
    written = write_figure(drawn, out, overwrite=overwrite)
    for note in drawn.notes:
        typer.echo(f"judgebench: {note}", err=True)
    if json:
        print_json({"written": [str(path) for path in written]})
    else:
        typer.echo(", ".join(map(str, written)))
