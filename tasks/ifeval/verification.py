"""The verifier, which checks an answer against its prompt's instructions in a worker process.

It has a module of its own so that a worker imports little.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from judgebench.records import Verdict

from .lookup import find
from .tables import Tables
from .texts import Answer


def verify(
    tables: Tables | None = None, *, instruction_ids: Sequence[str], kwargs: Sequence[Mapping[str, Any]], response: str
) -> Verdict:
    """Return value 1 if the response follows all instructions strictly; ``strict`` and ``loose`` say it of each one.

    Instructions that look at a table need ``tables``.
    """
    answer = Answer(response, tables)
    strict, loose = [], []
    for instruction_id, given in zip(instruction_ids, kwargs, strict=True):
        checker = find(instruction_id)
        if checker is None:
            raise ValueError(f"the instruction {instruction_id} has no checker")
        rule = partial(checker.follows, **checker.settle(instruction_id, given))
        strictly, loosely = answer.follows(rule)
        strict.append(strictly)
        loose.append(loosely)
    label = "no_answer" if answer.strict is None else "followed" if all(strict) else "not_followed"
    return Verdict(value=float(all(strict)), label=label, details={"strict": strict, "loose": loose})
