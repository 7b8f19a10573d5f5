"""How much Markdown an answer holds: headers, list items and bold spans, the style that judges are known to reward.

The counts are ours, and simple on purpose: one regular expression each, linear in the text, nothing inside fenced code.
Arena-Hard's own counts, which its style control needs to the digit, are in its folder.
"""

import re

FEATURES = ("headers", "lists", "bold")

# Lazy, or bounded by line and span, so that no text makes them backtrack.
_FENCED = re.compile(r"^```.*?(?:^```|\Z)", re.MULTILINE | re.DOTALL)
_PATTERNS = {
    "headers": re.compile(r"^ {0,3}#{1,6}[ \t]", re.MULTILINE),
    "lists": re.compile(r"^[ \t]{0,12}(?:[-*+]|\d{1,3}[.)])[ \t]", re.MULTILINE),
    "bold": re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__"),
}


def style_counts(text: str) -> dict[str, float]:
    """Characters, headers, list items and bold spans of a text.

    >>> style_counts("# Plan\\n1. **first**\\n- then")
    {'length': 26.0, 'headers': 1.0, 'lists': 2.0, 'bold': 1.0}
    """
    prose = _FENCED.sub("", text)
    return {"length": float(len(text)), **{name: float(len(_PATTERNS[name].findall(prose))) for name in FEATURES}}
