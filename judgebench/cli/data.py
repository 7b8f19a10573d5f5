"""``data list|fetch|verify|where``: the official files."""

from typing import TYPE_CHECKING, Annotated

import typer

from judgebench.cli import options
from judgebench.errors import UsageError
from judgebench.run.settings import mirror_folders, settings_from_flags

if TYPE_CHECKING:
    from judgebench.data.sources import Source, SourceFinder

app = typer.Typer(no_args_is_help=True)
Task = Annotated[str | None, typer.Argument(metavar="T", help="Only this task.")]


def finder_of(mirror: options.Mirror, *, offline: bool) -> "SourceFinder":
    """Look for official files as a run with these flags does."""
    from judgebench.run.loading import source_finder

    return source_finder(settings_from_flags({"tasks": "", "mirror": mirror, "offline": offline}))


def _sources(task: str | None) -> "list[tuple[str, Source]]":
    from judgebench import tasks
    from judgebench.data.sources import read_sources

    names = tasks.names() if task is None else [task.partition("@")[0]]
    for name in names:
        if name not in tasks.names():
            raise UsageError(f"no task is called {name!r}; known tasks: {', '.join(tasks.names())}")
    return [(name, source) for name in names for source in read_sources(tasks.folder(name)).values()]


@app.command("list")
def list_(
    task: Task = None,
    mirror: options.Mirror = [],  # noqa: B006 - typer reads the default and copies it
    json: options.Json = False,
) -> None:
    """List the files: where each comes from, under which licence, and whether it is here."""
    from judgebench.cli.rendering import print_lines

    finder = finder_of(mirror, offline=True)
    rows = [
        {
            "task": name,
            "name": source.name,
            "place": source.place,
            "sha256": source.sha256,
            "licence": source.licence,
            "here": finder.locate(source) or "no",
        }
        for name, source in _sources(task)
    ]
    line = "{task} {name}: {here}; {licence}; {place}; sha256 {sha256}"
    print_lines(rows, (line.format(**row) for row in rows), as_json=json)


@app.command()
def fetch(
    task: Task = None,
    mirror: options.Mirror = [],  # noqa: B006
    offline: options.Offline = False,
) -> None:
    """Get a task's files (without T those of all tasks), verify them, and keep them in the cache."""
    finder = finder_of(mirror, offline=offline)
    for name, source in _sources(task):
        data, used = finder.fetch(source)
        note = " (stand-in: the official file was not available)" if used.standin else ""
        typer.echo(f"{name} {source.name}: {len(data):,} bytes from {used.origin}, sha256 {used.sha256}{note}")


@app.command()
def verify(
    task: Task = None,
    mirror: options.Mirror = [],  # noqa: B006
) -> None:
    """Check the hash of every file that is here, without the network. Exit 7 if one differs."""
    finder = finder_of(mirror, offline=True)
    for name, source in _sources(task):
        place = finder.locate(source)
        if place is not None:
            finder.fetch(source)
        typer.echo(f"{name} {source.name}: {'ok, ' + place if place else 'not here'}")


@app.command()
def where(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="Show where this built-in model is.")] = None,
) -> None:
    """Show the folders that are searched, or the checkpoint of a built-in model, ready for a server."""
    from judgebench.models.call_store import default_cache_dir
    from judgebench.models.opening.backends import builtin_checkpoint

    if model is not None:
        typer.echo(str(builtin_checkpoint(model)))
        return
    for folder in (*mirror_folders([]), default_cache_dir() / "sources"):
        typer.echo(str(folder))
