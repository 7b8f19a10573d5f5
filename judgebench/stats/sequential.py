"""Intervals and decisions that stay valid however often one looks: judge in random order, stop when it is decided.

A fixed-size interval holds at one size chosen beforehand. Looked at after every item, a 95 % interval is left by the
truth far more often than 5 % of the time. A *confidence sequence* holds at all sizes at once, so that a run may stop at
any moment for any reason.

The population is the benchmark itself: its N items, judged in an order drawn at random, without replacement. What is
estimated is the score of the full set. The more of it is judged the less can change, and after the last item nothing:
the sequence then closes on the exact score. (Whether other prompts would give the same score is another question; that
is what the intervals of :mod:`judgebench.stats.intervals` are for.)

For a candidate mean m, let x_1, x_2, ... be the scores scaled to [0, 1], S_t their sum, and

    m_t = (N m - S_{t-1}) / (N - t + 1)                                                                        (1)

the mean of what is left before item t if m is the mean of all (m_t = m without a finite population). With bets that are
fixed before item t is seen,

    lambda_t = sqrt(2 ln(k / alpha) / (t ln(1 + t) v_{t-1})),   v_t = (1/4 + sum (x_i - mu_i)^2) / (t + 1)      (2)
    K+_t = prod (1 + min(lambda_i, c / m_i) (x_i - m_i)),                                                      (3)
    K-_t = prod (1 - min(lambda_i, c / (1 - m_i)) (x_i - m_i))

where mu_t = (1/2 + S_t) / (t + 1) and c = 1/2, the capitals K are non-negative martingales that start at 1 if m is the
mean. By Ville's inequality each ever reaches k / alpha with probability alpha / k at most. A mean is rejected by the
first of K+ (the scores are higher) and K- (they are lower) to reach k / alpha: k = 2 for both sides, 1 for one. A mean
that would need scores outside [0, 1] from the items left is rejected for certain.

K+ falls and K- rises with m, so that the means not rejected are an interval.

Bets (2) are for a run without end. A benchmark has one, and N is known: by default, with a population, the capital is
the mean of two capitals (3) with c = 0.9, whose bets are once and twice

    lambda_t = sqrt(2 ln(k / alpha) / (N v_{t-1}))                                                             (4)

(a mean of martingales is one, too, and rises and falls with m alike). An interval of plus or minus 5 points on 805 even
games then takes half of them; with bets (2) it takes 80 %.

Control
-------
What is known of every item beforehand, such as the verdicts of other models on it, can be a control variate: with
weights fixed before item t is seen, a deviation q_t that has mean 0 given the past is taken off the score
(:mod:`judgebench.stats.control_variates`), and the bets are on

    K+_t = prod (1 + min(lambda_i, c / (m_i + max q_i)) (x_i - q_i - m_i)),                                    (5)
    K-_t = prod (1 - min(lambda_i, c / (1 - m_i - min q_i)) (x_i - q_i - m_i))

where max q_i and min q_i are over the items left, and v of (2) is that of x - q. *Proof that nothing else changes.* Let
F be all that was seen before item i. Given F, item i is each of the items left with the same probability, so if m is
the mean of all, E[x_i | F] = m_i by (1), and E[q_i | F] = 0. lambda_i, the weights in q_i and both bounds depend on F
and on what was known beforehand only. Hence E[x_i - q_i - m_i | F] = 0, and K+ and K- are martingales. As x_i >= 0 and
q_i <= max q_i, a factor of K+ is at least 1 - c > 0; as x_i <= 1 and q_i >= min q_i, so is one of K-. Ville's
inequality does the rest. If the mean of all is below m, E[x_i | F] < m_i, and K+ is a supermartingale: what holds at
the threshold holds for all means beyond it. With a = max q_i and y = x_i - q_i + a >= 0, the capped factor is
1 + c (y / (m_i + a) - 1), which falls with m_i, as the other one does: the means not rejected are an interval still.

With a control, :func:`decide` makes ``"early"`` bets: the mean of three capitals, whose bets are twice, four and eight
times (4). That decides clear cases earlier (``benchmarks/early_decisions.py``), and those near the threshold later, by
up to a quarter: for these, ask for the bets ``"horizon"``.

References
----------
Waudby-Smith, Ramdas: Estimating means of bounded random variables by betting. JRSS B 86(1), 2024, arXiv:2010.09686.
Waudby-Smith, Ramdas: Confidence sequences for sampling without replacement. NeurIPS 2020, arXiv:2006.04347.
gostevehoward/confseq@70b1ef3:src/confseq/betting.py (the grid, and that it is widened by one step).
"""

