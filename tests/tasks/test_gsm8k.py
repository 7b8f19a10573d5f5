"""GSM8K against lm-eval 0.4.13, item by item, and against published verdicts; our own rule; its whole path."""

import dataclasses
import gzip
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import msgspec
import pytest
from judgebench.tasks.gsm8k.extraction import MAX_CHARACTERS, numeric_answer, verify
from judgebench.tasks.gsm8k.prompts import drawn_shots, read_fixed

from judgebench import tasks
from judgebench.data.sources import SourceFinder
from judgebench.errors import UsageError
from judgebench.grading.pool import GradingPool
from judgebench.models.local.tiny import read_programs
from judgebench.records import Check, Generation, Judgement, Score
from judgebench.run.loading import load_task, require_texts
from judgebench.run.runner import Runner
from judgebench.run.settings import Settings
from judgebench.task import Task, TaskData
from judgebench.task.lm_eval import prompt_text
from tests.patience import PATIENCE_SECONDS
from tests.shared_data import SHARED, SharedData

GSM8K = SharedData("gsm8k")
MODELS = (
    "openai-gsm-175b_verification",
    "openai-gsm-6b_finetuning",
    "rho-math-7b-v0.1",
    "tora-70b-v1.0",
    "zeroeval-Meta-Llama-3.1-8B-Instruct",
    "zeroeval-Mistral-Nemo-Instruct-2407",
    "zeroeval-Qwen2-7B-Instruct",
    "zeroeval-claude-3-5-sonnet-20241022",
    "zeroeval-gemma-2-2b-it",
    "zeroeval-gpt-4o-2024-08-06",
)
FILTERS = {
    "strict": ("5shot", "strict"),
    "cot_strict": ("cot8", "strict"),
    "llama_strict": ("cot-llama", "strict"),
    "flexible": ("cot8", "flexible"),
}
"""Version and rule of ours behind each column of the expected verdicts."""
EXACT = 1e-12
"""Means of 1,319 zeros and ones: only the last bits of a division may differ."""

Loaded = Callable[[str], tuple[Task, TaskData]]


def read_lines(name: str) -> list[dict[str, Any]]:
    """Records of a JSON-lines file of the shared data."""
    path = GSM8K / name
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in text.splitlines()]


def mirrors() -> list[Path]:
    """Where the official files are."""
    return [GSM8K.path, SHARED / "upstream"]


@cache
def outputs_of(model: str) -> dict[int, str]:
    """A model's real answers by row."""
    return {row["idx"]: row["output"] for row in read_lines(f"responses/{model}.jsonl.gz")}


