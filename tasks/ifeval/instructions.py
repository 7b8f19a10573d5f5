r"""The 25 instructions of IFEval, by the rules of lm-eval 0.4.13 (``tasks/ifeval/instructions.py``, Apache-2.0).

Where the official pattern takes more than linear time on a hostile answer, an equal one stands here; which, and that
they are equal, is tested against the official patterns. Two rules are google-research's instead: a letter that is no
letter is counted like one (lm-eval draws a random one), and a missing argument is an error (upstream draws one, too).
"""

import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from .registry import (
    Checkers,
    character,
    expression,
    expressions,
    one_of,
    out_of_reach,
    position,
    relation,
    single_word,
    text,
    whole_number,
)
from .texts import Text

CHECKERS = Checkers(name="ifeval", version="1")
Compare = Callable[[int, int], bool]

LANGUAGES = tuple(
    re.findall(
        r"\w+",
        """
    en es pt ar hi fr ru de ja it bn uk th ur ta te bg ko pl he fa vi ne sw kn mr gu pa ml fi
""",
    )
)
"""The codes that upstream knows."""

_compare = relation({"at least": int.__ge__, "less than": int.__lt__})
_ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
_LITERAL = re.compile(r"[A-Za-z0-9 ]+")

# ``^\s*`` may cross lines, and on a run of blank ones starts anew at each; what precedes the mark on its own line
# finds the same marks.
_STAR_BULLET = re.compile(r"^[^\S\n]*+\*[^*].*$", re.MULTILINE)
_DASH_BULLET = re.compile(r"^[^\S\n]*+-.*$", re.MULTILINE)
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


@CHECKERS.add("keywords:existence", keywords=expressions)
def has_keywords(text: Text, keywords: tuple[str, ...]) -> bool:
    """Every keyword matches somewhere, be it within a word."""
    return all(occurs(keyword, text) for keyword in keywords)


@CHECKERS.add(
    "keywords:frequency",
    obstacle=out_of_reach("frequency"),
    keyword=expression,
    frequency=whole_number,
    relation=_compare,
)
def keyword_frequency(text: Text, keyword: str, frequency: int, relation: Compare) -> bool:
    """How often a keyword matches."""
    return relation(occurrences(keyword.strip(), text), frequency)


@CHECKERS.add("keywords:forbidden_words", forbidden_words=expressions)
def lacks_words(text: Text, forbidden_words: tuple[str, ...]) -> bool:
    """None of the words is there by itself."""
    return not any(
        occurs(word, text) and pattern(rf"\b{word}\b", re.IGNORECASE).search(text.text) for word in forbidden_words
    )


@CHECKERS.add(
    "keywords:letter_frequency",
    obstacle=out_of_reach("let_frequency", "let_relation"),
    letter=character,
    let_frequency=whole_number,
    let_relation=_compare,
)
def letter_frequency(text: Text, letter: str, let_frequency: int, let_relation: Compare) -> bool:
    """How often a character is there, whatever its case."""
    return let_relation(text.lower.count(letter.lower()), let_frequency)


@CHECKERS.add("language:response_language", language=one_of(*LANGUAGES))
def in_language(text: Text, language: str) -> bool:
    """The language is the wanted one, or cannot be told."""
    return text.language in (language, None)


@CHECKERS.add(
    "length_constraints:number_sentences",
    needs_sentences=True,
    obstacle=out_of_reach("num_sentences", least=1),
    num_sentences=whole_number,
    relation=_compare,
)
def number_of_sentences(text: Text, num_sentences: int, relation: Compare) -> bool:
    """How many sentences there are."""
    return relation(text.sentences, num_sentences)


@CHECKERS.add("length_constraints:number_paragraphs", num_paragraphs=whole_number)
def number_of_paragraphs(text: Text, num_paragraphs: int) -> bool:
    """Exactly so many pieces between dividers of three asterisks; only the outer ones may be blank."""
    pieces = _DIVIDER.split(text.text)
    blank = [number for number, piece in enumerate(pieces) if not piece.strip()]
    outer = {0, len(pieces) - 1}
    return outer.issuperset(blank) and len(pieces) - len(blank) == num_paragraphs


@CHECKERS.add(
    "length_constraints:number_words",
    obstacle=out_of_reach("num_words"),
    num_words=whole_number,
    relation=_compare,
)
def number_of_words(text: Text, num_words: int, relation: Compare) -> bool:
    """How many words there are."""
    return relation(text.words, num_words)


def nth_paragraph(text: Text, num_paragraphs: int, nth_paragraph: int) -> str | None:
    """The paragraph with that number from 1, if all are as many as wanted.

    Paragraphs lie between two line feeds. Blank ones are not counted, but have a number.
    """
    paragraphs = text.text.split("\n\n")
    if sum(1 for paragraph in paragraphs if paragraph.strip()) != num_paragraphs or nth_paragraph > num_paragraphs:
        return None
    return paragraphs[nth_paragraph - 1].strip() or None


def beyond_the_last(num_paragraphs: int, nth_paragraph: int, **_: Any) -> str | None:
    """The obstacle of a paragraph that is not among those wanted."""
    return "there is no such paragraph" if nth_paragraph > num_paragraphs else None


def _first_word(value: Any) -> str:
    if re.search("[.,?!'\"]", single_word(value).strip()):
        raise ValueError("a word without punctuation, which does not count as part of one")
    return str(value)


