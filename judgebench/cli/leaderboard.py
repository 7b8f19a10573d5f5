"""``leaderboard``: many runs in one table per protocol, and one across tasks."""

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judgebench.cli import options, pages
from judgebench.cli.across_tasks import across_sheet
from judgebench.cli.layout_options import takes_layout
from judgebench.cli.rendering import Format, print_beside, show
from judgebench.display import figure, percent, reasons, shortened
from judgebench.display import ranks as rank_range
from judgebench.errors import UsageError
from judgebench.exchange.layout import Layout
from judgebench.exchange.sheets import Bounds, Cell, Column, Figure, Remark, Sheet, key_of, words
from judgebench.records import PREDICTED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from judgebench.analysis.leaderboard import Across, Group, LeaderboardRow
    from judgebench.records import Score

INTERVAL = "95 % interval"
RANKS = "ranks"
UPSTREAM, OURS = "by upstream's rule", "by our rule"
MEASURED, PUBLISHED = "measured", "published"
NEED_PUBLISHED = ("published", "figures", "by_our_rule")
"""Columns that only tables with published figures have."""
DOUBTS = {
    "empty_output": "empty outputs",
    "constant_output": "most outputs are one and the same text",
    "cut_off_output": "outputs cut off at the token limit",
    "filtered_output": "outputs stopped by a content filter",
    "unclosed_thinking": "outputs that end while the model is still thinking",
    "verdict_like_output": "outputs that look like a judge's verdict",
    "prompt_fragments": "outputs that hold lines of the judge's own prompt",
    "extreme_length_control": "length control moves the win rate far",
    "failed_grading": "checks that gave no verdict, because what should decide failed",
    "unfinished_grading": "checks that ended in an error or over a limit, which count as wrong",
    "stand-in source": "scored with a reconstruction of an official file",
}
"""Flags in the words of a note below a table."""
NEAR_TOP = 3
"""Rows at the top of a long table that a terminal always shows."""
SHOWN_DIFFERENCES = 6
SHOWN_AGAIN = 3
SHOWN_FIELDS = 2
TAKEN = (
    "rank",
    RANKS,
    "model",
    "figures",
    INTERVAL,
    UPSTREAM,
    OURS,
    "published",
    "n",
    "missing",
    "unread",
    "length",
    "USD",
)
"""Headings that are no metric's."""
IN_WORDS = ("rank", RANKS, "model", "figures", "flags", "from", "protocol", "candidate")
"""Headings of columns of words."""
OWN = " (bridge model)"
"""Beside the name of a model that a bridge was fitted to."""
RANKS_NOTE = (
    ": those that the standard errors leave open (Tukey-Kramer, 95 % for the whole table), as if no two runs "
    "shared a prompt; judgebench compare pairs the prompts and sees more"
)


