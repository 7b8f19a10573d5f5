"""An audit from its settings to the stored judge card, and its dry run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from judgebench.auditing import probes
from judgebench.auditing.asking import Audit, Part, generations_of, parts_of
from judgebench.auditing.cards import JudgeCard, keep, make_card
from judgebench.auditing.suites import get_suite, require_files
from judgebench.errors import Incomplete, UsageError
from judgebench.models.call_store import CallStore, store_path
from judgebench.models.trained_by import Vendors
from judgebench.run.loading import MISSING_LIMIT, source_finder, too_many
from judgebench.run.pipeline import Observer
from judgebench.run.settings import Settings

if TYPE_CHECKING:
    from judgebench.run.dry_run import DryRun

REPEATS, MOST_REPEATS = 3, 100
"""How often each of a few prompts is asked."""


@dataclass(frozen=True, kw_only=True)
class AuditPlan:
    """What to audit a judge on."""

    settings: Settings
    """``judges`` are the judge: several are a jury. ``tasks`` names the benchmark whose prompt and rule ask, if any."""
    suites: tuple[str, ...] = (probes.BUILTIN,)
    repeats: int = REPEATS
    vendors: Vendors = field(default_factory=dict)
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Options of the suites' figures, by suite."""

    def __post_init__(self) -> None:
        """Raise :class:`UsageError` for a number of repeats that makes no sense."""
        if not 1 <= self.repeats <= MOST_REPEATS:
            raise UsageError(f"--repeats {self.repeats} is not between 1, which asks nothing twice, and {MOST_REPEATS}")


def parse_suites(text: str) -> tuple[tuple[str, ...], dict[str, dict[str, str]]]:
    """Read the suites of a command line, each once, with the options of their figures.

    >>> parse_suites("builtin")
    (('builtin',), {})
    """
    names: dict[str, dict[str, str]] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, option = part.partition(":")
        key, equals, value = option.partition("=")
        if option and not (equals and key and value):
            raise UsageError(f"--on {part!r:.80} is not of the form SUITE or SUITE:KEY=VALUE")
        given = {key: value} if option else {}
        if name != probes.BUILTIN:
            get_suite(name).settings(given)
        elif given:
            raise UsageError(f"the suite {probes.BUILTIN} has no options, and was given {option!r:.80}")
        names[name] = {**names.get(name, {}), **given}
    if not names:
        raise UsageError("--on names no suite; `judgebench judges audit --help` lists them")
    return tuple(names), {name: given for name, given in names.items() if given}


def parts(plan: AuditPlan) -> tuple[Part, ...]:
    """The parts of an audit; the files of its suites are fetched."""
    finder = source_finder(plan.settings)
    suites = [get_suite(name) for name in plan.suites if name != probes.BUILTIN]
    require_files(suites, finder)
    loaded = [(suite, suite.load(lambda source: finder.fetch(source)[0])) for suite in suites]
    return parts_of(loaded, limit=plan.settings.limit, repeats=plan.repeats)


def audit(plan: AuditPlan, observe: Observer) -> tuple[Path, JudgeCard]:
    """Ask what has not been asked, and store the card; return where it is, and the card.

    Raises :class:`Incomplete`, after the card is stored, if too many verdicts got no reply.
    """
    with Audit(plan.settings, parts(plan)).opened() as asked:
        answered = asked.run(observe)
        card = make_card(asked, answered, vendors=plan.vendors, options=plan.options)
        path = keep(asked, card, answered)
        lost, total = asked.unanswered(answered)
    if too_many(lost, total):
        raise Incomplete(
            f"{lost} of {total} calls got no reply (less than {MISSING_LIMIT:.0%} may). The card is kept in "
            f"{path.parent} without them; run the same command again to ask again for what failed"
        )
    return path, card


def estimate(plan: AuditPlan) -> "DryRun":
    """Estimate an audit: which calls it would make, what they may cost. Nothing is asked."""
    from judgebench.run.dry_run import summed
    from judgebench.run.rehearsal import Rehearsal

    asked = Audit(plan.settings, parts(plan))
    store = CallStore(store_path(plan.settings.cache))
    rehearsal = Rehearsal(store)
    examples = sum(len(part.items) for part in asked.parts)
    try:
        for part in asked.parts:
            answers = generations_of(part)
            rehearsal.play_judging(asked.loaded(part), answers, plan.settings, repeats=part.repeats, examples=examples)
    finally:
        store.close()
    return summed(rehearsal, [plan.settings])


def suites_known() -> Sequence[str]:
    """The names of all suites."""
    from judgebench.auditing.suites import SUITES

    return (probes.BUILTIN, *SUITES)
