"""How much Markdown an answer holds, counted as Arena-Hard counts it for its control of style.

Source: lmarena/arena-hard-auto@196f6b8:``utils/add_markdown_info.py``.
"""

import re

from msgspec import Struct

MARKDOWN = ("header_count", "list_count", "bold_count")
"""The counts, in the order of the fit; before them stands the length."""
MOST_WORK = 2 * 10**9
"""Characters looked at while code is removed: upstream's way takes the square of an answer's length at worst, and an
answer made to reach that is not counted."""

_CODE = re.compile(r"```([^`]*)```")
_HEADERS = {f"h{level}": re.compile(rf"^#{{{level}}}\s", re.MULTILINE) for level in range(1, 7)}
# Upstream's `^\s*` may run over blank lines and so takes the square of their number; an item is on a line of its own
# either way, so these find the same ones in one pass.
_LISTS = {
    "ordered": re.compile(r"^[^\S\n]*\d+\.\s", re.MULTILINE),
    "unordered": re.compile(r"^[^\S\n]*[-*+]\s", re.MULTILINE),
}
_BOLD = {"**": re.compile(r"\*\*[^*\n]+\*\*"), "__": re.compile(r"__[^_\n]+__")}


class Markdown(Struct, frozen=True):
    """Counts of Markdown elements outside fenced code, as upstream stores them."""

    header_count: dict[str, int]
    list_count: dict[str, int]
    bold_count: dict[str, int]

    @property
    def totals(self) -> tuple[int, int, int]:
        """Headers, list items and bold passages."""
        return sum(self.header_count.values()), sum(self.list_count.values()), sum(self.bold_count.values())


def markdown(text: str) -> Markdown | None:
    """Count an answer's Markdown; return ``None`` for an answer made to take forever.

    >>> markdown("# Plan\\n1. **eat**\\n2. rest\\n```\\n# no header\\n```").totals
    (1, 2, 1)
    """
    rest = without_code(text)
    if rest is None:
        return None
    return Markdown(
        *(
            {name: len(pattern.findall(rest)) for name, pattern in patterns.items()}
            for patterns in (_HEADERS, _LISTS, _BOLD)
        )
    )


def without_code(text: str) -> str | None:
    """Remove what stands between code fences; the fences stay.

    To the letter: a block's content is removed wherever it occurs in the text, so that a block that holds one newline
    removes them all, and an inner backtick keeps a block from being one.
    """
    blocks = _CODE.findall(text)
    if len(blocks) * len(text) > MOST_WORK:
        return None
    for block in blocks:
        text = text.replace(block, "")
    return text
