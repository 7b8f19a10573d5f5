"""The verifier: one answer held against its prompt's instructions. Run in a worker process.

It stands in a module of its own so that a worker imports little.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from judgebench.records import Verdict

from .lookup import find
from .sentences import Punkt
from .texts import Answer


def verify(instruction_ids: Sequence[str], kwargs: Sequence[Mapping[str, Any]], response: str) -> Verdict:
    """Value 1 if all instructions are followed strictly; ``strict`` and ``loose`` tell it of each one.

    For instructions that do not look at sentences.
    """
    return _verify(Answer(response, None), instruction_ids, kwargs)


def verify_with_sentences(
    punkt: Punkt, instruction_ids: Sequence[str], kwargs: Sequence[Mapping[str, Any]], response: str
) -> Verdict:
    """The same for any instructions."""
    return _verify(Answer(response, punkt), instruction_ids, kwargs)


def _verify(answer: Answer, instruction_ids: Sequence[str], kwargs: Sequence[Mapping[str, Any]]) -> Verdict:
    strict, loose = [], []
    for instruction_id, given in zip(instruction_ids, kwargs, strict=True):
        checker = find(instruction_id)
        if checker is None:
            raise ValueError(f"nobody checks the instruction {instruction_id}")
        rule = partial(checker.follows, **checker.settle(instruction_id, given))
        strictly, loosely = answer.follows(rule)
        strict.append(strictly)
        loose.append(loosely)
    label = "no_answer" if answer.strict is None else "followed" if all(strict) else "not_followed"
    return Verdict(value=float(all(strict)), label=label, details={"strict": strict, "loose": loose})
