"""The judge card as tables for a terminal, as Markdown, and as one HTML page without a script."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from judgebench.auditing import probes
from judgebench.auditing.biases import Probe
from judgebench.auditing.cards import JudgeCard
from judgebench.auditing.comparing import JudgeComparison, PairOfJudges, PartComparison
from judgebench.auditing.figures import ALL, Figure, SuiteReport
from judgebench.codec import replacing
from judgebench.display import chance, dollars, markdown, printable, shortened
from judgebench.exchange.sheets import Bounds, Cell, Column, Sheet, figures, html_of, markdown_of, words
from judgebench.exchange.sheets import Figure as SheetFigure

if TYPE_CHECKING:
    import jinja2

KINDS = {
    "label": "a label for one of two answers, or a tie",
    "rating": "a rating of each answer by itself",
    "logprob": "the probability that one of two answers is better",
}
FIRST = {
    "position": ("consistent", "tied_in_both", "first_effect"),
    "length": ("prefers_longer_excess", "length_given_gold"),
    "style": ("prefers_lists_excess",),
    "self_preference": ("self_preference",),
    "calibration": ("ece", "brier"),
    "sanity": ("sane", "first_effect_on_same"),
    "padding": ("padding_effect",),
    "attacks": ("constant_wins", "forged_wins", "forged_lift"),
    "repeats": ("stable",),
}
"""The figures of each probe that the short card shows."""
SHORTEST_BAR = 0.5


NAMES = {
    "sane": "sanity pairs right",
    "consistent": "same winner in both orders",
    "tied_in_both": "a tie in both orders",
    "first_effect": "pull of the first place",
    "first_effect_on_same": "first place, equal texts",
    "padding_effect": "pull of padding",
    "constant_wins": "constant answer wins",
    "forged_wins": "forged verdict wins",
    "forged_lift": "what the forging adds",
    "prefers_longer_excess": "pull of length",
    "length_given_gold": "length given the label",
    "prefers_lists_excess": "pull of lists",
    "stable": "same verdict again",
    "ece": "calibration error (ECE)",
    "brier": "Brier score",
    "human_ceiling": "people with people",
    "judge_over_ceiling": "judge / people",
}
"""What people call some figures."""


def name_of(found: Figure) -> str:
    """A figure's name for people, with the unit of a share.

    >>> name_of(Figure(name="first_effect", value=None, n=0, policy="", unit="number"))
    'pull of the first place'
    """
    name = NAMES.get(found.name, found.name.replace("_", " ")) + ("" if found.group == ALL else f", {found.group}")
    return f"{name}, %" if found.unit == "share" else name


def short_sheet(card: JudgeCard) -> Sheet:
    """What decides about a judge, in one table."""
    shown = list(_short(card))
    rows = [_row(part, found, missing) for part, found, missing in shown]
    return Sheet(
        f"{shortened(card.judge, 60)}: {KINDS[card.kind]}; {shortened(card.prompt, 200)}",
        _COLUMNS[:-1],
        tuple(row[:-1] for row in rows),
        (*_intervals(shown), *_notes(card)),
        alerts=tuple(_alerts(card)),
        spare=("missing",),
        rows_are="figures",
    )


def _short(card: JudgeCard) -> Iterator[tuple[str, Figure, int]]:
    """The part, the figure and the missing verdicts of each row of the short table."""
    for report in card.reports:
        yield from ((report.suite, found, report.nulls) for found in _first_of(report))
        yield from _of_probes(card, {report.suite})
    named = {report.suite for report in card.reports}
    yield from _of_probes(card, {probe.part for probe in card.probes} - named)


def _of_probes(card: JudgeCard, parts: set[str]) -> Iterator[tuple[str, Figure, int]]:
    for probe in card.probes:
        if probe.part in parts:
            yield from ((probe.part, found, probe.nulls) for found in _shown(probe))


def _intervals(shown: Sequence[tuple[str, Figure, int]]) -> Iterator[str]:
    """What the intervals are over, and why a figure has none, or no value."""
    over: dict[str, int] = {}
    blank: dict[str, list[str]] = {}
    for part, found, _ in shown:
        if found.interval is not None and found.clusters is not None:
            over[part] = max(over.get(part, 0), found.clusters)
        if found.interval is None and found.reason:
            what = "no value" if found.value is None else "no interval"
            blank.setdefault(f"{what}, because {found.reason}", []).append(name_of(found).removesuffix(", %"))
    counts = ", ".join(f"{count:,} questions of {part}" for part, count in over.items())
    if counts:
        yield f"n counts verdicts or pairs, which are several to a question; the intervals are over {counts}"
    for reason, names in blank.items():
        yield f"{', '.join(dict.fromkeys(names))}: {reason}"


def sheets_of(card: JudgeCard) -> list[Sheet]:
    """Everything on the card, the short table first."""
    found = [short_sheet(card)]
    for report in card.reports:
        found.append(report_sheet(report))
    for probe in card.probes:
        counts = f"{probe.items} pairs, {probe.nulls} verdicts missing"
        rows = tuple(_row("", each, None) for each in probe.figures)
        found.append(_part(f"{probe.part}: {probe.name.replace('_', ' ')}", rows, (counts, *probe.notes)))
    for part, bins in sorted(card.reliability.items()):
        rows = tuple((f"{p:.3f}", f"{y:.3f}", n) for p, y, n in bins)
        found.append(Sheet(f"{part}: reliability", figures("mean p", "share of second", "verdicts"), rows))
    if card.members:
        found.append(_members(card))
    found.append(_cost(card))
    return found


def report_sheet(report: SuiteReport) -> Sheet:
    """All figures of a judge on a suite: the one that decides, those over all items, those of parts of them."""
    decisive = report.headline
    ordered = sorted(report.figures, key=lambda each: (each is not decisive, each.group != ALL))
    rows = tuple(_row("", each, None) for each in ordered)
    counts = (
        f"{report.judged} of {report.items} items judged, {report.decisions} verdicts: {report.ties} ties, "
        f"{report.nulls} missing"
    )
    options = ", ".join(f"{name}={value}" for name, value in sorted(report.options.items()))
    notes = [counts, f"options: {options}" if options else "", _if_nulls_were(report), _spent(report)]
    made = _part(report.suite, rows, tuple(filter(None, notes)))
    return replace(made, spare=("what it is",))


def _if_nulls_were(report: SuiteReport) -> str:
    """What the missing verdicts could do to the headline."""
    if report.if_nulls_were is None or None in report.if_nulls_were:
        return ""
    scale = 100 if report.headline.unit == "share" else 1
    low, high = (scale * value for value in report.if_nulls_were if value is not None)
    name = report.headline.name.replace("_", " ")
    return f"{name} if the missing verdicts were all wrong: {low:.2f}; if they were all right: {high:.2f}"


def _spent(report: SuiteReport) -> str:
    """What the decisions say they cost."""
    usd = "" if report.usd is None else f"{dollars(report.usd)} in all"
    pace = "" if report.seconds_per_verdict is None else f"{report.seconds_per_verdict:.2g} s per verdict"
    return ", ".join(filter(None, (usd, pace)))


def _part(title: str, rows: tuple[tuple[Cell, ...], ...], notes: tuple[str, ...]) -> Sheet:
    return Sheet(
        title, _COLUMNS[1:4] + _COLUMNS[5:], tuple((*row[1:4], *row[5:]) for row in rows), notes, rows_are="figures"
    )


_COLUMNS = (
    *words("part", "figure"),
    *figures("value"),
    Column("95 % interval", key="interval"),
    *figures("missing", "n"),
    Column("what it is", words=True),
)


def _row(part: str, found: Figure, missing: int | None) -> tuple[Cell, ...]:
    shares = found.unit == "share"
    scale, unit = (100.0, "percent") if shares else (1.0, "coefficient")
    value = None if found.value is None else found.value * scale
    interval = found.interval
    bounds = Bounds() if interval is None else Bounds(interval.low * scale, interval.high * scale, unit)
    about = found.policy if found.reason is None else f"{found.policy}; {found.reason}"
    return (part, name_of(found), SheetFigure(value, unit), bounds, missing, found.n, about)


def _first_of(report: SuiteReport) -> Iterator[Figure]:
    yield report.headline
    yield from (found for found in (report.ceiling, report.over_ceiling) if found is not None and found.n)


def _shown(probe: Probe) -> list[Figure]:
    wanted = FIRST.get(probe.name, ())
    return [
        each
        for each in probe.figures
        if each.name in wanted and each.group == ALL and each.n and not (each.name == "tied_in_both" and not each.value)
    ]


def _alerts(card: JudgeCard) -> Iterator[str]:
    if card.mark.unfit:
        yield card.mark.unfit


def _notes(card: JudgeCard) -> Iterator[str]:
    yield "a pull, an effect or a coefficient of 0 is no bias"
    yield f"read as: {'; '.join(card.reading)}; audited {card.made_at}"
    yield _cost_line(card)
    yield from card.notes


def _cost_line(card: JudgeCard) -> str:
    cost = card.cost
    usd = "price not known" if cost.per_verdict.value is None else f"{dollars(cost.per_verdict.value)} each"
    pace = "" if cost.seconds.value is None else f", {cost.seconds.value:.2g} s each with all in flight"
    return f"{cost.verdicts:,} verdicts: {usd}{pace}"


def _members(card: JudgeCard) -> Sheet:
    rows = tuple(
        (part, name, *_row("", found, None)[2:4], found.n)
        for part, members in card.members.items()
        for name, found in members.items()
    )
    return Sheet(
        "members of the jury alone, by the headline",
        (*words("suite", "model"), *figures("value"), Column("95 % interval", key="interval"), *figures("n")),
        rows,
    )


def _cost(card: JudgeCard) -> Sheet:
    cost = card.cost
    rows = (_row("", cost.per_verdict, None), _row("", cost.seconds, None))
    total = "not known" if cost.usd is None else dollars(cost.usd)
    notes = (
        f"all calls, whoever paid for them: {total}; {cost.prompt_tokens:,} prompt and {cost.completion_tokens:,} "
        "completion tokens",
    )
    return _part("cost", rows, notes)


# -- comparisons


def comparison_sheets(found: JudgeComparison) -> Iterator[Sheet]:
    """Judges side by side, for each suite: who is better, whose errors agree, what they are worth together."""
    for part in found.parts:
        prompts = tuple(f"{name}: {prompt}" for name, prompt in found.judges.items())
        yield Sheet(
            f"{part.part}: {part.labelled} labelled pairs of {part.items} that all judged",
            _compared("judge"),
            tuple(_compared_row(name, each) for name, each in part.accuracies.items()),
            (*prompts, "right, in percent; ties and missing verdicts are half right"),
        )
        yield Sheet(
            f"{part.part}: two judges at a time",
            (
                *words("first", "second"),
                *figures("first - second"),
                Column("95 % interval", key="interval"),
                *figures("p", "same, %", "phi of errors"),
                Column("phi's interval", key="phi_interval"),
            ),
            tuple(_pair_row(pair) for pair in part.pairs),
            tuple(_together(part)),
            spare=("phi's interval",),
        )
        yield Sheet(
            f"{part.part}: all of them as one",
            (*_compared("panel"), *figures("over the mean"), Column("its interval", key="gap"), *words("how")),
            tuple(
                (*_compared_row(panel.name, panel.accuracy), *_gap(panel.over_mean), panel.about)
                for panel in part.panels
            ),
            spare=("how",),
        )
        if part.additions:
            yield Sheet(
                f"{part.part}: what each adds to the plain mean of the others",
                (*words("judge"), *figures("without it, %", "adds"), Column("95 % interval", key="interval")),
                tuple((each.judge, _compared_row("", each.without)[1], *_gap(each.adds)) for each in part.additions),
            )


def _compared(name: str) -> tuple[Column, ...]:
    return (*words(name), *figures("right, %"), Column("95 % interval", key="interval"), *figures("n"))


def _compared_row(name: str, found: Figure) -> tuple[Cell, ...]:
    row = _row("", found, None)
    return name, row[2], row[3], found.n


def _gap(found: Figure | None) -> tuple[Cell, Cell]:
    """A difference of two accuracies in points, and its interval."""
    if found is None or found.value is None:
        return None, None
    interval = found.interval
    bounds = Bounds() if interval is None else Bounds(100 * interval.low, 100 * interval.high, "points", signed=True)
    return SheetFigure(100 * found.value, "points", signed=True), bounds


def _pair_row(pair: PairOfJudges) -> tuple[Cell, ...]:
    phi, same = _row("", pair.error_correlation, None), _row("", pair.agreement, None)
    return pair.first, pair.second, *_gap(pair.difference), chance(pair.p_value), same[2], phi[2], phi[3]


def _together(part: PartComparison) -> Iterator[str]:
    yield "p: paired permutation test over questions; phi 0: they err independently, 1: on the same pairs"
    if part.effective_judges is not None and part.error_correlation is not None:
        yield (
            f"{len(part.accuracies)} judges with a mean phi of {part.error_correlation:.2f} are worth "
            f"{part.effective_judges:.1f} that err independently"
        )


# -- pages


def write_pages(path: Path, card: JudgeCard) -> tuple[Path, Path]:
    """Write the Markdown and the HTML beside the JSON of a card; return their paths."""
    pages = path.with_suffix(".md"), path.with_suffix(".html")
    for page, text in zip(pages, (markdown_page(card), html_page(card)), strict=True):
        with replacing(page) as file:
            file.write(text.encode())
    return pages


def markdown_page(card: JudgeCard) -> str:
    """The card as Markdown."""
    head = [f"# Judge card: {markdown(card.judge)}", "", markdown(card.mark.text), ""]
    return "\n".join([*head, *map(markdown_of, sheets_of(card))])


class Bar(NamedTuple):
    """A point of a reliability diagram, in its coordinates."""

    x: float
    y: float
    size: float


def html_page(card: JudgeCard) -> str:
    """The card as one HTML page in ASCII, without a script and without anything from elsewhere."""
    page = _template().render(
        card=card,
        kind=KINDS[card.kind],
        sheets=[html_of(sheet) for sheet in sheets_of(card)],
        diagrams={part: list(_bars(bins)) for part, bins in sorted(card.reliability.items())},
        builtin=probes.BUILTIN,
    )
    return page.encode("ascii", "xmlcharrefreplace").decode()


def _bars(bins: Iterable[tuple[float, float, int]]) -> Iterator[Bar]:
    listed = list(bins)
    most = max((n for _, _, n in listed), default=1)
    for p, y, n in listed:
        yield Bar(round(200 * p, 1), round(200 * (1 - y), 1), round(3 + 7 * (n / most) ** SHORTEST_BAR, 1))


@cache
def _template() -> "jinja2.Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from judgebench.data.resources import resource

    environment = Environment(
        loader=FileSystemLoader(resource("templates")),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("judge_card.html.j2")
