"""``data list|fetch|verify|where``: the official files."""

from typing import TYPE_CHECKING, Annotated

import typer

from judgebench.cli import options

if TYPE_CHECKING:
    from judgebench.data.sources import Source, SourceFinder

app = typer.Typer(
    help="Official files: pinned by revision and sha256, never part of this program.", no_args_is_help=True
)
Task = Annotated[str | None, typer.Argument(metavar="T", help="Only this task.")]


def _finder(mirror: options.Mirror, *, offline: bool) -> "SourceFinder":
    from judgebench.data.sources import SourceFinder
    from judgebench.models.call_store import default_cache_dir
    from judgebench.run.settings import mirror_folders

    return SourceFinder(default_cache_dir(), mirror_folders(mirror), offline=offline)


def _sources(task: str | None) -> "list[tuple[str, Source]]":
    from judgebench import tasks
    from judgebench.data.sources import read_sources
    from judgebench.errors import UsageError

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
    """Each file: where it comes from, under which licence, and whether it is here."""
    from judgebench.cli.rendering import print_json

    finder = _finder(mirror, offline=True)
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
    if json:
        print_json(rows)
        return
    for row in rows:
        typer.echo("{task} {name}: {here}; {licence}; {place}; sha256 {sha256}".format(**row))


@app.command()
def fetch(
    task: Task = None,
    mirror: options.Mirror = [],  # noqa: B006
    offline: options.Offline = False,
) -> None:
    """Get a task's files (all tasks' without T), verify them, keep them in the cache."""
    finder = _finder(mirror, offline=offline)
    for name, source in _sources(task):
        data, used = finder.fetch(source)
        note = " (stand-in: the official file could not be had)" if used.standin else ""
        typer.echo(f"{name} {source.name}: {len(data):,} bytes from {used.origin}, sha256 {used.sha256}{note}")


@app.command()
def verify(
    task: Task = None,
    mirror: options.Mirror = [],  # noqa: B006
) -> None:
    """Check the hash of every file that is here, without the network; exit 7 if one differs."""
    finder = _finder(mirror, offline=True)
    for name, source in _sources(task):
        where = finder.locate(source)
        if where is not None:
            finder.fetch(source)
        typer.echo(f"{name} {source.name}: {'ok, ' + where if where else 'not here'}")


@app.command()
def where() -> None:
    """The folders that are searched."""
    from judgebench.models.call_store import default_cache_dir
    from judgebench.run.settings import mirror_folders

    for folder in (*mirror_folders([]), default_cache_dir() / "sources"):
        typer.echo(str(folder))
