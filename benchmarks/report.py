"""What a report costs: ``python benchmarks/report.py MIRROR [--work DIR] [--case NAME]``.

Published judgements and answers (``MIRROR`` is a folder of them, such as the one that the tests of fidelity read) are
imported and repeated under new ids: 7 tasks of 5,000 samples, 20,000 of AlpacaEval or of WildBench, two runs each;
AlpacaEval as it is; and ten runs of 7 tasks, for what the numbers alone take. The page is written by a process of its
own, which counts its CPU seconds and its largest memory, and then opened in Chromium, if that and playwright are there:
time to the first paint and to a list that can be used, of filters, sorting, scrolling, the next sample, a link to a
late sample and a search through all texts, and the renderer's memory. An empty page beside it says how long the machine
takes for nothing, and the renderer's own CPU time does not depend on what else it does.

``--case growing`` shows a run of 20,000 samples that goes on, with ``judgebench view``, and counts its CPU seconds.

Prints medians of three beside what is wanted.
"""

import argparse
import json
import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[1]
# The checkout in place of this folder.
sys.path[0] = str(ROOT)

import msgspec  # noqa: E402

from judgebench.data.sources import SourceFinder  # noqa: E402
from judgebench.run.folder import RunFolder  # noqa: E402
from judgebench.run.reading import read_run  # noqa: E402

MOST, FEW, ROUNDS = 20000, 5000, 3
JUDGEBENCH = (sys.executable, "-c", "import sys; from judgebench.cli import main; sys.exit(main())")
CHROMIUM = "/usr/bin/chromium"
ARGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")
IMPORTS = {
    "alpacaeval": (
        ("alpacaeval/annotations_full/phi-2.json.gz", "--from alpaca_eval --task alpacaeval"),
        ("alpacaeval/annotations_full/gpt4_gamed.json.gz", "--from alpaca_eval --task alpacaeval"),
    ),
    "mtbench": tuple(
        ("mt_bench/judgments/claude_gpt-4_single.jsonl.gz", f"--from fastchat --task mtbench --model {model}")
        for model in ("claude-3-5-sonnet-20240620", "claude-3-opus-20240229")
    ),
    "wildbench": tuple(
        (f"wildbench/score_records_full/v0625-gpt4o__{model}.jsonl.gz", "--from wildbench --task wildbench")
        for model in ("gemma-2b-it", "reka-edge")
    ),
    "arenahard": tuple(
        (f"arena_hard/judgments_v0.1/gpt-4-1106-preview/{model}.jsonl.gz", "--from arena-hard --task arenahard@v0.1")
        for model in ("Meta-Llama-3.1-8B-Instruct", "mistral-7b")
    ),
    "gsm8k": tuple(
        (f"gsm8k/responses/{model}.jsonl.gz", "--from outputs --task gsm8k --fields id=idx,output=output")
        for model in ("rho-math-7b-v0.1", "zeroeval-gpt-4o-2024-08-06")
    ),
    "ifeval": tuple(
        (f"ifeval/responses/{model}.jsonl.gz", "--from outputs --task ifeval --fields id=key,output=response")
        for model in ("gpt-4o-mini-2024-07-18", "claude-3-haiku-20240307")
    ),
    "math": tuple(
        (f"math/responses/{model}.jsonl.gz", "--from outputs --task math --fields id=id,output=output")
        for model in ("rho-math-7b-v0.1", "rho-math-1b-interpreter-v0.1")
    ),
}
CASES = {
    "tasks": (tuple(IMPORTS), FEW, 2),
    "alpacaeval": (("alpacaeval",), MOST, 2),
    "wildbench": (("wildbench",), MOST, 2),
    "published": (("alpacaeval",), 805, 2),
    "ten": (tuple(IMPORTS), 100, 10),
}
"""Tasks, samples of each, and runs."""
SIZES = {"alpacaeval": 40, "wildbench": 60, "published": 2}
WANTED = {
    "writing, CPU s": 10,
    "script and style, KB": 90,
    "summary, KB": 300,
    "first paint": 1000,
    "list usable": 2000,
    "list shown": 150,
    "filter": 150,
    "sort": 150,
    "scroll, p95": 100,
    "next sample, p95": 100,
    "link to a late sample": 2000,
    "search, first hit": 300,
    "search, all texts": 6000,
    "renderer after load, MiB": 350,
    "renderer after search, MiB": 500,
}
"""Budgets, in the unit of the row, which is milliseconds if it names none."""


