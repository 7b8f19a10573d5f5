"""``bridge make|show|check``: from a judge of today to the numbers of an official judge that nobody serves any more."""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from judgebench.cli import options
from judgebench.errors import UsageError

if TYPE_CHECKING:
    from judgebench.analysis.bridge_plans import BridgePlan
    from judgebench.analysis.bridging import CheckedRun
    from judgebench.exchange.sheets import Sheet
    from judgebench.run.bridge_files import Bridge
    from judgebench.run.settings import Settings

app = typer.Typer(no_args_is_help=True)
REFUSED = 3

Official = Annotated[
    str,
    typer.Option(
        help="Official numbers: published (the task's table in leaderboards/), published:LABEL for one of several, or "
        "a file with the columns model and, for each metric, its name.",
        metavar="published|FILE.csv",
    ),
]
Level = Annotated[float, typer.Option(help="Level of the intervals.", metavar="L")]
Each = Annotated[
    bool, typer.Option("--verbose", "-v", help="Of several metrics, show the models of each and what they say of it.")
]
Force = Annotated[bool, typer.Option("--force", help="Give numbers that are refused, marked as forced.")]
VendorTable = Annotated[
    Path | None,
    typer.Option(
        "--vendors",
        help="Who trained which model, where judgebench does not know: columns model and vendor.",
        metavar="FILE.csv",
    ),
]


@app.command()
def make(
    runs: Annotated[list[Path] | None, typer.Argument(help="Runs of the bridge models.", metavar="RUN…")] = None,
    *,
    tasks: Annotated[
        list[str],
        typer.Option(
            "--task",
            help="Task: NAME[@VERSION][:KEY=VALUE,…], or the path of your own. Given a second time, the path of an own "
            "task that the runs were made with.",
            metavar="T|PATH",
        ),
    ],
    official: Official = "published",
    metric: Annotated[list[str], typer.Option(help="Only this metric. Repeatable.", metavar="M")] = [],  # noqa: B006 - typer reads the default and copies it
    vendors: VendorTable = None,
    items: Annotated[
        int | None,
        typer.Option(help="The runs are on K items, those that `--plan N --items K` drew.", metavar="K", min=2),
    ] = None,
    plan: Annotated[
        int | None,
        typer.Option(help="Say which N models to judge, with calls and USD. Sends nothing.", metavar="N", min=1),
    ] = None,
    judge: Annotated[list[str], typer.Option(help="With --plan: the judge of today.", metavar="J")] = [],  # noqa: B006
    judge_arg: options.JudgeArgs = [],  # noqa: B006
    name: Annotated[str | None, typer.Option(help="Name of the bridge.", metavar="NAME")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write. Default: NAME.bridge.json. With --plan and --items: the ids of the items.",
            metavar="FILE",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Exit with 0 even if the bridge is refused.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a bridge of other models, or of another judge.")
    ] = False,
    mirror: options.Mirror = [],  # noqa: B006
    offline: options.Offline = False,
    json: options.Json = False,
) -> None:
    """Make a bridge from runs of published models. Exit 0: it predicts; 3: it is refused, as the file says; 2: misuse.

    The bridge models are published ones whose answers J judged, such as `judgebench eval -m published:NAME --judge J`.
    """
    import sys

    from judgebench.models.trained_by import read_vendors
    from judgebench.run.settings import settings_from_flags

    task, files = _one_task(tasks)
    asked = {"judge": judge, "judge_arg": judge_arg, "tasks": task or files, "mirror": mirror, "offline": offline}
    settings = settings_from_flags(asked, sys.argv)
    known = read_vendors(vendors)
    if plan is not None:
        if runs:
            raise UsageError("--plan says which models to judge before there are runs; leave the runs out")
        from judgebench.analysis.bridge_plans import plan_bridge
        from judgebench.cli.rendering import print_commands
        from judgebench.cli.rendering import show as show_as

        one = metric[0] if metric else None
        planned = plan_bridge(settings, official, plan, metric=one, vendors=known, items=items, ids=out)
        show_as("json" if json else "rich", planned, lambda: [_plan_sheet(planned)])
        if not json:
            print_commands(_plan_commands(planned, out if items else None))
        return
    if judge or judge_arg:
        raise UsageError("--judge and --judge-arg are for --plan: the runs say who judged them; leave them out")
    from judgebench.analysis.bridging import make_bridge
    from judgebench.cli.rendering import print_beside, print_lines
    from judgebench.run.bridge_files import SUFFIX, require_same_bridge, with_earlier_drift, write_bridge
    from judgebench.run.loading import source_finder

    bridge = make_bridge(
        _read(runs or (), files),
        task or _only_name(files),
        official,
        source_finder(settings),
        metrics=metric,
        vendors=known,
        items=items,
        name=name,
    )
    path = out or Path(f"{bridge.name}{SUFFIX}")
    if not overwrite:
        require_same_bridge(path, bridge)
    bridge, lost = with_earlier_drift(path, bridge)
    write_bridge(path, bridge)
    _print_bridge(bridge, path, json=json)
    if lost:
        earlier = "1 earlier check of drift is" if lost == 1 else f"{lost} earlier checks of drift are"
        print_beside("note", [f"{earlier} not kept in {path}: the new bridge has other drift items or verdicts"])
    if not json:
        print_lines(bridge, ["", f"wrote {path}; {_next_step(bridge, path)}"], as_json=False)
    if not force and _refused(bridge):
        raise typer.Exit(REFUSED)


