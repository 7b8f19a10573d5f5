"""EQ-Bench's Creative Writing v3: its numbers on the judge's real grades, its prompt, and its two readings."""

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from judgebench import tasks
from judgebench.data.rows import FileRow
from judgebench.data.sources import SourceFinder
from judgebench.judges.grade_lines import GRADES, OTHERWISE, GradedCriteria, lines_verdict
from judgebench.models.scripted import ScriptedModel, playing, reply
from judgebench.records import Request, Score
from judgebench.run.folder import RunFolder
from judgebench.run.loading import load_task
from judgebench.task import Task, TaskData
from tests.commands import judgebench
from tests.shared_data import SHARED, SharedData, each

CREATIVE = SharedData("creative_writing_v3")
SCALE = (0.0, 20.0)
CLOSE = 1e-12
"""Of a mean of grades: sums in another order."""
MODEL = "gpt-4o-mini"


@cache
def read(name: str) -> Any:
    """One of the files, ``.gz`` or not."""
    data = (CREATIVE / name).read_bytes()
    return json.loads(gzip.decompress(data) if name.endswith(".gz") else data)


def models() -> list[str]:
    """Those whose grades are here."""
    return sorted(read("scores.json.gz")["models"])


@cache
def loaded(spec: str, cache_folder: Path) -> tuple[Task, TaskData]:
    """The task with the official files."""
    (parsed,) = tasks.parse_specs(spec)
    found = load_task(parsed, SourceFinder(cache_folder, [SHARED / "upstream"], offline=True), starter=False)
    return found.task, found.data


def official(path: str) -> str:
    """An official text."""
    return Path(SHARED / "upstream" / f"creativewriting.{path}").read_text()


def verdicts(model: str) -> list[dict[str, Any]]:
    """The grades of a model's pieces as rows of verdicts."""
    names = read("scores.json.gz")["criteria"]
    return [
        {
            "id": f"{piece['prompt_id']}-{piece['iteration_key']}",
            "value": {name: grade for name, grade in zip(names, piece["scores"], strict=True) if grade is not None}
            | piece.get("extra", {}),
        }
        for piece in read("scores.json.gz")["models"][model]
    ]


def scores(task: Task, data: TaskData, model: str) -> tuple[dict[str, float | None], dict[str, Score]]:
    """The grade of each piece, and the scores of all."""
    rows = [FileRow(path="verdicts.jsonl", position=n, fields=row) for n, row in enumerate(verdicts(model), 1)]
    (imported,) = task.importers["verdicts"](rows, data)
    found = task.score(data, {}, imported.judgements)
    summed = {score.metric: score for score in task.summarise(data, found) if score.group is None}
    return {row.example_id: row.value for row in found}, summed


