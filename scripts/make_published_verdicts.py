"""Makes ``leaderboards/verdicts``: the official judges' verdicts on models of the published tables, without any text.

    python scripts/make_published_verdicts.py DATA [FOLDER]

DATA is the folder of published data that ``JUDGEBENCH_TEST_DATA`` names; FOLDER is ``leaderboards/verdicts`` unless
given. ``judgebench/analysis/published_verdicts.py`` says what the fields mean. Equal data give equal bytes.
"""

import csv
import gzip
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "leaderboards" / "verdicts"
ALPACAEVAL = "tatsu-lab/alpaca_eval@cd543a149df89434d8a54582c0151c0b945c3d20:results/{model}/%s/annotations.json"
WILDBENCH = (
    "allenai/WildBench@d6b8dcaf377d173d031980f97c16e1a82618c03d:"
    "eval_results/v2.0625/score.v2/eval=gpt-4o-2024-05-13/{model}.json"
)
ARENAHARD = "danielwetzel/arena-hard-auto, git blob 08a6665022: the battles of the officially released judgements"
BASELINES = {("alpacaeval@1", "text_davinci_003"), ("alpacaeval@2", "gpt4_1106_preview")}
"""Their row is 50 by definition."""
Verdicts = dict[str, Any]


def alpacaeval(data: Path, edition: int, judge: str, judge_model: str) -> Verdicts:
    """The judge's preference for the model's answer, 0 to 1, and the answer's characters; null where it gave none."""
    items = [f"{number:03d}" for number in range(805)]
    models: dict[str, Verdicts] = {}
    for row in pyarrow.parquet.read_table(data / "alpacaeval" / f"ae{edition}_annotations.parquet").to_pylist():
        empty: Verdicts = {"values": [None] * 805, "covariates": {"length": [None] * 805}}
        own = models.setdefault(row["model"], empty)
        own["values"][row["index"]] = share(row["preference"])
        own["covariates"]["length"][row["index"]] = row["len_2"]
    return {
        "task": f"alpacaeval@{edition}",
        "metric": "preference",
        "judge": judge_model,
        "source": ALPACAEVAL % judge,
        "of_items": ["difficulty", "dataset"],
        "items": items,
        "models": models,
    }


def share(preference: float | None) -> float | None:
    """A preference as the model's share of the win: 0 is an old code for a tie, and null stays null."""
    if preference is None or not (preference == 0 or 1 <= preference <= 2):
        return None
    return number(0.5 if preference == 0 else preference - 1)


def wildbench(data: Path) -> Verdicts:
    """The judge's scores, and how long each answer was and whether it was empty or cut off."""
    items = (data / "wildbench" / "session_ids.txt").read_text().split()
    place = {name: number for number, name in enumerate(items)}
    models: dict[str, Verdicts] = {}
    for model in sorted(published("wildbench@v2.0625")):
        path = data / "wildbench" / "score_records" / f"v0625-gpt4o__{model}.jsonl.gz"
        if not path.exists():
            continue
        own = models.setdefault(
            model,
            {"values": [None] * len(items), "covariates": {name: [None] * len(items) for name in ("length", "flag")}},
        )
        for line in gzip.decompress(path.read_bytes()).splitlines():
            row = json.loads(line)
            own["values"][place[row["session_id"]]] = int(row["score"])
            own["covariates"]["length"][place[row["session_id"]]] = row["len"]
            flag = "empty" if row["empty"] else "truncated" if row["truncated"] else ""
            own["covariates"]["flag"][place[row["session_id"]]] = flag
    return {
        "task": "wildbench@v2.0625",
        "metric": "score",
        "judge": "gpt-4o-2024-05-13",
        "source": WILDBENCH,
        "of_items": [],
        "items": items,
        "models": models,
    }


def arenahard(data: Path) -> Verdicts:
    """Battles won, tied and lost against gpt-4-0314 per question; a clear verdict counts as three."""
    folder = data / "arena_hard"
    questions = gzip.decompress((folder / "question_v0.1.jsonl.gz").read_bytes()).splitlines()
    items = [json.loads(line)["uid"] for line in questions]
    place = {name: number for number, name in enumerate(items)}
    models: dict[str, dict[str, list[int]]] = {}
    with gzip.open(folder / "battles" / "official_gpt4turbo_2models.csv.gz", "rt", newline="") as file:
        for row in csv.DictReader(file):
            counts = models.setdefault(row["model_b"], {name: [0] * len(items) for name in ("won", "tied", "lost")})
            counts[{"model_b": "won", "tie": "tied", "model_a": "lost"}[row["winner"]]][place[row["question_id"]]] += 1
    return {
        "task": "arenahard@v0.1",
        "metric": "win_rate",
        "judge": "gpt-4-1106-preview",
        "source": ARENAHARD,
        "of_items": ["category", "subcategory"],
        "items": items,
        "models": {model: of_battles(counts) for model, counts in models.items()},
    }


def of_battles(counts: Mapping[str, Sequence[int]]) -> Verdicts:
    """Shares of the battles, weighted with their number."""
    battles = list(map(sum, zip(*counts.values(), strict=True)))
    won = [won + tied / 2 for won, tied in zip(counts["won"], counts["tied"], strict=True)]
    return {
        "values": [number(a / b) if b else None for a, b in zip(won, battles, strict=True)],
        "weights": [b or 1 for b in battles],
        "covariates": dict(counts),
    }


def published(task: str) -> set[str]:
    """The models of a published table."""
    with (ROOT / "leaderboards" / f"{task.partition('@')[0]}.csv").open(newline="") as file:
        return {row["model"] for row in csv.DictReader(file) if row["task"] == task}


def number(value: float) -> float | int:
    """A number with as many decimals as the sources have, and none if it is whole."""
    rounded = round(value, 10)
    return int(rounded) if rounded == int(rounded) else rounded


MAKERS: dict[str, Callable[[Path], Verdicts]] = {
    "alpacaeval@1": lambda data: alpacaeval(data, 1, "alpaca_eval_gpt4", "gpt-4"),
    "alpacaeval@2": lambda data: alpacaeval(data, 2, "weighted_alpaca_eval_gpt4_turbo", "gpt-4-1106-preview"),
    "arenahard@v0.1": arenahard,
    "wildbench@v2.0625": wildbench,
}


def files(data: Path) -> Iterable[tuple[str, str]]:
    """Each file's name and text. Models that the published table lacks are left out, and so is the baseline."""
    for task, make in MAKERS.items():
        made = make(data)
        known = {name for name in published(task) if (task, name) not in BASELINES}
        made["models"] = {name: made["models"][name] for name in sorted(known & made["models"].keys())}
        lines = (f"{json.dumps(name)}:{compact(own)}" for name, own in made.pop("models").items())
        yield f"{task}.json", compact(made)[:-1] + ',"models":{\n' + ",\n".join(lines) + "\n}}\n"


def compact(value: object) -> str:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True)


def main() -> None:
    """Write every file."""
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    folder = Path(sys.argv[2]) if len(sys.argv) == 3 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files(Path(sys.argv[1])):
        (folder / name).write_text(text)


if __name__ == "__main__":
    main()
