"""Docstrings as Markdown, for the manual: examples become blocks, and references to names become the names."""

import re
from typing import Any

from griffe import Extension

EXAMPLE = re.compile(r"^>>> .*(?:\n(?!\n).+)*", re.MULTILINE)
REFERENCE = re.compile(r":\w+:`~?(?:[\w.]+\.)?(\w+)`")


def as_markdown(text: str) -> str:
    """A docstring's text.

    >>> print(as_markdown("See :class:`~judgebench.api.Run`."))
    See `Run`.
    """
    said, heading, examples = REFERENCE.sub(r"`\1`", text).partition("Examples\n--------\n")
    return EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", said) + heading + examples


class Docstrings(Extension):
    """What mkdocstrings asks for every object that it reads."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Turn the object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)