@app.command()
def show(
    bridge: Annotated[
        Path | None,
        typer.Argument(
            help="A bridge: its file, or the name of a ready one. Without it: the ready ones.", metavar="FILE"
        ),
    ] = None,
    verbose: Each = False,
    json: options.Json = False,
) -> None:
    """Show a bridge: its models, each predicted by the others, and what it is worth."""
    from judgebench.cli.rendering import print_lines
    from judgebench.run.bridge_files import read_bridge, ready_bridges

    if bridge is not None:
        _print_bridge(read_bridge(bridge), bridge, json=json, verbose=verbose)
        return
    ready = [read_bridge(Path(name)) for name in ready_bridges()]
    print_lines(ready, _ready_lines(ready), as_json=json)


@app.command()
def check(
    bridge: Annotated[Path, typer.Argument(help="A bridge: its file, or the name of a ready one.", metavar="FILE")],
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Runs by the bridge's judge of further models with a published number.", metavar="RUN…"),
    ] = None,
    *,
    drift: Annotated[
        bool,
        typer.Option("--drift", help="Ask the judge again about the bridge's drift items, and note what it says."),
    ] = False,
    official: Official = "published",
    level: Level = 0.95,
    force: Force = False,
    judge: Annotated[
        list[str], typer.Option(help="With --drift: the judge to ask, and where. Default: the bridge's.", metavar="J")
    ] = [],  # noqa: B006
    judge_arg: options.JudgeArgs = [],  # noqa: B006
    judge_prompt: Annotated[Path | None, options.option("judge_prompt")] = None,
    baseline: Annotated[str | None, options.option("baseline")] = None,
    api_key_env: options.KeyEnv = None,
    judge_concurrency: Annotated[int | None, options.option("judge_concurrency")] = None,
    budget: options.Budget = None,
    cache: options.Cache = None,
    tasks: options.TaskFiles = "",
    mirror: options.Mirror = [],  # noqa: B006
    offline: options.Offline = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Compute a bridge again, and look whether it still holds. Exit 0: it does; 3: it is refused or stale; 2: misuse.

    With runs of models that have an official number: was it inside the interval? With --drift: does the judge still say
    what it said? A check that is stopped goes on when the command is started again.
    """
    import sys

    from judgebench.analysis.bridging import check_runs
    from judgebench.cli.rendering import show as show_as
    from judgebench.run.bridge_files import bridge_path, read_bridge
    from judgebench.run.loading import source_finder
    from judgebench.run.settings import settings_from_flags

    path = bridge_path(bridge)
    found, read = read_bridge(path), _read(runs or (), tasks)
    if drift:
        from judgebench.analysis.bridge_drift import task_spec

        asked = {"judge": judge, "judge_arg": judge_arg, "judge_prompt": judge_prompt, "baseline": baseline}
        reached = {"api_key_env": api_key_env, "budget": budget, "judge_concurrency": judge_concurrency, "cache": cache}
        flags = {**asked, **reached, "mirror": mirror, "offline": offline, "tasks": tasks or task_spec(found)}
        found = _ask_again(path, found, read, settings_from_flags(flags, sys.argv), quiet=quiet or json)
    finder = source_finder(settings_from_flags({"tasks": tasks or "none", "mirror": mirror, "offline": offline}))
    checked = check_runs(found, read, official, finder, level=level, force=force)
    record = {
        "bridge": found.name,
        "hash": found.hash,
        "status": _status(found),
        **_drift_record(found),
        "runs": checked,
    }
    show_as("json" if json else "rich", record, lambda: _check_sheets(found, checked))
    if not force and (_refused(found) or "stale" in found.findings.reasons):
        raise typer.Exit(REFUSED)


def _read(paths: Iterable[Path], tasks: str) -> list[Any]:
    from judgebench.run.reading import find_runs, read_run
    from judgebench.tasks import task_files

    paths = list(paths)
    files = task_files(tasks)
    return [read_run(path, files) for path in find_runs(paths)] if paths else []


def _one_task(texts: Iterable[str]) -> tuple[str | None, str]:
    """The one task of a bridge, unless that is named by its path, and the paths of own tasks."""
    from judgebench.tasks import parse_one_spec

    task, files = options.chosen(texts)
    parse_one_spec(task or files)
    return task, files


def _only_name(files: str) -> str:
    """The name of the one task that a path holds."""
    from judgebench.tasks import task_files

    (name,) = task_files(files)
    return name


def _next_step(bridge: "Bridge", path: Path) -> str:
    from judgebench.cli.rendering import COMMAND

    if _refused(bridge):
        return (
            "it is refused and predicts nothing: judge more models, spread over the official range "
            "(`judgebench bridge make --plan N` names some), and make it again"
        )
    file = shlex.quote(str(path))
    if bridge.judge.retired:
        told = "its judge is served no longer: use it for runs that it judged"
        return f"{told}{COMMAND}judgebench score RUN --bridge {file}"
    return f"use it with{COMMAND}judgebench eval … --bridge {file}"


def _refused(bridge: "Bridge") -> bool:
    """Whether no metric of a bridge predicts anything."""
    return all(metric.status == "refused" for metric in bridge.metrics.values())


def _status(bridge: "Bridge") -> dict[str, dict[str, object]]:
    return {
        name: {"status": metric.status, "reasons": metric.reasons, "marks": metric.marks}
        for name, metric in bridge.metrics.items()
    }


def _ask_again(path: Path, bridge: "Bridge", runs: "Sequence[Any]", settings: "Settings", *, quiet: bool) -> "Bridge":
    """Ask the judge again, and write what it said into the bridge's file."""
    from judgebench.analysis.bridge_drift import asked_again, drift_settings, with_answer
    from judgebench.errors import Interrupted
    from judgebench.run.bridge_files import write_bridge
    from judgebench.run.progress import Progress
    from judgebench.run.runner import Runner

    settings = drift_settings(bridge, path, runs, settings)
    with Progress(shown=not quiet) as progress:
        runner = Runner(settings, progress.update)
        try:
            runner.evaluate()
        except KeyboardInterrupt as error:
            raise Interrupted(runner.kept, error, options.command_typed()) from error
    assert settings.out is not None
    bridge = with_answer(bridge, asked_again(bridge, settings.out))
    write_bridge(path, bridge)
    return bridge


