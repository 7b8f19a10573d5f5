r"""M-IFEval's instructions in Spanish, French and Japanese, if they need no analyser of a language.

Rules: ``shisa-ai/M-IFEval@06f08ff3b2681a7e875124aa6946bcc93739aced:instructions/{es,fr,ja}_instructions.py``
(Apache-2.0). There, spaCy finds words and sentences of Spanish, janome words and ``ja_sentence_segmenter`` sentences
of Japanese, and other Punkt tables sentences of French; an instruction that counts these has no checker here.
"""

import re
import string
import unicodedata
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from . import instructions as english
from . import kinds
from .registry import Checkers
from .texts import Text

CHECKERS = Checkers(name="m-ifeval", version="1")

ALIKE = (
    "language:response_language",
    "length_constraints:number_paragraphs",
    "detectable_format:json_format",
    "combination:two_responses",
)
"""Instructions with the English rule in all three languages."""
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
"""A constrained response contains one of these."""
LACKED = {
    "fr:detectable_content:no_digits": r"\d",
    "fr:special_character:no_accents": "[àáâãäåçèéêëìíîïñòóôõöùúûüýÿÀÁÂÃÄÅÇÈÉÊËÌÍÎÏÑÒÓÔÕÖÙÚÛÜÝ]",
    "ja:letters:kansuuji": r"\d",
    "ja:letters:no_hiragana": "[ぁ-ゖ]",
    "ja:letters:no_katakana": "[ァ-ヺｦ-ﾟ]",
    "ja:punctuation:no_comma": "、",
    "ja:punctuation:no_period": "。",
}
"""Expressions that an answer must not match anywhere."""


_es = kinds.relation({"al menos": int.__ge__, "como máximo": int.__le__})
_fr = kinds.relation({"au moins": int.__ge__, "moins de": int.__lt__})
_ja = kinds.relation({"以上": int.__ge__, "未満": int.__lt__})


def _share(language: str, names: tuple[str, ...], **arguments: kinds.Kind) -> None:
    """Reuse English rules, with the language's own words for the given arguments."""
    for name in names:
        checker = english.CHECKERS.by_id[name]
        own = {key: arguments.get(key, kind) for key, kind in checker.arguments.items()}
        needed, obstacle = tuple(checker.tables), checker.obstacle
        add = CHECKERS.add(f"{language}:{name}", needs_sentences=False, tables=needed, obstacle=obstacle, **own)
        add(checker.follows)


for _language, _options in ANSWERS.items():
    _share(_language, ALIKE)
    CHECKERS.add(f"{_language}:detectable_format:constrained_response")(partial(english.has_any, parts=_options))
for _name, _expression in LACKED.items():
    CHECKERS.add(_name)(partial(english.lacks, expression=_expression))
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


def _at_least(answer: Text, relation: kinds.Compare, *, rule: Callable[..., bool], **arguments: Any) -> bool:
    """Ignore the relation, which is always "at least" in the data."""
    return rule(answer, **arguments)


for _name in _COUNTED:
    _checker = english.CHECKERS.by_id[_name]
    _add = CHECKERS.add(f"es:{_name}", needs_sentences=False, tables=(), relation=_es, **_checker.arguments)
    _add(partial(_at_least, rule=_checker.follows))


@CHECKERS.add("es:change_case:spanish_capital")
def spanish_capital(answer: Text) -> bool:
    """The answer is Spanish without lower-case letters."""
    letters = (character for character in unicodedata.normalize("NFKD", answer.text) if character.isalpha())
    return all(map(str.isupper, letters)) and answer.language_in_lower_case in ("es", None)


def _first_words(value: Any) -> str:
    if kinds.text(value).translate(_NO_PUNCTUATION) != value:
        raise ValueError("words without punctuation, which does not count as part of them")
    return str(value)


@english.add_first_word(CHECKERS, "es:", _first_words)
def begins_with_words(paragraph: str, first_words: str) -> bool:
    """A paragraph begins with some words, punctuation aside."""
    wanted = first_words.lower().split()
    found = paragraph.split(None, len(wanted))[: len(wanted)]
    return [word.translate(_NO_PUNCTUATION).lower() for word in found] == wanted


