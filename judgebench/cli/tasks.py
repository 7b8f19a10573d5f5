"""``tasks list|info|new|check``: what can be evaluated."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from judgebench.cli import options
from judgebench.errors import UsageError

if TYPE_CHECKING:
    from judgebench.tasks.new import Kind

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_(json: options.Json = False) -> None:
    """List all tasks: the bundled ones and those of installed packages."""
    from judgebench import tasks
    from judgebench.cli.rendering import print_lines

    print_lines(tasks.names(), tasks.names(), as_json=json)


@app.command()
def info(
    task: Annotated[str, typer.Argument(metavar="T", help="NAME[@VERSION], or a path to a task.py.")],
    json: options.Json = False,
) -> None:
    """Describe one task: versions, metrics, options, official judge, files."""
    from judgebench import tasks
    from judgebench.cli.rendering import print_lines

    facts, lines = tasks.info(task), []
    for key, value in facts.items():
        if isinstance(value, dict):
            lines += [f"{key}:", *(f"  {name}: {text}" for name, text in value.items())]
        else:
            lines.append(f"{key}: {', '.join(value) if isinstance(value, list) else value}")
    print_lines(facts, lines, as_json=json)


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
def check(
    task: Annotated[str, typer.Argument(metavar="PATH", help="A task's folder, its task.py, or a known name.")],
    json: options.Json = False,
) -> None:
    """Check on its starter set whether a task folder does what every task must. Exit 2 if it does not."""
    from judgebench.cli.rendering import print_lines
    from judgebench.display import printable
    from judgebench.tasks.check import check_task

    checks = check_task(task)
    print_lines(
        checks, (f"{'ok   ' if rule.problem is None else 'FAILS'} {rule.what}" for rule in checks), as_json=json
    )
    failing = [rule for rule in checks if rule.problem is not None]
    if failing:
        listed = "; ".join(f"{rule.what}: {printable(rule.problem or '')}" for rule in failing)
        raise UsageError(f"{task} fails {len(failing)} of {len(checks)} checks. {listed}")
