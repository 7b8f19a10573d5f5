"""What is lost, submitted twice or overspent when judging in batches is killed again and again: a campaign.

Three evaluations of the same answers, each with a run folder and a budget of its own, share one call store and judge in
batches at the vendor of ``tests/servers/batch_server.py``, which takes its time to accept a batch. The budgets have
room for a part of the calls at a time, so that there are many batches. Every process is killed (``kill -9``) after a
random while. When all three are complete, another judge is taken, until there were as many kills as asked for; then
the last three are let run to their end, with as much budget as it takes. Printed are, with the bound of each:

- calls that were in more than one batch, and verdicts that are in no run folder: none;
- calls that were sent by themselves more often than once, or beside a batch: no more than the kills left open;
- what the vendor billed in a round by its last kill, by the price list, against the budgets;
- what the vendor billed in all against what single calls would have cost: 51 % at most.

    python benchmarks/batch_kills.py --kills 100
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from judgebench.models.call_store import CallStore  # noqa: E402
from judgebench.models.opening import parse_model, price_of  # noqa: E402
from judgebench.records import Usage  # noqa: E402
from judgebench.run.folder import RunFolder  # noqa: E402
from tests.servers.launch import Server, batch_server  # noqa: E402

SUMS = ROOT / "tests" / "fixtures" / "sums" / "task.py"
PROCESSES = 3
ENDED = (0, 5)
"""How a process may end that was not killed: well, or for want of budget."""
JUDGES = {"openai": "openai:gpt-4.1-2025-01-{:02d}", "anthropic": "anthropic:claude-haiku-4-5-202501{:02d}"}
"""A judge for each round; their prices are those of the names without the date."""


def write_answers(path: Path, items: int) -> None:
    """The answers to judge: some of them wrong."""
    rows = [
        {
            "instruction": f"What is {11 + n} + {7 * n + 3}?",
            "output": f"{14 + 8 * n + (n % 5 == 0)}",
            "generator": "file",
        }
        for n in range(items)
    ]
    path.write_text(json.dumps(rows))


def command(answers: Path, run: Path, judge: str, items: int, budget: float) -> list[str]:
    """``eval`` of the answers, judged in batches under a budget."""
    task = f"{SUMS}:items={items},judged=true"
    words = ["--model", f"file:{answers}", "--tasks", task, "--judge", judge, "--out", str(run), "-q"]
    return [sys.executable, "-m", "judgebench", "eval", *words, "--batch-api", "on", "--budget", str(budget)]


def started(commands: list[list[str]], environment: dict[str, str]) -> "list[subprocess.Popen[str]]":
    """The processes of the commands."""
    return [
        subprocess.Popen(
            words,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
        for words in commands
    ]


def killed(processes: "list[subprocess.Popen[str]]", rng: random.Random) -> tuple[int, bool]:
    """How many processes of these were killed, in any order, and whether all had ended well before."""
    done, well = 0, True
    rng.shuffle(processes)
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            done += 1
        _, said = process.communicate()
        well &= process.returncode in ENDED
        if process.returncode not in (*ENDED, -signal.SIGKILL):
            raise SystemExit(f"a process ended with {process.returncode}: {said}")
        time.sleep(rng.uniform(0.0, 0.2))
    return done, well


def campaign(
    kills: int, items: int, seed: int, *, vendor: str = "openai", budget: float = 0.04, longest: float = 9.0
) -> dict[str, object]:
    """The figures of one campaign; no process lives longer than ``longest`` seconds but in the end."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, batch_server(create_ms=150, work_ms=1000, live_ms=20) as server:
        place = Path(folder)
        cache = {"JUDGEBENCH_CACHE": str(place / "cache"), "PYTHONPATH": str(ROOT), "OPENAI_API_KEY": "sk-x"}
        served = {"OPENAI_BASE_URL": server.base_url, "ANTHROPIC_BASE_URL": server.root_url}
        environment = {**os.environ, **cache, **served}
        write_answers(place / "answers.json", items)
        done, rounds = 0, list[tuple[str, list[Path]]]()

        def commands(limit: float) -> list[list[str]]:
            judge, runs = rounds[-1]
            return [command(place / "answers.json", run, judge, items, limit) for run in runs]

        most_billed = 0.0
        while done < kills:
            number, before = len(rounds) + 1, usd_of(server, vendor)
            rounds.append((JUDGES[vendor].format(number), [place / f"{number}-{n}" for n in range(PROCESSES)]))
            complete = False
            while not complete and done < kills:
                processes = started(commands(budget), environment)
                time.sleep(rng.uniform(longest / 3, longest))
                more, complete = killed(processes, rng)
                done += more
            most_billed = max(most_billed, usd_of(server, vendor) - before)
            for process in started(commands(1e6), environment):
                _, said = process.communicate()
                if process.returncode:
                    raise SystemExit(f"the last start ended with {process.returncode}: {said}")
        return {
            "kills": done,
            "rounds": len(rounds),
            **figures(server, environment, [run for _, runs in rounds for run in runs], items),
            "most billed in a round by its last kill, USD": round(most_billed, 4),
            "budgets of a round, USD": round(budget * PROCESSES, 4),
            "share of the price of single calls": round(usd_of(server, vendor) / usd_of(server, vendor, whole=True), 4),
        }


