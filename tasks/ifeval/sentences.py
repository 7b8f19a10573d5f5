"""Sentences as NLTK 3.9.1's English Punkt model counts them, with the standard library.

The model is four small tables; the procedure is NLTK's ``PunktSentenceTokenizer`` (3.9.1, ``nltk/tokenize/punkt.py``,
Apache-2.0), of which only what leads to a decision is kept. Later versions split elsewhere; published IFEval numbers
are from this one. Time is linear in the length of the text, whatever it is.

Reference: Kiss and Strunk 2006, Unsupervised Multilingual Sentence Boundary Detection.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

ANY_UPPER, MIDDLE_UPPER = 14, 4
ANY_LOWER, BEGIN_LOWER = 112, 16
"""Bits of how a type was seen written: first letter upper or lower, at the beginning or in the middle of a sentence."""

_NOT_WORD = r"[)\";}\]*:@'({\[?!]"
_DASHES_OR_DOTS = r"(?:-{2,}|\.{2,}|(?:\.\s){2,}\.)"
_END = re.compile(rf"[.?!](?=(?P<after>{_NOT_WORD}|\s+(?P<next>\S+)))")
_TOKEN = re.compile(
    rf"{_DASHES_OR_DOTS}"
    r"|(?=[^(\"`{\[:;&#*@)}\]\-,])\S+?"
    rf"(?=\s|$|{_NOT_WORD}|{_DASHES_OR_DOTS}|,(?=$|\s|{_NOT_WORD}|{_DASHES_OR_DOTS}))"
    r"|\S"
)
_CLOSING = re.compile(r"[\"')\]}]+?(?:\s+|(?=--)|$)", re.MULTILINE)
_NUMBER = re.compile(r"-?[.,]?\d[\d,.-]*\.?")
_INITIAL = re.compile(r"[^\W\d]\.")
_WORD = re.compile(r"[A-Za-z]{2,}")
_WHITESPACE = " \t\n\r\x0b\x0c"
_REMEMBERED_CONTEXT = 80
"""Longest context whose decision is remembered, in characters."""


@dataclass(frozen=True)
class Punkt:
    """The English model: NLTK's four ``punkt_tab`` tables."""

    abbreviations: frozenset[str]
    collocations: frozenset[tuple[str, str]]
    starters: frozenset[str]
    contexts: Mapping[str, int]
    """How each type was seen written: bits as above."""


def read_punkt(abbreviations: bytes, collocations: bytes, starters: bytes, contexts: bytes) -> Punkt:
    """The model from the bytes of ``abbrev_types.txt``, ``collocations.tab``, ``sent_starters.txt`` and
    ``ortho_context.tab``.
    """
    pairs = [line.split("\t") for line in contexts.decode().split("\n") if line]
    return Punkt(
        abbreviations=frozenset(abbreviations.decode().split("\n")),
        collocations=frozenset((a, b) for a, b in (line.split("\t") for line in collocations.decode().split("\n"))),
        starters=frozenset(starters.decode().split("\n")),
        contexts={kind: int(bits) for kind, bits in pairs},
    )