# -- what is printed


def _print_bridge(bridge: "Bridge", path: Path, *, json: bool, verbose: bool = False) -> None:
    from judgebench.cli.rendering import print_json, print_sheets
    from judgebench.exchange.bridge_sheets import bridge_sheets

    if json:
        print_json(bridge)
    else:
        print_sheets(list(bridge_sheets(bridge, path, verbose=verbose)))


def _ready_lines(ready: "Sequence[Bridge]") -> "Iterator[str]":
    """The bridges that come with the program, each name on a line of its own for whoever copies it."""
    from judgebench.exchange.bridge_sheets import served_lines

    for bridge in ready:
        metrics = ", ".join(f"{name} {bridge.metrics[name].status}" for name in bridge.metric_names)
        models = f"{len(bridge.included)} models, {bridge.label}"
        yield bridge.name
        yield f"  from {bridge.judge_shown} to {bridge.official_shown}, {models}: {metrics}"
        yield from (f"  {line}" for line in served_lines(bridge))
        yield f"  use: judgebench score RUN --bridge {bridge.name}"
    yield "one of your own begins with: judgebench bridge make --plan 8 --task T --judge J"


def _drift_record(bridge: "Bridge") -> dict[str, object]:
    p_value = None if bridge.drift is None else bridge.drift.p_value
    asked = len(bridge.drift.asked) if bridge.drift else 0
    return {"drift": {"asked": asked, "p_value": p_value, "stale": "stale" in bridge.findings.reasons}}


