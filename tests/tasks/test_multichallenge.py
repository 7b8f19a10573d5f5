"""Multi-Challenge against ekwinox117/multi-challenge@5ccefcc, on real judgements."""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from judgebench import tasks
from judgebench.codec import sha256_hex
from judgebench.models.scripted import ScriptedModel, playing, reply
from judgebench.records import Completion, Generation, Request
from judgebench.run.folder import RunFolder
from judgebench.task import Task, TaskData
from judgebench.tasks import TaskSpec
from tests.commands import judgebench
from tests.shared_data import SharedData

FOLDER, OFFICIAL = SharedData("multichallenge"), SharedData("upstream")
RUNS = ("claude35_always", "llama405b_always", "mistral_always")
Rows = Sequence[Mapping[str, Any]]


def read(name: str) -> Any:
    """A file of the data."""
    data = (FOLDER / name).read_bytes()
    return json.loads(gzip.decompress(data) if name.endswith(".gz") else data)


def loaded(rows: Rows | None = None) -> tuple[Task, TaskData]:
    """The benchmark with its official files, or with other questions."""
    task, _ = tasks.load(TaskSpec("multichallenge"))

    def fetch(name: str) -> bytes:
        if name == "judge":
            return (OFFICIAL / "multichallenge.JUDGE_PROMPT.txt").read_bytes()
        if rows is not None:
            return "".join(json.dumps(row) + "\n" for row in rows).encode()
        return gzip.decompress((OFFICIAL / "multichallenge.benchmark_questions.jsonl.gz").read_bytes())

    return task, task.load(fetch)


