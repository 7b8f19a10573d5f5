"""``bridge make|show|check``, with a judge of today: a server that replays a real second judge's verdicts."""

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from judgebench.analysis.bridge_drift import with_answer
from judgebench.analysis.published_verdicts import verdicts_of
from judgebench.run.bridge_files import AskedAgain, read_bridge, write_bridge
from judgebench.run.bridging import JudgedRun, predict
from judgebench.run.reading import read_run
from judgebench.stats.bridge import controlled_mean
from tests import campaigns
from tests.alpacaeval_server import committed, stored
from tests.bridge_replies import JUDGE, MODELS, SecondJudge, second_judge, verdicts
from tests.commands import Ended, judgebench
from tests.made_bridges import cases, made_bridge
from tests.patience import wait_for
from tests.processes import kill, manifest_of, started
from tests.servers.launch import Server, chat_server
from tests.shared_data import SHARED

METRICS = {"win_rate": ("ae2_win_rate_from_cot", 1e-6, 1e-4), "lc_win_rate": ("ae2_lc_from_cot_lc", 1e-4, 1e-3)}
"""The published bridges, and the tolerances of their logits and points; the fits of LC are good to 1e-3 points."""
StartServer = Callable[..., Server]


@dataclass(frozen=True)
class Judged:
    """The bridge models, judged by the server."""

    second: SecondJudge
    runs: dict[str, Path]
    folder: Path
    server: Server

    def made(self, path: Path, *models: str) -> Path:
        """A bridge of these models, in a file."""
        judgebench(["bridge", "make", *(self.runs[model] for model in models), *self.flags, "--out", path])
        return path

    @property
    def flags(self) -> list[str]:
        """Of every ``bridge make``."""
        return ["--task", "alpacaeval", *self.second.files]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judged]:
    """All eight models, judged through a server process."""
    folder = tmp_path_factory.mktemp("bridge")
    second = second_judge(SHARED, folder)
    runs = {model: folder / "runs" / "by-server" / model for model in MODELS}
    with chat_server(replies=second.replies) as server:
        for model, run in runs.items():
            judgebench(second.eval(server, model, run, "-q"), JUDGEBENCH_CACHE=str(folder / "cache"))
        yield Judged(second, runs, folder, server)


@pytest.fixture(scope="module")
def bridge(judged: Judged) -> Path:
    """The bridge of all eight."""
    return judged.made(judged.folder / "all.bridge.json", *MODELS)


@pytest.mark.parametrize("metric", METRICS)
def test_the_bridge_is_the_published_one(metric: str, bridge: Path) -> None:
    """Judged through the server, the models give the published bridge: numbers, line, each model left out, verdict."""
    name, relative, points = METRICS[metric]
    case, made = cases()[name], read_bridge(bridge).metrics[metric]
    for model in case["models"]:
        numbers = made.numbers[model["name"]]
        assert (numbers.judged, numbers.official) == pytest.approx((model["judged"], model["official"]), abs=points)
    assert made.fit is not None
    for field in ("n", "centre", "intercept", "slope", "tau", "df"):
        assert getattr(made.fit, field) == pytest.approx(case["fit"][field], rel=relative), field
    left = {model.model: model for model in made.loo}
    for want in case["loo"]:
        own = left[want["model"]]
        assert (own.predicted, own.low95, own.high95) == pytest.approx(
            (want["predicted"], want["low95"], want["high95"]), abs=points * 10 if metric == "lc_win_rate" else points
        )
    assert (made.status, list(made.reasons)) == (case["status"], case["reasons"])


@pytest.mark.parametrize("new", ["claude-2.1", "gpt-3.5-turbo-0301"])
def test_a_new_model_is_predicted_as_published(new: str, judged: Judged, tmp_path: Path) -> None:
    """A model that is not in the bridge gets the published prediction with its interval, and it holds the truth."""
    path = judged.made(tmp_path / "seven.bridge.json", *(model for model in MODELS if model != new))
    ended = judgebench(["bridge", "check", path, judged.runs[new], "--json"])
    checked = {row["metric"]: row for row in json.loads(ended.stdout)["runs"]}
    run = read_run(judged.runs[new])
    for metric, (name, _, points) in METRICS.items():
        want = next(left for left in cases()[name]["loo"] if left["model"] == new)
        row = checked[metric]
        near = pytest.approx((want["predicted"], want["low95"], want["high95"]), abs=10 * points)
        assert (row["predicted"], row["low"], row["high"]) == near
        assert row["official"] == pytest.approx(want["official"])
        assert (row["inside"], row["of_bridge"], row["reasons"]) == (True, False, [])
        number = predict(read_bridge(path), JudgedRun.of(run, run.tasks["alpacaeval"]), metric=metric)
        assert number.prediction.value == row["predicted"]


