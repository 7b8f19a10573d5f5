"""Only like is ranked with like, and no name in a table is more than a name."""

import csv
import io
import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from judgebench.cli import app
from judgebench.codec import canonical_hash
from judgebench.errors import UsageError
from judgebench.integrity import Finding
from judgebench.leaderboard import find_runs, group_rows, published_rows, rows_of
from judgebench.records import Score, SourceUsed
from judgebench.store import Manifest, Results, RunFolder, TaskManifest

HEADLINES = {"alpacaeval@2": ("lc_win_rate", "win_rate")}
PROTOCOL = {"task": "alpacaeval", "judges": {"j": {"model": "judge-1", "prompt_and_rule": "p"}}, "starter": False}
OTHER_JUDGE = {**PROTOCOL, "judges": {"j": {"model": "judge-2", "prompt_and_rule": "p"}}}


def write_run(
    path: Path,
    model: str,
    rate: float | None,
    protocol: dict[str, Any] = PROTOCOL,
    *,
    task: str = "alpacaeval",
    flags: tuple[str, ...] = (),
    standin: bool = False,
    metrics: tuple[str, ...] = ("lc_win_rate", "win_rate"),
    status: str = "complete",
) -> Path:
    """A run folder with as much in it as a leaderboard reads."""
    run = RunFolder(path)
    source = SourceUsed(name="s", sha256="00", origin="mirror", standin=standin)
    fields = TaskManifest(
        label=f"{task}@2",
        name=task,
        version="2",
        options={},
        starter=bool(protocol["starter"]),
        examples=805,
        sources=[source],
        protocol=protocol,
        protocol_hash=canonical_hash(protocol),
        inputs={},
        input_hash="",
    )
    run.write_manifest(
        Manifest(
            run_id=path.name,
            status=status,
            candidate=model,
            candidate_identity="",
            candidate_spec="",
            versions={},
            protocol_hash=fields.protocol_hash,
            input_hash="",
            started_at="2024-01-01T00:00:00Z",
            sessions=[],
            tasks={task: fields},
        )
    )
    scores = [
        Score(task=task, metric=metric, value=rate, unit="percent", low=rate and rate - 1, high=rate and rate + 1,
              level=0.95, n=805, n_missing=2, reason=None if rate else "no verdict")
        for metric in metrics
    ]  # fmt: skip
    scores.append(Score(task=task, metric=metrics[0], value=1.0, unit="percent", n=1, group="subset=koala"))
    findings = [
        Finding(task=task, check=check, count=1, n=1, flagged=True, message="seen") for check in (*flags, "ignored")
    ]
    findings[-1] = Finding(task=task, check="not_flagged", count=0, n=1, flagged=False, message="")
    run.write_results(Results(run=str(path), model=model, status=status, scores=scores, integrity=findings))
    return path


def shown(form: str, *arguments: str) -> str:
    """What ``judgebench leaderboard`` prints."""
    result = CliRunner().invoke(
        app, ["leaderboard", *arguments, "--format", form], env={"COLUMNS": "200"}, catch_exceptions=False
    )
    assert result.exit_code == 0
    return result.stdout


def test_rows_are_ranked_by_the_headline(tmp_path: Path) -> None:
    """Best first; a model without a value comes last; groups such as subsets are no rows of their own."""
    for model, rate in (("low", 10.0), ("none", None), ("high", 50.0), ("middle", 30.0)):
        write_run(tmp_path / model, model, rate)
    rows = [row for run in find_runs([tmp_path]) for row in rows_of(run)]
    (group,) = group_rows(rows, HEADLINES)
    assert [row.model for row in group.rows] == ["high", "middle", "low", "none"]
    assert group.rows[0].scores["lc_win_rate"].value == 50.0
    assert group.headline == ("lc_win_rate", "win_rate")


def test_unlike_protocols_stand_apart_with_what_differs(tmp_path: Path) -> None:
    """Another judge is another table; the larger one comes first, and the other names the field."""
    write_run(tmp_path / "a", "a", 90.0, OTHER_JUDGE)
    write_run(tmp_path / "b", "b", 10.0)
    write_run(tmp_path / "c", "c", 20.0)
    first, second = group_rows([row for run in find_runs([tmp_path]) for row in rows_of(run)], HEADLINES)
    assert [row.model for row in first.rows] == ["c", "b"]
    assert first.differs == ()
    assert [row.model for row in second.rows] == ["a"]
    assert second.differs == ("judges.j.model",)
    text = shown("md", str(tmp_path))
    assert "differs from the first table in judges.j.model" in text.replace("\\", "")
    assert text.count("**alpacaeval@2") == 2


def test_starter_sets_are_marked_and_apart(tmp_path: Path) -> None:
    """Their table says that it is comparable with nothing."""
    write_run(tmp_path / "a", "a", 50.0, {**PROTOCOL, "starter": True})
    write_run(tmp_path / "b", "b", 50.0)
    for form in ("rich", "md"):
        assert "starter set, not comparable with anything" in " ".join(shown(form, str(tmp_path)).split())
    groups = json.loads(shown("json", str(tmp_path)))
    assert sorted(group["rows"][0]["starter"] for group in groups) == [False, True]


