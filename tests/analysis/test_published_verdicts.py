"""``leaderboards/verdicts`` and ``compare RUN published:MODEL``: item by item where the official verdicts are here."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import judgebench as api
from judgebench.analysis.published import published_rows
from judgebench.analysis.published_verdicts import PublishedVerdicts, verdicts_of
from judgebench.data.resources import resource
from judgebench.errors import UsageError
from judgebench.run.reading import Run
from scripts.make_published_verdicts import files
from tests.commands import Command
from tests.made_runs import write_run
from tests.run.test_published_rules import alpacaeval_run
from tests.shared_data import SharedData
from tests.tasks.alpacaeval_data import ALPACAEVAL

FOLDER = resource("leaderboards") / "verdicts"
TASKS = sorted(path.name.removesuffix(".json") for path in FOLDER.glob("*.json"))


def known(values: Sequence[Any]) -> list[Any]:
    """Those that are there."""
    return [value for value in values if value is not None]


def verdicts(task: str) -> PublishedVerdicts:
    """One of the files."""
    found = verdicts_of(task)
    assert found is not None
    return found


def test_the_files_are_small() -> None:
    """A megabyte in all, so that every clone and every wheel can carry them."""
    assert TASKS == ["alpacaeval@1", "alpacaeval@2", "arenahard@v0.1", "wildbench@v2.0625"]
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_000_000


def test_the_files_are_what_their_program_makes() -> None:
    """``scripts/make_published_verdicts.py`` makes each of them from the published data, byte for byte."""
    data = SharedData("alpacaeval").path.parent
    assert dict(files(data)) == {f"{task}.json": (FOLDER / f"{task}.json").read_text() for task in TASKS}


@pytest.mark.parametrize("task", ["alpacaeval@1", "alpacaeval@2"])
def test_the_verdicts_give_alpacaevals_published_numbers(task: str) -> None:
    """Win rates of every model to 1e-7 points. Upstream divides characters by 805 where rows are missing."""
    found = verdicts(task)
    table = {row.model: row.scores for row in published_rows(task)}
    assert len(found.models) == {"alpacaeval@1": 36, "alpacaeval@2": 39}[task]
    for model, own in found.models.items():
        shares = known(own.values)
        assert len(own.values) == len(found.items) == 805
        assert 100 * sum(shares) / len(shares) == pytest.approx(table[model]["win_rate"].value, abs=1e-7), model
        assert table[model]["win_rate"].n in (0, len(shares), 805)
        characters = sum(map(int, known(own.covariates["length"])))
        if len(shares) == 805:
            assert int(characters / 805) == table[model]["avg_length"].value, model


def test_the_verdicts_give_wildbenchs_published_scores() -> None:
    """WB-Score is 20 points for each grade above 5."""
    found = verdicts("wildbench@v2.0625")
    table = {row.model: row.scores for row in published_rows("wildbench@v2.0625")}
    assert len(found.models) == 5
    for model, own in found.models.items():
        grades = known(own.values)
        assert 20 * (sum(grades) / len(grades) - 5) == pytest.approx(table[model]["wb_score_micro"].value, abs=1e-9)


def test_the_verdicts_give_arena_hards_published_win_rates() -> None:
    """Shares of all battles; the published ones are of a fit of all models, printed with one decimal."""
    found = verdicts("arenahard@v0.1")
    table = {row.model: row.scores for row in published_rows("arenahard@v0.1")}
    assert sorted(found.models) == ["gpt-3.5-turbo-0125", "gpt-4-0613"]
    for model, own in found.models.items():
        pairs = [(value, weight) for value, weight in zip(own.values, own.weights, strict=True) if value is not None]
        share = sum(value * weight for value, weight in pairs) / sum(weight for _, weight in pairs)
        assert 100 * share == pytest.approx(table[model]["win_rate"].value, abs=0.06)


def table_of(made: api.Comparison) -> list[dict[str, Any]]:
    """Its numbers, without the names of the runs."""
    return [{name: value for name, value in row.items() if "model" not in name} for row in made._rows()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The published judgements of alpaca-7b, imported."""
    return alpacaeval_run("alpaca-7b", tmp_path_factory.mktemp("run"))


