"""The public suites by name."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from judgebench.auditing import (
    alpaca_human,
    judgebench_pairs,
    llmbar,
    mtbench_human,
    pandalm,
    rewardbench,
    rewardbench_2,
)
from judgebench.auditing.figures import SuiteReport
from judgebench.auditing.items import Decision, Item, read_decisions
from judgebench.auditing.probes import BUILTIN
from judgebench.auditing.suite import Fetch, Suite
from judgebench.data.sources import SourceFinder
from judgebench.display import shortened
from judgebench.errors import ModelError, SourceMissing, UsageError

SUITES: Mapping[str, Suite] = {
    suite.name: suite
    for suite in (
        mtbench_human.SUITE,
        llmbar.SUITE,
        llmbar.HUMAN_SUITE,
        judgebench_pairs.SUITE,
        pandalm.SUITE,
        rewardbench.SUITE,
        rewardbench_2.SUITE,
        alpaca_human.SUITE,
    )
}


def get_suite(name: str) -> Suite:
    """The suite of this name. Raises :class:`UsageError`, which names those that there are."""
    if name not in SUITES:
        raise UsageError(
            f"no suite is called {name[:60]!r}; there are {', '.join(SUITES)}, and for `judges audit` {BUILTIN}, which "
            "needs no data"
        )
    return SUITES[name]


def require_files(suites: Sequence[Suite], finder: SourceFinder) -> None:
    """Get the files of all suites, so that a user learns at once which are missing, and how to get them.

    Raises :class:`SourceMissing` (offline) or :class:`ModelError` (a host cannot be reached), which names them all.
    """
    failed: SourceMissing | ModelError | None = None
    missing: dict[str, list[str]] = {}
    for suite in suites:
        for source in suite.sources:
            try:
                if failed is None or finder.locate(source) is not None:
                    finder.fetch(source)
                    continue
            except (SourceMissing, ModelError) as error:
                failed = error
            missing.setdefault(suite.name, []).append(source.name)
    if failed is None:
        return
    count = sum(map(len, missing.values()))
    files = "; ".join(f"{shortened(', '.join(names), 160)} of {suite}" for suite, names in missing.items())
    why = "--offline was given" if failed.__cause__ is None else f"the download failed: {failed.__cause__}"
    what = "1 official file that is not here" if count == 1 else f"{count} official files that are not here"
    raise type(failed)(
        f"The suites need {what}: {files}; looked in {' and '.join(finder.places)}, and {why}. If you have them, name "
        f"their folder with --mirror DIR (or JUDGEBENCH_MIRROR); else get them on a machine with a network and name a "
        f"copy of its cache folder (`judgebench data where`): "
        f"{' && '.join(f'judgebench data fetch {suite}' for suite in missing)}"
    ) from failed


def report_of_file(suite: Suite, path: Path, fetch: Fetch, options: Mapping[str, str], *, seed: int = 0) -> SuiteReport:
    """A judge's figures from a file of its decisions. Scores without a verdict are decided by the suite's rule."""
    decisions = read_decisions(path)
    items = {item.id: item for item in suite.load(fetch)}
    given = {(decision.item, decision.order, decision.repeat) for decision in decisions}
    made = [
        each
        for decision in decisions
        for each in _decided(suite, items.get(decision.item), decision, seed)
        # Scores may stand in the file once, or once for each order.
        if each.order == decision.order or (each.item, each.order, each.repeat) not in given
    ]
    return suite.report(tuple(items.values()), made, options=options, seed=seed)


def _decided(suite: Suite, item: Item | None, decision: Decision, seed: int) -> tuple[Decision, ...]:
    if item is None or decision.shown is not None or not decision.scores:
        return (decision,)
    if len(decision.scores) != len(item.responses):
        raise UsageError(
            f"item {item.id[:60]!r} of {suite.name} has {len(item.responses)} responses, and a decision has "
            f"{len(decision.scores)} scores; give one for each, null where there is none"
        )
    return suite.decide(
        item,
        decision.scores,
        seed=seed,
        repeat=decision.repeat,
        seconds=decision.seconds,
        usd=decision.usd,
        error=decision.error,
    )
