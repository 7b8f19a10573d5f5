"""How small a difference a set of prompts can see, how many prompts a difference needs, and what repeats buy.

The difference of two runs over n prompts, each answered K times and each answer judged R times, has the variance

    (prompts + answers / K + judging / (K R)) / n                                                             (1)

``prompts`` is the variance over prompts of the true difference, ``answers`` that of sampling anew and ``judging`` that
of judging the same answer anew, both summed over the two runs. Repeats lower only the last two: no number of them
brings (1) below prompts / n.

References
----------
Miller: Adding error bars to evals. arXiv 2411.00640, 2024, section 5.
Searle, Casella, McCulloch: Variance components. Wiley, 1992, chapter 4 (balanced nested designs).
"""

from dataclasses import dataclass
from math import ceil, inf, sqrt

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class DifferenceVariance:
    """The parts of (1), in squared units of the values."""

    prompts: float
    answers: float = 0.0
    judging: float = 0.0

    def __post_init__(self) -> None:
        if not all(0 <= part < inf for part in (self.prompts, self.answers, self.judging)):
            raise ValueError(f"variances are finite and not negative; got {self}")

    def per_prompt(self, answers: int = 1) -> float:
        """The variance (1) times n, with K ``answers`` per prompt, each judged once.

        >>> DifferenceVariance(0.1, 0.2, 0.4).per_prompt(answers=2)
        0.4
        """
        if answers < 1:
            raise ValueError(f"a prompt is answered at least once; got {answers}")
        return self.prompts + self.answers / answers + self.judging / answers


@dataclass(frozen=True)
class RunVariance:
    """The variance of one run's scores, split as in (1)."""

    prompts: float
    answers: float
    judging: float
    reason: str | None
    """Which parts could not be separated, or came out below 0 and were set to 0."""


def run_variance(scores: ArrayLike) -> RunVariance:
    """Variance components of one run from scores (prompts, answers) or (prompts, answers, judgings), all finite.

    Notes
    -----
    Balanced analysis of variance: with mean squares within answers, between answers and between prompts, MS_j, MS_a and
    MS_p, judging = MS_j, answers = (MS_a - MS_j) / R, prompts = (MS_p - MS_a) / (K R). Without repeats of a kind, its
    part stays in the next one above: with one answer per prompt, ``prompts`` is the whole variance.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> scores = rng.normal(0, 2, (4000, 1)) + rng.normal(0, 1, (4000, 3))
    >>> components = run_variance(scores)
    >>> round(components.prompts, 1), round(components.answers, 1)
    (4.0, 1.0)
    """
    table = np.asarray(scores, dtype=float)
    if table.ndim == 2:
        table = table[:, :, None]
    if table.ndim != 3 or not np.isfinite(table).all():
        raise ValueError(f"scores are finite, (prompts, answers) or (prompts, answers, judgings); got {table.shape}")
    n, k, r = table.shape
    if n < 2 or not k or not r:
        raise ValueError(
            f"variance over prompts needs at least two of them, answered and judged; got shape {table.shape}"
        )
    of_answers, of_prompts = table.mean(axis=2), table.mean(axis=(1, 2))
    judging = float(np.square(table - of_answers[..., None]).sum() / (n * k * (r - 1))) if r > 1 else 0.0
    between = float(np.square(of_answers - of_prompts[:, None]).sum() / (n * (k - 1))) if k > 1 else 0.0
    answers = between - judging / r if k > 1 else 0.0
    # What a prompt's mean still holds of the lower levels.
    prompts = float(of_prompts.var(ddof=1)) - (between / k if k > 1 else judging / r)
    notes = []
    if k == 1:
        notes.append("one answer per prompt: what sampling anew would change is counted as variance of prompts")
    elif r == 1:
        notes.append("one judging per answer: its noise is counted as variance of answers")
    for name, part in (("answers", answers), ("prompts", prompts)):
        if part < -1e-12 * max(judging, between, 1e-300):
            notes.append(f"the variance of {name} came out below 0 and was set to 0")
    return RunVariance(max(prompts, 0.0), max(answers, 0.0), judging, "; ".join(notes) or None)


def paired_variance(first: ArrayLike, second: ArrayLike) -> DifferenceVariance:
    """The parts of (1) for two runs on the same prompts, each as for ``run_variance``; K and R may differ.

    ``prompts`` is the variance of the prompts' mean differences less the runs' own noise, at least 0.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> skill = rng.normal(0, 2, (4000, 1))
    >>> parts = paired_variance(skill + rng.normal(0, 1, (4000, 2)), skill + rng.normal(0, 1, (4000, 3)))
    >>> round(parts.prompts, 1), round(parts.answers, 1)
    (0.0, 2.0)
    """
    tables = [np.asarray(scores, dtype=float) for scores in (first, second)]
    runs = [run_variance(table) for table in tables]
    if len(tables[0]) != len(tables[1]):
        raise ValueError(f"paired runs have the same prompts; got {len(tables[0])} and {len(tables[1])}")
    means = [table.reshape(len(table), -1).mean(axis=1) for table in tables]
    noise = sum(
        run.answers / table.shape[1] + run.judging / (table.size / len(table))
        for run, table in zip(runs, tables, strict=True)
    )
    prompts = max(float(np.var(means[0] - means[1], ddof=1)) - noise, 0.0)
    return DifferenceVariance(prompts, sum(run.answers for run in runs), sum(run.judging for run in runs))


