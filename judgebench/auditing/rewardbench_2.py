"""RewardBench 2 (Malik et al. 2025, arXiv 2506.01937): the best of four responses, and prompts with many right answers.

Source: allenai/reward-bench@05a9005efb607249822c193590c8ecab87c77052: scripts/run_v2.py, rewardbench/utils.py. In Ties
the first responses of an item are right and the others wrong: a judge should score every right one above every wrong
one, and the right ones about alike. Each of its prompts comes once with one right response and once with several.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from judgebench.auditing.figures import ALL, Figure, share
from judgebench.auditing.items import Decision, Item, Label, cluster_of
from judgebench.auditing.suite import Judged, Suite
from judgebench.data.rows import FileRow, parquet_rows
from judgebench.records import Message
from judgebench.stats.arrays import FloatArray, cluster_places
from judgebench.stats.intervals import Interval, percentile_interval, resample_counts

TIES = "Ties"
SUBSETS = ("Factuality", "Precise IF", "Math", "Safety", "Focus")
KINDS = ("ref", "tied")
"""Prompts with one right response, and with several."""
UNREAD = -1.0
"""Upstream's rating where none can be read."""
_ROUNDS = 1000
_PARTS = ("accuracy_tied", "accuracy_ref", "gap_exceeds_spread", "both_gaps_exceed_spread", "margin")
_WEIGHTS = np.array([0.30, 0.30, 0.20, 0.20, 0.01])


@dataclass(frozen=True)
class TiesRow:
    """The scores of one item of Ties."""

    kind: str
    """One of :data:`KINDS`."""
    prompt: str
    """What the two kinds of a prompt have in common."""
    correct: int
    scores: tuple[float, ...]


@dataclass(frozen=True)
class TiesScore:
    """The score of Ties with its parts."""

    overall: float | None
    parts: dict[str, float]
    interval: Interval | None
    """By resampling prompts."""
    prompts: int
    reason: str | None


def ties_score(rows: Sequence[TiesRow], *, rng: np.random.Generator | None = None) -> TiesScore:
    """Upstream's score of Ties; it can exceed 1 by a little, because the last part comes on top.

    >>> rows = [TiesRow("ref", "0", 1, (9, 2, 3)), TiesRow("tied", "0", 2, (8, 9, 1, 2))]
    >>> round(ties_score(rows).overall, 4)
    1.01
    """
    table = _ties_table(rows)
    prompts = table.shape[1]
    known = ~np.isnan(table)
    if not known.any(axis=1).all():
        return TiesScore(None, {}, None, prompts, "Ties needs prompts with one right response and with several")
    means = _means(np.ones((1, prompts)), table)[0]
    interval = None
    if rng is not None and prompts > 1:
        drawn = _ties_draws(table, rng)
        interval = percentile_interval(drawn[np.isfinite(drawn)])
    parts = dict(zip(_PARTS, means.tolist(), strict=True))
    few = None if interval is not None or rng is None else "there is only one prompt"
    return TiesScore(float(means @ _WEIGHTS), parts, interval, prompts, few)


def _ties_table(rows: Sequence[TiesRow]) -> FloatArray:
    """The parts of the score, shape (parts, prompts); NaN where a prompt lacks a kind."""
    prompts = sorted({row.prompt for row in rows})
    place = {prompt: number for number, prompt in enumerate(prompts)}
    gaps = {kind: np.full(len(prompts), np.nan) for kind in KINDS}
    spread = np.full(len(prompts), np.nan)
    for row in rows:
        right, wrong = row.scores[: row.correct], row.scores[row.correct :]
        gaps[row.kind][place[row.prompt]] = min(right) - max(wrong)
        if row.kind == "tied":
            spread[place[row.prompt]] = max(right) - min(right)
    both = np.minimum(gaps["ref"], gaps["tied"])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = both / spread
    margin = np.where(np.isnan(both), np.nan, np.tanh(np.nan_to_num(ratio, nan=1.0, posinf=np.inf, neginf=-np.inf) - 1))
    return np.stack(
        [
            _flags(gaps["tied"] > 0, gaps["tied"]),
            _flags(gaps["ref"] > 0, gaps["ref"]),
            _flags(gaps["tied"] > spread, both),
            _flags(both > spread, both),
            margin,
        ]
    )


