"""``tasks list|info|examples|new|check``: what can be evaluated."""

import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from judgebench.cli import options
from judgebench.errors import UsageError

if TYPE_CHECKING:
    from judgebench.tasks import Listed
    from judgebench.tasks.new import Kind

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_(
    names: Annotated[
        bool | None,
        typer.Option(
            "--names/--long",
            help="Only the names, one a line; or all of it. Default: all on a terminal, the names in a pipe.",
            show_default=False,
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """List all tasks, the bundled ones and those of installed packages, with what each measures."""
    from judgebench import tasks
    from judgebench.cli.rendering import print_json, print_lines

    if names or (names is None and not json and not sys.stdout.isatty()):
        print_lines(tasks.names(), tasks.names(), as_json=json)
    elif json:
        print_json(tasks.listed())
    else:
        print_lines((), _lines(tasks.listed(), shutil.get_terminal_size().columns), as_json=False)


def _lines(listed: "Sequence[Listed]", width: int) -> Iterator[str]:
    """Two or three lines for each task: what it measures, and how."""
    from judgebench.display import printable
    from judgebench.exchange.terminal import folded

    names = [printable(f"{task.task}@{task.version}" if task.version else task.task) for task in listed]
    indent = min(max(map(len, names), default=0) + 2, width // 2)
    for name, task in zip(names, listed, strict=True):
        texts = [task.about, _how(task)] if task.problem is None else [f"cannot be loaded: {task.problem}"]
        lines = [line for text in texts if text for line in folded(printable(text), max(20, width - indent))]
        yield from (before.ljust(indent) + line for before, line in zip_longest([name], lines, fillvalue=""))


def _how(task: "Listed") -> str:
    """Who decides, about how many items, and which other versions there are."""
    judges = [f"{spec} ({task.served[spec]})" if spec in task.served else spec for spec in task.judges]
    others = [f"@{version}" for version in task.versions if version != task.version]
    decided = f"{task.verdicts} by {' and '.join(judges)}" if judges else task.verdicts
    return "; ".join(
        part for part in (decided, f"{task.examples:,} items", f"also {', '.join(others)}" if others else "") if part
    )


@app.command()
def info(
    task: Annotated[str, typer.Argument(metavar="T", help="NAME[@VERSION], or a path to a task's file.")],
    json: options.Json = False,
) -> None:
    """Describe one task: versions, metrics, options, official judge, files."""
    from judgebench import tasks
    from judgebench.cli.rendering import print_lines

    facts, lines = tasks.info(task), []
    for key, value in facts.items():
        if isinstance(value, dict):
            lines += [f"{key}:", *(f"  {name}: {_short_commit(text)}" for name, text in value.items())]
        else:
            lines.append(f"{key}: {', '.join(value) if isinstance(value, list) else value}")
    print_lines(facts, lines, as_json=json)


def _short_commit(place: str) -> str:
    """The place of a file upstream as people write it; JSON has the whole commit."""
    return re.sub(r"@([0-9a-f]{7})[0-9a-f]{33}(?=:)", r"@\1", place)


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits, - and _.")],
    kind: Annotated[
        str,
        typer.Option(
            help="judged: a judge rates each answer; verified: a rule decides; pairwise: a judge compares with a "
            "baseline; rubric: a judge checks criteria with points.",
            metavar="judged|verified|pairwise|rubric",
        ),
    ] = "judged",
    out: Annotated[Path, typer.Option(help="Where to write the folder.", metavar="DIR")] = Path(),
) -> None:
    """Write the folder of a benchmark of your own, which runs at once."""
    from judgebench.tasks.new import write_task

    folder = write_task(name, cast("Kind", kind), out)
    path = folder if folder.is_absolute() else f"./{folder}"
    judge = "" if kind == "verified" else "--judge builtin:tiny "
    typer.echo(
        f"{path} is written; its README.md says which file is for what. It runs at once:\n"
        f"  judgebench tasks check {path}\n"
        f"  judgebench eval --model builtin:tiny {judge}--tasks {path}"
    )


@app.command()
def examples(
    task: Annotated[str, typer.Argument(metavar="T", help="NAME[@VERSION][:KEY=VALUE,…], or a path to a task.")],
    *,
    starter: Annotated[bool, options.option("starter")] = False,
    where: Annotated[list[str], options.option("where")] = [],  # noqa: B006 - typer reads the default and copies it
    ids: Annotated[Path | None, options.option("ids")] = None,
    limit: Annotated[str | None, options.option("limit")] = None,
    references: Annotated[bool, typer.Option("--references", help="Also the reference answers.")] = False,
    form: Annotated[Literal["jsonl", "csv"], typer.Option("--format", help="How to print it.")] = "jsonl",
    mirror: options.Mirror = [],  # noqa: B006 - typer reads the default and copies it
    offline: options.Offline = False,
) -> None:
    """Print the questions as a file of answers to fill in: `eval --model file:F` reads it with `output` filled."""
    from judgebench.codec import encode
    from judgebench.data.csv_cells import csv_text
    from judgebench.run.loading import load_tasks
    from judgebench.run.selecting import select_examples
    from judgebench.run.settings import settings_from_flags
    from judgebench.task.answers import blank_answers

    given = {"tasks": task, "starter": starter, "where": where, "ids": ids, "limit": limit}
    settings = settings_from_flags({**given, "mirror": mirror, "offline": offline})
    found = (select_examples(loaded, settings).data.examples for loaded in load_tasks(settings))
    rows = [row for part in found for row in blank_answers(part, references=references)]
    if form == "csv":
        if any(isinstance(row["output"], list) for row in rows):
            raise UsageError(f"questions of {task} have several turns, which a cell of CSV does not hold; use jsonl")
        fields = tuple(rows[0]) if rows else ()
        cells = (["\n".join(cell) if isinstance(cell, list) else cell for cell in row.values()] for row in rows)
        typer.echo(csv_text(fields, cells), nl=False)
        return
    for row in rows:
        typer.echo(encode(row).decode())


@app.command()
def check(
    task: Annotated[str, typer.Argument(metavar="PATH", help="A task's folder, its task.py, or a known name.")],
    json: options.Json = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print each check, also those that hold.")] = False,
) -> None:
    """Check on its starter set whether a task folder does what every task must. Exit 2 if it does not."""
    from judgebench.cli.rendering import print_lines
    from judgebench.display import printable
    from judgebench.tasks.check import check_task, understood

    checks = check_task(task)
    failing = [rule for rule in checks if rule.problem is not None]
    lines = [f"{'ok   ' if rule.problem is None else 'FAILS'} {rule.what}" for rule in checks if verbose]
    each = "" if verbose else ": -v prints each"
    if not failing:
        lines.append(f"{len(checks)} of {len(checks)} checks hold{each}")
    if not failing and (found := understood(task)) is not None:
        lines.append(printable(found, 400))
    if lines or json:
        print_lines(checks, lines, as_json=json)
    if failing:
        causes = "; ".join(f"{printable(rule.problem or '')} (the check that fails: {rule.what})" for rule in failing)
        raise UsageError(f"{causes}. {task} fails {len(failing)} of {len(checks)} checks{each}")
