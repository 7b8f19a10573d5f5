"""Writes the page: static HTML of the numbers, then the index, the script, and the slices of samples as they are made.

The script and the style sheet stand in the file, named by their hashes in its content security policy, so that nothing
else can run and nothing can be fetched.
"""

import base64
import hashlib
import os
import re
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import TYPE_CHECKING, Any

from judgebench.data.resources import resource
from judgebench.errors import UsageError
from judgebench.report import views
from judgebench.report.address import address
from judgebench.report.collect import Report
from judgebench.report.costs import cost_views
from judgebench.report.judging import judge_views
from judgebench.report.slices import encoded, packed, packed_samples

if TYPE_CHECKING:
    import jinja2

MODULES = ("core", "data", "filter", "diff", "markdown", "list", "sample", "app")
"""In the order in which they build on each other."""
COPIED = 2**20
ASSETS = Path(__file__).parent / "assets"


@cache
def script() -> str:
    """The modules of the page as one strict function."""
    parts = []
    for name in MODULES:
        text = (ASSETS / f"{name}.js").read_text("utf-8")
        text = re.sub(r"^import [^;]*;\n", "", text, flags=re.MULTILINE)
        parts.append(re.sub(r"^export ", "", text, flags=re.MULTILINE))
    return '(() => {\n"use strict";\n' + "\n".join(parts) + "})();\n"


@cache
def style() -> str:
    """The style sheet of the page."""
    return (ASSETS / "style.css").read_text("utf-8")


def policy() -> str:
    """The page's content security policy."""
    return (
        f"default-src 'none'; script-src '{_hash(script())}'; style-src '{_hash(style())}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _templates() -> "jinja2.Environment":
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(resource("templates") / "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def parts(report: Report, *, start: str = "#/") -> Iterator[str]:
    """The page in the order of the file. ``start`` is the view that is shown first."""
    yield _templates().get_template("page.html.j2").render(_shown(report, start))
    # The index comes first and is known last: slices wait in a file meanwhile.
    with TemporaryFile("w+", encoding="ascii") as waiting:
        count, checked, index = 0, hashlib.sha256(), {}
        for found in packed_samples(report):
            if isinstance(found, dict):
                index = found
                continue
            count, text = found[0] + 1, found[1]
            checked.update(text.encode())
            waiting.write(f'<script type="text/plain" id="s{found[0]}">{text}</script>\n')
        yield f'<script type="text/plain" id="index">{packed(encoded(index))}</script>\n'
        yield f"<script>{script()}</script>\n"
        waiting.seek(0)
        yield from iter(partial(waiting.read, COPIED), "")
    yield f'<script type="text/plain" id="end">1:{count}:{checked.hexdigest()}</script>\n</body>\n</html>\n'


def _shown(report: Report, start: str) -> dict[str, Any]:
    return {
        "report": report,
        "start": start,
        "policy": policy(),
        "style": style(),
        "address": address,
        "summary": views.score_tables(report, groups=False),
        "tables": views.score_tables(report, groups=True),
        "leads": list(views.leads(report)),
        "doubts": list(views.doubts(report)),
        "lengths": [views.length_plot(report, task) for task in report.tasks],
        "compared": views.compared(report),
        "facts": views.facts(report),
        "judges": judge_views(report),
        "costs": cost_views(report),
        "unlike": views.unlike(report),
        "sources": [views.sources(task) for task in report.tasks],
        "predictions": [views.predictions(report, task) for task in report.tasks],
        "samples": sum(len(task.examples) for task in report.tasks),
    }


def is_page(place: Path) -> bool:
    """Whether a file is a page of this kind."""
    try:
        with place.open("rb") as file:
            return b'<meta name="jb-start"' in file.read(4096)
    except OSError:
        return False


def write_page(report: Report, place: Path, *, overwrite: bool = False, start: str = "#/") -> int:
    """Write the page, which appears whole or not at all; return its size in bytes.

    Raises :class:`UsageError` if there is a file already, or if it cannot be written.
    """
    if place.exists() and not overwrite:
        raise UsageError(f"{place} exists; give --overwrite to replace it, or another name to --html")
    try:
        with NamedTemporaryFile("wb", dir=place.parent, prefix=f".{place.name}.", delete=False) as file:
            size = sum(file.write(part.encode("utf-8", "replace")) for part in parts(report, start=start))
        Path(file.name).chmod(0o644)
        os.replace(file.name, place)
    except OSError as error:
        raise UsageError(f"the report {place} cannot be written: {error.strerror or error}") from error
    return size
