"""``show``: single items of a run, with everything that led to their values."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from judgebench.cli import options
from judgebench.display import figure, printable, shortened

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from judgebench.analysis.samples import (
        Sample,
        SampleAnswer,
        SampleJudgement,
        SampleReply,
        Shown,
        ShownTask,
        Spread,
        TaskSummary,
    )
    from judgebench.exchange.sheets import Sheet
    from judgebench.records import Message
    from judgebench.task import Ruling

SHOWN_CHARACTERS, SHOWN_LINES = 1500, 24
"""How much of a text is shown without ``--full``: its beginning and its end."""
SHOWN_ITEMS = 40
"""How many lines of a list are shown without ``--all``."""
SHOWN_MEASURES = 5
TWO_COLUMNS = 110
"""Width from which two answers stand side by side."""
ENDINGS = {"length": "cut off at the token limit", "content_filter": "stopped by a content filter or refused"}
STATES = {"reasked_and_read": "read after it was asked again", "skipped": "known without asking"}


def show(
    run: Annotated[Path, typer.Argument(help="Run folder or archive.")],
    task: Annotated[str | None, typer.Option(help="Only this task, with or without its version.")] = None,
    group: Annotated[
        list[str],
        typer.Option(help="Only items of this group, such as category=math or mtbench:turn=2.", metavar="KEY=VALUE"),
    ] = [],  # noqa: B006
    item: Annotated[list[str], typer.Option(help="Show the item of this id. Repeatable.", metavar="ID")] = [],  # noqa: B006
    worst: Annotated[int, typer.Option(help="Show the N items with the lowest values.", min=0, metavar="N")] = 0,
    best: Annotated[int, typer.Option(help="Show the N items with the highest values.", min=0, metavar="N")] = 0,
    metric: Annotated[
        str | None,
        typer.Option(help="What --worst and --best go by; default the headline, where items have it.", metavar="NAME"),
    ] = None,
    unread: Annotated[bool, typer.Option("--unread", help="List verdicts that are not there, and why.")] = False,
    flips: Annotated[
        bool, typer.Option("--flips", help="List verdicts that depend on the order in which answers were shown.")
    ] = False,
    prompts: Annotated[bool, typer.Option("--prompts", help="Show the exact prompts that the judges saw.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Cut no text.")] = False,
    every: options.All = False,
    form: Annotated[Literal["rich", "md", "json"], typer.Option("--format", help="How to print it.")] = "rich",
    json: options.Json = False,
    tasks: options.TaskFiles = "",
    mirror: options.Mirror = [],  # noqa: B006 - typer reads the default and copies it
    offline: options.Offline = False,
) -> None:
    """Show single items: prompt, answers, what each judge saw and said, what was read. Without a choice, a summary."""
    from judgebench.analysis.samples import Wanted, look_at
    from judgebench.cli.paging import page
    from judgebench.cli.rendering import print_json
    from judgebench.run.loading import source_finder
    from judgebench.run.reading import read_run
    from judgebench.run.settings import settings_from_flags
    from judgebench.task.selection import parse_selection
    from judgebench.tasks import task_files

    wanted = Wanted(
        items=tuple(item),
        worst=worst,
        best=best,
        metric=metric,
        unread=unread,
        flips=flips,
        groups=parse_selection(group, "--group"),
    )
    finder = source_finder(settings_from_flags({"tasks": tasks, "mirror": mirror, "offline": offline}))
    found = look_at(read_run(run, task_files(tasks), unfinished=True), wanted, finder, task)
    if json or form == "json":
        print_json(found)
        return
    blocks = list(_blocks(found, run, Detail(prompts=prompts, full=full, every=every)))
    page(_markdown(blocks) if form == "md" else _terminal(blocks))


@dataclass(frozen=True)
class Detail:
    """How much is shown."""

    prompts: bool
    full: bool
    every: bool


# -- what is shown, for a terminal and for Markdown


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 opens an item."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Prose:
    """Lines of ours, which may hold names from files."""

    lines: tuple[str, ...]
    alarming: bool = False


@dataclass(frozen=True)
class Quote:
    """A text of a model, a file or a person, under a label."""

    label: str
    text: str
    remarks: tuple[str, ...] = ()
    alarming: bool = False


@dataclass(frozen=True)
class Beside:
    """Texts that stand side by side where there is room."""

    quotes: tuple[Quote, ...]


@dataclass(frozen=True)
class Listing:
    """A table."""

    sheet: "Sheet"


@dataclass(frozen=True)
class Compact:
    """A table with a line for each row, whose last column is cut to the width."""

    sheet: "Sheet"


Block = Heading | Prose | Quote | Beside | Listing | Compact


def _blocks(found: "Shown", run: Path, detail: Detail) -> Iterator[Block]:
    what = f"{shortened(found.model, 60)}: {run} ({found.status})"
    summarised = any(one.summary is not None for one in found.tasks)
    if summarised:
        yield Heading(what, 1)
    for one in found.tasks:
        yield from _task(one, run, detail)
    if summarised:
        yield from _at_a_glance(found.tasks, detail)
        yield from _next(found, run)


def _task(one: "ShownTask", run: Path, detail: Detail) -> Iterator[Block]:
    if one.notes:
        yield Prose(tuple(f"{one.task}: {note}" for note in one.notes), alarming=True)
    for sample, chosen in zip(one.samples, one.chosen, strict=True):
        yield from _sample(sample, chosen, detail)
    if one.unread is not None:
        yield from _unread(one, detail)
    if one.flips is not None:
        yield from _flips(one, run, detail)


def _cut(text: str, detail: Detail) -> str:
    """The beginning and the end of a text that is too long, with what is left out between."""
    if detail.full:
        return text
    head, tail = _ends(text)
    left = len(text) - len(head) - len(tail)
    return text if left <= 0 else f"{head.rstrip()}\n… {left:,} more characters: --full\n{tail.lstrip()}"


def _ends(text: str) -> tuple[str, str]:
    lines = text.splitlines(keepends=True)
    if len(text) <= SHOWN_CHARACTERS and len(lines) <= SHOWN_LINES:
        return text, ""
    first, last = 2 * SHOWN_LINES // 3, SHOWN_LINES // 3
    head = "".join(lines[:first])[: 2 * SHOWN_CHARACTERS // 3]
    rest = text[len(head) :]
    return head, "".join(rest.splitlines(keepends=True)[-last:])[-SHOWN_CHARACTERS // 3 :]


# -- an item in full


def _sample(sample: "Sample", place: str, detail: Detail) -> Iterator[Block]:
    yield Heading(" · ".join(part for part in (sample.task, sample.example_id, place) if part), 1)
    values = [f"{name} {_value(value)}" for name, value in sample.values.items()]
    if values:
        yield Prose((" · ".join(values),))
    *before, asked = sample.messages
    if before:
        yield Heading("conversation so far")
        for message in before:
            yield Quote(message.role, _cut(message.content, detail))
    for turn, question in enumerate((asked.content, *sample.followups)):
        numbered = f" of turn {turn + 1}" if sample.followups else ""
        yield Heading(f"prompt{numbered}")
        yield Quote("", _cut(question, detail))
        if turn < len(sample.references):
            yield Heading(f"reference{numbered}")
            yield Quote("", _cut(sample.references[turn], detail))
        yield Heading(f"answers{numbered}" if len(sample.answers) > 1 else f"answer{numbered}")
        yield Beside(tuple(_answer(answer, turn, detail) for answer in sample.answers))
        if not sample.answers:
            yield Prose(("the run folder holds no answer",), alarming=True)
    for judgement in sample.judgements:
        yield from _judgement(judgement, detail)
    yield from _orders(sample)
    if sample.rulings:
        yield Heading("verifier")
    for ruling in sample.rulings:
        yield _ruling(ruling, detail)


def _value(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _answer(answer: "SampleAnswer", turn: int, detail: Detail) -> Quote:
    label = f"{answer.role}: {answer.model}"
    if answer.error is not None:
        return Quote(label, "", (f"failed: {answer.error}",))
    text = answer.turns[turn] if turn < len(answer.turns) else ""
    thought = answer.thinking[turn] if turn < len(answer.thinking) else None
    reason = answer.finish_reasons[turn] if turn < len(answer.finish_reasons) else None
    remarks = [*_thinking(thought, detail), f"{len(text):,} characters"]
    if reason in ENDINGS:
        remarks.append(ENDINGS[reason])
    return Quote(label, _cut(text, detail) if text.strip() else "(empty)", tuple(remarks))


def _thinking(thought: str | None, detail: Detail) -> list[str]:
    """The thinking, folded to a line unless everything is shown."""
    if thought is None:
        return []
    if detail.full:
        return [f"thinking: {thought}"]
    begins = shortened(" ".join(thought.split()), 40)
    return [f"thinking: {len(thought):,} characters, “{begins}”: --full"]


def _judgement(one: "SampleJudgement", detail: Detail) -> Iterator[Block]:
    parts = [f"judge {one.judge}", one.judge_model]
    parts += [f"turn {one.turn}"] if one.turn > 1 or "turn-" in one.case_id else []
    parts += [f"repeat {one.repeat + 1}"] if one.repeat else []
    parts += ["candidate second" if one.candidate else "candidate first"] if len(one.shown) > 1 else []
    yield Heading(" · ".join(part for part in parts if part))
    lines = [_seen(one)] if len(one.shown) > 1 else []
    yield Prose((*lines, f"verdict: {_verdict(one)}"), alarming=one.value is None)
    for number, reply in enumerate(one.replies, 1):
        yield _said(reply, number if len(one.replies) > 1 else 0, detail)
    if not one.prompts:
        yield Prose((f"prompt: {one.prompt_told}",))
    elif not detail.prompts:
        yield Prose((f"prompt: {one.prompt_told}: --prompts",))
    for number, messages in enumerate(one.prompts if detail.prompts else (), 1):
        yield from _prompt(messages, number if len(one.prompts) > 1 else 0, one.prompt_told, detail)


def _seen(one: "SampleJudgement") -> str:
    names = [f"{name} (candidate)" if place == one.candidate else name for place, name in enumerate(one.shown)]
    return f"shown first: {names[0]}; second: {', '.join(names[1:])}"


def _verdict(one: "SampleJudgement") -> str:
    if one.value is None:
        return f"{one.state}: {one.reason}"
    state = f" ({STATES[one.state]})" if one.state in STATES else ""
    label = "" if one.label is None else f"{one.label}, "
    if one.share is None:
        return f"{label}{one.value:g}{state}"
    ends = {"win": "the candidate wins", "tie": "a tie", "loss": "the candidate loses"}
    return f"{label}{ends[one.outcome or 'tie']} (its share {one.share:.3g}){state}"


def _said(reply: "SampleReply", number: int, detail: Detail) -> Quote:
    label = f"reply {number}" if number else "reply"
    if reply.error is not None:
        return Quote(label, reply.text, (f"failed: {reply.error}",))
    remarks = _thinking(reply.thinking, detail)
    if reply.likely:
        odds = ", ".join(f"{token!r} {100 * chance:.1f} %" for token, chance in reply.likely)
        remarks.append(f"first token: {odds}")
    if reply.finish_reason in ENDINGS and not reply.likely:
        remarks.append(ENDINGS[reply.finish_reason])
    return Quote(label, _cut(reply.text, detail) if reply.text.strip() else "(empty)", tuple(remarks))


def _prompt(messages: "Sequence[Message]", number: int, told: str, detail: Detail) -> Iterator[Block]:
    yield Prose((f"prompt{f' {number}' if number else ''}: {told}",))
    for message in messages:
        yield Quote(message.role, _cut(message.content, detail))


def _orders(sample: "Sample") -> Iterator[Block]:
    """Whether verdicts depend on the order of the answers."""
    if not sample.swapped:
        return
    yield Heading("both orders")
    for one in sample.swapped:
        which = f"{one.judge_model}, against {one.against}"
        which += f", turn {one.turn}" if any(other.turn > 1 for other in sample.swapped) else ""
        which += f", repeat {one.repeat + 1}" if one.repeat else ""
        said = f"candidate first: {one.candidate_first}; baseline first: {one.baseline_first}"
        end = "the verdict depends on the order" if one.changes else "the same in both"
        yield Prose((f"{which}: {said}: {end}",), alarming=one.changes)


def _ruling(one: "Ruling", detail: Detail) -> Quote:
    held = {True: "passed", False: "failed", None: "undecided"}
    parts = {"wanted": one.wanted, "found": one.found, "note": one.note}
    text = "\n".join(f"  {name}: {_cut(part, detail)}" for name, part in parts.items() if part)
    return Quote(f"{one.rule}: {held[one.held]}", text, alarming=not one.held)


# -- lists


def _unread(one: "ShownTask", detail: Detail) -> Iterator[Block]:
    from judgebench.exchange.sheets import Sheet, words

    found = one.unread or ()
    yield Heading(
        f"{one.task}: {len(found)} verdicts that are not there" if found else f"{one.task}: all verdicts are there", 1
    )
    if not found:
        return
    shown = found if detail.every else found[:SHOWN_ITEMS]
    rows = tuple(
        (
            row.example_id,
            row.state,
            f"{row.judge} {row.judge_model}".strip() + (f", turn {row.turn}" if row.turn > 1 else ""),
            row.reason,
            shortened(row.said, 2000 if detail.full else 120),
        )
        for row in shown
    )
    columns = words("item", "state", "judge", "why", "its last words")
    yield Listing(Sheet("", columns, rows, _more(len(found) - len(shown), "verdicts"), spare=("judge",)))


def _more(count: int, what: str) -> tuple[str, ...]:
    return (f"… {count} more {what}: --all",) if count > 0 else ()


def _flips(one: "ShownTask", run: Path, detail: Detail) -> Iterator[Block]:
    from judgebench.exchange.sheets import Sheet, words

    found = one.flips or ()
    if not found:
        yield Heading(f"{one.task}: no verdict depends on the order of the answers", 1)
        return
    yield Heading(f"{one.task}: {len(found)} verdicts depend on the order of the answers", 1)
    shown = found if detail.every else found[:SHOWN_ITEMS]
    rows = tuple(
        (row.example_id, row.judge_model, str(row.turn), row.against, row.candidate_first, row.baseline_first)
        for row in shown
    )
    columns = words("item", "judge", "turn", "against", "candidate first", "baseline first")
    notes = (
        *_more(len(found) - len(shown), "verdicts"),
        f"in full: judgebench show {run} --item {found[0].example_id}",
    )
    yield Listing(Sheet("", columns, rows, notes, spare=("turn", "judge", "against")))


# -- a run at a glance


def _at_a_glance(tasks: "Sequence[ShownTask]", detail: Detail) -> Iterator[Block]:
    found = [one.summary for one in tasks if one.summary is not None]
    if len(found) == 1:
        yield Listing(_values(found[0], detail))
    else:
        yield Listing(_values_by_task(found))
    if any(one.lines for one in tasks):
        for one in tasks:
            yield from _items(one, detail)
    elif any(one.worst for one in found):
        yield Compact(_extremes(found))


def _items(one: "ShownTask", detail: Detail) -> Iterator[Block]:
    """Items, each in a line, in the order of the run."""
    from judgebench.exchange.sheets import Sheet, words

    measure = one.summary.ranked_by if one.summary else None
    shown = one.lines if detail.every else one.lines[:SHOWN_ITEMS]
    rows = tuple((line.example_id, _value(line.value), line.verdicts, line.prompt) for line in shown)
    yield Compact(Sheet(f"{one.task}, by {measure}:", words("item", "value", "verdicts", "prompt"), rows))
    if more := _more(len(one.lines) - len(shown), "items"):
        yield Prose(more)


def _values(one: "TaskSummary", detail: Detail) -> "Sheet":
    """Every measure of one task."""
    from judgebench.exchange.sheets import Sheet, figures, words

    shown = one.spreads if detail.every else one.spreads[:SHOWN_MEASURES]
    rows = tuple(
        (spread.measure, figure(spread.mean, spread.unit), spread.n, spread.missing, _distribution(spread))
        for spread in shown
    )
    notes = [*_more(len(one.spreads) - len(shown), "numbers of items"), *_remarks(one)]
    columns = words("items' values") + figures("mean", "n", "missing") + words("distribution")
    of_group = f" of {one.group}" if one.group else ""
    return Sheet(f"{one.task}: {one.examples} items{of_group}{_starter(one)}", columns, rows, tuple(notes))


def _values_by_task(found: "Sequence[TaskSummary]") -> "Sheet":
    """The measure by which each task's items are ordered."""
    from judgebench.exchange.sheets import Sheet, figures, words

    rows, notes = [], []
    for one in found:
        spread = next((spread for spread in one.spreads if spread.measure == one.ranked_by), None)
        rows.append(
            (
                one.task,
                one.ranked_by or "–",
                "–" if spread is None else figure(spread.mean, spread.unit),
                one.examples,
                one.examples if spread is None else spread.missing,
                "" if spread is None else _distribution(spread),
            )
        )
        notes += [f"{one.task}: {remark}" for remark in _remarks(one) if not remark.startswith("cases:")]
    columns = words("task", "items' values") + figures("mean", "items", "missing") + words("distribution")
    starter = _starter(found[0]).removeprefix("; ") if all(one.starter for one in found) else ""
    return Sheet(starter, columns, tuple(rows), tuple(notes), spare=("missing", "items' values"))


