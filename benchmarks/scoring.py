"""How fast answers are scored: ``python benchmarks/scoring.py [--rows N] [--rounds N] [--device cuda]``.

A random reward model of Llama's form, a random pair ranker of DeBERTa's and a density ratio of two random Llamas score
conversations of mixed length (lognormal), each way in turn within one process: the judge as ``--judge`` opens it,
templates, tokens and completions included; and what one would write by hand: the rows, in tokens beforehand, sorted by
length or in their order, in padded batches of the same size. CPU seconds are those of this process; with a GPU, the
clock's. The figure is the median over rounds of rows per second, and ours against the better of the two bare loops; all
three give the same numbers within 1e-4, or the program fails.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
import transformers  # noqa: E402

from judgebench.models.local.density_ratio import DensityRatio  # noqa: E402
from judgebench.models.local.pair_ranker import PairRanker  # noqa: E402
from judgebench.models.local.reward import RewardModel  # noqa: E402
from judgebench.models.local.scoring import Job, ScoringModel, padded_right  # noqa: E402
from judgebench.records import Request  # noqa: E402
from tests.models.llama import WORDS, save_tokenizer  # noqa: E402
from tests.models.scorers import save_pair_ranker, to_score  # noqa: E402

SIZE = {"hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 4, "num_attention_heads": 4}
CONTEXT = 2048


def save_llama(folder: Path, kind: Any, seed: int, **size: int) -> Path:
    tokenizer = save_tokenizer(folder)
    shape = {**SIZE, **size}
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=CONTEXT, pad_token_id=0, num_labels=1, **shape
    )
    torch.manual_seed(seed)
    kind(config).save_pretrained(folder)
    return folder


def texts(rows: int, rng: np.random.Generator) -> list[tuple[str, str, str]]:
    """Questions with two answers each; lengths in words are lognormal, as in a chat benchmark."""

    def text(mean: float) -> str:
        count = int(np.clip(rng.lognormal(np.log(mean), 0.8), 3, 500))
        return " ".join(rng.choice(WORDS, count))

    return [(text(40), text(120), text(120)) for _ in range(rows)]


Loop = Callable[[Sequence[Sequence[Any]]], list[float]]


def bare_reward(folder: Path, device: str) -> Loop:
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype="float32").to(device).eval()

    def scored(batch: Sequence[Sequence[Any]]) -> list[float]:
        ids, mask = padded_right(torch, [row[0] for row in batch], 0, device)
        found: list[float] = model(input_ids=ids, attention_mask=mask).logits[:, 0].tolist()
        return found

    return scored


def bare_pairs(ours: PairRanker, device: str) -> Loop:
    ours.load()

    def scored(batch: Sequence[Sequence[Any]]) -> list[float]:
        ids, mask = padded_right(torch, [row[0] for row in batch], 0, device)
        found: list[float] = ours._model(ids, mask, ours._prefix_ids).tolist()
        return found

    return scored


def bare_ratio(folders: Sequence[Path], device: str) -> Loop:
    models = [
        transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32").to(device).eval()
        for folder in folders
    ]

    def scored(batch: Sequence[Sequence[Any]]) -> list[float]:
        sums = []
        ids, mask = padded_right(torch, [row[0] for row in batch], 0, device)
        for model in models:
            logprobs = model(input_ids=ids, attention_mask=mask).logits[:, :-1].log_softmax(-1)
            chosen = logprobs.gather(-1, ids[:, 1:, None])[..., 0]
            starts = torch.tensor([[len(row[0]) - row[1] - 1] for row in batch], device=device)
            places = torch.arange(chosen.shape[1], device=device)[None]
            sums.append((chosen * ((places >= starts) & (mask[:, 1:] == 1))).sum(-1))
        found: list[float] = (sums[0] - sums[1]).tolist()
        return found

    return scored


def in_batches(rows: Sequence[Sequence[Any]], loop: Loop, size: int, *, by_length: bool) -> list[float]:
    order = sorted(range(len(rows)), key=lambda place: len(rows[place][0])) if by_length else range(len(rows))
    places, found = list(order), [0.0] * len(rows)
    with torch.inference_mode():
        for start in range(0, len(places), size):
            batch = places[start : start + size]
            for place, value in zip(batch, loop([rows[place] for place in batch]), strict=True):
                found[place] = value
    return found


def timed(work: Callable[[], list[float]], *, clock: Callable[[], float]) -> tuple[float, list[float]]:
    begun = clock()
    found = work()
    return clock() - begun, found


def measure(name: str, key: str, model: ScoringModel, loop: Loop, requests: list[Request], arguments: Any) -> float:
    size = model._batch_size
    rows = []
    for request in requests:
        for row in model.rows(request, Job(0, 0)):
            own = row.extra[0] if isinstance(row.extra, list) and key == "ratio" else 0
            rows.append((row.tokens[0], own))
    clock = time.process_time if arguments.device == "cpu" else time.perf_counter

    def ours() -> list[float]:
        found = dict(model.complete(requests))
        return [scores[key] for place in range(len(requests)) for scores in found[place].scores or ()]

    ways: dict[str, Callable[[], list[float]]] = {
        "ours": ours,
        "sorted": lambda: in_batches(rows, loop, size, by_length=True),
        "in order": lambda: in_batches(rows, loop, size, by_length=False),
    }
    for work in ways.values():  # warm up
        work()
    speeds: dict[str, list[float]] = {way: [] for way in ways}
    ratios = []
    for _ in range(arguments.rounds):
        values = {}
        for way, work in ways.items():
            seconds, values[way] = timed(work, clock=clock)
            speeds[way].append(len(rows) / seconds)
        for way in ("sorted", "in order"):
            worst = max(abs(a - b) for a, b in zip(values["ours"], values[way], strict=True))
            assert worst < 1e-4 * max(1.0, max(map(abs, values[way]))), f"{way} differs by {worst}"
        ratios.append(speeds["ours"][-1] / max(speeds["sorted"][-1], speeds["in order"][-1]))
    shown = ", ".join(f"{way} {statistics.median(own):,.1f}" for way, own in speeds.items())
    print(f"{name}: {len(rows)} rows, batches of {size}: rows/s {shown}; ours against the better bare loop "
          f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})", flush=True)  # fmt: skip
    return statistics.median(ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    some = texts(arguments.rows // 2, np.random.default_rng(0))
    requests = [to_score((question, one), (question, two)) for question, one, two in some]
    device = arguments.device
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {device}, {torch.get_num_threads()} "
          f"threads, load {os.getloadavg()[0]:.0f}")  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        reward = save_llama(folder / "reward", transformers.LlamaForSequenceClassification, 0)
        model: ScoringModel = RewardModel(str(reward), device=device)
        measure("reward", "reward", model, bare_reward(reward, device), requests, arguments)
        model.close()
        save_pair_ranker(folder / "pairrm", size=256)
        ranker = PairRanker(str(folder / "pairrm"), device=device)
        measure("pairrm", "preference", ranker, bare_pairs(ranker, device), requests, arguments)
        ranker.close()
        strong = save_llama(folder / "strong", transformers.LlamaForCausalLM, 1)
        weak = save_llama(folder / "weak", transformers.LlamaForCausalLM, 2, num_hidden_layers=2)
        ratio = DensityRatio((strong, weak), device=device)
        measure("ratio", "ratio", ratio, bare_ratio((strong, weak), device), requests, arguments)


if __name__ == "__main__":
    main()