def test_eval_predicts_a_new_model(judged: Judged, tmp_path: Path) -> None:
    """``eval --bridge``: the new model's answers are judged by the server, and its row is the published prediction."""
    new, path = "Mistral-7B-Instruct-v0.2", tmp_path / "seven.bridge.json"
    judged.made(path, *(model for model in MODELS if model != new))
    arguments = judged.second.eval(judged.server, new, tmp_path / "run", "-q", "--json", "--bridge", str(path))
    ended = judgebench(arguments, JUDGEBENCH_CACHE=str(judged.folder / "cache"))
    scores = {score["metric"]: score for score in json.loads(ended.stdout)["scores"] if score["group"] is None}
    for metric, (name, _, points) in METRICS.items():
        want = next(left for left in cases()[name]["loo"] if left["model"] == new)
        row = scores[f"{metric}_official_predicted"]
        near = pytest.approx((want["predicted"], want["low95"], want["high95"]), abs=10 * points)
        assert (row["value"], row["low"], row["high"]) == near
        assert (row["method"], row["n"], row["n_missing"]) == ("judge bridge, logit, t", 805, 0)


def test_several_metrics_are_shown_on_a_screen(judged: Judged, bridge: Path) -> None:
    """A line for each metric, what is to be read first of each, and the command that shows the models of all. Here the
    judge's own numbers are as near as the predicted ones, which is said once.
    """
    lines = judgebench(["bridge", "show", bridge], COLUMNS="80").stdout.splitlines()
    assert len(lines) <= 45
    assert max(len(line) for line in lines if not line.startswith("judgebench ")) <= 80
    text = " ".join(" ".join(lines).split())
    assert "win_rate: 83 % of the models' differences explained, scatter 0.24 on the logit scale" in text
    assert text.count("the judge's own number is about as near; the bridge adds the interval") == 1
    (row,) = (line for line in lines if line.startswith("│ win_rate "))
    assert "8 of 8" in row
    assert f"bridge show {bridge} -v" in judgebench(["bridge", "show", bridge], COLUMNS="400").stdout
    assert not any(model in line for line in lines for model in MODELS if line.startswith("│"))


def test_what_show_says(judged: Judged, bridge: Path) -> None:
    """``show`` has a row for every model, and in words what the bridge is worth."""
    shown = judgebench(["bridge", "show", bridge, "-v"], COLUMNS="200").stdout
    for model in MODELS:
        assert shown.count(model) >= 3
    for words in (
        "win_rate: gpt-4-1106-preview from gpt-4-turbo-2024-04-09, usable",
        "8 models: slope 0.89, scatter 0.24 on the logit scale",
        "8 of 8 were inside the 95 % interval",
        f"Spearman of judged and official {cases()['ae2_win_rate_from_cot']['checks']['spearman']:.2f}",
        "with 12",
        "with ever more models",
        "a prediction is no measurement",
        "drift: 50 answers of ",
        "about which the judge has not been asked again yet",
        f"served as {JUDGE}",
        "tatsu-lab/alpaca_eval@cd543a1",
    ):
        assert words in shown, words
    record = json.loads(judgebench(["bridge", "show", bridge, "--json"]).stdout)
    assert record == json.loads(bridge.read_text())
    assert record["judge"]["served_model"] == JUDGE
    assert len(record["drift"]["items"]) == 50


def test_too_few_models_are_refused(judged: Judged, tmp_path: Path) -> None:
    """Four models make a file, and exit code 3; ``--force`` makes that 0."""
    four = [judged.runs[model] for model in MODELS[:4]]
    command = ["bridge", "make", *four, *judged.flags, "--out", tmp_path / "four.bridge.json"]
    refused = judgebench(command, code=3)
    assert "refused: the bridge has fewer than 5 models" in refused.stdout
    assert "it is refused and predicts nothing: judge more models" in refused.stdout
    assert "use it with" not in refused.stdout
    assert read_bridge(tmp_path / "four.bridge.json").metrics["win_rate"].status == "refused"
    judgebench([*command, "--force"])
    checked = ["bridge", "check", tmp_path / "four.bridge.json", judged.runs[MODELS[5]], "--json"]
    rows = json.loads(judgebench(checked, code=3).stdout)["runs"]
    assert {row["predicted"] for row in rows} == {None}
    rows = json.loads(judgebench([*checked, "--force"]).stdout)["runs"]
    assert all(row["predicted"] is not None and row["marks"][-1] == "forced" for row in rows)


