"""After how many items is it known which of two models is better, with and without what is known of the items before?

    python benchmarks/early_decisions.py --data ../shared/data/alpacaeval

DIR of ``--data`` holds ``ae2_annotations.parquet``: verdicts of AlpacaEval 2's judge on the answers of many models. Of
each of ``--pairs`` random pairs, whose items come in a random order, ``stats.sequential.decide`` says which of the two
models has the higher win rate over all items. A line is one way to ask; all see the same pairs and orders:

- *today*: the paired differences, bets of a run to its end.
- *early bets*: the same with the bets that a control brings, and a control that says nothing.
- *others*: the control is the mean share that all other models have on an item. Both models are judged in turn.
- *baseline known*: one of the two was judged on all items before, as for ``gate --sequential``. Its verdicts are a
  control, and the other one's win rate is compared with its known win rate.
- *baseline and others*: both controls.

Printed are the median and the mean share of the items that it took, and how many answers were wrong; each may be with a
probability of 5 %, whatever the control. The second part simulates that level: the threshold lies as near to the truth
as numbers allow, on its wrong side, for controls that foresee the scores, say nothing, or are opposed to them on
a fifth of the items.

The program ends with exit code 1 if a level is above 5.5 %, or the last line needs more than 10 % in the median.
"""

import os

# Before numpy is imported: its threads are started then.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from judgebench.stats.sequential import SequentialDecision, decide

GOAL, MOST = 0.10, 0.055
Ask = Callable[[np.ndarray, np.ndarray, np.ndarray], SequentialDecision]
"""From the shares of both models and of all others, in the order of judging."""


def differences(control: Callable[[np.ndarray], np.ndarray | None]) -> Ask:
    """Both models are judged in turn."""
    return lambda one, two, others: decide(one - two, len(one), 0.0, lower=-1, upper=1, control=control(others))


def known(control: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Ask:
    """The second model was judged before."""
    return lambda one, two, others: decide(one, len(one), float(two.mean()), control=control(two, others))


WAYS: dict[str, Ask] = {
    "today": differences(lambda others: None),
    "early bets": differences(lambda others: np.zeros(len(others))),
    "others": differences(lambda others: others.mean(axis=1)),
    "baseline known": known(lambda two, others: two),
    "baseline and others": known(lambda two, others: np.column_stack([two, others.mean(axis=1)])),
}


def shares(path: Path) -> np.ndarray:
    """Share of the win by item and model, of the items that all models have."""
    import pandas as pd

    table = pd.read_parquet(path).pivot_table(index="row", columns="model", values="preference") - 1
    return table.dropna().to_numpy()


def measure(verdicts: np.ndarray, pairs: int, seed: int) -> dict[str, float]:
    """The median share of the items, by way to ask."""
    items, models = verdicts.shape
    print(f"# {models} models, {items} items, {pairs} pairs", flush=True)
    medians = {}
    for name, ask in WAYS.items():
        rng, took, wrong = np.random.default_rng(seed), [], 0
        for _ in range(pairs):
            one, two = rng.choice(models, 2, replace=False)
            ordered = verdicts[rng.permutation(items)]
            found = ask(ordered[:, one], ordered[:, two], np.delete(ordered, [one, two], axis=1))
            took.append(found.n / items)
            # Not the means: their rounding differs from that of the mean difference.
            wrong += (found.verdict == "above") != bool((verdicts[:, one] - verdicts[:, two]).sum() >= 0)
        medians[name] = float(np.median(took))
        quarter = np.quantile(took, [0.25, 0.75])
        print(
            f"{name:20} median {100 * medians[name]:5.1f} %, mean {100 * np.mean(took):5.1f} %, middle half "
            f"{100 * quarter[0]:4.1f} to {100 * quarter[1]:4.1f} %, {wrong} wrong",
            flush=True,
        )
    return medians


def levels(rounds: int, items: int, seed: int) -> list[float]:
    """The share of wrong answers where the truth lies just on the other side of the threshold."""
    found = []
    kinds = ("says nothing", "foresees", "opposed on a fifth", "is the score")
    for shape in ("wins", "rare wins", "shares"):
        for kind in kinds:
            rng, wrong = np.random.default_rng(seed), np.zeros(2)
            for _ in range(rounds):
                quality = rng.normal(size=items)
                seen = quality + rng.normal(size=items)
                if shape == "shares":
                    scores = 1 / (1 + np.exp(-2 * seen))
                else:
                    scores = (seen > np.quantile(seen, 0.97 if shape == "rare wins" else 0.4)) * 1.0
                control = {"says nothing": rng.normal(size=items), "foresees": quality, "is the score": scores}.get(
                    kind, np.where(np.arange(items) < items // 5, -quality, quality)
                )
                order = rng.permutation(items)
                mean = float(scores.mean())
                for side, away in enumerate((1e-7, -1e-7)):
                    answer = decide(scores[order], items, mean + away, control=control[order]).verdict
                    wrong[side] += answer == ("above", "below")[side]
            found += [float(share) for share in wrong / rounds]
            print(
                f"level: {shape:10} control {kind:18} wrong above {100 * wrong[0] / rounds:4.1f} %, below "
                f"{100 * wrong[1] / rounds:4.1f} %",
                flush=True,
            )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of ae2_annotations.parquet")
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    failed = False
    if arguments.data is not None:
        medians = measure(shares(arguments.data / "ae2_annotations.parquet"), arguments.pairs, arguments.seed)
        failed = medians["baseline and others"] > GOAL
    if arguments.rounds:
        failed = max(levels(arguments.rounds, arguments.items, arguments.seed)) > MOST or failed
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