from dataclasses import dataclass, field, replace
from math import log
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgebench.stats.arrays import FloatArray
from judgebench.stats.control_variates import Control, deviations, start_control
from judgebench.stats.intervals import Interval, check_level

Bets = Literal["horizon", "running", "early"]

# c of equation (3), and the multiples of equation (2) or (4) whose capitals are averaged.
_LARGEST_LOSS = {"running": 0.5, "horizon": 0.9, "early": 0.9}
_SCALES = {"running": np.array([1.0]), "horizon": np.array([1.0, 2.0]), "early": np.array([2.0, 4.0, 8.0])}
# Scaled scores, and what is left of them, are exact to this.
_ROUNDING = 1e-9
# Numbers of the table items x grid handled together.
_TOGETHER = 500_000


@dataclass(frozen=True, eq=False)
class ConfidenceSequence:
    """The running mean and its interval after each item. Shapes (n,), in the unit of the scores."""

    mean: FloatArray
    low: FloatArray
    high: FloatArray
    level: float
    """Probability that the full-set score is inside at every n at once."""
    method: str
    population: int | None
    """Items of the full set, or ``None`` if there is no end to them."""

    @property
    def interval(self) -> Interval | None:
        """The interval after the last item; ``None`` before the first."""
        if not len(self.low):
            return None
        return Interval(float(self.low[-1]), float(self.high[-1]), self.level, self.method)

    def first_narrower(self, half_width: float) -> int | None:
        """After how many items the interval was first narrower than plus or minus ``half_width``; ``None`` if never.

        >>> sequence = betting_sequence([0.0, 1.0] * 200, 400)
        >>> sequence.first_narrower(0.05), sequence.first_narrower(0.0)
        (286, None)
        """
        narrow = np.flatnonzero((self.high - self.low) / 2 < half_width)
        return int(narrow[0]) + 1 if len(narrow) else None


@dataclass(frozen=True, eq=False)
class BettingState:
    """All that the items so far say, as far as the next bets need it: pass it on to judge the next items.

    Made by :func:`start_betting`, moved on by :func:`continue_betting`.
    """

    lower: float
    upper: float
    population: int | None
    level: float
    sides: int
    """k of equation (2): how many bounds there are."""
    bets: Bets
    grid: FloatArray
    """Candidate means, scaled to [0, 1]; shape (m,)."""
    n: int = 0
    """Items so far."""
    total: float = 0.0
    """Sum of their scaled scores."""
    deviations: float = 0.0
    """Sum of (x_i - mu_i)^2 of equation (2)."""
    log_higher: FloatArray = field(default_factory=lambda: np.zeros((1, 1)))
    """log K+ per bet and candidate; shape (bets, m), or (1, 1) before the first item, where all are 0."""
    log_lower: FloatArray = field(default_factory=lambda: np.zeros((1, 1)))
    """log K- per bet and candidate; shape like ``log_higher``."""
    low: float = 0.0
    """Lower bound so far, scaled: bounds only move inwards."""
    high: float = 1.0
    control: Control | None = None
    """What is known of every item beforehand, and its weights."""
    explained: float = 0.0
    """Sum of the deviations q taken off the scores."""


@dataclass(frozen=True)
class SequentialDecision:
    """Whether the mean is above a threshold, decided as early as the items allow."""

    verdict: Literal["above", "below", "undecided"]
    """``"above"`` includes equality."""
    n: int
    """Items it took; all that were given if undecided."""
    population: int
    saved: int
    """Items of the population that need not be judged: population - n, and 0 while undecided."""
    p_below: float
    """Anytime-valid p-value of "the mean is at or above the threshold", small if it is below."""
    p_above: float
    """Anytime-valid p-value of "the mean is below the threshold"."""


