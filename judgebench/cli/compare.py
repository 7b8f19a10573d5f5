"""``compare``: runs on the same items, item by item."""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from judgebench.cli import options, pages
from judgebench.cli.blocks import Beside, Block, Compact, Heading, Hint, Prose, Quote, cut, terminal_text
from judgebench.cli.layout_options import takes_layout
from judgebench.cli.rendering import NUMBERS, Format, print_sheets, score_name, show, under_metrics
from judgebench.display import chance, counted, figure, ranks, reasons, shortened
from judgebench.exchange.layout import Layout, laid_out_for
from judgebench.exchange.sheets import Bounds, Cell, Column, Figure, Inner, Sheet, figures, words
from judgebench.records import PREDICTED

if TYPE_CHECKING:
    from judgebench.analysis.comparison_records import (
        Compared,
        Comparison,
        Difference,
        Flip,
        FlipSide,
        PredictedSide,
        TaskComparison,
    )
    from judgebench.report.links import Links

SHOWN_TASKS = 3
"""How many tasks at most have a table of their own on a terminal, if those are too long together."""
ANSWER_CHARACTERS = 1500
"""How much of each answer and verdict a flip shows; ``--format json`` has all of it."""
KEYS = ("first", "second")
"""What ``--columns`` and files call the columns of the two runs that a row compares."""
PAIRS = ("earlier", "later")
"""Those columns' headings where rows compare different runs, which a column of its own names."""
SHOWN_NUMBERS = ("interval", "p-value", "relative gain")
"""The table's columns that a number can be missing from, by the names in ``Difference.withheld``."""
SHOWN_RELATIVE = ("p-value", "relative gain", "interval of the gain")
"""The same of the table of relative gains."""


@takes_layout
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="A B [C]…",
            help="Run folders, archives, or published:MODEL for a model of the published tables. Each is compared with "
            "A, the first (difference = later run − A).",
        ),
    ],
    adjust: Annotated[
        Literal["holm", "bh", "none"], typer.Option(help="How to adjust p-values for their number.")
    ] = "holm",
    group: options.Groups = None,
    relative: Annotated[
        bool,
        typer.Option(
            "--relative",
            help="Show by how many percent of the first number the later one is better, with Fieller's interval, "
            "wherever the scale has a true zero.",
        ),
    ] = False,
    flips: Annotated[int, typer.Option(help="Show the N items that changed most.", min=0, metavar="N")] = 0,
    names: options.Names = [],  # noqa: B006 - typer reads the default and copies it
    bridge: options.Bridge = [],  # noqa: B006
    level: options.Level = 0.95,
    form: Annotated[Format, typer.Option("--format", help="How to print it.")] = "rich",
    html: pages.Html = None,
    everything: options.All = False,
    tasks: options.TasksOfRuns = [],  # noqa: B006 - typer reads the default and copies it
    mirror: options.Mirror = [],  # noqa: B006 - typer reads the default and copies it
    offline: options.Offline = False,
    *,
    layout: Layout,
) -> None:
    """Compare runs item by item: every metric, with interval and p-value. Other protocols are named, not compared."""
    from judgebench import api
    from judgebench.analysis.published_verdicts import model_named

    layout.require_valid(form)
    pages.require_place(html)
    task, files = options.chosen(tasks)
    found = api.compare(
        *runs,
        adjust=adjust,
        task=task,
        group=group or (),
        flips=flips,
        names=options.run_names(names),
        bridge=bridge,
        level=level,
        mirrors=mirror,
        offline=offline,
        tasks=files,
    ).record
    links = pages.write_page(
        html,
        [run for run in runs if model_named(run) is None],
        "#/compare",
        task=task,
        names=options.run_names(names),
        adjust=adjust,
        mirrors=mirror,
        offline=offline,
        tasks=files,
    )
    rest = options.rest(everything)
    if form == "rich" and flips:
        sheets = _sheets(found, relative=relative, flips=False, terminal=True)
        print_sheets(laid_out_for(sheets, layout, form), rest=rest)
        typer.echo(terminal_text(_pages(found, files, links, full=everything)), nl=False)
    else:
        show(
            form,
            found,
            lambda: (_for_paper if form == "latex" else list)(
                _sheets(
                    found,
                    relative=relative,
                    terminal=form == "rich",
                    links=links,
                    # A paper has one table unless it asks for the other one's columns.
                    ranked=form != "latex" or "rank" in layout.columns,
                )
            ),
            lambda: _flat(found),
            layout=layout,
            rest=rest,
        )


