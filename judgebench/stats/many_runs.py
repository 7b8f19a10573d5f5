"""Simultaneous comparisons of all pairs of runs, and the ranks that these leave open.
Two runs alone are compared in ``paired``.

Among twenty runs that are equally good, the best looks significantly better than the worst. The comparisons here hold
together: with the chance ``level`` all intervals of a family cover at once. As in Tukey's procedure the critical value
is that of the largest |t| of the family, but its distribution comes from the runs' own dependence: the clusters'
influences are given random signs, the same for all runs (a wild cluster bootstrap), which keeps the correlation of the
comparisons and needs no normality. It is between Tukey's (independent groups) and no adjustment (equal runs), and never
as strict as Holm's.

References
----------
Cameron, Gelbach, Miller: Bootstrap-based improvements for inference with clustered errors. Review of Economics and
Statistics 90, 2008.
Chernozhukov, Chetverikov, Kato: Gaussian approximations and multiplier bootstrap for maxima of sums of high-dimensional
random vectors. Annals of Statistics 41, 2013.
Hothorn, Bretz, Westfall: Simultaneous inference in general parametric models. Biometrical Journal 50, 2008.
Mogstad, Romano, Shaikh, Wilhelm: Inference for ranks. Review of Economic Studies 91, 2024.
Hayter: A proof of the conjecture that the Tukey-Kramer multiple comparisons procedure is conservative. Annals of
Statistics 12, 1984.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgebench.stats.arrays import FloatArray
from judgebench.stats.clustered import ClusterTotals, difference, missing_reason
from judgebench.stats.intervals import Interval, batches, check_level
from judgebench.stats.paired import random_signs

TOO_FEW_CLUSTERS = "so few clusters differ that changing their signs often leaves a difference without spread"


@dataclass(frozen=True)
class Contrast:
    """Run ``first`` - run ``second``, positions in the sequence of runs."""

    first: int
    second: int
    difference: float | None
    stderr: float | None
    interval: Interval | None
    """All of a family cover together."""
    p_value: float | None
    """Adjusted for the family."""
    reason: str | None
    """Why interval and p-value are missing."""


@dataclass(frozen=True)
class RankInterval:
    """The ranks that a run may have, 1 the best, all runs' together with the chance of the level."""

    low: int
    high: int


def compare_all_pairs(
    runs: Sequence[ClusterTotals], *, rng: np.random.Generator, rounds: int = 10_000, level: float = 0.95
) -> tuple[Contrast, ...]:
    """Every two runs: 0 - 1, 0 - 2, ..., 1 - 2, ...

    Examples
    --------
    >>> from judgebench.stats.clustered import cluster_totals
    >>> rng = np.random.default_rng(0)
    >>> runs = [cluster_totals(rng.normal(mean, 1, 200)) for mean in (0, 0, 0.5)]
    >>> [contrast.p_value < 0.05 for contrast in compare_all_pairs(runs, rng=rng)]
    [False, True, True]
    """
    check_level(level)
    pairs = list(combinations(range(len(runs)), 2))
    statistics = [difference(runs[first], runs[second]) for first, second in pairs]
    usable = [statistic for statistic in statistics if missing_reason(statistic) is None]
    largest = _largest_t(usable, rng, rounds) if usable else np.zeros(rounds)
    # The order statistic, not an interpolation: the data count as one more resample, as in the p-values.
    place = min(int(np.ceil(level * (rounds + 1))), rounds) - 1
    critical = float(np.partition(largest, place)[place])
    contrasts = []
    for pair, statistic in zip(pairs, statistics, strict=True):
        interval = p_value = None
        value, stderr, reason = statistic.value, statistic.stderr, missing_reason(statistic)
        if value is not None and stderr:
            p_value = float((1 + (largest >= abs(value) / stderr).sum()) / (1 + rounds))
            if np.isfinite(critical):
                interval = Interval.around(value, critical * stderr, level, "simultaneous max-t")
            else:
                reason = TOO_FEW_CLUSTERS
        contrasts.append(Contrast(*pair, value, stderr, interval, p_value, reason))
    return tuple(contrasts)


def compare_by_covariance(
    values: ArrayLike,
    covariance: ArrayLike,
    *,
    rng: np.random.Generator,
    rounds: int = 10_000,
    level: float = 0.95,
    degrees: int | None = None,
) -> tuple[Contrast, ...]:
    """Every two of jointly normal estimates with their covariance, shapes (n,) and (n, n), such as ratings of one fit.

    The critical value is that of the largest |t| of the family under the estimates' joint normal law (Hothorn, Bretz,
    Westfall 2008), times the ratio of Student's quantile with ``degrees`` of freedom to the normal one, if given.

    >>> contrasts = compare_by_covariance([0, 0.1, 1], np.eye(3) / 50, rng=np.random.default_rng(0))
    >>> [contrast.p_value < 0.05 for contrast in contrasts]
    [False, True, True]
    """
    check_level(level)
    found, table = np.asarray(values, dtype=float), np.asarray(covariance, dtype=float)
    n, spread = len(found), np.diag(table)
    scale = np.sqrt(np.maximum(spread[:, None] + spread - 2 * table, 0))
    scale[scale < 1e-9 * np.sqrt(spread.max(initial=0) or 1)] = np.inf
    roots, vectors = np.linalg.eigh(table)
    half = vectors * np.sqrt(np.maximum(roots, 0))
    parts = []
    for size in batches(rounds, n * n):
        drawn = rng.normal(size=(size, n)) @ half.T
        gaps = np.abs(drawn[:, :, None] - drawn[:, None]) / scale
        parts.append(gaps.reshape(size, -1).max(axis=1, initial=0))
    largest = np.concatenate(parts)
    if degrees is not None:
        from scipy.special import ndtri, stdtrit

        largest *= float(stdtrit(degrees, (1 + level) / 2) / ndtri((1 + level) / 2))
    critical = float(np.quantile(largest, level))
    contrasts = []
    for first, second in combinations(range(n), 2):
        difference, stderr = float(found[first] - found[second]), float(scale[first, second])
        if not np.isfinite(stderr):
            contrasts.append(Contrast(first, second, difference, 0.0, None, None, "the difference has no spread"))
            continue
        p_value = float((1 + (largest >= abs(difference) / stderr).sum()) / (1 + rounds))
        interval = Interval.around(difference, critical * stderr, level, "simultaneous max-t")
        contrasts.append(Contrast(first, second, difference, stderr, interval, p_value, None))
    return tuple(contrasts)


