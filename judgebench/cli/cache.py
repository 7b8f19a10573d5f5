"""``cache stats|prune|path``: the store of finished calls."""

from typing import Annotated

import typer

from judgebench.cli import options

app = typer.Typer(help="Finished calls, kept so that none is paid twice.", no_args_is_help=True)


@app.command()
def path() -> None:
    """Show where the call store lies."""
    from judgebench.models.call_store import default_store_path

    typer.echo(str(default_store_path()))


@app.command()
def stats(json: options.Json = False) -> None:
    """Show how many replies of each model are kept."""
    from judgebench.cli.rendering import print_json
    from judgebench.display import cell
    from judgebench.models.call_store import CallStore, default_store_path

    with CallStore(default_store_path()) as store:
        found = store.statistics()
    if json:
        print_json(found)
        return
    typer.echo(f"{found.rows:,} replies, {found.bytes / 2**20:.1f} MiB")
    for model in found.models:
        typer.echo(f"  {cell(model.model)}: {model.rows:,} replies")


@app.command()
def prune(
    older_than_days: Annotated[float | None, typer.Option(help="Forget replies older than this.", min=0)] = None,
    model: Annotated[str | None, typer.Option(help="Forget only replies of this model.")] = None,
) -> None:
    """Forget replies. They would have to be paid again."""
    from judgebench.errors import UsageError
    from judgebench.models.call_store import CallStore, default_store_path

    if older_than_days is None and model is None:
        raise UsageError("prune forgets paid replies: say which, with --older-than-days or --model")
    with CallStore(default_store_path()) as store:
        typer.echo(f"{store.prune(older_than_days=older_than_days, model=model):,} replies forgotten")
