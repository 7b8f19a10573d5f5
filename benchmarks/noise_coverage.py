"""Coverage of the intervals of judged scores where orders, repeats and a jury were observed, with known components.

    python benchmarks/noise_coverage.py --rounds 2000

Every round draws a benchmark of items, a jury, two orders and repeats from a model whose mean is known. Each item, each
judge, each pair of them, each order of an item and each call has an effect. The interval is that of a run: over items,
widened by the judges' effect (``stats.judges_effect``). Besides normal effects, which are judged as ratings, the
probabilities of votes have the same effects on the logit scale, and a verdict is a win or a loss.

``judges`` is the variance of the judges' mean, in units of the variance of the mean by all else. The truth is the mean
over all items and judges that could have been drawn. A setting whose coverage is outside 93 to 97 % is simulated again
with ten times the rounds; if it still is, a mark ``!`` stands behind it, and the program ends with exit code 1.
"""

import os

# Before numpy is imported: its threads are started then.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import sys
from dataclasses import dataclass

import numpy as np

from judgebench.stats.arrays import FloatArray
from judgebench.stats.clustered import bounded_estimate, cluster_totals, clustered_estimate
from judgebench.stats.judges_effect import LEAST_JUDGES, judges_effect

ITEM, BY_JUDGE, BY_ORDER, CALL = 1.0, 0.5, 0.4, 0.6
"""Standard deviations of the effects of items, of judges on items, of orders of items, and of calls."""
ORDERS = 2
AGAIN = 10
"""Times the rounds, where a figure is outside."""
CENTRE = 0.4
"""Mean of the logits of votes."""


@dataclass(frozen=True)
class Design:
    """Who judged what, and how far judges differ."""

    items: int
    judges: int
    repeats: int
    ratio: float

    @property
    def severity(self) -> float:
        """Standard deviation of the judges' effect."""
        calls = BY_ORDER**2 / ORDERS + CALL**2 / (ORDERS * self.repeats)
        return float((self.ratio * (self.judges * ITEM**2 + BY_JUDGE**2 + calls) / self.items) ** 0.5)

    def effects(self, rng: np.random.Generator) -> FloatArray:
        """All verdicts, shape (items, judges, orders, repeats), around 0."""
        shape = (self.items, self.judges, ORDERS, self.repeats)
        drawn: FloatArray = ITEM * rng.normal(size=(self.items, 1, 1, 1)) + CALL * rng.normal(size=shape)
        drawn += self.severity * rng.normal(size=(1, self.judges, 1, 1))
        drawn += BY_JUDGE * rng.normal(size=(self.items, self.judges, 1, 1))
        drawn += BY_ORDER * rng.normal(size=(self.items, self.judges, ORDERS, 1))
        return drawn


def held(verdicts: FloatArray, truth: float, *, votes: bool) -> tuple[bool, bool]:
    """Whether the interval over items, and the one with the jury's spread, hold the truth."""
    by_judge = verdicts.mean(axis=(2, 3))
    estimate = (bounded_estimate if votes else clustered_estimate)(cluster_totals(by_judge.mean(axis=1)))
    if estimate.value is None or estimate.interval is None:
        return False, False
    low, high = estimate.interval.low, estimate.interval.high
    plain = low <= truth <= high
    if by_judge.shape[1] < LEAST_JUDGES:
        return plain, plain
    sums = [cluster_totals(column) for column in by_judge.T]
    effect = judges_effect([own.value or 0.0 for own in sums], [own.influence() for own in sums])
    low, high = effect.widened(estimate.value, low, high, 0.95)
    return plain, low <= truth <= high


def coverage(
    design: Design, truth: float, rounds: int, rng: np.random.Generator, *, votes: bool
) -> tuple[float, float]:
    """How often, in per cent, the interval over items and the widened one hold the truth."""
    found = []
    for _ in range(rounds):
        verdicts = design.effects(rng)
        if votes:
            verdicts = (rng.random(verdicts.shape) < 1 / (1 + np.exp(-CENTRE - verdicts))).astype(float)
        found.append(held(verdicts, truth, votes=votes))
    plain, widened = 100 * np.mean(found, axis=0)
    return float(plain), float(widened)


def expected_vote(design: Design, rng: np.random.Generator) -> float:
    """The mean of votes whose logits have these effects, by drawing a million of them."""
    variance = ITEM**2 + BY_JUDGE**2 + BY_ORDER**2 + CALL**2 + design.severity**2
    return float((1 / (1 + np.exp(-CENTRE - variance**0.5 * rng.normal(size=1_000_000)))).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    outside = 0
    print(
        f"{'verdicts':8} {'judges':>6} {'items':>5} {'repeats':>7} {'judges’ variance':>16} {'over items':>10} widened"
    )
    for votes in (False, True):
        for judges, items in ((1, 100), (3, 100), (3, 500), (4, 100), (5, 500), (8, 100)):
            for repeats in (1, 3):
                for ratio in (0.0, 0.5, 1.0, 4.0) if judges >= LEAST_JUDGES else (0.0,):
                    design = Design(items, judges, repeats, ratio)
                    truth = expected_vote(design, rng) if votes else 0.0
                    plain, widened = coverage(design, truth, given.rounds, rng, votes=votes)
                    if not 93 <= round(widened, 1) <= 97:
                        plain, widened = coverage(design, truth, AGAIN * given.rounds, rng, votes=votes)
                    mark = "" if 93 <= round(widened, 1) <= 97 else " !"
                    outside += bool(mark)
                    kind = "votes" if votes else "ratings"
                    print(
                        f"{kind:8} {judges:6} {items:5} {repeats:7} {ratio:16g} {plain:10.1f} {widened:7.1f}{mark}",
                        flush=True,
                    )
    sys.exit(bool(outside))


if __name__ == "__main__":
    main()
