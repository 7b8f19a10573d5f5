"""One number of a benchmark, defined once: its name, unit, direction and bounds, and what each example adds to it.

A task lists its metrics. Scores, comparisons, the gate, plans, early stops, labels and tables take what they need to
know of a number from that list, and nothing outside the task repeats it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from judgebench.records import Example, ExampleScore, Judgement, Score

if TYPE_CHECKING:
    # Needs numpy, which listing the tasks does not.
    from judgebench.stats.clustered import ClusterTotals

T = TypeVar("T")
K = TypeVar("K")

UNITS = ("percent", "points", "rating", "characters", "usd")
ABOUT_A_METRIC = ("_stderr", "_low", "_high", "_level")
"""Ends of the columns of a table that say more of a metric, not another one."""

Row = TypeVar("Row", ExampleScore, Judgement)

ValueOf = Callable[[Sequence[ExampleScore]], float | None]
"""An example's number from its example scores; ``None`` if something of it is missing."""

MetricSums = Mapping[tuple[str, str | None], "ClusterTotals"]
"""Scores by metric and group, each as sums over the items that vary independently, in the metric's unit."""


def no_value(rows: Sequence[ExampleScore]) -> None:
    """Of a metric that is no plain mean over the examples."""


def single_row(name: str) -> ValueOf:
    """The value of the one example score that is called ``name``."""

    def value(rows: Sequence[ExampleScore]) -> float | None:
        return next((row.value for row in rows if row.metric == name), None)

    return value


def grouped(values: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Values by their key, in the order in which the keys first occur."""
    found: dict[K, list[T]] = {}
    for value in values:
        found.setdefault(key(value), []).append(value)
    return found


def by_example(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Group example scores, or judgements, by example."""
    return grouped(rows, lambda row: row.example_id)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """The definition of one metric."""

    name: str
    """Also a pattern (as of file names) for metrics that differ in a number alone, such as ``pass@*``."""
    unit: str = "percent"
    """One of :data:`UNITS`."""
    direction: Literal["higher", "none"] = "higher"
    """Whether more is better. A metric without a direction is compared, but without ranks, and passes no gate."""
    bounds: tuple[float, float] | None = None
    """The least and the most that one example can come to, in the unit. What is in percent lies between 0 and 100."""
    value_of: ValueOf = no_value
    """For a plain mean over the examples: an example's number, which for a metric in percent lies between 0 and 1.

    Only such metrics, if they have bounds, can be stopped early, planned for in the worst case, or anchored in human
    labels. A fit over all examples has no such number, nor has a ratio whose denominator depends on the verdicts.
    """
    win_share: bool = False
    """``value_of`` is the candidate's share of the win, so that a human's verdict on the pair is its like."""
    without_control: str | None = None
    """For a metric that is controlled for length: the name of the one that is not."""
    shown: bool = True
    """Tables have a column for it."""
    needs_table: str | None = None
    """Why a run alone cannot meet the published numbers, if it cannot."""

    @property
    def is_mean(self) -> bool:
        """Whether it is a plain mean over the examples."""
        return self.value_of is not no_value

    @property
    def limits(self) -> tuple[float, float] | None:
        """The bounds, given or the unit's."""
        return self.bounds or ((0.0, 100.0) if self.unit == "percent" else None)

    @property
    def span(self) -> float:
        """The most that two runs can differ by: without end for what has no bounds, such as a length."""
        low, high = self.limits or (0.0, float("inf"))
        return high - low

    @property
    def scale(self) -> float:
        """The metric is the mean of ``value_of`` times this."""
        return 100.0 if self.unit == "percent" else 1.0

    @property
    def lower(self) -> float:
        """The least that ``value_of`` can be."""
        return self._bounded[0] / self.scale

    @property
    def upper(self) -> float:
        """The most that ``value_of`` can be."""
        return self._bounded[1] / self.scale

    @property
    def _bounded(self) -> tuple[float, float]:
        assert self.limits is not None, f"{self.name} has no bounds"
        return self.limits

    def values(self, rows: Sequence[ExampleScore]) -> dict[str, float | None]:
        """The examples' numbers by id."""
        return {example_id: self.value_of(own) for example_id, own in by_example(rows).items()}

    # -- scores

    def score(
        self,
        task: str,
        sums: "ClusterTotals",
        what: str,
        over: str,
        *,
        n: int,
        n_missing: int,
        value: float | None = None,
        group: str | None = None,
        details: Mapping[str, Any] | None = None,
        bounded: bool = True,
    ) -> Score:
        """The score of some sums, with its interval.

        ``what`` and ``over`` say in words what the value is and which clusters vary independently. ``value`` is given
        where upstream adds up in another order, or rounds. Rows that leave the bounds are not ``bounded``.
        """
        from judgebench.stats.clustered import bounded_estimate, clustered_estimate
        from judgebench.stats.intervals import interval_fields

        if bounded and self.limits is not None:
            estimate = bounded_estimate(sums, *(float(sums.weights.sum()) * end for end in self.limits))
        else:
            estimate = clustered_estimate(sums)
        return self.number(
            task,
            estimate.value if value is None else value,
            stderr=estimate.stderr,
            **interval_fields(estimate.interval),
            method=f"{what}; {estimate.how(over)}",
            n=n,
            n_missing=n_missing,
            group=group,
            details=dict(details or {}),
        )

    def absent(self, task: str, reason: str, **about: Any) -> Score:
        """A score without a value, and the reason; ``about`` are its ``n_missing`` and further fields."""
        return self.number(task, None, n=0, reason=reason, **about)

    def number(self, task: str, value: float | None, **about: Any) -> Score:
        """A score whose value was computed elsewhere; ``about`` are its ``n`` and further fields."""
        return Score(task=task, metric=self.name, value=value, unit=self.unit, **about)

    def mean_score(self, task: str, examples: Sequence[Example], rows: Sequence[ExampleScore]) -> Score:
        """The score of a plain mean over examples."""
        known = [value for value in self.values(rows).values() if value is not None]
        missing = len(examples) - len(known)
        if not known:
            return self.absent(task, "no example has a value", n_missing=missing)
        sums = self.mean_sums(examples, rows)
        return self.score(task, sums, "mean over examples", "items", n=len(known), n_missing=missing)

    def mean_sums(self, examples: Sequence[Example], rows: Sequence[ExampleScore]) -> "ClusterTotals":
        """The sums of a plain mean over examples; the answers to one item belong together."""
        from judgebench.stats.clustered import cluster_totals

        items = {example.id: example.item or example.id for example in examples}
        known = {name: value for name, value in self.values(rows).items() if value is not None}
        return cluster_totals(
            [self.scale * value for value in known.values()], clusters=[items.get(name, name) for name in known]
        )


def metric_called(name: str, metrics: Iterable[Metric], unit: str = "percent") -> Metric:
    """The definition of a metric among several. One that is not listed, as a file may hold, is known by its unit."""
    listed = (replace(metric, name=name) for metric in metrics if fnmatchcase(name, metric.name))
    return next(listed, Metric(name=name, unit=unit))
