"""WB-Elo: ratings from the scores that single answers got, without a comparison of two. It asks nothing.

Every question and pair of models is a vote by the difference of their scores (:mod:`judgebench.stats.elo`), which is a
tie where one answer is much longer. WildBench's official settings are the default. A score that is missing, and an
answer that is empty or was cut off, make no vote.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from judgebench.arena.anchoring import Given, require_shared
from judgebench.display import shortened
from judgebench.errors import UsageError
from judgebench.records import Count, Number
from judgebench.run.reading import Run, TaskRun, require_held
from judgebench.stats.elo import shuffled_elo, votes_from_scores
from judgebench.tasks import is_among

ROUNDS = 128


class WbElo(msgspec.Struct, frozen=True, kw_only=True):
    """One model's rating."""

    model: str
    elo: Number
    """The mean over random orders of the votes."""
    std: Number
    """What the order alone does to it."""
    median: Number
    low: Number | None
    high: Number | None
    """Percentiles over orders. They say nothing about other questions."""
    votes: Count
    mean_score: Number | None
    anchor: Number | None = None
    """The rating that was given to it."""


class WbArena(msgspec.Struct, frozen=True, kw_only=True):
    """Ratings from scores, the best first."""

    models: tuple[WbElo, ...]
    task: str
    metric: str
    questions: Count
    votes: Count
    decided: Count
    """Votes with a winner before lengths were looked at."""
    margin: Number
    length_margin: Number | None
    anchored_by: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class VoteRule:
    """How scores become votes, and votes ratings."""

    margin: float = 2.0
    tie_margin: float = 2.0
    length_margin: float | None = 1500.0
    dynamic: bool = True
    """Whether models with a given rating move, pulled back every so often, or stay."""
    interval: int = 100
    k: float = 4.0
    seed: int = 42


def wb_elo(
    runs: Sequence[Run],
    *,
    task: str | None = None,
    metric: str | None = None,
    given: Given | None = None,
    rule: VoteRule | None = None,
) -> WbArena:
    """WB-Elo of the models of runs that rate single answers."""
    rule = rule or VoteRule()
    chosen = _chosen(runs, task)
    names = [run.manifest.shown_name for run, _ in chosen]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"two runs are called {shortened(twice, 100)}; name one of them with --name RUN=NAME")
    hashes = {own.task_manifest.protocol_hash for _, own in chosen}
    notes = [] if len(hashes) == 1 else ["the runs have different protocols, so their scores may not be comparable"]
    metric = metric or _metric(chosen[0][1])
    tables = [_scores(own, metric) for _, own in chosen]
    questions = list(dict.fromkeys(key for table, _ in tables for key in table))
    scores = np.array([[table.get(key, np.nan) for table, _ in tables] for key in questions], dtype=float)
    lengths = np.array([[sizes.get(key, 0.0) for _, sizes in tables] for key in questions], dtype=float)
    anchors = {} if given is None else require_shared(given, names)
    votes = votes_from_scores(
        scores, lengths, margin=rule.margin, tie_margin=rule.tie_margin, length_margin=rule.length_margin
    )
    if not votes.count.sum():
        raise UsageError(f"the runs have no question with a score {metric} of two models, so there is no vote")
    found = shuffled_elo(
        votes,
        anchors=[anchors.get(name) for name in names],
        dynamic=rule.dynamic,
        interval=rule.interval,
        k=rule.k,
        rounds=ROUNDS,
        seed=rule.seed,
    )
    models = []
    for place, name in enumerate(names):
        if not found.voted[place]:
            notes.append(f"{name} has no vote, and no rating")
            continue
        own, summary = scores[:, place], found.summary(place)
        bounds = summary.interval
        models.append(
            WbElo(
                model=name,
                elo=summary.mean,
                std=summary.std,
                median=summary.median,
                low=bounds.low if bounds else None,
                high=bounds.high if bounds else None,
                votes=int(votes.count[(votes.first == place) | (votes.second == place)].sum()),
                mean_score=float(np.nanmean(own)) if np.isfinite(own).any() else None,
                anchor=anchors.get(name),
            )
        )
    return WbArena(
        models=tuple(sorted(models, key=lambda model: -model.elo)),
        task=chosen[0][1].task_manifest.label,
        metric=metric,
        questions=len(questions),
        votes=votes.n_battles,
        decided=votes.n_decided,
        margin=rule.margin,
        length_margin=rule.length_margin,
        anchored_by="" if given is None else given.by,
        notes=(*notes, *(given.notes if given else ())),
    )


def _chosen(runs: Sequence[Run], task: str | None) -> list[tuple[Run, TaskRun]]:
    """The runs' parts of one benchmark."""
    keys = list(dict.fromkeys(key for run in runs for key in run.tasks))
    require_held(runs, task)
    found = [(run, own) for run in runs for own in run.tasks.values() if is_among(task, own.names)]
    if len({own.key for _, own in found}) != 1 or len(found) < 2:
        raise UsageError(
            f"WB-Elo is made of the scores of one benchmark by two runs or more, and the runs hold "
            f"{', '.join(keys) or 'none'}; name one with --task"
        )
    return found


def _metric(own: TaskRun) -> str:
    """The score of single answers: the first whose example scores are no comparisons."""
    comparisons = set(own.task.pairwise_metrics)
    known = {row.metric for row in own.example_scores() if row.value is not None}
    plain = [name for name in dict.fromkeys([*(m.name for m in own.task.metrics), *sorted(known)]) if name in known]
    chosen = next((name for name in plain if name not in comparisons), None)
    if chosen is None:
        raise UsageError(
            f"{own.run} has no scores of single answers to {own.key}; WB-Elo is made of those, and games between "
            "answers are rated by `judgebench arena` without --wb-elo"
        )
    return chosen


def _scores(own: TaskRun, metric: str) -> tuple[dict[str, float], dict[str, float]]:
    """The scores by question, and the lengths of the answers; without empty and cut-off answers."""
    generations = own.generations()
    lengths: dict[str, float] = {}
    whole: Mapping[str, bool] = {
        key: bool(g.outputs and g.outputs[-1].strip()) and not g.error and "length" not in g.finish_reasons
        for key, g in generations.items()
    }
    for key, generation in generations.items():
        lengths[key] = float(sum(map(len, generation.outputs)))
    scores: dict[str, float] = {}
    for row in own.example_scores():
        if row.metric == metric and row.value is not None and whole.get(row.example_id, not generations):
            scores[row.example_id] = row.value
            if row.example_id not in lengths and isinstance(size := row.covariates.get("length"), int | float):
                lengths[row.example_id] = float(size)
    return scores, lengths
