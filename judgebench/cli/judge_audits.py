"""``judges audit|compare``: what a judge is worth, and which of several judges adds what."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from judgebench.cli import options
from judgebench.cli.rendering import Format
from judgebench.errors import Interrupted
from judgebench.run.settings import settings_from_flags

if TYPE_CHECKING:
    from judgebench.auditing.audits import AuditPlan
    from judgebench.run.stages import RunningTask

Judges = Annotated[
    list[str],
    typer.Argument(
        metavar="J",
        help="Judge model, in the grammar of --judge, or a judge file. Several models are a jury.",
        show_default=False,
    ),
]
On = Annotated[
    str,
    typer.Option(
        "--on",
        help="Suites, comma separated: builtin (always in; needs no data), llmbar, llmbar-human, judgebench, pandalm, "
        "mtbench-human, rewardbench, rewardbench-2, alpaca-human. SUITE:KEY=VALUE sets an option of its figures.",
        metavar="S1,S2",
    ),
]
Task = Annotated[
    str,
    typer.Option(
        "--task",
        help="Ask with the prompt and the rule of this benchmark's judge: alpacaeval, mtbench:mode=pairwise. Default: "
        "our own prompt, or that of the judge file.",
        metavar="T",
    ),
]
Starter = Annotated[bool, typer.Option("--starter", help="With --task: its bundled prompt, which needs no download.")]
Limit = Annotated[
    str | None,
    typer.Option(
        "--limit",
        help="So many items of each suite or, below 1, this share, spread over its subsets; questions of builtin.",
        metavar="N|SHARE",
    ),
]
Repeats = Annotated[
    int,
    typer.Option(
        "--repeats",
        help="Ask 20 items of the last suite K times, with --limit no more than it says; 1 leaves it out.",
        metavar="K",
        min=1,
    ),
]
VendorsFile = Annotated[
    Path | None,
    typer.Option(
        "--vendors", help="Table model,vendor that says whose models the judge's own are.", metavar="FILE.csv"
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be asked, cost and take; ask no model.")]


@options.takes_settings("audit")
def audit(
    judge: Judges,
    *,
    on: On = "builtin",
    task: Task = "",
    starter: Starter = False,
    limit: Limit = None,
    repeats: Repeats = 3,
    vendors: VendorsFile = None,
    dry_run: DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    everything: options.All = False,
    **given: Any,
) -> None:
    """Measure a judge: agreement with people, biases, attacks, stability, calibration, cost. It stores a judge card.

    Calls go through the call store, so an audit that was interrupted, or is made again, buys nothing twice.
    """
    from judgebench.auditing.audits import AuditPlan, estimate, parse_suites
    from judgebench.models.trained_by import read_vendors

    suites, suite_options = parse_suites(on)
    flags = {**given, "tasks": task, "judge": judge, "limit": limit, "starter": starter}
    plan = AuditPlan(
        settings=settings_from_flags(flags, sys.argv),
        suites=suites,
        repeats=repeats,
        vendors=read_vendors(vendors),
        options=suite_options,
    )
    if dry_run:
        from judgebench.cli.dry_run import print_dry_run

        print_dry_run(estimate(plan), as_json=json)
        return
    _audit(plan, json=json, quiet=quiet, everything=everything)


def _audit(plan: "AuditPlan", *, json: bool, quiet: bool, everything: bool) -> None:
    from judgebench.auditing.audits import audit as measured
    from judgebench.cli.rendering import print_json, print_sheets
    from judgebench.exchange.judge_cards import sheets_of, short_sheet, write_pages
    from judgebench.run.progress import Progress

    def observe(task: "RunningTask", stage: str) -> None:
        progress.update(task, stage)

    with Progress(shown=not quiet) as progress:
        try:
            path, card = measured(plan, observe)
        except KeyboardInterrupt as error:
            raise Interrupted("the call store keeps every finished verdict", error, options.command_typed()) from error
    pages = write_pages(path, card)
    if json:
        print_json(card)
        return
    print_sheets(sheets_of(card) if everything else [short_sheet(card)], rest=None)
    typer.echo("\n".join(["judge card:", *(f"  {page}" for page in (path, *pages))]))


def compare(
    judges: Annotated[
        list[str],
        typer.Argument(
            metavar="J", help="Judges as they were audited, or the paths of their cards.", show_default=False
        ),
    ],
    *,
    on: Annotated[
        str, typer.Option("--on", help="Suites, comma separated. Default: all that every judge has.", metavar="S1,S2")
    ] = "",
    form: Annotated[Format, typer.Option("--format", help="How to print it.")] = "rich",
    json: options.Json = False,
    everything: options.All = False,
) -> None:
    """Compare audited judges: who is better, whose errors agree, who adds what, and what they are worth together.

    It asks nothing: the verdicts are those that `judgebench judges audit` kept.
    """
    from judgebench.auditing.comparing import compare as compared
    from judgebench.cli.rendering import show
    from judgebench.exchange.judge_cards import comparison_sheets

    names = [name.strip() for name in on.split(",") if name.strip()]
    found = compared(judges, names)
    show("json" if json else form, found, lambda: list(comparison_sheets(found)), rest=options.rest(everything))
