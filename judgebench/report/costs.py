"""What a report says of tokens, money and time."""

from dataclasses import dataclass

from judgebench.display import clock, dollars, printable
from judgebench.report.collect import Report


@dataclass(frozen=True)
class StageRow:
    """One stage of one task of a run, over all its sessions."""

    task: str
    stage: str
    asked: int
    cached: int
    failed: int
    reasked: int
    prompt_tokens: int
    completion_tokens: int
    usd: str
    seconds: str


@dataclass(frozen=True)
class CostView:
    """What one run took."""

    name: str
    rows: tuple[StageRow, ...]
    sessions: int
    total: str
    retries: tuple[tuple[str, str, int], ...]
    """Model, cause, how often."""


def cost_views(report: Report) -> list[CostView]:
    """The costs of each run; an imported run has none."""
    return [_cost(report, number) for number in range(len(report.runs))]


def _cost(report: Report, number: int) -> CostView:
    sessions = report.runs[number].manifest.sessions
    places = dict.fromkeys((task, stage) for one in sessions for task, stages in one.counts.items() for stage in stages)
    retries: dict[tuple[str, str], int] = {}
    for one in sessions:
        for model, causes in one.retries.items():
            for cause, count in causes.items():
                retries[model, cause] = retries.get((model, cause), 0) + count
    usd = sum(stage.usd for one in sessions for stages in one.counts.values() for stage in stages.values())
    return CostView(
        name=report.names[number],
        rows=tuple(_stage(report, number, task, stage) for task, stage in places),
        sessions=len(sessions),
        total=f"{dollars(usd)}, {clock(sum(one.seconds for one in sessions))} on the clock",
        retries=tuple((printable(model, 80), printable(cause, 80), n) for (model, cause), n in retries.items()),
    )


def _stage(report: Report, number: int, task: str, stage: str) -> StageRow:
    sessions = report.runs[number].manifest.sessions
    found = [counts for one in sessions if (counts := one.counts.get(task, {}).get(stage)) is not None]
    unpriced = sum(one.unpriced.prompt_tokens + one.unpriced.completion_tokens for one in found)
    usd = dollars(sum(one.usd for one in found))
    return StageRow(
        task=printable(task, 80),
        stage=stage,
        asked=sum(one.asked for one in found),
        cached=sum(one.cached for one in found),
        failed=sum(one.failed for one in found),
        reasked=sum(one.reasked for one in found),
        prompt_tokens=sum(one.usage.prompt_tokens for one in found),
        completion_tokens=sum(one.usage.completion_tokens for one in found),
        usd=f"{usd}, {unpriced:,} tokens of unknown price" if unpriced else usd,
        seconds=clock(sum(one.seconds for one in found)),
    )
