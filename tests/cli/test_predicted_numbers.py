"""``--bridge`` in ``eval`` and ``score``: official numbers are predicted, and never look like measured ones."""

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet
import pytest

import judgebench as api
from judgebench.codec import canonical_hash
from judgebench.models.scripted import ScriptedModel, playing, reply
from judgebench.records import Score
from judgebench.run.bridge_files import read_bridge
from judgebench.run.folder import RunFolder
from judgebench.run.reading import read_run
from judgebench.stats.bridge import fit_bridge
from tests.bridged_runs import write_bridge_for
from tests.commands import Command
from tests.made_bridges import JUDGE, JUDGED, OFFICIAL, cases
from tests.run.test_published_rules import alpacaeval_run
from tests.shared_data import SharedData
from tests.tasks.alpacaeval_data import ALPACAEVAL, instructions, read_json

BRIDGES = SharedData("bridge")
COT = "alpaca_eval_cot_gpt4_turbo_fn"
BRIDGE = ("--bridge", "b.bridge.json")
EVAL = ("eval", "--tasks", "alpacaeval", "--starter", "--quiet")
NAME = "win_rate_official_predicted"


def prefers_first(served: str = JUDGE) -> ScriptedModel:
    """A judge that likes the first answer more, and whose endpoint reports this model."""
    said = msgspec.structs.replace(reply("A", logprobs={"A": -0.3, "B": -1.5}), model=served)
    return ScriptedModel(lambda request: said, name=JUDGE, identity=f"judge {served}")


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run ``run``, judged by a judge of today, and a bridge ``b.bridge.json`` that fits it."""
    folder = tmp_path_factory.mktemp("judged")
    rows = [{"id": f"starter-{number:02d}", "output": "Yes. " * number, "generator": "mine"} for number in range(1, 17)]
    (folder / "answers.json").write_text(json.dumps(rows))
    with playing(prefers_first()) as judge:
        api.evaluate(
            f"file:{folder / 'answers.json'}", "alpacaeval", judge=judge, starter=True, progress=False,
            out=folder / "run",
        )  # fmt: skip
    write_bridge_for(folder / "run", folder / "b.bridge.json")
    return folder


@pytest.fixture
def place(judged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of it, as the working directory."""
    shutil.copytree(judged, tmp_path / "place")
    monkeypatch.chdir(tmp_path / "place")
    return tmp_path / "place"


def stored(run: Path) -> dict[str, dict[str, Any]]:
    """The rows of ``scores.json`` over all examples, by metric."""
    rows = json.loads((run / "alpacaeval" / "scores.json").read_text())
    return {row["metric"]: row for row in rows if row["group"] is None}


def test_score_adds_a_predicted_row_and_nothing_else_changes(place: Path, command: Command) -> None:
    """Value and interval are the method's; the manifest says by which bridge; without it the row goes again."""
    before, hashes = stored(place / "run"), RunFolder(place / "run").require_manifest()
    ended = command("score", "run", "--bridge", "b.bridge.json")
    assert ended.code == 0, ended.err
    after, manifest = stored(place / "run"), RunFolder(place / "run").require_manifest()
    row, bridge = after.pop(NAME), read_bridge(place / "b.bridge.json")
    assert after == before
    expected = fit_bridge(JUDGED, OFFICIAL).predict(before["win_rate"]["value"])
    assert expected.interval is not None
    assert (row["value"], row["low"], row["high"]) == (expected.value, expected.interval.low, expected.interval.high)
    assert row["method"] == "judge bridge, logit, t"
    assert (row["n"], row["n_missing"], row["level"], row["stderr"]) == (16, 0, 0.95, None)
    used = manifest.tasks["alpacaeval"].bridge
    assert used is not None
    assert (used.name, used.hash, used.status) == ("made", bridge.hash, {"win_rate": "weak"})
    assert "weak" in used.marks["win_rate"]
    assert used.input_hash == canonical_hash([manifest.tasks["alpacaeval"].input_hash, bridge.hash])
    assert (manifest.protocol_hash, manifest.input_hash) == (hashes.protocol_hash, hashes.input_hash)
    results = json.loads((place / "run" / "results.json").read_text())
    assert [score["metric"] for score in results["scores"]].count(NAME) == 1
    command("score", "run")
    assert stored(place / "run") == before
    assert RunFolder(place / "run").require_manifest().tasks["alpacaeval"].bridge is None


