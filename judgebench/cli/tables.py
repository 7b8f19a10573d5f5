"""Results on stdout: tables for people, JSON for programs."""

import json
import sys
from typing import TYPE_CHECKING

import msgspec

from judgebench.display import cell, figure, printable, reasons
from judgebench.records import EarlyStop, Score
from judgebench.store import Manifest, Results

if TYPE_CHECKING:
    from judgebench.cache import Spending
    from judgebench.dry_run import Estimate


IF_MISSING = {"if_missing_all_lost_or_won": "lost – won", "if_missing_all_rated_1_or_10": "rated 1 – 10"}
"""Details of a score with its bounds, and what they suppose."""


def print_json(value: object) -> None:
    """Indented JSON and nothing else; in ASCII, so that no name or text in it can speak to the terminal."""
    sys.stdout.write(json.dumps(json.loads(msgspec.json.encode(value)), indent=2) + "\n")
    sys.stdout.flush()


def score_name(score: Score) -> str:
    """Its metric, and of which part of the examples."""
    return score.metric if score.group is None else f"{score.metric} {score.group}"


def print_notes(manifest: Manifest) -> None:
    """What a run's files were found to lack, on stderr: beside JSON, which has no place for it."""
    for task_manifest in manifest.tasks.values():
        for note in task_manifest.notes:
            sys.stderr.write(f"judgebench: note: {printable(note)}\n")


def number(score: Score) -> str:
    """A value as a table shows it; a dash where it could not be computed."""
    return figure(score.value, score.unit)


def interval(score: Score) -> str:
    """``low – high`` or nothing."""
    return _span(score.low, score.high, score.unit)


def _span(low: float | None, high: float | None, unit: str) -> str:
    return "" if low is None or high is None else f"{figure(low, unit)} – {figure(high, unit)}"


def by_upstream(score: Score) -> str:
    """The value and interval that upstream's rule gives, with another level if it has one; nothing if it is ours."""
    found = score.upstream
    if found is None:
        return ""
    bounds = _span(found.low, found.high, score.unit)
    level = f" at {100 * found.level:g} %" if found.level not in (None, score.level) else ""
    return figure(found.value, score.unit) + (f" ({bounds}{level})" if bounds else "")


def both_rules(score: Score) -> str:
    """Our number and upstream's in one line, with the reason; nothing if they do not differ."""
    if score.upstream is None:
        return ""
    bounds = interval(score)
    ours = number(score) + (f" ({bounds})" if bounds else "")
    return f"{score.metric}: {ours} by our rule, {by_upstream(score)} by upstream's: {score.upstream.reason}"


def print_results(results: Results, manifest: Manifest, *, as_json: bool, verbose: bool) -> None:
    """One run's scores, what to doubt about them, and where the run lies."""
    if as_json:
        print_json(results)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for task_manifest in manifest.tasks.values():
        title = f"{cell(manifest.candidate)} on {cell(task_manifest.label, 200)}"
        if task_manifest.starter:
            title += "  (starter set: not comparable with anything)"
        table = Table(title=Text(title), title_justify="left")
        for name in ("metric", "value", "95 % interval", "n", "missing"):
            table.add_column(name, justify="left" if name == "metric" else "right")
        for score in results.scores:
            if score.task != task_manifest.name:
                continue
            name = score.metric if score.group is None else f"  {score.metric} {score.group}"
            table.add_row(Text(cell(name, 120)), number(score), interval(score), str(score.n), str(score.n_missing))
        console.print(table)
        own = [score for score in results.scores if score.task == task_manifest.name]
        for line in reasons((score_name(score), score.withheld) for score in own):
            console.print(Text(cell(line, 500)))
        for score in own:
            if score.group is None:
                for line in _remarks(score):
                    console.print(Text(cell(line, 1000)))
        counts = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in task_manifest.counts.items() if count)
        console.print(Text(f"cases: {cell(counts, 400)}"))
        if task_manifest.early_stop is not None:
            console.print(Text(cell(_stopped(task_manifest.early_stop), 400)))
        judges = ", ".join(map(cell, task_manifest.judge_models)) or "none"
        console.print(Text(f"judge: {judges}; protocol {cell(task_manifest.protocol_hash[7:15])}"))
        for note in task_manifest.notes:
            console.print(Text(f"note: {cell(note, 300)}"))
        if verbose:
            if task_manifest.first_prompt is not None:
                console.print(Text("first prompt, as the model reads it:"))
                for line in task_manifest.first_prompt.splitlines():
                    console.print(Text(f"  {printable(line)}", style="dim"))
            for source in task_manifest.sources:
                told = f"source: {source.name} sha256 {source.sha256} from {source.origin}"
                console.print(Text(cell(told, 400)))
    for finding in results.integrity:
        if finding.flagged:
            console.print(Text(f"integrity: {cell(finding.check)}: {cell(finding.message, 200)}", style="bold red"))
    if manifest.spending is not None:
        for line in _spending(manifest.spending):
            console.print(Text(line))
    console.print(Text(cell(f"run folder: {results.run} ({manifest.status})", 4000)))


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
        lines.append(cell(told, 500))
    # The details of a run that somebody else made may be anything.
    match score.details:
        case {"C": float(c), "lc_range_over_near_tied_C": [float(low), float(high)], "near_tied_C": [*tied]}:
            lines.append(
                f"{score.metric}: C = {c:.6g}; {len(tied)} values of C are as good within noise, over which it is "
                f"{low:.2f} – {high:.2f}"
            )
    if "rows_without_label" in score.details:
        lines.append(f"{score.metric}: rows without a label: {cell(str(score.details['rows_without_label']), 200)}")
    for detail, ends in IF_MISSING.items():
        match score.details.get(detail):
            case [int(low) | float(low), int(high) | float(high)] if score.n_missing:
                lines.append(
                    f"{score.metric}: {low:.2f} – {high:.2f} if the {score.n_missing} missing had all been {ends}"
                )
    return lines


def print_estimate(estimates: "list[Estimate]", *, as_json: bool) -> None:
    """What ``--dry-run`` found."""
    if as_json:
        print_json(estimates)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title="dry run: nothing was sent", title_justify="left")
    for name in ("task", "stage", "model", "examples", "calls", "cached", "prompt tokens", "completion tokens", "USD"):
        table.add_column(name, justify="left" if name in ("task", "stage", "model") else "right", overflow="fold")
    for e in estimates:
        usd = "unknown" if e.usd_likely is None else f"{e.usd_low:.2f} / {e.usd_likely:.2f} / {e.usd_high:.2f}"
        row = [e.task, e.stage, e.model, e.examples, e.calls, e.cached]
        table.add_row(*(cell(str(value)) for value in row), f"{e.prompt_tokens:,}", f"{e.completion_tokens:,}", usd)
    Console().print(table)