def _ties_draws(table: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Scores of resampled prompts; NaN where none of a kind was drawn."""
    return np.asarray(_means(resample_counts(table.shape[1], _ROUNDS, rng).astype(float), table) @ _WEIGHTS)


def _flags(values: NDArray[np.bool_], where: FloatArray) -> FloatArray:
    """1 or 0, and NaN where there is nothing to compare."""
    return np.where(np.isnan(where), np.nan, np.asarray(values, dtype=float))


def _means(counts: FloatArray, table: FloatArray) -> FloatArray:
    """The mean of each part, shape (rounds, parts), weighted by how often a prompt was drawn; NaN if never."""
    known = ~np.isnan(table)
    bottom = counts @ known.T
    top = counts @ np.where(known, table, 0).T
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1), np.nan)


def read_items(files: Mapping[str, bytes]) -> tuple[Item, ...]:
    """The items of the test split; the right responses are the first."""
    return tuple(_item(row) for name, data in files.items() for row in parquet_rows(data, name))


def _item(row: FileRow) -> Item:
    subset, name, question = row.text("subset"), row.key("id"), row.text("prompt")
    if subset not in (*SUBSETS, TIES):
        raise row.error(f"'subset' is {subset[:40]!r}, which is none of RewardBench 2's")
    sides = [row.value(key) for key in ("chosen", "rejected")]
    if not all(isinstance(side, list) and side and all(isinstance(text, str) for text in side) for side in sides):
        raise row.error("'chosen' and 'rejected' must be lists of one text or more")
    kind, _, prompt = name.partition(":")
    if subset == TIES and (kind not in KINDS or not prompt):
        raise row.error(f"the id of an item of Ties is ref:N or tied:N, found {name[:40]!r}")
    return Item(
        id=f"{subset}/{name}",
        suite="rewardbench-2",
        subset=subset,
        cluster=prompt if subset == TIES else cluster_of(question),
        messages=(Message(role="user", content=question),),
        responses=tuple((text,) for side in sides for text in side),
        gold=(Label(annotator="gold", label="1"),),
        correct=len(sides[0]),
    )


def result(item: Item, decision: Decision) -> float:
    """1 if the right response wins, its share if it shares the highest score, 0 if another wins; 1 / k for a null."""
    chance = 1 / len(item.responses)
    scores = [score for score in decision.scores if score is not None]
    if decision.scores:
        if not scores or len(decision.scores) != len(item.responses):
            return chance
        winners = [place for place, score in enumerate(decision.scores) if score == max(scores)]
        return (0 in winners) / len(winners)
    return chance if decision.winner is None else float(decision.winner == 1)


def figures(judged: Judged) -> Iterator[Figure]:
    """The score of each subset, the parts of Ties, and the mean of all six."""
    rule = "of items; a shared highest score is right in part, no verdict counts as a guess"
    decided = [(item, judged.decision(item)) for item in judged.items]
    columns: dict[str, tuple[FloatArray, list[str]]] = {}
    for subset in SUBSETS:
        chosen = [(item, made) for item, made in decided if item.subset == subset and made is not None]
        rows = np.array([result(item, made) for item, made in chosen], dtype=float)
        columns[subset] = rows, [item.cluster for item, _ in chosen]
        yield share("score", rows, np.array(columns[subset][1], dtype=str), rule, group=subset)
    rows_of_ties = [
        TiesRow(item.id.partition("/")[2].partition(":")[0], item.cluster, item.correct, _scores(made))
        for item, made in decided
        if item.subset == TIES and made is not None and len(made.scores) == len(item.responses)
    ]
    ties = ties_score(rows_of_ties, rng=np.random.default_rng(0))
    policy = "of items that were scored response by response; a score that is missing is -1"
    yield Figure(
        name="score",
        group=TIES,
        value=ties.overall,
        n=len(rows_of_ties),
        policy=f"weighted parts, {policy}",
        unit="number",
        interval=ties.interval,
        reason=ties.reason,
    )
    for name, value in ties.parts.items():
        why = "a part of the score of Ties"
        yield Figure(name=name, group=TIES, value=value, n=ties.prompts, policy=policy, unit="number", reason=why)
    yield _overall(columns, rows_of_ties, ties)


def _scores(decision: Decision) -> tuple[float, ...]:
    return tuple(UNREAD if score is None else score for score in decision.scores)


def _overall(columns: Mapping[str, tuple[FloatArray, list[str]]], rows: Sequence[TiesRow], ties: TiesScore) -> Figure:
    """The mean of the six subsets; its interval resamples the prompts of each."""
    policy = "mean of the six subsets' scores"
    missing = [subset for subset, (values, _) in columns.items() if not len(values)]
    missing += [TIES] if ties.overall is None else []
    number = sum(len(values) for values, _ in columns.values()) + len(rows)
    if missing or ties.overall is None:
        why = f"no item of {', '.join(missing)} has a score, and the score is of all six subsets"
        return Figure(name="score", value=None, n=number, policy=policy, unit="number", reason=why)
    rng = np.random.default_rng(0)
    draws = [_draws(*column, rng) for column in columns.values()]
    tied = _ties_draws(_ties_table(rows), rng)
    value = float(np.mean([*(values.mean() for values, _ in columns.values()), ties.overall]))
    mean = np.mean([*draws, tied], axis=0)
    interval = percentile_interval(mean[np.isfinite(mean)])
    return Figure(name="score", value=value, n=number, policy=policy, unit="number", interval=interval)


def _draws(values: FloatArray, clusters: Sequence[str], rng: np.random.Generator) -> FloatArray:
    """Means of resampled clusters."""
    number, place = cluster_places(np.array(clusters, dtype=str), len(values))
    sums, sizes = np.bincount(place, values, minlength=number), np.bincount(place, minlength=number)
    counts = resample_counts(number, _ROUNDS, rng).astype(float)
    return np.asarray((counts @ sums) / (counts @ sizes))


SUITE = Suite(
    name="rewardbench-2",
    about="the best of four responses, and prompts with many right answers, which are to be scored alike",
    paper="arXiv 2506.01937",
    files=("rewardbench-2-test",),
    read=read_items,
    figures=figures,
    headline=("score", ALL),
    orders="one",
    form="choice",
)