def _starter(one: "TaskSummary") -> str:
    return "; starter set, not comparable with anything" if one.starter else ""


def _remarks(one: "TaskSummary") -> list[str]:
    cases = [f"{count} {what.replace('_', ' ')}" for what, count in one.cases.items() if count and what != "examples"]
    lines = [f"cases: {', '.join(cases)}"] if cases else []
    if absent := sum(one.cases.get(what, 0) for what in ("without_answer", "unread", "failed", "missing")):
        lines.append(f"{absent} without an answer or a verdict: --unread says why")
    if one.games:
        lines.append(f"{one.flips} of {one.games} verdicts depend on the order of the answers: --flips")
    return lines


def _distribution(one: "Spread") -> str:
    if one.counts:
        return ", ".join(f"{_value(value)} × {count}" for value, count in one.counts)
    if not one.quartiles:
        return ""
    low, first, median, third, high = map(_value, one.quartiles)
    return f"{low} … {first} [{median}] {third} … {high}"


def _extremes(found: "Sequence[TaskSummary]") -> "Sheet":
    """The worst and the best items, each in a line."""
    from judgebench.exchange.sheets import Sheet, words

    several = len(found) > 1
    rows = []
    for one in found:
        for end, lines in (("worst", one.worst), ("best", one.best)):
            for line in lines:
                shown = [end, line.example_id, _value(line.value)]
                task = one.task if end == "worst" else ""
                rows.append((*([task] if several else []), *shown, *([] if several else [line.verdicts]), line.prompt))
    names = ("task", "", "item", "value", "prompt") if several else ("", "item", "value", "verdicts", "prompt")
    return Sheet("" if several else f"by {found[0].ranked_by}:", words(*names), tuple(rows))