@CHECKERS.add("es:startend:end_checker", end_phrase=kinds.text)
def spanish_ends_with(answer: Text, end_phrase: str) -> bool:
    """The answer ends with a phrase, perhaps in quotes and with a full stop."""
    return answer.stripped.strip('"').lower().removesuffix(".").endswith(end_phrase.strip().lower())


def _between(answer: Text, opening: str, closing: str) -> bool:
    """Something other than these marks stands from an opening mark to the next closing one."""
    # An opening mark that is never closed takes the rest of the text, so that every character is read once.
    marked = english.pattern(rf"{opening}([^{closing}]*+)(\{closing}?)")
    return any(match[2] and match[1].lstrip(opening).strip() for match in marked.finditer(answer.text))


CHECKERS.add("es:change_case:spanish_lowercase")(partial(english.in_small_letters, language="es"))
english.add_lines(CHECKERS, "es:detectable_format:number_bullet_lists", "num_bullets", r"\*[^*]")
CHECKERS.add("es:detectable_content:postscript", postscript_marker=kinds.expression)(
    partial(english.has_postscript, known={"P.D.": r"p\.\s?d\."})
)
CHECKERS.add("es:punctuation:question_marks")(partial(_between, opening="¿", closing="?"))
CHECKERS.add("es:punctuation:exclamation_marks")(partial(_between, opening="¡", closing="!"))


# -- French

_FAMILIAR = re.compile(r"\b(?:tu|te|t'\b|toi|ton|ta|tes)\b", re.IGNORECASE)
_WORD = re.compile(r"\w+")


@CHECKERS.add("fr:change_case:french_capital")
def french_capital(answer: Text) -> bool:
    """The answer is French in capitals."""
    return answer.text.isupper() and answer.language_in_lower_case in ("fr", None)


CHECKERS.add("fr:change_case:french_lowercase")(partial(english.in_small_letters, language="fr"))
# Chinese is never found: its labels are longer than ``zh``.
CHECKERS.add("fr:language:response_language", language=kinds.one_of(*english.LANGUAGES, "zh"))(english.in_language)
CHECKERS.add("fr:startend:quotation")(partial(english.is_quoted, quotes=('""', "''", "«»")))


@CHECKERS.add("fr:detectable_format:title")
def french_title(answer: Text) -> bool:
    """A title between double number signs."""
    return any(found.strip("#").strip() for found in re.findall("##[^\\n]+##", answer.text))


@CHECKERS.add("fr:special_character:ethel_or_cedilla", forbidden_char=kinds.any_text)
def lacks_character(answer: Text, forbidden_char: str) -> bool:
    """The answer does not contain a character, in either case."""
    return not english.pattern(re.escape(forbidden_char), re.IGNORECASE).search(answer.text)


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
    """The answer contains a familiar pronoun."""
    return _FAMILIAR.search(answer.text) is not None


# -- Japanese

_HIGHLIGHT = re.compile("《[^\n《》]*》")
_KANJI = "[\u4e00-\u9faf]"
_KANJI_RUN = re.compile(f"{_KANJI}++")
_FURIGANA = re.compile(f"(?<!{_KANJI}){_KANJI}++（[ぁ-ん]++）")  # else every kanji of a run is a start


english.add_lines(CHECKERS, "ja:detectable_format:number_bullet_lists", "num_bullets", "・[^・]")
english.add_lines(CHECKERS, "ja:detectable_format:number_numbered_lists", "num_items", r"\d++\.\s")
CHECKERS.add("ja:detectable_format:title")(partial(english.has_title, opening="『", closing="』"))
CHECKERS.add("ja:startend:quotation")(partial(english.is_quoted, quotes=("「」",)))
CHECKERS.add(
    "ja:detectable_format:multiple_sections", section_spliter=kinds.expression, num_sections=kinds.whole_number
)(partial(english.sections, before=r"第[\d\uFF10-\uFF19]++", after=""))