def _for_paper(sheets: Iterable[Sheet]) -> list[Sheet]:
    """The sheets without what a paper does not print unless it is asked for: a second measure of the difference, and
    p-values that are not adjusted. What is left fits a column of text.
    """

    def narrowed(sheet: Sheet) -> Sheet:
        names = sheet.names
        left_out = {"gain"} if "gain" in names else {"difference"} if "gain, %" in names else set()
        left_out |= {"p"} if any(name.startswith("p (") for name in names) else {"p adjusted"}
        columns = (replace(column, further=column.further or column.name in left_out) for column in sheet.columns)
        return replace(sheet, columns=tuple(columns))

    return list(map(narrowed, sheets))


def _sheets(
    found: "Comparison",
    *,
    relative: bool = False,
    flips: bool = True,
    terminal: bool = False,
    links: "Links | None" = None,
    ranked: bool = True,
) -> list[Sheet]:
    from judgebench.run.protocol import in_words

    runs = tuple(f"{_letter(k)}: {run.model}, {run.path} ({run.status})" for k, run in enumerate(found.runs))
    sheets = [Sheet("comparison, B less A" if len(runs) == 2 else "comparison, each less A", notes=runs + found.notes)]
    called = tuple(map(_letter, range(len(runs)))) if terminal else _names(found.runs)
    if len(found.tasks) > SHOWN_TASKS and terminal:
        sheets.append(_headlines(found, called, relative=relative))
    for task in found.tasks:
        aside = terminal and len(found.tasks) > SHOWN_TASKS
        sheets.append(replace(_differences(found, task, called, relative=relative), aside=aside))
        if task.ranks and ranked:
            sheets.append(replace(_ranks(found, task), aside=aside))
        sheets += [_flip(found, task, flip, links) for flip in task.flips if flips]
    sheets += [_predicted(found, label, called) for label in dict.fromkeys(row.task for row in found.predicted)]
    for key, several in found.unlike.items():
        for mismatch in several:
            rows = tuple(
                in_words([(name, *values) for name, values in zip(mismatch.fields, mismatch.values, strict=True)])
            )
            title = f"{key}: {_letter(mismatch.run)} was not compared, because its protocol differs"
            sheets.append(Sheet(title, words("setting", _letter(0), _letter(mismatch.run)), rows))
    return sheets


def _predicted(found: "Comparison", task: str, called: Sequence[str]) -> Sheet:
    """Differences of predicted official numbers; each is marked in its own cell, in every format."""
    from judgebench.run.predicting import SEVERAL, about, heading

    own = [row for row in found.predicted if row.task == task]
    several = len(found.runs) > 2
    rows, said = [], []
    for row in own:
        metric, pair = row.metric.removesuffix(PREDICTED), _pair(called, row.sides[0].run, row.sides[1].run)
        rows.append(
            (
                f"{metric}, official",
                pair,
                *(_official(side, row.unit) for side in row.sides),
                "refused" if row.difference is None else about(row.difference, row.low, row.high, signed=True),
                _probability(row.probability_second_better),
            )
        )
        name = f"{metric} of {pair}" if several else metric
        said += [(name, f"refused, because {row.reason}")] if row.reason else []
        said += [(metric, mark) for mark in row.marks]
    sides = PAIRS if several else tuple(called)
    notes = reasons(said)
    notes.append(
        "two predictions share the bridge's errors, and a published number has none: intervals of differences are made "
        f"on the logit scale, at {100 * own[0].level:g} %, and shown in points at the middle of the two numbers. "
        "P(better) is the probability that the later one's official number is the higher one"
    )
    if len({side.run for row in own for side in row.sides if side.kind == "predicted"}) > 1:
        notes.append(SEVERAL)
    return Sheet(
        f"{task}: {heading(own[0].bridge, own[0].judge)}",
        (
            *words("metric"),
            Column("runs", words=True, further=not several),
            *(Column(name, words=True, key=key) for name, key in zip(sides, KEYS, strict=True)),
            *words("difference"),
            Column("P(better)"),
        ),
        tuple(rows),
        tuple(dict.fromkeys(notes)),
        spare=() if several else ("runs",),
        asked=True,
    )


