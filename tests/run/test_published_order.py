"""Runs made from the published judgements stand in the order of the published tables, with their numbers."""

import json
from pathlib import Path
from typing import Any

import pytest

from judgebench.analysis.leaderboard import Group, across_tasks, arranged, group_rows, headlines, in_one_table
from judgebench.analysis.published import beside_published, published_rows
from judgebench.exchange.importing import import_run
from judgebench.run.reading import read_runs
from judgebench.run.settings import Settings
from tests.campaigns import ALL
from tests.tasks.alpacaeval_data import ALPACAEVAL, annotations, tables
from tests.tasks.wildbench_data import WILDBENCH

LC_TOLERANCE = 0.06
"""The published length-controlled rates hang on how upstream's folds fell: ours are within 0.055 for these ten, and
within 0.15 for all 40 models. All other numbers are equal but for rounding."""


def whole() -> list[str]:
    """Models of whose 805 judgements none was dropped: the others miss a baseline answer, which these tables lack."""
    return sorted(model for model, rows in tables(2).items() if len(rows) == 805)


def chosen() -> list[str]:
    """Ten of them, or the last six of the ten, which the two rates order otherwise."""
    return whole()[:10] if ALL else whole()[4:10]


def table_of(folder: Path, label: str) -> tuple[Group, Group]:
    """Our table of a task, and the published one."""
    others = published_rows(label)
    rows = [*in_one_table(read_runs([folder]).readable), *others]
    groups = beside_published(group_rows(rows, headlines({label})), others)
    ours, published = (
        next(g for g in groups if g.task == label and g.rows[0].published is kind) for kind in (False, True)
    )
    return ours, published


@pytest.fixture(scope="module")
def some_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folders of those models, from the judgements behind AlpacaEval 2's table."""
    folder = tmp_path_factory.mktemp("some")
    for model in chosen():
        source = folder / f"{model}.json"
        source.write_text(json.dumps(annotations(2, model)))
        settings = Settings(tasks="alpacaeval", out=folder / "runs" / model, mirrors=(ALPACAEVAL.path,), offline=True)
        import_run(source, "alpaca_eval", settings)
    return folder / "runs"


def test_models_of_alpacaeval(some_runs: Path) -> None:
    """One table, in the published order, with the published numbers, lengths and standard errors."""
    ours, published = table_of(some_runs, "alpacaeval@2")
    assert len(ours.rows) == len(chosen())
    models = [row.model for row in ours.rows]
    wanted = {row.model: row.scores for row in published.rows if row.model in models}
    assert models == list(wanted)
    for row in ours.rows:
        theirs = wanted[row.model]
        for metric in ("win_rate", "discrete_win_rate", "avg_length"):
            assert row.scores[metric].value == pytest.approx(theirs[metric].value, abs=1e-9)
        assert row.scores["win_rate"].stderr == pytest.approx(theirs["win_rate"].stderr, abs=1e-9)
        assert row.scores["lc_win_rate"].value == pytest.approx(theirs["lc_win_rate"].value, abs=LC_TOLERANCE)
        assert row.published_value == theirs["lc_win_rate"].value
        assert row.unread == 0
        assert row.usd is None
        assert "stand-in source" in row.flags
        assert row.rank is not None
        assert row.rank_low is not None
        assert row.rank_high is not None
        assert row.rank_low <= row.rank <= row.rank_high
    assert [row.model for row in ours.rows if "constant_output" in row.flags] == ["NullModel"]


def test_sorting_by_another_metric_gives_its_published_order(some_runs: Path) -> None:
    """Without length control the order is another one, upstream's too."""
    ours, published = table_of(some_runs, "alpacaeval@2")
    orders = [
        [row.model for row in arranged([group], sort="win_rate")[0].rows if row.model in {r.model for r in ours.rows}]
        for group in (ours, published)
    ]
    assert orders[0] == orders[1]
    assert orders[0] != [row.model for row in ours.rows]


def test_another_judge_is_another_table(some_runs: Path, tmp_path: Path) -> None:
    """The same judgements, said to be of another judge and prompt, are never ranked with them."""
    model = whole()[0]
    rows: list[dict[str, Any]] = [{**row, "annotator": "alpaca_eval_gpt4"} for row in annotations(2, model)]
    (tmp_path / "other.json").write_text(json.dumps(rows))
    settings = Settings(tasks="alpacaeval", out=tmp_path / "other", mirrors=(ALPACAEVAL.path,), offline=True)
    import_run(tmp_path / "other.json", "alpaca_eval", settings)
    groups = group_rows(in_one_table(read_runs([some_runs, tmp_path]).readable), headlines({"alpacaeval@2"}))
    assert [len(group.rows) for group in groups] == [len(chosen()), 1]
    assert groups[1].rows[0].model == model
    assert any(field.startswith("judges.") for field in groups[1].differs)
    assert across_tasks(groups) is None


def test_six_models_of_wildbench(tmp_path: Path) -> None:
    """The scores upstream judged, micro-averaged: the published order and numbers (a table of tasks is not public)."""
    models = ("Qwen1.5-72B-Chat-greedy", "gemma-2b-it", "gpt-3.5-turbo-0125", "reka-core-20240501", "reka-edge")
    for model in models:
        source = WILDBENCH / "score_records" / f"v0625-gpt4o__{model}.jsonl.gz"
        mirrors = (WILDBENCH.path,)
        import_run(
            source, "wildbench", Settings(tasks="wildbench", out=tmp_path / model, mirrors=mirrors, offline=True)
        )
    ours, published = table_of(tmp_path, "wildbench@v2.0625")
    wanted = {row.model: row.scores["wb_score_micro"].value for row in published.rows if row.model in models}
    assert ours.headline[0] == "wb_score_micro"
    assert [row.model for row in ours.rows] == sorted(models, key=lambda model: -(wanted[model] or 0.0))
    for row in ours.rows:
        assert row.scores["wb_score_micro"].value == pytest.approx(wanted[row.model], abs=1e-9)