@takes_layout
def leaderboard(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Run folders, or folders that hold some. Default: runs/.")
    ] = None,
    published: Annotated[
        bool,
        typer.Option(
            "--published",
            help="Also show published figures, marked as such. Runs of the same protocol stand among them.",
        ),
    ] = False,
    sort: Annotated[
        str | None,
        typer.Option(
            help="Order rows by a metric, model, length, usd or unread. Ranks do not change.", metavar="COLUMN"
        ),
    ] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option("--filter", help="Show only models of this name, with * and ?. Repeatable.", metavar="PATTERN"),
    ] = None,
    pins: Annotated[
        list[str] | None,
        typer.Option("--pin", help="Show this model first in each table. Repeatable.", metavar="MODEL"),
    ] = None,
    group: options.Groups = None,
    names: options.Names = [],  # noqa: B006 - typer reads the default and copies it
    bridge: options.Bridge = [],  # noqa: B006
    level: options.Level = 0.95,
    rank_predicted: Annotated[
        bool,
        typer.Option(
            "--rank-predicted",
            help="With --bridge: rank predicted rows; with --published too, among the published ones.",
        ),
    ] = False,
    form: Annotated[Format, typer.Option("--format", help="How to print it.")] = "rich",
    html: pages.Html = None,
    everything: options.All = False,
    tasks: options.TasksOfRuns = [],  # noqa: B006 - typer reads the default and copies it
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also say what audits of this machine found about the judges.")
    ] = False,
    *,
    layout: Layout,
) -> None:
    """Rank runs. Each protocol has a table of its own, which names the fields that differ."""
    from judgebench import api
    from judgebench.analysis.leaderboard import arranged, of_tasks_of_runs

    layout.require_valid(form)
    pages.require_place(html)
    if asked := [name for name, _ in layout.chosen if key_of(name) in NEED_PUBLISHED and not published]:
        raise UsageError(f"--columns {asked[0]}: that column holds published figures; give --published, too")
    if not runs and not published and not Path("runs").is_dir():
        raise UsageError(
            "there are no runs here: `judgebench eval` puts them into runs/. Name run folders that lie elsewhere, or "
            "give --published for the published figures alone"
        )
    if html is not None and not runs and not Path("runs").is_dir():
        raise UsageError(f"--html {html} is a page of runs, and there are none here; name run folders")
    folders = list(runs or ([Path("runs")] if Path("runs").is_dir() or not published else []))
    task, files = options.chosen(tasks)
    found = api.leaderboard(
        *folders,
        task=task,
        published=published,
        group=group or (),
        names=options.run_names(names),
        bridge=bridge,
        level=level,
        rank_predicted=rank_predicted,
        tasks=files,
    )
    print_beside("left out", (run.reason for run in found.unreadable))
    print_beside("note", found.notes)
    pages.write_page(html, folders, "#/", task=task, names=options.run_names(names), tasks=files)
    groups = of_tasks_of_runs(found.groups) if runs and task is None else found.groups
    shown = arranged(groups, sort=sort, filters=filters or (), pins=pins or ())
    print_tables(shown, form, layout, rest=options.rest(everything), verbose=verbose)


def print_tables(
    groups: "Sequence[Group]",
    form: Format = "rich",
    layout: Layout | None = None,
    *,
    rest: str | None = None,
    verbose: bool = False,
) -> None:
    """Print a table for each group of equal protocol, and one across tasks; ``verbose`` with audits of the judges."""
    from judgebench.analysis.leaderboard import across_tasks

    show(
        form,
        groups,
        lambda: _audited(_sheets(groups, across_tasks(groups), terminal=form == "rich"), groups if verbose else ()),
        lambda: Sheet("", words(*CSV_COLUMNS), tuple(_lines(groups))),
        layout=layout,
        rest=rest,
    )


def _audited(sheets: list[Sheet], groups: "Sequence[Group]") -> list[Sheet]:
    """Put below the tables of runs what audits of this machine found about their judges."""
    from judgebench.run.judge_marks import marks, marks_of

    known = marks() if groups else []
    lines = {
        _title(group): [f"judge audit: {mark.text}" for mark in marks_of(group.measured.protocol, known)]
        for group in groups
        if group.measured
    }
    return [replace(sheet, notes=(*sheet.notes, *lines.get(sheet.title, ()))) for sheet in sheets]


def _sheets(groups: "Sequence[Group]", across: "Across | None", *, terminal: bool) -> list[Sheet]:
    """The tables, then the one across tasks; tables without any run come after them."""
    return [sheet for _, sheet in boards(groups, across, terminal=terminal)]


def boards(
    groups: "Sequence[Group]", across: "Across | None", *, terminal: bool = False
) -> "list[tuple[Group | None, Sheet]]":
    """The same tables, each with the rows that it shows; the one across tasks has none of its own."""
    runs = [group for group in groups if group.measured or group.bridge]
    own: list[tuple[Group | None, Sheet]] = [
        (group, _predicted_sheet(group) if group.bridge else _sheet(group, terminal=terminal)) for group in runs
    ]
    held = {group.measured.task for group in runs if group.measured}
    # Those of the runs' own tasks and versions first.
    published = sorted((group for group in groups if group not in runs), key=lambda group: _plain(group) not in held)
    others = [(group, replace(_sheet(group, terminal=terminal), last=bool(own))) for group in published]
    own += [(None, across_sheet(across, terminal=terminal))] if across else []
    ranked = [place for place, (_, sheet) in enumerate(own) if RANKS in sheet.names]
    if ranked:
        group, sheet = own[ranked[-1]]
        own[ranked[-1]] = group, replace(sheet, about=(*sheet.about, Remark(RANKS, RANKS_NOTE)))
    return own + others


