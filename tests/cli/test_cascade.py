"""``eval --cascade`` from end to end: who is asked what, the number, what it is worth, and what may be done with it."""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

import judgebench as api
from judgebench.analysis.label_sample import expected_width
from judgebench.errors import UsageError
from judgebench.exchange.hub_results import to_yaml
from judgebench.models.scripted import ScriptedModel, last_message, playing, reply
from judgebench.records import Cascade, Completion, Request
from judgebench.run.reading import read_run
from judgebench.run.stopping import random_order
from judgebench.stats.cascade import cascade_mean, required_dear
from judgebench.stats.sequential import betting_sequence
from tests.commands import Command, judgebench
from tests.processes import lines_of, manifest_of
from tests.shared_data import SharedData

PRICES = {"judge_args": {"usd_per_million": "1/1"}, "dear_args": {"usd_per_million": "20/20"}}
N = 16


def tenth(request: Request, salt: str = "") -> int:
    """A number from 0 to 9 that depends on what is asked."""
    return hashlib.sha256((salt + last_message(request)).encode()).digest()[0] % 10


def cheap_verdict(request: Request) -> Completion:
    """Clear labels."""
    return reply("A", logprobs={"A": -0.1, "B": -2.4} if tenth(request) < 5 else {"A": -2.4, "B": -0.1})


def dear_verdict(request: Request) -> Completion:
    """Of another mind in a fifth of the cases."""
    time.sleep(0.03)  # so that it is not done before anybody has looked
    other = tenth(request, "dear") < 2
    return reply("A", logprobs={"A": -0.2, "B": -1.7} if (tenth(request) < 5) != other else {"A": -1.7, "B": -0.2})


@pytest.fixture
def cast() -> Iterator[tuple[ScriptedModel, ScriptedModel, tuple[str, str, str]]]:
    """Both judges, and the specs of the candidate and of them."""
    cheap = ScriptedModel(cheap_verdict, name="cheap", identity="cheap")
    dear = ScriptedModel(dear_verdict, name="dear", identity="dear")
    candidate = ScriptedModel(lambda request: f"Answer to {last_message(request)}", name="m", identity="m")
    with playing(candidate) as model, playing(cheap) as first, playing(dear) as second:
        yield cheap, dear, (model, first, second)


def shares(path: Path) -> dict[str, float]:
    """The candidate's share by example, of a file of example scores."""
    return {row["example_id"]: row["value"] for row in lines_of(path) if row["metric"] == "preference"}


def test_the_dear_judge_is_asked_about_the_part_alone(
    cast: tuple[ScriptedModel, ScriptedModel, tuple[str, str, str]], tmp_path: Path
) -> None:
    """The first six of the drawn order; number, interval and gain are those of ``stats.cascade``; the manifest says who
    was asked what and what it cost; of the dear judge on all 16 the price is that of its six times 16/6.
    """
    cheap, dear, (model, first, second) = cast
    out = tmp_path / "run"
    run = api.evaluate(
        model, "alpacaeval", judge=first, cascade=second, dear=6, starter=True, out=out, progress=False, **PRICES
    )
    assert (len(cheap.asked), len(dear.asked)) == (N, 6)
    said, part = shares(out / "alpacaeval/example_scores.jsonl"), shares(out / "alpacaeval/dear_scores.jsonl")
    judged = [
        line["example_id"] for line in lines_of(out / "alpacaeval/judgements.jsonl") if line["judge_model"] == "dear"
    ]
    assert set(judged) == set(part) == set(random_order(list(said))[:6])
    expected = cascade_mean(
        [part[name] for name in part], [said[name] for name in part], [said[n] for n in said if n not in part]
    )
    assert expected.interval is not None
    score = run.score("win_rate")
    assert (score.value, score.low, score.high, score.n, score.n_missing) == pytest.approx(
        (100 * expected.value, 100 * expected.interval.low, 100 * expected.interval.high, N, 0)  # type: ignore[operator]
    )
    assert score.details["cascade"]["gain"] == pytest.approx(expected.gain)
    assert "what scripted:dear would say of all 16: it judged 6 of them" in str(score.method)
    assert run.score("win_rate", group="judge=scripted:cheap").value == pytest.approx(100 * sum(said.values()) / N)
    controlled = run.score("lc_win_rate")
    assert controlled.value is None
    assert "plain means" in str(controlled.reason)
    assert run.score("avg_length").value is not None
    record = manifest_of(out).tasks["alpacaeval"].cascade
    assert record is not None
    assert (record.cheap, record.dear, record.n, record.population) == (("scripted:cheap",), "scripted:dear", 6, N)
    assert (record.cheap_calls, record.dear_calls) == (N, 6)
    assert record.usd_dear is not None
    assert record.usd_cheap is not None
    assert record.usd_saved == pytest.approx(record.usd_dear * 10 / 6 - record.usd_cheap)
    assert manifest_of(out).tasks["alpacaeval"].counts["read"] == N + 6


