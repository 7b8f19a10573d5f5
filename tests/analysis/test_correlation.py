"""Leaderboards against human ratings: which tables are read, what is matched, and what is said."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from judgebench.analysis.correlation import KINDS, Correlations, MetricCorrelation, correlate
from judgebench.errors import UsageError
from judgebench.stats.correlation import correlation_interval
from tests.shared_data import SharedData

MODELS = ("GPT-4", "Claude 3", "mistral_large", "Llama-3-8B", "Qwen1.5", "Phi-2")


def table(path: Path, rows: Sequence[Sequence[object]]) -> str:
    """A CSV file."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(path)


@pytest.fixture
def board(tmp_path: Path) -> str:
    """Two metrics and a rating, with a cell missing and a column of text."""
    rows: list[list[object]] = [["Model", "judge", "length", "arena", "licence"]]
    for place, model in enumerate(MODELS):
        rows.append(
            [model, 90 - 9 * place + place % 2, "-" if place == 2 else 100 + place**2, 1250 - 20 * place, "mit"]
        )
    return table(tmp_path / "board.csv", rows)


def row(found: Correlations, metric: str, kind: str) -> MetricCorrelation:
    """One coefficient."""
    (only,) = (row for row in found.rows if (row.metric, row.kind) == (metric, kind))
    return only


