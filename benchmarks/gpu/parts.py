"""The parts of ``benchmarks/gpu/run.sh``: ``python benchmarks/gpu/parts.py PART --size 1B --folder DIR``.

``checkpoint`` writes a Llama with random weights into the folder, and the others use it. ``vllm``: the backend against
``LLM.generate`` of the same prompts in tokens. ``hf``: the backend against ``generate`` of one prompt at a time.
``labels``: a local judge's log-probabilities of two labels against forward passes of the same prompts in tokens, sorted
by length. ``reward``: a reward model as ``--judge`` opens it against batches by hand. ``turns``: a candidate and a
judge of one size evaluate on one GPU; the memory that they take at once is to be less than that of two. ``overlap``:
answers are judged over HTTP while others are generated, against the slower of the two alone. ``real_hf``,
``real_vllm``: ``builtin:smollm2`` through a backend on IFEval and GSM8K. ``install``, ``beside_hf``, ``beside_vllm``:
the same through lm-eval, verdict by verdict (``real.py``).

Figures are by the clock. On a CPU they say nothing; size ``tiny`` is for a rehearsal there.
"""

import argparse
import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks import generation, scoring  # noqa: E402 - the checkout's own, wherever the program is started from
from benchmarks.gpu.place import PROMPTS, Place, free, left_out, said  # noqa: E402
from benchmarks.gpu.real import beside, install, real  # noqa: E402
from judgebench.models.local.hf import HfModel  # noqa: E402
from judgebench.models.local.vllm import VllmModel  # noqa: E402
from judgebench.records import Request, Sampling  # noqa: E402
from judgebench.run.folder import RunFolder  # noqa: E402
from judgebench.run.runner import Runner  # noqa: E402
from judgebench.run.settings import Settings  # noqa: E402
from tests.models.llama import WORDS, save_tokenizer  # noqa: E402
from tests.models.scorers import to_score  # noqa: E402
from tests.servers.launch import chat_server  # noqa: E402

SHAPES: dict[str, dict[str, int]] = {
    "tiny": {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 2},
    "1B": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32},
    "7B": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 28, "num_attention_heads": 32},
}
NAIVE = 16
"""Prompts that ``generate`` answers one by one."""


def one(request: Request, **sampling: Any) -> Request:
    """The request with other sampling."""
    return Request(messages=request.messages, sampling=Sampling(**sampling))


def requests_of(place: Place) -> list[Request]:
    """What is asked."""
    found = generation.mixed_requests(place.prompts)
    return [one(request, max_tokens=4) for request in found] if place.short else found


def checkpoint(place: Place) -> float:
    """Write the random Llama; its number of parameters in billions."""
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    place.model.mkdir(parents=True, exist_ok=True)
    save_tokenizer(place.model)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        **SHAPES[place.size],
        num_key_value_heads=2 if place.short else 8,
        vocab_size=1024 if place.short else 32768,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        dtype="float32" if place.device == "cpu" else "bfloat16",
    )
    with torch.device(place.device):
        model = transformers.LlamaForCausalLM(config)
    model = model.to(dtype=config.dtype)
    model.save_pretrained(place.model)
    count = sum(parameter.numel() for parameter in model.parameters())
    return said(
        "checkpoint", f"Llama with random weights, {place.device}, billions of parameters", count / 1e9, "1 to 8"
    )


class InTokens:
    """The requests in tokens."""

    def __init__(self, folder: Path, requests: Sequence[Request]) -> None:
        opened = HfModel(folder)
        self.prompts = [opened._checkpoint.prompts.tokens(request.messages) for request in requests]
        self.limits = [request.sampling.max_tokens or 0 for request in requests]
        opened.close()


def vllm(place: Place) -> float | None:
    """Tokens per second of the backend against those of ``LLM.generate``."""
    if find_spec("vllm") is None:
        left_out("vllm", "vLLM is not installed")
        return None
    eager = {"enforce_eager": True, "max_model_len": 2048} if place.short else {}
    model = VllmModel(place.model, **eager)
    ours = generation.clocked(model, requests_of(place)[:2], requests_of(place))
    bare = generation.bare_vllm(model, InTokens(place.model, requests_of(place)))
    what = f"vllm: {ours:,.0f} tokens/s, LLM.generate {bare:,.0f}"
    return said("vllm", what, ours / bare, "at least 0.97")


