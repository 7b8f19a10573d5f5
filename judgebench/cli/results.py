"""How a run is printed: its scores and what to doubt about them, or its estimated cost."""

import shutil
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import typer

from judgebench.cli.overviews import place_of, summary
from judgebench.cli.rendering import NUMBERS, Format, print_beside, score_name, show, under_metrics
from judgebench.display import figure, interval, reasons, shortened
from judgebench.exchange.layout import Layout
from judgebench.exchange.sheets import Bounds, Cell, Column, Figure, Inner, Sheet, figures, words
from judgebench.records import EarlyStop, Score, Usage
from judgebench.run.folder import Manifest, Results, TaskManifest
from judgebench.run.overview import overview_of
from judgebench.run.unread import DETAIL as IF_UNREAD

if TYPE_CHECKING:
    from judgebench.models.call_store import Spending
    from judgebench.run.overview import RunOverview


SHOWN_TASKS = 3
"""How many tasks at most have a table on a terminal of their own beside the summary, if they are too long."""
IF_MISSING = {"if_missing_all_lost_or_won": "lost – won", "if_missing_all_rated_1_or_10": "rated 1 – 10"}
"""Details of a score that hold its bounds, and what the bounds assume of the missing examples."""


def print_notes(manifest: Manifest) -> None:
    """Print the notes on a run's files to stderr."""
    for task_manifest in manifest.tasks.values():
        print_beside("note", task_manifest.notes)


def score_interval(score: Score) -> str:
    """``low – high``, or nothing."""
    return interval(score.low, score.high, score.unit)


def by_upstream(score: Score) -> str:
    """The value and interval by upstream's rule, with its level if that is another; empty if the rules agree."""
    found = score.upstream
    if found is None:
        return ""
    bounds = interval(found.low, found.high, score.unit)
    level = f" at {100 * found.level:g} %" if found.level not in (None, score.level) else ""
    return figure(found.value, score.unit) + (f" ({bounds}{level})" if bounds else "")


def both_rules(score: Score) -> str:
    """Our number and upstream's in one line, with the reason for the difference; empty if the rules agree."""
    if score.upstream is None:
        return ""
    bounds = score_interval(score)
    ours = figure(score.value, score.unit) + (f" ({bounds})" if bounds else "")
    return f"{score.metric}: {ours} by our rule, {by_upstream(score)} by upstream's: {score.upstream.reason}"


def of_tasks(results: Results, manifest: Manifest, names: Collection[str]) -> tuple[Results, Manifest]:
    """The results of the tasks that a user named, and the manifest with those alone; all if none was named."""
    kept = {name: own for name, own in manifest.tasks.items() if not names or name in names}
    of_them = msgspec.structs.replace(
        results,
        scores=[score for score in results.scores if score.task in kept],
        integrity=[finding for finding in results.integrity if finding.task in kept],
        early_stops={name: stop for name, stop in results.early_stops.items() if name in kept},
    )
    return of_them, msgspec.structs.replace(manifest, tasks=kept)


def print_results(
    results: Results,
    manifest: Manifest,
    *,
    as_json: bool,
    verbose: bool,
    everything: bool = False,
    form: Format = "rich",
    layout: Layout | None = None,
    files: str = "",
) -> None:
    """Print one run's scores, what to doubt about them, and the run folder; ``verbose`` prints everything.

    ``files`` is what ``--tasks`` said: commands that are printed name the files of the user's own tasks again.
    """
    from judgebench.tasks import on_run

    run = overview_of(Path(results.run), manifest, results)
    show(
        "json" if as_json else form,
        results,
        lambda: _sheets(run, results, manifest, verbose=verbose),
        lambda: _flat(results),
        layout=layout,
        rest=None if everything or verbose else f"judgebench score {on_run(results.run, files)} --all",
    )
    if form == "rich" and not as_json:
        typer.echo(place_of(run, manifest.status, files, shutil.get_terminal_size().columns))


def _sheets(run: "RunOverview", results: Results, manifest: Manifest, *, verbose: bool) -> list[Sheet]:
    """The scores of each task, and the summary, beside which those of many tasks are too much for a terminal."""
    sheets = []
    for task_manifest in manifest.tasks.values():
        scores = _scores(manifest.shown_name, task_manifest, results, verbose=verbose)
        sheets.append(replace(scores, aside=len(manifest.tasks) > SHOWN_TASKS))
        if predicted := _predicted(task_manifest, results):
            sheets.append(predicted)
        if verbose and task_manifest.first_prompt is not None:
            prompt = tuple(task_manifest.first_prompt.splitlines())
            sheets.append(Sheet("first prompt, as the model reads it:", notes=prompt))
    several = len(manifest.tasks) > 1
    flagged = tuple(
        f"integrity: {finding.task + ': ' if several else ''}{finding.message} ({finding.check})"
        for finding in results.integrity
        if finding.flagged
    )
    spending = [] if manifest.spending is None else _spending(manifest.spending)
    return [*sheets, summary(run, flagged, [*spending, *_from_cache(manifest)])]