def rank_intervals(contrasts: Sequence[Contrast], n_runs: int) -> tuple[RankInterval, ...]:
    """Ranks that the intervals of all pairs leave open, larger values being better.

    A run's best rank is 1 + the runs certainly better, its worst n - the runs certainly worse. A pair without interval
    is undecided.

    Examples
    --------
    >>> from judgebench.stats.clustered import cluster_totals
    >>> rng = np.random.default_rng(0)
    >>> runs = [cluster_totals(rng.normal(mean, 1, 200)) for mean in (0, 0, 0.5)]
    >>> [(rank.low, rank.high) for rank in rank_intervals(compare_all_pairs(runs, rng=rng), 3)]
    [(2, 3), (2, 3), (1, 1)]
    """
    behind = np.zeros((n_runs, n_runs), dtype=bool)
    for contrast in contrasts:
        if contrast.interval is not None:
            behind[contrast.first, contrast.second] = contrast.interval.high < 0
            behind[contrast.second, contrast.first] = contrast.interval.low > 0
    return _ranks(behind)


def ranks_of_estimates(
    values: ArrayLike, stderrs: Sequence[float | None], *, level: float = 0.95, varying: int | None = None
) -> tuple[RankInterval, ...]:
    """The ranks that values with standard errors leave open, by Tukey-Kramer: for runs without example scores.

    Runs count as independent. Those that find the same prompts hard are not, and for them these ranks are wider than
    the ones of ``compare_all_pairs``, which pairs the prompts. A value without a standard error, or two with 0, are
    undecided. ``varying`` is the number of values to allow for, if some are exact; all by default.

    Examples
    --------
    >>> ranks = ranks_of_estimates([50.0, 51.0, 70.0], [1.5, 1.5, 1.5])
    >>> [(rank.low, rank.high) for rank in ranks]
    [(2, 3), (2, 3), (1, 1)]
    """
    value = np.asarray(values, dtype=float)
    variance = np.square(np.array([np.nan if stderr is None else stderr for stderr in stderrs], dtype=float))
    if value.shape != variance.shape:
        raise ValueError(f"each of {len(value)} values needs a standard error or None; got {len(variance)}")
    check_level(level)
    if len(value) < 2:
        return tuple(RankInterval(1, 1) for _ in value)
    spread = np.sqrt(variance[:, None] + variance[None, :])
    needed = _critical_range(max(2, len(value) if varying is None else varying), level) / np.sqrt(2) * spread
    return _ranks((value[None, :] - value[:, None] > needed) & (spread > 0))


def _ranks(behind: NDArray[np.bool_]) -> tuple[RankInterval, ...]:
    """The ranks left open where run i is certainly behind run j if ``behind[i, j]``."""
    better, worse = behind.sum(axis=1).tolist(), behind.sum(axis=0).tolist()
    return tuple(RankInterval(1 + above, len(behind) - below) for above, below in zip(better, worse, strict=True))


@cache
def _critical_range(count: int, level: float) -> float:
    """What the range of ``count`` independent standard normal numbers exceeds with the chance 1 - ``level``.

    P(range <= q) = count * integral of density(z) (Phi(z) - Phi(z - q))^(count - 1) over the largest z.
    """
    from scipy.special import ndtr

    z, step = np.linspace(-9, 9, 3601, retstep=True)
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    low, high = 0.0, 20.0
    for _ in range(50):
        middle = (low + high) / 2
        held = count * float((density * (ndtr(z) - ndtr(z - middle)) ** (count - 1)).sum() * step)
        low, high = (middle, high) if held < level else (low, middle)
    return high


def _largest_t(statistics: Sequence[ClusterTotals], rng: np.random.Generator, rounds: int) -> FloatArray:
    """The largest |t| of the family in each round, shape (rounds,), were all differences 0."""
    influence = np.stack([statistic.influence() for statistic in statistics], axis=1)
    count = len(influence)
    squares = np.square(influence).sum(axis=0)
    largest = []
    for size in batches(rounds, max(count, influence.shape[1])):
        sums = random_signs(size, count, rng) @ influence
        # Signs move the mean, so the spread about it, which t is in units of, differs from round to round.
        spread = np.sqrt(np.maximum(count / (count - 1) * (squares - np.square(sums) / count), 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.abs(sums) / spread
        largest.append(np.where(spread > 0, ratio, np.inf).max(axis=1))
    return np.concatenate(largest)