def _check_sheets(bridge: "Bridge", checked: "Sequence[CheckedRun]") -> "list[Sheet]":
    from judgebench.exchange.bridge_sheets import codes_in_words, drift_lines
    from judgebench.exchange.sheets import Bounds, Figure, Sheet, figures, words

    sheets = []
    for metric in bridge.metric_names:
        unit, of_metric = bridge.metrics[metric].unit, [one for one in checked if one.metric == metric]
        rows = tuple(
            (
                one.model,
                Figure(one.judged, unit),
                Figure(one.predicted, unit),
                Bounds(one.low, one.high, unit),
                Figure(one.official, unit),
                _outcome(one),
            )
            for one in of_metric
        )
        level = next((one.level for one in of_metric if not one.of_bridge), 0.95)
        columns = (*words("model"), *figures("judge", "predicted", f"{100 * level:g} % interval", "official"))
        if rows:
            title = f"{metric}: models with an official number"
            sheets.append(Sheet(title, (*columns, *words("result")), rows, tuple(_counts(of_metric))))
    lines = [
        *(f"{name}: {bridge.metrics[name].status}, computed again and found as stored" for name in bridge.metric_names),
        *drift_lines(bridge),
    ]
    alerts = [text for metric in bridge.metrics.values() for text in codes_in_words(metric.reasons, "refused: ")]
    alerts += codes_in_words(bridge.findings.reasons, "refused: ")
    return [
        *sheets,
        Sheet(f"bridge {bridge.name}", notes=tuple(lines), alerts=tuple(dict.fromkeys(alerts)), summary=True),
    ]


def _outcome(one: "CheckedRun") -> str:
    from judgebench.exchange.bridge_sheets import codes_in_words

    if one.reasons and one.predicted is None:
        return "; ".join(codes_in_words(one.reasons))
    if one.inside is None:
        return "unknown"
    return "inside" if one.inside else "outside"


def _counts(checked: "Sequence[CheckedRun]") -> "Iterator[str]":
    """How many official numbers were inside, and which say nothing new."""
    from judgebench.exchange.bridge_sheets import codes_in_words

    known = [one for one in checked if one.inside is not None and not one.of_bridge]
    if known:
        yield f"{sum(bool(one.inside) for one in known)} of {len(known)} official numbers are inside"
    if own := sum(one.of_bridge for one in checked):
        yield f"{own} of these models are the bridge's own, each predicted by the others (95 % interval)"
    yield from dict.fromkeys(text for one in checked for text in codes_in_words(one.marks, "mark: "))


def _plan_sheet(made: "BridgePlan") -> "Sheet":
    from judgebench.exchange.bridge_sheets import counted_reasons
    from judgebench.exchange.sheets import Figure, Sheet, figures, words

    rows = tuple(
        (
            model.name,
            model.vendor or "",
            Figure(model.official, "percent"),
            f"published:{model.name}" if model.pinned else "from upstream, as file:…",
        )
        for model in made.models
    )
    part = f" of {made.of_items:,}" if made.items != made.of_items else ""
    usd = "unknown"
    if made.usd_likely is not None:
        usd = f"about {made.usd_likely:.2f} USD ({made.usd_low:.2f} to {made.usd_high:.2f})"
    return Sheet(
        title=f"{len(made.models)} bridge models for {made.task}, spread by {made.metric} of {made.official_judge}",
        columns=(*words("model", "vendor"), *figures("official"), *words("answers")),
        rows=rows,
        notes=(
            f"{made.items:,}{part} items each: {made.calls:,} calls of {made.judge or 'a judge'}; price: {usd}",
            f"chosen from {made.candidates} models; left out: {counted_reasons(made.left_out)}",
            *made.notes,
        ),
        spare=("vendor",),
        rows_are="models",
    )


def _plan_commands(made: "BridgePlan", ids: Path | None) -> list[str]:
    """What to do next, for whoever copies it."""
    models = [model.name for model in made.models if model.pinned]
    if not models:
        return []
    flags = [f"-m {shlex.quote(f'published:{model}')}" for model in models]
    flags += [f"--ids {shlex.quote(str(ids))}"] if ids else []
    judges = [f"--judge {shlex.quote(judge)}" for judge in made.judge.split(", ")] if made.judge else ["--judge J"]
    items = f" --items {made.items}" if made.items != made.of_items else ""
    return [
        f"judgebench eval -t {shlex.quote(made.spec)} {' '.join([*flags, '--out runs/bridge', *judges])}",
        f"judgebench bridge make runs/bridge --task {shlex.quote(made.spec)}{items}",
    ]