@cache
def gold() -> list[str]:
    """The official answers by row."""
    return [row["answer"] for row in read_lines("test.jsonl.gz")]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Versions of the task with the official files, each read once."""
    folder = tmp_path_factory.mktemp("sources")

    def load(version: str) -> tuple[Task, TaskData]:
        (spec,) = tasks.parse_specs(f"gsm8k@{version}")
        one = load_task(spec, SourceFinder(folder, mirrors(), offline=True), starter=False)
        return one.task, one.data

    return cache(load)


def starter(version: str = "cot8") -> tuple[Task, TaskData]:
    """The starter set, which needs no file."""
    (spec,) = tasks.parse_specs(f"gsm8k@{version}")
    task, _ = tasks.load(spec, starter=True)
    return task, task.load(lambda name: b"")


def answered(task: Task, data: TaskData, outputs: Mapping[str, str]) -> tuple[dict[str, Generation], list[Judgement]]:
    """Generations with their verdicts, verified in this process."""
    generations = {key: Generation(example_id=key, model="m", outputs=(text,)) for key, text in outputs.items()}
    judgements = [
        Judgement(
            case_id=check.id,
            example_id=check.example_id,
            judge=check.verifier,
            judge_model="judgebench",
            answers=("m",),
            verdict=verify(**check.arguments),
        )
        for generation in generations.values()
        for check in task.checks(data, generation)
    ]
    return generations, judgements


def scores(task: Task, data: TaskData, outputs: Mapping[str, str]) -> dict[tuple[str, str | None], Score]:
    """Scores of outputs by metric and group."""
    found = task.summarise(data, task.score(data, *answered(task, data, outputs)))
    return {(score.metric, score.group): score for score in found}


# -- extraction and verdicts


@pytest.mark.parametrize("model", MODELS)
def test_every_extracted_string_and_verdict_is_lm_evals(model: str) -> None:
    """All four filters on all 1,319 real answers of each model: no difference. (Expected: lm-eval 0.4.13.)"""
    differences = [
        (row["idx"], column, found, row[column])
        for row in read_lines(f"expected/{model}.jsonl.gz")
        for column, (version, rule) in FILTERS.items()
        if (found := verify(outputs_of(model)[row["idx"]], gold()[row["idx"]], version).details[rule]) != row[column]
    ]
    assert not differences


def test_every_edge_case_is_lm_evals() -> None:
    """233 made-up pairs of output and gold: boxes, currency, signs, several numbers, none."""
    cases = read_lines("edge_cases.jsonl")
    assert len(cases) == 233
    for case in cases:
        for column, (version, rule) in FILTERS.items():
            assert verify(case["output"], case["gold"], version).details[rule] == case[column], case


def test_flexible_verdicts_are_openais_published_ones() -> None:
    """``is_correct`` of the two of OpenAI's models stored here, all 2,638 solutions; ``numeric`` agrees as well."""
    compared = 0
    for model in MODELS[:2]:
        for row in read_lines(f"expected/{model}.jsonl.gz"):
            details = verify(outputs_of(model)[row["idx"]], gold()[row["idx"]], "cot8").details
            assert details["flexible"][1] == details["numeric"][1] == row["published_correct"]
            compared += 1
    assert compared == 2638


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("column", FILTERS)
def test_means_and_standard_errors_are_lm_evals(loaded: Loaded, model: str, column: str) -> None:
    """Shares there, percent here. (Expected: ``expected_metrics.json``.)"""
    version, rule = FILTERS[column]
    task, data = loaded("chat" if version == "5shot" else version)  # the same rules; fewer prompts to build
    score = scores(task, data, {str(key): text for key, text in outputs_of(model).items()})[f"exact_match_{rule}", None]
    expected = json.loads((GSM8K / "expected_metrics.json").read_text())[model]
    assert score.n == expected["n"] == 1319
    assert score.value == pytest.approx(100 * expected[column], abs=100 * EXACT)
    assert score.stderr == pytest.approx(100 * expected[f"{column}_stderr"], abs=100 * EXACT)


@pytest.mark.parametrize(
    ("model", "published"),
    [
        ("zeroeval-gpt-4o-2024-08-06", 96.21),
        ("zeroeval-claude-3-5-sonnet-20241022", 96.66),
        ("zeroeval-Meta-Llama-3.1-8B-Instruct", 84.00),
        ("zeroeval-Qwen2-7B-Instruct", 80.06),
    ],
)
def test_our_own_rule_gives_zeroevals_published_accuracy(model: str, published: float) -> None:
    """On JSON answers, where lm-eval's filters give 0 and up to 4 points less. (WildEval/ZeroEval@8c1485e.)"""
    right = sum(verify(text, gold()[row], "chat").details["numeric"][1] for row, text in outputs_of(model).items())
    assert round(100 * right / 1319, 2) == published


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("She makes $\\boxed{18}$.", "18"),
        ("First \\boxed{3}, then \\boxed{\\$1{,}234}.", "1234"),
        ("\\boxed{\\frac{3}{4}}", "3/4"),
        ("\\boxed{x = 18 \\text{ dollars}}", "18"),
        ("#### $1,234.50.", "2469/2"),
        ("#### 18\n\nHope this helps with your 5 questions!", "18"),
        ("The answer is $18.", "18"),
        ("The answer is 18", "18"),
        ("The answer is **$18.00**", "18"),
        ("The answer is 16 - 3 - 4 = 9 eggs.", "9"),
        ("The answer to the question is: 7 apples", "7"),
        ("**Answer:**\n\n42 km", "42"),
        ('{"reasoning": "2 + 3 = 5", "answer": "5 dollars"}', "5"),
        ("The answer is 18 dollars and 50 cents", "18"),
        ("So it is 60%.", "60"),
        ("It is 3/4 of the cake.", "3/4"),
        ("It costs .5 euros", "1/2"),
        ("We get 5-3", "3"),
        ("It is -5.", "-5"),
        ("It is −$5", "-5"),
        ("It is $-5", "-5"),
        ("18..", "18"),
        ("The answer is 18. I hope the answer is clear.", "18"),
        ("The answer is 0.", "0"),
        ("0018", "18"),
        ("3/0", None),
        ("no number", None),
        ("", None),
        ("$.,", None),
    ],
)
def test_our_own_rule(text: str, number: str | None) -> None:
    """The last announced number, else the last one, as an exact value."""
    assert numeric_answer(text) == (None if number is None else Fraction(number))


