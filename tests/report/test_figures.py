"""Figures for papers: SVG that stands alone, with the numbers beside it."""

import csv
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from judgebench.report.figure_parts import in_lines, wide
from judgebench.run.folder import RunFolder
from tests.commands import judgebench

ANSWERS = ("good tides", "bad haiku", "equal fruits", "good rust")
HOSTILE = '<script>alert(1)</script>&"\x1b[31m\u202e'
TASK = """
kind = "pairwise"
prompts = "prompts.jsonl"
groups = ["subject"]
[pairwise]
baseline = "gold"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs whose verdicts are imported: of eight items 5 and 3 are won."""
    folder = tmp_path_factory.mktemp("figures")
    rows = [{"id": f"q{n}", "instruction": f"Ask {n}.", "gold": "x", "subject": f"s{n % 2}"} for n in range(8)]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "wins.toml").write_text(TASK)
    for name, wins in (("one", 5), ("other", 3)):
        verdicts = [{"id": f"q{n}", "value": "win" if n < wins else "loss", "model": name + HOSTILE} for n in range(8)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in verdicts))
        words = ["import", f"{name}.jsonl", "--from", "verdicts", "--task", "wins.toml", "--out", name]
        judgebench(words, cwd=folder)
    return folder


def drawn(place: Path, kind: str, code: int = 0) -> list[dict[str, str]]:
    """The rows beside a figure, which is well-formed and of a column's width, and holds no script."""
    words = ["plot", "one", "other", "--kind", kind, "--out", f"{kind}.svg", "--tasks", "wins.toml", "--overwrite"]
    judgebench(words, code=code, cwd=place)
    whole = ElementTree.fromstring((place / f"{kind}.svg").read_text())
    assert whole.get("width") == "340"
    assert {element.tag.rpartition("}")[2] for element in whole.iter()} <= {
        "svg", "title", "desc", "style", "text", "g", "line", "rect", "circle", "path",
    }  # fmt: skip
    assert not any(element.get("preserveAspectRatio") for element in whole.iter()), "lines as thick as their slope"
    with (place / f"{kind}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_forest_has_the_scores(place: Path) -> None:
    """Values and intervals are those of the run folders."""
    rows = {(row["run"][:5], row["metric"]): row for row in drawn(place, "forest")}
    for name in ("one", "other"):
        scores = {one.metric: one for one in RunFolder(place / name).results().scores if one.group is None}
        row = next(row for (run, metric), row in rows.items() if run.startswith(name[:3]) and metric == "win_rate")
        assert float(row["value"]) == scores["win_rate"].value
        assert float(row["low"]) == scores["win_rate"].low


def test_groups_and_flips_are_counted(place: Path) -> None:
    """By subject 3 and 2 of 4 are won, and 2 and 1; two samples are won by the first run only."""
    by_group = [float(row["value"]) for row in drawn(place, "categories") if row["metric"] == "win_rate"]
    assert sorted(by_group) == [25, 50, 50, 75]
    counts = {(row["first ended"], row["second ended"]): int(row["samples"]) for row in drawn(place, "flips")}
    assert counts == {("win", "win"): 3, ("win", "loss"): 2, ("loss", "win"): 0, ("loss", "loss"): 3}


def test_a_ladder_is_ordered(place: Path) -> None:
    """The better run stands first."""
    assert [float(row["value"]) for row in drawn(place, "ladder")] == [62.5, 37.5]


@pytest.fixture(scope="module")
def marks(place: Path) -> Path:
    """Two more runs, of another benchmark, whose answers got marks from 1 to 10."""
    text = 'kind = "rating"\nprompts = "prompts.jsonl"\ngroups = ["subject"]\n[rating]\nscale = [1, 10]\n'
    (place / "marks.toml").write_text(text)
    for name, step in (("one", 1), ("other", 2)):
        rows = [{"id": f"q{n}", "value": 1 + n * step % 10, "model": name + HOSTILE} for n in range(8)]
        (place / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        words = ["import", "rows.jsonl", "--from", "verdicts", "--task", "marks.toml", "--out", f"marks-{name}"]
        judgebench(words, cwd=place)
    return place


def plotted(place: Path, *words: object) -> tuple[str, list[dict[str, str]], str]:
    """A figure, the rows beside it, and what was said of it."""
    told = judgebench(["plot", *words, "--out", "f.svg", "--overwrite"], cwd=place).stderr
    with (place / "f.csv").open(newline="") as file:
        return (place / "f.svg").read_text(), list(csv.DictReader(file)), told


def test_numbers_of_any_unit_are_drawn(marks: Path) -> None:
    """Ratings have a ruler in ratings; their flips are counted by mark, and many marks in bands."""
    runs = ("marks-one", "marks-other", "--tasks", "marks.toml", "--kind")
    drawn, rows, _ = plotted(marks, *runs, "forest")
    assert (">rating</text>" in drawn, ">percent</text>" in drawn) == (True, False)
    assert [float(row["value"]) for row in rows] == [4.5, 4.25]
    assert len(plotted(marks, *runs, "categories")[1]) == 4
    counts = {
        (row["first ended"], row["second ended"]): int(row["samples"]) for row in plotted(marks, *runs, "flips")[1]
    }
    assert sum(counts.values()) == 8
    assert (counts["1", "1"], counts["4 – 5", "6 – 7"], counts["6 – 7", "1"]) == (1, 1, 1)


def test_tasks_stand_under_each_other(marks: Path) -> None:
    """Each under its name with a ruler of its own; every row says its task, and what one task lacks is said."""
    runs = ("one", "other", "marks-one", "--tasks", "wins.toml", "--tasks", "marks.toml", "--kind")
    drawn, rows, told = plotted(marks, *runs, "ladder")
    assert [row["task"] for row in rows] == ["wins@1", "wins@1", "marks@1"]
    assert (drawn.count(">percent</text>"), drawn.count(">rating</text>")) == (1, 2)
    assert told == ""
    drawn = plotted(marks, *runs, "forest")[0]
    assert drawn.rpartition(">bars:")[0].count("alert(1)") == 3, "each run is named below the panels"
    _, rows, told = plotted(marks, *runs, "flips")
    assert sum(int(row["samples"]) for row in rows) == 8
    assert "not in the figure: a figure of flips shows two runs, and the report has marks@1 in one" in told
    _, rows, told = plotted(marks, "one", "marks-one", "--tasks", "wins.toml,wins", "--kind", "forest")
    assert {row["metric"] for row in rows} == {"win_rate", "wins"}
    assert "which has none of its tasks" in told


def test_ranks_are_those_that_are_certain(place: Path) -> None:
    """Of two runs whose difference may be chance, either may be first."""
    assert [row["ranks"] for row in drawn(place, "ladder")] == ["1 – 2", "1 – 2"]


def test_long_names_fit(place: Path) -> None:
    """A name is broken in two or loses its middle, so that checkpoints are told apart, and never runs into a plot."""
    for words in ("dpo/checkpoint-2000" * 9, "W" * 500, "\u65e5" * 90, "a b" * 90, "", "\u202e\x1b" * 50):
        lines = in_lines(words, 100)
        assert len(lines) <= 2
        assert all(wide(line) <= 100 for line in lines)
    assert in_lines("Meta-Llama-3.1-8B-Instruct-dpo/checkpoint-0500", 110)[1].endswith("0500")


def test_what_cannot_be_drawn_is_said(place: Path) -> None:
    """No pairs of orders, one run for flips, an unknown ending, a file that is there."""
    words = ["plot", "one", "--tasks", "wins.toml", "--out"]
    assert "both orders" in judgebench([*words, "c.svg", "--kind", "calibration"], code=2, cwd=place).stderr
    assert "no answers" in judgebench([*words, "l.svg", "--kind", "length"], code=2, cwd=place).stderr
    assert "two runs" in judgebench([*words, "f.svg", "--kind", "flips"], code=2, cwd=place).stderr
    assert ".svg, .pdf and .png" in judgebench([*words, "f.gif", "--kind", "forest"], code=2, cwd=place).stderr
    drawn(place, "ladder")
    assert "--overwrite" in judgebench([*words, "ladder.svg", "--kind", "ladder"], code=2, cwd=place).stderr


def test_people_stand_beside_the_judge(place: Path) -> None:
    """Of the five samples that the judge gave to the first run, people give it four; of the other three, one."""
    people = {**dict.fromkeys(("q0", "q1", "q2", "q3", "q5"), "win"), **dict.fromkeys(("q4", "q6", "q7"), "loss")}
    text = "example_id,label\n" + "".join(f"{name},{label}\n" for name, label in people.items())
    (place / "labels.csv").write_text(text)
    words = ["plot", "one", "--kind", "calibration", "--tasks", "wins.toml", "--overwrite", "--out", "people.svg"]
    judgebench([*words, "--labels", "labels.csv"], cwd=place)
    with (place / "people.csv").open(newline="") as file:
        rows = {row["judge"]: row for row in csv.DictReader(file)}
    assert {judge: (float(row["people"]), row["labels"]) for judge, row in rows.items()} == {
        "0.0": (1 / 3, "3"),
        "1.0": (0.8, "5"),
    }
    for row in rows.values():
        assert float(row["low"]) < float(row["people"]) < float(row["high"])
    forest = ["plot", "one", "--kind", "forest", "--tasks", "wins.toml", "--labels", "labels.csv", "--out", "x.svg"]
    assert "calibration" in judgebench(forest, code=2, cwd=place).stderr


def test_pdf_and_png_are_drawn(place: Path) -> None:
    """By the library that the extra installs: a page of the figure's width in points, and pixels four times as many."""
    pytest.importorskip("cairosvg", exc_type=(ImportError, OSError))  # type: ignore[arg-type]
    words = ["plot", "one", "other", "--kind", "forest", "--tasks", "wins.toml", "--overwrite", "--out"]
    judgebench([*words, "f.pdf"], cwd=place)
    judgebench([*words, "f.png"], cwd=place)
    assert (place / "f.pdf").read_bytes().startswith(b"%PDF-")
    header = (place / "f.png").read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(header[16:20]) == 4 * 340
