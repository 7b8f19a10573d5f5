"""A run on stdout: its scores and what to doubt about them, or what it would cost."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from judgebench.cli.rendering import print_json, print_sheets
from judgebench.display import figure, interval, printable, reasons, shortened
from judgebench.exchange.sheets import Sheet, figures, words
from judgebench.records import EarlyStop, Score
from judgebench.run.folder import Manifest, Results, TaskManifest

if TYPE_CHECKING:
    from judgebench.models.call_store import Spending
    from judgebench.run.dry_run import Estimate
    from judgebench.run.reading import Unreadable


IF_MISSING = {"if_missing_all_lost_or_won": "lost – won", "if_missing_all_rated_1_or_10": "rated 1 – 10"}
"""Details of a score with its bounds, and what they suppose."""


def print_notes(manifest: Manifest) -> None:
    """What a run's files were found to lack, on stderr: beside JSON, which has no place for it."""
    for fields in manifest.tasks.values():
        for note in fields.notes:
            sys.stderr.write(f"judgebench: note: {printable(note)}\n")


def print_unreadable(unreadable: "Iterable[Unreadable]") -> None:
    """The runs that a command leaves out, with the reason, on stderr."""
    for one in unreadable:
        sys.stderr.write(f"judgebench: left out: {printable(one.reason)}\n")


def score_name(score: Score) -> str:
    """Its metric, and of which part of the examples."""
    return score.metric if score.group is None else f"{score.metric} {score.group}"


def score_interval(score: Score) -> str:
    """``low – high``, or nothing."""
    return interval(score.low, score.high, score.unit)


def by_upstream(score: Score) -> str:
    """The value and interval that upstream's rule gives, with another level if it has one; nothing if it is ours."""
    found = score.upstream
    if found is None:
        return ""
    bounds = interval(found.low, found.high, score.unit)
    level = f" at {100 * found.level:g} %" if found.level not in (None, score.level) else ""
    return figure(found.value, score.unit) + (f" ({bounds}{level})" if bounds else "")


def both_rules(score: Score) -> str:
    """Our number and upstream's in one line, with the reason; nothing if they do not differ."""
    if score.upstream is None:
        return ""
    bounds = score_interval(score)
    ours = figure(score.value, score.unit) + (f" ({bounds})" if bounds else "")
    return f"{score.metric}: {ours} by our rule, {by_upstream(score)} by upstream's: {score.upstream.reason}"


def print_results(results: Results, manifest: Manifest, *, as_json: bool, verbose: bool) -> None:
    """One run's scores, what to doubt about them, and where the run lies."""
    if as_json:
        print_json(results)
        return
    sheets = []
    for fields in manifest.tasks.values():
        sheets.append(_scores(manifest.candidate, fields, results, verbose=verbose))
        if verbose and fields.first_prompt is not None:
            sheets.append(Sheet("first prompt, as the model reads it:", notes=tuple(fields.first_prompt.splitlines())))
    flagged = tuple(f"integrity: {one.check}: {one.message}" for one in results.integrity if one.flagged)
    spending = [] if manifest.spending is None else _spending(manifest.spending)
    place = f"run folder: {results.run} ({manifest.status})"
    print_sheets([*sheets, Sheet("", alerts=flagged, notes=(*spending, place))])


def _scores(candidate: str, fields: TaskManifest, results: Results, *, verbose: bool) -> Sheet:
    """The scores of one task of a run."""
    own = [score for score in results.scores if score.task == fields.name]
    title = f"{shortened(candidate, 60)} on {shortened(fields.label, 200)}"
    if fields.starter:
        title += "  (starter set: not comparable with anything)"
    notes = reasons((score_name(score), score.withheld) for score in own)
    for score in own:
        if score.group is None:
            notes += _remarks(score)
    counts = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in fields.counts.items() if count)
    notes.append(f"cases: {counts}")
    if fields.early_stop is not None:
        notes.append(_stopped(fields.early_stop))
    notes.append(f"judge: {', '.join(fields.judge_models) or 'none'}; protocol {fields.protocol_hash[7:15]}")
    notes += [f"note: {note}" for note in fields.notes]
    if verbose:
        notes += [f"source: {one.name} sha256 {one.sha256} from {one.origin}" for one in fields.sources]
    rows = tuple(
        (
            score_name(score) if score.group is None else f"  {score_name(score)}",
            figure(score.value, score.unit),
            score_interval(score),
            score.n,
            score.n_missing,
        )
        for score in own
    )
    return Sheet(title, words("metric") + figures("value", "95 % interval", "n", "missing"), rows, tuple(notes))


def _spending(spending: "Spending") -> list[str]:
    """What the run has cost so far, where it cost anything, and what of that is not certain."""
    lines = []
    if spending.usd:
        lines.append(f"spent: ${spending.usd:.4f} in {spending.calls} calls")
    if spending.estimated_calls:
        usd = f", ${spending.estimated_usd:.4f} in all" if spending.estimated_usd else ""
        lines.append(
            f"estimated: the tokens of {spending.estimated_calls} calls, which the endpoint did not report; they count "
            f"at the most they can be{usd}"
        )
    if spending.lost_calls:
        usd = f", at most ${spending.lost_usd:.4f}" if spending.lost_usd else ""
        lines.append(
            f"unknown: {spending.lost_calls} calls under way when a process was killed, which may have been billed{usd}"
        )
    return lines


def _stopped(stop: EarlyStop) -> str:
    if not stop.early_stopped:
        return f"stop when {stop.rule}: not reached before all {stop.population} examples were judged"
    return (
        f"stopped early ({stop.rule}): {stop.n} of {stop.population} examples in random order; {stop.judge_calls} "
        f"judge calls made, about {stop.judge_calls_saved} saved. The interval of {stop.metric} holds however often it "
        "was looked at; the other metrics have none"
    )


def _remarks(score: Score) -> list[str]:
    lines = []
    if told := both_rules(score):
        lines.append(told)
    # The details of a run that somebody else made may be anything.
    match score.details:
        case {"C": float(c), "lc_range_over_near_tied_C": [float(low), float(high)], "near_tied_C": [*tied]}:
            lines.append(
                f"{score.metric}: C = {c:.6g}; {len(tied)} values of C are as good within noise, over which it is "
                f"{interval(low, high, score.unit)}"
            )
    if "rows_without_label" in score.details:
        lines.append(f"{score.metric}: rows without a label: {score.details['rows_without_label']}")
    for detail, ends in IF_MISSING.items():
        match score.details.get(detail):
            case [int(low) | float(low), int(high) | float(high)] if score.n_missing:
                bounds = interval(low, high, score.unit)
                lines.append(f"{score.metric}: {bounds} if the {score.n_missing} missing had all been {ends}")
    return lines


def print_estimate(estimates: "list[Estimate]", *, as_json: bool) -> None:
    """What ``--dry-run`` found."""
    if as_json:
        print_json(estimates)
        return
    costs = figures("examples", "calls", "cached", "prompt tokens", "completion tokens", "USD")
    rows = tuple(
        (
            *(e.task, e.stage, e.model, e.examples, e.calls, e.cached),
            *(f"{e.prompt_tokens:,}", f"{e.completion_tokens:,}"),
            "unknown" if e.usd_likely is None else f"{e.usd_low:.2f} / {e.usd_likely:.2f} / {e.usd_high:.2f}",
        )
        for e in estimates
    )
    spare = ("examples", "prompt tokens", "completion tokens", "cached")
    title = "dry run: nothing was sent"
    print_sheets([Sheet(title, words("task", "stage", "model") + costs, rows, spare=spare)])
