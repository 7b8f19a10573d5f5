"""``leaderboard``: many runs in one table per protocol."""

import csv
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from judgebench.leaderboard import Group, Row


INTERVAL = "95 % interval"


class Format(StrEnum):
    """How a leaderboard is written."""

    RICH = "rich"
    MD = "md"
    CSV = "csv"
    JSON = "json"


def leaderboard(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Run folders, or folders that hold some. Default: runs/.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Only this task, with or without its version.")] = None,
    published: Annotated[bool, typer.Option("--published", help="Published figures too, marked as such.")] = False,
    form: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.RICH,
) -> None:
    """Rank runs. Rows of unlike protocol are shown apart, with the fields that differ named."""
    from judgebench.errors import UsageError
    from judgebench.leaderboard import find_runs, in_one_table, published_rows, rows_of

    folders = list(runs or ([Path("runs")] if Path("runs").is_dir() or not published else []))
    rows = in_one_table(row for run in find_runs(folders) for row in rows_of(run, task))
    if published:
        rows += published_rows(task)
    if not rows:
        raise UsageError(f"nothing to show{f' for task {task!r}' if task else ''}; run `judgebench eval` first")
    print_table(rows, form)


def print_table(rows: "list[Row]", form: Format = Format.RICH) -> None:
    """Rows in groups of equal protocol, each ranked by its task's headline metric."""
    from judgebench import tasks
    from judgebench.leaderboard import group_rows

    headlines = {}
    for label in {row.task for row in rows}:
        name, _, version = label.partition("@")
        known = name in tasks.names()
        # What follows the version in a published table's label is for people.
        headlines[label] = tasks.load(tasks.TaskSpec(name, version.partition(":")[0]))[0].headline if known else ()
    groups = group_rows(rows, headlines)
    {Format.RICH: _rich, Format.MD: _markdown, Format.CSV: _csv, Format.JSON: _json}[form](groups)


def _json(groups: "list[Group]") -> None:
    from judgebench.cli.tables import print_json

    print_json(groups)


def _columns(group: "Group") -> list[str]:
    return ["rank", "model", *group.headline, INTERVAL, "n", "missing", "flags", "from"]


def _flags(row: "Row") -> list[str]:
    finished = row.status.removeprefix("imported, ") == "complete"
    return [*row.flags, *([] if finished else [row.status])]


def _cells(group: "Group", rank: int) -> list[str]:
    from judgebench.cli.tables import interval, number
    from judgebench.display import cell

    row = group.rows[rank]
    first = row.scores.get(group.headline[0]) if group.headline else None
    flags = [flag for flag in _flags(row) if not flag.startswith("starter")]  # said in the title
    return [
        str(rank + 1),
        cell(row.model),
        *(number(row.scores[metric]) if metric in row.scores else "" for metric in group.headline),
        interval(first) if first else "",
        str(first.n) if first and first.n else "",
        str(first.n_missing) if first and not row.published else "",
        cell(", ".join(flags), 120),
        cell(row.origin, 120),
    ]


def _title(group: "Group") -> str:
    from judgebench.display import cell

    first = group.rows[0]
    title = f"{group.task}: " + ("published" if first.published else f"protocol {first.protocol_hash[7:15]}")
    if first.starter:
        title += "; starter set, not comparable with anything"
    if group.differs:
        title += f"; differs from the first table in {', '.join(group.differs[:6])}"
    return cell(title, 400)


def _rich(groups: "list[Group]") -> None:
    """One table per protocol; flags and places stand below it, so that the figures fit a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for group in groups:
        rows = [_cells(group, rank) for rank in range(len(group.rows))]
        columns, left_out = _fitting(group, rows, console.width)
        table = Table(title=Text(_title(group)), title_justify="left")
        for name in columns:
            justify: Literal["left", "right"] = "left" if name in ("model", INTERVAL) else "right"
            table.add_column(name, justify=justify, overflow="fold")
        positions = [_columns(group).index(name) for name in columns]
        for cells in rows:
            table.add_row(*(Text(cells[n]) for n in positions))
        console.print(table)
        if left_out:
            console.print(Text(f"  left out for width: {', '.join(left_out)}"))
        for cells, row in zip(rows, group.rows, strict=True):
            if not row.published:
                flags = f": {cells[-2]}" if cells[-2] else ""
                console.print(Text(f"  {cells[0]}. {cells[-1]}{flags}"))
    if any(row.published for group in groups for row in group.rows):
        sources = sorted({row.origin for group in groups for row in group.rows if row.published})
        console.print(Text("published figures: " + "; ".join(sources)))


def _fitting(group: "Group", rows: list[list[str]], width: int) -> tuple[list[str], list[str]]:
    """Columns that fit the terminal, and those left out: from the least of the metrics on; never the headline."""
    shown = [name for name in _columns(group) if name not in ("flags", "from")]
    sizes = {name: max([len(name), *(len(cells[n]) for cells in rows)]) + 3 for n, name in enumerate(_columns(group))}
    sizes["model"] = min(sizes["model"], 35)
    left_out: list[str] = []
    for name in ("missing", *reversed(group.headline[1:])):
        if sum(sizes[shown_name] for shown_name in shown) + 1 <= width:
            break
        if name in shown:
            shown.remove(name)
            left_out.insert(0, name)
    return shown, left_out


def _markdown(groups: "list[Group]") -> None:
    def escape(text: str) -> str:
        for character in "\\|`*_<>[]":
            text = text.replace(character, f"\\{character}")
        return text

    for group in groups:
        columns = _columns(group)
        lines = [f"**{escape(_title(group))}**", "", "| " + " | ".join(columns) + " |", "| --- " * len(columns) + "|"]
        lines += ["| " + " | ".join(map(escape, _cells(group, rank))) + " |" for rank in range(len(group.rows))]
        typer.echo("\n".join(lines) + "\n")


def _csv(groups: "list[Group]") -> None:
    from judgebench.display import printable

    def safe(text: str) -> str:
        # A spreadsheet runs a cell that begins like a formula.
        text = printable(text)
        return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(
        ["task", "protocol", "rank", "model", "published", "metric", "value", "stderr", "low", "high", "n", "n_missing",
         "flags", "from"]
    )  # fmt: skip
    for group in groups:
        for rank, row in enumerate(group.rows, 1):
            for metric in group.headline:
                score = row.scores.get(metric)
                if score is None:
                    continue
                figures = [score.value, score.stderr, score.low, score.high, score.n, score.n_missing]
                names = [safe(row.task), safe(row.protocol_hash), rank, safe(row.model), row.published, metric]
                writer.writerow([*names, *figures, safe(", ".join(_flags(row))), safe(row.origin)])