def usd_of(server: Server, vendor: str, *, whole: bool = False) -> float:
    """What the vendor has billed so far: batches as it bills them or, ``whole``, as if all calls had been single."""
    price = price_of(parse_model(JUDGES[vendor].format(1))[0], {})
    assert price is not None
    return sum(
        price.usd(
            Usage(prompt_tokens=prompt, completion_tokens=completion),
            batched=event["event"] == "answered" and not whole,
        )
        for event in server.events()
        for prompt, completion in event.get("tokens", ())
    )


def figures(server: Server, environment: dict[str, str], runs: list[Path], items: int) -> dict[str, object]:
    """What the server's log and the run folders say."""
    events = server.events()
    batched = Counter(asked for event in events if event["event"] == "batch" for asked in event["asked"])
    single = Counter(asked for event in events if event["event"] == "live" for asked in event["asked"])
    with CallStore(Path(environment["JUDGEBENCH_CACHE"]) / "calls.sqlite") as store:
        books = [store.spending(RunFolder(run).require_manifest().account) for run in runs]
    verdicts = [len({one.case_id for one in RunFolder(run).task("sums").judgements() if one.replies}) for run in runs]
    return {
        "calls": len(batched.keys() | single.keys()),
        "batches": sum(event["event"] == "batch" for event in events),
        "in batches": batched.total(),
        "in more than one batch": batched.total() - len(batched),
        "batched and sent by themselves": len(batched.keys() & single.keys()),
        "sent by themselves": single.total(),
        "sent by themselves again": single.total() - len(single),
        "calls left open by the kills": sum(one.lost_calls for one in books),
        "verdicts lost": sum(items - found for found in verdicts),
    }


def kept(found: dict[str, object], items: int) -> bool:
    """Whether every bound is kept."""
    again = int(str(found["sent by themselves again"])) + int(str(found["batched and sent by themselves"]))
    return (
        found["in more than one batch"] == found["verdicts lost"] == 0
        and again <= int(str(found["calls left open by the kills"]))
        and float(str(found["most billed in a round by its last kill, USD"]))
        <= float(str(found["budgets of a round, USD"]))
        and (items < 1000 or float(str(found["share of the price of single calls"])) <= 0.51)
    )


def main() -> None:
    """Print the figures, and end with 1 if a bound is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vendor", choices=JUDGES, default="openai")
    parser.add_argument("--longest", type=float, default=9.0, help="seconds that a process lives at most")
    options = parser.parse_args()
    found = campaign(options.kills, options.items, options.seed, vendor=options.vendor, longest=options.longest)
    print(json.dumps(found, indent=2))
    raise SystemExit(0 if kept(found, options.items) else 1)


if __name__ == "__main__":
    main()
