"""``export``: run folders in the format of another program."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    form: Annotated[str, typer.Option("--to", help="Format: lm-eval.", metavar="FORMAT")],
    out: Annotated[
        Path, typer.Option(help="Folder for results and samples, or a .json file for the results alone.", metavar="DIR")
    ],
) -> None:
    """Write a run as the result files of another program."""
    from judgebench.display import printable
    from judgebench.exporting import export_run
    from judgebench.store import RunFolder

    for path in export_run(RunFolder(run), form.replace("-", "_"), out):
        typer.echo(printable(str(path)))