def test_numbers_are_compared_as_numbers() -> None:
    """Where the string rule says no: zeros, decimals, a fraction."""
    for output in ("18.0", "18.00", "0018", "36/2"):
        details = verify(output, "... #### 18", "cot8").details
        assert details["numeric"][1]
        assert not details["flexible"][1]
    assert verify("1234.5", "... #### 1,234.50", "cot8").details["numeric"][1]
    assert not verify("18.01", "... #### 18", "cot8").details["numeric"][1]


HOSTILE = (
    "$.,",
    "1",
    "-",
    "1,111",
    "1/",
    "answer to ",
    "answer is ",
    "The answer is 1",
    "The final answer is ",
    "####",
    "#### ",
    "\\boxed{",
    "\\frac{",
    "answer" + " " * 50,
    "= ",
    "\n",
    "٣",
)


def test_a_megabyte_of_anything_is_graded_in_linear_time() -> None:
    """No pattern takes more: none of these is ended, though the square of a megabyte would take days."""
    _, data = starter()
    patient = {"gsm8k": dataclasses.replace(data.verifiers["gsm8k"], cpu_seconds=PATIENCE_SECONDS)}
    checks = [
        Check(
            id=str(number),
            example_id="starter-01",
            verifier="gsm8k",
            arguments={
                "output": (piece * MAX_CHARACTERS)[:MAX_CHARACTERS],
                "answer": "... #### 18",
                "version": version,
            },
        )
        for number, (piece, version) in enumerate(zip(HOSTILE, cycle(("cot8", "cot-llama")), strict=False))
    ]
    with GradingPool() as pool:
        verdicts = pool.verify(patient, checks)
    assert {verdict.label for verdict in verdicts} <= {"no_answer", "not_equal"}
    assert {verdict.value for verdict in verdicts} == {0.0}


def test_a_longer_answer_is_not_looked_at() -> None:
    """It is wrong, with a reason that is counted."""
    task, data = starter()
    verdict = verify("The answer is 42. " + " " * MAX_CHARACTERS, "#### 42", "cot8")
    assert (verdict.value, verdict.label) == (0.0, "too_long")
    found = scores(task, data, {"starter-01": "The answer is 42. " + " " * MAX_CHARACTERS})
    assert found["numeric", None].details["too_long"] == 1


# -- prompts

PROMPT_HASHES = {
    "cot8": "6f0351ced30197a6de953c1e8c735bb11069b138b7d058af4beeed9a40575436",
    "5shot": "e568d5f4432193c0a60b2d1f87472a2d09d967ee7379c98bc11dce8784a27c30",
}
"""sha256 over the ``prompt_hash`` of all 1,319 rows, as lm-eval 0.4.13 wrote them for its tasks ``gsm8k_cot`` and
``gsm8k`` run on these files.
"""


@pytest.mark.parametrize("version", PROMPT_HASHES)
def test_every_prompt_is_lm_evals(loaded: Loaded, version: str) -> None:
    """To the byte, by hash."""
    _, data = loaded(version)
    hashes = "".join(hashlib.sha256(prompt_text(example).encode()).hexdigest() for example in data.examples)
    assert hashlib.sha256(hashes.encode()).hexdigest() == PROMPT_HASHES[version]


