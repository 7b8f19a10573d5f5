"""How ``eval --dry-run`` is printed: calls, USD and time of each stage and in all, and what is known of the models."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from judgebench.cli.rendering import show
from judgebench.display import counted, printable, shortened
from judgebench.exchange.sheets import Cell, Sheet, figures, words

if TYPE_CHECKING:
    from judgebench.run.dry_run import DryRun, ModelFacts, Stage, Total

UNKNOWN = "?"
FIGURES = ("calls", "cached", "kept", "prompt tokens", "reply tokens", "USD low", "USD likely", "USD high", "time")
SPARE = ("reply tokens", "prompt tokens", "model", "kept", "cached")
"""The columns that a narrow terminal leaves out, in this order."""
LONGEST_NAME = 60


def print_dry_run(dry_run: "DryRun", *, as_json: bool) -> None:
    """Print what the runs would ask, as a table or as JSON."""
    show("json" if as_json else "rich", dry_run, lambda: [_sheet(dry_run)])


def _sheet(dry_run: "DryRun") -> Sheet:
    several = len({total.candidate for total in dry_run.tasks}) > 1
    names = words("candidate", "task") if several else words("task", "stage", "model")
    rows = list(_rows_of_candidates(dry_run) if several else _rows_of_stages(dry_run))
    columns = names + figures(*FIGURES)
    # Nobody learns anything from a column of noughts.
    idle = {name for name, count in (("kept", dry_run.total.kept), ("cached", dry_run.total.cached)) if not count}
    shown = [place for place, column in enumerate(columns) if column.name not in idle]
    there = {columns[place].name for place in shown}
    return Sheet(
        f"dry run, {dry_run.day}: nothing was asked",
        tuple(columns[place] for place in shown),
        tuple(tuple(row[place] for place in shown) for row in rows),
        (*_about_the_numbers(dry_run), *(_about(facts, _role(dry_run, facts)) for facts in dry_run.models)),
        tuple(_alerts(dry_run)),
        spare=tuple(name for name in SPARE if name in there),
    )


def _rows_of_stages(dry_run: "DryRun") -> Iterator[tuple[Cell, ...]]:
    """Each stage, each task if there are several of both, and everything."""
    roles = {facts.model: _role(dry_run, facts) for facts in dry_run.models}
    for total in dry_run.tasks:
        stages = [stage for stage in dry_run.stages if stage.task == total.task]
        for stage in stages:
            what = stage.stage if stage.stage == "generate" else roles[stage.model].rpartition(" and ")[2]
            yield (stage.task, what, shortened(stage.model, LONGEST_NAME), *_figures(stage))
        if len(stages) > 1 and len(dry_run.tasks) > 1:
            yield (total.task, "sum", "", *_figures(total))
    if len(dry_run.stages) > 1:
        yield ("total", "", "", *_figures(dry_run.total))


def _rows_of_candidates(dry_run: "DryRun") -> Iterator[tuple[Cell, ...]]:
    """Each task of each candidate, and everything."""
    for total in dry_run.tasks:
        judges = (
            f"judge {stage.model}" for stage in dry_run.stages if (stage.candidate, stage.task) == ("", total.task)
        )
        name = total.candidate or ", ".join(judges)
        yield (shortened(name, LONGEST_NAME), total.task, *_figures(total))
    yield ("total", "", *_figures(dry_run.total))


def _role(dry_run: "DryRun", facts: "ModelFacts") -> str:
    """What a model does in the run; the judges of a jury are numbered."""
    judges = [other.model for other in dry_run.models if "judge" in other.roles]
    number = f" {judges.index(facts.model) + 1}" if len(judges) > 1 and facts.model in judges else ""
    return " and ".join(facts.roles) + number


def _figures(counted: "Stage | Total") -> tuple[Cell, ...]:
    usd_known = getattr(counted, "usd_complete", True)
    seconds_known = getattr(counted, "seconds_complete", True)
    counts = (counted.calls, counted.cached, counted.kept, counted.prompt_tokens, counted.completion_tokens)
    return (
        *(f"{count:,}" for count in counts),
        *(
            _at_least(usd, dollars(usd), complete=usd_known)
            for usd in (counted.usd_low, counted.usd_likely, counted.usd_high)
        ),
        _at_least(counted.seconds_likely, lasting(counted.seconds_likely), complete=seconds_known),
    )


def _at_least(value: float | None, text: str, *, complete: bool) -> str:
    """The text, marked if a part of the sum is unknown; nothing is known if the rest is nought."""
    if complete:
        return text
    return f"≥ {text}" if value else UNKNOWN


def dollars(usd: float | None) -> str:
    """An amount with the digits that matter.

    >>> dollars(0.0), dollars(0.00001), dollars(0.00612), dollars(0.123), dollars(1234.5), dollars(None)
    ('0', '<0.0001', '0.0061', '0.12', '1,234.50', '?')
    """
    if usd is None:
        return UNKNOWN
    if 0 < usd < 0.0001:
        return "<0.0001"
    return f"{usd:.2g}" if usd < 0.995 else f"{usd:,.2f}"


def lasting(seconds: float | None) -> str:
    """A duration as people say it.

    >>> lasting(0), lasting(0.2), lasting(42), lasting(150), lasting(9000), lasting(300_000), lasting(None)
    ('0 s', '1 s', '42 s', '2 min', '2.5 h', '3.5 days', '?')
    """
    if seconds is None:
        return UNKNOWN
    if seconds < 90:
        return f"{max(round(seconds), 1 if seconds else 0)} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def _alerts(dry_run: "DryRun") -> Iterator[str]:
    """What would stop the run, or makes its numbers doubtful."""
    from judgebench.models.vendors import STALE_DAYS

    if dry_run.budget_usd is not None:
        yield from _budget(dry_run, dry_run.budget_usd)
    for facts in dry_run.models:
        if facts.shut_down:
            advice = f"; the vendor recommends {facts.replaced_by}" if facts.replaced_by else ""
            if "judge" in facts.roles:
                advice += "; `judgebench bridge` predicts its numbers from a judge of today"
            yield f"{facts.model}: its vendor has not served it since {facts.shutdown}; the run would refuse it{advice}"
        elif facts.listed is False:
            yield f"{facts.model}: its endpoint lists no model of this name{_near(facts)}"
        if facts.key_missing and not facts.shut_down:
            yield facts.key_missing.partition(". ")[0]
        age = (dry_run.day - facts.price_as_of).days if facts.price_as_of else 0
        if age > STALE_DAYS:
            yield f"{facts.model}: its price was read {age} days ago and may have changed"


def _budget(dry_run: "DryRun", budget: float) -> Iterator[str]:
    """Whether the budget can be kept."""
    for facts in dry_run.models:
        if facts.usd_per_million is None or facts.price_source == "listed by the endpoint":
            yield f"--budget {budget:g} cannot be kept without the price of {facts.model}"
    total = dry_run.total
    if total.usd_high > budget:
        how = "will" if total.usd_low > budget else "will probably" if total.usd_likely > budget else "may"
        yield f"--budget {budget:g} {how} be reached before the end"


def _about_the_numbers(dry_run: "DryRun") -> Iterator[str]:
    """What the run would continue, and how the numbers were made."""
    total = dry_run.total
    for folder in dry_run.continued:
        yield f"continues {folder}"
    if not total.calls:
        yield "every reply is here already: the run would ask nothing"
        return
    if repeated := sum(stage.repeated for stage in dry_run.stages):
        yield f"{counted(repeated, 'call')} would repeat another of this command word for word; each is made once"
    paid = sum(stage.calls for stage in dry_run.stages if stage.usd_high != 0)
    if 0 < paid < total.calls:
        yield f"{paid:,} of the {total.calls:,} calls are paid for; {total.calls - paid:,} go to models that are free"
    if dry_run.games is not None:
        how = " at most" if dry_run.at_most else ""
        yield f"arena:{how} {dry_run.games:,} games{' (adaptive pairing)' if how else ''}"
    elif dry_run.at_most:
        yield "--stop-when: the calls are the most there can be"
    if total.usd_high:
        yield "USD low: 25 % fewer tokens, short replies; high: 50 % more, and the longest replies allowed"
    if total.seconds_high:
        least, most = lasting(total.seconds_low), lasting(total.seconds_high)
        yield f"time {least if least == most else f'{least} to {most}'}: {'; '.join(_pace(dry_run.models))}"
    for model in dict.fromkeys(stage.model for stage in dry_run.stages if stage.seconds_likely is None):
        yield f"time ?: {shortened(model, LONGEST_NAME)} has not made enough calls here to know its speed"


def _pace(models: "Sequence[ModelFacts]") -> Iterator[str]:
    """Where the time comes from."""
    from judgebench.run.forecast import SECONDS_PER_CALL, TOKENS_PER_SECOND

    assumed = sorted({facts.concurrency for facts in models if facts.concurrency and not facts.calls_per_second})
    if assumed:
        at_once = " or ".join(map(str, assumed))
        yield f"assuming {SECONDS_PER_CALL:g} s and {TOKENS_PER_SECOND:g} tokens/s for a call, {at_once} calls at once"
    for name in ("rpm", "tpm"):
        for limit in sorted({getattr(facts, name) for facts in models} - {None}):
            yield f"--{name} {limit:g}"
    if any(facts.concurrency and facts.price_source != "free" and not (facts.rpm or facts.tpm) for facts in models):
        yield "a vendor's rate limits are not known and may take longer: give yours with --rpm, --tpm"
    for facts in models:
        if facts.calls_per_second:
            yield f"{shortened(facts.model, LONGEST_NAME)} made {facts.calls_per_second:.3g} calls/s here before"


def _about(facts: "ModelFacts", role: str) -> str:
    """A model's price and its last day."""
    flag = "--model-arg" if "candidate" in facts.roles else "--judge-arg"
    parts = []
    if facts.usd_per_million is None:
        hint = "" if facts.listed is False else _near(facts)
        parts.append(f"price unknown{hint}; give it with {flag} usd_per_million=IN/OUT")
        if facts.models_at and facts.listed is None:
            parts.append(f"its endpoint lists its models at {facts.models_at}")
    elif facts.price_source == "free":
        parts.append("free")
    else:
        prompt, completion = facts.usd_per_million
        said = ", ".join(filter(None, [_source(facts), facts.price_note]))
        parts.append(f"${prompt:g} in, ${completion:g} out per million tokens ({said})")
        if facts.price_source == "listed by the endpoint":
            parts.append(f"for --budget give it with {flag} usd_per_million={prompt:g}/{completion:g}")
    if facts.shutdown is not None and not facts.shut_down:
        instead = f", then {facts.replaced_by}" if facts.replaced_by else ""
        parts.append(f"served until {facts.shutdown}{instead}")
    if facts.official is False:
        parts.append("not the official judge: another protocol, with a table of its own")
    if facts.needs_logprobs and not (facts.official or facts.returns_logprobs):
        parts.append("it must return logprobs, and whether it does is not known before its first reply")
    return f"{role} {printable(facts.model, 100)}: {'; '.join(parts)}"


def _source(facts: "ModelFacts") -> str:
    source = facts.price_source or ""
    return f"{urlsplit(source).netloc or source} on {facts.price_as_of}" if facts.price_as_of else source


def _near(facts: "ModelFacts") -> str:
    return f" (did you mean {' or '.join(printable(name, 60) for name in facts.near)}?)" if facts.near else ""
