"""What mkdocs does beyond ``mkdocs.yml``: pages made of the program and of files that lie elsewhere in the repository.

A link in a page of ``docs/`` names a file as it lies in the repository, so that it leads somewhere there, too. Here it
is turned to the page that shows the file, if there is one.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from judgebench.cli import COMMANDS  # noqa: E402 - mkdocs runs this file from anywhere
from scripts import command_reference, manual_figures, notebooks, reference_tables  # noqa: E402

COMMANDS_HEADING, REFERENCE_HEADING = "Commands", "Reference"
"""In the table of contents: where the pages of the commands go, and where those that it does not name."""
TOLD_ELSEWHERE = ("templates/", "tests/", "benchmarks/", "scripts/", "tasks/", "judgebench/", "leaderboards/", ".")
"""Beginnings of paths without a page of their own. A link to one becomes its text."""
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])+)\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def shown_files() -> Mapping[str, str]:
    """Pages that show a file of the repository, by the file's path."""
    tasks = sorted(path.parent.name for path in (ROOT / "tasks").glob("*/README.md"))
    return {
        **{f"tasks/{name}/README.md": f"benchmarks/{name}.md" for name in tasks},
        "benchmarks/README.md": "measured.md",
        "CONTRIBUTING.md": "contributing.md",
        "CHANGELOG.md": "changelog.md",
    }


def examples_page() -> str:
    """The benchmarks of ``docs/examples``, each file as it stands."""
    parts = [
        "# Examples of benchmarks as a file",
        "",
        "What the keys mean is under [benchmarks as a file](own-benchmarks.md).",
    ]
    for path in sorted((ROOT / "docs" / "examples").glob("*.toml")):
        parts += ["", f"## {path.name}", "", "```toml", path.read_text().strip(), "```"]
    return "\n".join(parts) + "\n"


def made_pages() -> Iterator[tuple[str, str]]:
    """Pages of the program itself, by their place below ``docs/``."""
    yield "reference/commands/index.md", command_reference.overview()
    for name in COMMANDS:
        yield f"reference/commands/{name}.md", command_reference.page(name)
    yield "reference/names.md", reference_tables.names()
    yield "reference/settings.md", reference_tables.settings()
    yield "reference/vendors.md", reference_tables.vendors()
    yield "example-files.md", examples_page()
    for path in notebooks.notebooks():
        yield f"notebooks/{path.stem}.md", notebooks.page(path)


def on_config(config: Any) -> None:
    """Put the pages of the commands into the table of contents, and last in the reference those that nobody placed."""
    pages = ["reference/commands/index.md", *(f"reference/commands/{name}.md" for name in COMMANDS)]
    for section in config.nav:
        if COMMANDS_HEADING in section:
            section[COMMANDS_HEADING] = pages
        if REFERENCE_HEADING in section:
            section[REFERENCE_HEADING] += unplaced(str(config.nav))


def unplaced(contents: str) -> list[str]:
    """Pages of ``docs/`` that the table of contents does not name: a new page is found before it has its place."""
    pages = (str(path.relative_to(ROOT / "docs")) for path in sorted((ROOT / "docs").rglob("*.md")))
    return [page for page in pages if f"'{page}'" not in contents]


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are no files of ``docs/``."""
    from mkdocs.structure.files import File

    pages = {**dict(made_pages()), **{page: (ROOT / path).read_text() for path, page in shown_files().items()}}
    pages |= {f"figures/{name}.svg": draw() for name, draw in manual_figures.FIGURES.items()}
    for place, text in pages.items():
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links to files of the repository into links to pages."""
    return rewritten(markdown, page.file.src_uri)


def rewritten(markdown: str, page: str) -> str:
    """The text of a page, with the links of the repository replaced by those of the manual."""
    origins = {there: path for path, there in shown_files().items()}
    origin = PurePosixPath(origins.get(page, f"docs/{page}"))

    def target(found: re.Match[str]) -> str:
        text, link, anchor = found[1], found[2], found[3] or ""
        path = os.path.normpath(origin.parent / link)
        if path == "docs/examples":
            path = "docs/example-files.md"
        place = shown_files().get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if place is None:
            if not path.startswith(TOLD_ELSEWHERE) or not (ROOT / path).exists():
                raise ValueError(f"{origin}: the link to {link} leads to no page of the manual")
            return text
        return f"[{text}]({os.path.relpath(place, PurePosixPath(page).parent)}{anchor})"

    pieces = re.split(r"(^```.*?^```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(piece if piece.startswith("```") else LINK.sub(target, piece) for piece in pieces)