def test_a_bridge_of_other_models_is_not_overwritten(judged: Judged, tmp_path: Path) -> None:
    """``make`` replaces a file of the same models and judge; of others only with ``--overwrite``."""
    path = judged.made(tmp_path / "b.bridge.json", *MODELS[:6])
    judged.made(path, *MODELS[:6])
    before = path.read_bytes()
    command = ["bridge", "make", *(judged.runs[model] for model in MODELS[:7]), *judged.flags, "--out", path]
    refused = judgebench(command, code=2)
    assert "already holds a bridge of 6 models" in refused.stderr
    assert path.read_bytes() == before
    judgebench([*command, "--overwrite"])
    assert len(read_bridge(path).included) == 7


def test_a_bridge_made_again_keeps_what_its_judge_said_later(judged: Judged, tmp_path: Path) -> None:
    """Checks of drift were paid for: they stay if the drift items and verdicts are the same, and else it is said."""
    path = judged.made(tmp_path / "b.bridge.json", *MODELS[:6])
    bridge = read_bridge(path)
    assert bridge.drift is not None
    asked = AskedAgain(date=date(2026, 11, 30), verdicts=bridge.drift.verdicts, served_model=JUDGE)
    write_bridge(path, with_answer(bridge, asked))
    again = ["bridge", "make", *(judged.runs[model] for model in MODELS[:6]), *judged.flags, "--out", path]
    judgebench([*again, "--overwrite"])
    kept = read_bridge(path).drift
    assert kept is not None
    assert kept.asked == (asked,)
    write_bridge(
        path,
        made_bridge(verdicts=(0.0, 1.0), asked=(AskedAgain(date=asked.date, served_model=JUDGE, verdicts=(0.0, 1.0)),)),
    )
    said = judgebench([*again, "--overwrite"]).stderr
    assert f"1 earlier check of drift is not kept in {path}" in said


def test_ready_bridges_of_a_retired_judge_say_so() -> None:
    """Each ready bridge has the command that uses it, and says if its own judge is served no longer."""
    shown = judgebench(["bridge", "show"]).stdout
    name = "alpacaeval-alpaca_eval_cot_gpt4_turbo_fn-to-official"
    assert f"use: judgebench score RUN --bridge {name}" in shown
    assert "judge not served any more: only for runs that it judged" in shown
    assert "judge not served any more" in judgebench(["bridge", "show", name, "-v"]).stdout


def test_a_judge_of_one_number_has_no_slope(tmp_path: Path) -> None:
    """A line through models that the judge does not tell apart has no slope, and ``show`` does not make one up."""
    write_bridge(tmp_path / "flat.bridge.json", made_bridge([50.0] * 6, [14.0, 22, 36, 41, 60, 68]))
    shown = judgebench(["bridge", "show", tmp_path / "flat.bridge.json", "-v"], COLUMNS="200").stdout
    assert "slope not determined (the judge gave every model the same number)" in shown


def test_a_changed_file_is_refused(bridge: Path, tmp_path: Path) -> None:
    """A scatter that somebody made smaller ends ``show`` and ``check`` with one paragraph."""
    content = json.loads(bridge.read_text())
    content["metrics"]["win_rate"]["fit"]["tau"] /= 2
    path = tmp_path / "changed.bridge.json"
    path.write_text(json.dumps(content))
    for command in ("show", "check"):
        ended = judgebench(["bridge", command, path], code=2)
        assert Ended(ended.returncode, ended.stdout, ended.stderr).paragraph.count("metrics.win_rate.fit.tau") == 1


def other_run(judged: Judged, out: Path, *flags: str, model: str = "alpaca-7b", judge: str = JUDGE) -> Path:
    """A run that was judged otherwise, by the server's fixed reply."""
    with chat_server() as server:
        arguments = judged.second.eval(server, model, out, "-q", "--limit", "20", *flags)
        place = arguments.index("--judge") + 1
        arguments[place] = f"{server.base_url}#{judge}"
        judgebench(arguments, code=None)
    return out