def imported(attempts: Sequence[Rows], *options: str, left_out: Sequence[str] = ()) -> Any:
    """The scores of judgements, one list for each attempt, as the command imports them."""
    verdicts = [
        {"id": row["question_id"], "criterion": 0, "attempt": number, "value": row["value"]}
        for number, judged in enumerate(attempts)
        for row in judged
        if row["question_id"] not in left_out
    ]
    Path("verdicts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in verdicts))
    task = ":".join(("multichallenge", *options))
    where = ["--mirror", OFFICIAL / ".", "--offline", "--out", "run"]
    judgebench(["import", "verdicts.jsonl", "--from", "verdicts", "--task", task, *where], code=None)
    found = RunFolder(Path("run")).results()
    return {(one.metric, one.group): one for one in found.scores}


def judged(name: str) -> list[dict[str, Any]]:
    """The judgements of a run: what the judge said."""
    return [{**row, "value": row["verdict"] == "YES"} for row in read(f"{name}.json.gz")]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory."""
    monkeypatch.chdir(tmp_path)


def agrees(found: Any, expected: Mapping[str, Any]) -> None:
    """The overall score and each axis are upstream's."""
    assert found["score", None].value == pytest.approx(expected["overall_score"], abs=1e-9)
    axes = {group: one for (metric, group), one in found.items() if metric == "score" and group}
    assert set(axes) == {f"category={axis}" for axis in expected["axis_scores"]}
    for axis, value in expected["axis_scores"].items():
        assert axes[f"category={axis}"].value == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("name", RUNS)
def test_real_judgements_give_upstream_s_scores(name: str, place: None) -> None:
    """The mean of the axes, each axis with its number of questions, and the plain share beside it."""
    expected = read("expected.json")[name]
    found = imported([judged(name)])
    agrees(found, expected)
    assert found["share_met", None].value == pytest.approx(expected["micro_accuracy"], abs=1e-9)
    assert {axis: found["score", f"category={axis}"].n for axis in expected["total"]} == expected["total"]


def test_any_attempt_passes(place: None) -> None:
    """Three attempts at each question count by the best of them."""
    found = imported([judged(name) for name in RUNS])
    agrees(found, read("expected.json")["attempts3_0_2_3"])
    assert found["score", None].n == 273


def test_judge_errors_are_missing_or_as_upstream_counts_them(place: None) -> None:
    """Three verdicts that failed: missing here, and with the option upstream's fifth axis with score 0."""
    rows = judged("claude35_always")
    for number in (3, 50, 200):
        rows[number]["value"] = None
    agrees(imported([rows], "upstream_compat=true"), read("expected.json")["judge_error_3_items"]["upstream"])


def test_missing_verdicts_are_counted(place: None) -> None:
    """Without the option the three questions have no score, and their axes the others' mean."""
    rows = judged("claude35_always")
    for number in (3, 50, 200):
        rows[number]["value"] = None
    found = imported([rows])
    wanted = read("expected.json")["judge_error_3_items"]["upstream"]["axis_scores"]
    own = {axis: value for axis, value in wanted.items() if axis != "NA"}
    agrees(found, {"overall_score": sum(own.values()) / len(own), "axis_scores": own})
    assert found["score", None].n_missing == 3


def test_no_answer_is_a_failure_for_upstream(place: None) -> None:
    """A question without a judgement counts as failed in its axis with the option."""
    rows = judged("claude35_always")
    passed = next(row for row in rows if row["passed"] and row["axis"] == "SELF_COHERENCE")
    found = imported([rows], "upstream_compat=true", left_out=(passed["question_id"],))
    assert found["score", "category=SELF_COHERENCE"].value == pytest.approx(100 * 21 / 50)


def test_the_judge_is_asked_in_the_official_words() -> None:
    """Real answers and made ones with braces and tags: each prompt is upstream's, and nothing else is sent."""
    rows = read("prompt_cases.json.gz")
    for row in rows:
        asked = [{"role": "user", "content": "A question."}]
        about = {"QUESTION_ID": "a", "AXIS": "X", "CONVERSATION": asked, "PASS_CRITERIA": "YES"}
        task, data = loaded([{**about, "TARGET_QUESTION": row["TARGET_QUESTION"]}])
        (case,) = task.cases(data, Generation(example_id="a", model="m", outputs=(row["response"],)))
        request = data.judges[case.judge].ask(case)
        (message,) = request.messages
        assert (message.role, sha256_hex(message.content.encode())) == ("user", row["judge_prompt_sha256"])
        assert (request.sampling.temperature, request.sampling.max_tokens) == (0.0, 4096)
        assert json.loads(request.sampling.json_schema)["required"] == ["reasoning", "verdict"]
    assert len(rows) == 10


def test_the_questions_are_the_official_ones() -> None:
    """Id, axis, wanted verdict, turns and target question of all 273."""
    task, data = loaded()
    assert len(data.examples) == task.official_examples == 273
    for example, (name, axis, wanted, turns, digest) in zip(data.examples, read("items.json.gz"), strict=True):
        (criterion,) = example.meta["criteria"]
        assert (example.id, example.meta["category"], len(example.messages)) == (name, axis, turns)
        assert criterion.get("wanted", True) == (wanted == "YES")
        assert sha256_hex(criterion["text"].encode()) == digest


def test_replies_are_read_as_upstream_reads_them() -> None:
    """80 real replies in the schema; what has no schema is repaired, and said to be; nothing is no verdict."""
    task, data = loaded()
    (case,) = task.cases(data, Generation(example_id=data.examples[0].id, model="m", outputs=("x",)))
    judge = data.judges[case.judge]
    for one in read("replies.json.gz"):
        verdict = judge.read(case, (Completion(text=one["reply"]),))
        assert (verdict.label, verdict.value, verdict.details) == (one["expected"], one["expected"] == "YES", {})
    for text, value in (
        ('Well: {"verdict": "NO"}', 0.0),
        ("It does so, although NOT at once. YES", 1.0),
        ("YES at first, but NO.", 0.0),
        ("YESTERDAY", None),
        ('{"reasoning": "", "verdict": "MAYBE"}', None),
    ):
        verdict = judge.read(case, (Completion(text=text),))
        assert verdict.value == value, text
        assert verdict.details == ({"repaired": True} if value is not None else {})


def test_a_run_of_the_official_answers_format(place: None) -> None:
    """A file of upstream's answers, each a list of one text, or a text, is judged once for each question."""
    _, data = loaded()
    answers = [
        {"QUESTION_ID": example.id, "RESPONSE": ["An answer."] if number % 2 else "An answer."}
        for number, example in enumerate(data.examples[:6])
    ]
    Path("answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    asked: list[Request] = []

    def answer(request: Request) -> Any:
        asked.append(request)
        return reply('{"reasoning": "", "verdict": "YES"}' if len(asked) % 2 else "I would say: YES")

    with playing(ScriptedModel(answer)) as spec:
        where = ["--mirror", OFFICIAL / ".", "--offline", "--out", "run", "--limit", "6"]
        given = ["--model", "file:answers.jsonl", "--fields", "id=QUESTION_ID,output=RESPONSE"]
        judgebench(["eval", *given, "--tasks", "multichallenge", "--judge", spec, *where], code=None)
    assert len(asked) == 6
    found = {(one.metric, one.group): one for one in RunFolder(Path("run")).results().scores}
    assert (found["share_met", None].value, found["score", None].details["repaired_verdicts"]) == (100, 3)
