"""Style-controlled Bradley–Terry ratings: what the ratings would be if both answers were in the same style.

The logit of a battle has a term for how the two answers differ in style beside the strengths of the two items,

    P(a beats b) = sigmoid(theta_a - theta_b + beta . z)                                                      (1)

with z the standardised style differences of the battle (length, headers, lists, bold). Strengths and coefficients
minimise, with w the weights of the battles and a tie being half a win and half a loss,

    sum_i w_i * logloss(outcome_i, P_i) + penalty                                                             (2)

The benchmarks agree on (1) and on little else: how a difference is made relative, how it is standardised, what is
penalised and how strongly. ``StyleOptions`` holds those switches, and ``PRESETS`` the settings of four published
tables; coefficients of different settings are not comparable. All are fitted here to the minimum of (2), by Newton's
method. Upstream's solvers stop earlier: Arena-Hard's current one 0.1 to 0.3 points of win rate away.

References
----------
Li, Angelopoulos, Chiang: Does style matter? Disentangling style and substance in Chatbot Arena. LMSYS blog, 2024.
lm-sys/FastChat@0e6d3e4:fastchat/serve/monitor/rating_systems.py; lmarena/arena-rank@3900eae;
lmarena/arena-hard-auto@196f6b8 (current) and the parent of 9a1d386 (legacy).
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgebench.stats.arrays import FloatArray, IntArray, at_places
from judgebench.stats.bradley_terry import (
    Anchor,
    BootstrapRatings,
    Ratings,
    Spread,
    checked_battles,
    comparable_items,
    place_ratings,
    strongly_connected,
)
from judgebench.stats.intervals import batches, resample_counts
from judgebench.stats.newton import newton, sigmoid

Formula = Literal["ratio", "ratio+1", "density"]

# On the diagonal of the curvature per battle, to invert it.
_RIDGE = 1e-5
# Odds that no fit to fewer than 10^13 battles has: there, a parameter is on its way to infinity.
_LARGEST_LOGIT = 30.0
# Battles times resamples handled together, which bounds memory at some 100 bytes each.
_TOGETHER = 1_000_000


@dataclass(frozen=True)
class StyleOptions:
    """The choices that published style controls differ in."""

    formula: Formula = "ratio+1"
    """How ``style_differences`` makes a difference relative."""
    std_ddof: int = 0
    """Differences are divided by their population (0) or sample (1) standard deviation over battles."""
    l2: float = 0.0
    """Adds l2 / 2 * sum of squared parameters to (2)."""
    l2_on: Literal["sum", "mean"] = "sum"
    """Whether the penalty is added to (2) as it is, or to its mean over battles: then it grows with their number."""
    penalise_ratings: bool = False
    """Whether ratings are penalised like coefficients, in units of 400 points. If not, items that only won or only lost
    have no finite rating, see ``bradley_terry``."""
    pair_floor: int | None = None
    """If given, battles weigh 1 / max(battles of the pair, pair_floor), normalised to a mean of 1."""


ARENA_2024 = StyleOptions("ratio+1", std_ddof=0, l2=0.5, l2_on="sum", penalise_ratings=True)
ARENA_RANK = StyleOptions("ratio", std_ddof=0, l2=1.0, l2_on="mean", pair_floor=50)
ARENA_HARD_CURRENT = StyleOptions("density", std_ddof=1)
ARENA_HARD_LEGACY = ARENA_2024

PRESETS: dict[str, StyleOptions] = {
    "arena2024": ARENA_2024,
    "arena-rank": ARENA_RANK,
    "arena-hard-current": ARENA_HARD_CURRENT,
    "arena-hard-legacy": ARENA_HARD_LEGACY,
}
"""Chatbot Arena 2024 (FastChat); arena-rank (its second standardisation, with the population's deviation, undoes its
first); Arena-Hard v2.0; Arena-Hard v0.1. The last equals the first: its scikit-learn fit with C = 1 on a table that
holds every battle twice is a penalty of 0.5 on a table that holds it once, with the same means and deviations."""


@dataclass(frozen=True, eq=False)
class StyleControlled(Ratings):
    """Style-controlled ratings, the coefficients of style, and the fit behind them."""

    coefficients: tuple[float | None, ...]
    """beta, per standard deviation of the difference; positive where more of it wins. ``None`` if the feature is the
    same in all battles."""
    options: StyleOptions
    rows: "_BattleRows" = field(repr=False)

    @property
    def parameters(self) -> FloatArray:
        """The strengths, then the coefficients that there are."""
        return np.concatenate([self.strengths, [value for value in self.coefficients if value is not None]])

    @property
    def probability(self) -> FloatArray:
        """P(a beats b) in each battle of ``rows``."""
        return np.asarray(sigmoid(self.rows.logit(self.parameters[None]))[0])


@dataclass(frozen=True, eq=False)
class BootstrapStyle:
    """Style-controlled ratings and coefficients of resampled battles."""

    ratings: BootstrapRatings
    coefficients: FloatArray
    """Shape (rounds with a minimum, features); 0 for a feature without coefficient."""


def style_differences(style_a: ArrayLike, style_b: ArrayLike, formula: Formula) -> FloatArray:
    """Relative style differences a - b per battle, shape (n_battles, features), each between -1 and 1.

    ``style_a`` and ``style_b``, shape (n_battles, features), are counts. Formulas:

    * ``"ratio"``: (a - b) / (a + b), and 0 if both are 0;
    * ``"ratio+1"``: (a - b) / (a + b + 1);
    * ``"density"``: the first feature is the length, as in ``"ratio"``; of each other one the densities
      d = count / (length + 1) are compared, (d_a - d_b) / (d_a + d_b + 1).

    >>> style_differences([[300, 4]], [[100, 0]], "ratio+1").round(3)
    array([[0.499, 0.8  ]])
    """
    a, b = np.asarray(style_a, dtype=float), np.asarray(style_b, dtype=float)
    if a.ndim != 2 or a.shape != b.shape:
        raise ValueError(f"style counts are two tables of equal shape (battles, features), got {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()) or min(a.min(initial=0), b.min(initial=0)) < 0:
        raise ValueError("style counts are finite and not negative")
    if formula == "ratio+1":
        return np.asarray((a - b) / (a + b + 1))
    total = a + b
    ratio: FloatArray = (a - b) / np.where(total > 0, total, 1)
    if formula == "density" and a.shape[1]:
        density_a, density_b = a[:, 1:] / (a[:, :1] + 1), b[:, 1:] / (b[:, :1] + 1)
        ratio[:, 1:] = (density_a - density_b) / (density_a + density_b + 1)
    return ratio


def style_controlled(
    index_a: ArrayLike,
    index_b: ArrayLike,
    outcome: ArrayLike,
    differences: ArrayLike,
    options: StyleOptions = ARENA_2024,
    *,
    n_items: int | None = None,
    anchor: Anchor | None = None,
) -> StyleControlled:
    """Fit (2) to its minimum: parameters within about 1e-10, and no random numbers.

    Parameters
    ----------
    index_a, index_b, outcome : (n_battles,)
        As for ``bradley_terry.count_battles``: two items, and 1, 0.5 or 0 for a.
    differences : (n_battles, features)
        From ``style_differences``, or some of its columns to control only for these. They are standardised here, over
        all battles.
    options
        One of ``PRESETS``, or others.
    n_items, anchor : optional
        As for ``bradley_terry``.

    Notes
    -----
    z is 0 where a battle has the mean difference, not where both answers are in the same style. If sides are random
    that is the same thing. If item a is always the baseline, as in Arena-Hard, ratings are those at the mean
    difference of all models from the baseline: so it is upstream, and so it is here.

    Examples
    --------
    Whoever is longer wins three times of four. Item 0 is longer in 60 of 80 battles, and no better otherwise:

    >>> a, b = [0] * 40 + [1] * 20 + [0] * 20, [1] * 40 + [0] * 20 + [1] * 20
    >>> longer, won = [[1.0]] * 40 + [[-1.0]] * 40, [1, 1, 1, 0] * 10 + [0, 0, 0, 1] * 10
    >>> fit = style_controlled(a, b, won, longer, ARENA_HARD_CURRENT)
    >>> [round(rating) for rating in fit.ratings], round(fit.coefficients[0], 2)
    ([1000, 1000], 1.11)
    """
    a, b, doubled, n = checked_battles(index_a, index_b, outcome, n_items)
    if not (options.l2 >= 0 and np.isfinite(options.l2)):
        raise ValueError(f"an L2 penalty is finite and not negative; got {options.l2}")
    features, varies = _standardised(differences, len(a), options.std_ddof)
    points = np.bincount(a * n + b, weights=doubled, minlength=n * n).reshape(n, n)
    points += np.bincount(b * n + a, weights=2 - doubled, minlength=n * n).reshape(n, n)
    rated, unrated = comparable_items(points.astype(float), anchor)
    if options.penalise_ratings and options.l2:
        rated, unrated = np.arange(n), {}
    rows = _BattleRows(a, b, doubled / 2, features[:, varies], rated, options)
    parameters = np.zeros(len(rated) + int(varies.sum()))
    if len(rated) > 1:
        fits, found = _fits(rows, rows.weight[None], parameters, np.array([float(rows.n_battles)]))
        if not found.all():
            raise ValueError("the fit has no finite minimum: the style features predict too many of the outcomes")
        parameters = fits[0]
    strengths = parameters[: len(rated)] - parameters[: len(rated)].sum() / max(len(rated), 1)
    fitted = np.flatnonzero(varies) if len(rated) > 1 else np.zeros(0, dtype=np.int64)
    coefficients = at_places(parameters[len(rated) :][: len(fitted)].tolist(), fitted, len(varies))
    return StyleControlled(rated, strengths, unrated, anchor, coefficients, options, rows)


def sandwich_style_spreads(fit: StyleControlled, *, level: float = 0.95) -> tuple[Spread | None, ...]:
    """Normal intervals of the ratings from the sandwich covariance of all parameters, as arena-rank makes it.

    With x the design row of a battle, N battles and l the penalty on the mean: H = sum w P(1 - P) x x' / N + 1e-5 * I,
    without the penalty; B = sum (w (outcome - P))^2 x x' / N, less l^2 beta beta' / N^2 among the coefficients; the
    covariance is inv(H) B inv(H) / N. With an anchor it is that of the differences to the anchor.

    The ridge, there to invert H, makes variances smaller: those of seldom compared items by some percent.

    Examples
    --------
    >>> a, b, won = [0] * 100, [1] * 100, [1, 0] * 50
    >>> fit = style_controlled(a, b, won, [[1.0], [1.0], [-1.0], [-1.0]] * 25, ARENA_HARD_CURRENT)
    >>> round(sandwich_style_spreads(fit)[0].variance ** 0.5, 2)  # half of 0.2 * 173.7: about the mean of both
    17.37
    """
    options, rows, n = fit.options, fit.rows, len(fit.rated)
    if options.penalise_ratings and options.l2:
        raise ValueError("the sandwich covariance is that of unpenalised ratings: bootstrap penalised ones")
    if n < 2:
        return (None,) * fit.n_items
    beta, probability = fit.parameters[n:], fit.probability
    size = float(rows.n_battles)
    information = rows.squares((rows.weight * probability * (1 - probability))[None])[0] / size
    information += _RIDGE * np.eye(len(information))
    residual = rows.squares(np.square(rows.weight * (rows.outcome - probability))[None])[0] / size
    l2 = options.l2 if options.l2_on == "mean" else options.l2 / size
    residual[n:, n:] -= (l2 / size) ** 2 * np.outer(beta, beta)
    inverse = np.linalg.inv(information)
    covariance = (inverse @ residual @ inverse / size)[:n, :n]
    return fit.normal_spreads(covariance, level)


def clustered_influence(fit: StyleControlled, clusters: ArrayLike) -> FloatArray:
    """Each cluster's part in the deviation of the parameters, shape (n_clusters, rated items + coefficients there are).

    ``clusters``, shape (n_battles,), are codes 0, 1, ... of what varies independently, such as the question of a
    battle, for all battles given to ``style_controlled``. Columns are in the order of ``rated``, then of
    ``coefficients`` without ``None``. With x the design row of a battle and H the curvature of (2),

        l_c = inv(H) sum_(i in c) w_i (outcome_i - P_i) x_i                                                   (3)

    The sum of l l' over clusters is the sandwich covariance. Standardised differences are taken as given.

    Examples
    --------
    >>> fit = style_controlled([0] * 4, [1] * 4, [1, 0, 1, 0.5], [[1.0], [1.0], [-1.0], [-1.0]], ARENA_2024)
    >>> clustered_influence(fit, [0, 0, 1, 1]).shape
    (2, 3)
    """
    rows, n, codes = fit.rows, len(fit.rated), np.asarray(clusters)
    if codes.shape != (rows.n_drawn,) or codes.dtype.kind not in "iu" or codes.min(initial=0) < 0:
        raise ValueError(f"clusters are codes 0, 1, ..., one for each of {rows.n_drawn} battles; got {codes.shape}")
    count, n_pairs = int(codes.max(initial=-1)) + 1, len(rows.first)
    if n < 2:
        return np.zeros((count, n))
    probability = fit.probability
    residual, own = rows.weight * (rows.outcome - probability), codes[rows.drawn]
    by_pair = np.bincount(own * n_pairs + rows.pair, residual, minlength=count * n_pairs).reshape(count, n_pairs)
    sides = np.zeros((n_pairs, n))
    sides[np.arange(n_pairs), rows.first] = 1
    sides[np.arange(n_pairs), rows.second] = -1
    by_feature = [np.bincount(own, residual * feature, minlength=count) for feature in rows.features]
    sums = np.concatenate([by_pair @ sides, *(column[:, None] for column in by_feature)], axis=1)
    penalty = rows.penalty(np.array([float(rows.n_battles)]))
    hessian = _curvature(rows, (rows.weight * probability * (1 - probability))[None], penalty)[0]
    return np.asarray(np.linalg.solve(hessian, sums.T).T)


def clustered_style_spreads(
    fit: StyleControlled, clusters: ArrayLike, *, level: float = 0.95
) -> tuple[Spread | None, ...]:
    """Intervals of the ratings from the sandwich covariance over clusters, (3), times G / (G - 1) for G clusters, and
    with Student's t of G - 1 degrees of freedom: for games of which several are about one question.

    Without features and penalty they are those of plain Bradley-Terry ratings. With an anchor they are those of the
    differences to it. ``None`` where there are fewer than two clusters.

    >>> a, b, won = [0] * 100, [1] * 100, [1, 0] * 50
    >>> fit = style_controlled(a, b, won, np.zeros((100, 0)), StyleOptions(), anchor=Anchor(0, 1000))
    >>> alone, twice = (clustered_style_spreads(fit, np.arange(100) // size)[1] for size in (1, 2))
    >>> round(alone.variance ** 0.5, 1), twice.variance  # each pair of games is a win and a loss, as all are
    (34.9, 0.0)
    """
    covariance, degrees = clustered_covariance(fit, clusters)
    if degrees < 1 or len(fit.rated) < 2:
        return (None,) * fit.n_items
    return fit.normal_spreads(covariance, level, degrees=degrees, method="sandwich, clustered")


def clustered_covariance(fit: StyleControlled, clusters: ArrayLike) -> tuple[FloatArray, int]:
    """The covariance of the strengths, shape (rated items, rated items), by (3), times G / (G - 1) for G clusters; and
    G - 1. It is 0 where there are fewer than two. Memory does not grow with the number of clusters.
    """
    rows, n = fit.rows, len(fit.rated)
    _, own = np.unique(np.asarray(clusters)[rows.drawn], return_inverse=True)
    used = int(own.max(initial=-1)) + 1
    if used < 2 or n < 2:
        return np.zeros((n, n)), max(used - 1, 0)
    probability = fit.probability
    residual = rows.weight * (rows.outcome - probability)
    # A cluster of one row has its square, which sums over pairs give at once.
    several = np.bincount(own)[own] > 1
    middle = rows.squares(np.where(several, 0.0, np.square(residual))[None])[0]
    _, together = np.unique(own[several], return_inverse=True)
    own[several] = together
    order = np.flatnonzero(several)[np.argsort(together, kind="stable")]
    groups = int(together.max(initial=-1)) + 1
    begins = np.searchsorted(own[order], np.arange(groups + 1))
    at_once = max(1, _TOGETHER // len(middle))
    for begin in range(0, groups, at_once):
        end = min(begin + at_once, groups)
        part = order[begins[begin] : begins[end]]
        place, left = (own[part] - begin) * n, residual[part]
        size = (end - begin) * n
        sums = np.bincount(place + rows.first[rows.pair[part]], left, minlength=size)
        sums -= np.bincount(place + rows.second[rows.pair[part]], left, minlength=size)
        by_feature = [
            np.bincount(own[part] - begin, left * feature[part], minlength=end - begin) for feature in rows.features
        ]
        scores = np.concatenate([sums.reshape(-1, n), *(column[:, None] for column in by_feature)], axis=1)
        middle += scores.T @ scores
    penalty = rows.penalty(np.array([float(rows.n_battles)]))
    hessian = _curvature(rows, (rows.weight * probability * (1 - probability))[None], penalty)[0]
    half = np.linalg.solve(hessian, middle)
    return np.asarray(used / (used - 1) * np.linalg.solve(hessian, half.T)[:n, :n]), used - 1


def bootstrap_style_controlled(fit: StyleControlled, *, rng: np.random.Generator, rounds: int = 100) -> BootstrapStyle:
    """Ratings and coefficients of battles drawn with replacement, each resample fitted to its minimum.

    Standardised differences and weights stay what they are in the whole table, as in all four published tables.
    Resamples in which a rated item has no finite rating, or whose fit has no minimum, are left out and counted.

    Examples
    --------
    >>> longer, won = [[1.0]] * 40 + [[-1.0]] * 40, [1, 1, 1, 0] * 10 + [0, 0, 0, 1] * 10
    >>> fit = style_controlled([0] * 80, [1] * 80, won, longer, ARENA_HARD_CURRENT)
    >>> resampled = bootstrap_style_controlled(fit, rng=np.random.default_rng(0), rounds=200)
    >>> low, high = np.quantile(resampled.coefficients[:, 0], [0.025, 0.975])
    >>> bool(low < fit.coefficients[0] < high)
    True
    """
    rows, n = fit.rows, len(fit.rated)
    varies, start = [value is not None for value in fit.coefficients], fit.parameters
    penalised = fit.options.penalise_ratings and fit.options.l2 > 0
    parts, without = [np.zeros((0, len(start)))], 0
    for size in batches(rounds, max(rows.n_drawn, len(start) ** 2), _TOGETHER) if n > 1 else ():
        counts = resample_counts(rows.n_drawn, size, rng)[:, rows.drawn]
        weight = counts * rows.weight
        if not penalised:
            connected = strongly_connected(rows.points(weight))
            counts, weight = counts[connected], weight[connected]
        fits, found = _fits(rows, weight, start, counts.sum(axis=1).astype(float))
        parts.append(fits[found])
        without += size - len(parts[-1])
    parameters = np.concatenate(parts)
    coefficients = np.zeros((len(parameters), len(varies)))
    coefficients[:, varies] = parameters[:, n:]
    ratings = place_ratings(parameters[:, :n], fit.rated, fit.anchor)
    return BootstrapStyle(BootstrapRatings(ratings, fit.rated, fit.n_items, without), coefficients)


def _standardised(differences: ArrayLike, n_battles: int, ddof: int) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Features of mean 0 and standard deviation 1 over battles, and which of them vary at all."""
    table = np.asarray(differences, dtype=float)
    if table.ndim != 2 or len(table) != n_battles or not np.isfinite(table).all():
        raise ValueError(f"differences are finite, one row for each of {n_battles} battles; got shape {table.shape}")
    varies = np.ptp(table, axis=0) > 0
    centred = table - table.mean(axis=0)
    spread = np.sqrt(np.square(centred).sum(axis=0) / max(n_battles - ddof, 1))
    return np.where(varies, centred / np.where(varies, spread, 1), 0.0), varies


class _BattleRows:
    """Battles among rated items, sorted by pair, so that sums over a pair are sums over neighbours."""

    def __init__(
        self,
        a: IntArray,
        b: IntArray,
        outcome: FloatArray,
        features: FloatArray,
        rated: IntArray,
        options: StyleOptions,
    ) -> None:
        place = np.full(int(max(a.max(), b.max(), rated.max(initial=0))) + 1, -1)
        place[rated] = np.arange(len(rated))
        inside = np.flatnonzero((place[a] >= 0) & (place[b] >= 0))
        code = place[a[inside]] * len(rated) + place[b[inside]]
        order = np.argsort(code, kind="stable")
        code = code[order]
        # Where the battles are among those given: a resample draws from all given ones.
        self.drawn, self.n_drawn = inside[order], len(a)
        # The first battle of each pair, and the pair of each battle.
        self.begins = np.flatnonzero(np.diff(code, prepend=-1))
        self.pair = np.repeat(np.arange(len(self.begins)), np.diff(self.begins, append=len(code)))
        # The items of each pair, as their places among the rated ones.
        self.n_items, codes = len(rated), code[self.begins]
        self.first, self.second = codes // max(len(rated), 1), codes % max(len(rated), 1)
        weight = np.ones(len(a)) if options.pair_floor is None else _pair_weight(a, b, options.pair_floor)
        self.outcome, self.weight = outcome[self.drawn], weight[self.drawn]
        self.features = np.ascontiguousarray(features[self.drawn].T)
        # Per parameter, and per battle if the penalty is on the mean.
        of_ratings = options.l2 / np.log(10) ** 2 if options.penalise_ratings else 0.0  # theta = ln 10 * (400 points)
        self._penalty = np.r_[np.full(len(rated), of_ratings), np.full(features.shape[1], options.l2)]
        self._per_battle = options.l2_on == "mean"

    @property
    def n_battles(self) -> int:
        return len(self.outcome)

    def penalty(self, sizes: FloatArray) -> FloatArray:
        """Penalties (R, p) of R tables of as many battles as ``sizes`` says, shape (R,)."""
        return np.asarray(self._penalty * (sizes if self._per_battle else np.ones(len(sizes)))[:, None])

    def logit(self, parameters: FloatArray) -> FloatArray:
        """Equation (1) for parameters (R, p): shape (R, battles)."""
        strengths, beta = parameters[:, : self.n_items], parameters[:, self.n_items :]
        by_pair = strengths[:, self.first] - strengths[:, self.second]
        logit: FloatArray = by_pair.take(self.pair, axis=1)
        if len(self.features):
            logit += beta @ self.features
        return logit

    def sums(self, values: FloatArray) -> FloatArray:
        """Sums of values (R, battles) times design rows: shape (R, p)."""
        by_pair = self._pair_table(values)
        return np.concatenate([by_pair.sum(axis=2) - by_pair.sum(axis=1), values @ self.features.T], axis=1)

    def squares(self, values: FloatArray) -> FloatArray:
        """Sums of values (R, battles) times x x': shape (R, p, p)."""
        n, p = self.n_items, self.n_items + len(self.features)
        result = np.zeros((len(values), p, p))
        by_pair = self._pair_table(values)
        by_pair += by_pair.transpose(0, 2, 1).copy()
        result[:, :n, :n] = -by_pair
        result[:, np.arange(n), np.arange(n)] = by_pair.sum(axis=2)
        for k, feature in enumerate(self.features):
            weighted = values * feature
            crossed = self.sums(weighted)
            result[:, n + k] = crossed
            result[:, :n, n + k] = crossed[:, :n]
        return result

    def points(self, weight: FloatArray) -> FloatArray:
        """Weighted points that items took from one another, (R, n, n), at weights (R, battles)."""
        won, lost = self._pair_table(weight * self.outcome), self._pair_table(weight * (1 - self.outcome))
        return np.asarray(won + lost.transpose(0, 2, 1))

    def _pair_table(self, values: FloatArray) -> FloatArray:
        """Sums of values (R, battles) over the battles of each ordered pair: shape (R, n, n)."""
        table = np.zeros((len(values), self.n_items, self.n_items))
        if len(self.begins):
            table[:, self.first, self.second] = np.add.reduceat(values, self.begins, axis=1)
        return table


def _pair_weight(a: IntArray, b: IntArray, floor: int) -> FloatArray:
    """1 / max(battles of the pair, floor) per battle, normalised to a mean of 1."""
    code = np.minimum(a, b) * (max(a.max(), b.max()) + 1) + np.maximum(a, b)
    _, pair, battles = np.unique(code, return_inverse=True, return_counts=True)
    weight = 1 / np.maximum(battles[pair], floor)
    return np.asarray(weight / weight.mean())


def _curvature(rows: _BattleRows, values: FloatArray, penalty: FloatArray) -> FloatArray:
    """Second derivatives (R, p, p) of (2) at w P (1 - P) (R, battles) and penalties (R, p), made definite."""
    hessian, n = rows.squares(values), rows.n_items
    diagonal = np.arange(hessian.shape[1])
    # Ratings leave one direction open, and equal features others: a trace of curvature there, where the slope is 0.
    trace = hessian[:, diagonal, diagonal].mean(axis=1)
    hessian[:, :n, :n] += (trace / n)[:, None, None]
    hessian[:, diagonal, diagonal] += penalty + 1e-10 * trace[:, None]
    return hessian


def _fits(
    rows: _BattleRows, weight: FloatArray, start: FloatArray, sizes: FloatArray
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Minima (R, p) of (2) for R weightings (R, battles) of the rows, and which were found.

    ``sizes``, shape (R,), are numbers of battles, which a penalty on the mean is multiplied by.
    """
    penalty = rows.penalty(sizes)
    observed = rows.sums(weight * rows.outcome)

    def derivatives(at: FloatArray) -> tuple[FloatArray, FloatArray]:
        probability = sigmoid(rows.logit(at))
        expected = weight * probability
        gradient = rows.sums(expected) - observed + penalty * at
        return gradient, _curvature(rows, expected * (1 - probability), penalty)

    def change_of(step: FloatArray) -> FloatArray:
        return np.asarray(np.maximum(np.abs(rows.logit(step)).max(axis=1), np.abs(step).max(axis=1)))

    def lost_at(at: FloatArray) -> NDArray[np.bool_]:
        return np.asarray(np.abs(rows.logit(at) * (weight > 0)).max(axis=1) > _LARGEST_LOGIT)

    return newton(derivatives, change_of, np.repeat(start[None], len(weight), axis=0), lost_at=lost_at)