def planned_variance(run: RunVariance, correlation: float) -> DifferenceVariance:
    """The parts of (1) for a second run that is not there yet, as noisy as the first.

    ``correlation`` is that of the two runs' true scores over prompts: 0 if nothing is known, the cautious choice;
    higher between checkpoints of one model, where two stored runs tell it.

    >>> planned_variance(RunVariance(0.2, 0.05, 0.0, None), 0.5)
    DifferenceVariance(prompts=0.2, answers=0.1, judging=0.0)
    """
    if not -1 <= correlation <= 1:
        raise ValueError(f"a correlation lies between -1 and 1; got {correlation}")
    return DifferenceVariance(2 * run.prompts * (1 - correlation), 2 * run.answers, 2 * run.judging)


def detectable_difference(
    variance: DifferenceVariance,
    n: int,
    *,
    answers: int = 1,
    alpha: float = 0.05,
    power: float = 0.8,
) -> float:
    """The true difference that a two-sided test at ``alpha`` over n prompts finds with ``power``.

    >>> round(detectable_difference(DifferenceVariance(0.2), 805), 4)
    0.0442
    """
    if n < 1:
        raise ValueError(f"a set has at least one prompt; got {n}")
    return _quantiles(alpha, power) * sqrt(variance.per_prompt(answers) / n)


def required_prompts(
    variance: DifferenceVariance,
    difference: float,
    *,
    answers: int = 1,
    alpha: float = 0.05,
    power: float = 0.8,
) -> int:
    """Prompts for a two-sided test at ``alpha`` to find a true ``difference`` with ``power``.

    >>> required_prompts(DifferenceVariance(0.2), 0.05)
    628
    """
    _check_difference(difference)
    return max(1, ceil(variance.per_prompt(answers) * (_quantiles(alpha, power) / difference) ** 2))


def required_answers(
    variance: DifferenceVariance, n: int, difference: float, *, alpha: float = 0.05, power: float = 0.8
) -> int | None:
    """Answers per prompt, each judged once, with which n prompts find a ``difference``; ``None`` if no number does.

    >>> parts = DifferenceVariance(0.1, 0.3)
    >>> required_answers(parts, 805, 0.04), required_answers(parts, 805, 0.03)
    (5, None)
    """
    _check_difference(difference)
    spare = n * (difference / _quantiles(alpha, power)) ** 2 - variance.prompts
    noise = variance.answers + variance.judging
    if spare <= 0:
        return None if noise or spare < 0 else 1
    return max(1, ceil(noise / spare))


@dataclass(frozen=True)
class Purchase:
    """What K answers per prompt are worth."""

    answers: int
    difference: float
    """Detectable."""
    equivalent_prompts: int
    """Prompts with one answer each that would see as much."""
    calls: int
    """Answers in all: ``equivalent_prompts`` is what the same calls would have to beat."""


def worth_of_repeats(
    variance: DifferenceVariance, n: int, answers: ArrayLike = (1, 2, 4, 8), *, alpha: float = 0.05, power: float = 0.8
) -> tuple[Purchase, ...]:
    """Repeats against more prompts, at n prompts: repeats pay where ``equivalent_prompts`` is near ``calls``.

    Examples
    --------
    Half of the variance is noise: four answers each are worth 1.6 times the prompts, for 4 times the calls.

    >>> worth_of_repeats(DifferenceVariance(0.1, 0.1), 805, [4])[0].equivalent_prompts
    1288
    """
    single = variance.per_prompt()
    purchases = []
    for count in np.asarray(answers, dtype=int).tolist():
        found = detectable_difference(variance, n, answers=count, alpha=alpha, power=power)
        repeated = variance.per_prompt(count)
        worth = n if not single else ceil(n * single / repeated - 1e-9) if repeated else n * count
        purchases.append(Purchase(count, found, worth, n * count))
    return tuple(purchases)


def _quantiles(alpha: float, power: float) -> float:
    from scipy.special import ndtri

    if not (0 < alpha < 1 and 0 < power < 1):
        raise ValueError(f"alpha and power lie between 0 and 1; got {alpha} and {power}")
    # Not 1 - alpha / 2, which is 1 for a tiny alpha.
    return float(ndtri(power) - ndtri(alpha / 2))


def _check_difference(difference: float) -> None:
    if not 0 < difference < inf:
        raise ValueError(f"a difference to be found is positive and finite; got {difference}")
