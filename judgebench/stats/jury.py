"""Several judges on the same items: their joint verdict, and whether they are better together.

Votes have shape (voters, items): +1 or -1 for the two answers, 0 for a tie, NaN for none. A voter is a judge, or one
order or repeat of it. A jury is no better by itself: members that err on the same items are fewer than they seem, and a
weak one may outvote a strong one. So ``jury_report`` also takes each member out.

References
----------
Verga et al.: Replacing judges with juries. arXiv:2404.18796 (PoLL).
Nitzan, Paroush: Optimal decision rules in uncertain dichotomous choice situations. International Economic Review 23,
1982 (weights of log odds).
Dawid, Skene: Maximum likelihood estimation of observer error-rates using the EM algorithm. JRSS C 28, 1979.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from judgebench.stats.arrays import FloatArray, cluster_places
from judgebench.stats.intervals import Interval, percentile_interval, resample_counts

_MOST_ROUNDS = 200
_RESAMPLES = 1000
_SMALL_CHANGE = 1e-6


@dataclass(frozen=True)
class JuryReport:
    """A jury and its members against gold labels."""

    accuracy: float | None
    """Of the majority, ties half."""
    members: tuple[float | None, ...]
    """Accuracy of each member alone, ties and missing votes half."""
    without: tuple[float | None, ...]
    """Accuracy of the majority without each member; ``None`` for a jury of one."""
    error_correlation: float | None
    """Mean phi of whether two members err, over pairs for which it exists."""
    effective_members: float | None
    """m / (1 + (m - 1) phi), phi at least 0: how many independent members the jury is worth."""
    n: int
    """Items."""


@dataclass(frozen=True, eq=False)
class DawidSkene:
    """Labels and error rates of judges, learnt without gold."""

    prior: FloatArray
    """Share of each class; shape (k,)."""
    confusion: FloatArray
    """Probability that judge j says l of class k; shape (judges, k, k)."""
    posterior: FloatArray
    """Probability of each class, per item; shape (items, k)."""
    rounds: int
    converged: bool
    """Whether probabilities changed by less than 1e-6 in the last of at most 200 rounds."""


@dataclass(frozen=True)
class ErrorCorrelation:
    """Phi of whether two judges err on an item: 0 if they err independently, 1 if on the same items."""

    value: float | None
    """``None`` if one of them never errs, or always does."""
    interval: Interval | None
    both: int
    """Items on which both err."""
    n: int


def error_correlation(
    first: ArrayLike, second: ArrayLike, *, rng: np.random.Generator, clusters: ArrayLike | None = None
) -> ErrorCorrelation:
    """Correlate the errors of two judges, shapes (items,): true, or 1, where the judge is wrong.

    The interval is that of 1,000 resamples of whole clusters; those in which a judge never errs have no phi.

    >>> errors = [1, 1, 0, 0, 0, 0, 0, 0]
    >>> error_correlation(errors, errors, rng=np.random.default_rng(0)).value
    1.0
    >>> error_correlation(errors, [0, 0, 1, 1, 0, 0, 0, 0], rng=np.random.default_rng(0)).value < 0
    True
    """
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if one.ndim != 1 or one.shape != other.shape or not np.isin([*one, *other], (0, 1)).all():
        raise ValueError(f"errors are 0 or 1, one per item of each judge; got shapes {one.shape}, {other.shape}")
    count, place = cluster_places(clusters, len(one))
    value = float(_phi(one, other, np.ones((1, len(one))))[0]) if len(one) else np.nan
    interval = None
    if count > 1 and not np.isnan(value):
        drawn = _phi(one, other, resample_counts(count, _RESAMPLES, rng)[:, place].astype(float))
        interval = percentile_interval(drawn[~np.isnan(drawn)])
    return ErrorCorrelation(None if np.isnan(value) else value, interval, int((one * other).sum()), len(one))


def _phi(one: FloatArray, other: FloatArray, counts: FloatArray) -> FloatArray:
    """Phi for each weighting of the items, shape (rounds,); NaN where an indicator does not vary."""
    size = counts.sum(axis=1)
    means = counts @ one / size, counts @ other / size
    spread = np.sqrt(means[0] * (1 - means[0]) * means[1] * (1 - means[1]))
    shared = counts @ (one * other) / size - means[0] * means[1]
    return np.where(spread > 1e-12, shared / np.where(spread > 1e-12, spread, 1), np.nan)


def majority(votes: ArrayLike, weights: ArrayLike | None = None) -> FloatArray:
    """The sign of the (weighted) sum of votes per item, shape (items,): +1, -1, or 0 if votes balance or are missing.

    >>> majority([[1, 1, -1], [1, -1, 0], [-1, 0, np.nan]]).tolist()
    [1.0, 0.0, -1.0]
    """
    table = _votes(votes)
    share = np.ones(len(table)) if weights is None else np.asarray(weights, dtype=float)
    if share.shape != (len(table),) or not np.isfinite(share).all():
        raise ValueError(f"weights are one finite number per voter; got shape {share.shape} for {len(table)} voters")
    total = share @ np.nan_to_num(table)
    # Weights that balance but for rounding.
    return np.where(np.abs(total) < 1e-9 * max(float(np.abs(share).sum()), 1e-300), 0.0, np.sign(total))


def accuracy(verdicts: ArrayLike, gold: ArrayLike) -> float | None:
    """Share of verdicts, shape (items,), that equal gold (+1 or -1); 0 and NaN count half. ``None`` without items.

    >>> accuracy([1, 0, -1, -1], [1, 1, 1, -1])
    0.625
    """
    said, truth = np.asarray(verdicts, dtype=float), _gold(gold)
    if said.shape != truth.shape:
        raise ValueError(f"there is one verdict per gold label; got shapes {said.shape} and {truth.shape}")
    if not len(truth):
        return None
    return float(0.5 + (np.nan_to_num(said) * truth).mean() / 2)


def log_odds_weights(accuracies: ArrayLike) -> FloatArray:
    """The weight log(q / (1 - q)) of each voter's accuracy q, the best one for voters that err independently.

    Take accuracies from other items than those voted on. q is kept within [0.01, 0.99].

    >>> log_odds_weights([0.5, 0.9]).round(2).tolist()
    [0.0, 2.2]
    """
    q = np.asarray(accuracies, dtype=float)
    if not ((q >= 0) & (q <= 1)).all():
        raise ValueError("accuracies lie between 0 and 1")
    q = np.clip(q, 0.01, 0.99)
    return np.asarray(np.log(q / (1 - q)))


def jury_report(votes: ArrayLike, gold: ArrayLike) -> JuryReport:
    """Measure a jury of members, votes of shape (members, items), against gold, shape (items,).

    Examples
    --------
    Three judges, each wrong on another item, are right together; twins of one judge are not:

    >>> gold = [1, 1, 1, -1, -1, -1]
    >>> report = jury_report([[-1, 1, 1, -1, -1, -1], [1, -1, 1, -1, -1, -1], [1, 1, -1, -1, -1, -1]], gold)
    >>> report.accuracy, round(report.members[0], 3), report.effective_members
    (1.0, 0.833, 3.0)
    >>> report = jury_report([[-1, 1, 1, -1, -1, -1]] * 3, gold)
    >>> round(report.accuracy, 3), round(report.effective_members, 3)
    (0.833, 1.0)
    """
    table, truth = _votes(votes), _gold(gold)
    members, n = table.shape
    if truth.shape != (n,):
        raise ValueError(f"there is one gold label per item; got {truth.shape} for {n} items")
    wrong = np.nan_to_num(table) * truth < 0
    # Without errors, or with nothing else, a correlation does not exist.
    mixed = wrong[wrong.any(axis=1) & ~wrong.all(axis=1)]
    phi = float(np.atleast_2d(np.corrcoef(mixed))[np.triu_indices(len(mixed), 1)].mean()) if len(mixed) > 1 else None
    effective = members / (1 + (members - 1) * max(phi, 0.0)) if phi is not None else None
    rest = [np.delete(table, member, axis=0) for member in range(members)] if members > 1 else []
    return JuryReport(
        accuracy(majority(table), truth),
        tuple(accuracy(row, truth) for row in table),
        tuple(accuracy(majority(others), truth) for others in rest) if rest else (None,) * members,
        phi,
        effective,
        n,
    )


def dawid_skene(labels: ArrayLike, classes: int) -> DawidSkene:
    """Classes of items and error rates of judges from labels alone, shape (judges, items): 0 to ``classes`` - 1, or -1.

    EM from the shares of the labels, each confusion count with one added; -1 is no label. It takes the judges to err
    independently given the class: with judges of one family it is surer than it should be.

    >>> labels = [[0, 0, 1, 1, 1, 0], [0, 0, 1, 1, 0, 0], [0, 1, 1, 1, 1, 1]]
    >>> found = dawid_skene(labels, 2)
    >>> found.posterior.argmax(axis=1).tolist()
    [0, 0, 1, 1, 1, 0]
    """
    table = np.asarray(labels, dtype=np.int64)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"labels have shape (judges, items), and neither is 0; got {table.shape}")
    if classes < 2 or table.min() < -1 or table.max() >= classes:
        raise ValueError(f"labels are 0 to {classes - 1}, or -1 for none, of at least two classes")
    # One column per class; all 0 for no label.
    given = (table[:, :, None] == np.arange(classes)).astype(float)
    posterior = (given.sum(axis=0) + 1e-12) / (given.sum(axis=(0, 2)) + classes * 1e-12)[:, None]
    rounds, change = 0, 1.0
    while change >= _SMALL_CHANGE and rounds < _MOST_ROUNDS:
        prior = posterior.mean(axis=0)
        counts = np.einsum("ik,jil->jkl", posterior, given) + 1
        confusion = counts / counts.sum(axis=2, keepdims=True)
        logs = np.log(np.maximum(prior, 1e-300)) + np.einsum("jil,jkl->ik", given, np.log(confusion))
        # The largest first, so that exponentials do not vanish.
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))
        updated = weights / weights.sum(axis=1, keepdims=True)
        change = float(np.abs(updated - posterior).max())
        posterior, rounds = updated, rounds + 1
    return DawidSkene(prior, confusion, posterior, rounds, change < _SMALL_CHANGE)


def _votes(votes: ArrayLike) -> FloatArray:
    table = np.asarray(votes, dtype=float)
    if table.ndim != 2 or not len(table):
        raise ValueError(f"votes have shape (voters, items), of at least one voter; got {table.shape}")
    if not (np.isnan(table) | np.isin(table, (-1, 0, 1))).all():
        raise ValueError("a vote is 1, -1, 0 (a tie) or NaN (none)")
    return table


def _gold(gold: ArrayLike) -> FloatArray:
    truth = np.asarray(gold, dtype=float)
    if truth.ndim != 1 or not np.isin(truth, (-1, 1)).all():
        raise ValueError("a gold label is 1 or -1: leave out items without one")
    return truth
