"""``leaderboard --group`` and ``compare --group``: the scores of one group, or a column for each."""

import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

import judgebench as api
from judgebench.errors import UsageError
from judgebench.models.scripted import ScriptedModel, playing
from judgebench.stats.multiplicity import adjusted_p_values

from ..cli.test_where import answer, verdict
from ..commands import Command
from ..made_runs import write_totals
from ..shared_data import SharedData

MODELS = ("plain", "wordy", "terse")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Three models' runs of the starter sets of MT-Bench and AlpacaEval, judged by a judge that looks at words."""
    folder = tmp_path_factory.mktemp("groups")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUDGEBENCH_CACHE", str(folder / "cache"))
        judge = ScriptedModel(verdict, name="groups-judge")
        with playing(judge) as judged_by:
            for place, name in enumerate(MODELS):
                model = ScriptedModel(lambda request, more=place: answer(request) + " more" * more, name=name)
                with playing(model) as spec:
                    out = folder / "runs" / name
                    api.evaluate(spec, "mtbench,alpacaeval", judge=judged_by, starter=True, out=out, progress=False)
        yield folder / "runs"


def table(command: Command, *arguments: object) -> list[dict[str, str]]:
    """The rows of a command's CSV."""
    return list(csv.DictReader(io.StringIO(command(*arguments, "--format", "csv").out)))


def own(runs: Path, name: str, metric: str, group: str) -> Any:
    """A run's own score of a group."""
    scores = json.loads((runs / name / "results.json").read_text())["scores"]
    return next(score for score in scores if (score["metric"], score["group"]) == (metric, group))


@pytest.mark.parametrize(
    ("group", "metric"), [("category=math", "score"), ("turn=2", "score"), ("subset=writing", "win_rate")]
)
def test_a_table_of_a_group_ranks_by_its_first_metric(runs: Path, command: Command, group: str, metric: str) -> None:
    """AlpacaEval's subsets have no length-controlled rate, so the plain one ranks; other tasks are left out."""
    rows = table(command, "leaderboard", runs, "--group", group)
    assert {row["group"] for row in rows} == {group}
    assert [row["metric"] for row in rows] == [metric] * len(MODELS)
    values = {row["model"]: float(row["value"]) for row in rows}
    assert values == {name: own(runs, name, metric, group)["value"] for name in MODELS}
    ranks = {row["model"]: int(row["rank"]) for row in rows}
    assert ranks == {name: 1 + sum(other > values[name] for other in values.values()) for name in MODELS}
    assert {int(row["n"]) for row in rows} == {own(runs, "plain", metric, group)["n"]}


def test_several_groups_have_a_table_each_and_stand_side_by_side(runs: Path, command: Command) -> None:
    """Of values and of keys alike, whichever task they belong to."""
    rows = table(command, "leaderboard", runs, "--group", "category=coding,Math", "--group", "alpacaeval:subset=code")
    assert list(dict.fromkeys(row["group"] for row in rows)) == [
        "subset=code",
        "category=math",
        "category=coding",
    ]
    shown = " ".join(command("leaderboard", runs, "--group", "mtbench:turn=1,2").out.split())
    assert "mtbench@1, turn=1: protocol" in shown
    assert "across tasks" in shown


def test_a_key_alone_adds_a_column_for_each_group(runs: Path, command: Command) -> None:
    """To the table of all examples, whose ranks stay; a column can order the rows."""
    plain = {row["model"]: row["rank"] for row in table(command, "leaderboard", runs, "--task", "mtbench")}
    rows = table(command, "leaderboard", runs, "--group", "category", "--sort", "score category=math")
    assert {row["task"] for row in rows} == {"mtbench@1"}
    assert {row["model"]: row["rank"] for row in rows if row["metric"] == "score"} == plain
    math = {row["model"]: float(row["value"]) for row in rows if row["metric"] == "score category=math"}
    assert math == {name: own(runs, name, "score", "category=math")["value"] for name in MODELS}
    order = list(dict.fromkeys(row["model"] for row in rows))
    assert [math[name] for name in order] == sorted(math.values(), reverse=True)
    assert len({row["metric"] for row in rows}) == 1 + 8


