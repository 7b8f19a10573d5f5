"""``cache path|stats|prune|verify|export|import|push|pull``: the store of finished calls, one's own and a team's."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judgebench.cli import options
from judgebench.errors import UsageError

if TYPE_CHECKING:
    from judgebench.models.call_parts import Moved
    from judgebench.models.call_store import CallStore

app = typer.Typer(no_args_is_help=True)
OfModel = Annotated[str | None, typer.Option("--model", help="Only the replies of this model.")]
Place = Annotated[
    str, typer.Argument(metavar="PLACE", help="A folder, or what fsspec opens: s3://…, hf://datasets/OWNER/NAME.")
]


@app.command()
def path(cache: options.Cache = None) -> None:
    """Show where the call store is."""
    from judgebench.models.call_store import store_path

    typer.echo(str(store_path(cache)))


@app.command()
def stats(cache: options.Cache = None, json: options.Json = False) -> None:
    """Show how many replies of each model are kept."""
    from judgebench.cli.rendering import print_lines
    from judgebench.display import cell

    with _store(cache) as store:
        found = store.statistics()
    lines = [f"{found.rows:,} replies, {found.bytes / 2**20:.1f} MiB"]
    lines += [f"  {cell(model.model)}: {model.rows:,} replies" for model in found.models]
    print_lines(found, lines, as_json=json)


@app.command()
def prune(
    older_than_days: Annotated[float | None, typer.Option(help="Forget replies older than this.", min=0)] = None,
    model: Annotated[str | None, typer.Option(help="Forget only replies of this model.")] = None,
    cache: options.Cache = None,
) -> None:
    """Forget replies. Asking for them again costs again."""
    if older_than_days is None and model is None:
        raise UsageError("prune forgets paid replies: say which, with --older-than-days or --model")
    with _store(cache) as store:
        typer.echo(f"{store.prune(older_than_days=older_than_days, model=model):,} replies forgotten")


@app.command()
def verify(
    forget: Annotated[
        bool, typer.Option("--forget", help="Forget the rows that cannot be read; they are asked again.")
    ] = False,
    cache: options.Cache = None,
) -> None:
    """Check the file and every reply in it."""
    with _store(cache) as store:
        damaged = store.damaged()
        if forget:
            store.forget(damaged)
        rows = store.statistics().rows
    if damaged and not forget:
        raise UsageError(
            f"{len(damaged):,} of {rows:,} rows of the call store hold no reply that can be read. "
            "`judgebench cache verify --forget` forgets them, and they are asked again"
        )
    typer.echo(f"{rows:,} replies, all of which can be read" + (f"; {len(damaged):,} forgotten" if damaged else ""))


@app.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that is not there yet, such as calls.jsonl.gz.")],
    model: OfModel = None,
    cache: options.Cache = None,
) -> None:
    """Write the replies into one file, for somebody who imports it."""
    from judgebench.models.call_parts import export_calls

    with _store(cache) as store:
        _print(export_calls(store, file, model), "written to")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `cache export` wrote.")],
    cache: options.Cache = None,
) -> None:
    """Take in replies that somebody exported. Take them only from people you trust: nobody can check what was said."""
    from judgebench.models.call_parts import import_calls

    with _store(cache) as store:
        _print(import_calls(store, file), "in")


@app.command()
def push(place: Place, model: OfModel = None, cache: options.Cache = None) -> None:
    """Add to a team's place the replies that it lacks. Nothing there is changed."""
    from judgebench.models.call_parts import push as push_calls

    with _store(cache) as store:
        _print(push_calls(store, place, model), "pushed to")


@app.command()
def pull(place: Place, cache: options.Cache = None) -> None:
    """Take in the replies of a team's place that are not here yet, from people you trust."""
    from judgebench.models.call_parts import pull as pull_calls

    with _store(cache) as store:
        _print(pull_calls(store, place), "pulled from")


def _store(folder: Path | None) -> "CallStore":
    from judgebench.models.call_store import CallStore, store_path

    return CallStore(store_path(folder))


def _print(moved: "Moved", how: str) -> None:
    from judgebench.display import printable

    typer.echo(printable(f"{moved.calls:,} replies {how} {moved.place}, {moved.new:,} of them new"))
