"""How a client keeps to an endpoint's limit that is told in headers: calls a second, and calls that were refused.

    python benchmarks/pace.py [--seconds 30] [--allow 50] [--concurrency 64]

Real server processes on loopback allow so many requests a second, in windows or out of a bucket, refuse the rest at
once with 429 and say in each reply's headers what is left. The client is told nothing and has more requests than it can
send. Counted is by the servers' own logs, from the first request on: accepted calls a second after 20 s, and the share
of all calls that were refused. With two endpoints behind one name the allowance is twice that.
"""

import argparse
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from judgebench.models.http.endpoint import Place  # noqa: E402
from judgebench.models.http.model import HttpChat  # noqa: E402
from judgebench.records import Message, Request, Sampling  # noqa: E402
from tests.servers.launch import Server, chat_server  # noqa: E402

SETTLED_SECONDS = 20.0


def requests(ended: threading.Event) -> Iterator[Request]:
    """As many as are taken, each another one."""
    number = 0
    while not ended.is_set():
        yield Request(messages=(Message(role="user", content=f"question {number}"),), sampling=Sampling(max_tokens=1))
        number += 1


def measure(servers: list[Server], seconds: float, concurrency: int) -> tuple[float, float, int]:
    """Accepted calls a second once it has settled, the share that was refused, and all calls."""
    model = HttpChat(
        "judge",
        servers[0].base_url,
        "m",
        concurrency=concurrency,
        max_attempts=100,
        more=[Place(server.base_url) for server in servers[1:]],
    )
    ended = threading.Event()
    threading.Timer(seconds, ended.set).start()
    for _, completion in model.complete(requests(ended)):
        assert completion.error is None, completion.error
    model.close()
    events = [event for server in servers for event in server.events()]
    begun = min(event["time"] for event in events)
    accepted = [event["time"] - begun for event in events if event["event"] == "finish"]
    refused = sum(event["event"] == "429" for event in events)
    late = sum(SETTLED_SECONDS <= at < seconds for at in accepted)
    return late / (seconds - SETTLED_SECONDS), refused / (refused + len(accepted)), refused + len(accepted)


def main() -> None:
    """Measure all and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--allow", type=int, default=50, help="requests a second that each endpoint takes")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--delay-ms", type=float, default=100.0)
    options = parser.parse_args()
    if options.seconds <= SETTLED_SECONDS:
        parser.error(f"--seconds is more than {SETTLED_SECONDS:g}")
    missed = False
    for kind, bucket in (("windows", 0), ("bucket", 1)):
        for many in (1, 2):
            cpu = time.process_time()
            with ExitStack() as stack:
                servers = [
                    stack.enter_context(
                        chat_server(allow=options.allow, allow_bucket=bucket, delay_ms=options.delay_ms, retry_after=1)
                    )
                    for _ in range(many)
                ]
                rate, wasted, calls = measure(servers, options.seconds, options.concurrency)
            ideal = many * options.allow
            missed |= not (0.9 * ideal <= rate <= 1.1 * ideal and wasted < 0.05)
            print(
                f"{kind:8} endpoints={many} allowed {ideal}/s: {rate:6.1f}/s ({rate / ideal:.1%}) after "
                f"{SETTLED_SECONDS:g} s, {wasted:.2%} of {calls} calls refused, "
                f"{time.process_time() - cpu:.1f} CPU-s",
                flush=True,
            )
    sys.exit(missed)


if __name__ == "__main__":
    main()