def test_what_is_printed(place: Path, command: Command) -> None:
    """A table of its own, with what the judge itself says and what the bridge's models say of the bridge."""
    ended = command("score", "run", "--bridge", "b.bridge.json")
    text = " ".join(ended.out.replace("│", " ").split())
    found = fit_bridge(JUDGED, OFFICIAL).predict(stored(place / "run")["win_rate"]["value"])
    assert found.interval is not None
    shown = f"≈ {found.value:.1f}", f"{found.interval.low:.1f} to {found.interval.high:.1f}"
    assert "predicted official (bridge made, judge openai:gpt-4.1-2025-04-14)" in text
    assert f"win_rate, official {shown[0]} ({shown[1]})" in text
    judge = stored(place / "run")["win_rate"]["value"]
    assert (
        f"official win_rate (gpt-4-1106-preview), predicted: {shown[0]} (95 %: {shown[1]}), from 6 bridge models; "
        f"openai:gpt-4.1-2025-04-14 itself says {judge:.1f}; left out one at a time, 6 of 6 were inside, mean error "
        "2.9 (the judge as it is: 3.3)"
    ) in text
    assert "win_rate: fewer than 8 models, or less than 0.8 explained" in text


@pytest.mark.parametrize("form", ["rich", "md", "latex", "html", "csv", "json"])
def test_no_format_shows_a_prediction_as_measured(place: Path, command: Command, form: str) -> None:
    """Wherever the value stands, the row or the table says predicted."""
    ended = command("score", "run", "--bridge", "b.bridge.json", "--format", form)
    assert ended.code == 0, ended.err
    value = stored(place / "run")[NAME]["value"]
    marker = {"json": f'"value": {value!r}'[:14], "csv": repr(value)[:8]}.get(form, f"{value:.1f}")
    lines = [line for line in ended.out.splitlines() if marker in line]
    assert lines
    if form == "csv":
        assert ended.out.splitlines()[0].endswith(",kind")
        assert all(NAME in line and line.endswith(",predicted") for line in lines)
        assert sum(line.endswith(",measured") for line in ended.out.splitlines()) > 3
    elif form == "json":
        rows = [row for row in json.loads(ended.out)["scores"] if row["value"] == value]
        assert [row["metric"] for row in rows] == [NAME]
    else:
        approx = {"latex": r"$\approx$", "html": "&#8776;"}.get(form, "≈")
        assert all(approx in line or "predicted" in line for line in lines)


def test_eval_predicts_at_once(place: Path, command: Command) -> None:
    """The same number as scoring afterwards; a level in percent is a level."""
    with playing(prefers_first()) as judge:
        ended = command(
            *EVAL, "--model", "file:answers.json", "--judge", judge, "--bridge", "b.bridge.json", "--out", "again"
        )
    assert ended.code == 0, ended.err
    command("score", "run", "--bridge", "b.bridge.json")
    assert stored(place / "again")[NAME] == stored(place / "run")[NAME]
    command("score", "run", "--bridge", "b.bridge.json", "--level", "90")
    wide, narrow = stored(place / "again")[NAME], stored(place / "run")[NAME]
    assert narrow["level"] == 0.9
    assert wide["low"] < narrow["low"] < narrow["high"] < wide["high"]


def test_a_local_judge_has_the_same_protocol_now_as_in_a_file(place: Path, command: Command) -> None:
    """Its choices are a tuple while a run is made, and a list where a bridge was read from a file."""
    eval_ = (*EVAL, "--model", "file:answers.json", "--judge", "builtin:tiny")
    assert command(*eval_, "--out", "local").code == 0
    write_bridge_for(place / "local", place / "local.bridge.json")
    ended = command(*eval_, "--bridge", "local.bridge.json", "--out", "again")
    assert ended.code == 0, ended.err
    assert NAME in stored(place / "again")


def test_another_judge_is_refused_before_it_is_asked(place: Path, command: Command) -> None:
    """Exit 2 names the field, and nothing is paid for."""
    other = ScriptedModel(lambda request: reply("A"), name="other")
    with playing(other) as judge:
        ended = command(
            *EVAL, "--model", "file:answers.json", "--judge", judge, "--bridge", "b.bridge.json", "--out", "again"
        )
    assert "judges.house_pairwise_label.model" in ended.paragraph
    assert not other.asked
    assert not Path("again").exists()


def test_a_dry_run_refuses_what_the_run_would_refuse(place: Path, command: Command) -> None:
    """A bridge that is not there, and one of another judge; with the right one it only counts calls."""
    flags = (*EVAL[:-1], "--model", "file:answers.json", "--dry-run")
    with playing(ScriptedModel(lambda request: reply("A"), name="other")) as judge:
        assert "judges.house_pairwise_label.model" in command(*flags, "--judge", judge, *BRIDGE).paragraph
    with playing(prefers_first()) as judge:
        assert command(*flags, "--judge", judge, *BRIDGE).code == 0
        assert "cannot be read" in command(*flags, "--judge", judge, "--bridge", "none.bridge.json").paragraph


