"""The pages on benchmarks as files: its files are run, and its tables name every key."""

import hashlib
import json
import re
from pathlib import Path

import msgspec
import pytest

from judgebench import tasks
from judgebench.judges.judge_files import RULE_KEYS
from judgebench.kinds import choice_items, classify, pairwise, rating, rubric, scored, verify
from judgebench.kinds.items import FIELDS
from judgebench.kinds.task_files import KINDS, Keys, Prompt
from judgebench.records import Generation
from judgebench.run.folder import RunFolder
from tests.commands import judgebench
from tests.sandboxes import NEEDS_SANDBOX, WHY_NOT

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "own-benchmarks.md").read_text()
FOLDERS = (DOCS / "benchmark-folders.md").read_text()
FILES = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PROBLEMS = [
    {"task_id": str(n), "prompt": "def double(x):\n", "test": "def check(f): assert f(2) == 4", "entry_point": "double"}
    for n in range(3)
]
SETTINGS = {
    "pairwise": pairwise.Settings,
    "rating": rating.Settings,
    "rubric": rubric.Settings,
    "classify": classify.Settings,
    "choice": choice_items.Settings,
    "scored": scored.Settings,
    "verify": verify.Settings,
}


@pytest.mark.parametrize("number", range(len(FILES)))
def test_its_files_run(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gives a complete run, judged by a model with known probabilities."""
    monkeypatch.chdir(tmp_path)
    options = {"mc2_targets": {"choices": ["Mine.", "Ours.", "Theirs."], "labels": [1, 1, 0]}}
    rows = [
        {"Instruction": f"Question {n}?", "gold": "An answer.", "truth": "yes", "most_words": 1, **options}
        for n in range(3)
    ]
    for name in ("prompts.jsonl", "en.jsonl", "de.jsonl"):
        Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (chains,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    Path("chains.jsonl").write_text(chains)
    ids = range(1, 4) if "chains" in FILES[number] else range(6) if "en.jsonl" in FILES[number] else range(3)
    Path("answers.jsonl").write_text("".join(json.dumps({"id": str(n), "output": "Mine."}) + "\n" for n in ids))
    Path("mine.toml").write_text(FILES[number])
    prompts = re.findall(r"^```jinja\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for name, prompt in zip(("polite.j2", "met.j2"), prompts, strict=True):
        Path(name).write_text(prompt)
    assert len(FILES[number].splitlines()) <= 25
    if 'kind = "scored"' in FILES[number]:
        Path("scores.jsonl").write_text('{"id": "a", "score": 0.5}\n{"id": "b", "score": 1}\n')
        judgebench(["import", "scores.jsonl", "--from", "scored", "--task", "mine.toml", "--out", "run"])
        return
    judge = ["--judge", "builtin:tiny"]
    if 'kind = "verify"' in FILES[number]:
        if WHY_NOT is not None:
            pytest.skip(NEEDS_SANDBOX)
        judge = []
        Path("humaneval.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PROBLEMS))
        (module,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        Path("mychecks.py").write_text(module)
        monkeypatch.syspath_prepend(tmp_path)
    judgebench(["eval", "--model", "file:answers.jsonl", "--tasks", "mine.toml", *judge, "--out", "run"])


def test_its_tables_name_every_key() -> None:
    """All keys of the file, of its tables and of the rows of prompts."""
    named = set(re.findall(r"`([a-z_.]+)`", PAGE + FOLDERS))
    keys = {field.name for field in msgspec.structs.fields(Keys)} - {"source"}
    assert keys <= named
    assert set(KINDS) == set(SETTINGS)
    for settings in SETTINGS.values():
        assert {field.name for field in msgspec.structs.fields(settings)} <= named
    assert set(FIELDS) <= named
    assert {"labels", "scale", "which"} <= set(RULE_KEYS)
    assert {field.name for field in msgspec.structs.fields(Prompt)} <= named


def test_the_folder_of_the_page_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its editions and its option are there, and its judge is asked in the string of a program."""
    monkeypatch.chdir(tmp_path)
    source, task = re.findall(r"^```toml\n(.*?)^```$", FOLDERS, re.MULTILINE | re.DOTALL)[:2]
    prompt = "Answer: {} Criterion: {} Give your verdict."
    Path("mine").mkdir()
    Path("mine/task.toml").write_text(task)
    digest = hashlib.sha256(prompt.encode()).hexdigest()
    questions = source.replace('"judge"', '"questions"').replace('string = "JUDGE_PROMPT"\n', "")
    entries = (
        source.replace("of the string", digest),
        questions.replace("of the string", "unpinned"),
        questions.replace("of the string", "unpinned").replace('"questions"', '"hard-questions"'),
    )
    Path("mine/sources.toml").write_text("".join(entries))
    loaded, _ = tasks.load(tasks.parse_one_spec("./mine@hard:points=true"))
    assert (loaded.versions, loaded.official_examples, loaded.options) == (("all", "hard"), 50, {"points": "true"})
    row = {
        "conversation": [{"role": "user", "content": "Hi?"}],
        "passes": "YES",
        "rubrics": [{"criterion": "Polite.", "points": 3}],
    }
    data = loaded.load(lambda name: prompt.encode() if name == "judge" else json.dumps([row]).encode())
    (case,) = loaded.cases(data, Generation(example_id="0", model="m", outputs=("Hello.",)))
    (message,) = data.judges[case.judge].ask(case).messages
    assert message.content == "Answer: Hello. Criterion: [3] Polite. Give your verdict."


def test_the_tiny_judge_finds_the_labels_of_the_page_equally_likely(tmp_path: Path) -> None:
    """Every rating of the page's judge prompt is the middle of 1, 3 and 5."""
    prompt, _ = re.findall(r"^```jinja\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "polite.j2").write_text(prompt)
    (tmp_path / "mine.toml").write_text(next(text for text in FILES if "polite.j2" in text))
    (tmp_path / "prompts.jsonl").write_text('{"Instruction": "How are you?"}\n{"Instruction": "Where to?"}\n')
    answers = [{"id": str(n), "output": text} for n, text in enumerate(("Go away.", "Fine, thank you."))]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    words = ["eval", "--model", "file:answers.jsonl", "--tasks", "mine.toml", "--judge", "builtin:tiny", "--out", "run"]
    judgebench(words, cwd=tmp_path)
    scores = {one.metric: one.value for one in RunFolder(tmp_path / "run").results().scores}
    assert scores["rating"] == pytest.approx(3.0, abs=1e-3)
