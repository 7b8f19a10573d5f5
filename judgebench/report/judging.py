"""What a report says of judges: how verdicts ended, what the order of the answers does, and which labels were given."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from judgebench.analysis.samples import share_of, swapped_games
from judgebench.display import counted, percent, printable
from judgebench.records import Judgement, Verdict
from judgebench.report.address import address
from judgebench.report.collect import Report, TaskReport, label_of
from judgebench.run.folder import VERIFIED_BY

MOST_LABELS, MOST_REASONS = 12, 6


@dataclass(frozen=True)
class Fact:
    """A figure about verdicts, with the samples behind it."""

    what: str
    value: str
    href: str = ""
    n: int = 0
    """How many samples are there, if the figure says so."""


@dataclass(frozen=True)
class Judged:
    """What is said of the verdicts on one run's answers."""

    name: str
    facts: tuple[Fact, ...]
    labels: tuple[tuple[str, int, str], ...]
    """The commonest labels, how often each was given, and where the samples are."""
    reasons: tuple[tuple[str, int], ...]
    """Why verdicts are not there, the commonest first."""


@dataclass(frozen=True)
class JudgeView:
    """The judges of one task."""

    task: TaskReport
    runs: tuple[Judged, ...]


def judge_views(report: Report) -> list[JudgeView]:
    """The tasks that have judges."""
    return [
        JudgeView(task, tuple(_judged(report, task, place) for place in range(len(task.runs))))
        for task in report.tasks
        if task.opened[0].judged
    ]


def _judged(report: Report, task: TaskReport, place: int) -> Judged:
    opened, run = task.opened[place], task.runs[place]
    tally = _Tally(opened.verdict)
    for judgement in opened.judgements(opened.examples):
        if judgement.judge_model != VERIFIED_BY:
            tally.add(judgement, opened.verdict(judgement))
    return Judged(
        name=report.names[run],
        facts=tuple(_facts(task.label, run, opened.task.task_manifest.counts, tally)),
        labels=tuple(
            (label, count, address("samples", task.label, run=run, lab=label))
            for label, count in tally.labels.most_common(MOST_LABELS)
        ),
        reasons=tuple(tally.reasons.most_common(MOST_REASONS)),
    )


class _Tally:
    """Counts over verdicts."""

    def __init__(self, verdict_of: Callable[[Judgement], Verdict]) -> None:
        self.verdict_of = verdict_of
        self.labels: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.first_won = self.decided = 0
        self.shares: dict[str, dict[str, list[float]]] = {}
        """By example and judge: the candidate's shares of the win."""
        self.games: list[Judgement] = []

    def add(self, judgement: Judgement, verdict: Verdict) -> None:
        """Count one verdict."""
        if verdict.value is None:
            failure = judgement.reply.error if judgement.reply is not None else None
            self.reasons[printable(failure or verdict.error or "no reason is given", 160)] += 1
            return
        self.labels[label_of(verdict.label, verdict.value)] += 1
        share = share_of(judgement, verdict.value)
        if share is None:
            return
        self.games.append(judgement)
        if share != 0.5:
            self.decided += 1
            self.first_won += (share > 0.5) == (judgement.candidate == 0)
        by_judge = self.shares.setdefault(judgement.example_id, {})
        by_judge.setdefault(f"{judgement.judge}/{judgement.judge_model}", []).append(share)


def _facts(label: str, run: int, counts: dict[str, int], tally: _Tally) -> Iterator[Fact]:
    for state, words in (
        ("read", "verdicts read"),
        ("reasked_and_read", "read after the judge was asked again"),
        ("unread", "unread"),
        ("failed", "failed calls"),
        ("missing", "missing"),
        ("skipped", "known without asking"),
    ):
        if counts.get(state):
            doubt = "unread" if state in ("unread", "failed", "missing") else ""
            yield Fact(words, f"{counts[state]:,}", address("samples", label, run=run, f=doubt))
    everything = address("samples", label, run=run)
    if tally.decided:
        share = percent(tally.first_won / tally.decided, 1)
        yield Fact("won by the answer that was shown first", f"{share} of {tally.decided:,} decided games", everything)
    yield from _of_orders(label, run, tally)
    yield from _of_judges(label, run, tally)


def _of_orders(label: str, run: int, tally: _Tally) -> Iterator[Fact]:
    swapped = swapped_games(tally.games, tally.verdict_of)
    if not swapped:
        return
    changed = [game for game in swapped if game.changes]
    both = len({game.example_id for game in swapped})
    yield Fact(
        "both orders see the same winner",
        f"{percent(1 - len(changed) / len(swapped), 1)} of {len(swapped):,} pairs of games",
        address("samples", label, run=run, f="pairs"),
        both,
    )
    for words, games, doubt in (
        ("contradict themselves when the order changes", changed, "orders"),
        ("of these, reverse the winner", [game for game in changed if game.reverses], "reversed"),
        ("of these, have a tie in one order", [game for game in changed if not game.reverses], "tied"),
    ):
        apart = len({game.example_id for game in games})
        told = f"{counted(len(games), 'pair')} of games, in {counted(apart, 'sample')}"
        yield Fact(words, told, address("samples", label, run=run, f=doubt) if games else "", apart)


def _of_judges(label: str, run: int, tally: _Tally) -> Iterator[Fact]:
    several = [by_judge for by_judge in tally.shares.values() if len(by_judge) > 1]
    if several:
        unlike = sum(len({sum(own) / len(own) > 0.5 for own in by_judge.values()}) > 1 for by_judge in several)
        yield Fact("judges see the same winner", f"{percent(1 - unlike / len(several), 1)} of {len(several):,} samples")
        yield Fact(
            "judges see other winners",
            counted(unlike, "sample"),
            address("samples", label, run=run, f="judges") if unlike else "",
            unlike,
        )
