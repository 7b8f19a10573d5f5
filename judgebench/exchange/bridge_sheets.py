"""A judge bridge as tables: its models, each predicted by the others, and what that says of it."""

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from judgebench.analysis.bridging import LEFT_OUT
from judgebench.display import percent, reasons, rough
from judgebench.exchange.sheets import Bounds, Cell, Figure, Sheet, figures, words
from judgebench.run.bridge_files import Bridge, BridgeMetric
from judgebench.stats.bridge_rules import WORDS

AS_NEAR = 1.1
"""Up to how many times the bridge's mean error the judge's own is called about as near."""
FORECAST = (12, 20, float("inf"))
"""Numbers of models for which the evidence says how wide the interval would be."""


def bridge_sheets(bridge: Bridge, path: Path, *, verbose: bool) -> Iterator[Sheet]:
    """The models of the only metric, or a line for each of several; ``verbose`` shows the models of all."""
    if verbose or len(bridge.metric_names) == 1:
        for name in bridge.metric_names:
            yield metric_sheet(bridge, name)
    else:
        yield _metrics_sheet(bridge, path)
    yield Sheet(f"bridge {bridge.name}", notes=tuple(_about(bridge, path)), summary=True, asked=True)


def served_lines(bridge: Bridge) -> Iterator[str]:
    """What to know before a judge is asked that its vendor serves no longer."""
    if bridge.judge.retired:
        yield "judge not served any more: only for runs that it judged"


def _metrics_sheet(bridge: Bridge, path: Path) -> Sheet:
    """What each metric's bridge is worth, in a line each."""
    rows, worth, near, refused, marks = [], list[str](), [], [], []
    for name in bridge.metric_names:
        metric = bridge.metrics[name]
        inside = sum(model.covered95 for model in metric.loo)
        rows.append(
            (
                name,
                metric.status,
                f"{inside} of {len(metric.loo)}" if metric.loo else "–",
                rough(metric.checks.median_half_width95),
                rough(metric.checks.mean_absolute_error),
                rough(metric.checks.raw_mean_absolute_error),
            )
        )
        worth.append(f"{name}: {', '.join(_read_first(metric))}")
        near += [(name, text) for text in _adds_only(metric)]
        refused += [(name, reason) for reason in codes_in_words(metric.reasons, "refused: ")]
        marks += [(name, mark) for mark in codes_in_words(metric.marks, "mark: ")]
    return Sheet(
        f"{bridge.official_shown} from {bridge.judge_shown}, {len(bridge.included)} models",
        (*words("metric", "status"), *figures("inside 95 %", "half-width", "mean error", "as it is")),
        tuple(rows),
        (
            *worth,
            *_said_of(near, len(rows)),
            *_said_of(marks, len(rows)),
            "inside 95 %: how many models, each left out, were inside the interval that the others give. Half-width of "
            "that interval, mean error of the prediction, and of the judge's number as it is, in points",
            f"the models, and each predicted by the others: judgebench bridge show {shlex.quote(str(path))} -v",
        ),
        alerts=tuple(_said_of(refused, len(rows))),
        asked=True,
    )


def _read_first(metric: BridgeMetric) -> Iterator[str]:
    """How much of the models' differences the bridge predicts, and how far they stray from it."""
    explained = metric.checks.explained
    yield f"{'nothing' if explained is None else percent(explained)} of the models' differences explained"
    if metric.fit is not None:
        yield f"scatter {metric.fit.tau:.2f} on the logit scale"


def _adds_only(metric: BridgeMetric) -> Iterator[str]:
    """Say it where the judge's own number is about as near to the official one as the bridge's."""
    own, bridged = metric.checks.raw_mean_absolute_error, metric.checks.mean_absolute_error
    if own is not None and bridged is not None and own <= AS_NEAR * bridged:
        yield "the judge's own number is about as near; the bridge adds the interval, not a better number"


def _said_of(said: Sequence[tuple[str, str]], metrics: int) -> list[str]:
    """A line for each thing said, with the metrics that it is said of, unless that is all of them."""
    times = Counter(what for _, what in said)
    whole = [what for what, count in times.items() if count == metrics]
    return [*whole, *reasons((name, what) for name, what in said if what not in whole)]


def metric_sheet(bridge: Bridge, name: str) -> Sheet:
    """The models of one metric, and what they say of the bridge."""
    metric = bridge.metrics[name]
    left, unit = {model.model: model for model in metric.loo}, metric.unit
    rows: list[tuple[Cell, ...]] = []
    for model in sorted(bridge.included, key=lambda model: _official(metric, model.name)):
        numbers, out = metric.numbers.get(model.name), left.get(model.name)
        rows.append(
            (
                model.name,
                model.vendor or "",
                Figure(numbers.judged, unit) if numbers else None,
                Figure(numbers.official, unit) if numbers else None,
                Figure(out.predicted, unit) if out else None,
                Bounds(out.low95, out.high95, unit) if out else Bounds(),
                f"{out.t:+.1f}" if out else "",
                "outlier" if out and out.outlier else "",
            )
        )
    noted = any(row[-1] for row in rows)
    numbered = figures("judge", "official", "predicted without it", "95 % interval", "t")
    return Sheet(
        title=f"{name}: {bridge.official_shown} from {bridge.judge_shown}, {metric.status}",
        columns=(*words("model", "vendor"), *numbered, *(words("note") if noted else ())),
        rows=tuple(row if noted else row[:-1] for row in rows),
        notes=tuple(_evidence(bridge, name)),
        alerts=tuple(codes_in_words(metric.reasons, "refused: ")),
        spare=("vendor", "t"),
        rows_are="models",
        asked=True,
    )


def _official(metric: BridgeMetric, model: str) -> float:
    numbers = metric.numbers.get(model)
    return -numbers.official if numbers else float("inf")


