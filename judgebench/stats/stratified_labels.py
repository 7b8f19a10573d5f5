"""Means anchored in human labels of a stratified sample, and how to share labels among strata before any is made.

Of N items with a judge's scores F, n_h of the N_h items of each stratum h are drawn at random and labelled by humans.
With W_h = N_h / N, means over the labels of a stratum and Y the labels,

    theta = w mean(F) + sum_h W_h mean_h(Y - w F)                                                              (1)
    variance = (S^2(Y) - sum_h W_h s_h^2) / N + sum_h W_h^2 s_h^2 / n_h,   s_h^2 = var_h(Y - w F)              (2)

has the human mean as its expectation, however wrong the judge is and whatever the strata are made of, even its own
verdicts: what an item's chance to be labelled was is known. (2) is that of two-phase sampling: the N items are
themselves a sample, S^2(Y) is the variance of labels over all items. With one stratum it is PPI++
(:mod:`judgebench.stats.prediction_powered`), which is to be used then. The weight with the smallest variance is

    w = sum_h a_h cov_h(Y, F) / sum_h a_h var_h(F),  a_h = W_h^2 / n_h, clipped to [0, 1]                      (3)

The interval is that of the four corners, as there: z^2 made-up labels in all, shared among the strata as the labels
are, stand at the corners (Y, F) of the square of the bounds before (1) to (3). ``benchmarks/README.md`` has its
coverage.

Before the labels
-----------------
``allocate`` shares n labels as N_h s_h (Neyman 1934): more where humans and judge will differ more. ``expected`` says
what (2) will be, and what a simple random sample would give without the judge.

References
----------
Neyman: On the two different aspects of the representative method. Journal of the Royal Statistical Society 97, 1934.
Cochran: Sampling Techniques, 3rd edition 1977, chapters 5 and 12 (stratified and two-phase sampling).
Fisch, Maynez, Hofer, Dhingra, Globerson, Cohen: Stratified prediction-powered inference. arXiv:2406.04291.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from judgebench.stats.arrays import FloatArray, IntArray, columns
from judgebench.stats.intervals import Interval, check_level
from judgebench.stats.prediction_powered import AnchoredMean

LEAST = 2
"""Labels that a stratum needs for a variance."""
_LEAST_SPREAD, _ROUNDING, _HALVINGS = 1e-9, 1e-9, 200


@dataclass(frozen=True)
class Expected:
    """Standard errors that a sample of labels will have, in the unit of the spreads."""

    humans_alone: float
    """Of the labels of a simple random sample, without the judge."""
    simple: float
    """Of a simple random sample with the judge."""
    stratified: float
    """Of the stratified sample with the judge."""

    @property
    def worth(self) -> float:
        """How many times as many labels a simple random sample would need without the judge."""
        return (self.humans_alone / self.stratified) ** 2


def stratified_mean(
    labels: ArrayLike,
    judged: ArrayLike,
    everything: ArrayLike,
    strata: ArrayLike,
    sizes: Sequence[int],
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    level: float = 0.95,
) -> AnchoredMean:
    """The human mean, from labels of a stratified sample and a judge's scores of all items.

    Parameters
    ----------
    labels, judged
        Of the same items, shape (n,), in one unit.
    everything
        The judge's scores of all items, with and without a label, shape (N,).
    strata, sizes
        The stratum of each label, shape (n,), and the number of items of each stratum. Strata with fewer than two
        labels are joined to a neighbour, so let neighbours be alike.
    bounds
        The least and greatest possible score.
    level
        Nominal coverage.

    Examples
    --------
    The judge's wins are human wins in 4 of 5 cases, and its losses are human losses in 9 of 10:

    >>> result = stratified_mean([1, 1, 1, 1, 0] + [0] * 9 + [1], [1] * 5 + [0] * 10, [1] * 300 + [0] * 100,
    ...                          [0] * 5 + [1] * 10, [300, 100])
    >>> round(result.value, 3)
    0.625
    """
    from scipy.special import ndtri

    human, machine = columns(labels, judged)
    (all_items,) = columns(everything)
    check_level(level)
    n, total = len(human), len(all_items)
    low, high = bounds
    if not n or not total:
        return AnchoredMean(None, None, None, None, n, total, None, "there are no labels" if not n else "no others")
    groups, shares = _joined(np.asarray(strata, dtype=np.int64), sizes)
    if human.min() < low or human.max() > high or machine.min() < low or machine.max() > high:
        raise ValueError(f"some scores lie outside the bounds {low} to {high}")
    overall = float(all_items.mean())
    value, variance, weight = _estimate(human, machine, np.ones(n), groups, shares, overall, total)
    value = min(max(value, low), high)
    if n < LEAST:
        return AnchoredMean(value, None, None, weight, n, total, None, "uncertainty needs at least two labels")
    z = float(ndtri((1 + level) / 2))
    corners_y, corners_f = np.array([low, low, high, high]), np.array([low, high, low, high])
    made = [np.full(4, z**2 / 4 * float((groups == group).mean())) for group in range(len(shares))]
    centre, wide, _ = _estimate(
        np.concatenate([human, np.tile(corners_y, len(shares))]),
        np.concatenate([machine, np.tile(corners_f, len(shares))]),
        np.concatenate([np.ones(n), *made]),
        np.concatenate([groups, np.repeat(np.arange(len(shares)), 4)]),
        shares,
        overall,
        total,
    )
    half = z * wide**0.5
    interval = Interval(max(centre - half, low), min(centre + half, high), level, "stratified, four corners")
    spread = float(_spread(human, np.ones(n), groups, shares))
    worth = spread / variance if variance > 0 else None
    reason = None if variance > 0 else "no label differs from the others of its stratum"
    return AnchoredMean(value, variance**0.5, interval, weight, n, total, worth, reason)


def allocate(sizes: Sequence[int], spreads: Sequence[float], n: int) -> list[int]:
    """Share ``n`` labels among strata: as size times expected spread, at least two each, at most all of a stratum.

    >>> allocate([500, 300, 5], [0.3, 0.5, 0.5], 100)
    [49, 49, 2]
    >>> allocate([3, 1, 50], [0.1, 0.1, 0.5], 200)
    [3, 1, 50]
    """
    room = np.asarray(sizes, dtype=np.int64)
    if n >= room.sum():
        return [int(size) for size in room]
    least = np.minimum(room, LEAST)
    if least.sum() > n:
        raise ValueError(f"{len(sizes)} strata need {int(least.sum())} labels at least, got {n}")
    wanted = room * np.maximum(np.asarray(spreads, dtype=float), _LEAST_SPREAD)
    # The scale at which what the strata want, within their limits, is n in all.
    low, high = 0.0, float((room / wanted).max())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if np.clip(wanted * middle, least, room).sum() < n else (low, middle)
    exact = np.clip(wanted * high, least, room)
    given = np.floor(exact + _ROUNDING).astype(np.int64)
    by_remainder = np.argsort(given - exact, kind="stable")
    for place in [place for place in by_remainder if given[place] < room[place]][: n - int(given.sum())]:
        given[place] += 1
    return [int(count) for count in given]


def expected(
    sizes: Sequence[int], within: Sequence[float], between: float, spread: float, counts: Sequence[int]
) -> Expected:
    """The standard errors to expect of ``counts`` labels in strata of these ``sizes``.

    ``within`` are the expected variances of Y - w F within each stratum, ``between`` is the one over all items, and
    ``spread`` the variance of the labels themselves.

    >>> round(expected([500, 500], [0.16, 0.16], 0.16, 0.25, [50, 50]).worth, 2)
    1.48
    """
    room, noise, drawn = (np.asarray(column, dtype=float) for column in (sizes, within, counts))
    total, n = room.sum(), float(drawn.sum())
    share = room / total
    alone = spread / n
    simple = max(0.0, spread - between) / total + between / n
    first = max(0.0, spread - float(share @ noise)) / total
    stratified = first + float(np.square(share) @ (noise / drawn))
    return Expected(float(alone**0.5), float(simple**0.5), float(stratified**0.5))


def _joined(strata: IntArray, sizes: Sequence[int]) -> tuple[IntArray, FloatArray]:
    """The group of each label, and the share of the items of each group: neighbours that have two labels together."""
    counts = np.bincount(strata, minlength=len(sizes))
    groups: list[list[int]] = []
    for stratum, count in enumerate(counts):
        if groups and (count < LEAST or counts[groups[-1]].sum() < LEAST):
            groups[-1].append(stratum)
        else:
            groups.append([stratum])
    if len(groups) > 1 and counts[groups[-1]].sum() < LEAST:
        groups[-2] += groups.pop()
    place = np.zeros(len(sizes), dtype=np.int64)
    for number, members in enumerate(groups):
        place[members] = number
    held = np.asarray(sizes, dtype=float)
    return place[strata], np.array([held[members].sum() for members in groups]) / held.sum()


def _estimate(
    human: FloatArray,
    machine: FloatArray,
    counts: FloatArray,
    groups: IntArray,
    shares: FloatArray,
    overall: float,
    total: int,
) -> tuple[float, float, float]:
    """Equations (1) to (3): the mean, its variance and the weight.

    ``counts`` says how many labels each label stands for.
    """
    number = _totals(counts, groups, len(shares))
    weight = _weight(human, machine, counts, groups, shares**2 / number)
    residual = human - weight * machine
    means = _means(residual, counts, groups, number)
    noise = _variances(residual, counts, groups, number)
    spread = _spread(human, counts, groups, shares)
    first = max(0.0, spread - float(shares @ noise)) / total
    value = weight * overall + float(shares @ means)
    return value, first + float(np.square(shares) @ (noise / number)), weight


def _weight(human: FloatArray, machine: FloatArray, counts: FloatArray, groups: IntArray, scales: FloatArray) -> float:
    """Equation (3); 0 if the judge gives one score to each stratum."""
    number = _totals(counts, groups, len(scales))
    away = machine - _means(machine, counts, groups, number)[groups]
    mine = human - _means(human, counts, groups, number)[groups]
    each = counts * (scales / number)[groups]
    own = float(each @ np.square(away))
    return min(max(float(each @ (away * mine)) / own, 0.0), 1.0) if own > _ROUNDING else 0.0


def _spread(values: FloatArray, counts: FloatArray, groups: IntArray, shares: FloatArray) -> float:
    """The variance of the values over all items, from those of the strata."""
    number = _totals(counts, groups, len(shares))
    means = _means(values, counts, groups, number)
    within = float(shares @ _variances(values, counts, groups, number))
    return within + float(shares @ np.square(means - shares @ means))


def _means(values: FloatArray, counts: FloatArray, groups: IntArray, number: FloatArray) -> FloatArray:
    return _totals(counts * values, groups, len(number)) / number


def _variances(values: FloatArray, counts: FloatArray, groups: IntArray, number: FloatArray) -> FloatArray:
    away = np.square(values - _means(values, counts, groups, number)[groups])
    return _totals(counts * away, groups, len(number)) / np.maximum(number - 1, 1)


def _totals(values: FloatArray, groups: IntArray, size: int) -> FloatArray:
    return np.asarray(np.bincount(groups, weights=values, minlength=size), dtype=float)
