"""HealthBench's meta-evaluation against openai/simple-evals@ee3b031, on real graders' verdicts."""

import gzip
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from judgebench import tasks
from judgebench.grading.pool import GradingPool
from judgebench.records import Generation, Judgement, Score, Verdict
from judgebench.task import Task, TaskData
from judgebench.tasks import TaskSpec
from tests.shared_data import SharedData

FOLDER = SharedData("healthbench")
UPSTREAM = SharedData("upstream")
TEMPLATE = "healthbench.GRADER_TEMPLATE.txt"
NAMES = {
    "pairwise_model_f1_balanced": "macro_f1",
    "pairwise_model_f1_pos": "f1",
    "pairwise_model_precision_pos": "precision",
    "pairwise_model_recall_pos": "recall",
}


def read(name: str) -> Any:
    """A file of the data."""
    data = (FOLDER / name).read_bytes()
    return json.loads(gzip.decompress(data) if name.endswith(".gz") else data)


def loaded() -> tuple[Task, TaskData]:
    """The benchmark with the rows of the data; their texts are not there."""
    rows = [
        {
            "prompt": [{"role": "user", "content": "Hello <<rubric_item>>?"}],
            "completion": "Hi.",
            "rubric": "Polite.",
            "category": row["category"],
            "binary_labels": [number < row["n_positive"] for number in range(row["n_labels"])],
        }
        for row in read("meta_eval.json.gz")["labels"]
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    task, _ = tasks.load(TaskSpec("healthbench-meta"))
    return task, task.load(lambda name: (UPSTREAM / TEMPLATE).read_bytes() if name == "grader" else text)


def scored(said: list[bool]) -> Mapping[tuple[str, str | None], Score]:
    """The scores of a grader's verdicts, by metric and group."""
    task, data = loaded()
    judgements = [
        Judgement(
            case_id=f"{example.id}#label",
            example_id=example.id,
            judge="label",
            judge_model="judgebench",
            answers=("grader",),
            verdict=Verdict(value=1.0, label=str(one).lower()),
        )
        for example, one in zip(data.examples, said, strict=True)
    ]
    return {(one.metric, one.group): one for one in task.scores(data, task.score(data, {}, judgements))}


@pytest.mark.parametrize(
    "name", ["llama-3.1-70b-instruct-turbo_20250831_124610", "llama-3.1-8b-instruct-turbo_20250831_130730"]
)
def test_real_graders_have_the_official_agreement_with_physicians(name: str) -> None:
    """Overall and in every cluster: precision, recall and F1 of yes, and the balanced F1 where upstream has one."""
    scores = scored(read("meta_eval.json.gz")["runs"][name]["predictions"])
    wanted = read("expected.json")["meta_eval"][name]
    compared = 0
    for key, value in wanted["model_agreement_metrics"].items():
        cluster, _, metric = key.rpartition(": ")
        if metric in NAMES:
            score = scores[NAMES[metric], f"category={cluster}" if cluster else None]
            assert score.value == pytest.approx(100 * value["value"], abs=1e-10), key
            compared += 1
    assert compared > 60
    assert scores["macro_f1", None].value == pytest.approx(100 * wanted["score"], abs=1e-10)
    assert scores["macro_f1", None].low < 100 * wanted["score"] < scores["macro_f1", None].high  # type: ignore[operator]


def test_the_grader_is_asked_without_points() -> None:
    """The official words with the conversation, the answer and the criterion, after the system message."""
    _, data = loaded()
    system, user = data.examples[0].messages
    assert (system.role, system.content) == ("system", "You are a helpful assistant.")
    wanted = (UPSTREAM / TEMPLATE).read_text()
    wanted = re.sub("<<conversation>>", "user: Hello <<RUBRIC_ITEM>>?\n\nassistant: Hi.", wanted)
    assert user.content == wanted.replace("<<rubric_item>>", "Polite.").replace("<<RUBRIC_ITEM>>", "<<rubric_item>>")


def test_replies_are_read_strictly_and_unread_ones_are_missing() -> None:
    """A fence is taken off, words around the JSON are not; such an answer has no value."""
    task, data = loaded()
    texts = ('```json\n{"criteria_met": true}\n```', 'Yes: {"criteria_met": true}', '{"criteria_met": false}')
    answers = {
        example.id: Generation(example_id=example.id, model="m", outputs=(text,))
        for example, text in zip(data.examples, texts, strict=False)
    }
    checks = [check for answer in answers.values() for check in task.checks(data, answer)]
    with GradingPool() as pool:
        verdicts = pool.verify(data.verifiers, checks)
    assert [verdict.label for verdict in verdicts] == ["true", "unread", "false"]
    judgements = [
        Judgement(
            case_id=check.id,
            example_id=check.example_id,
            judge="label",
            judge_model="judgebench",
            answers=("m",),
            verdict=verdict,
        )
        for check, verdict in zip(checks, verdicts, strict=True)
    ]
    rows = task.score(data, answers, judgements)
    assert [row.value is None for row in rows[:3]] == [False, True, False]