@dataclass(frozen=True)
class _Board:
    """A table's rows with what several of its columns and notes need."""

    group: "Group"
    terminal: bool

    @property
    def rows(self) -> "tuple[LeaderboardRow, ...]":
        """Best first."""
        return self.group.rows

    @property
    def metrics(self) -> tuple[str, ...]:
        """The first one ranks."""
        return self.group.headline

    @cached_property
    def first(self) -> "list[Score | None]":
        """The score that places each row."""
        return [self.group.score(row, self.metrics[0]) if self.metrics else None for row in self.rows]

    @cached_property
    def own(self) -> "list[Score | None]":
        """The same by our rule."""
        return [row.scores.get(self.metrics[0]) if self.metrics else None for row in self.rows]

    @cached_property
    def marks(self) -> list[list[str]]:
        """What to doubt about each row."""
        return [_flags(row, said="starter") for row in self.rows]

    @property
    def flags(self) -> list[str]:
        """The same, as a cell each."""
        return [", ".join(marks) for marks in self.marks]

    @cached_property
    def headings(self) -> dict[str, str]:
        """What stands above each metric."""
        return _headings(self.metrics[1:]) if self.terminal else {metric: metric for metric in self.metrics}

    @cached_property
    def higher(self) -> set[str]:
        """The metrics of which more is better."""
        from judgebench.analysis.leaderboard import higher_is_better

        return higher_is_better(self.group.task, {metric for row in self.rows for metric in row.scores})

    def figures(self, metric: str) -> list[Cell]:
        """The column of a metric."""
        return [self.figure(self.group.score(row, metric)) for row in self.rows]

    def figure(self, score: "Score | None") -> Figure | None:
        """A metric's value with its interval."""
        return None if score is None else _figure(score, best=score.metric in self.higher)


Columns = dict[str, list[Cell]]


def _plain(group: "Group") -> str:
    """The task and version of a published table, without the options for people."""
    return group.task.partition(":")[0]


def _sheet(group: "Group", *, terminal: bool) -> Sheet:
    """Show every column that some row has something in; flags and places go below, so that figures fit a terminal."""
    board = _Board(group, terminal)
    columns = {**_places(board), **_numbers(board), **_counts(board)}
    always = ("rank", "model", *group.headline[:1])
    kept = {name: cells for name, cells in columns.items() if name in always or any(cells)}
    further = {name: cells for name, cells in _further(board).items() if name not in kept}
    by_rule = _by_rule(group)
    return Sheet(
        _title(group),
        tuple(_column(name, board, by_rule, further=name in further) for name in (*kept, *further)),
        tuple(zip(*kept.values(), *further.values(), strict=True)),
        notes=tuple(_notes(board)),
        about=(*_withheld(group), *_rules(group, terminal=terminal)),
        spare=tuple(by_rule.get(name, name) for name in _spare(board, columns, kept) if name in kept),
        in_columns=(("flags", _doubted(group.rows, board.marks) if not terminal else ()),),
        order=_important(group),
        keep=len(_own(group)),
        gaps=True,
        without_hash=_title(group, hashed=False),
    )


def _places(board: _Board) -> Columns:
    """Where each row stands, and whose it is."""
    rows = board.rows
    ranges = [(row.rank_low, row.rank_high) for row in rows]
    return {
        "rank": [("* " if row.pinned else "") + ("–" if row.rank is None else str(row.rank)) for row in rows],
        RANKS: ["" if low is None or high is None else rank_range(low, high) for low, high in ranges],
        "model": [row.model for row in rows],
        "figures": [PUBLISHED if row.published else MEASURED for row in rows] if board.group.table else [],
    }


def _numbers(board: _Board) -> Columns:
    """The metrics, the first one's interval and numbers by other rules, and what was published."""
    first, own, metrics, stands = board.first, board.own, board.metrics, board.group.table is not None
    return {
        **{metric: [board.figure(score) for score in first] for metric in metrics[:1]},
        INTERVAL: [None if score is None else _bounds(score) for score in first],
        UPSTREAM: [None if score is None or stands else _upstreams(score) for score in own],
        OURS: [_ours(score, terminal=board.terminal) if stands and score else None for score in own],
        **{board.headings[metric]: board.figures(metric) for metric in metrics[1:]},
        "published": [
            None if row.published_value is None else _value_like(row.published_value, score)
            for row, score in zip(board.rows, first, strict=True)
        ],
    }