def _probability(value: float | None) -> str:
    """A probability that is never shown as certain."""
    if value is None:
        return "–"
    return "<0.01" if value < 0.01 else ">0.99" if value > 0.99 else f"{value:.2f}"


def _official(side: "PredictedSide", unit: str) -> str:
    """A published number as it is, a predicted one as such."""
    from judgebench.run.predicting import about

    if side.kind == "measured":
        return f"{figure(side.value, unit)}, published"
    return "refused" if side.value is None else about(side.value, side.low, side.high)


def _headlines(found: "Comparison", called: Sequence[str], *, relative: bool) -> Sheet:
    """The first metric of every task: what a terminal shows of many."""
    rows = []
    for task in found.tasks:
        headline = next((row.metric for row in task.differences if row.group is None), None)
        rows += [
            (f"{task.task} {row.metric}", *_cells(row, called, below=False, relative=relative)[1:])
            for row in task.differences
            if row.group is None and row.metric == headline
        ]
    spare = (*(() if len(found.runs) > 2 else ("runs",)), _aside(relative=relative), "p", "n")
    starter = "; starter sets, not comparable with anything" if any(task.starter for task in found.tasks) else ""
    remarks = tuple(f"{task.task}: {line}" for task in found.tasks for line in _lacking(task, called))
    columns = _columns(found, called, relative=relative)
    return Sheet(f"headlines{starter}", columns, tuple(rows), remarks, spare=spare, summary=True)


def _lacking(task: "TaskComparison", called: Sequence[str]) -> list[str]:
    """Say which runs lack items."""
    return [
        f"{called[run.run]} lacks {run.missing} of {run.items} items; an item that one run lacks is left out of all"
        for run in task.coverage
        if run.missing
    ]


def _letter(run: int) -> str:
    return chr(ord("A") + run) if run < 26 else f"run {run + 1}"


def _names(runs: "Sequence[Compared]") -> tuple[str, ...]:
    """What a paper calls the runs: their names, with their folders where names are alike."""
    names = [run.model for run in runs]
    alike = {name for name in names if names.count(name) > 1}
    return tuple(f"{run.model} ({Path(run.path).name})" if run.model in alike else run.model for run in runs)


def _aside(*, relative: bool) -> str:
    """The column that is beside the point, and may be left out for width."""
    return "difference" if relative else "gain"


def _columns(found: "Comparison", called: Sequence[str], *, relative: bool) -> tuple[Column, ...]:
    sides = PAIRS if len(found.runs) > 2 else called
    level = f"{100 * found.level:g} % interval"
    adjusted = "p adjusted" if found.adjust == "none" else f"p ({found.adjust})"
    return (
        *words("metric"),
        Column("runs", words=True, further=len(found.runs) == 2),
        *(Column(name, key=key, best="row") for name, key in zip(sides, KEYS, strict=True)),
        Column("gain, %", key="relative_gain") if relative else Column("difference"),
        Column(level, key="interval"),
        *figures(_aside(relative=relative), "p"),
        Column(adjusted, key="p_adjusted"),
        Column("n"),
        *(Column(name, words=True, further=True) for name in ("group", "unit")),
    )


