"""What people's labels say of a run's judge: how far it agrees with them, they with each other, and their score.

Shares of agreement are weighted by the chances with which examples were drawn, so they are about all examples. The
coefficients (kappa, alpha), the ceiling and the alternative annotator test are about the labelled ones.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from judgebench.errors import UsageError
from judgebench.records import Score
from judgebench.run.labels import (
    LEVEL,
    WIN_SHARE,
    Labels,
    anchored_scores,
    judged_shares,
    labelled_metric,
    settled,
)
from judgebench.run.reading import TaskRun
from judgebench.stats.agreement import Coefficient, cohen_kappa, krippendorff_alpha
from judgebench.stats.annotators import alternative_annotator_test, leave_one_out
from judgebench.stats.arrays import FloatArray
from judgebench.stats.clustered import bounded_estimate, cluster_totals
from judgebench.stats.intervals import Interval
from judgebench.task import TaskData

MARGIN = 0.15
"""Of the alternative annotator test: what its authors suggest for skilled annotators."""
FEW_LABELS = 50
MOST_NAMED = 8
"""So many people at most have a kappa of their own; more have one with their majority."""
MOST_ANNOTATORS = 1000
MOST_CELLS = 20_000_000
"""Of the table of people and examples."""


class AgreementFigure(Struct, frozen=True, kw_only=True):
    """One number on agreement."""

    name: str
    about: str
    """What it is, with what happens to ties."""
    unit: str
    """``share``, ``coefficient`` or ``ratio``."""
    value: float | None
    n: int
    """Labels, or pairs of labels, that were compared."""
    low: float | None = None
    high: float | None = None
    level: float = LEVEL
    reason: str | None = None
    """Why the value is missing."""


class Annotator(Struct, frozen=True, kw_only=True):
    """One person's labels."""

    name: str
    labels: int
    wins: int
    """For the candidate."""
    ties: int


class LabelAgreement(Struct, frozen=True, kw_only=True):
    """A run's judge beside people."""

    run: str
    task: str
    metric: str
    judges: tuple[str, ...]
    evaluators: tuple[str, ...]
    """What the judges' prompts and rules are called."""
    examples: int
    """Labelled ones that the judge has a verdict on."""
    annotators: tuple[Annotator, ...]
    stratified: bool
    figures: tuple[AgreementFigure, ...]
    judged: Score
    """The judge's own, uncorrected."""
    scores: tuple[Score, ...]
    """Corrected by the labels."""
    notes: tuple[str, ...]


def agreement_with(task_run: TaskRun, data: TaskData, given: Labels) -> LabelAgreement:
    """Compare a run's verdicts with labels. Raises :class:`UsageError` if none of them is about this run's answers."""
    task, rows = task_run.task, task_run.example_scores()
    metric = labelled_metric(task)
    assert metric is not None
    labels = settled(given, data, task_run.generations())
    if not labels.by_example:
        raise UsageError(
            f"all {labels.strangers} labels are of other answers than those of {task_run.run}: name the run that "
            "`judgebench labels sample` drew them from"
        )
    share_of, against = judged_shares(task, rows), {vote.example_id: vote.baseline for vote in labels.votes}
    shares = {key: share_of(key, against[key]) for key in labels.by_example}
    judged = {key: value for key, value in shares.items() if value is not None}
    known = list(judged)
    if not known:
        raise UsageError(f"{task_run.run} has no verdict on any of the {len(labels.by_example)} labelled examples")
    names = list(dict.fromkeys(vote.annotator for vote in labels.votes))
    if len(names) > MOST_ANNOTATORS or len(names) * len(known) > MOST_CELLS:
        raise UsageError(f"the labels are by {len(names):,} annotators; {MOST_ANNOTATORS:,} at most can be compared")
    table = _table(labels, known, names)
    verdicts = np.sign(np.array([judged[key] for key in known]) - 0.5)
    return LabelAgreement(
        run=str(task_run.run),
        task=task_run.task_manifest.label,
        metric=metric.name,
        judges=tuple(task_run.task_manifest.judge_models),
        evaluators=tuple(task_run.task_manifest.protocol.get("judges") or ()),
        examples=len(known),
        annotators=tuple(_annotator(name, row) for name, row in zip(names, table, strict=True)),
        stratified=labels.strata is not None,
        figures=tuple(_figures(table, verdicts, _weights(labels, known), names)),
        judged=task_run.overall.get(metric.name) or metric.mean_score(task.name, task_run.examples(), rows),
        scores=tuple(anchored_scores(task, rows, labels, metric)),
        notes=tuple(_notes(labels, len(known), len(labels.by_example) - len(known), metric.name)),
    )


def _table(labels: Labels, known: Sequence[str], names: Sequence[str]) -> FloatArray:
    """Labels, shape (annotators, examples): 1 for the candidate, -1 against it, 0 for a tie, NaN for none."""
    table = np.full((len(names), len(known)), np.nan)
    row, column = ({name: place for place, name in enumerate(own)} for own in (names, known))
    for vote in labels.votes:
        if vote.share is not None and vote.example_id in column:
            table[row[vote.annotator], column[vote.example_id]] = np.sign(vote.share - 0.5)
    return table


def _weights(labels: Labels, known: Sequence[str]) -> FloatArray:
    """How many examples each labelled one stands for."""
    if labels.strata is None:
        return np.ones(len(known))
    stratum = {vote.example_id: vote.stratum for vote in labels.votes}
    counts = {name: sum(stratum[key] == name for key in known) for name in labels.strata}
    return np.array([labels.strata[stratum[key]] / counts[stratum[key]] for key in known])


def _annotator(name: str, row: FloatArray) -> Annotator:
    return Annotator(
        name=name, labels=int((~np.isnan(row)).sum()), wins=int((row == 1).sum()), ties=int((row == 0).sum())
    )


