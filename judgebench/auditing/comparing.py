"""Several judges on the items that all of them were audited on: who is better, whose errors agree, who adds what.

The verdicts are those that audits of this machine kept, so nothing is asked. The statistics are in ``stats/jury.py``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from msgspec import Struct

from judgebench.auditing.asking import REPEATED
from judgebench.auditing.biases import estimated
from judgebench.auditing.cards import ItemVerdict, JudgeCard, cards_of, read_verdicts
from judgebench.auditing.figures import Figure, share
from judgebench.auditing.probes import BUILTIN
from judgebench.display import printable
from judgebench.errors import UsageError
from judgebench.stats.arrays import FloatArray
from judgebench.stats.clustered import bounded_estimate, cluster_totals
from judgebench.stats.jury import (
    dawid_skene,
    error_correlation,
    jury_report,
    log_odds_weights,
    majority,
)
from judgebench.stats.paired import permutation_p_value

FOLDS = 5
"""Weights are learnt from the other folds' labels."""
_SEED = 0
_RULE = "of labelled pairs that all judged; ties and missing verdicts are half right"


class PairOfJudges(Struct, frozen=True, kw_only=True):
    """Two judges on the same pairs."""

    first: str
    second: str
    difference: Figure
    """Accuracy of the first minus that of the second."""
    p_value: float | None
    """Of the paired permutation test of that difference."""
    agreement: Figure
    """How often they name the same winner."""
    error_correlation: Figure
    """Phi of their errors."""


class Panel(Struct, frozen=True, kw_only=True):
    """A way to make one verdict of several judges'."""

    name: str
    about: str
    accuracy: Figure
    over_mean: Figure | None
    """Its accuracy minus that of the plain mean."""


class Addition(Struct, frozen=True, kw_only=True):
    """What a judge adds to the others."""

    judge: str
    without: Figure
    """Accuracy of the plain mean of the others."""
    adds: Figure
    """That of all minus that of the others."""


class PartComparison(Struct, frozen=True, kw_only=True):
    """The judges on one suite."""

    part: str
    items: int
    labelled: int
    accuracies: dict[str, Figure]
    pairs: tuple[PairOfJudges, ...]
    panels: tuple[Panel, ...]
    additions: tuple[Addition, ...]
    effective_judges: float | None
    """How many judges that err independently they are worth; ``None`` if some never err."""
    error_correlation: float | None
    """Mean phi over pairs."""


class JudgeComparison(Struct, frozen=True, kw_only=True):
    """Several judges on the suites that all were audited on."""

    judges: dict[str, str]
    """By the name in the tables: what asks."""
    cards: dict[str, str]
    parts: tuple[PartComparison, ...]


@dataclass(frozen=True)
class _Votes:
    """The judges' verdicts on labelled pairs."""

    names: tuple[str, ...]
    shares: FloatArray
    """Share of the win of the first response; (judges, items), NaN for none."""
    gold: FloatArray
    clusters: np.ndarray[tuple[int], np.dtype[np.str_]]

    @property
    def signs(self) -> FloatArray:
        """1, -1, 0 for a tie, NaN for none."""
        return np.sign(self.shares - 0.5)

    def credits(self, verdicts: FloatArray) -> FloatArray:
        """1 for a right verdict, 0 for a wrong one, 1/2 for none or a tie; verdicts are signs, shape (items,)."""
        return 0.5 + np.nan_to_num(verdicts) * self.gold / 2

    def accuracy(self, name: str, verdicts: FloatArray, about: str = _RULE) -> Figure:
        """The accuracy of verdicts."""
        return share(name, self.credits(verdicts), self.clusters, about)

    def gap(self, name: str, first: FloatArray, second: FloatArray, about: str) -> Figure:
        """The difference of two accuracies on the same items."""
        rows = self.credits(first) - self.credits(second)
        found = bounded_estimate(cluster_totals(rows, clusters=self.clusters), -1, 1)
        return estimated(name, found, about, unit="number")


