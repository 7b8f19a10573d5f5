"""Time of bootstrapped Bradley–Terry ratings and of WB-Elo against upstream's way of making them, side by side.

    python benchmarks/ratings.py                # needs scipy
    pip install arena-rank==0.1.1               # optional, in an environment of its own: it wants an older numpy

Battles: 1,000,000 among 100 models, made up, as two columns of integers and one of outcomes, from which all programs
start; once with models that are battled unequally often, as in an arena (exponential shares), once equally often. Then

* ours: counting, the fit, sandwich intervals, and 100 bootstrap rounds;
* FastChat's way (lm-sys/FastChat@0e6d3e4:fastchat/serve/monitor/rating_systems.py), written down anew here: unique rows
  with counts, multinomial resamples of the counts, and per round L-BFGS-B from zeros on all rows (gtol 1e-6, at most
  100 iterations). All rounds in this process, which spares it the transfer of weights to workers;
* arena-rank from the package index, if installed: its own loading, its fit, and ``--arena-rank-rounds`` refits by the
  function that its workers call, in this process (its worker pool can dead-lock), scaled to all rounds.

Votes: scores of 63 models on 1,024 questions, made up so that about 1.95 million votes arise, official setting, 128
random orders, once with 35 anchored models (as many have a human rating) and once with none. The reference is what
allenai/WildBench@d6b8dca:leaderboard/wb_elo.py does for one order, written down plainly: it pickles the votes, which
are dictionaries, for a worker, which unpickles them, shuffles them and passes over them once. It is timed for one order
of all votes (of the first ``--sample`` of them, if given) and **extrapolated** in proportion to all orders. Upstream
itself was measured at about 31 s an order with two workers on two cores, 40 to 65 minutes for all: ratios to that are
printed, too, though it was another machine.

Every number is one run in one process and one thread, one program after the other.
"""

import os

# Before numpy is imported: its threads are started then.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import contextlib
import pickle
import platform
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from judgebench.stats.bradley_terry import CENTRE, SCALE, bootstrap_ratings, bradley_terry, count_battles
from judgebench.stats.bradley_terry import sandwich_spreads as sandwich
from judgebench.stats.elo import shuffled_elo, votes_from_scores

FloatArray = NDArray[np.float64]
Battles = tuple[NDArray[np.int64], NDArray[np.int64], FloatArray]


def processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


class Watch:
    """Seconds of named steps."""

    def __init__(self) -> None:
        self.steps: dict[str, float] = {}

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        start = time.perf_counter()
        yield
        self.steps[name] = time.perf_counter() - start

    @property
    def total(self) -> float:
        """Seconds of all steps."""
        return sum(self.steps.values())

    def line(self) -> str:
        """All steps in a line."""
        return ", ".join(f"{name} {seconds:.3f}" for name, seconds in self.steps.items())


def made_up_battles(n_models: int, n_battles: int, uneven: bool) -> Battles:
    rng = np.random.default_rng(1)
    theta = rng.normal(size=n_models)
    share = rng.exponential(size=n_models) if uneven else np.ones(n_models)
    # Battles of a model with itself are drawn, too, and left out: hence a few more.
    a, b = rng.choice(n_models, (2, int(1.1 * n_battles) + 100), p=share / share.sum())
    a, b = a[a != b][:n_battles], b[a != b][:n_battles]
    won = rng.random(len(a)) < 1 / (1 + np.exp(theta[b] - theta[a]))
    return a, b, np.where(rng.random(len(a)) < 0.2, 0.5, won.astype(float))


def ours(battles: Battles, rounds: int) -> tuple[Watch, FloatArray, FloatArray]:
    watch = Watch()
    with watch.step("counting"):
        counted = count_battles(*battles)
    with watch.step("fit"):
        fit = bradley_terry(counted)
    with watch.step("sandwich"):
        sandwich(fit)
    with watch.step(f"{rounds} rounds"):
        resampled = bootstrap_ratings(fit, rng=np.random.default_rng(0), rounds=rounds)
    return watch, np.array(fit.ratings, dtype=float), resampled.ratings


