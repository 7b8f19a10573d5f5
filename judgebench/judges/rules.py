"""Rules that decide about an answer in place of a judge: pure functions of the answer and what it is compared with."""

import re
from collections.abc import Callable, Mapping, Sequence

Rule = Callable[[str, Sequence[str]], bool]
"""Whether an answer satisfies what is wanted: texts, of which most rules need one."""

ANY_TEXT = "{answer}"
"""What stands in a template for any text within a line."""


def equals(answer: str, wanted: Sequence[str]) -> bool:
    """The answer is one of the texts, to the character.

    >>> equals("Paris", ["Paris", "paris"]), equals("Paris.", ["Paris"])
    (True, False)
    """
    return answer in wanted


def contains(answer: str, wanted: Sequence[str]) -> bool:
    """One of the texts stands in the answer."""
    return any(text in answer for text in wanted)


def contains_none(answer: str, wanted: Sequence[str]) -> bool:
    """None of the texts stands in the answer, such as words by which a model refuses."""
    return not contains(answer, wanted)


def lines_among(answer: str, wanted: Sequence[str]) -> bool:
    """Each line of the answer is a line of a text.

    >>> lines_among("b\\na", ["a\\nb\\nc"]), lines_among("", ["a\\nb"])
    (True, False)
    """
    return any(set(answer.split("\n")) <= set(text.split("\n")) for text in wanted)


def last_match(pattern: str) -> Rule:
    """Make the rule that the last match of a pattern is one of the texts."""
    compiled = re.compile(pattern)

    def holds(answer: str, wanted: Sequence[str]) -> bool:
        found = compiled.findall(answer)
        return bool(found) and found[-1] in wanted

    return holds


def matches(answer: str, wanted: Sequence[str]) -> bool:
    """The whole answer has the form of one of the templates, in which ``{answer}`` is any text within a line.

    >>> matches("It is 4!", ["It is {answer}!"]), matches("It is 4", ["It is {answer}!"])
    (True, False)
    """
    return any(has_form(answer, template.split(ANY_TEXT)) for template in wanted)


def has_form(text: str, literals: Sequence[str]) -> bool:
    """Whether a text is these literals in order with anything but line breaks between them; in linear time."""
    first, *inner, last = literals if len(literals) > 1 else (*literals, "")
    if len(literals) == 1:
        return text == first
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    place, end = len(first), len(text) - len(last)
    for literal in inner:
        found = text.find(literal, place, end)
        if found < 0 or "\n" in text[place:found]:
            return False
        place = found + len(literal)
    return "\n" not in text[place:end]


RULES: Mapping[str, Rule] = {
    "equals": equals,
    "contains": contains,
    "contains_none": contains_none,
    "lines_among": lines_among,
    "matches": matches,
    "last_option": last_match(r"\([A-Z]\)"),
    "last_date": last_match(r"\d{2}/\d{2}/\d{4}"),
    "last_dollars": last_match(r"\$\d+"),
}
"""The rules that a row of prompts can name."""
