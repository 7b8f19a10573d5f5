"""``tasks list|info|check``: what can be evaluated."""

from typing import Annotated

import typer

from judgebench.cli import options

app = typer.Typer(help="What can be evaluated.", no_args_is_help=True)


@app.command("list")
def list_(json: options.Json = False) -> None:
    """All tasks: bundled ones and those of installed packages."""
    from judgebench import tasks
    from judgebench.cli.rendering import print_json

    names = tasks.names()
    if json:
        print_json(names)
    else:
        typer.echo("\n".join(names))


@app.command()
def info(
    task: Annotated[str, typer.Argument(metavar="T", help="NAME[@VERSION], or a path to a task.py.")],
    json: options.Json = False,
) -> None:
    """One task: versions, metrics, options, official judge, files."""
    from judgebench import tasks
    from judgebench.cli.rendering import print_json

    facts = tasks.info(task)
    if json:
        print_json(facts)
        return
    for key, value in facts.items():
        if isinstance(value, dict):
            typer.echo(f"{key}:")
            for name, text in value.items():
                typer.echo(f"  {name}: {text}")
        else:
            typer.echo(f"{key}: {', '.join(value) if isinstance(value, list) else value}")


@app.command()
def check(
    task: Annotated[str, typer.Argument(metavar="PATH", help="A task's folder, its task.py, or a known name.")],
    json: options.Json = False,
) -> None:
    """Whether a task folder keeps to what every task must, on its starter set; exit 2 if it does not."""
    from judgebench.cli.rendering import print_json
    from judgebench.display import printable
    from judgebench.errors import UsageError
    from judgebench.tasks.check import check_task

    found = check_task(task)
    if json:
        print_json(found)
    else:
        for one in found:
            typer.echo(f"{'ok   ' if one.problem is None else 'FAILS'} {one.what}")
    failing = [one for one in found if one.problem is not None]
    if failing:
        listed = "; ".join(f"{one.what}: {printable(one.problem or '')}" for one in failing)
        raise UsageError(f"{task} fails {len(failing)} of {len(found)} checks. {listed}")
