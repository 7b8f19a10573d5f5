"""How fast judge calls go, and what CPU they cost: ``python benchmarks/judge_calls.py``.

A loopback server in a process of its own answers each call after 200 ms with one token and its logprobs. The client
makes 5,000 calls with prompts of about 6 KB at concurrency 256, first as judgebench does (call store, parsing of the
logprobs), then with aiohttp and nothing else, then with the `openai` package's asynchronous client and nothing else.
The ideal rate is concurrency / delay. CPU seconds are those of the client's process; run it with two free cores, since
the server needs one.
"""

import argparse
import asyncio
import math
import os
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import msgspec
import openai

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from judgebench.models.call_store import CallStore  # noqa: E402 - the checkout's own, wherever the program is started from
from judgebench.models.http.model import HttpChat  # noqa: E402
from judgebench.models.wrappers import Stored  # noqa: E402
from judgebench.records import Completion, Message, Request, Sampling  # noqa: E402
from tests.servers.launch import chat_server  # noqa: E402

FILLER = "The quick brown fox considers the two answers, and finds one of them a little longer than the other. " * 60


def prompts(calls: int, label: str) -> Iterator[str]:
    for number in range(calls):
        yield f"{label} {number}: {FILLER[:6000]}"


def requests(calls: int, label: str) -> Iterator[Request]:
    sampling = Sampling(temperature=0.0, max_tokens=1, top_logprobs=5)
    for prompt in prompts(calls, label):
        yield Request(messages=(Message(role="user", content=prompt),), sampling=sampling)


def preference(completion: Completion) -> float:
    """Probability of the label ``m`` among ``m`` and ``M``, as a logprob judge reads it."""
    assert completion.top_logprobs
    weights = {token: math.exp(logprob) for token, logprob in completion.top_logprobs[0]}
    return weights["m"] / (weights["m"] + weights["M"])


def through_judgebench(base_url: str, calls: int, concurrency: int, label: str) -> float:
    with tempfile.TemporaryDirectory() as folder, CallStore(Path(folder) / "calls.sqlite") as store:
        model = Stored(HttpChat("judge", base_url, "judge", concurrency=concurrency), store)
        values = [preference(completion) for _, completion in model.complete(requests(calls, label))]
        model.close()
        assert len(values) == calls
        assert store.statistics().rows == calls
    return sum(values) / calls


async def through_aiohttp(base_url: str, calls: int, concurrency: int, label: str) -> None:
    waiting = prompts(calls, label)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def work() -> None:
            for prompt in waiting:
                body = {"model": "judge", "messages": [{"role": "user", "content": prompt}], "max_tokens": 1}
                data = msgspec.json.encode(body)
                headers = {"Content-Type": "application/json"}
                async with session.post(base_url + "/chat/completions", data=data, headers=headers) as response:
                    await response.read()

        await asyncio.gather(*(work() for _ in range(concurrency)))


async def through_openai(base_url: str, calls: int, concurrency: int, label: str) -> None:
    waiting = prompts(calls, label)
    async with openai.AsyncOpenAI(api_key="none", base_url=base_url, max_retries=0, timeout=600) as client:

        async def work() -> None:
            for prompt in waiting:
                await client.chat.completions.create(
                    model="judge",
                    messages=[{"role": "user", "content": prompt}],
                    max_tokens=1,
                    temperature=0.0,
                    logprobs=True,
                    top_logprobs=5,
                )

        await asyncio.gather(*(work() for _ in range(concurrency)))


def measured(name: str, work: Callable[[], object], calls: int, ideal: float) -> float:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rate, cpu_per_thousand = calls / wall, 1000 * cpu / calls
    print(f"{name:<12} {rate:7.0f} calls/s  {rate / ideal:6.1%} of ideal  {cpu_per_thousand:.3f} CPU-s per 1,000 calls")
    return cpu_per_thousand


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--delay-ms", type=float, default=200.0)
    parser.add_argument("--rounds", type=int, default=1, help="how often to measure each")
    options = parser.parse_args()
    calls, concurrency = options.calls, options.concurrency
    ideal = concurrency / (options.delay_ms / 1000)
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
        f"Python {platform.python_version()}, aiohttp {aiohttp.__version__}, msgspec {msgspec.__version__}, "
        f"SQLite {sqlite3.sqlite_version}, "
        f"openai {openai.__version__}"
    )
    print(f"{calls} calls, concurrency {concurrency}, {options.delay_ms:g} ms: ideal {ideal:.0f} calls/s")
    with chat_server(delay_ms=options.delay_ms, log="/dev/null") as server:
        for number in range(options.rounds):
            ours = measured(
                "judgebench",
                lambda number=number: through_judgebench(server.base_url, calls, concurrency, f"ours {number}"),
                calls,
                ideal,
            )
            raw = measured(
                "raw aiohttp",
                lambda number=number: asyncio.run(
                    through_aiohttp(server.base_url, calls, concurrency, f"raw {number}")
                ),
                calls,
                ideal,
            )
            sdk = measured(
                "openai",
                lambda number=number: asyncio.run(through_openai(server.base_url, calls, concurrency, f"sdk {number}")),
                calls,
                ideal,
            )
            print(f"CPU ratios   ours to raw {ours / raw:.2f}, openai to ours {sdk / ours:.2f}")


if __name__ == "__main__":
    main()
