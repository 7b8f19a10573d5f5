"""The report of real runs: what stands in the file, without a browser."""

import base64
import gzip
import json
import re
import shutil
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from judgebench.codec import canonical_hash
from judgebench.display import figure, interval, p_value, percent
from judgebench.report import length_plots
from judgebench.report import page as page_module
from judgebench.report.collect import collect
from judgebench.report.slices import BITS, LEFT_OUT
from judgebench.run.reading import read_run
from tests.commands import judgebench
from tests.report.made_pages import rewrite
from tests.shared_data import SharedData

BLOCK = re.compile(r'<script type="text/plain" id="(\w+)">([^<]*)</script>')


def evaluated(folder: Path, name: str) -> None:
    """A run of the tiny model on the starter sets, with a judge."""
    words = ["eval", "-q", "--model", "builtin:tiny", "--judge", "builtin:tiny", "--tasks", "alpacaeval,gsm8k"]
    seeds = ["--gen", f"seed={len(name)}"]
    judgebench([*words, "--starter", "--limit", 4, "--out", folder / name, *seeds], cwd=folder)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs and their report."""
    folder = tmp_path_factory.mktemp("report")
    for name in ("one", "other"):
        evaluated(folder, name)
    judgebench(["report", "one", "other", "--html", "report.html"], cwd=folder)
    return folder


def blocks(page: str) -> dict[str, str]:
    """The file's data by the name of their elements."""
    return dict(BLOCK.findall(page))


def unpacked(text: str) -> Any:
    """What a block holds."""
    return json.loads(gzip.decompress(base64.b64decode(text)))