def _flat(results: Results) -> Sheet:
    """List every score with all of its numbers, one a line."""
    names = ("model", "run", *(name for name in Score.__struct_fields__ if name != "details"), "kind")
    rows = tuple(
        (results.model, results.run, *(_flat_cell(score, name) for name in names[2:])) for score in results.scores
    )
    return Sheet("", words(*names), rows)


def _flat_cell(score: Score, name: str) -> Cell:
    """A field as it is written; those in the metric's unit may be rounded."""
    value: Cell = getattr(score, name)
    return Figure(value, score.unit) if name in NUMBERS and isinstance(value, float) else value


def _scores(candidate: str, task_manifest: TaskManifest, results: Results, *, verbose: bool) -> Sheet:
    """The scores of one task of a run."""
    own = [score for score in results.scores if score.task == task_manifest.name and score.kind == "measured"]
    title = f"{shortened(candidate, 60)} on {shortened(task_manifest.label, 200)}"
    if task_manifest.starter:
        title += "  (starter set: not comparable with anything)"
    notes = [line for score in own if score.group is None for line in _learnt_nothing(score)]
    notes += reasons((score_name(score), score.withheld) for score in own)
    for score in own:
        if score.group is None:
            notes += _remarks(score)
    notes += _if_unread(score for score in own if score.group is None)
    if task_manifest.selection is not None:
        notes.append(f"a part of the benchmark: {shortened(task_manifest.selection, 300)}")
    from judgebench.run.scoring import counts_in_words

    notes.append(f"cases: {counts_in_words(task_manifest.counts)}")
    panel = any("judges" in score.details for score in own)
    if task_manifest.interval_covers and (verbose or panel):
        notes.append(_held(task_manifest))
    if verbose and task_manifest.judge_models and not task_manifest.counts.get("unread"):
        notes.append("no verdict is unread, so every number is its own bounds")
    if task_manifest.early_stop is not None:
        what = "judge calls made" if task_manifest.protocol.get("judges") else "answers made"
        notes.append(_stopped(task_manifest.early_stop, what))
    if task_manifest.cascade is not None:
        from judgebench.run.cascades import in_words

        notes += in_words(task_manifest.cascade, [score for score in own if score.group is None])
    notes.append(
        f"judge: {', '.join(task_manifest.judge_models) or 'none'}{_prompts(task_manifest)}; "
        + (f"best of several by {task_manifest.select}; " if task_manifest.select else "")
        + f"protocol {task_manifest.protocol_hash[7:15]}"
    )
    notes += [f"note: {note}" for note in task_manifest.notes]
    notes += [f"judge audit: {mark.text}" for mark in task_manifest.judge_audits if verbose or mark.unfit]
    if verbose:
        notes += [
            f"source: {source.name} sha256 {source.sha256} from {source.origin}" for source in task_manifest.sources
        ]
    shown = under_metrics(own)
    rows = tuple(
        (
            score.metric if score.group is None else Inner(score.metric, score.group),
            Figure(score.value, score.unit, score.low, score.high, score.level, stderr=score.stderr),
            Bounds(score.low, score.high, score.unit),
            score.n,
            score.n_missing,
            None if score.stderr is None else Figure(score.stderr, score.unit),
            score.group or "",
            score.unit,
        )
        for score in shown
    )
    columns = (
        *words("metric"),
        Column("value"),
        Column("95 % interval", key="interval"),
        *figures("n", "missing"),
        Column("stderr", further=True),
        *(Column(name, words=True, further=True) for name in ("group", "unit")),
    )
    whole = tuple(place for place, score in enumerate(shown) if score.group is None)
    return Sheet(title, columns, rows, tuple(notes), order=whole, keep=len(whole), rows_are="groups")


def _predicted(task_manifest: TaskManifest, results: Results) -> Sheet | None:
    """What a bridge predicts of a task's official numbers; ``None`` if the run was scored without one."""
    from judgebench.run.predicting import approximately, cautions, heading, measured_name, rounded, sentence

    own = [score for score in results.scores if score.task == task_manifest.name and score.kind == "predicted"]
    if task_manifest.bridge is None or not own:
        return None
    rows = tuple(
        (
            f"{measured_name(score)}, official",
            approximately(score),
            rounded(judged) if isinstance(judged := score.details.get("judged"), int | float) else "–",
        )
        for score in own
    )
    notes = [*map(sentence, own), *cautions(own)]
    return Sheet(
        heading(task_manifest.bridge.name, task_manifest.bridge.judge),
        words("metric", "predicted") + figures("judge itself"),
        rows,
        tuple(dict.fromkeys(notes)),
        asked=True,
    )