def _counts(board: _Board) -> Columns:
    """How many items and verdicts there are, how long answers are, what it cost; in a file also flags and folders."""
    from judgebench.analysis.leaderboard import length_of

    rows, lengths = board.rows, map(length_of, board.rows)
    counted = list(zip(rows, board.first, strict=True))
    return {
        "n": ["" if score is None or not score.n else str(score.n) for score in board.first],
        "missing": ["" if score is None or row.published else str(score.n_missing) for row, score in counted],
        "unread": ["" if row.unread is None else percent(row.unread, 1) for row in rows],
        "length": [None if score is None or score.metric in board.metrics else _figure(score) for score in lengths],
        "USD": ["" if row.usd is None else f"{'≥ ' if row.unpriced else ''}{figure(row.usd)}" for row in rows],
        **({} if board.terminal else _flags_and_folders(board)),
    }


def _flags_and_folders(board: _Board) -> Columns:
    return {"flags": [*board.flags], "from": [row.origin for row in board.rows]}


def _further(board: _Board) -> Columns:
    """The columns that are shown only to whoever asks for them."""
    rows, metrics = board.rows, board.metrics
    unshown = sorted({metric for row in rows for metric in row.scores} - {*metrics})
    intervals = {metric: [_bounds(board.group.score(row, metric)) for row in rows] for metric in metrics}
    return {
        **{metric: board.figures(metric) for metric in unshown},
        **{f"{metric} interval": [*cells] for metric, cells in intervals.items()},
        "stderr": [None if score is None else _value_like(score.stderr, score) for score in board.first],
        "protocol": [row.protocol_hash[7:15] if not row.published else "" for row in rows],
        "candidate": [row.candidate for row in rows],
        **(_flags_and_folders(board) if board.terminal else {}),
    }


def _column(name: str, board: _Board, by_rule: "Mapping[str, str]", *, further: bool) -> Column:
    metric = next((metric for metric, heading in board.headings.items() if heading == name), "")
    return Column(
        by_rule.get(name, name),
        words=name in IN_WORDS,
        key="interval" if name == INTERVAL else metric,
        best="column" if (metric or name) in board.higher else "",
        further=further,
    )


def _spare(board: _Board, columns: Columns, kept: Columns) -> list[str]:
    """The columns that a narrow terminal leaves out, in this order."""
    headings = board.headings
    metrics = [metric for metric in board.metrics[1:] if headings[metric] == metric and metric in kept]
    groups = [heading for metric, heading in headings.items() if metric != heading and heading in kept]
    zeros = {"unread": percent(0.0, 1), "USD": figure(0.0)}
    nothing = [name for name, zero in zeros.items() if {*columns[name]} <= {zero, ""}]
    return [
        # A line below has the number by upstream's rule, too.
        *("missing", "length", *nothing, RANKS, UPSTREAM),
        *reversed(metrics),
        *("published", *(name for name in zeros if name not in nothing), OURS),
        # Whoever asks for columns of groups wants them more than the interval.
        *(("n", INTERVAL, *reversed(groups)) if groups else ()),
    ]


def _notes(board: _Board) -> "Iterator[str]":
    """The lines below: on a terminal each run's folder with its remarks, then what headings and rows mean."""
    rows = board.rows
    if board.terminal:
        yield from _folders(board)
    else:
        yield from (f"{row.model}: {_again(row)}" for row in rows if row.again)
    yield from _columns_of_groups(board.headings)
    yield from _placed(board.group)
    yield from _apart(rows)
    yield from _namesakes(rows)
    sources = sorted({row.origin for row in rows if row.published}) if board.terminal else []
    if sources:
        yield f"published figures: {'; '.join(sources)}"


def _namesakes(rows: "Sequence[LeaderboardRow]") -> "Iterator[str]":
    """Say how rows of one name are told apart."""
    names = Counter(row.model for row in rows if not row.published)
    several = [name for name, count in names.items() if count > 1]
    if several:
        yield f"{', '.join(several[:SHOWN_AGAIN])}: --name RUN=NAME tells rows of one name apart"