class Rows(HTMLParser):
    """The rows of all tables of a page, by the view in which they stand, as the texts of their cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, list[list[str]]] = {}
        self._view, self._skip, self._inside = "", 0, False
        self.feed(page[page.index("<body>") : page.index('id="index"')])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a view, a row or a cell; what a drawing says is no text."""
        if tag == "section":
            self._view = str(dict(attrs).get("id"))
        self._skip += tag == "svg"
        self._inside = self._inside or tag in ("td", "th")
        if tag == "tr":
            self.found.setdefault(self._view, []).append([])
        if tag in ("td", "th"):
            self.found[self._view][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        """End a cell or a drawing."""
        self._skip -= tag == "svg"
        self._inside = self._inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        """Collect the words of a cell."""
        if self._inside and not self._skip:
            self.found[self._view][-1][-1] += data.strip("\n")


def test_scores_are_those_of_the_run_folders(place: Path) -> None:
    """Each number and interval of the summary and of the tasks, groups among them, to the printed digit."""
    rows = Rows((place / "report.html").read_text()).found
    shown = {(row[0].split(" ")[0], *row[1:3]) for view in rows.values() for row in view if len(row) > 3}
    absent = {(row[0], row[1].strip()) for row in rows["view-summary"] if len(row) == 2}
    results = [json.loads((place / name / "results.json").read_text())["scores"] for name in ("one", "other")]
    for first, second in zip(*results, strict=True):
        if first["value"] is None and second["value"] is None:
            assert first["group"] or (first["metric"], f"– {first['reason']}") in absent
            continue
        cells = []
        for score in (first, second):
            around = "" if score["low"] is None else f" ({interval(score['low'], score['high'], score['unit'])})"
            cells.append(figure(score["value"], score["unit"]) + around)
        assert (first["group"] or first["metric"], *cells) in shown


def test_numbers_that_upstream_makes_otherwise_are_named(place: Path) -> None:
    """Published numbers follow its rule: whoever sees them beside ours is told both."""
    shutil.copytree(place / "one", place / "otherwise")
    path = place / "otherwise" / "results.json"
    results = json.loads(path.read_text())
    (strict,) = (one for one in results["scores"] if one["metric"] == "exact_match_strict" and not one["group"])
    upstream = {key: strict[key] for key in ("stderr", "low", "high", "level", "method")}
    strict["details"] = {**strict["details"], "upstream": {**upstream, "value": 12.5, "reason": "it rounds"}}
    path.write_text(json.dumps(results))
    judgebench(["report", "otherwise", "--html", "otherwise.html"], cwd=place)
    told = f"is {figure(strict['value'], strict['unit'])} by our rule, 12.50 by upstream's: it rounds"
    assert told in unescape((place / "otherwise.html").read_text())


def test_a_page_does_not_say_where_files_lie(place: Path) -> None:
    """Its commands and notes call folders by their last part: a page is sent to others."""
    page = (place / "report.html").read_text()
    assert "--out one --gen" in page
    assert str(place.parent) not in page + "".join(
        str(unpacked(text)) for name, text in blocks(page).items() if name != "end"
    )


def test_too_few_marks_have_no_line(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a line nor a fit goes through fewer marks than a line needs; why they are few is said."""
    report = collect([read_run(place / "one")], None)
    task = next(one for one in report.tasks if one.label.startswith("alpacaeval"))
    for least, drawn in ((1, True), (5, False)):
        monkeypatch.setattr(length_plots, "LEAST_MARKS", least)
        view = length_plots.length_view(report, task)
        assert view is not None
        assert ('class="line' in view.plot, view.few == (), "<circle" in view.plot) == (drawn, drawn, True)
    assert "and no line: only 4 of its samples have a value" in view.few[0]


def test_the_length_view_begins_with_its_answer(place: Path) -> None:
    """One sentence, which the summary has as well; verified answers need no numbers for it."""
    page = re.sub(r"<[^>]*>", "", unescape((place / "report.html").read_text()[: 10**6]))
    told = [part.strip().split("\n")[0] for part in page.split("Is it only length?")[1:]]
    assert len(told) == 3
    assert told[0] == told[1]
    assert told[0].startswith("Not known. Neither builtin:tiny (one) nor builtin:tiny (other) leads")
    assert told[0].endswith("only 4 samples have two answers whose lengths differ less than twofold.")
    assert told[2].startswith("No. No judge reads these answers")


def test_differences_are_those_of_compare(place: Path) -> None:
    """Each difference with both values, its interval, adjusted p and n, to the printed digit."""
    rows = Rows((place / "report.html").read_text()).found["view-compare"]
    shown = {(row[0], *row[1:6]) for row in rows if len(row) > 5}
    record = json.loads(judgebench(["compare", "one", "other", "--format", "json"], cwd=place).stdout)
    listed = [one for task in record["tasks"] for one in task["differences"]]
    for one in listed:
        ends = one["low"], one["high"]
        assert (
            f"{one['group']} {one['metric']}" if one["group"] else one["metric"],
            figure(one["difference"], one["unit"], signed=True)
            + ("" if ends[0] is None else f" ({interval(*ends, one['unit'], signed=True)})"),
            "" if one["p_adjusted"] is None else p_value(one["p_adjusted"]).removeprefix("p ").removeprefix("= "),
            str(one["n"]),
            *(figure(one[value], one["unit"]) for value in ("first_value", "second_value")),
        ) in shown
    assert len(listed) > 5


def test_samples_that_a_number_leaves_out_are_counted_and_named(tmp_path: Path) -> None:
    """WildBench's score is without empty answers, which its micro average counts: both n are told, and the list."""

    def emptied(place: int, row: dict[str, Any]) -> None:
        row["outputs"] = row["outputs"] if place else [""]

    words = ["eval", "-q", "--model", "builtin:tiny", "--judge", "builtin:tiny", "--tasks", "wildbench"]
    judgebench([*words, "--starter", "--limit", 4, "--out", "full"], cwd=tmp_path)
    shutil.copytree(tmp_path / "full", tmp_path / "empty")
    rewrite(tmp_path / "empty/wildbench/generations.jsonl", emptied)
    judgebench(["score", "empty"], cwd=tmp_path)
    judgebench(["report", "full", "empty", "--html", "r.html"], cwd=tmp_path)
    page = unescape((tmp_path / "r.html").read_text())
    assert "4 | 3" in page
    assert "1 empty answer not in wb_score, " in page
    (index,) = unpacked(blocks(page)["index"])["tasks"]
    assert [len(own.get("wb_score", ())) for own in index["out"]] == [0, 1]


def test_what_explains_the_numbers_is_that_of_explain(place: Path) -> None:
    """Win rates with length and style held equal, and the shares of variance, to the printed digit."""
    rows = [row for view in Rows((place / "report.html").read_text()).found.values() for row in view]
    record = json.loads(judgebench(["explain", "one", "other", "--json"], cwd=place).stdout)
    rates = [rate for run in record["runs"] for style in run["style"] for rate in style["rates"]]
    parts = [part for run in record["runs"] for variance in run["variance"] for part in variance["parts"]]
    assert rates
    for rate in rates:
        assert [rate["held_equal"], figure(rate["win_rate"])] in [row[:2] for row in rows]
    for part in parts:
        assert [part["effect"], figure(part["variance"], "variance"), percent(part["share"])] in [r[:3] for r in rows]


def test_many_runs_are_rows_and_stand_on_a_ladder(place: Path) -> None:
    """Of more than four runs the summary has a row each; on the task's ladder each says which ranks it may have."""
    names = [f"run{number}" for number in range(5)]
    for name in names:
        if not (place / name).exists():
            shutil.copytree(place / "other", place / name)
    judgebench(["report", *names, "--html", "many.html", "--task", "alpacaeval"], cwd=place)
    rows = Rows((place / "many.html").read_text()).found
    assert len([row for row in rows["view-summary"] if row and row[0].startswith("builtin:tiny")]) == 5
    ladder = [row for row in rows["view-task-0"] if len(row) == 5 and row[2].startswith("builtin:tiny")]
    assert [row[1] for row in ladder] == ["1 – 5"] * 5


def test_every_sample_is_in_the_file(place: Path) -> None:
    """Slices hold what the run folders hold: answers, judges' words, verdicts; the index says where."""
    found = blocks((place / "report.html").read_text())
    index = unpacked(found["index"])
    assert [run["name"] for run in index["runs"]] == ["builtin:tiny (one)", "builtin:tiny (other)"]
    tasks = {task["label"].partition("@")[0]: task for task in index["tasks"]}
    assert set(tasks) == {"alpacaeval", "gsm8k"}
    rows = [json.loads(line) for line in (place / "one" / "alpacaeval" / "generations.jsonl").read_text().splitlines()]
    for row in rows:
        at = tasks["alpacaeval"]["ids"].index(row["example_id"])
        number, row_at = tasks["alpacaeval"]["parts"][0][at]
        assert unpacked(found[f"s{number}"])[row_at]["turns"] == row["outputs"]


def test_each_integrity_check_leads_to_its_samples(place: Path) -> None:
    """What it found has a flag of its own in the index, and what the summary says of it leads to these samples."""
    shutil.copytree(place / "one", place / "doubted")
    ends = [("length", "So", None), ("content_filter", "", None), ("stop", "", "Hm"), ("stop", "[[A]]", None)]
    rewrite(place / "doubted/alpacaeval/generations.jsonl", lambda at, row: row.update(
        outputs=[ends[at][1]], finish_reasons=[ends[at][0]], thinking=[ends[at][2]]
    ))  # fmt: skip
    judgebench(["score", "doubted"], code=None, cwd=place)
    judgebench(["report", "doubted", "--html", "doubted.html", "--task", "alpacaeval"], cwd=place)
    page = (place / "doubted.html").read_text()
    (task,) = unpacked(blocks(page)["index"])["tasks"]
    found = {check: [bool(flags & bit) for flags in task["flags"][0]] for check, bit in BITS.items()}
    wanted = {
        "cut_off_output": [True, False, False, False],
        "filtered_output": [False, True, False, False],
        "empty_output": [False, True, True, False],
        "unclosed_thinking": [False, False, True, False],
        "verdict_like_output": [False, False, False, True],
    }
    assert {check: flags for check, flags in found.items() if any(flags)} == wanted
    assert {one for one in BITS if f"run=0&amp;f={one}" in page} == set(wanted)


def test_the_same_runs_make_the_same_bytes(place: Path) -> None:
    """The file holds no clock and no chance."""
    judgebench(["report", "one", "other", "--html", "again.html"], cwd=place)
    assert (place / "again.html").read_bytes() == (place / "report.html").read_bytes()


def test_a_report_is_not_replaced_unasked(place: Path) -> None:
    """An existing file stays, unless ``--overwrite`` is given."""
    words = ["report", "one", "--html", "report.html"]
    before = (place / "report.html").read_bytes()
    assert "--overwrite" in judgebench(words, code=2, cwd=place).stderr
    assert (place / "report.html").read_bytes() == before
    judgebench(["report", "one", "--html", "mine.html", "--task", "gsm8k"], cwd=place)
    index = unpacked(blocks((place / "mine.html").read_text())["index"])
    assert [task["label"].partition("@")[0] for task in index["tasks"]] == ["gsm8k"]


def test_verdicts_without_their_texts_are_shown(shared_data: SharedData, tmp_path: Path) -> None:
    """WildBench's published verdicts come without the questions: the judge's words are in the report all the same."""
    source = shared_data / "wildbench/score_records_full/v0625-gpt4o__gemma-2b-it.jsonl.gz"
    mirror = ["--mirror", str(shared_data / "wildbench"), "--offline"]
    judgebench(["import", source, "--from", "wildbench", "--task", "wildbench", "--out", "run", *mirror], cwd=tmp_path)
    judgebench(["report", "run", "--html", "page.html", *mirror], cwd=tmp_path)
    found = blocks((tmp_path / "page.html").read_text())
    (task,) = unpacked(found["index"])["tasks"]
    number, place = task["parts"][0][0]
    (judged,) = unpacked(found[f"s{number}"])[place]["judgements"]
    assert judged["replies"][0]["text"]
    assert "the text of the question" in judged["told"]
    judgebench(["show", "run", "--worst", 1, *mirror], cwd=tmp_path)


def test_a_measure_without_values_is_no_measure(shared_data: SharedData, tmp_path: Path) -> None:
    """Verdicts on pairs alone: samples are listed by these, they are no missing answers, and a length leads nobody."""
    mirror = ["--mirror", str(shared_data / "wildbench"), "--offline"]
    for name in ("reka-edge", "Phi-3-mini-instruct"):
        source = shared_data / f"wildbench/pairwise_records/ref=gpt-4-turbo-2024-04-09__{name}.jsonl.gz"
        judgebench(
            ["import", source, "--from", "wildbench", "--task", "wildbench", "--out", name, *mirror], cwd=tmp_path
        )
    judgebench(["report", "reka-edge", "Phi-3-mini-instruct", "--html", "page.html", *mirror], cwd=tmp_path)
    page = (tmp_path / "page.html").read_text()
    (task,) = unpacked(blocks(page)["index"])["tasks"]
    assert task["measure"] == "reward:gpt-4-turbo-2024-04-09:500"
    assert (task["values"][0][0], task["outcomes"][0][0], task["flags"][0][0]) == (-0.5, 3, 0)
    assert "wb_score has no value, so neither run leads: no example has a verdict" in page


def test_unlike_protocols_are_told_in_words(place: Path) -> None:
    """Runs that are not compared have the settings that differ in the view of comparisons, as people call them."""
    shutil.copytree(place / "other", place / "unlike")
    manifest = json.loads((place / "unlike/manifest.json").read_text())
    fields = manifest["tasks"]["alpacaeval"]
    fields["protocol"]["baselines"] = {"somebody": "sha256:" + "1" * 64}
    fields["protocol_hash"] = canonical_hash(fields["protocol"])
    (place / "unlike/manifest.json").write_text(json.dumps(manifest))
    judgebench(["report", "one", "unlike", "--task", "alpacaeval", "--html", "unlike.html"], cwd=place)
    page = (place / "unlike.html").read_text()
    assert ["baseline somebody", "none", "one"] in Rows(page).found["view-compare"]
    assert '<a href="#/compare">the runs are not compared: ' in page
    assert "differs in baseline somebody (only the later run has one)" in page


def test_a_folder_holds_the_page_and_its_slices(place: Path) -> None:
    """With a folder, slices are scripts beside the page, which hand over the very text that a file would hold."""
    judgebench(["report", "one", "other", "--html", "site/"], cwd=place)
    page = (place / "site" / "index.html").read_text()
    whole, apart = blocks((place / "report.html").read_text()), blocks(page)
    assert set(apart) == {"index", "end"}
    assert apart["index"] == whole["index"]
    hashed = whole["end"].split(":")[2]
    written = (place / "site" / "slices" / "s0.js").read_text()
    assert written == f'jb("{hashed}",0,"{whole["s0"]}")\n'
    assert "script-src &#39;self&#39; &#39;sha256-" in page
    assert f'content="slices:{hashed}"' in page


def test_a_large_page_has_its_slices_beside_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above a size the samples come to lie beside the file, and those of an earlier, larger page are gone."""
    monkeypatch.setattr(page_module, "LARGEST", 100)
    (place / "large-slices").mkdir()
    (place / "large-slices" / "s999.js").write_text("")
    told = judgebench(["report", "one", "--html", "large.html"], cwd=place).stdout
    assert "large-slices/" in told.replace("\n", "")
    assert sorted(path.name for path in (place / "large-slices").iterdir()) == ["s0.js"]


def test_texts_are_left_out(place: Path) -> None:
    """Without answers and judges' words neither is anywhere in the file, and the page says so."""
    texts = []
    for number, without in enumerate(([], ["--without", "answers", "--without", "judge"])):
        judgebench(["report", "one", "--html", f"without{number}.html", *without], cwd=place)
        page = (place / f"without{number}.html").read_text()
        texts.append((page, [unpacked(text) for name, text in blocks(page).items() if name[1:].isdecimal()]))
    (_, full), (page, bare) = texts
    assert "left out of this page: the answers" in page
    turns = {turn for rows in full for row in rows for turn in row.get("turns", ()) if turn}
    assert turns
    assert {turn for rows in bare for row in rows for turn in row.get("turns", ()) if turn} == {LEFT_OUT}
    assert not any(turn in json.dumps(bare) for turn in turns)
    judged = [one for rows in bare for row in rows for one in row.get("judgements", ())]
    assert {reply["text"] for one in judged for reply in one["replies"]} <= {LEFT_OUT, ""}
    assert not any(one["prompts"] for one in judged)
    refused = judgebench(["report", "one", "--html", "x.html", "--without", "prompts"], code=2, cwd=place)
    assert "thinking, judge, answers" in refused.stderr


def test_part_of_the_samples(place: Path) -> None:
    """Of many samples those that say most are kept, in the benchmark's order; numbers are those of all."""
    judgebench(["report", "one", "other", "--html", "part.html", "--samples", 2], cwd=place)
    part, whole = (unpacked(blocks((place / name).read_text())["index"]) for name in ("part.html", "report.html"))
    for some, every in zip(part["tasks"], whole["tasks"], strict=True):
        assert len(some["ids"]) == 2
        assert [name for name in every["ids"] if name in some["ids"]] == some["ids"]
        flips = {one for one, *ends in zip(every["ids"], *every["outcomes"], strict=True) if len(set(ends)) > 1}
        assert len(flips & set(some["ids"])) == min(2, len(flips))
    page = (place / "part.html").read_text()
    assert "this page has 2 of 4 samples" in page
