"""``data list|fetch|verify|where``: the official files."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from judgebench.cli import options
from judgebench.errors import UsageError
from judgebench.exchange.sheets import Sheet, figures, words
from judgebench.run.settings import mirror_folders, settings_from_flags

if TYPE_CHECKING:
    from judgebench.data.sources import Source, SourceFinder

app = typer.Typer(no_args_is_help=True)
Task = Annotated[str | None, typer.Argument(metavar="T", help="Only this task, or a suite that judges are audited on.")]


def finder_of(mirror: options.Mirror, *, offline: bool) -> "SourceFinder":
    """Look for official files as a run with these flags does."""
    from judgebench.run.loading import source_finder

    return source_finder(settings_from_flags({"tasks": "", "mirror": mirror, "offline": offline}))


def _sources(task: str | None) -> "list[tuple[str, Source]]":
    from judgebench import tasks
    from judgebench.auditing.suites import SUITES
    from judgebench.data.sources import read_sources

    if task is not None and task in SUITES:
        return [(task, source) for source in SUITES[task].sources]
    names = tasks.names() if task is None else [task.partition("@")[0]]
    for name in names:
        if name not in tasks.names():
            raise UsageError(f"no task is called {name!r}; known tasks: {', '.join(tasks.names())}")
    return [(name, source) for name in names for source in read_sources(tasks.folder(name)).values()]


def _outputs(task: str | None, models: str) -> "list[tuple[str, Source]]":
    """The published answers of some models, comma separated."""
    from judgebench import tasks
    from judgebench.data.sources import outputs_of

    if task is None:
        raise UsageError(
            "data fetch --models gets published answers to the examples of one task; name it before the flag"
        )
    name = task.partition("@")[0]
    folder = tasks.find(name).folder
    return [(name, outputs_of(name, folder, model.strip())) for model in models.split(",") if model.strip()]


@app.command("list")
def list_(
    task: Task = None,
    mirror: options.Mirror = [],  # noqa: B006 - typer reads the default and copies it
    everything: Annotated[
        bool, typer.Option("--all", help="A line for each file, with its hash, as a pipe always gets.")
    ] = False,
    json: options.Json = False,
) -> None:
    """List the files: where each comes from, under which licence, and whether it is here.

    A terminal shows a row for each task; with T a row for each of its files.
    """
    from judgebench.cli.rendering import print_lines, print_sheets

    finder = finder_of(mirror, offline=True)
    files = [_File(name, source, finder.locate(source)) for name, source in _sources(task)]
    if json or everything or not sys.stdout.isatty():
        rows = [file.record for file in files]
        line = "{task} {name}: {here}; {licence}; {place}; sha256 {sha256}"
        print_lines(rows, (line.format(**row) for row in rows), as_json=json)
    else:
        print_sheets([_tasks_sheet(files) if task is None else _files_sheet(files, _answered(task))])


def _answered(task: str) -> list[str]:
    """The models whose published answers can be fetched."""
    from judgebench import tasks
    from judgebench.data.sources import read_outputs

    return list(read_outputs(tasks.find(task.partition("@")[0]).folder))


@dataclass(frozen=True)
class _File:
    """An official file of a task."""

    task: str
    source: "Source"
    here: str | None
    """Where it was found."""

    @property
    def host(self) -> str:
        """The repository, data set or server that it is taken from."""
        return self.source.repo or self.source.dataset or (self.source.url or "").split("/")[2]

    @property
    def record(self) -> dict[str, str | int | None]:
        source = self.source
        return {
            "task": self.task,
            "name": source.name,
            "place": source.place,
            "sha256": source.sha256,
            "bytes": source.bytes,
            "licence": source.licence,
            "here": self.here or "no",
        }


def _tasks_sheet(files: "Sequence[_File]") -> Sheet:
    """A row for each task."""
    rows = []
    for task, group in groupby(files, key=lambda file: file.task):
        own = list(group)
        found = Counter(file.here for file in own if file.here)
        rows.append(
            (
                task,
                len(own),
                _size(own),
                f"{found.total()} of {len(own)}" + (f" ({', '.join(sorted(found))})" if found else ""),
                ", ".join(dict.fromkeys(file.source.licence for file in own)),
                ", ".join(dict.fromkeys(file.host for file in own)),
            )
        )
    columns = words("task") + figures("files", "size") + words("here", "licence", "from")
    more = "+: and files whose size is not pinned; " if any(row[2].endswith("+") for row in rows) else ""
    notes = (f"{more}data list T shows the files of a task, --all all of them; data fetch T gets them",)
    return Sheet("", columns, tuple(rows), notes, asked=True)


def _files_sheet(files: "Sequence[_File]", answered: Sequence[str]) -> Sheet:
    """A row for each file; ``answered`` are the models whose published answers can be fetched."""
    rows = tuple((file.source.name, _size([file]), file.here or "no", file.source.licence, file.host) for file in files)
    columns = words("file") + figures("size") + words("here", "licence", "from")
    notes = [f"from {', '.join(dict.fromkeys(file.host for file in files))}; whole addresses and hashes: --all"]
    if answered:
        notes.append(f"published answers (data fetch T --models A,B; eval --model published:A): {', '.join(answered)}")
    return Sheet("", columns, rows, tuple(notes), spare=("from",), asked=True)


def _size(files: "Sequence[_File]") -> str:
    """The sum of the sizes; a plus stands for files whose size is not pinned."""
    known = [file.source.bytes for file in files if file.source.bytes is not None]
    total, more = sum(known), "+" if len(known) < len(files) else ""
    return (f"{total / 1e6:,.1f} MB" if total >= 1e5 else f"{total / 1e3:.1f} kB") + more if known else "?"


@app.command()
def fetch(
    task: Task = None,
    mirror: options.Mirror = [],  # noqa: B006
    offline: options.Offline = False,
    quiet: options.Quiet = False,
    models: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Get only the published answers of these models, for `eval --model published:A`. `data list T` "
            "says whose there are.",
        ),
    ] = None,
) -> None:
    """Get a task's files (without T those of all tasks), verify them, and keep them in the cache."""
    from judgebench.run.progress import Progress

    finder = finder_of(mirror, offline=offline)
    with Progress(shown=not quiet):
        for name, source in _sources(task) if models is None else _outputs(task, models):
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
    """Show the folders that are searched, or the checkpoint of a built-in model, ready for a server.

    The last folder is the cache: what was downloaded, and pinned files that a mirror had, are kept there.
    """
    from judgebench.models.call_store import default_cache_dir
    from judgebench.models.opening.backends import builtin_checkpoint
    from judgebench.run.progress import Progress

    if model is not None:
        with Progress(shown=True):
            folder = builtin_checkpoint(model)
        typer.echo(str(folder))
        return
    for folder in (*mirror_folders([]), default_cache_dir() / "sources"):
        typer.echo(str(folder))
