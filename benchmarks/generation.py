"""How fast answers come: ``python benchmarks/generation.py throughput|overlap|engines|memory``.

``throughput``: a random Llama answers prompts and replies of mixed length (lognormal, greedy), each way in turn within
one process: ``generate`` one prompt at a time; ``generate`` in padded batches of 16, in order of arrival and sorted by
prompt length; transformers' own continuous batching with 16 places, where it has it; and the hf backend as it is opened
by default, tokenizer, chat template and decoding of the replies included. Only tokens of a reply count, not those that
a row adds while it waits for its batch. CPU seconds are those of this process and its children. A 100 M model needs
about 2.5 CPU-seconds per prompt and way on one core: choose ``--prompts`` accordingly.

``overlap``: AlpacaEval's first questions, judged over HTTP by a loopback server whose delay makes judging take as long
as generation did: ``generate`` and ``judge`` one after the other, then ``eval``, by the clock. The answers come from
another such server, which waits too and leaves the processor alone, then from the tiny random Llama in this process.
The official files are looked for in JUDGEBENCH_MIRROR and the user cache.

``engines``: by the clock, on the device that is there. With a GPU, the hf backend against ``generate`` one prompt at a
time; where vLLM is installed, the vllm backend against ``LLM.generate`` of the same prompts in tokens (on a CPU too,
with ``VLLM_ENABLE_V1_MULTIPROCESSING=0`` and one thread).

``memory``: many one-token requests stream through the wired checkpoint; resident memory is printed on the way.
"""

import argparse
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from judgebench.models import Model  # noqa: E402
from judgebench.models.call_store import default_cache_dir  # noqa: E402 - the checkout's own, wherever the program is started from
from judgebench.models.local.hf import HfModel  # noqa: E402
from judgebench.models.local.tiny import tiny_checkpoint  # noqa: E402
from judgebench.models.local.vllm import VllmModel  # noqa: E402
from judgebench.records import Message, Request, Sampling  # noqa: E402
from judgebench.run.folder import RunFolder  # noqa: E402
from judgebench.run.runner import Runner  # noqa: E402
from judgebench.run.settings import Settings, mirror_folders  # noqa: E402
from tests.models.llama import WORDS, save_tokenizer  # noqa: E402
from tests.servers.launch import chat_server  # noqa: E402

SIZES: dict[str, dict[str, int]] = {
    "tiny": {
        "vocab_size": 1024,
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
    },
    "100M": {
        "vocab_size": 8192,
        "hidden_size": 768,
        "intermediate_size": 2048,
        "num_hidden_layers": 14,
        "num_attention_heads": 12,
        "num_key_value_heads": 12,
    },
}
BATCH = 16


def cpu_seconds() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def save_model(folder: Path, size: str) -> int:
    """A random Llama and its tokenizer; returns its number of parameters."""
    import torch
    import transformers

    save_tokenizer(folder)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        **SIZES[size], max_position_embeddings=4096, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2
    )
    model = transformers.LlamaForCausalLM(config)
    model.save_pretrained(folder)
    return sum(parameter.numel() for parameter in model.parameters())


def mixed_requests(n: int) -> list[Request]:
    """Prompts of 8 to 600 tokens, replies of 4 to 400 at most; medians near 55 and 40."""
    rng = np.random.default_rng(0)
    prompts = np.clip(rng.lognormal(4.0, 0.7, n), 8, 600).astype(int)
    replies = np.clip(rng.lognormal(3.7, 0.8, n), 4, 400).astype(int)
    return [
        Request(
            messages=(Message(role="user", content=" " + " ".join(rng.choice(WORDS, words))),),
            sampling=Sampling(max_tokens=int(tokens)),
        )
        for words, tokens in zip(prompts, replies, strict=True)
    ]


