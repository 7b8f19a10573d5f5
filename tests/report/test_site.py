"""A static site of many runs: what stands in its files, and which of them are written again."""

import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from judgebench.errors import ModelError, UsageError
from judgebench.report import collect, site_writing
from judgebench.report.page import policy
from judgebench.report.site_pages import MODULES
from judgebench.report.site_writing import writing_alone
from judgebench.run.reading import TaskRun
from tests.commands import judgebench
from tests.made_runs import JUDGED, OFFICIAL, OTHER_JUDGE, write_run
from tests.processes import started

HOSTILE = "<img src=x onerror=window.ran=1>"
"""A name of a folder as well as of a model."""


class Tables(HTMLParser):
    """The cells of a page's leaderboards, row by row, its links, and the names of what it is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.links: list[str] = []
        self.names: set[str] = set()
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a row or a cell, and note links."""
        self.names |= {tag, *(name for name, _ in attrs)}
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._open = []
        if tag in ("td", "th", "small", "svg"):
            self._open.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        """End a cell, a note on a model, or a picture."""
        if tag in self._open:
            del self._open[self._open.index(tag) :]

    def handle_data(self, data: str) -> None:
        """The text of a cell."""
        if self._open in (["td"], ["th"]):
            self.rows[-1][-1] += data.strip()


