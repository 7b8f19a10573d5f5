"""Level of sequential decisions under continuous looking, and coverage of anchored, corrected and other intervals.

    python benchmarks/coverage_sequential.py --rounds 2000 --studies decisions,savings,sequences,anchored,corrected

Like ``coverage.py``, which has the intervals of headline scores, for statistics that judge in turn or rest on human
labels. Every study draws ``--rounds`` data sets whose truth is known and prints, per setting, the share of rounds in
which a statement about it was wrong, or right. With 2,000 rounds a share of 5 % has a standard error of 0.5 points.

A mark ``!`` stands behind a level above 5.5 %, and a coverage below 93 % of an interval that judgebench quotes; the
program ends with exit code 1 if there is one. Intervals from few labels and sequences are cautious, so that a coverage
above 97 % is no error here; those of correlations and components must not be above it either.
"""

import os

# Before numpy is imported: its threads are started then.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from judgebench.stats.correlation_comparison import bootstrap_comparison, compare_correlations
from judgebench.stats.prediction_powered import prediction_powered_mean
from judgebench.stats.rogan_gladen import JudgeErrors, corrected_win_rate
from judgebench.stats.sequential import betting_sequence, decide
from judgebench.stats.variance_components import variance_components

FloatArray = NDArray[np.float64]
SIZES = (80, 500, 805)


LEVEL, LEAST, MOST = 0.055, 0.93, 0.97


class Line(NamedTuple):
    """One setting's figures."""

    text: str
    outside: bool = False
    """Whether one of them is outside what is asked of it."""


