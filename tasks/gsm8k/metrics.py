"""GSM8K's numbers, from verdicts.

Means and their standard errors are lm-eval's (sample sd over the square root of n); intervals, and everything over
several answers to one item, are ours.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from judgebench.records import Example, ExampleScore, Judgement, Score
from judgebench.stats.intervals import bootstrap_mean
from judgebench.stats.repeats import majority, pass_at_k, powers_up_to
from judgebench.task import Generations, TaskData

from .extraction import INVALID, normalised

TASK = "gsm8k"
METRICS = {"exact_match_strict": "strict", "exact_match_flexible": "flexible", "numeric": "numeric"}
"""The rule behind each metric; the first ranks, and is the one of ``maj@k`` and ``pass@k`` outside a group."""
BOOTSTRAP_ROUNDS = 1000
BOOTSTRAP_SEED = 0
BOOTSTRAP = f"bootstrap percentile over items, {BOOTSTRAP_ROUNDS} rounds, seed {BOOTSTRAP_SEED}"
NOT_GRADED = ("too_long", "timeout", "memory", "crash", "error")
"""Labels of verdicts that count as wrong without the answer having been compared."""
CUT_OFF = "length"
"""The finish reason of an answer that reached the limit of tokens."""


def score(data: TaskData, generations: Generations, judgements: Iterable[Judgement]) -> list[ExampleScore]:
    """One row per example and metric: 1, 0, or nothing where there is no answer or no verdict."""
    verdicts = {judgement.example_id: judgement.verdict for judgement in judgements}
    rows = []
    for example in data.examples:
        generation, verdict = generations.get(example.id), verdicts.get(example.id)
        answered = generation is not None and not generation.error and verdict is not None
        for metric, rule in METRICS.items():
            value, covariates = None, {}
            if answered and verdict is not None and verdict.value is not None and generation is not None:
                # A check whose worker was ended has no details: it counts as wrong.
                extracted, right = verdict.details.get(rule, [INVALID, False])
                value = float(right)
                covariates = {
                    "extracted": str(extracted),
                    "label": verdict.label,
                    "cut_off": float(CUT_OFF in generation.finish_reasons),
                }
            rows.append(ExampleScore(example_id=example.id, metric=metric, value=value, covariates=covariates))
    return rows


def summarise(data: TaskData, scores: Sequence[ExampleScore]) -> list[Score]:
    """The three metrics; with repeats, ``maj@k`` and ``pass@k`` by each of them."""
    summarised, by_metric = [], {m: list(items_of(data.by_id, scores, m).values()) for m in METRICS}
    for metric, items in by_metric.items():
        rows = [row for item in items for row in item]
        summarised.append(_mean_score(metric, items, _counts(rows, len(items))))
    repeats = max((example.repeat for example in data.examples), default=0) + 1
    for metric, items in by_metric.items():
        group = None if metric == next(iter(METRICS)) else f"metric={metric}"
        for k in powers_up_to(repeats):
            summarised.append(_score(f"maj@{k}", *voted(items, k, metric), len(items), _MAJORITY, group))
            summarised.append(_score(f"pass@{k}", *passed(items, k), len(items), _PASS, group))
    return summarised


def items_of(
    examples: Mapping[str, Example], scores: Sequence[ExampleScore], metric: str
) -> dict[str, list[ExampleScore]]:
    """Rows of a metric by item, in the order of the repeats; ``examples`` by id."""
    items: dict[str, list[tuple[int, ExampleScore]]] = {}
    for row in scores:
        if row.metric == metric and row.example_id in examples:
            example = examples[row.example_id]
            items.setdefault(example.item or example.id, []).append((example.repeat, row))
    return {item: [row for _, row in sorted(rows, key=lambda pair: pair[0])] for item, rows in items.items()}


def _counts(rows: Sequence[ExampleScore], items: int) -> dict[str, Any]:
    answered = [row for row in rows if row.value is not None]
    labels = Counter(str(row.covariates.get("label")) for row in answered)
    counts = {
        "items": items,
        "nothing_extracted": sum(row.covariates.get("extracted") == INVALID for row in answered),
        "cut_off": round(sum(float(row.covariates.get("cut_off") or 0) for row in answered)),
    }
    return counts | {label: labels[label] for label in NOT_GRADED if labels[label]}


def _mean_score(metric: str, items: Sequence[Sequence[ExampleScore]], details: Mapping[str, Any]) -> Score:
    """Mean over items of the mean over an item's answers; n counts answers."""
    values = [[row.value for row in item if row.value is not None] for item in items]
    means = [sum(item) / len(item) for item in values if item]
    n = sum(map(len, values))
    missing = sum(map(len, items)) - n
    return _score(metric, means, missing, len(items), "share of answers that are right, by item", None, n, details)


_MAJORITY = "share of items whose most frequent answer of the first k is right; of a tie, the one seen first"
_PASS = "unbiased estimate that one of k answers is right (arXiv 2107.03374, equation 1)"


def voted(items: Sequence[Sequence[ExampleScore]], k: int, metric: str) -> tuple[list[float], int]:
    """Whether each item's majority is right, and how many items have fewer than the k answers.

    Answers are the same if the metric compares them so. Like lm-eval, "no answer found" is a vote of its own.
    """
    same: Callable[[str], str] = str if metric == "numeric" else normalised
    values = []
    for item in items:
        first = item[:k]
        if len(first) == k and all(row.value is not None for row in first):
            votes = [same(str(row.covariates["extracted"])) for row in first]
            values.append(float(first[votes.index(majority(votes))].value or 0.0))
    return values, len(items) - len(values)


def passed(items: Sequence[Sequence[ExampleScore]], k: int) -> tuple[list[float], int]:
    """Each item's estimate of ``pass@k``, and how many items have fewer than the k answers."""
    values = [[row.value for row in item if row.value is not None] for item in items]
    enough = [item for item in values if len(item) >= k]
    passed = pass_at_k([len(item) for item in enough], [int(sum(item)) for item in enough], k)
    return passed.tolist(), len(items) - len(enough)


def _score(
    metric: str,
    values: Sequence[float],
    missing: int,
    items: int,
    what: str,
    group: str | None,
    n: int | None = None,
    details: Mapping[str, Any] | None = None,
) -> Score:
    """A mean over items in percent; its interval resamples items."""
    n = len(values) if n is None else n
    details = dict(details) if details else {"items": items}
    if not values:
        reason = "no item has an answer with a verdict" if items else "there is no item"
        return Score(
            task=TASK,
            metric=metric,
            value=None,
            unit="percent",
            n=0,
            n_missing=missing,
            group=group,
            reason=reason,
            details=details,
        )
    result = bootstrap_mean(
        [100 * value for value in values], rng=np.random.default_rng(BOOTSTRAP_SEED), rounds=BOOTSTRAP_ROUNDS
    )
    interval = result.interval
    return Score(
        task=TASK,
        metric=metric,
        value=result.estimate,
        unit="percent",
        stderr=result.stderr,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        level=interval.level if interval else None,
        method=f"{what}; {BOOTSTRAP}" if interval else f"{what}; too few items for an interval",
        n=n,
        n_missing=missing,
        group=group,
        details=details,
    )
