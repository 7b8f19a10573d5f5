"""``cache stats|prune|path``: the store of finished calls."""

from typing import Annotated

import typer

from judgebench.cli import options
from judgebench.errors import UsageError

app = typer.Typer(no_args_is_help=True)


@app.command()
def path() -> None:
    """Show where the call store is."""
    from judgebench.models.call_store import default_store_path

    typer.echo(str(default_store_path()))


@app.command()
def stats(json: options.Json = False) -> None:
    """Show how many replies of each model are kept."""
    from judgebench.cli.rendering import print_lines
    from judgebench.display import cell
    from judgebench.models.call_store import CallStore, default_store_path

    with CallStore(default_store_path()) as store:
        found = store.statistics()
    lines = [f"{found.rows:,} replies, {found.bytes / 2**20:.1f} MiB"]
    lines += [f"  {cell(model.model)}: {model.rows:,} replies" for model in found.models]
    print_lines(found, lines, as_json=json)


@app.command()
def prune(
    older_than_days: Annotated[float | None, typer.Option(help="Forget replies older than this.", min=0)] = None,
    model: Annotated[str | None, typer.Option(help="Forget only replies of this model.")] = None,
) -> None:
    """Forget replies. Asking for them again costs again."""
    from judgebench.models.call_store import CallStore, default_store_path

    if older_than_days is None and model is None:
        raise UsageError("prune forgets paid replies: say which, with --older-than-days or --model")
    with CallStore(default_store_path()) as store:
        typer.echo(f"{store.prune(older_than_days=older_than_days, model=model):,} replies forgotten")
