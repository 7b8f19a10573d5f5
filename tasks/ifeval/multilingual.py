r"""M-IFEval's instructions in Spanish, French and Japanese, those that need no analyser of a language.

Rules: ``shisa-ai/M-IFEval@06f08ff3b2681a7e875124aa6946bcc93739aced:instructions/{es,fr,ja}_instructions.py``
(Apache-2.0). Words and sentences of Spanish are spaCy's there, words of Japanese janome's, its sentences those of
``ja_sentence_segmenter``, and sentences of French come from other Punkt tables; what counts these has no checker here.
"""

import re
import string
import unicodedata
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from . import instructions as english
from .registry import (
    Checkers,
    Kind,
    any_text,
    character,
    expression,
    one_of,
    out_of_reach,
    position,
    relation,
    text,
    whole_number,
)
from .texts import Text

CHECKERS = Checkers(name="m-ifeval", version="1")
Compare = Callable[[int, int], bool]

ALIKE = (
    "language:response_language",
    "length_constraints:number_paragraphs",
    "detectable_format:json_format",
    "combination:two_responses",
)
"""Ruled as in English in all three languages."""
ALIKE_IN_EUROPE = (
    "keywords:existence",
    "keywords:frequency",
    "keywords:forbidden_words",
    "keywords:letter_frequency",
    "length_constraints:nth_paragraph_first_word",
    "detectable_format:title",
    "combination:repeat_prompt",
    "startend:end_checker",
    "punctuation:no_comma",
)
ANSWERS = {
    "es": ("Sí.", "No.", "Quizás."),
    "fr": ("Oui.", "Non.", "Peut-être."),
    "ja": ("はい、そうです。", "いいえ、違います。", "どちらとも言えません。"),
}
"""One of which a constrained response contains."""


_es = relation({"al menos": int.__ge__, "como máximo": int.__le__})
_fr = relation({"au moins": int.__ge__, "moins de": int.__lt__})
_ja = relation({"以上": int.__ge__, "未満": int.__lt__})


def _share(language: str, names: tuple[str, ...], **arguments: Kind) -> None:
    """Take over English rules; those of their arguments that are given here are words of the language."""
    for name in names:
        checker = english.CHECKERS.by_id[name]
        kinds = {key: arguments.get(key, kind) for key, kind in checker.arguments.items()}
        CHECKERS.add(f"{language}:{name}", needs_sentences=checker.needs_sentences, obstacle=checker.obstacle, **kinds)(
            checker.follows
        )


def _answers(answer: Text, options: tuple[str, ...]) -> bool:
    return any(option in answer.text for option in options)


for _language, _options in ANSWERS.items():
    _share(_language, ALIKE)
    CHECKERS.add(f"{_language}:detectable_format:constrained_response")(partial(_answers, options=_options))
_COUNTED = (
    "detectable_content:number_placeholders",
    "detectable_format:number_highlighted_sections",
    "detectable_format:multiple_sections",
)
_share("es", (*ALIKE_IN_EUROPE, "startend:quotation"), relation=_es, let_relation=_es)
_share(
    "fr",
    (
        *ALIKE_IN_EUROPE,
        *_COUNTED,
        "length_constraints:number_words",
        "detectable_format:number_bullet_lists",
        "detectable_content:postscript",
        "change_case:capital_word_frequency",
    ),
    relation=_fr,
    let_relation=_fr,
    capital_relation=_fr,
)
_share("ja", ("detectable_content:number_placeholders",))


# -- Spanish

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def _at_least(answer: Text, relation: Compare, *, rule: Callable[..., bool], **arguments: Any) -> bool:
    """Whatever the relation says: in the data it is always this."""
    return rule(answer, **arguments)


for _name in _COUNTED:
    _checker = english.CHECKERS.by_id[_name]
    _add = CHECKERS.add(f"es:{_name}", needs_sentences=False, relation=_es, **_checker.arguments)
    _add(partial(_at_least, rule=_checker.follows))


@CHECKERS.add("es:change_case:spanish_capital")
def spanish_capital(answer: Text) -> bool:
    """Spanish without small letters."""
    letters = (character for character in unicodedata.normalize("NFKD", answer.text) if character.isalpha())
    return all(map(str.isupper, letters)) and answer.language_in_lower_case in ("es", None)


@CHECKERS.add("es:change_case:spanish_lowercase")
def spanish_lowercase(answer: Text) -> bool:
    """Spanish without capitals."""
    return answer.text.islower() and english.in_language(answer, "es")


