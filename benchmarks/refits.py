"""CPU time of refits of the length-controlled win rate beside refits as upstream makes them.

    pip install scikit-learn
    python benchmarks/refits.py

1,000 refits of 805 made-up rows at the C chosen on all of them, against scikit-learn's liblinear with an L1 penalty,
the solver of alpaca_eval (timed at fewer refits and multiplied); and the interval from a refit without each row. One
process, one thread.
"""

import os

# Before numpy is imported: its threads are started then.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version

import numpy as np

from judgebench.stats.intervals import percentile_interval, resample_counts
from judgebench.stats.length_control import (
    LengthControlled,
    bootstrap_length_controlled,
    length_controlled_interval,
    length_controlled_win_rate,
)

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


def main() -> None:
    warnings.simplefilter("ignore")  # scikit-learn's about arguments that upstream still passes
    print(*(f"{name} {version(name)}" for name in ("numpy", "scipy", "scikit-learn")), sep=", ", end="; CPU-seconds\n")
    refits()


if __name__ == "__main__":
    main()
