"""lm-eval's files, read and written: on files that lm-eval 0.4.13 itself wrote for our own starter problems.

``fixtures/lm_eval`` is its task ``gsm8k_cot`` with our four worked examples and first six problems, and made-up
replies; ``fixtures/lm_eval_repeats`` its self-consistency task, four replies to three of them. Of the results files
only what says where they were made is cut out.
"""

import json
from pathlib import Path
from shutil import copy, copytree
from typing import Any

import pytest

from judgebench import tasks
from judgebench.analysis.leaderboard import group_rows
from judgebench.analysis.leaderboard import rows_of as rows_in
from judgebench.errors import RecordError, UsageError
from judgebench.exchange.exporting import export_run
from judgebench.exchange.importing import import_run
from judgebench.records import Score
from judgebench.run.folder import Results, RunFolder, TaskManifest
from judgebench.run.reading import read_run
from judgebench.run.scoring import score_run
from judgebench.run.settings import Settings
from tests.commands import judgebench

FIXTURES = Path(__file__).parents[1] / "fixtures"
PLAIN, REPEATS = FIXTURES / "lm_eval", FIXTURES / "lm_eval_repeats"
EXACT = 1e-12
"""Means of six zeros and ones, once as shares and once as percent."""


def imported(source: Path, out: Path, task: str = "gsm8k", **more: Any) -> Results:
    """A file of lm-eval's as a run of the starter set."""
    (results,) = import_run(source, "lm_eval", Settings(tasks=task, starter=True, out=out, **more))
    return results


def values(results: Results) -> dict[tuple[str, str | None], Score]:
    """Scores by metric and group."""
    return {(score.metric, score.group): score for score in results.scores}


def task_of(out: Path) -> TaskManifest:
    """What a run's manifest says of its only task."""
    (fields,) = RunFolder(out).require_manifest().tasks.values()
    return fields


def one_file(folder: Path, pattern: str) -> Path:
    """The only file below a folder that is called so."""
    (path,) = folder.rglob(pattern)
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Rows of a samples file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def edited(tmp_path: Path, **fields: Any) -> Path:
    """The samples with a field of the first row changed."""
    source = one_file(PLAIN, "samples_*")
    rows = rows_of(source)
    rows[0].update(fields)
    path = tmp_path / source.name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


# -- import


def test_samples_are_verified_again_and_agree_with_lm_eval(tmp_path: Path) -> None:
    """Our means and standard errors are those of lm-eval's own results file, and no verdict differs."""
    found = values(imported(PLAIN, tmp_path / "run"))
    results = json.loads(one_file(PLAIN, "results_*").read_text())["results"]["gsm8k_cot"]
    for metric, name in (("exact_match_strict", "strict-match"), ("exact_match_flexible", "flexible-extract")):
        score = found[metric, None]
        assert score.value == pytest.approx(100 * results[f"exact_match,{name}"], abs=100 * EXACT)
        assert score.stderr == pytest.approx(100 * results[f"exact_match_stderr,{name}"], abs=100 * EXACT)
    # Right and strict; boxed; no full stop (lm-eval's strict filter reads 7); a currency sign; two without a number.
    assert found["numeric", None].value == pytest.approx(100 * 4 / 6)
    fields = task_of(tmp_path / "run")
    assert "exact_match_strict: 0 of 6 verdicts in the file are not ours" in fields.notes
    assert "exact_match_flexible: 0 of 6 verdicts in the file are not ours" in fields.notes
    assert "the file holds 6 of the 16 examples" in fields.notes
    assert not any("prompts" in note for note in fields.notes)
    assert any(note.startswith("made by lm-eval 0.4.13: model=") for note in fields.notes)
    assert fields.unknown == []
    assert RunFolder(tmp_path / "run").require_manifest().candidate == "own-model"


def test_a_samples_file_is_enough(tmp_path: Path) -> None:
    """Without the results beside it the model is named after the folder, and the sampling is unknown."""
    alone = tmp_path / "some-model"
    alone.mkdir()
    copy(one_file(PLAIN, "samples_*"), alone)
    results = imported(one_file(alone, "samples_*"), tmp_path / "run")
    assert results.model == "some-model"
    assert task_of(tmp_path / "run").unknown == ["how the answers were sampled"]