@CHECKERS.add(
    "length_constraints:nth_paragraph_first_word",
    obstacle=beyond_the_last,
    num_paragraphs=position,
    nth_paragraph=position,
    first_word=_first_word,
)
def first_word_of_paragraph(text: Text, num_paragraphs: int, first_word: str, **which: int) -> bool:
    """Exactly so many paragraphs, and one begins with a word."""
    paragraph = nth_paragraph(text, num_paragraphs, **which)
    if paragraph is None:
        return False
    word = paragraph.split(None, 1)[0].lstrip("'").lstrip('"')
    return re.split("[.,?!'\"]", word, maxsplit=1)[0].lower() == first_word.lower()


def bracketed(text: str, opening: str, closing: str) -> int:
    """How often an opening bracket is followed by a closing one on its line, from left to right."""
    count = 0
    for line in text.split("\n"):
        start = line.find(opening)
        while start >= 0 and (end := line.find(closing, start + 1)) >= 0:
            count += 1
            start = line.find(opening, end + 1)
    return count


@CHECKERS.add("detectable_content:number_placeholders", num_placeholders=whole_number)
def placeholders(text: Text, num_placeholders: int) -> bool:
    """At least so many square brackets."""
    return bracketed(text.text, "[", "]") >= num_placeholders


@CHECKERS.add("detectable_content:postscript", postscript_marker=expression)
def postscript(text: Text, postscript_marker: str) -> bool:
    """The marker stands somewhere. (The official pattern's white space before it and rest of the line after it match
    always.)
    """
    marker = postscript_marker.strip()
    known = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
    return pattern(known.get(marker, marker.lower())).search(text.lower) is not None


@CHECKERS.add("detectable_format:number_bullet_lists", num_bullets=whole_number)
def bullets(text: Text, num_bullets: int) -> bool:
    """Exactly so many lines that begin with an asterisk or a dash."""
    found = sum(1 for _ in _STAR_BULLET.finditer(text.text)) + sum(1 for _ in _DASH_BULLET.finditer(text.text))
    return found == num_bullets


@CHECKERS.add("detectable_format:constrained_response")
def constrained_response(text: Text) -> bool:
    """One of three sentences is there."""
    return any(answer in text.text for answer in _ANSWERS)


@CHECKERS.add("detectable_format:number_highlighted_sections", num_highlights=whole_number)
def highlights(text: Text, num_highlights: int) -> bool:
    """At least so many sections between asterisks; between two they count by a pattern of their own."""
    single = sum(1 for found in _HIGHLIGHT.findall(text.text) if found.strip("*").strip())
    double = sum(1 for found in _DOUBLE_HIGHLIGHT.findall(text.text) if found[2:-2].strip())
    return single + double >= num_highlights


@CHECKERS.add("detectable_format:multiple_sections", section_spliter=expression, num_sections=whole_number)
def sections(text: Text, section_spliter: str, num_sections: int) -> bool:
    """At least so many sections that begin with a word and a number."""
    heading = pattern(rf"\s?{section_spliter.strip()}\s?\d+\s?")
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


def has_title(text: str, opening: str, closing: str) -> bool:
    """A line has something between an opening mark and a closing one, taken as far apart as they are."""
    for line in text.split("\n"):
        start, end = line.find(opening), line.rfind(closing)
        if start >= 0 and end > start + len(opening):
            title = line[start : end + len(closing)]
            if title.lstrip(opening[0]).rstrip(closing[0]).strip():
                return True
    return False


@CHECKERS.add("detectable_format:title")
def title(text: Text) -> bool:
    """A title in double angle brackets."""
    return has_title(text.text, "<<", ">>")


@CHECKERS.add("combination:two_responses")
def two_responses(text: Text) -> bool:
    """Two different texts with six asterisks between them; only the outer pieces may be blank."""
    pieces = [piece.strip() for piece in text.text.split("******")]
    texts = [piece for piece in pieces if piece]
    return all(pieces[1:-1]) and len(texts) == 2 and texts[0] != texts[1]


@CHECKERS.add("combination:repeat_prompt", prompt_to_repeat=text)
def repeats_prompt(text: Text, prompt_to_repeat: str) -> bool:
    """It begins with the prompt."""
    return text.stripped.lower().startswith(prompt_to_repeat.strip().lower())


def _end_phrase(value: Any) -> str:
    if text(value).strip().endswith('"'):
        raise ValueError("a phrase without a quote at its end, which does not count as part of it")
    return str(value)


@CHECKERS.add("startend:end_checker", end_phrase=_end_phrase)
def ends_with(text: Text, end_phrase: str) -> bool:
    """It ends with a phrase, perhaps in quotes."""
    return text.stripped.strip('"').lower().endswith(end_phrase.strip().lower())


@CHECKERS.add("startend:quotation")
def quotation(text: Text) -> bool:
    """All of it is in straight double quotes."""
    return len(text.stripped) > 1 and text.stripped[0] == text.stripped[-1] == '"'


@CHECKERS.add(
    "change_case:capital_word_frequency",
    needs_sentences=True,
    obstacle=out_of_reach("capital_frequency", "capital_relation"),
    capital_frequency=whole_number,
    capital_relation=_compare,
)
def capital_words(text: Text, capital_frequency: int, capital_relation: Compare) -> bool:
    """How many words are in capitals."""
    return capital_relation(text.capital_words, capital_frequency)


@CHECKERS.add("change_case:english_capital")
def english_capital(text: Text) -> bool:
    """English in capitals."""
    return text.text.isupper() and in_language(text, "en")


@CHECKERS.add("change_case:english_lowercase")
def english_lowercase(text: Text) -> bool:
    """English without capitals."""
    return text.text.islower() and in_language(text, "en")


@CHECKERS.add("punctuation:no_comma")
def no_comma(text: Text) -> bool:
    """No comma of ASCII."""
    return "," not in text.text