def populations(n: int, rng: np.random.Generator) -> dict[str, tuple[FloatArray, float]]:
    """Full sets shaped like ours, with the lower bound of their range; the upper one is 1."""
    half = (np.arange(n) < n // 2) * 1.0
    rare = (np.arange(n) < max(1, round(0.03 * n))) * 1.0
    tied = np.repeat([0.0, 0.5, 1.0], [n // 4, n - 2 * (n // 4), n // 4])
    graded = np.round(9 * rng.beta(6, 1.5, n)) / 9
    changed = np.repeat([-1.0, 0.0, 1.0], [n // 8, n - n // 8 - n // 10, n // 10])
    soft = np.clip(rng.standard_t(3, n) * 0.1, -1, 1)
    return {
        "half won": (half, 0.0),
        "3 % won": (rare, 0.0),
        "half tied": (tied, 0.0),
        "grades": (graded, 0.0),
        "differences, mostly 0": (changed, -1.0),
        "differences, soft": (soft, -1.0),
    }


def decisions(rounds: int, rng: np.random.Generator) -> Iterator[Line]:
    for n in SIZES:
        for name, (scores, lower) in populations(n, rng).items():
            truth = float(scores.mean())
            # The hardest true statements: the mean is at the threshold, or below it by as good as nothing.
            for text, threshold, wrong in (("at it", truth, "below"), ("just below it", truth + 1e-6, "above")):
                if not lower <= threshold <= 1:
                    continue
                made = [decide(rng.permutation(scores), n, threshold, lower=lower).verdict for _ in range(rounds)]
                errors = share(v == wrong for v in made)
                line = f"decide       n={n:4} {name:22} mean {text:14} wrong {percent(errors)}"
                yield Line(line, errors > LEVEL)


def savings(rounds: int, rng: np.random.Generator) -> Iterator[Line]:
    for n in SIZES:
        for gain in (-0.1, -0.05, 0.0, 0.03, 0.1):
            # A candidate against a baseline, preferences in quarters: standard deviation 0.5.
            scores = rng.choice([-1, -0.5, 0, 0.5, 1], p=[0.1, 0.15, 0.5, 0.15, 0.1], size=n)
            scores = np.clip(scores - scores.mean() + gain, -1, 1)
            made = [decide(rng.permutation(scores), n, -0.02, lower=-1) for _ in range(rounds)]
            used = float(np.mean([decision.n for decision in made])) / n
            verdict = "above" if scores.mean() >= -0.02 else "below"
            right = share(decision.verdict == verdict for decision in made)
            line = f"gate         n={n:4} gain {gain:5.2f}, margin 0.02: {100 * used:5.1f} % of items, right "
            yield Line(line + percent(right), 1 - right > LEVEL)
        for rate in (0.1, 0.5):
            scores = (np.arange(n) < rate * n) * 1.0
            for half_width in (0.015, 0.03, 0.05):
                stops = [
                    betting_sequence(rng.permutation(scores), n).first_narrower(half_width)
                    for _ in range(max(2, rounds // 100))
                ]
                used = float(np.mean([stop or n for stop in stops])) / n
                yield Line(
                    f"stop-when    n={n:4} win rate {rate}: +-{half_width} after {100 * used:5.1f} % of the items"
                )


def sequences(rounds: int, rng: np.random.Generator) -> Iterator[Line]:
    for n in SIZES:
        for name, (scores, lower) in populations(n, rng).items():
            truth = float(scores.mean())
            bad = 0
            for _ in range(rounds):
                # A coarse grid would hide errors: its bounds are rounded outwards. 250 steps are 0.4 points.
                found = betting_sequence(rng.permutation(scores), n, lower=lower, steps=250)
                bad += bool(((found.low > truth + 1e-9) | (found.high < truth - 1e-9)).any())
            line = f"betting      n={n:4} {name:22} truth ever outside: {percent(bad / rounds)}"
            yield Line(line, bad / rounds > LEVEL)


def anchored(rounds: int, rng: np.random.Generator) -> Iterator[Line]:
    for n in (10, 25, 50, 100, 300):
        for rate in (0.5, 0.1, 0.03):
            for right in (0.98, 0.8, 0.55):
                hits = {"published": 0, "four corners": 0}
                width = {"published": 0.0, "four corners": 0.0}
                for _ in range(rounds):
                    labels = (rng.random(n + 700) < rate) * 1.0
                    judged = np.where(rng.random(n + 700) < right, labels, 1 - labels)
                    for method, bounds in (("published", None), ("four corners", (0.0, 1.0))):
                        found = prediction_powered_mean(labels[:n], judged[:n], judged[n:], bounds=bounds).interval
                        if found is not None:
                            hits[method] += found.low <= rate <= found.high
                            width[method] += (found.high - found.low) / rounds
                line = f"PPI++        n={n:4} share {rate:4} judge right {right:4}: " + ", ".join(
                    f"{method} {100 * hits[method] / rounds:5.1f} % (width {width[method]:.3f})" for method in hits
                )
                yield Line(line, hits["four corners"] / rounds < LEAST)


def corrected(rounds: int, rng: np.random.Generator) -> Iterator[Line]:
    for wins, losses in ((5, 5), (10, 10), (30, 5), (50, 50), (200, 200)):
        for q1, q0 in ((0.98, 0.98), (0.85, 0.8), (0.6, 0.55), (0.5, 0.5)):
            for rate in (0.5, 0.2, 0.03):
                hits = 0
                for _ in range(rounds):
                    judged = rng.binomial(500, rate * q1 + (1 - rate) * (1 - q0)) / 500
                    errors = JudgeErrors(rng.binomial(wins, q1) / wins, wins, rng.binomial(losses, q0) / losses, losses)
                    likelihood = corrected_win_rate(judged, 500, errors).interval
                    hits += likelihood.low <= rate <= likelihood.high
                yield Line(
                    f"Rogan-Gladen labels {wins:3} + {losses:3}, q1 {q1:4} q0 {q0:4}, win rate {rate:4}: likelihood "
                    f"{100 * hits / rounds:5.1f} %",
                    hits / rounds < LEAST,
                )


def correlations(rounds: int, rng: np.random.Generator) -> Iterator[Line]:
    for n in (6, 14, 30, 100):
        for noise in (1.0, 0.3):
            williams, steiger, zou, boot = 0, 0, 0, 0
            for _ in range(rounds):
                human = rng.normal(size=n)
                common = rng.normal(size=n)
                first, second = (human + noise * (common + rng.normal(size=n)) / 2**0.5 for _ in range(2))
                found = compare_correlations(first, second, human)
                williams += found.p is not None and found.p <= 0.05
                steiger += found.p_steiger is not None and found.p_steiger <= 0.05
                zou += found.interval is not None and found.interval.low <= 0 <= found.interval.high
                again = bootstrap_comparison(first, second, human, rng=rng, rounds=400).interval
                boot += again is not None and again.low <= 0 <= again.high
            yield Line(
                f"correlations n={n:4} r {(1 + noise**2) ** -0.5:.2f}: Williams' level {100 * williams / rounds:.1f}, "
                f"Steiger's {100 * steiger / rounds:.1f}; coverage of Zou {100 * zou / rounds:.1f}, "
                f"bootstrap {100 * boot / rounds:.1f} %",
                max(williams, steiger) / rounds > LEVEL or not LEAST <= zou / rounds <= MOST,
            )


def components(rounds: int, rng: np.random.Generator) -> Iterator[Line]:
    for n in (80, 500):
        for text, repeats in (("3 repeats", np.full(n, 3)), ("1 to 4 repeats", 1 + np.arange(n) % 4)):
            item = np.repeat(np.arange(n), repeats)
            hits, total = {"item": 0, "residual": 0}, {"item": 0.0, "residual": 0.0}
            for _ in range(rounds // 4):
                # Wins with an item's own probability: variance of the probabilities 1/12, within 1/6.
                chance = rng.random(n)
                found = variance_components((rng.random(len(item)) < chance[item]) * 1.0, {"item": item}, [("item",)])
                for part, truth in zip(found.components, (1 / 12, 1 / 6), strict=True):
                    hits[part.effect[0]] += part.interval.low <= truth <= part.interval.high
                    total[part.effect[0]] += part.variance
            line = f"components   n={n:4} {text:14}: " + ", ".join(
                f"{name} {100 * count / (rounds // 4):.1f} % (mean {total[name] / (rounds // 4):.4f})"
                for name, count in hits.items()
            )
            yield Line(line, any(not LEAST <= count / (rounds // 4) <= MOST for count in hits.values()))


def share(hits: Iterator[bool]) -> float:
    counted = list(hits)
    return sum(counted) / len(counted)


def percent(value: float) -> str:
    return f"{100 * value:5.2f} %"


STUDIES: dict[str, Callable[[int, np.random.Generator], Iterator[Line]]] = {
    "decisions": decisions,
    "savings": savings,
    "sequences": sequences,
    "anchored": anchored,
    "corrected": corrected,
    "correlations": correlations,
    "components": components,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--studies", default=",".join(STUDIES), help=f"some of {', '.join(STUDIES)}")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    outside = 0
    for name in arguments.studies.split(","):
        begin = time.process_time()
        for line in STUDIES[name](arguments.rounds, np.random.default_rng(arguments.seed)):
            print(line.text + (" !" if line.outside else ""), flush=True)
            outside += line.outside
        print(f"# {name}: {time.process_time() - begin:.0f} CPU-seconds", flush=True)
    print(f"{outside} settings outside", flush=True)
    sys.exit(1 if outside else 0)


if __name__ == "__main__":
    main()
