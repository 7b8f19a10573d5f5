"""Reads human verdicts (``--labels humans.csv``, ``labels agree``) and anchors win rates in them.

The file has a header and two columns:

    example_id,label
    012,win
    340,tie
    511,0

or the same columns in any other form that ``data/rows.py`` reads. ``label`` is a human's verdict on the candidate's
answer against the baseline's: ``win``, ``tie`` or ``loss``, or its share of the win as a number from 0 to 1; it may be
empty until somebody fills it in. An example has at most one row, or one for each name in a column ``annotator``; its
label is then their mean.

The labelled examples must be a random sample of all. ``judgebench labels sample`` draws one, with known probabilities,
and hides whose answer is whose. Its file has further columns: ``stratum`` and how many items that has, the
``probability`` with which each was drawn, and ``pair``, a hash of the two answers in the order shown. There, a label is
``1`` or ``2`` (the first answer or the second is better), ``tie`` or ``skip``; the hash says which of them is the
candidate's, and that the labels are of this run's answers.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from judgebench.codec import canonical_hash
from judgebench.data.csv_cells import original_text
from judgebench.data.rows import FileRow, count_of, read_rows, where
from judgebench.errors import UsageError
from judgebench.files import chunks
from judgebench.records import LARGEST, ExampleScore, Score
from judgebench.run.loading import LoadedTask
from judgebench.stats.arrays import FloatArray
from judgebench.stats.clustered import bounded_estimate, cluster_totals
from judgebench.stats.intervals import Interval
from judgebench.stats.prediction_powered import AnchoredMean, prediction_powered_mean
from judgebench.stats.rogan_gladen import JudgeErrors, corrected_win_rate, judge_errors
from judgebench.stats.stratified_labels import stratified_mean
from judgebench.task import Generations, Task, TaskData
from judgebench.task.metric import Metric, by_example

COLUMNS = ("example_id", "label")
DRAWN = ("stratum", "stratum_items", "probability", "pair")
"""What a drawn sample adds to each row, besides texts to read."""
FURTHER = ("annotator", *DRAWN, "question", "answer_1", "answer_2")
WORDS = {"win": 1.0, "tie": 0.5, "loss": 0.0}
BLIND: Mapping[str, "Choice"] = {"1": "first", "first": "first", "2": "second", "second": "second", "tie": "tie"}
SKIP = "skip"
WIN_SHARE = "win_share"
"""The plain mean over examples of a task's comparisons, where its own win rate weighs them."""
LEVEL = 0.95
_WHOLE = 0.99
"""An interval that covers this much of a win rate's scale says nothing."""
Choice = Literal["first", "second", "tie"]


@dataclass(frozen=True, kw_only=True)
class Vote:
    """What one human says of one example."""

    example_id: str
    annotator: str
    share: float | None
    """The candidate's share of the win; ``None`` as long as it is not known whose answer was shown first."""
    choice: Choice | None = None
    """Which answer is better, of those in the order shown."""
    pair: str = ""
    """Hash of the answers in that order; see :func:`pair_key`."""
    stratum: str = ""
    baseline: str = ""
    """Whose answer the candidate's was compared with, once that is known."""


@dataclass(frozen=True)
class Labels:
    """Human verdicts on one task's answers."""

    task: str
    by_example: Mapping[str, float]
    """The candidate's share of the win, from 0 to 1; the mean over annotators."""
    sha256: str
    """Hash of the file."""
    unlabelled: str | None = None
    """How many rows have no label, and which; ``None`` if all have one."""
    votes: tuple[Vote, ...] = ()
    """The single labels that ``by_example`` was made of."""
    strata: Mapping[str, int] | None = None
    """Number of items of each stratum that the sample was drawn from; ``None`` if it is a simple random one."""
    skipped: int = 0
    """Labels that say that somebody looked and could not decide."""
    strangers: int = 0
    """Labels of other answers than this run's."""
    files: tuple[str, ...] = ()
    """The names of the files, without their folders."""


def labels_for(path: Path | None, loaded: Sequence[LoadedTask]) -> Labels | None:
    """Read the labels of the one task that they can be about.

    Raises :class:`UsageError` if there is none or several, and ``RecordError`` for a row that is not usable.
    """
    if path is None:
        return None
    fitting = [loaded_task for loaded_task in loaded if anchored_metric(loaded_task.task) is not None]
    if len(fitting) != 1:
        what = f"{len(fitting)} tasks could be meant ({', '.join(own.key for own in fitting)}): give one"
        if not fitting:
            what = f"no win rate of {', '.join(own.task.label for own in loaded)} is a plain mean over examples"
        raise UsageError(f"--labels {path} are human verdicts on one task's comparisons, and {what}")
    return read_labels([path], fitting[0].key, fitting[0].data, names=("",))


