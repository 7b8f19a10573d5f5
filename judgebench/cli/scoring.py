"""``score``: read a run's replies again and compute its numbers, without a call."""

from pathlib import Path
from typing import Annotated

import typer

from judgebench.cli import options


def score(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    tasks: Annotated[
        str,
        typer.Option(help="Other options for some of the run's tasks, such as alpacaeval:upstream_compat=true."),
    ] = "",
    labels: options.Labels = None,
    track: options.Track = [],  # noqa: B006 - typer reads the default and copies it
    mirror: options.Mirror = [],  # noqa: B006
    offline: options.Offline = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
) -> None:
    """Score a run folder again with today's rules. Makes no call."""
    from judgebench.cli.tables import print_results
    from judgebench.scoring import score_run
    from judgebench.settings import Settings
    from judgebench.store import RunFolder
    from judgebench.tracking import require_trackers

    require_trackers(track)
    folder = RunFolder(run)
    results = score_run(folder, Settings(tasks=tasks, labels=labels, mirrors=options.mirrors(mirror), offline=offline))
    print_results(results, folder.require_manifest(), as_json=json, verbose=verbose)
    options.report_to(track, folder)
