"""langdetect itself, seeded and with its profiles in the order of their names, and texts to compare it on."""

import random
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from langdetect import LangDetectException
from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory

ODD = (
    "ABC",
    "aBCd",
    "https://example.org/?q=a",
    "a.b@example.org",
    "12",
    "  ",
    "\n",
    "\ud800",
    "🙂",
    "ệ",
    "ﬁ",
    "İ",
    "\u3000",
)


def found_by_langdetect(text: str) -> tuple[str | None, list[float] | None]:
    """Its label and its probabilities, none if the text has nothing that it knows."""
    detector = _factory().create()
    detector.append(text)
    try:
        return str(detector.detect()), detector.langprob
    except LangDetectException:
        return None, None


@cache
def _pieces() -> list[list[str]]:
    """The n-grams of each language."""
    factory = _factory()
    pieces: list[list[str]] = [[] for _ in factory.langlist]
    for gram, shares in factory.word_lang_prob_map.items():
        for place, share in enumerate(shares):
            if share:
                pieces[place].append(gram)
    return pieces


def ngrams_of_langdetect(text: str) -> list[str]:
    """The n-grams that it draws from, in order."""
    detector = _factory().create()
    detector.append(text)
    detector.cleaning_text()
    return list(detector._extract_ngrams())


@cache
def _factory() -> Any:
    factory = DetectorFactory()
    factory.set_seed(0)
    files = sorted(path for path in Path(PROFILES_DIRECTORY).iterdir() if path.is_file())
    factory.load_json_profile([path.read_text(encoding="utf-8") for path in files])
    return factory


def mixed_texts(count: int, seed: int, longest: int = 30) -> Iterator[str]:
    """Texts of pieces of the profiles' languages, one, two or any of them, with oddities and any characters between."""
    drawn, pieces = random.Random(seed), _pieces()
    for _ in range(count):
        spoken = drawn.sample(pieces, drawn.choice((1, 1, 2, len(pieces))))
        text = ""
        for _ in range(drawn.randint(1, longest)):
            kind = drawn.random()
            if kind < 0.9:
                text += drawn.choice(drawn.choice(spoken))
            elif kind < 0.97:
                text += drawn.choice(ODD)
            else:
                text += chr(drawn.randrange(sys.maxunicode + 1))
        yield text.upper() if drawn.random() < 0.1 else text