@pytest.mark.parametrize("form", ["rich", "md", "csv", "json"])
def test_doubts_stand_beside_the_number(tmp_path: Path, form: str) -> None:
    """Integrity flags, stand-in sources and unfinished runs show in every format."""
    write_run(tmp_path / "a", "gamer", 86.5, flags=("constant_output", "prompt_fragments"), standin=True)
    write_run(tmp_path / "b", "honest", 50.0, status="incomplete")
    text = " ".join(shown(form, str(tmp_path)).replace("\\_", "_").split())
    for word in ("constant_output", "prompt_fragments", "stand-in source"):
        assert word in text
    assert "incomplete" in text
    assert "not_flagged" not in text


def test_published_figures_are_marked_and_apart(tmp_path: Path) -> None:
    """They are rows of a protocol of their own, with their origin."""
    write_run(tmp_path / "a", "mine", 50.0)
    rows = published_rows("alpacaeval@2")
    assert len(rows) > 200
    assert {row.task for row in rows} == {"alpacaeval@2"}
    assert all(row.published and "tatsu-lab/alpaca_eval@" in row.origin for row in rows)
    assert published_rows("alpacaeval")[0].task.startswith("alpacaeval@")
    assert published_rows("gsm8k-of-nobody") == []
    text = shown("csv", str(tmp_path), "--published", "--task", "alpacaeval@2")
    table = list(csv.DictReader(io.StringIO(text)))
    assert {row["published"] for row in table if row["model"] == "mine"} == {"False"}
    ranked = [row for row in table if row["published"] == "True" and row["metric"] == "lc_win_rate"]
    assert len(ranked) == len(rows)
    assert ranked[0]["model"] == "NullModel"
    assert float(ranked[0]["value"]) == 86.45780691307947
    assert "mine" in shown("rich", str(tmp_path), "--published")


HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "\x9b2J",
    "\u202eevil\u2066",
    "two\nlines",
    "carriage\rreturn",
    "a | b | c",
    "[bold red]markup[/]",
    "[link](javascript:alert(1))",
    "<script>alert(1)</script>",
    "`code` *bold* _it_",
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    'quote",comma',
    "\u2028",
    "x" * 5000,
]


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name[:20]))
@pytest.mark.parametrize("form", ["rich", "md", "csv", "json"])
def test_a_hostile_name_is_only_a_name(tmp_path: Path, form: str, name: str) -> None:
    """In a model's name, a check, a task, a protocol field and a metric: no control character reaches the output."""
    write_run(tmp_path / "a", name, 50.0, flags=(name,))
    write_run(tmp_path / "b", "plain", 40.0, {**PROTOCOL, name: 1})
    write_run(tmp_path / "c", "plain", 30.0, task=name, metrics=("score", name), status=name)
    text = shown(form, str(tmp_path))
    steering = {c for c in text if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")}
    assert steering == set()


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0"])
def test_no_cell_of_a_table_is_a_formula(tmp_path: Path, name: str) -> None:
    """A spreadsheet shows the name instead of running it; numbers stay numbers."""
    write_run(tmp_path / "a", name, -50.0, flags=(name,), task=name, metrics=("score", name))
    rows = list(csv.reader(io.StringIO(shown("csv", str(tmp_path)))))
    for cell in (cell for row in rows[1:] for cell in row):
        assert not cell.startswith(("=", "+", "@", "\t", "\r"))
        assert not cell.startswith("-") or float(cell) < 0
    assert len({len(row) for row in rows}) == 1


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name[:20]))
def test_a_markdown_table_keeps_its_columns(tmp_path: Path, name: str) -> None:
    """Pipes, line breaks and brackets of a name are escaped."""
    write_run(tmp_path / "a", name, 50.0)
    _, _, head, rule, row, *_ = shown("md", str(tmp_path)).splitlines()
    assert len({line.replace("\\\\", "").replace("\\|", "").count("|") for line in (head, rule, row)}) == 1
    for character in "<[`":
        assert row.count(character) == row.count(f"\\{character}")


def test_json_gives_names_back_whole(tmp_path: Path) -> None:
    """Escaped on the way, equal after parsing."""
    for number, name in enumerate(HOSTILE):
        write_run(tmp_path / str(number), name, 50.0)
    (group,) = json.loads(shown("json", str(tmp_path)))
    assert sorted(row["model"] for row in group["rows"]) == sorted(HOSTILE)


def test_runs_are_found_once_and_anywhere_below(tmp_path: Path) -> None:
    """A folder and a folder above it name the same run; what holds none is an error."""
    run = write_run(tmp_path / "deep" / "model" / "run", "m", 1.0)
    assert len(find_runs([tmp_path, run, run / "..", tmp_path / "deep"])) == 1
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="holds no run folder"):
        find_runs([tmp_path / "empty"])
    with pytest.raises(UsageError, match="is not a folder"):
        find_runs([tmp_path / "file"])


def test_nothing_to_show_is_an_error(tmp_path: Path) -> None:
    """A task that no run has."""
    write_run(tmp_path / "a", "m", 1.0)
    with pytest.raises(UsageError, match="nothing to show for task 'mtbench'"):
        shown("md", str(tmp_path), "--task", "mtbench")
