"""``--html`` of commands that print numbers: the report of the same runs, opened at the view of that command."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from judgebench.errors import UsageError

if TYPE_CHECKING:
    from judgebench.report.links import Links

Html = Annotated[
    Path | None,
    typer.Option(
        "--html",
        help="Also write the report of these runs, a page with every sample, opened at these numbers. It replaces "
        "an earlier report.",
        metavar="FILE",
    ),
]


def require_place(html: Path | None) -> None:
    """Raise :class:`UsageError` if the page would replace a file that is none; nothing was asked or computed so far."""
    if html is None:
        return
    from judgebench.report.page import is_page

    if html.exists() and not is_page(html):
        raise UsageError(f"{html} exists and is no report of judgebench, so it is kept; choose another name")
    if not html.parent.is_dir():
        raise UsageError(f"the report {html} cannot be written: there is no folder {html.parent}")


def write_page(html: Path | None, runs: Iterable[Any], start: str, **given: Any) -> "Links | None":
    """Write the page, if one is asked for, say where it is on stderr, and return the links into it."""
    if html is None:
        return None
    from judgebench import api
    from judgebench.cli.rendering import print_beside
    from judgebench.report.links import Links

    made = api.make_report(*runs, out=html, overwrite=True, start=start, **given)
    print_beside("report", [f"{html}{start}"])
    return Links(html, made.record)
