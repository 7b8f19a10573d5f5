"""Memory and CPU time of what follows a million verdicts: ``python benchmarks/million.py [--verdicts N] [--each N]``.

Two run folders of a pairwise benchmark are made with the program's own writers: a jury of five judges sees each pair in
both orders, as often as ``--each`` says. Then each step runs in a process of its own: ``judge`` (of a third folder:
judges that reply at once, through the call store), ``close`` (the same command over a folder whose verdicts are all
there: it sorts, scores and writes), ``score``, ``compare``, ``show`` and ``export``. Printed are CPU seconds and the
peak of resident memory, first with 10,000 verdicts and then with N, and what is between the two.

With ``--loopback`` only ``judge`` runs, over HTTP: a server in a process of its own replies at once, and the closing of
that run is timed apart. Printed are also the calls of a second.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from judgebench import api  # noqa: E402
from judgebench.errors import JudgebenchError, ModelError  # noqa: E402
from judgebench.models.scripted import playing  # noqa: E402
from judgebench.records import Completion, Request, Usage, Verdict  # noqa: E402
from judgebench.run.folder import RunFolder  # noqa: E402
from judgebench.run.loading import reload_tasks  # noqa: E402
from judgebench.run.runner import Runner  # noqa: E402
from judgebench.run.settings import Settings  # noqa: E402
from tests.judged_cases import judged  # noqa: E402
from tests.servers.launch import rules_server  # noqa: E402

FEW, IN_FLIGHT = 10_000, 64
JUDGES = tuple(f"judge-{number}" for number in range(5))
LABELS = {"[[A]]": 1.0, "[[B]]": 0.0, "[[C]]": 0.5}
TASK = 'kind = "pairwise"\nprompts = "items.jsonl"\njudge = "scripted:judge-0"\n[pairwise]\nbaseline = "reference"\n'
REASONS = "The first answer is precise and the second one wanders, though neither of the two is wrong. " * 2


class Instant:
    """A judge that replies at once, and remembers nothing."""

    local = False

    def __init__(self, name: str, *, refuses: bool = False) -> None:
        self.name, self.identity, self.retries = name, f"instant:{name}", Counter[str]()
        self._refuses = refuses

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
        """Reply in the order of the requests."""
        for number, request in enumerate(requests):
            if self._refuses:
                raise ModelError("not now")
            yield number, said(self.name, len(request.messages[-1].content) + request.repeat)

    def render(self, request: Request) -> str | None:
        """Nothing: no tokens are seen."""
        return None

    def check(self, requests: Sequence[Request]) -> None:
        """Accept every request."""

    def close(self) -> None:
        """Do nothing."""


def said(judge: str, number: int) -> Completion:
    """A reply of two sentences and a label."""
    label = list(LABELS)[(number + len(judge)) % 3] if number % 5 else "[[C]]"
    return Completion(
        text=f"{REASONS}{label}",
        finish_reason="stop",
        usage=Usage(prompt_tokens=400, completion_tokens=60),
        model=judge,
    )


def write_task(folder: Path, examples: int) -> Path:
    """A benchmark of so many questions of about 200 characters, with answers of about 400."""
    folder.mkdir(parents=True)
    words = ["small", "boats", "reach", "the", "northern", "harbour", "before", "evening", "tide", "turns", "again"]
    rng = random.Random(0)

    def text(count: int) -> str:
        return " ".join(rng.choices(words, k=count))

    with (folder / "items.jsonl").open("w") as file:
        for number in range(examples):
            row = {"id": f"q{number:07d}", "instruction": f"{number}: {text(35)}", "reference": text(70)}
            file.write(json.dumps(row) + "\n")
    for name in ("one", "two", "judged"):
        with (folder / f"{name}.jsonl").open("w") as file:
            for number in range(examples):
                file.write(json.dumps({"id": f"q{number:07d}", "output": text(70), "generator": name}) + "\n")
    (folder / "task.toml").write_text(TASK)
    return folder / "task.toml"


def settings_of(place: Path, name: str, each: int, server: str = "") -> Settings:
    """Those of one of the runs; its judges are in this process, unless there is the address of a server."""
    return Settings(
        tasks=str(place / "task.toml"),
        model=f"file:{place / name}.jsonl",
        judges=tuple(f"{server}#{judge}" if server else f"scripted:{judge}" for judge in JUDGES),
        judge_concurrency=IN_FLIGHT if server else None,
        judge_repeats=each // (2 * len(JUDGES)),
        out=place / f"run-{name}",
    )


def build(place: Path, name: str, each: int) -> None:
    """Make the folder of a run whose verdicts are all there, and which was not closed."""
    settings = settings_of(place, name, each)
    with ExitStack() as stack:
        for judge in JUDGES:
            stack.enter_context(playing(Instant(judge, refuses=True)))
        try:
            Runner(settings, lambda task, stage: None).evaluate()
        except JudgebenchError as error:
            if "not now" not in str(error):
                raise
    folder = RunFolder(place / f"run-{name}")
    manifest = folder.require_manifest()
    (loaded,) = reload_tasks(folder, manifest, settings)
    task_folder, rng = folder.task(loaded.key), random.Random(name)
    generations = list(task_folder.generations())
    for start in range(0, len(generations), 4096):
        some = [
            (case, judge, repeat)
            for generation in generations[start : start + 4096]
            for case in loaded.task.cases(loaded.data, generation)
            for judge in JUDGES
            for repeat in range(settings.judge_repeats)
        ]
        rng.shuffle(some)
        for case, judge, repeat in some:
            reply = said(judge, rng.randrange(1000))
            label = (reply.text or "")[-5:]
            read = judged(case, judge, repeat, reply, Verdict(value=LABELS[label], label=label))
            task_folder.append(msgspec.structs.replace(read, request_hashes=("sha256:" + "0" * 64,)))
    task_folder.close()


@contextmanager
def looped_back(place: Path) -> Iterator[str]:
    """The address of a server of all the judges, in a process of its own: each has seven replies, in turn."""
    rules = [
        {"model": judge, "has": [], "replies": [said(judge, number).text for number in range(1, 8)]} for judge in JUDGES
    ]
    (place / "rules.json").write_text(json.dumps(rules))
    with rules_server(place / "rules.json") as server:
        yield server.base_url


def run_step(step: str, place: Path, each: int, server: str) -> None:
    """One step, in this process; its figures go to stdout as JSON."""
    files, one = [str(place / "task.toml")], place / "run-one"
    begun, clock = time.process_time(), time.perf_counter()
    kind, _, name = step.partition(" ")
    if kind == "build":
        build(place, name, each)
    elif kind in ("judge", "close"):
        with ExitStack() as stack:
            for judge in JUDGES:
                stack.enter_context(playing(Instant(judge)))
            Runner(settings_of(place, name, each, server), lambda task, stage: None).evaluate()
    elif step == "score":
        api.score(one, tasks=files)
    elif step == "compare":
        api.compare(one, place / "run-two", tasks=files)
    elif step == "show":
        api.load_run(one, tasks=files).frame()
    else:
        api.export(one, "archive", place / "one.zip", tasks=files)
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = time.perf_counter() - clock
    print(json.dumps({"cpu": time.process_time() - begun, "seconds": seconds, "peak": used.ru_maxrss / 1024}))


def measured(step: str, place: Path, each: int, server: str = "") -> dict[str, float]:
    """The figures of a step in a process of its own."""
    command = [sys.executable, __file__, "--step", step, "--place", str(place), "--each", str(each)]
    command += ["--server", server]
    environment = {**os.environ, "JUDGEBENCH_CACHE": str(place / "cache"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


STEPS = ("judge judged", "close one", "close two", "score", "compare", "show", "export")
LOOPBACK = ("judge judged", "close judged")


def figures(verdicts: int, each: int, steps: Sequence[str], *, loopback: bool) -> dict[str, dict[str, float]]:
    """The figures of all steps with so many verdicts."""
    found = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        place = Path(folder) / "million"
        write_task(place, verdicts // each)
        server = stack.enter_context(looped_back(place)) if loopback else ""
        for step in steps:
            own = found[step] = measured(step, place, each, server)
            rate = f"{verdicts / own['seconds']:8,.0f} calls/s" if server and step.startswith("judge") else ""
            print(f"{verdicts:>10,}  {step:12} {own['cpu']:8.1f} CPU-s {own['peak']:8.0f} MB {rate}", flush=True)
    return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verdicts", type=int, default=1_000_000)
    parser.add_argument("--each", type=int, default=100, help="verdicts on each question, a multiple of 10")
    parser.add_argument("--steps", default=",".join(STEPS))
    parser.add_argument("--loopback", action="store_true", help="only judge, over HTTP, and close")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--server", default="", help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        run_step(arguments.step, arguments.place, arguments.each, arguments.server)
        return
    steps = LOOPBACK if arguments.loopback else ("build one", "build two", *arguments.steps.split(","))
    few, many = (
        figures(count, arguments.each, steps, loopback=arguments.loopback) for count in (FEW, arguments.verdicts)
    )
    for step in steps:
        grown = many[step]["peak"] - few[step]["peak"]
        print(f"{step}: {many[step]['cpu']:.1f} CPU-s, {grown:+,.0f} MB beyond {FEW:,} verdicts")


if __name__ == "__main__":
    main()