class Workload:
    """The requests in tokens, and a network that answers them in transformers' own ways."""

    def __init__(self, folder: Path, requests: Sequence[Request]) -> None:
        import torch
        import transformers

        self._torch, self._transformers = torch, transformers
        opened = HfModel(folder)
        self.prompts = [opened._checkpoint.prompts.tokens(request.messages) for request in requests]
        self.limits = [request.sampling.max_tokens or 0 for request in requests]
        self.network = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
        self.network.generation_config = transformers.GenerationConfig(do_sample=False, eos_token_id=2, pad_token_id=0)

    def padded(self, size: int, *, by_length: bool, most: int | None = None) -> list[list[int]]:
        """Replies from left-padded batches of ``generate``, each run to its longest limit, to ``most`` prompts."""
        order = list(range(len(self.prompts)))[:most]
        if by_length:
            order.sort(key=lambda number: len(self.prompts[number]))
        replies: list[list[int]] = [[] for _ in order]
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            width = max(len(self.prompts[number]) for number in batch)
            ids = [[0] * (width - len(self.prompts[number])) + self.prompts[number] for number in batch]
            mask = [[0] * (width - len(self.prompts[n])) + [1] * len(self.prompts[n]) for n in batch]
            with self._torch.inference_mode():
                tokens = self.network.generate(
                    input_ids=self._torch.tensor(ids, device=self.network.device),
                    attention_mask=self._torch.tensor(mask, device=self.network.device),
                    max_new_tokens=max(self.limits[number] for number in batch),
                )
            for number, row in zip(batch, tokens[:, width:].tolist(), strict=True):
                replies[number] = self.reply(number, row)
        return replies

    def continuous(self, size: int) -> list[list[int]]:
        """Replies from transformers' own continuous batching."""
        config = self._transformers.ContinuousBatchingConfig(
            page_size=16, num_blocks=32 * size, max_batch_tokens=512, max_requests_per_batch=size, seed=0
        )
        replies: dict[int, list[int]] = {}
        with self.network.continuous_batching_context_manager(
            generation_config=self.network.generation_config, continuous_batching_config=config, warmup=False
        ) as manager:
            for number, (prompt, limit) in enumerate(zip(self.prompts, self.limits, strict=True)):
                manager.add_request(input_ids=prompt, request_id=str(number), max_new_tokens=limit, eos_token_id=2)
            while len(replies) < len(self.prompts):
                result = manager.get_result(timeout=1)
                if result is not None and result.is_finished():
                    replies[int(result.request_id)] = self.reply(int(result.request_id), result.generated_tokens)
                elif result is None and not manager.is_running():
                    raise SystemExit("transformers' continuous batching ended before its requests did")
        return [replies[number] for number in range(len(replies))]

    def reply(self, number: int, tokens: list[int]) -> list[int]:
        """The part of a row that is its reply: up to its limit and its end token, which counts."""
        tokens = tokens[: self.limits[number]]
        return tokens[: tokens.index(2) + 1] if 2 in tokens else tokens


