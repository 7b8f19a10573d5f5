"""Flags that several commands share."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from judgebench.store import RunFolder

Judges = Annotated[
    list[str],
    typer.Option(
        "--judge",
        help="Judge model, in the same grammar as --model; given several times, a jury. Default: the official judge.",
        metavar="J",
    ),
]
JudgeRepeats = Annotated[
    int, typer.Option(help="Judge each case K times, to see the judge's own variance.", min=1, metavar="K")
]
JudgeArgs = Annotated[list[str], typer.Option("--judge-arg", help="Setting of the judge's backend.", metavar="K=V")]
JudgeGen = Annotated[list[str], typer.Option("--judge-gen", help="Sampling of the judge.", metavar="K=V")]
Labels = Annotated[
    Path | None,
    typer.Option(
        help="Human verdicts on a random sample of the examples (CSV: example_id,label): win rates anchored in them.",
        metavar="FILE",
    ),
]
TaskFiles = Annotated[
    str,
    typer.Option(
        "--tasks",
        help="File of your own task, if the runs were made with one: ./mine/task.py. A run folder cannot name code.",
        metavar="FILE",
    ),
]
KeyEnv = Annotated[str | None, typer.Option(help="Environment variable that holds the API key.", metavar="NAME")]
Budget = Annotated[float | None, typer.Option(help="Hard ceiling on spending, in USD.", min=0, metavar="USD")]
Mirror = Annotated[
    list[Path],
    typer.Option(help="Folder to search for official files, by content. Also JUDGEBENCH_MIRROR.", metavar="DIR"),
]
Offline = Annotated[bool, typer.Option("--offline", help="Never touch the network for official files or checkpoints.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Track = Annotated[
    list[str],
    typer.Option(
        "--track",
        help="Log the scored run to an experiment tracker: wandb, mlflow or trackio. Repeatable.",
        metavar="NAME",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
ThinkTags = Annotated[
    list[str],
    typer.Option(
        "--think-tags",
        help="Tags around a thinking part, of the model or a judge, beside those that are known. Repeatable.",
        metavar="OPEN,CLOSE",
    ),
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Tracebacks with errors; protocol details with results.")
]


def pairs(given: Iterable[str], flag: str) -> dict[str, str]:
    """``k=v`` flags as a mapping."""
    from judgebench.errors import UsageError

    found = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"{flag} {text!r} is not of the form KEY=VALUE")
        found[key.strip().replace("-", "_")] = value
    return found


def mirrors(given: Iterable[Path]) -> tuple[Path, ...]:
    """Mirror folders: the flags, then those in JUDGEBENCH_MIRROR (separated as in PATH)."""
    import os

    return (*given, *(Path(part) for part in os.environ.get("JUDGEBENCH_MIRROR", "").split(os.pathsep) if part))


def report_to(trackers: Iterable[str], folder: "RunFolder") -> None:
    """Tell the trackers of a run; what goes wrong there is a warning."""
    from judgebench.display import printable
    from judgebench.tracking import track

    for problem in track(trackers, folder):
        typer.echo(f"judgebench: warning: {printable(problem)}", err=True)