def _differences(found: "Comparison", task: "TaskComparison", called: Sequence[str], *, relative: bool) -> Sheet:
    """A task's table, which names two runs above their columns; several are in a column of their own."""
    columns = _columns(found, called, relative=relative)
    remarks = _lacking(task, called)
    remarks += reasons(task.not_compared, " not compared: ")
    remarks += reasons(
        (_name(row, called if len(task.runs) > 2 else ()), f"no {number}: {why}")
        for row in task.differences
        for number, why in row.withheld.items()
        if number in (SHOWN_RELATIVE if relative else SHOWN_NUMBERS)
    )
    groups = dict.fromkeys(row.group for row in task.differences)
    grouped = bool(groups) and None not in groups
    counts = {row.n for row in task.differences}
    part = f", {groups.popitem()[0]}: {counts.pop()} of" if grouped and len(groups) == len(counts) == 1 else ":"
    paired = f"{part} {counted(task.common, 'item')} in common"
    if task.unpaired is not None:
        paired = f": {called[task.runs[1]]} less {called[task.runs[0]]}, two numbers that are not paired"
        remarks.append(f"not paired, because {task.unpaired}")
    starter = "; starter set, not comparable with anything" if task.starter else ""
    title = f"{task.task}{paired}, protocol {task.protocol_hash[7:15]}{starter}"
    # Groups differ in their number of items, so that it stays beside them.
    spare = (*(() if len(task.runs) > 2 else ("runs",)), "p", _aside(relative=relative), *(() if grouped else ("n",)))
    differences = under_metrics(task.differences)
    whole = {row.metric for row in differences if row.group is None}
    rows = tuple(_cells(row, called, below=row.metric in whole, relative=relative) for row in differences)
    return Sheet(
        title,
        columns,
        rows,
        tuple(remarks),
        without_hash=f"{task.task}{paired}{starter}",
        spare=spare,
        order=_important(differences),
        keep=sum(row.group is None for row in differences),
        rows_are="groups",
    )


def _important(differences: "Sequence[Difference]") -> tuple[int, ...]:
    """Places of the differences, those over all items first, then the surest."""

    def order(place: int) -> tuple[bool, float]:
        row = differences[place]
        return row.group is not None, 2.0 if row.p is None else row.p

    return tuple(sorted(range(len(differences)), key=order))


def _cells(row: "Difference", called: Sequence[str], *, below: bool, relative: bool) -> tuple[Cell, ...]:
    """The cells of a row; of a group ``below`` its metric's own row, the metric need not be repeated."""
    best = row.unit != "characters" and row.low is not None and row.high is not None and not row.low <= 0 <= row.high
    gain = "–" if row.relative_gain is None else f"{figure(row.relative_gain, 'share in percent', signed=True)} %"
    told = Figure(row.difference, row.unit, row.low, row.high, row.level, signed=True, stderr=row.stderr)
    if relative:
        told = Figure(
            row.relative_gain, "share in percent", row.relative_low, row.relative_high, row.level, signed=True
        )
    return (
        Inner(row.metric, row.group) if row.group is not None and below else score_name(row),
        _pair(called, row.first, row.second),
        Figure(row.first_value, row.unit, best=best),
        Figure(row.second_value, row.unit, best=best),
        told,
        Bounds(told.low, told.high, told.unit, signed=True),
        Figure(row.difference, row.unit, signed=True) if relative else gain,
        chance(row.p) or "–",
        chance(row.p_adjusted),
        row.n,
        row.group or "",
        row.unit,
    )


def _pair(called: Sequence[str], first: int, second: int) -> str:
    names = called[second], called[first]
    # Letters are shorter than the break between them.
    return "\N{NO-BREAK SPACE}−\N{NO-BREAK SPACE}".join(names) if max(map(len, names)) == 1 else " − ".join(names)


def _name(row: "Difference", called: Sequence[str]) -> str:
    """Name a row in a line below the table; with its runs, as they are ``called``, if there are several pairs."""
    return f"{score_name(row)} of {_pair(called, row.first, row.second)}" if called else score_name(row)


