"""Language of a text: what langdetect 1.0.9 says with its seed at 0, several times as fast.

langdetect multiplies the probabilities of randomly drawn n-grams until one language stands out, seven times, and takes
the mean. With the seed fixed the draws are fixed, too. Here the profiles, patterns and character tables are its own;
the loops are numpy's, the operations on each number are the same and in the same order, so that the label is the same.
Languages are in the order of their names, where langdetect takes them as the file system lists them.

Followed: langdetect 1.0.9 ``detector.py``, ``detector_factory.py``, ``utils/ngram.py`` (Apache-2.0).
"""

import math
import random
import re
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

SEED = 0
MEMORY_CHARACTERS = 200_000
"""Three-character windows whose n-grams are remembered, at most."""
WORDS_AHEAD = 20_000
"""Random words drawn in advance. Seven trials of at most 1,001 draws, of which at most every other is rejected, and
their Gaussians take 14,042 on average, with a standard deviation below 120."""

NOT_LATIN = re.compile("[\u0300-\u1dff\u1f00-\U0010ffff]")
"""Combining marks and above, without the block Latin Extended Additional."""
LATIN = re.compile("[A-z]")


class NoFeatures(Exception):
    """The text has nothing that any language's profile knows, such as digits alone."""


def detect(text: str) -> str:
    """The label (ISO 639-1, but ``zh-cn`` and ``zh-tw``) of the likeliest language; ``unknown`` if none exceeds 0.1.

    Raises :class:`NoFeatures` for a text without letters.
    """
    return _detector().detect(text)


@cache
def _detector() -> "_Detector":
    return _Detector()


class _Profile(msgspec.Struct):
    name: str
    freq: dict[str, int]
    n_words: list[int]


class _Characters(dict[int, str]):
    """Normalised characters by code point, filled as they come."""

    def __init__(self, ngram: Any) -> None:
        self._ngram = ngram

    def __missing__(self, code: int) -> str:
        self[code] = normalised = self._ngram.normalize(chr(code))
        return str(normalised)


class _Windows(dict[str, tuple[int, ...]]):
    """Rows of the known n-grams that end with a window's third character, by window, filled as they come."""

    def __init__(self, rows: dict[str, int]) -> None:
        self._rows = rows

    def __missing__(self, window: str) -> tuple[int, ...]:
        before, last = window[1], window[2]
        if last.isupper() and before.isupper():  # within a word of capitals
            grams: tuple[str, ...] = ()
        elif before == " ":
            grams = () if last == " " else (last, window[1:])
        else:
            grams = (window[1:], window) if last == " " else (last, window[1:], window)
        self[window] = found = tuple(self._rows[gram] for gram in grams if gram in self._rows)
        return found


