"""The judge card: everything that audits of this machine found about one judge, and the verdicts behind it.

A card is one JSON file in the folder of the audit. A later audit of the same judge adds its suites to it.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from judgebench.auditing import probes
from judgebench.auditing.asking import REPEATED, Answered, Audit
from judgebench.auditing.biases import (
    LEAST_SANE,
    Probe,
    Verdicts,
    estimated,
    probes_of_builtin,
    probes_of_suite,
    reliability,
    repeats,
)
from judgebench.auditing.figures import Figure, SuiteReport
from judgebench.codec import canonical_hash, decode_lines, read_json, write_json, write_lines
from judgebench.errors import UsageError
from judgebench.judges.judge_files import is_judge_file
from judgebench.judges.logprob import LogprobJudge
from judgebench.models.opening import model_name, parse_model
from judgebench.models.trained_by import NO_VENDORS, Vendors, base_vendor_of, vendor_of
from judgebench.models.vendors import today
from judgebench.records import Count, Number
from judgebench.run.folder import now
from judgebench.run.judge_marks import (
    CARD,
    CARD_BYTES,
    MARK,
    MOST_CARDS,
    AuditMark,
    DecisiveFigure,
    asked_hash,
    audits_folder,
    models_of,
)
from judgebench.run.settings import Settings, settings_from_flags
from judgebench.stats.clustered import cluster_totals, clustered_estimate

VERDICTS = "verdicts.jsonl"
MOST_VERDICTS = 500_000
VERSION = 1
MOST_NULLS = 0.02
"""With more verdicts missing, the figures of a suite are unreliable."""
Kind = Literal["label", "rating", "logprob"]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class ItemVerdict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a judge decided about a pair, over both orders."""

    part: str
    item: str
    subset: str
    cluster: str
    gold: Literal[-1, 0, 1]
    """1 or -1 where the first or the second response is better."""
    share: Share | None
    """Share of the win of the first response; null if a verdict is missing."""


class Cost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the verdicts of an audit take."""

    verdicts: Count
    usd: Number | None
    """Of all calls, whoever paid for them; null if a price is not known."""
    per_verdict: Figure
    """USD."""
    prompt_tokens: Count
    completion_tokens: Count
    seconds: Figure
    """Between two finished calls, all in flight together, of the slowest model."""


class JudgeCard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a judge: a prompt, a rule, and the models that play them."""

    version: int = VERSION
    judge: str
    models: tuple[str, ...]
    """Several for a jury."""
    kind: Kind
    """Whether its verdicts are labels, ratings of single answers, or probabilities."""
    prompt: str
    """Where its prompt and its rule are from, in words."""
    reading: tuple[str, ...]
    made_at: str
    asked_by: str = ""
    """:func:`asked_by` of the settings."""
    mark: AuditMark
    reports: tuple[SuiteReport, ...]
    probes: tuple[Probe, ...]
    reliability: dict[str, tuple[tuple[float, float, int], ...]] = {}
    """By part: mean probability, share of the pairs that it says, and count of each tenth that occurs."""
    members: dict[str, dict[str, Figure]] = {}
    """Of a jury: the headline of each suite for each member alone."""
    cost: Cost
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """What decides, in one line."""
        return f"<judgebench.JudgeCard {self.mark.text}>"

    def probe(self, name: str, part: str) -> Probe | None:
        """What was found of one kind in one part."""
        return next((probe for probe in self.probes if (probe.name, probe.part) == (name, part)), None)