def hf(place: Place) -> float:
    """Tokens per second of the backend against those of ``generate``, one prompt at a time."""
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    tokens = InTokens(place.model, requests_of(place)[:NAIVE])
    network = transformers.AutoModelForCausalLM.from_pretrained(place.model, dtype="auto").to(place.device).eval()

    def by_hand(most: int) -> int:
        count = 0
        with torch.inference_mode():
            for prompt, limit in zip(tokens.prompts[:most], tokens.limits[:most], strict=True):
                ids = torch.tensor([prompt], device=place.device)
                found = network.generate(input_ids=ids, max_new_tokens=limit, do_sample=False, pad_token_id=0)
                count += found.shape[1] - len(prompt)
        return count

    by_hand(1)
    begun = time.perf_counter()
    naive = by_hand(NAIVE) / (time.perf_counter() - begun)
    network = None
    free(torch)
    ours = generation.clocked(HfModel(place.model), requests_of(place)[:NAIVE], requests_of(place))
    return said("hf", f"hf: {ours:,.0f} tokens/s, generate one by one {naive:,.0f}", ours / naive, "at least 4")


def labels(place: Place) -> float:
    """Rows per second of a local judge that scores two labels, against bare forward passes."""
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    asked = [one(request, choices=(WORDS[0], WORDS[1])) for request in requests_of(place)]
    model = HfModel(place.model)
    list(model.complete(asked[:NAIVE]))
    begun = time.perf_counter()
    assert all(completion.error is None for _, completion in model.complete(asked))
    ours = len(asked) / (time.perf_counter() - begun)
    batch = model._batch_size
    model.close()
    free(torch)
    prompts = sorted(InTokens(place.model, requests_of(place)).prompts, key=len)
    network = transformers.AutoModelForCausalLM.from_pretrained(place.model, dtype="auto").to(place.device).eval()

    def by_hand(rows: Sequence[list[int]]) -> None:
        with torch.inference_mode():
            for start in range(0, len(rows), batch):
                some = rows[start : start + batch]
                ids, mask = scoring.padded_right(torch, some, 0, place.device)
                last = torch.tensor([len(row) - 1 for row in some], device=place.device)
                hidden = network.model(input_ids=ids, attention_mask=mask).last_hidden_state
                logits = network.lm_head(hidden[torch.arange(len(some), device=place.device), last])
                logits.float().log_softmax(-1)[:, :2].tolist()

    by_hand(prompts[:NAIVE])
    begun = time.perf_counter()
    by_hand(prompts)
    bare = len(prompts) / (time.perf_counter() - begun)
    return said("labels", f"judge: {ours:,.1f} rows/s, forward passes {bare:,.1f}", ours / bare, "at least 0.9")


