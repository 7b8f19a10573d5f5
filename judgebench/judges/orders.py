"""Games between two answers: which one the judge is shown first, and what its verdict means for the candidate.

Nothing here asks or reads a judge.
"""

import random
from collections.abc import Callable

from judgebench.records import Answer, Case, Example, Verdict


def seeded_switch(key: str, seed: int = 0) -> bool:
    """Draw whether the candidate is shown first, from the key and the seed alone.

    The draw of tatsu-lab/alpaca_eval@cd543a1:src/alpaca_eval/utils.py (``random_seeded_choice``): a generator seeded
    with a *string*, which CPython hashes with sha512, so it is the same on every machine.
    """
    return random.Random(key + str(seed)).choices([False, True], k=1)[0]


def game(
    example: Example, judge: str, candidate: Answer, baseline: Answer, *, candidate_first: bool, id_suffix: str = ""
) -> Case:
    """Make a case of two answers. Identical answers are a tie, about which no judge is asked."""
    answers = (candidate, baseline) if candidate_first else (baseline, candidate)
    tie = Verdict(value=0.5, label="identical") if candidate.turns == baseline.turns else None
    return Case(
        id=example.id + id_suffix,
        judge=judge,
        example=example,
        answers=answers,
        candidate=0 if candidate_first else 1,
        verdict=tie,
    )


def games(
    example: Example,
    judge: str,
    candidate: Answer,
    baseline: Answer,
    *,
    order: str,
    switch: Callable[[str], bool],
) -> tuple[Case, ...]:
    """Make one game in the seeded order or, with ``order="both"``, one in each order."""
    if order == "seeded":
        return (game(example, judge, candidate, baseline, candidate_first=switch(example.instruction)),)
    return (
        game(example, judge, candidate, baseline, candidate_first=False, id_suffix="#baseline-first"),
        game(example, judge, candidate, baseline, candidate_first=True, id_suffix="#candidate-first"),
    )


def candidate_share(first_share: float, candidate: int) -> float:
    """Turn the share of the answer shown first into the candidate's, whose index is 0 or 1.

    >>> candidate_share(0.25, 1)
    0.75
    """
    return first_share if candidate == 0 else 1.0 - first_share