def _folders(board: _Board) -> "Iterator[str]":
    """Each run's place, folder and remarks."""
    from judgebench.cli.results import both_rules

    places = _places(board)["rank"]
    for place, row, doubts, score in zip(places, board.rows, board.flags, board.own, strict=True):
        remarks = [text for text in ("" if score is None else both_rules(score), doubts, _again(row)) if text]
        if not row.published:
            yield f"{place}. {row.origin}" + (f": {'; '.join(remarks)}" if remarks else "")


def _again(row: "LeaderboardRow") -> str:
    """Say where the same run lies once more."""
    if not row.again:
        return ""
    more = f" and {len(row.again) - SHOWN_AGAIN} more" if len(row.again) > SHOWN_AGAIN else ""
    return f"same inputs, same numbers: {', '.join(row.again[:SHOWN_AGAIN])}{more}"


def _is_own(row: "LeaderboardRow") -> bool:
    """Whether a predicted row is of one of the bridge's own models."""
    return row.kind == "predicted" and any("own_model" in score.details["marks"] for score in row.scores.values())


def _predicted_sheet(group: "Group") -> Sheet:
    """Predicted official numbers, alone or among published ones: each is marked in its own cell, in every format."""
    from judgebench.run.predicting import SEVERAL, approximately, evidence, heading, marks_of, measured_name

    assert group.bridge is not None
    rows, predicted = group.rows, [row for row in group.rows if row.kind == "predicted"]
    metrics = [name for name in group.headline if any(name in row.scores for row in predicted)]
    ranked = any(row.rank is not None for row in rows)
    columns: dict[str, list[Cell]] = {
        **({"rank": ["–" if row.rank is None else str(row.rank) for row in rows]} if ranked else {}),
        **(
            {
                "open ranks": [
                    "" if row.rank_low is None or row.rank_high is None else rank_range(row.rank_low, row.rank_high)
                    for row in rows
                ]
            }
            if ranked
            else {}
        ),
        "model": [("* " if row.pinned else "") + row.model + (OWN if _is_own(row) else "") for row in rows],
        **({"figures": [row.kind if not row.published else PUBLISHED for row in rows]} if group.table else {}),
    }
    for name in metrics:
        official = name.removesuffix(PREDICTED)
        columns[f"{official}, official"] = [
            approximately(row.scores[name])
            if name in row.scores
            else figure(row.scores[official].value, row.scores[official].unit)
            if official in row.scores
            else ""
            for row in rows
        ]
    notes = [line for name in metrics if (line := evidence([row.scores[name] for row in predicted]))]
    told = [
        (score, row.model, line)
        for name in metrics
        for row in predicted
        if (score := row.scores.get(name)) is not None
        for line in (marks_of(score) if score.value is not None else [f"refused, because {score.reason}"])
    ]
    counts = Counter((score.metric, line) for score, _, line in told)
    # What is said of every row needs no model's name.
    notes += reasons(
        (measured_name(score) + (f" of {model}" if counts[score.metric, line] < len(predicted) else ""), line)
        for score, model, line in told
    )
    notes += [f"{row.model}: {row.origin}" for row in predicted]
    if ranked:
        notes.append(
            "ranks of predicted rows: those that intervals leave open, against published numbers the row's own, "
            f"against predicted ones that of the difference; each at {100 * group.bridge.level:g} % by itself"
        )
    if len(predicted) > 1:
        notes.append(SEVERAL)
    among = f"among the published rows of {group.table}, " if group.table else ""
    return Sheet(
        f"{group.task}: {among}{heading(group.bridge.name, group.bridge.judge)}",
        tuple(Column(name, words=True) for name in columns),
        tuple(zip(*columns.values(), strict=True)),
        tuple(dict.fromkeys(notes)),
        spare=tuple(reversed([f"{name.removesuffix(PREDICTED)}, official" for name in metrics[1:]])),
        order=_important(group),
        keep=len(predicted),
        gaps=True,
    )


