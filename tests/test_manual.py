"""The manual holds together: links lead somewhere, every option is in the reference, words keep their meaning."""

import html
import re
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from judgebench.cli import COMMANDS, loaded
from judgebench.errors import DISTRIBUTION
from scripts import command_reference, manual
from scripts.manual_figures import FIGURES, battles, table
from tests.commands import judgebench

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "tasks").glob("*/README.md")),
]
MKDOCS = find_spec("mkdocs") is not None and find_spec("mkdocstrings_handlers") is not None


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as GitHub and mkdocs make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def links() -> Iterator[tuple[Path, str]]:
    """Every page with a link of it that leads to no other host."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text())):
            if not re.match(r"\w+:", target):
                yield page, target


def test_no_link_is_dead() -> None:
    """Each leads to a file or folder of the repository, or to one of the manual's own pages, and to a heading there."""
    figures = (f"figures/{name}.svg" for name in FIGURES)
    made = {ROOT / "docs" / page for page in (*(page for page, _ in manual.made_pages()), *figures)}
    seen, dead = 0, []
    for page, target in links():
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        seen += 1
        alive = there in made or (there.exists() and (not anchor or there.is_dir() or anchor in anchors(there)))
        if not alive:
            dead.append(f"{page.relative_to(ROOT)}: {target}")
    assert dead == []
    assert seen > 100


def test_no_page_has_a_heading_twice() -> None:
    """The second would have another address than the first, and nobody would find it."""
    twice = {}
    for page in PAGES:
        found = re.findall(r"^## .+$", prose(page.read_text()), re.MULTILINE)
        twice[page.name] = [heading for heading in set(found) if found.count(heading) > 1]
    assert {name: headings for name, headings in twice.items() if headings} == {}


def spelled(command: str) -> list[list[str]]:
    """The command, or those below it, as words."""
    below = getattr(loaded(command), "commands", {})
    return [[command, name] for name in below] or [[command]]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_reference_has_every_option(command: str) -> None:
    """Whatever ``--help`` lists, with its names."""
    page = html.unescape(command_reference.page(command))
    for words in spelled(command):
        shown = judgebench([*words, "--help"]).stdout
        flags = re.findall(r"^  (-[^\s,]+(?:, -[^\s,]+)*)", shown, re.MULTILINE)
        assert flags
        section = page.partition(f"\n## judgebench {' '.join(words)}\n")[2].partition("\n## ")[0] or page
        assert [flag for listed in flags for flag in listed.split(", ") if flag not in section] == []


def test_the_reference_lists_every_command() -> None:
    """With its sentence."""
    page = command_reference.overview()
    assert [name for name, (_, said) in COMMANDS.items() if f"[`{name}`]({name}.md) | {said}" not in page] == []


def written_commands() -> Iterator[tuple[Path, str]]:
    """Every command of ours that a page has within its text, with the page."""
    for page in PAGES:
        if page.name != "CHANGELOG.md":
            for text in re.findall(r"`(judgebench [^`]*)`", prose(page.read_text())):
                yield page, " ".join(text.split())


def test_commands_within_the_text_are_those_that_there_are() -> None:
    """Each names a command, and flags of it: a page that is not run cannot have others."""
    wrong, seen = [], 0
    for page, text in written_commands():
        words = [word for word in re.split(r"[\s|]+", text)[1:] if word not in ("…", "-v", "--version")]
        name = next((word for word in words if not word.startswith("-")), "")
        if name in ("", "help", "COMMAND") or text.startswith("judgebench …"):
            continue
        seen += 1
        flags = {word.split("=")[0] for word in words if re.fullmatch(r"--[a-z][a-z-]*(=.*)?", word)}
        reference = html.unescape(command_reference.page(name)) if name in COMMANDS else ""
        if not reference or [flag for flag in flags if flag not in reference]:
            wrong.append(f"{page.relative_to(ROOT)}: {text}")
    assert wrong == []
    assert seen > 100


@pytest.mark.skipif(not MKDOCS, reason="the manual is built where the extra docs is installed")
def test_it_is_built_without_a_warning_and_asks_nothing_of_a_network(tmp_path: Path) -> None:
    """Strictly: a dead link or a page outside the table of contents would end it. No page loads from another host."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site")))
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 60
    loaded_from = r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?(https?:)?//|<link\b[^>]*\bhref=\"?(https?:)?//"
    assert [page.name for page in pages if re.search(loaded_from, page.read_text())] == []


def test_no_page_says_that_the_index_has_the_program() -> None:
    """Its install commands are of a clone or a wheel; a word on the other projects of nearly this name is there."""
    for page in PAGES:
        for line in page.read_text().splitlines():
            assert not re.search(r"pip install (?:-\S+ )*['\"]?judgebench(?:[=<>~]|['\"]?$)", line), (page, line)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == DISTRIBUTION
    for page in (ROOT / "README.md", ROOT / "docs" / "index.md"):
        assert "`judge-bench`" in page.read_text()
        assert "JudgeBench (ScalerLab, 2024)" in page.read_text()


def other_words() -> list[str]:
    """What CONTRIBUTING's table of ten words says not to say, without what stands in brackets."""
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("## Ten words")[2].partition("\n\nText for users")[0]
    rows = [line.split("|")[3] for line in table.splitlines() if line.startswith("| ")][2:]
    return [word.strip() for row in rows for word in re.sub(r"\(.*?\)", "", row).split(",")]


def test_words_of_the_glossary_have_no_synonyms() -> None:
    """One word for one idea, in the pages and in what ``--help`` says; code and names of others are free."""
    words = other_words()
    assert len(words) >= 10
    wrong = re.compile(rf"\b(?:{'|'.join(words)})s?\b|(?:server|endpoint) of its protocol|over either protocol")
    texts = {str(page.relative_to(ROOT)): page.read_text() for page in PAGES if page.name != "CONTRIBUTING.md"}
    texts |= {f"{name} --help": html.unescape(command_reference.page(name)) for name in COMMANDS}
    code = re.compile(r"`[^`]*`|\{.*?\}|\S*=\S*|\"\w+\"|experiment tracker")
    said = {place: wrong.findall(code.sub("", prose(text))) for place, text in texts.items()}
    assert {place: found for place, found in said.items() if found} == {}


def test_the_figures_show_what_the_text_says() -> None:
    """The page has each, and a gate's verdicts are its three."""
    page = (ROOT / "docs" / "how-sure.md").read_text()
    assert set(re.findall(r"\(figures/(\w+)\.svg\)", page)) == set(FIGURES)
    shown = FIGURES["gate"]()
    assert [word for word in ("PASS", "INCONCLUSIVE", "FAIL") if word not in shown] == []
    assert 'class="zero"' not in FIGURES["paired"](), "the interval of the difference excludes 0"
    for row in table("arenahard_expected"):
        shares, weights, _ = battles(row["model"])
        assert round(100 * float((shares * weights).sum() / weights.sum()), 2) == float(row["win_rate"])