def test_a_narrow_terminal_keeps_the_columns_of_groups(
    runs: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Headed by their value alone, which a line explains; other columns go first."""
    monkeypatch.setenv("COLUMNS", "80")
    shown = command("leaderboard", runs, "--group", "mtbench:category").out
    head = next(line for line in shown.splitlines() if "rank" in line)
    assert [name for name in ("writing", "roleplay", "reasoning", "math", "coding") if f" {name} " in head]
    assert "95 % interval" not in head
    assert "score by category: writing, roleplay, reasoning, math" in " ".join(shown.split())
    assert all(len(line) <= 80 for line in shown.splitlines())


@pytest.mark.parametrize(
    ("group", "says"),
    [
        (["category=maths"], "mtbench has no category 'maths'; it has writing, .*did you mean math"),
        (
            ["topic=x"],
            r"has no group called 'topic'; it has .*; alpacaeval@2 has subset|; mtbench@1 has turn, category",
        ),
        (["gsm8k:level=1"], "about 'gsm8k', a task that is not here"),
        (["=x"], "expected KEY=VALUE or KEY"),
    ],
)
def test_a_group_that_no_run_has_is_refused(runs: Path, group: list[str], says: str) -> None:
    """Tables and comparisons name what there is."""
    with pytest.raises(UsageError, match=says):
        api.leaderboard(runs, group=group)
    with pytest.raises(UsageError, match=says):
        api.compare(runs / "plain", runs / "wordy", group=group)


def test_published_figures_have_no_groups(runs: Path) -> None:
    """A table of a group has none beside it; columns may stand beside them."""
    with pytest.raises(UsageError, match="published figures are of all examples"):
        api.leaderboard(runs, group="category=math", published=True)
    with pytest.raises(UsageError, match="there is no run here with groups"):
        api.leaderboard(group="category", published=True, task="mtbench")
    found = api.leaderboard(runs, group="category", published=True, task="mtbench")
    assert any(row.published for group in found.groups for row in group.rows)


def test_a_comparison_of_groups_adjusts_for_what_it_shows(runs: Path, command: Command) -> None:
    """Holm's values over the p-values shown; the differences are those of the whole comparison."""
    paths = [runs / name for name in MODELS]
    everything = {(d.metric, d.group, d.second): d for t in api.compare(paths).record.tasks for d in t.differences}
    found = api.compare(paths, group=["category=math,coding", "subset=code"]).record
    rows = [row for task in found.tasks for row in task.differences]
    assert {row.group for row in rows} == {"category=math", "category=coding", "subset=code"}
    for row in rows:
        assert row.difference == everything[row.metric, row.group, row.second].difference
    tested = [row for row in rows if row.p is not None]
    assert [row.p_adjusted for row in tested] == pytest.approx(adjusted_p_values([row.p for row in tested], "holm"))
    shown = " ".join(command("compare", *paths, "--group", "turn=1").out.split())
    assert "p-values are adjusted for the number of those shown: 2, all of the groups asked for" in shown
    assert "score turn=1" in shown
    assert "category=" not in shown


def test_ranks_and_changed_items_are_those_of_the_group(runs: Path) -> None:
    """More than two runs are ranked within each group; the items that changed most are in it."""
    found = api.compare([runs / name for name in MODELS], group="category=math", flips=5).record
    (task,) = found.tasks
    assert {(rank.metric, rank.group) for rank in task.ranks} == {("score", "category=math")}
    examples = {
        row["id"]: row for row in map(json.loads, (runs / "plain/mtbench/examples.jsonl").read_text().splitlines())
    }
    assert task.flips
    assert {examples[flip.example_id]["meta"]["category"] for flip in task.flips} == {"math"}


def test_python_takes_groups_lists_paths_and_runs(runs: Path) -> None:
    """``leaderboard([a, b])``: paths as texts, loaded runs, and lists of them, each run once."""
    first, second = api.load_run(runs / "plain"), str(runs / "wordy")
    listed = api.leaderboard([first, second], group="turn=2")
    assert {row.model for group in listed.groups for row in group.rows} == {"plain", "wordy"}
    assert {group.part for group in listed.groups} == {"turn=2"}
    assert set(listed.frame()["group"]) == {"turn=2"}
    assert api.leaderboard([[first], [second, first]], runs / "plain", group="turn=2") == listed


def test_published_judgements_give_the_groups_numbers_by_hand(
    shared_data: SharedData, tmp_path: Path, command: Command
) -> None:
    """AlpacaEval 2's of two models: the win rate on a subset is 100 times the mean of preference - 1 over its rows; the
    comparison's difference is that of the two.
    """
    source, models = shared_data / "alpacaeval", ("phi-2", "gpt4_gamed")
    mirrors, shares = [source, shared_data / "upstream"], {}
    for model in models:
        with gzip.open(source / "annotations_full" / f"{model}.json.gz") as file:
            rows = json.load(file)
        koala = (row for row in rows if row["dataset"] == "koala" and row["preference"] is not None)
        shares[model] = {row["instruction"]: 100 * (row["preference"] - 1) for row in koala}
        (tmp_path / f"{model}.json").write_text(json.dumps(rows))
        api.import_run(
            tmp_path / f"{model}.json", "alpaca-eval", task="alpacaeval", out=tmp_path / "runs" / model,
            mirrors=mirrors, offline=True,
        )  # fmt: skip
    rows = table(command, "leaderboard", tmp_path / "runs", "--group", "subset=koala")
    assert [row["rank"] for row in rows] == ["1", "2"]
    found = {Path(row["from"]).name: float(row["value"]) for row in rows}
    assert found == pytest.approx({model: mean(own.values()) for model, own in shares.items()}, abs=1e-9)
    compared = api.compare(*(tmp_path / "runs" / model for model in models), group="subset=koala", mirrors=mirrors)
    (difference,) = compared.record.tasks[0].differences
    assert (difference.metric, difference.group) == ("win_rate", "subset=koala")
    first, second = (shares[model] for model in models)
    both = first.keys() & second.keys()
    assert difference.n == len(both)
    assert difference.difference == pytest.approx(mean(second[one] - first[one] for one in both), abs=1e-9)


def test_a_group_whose_name_is_no_name_is_left_out(tmp_path: Path) -> None:
    """A run folder may come from anyone: a control character, or a page of text, heads no column."""
    write_totals(tmp_path / "a", "a", 50.0)
    path = tmp_path / "a" / "results.json"
    found = json.loads(path.read_text())
    odd = dict(found["scores"][-1])
    found["scores"] += [{**odd, "group": group} for group in ("subset=\x1b[31m", "subset=" + "x" * 500)]
    path.write_text(json.dumps(found))
    (group,) = api.leaderboard(tmp_path, group="subset").groups
    assert [name for name in group.rows[0].scores if "=" in name] == ["lc_win_rate subset=koala"]
