"""HealthBench against openai/simple-evals@ee3b031, on what its official code made of real verdicts."""

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import pytest

from judgebench import tasks
from judgebench.codec import sha256_hex
from judgebench.records import Completion, Generation, Judgement, Score, Verdict
from judgebench.task import Task, TaskData
from judgebench.tasks import TaskSpec
from tests.shared_data import SharedData

FOLDER = SharedData("healthbench")
UPSTREAM = SharedData("upstream")
TEMPLATE = "healthbench.GRADER_TEMPLATE.txt"
Scores = Mapping[tuple[str, str | None], Score]


def read(name: str) -> Any:
    """A file of the data."""
    data = (FOLDER / name).read_bytes()
    return json.loads(gzip.decompress(data) if name.endswith(".gz") else data)


def loaded(rows: Iterable[Mapping[str, Any]], version: str = "all") -> tuple[Task, TaskData]:
    """The benchmark with these rows in the place of its official file."""
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    task, _ = tasks.load(TaskSpec("healthbench", version))
    return task, task.load(lambda name: (UPSTREAM / TEMPLATE).read_bytes() if name == "grader" else text)


def scored(rows: Iterable[Mapping[str, Any]], version: str = "all") -> tuple[Scores, dict[str, float]]:
    """Scores by metric and group, and of each example, of rows whose criteria have ``criteria_met``."""
    kept = list(rows)
    for row in kept:
        for number, item in enumerate(row["rubrics"]):
            item.setdefault("criterion", f"criterion {number}")
    met = {row["prompt_id"]: [item.pop("criteria_met") for item in row["rubrics"]] for row in kept}
    task, data = loaded(kept, version)
    judgements = [
        Judgement(
            case_id=f"{name}#{number}",
            example_id=name,
            judge="healthbench_grader",
            judge_model="judge",
            answers=("model",),
            verdict=Verdict(value=float(value)),
        )
        for name, values in met.items()
        for number, value in enumerate(values)
    ]
    found = task.score(data, {}, judgements)
    scores = {(one.metric, one.group): one for one in task.scores(data, found)}
    return scores, {row.example_id: row.value for row in found if row.value is not None}


# -- prompts and replies


def test_the_judge_is_asked_in_the_official_words() -> None:
    """Every prompt of 14 real answers has the hash of the official code's, after its system message."""
    rows = read("prompt_cases.json.gz")
    count = 0
    for row in rows:
        task, data = loaded([{**row, "example_tags": []}])
        answer = Generation(example_id=row["prompt_id"], model="m", outputs=(row["completion"],))
        for case, wanted in zip(task.cases(data, answer), row["grader_prompt_sha256"], strict=True):
            request = data.judges[case.judge].ask(case)
            assert [message.role for message in request.messages] == ["system", "user"]
            assert request.messages[0].content == read("expected.json")["system_message"]
            assert sha256_hex(request.messages[1].content.encode()) == wanted
            assert (request.sampling.temperature, request.sampling.max_tokens) == (0.5, 2048)
            count += 1
    assert count > 100


def test_a_token_in_an_answer_brings_no_criterion() -> None:
    """The official code would paste the criterion into the answer; here the answer is shown as it is."""
    row = {"prompt_id": "a", "prompt": [{"role": "user", "content": "Hi <<rubric_item>>"}], "example_tags": []}
    task, data = loaded([{**row, "rubrics": [{"criterion": "Polite.", "points": 3, "tags": []}]}])
    (case,) = task.cases(data, Generation(example_id="a", model="m", outputs=("Yes, <<conversation>>",)))
    shown = data.judges[case.judge].ask(case).messages[1].content
    assert "user: Hi <<rubric_item>>\n\nassistant: Yes, <<conversation>>\n" in shown
    assert "\n[3] Polite.\n" in shown


def test_replies_are_read_as_the_official_code_reads_them() -> None:
    """265 replies, most of them real: those that it asks again about, or stumbles over, have no verdict."""
    task, data = loaded([_row("a")])
    (case,) = task.cases(data, Generation(example_id="a", model="m", outputs=("Hello",)))
    judge, cases = data.judges["healthbench_grader"], read("parse_cases.json.gz")
    for one in cases:
        verdict = judge.read(case, (Completion(text=one["text"]),))
        wanted = one["expected"]
        assert verdict.value == (float(wanted["criteria_met"]) if wanted.get("accepted") else None), one["text"]
        assert bool(verdict.error) == (verdict.value is None)
    assert len(cases) > 200


def _row(name: str) -> dict[str, Any]:
    return {
        "prompt_id": name,
        "prompt": [{"role": "user", "content": "Hello?"}],
        "example_tags": ["theme:hedging"],
        "rubrics": [{"criterion": "Polite.", "points": 3, "tags": ["axis:accuracy"]}],
    }


# -- scores


@cache
def med42() -> tuple[Scores, dict[str, float]]:
    """The real verdicts with tags."""
    rows = read("rubric_verdicts_med42.json.gz")
    keys = ("prompt_id", "example_tags")
    prompt = [{"role": "user", "content": "A question."}]
    return scored({**{key: row[key] for key in keys}, "prompt": prompt, "rubrics": row["items"]} for row in rows)


