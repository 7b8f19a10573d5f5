"""``--bridge`` in ``leaderboard`` and ``compare``, and what must not take a prediction for a measured number."""

import csv
import io
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import judgebench as api
from judgebench.analysis.published import published_rows
from judgebench.data.rows import read_rows
from judgebench.errors import UsageError
from judgebench.exchange.score_tables import read_scores
from judgebench.exchange.trackers import measures
from judgebench.models.scripted import ScriptedModel, playing, reply
from judgebench.run.folder import RunFolder
from judgebench.stats.bridge import fit_bridge
from judgebench.tasks import TaskSpec, load
from tests import made_runs
from tests.bridged_runs import write_bridge_for
from tests.commands import Command
from tests.made_bridges import JUDGE, JUDGED, OFFICIAL
from tests.made_runs import write_totals

BRIDGE = ("--bridge", "b.bridge.json")
NAME = "win_rate_official_predicted"
FIT = fit_bridge(JUDGED, OFFICIAL)
MODELS = {"ant": -0.2, "bee": -1.0, "cat": -2.4}
"""The log-probability of the first label in the replies on each model."""


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of three models judged by a judge of today, one of them judged by another, and a bridge for it."""
    folder = tmp_path_factory.mktemp("judged")
    for name, logprob in {**MODELS, "dog": -1.0}.items():
        rows = [{"id": f"starter-{number:02d}", "output": f"Yes {name}.", "generator": name} for number in range(1, 17)]
        (folder / f"{name}.json").write_text(json.dumps(rows))
        judge = "another-judge" if name == "dog" else JUDGE
        said = msgspec.structs.replace(reply("A", logprobs={"A": logprob, "B": -1.0}), model=judge)
        with playing(ScriptedModel(lambda request, said=said: said, name=judge)) as spec:
            api.evaluate(
                f"file:{folder / name}.json", "alpacaeval", judge=spec, starter=True, progress=False,
                out=folder / "runs" / name,
            )  # fmt: skip
    write_bridge_for(folder / "runs" / "ant", folder / "b.bridge.json")
    return folder


@pytest.fixture
def place(judged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of it, as the working directory."""
    shutil.copytree(judged, tmp_path / "place")
    monkeypatch.chdir(tmp_path / "place")
    return tmp_path / "place"


def judged_value(model: str) -> float:
    """What the judge of today says."""
    value = api.load_run(f"runs/{model}").score("win_rate").value
    assert value is not None
    return value


def predicted(model: str, level: float = 0.95) -> tuple[float, float, float]:
    """What the method says: value, low, high."""
    found = FIT.predict(judged_value(model), level)
    assert found.value is not None
    assert found.interval is not None
    return found.value, found.interval.low, found.interval.high


def rows_of_csv(text: str) -> list[dict[str, str]]:
    """The rows of a CSV text."""
    return list(csv.DictReader(io.StringIO(text)))


# -- leaderboard


def test_predicted_rows_have_a_table_of_their_own_below_the_measured_one(place: Path, command: Command) -> None:
    """Best first; what is no prediction of the bridge's is named, and measured rows and ranks are as without it."""
    ended = command("leaderboard", "runs", *BRIDGE)
    assert ended.code == 0, ended.err
    assert "runs/dog: not predicted by the bridge made, because its protocol differs in judges" in ended.err
    text = ended.out
    below = text.index("predicted official (bridge made, judge openai:gpt-4.1-2025-04-14)")
    assert "protocol" in text[:below]
    assert "≈" not in text[:below]
    for model in MODELS:
        value, low, high = predicted(model)
        (line,) = [line for line in text[below:].splitlines() if f" {model} " in line and "≈" in line]
        assert f"≈ {value:.1f} ({low:.1f} to {high:.1f})" in line
    places = [text.index(f"≈ {predicted(model)[0]:.1f}") for model in sorted(MODELS, key=lambda m: -predicted(m)[0])]
    assert places == sorted(places)
    assert "choosing among them by this judge" in " ".join(text.split())


def test_a_bridge_s_own_model_is_marked(place: Path, command: Command) -> None:
    """A prediction of a model that the bridge was fitted to is no evidence, and each table says so beside its name."""
    write_bridge_for(place / "runs" / "ant", place / "own.bridge.json", names=("ant", "m2", "m3", "m4", "m5", "m6"))
    text = " ".join(command("leaderboard", "runs", "--bridge", "own.bridge.json").out.split())
    assert text.count("one of the bridge's own models") == 1
    assert "win_rate of ant: one of the bridge's own models" in text
    assert text.count("ant (bridge model)") == text.count("(bridge model)") == 1
    (one,) = [
        row
        for row in rows_of_csv(command("leaderboard", "runs", "--bridge", "own.bridge.json", "--format", "csv").out)
        if row["kind"] == "predicted" and "own models" in str(row)
    ]
    assert one["model"] == "ant"