def read_labels(
    paths: Sequence[Path], key: str, data: TaskData, *, names: Sequence[str], flag: str = "--labels "
) -> Labels:
    """Read the labels of a task from one or more files; ``names`` are the annotators of rows that name none.

    Raises ``RecordError`` for a row that is not usable, and :class:`UsageError` if no row has a label.
    """
    rows = [
        (name, row)
        for path, name in zip(paths, names, strict=True)
        for row in read_rows(path, f"a table with the columns {','.join(COLUMNS)}")
    ]
    votes: list[Vote] = []
    unlabelled, skipped = [], 0
    strata: dict[str, int] = {}
    seen: set[tuple[str, str]] = set()
    for name, row in rows:
        vote, row = _vote(row, name, data)
        if vote.stratum:
            _add_stratum(strata, vote.stratum, row)
        if vote.share is None and vote.choice is None:
            skipped += (given := row.value("label")) is not None
            unlabelled += [] if given is not None else [row]
        elif (vote.example_id, vote.annotator) in seen:
            by = f" by {vote.annotator!r:.40}" if vote.annotator else ""
            raise row.error(f"{vote.example_id[:80]!r} has a label{by} already")
        else:
            seen.add((vote.example_id, vote.annotator))
            votes.append(vote)
    if not votes:
        raise UsageError(f"{flag}{', '.join(map(str, paths))} holds no label")
    if strata and not all(vote.stratum for vote in votes):
        raise UsageError(f"{flag}{', '.join(map(str, paths))}: some labels have a stratum and others have none")
    return Labels(
        key,
        _means(votes),
        _sha256(paths),
        f"{len(unlabelled)} ({where(unlabelled)})" if unlabelled else None,
        votes=tuple(votes),
        strata=dict(sorted(strata.items(), key=lambda entry: (len(entry[0]), entry[0]))) if len(strata) > 1 else None,
        skipped=skipped,
        files=tuple(path.name for path in paths),
    )


def settled(labels: Labels, data: TaskData, generations: Generations) -> Labels:
    """The labels with whose answer is whose: those that were given blind become the candidate's shares.

    Labels of pairs that this run does not have are left out and counted.
    """
    if not labels.votes:
        return labels
    known, strangers = [], 0
    for vote in labels.votes:
        if vote.choice is None:
            known.append(vote)
        elif (place := _place(vote, data, generations)) is None:
            strangers += 1
        else:
            baseline, first = place
            share = {"tie": 0.5, "first": float(first), "second": float(not first)}[vote.choice]
            known.append(replace(vote, share=share, choice=None, baseline=baseline))
    return replace(labels, votes=tuple(known), by_example=_means(known), strangers=strangers)


def pair_key(example_id: str, first: Sequence[str], second: Sequence[str]) -> str:
    """A short hash of two answers to an example, in the order shown, which does not tell whose they are.

    It begins with a letter that is no digit of a number, so that no spreadsheet takes it for one.
    """
    return "p" + canonical_hash([example_id, list(first), list(second)]).removeprefix("sha256:")[:16]


def anchored_scores(
    task: Task, rows: Sequence[ExampleScore], labels: Labels, metric: Metric | None = None
) -> list[Score]:
    """Estimate the win rate that humans would give: by prediction-powered inference, and by Rogan and Gladen's formula.

    ``rows`` are the task's example scores, ``metric`` is another one than the task's :func:`anchored_metric`.
    """
    metric = metric or anchored_metric(task)
    assert metric is not None
    judged = {key: value for key, value in metric.values(rows).items() if value is not None}
    labelled = [key for key in labels.by_example if key in judged]
    anchors = _Anchors(
        human=np.array([labels.by_example[key] for key in labelled]),
        machine=np.array([judged[key] for key in labelled]),
        others=np.array([value for key, value in judged.items() if key not in labels.by_example]),
        everything=np.array(list(judged.values())),
        design=_design(labels, labelled),
    )
    details: dict[str, Any] = {"labels": ", ".join(labels.files), "labels_sha256": labels.sha256}
    details |= {"n_labelled": len(labelled), "n_unlabelled": len(judged) - len(labelled)}
    details["n_judged"] = len(anchors.everything if anchors.design else anchors.others)
    counted = {"skipped": labels.skipped, "labels_of_other_answers": labels.strangers}
    details |= {name: count for name, count in counted.items() if count}
    if (annotators := len({vote.annotator for vote in labels.votes})) > 1:
        details["annotators"] = annotators
    if labels.strata is not None:
        details["strata"] = dict(labels.strata)
    if labels.unlabelled is not None:
        details["rows_without_label"] = labels.unlabelled
    missing = len(labels.by_example) - len(labelled)
    about = Score(
        task=task.name, metric=metric.name, value=None, unit=metric.unit, n=0, n_missing=missing, details=details
    )
    return [_powered(about, anchors), _corrected(about, anchors)]


