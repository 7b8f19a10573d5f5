"""The bridges that come with the program: the published ones, made by ``scripts/make_ready_bridges.py``."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from judgebench.data.rows import read_rows
from judgebench.run.bridge_files import SUFFIX, Bridge, read_bridge, ready_bridges
from judgebench.run.predicting import bridge_used
from tests import campaigns
from tests.commands import judgebench
from tests.made_bridges import cases
from tests.shared_data import SHARED, each

ROOT = Path(__file__).parents[2]
COT = "alpacaeval-alpaca_eval_cot_gpt4_turbo_fn-to-official"
FN = "alpacaeval-alpaca_eval_gpt4_turbo_fn-to-official"
GEMINI, GPT = (f"arenahard-v2.0-hard_prompt-{way}" for way in ("gpt-4.1-to-gemini-2.5", "gemini-2.5-to-gpt-4.1"))
CASES = {
    "ae2_win_rate_from_cot": (COT, "win_rate"),
    "ae2_lc_from_cot_lc": (COT, "lc_win_rate"),
    "ae2_win_rate_from_fn": (FN, "win_rate"),
    "ae2_lc_from_fn_lc": (FN, "lc_win_rate"),
    "ah2_gemini_from_gpt41": (GEMINI, "win_rate_style_controlled"),
    "ah2_gpt41_from_gemini": (GPT, "win_rate_style_controlled"),
}


@pytest.mark.parametrize("name", [COT, FN, GEMINI, GPT])
def test_each_follows_from_its_numbers(name: str) -> None:
    """Each is read by its name, which computes it again; none pretends to be of runs, or to know the served model."""
    bridge = read_bridge(Path(name))
    assert bridge.name == name
    assert {model.run_id for model in bridge.models} == {None}
    assert bridge.judge.served_model is None
    assert bridge.judge.unknown == ("sources",)
    assert bridge.drift is None
    assert "made of published numbers, without runs" in judgebench(["bridge", "show", name, "-v"], COLUMNS="200").stdout


def test_two_judges_of_one_model_are_told_apart() -> None:
    """By their prompts, wherever both are named; a model that is one judge alone needs no prompt."""
    bridge = read_bridge(Path(COT))
    judge = "gpt-4-1106-preview as alpaca_eval_cot_gpt4_turbo_fn"
    official = "gpt-4-1106-preview as weighted_alpaca_eval_gpt4_turbo"
    assert (bridge.judge_shown, bridge.judge_named, bridge.official_shown) == (judge, judge, official)
    listed, shown = (judgebench(words, COLUMNS="250").stdout for words in (["bridge", "show"], ["bridge", "show", COT]))
    assert f"from {judge} to {official}, 8 models" in listed
    assert f"{official} from {judge}, 8 models" in shown
    assert f"from {judge} of openai to {official} of openai, on alpacaeval@2" in shown
    used = bridge_used(bridge, (), 0.95, "")
    assert (used.judge, used.official_judge) == (judge, official)
    assert read_bridge(Path(GPT)).official_shown == "gpt-4.1"


def test_they_are_all() -> None:
    """There are no others: WildBench's four models are too few, which the rules refuse."""
    assert set(ready_bridges()) == {COT, FN, GEMINI, GPT}
    shown = judgebench(["bridge", "show"], COLUMNS="250").stdout
    assert all(name in shown for name in ready_bridges())
    assert "lc_win_rate weak, win_rate refused" in shown
    assert read_bridge(Path(FN)).metrics["win_rate"].reasons == ("explains_too_little",)


@pytest.mark.parametrize("case", each(lambda: list(CASES)))
def test_they_are_the_published_ones(case: str) -> None:
    """Models, fit, predictions left out, and verdict are the published bridges'."""
    name, metric = CASES[case]
    bridge, want = read_bridge(Path(name)), cases()[case]
    made, controlled = bridge.metrics[metric], metric == "lc_win_rate"
    assert made.fit is not None
    models = {model["name"]: model for model in want["models"]}
    assert {model.name: model.included for model in bridge.models} == {
        model: own["included"] for model, own in models.items()
    }
    for model, numbers in made.numbers.items():
        points = (models[model]["judged"], models[model]["official"])
        assert (numbers.judged, numbers.official) == pytest.approx(points, abs=1e-3 if controlled else 1e-6)
    for field in ("n", "centre", "intercept", "slope", "tau", "df"):
        near = pytest.approx(want["fit"][field], rel=1e-3 if controlled else 1e-6)
        assert getattr(made.fit, field) == near, field
    for own, left in zip(made.loo, want["loo"], strict=True):
        assert own.model == left["model"]
        assert (own.predicted, own.low95, own.high95) == pytest.approx(
            (left["predicted"], left["low95"], left["high95"]), abs=1e-2 if controlled else 1e-4
        )
    assert (made.status, list(made.reasons)) == (want["status"], want["reasons"])