def test_it_goes_on_and_scores_again_without_a_call(
    cast: tuple[ScriptedModel, ScriptedModel, tuple[str, str, str]], tmp_path: Path
) -> None:
    """A second start asks nothing; ``score`` gives the same numbers; a second size of the part is refused."""
    cheap, dear, (model, first, second) = cast
    out = tmp_path / "run"
    common: dict[str, Any] = {"judge": first, "cascade": second, "starter": True, "out": out, "progress": False}
    before = api.evaluate(model, "alpacaeval", dear_share=0.25, **common)
    asked = len(cheap.asked), len(dear.asked)
    assert asked == (N, 4)
    again = api.evaluate(model, "alpacaeval", dear_share=0.25, **common)
    assert (len(cheap.asked), len(dear.asked)) == asked
    assert again.scores == before.scores == api.score(out).scores
    with pytest.raises(UsageError, match=r"differs in alpacaeval\.cascade\.n"):
        api.evaluate(model, "alpacaeval", dear=8, **common)


def test_answers_of_a_run_are_judged_by_both(
    cast: tuple[ScriptedModel, ScriptedModel, tuple[str, str, str]], tmp_path: Path
) -> None:
    """``judge RUN``; once its part is judged, the part of a run is not changed."""
    cheap, dear, (model, first, second) = cast
    common = ["--tasks", "alpacaeval", "--starter", "--quiet"]
    judgebench(["generate", "--model", model, *common, "--out", tmp_path / "run"])
    both = ["judge", tmp_path / "run", "--judge", first, "--cascade", second, "--quiet", "--dear"]
    text = judgebench([*both, "5"]).stdout
    assert (len(cheap.asked), len(dear.asked)) == (N, 5)
    assert "scripted:dear 5 of them" in " ".join(text.split())
    judgements = tmp_path / "run/alpacaeval/judgements.jsonl"
    kept = [line for line in lines_of(judgements) if line["judge_model"] == "cheap"]
    judgements.write_text("".join(json.dumps(line) + "\n" for line in kept))
    judgebench([*both, "5"])
    assert len({line["case_id"] for line in lines_of(judgements) if line["judge_model"] == "dear"}) == 5
    assert len(dear.asked) == 5  # those that were lost are in the call store
    refused = judgebench(["judge", tmp_path / "run", "--quiet"], code=2).stderr
    assert "--judge, --cascade and --dear" in refused
    labels = tmp_path / "labels.csv"
    labels.write_text("example_id,label\nstarter-01,win\n")
    assert "has a cascade" in judgebench(["score", tmp_path / "run", "--labels", labels], code=2).stderr
    refused = judgebench([*both, "7"], code=2).stderr
    assert "drawn before it was judged" in refused