def fastchat_way(battles: Battles, rounds: int) -> tuple[Watch, FloatArray, FloatArray]:
    watch, (a, b, outcome) = Watch(), battles
    n, alpha = int(max(a.max(), b.max())) + 1, float(np.log(10))
    with watch.step("counting"):
        table = np.column_stack([a, b, 2 * outcome]).astype(np.int32)
        rows, counts = np.unique(table, return_counts=True, axis=0)
        pairs, outcomes = rows[:, :2], rows[:, 2] / 2

    def loss_and_slope(ratings: FloatArray, weights: FloatArray) -> tuple[float, FloatArray]:
        both = ratings[pairs]
        probability = expit(alpha * (both[:, 0] - both[:, 1]))
        loss = -((np.log(probability) * outcomes + np.log(1 - probability) * (1 - outcomes)) * weights).sum()
        error = alpha * (probability - outcomes) * weights
        slope = np.zeros(n)
        np.add.at(slope, pairs, error[:, None] * np.array([1.0, -1.0]))
        return loss, slope

    def fit(weights: FloatArray) -> FloatArray:
        options: dict[str, Any] = {"gtol": 1e-6, "maxiter": 100}
        found = minimize(loss_and_slope, np.zeros(n), args=(weights,), jac=True, method="L-BFGS-B", options=options).x
        return np.asarray(CENTRE + 400 * (found - found.mean()))

    with watch.step("fit"):
        ratings = fit(counts / counts.sum())
    with watch.step(f"{rounds} rounds"):
        drawn = np.random.default_rng(0).multinomial(counts.sum(), counts / counts.sum(), size=rounds)
        replicates = np.array([fit(weights / counts.sum()) for weights in drawn])
    return watch, ratings, replicates


def arena_rank(battles: Battles, rounds: int, timed_rounds: int) -> tuple[Watch, FloatArray] | None:
    try:
        import jax.numpy as jnp
        import pandas as pd
        from arena_rank.models.bradley_terry import BradleyTerry, fit_single_bootstrap_sample
        from arena_rank.utils.data_utils import PairDataset
    except ImportError:
        return None
    watch, (a, b, outcome) = Watch(), battles
    frame = pd.DataFrame({"model_a": a, "model_b": b, "winner": outcome})
    with watch.step("counting"):
        dataset = PairDataset.from_pandas(frame, outcome_map=float)
    model = BradleyTerry(dataset.n_competitors)
    with watch.step("fit"):
        model.fit(dataset)
        ratings = CENTRE + SCALE * np.asarray(model.params["ratings"])
    with watch.step("sandwich"):
        np.asarray(model.compute_ratings_and_cis(dataset)["rating_upper"])
    counts = np.asarray(dataset.counts)
    start = time.perf_counter()
    for drawn in np.random.default_rng(0).multinomial(int(counts.sum()), counts / counts.sum(), size=timed_rounds):
        np.asarray(fit_single_bootstrap_sample(jnp.asarray(drawn, dtype=float), model, dataset)["ratings"])
    watch.steps[f"{rounds} rounds (scaled from {timed_rounds})"] = (time.perf_counter() - start) * rounds / timed_rounds
    return watch, ratings


def compare_ratings(arguments: argparse.Namespace, uneven: bool) -> None:
    battles = made_up_battles(arguments.models, arguments.battles, uneven)
    often = "unequally" if uneven else "equally"
    print(f"\n{len(battles[0]):,} battles among {arguments.models} models, battled {often} often; seconds")
    ours(made_up_battles(5, 5000, uneven), 2)  # warm: imports and first calls
    watch, ratings, replicates = ours(battles, arguments.rounds)
    print(f"  ours             {watch.total:9.3f}  ({watch.line()})")
    found, theirs, their_replicates = fastchat_way(battles, arguments.rounds)
    print(f"  FastChat's way   {found.total:9.3f}  ({found.line()})")
    gap, spread = np.abs(theirs - ratings).max(), (their_replicates.std(axis=0) / replicates.std(axis=0)).mean()
    print(f"    ratings differ by at most {gap:.3f} points, bootstrap deviations by a factor {spread:.3f} on average")
    compared = {"FastChat's way": found}
    if other := arena_rank(battles, arguments.rounds, arguments.arena_rank_rounds):
        compared["arena-rank"] = other[0]
        print(f"  arena-rank       {other[0].total:9.3f}  ({other[0].line()})")
        print(f"    ratings differ by at most {np.abs(other[1] - ratings).max():.3f} points")
    else:
        print("  arena-rank is not installed")
    mine = list(watch.steps.values())[-1]
    for name, steps in compared.items():
        alone = list(steps.steps.values())[-1] / mine
        print(f"  {name} / ours: {steps.total / watch.total:.1f} in all, {alone:.1f} for the rounds alone")


def single_votes(scores: FloatArray, lengths: FloatArray, names: list[str], most: int) -> list[dict[str, Any]]:
    """Votes as upstream holds them, one dictionary each."""
    votes: list[dict[str, Any]] = []
    for question, (row, sizes) in enumerate(zip(scores.tolist(), lengths.astype(int).tolist(), strict=True)):
        for one, name in enumerate(names):
            for other in range(one + 1, len(names)):
                gap = row[one] - row[other]
                if np.isnan(gap):
                    continue
                votes.append(
                    {
                        "session_id": f"{question:016x}",
                        "model_1": name,
                        "model_2": names[other],
                        "score_1": int(row[one]),
                        "score_2": int(row[other]),
                        "length_1": sizes[one],
                        "length_2": sizes[other],
                        "winner": name if gap >= 2 else names[other] if gap <= -2 else "tie",
                    }
                )
        if most and len(votes) >= most:
            return votes[:most]
    return votes