def test_r3_is_exit_2(judged: Judged, bridge: Path, tmp_path: Path) -> None:
    """A run by another judge, or on other items, is a mistake: exit 2, and the message names what differs."""
    another = other_run(judged, tmp_path / "judge", judge="gpt-5-2025-08-07")
    ended = judgebench(["bridge", "check", bridge, another], code=2)
    assert "judges.weighted_alpaca_eval_gpt4_turbo.model" in ended.stderr
    assert "gpt-5-2025-08-07" in ended.stderr
    items = other_run(judged, tmp_path / "items")
    ended = judgebench(["bridge", "check", bridge, items], code=2)
    assert "examples (805 items in the bridge, 20 in the run)" in ended.stderr


def test_runs_of_two_protocols_make_no_bridge(judged: Judged, tmp_path: Path) -> None:
    """A run that was judged otherwise is named, with the fields; so is a chosen part of the items."""
    runs = [judged.runs[model] for model in MODELS if model != "alpaca-7b"]
    part = other_run(judged, tmp_path / "part")
    ended = judgebench(["bridge", "make", *runs, part, *judged.flags], code=2)
    assert "differs from" in ended.stderr
    assert "examples.n" in ended.stderr
    ended = judgebench(["bridge", "make", part, *judged.flags], code=2)
    assert "official numbers are of all" in ended.stderr
    ended = judgebench(["bridge", "make", runs[0], shutil.copytree(runs[0], tmp_path / "copy"), *judged.flags], code=2)
    assert "are both of the model" in ended.stderr


def test_official_numbers_of_a_file(judged: Judged, tmp_path: Path) -> None:
    """A table of the user's gives official numbers, the judge's name and its vendor, which decides who is left out."""
    numbers = read_bridge(judged.made(tmp_path / "a.bridge.json", *MODELS)).metrics["win_rate"].numbers
    table = tmp_path / "official.csv"
    lines = [f"{name},{own.official},claude-3-opus-20240229" for name, own in numbers.items()]
    table.write_text("\n".join(["model,win_rate,judge", *lines]) + "\n")
    path = tmp_path / "b.bridge.json"
    runs = [judged.runs[model] for model in MODELS]
    ended = judgebench(["bridge", "make", *runs, *judged.flags, "--official", table, "--out", path, "--json"])
    made = json.loads(ended.stdout)
    assert (made["official"]["judge"], made["official"]["vendor"]) == ("claude-3-opus-20240229", "anthropic")
    out = {model["name"] for model in made["models"] if not model["included"]}
    assert out == {"claude-2.1", "gpt-3.5-turbo-0301", "gpt4"}
    assert list(made["metrics"]) == ["win_rate"]
    vendors = tmp_path / "vendors.csv"
    vendors.write_text("model,vendor\ngpt4,nobody\ncohere,anthropic\n")
    command = [
        "bridge",
        "make",
        *runs,
        *judged.flags,
        "--official",
        table,
        "--vendors",
        vendors,
        "--out",
        path,
        "--json",
    ]
    made = json.loads(judgebench(command).stdout)
    out = {model["name"] for model in made["models"] if not model["included"]}
    assert out == {"claude-2.1", "gpt-3.5-turbo-0301", "cohere"}
    shown = judgebench(["bridge", "show", path, "-v"], COLUMNS="200").stdout
    (told,) = (line for line in shown.splitlines() if "left out: 3 of a judge's vendor, while" in line)
    assert all(name in told for name in out)


def test_a_plan_sends_nothing(judged: Judged) -> None:
    """``--plan`` names models over the official range with calls and USD, and leaves out variants and the baseline."""
    command = ["bridge", "make", "--plan", "5", *judged.flags, "--judge", "openai:gpt-4.1-2025-04-14"]
    made = json.loads(judgebench([*command, "--json"]).stdout)
    assert made["calls"] == 5 * 805
    assert 0 < made["usd_low"] < made["usd_likely"] < made["usd_high"]
    officials = [model["official"] for model in made["models"]]
    assert officials == sorted(officials)
    assert all(model["pinned"] for model in made["models"])
    assert made["left_out"]["baseline"] == 1
    assert made["left_out"]["variant"] > 5
    shown = judgebench(command, COLUMNS="200").stdout
    assert "4,025 calls" in shown
    assert f"\njudgebench eval -t alpacaeval@2 -m published:{made['models'][0]['name']} -m published:" in shown
    assert "\njudgebench bridge make runs/bridge --task alpacaeval@2\n" in shown
    evaluator = ["--task", "alpacaeval:judge=weighted_alpaca_eval_gpt4.1", *judged.second.files]
    shown = judgebench(["bridge", "make", "--plan", "5", *evaluator], COLUMNS="200").stdout
    assert "4,025 calls of openai:gpt-4.1-2025-04-14" in shown
    spec = "alpacaeval@2:judge=weighted_alpaca_eval_gpt4.1"
    assert f"\njudgebench eval -t {spec} -m published:" in shown
    assert f"\njudgebench bridge make runs/bridge --task {spec}\n" in shown
    unnamed = judgebench(["bridge", "make", "--plan", "5", *judged.flags], COLUMNS="400").stdout
    assert "the USD are those of openai:gpt-4-1106-preview, which is served no longer" in unnamed
    assert " --out runs/bridge --judge J\n" in unnamed
    part = json.loads(judgebench([*command, "--items", "100", "--json"]).stdout)
    assert part["calls"] == 500
    ended = judgebench(["bridge", "make", "--plan", "50", *judged.flags], code=2)
    assert "can be bridge models" in ended.stderr