def _ranks(found: "Comparison", task: "TaskComparison") -> Sheet:
    rows = [
        (
            score_name(rank),
            f"{_letter(rank.run)}: {found.runs[rank.run].model}",
            figure(rank.value),
            ranks(rank.low, rank.high),
        )
        for rank in sorted(task.ranks, key=lambda rank: (rank.low, rank.high))
    ]
    order = {metric: place for place, metric in enumerate(dict.fromkeys(map(score_name, task.ranks)))}
    rows.sort(key=lambda row: order[row[0]])
    title = f"{task.task}: ranks that are certain, all together at {100 * found.level:g} %"
    whole = any(row.group is None for row in task.differences)
    compared = dict.fromkeys(score_name(row) for row in task.differences if row.group is None or not whole)
    unranked = [(metric, "more of it is not better") for metric in compared if metric not in order]
    untold = ((f"{score_name(rank)} of {_letter(rank.run)}", rank.reason) for rank in task.ranks)
    remarks = reasons(unranked, " not ranked: ") + reasons(untold, ", not told from some other run: ")
    return Sheet(title, words("metric", "run") + figures("value", "rank"), tuple(rows), tuple(remarks))


def _address(found: "Comparison", task: "TaskComparison", flip: "Flip", links: "Links | None") -> str:
    """Where the item is in the page that was written, if one was."""
    first, second = (found.runs[side.run].path for side in flip.runs)
    return links.sample(task.protocol_hash, flip.example_id, first, second) if links else ""


def _flip(found: "Comparison", task: "TaskComparison", flip: "Flip", links: "Links | None" = None) -> Sheet:
    def side(shown: "FlipSide") -> tuple[str, ...]:
        return (
            f"{_letter(shown.run)}: {found.runs[shown.run].model}",
            _scaled(flip, shown.value),
            " ⏎⏎ ".join(shortened(answer, ANSWER_CHARACTERS) for answer in shown.answers),
            " ⏎⏎ ".join(shortened(verdict, ANSWER_CHARACTERS) for verdict in shown.verdicts),
        )

    title = f"{task.task} {flip.example_id}: {_change(flip)}; {shortened(flip.prompt, 200)}"
    notes = (place,) if (place := _address(found, task, flip, links)) else ()
    return Sheet(title, words("run", flip.metric, "answer", "verdicts"), tuple(map(side, flip.runs)), notes, asked=True)


def _pages(found: "Comparison", files: str, links: "Links | None", *, full: bool) -> Iterator[Block]:
    """The items that changed most, as ``show`` shows an item, with the answers of both runs."""
    seen: dict[tuple[int | str, tuple[str, ...]], str] = {}
    for task in found.tasks:
        if task.flips:
            yield Heading(f"{task.task} · items that changed most", 1)
            yield Compact(_list_of_flips(found, task))
        else:
            yield Prose((f"{task.task}: no item changed",))
        for flip in task.flips:
            yield from _page(found, task, flip, seen, files=files, full=full)
            if place := _address(found, task, flip, links):
                yield Hint("in the report", place)


def _list_of_flips(found: "Comparison", task: "TaskComparison") -> Sheet:
    rows = [
        (
            flip.example_id,
            *(f"{_letter(side.run)} {_scaled(flip, side.value)}" for side in flip.runs),
            " ".join(shortened(flip.prompt, 200).split()),
        )
        for flip in task.flips
    ]
    metric = dict.fromkeys(flip.metric for flip in task.flips)
    runs = dict.fromkeys(tuple(side.run for side in flip.runs) for flip in task.flips)
    sides = tuple(map(_letter, *runs)) if len(runs) == 1 else PAIRS
    return Sheet(f"{', '.join(metric)} of each:", words("item", *sides, "question"), tuple(rows))


def _scaled(flip: "Flip", value: float | None, *, signed: bool = False) -> str:
    """A value as the table has the metric."""
    return figure(None if value is None else flip.scale * value, flip.unit, signed=signed)


def _change(flip: "Flip") -> str:
    return f"{flip.metric} {_scaled(flip, flip.change, signed=True)}"