def test_its_rows_stand_apart_and_pass_no_gate(
    cast: tuple[ScriptedModel, ScriptedModel, tuple[str, str, str]], tmp_path: Path
) -> None:
    """A cascade is ranked with neither judge's rows; a gate refuses it and ``compare`` with a plain run, too."""
    _, _, (model, first, second) = cast
    common: dict[str, Any] = {"starter": True, "progress": False}
    for name, how in (
        ("c", {"judge": first, "cascade": second, "dear": 6}),
        ("a", {"judge": first}),
        ("b", {"judge": second}),
    ):
        api.evaluate(model, "alpacaeval", out=tmp_path / name, **how, **common)
    groups = api.leaderboard(tmp_path).groups
    assert [len(group.rows) for group in groups] == [1, 1, 1]
    (flags,) = (row.flags for group in groups for row in group.rows if "cascade" in row.protocol)
    assert "cascade, scripted:dear on 6 of 16" in flags
    refused = judgebench(
        ["gate", "--baseline", tmp_path / "c", "--candidate", tmp_path / "c", "--max-drop", "1"], code=2
    ).stderr
    assert "estimates of what scripted:dear would say" in refused
    judgebench(["compare", tmp_path / "a", tmp_path / "c"], code=2)
    assert "item" in judgebench(["show", tmp_path / "c"]).stdout


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--cascade", "builtin:smollm2"], "needs one size"),
        (["--cascade", "builtin:smollm2", "--dear", "5", "--dear-share", "0.5"], "--dear 5 and --dear-share 0.5"),
        (["--dear", "5"], "none is named"),
        (["--cascade", "builtin:smollm2", "--dear", "two"], "neither a number"),
        (["--cascade", "builtin:smollm2", "--dear", "auto"], "no width is given"),
        (["--cascade", "builtin:smollm2", "--dear", "5", "--stop-when", "ci<9"], "fixes the size"),
        (["--cascade", "builtin:smollm2", "--dear", "17"], "has 16 examples"),
        (["--cascade", "builtin:smollm2", "--dear-share", "1.5"], "is no share"),
        (["--cascade", "judge.toml", "--dear", "5"], "named as a model"),
        (["--cascade", "builtin:smollm2", "--dear", "5", "--labels", "l.csv"], "--labels starts from"),
        (["--cascade", "builtin:smollm2", "--dear", "5", "--bridge", "b"], "--bridge starts from"),
        (["--cascade", "builtin:tiny", "--dear", "5"], "name two different models"),
    ],
)
def test_flags_that_make_no_sense_are_refused(flags: list[str], words: str, tmp_path: Path) -> None:
    """Before anything is asked, in one paragraph."""
    command = ["eval", "--model", "builtin:tiny", "--tasks", "alpacaeval", "--starter", "--judge", "builtin:tiny"]
    refused = judgebench([*command, *flags, "--out", tmp_path / "run"], code=2).stderr
    assert words in refused
    assert refused.count("\n") == 1


@pytest.mark.parametrize(("task", "words"), [("gsm8k", "are verified"), ("arenahard", "weighted by the verdicts")])
def test_tasks_without_a_plain_mean_of_verdicts_are_refused(task: str, words: str, tmp_path: Path) -> None:
    """Verified answers, and a win rate in which a clear win counts three times."""
    command = ["eval", "--model", "builtin:tiny", "--tasks", task, "--starter", "--judge", "builtin:tiny"]
    refused = judgebench(
        [*command, "--cascade", "builtin:smollm2", "--dear", "5", "--out", tmp_path / "r"], code=2
    ).stderr
    assert words in refused


def test_auto_ends_when_the_interval_is_narrow(
    cast: tuple[ScriptedModel, ScriptedModel, tuple[str, str, str]], tmp_path: Path
) -> None:
    """The dear judge begins when the cheap one is done, goes through the drawn order and stops; the interval is that of
    the confidence sequence with the cheap verdicts as control, and other metrics have none. A second start asks
    nothing, and ``score`` gives the same numbers.
    """
    cheap, dear, (model, first, second) = cast
    out = tmp_path / "run"
    how: dict[str, Any] = {"judge": first, "cascade": second, "dear": "auto", "stop_when": "win_rate ci<16"}
    run = api.evaluate(model, "alpacaeval", starter=True, out=out, progress=False, **how)
    record = manifest_of(out).tasks["alpacaeval"].cascade
    assert record is not None
    assert len(cheap.asked) == N
    assert record.n < N
    assert record.n <= len(dear.asked) <= record.n + 4  # few are under way when it ends
    assert record.dear_used == record.n
    assert record.dear_calls + record.dear_unused == len(dear.asked)
    said, part = shares(out / "alpacaeval/example_scores.jsonl"), shares(out / "alpacaeval/dear_scores.jsonl")
    order = random_order(list(said))
    assert set(part) == set(order[: record.n])
    sequence = betting_sequence(
        [part[name] for name in order[: record.n]], N, control=[said[name] for name in order], steps=1000
    )
    assert sequence.interval is not None
    score = run.score("win_rate")
    assert (score.low, score.high) == pytest.approx((100 * sequence.interval.low, 100 * sequence.interval.high))
    assert (sequence.high[-2] - sequence.low[-2]) / 2 >= 0.16 > (sequence.high[-1] - sequence.low[-1]) / 2
    assert "holds however often" in str(score.method)
    assert run.score("discrete_win_rate").low is None
    asked = len(cheap.asked), len(dear.asked)
    assert api.score(out).scores == run.scores
    assert api.evaluate(model, "alpacaeval", starter=True, out=out, progress=False, **how).scores == run.scores
    assert (len(cheap.asked), len(dear.asked)) == asked