@dataclass(frozen=True, kw_only=True)
class _Design:
    """How the labelled examples were drawn."""

    strata: list[int]
    """The place of each label's stratum."""
    sizes: list[int]
    weights: FloatArray
    """How many items each label stands for."""


@dataclass(frozen=True, kw_only=True)
class _Anchors:
    """Shares of the win by humans and by the judge."""

    human: FloatArray
    machine: FloatArray
    """Of the same examples."""
    others: FloatArray
    """Of those without a label."""
    everything: FloatArray
    design: _Design | None
    """``None`` for a simple random sample."""


def _design(labels: Labels, labelled: Sequence[str]) -> _Design | None:
    if labels.strata is None:
        return None
    places = {name: place for place, name in enumerate(labels.strata)}
    stratum = {vote.example_id: places[vote.stratum] for vote in labels.votes}
    strata, sizes = [stratum[key] for key in labelled], list(labels.strata.values())
    counts = np.bincount(strata, minlength=len(sizes)) if strata else np.ones(len(sizes))
    return _Design(strata=strata, sizes=sizes, weights=np.array([sizes[place] / counts[place] for place in strata]))


def weights_of(labels: Labels, labelled: Sequence[str]) -> FloatArray:
    """How many items each of some labelled examples stands for, as they were drawn."""
    design = _design(labels, labelled)
    return np.ones(len(labelled)) if design is None else design.weights


def _powered(about: Score, anchors: _Anchors) -> Score:
    human, design = anchors.human, anchors.design
    if design is None:
        result = prediction_powered_mean(human, anchors.machine, anchors.others, bounds=(0.0, 1.0), level=LEVEL)
        how, n = "PPI++: human labels of a random sample, the judge's verdicts on the rest; ", len(anchors.others)
        alone = bounded_estimate(cluster_totals(human), level=LEVEL)
        details: dict[str, Any] = {"humans_alone": 100 * float(human.mean()) if len(human) else None}
    else:
        given = (human, anchors.machine, anchors.everything, design.strata, design.sizes)
        result = stratified_mean(*given, level=LEVEL)
        how = "stratified PPI: human labels of a stratified sample, the judge's verdicts on all; "
        n = len(anchors.everything) - len(human)
        alone = bounded_estimate(cluster_totals(design.weights * human, design.weights), level=LEVEL)
        details = {"humans_alone": None if alone.value is None else 100 * alone.value}
    bounds = alone.interval
    details |= {
        "judge_weight": result.weight,
        "effective_labels": result.effective_labels,
        "humans_alone_interval": None if bounds is None else [100 * bounds.low, 100 * bounds.high],
    }
    return msgspec.structs.replace(
        _in_percent(about, result.value, result.interval),
        metric=f"{about.metric}_ppi",
        stderr=None if result.stderr is None or result.interval is None else 100 * result.stderr,
        method=how + (result.interval.method if result.interval else "no interval"),
        n=len(human) + n,
        reason=_why(about, result) if result.value is None or result.interval is None else None,
        details={**about.details, **details},
    )


def _why(about: Score, result: AnchoredMean) -> str | None:
    """Why there is no number."""
    if result.n_labelled == 0 and (strangers := about.details.get("labels_of_other_answers")):
        return f"all {strangers} labels are of other answers than this run's"
    return result.reason