def _page(
    found: "Comparison",
    task: "TaskComparison",
    flip: "Flip",
    seen: dict[tuple[int | str, tuple[str, ...]], str],
    *,
    files: str,
    full: bool,
) -> Iterator[Block]:
    """An item; an answer that ``seen`` has from an earlier item is only named."""
    yield Heading(f"{task.task} · {flip.example_id} · {_change(flip)}", 1)
    from judgebench.tasks import on_task

    yield Heading("prompt")
    yield Quote("", cut(flip.prompt, full=full))
    sides: list[tuple[int | str, str, tuple[str, ...]]] = [
        (side.run, _side(found, flip, side), side.answers) for side in flip.runs
    ]
    sides += [(name, f"baseline: {name}", answers) for name, answers in flip.baselines]
    before = {key: seen.setdefault((key, answers), flip.example_id) for key, _, answers in sides}
    again = {key: f"the same as to item {name}" for key, name in before.items() if name != flip.example_id}
    for turn in range(max(len(answers) for _, _, answers in sides)):
        yield Heading("answers" if turn == 0 else f"answers of turn {turn + 1}")
        yield Beside(
            tuple(
                Quote(label, "", (again[key],)) if key in again else Quote(label, _turn(answers, turn, full=full))
                for key, label, answers in sides
            )
        )
    yield Heading("verdicts")
    yield Beside(
        tuple(
            Quote(_side(found, flip, side), "\n\n".join(cut(v, full=full) for v in side.verdicts)) for side in flip.runs
        )
    )
    run = on_task(found.runs[flip.runs[1].run].path, task.task.partition("@")[0], files)
    yield Hint("in full", f"judgebench show {run} --item {shlex.quote(flip.example_id)}")


def _side(found: "Comparison", flip: "Flip", side: "FlipSide") -> str:
    return f"{_letter(side.run)}: {found.runs[side.run].model}, {flip.metric} {_scaled(flip, side.value)}"


def _turn(answers: tuple[str, ...], turn: int, *, full: bool) -> str:
    return cut(answers[turn], full=full) if turn < len(answers) else "(no answer)"


def _flat_cell(row: "Difference", field: str) -> Cell:
    """A field as it is written; those in the metric's unit may be rounded."""
    value: Cell = getattr(row, field)
    return Figure(value, row.unit) if field in NUMBERS and isinstance(value, float) else value


def _flat(found: "Comparison") -> Sheet:
    """List every difference with all of its numbers, one a line."""
    fields = (
        *("metric", "group", "unit", "first_value", "second_value", "difference", "stderr", "low", "high", "level"),
        *("p", "p_adjusted", "correlation", "relative_gain", "relative_low", "relative_high", "n", "reason"),
    )
    rows = [
        (
            task.task,
            task.protocol_hash,
            *(found.runs[place].model for place in (row.first, row.second)),
            *(found.runs[place].path for place in (row.first, row.second)),
            *(_flat_cell(row, field) for field in fields),
        )
        for task in found.tasks
        for row in task.differences
    ]
    # A metric that was not compared has only a name and a reason.
    rows += [
        (task.task, task.protocol_hash, *[None] * 4, metric, *[None] * (len(fields) - 2), f"not compared: {why}")
        for task in found.tasks
        for metric, why in task.not_compared
    ]
    for row in found.predicted:
        sides = [found.runs[side.run] for side in row.sides]
        known: dict[str, Cell] = {
            "metric": row.metric,
            "unit": row.unit,
            "first_value": row.sides[0].value,
            "second_value": row.sides[1].value,
            **{name: getattr(row, name) for name in ("difference", "low", "high", "level", "reason")},
        }
        named = (*(side.model for side in sides), *(side.path for side in sides))
        rows.append((row.task, None, *named, *(known.get(field) for field in fields)))
    kinds = ["measured"] * (len(rows) - len(found.predicted)) + ["predicted"] * len(found.predicted)
    names = ("task", "protocol", "first_model", "second_model", "first_run", "second_run")
    kept = tuple((*row, kind) for row, kind in zip(rows, kinds, strict=True))
    return Sheet("", words(*names, *fields, "kind"), kept)