class _Detector:
    def __init__(self) -> None:
        import langdetect
        import numpy as np
        from langdetect.detector import Detector
        from langdetect.utils.ngram import NGram

        self._numpy = np
        self._rules, self._ngram = Detector, NGram
        folder = Path(langdetect.__file__).parent / "profiles"
        profiles = [msgspec.json.decode(path.read_bytes(), type=_Profile) for path in sorted(folder.iterdir())]
        self._languages = [profile.name for profile in profiles]
        rows: dict[str, int] = {}
        numbers = [[rows.setdefault(gram, len(rows)) for gram in profile.freq] for profile in profiles]
        self._table = np.zeros((len(rows), len(profiles)))
        for language, (profile, own) in enumerate(zip(profiles, numbers, strict=True)):
            counts = np.fromiter(profile.freq.values(), float, len(own))
            lengths = np.fromiter(map(len, profile.freq), np.intp, len(own))
            self._table[own, language] = counts / np.array(profile.n_words, float)[lengths - 1]
        self._characters = _Characters(NGram)
        self._windows = _Windows(rows)
        drawn = random.Random(SEED).getrandbits(32 * WORDS_AHEAD)
        self._words = np.frombuffer(drawn.to_bytes(4 * WORDS_AHEAD, "little"), dtype="<u4")

    def detect(self, text: str) -> str:
        rows = self._rows(self._cleaned(text))
        if not len(rows):
            raise NoFeatures
        mean = self._probabilities(rows)
        best = int(mean.argmax())
        return self._languages[best] if mean[best] > self._rules.PROB_THRESHOLD else str(self._rules.UNKNOWN_LANG)

    def _cleaned(self, text: str) -> str:
        """The part that is looked at: no addresses, at most 10,000 characters, no Latin words among other letters."""
        if "http" in text:
            text = self._rules.URL_RE.sub(" ", text)
        if "@" in text:
            text = self._rules.MAIL_RE.sub(" ", text)
        limit = 10_000
        text = self._ngram.normalize_vi(text[: 2 * limit + 1])[:limit]  # a letter and its mark become one character
        if text.isascii():
            return text
        text = re.sub("  +", " ", text)  # langdetect does so first; it matters for the count of letters only
        foreign = len(NOT_LATIN.findall(text))
        return LATIN.sub("", text) if 2 * len(LATIN.findall(text)) < foreign else text

    def _rows(self, text: str) -> Any:
        """Rows of all n-grams of the text in order, as often as they occur."""
        if len(self._windows) > MEMORY_CHARACTERS:
            self._windows.clear()
        text = "  " + re.sub("  +", " ", text.translate(self._characters))
        windows = self._windows
        found = [windows[text[start : start + 3]] for start in range(len(text) - 2)]
        return self._numpy.array([row for rows in found for row in rows], dtype=self._numpy.intp)

    def _probabilities(self, rows: Any) -> Any:
        """The mean over seven trials, shape (languages,)."""
        np, rules = self._numpy, self._rules
        stream = _Stream(self._words, len(rows), np)
        n = len(self._languages)
        total = np.zeros(n)
        factors = np.empty((1 + rules.ITERATION_LIMIT + 1, n))
        trials, ahead = 7, 100
        for _ in range(trials):
            weight = (rules.ALPHA_DEFAULT + stream.gauss() * rules.ALPHA_WIDTH) / rules.BASE_FREQ
            drawn = ready = 0
            probability = np.full(n, 1.0 / n)
            start, step = 1, 1
            while True:
                if drawn + step > ready:
                    more = stream.peek(ready, min(ahead + 1, rules.ITERATION_LIMIT + 1 - ready))
                    factors[1 + ready : 1 + ready + len(more)] = self._table[rows[more]] + weight
                    ready += len(more)
                # The probabilities stand before the factors, so that the product is taken from left to right.
                factors[start - 1] = probability
                product = np.multiply.reduce(factors[start - 1 : start + step], axis=0)
                values = product.tolist()
                whole = sum(values)
                probability = product / whole
                drawn += step
                start += step
                step = 5
                if max(values) / whole > rules.CONV_THRESHOLD or drawn > rules.ITERATION_LIMIT:
                    break
            stream.skip(drawn)
            total += probability / trials
        return total


class _Stream:
    """The numbers of Python's generator in the order in which langdetect asks for them."""

    def __init__(self, words: Any, choices: int, numpy: Any) -> None:
        self._words = words
        accepted = words >> (32 - choices.bit_length())
        self._places = numpy.flatnonzero(accepted < choices)
        self._values = accepted[self._places]
        self._numpy = numpy
        self._place = 0
        self._next_gauss: float | None = None

    def gauss(self) -> float:
        """As ``random.gauss(0.0, 1.0)``: every other one is free."""
        value, self._next_gauss = self._next_gauss, None
        if value is None:
            angle = self._random() * 2.0 * math.pi
            radius = math.sqrt(-2.0 * math.log(1.0 - self._random()))
            value, self._next_gauss = math.cos(angle) * radius, math.sin(angle) * radius
        return value

    def _random(self) -> float:
        high, low = int(self._words[self._place]) >> 5, int(self._words[self._place + 1]) >> 6
        self._place += 2
        return (high * 67108864.0 + low) / 9007199254740992.0

    def peek(self, skip: int, count: int) -> Any:
        """As ``random.choice`` of the n-grams, ``count`` times after the first ``skip``; nothing is used up yet."""
        first = int(self._numpy.searchsorted(self._places, self._place)) + skip
        return self._values[first : first + count]

    def skip(self, count: int) -> None:
        """Use up that many choices."""
        last = int(self._numpy.searchsorted(self._places, self._place)) + count - 1
        self._place = int(self._places[last]) + 1
