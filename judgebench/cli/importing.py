"""``import``: other programs' result files as run folders."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from judgebench.cli import Verbose, options
from judgebench.run.settings import pairs, settings_from_flags


def import_(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The file to import; .gz is read everywhere.")],
    form: Annotated[
        str,
        typer.Option(
            "--from",
            help="Format: alpaca_eval, fastchat, wildbench, arena-hard, lm-eval or outputs; of a task of your "
            "own also verdicts or scored; of numbers alone csv, parquet, every-eval-ever or eval-results; or archive.",
            metavar="FORMAT",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Run folder to make.", metavar="RUN")],
    task: Annotated[
        str,
        typer.Option(
            help="Task that the file belongs to: NAME[@VERSION][:KEY=VALUE,…], or a path to a task's file; an archive "
            "names its own."
        ),
    ] = "",
    model: Annotated[
        str | None, typer.Option(help="Import only this model of a file that holds several.", metavar="NAME")
    ] = None,
    name: options.Name = None,
    fields: Annotated[
        str, typer.Option(help="Names of our fields in a file of outputs.", metavar="id=KEY,output=RESPONSE,…")
    ] = "",
    mirror: options.Mirror = [],  # noqa: B006 - typer reads the default and copies it
    offline: options.Offline = False,
    unsafe_local: options.UnsafeLocal = False,
    json: options.Json = False,
    verbose: Verbose = False,
) -> None:
    """Read existing judgements or answers into a run folder, and score it."""
    from judgebench.cli.rendering import print_json
    from judgebench.cli.results import print_notes, print_results
    from judgebench.exchange.importing import import_run
    from judgebench.run.folder import RunFolder

    asked = {"tasks": task, "model": model, "name": name, "out": out, "mirror": mirror, "offline": offline}
    names = pairs(filter(None, fields.split(",")), "--fields")
    settings = replace(settings_from_flags(asked, sys.argv), fields=names, unsafe_local=unsafe_local)
    found = import_run(source, form, settings)
    for results in found:
        manifest = RunFolder(Path(results.run)).require_manifest()
        if json:
            print_notes(manifest)
        else:
            print_results(results, manifest, as_json=False, verbose=verbose, files=task)
    if json:
        print_json(found[0] if len(found) == 1 else found)
