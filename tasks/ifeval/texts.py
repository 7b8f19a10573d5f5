"""One answer in eight variants, each with counts that the instructions share and that are made when wanted."""

import re
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from itertools import islice
from typing import Any

from .language import language_of
from .sentences import SentenceSplitter
from .tables import Tables
from .words import word_tokens

WORD = re.compile(r"\w+")


class Text:
    """A variant of an answer."""

    def __init__(self, text: str, shared: "Answer") -> None:
        self.text = text
        self._shared = shared

    @cached_property
    def lower(self) -> str:
        """In lower case."""
        return self.text.lower()

    @cached_property
    def stripped(self) -> str:
        """Without whitespace around it."""
        return self.text.strip()

    @cached_property
    def words(self) -> int:
        r"""Number of matches of ``\w+`` (of the standard library: other engines count combining marks, too)."""
        return sum(1 for _ in WORD.finditer(self.text))

    @cached_property
    def sentences(self) -> int:
        """Number of English sentences."""
        return self._shared.splitter.count(self.text)

    @cached_property
    def capital_words(self) -> int:
        """Number of word tokens in capitals."""
        return sum(self._shared.capital_words(sentence) for sentence in self.sentences_of(self.text))

    def sentences_of(self, part: str) -> list[str]:
        """The English sentences of a part of it."""
        return self._shared.splitter.sentences(part)

    def tokens_of(self, part: str) -> list[str]:
        """The word tokens of a part of it, sentence by sentence."""
        return list(self._tokens(part))

    def first_tokens(self, count: int) -> list[str]:
        """The first word tokens of it."""
        return list(islice(self._tokens(self.text), count))

    def _tokens(self, part: str) -> Iterator[str]:
        return (token for sentence in self.sentences_of(part) for token in self._shared.tokens(sentence))

    def table(self, name: str) -> Any:
        """One of the tables that its instruction looks at."""
        return self._shared.table(name)

    @cached_property
    def language(self) -> str | None:
        """Label of its language; ``None`` if langdetect cannot tell."""
        return language_of(self.text)

    @cached_property
    def language_in_lower_case(self) -> str | None:
        """Label of its language in lower case, because langdetect learns little from words in capitals."""
        return language_of(self.lower)


class Answer:
    """An answer with its variants."""

    def __init__(self, text: str, tables: Tables | None) -> None:
        self._text = text
        self._tables = tables or Tables()
        # The variants share most of their sentences.
        self.tokens = cache(word_tokens)
        self.capital_words = cache(lambda sentence: sum(map(str.isupper, self.tokens(sentence))))

    @cached_property
    def splitter(self) -> SentenceSplitter:
        """One splitter for all variants, which share most of their sentences."""
        return SentenceSplitter(self.table("punkt"))

    def table(self, name: str) -> Any:
        """One of the tables, by its name."""
        found = getattr(self._tables, name)
        if found is None:
            raise ValueError(f"an instruction looks at the table {name}, which was not loaded for it")
        return found

    @cached_property
    def strict(self) -> Text | None:
        """The answer as it is; ``None`` for a blank one, which follows nothing."""
        return Text(self._text, self) if self._text.strip() else None

    @cached_property
    def relaxed(self) -> tuple[Text, ...]:
        """The other seven variants of the loose rule in order, without blank ones and repetitions.

        Without asterisks; without the first line, the last, both; those three without asterisks. (lm-eval 0.4.13
        ``tasks/ifeval/utils.py``: lines end at line feeds only, and what is left of them is stripped.)
        """
        lines = self._text.split("\n")
        parts = ["\n".join(kept).strip() for kept in (lines[1:], lines[:-1], lines[1:-1])]
        variants = [self._text.replace("*", ""), *parts, *(part.replace("*", "") for part in parts)]
        distinct = dict.fromkeys(variant for variant in variants if variant.strip())
        distinct.pop(self._text, None)
        return tuple(Text(variant, self) for variant in distinct)

    def follows(self, rule: Callable[[Text], bool]) -> tuple[bool, bool]:
        """Whether a rule holds strictly, and whether it holds for any variant."""
        if self.strict is None:
            return False, False
        if rule(self.strict):
            return True, True
        return False, any(map(rule, self.relaxed))