@pytest.mark.parametrize("model", each(models))
def test_every_model_s_number_is_upstream_s(model: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each piece, and the means that the official code prints with two decimals, of real grades of 88 to 96 pieces."""
    task, data = loaded("creativewriting", tmp_path_factory.getbasetemp())
    expected = read("expected.json")[model]
    pieces, found = scores(task, data, model)
    for piece in read("scores.json.gz")["models"][model]:
        assert pieces[f"{piece['prompt_id']}-{piece['iteration_key']}"] == piece["piece_0_20"]
    score, percent = found["score"], found["score_percent"]
    assert score.value == pytest.approx(expected["mean_0_20"], rel=CLOSE)
    assert (score.n, score.n_missing) == (expected["n_pieces"], 96 - expected["n_pieces"])
    assert (round(score.value, 2), round(percent.value or 0, 2)) == (
        expected["overall_score"],
        expected["eqbench_creative_score"],
    )
    assert score.low is not None
    assert score.high is not None
    assert score.low < score.value < score.high


def test_every_reply_is_read_as_upstream_reads_it() -> None:
    """105 replies, irregular ones first: every name with its number, and the mean of a made one."""
    known = read("scores.json.gz")
    graded = GradedCriteria(
        names=known["criteria"], lower_is_better=frozenset(known["negative"]), scale=SCALE, strict=False
    )
    cases = read("parse_cases.json.gz")
    assert len(cases) == 105
    for case in cases:
        verdict = lines_verdict(case["text"], SCALE, "[Scores]")
        assert verdict.details.get(GRADES, {}) == case["expected"], case["text"][:80]
        if "piece_0_20" in case:
            assert graded.settled(verdict).value == case["piece_0_20"]


def test_the_strict_reading_takes_criteria_alone() -> None:
    """After the heading, without decoration, on the scale; what the other reading makes of it stands beside."""
    text = "At 10:3 he left.\n\n[Scores]\n\n**Meandering**: 5\nCoherent: [18]\nTell-Don't Show: 4\nWeak Dialogue: -1\n"
    verdict = lines_verdict(text, SCALE, "[Scores]")
    names = ["Coherent", "Meandering", "Weak Dialogue", "Elegant Prose"]
    negative = frozenset(["Meandering", "Weak Dialogue"])
    strict = GradedCriteria(names=names, lower_is_better=negative, scale=SCALE, strict=True).settled(verdict)
    lenient = GradedCriteria(names=names, lower_is_better=negative, scale=SCALE, strict=False).settled(verdict)
    assert strict.value == (15 + 18) / 2
    # Upstream: 3 of the clock, 5 not turned round, 18, 4, and 21 of the dialogue, which is above the scale.
    assert lenient.value == (3 + 5 + 18 + 4) / 4
    assert (strict.details[OTHERWISE], lenient.details[OTHERWISE]) == (lenient.value, strict.value)
    graded = GradedCriteria(names=names, lower_is_better=negative, scale=SCALE, strict=True)
    assert graded.settled(strict) == strict
    assert OTHERWISE not in graded.settled(lines_verdict("[Scores]\nCoherent: 12", SCALE, "[Scores]")).details
    assert graded.settled(lines_verdict("Coherent: 12", SCALE, "[Scores]")).value is None
    assert lines_verdict("Coherent: 21\nMeandering: -" + "9" * 400, SCALE, "[Scores]").value is None


REPLY = "[Analysis]\n\nIt begins at 10:3 sharp.\n\n[Scores]\n\nElegant Prose: 12\nMeandering: 4\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the official files as a mirror, and two answers, one too short."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUDGEBENCH_MIRROR", str(SHARED / "upstream"))
    texts = {"1-1": "A {x} piece. " * 50, "1-2": "Too short."}
    Path("answers.jsonl").write_text(
        "".join(json.dumps({"id": key, "output": text}) + "\n" for key, text in texts.items())
    )
    return tmp_path


def evaluated(task: str) -> tuple[dict[str, Score], list[Request]]:
    """The scores of the answers by a judge that gives this reply, and what it was asked."""
    asked: list[Request] = []

    def grade(request: Request) -> Any:
        asked.append(request)
        return reply(REPLY)

    with playing(ScriptedModel(grade)) as spec:
        flags = ["--judge", spec, "--ids", "ids.txt", "--out", "run", "--offline"]
        Path("ids.txt").write_text("1-1\n1-2\n")
        judgebench(["eval", "--model", "file:answers.jsonl", "--tasks", task, *flags])
    found = {one.metric: one for one in RunFolder(Path("run")).results().scores if one.group is None}
    return found, asked


def test_the_judge_sees_the_prompt_without_its_seed(place: Path) -> None:
    """One call, with the official prompt filled as Python's ``str.format`` fills it; a short piece is left out."""
    found, asked = evaluated("creativewriting")
    (request,) = asked
    prompts = json.loads(official("creative_writing_prompts_v3.json"))
    criteria = official("creative_writing_criteria.txt").splitlines()
    assert "<SEED>" in prompts["1"]["writing_prompt"]
    assert request.messages[-1].content == official("creative_writing_judging_prompt.txt").format(
        writing_prompt=prompts["1"]["writing_prompt"],
        test_model_response="A {x} piece. " * 50,
        creative_writing_criteria="\n".join(f"- {name}" for name in criteria),
        lower_is_better_criteria=", ".join(official("negative_criteria.txt").splitlines()),
    )
    assert len(request.messages) == 1
    assert (found["score"].value, found["score"].n, found["score"].n_missing) == ((3 + 12 + 16) / 3, 1, 1)
    assert found["score"].details["read_otherwise"] == 1


def test_the_strict_option_has_upstream_s_number_beside(place: Path) -> None:
    """It is another protocol, and says how many pieces the two read otherwise."""
    found, _ = evaluated("creativewriting:reading=strict")
    score = found["score"]
    assert score.value == (12 + 16) / 2
    assert score.details["upstream"]["value"] == pytest.approx((3 + 12 + 16) / 3, rel=CLOSE)
    assert found["score_percent"].value == pytest.approx(5 * 14)


def test_upstream_s_number_has_the_pieces_that_are_read_leniently_alone(tmp_path: Path) -> None:
    """A reply without a criterion is missing in the strict reading, and not in upstream's."""
    task, data = loaded("creativewriting:reading=strict", tmp_path)
    grades = [{"Coherent": 10.0, "Meandering": 4.0}, {"Calm": 7.0}]
    rows = [
        FileRow(path="v.jsonl", position=n, fields={"id": f"1-{n}", "value": value})
        for n, value in enumerate(grades, 1)
    ]
    (imported,) = task.importers["verdicts"](rows, data)
    found = task.summarise(data, task.score(data, {}, imported.judgements))
    (score,) = (one for one in found if (one.metric, one.group) == ("score", None))
    assert (score.value, score.n) == (13.0, 1)
    assert score.details["upstream"]["value"] == (13 + 7) / 2
    assert score.details["read_otherwise"] == 1


def test_pieces_of_one_prompt_have_its_seeds_in_turn(tmp_path: Path) -> None:
    """96 pieces: three of each prompt, each asked with the next of its seeds; together they are one cluster."""
    _, data = loaded("creativewriting", tmp_path)
    prompts = json.loads(official("creative_writing_prompts_v3.json"))
    assert len(data.examples) == 96
    for example in data.examples:
        key, number = example.id.split("-")
        prompt = prompts[key]
        seed = prompt["seed_modifiers"][(int(number) - 1) % len(prompt["seed_modifiers"])]
        assert example.instruction == prompt["writing_prompt"].replace("<SEED>", seed)
        assert example.item == key


def by_grade(row: dict[str, Any]) -> list[dict[str, Any]]:
    """A row of verdicts as one for each grade, of the attempts at a prompt; some criteria by their number."""
    prompt, _, number = row["id"].partition("-")
    names = read("scores.json.gz")["criteria"]
    return [
        {
            "id": int(prompt),
            "attempt": int(number) - 1,
            "criterion": names.index(name) if name in names[::2] else name,
            "value": value,
        }
        for name, value in row["value"].items()
    ]


@pytest.mark.parametrize("one_by_one", [True, False])
def test_grades_are_imported_by_the_command(one_by_one: bool, place: Path) -> None:
    """A file of one model's grades becomes a run with upstream's number, whether a row is a piece or a grade."""
    rows = verdicts(MODEL)
    if one_by_one:
        rows = [row for piece in rows for row in by_grade(piece)]
    Path("verdicts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judgebench(
        ["import", "verdicts.jsonl", "--from", "verdicts", "--task", "creativewriting", "--out", "r", "--offline"]
    )
    found = {one.metric: one.value for one in RunFolder(Path("r")).results().scores if one.group is None}
    assert round(found["score_percent"] or 0, 2) == read("expected.json")[MODEL]["eqbench_creative_score"]