def _headings(metrics: "Sequence[str]") -> dict[str, str]:
    """What a terminal writes above metrics: above those of a group (``score category=math``) only its value, if it is
    no other's.
    """
    values = {metric: metric.partition("=")[2] or metric for metric in metrics}
    several = {value for value, count in Counter((*values.values(), *TAKEN)).items() if count > 1}
    return {metric: metric if value in several else value for metric, value in values.items()}


def _columns_of_groups(headings: "Mapping[str, str]") -> list[str]:
    """Say what the columns are whose heading is only the value of a group."""
    by_key: dict[str, list[str]] = {}
    for metric, heading in headings.items():
        if heading != metric:
            by_key.setdefault(metric.partition("=")[0], []).append(heading)
    return [f"{' by '.join(key.split(' ', 1))}: {', '.join(values)}" for key, values in by_key.items()]


def _figure(score: "Score", *, best: bool = False) -> Figure:
    return Figure(score.value, score.unit, score.low, score.high, score.level, best=best, stderr=score.stderr)


def _bounds(score: "Score | None") -> Bounds | None:
    if score is None:
        return None
    return Bounds(score.low, score.high, score.unit)


def _value_like(value: float | None, score: "Score | None") -> Figure | None:
    """A number in the unit of a score."""
    return None if value is None else Figure(value, score.unit if score else "")


def _doubted(rows: "Sequence[LeaderboardRow]", flags: "Sequence[Sequence[str]]") -> tuple[str, ...]:
    """What to doubt about rows, as lines."""
    return tuple(reasons((row.model, _doubts(doubts) or None) for row, doubts in zip(rows, flags, strict=True)))


def _doubts(flags: "Sequence[str]") -> str:
    return "; ".join(DOUBTS.get(flag, flag) for flag in flags)


def _important(group: "Group") -> tuple[int, ...]:
    """Places of rows, those first that a user looks for: pinned ones, runs, the top, then what is near a run."""
    places, own = range(len(group.rows)), _own(group)
    if not own:
        return ()
    near = sorted(places, key=lambda place: min(abs(place - run) for run in own))
    return tuple(dict.fromkeys((*own, *range(min(NEAR_TOP, len(places))), *near)))


def _own(group: "Group") -> list[int]:
    """Places of the rows that a user asked for: pinned ones and runs."""
    return [place for place, row in enumerate(group.rows) if row.pinned or not row.published]


def _placed(group: "Group") -> list[str]:
    """Say by which number runs stand among published rows."""
    if group.table is None:
        return []
    return [f"runs stand among the published rows of {group.table} by upstream's rule, which made those"]


def _apart(rows: "Sequence[LeaderboardRow]") -> list[str]:
    """Say why runs do not stand among published rows."""
    return reasons((row.model, _differing(row.apart) if row.apart else None) for row in rows)


def _differing(fields: "Sequence[str]") -> str:
    more = f" and {len(fields) - SHOWN_FIELDS} more" if len(fields) > SHOWN_FIELDS else ""
    return f"not among the published rows because of {shortened('; '.join(fields[:SHOWN_FIELDS]), 400)}{more}"


def _by_rule(group: "Group") -> dict[str, str]:
    """The headings of metrics whose numbers beside published rows are by upstream's rule, where ours is another."""
    if group.table is None:
        return {}
    return {
        metric: f"{metric} {UPSTREAM}"
        for metric in group.headline
        if any(score.upstream for row in group.rows if (score := row.scores.get(metric)) is not None)
    }


def _withheld(group: "Group") -> list[Remark]:
    """Say why values are missing, or intervals of the first metric, or the ranks that standard errors leave open."""
    lines = []
    for metric in group.headline:
        there = [(row, score) for row in group.rows if not row.published and (score := row.scores.get(metric))]
        about = [
            (row.model, score.withheld) for row, score in there if score.value is None or metric == group.headline[0]
        ]
        lines += [Remark(metric, f" of {line}") for line in reasons(about)]
    valued = [row for row in group.rows if row.rank is not None and not (row.published and group.table)]
    if len(valued) > 1 and not any(row.rank_low is not None for row in valued):
        lines.append(Remark("rank", f": which are certain is not known, as no {group.headline[0]} has an error"))
    return lines


