"""``import``: other programs' result files as run folders."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from judgebench.cli import options


def import_(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The file to import; .gz is read everywhere.")],
    form: Annotated[
        str,
        typer.Option(
            "--from",
            help="Format: alpaca_eval, fastchat, wildbench, arena-hard, lm-eval or outputs; of numbers alone csv, "
            "parquet, every-eval-ever or eval-results; or archive.",
            metavar="FORMAT",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Run folder to make.", metavar="RUN")],
    task: Annotated[
        str,
        typer.Option(
            help="Task that the file belongs to: NAME[@VERSION][:KEY=VALUE,…], or a path to a task.py; an archive "
            "names its own."
        ),
    ] = "",
    model: Annotated[
        str | None, typer.Option(help="Import only this model of a file that holds several.", metavar="NAME")
    ] = None,
    fields: Annotated[
        str, typer.Option(help="Names of our fields in a file of outputs.", metavar="id=KEY,output=RESPONSE,…")
    ] = "",
    mirror: options.Mirror = [],  # noqa: B006 - typer reads the default and copies it
    offline: options.Offline = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
) -> None:
    """Read judgements or answers that exist already into a run folder, and score it."""
    from judgebench.cli.rendering import print_json
    from judgebench.cli.results import print_notes, print_results
    from judgebench.errors import UsageError
    from judgebench.exchange.importing import import_run
    from judgebench.run.folder import RunFolder
    from judgebench.run.settings import Settings, mirror_folders, pairs

    if not task and form != "archive":
        raise UsageError("--task is missing; name the benchmark that the file belongs to, such as alpacaeval")
    settings = Settings(
        tasks=task,
        model=model,
        out=out,
        fields=pairs(filter(None, fields.split(",")), "--fields"),
        mirrors=mirror_folders(mirror),
        offline=offline,
        argv=tuple(sys.argv),
    )
    found = import_run(source, form.replace("-", "_"), settings)
    if json:
        for results in found:
            print_notes(RunFolder(Path(results.run)).require_manifest())
        print_json(found[0] if len(found) == 1 else found)
        return
    for results in found:
        folder = RunFolder(Path(results.run))
        print_results(results, folder.require_manifest(), as_json=False, verbose=verbose)
