"""``plan``: the power of a comparison before it is paid for."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judgebench.cli import options
from judgebench.cli.rendering import show
from judgebench.display import dollars, percent, rough
from judgebench.errors import UsageError
from judgebench.exchange.sheets import Cell, Sheet, figures, words

if TYPE_CHECKING:
    from judgebench.analysis.power_plan import Plan
    from judgebench.analysis.ways import Ways


OF_DIFFERENCES = ("delta", "n", "correlation", "alpha", "power")
"""Parameters that only a plan of a difference has."""


def plan(
    context: typer.Context,
    task: Annotated[
        str, typer.Option(help="Task: NAME[@VERSION][:KEY=VALUE,…], or a path to a task's file.", metavar="T")
    ],
    metric: Annotated[str | None, typer.Option(help="Metric. Default: the task's headline.", metavar="NAME")] = None,
    baseline: Annotated[
        list[Path],
        typer.Option(help="Run folder to take the variance from. Give two, to take that of their paired differences."),
    ] = [],  # noqa: B006 - typer reads the default and copies it
    delta: Annotated[
        float | None, typer.Option(help="Difference to detect, in the metric's unit.", metavar="D")
    ] = None,
    n: Annotated[
        int | None, typer.Option(help="Number of examples. Default: the run's, else the task's.", min=1, metavar="N")
    ] = None,
    correlation: Annotated[
        float,
        typer.Option(
            help="Assumed correlation between two runs' per-example scores, when only one run is given.", metavar="R"
        ),
    ] = 0.0,
    alpha: Annotated[float, typer.Option(help="Two-sided level of the test.")] = 0.05,
    power: Annotated[float, typer.Option(help="Probability of detecting the difference.")] = 0.8,
    half_width: Annotated[
        str | None,
        typer.Option(
            help="Plan a bridge, a cascade and labels instead, for a number with an interval of plus or minus W.",
            metavar="W",
        ),
    ] = None,
    judge: Annotated[
        list[str],
        typer.Option(
            help="With --half-width: the judge of today. Default: the bridge's, the run's, or the task's.", metavar="J"
        ),
    ] = [],  # noqa: B006
    cascade: Annotated[
        str | None,
        typer.Option(
            help="With --half-width: the dear judge of a cascade. Default: that of the run, if it is one.",
            metavar="DEAR",
        ),
    ] = None,
    bridge: Annotated[
        Path | None, typer.Option(help="With --half-width: a bridge that is there already.", metavar="FILE")
    ] = None,
    usd_per_label: Annotated[
        float | None, typer.Option(help="With --half-width: what a label costs.", min=0, metavar="USD")
    ] = None,
    agreement: Annotated[
        float | None,
        typer.Option(help="With --half-width: how often people agree with the judge; default 0.7.", metavar="SHARE"),
    ] = None,
    mirror: options.Mirror = [],  # noqa: B006
    offline: options.Offline = False,
    everything: options.All = False,
    json: options.Json = False,
) -> None:
    """Say what difference two runs on the same examples can detect, and how many examples a difference needs.

    With --half-width: what a bridge, a cascade or labels take for a number this sure, and which is cheapest.
    """
    from judgebench import api

    asked = {"--judge": judge, "--cascade": cascade, "--bridge": bridge, "--usd-per-label": usd_per_label}
    if half_width is not None:
        if typed := [f"--{name}" for name in OF_DIFFERENCES if _is_typed(context, name)]:
            raise UsageError(
                f"{typed[0]} is about the difference of two runs, and --half-width about one number; leave one out"
            )
        _plan_ways(
            task, _width(half_width), metric, baseline, judge, cascade, bridge, usd_per_label, agreement,
            mirror=mirror, offline=offline, everything=everything, json=json,
        )  # fmt: skip
        return
    if idle := [flag for flag, given in {**asked, "--agreement": agreement}.items() if given not in (None, [])]:
        raise UsageError(f"{idle[0]} plans a number of some width; say which with --half-width")
    made = api.plan(
        task,
        metric=metric,
        baseline=baseline,
        delta=delta,
        n=n,
        correlation=correlation,
        alpha=alpha,
        power=power,
        mirrors=mirror,
        offline=offline,
    ).record
    show("json" if json else "rich", made, lambda: _sheets(made), rest=options.rest(everything))


def _is_typed(context: typer.Context, name: str) -> bool:
    """Whether a parameter was given, not left at its default."""
    source = context.get_parameter_source(name)
    return source is not None and not source.name.startswith("DEFAULT")


def _width(text: str) -> float:
    """The width that ``--half-width`` names."""
    try:
        return float(text)
    except ValueError:
        first = text.split(",")[0].strip()
        several = "," in text and first.replace(".", "", 1).isdigit()
        why = (
            f"names several widths; plan for one at a time, such as --half-width {first}"
            if several
            else ("is no number; give half the width of the interval in the metric's unit, such as --half-width 3")
        )
        raise UsageError(f"--half-width {text} {why}") from None


def _plan_ways(
    task: str,
    half_width: float,
    metric: str | None,
    baseline: list[Path],
    judge: list[str],
    cascade: str | None,
    bridge: Path | None,
    usd_per_label: float | None,
    agreement: float | None,
    *,
    mirror: list[Path],
    offline: bool,
    everything: bool,
    json: bool,
) -> None:
    """Plan for the width of one number."""
    from judgebench.analysis.ways import Need, ways_to
    from judgebench.run.settings import settings_from_flags

    if len(baseline) > 1:
        raise UsageError("--half-width is about one number: give one --baseline, the new model's run or one like it")
    need = Need(
        task=task,
        half_width=half_width,
        metric=metric,
        run=baseline[0] if baseline else None,
        judge=tuple(judge),
        dear=cascade,
        bridge=bridge,
        usd_per_label=usd_per_label,
        agreement=agreement,
    )
    made = ways_to(need, settings_from_flags({"tasks": task, "mirror": mirror, "offline": offline}))
    show("json" if json else "rich", made, lambda: [_ways_sheet(made)], rest=options.rest(everything))


NAMES = {"dear": "dear judge alone"}


def _cheapest(made: "Ways") -> str:
    """Which way is the cheapest, as far as prices are known."""
    free = [NAMES.get(way.kind, way.kind) for way in made.ways if way.possible and way.usd == 0]
    if made.cheapest is None:
        decides = f"no USD are paid for {' and '.join(free)}: the time that they take decides"
        return decides if free else "none of them can be priced, or reaches the width"
    priced = all(way.usd is not None for way in made.ways if way.possible)
    return f"cheapest{'' if priced else ' of those with a price'}: {NAMES.get(made.cheapest, made.cheapest)}"


def _ways_sheet(made: "Ways") -> Sheet:
    from judgebench.analysis.ways import width_text

    judged = "whose verdicts on the run are there" if made.judged else "whose verdicts are still to be made"
    rows = tuple(
        (
            NAMES.get(way.kind, way.kind) if way.possible else f"({way.kind})",
            way.gives,
            "–" if way.half_width is None else f"± {width_text(way.half_width, made.wanted)}",
            way.interval_of.removesuffix(" examples").removeprefix("examples "),
            "–" if not way.possible or way.judge_calls is None else f"{way.judge_calls:,}",
            "–" if not way.labels else f"{way.labels:,}",
            "–" if not way.possible or way.usd is None else dollars(way.usd),
        )
        for way in made.ways
    )
    notes = [_cheapest(made), *filter(None, [made.judge_chosen])]
    notes += [f"{way.kind}: {way.models} published models are judged first" for way in made.ways if way.models]
    notes.append(
        "examples: an interval for these holds on these examples alone; one for like these counts their sampling, too"
    )
    notes += [f"{way.kind}: {text}" for way in made.ways for text in way.assumed]
    notes += [f"{way.kind} is out: {way.reason}" for way in made.ways if way.reason]
    title = f"{made.metric} of {made.task} ± {made.wanted:g} {made.unit}; judge {made.judge}, {judged}"
    columns = (
        *words("way", "its number"),
        *figures("95 % interval"),
        *words("examples"),
        *figures("judge calls", "labels", "USD"),
    )
    return Sheet(title, columns, rows, notes=(*notes, *made.notes), rows_are="ways")


def _sheets(made: "Plan") -> list[Sheet]:
    title = f"{made.task} {made.metric}, two-sided alpha {made.alpha:g}, power {made.power:g}"
    sheets = [Sheet(title, words("question") + figures("answer"), tuple(_answers(made)))]
    if made.repeats:
        columns = figures("answers each", f"detectable ({made.unit})", "as good as examples", "answers in all")
        rows = tuple(
            (one.answers, rough(one.detectable), f"{one.equivalent_examples:,}", f"{one.calls:,}")
            for one in made.repeats
        )
        sheets.append(Sheet(f"repeats against more examples, at {made.n:,}", columns, rows))
    notes = [f"note: {note}" for note in made.notes]
    if total := sum(made.variance.values()):
        shares = ", ".join(f"{name} {percent(part / total)}" for name, part in made.variance.items())
        notes.insert(0, f"variance of the difference: {shares}; from {made.source}")
    return [*sheets[:-1], replace(sheets[-1], notes=tuple(notes))]


def _answers(made: "Plan") -> Iterator[tuple[Cell, ...]]:
    """The questions of a plan and their answers."""
    yield f"detectable with {made.n:,} examples", rough(made.detectable, made.unit)
    if made.delta is None:
        return
    wanted = f"{made.delta:g} {made.unit}"
    yield f"examples for {wanted}", f"{made.required:,}"
    answers = "no number does" if made.required_answers is None else f"{made.required_answers:,}"
    yield f"answers per example for {wanted} with {made.n:,}", answers
    if made.judge_calls_per_example is not None and made.required is not None:
        yield "judge calls of two such runs", f"{2 * made.required * made.judge_calls_per_example:,.0f}"
