"""``arena``: ratings of one's own models from games between them. The ratings are made in ``arena/``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from judgebench.cli import options
from judgebench.cli.layout_options import takes_layout
from judgebench.cli.rendering import Format
from judgebench.errors import Interrupted, UsageError
from judgebench.exchange.layout import Layout
from judgebench.run.settings import limit_of, settings_from_flags

if TYPE_CHECKING:
    from judgebench.arena.arenas import Plan
    from judgebench.arena.playing import Rule
    from judgebench.arena.records import Arena
    from judgebench.run.stages import RunningTask

SETTINGS = (
    *("judge", "judge_prompt", "out", "limit", "judge_repeats", "reask", "model_arg", "judge_arg", "gen", "judge_gen"),
    *("system", "chat_template", "thinking", "think_tags", "fields", "level", "api_key_env", "concurrency"),
    *("judge_concurrency", "rpm", "tpm", "budget", "cache", "mirror", "offline"),
)
"""The settings of runs that an arena has, by their flags."""


@takes_layout
@options.takes_settings("arena", SETTINGS)
def arena(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Runs of the models, or folders that hold some.", metavar="RUN…")
    ] = None,
    *,
    models: Annotated[
        list[str],
        typer.Option("--models", help="Models that answer the prompts first, comma separated.", metavar="A,B,C"),
    ] = [],  # noqa: B006 - typer reads the default and copies it
    prompts: Annotated[
        Path | None,
        typer.Option(help="What they are asked: json, jsonl, csv, parquet, or a TOML benchmark.", metavar="FILE"),
    ] = None,
    battles: Annotated[
        Path | None,
        typer.Option(
            help="Rate a table of battles that was made elsewhere: model_a, model_b, winner, and question_id if known.",
            metavar="FILE",
        ),
    ] = None,
    judged: Annotated[
        bool,
        typer.Option("--judged", help="Rate the runs and their baselines by the verdicts they hold; asks nothing."),
    ] = False,
    tasks: options.TasksOfRuns = [],  # noqa: B006 - typer reads the default and copies it
    name: options.Names = [],  # noqa: B006
    pairs: Annotated[
        str,
        typer.Option(
            help="adaptive: the most informative games first, until the order is known; all: every pair on every "
            "question.",
            metavar="adaptive|all",
        ),
    ] = "adaptive",
    calls: Annotated[
        str | None,
        typer.Option(
            help="At most so many games or, up to 1, this share of all. Default: 0.4, and 1 with --pairs all.",
            metavar="N|SHARE",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the order of the questions.", metavar="N", min=0)] = 0,
    anchor: Annotated[
        list[str],
        typer.Option(
            help="Where the scale lies: a model's rating (repeatable), a file of ratings, or a published table "
            "(arena_elo). Default: mean 1000.",
            metavar="MODEL=RATING|FILE|NAME",
        ),
    ] = [],  # noqa: B006
    style_control: Annotated[
        str | None,
        typer.Option(
            help="Also ratings with length and markdown held equal, by a preset: arena-hard-current, arena2024, "
            "arena-rank.",
            metavar="PRESET",
        ),
    ] = None,
    elo: Annotated[bool, typer.Option("--elo", help="Also online Elo ratings.")] = False,
    elo_k: Annotated[float, typer.Option(help="K of online Elo.", metavar="K", min=0.001)] = 4.0,
    wb_elo: Annotated[
        bool, typer.Option("--wb-elo", help="WB-Elo from the scores of single answers; asks nothing.")
    ] = False,
    margin: Annotated[
        float, typer.Option(help="With --wb-elo: the score difference that wins.", metavar="D", min=0.001)
    ] = 2.0,
    length_margin: Annotated[
        float, typer.Option(help="With --wb-elo: a difference in characters that makes a tie; 0 for none.", metavar="N")
    ] = 1500.0,
    replay: Annotated[
        int | None,
        typer.Option(
            help="With --battles: play the table adaptively in N random orders, and say what that saves and loses.",
            metavar="N",
            min=1,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be asked, cost and take; ask no model.")
    ] = False,
    form: Annotated[Format, typer.Option("--format", help="How to print it.")] = "rich",
    layout: Layout = Layout(),  # noqa: B008 - takes_layout gives it
    json: options.Json = False,
    everything: options.All = False,
    quiet: options.Quiet = False,
    **given: Any,
) -> None:
    """Rate your own models by games between them, judged in pairs: Bradley-Terry with intervals.

    Games go through the call store; an arena that was interrupted, or gets more models, buys nothing twice.
    """
    from judgebench.arena.anchoring import read_anchors
    from judgebench.arena.arenas import Plan, estimate, rate_battles, rate_judged
    from judgebench.arena.playing import Rule
    from judgebench.arena.rating import Wishes
    from judgebench.cli.rendering import show
    from judgebench.exchange.arena_tables import flat_sheet, sheets_of

    form = "json" if json else form
    task, files = options.chosen(tasks)
    settings = settings_from_flags({**given, "tasks": files}, sys.argv)
    level = settings.level / 100 if settings.level >= 1 else settings.level
    wishes = Wishes(level=level, style=style_control, elo=elo, k=elo_k)
    rule = Rule(how=pairs, calls=None if calls is None else _calls(calls), level=level, seed=seed)
    anchors = read_anchors(anchor)
    if replay is not None and battles is None:
        raise UsageError(f"--replay {replay} replays a table of battles; name it with --battles")
    if wb_elo:
        _show_wb_elo(runs or [], files, task, options.run_names(name), anchors, margin, length_margin, form, layout)
        return
    if battles is not None:
        if runs or models:
            raise UsageError(f"--battles {battles} holds the games already; leave the runs and --models out")
        if replay is not None:
            _show_replays(battles, rule, replay, form, layout)
            return
        found = rate_battles(battles, wishes, anchors)
    else:
        plan = Plan(
            settings=settings,
            runs=tuple(runs or ()),
            models=tuple(part.strip() for text in models for part in text.split(",") if part.strip()),
            prompts=prompts,
            task=task,
            names=options.run_names(name),
            rule=rule,
            wishes=wishes,
            given=anchors,
        )
        if judged:
            _require_runs(plan)
            found = rate_judged(plan)
        elif dry_run:
            from judgebench.cli.dry_run import print_dry_run

            print_dry_run(estimate(plan), as_json=form == "json")
            return
        else:
            found = _held(plan, quiet=quiet)
    show(form, found, lambda: sheets_of(found), lambda: flat_sheet(found), layout=layout, rest=options.rest(everything))


def _require_runs(plan: "Plan") -> None:
    if plan.models:
        raise UsageError("--judged rates the verdicts of runs; leave --models and --prompts out")


def _calls(text: str) -> int | float:
    if text in ("all", "1", "1.0"):
        return 1.0
    return limit_of(text, "--calls")


def _show_replays(battles: Path, rule: "Rule", orders: int, form: Format, layout: Layout) -> None:
    from judgebench.arena.games import read_battles
    from judgebench.arena.replaying import replay
    from judgebench.cli.rendering import show
    from judgebench.exchange.arena_tables import replay_sheet

    made = replay(read_battles(battles), rule, orders)
    show(form, made, lambda: [replay_sheet(made)], layout=layout)


def _held(plan: "Plan", *, quiet: bool) -> "Arena":
    from judgebench.arena.arenas import hold
    from judgebench.run.progress import Progress

    with Progress(shown=not quiet) as progress:

        def observe(task: "RunningTask", stage: str) -> None:
            progress.update(task, stage)

        try:
            return hold(plan, observe)
        except KeyboardInterrupt as error:
            kept = "the arena's folder keeps every finished answer and verdict"
            raise Interrupted(kept, error, options.command_typed()) from error


def _show_wb_elo(
    runs: list[Path],
    files: str,
    task: str | None,
    names: dict[str, str],
    anchors: Any,
    margin: float,
    length_margin: float,
    form: Format,
    layout: Layout,
) -> None:
    from judgebench.arena.wb_elo import VoteRule, wb_elo
    from judgebench.cli.rendering import show
    from judgebench.exchange.arena_tables import wb_sheet
    from judgebench.run.reading import read_runs, renamed
    from judgebench.tasks import task_files

    if not runs:
        raise UsageError("--wb-elo is made of the scores of runs; name their folders")
    found = read_runs(runs, task_files(files)).readable
    rule = VoteRule(margin=margin, tie_margin=margin, length_margin=length_margin or None)
    made = wb_elo(renamed(found, names) if names else list(found), task=task, given=anchors, rule=rule)
    show(form, made, lambda: [wb_sheet(made)], layout=layout)
