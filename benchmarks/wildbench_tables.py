"""Time of WildBench's whole leaderboard from upstream's result files: 63 models, three baselines, four length margins.

    python benchmarks/wildbench_tables.py --mirror DIR

DIR (default: the environment variable JUDGEBENCH_MIRROR) is searched for the fixtures ``session_ids.txt``,
``synthetic_tags.json`` and one full score file (``score_records_full/v0625-gpt4o__reka-edge.jsonl.gz``). From them, 63
score files and 51 pairwise files for each baseline are written in upstream's shape and size (about 240 MB, and 240 MB
per baseline) into a temporary folder. Timed, reading included, are the score table alone, and everything: scores, 3 x 4
reward tables, 4 merged tables with mixes and ranks. Upstream's scripts were measured to take 1.6 s for the score table
and 1.6 s for each of the twelve reward tables, reading included, on a machine with 2 cores.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import gzip
import json
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

sys.path.insert(0, str(Path(__file__).parents[1]))

from judgebench.tasks.wildbench import formulas

from tests.tasks import wildbench_tables as tables

MODELS, COMPARED = 63, 51
Result = TypeVar("Result")


def find(mirror: Path, name: str) -> Path:
    found = sorted(mirror.rglob(name))
    if not found:
        sys.exit(f"{name} is nowhere under {mirror}; --mirror names a folder that holds it")
    return found[0]


def write_files(source: Path, folder: Path) -> None:
    """Result files as large as upstream's, each model's scores and choices drawn anew."""
    records = [json.loads(line) for line in gzip.decompress(source.read_bytes()).splitlines()]
    words = " ".join(record["model_output"] for record in records[:40])
    pair_reply = dict.fromkeys(("analysis of A", "analysis of B", "reason of A>B", "reason of B>A"), words[:120])
    for number in range(MODELS):
        draw, model = random.Random(number), f"owner/model-{number}"
        scores = [{**record, "model_test": model, "score": str(draw.randint(1, 10))} for record in records]
        (folder / f"model-{number}.score.json").write_text(json.dumps(scores, indent=2))
        for baseline in formulas.BASELINES if number < COMPARED else ():
            pairs = [pair_record(record, model, f"x/{baseline}", pair_reply, draw) for record in records]
            (folder / f"model-{number}.{baseline}.json").write_text(json.dumps(pairs, indent=2))


def pair_record(
    record: dict[str, Any], model: str, baseline: str, reply: dict[str, str], draw: random.Random
) -> dict[str, Any]:
    extent = draw.randint(0, 2)
    start, text = draw.randint(0, 800), record["model_output"]
    return {
        "session_id": record["session_id"],
        "parsed_result": {**reply, "choice": "A+"},
        "meta_data": record["meta_data"],
        "model_A": model,
        "model_B": baseline,
        "winner": draw.choice((model, baseline)) if extent else "tie",
        "extent": extent,
        "model_outputs": {model: text, baseline: text[start : start + 1200]},
    }


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mirror", type=Path, default=os.environ.get("JUDGEBENCH_MIRROR"))
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.mirror is None:
        parser.error("--mirror is missing")
    ids = find(arguments.mirror, "session_ids.txt").read_text().split()
    tags = {row["session_id"]: row for row in json.loads(find(arguments.mirror, "synthetic_tags.json").read_text())}
    position = {session: number for number, session in enumerate(ids)}
    groups = formulas.membership(
        [formulas.groups_of(tags[s]["primary_tag"], tags[s]["secondary_tags"]) for s in ids]
    )  # fmt: skip
    source = find(arguments.mirror, "v0625-gpt4o__reka-edge.jsonl.gz")
    source = next(path for path in sorted(arguments.mirror.rglob(source.name)) if "full" in path.parent.name)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(source, folder)
        sizes = [sum(path.stat().st_size for path in folder.glob(f"*.{kind}.json")) for kind in ("score", "*-*")]
        print(
            f"Python {platform.python_version()}, {os.cpu_count()} cores; {sizes[0] / 1e6:.0f} MB of score files",
            end="",
        )
        print(f", {(sizes[1]) / 1e6:.0f} MB of pairwise files")

        scores = {f"model-{n}": folder / f"model-{n}.score.json" for n in range(MODELS)}
        pairs = {
            baseline: {f"model-{n}": folder / f"model-{n}.{baseline}.json" for n in range(COMPARED)}
            for baseline in formulas.BASELINES
        }
        whole, alone = [], []
        for _ in range(arguments.repeats):
            seconds, boards = timed(lambda: tables.leaderboards(scores, pairs, position, groups))
            whole.append(seconds)
            assert [len(board) for board in boards.values()] == [MODELS] * len(formulas.PUBLISHED_K)
            alone.append(timed(lambda: tables.leaderboards(scores, {}, position, groups, margins=[-1]))[0])
    show("the score table", alone)
    show("score table, 12 reward tables, 4 merged tables", whole)


def show(what: str, seconds: list[float]) -> None:
    print(f"{what:48} median {median(seconds):.3f} s, longest {max(seconds):.3f} s, reading included")


if __name__ == "__main__":
    main()
