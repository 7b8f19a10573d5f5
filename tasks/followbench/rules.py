"""The rules that decide about FollowBench's answers in place of a judge, by the source of the request.

What each level asks for comes on top of the levels below it. An answer is compared as it is: not even white space at
its ends is removed.
"""

import re
import string
from collections.abc import Callable, Mapping, Sequence

from judgebench.judges.rules import Rule, contains, equals, has_form, last_match, lines_among

BY_SOURCE = {
    "E2E": "equals",
    "text_editing": "equals",
    "CONLL2003": "equals",
    "WIKIEVENTS": "lines_among",
    "self_made_space": "contains",
    "BBH_logical": "last_option",
    "BBH_time": "last_date",
    "gsm_8k": "last_dollars",
}
"""Sources whose rule is the same at each level."""
FORMATS = (22, 30)
"""The chains of the type ``format`` that have a rule."""
PIECES_OF_SENTENCE = re.compile(r"[.!?]")
END_OF_SENTENCE = re.compile(r"(?<!\w\.\w.)(?<![A-Z][a-z]\.)(?<=\.|\?)\s")
PARAGRAPH = "\n\n"
Condition = Callable[[str], bool]


def rule_of(kind: str, number: int, source: str, level: int) -> str | None:
    """The name of the rule that decides about the answers to a request, if one does."""
    if level == 0:
        return None
    if kind == "example":
        return "example"
    if kind == "format" and number in FORMATS:
        return f"format_{number}_{level}"
    return BY_SOURCE.get(source) or (f"{source}_{level}" if source in CONDITIONS else None)


# -- what conditions look at


def sentences(text: str) -> list[str]:
    """The pieces between full stops, exclamation and question marks that are not empty, be they only white space."""
    return [piece for piece in PIECES_OF_SENTENCE.split(text) if piece]


def has_word(word: str) -> Condition:
    """Make the condition that a word stands in the text, in this case and with no letter beside it."""
    pattern = re.compile(rf"\b{re.escape(word)}\b")
    return lambda text: pattern.search(text) is not None


def no_word(word: str) -> Condition:
    """Make the condition that it does not."""
    there = has_word(word)
    return lambda text: not there(text)


def number_of_sentences(count: int) -> Condition:
    """Make the condition that there are so many sentences."""
    return lambda text: len(sentences(text)) == count


def words(fits: Callable[[int], bool]) -> Condition:
    """Make a condition on the number of words, which are what single spaces separate."""
    return lambda text: fits(len(text.split(" ")))


def each_sentence(fits: Callable[[int], bool]) -> Condition:
    """Make a condition on the number of words of each sentence, which are what white space separates."""
    return lambda text: all(fits(len(sentence.split())) for sentence in sentences(text))


def in_sentence(number: int, holds: Condition) -> Condition:
    """Make the condition that there is a sentence of this number, from 1, of which something holds."""

    def condition(text: str) -> bool:
        found = sentences(text)
        return len(found) >= number and holds(found[number - 1])

    return condition


def paragraphs(count: int) -> Condition:
    """Make the condition that there are so many paragraphs."""
    return lambda text: len(text.split(PARAGRAPH)) == count


def short_paragraphs(text: str) -> bool:
    """Whether each of the first three paragraphs has fewer than three sentences."""
    return all(len(sentences(paragraph)) < 3 for paragraph in text.split(PARAGRAPH)[:3])


def numbered_paragraphs(text: str) -> bool:
    """Whether each paragraph that is not blank begins with a number and a full stop."""
    found = (paragraph.lstrip() for paragraph in text.split(PARAGRAPH))
    return all(re.match(r"\d+\.", paragraph) for paragraph in found if paragraph)


def punctuation(text: str) -> int:
    """How many ASCII punctuation characters there are."""
    return sum(character in string.punctuation for character in text)


def _any_of(pattern: str, flags: re.RegexFlag = re.NOFLAG) -> Condition:
    compiled = re.compile(pattern, flags)
    return lambda text: compiled.search(text) is not None


PERFECT = _any_of(r"\b(?:has|have)\s+\w+")
CONTINUOUS = _any_of(r"\b(?:am|is|are)\s+\w+ing\b")
DELAY = _any_of("procrast", re.IGNORECASE)
_NOT_LAVISH_SECOND = in_sentence(2, has_word("lavish"))

