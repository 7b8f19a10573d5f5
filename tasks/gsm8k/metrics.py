"""How GSM8K's verdicts become its numbers."""

from judgebench.grading.pool import NOTHING
from judgebench.records import Example, Generation, Judgement
from judgebench.task import Ruling
from judgebench.task.accuracy import Accuracy

from .extraction import normalised

TASK = "gsm8k"
RULES = {"exact_match_strict": "strict", "exact_match_flexible": "flexible", "numeric": "numeric"}
"""The rule behind each metric."""
ACCURACY = Accuracy(
    task=TASK,
    verifiers=dict.fromkeys(RULES, TASK),
    # A check whose worker was ended has no details: it counts as wrong.
    read=lambda metric, verdict: verdict.details.get(RULES[metric], (NOTHING, False)),
    votes={"exact_match_strict": normalised, "exact_match_flexible": normalised, "numeric": str},
)


def rulings(example: Example, generation: Generation | None, judgement: Judgement) -> tuple[Ruling, ...]:
    """What each rule extracted from the answer, beside the reference."""
    return tuple(
        _ruling(metric, str(example.meta.get("gold", "")), *ACCURACY.read(metric, judgement.verdict))
        for metric in RULES
    )


def _ruling(metric: str, gold: str, extracted: object, right: object) -> Ruling:
    found = "" if extracted == NOTHING else str(extracted)
    return Ruling(
        rule=metric,
        held=bool(right),
        wanted=gold,
        found=found,
        note="" if found else "nothing in the form that the rule looks for",
    )