def write_all(folder: Path) -> None:
    """Runs of three protocols of two tasks; two of one model, which differ."""
    runs = folder / "runs"
    write_run(runs / "base" / "1", [1.0, 0, 1, 0], model="base", answers=["a", "b", "c", "d"])
    write_run(runs / "base" / "2", [1.0, 1, 1, 0], model="base", answers=["a", "e", "c", "d"])
    write_run(runs / "mine", [1.0, 1, 1, 1], model="mine", answers=["f", "b", "g", "h"])
    for name, protocol in (("judged", JUDGED), ("otherwise", OTHER_JUDGE)):
        write_run(
            runs / name, [0.25, 1, None], model=name, protocol=protocol, task="talks", version="1",
            metrics=("score",), answers=["x", "y", "z"], verdicts=["x", "y", "z"],
        )  # fmt: skip
    later = json.loads((runs / "base" / "2" / "manifest.json").read_text())
    later["started_at"] = "2026-02-01T00:00:00Z"
    later["tasks"]["gsm8k"]["input_hash"] = "other"
    (runs / "base" / "2" / "manifest.json").write_text(json.dumps(later))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs and their site, which is only looked at."""
    folder = tmp_path_factory.mktemp("site")
    write_all(folder)
    judgebench(["report", "runs", "--html", "site/", "--baseline", "mine"], cwd=folder)
    return folder


@pytest.fixture
def work(made: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    shutil.copytree(made, tmp_path / "work")
    return tmp_path / "work"


def again(folder: Path, *words: object) -> dict[str, Any]:
    """Bring the site up to date; what was done."""
    said = judgebench(["report", "runs", "--html", "site/", "--baseline", "mine", "--json", *words], cwd=folder)
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def pages(folder: Path) -> list[Path]:
    """All pages of a site."""
    return sorted(folder.rglob("*.html"))


def test_leaderboards_have_what_leaderboard_prints(made: Path) -> None:
    """Every figure, interval, rank, n and missing stands on the site as the command prints it, digit by digit."""
    printed = Tables(judgebench(["leaderboard", "runs", "--published", "--format", "html"], cwd=made).stdout).rows
    shown = Tables((made / "site" / "index.html").read_text()).rows
    elsewhere = ("from", "flags")
    wanted: list[list[str]] = []
    heads: list[str] = []
    for row in printed:
        heads = row if "model" in row else heads
        wanted.append([text for name, text in zip(heads, row, strict=True) if name not in elsewhere])
    # The picture beside the interval has a cell of its own.
    found = [[text for text in own if text not in ("", "percent")] for own in shown]
    for own in wanted:
        texts = [text for text in own if text]
        assert texts in found, texts
    assert len(wanted) > 10


def test_unlike_protocols_are_not_ranked_together(made: Path) -> None:
    """Two judges, two tables, each with a first rank, and the second says in what it differs."""
    page = (made / "site" / "index.html").read_text()
    own = [part for part in page.split("<section") if ">judged</a>" in part or ">otherwise</a>" in part]
    assert len(own) == 2
    assert sum("differs from the first table in model of the judge j" in part for part in own) == 1


def test_every_link_leads_somewhere(made: Path) -> None:
    """Links are relative and name files of the site; every page can be reached from the first."""
    site, reached, open_pages = made / "site", set[Path](), [made / "site" / "index.html"]
    while open_pages:
        page = open_pages.pop()
        if page in reached:
            continue
        reached.add(page)
        for link in Tables(page.read_text()).links:
            parts = urlsplit(link)
            assert not parts.scheme
            assert not parts.netloc
            target = Path(os.path.normpath(page.parent / unquote(parts.path))) if parts.path else page
            assert target.is_file(), link
            if parts.fragment and not parts.fragment.startswith("/"):
                assert f'id="{parts.fragment}"' in target.read_text()
            open_pages.append(target)
    assert reached == set(pages(site))
    assert len(reached) > 12


def test_runs_are_compared_with_the_previous_and_the_baseline(made: Path) -> None:
    """A run of the same model that was made before, and the run that is asked for; never across protocols."""
    listed = json.loads((made / "site" / "site.json").read_text())["pages"]
    names = sorted(re.sub(r"-[0-9a-f]{8}/.*", "", page) for page in listed if page.startswith("comparisons/"))
    assert names == ["comparisons/base-and-base", "comparisons/base-and-mine", "comparisons/base-and-mine"]
    rows = {row[-1]: row for row in Tables((made / "site" / "runs.html").read_text()).rows if row}
    assert rows["base/2"][5] == "baseline mine,previous run base"
    assert rows["judged"][5] == ""


def test_a_task_and_a_judge_have_pages(made: Path) -> None:
    """A task's page says what it measures; a judge's what it judged, and that nobody audited it here."""
    site = made / "site"
    (task,) = (page for page in pages(site / "tasks") if page.name.startswith("gsm8k"))
    assert "exact_match_strict" in task.read_text()
    (judge,) = (page for page in pages(site / "judges") if page.name.startswith("judge-1"))
    text = judge.read_text()
    assert ">judged</a>" in text
    assert ">otherwise</a>" not in text
    assert "judges audit" in text


def test_what_has_not_changed_is_not_written_again(work: Path) -> None:
    """Neither a second time nor from a copy of the runs with other times; a changed run costs its own pages."""
    before = {page: page.stat().st_mtime_ns for page in (work / "site").rglob("*.*")}
    shutil.copytree(work / "runs", work / "copy", copy_function=shutil.copyfile)
    shutil.rmtree(work / "runs")
    (work / "copy").rename(work / "runs")
    done = again(work)
    assert (done["written"], done["removed"]) == ([], [])
    assert {page: page.stat().st_mtime_ns for page in before if page.name != "site.json"} == {
        page: time for page, time in before.items() if page.name != "site.json"
    }
    file = work / "runs/judged/talks/generations.jsonl"
    file.write_text(file.read_text().replace('"x"', '"another answer"'))
    (changed,) = again(work)["written"]
    assert changed.startswith("runs/judged-")
    slices = [path.name for path in (work / "site" / changed).parent.iterdir()]
    assert len([name for name in slices if name.startswith("slices-")]) == 1


def test_everything_is_written_again_where_that_is_asked(work: Path) -> None:
    """``--overwrite`` makes every page of a run anew, to the same bytes."""
    before = {page: page.read_bytes() for page in (work / "site").rglob("*.*") if page.is_file()}
    done = again(work, "--overwrite")
    assert len([page for page in done["written"] if page.startswith("runs/")]) == 5
    assert {page: page.read_bytes() for page in before} == before


def test_a_page_made_without_official_files_is_made_again_when_they_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before, and not once more; each task's files are looked for once."""
    rows = [{"id": f"q{n}", "instruction": f"Ask {n}.", "gold": "x"} for n in range(3)]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "wins.toml").write_text('kind = "pairwise"\nprompts = "prompts.jsonl"\n[pairwise]\nbaseline = "gold"\n')
    for name in ("one", "other"):
        verdicts = [{"id": f"q{n}", "value": "win", "model": name} for n in range(3)]
        (tmp_path / "v.jsonl").write_text("".join(json.dumps(row) + "\n" for row in verdicts))
        words = ["import", "v.jsonl", "--from", "verdicts", "--task", "wins.toml", "--out", f"runs/{name}"]
        judgebench(words, cwd=tmp_path)
    asked, loaded = list[str](), TaskRun.load_data

    def absent(own: TaskRun, _: object) -> None:
        asked.append(own.key)
        raise ModelError("the official file is not here")

    def update() -> list[str]:
        words = ["report", "runs", "--html", "site/", "--json", "--tasks", "wins.toml"]
        found = json.loads(judgebench(words, cwd=tmp_path).stdout)["written"]
        return [page for page in found if page.startswith("runs/")]

    monkeypatch.setattr(TaskRun, "load_data", absent)
    assert len(update()) == 2
    asked.clear()
    assert update() == []
    assert asked == ["wins"]
    monkeypatch.setattr(TaskRun, "load_data", loaded)
    assert len(update()) == 2
    assert update() == []


