"""WritingBench: its numbers on real grades, its prompt, and how replies are read."""

import gzip
import json
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from judgebench import tasks
from judgebench.codec import sha256_hex
from judgebench.judges.judge_files import read_rule
from judgebench.judges.verdict_rules import reader
from judgebench.models.scripted import ScriptedModel, playing, reply
from judgebench.records import Request, Score
from judgebench.run.folder import RunFolder
from tests.commands import judgebench
from tests.shared_data import SHARED, SharedData

WRITINGBENCH = SharedData("writingbench")
FOLDER = tasks.folder("writingbench")
CLOSE = 1e-12
"""Of a mean of grades: sums in another order."""


def read(name: str) -> Any:
    """One of the files, ``.gz`` or not."""
    data = (WRITINGBENCH / name).read_bytes()
    return json.loads(gzip.decompress(data) if name.endswith(".gz") else data)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the folder, whose system message is left out, since no copy of it is here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUDGEBENCH_MIRROR", str(SHARED / "upstream"))
    shutil.copytree(FOLDER, "writingbench", ignore=shutil.ignore_patterns("__pycache__"))
    text = Path("writingbench/task.toml").read_text()
    Path("writingbench/task.toml").write_text(text.replace('system_file = "system"\n', ""))
    return tmp_path


def with_prompts(rows: list[Mapping[str, Any]], subsets: bool = False) -> None:
    """Let the edition ``length`` have these items."""
    Path("writingbench/items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = Path("writingbench/task.toml").read_text().replace('prompts = "length"', 'prompts = "items.jsonl"')
    if not subsets:
        text = text[: text.index("[editions.length.rubric.subsets]")]
    Path("writingbench/task.toml").write_text(text)


def with_subset_of_criteria() -> None:
    """Make the file of the criteria about lengths: the official one, whose other file and index are here."""
    rows = [
        json.loads(line)
        for line in gzip.decompress((SHARED / "upstream/writingbench.length_subset.jsonl.gz").read_bytes()).splitlines()
    ]
    about = read("length_subset_index.json.gz")["length_C"]
    for row in rows:
        row["checklist"] = [one for one in row["checklist"] if one["name"] in about[str(row["index"])]]
    Path("mirror").mkdir()
    Path("mirror/C.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def imported(grades: list[dict[str, Any]]) -> dict[tuple[str, str | None], Score]:
    """The scores of grades, each of one call."""
    verdicts = [
        {"id": row["index"], "criterion": name, "value": values[0]}
        for row in grades
        for name, values in row["scores"].items()
    ]
    Path("verdicts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in verdicts))
    task = ["--task", "./writingbench@length", "--out", "run", "--offline"]
    mirror = ["--mirror", "mirror"] if Path("mirror").is_dir() else []
    judgebench(["import", "verdicts.jsonl", "--from", "verdicts", *task, *mirror])
    return {(score.metric, score.group): score for score in RunFolder(Path("run")).results().scores}


def test_a_whole_subset_on_paper_and_upstream(place: Path) -> None:
    """222 queries with their five grades: all grades, domains, the requirement and the criteria about it."""
    with_subset_of_criteria()
    expected = read("expected.json")["made_a"]
    found = imported(read("scores.json.gz")["made_a"])
    assert found["score", None].value == pytest.approx(expected["overall"], rel=CLOSE)
    assert found["score_percent", None].value == pytest.approx(10 * expected["overall"], rel=CLOSE)
    assert found["score", None].n == expected["count"]
    for column in ("domain1", "domain2"):
        for name, value in expected[f"{column}_of_length_subset_queries"].items():
            assert found["score", f"{column}={name}"].value == pytest.approx(value, rel=CLOSE), name
    assert found["score", "requirement=length"].value == pytest.approx(expected["length_R"], rel=CLOSE)
    assert found["score", "requirement_criteria=length"].value == pytest.approx(expected["length_C"], rel=CLOSE)
    low, high = found["score", None].low, found["score", None].high
    assert low is not None
    assert high is not None
    assert low < expected["overall"] < high


@pytest.mark.parametrize("run", ["gpt-4o-mini_oneshot", "gpt-5.4-nano_oneshot"])
def test_real_grades(run: str, place: Path) -> None:
    """Of a fork's runs on five queries, one of which is in the subset: their means, by query, and of the subset."""
    with_subset_of_criteria()
    expected, grades = read("expected.json")[run], read("scores.json.gz")[run]
    domains = read("length_subset_index.json.gz")["domains"]
    with_prompts(
        [
            {
                "index": row["index"],
                "query": "q",
                **dict(zip(("domain1", "domain2"), domains.get(str(row["index"]), ()), strict=False)),
                "checklist": [{"name": name} for name in row["scores"]],
            }
            for row in grades
        ],
        subsets=True,
    )
    found = imported(grades)
    assert found["score", None].value == pytest.approx(expected["overall"], rel=CLOSE)
    assert found["score", "requirement=length"].value == pytest.approx(expected["length_R"], rel=CLOSE)
    assert found["score", "requirement_criteria=length"].value == pytest.approx(expected["length_C"], rel=CLOSE)
    for column in ("domain1", "domain2"):
        for name, value in expected[f"{column}_of_length_subset_queries"].items():
            assert found["score", f"{column}={name}"].value == pytest.approx(value, rel=CLOSE)
    (scored,) = Path("run").glob("*/example_scores.jsonl")
    rows = {row["example_id"]: row["value"] for row in map(json.loads, scored.read_text().splitlines())}
    assert rows == pytest.approx(expected["per_query"], rel=CLOSE)


def test_what_the_judge_is_sent_is_upstream_s_to_the_byte(place: Path) -> None:
    """Criteria as Python writes their tables, in their order; braces of texts stay."""
    cases = read("parse_cases.json")["prompts"]
    rows: dict[int, dict[str, Any]] = {}
    for case in cases:
        row = rows.setdefault(case["index"], {"index": case["index"], "query": case["query"], "checklist": []})
        row["checklist"].append(case["criterion"])
    with_prompts(list(rows.values()))
    Path("answers.jsonl").write_text(
        "".join(json.dumps({"id": str(case["index"]), "output": case["response"]}) + "\n" for case in cases[::2])
    )
    asked: list[Request] = []

    def grade(request: Request) -> Any:
        asked.append(request)
        return reply('```json\n{"score": 7, "reason": "x"}\n```')

    with playing(ScriptedModel(grade)) as spec:
        task = ["--tasks", "./writingbench@length", "--judge", spec, "--out", "run", "--offline"]
        judgebench(["eval", "--model", "file:answers.jsonl", *task])
    sent = {sha256_hex(request.messages[-1].content.encode()) for request in asked}
    assert sent == {case["sha256"] for case in cases}
    (score,) = (one for one in RunFolder(Path("run")).results().scores if (one.metric, one.group) == ("score", None))
    assert (score.value, score.n) == (7.0, 3)


def test_replies_are_read_as_upstream_reads_them() -> None:
    """29 of them; only ``true``, which equals 1 in Python, is no grade here."""
    table = tomllib.loads((FOLDER / "task.toml").read_text())
    path = FOLDER / "task.toml"
    rule = read_rule(path, path.read_text(), {"read": table["reads"], **table["verdict"]})
    read_reply = reader(rule, (1.0, 10.0))
    cases = read("parse_cases.json")["replies"]
    assert len(cases) == 29
    for case in cases:
        wanted = case["score"] if case["accepted"] is True and case["score"] is not True else None
        assert read_reply(case["text"]).value == wanted, case["text"]


def test_the_starter_set_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In our own words, without an official file."""
    monkeypatch.chdir(tmp_path)
    judge = ["--judge", "builtin:tiny", "--starter", "--limit", "2", "--offline", "--out", "run"]
    judgebench(["eval", "--model", "builtin:tiny", "--tasks", "writingbench", *judge])
    found = {(one.metric, one.group): one.value for one in RunFolder(Path("run")).results().scores}
    assert found["score", None] == 5.0
    assert found["score_percent", "domain1=Education"] == 50.0