def test_a_published_model_is_compared_as_a_run_of_its_judgements_is(run: Run, tmp_path: Path) -> None:
    """Every difference, interval and p-value, also of subsets and of the length-controlled rate, which is a fit."""
    other = alpacaeval_run("claude-2.1", tmp_path)
    where: dict[str, Any] = {"mirrors": ALPACAEVAL.path, "offline": True, "flips": 2}
    published, imported = api.compare(run, "published:claude-2.1", **where), api.compare(run, other, **where)
    assert published.record.tasks[0].common == 805
    for ours, theirs in zip(table_of(published), table_of(imported), strict=True):
        assert ours == {
            name: pytest.approx(value, abs=1e-6) if isinstance(value, float) else value
            for name, value in theirs.items()
        }
    assert published.record.runs[1].path == "published:claude-2.1"
    assert "claude-2.1/weighted_alpaca_eval_gpt4_turbo/annotations.json" in published.record.notes[0]
    flips = published.record.tasks[0].flips
    assert [flip.example_id for flip in flips] == [flip.example_id for flip in imported.record.tasks[0].flips]
    assert flips[0].runs[0].answers
    assert not flips[0].runs[1].answers


def test_a_model_with_dropped_verdicts_lacks_those_items(run: Run) -> None:
    """They are counted, as those of a run are."""
    made = api.compare(run, "published:alpaca-7b_concise", mirrors=ALPACAEVAL.path, offline=True).record.tasks[0]
    assert made.common == 804
    assert [one.missing for one in made.coverage] == [0, 1]


def test_without_single_verdicts_two_numbers_are_compared_and_the_reason_is_said(run: Run, command: Command) -> None:
    """gpt4's verdicts are not here: no pairing, an interval only where both numbers have an error."""
    ended = command("compare", run.path, "published:gpt4", "--format", "json")
    assert ended.code == 0, ended.err
    made = json.loads(ended.out)
    (task,) = made["tasks"]
    assert task["unpaired"] == "the published model's single verdicts are not here"
    rows = {row["metric"]: row for row in task["differences"]}
    published = next(row.scores for row in published_rows("alpacaeval@2") if row.model == "gpt4")
    own = run.tasks["alpacaeval"].overall
    for metric in ("lc_win_rate", "win_rate", "discrete_win_rate", "avg_length"):
        assert rows[metric]["second_value"] == published[metric].value
        assert rows[metric]["first_value"] == own[metric].value
    error = (own["win_rate"].stderr ** 2 + published["win_rate"].stderr ** 2) ** 0.5
    row = rows["win_rate"]
    assert row["high"] - row["low"] == pytest.approx(2 * 1.959964 * error, rel=1e-6)
    assert row["p"] < 1e-4
    assert rows["lc_win_rate"]["low"] is rows["lc_win_rate"]["p"] is None
    shown = " ".join(command("compare", run.path, "published:gpt4").out.split())
    assert "B less A, two numbers that are not paired" in shown
    assert "not paired, because the published model's single verdicts are not here" in shown


def test_a_run_of_another_judge_is_not_compared_with_published_verdicts(run: Run, tmp_path: Path) -> None:
    """The fields that differ are named."""
    shutil.copytree(run.path, tmp_path / "other")
    for name in ("manifest.json",):
        text = (tmp_path / "other" / name).read_text()
        (tmp_path / "other" / name).write_text(text.replace("gpt-4-1106-preview", "gpt-5-judge"))
    api.score(tmp_path / "other", mirrors=ALPACAEVAL.path, offline=True)
    with pytest.raises(UsageError, match=r"judges\.weighted_alpaca_eval_gpt4_turbo\.model \(gpt-5-judge, and gpt-4-11"):
        api.compare(tmp_path / "other", "published:claude-2.1")


@pytest.mark.parametrize(
    ("models", "says"),
    [
        (["published:claude-2.1", "published:gpt4"], "no run is among these"),
        (["RUN", "published:claude-2.2"], "near are claude-2"),
        (["RUN", "published:../../x"], "no row of the model '../../x' is published for gsm8k"),
        (["RUN", "published:gpt4", "--task", "mtbench"], "holds no task 'mtbench'"),
    ],
)
def test_what_cannot_be_compared_is_said_in_a_paragraph(
    tmp_path: Path, command: Command, run: Run, models: list[str], says: str
) -> None:
    """No table has gsm8k."""
    sums = write_run(tmp_path / "sums", [1.0, 0.0, 1.0])
    place = sums.path if "gsm8k" in says else run.path
    assert says in command("compare", *(str(place) if name == "RUN" else name for name in models)).paragraph
