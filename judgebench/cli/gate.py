"""``gate``: whether a candidate may replace the baseline, for a terminal and for CI."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from judgebench.cli import options, pages
from judgebench.cli.rendering import show
from judgebench.display import figure, markdown
from judgebench.errors import Interrupted, JudgebenchError, UsageError
from judgebench.exchange.sheets import Bounds, Sheet, figures, markdown_of, words
from judgebench.run.settings import Settings, settings_from_flags

if TYPE_CHECKING:
    from judgebench.gating.verdicts import Gate
    from judgebench.report.links import Links

VERDICTS = ("FAIL", "INCONCLUSIVE", "PASS")
"""The first matter most."""


def gate(
    baseline: Annotated[
        str, typer.Option(help="Run folder, archive, or published:MODEL for a row of a published table.", metavar="A")
    ],
    candidate: Annotated[Path, typer.Option(help="Run folder or archive.", metavar="B")],
    policy: Annotated[Path | None, typer.Option(help="TOML file that says what to check.", metavar="FILE")] = None,
    max_drop: Annotated[
        float | None, typer.Option(help="Largest accepted loss of each headline metric, in its unit.", metavar="X")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML.", metavar="FILE")] = None,
    md: Annotated[Path | None, typer.Option(help="Write a Markdown report.", metavar="FILE")] = None,
    html: pages.Html = None,
    github: Annotated[
        bool, typer.Option("--github", help="Write annotations, $GITHUB_STEP_SUMMARY and $GITHUB_OUTPUT.")
    ] = False,
    sequential: Annotated[
        bool,
        typer.Option(
            "--sequential",
            help="Look at the examples in random order and stop as soon as the verdict is sure. Answers of the "
            "candidate that are not judged yet are judged only as far as that takes, by the judge of its own last "
            "session or of the baseline's. The same command goes on where it was. Only for metrics that are plain "
            "means over examples; the verdict is about these examples.",
        ),
    ] = False,
    judge: Annotated[
        list[str],
        typer.Option(
            "--judge",
            help="With --sequential: the judge to ask, instead of the one that the runs name. A run folder cannot "
            "choose a checkpoint, another host or a key: such a judge must be named here.",
            metavar="J",
        ),
    ] = [],  # noqa: B006 - typer reads the default and copies it
    judge_arg: options.JudgeArgs = [],  # noqa: B006
    control: Annotated[
        list[str],
        typer.Option(
            "--control",
            help="With --sequential: decide earlier by what is known of the examples before: baseline (its own "
            "verdicts, counted in with any other), published (the mean over published models), or another run. "
            "Repeatable.",
            metavar="baseline|published|RUN",
        ),
    ] = [],  # noqa: B006
    api_key_env: options.KeyEnv = None,
    budget: options.Budget = None,
    cache: options.Cache = None,
    tasks: options.TaskFiles = "",
    on_inconclusive: Annotated[
        Literal["fail", "warn", "pass"], typer.Option(help="fail: exit 3; warn, pass: exit 0.")
    ] = "fail",
    everything: options.All = False,
    json: options.Json = False,
    mirror: options.Mirror = [],  # noqa: B006
    offline: options.Offline = False,
) -> None:
    """Check a candidate against a baseline. Exit 0: passed; 1: a regression; 3: these items cannot tell; 2: misuse."""
    from judgebench import api
    from judgebench.gating.ci_reports import annotations, outputs, refusal
    from judgebench.gating.ci_reports import junit as junit_of
    from judgebench.gating.verdicts import PUBLISHED, exit_code
    from judgebench.run.folder import now

    try:
        pages.require_place(html)
        asked = {"judge": judge, "judge_arg": judge_arg, "api_key_env": api_key_env, "budget": budget}
        settings = settings_from_flags(
            {**asked, "tasks": tasks, "cache": cache, "mirror": mirror, "offline": offline}, sys.argv
        )
        if sequential:
            shown = not (json or github)
            result = _in_order(baseline, candidate, policy, max_drop, settings, control, shown=shown)
            timestamp = now()
        else:
            _require_nobody_asked(settings, control)
            run = api.load_run(candidate, tasks=tasks)
            result = api.gate(
                baseline, run, max_drop=max_drop, policy=policy, mirrors=mirror, offline=offline, tasks=tasks
            ).record
            timestamp = run.record.manifest.finished_at or run.record.manifest.started_at
        links = pages.write_page(
            html,
            [*([] if baseline.startswith(PUBLISHED) else [baseline]), candidate],
            "#/compare" if not baseline.startswith(PUBLISHED) else "#/",
            mirrors=mirror,
            offline=offline,
            tasks=tasks,
        )
    except JudgebenchError as error:
        if github:
            typer.echo(refusal(str(error)), err=True)
        raise
    code = exit_code(result, on_inconclusive)
    sheet = _sheet(result, terminal=False)
    if junit is not None:
        _write(junit, junit_of(result, on_inconclusive, timestamp))
    if md is not None:
        _write(md, (markdown_of(sheet) + _linked(result, links, md.parent)).encode())
    with _no_commands(github and not json):
        show("json" if json else "rich", result, lambda: [_sheet(result, terminal=True)], rest=options.rest(everything))
    if github:
        # Beside JSON on stdout, commands go to stderr, which GitHub reads as well.
        for line in annotations(result, on_inconclusive):
            typer.echo(line, err=json)
        written = "" if html is None else f"\nThe report with every sample: {markdown(str(html))}\n"
        _append("GITHUB_STEP_SUMMARY", markdown_of(sheet) + written)
        _append("GITHUB_OUTPUT", outputs(result, code))
    raise typer.Exit(code)


def _require_nobody_asked(settings: Settings, control: Sequence[str]) -> None:
    if control:
        raise UsageError(
            f"--control {control[0]} decides a gate that looks at one example after the other, and without "
            "--sequential all examples are looked at; add --sequential, or leave it out"
        )
    if settings.judges or settings.judge_args or settings.api_key_env or settings.budget is not None:
        raise UsageError(
            "--judge, --judge-arg, --api-key-env and --budget are for gate --sequential; without it no judge is asked"
        )


def _in_order(
    baseline: str,
    candidate: Path,
    policy: Path | None,
    max_drop: float | None,
    settings: Settings,
    control: Sequence[str],
    *,
    shown: bool,
) -> "Gate":
    from judgebench.gating.policy import policy_of
    from judgebench.gating.sequential import sequential_gate
    from judgebench.gating.verdicts import PUBLISHED
    from judgebench.run.progress import Progress

    if baseline.startswith(PUBLISHED):
        raise UsageError(
            f"--sequential goes example by example, and only the numbers of {baseline} are known; name a run as the "
            f"baseline"
        )
    asked = policy_of(policy, max_drop)
    with Progress(shown=shown) as progress:
        try:
            return sequential_gate(
                Path(baseline), candidate, asked, settings, observer=progress.update, control=control
            )
        except KeyboardInterrupt as error:
            kept = f"{candidate} keeps what was judged"
            raise Interrupted(kept, error, options.command_typed()) from error


def _sheet(result: "Gate", *, terminal: bool) -> Sheet:
    """The checks; a terminal has no room for two columns of names."""
    from judgebench.gating.ci_reports import remarks, sentence

    rows = tuple(
        (
            *((f"{check.task} {check.metric}",) if terminal else (check.task, check.metric)),
            check.verdict + (" (warns only)" if check.tier == "warn" else ""),
            figure(check.baseline_value, check.unit),
            figure(check.candidate_value, check.unit),
            figure(check.difference, check.unit, signed=True),
            Bounds(check.low, check.high, check.unit, signed=True),
            f"{check.max_drop:g}",
            str(check.n) if check.sequential is None else f"{check.sequential.n} of {check.sequential.population}",
            "" if check.n_to_decide is None else f"{check.n_to_decide:,}",
        )
        for check in result.checks
    )
    level = f"{100 * (1 - 2 * result.alpha):g} % interval"
    numbers = figures("baseline", "candidate", "difference", level, "max drop", "n", "n to decide")
    if terminal:
        sentences = tuple(f"{check.task} {check.metric}: {remarks(check)}" for check in result.checks)
    else:
        sentences = tuple(map(sentence, result.checks))
    title = f"gate {result.verdict}: {result.candidate} against {result.baseline}"
    spare = ("n to decide", "n", ("baseline", "candidate"))
    order = sorted(range(len(rows)), key=lambda place: VERDICTS.index(result.checks[place].verdict))
    return Sheet(
        title,
        words(*(("check",) if terminal else ("task", "metric")), "verdict") + numbers,
        rows,
        (
            *sentences,
            f"{level}: a gate is a one-sided test at {100 * result.alpha:g} %, which its lower end decides",
            *result.notes,
        ),
        spare=spare,
        order=tuple(order),
        rows_are="checks",
    )


def _linked(result: "Gate", links: "Links | None", folder: Path) -> str:
    """Below the table: a link to each check that did not pass, and to the samples that changed most."""
    from judgebench.report.links import Links, in_markdown, largest_changes

    if links is None:
        return ""
    beside = Links(Path(os.path.relpath(links.place, folder)), links.report)
    runs = [run.path for run in links.report.runs]
    lines = [f"- {in_markdown('the report with every sample', f'{beside.place}#/')}"]
    checks = [check for check in result.checks if check.verdict != "PASS"]
    for check in checks:
        words = markdown(f"{check.verdict}: {check.task} {check.metric}")
        lines.append(f"- {in_markdown(words, beside.metric(check.task, check.metric))}")
    failed = {check.task for check in checks if check.verdict == "FAIL"}
    for task in links.report.tasks:
        if task.label in failed and len(runs) == 2:
            changed = [
                f"{in_markdown(markdown(name), beside.sample(task.protocol_hash, name, *runs))} "
                f"({figure(change, task.opened[0].measures[str(task.measure)].unit, signed=True)})"
                for name, change in largest_changes(task)
            ]
            lines.append(f"- samples of {markdown(task.label)} that changed most: {', '.join(changed)}")
    return "\n" + "\n".join(lines) + "\n"


@contextmanager
def _no_commands(github: bool) -> Iterator[None]:
    """Keep GitHub from taking anything printed within for a workflow command, whatever names it contains."""
    if not github:
        yield
        return
    import secrets

    token = secrets.token_hex(16)
    typer.echo(f"::stop-commands::{token}")
    yield
    typer.echo(f"::{token}::")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _append(variable: str, text: str) -> None:
    """Append to a file that GitHub names in the environment; outside GitHub, do nothing."""
    if path := os.environ.get(variable):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
