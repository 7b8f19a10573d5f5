"""Syllables of English words as syllapy 0.7.2 counts them: by a table, and else by a rule of vowels.

The procedure is that of ``syllapy/__init__.py`` (MIT) for words without punctuation. The table is syllapy's own, which
is fetched.
"""

import re
from collections.abc import Mapping
from itertools import pairwise

_VOWELS = "aeiouy"
_DIGIT = re.compile(r"\d")


def read_syllables(table: bytes) -> dict[str, int]:
    """The number of each word of syllapy's ``data.csv``."""
    pairs = (line.rpartition(",") for line in table.decode().splitlines())
    return {word: int(count) for word, _, count in pairs}


def syllables(word: str, table: Mapping[str, int]) -> int:
    """How many syllables a word has, which is lower-case and has no ASCII punctuation; 0 with a digit.

    >>> [syllables(word, {"area": 3}) for word in ("area", "table", "cafe", "e", "4th")]
    [3, 2, 1, 1, 0]
    """
    if _DIGIT.search(word):
        return 0
    return table.get(word) or _by_rule(word)


def _by_rule(word: str) -> int:
    count = (word[0] in _VOWELS) + sum(after in _VOWELS and before not in _VOWELS for before, after in pairwise(word))
    count -= word.endswith("e")
    count += word.endswith("le") and len(word) > 2 and word[-3] not in _VOWELS
    return count or 1