def _next(found: "Shown", run: Path) -> Iterator[Block]:
    example = next((line.example_id for one in found.tasks if one.summary for line in one.summary.worst), "ID")
    task = f"--task {found.tasks[0].task.partition('@')[0]}"
    lines = {
        f"--item {example}": "one item: prompt, answers, judges' words, verdicts",
        "--worst 5, --best 5": "several (--metric NAME); also with --prompts, --full",
        "--unread, --flips": "verdicts that are missing, or depend on the order",
        **({task: "one task alone, with more of its items"} if len(found.tasks) > 1 else {}),
    }
    width = max(map(len, lines))
    yield Prose(("", f"next: judgebench show {run} …", *(f"  {flag:{width}}  {told}" for flag, told in lines.items())))


# -- on a terminal


def _terminal(blocks: Iterable[Block]) -> str:
    """The blocks as rich prints them for this terminal, with colours if it shows them."""
    import io

    from rich.console import Console

    from judgebench.cli.paging import keeps_colours

    out = io.StringIO()
    colours = keeps_colours()
    console = Console(file=out, width=_console().width, force_terminal=colours)
    for block in blocks:
        for part in _rendered(block, console.width):
            console.print(part)
    text = out.getvalue()
    return text if colours else "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def _console() -> "Console":
    from rich.console import Console

    return Console()