def test_a_stored_verdict_that_is_not_ours_is_counted(tmp_path: Path) -> None:
    """Which metric, how many, and the first example; ours is the number."""
    results = imported(edited(tmp_path, exact_match=0.0), tmp_path / "run")
    strict = next(note for note in task_of(tmp_path / "run").notes if "strict" in note)
    assert strict == "exact_match_strict: 1 of 6 verdicts in the file are not ours, first on starter-01"
    assert values(results)["exact_match_strict", None].value == pytest.approx(100 / 6)


def test_a_prompt_that_is_not_ours_is_counted(tmp_path: Path) -> None:
    """The numbers may then not be comparable."""
    arguments = {"gen_args_0": {"arg_0": "Solve it.", "arg_1": {}}}
    imported(edited(tmp_path, arguments=arguments), tmp_path / "run")
    assert "1 of 6 prompts are not the ones that gsm8k asks" in task_of(tmp_path / "run").notes


def test_several_replies_become_repeats(tmp_path: Path) -> None:
    """Three items, four replies each; the majority is that of lm-eval's own ``maj@4``."""
    found = values(imported(REPEATS, tmp_path / "run"))
    results = json.loads(one_file(REPEATS, "results_*").read_text())["results"]["gsm8k_cot_self_consistency"]
    assert found["maj@4", None].value == pytest.approx(100 * results["exact_match,maj@4"], abs=100 * EXACT)
    assert found["exact_match_strict", None].value == pytest.approx(100 * (2 / 4 + 2 / 4 + 0) / 3)
    assert found["exact_match_strict", None].n == 12
    again = score_run(RunFolder(tmp_path / "run"), Settings(tasks=""))
    assert values(again) == found


def test_results_alone_are_kept_as_reported(tmp_path: Path) -> None:
    """Values and errors of the file in percent, with lm-eval named as their source, and no interval of ours."""
    path = one_file(PLAIN, "results_*")
    found = values(imported(path, tmp_path / "run"))
    assert set(found) == {("exact_match_strict", None), ("exact_match_flexible", None)}
    score = found["exact_match_flexible", None]
    assert score.value == pytest.approx(50.0)
    assert score.stderr == pytest.approx(100 * 0.22360679774997896)
    assert (score.n, score.low) == (6, None)
    assert score.method is not None
    assert "reported by lm-eval 0.4.13" in score.method
    assert score.method.endswith("not graded here")
    assert RunFolder(tmp_path / "run").results().scores == list(found.values())


