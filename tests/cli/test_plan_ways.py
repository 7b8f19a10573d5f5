"""``plan --half-width``: what a bridge, a cascade and labels take for a number this sure, and which is cheapest."""

import gzip
import json
import shlex
from pathlib import Path
from statistics import stdev
from typing import Any

import pytest
from msgspec.structs import replace

from judgebench.analysis.label_sample import expected_width
from judgebench.codec import canonical_hash
from judgebench.exchange.importing import import_run
from judgebench.run.bridge_files import Bridge, fit_metric, write_bridge
from judgebench.run.bridging import asked_items, bridge_protocol
from judgebench.run.folder import TaskManifest
from judgebench.run.predicting import Bridges
from judgebench.run.settings import Settings
from judgebench.stats.bridge import forecast_half_width
from judgebench.stats.cascade import required_dear
from tests.commands import Command
from tests.made_bridges import made_bridge
from tests.shared_data import SharedData

DEAR = "openai:gpt-5.1"
CHEAP = "openai:gpt-4.1-mini"
SIZE = 805
Flags = tuple[str | Path, ...]


@pytest.fixture(scope="module")
def flags(shared_data: SharedData) -> Flags:
    """Where AlpacaEval's official files are."""
    return ("--mirror", shared_data / "alpacaeval", "--offline")


