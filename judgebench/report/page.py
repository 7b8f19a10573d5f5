"""Writes the page: static HTML of the numbers, then the index, the script, and the slices of samples as they are made.

The script and the style sheet stand in the file, named by their hashes in its content security policy, so that nothing
else can run and nothing can be fetched.
"""

import base64
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import IO, TYPE_CHECKING, Any

from markupsafe import Markup, escape

from judgebench.data.resources import resource
from judgebench.display import printable
from judgebench.errors import UsageError
from judgebench.report import doubts, evidence
from judgebench.report.address import address
from judgebench.report.categories import shown_group
from judgebench.report.collect import Report
from judgebench.report.comparing import compared
from judgebench.report.costs import cost_views
from judgebench.report.judging import judge_views
from judgebench.report.one_task import task_views
from judgebench.report.places import short_hashes, without_folders
from judgebench.report.plots import key_of
from judgebench.report.provenance import facts, unlike
from judgebench.report.score_tables import MOST_COLUMNS, run_rows, score_tables
from judgebench.report.slices import encoded, packed, packed_samples
from judgebench.report.summary import leads

if TYPE_CHECKING:
    import jinja2

MODULES = ("core", "theme", "data", "live", "filter", "search", "diff", "markdown", "list", "sample", "app")
"""In the order in which they build on each other."""
LARGEST = 60 * 10**6
"""Slices of more bytes are not written into the page, but into files beside it."""
SELF = "'self'"
ASSETS = Path(__file__).parent / "assets"
COMMENTS = re.compile(r"^ *//.*\n|^ */\*\*(?:(?!\*/)[\s\S])*\*/\n|/\*\*(?:(?!\*/).)*\*/ ", re.MULTILINE)
"""Of the modules: whole lines, descriptions of functions, and types within expressions."""


@cache
def script(modules: tuple[str, ...] = MODULES) -> str:
    """The modules of a page as one strict function, without their comments."""
    parts = []
    for name in modules:
        text = (ASSETS / f"{name}.js").read_text("utf-8")
        text = re.sub(r"^import [^;]*;\n", "", text, flags=re.MULTILINE)
        text = COMMENTS.sub("", text)
        parts.append(re.sub(r"^export ", "", text, flags=re.MULTILINE))
    return '(() => {\n"use strict";\n' + "\n".join(parts) + "})();\n"


@cache
def style() -> str:
    """The style sheet of the page."""
    return (ASSETS / "style.css").read_text("utf-8")