def test_two_cascades_are_compared_verdict_by_verdict(
    cast: tuple[ScriptedModel, ScriptedModel, tuple[str, str, str]], tmp_path: Path
) -> None:
    """By the differences of both judges on the same part: number and interval are those of ``stats.cascade``; two that
    ended by a rule are not compared.
    """
    _, _, (model, first, second) = cast
    common: dict[str, Any] = {"judge": first, "cascade": second, "starter": True, "progress": False}
    other = ScriptedModel(lambda request: f"Another answer to {last_message(request)}", name="n", identity="n")
    with playing(other) as rival:
        for name, candidate in (("a", model), ("b", rival)):
            api.evaluate(candidate, "alpacaeval", out=tmp_path / name, dear=8, **common)
            rule = {"dear": "auto", "stop_when": "win_rate ci<30"}
            api.evaluate(candidate, "alpacaeval", out=tmp_path / f"auto-{name}", **rule, **common)
    cheap, dear = (
        [shares(tmp_path / run / f"alpacaeval/{file}.jsonl") for run in "ab"]
        for file in ("example_scores", "dear_scores")
    )
    expected = cascade_mean(
        [dear[1][name] - dear[0][name] for name in dear[0]],
        [cheap[1][name] - cheap[0][name] for name in dear[0]],
        [cheap[1][name] - cheap[0][name] for name in cheap[0] if name not in dear[0]],
        low=-1,
        high=1,
    )
    compared = api.compare(tmp_path / "a", tmp_path / "b").record.tasks[0]
    found = next(row for row in compared.differences if row.metric == "win_rate")
    assert expected.interval is not None
    assert expected.value is not None
    assert (found.difference, found.low, found.high) == pytest.approx(
        (100 * expected.value, 100 * expected.interval.low, 100 * expected.interval.high)
    )
    assert "win_rate" in judgebench(["compare", tmp_path / "a", tmp_path / "b"]).stdout
    assert "ended by a rule" in judgebench(["compare", tmp_path / "auto-a", tmp_path / "auto-b"], code=2).stderr


def test_a_cascade_is_the_pilot_of_a_plan(
    cast: tuple[ScriptedModel, ScriptedModel, tuple[str, str, str]], tmp_path: Path, shared_data: SharedData
) -> None:
    """``plan --half-width`` takes gain and spread from a cascade's run and says how many verdicts the width takes."""
    _, _, (model, first, second) = cast
    out = tmp_path / "run"
    run = api.evaluate(
        model, "alpacaeval", judge=first, cascade=second, dear=6, starter=True, out=out, progress=False, **PRICES
    )
    pilot = run.score("win_rate").details["cascade"]
    record = manifest_of(out).tasks["alpacaeval"].cascade
    assert record is not None
    assert record.usd_dear is not None
    assert pilot["usd_per_dear_item"] == pytest.approx(record.usd_dear / 6)
    judges = ["--judge", "openai:gpt-4.1", "--cascade", "openai:gpt-4o"]
    plan = ["plan", "--task", "alpacaeval", "--metric", "win_rate", "--baseline", out, *judges, "--half-width", "4"]
    files = ["--mirror", shared_data / "alpacaeval", "--offline", "--json"]
    ways = json.loads(judgebench([*plan, *files], OPENAI_API_KEY="x").stdout)["ways"]
    (cascade,) = (way for way in ways if way["kind"] == "cascade")
    gain = pilot["gain"] or 1.7
    n = required_dear(4, sd=pilot["sd_dear"], gain=gain, population=805, span=100)
    assert any(f"judges {n} of 805" in told for told in cascade["assumed"])
    without = [part for part in (*plan, *files) if part not in ("--cascade", "openai:gpt-4o")]
    ways = json.loads(judgebench(without, OPENAI_API_KEY="x").stdout)["ways"]
    assert next(way["reason"] for way in ways if way["kind"] == "cascade").startswith(
        f"{second}, the run's own, is not planned with, because it is neither a vendor's model nor one that ships"
    )
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["tasks"]["alpacaeval"]["cascade"]["dear"] = "openai:gpt-4o"
    (out / "manifest.json").write_text(json.dumps(manifest))
    ways = json.loads(judgebench(without, OPENAI_API_KEY="x").stdout)["ways"]
    assert cascade in ways


