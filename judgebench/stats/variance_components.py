"""How much of the variance of scores comes from items, judges, orders and repeats; and what more of each would buy.

A score is a sum of independent random effects, one per level of a factor (item, judge, order, model) or of a
combination of factors (item x judge), and a residual:

    y = mu + u_item + u_judge + u_item:judge + ... + e,     Var(y) = s2_item + s2_judge + ... + s2_residual

Each effect k sorts the N scores into groups g; with n_g scores and sum Y_g,

    T_k = sum_g Y_g^2 / n_g,    E[T_k] = N mu^2 + sum_l s2_l sum_g (sum_h n_gh^2) / n_g                        (1)

where n_gh scores are in group g of k and in group h of l. These are linear equations in the components, one per effect
and one for the residual (whose groups are the single scores): Henderson's method I. For balanced data they are the
analysis of variance. For unbalanced data, such as repeats of some items only, they are unbiased all the same. Time and
memory are proportional to N.

The estimates may be negative, and are where a component is near 0. They are given as they are; shares and errors take
them as 0.

References
----------
Henderson: Estimation of variance and covariance components. Biometrics 9, 1953.
Searle, Casella, McCulloch: Variance components. Wiley 1992, chapter 5.
Miller: Adding error bars to evals. arXiv:2411.00640 (items against samples).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from judgebench.stats.arrays import FloatArray, IntArray
from judgebench.stats.intervals import Interval, check_level

RESIDUAL = "residual"

# Blocks of levels that the jackknife leaves out in turn, and the levels below which it says little.
_BLOCKS = 40
_LEAST_LEVELS = 10


@dataclass(frozen=True)
class Component:
    """The variance of one effect, in squared units of the scores."""

    effect: tuple[str, ...]
    """The factors, or ``("residual",)``."""
    variance: float
    """Unbiased, so that it may be negative."""
    share: float | None
    """Of the sum of all components, negative ones taken as 0; ``None`` if all are 0."""
    interval: Interval | None
    """By leaving out blocks of levels of the first factor, so ``None`` with fewer than 10 of them, and for effects that
    do not hold that factor."""
    levels: int
    """Groups that the scores were sorted into."""


@dataclass(frozen=True)
class VarianceComponents:
    """The components of one model, in the order of its effects, the residual last."""

    mean: float | None
    components: tuple[Component, ...]
    """Empty if they cannot be estimated; ``reason`` says why."""
    n: int
    reason: str | None

    def variance(self, *effect: str) -> float:
        """The component of the effect of these factors, in any order, 0 if the estimate is negative."""
        for component in self.components:
            if set(component.effect) == set(effect):
                return max(component.variance, 0.0)
        raise KeyError(f"there is no effect {' x '.join(effect)} among {[c.effect for c in self.components]}")


def variance_components(
    values: ArrayLike,
    factors: Mapping[str, ArrayLike],
    effects: Sequence[Sequence[str]],
    *,
    level: float | None = 0.95,
) -> VarianceComponents:
    """Components of ``values``, shape (n,), for ``effects`` of ``factors``.

    Parameters
    ----------
    values
        Scores, finite.
    factors
        Name to level of each score, shapes (n,). Levels of a nested factor may be numbered afresh in each level above
        it if its effects name both: ("item", "repeat").
    effects
        The factors of each random effect, such as ``[("item",), ("judge",), ("item", "judge")]``. The residual is what
        is left: the repeats, if the effects say all but those.
    level
        Of the intervals; ``None`` makes none. They are normal ones, from a jackknife over at most 40 blocks of levels
        of the first effect's first factor, on the scale of the component's logarithm.

    Raises
    ------
    ValueError
        If an effect cannot be separated from the others in these data, such as item x judge from the residual without
        repeats.

    Examples
    --------
    Forty items, three judges, two repeats:

    >>> rng = np.random.default_rng(0)
    >>> item, judge, repeat = (part.ravel() for part in np.indices((40, 3, 2)))
    >>> scores = 2.0 * rng.normal(size=40)[item] + rng.normal(size=(40, 3))[item, judge] + 0.5 * rng.normal(size=240)
    >>> found = variance_components(scores, {"item": item, "judge": judge}, [("item",), ("judge",), ("item", "judge")])
    >>> [(" x ".join(part.effect), round(part.variance, 1)) for part in found.components]
    [('item', 2.2), ('judge', 0.1), ('item x judge', 0.8), ('residual', 0.3)]

    What the mean of such a run is uncertain by, over 500 items with one judge, and with three:

    >>> sizes = {"item": 500, "judge": 1}
    >>> round(mean_stderr(found, sizes), 3), round(mean_stderr(found, {"item": 500, "judge": 3}), 3)
    (0.39, 0.232)
    """
    scores = np.asarray(values, dtype=float)
    if scores.ndim != 1 or not np.isfinite(scores).all():
        raise ValueError(f"there is one finite score per row; got shape {scores.shape} or missing scores")
    names = _checked_effects(effects, factors, len(scores))
    if level is not None:
        check_level(level)
    if len(scores) < 2:
        mean = float(scores.mean()) if len(scores) else None
        return VarianceComponents(mean, (), len(scores), "components need at least two scores")
    codes = {name: _codes(factors[name]) for name in {factor for effect in names for factor in effect}}
    groups = [_groups([codes[name] for name in effect]) for effect in names]
    groups.append(np.arange(len(scores)))
    labels = (*names, (RESIDUAL,))
    # Sums of squares about the mean, and in units of the spread, lose nothing to rounding.
    spread = float(np.ptp(scores)) or 1.0
    centred = (scores - scores.mean()) / spread
    estimates = _solve(centred, groups, labels)
    intervals: list[Interval | None] = [None] * len(labels)
    if level is not None:
        intervals = _intervals(centred, groups, labels, codes[names[0][0]], names[0][0], estimates, level)
    total = float(np.maximum(estimates, 0).sum())
    components = [
        Component(
            label,
            float(estimate) * spread**2,
            max(float(estimate), 0.0) / total if total > 0 else None,
            interval and replace(interval, low=interval.low * spread**2, high=interval.high * spread**2),
            int(group.max()) + 1,
        )
        for label, estimate, interval, group in zip(labels, estimates, intervals, groups, strict=True)
    ]
    return VarianceComponents(float(scores.mean()), tuple(components), len(scores), None)


def mean_stderr(found: VarianceComponents, sizes: Mapping[str, int], fixed: Sequence[str] = ()) -> float:
    """Standard error of the mean over a crossed design with ``sizes`` levels of each factor.

    Each component is divided by the number of its groups: the product of the sizes of its factors, for the residual of
    all sizes (with ``"repeat"`` among them for several scores per cell). Factors in ``fixed`` are the same when the run
    is made again: an effect of these alone is no error. With ``fixed=("item",)`` the result is the standard deviation
    of re-runs on the same items, without it that over other items too.

    With 100 items of variance 4 and 2 repeats of variance 1 each: sqrt(4 / 100 + 1 / 200), and sqrt(1 / 200).

    >>> parts = (Component(("item",), 4.0, 0.8, None, 50), Component(("residual",), 1.0, 0.2, None, 150))
    >>> found = VarianceComponents(0.0, parts, 150, None)
    >>> round(mean_stderr(found, {"item": 100, "repeat": 2}), 4)
    0.2121
    >>> round(mean_stderr(found, {"item": 100, "repeat": 2}, fixed=["item"]), 4)
    0.0707
    """
    if not found.components:
        raise ValueError(f"there are no components: {found.reason}")
    named = {factor for component in found.components for factor in component.effect} - {RESIDUAL}
    if not named <= set(sizes) or any(size < 1 for size in sizes.values()):
        raise ValueError(f"a size of at least 1 is wanted for each of {sorted(named)}; got {dict(sizes)}")
    held = set(fixed)
    error = 0.0
    for component in found.components:
        factors = tuple(sizes) if component.effect == (RESIDUAL,) else component.effect
        if component.effect == (RESIDUAL,) or not set(factors) <= held:
            error += max(component.variance, 0.0) / prod(sizes[factor] for factor in factors)
    return float(error**0.5)


def _solve(centred: FloatArray, groups: Sequence[IntArray], labels: Sequence[tuple[str, ...]]) -> FloatArray:
    """The components from (1), less the equation of the mean."""
    n = len(centred)
    whole = np.zeros(n, dtype=np.int64)
    wanted = np.array([_between(centred, group) for group in groups]) - centred.sum() ** 2 / n
    matrix = np.array([[_overlap(group, other) for other in groups] for group in groups])
    matrix -= np.array([_overlap(whole, other) for other in groups])
    # Rows in units of their own size; a matrix that rounding alone keeps regular is singular.
    scale = np.abs(matrix).max(axis=1, keepdims=True)
    if not scale.all() or np.linalg.matrix_rank(matrix / np.where(scale > 0, scale, 1), tol=1e-9) < len(labels):
        effects = ", ".join(" x ".join(label) for label in labels)
        raise ValueError(
            f"these scores cannot tell the effects {effects} apart: an effect has one level, two sort the scores "
            "alike, or each score is a group of its own (no repeats). Leave out the smallest effect."
        )
    solution: FloatArray = np.linalg.solve(matrix / scale, wanted / scale[:, 0])
    return solution


def _between(values: FloatArray, group: IntArray) -> float:
    """T_k of (1)."""
    return float((np.square(np.bincount(group, weights=values)) / np.bincount(group)).sum())


def _overlap(group: IntArray, other: IntArray) -> float:
    """sum_g (sum_h n_gh^2) / n_g of (1)."""
    cells, shared = np.unique(group * (int(other.max()) + 1) + other, return_counts=True)
    counts = np.bincount(group)
    return float((np.square(shared.astype(float)) / counts[cells // (int(other.max()) + 1)]).sum())


def _intervals(
    centred: FloatArray,
    groups: Sequence[IntArray],
    labels: Sequence[tuple[str, ...]],
    first: IntArray,
    leading: str,
    estimates: FloatArray,
    level: float,
) -> list[Interval | None]:
    """Delete-a-block jackknife of log components: blocks of levels of the ``leading`` factor are left out in turn."""
    levels = int(first.max()) + 1
    if levels < _LEAST_LEVELS:
        return [None] * len(labels)
    blocks = min(_BLOCKS, levels)
    left = []
    for block in range(blocks):
        kept = first % blocks != block
        renumbered = [np.unique(group[kept], return_inverse=True)[1] for group in groups]
        try:
            left.append(_solve(centred[kept], renumbered, labels))
        except ValueError:
            # Without these levels the effects can no longer be separated: no interval.
            return [None] * len(labels)
    found: list[Interval | None] = []
    z = NormalDist().inv_cdf((1 + level) / 2)
    for label, estimate, values in zip(labels, estimates, np.array(left).T, strict=True):
        if label != (RESIDUAL,) and leading not in label:
            found.append(None)
            continue
        # Where there is no logarithm, on the plain scale and not below 0.
        logarithmic = estimate > 0 and values.min() > 0
        scaled = np.log(values) if logarithmic else values
        half = z * ((blocks - 1) / blocks * np.square(scaled - scaled.mean()).sum()) ** 0.5
        low, high = (estimate * np.exp(gap) if logarithmic else max(estimate + gap, 0.0) for gap in (-half, half))
        found.append(Interval(float(low), float(high), level, "jackknife"))
    return found


def _checked_effects(
    effects: Sequence[Sequence[str]], factors: Mapping[str, ArrayLike], n: int
) -> tuple[tuple[str, ...], ...]:
    names = tuple(tuple(effect) for effect in effects)
    if not names or not all(names):
        raise ValueError("a model needs at least one effect, and an effect at least one factor")
    for effect in names:
        for factor in effect:
            if factor not in factors or factor == RESIDUAL:
                raise ValueError(f"there is no factor {factor} among {sorted(factors)}")
            if np.asarray(factors[factor]).shape != (n,):
                raise ValueError(f"factor {factor} holds one level per score: {n} are wanted")
    if len({frozenset(effect) for effect in names}) < len(names):
        raise ValueError(f"an effect is named twice among {names}")
    return names


def _codes(levels: ArrayLike) -> IntArray:
    """Levels as numbers from 0, by first appearance."""
    _, first, code = np.unique(np.asarray(levels), return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[code].astype(np.int64)


def _groups(codes: Sequence[IntArray]) -> IntArray:
    """The combination of levels of several factors as one number, from 0."""
    combined = codes[0]
    for code in codes[1:]:
        combined = np.unique(combined * (int(code.max()) + 1) + code, return_inverse=True)[1]
    return combined.astype(np.int64)
