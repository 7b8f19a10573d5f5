"""What the summary says first: a sentence for each task, and its tables as every other table is printed."""

from collections.abc import Iterator, Sequence

from judgebench.analysis.comparison_records import Difference
from judgebench.analysis.samples import OpenTask
from judgebench.display import figure, interval, printable
from judgebench.exchange.sheets import Sheet, figures, words
from judgebench.report.collect import Report, TaskReport
from judgebench.report.differences import comparison_of, difference_in_words, n_in_words, turned
from judgebench.report.doubts import doubts, worst_first
from judgebench.report.ladders import headline, ordered
from judgebench.report.score_tables import score_tables


def summary_sheets(report: Report) -> list[Sheet]:
    """The summary's tables as every other table is printed; below each, what to say of its numbers first."""
    sheets = []
    for table in score_tables(report, groups=False):
        compared = len(table.names) == 2
        rows = tuple(
            (
                row.metric,
                *(f"{cell.value} ({cell.around})" if cell.around else cell.value for cell in row.cells),
                *((row.difference,) if compared else ()),
            )
            for row in table.rows
        )
        columns = words("metric") + figures(*table.names, *(("difference",) if compared else ()))
        sheets.append(Sheet(f"{table.task.label}, judge {table.judge}", columns, rows))
    notes = (*leads(report), *(doubt.words for doubt in worst_first(doubts(report))), *report.notes)
    return [*sheets, Sheet("what to know of these numbers", notes=notes)] if notes else sheets


def leads(report: Report) -> Iterator[str]:
    """A sentence for each task: the headline numbers or, of two runs, their difference."""
    for task in report.tasks:
        compared = comparison_of(report, task)
        if compared is not None and compared.differences:
            yield from _lead_of(report, task, compared.differences)
            continue
        metric = headline(task)
        for number, opened in enumerate(task.opened):
            score = opened.task.overall.get(metric or "")
            if score is not None and score.value is not None:
                ends = "" if score.low is None or score.high is None else interval(score.low, score.high, score.unit)
                value = figure(score.value, score.unit) + (f" ({ends})" if ends else "")
                name, now = report.names[task.runs[number]], _now([opened])
                yield printable(
                    f"{task.label}: {name} has {score.metric} {value}, {score.n:,} samples{now}{_doubted(opened)}", 400
                )


def _no_lead(task: TaskReport) -> Iterator[str]:
    """Why it is not said which of two runs leads: no number of quality is of all samples."""
    for score in task.first.scores:
        if score.group is None and score.reason and task.is_of_quality(score.metric):
            yield printable(f"{task.label}: {score.metric} has no value, so neither run leads: {score.reason}", 400)
            return


def _now(opened: Sequence[OpenTask]) -> str:
    """What to add to a number of samples of which more will come."""
    told = (one.task.so_far for one in opened)
    return " so far" if any(one is not None and one.ended < one.examples for one in told) else ""


def _doubted(leader: OpenTask) -> str:
    """What to add to the number of a run that is in doubt, so that nobody takes it for the best before."""
    told = next((finding.message for finding in leader.task.findings if finding.flagged), "")
    return f"; in doubt: {told}" if told else ""


def _lead_of(report: Report, task: TaskReport, differences: Sequence[Difference]) -> Iterator[str]:
    metric, now = headline(task), _now(task.opened)
    if len(task.runs) > 2 and metric is not None:
        known = ordered(task, metric)
        told = [f"{figure(one.value, one.unit)} ({report.names[task.runs[at]]})" for at, one in (known[0], known[-1])]
        best = _doubted(task.opened[known[0][0]])
        yield printable(f"{task.label}: {len(known)} runs, {metric} from {' to '.join(told)}{now}{best}", 400)
        return
    measured = (one for one in differences if one.group is None and one.difference is not None)
    one = next((one for one in measured if task.is_of_quality(one.metric)), None)
    if one is None:
        yield from _no_lead(task)
        return
    first, second, sure = report.names[one.first], report.names[one.second], ""
    if one.low is not None and one.high is not None:
        sure = f"; the interval {'holds 0, so this may be chance' if one.low <= 0 <= one.high else 'excludes 0'}"
    assert one.difference is not None
    ahead, behind, lead = (second, first, one) if one.difference >= 0 else (first, second, turned(one))
    said = "leads" if one.difference else "does as well as"
    leader = task.opened[task.runs.index(one.second if one.difference >= 0 else one.first)]
    words = (
        f"{task.label}: {ahead} {said} {behind}, {one.metric} {difference_in_words(lead)}{sure}; "
        f"{n_in_words(lead).replace(' | ', ' and ')} items{now}{_doubted(leader)}"
    )
    yield printable(words, 400)