@pytest.fixture(scope="module")
def run(shared_data: SharedData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The null model's published judgements: 77 % of wins, by a judge that is gone."""
    folder, out = shared_data / "alpacaeval", tmp_path_factory.mktemp("runs") / "null"
    settings = Settings(tasks="alpacaeval", mirrors=(folder,), offline=True, out=out)
    import_run(folder / "annotations_full" / "NullModel.json.gz", "alpaca_eval", settings)
    return out


def shares(run: Path) -> list[float]:
    """The judge's shares of the candidate's win."""
    lines = (run / "alpacaeval" / "example_scores.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [row["value"] for row in rows if row["metric"] == "preference"]


def planned(command: Command, width: float, *arguments: object, metric: str = "win_rate") -> dict[str, Any]:
    """The plan as JSON, with its ways by kind."""
    what = ("plan", "--task", "alpacaeval", "--metric", metric, "--half-width", width, *arguments, "--json")
    ended = command(*what)
    assert ended.code == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    found["ways"] = {way["kind"]: way for way in found["ways"]}
    return found


def test_all_three_are_planned_and_the_cheapest_is_named(flags: Flags, command: Command) -> None:
    """Without a run, for plus or minus 12: nine published models for the judge of today to judge, a dear judge on a
    part, or labels; each says what its number is, and the USD are those of a dry run.
    """
    found = planned(command, 12, *flags, "--judge", CHEAP, "--cascade", DEAR, "--usd-per-label", 0.5)
    bridge, cascade, labels = (found["ways"][kind] for kind in ("bridge", "cascade", "labels"))
    assert bridge["gives"] == "what gpt-4-1106-preview would say, predicted"
    assert cascade["gives"] == "what gpt-5.1 would say of all examples"
    assert labels["gives"] == "what people would say"
    widths = {models: 100 * forecast_half_width(models, 0.2, 0.5) for models in range(8, 61)}
    assert bridge["models"] == min(models for models, width in widths.items() if width <= 12)
    assert bridge["half_width"] == pytest.approx(widths[bridge["models"]])
    assert bridge["judge_calls"] == SIZE * (bridge["models"] + 1)
    dear = required_dear(12, sd=50, gain=1.7, population=SIZE, span=100)
    assert (cascade["dear_calls"], cascade["judge_calls"]) == (dear, SIZE + dear)
    assert expected_width([0.0, 1.0] * 402, 0.7, labels["labels"]) <= 12
    assert expected_width([0.0, 1.0] * 402, 0.7, labels["labels"] - 1) > 12
    assert labels["judge_calls"] == SIZE
    cheap = bridge["usd"] / (bridge["models"] + 1)
    assert labels["usd"] == pytest.approx(labels["labels"] * 0.5 + cheap)
    assert cascade["usd"] > cheap
    assert found["cheapest"] == min(found["ways"].values(), key=lambda way: way["usd"])["kind"] == "cascade"


def test_a_cascade_that_costs_more_than_the_dear_judge_is_out(flags: Flags, command: Command) -> None:
    """For plus or minus 0.3 a cascade asks 795 of 805 twice; the dear judge alone is cheaper, and is named."""
    found = planned(command, 0.3, *flags, "--judge", CHEAP, "--cascade", DEAR)
    cascade, dear = found["ways"]["cascade"], found["ways"]["dear"]
    assert (dear["judge_calls"], dear["half_width"], dear["possible"]) == (SIZE, 0, True)
    assert cascade["usd"] > dear["usd"] > 0
    assert not cascade["possible"]
    assert f"with {CHEAP} on all examples it costs $" in cascade["reason"]
    assert f"and {DEAR} alone on all of them $" in cascade["reason"]
    assert cascade["reason"].endswith("a cheaper --judge may help")
    assert found["cheapest"] == "dear"
    every = planned(command, 0.001, *flags, "--judge", CHEAP, "--cascade", DEAR)
    assert every["ways"]["cascade"]["reason"].startswith("for this width the dear judge would judge all examples")


def test_each_interval_says_which_examples_it_is_about(flags: Flags, command: Command) -> None:
    """A cascade's is about these; labels' counts their draw; the dear judge's own, as eval shows it, is said beside."""
    found = planned(command, 12, *flags, "--judge", CHEAP, "--cascade", DEAR)["ways"]
    assert {kind: way["interval_of"] for kind, way in found.items()} == {
        "bridge": "these examples",
        "cascade": "these examples",
        "dear": "these examples",
        "labels": "examples like these",
    }
    assert "about examples like these its number is sure to plus or minus 3.45," in found["dear"]["assumed"][1]


def test_a_run_says_how_much_verdicts_vary(run: Path, flags: Flags, command: Command) -> None:
    """Its verdicts need not be bought again for labels; its official judge is not asked, and is said to be official."""
    found = planned(command, 7, *flags, "--baseline", run, "--cascade", DEAR)
    cascade, labels = found["ways"]["cascade"], found["ways"]["labels"]
    sd = 100 * stdev(shares(run))
    assert cascade["dear_calls"] == required_dear(7, sd=sd, gain=1.7, population=SIZE, span=100)
    assert labels["judge_calls"] == 0
    assert labels["usd"] is None
    assert expected_width(shares(run), 0.7, labels["labels"]) <= 7
    assert found["judge"].startswith("openai:gpt-4.1")
    assert found["judge_chosen"].endswith(
        "the default for a judge of today, as the run's, gpt-4-1106-preview, cannot be asked; --judge names another"
    )
    assert "the judge is gpt-4-1106-preview, whose verdicts are in the run" in labels["assumed"]
    assert not found["judged"]
    notes = " ".join(found["notes"])
    assert found["ways"]["bridge"]["reason"].startswith("the official judge itself judged the run")
    assert "--usd-per-label says what one costs" in notes
    assert "is served until 2027-01-14: take a judge that lasts" in notes


def test_a_width_that_is_missed_by_little_does_not_look_reached(flags: Flags, command: Command) -> None:
    """Just below what 60 models reach, the reason and the table have a digit that shows it."""
    best = 100 * forecast_half_width(60, 0.2, 0.5)
    asked = float(f"{best - 1e-5:.6g}")
    what = ("plan", "--task", "alpacaeval", "--metric", "win_rate", "--half-width", asked, *flags, "--judge", CHEAP)
    text = " ".join(command(*what).out.split())
    told = float(text.split("60 give plus or minus ")[1].split()[0])
    assert asked < told == pytest.approx(best, abs=1e-4)
    assert f"± {told:g}" in text or f"± {told}" in text


def test_what_is_impossible_says_why(run: Path, flags: Flags, command: Command) -> None:
    """A length-controlled rate has no cascade and no labels; plus or minus 1 no bridge; all 805 labels are a sample."""
    controlled = planned(command, 12, *flags, "--cascade", DEAR, metric="lc_win_rate")["ways"]
    assert controlled["bridge"]["possible"]
    assert controlled["cascade"]["reason"] == "lc_win_rate is no plain mean over examples"
    assert controlled["labels"]["reason"].endswith("of alpacaeval@2 they give win_rate")
    narrow = planned(command, 1, *flags, "--baseline", run, "--usd-per-label", 1)
    alone = planned(command, 1, *flags)["ways"]["bridge"]["reason"]
    assert alone.startswith("no number of models reaches it: 60 give plus or minus ")
    assert narrow["ways"]["cascade"]["reason"] == "name the dear judge with --cascade"
    assert narrow["ways"]["labels"]["reason"].startswith("even all 805 labelled give plus or minus 3.28:")
    assert narrow["cheapest"] is None


def fitting_bridge(path: Path, flags: Flags, command: Command, monkeypatch: pytest.MonkeyPatch) -> Bridge:
    """A made-up bridge of a cheap judge of today, asked as ``eval`` asks it."""
    write_bridge(path, made_bridge())
    asked: list[TaskManifest] = []
    with monkeypatch.context() as patch:
        patch.setattr(Bridges, "require_fitting", lambda _, manifests: asked.extend(manifests))
        planned(command, 10, *flags, "--judge", CHEAP, "--bridge", path)
    protocol, (n, ids_hash) = bridge_protocol(asked[0].protocol), asked_items(asked[0].protocol)
    name = CHEAP.removeprefix("openai:")
    bridge = made_bridge(judge=name, served_model=None)
    told = {"spec": CHEAP, "identity": name, "protocol": protocol, "protocol_hash": canonical_hash(protocol)}
    judge, items = replace(bridge.judge, **told), replace(bridge.items, n=n, ids_hash=ids_hash)
    bridge = replace(bridge, judge=judge, items=items)
    write_bridge(path, bridge)
    return bridge


def test_a_bridge_is_for_runs_of_its_own_judge(
    flags: Flags, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With another judge, or when its own is gone, it is out and says why; without --judge its own is planned with."""
    path = tmp_path / "made.bridge.json"
    fitting_bridge(path, flags, command, monkeypatch)
    other = planned(command, 10, *flags, "--judge", DEAR, "--bridge", path)
    assert not other["ways"]["bridge"]["possible"]
    reason = other["ways"]["bridge"]["reason"]
    assert reason.startswith(
        "the bridge made is only for runs that gpt-4.1-mini judged; with openai:gpt-5.1 it differs"
    )
    assert "gpt-4.1-mini in the bridge, gpt-5.1 in the run" in reason
    own = planned(command, 10, *flags, "--bridge", path)
    assert (own["judge"], own["ways"]["bridge"]["possible"], own["cheapest"]) == (CHEAP, True, "bridge")
    ready = "alpacaeval-alpaca_eval_cot_gpt4_turbo_fn-to-official"
    gone = planned(command, 12, *flags, "--judge", CHEAP, "--bridge", ready)
    assert not gone["ways"]["bridge"]["possible"]
    assert "which is served no longer" in gone["ways"]["bridge"]["reason"]
    assert gone["cheapest"] is None


def test_another_evaluator_of_the_official_model_is_not_official(
    shared_data: SharedData, flags: Flags, tmp_path: Path, command: Command
) -> None:
    """The same model asked with another prompt gives another number: such a run still needs a bridge."""
    rows = json.loads(gzip.decompress((shared_data / "alpacaeval/annotations_full/NullModel.json.gz").read_bytes()))
    own = [{**row, "annotator": "alpaca_eval_cot_gpt4_turbo_fn"} for row in rows]
    (tmp_path / "annotations.json").write_text(json.dumps(own))
    settings = Settings(
        tasks="alpacaeval",
        mirrors=(shared_data / "alpacaeval",),
        offline=True,
        out=tmp_path / "run",
    )
    import_run(tmp_path / "annotations.json", "alpaca_eval", settings)
    found = planned(command, 12, *flags, "--judge", CHEAP, "--baseline", tmp_path / "run")
    assert found["ways"]["bridge"]["possible"]
    assert "official judge itself" not in json.dumps(found)
    ready = "alpacaeval-alpaca_eval_cot_gpt4_turbo_fn-to-official"
    own = planned(command, 40, *flags, "--baseline", tmp_path / "run", "--bridge", ready)
    assert (own["judge"], own["judged"]) == ("gpt-4-1106-preview as alpaca_eval_cot_gpt4_turbo_fn", True)
    bridge = own["ways"]["bridge"]
    assert bridge["gives"] == "what gpt-4-1106-preview as weighted_alpaca_eval_gpt4_turbo would say, predicted"
    assert bridge["reason"] == f"the bridge {ready} is refused: out_of_range"
    assert "take a judge that lasts" not in " ".join(own["notes"])
    other = ready.replace("cot_", "")
    apart = planned(command, 40, *flags, "--baseline", tmp_path / "run", "--bridge", other)["ways"]["bridge"]["reason"]
    assert f"{tmp_path / 'run'} differs in judges.alpaca_eval_cot_gpt4_turbo_fn" in apart
    scored = command("score", tmp_path / "run", *flags).out
    assert "judge: gpt-4-1106-preview as alpaca_eval_cot_gpt4_turbo_fn; protocol" in " ".join(scored.split())


def test_an_evaluator_chosen_by_an_option_is_not_the_official_judge(flags: Flags, command: Command) -> None:
    """The bridge still leads to the published numbers, and the evaluator does not give them."""
    what = ("plan", "--task", "alpacaeval:judge=weighted_alpaca_eval_gpt4.1", "--metric", "win_rate", *flags, "--json")
    found = json.loads(command(*what, "--half-width", 12).out)
    (bridge,) = (way for way in found["ways"] if way["kind"] == "bridge")
    assert bridge["gives"] == "what gpt-4-1106-preview would say, predicted"
    assert "the official judge is still served" not in " ".join(found["notes"])


def test_a_judge_that_is_nobody_s_is_no_free_checkpoint(flags: Flags, command: Command) -> None:
    """A typo is refused; a hub's checkpoint that is not here has no price, so it is never the cheapest; a model that
    its vendor does not list is said to be unknown.
    """
    for flag, text in (("--cascade", "DEAR"), ("--judge", "./none")):
        ended = command("plan", "--task", "alpacaeval", "--half-width", 12, flag, text, *flags)
        assert f"{flag} {text}" in ended.paragraph
    absent = planned(command, 12, *flags, "--judge", CHEAP, "--cascade", "some-org/some-judge")
    assert absent["ways"]["dear"]["usd"] is None
    assert absent["cheapest"] == "bridge"
    assert "some-org/some-judge is not on this machine" in " ".join(absent["notes"])
    unknown = planned(command, 12, *flags, "--judge", CHEAP, "--cascade", "openai:gpt-9")
    assert "openai:gpt-9 is not among the models that OpenAI is known to serve" in " ".join(unknown["notes"])
    assert unknown["ways"]["dear"]["usd"] is None


def test_the_manual_s_plan_can_be_pasted(flags: Flags, command: Command) -> None:
    """It names judges that there are."""
    text = " ".join((Path(__file__).parents[2] / "docs" / "how-sure.md").read_text().split())
    (line,) = [part for part in text.split("`") if part.startswith("judgebench plan") and "--half-width" in part]
    ended = command(*shlex.split(line)[1:], *flags)
    assert ended.code == 0, ended.err
    assert "cheapest" in ended.out


def test_a_bridge_that_is_there_costs_the_new_model_s_calls(
    flags: Flags, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own forecast counts; one about another metric is refused."""
    path = tmp_path / "made.bridge.json"
    bridge = fitting_bridge(path, flags, command, monkeypatch)
    found = planned(command, 10, *flags, "--judge", CHEAP, "--bridge", path)["ways"]["bridge"]
    fit = fit_metric(bridge.metrics["win_rate"], bridge.models)
    assert (found["possible"], found["judge_calls"], found["models"]) == (True, SIZE, 0)
    assert found["half_width"] == pytest.approx(fit.forecast(fit.n))
    narrow = planned(command, 2, *flags, "--judge", CHEAP, "--bridge", path)["ways"]["bridge"]
    assert narrow["reason"] == f"the bridge made gives plus or minus {found['half_width']:.3g}"
    what = ("plan", "--task", "alpacaeval", "--half-width", 2, "--bridge", path, *flags, "--judge", CHEAP)
    assert "is about win_rate of alpacaeval@2, not about lc_win_rate" in command(*what).paragraph


def test_the_table_fits_a_terminal(flags: Flags, command: Command) -> None:
    """It names the cheapest, and what is assumed."""
    what = ("plan", "--task", "alpacaeval", "--metric", "win_rate", "--half-width", 12, *flags)
    ended = command(*what, "--judge", CHEAP, "--cascade", DEAR, "--usd-per-label", 0.5)
    assert ended.code == 0, ended.err
    text = " ".join(ended.out.split())
    assert "cheapest: cascade" in text
    assert "a verdict of the dear judge is worth 1.7 beside the cheap one's" in text
    assert "published models are judged first" in text
    assert max(map(len, ended.out.splitlines())) <= 80


def test_a_judge_that_is_gone_is_not_planned_with(flags: Flags, command: Command) -> None:
    """As the judge of today or the dear one: exit 6, the day, and the bridge."""
    for flag in ("--judge", "--cascade"):
        ended = command(
            "plan", "--task", "alpacaeval", "--metric", "win_rate", "--half-width", 3, flag, "openai:gpt-4", *flags
        )
        assert ended.code == 6
        assert f"{flag} openai:gpt-4 cannot be asked: OpenAI has not served it since 2026-10-23" in ended.err
        assert "`judgebench bridge make --task alpacaeval@2" in ended.err


def test_a_benchmark_of_the_user_s_has_no_bridge(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has published numbers of it; a cascade and labels are planned, without an official file."""
    monkeypatch.chdir(tmp_path)
    assert command("tasks", "new", "mine", "--kind", "pairwise").code == 0
    what = ("plan", "--task", "./mine/task.py", "--half-width", 45, "--judge", CHEAP, "--cascade", DEAR, "--json")
    ended = command(*what)
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    ways = {way["kind"]: way for way in found["ways"]}
    assert "the official judge itself" not in " ".join(found["notes"])
    assert "`judgebench bridge make --official FILE`" in ways["bridge"]["reason"]
    assert not ways["bridge"]["possible"]
    assert ways["cascade"]["possible"]
    assert ways["labels"]["labels"] > 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--metric", "wins", "--half-width", 3), 2, "--metric wins: alpacaeval@2 has"),
        (("--half-width", 50), 2, "lies between 0 and 100, so an interval of plus or minus 50 says nothing"),
        (("--half-width", 3, "--agreement", 1.5), 2, "--agreement 1.5 must be a share of at least 0.5 and below 1"),
        (("--half-width", 3, "--judge", "openai:gpt-4"), 6, "--judge openai:gpt-4 cannot be asked"),
        (("--half-width", 3, "--judge", DEAR, "--cascade", DEAR), 2, "is the judge of all examples, too"),
        (("--half-width", 3, "--bridge", "none.json"), 2, "none.json"),
        (("--half-width", 3, "--baseline", "none"), 2, "expected a run folder, but none is not there"),
    ],
)
def test_wrong_usage_is_said_before_the_official_files_are_wanted(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch, arguments: Flags, code: int, said: str
) -> None:
    """Nobody fetches a file to learn of a slip; without one, right usage is what asks for it."""
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(tmp_path))
    ended = command("plan", "--task", "alpacaeval", "--offline", *arguments)
    assert ended.code == code, ended.err
    assert said in ended.err
    right = command("plan", "--task", "alpacaeval", "--offline", "--half-width", 3, "--judge", CHEAP)
    assert right.code == 2
    assert "--offline" in right.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--task", "gsm8k", "--judge", CHEAP), "--judge plans a number of some width; say which with --half-width"),
        (
            ("--task", "alpacaeval", "--half-width", "0"),
            "--half-width 0: half the width of an interval must be above 0",
        ),
        (("--task", "alpacaeval", "--half-width", "3", "--delta", "2"), "--delta is about the difference of two runs"),
        (("--task", "alpacaeval", "--half-width", "3", "--n", "100"), "--n is about the difference of two runs"),
        (("--task", "alpacaeval", "--half-width", "3", "--correlation", "0"), "--correlation is about the difference"),
        (("--task", "alpacaeval", "--half-width", "3,5,10"), "names several widths; plan for one at a time, such as"),
        (("--task", "alpacaeval", "--half-width", "narrow"), "is no number; give half the width of the interval"),
        (("--task", "alpacaeval", "--half-width", "3", "--metric", "wins"), "--metric wins: alpacaeval@2 has"),
    ],
)
def test_a_question_that_is_none_is_refused(
    flags: Flags, command: Command, arguments: tuple[str, ...], said: str
) -> None:
    """One paragraph each."""
    assert said in command("plan", *arguments, *flags).paragraph
