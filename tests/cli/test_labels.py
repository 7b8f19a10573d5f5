"""``labels``: a sample for people to label, blind, and their labels read back."""

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import judgebench
from judgebench.data.csv_cells import original_text
from judgebench.exchange.importing import import_run
from judgebench.models.scripted import ScriptedModel, playing, reply
from judgebench.records import Completion, Request
from judgebench.run.loading import source_finder
from judgebench.run.reading import read_run
from judgebench.run.settings import Settings
from tests.browser import browser
from tests.commands import Command
from tests.patience import wait_for
from tests.shared_data import SharedData

HOSTILE = "</pre></script><script>alert(1)</script><img src=x onerror=alert(2)> =1+1 \u202e\x1b[31m"
SIZE = 16
"""Examples of AlpacaEval's starter set."""


def answer(request: Request) -> str:
    """The candidate's answer, which a page and a table must survive."""
    return f"=HYPERLINK(1) Mine to: {request.messages[-1].content[:200]}\n\n{HOSTILE}"


def verdict(request: Request) -> Completion:
    """The judge's verdict, by the hash of what it was shown: sure or not, for either side."""
    kind = hashlib.sha256(request.messages[-1].content.encode()).digest()[0] % 4
    first, second = [(-0.01, -9.0), (-0.5, -0.93), (-0.93, -0.5), (-9.0, -0.01)][kind]
    return reply("A", logprobs={"A": first, "B": second})


def made(out: Path, name: str = "candidate", says: Callable[[Request], str] = answer) -> Path:
    """A judged run of the starter set."""
    with playing(ScriptedModel(says, name=name)) as model, playing(ScriptedModel(verdict, name="judge")) as judge:
        judgebench.evaluate(model, "alpacaeval", judge=judge, starter=True, out=out, progress=False)
    return out


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run whose answers are labelled."""
    return made(tmp_path_factory.mktemp("runs") / "run")


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a sample."""
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


