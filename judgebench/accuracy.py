"""Numbers of a benchmark whose answers are right or wrong, by one rule or several: shares, by group, over repeats.

Means and their standard errors are lm-eval's (sample sd over the square root of n); intervals, and everything over
several answers to one item, are ours: an item is one cluster, with all its answers.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judgebench.grading import KILLED, NOTHING
from judgebench.records import Example, ExampleScore, Generation, Score, Verdict
from judgebench.stats.clustered import ClusterTotals, bounded_estimate, cluster_totals
from judgebench.stats.intervals import interval_fields
from judgebench.stats.repeats import majority, pass_at_k, powers_up_to
from judgebench.task import Fetch, TaskData, Totals

NOT_GRADED = ("too_long", "too_deep", "too_large", *KILLED, "error")
"""Labels of verdicts that count as wrong without the answer having been compared."""
CUT_OFF = "length"
"""The finish reason of an answer that reached the limit of tokens."""

_SHARE = "share of answers that are right, by item"
_MAJORITY = "share of items whose most frequent answer of the first k is right; of a tie, the one seen first"
_PASS = "unbiased estimate that one of k answers is right (arXiv 2107.03374, equation 1)"


def accuracy_row(
    metric: str,
    example: Example,
    generation: Generation | None,
    verdict: Verdict | None,
    extracted: str,
    *,
    right: bool,
) -> ExampleScore:
    """1 or 0, or nothing where there is no answer or no verdict."""
    if generation is None or generation.error or verdict is None or verdict.value is None:
        return ExampleScore(example_id=example.id, metric=metric, value=None)
    return ExampleScore(
        example_id=example.id,
        metric=metric,
        value=float(right),
        covariates={
            "extracted": extracted,
            "label": verdict.label,
            "cut_off": float(CUT_OFF in generation.finish_reasons),
        },
    )


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """How a benchmark's rows of :func:`accuracy_row` become its scores."""

    task: str
    votes: Mapping[str, Callable[[str], str]]
    """By metric, the form of an extracted answer in which a vote tells it from others. The first metric ranks, and is
    the one of ``maj@k`` and ``pass@k`` outside a group.
    """
    groups: Callable[[Example], Iterable[str]] = lambda example: ()
    """The groups, such as ``level=3``, that an example is in."""

    def summarise(self, data: TaskData, scores: Sequence[ExampleScore]) -> list[Score]:
        """The metrics, the same by group, and with repeats ``maj@k`` and ``pass@k`` by each metric."""
        by_metric = {metric: list(_items(data.by_id, scores, metric).values()) for metric in self.votes}
        found = [self._mean(metric, items, None) for metric, items in by_metric.items()]
        for metric, items in by_metric.items():
            groups: dict[str, list[list[ExampleScore]]] = {}
            for item in items:
                for group in self.groups(data.by_id[item[0].example_id]):
                    groups.setdefault(group, []).append(item)
            found += [self._mean(metric, groups[group], group) for group in sorted(groups)]
        repeats = max((example.repeat for example in data.examples), default=0) + 1
        for metric, items in by_metric.items():
            by = None if metric == next(iter(self.votes)) else f"metric={metric}"
            for k in powers_up_to(repeats):
                found.append(self._score(f"maj@{k}", *self._voted(items, k, metric), len(items), _MAJORITY, by))
                found.append(self._score(f"pass@{k}", *_passed(items, k), len(items), _PASS, by))
        return found

    def totals(self, examples: Sequence[Example], scores: Sequence[ExampleScore], fetch: Fetch) -> Totals:
        """The same numbers as sums over items, by which two runs are compared."""
        by_id = {example.id: example for example in examples}
        repeats = max((example.repeat for example in examples), default=0) + 1
        found: dict[tuple[str, str | None], ClusterTotals] = {}
        for metric in self.votes:
            items = _items(by_id, scores, metric)
            means = {item: sum(row.value or 0.0 for row in rows) / len(rows) for item, rows in items.items()}
            found[metric, None] = _share(means)
            groups: dict[str, dict[str, float]] = {}
            for item, rows in items.items():
                for group in self.groups(by_id[rows[0].example_id]):
                    groups.setdefault(group, {})[item] = means[item]
            found |= {(metric, group): _share(groups[group]) for group in sorted(groups)}
            by = None if metric == next(iter(self.votes)) else f"metric={metric}"
            for k in powers_up_to(repeats):
                enough = {item: rows for item, rows in items.items() if len(rows) >= k}
                if enough:
                    whole = list(enough.values())
                    for name, (values, _) in (
                        (f"maj@{k}", self._voted(whole, k, metric)),
                        (f"pass@{k}", _passed(whole, k)),
                    ):
                        found[name, by] = _share(dict(zip(enough, values, strict=True)))
        return found

    def _mean(self, metric: str, items: Sequence[Sequence[ExampleScore]], group: str | None) -> Score:
        """Mean over items of the mean over an item's answers; n counts answers."""
        values = [[row.value for row in item if row.value is not None] for item in items]
        means = [sum(item) / len(item) for item in values if item]
        n = sum(map(len, values))
        counts = _counts([row for item in items for row in item], len(items))
        return self._score(metric, means, sum(map(len, items)) - n, len(items), _SHARE, group, n, counts)

    def _voted(self, items: Sequence[Sequence[ExampleScore]], k: int, metric: str) -> tuple[list[float], int]:
        """Whether each item's majority is right, and how many items have fewer than the k answers.

        Like lm-eval, "no answer found" is a vote of its own.
        """
        values = []
        for item in items:
            first = item[:k]
            if len(first) == k and all(row.value is not None for row in first):
                votes = [self.votes[metric](str(row.covariates["extracted"])) for row in first]
                values.append(float(first[votes.index(majority(votes))].value or 0.0))
        return values, len(items) - len(values)

    def _score(
        self,
        metric: str,
        values: Sequence[float],
        missing: int,
        items: int,
        what: str,
        group: str | None,
        n: int | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Score:
        """A mean over items in percent; its interval is over items."""
        n = len(values) if n is None else n
        details = dict(details) if details else {"items": items}
        if not values:
            return Score(
                task=self.task,
                metric=metric,
                value=None,
                unit="percent",
                n=0,
                n_missing=missing,
                group=group,
                reason="no item has an answer with a verdict" if items else "there is no item",
                details=details,
            )
        result = bounded_estimate(cluster_totals([100 * value for value in values]), 0, 100)
        return Score(
            task=self.task,
            metric=metric,
            value=result.value,
            unit="percent",
            stderr=result.stderr,
            **interval_fields(result.interval),
            method=f"{what}; {result.how('items')}",
            n=n,
            n_missing=missing,
            group=group,
            details=details,
        )


def _items(
    examples: Mapping[str, Example], scores: Sequence[ExampleScore], metric: str
) -> dict[str, list[ExampleScore]]:
    """Rows of a metric by item, in the order of the repeats; ``examples`` by id."""
    items: dict[str, list[tuple[int, ExampleScore]]] = {}
    for row in scores:
        if row.metric == metric and row.example_id in examples:
            example = examples[row.example_id]
            items.setdefault(example.item or example.id, []).append((example.repeat, row))
    return {item: [row for _, row in sorted(rows, key=lambda pair: pair[0])] for item, rows in items.items()}


def _share(values: Mapping[str, float]) -> ClusterTotals:
    return cluster_totals([100 * value for value in values.values()], clusters=list(values))


def _counts(rows: Sequence[ExampleScore], items: int) -> dict[str, Any]:
    answered = [row for row in rows if row.value is not None]
    labels = Counter(str(row.covariates.get("label")) for row in answered)
    counts = {
        "items": items,
        "nothing_extracted": sum(row.covariates.get("extracted") == NOTHING for row in answered),
        "cut_off": round(sum(float(row.covariates.get("cut_off") or 0) for row in answered)),
    }
    return counts | {label: labels[label] for label in NOT_GRADED if labels[label]}


def _passed(items: Sequence[Sequence[ExampleScore]], k: int) -> tuple[list[float], int]:
    values = [[row.value for row in item if row.value is not None] for item in items]
    enough = [item for item in values if len(item) >= k]
    passed = pass_at_k([len(item) for item in enough], [int(sum(item)) for item in enough], k)
    return passed.tolist(), len(items) - len(enough)