def throughput(size: str, prompts: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parameters = save_model(folder, size)
        requests = mixed_requests(prompts)
        workload = Workload(folder, requests)
        replies: list[list[int]] = []
        print(
            f"\n{size}: {parameters / 1e6:.1f} M parameters, float32; {prompts} prompts of "
            f"{sum(map(len, workload.prompts))} tokens, replies of {sum(workload.limits)} at most"
        )

        def ours() -> list[list[int]]:
            model = HfModel(folder)
            found = dict(model.complete(requests))
            model.close()
            # Our replies are text: what is compared below is their lengths.
            return [[0] * found[number].usage.completion_tokens for number in range(prompts)]

        ways: dict[str, Callable[[], list[list[int]]]] = {
            "one by one": lambda: workload.padded(1, by_length=False),
            f"padded batches of {BATCH}": lambda: workload.padded(BATCH, by_length=False),
            f"sorted batches of {BATCH}": lambda: workload.padded(BATCH, by_length=True),
            "transformers' continuous": lambda: workload.continuous(BATCH),
            "judgebench hf:": ours,
        }
        if not hasattr(workload.network, "continuous_batching_context_manager"):
            del ways["transformers' continuous"]
        for number in range(rounds):
            rates: dict[str, float] = {}
            for way, answer in ways.items():
                before = cpu_seconds()
                found = answer()
                seconds = cpu_seconds() - before
                rates[way] = sum(map(len, found)) / seconds
                replies = replies or found
                alike = sum(len(one) == len(other) for one, other in zip(replies, found, strict=True))
                print(
                    f"round {number + 1}  {way:<26} {rates[way]:8.1f} tokens per CPU-second, {seconds:7.1f} CPU-s, "
                    f"{alike} of {prompts} replies of equal length",
                    flush=True,
                )
            mine = rates.pop("judgebench hf:")
            print("ratio    " + ", ".join(f"{mine / rate:.2f} x {way}" for way, rate in rates.items()), flush=True)


def seconds_of(work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def overlap(prompts: int) -> None:
    concurrency = 8
    mirrors = tuple(folder for folder in (*mirror_folders([]), default_cache_dir()) if folder.is_dir())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model(folder / "model", "tiny")

        def runner(step: str, limit: int, candidate: str, judge: str | None = None) -> Runner:
            # Nothing is to be known from the step before.
            os.environ["JUDGEBENCH_CACHE"] = str(folder / step)
            settings = Settings(
                tasks="alpacaeval",
                model=candidate,
                judges=(judge,) if judge else (),
                concurrency=concurrency,
                judge_concurrency=concurrency,
                gen={"temperature": "0", "max_tokens": "64"},
                limit=limit,
                mirrors=mirrors,
                offline=True,
                out=folder / "runs" / step,
            )
            return Runner(settings, lambda *_: None)

        def measure(kind: str, candidate: str) -> None:
            with chat_server(log="/dev/null") as server:
                runner(f"{kind}-warm-up", 20, candidate, f"{server.base_url}#judge").evaluate()
            generation = seconds_of(lambda: runner(f"{kind}-generate", prompts, candidate).evaluate(judge=False))
            with chat_server(delay_ms=1000 * generation * concurrency / prompts, log="/dev/null") as server:
                judge = f"{server.base_url}#judge"
                answered = RunFolder(folder / "runs" / f"{kind}-generate")
                judging = seconds_of(lambda: runner(f"{kind}-judge", prompts, candidate, judge).rejudge(answered))
                together = seconds_of(lambda: runner(f"{kind}-eval", prompts, candidate, judge).evaluate())
            slowest = max(generation, judging)
            print(
                f"{kind:<6} {prompts} prompts: generate {generation:.2f} s, judge {judging:.2f} s, "
                f"eval {together:.2f} s; {together / slowest:.2f} x the slower, "
                f"one after the other {(generation + judging) / slowest:.2f} x",
                flush=True,
            )

        with chat_server(delay_ms=400, log="/dev/null") as server:
            measure("served", f"{server.base_url}#candidate")
        measure("hf", f"hf:{folder / 'model'}")


def engines(size: str, prompts: int) -> None:
    import torch

    if not torch.cuda.is_available() and find_spec("vllm") is None:
        raise SystemExit("There is neither a GPU nor vLLM here: nothing to be measured by the clock.")
    requests, warm_up = mixed_requests(prompts), mixed_requests(prompts + 16)[prompts:]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model(folder, size)
        workload = Workload(folder, requests)
        if torch.cuda.is_available():
            workload.network.to("cuda")
            workload.padded(1, by_length=False, most=4)
            replies: list[list[int]] = []
            seconds = seconds_of(lambda: replies.extend(workload.padded(1, by_length=False)))
            naive = sum(map(len, replies)) / seconds
            del workload.network
            rate = clocked(HfModel(folder), warm_up, requests)
            print(f"generate one by one {naive:.0f} tokens/s, hf {rate:.0f} tokens/s\nratio    {rate / naive:.2f}")
        if find_spec("vllm") is not None:
            model = VllmModel(folder)
            rate = clocked(model, warm_up, requests)
            bare = bare_vllm(model, workload)
            print(f"LLM.generate {bare:.0f} tokens/s, vllm {rate:.0f} tokens/s\nratio    {rate / bare:.3f}")


def clocked(model: Model, warm_up: Sequence[Request], requests: Sequence[Request]) -> float:
    """Tokens of replies per second; the model is closed."""
    list(model.complete(warm_up))
    tokens: list[int] = []
    seconds = seconds_of(lambda: tokens.extend(c.usage.completion_tokens for _, c in model.complete(requests)))
    model.close()
    return sum(tokens) / seconds


def bare_vllm(model: VllmModel, workload: Workload) -> float:
    """The same by ``LLM.generate``, opened as the backend opens its engine."""
    import vllm

    engine = vllm.LLM(**model._arguments)
    prompts = [{"prompt_token_ids": tokens} for tokens in workload.prompts]
    parameters = [vllm.SamplingParams(temperature=0.0, max_tokens=limit) for limit in workload.limits]
    engine.generate(prompts[:16], parameters[:16], use_tqdm=False)
    engine.reset_prefix_cache()
    outputs: list[object] = []
    seconds = seconds_of(lambda: outputs.extend(engine.generate(prompts, parameters, use_tqdm=False)))
    engine.llm_engine.engine_core.shutdown()
    if not vllm.envs.VLLM_ENABLE_V1_MULTIPROCESSING:
        vllm.distributed.cleanup_dist_env_and_memory()
    return sum(len(output.outputs[0].token_ids) for output in outputs) / seconds  # type: ignore[attr-defined]


def memory(count: int) -> None:
    process = psutil.Process()

    def requests() -> Iterator[Request]:
        sampling = Sampling(max_tokens=1)
        for number in range(count):
            yield Request(messages=(Message(role="user", content=f"Explain item {number}."),), sampling=sampling)

    with tempfile.TemporaryDirectory() as name:
        model = HfModel(tiny_checkpoint(Path(name)))
        before = cpu_seconds()
        every = max(1, count // 10)
        for done, (_, reply) in enumerate(model.complete(requests()), start=1):
            assert reply.error is None
            if done % every == 0:
                print(f"{done:>9,} replies: {process.memory_info().rss / 2**20:7.1f} MiB resident", flush=True)
        print(f"{count / (cpu_seconds() - before):.0f} replies per CPU-second")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("throughput", "overlap", "engines", "memory"))
    parser.add_argument("--size", choices=tuple(SIZES), default="tiny")
    parser.add_argument("--prompts", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--requests", type=int, default=100_000, help="of the memory part")
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    import transformers

    torch.set_num_threads(options.threads)
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"{options.threads} thread(s); Python {platform.python_version()}, torch {torch.__version__}, "
        f"transformers {transformers.__version__}"
    )
    if options.part == "throughput":
        throughput(options.size, options.prompts, options.rounds)
    elif options.part == "overlap":
        overlap(options.prompts)
    elif options.part == "engines":
        engines(options.size, options.prompts)
    else:
        memory(options.requests)


if __name__ == "__main__":
    main()
