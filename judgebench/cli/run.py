"""``eval``, ``generate`` and ``judge``: the commands that ask models. The runs themselves are made in ``run/``."""

import dataclasses
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from judgebench.cli import Verbose, options, pages
from judgebench.errors import BudgetExceeded, Incomplete, Interrupted, JudgebenchError, SeveralFailed, UsageError
from judgebench.run.settings import Settings, settings_from_flags

if TYPE_CHECKING:
    from judgebench.run.folder import Results
    from judgebench.run.runner import Runner
    from judgebench.run.stages import RunningTask


def _read_config(context: typer.Context, path: Path | None) -> Path | None:
    """``--config run.toml``: its keys are the long flags, and flags on the command line win."""
    if path is None:
        return None
    from judgebench.cli.rendering import print_beside
    from judgebench.run.config_files import Takes, read_flags

    command = context.command
    takes = {
        parameter.name: Takes(getattr(parameter, "multiple", False), not getattr(parameter, "is_flag", False))
        for parameter in command.params
        if parameter.name is not None and parameter.param_type_name == "option"
    }
    found = read_flags(path, str(command.name), takes)
    if found.unused:
        print_beside("note", [f"{path}: `judgebench {command.name}` has no use for {', '.join(found.unused)}"])
    context.default_map = {**(context.default_map or {}), **found.values}
    return path