def _rules(group: "Group", *, terminal: bool) -> list[Remark]:
    """Say why upstream's rule gives other numbers. The first metric's numbers have a column, so only each reason is
    given, once, and on a terminal nothing, because the places have it; for further metrics the numbers are given too.
    """
    from judgebench.cli.results import both_rules

    lines: dict[Remark, None] = {}
    for metric in group.headline:
        for row in group.rows:
            score = row.scores.get(metric)
            if score is None or score.upstream is None:
                continue
            if metric != group.headline[0]:
                said = both_rules(score).removeprefix(metric)
                lines[Remark(metric, said, before=f"{row.model}, ")] = None
            elif not terminal:
                about = Remark(UPSTREAM, f": {score.upstream.reason}")
                if group.table:
                    about = Remark(metric, f" {UPSTREAM}: {score.upstream.reason}")
                lines[about] = None
    return list(lines)


def _upstreams(score: "Score") -> Figure | None:
    """Upstream's number, if it is another than ours."""
    found = score.upstream
    if found is None:
        return None
    other = found.level not in (None, score.level)
    return Figure(found.value, score.unit, found.low, found.high, found.level, alone=True, other_level=other)


def _ours(score: "Score", *, terminal: bool) -> Figure | None:
    """Our number, if it is another than upstream's; a terminal has the interval in a line below."""
    if score.upstream is None:
        return None
    return Figure(score.value, score.unit) if terminal else replace(_figure(score), alone=True)


def _flags(row: "LeaderboardRow", said: str | None = None) -> list[str]:
    """What to doubt about a row, except flags that begin with what is ``said`` elsewhere."""
    unranked = f"not ranked, because {row.lacks}" if row.lacks else ""
    finished = row.status.removeprefix("imported, ") == "complete"
    flags = [*filter(None, [unranked]), *row.flags, *([] if finished else [row.status])]
    return [flag for flag in flags if said is None or not flag.startswith(said)]


def _title(group: "Group", *, hashed: bool = True) -> str:
    from judgebench.run.protocol import names_in_words

    first = group.measured or group.rows[0]
    runs = "" if first.published else f"protocol {first.protocol_hash[7:15]}" if hashed else "one protocol"
    what = f"published, and runs of {runs}" if group.table else runs or "published"
    title = f"{group.task}{f', {group.part}' if group.part else ''}"
    if hashed or what != runs:
        title += f": {what}"
    if first.starter:
        title += "; starter set, not comparable with anything"
    if differs := names_in_words(group.differs):
        title += f"; differs from the first table in {', '.join(differs[:SHOWN_DIFFERENCES])}"
        if len(differs) > SHOWN_DIFFERENCES:
            title += f" and {len(differs) - SHOWN_DIFFERENCES} more"
    return title


CSV_COLUMNS = (
    *("task", "protocol", "rank", "rank_low", "rank_high", "model", "published", "metric", "value", "stderr", "low"),
    *("high", "n", "n_missing", "published_value", "unread", "usd", "flags", "from"),
    *("upstream_value", "upstream_low", "upstream_high", "upstream_level", "upstream_reason", "withheld", "group"),
    "kind",
)


def _lines(groups: "Sequence[Group]") -> "Iterator[tuple[Cell, ...]]":
    """List each metric of each row, one a line; only the first metric has ranks and a published value."""
    for group in groups:
        for row in group.rows:
            for metric in group.headline:
                score = row.scores.get(metric)
                if score is None:
                    continue
                first = metric.removesuffix(PREDICTED) == group.headline[0].removesuffix(PREDICTED)
                upstream = score.upstream
                yield (
                    *(row.task, row.protocol_hash),
                    *((row.rank, row.rank_low, row.rank_high) if first else (None, None, None)),
                    *(row.model, row.published, metric),
                    *(_value_like(number, score) for number in (score.value, score.stderr, score.low, score.high)),
                    *(score.n, score.n_missing),
                    *(_value_like(row.published_value, score) if first else None, row.unread, row.usd),
                    *(", ".join(_flags(row)), row.origin),
                    *(_value_like(getattr(upstream, name, None), score) for name in ("value", "low", "high")),
                    *(getattr(upstream, name, None) for name in ("level", "reason")),
                    None if row.published else score.withheld,
                    row.part,
                    row.kind,
                )