@CHECKERS.add("ja:detectable_format:number_highlighted_sections", num_highlights=kinds.whole_number)
def japanese_highlights(answer: Text, num_highlights: int) -> bool:
    """At least the given number of sections in double angle brackets."""
    return sum(1 for found in _HIGHLIGHT.findall(answer.text) if found[1:-1].strip()) >= num_highlights


@CHECKERS.add("ja:detectable_content:postscript", postscript_marker=kinds.text)
def japanese_postscript(answer: Text, postscript_marker: str) -> bool:
    """The marker occurs somewhere."""
    marker = postscript_marker.strip()
    expression = english.POSTSCRIPTS.get(marker, re.escape(marker))
    return english.pattern(expression, re.IGNORECASE).search(answer.text) is not None


@english.add_first_word(CHECKERS, "ja:", kinds.text)
def begins_in_quotes(paragraph: str, first_word: str) -> bool:
    """A paragraph begins with a word, perhaps in quotes."""
    return paragraph.lstrip("「").lstrip("『").startswith(first_word.lower())


@CHECKERS.add_count("ja:length_constraints:number_letters", _ja, wanted="num_letters", least=1)
def number_of_letters(answer: Text) -> int:
    """How many characters there are."""
    return len(answer.text)


@CHECKERS.add("ja:combination:repeat_prompt", prompt_to_repeat=kinds.text)
def japanese_repeats_prompt(answer: Text, prompt_to_repeat: str) -> bool:
    """The answer begins with the prompt, in the same case."""
    return answer.stripped.startswith(prompt_to_repeat.strip())


@CHECKERS.add("ja:startend:end_checker", end_phrase=kinds.text)
def japanese_ends_with(answer: Text, end_phrase: str) -> bool:
    """The answer ends with a phrase, perhaps in quotes."""
    return answer.stripped.strip("」』").endswith(end_phrase.strip().strip("」』"))


@CHECKERS.add_count(
    "ja:keywords:letter_frequency", _ja, wanted="let_frequency", relation="let_relation", letter=kinds.character
)
def kana_frequency(answer: Text, letter: str) -> int:
    """How often a kana occurs, as hiragana or katakana."""
    return answer.text.count(letter) + answer.text.count(chr(ord(letter) + 96))


@CHECKERS.add("ja:letters:furigana")
def furigana(answer: Text) -> bool:
    """The number of runs of kanji equals the number of those with a reading in brackets."""
    return len(_KANJI_RUN.findall(answer.text)) == len(_FURIGANA.findall(answer.text))


@CHECKERS.add_count("ja:letters:kanji", _ja, wanted="kanji_limit")
def number_of_kanji(answer: Text) -> int:
    """How many kanji there are."""
    return len(re.findall(_KANJI, answer.text))


def _letters_are(answer: Text, allowed: str) -> bool:
    return not any(unicodedata.category(character).startswith("L") for character in re.sub(allowed, "", answer.text))


CHECKERS.add("ja:letters:hiragana_only")(partial(_letters_are, allowed="[ぁ-んー]+"))
CHECKERS.add("ja:letters:katakana_only")(partial(_letters_are, allowed="[ァ-ンー・ｦ-ﾟ]+"))


def _without(text: str, opening: str, closing: str) -> str:
    """Without what stands in brackets on a line, from left to right."""
    # An open bracket takes the rest of its line, so that every character is read once.
    brackets = english.pattern(f"{opening}[^\n{closing}]*+{closing}?")
    return brackets.sub(lambda match: "" if match[0].endswith(closing) else match[0], text)


@CHECKERS.add("ja:startend:sentence_unified_end", ending=kinds.text)
def unified_endings(answer: Text, ending: str) -> bool:
    """Every sentence outside quotes ends alike."""
    outside = _without(_without(answer.text, "「", "」"), "『", "』")
    return all(sentence.endswith(ending) for sentence in re.split("[。！？]", outside) if sentence)
