"""``export``: a run in the format of another program."""

from pathlib import Path
from typing import Annotated

import typer

from judgebench.cli import options


def export(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    form: Annotated[
        str,
        typer.Option(
            "--to",
            help="Format: archive, csv, parquet, eval-results, every-eval-ever; of one task: alpaca-eval, fastchat, "
            "arena-hard, wildbench, lm-eval.",
            metavar="FORMAT",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for the files; or the one file itself: .csv, .parquet, .zip, or .json for lm-eval's results.",
            metavar="DIR|FILE",
        ),
    ],
    tasks: options.TaskFiles = "",
    mirror: options.Mirror = [],  # noqa: B006 - typer reads the default and copies it
    offline: options.Offline = False,
) -> None:
    """Write a run as the result files of another program, or as one file."""
    from judgebench import api
    from judgebench.display import printable

    for path in api.export(run, form, out, tasks=tasks, mirrors=mirror, offline=offline):
        typer.echo(printable(str(path)))
