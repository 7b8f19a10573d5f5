"""``import``: other programs' result files as run folders."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from judgebench.cli import options


def import_(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The file to import; .gz is read everywhere.")],
    form: Annotated[str, typer.Option("--from", help="Format: alpaca_eval or outputs.", metavar="FORMAT")],
    task: Annotated[str, typer.Option(help="Task that the file belongs to: NAME[@VERSION][:KEY=VALUE,…].")],
    out: Annotated[Path, typer.Option(help="Run folder to make.", metavar="RUN")],
    mirror: options.Mirror = [],  # noqa: B006 - typer reads the default and copies it
    offline: options.Offline = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
) -> None:
    """Read judgements or answers that exist already into a run folder, and score it."""
    from judgebench.cli.tables import print_results
    from judgebench.evaluate import Settings, import_run
    from judgebench.store import RunFolder

    settings = Settings(tasks=task, out=out, mirrors=options.mirrors(mirror), offline=offline, argv=tuple(sys.argv))
    results = import_run(source, form.replace("-", "_"), settings)
    print_results(results, RunFolder(out).require_manifest(), as_json=json, verbose=verbose)
