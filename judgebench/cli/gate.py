"""``gate``: may the candidate take the baseline's place?"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judgebench.cli import options
from judgebench.cli.rendering import print_json, print_sheets
from judgebench.display import figure, interval
from judgebench.exchange.sheets import Sheet, figures, markdown_of, words

if TYPE_CHECKING:
    from judgebench.gating.policy import Policy
    from judgebench.gating.verdicts import Gate
    from judgebench.run.settings import Settings


class OnInconclusive(StrEnum):
    """What an inconclusive gate means for the exit code."""

    FAIL = "fail"
    WARN = "warn"
    PASS = "pass"


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
    api_key_env: options.KeyEnv = None,
    budget: options.Budget = None,
    tasks: options.TaskFiles = "",
    on_inconclusive: Annotated[
        OnInconclusive, typer.Option(help="fail: exit 3; warn, pass: exit 0.")
    ] = OnInconclusive.FAIL,
    json: options.Json = False,
    mirror: options.Mirror = [],  # noqa: B006
    offline: options.Offline = False,
) -> None:
    """Check a candidate against a baseline. Exit 0: passed; 1: a regression; 3: these items cannot tell; 2: misuse."""
    from judgebench.analysis.comparison import official_files
    from judgebench.errors import JudgebenchError
    from judgebench.gating.ci_reports import annotations, outputs, refusal
    from judgebench.gating.ci_reports import junit as junit_of
    from judgebench.gating.verdicts import PUBLISHED, exit_code
    from judgebench.gating.verdicts import gate as decide
    from judgebench.run.folder import now
    from judgebench.run.reading import read_run
    from judgebench.run.settings import settings_from_flags
    from judgebench.tasks import task_files

    try:
        asked, files = _policy(policy, max_drop), task_files(tasks)
        given = {"tasks": tasks, "judge": judge, "judge_arg": judge_arg, "api_key_env": api_key_env, "budget": budget}
        settings = settings_from_flags({**given, "mirror": mirror, "offline": offline}, sys.argv)
        if sequential:
            result, timestamp = _in_order(baseline, candidate, asked, settings, shown=not (json or github)), now()
        else:
            _require_nobody_asked(settings)
            run = read_run(candidate, files)
            result = decide(
                baseline.removeprefix(PUBLISHED) if baseline.startswith(PUBLISHED) else read_run(Path(baseline), files),
                run,
                asked,
                files=official_files(settings.mirrors, offline=offline),
            )
            timestamp = run.manifest.finished_at or run.manifest.started_at
    except JudgebenchError as error:
        if github:
            typer.echo(refusal(str(error)), err=True)
        raise
    code = exit_code(result, on_inconclusive.value)
    sheet = _sheet(result)
    if junit is not None:
        _write(junit, junit_of(result, on_inconclusive.value, timestamp))
    if md is not None:
        _write(md, markdown_of(sheet).encode())
    if json:
        print_json(result)
    else:
        with _no_commands(github):
            print_sheets([sheet])
    if github:
        # Beside JSON on stdout, commands go to the other stream, which is read for them as well.
        for line in annotations(result, on_inconclusive.value):
            typer.echo(line, err=json)
        _append("GITHUB_STEP_SUMMARY", markdown_of(sheet))
        _append("GITHUB_OUTPUT", outputs(result, code))
    raise typer.Exit(code)


def _require_nobody_asked(settings: "Settings") -> None:
    from judgebench.errors import UsageError

    if settings.judges or settings.judge_args or settings.api_key_env or settings.budget is not None:
        raise UsageError(
            "--judge, --judge-arg, --api-key-env and --budget are for gate --sequential; without it nobody is asked"
        )


def _in_order(baseline: str, candidate: Path, policy: "Policy", settings: "Settings", *, shown: bool) -> "Gate":
    from judgebench.errors import UsageError
    from judgebench.gating.sequential import sequential_gate
    from judgebench.gating.verdicts import PUBLISHED
    from judgebench.run.progress import Progress

    if baseline.startswith(PUBLISHED):
        raise UsageError(
            f"--sequential goes example by example, and of {baseline} only the numbers are known; name a run as the "
            f"baseline"
        )
    with Progress(shown=shown) as progress:
        return sequential_gate(Path(baseline), candidate, policy, settings, observer=progress.update)


def _policy(path: Path | None, max_drop: float | None) -> "Policy":
    from judgebench.errors import UsageError
    from judgebench.gating.policy import Defaults, Policy, checked, read_policy

    if path is not None and max_drop is not None:
        raise UsageError("--policy and --max-drop were both given; write the drop into the policy's [defaults]")
    if path is not None:
        return read_policy(path)
    if max_drop is None:
        raise UsageError("nothing says how much may be lost: give --max-drop X, or --policy FILE")
    return checked(Policy(defaults=Defaults(max_drop=max_drop)), "--max-drop")


def _sheet(result: "Gate") -> Sheet:
    from judgebench.gating.ci_reports import sentence

    rows = tuple(
        (
            check.task,
            check.metric,
            check.verdict + (" (warns only)" if check.tier == "warn" else ""),
            figure(check.baseline_value, check.unit),
            figure(check.candidate_value, check.unit),
            figure(check.difference, check.unit, signed=True),
            interval(check.low, check.high, check.unit, signed=True),
            f"{check.max_drop:g}",
            str(check.n) if check.sequential is None else f"{check.sequential.n} of {check.sequential.population}",
            "" if check.n_to_decide is None else f"{check.n_to_decide:,}",
        )
        for check in result.checks
    )
    level = f"{100 * (1 - 2 * result.alpha):g} % interval"
    numbers = figures("baseline", "candidate", "difference", level, "max drop", "n", "n to decide")
    told = tuple(
        sentence(check)
        for check in result.checks
        if check.verdict != "PASS" or any(one is not None for one in (check.if_lost, check.sequential, check.rule))
    )
    title = f"gate {result.verdict}: {result.candidate} against {result.baseline}"
    spare = ("n to decide", "n", "max drop", "baseline", "candidate")
    return Sheet(title, words("task", "metric", "verdict") + numbers, rows, (*told, *result.notes), spare=spare)


@contextmanager
def _no_commands(github: bool) -> Iterator[None]:
    """Have GitHub take nothing that is printed within for a workflow command, whatever the names in it are."""
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
    """Add to one of the files that GitHub names; on another machine there is none."""
    if path := os.environ.get(variable):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
