"""How fast judge calls go, and what CPU they cost: ``python benchmarks/judge_calls.py --concurrency 64 256``.

A loopback server in a process of its own answers each call after 200 ms with one token and, over OpenAI's protocol,
its logprobs. The client makes 5,000 calls with prompts of about 6 KB, in turn as judgebench does (call store, claims,
parsing of the logprobs), with aiohttp and nothing else, and with whatever else is installed: the vendor's asynchronous
client and nothing else, and over OpenAI's protocol inspect_ai, lm-eval's API model and alpaca_eval's decoder, each as
its own program calls it. Those that are slow make a tenth of the calls. The ideal rate is concurrency / delay. CPU
seconds are those of the client's process; run it with two free cores, since the server needs one. ``--protocol
anthropic`` is the same over Anthropic's Messages.
"""

import argparse
import asyncio
import gc
import importlib
import json
import logging
import math
import os
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from judgebench.models.call_store import CallStore  # noqa: E402 - the checkout's own, wherever the program is started from
from judgebench.models.http.model import HttpChat  # noqa: E402
from judgebench.models.http.wire_chat import ChatCompletions  # noqa: E402
from judgebench.models.http.wire_messages import Messages  # noqa: E402
from judgebench.models.wrappers import Stored  # noqa: E402
from judgebench.records import Completion, Message, Request, Sampling  # noqa: E402
from tests.servers.launch import Server, chat_server  # noqa: E402

FILLER = "The quick brown fox considers the two answers, and finds one of them a little longer than the other. " * 60


def prompts(calls: int, label: str) -> Iterator[str]:
    for number in range(calls):
        yield f"{label} {number}: {FILLER[:6000]}"


def requests(calls: int, label: str, top_logprobs: int) -> Iterator[Request]:
    sampling = Sampling(temperature=0.0, max_tokens=1, top_logprobs=top_logprobs)
    for prompt in prompts(calls, label):
        yield Request(messages=(Message(role="user", content=prompt),), sampling=sampling)


def preference(completion: Completion) -> float:
    """Probability of the label ``m`` among ``m`` and ``M``, as a logprob judge reads it."""
    if completion.top_logprobs is None:
        return float(completion.text == "m")
    weights = {token: math.exp(logprob) for token, logprob in completion.top_logprobs[0]}
    return weights["m"] / (weights["m"] + weights["M"])


def through_judgebench(server: Server, anthropic: bool, calls: int, concurrency: int, label: str) -> None:
    base_url = server.root_url if anthropic else server.base_url
    wire = Messages() if anthropic else ChatCompletions()
    with tempfile.TemporaryDirectory() as folder, CallStore(Path(folder) / "calls.sqlite") as store:
        model = Stored(HttpChat("judge", base_url, "judge", "none", wire=wire, concurrency=concurrency), store)
        asked = requests(calls, label, 0 if anthropic else 5)
        values = [preference(completion) for _, completion in model.complete(asked)]
        model.close()
        assert len(values) == calls
        assert store.statistics().rows == calls


async def side_by_side(concurrency: int, waiting: Iterator[str], call: Callable[[str], Awaitable[object]]) -> None:
    """Call for each prompt, so many at once."""

    async def work() -> None:
        for prompt in waiting:
            await call(prompt)

    await asyncio.gather(*(work() for _ in range(concurrency)))


async def through_aiohttp(server: Server, anthropic: bool, calls: int, concurrency: int, label: str) -> None:
    url = server.root_url + "/v1/messages" if anthropic else server.base_url + "/chat/completions"
    headers = {"Content-Type": "application/json"}
    headers |= {"x-api-key": "none", "anthropic-version": "2023-06-01"} if anthropic else {}
    asked = {} if anthropic else {"temperature": 0.0, "logprobs": True, "top_logprobs": 5}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def call(prompt: str) -> None:
            body = {"model": "judge", "messages": [{"role": "user", "content": prompt}], "max_tokens": 1, **asked}
            async with session.post(url, data=msgspec.json.encode(body), headers=headers) as response:
                assert response.status == 200
                await response.read()

        await side_by_side(concurrency, prompts(calls, label), call)


async def through_sdk(server: Server, anthropic: bool, calls: int, concurrency: int, label: str) -> None:
    sdk = importlib.import_module("anthropic" if anthropic else "openai")
    opened = sdk.AsyncAnthropic if anthropic else sdk.AsyncOpenAI
    base_url = server.root_url if anthropic else server.base_url
    asked = {} if anthropic else {"temperature": 0.0, "logprobs": True, "top_logprobs": 5}
    async with opened(api_key="none", base_url=base_url, max_retries=0, timeout=600) as client:
        create = client.messages.create if anthropic else client.chat.completions.create

        async def call(prompt: str) -> None:
            await create(model="judge", messages=[{"role": "user", "content": prompt}], max_tokens=1, **asked)

        await side_by_side(concurrency, prompts(calls, label), call)