def write_rows(path: Path, rows: list[dict[str, str]]) -> Path:
    """The same rows after somebody worked at them."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def fill(path: Path, out: Path, share: Callable[[str], float], annotator: str = "") -> dict[str, float]:
    """Label a sample as somebody who gives the candidate this share of each example, and cannot know whose it is."""
    rows, given = rows_of(path), {}
    for row in rows:
        first = original_text(row["answer_1"]).startswith("=HYPERLINK")
        assert first != original_text(row["answer_2"]).startswith("=HYPERLINK")
        value = given[row["example_id"]] = share(row["example_id"])
        row["label"] = "tie" if value == 0.5 else "1" if (value == 1) == first else "2"
        row["annotator"] = annotator
    write_rows(out, rows)
    return given


def scores(run: Path, labels: Path, command: Command) -> dict[str, dict[str, Any]]:
    """The anchored scores that ``score --labels`` gives."""
    ended = command("score", run, "--labels", labels, "--json")
    assert ended.code == 0, ended.err
    found: dict[str, dict[str, Any]] = {score["metric"]: score for score in json.loads(ended.out)["scores"]}
    return {name: found[name] for name in ("win_rate_ppi", "win_rate_rogan_gladen")}


def test_a_sample_has_known_chances_and_hides_whose_answer_is_whose(
    run: Path, tmp_path: Path, command: Command
) -> None:
    """Every row's chance is its stratum's labels over its items; the candidate stands first in some pairs and second
    in others; no model is named; and the expected widths are printed for fewer and for more labels.
    """
    out = tmp_path / "labels.csv"
    ended = command("labels", "sample", run, "--n", 10, "--out", out)
    assert ended.code == 0, ended.err
    rows = rows_of(out)
    strata = {row["stratum"]: int(row["stratum_items"]) for row in rows}
    assert sum(strata.values()) == SIZE
    for name, items in strata.items():
        own = [row for row in rows if row["stratum"] == name]
        assert all(float(row["probability"]) == len(own) / items for row in own)
    assert len({row["example_id"] for row in rows}) == len(rows) == 10
    assert len({original_text(row["answer_1"]).startswith("=HYPERLINK") for row in rows}) == 2
    text = out.read_text()
    assert not any(word in text for word in ("scripted", "candidate", "judge", "\n=", ",=", ',"='))
    assert {row["label"] for row in rows} == {""}
    assert all(row["pair"].startswith("p") for row in rows), "no spreadsheet takes it for a number"
    said = " ".join(ended.out.split())
    assert "10 of 16 examples of alpacaeval@2 to label, drawn by verdict (seed 0)" in said
    assert "humans alone" in said
    assert "agree on 70 % of the decided examples: assumed" in said
    assert "worth labels: how many of humans alone do as well" in said
    assert "then: write 1 or 2 (that answer is better), tie or skip into the column label" in said
    assert "--n" not in said


def test_a_sample_of_more_than_there_are_says_so(run: Path, tmp_path: Path, command: Command) -> None:
    """80 of 16 are 16; a page needs no word on what to write into a column; an impossible agreement is refused."""
    ended = command("labels", "sample", run, "--n", 80, "--out", tmp_path / "labels.html")
    said = " ".join(ended.out.split())
    assert "--n 80 is more than there are to label: all 16 are drawn" in said
    assert "into the column label" not in said
    refused = command("labels", "sample", run, "--agreement", "1.5", "--out", tmp_path / "labels.csv").paragraph
    assert "--agreement 1.5 must be a share of at least 0.5 and below 1" in refused


def test_the_draw_is_that_of_its_seed(run: Path, tmp_path: Path, command: Command) -> None:
    """The same seed draws the same file, another seed others; ``--json`` names strata and widths, but no text."""
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        ended = command("labels", "sample", run, "--n", 6, "--seed", seed, "--out", tmp_path / f"{name}.csv", "--json")
        assert ended.code == 0, ended.err
    a, b, c = ((tmp_path / f"{name}.csv").read_text() for name in "abc")
    assert a == b
    assert {row["pair"] for row in rows_of(tmp_path / "a.csv")} != {row["pair"] for row in rows_of(tmp_path / "c.csv")}
    record = json.loads(ended.out)
    assert (record["population"], record["left_out"], record["agreement_source"]) == (SIZE, 0, "assumed")
    assert [row["labels"] for row in record["widths"]][-2:] == [6, 12]
    assert all(row["with_judge"] < row["humans_alone"] for row in record["widths"])
    assert "Mine to" not in ended.out
    assert c != a


@pytest.mark.parametrize("strata", ["verdict", "length", "category", "none"])
def test_labels_come_back_as_shares_of_the_candidate(run: Path, tmp_path: Path, command: Command, strata: str) -> None:
    """All 16 examples, labelled blind: what people say is their mean, however the sample was drawn."""
    out, filled = tmp_path / "labels.csv", tmp_path / "anna.csv"
    ended = command("labels", "sample", run, "--n", SIZE, "--strata", strata, "--out", out)
    assert ended.code == 0, ended.err
    given = fill(out, filled, lambda name: (0.0, 0.5, 1.0, 1.0)[int(name[-2:]) % 4])
    powered = scores(run, filled, command)["win_rate_ppi"]
    assert powered["details"]["n_labelled"] == SIZE
    if strata != "none":
        # All examples of all strata have a label, so that the judge's verdicts add nothing.
        assert powered["value"] == pytest.approx(100 * sum(given.values()) / SIZE)
        assert powered["low"] < powered["value"] < powered["high"]
    else:
        assert powered["details"]["humans_alone"] is not None


def test_a_file_says_what_it_means(run: Path, tmp_path: Path, command: Command) -> None:
    """In a blind file, ``win`` has no meaning, and says so with its line; skipped rows are counted; a plain file of
    ``example_id,label`` still does.
    """
    out = tmp_path / "labels.csv"
    command("labels", "sample", run, "--n", 8, "--out", out)
    rows = rows_of(out)
    rows[2]["label"] = "win"
    refused = command("score", run, "--labels", write_rows(tmp_path / "win.csv", rows)).paragraph
    assert "expected 1 (the first answer is better), 2 (the second one), tie or skip" in refused
    for place, row in enumerate(rows):
        row["label"] = "skip" if place < 2 else ("1", "2", "tie", "first", "second")[place % 5]
    powered = scores(run, write_rows(tmp_path / "mixed.csv", rows), command)["win_rate_ppi"]
    assert (powered["details"]["skipped"], powered["details"]["n_labelled"]) == (2, 6)
    plain = tmp_path / "plain.csv"
    plain.write_text("example_id,label\nstarter-01,win\nstarter-02,loss\nstarter-03,tie\n")
    assert scores(run, plain, command)["win_rate_ppi"]["details"]["n_labelled"] == 3


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("stratum_items", "0", "stratum_items '0'; expected how many items"),
        ("stratum_items", "many", "'stratum_items' must be a number"),
        ("probability", "1.5", "probability 1.5; expected the item's chance to be drawn"),
        ("example_id", "nobody", "'nobody' is no example of this run"),
    ],
)
def test_a_damaged_sample_is_refused_by_its_line(
    run: Path, tmp_path: Path, command: Command, column: str, value: str, said: str
) -> None:
    """Exit 2, before anything is scored."""
    out = tmp_path / "labels.csv"
    command("labels", "sample", run, "--n", 6, "--out", out)
    rows = rows_of(out)
    for row in rows:
        row["label"] = "1"
    rows[1][column] = value
    assert said in command("score", run, "--labels", write_rows(tmp_path / "bad.csv", rows)).paragraph


def test_a_score_says_how_many_labels_of_which_file_it_stands_on(
    run: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for both numbers: examples labelled and not, skipped ones, rows without a label; ``agree`` says it, too."""
    out, filled = tmp_path / "labels.csv", tmp_path / "anna.csv"
    command("labels", "sample", run, "--n", 8, "--strata", "none", "--out", out)
    fill(out, filled, lambda name: 1.0)
    rows = rows_of(filled)
    rows[0]["label"], rows[1]["label"], rows[2]["label"] = "skip", "", ""
    write_rows(filled, rows)
    monkeypatch.setenv("COLUMNS", "300")
    told = " ".join(command("score", run, "--labels", filled).out.split())
    assert told.count("used, from anna.csv") == 1
    assert "labels of 5 examples used, from anna.csv; 11 judged examples have none; skipped: 1; rows without" in told
    assert re.search(r"rows without a label: 2 \(\S*anna\.csv:", told)
    assert "examples with a verdict and without a label: 11 of 16" in command("labels", "agree", run, filled).out


