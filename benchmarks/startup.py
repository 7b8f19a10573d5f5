"""CPU that a command takes when nothing is left to pay for: ``python benchmarks/startup.py --data DIR``.

``judgebench eval`` of 100 published AlpacaEval answers of phi-2 is run once, with the published replies from a loopback
server, so that the call store holds every verdict. Then it is run again and again into new folders, in turn with
``python -c pass`` and with ``--help``. Printed are the CPU seconds of each process, all its threads and children
included: the median over the rounds, and the ratio to an interpreter that does nothing. Bytecode is kept, as where a
package is installed. ``DIR`` holds the published judgements (CONTRIBUTING.md).
"""

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.alpacaeval_server import publish  # noqa: E402 - the checkout's own, wherever the program is started from
from tests.servers.launch import chat_server  # noqa: E402


def cpu_seconds(command: list[str], environment: dict[str, str]) -> float:
    """User and system time of a process and its children, which must end well."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the published judgements")
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=1, help="verdicts of each case")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        own = {"JUDGEBENCH_CACHE": str(place / "cache"), "PYTHONPATH": str(ROOT)}
        environment = {**os.environ, **own, "PYTHONPYCACHEPREFIX": str(place / "bytecode")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        published = publish(options.data, place)
        judgebench = [sys.executable, "-m", "judgebench"]
        with chat_server(replies=published.replies, delay_ms=0, log="/dev/null") as server:

            def evaluation(out: str) -> list[str]:
                more = ["--limit", str(options.items), "--judge-repeats", str(options.repeats)]
                return judgebench + published.eval(server, place / out, *more)

            cpu_seconds(evaluation("first"), environment)
            cpu_seconds([*judgebench, "--help"], environment)
            rounds = [
                (
                    cpu_seconds([sys.executable, "-c", "pass"], environment),
                    cpu_seconds([*judgebench, "--help"], environment),
                    cpu_seconds(evaluation(f"cached-{number}"), environment),
                )
                for number in range(options.rounds)
            ]
    print(f"{platform.platform()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    nothing, *_ = medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
    names = ("python -c pass", "judgebench --help", f"eval, {options.items} cached items")
    print(f"{'CPU-seconds':28}{'median':>9}{'least':>9}{'most':>9}{'ratio':>9}")
    for name, median, column in zip(names, medians, zip(*rounds, strict=True), strict=True):
        print(f"{name:28}{median:9.3f}{min(column):9.3f}{max(column):9.3f}{median / nothing:9.1f}")


if __name__ == "__main__":
    main()
