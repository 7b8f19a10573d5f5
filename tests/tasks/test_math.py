"""MATH against Math-Verify, lm-eval and Hendrycks' script, item by item; its limits; its whole path."""

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from judgebench.tasks.math import hendrycks, limits, minerva
from judgebench.tasks.math.arithmetic import plainly_apart
from judgebench.tasks.math.mathverify import verify_output
from judgebench.tasks.math.numeric import certainly_differ
from judgebench.tasks.math.prompts import read_exemplars

from judgebench import tasks
from judgebench.data.sources import SourceFinder
from judgebench.errors import UsageError
from judgebench.grading.pool import KILLED, GradingPool
from judgebench.models.local.tiny import read_programs
from judgebench.records import Check, Generation, Judgement, Score, Verdict
from judgebench.run.loading import load_task
from judgebench.run.runner import Runner
from judgebench.run.settings import Settings
from judgebench.task import Task, TaskData
from tests.campaigns import ALL
from tests.shared_data import SharedData

MATH = SharedData("math")
SETS = {
    "rho-math-1b-interpreter-v0.1": 500,
    "rho-math-7b-v0.1": 500,
    "qwen2.5-math-maj8": 536,
    "zeroeval-Meta-Llama-3.1-8B-Instruct": 721,
    "zeroeval-Qwen2.5-7B-Instruct": 721,
    "zeroeval-gpt-4o-2024-08-06": 721,
}
COLUMNS = {"math_verify": "math_verify", "minerva": "minerva_v31", "hendrycks_boxed": "hendrycks_boxed"}
"""Column of the expected verdicts for each of our rules; one that a row lacks is False."""
EXACT = 1e-10
"""Of percents: means of some hundred zeros and ones, times 100."""


def read_lines(name: str) -> list[dict[str, Any]]:
    """Records of a JSON-lines file of the shared data."""
    path = MATH / name
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in data.splitlines()]


@cache
def solutions() -> dict[str, str]:
    """MATH-500's, by id."""
    return {row["unique_id"]: row["solution"] for row in read_lines("math500.jsonl.gz")}


def starter(prompt: str = "chat") -> tuple[Task, TaskData]:
    """The task on its starter set."""
    task, _ = tasks.load(tasks.TaskSpec("math", None, {"prompt": prompt}), starter=True)
    return task, task.load(lambda name: b"")


def boxed(text: str) -> str:
    r"""As the answer of an output."""
    return rf"\boxed{{{text}}}"


def verdicts_on(outputs: Iterable[Mapping[str, str]], each_by: Sequence[str] = ()) -> list[dict[str, Verdict]]:
    """Through the pool, by rule, of outputs with their solution and short reference answer: all rules, or the first
    output by the first of those named, the next by the next, and so on in turn.
    """
    _, data = starter()
    checks = [
        Check(id=f"{number}#{rule}", example_id=str(number), verifier=rule, arguments={"output": row["output"], **gold})
        for number, row in enumerate(outputs)
        for rule, gold in (
            ("math_verify", {"solution": row["solution"]}),
            ("minerva", {"gold": row["answer"]}),
            ("hendrycks_boxed", {"gold": row["answer"]}),
        )
        if not each_by or rule == each_by[number % len(each_by)]
    ]
    with GradingPool() as pool:
        found = pool.verify(data.verifiers, checks)
    rows: dict[str, dict[str, Verdict]] = {}
    for check, verdict in zip(checks, found, strict=True):
        rows.setdefault(check.example_id, {})[check.verifier] = verdict
    return list(rows.values())


# -- upstream's verdicts


@pytest.mark.parametrize("model", SETS)
def test_every_verdict_is_upstreams(model: str) -> None:
    """By all three rules, of all real outputs; what the Minerva rule extracts is the same string."""
    outputs, expected = read_lines(f"responses/{model}.jsonl.gz"), read_lines(f"expected/{model}.jsonl.gz")
    rows = [{"solution": solutions().get(row["id"], ""), **row} for row in outputs]
    found = verdicts_on(rows)
    assert len(found) == len(expected) == SETS[model]
    differing = [
        (wanted["id"], rule, verdicts[rule], wanted.get(column))
        for verdicts, wanted in zip(found, expected, strict=True)
        for rule, column in COLUMNS.items()
        if bool(verdicts[rule].value) != wanted.get(column, False)
    ]
    assert differing == []
    extracted = [minerva.closing_answer(row["output"]) for row in rows]
    assert ["[invalidanswer]" if text is None else minerva.normalise(text) for text in extracted] == [
        wanted["minerva_answer_v31"] for wanted in expected
    ]


