"""``report``: one page that shows why the numbers of some runs are what they are, or a site of many runs."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from judgebench.cli import options
from judgebench.cli.remarks import remark
from judgebench.display import counted
from judgebench.errors import UsageError

if TYPE_CHECKING:
    from judgebench.report.collect import Report
    from judgebench.report.site_writing import Written
    from judgebench.run.reading import Runs

PAGES = (".html", ".htm")


def report(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders, archives, or folders of runs. The first is the baseline.")
    ],
    html: Annotated[
        str,
        typer.Option(
            "--html",
            help="File to write (.html), or a folder (with / at the end): for runs that are named, a page with its "
            "samples in files beside it; for a folder of runs, a site with leaderboards and a page for each run, which "
            "is brought up to date.",
            metavar="FILE|FOLDER/",
        ),
    ],
    adjust: Annotated[
        Literal["holm", "bh", "none"], typer.Option(help="How to adjust p-values for their number, as in compare.")
    ] = "holm",
    samples: Annotated[
        int | None,
        typer.Option(
            help="At most so many samples of each task: first flips, unread verdicts and failures, then others at "
            "random. Numbers are of all.",
            min=1,
            metavar="N",
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            help="Leave these texts out, because they are large or not to be shared. Repeatable.",
            metavar="thinking|judge|answers",
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            help="In a site: also compare each run with this one, by its folder or name. Without it, with the "
            "previous run of its model.",
            metavar="RUN",
        ),
    ] = None,
    level: Annotated[
        int,
        typer.Option(
            help="How hard to compress samples: 1 takes half of the time, and a sixth more room.",
            min=1,
            max=9,
            metavar="1-9",
        ),
    ] = 5,
    bridge: Annotated[
        list[Path],
        typer.Option(
            help="File of a judge bridge of your own by which runs were predicted, to show its models. Those that come "
            "with judgebench are found. Repeatable.",
            metavar="FILE",
        ),
    ] = [],  # noqa: B006 - typer reads the default and copies it
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if there is one; of a site, write every page again.")
    ] = False,
    names: options.Names = [],  # noqa: B006 - typer reads the default and copies it
    json: options.Json = False,
    tasks: options.TasksOfRuns = [],  # noqa: B006 - typer reads the default and copies it
    mirror: options.Mirror = [],  # noqa: B006 - typer reads the default and copies it
    offline: options.Offline = False,
) -> None:
    """Write a page with the numbers of some runs, how they differ, and every sample behind them, or a site of many."""
    from judgebench.report.collect import TEXTS, collect
    from judgebench.report.site_writing import writing_alone
    from judgebench.run.bridge_files import read_bridge
    from judgebench.run.loading import source_finder
    from judgebench.run.reading import read_runs, renamed
    from judgebench.run.settings import settings_from_flags
    from judgebench.tasks import task_files

    if unknown := sorted(set(without or ()) - set(TEXTS)):
        raise UsageError(f"--without {unknown[0]}: that is none of {', '.join(TEXTS)}")
    folder = _require_form(html)
    whole = folder and any(path.is_dir() and not (path / "manifest.json").exists() for path in runs)
    if baseline is not None and not whole:
        raise UsageError(
            f"--baseline {baseline} says with which run those of a site are compared, and this is one page, whose "
            "first run is the baseline: name that run first, or give a folder of runs and --html FOLDER/ for a site"
        )
    for path in bridge:
        read_bridge(path)
    task, files = options.chosen(tasks)
    finder = source_finder(settings_from_flags({"tasks": files, "mirror": mirror, "offline": offline}))
    shown: dict[str, Any] = {"task": task, "adjust": adjust, "most": samples, "level": level}
    shown |= {"finder": finder, "without": frozenset(without or ()), "bridges": tuple(bridge)}
    with writing_alone(Path(html), remark) if whole else nullcontext():
        read = read_runs(runs, task_files(files))
        for unreadable in read.unreadable:
            remark(f"not in the report: {unreadable.reason}")
        found = replace(read, readable=tuple(renamed(read.readable, options.run_names(names))))
        if whole:
            _print_site(_site(runs, found, Path(html), shown, baseline, files, overwrite=overwrite), json=json)
            return
    _print_page(collect(found.readable, unreadable=found.unreadable, **shown), html, overwrite=overwrite, json=json)


def _require_form(html: str) -> bool:
    """Whether a folder is to be written; raise :class:`UsageError` for a name that leaves open what it is."""
    if html.endswith("/") or Path(html).is_dir():
        return True
    if not html.lower().endswith(PAGES):
        raise UsageError(
            f"--html {html} could be a page or a folder; end it in .html for one page that can be sent, or in / for a "
            "folder (of named runs: the page with its samples beside it; of a folder of runs: a site)"
        )
    return False


def _print_page(report: "Report", html: str, *, overwrite: bool, json: bool) -> None:
    from judgebench.cli.rendering import print_json
    from judgebench.report.page import write_page

    if html.endswith("/"):
        Path(html).mkdir(parents=True, exist_ok=True)
    written = write_page(report, Path(html), overwrite=overwrite)
    if json:
        counts = {"runs": len(report.runs), "tasks": len(report.tasks), "slices": written.slices}
        counts["samples"] = sum(len(one.listed) for one in report.tasks)
        print_json({"path": str(written.path), "bytes": written.size, **counts})
        return
    beside = f", with its samples in {written.folder}/ beside it" if written.folder else ""
    typer.echo(f"{written.path}: {written.size / 2**20:.1f} MB, opens in any browser{beside}")


# -- sites


def _site(
    given: list[Path],
    found: "Runs",
    place: Path,
    shown: dict[str, Any],
    baseline: str | None,
    files: str,
    *,
    overwrite: bool,
) -> "Written":
    """Write a site: the leaderboards that ``leaderboard --published`` prints, and a page for each run."""
    from judgebench import api
    from judgebench.analysis.leaderboard import across_tasks, of_tasks_of_runs
    from judgebench.cli.leaderboard import boards
    from judgebench.report.site import Board, Shown, Site, SiteRun, broken_of, localised, origins, pairs_of
    from judgebench.report.site_writing import require_place, write_site
    from judgebench.run.reading import require_held
    from judgebench.tasks import is_among

    task = shown["task"]
    if found.readable:
        require_held(found.readable, task)
    own = [run for run in found.readable if any(is_among(task, one.names) for one in run.tasks.values())]
    if not own:
        reasons = "; ".join(one.reason for one in found.unreadable)
        raise UsageError(f"there is no run to make a site of{f': {reasons}' if reasons else ''}")
    names = dict(zip((str(run.path) for run in own), origins(given, [run.path for run in own]), strict=True))
    runs = [SiteRun(run, names[str(run.path)]) for run in own]
    pairs = pairs_of(runs, baseline)
    require_place(runs, place)
    ranked = api.leaderboard(*map(api.Run, own), task=task, published=True, tasks=files)
    groups = of_tasks_of_runs(localised(ranked.groups, names))
    site = Site(
        runs=tuple(runs),
        boards=tuple(Board(sheet, group) for group, sheet in boards(groups, across_tasks(groups))),
        pairs=tuple(pairs),
        broken=broken_of(given, found.unreadable),
        shown=Shown(**shown),
    )
    return write_site(site, place, overwrite=overwrite)


def _print_site(written: "Written", *, json: bool) -> None:
    from judgebench.cli.rendering import print_beside, print_json

    print_beside("no page", (f"{origin}: {reason}" for origin, reason in written.broken))
    first = written.place / "index.html"
    if json:
        lists = {"written": written.written, "kept": written.kept, "removed": written.removed}
        print_json({"path": str(first), **lists, "broken": dict(written.broken)})
        return
    typer.echo(
        f"{first}: {counted(len(written.written), 'page')} written, {len(written.kept)} as they were, "
        f"{len(written.removed)} removed; opens in any browser, and in any static host"
    )
