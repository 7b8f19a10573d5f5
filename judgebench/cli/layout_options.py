"""Flags that say how a table is written for a paper."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, TypeVar

import typer

from judgebench.exchange.layout import Intervals, Layout

Command = TypeVar("Command", bound=Callable[..., Any])

LAYOUT: dict[str, tuple[Any, Any]] = {
    "columns": (
        Annotated[
            str,
            typer.Option(
                help="Write these columns, in this order, as in metric,value=Score,n: what follows = is another "
                "heading. A wrong name lists all names.",
                metavar="A,B=HEADING,…",
            ),
        ],
        "",
    ),
    "digits": (
        Annotated[int | None, typer.Option(help="Decimals of figures, also in csv and json.", metavar="N")],
        None,
    ),
    "intervals": (
        Annotated[
            Intervals,
            typer.Option(
                help="Intervals in a column of the headline's, or behind every figure: 5.4 [4.1, 7.3], 5.4 ± 1.6; or "
                "the standard error: 5.4 ± 0.8."
            ),
        ],
        "column",
    ),
    "bold": (
        Annotated[
            bool | None,
            typer.Option(
                "--bold/--no-bold",
                help="Set the best of each column in bold where its interval is apart from the others' (md, html; "
                "latex by default).",
            ),
        ],
        None,
    ),
    "caption": (
        Annotated[str, typer.Option(help="Caption in place of the title; in latex it may be LaTeX.", metavar="TEXT")],
        "",
    ),
    "label": (Annotated[str, typer.Option(help="LaTeX label, such as tab:main.", metavar="TEXT")], ""),
    "notes": (
        Annotated[
            bool,
            typer.Option("--notes/--no-notes", help="Write notes below tables; without them, latex has comments."),
        ],
        True,
    ),
}
"""The fields of a layout as flags, with their defaults."""


def takes_layout(function: Command) -> Command:
    """Give a command the flags of a table's layout; it receives them as the keyword ``layout``."""
    own = inspect.signature(function).parameters.values()
    flags = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in LAYOUT.items()
    ]

    @wraps(function)
    def taking(**given: Any) -> Any:
        wishes = {name: given.pop(name) for name in LAYOUT}
        return function(**given, layout=Layout(**wishes))

    kept = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own if parameter.name != "layout"]
    changed: Any = taking
    changed.__signature__ = signature = inspect.Signature([*kept, *flags])
    changed.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    settled: Command = changed
    return settled
