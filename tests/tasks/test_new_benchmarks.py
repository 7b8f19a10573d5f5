"""What has to be written for a new judge protocol of a benchmark, and for a new judged benchmark: nothing elsewhere."""

import json
import shutil
from filecmp import dircmp
from pathlib import Path

import pytest

from judgebench.codec import sha256_hex
from judgebench.judges.orders import seeded_switch
from judgebench.models.local.tiny import read_programs
from judgebench.run.folder import RunFolder
from tests.commands import Command
from tests.own_tasks import own_task

pytest.importorskip("torch")

SHOPNAMES = Path(__file__).parents[1] / "fixtures" / "shopnames"
EVAL = ("eval", "--judge", "builtin:tiny", "--starter", "--json", "--quiet", "--model")


def test_a_judge_protocol_is_a_row_and_its_template(tmp_path: Path, command: Command) -> None:
    """AlpacaEval's starter set judged by an evaluator that was added to the table, with a prompt beside it."""
    file = own_task("alpacaeval", "duels", tmp_path / "duels")
    shutil.copytree(file.parent, tmp_path / "before")
    (file.parent / "one_word.j2").write_text(
        "{% block user %}{{ instruction }}\nA: {{ answer_1 }}\nB: {{ answer_2 }}\nAnswer with one letter.{% endblock %}"
    )
    table = file.with_name("judges.py")
    row = """EVALUATORS = {
    "one_word": Evaluator(
        prompt="one_word.j2",
        judge=partial(LogprobJudge, labels=("A", "B"), sampling=LABEL_SAMPLING),
        model="gpt-4.1",
    ),
"""
    table.write_text(table.read_text().replace("EVALUATORS = {\n", row))
    changes = dircmp(tmp_path / "before", file.parent)
    assert (changes.diff_files, changes.left_only, changes.right_only) == (["judges.py"], [], ["one_word.j2"])

    info = command("tasks", "info", f"{file}:judge=one_word", "--json")
    assert json.loads(info.out)["judge"] == {"one_word": "openai:gpt-4.1"}
    ended = command(*EVAL, "builtin:tiny", "--tasks", f"{file}:judge=one_word", "--out", tmp_path / "run")
    assert ended.code == 0, ended.err
    folder = RunFolder(tmp_path / "run")
    (rule,) = folder.require_manifest().tasks["duels"].protocol["judges"].values()
    assert rule["prompt_and_rule"]["prompt"] == sha256_hex((file.parent / "one_word.j2").read_bytes())
    assert {judgement.judge for judgement in folder.task("duels").judgements()} == {"one_word"}
    (odds,) = (program.texts["A"] for program in read_programs() if program.name == "judge-letter")
    first = [seeded_switch("is_switched_outputs" + e.instruction) for e in folder.task("duels").examples()]
    (found,) = (
        score for score in json.loads(ended.out)["scores"] if (score["metric"], score["group"]) == ("win_rate", None)
    )
    shares = [odds if candidate_first else 1 - odds for candidate_first in first]
    assert found["value"] == pytest.approx(100 * sum(shares) / len(shares), abs=1e-4)


def test_a_judged_benchmark_is_one_folder(tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is described, run with the built-in model, scored again, listed and compared, by the path of its folder."""
    shutil.copytree(SHOPNAMES, tmp_path / "shopnames")
    monkeypatch.chdir(tmp_path)
    mine = ("--tasks", "./shopnames")
    described = json.loads(command("tasks", "info", "./shopnames", "--json").out)
    assert (described["task"], described["metrics"]) == ("shopnames@1", ["win_rate"])

    ended = command(*EVAL, "builtin:tiny", *mine, "--out", "tiny")
    assert ended.code == 0, ended.err
    # The judge's likeliest reply is for the name shown first, which is the model's for clocks and soup.
    (found,) = json.loads(ended.out)["scores"]
    assert (found["value"], found["n"], found["n_missing"]) == (pytest.approx(200 / 3), 3, 0)
    folder = RunFolder(tmp_path / "tiny").task("shopnames")
    assert {generation.outputs for generation in folder.generations()} == {("Try this: Pinch & Penny.",)}
    assert {judgement.verdict.label for judgement in folder.judgements()} == {"I prefer one"}

    answers = [{"id": name, "output": "Soup", "generator": "plain"} for name in ("clocks", "kites", "soup")]
    Path("plain.json").write_text(json.dumps(answers))
    given = command(*EVAL, "file:plain.json", *mine, "--out", "plain")
    assert given.code == 0, given.err
    assert command("score", "tiny", *mine, "--json").code == 0
    listed = command("leaderboard", "tiny", "plain", *mine, "--format", "json")
    assert listed.code == 0, listed.err
    assert all(f'"{model}"' in listed.out for model in ("builtin:tiny", "plain"))
    compared = command("compare", "tiny", "plain", *mine, "--format", "json")
    assert compared.code == 0, compared.err
    assert "win_rate" in compared.out
