"""Coverage and width of a cascade's intervals, on real verdicts of two judges and on made-up wins.

    python benchmarks/cascade_coverage.py --data ../shared/data/bridge

DIR of ``--data`` holds ``wildbench_two_judges.parquet`` and ``ae2_other_judges.parquet``: verdicts of a dear and a
cheap judge on all items of some models. Without it only the made-up wins are simulated. Of each model ``--rounds``
random parts are drawn; the dear judge's mean over all items is known, so that one sees whether the interval holds it.
Figures are means over the models, half-widths in per cent of the scale. With 500 rounds a coverage of 95 % has a
standard error of 1 point for one model.

With ``--looks ROUNDS`` it is also measured what ``--dear auto`` takes: dear verdicts come one by one until an interval
is narrow enough. *Fixed* looks at the interval of a part of fixed size after every tenth verdict, *anytime* at the
confidence sequence with the cheap judge as control, *alone* at the sequence without it. Printed are the share of rounds
in which the interval held the truth when it ended, and the share of the items that it took.

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
from judgebench.stats.sequential import betting_sequence

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


def anytime(dear: np.ndarray, cheap: np.ndarray | None, width: float) -> tuple[int, float, float]:
    """After how many items the confidence sequence is narrow enough, and its interval then."""
    sequence = betting_sequence(dear, len(dear), control=cheap)
    n = sequence.first_narrower(width) or len(dear)
    return n, float(sequence.low[n - 1]), float(sequence.high[n - 1])


def fixed(dear: np.ndarray, cheap: np.ndarray, width: float) -> tuple[int, float, float]:
    """The same, with the interval for a part of fixed size."""
    for n in (*range(20, len(dear), 10), len(dear)):
        found = cascade_mean(dear[:n], cheap[:n], cheap[n:]).interval
        assert found is not None
        if (found.high - found.low) / 2 < width:
            break
    return n, found.low, found.high


def looks(name: str, drawn: list[Pair], width: float, rounds: int, seed: int) -> str:
    """What it takes to look until the interval is narrow enough."""
    held, share = dict.fromkeys(("fixed", "anytime", "alone"), 0), dict.fromkeys(("fixed", "anytime", "alone"), 0.0)
    for number, (dear, cheap) in enumerate(drawn):
        for turn in range(rounds):
            order = np.random.default_rng((seed, number, turn)).permutation(len(dear))
            ends = {
                "fixed": fixed(dear[order], cheap[order], width),
                "anytime": anytime(dear[order], cheap[order], width),
                "alone": anytime(dear[order], None, width),
            }
            for method, (n, low, high) in ends.items():
                held[method] += low - 1e-9 <= dear.mean() <= high + 1e-9
                share[method] += n / len(dear)
    total = rounds * len(drawn)
    text = ", ".join(f"{m} holds {100 * held[m] / total:5.1f} % after {100 * share[m] / total:4.1f} %" for m in held)
    return f"{name:34} until ±{100 * width:g}: {text} ({total} rounds)"


def real(data: Path) -> dict[str, list[Pair]]:
    """The verdicts of two real judges."""
    grades = data / "wildbench_two_judges.parquet", "gpt-4o-2024-05-13", "gpt-4-turbo-2024-04-09"
    wins = data / "ae2_other_judges.parquet", "alpaca_eval_gpt4_turbo_fn", "alpaca_eval_cot_gpt4_turbo_fn"
    return {
        "WildBench, grades": pairs(*grades, "score", "session_id", 1, 10),
        "AlpacaEval 2, wins": pairs(*wins, "preference", "idx", 1, 2),
    }


def populations(data: Path | None, seed: int) -> dict[str, list[Pair]]:
    """Real verdicts, if they are there, and made-up wins that are rare."""
    rare = [made_up(805, 0.03, np.random.default_rng(seed))]
    return {**(real(data) if data is not None else {}), "805 items, 3 % wins": rare}


def settings(data: Path | None, rounds: int, seed: int) -> Iterator[tuple[str, bool]]:
    if data is not None:
        for name, drawn in real(data).items():
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
    parser.add_argument("--looks", type=int, default=0, metavar="ROUNDS")
    arguments = parser.parse_args()
    outside = 0
    if arguments.looks:
        for name, drawn in populations(arguments.data, arguments.seed).items():
            for width in (0.02, 0.03, 0.05):
                print(looks(name, drawn, width, arguments.looks, arguments.seed), flush=True)
    for text, below in settings(arguments.data, arguments.rounds, arguments.seed):
        print(text + (" !" if below else ""), flush=True)
        outside += below
    print(f"# {outside} settings below {100 * LEAST:g} %", flush=True)
    sys.exit(1 if outside else 0)


if __name__ == "__main__":
    main()