def test_two_processes_write_one_site_one_after_the_other(work: Path) -> None:
    """Neither breaks what the other writes; the site is that of one, and nothing else is left."""
    reference = {page: page.read_bytes() for page in (work / "site").rglob("*.*") if page.is_file()}
    shutil.rmtree(work / "site")
    words = ["report", "runs", "--html", "site/", "--baseline", "mine"]
    with started(words, work) as first, started(words, work) as second:
        assert (first.wait(), second.wait()) == (0, 0)
    assert {page: page.read_bytes() for page in (work / "site").rglob("*.*") if page.is_file()} == reference


def test_whoever_writes_a_site_is_named_to_those_who_wait(tmp_path: Path) -> None:
    """A second one waits, and leaves after a while without a change."""
    with writing_alone(tmp_path / "site", print):
        told = list[str]()
        with (
            pytest.raises(UsageError, match=f"is being written by process {os.getpid()}"),
            writing_alone(tmp_path / "site", told.append, longest=0.3),
        ):
            pytest.fail("two wrote at once")
        assert len(told) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_removed_run_disappears(work: Path) -> None:
    """Its page, its comparisons, and the pages of a task and a judge that nobody else has; nothing else."""
    shutil.rmtree(work / "runs" / "judged")
    shutil.rmtree(work / "runs" / "base" / "2")
    (work / "site" / "CNAME").write_text("example.org")
    removed = again(work)["removed"]
    assert len(removed) == 5
    assert not any((work / "site" / page).exists() for page in removed)
    assert "judged" not in (work / "site" / "index.html").read_text()
    assert not list((work / "site" / "runs").glob("judged-*"))
    assert (work / "site" / "CNAME").read_text() == "example.org"


def test_broken_runs_stop_no_other(work: Path) -> None:
    """A folder that is no run, and a run whose samples are damaged, are listed with the reason; the others stay."""
    (work / "runs" / "broken").mkdir()
    (work / "runs" / "broken" / "manifest.json").write_text('{"version": "<script>"}')
    (work / "runs" / "mine" / "gsm8k" / "generations.jsonl").write_text('{"example_id": 7}\n')
    done = again(work)
    assert list(done["broken"]) == ["mine"]
    page = (work / "site" / "runs.html").read_text()
    assert "<code>broken</code>" in page
    assert "<code>mine</code>" in page
    assert str(work) not in page
    index = (work / "site" / "index.html").read_text()
    assert "What could not be read: 2" in index
    assert re.search(r'<th scope="row" class="name"><bdi>mine</bdi>', index)


def test_names_of_files_are_ours(tmp_path: Path) -> None:
    """Whatever models, folders, tasks and judges are called: their files lie in the site, their names are text."""
    odd = os.fsdecode(b"half \xff\xed\xa0\xbd")
    for number, name in enumerate((HOSTILE, "../../up", "..", "\u202etxt.exe", "a" * 300, odd)):
        folder = tmp_path / "runs" / (name.replace("/", "|")[:100] if name != ".." else "dots")
        told = {**JUDGED, "judges": {name: {"model": f"{HOSTILE}/../{number}", "prompt_and_rule": name}}}
        write_run(
            folder,
            [1.0, 0],
            model=name.encode("utf-8", "replace").decode(),
            protocol=told,
            task="talks",
            version=".." if number else HOSTILE,
        )
    judgebench(["report", "runs", "--html", "site/"], cwd=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "site"]
    for page in pages(tmp_path / "site"):
        assert re.fullmatch(r"[A-Za-z0-9._/-]+", page.relative_to(tmp_path / "site").as_posix())
        text = page.read_text()
        assert "<img" not in text
        assert "\u202e" not in text
        assert "Content-Security-Policy" in text
    assert len(pages(tmp_path / "site" / "runs")) == 6


