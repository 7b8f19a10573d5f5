"""Coverage and width of a cascade's intervals, on real verdicts of two judges and on made-up wins.

    python benchmarks/cascade_coverage.py --data ../shared/data/bridge

DIR of ``--data`` holds ``wildbench_two_judges.parquet`` and ``ae2_other_judges.parquet``: verdicts of a dear and a
cheap judge on all items of some models. Without it only the made-up wins are simulated. Of each model ``--rounds``
random parts are drawn; the dear judge's mean over all items is known, so that one sees whether the interval holds it.
Figures are means over the models, half-widths in per cent of the scale. With 500 rounds a coverage of 95 % has a
standard error of 1 point for one model.

A mark ``!`` stands behind the coverage below 93 % of an interval that ``cascade_mean`` would choose by itself, and the
program ends with exit code 1 if there is one. Exempt, as in ``coverage.py``, are sets of which fewer than five items
are won.
"""

import os

# Before numpy is imported: its threads are started then.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from judgebench.stats.cascade import cascade_mean
from judgebench.stats.intervals import Interval

SIZES = (50, 100, 200, 400)
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9, 0.95)
LEAST = 0.93
Pair = tuple[np.ndarray, np.ndarray]
"""Verdicts of the dear and of the cheap judge on all items, from 0 to 1."""


def pairs(path: Path, dear: str, cheap: str, verdict: str, item: str, least: float, most: float) -> list[Pair]:
    """Each model's verdicts on the items that both judges judged."""
    import pandas as pd

    table = pd.read_parquet(path)
    found = []
    for _, rows in table.groupby("model"):
        both = rows.pivot_table(index=item, columns="judge", values=verdict)
        if {dear, cheap} <= set(both.columns):
            scores = (both[[dear, cheap]].dropna().to_numpy() - least) / (most - least)
            found.append((scores[:, 0], scores[:, 1]))
    return found


def made_up(items: int, rate: float, rng: np.random.Generator) -> Pair:
    """Wins by two judges that see the same quality, one of them with noise."""
    quality = rng.normal(size=items)
    seen = quality + 0.7 * rng.normal(size=items)
    wins = round(rate * items)
    return (np.argsort(np.argsort(-quality)) < wins) * 1.0, (np.argsort(np.argsort(-seen)) < wins) * 1.0


def alone(dear: np.ndarray, cheap: np.ndarray, rest: np.ndarray) -> Interval | None:
    """Without the cheap judge: the mean of the part and its t interval."""
    from scipy.stats import t

    n = len(dear)
    stderr = ((1 - n / (n + len(rest))) * dear.var(ddof=1) / n) ** 0.5
    return Interval.around(float(dear.mean()), t.ppf(0.975, n - 1) * stderr, 0.95, "t")


METHODS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], Interval | None]] = {
    "t": lambda dear, cheap, rest: cascade_mean(dear, cheap, rest, corners=False).interval,
    "four corners": lambda dear, cheap, rest: cascade_mean(dear, cheap, rest, corners=True).interval,
    "alone": alone,
}


def figures(drawn: list[Pair], n: int, rounds: int, rng: np.random.Generator) -> dict[str, tuple[float, float, float]]:
    """Of each method the coverage, that of its worst model, and the half-width in per cent of the scale."""
    held = {method: np.zeros(len(drawn)) for method in METHODS}
    width = dict.fromkeys(METHODS, 0.0)
    for model, (dear, cheap) in enumerate(drawn):
        for _ in range(rounds):
            order = rng.permutation(len(dear))
            part, rest = order[:n], order[n:]
            for method, interval in METHODS.items():
                found = interval(dear[part], cheap[part], cheap[rest])
                # A sum of wins may miss the truth by rounding.
                held[method][model] += found.low - 1e-9 <= dear.mean() <= found.high + 1e-9
                width[method] += 100 * (found.high - found.low) / 2 / rounds / len(drawn)
    return {m: (float(held[m].mean()) / rounds, float(held[m].min()) / rounds, width[m]) for m in METHODS}


def line(
    name: str, drawn: list[Pair], n: int, rounds: int, rng: np.random.Generator, quoted: str | None
) -> tuple[str, bool]:
    """One setting's figures, and whether the quoted interval covers too seldom."""
    found = figures(drawn, n, rounds, rng)
    gain = (found["alone"][2] / found["t"][2]) ** 2 if found["t"][2] else float("nan")
    text = ", ".join(f"{m} {100 * c:5.1f} % (worst {100 * w:5.1f}) ±{h:5.2f}" for m, (c, w, h) in found.items())
    return f"{name:34} n={n:3}: {text}; gain {gain:.1f}", quoted is not None and found[quoted][0] < LEAST


def settings(data: Path | None, rounds: int, seed: int) -> Iterator[tuple[str, bool]]:
    if data is not None:
        grades = data / "wildbench_two_judges.parquet", "gpt-4o-2024-05-13", "gpt-4-turbo-2024-04-09"
        wins = data / "ae2_other_judges.parquet", "alpaca_eval_gpt4_turbo_fn", "alpaca_eval_cot_gpt4_turbo_fn"
        real = {
            "WildBench, grades": pairs(*grades, "score", "session_id", 1, 10),
            "AlpacaEval 2, wins": pairs(*wins, "preference", "idx", 1, 2),
        }
        for name, drawn in real.items():
            for n in SIZES:
                chosen = "t" if "grades" in name and n >= 100 else "four corners"
                text = f"{name} ({len(drawn)} models)"
                yield line(text, drawn, n, rounds, np.random.default_rng((seed, n)), chosen)
    for items in (100, 805):
        for rate in (0.03, 0.5):
            rng = np.random.default_rng((seed, items))
            drawn = [made_up(items, rate, rng) for _ in range(4)]
            quoted = "four corners" if rate * items >= 5 else None
            for share in SHARES:
                yield line(f"{items} items, {100 * rate:g} % wins", drawn, int(items * share), rounds, rng, quoted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the two files")
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    outside = 0
    for text, below in settings(arguments.data, arguments.rounds, arguments.seed):
        print(text + (" !" if below else ""), flush=True)
        outside += below
    print(f"# {outside} settings below {100 * LEAST:g} %", flush=True)
    sys.exit(1 if outside else 0)


if __name__ == "__main__":
    main()