def test_judging_an_answered_run_predicts_too(place: Path, command: Command) -> None:
    """``judge RUN --bridge``; and a run that goes on buys nothing again."""
    shutil.copytree("run", "answered")
    Path("answered/alpacaeval/judgements.jsonl").unlink()
    with playing(prefers_first()) as judge:
        ended = command("judge", "answered", "--judge", judge, *BRIDGE, "--quiet")
    assert ended.code == 0, ended.err
    assert stored(place / "answered")[NAME]["value"] is not None
    assert "predicted official (bridge made" in ended.out
    again = prefers_first()
    with playing(again) as judge:
        assert command("judge", "answered", "--judge", judge, *BRIDGE, "--quiet").code == 0
    assert not again.asked


def test_eval_of_several_models_ends_with_a_table_of_predictions(place: Path, command: Command) -> None:
    """Below that of measured numbers, with what choosing among them does to the bridge."""
    rows = json.loads((place / "answers.json").read_text())
    Path("second.json").write_text(json.dumps([{**row, "output": "No.", "generator": "next"} for row in rows]))
    with playing(prefers_first()) as judge:
        models = ("--model", "file:answers.json", "--model", "file:second.json")
        ended = command(*EVAL, *models, "--judge", judge, *BRIDGE, "--out", "several")
    assert ended.code == 0, ended.err
    last = ended.out[ended.out.rindex("predicted official (bridge made") :]
    assert last.count("≈ ") == 2
    assert "choosing among them by this judge" in " ".join(last.split())


def test_a_served_model_that_turns_out_to_be_another_ends_with_2_and_keeps_the_run(
    place: Path, command: Command
) -> None:
    """Only the replies tell; what was paid for is kept and scored, without a prediction."""
    with playing(prefers_first("gpt-4.1-2026-06-01")) as judge:
        ended = command(
            *EVAL, "--model", "file:answers.json", "--judge", judge, "--bridge", "b.bridge.json", "--out", "again"
        )
    assert ended.code == 2
    assert "served_model" in ended.err
    assert "The run is kept in again" in ended.err
    assert stored(place / "again").keys() == stored(place / "run").keys()
    assert RunFolder(place / "again").require_manifest().status == "complete"


def test_a_refusal_is_a_row_with_its_reason(place: Path, command: Command) -> None:
    """Exit 0; the number is null."""
    write_bridge_for(place / "run", place / "far.bridge.json", (10, 11, 12, 13, 14, 15), (11, 13, 14, 16, 17, 19))
    ended = command("score", "run", "--bridge", "far.bridge.json")
    assert ended.code == 0, ended.err
    row = stored(place / "run")[NAME]
    assert row["value"] is row["low"] is None
    assert row["reason"] == "the judge's number lies more than 0.25 of the bridge's range beyond it"
    assert "predicted: refused, because the judge's number lies more than" in " ".join(ended.out.split())


def test_a_refused_number_can_be_forced_and_says_so(place: Path, command: Command) -> None:
    """``score --force``: the mark is in the row, the manifest and the words, with the reason."""
    write_bridge_for(place / "run", place / "far.bridge.json", (10, 11, 12, 13, 14, 15), (11, 13, 14, 16, 17, 19))
    ended = command("score", "run", "--bridge", "far.bridge.json", "--force")
    row = stored(place / "run")[NAME]
    assert row["value"] is not None
    assert "forced" in row["details"]["marks"]
    assert row["details"]["reasons"] == ["out_of_range"]
    used = RunFolder(place / "run").require_manifest().tasks["alpacaeval"].bridge
    assert used is not None
    assert "forced" in used.marks["win_rate"]
    said = "given although it is refused: the judge's number lies more than 0.25 of the bridge's range beyond it"
    assert said in " ".join(ended.out.split())
    assert api.score("run", bridge="far.bridge.json").predictions[0].value is None
    assert api.score("run", bridge="far.bridge.json", force=True).predictions[0].value == row["value"]