def _first_words(value: Any) -> str:
    if text(value).translate(_NO_PUNCTUATION) != value:
        raise ValueError("words without punctuation, which does not count as part of them")
    return str(value)


@CHECKERS.add(
    "es:length_constraints:nth_paragraph_first_word",
    obstacle=english.beyond_the_last,
    num_paragraphs=position,
    nth_paragraph=position,
    first_word=_first_words,
)
def spanish_first_words(answer: Text, num_paragraphs: int, first_word: str, **which: int) -> bool:
    """Exactly so many paragraphs, and one begins with some words, punctuation aside."""
    paragraph = english.nth_paragraph(answer, num_paragraphs, **which)
    wanted = first_word.lower().split()
    found = (paragraph or "").split(None, len(wanted))[: len(wanted)]
    return [word.translate(_NO_PUNCTUATION).lower() for word in found] == wanted


@CHECKERS.add("es:startend:end_checker", end_phrase=text)
def spanish_ends_with(answer: Text, end_phrase: str) -> bool:
    """It ends with a phrase, perhaps in quotes and with a full stop."""
    return answer.stripped.strip('"').lower().removesuffix(".").endswith(end_phrase.strip().lower())


_STAR_BULLET = re.compile(r"^[^\S\n]*+\*[^*].*$", re.MULTILINE)


@CHECKERS.add("es:detectable_format:number_bullet_lists", num_bullets=whole_number)
def spanish_bullets(answer: Text, num_bullets: int) -> bool:
    """Exactly so many lines that begin with an asterisk."""
    return sum(1 for _ in _STAR_BULLET.finditer(answer.text)) == num_bullets


@CHECKERS.add("es:detectable_content:postscript", postscript_marker=expression)
def spanish_postscript(answer: Text, postscript_marker: str) -> bool:
    """The marker stands somewhere."""
    marker = postscript_marker.strip()
    expression = r"p\.\s?d\." if marker == "P.D." else marker.lower()
    return english.pattern(expression).search(answer.lower) is not None


def _between(text: str, opening: str, closing: str) -> bool:
    """Something other than these marks stands from an opening mark to the next closing one."""
    start = text.find(opening)
    while start >= 0 and (end := text.find(closing, start)) >= 0:
        if text[start:end].lstrip(opening).strip():
            return True
        start = text.find(opening, end)
    return False


@CHECKERS.add("es:punctuation:question_marks")
def spanish_question(answer: Text) -> bool:
    """A question between its two marks."""
    return _between(answer.text, "¿", "?")


@CHECKERS.add("es:punctuation:exclamation_marks")
def spanish_exclamation(answer: Text) -> bool:
    """An exclamation between its two marks."""
    return _between(answer.text, "¡", "!")


# -- French

_ACCENTED = re.compile("[àáâãäåçèéêëìíîïñòóôõöùúûüýÿÀÁÂÃÄÅÇÈÉÊËÌÍÎÏÑÒÓÔÕÖÙÚÛÜÝ]")
_FAMILIAR = re.compile(r"\b(?:tu|te|t'\b|toi|ton|ta|tes)\b", re.IGNORECASE)
_WORD = re.compile(r"\w+")


@CHECKERS.add("fr:change_case:french_capital")
def french_capital(answer: Text) -> bool:
    """French in capitals."""
    return answer.text.isupper() and answer.language_in_lower_case in ("fr", None)


@CHECKERS.add("fr:change_case:french_lowercase")
def french_lowercase(answer: Text) -> bool:
    """French without capitals."""
    return answer.text.islower() and english.in_language(answer, "fr")


@CHECKERS.add("fr:language:response_language", language=one_of(*english.LANGUAGES, "zh"))
def french_response_language(answer: Text, language: str) -> bool:
    """The language is the wanted one, or cannot be told; Chinese never is, since its labels are longer."""
    return english.in_language(answer, language)


@CHECKERS.add("fr:detectable_format:title")
def french_title(answer: Text) -> bool:
    """A title between double number signs."""
    return any(found.strip("#").strip() for found in re.findall("##[^\\n]+##", answer.text))


@CHECKERS.add("fr:startend:quotation")
def french_quotation(answer: Text) -> bool:
    """All of it in straight quotes, double or single, or in guillemets."""
    ends = answer.stripped[:1] + answer.stripped[-1:]
    return len(answer.stripped) > 1 and ends in ('""', "''", "«»")


