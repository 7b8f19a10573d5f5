"""What stands behind a judge's numbers in the report: audits of the judge, and bridges to official numbers."""

import re
from pathlib import Path

import msgspec
import pytest

from judgebench.auditing.cards import Cost, JudgeCard
from judgebench.auditing.figures import Figure
from judgebench.codec import read_json, write_json
from judgebench.records import Score
from judgebench.report.bridge_plots import Point, left_out, regression
from judgebench.report.plots import Scale
from judgebench.run.bridge_files import Bridge, write_bridge
from judgebench.run.bridging import predict
from judgebench.run.folder import Results
from judgebench.run.judge_marks import CARD, MARK, AuditMark, DecisiveFigure, asked_hash, audits_folder
from judgebench.run.predicting import predicted_row
from tests.commands import judgebench
from tests.made_bridges import made_bridge, made_run
from tests.made_runs import JUDGED, write_run

NOTHING = Figure(name="usd", value=None, n=0, policy="none", unit="number", reason="no price is known")


def card(judge: str, *, asked: object, model: str, unfit: str = "") -> JudgeCard:
    """A card with one decisive figure."""
    figure = DecisiveFigure(
        name="consistent", words="same winner in both orders", value=0.8125, low=0.7, high=0.9, n=96
    )
    mark = AuditMark(
        judge=judge, asked=(asked_hash(asked),), models=(model,), day="2026-11-29", decisive=(figure,), unfit=unfit
    )
    cost = Cost(verdicts=96, usd=None, per_verdict=NOTHING, prompt_tokens=1, completion_tokens=1, seconds=NOTHING)
    return JudgeCard(
        judge=judge, models=(model,), kind="label", prompt="our prompt", reading=("last label",),
        made_at="2026-11-29T00:00:00Z", mark=mark, reports=(), probes=(), cost=cost,
    )  # fmt: skip


def keep(made: JudgeCard, name: str) -> None:
    """Put a card among the audits of this machine."""
    folder = audits_folder() / name
    folder.mkdir(parents=True)
    write_json(folder / CARD, made)
    write_json(folder / MARK, made.mark)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that ``judge-1`` judged, on a machine without audits."""
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(tmp_path / "cache"))
    write_run(
        tmp_path / "runs" / "mine", [1.0, 0, 1], model="mine", protocol=JUDGED, task="talks", version="1",
        metrics=("win_rate",), answers=["a", "b", "c"], verdicts=["x", "y", "z"],
    )  # fmt: skip
    return tmp_path / "runs" / "mine"


def page_of(run: Path, *words: object) -> str:
    """The report of a run."""
    judgebench(["report", run, "--html", "page.html", "--overwrite", *words], cwd=run.parents[1])
    return (run.parents[1] / "page.html").read_text()


def test_a_judges_card_stands_beside_its_numbers(run: Path) -> None:
    """Its decisive figure in the summary, the card in the judge's view and on the judge's page of a site."""
    assert "same winner in both orders" not in page_of(run)
    keep(card("openai:judge-1", asked=JUDGED["judges"]["j"], model="judge-1", unfit="it must not be used"), "one")
    keep(card("openai:judge-2", asked="another", model="judge-2"), "two")
    page = page_of(run)
    assert "same winner in both orders 81.2 % (n = 96, 70–90); it must not be used" in page
    assert "<b>81.2 %</b> same winner in both orders" in page
    assert "talks@1: an audit says of the judge openai:judge-1: it must not be used" in page
    assert "judge of talks@1" in page
    assert "judge-2" not in page
    judgebench(["report", run.parent, "--html", "site/"], cwd=run.parents[1])
    (judge,) = (run.parents[1] / "site" / "judges").iterdir()
    assert "<b>81.2 %</b>" in judge.read_text()


def test_an_audit_with_another_prompt_says_so(run: Path) -> None:
    """It is of the same model, and not of what made the numbers."""
    keep(card("openai:judge-1", asked="another prompt", model="judge-1"), "one")
    page = page_of(run)
    assert "with another prompt: same winner" in page
    assert "with another prompt than the numbers here were made with" in page


def test_a_new_audit_is_shown_by_a_site(run: Path) -> None:
    """The pages of the runs that its judge judged are written again."""
    words = ["report", run.parent, "--html", "site/", "--json"]
    judgebench(words, cwd=run.parents[1])
    keep(card("openai:judge-1", asked=JUDGED["judges"]["j"], model="judge-1"), "one")
    said = judgebench(words, cwd=run.parents[1]).stdout
    assert '"runs/mine-' in said.partition('"kept"')[0]


def with_prediction(run: Path, bridge: Bridge) -> Score:
    """Note in a run's results what a bridge predicts for it."""
    number = predict(bridge, made_run(35.0, name="mine"), metric="win_rate")
    row = predicted_row(number, "talks")
    results: Results = read_json(run / "results.json", Results)
    write_json(run / "results.json", msgspec.structs.replace(results, scores=[*results.scores, row]))
    return row


def test_a_bridge_shows_what_it_stands_on(run: Path) -> None:
    """The prediction, each model with what the others say of it as ``bridge show`` prints it, and pictures of both."""
    bridge, file = made_bridge(), run.parents[1] / "made.bridge.json"
    write_bridge(file, bridge)
    row = with_prediction(run, bridge)
    assert row.value is not None
    page = page_of(run, "--bridge", file)
    assert 'data-view="bridge">Bridge' in page
    assert f"≈ {row.value:.1f} (" in page
    shown = judgebench(["bridge", "show", file, "--json"]).stdout
    assert '"loo"' in shown
    for left in bridge.metrics["win_rate"].loo:
        assert f"{left.low95:.2f} – {left.high95:.2f}" in page
        assert f">{left.predicted:.2f}<" in page
    assert "m1: judge 10.00, official 14.00, predicted without it" in page
    assert "mine is predicted" in page


def test_a_bridge_whose_file_is_not_here_shows_what_the_run_says(run: Path) -> None:
    """The run's own details are evidence enough for a line; the page says how to see more."""
    with_prediction(run, made_bridge())
    page = page_of(run)
    assert "left out one at a time" in page
    assert "--bridge FILE shows its models" in page
    refused = judgebench(["report", run, "--html", "x.html", "--bridge", "none.json"], code=2, cwd=run.parents[1])
    assert "cannot be read" in refused.stderr


def test_marks_say_by_shape_and_words_who_is_not_predicted() -> None:
    """A model inside the interval of the others is a disc, one outside a cross; each says its numbers."""
    inside, outside = Point("in", 10, 12, 11, 8, 15, True), Point("out", 40, 80, 42, 30, 55, False)
    drawn = str(regression([inside, outside], [], None, ("today", "official"), "percent"))
    assert len(re.findall("<circle", drawn)) == 1
    assert "1 of 2 lie in the interval that the others give" in drawn
    assert "out: judge 40.00, official 80.00, predicted without it 42.00 (30.00 to 55.00): outside" in drawn
    assert "outside" in str(left_out(outside, Scale(0, 100), "percent"))
    assert left_out(Point("new", 1, 2), Scale(0, 100), "percent") == ""
