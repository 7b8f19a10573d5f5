"""``batches list|wait|fetch|cancel``: what vendors work on in batches, whichever run it was for."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judgebench.cli import options
from judgebench.errors import UsageError

if TYPE_CHECKING:
    from judgebench.exchange.sheets import Sheet
    from judgebench.models.batch_book import Batch
    from judgebench.models.call_store import CallStore

app = typer.Typer(no_args_is_help=True)
SECONDS_BETWEEN_LOOKS = 30.0
LEAST_SECONDS, LOOKS_OF_AGE = 1.0, 20
"""A batch is looked at after a twentieth of its age, at most every second and at least every half minute."""
Named = Annotated[
    list[str] | None,
    typer.Argument(metavar="[RUN|BATCH]…", help="Run folders, or ids of batches. Default: all in the call store."),
]


@app.command("list")
def list_(named: Named = None, cache: options.Cache = None, json: options.Json = False) -> None:
    """List the batches of the call store, the newest first. No vendor is asked."""
    from judgebench.run.batches import chosen_batches

    with _store(cache) as store:
        found = chosen_batches(store, named or [])
    _print(found, as_json=json)


@app.command()
def wait(named: Named = None, cache: options.Cache = None, json: options.Json = False) -> None:
    """Wait until batches have ended, and fetch their results. The runs that they are for then go on without calls."""
    from judgebench.cli.rendering import print_beside
    from judgebench.models.batch_book import RUNNING
    from judgebench.run.batches import chosen_batches, look_after

    with _store(cache) as store:
        found = chosen_batches(store, named or [])
        last = {batch.token: batch.word for batch in found}
        while any(batch.state == RUNNING for batch in found):
            found = [look_after(store, batch) for batch in found]
            for batch in found:
                if last[batch.token] != batch.word:
                    print_beside("batch", [f"{batch.batch_id} of {batch.model}: {_progress(batch)}"])
                    last[batch.token] = batch.word
            ages = [time.time() - batch.created for batch in found if batch.state == RUNNING]
            if ages:
                time.sleep(min(max(min(ages) / LOOKS_OF_AGE, LEAST_SECONDS), SECONDS_BETWEEN_LOOKS))
    _print(found, as_json=json)


@app.command()
def fetch(named: Named = None, cache: options.Cache = None, json: options.Json = False) -> None:
    """Ask once how batches are, and fetch the results of those that have ended."""
    from judgebench.run.batches import chosen_batches, look_after

    with _store(cache) as store:
        found = [look_after(store, batch) for batch in chosen_batches(store, named or [])]
    _print(found, as_json=json)


@app.command()
def cancel(
    named: Annotated[list[str], typer.Argument(metavar="RUN|BATCH…", help="Run folders, or ids of batches.")],
    forget: Annotated[
        bool, typer.Option("--forget", help="Ask no vendor: take it that nothing will come of them.")
    ] = False,
    cache: options.Cache = None,
) -> None:
    """Cancel batches that run. What they have answered is paid, and kept; the rest is asked again by the next start."""
    from judgebench.models.batch_book import RUNNING
    from judgebench.run import batches

    with _store(cache) as store:
        found = [batch for batch in batches.chosen_batches(store, named) if batch.state == RUNNING]
        if not found:
            raise UsageError(f"none of the batches of {', '.join(named)} runs, so there is nothing to cancel")
        for batch in found:
            if forget:
                batches.forget(store, batch)
            else:
                batches.cancel(batch)
    done = "forgotten" if forget else "cancelled; their results can be fetched when the vendor has ended them"
    typer.echo(f"{len(found)} {'batch' if len(found) == 1 else 'batches'} {done}")


def _store(folder: Path | None) -> "CallStore":
    from judgebench.models.call_store import CallStore, store_path

    return CallStore(store_path(folder))


def _print(found: "Sequence[Batch]", *, as_json: bool) -> None:
    from judgebench.cli.rendering import print_json, print_sheets
    from judgebench.run.batches import known

    newest_first = found[::-1]
    if as_json:
        print_json([known(batch) for batch in newest_first])
    elif found:
        print_sheets([_sheet(newest_first)])
    else:
        typer.echo("no batches here; eval --batch-api on makes them")


def _progress(batch: "Batch") -> str:
    return f"{batch.word}, {batch.done:,} of {batch.calls:,} answered"


def _sheet(found: "Sequence[Batch]") -> "Sheet":
    from datetime import datetime

    from judgebench.exchange.sheets import Sheet, figures, words

    rows = tuple(
        (
            batch.batch_id or "–",
            batch.model,
            batch.state if batch.word in ("", "completed", "ended", "in_progress") else f"{batch.state}, {batch.word}",
            batch.calls,
            batch.done,
            batch.failed,
            datetime.fromtimestamp(batch.created).isoformat(" ", "minutes"),
        )
        for batch in found
    )
    columns = words("batch", "model", "state") + figures("calls", "answered", "failed") + words("begun")
    return Sheet("", columns, rows, spare=("failed", "begun"), asked=True)