CONDITIONS: Mapping[str, tuple[Condition, ...]] = {
    "cnn_dailymail": (
        number_of_sentences(3),
        each_sentence(lambda count: count < 15),
        lambda text: all(
            in_sentence(number, has_word(word))(text) for number, word in enumerate(("Potter", "actor", "films"), 1)
        ),
        lambda text: not _NOT_LAVISH_SECOND(text),
        in_sentence(3, PERFECT),
    ),
    "xsum": (
        number_of_sentences(1),
        words(lambda count: count < 20),
        no_word("Newton Stewart"),
        CONTINUOUS,
        has_word("operation"),
    ),
    "samsum": (
        number_of_sentences(1),
        words(lambda count: count < 15),
        has_word("stuff"),
        lambda text: not DELAY(text),
        lambda text: punctuation(text) == 1,
    ),
    "gigaword": (
        words(lambda count: count == 8),
        lambda text: not punctuation(text),
        str.islower,
        no_word("bus"),
        has_word("in"),
    ),
    "arxiv": (
        number_of_sentences(1),
        words(lambda count: count <= 20),
        lambda text: text.startswith("We"),
        has_word("activations"),
        no_word("transformer"),
    ),
}
"""What each level of the summaries asks for on top of those below it."""


# -- the two chains of formats


def suggestions(level: int) -> Condition:
    """Make the rule of format 22, a text of three paragraphs, which level 5 ends with a fourth."""
    conditions: tuple[Condition, ...] = (
        paragraphs(3 if level < 5 else 4),
        short_paragraphs,
        each_sentence(lambda count: count > 20),
        numbered_paragraphs,
        lambda text: text.endswith("Those are suggestions"),
    )
    return lambda text: all(holds(text) for holds in conditions[:level])


def points(level: int) -> Condition:
    """Make the rule of format 30, a list of five points in bold type."""
    conditions: tuple[Condition, ...] = (
        lambda text: "**" in text,
        lambda text: bold_points(text) == 5,
        lambda text: all(len(part.split(".")) < 3 for part in END_OF_SENTENCE.split(text) if _is_numbered(part)),
        lambda text: all(10 <= len(part.split()) <= 15 for part in END_OF_SENTENCE.split(text)),
        lambda text: not any(word.endswith("-ly") for word in text.split()),
    )
    return lambda text: all(holds(text) for holds in conditions[:level])


def _is_numbered(part: str) -> bool:
    return any(f"{number}." in part for number in range(1, 6))


def bold_points(text: str) -> int:
    """How many times two asterisks and a digit are followed by a colon in their line, after something between.

    What the pattern ``\\*\\*\\d.+?:`` finds, in linear time.
    """
    return sum(map(_bold_points_in, text.split("\n")))


def _bold_points_in(line: str) -> int:
    count, place = 0, line.find("**")
    while place >= 0:
        if line[place + 2 : place + 3].isdecimal():
            colon = line.find(":", place + 4)
            if colon < 0:
                break
            count, place = count + 1, line.find("**", colon + 1)
        else:
            place = line.find("**", place + 1)
    return count


# -- examples


def follows_example(answer: str, wanted: Sequence[str]) -> bool:
    """Whether the whole answer has the form of the template that the request shows, in which ``{answer}`` is any text
    within a line.
    """
    return any(has_form(answer, _template(text)) for text in wanted)


def _template(target: str) -> list[str]:
    """The literal parts of an official template, which has braces doubled and begins with a line for the request."""
    text = target.replace("{instruction}\n", "").replace("{{", "{").replace("}}", "}")
    return text.replace("{answer}", ".*").split(".*")


def _of(condition: Condition) -> Rule:
    return lambda answer, wanted: condition(answer)


def _up_to(conditions: Sequence[Condition], level: int) -> Condition:
    return lambda text: all(holds(text) for holds in conditions[:level])


LEVELS = range(1, 6)
RULES: Mapping[str, Rule] = {
    "equals": equals,
    "contains": contains,
    "lines_among": lines_among,
    "last_option": last_match(r"\([A-Z]\)"),
    "last_date": last_match(r"\d{2}/\d{2}/\d{4}"),
    "last_dollars": last_match(r"\$\d+"),
    "example": follows_example,
    **{f"{name}_{level}": _of(_up_to(own, level)) for name, own in CONDITIONS.items() for level in LEVELS},
    **{f"format_22_{level}": _of(suggestions(level)) for level in LEVELS},
    **{f"format_30_{level}": _of(points(level)) for level in LEVELS},
}