def test_real_verdicts_give_the_official_scores() -> None:
    """All examples, the overall score, and each theme, category, axis, level and cluster with its number."""
    scores, examples = med42()
    expected = read("expected.json")["rubric_verdicts_med42.json.gz"]["aggregate"]
    for row in read("rubric_verdicts_med42.json.gz"):
        assert examples[row["prompt_id"]] == pytest.approx(row["expected"]["overall_score"], abs=1e-12)
    compared = 0
    for name, value in expected.items():
        metric, _, statistic = re.fullmatch(r"(.+?)(:(n_samples|bootstrap_std))?", name).groups()  # type: ignore[union-attr]
        group = None if metric in ("overall_score", "score") else metric.replace(":", "=", 1)
        score = scores["score", group]
        if statistic == "n_samples":
            assert score.n == value, name
        elif statistic is None:
            assert score.value == pytest.approx(100 * value, abs=1e-9), name
            compared += 1
    assert compared > 50


def test_real_runs_on_hard_give_the_published_means() -> None:
    """22 runs of 200 examples: every example, the mean, and the mean as it is clipped for publication."""
    runs, expected = read("hard_runs.json.gz"), read("hard_runs_expected.json.gz")
    below = 0
    for name, run in runs.items():
        scores, examples = scored(_hard_rows(run["examples"]), "hard")
        want = expected[name]
        assert list(examples.values()) == pytest.approx(want["per_example_scores"], abs=1e-12)
        assert scores["score_unclipped", None].value == pytest.approx(100 * want["mean_unclipped"], abs=1e-9)
        assert scores["score", None].value == pytest.approx(100 * want["overall_score"], abs=1e-9)
        assert scores["score", None].n == 200
        below += want["mean_unclipped"] < 0
        spread = scores["score_unclipped", None].stderr
        if want["mean_unclipped"] > 0.1:
            assert spread == pytest.approx(100 * want["published_bootstrap_std"], rel=0.15)
    assert below


def _hard_rows(examples: Iterable[Iterable[Any]]) -> Iterator[dict[str, Any]]:
    for number, items in enumerate(examples):
        rubrics = [{"points": points, "criteria_met": met, "tags": []} for points, met in items]
        prompt = [{"role": "user", "content": "A question."}]
        yield {"prompt_id": f"{number:03d}", "prompt": prompt, "example_tags": [], "rubrics": rubrics}


def test_consensus_is_the_full_set_s_cluster_criteria() -> None:
    """A run on the rows that have some, with only those, has the score of the tag ``level:cluster`` of a full run."""
    scores, _ = med42()
    rows = []
    for row in read("rubric_verdicts_med42.json.gz"):
        own = [item for item in row["items"] if "level:cluster" in item["tags"]]
        prompt = [{"role": "user", "content": "A question."}]
        if own:
            rows.append({"prompt_id": row["prompt_id"], "prompt": prompt, "example_tags": [], "rubrics": own})
    part, _ = scored(rows, "consensus")
    whole = scores["score", "level=cluster"]
    assert (part["score", None].value, part["score", None].n) == (pytest.approx(whole.value), whole.n)


def test_an_example_without_all_its_verdicts_has_no_score() -> None:
    """It is missing and counted, and never scored by the criteria that were read."""
    task, data = loaded([_row("a"), _row("b")])
    judgement = Judgement(
        case_id="a#0",
        example_id="a",
        judge="healthbench_grader",
        judge_model="j",
        answers=("m",),
        verdict=Verdict(value=None, error="unread"),
    )
    (score,) = (
        s for s in task.scores(data, task.score(data, {}, [judgement])) if (s.metric, s.group) == ("score", None)
    )
    assert (score.value, score.n_missing) == (None, 2)


def test_editions_are_the_official_sets() -> None:
    """Their numbers of examples, and one default judge, which OpenAI serves until a day that is known."""
    for version, count in (("all", 5000), ("hard", 1000), ("consensus", 3671)):
        task, _ = tasks.load(TaskSpec("healthbench", version))
        assert (task.official_examples, set(task.judge_models.values())) == (count, {"openai:gpt-4.1-2025-04-14"})
    assert tasks.info("healthbench")["served"] == {
        "openai:gpt-4.1-2025-04-14": "served until 2027-01-14; OpenAI recommends gpt-6-luna"
    }
    assert len(set(read("subset_ids.json.gz")["consensus"])) == 3671


def test_the_strict_reading_takes_no_time_on_white_space() -> None:
    """A reply of a megabyte of blanks before its fence is read in one pass."""
    task, data = loaded([_row("a")])
    (case,) = task.cases(data, Generation(example_id="a", model="m", outputs=("Hello",)))
    text = "x" + " " * 2**20 + "x```"
    assert data.judges["healthbench_grader"].read(case, (Completion(text=text),)).value is None
