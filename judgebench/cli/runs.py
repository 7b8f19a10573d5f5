"""``runs list``: which runs there are."""

from pathlib import Path
from typing import Annotated

import typer

from judgebench.cli import options

app = typer.Typer(no_args_is_help=True)
RUNS = Path("runs")
"""Where ``eval`` puts runs."""
MOST_COMPLAINTS = 10
"""How many unreadable runs are named one by one."""


@app.command("list")
def list_(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[FOLDER]…", help="Runs, or folders that hold some. Default: runs.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show all runs, and not only the newest.")] = False,
    json: options.Json = False,
) -> None:
    """List runs, the newest first: where each lies, what it found, how it ended and what it cost."""
    from judgebench.cli.overviews import run_paths, runs_sheet
    from judgebench.cli.rendering import print_beside, print_json, print_lines, print_sheets
    from judgebench.run.overview import Overviews, read_overviews

    none = folders is None and (not RUNS.is_dir() or not any(RUNS.rglob("manifest.json")))
    found = Overviews(runs=(), unreadable=()) if none else read_overviews(folders or [RUNS])
    reasons = [run.reason for run in found.unreadable]
    left = len(reasons) - MOST_COMPLAINTS
    print_beside("left out", [*reasons[:MOST_COMPLAINTS], *([f"{left} more that cannot be read"] if left > 0 else [])])
    if json:
        print_json(found.runs)
    elif not found.runs:
        print_lines((), ["no runs here yet; judgebench eval puts them into runs/"], as_json=False)
    else:
        print_sheets([runs_sheet(found, everything=everything)])
        typer.echo(run_paths(found, everything=everything))