def make_card(
    audit: Audit,
    answered: Sequence[Answered],
    *,
    vendors: Vendors = NO_VENDORS,
    options: Mapping[str, Mapping[str, str]],
) -> JudgeCard:
    """Make the card of an audit; what an earlier one found in other suites is taken over."""
    rates = audit.protocol.rates
    reports, found, bins, members = [], [], {}, {}
    can_tie = _can_tie(audit, answered)
    is_own = _family(audit, vendors)
    for each in answered:
        part, verdicts = each.part, Verdicts.of(each.part.name, each.part.items, each.decisions, rates=rates)
        if part.name == REPEATED:
            found.append(repeats(verdicts))
        elif part.suite is None:
            found += probes_of_builtin(verdicts, can_tie=can_tie)
        else:
            own = options.get(part.name, {})
            reports.append(part.suite.report(part.items, each.decisions, options=own))
            found += probes_of_suite(verdicts, is_own)
            if len(each.of_members) > 1:
                members[part.name] = {
                    name: part.suite.report(part.items, decisions, options=own).headline
                    for name, decisions in each.of_members.items()
                }
        labelled = verdicts if part.suite is not None else verdicts.only(lambda item: item.subset in probes.SANITY)
        if part.name != REPEATED and (rows := reliability(labelled)):
            bins[part.name] = rows
    before = _card_of(audit.folder.path / CARD)
    if before is not None:
        now_named = {each.part.name for each in answered}
        reports += [report for report in before.reports if report.suite not in now_named]
        found += [probe for probe in before.probes if probe.part not in now_named]
        bins |= {part: rows for part, rows in before.reliability.items() if part not in now_named}
        members |= {part: own for part, own in before.members.items() if part not in now_named}
    mark = AuditMark(
        judge="+".join(audit.settings.judges),
        asked=tuple(dict.fromkeys(asked_hash(own) for own in audit.played)),
        models=tuple(sorted({model for own in audit.played for model in models_of(own)})),
        day=today().isoformat(),
        decisive=tuple(_decisive(reports, found)),
        unfit=_unfit(found),
    )
    return JudgeCard(
        judge=mark.judge,
        models=audit.models,
        kind=_kind(audit),
        prompt=audit.protocol.label,
        reading=tuple(
            dict.fromkeys(str(judge.fingerprint.get("reading", "")) for judge in audit.protocol.judges.values())
        ),
        made_at=now(),
        asked_by=asked_by(audit.settings),
        mark=mark,
        reports=tuple(reports),
        probes=tuple(found),
        reliability=bins,
        members=members,
        cost=_cost(audit, answered),
        notes=(*audit.notes, *_notes(reports, found)),
    )


def verdicts_of(audit: Audit, answered: Sequence[Answered]) -> Iterator[ItemVerdict]:
    """What the judge decided about each pair of the suites, for comparisons with other judges."""
    for each in answered:
        if each.part.name == REPEATED:
            continue
        verdicts = Verdicts.of(each.part.name, each.part.items, each.decisions, rates=audit.protocol.rates)
        for item, gold, share in zip(verdicts.items, verdicts.gold.tolist(), verdicts.shares.tolist(), strict=True):
            yield ItemVerdict(
                part=each.part.name,
                item=item.id,
                subset=item.subset,
                cluster=item.cluster,
                gold=gold,
                share=None if np.isnan(share) else share,
            )


def keep(audit: Audit, card: JudgeCard, answered: Sequence[Answered]) -> Path:
    """Write the card and the verdicts into the folder of the audit; return the path of the card."""
    folder = audit.folder.path
    new = list(verdicts_of(audit, answered))
    parts = {verdict.part for verdict in new}
    before = [each for each in _verdicts(folder / VERDICTS) if each.part not in parts]
    with audit.folder.locked():
        write_lines(folder / VERDICTS, [*before, *new])
        write_json(folder / CARD, card)
        write_json(folder / MARK, card.mark)
    return folder / CARD


# -- cards of this machine


def kept_cards() -> list[tuple[Path, JudgeCard]]:
    """The cards of all audits of this machine, the newest first. Those that cannot be read are left out."""
    paths = sorted(audits_folder().glob(f"*/{CARD}"))[:MOST_CARDS]
    found = [(path, card) for path in paths if (card := _card_of(path)) is not None]
    return sorted(found, key=lambda pair: pair[1].made_at, reverse=True)


