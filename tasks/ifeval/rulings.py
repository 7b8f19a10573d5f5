"""What a verdict says of each instruction, in words for people."""

import inspect
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from judgebench.records import Example, Generation, Judgement
from judgebench.task import Ruling

from .lookup import find
from .registry import Counted, WrongArguments
from .texts import Answer

COUNTED_CHARACTERS = 200_000
"""Nothing is counted in longer answers: this runs outside the processes that verifiers are confined to."""
_LITERAL = re.compile(r"[\w ]*")


def rulings(example: Example, generation: Generation | None, judgement: Judgement) -> tuple[Ruling, ...]:
    """Say of each instruction what it wants, what was counted, and whether the answer keeps it."""
    details = judgement.verdict.details
    text = generation.outputs[-1] if generation is not None and generation.outputs else ""
    return tuple(
        _ruling(name, kwargs, text, *(_at(details.get(key), place) for key in ("strict", "loose")))
        for place, (name, kwargs) in enumerate(
            zip(example.meta["instruction_ids"], example.meta["kwargs"], strict=False)
        )
    )


def _ruling(name: str, kwargs: Mapping[str, Any], text: str, strict: Any, loose: Any) -> Ruling:
    return Ruling(
        rule=name,
        held=strict if isinstance(strict, bool) else None,
        wanted=_wanted(name, kwargs),
        found=_counted(name, kwargs, text),
        note="passed loosely" if loose and not strict else "",
        spans=tuple(_spans(kwargs, text[:COUNTED_CHARACTERS])),
    )


def _spans(kwargs: Mapping[str, Any], text: str) -> Iterator[str]:
    """The words that the rule names, as they stand in the answer."""
    low = text.lower()
    for value in kwargs.values():
        for word in value if isinstance(value, list | tuple) else [value]:
            at = low.find(word.lower()) if isinstance(word, str) and word.strip() else -1
            if at >= 0:
                yield text[at : at + len(word)]


def _counted(name: str, kwargs: Mapping[str, Any], text: str) -> str:
    """The count that the rule compares, if it takes neither a table nor an expression that a file may have chosen."""
    checker = find(name)
    plain = all(_LITERAL.fullmatch(str(value)) for value in kwargs.values())
    if checker is None or not isinstance(checker.follows, Counted) or checker.tables or not plain:
        return ""
    answer = Answer(text, None).strict if len(text) <= COUNTED_CHARACTERS else None
    if answer is None:
        return ""
    given = {key: value for key, value in kwargs.items() if value is not None}
    try:
        return str(checker.follows.counted(answer, **checker.settle(name, given)))
    except WrongArguments:
        return ""


def _wanted(name: str, kwargs: Mapping[str, Any]) -> str:
    """The rule in a sentence, with its arguments."""
    checker = find(name)
    rule: Any = checker.follows if checker else None
    given, bounds = {key: value for key, value in kwargs.items() if value is not None}, ""
    if isinstance(rule, Counted):
        bounds = f"{given.pop(rule.relation, '')} {given.pop(rule.wanted, '')}: "
        rule = rule.count
    if isinstance(rule, partial):
        given |= {key: value for key, value in rule.keywords.items() if isinstance(value, str | tuple)}
        rule = rule.func
    told = _first_sentence(inspect.getdoc(rule) or "") if inspect.isfunction(rule) else ""
    named = "; ".join(f"{key} {_listed(value)}" for key, value in given.items())
    return bounds + (f"{told} ({named})" if told and named else told or named)


def _first_sentence(text: str) -> str:
    """The first sentence as it stands within another one."""
    first = re.split(r"\.(?:\s|$)", text, maxsplit=1)[0].replace("\n", " ")
    return first if first[1:2].isupper() else first[:1].lower() + first[1:]


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _at(values: Any, place: int) -> Any:
    return values[place] if isinstance(values, list | tuple) and place < len(values) else None