@CHECKERS.add("fr:special_character:ethel_or_cedilla", forbidden_char=any_text)
def lacks_character(answer: Text, forbidden_char: str) -> bool:
    """A character is not there, whatever its case."""
    return not english.pattern(re.escape(forbidden_char), re.IGNORECASE).search(answer.text)


@CHECKERS.add("fr:special_character:no_accents")
def no_accents(answer: Text) -> bool:
    """No letter has an accent."""
    return not _ACCENTED.search(answer.text)


def _spellings(value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict) or not all(isinstance(word, str) for pair in value.items() for word in pair):
        raise ValueError("an object of words")
    return value


@CHECKERS.add("fr:special_character:accents", word_to_accentuate=_spellings)
def accents(answer: Text, word_to_accentuate: Mapping[str, str]) -> bool:
    """Each of the words has its accents wherever it is."""
    for word in _WORD.findall(answer.lower):
        bare = "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
        if word_to_accentuate.get(bare, word) != word:
            return False
    return True


@CHECKERS.add("fr:detectable_content:informal_address")
def informal_address(answer: Text) -> bool:
    """A familiar pronoun is there."""
    return _FAMILIAR.search(answer.text) is not None


def no_digits(answer: Text) -> bool:
    """No digit of any script."""
    return re.search(r"\d", answer.text) is None


CHECKERS.add("fr:detectable_content:no_digits", "ja:letters:kansuuji")(no_digits)


# -- Japanese

_DOT_BULLET = re.compile(r"^[^\S\n]*+・[^・].*$", re.MULTILINE)
_NUMBERED = re.compile(r"^[^\S\n]*+\d++\.\s.*$", re.MULTILINE)
_HIGHLIGHT = re.compile("《[^\n《》]*》")
_KANJI = "[\u4e00-\u9faf]"
_KANJI_RUN = re.compile(f"{_KANJI}++")
_FURIGANA = re.compile(f"(?<!{_KANJI}){_KANJI}++（[ぁ-ん]++）")  # else every kanji of a run is a start


@CHECKERS.add("ja:detectable_format:number_bullet_lists", num_bullets=whole_number)
def japanese_bullets(answer: Text, num_bullets: int) -> bool:
    """Exactly so many lines that begin with a middle dot."""
    return sum(1 for _ in _DOT_BULLET.finditer(answer.text)) == num_bullets


@CHECKERS.add("ja:detectable_format:number_numbered_lists", num_items=whole_number)
def numbered_items(answer: Text, num_items: int) -> bool:
    """Exactly so many lines that begin with a number."""
    return sum(1 for _ in _NUMBERED.finditer(answer.text)) == num_items


@CHECKERS.add("ja:detectable_format:number_highlighted_sections", num_highlights=whole_number)
def japanese_highlights(answer: Text, num_highlights: int) -> bool:
    """At least so many sections in double angle brackets."""
    return sum(1 for found in _HIGHLIGHT.findall(answer.text) if found[1:-1].strip()) >= num_highlights


@CHECKERS.add("ja:detectable_format:multiple_sections", section_spliter=expression, num_sections=whole_number)
def japanese_sections(answer: Text, section_spliter: str, num_sections: int) -> bool:
    """At least so many numbered sections."""
    heading = english.pattern(rf"第[\d\uFF10-\uFF19]++{section_spliter.strip()}")
    return sum(1 for _ in heading.finditer(answer.text)) >= num_sections


@CHECKERS.add("ja:detectable_content:postscript", postscript_marker=text)
def japanese_postscript(answer: Text, postscript_marker: str) -> bool:
    """The marker stands somewhere."""
    marker = postscript_marker.strip()
    known = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
    return english.pattern(known.get(marker, re.escape(marker)), re.IGNORECASE).search(answer.text) is not None


@CHECKERS.add(
    "ja:length_constraints:nth_paragraph_first_word",
    obstacle=english.beyond_the_last,
    num_paragraphs=position,
    nth_paragraph=position,
    first_word=text,
)
def japanese_first_word(answer: Text, num_paragraphs: int, first_word: str, **which: int) -> bool:
    """Exactly so many paragraphs, and one begins with a word, perhaps in quotes."""
    paragraph = english.nth_paragraph(answer, num_paragraphs, **which)
    return paragraph is not None and paragraph.lstrip("「").lstrip("『").startswith(first_word.lower())