def test_every_pair_of_short_answers_is_told_apart_as_upstream_does() -> None:
    """1,537 pairs of answers of some 50 models, by the three rules; every third of them, unless all are asked for."""
    pairs = read_lines("pairs.jsonl.gz")
    assert len(pairs) == 1537
    pairs = pairs[:: 1 if ALL else 3]
    rows = [
        {
            "output": f"{minerva.OPENING} {pair['pred']}. {minerva.APPENDED}" if closing else boxed(pair["pred"]),
            "solution": boxed(pair["gold"]),
            "answer": pair["gold"],
        }
        for pair in pairs
        for closing in (False, True)
    ]
    found = verdicts_on(rows, ("math_verify", "minerva"))
    differing = []
    for pair, with_box, with_closing in zip(pairs, found[::2], found[1::2], strict=True):
        if bool(with_box["math_verify"].value) != pair["math_verify"]:
            differing.append(("math_verify", pair))
        # Upstream's pairs are without the closing phrase, in which a newline ends the search.
        if "\n" not in pair["pred"] and bool(with_closing["minerva"].value) != pair["minerva_v31"]:
            differing.append(("minerva", pair))
        if hendrycks.equal(pair["pred"], pair["gold"]) != pair["hendrycks_lm_eval"]:
            differing.append(("hendrycks", pair))
    assert differing == []


def test_math_verifys_own_cases() -> None:
    """As the pinned release decides them with its defaults."""
    cases = read_lines("mathverify_cases.jsonl")
    rows = [{"output": case["pred"], "solution": case["gold"], "answer": case["gold"]} for case in cases]
    differing = [
        case
        for case, verdicts in zip(cases, verdicts_on(rows), strict=True)
        if bool(verdicts["math_verify"].value) != case["computed_default_config"]
    ]
    assert differing == []
    assert len(cases) == 183


def test_normalisation_is_upstreams() -> None:
    """Of Hendrycks' original, of lm-eval's version of it, which raises on more, and of the Minerva rule."""
    cases = read_lines("normalise_cases.jsonl")
    assert len(cases) >= 60
    for case in cases:
        if "minerva_norm_v31" in case:
            assert minerva.normalise(case["input"]) == case["minerva_norm_v31"]
        for column, lenient in (("hendrycks_strip", True), ("lm_eval_strip", False)):
            if column not in case:
                continue
            try:
                found = hendrycks.normalise(case["input"], lenient=lenient)
            except hendrycks.Unreadable:
                found = "EXC"
            assert found == ("EXC" if case[column].startswith("EXC:") else case[column]), case
        if "minerva_unnormalized" in case:
            found = minerva.closing_answer(case["input"])
            assert ("[invalidanswer]" if found is None else found) == case["minerva_unnormalized"], case
        if "remove_boxed" in case:
            # Ours reads a framed box, on which upstream raises, and takes the braces after a blank for the box's own.
            ours = {r"\fbox{3}": "3", r"\boxed {9}": "9"}
            assert hendrycks.last_box(case["input"]) == ours.get(case["input"], case["remove_boxed"]), case


def test_hendrycks_own_pairs() -> None:
    """Equality and both strings."""
    pairs = read_lines("hendrycks_pairs.jsonl")
    assert len(pairs) == 16
    for pair in pairs:
        assert hendrycks.equal(pair["a"], pair["b"]) == pair["computed_lm_eval"], pair
        assert hendrycks.normalise(pair["a"], lenient=True) == pair["strip_a"]
        assert hendrycks.normalise(pair["b"], lenient=True) == pair["strip_b"]


