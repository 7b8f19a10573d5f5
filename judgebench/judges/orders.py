"""The order in which two answers are shown, and verdicts turned back to the candidate's side."""

import random
from collections.abc import Callable

from judgebench.records import Answer, Case, Example, Verdict


def seeded_switch(key: str, seed: int = 0) -> bool:
    """Whether the candidate is shown first, drawn from the key alone.

    The draw of tatsu-lab/alpaca_eval@cd543a1:src/alpaca_eval/utils.py (``random_seeded_choice``): a generator seeded
    with a *string*, which CPython hashes with sha512, so it is the same on every machine.
    """
    return random.Random(key + str(seed)).choices([False, True], k=1)[0]


def game(
    example: Example, judge: str, candidate: Answer, baseline: Answer, *, candidate_first: bool, id_suffix: str = ""
) -> Case:
    """A case of two answers; identical answers are a tie that nobody needs to be asked about."""
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
    """One game in the seeded order, or (``order="both"``) one in each order."""
    if order == "seeded":
        return (game(example, judge, candidate, baseline, candidate_first=switch(example.instruction)),)
    return (
        game(example, judge, candidate, baseline, candidate_first=False, id_suffix="#baseline-first"),
        game(example, judge, candidate, baseline, candidate_first=True, id_suffix="#candidate-first"),
    )


def candidate_share(first_share: float, candidate: int) -> float:
    """The candidate's share of the win, from the first-shown answer's share and the candidate's index (0 or 1).

    >>> candidate_share(0.25, 1)
    0.75
    """
    return first_share if candidate == 0 else 1.0 - first_share