@CHECKERS.add(
    "ja:length_constraints:number_letters",
    obstacle=out_of_reach("num_letters", least=1),
    num_letters=whole_number,
    relation=_ja,
)
def number_of_letters(answer: Text, num_letters: int, relation: Compare) -> bool:
    """How many characters there are."""
    return relation(len(answer.text), num_letters)


@CHECKERS.add("ja:combination:repeat_prompt", prompt_to_repeat=text)
def japanese_repeats_prompt(answer: Text, prompt_to_repeat: str) -> bool:
    """It begins with the prompt, in the same case."""
    return answer.stripped.startswith(prompt_to_repeat.strip())


@CHECKERS.add("ja:startend:end_checker", end_phrase=text)
def japanese_ends_with(answer: Text, end_phrase: str) -> bool:
    """It ends with a phrase, perhaps in quotes."""
    return answer.stripped.strip("」』").endswith(end_phrase.strip().strip("」』"))


@CHECKERS.add("ja:detectable_format:title")
def japanese_title(answer: Text) -> bool:
    """A title in white corner brackets."""
    return english.has_title(answer.text, "『", "』")


@CHECKERS.add(
    "ja:keywords:letter_frequency",
    obstacle=out_of_reach("let_frequency", "let_relation"),
    letter=character,
    let_frequency=whole_number,
    let_relation=_ja,
)
def kana_frequency(answer: Text, letter: str, let_frequency: int, let_relation: Compare) -> bool:
    """How often a kana is there, as hiragana or katakana."""
    return let_relation(answer.text.count(letter) + answer.text.count(chr(ord(letter) + 96)), let_frequency)


@CHECKERS.add("ja:punctuation:no_period")
def no_period(answer: Text) -> bool:
    """No ideographic full stop."""
    return "。" not in answer.text


@CHECKERS.add("ja:punctuation:no_comma")
def japanese_no_comma(answer: Text) -> bool:
    """No ideographic comma."""
    return "、" not in answer.text


@CHECKERS.add("ja:startend:quotation")
def japanese_quotation(answer: Text) -> bool:
    """All of it in corner brackets."""
    return len(answer.stripped) > 1 and answer.stripped[0] == "「" and answer.stripped[-1] == "」"


@CHECKERS.add("ja:letters:furigana")
def furigana(answer: Text) -> bool:
    """As many runs of kanji have their reading in brackets as there are."""
    return len(_KANJI_RUN.findall(answer.text)) == len(_FURIGANA.findall(answer.text))


@CHECKERS.add("ja:letters:kanji", obstacle=out_of_reach("kanji_limit"), kanji_limit=whole_number, relation=_ja)
def number_of_kanji(answer: Text, kanji_limit: int, relation: Compare) -> bool:
    """How many kanji there are."""
    return relation(len(re.findall(_KANJI, answer.text)), kanji_limit)


@CHECKERS.add("ja:letters:no_hiragana")
def no_hiragana(answer: Text) -> bool:
    """No hiragana."""
    return re.search("[ぁ-ゖ]", answer.text) is None


@CHECKERS.add("ja:letters:no_katakana")
def no_katakana(answer: Text) -> bool:
    """No katakana, wide or narrow."""
    return re.search("[ァ-ヺｦ-ﾟ]", answer.text) is None


def _letters_are(answer: Text, allowed: str) -> bool:
    return not any(unicodedata.category(character).startswith("L") for character in re.sub(allowed, "", answer.text))


CHECKERS.add("ja:letters:hiragana_only")(partial(_letters_are, allowed="[ぁ-んー]+"))
CHECKERS.add("ja:letters:katakana_only")(partial(_letters_are, allowed="[ァ-ンー・ｦ-ﾟ]+"))


def _without(text: str, opening: str, closing: str) -> str:
    """Without what stands in brackets on a line, from left to right."""
    kept = []
    for line in text.split("\n"):
        position = 0
        parts = []
        while (start := line.find(opening, position)) >= 0 and (end := line.find(closing, start)) >= 0:
            parts.append(line[position:start])
            position = end + 1
        kept.append("".join(parts) + line[position:])
    return "\n".join(kept)


@CHECKERS.add("ja:startend:sentence_unified_end", ending=text)
def unified_endings(answer: Text, ending: str) -> bool:
    """Every sentence outside quotes ends alike."""
    outside = _without(_without(answer.text, "「", "」"), "『", "』")
    return all(sentence.endswith(ending) for sentence in re.split("[。！？]", outside) if sentence)
