"""``compare --flips``: the items that changed most, in the words and units of the tables."""

import json
import re
from pathlib import Path

import pytest

from judgebench import api
from judgebench.models.scripted import ScriptedModel, playing
from judgebench.run.reading import read_run

from ..commands import judgebench
from .test_where import verdict


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs of AlpacaEval's starter set with constant answers, one of them with a name of the user's."""
    folder = tmp_path_factory.mktemp("flips")
    judge = ScriptedModel(verdict, name="j")
    for name, text in (("a", "A short answer."), ("b", "Another answer, which is longer.")):
        candidate = ScriptedModel(lambda _, text=text: text, name="m")
        with playing(candidate) as model, playing(judge) as by:
            api.evaluate(
                model, "alpacaeval", judge=by, starter=True, out=folder / name, progress=False, name=f"Ours ({name})"
            )
    return folder / "a", folder / "b"


def test_changed_items_are_listed_and_shown_in_the_tables_unit(runs: tuple[Path, Path]) -> None:
    """First a line each; then both answers and the baseline's, an answer given before only named, and verdicts in
    words that say whose side they take.
    """
    text = judgebench(["compare", *runs, "--flips", "3"], COLUMNS="80").stdout
    pages = text.split("items that changed most")[1]
    (listed, *shown) = re.split(r"^━━ ", pages, flags=re.MULTILINE)
    assert len(re.findall(r"^  \S+ +A \d+\.\d\d +B \d+\.\d\d +\w", listed, flags=re.MULTILINE)) == len(shown) == 3
    assert "win_rate of each:" in listed
    for page in shown:
        assert re.match(r".* · win_rate [+-]\d+\.\d\d ", page)
        assert "baseline: " in page
        assert re.search(r"candidate (first|second): [AB], the candidate (wins|loses) ", page)
        assert "(its share 0." in page
    assert "preference" not in text
    assert not re.search(r"\d\.\d{6}", text)
    assert "Another answer, which is longer." in shown[0]
    assert "the same as to item" in shown[1]


def test_the_record_of_changed_items_says_how_people_read_them(runs: tuple[Path, Path]) -> None:
    """The values themselves stay those of the run's files."""
    printed = json.loads(judgebench(["compare", *runs, "--flips", "1", "--format", "json"]).stdout)
    (flip,) = printed["tasks"][0]["flips"]
    assert (flip["measure"], flip["metric"], flip["unit"], flip["scale"]) == ("preference", "win_rate", "percent", 100)
    assert 0 < abs(flip["change"]) <= 1
    ((model, answers),) = flip["baselines"]
    assert model
    assert answers[0]


def test_a_group_says_of_how_many_items_it_is_and_what_has_no_groups(runs: tuple[Path, Path]) -> None:
    """Beside the number of items in common; metrics that are not computed by group are named."""
    (group,) = {score.group for score in read_run(runs[0]).tasks["alpacaeval"].scores if score.group} & {
        "subset=writing"
    }
    text = " ".join(judgebench(["compare", *runs, "--group", group], COLUMNS="80").stdout.split())
    assert re.search(r"alpacaeval@2, subset=writing: \d+ of 16 items in common", text)
    assert re.search(r"lc_win_rate.* not compared: it has no number of the groups asked for", text)
    for several in (("--group", "subset"), ("--group", group)):
        head = judgebench(["compare", *runs, *several], COLUMNS="80").stdout.split("┡")[0]
        assert re.search(r"┃ +n ┃", head)


def test_show_calls_a_run_as_the_user_does(runs: tuple[Path, Path]) -> None:
    """Above its items and within them; what a distribution's numbers are is said; values are in the run's order."""
    assert "candidate: Ours (a)" in judgebench(["show", runs[0], "--worst", "1"]).stdout
    assert "shown first: Ours (a) (candidate)" in judgebench(["show", runs[0], "--worst", "16"]).stdout
    text = judgebench(["show", runs[0], "--group", "subset=writing"]).stdout
    assert "in the run's order; value is win_rate:" in text


