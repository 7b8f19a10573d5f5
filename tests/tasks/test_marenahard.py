"""m-ArenaHard: several tables of prompts whose ids end with their language, and the mean over languages."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from judgebench import tasks
from tests.commands import judgebench
from tests.kinds.test_kinds import evaluated, numbers, prefers, scores, write_rows, write_task

CODES = "ar cs de el en es fa fr he hi id it ja ko nl pl pt ro ru tr uk vi zh"
LANGUAGES = tuple(CODES.split(" "))


def table(rows: list[Mapping[str, Any]]) -> bytes:
    """A parquet file in memory."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(("version", "columns"), [("v2.0", ("subcategory", "language")), ("v0.1", ("cluster",))])
def test_every_language_has_its_ids_and_group(version: str, columns: tuple[str, ...]) -> None:
    """Languages share the ids of questions; ours end with the language, and the question is what is counted once."""
    asked = []

    def fetch(name: str) -> bytes:
        asked.append(name)
        rows = [{"question_id": f"q{n}", "category": "hard_prompt", "prompt": f"{name} {n}"} for n in range(2)]
        return table([{**row, **dict.fromkeys(columns, "x")} for row in rows])

    task = tasks.find("marenahard").task(version)
    data = task.load(fetch)
    assert asked == [f"{version}-{language}" for language in LANGUAGES]
    assert [example.id for example in data.examples[:3]] == ["q0-ar", "q1-ar", "q0-cs"]
    assert {example.item for example in data.examples} == {"q0", "q1"}
    assert {group for example in data.examples for group in task.groups(example)} == {
        "category=hard_prompt",
        *(f"language={language}" for language in LANGUAGES),
    }
    assert data.by_id["q1-zh"].instruction == f"{version}-zh 1"
    assert task.official_examples == {"v2.0": 498 * 23, "v0.1": 500 * 23}[version]
    assert task.needs_baseline
    assert task.label == f"marenahard@{version}"


MACRO = """
kind = "pairwise"
part = "language"
fields = { item = "id" }
groups = ["language"]
[pairwise]
baseline = "gold"
macro = "language"
[prompts]
en = "en.jsonl"
de = "de.jsonl"
"""


def test_the_win_rate_is_the_mean_of_languages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of one question won in German, and one of three in English: 66.7, where the share of all is 50."""
    monkeypatch.chdir(tmp_path)
    write_rows("en.jsonl", [{"id": str(n), "instruction": f"Question {n}?", "gold": "plain"} for n in range(3)])
    write_rows("de.jsonl", [{"id": "0", "instruction": "Frage 0?", "gold": "plain"}])
    answers = {"0-en": "good one", "1-en": "bad one", "2-en": "bad one", "0-de": "good one"}
    write_rows("answers.jsonl", [{"id": name, "output": text} for name, text in answers.items()])
    write_task(MACRO)
    found, _ = evaluated(prefers)
    assert found["win_rate", None].value == pytest.approx((100 + 100 / 3) / 2)
    assert [found["win_rate", f"language={name}"].value for name in ("de", "en")] == [100, pytest.approx(100 / 3)]
    assert "then over the groups of language" in found["win_rate", None].method
    assert found["wins", None].value == 50
    worse = [{"id": name, "output": "bad one"} for name in answers]
    write_rows("answers.jsonl", worse)
    Path("run").rename("first")
    evaluated(prefers)
    compared = judgebench(["compare", "first", "run", "--tasks", "mine.toml", "--format", "json"]).stdout
    assert any(number == pytest.approx(-(100 + 100 / 3) / 2) for number in numbers(json.loads(compared)))
    assert scores("run")["win_rate", None].value == 0
