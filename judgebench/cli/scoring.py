"""``score``: read a run's replies again and compute its numbers. It makes no call."""

from pathlib import Path
from typing import Annotated

import typer

from judgebench.cli import Verbose, options
from judgebench.cli.layout_options import takes_layout
from judgebench.cli.remarks import remark
from judgebench.cli.rendering import Format
from judgebench.errors import Incomplete
from judgebench.exchange.layout import Layout
from judgebench.run.settings import settings_from_flags


@takes_layout
def score(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    tasks: Annotated[
        list[str],
        typer.Option(
            "--tasks",
            help="Print only these tasks; all are scored. Options, such as alpacaeval:upstream_compat=true, stay with "
            "the run. Or the path of your own task, if it was made with one.",
            metavar="T1,T2|PATH",
        ),
    ] = [],  # noqa: B006 - typer reads the default and copies it
    labels: options.Labels = None,
    bridge: options.Bridge = [],  # noqa: B006 - typer reads the default and copies it
    level: options.Level = 0.95,
    force: Annotated[
        bool, typer.Option("--force", help="With --bridge: give numbers that are refused, marked as forced.")
    ] = False,
    think_tags: options.ThinkTags = [],  # noqa: B006
    track: options.Track = [],  # noqa: B006
    mirror: options.Mirror = [],  # noqa: B006
    offline: options.Offline = False,
    unsafe_local: options.UnsafeLocal = False,
    form: Annotated[Format, typer.Option("--format", help="How to print it.")] = "rich",
    everything: options.All = False,
    json: options.Json = False,
    verbose: Verbose = False,
    *,
    layout: Layout,
) -> None:
    """Score a run folder again with today's rules. Makes no call."""
    from judgebench.cli.results import of_tasks, print_results
    from judgebench.exchange.trackers import require_trackers
    from judgebench.run.folder import RunFolder
    from judgebench.run.manifests import missing, something_failed
    from judgebench.run.scoring import score_run
    from judgebench.tasks import named, on_run, parse_specs

    require_trackers(track)
    layout.require_valid("json" if json else form)
    folder = RunFolder(run)
    task, files = options.chosen(tasks)
    asked = [spec for spec in parse_specs(task) if spec.text not in named(files)] if task else []
    settled = ",".join([*filter(None, [files]), *(spec.text for spec in asked)])
    given = {"tasks": settled, "labels": labels, "bridge": bridge, "level": level, "think_tags": think_tags}
    settings = settings_from_flags({**given, "mirror": mirror, "offline": offline, "unsafe_local": unsafe_local})
    before = folder.require_manifest()
    results, manifest = score_run(folder, settings, force=force), folder.require_manifest()
    for key, task_manifest in manifest.tasks.items():
        if task_manifest.options != before.tasks[key].options:
            remark(
                f"{run} has its scores of {task_manifest.label} from now on, for every command, in place of those of "
                f"{before.tasks[key].label}; give the option its former value to go back"
            )
    print_results(
        *of_tasks(results, manifest, [spec.name for spec in parse_specs(task)] if task else ()),
        as_json=json,
        verbose=verbose,
        everything=everything,
        form=form,
        layout=layout,
        files=files,
    )
    options.report_to(track, folder)
    if results.status == "incomplete":
        again = f" `judgebench judge {on_run(run, files)}` asks for what is missing"
        raise Incomplete(f"{missing(manifest, judged=True)}{again if something_failed(manifest) else ''}")