def test_a_starter_run_of_judges_that_ship_plans_with_them(
    cast: tuple[ScriptedModel, ScriptedModel, tuple[str, str, str]],
    tmp_path: Path,
    shared_data: SharedData,
    command: Command,
) -> None:
    """Its 16 verdicts stand for those of all 805, which are still to be made. Where no judge costs anything, time
    decides, and the plan says from where on.
    """
    _, _, (model, first, second) = cast
    out = tmp_path / "run"
    api.evaluate(model, "alpacaeval", judge=first, cascade=second, dear=6, starter=True, out=out, progress=False)
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["tasks"]["alpacaeval"]["cascade"] |= {"cheap": ["builtin:tiny"], "dear": "builtin:smollm2"}
    (out / "manifest.json").write_text(json.dumps(manifest))
    what = ("plan", "--task", "alpacaeval", "--metric", "win_rate", "--baseline", out, "--half-width", 9, "--json")
    found = json.loads(command(*what, "--mirror", shared_data / "alpacaeval", "--offline").out)
    _, cascade, dear, labels = found["ways"]
    assert (found["judge"], found["judged"], found["cheapest"]) == ("builtin:tiny", False, None)
    assert found["judge_chosen"].startswith("builtin:tiny is the run's own judge")
    assert cascade["possible"]
    assert cascade["judge_calls"] == 805 + cascade["dear_calls"]
    assert (cascade["usd"], dear["usd"]) == (0, 0)
    less = f"{100 * (805 - cascade['dear_calls']) / 805:.0f}"
    assert f"if builtin:tiny needs less than {less} % of its time for a call" in cascade["assumed"][-1]
    values = (list(shares(out / "alpacaeval/example_scores.jsonl").values()) * 805)[:805]
    assert labels["judge_calls"] == 805
    assert expected_width(values, 0.7, labels["labels"]) <= 9 < expected_width(values, 0.7, labels["labels"] - 1)
    assert "the run is a pilot: its 16 examples (the starter set) say" in " ".join(found["notes"])


def test_an_estimate_is_no_result_for_the_hub(
    cast: tuple[ScriptedModel, ScriptedModel, tuple[str, str, str]], tmp_path: Path
) -> None:
    """The Hub ranks measured numbers: the same scores without the cascade would be written, with it they are not."""
    _, _, (model, first, second) = cast
    out = tmp_path / "run"
    api.evaluate(model, "alpacaeval", judge=first, cascade=second, dear=6, starter=True, out=out, progress=False)
    run = read_run(out)
    of_task = run.tasks["alpacaeval"]

    def written(cascade: Cascade | None) -> dict[str, bytes]:
        manifest = msgspec.structs.replace(of_task.task_manifest, starter=False, cascade=cascade)
        return to_yaml(replace(run, tasks={"alpacaeval": replace(of_task, task_manifest=manifest)}))

    pytest.importorskip("huggingface_hub")
    assert len(written(None)) == 1
    with pytest.raises(UsageError, match="with a cascade"):
        written(of_task.task_manifest.cascade)


def test_the_screen_says_of_which_population_each_interval_is(
    cast: tuple[ScriptedModel, ScriptedModel, tuple[str, str, str]], tmp_path: Path
) -> None:
    """The cascade's is about these examples, the cheap judge's row about all that could have been drawn; few verdicts
    are wide by rule; with all examples judged by the dear judge the width is 0, and that is said.
    """
    _, _, (model, first, second) = cast
    command = ["eval", "--model", model, "--tasks", "alpacaeval", "--starter", "--quiet"]
    both = [*command, "--judge", first, "--cascade", second, "--dear"]
    few = " ".join(judgebench([*both, "5", "--out", tmp_path / "few"]).stdout.split())
    assert "the interval of win_rate, discrete_win_rate is about these 16 examples alone" in few
    assert "about all examples that could have been drawn" in few
    assert "5 verdicts of scripted:dear are fewer than 100: the interval is wide by rule" in few
    assert "the width is 0" not in few
    whole = " ".join(judgebench([*both, N, "--out", tmp_path / "all"]).stdout.split())
    assert "scripted:dear judged all of these examples, so nothing is left to estimate: the width is 0" in whole
    assert "wide by rule" not in whole


