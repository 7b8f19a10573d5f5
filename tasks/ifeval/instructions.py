r"""The 25 instructions of IFEval, by the rules of lm-eval 0.4.13 (``tasks/ifeval/instructions.py``, Apache-2.0).

Where the official pattern takes more than linear time on a hostile answer, an equal one stands here; which, and that
they are equal, is tested against the official patterns. Two rules are google-research's instead: a letter that is no
letter is counted like one (lm-eval draws a random one), and a missing argument is an error (upstream draws one, too).
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

from . import kinds
from .registry import Checkers
from .texts import Text

CHECKERS = Checkers(name="ifeval", version="1")

_CODES = "en es pt ar hi fr ru de ja it bn uk th ur ta te bg ko pl he fa vi ne sw kn mr gu pa ml fi"
LANGUAGES = tuple(_CODES.split())
"""The language codes that upstream knows."""

_RELATIONS = kinds.relation({"at least": int.__ge__, "less than": int.__lt__})
_LITERAL = re.compile(r"[A-Za-z0-9 ]+")

_HIGHLIGHT = re.compile(r"\*[^\n*]*\*")
_DOUBLE_HIGHLIGHT = re.compile(r"\*\*[^\n*]*\*\*")
_DIVIDER = re.compile(r"\s?\*\*\*\s?")


@lru_cache(maxsize=4096)
def pattern(expression: str, flags: int = 0) -> re.Pattern[str]:
    """A compiled expression; those of the data come again with every answer."""
    return re.compile(expression, flags)


def occurrences(keyword: str, text: Text) -> int:
    """Matches of a keyword, which is an expression, whatever their case."""
    if _LITERAL.fullmatch(keyword) and text.text.isascii():
        return text.lower.count(keyword.lower())
    return sum(1 for _ in pattern(keyword, re.IGNORECASE).finditer(text.text))


def occurs(keyword: str, text: Text) -> bool:
    """Whether a keyword, which is an expression, matches anywhere, whatever its case."""
    if _LITERAL.fullmatch(keyword) and text.text.isascii():
        return keyword.lower() in text.lower
    return pattern(keyword, re.IGNORECASE).search(text.text) is not None


@CHECKERS.add("keywords:existence", keywords=kinds.expressions)
def has_keywords(text: Text, keywords: tuple[str, ...]) -> bool:
    """Every keyword matches somewhere, even within a word."""
    return all(occurs(keyword, text) for keyword in keywords)


@CHECKERS.add_count("keywords:frequency", _RELATIONS, wanted="frequency", keyword=kinds.expression)
def keyword_frequency(text: Text, keyword: str) -> int:
    """How often a keyword matches."""
    return occurrences(keyword.strip(), text)


@CHECKERS.add("keywords:forbidden_words", forbidden_words=kinds.expressions)
def lacks_words(text: Text, forbidden_words: tuple[str, ...]) -> bool:
    """None of the words occurs as a whole word."""
    return not any(
        occurs(word, text) and pattern(rf"\b{word}\b", re.IGNORECASE).search(text.text) for word in forbidden_words
    )


@CHECKERS.add_count(
    "keywords:letter_frequency",
    _RELATIONS,
    wanted="let_frequency",
    relation="let_relation",
    letter=kinds.character,
)
def letter_frequency(text: Text, letter: str) -> int:
    """How often a character occurs, in either case."""
    return text.lower.count(letter.lower())


@CHECKERS.add("language:response_language", language=kinds.one_of(*LANGUAGES))
def in_language(text: Text, language: str) -> bool:
    """The text is in the wanted language, or its language cannot be detected."""
    return text.language in (language, None)


@CHECKERS.add_count(
    "length_constraints:number_sentences", _RELATIONS, wanted="num_sentences", least=1, needs_sentences=True
)
def number_of_sentences(text: Text) -> int:
    """How many sentences there are."""
    return text.sentences


@CHECKERS.add("length_constraints:number_paragraphs", num_paragraphs=kinds.whole_number)
def number_of_paragraphs(text: Text, num_paragraphs: int) -> bool:
    """Exactly so many pieces between dividers of three asterisks; only the outer ones may be blank."""
    pieces = _DIVIDER.split(text.text)
    blank = [number for number, piece in enumerate(pieces) if not piece.strip()]
    outer = {0, len(pieces) - 1}
    return outer.issuperset(blank) and len(pieces) - len(blank) == num_paragraphs


@CHECKERS.add_count("length_constraints:number_words", _RELATIONS, wanted="num_words")
def number_of_words(text: Text) -> int:
    """How many words there are."""
    return text.words


def _no_such_paragraph(num_paragraphs: int, nth_paragraph: int, **_: Any) -> str | None:
    return "there is no such paragraph" if nth_paragraph > num_paragraphs else None


def add_first_word(
    checkers: Checkers, language: str, first_word: kinds.Kind
) -> Callable[[Callable[[str, str], bool]], Callable[..., bool]]:
    """Register the decorated test of a paragraph and its wanted first word.

    The answer must have as many paragraphs as wanted. Two line feeds separate paragraphs; blank ones do not count, but
    have a number.
    """

    def register(begins: Callable[[str, str], bool]) -> Callable[..., bool]:
        def follows(text: Text, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
            paragraphs = [paragraph.strip() for paragraph in text.text.split("\n\n")]
            if sum(map(bool, paragraphs)) != num_paragraphs or nth_paragraph > num_paragraphs:
                return False
            paragraph = paragraphs[nth_paragraph - 1]
            return bool(paragraph) and begins(paragraph, first_word)

        return checkers.add(
            f"{language}length_constraints:nth_paragraph_first_word",
            obstacle=_no_such_paragraph,
            num_paragraphs=kinds.position,
            nth_paragraph=kinds.position,
            first_word=first_word,
        )(follows)

    return register


def _first_word(value: Any) -> str:
    if re.search("[.,?!'\"]", kinds.single_word(value).strip()):
        raise ValueError("a word without punctuation, which does not count as part of one")
    return str(value)


@add_first_word(CHECKERS, "", _first_word)
def begins_with_word(paragraph: str, first_word: str) -> bool:
    """A paragraph begins with a word, perhaps in quotes."""
    word = paragraph.split(None, 1)[0].lstrip("'").lstrip('"')
    return re.split("[.,?!'\"]", word, maxsplit=1)[0].lower() == first_word.lower()


def bracketed(text: str) -> int:
    """How often an opening square bracket is followed by a closing one on its line, from left to right."""
    # An open bracket takes the rest of its line, so that every character is read once.
    return sum(1 for match in re.finditer(r"\[[^\]\n]*+\]?", text) if match[0].endswith("]"))


@CHECKERS.add("detectable_content:number_placeholders", num_placeholders=kinds.whole_number)
def placeholders(text: Text, num_placeholders: int) -> bool:
    """At least the given number of pairs of square brackets."""
    return bracketed(text.text) >= num_placeholders


POSTSCRIPTS = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
"""Upstream's expressions for some markers, in small letters."""


