"""Only like is ranked with like, and no name in a table is more than a name."""

import csv
import io
import json
import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from judgebench.analysis.leaderboard import across_tasks, group_rows, rows_of
from judgebench.analysis.published import published_rows
from judgebench.cli import app
from judgebench.display import printable
from judgebench.errors import UsageError
from judgebench.records import Score
from judgebench.run.folder import RunFolder, Session
from judgebench.run.reading import read_runs
from tests.made_runs import JUDGED, OFFICIAL, OTHER_JUDGE, write_totals

HEADLINES = {"alpacaeval@2": ("lc_win_rate", "win_rate")}


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
        write_totals(tmp_path / model, model, rate)
    rows = [row for run in read_runs([tmp_path]).readable for row in rows_of(run)]
    (group,) = group_rows(rows, HEADLINES)
    assert [row.model for row in group.rows] == ["high", "middle", "low", "none"]
    assert group.rows[0].scores["lc_win_rate"].value == 50.0
    assert group.headline == ("lc_win_rate", "win_rate")


@pytest.mark.parametrize("field", ["model", "prompt_and_rule"])
def test_unlike_protocols_stand_apart_with_what_differs(tmp_path: Path, field: str) -> None:
    """Another judge, or prompt, is another table; the larger one comes first, and the other names the field."""
    other = {**JUDGED, "judges": {"j": {**JUDGED["judges"]["j"], field: "another"}}}
    write_totals(tmp_path / "a", "a", 90.0, protocol=other)
    write_totals(tmp_path / "b", "b", 10.0)
    write_totals(tmp_path / "c", "c", 20.0)
    rows = [row for run in read_runs([tmp_path]).readable for row in rows_of(run)]
    first, second = group_rows(rows, HEADLINES)
    assert [row.model for row in first.rows] == ["c", "b"]
    assert first.differs == ()
    assert [row.model for row in second.rows] == ["a"]
    assert second.differs == (f"judges.j.{field}",)
    text = shown("md", str(tmp_path)).replace("\\", "")
    assert f"differs from the first table in {field.replace('_', ' ')} of the judge j" in text
    assert text.count("**alpacaeval@2") == 2


def test_starter_sets_are_marked_and_apart(tmp_path: Path) -> None:
    """Their table says that it is comparable with nothing."""
    write_totals(tmp_path / "a", "a", 50.0, protocol={**JUDGED, "starter": True})
    write_totals(tmp_path / "b", "b", 50.0)
    for form in ("rich", "md", "html", "latex"):
        assert "starter set, not comparable with anything" in " ".join(shown(form, str(tmp_path)).split())
    groups = json.loads(shown("json", str(tmp_path)))
    assert sorted(group["rows"][0]["starter"] for group in groups) == [False, True]


@pytest.mark.parametrize("form", ["rich", "md", "csv", "json", "html", "latex"])
def test_doubts_stand_beside_the_number(tmp_path: Path, form: str) -> None:
    """Integrity flags, stand-in sources and unfinished runs show in every format."""
    write_totals(tmp_path / "a", "gamer", 86.5, flags=("constant_output", "prompt_fragments"), standin=True)
    write_totals(tmp_path / "b", "honest", 50.0, status="incomplete")
    text = " ".join(shown(form, str(tmp_path)).replace("\\_", "_").split())
    for word in ("constant_output", "prompt_fragments", "stand-in source"):
        assert word in text
    assert "incomplete" in text
    assert "not_flagged" not in text