def test_published_figures_are_no_run_and_a_groups_value_is_no_key(runs: tuple[Path, Path]) -> None:
    """Both refusals name what would have worked."""
    refused = judgebench(["show", "published:gpt-4"], code=2).stderr
    assert "gate --candidate RUN --baseline published:gpt-4" in refused
    assert "(did you mean subset=writing?)" in judgebench(["compare", *runs, "--group", "Writing"], code=2).stderr


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs of GSM8K's starter set by one model: one answers 42 to everything, the other 56."""
    folder = tmp_path_factory.mktemp("verified-flips")
    for name, text in (("a", "The answer is 42."), ("b", "The answer is 56.")):
        with playing(ScriptedModel(lambda _, text=text: text, name="m")) as model:
            api.evaluate(model, "gsm8k", starter=True, out=folder / name, progress=False)
    return folder / "a", folder / "b"


def test_a_changed_item_of_a_verified_task_says_what_was_wanted_and_found(verified: tuple[Path, Path]) -> None:
    """As ``show`` says it of the same item, on a terminal and in every format."""
    text = judgebench(["compare", *verified, "--flips", "1"], COLUMNS="80").stdout
    item = re.search(r"--item (\S+)", text.split("in full:")[1])
    assert item
    shown = judgebench(["show", verified[1], "--item", item[1]], COLUMNS="80").stdout
    (wanted,) = set(re.findall(r"wanted: (\S+)", shown))
    for expected in ("exact_match_strict: ", f"wanted: {wanted}", "found: 56", "found: 42"):
        assert expected in text
    assert "found: 56" in shown
    written = judgebench(["compare", *verified, "--flips", "1", "--format", "md"]).stdout
    assert f"wanted: {wanted}" in written


def test_a_comparison_for_a_paper_names_the_runs_and_no_hash(
    runs: tuple[Path, Path], verified: tuple[Path, Path]
) -> None:
    """Runs stand above their columns by name, with their folder where the names are alike; several in each row."""
    text = judgebench(["compare", *runs, "--format", "latex"]).stdout
    table = text.split("\\end{table}")[0].split("\\begin{table}")[1]
    assert "metric & Ours (a) & Ours (b) & difference" in table
    assert "protocol" not in table
    assert re.search(r"% alpacaeval@2.*protocol [0-9a-f]{8}", text)
    assert "| metric | scripted:m (a) | scripted:m (b) |".replace("scripted:", "") in judgebench(
        ["compare", *verified, "--format", "md"]
    ).stdout.replace("scripted:", "")
    several = judgebench(["compare", *runs, runs[0], "--name", f"{runs[1]}=New", "--format", "latex"]).stdout
    assert "New $-$ Ours (a)" in several
    picked = judgebench(["compare", *runs, "--format", "md", "--columns", "metric,runs,first=old,second"]).stdout
    assert "| metric | runs | old | Ours (b) |" in picked
    assert "Ours (b) − Ours (a)" in picked


def test_settings_that_differ_are_named_in_words_and_not_by_their_hashes(
    verified: tuple[Path, Path], tmp_path: Path
) -> None:
    """A table of them beside a comparison of the others; where nothing can be compared, the message names them."""
    with playing(ScriptedModel(lambda _: "The answer is 42.", name="m")) as model:
        for name, task in (("part", "gsm8k"), ("shots", "gsm8k@5shot")):
            api.evaluate(model, task, starter=True, limit=6, out=tmp_path / name, progress=False)
    text = judgebench(["compare", *verified, tmp_path / "part", tmp_path / "shots"], COLUMNS="80").stdout
    table = text.split("C was not compared")[1]
    assert re.search(r"┃ setting +┃ A +┃ C +┃", table)
    assert re.search(r"│ number of items +│ 16 +│ 6 +│", table)
    assert "sha256" not in text
    assert "examples.ids" not in text
    refused = judgebench(["compare", verified[0], tmp_path / "shots"], code=2).stderr
    assert "number of items (16 and 6)" in refused
    assert "version (cot8 and 5shot)" in refused
