"""The style of an answer: how long it is and how much Markdown it holds, counted as upstream counts.

Source: lmarena/arena-hard-auto@196f6b8:``utils/add_markdown_info.py``.
"""

import base64
import importlib
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from msgspec import Struct

from judgebench.data.rows import count_of

FEATURES = ("token_len", "header_count", "list_count", "bold_count")
"""In the order of the fit."""

ENCODINGS = {"current": "o200k_base", "legacy": "cl100k_base"}
"""The encoding that each pipeline counts tokens in."""

MOST_WORK = 2 * 10**9
"""Characters looked at while code is removed: upstream's way takes the square of an answer's length at worst, and an
answer made to reach that is not counted."""

PATTERNS = {
    "cl100k_base": (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
        r"|\s+(?!\S)|\s"
    ),
    "o200k_base": (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
}
"""How each encoding cuts a text before it merges bytes (tiktoken 0.14: ``tiktoken_ext/openai_public.py``)."""

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


def known_style(metadata: Any) -> dict[str, float]:
    """Read the features in an answer file, nested counts summed; leave out those that are missing or garbled.

    >>> known_style({"token_len": 5, "header_count": {"h1": 1, "h2": 2}, "list_count": None})
    {'token_len': 5.0, 'header_count': 3.0}
    """
    found: dict[str, float] = {}
    for feature in FEATURES if isinstance(metadata, Mapping) else ():
        value = metadata.get(feature)
        counts = [count_of(count) for count in (value.values() if isinstance(value, Mapping) else [value])]
        if None not in counts:
            found[feature] = float(sum(count for count in counts if count is not None))
    return found


class TokenCounter:
    """Counts tokens of one encoding with tiktoken, built from the official file of token ranks."""

    def __init__(self, name: str, ranks: bytes | None, reason: str | None = None) -> None:
        self.name = name
        self.reason = reason
        """Why tokens cannot be counted; ``None`` if they can."""
        self._ranks = ranks

    def count(self, text: str) -> int | None:
        """Count a text's tokens, special tokens being plain text; return ``None`` if tokens cannot be counted."""
        if self._ranks is None:
            return None
        # A lone surrogate is no text that could be encoded; tiktoken itself replaces it likewise.
        return len(self._encoding.encode_ordinary(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")))

    @cached_property
    def _encoding(self) -> Any:
        tiktoken = importlib.import_module("tiktoken")
        pairs = (line.split() for line in (self._ranks or b"").splitlines() if line)
        ranks = {base64.b64decode(token): int(rank) for token, rank in pairs}
        return tiktoken.Encoding(self.name, pat_str=PATTERNS[self.name], mergeable_ranks=ranks, special_tokens={})


def tiktoken_is_there() -> bool:
    """Say whether the extra ``style`` is installed."""
    try:
        importlib.import_module("tiktoken")
    except ImportError:
        return False
    return True