def test_runs_of_another_prompt_are_refused_in_words(place: Path, command: Command) -> None:
    """The message has no JSON and no piece of a hash; ``-v`` shows the values."""
    ended = command("score", "runs/dog", *BRIDGE)
    assert ended.code == 2
    assert "the judge's model: gpt-4.1-2025-04-14 in the bridge, another-judge in the run" in ended.err
    assert "{" not in ended.err
    assert "`judgebench -v` shows the values" in ended.err


def test_csv_and_json_have_the_kind_of_every_row(place: Path, command: Command) -> None:
    """With low and high; measured rows are those that there are without a bridge."""
    without = rows_of_csv(command("leaderboard", "runs", "--format", "csv").out)
    rows = rows_of_csv(command("leaderboard", "runs", *BRIDGE, "--format", "csv").out)
    assert [row for row in rows if row["kind"] == "measured"] == without
    found = {row["model"]: row for row in rows if row["kind"] == "predicted"}
    assert {row["metric"] for row in found.values()} == {NAME}
    for model in MODELS:
        expected = predicted(model)
        assert tuple(float(found[model][name]) for name in ("value", "low", "high")) == pytest.approx(expected)
        assert found[model]["rank"] == ""
    groups = json.loads(command("leaderboard", "runs", *BRIDGE, "--format", "json").out)
    kinds = [{row["kind"] for row in group["rows"]} for group in groups]
    assert kinds.count({"predicted"}) == 1
    assert kinds.count({"measured"}) == len(kinds) - 1
    (group,) = [group for group in groups if group["bridge"]]
    assert group["bridge"]["name"] == "made"
    assert all(set(row["scores"]) == {NAME} for row in group["rows"])


@pytest.mark.parametrize("form", ["md", "latex", "html"])
def test_a_printed_prediction_is_marked_in_its_own_cell(place: Path, command: Command, form: str) -> None:
    """So that no cut or pasted row loses it."""
    text = command("leaderboard", "runs", *BRIDGE, "--format", form).out
    mark = {"md": "≈ ", "latex": r"$\approx$ ", "html": "&#8776; "}[form]
    for model in MODELS:
        value, low, high = predicted(model)
        assert f"{mark}{value:.1f} ({low:.1f} to {high:.1f})" in text
        assert text.count(f"{value:.1f} ({low:.1f}") == 1


def test_ranks_of_predicted_rows_are_those_that_their_differences_leave_open(place: Path, command: Command) -> None:
    """By the shared error of the bridge, not by whether two intervals overlap."""
    rows = rows_of_csv(command("leaderboard", "runs", *BRIDGE, "--rank-predicted", "--format", "csv").out)
    found = {row["model"]: row for row in rows if row["kind"] == "predicted"}
    order = sorted(MODELS, key=lambda model: -predicted(model)[0])
    assert [int(found[model]["rank"]) for model in order] == [1, 2, 3]
    for model in MODELS:
        apart = [FIT.difference(judged_value(model), judged_value(other)) for other in MODELS if other != model]
        better = sum(one.interval is not None and one.interval.high < 0 for one in apart)
        worse = sum(one.interval is not None and one.interval.low > 0 for one in apart)
        assert int(found[model]["rank_low"]) == 1 + better
        assert int(found[model]["rank_high"]) == 3 - worse


def test_predicted_rows_can_be_ranked_among_published_ones(place: Path, command: Command) -> None:
    """A published number is exact: the open ranks are those that the predicted interval spans."""
    flags = ("--rank-predicted", "--published", "--task", "alpacaeval@2", "--format", "csv")
    rows = rows_of_csv(command("leaderboard", "runs/bee", *BRIDGE, *flags).out)
    (row,) = [row for row in rows if row["kind"] == "predicted"]
    official = [one.scores["win_rate"].value or 0.0 for one in published_rows("alpacaeval@2")]
    value, low, high = predicted("bee")
    assert int(row["rank"]) == 1 + sum(one > value for one in official)
    assert int(row["rank_low"]) == 1 + sum(one > high for one in official)
    assert int(row["rank_high"]) == 1 + sum(one > low for one in official)
    shown = command("leaderboard", "runs/bee", *BRIDGE, *flags[:-2], "--all").out
    (line,) = [line for line in shown.splitlines() if " bee " in line and "≈" in line]
    assert "predicted" in line