def test_n_of_a_cascade_is_n_of_every_other_row(tmp_path: Path) -> None:
    """MT-Bench's score counts turns, two of an example, beside a cascade as everywhere."""
    both = {"judge": "builtin:tiny", "dear": 3}
    grade = ScriptedModel(lambda request: reply("Rating: [[7]]"), name="dear", identity="dear")
    with playing(grade) as dear:
        run = api.evaluate(
            "builtin:tiny", "mtbench", cascade=dear, starter=True, out=tmp_path / "r", progress=False, limit=4, **both
        )
    found = {(score.group, score.n) for score in run.scores if score.metric == "score"}
    assert {(None, 8), ("judge=builtin:tiny", 8)} <= found


def test_a_cascade_of_an_own_task_plans_another(tmp_path: Path) -> None:
    """``plan --half-width`` takes what the cheap judge is worth from it; a difference needs single verdicts, which it
    has not, and the message names ``--half-width``.
    """
    judgebench(["tasks", "new", "mine", "--kind", "pairwise"], cwd=tmp_path)
    own, run = tmp_path / "mine", tmp_path / "run"
    model = ScriptedModel(lambda request: f"Answer to {last_message(request)}", name="m", identity="m")
    cheap = ScriptedModel(lambda request: reply(f"[[{'AB'[tenth(request) % 2]}]]"), name="cheap", identity="cheap")
    dear = ScriptedModel(lambda request: reply(f"[[{'AB'[tenth(request) % 2]}]]"), name="dear", identity="dear")
    with playing(model) as candidate, playing(cheap) as first, playing(dear) as second:
        both = ["--judge", first, "--cascade", second, "--dear", "5"]
        judgebench(["eval", "--model", candidate, "--tasks", own, *both, "--out", run, "--quiet"])
    plan = ["plan", "--task", own, "--baseline", run]
    judges = ["--judge", "builtin:tiny", "--cascade", "builtin:smollm2"]
    found = json.loads(judgebench([*plan, *judges, "--half-width", "40", "--json"]).stdout)
    (cascade,) = (way for way in found["ways"] if way["kind"] == "cascade")
    assert cascade["dear_calls"] > 0
    assert any("the run's verdicts are too few or too alike to show it" in told for told in cascade["assumed"])
    refused = judgebench([*plan, "--delta", "5"], code=2).stderr
    assert f"judgebench plan --half-width W --baseline {run}" in refused


def test_show_says_which_judge_gave_each_verdict(
    cast: tuple[ScriptedModel, ScriptedModel, tuple[str, str, str]], tmp_path: Path
) -> None:
    """The cheap one on every item, the dear one after it on its part; and whose verdicts the values are."""
    _, _, (model, first, second) = cast
    out = tmp_path / "run"
    api.evaluate(model, "alpacaeval", judge=first, cascade=second, dear=6, starter=True, out=out, progress=False)
    glance = judgebench(["show", out], COLUMNS="80").stdout
    assert "a cascade: items' values are by scripted:cheap, the cheap judge of all;" in glance
    assert "judged 6 of 16 items" in " ".join(glance.split())
    part = shares(out / "alpacaeval/dear_scores.jsonl")
    (both, alone) = (
        next(iter(part)),
        next(name for name in shares(out / "alpacaeval/example_scores.jsonl") if name not in part),
    )
    (task,) = json.loads(judgebench(["show", out, "--item", both, "--item", alone, "--json"]).stdout)["tasks"]
    seats = {one["example_id"]: [said.get("seat") for said in one["judgements"]] for one in task["samples"]}
    assert seats == {both: ["cheap", "dear"], alone: ["cheap"]}
    shown = judgebench(["show", out, "--item", both], COLUMNS="100").stdout
    assert "a cascade: values by scripted:cheap, the cheap judge" in shown
    assert shown.index("── cheap judge house_pairwise_label · cheap") < shown.index(
        "── dear judge house_pairwise_label · dear"
    )
    lines = json.loads(judgebench(["show", out, "--group", "alpacaeval:subset=advice", "--json"]).stdout)["tasks"][0][
        "lines"
    ]
    for line in lines:
        said = line["verdicts"].split(", ")
        assert [word.split()[0] for word in said] == ["cheap", "dear"][: 1 + (line["example_id"] in part)]