def _corrected(about: Score, anchors: _Anchors) -> Score:
    human, machine, design = anchors.human, anchors.machine, anchors.design
    # Where strata were made of verdicts, those that are left are no random sample.
    rest = anchors.others if design is None else anchors.everything
    decided = (human != 0.5) & (machine != 0.5)
    verdicts = (rest[rest != 0.5] > 0.5).astype(float)
    wins, calls = (human[decided] > 0.5).astype(float), (machine[decided] > 0.5).astype(float)
    errors = judge_errors(wins, calls) if design is None else _weighted_errors(wins, calls, design.weights[decided])
    method = "Rogan-Gladen: the judge's share of wins, corrected for its error rates"
    details = {**about.details, "ties_dropped": int((~decided).sum() + (rest == 0.5).sum())}
    about = msgspec.structs.replace(about, metric=f"{about.metric}_rogan_gladen", method=method, details=details)
    if errors is None:
        unknown = "the labels hold no human win, or no human loss, that the judge decided: its error rates are unknown"
        return msgspec.structs.replace(about, reason=unknown)
    if not len(verdicts):
        without = " without a label" if design is None else ""
        return msgspec.structs.replace(about, reason=f"the judge decided no example{without}")
    result = corrected_win_rate(float(verdicts.mean()), len(verdicts), errors, level=LEVEL)
    details |= {"sensitivity": errors.sensitivity, "human_wins": errors.wins, "judged": 100 * result.judged}
    details |= {"specificity": errors.specificity, "human_losses": errors.losses}
    value, reason = result.value, result.reason
    if value is not None and result.interval.high - result.interval.low >= _WHOLE:
        value, reason = None, "its interval is the whole scale: so few labels do not say how often the judge errs"
    on = "on human labels" if design is None else "on human labels, weighted by their chances to be drawn"
    return msgspec.structs.replace(
        _in_percent(about, value, result.interval),
        method=f"{method} {on}, ties dropped; {result.interval.method}",
        n=len(verdicts) + (int(decided.sum()) if design is None else 0),
        reason=reason,
        details=details,
    )


def _weighted_errors(wins: FloatArray, calls: FloatArray, weights: FloatArray) -> JudgeErrors | None:
    """The judge's error rates where labels stand for different numbers of items.

    Human wins and losses are counted as so many equally weighted ones (Kish), rounded down.
    """
    won = wins == 1
    if won.all() or not won.any():
        return None
    rates = [float(weights[own] @ right[own] / weights[own].sum()) for own, right in ((won, calls), (~won, 1 - calls))]
    counts = [int(weights[own].sum() ** 2 / np.square(weights[own]).sum() + 1e-9) for own in (won, ~won)]
    return JudgeErrors(rates[0], counts[0], rates[1], counts[1])


def _in_percent(about: Score, share: float | None, interval: Interval | None) -> Score:
    """Put a win rate from 0 to 1 and its interval into the score."""
    value = None if share is None else 100 * share
    if interval is None:
        return msgspec.structs.replace(about, value=value)
    return msgspec.structs.replace(about, value=value, low=100 * interval.low, high=100 * interval.high, level=LEVEL)


def anchored_metric(task: Task) -> Metric | None:
    """Return the first metric of a task that is a mean of shares of the win."""
    return next((metric for metric in task.means.values() if metric.win_share), None)


def labelled_metric(task: Task) -> Metric | None:
    """Return the win rate that labels can be compared with: the anchored one or, if there is none because the task
    weighs its comparisons, their plain mean over examples. ``None`` for a task without comparisons.
    """
    anchored = anchored_metric(task)
    if anchored is not None or not task.pairwise_metrics:
        return anchored
    return Metric(name=WIN_SHARE, value_of=partial(_comparisons, task.pairwise_metrics), win_share=True)


def judged_shares(task: Task, rows: Iterable[ExampleScore]) -> Callable[[str, str], float | None]:
    """The judge's share of the candidate's win, by example and baseline; the baseline matters if there are several."""
    metric, own = labelled_metric(task), by_example(rows)
    assert metric is not None

    def share(example_id: str, baseline: str) -> float | None:
        given = own.get(example_id, [])
        against = [row for row in given if baseline in row.metric.split(":")] if metric.name == WIN_SHARE else []
        return metric.value_of(against or given) if given else None

    return share


def _comparisons(patterns: Mapping[str, tuple[float, float]], rows: Sequence[ExampleScore]) -> float | None:
    """The mean share of the win over an example's comparisons; ``None`` if it has none, or one without a verdict."""
    shares = []
    for row in rows:
        for pattern, (loss, win) in patterns.items():
            if fnmatchcase(row.metric, pattern):
                if row.value is None:
                    return None
                shares.append((row.value - loss) / (win - loss))
    return sum(shares) / len(shares) if shares else None


def _means(votes: Iterable[Vote]) -> dict[str, float]:
    """The mean share of each example whose votes are known."""
    by_example: dict[str, list[float]] = {}
    for vote in votes:
        if vote.share is not None:
            by_example.setdefault(vote.example_id, []).append(vote.share)
    return {key: sum(shares) / len(shares) for key, shares in by_example.items()}