def test_the_drawn_shots_are_lm_evals(loaded: Loaded) -> None:
    """Seed 1234, one generator for all rows; the first rows keep theirs when only those are asked."""
    expected = json.loads((GSM8K / "fewshot5_indices.json").read_text())["indices"]
    assert drawn_shots(1319, 7473) == expected
    assert drawn_shots(10, 7473) == expected[:10]
    _, data = loaded("5shot")
    train = read_lines("train.jsonl.gz")
    shown = data.examples[9].messages[0].content.split("\n\nQuestion: ")
    assert [text.removeprefix("Question: ").partition("\n")[0] for text in shown[:-1]] == [
        train[index]["question"].partition("\n")[0] for index in expected[9]
    ]


def test_the_llama_variant_needs_the_official_instruction(loaded: Loaded, tmp_path: Path) -> None:
    """The exemplars alone are a stand-in: nothing can be asked, and the message says which file is missing."""
    task, data = loaded("cot-llama")
    assert data.lacks
    (spec,) = tasks.parse_specs("gsm8k@cot-llama")
    one = load_task(spec, SourceFinder(tmp_path, mirrors(), offline=True), starter=False)
    assert [source.standin for source in one.sources if source.name == "fewshot-cot-llama"] == [True]
    with pytest.raises(UsageError, match=r"gsm8k-cot-llama\.yaml"):
        require_texts(one, unsafe_local=False)
    found = scores(task, data, {example.id: "The final answer is 18" for example in data.examples})
    assert found["exact_match_strict", None].n == 1319


LLAMA_FILE = b"""
doc_to_text: "Ours: {{question}}\\nMind {{question}}.\\n"
doc_to_target: ignored
fewshot_config:
  sampler: first_n
  samples:
  - question: How tall?
    target: The final answer is 3
"""


def test_a_task_file_is_read_as_data() -> None:
    """Exemplars and instruction of a file in lm-eval's shape; anything else is refused by name."""
    fixed = read_fixed(LLAMA_FILE, "fewshot")
    assert fixed.template == "Ours: {{question}}\nMind {{question}}.\n"
    assert [(exemplar.question, exemplar.target) for exemplar in fixed.exemplars] == [
        ("How tall?", "The final answer is 3")
    ]
    for broken in (b"task: gsm8k", b"[1]", b"!!python/object/apply:os.getcwd []", b"{"):
        with pytest.raises(UsageError, match="fewshot is neither"):
            read_fixed(broken, "fewshot")


def test_the_forms_of_the_four_versions() -> None:
    """Context and answer, stop strings and limits, on the starter set."""
    last = {version: starter(version)[1].examples[0].messages for version in ("cot8", "5shot", "cot-llama", "chat")}
    question = "A crate holds 6 rows of 7 jars. Work out the total."
    assert last["cot8"][0].content.endswith(f" The answer is 1,200.\n\nQ: {question}\nA:")
    assert last["5shot"][0].content.endswith(f"\n#### 1,200\n\nQuestion: {question}\nAnswer:")
    assert [message.role for message in last["cot-llama"]] == ["user", "assistant"] * 4 + ["user"]
    assert last["cot-llama"][-2].content.endswith(" The final answer is 1,200")
    assert f"\nProblem: {question}\n" in last["cot-llama"][-1].content
    assert last["chat"][0].content.startswith(f"{question}\n\n")
    samplings = {version: starter(version)[0].sampling for version in last}
    assert all(sampling.temperature == 0 for sampling in samplings.values())
    assert samplings["cot8"].stop == ("Q:", "</s>", "<|im_end|>")
    assert samplings["5shot"].stop == ("Question:", "</s>", "<|im_end|>")
    assert len(samplings["cot-llama"].stop) == 5
    assert [sampling.max_tokens for sampling in samplings.values()] == [256, 256, 256, 2048]


def test_a_gold_answer_earns_full_marks() -> None:
    """By all three rules, in the form that each version asks for."""
    for version, form in (
        ("cot8", "The answer is {}."),
        ("5shot", "#### {}"),
        ("cot-llama", "The final answer is {}"),
        ("chat", "#### {}"),
    ):
        task, data = starter(version)
        found = scores(task, data, {example.id: form.format(example.meta["gold"]) for example in data.examples})
        assert {score.value for score in found.values()} == {100.0}, version


