"""The part of speech of a text's first word, as NLTK 3.9's averaged perceptron tagger sees it.

The tagger goes from left to right, so the first tag depends on the first three tokens alone. Features and ties are
those of ``nltk/tag/perceptron.py`` (MIT). The weights are NLTK's, which are fetched: three JSON files, or the archive
of the pickle that they were made from.
"""

import io
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from judgebench.errors import UsageError

PICKLE = "averaged_perceptron_tagger/averaged_perceptron_tagger.pickle"
_PICKLE_BYTES = 2**26
TOKENS = 3
"""So many tokens decide the first tag."""
_START = ("-START-", "-START2-")
"""What NLTK takes for the last two tags before the first word, and for the words before it in the reverse order."""
_END = ("-END-", "-END2-")


@dataclass(frozen=True)
class Tagger:
    """The model: NLTK's ``averaged_perceptron_tagger``."""

    weights: Mapping[str, Mapping[str, float]]
    """Of each feature, by tag."""
    known: Mapping[str, str]
    """The tags of words that have only one."""
    tags: tuple[str, ...]

    def first_tag(self, tokens: Sequence[str]) -> str:
        """The tag of the first of a text's tokens."""
        if tokens[0] in self.known:
            return self.known[tokens[0]]
        scores = dict.fromkeys(self.tags, 0.0)
        for feature in _features(tokens[:TOKENS]):
            for tag, weight in self.weights.get(feature, {}).items():
                scores[tag] += weight
        return max(self.tags, key=lambda tag: (scores[tag], tag))


def _features(tokens: Sequence[str]) -> tuple[str, ...]:
    """The features of the first token, in NLTK's order: sums of floats depend on it."""
    word, (tag, tag_before) = tokens[0], _START
    word_before_that, word_before = _START
    own, following, second = [*map(_normal, tokens), *_END][:3]
    return (
        "bias",
        f"i suffix {word[-3:]}",
        f"i pref1 {word[:1]}",
        f"i-1 tag {tag}",
        f"i-2 tag {tag_before}",
        f"i tag+i-2 tag {tag} {tag_before}",
        f"i word {own}",
        f"i-1 tag+i word {tag} {own}",
        f"i-1 word {word_before}",
        f"i-1 suffix {word_before[-3:]}",
        f"i-2 word {word_before_that}",
        f"i+1 word {following}",
        f"i+1 suffix {following[-3:]}",
        f"i+2 word {second}",
    )


def _normal(word: str) -> str:
    """A word as the features of its neighbours see it."""
    if "-" in word and word[0] != "-":
        return "!HYPHEN"
    if word.isdigit() and len(word) == 4:
        return "!YEAR"
    return "!DIGITS" if word[0].isdigit() else word.lower()


def read_json_tagger(weights: bytes, known: bytes, tags: bytes) -> Tagger:
    """The model from the bytes of NLTK's three files, ``….weights.json``, ``….tagdict.json`` and ``….classes.json``."""
    return Tagger(
        weights=msgspec.json.decode(weights, type=dict[str, dict[str, float]]),
        known=msgspec.json.decode(known, type=dict[str, str]),
        tags=tuple(msgspec.json.decode(tags, type=list[str])),
    )


def read_zipped_tagger(archive: bytes) -> Tagger:
    """The model from the bytes of ``averaged_perceptron_tagger.zip``, a pickle, as NLTK kept it before 3.9.

    Raises :class:`UsageError` for a pickle that asks for anything but containers, strings and numbers.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as whole, whole.open(PICKLE) as member:
            weights, known, tags = _SetsOnly(io.BytesIO(member.read(_PICKLE_BYTES))).load()
        return Tagger(
            weights=msgspec.convert(weights, dict[str, dict[str, float]]),
            known=msgspec.convert(known, dict[str, str]),
            tags=tuple(msgspec.convert(tags, set[str])),
        )
    except Exception as error:
        raise UsageError(
            f"the archive of NLTK's tagger does not hold weights, words and tags alone: {error}"
        ) from error


class _SetsOnly(pickle.Unpickler):
    """A pickle may name any function of any module to be called; this one may name ``set``."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in (("builtins", "set"), ("__builtin__", "set")):
            return set
        raise pickle.UnpicklingError(f"it names {module}.{name}")
