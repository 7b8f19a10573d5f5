"""How GSM8K's verdicts become its numbers."""

from judgebench.grading.pool import NOTHING
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