def test_reported_numbers_are_not_scored_again_nor_ranked_with_ours(tmp_path: Path) -> None:
    """``score`` says that there is nothing to score; the protocol names who reports them."""
    imported(one_file(PLAIN, "results_*"), tmp_path / "reported")
    imported(one_file(PLAIN, "samples_*"), tmp_path / "ours")
    with pytest.raises(UsageError, match="holds reported numbers only"):
        score_run(RunFolder(tmp_path / "reported"), Settings(tasks=""))
    with pytest.raises(UsageError, match="has only reported numbers"):
        export_run(RunFolder(tmp_path / "reported"), "lm_eval", tmp_path / "out")
    reported, ours = task_of(tmp_path / "reported"), task_of(tmp_path / "ours")
    assert reported.protocol_hash != ours.protocol_hash
    assert reported.protocol["reported_by"] == ("lm-eval 0.4.13, gsm8k_cot 3.0 with 4 shots, without a chat template")
    rows = [row for name in ("reported", "ours") for row in rows_in(read_run(tmp_path / name))]
    assert len(group_rows(rows, {"gsm8k": ("exact_match_strict",)})) == 2


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"doc": {"question": "What else?"}}, "'What else\\?'.* is not one of the 16 examples"),
        ({"doc": None}, "is not one of the 16 examples"),
        ({"resps": [7]}, "'resps' must hold the replies"),
        ({"resps": [[["-1.5", "False"]]]}, "'resps' must hold the replies"),
        ({"resps": [["Another reply."]]}, "other replies than in an earlier row"),
        ({"exact_match": "yes"}, "'exact_match' must be a number"),
    ],
)
def test_a_broken_row_is_named(tmp_path: Path, fields: dict[str, Any], problem: str) -> None:
    """By file and line; nothing is made."""
    with pytest.raises(RecordError, match=problem):
        imported(edited(tmp_path, **fields), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_document_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    """Under another ``doc_id`` it would count twice."""
    with pytest.raises(RecordError, match="occurs too often"):
        imported(edited(tmp_path, doc_id=99), tmp_path / "run")


def test_other_files_are_refused(tmp_path: Path) -> None:
    """Results of another task, shares that are none, rows of something else."""
    other = tmp_path / "results.json"
    whole = json.loads(one_file(PLAIN, "results_*").read_text())
    other.write_text(json.dumps({**whole, "results": {"arc_easy": {"acc,none": 0.5}}}, indent=2))
    with pytest.raises(RecordError, match=r"holds no results of gsm8k_cot.*arc_easy"):
        imported(other, tmp_path / "run")
    for value in (58.8, True, "0.5", -0.1):
        other.write_text(json.dumps({**whole, "results": {"gsm8k_cot": {"exact_match,strict-match": value}}}))
        with pytest.raises(RecordError, match="must be a share from 0 to 1"):
            imported(other, tmp_path / "run")
    other.write_text('{"instruction": "?", "output": "!"}\n')
    with pytest.raises(RecordError, match="expected a row of lm-eval's samples"):
        imported(other, tmp_path / "run")


def test_a_folder_of_several_runs_and_models(tmp_path: Path) -> None:
    """Each model's folder is a run; of several runs of one model the last counts; other tasks' files are left alone."""
    for name in ("a", "b"):
        copytree(PLAIN / "own-model", tmp_path / "out" / name)
    samples = one_file(tmp_path / "out" / "a", "samples_*")
    old = samples.with_name(samples.name.replace("2026-11-21", "2025-01-01"))
    old.write_text("".join(json.dumps({**row, "resps": [["old"]]}) + "\n" for row in rows_of(samples)))
    samples.with_name(samples.name.replace("gsm8k_cot", "arc_easy")).write_text(json.dumps({"doc_id": 0}) + "\n")
    for results in (tmp_path / "out").rglob("results_*"):
        results.unlink()
    settings = Settings(tasks="gsm8k", starter=True, out=tmp_path / "runs")
    found = import_run(tmp_path / "out", "lm_eval", settings)
    assert [results.model for results in found] == ["a", "b"]
    assert [values(results)["exact_match_flexible", None].value for results in found] == [50.0, 50.0]


# -- export

SHAPE = {
    "results": dict,
    "group_subtasks": dict,
    "configs": dict,
    "versions": dict,
    "n-shot": dict,
    "higher_is_better": dict,
    "n-samples": dict,
    "config": dict,
    "git_hash": type(None),
    "date": float,
    "model_source": str,
    "model_name": str,
    "model_name_sanitized": str,
}
"""Keys of lm-eval 0.4.13's results file (``lm_eval/result_schema.py``) that do not describe its own environment."""


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """What was imported, exported again."""
    imported(PLAIN, tmp_path / "run")
    export_run(RunFolder(tmp_path / "run"), "lm_eval", tmp_path / "out")
    return tmp_path / "out"


def test_exported_samples_are_lm_evals_own(exported: Path) -> None:
    """Every field of every row that lm-eval wrote, hashes included; only its generation settings are not known."""
    ours = {(row["doc_id"], row["filter"]): row for row in rows_of(one_file(exported, "samples_*"))}
    theirs = {(row["doc_id"], row["filter"]): row for row in rows_of(one_file(PLAIN, "samples_*"))}
    assert len(ours) == 12
    for key, row in theirs.items():
        row["arguments"]["gen_args_0"]["arg_1"] = {}
        assert ours[key] == row


def test_exported_results_have_lm_evals_shape_and_values(exported: Path) -> None:
    """Keys and their types; the task's rows to the last bits of a division by 100."""
    ours = json.loads(one_file(exported, "results_*").read_text())
    theirs = json.loads(one_file(PLAIN, "results_*").read_text())
    assert {key: type(ours[key]) for key in SHAPE} == SHAPE
    assert all(isinstance(theirs[key], kind) for key, kind in SHAPE.items() if key != "git_hash")
    assert ours["versions"] == theirs["versions"]
    assert ours["higher_is_better"] == theirs["higher_is_better"]
    own, other = ours["results"]["gsm8k_cot"], theirs["results"]["gsm8k_cot"]
    assert own.keys() == other.keys()
    for key, value in other.items():
        assert own[key] == (pytest.approx(value, abs=EXACT) if isinstance(value, float) else value)
    assert ours["judgebench"]["starter"] is True


def test_the_files_are_where_lm_eval_puts_its_own(exported: Path) -> None:
    """A folder of the model's name; task and date in the name, as lm-eval's tools take them from it."""
    names = sorted(path.relative_to(exported).as_posix() for path in exported.rglob("*.json*"))
    date = names[0].removeprefix("own-model/results_").removesuffix(".json")
    assert names == [f"own-model/results_{date}.json", f"own-model/samples_gsm8k_cot_{date}.jsonl"]
    assert "_" not in date
    assert ":" not in date


def test_an_export_can_be_imported(exported: Path, tmp_path: Path) -> None:
    """And gives the same numbers."""
    first, second = RunFolder(tmp_path / "run").results(), imported(exported, tmp_path / "again")
    assert second.scores == first.scores


def test_repeats_are_exported_as_replies_of_one_sample(tmp_path: Path) -> None:
    """Four replies in one row, as lm-eval has them."""
    imported(REPEATS, tmp_path / "run")
    export_run(RunFolder(tmp_path / "run"), "lm_eval", tmp_path / "out")
    ours = [row for row in rows_of(one_file(tmp_path / "out", "samples_*")) if row["filter"] == "strict-match"]
    theirs = [row for row in rows_of(one_file(REPEATS, "samples_*")) if row["filter"] == "maj@4"]
    assert [row["resps"] for row in ours] == [row["resps"] for row in theirs]


def test_the_results_alone_and_nothing_overwritten(tmp_path: Path) -> None:
    """To one file; a second time is refused, another format too."""
    imported(PLAIN, tmp_path / "run")
    out = tmp_path / "mine.json"
    assert export_run(RunFolder(tmp_path / "run"), "lm_eval", out) == [out]
    with pytest.raises(UsageError, match="exists already"):
        export_run(RunFolder(tmp_path / "run"), "lm_eval", out)
    with pytest.raises(UsageError, match=r"choose one of archive, csv, .*lm-eval"):
        export_run(RunFolder(tmp_path / "run"), "helm", tmp_path / "other.json")


def test_a_hostile_model_name_stays_in_the_folder(tmp_path: Path) -> None:
    """A name is part of a path in lm-eval's layout."""
    path = tmp_path / "results.json"
    whole = json.loads(one_file(PLAIN, "results_*").read_text())
    path.write_text(json.dumps({**whole, "model_name": "../../x\ny"}, indent=2))
    copy(one_file(PLAIN, "samples_*"), tmp_path)
    source = tmp_path / "source"
    source.mkdir()
    for file in (path, tmp_path / one_file(PLAIN, "samples_*").name):
        file.rename(source / file.name)
    imported(source, tmp_path / "run")
    for made in export_run(RunFolder(tmp_path / "run"), "lm_eval", tmp_path / "out"):
        assert made.resolve().is_relative_to((tmp_path / "out").resolve())
        assert made.name.isprintable()


def test_a_judged_task_has_no_counterpart() -> None:
    """Tasks of which lm-eval has none say so; those that it has can be read and written."""
    both = {
        name
        for name in tasks.names()
        if "lm_eval" in (task := tasks.load(tasks.TaskSpec(name))[0]).importers and "lm_eval" in task.exporters
    }
    assert both >= {"gsm8k", "ifeval", "math"}
    assert not both & {"alpacaeval", "mtbench", "wildbench", "arenahard"}


# -- the command, and fields of other names


OURS = [
    {"key": 1, "id": "starter-02", "response": "The answer is 42."},
    {"key": 2, "id": "starter-01", "response": "The answer is 41."},
]


def import_fields(tmp_path: Path, rows: list[dict[str, Any]], fields: dict[str, str], form: str = "outputs") -> Results:
    """A file of outputs whose fields have other names; what it lacks is filled up."""
    path = tmp_path / "answers.jsonl"
    rest = [{**rows[0], "id": f"starter-{number:02d}"} for number in range(3, 17)]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, *rest]))
    settings = Settings(tasks="gsm8k", starter=True, out=tmp_path / "run", fields=fields)
    (results,) = import_run(path, form, settings)
    return results