def cards_of(judge: str) -> list[tuple[Path, JudgeCard]]:
    """The cards of a judge, as the user names it, the newest first, then those of juries that it sits on; before the
    others those without a prompt or a judge file of the user's, which the bare name does not say.

    It may also be named by its model's own name, by its judge file, or by the path of a card.
    """
    path = Path(judge)
    if path.name == CARD or (path / CARD).is_file():
        path = path if path.name == CARD else path / CARD
        return [(path, read_card(path))]
    if is_judge_file(judge):
        return _cards_of_file(judge)
    found = [pair for pair in kept_cards() if judge in (pair[1].judge, *pair[1].judge.split("+"), *pair[1].models)]
    plain = _hash_of(judge.split("+"))
    return sorted(
        found,
        key=lambda pair: (judge != pair[1].judge and (judge,) != pair[1].models, plain != pair[1].asked_by),
    )


def _cards_of_file(judge: str) -> list[tuple[Path, JudgeCard]]:
    """The cards of what a judge file says now: of its models, by its prompt and rule."""
    asked = asked_by(settings_from_flags({"judge": [judge], "tasks": ""}))
    return [(path, card) for path, card in kept_cards() if card.asked_by == asked]


def asked_by(settings: Settings) -> str:
    """The hash of a judge as the user names it: the models, and what a judge file or a prompt of the user's says."""
    own = None if settings.own_judge is None else settings.own_judge.identity
    return _hash_of(settings.judges, own, settings.judge_file_args)


def _hash_of(judges: Sequence[str], own: str | None = None, arguments: Mapping[str, str] | None = None) -> str:
    return canonical_hash({"judges": list(judges), "own": own, "arguments": dict(arguments or {})})


def read_card(path: Path) -> JudgeCard:
    """Read a card; raise :class:`UsageError` if it is none."""
    try:
        card: JudgeCard = read_json(path, JudgeCard, CARD_BYTES)
    except (ValueError, OSError) as error:
        raise UsageError(f"{path} is not a judge card of this version of judgebench: {error}") from error
    if card.version != VERSION:
        raise UsageError(f"{path} is a judge card of version {card.version}, and this judgebench reads {VERSION}")
    return card


def read_verdicts(card: Path) -> list[ItemVerdict]:
    """The verdicts beside a card; raise :class:`UsageError` if there are none that can be read."""
    found = _verdicts(card.parent / VERDICTS)
    if not found:
        raise UsageError(f"{card.parent} holds no verdicts beside its card; audit the judge again")
    return found


def _card_of(path: Path) -> JudgeCard | None:
    try:
        return read_card(path)
    except UsageError:
        return None


def _verdicts(path: Path) -> list[ItemVerdict]:
    if not path.exists():
        return []
    found = []
    for verdict in decode_lines(path, ItemVerdict):
        found.append(verdict)
        if len(found) > MOST_VERDICTS:
            raise UsageError(f"{path} holds more than {MOST_VERDICTS:,} verdicts, which no audit makes")
    return found


# -- parts of a card


def _kind(audit: Audit) -> Kind:
    if audit.protocol.rates:
        return "rating"
    soft = (isinstance(judge, LogprobJudge) and not judge.binarise for judge in audit.protocol.judges.values())
    return "logprob" if any(soft) else "label"


def _can_tie(audit: Audit, answered: Sequence[Answered]) -> bool:
    """Whether a judge can say that two answers are equal: its rule has a label for it, or it did."""
    if audit.protocol.rates:
        return True
    if _kind(audit) == "logprob":
        return False
    labels = any(len(getattr(judge, "labels", ())) > 2 for judge in audit.protocol.judges.values())
    return labels or any(decision.winner == 0 for each in answered for decision in each.decisions)


class Family:
    """Whether a model is of a judge's vendor, or made from its weights."""

    def __init__(self, judges: Sequence[str], vendors: Vendors) -> None:
        self._vendors = vendors
        self._own = {vendor for name in judges if (vendor := vendor_of(name, vendors))}

    def __call__(self, model: str) -> bool:
        """Whether a model of this name is of the family."""
        made = {vendor_of(model, self._vendors), base_vendor_of(model, self._vendors)}
        return bool(self._own & made)