def test_every_reference_normalises_as_upstream_and_equals_itself() -> None:
    """All 5,000 golds by the string rules."""
    for row in read_lines("test.jsonl.gz"):
        assert hendrycks.last_box(row["solution"]) == row["answer"]
        assert minerva.normalise(row["answer"]) == row["answer_minerva_v31"]
        assert hendrycks.equal(row["answer"], row["answer"])


def test_means_and_tables_are_upstreams(tmp_path: Path) -> None:
    """The task's own scores of a file of answers to MATH-500: means, standard errors, levels, subjects."""
    model = "rho-math-7b-v0.1"
    expected = json.loads((MATH / "expected_metrics.json").read_bytes())[model]
    answers = tmp_path / "answers.jsonl"
    rows = [{"id": row["id"], "output": row["output"]} for row in read_lines(f"responses/{model}.jsonl.gz")]
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = Settings(tasks="math", model=f"file:{answers}", out=tmp_path / "run", mirrors=(MATH.path,), offline=True)
    scores = {(score.metric, score.group): score for score in Runner(settings, lambda *_: None).evaluate().scores}
    for metric, column in COLUMNS.items():
        score = scores[metric, None]
        assert score.value == pytest.approx(100 * expected[column], abs=EXACT)
        assert score.stderr == pytest.approx(100 * expected[f"{column}_stderr"], abs=EXACT)
        assert (score.n, score.n_missing) == (500, 0)
    tables = {
        "level": expected["math_verify_by_level"],
        "subject": expected["math_verify_by_subject"],
    }
    for name, table in tables.items():
        for key, (n, right) in table.items():
            score = scores["math_verify", f"{name}={key}"]
            assert score.n == n
            assert score.value == pytest.approx(100 * right / n, abs=EXACT)


# -- the last box


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("no box", None),
        (r"\boxed{1} and \boxed{2}", "2"),
        (r"\boxed{\frac{1}{2}} end}", r"\frac{1}{2}"),
        (r"\boxed{1} then \boxed{2", None),
        (r"\fbox{3}", "3"),
        (r"\boxed {9}", "9"),
        (r"$\boxed 7$ later \boxed{8}", "7"),
        (r"\boxed", None),
        (r"\boxed{}", ""),
    ],
)
def test_the_last_box(text: str, answer: str | None) -> None:
    """Also where upstream raises, or leaves braces."""
    assert hendrycks.last_box(text) == answer


# -- shortcuts


@pytest.mark.parametrize(
    ("output", "solution", "equal"),
    [
        (r"\boxed{5}", r"so \boxed{5}", True),
        (r"\boxed{x = 5}", r"\boxed{5}", True),
        (r"\boxed{0.5}", r"\boxed{\frac12}", True),
        (r"\boxed{10\%}", r"\boxed{10}", False),
        (r"\boxed{198}", r"\boxed{198\%}", False),
        (r"\boxed{(1, 2)}", r"\boxed{(2, 1)}", False),
        (r"\boxed{b + a}", r"\boxed{a+b}", True),
        (r"\boxed{\text{(C)}}", r"\boxed{(C)}", True),
        (r"The answer is 1,234.", r"\boxed{1234}", True),
        (r"\boxed{2^{10}}", r"\boxed{1024}", True),
        (r"\boxed{\sqrt{8}}", r"\boxed{2\sqrt{2}}", True),
        (r"\boxed{\sqrt{8}}", r"\boxed{3\sqrt{2}}", False),
        ("I do not know.", r"\boxed{1}", False),
    ],
)
def test_the_shortcuts_change_no_verdict(output: str, solution: str, equal: bool) -> None:
    """Each is what the package itself says, which takes the long way."""
    from math_verify import parse, verify

    assert bool(verify_output(output, solution).value) == equal
    package = verify(parse(solution, parsing_timeout=None), parse(output, parsing_timeout=None), timeout_seconds=None)
    assert bool(package) == equal