def _figures(
    table: FloatArray, verdicts: FloatArray, weights: FloatArray, names: Sequence[str]
) -> Iterator[AgreementFigure]:
    yield from _shares(table, verdicts, weights)
    rng = np.random.default_rng(0)
    for name, row in zip(names, table, strict=True) if len(names) <= MOST_NAMED else ():
        who = f" with {name}" if len(names) > 1 else ""
        yield _kappa(f"judge_kappa{who.replace(' ', '_')}", f"Cohen's kappa of the judge{who}", verdicts, row, rng)
    if len(names) < 2:
        return
    majority = np.sign(np.nansum(table, axis=0))
    yield _kappa("judge_kappa_majority", "Cohen's kappa of the judge with the majority", verdicts, majority, rng)
    for metric in ("nominal", "ordinal"):
        alpha = krippendorff_alpha(table, metric, rng=rng)
        yield _coefficient(f"people_alpha_{metric}", f"Krippendorff's alpha of the people, {metric}", alpha)
    yield from _beside_people(table, verdicts)


def _kappa(
    name: str, about: str, verdicts: FloatArray, labels: FloatArray, rng: np.random.Generator
) -> AgreementFigure:
    given = ~np.isnan(labels)
    return _coefficient(name, about, cohen_kappa(verdicts[given], labels[given], rng=rng))


def _shares(table: FloatArray, verdicts: FloatArray, weights: FloatArray) -> Iterator[AgreementFigure]:
    """Shares of labels, and of pairs of labels, that agree; with ties as a label, and without them."""
    for ties, said in ((True, "ties are a label"), (False, "ties left out")):
        suffix = "" if ties else "_without_ties"
        counted = ~np.isnan(table) & (np.ones(table.shape, dtype=bool) if ties else (table != 0) & (verdicts != 0))
        yield _share(
            f"judge_agreement{suffix}",
            f"labels that agree with the judge; {said}",
            ((table == verdicts) & counted).sum(axis=0),
            counted.sum(axis=0),
            weights,
        )
        if len(table) > 1:
            counts = np.stack([(table == label).sum(axis=0) for label in ((-1, 0, 1) if ties else (-1, 1))])
            total = counts.sum(axis=0)
            yield _share(
                f"people_agreement{suffix}",
                f"pairs of people's labels that agree; {said}",
                (counts * (counts - 1) // 2).sum(axis=0),
                total * (total - 1) // 2,
                weights,
            )


def _share(
    name: str, about: str, agree: NDArray[np.int64], total: NDArray[np.int64], weights: FloatArray
) -> AgreementFigure:
    """A weighted share, with the examples as clusters."""
    there = total > 0
    n = int(total.sum())
    if not there.any():
        return AgreementFigure(name=name, about=about, unit="share", value=None, n=0, reason="nothing to compare")
    found = bounded_estimate(cluster_totals((weights * agree)[there], (weights * total)[there]), level=LEVEL)
    return _figure(name, about, "share", found.value, found.interval, n, found.reason)


def _coefficient(name: str, about: str, found: Coefficient) -> AgreementFigure:
    return _figure(name, about, "coefficient", found.value, found.interval, found.units, found.reason)


def _figure(
    name: str, about: str, unit: str, value: float | None, interval: Interval | None, n: int, reason: str | None
) -> AgreementFigure:
    return AgreementFigure(
        name=name,
        about=about,
        unit=unit,
        value=value,
        n=n,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        reason=reason if value is None else None,
    )


def _beside_people(table: FloatArray, verdicts: FloatArray) -> Iterator[AgreementFigure]:
    """The judge and each person, against the others."""
    ceiling = leave_one_out(table, verdicts)
    rows = (
        ("human_ceiling", "a person with the mode of the others", "share", ceiling.human, ceiling.human_interval),
        ("judge_with_the_others", "the judge with the same modes", "share", ceiling.judge, ceiling.judge_interval),
        ("judge_over_ceiling", "the judge over a person", "ratio", ceiling.ratio, ceiling.ratio_interval),
    )
    for name, about, unit, value, interval in rows:
        yield _figure(name, about, unit, value, interval, ceiling.comparisons, ceiling.reason)
    test = alternative_annotator_test(table, verdicts, MARGIN)
    yield _figure(
        "judge_as_good_as_a_person",
        "how often the judge is at least as close to the others as a person is",
        "share",
        test.advantage,
        test.advantage_interval,
        test.items,
        test.reason,
    )
    passes = {True: "passed (0.5 or more)", False: "not passed (0.5 passes)", None: "too few examples"}
    yield _figure(
        "people_it_may_replace",
        f"alternative annotator test at a margin of {MARGIN:g}: share of the people; {passes[test.passes]}",
        "share",
        test.winning_rate,
        None,
        len(test.rivals),
        test.reason,
    )


def _notes(labels: Labels, known: int, unjudged: int, metric: str) -> Iterator[str]:
    if metric == WIN_SHARE:
        yield f"{WIN_SHARE} is the plain mean over examples: the task's own numbers weigh or combine them otherwise"
    if labels.strangers:
        yield f"labels of other answers than this run's, which are left out: {labels.strangers}"
    if labels.skipped:
        yield f"rows skipped by whoever read them: {labels.skipped}"
    if labels.unlabelled:
        yield f"rows without a label: {labels.unlabelled}"
    if unjudged:
        yield f"labelled examples without a verdict of the judge: {unjudged}"
    if known < FEW_LABELS:
        yield f"few labelled examples ({known}): look at the intervals first"
    if labels.strata is not None:
        yield (
            "shares of agreement and scores are about all examples, weighted by the chances of the draw; kappa, alpha, "
            "ceiling and the test of annotators are about the labelled ones as drawn"
        )
