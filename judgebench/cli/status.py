"""``status`` and ``tune``: how a run is, and how many requests it has in flight, from another terminal."""

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judgebench.cli import options
from judgebench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from judgebench.exchange.sheets import Sheet
    from judgebench.run.steering import RunStatus

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")]


def status(run: Run, json: options.Json = False) -> None:
    """Say how far a run is: what goes on now, or how it ended. Nothing of it is changed."""
    from judgebench.cli.rendering import print_json, print_sheets
    from judgebench.run.folder import RunFolder
    from judgebench.run.steering import run_status

    found = run_status(RunFolder(run))
    if json:
        print_json(found)
    else:
        print_sheets([_sheet(found)])


def tune(
    run: Run,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", min=1, metavar="N", help="Requests in flight to the model.")
    ] = None,
    judge_concurrency: Annotated[
        int | None, typer.Option("--judge-concurrency", min=1, metavar="N", help="Requests in flight to the judge.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Change how many requests a run has in flight at most, while it runs; its manifest keeps what was changed."""
    from judgebench.cli.rendering import print_json
    from judgebench.display import printable
    from judgebench.run.folder import RunFolder
    from judgebench.run.steering import ANSWER_SECONDS, MOST, Tuning, ask_to_tune

    if concurrency is None and judge_concurrency is None:
        raise UsageError(f"nothing to change in {run}: give --judge-concurrency N, --concurrency N or both")
    if max(concurrency or 0, judge_concurrency or 0) > MOST:
        raise UsageError(f"--concurrency and --judge-concurrency of a run that goes on are {MOST:,} at most")
    tuning = Tuning(id=uuid.uuid4().hex, concurrency=concurrency, judge_concurrency=judge_concurrency)
    taken = ask_to_tune(RunFolder(run), tuning)
    if taken is None:
        raise UsageError(
            f"{run} did not take the change within {ANSWER_SECONDS:g} s, and it was withdrawn: no model is asked there "
            f"now, or the run has just ended; `judgebench status {run}` says more"
        )
    changes = [change for change in taken.tuned if _concerns(change, concurrency, judge_concurrency)][-2:]
    if not changes:
        raise UsageError(f"{run} asks no served model in that role now, so nothing was changed")
    if json:
        print_json(taken)
    else:
        for change in changes:
            typer.echo(printable(change.partition(" ")[2]))


def _concerns(change: str, concurrency: int | None, judge_concurrency: int | None) -> bool:
    wanted = [f" {role} " for role, many in (("candidate", concurrency), ("judge", judge_concurrency)) if many]
    return any(role in change for role in wanted)


def _sheet(found: "RunStatus") -> "Sheet":
    from judgebench.exchange.sheets import Sheet, figures, words

    rows = tuple(
        (
            stage.task,
            stage.stage,
            stage.done,
            stage.total,
            stage.failed,
            stage.unread,
            None if stage.calls_per_second is None else round(stage.calls_per_second, 1),
            None if not stage.usd else round(stage.usd, 4),
        )
        for stage in found.stages
    )
    columns = words("task", "stage") + figures("done", "of", "failed", "unread", "calls/s", "USD")
    return Sheet(found.run, columns if rows else (), rows, notes=tuple(_lines(found)), asked=True)


def _lines(found: "RunStatus") -> "Iterator[str]":
    """What stands below the table."""
    from judgebench.display import clock, dollars

    where = f"process {found.pid} on {found.host}" if found.pid is not None else ""
    if found.alive:
        yield f"{found.state}: {where or 'a process'} is at work, for {clock(found.seconds)} so far"
    elif found.state == "killed":
        yield f"killed: {where or 'its process'} is gone; start the same command again, and it goes on"
    else:
        yield f"{found.state} on {found.at}, after {clock(found.seconds)}"
    parts = [f"{found.done:,} of {found.total:,} done"]
    if found.calls_per_second and found.alive:
        parts.append(f"{found.calls_per_second:.1f} calls/s")
    if found.usd or found.usd_expected:
        more = f" of about {dollars(found.usd_expected)}" if found.usd_expected and found.alive else ""
        parts.append(dollars(found.usd) + more)
    if found.eta_seconds is not None and found.alive:
        parts.append(f"ETA {clock(found.eta_seconds)}")
    yield ", ".join(parts)
    for model in found.models:
        yield f"{model.model} ({' and '.join(model.roles)}): {model.in_flight} of at most {model.concurrency} in flight"
        for trouble in model.left_out:
            yield f"left out for now: {trouble}"
    for change in found.tuned[-3:]:
        yield f"changed: {change}"