def compare(judges: Sequence[str], on: Sequence[str] = ()) -> JudgeComparison:
    """Compare judges by their audits on this machine; ``on`` are the suites, by default all that every judge has."""
    found = _cards(judges)
    verdicts = {name: _by_place(read_verdicts(path)) for name, (path, _) in found.items()}
    common = set.intersection(*({part for part, _ in own} for own in verdicts.values())) - {REPEATED}
    if missing := [name for name in on if name not in common]:
        raise UsageError(
            f"--on {missing[0]}: not every one of these judges was audited on it; they share {_listed(common)}"
        )
    # Of its attacks and sanity pairs a judge that is any good gets all right.
    wanted = list(on) or sorted(common - {BUILTIN}) or sorted(common)
    if not wanted:
        raise UsageError(
            "the judges were audited on no suite in common; audit each with the same --on, and compare them then"
        )
    parts = [part for name in wanted if (part := _part(name, verdicts)) is not None]
    if not parts:
        raise UsageError(
            f"the judges share no labelled pair of {_listed(wanted)}; audit them with the same --limit, or with none"
        )
    return JudgeComparison(
        judges={name: card.prompt for name, (_, card) in found.items()},
        cards={name: str(path) for name, (path, _) in found.items()},
        parts=tuple(parts),
    )


