"""How often the gate is wrong, on pairs of runs drawn from real judgements; and what a comparison costs.

    python benchmarks/gate.py --annotations ../shared/data/alpacaeval/ae2_annotations.parquet

500 times two runs are made whose truth is known, through the gate's own path from run folders to verdict:

* A/A: for each of 805 instructions both runs get the judgement of one of two similar models, chosen by a fair coin
  each, so that neither is better, and they differ as two checkpoints do. FAIL is wrong.
* a drop of twice the margin: the same, and then the candidate's share of the win is lowered on instructions drawn at
  random until the expected win rate is 2 x 2 points lower. PASS is wrong.

The two models are drawn anew from the file for each pair, among those that win 10 to 90 %. With ``--mirror``, a folder
with AlpacaEval's official files, the first is done for the length-controlled win rate as well, with the real lengths.
Then two runs of 5,000 items with three metrics are compared.
"""

import os

# Before numpy is imported: its threads are started then.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet
from judgebench.tasks.alpacaeval.lengths import length_table
from numpy.typing import NDArray

from judgebench import tasks
from judgebench.analysis.comparison import FileFetcher, compare, official_files
from judgebench.codec import canonical_hash
from judgebench.data.sources import Source, SourceFinder, read_sources
from judgebench.gating.policy import Defaults, Policy, TaskPolicy
from judgebench.gating.verdicts import gate
from judgebench.records import Example, ExampleScore, Message, Score
from judgebench.run.folder import Manifest, Results, RunFolder, TaskManifest
from judgebench.run.reading import Run, read_run

PAIRS, MARGIN, SEED = 500, 2.0, 0
ITEMS = 5000
SIMILAR = 4
"""A pair's second model is one of the four nearest in win rate: checkpoints of one model are rarely farther apart."""

FloatArray = NDArray[np.float64]


UNKNOWN: dict[str, float | str | None] = {
    "length": None, "baseline_length": None, "difficulty": None, "dataset": None, "against_itself": 0.0,
}  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """Real judgements, each of shape (models, instructions)."""

    share: FloatArray
    """Of the win."""
    length: FloatArray
    """Of the model's answer, in characters."""
    baseline_length: FloatArray

    def take(self, model: NDArray[np.int64]) -> "Judged":
        """One model's row for each instruction, shape (instructions,)."""
        place = np.arange(self.share.shape[1])
        return Judged(self.share[model, place], self.length[model, place], self.baseline_length[model, place])


def write_run(
    path: Path,
    name: str,
    task: str,
    scores: dict[str, FloatArray],
    version: str,
    covariates: Sequence[dict[str, float | str | None]] = (),
) -> Run:
    """A run folder with these example scores, as a program finds it."""
    folder, n = RunFolder(path), len(next(iter(scores.values())))
    protocol = {"task": task, "version": version, "examples": {"n": n}}
    ids = [f"{number:05d}" for number in range(n)]
    overall = [
        Score(task=task, metric=metric, value=100 * float(values.mean()), unit="percent", n=n)
        for name_of, values in scores.items()
        for metric in (("win_rate", "lc_win_rate") if name_of == "preference" else (name_of,))
    ]
    fields = TaskManifest(
        label=f"{task}@{version}", name=task, version=version, options={}, starter=False, examples=n, sources=[],
        protocol=protocol, protocol_hash=canonical_hash(protocol), inputs={}, input_hash="",
    )  # fmt: skip
    folder.write_manifest(
        Manifest(
            run_id=path.name, status="complete", candidate=name, candidate_identity="", candidate_spec="", versions={},
            protocol_hash=fields.protocol_hash, input_hash="", started_at="2026-01-01T00:00:00Z", sessions=[],
            tasks={task: fields},
        )
    )  # fmt: skip
    own = folder.task(task)
    own.write_examples(Example(id=name, messages=(Message(role="user", content="?"),)) for name in ids)
    own.write_scores(
        [
            ExampleScore(example_id=example, metric=metric, value=float(value), covariates=known)
            for metric, values in scores.items()
            for example, value, known in zip(ids, values, covariates or [UNKNOWN] * n, strict=True)
        ],
        overall,
    )
    folder.write_results(Results(run=str(path), model=name, status="complete", scores=overall, integrity=[]))
    return read_run(path)


