"""What a report costs: ``python benchmarks/report.py MIRROR [--work DIR] [--case NAME]``.

Published judgements and answers (``MIRROR`` is a folder of them, such as the one that the tests of fidelity read) are
imported and repeated under new ids: 7 tasks of 5,000 samples, and 20,000 of AlpacaEval or of WildBench, two runs each.
The page is written by a process of its own, which counts its CPU seconds and its largest memory, and then opened in
Chromium, if that and playwright are there: time to the first paint and to a list that can be used, of filters, sorting,
scrolling, the next sample, a link to a late sample and a search through all texts, and the renderer's memory.

Prints medians of three.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

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
CASES = {"tasks": (tuple(IMPORTS), FEW), "alpacaeval": (("alpacaeval",), MOST), "wildbench": (("wildbench",), MOST)}


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


def enlarge(mirror: Path, work: Path, case: str, side: int) -> Path:
    """A run of the case's tasks with as many samples as it wants."""
    tasks, wanted = CASES[case]
    out = work / f"{case}-{side}"
    if (out / "results.json").exists():
        return out
    out.mkdir(parents=True, exist_ok=True)
    manifests, results = [], []
    for task in tasks:
        source = imported(mirror, work, task, side)
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
        (out / key / "scores.json").write_bytes((source / key / "scores.json").read_bytes())
        manifests.append(json.loads((source / "manifest.json").read_text()))
        results.append(json.loads((source / "results.json").read_text()))
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
    from judgebench.report.page import write_page

    start = time.process_time()
    runs = [read_run(folder / f"{case}-{side}") for side in (0, 1)]
    report = collect(runs, SourceFinder(folder / "cache", (mirror,), offline=True))
    read = time.process_time()
    written = write_page(report, out, overwrite=True)
    print(
        json.dumps(
            {
                "reading and comparing, CPU s": read - start,
                "writing, CPU s": time.process_time() - read,
                "MB": written.size / 1e6,
                "peak memory, MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


def timed(action: Callable[[], object]) -> float:
    """Milliseconds that an action took."""
    start = time.perf_counter()
    action()
    return 1000 * (time.perf_counter() - start)


def renderer_memory() -> float:
    """MiB of the largest renderer."""
    sizes = [0.0]
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
            words = (status.parent / "cmdline").read_text()
        except OSError:
            continue
        if "--type=renderer" in words:
            sizes.append(int(fields.get("VmRSS", "0 kB").split()[0]) / 1024)
    return max(sizes)


def looked_at(page_file: Path) -> dict[str, float]:
    """Open a page in Chromium and use it; milliseconds, and MiB of the renderer."""
    from playwright.sync_api import sync_playwright

    drawn = "() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))"
    rows = "() => document.querySelectorAll('.samples .row').length > 5"
    found: dict[str, float] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=list(ARGS))
        page = browser.new_page(viewport={"width": 1440, "height": 900})

        def to(address: str, there: str) -> float:
            def go() -> None:
                page.evaluate("to => { location.hash = to; }", address)
                page.wait_for_function(there, polling="raf")
                page.evaluate(drawn)

            return timed(go)

        start = time.perf_counter()
        page.goto(f"file://{page_file}", wait_until="commit")
        page.wait_for_function("() => document.documentElement.classList.contains('ready')", polling="raf")
        found["ready"] = 1000 * (time.perf_counter() - start)
        paint = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime || 0"
        found["first paint"] = page.evaluate(paint)
        label = page.evaluate("() => document.querySelector('section[data-view=task]').dataset.label")
        page.wait_for_load_state("load")
        found["renderer after load, MiB"] = renderer_memory()
        found["list shown"] = to(f"#/samples/{label}", rows)
        found["filter"] = to(f"#/samples/{label}?v=changed", rows)
        found["sort"] = to(f"#/samples/{label}?s=delta", rows)
        jumps = []
        for place in range(1, 21):
            jumps.append(timed(lambda at=place: (page.evaluate(f"scrollTo(0, {at} * 30000)"), page.evaluate(drawn))))
        found["scroll, p95"] = sorted(jumps)[-2]
        page.evaluate("document.querySelector('.samples [data-place]').click()")
        shown = "() => document.querySelector('article.sample')"
        page.wait_for_function(shown, polling="raf")
        steps = []
        for _ in range(20):
            before = page.evaluate("document.title")
            later = f"() => document.title !== {json.dumps(before)}"
            steps.append(timed(lambda there=later: (page.keyboard.press("j"), page.wait_for_function(there))))
        found["next sample, p95"] = sorted(steps)[-2]
        done = """() => {
            const told = document.querySelector('.count')?.textContent || '';
            window.begun ||= told.includes('searching');
            return window.begun && !told.includes('searching');
        }"""
        found["full-text search"] = to(f"#/samples/{label}?q=photosynthesis", done)
        found["renderer after search, MiB"] = renderer_memory()
        browser.close()
    return found


def main() -> None:
    """Make the runs, write the pages, look at them, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mirror", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--write", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    work = given.work or Path(tempfile.mkdtemp(prefix="judgebench-report-"))
    if given.write:
        write(given.write[0], work, given.mirror, Path(given.write[1]))
        return
    for case in given.case or CASES:
        for side in (0, 1):
            enlarge(given.mirror, work, case, side)
        rounds = []
        for _ in range(given.rounds):
            page = work / f"{case}.html"
            command = [sys.executable, __file__, str(given.mirror), "--work", str(work), "--write", case, str(page)]
            told = subprocess.run(command, capture_output=True, check=True, text=True).stdout
            rounds.append(json.loads(told) | (looked_at(page.resolve()) if Path(CHROMIUM).exists() else {}))
        print(f"{case}: {', '.join(CASES[case][0])}, {CASES[case][1]:,} samples of each, two runs")
        for name in rounds[0]:
            print(f"  {name:32} {statistics.median(one[name] for one in rounds):10.1f}")


if __name__ == "__main__":
    main()