def test_labels_of_other_answers_are_not_counted(run: Path, tmp_path: Path, command: Command) -> None:
    """The same examples answered by another model: no number, and the reason."""
    other = made(tmp_path / "other", "other", lambda request: f"=HYPERLINK Another answer to {request.messages[-1]}")
    out, filled = tmp_path / "labels.csv", tmp_path / "filled.csv"
    command("labels", "sample", other, "--n", 8, "--out", out)
    fill(out, filled, lambda name: 1.0)
    assert scores(other, filled, command)["win_rate_ppi"]["value"] is not None
    powered = scores(run, filled, command)["win_rate_ppi"]
    assert powered["value"] is None
    assert powered["reason"] == "all 8 labels are of other answers than this run's"


def test_what_cannot_be_drawn_is_refused(run: Path, tmp_path: Path, command: Command) -> None:
    """A file that exists, another suffix, a task that is not there, answers that nobody compares with others."""
    out = tmp_path / "labels.csv"
    out.write_text("somebody's labels")
    assert "exists, and may hold labels that people made" in command("labels", "sample", run, "--out", out).paragraph
    assert out.read_text() == "somebody's labels"
    assert "end the name in .csv" in command("labels", "sample", run, "--out", tmp_path / "labels.xlsx").paragraph
    refused = command("labels", "sample", run, "--task", "mtbench", "--out", tmp_path / "a.csv").paragraph
    assert "holds no task 'mtbench'; it holds alpacaeval" in refused
    graded = tmp_path / "graded"
    judge = ScriptedModel(lambda _: "[[7]]", name="judge")
    with playing(ScriptedModel(answer, name="candidate")) as model, playing(judge) as by:
        judgebench.evaluate(model, "mtbench", judge=by, starter=True, out=graded, progress=False)
    refused = command("labels", "sample", graded, "--out", tmp_path / "a.csv").paragraph
    assert "mtbench@1 has no such comparisons" in refused
    assert not (tmp_path / "a.csv").exists()
    assert (
        "--agreement 0.3"
        in command("labels", "sample", run, "--agreement", "0.3", "--out", tmp_path / "a.csv").paragraph
    )


