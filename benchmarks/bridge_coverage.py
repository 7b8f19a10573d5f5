"""Coverage of the intervals of a judge bridge, by simulation on item verdicts of two noisy judges.

    python benchmarks/bridge_coverage.py --rounds 4000

Every round draws a bridge of M models and one model more, each with 805 verdicts by either judge, and asks whether the
new model's official win rate lies in the interval that the bridge gives it. A model's official quality is, on the logit
scale, the slope times its quality in the eyes of the judge of today, and an effect of its own with standard deviation
tau; what makes an item easy is the same for both judges. With 4,000 rounds a coverage of 95 % has a standard error of
0.35 points.

"all" counts every new model, refused or not; "given" those that the rules do not refuse, and beside it stands how many
these are. A mark ``!`` stands behind a coverage of "all" outside 93 to 97 %, and the program ends with exit code 1 if
there is one. Settings in brackets are for comparison: what they assume, the method does not promise to cover.
"""

import os

# Before numpy is imported: its threads are started then.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import sys
import time
from dataclasses import dataclass

import numpy as np

from judgebench.stats.bridge import Prediction, controlled_mean, fit_bridge

ITEMS = 805
MODELS = (6, 8, 12, 20)
LEAST, MOST = 0.93, 0.97


@dataclass(frozen=True)
class Setting:
    """What the two judges are like."""

    name: str
    slope: float
    tau: float
    heavy: bool = False
    """Effects with Student's t distribution of 5 degrees of freedom, of the same standard deviation."""
    items: int | None = None
    """How many items the judge of today sees of each bridge model; all by default."""
    quoted: bool = True


SETTINGS = (
    Setting("judges alike: slope 1, tau 0", 1.0, 0.0),
    Setting("slope 0.9, tau 0.25", 0.9, 0.25),
    Setting("strict judge: slope 0.7, tau 0.25", 0.7, 0.25),
    Setting("weak judge: slope 1.7, tau 0.4", 1.7, 0.4),
    Setting("(slope 0.9, tau 0.25, t effects)", 0.9, 0.25, heavy=True, quoted=False),
    Setting("(slope 0.9, tau 0.25, 100 items)", 0.9, 0.25, items=100, quoted=False),
)


def draw(setting: Setting, models: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Verdicts of the judge of today and of the official one, shapes (models, 805)."""
    quality = rng.normal(-0.5, 1, models)
    effects = rng.standard_t(5, models) * np.sqrt(3 / 5) if setting.heavy else rng.normal(size=models)
    official = -0.3 + setting.slope * quality + setting.tau * effects
    ease = rng.normal(size=ITEMS)
    sides = (quality, official)
    judged, published = ((side[:, None] + ease + rng.logistic(size=(models, ITEMS)) > 0) * 1.0 for side in sides)
    return judged, published


def predicted(setting: Setting, judged: np.ndarray, official: np.ndarray, rng: np.random.Generator) -> Prediction:
    """The last model's official number, from a bridge over the others; given though it may be refused."""
    rates, errors = judged[:-1].mean(axis=1), np.zeros(len(judged) - 1)
    if setting.items is not None:
        order = rng.permutation(ITEMS)
        drawn, rest = order[: setting.items], order[setting.items :]
        means = [controlled_mean(j[drawn], y[drawn], y[rest]) for j, y in zip(judged[:-1], official, strict=False)]
        # A random part may lie beyond what shares can be.
        rates, errors = np.clip([m.value for m in means], 0, 1), np.array([m.stderr for m in means])
    fit = fit_bridge(100 * rates, 100 * official[:-1].mean(axis=1), judged_stderr=100 * errors)
    return fit.predict(100 * judged[-1].mean(), force=True)


def simulate(setting: Setting, models: int, rounds: int, rng: np.random.Generator) -> tuple[str, bool]:
    """A line of figures, and whether the coverage is outside."""
    held, given, widths = np.zeros(rounds, dtype=bool), np.zeros(rounds, dtype=bool), np.zeros(rounds)
    for place in range(rounds):
        judged, official = draw(setting, models + 1, rng)
        found = predicted(setting, judged, official, rng)
        held[place] = found.interval.low <= 100 * official[-1].mean() <= found.interval.high
        given[place] = not found.reasons
        widths[place] = (found.interval.high - found.interval.low) / 2
    line = (
        f"{setting.name:34} M={models:2}: all {100 * held.mean():5.1f} %, given {100 * held[given].mean():5.1f} % "
        f"({100 * given.mean():3.0f} % of the models), median half-width {np.median(widths):4.1f}"
    )
    return line, setting.quoted and not LEAST <= held.mean() <= MOST


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4000)
    parser.add_argument("--models", default=",".join(map(str, MODELS)), help="sizes of the bridge")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    outside, begin = 0, time.process_time()
    for place, setting in enumerate(SETTINGS):
        for models in map(int, arguments.models.split(",")):
            rng = np.random.default_rng((arguments.seed, place, models))
            line, out = simulate(setting, models, arguments.rounds, rng)
            print(line + (" !" if out else ""), flush=True)
            outside += out
    print(f"# {time.process_time() - begin:.0f} CPU-seconds, {outside} settings outside", flush=True)
    sys.exit(1 if outside else 0)


if __name__ == "__main__":
    main()
