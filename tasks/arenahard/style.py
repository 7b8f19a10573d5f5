"""The style of an answer: how long it is and how much Markdown it holds, counted as upstream counts.

Source: lmarena/arena-hard-auto@196f6b8:``utils/add_markdown_info.py``.
"""

import base64
import importlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from judgebench.data.rows import count_of
from judgebench.task.markdown import MARKDOWN

FEATURES = ("token_len", *MARKDOWN)
"""In the order of the fit."""

ENCODINGS = {"current": "o200k_base", "legacy": "cl100k_base"}
"""The encoding that each pipeline counts tokens in."""

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