def reward(place: Place) -> float:
    """Rows per second of a reward model with the checkpoint's shape, against batches by hand."""
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    shape = {**SHAPES[place.size], "num_key_value_heads": 2 if place.short else 8}
    with torch.device(place.device):
        folder = scoring.save_llama(place.folder / "reward", transformers.LlamaForSequenceClassification, 0, **shape)
    some = scoring.texts(max(2, place.prompts // 4), scoring.np.random.default_rng(0))
    model = scoring.RewardModel(str(folder), device=place.device, dtype="float32")
    asked = [to_score((question, first), (question, second)) for question, first, second in some]
    arguments = argparse.Namespace(device=place.device, rounds=1)
    ratio = scoring.measure("reward", "reward", model, scoring.bare_reward(folder, place.device), asked, arguments)
    return said("reward", "reward: against the better bare loop", ratio, "at least 0.9")


def questions(place: Place, count: int, labels: tuple[str, str]) -> Path:
    """A benchmark of made-up questions, whose judge reads the probabilities of two labels."""
    task = place.folder / f"questions-{count}.toml"
    rows = [json.dumps({"id": str(number), "instruction": f"Question {number}?"}) for number in range(count)]
    task.with_suffix(".jsonl").write_text("\n".join(rows) + "\n")
    task.with_suffix(".j2").write_text("{{ instruction }}\n\n{{ answer }}\n\n" + f"Reply {' or '.join(labels)}.\n")
    task.write_text(
        f'kind = "rating"\nprompts = "{task.stem}.jsonl"\nprompt = "{task.stem}.j2"\nreads = "logprob"\n'
        f"[verdict]\nlabels = {{ {labels[0]} = 1, {labels[1]} = 2 }}\n[rating]\nscale = [1, 2]\n"
    )
    return task


def turns(place: Place) -> float | None:
    """Most memory of an evaluation whose candidate and judge both run here, in units of one of them."""
    torch = importlib.import_module("torch")
    judge = place.folder / "judge"
    if not judge.exists():
        judge.symlink_to(place.model)
    settings = Settings(
        tasks=str(questions(place, place.prompts // 2, (WORDS[0], WORDS[1]))),
        model=f"hf:{place.model}",
        judges=(f"hf:{judge}",),
        gen={"temperature": "0", "max_tokens": "4" if place.short else "64"},
        out=place.folder / "runs" / "turns",
    )
    done = threading.Event()
    seen = [0]

    def watch() -> None:
        while not done.wait(0.05):
            seen[0] = max(seen[0], torch.cuda.memory_allocated())

    watching = threading.Thread(target=watch)
    if place.device != "cpu":
        watching.start()
    try:
        Runner(settings, lambda *_: None).evaluate()
    finally:
        done.set()
    if place.device == "cpu":
        print("turns: evaluated; memory is measured on a GPU alone", flush=True)
        return None
    watching.join()
    free(torch)
    left = torch.cuda.memory_allocated()
    weights = sum(file.stat().st_size for file in place.model.glob("*.safetensors"))
    what = f"candidate, then judge: at most {seen[0] / 2**30:.1f} GiB, {left / 2**30:.1f} at the end; in weights of one"
    return said("turns", what, seen[0] / weights, "less than 2")


def overlap(place: Place) -> float:
    """Time of an evaluation with a judge over HTTP, against the slower of generating and judging."""
    prompts = max(4, place.prompts // 4)
    task = questions(place, prompts, ("m", "M"))

    def runner(step: str, judge: str | None) -> Runner:
        os.environ["JUDGEBENCH_CACHE"] = str(place.folder / "stores" / step)  # nothing is known from the step before
        settings = Settings(
            tasks=str(task),
            model=f"hf:{place.model}",
            judges=(judge,) if judge else (),
            judge_concurrency=8,
            gen={"temperature": "0", "max_tokens": "4" if place.short else "128"},
            out=place.folder / "runs" / step,
        )
        return Runner(settings, lambda *_: None)

    runner("warm-up", None).evaluate(judge=False)
    generate = generation.seconds_of(lambda: runner("generate", None).evaluate(judge=False))
    delay = 10.0 if place.short else 1000 * generate * 8 / prompts
    with chat_server(delay_ms=delay, log="/dev/null") as server:
        spec = f"{server.base_url}#judge"
        judging = generation.seconds_of(
            lambda: runner("judge", spec).rejudge(RunFolder(place.folder / "runs" / "generate"))
        )
        together = generation.seconds_of(lambda: runner("eval", spec).evaluate())
    what = f"{prompts} prompts: generate {generate:.1f} s, judge {judging:.1f} s, eval {together:.1f} s"
    return said("overlap", what, together / max(generate, judging), "at most 1.15")


PARTS: dict[str, Callable[[Place], float | None]] = {
    **{part.__name__: part for part in (checkpoint, vllm, hf, labels, reward, turns, overlap)},
    "real_hf": partial(real, backend="hf"),
    "real_vllm": partial(real, backend="vllm"),
    "install": install,
    "beside_hf": partial(beside, engine="hf"),
    "beside_vllm": partial(beside, engine="vllm"),
}


def main() -> None:
    """Measure one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=tuple(PARTS))
    parser.add_argument("--size", choices=tuple(PROMPTS), default="1B")
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    transformers.utils.logging.disable_progress_bar()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        torch.set_num_threads(1)
    PARTS[options.part](Place.of(options.folder, options.size, device))


if __name__ == "__main__":
    main()
