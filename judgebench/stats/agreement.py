"""How often two votes on the same game agree, and how far that exceeds chance.

A game is what both voters saw: question, turn and pair of answers. A vote is +1 (the first answer), -1 (the second) or
0 (a tie), so votes on one game must all be counted from the same answer: see :func:`orient`.

The coefficients take any labels, as numbers. A judge's coefficient means little unless you compare it with the
coefficient of the humans among each other.

References
----------
Cohen: A coefficient of agreement for nominal scales. Educational and Psychological Measurement 20, 1960.
Fleiss: Measuring nominal scale agreement among many raters. Psychological Bulletin 76, 1971.
Gwet: Computing inter-rater reliability and its variance in the presence of high agreement. British Journal of
Mathematical and Statistical Psychology 61, 2008.
Hayes, Krippendorff: Answering the call for a standard reliability measure for coding data. Communication Methods and
Measures 1, 2007.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgebench.stats.arrays import FloatArray, IntArray, columns
from judgebench.stats.intervals import Interval, batches, percentile_interval, resample_counts

Metric = Literal["nominal", "ordinal", "interval", "ratio"]

_ROUNDS = 1000
"""Resamples behind an interval."""


@dataclass(frozen=True)
class Agreement:
    """Comparisons of two votes, and how many of them agree."""

    total: int
    agree: int
    interval: Interval | None = None
    """Interval of the ratio; ``None`` without clusters, or if fewer than two of them hold a comparison."""

    @property
    def ratio(self) -> float | None:
        """Share of the comparisons that agree; ``None`` without any."""
        return self.agree / self.total if self.total else None


def orient(first: ArrayLike, second: ArrayLike, votes: ArrayLike) -> tuple[NDArray[np.str_], IntArray]:
    """Order each pair of names, shapes (n,), and turn the votes with it.

    Returns the pairs in alphabetical order, shape (n, 2), and the votes as counted from the first of each.

    >>> orient(["b", "a"], ["a", "b"], [1, 1])[1]
    array([-1,  1])
    """
    names = np.stack([np.asarray(first, dtype=str), np.asarray(second, dtype=str)], axis=-1)
    turned = np.asarray(votes, dtype=np.int64)
    swapped = names[:, 0] > names[:, 1]
    return np.where(swapped[:, None], names[:, ::-1], names), np.where(swapped, -turned, turned)


def agreement_between(
    games: ArrayLike,
    votes: ArrayLike,
    other_games: ArrayLike,
    other_votes: ArrayLike,
    *,
    ties: bool = True,
    clusters: ArrayLike | None = None,
    rng: np.random.Generator | None = None,
) -> Agreement:
    """Compare each of ``votes`` with the one vote of ``other_votes`` on the same game.

    ``games``, shape (n,), and ``other_games``, shape (m,), are codes; games that only one side voted on are left out.
    With ``ties=False`` so is every comparison in which either vote is a tie. ``clusters``, shape (n,), and ``rng`` give
    the ratio a percentile interval over 1,000 resamples of whole clusters, such as questions.

    The counting is that of lm-sys/FastChat@0e6d3e4:fastchat/llm_judge/compute_agreement.py (Zheng et al. 2023,
    arXiv 2306.05685, table 5).

    >>> agreement_between([7, 7, 8], [1, -1, 0], [7, 8], [1, 1])
    Agreement(total=3, agree=1, interval=None)
    """
    games, votes = _checked(games, votes)
    other_games, other_votes = _checked(other_games, other_votes)
    order = np.argsort(other_games, kind="stable")
    known, known_votes = other_games[order], other_votes[order]
    if len(known) and (np.diff(known) == 0).any():
        raise ValueError("the other side must have one vote on each game; some have several")
    shared = np.flatnonzero(np.isin(games, known))
    mine, theirs = votes[shared], known_votes[np.searchsorted(known, games[shared])]
    counted = np.ones(len(mine), dtype=bool) if ties else (mine != 0) & (theirs != 0)
    return _agreement(counted, (mine == theirs) & counted, shared, clusters, rng)


def agreement_within(
    games: ArrayLike,
    votes: ArrayLike,
    *,
    ties: bool = True,
    clusters: ArrayLike | None = None,
    rng: np.random.Generator | None = None,
) -> Agreement:
    """Compare every two of ``votes`` on the same game, shapes (n,); the options are :func:`agreement_between`'s.

    >>> agreement_within([7, 7, 7, 8], [1, 1, 0, 1])
    Agreement(total=3, agree=1, interval=None)
    """
    games, votes = _checked(games, votes)
    _, first, code = np.unique(games, return_index=True, return_inverse=True)
    counts = np.zeros((len(first), 3), dtype=np.int64)
    np.add.at(counts, (code, votes + 1), 1)
    if not ties:
        counts[:, 1] = 0
    voters = counts.sum(axis=1)
    total, agree = voters * (voters - 1) // 2, (counts * (counts - 1) // 2).sum(axis=1)
    return _agreement(total, agree, first, clusters, rng)


def _checked(games: ArrayLike, votes: ArrayLike) -> tuple[IntArray, IntArray]:
    games, votes = np.asarray(games, dtype=np.int64), np.asarray(votes, dtype=np.int64)
    if games.ndim != 1 or games.shape != votes.shape:
        raise ValueError(f"games and votes are one number per vote, got shapes {games.shape}, {votes.shape}")
    if not np.isin(votes, (-1, 0, 1)).all():
        raise ValueError("a vote is 1, -1 or 0")
    return games, votes


def _agreement(
    total: NDArray[Any],
    agree: NDArray[Any],
    rows: NDArray[np.integer],
    clusters: ArrayLike | None,
    rng: np.random.Generator | None,
) -> Agreement:
    """Comparisons and agreements, shapes (k,), summed; ``rows`` says which rows of ``clusters`` they belong to."""
    found = Agreement(int(total.sum()), int(agree.sum()))
    if clusters is None:
        return found
    if rng is None:
        raise ValueError("an interval over clusters needs rng")
    names, code = np.unique(np.asarray(clusters)[rows], return_inverse=True)
    totals, agrees = (np.bincount(code, weights=column, minlength=len(names)) for column in (total, agree))
    if np.count_nonzero(totals) < 2:
        return found
    counts = resample_counts(len(names), _ROUNDS, rng).astype(float)
    drawn = counts @ totals
    return replace(found, interval=percentile_interval((counts @ agrees)[drawn > 0] / drawn[drawn > 0]))


@dataclass(frozen=True)
class Coefficient:
    """Agreement beyond chance: 1 is perfect, 0 what chance gives."""

    name: str
    value: float | None
    interval: Interval | None
    """By resampling units; ``None`` if none was asked for (without rng), or with fewer than two units."""
    units: int
    """Units that at least two raters labelled."""
    reason: str | None
    """Why the value, or an interval that was asked for, is missing."""


def krippendorff_alpha(
    labels: ArrayLike, metric: Metric = "nominal", *, rng: np.random.Generator | None = None
) -> Coefficient:
    """Krippendorff's alpha of labels, shape (raters, units), NaN where a rater gave none: 1 - D_o / D_e.

    ``metric`` says how far apart two labels are: ``"nominal"`` 0 or 1, ``"ordinal"`` by rank, ``"interval"`` by squared
    difference, ``"ratio"`` by that of difference over sum. Units with fewer than two labels say nothing and are left
    out. At most 100 different labels. With ``rng``, a percentile interval over resampled units (Krippendorff 2018,
    chapter 12; Hayes and Krippendorff 2007).

    >>> none = np.nan
    >>> votes = [[1, 2, 3, 3, 2, 1, 4, 1, 2, none], [1, 2, 3, 3, 2, 2, 4, 1, 2, 5], [none, 3, 3, 3, 2, 3, 4, 2, 2, 5]]
    >>> round(krippendorff_alpha(votes).value, 3), round(krippendorff_alpha(votes, "interval").value, 3)
    (0.675, 0.862)
    """
    if metric not in ("nominal", "ordinal", "interval", "ratio"):
        raise ValueError(f"metrics are nominal, ordinal, interval and ratio; got {metric}")
    values, counts = _label_counts(labels)
    counts, frequency = np.unique(counts[counts.sum(axis=1) >= 2], axis=0, return_counts=True)
    # Ordered pairs within a unit, each unit weighing as much as it has labels.
    raters = counts.sum(axis=1)
    coincidences = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(len(values))
    coincidences = (coincidences / (raters - 1)[:, None, None]).reshape(len(counts), len(values) ** 2)
    name = f"Krippendorff's alpha, {metric}"
    return _coefficient(name, frequency, lambda drawn: _alphas(drawn @ coincidences, values, metric), rng)


def fleiss_kappa(
    labels: ArrayLike, chance: Literal["fleiss", "randolph"] = "fleiss", *, rng: np.random.Generator | None = None
) -> Coefficient:
    """Fleiss' kappa of labels, shape (raters, units), where every rater labelled every unit.

    Chance takes the labels at their rates among all labels; with ``"randolph"`` it takes them all alike, 1 / K for the
    K that occur (Randolph 2005). With ``rng``, a percentile interval over resampled units.

    >>> round(fleiss_kappa([[1, 1, 2, 2], [1, 2, 2, 2], [1, 1, 2, 1]]).value, 3)
    0.333
    """
    values, counts = _label_counts(labels)
    raters = np.asarray(labels).shape[0]
    if raters < 2 or (counts.sum(axis=1) != raters).any():
        raise ValueError("Fleiss' kappa is of two raters or more who labelled every unit: see krippendorff_alpha")
    kinds, frequency = np.unique(counts, axis=0, return_counts=True)
    name = "Fleiss' kappa" if chance == "fleiss" else "Randolph's kappa"
    agreed = (np.square(kinds).sum(axis=1) - raters) / (raters * (raters - 1)) if len(values) else np.zeros(0)
    even = 1 / max(len(values), 1)

    def kappas(drawn: FloatArray) -> FloatArray:
        total = drawn.sum(axis=1)
        rates = drawn @ kinds / (total * raters)[:, None]
        expected = np.square(rates).sum(axis=1) if chance == "fleiss" else np.full(len(drawn), even)
        return _beyond_chance(1 - drawn @ agreed / total, 1 - expected)

    return _coefficient(name, frequency if len(values) else np.zeros(0), kappas, rng)


def cohen_kappa(
    first: ArrayLike,
    second: ArrayLike,
    weights: Literal["none", "linear", "quadratic"] = "none",
    *,
    rng: np.random.Generator | None = None,
) -> Coefficient:
    """Cohen's kappa of two raters' labels of the same units, shapes (n,), each rater with rates of its own.

    ``"linear"`` and ``"quadratic"`` weigh a disagreement by the distance of the labels' ranks, to the power 1 or 2.

    >>> cohen_kappa([1, 1, 2, 2, 2], [1, 2, 2, 2, 2]).value
    0.5454545454545454
    """
    table = _pair_table(first, second)
    name = "Cohen's kappa" + ("" if weights == "none" else f", {weights}")
    ranks = np.arange(len(table))
    distance = np.abs(ranks[:, None] - ranks)
    penalty = {"none": (distance > 0) * 1.0, "linear": distance * 1.0, "quadratic": distance**2.0}[weights]
    return _coefficient(name, table.ravel(), lambda drawn: _kappas(drawn.reshape(-1, *table.shape), penalty), rng)


def gwet_ac1(first: ArrayLike, second: ArrayLike, *, rng: np.random.Generator | None = None) -> Coefficient:
    """Gwet's AC1 of two raters' labels, shapes (n,): like kappa, for labels one of which is far more frequent.

    Chance agrees with probability sum of p (1 - p) / (K - 1) over the K labels, p their mean rates (Gwet 2008).

    >>> round(gwet_ac1([1, 1, 1, 1, 2], [1, 1, 1, 1, 1]).value, 3)  # kappa is 0
    0.756
    """
    table = _pair_table(first, second)
    return _coefficient("Gwet's AC1", table.ravel(), lambda drawn: _ac1s(drawn.reshape(-1, *table.shape)), rng)


def _label_counts(labels: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """The different labels, ascending, and how often each unit got each; shapes (k,) and (units, k)."""
    table = np.asarray(labels, dtype=float)
    if table.ndim != 2 or np.isinf(table).any():
        raise ValueError(f"labels are finite numbers, or NaN for none, one row per rater; got shape {table.shape}")
    given = ~np.isnan(table)
    values, code = _coded(table[given])
    counts = np.zeros((table.shape[1], len(values)))
    np.add.at(counts, (np.nonzero(given)[1], code), 1)
    return values, counts


def _alphas(coincidences: FloatArray, values: FloatArray, metric: Metric) -> FloatArray:
    """Alpha of each row, a coincidence table laid flat; NaN where only one label occurs."""
    k = len(values)
    tables = coincidences.reshape(-1, k, k)
    margins = tables.sum(axis=2)
    total = margins.sum(axis=1)
    if metric == "ordinal":
        # Labels between the two, and half of the two themselves; margins differ from row to row.
        below = np.cumsum(margins, axis=1) - margins / 2
        distance = np.square(below[:, :, None] - below[:, None, :])
    elif metric == "nominal":
        distance = (1 - np.eye(k))[None]
    else:
        gap, size = values[:, None] - values, values[:, None] + values
        if metric == "ratio":
            if (values < 0).any():
                raise ValueError("the ratio metric is for labels that are not negative")
            gap = gap / np.where(size > 0, size, 1)
        distance = np.square(gap)[None]
    observed = (tables * distance).sum(axis=(1, 2))
    expected = (margins[:, :, None] * margins[:, None, :] * distance).sum(axis=(1, 2)) / np.maximum(total - 1, 1)
    return _beyond_chance(observed, expected)


def _beyond_chance(observed: FloatArray, expected: FloatArray) -> FloatArray:
    """1 - observed / expected disagreement; NaN where none is expected."""
    return np.where(expected > 0, 1 - observed / np.where(expected > 0, expected, 1), np.nan)


def _pair_table(first: ArrayLike, second: ArrayLike) -> FloatArray:
    """How many units got each pair of labels, in ascending order; shape (k, k)."""
    one, two = columns(first, second)
    values, code = _coded(np.concatenate([one, two]))
    table = np.zeros((len(values), len(values)))
    np.add.at(table, (code[: len(one)], code[len(one) :]), 1)
    return table


def _coded(labels: FloatArray) -> tuple[FloatArray, IntArray]:
    """The different labels, ascending, and the place of each label among them."""
    values, code = np.unique(labels, return_inverse=True)
    if len(values) > 100:
        raise ValueError(f"there are {len(values)} different labels: round them to at most 100")
    return values, code


def _coefficient(
    name: str,
    frequency: NDArray[Any],
    statistic: Callable[[FloatArray], FloatArray],
    rng: np.random.Generator | None,
) -> Coefficient:
    """A coefficient of units, of each kind as many as ``frequency`` says, shape (kinds,).

    ``statistic`` computes it for tables of frequencies, shape (rounds, kinds), and gives NaN where there is none.
    """
    units = int(frequency.sum())
    if not units:
        return Coefficient(name, None, None, 0, "no unit has two labels")
    value = float(statistic(frequency[None].astype(float))[0])
    if np.isnan(value):
        return Coefficient(name, None, None, units, "all labels are equal, so that chance would agree as well")
    if rng is None or units < 2:
        return Coefficient(name, value, None, units, None)
    # Units of one kind are interchangeable. At most 100 labels make 10,000 numbers of a round.
    sizes = batches(_ROUNDS, max(len(frequency), 10_000))
    drawn = [statistic(rng.multinomial(units, frequency / units, size=size).astype(float)) for size in sizes]
    replicates = np.concatenate(drawn)
    # A resample in which all labels are equal has no coefficient.
    replicates = replicates[~np.isnan(replicates)]
    if len(replicates) < 2 or np.ptp(replicates) < 1e-12:
        return Coefficient(name, value, None, units, "no unit differs from the others, and resamples cannot show one")
    return Coefficient(name, value, percentile_interval(replicates), units, None)


def _kappas(tables: FloatArray, penalty: FloatArray) -> FloatArray:
    """1 - mean penalty / that of independent raters, per table (k, k); NaN where that is 0."""
    total = tables.sum(axis=(1, 2))
    expected = (tables.sum(axis=2)[:, :, None] * tables.sum(axis=1)[:, None, :] * penalty).sum(axis=(1, 2)) / total
    return _beyond_chance((tables * penalty).sum(axis=(1, 2)), expected)


def _ac1s(tables: FloatArray) -> FloatArray:
    total = tables.sum(axis=(1, 2))
    rates = (tables.sum(axis=1) + tables.sum(axis=2)) / (2 * total[:, None])
    k = tables.shape[1]
    if k < 2:
        return np.full(len(tables), np.nan)
    expected = (rates * (1 - rates)).sum(axis=1) / (k - 1)
    seen = np.trace(tables, axis1=1, axis2=2) / total
    coefficients: FloatArray = (seen - expected) / (1 - expected)
    return coefficients