def start_betting(
    population: int | None,
    *,
    lower: float = 0.0,
    upper: float = 1.0,
    level: float = 0.95,
    bets: Bets = "horizon",
    steps: int = 1000,
    control: ArrayLike | None = None,
) -> BettingState:
    """The state before the first item.

    ``population`` is the number of items of the full set, ``None`` for independent draws without end. Scores lie in
    [``lower``, ``upper``]: [0, 1] for shares of the win, [-1, 1] for their paired differences. ``bets`` are
    those of (4), ``"horizon"``, multiples of these, ``"early"``, or those of (2), ``"running"``; without a population
    they are always those of (2). Bounds are rounded outwards to a grid of ``steps`` steps. ``control`` is what is known
    of all items, in the order in which their scores will come, shape (N,) or (N, k).
    """
    if not lower < upper or not np.isfinite([lower, upper]).all():
        raise ValueError(f"scores need a finite range; got {lower} to {upper}")
    if population is not None and population < 1:
        raise ValueError(f"a population has at least one item; got {population}")
    check_level(level)
    if steps < 2:
        raise ValueError(f"a grid needs at least 2 steps; got {steps}")
    if bets not in _SCALES:
        raise ValueError(f"bets are {', '.join(_SCALES)}; got {bets}")
    bets = "running" if population is None else bets
    start = BettingState(lower, upper, population, level, 2, bets, np.linspace(0, 1, steps + 1))
    if control is None:
        return start
    if population is None:
        raise ValueError("a control needs a population: it is what is known of each of its items")
    return replace(start, control=start_control(control, population))


