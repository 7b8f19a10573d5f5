"""``show``: single items of a run, with everything that led to their values."""

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from judgebench.cli import options
from judgebench.cli.blocks import (
    Beside,
    Block,
    Compact,
    Heading,
    Hint,
    Listing,
    Prose,
    Quote,
    cut,
    markdown_text,
    terminal_text,
)
from judgebench.display import brief, figure, shortened
from judgebench.errors import UsageError

if TYPE_CHECKING:
    from judgebench.analysis.item_records import (
        Sample,
        SampleAnswer,
        SampleJudgement,
        SampleReply,
        Shown,
        ShownTask,
        TaskSummary,
    )
    from judgebench.analysis.item_values import Spread
    from judgebench.exchange.sheets import Sheet
    from judgebench.records import Message
    from judgebench.task import Ruling

SHOWN_ITEMS = 40
"""How many lines of a list are shown without ``--all``."""
SHOWN_MEASURES = 5
SHOWN_VALUES = 6
LEAST_CHANCE = 0.0005
"""Less likely tokens are not shown."""
ENDINGS = {"length": "cut off at the token limit", "content_filter": "stopped by a content filter or refused"}
STATES = {"reasked_and_read": "read after it was asked again", "skipped": "known without asking"}


def show(
    run: Annotated[Path, typer.Argument(help="Run folder or archive.")],
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
    tasks: options.TasksOfRuns = [],  # noqa: B006 - typer reads the default and copies it
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
    from judgebench.tasks import on_run, read_selection, task_files

    wanted = Wanted(
        items=tuple(item),
        worst=worst,
        best=best,
        metric=metric,
        unread=unread,
        flips=flips,
        groups=read_selection(group, "--group"),
    )
    task, files = options.chosen(tasks)
    finder = source_finder(settings_from_flags({"tasks": files, "mirror": mirror, "offline": offline}))
    _require_one(run, files)
    found = look_at(read_run(run, task_files(files), unfinished=True), wanted, finder, task)
    if json or form == "json":
        print_json(found)
        return
    looked_at = on_run(run, files)
    detail = Detail(name=found.model, prompts=prompts, full=full, every=every)
    blocks = list(_blocks(found, looked_at, detail))
    page(markdown_text(blocks) if form == "md" else terminal_text(blocks))


def _require_one(run: Path, files: str) -> None:
    """Raise :class:`UsageError`, which names some, if this is a folder of runs."""
    from judgebench.run.reading import find_runs
    from judgebench.tasks import on_run

    if run.is_dir() and not (run / "manifest.json").exists():
        below = sorted(find_runs([run]), key=lambda path: (path / "manifest.json").stat().st_mtime, reverse=True)
        named = "; or ".join(f"`judgebench show {on_run(path, files)}`" for path in below[:3])
        raise UsageError(
            f"one run can be shown at a time, but {run} is a folder with {len(below)}. The newest: {named}"
        )


@dataclass(frozen=True)
class Detail:
    """How much is shown, and what the user calls the candidate."""

    name: str
    prompts: bool
    full: bool
    every: bool


def _blocks(found: "Shown", run: str, detail: Detail) -> Iterator[Block]:
    what = f"{shortened(found.model, 60)}: {found.run} ({found.status})"
    summarised = any(one.summary is not None for one in found.tasks)
    if summarised:
        yield Heading(what, 1)
    for one in found.tasks:
        yield from _task(one, run, detail)
    if summarised:
        yield from _at_a_glance(found.tasks, detail)
        yield from _way_on(found, run)
        yield from _next(found, run)


def _task(one: "ShownTask", run: str, detail: Detail) -> Iterator[Block]:
    if one.notes:
        yield Prose(tuple(f"{one.task}: {note}" for note in one.notes), alarming=True)
    for sample, chosen in zip(one.samples, one.chosen, strict=True):
        yield from _sample(sample, chosen, detail)
    if one.unread is not None:
        yield from _unread(one, detail)
    if one.flips is not None:
        yield from _flips(one, run, detail)


# -- an item in full


def _sample(sample: "Sample", place: str, detail: Detail) -> Iterator[Block]:
    yield Heading(" · ".join(part for part in (sample.task, sample.example_id, place) if part), 1)
    values = [*sample.groups, *(f"{name} {brief(value)}" for name, value in sample.values.items())]
    if sample.values_by:
        yield Prose((f"a cascade: values by {sample.values_by}, the cheap judge",))
    if values:
        shown = values if detail.full else values[:SHOWN_VALUES]
        more = [f"… {len(values) - len(shown)} more: --full"] if len(shown) < len(values) else []
        yield Prose((" · ".join([*shown, *more]),))
    *before, asked = sample.messages
    if before:
        yield Heading("conversation so far")
        for message in before:
            yield Quote(message.role, cut(message.content, full=detail.full))
    for turn, question in enumerate((asked.content, *sample.followups)):
        numbered = f" of turn {turn + 1}" if sample.followups else ""
        yield Heading(f"prompt{numbered}")
        yield Quote("", cut(question, full=detail.full))
        if turn < len(sample.references):
            yield Heading(f"reference{numbered}")
            yield Quote("", cut(sample.references[turn], full=detail.full))
        yield Heading(f"answers{numbered}" if len(sample.answers) > 1 else f"answer{numbered}")
        yield Beside(tuple(_answer(answer, turn, detail) for answer in sample.answers))
    if sample.checklist:
        yield Heading("checklist")
        yield Quote("", cut("\n".join(f"- {point}" for point in sample.checklist), full=detail.full))
    yield from _orders(sample)
    told = {judgement.prompt_told for judgement in sample.judgements}
    alike = len(told) == 1 and len(sample.judgements) > 1 and not detail.prompts
    if alike:
        yield Prose((_told(sample.judgements),))
    repeated = any(judgement.repeat for judgement in sample.judgements)
    for judgement in sample.judgements:
        yield from _judgement(judgement, detail, repeated=repeated, told=not alike)
    if sample.rulings:
        yield Heading("verifier")
    for ruling in sample.rulings:
        yield _ruling(ruling, detail)


def _answer(answer: "SampleAnswer", turn: int, detail: Detail) -> Quote:
    label = f"{answer.role}: {detail.name if answer.role == 'candidate' else answer.model}"
    if answer.error is not None:
        return Quote(label, "", (f"no answer: {answer.error}",))
    text = answer.turns[turn] if turn < len(answer.turns) else ""
    thought = answer.thinking[turn] if turn < len(answer.thinking) else None
    reason = answer.finish_reasons[turn] if turn < len(answer.finish_reasons) else None
    remarks = [*_thinking(thought, detail), f"{len(text):,} characters"]
    if reason in ENDINGS:
        remarks.append(ENDINGS[reason])
    return Quote(label, cut(text, full=detail.full) if text.strip() else "(empty)", tuple(remarks))


def _thinking(thought: str | None, detail: Detail) -> list[str]:
    """The thinking, folded to a line unless everything is shown."""
    if thought is None:
        return []
    if detail.full:
        return [f"thinking: {thought}"]
    begins = shortened(" ".join(thought.split()), 40)
    return [f"thinking: {len(thought):,} characters, “{begins}”: --full"]


def _told(judgements: "Sequence[SampleJudgement]") -> str:
    """What is known of the prompts of judgements of which the same is known."""
    one, several = judgements[0], len(judgements) > 1
    hint = f": --prompts shows {'them' if several else 'it'}" if one.prompts else ""
    return f"{'all prompts' if several else 'prompt'}: {one.prompt_told}{hint}"


def _judgement(one: "SampleJudgement", detail: Detail, *, repeated: bool, told: bool) -> Iterator[Block]:
    parts = [f"{one.seat} judge {one.judge}".lstrip(), one.judge_model]
    parts += [f"turn {one.turn}"] if one.turn > 1 or "turn-" in one.case_id else []
    parts += [f"repeat {one.repeat + 1}"] if repeated else []
    parts += ["candidate second" if one.candidate else "candidate first"] if len(one.shown) > 1 else []
    yield Heading(" · ".join(part for part in parts if part))
    lines = [_seen(one, detail)] if len(one.shown) > 1 else []
    lines += [f"{name}: {' '.join(text.split())}" for name, text in one.about.items()]
    yield Prose((*lines, f"verdict: {_verdict(one)}"), alarming=one.value is None)
    for number, reply in enumerate(one.replies, 1):
        yield _said(reply, number if len(one.replies) > 1 else 0, detail)
    if told and not (detail.prompts and one.prompts):
        yield Prose((_told([one]),))
    for number, messages in enumerate(one.prompts if detail.prompts else (), 1):
        yield from _prompt(messages, number if len(one.prompts) > 1 else 0, one.prompt_told, detail)


def _seen(one: "SampleJudgement", detail: Detail) -> str:
    names = [f"{detail.name} (candidate)" if place == one.candidate else name for place, name in enumerate(one.shown)]
    return f"shown first: {names[0]}; second: {', '.join(names[1:])}"


def _verdict(one: "SampleJudgement") -> str:
    from judgebench.analysis.samples import verdict_in_words

    if one.value is None:
        return f"{one.state}: {one.reason}"
    state = f" ({STATES[one.state]})" if one.state in STATES else ""
    # Two labels that are equally likely: the one that is written down won nothing.
    even = one.value == 0.5 and any(reply.likely for reply in one.replies)
    return verdict_in_words(None if even else one.label, one.value, one.share) + state


def _said(reply: "SampleReply", number: int, detail: Detail) -> Quote:
    label = f"reply {number}" if number else "reply"
    if reply.error is not None:
        return Quote(label, reply.text, (f"failed: {reply.error}",))
    remarks = _thinking(reply.thinking, detail)
    if reply.likely:
        odds = ", ".join(f"{token!r} {100 * chance:.1f} %" for token, chance in reply.likely if chance >= LEAST_CHANCE)
        remarks.append(f"first token: {odds or f'no label above {100 * LEAST_CHANCE:g} %'}")
    if reply.finish_reason in ENDINGS and not reply.likely:
        remarks.append(ENDINGS[reply.finish_reason])
    return Quote(label, cut(reply.text, full=detail.full) if reply.text.strip() else "(empty)", tuple(remarks))


def _prompt(messages: "Sequence[Message]", number: int, told: str, detail: Detail) -> Iterator[Block]:
    yield Prose((f"prompt{f' {number}' if number else ''}: {told}",))
    for message in messages:
        yield Quote(message.role, cut(message.content, full=detail.full))


def _orders(sample: "Sample") -> Iterator[Block]:
    """Whether verdicts change with the order of the answers."""
    from judgebench.exchange.sheets import Sheet, words

    rows = tuple(
        (
            one.judge_model,
            str(one.turn),
            str(one.repeat + 1),
            one.against,
            one.candidate_first,
            one.baseline_first,
            "yes" if one.changes else "no",
        )
        for one in sample.swapped
    )
    columns = words("judge", "turn", "repeat", "against", "candidate first", "baseline first", "order decides")
    # Columns in which all rows are alike say nothing.
    used = [place for place, _ in enumerate(columns) if place in (0, 4, 5, 6) or len({row[place] for row in rows}) > 1]
    if rows:
        shown = tuple(tuple(row[place] for place in used) for row in rows)
        yield Listing(Sheet("the candidate's games in both orders", tuple(columns[place] for place in used), shown))


def _ruling(one: "Ruling", detail: Detail) -> Quote:
    from judgebench.analysis.samples import HELD, grounds

    text = "\n".join(cut(line, full=detail.full) for line in grounds(one))
    return Quote(f"{one.rule}: {HELD[one.held]}", text, alarming=not one.held)


# -- lists


def _unread(one: "ShownTask", detail: Detail) -> Iterator[Block]:
    from judgebench.exchange.sheets import Sheet, words

    found = one.unread or ()
    states = ", ".join(f"{count} {state}" for state, count in Counter(row.state for row in found).items())
    yield Heading(f"{one.task}: {states or 'all verdicts are there'}", 1)
    if not found:
        return
    rows = tuple(
        (
            row.example_id,
            row.state,
            f"{row.judge} {row.judge_model}".strip() + (f", turn {row.turn}" if row.turn > 1 else ""),
            row.reason,
            shortened(row.said, 2000 if detail.full else 120),
        )
        for row in found
    )
    columns = words("item", "state", "judge", "why", "its last words")
    sheet = Sheet("", columns, rows, spare=("judge",), rows_are="verdicts")
    yield Listing(sheet, rest=None if detail.every else "--all")


def _more(count: int, what: str) -> tuple[str, ...]:
    return (f"… {count} more {what}: --all",) if count > 0 else ()


def _flips(one: "ShownTask", run: str, detail: Detail) -> Iterator[Block]:
    from judgebench.exchange.sheets import Sheet, words

    found = one.flips or ()
    if not found:
        yield Heading(f"{one.task}: no verdict changes with the order", 1)
        return
    yield Heading(f"{one.task}: {len(found)} verdicts change with the order", 1)
    rows = tuple(
        (row.example_id, row.judge_model, str(row.turn), row.against, row.candidate_first, row.baseline_first)
        for row in found
    )
    columns = words("item", "judge", "turn", "against", "candidate first", "baseline first")
    sheet = Sheet("", columns, rows, spare=("turn", "judge", "against"), rows_are="verdicts")
    yield Listing(sheet, rest=None if detail.every else "--all")
    yield Hint("in full", f"judgebench show {run} --item {shlex.quote(found[0].example_id)}")


# -- a run at a glance


def _at_a_glance(tasks: "Sequence[ShownTask]", detail: Detail) -> Iterator[Block]:
    found = [one.summary for one in tasks if one.summary is not None]
    unscored = [one for one in found if one.so_far is not None]
    if unscored:
        yield Listing(_so_far(unscored))
    found = [one for one in found if one.so_far is None]
    if len(found) == 1:
        yield Listing(_values(found[0], detail))
    elif found:
        yield Listing(_values_by_task(found))
    if any(one.lines for one in tasks):
        for one in tasks:
            yield from _items(one, detail)
    elif any(one.worst for one in found):
        yield Compact(_extremes(found))


def _so_far(unscored: "Sequence[TaskSummary]") -> "Sheet":
    """How far the tasks are."""
    from judgebench.exchange.sheets import Sheet, figures, words

    rows = tuple(
        (one.task, one.examples, one.so_far.answered, one.so_far.failed, one.so_far.judged)
        for one in unscored
        if one.so_far is not None
    )
    columns = words("task") + figures("items", "answered", "failed", "judged")
    return Sheet("no item has a value yet, because the run has not been scored", columns, rows)


def _way_on(found: "Shown", run: str) -> Iterator[Block]:
    """How a run goes on that has not been scored."""
    if not any(one.summary and one.summary.so_far for one in found.tasks):
        return
    if found.at_work:
        yield Prose(("", "a process works on the run now, and scores it when it ends"))
        return
    _, *arguments = found.started_by or ("",)
    if found.status == "generated":
        yield Hint("to have the answers judged", f"judgebench judge {run}")
    elif arguments:
        yield Hint(
            "to go on, start its command again (as the run folder has it)", shlex.join(["judgebench", *arguments])
        )
    else:
        yield Prose(("to go on, start again what made the run",))
    yield Hint("to score what is there", f"judgebench score {run}")


def _items(one: "ShownTask", detail: Detail) -> Iterator[Block]:
    """Items, each in a line, in the order of the run."""
    from judgebench.exchange.sheets import Sheet, words

    measure = one.summary.ranked_by if one.summary else None
    shown = one.lines if detail.every else one.lines[:SHOWN_ITEMS]
    rows = tuple((line.example_id, brief(line.value), line.verdicts, line.prompt) for line in shown)
    title = f"{one.task}, in the run's order" + (f"; value is {measure}:" if measure else ":")
    yield Compact(Sheet(title, words("item", "value", "verdicts", "prompt"), rows))
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
    notes = [*_more(len(one.spreads) - len(shown), "numbers of items"), *_legend(shown), *_remarks(one)]
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
    notes += _legend([spread for one in found for spread in one.spreads if spread.measure == one.ranked_by])
    columns = words("task", "items' values") + figures("mean", "items", "missing") + words("distribution")
    starter = _starter(found[0]).removeprefix("; ") if all(one.starter for one in found) else ""
    return Sheet(starter, columns, tuple(rows), tuple(notes), spare=("missing", "items' values"))


def _starter(one: "TaskSummary") -> str:
    return "; starter set, not comparable with anything" if one.starter else ""


def _remarks(one: "TaskSummary") -> list[str]:
    from judgebench.run.scoring import counts_in_words

    cases = counts_in_words({what: count for what, count in one.cases.items() if what != "examples"})
    lines = [one.cascade] if one.cascade else []
    lines += [f"cases: {cases}"] if cases else []
    if absent := sum(one.cases.get(what, 0) for what in ("without_answer", "unread", "failed", "missing")):
        lines.append(f"{absent} without an answer or a verdict: --unread says why")
    if one.games:
        lines.append(f"{one.flips} of {one.games} verdicts change with the order of the answers: --flips")
    return lines


def _legend(shown: "Sequence[Spread]") -> list[str]:
    """What a distribution's numbers are, unless each value is counted."""
    several = any(one.quartiles and not one.counts for one in shown)
    return ["distribution: least … lower quartile [median] upper quartile … greatest"] if several else []


def _distribution(one: "Spread") -> str:
    if one.counts:
        return ", ".join(f"{brief(value)}×{count}" for value, count in one.counts)
    if not one.quartiles:
        return ""
    low, first, median, third, high = map(brief, one.quartiles)
    return f"{low} … {first} [{median}] {third} … {high}"


def _extremes(found: "Sequence[TaskSummary]") -> "Sheet":
    """The worst and the best items, each in a line."""
    from judgebench.exchange.sheets import Sheet, words

    several = len(found) > 1
    rows = []
    for one in found:
        for end, lines in (("worst", one.worst), ("best", one.best)):
            for line in lines:
                shown = [end, line.example_id, brief(line.value)]
                task = one.task if end == "worst" else ""
                rows.append((*([task] if several else []), *shown, *([] if several else [line.verdicts]), line.prompt))
    names = ("task", "", "item", "value", "prompt") if several else ("", "item", "value", "verdicts", "prompt")
    return Sheet("" if several else f"by {found[0].ranked_by}:", words(*names), tuple(rows))


def _next(found: "Shown", run: str) -> Iterator[Block]:
    example = next((line.example_id for one in found.tasks if one.summary for line in one.summary.worst), "ID")
    scored = not any(one.summary and one.summary.so_far for one in found.tasks)
    several = len(found.tasks) > 1
    # A command with files names them by --tasks already.
    task = f"{'--tasks' if ' --tasks ' in run else '--task'} {found.tasks[0].task.partition('@')[0]}" if several else ""
    lines = {
        f"--item {shlex.quote(example)}": "one item: prompt, answers, judges' words, verdicts",
        **({"--worst 5, --best 5": "several (--metric NAME); also --prompts, --full"} if scored else {}),
        "--unread, --flips": "verdicts that are missing, or change with the order",
        **({task: "one task alone, with more of its items"} if several else {}),
    }
    width = max(map(len, lines))
    yield Prose(("", f"next: judgebench show {run} …", *(f"  {flag:{width}}  {told}" for flag, told in lines.items())))