Config = Annotated[
    Path | None,
    typer.Option(
        help='Flags from a TOML file: tasks = ["alpacaeval", "mtbench"]. Flags on the command line win.',
        metavar="FILE",
        callback=_read_config,
        is_eager=True,
    ),
]
WriteConfig = Annotated[
    Path | None,
    typer.Option(
        "--write-config", help="Write these flags to a TOML file for --config, and do nothing else.", metavar="FILE"
    ),
]
Page = Annotated[
    Path | None,
    typer.Option(
        "--report",
        help="Also write a page with every sample behind the scores. It replaces an earlier one.",
        metavar="FILE",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be asked, cost and take; ask no model.")]


@options.takes_settings("eval")
def evaluate(
    config: Config = None,
    *,
    track: options.Track = [],  # noqa: B006 - typer reads the default and copies it
    report: Page = None,
    dry_run: DryRun = False,
    write_config: WriteConfig = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: Verbose = False,
    **given: Any,
) -> None:
    """Answer a benchmark's examples, have the answers judged, print the scores.

    If it is interrupted, start the same command again: it goes on where it was.
    """
    plans = _plans(given)
    if write_config is not None:
        _write_config(write_config, "eval", {**given, "track": track, "report": report})
        return
    pages.require_place(report)
    if dry_run:
        from judgebench.cli.dry_run import print_dry_run
        from judgebench.run.dry_run import estimate

        print_dry_run(estimate(plans), as_json=json)
        return
    _report(plans, json=json, quiet=quiet, verbose=verbose, track=track, page=report)


@options.takes_settings("generate")
def generate(
    config: Config = None,
    *,
    write_config: WriteConfig = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: Verbose = False,
    **given: Any,
) -> None:
    """Answer a benchmark's examples into a run folder. `judgebench judge` goes on from there."""
    plans = _plans(given)
    if write_config is not None:
        _write_config(write_config, "generate", given)
        return
    _report(plans, json=json, quiet=quiet, verbose=verbose, judge=False)


@options.takes_settings("judge")
def judge(
    run: Annotated[Path, typer.Argument(help="Run folder with answers.")],
    config: Config = None,
    *,
    tasks: options.TaskFiles = "",
    write_config: WriteConfig = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: Verbose = False,
    **given: Any,
) -> None:
    """Have the answers of a run folder judged, except those that already are."""
    from judgebench.cli.results import print_results
    from judgebench.run.folder import RunFolder
    from judgebench.tasks import task_files

    settings = settings_from_flags({**given, "tasks": tasks}, sys.argv)
    task_files(tasks)
    if write_config is not None:
        _write_config(write_config, "judge", {**given, "tasks": tasks}, run)
        return
    with _runner(settings, quiet=quiet) as runner:
        results = runner.rejudge(RunFolder(run))
    print_results(results, RunFolder(run).require_manifest(), as_json=json, verbose=verbose, files=tasks)


def _write_config(path: Path, command: str, given: Mapping[str, Any], *run: Path) -> None:
    """Write the flags of a command, without its arguments, to a file that is not there yet."""
    from judgebench.cli.rendering import print_beside
    from judgebench.run.config_files import flags_as_toml

    written = flags_as_toml(command, given)
    try:
        data = written.text.encode()
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError as error:
        raise UsageError(
            f"--write-config {path}: the file is there already; choose another name, or remove it"
        ) from error
    except (OSError, ValueError) as error:
        raise UsageError(f"--write-config {path} cannot be written: {error}") from error
    print_beside("note", [f"{key} holds a password or a key and was not written" for key in written.withheld])
    typer.echo(
        f"wrote {path}; start it with: {shlex.join(['judgebench', command, *map(str, run), '--config', str(path)])}"
    )


def _plans(given: Mapping[str, Any]) -> list[Settings]:
    """Settings of the runs that the flags ask for: one for each model and each step of refinement."""
    from judgebench.display import slug
    from judgebench.models.opening import expand
    from judgebench.run.folder import RunFolder

    prompts = tuple(_prompt(path) for path in given["refine"])
    models = [name for text in given["model"] for name in expand(text)]
    common = settings_from_flags({**given, "model": None, "refine": ()}, sys.argv)
    if not models:
        raise UsageError("--model is missing; name the model under test")
    if len(models) == 1 and not prompts:
        return [dataclasses.replace(common, model=models[0])]
    if common.name is not None and len(models) > 1:
        raise UsageError(
            f"--name is the name of one run, and {len(models)} models are given; name them in "
            "`judgebench leaderboard --name RUN=NAME`"
        )
    if common.out is not None and RunFolder(common.out).manifest() is not None:
        raise UsageError(
            f"{common.out} holds a run itself, but each of several models or steps gets a folder of its own in --out; "
            "choose another folder"
        )
    plans = []
    for model in models:
        for steps in range(len(prompts) + 1):
            suffix = f"-refine{steps}" if steps else ""
            out = None if common.out is None else common.out / f"{slug(model)}{suffix}"
            name = common.name and common.name + suffix
            plans.append(dataclasses.replace(common, model=model, refine=prompts[:steps], out=out, name=name))
    return plans


def _prompt(path: Path) -> str:
    from judgebench.files import read_text

    try:
        return read_text(path)
    except OSError as error:
        raise UsageError(f"--refine {path} cannot be read: {error}") from error


def _report(
    plans: Sequence[Settings],
    *,
    json: bool,
    quiet: bool,
    verbose: bool,
    judge: bool = True,
    track: Sequence[str] = (),
    page: Path | None = None,
) -> None:
    """Make the runs one after the other. If one of several fails, the next ones are made all the same."""
    from judgebench.cli.rendering import print_json
    from judgebench.cli.results import print_notes, print_results
    from judgebench.exchange.trackers import require_trackers
    from judgebench.run.folder import RunFolder
    from judgebench.run.seats import ending_soon, of_one_family

    require_trackers(track)
    told = (
        [] if quiet else [(*ending_soon(plan, judge=judge), *(of_one_family(plan) if judge else ())) for plan in plans]
    )
    notes = list(dict.fromkeys(note for of_plan in told for note in of_plan))
    found: list[Results] = []
    failures: list[tuple[str, JudgebenchError]] = []
    left = plans[0].budget
    for number, settings in enumerate(plans, start=1):
        title = f"run {number} of {len(plans)}: {settings.model}" if len(plans) > 1 else ""
        results, spent, failure = _run(settings, left, quiet=quiet, judge=judge, title=title, notes=notes)
        left = None if left is None else max(0.0, left - spent)
        if results is not None:
            found.append(results)
            options.report_to(track, RunFolder(Path(results.run)))
            manifest = RunFolder(Path(results.run)).require_manifest()
            if json:
                print_notes(manifest)
            else:
                print_results(results, manifest, as_json=False, verbose=verbose, files=settings.tasks)
        if failure is not None and (len(plans) == 1 or isinstance(failure, BudgetExceeded)):
            if json and found:
                print_json(found[0] if len(plans) == 1 else found)
            _write_page(page if found else None, found, settings)
            raise failure
        if failure is not None:
            failures.append((str(settings.model), failure))
    if json:
        print_json(found[0] if len(plans) == 1 else found)
    elif len(found) > 1:
        from judgebench.api import leaderboard
        from judgebench.cli.leaderboard import print_tables
        from judgebench.tasks import is_file, named

        own_tasks = [spec.name for spec in named(plans[0].tasks).values() if is_file(spec.name)]
        runs = [results.run for results in found]
        print_tables(leaderboard(runs, tasks=own_tasks, bridge=plans[0].bridge, level=plans[0].level).groups)
    _write_page(page if found else None, found, plans[0])
    if failures:
        raise SeveralFailed(failures, of=len(plans))


def _write_page(page: Path | None, found: "Sequence[Results]", settings: Settings) -> None:
    from judgebench.tasks import is_file, named

    files = [spec.name for spec in named(settings.tasks).values() if is_file(spec.name)]
    runs = [results.run for results in found]
    pages.write_page(page, runs, "#/", tasks=files, mirrors=settings.mirrors, offline=settings.offline)


@contextmanager
def _runner(settings: Settings, *, quiet: bool, title: str = "", notes: list[str] | None = None) -> "Iterator[Runner]":
    """Show a run's progress, and say what is kept if somebody stops it.

    The notes are taken and said once everything has been checked, before the first call.
    """
    from judgebench.cli.rendering import print_beside
    from judgebench.run.progress import Progress

    with Progress(shown=not quiet, title=title) as progress:
        from judgebench.run.runner import Runner

        def observe(task: "RunningTask", stage: str) -> None:
            while notes:
                print_beside("note", [notes.pop(0)])
            progress.update(task, stage)

        runner = Runner(settings, observe)
        try:
            yield runner
        except KeyboardInterrupt as error:
            raise Interrupted(runner.kept, error, options.command_typed()) from error


def _run(
    settings: Settings, budget: float | None, *, quiet: bool, judge: bool, title: str, notes: list[str]
) -> "tuple[Results | None, float, JudgebenchError | None]":
    """Make one run; return its results, the USD it paid, and the error it ended with, if any."""
    with _runner(dataclasses.replace(settings, budget=budget), quiet=quiet, title=title, notes=notes) as runner:
        try:
            return runner.evaluate(judge=judge), runner.spent, None
        except Incomplete as error:
            return (runner.folder.results() if runner.folder else None), runner.spent, error
        except JudgebenchError as error:
            return None, runner.spent, error