async def through_inspect(server: Server, anthropic: bool, calls: int, concurrency: int, label: str) -> None:
    found = importlib.import_module("inspect_ai.model")
    config = found.GenerateConfig(
        max_tokens=1, temperature=0.0, logprobs=True, top_logprobs=5, max_connections=concurrency
    )
    model = found.get_model("openai/judge", base_url=server.base_url, api_key="none", config=config)
    await side_by_side(concurrency, prompts(calls, label), model.generate)


def through_lm_eval(server: Server, anthropic: bool, calls: int, concurrency: int, label: str) -> None:
    from lm_eval.api.instance import Instance
    from lm_eval.models.api_models import JsonChatStr
    from lm_eval.models.openai_completions import LocalChatCompletion

    url = server.base_url + "/chat/completions"
    model = LocalChatCompletion(base_url=url, model="judge", num_concurrent=concurrency, auth_token="none")
    asked = []
    for number, prompt in enumerate(prompts(calls, label)):
        chat = JsonChatStr(json.dumps([{"role": "user", "content": prompt}]))
        options = {"max_gen_toks": 1, "until": ["\n"]}
        asked.append(Instance(request_type="generate_until", doc={}, arguments=(chat, options), idx=number))
    assert len(model.generate_until(asked, disable_tqdm=True)) == calls


def through_alpaca_eval(server: Server, anthropic: bool, calls: int, concurrency: int, label: str) -> None:
    from alpaca_eval.decoders.openai import openai_completions

    found = openai_completions(
        [f"<|im_start|>user\n{prompt}<|im_end|>" for prompt in prompts(calls, label)],
        "judge",
        max_tokens=1,
        num_procs=concurrency,
        price_per_token=0.0,
        requires_chatml=True,
        openai_api_keys=["none"],
        openai_api_base=server.base_url,
        temperature=0.0,
        logprobs=True,
        top_logprobs=5,
    )
    assert len(found["completions"]) == calls


Way = Callable[[Server, bool, int, int, str], Any]
OURS, RAW = "judgebench", "raw aiohttp"
WAYS: dict[str, tuple[Way, int]] = {
    OURS: (through_judgebench, 1),
    RAW: (through_aiohttp, 1),
    "openai": (through_sdk, 10),
    "anthropic": (through_sdk, 10),
    "inspect_ai": (through_inspect, 10),
    "lm_eval": (through_lm_eval, 1),
    "alpaca_eval": (through_alpaca_eval, 10),
}
"""Each with the share of the calls that it makes, inverted."""
OF_ANTHROPIC = (OURS, RAW, "anthropic")


def installed(way: str) -> str | None:
    """The version of what makes the calls; ``None`` if it is not here."""
    if way == OURS:
        return "this checkout"
    try:
        return version({RAW: "aiohttp"}.get(way, way))
    except PackageNotFoundError:
        return None


def measured(
    way: str, server: Server, anthropic: bool, calls: int, concurrency: int, label: str
) -> tuple[float, float]:
    """Calls per second, and CPU seconds per 1,000 calls."""
    work, part = WAYS[way]
    calls = max(calls // part, concurrency)
    wall, cpu = time.perf_counter(), time.process_time()
    made = work(server, anthropic, calls, concurrency, label)
    if asyncio.iscoroutine(made):
        asyncio.run(made)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return calls / wall, 1000 * cpu / calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--delay-ms", type=float, default=200.0)
    parser.add_argument("--rounds", type=int, default=1, help="how often to measure each")
    parser.add_argument("--protocol", choices=("openai", "anthropic"), default="openai")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    anthropic = options.protocol == "anthropic"
    offered = OF_ANTHROPIC if anthropic else tuple(way for way in WAYS if way != "anthropic")
    ways = {way: told for way in offered if (told := installed(way)) is not None}
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
        f"Python {platform.python_version()}, msgspec {msgspec.__version__}, SQLite {sqlite3.sqlite_version}; "
        + ", ".join(f"{way} {told}" for way, told in ways.items())
    )
    with chat_server(delay_ms=options.delay_ms, log="/dev/null") as server:
        for way in ways:  # what is imported and learned once
            measured(way, server, anthropic, 20, 20, "warm-up")
        gc.collect()
        gc.freeze()  # what one program imported is not looked through again and again while another is measured
        for concurrency in options.concurrency:
            ideal = concurrency / (options.delay_ms / 1000)
            print(
                f"{options.calls} calls, concurrency {concurrency}, {options.delay_ms:g} ms: ideal {ideal:.0f} calls/s"
            )
            for number in range(options.rounds):
                label = f"{concurrency} {number}"
                found = {way: measured(way, server, anthropic, options.calls, concurrency, label) for way in ways}
                for way, (rate, cpu) in found.items():
                    ratio = f"{cpu / found[RAW][1]:6.2f} x raw" if way != RAW else ""
                    print(f"{way:<12} {rate:6.0f} calls/s, {rate / ideal:6.1%} of ideal, {cpu:.3f} CPU-s/1,000 {ratio}")


if __name__ == "__main__":
    main()
