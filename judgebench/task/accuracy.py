"""Metrics of right-or-wrong benchmarks (GSM8K, MATH): accuracy by rule and group, majority vote and pass@k.

Means and their standard errors are lm-eval's (sample sd over the square root of n). Intervals, and everything about
several answers to one item, are ours: an item with all its answers is one cluster.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judgebench.grading.pool import KILLED, NOTHING
from judgebench.records import Example, ExampleScore, Generation, Judgement, Score, Verdict
from judgebench.stats.clustered import cluster_totals
from judgebench.stats.repeats import majority, pass_at_k, powers_up_to
from judgebench.task import Fetch, Generations, TaskData
from judgebench.task.metric import Metric, MetricSums, grouped, metric_called, single_row

NOT_GRADED = ("too_long", "too_deep", "too_large", *KILLED, "error")
"""Labels of verdicts that count as wrong although nothing compared the answer."""
CUT_OFF = "length"
"""The finish reason of an answer that reached its limit of tokens."""

_SHARE = "share of answers that are right, by item"
_MAJORITY = "share of items whose most frequent answer of the first k is right; of a tie, the one seen first"
_PASS = "unbiased estimate that one of k answers is right (arXiv 2107.03374, equation 1)"


@dataclass(frozen=True, kw_only=True)
class _Number:
    """One number, with the value of each item that has enough answers for it."""

    metric: str
    group: str | None
    what: str
    values: Mapping[str, float]
    """By item, 0 to 1."""
    n: int
    n_missing: int
    details: Mapping[str, Any]
    why: str = "no item has an answer with a verdict"
    """The reason if no item has a value."""


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """How a benchmark's verdicts become example scores, and example scores become scores."""

    task: str
    verifiers: Mapping[str, str]
    """By metric, the verifier that has its verdicts."""
    read: Callable[[str, Verdict], tuple[object, object]]
    """What a verdict says by a metric's rule: the extracted answer, and whether it is right."""
    votes: Mapping[str, Callable[[str], str]]
    """By metric, the form of an extracted answer that counts as a vote. The first metric ranks, and ``maj@k`` and
    ``pass@k`` outside a group belong to it.
    """
    groups: Callable[[Example], Iterable[str]] = lambda example: ()
    """The groups of an example, such as ``level=3``."""
    majority: bool = True
    """Whether the answers to an item can vote; programs cannot."""
    ks: tuple[int, ...] = ()
    """The k for which pass@k is shown; powers of two and the number of answers by default."""
    counted: tuple[str, ...] = NOT_GRADED
    """Labels of verdicts that the details count."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """A share of right answers by each rule, and with repeats ``maj@k`` and ``pass@k`` by each of them."""
        shares = (Metric(name=metric, value_of=single_row(metric)) for metric in self.votes)
        votes = (Metric(name="maj@*", shown=False),) if self.majority else ()
        passed = (Metric(name=f"pass@{k}") for k in self.ks if f"pass@{k}" not in self.votes)
        return (*shares, *votes, *passed, Metric(name="pass@*", shown=False))

    def score(self, data: TaskData, generations: Generations, judgements: Iterable[Judgement]) -> list[ExampleScore]:
        """One row per example and metric: 1, 0, or nothing where there is no answer or no verdict."""
        verdicts = {(judgement.example_id, judgement.judge): judgement.verdict for judgement in judgements}
        return [
            self._row(metric, example.id, generations.get(example.id), verdicts.get((example.id, verifier)))
            for example in data.examples
            for metric, verifier in self.verifiers.items()
        ]

    def _row(
        self, metric: str, example_id: str, generation: Generation | None, verdict: Verdict | None
    ) -> ExampleScore:
        if generation is None or generation.error or verdict is None or verdict.value is None:
            return ExampleScore(example_id=example_id, metric=metric, value=None)
        extracted, right = self.read(metric, verdict)
        covariates: dict[str, float | str | None] = {
            "extracted": str(extracted),
            "label": verdict.label,
            "cut_off": float(CUT_OFF in generation.finish_reasons),
        }
        return ExampleScore(example_id=example_id, metric=metric, value=float(bool(right)), covariates=covariates)

    def summarise(self, data: TaskData, scores: Sequence[ExampleScore]) -> list[Score]:
        """The metrics, the same by group, and after them ``maj@k`` and ``pass@k``."""
        numbers = list(self._numbers(data.by_id, scores))
        numbers.sort(key=lambda number: (number.what != _SHARE, number.what == _SHARE and number.group is not None))
        return [self._score(number) for number in numbers]

    def metric_sums(self, examples: Sequence[Example], scores: Sequence[ExampleScore], fetch: Fetch) -> MetricSums:
        """The same numbers as sums over items, which compare two runs."""
        numbers = self._numbers({example.id: example for example in examples}, scores)
        return {
            (number.metric, number.group): cluster_totals(_percent(number), clusters=list(number.values))
            for number in numbers
            if number.values or number.what == _SHARE
        }

    def _numbers(self, examples: Mapping[str, Example], scores: Sequence[ExampleScore]) -> Iterator[_Number]:
        """All numbers, metric by metric."""
        repeats = max((example.repeat for example in examples.values()), default=0) + 1
        for metric in self.votes:
            items = _items(examples, scores, metric)
            yield self._mean(metric, items, None)
            groups: dict[str, dict[str, list[ExampleScore]]] = {}
            for item, rows in items.items():
                for group in self.groups(examples[rows[0].example_id]):
                    groups.setdefault(group, {})[item] = rows
            for group in sorted(groups):
                yield self._mean(metric, groups[group], group)
            by = None if metric == next(iter(self.votes)) else f"metric={metric}"
            for k in powers_up_to(repeats) if self.majority else ():
                yield _of_first(f"maj@{k}", by, _MAJORITY, self._voted(items, k, metric), items)
                yield _of_first(f"pass@{k}", by, _PASS, _passed(items, k), items)
            for k in () if self.majority else self.ks or powers_up_to(repeats):
                if f"pass@{k}" not in self.votes:
                    yield _of_first(f"pass@{k}", by, _PASS, _passed(items, k), items)

    def _voted(self, items: Mapping[str, Sequence[ExampleScore]], k: int, metric: str) -> dict[str, float]:
        """Whether each item's majority is right, for the items that have k answers.

        Like lm-eval, "no answer found" is a vote of its own.
        """
        values = {}
        for item, rows in items.items():
            first = rows[:k]
            if len(first) == k and all(row.value is not None for row in first):
                votes = [self.votes[metric](str(row.covariates["extracted"])) for row in first]
                values[item] = float(first[votes.index(majority(votes))].value or 0.0)
        return values

    def _mean(self, metric: str, items: Mapping[str, Sequence[ExampleScore]], group: str | None) -> _Number:
        """The mean over items of the mean over an item's answers; n counts answers."""
        known = {item: [row.value for row in rows if row.value is not None] for item, rows in items.items()}
        n = sum(map(len, known.values()))
        return _Number(
            metric=metric,
            group=group,
            what=_SHARE,
            values={item: sum(values) / len(values) for item, values in known.items() if values},
            n=n,
            n_missing=sum(map(len, items.values())) - n,
            details=self._counts([row for rows in items.values() for row in rows], len(items)),
        )

    def _counts(self, rows: Sequence[ExampleScore], items: int) -> dict[str, Any]:
        answered = [row for row in rows if row.value is not None]
        labels = Counter(str(row.covariates.get("label")) for row in answered)
        counts = {
            "items": items,
            "nothing_extracted": sum(row.covariates.get("extracted") == NOTHING for row in answered),
            "cut_off": round(sum(float(row.covariates.get("cut_off") or 0) for row in answered)),
        }
        return counts | {label: labels[label] for label in self.counted if labels[label]}

    def _score(self, number: _Number) -> Score:
        """A mean over items in percent, with an interval over items."""
        metric = metric_called(number.metric, self.metrics)
        about: dict[str, Any] = {"n_missing": number.n_missing, "group": number.group, "details": number.details}
        if not number.values:
            why = number.why if number.details["items"] else "there is no item"
            return metric.absent(self.task, why, **about)
        return metric.score(self.task, cluster_totals(_percent(number)), number.what, "items", n=number.n, **about)