GROWN = ("generations", "judgements")

# -- runs


def imported(mirror: Path, work: Path, task: str, side: int) -> Path:
    """A run of published judgements or answers."""
    source, words = IMPORTS[task][side]
    out = work / "imported" / f"{task}-{side}"
    if not out.exists():
        command = ["import", str(mirror / source), *words.split(), "--out", str(out), "--mirror", str(mirror)]
        if subprocess.run([*JUDGEBENCH, *command], capture_output=True, check=False).returncode not in (0, 4):
            raise SystemExit(f"{source} cannot be imported")
    return out


def repeated(rows: Iterable[dict[str, Any]], wanted: int, names: dict[str, int]) -> Iterator[dict[str, Any]]:
    """Rows about examples, again and again under new ids, until there are ``wanted`` examples."""
    rows = list(rows)
    for turn in range(-(-wanted // len(names))):
        for row in rows:
            name = row.get("id") or row["example_id"]
            if name not in names or turn * len(names) + names[name] >= wanted:
                continue
            if turn:
                ends = {key: f"{row[key]}~{turn}" for key in ("id", "example_id", "case_id") if row.get(key)}
                row = row | ends
            yield row


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file of JSON lines."""
    if path.exists():
        yield from map(msgspec.json.decode, path.read_bytes().splitlines())


def counted(scores: list[dict[str, Any]], wanted: int) -> list[dict[str, Any]]:
    """The scores as those of so many samples, so that none seems to leave out the others."""
    return [score | ({"n": wanted} if score["group"] is None else {}) for score in scores]


def enlarge(mirror: Path, work: Path, case: str, side: int) -> Path:
    """A run of the case's tasks with as many samples as it wants."""
    tasks, wanted, _ = CASES[case]
    out = work / f"{case}-{side}"
    if (out / "results.json").exists():
        return out
    out.mkdir(parents=True, exist_ok=True)
    manifests, results = [], []
    for task in tasks:
        source = imported(mirror, work, task, side % 2)
        run = read_run(source)
        key = next(iter(run.tasks))
        baselines = run.tasks[key].load_data(SourceFinder(work / "cache", (mirror,))).baselines
        (out / key).mkdir(exist_ok=True)
        names = {row["id"]: place for place, row in enumerate(lines(source / key / "examples.jsonl"))}
        if baselines:
            RunFolder(source).task(key).write_baselines(baselines)
        for name in ("examples", "generations", "judgements", "example_scores", "baselines"):
            with (out / key / f"{name}.jsonl").open("wb") as file:
                for row in repeated(lines(source / key / f"{name}.jsonl"), wanted, names):
                    file.write(msgspec.json.encode(row) + b"\n")
        (source / key / "baselines.jsonl").unlink(missing_ok=True)
        if not baselines:
            (out / key / "baselines.jsonl").unlink()
        scores = msgspec.json.decode((source / key / "scores.json").read_bytes())
        (out / key / "scores.json").write_bytes(msgspec.json.encode(counted(scores, wanted)))
        manifests.append(json.loads((source / "manifest.json").read_text()))
        of_source = json.loads((source / "results.json").read_text())
        results.append(of_source | {"scores": counted(of_source["scores"], wanted)})
    manifest = manifests[0] | {"run_id": f"{case}-{side}", "name": f"run {side}", "tasks": {}, "status": "complete"}
    for one in manifests:
        manifest["tasks"] |= one["tasks"]
    (out / "manifest.json").write_text(json.dumps(manifest))
    joined = results[0] | {"scores": [], "integrity": []}
    for one in results:
        joined["scores"] += one["scores"]
        joined["integrity"] += one["integrity"]
    (out / "results.json").write_text(json.dumps(joined))
    return out


# -- measures


def write(case: str, folder: Path, mirror: Path, out: Path) -> None:
    """In a process of its own: write the page, and print what that took."""
    from judgebench.report.collect import collect
    from judgebench.report.page import script, style, write_page

    start = time.process_time()
    runs = [read_run(folder / f"{case}-{side}") for side in range(CASES[case][2])]
    report = collect(runs, SourceFinder(folder / "cache", (mirror,), offline=True))
    read = time.process_time()
    written = write_page(report, out, overwrite=True)
    numbers = [one.start() for one in re.finditer(rb'<section |id="index"', out.read_bytes())]
    print(
        json.dumps(
            {
                "reading and comparing, CPU s": read - start,
                "writing, CPU s": time.process_time() - read,
                "MB": written.size / 1e6,
                "script and style, KB": (len(script()) + len(style())) / 1e3,
                "summary, KB": (numbers[1] - numbers[0]) / 1e3,
                "all numbers, KB": (numbers[-1] - numbers[0]) / 1e3,
                "peak memory, MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


def timed(action: Callable[[], object]) -> float:
    """Milliseconds that an action took."""
    start = time.perf_counter()
    action()
    return 1000 * (time.perf_counter() - start)


def renderers() -> list[tuple[float, int]]:
    """MiB and number of each process that shows a page, the largest first."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
            words = (status.parent / "cmdline").read_text()
        except OSError:
            continue
        if "--type=renderer" in words:
            found.append((int(fields.get("VmRSS", "0 kB").split()[0]) / 1024, int(status.parent.name)))
    return sorted(found, reverse=True)


def cpu_seconds(process: int) -> float:
    """What a process has taken."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


DRAWN = "() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))"
READY = "() => document.documentElement.classList.contains('ready')"
SHOWN = "() => document.documentElement.dataset.shown === location.hash"
ROWS = "() => document.querySelectorAll('.samples .row').length > 5"
SOUGHT = "photosynthesis"
FOUND = "() => document.querySelector('.samples .sizer .row')"
SEARCHED = """() => {
    const told = document.querySelector('.count')?.textContent || '';
    window.begun ||= told.includes('searching');
    return window.begun && !told.includes('searching');
}"""


def p95(times: list[float]) -> float:
    """Of twenty, the last but one."""
    return sorted(times)[-2]


def looked_at(page_file: Path) -> dict[str, float]:
    """Open a page in Chromium and use it; milliseconds, and MiB of the renderer."""
    from playwright.sync_api import sync_playwright

    found: dict[str, float] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=list(ARGS))
        page = browser.new_page(viewport={"width": 1440, "height": 900})

        def to(address: str, there: str, drawn: str = DRAWN) -> float:
            def go() -> None:
                page.evaluate("to => { location.hash = to; }", address)
                page.wait_for_function(there, polling="raf")
                page.evaluate(drawn)

            return timed(go)

        def opened(address: str, there: str) -> float:
            def go() -> None:
                page.goto(f"file://{page_file}{address}", wait_until="commit")
                page.wait_for_function(there, polling="raf")

            page.goto("about:blank")
            return timed(go)

        def next_sample() -> None:
            before = page.evaluate("location.hash")
            page.keyboard.press("j")
            page.wait_for_function(f"before => location.hash !== before && ({SHOWN})()", arg=before, polling="raf")
            page.evaluate(DRAWN)

        found["an empty page, p95"] = p95([timed(lambda: page.evaluate(DRAWN)) for _ in range(20)])
        found["list usable"] = opened("", READY)
        paint = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime || 0"
        found["first paint"] = page.evaluate(paint)
        label = page.evaluate("() => document.querySelector('section[data-view=task]').dataset.label")
        page.wait_for_load_state("load")
        found["renderer after load, MiB"] = renderers()[0][0]
        found["list shown"] = to(f"#/samples/{label}", ROWS)
        found["filter"] = to(f"#/samples/{label}?v=changed", SHOWN)
        found["sort"] = to(f"#/samples/{label}?s=delta", SHOWN)
        _, process = renderers()[0]
        begun, jumps = cpu_seconds(process), []
        for place in range(1, 21):
            jumps.append(timed(lambda at=place: (page.evaluate(f"scrollTo(0, {at} * 30000)"), page.evaluate(DRAWN))))
        found["scroll, p95"] = p95(jumps)
        found["scroll, renderer's CPU"] = 1000 * (cpu_seconds(process) - begun) / len(jumps)
        page.evaluate("document.querySelector('.samples [data-place]').click()")
        page.wait_for_function("() => document.querySelector('article.sample')", polling="raf")
        begun, steps = cpu_seconds(process), []
        for _ in range(20):
            steps.append(timed(next_sample))
            # Somebody looks at it.
            page.wait_for_timeout(100)
        found["next sample, p95"] = p95(steps)
        found["next sample, renderer's CPU"] = 1000 * (cpu_seconds(process) - begun) / len(steps)
        start = time.perf_counter()
        page.evaluate("to => { window.begun = false; location.hash = to; }", f"#/samples/{label}?q={SOUGHT}")
        page.wait_for_function(f"to => location.hash.includes(to) && ({FOUND})()", arg=SOUGHT, polling="raf")
        found["search, first hit"] = 1000 * (time.perf_counter() - start)
        page.wait_for_function(SEARCHED, polling="raf")
        found["search, all texts"] = 1000 * (time.perf_counter() - start)
        found["renderer after search, MiB"] = renderers()[0][0]
        page.evaluate("to => { location.hash = to; }", f"#/samples/{label}")
        page.wait_for_function(ROWS, polling="raf")
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        page.evaluate(DRAWN)
        late = page.evaluate(
            "() => [...document.querySelectorAll('.samples [data-place]')].at(-1).getAttribute('href')"
        )
        found["link to a late sample"] = opened(late, "() => document.querySelector('article.sample')")
        browser.close()
    return found


def shown_while_it_grows(mirror: Path, work: Path, minutes: int = 4, whole: int = MOST) -> None:
    """A run to which 40 answers a second come, and somebody who reloads the page whenever it offers to."""
    run = work / "growing"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(enlarge(mirror, work, "alpacaeval", 0), run)
    rows = {name: (run / "alpacaeval" / f"{name}.jsonl").read_bytes().splitlines() for name in GROWN}
    for name in ("scores.json", "example_scores.jsonl"):
        (run / "alpacaeval" / name).unlink()
    (run / "results.json").unlink()
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps(manifest | {"status": "running"}))
    files = {name: (run / "alpacaeval" / f"{name}.jsonl").open("wb") for name in GROWN}
    there = whole // 2
    for name, file in files.items():
        file.write(b"".join(row + b"\n" for row in rows[name][:there]))
        file.flush()
    asked = [*JUDGEBENCH, "view", str(run), "--no-open", "--offline", "--mirror", str(mirror)]
    with subprocess.Popen(asked, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[0]
        shown, reloads, start = "", 0, time.monotonic()
        first = cpu_seconds(process.pid)
        while time.monotonic() < start + 60 * minutes:
            time.sleep(2)
            for name, file in files.items():
                file.write(b"".join(row + b"\n" for row in rows[name][there : there + 80]))
                file.flush()
            there += 80
            with urlopen(f"{url}version.js") as version:
                offered = version.read()
            if offered != shown:
                shown, reloads = offered, reloads + 1
                with urlopen(url) as page:
                    page.read()
        spent = cpu_seconds(process.pid) - first
        memory = int(re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[0]) / 1024
        process.send_signal(signal.SIGINT)
    print(f"growing: {whole // 2:,} to {min(there, whole):,} answers, one run; load {os.getloadavg()[0]:.1f}")
    print(f"  {'CPU s before it is shown':32} {first:10.1f}")
    print(f"  {'CPU s a minute':32} {spent / minutes:10.1f}        3")
    print(f"  {'new pages':32} {reloads - 1:10}")
    print(f"  {'peak memory, MiB':32} {memory:10.1f}")


def main() -> None:
    """Make the runs, write the pages, look at them, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mirror", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--case", choices=[*CASES, "growing"], action="append")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--write", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    work = given.work or Path(tempfile.mkdtemp(prefix="judgebench-report-"))
    if given.write:
        write(given.write[0], work, given.mirror, Path(given.write[1]))
        return
    for case in given.case or [*CASES, "growing"]:
        if case == "growing":
            shown_while_it_grows(given.mirror, work)
            continue
        tasks, samples, runs = CASES[case]
        for side in range(runs):
            enlarge(given.mirror, work, case, side)
        rounds = []
        for _ in range(given.rounds):
            page = work / f"{case}.html"
            command = [sys.executable, __file__, str(given.mirror), "--work", str(work), "--write", case, str(page)]
            told = subprocess.run(command, capture_output=True, check=True, text=True).stdout
            seen = samples > FEW // 10 and Path(CHROMIUM).exists()
            rounds.append(json.loads(told) | (looked_at(page.resolve()) if seen else {}))
        print(f"{case}: {', '.join(tasks)}, {samples:,} samples of each, {runs} runs; load {os.getloadavg()[0]:.1f}")
        wanted = WANTED | {"MB": SIZES.get(case, 60)}
        for name in rounds[0]:
            print(f"  {name:32} {statistics.median(one[name] for one in rounds):10.1f} {wanted.get(name, ''):>8}")


if __name__ == "__main__":
    main()
