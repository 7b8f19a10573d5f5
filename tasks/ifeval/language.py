"""Language of a text, as langdetect finds it with a fixed seed, in a tenth of its time.

langdetect draws n-grams at random, and the last bits of its sums depend on the order in which it read its profiles.
Here it is given a seed for every text and its profiles in the order of their names, where its own ``detect`` takes no
seed and the order of the file system: a label depends on nothing but the text.

Its n-grams begin anew with each word, so those of a word are found once. Its probabilities are multiplied one language
after the other, here all at once and in the same order, so that no bit differs (``benchmarks/languages.py``).
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from judgebench.stats.arrays import FloatArray

SEED = 0
MOST_WORDS, LONGEST_WORD = 50_000, 40
"""Of how many words n-grams are kept, and of how many characters these are at most."""
_LATIN = re.compile("[A-z]")
_NOT_LATIN = re.compile("[\u0300-\U0010ffff]")


def language_of(text: str) -> str | None:
    """The label (ISO 639-1, but ``zh-cn`` and ``zh-tw``) of the likeliest language; ``unknown`` if none exceeds 0.1.

    ``None`` for a text that has nothing any profile knows, such as digits alone: its language cannot be told.
    """
    likely, detector = probabilities_of(text), _detector()
    if likely is None:
        return None
    best = max(likely)
    return (
        detector.languages[likely.index(best)] if best > detector.rules.PROB_THRESHOLD else detector.rules.UNKNOWN_LANG
    )


def probabilities_of(text: str) -> list[float] | None:
    """That of each language, as langdetect has them; ``None`` if there is nothing to tell them by."""
    detector = _detector()
    grams = detector.grams(text)
    return detector.probabilities(grams) if grams else None


class _Letters(dict[int, str]):
    """Characters as langdetect's n-grams have them, by their numbers, for ``str.translate``."""

    def __missing__(self, number: int) -> str:
        from langdetect.utils.ngram import NGram

        self[number] = found = str(NGram.normalize(chr(number)))
        return found


@dataclass(eq=False)
class _Detector:
    """What langdetect reads from its profiles, as arrays."""

    rules: Any
    """langdetect's own ``Detector``, for its constants and what it leaves out of a text."""
    languages: list[str]
    rows: dict[str, int]
    """Row of each n-gram."""
    shares: FloatArray
    """How often each language has an n-gram, shape (n-grams, languages)."""
    letters: _Letters
    words: dict[str, list[int]]
    """The n-grams of words seen before."""

    def grams(self, text: str) -> list[int]:
        """Rows of the n-grams of a text that a profile knows, in order."""
        from langdetect.utils.ngram import NGram

        text = NGram.normalize_vi(self.rules.MAIL_RE.sub(" ", self.rules.URL_RE.sub(" ", text)))
        text = re.sub(" +", " ", text[:MOST_CHARACTERS])
        if not text.isascii() and 2 * len(_LATIN.findall(text)) < len(_NOT_LATIN.findall(text)):
            text = _LATIN.sub("", text)
        found: list[int] = []
        *whole, last = text.translate(self.letters).split(" ")
        for word in whole:
            if word:
                found += self._of_word(word + " ")
        return found + self._of_word(last) if last else found

    def _of_word(self, word: str) -> list[int]:
        known = self.words.get(word)
        if known is None:
            known = self._extracted(word)
            if len(word) <= LONGEST_WORD:
                if len(self.words) >= MOST_WORDS:
                    self.words.clear()
                self.words[word] = known
        return known

    def _extracted(self, word: str) -> list[int]:
        """Up to three n-grams for each character, which they end with; none that ends with two capitals is used."""
        padded, found = " " + word, []
        for end in range(1, len(padded)):
            if padded[end].isupper() and padded[end - 1].isupper():
                continue
            for begin in range(end, max(end - 3, -1), -1):
                if (row := self.rows.get(padded[begin : end + 1])) is not None:
                    found.append(row)
        return found

    def probabilities(self, grams: list[int]) -> list[float]:
        """The mean probability of each language over langdetect's trials."""
        rules, drawn = self.rules, Random(SEED)
        many, bits, draw = len(grams), len(grams).bit_length(), drawn.getrandbits
        rows = np.array(grams)
        mean = np.zeros(len(self.languages))
        block = np.empty((1 + EACH, len(self.languages)))
        for _ in range(TRIALS):
            weight = (rules.ALPHA_DEFAULT + drawn.gauss(0.0, 1.0) * rules.ALPHA_WIDTH) / rules.BASE_FREQ
            block[0] = 1.0 / len(self.languages)
            step, most = 0, 0.0
            # It looks whether it is sure after the first n-gram, and after every fifth from then on.
            while most <= rules.CONV_THRESHOLD and step < rules.ITERATION_LIMIT:
                chosen: list[int] = []
                while len(chosen) < (EACH if step else 1):
                    # As ``Random.choice`` draws, in half of the time.
                    while (place := draw(bits)) >= many:
                        pass
                    chosen.append(place)
                used = block[: 1 + len(chosen)]
                np.add(self.shares.take(rows[chosen], axis=0), weight, out=used[1:])
                product = np.multiply.reduce(used, axis=0)
                listed = product.tolist()
                total = sum(listed)
                np.divide(product, total, out=block[0])
                step, most = step + len(chosen), max(listed) / total
            mean += block[0] / TRIALS
        return mean.tolist()


TRIALS, EACH, MOST_CHARACTERS = 7, 5, 10_000
"""langdetect's own: trials, n-grams between two looks, and characters that it reads of a text."""


@cache
def _detector() -> _Detector:
    """The profiles, read once in a process."""
    from langdetect.detector import Detector
    from langdetect.detector_factory import PROFILES_DIRECTORY

    files = sorted(path for path in Path(PROFILES_DIRECTORY).iterdir() if path.is_file())
    profiles = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    rows: dict[str, int] = {}
    for profile in profiles:
        for gram in profile["freq"]:
            rows.setdefault(gram, len(rows))
    shares = np.zeros((len(rows), len(profiles)))
    for place, profile in enumerate(profiles):
        known = [(rows[gram], count, len(gram)) for gram, count in profile["freq"].items() if 1 <= len(gram) <= 3]
        chosen, counts, lengths = np.array(known).T
        shares[chosen, place] = counts / np.array(profile["n_words"], dtype=float)[lengths - 1]
    rows.pop(" ", None)  # a space alone is no n-gram
    return _Detector(Detector, [profile["name"] for profile in profiles], rows, shares, _Letters(), {})