class SentenceSplitter:
    """Splits texts by a model and remembers what it decided about short contexts; made for a few texts that share
    most of their sentences.
    """

    def __init__(self, punkt: Punkt) -> None:
        self._punkt = punkt
        self._first_words = {first for first, _ in punkt.collocations}
        self._decided: dict[str, bool] = {}

    def sentences(self, text: str) -> list[str]:
        """The sentences, without the whitespace between them."""
        return [text[start:stop] for start, stop in self._spans(text)]

    def count(self, text: str) -> int:
        """How many sentences there are."""
        return sum(1 for _ in self._spans(text))

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Moves closing quotes and brackets back to the sentence that they close."""
        moved = 0
        spans = self._breaks(text)
        start, stop = next(spans)
        for next_start, next_stop in spans:
            start += moved
            closing = _CLOSING.match(text, next_start, next_stop)
            if closing:
                yield start, next_start + len(closing.group().rstrip())
                moved = closing.end() - next_start
            else:
                moved = 0
                if start < stop:
                    yield start, stop
            start, stop = next_start, next_stop
        if start + moved < stop:
            yield start + moved, stop

    def _breaks(self, text: str) -> Iterator[tuple[int, int]]:
        start = 0
        for end, word_start in _candidates(text):
            if self._is_break(text, end, word_start):
                yield start, end.end()
                start = end.start("next") if end["next"] else end.end()
        yield start, len(text.rstrip())

    def _is_break(self, text: str, end: re.Match[str], word_start: int) -> bool:
        if end.group() != ".":  # always a token of its own, with another after it
            return True
        word = text[word_start : end.start()]
        if _WORD.fullmatch(word):
            lower = word.lower()
            if lower not in self._punkt.abbreviations and lower not in self._first_words:
                return True
        context = f"{word}.{end['after']}"
        if len(context) > _REMEMBERED_CONTEXT:
            return self._has_break(context)
        if context not in self._decided:
            self._decided[context] = self._has_break(context)
        return self._decided[context]

    def _has_break(self, context: str) -> bool:
        """Whether a token before the last one ends a sentence."""
        texts = [token for line in context.split("\n") if line.strip() for token in _TOKEN.findall(line)]
        tokens = [_Token(text, self._punkt) for text in texts]
        return any(self._ends_sentence(token, following) for token, following in pairwise(tokens))

    def _ends_sentence(self, token: "_Token", following: "_Token") -> bool:
        """Section 4 of the paper: decided by the pair."""
        punkt = self._punkt
        if not token.text.endswith("."):
            return token.breaks
        kind, next_kind = token.bare_kind, following.bare_kind if following.breaks else following.kind
        if (kind, next_kind) in punkt.collocations:
            return False
        initial = _INITIAL.fullmatch(token.text) is not None
        upper = following.text[0].isupper()
        starts = self._starts_sentence(following, next_kind)
        if not token.breaks and not initial and token.abbreviated:
            return starts is True or (upper and next_kind in punkt.starters)
        if initial or kind == "##number##":
            if starts is False:
                return False
            if starts is None and initial and upper and not punkt.contexts.get(next_kind, 0) & ANY_LOWER:
                return False
        return token.breaks

    def _starts_sentence(self, token: "_Token", kind: str) -> bool | None:
        """Whether the way a token is written says that it starts a sentence; ``None`` if it says nothing."""
        if token.text in (";", ":", ",", ".", "!", "?"):
            return False
        bits = self._punkt.contexts.get(kind, 0)
        first = token.text[0]
        if first.isupper() and bits & ANY_LOWER and not bits & MIDDLE_UPPER:
            return True
        if first.islower() and (bits & ANY_UPPER or not bits & BEGIN_LOWER):
            return False
        return None


class _Token:
    """A token and what it is by itself."""

    __slots__ = ("abbreviated", "bare_kind", "breaks", "kind", "text")

    def __init__(self, text: str, punkt: Punkt) -> None:
        self.text = text
        lower = text.lower()
        self.kind = "##number##" if _NUMBER.fullmatch(lower) else lower
        self.bare_kind = self.kind[:-1] if len(self.kind) > 1 and self.kind.endswith(".") else self.kind
        self.breaks = self.abbreviated = False
        """An ellipsis is treated like an abbreviation."""
        if text in (".", "?", "!"):
            self.breaks = True
        elif text.endswith(".."):
            self.abbreviated = not text.strip(".")
        elif text.endswith("."):
            bare = lower[:-1]
            self.abbreviated = bare in punkt.abbreviations or bare.rpartition("-")[2] in punkt.abbreviations
            self.breaks = not self.abbreviated


def _candidates(text: str) -> Iterator[tuple[re.Match[str], int]]:
    """Marks that may end a sentence, each with the start of the word before it; of a run of marks only the last."""
    start, stop = 0, 0
    pending: re.Match[str] | None = None
    for end in _END.finditer(text):
        last = max(text.rfind(character, stop, end.start()) for character in _WHITESPACE)
        # A space right at the front of the stretch is not seen, as in NLTK.
        word_start = last + 1 if last > stop else start
        if pending is not None and stop <= word_start:
            yield pending, start
        pending, start, stop = end, word_start, end.start()
    if pending is not None:
        yield pending, start
