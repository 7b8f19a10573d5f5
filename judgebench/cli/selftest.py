"""``selftest``: published scores, computed by this installation, beside the published ones."""

from typing import TYPE_CHECKING, Annotated

import typer

from judgebench.cli import options
from judgebench.display import figure, interval
from judgebench.errors import Incomplete

if TYPE_CHECKING:
    from collections.abc import Iterator

    from judgebench.exchange.selftest import Recomputed, SelfTest
    from judgebench.exchange.sheets import Cell, Sheet


def selftest(
    task: Annotated[
        str, typer.Option("--task", help="Only these benchmarks, comma separated. Default: all.", metavar="T1,T2")
    ] = "",
    mirror: options.Mirror = [],  # noqa: B006 - typer reads the default and copies it
    json: options.Json = False,
) -> None:
    """Compute published scores anew from published judgements, and print them beside the published ones.

    The numbers behind them ship with the program. Published answers and judgements that are in a mirror are verified
    and scored from their files. Nothing is downloaded. A difference that is not explained ends with exit code 4.
    """
    from judgebench.cli.rendering import print_json, print_sheets
    from judgebench.exchange.selftest import selftest as compute
    from judgebench.run.settings import settings_from_flags

    found = compute(settings_from_flags({"tasks": task, "mirror": mirror, "offline": True}))
    if json:
        print_json(_record(found))
    else:
        print_sheets([_sheet(found)])
    if found.faults:
        named = ", ".join(f"{row.metric} of {row.model} on {row.task}" for row in found.faults)
        raise Incomplete(
            f"this installation computes other numbers than were published, and no reason is known: {named}. Publish "
            f"no number of it; install the versions of constraints.txt, and report the difference with --json"
        )


def _record(found: "SelfTest") -> dict[str, object]:
    return {
        "equal": sum(row.equal for row in found.rows),
        "explained": sum(row.why is not None for row in found.rows),
        "faults": len(found.faults),
        "scores": [
            {
                "task": row.task,
                "metric": row.metric,
                "model": row.model,
                "value": row.ours.value,
                "low": row.ours.low,
                "high": row.ours.high,
                "level": row.ours.level,
                "n": row.ours.n,
                "published_value": row.published,
                "equal": row.equal,
                "why": row.why,
                "from": "the published file" if row.whole_file else "the numbers that ship",
                "source": row.source,
            }
            for row in found.rows
        ],
        "not_here": [{"task": file.task, "model": file.model, "why": why} for file, why in found.absent.items()],
        "nothing_to_compute": list(found.nothing),
    }


def _sheet(found: "SelfTest") -> "Sheet":
    from judgebench.exchange.sheets import Sheet, figures, words
    from judgebench.task.metric import grouped

    columns = words("model") + figures("ours", "95 % interval", "n", "published")
    rows: list[tuple[Cell, ...]] = []
    for title, own in grouped(found.rows, _title).items():
        rows += [(title, None, None, None, None), *(_cells(title, row) for row in own)]
    return Sheet("", columns, tuple(rows), notes=tuple(_notes(found)))


def _title(row: "Recomputed") -> str:
    return f"{row.task} {row.metric}" + (" (file)" if row.whole_file else "")


def _cells(title: str, row: "Recomputed") -> "tuple[Cell, ...]":
    from judgebench.exchange.sheets import Inner

    ours, unit = row.ours, row.ours.unit
    mark = "" if row.equal else " *" if row.why else " !"
    return (
        Inner(title, row.model),
        figure(ours.value, unit) + mark,
        interval(ours.low, ours.high, unit),
        ours.n,
        figure(row.published, unit),
    )


def _notes(found: "SelfTest") -> "Iterator[str]":
    from judgebench.task.metric import grouped

    yield found.summary
    for why, own in grouped((row for row in found.rows if row.why), lambda row: str(row.why)).items():
        yield f"* {_named(own)}: {why}"
    if found.faults:
        yield f"! {_named(list(found.faults))}: differs, and no reason is known"
    yield "published: the benchmarks' own leaderboards and result files; --json names the source of each"
    if any(row.whole_file for row in found.rows):
        yield "(file): computed from the published answers or judgements themselves, which a mirror or the cache has"
    for about, tasks in grouped(found.abouts.items(), lambda pair: pair[1]).items():
        yield f"{', '.join(task for task, _ in tasks)}: {about}"
    if found.absent:
        files = ", ".join(f"{file.model} on {file.task}" for file in found.absent)
        yield f"published files that are in no mirror (--mirror DIR), so that they were not verified: {files}"
    if found.nothing:
        benchmarks = ", ".join(found.nothing)
        yield f"nothing to compute for {benchmarks}: no published score of theirs ships with the verdicts behind it"


def _named(rows: "list[Recomputed]") -> str:
    from judgebench.task.metric import grouped

    return "; ".join(
        f"{metric} of {', '.join(row.model for row in own)}"
        for metric, own in grouped(rows, lambda row: row.metric).items()
    )
