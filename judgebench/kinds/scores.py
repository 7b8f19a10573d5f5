"""Plain means of a benchmark that is a file: over all its items, and over those of each group."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from judgebench.records import Example, ExampleScore, Score
from judgebench.task import TaskData
from judgebench.task.metric import Metric, MetricSums, by_example
from judgebench.task.selection import GroupsOf

Placed = Mapping[str, Sequence[ExampleScore]]
"""Example scores by example."""


@dataclass(frozen=True, kw_only=True)
class GroupedMeans:
    """Which metrics are means over the examples of each group, too."""

    task: str
    metrics: tuple[Metric, ...]
    groups: GroupsOf

    def scores(self, data: TaskData, rows: Sequence[ExampleScore]) -> list[Score]:
        """The scores of the metrics, without a group and by group."""
        parts = self._parts(data.examples, rows)
        return [self._score(metric, *part) for metric in self.metrics for part in parts]

    def sums(self, examples: Sequence[Example], rows: Sequence[ExampleScore]) -> MetricSums:
        """The same numbers as sums over items, which pair two runs."""
        parts = self._parts(examples, rows)
        sums = {
            (metric.name, group): metric.mean_sums(own, its) for metric in self.metrics for group, own, its in parts
        }
        return {key: found for key, found in sums.items() if found.n}

    def _parts(
        self, examples: Sequence[Example], rows: Sequence[ExampleScore]
    ) -> list[tuple[str | None, Sequence[Example], Placed]]:
        """All examples, and those of each group, with their example scores."""
        placed = by_example(rows)
        named: list[tuple[str | None, Sequence[Example]]] = [(None, examples), *self._named(examples).items()]
        return [(group, own, of_examples(own, placed)) for group, own in named]

    def _named(self, examples: Iterable[Example]) -> dict[str, list[Example]]:
        found: dict[str, list[Example]] = {}
        for example in examples:
            for group in self.groups(example):
                found.setdefault(group, []).append(example)
        return dict(sorted(found.items()))

    def _score(self, metric: Metric, group: str | None, examples: Sequence[Example], rows: Placed) -> Score:
        sums = metric.mean_sums(examples, rows)
        missing = len(examples) - sums.n
        if not sums.n:
            return metric.absent(self.task, "no example has a value", n_missing=missing, group=group)
        return metric.score(self.task, sums, "mean over examples", "items", n=sums.n, n_missing=missing, group=group)


def of_examples(examples: Iterable[Example], placed: Placed) -> Placed:
    """The example scores of some examples, in the order of all."""
    ids = {example.id for example in examples}
    return placed if ids.issuperset(placed) else {name: own for name, own in placed.items() if name in ids}


def rows_of(examples: Iterable[Example], rows: Sequence[ExampleScore]) -> list[ExampleScore]:
    """The example scores of some examples."""
    ids = {example.id for example in examples}
    return [row for row in rows if row.example_id in ids]


@dataclass(frozen=True)
class Covariate:
    """Reads one covariate of an example's only row."""

    name: str

    def __call__(self, rows: Sequence[ExampleScore]) -> float | None:
        """The number; ``None`` if there is none."""
        found = rows[0].covariates.get(self.name) if rows else None
        return float(found) if isinstance(found, int | float) else None