def test_a_ready_bridge_is_named_and_predicts_an_imported_run(tmp_path: Path, command: Command) -> None:
    """gpt4's published verdicts by upstream's evaluator with reasoning give the published bridge's prediction."""
    table = pyarrow.parquet.read_table(BRIDGES / "ae2_other_judges.parquet").to_pylist()
    rows = [
        {
            "instruction": instructions()[row["idx"]],
            "output_2": "b" * row["len_2"],
            "generator_1": "gpt4_1106_preview",
            "generator_2": "gpt4",
            "annotator": COT,
            "preference": row["preference"],
        }
        for row in table
        if (row["model"], row["judge"]) == ("gpt4", COT)
    ]
    official = {
        row["instruction"]: row["output"]
        for row in read_json(ALPACAEVAL / "eval_set" / "alpaca_eval_gpt4_baseline.json.gz")
    }
    run = alpacaeval_run("gpt4", tmp_path, rows=[{**row, "output_1": official[row["instruction"]]} for row in rows])
    ended = command(
        "score", run.path, "--bridge", f"alpacaeval-{COT}-to-official", "--offline", "--mirror", ALPACAEVAL.path
    )
    assert ended.code == 0, ended.err
    case = cases()["ae2_win_rate_from_cot"]["fit"]
    judged = stored(run.path)["win_rate"]["value"]
    z = case["intercept"] + case["slope"] * (math.log(judged / (100 - judged)) - case["centre"])
    assert stored(run.path)[NAME]["value"] == pytest.approx(100 / (1 + math.exp(-z)), abs=1e-4)
    assert stored(run.path)["lc_win_rate_official_predicted"]["value"] is not None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--bridge", "none.bridge.json"), "cannot be read"),
        (("--bridge", "none"), "alpacaeval-alpaca_eval_cot_gpt4_turbo_fn-to-official"),
        (("--bridge", "b.bridge.json", "--bridge", "b.bridge.json"), "both of alpacaeval@2"),
        (("--bridge", "b.bridge.json", "--level", "0"), "--level 0 is no level"),
        (("--bridge", "b.bridge.json", "--level", "100"), "--level 1 is no level"),
        (("--bridge", "answers.json"), "not a bridge of the format"),
    ],
)
def test_what_is_no_bridge_is_refused(place: Path, command: Command, arguments: tuple[str, ...], says: str) -> None:
    """And the run is as it was."""
    before = (place / "run" / "manifest.json").read_bytes()
    assert says in command("score", "run", *arguments).paragraph
    assert (place / "run" / "manifest.json").read_bytes() == before


def test_a_bridge_of_another_task_is_refused(place: Path, command: Command) -> None:
    """It names both tasks."""
    said = command("eval", "--tasks", "gsm8k", "--starter", "--model", "file:answers.json", "--bridge", "b.bridge.json")
    assert "is of alpacaeval@2, and the run holds gsm8k@cot8" in said.paragraph


def test_several_models_with_one_bridge_are_said_beside_the_number(place: Path, command: Command) -> None:
    """Picking checkpoints by the judge breaks a bridge, and no number shows it."""
    said = "choosing among them by this judge, or training against it, breaks the bridge"
    assert said not in " ".join(command("score", "run", "--bridge", "b.bridge.json").out.split())
    rows = json.loads((place / "answers.json").read_text())
    Path("second.json").write_text(json.dumps([{**row, "output": "No.", "generator": "next"} for row in rows]))
    with playing(prefers_first()) as judge:
        ended = command(
            *EVAL, "--model", "file:second.json", "--judge", judge, "--bridge", "b.bridge.json", "--out", "second"
        )
    assert said in " ".join(ended.out.split())
    used = RunFolder(place / "second").require_manifest().tasks["alpacaeval"].bridge
    assert used is not None
    assert used.others == 1


def test_predictions_are_no_scores_in_python(place: Path) -> None:
    """They have a place of their own; a table names their kind."""
    run = api.score("run", bridge="b.bridge.json", level=0.9)
    assert NAME not in {score.metric for score in run.scores}
    (found,) = run.predictions
    assert isinstance(found, Score)
    assert (found.metric, found.kind, found.level) == (NAME, "predicted", 0.9)
    assert run.score(NAME) == found
    kinds = run.frame().set_index("metric")["kind"]
    assert kinds[NAME] == "predicted"
    assert set(kinds.drop(NAME)) == {"measured"}


def test_readers_of_runs_keep_predictions_apart(place: Path, command: Command) -> None:
    """What compares, ranks, gates or exports runs reads measured numbers only."""
    command("score", "run", "--bridge", "b.bridge.json")
    (task,) = read_run(place / "run").tasks.values()
    assert NAME not in {score.metric for score in task.scores}
    assert [score.metric for score in task.predictions] == [NAME]
    assert NAME not in command("leaderboard", "run", "--format", "csv").out
    assert NAME not in command("compare", "run", "run", "--format", "csv").out