def _listed(names: Sequence[str] | set[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _cards(judges: Sequence[str]) -> dict[str, tuple[Path, JudgeCard]]:
    """The newest card of each judge, by a name that tells two prompts of one model apart."""
    found: dict[str, tuple[Path, JudgeCard]] = {}
    for judge in judges:
        cards = cards_of(judge)
        if not cards:
            raise UsageError(
                f"no audit of {printable(judge)[:200]!r} is on this machine; make one by `judgebench judges audit "
                f"{judge[:200]}`"
            )
        path, card = cards[0]
        name = card.judge if card.judge not in found else f"{card.judge} ({card.prompt})"
        if name in found or path in [other for other, _ in found.values()]:
            raise UsageError(
                f"{printable(judge)[:200]!r} names the same audit twice; name one of two prompts of a judge by its "
                "card, the path of which `judgebench judges info` shows"
            )
        found[name] = (path, card)
    if len(found) < 2:
        raise UsageError("a comparison needs two judges or more; name them as they were audited")
    return found


def _by_place(verdicts: Sequence[ItemVerdict]) -> Mapping[tuple[str, str], ItemVerdict]:
    """By part and item; a part alone stands for its items."""
    return {(verdict.part, verdict.item): verdict for verdict in verdicts}


def _part(part: str, verdicts: Mapping[str, Mapping[tuple[str, str], ItemVerdict]]) -> PartComparison | None:
    places = [place for place in next(iter(verdicts.values())) if place[0] == part]
    shared = [place for place in places if all(place in own for own in verdicts.values())]
    first = next(iter(verdicts.values()))
    labelled = [place for place in shared if first[place].gold]
    if not labelled:
        return None
    votes = _Votes(
        tuple(verdicts),
        np.array([[_share(own[place]) for place in labelled] for own in verdicts.values()], dtype=float),
        np.array([first[place].gold for place in labelled], dtype=float),
        np.array([first[place].cluster for place in labelled], dtype=str),
    )
    report = jury_report(votes.signs, votes.gold)
    return PartComparison(
        part=part,
        items=len(shared),
        labelled=len(labelled),
        accuracies={name: votes.accuracy("accuracy", row) for name, row in zip(votes.names, votes.signs, strict=True)},
        pairs=tuple(_pairs(votes)),
        panels=tuple(_panels(votes)),
        additions=tuple(_additions(votes)) if len(votes.names) > 2 else (),
        effective_judges=report.effective_members,
        error_correlation=report.error_correlation,
    )


def _share(verdict: ItemVerdict) -> float:
    return np.nan if verdict.share is None else verdict.share


def _pairs(votes: _Votes) -> Iterator[PairOfJudges]:
    wrong = np.nan_to_num(votes.signs) * votes.gold < 0
    for one, other in combinations(range(len(votes.names)), 2):
        first, second = votes.signs[one], votes.signs[other]
        there = ~(np.isnan(first) | np.isnan(second))
        totals = [cluster_totals(votes.credits(row), clusters=votes.clusters) for row in (first, second)]
        phi = error_correlation(wrong[one], wrong[other], rng=np.random.default_rng(_SEED), clusters=votes.clusters)
        yield PairOfJudges(
            first=votes.names[one],
            second=votes.names[other],
            difference=votes.gap("difference", first, second, f"accuracy of the first minus the second, {_RULE}"),
            p_value=permutation_p_value(*totals, rng=np.random.default_rng(_SEED)),
            agreement=share(
                "agreement",
                (first == second)[there],
                votes.clusters[there],
                "of labelled pairs with both verdicts: the same winner, or both ties",
            ),
            error_correlation=Figure(
                name="error_correlation",
                value=phi.value,
                n=phi.n,
                unit="coefficient",
                interval=phi.interval,
                policy=f"phi of their errors; both err on {phi.both}; ties and missing verdicts are no errors",
                reason=None if phi.value is not None else "one of them never errs, or always does",
            ),
        )


def _panels(votes: _Votes) -> Iterator[Panel]:
    """All ways to combine the judges, the plain mean first."""
    mean = _mean(votes.shares)
    yield Panel(name="mean", about="plain mean of the shares", accuracy=votes.accuracy("mean", mean), over_mean=None)
    others = {
        "majority": ("one vote each", majority(votes.signs)),
        "weighted": (f"weights log(q / (1 - q)), q from {FOLDS - 1} of {FOLDS} folds of the labels", _weighted(votes)),
        "dawid-skene": ("error rates learnt without labels", _latent(votes.signs)),
    }
    for name, (about, verdicts) in others.items():
        yield Panel(
            name=name,
            about=about,
            accuracy=votes.accuracy(name, verdicts),
            over_mean=votes.gap("over_mean", verdicts, mean, f"minus the accuracy of the plain mean, {_RULE}"),
        )


def _mean(shares: FloatArray) -> FloatArray:
    """The side of the mean share of each item, over the judges that have one; 0 if none has."""
    there = ~np.isnan(shares)
    count = there.sum(axis=0)
    total = np.where(there, shares - 0.5, 0).sum(axis=0)
    return np.where(np.abs(total) < 1e-12 * np.maximum(count, 1), 0.0, np.sign(total))


def _weighted(votes: _Votes) -> FloatArray:
    """Weighted votes; an item's weights are learnt from the clusters of the other folds."""
    _, place = np.unique(votes.clusters, return_inverse=True)
    fold = place % FOLDS
    found = np.zeros(len(votes.gold))
    credits = np.array([votes.credits(row) for row in votes.signs])
    for number in range(FOLDS):
        inside = fold == number
        if not inside.any():
            continue
        known = credits[:, ~inside]
        weights = log_odds_weights(known.mean(axis=1)) if known.size else np.ones(len(credits))
        found[inside] = majority(votes.signs[:, inside], weights)
    return found


def _latent(signs: FloatArray) -> FloatArray:
    """The likelier class of each item; ties and missing verdicts are no labels."""
    labels = np.where(signs > 0, 0, np.where(signs < 0, 1, -1)).astype(np.int64)
    posterior = dawid_skene(labels, 2).posterior
    gap = posterior[:, 0] - posterior[:, 1]
    return np.where(np.abs(gap) < 1e-9, 0.0, np.sign(gap))


def _additions(votes: _Votes) -> Iterator[Addition]:
    whole = _mean(votes.shares)
    for number, name in enumerate(votes.names):
        rest = _mean(np.delete(votes.shares, number, axis=0))
        yield Addition(
            judge=name,
            without=votes.accuracy("without", rest),
            adds=votes.gap("adds", whole, rest, f"accuracy of the plain mean of all minus that of the others, {_RULE}"),
        )