def codes_in_words(codes: Iterable[str], before: str = "") -> list[str]:
    """What codes of the rules say."""
    return [before + WORDS.get(code, code) for code in codes]


def _evidence(bridge: Bridge, name: str) -> Iterator[str]:
    """What the models say of a metric's bridge."""
    metric, fit, bridge_fit = bridge.metrics[name], bridge.metrics[name].fit, bridge.fits[name]
    checks = metric.checks
    if fit is not None:
        slope = f"slope {fit.slope:.2f}"
        if fit.judged_range[0] == fit.judged_range[1]:
            slope = "slope not determined (the judge gave every model the same number)"
        yield f"{fit.n} models: {slope}, scatter {fit.tau:.2f} on the logit scale"
    if metric.loo:
        inside = {level: sum(getattr(model, f"covered{level}") for model in metric.loo) for level in (95, 90)}
        yield (
            f"left out one at a time, {inside[95]} of {len(metric.loo)} were inside the 95 % interval and {inside[90]} "
            f"inside that of 90 %; its median half-width is {_points(checks.median_half_width95)}"
        )
        yield (
            f"mean error {_points(checks.mean_absolute_error)}, median {_points(checks.median_absolute_error)}; "
            f"of the judge's number as it is {_points(checks.raw_mean_absolute_error)}"
        )
        explained = "nothing" if checks.explained is None else percent(checks.explained)
        spearman = "" if checks.spearman is None else f"; Spearman of judged and official {checks.spearman:.2f}"
        yield f"explained of the models' differences: {explained}{spearman}"
        yield from _adds_only(metric)
    elif checks.reason:
        yield checks.reason
    for out in metric.loo:
        if out.outlier:
            model = bridge.model(out.model)
            of = f" ({model.vendor})" if model and model.vendor else ""
            yield f"outlier, kept: {out.model}{of}, {abs(out.t):.1f} standard errors from what the others say"
    wanted = [m for m in (bridge_fit.n, *FORECAST) if m >= max(3, bridge_fit.n)]
    told = [f"{_points(width)} with {_models(m)}" for m in wanted if (width := bridge_fit.forecast(m)) is not None]
    if told:
        yield f"half-width to expect in the middle of the official range: {', '.join(told)}"
    yield from codes_in_words(metric.marks, "mark: ")


def _points(value: float | None) -> str:
    return "unknown" if value is None else f"{rough(value)} points"


def _models(m: float) -> str:
    return "ever more models" if m == float("inf") else f"{m:g}"


def _about(bridge: Bridge, path: Path) -> Iterator[str]:
    """Where a bridge comes from."""
    official, judge, items = bridge.official, bridge.judge, bridge.items
    first, second = _by(bridge.judge_shown, judge.vendor), _by(bridge.official_shown, official.vendor)
    yield f"from {first} to {second}, on {bridge.label}"
    yield f"official numbers: {official.source}"
    ran = any(model.run_id is not None for model in bridge.models)
    served = f", served as {judge.served_model}" if judge.served_model else ""
    protocol = judge.protocol_hash.removeprefix("sha256:")[:12]
    yield f"{'judge asked as' if ran else 'judged numbers:'} {bridge.judge_named}{served}; protocol {protocol}"
    drawn = f"{items.k} random ones of {items.n:,}" if items.k else f"all {items.n:,}"
    out: dict[str, list[str]] = {}
    for model in bridge.models:
        if model.reason:
            out.setdefault(model.reason, []).append(model.name)
    for reason, names in out.items():
        yield f"left out: {counted_reasons({reason: len(names)})}: {', '.join(names)}"
    yield f"items: {drawn}; made on {bridge.created} by judgebench {bridge.judgebench}"
    if not ran:
        yield "made of published numbers, without runs: nobody here has asked the judge"
    if judge.unknown:
        yield f"not known of the published numbers, and so not compared with runs: {', '.join(judge.unknown)}"
    yield from served_lines(bridge)
    yield from drift_lines(bridge)
    yield from codes_in_words(bridge.findings.reasons, "refused: ")
    yield from codes_in_words(bridge.findings.marks, "mark: ")
    yield f"use: judgebench score RUN --bridge {shlex.quote(str(path))}"
    yield (
        "a prediction is no measurement. It holds for models like these; training against the judge, or choosing among "
        "checkpoints by it, breaks the bridge, and nothing here shows it"
    )


def _by(name: str, vendor: str | None) -> str:
    return f"{name} of {vendor}" if vendor else f"{name} (vendor unknown)"


def drift_lines(bridge: Bridge) -> Iterator[str]:
    """What became of the judge since the bridge was made."""
    drift = bridge.drift
    if drift is None:
        return
    what = f"{len(drift.items)} answers of {drift.model}"
    if not drift.asked:
        yield f"drift: {what}, about which the judge has not been asked again yet"
    for asked in drift.asked[-3:]:
        p_value = drift.p_value_of(asked)
        pairs = [(b, a) for b, a in zip(drift.verdicts, asked.verdicts, strict=True) if a is not None]
        changed = sum(before != after for before, after in pairs)
        p = "unknown" if p_value is None else f"{p_value:.2g}"
        served = (
            f"; served as {asked.served_model}"
            if asked.served_model and asked.served_model != bridge.judge.served_model
            else ""
        )
        yield (
            f"drift: asked again on {asked.date} about {what}, {changed} of {len(pairs)} verdicts are others than "
            f"those that the bridge of {bridge.created} is made of, p = {p}{served}"
        )


def counted_reasons(counts: Mapping[str, int]) -> str:
    """How many models are left out, by reason."""
    return "; ".join(f"{count} {LEFT_OUT.get(reason, reason)}" for reason, count in counts.items()) or "none"