def test_fields_may_have_other_names(tmp_path: Path) -> None:
    """``--fields output=response``; rows are matched by id whatever else they hold."""
    import_fields(tmp_path, OURS, {"output": "response", "id": "id"})
    generations = {g.example_id: g.outputs for g in RunFolder(tmp_path / "run").task("gsm8k").generations()}
    assert generations["starter-01"] == ("The answer is 41.",)
    assert generations["starter-02"] == ("The answer is 42.",)


def test_a_named_id_is_stronger_than_an_instruction(tmp_path: Path) -> None:
    """Where a file has both, what the user points at counts."""
    rows = [{**row, "instruction": "something of the file's own"} for row in OURS]
    assert import_fields(tmp_path, rows, {"output": "response", "id": "id"}).status == "complete"


def test_an_answer_is_found_by_its_question_alone(tmp_path: Path) -> None:
    """Prompts hold worked examples, files the question."""
    (spec,) = tasks.parse_specs("gsm8k")
    examples = tasks.load(spec, starter=True)[0].load(lambda name: b"").examples
    path = tmp_path / "answers.json"
    path.write_text(json.dumps([{"q": e.meta["question"], "output": "The answer is 42."} for e in examples]))
    settings = Settings(tasks="gsm8k", starter=True, out=tmp_path / "run", fields={"instruction": "q"})
    (results,) = import_run(path, "outputs", settings)
    assert values(results)["exact_match_strict", None].n == 16


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"key": "id"}, "instruction, id, output, generator, attempt"),
        ({"output": ""}, "instruction, id, output, generator, attempt"),
        ({"output": "answer"}, "holds an answer under 'answer'; the fields of this one are: id, key, response"),
        ({"output": "response", "id": "key"}, "'1' is not one of this benchmark's 16 examples"),
    ],
)
def test_a_field_that_does_not_exist_is_answered_with_those_that_do(
    tmp_path: Path, fields: dict[str, str], problem: str
) -> None:
    """Ours on the left, the file's on the right; a number may be an id."""
    with pytest.raises((UsageError, RecordError), match=problem):
        import_fields(tmp_path, OURS, fields)


def test_fields_of_other_formats_are_fixed(tmp_path: Path) -> None:
    """Only a file of outputs may call them as it likes."""
    with pytest.raises(UsageError, match="for files of outputs"):
        import_fields(tmp_path, OURS, {"output": "response"}, "lm_eval")


def test_the_commands(tmp_path: Path) -> None:
    """Export prints what it made; errors are one sentence and exit 2."""
    imported(PLAIN, tmp_path / "run")
    made = judgebench(["export", "run", "--to", "lm-eval", "--out", "mine.json"], cwd=tmp_path)
    assert made.stdout == "mine.json\n"
    for arguments in (
        ("export", "run", "--to", "lm-eval", "--out", "mine.json"),
        ("export", "run", "--to", "csv", "--out", "other.json"),
        ("export", "nowhere", "--to", "lm-eval", "--out", "other.json"),
        ("import", "run", "--from", "outputs", "--task", "gsm8k", "--out", "x", "--fields", "output"),
    ):
        ended = judgebench(arguments, cwd=tmp_path, code=2)
        assert ended.stderr.startswith("judgebench: ")
        assert len(ended.stderr.splitlines()) == 1
