"""The shared real AlpacaEval data as the tests use it, and a converter from the tables to upstream's annotations."""

import csv
import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet

from tests.shared_data import SharedData

ALPACAEVAL = SharedData("alpacaeval")


def read_json(path: Path) -> Any:
    """A ``.json.gz`` file."""
    with gzip.open(path, "rb") as file:
        return json.load(file)


@cache
def expected(name: str) -> dict[str, dict[str, str]]:
    """``expected.csv`` or ``expected_ae1.csv`` by model."""
    with (ALPACAEVAL / name).open(newline="") as file:
        return {row["model"]: row for row in csv.DictReader(file)}


@cache
def instructions() -> list[str]:
    """The 805 instructions in official order."""
    return [row["instruction"] for row in read_json(ALPACAEVAL / "eval_set" / "alpaca_eval_gpt4_baseline.json.gz")]


@cache
def tables(edition: int) -> dict[str, list[dict[str, Any]]]:
    """Rows of ``ae{1,2}_annotations.parquet`` by model, in file order."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in pyarrow.parquet.read_table(ALPACAEVAL / f"ae{edition}_annotations.parquet").to_pylist():
        rows.setdefault(row["model"], []).append(row)
    return {model: sorted(own, key=lambda row: row["row"]) for model, own in rows.items()}


def annotations(edition: int, model: str) -> list[dict[str, Any]]:
    """One model's rows in the shape of upstream's annotations.json; outputs are only as long as the real ones."""
    baseline = "gpt4_1106_preview" if edition == 2 else "text_davinci_003"
    judge = "weighted_alpaca_eval_gpt4_turbo" if edition == 2 else "alpaca_eval_gpt4"
    return [
        {
            "instruction": instructions()[row["index"]],
            "output_1": "a" * row["len_1"],
            "generator_1": baseline,
            "output_2": ("a" if row["same_output"] else "b") * row["len_2"],
            "generator_2": model,
            "annotator": judge,
            "preference": row["preference"],
        }
        for row in tables(edition)[model]
    ]
