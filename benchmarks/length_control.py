"""Time of the length-controlled win rate against upstream's, on the same annotations, in one process and one thread.

    pip install alpaca-eval==0.6.6 "setuptools<81"    # it imports pkg_resources, which later ones lack
    python benchmarks/length_control.py --mirror DIR

DIR (default: the environment variable JUDGEBENCH_MIRROR) is searched for ``ae2_annotations.parquet``, AlpacaEval 2
annotations of 40 models, and for ``df_gamed.csv`` or its stand-in ``df_gamed_reconstructed.csv``. Per model, upstream's
``get_length_controlled_winrate`` (tatsu-lab/alpaca_eval@cd543a1:src/alpaca_eval/metrics/glm_winrate.py; no weights
saved, its download answered with that table) and ours run one after the other, so that other load on the machine
weighs on both. Both cross-validate and refit. The time is the median over ``--repeats``. Difficulties are looked up by
row position, as upstream does. Reading files is in neither time, except that upstream reads the table in every call.
"""

import os

# Before numpy is imported: its threads are started then.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import contextlib
import logging
import platform
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np
import pandas as pd

from judgebench.stats.intervals import percentile_interval, resample_counts
from judgebench.stats.length_control import AnchorRows, bootstrap_length_controlled, length_controlled_win_rate

GAMED = ("df_gamed.csv", "df_gamed_reconstructed.csv")
ANNOTATIONS = ("ae2_annotations.parquet",)
Result = TypeVar("Result")


def find(mirror: Path, names: tuple[str, ...]) -> Path:
    found = [path for name in names for path in sorted(mirror.rglob(name))]
    if not found:
        sys.exit(f"{' or '.join(names)} is nowhere under {mirror}; --mirror names a folder that holds it")
    return found[0]


def processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def upstream_metric(gamed: Path) -> Callable[..., dict[str, float]]:
    try:
        from alpaca_eval.metrics import glm_winrate
    except ImportError as error:
        sys.exit(f"the comparison needs upstream's package ({error}): pip install alpaca-eval==0.6.6 'setuptools<81'")
    glm_winrate.hf_hub_download = lambda *_, **__: str(gamed)
    logging.disable(logging.WARNING)  # it warns of large differences, and of deprecated scikit-learn arguments
    return glm_winrate.get_length_controlled_winrate


def upstream_frame(rows: pd.DataFrame) -> pd.DataFrame:
    """The columns that upstream reads; only the lengths of the outputs matter."""
    return pd.DataFrame(
        {
            "preference": rows["preference"].to_numpy(),
            "output_1": ["x" * n for n in rows["len_1"]],
            "output_2": ["x" * n for n in rows["len_2"]],
            # Else the model that is the baseline itself would not be fitted at all.
            "generator_1": "baseline",
            "generator_2": "model",
            "annotator": "judge",
        }
    )


def seconds(call: Callable[[], Result], repeats: int) -> tuple[float, Result]:
    """Median time of a call, and its result."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return median(times), result


def main() -> None:
    parser = argparse.ArgumentParser(description="Times the length-controlled win rate against upstream's.")
    mirror = os.environ.get("JUDGEBENCH_MIRROR")
    parser.add_argument("--mirror", type=Path, default=mirror and Path(mirror), help="folder that holds the data")
    parser.add_argument("--repeats", type=int, default=3, help="runs per model; the median counts")
    arguments = parser.parse_args()
    if arguments.mirror is None:
        parser.error("give --mirror DIR, or set JUDGEBENCH_MIRROR")
    warnings.simplefilter("ignore")  # scikit-learn's about arguments that upstream still passes
    gamed = find(arguments.mirror, GAMED)
    upstream = upstream_metric(gamed)
    table = pd.read_csv(gamed)
    difficulty = table.drop_duplicates("index")["instruction_difficulty"].to_numpy(dtype=float)
    columns = [table[name].to_numpy(dtype=float) for name in ("preference", "std_delta_len", "instruction_difficulty")]
    anchors = AnchorRows(columns[0], columns[1], columns[2])

    packages = ("numpy", "pandas", "scikit-learn", "alpaca_eval")
    print(f"{processor()}, {os.cpu_count()} cores, one thread; Python {platform.python_version()}", end="")
    print(*(f", {name} {version(name)}" for name in packages), sep="")
    print(f"{'model':36} {'upstream s':>10} {'ours s':>9} {'ratio':>6} {'LC upstream':>12} {'LC ours':>9}")
    totals, differences, refits = np.zeros(2), [], []
    for model, rows in pd.read_parquet(find(arguments.mirror, ANNOTATIONS)).groupby("model"):
        frame = upstream_frame(rows)
        preference = rows["preference"].replace(0.0, 1.5).to_numpy(dtype=float) - 1
        length_difference = (rows["len_1"] - rows["len_2"]).to_numpy(dtype=float)
        if not np.ptp(length_difference):
            print(f"{model:36} left out: all lengths are equal, where upstream crashes")
            continue
        given = {"difficulty": difficulty[: len(rows)], "anchors": anchors}
        call_upstream = partial(upstream, frame, save_weights_dir=None)
        call_ours = partial(length_controlled_win_rate, preference, length_difference, **given)
        theirs, metrics = seconds(call_upstream, arguments.repeats)
        ours, fit = seconds(call_ours, arguments.repeats)
        their_rate, our_rate = metrics["length_controlled_winrate"], fit.win_rate
        print(f"{model:36} {theirs:10.4f} {ours:9.5f} {theirs / ours:6.1f} {their_rate:12.5f} {our_rate:9.5f}")
        totals += theirs, ours
        differences.append(abs(their_rate - our_rate))

        start = time.process_time()
        counts = resample_counts(len(rows), 1000, np.random.default_rng(0))
        replicates = bootstrap_length_controlled(preference, length_difference, fit, counts, **given)
        interval = percentile_interval(replicates)
        refits.append(time.process_time() - start)
        assert interval is not None
    theirs, ours = totals
    print(f"{f'total of {len(refits)} models':36} {theirs:10.4f} {ours:9.5f} {theirs / ours:6.1f}")
    print(f"largest difference of a win rate: {max(differences):.4f} points (upstream's solver is approximate)")
    print(f"1,000 bootstrap refits of one model: median {median(refits):.3f}, longest {max(refits):.3f} CPU seconds")


if __name__ == "__main__":
    main()