@pytest.mark.skipif(not campaigns.ALL, reason="makes all of them again; the others compare them with what is expected")
def test_the_program_makes_them(tmp_path: Path) -> None:
    """``scripts/make_ready_bridges.py`` makes the files that are here, but for rounding."""
    command = [sys.executable, str(ROOT / "scripts" / "make_ready_bridges.py"), str((SHARED / "bridge").parent)]
    ended = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    assert {path.name.removesuffix(SUFFIX) for path in tmp_path.iterdir()} == set(ready_bridges())
    for path in tmp_path.iterdir():
        made, here = (msgspec.to_builtins(read_bridge(file)) for file in (path, Path(path.name.removesuffix(SUFFIX))))
        first, second = _flat(made), _flat(here)
        numbers = [place for place, scalar in second.items() if isinstance(scalar, float)]
        assert [first.pop(place) for place in numbers] == pytest.approx(
            [second.pop(place) for place in numbers], rel=1e-5, abs=1e-9
        )
        assert first == second


def _flat(value: Any, place: str = "") -> dict[str, Any]:
    """Each scalar by its place."""
    if isinstance(value, dict | list | tuple):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        return {name: scalar for key, own in inner for name, scalar in _flat(own, f"{place}.{key}").items()}
    return {place: value}


def imported(folder: Path, evaluator: str, model: str = "claude-2.1") -> Path:
    """A run of published answers and the evaluator's published verdicts."""
    rows = read_rows(SHARED / "alpacaeval" / "eval_set" / "alpaca_eval_gpt4_baseline.json.gz")
    baseline = [row.fields for row in rows]
    answers = {
        row.fields["instruction"]: row.fields["output"]
        for row in read_rows(SHARED / "bridge" / "outputs" / f"{model}.json.gz")
    }
    annotations = [
        {
            "instruction": baseline[row.fields["idx"]]["instruction"],
            "output_1": baseline[row.fields["idx"]]["output"],
            "generator_1": baseline[row.fields["idx"]]["generator"],
            "output_2": answers[baseline[row.fields["idx"]]["instruction"]],
            "generator_2": model,
            "annotator": evaluator,
            "preference": row.fields["preference"],
        }
        for row in read_rows(SHARED / "bridge" / "ae2_other_judges.parquet")
        if row.fields["model"] == model and row.fields["judge"] == "alpaca_eval_cot_gpt4_turbo_fn"
    ]
    file = folder / "annotations.json"
    file.write_text(json.dumps(annotations))
    place = ["--mirror", SHARED / "alpacaeval", "--offline", "--out", folder / "run"]
    judgebench(["import", file, "--from", "alpaca_eval", "--task", "alpacaeval", *place])
    return folder / "run"


def test_an_imported_run_is_predicted(tmp_path: Path) -> None:
    """A run of that judge's verdicts fits the ready bridge; the model is one of its own, so the others predict it."""
    run = imported(tmp_path, "alpaca_eval_cot_gpt4_turbo_fn")
    rows = json.loads(judgebench(["bridge", "check", COT, run, "--json"]).stdout)["runs"]
    (row,) = (row for row in rows if row["metric"] == "win_rate")
    want = next(left for left in cases()["ae2_win_rate_from_cot"]["loo"] if left["model"] == "claude-2.1")
    assert row["predicted"] == pytest.approx(want["predicted"], abs=1e-4)
    assert (row["of_bridge"], row["inside"]) == (True, True)


@pytest.mark.parametrize(
    ("evaluator", "bridge", "field"),
    [
        ("alpaca_eval_gpt4_turbo_fn", COT, "judges.alpaca_eval_cot_gpt4_turbo_fn"),
        ("weighted_alpaca_eval_gpt4_turbo", COT, "judges.weighted_alpaca_eval_gpt4_turbo"),
    ],
)
def test_r3_holds_for_published_numbers_too(evaluator: str, bridge: str, field: str, tmp_path: Path) -> None:
    """A run by another judge or prompt is exit 2 with the field, although the bridge was made without runs."""
    ended = judgebench(["bridge", "check", bridge, imported(tmp_path, evaluator)], code=2)
    assert field in ended.stderr


def test_published_style_control_is_no_runs(tmp_path: Path) -> None:
    """Arena-Hard's published numbers are of one fit to all models, which no run alone has: a protocol field says so."""
    bridge: Bridge = read_bridge(Path(GEMINI))
    assert bridge.judge.protocol["fit"] == "one fit to all models of the published table"
    prediction = bridge.fits["win_rate_style_controlled"].predict(49.1)
    want = next(row for row in cases()["ah2_gemini_from_gpt41"]["predictions"] if row["model"] == "gemini-2.5")
    assert prediction.value == pytest.approx(want["predicted"], abs=1e-4)