def test_no_answer_is_wrong_for_want_of_the_parsers_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parser of sympy was generated for antlr 4.11, which is what is installed; another gives no verdict."""
    assert version("antlr4-python3-runtime").startswith("4.11")
    answer = "Final Answer: The final answer is $\\frac{2}{4}$. I hope it is correct."
    assert minerva.verify_closing(answer, "\\frac{1}{2}").label == "equal"
    monkeypatch.setattr("sympy.parsing.latex._parse_latex_antlr.version", lambda name: "4.13.2")
    with pytest.raises(ImportError, match=r"version 4\.11"):
        minerva.verify_closing(answer.replace("2", "3"), "\\frac{1}{2}")


def test_values_that_are_plainly_apart() -> None:
    """Equal ones in another form are never called different; rounding, sets, lone symbols are left to the package."""
    import sympy

    x, y = sympy.symbols("x y")
    same = [(x + 1) ** 2, x**2 + 2 * x + 1, sympy.expand((x + 1) ** 2)]
    assert not any(certainly_differ(one, other) for one, other in pairwise(same))
    assert not certainly_differ(sympy.sin(x) ** 2 + sympy.cos(x) ** 2, sympy.Integer(1))
    assert certainly_differ(x + 1, x + 2)
    assert certainly_differ(x * y, x / y)
    assert not certainly_differ(sympy.Float("0.33"), sympy.Rational(1, 3))
    assert not certainly_differ(x, y)
    assert not certainly_differ(sympy.FiniteSet(1), sympy.FiniteSet(2))


# -- limits


def test_every_adversarial_input_gets_upstreams_verdict() -> None:
    """All 36 as a box and after the closing phrase, each between ordinary answers whose verdicts stay as they are; none
    needs a worker's end.
    """
    cases = read_lines("adversarial.jsonl")
    assert len(cases) == 36
    honest = {"output": f"{minerva.OPENING} {boxed('5')}. {minerva.APPENDED}", "solution": boxed("5"), "answer": "5"}
    rows = []
    for case in cases:
        gold = {"solution": boxed(case["gold"]), "answer": case["gold"]}
        closing = f"{minerva.OPENING} {case['input']}. {minerva.APPENDED}"
        rows += [honest, honest, {"output": boxed(case["input"]), **gold}, {"output": closing, **gold}]
    found = verdicts_on(rows, ("math_verify", "minerva"))
    for verdicts in (*found[::4], *found[1::4]):
        assert [verdict.label for verdict in verdicts.values()] == ["equal"]
    for case, with_box, with_closing in zip(cases, found[2::4], found[3::4], strict=True):
        verdicts = {"math_verify": with_box["math_verify"], "minerva": with_closing["minerva"]}
        assert all(verdict.label and verdict.value in (0.0, 1.0) for verdict in verdicts.values()), case["input"][:60]
        assert verdicts["math_verify"].label not in KILLED, case["input"][:60]
        for rule, column in (("math_verify", "math_verify"), ("minerva", "minerva_v31")):
            upstream = case.get(column)
            if isinstance(upstream, dict) and verdicts[rule].label not in (
                "too_long",
                "too_deep",
                "too_large",
                "no_answer",
            ):
                assert bool(verdicts[rule].value) == upstream["verdict"], (rule, case["input"][:60])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (r"\frac{1}{2}", None),
        ("1" * (limits.ANSWER_CHARACTERS + 1), "too_long"),
        ("(" * (limits.DEPTH + 1), "too_deep"),
        ("-" * 40 + "1", "too_deep"),
        ("7" + "!" * 40, "too_deep"),
    ],
)
def test_what_is_refused_before_parsing(text: str, problem: str | None) -> None:
    """By the text alone."""
    assert limits.text_problem(text) == problem


@pytest.mark.parametrize(
    ("latex", "label"),
    [
        (r"9^{9^{9}}", "too_large"),
        (r"(10^{10})!", "too_large"),
        (r"\binom{10^{9}}{5\cdot 10^{8}}", "too_large"),
        (r"2^{1000}", "not_equal"),
        (r"20!", "not_equal"),
        (r"\sum_{k=1}^{10} k", "not_equal"),
    ],
)
def test_what_is_refused_before_it_is_computed(latex: str, label: str) -> None:
    """What would be huge, and nothing that is not."""
    assert verify_output(boxed(latex), boxed("17")).label == label


def test_a_long_output_is_not_looked_at() -> None:
    """And one just within the limit is, in linear time."""
    long = " " * limits.OUTPUT_CHARACTERS
    assert verify_output(long + boxed("5"), boxed("5")).label == "too_long"
    assert minerva.verify_closing(long + "x", "5").label == "too_long"
    assert hendrycks.verify_boxed(long + boxed("5"), "5").value == 1.0
    repeated = (minerva.OPENING + " 5\t") * (limits.OUTPUT_CHARACTERS // 40)
    assert minerva.verify_closing(repeated, "5").label == "no_answer"


# -- prompts


def test_the_prompts(tmp_path: Path) -> None:
    """lm-eval's four worked examples, in its form; our own asks for a box."""
    finder = SourceFinder(tmp_path, [MATH.path], offline=True)
    for prompt, stop, shots in (("minerva4", ("Problem:",), 4), ("chat", (), 0)):
        (spec,) = tasks.parse_specs(f"math:prompt={prompt}")
        loaded = load_task(spec, finder, starter=False)
        assert loaded.task.sampling.stop == stop
        (message,) = loaded.data.examples[0].messages
        assert message.content.count("Problem:\n") == message.content.count("Solution:") == (shots + 1 if shots else 0)
        assert loaded.data.examples[0].meta["question"] in message.content
    pieces = json.loads((MATH / "minerva_fewshot4.json").read_bytes())["v3.1"]
    context = "\n\n".join(f"Problem:\n{p['problem']}\n\nSolution: {p['solution']}" for p in pieces)
    (spec,) = tasks.parse_specs("math:prompt=minerva4")
    for example in load_task(spec, finder, starter=False).data.examples[:3]:
        assert example.messages[0].content == f"{context}\n\nProblem:\n{example.meta['question']}\n\nSolution:"