def test_published_figures_are_marked_and_apart(tmp_path: Path) -> None:
    """They are rows of a protocol of their own, with their origin."""
    write_totals(tmp_path / "a", "mine", 50.0)
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
@pytest.mark.parametrize("form", ["rich", "md", "csv", "json", "html", "latex"])
def test_a_hostile_name_is_only_a_name(tmp_path: Path, form: str, name: str) -> None:
    """In a model's name, a check, a task, a protocol field and a metric: no control character reaches the output."""
    write_totals(tmp_path / "a", name, 50.0, flags=(name,))
    write_totals(tmp_path / "b", "plain", 40.0, protocol={**JUDGED, name: 1})
    write_totals(tmp_path / "c", "plain", 30.0, task=name, metrics=("score", name), status=name)
    text = shown(form, str(tmp_path))
    steering = {c for c in text if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")}
    assert steering == set()


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0"])
def test_no_cell_of_a_table_is_a_formula(tmp_path: Path, name: str) -> None:
    """A spreadsheet shows the name instead of running it; numbers stay numbers."""
    write_totals(tmp_path / "a", name, -50.0, flags=(name,), task=name, metrics=("score", name))
    rows = list(csv.reader(io.StringIO(shown("csv", str(tmp_path)))))
    for cell in (cell for row in rows[1:] for cell in row):
        assert not cell.startswith(("=", "+", "@", "\t", "\r"))
        assert not cell.startswith("-") or float(cell) < 0
    assert len({len(row) for row in rows}) == 1


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name[:20]))
def test_a_markdown_table_keeps_its_columns(tmp_path: Path, name: str) -> None:
    """Pipes, line breaks and brackets of a name are escaped; the only comments are those that end a mention."""
    write_totals(tmp_path / "a", name, 50.0)
    _, _, head, rule, row, *_ = shown("md", str(tmp_path)).replace("@<!-- -->", "@").splitlines()
    assert len({line.replace("\\\\", "").replace("\\|", "").count("|") for line in (head, rule, row)}) == 1
    for character in "<[`":
        assert row.count(character) == row.count(f"\\{character}")


def test_json_gives_names_back_whole(tmp_path: Path) -> None:
    """Escaped on the way, equal after parsing."""
    for number, name in enumerate(HOSTILE):
        write_totals(tmp_path / str(number), name, 50.0)
    (group,) = json.loads(shown("json", str(tmp_path)))
    assert sorted(row["model"] for row in group["rows"]) == sorted(HOSTILE)


def test_nothing_to_show_is_an_error(tmp_path: Path) -> None:
    """A task that no run has."""
    write_totals(tmp_path / "a", "m", 1.0)
    with pytest.raises(UsageError, match="holds no task 'mtbench'; it holds alpacaeval"):
        shown("md", str(tmp_path), "--task", "mtbench")


