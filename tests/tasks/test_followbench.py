"""FollowBench on real answers, with the official code's readings, rules and sums of four models."""

import dataclasses
import gzip
import json
import random
import re
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from judgebench.tasks.followbench import official
from judgebench.tasks.followbench.rules import RULES, bold_points, rule_of

from judgebench import tasks
from judgebench.codec import sha256_hex
from judgebench.data.sources import SourceFinder
from judgebench.errors import UsageError
from judgebench.judges.rules import has_form
from judgebench.records import Answer, Case, Example, Message, Verdict
from judgebench.run.folder import RunFolder
from judgebench.run.loading import load_task
from judgebench.run.protocol import protocol
from judgebench.task import Task
from tests.commands import judgebench
from tests.shared_data import SharedData

FOLLOWBENCH = SharedData("followbench")
MODELS = ("Llama-3.1-8B-Instruct", "Mistral-7B-Instruct-v0.3", "LLaDA-8B-Base", "deepseek-llm-7b-base")
JUDGED_TYPES = ("content", "situation", "style", "format", "mixed")
FUNCTIONS = tuple(f"{kind}_evaluation_prompt" for kind in JUDGED_TYPES)
LONG = "['YES'" + " " * 90_000 + "x]"
PROGRAM = SharedData("upstream", "followbench.gpt4_based_evaluation.py")


def read_json(name: str) -> Any:
    """A JSON file of the data, compressed or not."""
    data = (FOLLOWBENCH / name).read_bytes()
    return json.loads(gzip.decompress(data) if name.endswith(".gz") else data)


@cache
def records(model: str) -> list[dict[str, Any]]:
    """What the official code made of a model's answers."""
    found: list[dict[str, Any]] = read_json(f"{model}.json.gz")
    return found


def requests(kind: str) -> Any:
    """The official requests of a type."""
    return json.loads((FOLLOWBENCH / "english_data" / f"{kind}_constraints.json").read_bytes())


def upstream(verdict: Verdict) -> tuple[float, float]:
    """Hard and soft satisfaction as the official sums have them."""
    if verdict.value is None:
        return -1, -1
    return float(verdict.value == 1), verdict.value


# -- reading


def test_replies_are_read_as_by_the_official_code() -> None:
    """Odd replies of all forms: what Python reads as a list of the right length, and what it does not."""
    cases = read_json("parse_cases.json")
    assert len(cases) == 45
    for case in cases:
        assert upstream(official.read(case["text"], case["level"])) == (case["hard"], case["soft"]), case


@pytest.mark.parametrize("model", MODELS)
def test_every_reply_of_a_run_is_read_alike(model: str) -> None:
    """Regular and irregular replies about the answers of a whole run."""
    judged = [row for row in records(model) if "made_reply" in row]
    assert len(judged) == 470
    for row in judged:
        assert upstream(official.read(row["made_reply"], row["level"])) == (row["hard"], row["soft"]), row


@pytest.mark.parametrize(
    ("text", "level"),
    [
        (LONG, 2),
        ("['YES', 'NO'] or ['NO', 'NO']", 2),
        ("['YES', 'N\\u004f']", 2),
        ("__import__('os')", 2),
        ("[" * 90_000, 2),
    ],
)
def test_no_reply_is_run_as_a_program(text: str, level: int) -> None:
    """Anything but lists of plain texts is no verdict."""
    assert official.read(text, level).value is None


# -- rules


@pytest.mark.parametrize("model", MODELS)
def test_rules_decide_as_the_official_ones(model: str) -> None:
    """All real answers to requests that a rule decides about, of all 13 sources, two formats and examples."""
    targets = {
        (kind, row["example_id"], row["level"]): official.Row(
            **{name: row[name] for name in ("example_id", "source", "level", "instruction", "target")}
        )
        for kind in (*JUDGED_TYPES, "example")
        for row in requests(kind)
    }
    decided = [row for row in records(model) if "made_reply" not in row]
    assert len(decided) >= 150
    sources = set()
    for row in decided:
        kind, target = row["type"], targets[row["type"], row["example_id"], row["level"]]
        name = rule_of(kind, row["example_id"], row["source"], row["level"])
        assert name is not None, row
        sources.add(row["source"])
        verdict = row["rule"] if "rule" in row else row["correct"]
        assert RULES[name](row["generation"], official.targets_of(target)) == verdict, row
    assert len(sources) >= 14


def test_a_judge_decides_about_all_others() -> None:
    """470 of 820 requests: the groups of the judge in the official table."""
    judged = {
        kind: sum(
            row["level"] > 0 and rule_of(kind, row["example_id"], row["source"], row["level"]) is None
            for row in requests(kind)
        )
        for kind in (*JUDGED_TYPES, "example")
    }
    assert judged == {"content": 65, "situation": 70, "style": 150, "format": 140, "mixed": 45, "example": 0}