def pair(judged: Judged, drop: float, rng: np.random.Generator) -> tuple[Judged, Judged]:
    """Baseline and candidate, an instruction's judgement from either of two similar models in both."""
    rates = judged.share.mean(axis=1)
    first = int(rng.integers(len(rates)))
    near = sorted(set(range(len(rates))) - {first}, key=lambda k: abs(rates[k] - rates[first]))
    two = np.array([first, near[int(rng.integers(SIMILAR))]])
    n = judged.share.shape[1]
    baseline, candidate = (judged.take(two[rng.integers(2, size=n)]) for _ in "ab")
    if drop:
        # A win lost with this chance lowers the expected rate by the drop.
        lost = rng.random(n) < drop / 100 / rates[two].mean()
        candidate = replace(candidate, share=np.where(lost, 0.0, candidate.share))
    return baseline, candidate


def verdicts(
    judged: Judged, drop: float, folder: Path, metric: str = "win_rate", difficulty: FloatArray | None = None,
    files: FileFetcher | None = None,
) -> Counter[str]:  # fmt: skip
    """How the gate ends on 500 pairs."""
    rng = np.random.default_rng(SEED)
    policy = Policy(defaults=Defaults(), tasks={"alpacaeval": TaskPolicy(metric=metric, max_drop=MARGIN)})
    found: Counter[str] = Counter()
    for _ in range(PAIRS):
        runs = []
        for name, one in zip(("baseline", "candidate"), pair(judged, drop, rng), strict=True):
            known = [] if difficulty is None else [
                {**UNKNOWN, "length": length, "baseline_length": other, "difficulty": hard}
                for length, other, hard in zip(
                    one.length.tolist(), one.baseline_length.tolist(), difficulty.tolist(), strict=True
                )
            ]  # fmt: skip
            runs.append(write_run(folder / name, name, "alpacaeval", {"preference": one.share}, "2", known))
        found[gate(runs[0], runs[1], policy, files=files).verdict] += 1
    return found


def read_judged(path: Path) -> Judged:
    """Models with a judgement of every instruction that win 10 to 90 %."""
    by_model: dict[str, dict[int, tuple[float, float, float]]] = {}
    for row in pyarrow.parquet.read_table(path).to_pylist():
        if row["preference"] is not None:
            # The file's preference is from 1 (the baseline wins) to 2 (the model does).
            numbers = row["preference"] - 1, float(row["len_2"]), float(row["len_1"])
            by_model.setdefault(row["model"], {})[row["index"]] = numbers
    size = max(map(len, by_model.values()))
    whole = np.array([[own[index] for index in sorted(own)] for own in by_model.values() if len(own) == size])
    rates = whole[:, :, 0].mean(axis=1)
    chosen = whole[(rates > 0.1) & (rates < 0.9)]
    return Judged(chosen[:, :, 0], chosen[:, :, 1], chosen[:, :, 2])


def shown(found: Counter[str]) -> str:
    return ", ".join(f"{name} {100 * found[name] / PAIRS:.1f} %" for name in ("PASS", "INCONCLUSIVE", "FAIL"))


def _gamed() -> Source:
    return read_sources(tasks.folder("alpacaeval"))["gamed"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", type=Path, required=True, help="model, index, preference, len_1, len_2")
    parser.add_argument("--mirror", type=Path, help="official files, for the length-controlled rate as well")
    given = parser.parse_args()
    judged = read_judged(given.annotations)
    print("{} models, {} instructions, margin {:g} points, {} pairs each".format(*judged.share.shape, MARGIN, PAIRS))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        print("win_rate, no difference:     ", shown(verdicts(judged, 0.0, folder)))
        print("win_rate, drop of twice that:", shown(verdicts(judged, 2 * MARGIN, folder)))
        if given.mirror:
            files = official_files([given.mirror], offline=True)
            table = length_table(SourceFinder(folder, [given.mirror], offline=True).fetch(_gamed())[0])
            found = verdicts(judged, 0.0, folder, "lc_win_rate", table.difficulty, files)
            print("lc_win_rate, no difference:  ", shown(found))
        rng = np.random.default_rng(SEED)
        metrics = ("exact_match_strict", "exact_match_flexible", "numeric")
        runs = [
            write_run(
                folder / name, name, "gsm8k", {m: (rng.random(ITEMS) < rate).astype(float) for m in metrics}, "cot8"
            )
            for name, rate in (("five", 0.5), ("six", 0.6))
        ]
        compare(runs)
        begin = time.process_time()
        compare([read_run(run.path) for run in runs])
        seconds = time.process_time() - begin
    print(
        f"compare, {ITEMS:,} items, {len(metrics)} metrics: {seconds:.2f} CPU-seconds after start-up, reading included"
    )


if __name__ == "__main__":
    main()