def _rendered(block: Block, width: int) -> "list[RenderableType]":
    from rich.text import Text

    from judgebench.exchange.terminal import rich_of

    match block:
        case Heading(text, level):
            return [
                Text(_ruled(_line(text), width, "━" if level == 1 else "─"), style="bold" if level == 1 else "cyan")
            ]
        case Prose(lines, alarming):
            return [Text("\n".join(map(_line, lines)), style="red" if alarming else "")]
        case Quote():
            return [_quoted(block)]
        case Beside(quotes):
            return _side_by_side(quotes, width)
        case Listing(sheet):
            return rich_of(sheet, width)
        case Compact(sheet):
            return [Text(_in_lines(sheet, width))]


def _in_lines(sheet: "Sheet", width: int) -> str:
    from rich.cells import cell_len, set_cell_size

    rows = [[_line(text) for text in row] for row in sheet.texts]
    sizes = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines = [sheet.title] if sheet.title else []
    for row in rows:
        *cells, last = (set_cell_size(text, size) for text, size in zip(row, sizes, strict=True))
        start = "  " + "  ".join(cells) + "  "
        room = max(20, width - cell_len(start))
        lines.append(start + (last if cell_len(last.rstrip()) <= room else set_cell_size(last, room - 1) + "…"))
    return "\n".join(line.rstrip() for line in lines)


