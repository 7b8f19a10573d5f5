"""What a leaderboard and a comparison cost: ``python benchmarks/leaderboard.py``.

200 synthetic run folders of all tasks are read, grouped, ranked and written in each format by the command itself.
Arena-Hard's style control is one fit of all runs (500 prompts each here): the first look makes it, later ones find it
in the cache. Then two runs of 5,000 items and three metrics are compared.

CPU seconds of this process, the median of five rounds after one that does not count. Start-up, which is the imports and
the tasks' own modules, is printed apart.
"""

import os

# Before numpy is imported: its threads are started then.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import contextlib
import io
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import get_args

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
# The checkout in place of this folder.
sys.path[0] = str(ROOT)

from judgebench import tasks  # noqa: E402 - the checkout's own, wherever the program is started from
from judgebench.analysis.comparison import compare  # noqa: E402
from judgebench.cli import app  # noqa: E402
from judgebench.cli.rendering import Format  # noqa: E402
from judgebench.codec import canonical_hash  # noqa: E402
from judgebench.records import ExampleScore, Score  # noqa: E402
from judgebench.run.folder import Manifest, Results, RunFolder, TaskManifest  # noqa: E402
from judgebench.run.reading import read_run  # noqa: E402

ROUNDS, PROMPTS, ITEMS = 5, 500, 5000
GROUPS = (None, *(f"category={number}" for number in range(10)))
STYLES = {"token_len": 800.0, "header_count": 2.0, "list_count": 6.0, "bold_count": 4.0}


@cache
def known(name: str) -> tuple[str, tuple[str, ...]]:
    """A task's version and headline."""
    task = tasks.load(tasks.TaskSpec(name, None))[0]
    return task.version, task.headline


def battles(rng: np.random.Generator) -> list[ExampleScore]:
    """An Arena-Hard run: two games for each prompt, and how long and how formatted both answers are."""
    strength, verbosity = rng.normal(0, 1), rng.normal(0, 0.5)
    rows = []
    for number in range(PROMPTS):
        lost = float(rng.binomial(2, 1 / (1 + np.exp(strength + verbosity / 2 + rng.normal(0, 0.5)))))
        sizes = {name: float(rng.poisson(mean * np.exp(verbosity))) for name, mean in STYLES.items()}
        sizes |= {f"baseline_{name}": float(rng.poisson(mean)) for name, mean in STYLES.items()}
        games = {
            "won": 2 - lost,
            "tied": 0.0,
            "lost": lost,
            "unread": 0.0,
            "failed": 0.0,
            "unjudged": 0.0,
            "dropped": 0.0,
        }
        about: Mapping[str, float | str | None] = {
            **games, "unknown_labels": None, "category": "hard_prompt", "subcategory": None, **sizes
        }  # fmt: skip
        rows.append(
            ExampleScore(
                example_id=f"q{number}", metric="win_rate", value=1 - lost / 2, weight=2.0, covariates=dict(about)
            )
        )
    return rows


def write_run(
    path: Path, names: Sequence[str], rows: Mapping[str, Sequence[ExampleScore]], rng: np.random.Generator
) -> None:
    """A scored run: numbers of all tasks, and the example scores given."""
    folder, scores, fields = RunFolder(path), [], {}
    for name in names:
        version, metrics = known(name)
        protocol = {"task": name, "version": version, "options": {}, "starter": False, "judges": {"j": {"model": "m"}}}
        fields[name] = TaskManifest(
            label=f"{name}@{version}", name=name, version=version, options={}, starter=False, examples=PROMPTS,
            sources=[], protocol=protocol, protocol_hash=canonical_hash(protocol), inputs=protocol,
            input_hash=canonical_hash(protocol), counts={"examples": PROMPTS, "read": PROMPTS},
        )  # fmt: skip
        for group in GROUPS:
            for metric in metrics:
                value = float(rng.uniform(10, 90))
                scores.append(
                    Score(task=name, metric=metric, value=value, unit="percent", stderr=1.7, low=value - 3.4,
                          high=value + 3.4, level=0.95, method="mean", n=PROMPTS, group=group)
                )  # fmt: skip
    for name, own in rows.items():
        folder.task(name).path.mkdir(parents=True)
        folder.task(name).write_scores(own, [score for score in scores if score.task == name])
    folder.write_manifest(
        Manifest(
            run_id=path.name, status="complete", candidate=path.name, candidate_identity=f"sha256:{path.name}",
            candidate_spec="hf:model", versions={}, protocol_hash="", input_hash="", started_at="2026-11-21T00:00:00Z",
            sessions=[], tasks=fields,
        )
    )  # fmt: skip
    folder.write_results(Results(run=str(path), model=path.name, status="complete", scores=scores, integrity=[]))


def cost(work: Callable[[], object]) -> float:
    """CPU seconds of one round."""
    start = time.process_time()
    work()
    return time.process_time() - start


def show(folder: Path, form: Format) -> None:
    """The command itself, its output thrown away."""
    with contextlib.redirect_stdout(io.StringIO()):
        app(["leaderboard", str(folder), "--format", form], standalone_mode=False)


def tables(folder: Path, runs: int, names: Sequence[str], rng: np.random.Generator) -> None:
    """The cost of the command, first and later."""
    for number in range(runs):
        rows = {name: battles(rng) for name in names if name == "arenahard"}
        write_run(folder / f"model-{number:03}", names, rows, rng)
    print(f"{runs} runs x {len(names)} tasks ({', '.join(names)}), CPU-seconds:")
    print(f"  the first look, with the common fit of Arena-Hard: {cost(partial(show, folder, 'rich')):.2f}")
    for form in get_args(Format):
        once = [cost(partial(show, folder, form)) for _ in range(ROUNDS)]
        print(f"  later, --format {form}: {np.median(once):.2f}", flush=True)


def comparison(folder: Path, rng: np.random.Generator) -> None:
    """The cost of comparing two runs of the same items."""
    easy = rng.uniform(0.1, 0.9, ITEMS)
    for name in ("first", "second"):
        rows = [
            ExampleScore(
                example_id=f"q{number}", metric=metric, value=float(rng.random() < chance), covariates={"label": None}
            )
            for metric in known("gsm8k")[1]
            for number, chance in enumerate(easy)
        ]
        write_run(folder / name, ["gsm8k"], {"gsm8k": rows}, rng)
    once = [cost(lambda: compare([read_run(folder / "first"), read_run(folder / "second")])) for _ in range(ROUNDS + 1)]
    print(f"two runs of {ITEMS} items, {len(known('gsm8k')[1])} metrics, read and compared: {np.median(once[1:]):.2f}")


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    arguments = parser.parse_args()
    names = tasks.names()
    for name in names:
        known(name)
    print(f"start-up: {time.process_time():.2f} CPU-seconds")
    with tempfile.TemporaryDirectory() as made:
        os.environ["JUDGEBENCH_CACHE"] = str(Path(made) / "cache")
        tables(Path(made) / "runs", arguments.runs, names, np.random.default_rng(0))
        comparison(Path(made) / "pair", np.random.default_rng(0))
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
