"""What to know before a number is believed: what is missing, unread, unfinished, flagged or not comparable."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from judgebench.display import counted, figure, printable
from judgebench.report.address import address
from judgebench.report.collect import NOT_COMPARED, Report, TaskReport
from judgebench.run.protocol import names_in_words
from judgebench.run.reading import Progress

INCOMPARABLE, INCOMPLETE, FLAGGED, REMARKED = range(4)
"""How much a doubt weighs: numbers that cannot be compared, that are not of all items, odd items, and remarks."""


@dataclass(frozen=True)
class Doubt:
    """Something to know before a number is believed."""

    words: str
    href: str
    weight: int = FLAGGED


def worst_first(doubts: Iterable[Doubt]) -> list[Doubt]:
    """Doubts with what makes numbers incomparable first, and remarks last."""
    return sorted(doubts, key=lambda doubt: doubt.weight)


def doubts(report: Report) -> Iterator[Doubt]:
    """What is missing, unread, unfinished, flagged or not comparable; each leads to its samples."""
    for number, own in enumerate(report.runs):
        if own.status != "complete":
            yield Doubt(f"{report.names[number]} is {own.status}", address("runs"), INCOMPLETE)
    starters = [task.label for task in report.tasks if task.first.task_manifest.starter]
    if starters:
        words = f"starter sets, whose numbers are not the benchmarks': {', '.join(starters)}"
        yield Doubt(printable(words, 500), address("runs"), INCOMPARABLE)
    for task in report.tasks:
        for place, opened in enumerate(task.opened):
            name, run = report.names[task.runs[place]], task.runs[place]
            counts = opened.task.task_manifest.counts
            for state, doubt in (("unread", "unread"), ("failed", "unread"), ("no_answer", "error")):
                if counts.get(state):
                    yield Doubt(
                        f"{task.label}, {name}: {counts[state]} {state.replace('_', ' ')}",
                        address("samples", task.label, run=run, f=doubt),
                        INCOMPLETE,
                    )
            for note in opened.task.task_manifest.notes:
                yield Doubt(printable(f"{task.label}, {name}: {note}", 500), address("task", task.label), REMARKED)
            if (progress := opened.task.so_far) is not None:
                told = printable(f"{task.label}, {name}: {so_far_in_words(progress)}", 500)
                yield Doubt(told, address("samples", task.label, run=run), INCOMPLETE)
            elif not opened.task.scores:
                yield Doubt(f"{task.label}, {name}: not scored yet", address("runs"), INCOMPLETE)
            yield from _left_out(task, place, name)
            for finding in opened.task.findings:
                if finding.flagged:
                    listed = finding.check if task.doubted[place].get(finding.check) else ""
                    href = address("samples", task.label, run=run, f=listed)
                    yield Doubt(f"{task.label}, {name}: {finding.message}", href)
    for key, mismatches in report.comparison.unlike.items() if report.comparison and report.comparison.tasks else ():
        fields = ", ".join(names_in_words([field for one in mismatches for field in one.fields]))
        words = f"{key}: runs of unlike protocol stand apart, because they differ in {fields}"
        yield Doubt(printable(words, 500), address("compare"), INCOMPARABLE)
    for note in report.notes:
        apart = note.startswith(NOT_COMPARED)
        where = address("compare" if apart and report.comparison else "runs")
        yield Doubt(printable(note, 500), where, INCOMPARABLE if apart else REMARKED)


def _left_out(task: TaskReport, place: int, name: str) -> Iterator[Doubt]:
    """Samples that count in the measure by which they are listed, and not in other numbers."""
    by_names: dict[frozenset[str], list[str]] = {}
    for metric, names in task.left_out[place].items():
        by_names.setdefault(frozenset(names), []).append(metric)
    measure = task.measure_of(place)
    if measure is None:
        return
    for names, metrics in by_names.items():
        values = {measure.values[one] for one in names}
        worth = f" as {figure(next(iter(values)), measure.unit)} each" if len(values) == 1 and len(names) > 1 else ""
        empty = names <= task.doubted[place].get("empty_output", set())
        what = counted(len(names), "empty answer" if empty else "sample with a value")
        words = f"{task.label}, {name}: {what} not in {', '.join(metrics)}, but counted in {measure.name}{worth}"
        yield Doubt(printable(words, 500), address("samples", task.label, run=task.runs[place], of=metrics[0], f="out"))


def so_far_in_words(progress: Progress) -> str:
    """How far a task of a run that goes on is, and what its numbers are of.

    >>> so_far_in_words(Progress(examples=100, answered=40, failed=1, judged=0, ended=1))
    'so far 41 of 100 items are answered (1 failed); no answer has all its verdicts yet, so there are no numbers yet'
    """
    failed = f" ({progress.failed:,} failed)" if progress.failed else ""
    judged = f", {progress.judged:,} judged" if progress.judged else ""
    done = f"so far {progress.answered + progress.failed:,} of {progress.examples:,} items are answered{failed}{judged}"
    if progress.why or not progress.rows:
        unjudged = "no answer has all its verdicts yet, so " if progress.answered and not progress.why else ""
        return f"{done}; {unjudged}there are no numbers yet{f': {progress.why}' if progress.why else ''}"
    if progress.ended >= progress.examples:
        return f"all {progress.examples:,} items have ended{failed}, and the numbers are of all; the run itself goes on"
    return f"{done}; the numbers are of {counted(progress.ended, 'item')}, of which nothing more will come"