def _from_cache(manifest: "Manifest") -> list[str]:
    """How many tokens of prompts the vendor had in its cache, if it said so of any."""
    counts = [counts for session in manifest.sessions for task in session.counts.values() for counts in task.values()]
    usage = sum((one.usage for one in counts), Usage())
    if not usage.cached_tokens:
        return []
    share = f"{usage.cached_tokens:,} of {usage.prompt_tokens:,} prompt tokens"
    return [f"prompt cache: {share} were in the vendor's cache and cost less than is counted here"]


def _spending(spending: "Spending") -> list[str]:
    """What the run has cost so far, if anything, and how much of that is uncertain."""
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


def _stopped(stop: EarlyStop, what: str) -> str:
    if not stop.early_stopped:
        return f"stop when {stop.rule}: not reached before all {stop.population} examples were judged"
    return (
        f"stopped early ({stop.rule}): {stop.n} of {stop.population} examples in random order; {stop.judge_calls} "
        f"{what}, about {stop.judge_calls_saved} saved. The interval of {stop.metric} holds however often it "
        "was looked at; the other metrics have none"
    )


def _learnt_nothing(score: Score) -> Iterator[str]:
    """Why a length-controlled rate is 50, if its fit has no term: beside a win rate that is not, it would puzzle."""
    match score.details:
        case {"C": float(c), "coefficients": {**terms}} if terms and not any(terms.values()):
            yield (
                f"{score.metric}: its fit learns nothing from these {score.n} comparisons, which leaves one half (at "
                f"C = {c:.6g} the penalty takes every term)"
            )


def _remarks(score: Score) -> list[str]:
    from judgebench.run.labels import labels_in_words

    lines = []
    if difference := both_rules(score):
        lines.append(difference)
    # The details of a run that somebody else made may be anything.
    match score.details:
        case {"C": float(c), "lc_range_over_near_tied_C": [float(low), float(high)], "near_tied_C": [*tied]} if not [
            *_learnt_nothing(score)
        ]:
            others = f"{len(tied)} values of C are as good within noise, over which it is "
            others += interval(low, high, score.unit)
            lone = "no other value of C is as good within noise"
            lines.append(f"{score.metric}: C = {c:.6g}; {others if len(tied) > 1 else lone}")
    if score.details.get("known_as") == "MC1":
        lines.append(f"{score.metric} is MC1: one option of each item is right")
    # Of the two numbers that labels give, one says of which.
    if score.metric.endswith("_ppi") and (labels := labels_in_words(score.details)):
        lines.append(labels)
    for detail, ends in IF_MISSING.items():
        match score.details.get(detail):
            case [int(low) | float(low), int(high) | float(high)] if score.n_missing and not _if_unread([score]):
                bounds = interval(low, high, score.unit)
                lines.append(f"{score.metric}: {bounds} if the {score.n_missing} missing had all been {ends}")
    return lines


def _prompts(task_manifest: TaskManifest) -> str:
    """By which of the benchmark's prompts the judge was asked, if not by the usual ones: the model may be the same."""
    from judgebench.analysis.leaderboard import known_task
    from judgebench.run.run_tasks import NO_FILES

    usual = known_task(f"{task_manifest.name}@{task_manifest.version}", NO_FILES)
    asked = task_manifest.protocol.get("judges", {})
    named = usual is not None and usual.judge_models and not task_manifest.starter
    if not named or task_manifest.protocol.get("own_judge") or set(asked) <= set(usual.judge_models if usual else ()):
        return ""
    return f" as {', '.join(asked)}"


def _held(task_manifest: TaskManifest) -> str:
    """What noise the intervals hold, and what they lack."""
    lacks = f"; not: {', '.join(task_manifest.interval_lacks)}" if task_manifest.interval_lacks else ""
    return f"intervals cover: {', '.join(task_manifest.interval_covers)}{lacks}"


def _if_unread(scores: Iterable[Score]) -> list[str]:
    """What the scores over all examples would be if all unread verdicts had gone one way; empty if none was unread."""
    counts, bounds = set(), []
    for score in scores:
        match score.details.get(IF_UNREAD):
            case {"verdicts": int(count), "low": int(low) | float(low), "high": int(high) | float(high)}:
                counts.add(count)
                bounds.append(f"{score.metric} {interval(low, high, score.unit)}")
    many = ", ".join(map(str, sorted(counts)))
    which = "the unread verdict" if counts == {1} else f"all {many} unread verdicts"
    return [f"had {which} gone against, or for, the candidate: {', '.join(bounds)}"] if bounds else []