def _ruled(text: str, width: int, rule: str) -> str:
    from rich.cells import cell_len

    return f"{rule * 2} {text} {rule * max(2, width - cell_len(text) - 4)}"


def _line(text: str) -> str:
    return printable(" ".join(text.splitlines()))


def _safe(text: str) -> str:
    """A text of several lines for a terminal."""
    return "\n".join(printable(line.replace("\t", "    ")) for line in text.split("\n"))


def _quoted(quote: Quote) -> "RenderableType":
    from rich.padding import Padding
    from rich.text import Text

    text = Text()
    if quote.label:
        text.append(_line(quote.label), style="bold red" if quote.alarming else "bold")
    if quote.text:
        text.append(("\n" if quote.label else "") + _safe(quote.text))
    for remark in quote.remarks:
        text.append(f"\n[{_safe(remark)}]", style="dim")
    return Padding(text, (0, 0, 0, 2), expand=False)


def _side_by_side(quotes: Sequence[Quote], width: int) -> "list[RenderableType]":
    from rich.table import Table

    if width < TWO_COLUMNS or len(quotes) < 2:
        return [_quoted(quote) for quote in quotes]
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(ratio=1, overflow="fold")
    grid.add_column(ratio=1, overflow="fold")
    for place in range(0, len(quotes), 2):
        grid.add_row(*map(_quoted, quotes[place : place + 2]))
    return [grid]


# -- as Markdown


def _markdown(blocks: Iterable[Block]) -> str:
    return "\n".join(map(_as_markdown, blocks))


def _as_markdown(block: Block) -> str:
    from judgebench.display import markdown
    from judgebench.exchange.sheets import markdown_of

    match block:
        case Heading(text, level):
            return f"{'#' * (level + 1)} {markdown(text)}\n"
        case Prose(lines):
            return "".join(f"{markdown(line)}  \n" for line in lines)
        case Quote(label, text, remarks, _):
            title = f"**{markdown(label)}**\n\n" if label else ""
            return title + (_fenced(text) if text else "") + "".join(f"- {markdown(remark)}\n" for remark in remarks)
        case Beside(quotes):
            return "\n".join(map(_as_markdown, quotes))
        case Listing(sheet) | Compact(sheet):
            return markdown_of(sheet)


def _fenced(text: str) -> str:
    """A text as code, in a fence that is longer than any within it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{_safe(text)}\n{fence}\n"