FIVE = ("alpaca-7b", "claude-2.1", "gpt-3.5-turbo-0301", "gpt4", "Mixtral-8x7B-Instruct-v0.1")


def test_a_random_part_of_the_items(judged: Judged, tmp_path: Path) -> None:
    """``--items 100``: the plan writes the ids; a bridge of runs on those has each model's number with its standard
    error, by the official verdicts of the items where they are published; a new model may be on them too.
    """
    ids, path = tmp_path / "ids.txt", tmp_path / "part.bridge.json"
    judgebench(["bridge", "make", "--plan", "5", "--items", "100", "--out", ids, *judged.flags])
    runs = {model: tmp_path / model for model in FIVE}
    for model, run in runs.items():
        arguments = judged.second.eval(judged.server, model, run, "-q", "--ids", str(ids))
        judgebench(arguments, JUDGEBENCH_CACHE=str(judged.folder / "cache"))
    make = ["bridge", "make", *runs.values(), *judged.flags, "--items", "100", "--out", path]
    judgebench(make, code=None)
    bridge = read_bridge(path)
    assert set(bridge.metrics) == {"win_rate", "discrete_win_rate"}
    assert (bridge.items.k, bridge.items.n, len(bridge.items.ids or ())) == (100, 805, 100)
    assert bridge.items.ids_hash == read_bridge(judged.made(tmp_path / "a.bridge.json", *MODELS)).items.ids_hash
    places = {item: int(item) for item in bridge.items.ids or ()}
    for model, numbers in bridge.metrics["win_rate"].numbers.items():
        shares = verdicts(SHARED, model)
        file = verdicts_of("alpacaeval@2")
        assert file is not None
        known = file.models.get(model)
        official = [100 * float(value or 0) for value in known.values] if known else [0.0] * 805
        rest = [value for place, value in enumerate(official) if place not in places.values()]
        want = controlled_mean(
            [100 * shares[place] for place in places.values()], [official[place] for place in places.values()], rest
        )
        assert (numbers.judged, numbers.judged_stderr) == pytest.approx((want.value, want.stderr)), model
        assert numbers.judged_stderr > 0
    part = read_run(runs["gpt4"])
    number = predict(bridge, JudgedRun.of(part, part.tasks["alpacaeval"]), metric="win_rate", force=True)
    assert "incomplete" not in number.prediction.reasons
    ended = judgebench([*make[:-4], "--items", "99"], code=2)
    assert "are not the 99 which bridges of alpacaeval@2 draw at random" in ended.stderr
    ended = judgebench(make[:-4], code=2)
    assert "official numbers are of all" in ended.stderr


@pytest.mark.parametrize("model", MODELS if campaigns.ALL else ["gpt-3.5-turbo-0301"])
def test_killed_three_times_nothing_is_bought_twice(
    model: str, judged: Judged, tmp_path: Path, start_chat_server: StartServer
) -> None:
    """``kill -9`` three times while a bridge model is judged: no committed reply is asked for again, and the run's
    numbers are those of the run that nobody killed.
    """
    server = start_chat_server(replies=judged.second.replies, delay_ms=60)
    run = tmp_path / "run"
    arguments = [*judged.second.eval(server, model, run, "-q"), "--judge-concurrency", "16"]
    safe = 0
    for _ in range(3):
        with started(arguments) as process:
            before = safe
            wait_for(lambda before=before: stored() > before + 20)
            kill(process)
            assert process.returncode == -signal.SIGKILL, "ended before it was killed"
        assert safe < len(committed()), "nothing was committed in this life"
        safe = len(committed())
    asked = server.counts()["start"]
    server.set(delay_ms=0)
    judgebench(arguments)
    skipped = manifest_of(run).tasks["alpacaeval"].counts["skipped"]  # answers that are the baseline's own
    assert server.counts()["start"] - asked == 805 - skipped - safe
    first, second = (read_run(folder).tasks["alpacaeval"].scores for folder in (run, judged.runs[model]))
    assert [(own.metric, own.value, own.low) for own in first] == [(own.metric, own.value, own.low) for own in second]
    assert manifest_of(run).status == "complete"


