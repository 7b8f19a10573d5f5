"""The shared WildBench data as the tests use them, and small official files in the shape of the dataset host's.

Task texts, checklists and real tags are nowhere here: the official files that these tests load are made from the real
session ids with the fixtures' pseudo-random tags, and from the 16 synthetic tasks of the prompt fixtures.
"""

import csv
import gzip
import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from tests.shared_data import SharedData

WILDBENCH = SharedData("wildbench")

GROUPS = (
    "Creative Tasks",
    "Planning & Reasoning",
    "Math & Data Analysis",
    "Information/Advice seeking",
    "Coding & Debugging",
)
BASELINES = {
    "gpt4t": "gpt-4-turbo-2024-04-09",
    "haiku": "claude-3-haiku-20240307",
    "llama": "Llama-2-70b-chat-hf",
}
"""Official names by the fixtures' short ones."""


def read_json(path: Path) -> Any:
    """A JSON file, or the list of a JSON-lines file; ``.gz`` is inflated."""
    text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()
    return [json.loads(line) for line in text.splitlines()] if ".jsonl" in path.name else json.loads(text)


@cache
def published(name: str) -> list[dict[str, str]]:
    """A table of upstream's published figures."""
    with (WILDBENCH / "published" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@cache
def expected() -> dict[tuple[str, str], dict[str, tuple[float, float]]]:
    """``expected.csv``: (model, set) → metric → value and tolerance."""
    found: dict[tuple[str, str], dict[str, tuple[float, float]]] = {}
    with (WILDBENCH / "expected.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            numbers = (float(row["value"]), float(row["tolerance"]))
            found.setdefault((row["model"], row["set"]), {})[row["metric"]] = numbers
    return found


@cache
def elo_expected() -> list[dict[str, str]]:
    """``wb_elo_expected.csv``."""
    with (WILDBENCH / "wb_elo_expected.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@cache
def session_ids() -> list[str]:
    """The 1,024 real session ids in official order."""
    return (WILDBENCH / "session_ids.txt").read_text().split()


# -- official files in the dataset host's shape


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A parquet file of the rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def turn(role: str, content: str) -> dict[str, Any]:
    """A turn with all the host's fields."""
    asked = datetime(2023, 5, 1, tzinfo=UTC)
    return {
        "content": content,
        "language": "English",
        "redacted": False,
        "role": role,
        "timestamp": asked,
        "toxic": False,
    }


def official_tasks() -> list[dict[str, Any]]:
    """1,024 rows with real ids, pseudo-random tags and placeholder texts."""
    tags = {row["session_id"]: row for row in read_json(WILDBENCH / "synthetic_tags.json")}
    return [
        {
            "id": session,
            "session_id": session,
            "conversation_input": [turn("user", f"Task {session}")],
            "references": {"gpt-4": "not used"},
            "length": 21,
            "checklist": ["Is it answered?"],
            "intent": "none",
            "primary_tag": tags[session]["primary_tag"],
            "secondary_tags": tags[session]["secondary_tags"],
        }
        for session in session_ids()
    ]


def outputs(sessions: list[str], generator: str, texts: list[Any] | None = None) -> list[dict[str, Any]]:
    """Rows of a model's outputs."""
    return [
        {
            "session_id": session,
            "chat_history": ["hello"],
            "model_input": "n/a",
            "output": [f"{generator} on {session}"] if texts is None else texts[number],
            "generator": generator,
            "configs": {"engine": "none", "temperature": 0.0, "max_tokens": 4096},
            "dataset": "wild_bench_v2",
            "primary_tag": "n/a",
        }
        for number, session in enumerate(sessions)
    ]


def mirror_of(folder: Path, tasks: list[dict[str, Any]], answers: dict[str, list[dict[str, Any]]]) -> Path:
    """A mirror of the official files: tasks and baselines by name, and the real prompts."""
    write_parquet(folder / "v2" / "test-00000-of-00001.parquet", tasks)
    for name, rows in answers.items():
        write_parquet(folder / name / "train-00000-of-00001.parquet", rows)
    for prompt in (WILDBENCH / "templates").iterdir():
        (folder / prompt.name).write_bytes(prompt.read_bytes())
    return folder


def official_mirror(folder: Path) -> Path:
    """All 1,024 tasks and the three baselines."""
    return mirror_of(folder, official_tasks(), {name: outputs(session_ids(), name) for name in BASELINES.values()})


def prompt_mirror(folder: Path) -> Path:
    """The 16 synthetic tasks of the prompt fixtures, with their reference outputs as every baseline's."""
    tasks = read_json(WILDBENCH / "prompt_cases" / "tasks.json")
    rows = read_json(WILDBENCH / "prompt_cases" / "reference_outputs.json")
    texts = [row["output"] for row in rows]
    answers = outputs([row["session_id"] for row in rows], "anthropic/claude-3-haiku-20240307", texts)
    return mirror_of(folder, tasks, dict.fromkeys(BASELINES.values(), answers))


# -- stored judgements in upstream's shapes


def text_of(length: int, flag: str) -> str:
    """A text of a length that ends as the flag says: what is left of a real answer whose text is not here."""
    if flag in ("trunc", "truncated"):
        return "a" * (length - len("... (truncated)")) + "... (truncated)"
    if flag == "empty":
        return "[This model response is empty.]" if length else ""
    return "a" * length


def score_files(record_set: str) -> dict[str, Path]:
    """The stored scores of a set, by model as ``expected.csv`` calls it."""
    files = sorted((WILDBENCH / "score_records").glob(f"{record_set}__*.jsonl.gz"))
    names = [file.name.removeprefix(f"{record_set}__").removesuffix(".jsonl.gz") for file in files]
    return {name.replace("-128k", ""): file for name, file in zip(names, files, strict=True)}


def score_records(path: Path) -> list[dict[str, Any]]:
    """A file's records in the shape of upstream's result files, with a text as long as the real answer."""
    return [
        {
            "session_id": row["session_id"],
            "parsed_result": row.get("parsed_result", {"score": row["score"]}),
            "meta_data": {"batch_req_id": "x", "usage": {"prompt_tokens": row["prompt_tokens"]}, "error": None},
            "model_test": "owner/model",
            "score": row["score"],
            "model_output": text_of(row["len"], "trunc" if row["truncated"] else "empty" if row["empty"] else ""),
        }
        for row in read_json(path)
    ]


def pair_records(baseline: str, model: str) -> list[dict[str, Any]]:
    """The synthetic verdicts on a model against a baseline, in the shape of upstream's result files."""
    rows = read_json(WILDBENCH / "pairwise_records" / f"ref={BASELINES[baseline]}__{model}.jsonl.gz")
    records = []
    for row in rows:
        test, ref = f"test/{model}", f"standin/{BASELINES[baseline]}"
        texts = {test: text_of(row["len_test"], row["flag_test"]), ref: text_of(row["len_ref"], row["flag_ref"])}
        records.append(
            {
                "session_id": row["session_id"],
                "parsed_result": {"choice": row["choice"]},
                "meta_data": {"batch_req_id": "x", "usage": {}, "error": None},
                **{name: row[name] for name in ("model_A", "model_B", "winner", "extent")},
                "model_outputs": texts,
            }
        )
    return records


def write_records(path: Path, records: list[dict[str, Any]]) -> Path:
    """A JSON list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(records))
    return path
