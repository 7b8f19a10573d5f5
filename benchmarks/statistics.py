"""CPU time of the bootstraps beside scipy's and beside refits as upstream makes them; memory at a million items.

    pip install scikit-learn
    python benchmarks/statistics.py

Three measurements in one process and one thread, data made up:

* 10,000 paired rounds over 1,000 items and 20 metrics of two runs, against ``scipy.stats.bootstrap`` (vectorised,
  paired, percentile; timed at fewer rounds and multiplied, its time being proportional to them);
* 1,000 refits of the length-controlled win rate of 805 rows at the C chosen on all of them, against scikit-learn's
  liblinear with an L1 penalty, the solver of alpaca_eval (also timed at fewer);
* a bootstrap of 1,000,000 items, whose peak memory is printed.
"""

import importlib
import os
import sys

if __name__ == "statistics":
    # A program of this folder, or what it imports, wants Python's own module of this name, and the folder comes first.
    sys.path.remove(os.path.dirname(os.path.abspath(__file__)))
    del sys.modules["statistics"]
    importlib.import_module("statistics")

# Before numpy is imported: its threads are started then.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import resource
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version

import numpy as np

from judgebench.stats.clustered import bootstrap_estimates, cluster_totals, difference
from judgebench.stats.intervals import percentile_interval, resample_counts
from judgebench.stats.length_control import (
    LengthControlled,
    bootstrap_length_controlled,
    length_controlled_interval,
    length_controlled_win_rate,
)

ITEMS, METRICS, ROUNDS = 1000, 20, 10_000
ROWS, REFITS = 805, 1000


def cpu_seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """The least CPU time of a call: other work on the machine only adds to it."""
    found = []
    for _ in range(repeats):
        begin = time.process_time()
        call()
        found.append(time.process_time() - begin)
    return min(found)


def line(name: str, ours: float, theirs: float, who: str) -> None:
    print(f"{name:44} ours {ours:8.3f}   {who} {theirs:8.3f}   ratio {theirs / ours:6.1f}", flush=True)


def paired() -> None:
    from scipy.stats import bootstrap

    rng = np.random.default_rng(0)
    skill = rng.random((ITEMS, METRICS))
    first, second = (rng.binomial(2, skill) / 2 for _ in range(2))

    def ours() -> object:
        statistics = [
            difference(cluster_totals(one), cluster_totals(other)) for one, other in zip(first.T, second.T, strict=True)
        ]
        return bootstrap_estimates(statistics, rng=np.random.default_rng(1), rounds=ROUNDS, method="percentile")

    fewer = ROUNDS // 20

    def theirs() -> object:
        return bootstrap(
            (first, second),
            lambda one, other, axis: one.mean(axis=axis) - other.mean(axis=axis),
            paired=True,
            vectorized=True,
            axis=0,
            n_resamples=fewer,
            batch=50,
            method="percentile",
            rng=np.random.default_rng(1),
        )

    name = f"{ROUNDS:,} paired rounds, {ITEMS:,} items x {METRICS}"
    line(name, cpu_seconds(ours), cpu_seconds(theirs, 1) * ROUNDS / fewer, "scipy")


def refits() -> None:
    rng = np.random.default_rng(2)
    lengths = np.round(rng.normal(-150, 500, ROWS))
    mean = 1 / (1 + np.exp(0.8 * np.tanh(lengths / 500)))
    preference = rng.beta(0.3 * mean, 0.3 * (1 - mean))
    fit = length_controlled_win_rate(preference, lengths)

    def ours() -> object:
        counts = resample_counts(ROWS, REFITS, np.random.default_rng(3))
        return percentile_interval(bootstrap_length_controlled(preference, lengths, fit, counts))

    fewer = REFITS // 20
    theirs = cpu_seconds(lambda: liblinear(preference, lengths, fit, fewer), 1) * REFITS / fewer
    line(f"{REFITS:,} length-controlled refits, {ROWS} rows", cpu_seconds(ours), theirs, "liblinear")
    seconds = cpu_seconds(lambda: length_controlled_interval(preference, lengths, fit))
    print(f"{'interval from 805 refits without a row each':44} ours {seconds:8.3f}", flush=True)


def liblinear(preference: np.ndarray, lengths: np.ndarray, fit: LengthControlled, rounds: int) -> np.ndarray:
    """The refits as upstream's solver makes them: soft targets are two weighted rows each."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        sys.exit(f"the comparison needs scikit-learn ({error}): pip install scikit-learn")
    rng, found = np.random.default_rng(3), []
    for _ in range(rounds):
        drawn = rng.integers(ROWS, size=ROWS)
        feature = np.tanh(lengths[drawn] / lengths[drawn].std(ddof=1))
        design = np.stack([feature, np.ones(ROWS)], axis=1)
        model = LogisticRegression(C=fit.c, penalty="l1", solver="liblinear", fit_intercept=False)
        target = np.repeat([1, 0], ROWS)
        model.fit(np.concatenate([design, design]), target, np.concatenate([preference[drawn], 1 - preference[drawn]]))
        found.append(model.predict_proba(design * [0, 1])[:, 1].mean())
    return np.array(found)


def large(items: int, rounds: int) -> None:
    values = np.random.default_rng(4).random(items)
    statistic = cluster_totals(values)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begin = time.process_time()
    bootstrap_estimates([statistic], rng=np.random.default_rng(5), rounds=rounds)
    seconds = time.process_time() - begin
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{rounds} BCa rounds over {items:,} items: {seconds:.2f} CPU-seconds, ", end="")
    print(f"peak memory {after:.0f} MiB, {after - before:.0f} above what the data took")


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU time and memory of the bootstraps.")
    parser.add_argument("--items", type=int, default=1_000_000, help="of the memory measurement")
    parser.add_argument("--item-rounds", type=int, default=200, help="its rounds; memory does not depend on them")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # scikit-learn's about arguments that upstream still passes
    print(*(f"{name} {version(name)}" for name in ("numpy", "scipy", "scikit-learn")), sep=", ", end="; CPU-seconds\n")
    # First: a process's peak memory never falls again.
    large(arguments.items, arguments.item_rounds)
    paired()
    refits()


if __name__ == "__main__":
    main()