def test_a_stopped_check_of_drift_goes_on(
    judged: Judged, bridge: Path, tmp_path: Path, start_chat_server: StartServer
) -> None:
    """``kill -9`` in the middle of a check: the next one asks for what is not committed, and notes one answer."""
    path = Path(shutil.copy(bridge, tmp_path / "b.bridge.json"))
    server = start_chat_server(replies=judged.second.replies, delay_ms=100)
    flags = ["--drift", "-q", *judged.second.files, "--judge", judged.second.judge(server)]
    command = ["bridge", "check", path, *judged.runs.values(), *flags, "--judge-concurrency", "2"]
    with started(command) as process:
        wait_for(lambda: stored() > 5)
        kill(process)
    safe, asked = len(committed()), server.counts()["start"]
    assert 0 < safe < 50
    server.set(delay_ms=0)
    judgebench(command)
    assert server.counts()["start"] - asked == 50 - safe
    drift = read_bridge(path).drift
    assert drift is not None
    assert [own.verdicts for own in drift.asked] == [drift.verdicts]


def test_a_file_cannot_choose_whom_to_ask(judged: Judged, bridge: Path, tmp_path: Path) -> None:
    """A judge at another host must be named by the user, and be the bridge's; without its answers nothing is asked."""
    path = tmp_path / "b.bridge.json"
    content = json.loads(bridge.read_text())
    content["judge"]["spec"] = "http://elsewhere.example/v1#gpt-4-turbo-2024-04-09"
    path.write_text(json.dumps(content))
    ended = judgebench(["bridge", "check", path, "--drift", *judged.runs.values()], code=2)
    assert "a file may come from anyone" in ended.stderr
    flags = ["--judge", "http://127.0.0.1:9/v1#another"]
    ended = judgebench(["bridge", "check", path, "--drift", *judged.runs.values(), *flags], code=2)
    assert "judges.model differs" in ended.stderr
    ended = judgebench(["bridge", "check", path, "--drift"], code=2, cwd=tmp_path)
    assert "no run among those given or below runs holds them" in ended.stderr


def test_drift(judged: Judged, bridge: Path, tmp_path: Path, start_chat_server: StartServer) -> None:
    """The judge that says the same is found the same, by 50 new calls; one that changed makes the bridge stale."""
    path = Path(shutil.copy(bridge, tmp_path / "b.bridge.json"))
    server = start_chat_server(replies=judged.second.replies)
    drift = ["bridge", "check", path, "--drift", "-q", *judged.second.files, "--json"]
    ended = judgebench([*drift, *judged.runs.values(), "--judge", judged.second.judge(server)], cwd=tmp_path)
    record = json.loads(ended.stdout)
    assert record["drift"] == {"asked": 1, "p_value": 1.0, "stale": False}
    assert server.counts()["start"] == 50
    assert read_bridge(path).hash == read_bridge(bridge).hash
    changed = start_chat_server()  # it prefers the first answer, whatever it is
    ended = judgebench([*drift, *judged.runs.values(), "--judge", judged.second.judge(changed)], cwd=tmp_path, code=3)
    assert json.loads(ended.stdout)["drift"]["stale"]
    stale = read_bridge(path)
    run = read_run(judged.runs["gpt4"])
    number = predict(stale, JudgedRun.of(run, run.tasks["alpacaeval"]), metric="win_rate")
    assert number.prediction.reasons == ("stale",)
    assert stale.drift is not None
    shown = judgebench(["bridge", "show", path, "-v"], COLUMNS="400").stdout
    about = (
        f"drift: asked again on {stale.drift.asked[0].date} about 50 answers of {stale.drift.model}, 0 of 50 verdicts"
    )
    assert f"{about} are others than those that the bridge of {stale.created} is made of, p = 1" in shown
    assert "refused: the judge has changed since it judged the bridge" in shown