def test_a_module_with_worked_examples_is_read_as_data() -> None:
    """Nothing of it runs, and other files are refused."""
    returned = b"[{'problem': 'p', 'solution': 's', 'few_shot': '1'}]"
    module = b"import os\nos.abort()\ndef list_fewshot_samples():\n    return " + returned
    (exemplar,) = read_exemplars(module)
    assert (exemplar.problem, exemplar.solution) == ("p", "s")
    for other in (b"def other(): pass", b"{}", b"\x00", b"def list_fewshot_samples():\n    return os.abort()\n"):
        with pytest.raises(UsageError, match="worked examples"):
            read_exemplars(other)


# -- scores


def scores_of(task: Task, data: TaskData, outputs: Mapping[str, str]) -> dict[tuple[str, str | None], Score]:
    """Of one answer to each example named."""
    generations = {key: Generation(example_id=key, model="m", outputs=(text,)) for key, text in outputs.items()}
    checks = [check for generation in generations.values() for check in task.checks(data, generation)]
    with GradingPool(workers=1) as pool:
        verdicts = pool.verify(data.verifiers, checks)
    judgements = [
        Judgement(
            case_id=check.id,
            example_id=check.example_id,
            judge=check.verifier,
            judge_model="judgebench",
            answers=("m",),
            candidate=0,
            verdict=verdict,
        )
        for check, verdict in zip(checks, verdicts, strict=True)
    ]
    rows = task.score(data, generations, judgements)
    return {(score.metric, score.group): score for score in task.summarise(data, rows)}


def test_the_reference_solutions_earn_full_marks() -> None:
    """By each rule, in each subject and level; an empty answer is wrong and an absent one missing."""
    task, data = starter("minerva4")
    outputs = {
        example.id: f"{example.references[0]} {minerva.OPENING} ${example.meta['answer']}$. {minerva.APPENDED}"
        for example in data.examples
    }
    assert {score.value for score in scores_of(task, data, outputs).values()} == {100.0}
    first, second, *_ = outputs
    found = scores_of(task, data, {**outputs, first: ""})["math_verify", None]
    assert found.value == pytest.approx(100 * 15 / 16)
    assert found.details["nothing_extracted"] == 1
    del outputs[second]
    found = scores_of(task, data, outputs)["math_verify", None]
    assert (found.value, found.n, found.n_missing) == (100.0, 15, 1)


