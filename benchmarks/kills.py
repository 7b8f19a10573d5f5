"""What is lost, bought twice or overspent when evaluations are killed again and again: a campaign, run by hand.

Two evaluations with a budget each share one call store, and a third process keeps trying to work in the folder of the
first; every process is killed (``kill -9``) after a random while, until there were as many kills as asked for. Then
both are let run to their end, with as much budget as it takes. The server of ``tests/servers/odd_server.py`` bills
every request that it begins to answer. Printed are, with the bound that each must keep:

- what the server billed by the end of the kills, against the budgets;
- calls that were bought twice, against the claims that the kills left open;
- answers that were committed to the store and are in no run folder at the end;
- processes that worked in a folder at the same time as another.

    python benchmarks/kills.py --kills 100
"""

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.batch_kills import SUMS, started  # noqa: E402
from judgebench.models.call_store import CallStore  # noqa: E402
from judgebench.run.folder import RunFolder  # noqa: E402
from tests.servers.launch import odd_server  # noqa: E402

CALL_USD = 0.03
"""Of 30 tokens at 1,000 USD a million."""


def arguments(port: int, run: Path, items: int, budget: float, concurrency: int) -> list[str]:
    """``eval`` of sums under a budget."""
    model = ["--model", f"http://127.0.0.1:{port}/v1#m", "--model-arg", "usd_per_million=1000/1000"]
    task = ["--tasks", f"{SUMS}:items={items}", "--out", str(run), "-q"]
    limits = ["--budget", str(budget), "--concurrency", str(concurrency)]
    return [sys.executable, "-m", "judgebench", "eval", *model, *task, *limits]


def killed(command: list[str], seconds: float, environment: dict[str, str]) -> tuple[int | None, str]:
    """Run a command for a while at most; its exit code (``None`` if it was killed) and what it said."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    try:
        _, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None, ""
    return process.returncode, said


def campaign(kills: int, items: int, concurrency: int, seed: int) -> dict[str, object]:
    """The figures of one campaign."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, odd_server(rate=0.1, only="500", delay_ms=40) as server:
        place = Path(folder)
        environment = {**os.environ, "JUDGEBENCH_CACHE": str(place / "cache"), "PYTHONPATH": str(ROOT)}
        runs = [place / "first", place / "second"]
        budget = items * CALL_USD / 2
        done = refused = 0
        while done < kills:
            commands = [arguments(server.port, run, items, budget, concurrency) for run in (*runs, runs[0])]
            processes = started(commands, environment)
            time.sleep(rng.uniform(1.0, 4.0))
            rng.shuffle(processes)
            for process in processes:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    done += 1
                _, said = process.communicate()
                refused += "is at work there" in said
                time.sleep(rng.uniform(0.0, 0.3))
        billed = sum(event["name"] == "good" for event in server.events()) * CALL_USD
        spent = [_spent(environment, run) for run in runs]
        for run in runs:
            code, said = killed(arguments(server.port, run, items, 1e6, concurrency), 600, environment)
            if code != 0:
                raise SystemExit(f"the last start of {run.name} ended with {code}: {said}")
        answered = Counter(event["asked"] for event in server.events() if event["name"] == "good")
        opened = sum(_spent(environment, run).lost_calls for run in runs)
        lines = [len((run / "sums" / "generations.jsonl").read_text().splitlines()) for run in runs]
        stored = sqlite3.connect(place / "cache" / "calls.sqlite").execute("SELECT COUNT(*) FROM calls").fetchone()[0]
    return {
        "kills": done,
        "billed at the last kill, USD": round(billed, 2),
        "known to the books, USD": round(sum(one.usd for one in spent), 2),
        "may have been billed besides, USD": round(sum(one.lost_usd for one in spent), 2),
        "budgets together, USD": 2 * budget,
        "calls bought": sum(answered.values()),
        "bought twice": sum(answered.values()) - len(answered),
        "claims left open by the kills": opened,
        "items": items,
        "lines in the run folders": lines,
        "calls in the store": stored,
        "processes turned away from a folder at work": refused,
    }


def _spent(environment: dict[str, str], run: Path) -> "object":
    with CallStore(Path(environment["JUDGEBENCH_CACHE"]) / "calls.sqlite") as store:
        return store.spending(RunFolder(run).require_manifest().account)


def main() -> None:
    """Print the figures, and end with 1 if a bound is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = campaign(options.kills, options.items, options.concurrency, options.seed)
    print(json.dumps(found, indent=2))
    kept = (
        found["billed at the last kill, USD"] <= found["budgets together, USD"]
        and found["bought twice"] <= found["claims left open by the kills"]
        and found["lines in the run folders"] == [options.items] * 2
        and found["calls in the store"] == options.items
    )
    raise SystemExit(0 if kept else 1)


if __name__ == "__main__":
    main()