def one_order(votes: list[dict[str, Any]], given: dict[str, float], interval: int = 100, k: float = 4.0) -> None:
    """One pass over the votes in random order with dynamic anchors, plainly."""
    ratings, processed = dict(given), defaultdict[str, int](int)
    order = random.sample(votes, len(votes))
    for vote in order:
        ratings.setdefault(vote["model_1"], 1000.0)
        ratings.setdefault(vote["model_2"], 1000.0)
    for vote in order:
        one, other = vote["model_1"], vote["model_2"]
        if one in given and other in given:
            continue
        expected_one = 1 / (1 + 10 ** ((ratings[other] - ratings[one]) / 400))
        expected_other = 1 / (1 + 10 ** ((ratings[one] - ratings[other]) / 400))
        winner = "tie" if abs(vote["length_1"] - vote["length_2"]) > 1500 else vote["winner"]
        share = 1.0 if winner == one else 0.0 if winner == other else 0.5
        for item, change in ((one, share - expected_one), (other, 1 - share - expected_other)):
            ratings[item] += k * change
            if item in given and processed[item] % interval == 0:
                ratings[item] = (ratings[item] + given[item]) / 2
        processed[one] += 1
        processed[other] += 1


def compare_elo(arguments: argparse.Namespace) -> None:
    rng = np.random.default_rng(0)
    n_models, n_questions = 63, 1024
    quality = rng.normal(size=n_models)
    noise = rng.normal(0, 1.5, (n_questions, 1)) + rng.normal(0, 1.5, (n_questions, n_models))
    scores = np.clip(np.round(6.5 + quality + noise), 1, 10)
    scores[rng.random(scores.shape) < 0.012] = np.nan
    lengths = np.round(rng.lognormal(7.7, 0.6, scores.shape))
    names = [f"some-organisation-model-{k:03}" for k in range(n_models)]
    filled = np.where(np.isnan(scores), 0, lengths)
    votes = votes_from_scores(scores, filled)
    print(f"\nWB-Elo: {votes.n_battles:,} votes among {n_models} models, {arguments.orders} orders; seconds")
    mine = {}
    for anchored in (35, 0):
        anchors = [float(1100 + 100 * quality[k]) if k < anchored else None for k in range(n_models)]
        watch = Watch()
        with watch.step("votes from scores"):
            votes = votes_from_scores(scores, filled)
        with watch.step(f"{arguments.orders} orders"):
            shuffled_elo(votes, anchors=anchors, rounds=arguments.orders)
        print(f"  ours, {anchored:2} anchored models   {watch.total:9.3f}  ({watch.line()})")
        mine[anchored] = watch.total
    single = single_votes(scores, filled, names, arguments.sample)
    for anchored in (35, 0):
        given = {names[k]: float(1100 + 100 * quality[k]) for k in range(anchored)}
        watch = Watch()
        with watch.step("sending votes"):
            sent = pickle.loads(pickle.dumps(single))
        with watch.step("loop"):
            one_order(sent, given)
        del sent
        scale = votes.n_battles / len(single) * arguments.orders
        theirs, loop = watch.total * scale, watch.steps["loop"] * scale
        print(f"  WildBench's way, {anchored:2} anchored, one order of {len(single):,} votes: {watch.line()}")
        print(f"    extrapolated to all: {theirs:,.0f} s = {theirs / mine[anchored]:.1f} times ours", end="")
        print(f" (its loop alone {loop:,.0f} s = {loop / mine[anchored]:.1f} times)", end="")
        print(f"; upstream's 40 to 65 min: {2400 / mine[anchored]:.0f} to {3900 / mine[anchored]:.0f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description="Times bootstrapped ratings and WB-Elo against upstream's way.")
    parser.add_argument("--battles", type=int, default=1_000_000)
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=100, help="bootstrap rounds")
    parser.add_argument("--arena-rank-rounds", type=int, default=5, help="rounds of arena-rank that are timed")
    parser.add_argument("--orders", type=int, default=128, help="random orders of WB-Elo")
    parser.add_argument("--sample", type=int, default=0, help="votes of the plain loop that are timed; 0: all")
    arguments = parser.parse_args()
    print(f"{processor()}, {os.cpu_count()} cores, one thread; Python {platform.python_version()}", end="")
    for package in ("numpy", "scipy", "arena-rank", "jax"):
        with contextlib.suppress(PackageNotFoundError):
            print(f", {package} {version(package)}", end="")
    print()
    for uneven in (True, False):
        compare_ratings(arguments, uneven)
    compare_elo(arguments)


if __name__ == "__main__":
    main()