def has_postscript(text: Text, postscript_marker: str, known: Mapping[str, str]) -> bool:
    """The marker stands somewhere. (The white space before it and the rest of its line, which upstream's pattern adds,
    always match.)
    """
    marker = postscript_marker.strip()
    return pattern(known.get(marker, marker.lower())).search(text.lower) is not None


def add_lines(checkers: Checkers, instruction_id: str, number: str, *starts: str) -> None:
    """Add a rule: exactly so many lines, as the argument ``number`` says, begin with one of these expressions."""
    # Upstream's ``^\s*`` may cross lines, and on a run of blank ones starts anew at each; what precedes the mark on its
    # own line finds the same marks.
    patterns = [re.compile(rf"^[^\S\n]*+{start}.*$", re.MULTILINE) for start in starts]

    def follows(text: Text, **settled: int) -> bool:
        return sum(1 for lines in patterns for _ in lines.finditer(text.text)) == settled[number]

    checkers.add(instruction_id, needs_sentences=False, tables=(), obstacle=None, **{number: kinds.whole_number})(
        follows
    )


def has_any(text: Text, parts: tuple[str, ...]) -> bool:
    """The answer contains one of the given texts."""
    return any(part in text.text for part in parts)


CHECKERS.add("detectable_content:postscript", postscript_marker=kinds.expression)(
    partial(has_postscript, known=POSTSCRIPTS)
)
add_lines(CHECKERS, "detectable_format:number_bullet_lists", "num_bullets", r"\*[^*]", "-")
CHECKERS.add("detectable_format:constrained_response")(
    partial(has_any, parts=("My answer is yes.", "My answer is no.", "My answer is maybe."))
)