def test_pages_let_nothing_else_run(made: Path) -> None:
    """Each names the hashes of its only script and style; none has a handler, a style attribute or a form."""
    allowed = policy(modules=MODULES).replace("'", "&#39;")
    assert "unsafe" not in allowed
    for page in pages(made / "site"):
        text, names = page.read_text(), Tables(page.read_text()).names
        assert not {name for name in names if name.startswith("on")}
        assert not names & {"style=", "form", "iframe", "img", "object", "embed", "base", "src"}
        if "/runs/" not in str(page) and "/comparisons/" not in str(page):
            assert allowed in text


def test_a_site_is_written_only_where_one_may_be(work: Path) -> None:
    """Not among other files, nor over runs, nor by a name that leaves open what it is; messages say what to do."""

    def refused(*words: object) -> str:
        return " ".join(judgebench(["report", *words], code=2, cwd=work).stderr.split())

    assert "holds other files" in refused("runs", "--html", "./")
    assert "where the run" in refused("runs", "--html", "runs/mine/")
    assert "end it in .html for one page" in refused("runs", "--html", "new")
    assert "--html FOLDER/ for a site" in refused("runs", "--html", "x.html", "--baseline", "mine")
    assert "no run is called so" in refused("runs", "--html", "site/", "--baseline", "nobody")
    (work / "empty").mkdir()
    assert "holds no run folder" in refused("empty", "--html", "new/")
    (work / "site" / "site.json").write_text("{}")
    assert "cannot be read" in refused("runs", "--html", "site/")


def test_a_list_that_somebody_changed_names_no_file_elsewhere(work: Path) -> None:
    """Only pages within the site are removed, and none through a link out of it."""
    state = work / "site" / "site.json"
    told = json.loads(state.read_text())
    (work / "precious").mkdir()
    (work / "precious" / "index.html").write_text("kept")
    (work / "site" / "runs" / "link").symlink_to(work / "precious")
    for name in ("../precious/index.html", "runs/../../precious/index.html", "runs/link/index.html", "/etc/passwd"):
        told["pages"][name] = "0"
    state.write_text(json.dumps(told))
    assert again(work)["removed"] == []
    assert (work / "precious" / "index.html").read_text() == "kept"


def test_a_site_that_was_not_finished_is_finished_later(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the first page is replaced the earlier site is whole; what was begun is known, and can be removed."""
    before = (work / "site" / "index.html").read_bytes()
    write_run(work / "runs" / "late", [1.0, 0], model="late", answers=["a", "b"])
    with monkeypatch.context() as patch:
        patch.setattr(site_writing, "pages", lambda site: (_ for _ in ()).throw(OSError("no space left")))
        said = judgebench(["report", "runs", "--html", "site/"], code=2, cwd=work).stderr
    assert "no space left" in said
    assert (work / "site" / "index.html").read_bytes() == before
    shutil.rmtree(work / "runs" / "late")
    assert any(page.startswith("runs/late-") for page in again(work)["removed"])


def test_a_comparison_that_lacks_a_file_is_made_once_it_is_there(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an official file the page shows both runs, says what is missing, and is made again the next time."""

    def lacking(*_: object, **__: object) -> None:
        raise ModelError("the official file difficulty is not here")

    with monkeypatch.context() as patch:
        patch.setattr(collect, "compare", lacking)
        done = again(work, "--overwrite")
    compared = sorted(page for page in done["written"] if page.startswith("comparisons/"))
    assert len(compared) == 3
    assert "the official file difficulty is not here" in (work / "site" / compared[0]).read_text()
    assert sorted(again(work)["written"]) == compared


def test_published_rows_are_marked(tmp_path: Path) -> None:
    """Runs of the official protocol stand among published rows, which say so; those far from every run are folded."""
    write_run(
        tmp_path / "runs" / "mine", [0.5] * 805, model="mine", protocol=OFFICIAL, task="alpacaeval", version="2",
        metrics=("lc_win_rate", "win_rate"),
    )  # fmt: skip
    judgebench(["report", "runs", "--html", "site/"], cwd=tmp_path)
    page = (tmp_path / "site" / "index.html").read_text()
    assert page.count('data-kind="published"') > 100
    assert 'data-kind="published" data-far' in page
    assert page.count('data-kind="measured"') == 1


def test_one_level_of_compression_is_like_another(made: Path) -> None:
    """Level 1 takes more room, and holds the same."""
    sizes = []
    for level in (1, 9):
        told = judgebench(
            ["report", "runs/mine", "--html", f"l{level}.html", "--level", level, "--json"], cwd=made
        ).stdout
        sizes.append(json.loads(told)["bytes"])
    assert sizes[0] > sizes[1]