def test_runs_of_another_protocol_alone_are_refused(place: Path, command: Command) -> None:
    """Exit 2, with the fields."""
    assert "judges.house_pairwise_label.model" in command("leaderboard", "runs/dog", *BRIDGE).paragraph
    assert "none is given" in command("leaderboard", "runs", "--rank-predicted").paragraph


def test_a_leaderboard_in_python(place: Path) -> None:
    """Its frame says which rows are predicted."""
    made = api.leaderboard("runs", bridge="b.bridge.json", level=90)
    frame = made.frame().set_index("kind").loc[["predicted"]].set_index("model")
    assert set(frame.index) == set(MODELS)
    expected = predicted("ant", 0.9)
    ends = (NAME, f"{NAME}_low", f"{NAME}_high")
    assert tuple(frame.loc["ant"][name] for name in ends) == pytest.approx(expected)
    assert made.notes


# -- compare


def test_runs_are_compared_by_the_error_that_they_share(place: Path, command: Command) -> None:
    """The difference of two predictions is less uncertain than their intervals; measured differences stay."""
    plain = json.loads(command("compare", "runs/ant", "runs/bee", "--format", "json").out)
    made = json.loads(command("compare", "runs/ant", "runs/bee", *BRIDGE, "--format", "json").out)
    (row,) = made.pop("predicted")
    assert plain.pop("predicted") == []
    assert made == plain
    expected = FIT.difference(judged_value("bee"), judged_value("ant"))
    assert row["kind"] == "predicted"
    assert row["metric"] == NAME
    assert row["difference_logit"] == pytest.approx(expected.difference_logit)
    assert expected.interval is not None
    assert (row["low_logit"], row["high_logit"]) == pytest.approx((expected.interval.low, expected.interval.high))
    assert row["probability_second_better"] == pytest.approx(expected.probability_first_better)
    assert [side["value"] for side in row["sides"]] == pytest.approx([predicted("ant")[0], predicted("bee")[0]])
    assert row["difference"] == pytest.approx(predicted("bee")[0] - predicted("ant")[0])
    assert row["low"] < row["difference"] < row["high"]
    text = " ".join(command("compare", "runs/ant", "runs/bee", *BRIDGE).out.replace("│", " ").split())
    assert "two predictions share the bridge's errors" in text
    lines = rows_of_csv(command("compare", "runs/ant", "runs/bee", *BRIDGE, "--format", "csv").out)
    assert [line["metric"] for line in lines if line["kind"] == "predicted"] == [NAME]


@pytest.mark.parametrize("published_first", [False, True])
def test_a_prediction_is_compared_with_a_published_number(place: Path, command: Command, published_first: bool) -> None:
    """Which was measured, so that the error is the prediction's alone; both directions agree."""
    runs = ["runs/ant", "published:gpt4"]
    ended = command("compare", *(reversed(runs) if published_first else runs), *BRIDGE, "--format", "json")
    assert ended.code == 0, ended.err
    made = json.loads(ended.out)
    (row,) = made["predicted"]
    assert made["tasks"] == []
    assert "is a run of the starter set, whose numbers compare with nothing published" in made["notes"][0]
    (official,) = [one.scores["win_rate"].value for one in published_rows("alpacaeval@2") if one.model == "gpt4"]
    assert official is not None
    found = FIT.predict(judged_value("ant"))
    assert found.logit is not None
    assert found.stderr_logit is not None
    apart = (math.log(official / (100 - official)) - found.logit) * (-1 if published_first else 1)
    assert row["difference_logit"] == pytest.approx(apart)
    half = (row["high_logit"] - row["low_logit"]) / 2
    assert half == pytest.approx(found.stderr_logit * 2.7755, rel=1e-3)  # t of 4.01 degrees of freedom
    kinds = {side["kind"]: side["value"] for side in row["sides"]}
    assert kinds == {"measured": official, "predicted": pytest.approx(found.value)}


def test_runs_are_compared_where_a_published_model_cannot_be(place: Path, command: Command) -> None:
    """Measured differences of runs of one protocol stay beside a published model that has predicted ones only."""
    made = json.loads(command("compare", "runs/ant", "runs/bee", "published:gpt4", *BRIDGE, "--format", "json").out)
    alone = json.loads(command("compare", "runs/ant", "runs/bee", "--format", "json").out)
    assert made["tasks"] == alone["tasks"]
    assert [[side["run"] for side in row["sides"]] for row in made["predicted"]] == [[0, 1], [0, 2]]
    assert [run["path"] for run in made["runs"]] == ["runs/ant", "runs/bee", "published:gpt4"]


