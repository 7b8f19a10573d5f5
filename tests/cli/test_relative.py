"""``compare --relative``: gains in percent with Fieller's interval, where a scale has a true zero."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from judgebench.stats.clustered import cluster_totals
from judgebench.stats.relative import paired_ratio
from tests.commands import judgebench

SCORES = {"a": [0.2, 0.4, 0.6, 0.5, 0.9, 0.3, 0.7, 0.8], "b": [0.3, 0.5, 0.5, 0.7, 1.0, 0.3, 0.9, 0.8]}


def compared(tmp_path: Path, scale: str, *flags: str, scores: Mapping[str, Sequence[float]] = SCORES) -> str:
    """What the comparison of two runs of scores says."""
    (tmp_path / "mine.toml").write_text(f'kind = "scored"\n[scored]\n{scale}\n')
    for model, values in scores.items():
        rows = [json.dumps({"id": str(number), "score": value}) for number, value in enumerate(values)]
        (tmp_path / f"{model}.jsonl").write_text("\n".join(rows))
        judgebench(
            ["import", f"{model}.jsonl", "--from", "scored", "--task", "mine.toml", "--out", model], cwd=tmp_path
        )
    return judgebench(["compare", "a", "b", "--tasks", "mine.toml", *flags], cwd=tmp_path).stdout


@pytest.mark.parametrize("scale", ["scale = [0, 1]", 'scale = [0, 1]\nunit = "percent"'])
def test_gains_have_fieller_s_interval(tmp_path: Path, scale: str) -> None:
    """In the place of differences; the interval is that of the ratio of the paired sums."""
    shown = compared(tmp_path, scale, "--relative", "--format", "md")
    expected = paired_ratio(cluster_totals(SCORES["b"]), cluster_totals(SCORES["a"]))
    assert expected.gain_interval is not None
    assert (
        f"| {expected.gain:+.1f} | {expected.gain_interval.low:+.1f} to {expected.gain_interval.high:+.1f} |" in shown
    )
    assert "gain, %" in shown
    record = json.loads(compared(tmp_path, scale, "--format", "json"))
    (row,) = record["tasks"][0]["differences"]
    assert row["relative_low"] == pytest.approx(expected.gain_interval.low)
    assert row["relative_high"] == pytest.approx(expected.gain_interval.high)


def test_a_scale_without_a_true_zero_has_no_gain(tmp_path: Path) -> None:
    """Scores from -1 to 1 have none, and it is said why; their differences stay."""
    shown = compared(tmp_path, "scale = [-1, 1]", "--relative", "--format", "md")
    assert "no relative gain: points have no true zero" in shown
    assert "| – | – | +0.08 |" in shown


@pytest.mark.parametrize(("scale", "span"), [("scale = [0, 1]", 1.0), ("scale = [-1, 1]", 2.0)])
def test_no_interval_of_a_difference_is_wider_than_the_scale(tmp_path: Path, scale: str, span: float) -> None:
    """Two items leave nearly everything open, but no more than is possible: in a comparison, and in a gate."""
    found = json.loads(compared(tmp_path, scale, "--format", "json", scores={"a": [0.0, 1.0], "b": [1.0, 0.5]}))
    (row,) = found["tasks"][0]["differences"]
    assert (row["low"], row["high"]) == (-span, span)
    gated = ["gate", "--baseline", "a", "--candidate", "b", "--max-drop", 0.1, "--tasks", "mine.toml", "--json"]
    (check,) = json.loads(judgebench(gated, code=3, cwd=tmp_path).stdout)["checks"]
    assert (check["low"], check["high"]) == (-span, span)


def test_nobody_loses_more_than_everything(tmp_path: Path) -> None:
    """Fieller's interval of a gain ends at a loss of 100 percent where no score is below zero."""
    record = json.loads(
        compared(tmp_path, "scale = [0, 1]", "--format", "json", scores={"a": [0.9, 0.8, 1.0], "b": [0, 0.9, 0]})
    )
    (row,) = record["tasks"][0]["differences"]
    assert row["relative_low"] == -100