def _percent(number: _Number) -> list[float]:
    return [100 * value for value in number.values.values()]


def _of_first(
    metric: str, group: str | None, what: str, values: Mapping[str, float], items: Mapping[str, Any]
) -> _Number:
    """A number from the first answers to each item that has enough; n counts items."""
    n, details = len(values), {"items": len(items)}
    why = f"no item has {metric.partition('@')[2]} answers with a verdict"
    return _Number(
        metric=metric,
        group=group,
        what=what,
        values=values,
        n=n,
        n_missing=len(items) - n,
        details=details,
        why=why,
    )


def _items(
    examples: Mapping[str, Example], scores: Sequence[ExampleScore], metric: str
) -> dict[str, list[ExampleScore]]:
    """Rows of a metric by item, in the order of the repeats."""
    rows = [row for row in scores if row.metric == metric and row.example_id in examples]
    items = grouped(rows, lambda row: examples[row.example_id].item or row.example_id)
    return {item: sorted(own, key=lambda row: examples[row.example_id].repeat) for item, own in items.items()}


def _passed(items: Mapping[str, Sequence[ExampleScore]], k: int) -> dict[str, float]:
    values = {item: [row.value for row in rows if row.value is not None] for item, rows in items.items()}
    enough = {item: own for item, own in values.items() if len(own) >= k}
    passed = pass_at_k([len(own) for own in enough.values()], [int(sum(own)) for own in enough.values()], k)
    return dict(zip(enough, passed.tolist(), strict=True))