def ranked(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """Rows of the first table, as JSON has them."""
    rows: list[dict[str, Any]] = json.loads(shown("json", str(folder), *arguments))[0]["rows"]
    return rows


def test_equal_values_share_a_rank(tmp_path: Path) -> None:
    """1, 2, 2, 4; a model without a value has none."""
    for model, rate in (("a", 50.0), ("b", 40.0), ("c", 40.0), ("d", 30.0), ("e", None)):
        write_totals(tmp_path / model, model, rate)
    assert [(row["model"], row["rank"]) for row in ranked(tmp_path)] == [
        ("a", 1), ("b", 2), ("c", 2), ("d", 4), ("e", None)
    ]  # fmt: skip


def test_ranks_that_errors_leave_open_stand_beside_the_rank(tmp_path: Path) -> None:
    """Two runs a point apart could change places, one far below them not; bounds do for a standard error."""
    for model, rate in (("a", 51.0), ("b", 50.0), ("c", 20.0)):
        write_totals(tmp_path / model, model, rate, stderr=1.5)
    assert [(row["rank_low"], row["rank_high"]) for row in ranked(tmp_path)] == [(1, 2), (1, 2), (3, 3)]
    for form in ("rich", "md", "html", "latex"):
        assert "Tukey" in shown(form, str(tmp_path))
    write_totals(tmp_path / "bounds" / "d", "d", 60.0)
    write_totals(tmp_path / "bounds" / "e", "e", 50.0)
    assert [(row["rank_low"], row["rank_high"]) for row in ranked(tmp_path / "bounds")] == [(1, 1), (2, 2)]


def test_a_metric_without_any_value_ranks_nothing(tmp_path: Path) -> None:
    """The next one of the task does."""
    for model in ("a", "b"):
        write_totals(tmp_path / model, model, 10.0 if model == "a" else 20.0, metrics=("win_rate",))
    rows = [row for run in read_runs([tmp_path]).readable for row in rows_of(run)]
    (group,) = group_rows(rows, {"alpacaeval@2": ("lc_win_rate", "win_rate")})
    assert group.headline == ("win_rate",)
    none = {"lc_win_rate": Score(task="t", metric="lc_win_rate", value=None, unit="percent", n=0, reason="no table")}
    rows = [msgspec.structs.replace(row, scores={**none, **row.scores}) for row in rows]
    (group,) = group_rows(rows, {"alpacaeval@2": ("lc_win_rate", "win_rate")})
    assert (group.headline, group.rows[0].model) == (("win_rate", "lc_win_rate"), "b")


def test_cost_length_and_unread_share(tmp_path: Path) -> None:
    """USD of all sessions, marked where some tokens have no known price; characters; unread and failed of all cases."""
    write_totals(tmp_path / "a", "a", 50.0, usd=1.25, unread=161, length=1234.0)
    write_totals(tmp_path / "b", "b", 40.0, usd=2.0, unpriced=5)
    second, first = ranked(tmp_path)
    assert (first["usd"], first["unpriced"], first["unread"]) == (1.25, False, 0.2)
    assert (second["usd"], second["unpriced"], second["unread"]) == (2.0, True, 0.0)
    head, _, two, one = [line for line in shown("md", str(tmp_path)).splitlines() if line.startswith("|")]
    assert {"unread", "avg\\_length", "USD"} <= {cell.strip() for cell in head.split("|")}
    assert "20.0 %" in one
    assert "| 1234 |" in one
    assert "| 1.25 |" in one
    assert "| ≥ 2.00 |" in two


def test_sorting_and_filtering_leave_the_ranks(tmp_path: Path) -> None:
    """A metric's largest, a cost's smallest come first; a pattern fits the whole name in any case; pins stay on top."""
    for model, rate, usd in (("Llama-8b", 10.0, 1.0), ("llama-70b", 30.0, 3.0), ("other", 20.0, 2.0)):
        write_totals(tmp_path / model, model, rate, usd=usd)

    def order(*arguments: str) -> list[tuple[str, int]]:
        return [(row["model"], row["rank"]) for row in ranked(tmp_path, *arguments)]

    assert order() == [("llama-70b", 1), ("other", 2), ("Llama-8b", 3)]
    assert order("--sort", "usd") == [("Llama-8b", 3), ("other", 2), ("llama-70b", 1)]
    assert order("--sort", "model") == [("Llama-8b", 3), ("llama-70b", 1), ("other", 2)]
    assert order("--sort", "win_rate") == order()
    assert order("--filter", "LLAMA*") == [("llama-70b", 1), ("Llama-8b", 3)]
    assert order("--filter", "*70b", "--filter", "oth?r") == [("llama-70b", 1), ("other", 2)]
    assert order("--pin", "Llama-8b") == [("Llama-8b", 3), ("llama-70b", 1), ("other", 2)]
    assert order("--pin", "other", "--filter", "*8b") == [("other", 2), ("Llama-8b", 3)]
    assert "* 3" in shown("rich", str(tmp_path), "--pin", "Llama-8b")
    for arguments, said in (
        (("--sort", "beauty"), "it can be model, length, usd, unread, lc_win_rate, win_rate"),
        (("--filter", "gpt*"), "--filter gpt*: no model has such a name"),
        (("--pin", "gpt"), "--pin 'gpt': no row is of that model; the models are Llama-8b"),
    ):
        with pytest.raises(UsageError) as caught:
            shown("md", str(tmp_path), *arguments)
        assert said in str(caught.value)


def test_tasks_side_by_side(tmp_path: Path) -> None:
    """The first table of each task, best mean rank first; a model that lacks a task has no mean rank."""
    for model, first, second in (("a", 50.0, 30.0), ("b", 60.0, 20.0), ("c", 40.0, 10.0)):
        write_totals(tmp_path / f"{model}1", model, first)
        write_totals(tmp_path / f"{model}2", model, second, task="mtbench", metrics=("score",))
    write_totals(tmp_path / "d", "d", 99.0)
    write_totals(tmp_path / "e", "e", 99.0, protocol=OTHER_JUDGE)
    write_totals(tmp_path / "new", "c", 45.0, started_at="2025-01-01T00:00:00Z")
    rows = [row for run in read_runs([tmp_path]).readable for row in rows_of(run)]
    across = across_tasks(group_rows(rows, {**HEADLINES, "mtbench@2": ("score",)}))
    assert across is not None
    assert [group.task for group in across.groups] == ["alpacaeval@2", "mtbench@2"]
    assert [(standing.model, standing.mean_rank) for standing in across.standings] == [
        ("a", 2.0), ("b", 2.0), ("c", 3.5), ("d", None)
    ]  # fmt: skip
    third = across.standings[2]
    assert [row and next(iter(row.scores.values())).value for row in third.cells] == [45.0, 10.0]
    assert third.further == (1, 0)
    text = shown("md", str(tmp_path)).replace("\\", "")
    assert "| c | 45.00 (4) +1 | 10.00 (3) | 3.50 |" in text
    assert "| d | 99.00 (1) | – |  |" in text
    assert across_tasks(group_rows(rows[:1], HEADLINES)) is None


def test_one_name_may_be_two_models(tmp_path: Path) -> None:
    """Across tasks, rows of one name are one model only if their weights are; answers from files go by name."""
    write_totals(tmp_path / "1", "ckpt", 50.0, identity="sha256:1")
    write_totals(tmp_path / "2", "ckpt", 40.0, identity="sha256:2", task="mtbench", metrics=("score",))
    write_totals(tmp_path / "3", "filed", 50.0, identity="outputs:1")
    write_totals(tmp_path / "4", "filed", 40.0, identity="outputs:2", task="mtbench", metrics=("score",))
    rows = [row for run in read_runs([tmp_path]).readable for row in rows_of(run)]
    across = across_tasks(group_rows(rows, HEADLINES))
    assert across is not None
    assert sorted((one.model, one.cells.count(None)) for one in across.standings) == [
        ("ckpt", 1), ("ckpt", 1), ("filed", 0)
    ]  # fmt: skip


def test_what_is_published_of_a_name_stands_beside_it(tmp_path: Path) -> None:
    """In a column of its own, and only if it is asked for; it ranks nothing."""
    write_totals(tmp_path / "a", "gpt4_1106_preview", 49.0)
    write_totals(tmp_path / "b", "mine", 80.0)
    rows = ranked(tmp_path, "--published", "--task", "alpacaeval@2")
    assert [(row["model"], row["rank"], row["published_value"]) for row in rows] == [
        ("mine", 1, None), ("gpt4_1106_preview", 2, 50.0)
    ]  # fmt: skip
    assert "published |" in shown("md", str(tmp_path), "--published", "--task", "alpacaeval@2")
    assert {row["published_value"] for row in ranked(tmp_path)} == {None}


def test_a_run_of_the_published_protocol_stands_among_the_published_rows(tmp_path: Path) -> None:
    """One table, ranked together, each row marked; the ranks left open are the run's, with published values exact."""
    write_totals(tmp_path / "a", "mine", 50.2, protocol=OFFICIAL, stderr=1.0)
    groups = json.loads(shown("json", str(tmp_path), "--published", "--task", "alpacaeval@2"))
    (group,) = groups
    assert group["table"] == "alpacaeval@2"
    assert len(group["rows"]) == len(published_rows("alpacaeval@2")) + 1
    values = [row["scores"]["lc_win_rate"]["value"] for row in group["rows"]]
    assert values == sorted(values, reverse=True)
    (mine,) = [row for row in group["rows"] if not row["published"]]
    assert mine["rank"] == 1 + sum(value > 50.2 for value in values)
    # 1.96 standard errors allow for one value that varies beside exact ones.
    assert (mine["rank_low"], mine["rank_high"]) == (
        1 + sum(value > 50.2 + 1.96 for value in values), sum(value >= 50.2 - 1.96 for value in values)
    )  # fmt: skip
    assert {row["rank_low"] for row in group["rows"] if row["published"]} == {None}
    text = shown("md", str(tmp_path), "--published", "--task", "alpacaeval@2", "--filter", "mine").replace("\\", "")
    assert "| mine | measured |" in text


@pytest.mark.parametrize(
    "changed",
    [
        {"judges": {"weighted_alpaca_eval_gpt4_turbo": {"model": "gpt-4o", "prompt_and_rule": "p"}}},
        {"judges": {"alpaca_eval_gpt4": {"model": "gpt-4-1106-preview", "prompt_and_rule": "p"}}},
        {"examples": {"n": 804}},
        {"baselines": {"other": "sha256:1"}},
        {"judges": {"weighted_alpaca_eval_gpt4_turbo": {"model": "gpt-4-1106-preview"}}},
        {"judges": {}},
        {"judge_args": {"reasoning_effort": "low"}},
        {"options": {"order": "both"}},
        {"starter": True},
        {"stop_when": {"rule": "ci<2"}},
        {"judge_repeats": 2},
        {"reported_by": "csv"},
        {"code": {"task.py": "sha256:1"}},
        {"think_tags": [["<a>", "</a>"]]},
    ],
    ids=str,
)
def test_a_run_of_another_protocol_never_stands_among_them(tmp_path: Path, changed: dict[str, Any]) -> None:
    """Another judge, prompt, baseline, set or rule: a table of its own, before the published one."""
    write_totals(tmp_path / "a", "mine", 50.2, protocol={**OFFICIAL, **changed})
    own, published = json.loads(shown("json", str(tmp_path), "--published", "--task", "alpacaeval@2"))
    assert [row["model"] for row in own["rows"]] == ["mine"]
    assert all(row["published"] for row in published["rows"])
    assert own["table"] is published["table"] is None


@pytest.mark.parametrize("unread", [8, 9, 402])
def test_a_run_that_lacks_too_much_has_no_rank(tmp_path: Path, unread: int) -> None:
    """From 1 % without a verdict it stands last, without a rank and with the reason, and never among published rows."""
    write_totals(tmp_path / "a", "mine", 50.2, protocol=OFFICIAL, unread=unread)
    write_totals(tmp_path / "b", "whole", 4.4, protocol=OFFICIAL)
    groups = json.loads(shown("json", str(tmp_path), "--published", "--task", "alpacaeval@2"))
    (among,) = [group["table"] for group in groups for row in group["rows"] if row["model"] == "mine"]
    ranks = [(row["model"], row["rank"]) for row in ranked(tmp_path)]
    if unread == 8:
        assert (among, ranks) == ("alpacaeval@2", [("mine", 1), ("whole", 2)])
        return
    assert (among, ranks) == (None, [("whole", 1), ("mine", None)])
    for form in ("rich", "md", "csv"):
        told = " ".join(shown(form, str(tmp_path)).split())
        assert f"not ranked, because {unread} of 805 verdicts are unread" in told


def test_a_run_is_let_among_published_rows_by_itself(tmp_path: Path) -> None:
    """Another run of equal protocol that stands there vouches for nothing in it."""
    write_totals(tmp_path / "a", "mine", 50.2, protocol=OFFICIAL)
    write_totals(tmp_path / "b", "other", 60.2, protocol=OFFICIAL)
    folder = RunFolder(tmp_path / "b")
    manifest = folder.require_manifest()
    for changed in ({"judge_gen": {"temperature": 1}}, {"judge_args": {"reasoning_effort": "low"}}):
        manifest.sessions = [Session(argv=[], started_at="", config=changed)]
        folder.write_manifest(manifest)
        groups = json.loads(shown("json", str(tmp_path), "--published", "--task", "alpacaeval@2"))
        places = {row["model"]: group["table"] for group in groups for row in group["rows"] if not row["published"]}
        assert places == {"mine": "alpacaeval@2", "other": None}
        text = " ".join(shown("rich", str(tmp_path), "--published", "--task", "alpacaeval@2").split())
        setting = "--judge-gen" if "judge_gen" in changed else "--judge-arg reasoning_effort=low"
        assert f"other: not among the published rows because of the judge's settings ({setting}, and" in text
        assert "mine: not among" not in text
        assert "not among" not in shown("rich", str(tmp_path))
    manifest.sessions = [Session(argv=[], started_at="", config={"judge_args": {"timeout_seconds": "60"}})]
    folder.write_manifest(manifest)
    (group,) = json.loads(shown("json", str(tmp_path), "--published", "--task", "alpacaeval@2"))
    assert group["table"] == "alpacaeval@2"


def test_a_hash_that_is_not_the_protocols_is_no_hash(tmp_path: Path) -> None:
    """Whoever changes a protocol or its hash by hand is told, and the run is ranked with nothing."""
    write_totals(tmp_path / "a", "mine", 50.2, protocol=OFFICIAL)
    write_totals(tmp_path / "b", "other", 60.2, protocol=OFFICIAL)
    folder = RunFolder(tmp_path / "b")
    manifest = folder.require_manifest()
    manifest.tasks["alpacaeval"].protocol_hash = "sha256:" + 64 * "0"
    folder.write_manifest(manifest)
    result = CliRunner().invoke(app, ["leaderboard", str(tmp_path), "--format", "json"])
    assert "the protocol_hash of alpacaeval is not that of the protocol beside it" in result.stderr
    assert [row["model"] for group in json.loads(result.stdout) for row in group["rows"]] == ["mine"]


def test_a_long_published_table_is_cut_to_what_is_near_the_runs(tmp_path: Path) -> None:
    """On a terminal: the run, the rows around it, the top, and how many more there are; ``--all`` has them all."""
    write_totals(tmp_path / "a", "mine", 50.2, protocol=OFFICIAL)
    arguments = (str(tmp_path), "--published", "--task", "alpacaeval@2")
    rows = ranked(tmp_path, "--published", "--task", "alpacaeval@2")
    place = next(place for place, row in enumerate(rows) if row["model"] == "mine")
    text = shown("rich", *arguments)
    lines = text.splitlines()
    assert len(lines) <= 60
    for row in (*rows[:3], *rows[place - 2 : place + 3]):
        assert any(f" {row['model']} " in line for line in lines), row["model"]
    shown_rows = sum(line.startswith("│") and ("published" in line or "measured" in line) for line in lines)
    assert re.search(rf"… {len(rows) - shown_rows} more rows.*: --all", text)
    assert len(shown("rich", *arguments, "--all").splitlines()) > len(rows)


class Cells(HTMLParser):
    """The text of each cell, and every tag with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: set[tuple[str, tuple[tuple[str, str | None], ...]]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it."""
        self.tags.add((tag, tuple(attrs)))
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        """Part of the last cell's text."""
        if self.cells:
            self.cells[-1] += data


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name[:20]))
def test_html_holds_names_as_text(tmp_path: Path, name: str) -> None:
    """A parser finds the name as the text of a cell, and no tag or attribute that is not the table's own."""
    write_totals(tmp_path / "a", name, 50.0, flags=(name,), status=name)
    text = shown("html", str(tmp_path))
    assert text.isascii()
    parser = Cells()
    parser.feed(text)
    assert printable(name) in [cell.strip("\n") for cell in parser.cells]
    own = {"table", "caption", "thead", "tbody", "tr", "th", "td", "p", "ul", "li"}
    assert {tag for tag, _ in parser.tags} <= own
    assert {key for _, attributes in parser.tags for key, _ in attributes} <= {"scope", "align"}