@CHECKERS.add("detectable_format:number_highlighted_sections", num_highlights=kinds.whole_number)
def highlights(text: Text, num_highlights: int) -> bool:
    """At least so many sections between asterisks; between two they count by a pattern of their own."""
    single = sum(1 for found in _HIGHLIGHT.findall(text.text) if found.strip("*").strip())
    double = sum(1 for found in _DOUBLE_HIGHLIGHT.findall(text.text) if found[2:-2].strip())
    return single + double >= num_highlights


@CHECKERS.add("detectable_format:multiple_sections", section_spliter=kinds.expression, num_sections=kinds.whole_number)
def sections(
    text: Text, section_spliter: str, num_sections: int, before: str = r"\s?", after: str = r"\s?\d+\s?"
) -> bool:
    """At least the given number of sections that begin with a word and a number."""
    heading = pattern(f"{before}{section_spliter.strip()}{after}")
    return sum(1 for _ in heading.finditer(text.text)) >= num_sections


@CHECKERS.add("detectable_format:json_format")
def is_json(text: Text) -> bool:
    """JSON as Python reads it, perhaps in a fence."""
    inner = text.stripped
    for fence in ("```json", "```Json", "```JSON", "```"):
        inner = inner.removeprefix(fence)
    try:
        json.loads(inner.removesuffix("```").strip())
    except (ValueError, RecursionError):  # too deep for Python, and for lm-eval, which ends there
        return False
    return True


def has_title(text: Text, opening: str, closing: str) -> bool:
    """A line has something between an opening mark and a closing one, taken as far apart as they are."""
    for line in text.text.split("\n"):
        start, end = line.find(opening), line.rfind(closing)
        if start >= 0 and end > start + len(opening):
            title = line[start : end + len(closing)]
            if title.lstrip(opening[0]).rstrip(closing[0]).strip():
                return True
    return False


CHECKERS.add("detectable_format:title")(partial(has_title, opening="<<", closing=">>"))


@CHECKERS.add("combination:two_responses")
def two_responses(text: Text) -> bool:
    """Two different texts with six asterisks between them; only the outer pieces may be blank."""
    pieces = [piece.strip() for piece in text.text.split("******")]
    texts = [piece for piece in pieces if piece]
    return all(pieces[1:-1]) and len(texts) == 2 and texts[0] != texts[1]


@CHECKERS.add("combination:repeat_prompt", prompt_to_repeat=kinds.text)
def repeats_prompt(text: Text, prompt_to_repeat: str) -> bool:
    """The answer begins with the prompt."""
    return text.stripped.lower().startswith(prompt_to_repeat.strip().lower())


def _end_phrase(value: Any) -> str:
    if kinds.text(value).strip().endswith('"'):
        raise ValueError("a phrase without a quote at its end, which does not count as part of it")
    return str(value)


@CHECKERS.add("startend:end_checker", end_phrase=_end_phrase)
def ends_with(text: Text, end_phrase: str) -> bool:
    """The answer ends with a phrase, perhaps in quotes."""
    return text.stripped.strip('"').lower().endswith(end_phrase.strip().lower())


def is_quoted(text: Text, quotes: tuple[str, ...]) -> bool:
    """All of it is between two quotes, which are given as pairs."""
    return len(text.stripped) > 1 and text.stripped[0] + text.stripped[-1] in quotes


CHECKERS.add("startend:quotation")(partial(is_quoted, quotes=('""',)))


@CHECKERS.add_count(
    "change_case:capital_word_frequency",
    _RELATIONS,
    wanted="capital_frequency",
    relation="capital_relation",
    needs_sentences=True,
)
def capital_words(text: Text) -> int:
    """How many words are in capitals."""
    return text.capital_words


@CHECKERS.add("change_case:english_capital")
def english_capital(text: Text) -> bool:
    """The answer is English in capitals."""
    return text.text.isupper() and in_language(text, "en")


def in_small_letters(text: Text, language: str) -> bool:
    """The answer has no capitals and is in the given language."""
    return text.text.islower() and in_language(text, language)


CHECKERS.add("change_case:english_lowercase")(partial(in_small_letters, language="en"))


def lacks(text: Text, expression: str) -> bool:
    """The expression matches nowhere in the answer."""
    return pattern(expression).search(text.text) is None


CHECKERS.add("punctuation:no_comma")(partial(lacks, expression=","))