def test_patterns_are_matched_in_linear_time_as_by_python() -> None:
    """Random texts of the characters that matter, against the regular expressions of the official code."""
    draw = random.Random(7)
    for _ in range(3000):
        text = "".join(draw.choices("*:1a\n", k=draw.randrange(14)))
        assert bold_points(text) == len(re.findall(r"\*\*\d.+?:", text)), repr(text)
        parts = ["".join(draw.choices("a:\n", k=draw.randrange(3))) for _ in range(draw.randrange(1, 4))]
        pattern = ".*".join(map(re.escape, parts))
        other = "".join(draw.choices("a:\n", k=draw.randrange(8)))
        assert has_form(other, parts) == bool(re.fullmatch(pattern, other)), (parts, other)


# -- sums


@pytest.mark.parametrize("model", MODELS)
def test_scores_are_those_of_the_official_code(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HSR and SSR of each type and level to two decimals, CSL to one: with unread replies as the official code counts
    them, and without them as missing ones. Levels are means of the types, and the rates those of the levels.
    """
    expected = read_json("expected.json")[model]["types"]
    monkeypatch.chdir(tmp_path)
    rows = [
        {
            "id": f"{row['type']}-{row['example_id']}-{row['level']}",
            "value": row["made_reply"] if "made_reply" in row else row.get("rule", row.get("correct")),
        }
        for row in records(model)
    ]
    Path("verdicts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = ["--task", "followbench", "--out", "run", "--mirror", FOLLOWBENCH.path, "--offline"]
    judgebench(["import", "verdicts.jsonl", "--from", "verdicts", *flags], code=None)
    found = {(one.metric, one.group): one for one in RunFolder(Path("run")).results().scores}
    for kind, own in expected.items():
        for metric in own.keys() & {"hsr", "ssr"}:
            shown = [f"{found[metric, f'type_level={kind}-{level}'].by_upstream.value:.2f}" for level in range(1, 6)]
            assert shown == own[metric], (kind, metric)
        assert f"{found['csl', f'type={kind}'].by_upstream.value:.1f}" == own["csl"], kind
    for kind in JUDGED_TYPES:
        for level in range(1, 6):
            kept = [row for row in records(model) if (row["type"], row["level"]) == (kind, level)]
            values = [row.get("hard", row.get("rule")) for row in kept]
            known = [float(value) for value in values if value != -1]
            score = found["hsr", f"type_level={kind}-{level}"]
            assert score.value == pytest.approx(100 * sum(known) / len(known))
            assert (score.n, score.n_missing) == (len(known), len(values) - len(known))
    whole = {"hard": "hsr", "soft": "ssr"}
    cells = {(row["type"], row["level"]): [] for row in records(model)}
    for row in records(model):
        cells[row["type"], row["level"]].append(row)
    for name, metric in whole.items():
        means = {cell: fmean(float(row.get(name, row.get("rule"))) for row in rows) for cell, rows in cells.items()}
        by_level = [100 * fmean(mean for (_, own), mean in means.items() if own == level) for level in range(1, 6)]
        shown = [found[metric, f"level={level}"].by_upstream.value for level in range(1, 6)]
        assert shown == pytest.approx(by_level)
        assert found[metric, None].by_upstream.value == pytest.approx(fmean(by_level))
    assert found["hsr", None].upstream is not None
    assert "-1" in found["hsr", None].upstream.reason


def test_official_files_of_answers_are_read_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a file for each type, matched by the text of the request; the folder names the model."""
    monkeypatch.chdir(tmp_path)
    Path("api").mkdir()
    model, kinds = MODELS[1], ("example", "content")
    for kind in kinds:
        texts = {(row["example_id"], row["level"]): row["instruction"] for row in requests(kind)}
        rows = [
            {
                "prompt_new": texts[row["example_id"], row["level"]],
                "choices": [{"message": {"content": row["generation"]}}],
            }
            for row in records(model)
            if row["type"] == kind and "generation" in row
        ]
        Path(f"api/{model}_{kind}_constraint.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = ["--task", "followbench", "--out", "run", "--mirror", FOLLOWBENCH.path, "--offline"]
    judgebench(["import", "api", "--from", "outputs", *flags], code=None)
    generations = list(RunFolder(Path("run")).task("followbench").generations())
    assert {one.model for one in generations} == {model}
    answers = {one.example_id: one.outputs for one in generations if one.outputs}
    assert len(answers) == 200 + 60
    (first,) = [row for row in records(model) if (row["type"], row["example_id"], row["level"]) == ("example", 1, 1)]
    assert answers["example-1-1"] == (first["generation"],)


# -- prompts


def made_program(functions: tuple[str, ...] = FUNCTIONS) -> bytes:
    """A program of the official one's form, with words of our own."""
    texts = "".join(
        f"""
def {name}(evolve_instructions, answer):
    level = len(evolve_instructions) - 1
    if level == 1:
        prompt = "One {name}." + "A:" + evolve_instructions[0] + "|"
        prompt += "B:" + evolve_instructions[1] + "|"
        prompt += "C:" + answer + "|"
        prompt += "End {{}}."
    else:
        prompt = "Now {{}}." \\
            + "A:" + evolve_instructions[0] + "|"
        prompt += "B:" + evolve_instructions[1] + "|"
        for i in range(2, level + 1):
            prompt += "M{{}}:".format(i) + evolve_instructions[i] + "|"
        prompt += "C{{}}:".format(level) + answer + "|"
        prompt += "End {{level}}.".format(level=level)
    return prompt
"""
        for name in functions
    )
    return texts.encode()


def case_of(kind: str, instructions: list[str], answer: str) -> Case:
    """A case about an answer to the last of some requests."""
    example = Example(
        id="x",
        messages=(Message(role="user", content=instructions[-1]),),
        meta={"type": kind, "level": len(instructions) - 1, "path": instructions[:-1]},
    )
    return Case(id="x", judge="house", example=example, answers=(Answer(model="m", turns=(answer,)),))


def test_prompts_are_put_together_of_the_programs_strings() -> None:
    """The requests up to the level and the answer stand between them; braces in an answer stay as they are."""
    write = official.prompt(lambda name: made_program())
    (first,) = write(case_of("situation", ["i0", "i1"], "{0}"))
    assert first.content == "One situation_evaluation_prompt.A:i0|B:i1|C:{0}|End {}."
    (third,) = write(case_of("mixed", ["i0", "i1", "i2", "i3"], "{level}"))
    assert third.content == "Now 3.A:i0|B:i1|M2:i2|M3:i3|C3:{level}|End 3."


def test_a_program_of_another_form_is_refused() -> None:
    """A function that is missing, or has other strings."""
    for program in (made_program(FUNCTIONS[:4]), made_program().replace(b'"C:" + ', b""), b"x = ("):
        with pytest.raises(UsageError, match="of the form that is known"):
            official.prompt(lambda name, program=program: program)


def test_official_prompts_are_equal_to_the_byte() -> None:
    """The hashes of real prompts, where the official program is at hand."""
    if not PROGRAM.is_here or not PROGRAM.path.is_file():
        pytest.skip("needs the shared data: upstream (followbench.gpt4_based_evaluation.py)")
    write = official.prompt(lambda name: PROGRAM.path.read_bytes())
    for case in read_json("prompt_cases.json.gz"):
        (message,) = write(case_of(case["type"], case["instructions"], case["answer"]))
        assert sha256_hex(message.content.encode()) == case["judge_prompt_sha256"], case["example_id"]


# -- the task


def test_the_official_requests_are_loaded(tmp_path: Path) -> None:
    """820 requests of 164 chains with levels 1 to 5; without the program nothing can be judged, but read."""
    (spec,) = tasks.parse_specs("followbench")
    loaded = load_task(spec, SourceFinder(tmp_path, (FOLLOWBENCH.path,), offline=True), starter=False)
    task: Task = loaded.task
    examples = loaded.data.examples
    assert len(examples) == task.official_examples == 820
    assert len({example.meta["chain"] for example in examples}) == 164
    assert {example.meta["top"] for example in examples} == {5}
    assert loaded.data.lacks is not None
    assert task.judge_models == {"followbench_judge": "openai:gpt-4o-mini"}


def test_its_code_is_in_the_protocol(tmp_path: Path) -> None:
    """Rules decide without the judge, so the hashes of its Python files are there; the starter set uses none of them,
    and no other folder has any.
    """
    (spec,) = tasks.parse_specs("followbench")
    loaded = load_task(spec, SourceFinder(tmp_path, (), offline=True), starter=True)
    assert "folder_code" not in protocol(loaded, {})
    whole = dataclasses.replace(loaded, task=tasks.find("followbench").task())
    assert sorted(protocol(whole, {})["folder_code"]) == ["official.py", "rules.py"]
    assert not tasks.find("healthbench").task().code_hashes


def test_the_judge_of_the_paper_is_an_option() -> None:
    """Its model makes another protocol."""
    task = tasks.find("followbench").task(None, {"judge": "gpt-4-0613"})
    assert task.judge_models == {"followbench_judge": "openai:gpt-4-0613"}