def policy(*, apart: bool = False, modules: tuple[str, ...] = MODULES) -> str:
    """The content security policy of a page with these modules; ``apart`` if slices are files beside the page."""
    return (
        f"default-src 'none'; script-src{' ' + SELF if apart else ''} '{_hash(script(modules))}'; "
        f"style-src '{_hash(style())}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def templates() -> "jinja2.Environment":
    """The templates. Texts are made printable as they are written, unless they are escaped there by ``|e``."""
    import jinja2

    made = jinja2.Environment(
        finalize=_legible,
        loader=jinja2.FileSystemLoader(resource("templates") / "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    made.filters |= {"without_folders": without_folders, "short_hashes": short_hashes}
    made.filters |= {"shown_group": shown_group, "breakable": breakable}
    return made


def breakable(name: str) -> Markup:
    """A name that a narrow column may break where its words join, and nowhere within one.

    >>> breakable("win_rate<br>")
    Markup('win_<wbr>rate&lt;br&gt;')
    """
    return Markup(re.sub(r"([_=/:])(?=.)", r"\1<wbr>", str(escape(_legible(name)))))


def _legible(value: Any) -> Any:
    return "\n".join(map(printable, value.split("\n"))) if type(value) is str else value


@dataclass
class Packed:
    """The samples of a report, packed: slices in a file that is gone when it is closed, and the index of all."""

    file: IO[str]
    index: dict[str, Any] = field(default_factory=dict)
    places: list[tuple[int, int]] = field(default_factory=list)
    """Where each slice starts, and how long it is."""
    size: int = 0
    hash: str = ""

    def slices(self) -> Iterator[str]:
        """The slices in order."""
        for start, length in self.places:
            self.file.seek(start)
            yield self.file.read(length)


@contextmanager
def packed_report(report: Report) -> Iterator[Packed]:
    """Pack the samples of a report. The index comes first in a page and is known last, so slices wait in a file."""
    with TemporaryFile("w+", encoding="ascii") as file:
        found, checked = Packed(file), hashlib.sha256()
        for one in packed_samples(report):
            if isinstance(one, dict):
                found.index = one
                continue
            checked.update(one[1].encode())
            found.places.append((found.size, file.write(one[1])))
            found.size += len(one[1])
        found.hash = checked.hexdigest()
        yield found


def parts(
    report: Report, found: Packed, *, start: str = "#/", folder: str = "", live: str = "", home: str = ""
) -> Iterator[str]:
    """The page in the order of the file. ``start`` is the view that is shown first.

    Slices are in the page, or in a ``folder`` beside it. ``live`` is the state of runs that may go on, ``home`` the
    first page of the site that the page belongs to.
    """
    shown = _shown(report, start, f"{folder}:{found.hash}")
    yield templates().get_template("page.html.j2").render(shown, live=live, home=home)
    yield f'<script type="text/plain" id="index">{packed(encoded(found.index), report.level)}</script>\n'
    yield f"<script>{script()}</script>\n"
    for number, text in enumerate(() if folder else found.slices()):
        yield f'<script type="text/plain" id="s{number}">{text}</script>\n'
    yield f'<script type="text/plain" id="end">1:{len(found.places)}:{found.hash}</script>\n</body>\n</html>\n'


def _shown(report: Report, start: str, slices: str) -> dict[str, Any]:
    return {
        "report": report,
        "start": start,
        "slices": slices,
        "policy": policy(apart=not slices.startswith(":")),
        "style": style(),
        "address": address,
        "summary": score_tables(report, groups=False),
        "tasks": task_views(report),
        "leads": list(leads(report)),
        "doubts": doubts.worst_first([*doubts.doubts(report), *evidence.doubts(report)]),
        "key_of": key_of,
        "run_rows": run_rows,
        "most_columns": MOST_COLUMNS,
        "compared": compared(report),
        "facts": facts(report),
        "judges": judge_views(report),
        "audits": evidence.audits_of(report),
        "cards": evidence.audit_views(report),
        "bridges": evidence.bridge_views(report),
        "costs": cost_views(report),
        "unlike": unlike(report),
        "samples": sum(len(task.listed) for task in report.tasks),
    }


def is_page(place: Path) -> bool:
    """Whether a file is a page of this kind."""
    try:
        with place.open("rb") as file:
            return b'<meta name="jb-start"' in file.read(4096)
    except OSError:
        return False


@dataclass(frozen=True)
class Written:
    """A page that was written."""

    path: Path
    size: int
    """In bytes, with the slices beside it."""
    slices: int
    folder: Path | None
    """Where the slices are, if they are not in the page."""
    hash: str
    """Of all slices."""


def write_page(report: Report, place: Path, *, overwrite: bool = False, start: str = "#/", live: str = "") -> Written:
    """Write the page, which appears whole or not at all.

    ``place`` is a file, or a folder for a page with its samples in files beside it. Those of a file, too, come to lie
    in a folder beside it if it would be too large for browsers to open at once. With ``live``, the state of the runs,
    the page asks its server whether there is more.

    Raises :class:`UsageError` if there is a file already, or if it cannot be written.
    """
    asked = place.is_dir()
    page = place / "index.html" if asked else place
    if page.exists() and not overwrite:
        raise UsageError(f"{page} exists; give --overwrite to replace it, or another name to --html")
    try:
        with packed_report(report) as found:
            folder = page.with_name("slices" if asked else f"{page.stem}-slices")
            apart = asked or found.size > LARGEST
            size = _write_slices(folder, found) if apart else 0
            with NamedTemporaryFile("wb", dir=page.parent, prefix=f".{page.name}.", delete=False) as file:
                whole = parts(report, found, start=start, folder=folder.name if apart else "", live=live)
                size += sum(file.write(part.encode("utf-8", "replace")) for part in whole)
        Path(file.name).chmod(0o644)
        os.replace(file.name, page)
    except OSError as error:
        raise UsageError(f"the report {page} cannot be written: {error.strerror or error}") from error
    return Written(page, size, len(found.places), folder if apart else None, found.hash)


def _write_slices(folder: Path, found: Packed) -> int:
    """Write each slice as a script that hands it to the page, and remove those of an earlier page."""
    folder.mkdir(exist_ok=True)
    for number, text in enumerate(found.slices()):
        (folder / f"s{number}.js").write_text(f'jb("{found.hash}",{number},"{text}")\n', "ascii")
    for other in folder.glob("s*.js"):
        if other.stem[1:].isdecimal() and int(other.stem[1:]) >= len(found.places):
            other.unlink()
    return sum(length for _, length in found.places)