@pytest.mark.parametrize("form", ["rich", "md", "latex", "html"])
def test_a_predicted_difference_is_marked_in_its_own_cell(place: Path, command: Command, form: str) -> None:
    """In every form; published numbers say that they are."""
    command_ = ("compare", "runs/ant", "published:gpt4", *BRIDGE, "--format", form)
    text = " ".join(command(*command_).out.replace("│", " ").split())
    mark = {"latex": r"$\approx$ ", "html": "&#8776; "}.get(form, "≈ ")
    value = predicted("ant")[0]
    assert text.count(f"{value:.1f}") == text.count(f"{mark}{value:.1f}") == 1
    assert "published" in text


def test_without_a_bridge_the_message_offers_one(place: Path, command: Command) -> None:
    """A run of another judge and a published row."""
    protocol = {**made_runs.OFFICIAL, "judges": {"house": {"model": "openai:today", "prompt_and_rule": "p"}}}
    write_totals(place / "runs" / "other", "other", 30.0, protocol=protocol)
    said = command("compare", "runs/other", "published:gpt4").paragraph
    assert "A judge bridge predicts the official number of a run of another judge: --bridge" in said


def test_a_comparison_in_python(place: Path) -> None:
    """Predicted differences have a place of their own."""
    made = api.compare("runs/ant", "runs/bee", bridge="b.bridge.json")
    assert [row.metric for row in made.predicted] == [NAME]
    assert NAME not in set(made.frame()["metric"])


# -- what must not take a prediction for a measured number


@pytest.fixture
def scored(place: Path, command: Command) -> Path:
    """The runs, each scored with the bridge."""
    for model in MODELS:
        assert command("score", f"runs/{model}", *BRIDGE).code == 0
    return place


def test_a_gate_refuses_predicted_numbers(scored: Path, command: Command) -> None:
    """Exit 2, which is never a verdict; it says what to gate instead."""
    Path("policy.toml").write_text(f'[tasks.alpacaeval]\nmetric = "{NAME}"\nmax_drop = 2\n')
    runs = ("--baseline", "runs/ant", "--candidate", "runs/bee")
    said = command("gate", *runs, "--policy", "policy.toml").paragraph
    assert "a gate decides about measured numbers" in said
    assert "gate 'win_rate'" in said
    with pytest.raises(UsageError, match="predicted by a judge bridge"):
        api.gate("runs/ant", "runs/bee", policy="policy.toml")


@pytest.mark.parametrize("form", ["alpaca-eval", "every-eval-ever"])
def test_files_of_other_programs_hold_no_prediction(scored: Path, command: Command, form: str) -> None:
    """In none of their files is the name of a predicted metric, nor its value."""
    ended = command("export", "runs/ant", "--to", form, "--out", "exported", "--offline")
    assert ended.code == 0, ended.err
    texts = [path.read_text() for path in Path("exported").rglob("*") if path.is_file()]
    assert texts
    value = repr(predicted("ant")[0])[:9]
    assert not any("predicted" in text or value in text for text in texts)


def test_our_own_table_marks_them_and_reads_them_as_nobodys_report(scored: Path, command: Command) -> None:
    """``export --to csv`` has the kind of each row; what reads such a table leaves predictions out."""
    assert command("export", "runs/ant", "--to", "csv", "--out", "scores.csv").code == 0
    rows = rows_of_csv(Path("scores.csv").read_text())
    assert [row["metric"] for row in rows if row["kind"] == "predicted"] == [NAME]
    task, _ = load(TaskSpec("alpacaeval"), starter=True)
    ((_, read),) = read_scores(read_rows(scored / "scores.csv"), task).values()
    metrics = {score.metric for score in read}
    assert "win_rate" in metrics
    assert NAME not in metrics


def test_trackers_log_them_under_their_own_name(scored: Path) -> None:
    """Beside the measured metric, never in its place."""
    logged = measures(RunFolder(scored / "runs" / "ant").results().scores)
    assert logged["alpacaeval/win_rate"] == judged_value("ant")
    assert logged[f"alpacaeval/{NAME}"] == predicted("ant")[0]


def test_lists_of_runs_show_the_measured_headline(scored: Path, command: Command) -> None:
    """``runs list`` and the tables without ``--bridge`` know nothing of predictions."""
    assert "≈" not in command("runs", "list", "runs").out
    assert "predicted" not in command("leaderboard", "runs").out
    assert "predicted" not in command("compare", "runs/ant", "runs/bee").out
