"""GSM8K's numbers, from verdicts."""

from collections.abc import Iterable

from judgebench.grading.pool import NOTHING
from judgebench.records import ExampleScore, Judgement
from judgebench.task import Generations, TaskData
from judgebench.task.accuracy import Accuracy, accuracy_row

from .extraction import normalised

METRICS = {"exact_match_strict": "strict", "exact_match_flexible": "flexible", "numeric": "numeric"}
"""The rule behind each metric."""
ACCURACY = Accuracy(
    task="gsm8k",
    votes={"exact_match_strict": normalised, "exact_match_flexible": normalised, "numeric": str},
)


def score(data: TaskData, generations: Generations, judgements: Iterable[Judgement]) -> list[ExampleScore]:
    """One row per example and metric: 1, 0, or nothing where there is no answer or no verdict."""
    verdicts = {judgement.example_id: judgement.verdict for judgement in judgements}
    rows = []
    for example in data.examples:
        generation, verdict = generations.get(example.id), verdicts.get(example.id)
        for metric, rule in METRICS.items():
            # A check whose worker was ended has no details: it counts as wrong.
            extracted, right = verdict.details.get(rule, [NOTHING, False]) if verdict else (NOTHING, False)
            rows.append(accuracy_row(metric, example, generation, verdict, str(extracted), right=bool(right)))
    return rows