def test_wildbench_carries_its_interval(shared_data: SharedData, tmp_path: Path) -> None:
    """The published table gives the printed 0.98 over six models; that coefficient's interval is 0.82 to 0.998, and
    against the 0.89 of AlpacaEval's LC win rate on the same models nothing is told apart.
    """
    with (shared_data / "wildbench" / "correlation_inputs.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    kept = [rows[0], *(line for line in rows[1:] if line[rows[0].index("top6")] == "1")]
    path = table(tmp_path / "top6.csv", kept)
    mix, lc = "stat_20240618.mix_Kinf", "stat_20240618.ae2_lc"
    found = correlate([path], "stat_20240618.elo", [mix, lc], KINDS)
    best = row(found, mix, "pearson")
    assert best.value == pytest.approx(0.980994, abs=5e-7)  # wildbench/correlation.csv
    assert best.n == 6
    assert (best.low, best.high) == pytest.approx((0.831, 0.998), abs=5e-4)
    assert "0.981, 95 % interval 0.831 to 0.998, n = 6 (few" in best.sentence
    printed = correlation_interval(round(best.value or 0.0, 2), best.n)
    assert (round(printed.low, 2), round(printed.high, 3)) == (0.82, 0.998)
    (pair,) = (pair for pair in found.comparisons if pair.kind == "pearson")
    assert (pair.first, pair.second) == (mix, lc)
    assert pair.p_williams is not None
    assert pair.p_steiger is not None
    assert min(pair.p_williams, pair.p_steiger) > 0.05
    assert pair.low is not None
    assert pair.low < 0


def test_every_coefficient_of_the_published_table(shared_data: SharedData) -> None:
    """All 14 models: Pearson, Spearman and Kendall of the table that was computed by scipy, to its printed digits."""
    folder = shared_data / "wildbench"
    with (folder / "correlation.csv").open(newline="") as file:
        expected = [line for line in csv.DictReader(file) if line["source"] == "paper_table2"]
    metrics = [f"paper_table2.{line['metric']}" for line in expected]
    found = correlate([str(folder / "correlation_inputs.csv")], "paper_table2.elo", metrics, KINDS)
    for line, metric in zip(expected, metrics, strict=True):
        for kind in KINDS:
            assert row(found, metric, kind).value == pytest.approx(float(line[f"{kind}_all14"]), abs=1e-6)


def test_text_columns_are_no_metrics_and_missing_cells_are_left_out(board: str) -> None:
    """Of the four columns two are metrics; the row without a length does not count for it."""
    found = correlate([board], "arena", [], ["pearson"])
    assert {row.metric: row.n for row in found.rows} == {"judge": 6, "length": 5}


def test_names_are_matched_however_they_are_spelled(board: str, tmp_path: Path) -> None:
    """Capitals and signs do not count, so tables of different habits meet."""
    other = table(tmp_path / "other.csv", [["model", "elo"], ["gpt 4", 3], ["claude-3", 2], ["MISTRAL-LARGE", 1],
                                           ["llama3.8b", 0]])  # fmt: skip
    assert row(correlate([board, other], "elo", ["judge"], ["pearson"]), "judge", "pearson").n == 4


def test_the_published_ratings_are_the_default_reference() -> None:
    """The bundled tables meet: AlpacaEval 2 against the newest overall Arena ratings, which the note names."""
    found = correlate(["alpacaeval"], "arena_elo", ["alpacaeval@2:lc_win_rate", "alpacaeval@2:win_rate"], ["spearman"])
    assert found.against == "arena_elo@2024-04-18:category=overall"
    assert "newest overall" in found.notes[0]
    assert [row.metric for row in found.rows] == ["alpacaeval@2:lc_win_rate", "alpacaeval@2:win_rate"]
    assert all(row.n == 20 and row.value and row.low is not None for row in found.rows)
    earlier = correlate(["alpacaeval"], "arena_elo@2024-02-02:category=overall", ["alpacaeval@2:win_rate"], ["pearson"])
    assert earlier.rows[0].n > 20


def test_our_own_leaderboard_is_read(tmp_path: Path) -> None:
    """What ``judgebench leaderboard`` prints as JSON and as CSV gives the same correlation."""
    scores = {"m1": 1.0, "m2": 2.0, "m3": 4.0, "m4": 3.0}
    groups = [{"task": "t@1", "rows": [{"model": m, "scores": {"s": {"value": v}}} for m, v in scores.items()]}]
    (tmp_path / "own.json").write_text(json.dumps(groups))
    lines = [["task", "model", "metric", "value", "n"], *(["t@1", m, "s", v, 9] for m, v in scores.items())]
    long = table(tmp_path / "own.csv", lines)
    humans = table(tmp_path / "humans.csv", [["model", "elo"], *([m, 10 * n] for n, m in enumerate(scores))])
    first, second = (correlate([path, humans], "elo", [], ["kendall"]) for path in (str(tmp_path / "own.json"), long))
    assert first.rows == second.rows
    assert (first.rows[0].metric, first.rows[0].n) == ("t@1:s", 4)
    assert first.rows[0].value == pytest.approx(2 / 3)


def test_too_few_models_give_a_reason(tmp_path: Path) -> None:
    """Two models, a constant metric and a perfect one: no number is made up."""
    two = correlate([table(tmp_path / "a.csv", [["model", "x", "elo"], ["a", 1, 2], ["b", 2, 3]])], "elo", [], KINDS)
    assert all(row.low is None and row.reason for row in two.rows)
    rows = [["model", "same", "elo"], *([name, 5, n] for n, name in enumerate("abcdef"))]
    constant = correlate([table(tmp_path / "b.csv", rows)], "elo", [], KINDS)
    assert all(row.value is None and row.reason for row in constant.rows)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name,x\na,1\n", "has no column 'model'"),
        (b"model,x,x\na,1,2\n", "the header has a column twice"),
        (b"model,x,elo\na,1,2\na,2,3\n", "is given already"),
        (b"model,x,elo\nGPT 4,1,2\ngpt-4,2,3\n", "is given already (as 'GPT 4')"),
        (b"model,x,elo\na,1\n", "2 cells for 3 columns"),
        (b'model,x,elo\na,"1\n', "not valid CSV"),
        (b"model,licence\na,mit\n", "no column of numbers"),
        (b"model,x\na,1\n", "--against 'elo' is neither a column"),
        (b"model,elo\na,1\n", "no metric beside elo"),
        (b"model,elo\n\xff,1\n", "cannot be read"),
        (b"\xff\xfe", "has no column 'model'"),
        (b"", "has no column 'model'"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(tmp_path: Path, content: bytes, said: str) -> None:
    """Each is a usage error (exit 2)."""
    path = tmp_path / "board.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError) as refused:
        correlate([str(path)], "elo", [], KINDS)
    assert said in str(refused.value)
    with pytest.raises(UsageError, match="cannot be read"):
        correlate([str(tmp_path / "nothing.csv")], "elo", [], KINDS)


def test_unknown_names_are_refused(board: str, tmp_path: Path) -> None:
    """A metric, a rating table, and models that nobody shares."""
    with pytest.raises(UsageError, match="--metric 'wins' is not among"):
        correlate([board], "arena", ["wins"], KINDS)
    with pytest.raises(UsageError, match="is not in the published table; it has"):
        correlate([board], "arena_elo@1999", [], KINDS)
    strangers = table(tmp_path / "s.csv", [["model", "y"], ["nobody", 1], ["noone", 2]])
    with pytest.raises(UsageError, match="their names differ"):
        correlate([strangers], "arena_elo", [], KINDS)