def _family(audit: Audit, vendors: Vendors) -> Family:
    names = [model_name(parse_model(text)[0]) for text in audit.settings.judges]
    return Family([*names, *audit.models], vendors)


def _decisive(reports: Sequence[SuiteReport], found: Sequence[Probe]) -> Iterator[DecisiveFigure]:
    """What decides: agreement in the first suite, what the order does there, and the sanity pairs."""
    by_name = {(probe.name, probe.part): probe for probe in found}
    part = reports[0].suite if reports else probes.BUILTIN
    if reports:
        headline = reports[0].headline
        yield _short(headline, f"{reports[0].suite} {headline.name.replace('_', ' ')}")
    position = by_name.get(("position", part))
    if position is not None and position.figures:
        yield _short(position.figures[0], f"same winner in both orders of {part}")
    sane = by_name.get(("sanity", probes.BUILTIN))
    if sane is not None:
        yield _short(sane.figures[0], "sanity pairs right")


def _short(figure: Figure, words: str) -> DecisiveFigure:
    interval = figure.interval
    return DecisiveFigure(
        name=figure.name,
        words=words,
        value=figure.value,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        n=figure.n,
    )


def _unfit(found: Sequence[Probe]) -> str:
    sane = next((probe.figures[0] for probe in found if probe.name == "sanity"), None)
    if sane is None or sane.value is None or sane.value >= LEAST_SANE:
        return ""
    return f"below {100 * LEAST_SANE:.0f} % of the sanity pairs: it must not be used"


def _notes(reports: Sequence[SuiteReport], found: Sequence[Probe]) -> Iterator[str]:
    for report in reports:
        if report.decisions and report.nulls > MOST_NULLS * report.decisions:
            yield (
                f"{report.suite}: {report.nulls} of {report.decisions} verdicts are missing, more than "
                f"{100 * MOST_NULLS:.0f} %, so its figures are unreliable"
            )
    for probe in found:
        if probe.name == "sanity" and probe.nulls > MOST_NULLS * 2 * probe.items:
            yield (
                f"{probe.part}: {probe.nulls} of {2 * probe.items} verdicts on the sanity pairs are missing: are its "
                "replies read by the right rule?"
            )
        yield from (f"{probe.part}, {probe.name.replace('_', ' ')}: {note}" for note in probe.notes)


def _cost(audit: Audit, answered: Sequence[Answered]) -> Cost:
    paid = [
        (decision.usd, f"{each.part.name} {decision.item}")
        for each in answered
        for decision in each.decisions
        if decision.usd is not None
    ]
    totals = cluster_totals([usd for usd, _ in paid], clusters=[place for _, place in paid]) if paid else None
    policy = "mean USD of a verdict, whoever paid for it; a re-asked one costs both calls"
    if totals is None:
        figure = Figure(name="usd", value=None, n=0, policy=policy, unit="number", reason="no price is known")
    else:
        figure = estimated("usd", clustered_estimate(totals), policy, unit="number")
    known = [each.usd for each in answered]
    gaps, words = (
        audit.seconds_between(),
        "mean seconds between two finished calls, all in flight together, without pauses",
    )
    seconds = Figure(
        name="seconds", value=None, n=0, policy=words, unit="number", reason="too few calls were made to tell"
    )
    if gaps:
        seconds = estimated("seconds", clustered_estimate(cluster_totals(gaps)), words, unit="number")
    return Cost(
        verdicts=sum(len(each.decisions) for each in answered),
        usd=None if None in known else sum(usd for usd in known if usd is not None),
        per_verdict=figure,
        prompt_tokens=sum(each.usage.prompt_tokens for each in answered),
        completion_tokens=sum(each.usage.completion_tokens for each in answered),
        seconds=seconds,
    )
