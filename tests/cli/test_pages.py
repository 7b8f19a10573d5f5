"""``--html`` beside printed numbers, and what Python makes of a report: one page, opened where it belongs."""

import re
from pathlib import Path

import pytest

from judgebench import api
from judgebench.errors import UsageError
from judgebench.report.links import in_markdown
from tests.commands import judgebench

START = re.compile('<meta name="jb-start" content="([^"]*)">')
GATE = ("gate", "--baseline", "runs/mine", "--candidate", "runs/base", "--max-drop")


def opens_at(page: Path) -> str:
    """The view that a page is opened at."""
    (found,) = START.findall(page.read_text())
    return str(found)


@pytest.mark.parametrize(
    ("words", "start"),
    [
        (("compare", "runs/base", "runs/mine"), "#/compare"),
        (("leaderboard", "runs"), "#/"),
        (("explain", "runs"), "#/task"),
        ((*GATE, 60), "#/compare"),
    ],
)
def test_a_page_is_written_beside_the_numbers(
    example_runs: Path, tmp_path: Path, words: tuple[object, ...], start: str
) -> None:
    """Opened at these numbers; what is printed stays the same, and the address is said on stderr."""
    plain = judgebench(list(words), cwd=example_runs, code=None)
    page = tmp_path / "page.html"
    said = judgebench([*words, "--html", page], cwd=example_runs, code=None)
    assert (said.stdout, said.returncode) == (plain.stdout, plain.returncode)
    assert f"report: {page}{start}" in said.stderr
    assert opens_at(page) == start


def test_flips_name_their_place_in_the_page(example_runs: Path, tmp_path: Path) -> None:
    """In a terminal's pages and in Markdown; without ``--html`` nothing is named."""
    words = ["compare", "runs/base", "runs/mine", "--flips", 1]
    (flip,) = api.compare(example_runs / "runs" / "base", example_runs / "runs" / "mine", flips=1).record.tasks[0].flips
    page = tmp_path / "page.html"
    place = f"{page}#/s/gsm8k%40cot8/{flip.example_id}?run=0&vs=1"
    assert place in judgebench([*words, "--html", page], cwd=example_runs).stdout
    assert "in the report" not in judgebench(words, cwd=example_runs).stdout
    written = judgebench([*words, "--html", page, "--format", "latex"], cwd=example_runs).stdout
    assert place.rpartition("/")[2].partition("?")[0] in written


def test_a_gate_links_what_failed(example_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Markdown, relative to it: the failed check and the samples that changed; the path in GitHub's summary."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    page, text = tmp_path / "pages (all)" / "page.html", tmp_path / "gate.md"
    page.parent.mkdir()
    failing = ["--html", page, "--md", text, "--github"]
    ended = judgebench([*GATE, 0.1, *failing], cwd=example_runs, code=None)
    links = re.findall(r"\]\(([^)]*)\)", text.read_text())
    assert links[0] == "pages%20%28all%29/page.html#/"
    assert links[1] == "pages%20%28all%29/page.html#/compare/gsm8k%40cot8?metric=exact_match_strict"
    samples = [link for link in links if "#/s/gsm8k%40cot8/" in link]
    assert len(samples) == (4 if ended.returncode == 1 else 0)
    assert str(page) in (tmp_path / "summary.md").read_text().replace("\\", "")


def test_only_a_report_is_replaced(example_runs: Path, tmp_path: Path) -> None:
    """An earlier report is, another file is kept, and that is said before anything is asked or computed."""
    page = tmp_path / "mine.html"
    page.write_text("mine")
    eval_words = [
        "eval",
        "--model",
        "file:answers.jsonl",
        "--tasks",
        "gsm8k",
        "--starter",
        "-q",
        "--out",
        tmp_path / "r",
    ]
    for words in (["compare", "runs/base", "runs/mine", "--html", page], [*eval_words, "--report", page]):
        assert "no report of judgebench" in judgebench(words, cwd=example_runs, code=2).stderr
    assert page.read_text() == "mine"
    assert not (tmp_path / "r").exists()
    page.unlink()
    for _ in range(2):
        ended = judgebench([*eval_words, "--report", page], cwd=example_runs)
        assert f"report: {page}#/" in ended.stderr
    assert opens_at(page) == "#/"


def test_python_makes_the_same_page(example_runs: Path, tmp_path: Path) -> None:
    """``make_report(out=…)`` and ``Run.report().save()``, byte for byte as the command; notebooks show its tables."""
    base, mine = (example_runs / "runs" / name for name in ("base", "mine"))
    judgebench(["report", base, mine, "--html", tmp_path / "command.html"])
    made = api.make_report(base, mine, out=tmp_path / "python.html")
    assert (tmp_path / "python.html").read_bytes() == (tmp_path / "command.html").read_bytes()
    shown = made._repr_html_()
    assert "75" in shown
    assert "+25.00" in shown
    assert made.frame().query("metric == 'numeric'")["value"].tolist() == [50, 75]
    one = api.load_run(mine)
    assert "<table" in one.report()._repr_html_()
    assert one.plot("forest")._repr_svg_().startswith("<svg")
    with pytest.raises(UsageError, match="two runs"):
        one.plot("flips")
    with pytest.raises(UsageError, match="--overwrite"):
        made.save(tmp_path / "python.html")


def test_a_link_holds_any_path() -> None:
    """Nothing in a path ends the link or begins another."""
    assert in_markdown("x", "a b)[y](z.html#/s/t/(1)?run=0") == "[x](a%20b%29%5By%5D%28z.html#/s/t/%281%29?run=0)"