def on_paper(data: TaskData) -> dict[str, float]:
    """The tiny checkpoint answers two kinds of problems, one of them without the closing phrase."""
    replies = {program.trigger: next(iter(program.texts)) for program in read_programs() if program.trigger}
    assert minerva.OPENING in replies["Simplify the expression"]
    assert minerva.OPENING not in replies["Solve the equation"]
    rows = [(example.meta["question"], example.meta["answer"]) for example in data.examples]
    fractions = sum("Simplify the expression" in question and gold == r"\frac{3}{4}" for question, gold in rows)
    fives = sum("Solve the equation" in question and gold == "5" for question, gold in rows)
    return {
        "math_verify": 100 * (fractions + fives) / len(rows),
        "minerva": 100 * fractions / len(rows),
        "hendrycks_boxed": 100 * (fractions + fives) / len(rows),
    }


@pytest.mark.parametrize("prompt", ["chat", "minerva4"])
def test_the_starter_run_gives_the_numbers_computed_on_paper(tmp_path: Path, prompt: str) -> None:
    """Prompts, a real checkpoint, the grading pool, metrics."""
    pytest.importorskip("torch")
    settings = Settings(tasks=f"math:prompt={prompt}", model="builtin:tiny", starter=True, out=tmp_path / "run")
    results = Runner(settings, lambda *_: None).evaluate()
    found = {score.metric: score.value for score in results.scores if score.group is None}
    expected = on_paper(starter(prompt)[1])
    assert found == pytest.approx(expected)
    assert expected["math_verify"] == 37.5


def test_repeats_vote_over_normalised_answers() -> None:
    """Two ways to write a half outvote one whole."""
    task, data = starter()
    gold = next(example for example in data.examples if example.meta["answer"] == r"\frac{3}{4}")
    repeated = tuple(
        msgspec.structs.replace(gold, id=f"{gold.id}#{number}", item=gold.id, repeat=number) for number in range(3)
    )
    several = TaskData(examples=repeated, baselines={}, verifiers=data.verifiers)
    texts = ("7", r"\dfrac{3}{4}", r"\frac34")
    outputs = {example.id: boxed(text) for example, text in zip(repeated, texts, strict=True)}
    found = scores_of(task, several, outputs)
    assert found["maj@3", None].value == 100.0
    assert found["pass@2", None].value == pytest.approx(100.0)
    assert found["math_verify", None].value == pytest.approx(200 / 3)


def test_other_versions_and_options_are_refused() -> None:
    """By name, with what there is."""
    with pytest.raises(UsageError, match="500, full"):
        tasks.load(tasks.TaskSpec("math", "400"))
    with pytest.raises(UsageError, match="chat, minerva4"):
        tasks.load(tasks.TaskSpec("math", None, {"prompt": "few"}))


@pytest.mark.parametrize(
    ("answer", "reference", "apart"),
    [
        ("5", "6", True),
        ("5", "5.0", False),
        ("5", "5.0000001", False),
        (r"\frac{1}{2}", "0.5", False),
        ("198", r"198\%", False),
        ("1.98", r"198\%", False),
        ("19.8", r"198\%", True),
        ("x = 5", "5", False),
        ("x = 5", "6", True),
        ("3 + 4 = 7", "8", True),
        ("a=1,b=2", "3", False),
        ("f(2) = 3", "4", True),
        ("f(3)", "4", False),
        (r"1\frac{1}{2}", "2", False),
        ("1/2x", "2", False),
        ("2^10", "5", False),
        ("2^{10}", "5", True),
        ("-2^2", "4", True),
        ("-2^2", "-4", False),
        ("x", "5", True),
        ("5", "x", False),
        ("10,000", "9999", True),
        ("1,2", "3", False),
        ("e", "2", False),
        ("1/0", "2", False),
        ("(" * 300 + ")" * 300, "2", False),
        ("9^{9^{9}}", "2", False),
    ],
)
def test_plain_arithmetic_is_told_apart_by_its_value(answer: str, reference: str, apart: bool) -> None:
    """Where every reader agrees on what is written; all else is left to the package."""
    assert plainly_apart(answer, reference) == apart