def continue_betting(state: BettingState, values: ArrayLike) -> tuple[BettingState, ConfidenceSequence]:
    """Take the next scores, shape (n,), and give the new state and the bounds after each of them.

    Taking scores one by one, or all at once, gives the same bounds. Work and memory grow with n times the grid, memory
    up to a limit.

    >>> state = start_betting(100)
    >>> state, _ = continue_betting(state, [1, 1, 0.5, 1, 1, 0, 1, 1, 1, 1])
    >>> state, sequence = continue_betting(state, [1, 1, 1, 1, 0.5])
    >>> sequence.interval
    Interval(low=0.561, high=0.98, level=0.95, method='betting, without replacement')
    """
    scaled = _scaled(state, values)
    rows = max(1, _TOGETHER // len(state.grid))
    parts = []
    for begin in range(0, len(scaled), rows):
        state, part = _advance(state, scaled[begin : begin + rows])
        parts.append(part)
    mean, low, high = np.concatenate(parts, axis=1) if parts else np.zeros((3, 0))
    width = state.upper - state.lower
    method = "betting" if state.population is None else "betting, without replacement"
    # Rounded so that a step of the grid reads as one: 0.487, not 0.48700000000000004.
    sequence = ConfidenceSequence(
        state.lower + width * mean,
        np.round(state.lower + width * low, 12),
        np.round(state.lower + width * high, 12),
        state.level,
        method,
        state.population,
    )
    return state, sequence


def betting_sequence(
    values: ArrayLike,
    population: int | None,
    *,
    lower: float = 0.0,
    upper: float = 1.0,
    level: float = 0.95,
    bets: Bets = "horizon",
    steps: int = 1000,
    control: ArrayLike | None = None,
) -> ConfidenceSequence:
    """Confidence sequence of the mean by betting, for scores (n,) in random order.

    The options are those of :func:`start_betting`. With clusters (turns or orders of a prompt) an item is a cluster of
    its own size, and its score the mean: every prompt must have as many.

    Notes
    -----
    Bounds only move inwards ("running intersection"): what was rejected stays so. The order must be random, drawn
    before any verdict is seen; an order by category or difficulty voids the guarantee. Every item of the population
    must have a score in the end, so an unread verdict enters as what the benchmark counts it as.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> scores = rng.permutation([1.0] * 60 + [0.5] * 10 + [0.0] * 30)
    >>> sequence = betting_sequence(scores[:50], 100)
    >>> sequence.interval.low < 0.65 < sequence.interval.high
    True
    >>> betting_sequence(scores, 100).interval  # all of it: the score itself
    Interval(low=0.65, high=0.65, level=0.95, method='betting, without replacement')
    """
    state = start_betting(population, lower=lower, upper=upper, level=level, bets=bets, steps=steps, control=control)
    return continue_betting(state, values)[1]


def decide(
    values: ArrayLike,
    population: int,
    threshold: float,
    *,
    lower: float = 0.0,
    upper: float = 1.0,
    level: float = 0.95,
    control: ArrayLike | None = None,
    bets: Bets | None = None,
) -> SequentialDecision:
    """Whether the mean of the full set is at or above ``threshold``, from scores (n,) in random order.

    Each wrong answer has a probability of at most 1 - ``level``, however often it is asked for. A gate on the paired
    differences d in [-1, 1], candidate less baseline, with a largest drop of 0.02 asks

        decide(d, population, -0.02, lower=-1, upper=1)

    ``"above"`` passes, ``"below"`` fails. With all N scores there is always an answer, the sign of mean - threshold;
    what is decided is about these N items.

    The answer comes from the capitals (4) at the threshold itself, each against 1 / (1 - level), or when the items left
    cannot change it any more.

    >>> rng = np.random.default_rng(1)
    >>> differences = rng.permutation([1.0] * 100 + [0.0] * 350 + [-1.0] * 50)  # a gain of 10 points
    >>> decision = decide(differences, 500, -0.02, lower=-1, upper=1)
    >>> decision.verdict, decision.n, decision.saved
    ('above', 98, 402)

    ``control``, shape (N,) or (N, k), is what is known of all N items beforehand, the first n of them those of the
    scores: equation (5). It may be anything that was fixed before the first score was seen, such as other models'
    verdicts; the level holds whatever it is. ``bets`` are ``"early"`` with a control, ``"horizon"`` without.

    >>> quality = rng.normal(size=500)
    >>> scores = 1 / (1 + np.exp(-quality - 0.3 - rng.normal(size=500) / 2))
    >>> [decide(scores, 500, 0.5, control=control).n for control in (None, quality)]
    [41, 27]
    """
    if not lower <= threshold <= upper:
        raise ValueError(f"a threshold lies within the range of the scores, {lower} to {upper}; got {threshold}")
    bets = bets or ("horizon" if control is None else "early")
    start = start_betting(population, lower=lower, upper=upper, level=level, bets=bets, control=control)
    candidate = (threshold - lower) / (upper - lower)
    scaled = _scaled(start, values)
    if not len(scaled):
        return SequentialDecision("undecided", 0, population, 0, 1.0, 1.0)
    wanted = candidate * population
    total = np.cumsum(scaled)
    left = population - np.arange(1, len(scaled) + 1)
    # Sums of scaled scores are exact to some 1e-16 per item: a smaller difference counts as equality.
    slack = 1e-12 * population
    settled_above, settled_below = total >= wanted - slack, total + left < wanted - slack
    _, explained = _explained(start, scaled)
    each_higher, each_below, _ = _capital(replace(start, sides=1, grid=np.array([candidate])), scaled, explained)
    higher, below = _mean_capital(each_higher)[:, 0], _mean_capital(each_below)[:, 0]
    # A capital is worth nothing where the other side is certain.
    p_above = np.where(settled_above, 0.0, np.where(settled_below, 1.0, np.exp(-np.maximum(higher, 0))))
    p_below = np.where(settled_below, 0.0, np.where(settled_above, 1.0, np.exp(-np.maximum(below, 0))))
    decided = (p_above <= 1 - level) | (p_below <= 1 - level)
    n = int(np.argmax(decided)) + 1 if decided.any() else len(scaled)
    verdict: Literal["above", "below", "undecided"] = "undecided"
    if decided.any():
        verdict = "above" if p_above[n - 1] <= p_below[n - 1] else "below"
    saved = 0 if verdict == "undecided" else population - n
    return SequentialDecision(verdict, n, population, saved, float(p_below[:n].min()), float(p_above[:n].min()))


def _advance(state: BettingState, scaled: FloatArray) -> tuple[BettingState, FloatArray]:
    """The state after more scores, and mean, low and high after each of them; shape (3, n)."""
    control, explained = _explained(state, scaled)
    each_higher, each_below, dead = _capital(state, scaled, explained)
    higher, below = _mean_capital(each_higher), _mean_capital(each_below)
    goal = log(state.sides / (1 - state.level))
    # The means between the last rejected for being too low and the first rejected for being too high are kept. A step
    # more on each side, as the capital is known at the steps only.
    steps = len(state.grid) - 1
    time, total = state.n + np.arange(1, len(scaled) + 1), state.total + np.cumsum(scaled)
    too_low, too_high = (higher > goal) & ~dead, (below > goal) & ~dead
    low = state.grid[np.where(too_low.any(axis=1), steps - np.argmax(too_low[:, ::-1], axis=1), 0)]
    high = state.grid[np.where(too_high.any(axis=1), np.argmax(too_high, axis=1), steps)]
    if state.population is not None:
        # Where the mean of all must lie, whatever the items left will be.
        low = np.maximum(low, total / state.population)
        high = np.minimum(high, 1 - (time - total) / state.population)
    low = np.maximum.accumulate(np.maximum(low, state.low))
    high = np.minimum.accumulate(np.minimum(high, state.high))
    # With both sides rejected by bad luck, the interval would be empty: it stays where it was last.
    crossed = low > high + _ROUNDING
    if crossed.any():
        where = int(np.argmax(crossed))
        low[where:], high[where:] = (state.low, state.high) if where == 0 else (low[where - 1], high[where - 1])
    # Bounds that meet, but for rounding.
    high = np.maximum(low, high)
    _, mean_deviations = _bets(state, scaled - explained[0])
    after = replace(
        state,
        n=state.n + len(scaled),
        total=float(total[-1]),
        deviations=mean_deviations,
        log_higher=each_higher[:, -1],
        log_lower=each_below[:, -1],
        low=float(low[-1]),
        high=float(high[-1]),
        control=control,
        explained=state.explained + float(explained[0].sum()),
    )
    return after, np.stack([np.clip(total / time + explained[3], 0.0, 1.0) if control else total / time, low, high])


def _explained(state: BettingState, scaled: FloatArray) -> tuple[Control | None, FloatArray]:
    """The control after these scores, and for each of them q with its bounds, and the shift of the mean; (4, n)."""
    if state.control is None:
        return None, np.zeros((4, len(scaled)))
    return deviations(state.control, scaled)


def _capital(
    state: BettingState, scaled: FloatArray, explained: FloatArray
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Log K+ and log K-, shapes (bets, n, m), and whether m_t has been outside [0, 1], shape (n, m)."""
    n = len(scaled)
    before = state.total + np.concatenate([[0.0], np.cumsum(scaled)])[:n]
    time = state.n + np.arange(1, n + 1)
    means = np.broadcast_to(state.grid, (n, len(state.grid)))
    if state.population is not None:
        means = (state.population * state.grid - before[:, None]) / (state.population - time + 1)[:, None]
    dead = (means < -_ROUNDING) | (means > 1 + _ROUNDING)
    means = np.clip(means, 0.0, 1.0)
    own, least, most = explained[:3, :, None]
    bets = (_SCALES[state.bets][:, None] * _bets(state, scaled - explained[0])[0])[:, :, None]
    gaps, largest = scaled[:, None] - own - means, _LARGEST_LOSS[state.bets]
    with np.errstate(divide="ignore"):
        up, down = np.minimum(bets, largest / (means + most)), np.minimum(bets, largest / (1 - means - least))
    higher = state.log_higher[:, None] + np.cumsum(np.log1p(up * gaps), axis=1)
    below = state.log_lower[:, None] + np.cumsum(np.log1p(-down * gaps), axis=1)
    return higher, below, dead


def _mean_capital(logs: FloatArray) -> FloatArray:
    """Log of the mean of the capitals of several bets, shape (n, m)."""
    return np.asarray(logs[0] if len(logs) == 1 else np.logaddexp.reduce(logs, axis=0) - log(len(logs)))


def _bets(state: BettingState, residual: FloatArray) -> tuple[FloatArray, float]:
    """lambda_t of equation (2) or (4), shape (n,), and the sum of squared deviations after the last."""
    n = len(residual)
    time = state.n + np.arange(1, n + 1)
    running = (0.5 + state.total - state.explained + np.cumsum(residual)) / (time + 1)
    away = state.deviations + np.concatenate([[0.0], np.cumsum(np.square(residual - running))])
    variance = (0.25 + away[:n]) / time
    horizon = time * np.log1p(time)
    if state.bets != "running" and state.population is not None:
        horizon = np.full(n, float(state.population))
    bets: FloatArray = np.sqrt(2 * log(state.sides / (1 - state.level)) / (horizon * variance))
    return bets, float(away[-1])


def _scaled(state: BettingState, values: ArrayLike) -> FloatArray:
    """The next scores, checked, on a scale from 0 to 1."""
    scores, lower, upper = np.asarray(values, dtype=float), state.lower, state.upper
    if scores.ndim != 1:
        raise ValueError(f"there is one score per item; got shape {scores.shape}")
    # Also false for NaN.
    if not ((scores >= lower) & (scores <= upper)).all():
        raise ValueError(f"scores lie between {lower} and {upper}, and none may be missing")
    n = state.n + len(scores)
    if state.population is not None and n > state.population:
        raise ValueError(f"{n} scores are more than the {state.population} items of the population")
    return np.asarray((scores - lower) / (upper - lower))
