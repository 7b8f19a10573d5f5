"""What it gains to have Ray actors send a judge's calls: ``python benchmarks/judge_actors.py --replicas 0 1 2 4``.

The calls of ``judge_calls.py``, to its server, by this process alone (0) and by so many actors on this machine. Counted
are the CPU seconds of the process that decides, which is what more machines cannot share, and those of the actors;
Ray's own processes come on top. Opening the actors is not counted.
"""

import argparse
import logging
import os
import tempfile
import time
from pathlib import Path

from judge_calls import preference, requests

from judgebench.models.call_store import CallStore
from judgebench.models.http.model import HttpChat
from judgebench.models.wrappers import Stored
from tests.servers.launch import Server, chat_server


def actors_cpu() -> float:
    """CPU seconds of the actors that run on this machine."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, fields = stat.read_text().partition("(")[2].rpartition(")")
        except OSError:  # it has ended
            continue
        ticks += sum(map(int, fields.split()[11:13])) if name.startswith("ray::Client") else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(server: Server, replicas: int, calls: int, concurrency: int) -> tuple[float, float, float]:
    """Calls a second, and CPU seconds for 1,000 calls: of this process, and of all actors."""
    with tempfile.TemporaryDirectory() as folder, CallStore(Path(folder) / "calls.sqlite") as store:
        chat = HttpChat("judge", server.base_url, "judge", "none", concurrency=concurrency, replicas=replicas or None)
        model = Stored(chat, store)
        list(model.complete(requests(64, "warm-up", 5)))
        wall, own, others = time.perf_counter(), time.process_time(), actors_cpu()
        values = [preference(completion) for _, completion in model.complete(requests(calls, "judge", 5))]
        wall, own, others = time.perf_counter() - wall, time.process_time() - own, actors_cpu() - others
        model.close()
    assert len(values) == calls
    return calls / wall, 1000 * own / calls, 1000 * others / calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--delay-ms", type=float, default=200.0)
    parser.add_argument("--replicas", type=int, nargs="+", default=[0, 1, 2, 4])
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    print(f"{os.cpu_count()} cores, {options.concurrency} in flight, {options.delay_ms:g} ms")
    with chat_server(delay_ms=options.delay_ms, log="/dev/null") as server:
        for _ in range(options.rounds):
            for replicas in options.replicas:
                rate, own, others = measure(server, replicas, options.calls, options.concurrency)
                print(
                    f"{replicas} actors: {rate:6.0f} calls/s; CPU-s/1,000: {own:.3f} here, {others:.3f} in actors; "
                    f"load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