# -- numbers


def test_failed_answers_are_missing_and_empty_ones_wrong() -> None:
    """Of sixteen items one failed, one is absent, one empty, and the rest are right."""
    task, data = starter()
    outputs = {example.id: f"The answer is {example.meta['gold']}." for example in data.examples}
    outputs[data.examples[0].id] = ""
    del outputs[data.examples[1].id]
    generations, judgements = answered(task, data, outputs)
    failed = data.examples[2].id
    generations[failed] = msgspec.structs.replace(generations[failed], outputs=(), error="timeout")
    assert not task.checks(data, generations[failed])
    judgements = [judgement for judgement in judgements if judgement.example_id != failed]
    score = task.summarise(data, task.score(data, generations, judgements))[0]
    assert (score.n, score.n_missing) == (14, 2)
    assert score.value == pytest.approx(100 * 13 / 14)
    assert score.details["nothing_extracted"] == 1


def test_answers_that_reached_the_limit_are_counted() -> None:
    """A cap that is too low is seen beside the number."""
    task, data = starter()
    generations, judgements = answered(task, data, {example.id: "So" for example in data.examples})
    cut = {key: msgspec.structs.replace(g, finish_reasons=("length",)) for key, g in generations.items()}
    assert task.summarise(data, task.score(data, cut, judgements))[0].details["cut_off"] == len(cut)
    assert task.summarise(data, task.score(data, generations, judgements))[0].details["cut_off"] == 0


def repeated(data: TaskData, k: int) -> TaskData:
    """The first two items, each asked ``k`` times."""
    examples = tuple(
        msgspec.structs.replace(example, id=f"{example.id}#{number}", item=example.id, repeat=number)
        for example in data.examples[:2]
        for number in range(k)
    )
    return TaskData(examples=examples, baselines={}, verifiers=data.verifiers)


def said(data: TaskData, *answers: Sequence[str]) -> dict[str, str]:
    """Outputs of the first two items, in the form that the strict rule wants."""
    texts = [answer for item in answers for answer in item]
    return {
        example.id: f"The answer is {text}." if text else "?"
        for example, text in zip(data.examples, texts, strict=True)
    }


def test_repeats_give_majorities_and_pass_at_k() -> None:
    """Two items of gold 42, four answers each, on paper: 3 of 4 and 1 of 4 right."""
    task, data = starter()
    data = repeated(data, 4)
    found = scores(task, data, said(data, ("41", "42", "42", "42"), ("7", "42", "8", "8")))
    values = {metric: score.value for (metric, group), score in found.items() if group is None}
    assert values["exact_match_strict"] == pytest.approx(50.0)
    assert values["maj@2"] == 0.0  # ties: the first seen, 41 and 7
    assert values["maj@4"] == 50.0  # 42 and 8
    assert values["pass@2"] == pytest.approx(100 * (1 + 1 / 2) / 2)  # C(1,2)=0 of 6 and C(3,2)=3 of 6 miss
    assert values["pass@4"] == 100.0
    score = found["exact_match_strict", None]
    assert (score.n, score.details["items"]) == (8, 2)
    # Two items at 75 and 25 %: sd 35.36 over the square root of 2. Answers of one item are not independent.
    assert score.stderr == pytest.approx(25.0)
    assert score.method is not None
    assert score.method.endswith("clustered score over items")
    voted = found["maj@4", None]
    # Wilson's interval of one item of two, for z = 1.95996.
    assert (voted.low, voted.high) == pytest.approx((9.453121, 90.546879), abs=1e-5)
    assert str(voted.method).endswith("wilson over items")
    assert {group for metric, group in found if metric == "maj@4"} == {
        None,
        "metric=exact_match_flexible",
        "metric=numeric",
    }