def _place(vote: Vote, data: TaskData, generations: Generations) -> tuple[str, bool] | None:
    """The baseline of a pair, and whether the candidate's answer comes first; ``None`` if this run has no such pair."""
    own = generations.get(vote.example_id)
    for baseline, answers in data.baselines.items() if own is not None else ():
        other = answers.get(vote.example_id)
        if own is not None and other is not None:
            for first, second, candidate_first in ((own, other, True), (other, own, False)):
                if pair_key(vote.example_id, first.outputs, second.outputs) == vote.pair:
                    return baseline, candidate_first
    return None


def labels_in_words(details: Mapping[str, Any]) -> str:
    """How many labels of which file a number stands on, from its details, which may be anything; empty if on none."""
    match details:
        case {"n_labelled": int(used), "n_unlabelled": int(without), "labels": str(files)}:
            parts = [f"labels of {used:,} examples used, from {files}; {without:,} judged examples have none"]
        case _:
            return ""
    match details:
        case {"skipped": int(skipped)}:
            parts.append(f"skipped: {skipped:,}")
    match details:
        case {"labels_of_other_answers": int(strangers)}:
            parts.append(f"of other answers than this run's, and left out: {strangers:,}")
    match details:
        case {"rows_without_label": str(rows)}:
            parts.append(f"rows without a label: {rows}")
    return "; ".join(parts)


def _vote(row: FileRow, annotator: str, data: TaskData) -> tuple[Vote, FileRow]:
    """Read a row, and return it with its columns' names stripped."""
    names = [name.strip() for name in row.fields]
    if not set(COLUMNS) <= set(names) <= {*COLUMNS, *FURTHER}:
        raise row.error(f"its columns must be {','.join(COLUMNS)}; they are: {','.join(row.fields)[:80]}")
    row = msgspec.structs.replace(row, fields=dict(zip(names, row.fields.values(), strict=True)))
    key = row.key("example_id")
    example = data.find(key) or data.find(original_text(key))
    if example is None:
        raise row.error(f"{key[:80]!r} is no example of this run")
    pair, label = row.value("pair"), row.value("label")
    blind = pair is not None
    choice = _choice(row) if blind and label is not None else None
    named = row.value("annotator")
    vote = Vote(
        example_id=example.id,
        annotator=annotator if named is None else str(named).strip()[:100],
        share=None if blind or label is None else _share(row),
        choice=choice,
        pair=str(pair)[:64] if blind else "",
        stratum=str(row.value("stratum") or "")[:64],
    )
    return vote, row


def _choice(row: FileRow) -> Choice | None:
    label = row.value("label")
    word = str(int(label)) if isinstance(label, int | float) and label in (1, 2) else str(label).strip().lower()
    word = word.removesuffix(".0")
    if word != SKIP and word not in BLIND:
        raise row.error(
            f"label {str(label)[:40]!r}{_of_example(row)}; expected 1 (the first answer is better), 2 (the "
            "second one), tie or skip, because the row does not say whose answers they are"
        )
    return BLIND.get(word)


def _of_example(row: FileRow) -> str:
    """Which example a row is about: whoever corrects a label looks for that."""
    name = row.value("example_id")
    return "" if name is None else f" of example_id {str(name)[:80]!r}"


def _add_stratum(strata: dict[str, int], name: str, row: FileRow) -> None:
    """Take over a stratum's size, and check the row's chance to be drawn, which nobody needs who has the sizes."""
    number, chance = row.number("stratum_items"), row.number("probability")
    size = count_of(number)
    if not size or size > LARGEST:
        raise row.error(f"stratum_items {str(row.value('stratum_items'))[:40]!r}; expected how many items {name} has")
    if chance is not None and not 0 < chance <= 1:
        raise row.error(f"probability {chance:g}; expected the item's chance to be drawn, above 0 and at most 1")
    if strata.setdefault(name, size) != size:
        raise row.error(f"the stratum {name[:40]!r} has {size} items, and {strata[name]} in an earlier row")


def _share(row: FileRow) -> float:
    label = row.value("label")
    word = label.strip().lower() if isinstance(label, str) else label
    try:
        value = WORDS[word] if word in WORDS else -1.0 if isinstance(word, bool) else float(word)
    except (TypeError, ValueError, OverflowError):
        value = -1.0
    if not 0 <= value <= 1:
        raise row.error(f"label {str(label)[:40]!r}{_of_example(row)}; expected win, tie, loss or a number from 0 to 1")
    return value


def _sha256(paths: Sequence[Path]) -> str:
    """Hash the content of files, one after the other; a ``.gz`` is unpacked first."""
    digest = hashlib.sha256()
    for path in paths:
        for chunk in chunks(path):
            digest.update(chunk)
    return digest.hexdigest()