def test_a_pilot_says_how_often_people_agree(run: Path, tmp_path: Path, command: Command) -> None:
    """Somebody who always agrees with the judge makes the rest worth more labels than somebody at random."""
    out, shares = tmp_path / "first.csv", judged(run)
    command("labels", "sample", run, "--n", 12, "--out", out)
    worth = {}
    for name, agrees in (("agrees", True), ("differs", False)):
        fill(out, tmp_path / f"{name}.csv", lambda key, agrees=agrees: float((shares[key] > 0.5) == agrees))
        what = ("--pilot", tmp_path / f"{name}.csv", "--n", 12, "--json", "--out", tmp_path / f"{name}-2.csv")
        record = json.loads(command("labels", "sample", run, *what).out)
        assert record["agreement_source"] == "of 12 labels of the pilot"
        worth[name] = record["widths"][0]["worth"]
    assert worth["agrees"] > 1.3 > worth["differs"]


def judged(run: Path) -> Mapping[str, float]:
    """The judge's share of the candidate's win by example."""
    lines = (run / "alpacaeval" / "example_scores.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return {row["example_id"]: row["value"] for row in rows if row["metric"] == "preference"}


def test_a_page_takes_labels_and_saves_them(run: Path, tmp_path: Path, command: Command) -> None:
    """In a real browser, from a file, at the width of a phone: keys and buttons label, what the models wrote stays
    text, nothing is asked of any network, the labels outlive a closed page, and the file that it saves is read back.
    """
    page = tmp_path / "labels.html"
    assert command("labels", "sample", run, "--n", 6, "--out", page).code == 0
    assert page.read_bytes().isascii()
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    with browser(tmp_path / "profile") as shown:
        shown.open(page.as_uri(), width=390, height=800, downloads=downloads)
        assert shown.run("document.documentElement.scrollWidth") <= 390
        assert shown.run("document.querySelectorAll('main script, main img').length") == 0
        assert "<img src=x onerror=alert(2)>" in shown.run("document.querySelector('main').textContent")
        text = shown.run("document.documentElement.outerHTML")
        assert not any(word in text for word in ("scripted", "starter set", "gpt-4"))
        shown.press("1")
        shown.click("[data-label=tie]")
        shown.press("s")
        shown.click("[data-label='2']")
        shown.click("#save")
        assert "Write your name" in shown.run("document.getElementById('said').textContent")
        shown.run("document.getElementById('name').value = '=Anna'")
        shown.run("document.getElementById('name').dispatchEvent(new Event('input'))")
        shown.wait("document.getElementById('where').textContent === '5/6, 4 done'")
        shown.open(page.as_uri(), width=390, height=800, downloads=downloads)
        assert shown.run("document.getElementById('name').value") == "=Anna"
        assert shown.run("document.getElementById('where').textContent") == "5/6, 4 done"
        shown.press("t")
        shown.press("1")
        shown.click("#save")
        shown.wait("document.getElementById('said').textContent.startsWith('6 labels saved')")
        wait_for(lambda: list(downloads.glob("*.csv")))
        shown.run("window.confirm = () => true; document.getElementById('again').click()")
        assert shown.run("document.getElementById('where').textContent") == "1/6, 0 done"
        assert shown.run("document.getElementById('name').value") == ""
        assert shown.complaints == []
        assert {address.partition(":")[0] for address in shown.requests} <= {"file", "blob"}
    (saved,) = downloads.glob("*.csv")
    rows = rows_of(saved)
    assert [row["label"] for row in rows] == ["1", "tie", "skip", "2", "tie", "1"]
    assert {row["annotator"] for row in rows} == {"'=Anna"}
    assert scores(run, saved, command)["win_rate_ppi"]["details"]["n_labelled"] == 5


# -- agree


def agreement(command: Command, *arguments: object) -> dict[str, Any]:
    """What ``labels agree --json`` says, with its figures by name."""
    ended = command("labels", "agree", *arguments, "--json")
    assert ended.code == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    found["figures"] = {figure["name"]: figure for figure in found["figures"]}
    return found


def plain(path: Path, shares: Mapping[str, float]) -> Path:
    """A plain file of labels."""
    path.write_text("example_id,label\n" + "".join(f"{key},{value}\n" for key, value in shares.items()))
    return path


def test_agreement_is_counted_as_on_paper(run: Path, tmp_path: Path, command: Command) -> None:
    """Anna says what the judge says of 12 examples and the opposite of 4; Ben as she does, but for two ties."""
    shares = judged(run)
    sides = {key: 1.0 if value > 0.5 else 0.0 for key, value in shares.items()}
    anna = {key: 1 - side if place < 4 else side for place, (key, side) in enumerate(sides.items())}
    ben = {key: 0.5 if place >= SIZE - 2 else value for place, (key, value) in enumerate(anna.items())}
    files = plain(tmp_path / "anna.csv", anna), plain(tmp_path / "ben.csv", ben)
    alone = agreement(command, run, files[0])
    assert [one["name"] for one in alone["annotators"]] == ["anna"]
    assert alone["figures"]["judge_agreement"]["value"] == 12 / 16
    assert "people_agreement" not in alone["figures"]
    both = agreement(command, run, *files)
    figures = both["figures"]
    assert (figures["judge_agreement"]["value"], figures["judge_agreement"]["n"]) == ((12 + 10) / 32, 32)
    assert (figures["judge_agreement_without_ties"]["value"], figures["judge_agreement_without_ties"]["n"]) == (
        pytest.approx(22 / 30),
        30,
    )
    assert (figures["people_agreement"]["value"], figures["people_agreement"]["n"]) == (14 / 16, 16)
    assert figures["people_agreement_without_ties"]["value"] == 1
    assert figures["people_agreement_without_ties"]["low"] < 1
    assert figures["human_ceiling"]["value"] == 14 / 16
    kappas = [figures[f"judge_kappa_{who}"]["value"] for who in ("majority", "with_anna", "with_ben")]
    assert kappas[0] == kappas[1] > kappas[2]
    assert figures["judge_with_the_others"]["value"] == pytest.approx(22 / 32)
    assert figures["judge_over_ceiling"]["value"] == pytest.approx(22 / 28)
    assert figures["judge_as_good_as_a_person"]["reason"] == (
        "no annotator has 30 items that someone else and the judge labelled, too"
    )
    expected = sum(anna[key] + ben[key] for key in anna) / 32
    powered = next(score for score in both["scores"] if score["metric"] == "win_rate_ppi")
    assert powered["details"]["humans_alone"] == pytest.approx(100 * expected)
    assert powered["details"]["annotators"] == 2
    assert [(one["name"], one["labels"], one["ties"]) for one in both["annotators"]] == [
        ("anna", 16, 0),
        ("ben", 16, 2),
    ]


def test_shares_are_weighted_by_the_chances_of_the_draw(run: Path, tmp_path: Path, command: Command) -> None:
    """Somebody who agrees with the judge's losses only: the share is that of losses among all examples, whatever part
    of each stratum was drawn.
    """
    out, filled, shares = tmp_path / "labels.csv", tmp_path / "filled.csv", judged(run)
    command("labels", "sample", run, "--n", 9, "--agreement", "0.9", "--out", out)
    fill(out, filled, lambda key: 0.0, "anna")
    rows = rows_of(filled)
    counts = {row["stratum"]: sum(other["stratum"] == row["stratum"] for other in rows) for row in rows}
    weights = [int(row["stratum_items"]) / counts[row["stratum"]] for row in rows]
    lost = [shares[row["example_id"]] < 0.5 for row in rows]
    found = agreement(command, run, filled)
    assert found["stratified"]
    assert [one["name"] for one in found["annotators"]] == ["anna"]
    assert found["figures"]["judge_agreement"]["value"] == pytest.approx(
        sum(weight for weight, agrees in zip(weights, lost, strict=True) if agrees) / SIZE
    )


def test_what_agree_prints_fits_a_terminal(run: Path, tmp_path: Path, command: Command) -> None:
    """Both tables, who labelled, and what the judge was worth."""
    sides = {key: float(value > 0.5) for key, value in judged(run).items()}
    sides |= {key: 1 - side for key, side in list(sides.items())[:3]}
    ended = command("labels", "agree", run, plain(tmp_path / "anna.csv", sides))
    assert ended.code == 0, ended.err
    text = " ".join(ended.out.replace("│", " ").split())
    for said in (
        "house_pairwise_label (scripted:judge) beside people on 16 examples of alpacaeval@2",
        "labels by anna (16)",
        "81.2 %",
        "the judge alone, uncorrected",
        "people and judge (prediction-powered)",
        "few labelled examples (16)",
    ):
        assert said in text
    assert max(map(len, ended.out.splitlines())) <= 80


def test_what_agree_cannot_read_is_refused(run: Path, tmp_path: Path, command: Command) -> None:
    """Labels of other answers, one person twice, no label at all."""
    other = made(tmp_path / "other", "other", lambda request: f"=HYPERLINK Another to {request.messages[-1]}")
    out, filled = tmp_path / "labels.csv", tmp_path / "filled.csv"
    command("labels", "sample", other, "--n", 8, "--out", out)
    fill(out, filled, lambda name: 1.0)
    refused = command("labels", "agree", run, filled).paragraph
    assert f"all 8 labels are of other answers than those of {run}" in refused
    assert "holds no label" in command("labels", "agree", other, out).paragraph
    named = fill(out, tmp_path / "a.csv", lambda name: 1.0, "anna")
    assert len(named) == 8
    fill(out, tmp_path / "b.csv", lambda name: 1.0, "anna")
    refused = command("labels", "agree", other, tmp_path / "a.csv", tmp_path / "b.csv").paragraph
    assert "has a label by 'anna' already" in refused


def test_a_judge_corrected_by_people_is_nearer_to_them(
    shared_data: SharedData, tmp_path: Path, command: Command
) -> None:
    """The null model's published verdicts, which give it 77 %: a person who prefers it in no case, asked about 60
    pairs, says that it wins nothing, and the interval reaches no further than 11 %. (Made-up labels, real verdicts.)
    """
    folder, run = shared_data / "alpacaeval", tmp_path / "null"
    settings = Settings(tasks="alpacaeval", mirrors=(folder,), offline=True, out=run)
    import_run(folder / "annotations_full" / "NullModel.json.gz", "alpaca_eval", settings)
    out, mirror = tmp_path / "labels.csv", ("--mirror", folder, "--offline")
    assert command("labels", "sample", run, "--n", 60, "--out", out, *mirror).code == 0
    answers = {row["example_id"]: row for row in rows_of(out)}
    rows = list(answers.values())
    null = (Counter(original_text(row[side]) for row in rows for side in ("answer_1", "answer_2"))).most_common(1)[0][0]
    for row in rows:
        row["label"] = "2" if original_text(row["answer_1"]) == null else "1"
    found = agreement(command, run, write_rows(tmp_path / "anna.csv", rows), *mirror)
    powered = next(score for score in found["scores"] if score["metric"] == "win_rate_ppi")
    assert found["judged"]["value"] == pytest.approx(76.9, abs=0.1)
    assert powered["value"] == 0
    assert powered["high"] < 11


def weighted(request: Request, *, task: str) -> Completion:
    """What a judge of Arena-Hard's or WildBench's pairs says, by the hash of what it was shown."""
    kind = hashlib.sha256(request.messages[-1].content.encode()).digest()[0] % 5
    if task == "arenahard":
        return reply("My verdict: [[" + ("A>>B", "A>B", "A=B", "B>A", "B>>A")[kind] + "]]")
    choice = ("A++", "A+", "A=B", "B+", "B++")[kind]
    return reply(json.dumps({"choice": choice, "score": "7", "strengths": "x", "weaknesses": "y"}))


@pytest.mark.parametrize("task", ["arenahard", "wildbench"])
def test_comparisons_that_a_task_weighs_are_labelled_one_by_one(tmp_path: Path, command: Command, task: str) -> None:
    """Arena-Hard's win rate counts clear wins thrice, WildBench's reward is over three baselines: the label is on the
    drawn pair, and so is the judge's verdict beside it. (WildBench's K is 500.)
    """
    out, run, says = tmp_path / "labels.csv", tmp_path / "run", partial(weighted, task=task)
    with playing(ScriptedModel(answer, name="candidate")) as model, playing(ScriptedModel(says, name="j")) as judge:
        judgebench.evaluate(model, task, judge=judge, starter=True, out=run, progress=False)
    assert command("labels", "sample", run, "--n", 12, "--strata", "none", "--out", out).code == 0
    given = fill(out, tmp_path / "anna.csv", lambda key: 1.0)
    found = agreement(command, run, tmp_path / "anna.csv")
    others = {tuple(one["outputs"]): name for name, there in baselines(run, task).items() for one in there}
    against = {
        row["example_id"]: others[(text,)]
        for row in rows_of(out)
        for text in (original_text(row["answer_1"]), original_text(row["answer_2"]))
        if (text,) in others
    }
    rows = [json.loads(line) for line in (run / task / "example_scores.jsonl").read_text().splitlines()]
    shares = {row["example_id"]: row["value"] for row in rows if row["metric"] == "win_rate"}
    for row in rows:
        if row["metric"] == f"reward:{against[row['example_id']]}:500":
            shares[row["example_id"]] = (row["value"] + 1) / 2
    won = sum(share > 0.5 for share in shares.values())
    assert len(shares) == len(given) == 12
    assert found["metric"] == "win_share"
    assert found["figures"]["judge_agreement"]["value"] == pytest.approx(won / 12)
    powered = next(score for score in found["scores"] if score["metric"] == "win_share_ppi")
    assert powered["details"]["humans_alone"] == 100
    assert "is a plain mean over examples" in command("score", run, "--labels", tmp_path / "anna.csv").paragraph


def baselines(run: Path, task: str) -> Mapping[str, list[dict[str, Any]]]:
    """The answers that a run of a starter set compares with, by model."""
    data = read_run(run).tasks[task].load_data(source_finder(Settings(tasks=task)))
    return {
        name: [{"outputs": list(generation.outputs)} for generation in answers.values()]
        for name, answers in data.baselines.items()
    }


def test_a_crowd_is_compared_as_one(run: Path, tmp_path: Path, command: Command) -> None:
    """Nine people have one kappa together; a thousand and one are refused."""
    crowd = tmp_path / "crowd.csv"

    def labelled_by(count: int) -> Path:
        rows = (f"starter-{number % SIZE + 1:02},win,person {number}\n" for number in range(count))
        crowd.write_text("example_id,label,annotator\n" + "".join(rows))
        return crowd

    figures = agreement(command, run, labelled_by(9))["figures"]
    assert [name for name in figures if name.startswith("judge_kappa")] == ["judge_kappa_majority"]
    refused = command("labels", "agree", run, labelled_by(1001)).paragraph
    assert "the labels are by 1,001 annotators; 1,000 at most can be compared" in refused


def test_python_says_the_same(run: Path, tmp_path: Path, command: Command) -> None:
    """A loaded run draws the same file, and reads labels as the command does."""
    loaded = judgebench.load_run(run)
    drawn = loaded.sample_labels(tmp_path / "python.csv", n=8)
    assert command("labels", "sample", run, "--n", 8, "--out", tmp_path / "command.csv").code == 0
    assert (tmp_path / "python.csv").read_text() == (tmp_path / "command.csv").read_text()
    assert len(drawn.pairs) == sum(stratum.drawn for stratum in drawn.strata) == 8
    fill(tmp_path / "python.csv", tmp_path / "anna.csv", lambda key: 1.0)
    found = agreement(command, run, tmp_path / "anna.csv")
    own = loaded.label_agreement(tmp_path / "anna.csv")
    assert {figure.name: figure.value for figure in own.figures} == {
        name: figure["value"] for name, figure in found["figures"].items()
    }
    assert [score.value for score in own.scores] == [score["value"] for score in found["scores"]]