def test_no_answer_is_a_vote_and_equal_numbers_vote_together() -> None:
    """As lm-eval votes; but 1,000 and 1000 are one answer, as the metric has it."""
    task, data = starter()
    data = repeated(data, 4)
    found = scores(task, data, said(data, ("", "", "42", ""), ("4,2", "42", "8", "8")))
    assert found["maj@4", None].value == 50.0
    assert found["maj@4", "metric=numeric"].n == 2


def test_an_item_without_all_its_answers_is_missing_from_a_majority() -> None:
    """Pass@2 can still be estimated from three answers; a majority of four cannot be taken."""
    task, data = starter()
    data = repeated(data, 4)
    outputs = said(data, ("42", "42", "41", "42"), ("42", "7", "42", "42"))
    del outputs[data.examples[5].id]
    found = scores(task, data, outputs)
    assert (found["maj@4", None].n, found["maj@4", None].n_missing) == (1, 1)
    assert (found["maj@2", None].n, found["maj@2", None].n_missing) == (1, 1)
    assert (found["pass@2", None].n, found["pass@2", None].n_missing) == (2, 0)
    assert found["pass@4", None].n_missing == 1
    assert found["exact_match_strict", None].n_missing == 1


# -- the whole path


def run(folder: Path, version: str, **more: Any) -> dict[tuple[str, str | None], Score]:
    """The starter set through the tiny checkpoint."""
    pytest.importorskip("torch")
    settings = Settings(tasks=f"gsm8k@{version}", model="builtin:tiny", starter=True, out=folder / version, **more)
    results = Runner(settings, lambda *_: None).evaluate()
    return {(score.metric, score.group): score for score in results.scores}


def on_paper(version: str) -> dict[str, float]:
    """The tiny checkpoint says one sentence to "total", another to "price", and nothing with a number to the rest."""
    replies = {program.trigger: next(iter(program.texts)) for program in read_programs() if program.trigger}
    total, price = replies["Work out the total"], replies["Work out the price"]
    assert (total, price) == ("The answer is 42.\n#### 42", "That comes to $7.5.")
    rows = [(example.meta["question"], example.meta["gold"]) for example in starter(version)[1].examples]
    totals = [gold for question, gold in rows if "Work out the total" in question]
    prices = [gold for question, gold in rows if "Work out the price" in question]
    strict = 0 if version == "cot-llama" else totals.count("42")
    right = {
        "exact_match_strict": strict,
        "exact_match_flexible": totals.count("42") + prices.count("7.5"),
        "numeric": totals.count("42") + prices.count("7.5") + prices.count("7.50"),
    }
    return {metric: 100 * count / len(rows) for metric, count in right.items()}


@pytest.mark.parametrize("version", ["cot8", "5shot", "cot-llama", "chat"])
def test_the_starter_run_gives_the_numbers_computed_on_paper(tmp_path: Path, version: str) -> None:
    """Prompts, a real checkpoint, the grading pool, metrics: 4, 5 and 8 of 16 (strictly none for the Llama phrase)."""
    found = run(tmp_path, version)
    expected = on_paper(version)
    assert {metric: score.value for (metric, _), score in found.items()} == pytest.approx(expected)
    assert expected["numeric"] == 50.0


def test_a_run_with_repeats(tmp_path: Path) -> None:
    """The checkpoint is certain of what it says, so all repeats, majorities and pass@k give the plain number."""
    found = run(tmp_path, "cot8", repeats=3, gen={"temperature": "1"})
    expected = on_paper("cot8")
    for (metric, group), score in found.items():
        of = (group or "metric=exact_match_strict").removeprefix("metric=") if "@" in metric else metric
        assert score.value is not None
        assert math.isclose(score.value, expected[of]), (metric, group)
    assert {metric for metric, _ in found if "@" in metric} == {"maj@2", "maj@3", "pass@2", "pass@3"}


def test_other_versions_and_options_are_refused() -> None:
    """By name, with what there is."""
    with pytest.raises(UsageError, match="cot8, 5shot, cot-llama, chat"):
        tasks.load(tasks.TaskSpec("gsm8k", "8shot"))
    with pytest.raises(UsageError, match="no option 'shots'"):
        tasks.load(tasks.TaskSpec("gsm8k", None, {"shots": "3"}))
