"""Writes a sample of pairs for people to label: a CSV to fill in, or a page that saves such a CSV.

The page needs no network. What models wrote is text in it, never markup or script; its one script is known to the
browser by hash (Content-Security-Policy), so that nothing else could run.
"""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from judgebench.codec import canonical_hash
from judgebench.data.csv_cells import csv_text, spreadsheet_text
from judgebench.data.resources import resource
from judgebench.display import printable
from judgebench.errors import UsageError

if TYPE_CHECKING:
    import jinja2

    from judgebench.analysis.label_sample import LabelSample, SampledPair

COLUMNS = ("example_id", "label", "annotator", "stratum", "stratum_items", "probability", "pair")
TEXTS = ("question", "answer_1", "answer_2")
FORMS = (".csv", ".html")


def write_sample(sample: "LabelSample", path: Path) -> None:
    """Write the sample in the form that the path's suffix names.

    Raises :class:`UsageError` for another suffix, and for a file that exists: it may hold somebody's labels.
    """
    require_new(path)
    text = _csv(sample.pairs) if path.suffix == ".csv" else form_of(sample)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8", newline="") as file:
        file.write(text)


def require_new(path: Path) -> None:
    """Raise :class:`UsageError` if a sample cannot be written to the path."""
    if path.suffix not in FORMS:
        raise UsageError(f"--out {path}: end the name in .csv for a table to fill in, or in .html for a page")
    if path.exists():
        raise UsageError(f"--out {path} exists, and may hold labels that people made; name another file")


def _csv(pairs: Sequence["SampledPair"]) -> str:
    rows = (
        (*_cells(pair), _joined(pair, "question"), _joined(pair, "first"), _joined(pair, "second")) for pair in pairs
    )
    return csv_text((*COLUMNS, *TEXTS), rows)


def _cells(pair: "SampledPair") -> tuple[str | int | float, ...]:
    return pair.example_id, "", "", pair.stratum, pair.stratum_items, pair.probability, pair.pair


def _joined(pair: "SampledPair", side: str) -> str:
    """The texts of all turns; the conversation before them belongs to the question."""
    texts = [getattr(turn, side) for turn in pair.turns]
    if side == "question":
        texts[0] = "\n\n".join([*(f"[{message.role}]\n{message.content}" for message in pair.before), texts[0]])
    if len(texts) == 1:
        return str(texts[0])
    return "\n\n".join(f"[turn {number}]\n{text}" for number, text in enumerate(texts, 1))


def form_of(sample: "LabelSample") -> str:
    """The page, in ASCII, so that it survives any declared encoding."""
    parts = {name: (resource("templates") / f"labels.{name}").read_text("utf-8").strip("\n") for name in ("css", "js")}
    hashes = {name: _source_hash(text) for name, text in parts.items()}
    text = _template().render(
        sample=sample,
        parts=parts,
        hashes=hashes,
        columns=COLUMNS,
        cells=[tuple(map(_cell, _cells(pair))) for pair in sample.pairs],
        key=canonical_hash([(pair.example_id, pair.pair) for pair in sample.pairs])[7:23],
    )
    return text.encode("ascii", "xmlcharrefreplace").decode()


def _cell(value: str | int | float) -> str:
    return spreadsheet_text(value) if isinstance(value, str) else repr(value)


def _source_hash(text: str) -> str:
    """What a Content-Security-Policy calls an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _template() -> "jinja2.Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(resource("templates")),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("labels.html.j2")


def _shown(value: object) -> object:
    """Texts without characters that a reader cannot see, but with their lines."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return "".join(_lines(value))


def _lines(text: str) -> Iterator[str]:
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n")):
        yield ("\n" if number else "") + "\t".join(map(printable, line.split("\t")))