TEX = re.compile(
    r"\\(?:textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|ldots)\{\}|\\[{}$&#%_]|\\texttt\{U\+\w+\}"
)


@pytest.mark.parametrize(
    "name", [*HOSTILE, "\\input{x}$a_b^c#%&~", "--", "*", "[1pt]", "模型"], ids=lambda n: ascii(n[:20])
)
def test_latex_sets_names_as_text(tmp_path: Path, name: str) -> None:
    """No command, group or cell of a row is other than the table's own."""
    write_totals(tmp_path / "a", name, 50.0)
    write_totals(tmp_path / "b", "plain", 40.0)
    lines = shown("latex", str(tmp_path), "--no-bold").splitlines()
    rows = [line for line in lines if line.endswith(r" \\")]
    assert len(rows) == 3
    bare = [TEX.sub("", row.removesuffix(r" \\")) for row in rows]
    assert len({row.count("&") for row in bare}) == 1
    for row in bare:
        # What is left of {} are the groups that keep characters apart.
        assert not re.search(r"[\\$#%~^_|<>\"]", row)
        assert not re.search(r"(?<!-)---?(?!-)", re.sub(r"(?<=\d)--(?=\d)", "", row.replace(" -- ", "")))
        assert row.isascii()


def test_huge_and_broken_texts_are_shown_or_refused(tmp_path: Path) -> None:
    """A name of 10 MB, a null byte, half a character: cut and escaped, or a file that is no manifest."""
    write_totals(tmp_path / "long", "x" * 10_000_000, 50.0)
    write_totals(tmp_path / "null", "a\x00b", 40.0)
    text = shown("rich", str(tmp_path))
    assert "a\\x00b" in text
    assert len(text) < 20_000
    for form in ("md", "csv", "html", "latex", "json"):
        text = shown(form, str(tmp_path))
        assert "\x00" not in text
    half = write_totals(tmp_path / "half", "half", 30.0)
    manifest = half / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"half"', b'"\\ud800"'))
    with pytest.raises(UsageError, match="is not a manifest"):
        shown("md", str(half))
    assert "40.0" in shown("csv", str(tmp_path))


def test_answers_are_not_read(tmp_path: Path) -> None:
    """A table is made of results alone: whatever the other files of a run hold, or if they are there at all."""
    run = write_totals(tmp_path / "a", "m", 50.0)
    (run / "alpacaeval").mkdir()
    for name in ("examples", "generations", "judgements", "example_scores"):
        (run / "alpacaeval" / f"{name}.jsonl").write_bytes(b"\x00 not a line")
    assert "50.0" in shown("csv", str(tmp_path))


def test_a_run_of_an_unknown_version_hides_nothing(tmp_path: Path) -> None:
    """A task that this judgebench has, in a version that it has not: all metrics are shown, by name."""
    for model in ("a", "b"):
        write_totals(tmp_path / model, model, 50.0, task="arenahard", metrics=("score", "win_rate"))
    (group,) = json.loads(shown("json", str(tmp_path)))
    assert (group["task"], group["headline"]) == ("arenahard@2", ["score", "win_rate"])


def test_of_named_runs_only_the_published_tables_of_their_tasks_are_shown(tmp_path: Path) -> None:
    """Without named runs or with ``--task``, those that were asked for."""
    write_totals(tmp_path / "a", "mine", 50.0)
    groups = json.loads(shown("json", str(tmp_path), "--published"))
    assert {group["task"].partition(":")[0] for group in groups} == {"alpacaeval@2"}
    assert {group["task"].partition("@")[0] for group in json.loads(shown("json", "--published"))} > {"alpacaeval"}


def test_a_column_of_published_figures_says_what_it_needs(tmp_path: Path) -> None:
    """Rather than that there is no such column."""
    write_totals(tmp_path / "a", "mine", 50.0)
    asked = ["leaderboard", str(tmp_path), "--columns", "model,published"]
    result = CliRunner().invoke(app, asked)
    assert isinstance(result.exception, UsageError)
    assert "give --published, too" in str(result.exception)


def test_eighty_columns_keep_the_headline_metrics_before_the_ranks(tmp_path: Path) -> None:
    """A number that ``eval`` printed can be found again on the leaderboard; which ranks are open is left out first."""
    metrics = ("lc_win_rate", "win_rate", "discrete_win_rate")
    for name in ("a", "b"):
        write_totals(tmp_path / name, name, 50.0, metrics=metrics, length=1000.0)
    said = CliRunner().invoke(app, ["leaderboard", str(tmp_path)], env={"COLUMNS": "80"}).stdout
    (left_out,) = [line for line in said.splitlines() if "left out for width" in line]
    assert "ranks" in left_out
    assert "win_rate" not in left_out
